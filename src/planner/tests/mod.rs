//! A small world in words, and what the planner makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::model::plan::{PLAN_FORMAT, Standing};
use crate::model::settings::Heal;
use crate::model::{
    Address, Attribute, Attributes, Basis, Cause, Change, Collection, Coverage, Demand, DemandState,
    DemandedField, DemandedGrant, Desired, Digest, Draft, Finding, Flags, GrantKey, Held, Inventory, Kind,
    LiveGrant, May, Op, Origin, OwnRule, Ownership, Pattern, Person, Plan, ProviderScope, ProviderType,
    Resource, Risk, Ruling, Schema, Schemas, Sensitivity, Snapshot, Span, Status, Summary, Terms, Value,
    Wanted, WantedGrant, Why,
};

use super::{Doubt, Input, doubts, draft, remember, scopes, settle};

mod doubt;
mod edges;
mod laws;
mod memory;
mod order;
mod resources;

pub(super) fn group(name: &str) -> Address {
    Address::new("okta", None, "group", name)
}

pub(super) fn user(name: &str) -> Address {
    Address::new("okta", None, "user", name)
}

pub(super) fn aws(kind: &str, name: &str) -> Address {
    Address::new("aws", Some("222222222222"), kind, name)
}

/// `ann@rbac_x` is ann's membership of the group `rbac_x`.
pub(super) fn member(text: &str) -> GrantKey {
    let (who, group_name) = text.split_once('@').unwrap();
    GrantKey::new(&user(who), "member", &group(group_name))
}

pub(super) fn attached(principal: &Address, policy: &Address) -> GrantKey {
    GrantKey::new(principal, "attached", policy)
}

pub(super) fn origin(text: &str) -> Arc<Origin> {
    let span = Span { file: "roles/x.yaml".into(), line: 3, column: 5, length: 1 };
    Arc::new(Origin { text: text.to_owned(), span, chain: Vec::new(), role: Some("x".into()) })
}

pub(super) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Attributes {
    fields.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

fn schemas() -> Schemas {
    let provider = |name, person_kind, role_group, kinds: Vec<Schema>| ProviderType {
        name,
        kinds: kinds.into_iter().map(Kind::observed).collect(),
        relations: Vec::new(),
        person_kind,
        role_group,
        access: |_, _| {},
        access_schema: |_| true.into(),
        principal: |instance, scope, identity| Address::new(instance, scope, "user", identity),
        settings: |_, _| ProviderScope::default(),
        places: None,
        settings_schema: |_| true.into(),
    };
    let groups = Schema::new("group", "groups")
        .with(Attribute::new("description"))
        .with(Attribute::new("color").default("grey"))
        .with(Attribute::new("labels").flags(Flags { set: true, ..Flags::default() }))
        .with(Attribute::new("sort").flags(Flags { immutable: true, ..Flags::default() }))
        .with(Attribute::new("created").flags(Flags { computed: true, ..Flags::default() }));
    let mut people = Schema::new("user", "users").with(Attribute::new("title"));
    people.irreplaceable = true;
    let access = Flags { access: true, ..Flags::default() };
    let keyed = Flags { keyed: true, ..Flags::default() };
    let of_aws = |kind: &str, plural: &str| {
        Schema::new(kind, plural)
            .with(Attribute::new("tags").flags(keyed))
            .with(Attribute::new("boundary").flags(access).reference("policy"))
            .with(Attribute::new("trust").flags(access))
    };
    let okta = provider("okta", "user", Some(("group", "member")), vec![groups, people]);
    let kinds = [("user", "users"), ("role", "roles"), ("policy", "policies"), ("group", "groups")];
    let aws =
        provider("aws", "user", None, kinds.iter().map(|(kind, plural)| of_aws(kind, plural)).collect());
    Schemas { instances: BTreeMap::from([("okta".into(), okta), ("aws".into(), aws)]) }
}

/// `okta groups rbac_*: all`, one a line.
pub(super) fn own(rules: &str) -> Ownership {
    let mut own = Ownership::default();
    for line in rules.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split([' ', ':']).filter(|word| !word.is_empty()).collect();
        let [instance, plural, pattern, may] = words[..] else { panic!("{line}") };
        let may = match may {
            "all" => May::All,
            "members" => May::Members,
            "add" => May::Add,
            _ => May::Look,
        };
        let kinds = BTreeMap::from([(plural.into(), vec![Pattern::new(pattern)])]);
        let rule = OwnRule {
            kinds,
            accounts: Vec::new(),
            folders: Vec::new(),
            principals: Vec::new(),
            may,
            span: Span::file("rolecall.yaml"),
        };
        own.rules.entry(instance.into()).or_default().push(rule);
    }
    own
}

/// Everything that goes into a draft, to be changed by a test.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) head: Desired,
    pub(super) base: Option<Desired>,
    pub(super) demand: Option<Demand>,
    pub(super) live: Snapshot,
    pub(super) own: Ownership,
    pub(super) own_base: Option<Ownership>,
    pub(super) inventory: Inventory,
    pub(super) schemas: Schemas,
    pub(super) revert: Vec<Pattern>,
    pub(super) heal: Heal,
    pub(super) handover: jiff::SignedDuration,
    pub(super) now: jiff::Timestamp,
    /// Edges that are there, and that no list shows.
    pub(super) hidden: Vec<GrantKey>,
    /// Whether edges can be asked for.
    pub(super) answers: bool,
}

pub(super) const OWN: &str = "okta groups rbac_*: all
    okta groups app.*: members
    okta groups legacy_*: add
    aws users *: all
    aws roles *: all
    aws groups *: all
    aws policies *: all";

impl World {
    /// ann, bob and cid, active; the groups `rbac_x`, `app.y`, `legacy_z` and `other`, empty; all read whole; a base and a
    /// memory that know nothing.
    pub(super) fn new() -> Self {
        let mut world = Self {
            head: Desired::default(),
            base: Some(Desired::default()),
            demand: Some(Demand::default()),
            live: Snapshot::default(),
            own: own(OWN),
            own_base: Some(own(OWN)),
            inventory: Inventory::default(),
            schemas: schemas(),
            revert: Vec::new(),
            heal: Heal::None,
            handover: jiff::SignedDuration::ZERO,
            now: jiff::Timestamp::UNIX_EPOCH,
            hidden: Vec::new(),
            answers: true,
        };
        for scope in ["okta:group", "okta:user", "okta", "aws/222222222222"] {
            world.live.coverage.insert(scope.into(), Coverage::Complete);
        }
        for name in ["rbac_x", "app.y", "legacy_z", "other"] {
            world.live.resources.insert(group(name), Resource::default());
        }
        for handle in ["ann", "bob", "cid"] {
            let record = Some(user(handle));
            let person = Person { handle: handle.into(), record, ..Person::default() };
            world.inventory.people.insert(handle.into(), person);
            world.live.resources.insert(user(handle), Resource::default());
            for side in [Some(&mut world.head), world.base.as_mut()].into_iter().flatten() {
                side.people_mut().insert(user(handle), Address::person(handle));
            }
        }
        world
    }

    pub(super) fn base(&mut self) -> &mut Desired {
        self.base.get_or_insert_with(Desired::default)
    }

    pub(super) fn sides(&mut self) -> impl Iterator<Item = &mut Desired> {
        std::iter::once(&mut self.head).chain(self.base.as_mut())
    }

    pub(super) fn status(&mut self, handle: &str, status: Status) {
        self.inventory.people.get_mut(handle).unwrap().status = status;
        for side in self.sides() {
            side.gone.insert(Address::person(handle));
        }
    }

    pub(super) fn is(&mut self, edge: &GrantKey) {
        let grant = LiveGrant { key: edge.clone(), attributes: Attributes::new(), via: None };
        self.live.grants.push(grant);
        self.live.normalize();
    }

    pub(super) fn was_demanded(&mut self, edge: &GrantKey, want: bool, state: DemandState, cause: Cause) {
        let subject = self.head.people.get(&edge.principal).cloned();
        let demand = self.demand.get_or_insert_with(Demand::default);
        demand.grants.push(DemandedGrant {
            key: edge.clone(),
            want: want.then(Attributes::new),
            state,
            cause,
            standing: None,
            subject,
            reason: origin("memory"),
            roles: Arc::new([]),
            until: None,
            since: None,
        });
        demand.grants.sort_by(|one, other| one.key.cmp(&other.key));
    }

    /// Live once it was asked for what is doubted, with what there is to say about that.
    pub(super) fn seen(&self) -> (Snapshot, Vec<Finding>) {
        let mut live = self.live.clone();
        let doubts = doubts(&live, self.demand.as_ref(), &BTreeSet::new(), &self.revert);
        let asked = doubts.iter().flat_map(|doubt| match doubt {
            Doubt::Edges { ask, .. } if self.answers => &ask[..],
            _ => &[],
        });
        let edge = |key: &GrantKey| LiveGrant { key: key.clone(), attributes: Attributes::new(), via: None };
        let answer = |key: &GrantKey| Ok(self.hidden.contains(key).then(|| edge(key)));
        let answers = asked.map(|key| (key.clone(), answer(key))).collect();
        let findings = settle(&mut live, &doubts, &answers).findings;
        (live, findings)
    }

    pub(super) fn draft(&self) -> Draft {
        let (live, findings) = self.seen();
        let mut draft = draft(&Input {
            head: &self.head,
            base: self.base.as_ref(),
            demand: self.demand.as_ref(),
            live: &live,
            own: &self.own,
            own_base: self.own_base.as_ref(),
            inventory: &self.inventory,
            apart: &self.head.apart,
            strangers: &BTreeMap::new(),
            schemas: &self.schemas,
            revert: &self.revert,
            heal: self.heal,
            handover: self.handover,
            now: self.now,
        });
        draft.findings.extend(findings);
        draft
    }

    /// The draft in words, a line each.
    pub(super) fn says(&self) -> String {
        words(&self.draft())
    }
}

/// `grant okta:user/ann member okta:group/rbac_x (request)`, a line each; held and drift say so.
pub(super) fn words(draft: &Draft) -> String {
    let line = |change: &Change| {
        let cause = change.standing.map_or_else(|| change.cause.to_string(), |standing| standing.to_string());
        let fields: Vec<&str> = change.fields.iter().map(AsRef::as_ref).collect();
        let fields = if fields.is_empty() { String::new() } else { format!(" [{}]", fields.join(" ")) };
        let taken = if change.taken_over { ", taken over" } else { "" };
        format!("{} {}{fields} ({cause}{taken})", change.op, change.target())
    };
    let mut text = String::new();
    for change in &draft.changes {
        let _ = writeln!(text, "{}", line(change));
    }
    for held in &draft.held {
        let _ = writeln!(text, "held {}: {}", held.why, line(&held.change));
    }
    for drift in &draft.drift {
        let _ = writeln!(text, "{}: {}", drift.text, line(&drift.change));
    }
    for finding in &draft.findings {
        let _ = writeln!(text, "{}", finding.code);
    }
    text.truncate(text.trim_end().len());
    text
}

impl Desired {
    pub(super) fn wants(&mut self, edge: &GrantKey) {
        let subject = self.people.get(&edge.principal).cloned();
        let terms = Arc::new(Terms { origins: vec![origin("role x")], ..Terms::default() });
        self.grants.insert(WantedGrant { key: edge.clone(), subject, terms });
    }

    pub(super) fn people_mut(&mut self) -> &mut BTreeMap<Address, Address> {
        Arc::make_mut(&mut self.people)
    }

    /// The first edge.
    pub(super) fn first(&mut self) -> &mut Terms {
        self.grants.terms_mut().next().unwrap().1
    }

    pub(super) fn declares(&mut self, address: &Address, attributes: Attributes) {
        let wanted = Wanted {
            address: address.clone(),
            attributes,
            origin: origin("document"),
            declared: true,
            allow_empty: false,
            sensitivity: Sensitivity::Low,
        };
        self.resources.insert(address.clone(), wanted);
    }

    pub(super) fn claims_members(&mut self, group: &Address) {
        self.claims.insert(Collection::of_resource(group, "member"), origin("claim"));
    }
}

/// Carries out what a draft would do.
pub(super) fn apply_to(live: &mut Snapshot, changes: &[Change]) {
    for change in changes {
        match (change.op, &change.grant) {
            (Op::Adopt | Op::Forget, _) => {}
            (Op::Revoke | Op::Delete, Some(key)) => live.grants.retain(|grant| grant.key != *key),
            (_, Some(key)) => {
                live.grants.retain(|grant| grant.key != *key);
                let attributes = change.after.clone().unwrap_or_default();
                live.grants.push(LiveGrant { key: key.clone(), attributes, via: None });
            }
            (Op::Delete, None) => {
                live.resources.remove(&change.address);
                live.grants.retain(|g| g.key.resource != change.address && g.key.principal != change.address);
            }
            (_, None) => {
                let resource = live.resources.entry(change.address.clone()).or_default();
                let (before, after) =
                    (change.before.clone().unwrap_or_default(), change.after.clone().unwrap_or_default());
                for (name, value) in after {
                    let entry = resource.attributes.entry(name.clone()).or_default();
                    if let (Value::Map(entry), Value::Map(value)) = (&mut *entry, &value) {
                        for key in
                            before.get(&name).and_then(Value::as_map).into_iter().flatten().map(|(k, _)| k)
                        {
                            entry.remove(key);
                        }
                        entry.extend(value.clone());
                    } else {
                        *entry = value;
                    }
                }
            }
        }
    }
    live.normalize();
}

/// A plan of a draft, as an apply would have it.
pub(super) fn plan(draft: Draft) -> Plan {
    let (effects, effect) = Plan::effects_of(&draft.changes, &draft.held, &[], &[]);
    Plan {
        format: PLAN_FORMAT.to_owned(),
        id: String::new(),
        effect,
        effects,
        created: jiff::Timestamp::UNIX_EPOCH,
        expires: jiff::Timestamp::UNIX_EPOCH,
        tool: String::new(),
        base: Basis::default(),
        summary: Summary::of(&draft.changes),
        changes: draft.changes,
        amended: Vec::new(),
        waived: Vec::new(),
        held: draft.held,
        drift: draft.drift,
        unmanaged: draft.unmanaged,
        unclaimed: draft.unclaimed,
        findings: draft.findings,
        verdict: Ruling::Allowed,
        complete: true,
        zone: String::new(),
        quorums: Vec::new(),
        simulated: true,
        selection: crate::model::Selection::default(),
    }
}
