//! Groups and people of the simulated Cloud Identity.
//!
//! Invariant: addresses are in small letters; a group always has members by address. It must not answer requests.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::super::keyed;
use super::super::{fill, forget, is_default};
use super::Gcp;

/// A group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpGroup {
    /// The address.
    pub email: String,
    /// The id; derived from the address where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The display name; what stands before the `@` where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What kind of group it is: `cloudidentity.googleapis.com/groups.discussion_forum` where it is omitted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// Its members by address: people, groups, service accounts, strangers.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, GcpMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpMember {
    /// The address.
    pub email: String,
    /// `MEMBER`, and `MANAGER` or `OWNER` besides; `MEMBER` where it is omitted.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<String>,
    /// When the membership ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpUser {
    /// The primary address.
    pub email: String,
    /// The id; derived from the address where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The given name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub given: String,
    /// The family name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub family: String,
    /// Whether he is kept out.
    #[serde(skip_serializing_if = "is_default")]
    pub suspended: bool,
    /// Whether he is archived.
    #[serde(skip_serializing_if = "is_default")]
    pub archived: bool,
    /// The path of his organizational unit.
    #[serde(skip_serializing_if = "super::super::is_root")]
    pub org_unit: String,
    /// How many sessions he has.
    #[serde(skip_serializing_if = "is_default")]
    pub sessions: u32,
    /// Apps that may act for him, by client id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, GcpToken>,
    /// When he last signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_login: Option<Timestamp>,
    /// When he was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
}

/// What an app may do for a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpToken {
    /// The app's client id.
    pub client: String,
    /// What the app is called.
    pub name: String,
    /// What it may do.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<String>,
}

/// The label of a plain group.
const FORUM: &str = "cloudidentity.googleapis.com/groups.discussion_forum";

impl GcpGroup {
    pub(super) fn settle(&mut self) {
        self.email = self.email.to_lowercase();
        fill(&mut self.id, || group_id(&self.email));
        fill(&mut self.name, || local(&self.email).to_owned());
        if self.labels.is_empty() {
            self.labels.insert(FORUM.to_owned(), String::new());
        }
        self.members = super::settled(&mut self.members, GcpMember::settle);
    }

    pub(super) fn tersen(&mut self) {
        forget(&mut self.id, &group_id(&self.email));
        forget(&mut self.name, local(&self.email));
        if self.labels.len() == 1 && self.labels.get(FORUM).is_some_and(String::is_empty) {
            self.labels.clear();
        }
        for member in self.members.values_mut() {
            if member.roles.len() == 1 && member.roles.contains("MEMBER") {
                member.roles.clear();
            }
        }
    }

    /// Whether a query says who is in it, so that nobody else does.
    pub(in super::super::super) fn is_dynamic(&self) -> bool {
        self.labels.contains_key("cloudidentity.googleapis.com/groups.dynamic")
    }
}

impl GcpMember {
    fn settle(&mut self) {
        self.email = self.email.to_lowercase();
        if self.roles.is_empty() {
            self.roles.insert("MEMBER".to_owned());
        }
    }

    /// Whether it still is one.
    pub(in super::super::super) fn lasts(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| end > now)
    }
}

impl GcpUser {
    pub(super) fn settle(&mut self) {
        self.email = self.email.to_lowercase();
        fill(&mut self.id, || user_id(&self.email));
        fill(&mut self.org_unit, || "/".into());
    }

    pub(super) fn tersen(&mut self) {
        forget(&mut self.id, &user_id(&self.email));
    }
}

impl Gcp {
    /// Adds a group, or replaces one.
    pub fn add_group(&mut self, mut group: GcpGroup) {
        group.settle();
        self.group_ids.insert(group.id.clone(), group.email.clone());
        self.groups.insert(group.email.clone(), group);
    }

    /// Adds a person, or replaces one.
    pub fn add_user(&mut self, mut user: GcpUser) {
        user.settle();
        self.users.insert(user.email.clone(), user);
    }
}

/// What stands before the `@`.
fn local(email: &str) -> &str {
    email.split('@').next().unwrap_or_default()
}

fn group_id(email: &str) -> String {
    format!("0{}", keyed::token(&["google group", email], 14))
}

fn user_id(email: &str) -> String {
    keyed::digits(&["google user", email], 21)
}
