//! How IAM shows its things, and the lists of them.
//!
//! Invariant: a list shows what AWS's shows: those of users, groups and roles have neither tags nor boundaries.

use super::super::faults::Fault;
use super::super::world::{IamGroup, IamPolicy, IamRole, IamUser};
use super::iam::{Answer, Iam, encoded, stamp};
use super::xml::Xml;

impl Iam<'_> {
    /// Whether a path is asked for.
    fn on_path(&self, path: &str) -> bool {
        self.params.text("PathPrefix").is_none_or(|prefix| path.starts_with(prefix))
    }

    pub(super) fn list_users(&self) -> Answer {
        let users = self.account().users.iter().filter(|(_, user)| self.on_path(&user.path));
        self.page(users.map(|(name, user)| (name.clone(), user)), |xml, page| {
            xml.list("Users", page, |xml, user| self.plain_user(xml, user));
        })
    }

    pub(super) fn list_groups(&self) -> Answer {
        let groups = self.account().groups.iter().filter(|(_, group)| self.on_path(&group.path));
        self.page(groups.map(|(name, group)| (name.clone(), group)), |xml, page| {
            xml.list("Groups", page, |xml, group| self.group(xml, group));
        })
    }

    pub(super) fn list_roles(&self) -> Answer {
        let roles = self.account().roles.iter().filter(|(_, role)| self.on_path(&role.path));
        self.page(roles.map(|(name, role)| (name.clone(), role)), |xml, page| {
            xml.list("Roles", page, |xml, role| self.plain_role(xml, role));
        })
    }

    pub(super) fn list_policies(&self) -> Answer {
        let only_attached = self.params.is("OnlyAttached");
        let scope = self.params.text("Scope").unwrap_or("All");
        let own =
            self.account().policies.values().filter(|_| scope != "AWS").filter(|policy| {
                self.on_path(&policy.path) && (!only_attached || self.uses(&policy.name).0 > 0)
            });
        let own = own.map(|policy| (format!("own/{}", policy.name), Err(policy)));
        let used: Vec<String> = if scope == "Local" { Vec::new() } else { self.used_managed() };
        let used = used.into_iter().map(|reference| (reference.clone(), Ok(reference)));
        self.page(used.chain(own), |xml, page| {
            xml.list("Policies", page, |xml, policy| match policy {
                Ok(reference) => self.managed(xml, &reference),
                Err(policy) => self.policy(xml, policy, false),
            });
        })
    }

    /// AWS's own policies that something of the account holds, in order.
    pub(super) fn used_managed(&self) -> Vec<String> {
        let it = self.account();
        let users = it.users.values().flat_map(|user| user.policies.iter().chain(&user.boundary));
        let groups = it.groups.values().flat_map(|group| &group.policies);
        let roles = it.roles.values().flat_map(|role| role.policies.iter().chain(&role.boundary));
        let all = users.chain(groups).chain(roles).filter(|policy| policy.starts_with("managed:"));
        let all: std::collections::BTreeSet<&String> = all.collect();
        all.into_iter().cloned().collect()
    }

    pub(super) fn read_group(&self) -> Answer {
        let name = self.params.need("GroupName")?;
        let group = self.find_group(name)?;
        let users = self.account().users.values().filter(|user| user.groups.contains(name));
        self.page(users.map(|user| (user.name.clone(), user)), |xml, page| {
            xml.node("Group", |xml| self.group(xml, group));
            xml.list("Users", page, |xml, user| self.plain_user(xml, user));
        })
    }

    pub(super) fn list_groups_of(&self) -> Answer {
        let user = self.find_user(self.params.need("UserName")?)?;
        let groups = user.groups.iter().filter_map(|name| self.account().groups.get(name));
        self.page(groups.map(|group| (group.name.clone(), group)), |xml, page| {
            xml.list("Groups", page, |xml, group| self.group(xml, group));
        })
    }

    pub(super) fn list_entities(&self) -> Answer {
        let policy = self.policy_ref(self.params.need("PolicyArn")?)?;
        let bounding = self.params.text("PolicyUsageFilter") == Some("PermissionsBoundary");
        let it = self.account();
        let has = |policies: &std::collections::BTreeSet<String>, boundary: Option<&String>| {
            if bounding { boundary == Some(&policy) } else { policies.contains(&policy) }
        };
        let groups =
            it.groups.values().filter(|one| has(&one.policies, None)).map(|one| (0, &one.name, &one.id));
        let users = it.users.values().filter(|one| has(&one.policies, one.boundary.as_ref()));
        let users = users.map(|one| (1, &one.name, &one.id));
        let roles = it.roles.values().filter(|one| has(&one.policies, one.boundary.as_ref()));
        let roles = roles.map(|one| (2, &one.name, &one.id));
        let all = groups.chain(users).chain(roles).map(|one| (format!("{}/{}", one.0, one.1), one));
        self.page(all, |xml, page| {
            for (at, kind) in ["Group", "User", "Role"].into_iter().enumerate() {
                let these = page.iter().filter(|(of, ..)| *of == at);
                xml.list(&format!("Policy{kind}s"), these, |xml, (_, name, id)| {
                    xml.leaf(&format!("{kind}Name"), name);
                    xml.leaf(&format!("{kind}Id"), id);
                });
            }
        })
    }

    pub(super) fn plain_user(&self, xml: &mut Xml, user: &IamUser) {
        xml.leaf("Path", &user.path);
        xml.leaf("UserName", &user.name);
        xml.leaf("UserId", &user.id);
        xml.leaf("Arn", &self.arn("user", &user.path, &user.name));
        xml.leaf("CreateDate", &stamp(user.created));
    }

    pub(super) fn user(&self, xml: &mut Xml, user: &IamUser) {
        self.plain_user(xml, user);
        self.boundary(xml, user.boundary.as_deref());
        tags(xml, &user.tags);
    }

    pub(super) fn group(&self, xml: &mut Xml, group: &IamGroup) {
        xml.leaf("Path", &group.path);
        xml.leaf("GroupName", &group.name);
        xml.leaf("GroupId", &group.id);
        xml.leaf("Arn", &self.arn("group", &group.path, &group.name));
        xml.leaf("CreateDate", &stamp(group.created));
    }

    /// What every answer says of a role; the sweep says no more than this of the role itself.
    pub(super) fn role_head(&self, xml: &mut Xml, role: &IamRole) {
        xml.leaf("Path", &role.path);
        xml.leaf("RoleName", &role.name);
        xml.leaf("RoleId", &role.id);
        xml.leaf("Arn", &self.arn("role", &role.path, &role.name));
        xml.leaf("CreateDate", &stamp(role.created));
        xml.leaf("AssumeRolePolicyDocument", &encoded(&role.trust));
    }

    fn plain_role(&self, xml: &mut Xml, role: &IamRole) {
        self.role_head(xml, role);
        if let Some(description) = &role.description {
            xml.leaf("Description", description);
        }
        xml.leaf("MaxSessionDuration", &role.max_session.unwrap_or(3600).to_string());
    }

    pub(super) fn role(&self, xml: &mut Xml, role: &IamRole) {
        self.plain_role(xml, role);
        self.boundary(xml, role.boundary.as_deref());
        tags(xml, &role.tags);
        xml.node("RoleLastUsed", |_| ());
    }

    /// A policy of the account's own; only where it is asked for by name are its description and tags shown.
    pub(super) fn policy(&self, xml: &mut Xml, policy: &IamPolicy, whole: bool) {
        let (attached, bounding) = self.uses(&policy.name);
        xml.leaf("PolicyName", &policy.name);
        xml.leaf("PolicyId", &policy.id);
        xml.leaf("Arn", &self.arn("policy", &policy.path, &policy.name));
        xml.leaf("Path", &policy.path);
        xml.leaf("DefaultVersionId", &policy.default);
        let wrong = usize::from(self.moment.fault == Some(Fault::WrongCounts));
        xml.leaf("AttachmentCount", &(attached + wrong).to_string());
        xml.leaf("PermissionsBoundaryUsageCount", &bounding.to_string());
        xml.leaf("IsAttachable", "true");
        if whole {
            if let Some(description) = &policy.description {
                xml.leaf("Description", description);
            }
            tags(xml, &policy.tags);
        }
        xml.leaf("CreateDate", &stamp(policy.created));
        xml.leaf("UpdateDate", &stamp(policy.updated.or(policy.created)));
    }

    /// A policy of AWS's own.
    pub(super) fn managed(&self, xml: &mut Xml, reference: &str) {
        let (attached, bounding) = self.uses(reference);
        let full = reference.trim_start_matches("managed:");
        let (path, name) = full.rsplit_once('/').map_or(("", full), |(path, name)| (path, name));
        xml.leaf("PolicyName", name);
        xml.leaf("PolicyId", &super::super::world::iam_id("ANPA", "aws", full));
        xml.leaf("Arn", &self.policy_arn(reference));
        xml.leaf("Path", &if path.is_empty() { "/".to_owned() } else { format!("/{path}/") });
        xml.leaf("DefaultVersionId", "v1");
        let wrong = usize::from(self.moment.fault == Some(Fault::WrongCounts));
        xml.leaf("AttachmentCount", &(attached + wrong).to_string());
        xml.leaf("PermissionsBoundaryUsageCount", &bounding.to_string());
        xml.leaf("IsAttachable", "true");
        xml.leaf("CreateDate", &stamp(None));
        xml.leaf("UpdateDate", &stamp(None));
    }

    pub(super) fn boundary(&self, xml: &mut Xml, boundary: Option<&str>) {
        if let Some(boundary) = boundary {
            xml.node("PermissionsBoundary", |xml| {
                xml.leaf("PermissionsBoundaryType", "Policy");
                xml.leaf("PermissionsBoundaryArn", &self.policy_arn(boundary));
            });
        }
    }

    pub(super) fn attached<'p>(
        &self,
        xml: &mut Xml,
        name: &str,
        policies: impl IntoIterator<Item = &'p String>,
    ) {
        xml.list(name, policies, |xml, policy| {
            let plain = policy.trim_start_matches("managed:").rsplit('/').next().unwrap_or_default();
            xml.leaf("PolicyName", plain);
            xml.leaf("PolicyArn", &self.policy_arn(policy));
        });
    }
}

pub(super) fn tags(xml: &mut Xml, tags: &std::collections::BTreeMap<String, String>) {
    if !tags.is_empty() {
        xml.list("Tags", tags, |xml, (key, value)| {
            xml.leaf("Key", key);
            xml.leaf("Value", value);
        });
    }
}
