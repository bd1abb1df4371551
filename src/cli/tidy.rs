//! `rolecall tidy`: takes what has ended out of the YAML.
//!
//! Invariant: what the access repo asks for stays the same, now and later; what was looked at is all that is written.
//! It must not take out people: that somebody is gone is a statement.

use std::path::PathBuf;

use serde::Serialize;

use super::edit::{Desk, show, write};
use super::{Exit, Failure, Format, repo_or_here, say};
use crate::manifest::Tree;
use crate::manifest::edit::past::{Past, past};
use crate::manifest::edit::{Draft, NOT_EDITABLE};
use crate::model::{Desired, Finding, GrantKey};
use crate::render::time;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The access repo
    repo: Option<PathBuf>,
    /// Write nothing, and exit with 2 where something has ended
    #[arg(long)]
    check: bool,
}

/// What is told besides the diff.
#[derive(Debug, Serialize)]
struct Told {
    ended: Vec<Ended>,
    written: bool,
}

#[derive(Debug, Serialize)]
struct Ended {
    what: String,
    place: String,
    ended: jiff::Timestamp,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let desk = Desk::open(repo_or_here(arguments.repo.as_ref())).await?;
    let found = past(&desk.tree, desk.now);
    let mut draft = Draft::of(&desk.tree.sources);
    let mut changes: Vec<_> =
        found.iter().map(|past| (past.place.file.clone(), past.change.clone())).collect();
    changes.dedup();
    draft.change(changes).map_err(|findings| Failure::in_sources(findings, &desk.tree.sources))?;
    let after = desk.settle(&draft)?;
    prove(&desk, &after)?;
    let edits = draft.edits();
    let writes = !arguments.check && !edits.is_empty();
    if writes {
        write(&desk.root, &edits)?;
    }
    let ended =
        |past: &Past| Ended { what: past.what.clone(), place: past.place.to_string(), ended: past.ended };
    show(&edits, &Told { ended: found.iter().map(ended).collect(), written: writes }, format);
    for past in &found {
        say(&format!(
            "{} ended {} ({})\n",
            past.what,
            time(past.ended, &desk.tree.settings.timezone),
            past.place
        ));
    }
    match (found.len(), writes) {
        (0, _) => say("nothing here has ended\n"),
        (count, true) => say(&format!("taken out: {}\n", things(count))),
        (count, false) => say(&format!("`rolecall tidy` would take out {}\n", things(count))),
    }
    Ok(if arguments.check && !found.is_empty() { Exit::Changes } else { Exit::Success })
}

fn things(count: usize) -> String {
    if count == 1 { "1 thing that has ended".to_owned() } else { format!("{count} things that have ended") }
}

/// Compares what is asked for before and after, where people are known; that each edit took out just what has ended was seen
/// when it was made.
fn prove(desk: &Desk, after: &Tree) -> Result<(), Failure> {
    let edges = |desired: &Desired| -> Vec<(GrantKey, Option<jiff::Timestamp>)> {
        desired.grants.iter().map(|grant| (grant.key.clone(), grant.terms.until)).collect()
    };
    if let (Some(one), Some(two)) = (desk.desired(&desk.tree, desk.now), desk.desired(after, desk.now))
        && (edges(&one) != edges(&two) || !one.resources.keys().eq(two.resources.keys()))
    {
        let finding =
            Finding::error(NOT_EDITABLE, "without what has ended, the YAML would ask for something else");
        return Err(finding.help("this is a mistake of rolecall's; nothing was written").into());
    }
    Ok(())
}
