//! IAM policies of the simulated Google Cloud.
//!
//! Invariant: what is bound is kept as it was sent; each change gives a new revision. It must not judge who may be bound.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::super::keyed;
use super::super::is_zero;
use super::Gcp;

/// An IAM policy. Its keys stand among those of the resource that has it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GcpPolicy {
    /// Who has which role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<GcpBinding>,
    /// What is logged of reads, in Google's JSON.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audit_configs: Vec<Json>,
    /// How often it was changed: the etag is made of it.
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: u64,
}

/// A role, and who has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcpBinding {
    /// The role as Google names it: `roles/viewer`, `organizations/123456789012/roles/ci_viewer`.
    pub role: String,
    /// Who has it, as IAM writes members.
    pub members: Vec<String>,
    /// Under which condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<GcpCondition>,
}

/// A condition in CEL, which the simulator does not evaluate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpCondition {
    /// A short name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The expression.
    pub expression: String,
    /// Where the expression comes from, for error messages.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub location: String,
}

impl GcpPolicy {
    /// Whether a condition is in it.
    pub(in super::super::super) fn is_conditional(&self) -> bool {
        self.bindings.iter().any(|binding| binding.condition.is_some())
    }

    /// The etag that it has as the policy of `name`.
    pub(in super::super::super) fn etag(&self, name: &str) -> String {
        let bytes = keyed::bytes(&["policy", name, &self.revision.to_string()]);
        STANDARD.encode(bytes.get(..8).unwrap_or_default())
    }

    /// Gives a member a role, without a condition.
    pub fn bind(&mut self, role: &str, member: &str) {
        let same = |binding: &&mut GcpBinding| binding.role == role && binding.condition.is_none();
        match self.bindings.iter_mut().find(same) {
            Some(binding) if binding.members.iter().any(|it| it == member) => return,
            Some(binding) => binding.members.push(member.to_owned()),
            None => self.bindings.push(GcpBinding {
                role: role.to_owned(),
                members: vec![member.to_owned()],
                condition: None,
            }),
        }
        self.revision += 1;
    }

    /// Takes a role from a member, under whatever condition.
    pub fn unbind(&mut self, role: &str, member: &str) {
        let before = self.bindings.clone();
        for binding in self.bindings.iter_mut().filter(|binding| binding.role == role) {
            binding.members.retain(|it| it != member);
        }
        self.bindings.retain(|binding| !binding.members.is_empty());
        self.revision += u64::from(self.bindings != before);
    }

    /// Writes a member otherwise.
    fn rename(&mut self, from: &str, to: &str) {
        let members = self.bindings.iter_mut().flat_map(|binding| &mut binding.members);
        let mut changed = false;
        for member in members.filter(|member| member.as_str() == from) {
            to.clone_into(member);
            changed = true;
        }
        self.revision += u64::from(changed);
    }
}

impl Gcp {
    /// A policy by the name of what has it: `organizations/ID`, `folders/ID`, `projects/ID`,
    /// `projects/ID/serviceAccounts/EMAIL`, `billingAccounts/ID`.
    pub(in super::super::super) fn policy(&self, name: &str) -> Option<&GcpPolicy> {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["organizations", id] if *id == self.organization => Some(&self.policy),
            ["folders", id] => Some(&self.folders.get(*id)?.policy),
            ["projects", id] => Some(&self.project(id)?.policy),
            ["projects", id, "serviceAccounts", email] => {
                Some(&self.project(id)?.service_account(email)?.policy)
            }
            ["billingAccounts", id] => Some(&self.billing_accounts.get(*id)?.policy),
            _ => None,
        }
    }

    /// The same, to change it.
    pub(in super::super::super) fn policy_mut(&mut self, name: &str) -> Option<&mut GcpPolicy> {
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["organizations", id] if *id == self.organization => Some(&mut self.policy),
            ["folders", id] => Some(&mut self.folders.get_mut(*id)?.policy),
            ["projects", id] => Some(&mut self.project_mut(id)?.policy),
            ["projects", id, "serviceAccounts", email] => {
                let project = self.project_mut(id)?;
                let name = project.service_account(email)?.name.clone();
                Some(&mut project.service_accounts.get_mut(&name)?.policy)
            }
            ["billingAccounts", id] => Some(&mut self.billing_accounts.get_mut(*id)?.policy),
            _ => None,
        }
    }

    /// Every policy.
    pub(in super::super::super) fn policies_mut(&mut self) -> impl Iterator<Item = &mut GcpPolicy> {
        let projects = self.projects.values_mut().flat_map(|project| {
            let accounts = project.service_accounts.values_mut().map(|account| &mut account.policy);
            std::iter::once(&mut project.policy).chain(accounts)
        });
        std::iter::once(&mut self.policy)
            .chain(self.folders.values_mut().map(|folder| &mut folder.policy))
            .chain(projects)
            .chain(self.billing_accounts.values_mut().map(|account| &mut account.policy))
    }

    /// Writes a member otherwise in every policy.
    ///
    /// Whoever is deleted stays in policies as `deleted:…?uid=…`; by Google's account of November 2026:
    /// <https://cloud.google.com/iam/docs/principal-identifiers#deleted>.
    pub(in super::super::super) fn rename_member(&mut self, from: &str, to: &str) {
        self.policies_mut().for_each(|policy| policy.rename(from, to));
    }
}
