//! Looking at what is live in the middle of a run: one edge alone where few are asked for, else a thing with all of its
//! edges, which is read once for all who want to know.
//!
//! Invariant: whoever asks is answered from a read that was begun later than he says. Which way is taken changes what it
//! costs and nothing else. It must not write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::apply::approve::{is_on_the_way, is_true};
use crate::model::{Address, Change, Coverage, GrantKey, LiveGrant, Op, Snapshot};
use crate::provider::{Error, Provider};

use super::waits::{Waits, is_silence};

/// How many calls the list of the edges on a thing costs besides its pages: the thing itself, and what tells where its
/// edges come from.
const BESIDES: usize = 2;

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
    /// What is known beforehand of the edges on each thing.
    crowds: BTreeMap<Address, Crowd>,
    /// How many changes of the edges on each thing are being looked at.
    asking: Mutex<BTreeMap<Address, usize>>,
}

/// The edges on one thing.
#[derive(Debug, Clone, Copy, Default)]
struct Crowd {
    /// How many it may have by the end.
    size: usize,
    /// How many of them the plan changes, and how many of those an earlier run began so late that they are looked at.
    planned: usize,
    begun: usize,
}

/// Which changes of the edges on the same thing are looked at for the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// All of the plan: the observation has grown old.
    Planned,
    /// Those that an earlier run began.
    Begun,
    /// Those that happen to be looked at in the same moment.
    Now,
}

impl Looks {
    /// Nothing has been looked at yet but what the plan was made from, `live`.
    pub(super) fn new(changes: &[Change], live: &Snapshot, is_doubtful: impl Fn(&Change) -> bool) -> Self {
        let mut crowds: BTreeMap<Address, Crowd> = BTreeMap::new();
        for change in changes {
            let Some(edge) = &change.grant else { continue };
            if !crowds.contains_key(&edge.resource) {
                let size = live.edges_on(&edge.resource).len();
                crowds.insert(edge.resource.clone(), Crowd { size, ..Crowd::default() });
            }
            if let Some(crowd) = crowds.get_mut(&edge.resource) {
                crowd.size += usize::from(change.op == Op::Grant);
                crowd.planned += 1;
                crowd.begun += usize::from(is_doubtful(change));
            }
        }
        Self { crowds, ..Self::default() }
    }

    /// What is to be seen of a change in reads that were begun after `since`, and when the first of them was.
    pub(super) async fn see(
        &self,
        waits: &Waits<'_>,
        provider: &dyn Provider,
        change: &Change,
        since: Timestamp,
        others: Others,
    ) -> Result<(Sight, Timestamp), Error> {
        let Some(edge) = &change.grant else { return self.see_all(waits, provider, change, since).await };
        let asking = Asking::begin(self, &edge.resource);
        if self.is_better_alone(provider, edge, others, asking.together, since) {
            let begun = waits.now();
            match waits.read(provider, edge, || provider.read_grant(edge)).await {
                Ok(seen) => return Ok((sight(change, &only(edge, seen)), begun)),
                Err(error) if is_silence(&error) || waits.stopped() => return Err(error),
                // Who may not see what the principal holds, or is told what cannot be, may still read the resource.
                Err(_) => {}
            }
        }
        self.see_all(waits, provider, change, since).await
    }

    /// Whether asking for one edge, and for each of the others, takes fewer calls than the list of all on the resource.
    fn is_better_alone(
        &self,
        provider: &dyn Provider,
        edge: &GrantKey,
        others: Others,
        asking: usize,
        since: Timestamp,
    ) -> bool {
        let Some(page) = provider.edges_a_page() else { return false };
        // On what is a vendor's own, or another provider's, no edges are listed: the principal would be read whole.
        if edge.resource.is_reserved() || edge.resource.instance() != provider.instance().as_ref() {
            return true;
        }
        let crowd = self.crowds.get(&edge.resource).copied().unwrap_or_default();
        let asked = match others {
            Others::Planned => crowd.planned,
            Others::Begun => crowd.begun,
            Others::Now => 1,
        };
        let list = BESIDES + crowd.size.div_ceil(page.max(1)).max(1);
        asked.max(asking) < list && !self.is_known(&edge.resource, since)
    }

    /// Whether a thing was read late enough.
    fn is_known(&self, address: &Address, since: Timestamp) -> bool {
        let seen = self.seen().get(address).cloned();
        seen.is_some_and(|seen| {
            seen.try_lock().is_ok_and(|seen| seen.as_ref().is_some_and(|(begun, _)| *begun > since))
        })
    }

    /// What a read of its ends shows of a change.
    async fn see_all(
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
        let seen = self.seen().entry(address.clone()).or_default().clone();
        // Whoever comes while it is being read waits for that.
        let mut seen = seen.lock().await;
        if let Some((begun, snapshot)) = &*seen
            && *begun > since
        {
            return Ok((*begun, snapshot.clone()));
        }
        let begun = waits.now();
        let snapshot = Arc::new(waits.read(provider, address, || provider.read(address)).await?);
        *seen = Some((begun, snapshot.clone()));
        Ok((begun, snapshot))
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<Address, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asking(&self) -> MutexGuard<'_, BTreeMap<Address, usize>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who asks about an edge, for as long as this lives.
struct Asking<'a> {
    looks: &'a Looks,
    resource: &'a Address,
    /// How many ask about edges on the same thing, with him.
    together: usize,
}

impl<'a> Asking<'a> {
    fn begin(looks: &'a Looks, resource: &'a Address) -> Self {
        let mut asking = looks.asking();
        let together = asking.entry(resource.clone()).or_default();
        *together += 1;
        Self { looks, resource, together: *together }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(together) = self.looks.asking().get_mut(self.resource) {
            *together = together.saturating_sub(1);
        }
    }
}

/// Live, of which nothing is known but one edge; of that all is.
fn only(edge: &GrantKey, seen: Option<LiveGrant>) -> Snapshot {
    let coverage = [(edge.resource.as_str().into(), Coverage::Complete)].into();
    Snapshot { grants: seen.into_iter().collect(), coverage, ..Snapshot::default() }
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
