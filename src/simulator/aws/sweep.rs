//! GetAccountAuthorizationDetails: all of an account's users, groups, roles and policies in pages.
//!
//! Invariant: it lacks what the real one lacks: descriptions and session lengths of roles, tags of policies.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::world::{IamGroup, IamPolicy, IamRole, IamUser};
use super::Problem;
use super::iam::{Answer, Iam, encoded};
use super::lists::tags;
use super::policies::{managed_document, version, versions};
use super::xml::Xml;

/// One thing of the sweep.
enum Item<'a> {
    User(&'a IamUser),
    Group(&'a IamGroup),
    Role(&'a IamRole),
    Policy(&'a IamPolicy),
    Managed(String),
}

impl Iam<'_> {
    pub(super) fn sweep(&self) -> Answer {
        let filter = self.params.list("Filter");
        const KNOWN: [&str; 5] = ["User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"];
        if let Some(unknown) = filter.iter().find(|kind| !KNOWN.contains(kind)) {
            return Err(Problem::validation(format!(
                "1 validation error detected: Value '[{unknown}]' at 'filter' failed to satisfy constraint: Member must satisfy enum value set"
            )));
        }
        let asked = |kind: &str| filter.is_empty() || filter.contains(&kind);
        let it = self.account();
        let mut items: Vec<(String, Item<'_>)> = Vec::new();
        if asked("User") {
            items.extend(it.users.values().map(|one| (format!("1/{}", one.name), Item::User(one))));
        }
        if asked("Group") {
            items.extend(it.groups.values().map(|one| (format!("2/{}", one.name), Item::Group(one))));
        }
        if asked("Role") {
            items.extend(it.roles.values().map(|one| (format!("3/{}", one.name), Item::Role(one))));
        }
        if asked("LocalManagedPolicy") {
            items.extend(it.policies.values().map(|one| (format!("4/{}", one.name), Item::Policy(one))));
        }
        if asked("AWSManagedPolicy") {
            items.extend(self.used_managed().into_iter().map(|one| (format!("5/{one}"), Item::Managed(one))));
        }
        self.page(items, |xml, page| {
            xml.list("UserDetailList", page.iter().filter_map(Item::user), |xml, user| {
                self.user_detail(xml, user);
            });
            xml.list("GroupDetailList", page.iter().filter_map(Item::group), |xml, one| {
                self.group_detail(xml, one);
            });
            xml.list("RoleDetailList", page.iter().filter_map(Item::role), |xml, role| {
                self.role_detail(xml, role);
            });
            let policies = page.iter().filter(|item| matches!(item, Item::Policy(_) | Item::Managed(_)));
            xml.list("Policies", policies, |xml, item| match item {
                Item::Policy(policy) => {
                    self.policy(xml, policy, false);
                    xml.list("PolicyVersionList", versions(policy), |xml, (id, document, default)| {
                        version(xml, id, document, default);
                    });
                }
                Item::Managed(reference) => {
                    self.managed(xml, reference);
                    xml.list("PolicyVersionList", [reference], |xml, reference| {
                        version(xml, "v1", &managed_document(reference), true);
                    });
                }
                _ => {}
            });
        })
    }

    fn user_detail(&self, xml: &mut Xml, user: &IamUser) {
        self.plain_user(xml, user);
        inline(xml, "UserPolicyList", &user.inline);
        xml.node("GroupList", |xml| user.groups.iter().for_each(|group| xml.leaf("member", group)));
        self.attached(xml, "AttachedManagedPolicies", &user.policies);
        self.boundary(xml, user.boundary.as_deref());
        tags(xml, &user.tags);
    }

    fn group_detail(&self, xml: &mut Xml, group: &IamGroup) {
        self.group(xml, group);
        inline(xml, "GroupPolicyList", &group.inline);
        self.attached(xml, "AttachedManagedPolicies", &group.policies);
    }

    fn role_detail(&self, xml: &mut Xml, role: &IamRole) {
        self.role_head(xml, role);
        xml.node("InstanceProfileList", |_| ());
        inline(xml, "RolePolicyList", &role.inline);
        self.attached(xml, "AttachedManagedPolicies", &role.policies);
        self.boundary(xml, role.boundary.as_deref());
        tags(xml, &role.tags);
        xml.node("RoleLastUsed", |_| ());
    }
}

impl<'a> Item<'a> {
    fn user(&self) -> Option<&'a IamUser> {
        if let Self::User(user) = self { Some(user) } else { None }
    }

    fn group(&self) -> Option<&'a IamGroup> {
        if let Self::Group(group) = self { Some(group) } else { None }
    }

    fn role(&self) -> Option<&'a IamRole> {
        if let Self::Role(role) = self { Some(role) } else { None }
    }
}

fn inline(xml: &mut Xml, name: &str, policies: &BTreeMap<String, Json>) {
    xml.list(name, policies, |xml, (name, document)| {
        xml.leaf("PolicyName", name);
        xml.leaf("PolicyDocument", &encoded(document));
    });
}
