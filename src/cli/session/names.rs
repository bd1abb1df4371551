//! What a lock is made of, looked up: people, and which ids things have. No list of members is read.
//!
//! Invariant: it looks at the whole directory and at the lists of things, and at nothing else. It must not judge.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::Session;
use crate::cli::Failure;
use crate::model::{Coverage, Desired, Inventory, Snapshot};
use crate::resolve::{self, Sides, When};

/// What a lock is made of.
pub(in crate::cli) struct Names {
    pub(in crate::cli) head: Desired,
    pub(in crate::cli) inventory: Inventory,
    pub(in crate::cli) live: Snapshot,
    /// What was not read whole, and why.
    pub(in crate::cli) unread: Vec<String>,
}

impl Session {
    /// People, and what has which id.
    pub(in crate::cli) async fn names(&self) -> Result<Names, Failure> {
        let (records, accounts, incomplete) = self.inventory().await?;
        let when = When { now: self.now(), begun: None };
        let Sides { inventory, head, .. } =
            resolve::sides(&self.head, None, &records, accounts, incomplete, &self.registry, when);
        let nothing = BTreeSet::new();
        let mut live = Snapshot::default();
        for part in join_all(self.providers.values().map(|provider| provider.observe(&nothing))).await {
            live.merge(part);
        }
        let partial = live.coverage.iter().filter_map(|(scope, coverage)| match coverage {
            Coverage::Partial(why) => Some(format!("{scope}: {why}")),
            Coverage::Complete => None,
        });
        let unread = inventory.incomplete.iter().cloned().chain(partial).collect();
        Ok(Names { head, inventory, live, unread })
    }
}
