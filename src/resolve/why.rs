//! Why: one person's, role's or thing's part of what is wanted, with what leads there, and what stands in the way.
//!
//! `judge` says entry by entry why somebody has a role or not, `gives` what gives a thing, `edges` how edges stand beside
//! live, `cut` what a line gives, `wish` which edit would give something.
//! Invariant: who matches what is asked of the very code that resolves; nothing is matched here in a second way.
//! It must not make a plan, nor word more than one clause at a time: that is `render`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::roles::Members;
use super::wanted::{Known, asked, made};
use crate::manifest::{Role, Tree};
use crate::model::explanation::{Holding, RoleFacts};
use crate::model::{Address, Desired, GrantKey, Inventory, Name, Person, Registry};

mod cut;
mod edges;
mod gives;
mod judge;
#[cfg(test)]
mod tests;
mod wish;

pub use cut::cut;
pub use edges::{Concern, edges, path};
pub use wish::{Wish, wish};

/// What one tree asks for, with what it was worked out from.
pub struct View<'a> {
    /// What is asked for.
    pub desired: Desired,
    tree: &'a Tree,
    registry: &'a Registry,
    inventory: &'a Inventory,
    now: Timestamp,
    known: Known<'a>,
    /// Who has which role.
    members: BTreeMap<Name, Arc<Members>>,
}

impl<'a> View<'a> {
    /// What a tree asks for at `now`; `base` tells which dead citations are old.
    #[must_use]
    pub fn of(
        tree: &'a Tree,
        base: Option<&Tree>,
        inventory: &'a Inventory,
        registry: &'a Registry,
        now: Timestamp,
    ) -> Self {
        let known = Known::of(tree, inventory, registry);
        let asked = asked(tree, base, &known, None, registry, now.into());
        let members = asked.memberships.roles.clone();
        let desired = made(&known, [asked]).pop().unwrap_or_default();
        Self { desired, tree, registry, inventory, now, known, members }
    }

    /// A person by handle.
    #[must_use]
    pub fn person(&self, handle: &str) -> Option<&'a Person> {
        self.inventory.people.get(handle)
    }

    /// What somebody is called in each provider; whatever else is asked about is its own name.
    #[must_use]
    pub fn principals(&self, who: &Address) -> BTreeSet<Address> {
        if who.instance() != "person" {
            return BTreeSet::from([who.clone()]);
        }
        let people = self.desired.people.iter().filter(|(_, person)| *person == who);
        people.map(|(principal, _)| principal.clone()).collect()
    }

    /// A role by name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&'a Role> {
        self.tree.roles.iter().find(|role| role.name.value == name)
    }

    /// All roles.
    pub fn roles(&self) -> impl Iterator<Item = &'a Role> {
        self.tree.roles.iter()
    }

    /// Why somebody cannot be named in a provider, where he cannot.
    #[must_use]
    pub fn nameless(&self, handle: &str, instance: &str) -> Option<String> {
        let number = self.known.crowd.number(handle)?;
        let has = self.principals(&Address::person(handle)).iter().any(|one| one.instance() == instance);
        (!has).then(|| self.known.principals.why_none(number, handle, instance).message)
    }

    /// The roles that somebody has or is mentioned in.
    #[must_use]
    pub fn holdings_of(&self, handle: &str) -> Vec<Holding> {
        let Some(number) = self.known.crowd.number(handle) else { return Vec::new() };
        self.tree.roles.iter().filter_map(|role| self.holding(role, number)).collect()
    }

    /// The people who have a role or are mentioned in it.
    #[must_use]
    pub fn holdings_in(&self, role: &str) -> Vec<Holding> {
        let (Some(role), Some(members)) = (self.role(role), self.members.get(role)) else {
            return Vec::new();
        };
        let numbers: BTreeSet<u32> =
            members.current.iter().map(|(number, _)| *number).chain(members.lapsed.keys().copied()).collect();
        numbers.into_iter().filter_map(|number| self.holding(role, number)).collect()
    }

    fn holding(&self, role: &Role, number: u32) -> Option<Holding> {
        let members = self.members.get(role.name.value.as_str())?;
        let (lapse, until, because) = match (members.of(number), members.lapsed.get(&number)) {
            (Some(membership), _) => {
                let because = membership.origins.iter().map(|origin| (**origin).clone()).collect();
                (None, membership.until, because)
            }
            (None, Some((cause, origin))) => (Some(*cause), None, vec![(**origin).clone()]),
            (None, None) => return None,
        };
        Some(Holding {
            role: role.name.value.as_str().into(),
            span: role.name.span.clone(),
            person: Address::person(&self.known.crowd.person(number)?.handle),
            lapse,
            until,
            because,
        })
    }

    /// What a role says of itself.
    #[must_use]
    pub fn facts(&self, role: &str) -> Option<RoleFacts> {
        let role = self.role(role)?;
        Some(RoleFacts {
            span: role.name.span.clone(),
            description: role.description.clone(),
            owners: role.owners.iter().map(|owner| owner.value.clone()).collect(),
            sensitivity: role.sensitivity,
            frozen: self.desired.frozen.get(role.name.value.as_str()).map(|finding| finding.message.clone()),
            gives: self.gives(role),
        })
    }

    /// The keys of all edges that are asked for, as far as somebody's principals have them.
    fn keys_of(&self, principals: &BTreeSet<Address>) -> BTreeSet<GrantKey> {
        let edges = self.desired.grants.from(principals);
        let key = |(run, end): (&crate::model::grants::Run, &crate::model::grants::End)| GrantKey {
            resource: run.resource.clone(),
            relation: run.relation.clone(),
            principal: end.principal.clone(),
            condition: end.condition.clone(),
        };
        edges.into_iter().map(key).collect()
    }
}
