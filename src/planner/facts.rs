//! What the planner must know of the sides: who may touch what, which edges are claimed, who is gone, what exists, what
//! was read whole.
//!
//! Whose an edge is: it is judged by `own:` on the side that has the authority. The principal's counts if the resource is
//! the vendor's own (`managed:x`) or a declared principal claims edges of that sort; otherwise the resource's. A person's
//! edge is allowed by either, except membership of groups that can be roles' groups, where only the group's counts:
//! owning all users must not open every group.
//! Invariant: without base there is no base's `own` to ask; with a base but without its `own`, it allows nothing.
//! It must not decide what to do about a difference.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::model::{
    Address, Change, Collection, Coverage, DemandState, DemandedGrant, Desired, GrantKey, Guard, May, Name,
    Origin, Status, Value,
};

use super::{Input, hold};

/// Head or base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Head,
    Base,
}

/// The claims of one side, found without building a [`Collection`].
#[derive(Debug, Default)]
struct Claims<'a> {
    of_resource: HashMap<&'a Address, Vec<(&'a Name, &'a Arc<Origin>)>>,
    of_principal: HashMap<&'a Address, Vec<(&'a Name, &'a Arc<Origin>)>>,
    /// The sorts of edges that any principal claims.
    by_principals: BTreeSet<&'a Name>,
}

impl<'a> Claims<'a> {
    fn of(desired: &'a Desired) -> Self {
        let mut claims = Self::default();
        for (collection, origin) in &desired.claims {
            let (map, relation) = match collection {
                Collection::OfResource { relation, .. } => (&mut claims.of_resource, relation),
                Collection::OfPrincipal { relation, .. } => (&mut claims.of_principal, relation),
            };
            map.entry(collection.owner()).or_default().push((relation, origin));
        }
        claims.by_principals =
            claims.of_principal.values().flatten().map(|(relation, _)| *relation).collect();
        claims
    }

    fn by_resource(&self, key: &GrantKey) -> Option<&'a Arc<Origin>> {
        find(&self.of_resource, &key.resource, &key.relation)
    }

    fn by_principal(&self, key: &GrantKey) -> Option<&'a Arc<Origin>> {
        find(&self.of_principal, &key.principal, &key.relation)
    }
}

fn find<'a>(
    claims: &HashMap<&'a Address, Vec<(&'a Name, &'a Arc<Origin>)>>,
    owner: &Address,
    relation: &Name,
) -> Option<&'a Arc<Origin>> {
    claims.get(owner)?.iter().find(|(name, _)| *name == relation).map(|(_, origin)| *origin)
}

/// What is known, indexed.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) input: &'a Input<'a>,
    head: Claims<'a>,
    base: Claims<'a>,
    /// `own` by address, for head and base: patterns are dear, and a group is asked about once an edge.
    own: RefCell<[HashMap<Address, May>; 2]>,
    /// What is told of absent things: looking for a name that is near is dear, and many may wait for one thing.
    advice: RefCell<HashMap<Address, Option<String>>>,
    // What follows is asked for seldom, and is dear where there are many edges.
    /// People that either side knows, besides those in the inventory.
    known: OnceCell<HashSet<&'a Address>>,
    /// The records of people in the directory.
    records: OnceCell<HashSet<&'a Address>>,
    /// People for whom memory saw an edge.
    served: OnceCell<HashSet<&'a Address>>,
    /// Of each separation: who is wanted on which sides.
    apart: OnceCell<Vec<BTreeMap<Address, BTreeSet<usize>>>>,
    /// What memory wants of each edge; filled only where a role is frozen or doubtful, since nobody else asks.
    demanded: HashMap<&'a GrantKey, &'a DemandedGrant>,
    /// Since when a mover's edge is to be gone.
    since: HashMap<&'a GrantKey, Timestamp>,
    /// Why nothing that rests on the inventory may be removed.
    pub(super) inventory_gap: Option<String>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        let hands_over = input.handover > SignedDuration::ZERO;
        let asks = hands_over || !input.head.frozen.is_empty() || !input.head.doubtful.is_empty();
        let all = || input.demand.filter(|_| asks).into_iter().flat_map(|demand| &demand.grants);
        let wants = all().filter(|grant| grant.want.is_some()).map(|grant| (&grant.key, grant));
        let since = all().filter_map(|grant| Some((&grant.key, grant.since?)));
        let inventory_gap = match input.inventory.incomplete.as_slice() {
            _ if !Guard::Coverage.holds() => None,
            [] if Guard::EmptyList.holds()
                && input.inventory.people.is_empty()
                && demanded(input).any(|grant| grant.subject.is_some()) =>
            {
                Some("the directory is empty, and the last run knew people".to_owned())
            }
            [] => None,
            reasons => Some(format!("the directory was not read whole: {}", reasons.join("; "))),
        };
        Self {
            input,
            head: Claims::of(input.head),
            base: input.base.map(Claims::of).unwrap_or_default(),
            own: RefCell::default(),
            advice: RefCell::default(),
            known: OnceCell::new(),
            records: OnceCell::new(),
            demanded: wants.collect(),
            since: since.collect(),
            served: OnceCell::new(),
            apart: OnceCell::new(),
            inventory_gap,
        }
    }

    fn records(&self) -> &HashSet<&'a Address> {
        let people = &self.input.inventory.people;
        self.records.get_or_init(|| people.values().filter_map(|person| person.record.as_ref()).collect())
    }

    /// What one side's `own` allows on a thing.
    pub(super) fn own(&self, side: Side, address: &Address) -> May {
        if !Guard::Ownership.holds() {
            return May::All;
        }
        if let Some(may) = self.own.borrow()[side as usize].get(address) {
            return *may;
        }
        let own = match side {
            Side::Head => Some(self.input.own),
            Side::Base if self.input.base.is_none() => return May::All,
            Side::Base => self.input.own_base,
        };
        let may = own.map_or(May::Look, |own| own.may(address, plural(self.input, address)));
        self.own.borrow_mut()[side as usize].insert(address.clone(), may);
        may
    }

    /// What one side's `own` allows on an edge.
    pub(super) fn own_edge(&self, side: Side, key: &GrantKey, person: bool) -> May {
        let may = self.deciding(key, person).map(|end| self.own(side, end)).max().unwrap_or_default();
        may.max(self.may_bind(side, key))
    }

    /// What one side's `own` allows on an edge for the sake of its principal, where that is bound by policies.
    fn may_bind(&self, side: Side, key: &GrantKey) -> May {
        let own = match side {
            Side::Head => Some(self.input.own),
            Side::Base => self.input.own_base,
        };
        let Some(own) = own.filter(|_| self.input.schemas.is_pair(&key.resource, &key.relation)) else {
            return May::Look;
        };
        let member = self.input.schemas.member(&key.principal);
        member.map_or(May::Look, |member| {
            own.may_bind(&key.resource, plural(self.input, &key.resource), &member)
        })
    }

    /// The place where a side names a relation on a resource, where authority goes pair by pair and an edge is of a known
    /// person or of a principal of our own.
    pub(super) fn pair(&self, side: Side, key: &GrantKey, person: bool) -> Option<&'a Arc<Origin>> {
        let desired = match side {
            Side::Head => Some(self.input.head),
            Side::Base => self.input.base,
        };
        let pairs = &desired?.pairs;
        if pairs.is_empty() || !(person || self.is_ours(&key.principal)) {
            return None;
        }
        pairs.get(&(key.resource.clone(), key.relation.clone()))
    }

    /// Whether head or base declares a principal.
    fn is_ours(&self, principal: &Address) -> bool {
        let sides = std::iter::once(self.input.head).chain(self.input.base);
        let mut wanted = sides.filter_map(|side| side.resources.get(principal));
        wanted.any(|wanted| wanted.declared)
    }

    /// What one side's `own` allows at least on every edge of one relation on one resource.
    pub(super) fn own_all(&self, side: Side, (resource, relation): (&Address, &Name)) -> May {
        let sides = [&self.head, &self.base];
        let counts = sides.iter().any(|claims| find(&claims.of_resource, resource, relation).is_some())
            || !sides.iter().any(|claims| claims.by_principals.contains(relation));
        if counts && !resource.is_reserved() { self.own(side, resource) } else { May::Look }
    }

    /// The ends of an edge whose `own` counts: the resource first, where it does.
    pub(super) fn deciding<'k>(&self, key: &'k GrantKey, person: bool) -> impl Iterator<Item = &'k Address> {
        let by_principal = self.head.by_principal(key).is_some() || self.base.by_principal(key).is_some();
        let by_resource = self.head.by_resource(key).is_some() || self.base.by_resource(key).is_some();
        let reserved = key.resource.is_reserved();
        let either = person && !self.is_role_group(key);
        let resource = !reserved && (either || by_resource || !by_principal);
        let principal = reserved || either || by_principal;
        let ends = [resource.then_some(&key.resource), principal.then_some(&key.principal)];
        ends.into_iter().flatten()
    }

    /// What head's `own` lets us do with a thing that it does not give us whole.
    pub(super) fn may_only(&self, address: &Address) -> &'static str {
        match self.own(Side::Head, address) {
            May::Look => "look at it",
            May::Add => "add grants on it",
            May::Members | May::All => "change the grants on it",
        }
    }

    /// The entry of `own:` that would allow more on a thing.
    pub(super) fn own_entry(&self, address: &Address, may: &str) -> String {
        let instance = address.instance();
        let accounts = self.input.own.accounts.iter().filter(|account| account.instance.as_ref() == instance);
        let account = address.scope().filter(|_| accounts.count() > 1);
        let account = account.map(|id| format!("accounts: [\"{id}\"], ")).unwrap_or_default();
        // JSON's quoting is YAML's too.
        let name = serde_json::Value::from(address.name().as_ref());
        let plural = plural(self.input, address);
        format!(
            "put `{{ {account}{plural}: {name}, may: {may} }}` first in `own:` of `{instance}` in `rolecall.yaml`"
        )
    }

    /// Whether both sides let an edge be taken away.
    pub(super) fn may_revoke(&self, key: &GrantKey, person: bool) -> bool {
        self.own_edge(Side::Head, key, person) >= May::Members
            && self.own_edge(Side::Base, key, person) >= May::Members
    }

    fn is_role_group(&self, key: &GrantKey) -> bool {
        self.input
            .schemas
            .provider(&key.resource)
            .and_then(|provider| provider.role_group)
            .is_some_and(|(kind, relation)| key.resource.kind() == kind && key.relation.as_ref() == relation)
    }

    /// The place where a side claims the collection that an edge is in.
    pub(super) fn claim(&self, side: Side, key: &GrantKey) -> Option<&'a Arc<Origin>> {
        let claims = if side == Side::Head { &self.head } else { &self.base };
        claims.by_resource(key).or_else(|| claims.by_principal(key))
    }

    /// The person behind a principal.
    pub(super) fn person(&self, principal: &Address) -> Option<&'a Address> {
        let base = || self.input.base.and_then(|base| base.people.get(principal));
        self.input.head.people.get(principal).or_else(base)
    }

    /// Whether a person has left or is suspended; never true of one who is merely absent.
    pub(super) fn gone(&self, person: &Address) -> Option<&'static str> {
        let left = "has left";
        match self.status(person) {
            Some(Status::Left) => Some(left),
            Some(Status::Suspended) => Some("is suspended"),
            Some(_) if self.input.head.gone.contains(person) => Some("is suspended"),
            None if self.input.head.gone.contains(person) => Some(left),
            _ => None,
        }
    }

    fn status(&self, person: &Address) -> Option<Status> {
        self.input.inventory.people.get(person.name().as_ref()).map(|person| person.status)
    }

    /// Whether head wants for somebody what is kept apart from what a removal takes from him: then a freeze keeps nothing.
    pub(super) fn is_on_another_side(&self, person: &Address, removal: &Change) -> bool {
        let apart = self.input.apart;
        if apart.is_empty() {
            return false;
        }
        let wanted = || apart.iter().map(|apart| apart.wanted(self.input.head)).collect();
        let wanted: &Vec<BTreeMap<_, _>> = self.apart.get_or_init(wanted);
        apart.iter().zip(wanted).any(|(apart, wanted)| {
            let from = apart.sides_of(&removal.address, removal.reason.roles());
            let to = wanted.get(person);
            !from.is_empty() && to.is_some_and(|to| to.iter().any(|side| !from.contains(side)))
        })
    }

    /// Whether a person is in the directory or in either side's manifests.
    pub(super) fn is_known(&self, person: &Address) -> bool {
        let sides = || std::iter::once(self.input.head).chain(self.input.base);
        let known = || sides().flat_map(|side| side.people.values().chain(&side.gone)).collect();
        self.status(person).is_some() || self.known.get_or_init(known).contains(person)
    }

    /// Whether memory saw an edge of a person.
    pub(super) fn was_served(&self, person: &Address) -> bool {
        let served = || once(demanded(self.input).filter_map(|grant| grant.subject.as_ref()));
        self.served.get_or_init(served).contains(person)
    }

    /// Whether memory saw a thing that base asks for, and now it is not there; unless the user asks to have it back.
    pub(super) fn was_deleted(&self, address: &Address) -> bool {
        let demand = self.input.demand.and_then(|demand| demand.resources.get(address));
        let existence = demand.and_then(|fields| fields.get(super::resources::EXISTENCE));
        let was_there =
            existence.is_some_and(|field| field.want != Value::Null && field.state == DemandState::True);
        let asked = self.input.base.is_some_and(|base| super::resources::Asked::of(base, address).is_some());
        let revert = || self.input.revert.iter().any(|pattern| pattern.matches(address.as_str()));
        was_there && asked && !self.input.live.resources.contains_key(address) && !revert()
    }

    /// What memory wants of an edge, as far as frozen and doubtful roles go.
    pub(super) fn demanded(&self, key: &GrantKey) -> Option<&'a DemandedGrant> {
        self.demanded.get(key).copied()
    }

    /// When a mover's handover of an edge ends. One that nobody has seen yet begins now.
    pub(super) fn handed_over(&self, key: &GrantKey) -> Timestamp {
        let since = self.since.get(key).copied().unwrap_or(self.input.now);
        since.checked_add(self.input.handover).unwrap_or(Timestamp::MAX)
    }

    /// Whether a thing exists as far as was seen.
    pub(super) fn exists(&self, address: &Address) -> bool {
        address.is_reserved()
            || self.input.live.resources.contains_key(address)
            || self.records().contains(address)
            || self.is_assumed(address)
    }

    /// Whether a thing is of a kind that is not looked for here, so that whoever is named is taken to exist.
    fn is_assumed(&self, address: &Address) -> bool {
        self.input.schemas.of(address).is_some_and(|schema| schema.assumed)
            && self.input.live.coverage_of(address).is_none()
    }

    /// Whether what a thing would be in is known not to exist, so that it cannot exist either.
    pub(super) fn is_in_nothing(&self, address: &Address) -> bool {
        let holder = self.input.schemas.holder(address);
        holder.is_some_and(|holder| !self.exists(&holder) && self.would_be_seen(&holder))
    }

    /// Whether a thing would have been seen if it existed.
    pub(super) fn would_be_seen(&self, address: &Address) -> bool {
        match self.input.live.coverage_of(address) {
            Some(coverage) => *coverage == Coverage::Complete,
            None if self.is_in_nothing(address) => true,
            // A provider that masters people may list them in the directory only.
            None => {
                self.input.inventory.incomplete.is_empty()
                    && self
                        .records()
                        .iter()
                        .any(|record| record.place() == address.place() && record.kind() == address.kind())
            }
        }
    }

    /// What would let go on what waits for an absent thing.
    pub(super) fn advice(&self, address: &Address) -> Option<String> {
        if let Some(advice) = self.advice.borrow().get(address) {
            return advice.clone();
        }
        let (person, may) = (self.person(address).is_some(), self.own(Side::Head, address));
        let advice = hold::advice(self.input, person, address, may);
        self.advice.borrow_mut().insert(address.clone(), advice.clone());
        advice
    }

    /// Whether the provider masters a thing itself.
    pub(super) fn mastered(&self, address: &Address) -> Option<&'a str> {
        self.input.live.resources.get(address)?.mastered.as_deref()
    }
}

/// Each of many addresses once. What was read from one file has each text once in memory, so that where a text is tells
/// mostly that it is known, without a look at it.
fn once<'a>(addresses: impl Iterator<Item = &'a Address>) -> HashSet<&'a Address> {
    let mut places: HashSet<*const u8> = HashSet::new();
    addresses.filter(|address| places.insert(address.as_str().as_ptr())).collect()
}

/// What memory saw to be true.
fn demanded<'a>(input: &'a Input<'_>) -> impl Iterator<Item = &'a DemandedGrant> {
    let grants = input.demand.iter().flat_map(|demand| &demand.grants);
    grants.filter(|grant| grant.want.is_some() && grant.state == DemandState::True)
}

/// The plural by which `own:` selects an address's kind.
pub(super) fn plural<'a>(input: &'a Input<'_>, address: &'a Address) -> &'a str {
    input.schemas.of(address).map_or_else(|| address.kind(), |schema| &schema.plural)
}
