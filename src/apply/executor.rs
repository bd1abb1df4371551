//! The executor: carries out a cleared plan, side by side within the providers' limits, and says what became of each change.
//!
//! Everything runs on one task: `schedule` says what can begin, `work` carries it out, `ledger` writes the journal.
//! Invariant: every change appears exactly once in the report, nothing runs before all that it requires is done, and no
//! call is made before its intent is on disk. A failure stops what requires it and nothing else.
//! It must not choose: what is written is the plan's, whether it may be is the permit's.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};

use super::approve::Cleared;
use super::journal::{Event, Journal};
use crate::model::report::{State, Step};
use crate::model::{Change, Permit, Report, Snapshot};
use crate::provider::{Clock, Lane, Provider};

use schedule::{Queue, Schedule};
use waits::Waits;
use work::{End, Next, Work, instance};

pub use progress::{Progress, Silent, Tally};
pub use stop::Stop;

mod ledger;
mod looks;
mod progress;
mod schedule;
mod stop;
mod waits;
mod work;

/// How often a change is begun whose operation the provider accepts and then fails.
const ROUNDS: u32 = 3;
/// Why something was not begun.
const STOPPED: &str = "the run was stopped before it";

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
    let Run { cleared, permit, providers, live, observed, clock, journal, stop, progress } = run;
    let approval = permit.approval();
    let waits = Waits::new(clock, stop, progress, seed(&cleared.approved().id));
    let work = Work::new(cleared, permit, providers, live, observed, journal.history(), waits);
    work.ledger.note(Event::Approved { approval: approval.clone() });
    let ends = Execution::new(&cleared.fresh().changes, &work, progress).run(journal, stop).await;
    let approved = cleared.approved();
    Report {
        plan: approved.id.clone(),
        effect: approved.effect.clone(),
        approval: approval.to_string(),
        steps: cleared.fresh().changes.iter().zip(ends).map(|(change, end)| step(change, end)).collect(),
        left: Vec::new(),
        held: cleared.fresh().held.clone(),
        drift: cleared.fresh().drift.clone(),
        converged: false,
        calls: providers.iter().map(|provider| provider.calls()).sum(),
    }
}

/// What comes back from what is under way.
enum Back {
    /// The calls of a group are over.
    Called(Vec<usize>, Vec<Next>),
    /// So is the following of one that was pending.
    Followed(usize, Next),
}

/// One execution.
struct Execution<'a> {
    changes: &'a [Change],
    work: &'a Work<'a>,
    progress: &'a dyn Progress,
    schedule: Schedule,
    ends: Vec<Option<End>>,
    ended: usize,
    under_way: usize,
    /// How often changes were begun once more.
    rounds: BTreeMap<usize, u32>,
    /// By lane: until when it was last said to be closed.
    told: Vec<Option<Timestamp>>,
}

impl<'a> Execution<'a> {
    fn new(changes: &'a [Change], work: &'a Work<'a>, progress: &'a dyn Progress) -> Self {
        let schedule = Schedule::new(changes, |change| {
            let instance = instance(change);
            let lane = work.provider(instance).map_or_else(|| Lane::new("", 1), |p| p.lane(change));
            // Nobody else waits while it is found out what became of what an earlier run began.
            (instance, lane, work.was_begun(change))
        });
        let (ends, told) = (vec![None; changes.len()], vec![None; schedule.queues().len()]);
        let rounds = BTreeMap::new();
        Self { changes, work, progress, schedule, ends, ended: 0, under_way: 0, rounds, told }
    }

    /// Runs all that can run; how each change ended.
    async fn run(mut self, journal: &mut Journal, stop: &Stop) -> Vec<End> {
        let mut under_way = FuturesUnordered::<BoxFuture<'a, Back>>::new();
        // Whatever else comes: how it was approved stands before the first intent.
        self.work.ledger.flush(journal, self.work.waits.now());
        let stopped = loop {
            let stopped = self.work.ledger.broken().or_else(|| stop.is_asked().then(|| STOPPED.to_owned()));
            if stopped.is_none() {
                for group in self.schedule.start() {
                    self.begin(&group);
                    let work = self.work;
                    under_way.push(Box::pin(async move {
                        let nexts = work.carry_out(&group).await;
                        Back::Called(group, nexts)
                    }));
                }
            }
            let back = poll_fn(|context| {
                loop {
                    let polled = under_way.poll_next_unpin(context);
                    self.tell_waits();
                    match polled {
                        // All that can go on has: what it noted is synced in one go, and those who waited for it go on.
                        Poll::Pending if self.work.ledger.flush(journal, self.work.waits.now()) => {}
                        polled => return polled,
                    }
                }
            });
            match back.await {
                None => break stopped,
                Some(Back::Called(group, nexts)) => {
                    self.schedule.leave(&group);
                    for (index, next) in group.into_iter().zip(nexts) {
                        self.take(index, next, &under_way);
                    }
                }
                Some(Back::Followed(index, next)) => self.take(index, next, &under_way),
            }
        };
        self.work.ledger.flush(journal, self.work.waits.now());
        let not_reached = |index| self.not_reached(index, stopped.as_deref());
        let ends = self.ends.iter().enumerate();
        ends.map(|(index, end)| end.clone().unwrap_or_else(|| not_reached(index))).collect()
    }

    fn begin(&mut self, group: &[usize]) {
        self.under_way += group.len();
        let tally = self.tally();
        group.iter().for_each(|index| self.progress.begun(&self.changes[*index], tally));
    }

    /// Takes in how a change goes on.
    fn take(&mut self, index: usize, next: Next, under_way: &FuturesUnordered<BoxFuture<'a, Back>>) {
        let end = match next {
            Next::Pending(poll) => {
                let work = self.work;
                under_way
                    .push(Box::pin(async move { Back::Followed(index, work.follow(index, poll).await) }));
                return;
            }
            Next::Again(end) => {
                let rounds = self.rounds.entry(index).or_default();
                *rounds += 1;
                if *rounds < ROUNDS {
                    self.under_way -= 1;
                    self.schedule.requeue(index);
                    return;
                }
                self.work.tell(&self.changes[index], &end);
                end
            }
            Next::Ended(end) => end,
        };
        let change = &self.changes[index];
        self.schedule.finish(index, end.is_done());
        self.under_way -= 1;
        self.ended += 1;
        self.progress.ended(&step(change, end.clone()), self.tally());
        self.ends[index] = Some(end);
    }

    /// Why a change was not begun.
    fn not_reached(&self, index: usize, stopped: Option<&str>) -> End {
        // What was refused is refused whether or not the run came that far.
        if let Some(reason) = self.work.refused(&self.changes[index]) {
            return End::new(State::Refused, reason);
        }
        let blockers = self.schedule.blockers(index);
        let failed = blockers.iter().find(|b| self.ends[**b].as_ref().is_some_and(|end| !end.is_done()));
        let blocker = failed.or_else(|| blockers.first()).map(|blocker| &self.changes[*blocker]);
        let reason = match (failed, stopped, blocker) {
            (None, Some(stopped), _) => stopped.to_owned(),
            (_, _, Some(blocker)) => format!("waits for {} `{}`", blocker.op, blocker.target()),
            (_, _, None) => "was not begun".to_owned(),
        };
        End::new(State::NotReached, reason)
    }

    fn tally(&self) -> Tally {
        let (total, ended, under_way) = (self.changes.len(), self.ended, self.under_way);
        let left = self.schedule.queues().iter().filter_map(|queue| self.left(queue)).max();
        Tally { total, ended, under_way, left }
    }

    /// How long a lane's limit will make what is left of it take.
    fn left(&self, queue: &Queue) -> Option<Duration> {
        let pace = self.work.provider(&queue.instance)?.pace(&queue.lane);
        let per_minute = pace.per_minute.filter(|rate| *rate > 0)?;
        let queues = self.schedule.queues().iter().filter(|other| other.is_beside(queue));
        let rest: usize = queues.map(|queue| queue.rest).sum();
        let beyond = (rest as u64).saturating_sub(pace.left.unwrap_or(0));
        let closed = pace.closed_until.map(|until| until.duration_since(self.work.waits.now()));
        let closed = closed.unwrap_or_default().max(SignedDuration::ZERO).unsigned_abs();
        Some(closed + Duration::from_millis(beyond.saturating_mul(60_000) / per_minute))
    }

    /// Says which lanes wait for their limit.
    fn tell_waits(&mut self) {
        let now = self.work.waits.now();
        let queues = self.schedule.queues();
        for queue in queues.iter().filter(|queue| queue.under_way > 0) {
            // What shares a limit waits once.
            let first = queues.iter().position(|other| other.is_beside(queue));
            let Some(told) = first.and_then(|first| self.told.get_mut(first)) else { continue };
            if told.is_some_and(|until| until > now) {
                continue;
            }
            let pace = self.work.provider(&queue.instance).map(|provider| provider.pace(&queue.lane));
            *told = pace.and_then(|pace| pace.closed_until).filter(|until| *until > now);
            if let Some(until) = told {
                self.progress.waiting(&format!("{} {}", queue.instance, queue.lane), *until);
            }
        }
    }
}

fn step(change: &Change, end: End) -> Step {
    let End { state, message, request_id, .. } = end;
    let (effect, target) = (change.effect.clone(), change.target());
    Step { effect, op: change.op, target, risk: change.risk, state, message, request_id }
}

/// The same plan waits in the same way.
fn seed(plan: &str) -> u64 {
    plan.bytes().fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

#[cfg(test)]
mod tests;
