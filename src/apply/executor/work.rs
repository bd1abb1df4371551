//! One change, from the first look to its end: written, tried again as the kind of error allows, polled while it is pending.
//!
//! Invariant: no call is made before its intent is on disk, and after an unknown outcome nothing is written before a look.
//! It must not decide what runs when: that is the schedule's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::STOPPED;
use super::ledger::Ledger;
use super::looks::{Looks, Others, Sight};
use super::waits::{Waits, is_silence};
use crate::apply::MOVED;
use crate::apply::approve::Cleared;
use crate::apply::journal::{Event, History};
use crate::model::guard::Guard;
use crate::model::history::Entry;
use crate::model::report::State;
use crate::model::{Change, Digest, Permit, Snapshot};
use crate::provider::{Effect, Error, ErrorKind, Outcome, Provider, Writer};

/// How often a change is tried that the provider refuses as being in conflict.
const CONFLICTS: u32 = 4;
/// How old an observation may be before a change is looked at once more.
const FRESH: SignedDuration = SignedDuration::from_mins(15);

/// What became of a change.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) state: State,
    pub(super) message: Option<String>,
    pub(super) request_id: Option<String>,
    /// What to ask, of what is pending.
    pub(super) poll: Option<String>,
}

impl End {
    pub(super) fn new(state: State, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::plain(state) }
    }

    fn plain(state: State) -> Self {
        Self { state, message: None, request_id: None, poll: None }
    }

    fn pending(poll: &str) -> Self {
        let end = Self::new(State::Pending, format!("the provider is still at it: {poll}"));
        Self { poll: Some(poll.to_owned()), ..end }
    }

    fn error(state: State, error: &Error) -> Self {
        Self { request_id: error.request_id.clone(), ..Self::new(state, error.to_string()) }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done | State::Already)
    }
}

/// How a change goes on.
#[derive(Debug)]
pub(super) enum Next {
    /// It does not.
    Ended(End),
    /// The provider is at it, and can be asked about it.
    Pending(String),
    /// It is to be begun once more, unless that has been too often: then this is its end.
    Again(End),
}

type Outcomes = Vec<Result<Outcome, Error>>;

/// What earlier runs tell of a change.
#[derive(Debug)]
struct Earlier {
    state: State,
    poll: Option<String>,
    at: Timestamp,
}

impl Earlier {
    /// When it was made at the latest, and when it will have been seen wherever one looks.
    fn shown(&self, provider: &dyn Provider, opened: Timestamp) -> (Timestamp, Timestamp) {
        let lag = SignedDuration::try_from(provider.patience().lag).unwrap_or_default();
        // Another machine's clock may have been ahead; what it began, it began before this run did.
        let made = self.at.min(opened);
        (made, made.saturating_add(lag).unwrap_or(Timestamp::MAX))
    }
}

/// A provider and what writes to it.
struct Hand<'a> {
    provider: &'a dyn Provider,
    writer: Box<dyn Writer>,
}

/// What carries changes out.
pub(super) struct Work<'a> {
    changes: &'a [Change],
    cleared: &'a Cleared<'a>,
    permit: &'a Permit,
    hands: BTreeMap<&'a str, Hand<'a>>,
    earlier: BTreeMap<Digest, Earlier>,
    /// When the observation behind the plan ended, and when it had not begun yet.
    observed: Timestamp,
    opened: Timestamp,
    pub(super) ledger: Ledger,
    pub(super) waits: Waits<'a>,
    looks: Looks,
    /// What earlier runs began and this one saw to fail, so that it may be begun anew.
    failed_since: Mutex<BTreeSet<Digest>>,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        cleared: &'a Cleared<'a>,
        permit: &'a Permit,
        providers: &[&'a dyn Provider],
        live: &Snapshot,
        observed: Timestamp,
        history: &History,
        waits: Waits<'a>,
    ) -> Self {
        let changes = &cleared.fresh().changes[..];
        let written = |provider: &&&'a dyn Provider| {
            changes.iter().any(|change| instance(change) == provider.instance().as_ref())
        };
        let hands = providers.iter().filter(written).map(|provider| {
            let hand = Hand { provider: *provider, writer: provider.writer(permit, live) };
            (provider.instance().as_ref(), hand)
        });
        let earlier = earlier(history);
        let opened = history.runs.last().map(|run| run.began).unwrap_or(observed).min(observed);
        let hands: BTreeMap<&str, Hand<'a>> = hands.collect();
        let looks = Looks::new(changes, live, |change| {
            let earlier = earlier.get(&change.effect).zip(hands.get(instance(change)));
            earlier.is_some_and(|(earlier, hand)| earlier.shown(hand.provider, opened).1 >= opened)
        });
        Self {
            changes,
            cleared,
            permit,
            hands,
            earlier,
            observed,
            opened,
            ledger: Ledger::default(),
            waits,
            looks,
            failed_since: Mutex::default(),
        }
    }

    /// Whether an earlier run began a change, so that it may be long before it is known what to do about it.
    pub(super) fn was_begun(&self, change: &Change) -> bool {
        self.earlier.contains_key(&change.effect)
    }

    /// Carries out what begins together; how each goes on, in the same order.
    pub(super) async fn carry_out(&self, group: &[usize]) -> Vec<Next> {
        let mut nexts = Vec::with_capacity(group.len());
        for index in group {
            let change = &self.changes[*index];
            nexts.push(self.before(change).await.map(|next| self.told(change, next)));
        }
        let open: Vec<&Change> = group
            .iter()
            .zip(&nexts)
            .filter(|(_, next)| next.is_none())
            .map(|(index, _)| &self.changes[*index])
            .collect();
        let Some(hand) = open.first().and_then(|change| self.hand(change)) else {
            return nexts.into_iter().flatten().collect();
        };
        let begun = self.waits.now();
        // Looking takes time, in which the run may have been told to stop.
        let stopped = self.waits.stopped().then(|| End::new(State::NotReached, STOPPED));
        let attempted = match stopped {
            Some(end) => Err(end),
            None => self.attempt(hand, &open, 1).await,
        };
        let outcomes = match attempted {
            Ok(outcomes) => outcomes,
            Err(end) => {
                return nexts
                    .into_iter()
                    .map(|next| next.unwrap_or_else(|| Next::Ended(end.clone())))
                    .collect();
            }
        };
        let nothing = || Error::new(ErrorKind::Malformed, "the provider said nothing of it").maybe_done();
        let mut outcomes = outcomes.into_iter().chain(std::iter::repeat_with(|| Err(nothing())));
        let open = group.iter().zip(&mut nexts).filter(|(_, next)| next.is_none());
        let mut open: Vec<_> = open.zip(&mut outcomes).collect();
        // What has succeeded does not wait for what is tried again.
        open.sort_by_key(|(_, outcome)| outcome.is_err());
        for ((index, next), outcome) in open {
            let change = &self.changes[*index];
            *next = Some(self.told(change, self.persist(hand, change, begun, outcome).await));
        }
        nexts.into_iter().flatten().collect()
    }

    /// Puts the end of a change into the journal, where it has ended.
    fn told(&self, change: &Change, next: Next) -> Next {
        if let Next::Ended(end) = &next
            && end.state != State::NotReached
        {
            self.tell(change, end);
        }
        next
    }

    /// What can be said of a change before any call. `None`: it is to be written.
    async fn before(&self, change: &Change) -> Option<Next> {
        if let Some(reason) = self.refused(change) {
            return Some(Next::Ended(End::new(State::Refused, reason)));
        }
        if !change.op.writes() {
            return Some(Next::Ended(End::plain(State::Already)));
        }
        if !self.permit.covers(&change.effect) {
            return Some(Next::Ended(End::new(State::Refused, "the gate did not let it pass")));
        }
        let Some(hand) = self.hand(change) else {
            let message = format!("there is no provider `{}`", instance(change));
            return Some(Next::Ended(End::new(State::Failed, message)));
        };
        if let Some(why) = self.waits.silent_for_good(hand.provider.instance()) {
            return Some(Next::Ended(End::new(State::NotReached, why)));
        }
        let earlier = self.earlier.get(&change.effect).filter(|_| !self.has_failed_since(change));
        match earlier.filter(|earlier| !matches!(earlier.state, State::Failed | State::Refused)) {
            Some(_) if !Guard::Resume.holds() => Some(Next::Ended(End::plain(State::Already))),
            Some(Earlier { state: State::Pending, poll: Some(poll), .. }) => {
                Some(Next::Pending(poll.clone()))
            }
            Some(earlier) => self.look_back(hand.provider, change, earlier).await.map(Next::Ended),
            None => self.look_once_more(hand.provider, change).await.map(Next::Ended),
        }
    }

    /// Looks at what an earlier run began. What it wrote may still have been on its way to be seen when the plan was made,
    /// and then the plan proves nothing.
    async fn look_back(&self, provider: &dyn Provider, change: &Change, earlier: &Earlier) -> Option<End> {
        let (made, shown) = earlier.shown(provider, self.opened);
        let pending = earlier.state == State::Pending;
        if self.opened > shown && !pending {
            return None;
        }
        // The plan was made of a look already, so the next one is worth its calls only when nothing can be on its way any more.
        let lag = shown.duration_since(self.waits.now()).max(SignedDuration::ZERO).unsigned_abs();
        let pause = if pending || !Guard::Lag.holds() { Duration::ZERO } else { lag };
        match self.look(provider, change, made, pause, Others::Begun).await {
            Ok(Sight::Open | Sight::Moved) if pending => {
                Some(End::new(State::Pending, "the provider was at it when an earlier run ended"))
            }
            // What does not show when the run is to stop may yet.
            Ok(Sight::Open | Sight::Moved) if self.waits.stopped() => Some(End::new(
                State::Unknown,
                "the run was stopped before what an earlier one began could show",
            )),
            Ok(sight) => seen(sight),
            Err(error) => Some(End::error(State::Unknown, &error)),
        }
    }

    /// Looks once more where the observation has grown old.
    async fn look_once_more(&self, provider: &dyn Provider, change: &Change) -> Option<End> {
        let since = self.waits.now().saturating_sub(FRESH).unwrap_or(Timestamp::MIN);
        if self.observed >= since {
            return None;
        }
        match self.looks.see(&self.waits, provider, change, since, Others::Planned).await {
            Ok((Sight::True, _)) if !Guard::Idempotent.holds() => None,
            Ok((sight, _)) => seen(sight),
            Err(error) => Some(End::error(State::Failed, &error)),
        }
    }

    /// Calls the provider, once the intents are on disk; an outcome for each change. The error says that nothing was sent.
    async fn attempt(&self, hand: &Hand<'_>, changes: &[&Change], attempt: u32) -> Result<Outcomes, End> {
        for change in changes {
            let (effect, target) = (change.effect.clone(), change.target());
            self.ledger.note(Event::Intent { effect, op: change.op, target, attempt });
        }
        self.ledger.on_disk().await.map_err(|broken| End::new(State::NotReached, broken))?;
        let answers = async {
            match changes {
                [change] => vec![hand.writer.write(change).await],
                _ => hand.writer.write_all(changes).await,
            }
        };
        Ok(self.waits.answer(answers).await.unwrap_or_else(|| {
            let stopped = || Error::new(ErrorKind::Unreachable, "the run was stopped before the answer came");
            changes.iter().map(|_| Err(stopped().maybe_done())).collect()
        }))
    }

    /// Tries a change again for as long as that makes sense.
    async fn persist(
        &self,
        hand: &Hand<'_>,
        change: &Change,
        begun: Timestamp,
        mut outcome: Result<Outcome, Error>,
    ) -> Next {
        let mut attempt = 1;
        loop {
            self.waits.heard(hand.provider.instance(), outcome.as_ref().err());
            let error = match outcome {
                Ok(Outcome::Done { request_id }) => {
                    return Next::Ended(End { request_id, ..End::plain(State::Done) });
                }
                Ok(Outcome::Pending { poll }) => return Next::Pending(poll),
                Err(error) => error,
            };
            if let Some(end) = self.look_after(hand.provider, change, &error).await {
                return Next::Ended(end);
            }
            if !self.again(hand.provider, begun, attempt, &error).await {
                return Next::Ended(End::error(State::Failed, &error));
            }
            attempt += 1;
            outcome = match self.attempt(hand, &[change], attempt).await {
                Ok(outcomes) => outcomes.into_iter().next().unwrap_or(Err(error)),
                Err(end) => return Next::Ended(end),
            };
        }
    }

    /// Whether to try once more, after a pause.
    async fn again(&self, provider: &dyn Provider, begun: Timestamp, attempt: u32, error: &Error) -> bool {
        let instance = provider.instance();
        let unknown = error.effect == Effect::Unknown;
        let again = match error.kind {
            ErrorKind::Conflict if !unknown => attempt < CONFLICTS,
            _ => unknown || is_silence(error),
        };
        if !again || self.ledger.broken().is_some() {
            return false;
        }
        let pause = self.waits.after(attempt);
        if self.waits.later(pause) > self.waits.deadline(instance, begun) {
            if is_silence(error) {
                self.waits.gave_up(instance);
            }
            return false;
        }
        self.waits.pause(instance, pause).await
    }

    /// Looks where an error leaves open what is true: after an unknown outcome, and where the provider says that the thing
    /// is not, or no longer, as it was. `None`: nothing has happened.
    async fn look_after(&self, provider: &dyn Provider, change: &Change, error: &Error) -> Option<End> {
        let unknown = error.effect == Effect::Unknown;
        let now = self.waits.now();
        let sight = if unknown {
            self.tell(change, &End::error(State::Unknown, error));
            if !Guard::ReadUnknown.holds() {
                return None;
            }
            // What is on its way may still arrive.
            self.look(provider, change, now, self.waits.after(1), Others::Now).await
        } else {
            match error.kind {
                ErrorKind::Conflict => self.look(provider, change, now, Duration::ZERO, Others::Now).await,
                ErrorKind::NotFound => self
                    .looks
                    .see(&self.waits, provider, change, now, Others::Now)
                    .await
                    .map(|(sight, _)| sight),
                _ => return None,
            }
        };
        match sight {
            Ok(Sight::True) if unknown => {
                Some(End::new(State::Done, "the answer was lost, and it was seen to be done"))
            }
            // What does not show when the run is to stop may yet.
            Ok(Sight::Open) if unknown && self.waits.stopped() => Some(End::error(State::Unknown, error)),
            Ok(sight) => seen(sight),
            Err(_) if unknown => Some(End::error(State::Unknown, error)),
            Err(_) => Some(End::error(State::Failed, error)),
        }
    }

    /// Looks until a change that was made at that time shows, or would have shown: what has arrived may not be seen
    /// everywhere yet, so a look that shows nothing proves nothing before.
    async fn look(
        &self,
        provider: &dyn Provider,
        change: &Change,
        made: Timestamp,
        mut pause: Duration,
        others: Others,
    ) -> Result<Sight, Error> {
        let lag = if Guard::Lag.holds() { provider.patience().lag } else { Duration::ZERO };
        let shown = made.saturating_add(SignedDuration::try_from(lag).unwrap_or_default());
        let shown = shown.unwrap_or(Timestamp::MAX);
        let (mut since, mut tries) = (made, 0);
        loop {
            if !pause.is_zero() {
                self.waits.pause(provider.instance(), pause).await;
            }
            let (sight, looked) = self.looks.see(&self.waits, provider, change, since, others).await?;
            if sight == Sight::True || looked >= shown || self.waits.stopped() {
                return Ok(sight);
            }
            (since, tries) = (looked, tries + 1);
            let left = shown.duration_since(self.waits.now()).max(SignedDuration::from_millis(1));
            pause = self.waits.after(tries).min(left.unsigned_abs());
        }
    }

    /// Asks what has become of a change that is pending, until it has ended or has taken too long.
    pub(super) async fn follow(&self, index: usize, poll: String) -> Next {
        let change = &self.changes[index];
        let next = self.told(change, self.ask(change, poll).await);
        if matches!(next, Next::Again(_)) {
            let mut failed = self.failed_since.lock().unwrap_or_else(PoisonError::into_inner);
            failed.insert(change.effect.clone());
        }
        next
    }

    fn has_failed_since(&self, change: &Change) -> bool {
        self.failed_since.lock().unwrap_or_else(PoisonError::into_inner).contains(&change.effect)
    }

    async fn ask(&self, change: &Change, mut poll: String) -> Next {
        let Some(Hand { provider, writer }) = self.hand(change) else {
            return Next::Ended(End::pending(&poll));
        };
        self.tell(change, &End::pending(&poll));
        let deadline = self.waits.later(provider.patience().pending);
        let mut tries = 0;
        loop {
            tries += 1;
            let pause = self.waits.after(tries);
            let in_time = self.waits.later(pause) <= deadline;
            if !in_time || !self.waits.pause(provider.instance(), pause).await {
                return Next::Ended(End::pending(&poll));
            }
            match self.waits.answer(writer.poll(change, &poll)).await {
                Some(Ok(Outcome::Done { request_id })) => {
                    return Next::Ended(End { request_id, ..End::plain(State::Done) });
                }
                Some(Ok(Outcome::Pending { poll: now })) => {
                    if now != poll {
                        self.tell(change, &End::pending(&now));
                        poll = now;
                    }
                }
                Some(Err(error)) if is_silence(&error) => {}
                Some(Err(error)) => return self.after_poll(*provider, change, &error, &poll).await,
                None => return Next::Ended(End::pending(&poll)),
            }
        }
    }

    /// What follows where an operation has failed after all, or nobody can be asked about it.
    async fn after_poll(&self, provider: &dyn Provider, change: &Change, error: &Error, poll: &str) -> Next {
        if error.kind == ErrorKind::Unsupported {
            let sight = self.looks.see(&self.waits, provider, change, self.waits.now(), Others::Now).await;
            return Next::Ended(match sight {
                Ok((Sight::True, _)) => End::plain(State::Already),
                _ => End::pending(poll),
            });
        }
        if let Some(end) = self.look_after(provider, change, error).await {
            return Next::Ended(end);
        }
        let end = End::error(State::Failed, error);
        let again = error.kind == ErrorKind::Conflict || error.effect == Effect::Unknown;
        if again && !self.waits.stopped() { Next::Again(end) } else { Next::Ended(end) }
    }

    /// Puts what became of a change into the journal.
    pub(super) fn tell(&self, change: &Change, end: &End) {
        let End { state, message, request_id, poll } = end.clone();
        self.ledger.note(Event::Outcome { effect: change.effect.clone(), state, message, request_id, poll });
    }

    /// Why a change may not be written.
    pub(super) fn refused(&self, change: &Change) -> Option<String> {
        self.cleared.refused().get(&change.effect).cloned()
    }

    fn hand(&self, change: &Change) -> Option<&Hand<'a>> {
        self.hands.get(instance(change))
    }

    /// The provider of an instance.
    pub(super) fn provider(&self, instance: &str) -> Option<&'a dyn Provider> {
        self.hands.get(instance).map(|hand| hand.provider)
    }
}

/// How a change ends after a look; `None` where it is open.
fn seen(sight: Sight) -> Option<End> {
    match sight {
        Sight::True => Some(End::plain(State::Already)),
        Sight::Open => None,
        Sight::Moved => {
            let message = format!("{}: somebody else changed it meanwhile", MOVED.code);
            Some(End::new(State::Refused, message))
        }
    }
}

/// The provider that carries out a change: the resource's, or the principal's where the resource is a vendor's own.
pub(super) fn instance(change: &Change) -> &str {
    match &change.grant {
        Some(grant) if grant.resource.is_reserved() => grant.principal.instance(),
        Some(grant) => grant.resource.instance(),
        None => change.address.instance(),
    }
}

fn earlier(history: &History) -> BTreeMap<Digest, Earlier> {
    let earlier = |entry: &Entry| Earlier { state: entry.state, poll: entry.poll.clone(), at: entry.at };
    history.changes.iter().map(|entry| (entry.effect.clone(), earlier(entry))).collect()
}
