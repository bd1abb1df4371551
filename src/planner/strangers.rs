//! Strangers: names that have changed hands since they were locked. They are held, not served.
//!
//! Invariant: base's lock judges; head's word for a new id counts only where it is that of what is live, since it was then
//! reviewed with head. A name that neither lock has, or that is not there, is nobody's stranger.

use std::collections::BTreeMap;

use crate::model::{Address, Finding, Inventory, Lock, Snapshot, Spanned};

use super::CHANGED_HANDS;

/// What has changed hands, and how, in words.
pub type Strangers = BTreeMap<Address, String>;

/// The names whose live id is not the one that they were locked with.
#[must_use]
pub fn strangers(
    head: Option<&Lock>,
    base: Option<&Lock>,
    inventory: &Inventory,
    live: &Snapshot,
) -> (Strangers, Vec<Finding>) {
    let (mut strangers, mut findings) = (Strangers::new(), Vec::new());
    let names = head.iter().chain(&base).flat_map(|lock| lock.names.keys());
    for name in names {
        if strangers.contains_key(name) {
            continue;
        }
        let Some(id) = id(name, inventory, live) else { continue };
        let of = |lock: Option<&Lock>| -> Option<Spanned<String>> { lock?.names.get(name).cloned() };
        let (new, old) = (of(head), of(base));
        let accepted = new.as_ref().is_some_and(|new| new.value == id);
        // What base says and head repeats was not looked at again.
        let other = match (&new, &old) {
            _ if accepted => None,
            (Some(new), _) => Some(new),
            (None, old) => old.as_ref().filter(|old| old.value != id),
        };
        let Some(locked) = other else { continue };
        let text = format!("`{name}` was locked as `{}`, and is now `{id}`", locked.value);
        let message =
            format!("{text}: it has changed hands, and what is to be given to it or taken from it waits");
        let help = "find out who or what has the name now; if that is right, run `rolecall lock` and merge what it writes";
        findings.push(Finding::warning(CHANGED_HANDS, message).at(&locked.span).about(name).help(help));
        strangers.insert(name.clone(), text);
    }
    (strangers, findings)
}

/// The immutable id of what has a name now.
fn id<'a>(name: &Address, inventory: &'a Inventory, live: &'a Snapshot) -> Option<&'a str> {
    let of = |address: &Address| live.resources.get(address).and_then(|resource| resource.id.as_deref());
    match name.as_str().strip_prefix("person:") {
        Some(_) => of(inventory.people.get(name.name().as_ref())?.record.as_ref()?),
        None => of(name),
    }
}
