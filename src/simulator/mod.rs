//! An Okta organization, AWS accounts and a Google Cloud organization in one file, which answer as the vendors do.
//!
//! `Simulator` speaks Okta's REST, the AWS Query protocol (IAM, STS) and Google's REST to whoever asks: through a [`Transport`], or over
//! loopback HTTP with [`Simulator::serve`]. The format of the file is shown at [`World`].
//! Invariant: a write is in the log on disk before it is answered; time is the world's own.
//! It must not know the providers that talk to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Code;
use crate::provider::{Clock, VirtualClock};

mod aws;
mod edits;
mod exchange;
mod faults;
mod gcp;
mod history;
mod keyed;
mod limits;
mod mix;
mod okta;
mod order;
mod seed;
mod serve;
mod store;
mod watch;
mod world;
mod yaml;

#[cfg(test)]
mod tests;

pub use edits::{Edit, PlannedEdit, When};
pub use faults::{Fault, Faults, Lag, Latency, Planned};
pub use mix::Mix;
pub use seed::{Seen, seed};
pub use store::{BUSY, INVALID, UNREADABLE, WorldError};
pub use watch::Written;
pub use world::{
    Aws, AwsAccount, AwsLimits, Gcp, GcpBillingAccount, GcpBinding, GcpCondition, GcpFolder, GcpGroup,
    GcpKey, GcpLien, GcpLimits, GcpManagedBy, GcpMember, GcpOperation, GcpOutcome, GcpPolicy, GcpPool,
    GcpPoolProvider, GcpProject, GcpRole, GcpServiceAccount, GcpStage, GcpState, GcpToken, GcpUser,
    GroupType, IamGroup, IamPolicy, IamRole, IamUser, Okta, OktaGroup, OktaRule, OktaUser, RuleStatus,
    UserStatus, World, WorldFaults,
};

use history::History;
use limits::Limits;
use order::Moment;
use store::Store;

/// The codes of this module's findings.
pub const CODES: &[Code] = &[UNREADABLE, INVALID, BUSY];

/// A simulated Okta, AWS and Google Cloud. Clones share the same world.
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
    /// Shared with whoever keeps what it was: copied only then, when it is written to.
    world: Arc<World>,
    /// The file behind it; `None`: in memory only.
    store: Option<Store>,
    /// Whether something is in the log that the file has not taken in.
    unfolded: bool,
    /// Why nothing can be done any more: the disk does not have what memory has.
    broken: Option<WorldError>,
    limits: Limits,
    history: History,
    sessions: aws::Sessions,
    requests: u64,
    writes: u64,
    throttled: u64,
    /// Calls to Okta that are not answered yet.
    under_way: usize,
    calls: BTreeMap<String, u64>,
    /// The writes since someone watches.
    watched: Option<Vec<Written>>,
}

impl Simulator {
    /// The world in a file, with its log taken in.
    pub fn open(path: &Path) -> Result<Self, WorldError> {
        let (world, logged, store) = Self::read(path)?;
        let simulator = Self::with(world, Some(store));
        if logged {
            simulator.lock().unfolded = true;
            match simulator.close() {
                // Someone else is at it and will fold his own log; we have read it, which is all that reading needs.
                Err(error) if error.code == BUSY => {}
                other => other?,
            }
        }
        Ok(simulator)
    }

    /// The world as it is in a file and its log, in memory only: neither is ever written.
    pub fn copy_of(path: &Path) -> Result<Self, WorldError> {
        let (world, ..) = Self::read(path)?;
        Ok(Self::with(world, None))
    }

    /// A world with what its log says besides, and whether that is anything.
    fn read(path: &Path) -> Result<(Arc<World>, bool, Store), WorldError> {
        let (world, lines, store) = Store::read(path)?;
        let mut world = Arc::new(world);
        for line in &lines {
            let moment = Moment { now: line.at, n: line.n, ..Moment::default() };
            let reply = exchange::run(&mut world, &mut aws::Sessions::default(), &line.order, &moment);
            if !reply.ok() {
                return Err(WorldError {
                    code: INVALID,
                    message: format!(
                        "line {} of `{}` does not fit the world any more: {} {} is refused with {}",
                        line.n,
                        store.log().display(),
                        line.order.method,
                        exchange::action(&line.order).name,
                        reply.status
                    ),
                    help: Some("undo the edit of the world, or delete that line".into()),
                });
            }
            let world = Arc::make_mut(&mut world);
            world.folded = line.n;
            world.now = world.now.max(line.at);
        }
        Ok((world, !lines.is_empty(), store))
    }

    /// A world in memory. What its parts refer to must exist.
    pub fn of(mut world: World) -> Result<Self, WorldError> {
        world.settle()?;
        Ok(Self::with(Arc::new(world), None))
    }

    fn with(world: Arc<World>, store: Option<Store>) -> Self {
        let clock = Arc::new(VirtualClock::at(world.now));
        let faults = Faults::default();
        world.faults.calls.iter().cloned().for_each(|planned| faults.plan(planned));
        world.faults.edits.iter().cloned().for_each(|planned| faults.edit(planned));
        faults.seeded(world.faults.seed, world.faults.mix.clone());
        faults.latency(world.faults.latency);
        faults.lag(world.faults.lag);
        faults.skew(world.faults.skew);
        let state = State {
            world,
            store,
            unfolded: false,
            broken: None,
            limits: Limits::default(),
            history: History::default(),
            sessions: aws::Sessions::default(),
            requests: 0,
            writes: 0,
            throttled: 0,
            under_way: 0,
            calls: BTreeMap::new(),
            watched: None,
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

    /// How often each action was called: `GET /groups/{id}/users`, `iam:CreateUser`, `GET /v3/projects:search`.
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

    /// How many calls were refused because they were too many; those that a fault throttled are not counted.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.lock().throttled
    }

    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> World {
        World::clone(&self.lock().world)
    }

    /// Changes the world behind the vendors' back, as someone with another tool would. What is in a file is written there.
    pub fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> Result<T, WorldError> {
        let state = &mut *self.lock();
        self.remember(state);
        state.edit(&self.inner.clock, change)
    }

    /// From now on each write that is carried out is kept, with the world before and after it.
    pub fn watch(&self) {
        self.lock().watched = Some(Vec::new());
    }

    /// The writes that were carried out since [`Simulator::watch`]. What [`Simulator::edit`] does is not among them.
    #[must_use]
    pub fn watched(&self) -> Vec<Written> {
        self.lock().watched.clone().unwrap_or_default()
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Changes the world as someone with another tool would.
    fn edit<T>(
        &mut self,
        clock: &VirtualClock,
        change: impl FnOnce(&mut World) -> T,
    ) -> Result<T, WorldError> {
        let mut world = World::clone(&self.world);
        let result = change(&mut world);
        world.settle()?;
        if world.now > clock.now() {
            clock.advance(world.now.duration_since(clock.now()).unsigned_abs());
        }
        if let Some(store) = &mut self.store {
            store.fold(&world)?.then_some(()).ok_or_else(WorldError::edited)?;
            self.unfolded = false;
        }
        self.world = Arc::new(world);
        self.history.changed(clock.now(), &self.world);
        Ok(result)
    }
}
