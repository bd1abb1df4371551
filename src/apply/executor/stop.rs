//! How a run is asked to end early: what is in flight is finished, waits are cut short, the rest is not begun.
//!
//! Invariant: once asked it stays asked, and whoever waits for it is woken.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Asks a run to end. It can be asked from a signal's task or another thread.
#[derive(Debug, Default)]
pub struct Stop {
    asked: AtomicBool,
    woken: Notify,
}

impl Stop {
    /// Asks for the end.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.woken.notify_waiters();
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until it is.
    pub async fn asked(&self) {
        let mut woken = std::pin::pin!(self.woken.notified());
        // Whoever asks between the look and the wait must be heard too.
        woken.as_mut().enable();
        if !self.is_asked() {
            woken.await;
        }
    }
}
