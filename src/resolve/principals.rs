//! Principals: what each person is called in each provider, and in which order.
//!
//! Invariant: two people never share a principal, unless one of them has left and the name was given to another. People
//! are numbers in the order of handles; a rank is a place in the order of principals, so edges are sorted as numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{IDENTITY_CLASH, NO_IDENTITY, NO_SUCH_PROVIDER};
use crate::manifest::Tree;
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
    principals: Vec<Option<Address>>,
    ranks: Vec<u32>,
    /// Why those who have no principal have none.
    missing: BTreeMap<u32, String>,
}

impl Named {
    /// A person's principal.
    pub(super) fn principal(&self, number: u32) -> Option<&Address> {
        self.principals.get(number as usize)?.as_ref()
    }

    /// The place of a person's principal among all of this provider.
    pub(super) fn rank(&self, number: u32) -> u32 {
        self.ranks.get(number as usize).copied().unwrap_or(u32::MAX)
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
        let mut pairs = Vec::new();
        for (instance, settings) in &tree.settings.providers {
            let Some(provider) = registry.provider(&settings.provider) else { continue };
            let identity = tree.settings.identities.get(instance);
            let mut named = Named::default();
            for (number, person) in (0..).zip(&people) {
                let text = text_of(person, instance, provider.person_kind, identity);
                let text = text.map_err(|why| named.missing.insert(number, why)).ok();
                let scope = settings.scope.scope.as_deref();
                named.principals.push(text.map(|text| (provider.principal)(instance, scope, &text)));
            }
            principals.rank(&mut named, &people, &mut pairs, findings);
            principals.instances.insert(instance.clone(), named);
        }
        principals.people = Arc::new(pairs.into_iter().collect());
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
    fn rank(
        &self,
        named: &mut Named,
        people: &[&Person],
        pairs: &mut Vec<(Address, Address)>,
        findings: &mut Vec<Finding>,
    ) {
        let mut order: Vec<(&Address, usize)> = named
            .principals
            .iter()
            .enumerate()
            .filter_map(|(n, address)| Some((address.as_ref()?, n)))
            .collect();
        order.sort();
        let mut ranks = vec![u32::MAX; people.len()];
        let mut nameless = Vec::new();
        for (rank, same) in (0..).zip(order.chunk_by(|(one, _), (other, _)| one == other)) {
            let mut holder = None;
            for &(address, number) in same {
                ranks[number] = rank;
                let gone = |number: usize| people[number].status == Status::Left;
                // Someone who has left does not stand in the way of who has his name now; that the name changed hands
                // is for the lock to find.
                if holder.is_none_or(|holder| gone(holder) && !gone(number)) {
                    holder = Some(number);
                    continue;
                }
                nameless.push(number);
                if let Some(other) = holder.filter(|_| !gone(number)) {
                    let (other, person) = (&self.persons[other], &self.persons[number]);
                    let message = format!("`{other}` and `{person}` are both `{address}`");
                    let help = "give one of them `identities` of his own in a `User` manifest";
                    findings.push(Finding::error(IDENTITY_CLASH, message).about(address).help(help));
                }
            }
            pairs.extend(
                same.first()
                    .zip(holder)
                    .map(|((address, _), holder)| ((*address).clone(), self.persons[holder].clone())),
            );
        }
        named.ranks = ranks;
        for number in nameless {
            named.principals[number] = None;
        }
    }

    /// People in a provider, if it is one.
    pub(super) fn named(&self, instance: &str) -> Option<&Named> {
        self.instances.get(instance)
    }

    /// Why a person has no principal in a provider.
    pub(super) fn why_none(&self, number: u32, handle: &str, instance: &str) -> Finding {
        let why = self.named(instance).and_then(|named| named.missing.get(&number));
        let why = why.map_or("another person has his name there", String::as_str);
        Finding::warning(NO_IDENTITY, format!("`{handle}` has no identity in `{instance}`: {why}"))
            .about(Address::person(handle))
            .help("what he would be granted there waits; add a template to `identities`, or his own to his `User`")
    }
}

fn text_of<'a>(
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
        other => person.attributes.get(other).map(String::as_str),
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
