//! What the tests of the gate share: a small live Okta that each test bends, and a handful of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::model::plan::{Risk, Standing};
use crate::model::settings::{Approvals, Directory, Heal, Limits, Standing as StandingLimits};
use crate::model::{
    AccessLowering, Attribute, Attributes, Cause, Digest, Flags, GrantKey, Kind, LiveGrant, Node, Op, Origin,
    Ownership, Person, ProviderScope, ProviderType, Schema, Sensitivity, Span, Spanned, Status, Wanted, Why,
};

pub(super) fn spanned<T>(value: T) -> Spanned<T> {
    Spanned { value, span: Span::file("rolecall.yaml") }
}

pub(super) fn group(name: &str) -> Address {
    Address::new("okta", None, "group", name)
}

pub(super) fn user(name: &str) -> Address {
    Address::new("okta", None, "user", name)
}

pub(super) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number:03}")).collect()
}

pub(super) fn origin() -> Origin {
    Origin { text: "role x, entry 1".into(), span: Span::file("roles/x.yaml"), chain: Vec::new(), role: None }
}

pub(super) fn resource_change(op: Op, address: &Address) -> Change {
    Change {
        op,
        address: address.clone(),
        grant: None,
        subject: None,
        before: (op != Op::Create).then(Attributes::new),
        after: (op != Op::Delete).then(Attributes::new),
        fields: BTreeSet::new(),
        cause: Cause::Request,
        standing: None,
        reason: origin(),
        also: Vec::new(),
        until: None,
        risk: Risk::Low,
        risk_reasons: Vec::new(),
        requires: BTreeSet::new(),
        dependents: Vec::new(),
        precondition: Digest::of(&""),
        effect: Change::effect_of(op, address, None, None, &[]),
        approved_by: None,
        taken_over: false,
    }
}

pub(super) fn edge_change(op: Op, who: &Address, relation: &str, what: &Address) -> Change {
    let key = GrantKey::new(who, relation, what);
    let effect = Change::effect_of(op, what, Some(&key), None, &[]);
    Change { grant: Some(key), effect, ..resource_change(op, what) }
}

pub(super) fn revoke(who: &str, from: &str) -> Change {
    edge_change(Op::Revoke, &user(who), "member", &group(from))
}

pub(super) fn grant(who: &str, to: &str) -> Change {
    edge_change(Op::Grant, &user(who), "member", &group(to))
}

pub(super) fn leaver(who: &str, from: &str) -> Change {
    Change {
        cause: Cause::Standing,
        standing: Some(Standing::Leaver),
        subject: Some(Address::person(who)),
        ..revoke(who, from)
    }
}

pub(super) fn after(mut change: Change, other: &Change) -> Change {
    change.requires.insert(other.effect.clone());
    change
}

pub(super) fn schemas() -> Schemas {
    fn access(_: &Node, _: &mut AccessLowering<'_>) {}
    fn principal(instance: &str, scope: Option<&str>, identity: &str) -> Address {
        Address::new(instance, scope, "user", identity)
    }
    fn settings(_: &Node, _: &mut Vec<Finding>) -> ProviderScope {
        ProviderScope::default()
    }
    let inline = Flags { access: true, keyed: true, ..Flags::default() };
    let bounds = Flags { access: true, ..Flags::default() };
    let mut people = Schema::new("user", "users")
        .with(Attribute::new("inline").flags(inline))
        .with(Attribute::new("boundary").flags(bounds).reference("policy"));
    people.irreplaceable = true;
    let provider = ProviderType {
        name: "okta",
        kinds: vec![
            Kind::observed(people),
            Kind::observed(Schema::new("group", "groups").with(Attribute::new("inline").flags(inline))),
            Kind::observed(Schema::new("role", "roles").with(Attribute::new("inline").flags(inline))),
            Kind::observed(
                Schema::new("policy", "policies")
                    .with(Attribute::new("document").flags(Flags { document: true, ..Flags::default() })),
            ),
        ],
        relations: Vec::new(),
        person_kind: "user",
        role_group: Some(("group", "member")),
        access,
        access_schema: |_| true.into(),
        principal,
        settings,
        places: None,
        settings_schema: |_| true.into(),
    };
    Schemas { instances: BTreeMap::from([("okta".into(), provider)]) }
}

/// Everything that a judgement needs, to be bent by each test.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) waivers: Vec<Waiver>,
    pub(super) callers: Vec<Address>,
    pub(super) live: Snapshot,
    pub(super) head: Desired,
    pub(super) inventory: Inventory,
    pub(super) schemas: Schemas,
    pub(super) approved: BTreeSet<Digest>,
    pub(super) now: Timestamp,
    pub(super) draft: Draft,
}

impl World {
    pub(super) fn new() -> Self {
        let settings = Settings {
            organization: "acme".into(),
            timezone: jiff::tz::TimeZone::UTC,
            owners: Vec::new(),
            directory: Directory::Manifests,
            types: Vec::new(),
            identities: BTreeMap::new(),
            groups: BTreeMap::new(),
            providers: BTreeMap::new(),
            own: Ownership::default(),
            manifests: Vec::new(),
            memory: ".rolecall".into(),
            heal: Heal::None,
            standing: StandingLimits::default(),
            limits: Limits::default(),
            approvals: Approvals::default(),
            plan_ttl: SignedDuration::from_hours(168),
            protected: Vec::new(),
            forge: None,
            simulate: None,
        };
        Self {
            settings,
            waivers: Vec::new(),
            callers: Vec::new(),
            live: Snapshot::default(),
            head: Desired::default(),
            inventory: Inventory::default(),
            schemas: schemas(),
            approved: BTreeSet::new(),
            now: "2026-11-22T12:00:00Z".parse().unwrap(),
            draft: Draft::default(),
        }
    }

    pub(super) fn edge(&mut self, who: &Address, relation: &str, what: &Address) {
        for address in [who, what] {
            self.live.resources.entry(address.clone()).or_default();
        }
        let key = GrantKey::new(who, relation, what);
        self.live.grants.push(LiveGrant { key, attributes: Attributes::new(), via: None });
        self.live.normalize();
    }

    pub(super) fn members(&mut self, of: &str, members: &[String]) {
        for member in members {
            self.edge(&user(member), "member", &group(of));
        }
        self.wants(&group(of), false);
    }

    pub(super) fn wants(&mut self, address: &Address, allow_empty: bool) {
        let wanted = Wanted {
            address: address.clone(),
            attributes: Attributes::new(),
            origin: Arc::new(origin()),
            declared: true,
            allow_empty,
            sensitivity: Sensitivity::Low,
        };
        self.live.resources.entry(address.clone()).or_default();
        self.head.resources.insert(address.clone(), wanted);
    }

    pub(super) fn people(&mut self, names: &[String]) {
        for name in names {
            let person = Person { handle: name.as_str().into(), status: Status::Active, ..Person::default() };
            self.inventory.people.insert(person.handle.clone(), person);
        }
    }

    pub(super) fn plan(&mut self, changes: impl IntoIterator<Item = Change>) -> &mut Self {
        self.draft.changes.extend(changes);
        self
    }

    pub(super) fn judge(&self) -> Judged {
        let rules = Rules {
            settings: &self.settings,
            apart: &self.head.apart,
            waivers: &self.waivers,
            callers: &self.callers,
            live: &self.live,
            head: &self.head,
            base: None,
            inventory: &self.inventory,
            schemas: &self.schemas,
            approved: &self.approved,
            now: self.now,
        };
        judge(self.draft.clone(), &rules)
    }
}

pub(super) fn going(judged: &Judged) -> Vec<String> {
    judged.changes.iter().map(|change| format!("{} {}", change.op, change.target())).collect()
}

/// The reasons of what is held, without repeats.
pub(super) fn reasons(judged: &Judged) -> Vec<Why> {
    judged.held.iter().map(|held| held.why).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Reads the document that a refusal prints, as `manifest` would.
pub(super) fn pasted(document: &str) -> Waiver {
    let field = |name: &str| {
        let prefix = format!("{name}: ");
        let line = document.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
        line.unwrap_or_else(|| panic!("no `{name}` in\n{document}")).to_owned()
    };
    assert_eq!(field("kind"), "Waiver");
    let on: Vec<String> = serde_json::from_str(&field("on")).unwrap();
    let until: jiff::civil::Date = field("until").parse().unwrap();
    Waiver {
        name: spanned(field("name")),
        code: spanned(field("code")),
        on: on.into_iter().map(spanned).collect(),
        allow: Some(field("allow").parse().unwrap()),
        owner: field("owner"),
        reason: serde_json::from_str(&field("reason")).unwrap(),
        until: until.tomorrow().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp(),
    }
}
