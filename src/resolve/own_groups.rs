//! Groups of our own: of roles, units and types of people, by the templates of `groups:`.
//!
//! Invariant: each is declared and claimed, and what it is called follows from settings and names alone.
//! It must not know what a group is given.

use std::sync::Arc;

use super::NO_SUCH_MANIFEST;
use super::principals::expand;
use super::roles::Members;
use super::runs::Part;
use super::wanted::Work;
use crate::manifest::Role;
use crate::model::Settings;
use crate::model::settings::PersonType;
use crate::model::{
    Address, Attributes, Collection, Finding, Name, Origin, Registry, Sensitivity, Spanned, Target, Through,
    Value, Wanted,
};

/// A role's own group, as a target that its members get.
pub(super) struct Own {
    pub(super) target: Target,
    /// Those of one type alone, where the groups are told apart by colour.
    pub(super) kind: Option<Name>,
}

/// What is known of a group to be made.
struct Made<'a> {
    instance: &'a Name,
    template: &'a Spanned<String>,
    origin: Origin,
    description: Option<&'a str>,
    allow_empty: bool,
    sensitivity: Sensitivity,
}

/// A template for a group of a role.
pub(super) struct Named<'a> {
    pub(super) instance: &'a Name,
    pub(super) template: &'a Spanned<String>,
    /// The people of one type alone.
    pub(super) kind: Option<&'a PersonType>,
}

/// The templates for the groups of a role: one in each identity store, or one for each type that has a colour. Where groups
/// are there to be bound by policies, only of roles that give something there.
pub(super) fn named<'a>(settings: &'a Settings, registry: &Registry, role: &Role) -> Vec<Named<'a>> {
    let mut all = Vec::new();
    for (instance, names) in &settings.groups {
        let template = if role.unit { &names.unit } else { &names.role };
        let Some(template) = template else { continue };
        let provider = settings.providers.get(instance).and_then(|one| registry.provider(&one.provider));
        let bound = provider.is_some_and(|it| it.relations.iter().any(|relation| relation.pair));
        if bound && !role.access.iter().any(|entry| entry.instance.value.as_str() == &**instance) {
            continue;
        }
        if template.contains("{color}") {
            let types = settings.types.iter().filter(|kind| kind.role_groups && kind.color.is_some());
            all.extend(types.map(|kind| Named { instance, template, kind: Some(kind) }));
        } else {
            all.push(Named { instance, template, kind: None });
        }
    }
    all
}

/// What stands for a key in the template of a role's group.
pub(super) fn value<'a>(role: &'a str, kind: Option<&'a PersonType>, key: &str) -> Option<&'a str> {
    match key {
        "role" | "unit" => Some(role),
        "color" => kind.and_then(|kind| kind.color.as_deref()),
        _ => None,
    }
}

impl Work<'_> {
    /// The role's own groups in each identity store: one, or one for each type that has a colour.
    pub(super) fn groups(&mut self, role: &Role) -> Vec<Own> {
        let mut own = Vec::new();
        let role_name = role.name.value.as_str();
        for Named { instance, template, kind } in named(&self.tree.settings, self.registry, role) {
            let of = kind.map(|kind| format!(", its people of type {}", kind.name)).unwrap_or_default();
            let origin = Origin {
                text: format!("the group of role {role_name}{of}"),
                span: role.name.span.clone(),
                chain: Vec::new(),
                role: Some(role_name.into()),
            };
            let made = Made {
                instance,
                template,
                origin,
                description: role.description.as_deref(),
                allow_empty: role.allow_empty,
                sensitivity: role.sensitivity,
            };
            let value = |key: &str| value(role_name, kind, key);
            let Some((address, relation)) = self.make(made, value) else { continue };
            self.own_groups.entry(role_name.into()).or_default().push(address.clone());
            let target = Target {
                instance: instance.clone(),
                resource: address,
                relation,
                through: Through::People,
                attributes: Attributes::new(),
                condition: None,
                native_expiry: false,
                exclusive: false,
                span: role.name.span.clone(),
            };
            own.push(Own { target, kind: kind.map(|kind| kind.name.clone()) });
        }
        own
    }

    /// The groups of all people of each type.
    pub(super) fn types(&mut self) {
        let settings = &self.tree.settings;
        for (instance, names) in &settings.groups {
            let Some(template) = &names.kind else { continue };
            for kind in &settings.types {
                if template.contains("{color}") && kind.color.is_none() {
                    continue;
                }
                let origin = Origin {
                    text: format!("everyone of type {}", kind.name),
                    span: kind.span.clone(),
                    chain: Vec::new(),
                    role: None,
                };
                let made = Made {
                    instance,
                    template,
                    origin: Origin { text: format!("the group of type {}", kind.name), ..origin.clone() },
                    description: None,
                    allow_empty: true,
                    sensitivity: Sensitivity::Low,
                };
                let value = |key: &str| match key {
                    "type" => Some(kind.name.as_ref()),
                    "color" => kind.color.as_deref(),
                    _ => None,
                };
                let Some(place) = self.make(made, value) else { continue };
                let crowd = &self.known.crowd;
                let people = crowd.of_types(std::iter::once(&kind.name));
                let people = people.into_iter().map(|number| (number, crowd.status(number)));
                let members = Members::those(people, &Arc::new(origin));
                self.parts.entry(place).or_default().push(Part::People {
                    members: Arc::new(members),
                    instance: instance.clone(),
                    link: None,
                    attributes: Attributes::new(),
                    condition: None,
                    native_expiry: false,
                    sensitivity: Sensitivity::Low,
                });
            }
        }
    }

    /// Declares a group and claims its members; its address, and the edge that makes one a member.
    fn make<'v>(
        &mut self,
        made: Made<'_>,
        value: impl Fn(&str) -> Option<&'v str>,
    ) -> Option<(Address, Name)> {
        let Made { instance, template, origin, description, allow_empty, sensitivity } = made;
        let settings = self.tree.settings.providers.get(instance)?;
        let (kind, relation) = self.registry.provider(&settings.provider)?.role_group?;
        let name = match expand(&template.value, value) {
            Ok(name) => name,
            Err(why) => {
                let message = format!("the group template for `{instance}` cannot be filled in: {why}");
                let finding = Finding::error(NO_SUCH_MANIFEST, message).at(&template.span);
                self.findings.push(finding.help("see what can stand in it: `rolecall schema Settings`"));
                return None;
            }
        };
        let address = Address::new(instance, settings.scope.scope.as_deref(), kind, &name);
        let origin = Arc::new(origin);
        let description = description.map(|text| (Name::from("description"), Value::text(text)));
        self.declare(Wanted {
            attributes: self.with_defaults(&address, description.into_iter().collect()),
            address: address.clone(),
            origin: origin.clone(),
            declared: true,
            allow_empty,
            sensitivity,
        });
        self.out.claims.insert(Collection::of_resource(&address, relation), origin);
        Some((address, relation.into()))
    }
}
