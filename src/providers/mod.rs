//! The vendors.

use std::fmt;
use std::sync::Arc;

use crate::provider::{Clock, Transport};

pub mod aws;

/// What providers are wired with.
#[derive(Clone)]
pub struct Wiring {
    /// Stands in for the network, where everything is simulated.
    pub transport: Option<Arc<dyn Transport>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Credentials by name.
    pub credentials: Arc<dyn Fn(&str) -> Option<String> + Send + Sync>,
}

impl fmt::Debug for Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiring").field("transport", &self.transport).finish_non_exhaustive()
    }
}
