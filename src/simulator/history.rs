//! What the world was, as far back as reads that lag behind may look.
//!
//! Invariant: what it shows was true at some time within its reach. It keeps nothing while nothing lags.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::world::World;

/// The world's versions, oldest first, each with the time since when it was so.
#[derive(Debug, Default)]
pub(super) struct History {
    versions: VecDeque<(Timestamp, Arc<World>)>,
}

impl History {
    /// Keeps what is needed to look back so far; begins with the world as it is.
    pub(super) fn keep(&mut self, reach: Duration, now: Timestamp, world: &Arc<World>) {
        if reach.is_zero() {
            self.versions.clear();
        } else if self.versions.is_empty() {
            self.versions.push_back((now, Arc::clone(world)));
        }
        // The version before the first one that is young enough was still true then.
        let start = earlier(now, reach);
        while self.versions.get(1).is_some_and(|(since, _)| *since <= start) {
            self.versions.pop_front();
        }
    }

    /// Takes note of a change.
    pub(super) fn changed(&mut self, now: Timestamp, world: &Arc<World>) {
        if !self.versions.is_empty() {
            self.versions.push_back((now, Arc::clone(world)));
        }
    }

    /// The world as it was `age` ago; `None`: as it is.
    pub(super) fn past(&self, age: Duration, now: Timestamp) -> Option<&Arc<World>> {
        if age.is_zero() {
            return None;
        }
        let then = earlier(now, age);
        let known = self.versions.iter().rev().find(|(since, _)| *since <= then);
        known.or(self.versions.front()).map(|(_, world)| world)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.versions.len()
    }
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_sub(by).unwrap_or(Timestamp::MIN)
}
