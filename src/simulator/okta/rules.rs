//! Group rules: what puts people into groups by itself.
//!
//! Invariant: an expression is shown, never evaluated: whom a rule puts in stands in the world.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use serde_json::{Value as Json, json};

use super::super::keyed;
use super::super::order::Reply;
use super::super::world::{OktaRule, RuleStatus};
use super::{Answer, Context, Problem, stamp};

impl Context<'_> {
    pub(super) fn list_rules(&self) -> Answer {
        let (size, after) = self.window(50, 200)?;
        let start = after.as_deref().map_or(Unbounded, Excluded);
        let rules = self.okta().rules.range::<str, _>((start, Unbounded));
        Ok(self.page(size, rules.map(|(id, rule)| (id.as_str(), self.rule(rule)))))
    }

    pub(super) fn create_rule(&mut self) -> Answer {
        let (name, expression, groups) = self.rule_body(None)?;
        let id = format!("0pr{}", keyed::token(&["rule", &name, &self.moment.n.to_string()], 17));
        let status = RuleStatus::Inactive;
        let rule = OktaRule { name, id: id.clone(), status, groups, expression, ..OktaRule::default() };
        self.okta_mut().rules.insert(id.clone(), rule);
        self.read_rule(&id)
    }

    pub(super) fn read_rule(&self, id: &str) -> Answer {
        Ok(Reply::json(200, &self.rule(self.find_rule(id)?)))
    }

    pub(super) fn update_rule(&mut self, id: &str) -> Answer {
        if self.find_rule(id)?.status == RuleStatus::Active {
            return Err(Problem::invalid("status", "Only inactive or invalid rules can be updated"));
        }
        let (name, expression, groups) = self.rule_body(Some(id))?;
        if let Some(rule) = self.okta_mut().rules.get_mut(id) {
            if expression != rule.expression {
                rule.members.clear();
            }
            (rule.name, rule.expression, rule.groups) = (name, expression, groups);
        }
        self.read_rule(id)
    }

    pub(super) fn delete_rule(&mut self, id: &str) -> Answer {
        let rule = self.find_rule(id)?.clone();
        if rule.status == RuleStatus::Active {
            return Err(Problem::invalid(
                "status",
                "Active rules must be deactivated before they are deleted",
            ));
        }
        self.okta_mut().rules.remove(id);
        Ok(Reply { status: 202, ..Reply::nothing() })
    }

    pub(super) fn turn_rule(&mut self, id: &str, step: &str) -> Answer {
        self.find_rule(id)?;
        let status = match step {
            "activate" => RuleStatus::Active,
            "deactivate" => RuleStatus::Inactive,
            _ => return Err(Problem::new(404, "E0000008", "The requested path was not found")),
        };
        if let Some(rule) = self.okta_mut().rules.get_mut(id) {
            rule.status = status;
        }
        Ok(Reply::nothing())
    }

    fn find_rule(&self, id: &str) -> Result<&OktaRule, Problem> {
        self.okta().rules.get(id).ok_or_else(|| Problem::missing(id, "GroupRule"))
    }

    fn rule_body(&self, own: Option<&str>) -> Result<(String, Option<String>, BTreeSet<String>), Problem> {
        let body = self.body()?;
        let name = body["name"].as_str().unwrap_or_default();
        if name.is_empty() || name.chars().count() > 50 {
            return Err(Problem::invalid("name", "name: must be between 1 and 50 characters"));
        }
        if self.okta().rules.values().any(|rule| rule.name == name && Some(rule.id.as_str()) != own) {
            return Err(Problem::invalid("name", "name: An object with this field already exists"));
        }
        let ids = body["actions"]["assignUserToGroups"]["groupIds"].as_array().cloned().unwrap_or_default();
        let mut groups = BTreeSet::new();
        for id in ids.iter().filter_map(Json::as_str) {
            let group = self.okta().groups.get(id).ok_or_else(|| Problem::missing(id, "UserGroup"))?;
            groups.insert(group.name.clone());
        }
        if groups.is_empty() {
            return Err(Problem::invalid("actions", "groupIds: The field cannot be left blank"));
        }
        let expression = body["conditions"]["expression"]["value"].as_str().map(str::to_owned);
        Ok((name.to_owned(), expression, groups))
    }

    fn rule(&self, rule: &OktaRule) -> Json {
        let logins = || rule.members.iter().map(|login| format!("user.login==\"{login}\""));
        let expression = rule.expression.clone().unwrap_or_else(|| logins().collect::<Vec<_>>().join(" OR "));
        let groups = self.okta().groups.values().filter(|group| rule.groups.contains(&group.name));
        let ids: Vec<&String> = groups.map(|group| &group.id).collect();
        let excepted = rule.except.iter().filter_map(|login| Some(&self.okta().users.get(login)?.id));
        let excepted: Vec<&String> = excepted.collect();
        let status = match rule.status {
            RuleStatus::Active => "ACTIVE",
            RuleStatus::Inactive => "INACTIVE",
            RuleStatus::Invalid => "INVALID",
        };
        json!({
            "type": "group_rule", "id": rule.id, "status": status, "name": rule.name,
            "created": stamp(None), "lastUpdated": stamp(None),
            "conditions": {
                "people": {"users": {"exclude": excepted}, "groups": {"exclude": []}},
                "expression": {"value": expression, "type": "urn:okta:expression:1.0"}
            },
            "actions": {"assignUserToGroups": {"groupIds": ids}}
        })
    }
}
