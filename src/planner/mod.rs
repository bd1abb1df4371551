//! What must change, why, and in which order: head, base, demand and live in, a [`Draft`] out.
//!
//! Letters as in the design: H what head wants, B what base wants, D what memory demanded, L what is live. Resources are
//! compared first (`resources`), since they decide what is being made and dropped; then edges (`edges`).
//! `doubt` says which lists are not believed, `facts` who may and who exists, `hold` what must wait, `order` what comes first.
//! Invariant: pure, and the same for any order of its input; nothing outside `own` ever becomes a change that writes.
//! It must not judge: protection, caps and guardrails are the gate's.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use crate::model::settings::Heal;
use crate::model::{Apart, Code, Demand, Desired, Draft, Inventory, Ownership, Pattern, Schemas, Snapshot};

mod contain;
mod demand;
mod doubt;
mod edges;
mod facts;
mod fields;
mod hold;
mod order;
mod proposal;
mod resources;
mod risk;
mod strangers;
mod tally;
#[cfg(test)]
mod tests;

pub use contain::{Containment, contain};
pub use demand::{declared_fields, remember, scopes};
pub use doubt::{Answer, Doubt, Doubted, doubts, settle};
pub use strangers::{Strangers, strangers};

/// Head asks for what `own:` does not allow.
pub const NOT_OWNED: Code = Code { code: "RC350", title: "asks for what `own:` does not allow" };
/// A field that cannot be changed in place would have to change.
pub const IMMUTABLE: Code = Code { code: "RC351", title: "a field that cannot be changed in place" };
/// Someone is missing from the directory.
pub const MISSING_PERSON: Code = Code { code: "RC352", title: "a person is missing from the directory" };
/// Something is not deleted although its file vanished.
pub const NOT_DELETED: Code = Code { code: "RC353", title: "not deleted although its file vanished" };
/// The provider lets nobody change it.
pub const MASTERED: Code = Code { code: "RC354", title: "the provider lets nobody change it" };
/// A list reads as empty, and the last run saw something in it.
pub const EMPTY_LIST: Code = Code { code: "RC355", title: "a list reads as empty that was not" };
/// A name is now another's than when it was locked.
pub const CHANGED_HANDS: Code = Code { code: "RC356", title: "a name has changed hands since it was locked" };
/// Changes wait for each other; a mistake of rolecall's.
pub const CYCLE: Code = Code { code: "RC359", title: "changes wait for each other" };

/// All codes of the planner.
pub const CODES: &[Code] =
    &[NOT_OWNED, IMMUTABLE, MISSING_PERSON, NOT_DELETED, MASTERED, EMPTY_LIST, CHANGED_HANDS, CYCLE];

/// Everything that a plan is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// H: what head wants.
    pub head: &'a Desired,
    /// B: what base wants, for the same people and the same `now`. Without it nothing is taken away, leavers excepted.
    pub base: Option<&'a Desired>,
    /// D: what was demanded, as memory keeps it.
    pub demand: Option<&'a Demand>,
    /// L: what is live.
    pub live: &'a Snapshot,
    /// Head's `own:`.
    pub own: &'a Ownership,
    /// Base's `own:`; with a base and without this, nothing is taken away.
    pub own_base: Option<&'a Ownership>,
    /// People, and whether all were read.
    pub inventory: &'a Inventory,
    /// What nobody may have together: base's and head's.
    pub apart: &'a [Apart],
    /// What has changed hands since it was locked.
    pub strangers: &'a Strangers,
    /// The kinds of each instance.
    pub schemas: &'a Schemas,
    /// Drift that these pick becomes changes that need approval like a request.
    pub revert: &'a [Pattern],
    /// Whether what was given by hand is taken away as a standing change.
    pub heal: Heal,
    /// How long a mover keeps what he had.
    pub handover: SignedDuration,
    /// The instant that H and B were worked out for.
    pub now: Timestamp,
}

/// What must change, why, and in which order.
pub fn draft(input: &Input<'_>) -> Draft {
    // What was read from files or gathered from many places is in order unless someone was careless.
    let live = in_order(input.live, |live| live.grants.is_in_order(), Snapshot::normalize);
    let is_in_order = |demand: &Demand| demand.grants.is_in_order();
    let demand = input.demand.map(|demand| in_order(demand, is_in_order, Demand::normalize));
    let input = &Input { live: &live, demand: demand.as_deref(), ..*input };

    let mut out = Draft::default();
    let facts = facts::Facts::new(input);

    let resources = resources::compare(&facts, &mut out);
    let settled = hold::resources(&facts, resources, &mut out.held);

    let edges = edges::compare(&facts, &settled, &mut out);
    let mut changes = settled.changes;
    let mut waiting = hold::Waiting::default();
    for change in edges {
        match hold::edge(&facts, &change, &settled.making, &mut waiting) {
            Some(reason) => out.held.push(reason.hold(change)),
            None => changes.push(change),
        }
    }
    waiting.report(&mut out.findings);

    tally::resources(&facts, &mut out);
    risk::judge(&facts, &mut changes, &mut out);
    let resting = order::requires(&mut changes, input.schemas, input.apart);
    out.changes = order::sort(&facts, changes, &resting, &mut out.findings);
    out.held.sort_by(|a, b| proposal::place(&a.change).cmp(&proposal::place(&b.change)));
    out.drift.sort_by(|a, b| proposal::place(&a.change).cmp(&proposal::place(&b.change)));
    out.findings.sort();
    out.findings.dedup();
    out
}

/// What has its edges in the order of their keys.
fn in_order<T: Clone>(
    whole: &T,
    is_in_order: impl FnOnce(&T) -> bool,
    sort: impl FnOnce(&mut T),
) -> Cow<'_, T> {
    if is_in_order(whole) {
        return Cow::Borrowed(whole);
    }
    let mut whole = whole.clone();
    sort(&mut whole);
    Cow::Owned(whole)
}
