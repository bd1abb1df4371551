//! Who let the rule in that a standing change follows: the merge request of the line, as far as Git tells.
//!
//! Invariant: it says nothing where Git does not know, and what it says is told and never trusted. It runs Git with verbs
//! that only read, and nothing of the repo.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::cli::repo;
use crate::model::{Cause, Change, Name, Sources};

/// How many files are asked about at most: a run of standing changes rests on few rules.
const FILES: usize = 64;

/// Writes into standing changes which merge request, or else which commit, their rule came with.
pub(super) fn cite(root: &Path, head: &Sources, changes: &mut [&mut Change]) {
    let mut lines: BTreeMap<Name, BTreeSet<u32>> = BTreeMap::new();
    for change in changes.iter().filter(|change| is_of_head(change)) {
        let span = &change.reason.span;
        // Git knows no line that the file does not have, and then tells of none at all.
        if span.line > 0 && head.line(&span.file, span.line).is_some() {
            lines.entry(span.file.clone()).or_default().insert(span.line);
        }
    }
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut by_line: BTreeMap<(Name, u32), String> = BTreeMap::new();
    for (file, lines) in lines.into_iter().take(FILES) {
        for (line, commit) in repo::commits_of(root, &file, &lines) {
            let by = known.entry(commit).or_insert_with_key(|commit| repo::came_with(root, commit));
            by_line.extend(by.clone().map(|by| ((file.clone(), line), by)));
        }
    }
    for change in changes.iter_mut().filter(|change| is_of_head(change)) {
        let span = &change.reason.span;
        change.approved_by = by_line.get(&(span.file.clone(), span.line)).cloned();
    }
}

/// Whether a change is standing and its reason is a line of head's: what is no longer asked for was asked for by a line of
/// files that were applied before, which may say something else by now.
fn is_of_head(change: &Change) -> bool {
    change.cause == Cause::Standing && !change.reason.text.starts_with("no longer asked for")
}
