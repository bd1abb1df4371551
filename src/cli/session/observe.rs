//! Looking: people, what head and base ask for, and what is there.
//!
//! Invariant: both sides are resolved over the same records at the same time. It must not compare.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::{NO_DIRECTORY, Session};
use crate::cli::Failure;
use crate::manifest::Tree;
use crate::model::settings::Directory;
use crate::model::{Account, Desired, DirectoryRecord, Finding, Inventory, Ownership, Snapshot};
use crate::planner;
use crate::resolve::{self, Sides};

/// What head asks for and what is there, before anything is compared.
pub(in crate::cli) struct Observed {
    pub(in crate::cli) now: Timestamp,
    pub(in crate::cli) inventory: Inventory,
    /// People as the directory has them, before settings say who is who.
    pub(in crate::cli) records: Vec<DirectoryRecord>,
    pub(in crate::cli) head: Desired,
    pub(in crate::cli) base: Option<Desired>,
    pub(in crate::cli) own_head: Ownership,
    pub(in crate::cli) own_base: Option<Ownership>,
    pub(in crate::cli) live: Snapshot,
    pub(in crate::cli) findings: Vec<Finding>,
}

impl Session {
    /// Reads people and the live world, and works out what head and base ask for.
    pub(in crate::cli) async fn observe(&self) -> Result<Observed, Failure> {
        let now = self.now();
        let (records, accounts, incomplete) = self.inventory().await?;
        // Both sides see the same records at the same time, each through its own settings and `User` manifests: what head
        // says of people is a request like everything else that it says.
        let (head, base) = (&*self.head, self.base.as_deref());
        let Sides { inventory, about_people: mut findings, head, base } =
            resolve::sides(head, base, &records, accounts, incomplete, &self.registry, now);
        findings.extend(head.findings.iter().cloned());
        let own =
            |tree: &Tree| Ownership { accounts: inventory.accounts.clone(), ..tree.settings.own.clone() };
        let (own_head, own_base) = (own(&self.head), self.base.as_deref().map(own));
        let scopes =
            planner::scopes(&head, base.as_ref(), self.demand(), &own_head, own_base.as_ref(), &self.schemas);
        let nothing = BTreeSet::new();
        let seen = join_all(self.providers.iter().map(|(instance, provider)| {
            let edges_of = scopes.get(instance).unwrap_or(&nothing);
            async move { provider.observe(edges_of).await }
        }));
        let mut live = Snapshot::default();
        for part in seen.await {
            live.merge(part);
        }
        Ok(Observed { now, inventory, records, head, base, own_head, own_base, live, findings })
    }

    async fn inventory(&self) -> Result<(Vec<DirectoryRecord>, Vec<Account>, Vec<String>), Failure> {
        let directory = match &self.head.settings.directory {
            Directory::Manifests => None,
            Directory::Provider { from, .. } => Some(from),
        };
        if let Some(from) = directory
            && !self.providers.contains_key(&from.value)
        {
            let message = format!("`{}` is not in `providers:`", from.value);
            return Err(Finding::error(NO_DIRECTORY, message).at(&from.span).into());
        }
        let parts = join_all(
            self.providers
                .iter()
                .map(|(instance, provider)| async move { (instance, provider.inventory().await) }),
        );
        let (mut records, mut accounts, mut incomplete) = (Vec::new(), Vec::new(), Vec::new());
        for (instance, part) in parts.await {
            accounts.extend(part.accounts);
            if directory.is_some_and(|from| from.value == *instance) {
                records = part.records;
            }
            incomplete.extend(part.incomplete.into_iter().map(|why| format!("{instance}: {why}")));
        }
        Ok((records, accounts, incomplete))
    }
}
