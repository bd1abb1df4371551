//! The vendors, one line each: what the engine knows of them without calling anyone, and how one is opened.
//!
//! Invariant: opening a provider sends nothing. It must not read the environment: `cli` hands credentials in.

use std::fmt;
use std::sync::Arc;

use crate::model::settings::ProviderSettings;
use crate::model::{Code, Registry};
use crate::provider::{Clock, Error, ErrorKind, Provider, Transport};

pub mod aws;
pub mod gcp;
pub mod okta;

/// Finds a credential by the name of its environment variable.
pub type Credentials = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The findings of the providers.
pub const CODES: &[&[Code]] = &[okta::CODES, aws::CODES, gcp::CODES];

/// What providers are wired with.
#[derive(Clone)]
pub struct Wiring {
    /// Stands in for the network, where everything is simulated.
    pub transport: Option<Arc<dyn Transport>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Credentials by name.
    pub credentials: Credentials,
}

impl fmt::Debug for Wiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wiring").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// Every sort of provider that this build knows.
#[must_use]
pub fn registry() -> Registry {
    Registry { types: vec![okta::provider_type(), aws::provider_type(), gcp::provider_type()] }
}

/// Opens the provider that an entry of `providers:` names.
pub async fn open(settings: &ProviderSettings, wiring: &Wiring) -> Result<Box<dyn Provider>, Error> {
    match settings.provider.as_ref() {
        "okta" => okta::open(settings, wiring),
        "aws" => aws::open(settings, wiring),
        "gcp" => gcp::open(settings, wiring),
        other => {
            let message =
                format!("there is no provider `{other}`, which `providers.{}` asks for", settings.instance);
            Err(Error::new(ErrorKind::Unsupported, message))
        }
    }
}
