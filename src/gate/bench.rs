//! The bench: the changes under judgement, what each takes away, and what is held so far.
//!
//! Invariant: what is held once stays held with its first reason, and takes with it all that requires it.
//! It must not decide anything itself: the guards and caps do.

use std::collections::{BTreeMap, BTreeSet};

use super::Rules;
use super::waivers::Waivers;
use crate::model::plan::Standing;
use crate::model::{
    Address, Change, Digest, GrantKey, Guard, Held, LiveGrant, Op, Snapshot, Value, Waived, Why,
};

/// The edge that makes a thing a group.
pub(super) const MEMBER: &str = "member";

/// Why a change is stopped.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) why: Why,
    pub(super) text: String,
    pub(super) remedy: Option<String>,
}

pub(super) struct Bench<'a> {
    pub(super) rules: &'a Rules<'a>,
    pub(super) changes: &'a [Change],
    /// What the planner held.
    pub(super) held: &'a [Held],
    pub(super) waivers: Waivers<'a>,
    stops: Vec<Option<Stop>>,
    /// By effect: the changes that have it.
    of_effect: BTreeMap<&'a Digest, Vec<usize>>,
    /// By effect: the changes that require it.
    dependents: BTreeMap<&'a Digest, Vec<usize>>,
    /// By change: the live edges that go with it.
    losses: Vec<Vec<&'a GrantKey>>,
    /// By resource: the changes that take edges on it or grant some.
    touching: BTreeMap<&'a Address, Vec<usize>>,
    /// Requirements that hold nobody up, because a leaver waits for nothing that may not hold him up.
    released: BTreeMap<usize, BTreeSet<Digest>>,
}

impl<'a> Bench<'a> {
    /// Seats the changes; what requires something that the planner held is held too.
    pub(super) fn new(rules: &'a Rules<'a>, changes: &'a [Change], held: &'a [Held]) -> Self {
        let mut dependents: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut of_effect: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate() {
            of_effect.entry(&change.effect).or_default().push(index);
            for effect in &change.requires {
                dependents.entry(effect).or_default().push(index);
            }
        }
        let losses = losses(changes, rules.live);
        let mut touching: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate() {
            let granted = change.grant.iter().filter(|_| change.op == Op::Grant);
            for edge in granted.chain(losses[index].iter().copied()) {
                let indices = touching.entry(&edge.resource).or_default();
                if indices.last() != Some(&index) {
                    indices.push(index);
                }
            }
        }
        let mut bench = Self {
            rules,
            changes,
            held,
            waivers: Waivers::new(rules),
            stops: vec![None; changes.len()],
            of_effect,
            dependents,
            losses,
            touching,
            released: BTreeMap::new(),
        };
        for held in bench.held {
            bench.hold_dependents(&held.change, held.why);
        }
        bench
    }

    /// Stops a change and everything that requires it. Whether that is news.
    pub(super) fn hold(&mut self, index: usize, stop: Stop) -> bool {
        if self.stops[index].is_some() {
            return false;
        }
        let why = stop.why;
        self.stops[index] = Some(stop);
        self.hold_dependents(&self.changes[index], why);
        true
    }

    fn hold_dependents(&mut self, blocker: &'a Change, why: Why) {
        let mut blockers = vec![blocker];
        while let Some(blocker) = blockers.pop() {
            // Leavers go, unless what they wait for is stopped by what may stop them.
            let stops_leavers = why <= Why::LastAdmin || self.is_leaver(blocker);
            for index in self.dependents.get(&blocker.effect).cloned().unwrap_or_default() {
                let change = &self.changes[index];
                if self.stops[index].is_some() {
                    continue;
                }
                if self.is_leaver(change) && !stops_leavers {
                    self.released.entry(index).or_default().insert(blocker.effect.clone());
                    continue;
                }
                let text = format!("waits for {} `{}`, which is held ({why})", blocker.op, blocker.target());
                self.stops[index] = Some(Stop { why, text, remedy: None });
                blockers.push(change);
            }
        }
    }

    /// The changes that nothing has stopped.
    pub(super) fn going(&self) -> impl Iterator<Item = (usize, &'a Change)> {
        self.changes.iter().enumerate().filter(|(index, _)| self.stops[*index].is_none())
    }

    /// The changes that have an effect.
    pub(super) fn of_effect(&self, effect: &Digest) -> &[usize] {
        self.of_effect.get(effect).map_or(&[], Vec::as_slice)
    }

    /// The changes that something here has stopped.
    pub(super) fn stopped(&self) -> impl Iterator<Item = &'a Change> {
        self.changes.iter().zip(&self.stops).filter(|(_, stop)| stop.is_some()).map(|(change, _)| change)
    }

    /// Those of them that take edges on a resource or grant some.
    pub(super) fn going_on(&self, resource: &Address) -> impl Iterator<Item = (usize, &'a Change)> {
        let touching = self.touching.get(resource).map_or(&[][..], Vec::as_slice);
        let going = touching.iter().filter(|index| self.stops[**index].is_none());
        going.map(|index| (*index, &self.changes[*index]))
    }

    /// The live edges that go when this change is carried out.
    pub(super) fn losses(&self, index: usize) -> &[&'a GrantKey] {
        &self.losses[index]
    }

    /// The person whom a change is about.
    pub(super) fn person(&self, change: &'a Change) -> Option<&'a Address> {
        let people = &self.rules.head.people;
        let principal = change.grant.as_ref().map_or(&change.address, |grant| &grant.principal);
        change.subject.as_ref().or_else(|| people.get(principal))
    }

    /// Whether a change takes away because someone left or is suspended. An edge of such a person counts as one whatever
    /// caused its end; a deletion only where the planner says so.
    pub(super) fn is_leaver(&self, change: &'a Change) -> bool {
        if !Guard::Leavers.holds() {
            return false;
        }
        let gone = || self.person(change).is_some_and(|person| self.rules.head.gone.contains(person));
        match change.op {
            Op::Revoke => change.standing == Some(Standing::Leaver) || gone(),
            Op::Delete | Op::Update => change.standing == Some(Standing::Leaver),
            Op::Create | Op::Grant | Op::Adopt | Op::Forget => false,
        }
    }

    /// The waivers without which some of what goes on would be held.
    pub(super) fn waived(&self) -> Vec<Waived> {
        self.waivers.used(|index| self.stops[index].is_none())
    }

    /// What is left at the end: which requirements fall away, and what is stopped.
    pub(super) fn close(self) -> (BTreeMap<usize, BTreeSet<Digest>>, Vec<Option<Stop>>) {
        (self.released, self.stops)
    }
}

/// The edges of a run that are a principal's.
pub(super) fn edges_of<'a>(
    run: &'a [LiveGrant],
    principal: &Address,
) -> impl Iterator<Item = &'a GrantKey> + use<'a> {
    let rest = &run[run.partition_point(|edge| edge.key.principal < *principal)..];
    rest[..rest.partition_point(|edge| edge.key.principal == *principal)].iter().map(|edge| &edge.key)
}

/// The access that an update takes away, counted: keys that go from a flagged map, flagged values that become nothing.
pub(super) fn stripped(rules: &Rules<'_>, change: &Change) -> u64 {
    let (Op::Update, None, Some(schema)) = (change.op, &change.grant, rules.schemas.of(&change.address))
    else {
        return 0;
    };
    let value = |side: &'_ Option<crate::model::Attributes>, field| {
        side.as_ref().and_then(|attributes| attributes.get(field)).cloned().unwrap_or_default()
    };
    let flagged = |field: &str| schema.attribute(field).is_some_and(|attribute| attribute.flags.access);
    change
        .fields
        .iter()
        .filter(|field| flagged(field))
        .map(|field| match (value(&change.before, field), value(&change.after, field)) {
            (Value::Map(before), Value::Map(after)) => {
                before.keys().filter(|key| !after.contains_key(*key)).count() as u64
            }
            (Value::Map(before), Value::Null) => before.len() as u64,
            (before, after) => u64::from(!before.is_empty() && after.is_empty()),
        })
        .sum()
}

fn losses<'a>(changes: &'a [Change], live: &'a Snapshot) -> Vec<Vec<&'a GrantKey>> {
    let deleted: BTreeMap<&Address, usize> = changes
        .iter()
        .enumerate()
        .filter(|(_, change)| change.op == Op::Delete)
        .map(|(index, change)| (&change.address, index))
        .collect();
    let mut losses: Vec<Vec<&GrantKey>> = changes
        .iter()
        .map(|change| change.grant.iter().filter(|_| change.op == Op::Revoke).collect())
        .collect();
    if !deleted.is_empty() {
        for edge in &live.grants {
            for end in [&edge.key.resource, &edge.key.principal] {
                if let Some(index) = deleted.get(end) {
                    losses[*index].push(&edge.key);
                }
            }
        }
    }
    losses
}

/// Puts changes behind what they require, and leaves them in their order otherwise.
pub(super) fn ordered(changes: Vec<Change>) -> Vec<Change> {
    let index: BTreeMap<&Digest, usize> = changes.iter().enumerate().map(|(i, c)| (&c.effect, i)).collect();
    let mut seen = vec![false; changes.len()];
    let mut order = Vec::with_capacity(changes.len());
    for start in 0..changes.len() {
        // (change, whether what it requires has been placed already)
        let mut stack = vec![(start, false)];
        while let Some((at, ready)) = stack.pop() {
            if ready {
                order.push(at);
            } else if !std::mem::replace(&mut seen[at], true) {
                stack.push((at, true));
                let required = changes[at].requires.iter().rev().filter_map(|effect| index.get(effect));
                stack.extend(required.filter(|at| !seen[**at]).map(|at| (*at, false)));
            }
        }
    }
    let mut slots: Vec<Option<Change>> = changes.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| slots[at].take()).collect()
}
