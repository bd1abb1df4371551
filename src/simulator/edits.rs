//! What someone else does to the world while we are at it: another administrator, with another tool.
//!
//! Invariant: an edit that no longer fits (its group is gone) changes nothing. Edits are no writes of ours.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::world::{AwsAccount, Gcp, GcpMember, GcpPolicy, RuleStatus, World};

/// What another administrator does. Groups and people are Okta's by name and login; holders are `user/NAME`,
/// `group/NAME`, `role/NAME` or `policy/NAME` of the world's first account. Google's policies are `organization`,
/// `folders/PATH`, `projects/ID`, `projects/ID/serviceAccounts/EMAIL` or `billingAccounts/ID`, its groups addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are what the names say")]
pub enum Edit {
    /// Puts a person into an Okta group.
    AddMember { group: String, login: String },
    /// Takes a person out of an Okta group.
    RemoveMember { group: String, login: String },
    /// Deletes an Okta group.
    DeleteGroup { group: String },
    /// Gives an Okta group another name.
    RenameGroup { group: String, to: String },
    /// Attaches an IAM policy: an own one by name, AWS's as `managed:NAME`.
    Attach { policy: String, to: String },
    /// Detaches an IAM policy.
    Detach { policy: String, from: String },
    /// Sets a tag of an IAM user, role or policy.
    Tag { on: String, key: String, value: String },
    /// Takes a tag away.
    Untag { on: String, key: String },
    /// Binds a member in one of Google's policies, without a condition.
    Bind { on: String, role: String, member: String },
    /// Takes a member out of the bindings of a role, under whatever condition.
    Unbind { on: String, role: String, member: String },
    /// Puts someone into a Google group.
    AddGroupMember { group: String, member: String },
    /// Takes someone out of a Google group.
    RemoveGroupMember { group: String, member: String },
}

/// On which side of a call something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Before it is carried out.
    #[default]
    Before,
    /// After it was carried out, and before it is answered.
    After,
}

/// An edit that waits for its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedEdit {
    /// The action as [`Simulator::calls`](super::Simulator::calls) names it; a `*` at the end stands for any rest.
    pub action: String,
    /// How many such calls pass first.
    #[serde(default)]
    pub skip: u32,
    /// Before or after the call.
    #[serde(default)]
    pub when: When,
    /// What is done.
    pub edit: Edit,
}

/// A change of the world, not yet made.
pub(super) struct Change(pub(super) Box<dyn FnOnce(&mut World) + Send>);

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Change")
    }
}

impl Edit {
    /// Makes it.
    pub fn make(&self, world: &mut World) {
        match self {
            Self::AddMember { group, login } => {
                if world.okta.users.contains_key(login)
                    && let Some(group) = world.okta.group_named(group)
                {
                    group.members.insert(login.clone());
                }
            }
            Self::RemoveMember { group, login } => {
                if let Some(group) = world.okta.group_named(group) {
                    group.members.remove(login);
                }
            }
            Self::DeleteGroup { group } => {
                world.okta.groups.retain(|_, it| it.name != *group);
                for rule in world.okta.rules.values_mut() {
                    if rule.groups.remove(group) {
                        rule.status = RuleStatus::Invalid;
                    }
                }
            }
            Self::RenameGroup { group, to } => {
                if let Some(renamed) = world.okta.group_named(group) {
                    renamed.name.clone_from(to);
                    for rule in world.okta.rules.values_mut() {
                        if rule.groups.remove(group) {
                            rule.groups.insert(to.clone());
                        }
                    }
                }
            }
            Self::Attach { policy, to } => {
                let account = account(world);
                let known = policy.starts_with("managed:")
                    || account.as_ref().is_some_and(|account| account.policies.contains_key(policy));
                if let Some(policies) = account.and_then(|account| account.policies_of(to))
                    && known
                {
                    policies.insert(policy.clone());
                }
            }
            Self::Detach { policy, from } => {
                if let Some(policies) = account(world).and_then(|account| account.policies_of(from)) {
                    policies.remove(policy);
                }
            }
            Self::Tag { on, key, value } => {
                if let Some(tags) = account(world).and_then(|account| account.tags_of(on)) {
                    tags.insert(key.clone(), value.clone());
                }
            }
            Self::Untag { on, key } => {
                if let Some(tags) = account(world).and_then(|account| account.tags_of(on)) {
                    tags.remove(key);
                }
            }
            Self::Bind { on, role, member } => {
                if let Some(policy) = world.gcp.policy_at(on) {
                    policy.bind(role, member);
                }
            }
            Self::Unbind { on, role, member } => {
                if let Some(policy) = world.gcp.policy_at(on) {
                    policy.unbind(role, member);
                }
            }
            Self::AddGroupMember { group, member } => {
                let created = Some(world.now);
                if let Some(group) = world.gcp.groups.get_mut(&group.to_lowercase()) {
                    let new = GcpMember { email: member.to_lowercase(), created, ..GcpMember::default() };
                    group.members.entry(new.email.clone()).or_insert(new);
                }
            }
            Self::RemoveGroupMember { group, member } => {
                if let Some(group) = world.gcp.groups.get_mut(&group.to_lowercase()) {
                    group.members.remove(&member.to_lowercase());
                }
            }
        }
    }
}

impl Gcp {
    /// A policy by what a person calls the thing that has it.
    fn policy_at(&mut self, on: &str) -> Option<&mut GcpPolicy> {
        let name = match on.strip_prefix("folders/") {
            Some(path) => format!("folders/{}", self.folder_at(path)?.id),
            None if on == "organization" => self.organization_name(),
            None => on.to_owned(),
        };
        self.policy_mut(&name)
    }
}

fn account(world: &mut World) -> Option<&mut AwsAccount> {
    world.aws.accounts.values_mut().next()
}

impl AwsAccount {
    fn policies_of(&mut self, holder: &str) -> Option<&mut std::collections::BTreeSet<String>> {
        match holder.split_once('/')? {
            ("user", name) => Some(&mut self.users.get_mut(name)?.policies),
            ("group", name) => Some(&mut self.groups.get_mut(name)?.policies),
            ("role", name) => Some(&mut self.roles.get_mut(name)?.policies),
            _ => None,
        }
    }

    fn tags_of(&mut self, thing: &str) -> Option<&mut std::collections::BTreeMap<String, String>> {
        match thing.split_once('/')? {
            ("user", name) => Some(&mut self.users.get_mut(name)?.tags),
            ("role", name) => Some(&mut self.roles.get_mut(name)?.tags),
            ("policy", name) => Some(&mut self.policies.get_mut(name)?.tags),
            _ => None,
        }
    }
}
