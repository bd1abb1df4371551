//! The boundary to the providers: what each must be able to do, the clock and transport they share, one send loop.
//!
//! Invariant: nothing can be written without a [`Permit`]; what was not read whole is told as partial coverage.
//! It must not know any vendor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::model::{
    Account, Address, Attributes, Change, Coverage, CutOff, DirectoryRecord, GrantKey, LiveGrant, Name,
    Permit, Snapshot,
};

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

    /// Of these resources, the fields that take a call each to read: those that somebody declares, each with what is wanted
    /// of it. What could not be read is told as partial coverage.
    async fn observe_fields(&self, _of: &BTreeMap<Address, Attributes>) -> Snapshot {
        Snapshot::default()
    }

    /// One resource with its edges, read just now; empty where it does not exist.
    async fn read(&self, address: &Address) -> Result<Snapshot, Error>;

    /// One edge as it is just now, asked for as cheaply as the vendor allows, and best from the principal's side: then the
    /// answer does not rest on the list of all edges on the resource. `None`: it is not there. An error where that cannot
    /// be told.
    async fn read_grant(&self, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
        let mut told = Err(cannot_tell(key, "neither of its ends can be read here"));
        for end in [&key.principal, &key.resource] {
            if end.is_reserved() || end.instance() != self.instance().as_ref() {
                continue;
            }
            told = match self.read(end).await {
                Ok(live) => edge_in(&live, end, key),
                // Perhaps the other end can be.
                Err(error) if error.kind == ErrorKind::Unsupported => Err(error),
                Err(error) => return Err(error),
            };
            if told.is_ok() {
                break;
            }
        }
        told
    }

    /// The edges of one principal, read just now, as cheaply as the vendor allows; under the principal's address the coverage
    /// says whether these are all.
    async fn edges_of(&self, principal: &Address) -> Result<Snapshot, Error> {
        self.read(principal).await
    }

    /// All that one principal has an edge on, listed from his side in a few calls. `None`: that is not known, and whoever
    /// asks must look at everything.
    async fn holdings(&self, _principal: &Address) -> Option<BTreeSet<Address>> {
        None
    }

    /// What can be ended at once on a principal that exists, besides his edges: sessions, keys, passwords. What is ended
    /// already is left out, as far as the vendor tells.
    async fn cut_offs(&self, _principal: &Address) -> Result<Vec<CutOff>, Error> {
        Ok(Vec::new())
    }

    /// How many edges on a resource one call lists, where [`Provider::read_grant`] costs about one call. `None`: it costs
    /// as much as [`Provider::read`] of an end.
    fn edges_a_page(&self) -> Option<usize> {
        None
    }

    /// What writes the effects that the permit covers. `live` tells the ids of what exists.
    fn writer(&self, permit: &Permit, live: &Snapshot) -> Box<dyn Writer>;

    /// How many calls have been made so far.
    fn calls(&self) -> u64;

    /// Where a change queues. Changes of one lane share a limit of the vendor's; lanes do not wait for each other. Unless a
    /// provider says more, its changes are written one after another.
    fn lane(&self, _change: &Change) -> Lane {
        Lane::new(self.instance(), 1)
    }

    /// What is known of a lane's limit just now, by the lane's name.
    fn pace(&self, _lane: &str) -> Pace {
        Pace::default()
    }

    /// How long this provider takes to show, and to carry out, what was written.
    fn patience(&self) -> Patience {
        Patience::default()
    }
}

/// A queue of changes that share a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Its name, within the provider.
    pub name: Name,
    /// How many of its changes are under way at most.
    pub width: usize,
    /// Changes with the same key that are ready together go to [`Writer::write_all`] together.
    pub batch: Option<Name>,
    /// Changes with the same key, whatever their lane, never overlap: they read and rewrite the same thing.
    pub alone: Option<Name>,
}

impl Lane {
    /// A lane of that many at once, without batches, whose changes do not mind each other.
    #[must_use]
    pub fn new(name: &str, width: usize) -> Self {
        Self { name: name.into(), width: width.max(1), batch: None, alone: None }
    }
}

/// What is known of a lane's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Until when nothing of it may be sent.
    pub closed_until: Option<Timestamp>,
    /// How many more may be sent before it closes.
    pub left: Option<u64>,
    /// How many a minute are allowed.
    pub per_minute: Option<u64>,
}

/// How long a provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For how long after a write its effect may be missing from what is read. What does not show earlier proves nothing.
    pub lag: Duration,
    /// How long an operation that was accepted may take before it is reported as pending.
    pub pending: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { lag: Duration::ZERO, pending: Duration::from_mins(10) }
    }
}

/// What writes.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Carries out one change; writing it twice ends in the same state. A change that the permit does not cover is
    /// refused as `Denied`.
    async fn write(&self, change: &Change) -> Result<Outcome, Error>;

    /// Carries out changes of one batch; an answer for each, in their order. Where the vendor has no batches, one after
    /// another.
    async fn write_all(&self, changes: &[&Change]) -> Vec<Result<Outcome, Error>> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            outcomes.push(self.write(change).await);
        }
        outcomes
    }

    /// Asks what has become of a change that was pending, by what its outcome said to ask. `Unreachable` and `Throttled`:
    /// the question was not answered. Any other error: the operation has failed; `Conflict`, if it may be begun again.
    async fn poll(&self, change: &Change, _poll: &str) -> Result<Outcome, Error> {
        let message = format!("nobody can be asked what became of `{} {}`", change.op, change.target());
        Err(Error::new(ErrorKind::Unsupported, message))
    }
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

/// What a read of one of its ends tells of an edge: all, if it was read whole, and otherwise only that it is there.
pub fn edge_in(live: &Snapshot, end: &Address, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
    if let Some(edge) = live.grant(key) {
        return Ok(Some(edge.clone()));
    }
    match live.coverage.get(end.as_str()) {
        Some(Coverage::Complete) => Ok(None),
        Some(Coverage::Partial(why)) => Err(cannot_tell(key, why)),
        None => Err(cannot_tell(key, &format!("the edges of `{end}` are not read with it"))),
    }
}

/// That nobody knows whether an edge is there.
#[must_use]
pub fn cannot_tell(key: &GrantKey, why: &str) -> Error {
    Error::new(ErrorKind::Other, format!("it cannot be told whether `{key}` is so: {why}"))
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
