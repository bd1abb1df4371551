//! People: the directory's records and the `User` manifests become one inventory.
//!
//! Invariant: leaving is a status, never an absence; two people never share a handle.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::duties::suspend;
use super::{DIRECTORY_MASTERS, HANDLE_CLASH, INCOMPLETE_DIRECTORY, NO_MANAGER, NO_TYPE};
use crate::manifest::{Tree, User};
use crate::model::settings::{Directory, PersonType};
use crate::model::{Account, Address, DirectoryRecord, Finding, Inventory, Name, Person, Status};

/// A value as entries compare it: lower case, everything but letters and digits an underscore.
/// `Director, Infrastructure` is `director_infrastructure`.
#[must_use]
pub fn normalized(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if c.is_alphanumeric() {
            text.extend(c.to_lowercase());
        } else if !text.is_empty() && !text.ends_with('_') {
            text.push('_');
        }
    }
    text.truncate(text.trim_end_matches('_').len());
    text
}

/// The inventory that the directory's records and the tree's `User` manifests make at `now`.
#[must_use]
pub fn people(
    tree: &Tree,
    records: &[DirectoryRecord],
    accounts: Vec<Account>,
    incomplete: Vec<String>,
    now: Timestamp,
) -> (Inventory, Vec<Finding>) {
    let mut findings: Vec<Finding> = incomplete
        .iter()
        .map(|why| {
            Finding::warning(INCOMPLETE_DIRECTORY, format!("the directory was not read whole: {why}"))
                .help("removals wait until it can be read; grants go on")
        })
        .collect();
    let mut inventory = Inventory { people: BTreeMap::new(), accounts, incomplete };
    if let Directory::Provider { handle, attributes, .. } = &tree.settings.directory {
        from_directory(&tree.settings.types, handle, attributes, records, &mut inventory, &mut findings);
    }
    for user in &tree.users {
        add_user(user, &mut inventory, &mut findings, now);
    }
    suspend(tree, &mut inventory, &mut findings);
    // Many have the same manager, and looking one up among all people is dear.
    let mut known: HashMap<&str, bool> = HashMap::new();
    for person in inventory.people.values().filter(|person| person.status == Status::Active) {
        if let Some(manager) = &person.manager
            && inventory.incomplete.is_empty()
            && !*known.entry(manager).or_insert_with(|| inventory.people.contains_key(manager))
        {
            let message = format!("`{manager}`, the manager of `{}`, is not in the directory", person.handle);
            findings.push(Finding::warning(NO_MANAGER, message).about(Address::person(&person.handle)));
        }
    }
    (inventory, findings)
}

/// What of the directory's attributes is a person and no value.
const MANAGER: &str = "manager";

fn handle_of(text: &str) -> Cow<'_, str> {
    lower(text.split_once('@').map_or(text, |(before, _)| before))
}

fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// A text in lower case: itself, where it is.
fn shared_lower(text: &Name) -> Name {
    match lower(text) {
        Cow::Borrowed(_) => text.clone(),
        Cow::Owned(text) => text.into(),
    }
}

fn from_directory(
    types: &[PersonType],
    handle: &str,
    attributes: &BTreeMap<Name, String>,
    records: &[DirectoryRecord],
    inventory: &mut Inventory,
    findings: &mut Vec<Finding>,
) {
    let mut managers: HashMap<&Name, Name> = HashMap::new();
    let mut people: Vec<(Name, Person)> = Vec::with_capacity(records.len());
    for record in records {
        let Some(handle) = record.profile.get(handle).map(|text| handle_of(text)).filter(|h| !h.is_empty())
        else {
            continue;
        };
        let attribute =
            |theirs: &String| record.profile.get(theirs.as_str()).filter(|value| !value.is_empty());
        let cited = attributes.iter().filter(|(ours, _)| ours.as_ref() != MANAGER);
        let own = cited.filter_map(|(ours, theirs)| Some((ours.clone(), attribute(theirs)?.clone())));
        let manager = attributes.get(MANAGER).and_then(attribute).map(|manager| {
            managers.entry(manager).or_insert_with(|| Name::from(handle_of(manager).as_ref())).clone()
        });
        let kind = types.iter().find(|kind| {
            !kind.matches.is_empty()
                && kind
                    .matches
                    .iter()
                    .all(|(key, value)| record.profile.get(key).is_some_and(|has| **has == **value))
        });
        if kind.is_none() && record.status != Status::Left {
            let message = format!("`{handle}` matches none of `types`, so no rule gives him anything");
            let help = "give his record the attribute that a type's `match` wants, or add a type";
            findings.push(Finding::warning(NO_TYPE, message).about(Address::person(&handle)).help(help));
        }
        let text = |key: &str| record.profile.get(key);
        let name = text("displayName").cloned();
        let name = name.or_else(|| Some(format!("{} {}", text("firstName")?, text("lastName")?).into()));
        let handle = Name::from(handle.as_ref());
        let person = Person {
            handle: handle.clone(),
            name,
            email: text("email").map(shared_lower),
            kind: kind.map(|kind| kind.name.clone()),
            status: record.status,
            manager,
            attributes: own.collect(),
            identities: BTreeMap::new(),
            record: record.address.clone(),
        };
        people.push((handle, person));
    }
    // Directories list people in the order of their logins, so there is little to do here, mostly nothing.
    people.sort_by(|(one, _), (other, _)| one.cmp(other));
    people.dedup_by(|(handle, person), (other_handle, other)| {
        if handle != other_handle {
            return false;
        }
        // Someone who left and came back has two records; the one at work is the person.
        if other.status == Status::Left {
            std::mem::swap(person, other);
        } else if person.status != Status::Left {
            findings.push(
                Finding::error(HANDLE_CLASH, format!("two records of the directory give the handle `{handle}`"))
                    .about(Address::person(handle))
                    .help("make their logins differ before the `@`, or choose another attribute for `directory.handle`"),
            );
        }
        true
    });
    inventory.people = people.into_iter().collect();
}

fn add_user(user: &User, inventory: &mut Inventory, findings: &mut Vec<Finding>, now: Timestamp) {
    let identities: BTreeMap<Name, String> = user
        .identities
        .iter()
        .map(|(instance, identity)| (Name::from(instance.value.as_str()), identity.value.clone()))
        .collect();
    let ended = user.until.as_ref().is_some_and(|until| until.value <= now);
    if let Some(person) = inventory.people.get_mut(user.name.value.as_str()) {
        if !user.attributes.is_empty() || user.email.is_some() || user.manager.is_some() {
            let message = format!("`{}` is in the directory, which masters his attributes", user.name.value);
            let help = "keep only `identities`, `until` and `owner` here";
            findings.push(Finding::warning(DIRECTORY_MASTERS, message).at(&user.name.span).help(help));
        }
        person.identities.extend(identities);
        if ended {
            person.status = Status::Left;
        }
        return;
    }
    let person = Person {
        handle: user.name.value.as_str().into(),
        name: user.display_name.as_deref().map(Name::from),
        email: user.email.as_ref().map(|email| email.value.to_lowercase().into()),
        kind: Some(user.kind.value.as_str().into()),
        status: if ended { Status::Left } else { user.status },
        manager: user.manager.as_ref().map(|manager| handle_of(&manager.value).as_ref().into()),
        attributes: user
            .attributes
            .iter()
            .map(|(key, value)| (Name::from(key.value.as_str()), Name::from(value.value.as_str())))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
        identities,
        record: None,
    };
    inventory.people.insert(person.handle.clone(), person);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_in_lower_snake_case() {
        assert_eq!(normalized("Director, Infrastructure"), "director_infrastructure");
        assert_eq!(normalized("  R&D "), "r_d");
        assert_eq!(normalized("Général"), "général");
        assert_eq!(normalized("--"), "");
    }
}
