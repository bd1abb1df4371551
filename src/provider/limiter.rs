//! The limiter: keeps each bucket of calls within what the server's own headers say is left, less what others need.
//!
//! Invariant: no request goes out that the headers seen so far could have told to be too many; of a bucket that has not
//! answered yet only one request is under way. It must not sleep except through the [`Clock`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::clock::later;
use super::{Clock, Pace};

/// Randomness that a seed makes repeatable: splits up what would otherwise wake at the same instant.
#[derive(Debug)]
pub struct Jitter(AtomicU64);

impl Jitter {
    /// The sequence that belongs to a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A duration from nothing up to `most`.
    pub fn up_to(&self, most: Duration) -> Duration {
        // SplitMix64: each step of the counter, well mixed, is a number of its own.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis((mixed ^ (mixed >> 31)) % most.saturating_add(1))
    }

    /// How long to pause after that many tries: twice as long each time, from `first` up to `longest`, less up to half.
    pub fn pause(&self, tries: u32, first: Duration, longest: Duration) -> Duration {
        let most = first.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(longest);
        most / 2 + self.up_to(most / 2)
    }
}

/// Waits so that no bucket runs over.
#[derive(Debug)]
pub struct Limiter {
    clock: Arc<dyn Clock>,
    budget: u8,
    jitter: Jitter,
    buckets: Mutex<BTreeMap<String, Arc<Bucket>>>,
}

/// Leave for one request; giving it back tells the next in line.
#[derive(Debug)]
pub struct Slot {
    bucket: Arc<Bucket>,
}

/// The bucket stays closed beyond the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedUntil(pub Timestamp);

impl Limiter {
    /// A limiter that uses up to `budget` percent of what each bucket allows.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, budget: u8, seed: u64) -> Self {
        Self { clock, budget: budget.clamp(1, 100), jitter: Jitter::seeded(seed), buckets: Mutex::default() }
    }

    /// Waits for leave to send one request; not beyond `deadline`.
    pub async fn acquire(&self, bucket: &str, deadline: Timestamp) -> Result<Slot, ClosedUntil> {
        let bucket = self
            .buckets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(bucket.into())
            .or_default()
            .clone();
        // One at a time waits for the bucket, the others for their turn: so a wait is waited once, not by each.
        let turn = bucket.turn.lock().await;
        loop {
            let next = bucket.state().next(self.clock.now(), self.budget);
            match next {
                Next::Go => break,
                Next::AfterReturn => bucket.returned.notified().await,
                Next::At(time) => {
                    let jitter = self.jitter.up_to(Duration::from_millis(500));
                    let until = later(time, jitter);
                    if until > deadline {
                        return Err(ClosedUntil(time));
                    }
                    let wait = until.duration_since(self.clock.now());
                    self.clock.sleep(wait.unsigned_abs()).await;
                }
            }
        }
        drop(turn);
        Ok(Slot { bucket })
    }

    /// What is known of a bucket.
    pub fn pace(&self, bucket: &str) -> Pace {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.get(bucket).cloned();
        drop(buckets);
        bucket.map(|bucket| bucket.state().pace(self.clock.now(), self.budget)).unwrap_or_default()
    }
}

impl Slot {
    /// Takes in what an answer says of the bucket.
    pub fn learn(&self, status: StatusCode, headers: &HeaderMap, now: Timestamp) {
        self.bucket.state().learn(status, headers, now);
    }

    /// Closes the bucket to all, where a server says that it is too much but not for how long.
    pub fn close(&self, until: Timestamp) {
        let mut state = self.bucket.state();
        state.answered = true;
        state.closed_until = state.closed_until.max(Some(until));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.bucket.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.bucket.returned.notify_one();
    }
}

#[derive(Debug, Default)]
struct Bucket {
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    returned: Notify,
}

impl Bucket {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    /// Whether any answer has come; before that nothing is known.
    answered: bool,
    in_flight: u64,
    closed_until: Option<Timestamp>,
    window: Option<Window>,
}

/// What the server said of the time until its next reset.
#[derive(Debug)]
struct Window {
    limit: u64,
    /// The least that any answer of this window said.
    remaining: u64,
    /// The reset as the server wrote it: the name of the window.
    name: i64,
    /// The reset by our clock; `None` once it has passed.
    reset: Option<Timestamp>,
}

impl Window {
    /// How many calls of a whole window are ours.
    fn ours(&self, budget: u8) -> u64 {
        (self.limit.saturating_mul(u64::from(budget)) / 100).max(1)
    }

    /// How many of them are left.
    fn usable(&self, budget: u8) -> u64 {
        self.remaining.saturating_sub(self.limit.saturating_sub(self.ours(budget)))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Go,
    AfterReturn,
    At(Timestamp),
}

impl State {
    fn next(&mut self, now: Timestamp, budget: u8) -> Next {
        if let Some(until) = self.closed_until {
            if until > now {
                return Next::At(until);
            }
            self.closed_until = None;
        }
        if !self.answered {
            return if self.in_flight == 0 { self.go() } else { Next::AfterReturn };
        }
        let Some(window) = &mut self.window else { return self.go() };
        if window.reset.is_some_and(|reset| reset <= now) {
            window.reset = None;
            window.remaining = window.limit;
        }
        let usable = window.usable(budget);
        if usable > self.in_flight {
            self.go()
        } else if usable == 0
            && let Some(reset) = window.reset
        {
            Next::At(reset)
        } else if self.in_flight > 0 {
            Next::AfterReturn
        } else {
            self.go()
        }
    }

    fn pace(&self, now: Timestamp, budget: u8) -> Pace {
        let Some(window) = &self.window else {
            return Pace { closed_until: self.closed_until.filter(|until| *until > now), ..Pace::default() };
        };
        let reset = window.reset.filter(|reset| *reset > now);
        let left = if reset.is_some() { window.usable(budget) } else { window.ours(budget) };
        let closed = reset.filter(|_| left == 0).max(self.closed_until.filter(|until| *until > now));
        Pace { closed_until: closed, left: Some(left), per_minute: Some(window.ours(budget)) }
    }

    fn go(&mut self) -> Next {
        self.in_flight += 1;
        Next::Go
    }

    fn learn(&mut self, status: StatusCode, headers: &HeaderMap, now: Timestamp) {
        self.answered = true;
        let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
        let date = headers.get("date").and_then(|date| http_date(date.to_str().ok()?)).unwrap_or(now);
        if let (Some(limit), Some(remaining), Some(name)) =
            (number("x-rate-limit-limit"), number("x-rate-limit-remaining"), number("x-rate-limit-reset"))
        {
            let limit = u64::try_from(limit).unwrap_or(0);
            let remaining = u64::try_from(remaining).unwrap_or(0);
            // By the server's own clock, so that ours may be wrong.
            let left = u64::try_from(name.saturating_sub(date.as_second())).unwrap_or(0);
            let reset = Some(later(now, Duration::from_secs(left)));
            match &mut self.window {
                // A late answer of a window that is over says nothing of the present.
                Some(window) if name < window.name || (name == window.name && window.reset.is_none()) => {}
                Some(window) if name == window.name => window.remaining = window.remaining.min(remaining),
                _ => self.window = Some(Window { limit, remaining, name, reset }),
            }
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            let retry_after = headers.get("retry-after").and_then(|value| value.to_str().ok());
            let wait = retry_after.and_then(|text| match text.trim().parse::<u64>() {
                Ok(seconds) => Some(Duration::from_secs(seconds)),
                Err(_) => http_date(text)
                    .map(|until| until.duration_since(date).max(SignedDuration::ZERO).unsigned_abs()),
            });
            self.closed_until = self.closed_until.max(wait.map(|wait| later(now, wait)));
        }
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::VirtualClock;

    fn headers(limit: u64, remaining: u64, reset: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-rate-limit-limit", limit.to_string()),
            ("x-rate-limit-remaining", remaining.to_string()),
            ("x-rate-limit-reset", reset.to_string()),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn an_empty_bucket_waits_for_its_reset_and_no_longer() {
        let clock = Arc::new(VirtualClock::at(second(1000)));
        let limiter = Limiter::new(clock.clone(), 100, 7);
        let slot = limiter.acquire("x", Timestamp::MAX).await.unwrap();
        slot.learn(StatusCode::OK, &headers(10, 0, 1040), clock.now());
        drop(slot);
        let _slot = limiter.acquire("x", Timestamp::MAX).await.unwrap();
        let waited = clock.now().duration_since(second(1040));
        assert!(!waited.is_negative() && waited <= SignedDuration::from_millis(500), "{waited:?}");
    }

    #[tokio::test]
    async fn buckets_do_not_wait_for_each_other() {
        let clock = Arc::new(VirtualClock::at(second(1000)));
        let limiter = Limiter::new(clock.clone(), 100, 7);
        limiter.acquire("x", Timestamp::MAX).await.unwrap().learn(
            StatusCode::OK,
            &headers(10, 0, 1040),
            clock.now(),
        );
        limiter.acquire("y", Timestamp::MAX).await.unwrap();
        assert_eq!(clock.now(), second(1000));
    }

    #[test]
    fn a_budget_leaves_room_for_others() {
        let mut state = State::default();
        assert_eq!(state.next(second(0), 50), Next::Go);
        state.in_flight = 0;
        state.learn(StatusCode::OK, &headers(100, 52, 60), second(0));
        assert_eq!(state.next(second(0), 50), Next::Go);
        assert_eq!(state.next(second(0), 50), Next::Go);
        assert_eq!(state.next(second(0), 50), Next::AfterReturn, "two are under way, and two were left");
        state.learn(StatusCode::OK, &headers(100, 50, 60), second(0));
        assert_eq!(state.next(second(0), 50), Next::At(second(60)));
        assert_eq!(state.next(second(60), 50), Next::Go);
    }

    #[test]
    fn an_unknown_bucket_is_tried_by_one_request() {
        let mut state = State::default();
        assert_eq!(state.next(second(0), 100), Next::Go);
        assert_eq!(state.next(second(0), 100), Next::AfterReturn);
        state.learn(StatusCode::OK, &HeaderMap::new(), second(0));
        assert_eq!(state.next(second(0), 100), Next::Go);
    }

    #[test]
    fn a_late_answer_of_an_old_window_is_not_believed() {
        let mut state = State { answered: true, ..State::default() };
        state.learn(StatusCode::OK, &headers(10, 1, 60), second(0));
        assert_eq!(state.next(second(61), 100), Next::Go);
        state.learn(StatusCode::OK, &headers(10, 0, 60), second(61));
        assert_eq!(state.next(second(61), 100), Next::Go);
    }

    #[test]
    fn the_reset_is_read_by_the_servers_clock() {
        let mut state = State { answered: true, ..State::default() };
        let mut headers = headers(10, 0, 784_111_837);
        headers.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        state.learn(StatusCode::OK, &headers, second(500));
        assert_eq!(state.next(second(500), 100), Next::At(second(560)));
    }

    #[test]
    fn retry_after_closes_the_bucket() {
        let mut state = State::default();
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "12".parse().unwrap());
        state.learn(StatusCode::TOO_MANY_REQUESTS, &headers, second(100));
        assert_eq!(state.next(second(100), 100), Next::At(second(112)));
        assert_eq!(state.next(second(112), 100), Next::Go);
    }

    #[tokio::test]
    async fn invariant_28_a_throttle_beyond_the_deadline_is_told_without_waiting() {
        let clock = Arc::new(VirtualClock::at(second(1000)));
        let limiter = Limiter::new(clock.clone(), 100, 7);
        limiter.acquire("x", Timestamp::MAX).await.unwrap().learn(
            StatusCode::OK,
            &headers(10, 0, 5000),
            clock.now(),
        );
        assert_eq!(limiter.acquire("x", second(2000)).await.unwrap_err(), ClosedUntil(second(5000)));
        assert_eq!(clock.now(), second(1000));
    }

    #[test]
    fn jitter_repeats_with_its_seed_and_stays_within() {
        let draw = |seed| {
            let jitter = Jitter::seeded(seed);
            (0..50).map(|_| jitter.up_to(Duration::from_millis(9)).as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(3).iter().all(|ms| *ms <= 9) && draw(3).iter().any(|ms| *ms != draw(3)[0]));
    }
}
