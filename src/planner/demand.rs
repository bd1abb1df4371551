//! What must be observed before a plan, and what memory keeps after an apply: D of the next plan.
//!
//! Invariant: what was not seen to be true says so and keeps its cause; drift never changes what was demanded.
//! It must not forget what could not be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::DEMAND_FORMAT;
use crate::model::plan::Standing;
use crate::model::{
    Address, Attributes, Cause, Change, Coverage, Demand, DemandState, DemandedField, DemandedGrant, Desired,
    Digest, GrantKey, May, Name, Op, Origin, Ownership, Plan, Schemas, Snapshot, Terms, Value,
};

use super::edges::{holds, is_read};
use super::fields::is_satisfied;
use super::resources::EXISTENCE;

/// Whose edges must be observed, by instance: owners of claimed collections, what roles name, what wanted and demanded
/// edges are on, and what base declared and head does not. What neither side owns is left out: nothing of it can change.
#[must_use]
pub fn scopes(
    head: &Desired,
    base: Option<&Desired>,
    demand: Option<&Demand>,
    own: &Ownership,
    own_base: Option<&Ownership>,
    schemas: &Schemas,
) -> BTreeMap<Name, BTreeSet<Address>> {
    let mut wanted: BTreeSet<&Address> = BTreeSet::new();
    for desired in std::iter::once(head).chain(base) {
        wanted.extend(desired.claims.keys().map(crate::model::Collection::owner));
        // Whoever was to have it may have left, and what he still has there is ours to take.
        wanted.extend(desired.named.keys());
        for run in desired.grants.runs() {
            match run.resource.is_reserved() {
                true => wanted
                    .extend(run.edges.iter().map(|edge| &desired.grants.roster().end(edge.end).principal)),
                false => _ = wanted.insert(&run.resource),
            }
        }
    }
    // Neighbours in the list are mostly on the same thing.
    let mut last = None;
    for GrantKey { resource, principal, .. } in
        demand.into_iter().flat_map(|demand| &demand.grants).map(|grant| &grant.key)
    {
        if last.replace(resource) != Some(resource) || resource.is_reserved() {
            wanted.insert(if resource.is_reserved() { principal } else { resource });
        }
    }
    let declared = base.into_iter().flat_map(|base| base.resources.values()).filter(|wanted| wanted.declared);
    wanted.extend(declared.map(|wanted| &wanted.address).filter(|a| !head.resources.contains_key(*a)));

    let is_owned = |address: &Address| {
        let plural = schemas.of(address).map_or(address.kind(), |schema| &schema.plural);
        std::iter::once(own).chain(own_base).any(|own| own.may(address, plural) > May::Look)
    };
    let mut scopes: BTreeMap<Name, BTreeSet<Address>> = BTreeMap::new();
    for address in wanted.into_iter().filter(|address| !address.is_reserved() && is_owned(address)) {
        scopes.entry(address.instance().into()).or_default().insert(address.clone());
    }
    scopes
}

/// What is declared of fields that take a call each to read, by instance and resource: head's word, else base's.
#[must_use]
pub fn declared_fields(
    head: &Desired,
    base: Option<&Desired>,
    schemas: &Schemas,
) -> BTreeMap<Name, BTreeMap<Address, Attributes>> {
    let mut fields: BTreeMap<Name, BTreeMap<Address, Attributes>> = BTreeMap::new();
    let sides = std::iter::once(head).chain(base);
    let wanted = sides.flat_map(|side| side.resources.values()).filter(|wanted| wanted.declared);
    for wanted in wanted {
        let Some(schema) = schemas.of(&wanted.address) else { continue };
        for attribute in schema.attributes.iter().filter(|attribute| attribute.flags.on_demand) {
            let Some(value) = wanted.attributes.get(&attribute.name) else { continue };
            let of = fields.entry(wanted.address.instance().into()).or_default();
            let of = of.entry(wanted.address.clone()).or_default();
            of.entry(attribute.name.clone()).or_insert_with(|| value.clone());
        }
    }
    fields
}

/// What is demanded once a plan was applied, and whether it was seen to be true in `live_after`. `states` says of each
/// effect that was tried what became of it; of one that is not there and not seen to be true, that it is unfinished.
#[must_use]
pub fn remember(
    head: &Desired,
    before: Option<&Demand>,
    plan: &Plan,
    live_after: &Snapshot,
    schemas: &Schemas,
    states: &BTreeMap<Digest, DemandState>,
) -> Demand {
    let memory = Memory::new(before, plan, live_after, states);
    let mut demand = Demand { format: DEMAND_FORMAT.to_owned(), ..Demand::default() };
    memory.wanted_grants(head, &mut demand);
    memory.unwanted_grants(head, &mut demand);
    demand.normalize();
    memory.resources(head, schemas, &mut demand);
    demand.begun = begun(head, before, plan.created, live_after);
    demand
}

/// When sessions began: with the apply after which something of the role, or of one that leads through it, was first seen
/// with the person. One that has ended is remembered for as long as head asks for it, or it would begin again.
fn begun(
    head: &Desired,
    before: Option<&Demand>,
    at: jiff::Timestamp,
    live_after: &Snapshot,
) -> BTreeMap<Name, jiff::Timestamp> {
    let mut begun = BTreeMap::new();
    let mut open: BTreeMap<&Address, Vec<(&Name, &Name)>> = BTreeMap::new();
    for (name, session) in &head.sessions {
        match before.and_then(|before| before.begun.get(name)) {
            Some(at) => drop(begun.insert(name.clone(), *at)),
            None => open.entry(&session.person).or_default().push((&session.role, name)),
        }
    }
    if open.is_empty() {
        return begun;
    }
    for grant in &head.grants {
        let Some(sessions) = grant.subject.as_ref().and_then(|person| open.get(person)) else { continue };
        for (role, name) in sessions {
            let leads = grant.terms.origins.iter().any(|origin| origin.leads_through(role));
            if leads && live_after.grant(&grant.key).is_some() {
                begun.insert((*name).clone(), at);
            }
        }
    }
    begun
}

/// What memory is made of.
struct Memory<'a> {
    grants: BTreeMap<&'a GrantKey, &'a DemandedGrant>,
    fields: BTreeMap<&'a Address, &'a BTreeMap<Name, DemandedField>>,
    /// What was to be done to each edge and resource, and the state of what is not seen to be true.
    edges: BTreeMap<&'a GrantKey, (&'a Change, DemandState)>,
    things: BTreeMap<&'a Address, (&'a Change, DemandState)>,
    live: &'a Snapshot,
    /// When the plan was made.
    at: jiff::Timestamp,
}

impl<'a> Memory<'a> {
    fn new(
        before: Option<&'a Demand>,
        plan: &'a Plan,
        live: &'a Snapshot,
        states: &BTreeMap<Digest, DemandState>,
    ) -> Self {
        let tried = plan.changes.iter().map(|change| {
            let state = match states.get(&change.effect) {
                // Done, and not to be seen yet: the provider lags.
                Some(DemandState::True) => DemandState::Pending,
                Some(state) => *state,
                None => DemandState::Unfinished,
            };
            (change, state)
        });
        let held = plan.held.iter().map(|held| (&held.change, DemandState::Held));
        let (mut edges, mut things) = (BTreeMap::new(), BTreeMap::new());
        for (change, state) in tried.chain(held).filter(|(change, _)| change.op.writes()) {
            match &change.grant {
                Some(key) => edges.insert(key, (change, state)).map(drop),
                None => things.insert(&change.address, (change, state)).map(drop),
            };
        }
        let grants = before.into_iter().flat_map(|demand| &demand.grants);
        let fields = before.into_iter().flat_map(|demand| &demand.resources);
        Self {
            grants: grants.map(|grant| (&grant.key, grant)).collect(),
            fields: fields.collect(),
            edges,
            things,
            live,
            at: plan.created,
        }
    }

    fn wanted_grants(&self, head: &Desired, demand: &mut Demand) {
        // Neighbours are mostly wanted on the same terms.
        let mut last: Option<(Arc<Terms>, Arc<[Name]>)> = None;
        for wanted in &head.grants {
            let Some(origin) = wanted.origins.first() else { continue };
            let live = self.live.grant(&wanted.key);
            let is_true = live.is_some_and(|live| live.via.is_some() || holds(live, &wanted.attributes));
            let before = self.grants.get(&wanted.key).filter(|g| g.want.as_ref() == Some(&wanted.attributes));
            let change = self.edges.get(&wanted.key).filter(|(change, _)| !change.op.is_removal());
            let (state, cause) = standing_of(is_true, change, before.map(|grant| (grant.state, grant.cause)));
            let roles = match &last {
                Some((terms, roles)) if Arc::ptr_eq(terms, &wanted.terms) => Arc::clone(roles),
                _ => roles_of(&wanted.origins),
            };
            last = Some((wanted.terms.clone(), roles.clone()));
            demand.grants.push(DemandedGrant {
                key: wanted.key.clone(),
                want: Some(wanted.attributes.clone()),
                state,
                cause,
                standing: match change {
                    Some((change, _)) => change.standing,
                    None => before.and_then(|grant| grant.standing),
                },
                subject: wanted.subject.clone(),
                reason: origin.clone(),
                roles,
                until: wanted.until,
                since: None,
            });
        }
    }

    /// Since when a mover's edge is to be gone: since the first run that saw it.
    fn since(&self, key: &GrantKey, change: &Change) -> Option<jiff::Timestamp> {
        let before = self.grants.get(key).and_then(|before| before.since);
        (change.standing == Some(Standing::Mover)).then(|| before.unwrap_or(self.at))
    }

    /// Edges that are to be gone and are not, or of which that is not known.
    fn unwanted_grants(&self, head: &Desired, demand: &mut Demand) {
        let is_wanted = |key: &GrantKey| head.grant(key).is_some();
        for (key, (change, state)) in &self.edges {
            if change.op == Op::Revoke
                && !is_wanted(key)
                && (self.live.grant(key).is_some() || !is_read(self.live, key))
            {
                demand.grants.push(DemandedGrant {
                    key: (*key).clone(),
                    want: None,
                    state: *state,
                    cause: change.cause,
                    standing: change.standing,
                    subject: change.subject.clone(),
                    reason: Arc::new(change.reason.clone()),
                    roles: self.grants.get(*key).map_or_else(|| Arc::from([]), |before| before.roles.clone()),
                    until: None,
                    since: self.since(key, change),
                });
            }
        }
        // What hangs on a thing that is to go is to go with it, as long as that has not come true.
        for (address, (change, state)) in &self.things {
            if change.op != Op::Delete || !self.live.resources.contains_key(*address) {
                continue;
            }
            let hanging = self.live.edges_on(address).iter().filter(|live| live.via.is_none());
            for key in hanging.map(|live| &live.key) {
                if is_wanted(key) || self.edges.contains_key(key) {
                    continue;
                }
                let before = self.grants.get(key);
                demand.grants.push(DemandedGrant {
                    key: key.clone(),
                    want: None,
                    state: *state,
                    cause: change.cause,
                    standing: change.standing,
                    subject: before.and_then(|before| before.subject.clone()),
                    reason: Arc::new(change.reason.clone()),
                    roles: before.map_or_else(|| Arc::from([]), |before| before.roles.clone()),
                    until: None,
                    since: None,
                });
            }
        }
        for (key, before) in &self.grants {
            let open = before.want.is_some() || before.state != DemandState::True;
            let unread = !is_read(self.live, key);
            if open && unread && !is_wanted(key) && !self.edges.contains_key(key) {
                demand.grants.push((*before).clone());
            }
        }
    }

    fn resources(&self, head: &Desired, schemas: &Schemas, demand: &mut Demand) {
        for (address, wanted) in &head.resources {
            let live = self.live.resources.get(address);
            let change = self.things.get(address).filter(|(change, _)| change.op != Op::Delete);
            let before = self.fields.get(address).copied();
            let was_there = before
                .and_then(|fields| fields.get(EXISTENCE))
                .is_some_and(|field| field.want != Value::Null && field.state == DemandState::True);
            // What somebody deleted stays drift, whatever was asked for meanwhile.
            let created = change.filter(|(change, state)| {
                change.op == Op::Create && !(was_there && *state == DemandState::Held)
            });
            let entry = |name: &str, want: Value, is_true: bool, change: Option<&(&Change, DemandState)>| {
                let before = before.and_then(|fields| fields.get(name)).filter(|field| field.want == want);
                let (state, cause) =
                    standing_of(is_true, change, before.map(|field| (field.state, field.cause)));
                (Name::from(name), DemandedField { want, state, cause })
            };
            let fields = demand.resources.entry(address.clone()).or_default();
            fields.extend([entry(EXISTENCE, Value::Bool(true), live.is_some(), created)]);
            if !wanted.declared {
                continue;
            }
            let none = Attributes::new();
            let seen = live.map_or(&none, |live| &live.attributes);
            let schema = schemas.of(address);
            for (name, want) in self.managed(wanted.attributes.clone(), change, schemas) {
                let attribute = schema.and_then(|schema| schema.attribute(&name));
                let ours = attribute.is_none_or(|a| a.flags.compared());
                if ours {
                    let is_true = live.is_some() && is_satisfied(attribute, &want, seen.get(&name));
                    let change = change.filter(|(c, _)| c.op == Op::Create || c.fields.contains(&name));
                    fields.extend([entry(&name, want, is_true, change)]);
                }
            }
        }
        // A target that is merely named is remembered once it was there: when it is gone, someone removed it.
        for address in head.named.keys().filter(|a| !a.is_reserved() && !head.resources.contains_key(*a)) {
            let is_true = self.live.resources.contains_key(address);
            let change = self.things.get(address).filter(|(change, _)| change.op == Op::Create);
            let before = self.fields.get(address).and_then(|fields| fields.get(EXISTENCE));
            if is_true || change.is_some() || before.is_some() {
                let before = before.map(|field| (field.state, field.cause));
                let (state, cause) = standing_of(is_true, change, before);
                let field = DemandedField { want: Value::Bool(true), state, cause };
                demand.resources.insert(address.clone(), BTreeMap::from([(EXISTENCE.into(), field)]));
            }
        }
        for (address, (change, state)) in &self.things {
            let there = self.live.resources.contains_key(*address)
                || self.live.coverage_of(address) != Some(&Coverage::Complete);
            if change.op == Op::Delete && there && !head.resources.contains_key(*address) {
                let field = DemandedField { want: Value::Null, state: *state, cause: change.cause };
                demand.resources.insert((*address).clone(), BTreeMap::from([(EXISTENCE.into(), field)]));
            }
        }
        for (address, before) in &self.fields {
            let open = before.get(EXISTENCE).is_some_and(|field| field.want == Value::Null);
            let unread = self.live.coverage_of(address) != Some(&Coverage::Complete);
            if open && unread && !head.resources.contains_key(*address) && !self.things.contains_key(*address)
            {
                demand.resources.insert((*address).clone(), (*before).clone());
            }
        }
    }

    /// What head wants of a resource, and under `null` the keys of keyed attributes that a change was to take away.
    fn managed(
        &self,
        mut wanted: Attributes,
        change: Option<&(&Change, DemandState)>,
        schemas: &Schemas,
    ) -> Attributes {
        let Some((change, _)) = change.filter(|(change, _)| change.op == Op::Update) else { return wanted };
        let Some(schema) = schemas.of(&change.address) else { return wanted };
        for name in &change.fields {
            if !schema.attribute(name).is_some_and(|attribute| attribute.flags.keyed) {
                continue;
            }
            let map = |side: &Option<Attributes>| {
                side.as_ref()
                    .and_then(|side| side.get(name))
                    .and_then(Value::as_map)
                    .cloned()
                    .unwrap_or_default()
            };
            let (before, after) = (map(&change.before), map(&change.after));
            let seen = self.live.resources.get(&change.address).and_then(|live| live.attributes.get(name));
            let still = |key: &Name| seen.and_then(Value::as_map).is_some_and(|seen| seen.contains_key(key));
            let gone: Vec<&Name> =
                before.keys().filter(|key| !after.contains_key(*key) && still(key)).collect();
            if !gone.is_empty() {
                let mut want = wanted.get(name).and_then(Value::as_map).cloned().unwrap_or_default();
                want.extend(gone.into_iter().map(|key| (key.clone(), Value::Null)));
                wanted.insert(name.clone(), Value::Map(want));
            }
        }
        wanted
    }
}

/// The roles that ask, sorted.
fn roles_of(origins: &[Arc<Origin>]) -> Arc<[Name]> {
    let roles: BTreeSet<Name> = origins.iter().filter_map(|origin| origin.role.clone()).collect();
    roles.into_iter().collect()
}

/// The state and cause to remember. What no change was to mend is drift or unread: then memory stays as it was, and what
/// it never knew counts as true, so that it goes on being told as drift.
fn standing_of(
    is_true: bool,
    change: Option<&(&Change, DemandState)>,
    before: Option<(DemandState, Cause)>,
) -> (DemandState, Cause) {
    match (change, before) {
        (Some((change, _)), _) if is_true => (DemandState::True, change.cause),
        (None, Some((_, cause))) if is_true => (DemandState::True, cause),
        (None, None) => (DemandState::True, Cause::Request),
        (Some((change, state)), _) => (*state, change.cause),
        (None, Some((state, cause))) => (state, cause),
    }
}
