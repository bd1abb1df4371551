//! The Okta part of the world.
//!
//! Invariant: every login and group that something names exists. It must not answer requests.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::keyed;
use super::super::limits::BUCKETS;
use super::super::store::WorldError;
use super::{forget, is_default};

/// An Okta organization.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Okta {
    /// The login of whoever owns the API token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_owner: String,
    /// Calls a minute, by bucket, and calls at once (`concurrent`), where they are not the defaults.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, u32>,
    /// People by login.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, OktaUser>,
    /// Groups by id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, OktaGroup>,
    /// Group rules by id.
    #[serde(with = "keyed::list", skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, OktaRule>,
    /// Logins by id, kept by [`World::settle`] and the handlers.
    #[serde(skip)]
    pub(in super::super) logins: BTreeMap<String, String>,
}

/// A person in Okta.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OktaUser {
    /// The login: unique.
    pub login: String,
    /// The id; derived from the login where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Where the person stands.
    pub status: UserStatus,
    /// Everything else that is known of him, by Okta's names. `email` defaults to the login.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub profile: BTreeMap<String, Json>,
    /// How many sessions he has.
    #[serde(skip_serializing_if = "is_default")]
    pub sessions: u32,
    /// When he last signed in; when the record was made, where it is omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_login: Option<Timestamp>,
    /// When the record was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<Timestamp>,
}

/// Okta's statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "Okta's own words")]
pub enum UserStatus {
    #[default]
    Active,
    Staged,
    Provisioned,
    Recovery,
    PasswordExpired,
    LockedOut,
    Suspended,
    Deprovisioned,
}

/// A group in Okta.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OktaGroup {
    /// The name.
    pub name: String,
    /// The id; derived from name and type where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Who masters it.
    #[serde(rename = "type", skip_serializing_if = "is_default")]
    pub kind: GroupType,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Logins of those put in by hand.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub members: BTreeSet<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When its profile last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<Timestamp>,
    /// When its members last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_membership_updated: Option<Timestamp>,
}

/// Okta's types of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "Okta's own words")]
pub enum GroupType {
    #[default]
    OktaGroup,
    AppGroup,
    BuiltIn,
}

/// A group rule in Okta.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OktaRule {
    /// The name.
    pub name: String,
    /// The id; derived from the name where it is omitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Whether it works.
    pub status: RuleStatus,
    /// Names of the groups it puts people in.
    pub groups: BTreeSet<String>,
    /// Logins of those whom it puts in. The simulator does not evaluate expressions.
    pub members: BTreeSet<String>,
    /// Logins of those whom it never puts in.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<String>,
    /// The expression that the API shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// Okta's statuses of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "Okta's own words")]
pub enum RuleStatus {
    #[default]
    Active,
    Inactive,
    Invalid,
}

impl Okta {
    /// A person by id or login.
    #[must_use]
    pub fn user(&self, id_or_login: &str) -> Option<&OktaUser> {
        self.users.get(self.logins.get(id_or_login).map_or(id_or_login, String::as_str))
    }

    /// A group by name, to edit.
    pub fn group_named(&mut self, name: &str) -> Option<&mut OktaGroup> {
        self.groups.values_mut().find(|group| group.name == name)
    }

    /// Adds a person, or replaces one.
    pub fn add_user(&mut self, mut user: OktaUser) {
        if user.id.is_empty() {
            user.id = user_id(&user.login);
        }
        self.logins.insert(user.id.clone(), user.login.clone());
        self.users.insert(user.login.clone(), user);
    }

    /// Adds a group, or replaces one.
    pub fn add_group(&mut self, mut group: OktaGroup) {
        if group.id.is_empty() {
            group.id = group_id(&group.name, group.kind);
        }
        self.groups.insert(group.id.clone(), group);
    }

    pub(super) fn tersen(&mut self) {
        self.users.values_mut().for_each(|user| forget(&mut user.id, &user_id(&user.login)));
        self.groups.values_mut().for_each(|group| forget(&mut group.id, &group_id(&group.name, group.kind)));
        self.rules.values_mut().for_each(|rule| forget(&mut rule.id, &rule_id(&rule.name)));
    }

    pub(super) fn settle(&mut self) -> Result<(), WorldError> {
        if let Some(name) = self.limits.keys().find(|name| !BUCKETS.iter().any(|(known, _)| known == name)) {
            let known = BUCKETS.map(|(name, _)| format!("`{name}`")).join(", ");
            return Err(WorldError::invalid(format!("Okta has no limit `{name}`; there are {known}")));
        }
        for user in std::mem::take(&mut self.users).into_values() {
            self.add_user(user);
        }
        self.logins = self.users.values().map(|user| (user.id.clone(), user.login.clone())).collect();
        if self.logins.len() != self.users.len() {
            return Err(WorldError::invalid("two Okta users have the same `id`"));
        }
        for group in std::mem::take(&mut self.groups).into_values() {
            self.add_group(group);
        }
        for mut rule in std::mem::take(&mut self.rules).into_values() {
            if rule.id.is_empty() {
                rule.id = rule_id(&rule.name);
            }
            self.rules.insert(rule.id.clone(), rule);
        }
        let groups = self.groups.values().map(|group| ("group", &group.name, &group.members));
        for (what, name, members) in
            groups.chain(self.rules.values().map(|rule| ("rule", &rule.name, &rule.members)))
        {
            if let Some(login) = members.iter().find(|login| !self.users.contains_key(*login)) {
                let message =
                    format!("Okta {what} `{name}` has the member `{login}`, which no user has as login");
                return Err(WorldError::invalid(message));
            }
        }
        for rule in self.rules.values() {
            if let Some(name) =
                rule.groups.iter().find(|name| !self.groups.values().any(|group| group.name == **name))
            {
                let message =
                    format!("Okta rule `{}` names the group `{name}`, which does not exist", rule.name);
                return Err(WorldError::invalid(message));
            }
        }
        if !self.token_owner.is_empty() && !self.users.contains_key(&self.token_owner) {
            let message = format!("`token_owner` is `{}`, which no Okta user has as login", self.token_owner);
            return Err(WorldError::invalid(message));
        }
        Ok(())
    }
}

/// The id of an Okta user that the file gives none.
pub(in super::super) fn user_id(login: &str) -> String {
    format!("00u{}", keyed::token(&["user", login], 17))
}

/// The id of an Okta group that the file gives none.
pub(in super::super) fn group_id(name: &str, kind: GroupType) -> String {
    let kind = match kind {
        GroupType::OktaGroup => "okta",
        GroupType::AppGroup => "app",
        GroupType::BuiltIn => "built_in",
    };
    format!("00g{}", keyed::token(&["group", kind, name], 17))
}

fn rule_id(name: &str) -> String {
    format!("0pr{}", keyed::token(&["rule", name], 17))
}
