//! Service accounts, custom roles and workload identity pools of the simulated Google Cloud.
//!
//! Invariant: no key has a secret. It must not answer requests.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::super::keyed;
use super::super::{fill, forget, is_default, is_zero};
use super::GcpPolicy;

/// A service account.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpServiceAccount {
    /// What stands before the `@` of its address.
    pub name: String,
    /// The unique id; derived from project and name where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unique_id: String,
    /// The address; `NAME@PROJECT.iam.gserviceaccount.com` where it is omitted. Those that Google makes have others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// The display name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// The description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether it opens nothing for now.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: bool,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// Its policy: who may act as it.
    #[serde(flatten)]
    pub policy: GcpPolicy,
    /// Its keys by id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, GcpKey>,
}

/// A key of a service account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpKey {
    /// The id: forty hexadecimal digits.
    pub id: String,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When it ends; never where it is omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether it opens nothing for now.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: bool,
    /// Who looks after it.
    #[serde(skip_serializing_if = "is_default")]
    pub managed: GcpManagedBy,
}

/// Who looks after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GcpManagedBy {
    /// Whoever made it.
    #[default]
    User,
    /// Google.
    System,
}

/// A custom role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpRole {
    /// The id.
    pub id: String,
    /// The title.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it permits.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub permissions: BTreeSet<String>,
    /// How far along it is.
    #[serde(skip_serializing_if = "is_default")]
    pub stage: GcpStage,
    /// When it was deleted. Its id is blocked for 37 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// How often it was changed: the etag is made of it.
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: u64,
}

/// Google's launch stages of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "Google's own words")]
pub enum GcpStage {
    #[default]
    Ga,
    Alpha,
    Beta,
    Deprecated,
    Disabled,
    Eap,
}

/// A workload identity pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpPool {
    /// The id.
    pub id: String,
    /// The display name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// The description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether nobody comes in through it for now.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: bool,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// Whose identities it takes, by id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<String, GcpPoolProvider>,
}

/// Whose identities a pool takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpPoolProvider {
    /// The id.
    pub id: String,
    /// The issuer of the tokens.
    pub issuer: String,
    /// Whether it is off for now.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: bool,
}

impl GcpServiceAccount {
    pub(super) fn settle(&mut self, project: &str) {
        fill(&mut self.unique_id, || unique_id(project, &self.name));
        fill(&mut self.email, || account_email(&self.name, project));
    }

    pub(super) fn tersen(&mut self, project: &str) {
        let derived = unique_id(project, &self.name);
        forget(&mut self.unique_id, &derived);
        let derived = account_email(&self.name, project);
        forget(&mut self.email, &derived);
    }
}

/// The address of a service account.
pub(in super::super) fn account_email(name: &str, project: &str) -> String {
    format!("{name}@{project}.iam.gserviceaccount.com")
}

fn unique_id(project: &str, name: &str) -> String {
    keyed::digits(&["service account", project, name], 21)
}
