//! Folders, projects and billing accounts of the simulated Google Cloud, and the operations that change them.
//!
//! Invariant: a folder's path is made of display names, its parent's path first. It must not answer requests.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::super::keyed;
use super::super::{fill, forget, is_default};
use super::{Gcp, GcpPolicy, GcpPool, GcpRole, GcpServiceAccount};

/// Google's states of projects and folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "Google's own words")]
pub enum GcpState {
    #[default]
    Active,
    DeleteRequested,
}

impl GcpState {
    /// Google's word.
    pub(in super::super::super) fn word(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::DeleteRequested => "DELETE_REQUESTED",
        }
    }
}

/// A folder.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpFolder {
    /// The display names from the organization down to it, joined by `/`.
    pub path: String,
    /// The id; derived from the path where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Where it stands.
    #[serde(skip_serializing_if = "is_default")]
    pub state: GcpState,
    /// When its deletion was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Its policy.
    #[serde(flatten)]
    pub policy: GcpPolicy,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpProject {
    /// The immutable id.
    pub id: String,
    /// The number; derived from the id where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub number: String,
    /// The display name; the id where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The path of the folder it is in; directly below the organization where it is omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Where it stands.
    #[serde(skip_serializing_if = "is_default")]
    pub state: GcpState,
    /// When its deletion was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The id of the billing account that pays for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing: Option<String>,
    /// The services that are enabled.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<String>,
    /// What keeps it from being deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub liens: Vec<GcpLien>,
    /// Its policy.
    #[serde(flatten)]
    pub policy: GcpPolicy,
    /// Its service accounts by the part of the address before the `@`.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub service_accounts: BTreeMap<String, GcpServiceAccount>,
    /// Those that were deleted and can still be restored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deleted_accounts: Vec<GcpServiceAccount>,
    /// Its custom roles by id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, GcpRole>,
    /// Its workload identity pools by id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: BTreeMap<String, GcpPool>,
}

/// What keeps a project from being deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpLien {
    /// The id, unique in the project; derived from the rest where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub origin: String,
    /// What is kept from happening.
    pub restrictions: BTreeSet<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// A billing account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpBillingAccount {
    /// The id: three groups of six letters and digits.
    pub id: String,
    /// The display name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Whether it pays.
    #[serde(skip_serializing_if = "is_true")]
    pub open: bool,
    /// Its policy.
    #[serde(flatten)]
    pub policy: GcpPolicy,
}

impl Default for GcpBillingAccount {
    fn default() -> Self {
        Self { id: String::new(), name: String::new(), open: true, policy: GcpPolicy::default() }
    }
}

fn is_true(it: &bool) -> bool {
    *it
}

/// Something that takes its time: what was asked, which is carried out when its time has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpOperation {
    /// The name: `operations/cp.1`.
    pub name: String,
    /// When it takes effect, or did.
    pub at: Timestamp,
    /// The number of the write that asked for it: new ids are made of it.
    pub n: u64,
    /// What was asked.
    pub method: String,
    /// Of what.
    pub path: String,
    /// How.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// What came of it; none: it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<GcpOutcome>,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GcpOutcome {
    /// The response, in Google's JSON.
    Response(Json),
    /// The error, in Google's JSON.
    Error(Json),
}

impl GcpFolder {
    /// The display name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The path of the folder it is in; none: it is directly below the organization.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        Some(self.path.rsplit_once('/')?.0)
    }

    pub(super) fn tersen(&mut self) {
        let derived = folder_id(&self.path);
        forget(&mut self.id, &derived);
    }
}

impl GcpProject {
    pub(super) fn settle(&mut self) {
        fill(&mut self.number, || project_number(&self.id));
        fill(&mut self.name, || self.id.clone());
        for lien in &mut self.liens {
            fill(&mut lien.id, || lien_id(&self.id, &lien.origin, &lien.reason));
        }
        for account in self.service_accounts.values_mut().chain(&mut self.deleted_accounts) {
            account.settle(&self.id);
        }
    }

    pub(super) fn tersen(&mut self) {
        forget(&mut self.number, &project_number(&self.id));
        let id = self.id.clone();
        forget(&mut self.name, &id);
        for lien in &mut self.liens {
            forget(&mut lien.id, &lien_id(&id, &lien.origin, &lien.reason));
        }
        let accounts = self.service_accounts.values_mut().chain(&mut self.deleted_accounts);
        accounts.for_each(|account| account.tersen(&id));
    }

    /// A service account by address or unique id.
    pub(in super::super::super) fn service_account(&self, key: &str) -> Option<&GcpServiceAccount> {
        let is_it = |account: &&GcpServiceAccount| account.email == key || account.unique_id == key;
        let name = key.split('@').next().unwrap_or_default();
        let named = self.service_accounts.get(name).filter(is_it);
        named.or_else(|| self.service_accounts.values().find(is_it))
    }
}

impl Gcp {
    /// A project by id or number.
    pub(in super::super::super) fn project(&self, key: &str) -> Option<&GcpProject> {
        self.projects.get(self.numbers.get(key).map_or(key, String::as_str))
    }

    /// The same, to change it.
    pub(in super::super::super) fn project_mut(&mut self, key: &str) -> Option<&mut GcpProject> {
        self.projects.get_mut(self.numbers.get(key).map_or(key, String::as_str))
    }

    /// A folder by path.
    pub(in super::super::super) fn folder_at(&self, path: &str) -> Option<&GcpFolder> {
        self.folders.get(self.paths.get(path)?)
    }

    /// What a folder or project is in, as Google names it, by the folder's path.
    pub(in super::super::super) fn parent_name(&self, folder: Option<&str>) -> String {
        match folder.and_then(|path| self.folder_at(path)) {
            Some(folder) => format!("folders/{}", folder.id),
            None => self.organization_name(),
        }
    }

    /// The folders that a path leads through, the innermost first.
    pub(in super::super::super) fn folders_above(&self, path: Option<&str>) -> Vec<String> {
        let mut names = Vec::new();
        let mut next = path;
        while let Some(path) = next {
            names.extend(self.folder_at(path).map(|folder| format!("folders/{}", folder.id)));
            next = path.rsplit_once('/').map(|(above, _)| above);
        }
        names
    }
}

/// The id of a folder that the file gives none.
pub(in super::super::super) fn folder_id(path: &str) -> String {
    keyed::digits(&["folder", path], 12)
}

fn project_number(id: &str) -> String {
    keyed::digits(&["project", id], 12)
}

fn lien_id(project: &str, origin: &str, reason: &str) -> String {
    format!("l{}", keyed::token(&["lien", project, origin, reason], 24))
}
