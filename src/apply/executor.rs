//! The executor: carries out a cleared plan, change by change, and says what became of each.
//!
//! Invariant: every change appears exactly once in the report, nothing runs before all that it requires is done, and no
//! call is made before its intent is on disk. A failure stops what requires it and nothing else.
//! It must not choose: what is written is the plan's, whether it may be is the permit's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::MOVED;
use super::approve::{Cleared, is_on_the_way, is_true};
use super::journal::{Event, Journal};
use crate::model::report::{State, Step};
use crate::model::{Address, Approval, Change, Coverage, Digest, Finding, Name, Permit, Report, Snapshot};
use crate::provider::{Clock, Effect, Error, ErrorKind, Outcome, Provider, Writer};

pub use progress::{Progress, Silent, Tally};
pub use stop::Stop;

mod progress;
mod stop;

/// How often a call is tried. The provider's own send loop waits for limits; these few tries are for what outlasts it.
const ATTEMPTS: u32 = 4;
/// How long the first of these waits lasts; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// How old an observation may be before a change is looked at once more.
const FRESH: SignedDuration = SignedDuration::from_mins(15);

/// What an execution needs.
pub struct Run<'a> {
    /// The plan, cleared.
    pub cleared: &'a Cleared<'a>,
    /// Leave to write it.
    pub permit: &'a Permit,
    /// The providers, one for each instance that the plan changes.
    pub providers: &'a [&'a dyn Provider],
    /// What the fresh plan was made from.
    pub live: &'a Snapshot,
    /// When that was observed.
    pub observed: Timestamp,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The approved plan's journal.
    pub journal: &'a mut Journal,
    /// Asked by a signal: what is in flight is finished, the rest is not begun.
    pub stop: &'a Stop,
    /// Who wants to hear how it goes.
    pub progress: &'a dyn Progress,
}

/// Carries out a plan. The report says what became of each change, in the plan's order; `left` and `converged` are for
/// whoever observes again.
pub async fn execute(run: Run<'_>) -> Report {
    let plan = run.cleared.fresh();
    let begun = run.journal.history().states();
    let mut worker = Worker { run, begun, writers: BTreeMap::new(), broken: None };
    let approval = worker.run.permit.approval().clone();
    worker.note(Event::Approved { approval: approval.clone() });

    let changes = &plan.changes;
    let mut schedule = Schedule::new(changes);
    let mut ends: Vec<Option<End>> = vec![None; changes.len()];
    while worker.stopped().is_none()
        && let Some(index) = schedule.start()
    {
        let end = worker.carry_out(&changes[index]).await;
        schedule.finish(index, matches!(end.state, State::Done | State::Already));
        ends[index] = Some(end);
    }
    let stopped = worker.stopped();
    let not_reached = |index: usize, ends: &[Option<End>]| {
        // What was refused is refused whether or not the run came that far.
        if let Some(reason) = worker.run.cleared.refused().get(&changes[index].effect) {
            return End::new(State::Refused, reason.clone());
        }
        let failed = schedule.blockers[index].iter().find(|blocker| {
            ends[**blocker].as_ref().is_some_and(|end| !matches!(end.state, State::Done | State::Already))
        });
        let blocker = failed.or_else(|| schedule.blockers[index].first()).map(|blocker| &changes[*blocker]);
        let waits = |blocker: &Change| format!("waits for {} `{}`", blocker.op, blocker.target());
        let reason = match (failed, &stopped, blocker) {
            (None, Some(stopped), _) => stopped.clone(),
            (_, _, Some(blocker)) => waits(blocker),
            (_, _, None) => "was not begun".to_owned(),
        };
        End::new(State::NotReached, reason)
    };
    let steps = changes.iter().enumerate().map(|(index, change)| {
        let End { state, message, request_id } =
            ends[index].clone().unwrap_or_else(|| not_reached(index, &ends));
        Step {
            effect: change.effect.clone(),
            op: change.op,
            target: change.target(),
            risk: change.risk,
            state,
            message,
            request_id,
        }
    });
    let approved = worker.run.cleared.approved();
    Report {
        plan: approved.id.clone(),
        effect: approved.effect.clone(),
        approval: in_words(&approval),
        steps: steps.collect(),
        left: Vec::new(),
        held: plan.held.clone(),
        drift: plan.drift.clone(),
        converged: false,
        calls: worker.run.providers.iter().map(|provider| provider.calls()).sum(),
    }
}

fn in_words(approval: &Approval) -> String {
    match approval {
        Approval::Simulated => "none needed: everything is simulated".to_owned(),
        Approval::Standing => "none needed: standing changes within their limits".to_owned(),
        Approval::Operator(effect) => format!("effect {} typed by the operator", effect.short()),
    }
}

/// Which changes can begin. Whoever has several hands may start several before finishing one.
struct Schedule {
    /// By change: those that it requires and that are in the plan. What is not in it is true already.
    blockers: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
    /// By change: how many of its blockers are not done.
    open: Vec<usize>,
    /// In the order of the plan.
    ready: BTreeSet<usize>,
}

impl Schedule {
    fn new(changes: &[Change]) -> Self {
        let mut indices: BTreeMap<&Digest, Vec<usize>> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate() {
            indices.entry(&change.effect).or_default().push(index);
        }
        let blockers: Vec<Vec<usize>> = changes
            .iter()
            .map(|change| change.requires.iter().filter_map(|e| indices.get(e)).flatten().copied().collect())
            .collect();
        let mut dependents = vec![Vec::new(); changes.len()];
        for (index, blockers) in blockers.iter().enumerate() {
            for blocker in blockers {
                dependents[*blocker].push(index);
            }
        }
        let open: Vec<usize> = blockers.iter().map(Vec::len).collect();
        let ready = (0..changes.len()).filter(|index| open[*index] == 0).collect();
        Self { blockers, dependents, open, ready }
    }

    fn start(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    fn finish(&mut self, index: usize, done: bool) {
        for dependent in self.dependents[index].iter().filter(|_| done) {
            self.open[*dependent] -= 1;
            if self.open[*dependent] == 0 {
                self.ready.insert(*dependent);
            }
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone)]
struct End {
    state: State,
    message: Option<String>,
    request_id: Option<String>,
}

impl End {
    fn new(state: State, message: impl Into<String>) -> Self {
        Self { state, message: Some(message.into()), request_id: None }
    }

    fn plain(state: State) -> Self {
        Self { state, message: None, request_id: None }
    }

    fn error(state: State, error: &Error) -> Self {
        Self { state, message: Some(error.to_string()), request_id: error.request_id.clone() }
    }
}

/// What a look at live shows of a change.
enum Sight {
    /// It is so already.
    True,
    /// It is not so, or only in part; nothing else has happened to it.
    Open,
    /// Somebody else has changed it.
    Moved,
}

struct Worker<'a> {
    run: Run<'a>,
    /// What earlier runs of this plan tell.
    begun: BTreeMap<Digest, State>,
    writers: BTreeMap<Name, Box<dyn Writer>>,
    /// Why the journal can no longer be written; then nothing more is begun.
    broken: Option<String>,
}

impl<'a> Worker<'a> {
    fn stopped(&self) -> Option<String> {
        let stop = self.run.stop.is_asked().then(|| "the run was stopped before it".to_owned());
        self.broken.clone().or(stop)
    }

    /// Writes a record; whether it is on disk.
    fn note(&mut self, event: Event) -> bool {
        if self.broken.is_none()
            && let Err(error) = self.run.journal.append(self.run.clock.now(), event)
        {
            self.broken = Some(Finding::to_string(&error));
        }
        self.broken.is_none()
    }

    async fn carry_out(&mut self, change: &Change) -> End {
        let mut poll = None;
        let end = match self.run.cleared.refused().get(&change.effect) {
            Some(reason) => End::new(State::Refused, reason.clone()),
            None if !change.op.writes() => End::plain(State::Already),
            None => self.write(change, &mut poll).await,
        };
        if end.state != State::NotReached {
            let (effect, state) = (change.effect.clone(), end.state);
            let (message, request_id) = (end.message.clone(), end.request_id.clone());
            self.note(Event::Outcome { effect, state, message, request_id, poll });
        }
        end
    }

    async fn write(&mut self, change: &Change, poll: &mut Option<String>) -> End {
        if !self.run.permit.covers(&change.effect) {
            return End::new(State::Refused, "the gate did not let it pass");
        }
        let instance = instance(change);
        let mut providers = self.run.providers.iter();
        let Some(provider) = providers.find(|provider| provider.instance().as_ref() == instance) else {
            return End::new(State::Failed, format!("there is no provider `{instance}`"));
        };
        let provider: &'a dyn Provider = *provider;
        if let Some(end) = self.look_first(provider, change).await {
            return end;
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (effect, target) = (change.effect.clone(), change.target());
            if !self.note(Event::Intent { effect, op: change.op, target, attempt }) {
                return End::new(State::NotReached, self.broken.clone().unwrap_or_default());
            }
            let writer = self
                .writers
                .entry(provider.instance().clone())
                .or_insert_with(|| provider.writer(self.run.permit, self.run.live));
            let error = match writer.write(change).await {
                Ok(Outcome::Done { request_id }) => {
                    return End { state: State::Done, message: None, request_id };
                }
                Ok(Outcome::Pending { poll: what }) => {
                    *poll = Some(what.clone());
                    return End::new(State::Pending, format!("the provider is still at it: {what}"));
                }
                Err(error) => error,
            };
            let wait = FIRST_WAIT.saturating_mul(1 << (attempt - 1));
            if error.effect == Effect::Unknown {
                let (effect, message) = (change.effect.clone(), Some(error.to_string()));
                let (state, request_id) = (State::Unknown, error.request_id.clone());
                self.note(Event::Outcome { effect, state, message, request_id, poll: None });
                // What is on its way may still arrive.
                self.run.clock.sleep(wait).await;
            }
            if let Some(end) = self.look_after(provider, change, &error).await {
                return end;
            }
            let again = error.effect == Effect::Unknown
                || matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unreachable | ErrorKind::Conflict);
            if !again || attempt >= ATTEMPTS || self.stopped().is_some() {
                return End::error(State::Failed, &error);
            }
            if error.effect == Effect::None {
                self.run.clock.sleep(wait).await;
            }
        }
    }

    /// Looks before the first call where an earlier run may have made it, or where the observation is old. `None`: it is
    /// to be written.
    async fn look_first(&self, provider: &dyn Provider, change: &Change) -> Option<End> {
        let earlier = self.begun.get(&change.effect).copied();
        let begun = earlier.is_some_and(|state| !matches!(state, State::Failed | State::Refused));
        let old = self.run.clock.now().duration_since(self.run.observed) > FRESH;
        if !begun && !old {
            return None;
        }
        match (self.look(provider, change).await, earlier) {
            (Ok(Sight::True), _) => Some(End::plain(State::Already)),
            (Ok(_), Some(State::Pending)) => {
                Some(End::new(State::Pending, "the provider was at it when an earlier run ended"))
            }
            (Ok(Sight::Open), _) => None,
            (Ok(Sight::Moved), _) => Some(refused_as_moved()),
            (Err(error), _) if begun => Some(End::error(State::Unknown, &error)),
            (Err(error), _) => Some(End::error(State::Failed, &error)),
        }
    }

    /// Looks where an error leaves open what is true: after an unknown outcome, and where the provider says that the thing
    /// is not, or no longer, as it was. `None`: the error stands, and nothing has happened.
    async fn look_after(&self, provider: &dyn Provider, change: &Change, error: &Error) -> Option<End> {
        let unknown = error.effect == Effect::Unknown;
        if !unknown && !matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound) {
            return None;
        }
        match self.look(provider, change).await {
            Ok(Sight::True) if unknown => {
                Some(End::new(State::Done, "the answer was lost, and it was seen to be done"))
            }
            Ok(Sight::True) => Some(End::plain(State::Already)),
            Ok(Sight::Open) => None,
            Ok(Sight::Moved) => Some(refused_as_moved()),
            Err(_) if unknown => Some(End::error(State::Unknown, error)),
            Err(_) => Some(End::error(State::Failed, error)),
        }
    }

    async fn look(&self, provider: &dyn Provider, change: &Change) -> Result<Sight, Error> {
        let ends = change
            .grant
            .as_ref()
            .map_or_else(|| vec![&change.address], |grant| vec![&grant.resource, &grant.principal]);
        let mut seen = Snapshot::default();
        for address in ends {
            if address.is_reserved() || address.instance() != provider.instance().as_ref() {
                continue;
            }
            let mut one = self.read(provider, address).await?;
            // What a successful read does not call partial was read whole.
            one.coverage.entry(address.place().into()).or_insert(Coverage::Complete);
            seen.merge(one);
        }
        Ok(if is_true(change, &seen) {
            Sight::True
        } else if is_on_the_way(change, &seen) {
            Sight::Open
        } else {
            Sight::Moved
        })
    }

    async fn read(&self, provider: &dyn Provider, address: &Address) -> Result<Snapshot, Error> {
        let mut wait = FIRST_WAIT;
        for _ in 1..ATTEMPTS {
            match provider.read(address).await {
                Err(error) if matches!(error.kind, ErrorKind::Throttled | ErrorKind::Unreachable) => {
                    self.run.clock.sleep(wait).await;
                    wait = wait.saturating_mul(2);
                }
                answer => return answer,
            }
        }
        provider.read(address).await
    }
}

fn refused_as_moved() -> End {
    End::new(State::Refused, format!("{}: somebody else changed it meanwhile", MOVED.code))
}

/// The provider that carries out a change: the resource's, or the principal's where the resource is a vendor's own.
fn instance(change: &Change) -> &str {
    match &change.grant {
        Some(grant) if grant.resource.is_reserved() => grant.principal.instance(),
        Some(grant) => grant.resource.instance(),
        None => change.address.instance(),
    }
}

#[cfg(test)]
mod tests;
