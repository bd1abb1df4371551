//! Wanted: one side's tree becomes desired resources, grants, lapses and claims.
//!
//! Invariant: a resource's attribute is said in one place; edges are gathered by resource and made by `runs`, and what
//! another tree asks for alike is not made again. It must not ask what is live.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::duties::{self, Jobs};
use super::entries::Crowd;
use super::own_groups::Own;
use super::principals::Principals;
use super::roles::{Members, Memberships, memberships};
use super::runs::{Made, Maker, Part, conditional, end_of};
use super::{DECLARED_TWICE, NO_SUCH_MANIFEST, NO_SUCH_PERSON, NO_SUCH_PROVIDER, When};
use crate::manifest::{NativeDocument, Role, Tree};
use crate::model::grants::{End, Roster};
use crate::model::settings::Directory;
use crate::model::{
    AccessLowering, Address, Attributes, Collection, Desired, Finding, GrantKey, Grants, Inventory, Lowered,
    Lowering, Name, Origin, Registry, Sensitivity, Span, Status, Target, Terms, Through, Wanted, WantedGrant,
    any_matches, nearest,
};

/// People as one tree sees them, indexed.
pub(super) struct Known<'a> {
    inventory: &'a Inventory,
    pub(super) crowd: Crowd<'a>,
    pub(super) principals: Principals,
    /// Who is suspended by a document, by number.
    suspended: BTreeMap<u32, Arc<Origin>>,
    findings: Vec<Finding>,
}

impl<'a> Known<'a> {
    pub(super) fn of(tree: &Tree, inventory: &'a Inventory, registry: &Registry) -> Self {
        let mut findings = Vec::new();
        let crowd = Crowd::of(inventory, &mut findings);
        let principals = Principals::of(tree, inventory, registry, &mut findings);
        let suspended = duties::suspended(tree, &crowd);
        Self { inventory, crowd, principals, suspended, findings }
    }
}

/// What was asked for by each relation on each resource, and what it came to.
type Runs = BTreeMap<(Address, Name), (Vec<Part>, Made)>;

/// What a tree asks for, place by place, before edges are made of it.
pub(super) struct Asked<'t> {
    pub(super) memberships: Memberships<'t>,
    jobs: Jobs<'t>,
    work: Work<'t>,
}

impl Asked<'_> {
    /// Says who does not have exactly one job; as an error, where `base` gave him one.
    pub(super) fn judge_jobs(&mut self, base: Option<&Asked<'_>>) {
        let found = self.jobs.findings(base.map(|base| &base.jobs));
        self.work.findings.extend(found);
    }
}

/// What a tree asks for at `now`. `base` (the tree of the last verified apply) tells which dead citations are old; give
/// `None` for base itself. `like` is what another tree asks for, of the same people, from the same settings.
pub(super) fn asked<'t>(
    tree: &'t Tree,
    base: Option<&Tree>,
    known: &'t Known<'t>,
    like: Option<&Asked<'_>>,
    registry: &'t Registry,
    when: When<'_>,
) -> Asked<'t> {
    let mut findings = known.findings.clone();
    let memberships =
        memberships(tree, base, &known.crowd, like.map(|like| &like.memberships), when, &mut findings);
    let mut work = Work {
        tree,
        registry,
        known,
        parts: BTreeMap::new(),
        own_groups: BTreeMap::new(),
        given: BTreeMap::new(),
        out: Desired {
            frozen: memberships.frozen.clone(),
            doubtful: memberships.doubtful.clone(),
            sessions: memberships.sessions.clone(),
            dead: memberships.dead.clone(),
            ..Desired::default()
        },
        findings,
    };
    work.removed(base);
    work.natives(base);
    for role in &tree.roles {
        let members = memberships.roles.get(role.name.value.as_str()).cloned().unwrap_or_default();
        work.role(role, &members);
    }
    work.types();
    work.out.apart = duties::apart(tree, &work.own_groups, &work.given);
    let jobs = Jobs::of(tree, &memberships, &known.crowd);
    Asked { memberships, jobs, work }
}

/// Makes edges of what each tree asks for; what trees ask for alike is made once, and shared.
pub(super) fn made<'t>(known: &Known<'_>, asked: impl IntoIterator<Item = Asked<'t>>) -> Vec<Desired> {
    let works: Vec<Work<'_>> = asked.into_iter().map(|asked| asked.work).collect();
    let parts = works.iter().flat_map(|work| work.parts.values().flatten());
    let mut ends: Vec<End> = known.principals.ends().collect();
    for part in parts {
        match part {
            Part::Edge(edge) => ends.push(end_of(edge)),
            Part::People { members, instance, condition: Some(condition), .. } => {
                let people = members.current.iter().map(|(person, _)| *person);
                let people = people.chain(members.lapsed.keys().copied()).collect();
                let plain = known.principals.ends_of(instance, &people);
                ends.extend(plain.iter().map(|end| conditional(end, condition)));
            }
            Part::People { .. } => {}
        }
    }
    let roster = Arc::new(Roster::of(ends));
    let maker = Maker::new(&known.crowd, &known.principals, &known.suspended, &roster);
    let mut like = Runs::new();
    let mut all = Vec::new();
    for work in works {
        let (desired, runs) = work.finish(&maker, &roster, &like);
        all.push(desired);
        like = runs;
    }
    all
}

pub(super) struct Work<'a> {
    pub(super) tree: &'a Tree,
    pub(super) registry: &'a Registry,
    pub(super) known: &'a Known<'a>,
    /// What is asked for, by resource and relation, in the order in which it is asked for.
    pub(super) parts: BTreeMap<(Address, Name), Vec<Part>>,
    /// The groups of each role's own.
    pub(super) own_groups: BTreeMap<Name, Vec<Address>>,
    /// What each role gives to its people.
    given: BTreeMap<Name, BTreeSet<Address>>,
    pub(super) out: Desired,
    pub(super) findings: Vec<Finding>,
}

impl Work<'_> {
    /// Where manifests are the directory, whose file is gone is gone.
    fn removed(&mut self, base: Option<&Tree>) {
        if !matches!(self.tree.settings.directory, Directory::Manifests) {
            return;
        }
        for user in base.into_iter().flat_map(|base| &base.users) {
            let handle = user.name.value.as_str();
            if !self.known.inventory.people.contains_key(handle) {
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
            let subject = self.known.principals.people.get(&key.principal).cloned();
            // Who is out of everything is so of what his own account's document gives him, too.
            let status = subject.as_ref().and_then(|person| self.known.crowd.number(&person.name()));
            let status = status.map(|number| self.known.crowd.status(number));
            if matches!(status, Some(Status::Left | Status::Suspended)) {
                continue;
            }
            self.pair(&key.resource, &key.relation, &origin);
            self.want(key, attributes, origin, subject, Sensitivity::Low);
        }
        for grant in lowered.people {
            let Some(number) = self.known.crowd.number(&grant.handle.value) else {
                if self.known.inventory.incomplete.is_empty() {
                    let handle = &grant.handle.value;
                    let finding = if cited.contains(&(grant.resource, handle.clone())) {
                        // What he still has waits, like that of everyone who is missing.
                        let message = format!("`{handle}` is not in the directory any more");
                        Finding::warning(NO_SUCH_PERSON, message)
                            .help("remove him here once he is known to have left")
                    } else {
                        let near = nearest(handle, self.known.inventory.people.keys().map(AsRef::as_ref));
                        let finding =
                            Finding::error(NO_SUCH_PERSON, format!("nobody has the handle `{handle}`"));
                        match near {
                            Some(near) => finding.meant(near),
                            None => finding.help("name a person of the directory"),
                        }
                    };
                    self.findings.push(finding.at(&grant.handle.span));
                }
                continue;
            };
            let status = self.known.crowd.person(number).map_or(Status::Left, |person| person.status);
            let instance = grant.resource.instance().into();
            self.parts.entry((grant.resource, grant.relation)).or_default().push(Part::People {
                members: Arc::new(Members::those(std::iter::once((number, status)), &grant.origin)),
                instance,
                link: None,
                attributes: grant.attributes,
                condition: None,
                native_expiry: false,
                sensitivity: Sensitivity::Low,
            });
        }
        self.findings.extend(lowered.findings);
    }

    pub(super) fn with_defaults(&self, address: &Address, mut attributes: Attributes) -> Attributes {
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

    pub(super) fn declare(&mut self, wanted: Wanted) {
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

    fn role(&mut self, role: &Role, members: &Arc<Members>) {
        let mut groups = self.groups(role);
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
        for target in &mut targets {
            self.name(role, target);
            let mut own = groups.iter().filter(|group| group.target.instance == target.instance).peekable();
            // Where a role has no group, each of its people gets the edge.
            if own.peek().is_none() {
                target.through = Through::People;
            }
            for group in own.filter(|_| target.through == Through::Group) {
                let key = GrantKey {
                    condition: target.condition.clone(),
                    ..GrantKey::new(&group.target.resource, &target.relation, &target.resource)
                };
                let origin = access_origin(role, target);
                self.want(key, target.attributes.clone(), origin, None, role.sensitivity);
            }
        }
        // What the group is given has no end of its own: it ends with each one's place in the group.
        for own in &mut groups {
            own.target.native_expiry = targets.iter().any(|target| {
                target.native_expiry
                    && target.through == Through::Group
                    && target.instance == own.target.instance
            });
        }
        targets.retain(|target| target.through == Through::People);
        let given = targets.iter().map(|target| target.resource.clone()).collect();
        self.given.insert(role.name.value.as_str().into(), given);
        for target in targets {
            let link = format!("role {} gives it ({})", role.name.value, target.span);
            self.members(role, target, members, Some(link));
        }
        for Own { target, kind } in groups {
            let members = match kind {
                Some(kind) => Arc::new(members.only(&self.known.crowd.of_types(std::iter::once(&kind)))),
                None => members.clone(),
            };
            self.members(role, target, &members, None);
        }
    }

    /// Gives a target to all members of a role.
    fn members(&mut self, role: &Role, target: Target, members: &Arc<Members>, link: Option<String>) {
        let Target { instance, resource, relation, attributes, condition, native_expiry, .. } = target;
        self.parts.entry((resource, relation)).or_default().push(Part::People {
            members: members.clone(),
            instance,
            link,
            attributes,
            condition,
            native_expiry,
            sensitivity: role.sensitivity,
        });
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
        if target.exclusive {
            let all = Collection::of_resource(&target.resource, &target.relation);
            self.out.claims.entry(all).or_insert_with(|| origin.clone());
        }
        self.pair(&target.resource, &target.relation, &origin);
        self.out.named.entry(target.resource.clone()).or_insert(origin);
    }

    /// Takes note that edges of a relation on a resource are named, where authority over it goes pair by pair.
    fn pair(&mut self, resource: &Address, relation: &Name, origin: &Arc<Origin>) {
        let settings = self.tree.settings.providers.get(resource.instance());
        let provider = settings.and_then(|settings| self.registry.provider(&settings.provider));
        if provider.is_some_and(|provider| provider.is_pair(relation)) {
            let pair = (resource.clone(), relation.clone());
            self.out.pairs.entry(pair).or_insert_with(|| origin.clone());
        }
    }

    /// Asks for one edge.
    fn want(
        &mut self,
        key: GrantKey,
        attributes: Attributes,
        origin: Arc<Origin>,
        subject: Option<Address>,
        sensitivity: Sensitivity,
    ) {
        let terms = Arc::new(Terms { attributes, origins: vec![origin], until: None, sensitivity });
        let place = (key.resource.clone(), key.relation.clone());
        self.parts.entry(place).or_default().push(Part::Edge(WantedGrant { key, subject, terms }));
    }

    fn finish(mut self, maker: &Maker<'_>, roster: &Arc<Roster>, like: &Runs) -> (Desired, Runs) {
        let Known { crowd, principals, .. } = self.known;
        let mut runs = BTreeMap::new();
        let (mut grants, mut lapsed, mut nameless) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (place, parts) in std::mem::take(&mut self.parts) {
            let same = like.get(&place).filter(|(theirs, _)| *theirs == parts);
            let made = match same {
                Some((_, made)) => made.clone(),
                None => maker.make(&place.0, &place.1, &parts),
            };
            grants.extend(made.run.clone());
            lapsed.extend(made.lapsed.iter().cloned());
            nameless.extend(made.nameless.iter().cloned());
            runs.insert(place, (parts, made));
        }
        for (number, instance) in nameless {
            if let Some(person) = crowd.person(number) {
                self.findings.push(principals.why_none(number, &person.handle, &instance));
            }
        }
        self.out.grants = Grants::of(roster.clone(), grants);
        self.out.lapsed = lapsed.into_iter().collect();
        self.out.people = principals.people.clone();
        let gone = |number| matches!(crowd.status(number), Status::Left | Status::Suspended);
        let persons = (0..).zip(&principals.persons).filter(|(number, _)| gone(*number));
        self.out.gone = persons.map(|(_, person)| person.clone()).collect();
        self.findings.sort_by(|a, b| (&a.span, &a.code, &a.message).cmp(&(&b.span, &b.code, &b.message)));
        self.findings.dedup();
        self.out.findings = self.findings;
        (self.out, runs)
    }
}

/// What a document of a tree says in the provider's words.
pub(super) fn native(tree: &Tree, document: &NativeDocument, lowered: &mut Lowered) {
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
        scope_name: scope.name.as_deref(),
        name: &document.name,
        origin: document.origin.clone(),
        sources: &tree.sources,
        out: lowered,
    };
    document.body.lower(&mut lowering);
}

fn access_origin(role: &Role, target: &Target) -> Arc<Origin> {
    Arc::new(Origin {
        text: format!("role {} gives it", role.name.value),
        span: target.span.clone(),
        chain: Vec::new(),
        role: Some(role.name.value.as_str().into()),
    })
}
