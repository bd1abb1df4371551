//! The clock that limiter, retry, executor and simulator share.
//!
//! Invariant: nothing below reads the time or sleeps except through a [`Clock`], so that everything can run in virtual
//! time. It must not be used by the pure modules: they get `now` as an argument.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

/// Where the time comes from.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time.
    fn now(&self) -> Timestamp;
    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// The machine's own time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that waits in the machine's time")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A time of its own: waiting costs nothing.
///
/// Under [`VirtualClock::drive`] time stands still while anybody can go on, and jumps to the next instant that somebody
/// waits for when nobody can: waits that overlap overlap here too. Without it each wait moves time by itself, which is
/// the same as long as only one thing happens at once.
#[derive(Debug)]
pub struct VirtualClock {
    state: Mutex<Virtual>,
}

#[derive(Debug)]
struct Virtual {
    now: Timestamp,
    /// Whether someone drives.
    driven: bool,
    /// Those who wait, by the instant that they wait for and in the order in which they came.
    waiting: BTreeMap<(Timestamp, u64), Waker>,
    /// How many have ever waited.
    came: u64,
}

impl VirtualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        let state = Virtual { now, driven: false, waiting: BTreeMap::new(), came: 0 };
        Self { state: Mutex::new(state) }
    }

    /// Moves it.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.lock();
        let now = later(state.now, duration);
        for waker in state.jump(now) {
            waker.wake();
        }
    }

    /// Carries out a future in this clock's time. What it waits for, other than this clock, must not need time to pass
    /// elsewhere. Whoever drives while another does leaves it to that one.
    pub async fn drive<F: Future>(&self, future: F) -> F::Output {
        if self.lock().driven {
            return future.await;
        }
        let _driving = Driving::begin(self);
        // Tokio would now and then make a task wait that could go on, and time would jump.
        let mut future = pin!(tokio::task::unconstrained(future));
        poll_fn(|context| {
            let noticed = Arc::new(Noticed { woken: AtomicBool::new(false), outer: context.waker().clone() });
            let waker = Waker::from(noticed.clone());
            let mut context = Context::from_waker(&waker);
            loop {
                noticed.woken.store(false, Ordering::SeqCst);
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return Poll::Ready(output);
                }
                if noticed.woken.load(Ordering::SeqCst) {
                    continue;
                }
                let due = self.lock().jump_to_next();
                if due.is_empty() {
                    return Poll::Pending;
                }
                for waker in due {
                    waker.wake();
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Virtual> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Virtual {
    /// Moves to an instant, never back; those who have waited for it.
    fn jump(&mut self, now: Timestamp) -> Vec<Waker> {
        self.now = self.now.max(now);
        let later = self.waiting.split_off(&(self.now, u64::MAX));
        std::mem::replace(&mut self.waiting, later).into_values().collect()
    }

    fn jump_to_next(&mut self) -> Vec<Waker> {
        let next = self.waiting.first_key_value().map(|((at, _), _)| *at);
        next.map(|at| self.jump(at)).unwrap_or_default()
    }
}

/// Marks the clock as driven for as long as it lives.
struct Driving<'a>(&'a VirtualClock);

impl<'a> Driving<'a> {
    fn begin(clock: &'a VirtualClock) -> Self {
        clock.lock().driven = true;
        Self(clock)
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.driven = false;
        state.waiting.clear();
    }
}

/// Tells whether anybody was woken while a future was polled.
struct Noticed {
    woken: AtomicBool,
    outer: Waker,
}

impl Wake for Noticed {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        // Where the wake comes from outside of the poll, the task has to be polled again.
        self.outer.wake_by_ref();
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    async fn sleep(&self, duration: Duration) {
        if !self.lock().driven {
            self.advance(duration);
            return breath().await;
        }
        let (until, number) = {
            let mut state = self.lock();
            state.came += 1;
            (later(state.now, duration), state.came)
        };
        let key = (until, number);
        // Whoever stops waiting must not make time jump any more.
        let _waiting = Waiting { clock: self, key };
        poll_fn(|context| {
            let mut state = self.lock();
            if state.now >= until {
                return Poll::Ready(());
            }
            state.waiting.insert(key, context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

struct Waiting<'a> {
    clock: &'a VirtualClock,
    key: (Timestamp, u64),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.clock.lock().waiting.remove(&self.key);
    }
}

/// Lets others go on first, without time passing. Tokio's own way would look like waiting to whoever drives.
pub async fn breath() {
    let mut taken = false;
    poll_fn(|context| {
        if std::mem::replace(&mut taken, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A time that much later.
pub(crate) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all, select};

    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    #[tokio::test]
    async fn waits_that_overlap_overlap_in_virtual_time_too() {
        let clock = VirtualClock::at(START);
        let waits = (1..=300).map(|seconds| clock.sleep(Duration::from_secs(seconds)));
        clock.drive(join_all(waits)).await;
        assert_eq!(clock.now().duration_since(START), SignedDuration::from_secs(300));
    }

    #[tokio::test]
    async fn time_stands_still_while_anybody_can_go_on() {
        let clock = VirtualClock::at(START);
        let busy = async {
            for _ in 0..1000 {
                breath().await;
            }
            clock.now()
        };
        let (seen, ()) = clock.drive(join(busy, clock.sleep(Duration::from_secs(5)))).await;
        assert_eq!(seen, START);
    }

    #[tokio::test]
    async fn a_lock_of_tokios_does_not_make_time_jump() {
        let clock = VirtualClock::at(START);
        let lock = tokio::sync::Mutex::new(0_u32);
        let hold = || async {
            for _ in 0..500 {
                *lock.lock().await += 1;
            }
        };
        let after = async {
            join(hold(), hold()).await;
            clock.now()
        };
        let (seen, ()) = clock.drive(join(after, clock.sleep(Duration::from_secs(5)))).await;
        assert_eq!(seen, START);
    }

    #[tokio::test]
    async fn who_stops_waiting_moves_nothing() {
        let clock = VirtualClock::at(START);
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
        clock.drive(select(Box::pin(clock.sleep(short)), Box::pin(clock.sleep(long)))).await;
        clock.drive(clock.sleep(short)).await;
        assert_eq!(clock.now().duration_since(START), SignedDuration::from_secs(2));
    }

    #[tokio::test]
    async fn who_drives_within_a_drive_leaves_time_to_the_outer_one() {
        let clock = VirtualClock::at(START);
        let inner = || clock.drive(clock.sleep(Duration::from_secs(5)));
        clock.drive(join(inner(), inner())).await;
        assert_eq!(clock.now().duration_since(START), SignedDuration::from_secs(5));
    }

    #[tokio::test]
    async fn without_a_driver_each_wait_moves_time() {
        let clock = VirtualClock::at(START);
        clock.sleep(Duration::from_secs(3)).await;
        assert_eq!(clock.now().duration_since(START), SignedDuration::from_secs(3));
    }
}
