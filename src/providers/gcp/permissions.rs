//! What Google's IAM must allow the two identities that call: a permission for each call that is made.
//!
//! Invariant: the roles that follow from it hold all that is called and nothing that is not; a test counts both. Groups and
//! people's accounts are no part of IAM: those take a role of Workspace's or Cloud Identity's own.

/// One call: how, which path with `*` for its changing parts, and the permission that it takes, if IAM's.
pub type Call = (&'static str, &'static str, &'static str);

/// What reading calls. Checked November 2026: https://cloud.google.com/iam/docs/permissions-reference
pub const READS: &[Call] = &[
    ("GET", "/oauth2/v2/userinfo", ""),
    ("GET", "/v3/organizations/*", "resourcemanager.organizations.get"),
    ("GET", "/v3/folders:search", "resourcemanager.folders.get"),
    ("GET", "/v3/folders", "resourcemanager.folders.list"),
    ("GET", "/v3/projects:search", "resourcemanager.projects.get"),
    ("GET", "/v3/projects/*", "resourcemanager.projects.get"),
    ("GET", "/v3/liens", "resourcemanager.projects.get"),
    ("POST", "/v3/organizations/*:getIamPolicy", "resourcemanager.organizations.getIamPolicy"),
    ("POST", "/v3/folders/*:getIamPolicy", "resourcemanager.folders.getIamPolicy"),
    ("POST", "/v3/projects/*:getIamPolicy", "resourcemanager.projects.getIamPolicy"),
    ("POST", "/v1/projects/*/serviceAccounts/*:getIamPolicy", "iam.serviceAccounts.getIamPolicy"),
    ("GET", "/v1/projects/*/serviceAccounts/*", "iam.serviceAccounts.get"),
    ("GET", "/v1/projects/*/serviceAccounts/*/keys", "iam.serviceAccountKeys.list"),
    ("GET", "/v1/organizations/*/roles/*", "iam.roles.get"),
    ("GET", "/v1/projects/*/roles/*", "iam.roles.get"),
    ("GET", "/v1/organizations/*/assets", "cloudasset.assets.listResource"),
    ("GET", "/v1/organizations/*:searchAllIamPolicies", "cloudasset.assets.searchAllIamPolicies"),
    ("GET", "/v1/projects/*/services", "serviceusage.services.list"),
    ("GET", "/v1/projects/*/billingInfo", "resourcemanager.projects.get"),
    ("GET", "/v1/billingAccounts", "billing.accounts.list"),
    ("GET", "/v1/billingAccounts/*", "billing.accounts.get"),
    ("GET", "/v1/billingAccounts/*:getIamPolicy", "billing.accounts.getIamPolicy"),
    ("GET", "/v1/groups", ""),
    ("GET", "/v1/groups/*", ""),
    ("GET", "/v1/groups:lookup", ""),
    ("GET", "/v1/groups/*/memberships", ""),
    ("GET", "/v1/groups/*/memberships/*", ""),
    ("GET", "/v1/groups/*/memberships:lookup", ""),
    ("GET", "/v1/groups/-/memberships:searchDirectGroups", ""),
    ("GET", "/admin/directory/v1/users", ""),
    ("GET", "/admin/directory/v1/users/*", ""),
];

/// What writing calls, besides looking just before.
pub const WRITES: &[Call] = &[
    ("GET", "/v3/operations/*", ""),
    ("GET", "/v1/operations/*", "serviceusage.operations.get"),
    ("GET", "/v3/folders", "resourcemanager.folders.list"),
    ("POST", "/v3/folders", "resourcemanager.folders.create"),
    ("DELETE", "/v3/folders/*", "resourcemanager.folders.delete"),
    ("GET", "/v3/projects/*", "resourcemanager.projects.get"),
    ("GET", "/v3/projects:search", "resourcemanager.projects.get"),
    ("POST", "/v3/projects", "resourcemanager.projects.create"),
    ("PATCH", "/v3/projects/*", "resourcemanager.projects.update"),
    ("POST", "/v3/projects/*:move", "resourcemanager.projects.move"),
    ("DELETE", "/v3/projects/*", "resourcemanager.projects.delete"),
    ("POST", "/v3/projects/*:undelete", "resourcemanager.projects.undelete"),
    ("GET", "/v3/liens", "resourcemanager.projects.get"),
    ("POST", "/v3/liens", "resourcemanager.projects.updateLiens"),
    ("DELETE", "/v3/liens/*", "resourcemanager.projects.updateLiens"),
    ("POST", "/v3/organizations/*:getIamPolicy", "resourcemanager.organizations.getIamPolicy"),
    ("POST", "/v3/folders/*:getIamPolicy", "resourcemanager.folders.getIamPolicy"),
    ("POST", "/v3/projects/*:getIamPolicy", "resourcemanager.projects.getIamPolicy"),
    ("POST", "/v1/projects/*/serviceAccounts/*:getIamPolicy", "iam.serviceAccounts.getIamPolicy"),
    ("GET", "/v1/billingAccounts/*:getIamPolicy", "billing.accounts.getIamPolicy"),
    ("POST", "/v3/organizations/*:setIamPolicy", "resourcemanager.organizations.setIamPolicy"),
    ("POST", "/v3/folders/*:setIamPolicy", "resourcemanager.folders.setIamPolicy"),
    ("POST", "/v3/projects/*:setIamPolicy", "resourcemanager.projects.setIamPolicy"),
    ("POST", "/v1/projects/*/serviceAccounts/*:setIamPolicy", "iam.serviceAccounts.setIamPolicy"),
    ("POST", "/v1/billingAccounts/*:setIamPolicy", "billing.accounts.setIamPolicy"),
    ("GET", "/v1/projects/*/serviceAccounts/*", "iam.serviceAccounts.get"),
    ("POST", "/v1/projects/*/serviceAccounts", "iam.serviceAccounts.create"),
    ("PATCH", "/v1/projects/*/serviceAccounts/*", "iam.serviceAccounts.update"),
    ("POST", "/v1/projects/*/serviceAccounts/*:disable", "iam.serviceAccounts.disable"),
    ("POST", "/v1/projects/*/serviceAccounts/*:enable", "iam.serviceAccounts.enable"),
    ("DELETE", "/v1/projects/*/serviceAccounts/*", "iam.serviceAccounts.delete"),
    ("GET", "/v1/projects/*/serviceAccounts/*/keys", "iam.serviceAccountKeys.list"),
    ("DELETE", "/v1/projects/*/serviceAccounts/*/keys/*", "iam.serviceAccountKeys.delete"),
    ("POST", "/v1/projects/*/serviceAccounts/*/keys/*:disable", "iam.serviceAccountKeys.disable"),
    ("GET", "/v1/organizations/*/roles/*", "iam.roles.get"),
    ("GET", "/v1/projects/*/roles/*", "iam.roles.get"),
    ("POST", "/v1/organizations/*/roles", "iam.roles.create"),
    ("POST", "/v1/projects/*/roles", "iam.roles.create"),
    ("PATCH", "/v1/organizations/*/roles/*", "iam.roles.update"),
    ("PATCH", "/v1/projects/*/roles/*", "iam.roles.update"),
    ("DELETE", "/v1/organizations/*/roles/*", "iam.roles.delete"),
    ("DELETE", "/v1/projects/*/roles/*", "iam.roles.delete"),
    ("POST", "/v1/organizations/*/roles/*:undelete", "iam.roles.undelete"),
    ("POST", "/v1/projects/*/roles/*:undelete", "iam.roles.undelete"),
    ("GET", "/v1/projects/*/services", "serviceusage.services.list"),
    ("POST", "/v1/projects/*/services/*:enable", "serviceusage.services.enable"),
    ("POST", "/v1/projects/*/services:batchEnable", "serviceusage.services.enable"),
    ("POST", "/v1/projects/*/services/*:disable", "serviceusage.services.disable"),
    ("PUT", "/v1/projects/*/billingInfo", "resourcemanager.projects.createBillingAssignment"),
    ("PUT", "/v1/projects/*/billingInfo", "resourcemanager.projects.deleteBillingAssignment"),
    ("PUT", "/v1/projects/*/billingInfo", "billing.resourceAssociations.create"),
    ("GET", "/v1/groups/*", ""),
    ("GET", "/v1/groups:lookup", ""),
    ("GET", "/v1/groups", ""),
    ("POST", "/v1/groups", ""),
    ("PATCH", "/v1/groups/*", ""),
    ("DELETE", "/v1/groups/*", ""),
    ("GET", "/v1/groups/*/memberships/*", ""),
    ("GET", "/v1/groups/*/memberships:lookup", ""),
    ("POST", "/v1/groups/*/memberships", ""),
    ("DELETE", "/v1/groups/*/memberships/*", ""),
    ("POST", "/v1/groups/*/memberships/*:modifyMembershipRoles", ""),
    ("POST", "/admin/directory/v1/users/*/signOut", ""),
    ("GET", "/admin/directory/v1/users/*/tokens", ""),
    ("DELETE", "/admin/directory/v1/users/*/tokens/*", ""),
];

/// The permissions of calls, each once.
#[must_use]
pub fn permissions(calls: &[Call]) -> Vec<&'static str> {
    let mut permissions: Vec<&str> = calls
        .iter()
        .map(|(_, _, permission)| *permission)
        .filter(|permission| !permission.is_empty())
        .collect();
    permissions.sort_unstable();
    permissions.dedup();
    permissions
}

/// The calls that a request may be. `*` stands for one part of a path.
pub fn of<'c>(calls: &'c [Call], method: &str, path: &str) -> impl Iterator<Item = &'c Call> {
    let (method, path) = (method.to_owned(), path.to_owned());
    calls.iter().filter(move |(wanted, pattern, _)| *wanted == method && fits(pattern, &path))
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) => {
                // What is done stands after a colon, of which names have none.
                let (name, verb) =
                    part.rsplit_once(':').map_or((part, None), |(name, verb)| (name, Some(verb)));
                let (wanted, action) =
                    pattern.rsplit_once(':').map_or((pattern, None), |(name, verb)| (name, Some(verb)));
                if verb != action || (wanted != "*" && wanted != name) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// The two roles as documents of an access repo, or for whoever makes them by hand.
#[must_use]
pub fn documents() -> String {
    let document = |name: &str, title: &str, description: &str, calls: &[Call]| {
        let permissions: String =
            permissions(calls).iter().map(|permission| format!("  - {permission}\n")).collect();
        format!(
            "kind: gcp/CustomRole\nname: {name}\ntitle: {title}\ndescription: {description}\npermissions:\n{permissions}"
        )
    };
    let reader = document("rolecall_reader", "rolecall reads", "plans; changes nothing", READS);
    let writer = document("rolecall_writer", "rolecall writes", "applies what was approved", WRITES);
    format!("{reader}---\n{writer}")
}
