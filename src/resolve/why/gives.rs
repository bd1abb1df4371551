//! What gives a thing: roles by their access, roles by their own groups, documents that name people.
//!
//! Invariant: access entries are lowered by the provider, as resolving does; what cannot be lowered gives nothing here
//! and is a finding there.

use std::collections::BTreeSet;

use super::View;
use crate::manifest::Role;
use crate::model::explanation::Gives;
use crate::model::{AccessLowering, Address, Lowered, Origin, Span};
use crate::resolve::own_groups::{Named, named, value};
use crate::resolve::principals::expand;
use crate::resolve::wanted::native;

impl View<'_> {
    /// What a role gives: its own groups, then what its access names.
    #[must_use]
    pub fn gives(&self, role: &Role) -> Vec<Gives> {
        let mut gives: Vec<Gives> = self.groups(role);
        for entry in &role.access {
            let instance = entry.instance.value.as_str();
            let Some(settings) = self.tree.settings.providers.get(instance) else { continue };
            let Some(provider) = self.registry.provider(&settings.provider) else { continue };
            let mut targets = Vec::new();
            let mut lowering = AccessLowering {
                instance,
                scope: settings.scope.scope.as_deref(),
                scope_name: settings.scope.name.as_deref(),
                targets: &mut targets,
                findings: &mut Vec::new(),
            };
            (provider.access)(&entry.body, &mut lowering);
            gives.extend(targets.into_iter().map(|target| Gives {
                resource: target.resource,
                relation: target.relation,
                span: target.span,
            }));
        }
        gives
    }

    /// A role's own groups.
    #[must_use]
    pub fn groups(&self, role: &Role) -> Vec<Gives> {
        let all = named(&self.tree.settings, self.registry, role);
        let groups = all.into_iter().filter_map(|Named { instance, template, kind }| {
            let settings = self.tree.settings.providers.get(instance)?;
            let (group, relation) = self.registry.provider(&settings.provider)?.role_group?;
            let role_name = role.name.value.as_str();
            let name = expand(&template.value, |key| value(role_name, kind, key)).ok()?;
            Some(Gives {
                resource: Address::new(instance, settings.scope.scope.as_deref(), group, &name),
                relation: relation.into(),
                span: role.name.span.clone(),
            })
        });
        groups.collect()
    }

    /// The roles that give one of these things, each with the line that does.
    #[must_use]
    pub fn givers(&self, things: &BTreeSet<Address>) -> Vec<(&Role, Span)> {
        let mut givers = Vec::new();
        for role in &self.tree.roles {
            let gives = self.gives(role).into_iter().find(|gives| things.contains(&gives.resource));
            givers.extend(gives.map(|gives| (role, gives.span)));
        }
        givers
    }

    /// The documents that say who is in one of these things, whatever roles say.
    #[must_use]
    pub fn documents(&self, things: &BTreeSet<Address>) -> Vec<Origin> {
        let mut found = Vec::new();
        for document in &self.tree.natives {
            let mut lowered = Lowered::default();
            native(self.tree, document, &mut lowered);
            let claims = lowered.claims.iter().any(|(collection, _)| things.contains(collection.owner()));
            if claims || lowered.people.iter().any(|grant| things.contains(&grant.resource)) {
                found.push((*document.origin).clone());
            }
        }
        found
    }

    /// A thing, and the groups through which it comes: those that it is given to.
    #[must_use]
    pub fn leading_to(&self, thing: &Address) -> BTreeSet<Address> {
        let runs = self.desired.grants.runs().iter().filter(|run| run.resource == *thing);
        let roster = self.desired.grants.roster();
        let ends = runs.flat_map(|run| run.edges.iter().map(|edge| roster.end(edge.end)));
        let groups = ends.filter(|end| end.subject.is_none()).map(|end| end.principal.clone());
        groups.chain([thing.clone()]).collect()
    }
}
