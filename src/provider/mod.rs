//! The boundary to the providers: what each must be able to do, the clock and transport they share, one send loop.
//!
//! Invariant: nothing can be written without a [`Permit`]; what was not read whole is told as partial coverage.
//! It must not know any vendor.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{Account, Address, Change, DirectoryRecord, Name, Permit, Snapshot};

pub mod clock;
pub mod conformance;
pub mod error;
pub mod limiter;
pub mod paging;
#[cfg(test)]
pub(crate) mod scripted;
pub mod send;
pub mod transport;

pub use clock::{Clock, SystemClock, VirtualClock};
pub use error::{Effect, Error, ErrorKind};
pub use transport::HttpTransport;

/// A live Okta, AWS or the like.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The key in `providers:`.
    fn instance(&self) -> &Name;

    /// Who the credentials are. Fails where they are not of the account or organization that settings name; called before
    /// anything else.
    async fn identity(&self) -> Result<Caller, Error>;

    /// People and accounts. What could not be read is told in `incomplete`, never as an empty list.
    async fn inventory(&self) -> Inventoried;

    /// Resources and edges. `edges_of` are the resources whose edges are needed; a provider that reads all at once may
    /// read more. What could not be read is told as partial coverage.
    async fn observe(&self, edges_of: &BTreeSet<Address>) -> Snapshot;

    /// One resource with its edges, read just now; empty where it does not exist.
    async fn read(&self, address: &Address) -> Result<Snapshot, Error>;

    /// What writes the effects that the permit covers. `live` tells the ids of what exists.
    fn writer(&self, permit: &Permit, live: &Snapshot) -> Box<dyn Writer>;

    /// How many calls have been made so far.
    fn calls(&self) -> u64;
}

/// What writes.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Carries out one change; writing it twice ends in the same state. A change that the permit does not cover is
    /// refused as `Denied`.
    async fn write(&self, change: &Change) -> Result<Outcome, Error>;
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done; with the vendor's id of the last request.
    Done {
        /// The vendor's id of the last request.
        request_id: Option<String>,
    },
    /// The provider is still at it.
    Pending {
        /// What to ask about.
        poll: String,
    },
}

/// Who the credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The principal's address, where it is one that could be managed: never take its access away.
    pub principal: Option<Address>,
    /// In words, for plan, journal and evidence; no secret.
    pub text: String,
}

/// What a provider knows of people and accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventoried {
    /// People's records.
    pub records: Vec<DirectoryRecord>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Why this is not all.
    pub incomplete: Vec<String>,
}

/// Carries one HTTP exchange. The network and the simulator stand behind it alike.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request and reads the whole answer.
    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError>;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// In words; no secret.
    pub message: String,
    /// Whether the request may have reached the other side.
    pub maybe_sent: bool,
}

/// Refuses a change that the permit does not cover, or that is not what its effect says.
pub fn covered(permit: &Permit, change: &Change) -> Result<(), Error> {
    if change.effect == change.own_effect() && permit.covers(&change.effect) {
        return Ok(());
    }
    let op = change.op;
    let message = format!("`{op} {}` is not covered by the permit", change.target());
    Err(Error::new(ErrorKind::Denied, message))
}
