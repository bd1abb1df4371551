//! IAM policies: how they are read and set, and which members and roles they may name.
//!
//! Invariant: a policy is set whole or not at all; one that was read before another change is not. What is bound already
//! is not judged anew. It must not evaluate conditions.

use serde_json::{Value as Json, json};

use super::super::keyed;
use super::super::order::Reply;
use super::super::world::{Gcp, GcpBinding, GcpCondition, GcpPolicy, GcpState};
use super::roles::role_of;
use super::{Answer, Context, Problem};

/// How many members a policy has at most, over all bindings (November 2026):
/// <https://cloud.google.com/iam/quotas#limits>.
const MOST_MEMBERS: usize = 1500;

impl Context<'_> {
    /// The name of what has the policy, with ids for numbers and addresses for unique ids.
    fn policy_name(&self, asked: &str) -> Result<String, Problem> {
        let parts: Vec<&str> = asked.split('/').collect();
        match parts.as_slice() {
            ["projects", id] => Ok(format!("projects/{}", self.find_project(id)?.id)),
            ["folders", id] => Ok(format!("folders/{}", self.find_folder(id)?.id)),
            ["projects", id, "serviceAccounts", key] => {
                let (project, account) = self.find_account(id, key)?;
                Ok(format!("projects/{}/serviceAccounts/{}", project.id, account.email))
            }
            _ => Ok(asked.to_owned()),
        }
    }

    pub(super) fn read_policy(&self, asked: &str) -> Answer {
        let version = match self.order.query("options.requestedPolicyVersion") {
            Some(text) => text.parse().map_err(|_| Problem::invalid("Invalid policy version."))?,
            None => self.body()?["options"]["requestedPolicyVersion"].as_i64().unwrap_or(0),
        };
        if ![0, 1, 3].contains(&version) {
            return Err(Problem::invalid("The requested policy version is not valid: 0, 1 or 3 is."));
        }
        let name = self.policy_name(asked)?;
        let policy = self.gcp().policy(&name).ok_or_else(Problem::denied)?;
        Ok(Reply::json(200, &shown(policy, &name, version >= 3)))
    }

    pub(super) fn set_policy(&mut self, asked: &str) -> Answer {
        let body = self.body()?;
        let name = self.policy_name(asked)?;
        let gcp = self.gcp();
        let old = gcp.policy(&name).ok_or_else(Problem::denied)?;
        if gcp.is_shut(&name) {
            return Err(Problem::precondition("The resource is not in state ACTIVE."));
        }
        let sent = &body["policy"];
        if !sent.is_object() {
            return Err(Problem::invalid("The request has no policy."));
        }
        // Where no mask is given, audit configs stay (November 2026):
        // https://cloud.google.com/resource-manager/reference/rest/Shared.Types/SetIamPolicyRequest
        let mut mask = self.mask(&body);
        if mask.is_empty() {
            mask = vec!["bindings".to_owned(), "etag".to_owned()];
        }
        let known = ["bindings", "etag", "auditConfigs", "version"];
        if let Some(field) = mask.iter().find(|field| !known.contains(&field.as_str())) {
            return Err(Problem::invalid(format!("The update mask has an unknown field: {field}.")));
        }
        let etag = sent["etag"].as_str().filter(|etag| !etag.is_empty());
        if etag.is_some_and(|etag| etag != old.etag(&name)) {
            // As people meet it: https://github.com/hashicorp/terraform/issues/15243
            return Err(Problem::aborted(
                "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.",
            ));
        }
        let mut new = GcpPolicy { revision: old.revision, ..old.clone() };
        if mask.iter().any(|field| field == "bindings") {
            new.bindings = bindings(&sent["bindings"])?;
            self.check(&name, old, &new, sent, etag.is_some())?;
        }
        if mask.iter().any(|field| field == "auditConfigs") {
            new.audit_configs = sent["auditConfigs"].as_array().cloned().unwrap_or_default();
        }
        if new != *old {
            new.revision += 1;
            if let Some(policy) = self.gcp_mut().policy_mut(&name) {
                *policy = new;
            }
        }
        let policy = self.gcp().policy(&name).ok_or_else(Problem::denied)?;
        Ok(Reply::json(200, &shown(policy, &name, true)))
    }

    /// Whether a policy may follow another.
    fn check(
        &self,
        name: &str,
        old: &GcpPolicy,
        new: &GcpPolicy,
        sent: &Json,
        tagged: bool,
    ) -> Result<(), Problem> {
        let version = sent["version"].as_i64().unwrap_or(0);
        if ![0, 1, 3].contains(&version) {
            return Err(Problem::invalid("The policy version is not valid: 0, 1 or 3 is."));
        }
        // Who sends no etag loses conditions that he did not ask for (November 2026):
        // https://cloud.google.com/iam/docs/reference/rest/v1/Policy
        if version != 3 && (new.is_conditional() || (tagged && old.is_conditional())) {
            return Err(Problem::invalid(
                "Policies with conditional role bindings must specify policy version 3.",
            ));
        }
        if new.bindings.iter().map(|binding| binding.members.len()).sum::<usize>() > MOST_MEMBERS {
            return Err(Problem::invalid("The number of members in the policy exceeds the maximum of 1500."));
        }
        let had: Vec<&GcpBinding> = old.bindings.iter().collect();
        for binding in &new.bindings {
            if let Some(condition) = &binding.condition {
                if ["roles/owner", "roles/editor", "roles/viewer"].contains(&binding.role.as_str()) {
                    return Err(Problem::invalid(format!(
                        "Conditions can't be set on basic role bindings: {}.",
                        binding.role
                    )));
                }
                if condition.expression.trim().is_empty() {
                    return Err(Problem::invalid("Condition expression must not be empty."));
                }
            }
            if !had.iter().any(|it| it.role == binding.role) {
                self.check_role(&binding.role, name)?;
            }
            let held = |member: &str| had.iter().any(|it| it.members.iter().any(|held| held == member));
            for member in binding.members.iter().filter(|member| !held(member)) {
                check_member(self.gcp(), member, name)?;
            }
        }
        Ok(())
    }

    /// Predefined roles are all taken as known.
    fn check_role(&self, role: &str, name: &str) -> Result<(), Problem> {
        let refuse = |why: &str| {
            Err(Problem::invalid(format!("Role {role} is not supported for this resource: {why}.")))
        };
        let custom = role.strip_prefix("organizations/").or_else(|| role.strip_prefix("projects/"));
        if custom.is_none() {
            return match role.strip_prefix("roles/") {
                Some(id) if !id.is_empty() && !id.contains("_withcond_") => Ok(()),
                _ => refuse("it does not exist"),
            };
        }
        match role_of(self.gcp(), role, self.moment.now) {
            Some(role) if role.deleted.is_some() => refuse("it is deleted"),
            Some(_) => {
                let project = role.strip_prefix("projects/").and_then(|rest| rest.split('/').next());
                let of = format!("{name}/");
                match project {
                    Some(project) if !of.starts_with(&format!("projects/{project}/")) => {
                        refuse("it belongs to another project")
                    }
                    _ => Ok(()),
                }
            }
            None => refuse("it does not exist"),
        }
    }
}

impl Gcp {
    /// Whether something is to be deleted, so that its policy does not change any more.
    fn is_shut(&self, name: &str) -> bool {
        let mut parts = name.split('/');
        let state = match (parts.next(), parts.next()) {
            (Some("folders"), Some(id)) => self.folders.get(id).map(|folder| folder.state),
            (Some("projects"), Some(id)) => self.project(id).map(|project| project.state),
            _ => None,
        };
        state == Some(GcpState::DeleteRequested)
    }
}

/// The bindings that a client sends. Those that bind nobody are nothing.
fn bindings(sent: &Json) -> Result<Vec<GcpBinding>, Problem> {
    let refuse = || Problem::invalid("Invalid JSON payload received: a binding is malformed.");
    let mut bindings = Vec::new();
    for binding in sent.as_array().map(Vec::as_slice).unwrap_or_default() {
        let mut binding = binding.clone();
        if let Some(map) = binding.as_object_mut() {
            map.retain(|_, value| !value.is_null());
            map.entry("members").or_insert_with(|| json!([]));
        }
        let binding: GcpBinding = serde_json::from_value(binding).map_err(|_| refuse())?;
        if !binding.members.is_empty() {
            bindings.push(binding);
        }
    }
    Ok(bindings)
}

/// Whether a member may be bound who was not.
fn check_member(gcp: &Gcp, member: &str, name: &str) -> Result<(), Problem> {
    let missing = |what: &str, email: &str| Err(Problem::invalid(format!("{what} {email} does not exist.")));
    if ["allUsers", "allAuthenticatedUsers"].contains(&member) {
        let tree = ["organizations/", "folders/", "projects/"].iter().any(|start| name.starts_with(start));
        if tree && !name.contains("/serviceAccounts/") {
            return Err(Problem::invalid(format!(
                "Members of type allUsers and allAuthenticatedUsers cannot be added to resources of this type: {member}."
            )));
        }
        return Ok(());
    }
    let Some((kind, value)) = member.split_once(':') else {
        return Err(Problem::invalid(format!("Invalid member: {member}.")));
    };
    let email = value.to_lowercase();
    match kind {
        "user" if gcp.is_own(&email) => {
            let there = gcp.users.get(&email).is_some_and(|user| user.deleted.is_none());
            if there { Ok(()) } else { missing("User", value) }
        }
        "group" if gcp.is_own(&email) && !gcp.groups.contains_key(&email) => missing("Group", value),
        "serviceAccount" => {
            let domain = email.split_once('@').map_or("", |(_, domain)| domain);
            let project = domain.strip_suffix(".iam.gserviceaccount.com").and_then(|id| gcp.projects.get(id));
            match project {
                Some(project) if project.service_account(&email).is_none() => {
                    missing("Service account", value)
                }
                _ if !email.contains('@') => missing("Service account", value),
                _ => Ok(()),
            }
        }
        "user" | "group" if !email.contains('@') => {
            Err(Problem::invalid(format!("Invalid member: {member}.")))
        }
        "user" | "group" | "domain" | "deleted" | "principal" | "principalSet" => Ok(()),
        _ => Err(Problem::invalid(format!("The member {member} is of an unknown type."))),
    }
}

/// A policy as Google shows it.
///
/// To who asks for an older version, a condition is but a sign that there is one, in the role's name (November 2026):
/// <https://cloud.google.com/iam/docs/troubleshooting-withcond>.
pub(super) fn shown(policy: &GcpPolicy, name: &str, conditions: bool) -> Json {
    let conditional = policy.is_conditional() && conditions;
    let mut json = json!({"version": if conditional { 3 } else { 1 }, "etag": policy.etag(name)});
    let bindings: Vec<Json> =
        policy.bindings.iter().map(|binding| shown_binding(binding, conditions)).collect();
    if !bindings.is_empty() {
        json["bindings"] = bindings.into();
    }
    if !policy.audit_configs.is_empty() {
        json["auditConfigs"] = policy.audit_configs.clone().into();
    }
    json
}

/// A binding as Google shows it.
pub(super) fn shown_binding(binding: &GcpBinding, conditions: bool) -> Json {
    let mut json = json!({"role": binding.role, "members": binding.members});
    match &binding.condition {
        Some(condition) if conditions => json["condition"] = json!(condition),
        Some(condition) => json["role"] = format!("{}_withcond_{}", binding.role, sign(condition)).into(),
        None => {}
    }
    json
}

/// Twenty digits that stand for a condition.
fn sign(condition: &GcpCondition) -> String {
    let GcpCondition { title, description, expression, location } = condition;
    let bytes = keyed::bytes(&[title, description, expression, location]);
    bytes.iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}
