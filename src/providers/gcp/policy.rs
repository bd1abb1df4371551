//! A policy: who is bound to which roles on one resource, as Google keeps it, and how it is changed.
//!
//! Invariant: whatever an edit is not about stays as it was read, byte for byte: bindings of others and their order,
//! conditions, audit configs, and fields that nobody here knows. An edit that is true already changes nothing.
//! It must not call anyone.

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::{condition, names};
use crate::model::grant::EXPIRES;
use crate::model::{Address, Attributes, GrantKey, LiveGrant, Name};

/// The version that conditions need.
const VERSION: u8 = 3;
/// What Google itself put there.
const AGENT: &str = "a service agent of Google's";
/// Whoever is gone; Google drops such members by itself after some time.
const DELETED: &str = "somebody who was deleted";

/// A policy as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Policy(Map<String, Json>);

/// What to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// Somebody is to be bound, until then.
    Bind(GrantKey, Option<Timestamp>),
    /// Somebody is not to be bound.
    Unbind(GrantKey),
}

impl Edit {
    fn key(&self) -> &GrantKey {
        match self {
            Self::Bind(key, _) | Self::Unbind(key) => key,
        }
    }
}

impl Policy {
    /// A policy from what was answered; a resource that has none answers with an empty object.
    pub(super) fn of(answer: Json) -> Option<Self> {
        match answer {
            Json::Object(map) => Some(Self(map)),
            _ => None,
        }
    }

    fn bindings(&self) -> &[Json] {
        self.0.get("bindings").and_then(Json::as_array).map_or(&[], Vec::as_slice)
    }

    /// The edges that it makes. `is_ours` tells the organization's own projects.
    pub(super) fn edges(
        &self,
        instance: &str,
        resource: &Address,
        is_ours: &dyn Fn(&str) -> bool,
    ) -> Vec<LiveGrant> {
        let mut edges: Vec<LiveGrant> = Vec::new();
        for binding in self.bindings() {
            let Some(role) = binding.get("role").and_then(Json::as_str) else { continue };
            let relation: Name = names::relation(instance, role).into();
            let (condition, end) = condition::read(binding.get("condition"));
            for member in members(binding) {
                let key = GrantKey {
                    resource: resource.clone(),
                    relation: relation.clone(),
                    principal: names::principal(instance, member),
                    condition: condition.clone(),
                };
                let attributes = end.map(|end| (EXPIRES.into(), end.to_string().into()));
                let edge = LiveGrant {
                    key,
                    attributes: attributes.into_iter().collect(),
                    via: via(member, is_ours),
                };
                // Who is bound twice, until two times, is so until the later one.
                match edges.iter_mut().find(|known| known.key == edge.key) {
                    Some(known) => known.attributes = later(&known.attributes, &edge.attributes),
                    None => edges.push(edge),
                }
            }
        }
        edges
    }

    /// Makes edits; whether that changed anything.
    pub(super) fn edit<'e>(&mut self, organization: &str, edits: impl IntoIterator<Item = &'e Edit>) -> bool {
        let before = self.0.get("bindings").cloned();
        let Json::Array(mut bindings) = self.0.remove("bindings").unwrap_or_else(|| json!([])) else {
            return false;
        };
        for edit in edits {
            let key = edit.key();
            let Some(member) = names::member(&key.principal) else { continue };
            let role = names::role(organization, &key.relation);
            let is_role = |binding: &Json| binding.get("role").and_then(Json::as_str) == Some(role.as_str());
            match edit {
                Edit::Unbind(_) => {
                    let ours = |binding: &Json| {
                        is_role(binding) && condition::read(binding.get("condition")).0 == key.condition
                    };
                    for binding in bindings.iter_mut().filter(|binding| ours(binding)) {
                        leave(binding, &member);
                    }
                }
                Edit::Bind(_, end) => {
                    let wanted = (key.condition.clone(), *end);
                    // Another end of the same edge goes.
                    for binding in bindings.iter_mut().filter(|binding| is_role(binding)) {
                        let found = condition::read(binding.get("condition"));
                        if found.0 == wanted.0 && found != wanted {
                            leave(binding, &member);
                        }
                    }
                    let fits = |binding: &Json| {
                        is_role(binding) && condition::read(binding.get("condition")) == wanted
                    };
                    let mut fitting = bindings.iter_mut().filter(|binding| fits(binding)).peekable();
                    if fitting.peek().is_none() {
                        drop(fitting);
                        bindings.push(new_binding(
                            &role,
                            &member,
                            condition::write(key.condition.as_ref(), *end),
                        ));
                    } else {
                        let mut fitting: Vec<&mut Json> = fitting.collect();
                        let is_in =
                            fitting.iter().any(|binding| members(binding).any(|it| same(it, &member)));
                        if let Some(first) = fitting.first_mut().filter(|_| !is_in) {
                            join(first, &member);
                        }
                    }
                }
            }
        }
        // A binding that lost its last member goes; one that had none before is somebody else's.
        let old = before.as_ref().and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
        bindings.retain(|binding| members(binding).next().is_some() || old.contains(binding));
        let changed = bindings.as_slice() != old;
        if changed || before.is_some() {
            self.0.insert("bindings".to_owned(), Json::Array(bindings));
        }
        changed
    }

    /// The policy as it is sent. Google takes conditions only of this version, and what it read with it.
    pub(super) fn body(&self) -> Json {
        let mut policy = self.0.clone();
        policy.insert("version".to_owned(), VERSION.into());
        json!({ "policy": policy })
    }
}

fn members(binding: &Json) -> impl Iterator<Item = &str> {
    binding.get("members").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// Google does not tell e-mail addresses apart by case.
fn same(one: &str, two: &str) -> bool {
    one.eq_ignore_ascii_case(two)
}

fn leave(binding: &mut Json, member: &str) {
    if let Some(members) = binding.get_mut("members").and_then(Json::as_array_mut) {
        members.retain(|one| !one.as_str().is_some_and(|one| same(one, member)));
    }
}

fn join(binding: &mut Json, member: &str) {
    if let Some(members) = binding.get_mut("members").and_then(Json::as_array_mut) {
        members.push(member.into());
    }
}

fn new_binding(role: &str, member: &str, condition: Option<Json>) -> Json {
    let mut binding = json!({ "role": role, "members": [member] });
    if let Some(condition) = condition {
        binding["condition"] = condition;
    }
    binding
}

/// Why nobody may take a member away. What is in a project of ours is no agent, whatever it is called.
fn via(member: &str, is_ours: &dyn Fn(&str) -> bool) -> Option<String> {
    if member.starts_with("deleted:") {
        return Some(DELETED.to_owned());
    }
    let email = member.strip_prefix("serviceAccount:")?;
    let own = names::parts_of(email).is_some_and(|(_, project)| is_ours(&project));
    (names::is_agent(email) && !own).then(|| AGENT.to_owned())
}

/// The attributes of which the end is later; without an end is latest.
fn later(one: &Attributes, two: &Attributes) -> Attributes {
    let end = |attributes: &Attributes| -> Option<Timestamp> {
        attributes.get(EXPIRES).and_then(|end| end.as_text()?.parse().ok())
    };
    match (end(one), end(two)) {
        (Some(first), Some(second)) if second > first => two.clone(),
        (Some(_), None) => two.clone(),
        _ => one.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ON: &str = "gcp:project/prod";

    fn key(member: &str, role: &str, condition: Option<Name>) -> GrantKey {
        let principal = names::principal("gcp", member);
        let relation = names::relation("gcp", role);
        GrantKey { condition, ..GrantKey::new(&principal, &relation, &ON.parse().unwrap()) }
    }

    fn policy() -> Policy {
        let policy = json!({
            "version": 3, "etag": "BwX=", "auditConfigs": [{ "service": "allServices", "auditLogConfigs": [{ "logType": "DATA_READ" }] }],
            "rules": { "unheard": ["of"] },
            "bindings": [
                { "role": "roles/viewer", "members": ["user:a@acme.com", "group:g@acme.com", "serviceAccount:service-7@gcp-sa-x.iam.gserviceaccount.com"] },
                { "role": "roles/viewer", "members": ["user:B@acme.com"], "condition": { "title": "office", "expression": "x" } },
                { "role": "roles/empty", "members": [] },
                { "role": "roles/owner", "members": ["deleted:user:z@acme.com?uid=9"] },
            ],
        });
        Policy::of(policy).unwrap()
    }

    #[test]
    fn an_edit_leaves_all_else_byte_for_byte() {
        let before = policy();
        let mut after = policy();
        let office = condition::canonical("office", None, "x");
        let edits = [
            Edit::Bind(key("user:new@acme.com", "roles/viewer", None), None),
            Edit::Unbind(key("user:a@acme.com", "roles/viewer", None)),
            Edit::Unbind(key("user:b@acme.com", "roles/viewer", Some(office))),
        ];
        assert!(after.edit("1", &edits));
        let agents = json!([
            "group:g@acme.com",
            "serviceAccount:service-7@gcp-sa-x.iam.gserviceaccount.com",
            "user:new@acme.com"
        ]);
        assert_eq!(after.0["bindings"][0]["members"], agents);
        // The binding with a condition lost its only member; the others are untouched, an empty one too.
        assert_eq!(after.0["bindings"].as_array().unwrap().len(), 3);
        assert_eq!(after.0["bindings"][1], before.0["bindings"][2]);
        assert_eq!(after.0["bindings"][2], before.0["bindings"][3]);
        for field in ["etag", "auditConfigs", "rules", "version"] {
            assert_eq!(after.0[field], before.0[field], "{field}");
        }
        let again = after.clone();
        assert!(!after.edit("1", &edits));
        assert_eq!(after, again);
    }

    #[test]
    fn an_end_moves_with_its_edge() {
        let mut policy = policy();
        let of = |end: &str| Some(end.parse::<Timestamp>().unwrap());
        let edge = key("user:a@acme.com", "roles/viewer", None);
        assert!(policy.edit("1", &[Edit::Bind(edge.clone(), of("2026-11-23T11:00:00Z"))]));
        let found = |policy: &Policy| {
            let edges = policy.edges("gcp", &ON.parse().unwrap(), &|_| false);
            let edge = edges.into_iter().find(|known| known.key == edge).unwrap();
            edge.attributes.get(EXPIRES).and_then(|end| end.as_text().map(str::to_owned))
        };
        assert_eq!(found(&policy).as_deref(), Some("2026-11-23T11:00:00Z"));
        assert!(policy.edit("1", &[Edit::Bind(edge.clone(), of("2026-12-01T00:00:00Z"))]));
        assert_eq!(found(&policy).as_deref(), Some("2026-12-01T00:00:00Z"));
        assert!(policy.edit("1", &[Edit::Bind(edge.clone(), None)]));
        assert_eq!(found(&policy), None);
        assert!(policy.edit("1", &[Edit::Unbind(edge.clone())]));
        assert!(policy.edges("gcp", &ON.parse().unwrap(), &|_| false).iter().all(|known| known.key != edge));
    }

    #[test]
    fn agents_and_the_deleted_are_nobodys_to_take() {
        let edges = policy().edges("gcp", &ON.parse().unwrap(), &|_| false);
        let via: Vec<bool> = edges.iter().map(|edge| edge.via.is_some()).collect();
        assert_eq!(via, [false, false, true, false, true]);
    }

    proptest! {
        /// Two editors whose edits reach one policy in any order end in the same edges, and neither loses any.
        #[test]
        fn edits_of_different_edges_commute(
            edits in proptest::collection::vec((0_usize..4, 0_usize..3, any::<bool>(), any::<bool>()), 1..12),
            cut in 0_usize..12,
        ) {
            let mut seen = std::collections::BTreeMap::new();
            for (who, what, bind, office) in edits {
                let condition = office.then(|| condition::canonical("office", None, "x"));
                let member = ["user:a@acme.com", "user:c@acme.com", "group:g@acme.com", "serviceAccount:ci@p.iam.gserviceaccount.com"][who];
                let key = key(member, ["roles/viewer", "roles/x", "organizations/1/roles/own"][what], condition);
                let edit = if bind { Edit::Bind(key.clone(), None) } else { Edit::Unbind(key.clone()) };
                seen.insert(key, edit);
            }
            let edits: Vec<Edit> = seen.into_values().collect();
            let (one, two) = edits.split_at(cut.min(edits.len()));
            let edges = |policy: &Policy| {
                let mut edges = policy.edges("gcp", &ON.parse().unwrap(), &|_| false);
                edges.sort();
                edges
            };
            let (mut first, mut second) = (policy(), policy());
            first.edit("1", one);
            first.edit("1", two);
            second.edit("1", two);
            second.edit("1", one);
            prop_assert_eq!(edges(&first), edges(&second));
        }
    }
}
