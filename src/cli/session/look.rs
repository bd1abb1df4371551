//! A narrow look: the edges of a few people or things, for a question about them.
//!
//! Invariant: it asks for no more than the question is about, from the side where that is cheaper, and what could not be
//! read is told. A plan must not rest on it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;

use super::Session;
use crate::model::{Address, Coverage, Name, Snapshot};
use crate::provider::Provider;

/// How many principals are asked about at once.
const AT_ONCE: usize = 8;

impl Session {
    /// The edges from some principals and on some things, and what of them could not be read.
    pub(in crate::cli) async fn look(
        &self,
        ends: &BTreeSet<Address>,
        things: &BTreeSet<Address>,
    ) -> (Snapshot, Vec<String>) {
        let mut live = Snapshot::default();
        let mut unread = Vec::new();
        let asked = ends.iter().filter_map(|end| {
            let provider = self.providers.get(end.instance())?;
            Some(async move { (end, provider.edges_of(end).await) })
        });
        let mut asked = iter(asked).buffer_unordered(AT_ONCE);
        while let Some((end, seen)) = asked.next().await {
            match seen {
                Ok(seen) => live.merge(seen),
                Err(error) => unread.push(format!("what `{end}` has could not be read: {error}")),
            }
        }
        drop(asked);
        let seen = self.places(things).into_iter().map(|(provider, things)| async move {
            match things.first() {
                // One is asked for alone; of several the list of all costs no more than a look at each.
                Some(only) if things.len() == 1 => {
                    provider.read(only).await.map_err(|error| format!("`{only}` could not be read: {error}"))
                }
                _ => Ok(provider.observe(&things).await),
            }
        });
        for seen in join_all(seen).await {
            match seen {
                Ok(seen) => live.merge(seen),
                Err(why) => unread.push(why),
            }
        }
        unread.extend(live.coverage.values().filter_map(|coverage| match coverage {
            Coverage::Complete => None,
            Coverage::Partial(why) => Some(why.clone()),
        }));
        unread.sort();
        unread.dedup();
        (live, unread)
    }

    /// Everything that is live, without the edges that cost a call each: for a name that no manifest knows.
    pub(in crate::cli) async fn list(&self) -> Snapshot {
        let nothing = BTreeSet::new();
        let mut live = Snapshot::default();
        for seen in join_all(self.providers.values().map(|provider| provider.observe(&nothing))).await {
            live.merge(seen);
        }
        live
    }

    /// The providers that some things are in. Who has a vendor's own thing is told with the principals.
    fn places(&self, things: &BTreeSet<Address>) -> Vec<(&dyn Provider, BTreeSet<Address>)> {
        let mut places: BTreeMap<&Name, BTreeSet<Address>> = BTreeMap::new();
        for thing in things {
            for instance in self.providers.keys() {
                if thing.instance() == instance.as_ref() {
                    places.entry(instance).or_default().insert(thing.clone());
                } else if thing.instance() == "managed" && self.has_managed(instance) {
                    places.entry(instance).or_default();
                }
            }
        }
        let all = places.into_iter();
        all.filter_map(|(instance, things)| Some((self.providers.get(instance)?.as_ref(), things))).collect()
    }

    fn has_managed(&self, instance: &Name) -> bool {
        let provider = self.schemas.instances.get(instance);
        let relations = provider.into_iter().flat_map(|provider| &provider.relations);
        relations.flat_map(|relation| &relation.resources).any(|kind| kind.as_ref() == "managed")
    }
}
