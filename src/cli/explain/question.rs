//! What the words of a question mean: people, roles, things, lines.
//!
//! Invariant: what nobody knows is an error that names the nearest, never an empty answer.

use std::collections::BTreeSet;

use super::{Asking, GIVES_NOTHING, NO_LINE, NO_QUESTION, UNKNOWN};
use crate::cli::Failure;
use crate::manifest::{NoPart, Tree};
use crate::model::{Address, Finding, Snapshot, Span, nearest};

/// A question, understood.
pub(super) enum Question {
    /// Who has what.
    Has(Address),
    /// Whether somebody has something.
    Whether { who: Address, on: Address },
    /// What would give something to a person.
    Wants { handle: String, on: Address },
    /// What a line gives.
    Line { file: String, line: u32, column: Option<u32> },
}

/// What a word may mean first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meant {
    /// Someone, else something.
    Who,
    /// Something, else someone.
    What,
}

/// Understands a question.
pub(super) async fn of(
    asking: &Asking<'_>,
    what: &str,
    on: Option<&str>,
    wants: Option<&str>,
) -> Result<Question, Failure> {
    let place = place(asking, what)?;
    if let Some((file, line, column)) = place {
        if on.or(wants).is_some() {
            let finding = Finding::error(NO_QUESTION, format!("`{what}` is a line, which has nothing"));
            return Err(finding.help("ask about a line alone, or about a person").into());
        }
        return Ok(Question::Line { file, line, column });
    }
    let who = find(asking, what, Meant::Who).await?;
    match (on, wants) {
        (None, None) => Ok(Question::Has(who)),
        (Some(on), _) => Ok(Question::Whether { on: find(asking, on, Meant::What).await?, who }),
        (None, Some(wants)) => {
            if who.instance() != "person" {
                let finding = Finding::error(NO_QUESTION, format!("`{who}` is no person"));
                return Err(finding.help("`--wants` asks for people: give a handle").into());
            }
            let on = find(asking, wants, Meant::What).await?;
            if on.instance() == "person" {
                let finding =
                    Finding::error(NO_QUESTION, format!("`{on}` is a person, whom nobody can have"));
                return Err(finding.help("name a role, a group or a policy").into());
            }
            Ok(Question::Wants { handle: who.name().into_owned(), on })
        }
    }
}

/// `FILE:LINE[:COLUMN]`, where a text has that form.
fn place(asking: &Asking<'_>, text: &str) -> Result<Option<(String, u32, Option<u32>)>, Failure> {
    let end = [".yaml", ".yml"].iter().find_map(|end| Some(text.find(end)? + end.len()));
    let Some(end) = end else { return Ok(None) };
    let (file, rest) = text.split_at(end);
    if !(rest.is_empty() || rest.starts_with(':')) || text.parse::<Address>().is_ok() {
        return Ok(None);
    }
    let file = file.strip_prefix("./").unwrap_or(file).to_owned();
    let mut numbers = rest.split(':').skip(1).map(str::parse::<u32>);
    let numbers = (numbers.next(), numbers.next(), numbers.next());
    match numbers {
        (Some(Ok(line)), column, None) if line > 0 => match column {
            None => Ok(Some((file, line, None))),
            Some(Ok(column)) if column > 0 => Ok(Some((file, line, Some(column)))),
            Some(_) => Err(no_number(text, &file)),
        },
        _ if asking.session.head.sources.files.contains_key(file.as_str()) || !rest.is_empty() => {
            Err(no_number(text, &file))
        }
        _ => Err(no_part(&asking.session.head, &file, 0, &NoPart::NoFile)),
    }
}

fn no_number(text: &str, file: &str) -> Failure {
    let finding = Finding::error(NO_LINE, format!("`{text}` does not say which line"));
    finding.help(format!("write it as `{file}:14`; lines count from 1")).into()
}

/// Why a line cannot be explained.
pub(super) fn no_part(tree: &Tree, file: &str, line: u32, why: &NoPart) -> Failure {
    let at = Span { file: file.into(), line, column: 0, length: 1 };
    let finding = match why {
        NoPart::NoFile => {
            let finding = Finding::error(NO_LINE, format!("there is no file `{file}` in the access repo"));
            let near = nearest(file, tree.sources.files.keys().map(AsRef::as_ref));
            return finding
                .help(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name a file as plans do, from the root of the access repo".to_owned(),
                })
                .into();
        }
        NoPart::PastTheEnd(0) => Finding::error(NO_LINE, format!("`{file}` is empty")),
        NoPart::PastTheEnd(lines) => Finding::error(NO_LINE, format!("`{file}` has no line {line}"))
            .help(format!("it has {lines} lines")),
        NoPart::Blank => Finding::error(GIVES_NOTHING, "nothing stands on this line")
            .at(&at)
            .help("name the line of an entry, of an access item, or of a document"),
        NoPart::GivesNothing(key) => {
            Finding::error(GIVES_NOTHING, format!("`{key}` gives nobody anything by itself")).at(&at).help(
                "name a line of `members`, `except` or `access`, or that of `kind` for the whole document",
            )
        }
        NoPart::Settings => Finding::error(GIVES_NOTHING, "settings give nobody anything by themselves")
            .at(&at)
            .help("name a line of a manifest"),
    };
    Failure::in_sources(vec![finding], &tree.sources)
}

/// What a word means: an address, a handle, a role, or the name of anything that is wanted, named or live.
async fn find(asking: &Asking<'_>, word: &str, meant: Meant) -> Result<Address, Failure> {
    let desired = &asking.view.desired;
    if let Ok(address) = word.parse::<Address>() {
        return known(asking, address).await;
    }
    let person = asking.inventory.people.contains_key(word).then(|| Address::person(word));
    let role = asking.view.role(word).map(|_| Address::role(word));
    let things: BTreeSet<&Address> = desired.resources.keys().chain(desired.named.keys()).collect();
    let thing = things.iter().find(|address| address.name() == word).map(|address| (*address).clone());
    let found = match meant {
        Meant::Who => person.or(role).or(thing),
        Meant::What => role.or(thing).or(person),
    };
    if let Some(found) = found {
        return Ok(found);
    }
    // No manifest knows it. What is only live is looked for last, because that takes calls.
    let live = asking.session.list().await;
    if let Some(found) = live.resources.keys().find(|address| address.name() == word) {
        return Ok(found.clone());
    }
    Err(unknown(asking, word, &live))
}

/// An address, if it is that of anything.
async fn known(asking: &Asking<'_>, address: Address) -> Result<Address, Failure> {
    let (name, desired) = (address.name(), &asking.view.desired);
    let is_known = match address.instance() {
        "person" => asking.inventory.people.contains_key(name.as_ref()),
        "role" => asking.view.role(&name).is_some(),
        // A vendor has more of its own than can be listed.
        "managed" => true,
        _ => {
            desired.resources.contains_key(&address)
                || desired.named.contains_key(&address)
                || desired.people.contains_key(&address)
        }
    };
    if is_known {
        return Ok(address);
    }
    let live = asking.session.list().await;
    if live.resources.contains_key(&address) {
        return Ok(address);
    }
    Err(unknown(asking, address.as_str(), &live))
}

fn unknown(asking: &Asking<'_>, word: &str, live: &Snapshot) -> Failure {
    let desired = &asking.view.desired;
    let people = asking.inventory.people.keys().map(ToString::to_string);
    let roles = asking.view.roles().map(|role| role.name.value.clone());
    let things = desired.resources.keys().chain(desired.named.keys()).chain(live.resources.keys());
    // Whoever wrote an address meant one.
    let names: Vec<String> = match word.split_once(':') {
        None => people.chain(roles).chain(things.map(|thing| thing.name().into_owned())).collect(),
        Some(("person", _)) => people.map(|handle| format!("person:{handle}")).collect(),
        Some(("role", _)) => roles.map(|role| format!("role:{role}")).collect(),
        Some(_) => things.map(ToString::to_string).collect(),
    };
    let mut finding = Finding::error(UNKNOWN, format!("nobody and nothing is called `{word}`"));
    for why in &asking.inventory.incomplete {
        finding = finding.note(format!("the directory was not read whole: {why}"));
    }
    let near = nearest(word, names.iter().map(String::as_str));
    finding
        .help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "give a handle, a role, the name of a group or policy, an address, or a line".to_owned(),
        })
        .into()
}
