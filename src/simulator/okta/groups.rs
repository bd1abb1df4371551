//! Groups and their members.
//!
//! Invariant: a group's members are those put in by hand and those that active rules put in; only the former are removed
//! by hand. It must not edit groups that Okta or an app masters.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::super::keyed;
use super::super::order::Reply;
use super::super::world::{GroupType, Okta, OktaGroup, OktaUser, RuleStatus, UserStatus, group_id};
use super::filter::Filter;
use super::{Answer, Context, Object, Problem, stamp};

/// The built-in group that everybody is in who has not left.
const EVERYONE: &str = "Everyone";

impl Context<'_> {
    pub(super) fn list_groups(&self) -> Answer {
        let (size, after) = self.window(10_000, 10_000)?;
        let filters = self.filters()?;
        let q = self.order.query("q").map(|q| q.to_lowercase());
        let start = after.as_deref().map_or(Unbounded, Excluded);
        let items = self.okta().groups.range::<str, _>((start, Unbounded)).filter_map(|(id, group)| {
            if q.as_ref().is_some_and(|q| !group.name.to_lowercase().starts_with(q)) {
                return None;
            }
            let shown = self.group(group);
            let passes = filters.is_empty() || {
                let json = json!(shown);
                filters.iter().all(|filter| filter.matches(&json))
            };
            passes.then_some((id.as_str(), shown))
        });
        Ok(self.page(size, items))
    }

    /// The filters that the query asks for.
    pub(super) fn filters(&self) -> Result<Vec<Filter>, Problem> {
        ["search", "filter"]
            .into_iter()
            .filter_map(|name| self.order.query(name))
            .map(|text| Filter::parse(&text))
            .collect()
    }

    pub(super) fn create_group(&mut self) -> Answer {
        let (name, description) = self.profile(None)?;
        let now = Some(self.moment.now);
        let id = format!("00g{}", keyed::token(&["group", &name, &self.moment.n.to_string()], 17));
        let group = OktaGroup {
            name,
            description,
            id: id.clone(),
            created: now,
            last_updated: now,
            last_membership_updated: now,
            ..OktaGroup::default()
        };
        self.okta_mut().add_group(group);
        self.read_group(&id)
    }

    pub(super) fn read_group(&self, id: &str) -> Answer {
        Ok(Reply::json(200, &self.group(self.find(id)?)))
    }

    pub(super) fn update_group(&mut self, id: &str) -> Answer {
        editable(self.find(id)?)?;
        let (name, description) = self.profile(Some(id))?;
        let old = self.find(id)?.name.clone();
        for rule in self.okta_mut().rules.values_mut() {
            if rule.groups.remove(&old) {
                rule.groups.insert(name.clone());
            }
        }
        let now = self.moment.now;
        if let Some(group) = self.okta_mut().groups.get_mut(id) {
            group.name = name;
            group.description = description;
            group.last_updated = Some(now);
        }
        self.read_group(id)
    }

    pub(super) fn delete_group(&mut self, id: &str) -> Answer {
        editable(self.find(id)?)?;
        if let Some(group) = self.okta_mut().groups.remove(id) {
            for rule in self.okta_mut().rules.values_mut() {
                if rule.groups.remove(&group.name) {
                    rule.status = RuleStatus::Invalid;
                }
            }
        }
        Ok(Reply::nothing())
    }

    pub(super) fn list_members(&self, id: &str) -> Answer {
        let group = self.find(id)?;
        let (size, after) = self.window(1000, 10_000)?;
        let members = members(self.okta(), group, after.as_deref(), size + 1);
        let users = members.into_iter().filter_map(|login| self.okta().users.get(login));
        Ok(self.page(size, users.map(|user| (user.login.as_str(), self.user(user)))))
    }

    pub(super) fn add_member(&mut self, id: &str, user: &str) -> Answer {
        let group = self.find(id)?;
        editable(group)?;
        let user = self.find_user(user)?;
        if user.status == UserStatus::Deprovisioned {
            let summary = "This operation is not allowed in the user's current status.";
            return Err(Problem::new(403, "E0000038", summary));
        }
        let login = user.login.clone();
        if !has_member(self.okta(), group, user) {
            self.change_members(id, |members| {
                members.insert(login);
            });
        }
        Ok(Reply::nothing())
    }

    pub(super) fn remove_member(&mut self, id: &str, user: &str) -> Answer {
        let group = self.find(id)?;
        editable(group)?;
        let user = self.find_user(user)?;
        let rule = rules_of(self.okta(), group).find(|rule| rule.members.contains(&user.login));
        if let Some(rule) = rule.filter(|_| user.status != UserStatus::Deprovisioned) {
            let cause =
                format!("The user is a member of the group because of the group rule '{}'", rule.name);
            return Err(Problem::denied().because(cause));
        }
        let login = user.login.clone();
        if group.members.contains(&login) {
            self.change_members(id, |members| {
                members.remove(&login);
            });
        }
        Ok(Reply::nothing())
    }

    fn change_members(&mut self, id: &str, change: impl FnOnce(&mut BTreeSet<String>)) {
        let now = self.moment.now;
        if let Some(group) = self.okta_mut().groups.get_mut(id) {
            change(&mut group.members);
            group.last_membership_updated = Some(now);
        }
    }

    pub(super) fn list_groups_of(&self, id: &str) -> Answer {
        let user = self.find_user(id)?;
        let (size, after) = self.window(200, 200)?;
        let okta = self.okta();
        // Nobody at work is in no group: a world whose file has no `Everyone` still shows its people to be in it.
        let everyone = okta.groups.values().all(|group| !is_everyone(group)).then(|| OktaGroup {
            name: EVERYONE.to_owned(),
            id: group_id(EVERYONE, GroupType::BuiltIn),
            kind: GroupType::BuiltIn,
            ..OktaGroup::default()
        });
        let start = after.as_deref().map_or(Unbounded, Excluded);
        let mut groups: BTreeMap<&str, &OktaGroup> = okta
            .groups
            .range::<str, _>((start, Unbounded))
            .filter(|(_, group)| has_member(okta, group, user))
            .map(|(id, group)| (id.as_str(), group))
            .take(size + 1)
            .collect();
        if let Some(group) = everyone.as_ref().filter(|group| has_member(okta, group, user))
            && after.as_ref().is_none_or(|after| *after < group.id)
        {
            groups.insert(&group.id, group);
        }
        Ok(self.page(size, groups.into_iter().map(|(id, group)| (id, self.group(group)))))
    }

    fn find(&self, id: &str) -> Result<&OktaGroup, Problem> {
        self.okta().groups.get(id).ok_or_else(|| Problem::missing(id, "UserGroup"))
    }

    /// Name and description that the body asks for; `own` is the group that has them.
    fn profile(&self, own: Option<&str>) -> Result<(String, Option<String>), Problem> {
        let body = self.body()?;
        let profile = &body["profile"];
        let name = profile["name"].as_str().map(str::trim).unwrap_or_default();
        if name.is_empty() {
            return Err(Problem::invalid("name", "name: The field cannot be left blank"));
        }
        if name.chars().count() > 255 {
            return Err(Problem::invalid("name", "name: The field is too long"));
        }
        let known = ["name", "description"];
        if let Some(key) =
            profile.as_object().and_then(|it| it.keys().find(|key| !known.contains(&key.as_str())))
        {
            let cause = format!("{key}: Property name is not defined in the group profile schema");
            return Err(Problem::invalid("profile", cause));
        }
        let taken = |group: &OktaGroup| {
            group.kind == GroupType::OktaGroup && group.name == name && Some(group.id.as_str()) != own
        };
        if self.okta().groups.values().any(taken) {
            let cause = "name: An object with this field already exists in the current organization";
            return Err(Problem::invalid("name", cause));
        }
        let description = profile["description"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Ok((name.to_owned(), description))
    }

    /// A group as Okta shows it.
    fn group<'a>(&'a self, group: &'a OktaGroup) -> Shown<'a> {
        Shown { group, base: &self.moment.base }
    }
}

/// A group as Okta shows it. Without `logo`: Okta's current description has a list of them, the older one on npm an
/// object.
struct Shown<'a> {
    group: &'a OktaGroup,
    base: &'a str,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { group, base } = self;
        let kind = match group.kind {
            GroupType::OktaGroup => "OKTA_GROUP",
            GroupType::BuiltIn => "BUILT_IN",
            GroupType::AppGroup => "APP_GROUP",
        };
        let link = |rest: &str| Object([("href", format!("{base}/api/v1/groups/{}/{rest}", group.id))]);
        let named = [("name", Some(group.name.as_str())), ("description", group.description.as_deref())];
        let profile: BTreeMap<&str, &str> =
            named.into_iter().filter_map(|(key, text)| Some((key, text?))).collect();
        let created = group.created;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &group.id)?;
        map.serialize_entry("created", &stamp(created))?;
        map.serialize_entry("lastUpdated", &stamp(group.last_updated.or(created)))?;
        let members = stamp(group.last_membership_updated.or(created));
        map.serialize_entry("lastMembershipUpdated", &members)?;
        map.serialize_entry("objectClass", &["okta:user_group"])?;
        map.serialize_entry("type", kind)?;
        map.serialize_entry("profile", &profile)?;
        map.serialize_entry("_links", &Object([("users", link("users")), ("apps", link("apps"))]))?;
        map.end()
    }
}

/// Refuses what the API cannot edit.
fn editable(group: &OktaGroup) -> Result<(), Problem> {
    match group.kind {
        GroupType::OktaGroup => Ok(()),
        GroupType::BuiltIn => Err(Problem::denied().because("Built-in groups are managed by Okta")),
        GroupType::AppGroup => {
            Err(Problem::denied().because("The group is managed by the app that it comes from"))
        }
    }
}

fn rules_of<'a>(
    okta: &'a Okta,
    group: &'a OktaGroup,
) -> impl Iterator<Item = &'a super::super::world::OktaRule> + 'a {
    let works = |rule: &&super::super::world::OktaRule| rule.status == RuleStatus::Active;
    okta.rules.values().filter(works).filter(|rule| rule.groups.contains(&group.name))
}

fn is_everyone(group: &OktaGroup) -> bool {
    group.kind == GroupType::BuiltIn && group.name == EVERYONE
}

fn has_member(okta: &Okta, group: &OktaGroup, user: &OktaUser) -> bool {
    let there = user.status != UserStatus::Deprovisioned;
    if is_everyone(group) {
        return there;
    }
    group.members.contains(&user.login)
        || (there && rules_of(okta, group).any(|rule| rule.members.contains(&user.login)))
}

/// The first `most` logins of members after `after`.
fn members<'a>(okta: &'a Okta, group: &'a OktaGroup, after: Option<&str>, most: usize) -> Vec<&'a str> {
    let start = || (after.map_or(Unbounded, Excluded), Unbounded);
    let there =
        |login: &&str| okta.users.get(*login).is_some_and(|user| user.status != UserStatus::Deprovisioned);
    if is_everyone(group) {
        return okta
            .users
            .range::<str, _>(start())
            .map(|(login, _)| login.as_str())
            .filter(there)
            .take(most)
            .collect();
    }
    let by_hand = group.members.range::<str, _>(start()).map(String::as_str).take(most);
    let mut logins: BTreeSet<&str> = by_hand.collect();
    for rule in rules_of(okta, group) {
        logins.extend(rule.members.range::<str, _>(start()).map(String::as_str).filter(there).take(most));
    }
    logins.into_iter().take(most).collect()
}
