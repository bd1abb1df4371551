//! What a lock is made of, and what it can tell without a network.
//!
//! Invariant: whom and what YAML names is locked, and nobody else; so nobody needs the lock to be served.
//! It must not judge who is a stranger: the planner does.

use std::collections::{BTreeMap, BTreeSet};

use super::people::normalized;
use super::wanted::native;
use super::{NO_SUCH_PERSON, NO_SUCH_VALUE};
use crate::manifest::{Condition, Tree};
use crate::model::{
    Address, Desired, Finding, Inventory, Lock, Lowered, Name, Snapshot, Span, Spanned, nearest,
};

/// The lock of what a tree names, with the ids that are live. What was locked and is not there now keeps its id, so that
/// whoever comes back under the name is found to be another.
#[must_use]
pub fn lock(tree: &Tree, desired: &Desired, inventory: &Inventory, live: &Snapshot) -> Lock {
    let people = handles(tree);
    let records: BTreeMap<&str, Option<&Address>> = people
        .iter()
        .map(|handle| {
            let person = inventory.people.get(handle.value.as_str());
            (handle.value.as_str(), person.and_then(|person| person.record.as_ref()))
        })
        .collect();
    let mut names: BTreeMap<Address, Option<&Address>> = BTreeMap::new();
    for (handle, record) in &records {
        names.insert(Address::person(handle), *record);
    }
    // A record of the directory is locked as its person's.
    let is_record = |address: &Address| records.values().any(|record| *record == Some(address));
    for (account, person) in desired.people.iter() {
        if records.contains_key(person.name().as_ref()) && !is_record(account) {
            names.insert(account.clone(), None);
        }
    }
    for target in desired.named.keys().filter(|target| !target.is_reserved()) {
        // What is declared rolecall makes itself, each time with another id.
        if !desired.resources.get(target).is_some_and(|wanted| wanted.declared) {
            names.insert(target.clone(), None);
        }
    }
    let before = tree.lock.as_ref();
    let locked = names.into_iter().filter_map(|(name, record)| {
        let seen = live.resources.get(record.unwrap_or(&name)).and_then(|resource| resource.id.as_deref());
        let id = seen.or_else(|| before.and_then(|before| before.id(&name)))?;
        Some((name, Spanned { value: id.to_owned(), span: Span::file(crate::model::LOCK_FILE) }))
    });
    let cited: BTreeSet<&str> = conditions(tree)
        .filter_map(|condition| match condition {
            Condition::Attribute { name, .. } => Some(name.value.as_str()),
            _ => None,
        })
        .collect();
    let mut values: BTreeMap<Name, BTreeMap<Name, u64>> = BTreeMap::new();
    for (attribute, value) in inventory.people.values().flat_map(|person| &person.attributes) {
        if cited.contains(attribute.as_ref()) {
            *values.entry(attribute.clone()).or_default().entry(value.clone()).or_default() += 1;
        }
    }
    Lock { names: locked.collect(), values }
}

/// What entries cite and the lock has not: as far as the lock goes, since people may have come meanwhile.
#[must_use]
pub fn unknown_to_lock(tree: &Tree) -> Vec<Finding> {
    let Some(lock) = &tree.lock else { return Vec::new() };
    let mut findings = Vec::new();
    for condition in conditions(tree) {
        let Condition::Attribute { name, values } = condition else { continue };
        let Some(known) = lock.values.get(name.value.as_str()) else { continue };
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (value, count) in known {
            *counts.entry(normalized(value)).or_default() += count;
        }
        for value in values.iter().filter(|value| !counts.contains_key(&normalized(&value.value))) {
            let message =
                format!("nobody had {} `{}` when `rolecall.lock` was written", name.value, value.value);
            let finding = Finding::warning(NO_SUCH_VALUE, message).at(&value.span);
            let near = nearest(&normalized(&value.value), counts.keys().map(String::as_str));
            findings.push(match near.map(|near| (near, counts.get(near).copied().unwrap_or_default())) {
                Some((near, 1)) => finding.help(format!("did you mean `{near}` (1 person)?")).instead(near),
                Some((near, count)) => {
                    finding.help(format!("did you mean `{near}` ({count} people)?")).instead(near)
                }
                None => finding.help("if somebody has it now, `rolecall plan` will say so"),
            });
        }
    }
    let known: Vec<Address> =
        lock.names.keys().filter(|name| name.as_str().starts_with("person:")).cloned().collect();
    let users: BTreeSet<&str> = tree.users.iter().map(|user| user.name.value.as_str()).collect();
    for handle in handles(tree) {
        if users.contains(handle.value.as_str()) || lock.names.contains_key(&Address::person(&handle.value)) {
            continue;
        }
        // Whoever is named for the first time is in no lock; only what looks like a slip is worth a word.
        let names: Vec<String> = known.iter().map(|person| person.name().into_owned()).collect();
        if let Some(near) = nearest(&handle.value, names.iter().map(String::as_str)) {
            let message = format!("`{}` is not in `rolecall.lock`", handle.value);
            let finding = Finding::warning(NO_SUCH_PERSON, message).at(&handle.span);
            findings.push(
                finding
                    .help(format!("did you mean `{near}`? If not, `rolecall lock` takes the new name in"))
                    .instead(near),
            );
        }
    }
    findings
}

fn conditions(tree: &Tree) -> impl Iterator<Item = &Condition> {
    let entries = tree.roles.iter().flat_map(|role| role.members.iter().chain(&role.except));
    entries.flat_map(|entry| &entry.conditions)
}

/// The handles that a tree names, each once, where it is named first.
fn handles(tree: &Tree) -> Vec<Spanned<String>> {
    let mut natives = Lowered::default();
    for document in &tree.natives {
        native(tree, document, &mut natives);
    }
    let cited = conditions(tree).flat_map(|condition| match condition {
        Condition::Handle(handles) | Condition::Manager(handles) | Condition::ReportsTo(handles) => {
            handles.iter()
        }
        _ => [].iter(),
    });
    let owners = tree.roles.iter().flat_map(|role| &role.owners).filter(|owner| !owner.starts_with('@'));
    let granted = tree.grants.iter().flat_map(|grant| &grant.to);
    let suspended = tree.suspensions.iter().map(|suspension| &suspension.name);
    let users = tree.users.iter().map(|user| &user.name);
    let natives = natives.people.iter().map(|grant| &grant.handle);
    let mut seen = BTreeSet::new();
    let all = cited.chain(owners).chain(granted).chain(suspended).chain(users).chain(natives);
    all.filter(|handle| seen.insert(handle.value.clone())).cloned().collect()
}
