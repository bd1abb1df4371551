//! What has ended: entries, grants and waivers whose `until` is over, which say nothing any more.
//!
//! Invariant: at `now` and later a tree asks for the same with them and without. A `User` who has ended stays: that he is
//! gone is a statement. It must not edit.

use jiff::Timestamp;

use super::{Change, Path, find};
use crate::manifest::Tree;
use crate::model::{Name, Sources, Span};

/// Something that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What it is, in words: `grant inc-991`.
    pub what: String,
    /// Where it stands.
    pub place: Span,
    /// When it ended.
    pub ended: Timestamp,
    /// What takes it out.
    pub change: Change,
}

/// All that has ended by `now`.
#[must_use]
pub fn past(tree: &Tree, now: Timestamp) -> Vec<Past> {
    let mut found = Vec::new();
    let over = |until: Option<Timestamp>| until.filter(|until| *until <= now);
    for role in &tree.roles {
        for (list, entries) in [("members", &role.members), ("except", &role.except)] {
            for entry in entries {
                let Some(ended) = over(entry.until.as_ref().map(|until| until.value)) else { continue };
                let what = format!("an entry of `{list}` of role `{}`", role.name.value);
                found.extend(remove(&tree.sources, what, &entry.span, ended));
            }
        }
    }
    for grant in &tree.grants {
        let Some(ended) = over(grant.until.as_ref().map(|until| until.value)) else { continue };
        found.extend(remove(&tree.sources, format!("grant `{}`", grant.name.value), &grant.span, ended));
    }
    for waiver in &tree.waivers {
        let Some(ended) = over(Some(waiver.until)) else { continue };
        let what = format!("waiver `{}`", waiver.name.value);
        found.extend(document_of(&tree.sources, &waiver.name.span).map(|path| Past {
            what,
            place: waiver.name.span.clone(),
            ended,
            change: Change::Remove(path),
        }));
    }
    found.sort_by(|one, two| one.place.cmp(&two.place));
    found
}

fn remove(sources: &Sources, what: String, place: &Span, ended: Timestamp) -> Option<Past> {
    let path = find(&place.file, text(sources, &place.file)?, place)?;
    Some(Past { what, place: place.clone(), ended, change: Change::Remove(path) })
}

/// The document that holds a place.
fn document_of(sources: &Sources, place: &Span) -> Option<Path> {
    let path = find(&place.file, text(sources, &place.file)?, place)?;
    Some(Path { steps: Vec::new(), ..path })
}

pub(super) fn text<'s>(sources: &'s Sources, file: &Name) -> Option<&'s str> {
    std::str::from_utf8(sources.files.get(file)?).ok()
}
