//! Faults on demand: what networks, vendors and dying processes do to a call.
//!
//! Invariant: the same seed and the same calls give the same faults. It must not change the world: it decides only
//! whether an order is carried out, what the client sees of it, and when somebody else's edit is made.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::edits::{Change, PlannedEdit, When};
use super::exchange::Action;
use super::mix::{Dice, Mix};
use super::order::Service;
use super::world::World;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Too many calls; the headers say until when. Nothing is done.
    Throttled,
    /// Too many calls, without a word on when to come back. Nothing is done.
    ThrottledSilently,
    /// The vendor's own error with this status (500, 502, 503 …). Nothing is done.
    Status(u16),
    /// The credentials may not do this. Nothing is done.
    Denied,
    /// The credentials are not valid (any more). Nothing is done.
    Unauthorized,
    /// An HTML page with this status, as proxies send it. Nothing is done.
    Html(u16),
    /// The connection breaks before the request arrives. Nothing is done.
    ResetBefore,
    /// The connection breaks after the request took effect.
    ResetAfter,
    /// No answer comes in time, though the request took effect.
    TimeoutAfter,
    /// The answer to a request that took effect is cut in half.
    Truncated,
    /// A page has half of what was asked for, and a next one follows, as vendors may do.
    ShortPage,
    /// A page has nothing on it, and a next one follows, as vendors may do.
    HollowPage,
    /// A list has nothing on it and no next page, though there is something.
    EmptyList,
    /// A page that is not the first says that it is its own next one.
    RepeatedCursor,
    /// Numbers that are told beside the data are wrong: Okta's `X-Rate-Limit-Remaining`, IAM's `AttachmentCount`.
    WrongCounts,
}

impl Fault {
    /// Whether the request is carried out all the same.
    pub(super) fn has_effect(self) -> bool {
        match self {
            Self::ResetAfter | Self::TimeoutAfter | Self::Truncated => true,
            Self::ShortPage | Self::HollowPage | Self::EmptyList | Self::RepeatedCursor => true,
            Self::WrongCounts => true,
            Self::Throttled | Self::ThrottledSilently | Self::Status(_) | Self::Html(_) => false,
            Self::Denied | Self::Unauthorized | Self::ResetBefore => false,
        }
    }

    /// Whether it can happen to such a call.
    fn is_for(self, action: &Action) -> bool {
        match self {
            Self::ShortPage | Self::HollowPage | Self::EmptyList | Self::RepeatedCursor => action.list,
            Self::WrongCounts => !action.write,
            _ => true,
        }
    }
}

/// A fault that waits for its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// The action as [`Simulator::calls`](super::Simulator::calls) names it; a `*` at the end stands for any rest.
    pub action: String,
    /// How many such calls pass first: 1 lets the first page through.
    #[serde(default)]
    pub skip: u32,
    /// How many calls it happens to.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens.
    pub fault: Fault,
}

fn once() -> u32 {
    1
}

/// How long each call takes: half of it before the request arrives, half until the answer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    /// At least so many milliseconds of the world's time.
    pub ms: u64,
    /// Up to so many more, by chance.
    pub jitter_ms: u64,
}

/// How far reads are behind writes. Writes act on what is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lag {
    /// Okta's, in seconds.
    pub okta: u64,
    /// IAM's, in seconds.
    pub iam: u64,
    /// Google's, in seconds.
    pub gcp: u64,
    /// Each read meets a replica of its own, which is behind by anything up to that.
    pub replicas: bool,
}

/// What will go wrong.
#[derive(Debug, Default)]
pub struct Faults {
    plans: Mutex<Plans>,
    met: Mutex<BTreeMap<Fault, u64>>,
    died: Notify,
    /// How many wait for the caller's death.
    bereaved: AtomicUsize,
}

#[derive(Debug, Default)]
struct Plans {
    planned: Vec<Planned>,
    edits: Vec<(String, u32, When, Change)>,
    mix: Mix,
    chance: Dice,
    latency: Latency,
    travel: Dice,
    lag: Lag,
    replica: Dice,
    skew: SignedDuration,
    writes_left: Option<u64>,
    calls_left: Option<(u64, When)>,
    dead: bool,
}

/// What becomes of a call.
#[derive(Debug)]
pub(super) struct Lot {
    pub(super) fate: Fate,
    /// What others do before it is carried out.
    pub(super) before: Vec<Change>,
    /// What others do after it was.
    pub(super) after: Vec<Change>,
    /// How old what it reads is.
    pub(super) age: Duration,
}

/// Whether a call goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It does.
    Fine,
    /// This happens to it.
    Fault(Fault),
    /// It is carried out, and whoever calls dies before he hears of it.
    Last,
    /// Whoever calls has died before.
    Dead,
}

impl Faults {
    /// The next call of `action` suffers `fault`.
    pub fn once(&self, action: &str, fault: Fault) {
        self.plan(Planned { action: action.to_owned(), skip: 0, times: 1, fault });
    }

    /// Adds a fault.
    pub fn plan(&self, planned: Planned) {
        self.lock().planned.push(planned);
    }

    /// From now on calls suffer what `mix` says, as `seed` has it. The seed also says what else is left to chance: how
    /// long a call takes, and how old what a replica shows is.
    pub fn seeded(&self, seed: u64, mix: Mix) {
        let mut plans = self.lock();
        plans.mix = mix;
        let mut dice = Dice::seeded(seed);
        let mut another = || Dice::seeded(dice.below(u64::MAX));
        // Each has numbers of its own, so that one thing more that goes wrong leaves the others as they were.
        (plans.chance, plans.travel, plans.replica) = (another(), another(), another());
    }

    /// From now on each call takes this long.
    pub fn latency(&self, latency: Latency) {
        self.lock().latency = latency;
    }

    /// From now on reads are behind.
    pub fn lag(&self, lag: Lag) {
        self.lock().lag = lag;
    }

    /// From now on the server's clock is so many seconds ahead of ours: in what it tells (`Date`,
    /// `X-Rate-Limit-Reset`, ends of sessions), and in how AWS judges the time of a signature.
    pub fn skew(&self, seconds: i64) {
        self.lock().skew = SignedDuration::from_secs(seconds);
    }

    /// Someone else edits the world at a call.
    pub fn edit(&self, planned: PlannedEdit) {
        let PlannedEdit { action, skip, when, edit } = planned;
        self.edit_with(&action, skip, when, move |world| edit.make(world));
    }

    /// Someone else does `change` to the world before or after the call of `action` that comes after `skip` others.
    pub fn edit_with(
        &self,
        action: &str,
        skip: u32,
        when: When,
        change: impl FnOnce(&mut World) + Send + 'static,
    ) {
        self.lock().edits.push((action.to_owned(), skip, when, Change(Box::new(change))));
    }

    /// After `n` more writes whoever calls is dead: nothing more is done, and every call fails, until [`Faults::clear`].
    pub fn fail_after_writes(&self, n: u64) {
        self.lock().writes_left = Some(n);
    }

    /// At the `n`th call from now on, counted from 1, whoever calls dies: before it is carried out, or after that and
    /// before he hears of it.
    pub fn die_at_call(&self, n: u64, when: When) {
        self.lock().calls_left = Some((n, when));
    }

    /// Comes back when whoever calls has died. While someone waits for that, calls of the dead never return, so that the
    /// dead do nothing more: `select(faults.death(), apply)`.
    pub async fn death(&self) {
        let _bereaved = Bereaved::of(self);
        loop {
            let died = self.died.notified();
            if self.is_dead() {
                return;
            }
            died.await;
        }
    }

    /// Whether whoever calls has died.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// Nothing more goes wrong, and the dead live again.
    pub fn clear(&self) {
        *self.lock() = Plans::default();
    }

    /// How often which fault has happened so far.
    #[must_use]
    pub fn met(&self) -> BTreeMap<Fault, u64> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How far ahead the server's clock is.
    pub(super) fn ahead(&self) -> SignedDuration {
        self.lock().skew
    }

    /// How far back a read may look at most.
    pub(super) fn reach(&self) -> Duration {
        let lag = self.lock().lag;
        Duration::from_secs(lag.okta.max(lag.iam).max(lag.gcp))
    }

    /// How long this call takes.
    pub(super) fn duration(&self) -> Duration {
        let plans = &mut *self.lock();
        let Latency { ms, jitter_ms } = plans.latency;
        Duration::from_millis(ms.saturating_add(plans.travel.below(jitter_ms.saturating_add(1))))
    }

    /// Whether calls never return, since whoever calls is dead and someone has waited for that.
    pub(super) fn is_mourned(&self) -> bool {
        self.is_dead() && self.bereaved.load(Ordering::SeqCst) > 0
    }

    /// What becomes of this call.
    pub(super) fn lot(&self, action: &Action, service: Service) -> Lot {
        let mut plans = self.lock();
        let mut lot = Lot { fate: Fate::Dead, before: Vec::new(), after: Vec::new(), age: Duration::ZERO };
        lot.fate = plans.death(action.write);
        if plans.dead {
            self.died.notify_waiters();
        }
        if lot.fate == Fate::Dead {
            return lot;
        }
        let edits = std::mem::take(&mut plans.edits);
        for (of, skip, when, change) in edits {
            match (is_for(&of, &action.name), skip, when) {
                (false, ..) => plans.edits.push((of, skip, when, change)),
                (true, 1.., _) => plans.edits.push((of, skip - 1, when, change)),
                (true, 0, When::Before) => lot.before.push(change),
                (true, 0, When::After) => lot.after.push(change),
            }
        }
        lot.age = plans.age(action.write, service);
        if lot.fate == Fate::Fine
            && let Some(fault) = plans.fault(action)
        {
            *self.met.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
            lot.fate = Fate::Fault(fault);
        }
        lot
    }

    fn lock(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plans {
    /// Whether the caller lives to make this call, and to hear of it.
    fn death(&mut self, write: bool) -> Fate {
        if self.dead {
            return Fate::Dead;
        }
        match &mut self.writes_left {
            Some(0) if write => self.dead = true,
            Some(left) if write => *left -= 1,
            _ => {}
        }
        let mut last = false;
        match &mut self.calls_left {
            Some((0 | 1, When::Before)) => self.dead = true,
            Some((0 | 1, When::After)) => last = !self.dead,
            Some((left, _)) => *left -= 1,
            None => {}
        }
        if self.dead {
            return Fate::Dead;
        }
        self.dead = last;
        if last { Fate::Last } else { Fate::Fine }
    }

    fn age(&mut self, write: bool, service: Service) -> Duration {
        let lag = match service {
            _ if write => 0,
            Service::Okta => self.lag.okta,
            Service::Iam => self.lag.iam,
            Service::Google => self.lag.gcp,
            Service::Sts => 0,
        };
        let most = Duration::from_secs(lag);
        if !self.lag.replicas || lag == 0 {
            return most;
        }
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.replica.below(most.saturating_add(1)))
    }

    fn fault(&mut self, action: &Action) -> Option<Fault> {
        let Some(at) = self.planned.iter().position(|planned| is_for(&planned.action, &action.name)) else {
            return self.mix.draw(&mut self.chance).filter(|fault| fault.is_for(action));
        };
        let planned = &mut self.planned[at];
        if planned.skip > 0 {
            planned.skip -= 1;
            return None;
        }
        let fault = planned.fault;
        planned.times = planned.times.saturating_sub(1);
        if planned.times == 0 {
            self.planned.remove(at);
        }
        Some(fault).filter(|fault| fault.is_for(action))
    }
}

/// Whether a plan is for an action: a `*` at its end stands for any rest.
fn is_for(plan: &str, action: &str) -> bool {
    match plan.strip_suffix('*') {
        Some(start) => action.starts_with(start),
        None => action == plan,
    }
}

/// Someone waits for the caller's death, for as long as this lives.
struct Bereaved<'a>(&'a Faults);

impl<'a> Bereaved<'a> {
    fn of(faults: &'a Faults) -> Self {
        faults.bereaved.fetch_add(1, Ordering::SeqCst);
        Self(faults)
    }
}

impl Drop for Bereaved<'_> {
    fn drop(&mut self) {
        self.0.bereaved.fetch_sub(1, Ordering::SeqCst);
    }
}
