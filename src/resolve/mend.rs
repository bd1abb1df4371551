//! How to mend an entry that cites what is gone: what its former members have now.
//!
//! Invariant: it proposes what keeps the former members and says whom it would let in besides; who they were is what memory
//! demanded. It must not change anything.

use std::collections::{BTreeMap, BTreeSet};

use super::people::normalized;
use crate::model::{Address, DeadCitation, Demand, Desired, Inventory, Name, Person, Span, Status};

/// A proposal for one citation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// The role.
    pub role: Name,
    /// The key of the entry.
    pub key: String,
    /// The value that is gone.
    pub gone: String,
    /// Where it is cited.
    pub span: Span,
    /// What the former members have there now, in lower_snake_case, the most frequent first, each with how many have it. None
    /// where nobody needs the value any more.
    pub now: Vec<(String, usize)>,
    /// Who would get the role although he did not have it.
    pub others: Vec<Name>,
}

/// How to mend what head cites and is gone. `demand` tells who had which role.
#[must_use]
pub fn mends(head: &Desired, demand: Option<&Demand>, inventory: &Inventory) -> Vec<Mend> {
    let mut had: BTreeMap<&Name, BTreeSet<&Address>> = BTreeMap::new();
    for grant in demand.into_iter().flat_map(|demand| &demand.grants) {
        for role in grant.roles.iter().filter(|role| head.dead.iter().any(|dead| dead.role == **role)) {
            had.entry(role).or_default().extend(&grant.subject);
        }
    }
    let nobody = BTreeSet::new();
    let mut dead: Vec<&DeadCitation> = head.dead.iter().collect();
    dead.sort_by(|one, other| (&one.span, one).cmp(&(&other.span, other)));
    dead.dedup();
    dead.iter().map(|dead| mend(dead, had.get(&dead.role).unwrap_or(&nobody), head, inventory)).collect()
}

fn mend(dead: &DeadCitation, had: &BTreeSet<&Address>, head: &Desired, inventory: &Inventory) -> Mend {
    // Whoever something gives the role still.
    let mut keeps: BTreeSet<Address> = BTreeSet::new();
    for grant in &head.grants {
        if grant.terms.origins.iter().any(|origin| origin.role.as_ref() == Some(&dead.role)) {
            keeps.extend(grant.subject.clone());
        }
    }
    let has = |person: &Address| keeps.contains(person);
    let at_work = |person: &&Person| person.status == Status::Active;
    let former = had.iter().filter_map(|person| inventory.people.get(person.name().as_ref()));
    let former: Vec<&Person> =
        former.filter(at_work).filter(|person| !has(&Address::person(&person.handle))).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in former.iter().filter_map(|person| value_of(person, &dead.key)) {
        *counts.entry(value).or_default() += 1;
    }
    let mut now: Vec<(String, usize)> = counts.into_iter().collect();
    now.sort_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
    let lets_in = |person: &&Person| {
        value_of(person, &dead.key).is_some_and(|value| now.iter().any(|(known, _)| *known == value))
    };
    let is_new = |person: &&Person| {
        let address = Address::person(&person.handle);
        !had.contains(&address) && !has(&address)
    };
    let others = inventory.people.values().filter(at_work).filter(lets_in).filter(is_new);
    let others = others.map(|person| person.handle.clone()).collect();
    Mend {
        role: dead.role.clone(),
        key: dead.key.clone(),
        gone: dead.value.clone(),
        span: dead.span.clone(),
        now,
        others,
    }
}

/// What somebody has under a key of an entry.
fn value_of(person: &Person, key: &str) -> Option<String> {
    match key {
        // Who is above somebody at any depth cannot be told from who his manager is; the manager is the nearest.
        "manager" | "reports_to" => person.manager.as_ref().map(ToString::to_string),
        "handle" => None,
        attribute => person.attribute(attribute).map(normalized),
    }
}
