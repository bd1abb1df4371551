//! What the tests of an apply share: changes, plans, and a small world with a provider that fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::approve::is_true;
use crate::model::plan::{PLAN_FORMAT, Risk};
use crate::model::{
    Address, Attributes, Basis, Cause, Change, Coverage, Digest, GrantKey, LiveGrant, Name, Op, Origin,
    Permit, Plan, Resource, Ruling, Snapshot, Span, Summary, Tally, Value, Verdict,
};
use crate::provider::{Caller, Error, ErrorKind, Inventoried, Lane, Outcome, Provider, Writer};

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn start() -> Timestamp {
    time("2026-11-22T12:00:00Z")
}

pub(super) fn group(name: &str) -> Address {
    Address::new("okta", None, "group", name)
}

pub(super) fn user(name: &str) -> Address {
    Address::new("okta", None, "user", name)
}

pub(super) fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    pairs.iter().map(|(name, value)| ((*name).into(), Value::text(*value))).collect()
}

/// A change with an effect that fits its parts.
pub(super) fn change(
    op: Op,
    address: &Address,
    grant: Option<GrantKey>,
    before: Option<Attributes>,
    after: Option<Attributes>,
) -> Change {
    let fields: BTreeSet<Name> = match op {
        Op::Update => {
            let names = before.iter().chain(&after).flat_map(|side| side.keys().cloned());
            let get =
                |side: &Option<Attributes>, name: &Name| side.as_ref().and_then(|s| s.get(name)).cloned();
            names.filter(|name| get(&before, name) != get(&after, name)).collect()
        }
        _ => BTreeSet::new(),
    };
    Change {
        op,
        address: address.clone(),
        effect: Change::effect_of(op, address, grant.as_ref(), after.as_ref(), &[]),
        precondition: Digest::of(&before),
        grant,
        subject: None,
        before,
        after,
        fields,
        cause: Cause::Request,
        standing: None,
        reason: Origin {
            text: "role x".into(),
            span: Span::file("roles/x.yaml"),
            chain: Vec::new(),
            role: None,
        },
        also: Vec::new(),
        until: None,
        risk: Risk::Low,
        risk_reasons: Vec::new(),
        requires: BTreeSet::new(),
        dependents: Vec::new(),
        approved_by: None,
        taken_over: false,
    }
}

pub(super) fn create(name: &str) -> Change {
    change(Op::Create, &group(name), None, None, Some(attributes(&[("description", name)])))
}

pub(super) fn delete(name: &str) -> Change {
    change(Op::Delete, &group(name), None, Some(attributes(&[("description", name)])), None)
}

pub(super) fn update(name: &str, before: &[(&str, &str)], after: &[(&str, &str)]) -> Change {
    change(Op::Update, &group(name), None, Some(attributes(before)), Some(attributes(after)))
}

pub(super) fn grant(who: &str, to: &str) -> Change {
    let key = GrantKey::new(&user(who), "member", &group(to));
    change(Op::Grant, &group(to), Some(key), None, Some(Attributes::new()))
}

pub(super) fn revoke(who: &str, from: &str) -> Change {
    let key = GrantKey::new(&user(who), "member", &group(from));
    change(Op::Revoke, &group(from), Some(key), Some(Attributes::new()), None)
}

pub(super) fn after(mut change: Change, other: &Change) -> Change {
    change.requires.insert(other.effect.clone());
    change
}

pub(super) fn plan(changes: &[Change]) -> Plan {
    let (effects, effect) = Plan::effects_of(changes, &[], &[], &[]);
    Plan {
        format: PLAN_FORMAT.into(),
        id: "p1".into(),
        effect,
        effects,
        created: start(),
        expires: time("2026-11-29T12:00:00Z"),
        tool: "rolecall".into(),
        base: Basis::default(),
        changes: changes.to_vec(),
        amended: Vec::new(),
        waived: Vec::new(),
        held: Vec::new(),
        drift: Vec::new(),
        unmanaged: Tally::default(),
        unclaimed: Tally::default(),
        findings: Vec::new(),
        verdict: Ruling::Allowed,
        summary: Summary::of(changes),
        complete: true,
        zone: String::new(),
        quorums: Vec::new(),
        simulated: true,
        selection: crate::model::Selection::default(),
    }
}

pub(super) fn verdict(plan: &Plan) -> Verdict {
    Verdict::new(Ruling::Allowed, plan.changes.iter().map(|change| change.effect.clone()).collect())
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The provider says no; nothing has happened.
    No(ErrorKind),
    /// The answer is lost; whether it took effect.
    Lost { applied: bool },
    /// The provider is still at it.
    Pending,
    /// There is never an answer, because the process is killed here; whether it took effect.
    Killed { applied: bool },
}

/// A live Okta that counts.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) live: Mutex<Snapshot>,
    /// Faults by call, from 0.
    pub(super) faults: Mutex<BTreeMap<usize, Fault>>,
    /// The target of each write call, and whether it changed anything.
    pub(super) writes: Mutex<Vec<(String, bool)>>,
    pub(super) reads: Mutex<Vec<Address>>,
    /// The edges that were asked for alone.
    pub(super) edges: Mutex<Vec<GrantKey>>,
    pub(super) killed: Notify,
    /// How many changes are under way at once, at least one.
    pub(super) width: AtomicUsize,
}

impl World {
    pub(super) fn new(live: Snapshot) -> Arc<Self> {
        let world = Self { live: Mutex::new(live), ..Self::default() };
        world.live.lock().unwrap().coverage.insert("okta".into(), Coverage::Complete);
        Arc::new(world)
    }

    pub(super) fn fault(&self, call: usize, fault: Fault) {
        self.faults.lock().unwrap().insert(call, fault);
    }

    pub(super) fn seen(&self) -> Snapshot {
        self.live.lock().unwrap().clone()
    }

    pub(super) fn written(&self) -> Vec<String> {
        self.writes.lock().unwrap().iter().map(|(target, _)| target.clone()).collect()
    }

    /// How often each target was really changed.
    pub(super) fn changed(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (target, _) in self.writes.lock().unwrap().iter().filter(|(_, changed)| *changed) {
            *counts.entry(target.clone()).or_default() += 1;
        }
        counts
    }

    /// What is still to be done of these: a diff, as a fresh plan would make it.
    pub(super) fn left(&self, changes: &[Change]) -> Vec<Change> {
        let live = self.seen();
        let mut left: Vec<Change> =
            changes.iter().filter(|change| !is_true(change, &live)).cloned().collect();
        let effects: BTreeSet<Digest> = left.iter().map(|change| change.effect.clone()).collect();
        for change in &mut left {
            change.requires.retain(|effect| effects.contains(effect));
        }
        left
    }

    /// Makes a change true; whether that changed anything.
    pub(super) fn make(&self, change: &Change) -> bool {
        let mut live = self.live.lock().unwrap();
        if is_true(change, &live) {
            return false;
        }
        match (change.op, &change.grant) {
            (Op::Grant, Some(key)) => {
                live.grants.push(LiveGrant { key: key.clone(), attributes: Attributes::new(), via: None });
                live.normalize();
            }
            (Op::Revoke, Some(key)) => live.grants.retain(|edge| edge.key != *key),
            (Op::Create | Op::Update, None) => {
                let resource: &mut Resource = live.resources.entry(change.address.clone()).or_default();
                resource.attributes.extend(change.after.clone().unwrap_or_default());
            }
            (Op::Delete, None) => {
                live.resources.remove(&change.address);
            }
            other => panic!("a test wrote {other:?}"),
        }
        true
    }
}

pub(super) struct Okta {
    pub(super) name: Name,
    pub(super) world: Arc<World>,
}

impl Okta {
    pub(super) fn of(world: &Arc<World>) -> Self {
        Self { name: "okta".into(), world: world.clone() }
    }
}

#[async_trait]
impl Provider for Okta {
    fn instance(&self) -> &Name {
        &self.name
    }

    async fn identity(&self) -> Result<Caller, Error> {
        Ok(Caller { principal: None, text: "a test".into() })
    }

    async fn inventory(&self) -> Inventoried {
        Inventoried::default()
    }

    async fn observe(&self, _: &BTreeSet<Address>) -> Snapshot {
        self.world.seen()
    }

    async fn read(&self, address: &Address) -> Result<Snapshot, Error> {
        self.world.reads.lock().unwrap().push(address.clone());
        let live = self.world.seen();
        let resources = live.resources.into_iter().filter(|(a, _)| a == address).collect();
        let is_on = |edge: &LiveGrant| edge.key.resource == *address;
        let grants = live.grants.into_iter().filter(is_on).collect();
        Ok(Snapshot { resources, grants, ..Snapshot::default() })
    }

    fn writer(&self, permit: &Permit, _: &Snapshot) -> Box<dyn Writer> {
        Box::new(Pen { permit: permit.clone(), world: self.world.clone() })
    }

    fn lane(&self, _: &Change) -> Lane {
        Lane::new("", self.world.width.load(Ordering::SeqCst))
    }

    fn calls(&self) -> u64 {
        self.world.writes.lock().unwrap().len() as u64
    }
}

struct Pen {
    permit: Permit,
    world: Arc<World>,
}

#[async_trait]
impl Writer for Pen {
    async fn write(&self, change: &Change) -> Result<Outcome, Error> {
        assert!(self.permit.covers(&change.effect), "the executor sent what the permit does not cover");
        let call = self.world.writes.lock().unwrap().len();
        let fault = self.world.faults.lock().unwrap().get(&call).copied();
        let applies = match fault {
            None => true,
            Some(Fault::No(_) | Fault::Pending) => false,
            Some(Fault::Lost { applied } | Fault::Killed { applied }) => applied,
        };
        let changed = applies && self.world.make(change);
        self.world.writes.lock().unwrap().push((change.target(), changed));
        match fault {
            None => Ok(Outcome::Done { request_id: Some(format!("r{call}")) }),
            Some(Fault::No(kind)) => Err(Error::new(kind, "no")),
            Some(Fault::Lost { .. }) => Err(Error::new(ErrorKind::Unreachable, "no answer").maybe_done()),
            Some(Fault::Pending) => Ok(Outcome::Pending { poll: "operation 7".into() }),
            Some(Fault::Killed { .. }) => {
                self.world.killed.notify_one();
                std::future::pending().await
            }
        }
    }
}
