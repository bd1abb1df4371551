//! The Google Cloud part of the world: the organization, and what it is made of.
//!
//! Invariant: every folder, billing account and project that something is in exists; ids that the file omits are
//! derived, and the same each time. Members of policies and groups may be strangers. It must not answer requests.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::keyed;
use super::super::store::WorldError;
use super::{fill, forget, is_zero};

mod accounts;
mod directory;
mod policy;
mod tree;

pub use accounts::{GcpKey, GcpManagedBy, GcpPool, GcpPoolProvider, GcpRole, GcpServiceAccount, GcpStage};
pub use directory::{GcpGroup, GcpMember, GcpToken, GcpUser};
pub use policy::{GcpBinding, GcpCondition, GcpPolicy};
pub use tree::{GcpBillingAccount, GcpFolder, GcpLien, GcpOperation, GcpOutcome, GcpProject, GcpState};

pub(in super::super) use tree::folder_id;

/// A Google Cloud organization with its Cloud Identity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gcp {
    /// The organization's id; empty: there is no Google Cloud in this world.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub organization: String,
    /// Its domain, which is its display name too.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// The Cloud Identity customer; derived from the domain where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub customer: String,
    /// Who calls, as IAM writes a member.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub caller: String,
    /// How many seconds a long-running operation takes; 0: it is done at once.
    #[serde(skip_serializing_if = "is_zero")]
    pub operation_seconds: u64,
    /// How many seconds Cloud Asset is behind.
    #[serde(skip_serializing_if = "is_zero")]
    pub asset_lag_seconds: u64,
    /// Calls a minute; none: as many as one likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<GcpLimits>,
    /// The organization's policy.
    #[serde(flatten)]
    pub policy: GcpPolicy,
    /// The organization's custom roles by id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, GcpRole>,
    /// Folders by id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub folders: BTreeMap<String, GcpFolder>,
    /// Projects by id, also those that are gone: an id is never given twice.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<String, GcpProject>,
    /// Billing accounts by id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub billing_accounts: BTreeMap<String, GcpBillingAccount>,
    /// Groups by e-mail address.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GcpGroup>,
    /// People by e-mail address.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, GcpUser>,
    /// Operations by name: those that take their time, and the last that have.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub operations: BTreeMap<String, GcpOperation>,
    /// Ids of folders by path, live ones before deleted ones, kept by [`Gcp::index`].
    #[serde(skip)]
    pub(in super::super) paths: BTreeMap<String, String>,
    /// Addresses of groups by id, kept likewise.
    #[serde(skip)]
    pub(in super::super) group_ids: BTreeMap<String, String>,
    /// Ids of projects by number, kept likewise.
    #[serde(skip)]
    pub(in super::super) numbers: BTreeMap<String, String>,
}

/// How many calls Google takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcpLimits {
    /// Reads a minute.
    pub reads_per_minute: u32,
    /// Writes a minute.
    pub writes_per_minute: u32,
}

impl Gcp {
    /// Whether an address is one of the organization's own domain.
    pub(in super::super) fn is_own(&self, email: &str) -> bool {
        email.rsplit_once('@').is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(&self.domain))
    }

    /// The organization as other resources name it.
    pub(in super::super) fn organization_name(&self) -> String {
        format!("organizations/{}", self.organization)
    }

    pub(in super::super) fn group_by_id(&self, id: &str) -> Option<&GcpGroup> {
        self.groups.get(self.group_ids.get(id)?)
    }

    /// A person by address or id.
    pub(in super::super) fn user(&self, key: &str) -> Option<&GcpUser> {
        let key = key.to_lowercase();
        self.users.get(&key).or_else(|| self.users.values().find(|user| user.id == key))
    }

    /// Brings what is looked up by more than one name up to date.
    pub(in super::super) fn index(&mut self) {
        self.paths.clear();
        for (id, folder) in &self.folders {
            let live = folder.state == GcpState::Active;
            if live || !self.paths.contains_key(&folder.path) {
                self.paths.insert(folder.path.clone(), id.clone());
            }
        }
        self.group_ids = self.groups.values().map(|group| (group.id.clone(), group.email.clone())).collect();
        self.numbers = self.projects.values().map(|it| (it.number.clone(), it.id.clone())).collect();
    }

    pub(super) fn tersen(&mut self) {
        forget(&mut self.customer, &customer(&self.domain));
        self.folders.values_mut().for_each(GcpFolder::tersen);
        self.projects.values_mut().for_each(GcpProject::tersen);
        self.groups.values_mut().for_each(GcpGroup::tersen);
        self.users.values_mut().for_each(GcpUser::tersen);
    }

    pub(super) fn settle(&mut self) -> Result<(), WorldError> {
        if self.organization.is_empty() {
            return match self.folders.len() + self.projects.len() + self.groups.len() + self.users.len() {
                0 => Ok(()),
                _ => Err(WorldError::invalid("`gcp` has no `organization`, which everything else is in")),
            };
        }
        if self.domain.is_empty() {
            return Err(WorldError::invalid("`gcp` has no `domain`"));
        }
        fill(&mut self.customer, || customer(&self.domain));
        for mut folder in std::mem::take(&mut self.folders).into_values() {
            fill(&mut folder.id, || folder_id(&folder.path));
            self.folders.insert(folder.id.clone(), folder);
        }
        self.groups = settled(&mut self.groups, GcpGroup::settle);
        self.users = settled(&mut self.users, GcpUser::settle);
        for project in self.projects.values_mut() {
            project.settle();
        }
        self.index();
        self.check()
    }

    fn check(&self) -> Result<(), WorldError> {
        let wrong = |message: String| Err(WorldError::invalid(message));
        let live = self.folders.values().filter(|folder| folder.state == GcpState::Active);
        let mut paths = BTreeSet::new();
        for folder in live {
            if !paths.insert(folder.path.as_str()) {
                return wrong(format!("the Google folder `{}` stands here twice", folder.path));
            }
        }
        for folder in self.folders.values() {
            let parent = folder.parent().unwrap_or_default();
            if folder.name().is_empty() || (!parent.is_empty() && !self.paths.contains_key(parent)) {
                return wrong(format!(
                    "Google folder `{}` is in the folder `{parent}`, which does not exist",
                    folder.path
                ));
            }
        }
        for project in self.projects.values() {
            let id = &project.id;
            if let Some(folder) = project.folder.as_ref().filter(|path| !self.paths.contains_key(*path)) {
                return wrong(format!("project `{id}` is in the folder `{folder}`, which does not exist"));
            }
            let unknown = |account: &&String| !self.billing_accounts.contains_key(*account);
            if let Some(account) = project.billing.as_ref().filter(unknown) {
                return wrong(format!(
                    "project `{id}` has the billing account `{account}`, which does not exist"
                ));
            }
        }
        if self.numbers.len() != self.projects.len() {
            return wrong("two Google projects have the same `number`".into());
        }
        if self.group_ids.len() != self.groups.len() {
            return wrong("two Google groups have the same `id`".into());
        }
        if let Some(email) = self.groups.keys().find(|email| self.users.contains_key(*email)) {
            return wrong(format!("`{email}` is a Google group and a Google user"));
        }
        for group in self.groups.values() {
            if !group.email.contains('@') {
                return wrong(format!("`{}` is no address of a Google group", group.email));
            }
        }
        Ok(())
    }
}

/// Things by key once more: addresses are compared without regard to case.
fn settled<T: keyed::Keyed>(map: &mut BTreeMap<String, T>, settle: impl Fn(&mut T)) -> BTreeMap<String, T> {
    let again = |mut thing: T| {
        settle(&mut thing);
        (thing.key(), thing)
    };
    std::mem::take(map).into_values().map(again).collect()
}

/// The customer that a domain is, where the file gives none.
fn customer(domain: &str) -> String {
    format!("C0{}", keyed::token(&["customer", domain], 7))
}
