//! In which order: a graph of what must be done before what, and a fixed order where that leaves a choice.
//!
//! What is created comes before what refers to it or grants on it; what is deleted comes last, after what referred to it.
//! Among what is free: those who are gone lose access first, then resources are made, grants given, grants taken away.
//! So whoever moves has the new before he loses the old, except where the two are kept apart.
//! Invariant: the order depends on the changes only. A cycle is a finding, never a panic.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::model::plan::Standing;
use crate::model::{Address, Apart, Change, Finding, Op, Schemas};

use super::CYCLE;
use super::facts::Facts;
use super::hold::references;
use super::proposal::place;

/// Writes into each change what it requires; gives back the same as pairs of positions, (first, then).
pub(super) fn requires(changes: &mut [Change], schemas: &Schemas, apart: &[Apart]) -> Vec<(usize, usize)> {
    let mut pairs = pairs(changes, schemas);
    for apart in apart {
        pairs.extend(one_side_first(changes, apart));
    }
    pairs.sort_unstable();
    pairs.dedup();
    for (first, then) in &pairs {
        let effect = changes[*first].effect.clone();
        changes[*then].requires.insert(effect);
    }
    pairs
}

fn pairs(changes: &[Change], schemas: &Schemas) -> Vec<(usize, usize)> {
    let by_op = |op: Op| -> HashMap<&Address, usize> {
        let of_op = changes.iter().enumerate().filter(|(_, change)| change.op == op);
        of_op.map(|(index, change)| (&change.address, index)).collect()
    };
    let (created, deleted) = (by_op(Op::Create), by_op(Op::Delete));
    let mut pairs = BTreeSet::new();
    for (index, change) in changes.iter().enumerate() {
        if let Some(key) = &change.grant {
            // What an edge binds may be a thing of its own: a role that a policy names.
            let relation = key.named();
            for end in [&key.resource, &key.principal].into_iter().chain(&relation) {
                match change.op {
                    Op::Grant | Op::Update => pairs.extend(created.get(end).map(|first| (*first, index))),
                    Op::Revoke => pairs.extend(deleted.get(end).map(|then| (index, *then))),
                    Op::Create | Op::Delete | Op::Adopt | Op::Forget => {}
                }
            }
            continue;
        }
        let named = |attributes: &Option<crate::model::Attributes>| {
            attributes.as_ref().map(|a| references(schemas, &change.address, a)).unwrap_or_default()
        };
        if !change.op.writes() {
            continue;
        }
        let (before, after) = (named(&change.before), named(&change.after));
        pairs.extend(after.iter().filter_map(|address| created.get(address)).map(|first| (*first, index)));
        let dropped = before.difference(&after).filter_map(|address| deleted.get(address));
        pairs.extend(dropped.map(|then| (index, *then)));
    }
    pairs.retain(|(first, then)| first != then);
    pairs.into_iter().collect()
}

/// Where somebody goes from one side of what is kept apart to another, he loses the one before he gets the other.
fn one_side_first<'a>(changes: &'a [Change], apart: &Apart) -> Vec<(usize, usize)> {
    type Of<'c> = HashMap<&'c Address, Vec<(usize, BTreeSet<usize>)>>;
    let (mut granted, mut revoked) = (Of::new(), Of::new());
    // Whose principals those are that lose something with what is deleted.
    let whose = |change: &'a Change| Some((&change.grant.as_ref()?.principal, change.subject.as_ref()?));
    let people: HashMap<&Address, &Address> = changes.iter().filter_map(whose).collect();
    for (index, change) in changes.iter().enumerate() {
        let of_op = match change.op {
            Op::Grant => &mut granted,
            Op::Revoke => &mut revoked,
            Op::Delete => {
                let sides = apart.sides_of(&change.address, std::iter::empty());
                for person in change.losers().filter_map(|principal| people.get(&principal).copied()) {
                    if !sides.is_empty() {
                        revoked.entry(person).or_default().push((index, sides.clone()));
                    }
                }
                continue;
            }
            _ => continue,
        };
        let sides = apart.sides_of(&change.address, change.roles());
        if let Some(person) = change.subject.as_ref().filter(|_| !sides.is_empty()) {
            of_op.entry(person).or_default().push((index, sides));
        }
    }
    let mut pairs = Vec::new();
    for (person, grants) in granted {
        for (then, to) in &grants {
            let others = revoked.get(person).into_iter().flatten().filter(|(_, from)| from.is_disjoint(to));
            pairs.extend(others.map(|(first, _)| (*first, *then)));
        }
    }
    pairs
}

/// The changes in the order of execution.
pub(super) fn sort(
    facts: &Facts<'_>,
    changes: Vec<Change>,
    pairs: &[(usize, usize)],
    findings: &mut Vec<Finding>,
) -> Vec<Change> {
    let mut graph = DiGraph::<(), ()>::with_capacity(changes.len(), pairs.len());
    for _ in &changes {
        graph.add_node(());
    }
    for (first, then) in pairs {
        graph.add_edge(NodeIndex::new(*first), NodeIndex::new(*then), ());
    }
    let rank = |index: usize| (phase(facts, &changes[index]), place(&changes[index]));
    let mut open: Vec<usize> = graph
        .node_indices()
        .map(|node| graph.neighbors_directed(node, Direction::Incoming).count())
        .collect();
    let mut ready: BinaryHeap<Reverse<_>> = (0..changes.len())
        .filter(|index| open[*index] == 0)
        .map(|index| Reverse((rank(index), index)))
        .collect();
    let mut order = Vec::with_capacity(changes.len());
    while let Some(Reverse((_, index))) = ready.pop() {
        order.push(index);
        for next in graph.neighbors(NodeIndex::new(index)) {
            open[next.index()] -= 1;
            if open[next.index()] == 0 {
                ready.push(Reverse((rank(next.index()), next.index())));
            }
        }
    }
    if order.len() < changes.len() {
        for cycle in tarjan_scc(&graph).into_iter().filter(|nodes| nodes.len() > 1) {
            let mut targets: Vec<String> =
                cycle.into_iter().map(|node| format!("`{}`", changes[node.index()].target())).collect();
            targets.sort();
            let message = format!("these changes wait for each other: {}", targets.join(", "));
            findings.push(
                Finding::error(CYCLE, message)
                    .help("let one of them refer to none of the others, apply, then add the reference"),
            );
        }
        let done: BTreeSet<usize> = order.iter().copied().collect();
        let mut rest: Vec<usize> = (0..changes.len()).filter(|index| !done.contains(index)).collect();
        rest.sort_by_key(|index| rank(*index));
        order.extend(rest);
    }
    let mut changes: Vec<Option<Change>> = changes.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| changes[index].take()).collect()
}

/// What comes first where the graph leaves a choice.
fn phase(facts: &Facts<'_>, change: &Change) -> u8 {
    let gone = || {
        change.standing == Some(Standing::Leaver)
            || change.subject.as_ref().is_some_and(|person| facts.gone(person).is_some())
    };
    match (change.op, &change.grant) {
        (Op::Revoke, _) if gone() => 0,
        (Op::Adopt | Op::Create | Op::Update, None) => 1,
        (Op::Grant | Op::Update | Op::Create | Op::Adopt, _) => 2,
        (Op::Revoke, _) => 3,
        (Op::Delete, _) => 4,
        (Op::Forget, _) => 5,
    }
}
