//! The way into the journal for what runs side by side: records that come together are synced together.
//!
//! Invariant: whoever noted an intent goes on only once it is on disk. Nothing is written after a write has failed.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use jiff::Timestamp;

use crate::apply::journal::{Event, Journal};
use crate::model::Finding;

/// Records on their way to the journal.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: Vec<Event>,
    /// How many records were ever noted, and how many of them are on disk.
    noted: u64,
    written: u64,
    /// Why the journal can no longer be written.
    broken: Option<String>,
    waiting: Vec<Waker>,
}

impl Ledger {
    /// Notes a record; it is on disk after the next flush.
    pub(super) fn note(&self, event: Event) {
        let mut state = self.lock();
        state.queue.push(event);
        state.noted += 1;
    }

    /// Waits until all that was noted so far is on disk, or says why it never will be.
    pub(super) async fn on_disk(&self) -> Result<(), String> {
        let number = self.lock().noted;
        poll_fn(|context| {
            let mut state = self.lock();
            if let Some(broken) = &state.broken {
                return Poll::Ready(Err(broken.clone()));
            }
            if state.written >= number {
                return Poll::Ready(Ok(()));
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Writes all that was noted, synced once. Says whether anybody waited for it.
    pub(super) fn flush(&self, journal: &mut Journal, now: Timestamp) -> bool {
        let mut state = self.lock();
        let events = std::mem::take(&mut state.queue);
        if events.is_empty() && (state.broken.is_none() || state.waiting.is_empty()) {
            return false;
        }
        if state.broken.is_none()
            && let Err(error) = journal.append_all(now, events)
        {
            state.broken = Some(Finding::to_string(&error));
        }
        state.written = state.noted;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        let any = !waiting.is_empty();
        waiting.into_iter().for_each(Waker::wake);
        any
    }

    /// Why nothing more may be begun, where the journal is broken.
    pub(super) fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
