//! What is live and not ours: outside `own`, or inside it and never declared. Counted and shown, never touched.
//!
//! Invariant: whatever is counted here is in no change and no drift.
//! It must not list: a few examples are enough, the rest is a number.

use std::collections::BTreeSet;

use crate::model::snapshot::length;
use crate::model::{Address, Collection, Desired, Draft, GrantKey, May, Tally};

use super::facts::{Facts, plural};

/// How many examples are named.
const EXAMPLES: usize = 5;

/// Counts an edge. Edges come in the order of their keys.
pub(super) fn grant(tally: &mut Tally, key: &GrantKey) {
    let side = if key.resource.is_reserved() { &key.principal } else { &key.resource };
    match tally.grants.get_mut(side.instance()) {
        Some(count) => *count += 1,
        None => {
            tally.grants.insert(side.instance().to_owned(), 1);
        }
    }
    if tally.examples.len() < EXAMPLES {
        tally.examples.push(key.to_string());
    }
}

/// Counts the resources. Those are better examples than edges.
pub(super) fn resources(facts: &Facts<'_>, out: &mut Draft) {
    let input = facts.input;
    let (head, base) = (input.head, input.base.into_iter().flat_map(|base| &base.resources));
    let base = base.filter(|(_, wanted)| wanted.declared).map(|(address, _)| address);
    let claimed = head.claims.keys().map(Collection::owner);
    let mut declared: Vec<&Address> =
        head.resources.keys().chain(head.named.keys()).chain(base).chain(claimed).collect();
    declared.sort();
    // Both lists are in order, so that nothing needs to be looked up.
    let mut declared = declared.into_iter().peekable();
    let (mut unmanaged, mut unclaimed) = (Vec::new(), Vec::new());
    // Neighbours are mostly of one kind.
    let (mut start, mut of_kind) = (String::new(), "");
    for address in input.live.resources.keys() {
        while declared.next_if(|other| *other < address).is_some() {}
        if declared.peek() == Some(&address) {
            continue;
        }
        if start.is_empty() || !address.as_str().starts_with(&start) {
            (start, of_kind) = (start_of(address), plural(input, address));
        }
        if input.own.may(address, of_kind) == May::Look {
            unmanaged.push(address);
        } else {
            unclaimed.push(address);
        }
    }
    // What head's edges touch is wanted, even where nobody names it: the principals of people.
    let touched = touched(head, &unclaimed);
    unclaimed.retain(|address| !touched.contains(address));
    count(facts, &mut out.unmanaged, &unmanaged);
    count(facts, &mut out.unclaimed, &unclaimed);
}

/// Which of these, sorted, are ends of what is wanted.
fn touched<'a>(head: &Desired, addresses: &[&'a Address]) -> BTreeSet<&'a Address> {
    let principals = head.grants.from(addresses.iter().copied()).into_iter().map(|(_, end)| &end.principal);
    let resources = head.grants.runs().iter().map(|run| &run.resource);
    let found = principals.chain(resources).filter_map(|end| addresses.binary_search(&end).ok());
    found.map(|at| addresses[at]).collect()
}

/// Those of sorted addresses that lie between two; most runs of edges have none of them.
pub(super) fn between<'s, 'a>(
    addresses: &'s [&'a Address],
    [first, last]: [&Address; 2],
) -> Option<&'s [&'a Address]> {
    let from = addresses.partition_point(|address| *address < first);
    let rest = addresses.get(from..)?;
    rest.get(..rest.partition_point(|address| *address <= last)).filter(|between| !between.is_empty())
}

/// How the addresses of all things of one kind in one place begin.
fn start_of(address: &Address) -> String {
    match address.kind() {
        "" => format!("{}:", address.place()),
        kind => format!("{}:{kind}/", address.place()),
    }
}

fn count(facts: &Facts<'_>, tally: &mut Tally, addresses: &[&Address]) {
    let mut rest = addresses;
    while let Some(first) = rest.first() {
        let start = start_of(first);
        let (alike, others) = rest.split_at(length(rest, |other| other.as_str().starts_with(&start)));
        rest = others;
        let name = format!("{} {}", first.instance(), plural(facts.input, first));
        *tally.resources.entry(name).or_default() += alike.len() as u64;
    }
    let mut examples: Vec<String> = addresses.iter().take(EXAMPLES).map(ToString::to_string).collect();
    examples.append(&mut tally.examples);
    examples.truncate(EXAMPLES);
    examples.sort();
    tally.examples = examples;
}
