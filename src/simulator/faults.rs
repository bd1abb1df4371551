//! Faults on demand: what networks, vendors and dying processes do to a call.
//!
//! Invariant: the same seed and the same calls give the same faults. It must not change the world: a fault decides
//! only whether an order is carried out and what the client sees of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::provider::limiter::Jitter;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// All that a seed can bring about.
const SEEDED: [Fault; 10] = [
    Fault::Throttled,
    Fault::ThrottledSilently,
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Html(502),
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::TimeoutAfter,
    Fault::Truncated,
];

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
    /// Up to so many more, as the seed has it.
    pub jitter_ms: u64,
    /// What the jitter is drawn from.
    pub seed: u64,
}

/// What will go wrong.
#[derive(Debug, Default)]
pub struct Faults {
    plans: Mutex<Plans>,
}

#[derive(Debug, Default)]
struct Plans {
    planned: Vec<Planned>,
    seeded: Option<Seeded>,
    writes_left: Option<u64>,
    latency: Option<(Latency, Jitter)>,
}

#[derive(Debug)]
struct Seeded {
    state: u64,
    per_mille: u64,
}

/// What becomes of a call.
pub(super) enum Fate {
    /// It goes through.
    Fine,
    /// This happens to it.
    Fault(Fault),
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

    /// From now on `per_mille` of a thousand calls suffer something, as `seed` has it.
    pub fn seeded(&self, seed: u64, per_mille: u64) {
        // The generator must not start at zero.
        self.lock().seeded = Some(Seeded { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, per_mille });
    }

    /// From now on each call takes this long.
    pub fn latency(&self, latency: Latency) {
        self.lock().latency = Some((latency, Jitter::seeded(latency.seed)));
    }

    /// After `n` more writes whoever calls is dead: nothing more is done, and every call fails, until [`Faults::clear`].
    pub fn fail_after_writes(&self, n: u64) {
        self.lock().writes_left = Some(n);
    }

    /// Nothing more goes wrong.
    pub fn clear(&self) {
        *self.lock() = Plans::default();
    }

    /// How long this call takes.
    pub(super) fn duration(&self) -> Duration {
        let plans = self.lock();
        let Some((latency, jitter)) = &plans.latency else { return Duration::ZERO };
        Duration::from_millis(latency.ms) + jitter.up_to(Duration::from_millis(latency.jitter_ms))
    }

    /// What happens to this call.
    pub(super) fn fate(&self, action: &str, write: bool) -> Fate {
        let mut plans = self.lock();
        match &mut plans.writes_left {
            // One write too many was tried: dead from then on.
            Some(u64::MAX) => return Fate::Dead,
            Some(left) if write && *left == 0 => {
                *left = u64::MAX;
                return Fate::Dead;
            }
            Some(left) if write => *left -= 1,
            _ => {}
        }
        if let Some(at) = plans.planned.iter().position(|planned| planned.is_for(action)) {
            let planned = &mut plans.planned[at];
            if planned.skip > 0 {
                planned.skip -= 1;
                return Fate::Fine;
            }
            let fault = planned.fault;
            planned.times = planned.times.saturating_sub(1);
            if planned.times == 0 {
                plans.planned.remove(at);
            }
            return Fate::Fault(fault);
        }
        match &mut plans.seeded {
            Some(seeded) => seeded.draw().map_or(Fate::Fine, Fate::Fault),
            None => Fate::Fine,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Planned {
    fn is_for(&self, action: &str) -> bool {
        match self.action.strip_suffix('*') {
            Some(start) => action.starts_with(start),
            None => action == self.action,
        }
    }
}

impl Seeded {
    fn draw(&mut self) -> Option<Fault> {
        let drawn = self.next() % 1000 < self.per_mille;
        let which = self.next() % SEEDED.len() as u64;
        drawn.then(|| SEEDED[usize::try_from(which).unwrap_or(0)])
    }

    /// Xorshift64*.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> Vec<Option<Fault>> {
        let mut seeded = Seeded { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, per_mille: 300 };
        (0..1000).map(|_| seeded.draw()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_faults_and_about_as_many_as_asked() {
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        let hit = drawn(7).iter().flatten().count();
        assert!((200..400).contains(&hit), "{hit}");
        assert!(SEEDED.iter().all(|fault| drawn(7).contains(&Some(*fault))));
    }
}
