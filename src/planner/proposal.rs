//! Making changes: digests, causes, and what becomes of drift.
//!
//! Invariant: precondition and effect are computed here and nowhere else.
//! It must not look at ownership or coverage.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::settings::Heal;
use crate::model::{
    Address, Attributes, Cause, Change, DemandState, Digest, Draft, Drift, GrantKey, Name, Op, Origin, Risk,
};

use super::Input;

/// What a change is made of; the rest is worked out.
#[derive(Debug)]
pub(super) struct Proposal<'a> {
    pub(super) op: Op,
    pub(super) address: &'a Address,
    pub(super) grant: Option<&'a GrantKey>,
    pub(super) before: Option<Attributes>,
    pub(super) after: Option<Attributes>,
    pub(super) fields: BTreeSet<Name>,
    pub(super) dependents: Vec<String>,
    pub(super) cause: Cause,
    pub(super) reason: Origin,
    pub(super) until: Option<Timestamp>,
}

impl Proposal<'_> {
    pub(super) fn into_change(self) -> Change {
        let Self { op, address, grant, before, after, fields, dependents, cause, reason, until } = self;
        let effect = Change::effect_until(op, address, grant, after.as_ref(), &dependents, until);
        // An update rests on the fields that it changes, everything else on all that was seen.
        let rests_on: Option<Attributes> = before.as_ref().map(|before| {
            let counts = |name: &Name| op != Op::Update || fields.contains(name);
            before.iter().filter(|(name, _)| counts(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
        });
        let precondition = Digest::of(&(rests_on, &dependents));
        Change {
            op,
            address: address.clone(),
            grant: grant.cloned(),
            subject: None,
            before,
            after,
            fields,
            cause,
            standing: None,
            reason,
            also: Vec::new(),
            until,
            risk: Risk::Low,
            risk_reasons: Vec::new(),
            requires: BTreeSet::new(),
            dependents,
            precondition,
            effect,
            approved_by: None,
            taken_over: false,
        }
    }
}

/// What memory says of one thing, compared with what head wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demanded {
    /// D = H.
    pub(super) same: bool,
    pub(super) state: DemandState,
    pub(super) cause: Cause,
}

/// Why live differs from head. `demanded` is `None` where memory has no word on the thing, which is then new to it.
pub(super) fn cause(input: &Input<'_>, same_as_base: bool, demanded: Option<Demanded>) -> Cause {
    if input.base.is_none() || !same_as_base {
        return Cause::Request;
    }
    if input.demand.is_none() {
        return Cause::Drift;
    }
    match demanded {
        None | Some(Demanded { same: false, .. }) => Cause::Standing,
        Some(Demanded { state: DemandState::True, .. }) => Cause::Drift,
        Some(Demanded { cause, .. }) => cause,
    }
}

/// Whether the user asks for this drift to be put back, or settings do. Without base nothing is taken away, whoever asks.
pub(super) fn put_back(input: &Input<'_>, change: &Change) -> Option<Cause> {
    if change.op.is_removal() && input.base.is_none() {
        return None;
    }
    if input.revert.iter().any(|pattern| change.is_on(pattern)) {
        return Some(Cause::Request);
    }
    (change.op == Op::Revoke && input.heal == Heal::Revoke).then_some(Cause::Standing)
}

/// Tells a change as drift.
pub(super) fn drift(change: Change, text: &str, out: &mut Draft) {
    let digest = Digest::of(&(change.target(), &change.before, &change.after));
    let id = digest.short().chars().take(8).collect();
    out.drift.push(Drift { id, change, text: text.to_owned() });
}

/// Where a change stands among others, whatever it does.
pub(super) fn place(change: &Change) -> (&Address, Option<&GrantKey>, Op) {
    (&change.address, change.grant.as_ref(), change.op)
}
