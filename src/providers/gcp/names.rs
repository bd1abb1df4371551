//! What things of Google Cloud are called: members, roles and full names of policies, and the addresses that they have here.
//!
//! Invariant: a member or role that has an address of its own kind has no other, so that equal things are equal texts;
//! whatever else a policy may bind is a `principal` by its own text. It must not ask whether anything exists.

use crate::model::Address;

pub(super) const ORGANIZATION: &str = "organization";
pub(super) const FOLDER: &str = "folder";
pub(super) const PROJECT: &str = "project";
pub(super) const SERVICE_ACCOUNT: &str = "service_account";
pub(super) const ROLE: &str = "custom_role";
pub(super) const GROUP: &str = "group";
pub(super) const USER: &str = "user";
pub(super) const BILLING: &str = "billing_account";
pub(super) const POOL: &str = "workload_identity_pool";
/// Whatever else a policy can bind: everyone, a domain, a pool's identities, Google's service agents, who was deleted.
pub(super) const PRINCIPAL: &str = "principal";

/// Where the e-mail addresses of service accounts end.
const OF_SERVICE_ACCOUNTS: &str = ".iam.gserviceaccount.com";

/// The address of whoever a policy calls `member`.
pub(super) fn principal(instance: &str, member: &str) -> Address {
    let named = |kind: &str, email: &str| Address::new(instance, None, kind, &email.to_lowercase());
    match member.split_once(':') {
        Some(("user", email)) => named(USER, email),
        Some(("group", email)) => named(GROUP, email),
        Some(("serviceAccount", email)) if !is_agent(email) => match parts_of(email) {
            Some((name, project)) => Address::new(instance, Some(&project), SERVICE_ACCOUNT, &name),
            None => Address::new(instance, None, PRINCIPAL, member),
        },
        _ => Address::new(instance, None, PRINCIPAL, member),
    }
}

/// What policies call a principal; `None`: they cannot bind it.
pub(super) fn member(principal: &Address) -> Option<String> {
    let name = principal.name();
    Some(match principal.kind() {
        USER => format!("user:{name}"),
        GROUP => format!("group:{name}"),
        SERVICE_ACCOUNT => format!("serviceAccount:{}", email(&name, &scope(principal)?)),
        PRINCIPAL => name.into_owned(),
        _ => return None,
    })
}

/// The e-mail address by which groups know a member; `None`: groups do not take it.
pub(super) fn email_of(principal: &Address) -> Option<String> {
    match principal.kind() {
        USER | GROUP => Some(principal.name().into_owned()),
        SERVICE_ACCOUNT => Some(email(&principal.name(), &scope(principal)?)),
        PRINCIPAL => principal.name().strip_prefix("serviceAccount:").map(str::to_owned),
        _ => None,
    }
}

/// The project that an address is in, as Google writes it.
pub(super) fn scope(address: &Address) -> Option<String> {
    let scope = percent_encoding::percent_decode_str(address.scope()?).decode_utf8_lossy();
    Some(scope.into_owned())
}

/// The e-mail address of a service account. A project of a domain is written the other way round there.
pub(super) fn email(name: &str, project: &str) -> String {
    match project.split_once(':') {
        Some((domain, project)) => format!("{name}@{project}.{domain}{OF_SERVICE_ACCOUNTS}"),
        None => format!("{name}@{project}{OF_SERVICE_ACCOUNTS}"),
    }
}

/// Name and project of a service account that somebody made.
pub(super) fn parts_of(email: &str) -> Option<(String, String)> {
    let email = email.to_lowercase();
    let (name, project) = email.strip_suffix(OF_SERVICE_ACCOUNTS)?.split_once('@')?;
    let project = match project.split_once('.') {
        Some((project, domain)) => format!("{domain}:{project}"),
        None => project.to_owned(),
    };
    (!name.is_empty() && !project.is_empty()).then(|| (name.to_owned(), project))
}

/// Whether an account is one of Google's own, by which its services act in a project: `service-NUMBER@…` in projects of
/// Google's, and those that have no project in their name. What they are bound to is nobody's to take, or services break.
/// Checked November 2026: https://cloud.google.com/iam/docs/service-agents
pub(super) fn is_agent(email: &str) -> bool {
    let Some((name, domain)) = email.split_once('@') else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = ["service-org-", "service-folder-", "service-", "project-"]
        .iter()
        .find_map(|start| name.strip_prefix(start))
        .unwrap_or(name);
    digits(number)
        || domain.starts_with("gcp-sa-")
        || ["cloudservices.gserviceaccount.com", "cloudbuild.gserviceaccount.com"].contains(&domain)
}

/// The relation of edges that a policy's `role` makes: its name, and for an own role its address.
pub(super) fn relation(instance: &str, role: &str) -> String {
    let mut parts = role.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("organizations"), Some(_), Some("roles"), Some(id), None) => {
            Address::new(instance, None, ROLE, id).to_string()
        }
        (Some("projects"), Some(project), Some("roles"), Some(id), None) => {
            Address::new(instance, Some(project), ROLE, id).to_string()
        }
        _ => role.to_owned(),
    }
}

/// The role that a policy binds for a relation.
pub(super) fn role(organization: &str, relation: &str) -> String {
    match relation.parse::<Address>() {
        Ok(address) if address.kind() == ROLE => role_name(organization, &address),
        _ => relation.to_owned(),
    }
}

/// The full name of an own role.
pub(super) fn role_name(organization: &str, address: &Address) -> String {
    let id = address.name();
    match scope(address) {
        Some(project) => format!("projects/{project}/roles/{id}"),
        None => format!("organizations/{organization}/roles/{id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_one_address_each_and_read_back() {
        for (member_text, address) in [
            ("user:klibby@acme.com", "gcp:user/klibby@acme.com"),
            ("group:rbac-x@acme.com", "gcp:group/rbac-x@acme.com"),
            ("serviceAccount:ci@prod-app-77.iam.gserviceaccount.com", "gcp/prod-app-77:service_account/ci"),
            (
                "serviceAccount:ci@app.acme.com.iam.gserviceaccount.com",
                "gcp/acme.com%3Aapp:service_account/ci",
            ),
            (
                "serviceAccount:service-7@gcp-sa-pubsub.iam.gserviceaccount.com",
                "gcp:principal/serviceAccount:service-7@gcp-sa-pubsub.iam.gserviceaccount.com",
            ),
            (
                "serviceAccount:7-compute@developer.gserviceaccount.com",
                "gcp:principal/serviceAccount:7-compute@developer.gserviceaccount.com",
            ),
            ("allUsers", "gcp:principal/allUsers"),
            ("domain:acme.com", "gcp:principal/domain:acme.com"),
            ("deleted:user:x@acme.com?uid=1", "gcp:principal/deleted:user:x@acme.com?uid=1"),
            (
                "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/g/*",
                "gcp:principal/principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/g/*",
            ),
        ] {
            let found = principal("gcp", member_text);
            assert_eq!(found.as_str(), address);
            assert_eq!(member(&found).as_deref(), Some(member_text));
        }
        assert_eq!(principal("gcp", "user:KLibby@Acme.com").as_str(), "gcp:user/klibby@acme.com");
        assert_eq!(member(&"gcp:project/x".parse().unwrap()), None);
    }

    #[test]
    fn agents_are_told_from_accounts_that_somebody_made() {
        for (email, agent) in [
            ("service-123@compute-system.iam.gserviceaccount.com", true),
            ("service-123@gcp-sa-x.iam.gserviceaccount.com", true),
            ("123@cloudservices.gserviceaccount.com", true),
            ("123@cloudbuild.gserviceaccount.com", true),
            ("123-compute@developer.gserviceaccount.com", false),
            ("ci@prod.iam.gserviceaccount.com", false),
            ("service-ci@prod.iam.gserviceaccount.com", false),
        ] {
            assert_eq!(is_agent(email), agent, "{email}");
        }
    }

    #[test]
    fn own_roles_are_addresses() {
        for (role_text, relation_text) in [
            ("roles/logging.viewer", "roles/logging.viewer"),
            ("organizations/1/roles/ci_viewer", "gcp:custom_role/ci_viewer"),
            ("projects/prod/roles/x", "gcp/prod:custom_role/x"),
        ] {
            assert_eq!(relation("gcp", role_text), relation_text);
            assert_eq!(role("1", relation_text), role_text);
        }
    }
}
