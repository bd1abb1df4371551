//! Which changes can begin: those whose blockers are done, as many as their lanes have room for, in the plan's order.
//!
//! Invariant: no lane has more under way than its width, no two changes of one key overlap, and who moves is given the new
//! before the old is taken. It must not run anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::guard::Guard;
use crate::model::plan::Standing;
use crate::model::{Address, Cause, Change, Digest, Name, Op};
use crate::provider::Lane;

/// How many changes one batch has at most, so that memory stays bounded.
const BATCH: usize = 1000;

/// What has begun, what can, and what must wait.
pub(super) struct Schedule {
    /// By node: those that must be done before. Nodes are the changes, and after them the turns of whoever moves.
    blockers: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
    /// By node: how many of its blockers are not done.
    open: Vec<usize>,
    /// By change: where it queues.
    places: Vec<Place>,
    queues: Vec<Queue>,
    /// The keys that are taken.
    taken: BTreeMap<Name, Key>,
}

/// A key that a change has, or may take next.
struct Key {
    holder: usize,
    waiting: BTreeSet<usize>,
}

struct Place {
    queue: usize,
    batch: Option<Name>,
    alone: Option<Name>,
}

/// The changes of one lane, or those of them that are set apart.
pub(super) struct Queue {
    /// The provider.
    pub(super) instance: Name,
    /// The lane's name.
    pub(super) lane: Name,
    /// How many of its changes have not ended.
    pub(super) rest: usize,
    /// How many calls are under way; a batch is one.
    pub(super) under_way: usize,
    width: usize,
    /// In the order of the plan.
    ready: BTreeSet<usize>,
}

impl Queue {
    /// Whether both share a limit.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.instance == other.instance && self.lane == other.lane
    }
}

impl Schedule {
    /// A schedule of changes, each of which queues where `lane` says, at the provider that it says; those that it sets
    /// apart share their lane's limit with the others, and nothing else.
    pub(super) fn new<'a>(changes: &'a [Change], lane: impl Fn(&'a Change) -> (&'a str, Lane, bool)) -> Self {
        let mut indices: BTreeMap<&Digest, Vec<usize>> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate() {
            indices.entry(&change.effect).or_default().push(index);
        }
        // What is required and not in the plan is true already.
        let mut blockers: Vec<Vec<usize>> = changes
            .iter()
            .map(|change| change.requires.iter().filter_map(|e| indices.get(e)).flatten().copied().collect())
            .collect();
        if Guard::Order.holds() {
            take_turns(changes, &mut blockers);
            delete_last(changes, &mut blockers);
        }
        let mut dependents = vec![Vec::new(); blockers.len()];
        for (node, blockers) in blockers.iter().enumerate() {
            for blocker in blockers {
                dependents[*blocker].push(node);
            }
        }
        let mut known: BTreeMap<(&str, Name, bool), usize> = BTreeMap::new();
        let (mut places, mut queues) = (Vec::with_capacity(changes.len()), Vec::<Queue>::new());
        for change in changes {
            let (instance, Lane { name, width, batch, alone }, apart) = lane(change);
            let queue = *known.entry((instance, name.clone(), apart)).or_insert_with(|| {
                let (instance, ready) = (instance.into(), BTreeSet::new());
                queues.push(Queue { instance, lane: name, rest: 0, under_way: 0, width, ready });
                queues.len() - 1
            });
            queues[queue].rest += 1;
            let alone = alone.map(|key| format!("{instance} {key}").into());
            places.push(Place { queue, batch, alone });
        }
        let open = blockers.iter().map(Vec::len).collect();
        let mut schedule = Self { blockers, dependents, open, places, queues, taken: BTreeMap::new() };
        for index in 0..changes.len() {
            if schedule.open[index] == 0 {
                schedule.make_ready(index);
            }
        }
        schedule
    }

    /// The lanes.
    pub(super) fn queues(&self) -> &[Queue] {
        &self.queues
    }

    /// The changes that a change waits for, itself or through a turn.
    pub(super) fn blockers(&self, node: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut nodes = vec![node];
        while let Some(node) = nodes.pop() {
            for blocker in &self.blockers[node] {
                if *blocker < self.places.len() { found.push(*blocker) } else { nodes.push(*blocker) }
            }
        }
        found.sort_unstable();
        found
    }

    /// Begins all that there is room for, in the order of the plan; what belongs to one batch together.
    pub(super) fn start(&mut self) -> Vec<Vec<usize>> {
        let mut begun = Vec::new();
        for number in 0..self.queues.len() {
            while self.queues[number].under_way < self.queues[number].width {
                let Some(first) = self.next(number) else { break };
                let mut group = vec![first];
                if let Some(batch) = self.places[first].batch.clone() {
                    let same = |index: &usize| self.places[*index].batch.as_ref() == Some(&batch);
                    let others: Vec<usize> =
                        self.queues[number].ready.iter().copied().filter(same).take(BATCH - 1).collect();
                    let others = others.into_iter().filter(|index| {
                        self.queues[number].ready.remove(index);
                        self.take_key(*index)
                    });
                    group.extend(others.collect::<Vec<_>>());
                }
                self.queues[number].under_way += 1;
                begun.push(group);
            }
        }
        begun.sort_unstable();
        begun
    }

    /// The calls of these, which began together, are over: others of the lane may begin.
    pub(super) fn leave(&mut self, group: &[usize]) {
        if let Some(first) = group.first() {
            let queue = &mut self.queues[self.places[*first].queue];
            queue.under_way = queue.under_way.saturating_sub(1);
        }
    }

    /// A change has ended.
    pub(super) fn finish(&mut self, index: usize, done: bool) {
        self.free_key(index);
        let queue = &mut self.queues[self.places[index].queue];
        queue.rest = queue.rest.saturating_sub(1);
        if done {
            self.release(index);
        }
    }

    /// A change is to be begun once more.
    pub(super) fn requeue(&mut self, index: usize) {
        self.free_key(index);
        self.make_ready(index);
    }

    fn release(&mut self, node: usize) {
        for dependent in self.dependents[node].clone() {
            self.open[dependent] -= 1;
            if self.open[dependent] > 0 {
            } else if dependent < self.places.len() {
                self.make_ready(dependent);
            } else {
                self.release(dependent);
            }
        }
    }

    fn make_ready(&mut self, index: usize) {
        self.queues[self.places[index].queue].ready.insert(index);
    }

    /// The first ready change of a lane whose key is free; it takes it.
    fn next(&mut self, queue: usize) -> Option<usize> {
        loop {
            let ready = &mut self.queues[queue].ready;
            let index = if Guard::Order.holds() { ready.pop_first()? } else { ready.pop_last()? };
            if self.take_key(index) {
                return Some(index);
            }
        }
    }

    /// Takes the key that a change needs for itself, or queues for it.
    fn take_key(&mut self, index: usize) -> bool {
        let Some(key) = &self.places[index].alone else { return true };
        if let Some(key) = self.taken.get_mut(key) {
            if key.holder != index {
                key.waiting.insert(index);
            }
            return key.holder == index;
        }
        self.taken.insert(key.clone(), Key { holder: index, waiting: BTreeSet::new() });
        true
    }

    /// Hands the key of a change on to the next in the order of the plan.
    fn free_key(&mut self, index: usize) {
        let Some(name) = &self.places[index].alone else { return };
        let Some(key) = self.taken.get_mut(name).filter(|key| key.holder == index) else { return };
        match key.waiting.pop_first() {
            Some(next) => {
                key.holder = next;
                self.make_ready(next);
            }
            None => _ = self.taken.remove(name),
        }
    }
}

/// Side by side, the order of the plan is no promise. So among the edges of one person each run of grants waits for the
/// removals that come before it in the plan, and each run of removals for the grants: whoever moves has the new before he
/// loses the old, and what must not be held together never is. What is taken from those who leave, what has expired and
/// what was given by hand waits for nothing.
fn take_turns(changes: &[Change], blockers: &mut Vec<Vec<usize>>) {
    let mut by_subject: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        let Some(edge) = &change.grant else { continue };
        let at_once = change.cause == Cause::Drift
            || matches!(change.standing, Some(Standing::Leaver | Standing::Expiry));
        if change.op.writes() && !(change.op == Op::Revoke && at_once) {
            by_subject.entry(change.subject.as_ref().unwrap_or(&edge.principal)).or_default().push(index);
        }
    }
    for indices in by_subject.values() {
        let takes = |index: &usize| changes[*index].op == Op::Revoke;
        let mut before: Option<usize> = None;
        for run in indices.chunk_by(|one, other| takes(one) == takes(other)) {
            // One node stands between two runs, so that a thousand grants and removals are not a million pairs.
            for index in run {
                blockers[*index].extend(before);
            }
            if indices.last() != run.last() {
                before = Some(blockers.len());
                blockers.push(run.to_vec());
            }
        }
    }
}

/// What hangs on a thing goes with it, so the thing goes when those who lose something by that have got what they get.
fn delete_last(changes: &[Change], blockers: &mut [Vec<usize>]) {
    let whose = |change: &Change| Some((change.grant.as_ref()?.principal.clone(), change.subject.clone()?));
    let people: BTreeMap<Address, Address> = changes.iter().filter_map(whose).collect();
    let mut grants: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate().filter(|(_, change)| change.op == Op::Grant) {
        if let Some(edge) = &change.grant {
            grants.entry(change.subject.as_ref().unwrap_or(&edge.principal)).or_default().push(index);
        }
    }
    if grants.is_empty() {
        return;
    }
    for (index, change) in changes.iter().enumerate().filter(|(_, change)| change.op == Op::Delete) {
        for principal in change.losers().collect::<BTreeSet<Address>>() {
            let person = people.get(&principal).unwrap_or(&principal);
            let waits = |at: usize| changes[at].requires.contains(&change.effect);
            let before = grants.get(person).into_iter().flatten().filter(|at| **at < index && !waits(**at));
            blockers[index].extend(before);
        }
        blockers[index].sort_unstable();
        blockers[index].dedup();
    }
}
