//! Principals: what each person is called in each provider, and in which order.
//!
//! Invariant: two people never share a principal, unless one of them has left and the name was given to another. People
//! are numbers in the order of handles.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{IDENTITY_CLASH, NO_IDENTITY, NO_SUCH_PROVIDER};
use crate::manifest::Tree;
use crate::model::grants::End;
use crate::model::settings::Identity;
use crate::model::{Address, Finding, Inventory, Name, Person, Registry, Status};

/// Who is which principal where.
#[derive(Debug, Default)]
pub(super) struct Principals {
    /// Principal → person.
    pub(super) people: Arc<BTreeMap<Address, Address>>,
    /// `person:x`, by number.
    pub(super) persons: Vec<Address>,
    instances: BTreeMap<Name, Named>,
}

/// People in one provider, by number.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Principals in order, each with the person whose it is.
    order: Vec<(Address, u32)>,
    /// Why those who have no principal have none.
    missing: BTreeMap<u32, String>,
}

impl Named {
    /// Principals in order, each with the number of the person whose it is.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&Address, u32)> {
        self.order.iter().map(|(principal, person)| (principal, *person))
    }
}

impl Principals {
    /// The principals of all people in all providers of a tree.
    pub(super) fn of(
        tree: &Tree,
        inventory: &Inventory,
        registry: &Registry,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let mut principals = Self {
            persons: inventory.people.keys().map(|handle| Address::person(handle)).collect(),
            ..Self::default()
        };
        let people: Vec<&Person> = inventory.people.values().collect();
        for (instance, settings) in &tree.settings.providers {
            let Some(provider) = registry.provider(&settings.provider) else { continue };
            let identity = tree.settings.identities.get(instance);
            let mut named = Named::default();
            for (number, person) in (0..).zip(&people) {
                let text = text_of(person, instance, provider.person_kind, identity);
                let scope = settings.scope.scope.as_deref();
                match text {
                    Ok(text) => named.order.push(((provider.principal)(instance, scope, &text), number)),
                    Err(why) => drop(named.missing.insert(number, why)),
                }
            }
            principals.rank(&mut named, &people, findings);
            principals.instances.insert(instance.clone(), named);
        }
        let all = principals.instances.values().flat_map(Named::in_order);
        let pairs =
            all.map(|(principal, person)| (principal.clone(), principals.persons[person as usize].clone()));
        principals.people = Arc::new(pairs.collect());
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

    /// Puts the principals of one provider in order, and decides whose one is that two people would have.
    fn rank(&self, named: &mut Named, people: &[&Person], findings: &mut Vec<Finding>) {
        named.order.sort();
        let gone = |number: u32| people[number as usize].status == Status::Left;
        named.order.dedup_by(|(address, number), (principal, holder)| {
            if address != principal {
                return false;
            }
            // Someone who has left does not stand in the way of who has his name now; that the name changed hands is
            // for the lock to find.
            if gone(*holder) && !gone(*number) {
                *holder = *number;
            } else if !gone(*number) {
                let (other, person) = (&self.persons[*holder as usize], &self.persons[*number as usize]);
                let message = format!("`{other}` and `{person}` are both `{address}`");
                let help = "give one of them `identities` of his own in a `User` manifest";
                findings.push(Finding::error(IDENTITY_CLASH, message).about(&*address).help(help));
            }
            true
        });
    }

    /// All providers that there are people in.
    pub(super) fn instances(&self) -> impl Iterator<Item = (&Name, &Named)> {
        self.instances.iter()
    }

    /// What some people are in one provider.
    pub(super) fn ends_of(&self, instance: &str, people: &BTreeSet<u32>) -> Vec<End> {
        let order = self.instances.get(instance).map_or(&[][..], |named| &named.order);
        let those = order.iter().filter(|(_, person)| people.contains(person));
        let end = |(principal, person): &(Address, u32)| End {
            principal: principal.clone(),
            condition: None,
            subject: self.persons.get(*person as usize).cloned(),
        };
        those.map(end).collect()
    }

    /// Everyone who may get an edge for being a person.
    pub(super) fn ends(&self) -> impl Iterator<Item = End> {
        let all = self.instances.values().flat_map(Named::in_order);
        all.map(|(principal, person)| End {
            principal: principal.clone(),
            condition: None,
            subject: Some(self.persons[person as usize].clone()),
        })
    }

    /// Why a person has no principal in a provider.
    pub(super) fn why_none(&self, number: u32, handle: &str, instance: &str) -> Finding {
        let why = self.instances.get(instance).and_then(|named| named.missing.get(&number));
        let why = why.map_or("another person has his name there", String::as_str);
        Finding::warning(NO_IDENTITY, format!("`{handle}` has no identity in `{instance}`: {why}"))
            .about(Address::person(handle))
            .help("what he would be granted there waits; add a template to `identities`, or his own to his `User`")
    }
}

pub(super) fn text_of<'a>(
    person: &'a Person,
    instance: &str,
    kind: &str,
    identity: Option<&Identity>,
) -> Result<Cow<'a, str>, String> {
    if let Some(own) = person.identities.get(instance) {
        return Ok(Cow::Borrowed(own));
    }
    let identity = identity.ok_or("`identities` has no template for it")?;
    let by_type = person.kind.as_ref().and_then(|kind| identity.per.get(kind));
    let template = by_type
        .or_else(|| identity.per.get(kind))
        .or(identity.template.as_ref())
        .ok_or("`identities` has no template for his type")?;
    let text = expand(&template.value, |key| match key {
        "handle" => Some(&person.handle),
        "email" => person.email.as_deref(),
        "manager" => person.manager.as_deref(),
        "type" => person.kind.as_deref(),
        other => person.attribute(other),
    });
    text.map(Cow::Owned)
}

/// A template with its `{keys}` filled in.
pub(super) fn expand<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> Result<String, String> {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (key, after) =
            after.split_once('}').ok_or_else(|| format!("`{template}` lacks a closing brace"))?;
        text.push_str(before);
        text.push_str(value(key).ok_or_else(|| format!("he has no `{key}`"))?);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_say_what_is_missing() {
        let value = |key: &str| (key == "handle").then_some("dmurphy");
        assert_eq!(expand("{handle}@x", value).unwrap(), "dmurphy@x");
        assert!(expand("{email}", value).unwrap_err().contains("email"));
        assert!(expand("{handle", value).is_err());
    }
}
