//! `rolecall lock`: writes down which name is whose, so that a name that changes hands is held and not served.
//!
//! Invariant: it is written when somebody asks, and what it says otherwise than before is told, changed ids first; whether
//! that is right is for whoever reviews the file. It must not change anything else.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::session::{Options, Session};
use super::{Exit, Failure, Format, print, repo_or_here, say};
use crate::model::{Code, Finding, LOCK_FILE, Lock, LockChanges};
use crate::resolve;

/// The lock cannot be written.
const NOT_WRITTEN: Code = Code { code: "RC707", title: "`rolecall.lock` cannot be written" };
/// Not everything could be read, so the lock would be of a part.
const UNREAD: Code = Code { code: "RC708", title: "what a lock is of could not all be read" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NOT_WRITTEN, UNREAD];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The access repo
    repo: Option<PathBuf>,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let root = repo_or_here(arguments.repo.as_ref());
    let session =
        Session::open(Options { repo: root.clone(), looks_only: true, ..Options::default() }).await?;
    let names = session.in_its_time(session.names()).await?;
    if let Some(why) = names.unread.first() {
        let finding = Finding::error(UNREAD, format!("not everything could be read: {why}"));
        return Err(finding
            .help("a lock of a part would forget the rest; try again when all can be read")
            .into());
    }
    let next = resolve::lock(&session.head, &names.head, &names.inventory, &names.live);
    let before = session.head.lock.clone().unwrap_or_default();
    let changes = before.changes(&next);
    write(&root, &next)?;
    match format {
        Format::Json => print(&json(&changes)),
        Format::Text | Format::Markdown => print(&text(&changes)),
    }
    let nothing = changes == LockChanges::default() && session.head.lock.is_some();
    say(&match (nothing, changes.changed.len()) {
        (true, _) => format!("`{LOCK_FILE}` is as it was\n"),
        (false, 0) => format!("wrote `{LOCK_FILE}`: {} names; commit it\n", next.names.len()),
        (false, 1) => format!(
            "wrote `{LOCK_FILE}`: 1 NAME HAS CHANGED HANDS. Find out whose it is now before anybody merges this\n"
        ),
        (false, changed) => format!(
            "wrote `{LOCK_FILE}`: {changed} NAMES HAVE CHANGED HANDS. Find out whose they are now before anybody merges this\n"
        ),
    });
    session.close()?;
    Ok(Exit::Success)
}

/// Puts the file in the place of the old one, whole or not at all.
fn write(root: &Path, lock: &Lock) -> Result<(), Failure> {
    let (file, new) = (root.join(LOCK_FILE), root.join(format!("{LOCK_FILE}.new")));
    let refuse = |why: &str| {
        let message = format!("`{}` cannot be written: {why}", file.display());
        Failure::from(Finding::error(NOT_WRITTEN, message).help("it is a plain file beside `rolecall.yaml`"))
    };
    if file.is_symlink() {
        return Err(refuse("it is a symbolic link"));
    }
    let written = fs::remove_file(&new).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    let written = written.and_then(|()| {
        let mut fresh = fs::OpenOptions::new().write(true).create_new(true).open(&new)?;
        fresh.write_all(lock.text().as_bytes())?;
        fresh.sync_all()?;
        fs::rename(&new, &file)
    });
    written.map_err(|error| refuse(&error.to_string()))
}

/// What is new and what is gone, what has changed hands first.
fn text(changes: &LockChanges) -> String {
    let mut lines: Vec<String> = Vec::new();
    let changed = changes.changed.iter().map(|(name, old, new)| format!("! {name}: {old} -> {new}"));
    lines.extend(changed);
    lines.extend(changes.new.iter().map(|(name, id)| format!("+ {name}: {id}")));
    lines.extend(changes.gone.iter().map(|name| format!("- {name}")));
    let mut counts = 0;
    for (attribute, value, before, after) in &changes.values {
        match (before, after) {
            (0, after) => lines.push(format!("+ {attribute} {value}: {after}")),
            (_, 0) => lines.push(format!("- {attribute} {value}")),
            _ => counts += 1,
        }
    }
    if counts > 0 {
        lines.push(format!("~ {counts} values that another number of people have"));
    }
    lines.into_iter().map(|line| format!("{}\n", line.replace(char::is_control, " "))).collect()
}

fn json(changes: &LockChanges) -> String {
    let LockChanges { new, gone, changed, values } = changes;
    let told = serde_json::json!({
        "new": new.iter().map(|(name, id)| serde_json::json!({ "name": name, "id": id })).collect::<Vec<_>>(),
        "gone": gone,
        "changed": changed
            .iter()
            .map(|(name, old, new)| serde_json::json!({ "name": name, "before": old, "after": new }))
            .collect::<Vec<_>>(),
        "values": values
            .iter()
            .map(|(attribute, value, before, after)| {
                serde_json::json!({ "attribute": attribute, "value": value, "before": before, "after": after })
            })
            .collect::<Vec<_>>(),
    });
    format!("{told:#}\n")
}
