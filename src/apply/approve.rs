//! What is still approved: the approved plan against a fresh one, and the permit that comes of it.
//!
//! Invariant: every request effect of the fresh plan is (what remains of) an approved one, every waiver it uses was
//! approved, and every approved change is still there, held, or seen to be true; otherwise nothing is written at all (exit 4).
//! It must not read the clock, files or providers: it compares values.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{EXPIRED, FINISHED, MISSING, MOVED, NO_APPROVAL, NOT_APPROVED};
use crate::model::{
    Address, Approval, Attributes, Cause, Change, Coverage, Digest, Finding, GrantKey, Guard, Name, Op,
    Permit, Plan, Snapshot, Value, Verdict, Why,
};

mod containment;

pub use containment::only_takes_away;

/// Why nothing of a plan may be applied: every reason, for people. The run ends with exit code 4.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// At least one.
    pub reasons: Vec<Finding>,
}

/// A fresh plan whose effects are approved. Only [`reconcile`] makes it.
#[must_use]
#[derive(Debug, Clone)]
pub struct Cleared<'a> {
    approved: &'a Plan,
    fresh: &'a Plan,
    refused: BTreeMap<Digest, String>,
}

impl Cleared<'_> {
    /// The plan that was approved; journal and report are kept under its id.
    pub fn approved(&self) -> &Plan {
        self.approved
    }

    /// The plan to execute.
    pub fn fresh(&self) -> &Plan {
        self.fresh
    }

    /// The fresh changes that may not be written, because what they rest on has changed since the approval, or because
    /// they require one of those; with the reason.
    #[must_use]
    pub fn refused(&self) -> &BTreeMap<Digest, String> {
        &self.refused
    }

    /// Leave to write what the gate allowed of the fresh plan, if the approval is one for it.
    pub fn permit(&self, verdict: Verdict, approval: Approval) -> Result<Permit, Box<Finding>> {
        let requests = self.fresh.changes.iter().filter(|change| needs_approval(change)).count();
        let refuse = |message: String| Err(Box::new(Finding::error(NO_APPROVAL, message)));
        match &approval {
            Approval::Simulated if !(self.approved.simulated && self.fresh.simulated) => {
                refuse("not everything in this plan is simulated, so its effects need approval".into())
            }
            // A standing run has base's waivers alone, and those were approved with base.
            Approval::Standing if !self.fresh.waived.is_empty() && !self.approved.selection.standing => {
                refuse(format!("waiver `{}` is used, and has to be approved", self.fresh.waived[0].name))
            }
            Approval::Standing if !self.fresh.amended.is_empty() => refuse(format!(
                "{} is otherwise than base has it, and that has to be approved",
                self.fresh.amended[0]
            )),
            Approval::Standing if requests > 0 => {
                refuse(format!("{requests} changes are requests, which do not run as standing changes"))
            }
            Approval::Containment(person) => refuse(format!(
                "a containment of `{person}` is approved by what is in it, and in no other way"
            )),
            // Whatever was found out about approvals, nothing is written that none of them covers.
            Approval::Reviewed(reviewed) => {
                let covered: BTreeSet<&Digest> = reviewed.effects().collect();
                let changes = self.fresh.changes.iter().filter(|change| needs_approval(change));
                let effects = changes.map(|change| &change.effect);
                let waivers = self.fresh.waived.iter().map(|waived| &waived.effect);
                let documents = self.fresh.amended.iter().map(|amended| &amended.effect);
                match effects.chain(waivers).chain(documents).find(|effect| !covered.contains(effect)) {
                    Some(effect) => refuse(format!("effect `{}` is covered by no approval", effect.short())),
                    None => Ok(Permit::new(verdict, approval)),
                }
            }
            Approval::Operator(effect) if *effect != self.approved.effect => refuse(format!(
                "`{}` was approved, and the plan's effect is `{}`",
                effect.short(),
                self.approved.effect.short()
            )),
            _ => Ok(Permit::new(verdict, approval)),
        }
    }
}

/// How the effects of a plan are approved: not at all where all is simulated or nothing is requested, else by the effect
/// that the operator typed, where settings allow that.
pub fn approval(
    approved: &Plan,
    operator_allowed: bool,
    typed: Option<&str>,
) -> Result<Approval, Box<Finding>> {
    if approved.simulated {
        return Ok(Approval::Simulated);
    }
    // Without approval what is queued stays queued, and the other standing changes go on.
    let documents = !approved.amended.is_empty();
    let requests = approved.changes.iter().any(needs_approval) || !approved.waived.is_empty() || documents;
    if approved.effects.is_empty() || (typed.is_none() && !requests) {
        return Ok(Approval::Standing);
    }
    let refuse = |message: String, help: &str| Err(Box::new(Finding::error(NO_APPROVAL, message).help(help)));
    let count = approved.effects.len();
    let Some(typed) = typed else {
        return refuse(
            format!("{count} effects need approval, and there is none"),
            if operator_allowed {
                "read the plan, then type its effect after `--approve`"
            } else {
                "name the forge (`forge:` in `rolecall.yaml`), or signed statements (`--approval FILE`); see docs/approvals.md"
            },
        );
    };
    if !operator_allowed {
        return refuse(
            "`--approve` counts for nothing, because settings do not let the operator approve".into(),
            "`approvals.operator: allowed` in `rolecall.yaml`, once merged, would",
        );
    }
    let effect = &approved.effect;
    if typed == effect.as_str()
        || typed == effect.short()
        || effect.as_str().strip_prefix("sha256:") == Some(typed)
    {
        return Ok(Approval::Operator(effect.clone()));
    }
    refuse(
        format!("`{typed}` is not the effect of this plan, which is `{}`", effect.short()),
        "read the plan again: it may have changed",
    )
}

/// Compares what was approved with what a fresh plan wants. `live` is what the fresh plan was made from; `finished` and
/// `begun` (the targets of what an earlier run of it began to write) are what the approved plan's journal tells.
pub fn reconcile<'a>(
    approved: &'a Plan,
    fresh: &'a Plan,
    live: &Snapshot,
    now: Timestamp,
    finished: bool,
    begun: &BTreeSet<&str>,
) -> Result<Cleared<'a>, Stale> {
    let mut reasons = Vec::new();
    if finished {
        let message = format!("plan `{}` was carried out already", approved.id);
        reasons.push(Finding::error(FINISHED, message).help("run `rolecall plan` for a new one"));
    }
    if Guard::TimeToLive.holds() && approved.expires <= now {
        let message = format!("plan `{}` expired at {}", approved.id, approved.expires);
        reasons.push(Finding::error(EXPIRED, message).help("run `rolecall plan` for a new one"));
    }
    // What waited for something queued was approved with it.
    let queued = approved.held.iter().filter(|held| held.why == Why::Queued).map(|held| &held.change);
    let asked = by_target(approved.changes.iter().chain(queued));
    let wanted = by_target(fresh.changes.iter());
    for change in fresh.changes.iter().filter(|change| needs_approval(change)) {
        let candidates = asked.get(&target(change)).map_or(&[][..], Vec::as_slice);
        let origin = candidates.iter().find(|approved| remains_of(change, approved));
        if origin.is_none_or(|approved| approved.risk < change.risk) {
            let message = match origin {
                None => format!("{} `{}` was not approved", change.op, change.target()),
                Some(approved) => format!(
                    "{} `{}` was approved as of {} risk, and is of {}",
                    change.op,
                    change.target(),
                    approved.risk,
                    change.risk
                ),
            };
            reasons.push(
                Finding::error(NOT_APPROVED, message)
                    .at(&change.reason.span)
                    .about(&change.address)
                    .help("run `rolecall plan`, and have the new plan approved"),
            );
        }
    }
    // A waiver that is not needed any more has nothing to be true of.
    let waived: BTreeSet<&Digest> = approved.waived.iter().map(|waived| &waived.effect).collect();
    for waiver in fresh.waived.iter().filter(|waiver| !waived.contains(&waiver.effect)) {
        let message = format!("waiver `{}` ({}) was not approved", waiver.name, waiver.code);
        reasons.push(
            Finding::error(NOT_APPROVED, message)
                .at(&waiver.span)
                .help("run `rolecall plan`, and have the new plan approved"),
        );
    }
    let amended: BTreeSet<&Digest> = approved.amended.iter().map(|amended| &amended.effect).collect();
    for document in fresh.amended.iter().filter(|document| !amended.contains(&document.effect)) {
        reasons.push(
            Finding::error(NOT_APPROVED, format!("what {document} says was not approved"))
                .at(&document.span)
                .help("run `rolecall plan`, and have the new plan approved"),
        );
    }
    let held: BTreeSet<_> = fresh.held.iter().map(|held| target(&held.change)).collect();
    for change in approved.changes.iter().filter(|change| needs_approval(change)) {
        let target = target(change);
        if wanted.contains_key(&target) || held.contains(&target) || is_true(change, live) {
            continue;
        }
        let message = format!(
            "{} `{}` was approved; it is not so, and is not wanted any more",
            change.op,
            change.target()
        );
        reasons.push(
            Finding::error(MISSING, message)
                .at(&change.reason.span)
                .about(&change.address)
                .help("run `rolecall plan`, and have the new plan approved"),
        );
    }
    if !Guard::Approved.holds() {
        return Ok(Cleared { approved, fresh, refused: BTreeMap::new() });
    }
    if !reasons.is_empty() {
        return Err(Stale { reasons });
    }
    let refused = refused(&asked, fresh, begun);
    Ok(Cleared { approved, fresh, refused })
}

/// Which approved effect each fresh one is what remains of, where that is another one: a creation that has become an update
/// since an earlier run of the same plan began it.
#[must_use]
pub fn stands_for(approved: &Plan, fresh: &Plan) -> BTreeMap<Digest, Digest> {
    let asked = by_target(approved.changes.iter());
    let of = |change: &Change| {
        let candidates = asked.get(&target(change))?;
        let origin = candidates.iter().find(|approved| remains_of(change, approved))?;
        (origin.effect != change.effect).then(|| (change.effect.clone(), origin.effect.clone()))
    };
    fresh.changes.iter().filter(|change| needs_approval(change)).filter_map(of).collect()
}

type Target<'a> = (&'a Address, Option<&'a GrantKey>);

fn target(change: &Change) -> Target<'_> {
    (&change.address, change.grant.as_ref())
}

/// Standing changes carry the approval of the rule that moved them, and what `heal:` takes away carries that of the
/// settings. Only those that are requests need one of their own; they are what the effect digest is made of.
fn needs_approval(change: &Change) -> bool {
    change.cause == Cause::Request
}

fn by_target<'a>(changes: impl Iterator<Item = &'a Change>) -> BTreeMap<Target<'a>, Vec<&'a Change>> {
    let mut targets: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for change in changes.filter(|change| needs_approval(change)) {
        targets.entry(target(change)).or_default().push(change);
    }
    targets
}

/// Whether a fresh change does nothing that this approved one, of the same target, would not have done.
fn remains_of(fresh: &Change, approved: &Change) -> bool {
    if fresh.effect == approved.effect {
        return true;
    }
    // Until when something is given is part of what was approved.
    if !fresh.op.is_removal() && fresh.until != approved.until {
        return false;
    }
    let at_approved = |fields: &BTreeSet<Name>| {
        fields.iter().all(|field| value(&fresh.after, field) == value(&approved.after, field))
    };
    match (approved.op, fresh.op) {
        (Op::Create, Op::Create) | (Op::Grant, Op::Grant) => fresh.after == approved.after,
        (Op::Create | Op::Grant, Op::Update) => at_approved(&fresh.fields),
        (Op::Update, Op::Update) => fresh.fields.is_subset(&approved.fields) && at_approved(&fresh.fields),
        (Op::Create | Op::Grant | Op::Update | Op::Adopt, Op::Adopt) => true,
        (Op::Delete, Op::Delete) => {
            fresh.dependents.iter().all(|dependent| approved.dependents.contains(dependent))
        }
        (Op::Revoke, Op::Revoke) | (Op::Forget, Op::Forget) => true,
        _ => false,
    }
}

/// What must not be written because live is no longer what the approved plan saw; with all that requires it.
fn refused(
    asked: &BTreeMap<Target<'_>, Vec<&Change>>,
    fresh: &Plan,
    begun: &BTreeSet<&str>,
) -> BTreeMap<Digest, String> {
    let mut refused = BTreeMap::new();
    for change in fresh.changes.iter().filter(|change| needs_approval(change)) {
        let same = |approved: &&&Change| approved.op == change.op;
        let approved = asked.get(&target(change)).and_then(|changes| changes.iter().find(same));
        if let Some(moved) =
            approved.and_then(|approved| moved(change, approved, begun.contains(change.target().as_str())))
        {
            let text = format!("{}: {moved} since the plan was approved", MOVED.code);
            refused.insert(change.effect.clone(), text);
        }
    }
    // Plans are short chains: a few rounds reach everything that waits for what is refused.
    loop {
        let waiting: Vec<(Digest, String)> = fresh
            .changes
            .iter()
            .filter(|change| !refused.contains_key(&change.effect))
            .filter_map(|change| {
                let blocker = change.requires.iter().find(|effect| refused.contains_key(*effect))?;
                let blocker = fresh.changes.iter().find(|change| change.effect == *blocker)?;
                let text = format!("waits for {} `{}`, which is refused", blocker.op, blocker.target());
                Some((change.effect.clone(), text))
            })
            .collect();
        if waiting.is_empty() {
            return refused;
        }
        refused.extend(waiting);
    }
}

/// What has changed under an approved update or deletion, in words. Where an earlier run has begun it, our own interrupted
/// write may have brought a value part of the way, and that is no surprise.
fn moved(fresh: &Change, approved: &Change, begun: bool) -> Option<String> {
    let fields: BTreeSet<Name> = match fresh.op {
        Op::Update => fresh.fields.clone(),
        Op::Delete => {
            let names = |side: &Option<Attributes>| -> BTreeSet<Name> {
                side.iter().flat_map(|s| s.keys().cloned()).collect()
            };
            let (fresh, approved): (BTreeSet<Name>, BTreeSet<Name>) =
                (names(&fresh.before), names(&approved.before));
            fresh.union(&approved).cloned().collect()
        }
        _ => return None,
    };
    let changed: Vec<String> = fields
        .iter()
        .filter(|field| {
            let now = value(&fresh.before, field);
            let then = value(&approved.before, field);
            let after = value(&approved.after, field);
            now != then && !(begun && is_between(now, then, after))
        })
        .map(|field| format!("`{field}`"))
        .collect();
    if changed.is_empty() { None } else { Some(format!("{} changed", changed.join(", "))) }
}

/// Whether a value can have been met on the way from one to the other.
fn is_between(value: &Value, before: &Value, after: &Value) -> bool {
    if value == before || value == after || (value.is_empty() && (before.is_empty() || after.is_empty())) {
        return true;
    }
    match value {
        Value::Map(map) => {
            let side =
                |side: &Value, key| side.as_map().and_then(|map| map.get(key)).cloned().unwrap_or_default();
            map.iter().all(|(key, item)| *item == side(before, key) || *item == side(after, key))
        }
        Value::List(items) => {
            let has = |side: &Value, item| side.as_list().is_some_and(|items| items.contains(item));
            items.iter().all(|item| has(before, item) || has(after, item))
        }
        _ => false,
    }
}

fn value<'a>(side: &'a Option<Attributes>, field: &str) -> &'a Value {
    static NOTHING: Value = Value::Null;
    side.as_ref().and_then(|attributes| attributes.get(field)).unwrap_or(&NOTHING)
}

/// Whether what a change would do is seen to be so already. What was not read whole proves no absence.
pub(super) fn is_true(change: &Change, live: &Snapshot) -> bool {
    let whole = |coverage: Option<&Coverage>| coverage == Some(&Coverage::Complete);
    let is_gone = |address: &Address| {
        !address.is_reserved() && !live.resources.contains_key(address) && whole(live.coverage_of(address))
    };
    let there = match &change.grant {
        Some(key) => live.grant(key).map(|edge| &edge.attributes),
        None => live.resources.get(&change.address).map(|resource| &resource.attributes),
    };
    match change.op {
        Op::Create | Op::Grant | Op::Update | Op::Adopt => there.is_some_and(|there| agrees(change, there)),
        Op::Delete => is_gone(&change.address),
        Op::Revoke => change.grant.as_ref().is_some_and(|key| {
            let read =
                || whole(live.coverage_of_grant(key)) || is_gone(&key.resource) || is_gone(&key.principal);
            there.is_none() && read()
        }),
        Op::Forget => true,
    }
}

/// Whether live attributes are what a change wants: an update's fields, of anything else all that it manages.
fn agrees(change: &Change, live: &Attributes) -> bool {
    let wanted = change.after.iter().flatten();
    let mut wanted = wanted.filter(|(name, _)| change.op != Op::Update || change.fields.contains(*name));
    let holds = |name: &str, wanted: &Value| match (live.get(name), wanted) {
        (None, wanted) => wanted.is_empty(),
        // Maps such as tags are owned key by key: others may have added theirs.
        (Some(Value::Map(live)), Value::Map(wanted)) => {
            wanted.iter().all(|(key, wanted)| live.get(key) == Some(wanted))
        }
        (Some(live), wanted) => live == wanted || (live.is_empty() && wanted.is_empty()),
    };
    let gone = |name: &str| !change.after.as_ref().is_some_and(|after| after.contains_key(name));
    wanted.all(|(name, wanted)| holds(name, wanted))
        && change.fields.iter().filter(|name| gone(name)).all(|name| holds(name, &Value::Null))
}

/// Whether live is on the way from what a change saw to what it wants, so that writing it (again) is safe.
pub(super) fn is_on_the_way(change: &Change, live: &Snapshot) -> bool {
    let there = match &change.grant {
        Some(key) => live.grant(key).map(|edge| &edge.attributes),
        None => live.resources.get(&change.address).map(|resource| &resource.attributes),
    };
    let Some(there) = there else { return change.op != Op::Update };
    let fields: BTreeSet<&Name> = match change.op {
        Op::Update => change.fields.iter().collect(),
        _ => change.before.iter().chain(&change.after).flat_map(BTreeMap::keys).collect(),
    };
    fields.into_iter().all(|field| {
        let (before, after) = (value(&change.before, field), value(&change.after, field));
        let mut now = there.get(field).cloned().unwrap_or_default();
        if let Value::Map(map) = &mut now {
            // Keys that the change does not know are somebody else's: maps such as tags are owned key by key.
            let knows = |side: &Value, key: &Name| side.as_map().is_some_and(|map| map.contains_key(key));
            map.retain(|key, _| knows(before, key) || knows(after, key));
        }
        is_between(&now, before, after)
    })
}

#[cfg(test)]
mod tests;
