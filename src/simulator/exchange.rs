//! How a request goes through: it travels, may meet a fault, is answered by the world, and the answer travels back.
//!
//! Invariant: time passes only outside of the lock, so that calls overlap; each answered write is logged first.
//! It must not know how long-lived things are kept: `mod` and `store` do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, header};
use jiff::{SignedDuration, Timestamp};

use super::edits::Change;
use super::faults::{Fate, Fault};
use super::limits::Limits;
use super::order::{Moment, Order, Reply, Service};
use super::store::Line;
use super::watch::Written;
use super::world::World;
use super::{Inner, Simulator, State, aws, gcp, keyed, okta};
use crate::model::Digest;
use crate::provider::clock::breath;
use crate::provider::{Clock, Transport, TransportError, VirtualClock};

/// How long a client waits for an answer that does not come.
const TIMEOUT: Duration = Duration::from_secs(30);

type Answered = Result<Response<Bytes>, TransportError>;

#[async_trait]
impl Transport for Simulator {
    async fn call(&self, request: Request<Bytes>) -> Answered {
        // Others get their turn between a request and its answer, as on a network.
        breath().await;
        self.pass(&request, self.inner.clock.as_ref()).await
    }
}

impl Simulator {
    /// Answers a request at once, without faults.
    #[must_use]
    pub fn handle(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let state = &mut *self.lock();
        self.remember(state);
        let asked = Asked::of(request, state, self.inner.clock.now(), SignedDuration::ZERO);
        let reply = self.answer(state, &asked);
        reply.http(asked.moment.now)
    }

    /// Answers a request after the time that it takes, unless a fault keeps it from that.
    pub(super) async fn pass(&self, request: &Request<Bytes>, clock: &dyn Clock) -> Answered {
        let there = self.inner.faults.duration() / 2;
        wait(clock, there).await;
        let (answered, silence, _turn) = self.exchange(request);
        wait(clock, there + silence).await;
        let faults = &self.inner.faults;
        if faults.is_mourned() {
            return std::future::pending().await;
        }
        answered
            .and_then(|answer| if faults.is_dead() { lost("this process is dead", true) } else { Ok(answer) })
    }

    /// What the caller gets, how long he waits for it in vain, and his turn, which lasts until he has it.
    fn exchange(&self, request: &Request<Bytes>) -> (Answered, Duration, Option<Turn<'_>>) {
        let Inner { clock, faults, .. } = &*self.inner;
        let state = &mut *self.lock();
        self.remember(state);
        let mut asked = Asked::of(request, state, clock.now(), faults.ahead());
        let lot = faults.lot(&asked.action, asked.order.to);
        let mut silence = Duration::ZERO;
        if lot.fate == Fate::Dead {
            return (lost("this process is dead", false), silence, None);
        }
        let turn = (asked.order.to == Service::Okta).then(|| Turn::begin(self, state));
        if state.world.faults.kill_before_call == Some(state.requests + 1) {
            die();
        }
        for Change(change) in lot.before {
            state.disturb(clock, change);
        }
        asked.moment.age = lot.age;
        let fault = if let Fate::Fault(fault) = lot.fate { Some(fault) } else { None };
        asked.moment.fault = fault;
        let reply = match fault {
            Some(Fault::ResetBefore) => None,
            Some(fault) if !fault.has_effect() => Some(self.fail(state, &asked, fault)),
            _ => Some(self.answer(state, &asked)),
        };
        if state.world.faults.kill_after_call == Some(state.requests) {
            die();
        }
        for Change(change) in lot.after {
            state.disturb(clock, change);
        }
        if let Some(error) = &state.broken {
            return (lost(&error.to_string(), true), silence, turn);
        }
        let answered = match (fault, reply) {
            (_, None) => lost("connection reset", true),
            (Some(Fault::ResetAfter), _) => lost("connection reset while reading the answer", true),
            (Some(Fault::TimeoutAfter), _) => {
                silence = TIMEOUT;
                lost("no answer in time", true)
            }
            (Some(Fault::Truncated), Some(reply)) => Ok(reply.halved().http(asked.moment.told())),
            (_, Some(reply)) => Ok(reply.http(asked.moment.told())),
        };
        (answered, silence, turn)
    }

    /// Keeps what reads may still look back at.
    pub(super) fn remember(&self, state: &mut State) {
        let Inner { clock, faults, .. } = &*self.inner;
        let behind = Duration::from_secs(state.world.gcp.asset_lag_seconds);
        state.history.keep(faults.reach().max(behind), clock.now(), &state.world);
    }

    /// Counts the call and says what a fault says.
    fn fail(&self, state: &mut State, asked: &Asked, fault: Fault) -> Reply {
        state.count(&asked.action.name);
        match (fault, asked.order.to) {
            (Fault::Html(status), _) => Reply::html(status),
            (fault, Service::Okta) => okta::fault(fault, &asked.moment),
            (fault, Service::Google) => gcp::fault(fault, &asked.moment),
            (fault, _) => aws::fault(fault, &asked.order, &asked.moment),
        }
    }

    /// Counts the call, checks who asks and how often, carries the order out, and logs what it changed.
    fn answer(&self, state: &mut State, asked: &Asked) -> Reply {
        let Asked { order, moment, action, refused } = asked;
        state.count(&action.name);
        if let Some(error) = &state.broken {
            return Reply { status: 500, kind: "text/plain", body: error.to_string(), headers: Vec::new() };
        }
        if let Some(refused) = refused {
            return refused.clone();
        }
        if action.write && state.world.faults.kill_before_write == Some(state.writes + 1) {
            die();
        }
        let window = match order.to {
            Service::Okta if Limits::too_many_at_once(&state.world, state.under_way) => {
                state.throttled += 1;
                return okta::crowded(moment);
            }
            Service::Okta => Some(state.limits.okta(&state.world, action.bucket, moment.now)),
            Service::Iam | Service::Sts => {
                let limits = state.world.aws.limits;
                if !state.limits.aws(limits, order, moment.now) {
                    state.throttled += 1;
                    return aws::fault(Fault::Throttled, order, moment);
                }
                None
            }
            Service::Google => {
                if !state.limits.google(&state.world, action.write, moment.now) {
                    state.throttled += 1;
                    return gcp::fault(Fault::Throttled, moment);
                }
                None
            }
        };
        if order.to == Service::Google && gcp::catch_up(&mut state.world, moment.now) {
            state.history.changed(moment.now, &state.world);
        }
        let before = (action.write && state.watched.is_some()).then(|| Arc::clone(&state.world));
        let age = moment.age.max(gcp::behind(&state.world, order));
        let mut reply = if window.is_some_and(|window| window.left.is_none()) {
            state.throttled += 1;
            okta::throttled()
        } else if let Some(past) = state.history.past(age, moment.now) {
            let moment = Moment { age, ..moment.clone() };
            run(&mut Arc::clone(past), &mut state.sessions, order, &moment)
        } else {
            run(&mut state.world, &mut state.sessions, order, moment)
        };
        if let Some(window) = window {
            reply = okta::with_headers(reply, window, moment);
        }
        if action.write && reply.ok() {
            state.record(order, moment);
            if let (Some(before), Some(watched)) = (before, &mut state.watched) {
                let (sent, after) = (Digest::of(order), Arc::clone(&state.world));
                watched.push(Written::new(moment.now, action.name.clone(), sent, before, after));
            }
            if let Some(error) = &state.broken {
                return Reply {
                    status: 500,
                    kind: "text/plain",
                    body: error.to_string(),
                    headers: Vec::new(),
                };
            }
        }
        reply
    }
}

impl State {
    fn count(&mut self, action: &str) {
        self.requests += 1;
        *self.calls.entry(action.to_owned()).or_default() += 1;
    }

    /// Makes somebody else's edit, beside the calls. One that the world cannot bear is nobody's to overlook.
    fn disturb(&mut self, clock: &VirtualClock, change: Box<dyn FnOnce(&mut World) + Send>) {
        if let Err(error) = self.edit(clock, change) {
            self.broken = Some(error);
        }
    }

    fn record(&mut self, order: &Order, moment: &Moment) {
        self.writes += 1;
        let world = Arc::make_mut(&mut self.world);
        world.folded = moment.n;
        world.now = world.now.max(moment.now);
        self.history.changed(moment.now, &self.world);
        if let Some(store) = &mut self.store {
            self.unfolded = true;
            let line = Line { n: moment.n, at: moment.now, order: order.clone() };
            self.broken = store.append(&line).err();
        }
        if self.broken.is_none() && self.world.faults.kill_after_writes == Some(self.writes) {
            die();
        }
    }
}

fn lost<T>(message: &str, maybe_sent: bool) -> Result<T, TransportError> {
    Err(TransportError { message: message.into(), maybe_sent })
}

/// A call to Okta that is under way, for as long as this lives.
struct Turn<'a>(&'a Simulator);

impl<'a> Turn<'a> {
    fn begin(simulator: &'a Simulator, state: &mut State) -> Self {
        state.under_way += 1;
        Self(simulator)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

/// Lets time pass, where there is any to pass.
async fn wait(clock: &dyn Clock, duration: Duration) {
    if !duration.is_zero() {
        clock.sleep(duration).await;
    }
}

/// Ends the process as a lost machine would: nothing is dropped, flushed or answered. Only what a world file asks for
/// under `faults:` does this, so that what comes back after a death can be tried out.
fn die() -> ! {
    std::process::abort()
}

/// A request that has been understood.
struct Asked {
    order: Order,
    moment: Moment,
    action: Action,
    /// The answer to credentials that will not do.
    refused: Option<Reply>,
}

impl Asked {
    fn of(request: &Request<Bytes>, state: &State, now: Timestamp, ahead: SignedDuration) -> Self {
        let authority = request.uri().authority().map(ToString::to_string);
        let host = authority.or_else(|| {
            request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned)
        });
        let host = host.unwrap_or_else(|| "localhost".to_owned());
        let scheme = request.uri().scheme_str().unwrap_or("http");
        let number = state.requests + 1;
        let moment = Moment {
            now,
            n: state.world.folded + 1,
            base: format!("{scheme}://{host}"),
            request_id: keyed::token(&["request", &state.world.now.to_string(), &number.to_string()], 20),
            number,
            ahead,
            ..Moment::default()
        };
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let mut order = Order {
            to: Service::Okta,
            caller: String::new(),
            method: request.method().to_string(),
            body: String::from_utf8_lossy(request.body()).into_owned(),
            path,
        };
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let authorization = header("authorization").unwrap_or_default();
        let refused = if order.plain_path().starts_with("/api/") {
            okta::refuse(authorization, &moment)
        } else if gcp::is_asked(&host, order.plain_path(), authorization) {
            order.to = Service::Google;
            gcp::refuse(authorization, &moment)
        } else {
            order.to = aws::service(authorization, &host);
            // A client of a served world has a time of its own, which is judged only where clocks are to differ.
            let late = header("x-amz-date").filter(|_| !ahead.is_zero());
            let late = late.and_then(|signed| aws::out_of_time(signed, order.to, &moment));
            match aws::caller(&state.world, &state.sessions, authorization, moment.now) {
                Ok(caller) => {
                    order.caller = caller;
                    late
                }
                Err(problem) => Some(problem.reply(order.to, &moment)),
            }
        };
        Self { action: action(&order), order, moment, refused }
    }
}

/// What an order is called, and what it counts towards.
pub(super) struct Action {
    pub(super) name: String,
    pub(super) write: bool,
    /// Whether it is answered with a list, in pages.
    pub(super) list: bool,
    /// Of Okta: the limit that it counts towards.
    pub(super) bucket: &'static str,
}

pub(super) fn action(order: &Order) -> Action {
    match order.to {
        Service::Okta => okta::action(order),
        Service::Iam | Service::Sts => aws::action(order),
        Service::Google => gcp::action(order),
    }
}

/// Carries an order out.
pub(super) fn run(
    world: &mut Arc<World>,
    sessions: &mut aws::Sessions,
    order: &Order,
    moment: &Moment,
) -> Reply {
    match order.to {
        Service::Okta => okta::run(world, order, moment),
        Service::Iam => aws::iam(world, order, moment),
        Service::Sts => aws::sts(world, sessions, order, moment),
        Service::Google => gcp::run(world, order, moment),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all};
    use jiff::SignedDuration;
    use serde_json::json;

    use super::super::tests::{iam, okta, world};
    use super::super::{Latency, Mix, Planned};
    use super::*;

    const WORLD: &str = "
now: 2026-11-22T17:00:00Z
okta:
  users: [{ login: klibby@acme.com }]
  groups: [{ name: a, id: 00ga }]
aws: { accounts: { '222222222222': { users: [{ name: ci }] } } }
";

    fn create(name: &str) -> Request<Bytes> {
        okta("POST", "/groups", &json!({"profile": {"name": name}}))
    }

    fn passed(simulator: &Simulator) -> SignedDuration {
        simulator.clock().now().duration_since("2026-11-22T17:00:00Z".parse().unwrap())
    }

    #[tokio::test]
    async fn calls_take_their_time_and_overlap() {
        let simulator = world(WORLD);
        simulator.faults().latency(Latency { ms: 200, ..Latency::default() });
        let calls = (0..20).map(|n| simulator.call(create(&format!("g{n}"))));
        let answers = simulator.clock().drive(join_all(calls)).await;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status().is_success()));
        assert_eq!(passed(&simulator), SignedDuration::from_millis(200));
        simulator.clock().drive(simulator.call(create("last"))).await.unwrap();
        assert_eq!(passed(&simulator), SignedDuration::from_millis(400));
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_halfway_back_has_taken_effect() {
        let simulator = world(WORLD);
        simulator.faults().latency(Latency { ms: 200, ..Latency::default() });
        let clock = simulator.clock();
        let give_up = |after| clock.sleep(Duration::from_millis(after));
        let early = futures_util::future::select(simulator.call(create("early")), give_up(90));
        clock.drive(early).await;
        let late = futures_util::future::select(simulator.call(create("late")), give_up(110));
        clock.drive(late).await;
        let made = |name| simulator.world().okta.group_named(name).is_some();
        assert!(!made("early") && made("late"));
    }

    #[tokio::test]
    async fn jitter_repeats_with_its_seed() {
        let mut ends = Vec::new();
        for seed in [1, 1, 2] {
            let simulator = world(WORLD);
            simulator.faults().seeded(seed, Mix::none());
            simulator.faults().latency(Latency { ms: 50, jitter_ms: 1000 });
            let calls = async {
                for _ in 0..20 {
                    simulator.call(iam("Action=ListUsers")).await.unwrap();
                }
            };
            simulator.clock().drive(calls).await;
            ends.push(passed(&simulator));
        }
        assert_eq!(ends[0], ends[1]);
        assert_ne!(ends[0], ends[2]);
        assert!(ends[0] > SignedDuration::from_secs(1) && ends[0] < SignedDuration::from_secs(21));
    }

    #[tokio::test]
    async fn invariant_25_who_waits_for_an_answer_in_vain_keeps_nobody_else_waiting() {
        let simulator = world(WORLD);
        let fault = Fault::TimeoutAfter;
        simulator.faults().plan(Planned { action: "POST /groups".into(), skip: 0, times: 1, fault });
        let others = async {
            for name in ["b", "c", "d"] {
                simulator.call(create(name)).await.unwrap();
            }
            (passed(&simulator), simulator.world().okta.groups.len())
        };
        let lost = async {
            let error = simulator.call(create("lost")).await.unwrap_err();
            (passed(&simulator), error.maybe_sent)
        };
        let (lost, others) = simulator.clock().drive(join(lost, others)).await;
        assert_eq!(lost, (SignedDuration::from_secs(30), true));
        assert_eq!(others, (SignedDuration::ZERO, 5), "the lost one took effect, the others went on");
    }
}
