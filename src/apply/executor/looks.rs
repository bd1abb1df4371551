//! Looking at what is live in the middle of a run: each thing is read once for all who want to know.
//!
//! Invariant: whoever asks is answered from a read that was begun when he says, or later. It must not write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::apply::approve::{is_on_the_way, is_true};
use crate::model::{Address, Change, Coverage, Snapshot};
use crate::provider::{Error, Provider};

use super::waits::Waits;

/// What a look at live shows of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It is so already.
    True,
    /// It is not so, or only in part; nothing else has happened to it.
    Open,
    /// Somebody else has changed it.
    Moved,
}

/// One thing as it was read, and when that was begun.
type Seen = Arc<tokio::sync::Mutex<Option<(Timestamp, Arc<Snapshot>)>>>;

/// What has been looked at.
#[derive(Debug, Default)]
pub(super) struct Looks {
    seen: Mutex<BTreeMap<Address, Seen>>,
}

impl Looks {
    /// What is to be seen of a change in reads that were begun after `since`, and when the first of them was.
    pub(super) async fn see(
        &self,
        waits: &Waits<'_>,
        provider: &dyn Provider,
        change: &Change,
        since: Timestamp,
    ) -> Result<(Sight, Timestamp), Error> {
        let ends = match &change.grant {
            Some(grant) => vec![&grant.resource, &grant.principal],
            None => vec![&change.address],
        };
        let (mut all, mut first) = (Snapshot::default(), Timestamp::MAX);
        for address in ends {
            if address.is_reserved() || address.instance() != provider.instance().as_ref() {
                continue;
            }
            let (begun, one) = self.read(waits, provider, address, since).await?;
            first = first.min(begun);
            // Where its edges were read whole, nobody else can know more of them.
            let whole = one.coverage.get(address.as_str()) == Some(&Coverage::Complete);
            let place = address.place().into();
            if change.grant.is_some() && all.coverage.is_empty() && whole {
                return Ok((sight(change, &one), first));
            }
            all.merge(Snapshot::clone(&one));
            // What a successful read does not call partial was read whole.
            all.coverage.entry(place).or_insert(Coverage::Complete);
        }
        Ok((sight(change, &all), first))
    }

    async fn read(
        &self,
        waits: &Waits<'_>,
        provider: &dyn Provider,
        address: &Address,
        since: Timestamp,
    ) -> Result<(Timestamp, Arc<Snapshot>), Error> {
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(address.clone())
            .or_default()
            .clone();
        // Whoever comes while it is being read waits for that.
        let mut seen = seen.lock().await;
        if let Some((begun, snapshot)) = &*seen
            && *begun > since
        {
            return Ok((*begun, snapshot.clone()));
        }
        let begun = waits.now();
        let snapshot = Arc::new(waits.read(provider, address).await?);
        *seen = Some((begun, snapshot.clone()));
        Ok((begun, snapshot))
    }
}

fn sight(change: &Change, seen: &Snapshot) -> Sight {
    if is_true(change, seen) {
        Sight::True
    } else if is_on_the_way(change, seen) {
        Sight::Open
    } else {
        Sight::Moved
    }
}
