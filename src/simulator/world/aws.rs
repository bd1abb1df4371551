//! The AWS part of the world.
//!
//! Invariant: every group and policy that something names exists. It must not answer requests.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::keyed;
use super::super::store::WorldError;
use super::{fill, forget, is_default, is_first_version, is_root, is_zero};

/// AWS.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// Who signs, unless an access key of the world or of a session does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub caller: String,
    /// Calls per account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<AwsLimits>,
    /// ARNs of roles that everyone may assume, whatever they trust and whether or not they are there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub open_roles: BTreeSet<String>,
    /// Names of AWS's own policies, besides those that are always there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub managed: BTreeSet<String>,
    /// Accounts by id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, AwsAccount>,
}

/// How many calls an account takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsLimits {
    /// Calls a second, on average.
    pub per_second: u32,
    /// Calls at once.
    pub burst: u32,
}

/// An AWS account.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AwsAccount {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// IAM users by name.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, IamUser>,
    /// IAM groups by name.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, IamGroup>,
    /// IAM roles by name.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, IamRole>,
    /// The account's own managed policies by name.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, IamPolicy>,
}

/// An IAM user.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IamUser {
    /// The name.
    pub name: String,
    /// The id; derived where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The path.
    #[serde(skip_serializing_if = "is_root")]
    pub path: String,
    /// Tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Names of groups.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// Attached policies: names of own ones, or `managed:NAME`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub policies: BTreeSet<String>,
    /// Inline policies by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inline: BTreeMap<String, Json>,
    /// The permissions boundary, written like an attached policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
    /// Ids of access keys.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub access_keys: BTreeSet<String>,
    /// Those of them that open nothing for now.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub inactive_keys: BTreeSet<String>,
    /// Serial numbers of MFA devices.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub mfa: BTreeSet<String>,
    /// Whether there is a password.
    #[serde(skip_serializing_if = "is_default")]
    pub login_profile: bool,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// An IAM group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IamGroup {
    /// The name.
    pub name: String,
    /// The id; derived where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The path.
    #[serde(skip_serializing_if = "is_root")]
    pub path: String,
    /// Attached policies.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub policies: BTreeSet<String>,
    /// Inline policies by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inline: BTreeMap<String, Json>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// An IAM role.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IamRole {
    /// The name.
    pub name: String,
    /// The id; derived where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The path.
    #[serde(skip_serializing_if = "is_root")]
    pub path: String,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The longest session in seconds; 3600 where it is omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_session: Option<u32>,
    /// Tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Who may assume it.
    #[serde(skip_serializing_if = "Json::is_null")]
    pub trust: Json,
    /// Attached policies.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub policies: BTreeSet<String>,
    /// Inline policies by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inline: BTreeMap<String, Json>,
    /// The permissions boundary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// A managed policy of the account's own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IamPolicy {
    /// The name.
    pub name: String,
    /// The id; derived where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The path.
    #[serde(skip_serializing_if = "is_root")]
    pub path: String,
    /// The description, which cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The document of the default version.
    pub document: Json,
    /// Which version that is; `v1` where it is omitted.
    #[serde(skip_serializing_if = "is_first_version")]
    pub default: String,
    /// The other versions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, Json>,
    /// The highest number that a version ever had: numbers are never given twice.
    #[serde(skip_serializing_if = "is_zero")]
    pub last_version: u64,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When its default version last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
}

impl AwsAccount {
    pub(super) fn tersen(&mut self, account: &str) {
        self.users.values_mut().for_each(|user| forget(&mut user.id, &iam_id("AIDA", account, &user.name)));
        self.groups
            .values_mut()
            .for_each(|group| forget(&mut group.id, &iam_id("AGPA", account, &group.name)));
        self.roles.values_mut().for_each(|role| forget(&mut role.id, &iam_id("AROA", account, &role.name)));
        for policy in self.policies.values_mut() {
            forget(&mut policy.id, &iam_id("ANPA", account, &policy.name));
            if policy.last_version == policy.newest_version() {
                policy.last_version = 0;
            }
        }
    }

    pub(super) fn settle(&mut self, account: &str) -> Result<(), WorldError> {
        for user in self.users.values_mut() {
            fill(&mut user.id, || iam_id("AIDA", account, &user.name));
            fill(&mut user.path, || "/".into());
        }
        for group in self.groups.values_mut() {
            fill(&mut group.id, || iam_id("AGPA", account, &group.name));
            fill(&mut group.path, || "/".into());
        }
        for role in self.roles.values_mut() {
            fill(&mut role.id, || iam_id("AROA", account, &role.name));
            fill(&mut role.path, || "/".into());
        }
        for policy in self.policies.values_mut() {
            fill(&mut policy.id, || iam_id("ANPA", account, &policy.name));
            fill(&mut policy.path, || "/".into());
            fill(&mut policy.default, || "v1".into());
            policy.versions.remove(&policy.default);
            policy.last_version = policy.last_version.max(policy.newest_version());
        }
        let missing = |who: String, what: &str, name: &str| {
            Err(WorldError::invalid(format!(
                "account `{account}`: {who} has the {what} `{name}`, which does not exist"
            )))
        };
        for user in self.users.values() {
            if let Some(group) = user.groups.iter().find(|name| !self.groups.contains_key(*name)) {
                return missing(format!("user `{}`", user.name), "group", group);
            }
        }
        let users = self.users.values().map(|it| ("user", &it.name, &it.policies, it.boundary.as_ref()));
        let groups = self.groups.values().map(|it| ("group", &it.name, &it.policies, None));
        let roles = self.roles.values().map(|it| ("role", &it.name, &it.policies, it.boundary.as_ref()));
        for (what, name, policies, boundary) in users.chain(groups).chain(roles) {
            let absent =
                |policy: &&String| !policy.starts_with("managed:") && !self.policies.contains_key(*policy);
            if let Some(policy) = policies.iter().chain(boundary).find(absent) {
                return missing(format!("{what} `{name}`"), "policy", policy);
            }
        }
        Ok(())
    }
}

impl IamPolicy {
    /// The highest number of a version that exists.
    fn newest_version(&self) -> u64 {
        let number = |version: &String| version.trim_start_matches('v').parse().unwrap_or(1);
        self.versions.keys().chain([&self.default]).map(number).max().unwrap_or(1)
    }
}

/// The unique id of an IAM thing that the file gives none.
pub(in super::super) fn iam_id(prefix: &str, account: &str, name: &str) -> String {
    format!("{prefix}{}", keyed::token(&[prefix, account, name], 17).to_ascii_uppercase())
}
