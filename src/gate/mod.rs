//! The gate: which changes of a draft may go on, and why the others may not.
//!
//! Precedence: protected > own access > last administrator > leaver > suspension > separation > caps > empty group; what the
//! planner froze stays held. Each change is judged; what is stopped is held with everything that waits for it.
//! Invariant: what goes in comes out once, as a change or as held; nothing is added and no effect is altered.
//! It must not look at anything but its arguments: no clock, no files, no providers.

use crate::model::{
    Address, Apart, Change, Code, Desired, Digest, Draft, Drift, Finding, Held, Inventory, Ruling, Schemas,
    Settings, Snapshot, Tally, Verdict, Waived, Waiver,
};
use jiff::Timestamp;
use std::collections::BTreeSet;

pub mod approvals;
mod bench;
mod caps;
mod guards;
mod own_access;
mod separation;
mod waivers;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use bench::Bench;

/// A change to what `protected:` names, or the deletion of what cannot be made again.
pub const PROTECTED: Code = Code { code: "RC401", title: "a change to what is protected" };
/// A change that takes access from the principal that applies.
pub const OWN_ACCESS: Code = Code { code: "RC402", title: "a change that takes access from whoever applies" };
/// A change that leaves too few administrators.
pub const LAST_ADMIN: Code = Code { code: "RC403", title: "a change that leaves too few administrators" };
/// More removals from one group than `limits.removals` allows.
pub const GROUP_CAP: Code = Code { code: "RC404", title: "too many removals from one group" };
/// More removals in one provider than `limits.removals` allows.
pub const PROVIDER_CAP: Code = Code { code: "RC405", title: "too many removals in one provider" };
/// More removals in one run than `limits.per_run` allows.
pub const RUN_CAP: Code = Code { code: "RC406", title: "too many removals in one run" };
/// More leavers than `limits.leavers` allows.
pub const LEAVERS_CAP: Code = Code { code: "RC407", title: "too many leavers in one run" };
/// A group that would become empty.
pub const EMPTY_GROUP: Code = Code { code: "RC408", title: "a group that would become empty" };
/// A change that only drift asks for, beyond what `heal:` allows.
pub const DRIFT_ACTS: Code = Code { code: "RC409", title: "a change that nobody asked for" };
/// A waiver that waives nothing.
pub const UNUSED_WAIVER: Code = Code { code: "RC410", title: "a waiver that waives nothing" };
/// Something protected was changed behind Git's back.
pub const PROTECTED_MOVED: Code = Code { code: "RC411", title: "something protected has changed by itself" };
/// An entry of `protected:` that names nothing.
pub const PROTECTS_NOTHING: Code =
    Code { code: "RC412", title: "an entry of `protected:` that names nothing" };
/// Somebody would have what is kept apart.
pub const SEPARATED: Code = Code { code: "RC413", title: "somebody would have what is kept apart" };
/// Somebody has what is kept apart.
pub const SEPARATED_LIVE: Code = Code { code: "RC414", title: "somebody has what is kept apart" };
/// A separation that names nothing.
pub const SEPARATES_NOTHING: Code = Code { code: "RC415", title: "a separation that names nothing" };

/// Every code of the gate.
pub const CODES: &[Code] = &[
    PROTECTED,
    OWN_ACCESS,
    LAST_ADMIN,
    GROUP_CAP,
    PROVIDER_CAP,
    RUN_CAP,
    LEAVERS_CAP,
    EMPTY_GROUP,
    DRIFT_ACTS,
    UNUSED_WAIVER,
    PROTECTED_MOVED,
    PROTECTS_NOTHING,
    SEPARATED,
    SEPARATED_LIVE,
    SEPARATES_NOTHING,
    approvals::NOT_COVERED,
    approvals::WEAK_FORGE,
];

/// What a draft is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Base's settings where there is a base, so that a merge request cannot weaken what judges it; else head's.
    pub settings: &'a Settings,
    /// What nobody may have together: base's and head's.
    pub apart: &'a [Apart],
    /// Head's waivers.
    pub waivers: &'a [Waiver],
    /// The principals that apply.
    pub callers: &'a [Address],
    /// What was seen.
    pub live: &'a Snapshot,
    /// What head asks for.
    pub head: &'a Desired,
    /// What base asks for.
    pub base: Option<&'a Desired>,
    /// People.
    pub inventory: &'a Inventory,
    /// What the kinds consist of.
    pub schemas: &'a Schemas,
    /// Effects that have been approved: standing changes among them are not queued. None while a plan is made.
    pub approved: &'a BTreeSet<Digest>,
    /// When.
    pub now: Timestamp,
}

/// The draft, judged.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// What may go on, in the order of execution.
    pub changes: Vec<Change>,
    /// What is declined for now: what the planner held, then what the gate did.
    pub held: Vec<Held>,
    /// The waivers without which some of `changes` would be held: they are effects to approve.
    pub waived: Vec<Waived>,
    /// Leave for exactly the effects of `changes`.
    pub verdict: Verdict,
    /// The draft's findings and the gate's own.
    pub findings: Vec<Finding>,
    /// The draft's.
    pub drift: Vec<Drift>,
    /// The draft's.
    pub unmanaged: Tally,
    /// The draft's.
    pub unclaimed: Tally,
}

/// Judges each change of a draft.
pub fn judge(draft: Draft, rules: &Rules<'_>) -> Judged {
    let Draft { changes, mut held, drift, unmanaged, unclaimed, mut findings } = draft;
    let mut bench = Bench::new(rules, &changes, &held);
    bench.protected();
    bench.own_access();
    while bench.last_admin() {}
    bench.separations();
    bench.caps();
    bench.empty_groups();
    bench.unasked();
    bench.standing();
    // A grant that was held just now may be the one that a removal counted on, so those two look again.
    while bench.last_admin() | bench.empty_groups() {}
    findings.extend(bench.separated());
    findings.extend(bench.waiver_findings());
    findings.extend(guards::protected_drift(rules, &drift));
    let waived = bench.waived();
    findings.extend(guards::protects_nothing(rules));
    let rests = bench.rests();
    let (released, stops) = bench.close();

    let mut going = Vec::with_capacity(changes.len());
    for (index, (mut change, stop)) in changes.into_iter().zip(stops).enumerate() {
        match stop {
            Some(stop) => held.push(Held { why: stop.why, text: stop.text, remedy: stop.remedy, change }),
            None => {
                for effect in released.get(&index).into_iter().flatten() {
                    change.requires.remove(effect);
                }
                change.requires.extend(rests.get(&index).into_iter().flatten().cloned());
                going.push(change);
            }
        }
    }
    let changes = if rests.is_empty() { going } else { bench::ordered(going) };
    let ruling = if held.iter().any(|held| held.why.denies()) { Ruling::Denied } else { Ruling::Allowed };
    let verdict = Verdict::new(ruling, changes.iter().map(|change| change.effect.clone()).collect());
    Judged { changes, held, waived, verdict, findings, drift, unmanaged, unclaimed }
}
