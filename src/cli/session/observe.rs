//! Looking: people, what head and base ask for, and what is there.
//!
//! Invariant: both sides are resolved over the same records at the same time. It must not compare.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use jiff::Timestamp;

use super::{NO_DIRECTORY, Session};
use crate::cli::Failure;
use crate::manifest::Tree;
use crate::model::settings::Directory;
use crate::model::{
    Account, Address, Coverage, Desired, DirectoryRecord, Finding, GrantKey, Inventory, Ownership, Scope,
    Snapshot,
};
use crate::planner::{self, Answer, Doubt, Doubted};
use crate::resolve::{self, Sides, When};

/// How many edges of doubted lists are asked for at most in one plan, and how many at once.
const QUESTIONS: usize = 200;
const AT_ONCE: usize = 8;

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
    /// What of live is not believed, though it was read.
    pub(in crate::cli) doubted: BTreeMap<Scope, Coverage>,
    pub(in crate::cli) findings: Vec<Finding>,
    /// By account of the person to contain: all that it has an edge on, where the provider listed that.
    pub(in crate::cli) holdings: BTreeMap<Address, BTreeSet<Address>>,
}

impl Session {
    /// Reads people and the live world, and works out what head and base ask for. `done` are the targets of what was taken
    /// away by us and memory does not know yet.
    pub(in crate::cli) async fn observe(&self, done: &BTreeSet<String>) -> Result<Observed, Failure> {
        let now = self.now();
        let (records, accounts, incomplete) = self.inventory().await?;
        // Both sides see the same records at the same time, each through its own settings and `User` manifests: what head
        // says of people is a request like everything else that it says.
        let (head, base) = (&*self.head, self.base.as_deref());
        let Sides { inventory, about_people: mut findings, head, base } = resolve::sides(
            head,
            base,
            &records,
            accounts,
            incomplete,
            &self.registry,
            When { now, begun: self.demand().map(|demand| &demand.begun) },
        );
        findings.extend(head.findings.iter().cloned());
        // An account that is declared and not made yet is where its document says.
        let declared = |desired: &Desired| -> Vec<Account> {
            let wanted = desired.resources.values().filter(|wanted| wanted.declared);
            wanted.filter_map(|wanted| self.schemas.account(&wanted.address, &wanted.attributes)).collect()
        };
        let own = |tree: &Tree, desired: &Desired| {
            let accounts = inventory.accounts.iter().cloned().chain(declared(desired)).collect();
            Ownership { accounts, ..tree.settings.own.clone() }
        };
        let own_head = own(&self.head, &head);
        let own_base = self.base.as_deref().zip(base.as_ref()).map(|(tree, desired)| own(tree, desired));
        let mut scopes =
            planner::scopes(&head, base.as_ref(), self.demand(), &own_head, own_base.as_ref(), &self.schemas);
        let holdings = self.holdings(&head, [Some(&own_head), own_base.as_ref()], &mut scopes).await;
        let nothing = BTreeSet::new();
        let fields = planner::declared_fields(&head, base.as_ref(), &self.schemas);
        let seen = join_all(self.providers.iter().map(|(instance, provider)| {
            let (edges_of, fields) = (scopes.get(instance).unwrap_or(&nothing), fields.get(instance));
            async move {
                let mut seen = provider.observe(edges_of).await;
                // What does not exist has no fields.
                let there = |address: &Address| seen.resources.contains_key(address);
                let of: BTreeMap<_, _> =
                    fields.into_iter().flatten().filter(|(address, _)| there(address)).collect();
                let of = of.into_iter().map(|(address, wanted)| (address.clone(), wanted.clone())).collect();
                seen.take_in_fields(provider.observe_fields(&of).await);
                seen
            }
        }));
        let mut live = Snapshot::default();
        for part in seen.await {
            live.merge(part);
        }
        let doubts = planner::doubts(&live, self.demand(), done, &self.selection.revert);
        let answers = self.ask(&doubts).await;
        let Doubted { partial: doubted, findings: doubtful } = planner::settle(&mut live, &doubts, &answers);
        findings.extend(doubtful);
        Ok(Observed {
            now,
            inventory,
            records,
            head,
            base,
            own_head,
            own_base,
            live,
            doubted,
            findings,
            holdings,
        })
    }

    /// Asks for edges of lists that are doubted.
    async fn ask(&self, doubts: &[Doubt]) -> BTreeMap<GrantKey, Answer> {
        let keys = doubts.iter().flat_map(|doubt| match doubt {
            Doubt::Kind { .. } => &[][..],
            Doubt::Edges { ask, .. } => ask,
        });
        let questions =
            keys.take(QUESTIONS).filter_map(|key| {
                let provider = self.providers.get(key.resource.instance())?;
                Some(async move {
                    (key.clone(), provider.read_grant(key).await.map_err(|error| error.to_string()))
                })
            });
        iter(questions).buffer_unordered(AT_ONCE).collect().await
    }

    /// People as the directory has them, accounts, and why these are not all.
    pub(in crate::cli) async fn inventory(
        &self,
    ) -> Result<(Vec<DirectoryRecord>, Vec<Account>, Vec<String>), Failure> {
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
        if let Some(reorganized) = &self.reorganized {
            reorganized.lay_over(&self.head, &self.registry, &mut records)?;
        }
        Ok((records, accounts, incomplete))
    }
}
