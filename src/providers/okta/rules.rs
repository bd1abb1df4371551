//! Group rules: which memberships Okta makes by itself.
//!
//! Okta's public API does not tell which members a rule put in and which were added by hand (only its console can), and
//! it lets anyone remove a member that a rule put in: the rule then gets him on its list of exceptions, for good.
//! Invariant: so of a group that an active rule fills, each member may be the rule's and is left alone, but for those
//! that the rule excepts and those who have been deactivated, whom no rule concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::client::Okta;
use super::user::User;
use crate::provider::paging::{Listing, list};

/// A rule as Okta writes it, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Rule {
    name: String,
    status: String,
    #[serde(default)]
    conditions: Conditions,
    #[serde(default)]
    actions: Actions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    people: People,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct People {
    users: Excepted,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Excepted {
    exclude: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Actions {
    assign_user_to_groups: Assigned,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Assigned {
    group_ids: Vec<String>,
}

/// The active rules, by the id of the group that they fill.
#[derive(Debug, Default)]
pub(super) struct Rules {
    by_group: BTreeMap<String, Vec<ActiveRule>>,
    /// Why these are not all.
    pub(super) incomplete: Option<String>,
}

#[derive(Debug, Clone)]
struct ActiveRule {
    name: String,
    excepted: BTreeSet<String>,
}

impl Rules {
    pub(super) async fn read(okta: &Okta) -> Arc<Self> {
        let Listing { items, cut_short } = list::<Rule>(&okta.api, "/api/v1/groups/rules?limit=200").await;
        let mut by_group: BTreeMap<String, Vec<ActiveRule>> = BTreeMap::new();
        for rule in items.into_iter().filter(|rule| rule.status == "ACTIVE") {
            let excepted = rule.conditions.people.users.exclude.into_iter().collect();
            let active = ActiveRule { name: rule.name, excepted };
            for group in rule.actions.assign_user_to_groups.group_ids {
                by_group.entry(group).or_default().push(active.clone());
            }
        }
        let incomplete = cut_short.map(|error| format!("the group rules could not be read: {error}"));
        let rules = Arc::new(Self { by_group, incomplete });
        if rules.incomplete.is_none() {
            *okta.rules.lock().await = Some(rules.clone());
        }
        rules
    }

    /// The rules as they were last read, read now only if nobody has yet: they cost a call, and hardly ever change.
    pub(super) async fn known(okta: &Okta) -> Arc<Self> {
        let known = okta.rules.lock().await.clone();
        match known {
            Some(rules) => rules,
            None => Self::read(okta).await,
        }
    }

    /// Whether any rule fills a group.
    pub(super) fn fill(&self, group: &str) -> bool {
        self.by_group.contains_key(group)
    }

    /// The rules that may have put a member into a group, in words.
    pub(super) fn via(&self, group: &str, member: &User) -> Option<String> {
        if member.has_left() {
            return None;
        }
        let rules = self.by_group.get(group)?.iter().filter(|rule| !rule.excepted.contains(&member.id));
        let names: Vec<&str> = rules.map(|rule| rule.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("group rule {}", names.join(", ")))
    }

    /// The rules that stop working when a group is deleted.
    pub(super) fn filling(&self, group: &str) -> Vec<String> {
        let rules = self.by_group.get(group).into_iter().flatten();
        rules.map(|rule| format!("group rule {} puts members into it", rule.name)).collect()
    }
}
