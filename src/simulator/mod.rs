//! An Okta organization and AWS accounts in one file, which answer as the vendors do.
//!
//! `Simulator` speaks Okta's REST and the AWS Query protocol (IAM, STS) to whoever asks: through a [`Transport`], or over
//! loopback HTTP with [`Simulator::serve`]. The format of the file is shown at [`World`].
//! Invariant: a write is in the log on disk before it is answered; time is the world's own.
//! It must not know the providers that talk to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, header};

use crate::model::Code;
use crate::provider::clock::breath;
use crate::provider::{Clock, Transport, TransportError, VirtualClock};

mod aws;
mod faults;
mod keyed;
mod limits;
mod okta;
mod order;
mod seed;
mod serve;
mod store;
mod world;
mod yaml;

#[cfg(test)]
mod tests;

pub use faults::{Fault, Faults, Planned};
pub use seed::{Seen, seed};
pub use store::{BUSY, INVALID, UNREADABLE, WorldError};
pub use world::{
    Aws, AwsAccount, AwsLimits, GroupType, IamGroup, IamPolicy, IamRole, IamUser, Okta, OktaGroup, OktaRule,
    OktaUser, RuleStatus, UserStatus, World, WorldFaults,
};

use faults::Fate;
use limits::Limits;
use order::{Moment, Order, Reply, Service};
use store::{Line, Store};

/// The codes of this module's findings.
pub const CODES: &[Code] = &[UNREADABLE, INVALID, BUSY];

/// How long a client waits for an answer that does not come.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A simulated Okta and AWS. Clones share the same world.
#[derive(Debug, Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Arc<VirtualClock>,
    faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    world: World,
    /// The file behind it; `None`: in memory only.
    store: Option<Store>,
    /// Whether something is in the log that the file has not taken in.
    unfolded: bool,
    /// Why nothing can be done any more: the disk does not have what memory has.
    broken: Option<WorldError>,
    limits: Limits,
    sessions: aws::Sessions,
    requests: u64,
    writes: u64,
    calls: BTreeMap<String, u64>,
}

impl Simulator {
    /// The world in a file, with its log taken in.
    pub fn open(path: &Path) -> Result<Self, WorldError> {
        let (mut world, lines, store) = Store::read(path)?;
        for line in &lines {
            let moment = Moment { now: line.at, n: line.n, base: String::new(), request_id: String::new() };
            let reply = run(&mut world, &mut aws::Sessions::default(), &line.order, &moment);
            if !reply.ok() {
                return Err(WorldError {
                    code: INVALID,
                    message: format!(
                        "line {} of `{}` does not fit the world any more: {} {} is refused with {}",
                        line.n,
                        store.log().display(),
                        line.order.method,
                        action(&line.order).name,
                        reply.status
                    ),
                    help: Some("undo the edit of the world, or delete that line".into()),
                });
            }
            world.folded = line.n;
            world.now = world.now.max(line.at);
        }
        let simulator = Self::with(world, Some(store));
        if !lines.is_empty() {
            simulator.lock().unfolded = true;
            match simulator.close() {
                // Someone else is at it and will fold his own log; we have read it, which is all that reading needs.
                Err(error) if error.code == BUSY => {}
                other => other?,
            }
        }
        Ok(simulator)
    }

    /// A world in memory. What its parts refer to must exist.
    pub fn of(mut world: World) -> Result<Self, WorldError> {
        world.settle()?;
        Ok(Self::with(world, None))
    }

    fn with(world: World, store: Option<Store>) -> Self {
        let clock = Arc::new(VirtualClock::at(world.now));
        let faults = Faults::default();
        world.faults.calls.iter().cloned().for_each(|planned| faults.plan(planned));
        let state = State {
            world,
            store,
            unfolded: false,
            broken: None,
            limits: Limits::default(),
            sessions: aws::Sessions::default(),
            requests: 0,
            writes: 0,
            calls: BTreeMap::new(),
        };
        Self { inner: Arc::new(Inner { clock, faults, state: Mutex::new(state) }) }
    }

    /// The world's clock. It stands still but for those who wait by it.
    #[must_use]
    pub fn clock(&self) -> Arc<VirtualClock> {
        Arc::clone(&self.inner.clock)
    }

    /// What will go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// How often each action was called: `GET /groups/{id}/users`, `iam:CreateUser`.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.lock().calls.clone()
    }

    /// How many calls were made in all.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// How many writes were carried out.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> World {
        self.lock().world.clone()
    }

    /// Changes the world behind the vendors' back, as someone with another tool would. What is in a file is written there.
    pub fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> Result<T, WorldError> {
        let mut state = self.lock();
        let mut world = state.world.clone();
        let result = change(&mut world);
        world.settle()?;
        if world.now > self.inner.clock.now() {
            let ahead = world.now.duration_since(self.inner.clock.now());
            self.inner.clock.advance(ahead.unsigned_abs());
        }
        if let Some(store) = &mut state.store {
            store.fold(&world)?.then_some(()).ok_or_else(WorldError::edited)?;
            state.unfolded = false;
        }
        state.world = world;
        Ok(result)
    }

    /// Takes the log into the file. Nothing is lost without it: the next start does the same.
    pub fn close(&self) -> Result<(), WorldError> {
        let state = &mut *self.lock();
        if let Some(store) = &mut state.store
            && state.unfolded
        {
            store.fold(&state.world)?;
            state.unfolded = false;
        }
        Ok(())
    }

    /// Answers a request, without faults.
    #[must_use]
    pub fn handle(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let state = &mut *self.lock();
        let asked = Asked::of(request, state, self.inner.clock.as_ref());
        let reply = self.answer(state, &asked);
        reply.http(asked.moment.now)
    }

    /// Answers a request, unless a fault keeps it from that.
    fn exchange(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let state = &mut *self.lock();
        let asked = Asked::of(request, state, self.inner.clock.as_ref());
        let now = asked.moment.now;
        let action = action(&asked.order);
        let lost = |message: &str, maybe_sent| Err(TransportError { message: message.into(), maybe_sent });
        match self.inner.faults.fate(&action.name, action.write) {
            Fate::Dead => lost("this process is dead", false),
            Fate::Fine => match self.answer(state, &asked) {
                _ if state.broken.is_some() => {
                    let message = state.broken.as_ref().map(ToString::to_string).unwrap_or_default();
                    Err(TransportError { message, maybe_sent: true })
                }
                reply => Ok(reply.http(now)),
            },
            Fate::Fault(Fault::ResetBefore) => lost("connection reset", true),
            Fate::Fault(fault) => {
                let effect = matches!(fault, Fault::ResetAfter | Fault::TimeoutAfter | Fault::Truncated);
                let reply = if effect { self.answer(state, &asked) } else { self.fail(state, &asked, fault) };
                match fault {
                    Fault::ResetAfter => lost("connection reset while reading the answer", true),
                    Fault::TimeoutAfter => {
                        self.inner.clock.advance(TIMEOUT);
                        lost("no answer in time", true)
                    }
                    Fault::Truncated => {
                        let mut reply = reply;
                        let half = reply.body.floor_char_boundary(reply.body.len() / 2);
                        reply.body.truncate(half);
                        Ok(reply.http(now))
                    }
                    _ => Ok(reply.http(now)),
                }
            }
        }
    }

    /// Counts the call and says what a fault says.
    fn fail(&self, state: &mut State, asked: &Asked, fault: Fault) -> Reply {
        state.count(&action(&asked.order).name);
        match (fault, asked.order.to) {
            (Fault::Html(status), _) => Reply::html(status),
            (fault, Service::Okta) => okta::fault(fault, &asked.moment),
            (fault, _) => aws::fault(fault, &asked.order, &asked.moment),
        }
    }

    /// Counts the call, checks who asks and how often, carries the order out, and logs what it changed.
    fn answer(&self, state: &mut State, asked: &Asked) -> Reply {
        let Asked { order, moment, refused } = asked;
        let action = action(order);
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
            Service::Okta => Some(state.limits.okta(&state.world, action.bucket, moment.now)),
            Service::Iam | Service::Sts => {
                let limits = state.world.aws.limits;
                if !state.limits.aws(limits, order, moment.now) {
                    return aws::fault(Fault::Throttled, order, moment);
                }
                None
            }
        };
        let mut reply = match window {
            Some(window) if window.left.is_none() => okta::throttled(),
            _ => run(&mut state.world, &mut state.sessions, order, moment),
        };
        if let Some(window) = window {
            reply = okta::with_headers(reply, window, moment);
        }
        if action.write && reply.ok() {
            state.record(order, moment);
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, action: &str) {
        self.requests += 1;
        *self.calls.entry(action.to_owned()).or_default() += 1;
    }

    fn record(&mut self, order: &Order, moment: &Moment) {
        self.writes += 1;
        self.world.folded = moment.n;
        self.world.now = self.world.now.max(moment.now);
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

/// Ends the process as a lost machine would: nothing is dropped, flushed or answered. Only what a world file asks for
/// under `faults:` does this, so that what comes back after a death can be tried out.
fn die() -> ! {
    std::process::abort()
}

/// A request that has been understood.
struct Asked {
    order: Order,
    moment: Moment,
    /// The answer to credentials that will not do.
    refused: Option<Reply>,
}

impl Asked {
    fn of(request: &Request<Bytes>, state: &State, clock: &dyn Clock) -> Self {
        let authority = request.uri().authority().map(ToString::to_string);
        let host = authority.or_else(|| {
            request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned)
        });
        let host = host.unwrap_or_else(|| "localhost".to_owned());
        let scheme = request.uri().scheme_str().unwrap_or("http");
        let number = state.requests + 1;
        let moment = Moment {
            now: clock.now(),
            n: state.world.folded + 1,
            base: format!("{scheme}://{host}"),
            request_id: keyed::token(&["request", &state.world.now.to_string(), &number.to_string()], 20),
        };
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let mut order = Order {
            to: Service::Okta,
            caller: String::new(),
            method: request.method().to_string(),
            body: String::from_utf8_lossy(request.body()).into_owned(),
            path,
        };
        let authorization = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let refused = if order.plain_path().starts_with("/api/") {
            okta::refuse(authorization, &moment)
        } else {
            order.to = aws::service(authorization, &host);
            match aws::caller(&state.world, &state.sessions, authorization, moment.now) {
                Ok(caller) => {
                    order.caller = caller;
                    None
                }
                Err(problem) => Some(problem.reply(order.to, &moment)),
            }
        };
        Self { order, moment, refused }
    }
}

/// What an order is called, and what it counts towards.
struct Action {
    name: String,
    write: bool,
    /// Of Okta: the limit that it counts towards.
    bucket: &'static str,
}

fn action(order: &Order) -> Action {
    match order.to {
        Service::Okta => okta::action(order),
        Service::Iam | Service::Sts => aws::action(order),
    }
}

/// Carries an order out.
fn run(world: &mut World, sessions: &mut aws::Sessions, order: &Order, moment: &Moment) -> Reply {
    match order.to {
        Service::Okta => okta::run(&mut world.okta, world.page_size, order, moment),
        Service::Iam => aws::iam(world, order, moment),
        Service::Sts => aws::sts(world, sessions, order, moment),
    }
}

#[async_trait]
impl Transport for Simulator {
    async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        // Others get their turn between a request and its answer, as on a network.
        breath().await;
        self.exchange(&request)
    }
}
