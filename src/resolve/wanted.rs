//! Wanted: one side's tree becomes desired resources, grants, lapses and claims.
//!
//! Invariant: grants are sorted and unique; the same edge asked for twice keeps all origins and the later end; a
//! resource's attribute is said in one place. It must not ask what is live.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::entries::Crowd;
use super::people::{Principals, expand};
use super::roles::{Members, later, memberships};
use super::{DECLARED_TWICE, NO_SUCH_MANIFEST, NO_SUCH_PERSON, NO_SUCH_PROVIDER};
use crate::manifest::{NativeDocument, Role, Tree};
use crate::model::settings::Directory;
use crate::model::{
    AccessLowering, Address, Attributes, Collection, Desired, Finding, GrantKey, Inventory, Lapse,
    LapseCause, Lowered, Lowering, Name, Origin, Registry, Sensitivity, Span, Status, Target, Through, Value,
    Wanted, WantedGrant, any_matches, nearest,
};

/// What a tree asks for at `now`. `base` (the tree of the last verified apply) tells which dead citations are old; give
/// `None` for base itself.
#[must_use]
pub fn resolve(
    tree: &Tree,
    base: Option<&Tree>,
    inventory: &Inventory,
    registry: &Registry,
    now: Timestamp,
) -> Desired {
    let mut findings = Vec::new();
    let crowd = Crowd::of(inventory, &mut findings);
    let principals = Principals::of(tree, inventory, registry, &mut findings);
    let memberships = memberships(tree, base, &crowd, now, &mut findings);
    let mut work = Work {
        tree,
        inventory,
        registry,
        crowd,
        principals,
        grants: BTreeMap::new(),
        out: Desired {
            frozen: memberships.frozen.clone(),
            doubtful: memberships.doubtful.clone(),
            ..Desired::default()
        },
        findings,
    };
    work.removed(base);
    work.natives(base);
    for role in &tree.roles {
        let nobody = Members::default();
        work.role(role, memberships.roles.get(role.name.value.as_str()).unwrap_or(&nobody));
    }
    work.finish()
}

struct Work<'a> {
    tree: &'a Tree,
    inventory: &'a Inventory,
    registry: &'a Registry,
    crowd: Crowd<'a>,
    principals: Principals,
    grants: BTreeMap<GrantKey, WantedGrant>,
    out: Desired,
    findings: Vec<Finding>,
}

impl Work<'_> {
    /// Where manifests are the directory, whose file is gone is gone.
    fn removed(&mut self, base: Option<&Tree>) {
        if !matches!(self.tree.settings.directory, Directory::Manifests) {
            return;
        }
        for user in base.into_iter().flat_map(|base| &base.users) {
            let handle = user.name.value.as_str();
            if !self.inventory.people.contains_key(handle) {
                let origin = Origin {
                    text: format!("the `User` of {handle} is gone; base had it"),
                    span: user.name.span.clone(),
                    chain: Vec::new(),
                    role: None,
                };
                self.out.removed.insert(Address::person(handle), Arc::new(origin));
            }
        }
    }

    fn natives(&mut self, base: Option<&Tree>) {
        let mut lowered = Lowered::default();
        for document in &self.tree.natives {
            native(self.tree, document, &mut lowered);
        }
        let mut old = Lowered::default();
        for document in base.into_iter().flat_map(|base| &base.natives) {
            native(base.unwrap_or(self.tree), document, &mut old);
        }
        let cited: BTreeSet<(Address, String)> =
            old.people.into_iter().map(|grant| (grant.resource, grant.handle.value)).collect();
        for resource in lowered.resources {
            self.declare(Wanted {
                attributes: self.with_defaults(&resource.address, resource.attributes),
                address: resource.address,
                origin: resource.origin,
                declared: true,
                allow_empty: resource.allow_empty,
                sensitivity: Sensitivity::Low,
            });
        }
        for (address, span) in lowered.references {
            if !self.out.resources.contains_key(&address) {
                self.missing(&address, &span);
            }
        }
        for (collection, origin) in lowered.claims {
            self.out.claims.entry(collection).or_insert(origin);
        }
        for (key, attributes, origin) in lowered.grants {
            let subject = self.principals.people.get(&key.principal).cloned();
            self.want(key, attributes, &[origin], None, subject, Sensitivity::Low);
        }
        for grant in lowered.people {
            let Some(number) = self.crowd.number(&grant.handle.value) else {
                if self.inventory.incomplete.is_empty() {
                    let handle = &grant.handle.value;
                    let finding = if cited.contains(&(grant.resource, handle.clone())) {
                        // What he still has waits, like that of everyone who is missing.
                        let message = format!("`{handle}` is not in the directory any more");
                        Finding::warning(NO_SUCH_PERSON, message)
                            .help("remove him here once he is known to have left")
                    } else {
                        let near = nearest(handle, self.inventory.people.keys().map(AsRef::as_ref));
                        let help = near.map_or("name a person of the directory".to_owned(), |near| {
                            format!("did you mean `{near}`?")
                        });
                        Finding::error(NO_SUCH_PERSON, format!("nobody has the handle `{handle}`")).help(help)
                    };
                    self.findings.push(finding.at(&grant.handle.span));
                }
                continue;
            };
            let target = Target {
                instance: grant.resource.instance().into(),
                resource: grant.resource,
                relation: grant.relation,
                through: Through::People,
                attributes: grant.attributes,
                span: grant.handle.span.clone(),
            };
            self.give(number, &target, &[grant.origin], None, Sensitivity::Low, None);
        }
        self.findings.extend(lowered.findings);
    }

    fn with_defaults(&self, address: &Address, mut attributes: Attributes) -> Attributes {
        let provider = self.tree.settings.providers.get(address.instance());
        let schema =
            provider.and_then(|p| self.registry.provider(&p.provider)).and_then(|p| p.schema(address.kind()));
        for attribute in schema.iter().flat_map(|schema| &schema.attributes) {
            if let Some(default) = &attribute.default {
                attributes.entry(attribute.name.clone()).or_insert_with(|| default.clone());
            }
        }
        attributes
    }

    fn declare(&mut self, wanted: Wanted) {
        match self.out.resources.entry(wanted.address.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(wanted);
            }
            // An access entry that names it says nothing new; a declaration wins over a name.
            Entry::Occupied(mut slot) if !slot.get().declared => {
                slot.insert(wanted);
            }
            Entry::Occupied(_) if !wanted.declared => {}
            Entry::Occupied(slot) => self.findings.push(
                Finding::error(DECLARED_TWICE, format!("`{}` is declared twice", wanted.address))
                    .at(&wanted.origin.span)
                    .note(format!("it is declared at {} too", slot.get().origin.span))
                    .help("keep one of them"),
            ),
        }
    }

    fn missing(&mut self, address: &Address, span: &Span) {
        let names: Vec<String> = self
            .out
            .resources
            .keys()
            .filter(|other| other.place() == address.place() && other.kind() == address.kind())
            .map(|other| other.name().into_owned())
            .collect();
        let finding = Finding::error(
            NO_SUCH_MANIFEST,
            format!("no manifest declares the {} `{}`", address.kind(), address.name()),
        );
        let help = match nearest(&address.name(), names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "declare it, write `managed:NAME` for the vendor's own, or its full address if it only lives there".into(),
        };
        self.findings.push(finding.at(span).help(help));
    }

    fn role(&mut self, role: &Role, members: &Members) {
        let groups = self.groups(role);
        let mut targets = Vec::new();
        for entry in &role.access {
            let instance = entry.instance.value.as_str();
            let Some(settings) = self.tree.settings.providers.get(instance) else {
                let message = format!("`{instance}` is not in `providers:`");
                self.findings.push(Finding::error(NO_SUCH_PROVIDER, message).at(&entry.instance.span));
                continue;
            };
            let Some(provider) = self.registry.provider(&settings.provider) else { continue };
            let mut lowering = AccessLowering {
                instance,
                scope: settings.scope.scope.as_deref(),
                scope_name: settings.scope.name.as_deref(),
                targets: &mut targets,
                findings: &mut self.findings,
            };
            (provider.access)(&entry.body, &mut lowering);
        }
        for target in &targets {
            self.name(role, target);
            if target.through == Through::Group {
                for group in groups.iter().filter(|group| group.instance == target.instance) {
                    let key = GrantKey::new(&group.resource, &target.relation, &target.resource);
                    let origin = access_origin(role, target);
                    self.want(key, target.attributes.clone(), &[origin], None, None, role.sensitivity);
                }
            }
        }
        targets.retain(|target| target.through == Through::People);
        for target in &targets {
            self.members(
                role,
                target,
                members,
                &mut Linked::to(format!("role {} gives it ({})", role.name.value, target.span)),
            );
        }
        for group in &groups {
            self.members(role, group, members, &mut Linked::default());
        }
    }

    /// Gives a target to all members of a role.
    fn members(&mut self, role: &Role, target: &Target, members: &Members, linked: &mut Linked) {
        for (number, membership) in &members.current {
            let origins: Vec<_> = membership.origins.iter().map(|origin| linked.origin(origin)).collect();
            self.give(*number, target, &origins, membership.until, role.sensitivity, None);
        }
        for (number, (cause, origin)) in &members.lapsed {
            if !members.current.contains_key(number) {
                self.give(*number, target, &[linked.origin(origin)], None, role.sensitivity, Some(*cause));
            }
        }
    }

    /// The role's own group in each identity store, declared and claimed, as targets that its members get.
    fn groups(&mut self, role: &Role) -> Vec<Target> {
        let mut targets = Vec::new();
        for (instance, template) in &self.tree.settings.groups {
            let Some(settings) = self.tree.settings.providers.get(instance) else { continue };
            let Some(provider) = self.registry.provider(&settings.provider) else { continue };
            let Some((kind, relation)) = provider.role_group else { continue };
            let name = match expand(&template.value, |key| (key == "role").then(|| role.name.value.clone())) {
                Ok(name) => name,
                Err(why) => {
                    let message = format!("the group template for `{instance}` cannot be filled in: {why}");
                    let help = "only `{role}` can stand in it";
                    self.findings
                        .push(Finding::error(NO_SUCH_MANIFEST, message).at(&template.span).help(help));
                    continue;
                }
            };
            let address = Address::new(instance, settings.scope.scope.as_deref(), kind, &name);
            let origin = Arc::new(Origin {
                text: format!("the group of role {}", role.name.value),
                span: role.name.span.clone(),
                chain: Vec::new(),
                role: Some(role.name.value.as_str().into()),
            });
            let description =
                role.description.as_ref().map(|text| (Name::from("description"), Value::text(text.as_str())));
            self.declare(Wanted {
                attributes: self.with_defaults(&address, description.into_iter().collect()),
                address: address.clone(),
                origin: origin.clone(),
                declared: true,
                allow_empty: role.allow_empty,
                sensitivity: role.sensitivity,
            });
            self.out.claims.insert(Collection::of_resource(&address, relation), origin);
            targets.push(Target {
                instance: instance.clone(),
                resource: address,
                relation: relation.into(),
                through: Through::People,
                attributes: Attributes::new(),
                span: role.name.span.clone(),
            });
        }
        targets
    }

    /// Takes note of what an access entry names.
    fn name(&mut self, role: &Role, target: &Target) {
        let origin = access_origin(role, target);
        if !target.resource.is_reserved() {
            self.declare(Wanted {
                address: target.resource.clone(),
                attributes: Attributes::new(),
                origin: origin.clone(),
                declared: false,
                allow_empty: true,
                sensitivity: role.sensitivity,
            });
        }
        self.out.named.entry(target.resource.clone()).or_insert(origin);
    }

    /// Gives a person an edge, or notes why he does not have it.
    fn give(
        &mut self,
        number: u32,
        target: &Target,
        origins: &[Arc<Origin>],
        until: Option<Timestamp>,
        sensitivity: Sensitivity,
        lapse: Option<LapseCause>,
    ) {
        let Some(person) = self.crowd.person(number) else { return };
        let lapse = lapse.or(match person.status {
            Status::Active => None,
            Status::Left => Some(LapseCause::Left),
            Status::Suspended => Some(LapseCause::Suspended),
            Status::Staged => Some(LapseCause::NotYet),
        });
        let subject = Address::person(&person.handle);
        let principal = match self.principals.find(&person.handle, &target.instance) {
            Ok(principal) => principal.clone(),
            Err(finding) => {
                if lapse.is_none() {
                    self.findings.push(finding);
                }
                return;
            }
        };
        let key = GrantKey::new(&principal, &target.relation, &target.resource);
        match (lapse, origins.first()) {
            (Some(cause), Some(origin)) => {
                let text = match cause {
                    LapseCause::Left => format!("{} has left; {}", person.handle, origin.text),
                    LapseCause::Suspended => format!("{} is suspended; {}", person.handle, origin.text),
                    LapseCause::NotYet if person.status == Status::Staged => {
                        format!("{} is not there yet; {}", person.handle, origin.text)
                    }
                    LapseCause::Expired | LapseCause::NotYet | LapseCause::Excepted => origin.text.clone(),
                };
                let origin = Arc::new(Origin { text, ..(**origin).clone() });
                let lapse = Lapse { cause, origin, subject: Some(subject) };
                self.out.lapsed.entry(key).or_insert(lapse);
            }
            _ => self.want(key, target.attributes.clone(), origins, until, Some(subject), sensitivity),
        }
    }

    fn want(
        &mut self,
        key: GrantKey,
        attributes: Attributes,
        origins: &[Arc<Origin>],
        until: Option<Timestamp>,
        subject: Option<Address>,
        sensitivity: Sensitivity,
    ) {
        match self.grants.entry(key.clone()) {
            Entry::Vacant(slot) => {
                let mut origins = origins.to_vec();
                origins.sort();
                origins.dedup();
                slot.insert(WantedGrant { key, attributes, origins, until, subject, sensitivity });
            }
            Entry::Occupied(mut slot) => {
                let grant = slot.get_mut();
                grant.origins.extend_from_slice(origins);
                grant.origins.sort();
                grant.origins.dedup();
                grant.until = later(grant.until, until);
                grant.sensitivity = grant.sensitivity.max(sensitivity);
            }
        }
    }

    fn finish(mut self) -> Desired {
        let wanted = &self.grants;
        self.out.lapsed.retain(|key, _| !wanted.contains_key(key));
        self.out.grants = self.grants.into_values().collect();
        self.out.people = self.principals.people;
        self.out.gone = self
            .inventory
            .people
            .values()
            .filter(|person| matches!(person.status, Status::Left | Status::Suspended))
            .map(|person| Address::person(&person.handle))
            .collect();
        self.findings.sort_by(|a, b| (&a.span, &a.code, &a.message).cmp(&(&b.span, &b.code, &b.message)));
        self.findings.dedup();
        self.out.findings = self.findings;
        self.out
    }
}

/// What a document of a tree says in the provider's words.
fn native(tree: &Tree, document: &NativeDocument, lowered: &mut Lowered) {
    let Some(settings) = tree.settings.providers.get(&document.instance) else { return };
    let scope = &settings.scope;
    if !document.accounts.is_empty() {
        let patterns: Vec<_> = document.accounts.iter().map(|pattern| pattern.value.clone()).collect();
        let names = [scope.scope.as_deref(), scope.name.as_deref()];
        if !names.iter().flatten().any(|name| any_matches(&patterns, name)) {
            return;
        }
    }
    let mut lowering = Lowering {
        instance: &document.instance,
        scope: scope.scope.as_deref(),
        name: &document.name,
        origin: document.origin.clone(),
        sources: &tree.sources,
        out: lowered,
    };
    document.body.lower(&mut lowering);
}

/// Origins with one more link at the end of their chain, each made once.
#[derive(Default)]
struct Linked {
    link: Option<String>,
    made: BTreeMap<Arc<Origin>, Arc<Origin>>,
}

impl Linked {
    fn to(link: String) -> Self {
        Self { link: Some(link), made: BTreeMap::new() }
    }

    fn origin(&mut self, origin: &Arc<Origin>) -> Arc<Origin> {
        let Some(link) = &self.link else { return origin.clone() };
        let made = self.made.entry(origin.clone()).or_insert_with(|| {
            let mut linked = (**origin).clone();
            linked.chain.push(link.clone());
            Arc::new(linked)
        });
        made.clone()
    }
}

fn access_origin(role: &Role, target: &Target) -> Arc<Origin> {
    Arc::new(Origin {
        text: format!("role {} gives it", role.name.value),
        span: target.span.clone(),
        chain: Vec::new(),
        role: Some(role.name.value.as_str().into()),
    })
}
