//! People: the directory's records and the `User` manifests become one inventory, and each person a principal per
//! provider.
//!
//! Invariant: leaving is a status, never an absence; two people never share a handle or a principal.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    DIRECTORY_MASTERS, HANDLE_CLASH, IDENTITY_CLASH, INCOMPLETE_DIRECTORY, NO_IDENTITY, NO_MANAGER,
    NO_SUCH_PROVIDER, NO_TYPE,
};
use crate::manifest::{Tree, User};
use crate::model::settings::{Directory, Identity, PersonType};
use crate::model::{Account, Address, DirectoryRecord, Finding, Inventory, Name, Person, Registry, Status};

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
    for person in inventory.people.values().filter(|person| person.status == Status::Active) {
        if let Some(manager) = &person.manager
            && !inventory.people.contains_key(manager)
            && inventory.incomplete.is_empty()
        {
            let message = format!("`{manager}`, the manager of `{}`, is not in the directory", person.handle);
            findings.push(Finding::warning(NO_MANAGER, message).about(Address::person(&person.handle)));
        }
    }
    (inventory, findings)
}

fn handle_of(text: &str) -> String {
    text.split_once('@').map_or(text, |(before, _)| before).to_lowercase()
}

fn from_directory(
    types: &[PersonType],
    handle: &str,
    attributes: &BTreeMap<Name, String>,
    records: &[DirectoryRecord],
    inventory: &mut Inventory,
    findings: &mut Vec<Finding>,
) {
    for record in records {
        let Some(handle) = record.profile.get(handle).map(|text| handle_of(text)).filter(|h| !h.is_empty())
        else {
            continue;
        };
        let attribute =
            |theirs: &String| record.profile.get(theirs.as_str()).filter(|value| !value.is_empty());
        let mut own: BTreeMap<Name, String> = attributes
            .iter()
            .filter_map(|(ours, theirs)| Some((ours.clone(), attribute(theirs)?.clone())))
            .collect();
        let manager = own.remove("manager").map(|manager| Name::from(handle_of(&manager)));
        let kind = types.iter().find(|kind| {
            !kind.matches.is_empty()
                && kind
                    .matches
                    .iter()
                    .all(|(key, value)| record.profile.get(key).is_some_and(|has| has == value))
        });
        if kind.is_none() && record.status != Status::Left {
            let message = format!("`{handle}` matches none of `types`, so no rule gives him anything");
            let help = "give his record the attribute that a type's `match` wants, or add a type";
            findings.push(Finding::warning(NO_TYPE, message).about(Address::person(&handle)).help(help));
        }
        let text = |key: &str| record.profile.get(key).cloned();
        let name =
            text("displayName").or_else(|| Some(format!("{} {}", text("firstName")?, text("lastName")?)));
        let person = Person {
            handle: handle.as_str().into(),
            name,
            email: text("email").map(|email| email.to_lowercase()),
            kind: kind.map(|kind| kind.name.clone()),
            status: record.status,
            manager,
            attributes: own,
            identities: BTreeMap::new(),
            record: record.address.clone(),
        };
        match inventory.people.get(handle.as_str()) {
            // Someone who left and came back has two records; the one at work is the person.
            Some(other) if other.status == Status::Left => {
                inventory.people.insert(person.handle.clone(), person);
            }
            Some(_) if person.status == Status::Left => {}
            Some(_) => findings.push(
                Finding::error(HANDLE_CLASH, format!("two records of the directory give the handle `{handle}`"))
                    .about(Address::person(&handle))
                    .help("make their logins differ before the `@`, or choose another attribute for `directory.handle`"),
            ),
            None => {
                inventory.people.insert(person.handle.clone(), person);
            }
        }
    }
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
        name: user.display_name.clone(),
        email: user.email.as_ref().map(|email| email.value.to_lowercase()),
        kind: Some(user.kind.value.as_str().into()),
        status: if ended { Status::Left } else { user.status },
        manager: user.manager.as_ref().map(|manager| handle_of(&manager.value).into()),
        attributes: user
            .attributes
            .iter()
            .map(|(key, value)| (Name::from(key.value.as_str()), value.value.clone()))
            .collect(),
        identities,
        record: None,
    };
    inventory.people.insert(person.handle.clone(), person);
}

/// Who is which principal where.
#[derive(Debug, Clone, Default)]
pub struct Principals {
    /// Principal → person.
    pub people: BTreeMap<Address, Address>,
    by_person: BTreeMap<(Name, Name), Address>,
    missing: BTreeMap<(Name, Name), String>,
}

impl Principals {
    /// The principals of all people in all providers of a tree.
    #[must_use]
    pub fn of(tree: &Tree, inventory: &Inventory, registry: &Registry, findings: &mut Vec<Finding>) -> Self {
        let mut principals = Self::default();
        for (instance, settings) in &tree.settings.providers {
            let Some(provider) = registry.provider(&settings.provider) else { continue };
            let identity = tree.settings.identities.get(instance);
            for person in inventory.people.values() {
                let key = (person.handle.clone(), instance.clone());
                match text_of(person, instance, provider.person_kind, identity) {
                    Ok(text) => {
                        let address = (provider.principal)(instance, settings.scope.scope.as_deref(), &text);
                        principals.insert(key, address, inventory, findings);
                    }
                    Err(why) => {
                        principals.missing.insert(key, why);
                    }
                }
            }
        }
        for instance in tree.settings.identities.keys() {
            if !tree.settings.providers.contains_key(instance) && instance.as_ref() != "gitlab" {
                findings.push(
                    Finding::warning(
                        NO_SUCH_PROVIDER,
                        format!("`identities` names `{instance}`, which no provider is"),
                    )
                    .help("remove it, or add the provider"),
                );
            }
        }
        principals
    }

    fn insert(
        &mut self,
        key: (Name, Name),
        address: Address,
        inventory: &Inventory,
        findings: &mut Vec<Finding>,
    ) {
        let person = Address::person(&key.0);
        if let Some(other) = self.people.get(&address) {
            // Someone who has left does not stand in the way of who has his name now; that the name changed hands is
            // for the lock to find.
            let gone = |p: &Address| {
                inventory.people.get(p.name().as_ref()).is_none_or(|person| person.status == Status::Left)
            };
            if gone(&person) {
                return;
            }
            if !gone(other) {
                let message = format!("`{other}` and `{person}` are both `{address}`");
                let help = "give one of them `identities` of his own in a `User` manifest";
                findings.push(Finding::error(IDENTITY_CLASH, message).about(&address).help(help));
                return;
            }
        }
        self.people.insert(address.clone(), person);
        self.by_person.insert(key, address);
    }

    /// A person's principal in a provider, or why he has none.
    ///
    /// # Errors
    /// A finding that says what is missing.
    pub fn find(&self, handle: &str, instance: &str) -> Result<&Address, Finding> {
        let key = (Name::from(handle), Name::from(instance));
        self.by_person.get(&key).ok_or_else(|| {
            let why = self.missing.get(&key).map_or("another person has his name there", String::as_str);
            Finding::warning(NO_IDENTITY, format!("`{handle}` has no identity in `{instance}`: {why}"))
                .about(Address::person(handle))
                .help("what he would be granted there waits; add a template to `identities`, or his own to his `User`")
        })
    }
}

fn text_of(
    person: &Person,
    instance: &str,
    kind: &str,
    identity: Option<&Identity>,
) -> Result<String, String> {
    if let Some(own) = person.identities.get(instance) {
        return Ok(own.clone());
    }
    let identity = identity.ok_or("`identities` has no template for it")?;
    let by_type = person.kind.as_ref().and_then(|kind| identity.per.get(kind));
    let template = by_type
        .or_else(|| identity.per.get(kind))
        .or(identity.template.as_ref())
        .ok_or("`identities` has no template for his type")?;
    expand(&template.value, |key| match key {
        "handle" => Some(person.handle.to_string()),
        "email" => person.email.clone(),
        "manager" => person.manager.as_ref().map(ToString::to_string),
        "type" => person.kind.as_ref().map(ToString::to_string),
        other => person.attributes.get(other).cloned(),
    })
}

/// A template with its `{keys}` filled in.
pub(super) fn expand(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (key, after) =
            after.split_once('}').ok_or_else(|| format!("`{template}` lacks a closing brace"))?;
        text.push_str(before);
        text.push_str(&value(key).ok_or_else(|| format!("he has no `{key}`"))?);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
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

    #[test]
    fn templates_say_what_is_missing() {
        let value = |key: &str| (key == "handle").then(|| "dmurphy".to_owned());
        assert_eq!(expand("{handle}@x", value).unwrap(), "dmurphy@x");
        assert!(expand("{email}", value).unwrap_err().contains("email"));
        assert!(expand("{handle", value).is_err());
    }
}
