//! What is live and not ours: outside `own`, or inside it and never declared. Counted and shown, never touched.
//!
//! Invariant: whatever is counted here is in no change and no drift.
//! It must not list: a few examples are enough, the rest is a number.

use std::collections::{BTreeSet, HashSet};

use crate::model::{Address, Draft, GrantKey, May, Tally};

use super::facts::{Facts, Side, plural};

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
    let (mut unmanaged, mut unclaimed) = (Vec::new(), BTreeSet::new());
    for address in input.live.resources.keys() {
        let declared = input.head.resources.contains_key(address)
            || input.head.named.contains_key(address)
            || input.base.and_then(|base| base.resources.get(address)).is_some_and(|base| base.declared)
            || facts.claims_of(address);
        if declared {
            continue;
        }
        if facts.own(Side::Head, address) == May::Look {
            unmanaged.push(address);
        } else {
            unclaimed.insert(address);
        }
    }
    if !unclaimed.is_empty() {
        // What head's edges touch is wanted, even where nobody names it: the principals of people.
        let ends: HashSet<&Address> =
            input.head.grants.iter().flat_map(|grant| [&grant.key.resource, &grant.key.principal]).collect();
        unclaimed.retain(|address| !ends.contains(address));
    }
    count(facts, &mut out.unmanaged, unmanaged);
    count(facts, &mut out.unclaimed, unclaimed);
}

fn count<'a>(facts: &Facts<'_>, tally: &mut Tally, addresses: impl IntoIterator<Item = &'a Address>) {
    let mut examples = Vec::new();
    for address in addresses {
        let name = format!("{} {}", address.instance(), plural(facts.input, address));
        *tally.resources.entry(name).or_default() += 1;
        if examples.len() < EXAMPLES {
            examples.push(address.to_string());
        }
    }
    examples.append(&mut tally.examples);
    examples.truncate(EXAMPLES);
    examples.sort();
    tally.examples = examples;
}
