//! Plans of many small writes, carried out in virtual time within the vendors' limits, by a program that may die on the way.
//!
//! The bench `waiting` measures with this too. Invariant: what is waited for is the world's clock, and nothing else moves it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::{Either, select};
use rolecall::apply::approve;
use rolecall::apply::disk::{MemoryDisk, Place};
use rolecall::apply::executor::{self, Run, Silent, Stop};
use rolecall::apply::journal::{History, Journal, Lock};
use rolecall::model::plan::PLAN_FORMAT;
use rolecall::model::report::State;
use rolecall::model::settings::ProviderSettings;
use rolecall::model::span::Entry;
use rolecall::model::{
    Address, Approval, Basis, Change, Digest, GrantKey, Node, NodeValue, Op, Plan, ProviderScope, Ruling,
    Selection, Snapshot, Span, Spanned, Summary, Verdict,
};
use rolecall::provider::conformance::grant;
use rolecall::provider::send::Limits;
use rolecall::provider::{Clock, Provider, Transport, TransportError};
use rolecall::providers::{Wiring, open};
use rolecall::simulator::{Latency, OktaGroup, OktaUser, Simulator, World};
use tokio::sync::Notify;

/// What carrying a plan out took.
#[derive(Debug)]
pub(crate) struct Filled {
    /// In the world's time, from the first call of the first life to the last of the last.
    pub(crate) took: Duration,
    /// How many calls there were of each action.
    pub(crate) calls: BTreeMap<String, u64>,
    /// How many of them wrote.
    pub(crate) writes: u64,
    /// How many calls were refused as too many.
    pub(crate) throttled: u64,
    /// The world at the end.
    pub(crate) world: World,
}

/// The network of a process that dies after so many calls: none of them returns any more.
#[derive(Debug)]
struct Mortal {
    simulator: Simulator,
    left: AtomicU64,
    died: Notify,
}

#[async_trait]
impl Transport for Mortal {
    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if before.is_err() {
            self.died.notify_one();
            return std::future::pending().await;
        }
        self.simulator.call(request).await
    }
}

/// An instance in the settings.
pub(crate) fn instance(provider: &str, options: &[(&str, &str)]) -> ProviderSettings {
    let span = || Span::file("rolecall.yaml");
    let entry = |(key, value): &(&str, &str)| Entry {
        key: Spanned { value: (*key).to_owned(), span: span() },
        value: Node { value: NodeValue::Text((*value).to_owned()), span: span() },
    };
    ProviderSettings {
        instance: provider.into(),
        provider: provider.into(),
        options: Node { value: NodeValue::Map(options.iter().map(entry).collect()), span: span() },
        scope: ProviderScope::default(),
    }
}

/// An organization of people `p0…`, and groups `g0…` that nobody is in.
pub(crate) fn organization(people: usize, groups: usize) -> World {
    let mut world = World::at("2026-11-22T17:00:00Z".parse().unwrap());
    world.page_size = 1000;
    for n in 0..people {
        world.okta.add_user(OktaUser { login: format!("p{n}@acme.com"), ..OktaUser::default() });
    }
    world.okta.token_owner = "p0@acme.com".into();
    for n in 0..groups {
        world.okta.add_group(OktaGroup { name: format!("g{n}"), ..OktaGroup::default() });
    }
    world
}

/// So many memberships of each group, of everyone in turn.
pub(crate) fn memberships(people: usize, groups: usize, each: usize) -> Vec<Change> {
    let member = |group: usize, n: usize| {
        let person = (group * each + n) % people;
        let person = Address::new("okta", None, "user", &format!("p{person}@acme.com"));
        grant(&GrantKey::new(&person, "member", &Address::new("okta", None, "group", &format!("g{group}"))))
    };
    (0..groups).flat_map(|group| (0..each).map(move |n| member(group, n))).collect()
}

/// Carries changes out. The process dies after so many calls in each of the lives that are given, and does not in the last.
pub(crate) fn fill(
    world: World,
    settings: &ProviderSettings,
    latency: u64,
    changes: Vec<Change>,
    lives: &[u64],
) -> Filled {
    let simulator = Simulator::of(world).unwrap();
    simulator.faults().latency(Latency { ms: latency, ..Latency::default() });
    let began = simulator.clock().now();
    let plan = plan(changes, &simulator);
    let disk = Arc::new(MemoryDisk::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for calls in lives.iter().copied().chain([u64::MAX]) {
        let mortal = Arc::new(Mortal {
            simulator: simulator.clone(),
            left: AtomicU64::new(calls),
            died: Notify::new(),
        });
        let wiring = Wiring {
            transport: Some(mortal.clone()),
            clock: simulator.clock(),
            credentials: Arc::new(|_| None),
        };
        let life = async {
            let provider = open(settings, &wiring).await.unwrap();
            live(&*provider, &plan, &simulator, &disk).await;
        };
        let ended = runtime.block_on(simulator.clock().drive(async {
            match select(pin!(life), pin!(mortal.died.notified())).await {
                Either::Left(_) => true,
                Either::Right(_) => false,
            }
        }));
        assert_eq!(ended, calls == u64::MAX, "it was to die after {calls} calls");
    }
    let took = simulator.clock().now().duration_since(began).unsigned_abs();
    Filled {
        took,
        calls: simulator.calls(),
        writes: simulator.writes(),
        throttled: simulator.throttled(),
        world: simulator.world(),
    }
}

/// One life: what an apply does with an approved plan.
async fn live(provider: &dyn Provider, approved: &Plan, simulator: &Simulator, disk: &Arc<MemoryDisk>) {
    let place = |file: &str| Place { disk: disk.clone(), file: file.into() };
    let clock = simulator.clock();
    let lock = Lock::take(&place("lock"), "a life", clock.now()).unwrap();
    let earlier = History::read(&place("journal")).unwrap().unwrap_or_default();
    let mut journal = Journal::open(&place("journal"), approved, clock.now(), &lock).unwrap();
    provider.identity().await.unwrap();
    provider.inventory().await;
    let targets: BTreeSet<Address> = approved.changes.iter().map(|change| change.address.clone()).collect();
    let seen = provider.observe(&targets).await;
    let fresh = Plan {
        changes: approved.changes.iter().filter(|change| !is_so(change, &seen)).cloned().collect(),
        ..approved.clone()
    };
    let cleared = approve::reconcile(approved, &fresh, &seen, clock.now(), false, &earlier.begun()).unwrap();
    let allowed = fresh.changes.iter().map(|change| change.effect.clone()).collect();
    let permit = cleared.permit(Verdict::new(Ruling::Allowed, allowed), Approval::Simulated).unwrap();
    let report = executor::execute(Run {
        cleared: &cleared,
        permit: &permit,
        providers: &[provider],
        live: &seen,
        observed: clock.now(),
        clock: &*clock,
        journal: &mut journal,
        stop: &Stop::default(),
        progress: &Silent,
    })
    .await;
    let wrong = report.steps.iter().find(|step| !matches!(step.state, State::Done | State::Already));
    assert_eq!(wrong, None);
}

fn is_so(change: &Change, seen: &Snapshot) -> bool {
    match (&change.grant, change.op) {
        (Some(edge), Op::Grant) => seen.grant(edge).is_some(),
        (None, Op::Create) => seen.resources.contains_key(&change.address),
        _ => false,
    }
}

fn plan(changes: Vec<Change>, simulator: &Simulator) -> Plan {
    let (effects, effect) = Plan::effects_of(&changes, &[], &[], &[]);
    let created = simulator.clock().now();
    let base = Basis {
        commit: None,
        config: Digest::of(&"filling").to_string(),
        base_config: None,
        providers: BTreeMap::new(),
    };
    Plan {
        format: PLAN_FORMAT.to_owned(),
        id: Plan::id_of(&effect, created, &base),
        effect,
        effects,
        created,
        expires: jiff::Timestamp::MAX,
        tool: "filling".to_owned(),
        base,
        summary: Summary::of(&changes),
        changes,
        amended: Vec::new(),
        waived: Vec::new(),
        held: Vec::new(),
        drift: Vec::new(),
        unmanaged: Default::default(),
        unclaimed: Default::default(),
        findings: Vec::new(),
        verdict: Ruling::Allowed,
        complete: true,
        zone: String::new(),
        quorums: Vec::new(),
        simulated: true,
        selection: Selection::default(),
    }
}

/// The least time for so many calls where so many are allowed a minute: all windows but the last pass whole, and in the last
/// as many go at once as ever do.
pub(crate) fn least(calls: u64, per_minute: u64, latency: u64) -> Duration {
    let windows = calls.saturating_sub(1) / per_minute;
    let last = calls - windows * per_minute;
    let at_once = Limits::default().in_flight as u64;
    Duration::from_secs(60 * windows) + Duration::from_millis(last.div_ceil(at_once) * latency)
}
