//! `rolecall offboard`: takes whoever leaves out of every grant and entry that names him, and says what is to be handed over.
//!
//! Invariant: it edits only what is about this one person; where he answers for something, that is told and left, because only
//! people can say who answers for it next. It must not plan: that he leaves is known by his status, not by this.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::edit::{Desk, show, write};
use super::{Exit, Failure, Format, repo_or_here, say};
use crate::manifest::edit::Draft;
use crate::manifest::edit::withdraw::withdraw;
use crate::manifest::{Condition, Tree, UNKNOWN_PERSON};
use crate::model::{Finding, Name, Span, Status, nearest};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The handle of who leaves
    handle: String,
    /// The access repo
    repo: Option<PathBuf>,
    /// Show the edit, and write nothing
    #[arg(long)]
    print: bool,
}

/// What is told besides the diff.
#[derive(Debug, Default, Serialize)]
struct Told {
    /// What he answers for, and where.
    hand_over: Vec<Answers>,
    written: bool,
}

/// Something that somebody answers for.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Answers {
    what: String,
    place: String,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let desk = Desk::open(repo_or_here(arguments.repo.as_ref())).await?;
    let handle = &arguments.handle;
    let mut told = Told { hand_over: answers_for(&desk.tree, handle), written: false };
    told.hand_over.extend(natives(&desk.tree, handle));
    let roles: Vec<String> = desk.tree.roles.iter().map(|role| role.name.value.clone()).collect();
    let mut draft = Draft::of(&desk.tree.sources);
    draft
        .change(withdraw(&desk.tree, std::slice::from_ref(handle), &roles, desk.now))
        .map_err(|findings| Failure::in_sources(findings, &desk.tree.sources))?;
    desk.settle(&draft)?;
    let edits = draft.edits();
    let person = desk.people.as_ref().and_then(|people| people.people.get(handle.as_str()));
    if let (Some(people), None, true, true) =
        (&desk.people, person, edits.is_empty(), told.hand_over.is_empty())
    {
        let finding =
            Finding::error(UNKNOWN_PERSON, format!("nobody has the handle `{handle}`, and nothing names it"));
        return Err(match nearest(handle, people.people.keys().map(AsRef::as_ref)) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("give the handle of a person"),
        }
        .into());
    }
    told.written = !arguments.print && !edits.is_empty();
    if told.written {
        write(&desk.root, &edits)?;
    }
    show(&edits, &told, format);
    if edits.is_empty() {
        say(&format!("no grant and no entry names `{handle}`\n"));
    }
    for Answers { what, place } in &told.hand_over {
        say(&format!("hand over: {what} ({place})\n"));
    }
    if person.is_some_and(|person| person.status == Status::Active) {
        say(&format!(
            "`{handle}` is at work as far as the directory says; what rules give goes when he is deactivated there, or at once \
             with `rolecall contain {handle}`\n"
        ));
    }
    if told.written {
        say("written; `rolecall plan` shows what it changes, a merge request asks for it\n");
    }
    Ok(Exit::Success)
}

/// The lines of native documents that name somebody: what they say is the provider's, and is edited by hand.
fn natives(tree: &Tree, handle: &str) -> Vec<Answers> {
    let files: BTreeSet<&Name> = tree.natives.iter().map(|native| &native.origin.span.file).collect();
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let mut all = Vec::new();
    for file in files {
        let bytes = tree.sources.files.get(file).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        for (number, line) in (1..).zip(bytes.unwrap_or_default().lines()) {
            if line.split(|c| !is_part(c)).any(|word| word == handle) {
                let what = "a native document names him; take him out by hand".to_owned();
                all.push(Answers { what, place: format!("{file}:{number}") });
            }
        }
    }
    all
}

/// What somebody answers for, or is cited by.
fn answers_for(tree: &Tree, handle: &str) -> Vec<Answers> {
    let mut all = Vec::new();
    let mut add = |what: String, span: &Span| all.push(Answers { what, place: span.to_string() });
    for role in &tree.roles {
        for owner in role.owners.iter().filter(|owner| owner.value == handle) {
            add(format!("he owns role `{}`", role.name.value), &owner.span);
        }
        for condition in role.members.iter().chain(&role.except).flat_map(|entry| &entry.conditions) {
            if let Condition::Manager(names) | Condition::ReportsTo(names) = condition {
                for name in names.iter().filter(|name| name.value == handle) {
                    add(
                        format!("an entry of role `{}` is about those whom he leads", role.name.value),
                        &name.span,
                    );
                }
            }
        }
    }
    for user in &tree.users {
        for (what, who) in [("manager", &user.manager), ("owner", &user.owner)] {
            if let Some(who) = who.as_ref().filter(|who| who.value == handle) {
                add(format!("he is the {what} of `{}`", user.name.value), &who.span);
            }
        }
        if user.name.value == handle {
            add("his own `User`: give it an `until:`, rather than delete it".to_owned(), &user.name.span);
        }
    }
    for waiver in tree.waivers.iter().filter(|waiver| waiver.owner == handle) {
        add(format!("he answers for waiver `{}`", waiver.name.value), &waiver.name.span);
    }
    all.sort();
    all
}
