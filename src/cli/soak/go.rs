//! One go: an apply from its beginning to its end, as it is seen from outside.
//!
//! Invariant: what it holds are worlds and writes; nothing of what the apply says about itself but how it ended.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::facts::{Difference, Fact, Facts, differences, facts};
use super::repo::Repo;
use super::site::{Ended, Site};
use super::trouble::Trouble;
use crate::model::Digest;
use crate::simulator::{Edit, World, Written};

/// A write, and what it did.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) action: String,
    /// What was sent.
    pub(super) sent: Digest,
    pub(super) changed: bool,
    pub(super) did: Vec<Difference>,
    /// The facts just after it.
    pub(super) after: Arc<Facts>,
    /// The world just before it.
    pub(super) world: Arc<World>,
}

/// One go.
pub(super) struct Go {
    /// The access repo that was applied.
    pub(super) repo: Repo,
    /// The one that the memory's base is of, where it has one.
    pub(super) base: Option<Repo>,
    /// What went wrong meanwhile.
    pub(super) trouble: Option<Trouble>,
    /// Whether it is the first of this plan, of those that came so far.
    pub(super) resumes: bool,
    pub(super) before: Facts,
    pub(super) after: Facts,
    pub(super) world: World,
    pub(super) end: World,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) writes: Vec<Write>,
    pub(super) ended: Ended,
    /// How a second apply ended, and whether both were about to write at once.
    pub(super) second: Option<(Ended, bool)>,
    /// What others did meanwhile.
    pub(super) others: Vec<Edit>,
}

impl Go {
    /// Whether somebody else touched that meanwhile.
    pub(super) fn touched(&self, fact: &Fact) -> bool {
        self.others.iter().any(|edit| touches(edit, fact))
    }

    /// Whether this goes wrong, and nothing else.
    pub(super) fn is_calm(&self) -> bool {
        self.trouble.as_ref().is_none_or(|trouble| trouble.is_only(false))
    }

    /// All removals of access, in the order in which they were written.
    pub(super) fn removals(&self) -> impl Iterator<Item = (&Write, &Difference)> {
        let all = self.writes.iter().flat_map(|write| write.did.iter().map(move |did| (write, did)));
        all.filter(|(_, did)| did.is_removal())
    }
}

/// What the writes did.
pub(super) fn writes(site: &Site) -> Vec<Write> {
    let mut last: Option<(Arc<World>, Arc<Facts>)> = None;
    let seen = |world: &Arc<World>, last: &mut Option<(Arc<World>, Arc<Facts>)>| match last
        .as_ref()
        .filter(|(known, _)| Arc::ptr_eq(known, world))
    {
        Some((_, facts)) => facts.clone(),
        None => {
            let facts = Arc::new(facts(world));
            *last = Some((world.clone(), facts.clone()));
            facts
        }
    };
    let watched: Vec<Written> = site.simulator.watched();
    let writes = watched.into_iter().map(|written| {
        let before = seen(&written.before, &mut last);
        let after = seen(&written.after, &mut last);
        Write {
            did: differences(&before, &after),
            action: written.action,
            sent: written.sent,
            changed: written.changed,
            after,
            world: written.before,
        }
    });
    writes.collect()
}

/// Whether an edit may change a fact, directly or by what it makes of a group.
pub(super) fn touches(edit: &Edit, fact: &Fact) -> bool {
    let thing = match edit {
        Edit::AddMember { group, .. } | Edit::RemoveMember { group, .. } | Edit::DeleteGroup { group } => {
            super::facts::okta_group(group)
        }
        Edit::RenameGroup { group, to } => {
            let to = super::facts::okta_group(to);
            if fact.things().contains(&to.as_str()) {
                return true;
            }
            super::facts::okta_group(group)
        }
        Edit::Attach { to: holder, .. } | Edit::Detach { from: holder, .. } => format!("aws:{holder}"),
        Edit::Tag { on, .. } | Edit::Untag { on, .. } => format!("aws:{on}"),
        Edit::Bind { on, .. } | Edit::Unbind { on, .. } => format!("gcp:{on}"),
        Edit::AddGroupMember { group, .. } | Edit::RemoveGroupMember { group, .. } => {
            format!("gcp:group/{group}")
        }
    };
    fact.things().contains(&thing.as_str())
}

/// The things that are declared in one and not in the other.
pub(super) fn dropped(base: &Repo, head: &Repo) -> BTreeSet<String> {
    let kept = head.declares();
    base.declares().into_iter().filter(|thing| !kept.contains(thing)).collect()
}
