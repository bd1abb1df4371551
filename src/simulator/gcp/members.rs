//! Cloud Identity: who is in which group.
//!
//! Invariant: a membership that has ended is gone. Who is in a dynamic group is not for anybody to say.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::super::keyed;
use super::super::order::Reply;
use super::super::world::{GcpGroup, GcpMember};
use super::groups::done;
use super::operations::typed;
use super::{Answer, Context, Problem, stamp, text};

impl GcpGroup {
    /// Puts someone in.
    pub(super) fn add(
        &mut self,
        email: &str,
        roles: BTreeSet<String>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) {
        let email = email.to_lowercase();
        let member = GcpMember { email: email.clone(), roles, expires, created: Some(now) };
        self.members.insert(email, member);
    }
}

impl Context<'_> {
    /// What is below `memberships` of a group.
    pub(super) fn memberships(&mut self, method: &str, group: &str, words: &[&str], verb: &str) -> Answer {
        match (method, words, verb) {
            ("GET", [], "") => self.list_memberships(group),
            ("POST", [], "") => self.create_membership(group),
            ("GET", [], "lookup") => self.lookup_membership(group),
            ("GET", [id], "") => {
                let group = self.find_group(group)?;
                Ok(Reply::json(200, &self.membership(group, self.find_member(group, id)?, true)))
            }
            ("DELETE", [id], "") => {
                let email = self.editable(group, id)?;
                self.group_mut(group)?.members.remove(&email);
                Ok(Reply::json(
                    200,
                    &json!({"done": true, "response": typed(json!({}), "google.protobuf.Empty")}),
                ))
            }
            ("POST", [id], "modifyMembershipRoles") => self.modify_roles(group, id),
            _ => Err(super::unknown()),
        }
    }

    /// The id of a membership: who is a member has the same in every group.
    fn member_id(&self, email: &str) -> String {
        let gcp = self.gcp();
        if let Some(group) = gcp.groups.get(email) {
            return group.id.clone();
        }
        if let Some(user) = gcp.users.get(email) {
            return user.id.clone();
        }
        keyed::digits(&["google member", email], 21)
    }

    fn kind(&self, email: &str) -> &'static str {
        if self.gcp().groups.contains_key(email) {
            "GROUP"
        } else if email.ends_with(".gserviceaccount.com") {
            "SERVICE_ACCOUNT"
        } else {
            "USER"
        }
    }

    fn live<'g>(&self, group: &'g GcpGroup) -> impl Iterator<Item = (&'g String, &'g GcpMember)> {
        let now = self.moment.now;
        group.members.iter().filter(move |(_, member)| member.lasts(now))
    }

    fn find_member<'g>(&self, group: &'g GcpGroup, id: &str) -> Result<&'g GcpMember, Problem> {
        let found = self.live(group).find(|(email, _)| self.member_id(email) == id);
        found.map(|(_, member)| member).ok_or_else(|| {
            Problem::missing(format!(
                "Error(4003): Membership groups/{}/memberships/{id} was not found.",
                group.id
            ))
        })
    }

    /// The address of a member whom one may change.
    fn editable(&self, group: &str, id: &str) -> Result<String, Problem> {
        let group = self.find_group(group)?;
        if group.is_dynamic() {
            return Err(Problem::precondition("Memberships of a dynamic group cannot be changed."));
        }
        Ok(self.find_member(group, id)?.email.clone())
    }

    fn list_memberships(&self, group: &str) -> Answer {
        let group = self.find_group(group)?;
        let (full, sizes) = self.view();
        self.page("memberships", sizes, self.live(group), |member| self.membership(group, member, full))
    }

    fn lookup_membership(&self, group: &str) -> Answer {
        let group = self.find_group(group)?;
        let email = self.order.query("memberKey.id").unwrap_or_default().to_lowercase();
        let found = group.members.get(&email).filter(|member| member.lasts(self.moment.now));
        let member = found.ok_or_else(|| {
            Problem::missing(format!(
                "Error(4003): Membership of {email} in groups/{} was not found.",
                group.id
            ))
        })?;
        let name = format!("groups/{}/memberships/{}", group.id, self.member_id(&member.email));
        Ok(Reply::json(200, &json!({"name": name})))
    }

    fn create_membership(&mut self, group: &str) -> Answer {
        let body = self.body()?;
        let found = self.find_group(group)?;
        if found.is_dynamic() {
            return Err(Problem::precondition("Memberships of a dynamic group cannot be changed."));
        }
        let email = text(&body["preferredMemberKey"], "id").to_lowercase();
        self.check_member(&email)?;
        if email == found.email {
            return Err(Problem::invalid("Error(2010): A group cannot be a member of itself."));
        }
        if found.members.get(&email).is_some_and(|member| member.lasts(self.moment.now)) {
            return Err(Problem::exists(format!("Error(4003): Membership of {email} already exists.")));
        }
        let (roles, expires) = self.roles_sent(&body["roles"])?;
        let now = self.moment.now;
        self.group_mut(group)?.add(&email, roles, expires, now);
        let group = self.find_group(group)?;
        let member = group.members.get(&email).ok_or_else(Problem::denied)?;
        Ok(done("Membership", self.membership(group, member, true)))
    }

    fn check_member(&self, email: &str) -> Result<(), Problem> {
        let gcp = self.gcp();
        let missing = || Problem::missing(format!("Error(2003): Resource Not Found: {email}"));
        if !email.contains('@') {
            return Err(Problem::invalid("The member key is no address."));
        }
        if gcp.is_own(email) {
            let user = gcp.users.get(email).is_some_and(|user| user.deleted.is_none());
            return if user || gcp.groups.contains_key(email) { Ok(()) } else { Err(missing()) };
        }
        let of =
            email.split_once('@').and_then(|(_, domain)| domain.strip_suffix(".iam.gserviceaccount.com"));
        match of.and_then(|id| gcp.projects.get(id)) {
            Some(project) if project.service_account(email).is_none() => Err(missing()),
            _ => Ok(()),
        }
    }

    /// Roles as they are sent, and when `MEMBER` ends.
    fn roles_sent(&self, sent: &Json) -> Result<(BTreeSet<String>, Option<Timestamp>), Problem> {
        let (mut roles, mut expires) = (BTreeSet::new(), None);
        for role in sent.as_array().into_iter().flatten() {
            let name = text(role, "name");
            if !["MEMBER", "MANAGER", "OWNER"].contains(&name) {
                return Err(Problem::invalid(format!("The role is not valid: {name:?}")));
            }
            if let Some(end) = role["expiryDetail"]["expireTime"].as_str() {
                if name != "MEMBER" {
                    return Err(Problem::invalid("Only the role MEMBER can expire."));
                }
                expires = Some(self.end(end)?);
            }
            roles.insert(name.to_owned());
        }
        if !roles.contains("MEMBER") {
            return Err(Problem::invalid("Every member has the role MEMBER."));
        }
        // https://cloud.google.com/identity/docs/how-to/manage-expirations (November 2026)
        if expires.is_some() && roles.len() > 1 {
            return Err(Problem::invalid("A membership that expires has no role but MEMBER."));
        }
        Ok((roles, expires))
    }

    fn end(&self, text: &str) -> Result<Timestamp, Problem> {
        let end: Timestamp = text.parse().map_err(|_| Problem::invalid("The expire time is no time."))?;
        if end <= self.moment.now {
            return Err(Problem::invalid("The expire time must be in the future."));
        }
        Ok(end)
    }

    fn modify_roles(&mut self, group: &str, id: &str) -> Answer {
        let body = self.body()?;
        let email = self.editable(group, id)?;
        let member = self.find_member(self.find_group(group)?, id)?;
        let mut new = member.clone();
        let mut kinds = 0;
        for role in body["removeRoles"].as_array().into_iter().flatten() {
            kinds |= 1;
            let name = role.as_str().unwrap_or_default();
            if name == "MEMBER" {
                return Err(Problem::invalid("The role MEMBER cannot be removed: delete the membership."));
            }
            new.roles.remove(name);
        }
        let added = body["addRoles"].as_array().into_iter().flatten();
        for name in added.map(|role| text(role, "name")) {
            kinds |= 1;
            if !["MANAGER", "OWNER"].contains(&name) {
                return Err(Problem::invalid(format!("The role cannot be added: {name:?}")));
            }
            new.roles.insert(name.to_owned());
        }
        for update in body["updateRolesParams"].as_array().into_iter().flatten() {
            kinds |= 2;
            let role = &update["membershipRole"];
            if text(update, "fieldMask") != "expiryDetail.expireTime" || text(role, "name") != "MEMBER" {
                return Err(Problem::invalid("Only expiryDetail.expireTime of MEMBER can be updated."));
            }
            new.expires = match role["expiryDetail"]["expireTime"].as_str() {
                Some(end) => Some(self.end(end)?),
                None => None,
            };
        }
        // Roles are not added or removed in the same request in which one is updated (November 2026):
        // https://cloud.google.com/identity/docs/reference/rest/v1/groups.memberships/modifyMembershipRoles
        if kinds == 0 || kinds == 3 {
            return Err(Problem::invalid("Either roles are added and removed, or updated."));
        }
        if new.expires.is_some() && new.roles.len() > 1 {
            return Err(Problem::invalid("A membership that expires has no role but MEMBER."));
        }
        self.group_mut(group)?.members.insert(email.clone(), new);
        let group = self.find_group(group)?;
        let member = group.members.get(&email).ok_or_else(Problem::denied)?;
        Ok(Reply::json(200, &json!({"membership": self.membership(group, member, true)})))
    }

    pub(super) fn search_groups(&self) -> Answer {
        let query = self.order.query("query").unwrap_or_default();
        let first = query.split("&&").next().unwrap_or_default();
        let asked = first.split_once("==").filter(|(field, _)| field.trim() == "member_key_id");
        let Some((_, email)) = asked else {
            return Err(Problem::invalid("The query is not understood: member_key_id == 'ADDRESS' is."));
        };
        let email = email.trim().trim_matches(['\'', '"']).to_lowercase();
        let groups = self.gcp().groups.iter().filter_map(|(key, group)| {
            let member = group.members.get(&email).filter(|member| member.lasts(self.moment.now))?;
            Some((key, (group, member)))
        });
        self.page("memberships", (200, 1000), groups, |(group, member)| {
            let id = self.member_id(&member.email);
            json!({"group": format!("groups/{}", group.id), "groupKey": {"id": group.email},
                "displayName": group.name, "membership": format!("groups/{}/memberships/{id}", group.id),
                "labels": group.labels, "roles": roles(member)})
        })
    }

    /// A membership as Google shows it.
    fn membership(&self, group: &GcpGroup, member: &GcpMember, full: bool) -> Json {
        let name = format!("groups/{}/memberships/{}", group.id, self.member_id(&member.email));
        let mut json = json!({"name": name, "preferredMemberKey": {"id": member.email}});
        if full {
            json["roles"] = roles(member);
            json["type"] = self.kind(&member.email).into();
            json["createTime"] = stamp(member.created).into();
            json["updateTime"] = stamp(member.created).into();
        } else {
            let names: Vec<BTreeMap<&str, &String>> =
                member.roles.iter().map(|it| [("name", it)].into()).collect();
            json["roles"] = json!(names);
        }
        json
    }
}

fn roles(member: &GcpMember) -> Json {
    let role = |name: &String| match member.expires.filter(|_| name == "MEMBER") {
        Some(end) => json!({"name": name, "expiryDetail": {"expireTime": end.to_string()}}),
        None => json!({"name": name}),
    };
    member.roles.iter().map(role).collect()
}
