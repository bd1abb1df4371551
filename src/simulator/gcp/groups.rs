//! Cloud Identity: groups.
//!
//! Invariant: an address is a person's, a group's or a service account's, never two of them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::keyed;
use super::super::order::Reply;
use super::super::world::GcpGroup;
use super::operations::typed;
use super::{Answer, Context, Problem, put, stamp, text};

impl Context<'_> {
    /// What is below `/v1/groups`.
    pub(super) fn identity(&mut self, method: &str, words: &[&str], verb: &str) -> Answer {
        match (method, words, verb) {
            ("GET", [], "") => self.list_groups(),
            ("POST", [], "") => self.create_group(),
            ("GET", [], "lookup") => self.lookup_group(),
            ("GET", [id], "") => Ok(Reply::json(200, &self.shown_group(self.find_group(id)?, true))),
            ("PATCH", [id], "") => self.update_group(id),
            ("DELETE", [id], "") => self.delete_group(id),
            (_, ["-", "memberships"], "searchDirectGroups") if method == "GET" => self.search_groups(),
            (_, [id, "memberships", rest @ ..], _) => self.memberships(method, id, rest, verb),
            _ => Err(super::unknown()),
        }
    }

    /// A group by id.
    pub(super) fn find_group(&self, id: &str) -> Result<&GcpGroup, Problem> {
        self.gcp().group_by_id(id).ok_or_else(|| hidden(&format!("groups/{id}")))
    }

    pub(super) fn group_mut(&mut self, id: &str) -> Result<&mut GcpGroup, Problem> {
        let email = self.find_group(id)?.email.clone();
        self.gcp_mut().groups.get_mut(&email).ok_or_else(Problem::denied)
    }

    /// Whether the list is to show everything, and the sizes of its pages.
    pub(super) fn view(&self) -> (bool, (usize, usize)) {
        match self.order.query("view").as_deref() {
            Some("FULL") => (true, (50, 500)),
            _ => (false, (200, 1000)),
        }
    }

    fn list_groups(&self) -> Answer {
        self.check_customer(&self.order.query("parent").unwrap_or_default())?;
        let (full, sizes) = self.view();
        self.page("groups", sizes, self.gcp().groups.iter(), |group| self.shown_group(group, full))
    }

    fn check_customer(&self, parent: &str) -> Result<(), Problem> {
        if parent.strip_prefix("customers/") == Some(&self.gcp().customer) {
            return Ok(());
        }
        Err(Problem::denied())
    }

    fn lookup_group(&self) -> Answer {
        let email = self.order.query("groupKey.id").unwrap_or_default().to_lowercase();
        let group = self.gcp().groups.get(&email).ok_or_else(|| hidden(&email))?;
        Ok(Reply::json(200, &json!({"name": format!("groups/{}", group.id)})))
    }

    /// Whether anybody has an address.
    fn is_taken(&self, email: &str) -> bool {
        let gcp = self.gcp();
        let user = gcp.users.get(email).is_some_and(|user| user.deleted.is_none());
        user || gcp.groups.contains_key(email)
    }

    fn create_group(&mut self) -> Answer {
        let body = self.body()?;
        self.check_customer(text(&body, "parent"))?;
        let email = text(&body["groupKey"], "id").to_lowercase();
        if !self.gcp().is_own(&email) {
            return Err(Problem::invalid(
                "Error(2025): The group key is not an address of the customer's domain.",
            ));
        }
        if self.is_taken(&email) {
            return Err(Problem::exists("Error(409): Requested entity already exists"));
        }
        let labels = labels(&body["labels"]);
        if labels.is_empty() {
            return Err(Problem::invalid(
                "Error(2001): Groups must have a label that says what they are for.",
            ));
        }
        let owner = match self.order.query("initialGroupConfig").as_deref() {
            Some("WITH_INITIAL_OWNER") => true,
            None | Some("EMPTY" | "INITIAL_GROUP_CONFIG_UNSPECIFIED") => false,
            Some(_) => return Err(Problem::invalid("The initial group config is not valid.")),
        };
        let mut group = GcpGroup {
            id: format!("0{}", keyed::token(&["google group", &email, &self.moment.n.to_string()], 14)),
            name: text(&body, "displayName").to_owned(),
            description: text(&body, "description").to_owned(),
            labels,
            created: Some(self.moment.now),
            email: email.clone(),
            ..GcpGroup::default()
        };
        if owner && let Some((_, caller)) = self.gcp().caller.split_once(':') {
            let roles = ["MEMBER", "OWNER"].map(str::to_owned).into();
            group.add(caller, roles, None, self.moment.now);
        }
        self.gcp_mut().add_group(group);
        let group = self.gcp().groups.get(&email).ok_or_else(Problem::denied)?;
        Ok(done("Group", self.shown_group(group, true)))
    }

    fn update_group(&mut self, id: &str) -> Answer {
        let body = self.body()?;
        let mask = self.mask(&body);
        let group = self.group_mut(id)?;
        let mut new = group.clone();
        for field in &mask {
            match field.as_str() {
                "displayName" => text(&body, "displayName").clone_into(&mut new.name),
                "description" => text(&body, "description").clone_into(&mut new.description),
                "labels" => new.labels = labels(&body["labels"]),
                _ => return Err(Problem::invalid(format!("The field {field} cannot be updated."))),
            }
        }
        if mask.is_empty() || new.labels.is_empty() {
            return Err(Problem::invalid("The update mask is empty, or a group would have no label."));
        }
        *group = new;
        Ok(done("Group", self.shown_group(self.find_group(id)?, true)))
    }

    fn delete_group(&mut self, id: &str) -> Answer {
        let email = self.find_group(id)?.email.clone();
        let gcp = self.gcp_mut();
        gcp.groups.remove(&email);
        gcp.group_ids.remove(id);
        gcp.groups.values_mut().for_each(|group| _ = group.members.remove(&email));
        gcp.rename_member(&format!("group:{email}"), &format!("deleted:group:{email}?uid={id}"));
        Ok(Reply::json(200, &json!({"done": true, "response": typed(json!({}), "google.protobuf.Empty")})))
    }

    /// A group as Google shows it.
    fn shown_group(&self, group: &GcpGroup, full: bool) -> Json {
        let mut json = json!({"name": format!("groups/{}", group.id), "groupKey": {"id": group.email},
            "displayName": group.name});
        if full {
            json["parent"] = format!("customers/{}", self.gcp().customer).into();
            json["labels"] = json!(group.labels);
            json["createTime"] = stamp(group.created).into();
            json["updateTime"] = stamp(group.created).into();
            put(&mut json, "description", &group.description);
        }
        json
    }
}

/// An operation of Cloud Identity: done at once, and without a name.
pub(super) fn done(what: &str, json: Json) -> Reply {
    let name = format!("google.apps.cloudidentity.groups.v1.{what}");
    Reply::json(200, &json!({"done": true, "response": typed(json, &name)}))
}

/// For what is not there, Cloud Identity says 403, as people meet it:
/// <https://github.com/terraform-google-modules/terraform-example-foundation/issues/1206>.
fn hidden(name: &str) -> Problem {
    let message = format!("Error(2028): Permission denied for resource {name} (or it may not exist).");
    let mut problem = Problem::new(403, "PERMISSION_DENIED", "forbidden", message.clone());
    problem.details =
        vec![json!({"@type": "type.googleapis.com/google.rpc.ResourceInfo", "description": message,
        "owner": "domain:cloudidentity.googleapis.com", "resourceName": name,
        "resourceType": "cloudidentity.googleapis.com/Group"})];
    problem
}

fn labels(sent: &Json) -> BTreeMap<String, String> {
    let sent = sent.as_object().into_iter().flatten();
    sent.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
