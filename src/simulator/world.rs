//! The world: everything that the simulated Okta and AWS hold, as a person writes it in `world.yaml`.
//!
//! Invariant: names are the keys; ids and times that the file omits are derived, and the same each time.
//! It must not answer requests: `okta` and `aws` do.
//!
//! The format, with every key that it knows, is shown at [`World`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::keyed;
use super::store::WorldError;

/// What `world.yaml` says. What is omitted has the default told here.
///
/// ```yaml
/// now: 2026-11-22T17:00:00Z          # when everything simulated happens; the clock starts here
/// page_size: 20                      # at most so many items a page, whatever a client asks for (default 20)
/// okta:
///   token_owner: svc_rolecall@acme.com         # whose API token it is: `/users/me`
///   users:
///     - login: klibby@acme.com
///       status: ACTIVE               # default; or STAGED, PROVISIONED, SUSPENDED, DEPROVISIONED, ...
///       profile: { firstName: Kate, lastName: Libby, department: Infrastructure, managerEmail: dmurphy@acme.com }
///     - { login: dmurphy@acme.com, profile: { firstName: Dade, lastName: Murphy }, id: 00u1dmurphy }   # ids may be given
///     - { login: svc_rolecall@acme.com }
///   groups:
///     - { name: Everyone, type: BUILT_IN }     # all people but those who left, whatever `members` says
///     - name: app.gitlab.developer
///       type: OKTA_GROUP             # default; or BUILT_IN, APP_GROUP: these refuse to be edited
///       description: who pushes code
///       members: [dmurphy@acme.com]  # put in by hand; those that rules put in stand at the rule
///   rules:
///     - { name: engineers, status: ACTIVE, groups: [app.gitlab.developer], members: [klibby@acme.com] }
///       # `expression: user.department=="Infrastructure"` says what the API shows; default: the logins of `members`
///   limits: { groups: 500, group: 1000, users: 600, user: 600, other: 1200 }   # calls a minute (these are the defaults)
/// aws:
///   caller: arn:aws:iam::222222222222:user/rolecall   # who signs, unless an access key of the world does
///   limits: { per_second: 20, burst: 40 }             # per account; default: none
///   accounts:
///     "222222222222":
///       name: ci
///       users:
///         - name: ci-deployer
///           path: /service/          # default /
///           tags: { team: platform }
///           groups: [deployers]
///           policies: [deny-data, "managed:ReadOnlyAccess"]   # attached: the account's own by name, AWS's as `managed:`
///           inline: { own-bucket: { Version: 2012-10-17, Statement: [{ Effect: Allow, Action: "s3:*", Resource: "*" }] } }
///           boundary: managed:PowerUserAccess
///           access_keys: [AKIAEXAMPLE000000001]
///           mfa: ["arn:aws:iam::222222222222:mfa/ci-deployer"]
///           login_profile: true
///       groups:
///         - { name: deployers, path: /, policies: ["managed:ReadOnlyAccess"], inline: {} }
///       roles:
///         - name: audit-reader
///           description: read by the auditors
///           max_session: 3600        # seconds; default 3600
///           trust: { Version: 2012-10-17, Statement: [{ Effect: Allow, Principal: { AWS: "arn:aws:iam::111111111111:root" }, Action: "sts:AssumeRole" }] }
///           policies: ["managed:SecurityAudit"]   # and inline, boundary, tags, path as above
///       policies:
///         - name: deny-data
///           path: /
///           description: nobody reads data
///           document: { Version: 2012-10-17, Statement: [{ Effect: Deny, Action: "s3:GetObject", Resource: "*" }] }
///           default: v2              # which version `document` is; default v1
///           versions: { v1: { Version: 2012-10-17, Statement: [] } }   # the others, at most four
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// When it is.
    pub now: Timestamp,
    /// At most so many items a page.
    #[serde(default = "default_page_size", skip_serializing_if = "is_default_page_size")]
    pub page_size: usize,
    /// Up to which line of the log this file has taken in.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub folded: u64,
    /// The Okta organization.
    #[serde(default)]
    pub okta: Okta,
    /// The AWS accounts.
    #[serde(default)]
    pub aws: Aws,
}

/// An Okta organization.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Okta {
    /// The login of whoever owns the API token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_owner: String,
    /// Calls a minute, by bucket, where they are not the defaults.
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
    pub(super) logins: BTreeMap<String, String>,
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

impl World {
    /// An empty world at a time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now, page_size: default_page_size(), folded: 0, okta: Okta::default(), aws: Aws::default() }
    }

    /// Fills in what was omitted and checks that every name means something.
    pub(super) fn settle(&mut self) -> Result<(), WorldError> {
        if self.page_size == 0 {
            return Err(WorldError::invalid("`page_size` is 0: nothing could ever be listed"));
        }
        self.okta.settle()?;
        if self.aws.caller.is_empty()
            && let Some(account) = self.aws.accounts.keys().next()
        {
            self.aws.caller = format!("arn:aws:iam::{account}:user/rolecall");
        }
        for (id, account) in &mut self.aws.accounts {
            if id.len() != 12 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(WorldError::invalid(format!(
                    "`{id}` is no account id: those have twelve digits"
                )));
            }
            account.settle(id)?;
        }
        Ok(())
    }

    /// What is worth writing down: without what would be derived again.
    pub(super) fn terse(&self) -> Self {
        let mut world = self.clone();
        let okta = &mut world.okta;
        okta.users.values_mut().for_each(|user| forget(&mut user.id, &user_id(&user.login)));
        okta.groups.values_mut().for_each(|group| forget(&mut group.id, &group_id(&group.name, group.kind)));
        okta.rules.values_mut().for_each(|rule| forget(&mut rule.id, &rule_id(&rule.name)));
        for (account, it) in &mut world.aws.accounts {
            it.users.values_mut().for_each(|user| forget(&mut user.id, &iam_id("AIDA", account, &user.name)));
            it.groups.values_mut().for_each(|one| forget(&mut one.id, &iam_id("AGPA", account, &one.name)));
            it.roles.values_mut().for_each(|role| forget(&mut role.id, &iam_id("AROA", account, &role.name)));
            for policy in it.policies.values_mut() {
                forget(&mut policy.id, &iam_id("ANPA", account, &policy.name));
                if policy.last_version == policy.newest_version() {
                    policy.last_version = 0;
                }
            }
        }
        world
    }
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

    fn settle(&mut self) -> Result<(), WorldError> {
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

impl AwsAccount {
    fn settle(&mut self, account: &str) -> Result<(), WorldError> {
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

/// The id of an Okta user that the file gives none.
pub(super) fn user_id(login: &str) -> String {
    format!("00u{}", keyed::token(&["user", login], 17))
}

/// The id of an Okta group that the file gives none.
pub(super) fn group_id(name: &str, kind: GroupType) -> String {
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

/// The unique id of an IAM thing that the file gives none.
pub(super) fn iam_id(prefix: &str, account: &str, name: &str) -> String {
    format!("{prefix}{}", keyed::token(&[prefix, account, name], 17).to_ascii_uppercase())
}

fn fill(field: &mut String, value: impl FnOnce() -> String) {
    if field.is_empty() {
        *field = value();
    }
}

fn forget(field: &mut String, derived: &str) {
    if field == derived {
        field.clear();
    }
}

fn default_page_size() -> usize {
    20
}

fn is_default_page_size(size: &usize) -> bool {
    *size == default_page_size()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_root(path: &str) -> bool {
    path.is_empty() || path == "/"
}

fn is_first_version(version: &str) -> bool {
    version.is_empty() || version == "v1"
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
