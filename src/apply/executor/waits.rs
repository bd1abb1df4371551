//! How long a run waits, for what, and what cuts a wait short.
//!
//! Invariant: every wait ends by a deadline, or soon after the run was asked to stop. It must not sleep except through the
//! [`Clock`].

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use jiff::{SignedDuration, Timestamp};

use crate::model::Name;
use crate::model::guard::Guard;
use crate::provider::limiter::Jitter;
use crate::provider::{Clock, Error, ErrorKind, Provider};

use super::{Progress, Stop};

/// How long one change may be tried, and how long a provider may stay without an answer.
pub(super) const DEADLINE: Duration = Duration::from_mins(10);
/// How long the first pause before another try lasts; each further one is twice as long, up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// How long a call that is under way may still take once the run is to stop.
const GRACE: Duration = Duration::from_secs(20);
/// After so many changes in a row that got no answer by the deadline, nothing more is asked of a provider.
const GIVEN_UP: u32 = 3;

/// What a run waits with.
pub(super) struct Waits<'a> {
    clock: &'a dyn Clock,
    stop: &'a Stop,
    progress: &'a dyn Progress,
    jitter: Jitter,
    silent: Mutex<BTreeMap<Name, Silence>>,
}

/// A provider that does not answer.
#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Timestamp,
    given_up: u32,
}

impl<'a> Waits<'a> {
    pub(super) fn new(clock: &'a dyn Clock, stop: &'a Stop, progress: &'a dyn Progress, seed: u64) -> Self {
        Self { clock, stop, progress, jitter: Jitter::seeded(seed), silent: Mutex::default() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the run is to stop.
    pub(super) fn stopped(&self) -> bool {
        self.stop.is_asked()
    }

    pub(super) fn later(&self, by: Duration) -> Timestamp {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.now().saturating_add(by).unwrap_or(Timestamp::MAX)
    }

    /// How long to pause after that many tries.
    pub(super) fn after(&self, tries: u32) -> Duration {
        self.jitter.pause(tries, FIRST, LONGEST)
    }

    /// Pauses, and says whether the run still goes on.
    pub(super) async fn pause(&self, what: &str, pause: Duration) -> bool {
        if self.stop.is_asked() {
            return false;
        }
        if pause > FIRST {
            self.progress.waiting(what, self.later(pause));
        }
        select(pin!(self.clock.sleep(pause)), pin!(self.stop.asked())).await;
        !self.stop.is_asked()
    }

    /// Waits for an answer; `None` where the run was stopped and it still did not come.
    pub(super) async fn answer<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let stopped = async {
            self.stop.asked().await;
            self.clock.sleep(GRACE).await;
        };
        match select(pin!(call), pin!(stopped)).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(_) => None,
        }
    }

    /// Reads, again and again where there is no answer, up to the deadline.
    pub(super) async fn read<T, F: Future<Output = Result<T, Error>>>(
        &self,
        provider: &dyn Provider,
        what: &(dyn fmt::Display + Sync),
        read: impl Fn() -> F,
    ) -> Result<T, Error> {
        if let Some(why) = self.silent_for_good(provider.instance()) {
            return Err(Error::new(ErrorKind::Unreachable, why));
        }
        let deadline = self.deadline(provider.instance(), self.now());
        let mut tries = 0;
        loop {
            let Some(answer) = self.answer(read()).await else {
                return Err(Error::new(ErrorKind::Unreachable, format!("stopped reading `{what}`")));
            };
            tries += 1;
            self.heard(provider.instance(), answer.as_ref().err());
            let pause = self.after(tries);
            match answer {
                Err(error) if is_silence(&error) && self.later(pause) <= deadline => {
                    if !self.pause(provider.instance(), pause).await {
                        return Err(error);
                    }
                }
                answer => {
                    if answer.as_ref().is_err_and(is_silence) {
                        self.gave_up(provider.instance());
                    }
                    return answer;
                }
            }
        }
    }

    /// Until when something that was begun may be tried again: no longer than a change may take, nor than its provider may
    /// stay without an answer.
    pub(super) fn deadline(&self, instance: &Name, begun: Timestamp) -> Timestamp {
        let since = self.silent().get(instance).map_or(begun, |silence| silence.since.min(begun));
        since.saturating_add(SignedDuration::try_from(DEADLINE).unwrap_or_default()).unwrap_or(Timestamp::MAX)
    }

    /// Takes note of whether a provider answers.
    pub(super) fn heard(&self, instance: &Name, error: Option<&Error>) {
        let since = self.now();
        if error.is_some_and(is_silence) {
            self.silent().entry(instance.clone()).or_insert(Silence { since, given_up: 0 });
        } else {
            self.silent().remove(instance);
        }
    }

    /// A change has ended for want of an answer.
    pub(super) fn gave_up(&self, instance: &Name) {
        if let Some(silence) = self.silent().get_mut(instance) {
            silence.given_up += 1;
        }
    }

    /// Why nothing more is asked of a provider.
    pub(super) fn silent_for_good(&self, instance: &Name) -> Option<String> {
        let silence = self.silent().get(instance).copied().filter(|silence| silence.given_up >= GIVEN_UP)?;
        let minutes = self.now().duration_since(silence.since).as_mins();
        Some(format!("`{instance}` has not answered for {minutes} minutes"))
    }

    fn silent(&self) -> MutexGuard<'_, BTreeMap<Name, Silence>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an error is no answer to what was asked, so that it may be asked again.
pub(super) fn is_silence(error: &Error) -> bool {
    match error.kind {
        ErrorKind::Unreachable => true,
        ErrorKind::Throttled => Guard::Throttle.holds(),
        _ => false,
    }
}
