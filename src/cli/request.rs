//! `rolecall request`: writes a grant for some people and some time, or takes what they have by name out again.
//!
//! Invariant: what is written loads without errors, and gives or takes just what was asked for. Nothing grants by itself:
//! it is a change of YAML, for others to approve. It must not plan.

use std::path::PathBuf;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::Serialize;

use super::edit::{Desk, lines_of, show, write};
use super::{Exit, Failure, Format, repo_or_here, say};
use crate::manifest::edit::grant::NewGrant;
use crate::manifest::edit::withdraw::free;
use crate::manifest::edit::{Draft, FileEdit, NOT_EDITABLE};
use crate::manifest::{
    Condition, GrantFile, GrantNeed, Role, Tree, UNKNOWN_PERSON, UNKNOWN_ROLE, shape, time,
};
use crate::model::{Address, Code, Finding, LapseCause, Name, Span, Spanned, Status, nearest};
use crate::render;

mod removal;

/// A request that makes no sense.
const BAD_REQUEST: Code = Code { code: "RC161", title: "a request that cannot be written as it was asked" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[BAD_REQUEST, removal::BY_RULE];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The access repo
    repo: Option<PathBuf>,
    /// For whom: handles
    #[arg(long, value_name = "HANDLE", required = true, value_delimiter = ',')]
    to: Vec<String>,
    /// Which roles
    #[arg(long, value_name = "ROLE", required = true, value_delimiter = ',')]
    role: Vec<String>,
    /// Until when: a date (that whole day), or a time with its offset
    #[arg(long, value_name = "TIME", conflicts_with_all = ["lasts", "remove"], required_unless_present_any = ["lasts", "remove"])]
    until: Option<String>,
    /// For how long, such as `8h` or `14d`, from now or from `--from`
    #[arg(long, value_name = "DURATION", conflicts_with = "remove")]
    lasts: Option<String>,
    /// From when: a date, or a time with its offset
    #[arg(long, value_name = "TIME", conflicts_with = "remove")]
    from: Option<String>,
    /// Why
    #[arg(long, required_unless_present = "remove")]
    reason: Option<String>,
    /// The ticket
    #[arg(long, conflicts_with = "remove")]
    ticket: Option<String>,
    /// Take the roles away instead: out of every grant and entry that names these people
    #[arg(long)]
    remove: bool,
    /// Where a rule gives a role that is to be removed, keep these people out of it
    #[arg(long, requires = "remove", requires = "reason")]
    except: bool,
    /// Show the edit, and write nothing
    #[arg(long)]
    print: bool,
}

/// What is told besides the diff.
#[derive(Debug, Default, Serialize)]
struct Told {
    /// Remarks, in words.
    notes: Vec<String>,
    /// Who owns the roles and so approves the edit.
    approvers: Vec<Approvers>,
    written: bool,
}

#[derive(Debug, Serialize)]
struct Approvers {
    role: String,
    owners: Vec<String>,
}

/// What was asked for, once it is seen to make sense.
struct Asked {
    people: Vec<String>,
    roles: Vec<String>,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let desk = Desk::open(repo_or_here(arguments.repo.as_ref())).await?;
    let mut told = Told::default();
    let asked = asked(arguments, &desk, &mut told)?;
    let edits = if arguments.remove {
        removal::edits(&desk, &asked, arguments.reason.as_deref().filter(|_| arguments.except), &mut told)?
    } else {
        grant(arguments, &desk, asked, &mut told)?
    };
    finish(&desk, &edits, arguments, told, format)
}

/// Checks whom and which roles it is about, all at once.
fn asked(arguments: &Arguments, desk: &Desk, told: &mut Told) -> Result<Asked, Failure> {
    let mut findings = Vec::new();
    let (people, roles) = (distinct(&arguments.to), distinct(&arguments.role));
    let known: Vec<&str> = desk.tree.roles.iter().map(|role| role.name.value.as_str()).collect();
    for role in roles.iter().filter(|role| !known.contains(&role.as_str())) {
        let finding = Finding::error(UNKNOWN_ROLE, format!("there is no role `{role}`"));
        findings.push(near(
            finding,
            role,
            known.iter().copied(),
            "`rolecall schema Role` tells how to write one",
        ));
    }
    for handle in &people {
        if !shape::is_name(handle) {
            let finding = Finding::error(BAD_REQUEST, format!("`{handle}` cannot be a handle"));
            findings.push(finding.help("a handle is in lower case, such as `dmurphy`"));
            continue;
        }
        let Some(inventory) = &desk.people else { continue };
        match inventory.people.get(handle.as_str()) {
            Some(person) if person.status == Status::Left && !arguments.remove => {
                let finding = Finding::error(BAD_REQUEST, format!("`{handle}` has left"));
                findings.push(finding.help("whoever has left is given nothing"));
            }
            Some(_) => {}
            None if arguments.remove => {}
            None => {
                let finding = Finding::error(UNKNOWN_PERSON, format!("nobody has the handle `{handle}`"));
                let people = inventory.people.keys().map(AsRef::as_ref);
                findings.push(near(
                    finding,
                    handle,
                    people,
                    "a person who is new must be in the directory first",
                ));
            }
        }
    }
    let declared = |handle: &String| desk.tree.users.iter().any(|user| user.name.value == *handle);
    if desk.people.is_none() && !people.iter().all(declared) {
        told.notes.push("who is in the directory cannot be told here; `rolecall plan` will".to_owned());
    }
    if findings.is_empty() { Ok(Asked { people, roles }) } else { Err(findings.into()) }
}

fn near<'a>(finding: Finding, word: &str, known: impl IntoIterator<Item = &'a str>, help: &str) -> Finding {
    match nearest(word, known) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help(help),
    }
}

/// Each word once, in the order in which they were given.
fn distinct(words: &[String]) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for word in words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()) {
        if !distinct.iter().any(|known| known == word) {
            distinct.push(word.to_owned());
        }
    }
    distinct
}

/// The edit that gives people roles.
fn grant(
    arguments: &Arguments,
    desk: &Desk,
    Asked { people, roles }: Asked,
    told: &mut Told,
) -> Result<Vec<FileEdit>, Failure> {
    let times = times(arguments, desk)?;
    judge(arguments, &desk.tree, &roles, &times)?;
    // Whoever has each role by name for as long already needs nothing; the rest is asked for.
    let covered = |person: &str, role: &str| by_name(&desk.tree, person, role, &times);
    let lacking: Vec<(&String, &String)> = people
        .iter()
        .flat_map(|person| roles.iter().map(move |role| (person, role)))
        .filter(|(person, role)| match covered(person, role) {
            Some(place) => {
                told.notes.push(format!("`{person}` has `{role}` for as long already ({place})"));
                false
            }
            None => true,
        })
        .collect();
    let lacks = |of: &dyn Fn(&(&String, &String)) -> bool| lacking.iter().any(of);
    let new = NewGrant {
        name: String::new(),
        to: people.iter().filter(|person| lacks(&|(lacking, _)| lacking == person)).cloned().collect(),
        roles: roles.iter().filter(|role| lacks(&|(_, lacking)| lacking == role)).cloned().collect(),
        from: arguments.from.as_ref().map(|_| times.from_text.clone()),
        until: Some(times.until_text.clone()),
        reason: arguments.reason.clone(),
        ticket: arguments.ticket.clone().filter(|ticket| !ticket.trim().is_empty()),
    };
    let (Some(first), Some(role)) = (new.to.first(), new.roles.first()) else { return Ok(Vec::new()) };
    let day = desk.now.to_zoned(desk.tree.settings.timezone.clone());
    let wish = match arguments.ticket.as_deref().map(name_of).filter(|name| shape::is_name(name)) {
        Some(ticket) => ticket,
        None => name_of(&format!("{role}-{first}-{}", day.strftime("%Y%m%d"))),
    };
    let folder = format!("{}/{}", folder(&desk.tree), day.strftime("%Y-%m"));
    let path = |name: &str| format!("{folder}/{name}.yaml");
    // Names of grants and of files that are there are taken.
    let grants = desk.tree.grants.iter().map(|grant| grant.name.value.clone());
    let files = desk.tree.sources.files.keys().filter_map(|file| {
        Some(file.strip_prefix(&folder)?.strip_prefix('/')?.strip_suffix(".yaml")?.to_owned())
    });
    let name = free(&wish, &grants.chain(files).collect::<Vec<_>>());
    let path = Name::from(path(&name));
    let named = NewGrant { name, ..new.clone() };
    let text = format!("{}{}", modeline(&desk.tree).unwrap_or_default(), named.document());
    let mut draft = Draft::of(&desk.tree.sources);
    draft.create(&path, &text);
    let after = desk.settle(&draft)?;
    if !after.grants.iter().any(|grant| grant.name.value == named.name && says(grant, &named)) {
        let finding = Finding::error(NOT_EDITABLE, "what would be written does not say what was asked for");
        return Err(finding.help("this is a mistake of rolecall's; nothing was written").into());
    }
    if let Some(desired) = desk.desired(&after, times.from) {
        let before = desk.desired(&desk.tree, times.from);
        for (person, role) in lacking {
            kept_out(&desired, person, role, told);
            for line in before.iter().flat_map(|before| lines_of(before, person, role)) {
                told.notes.push(format!("`{person}` has `{role}` now by {} ({})", line.text, line.span));
            }
        }
    }
    Ok(draft.edits())
}

/// Whether a grant that was read says what was asked for.
fn says(grant: &GrantFile, new: &NewGrant) -> bool {
    let same = |read: &[Spanned<String>], asked: &[String]| read.iter().map(|text| &text.value).eq(asked);
    same(&grant.to, &new.to)
        && same(&grant.roles, &new.roles)
        && (&grant.reason, &grant.ticket) == (&new.reason, &new.ticket)
        && (grant.from.is_some(), grant.until.is_some()) == (new.from.is_some(), new.until.is_some())
}

/// Says which line keeps a person out of a role that is asked for.
fn kept_out(desired: &crate::model::Desired, person: &str, role: &str, told: &mut Told) {
    let address = Address::person(person);
    let excepted = desired.lapsed.values().find(|lapse| {
        lapse.cause == LapseCause::Excepted
            && lapse.subject.as_ref() == Some(&address)
            && lapse.origin.role.as_deref() == Some(role)
    });
    if let Some(lapse) = excepted {
        let Span { file, line, .. } = &lapse.origin.span;
        told.notes.push(format!(
            "`{person}` will not get `{role}` as long as its `except` keeps him out ({file}:{line})"
        ));
    }
}

/// From when and until when, as instants and as they are written.
struct Times {
    from: Timestamp,
    from_text: String,
    until: Timestamp,
    until_text: String,
}

fn times(arguments: &Arguments, desk: &Desk) -> Result<Times, Failure> {
    let zone = &desk.tree.settings.timezone;
    let mut findings = Vec::new();
    let word = |text: &String| Spanned { value: text.clone(), span: Span::file("") };
    let from = match &arguments.from {
        Some(text) => time::start(&word(text), zone, &mut findings).map(|at| at.value),
        None => Some(desk.now),
    };
    let lasts = arguments.lasts.as_ref().map(|text| time::duration(&word(text), &mut findings));
    let until = match (&arguments.until, lasts, from) {
        (Some(text), ..) => {
            time::end(&word(text), zone, &mut findings).map(|until| (until.value, text.clone()))
        }
        (None, Some(Some(lasts)), Some(from)) => {
            // Up to the full minute: nobody gets less than he asked for.
            let minutes = TimestampRound::new().smallest(Unit::Minute).mode(RoundMode::Ceil);
            let until = from.checked_add(lasts).and_then(|until| until.round(minutes)).ok();
            if until.is_none() {
                findings.push(Finding::error(BAD_REQUEST, "that is longer than time goes"));
            }
            until.map(|until| (until, until.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M%:z").to_string()))
        }
        _ => None,
    };
    // What was typed has no place in a file.
    findings.iter_mut().for_each(|finding| finding.span = None);
    if let (Some(from), Some((until, text))) = (from, &until)
        && (*until <= desk.now || *until <= from)
    {
        let message = if *until <= from && from > desk.now {
            format!("`{text}` is not after `--from`")
        } else {
            format!("`{text}` is over: it is {}", render::time(desk.now, zone))
        };
        findings.push(Finding::error(BAD_REQUEST, message).help("ask for a time that is still to come"));
    }
    match (from, until) {
        (Some(from), Some((until, until_text))) if findings.is_empty() => {
            Ok(Times { from, from_text: arguments.from.clone().unwrap_or_default(), until, until_text })
        }
        _ => Err(findings.into()),
    }
}

/// Whether roles can be asked for so: what a role that is given on request demands, and a reason.
fn judge(arguments: &Arguments, tree: &Tree, roles: &[String], times: &Times) -> Result<(), Failure> {
    let mut findings = Vec::new();
    if arguments.reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        let finding = Finding::error(BAD_REQUEST, "a request needs a reason");
        findings.push(finding.help("say why with `--reason`, for those who approve it"));
    }
    for role in tree.roles.iter().filter(|role| roles.contains(&role.name.value)) {
        let Some(terms) = &role.on_request else { continue };
        let name = role.name.value.as_str();
        let ticket = arguments.ticket.as_ref().is_some_and(|ticket| !ticket.trim().is_empty());
        if terms.needs.contains(&GrantNeed::Ticket) && !ticket {
            let finding = Finding::error(BAD_REQUEST, format!("a request for `{name}` needs a ticket"));
            findings.push(finding.at(&role.name.span).help("name it with `--ticket`"));
        }
        if let Some(max) = terms.max.filter(|max| times.until.duration_since(times.from) > *max) {
            let message = format!("`{name}` lasts {max:#} at most");
            let finding = Finding::error(BAD_REQUEST, message).at(&role.name.span);
            findings.push(finding.help("ask for less with `--lasts`, and again when it is over"));
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure::in_sources(findings, &tree.sources)) }
}

/// The line that gives a person a role by name for all of a time.
fn by_name(tree: &Tree, person: &str, role: &str, times: &Times) -> Option<Span> {
    let lasts = |from: Option<&Spanned<Timestamp>>, until: Option<&Spanned<Timestamp>>| {
        from.is_none_or(|from| from.value <= times.from)
            && until.is_none_or(|until| until.value >= times.until)
    };
    let names = |list: &[Spanned<String>], name: &str| list.iter().any(|text| text.value == name);
    let grant = tree.grants.iter().find(|grant| {
        names(&grant.to, person)
            && names(&grant.roles, role)
            && lasts(grant.from.as_ref(), grant.until.as_ref())
    });
    let entry = || {
        let role = tree.roles.iter().find(|declared| declared.name.value == role)?;
        role.members.iter().find(|entry| {
            matches!(entry.conditions.as_slice(), [Condition::Handle(handles)] if names(handles, person))
                && lasts(entry.from.as_ref(), entry.until.as_ref())
        })
    };
    grant.map(|grant| grant.span.clone()).or_else(|| entry().map(|entry| entry.span.clone()))
}

/// A text as a name: what no name can hold becomes a `-`.
fn name_of(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    text.to_ascii_lowercase().chars().map(plain).collect::<String>().trim_matches(['-', '.', '_']).to_owned()
}

/// The folder that grants are put into.
fn folder(tree: &Tree) -> &str {
    let folders = &tree.settings.manifests;
    let named = folders.iter().find(|folder| *folder == "grants" || folder.ends_with("/grants"));
    let holds =
        |folder: &&String| tree.grants.iter().any(|grant| grant.span.file.starts_with(&format!("{folder}/")));
    named.or_else(|| folders.iter().find(holds)).or_else(|| folders.first()).map_or("grants", String::as_str)
}

/// The line that tells editors the schema, where other grants begin with one.
fn modeline(tree: &Tree) -> Option<String> {
    let first = |file: &Name| {
        let line = tree.sources.line(file, 1)?;
        line.starts_with("# yaml-language-server:").then(|| format!("{line}\n"))
    };
    tree.grants.iter().find_map(|grant| first(&grant.span.file))
}

/// Writes and shows the edit, and says what comes next.
fn finish(
    desk: &Desk,
    edits: &[FileEdit],
    arguments: &Arguments,
    mut told: Told,
    format: Format,
) -> Result<Exit, Failure> {
    let owners = |role: &Role| Approvers {
        role: role.name.value.clone(),
        owners: role.owners.iter().map(|owner| owner.value.clone()).collect(),
    };
    let concerned = desk
        .tree
        .roles
        .iter()
        .filter(|role| arguments.role.iter().any(|name| name.trim() == role.name.value));
    if !edits.is_empty() {
        told.approvers = concerned.map(owners).collect();
    }
    told.written = !arguments.print && !edits.is_empty();
    if told.written {
        write(&desk.root, edits)?;
    }
    show(edits, &told, format);
    told.notes.iter().for_each(|note| say(&format!("{note}\n")));
    for Approvers { role, owners } in &told.approvers {
        say(&match owners.as_slice() {
            [] => format!("`{role}` has no owners: name some, or nobody can approve this\n"),
            owners => format!("`{role}` is approved by its owners: {}\n", owners.join(", ")),
        });
    }
    say(match (edits.is_empty(), told.written) {
        (true, _) => "there is nothing to write\n",
        (false, true) => "written; `rolecall plan` shows what it changes, a merge request asks for it\n",
        (false, false) => "nothing was written\n",
    });
    Ok(Exit::Success)
}
