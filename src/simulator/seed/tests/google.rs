//! What was observed of Google Cloud is in the world that is made of it.

use serde_json::json;

use super::*;
use crate::model::GrantKey;

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn resource(id: &str, attributes: &serde_json::Value) -> Resource {
    let attributes = attributes.as_object().unwrap();
    let attributes =
        attributes.iter().map(|(key, value)| (key.as_str().into(), Value::from_json(value).unwrap()));
    let id = Some(id.into()).filter(|id: &Name| !id.is_empty());
    Resource { id, attributes: attributes.collect(), ..Resource::default() }
}

fn seen(live: Snapshot) -> World {
    let providers = settings(&[("gcp", "gcp", &[("customer", "C01acme")])]);
    let principal = Some(address("gcp/iam-a:service_account/rolecall"));
    let caller = Caller { principal, text: "rolecall".into() };
    let mut shown = Shown { callers: vec![caller], people: Inventoried::default(), live };
    shown.people.records.push(DirectoryRecord {
        address: Some(address("gcp:user/a@acme.com")),
        status: Status::Suspended,
        profile: [("givenName".into(), "Ann".into())].into(),
    });
    seeded(&shown, &providers).unwrap()
}

#[test]
fn a_google_cloud_is_made_of_what_was_seen_of_one() {
    let mut live = Snapshot::default();
    for (name, id, attributes) in [
        ("gcp:organization/123456789012", "", json!({"display_name": "acme.com"})),
        ("gcp:folder/eng", "folders/1", json!({"display_name": "eng"})),
        ("gcp:folder/eng/dev", "folders/2", json!({"display_name": "dev"})),
        (
            "gcp:project/dev-a1",
            "11",
            json!({"parent": "gcp:folder/eng/dev", "display_name": "Dev", "labels": {"team": "x"}, "state": "ACTIVE", "number": "11"}),
        ),
        ("gcp:project/top-b2", "", json!({"parent": "gcp:organization/123456789012", "number": 12})),
        (
            "gcp/dev-a1:service_account/ci",
            "21",
            json!({"display_name": "CI", "disabled": true, "email": "ci@dev-a1.iam.gserviceaccount.com"}),
        ),
        (
            "gcp/dev-a1:service_account/11-compute",
            "22",
            json!({"email": "11-compute@developer.gserviceaccount.com"}),
        ),
        ("gcp:custom_role/ci_viewer", "", json!({"title": "CI", "permissions": ["a.b.c"], "stage": "BETA"})),
        ("gcp/dev-a1:custom_role/prober", "", json!({"title": "P", "permissions": ["d.e.f"]})),
        ("gcp:billing_account/01ABCD-234567-89ABCD", "", json!({"display_name": "Main"})),
        ("gcp:group/x@acme.com", "groups/0x", json!({"display_name": "X", "description": "d"})),
        ("gcp:user/a@acme.com", "101", json!({})),
        ("gcp/dev-a1:workload_identity_pool/gitlab", "", json!({"display_name": "GitLab"})),
    ] {
        live.resources.insert(address(name), resource(id, &attributes));
    }
    let key = "0123456789abcdef0123456789abcdef01234567";
    let account = live.resources.get_mut(&address("gcp/dev-a1:service_account/ci")).unwrap();
    account.dependents.push(format!("user-managed key {key}"));
    let condition = r#"{"expression":"true","title":"t"}"#;
    for (principal, relation, resource, condition) in [
        ("gcp:user/a@acme.com", "member", "gcp:group/x@acme.com", None),
        ("gcp/dev-a1:service_account/ci", "member", "gcp:group/x@acme.com", None),
        ("gcp:principal/user:who@else.com", "member", "gcp:group/x@acme.com", None),
        ("gcp:group/x@acme.com", "roles/logging.viewer", "gcp:project/dev-a1", Some(condition)),
        ("gcp:user/a@acme.com", "roles/logging.viewer", "gcp:project/dev-a1", None),
        ("gcp/dev-a1:service_account/11-compute", "roles/logging.viewer", "gcp:project/dev-a1", None),
        ("gcp:group/x@acme.com", "gcp:custom_role/ci_viewer", "gcp:folder/eng/dev", None),
        ("gcp:group/x@acme.com", "gcp/dev-a1:custom_role/prober", "gcp:project/dev-a1", None),
        ("gcp:principal/domain:acme.com", "roles/browser", "gcp:organization/123456789012", None),
        ("gcp:group/x@acme.com", "roles/iam.serviceAccountUser", "gcp/dev-a1:service_account/ci", None),
        ("gcp:group/unseen@acme.com", "roles/billing.user", "gcp:billing_account/01ABCD-234567-89ABCD", None),
    ] {
        let key = GrantKey {
            condition: condition.map(Into::into),
            ..GrantKey::new(&address(principal), relation, &address(resource))
        };
        let mut attributes = crate::model::Attributes::default();
        if principal == "gcp:user/a@acme.com" && relation == "member" {
            attributes.insert("expires".into(), Value::text("2026-12-01T00:00:00Z"));
        }
        live.grants.push(LiveGrant { key, attributes, via: None });
    }
    let simulator = Simulator::of(seen(live)).unwrap();
    let world = simulator.world();
    let gcp = &world.gcp;
    assert_eq!((&*gcp.organization, &*gcp.domain, &*gcp.customer), ("123456789012", "acme.com", "C01acme"));
    assert_eq!(gcp.caller, "serviceAccount:rolecall@iam-a.iam.gserviceaccount.com");
    assert_eq!(gcp.folders["2"].path, "eng/dev");
    let project = &gcp.projects["dev-a1"];
    assert_eq!((&*project.number, project.folder.as_deref(), &*project.name), ("11", Some("eng/dev"), "Dev"));
    assert_eq!((&*gcp.projects["top-b2"].number, gcp.projects["top-b2"].folder.as_deref()), ("12", None));
    let account = &project.service_accounts["ci"];
    assert!(account.disabled && account.unique_id == "21" && account.keys.contains_key(key));
    let roles: Vec<(&str, usize, bool)> = project
        .policy
        .bindings
        .iter()
        .map(|it| (&*it.role, it.members.len(), it.condition.is_some()))
        .collect();
    let mut sorted = roles.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            ("projects/dev-a1/roles/prober", 1, false),
            ("roles/logging.viewer", 1, true),
            ("roles/logging.viewer", 2, false)
        ]
    );
    let members: Vec<&String> = project.policy.bindings.iter().flat_map(|it| &it.members).collect();
    assert!(
        members.contains(&&"serviceAccount:11-compute@developer.gserviceaccount.com".to_owned()),
        "{members:?}"
    );
    assert_eq!(gcp.folders["2"].policy.bindings[0].role, "organizations/123456789012/roles/ci_viewer");
    assert_eq!(gcp.policy.bindings[0].members, ["domain:acme.com"]);
    assert_eq!(account.policy.bindings.len(), 1);
    assert_eq!(
        gcp.billing_accounts["01ABCD-234567-89ABCD"].policy.bindings[0].members,
        ["group:unseen@acme.com"]
    );
    let group = &gcp.groups["x@acme.com"];
    let members: Vec<&str> = group.members.keys().map(String::as_str).collect();
    assert_eq!(
        (&*group.id, members),
        ("0x", vec!["a@acme.com", "ci@dev-a1.iam.gserviceaccount.com", "who@else.com"])
    );
    assert_eq!(group.members["a@acme.com"].expires, Some("2026-12-01T00:00:00Z".parse().unwrap()));
    let user = &gcp.users["a@acme.com"];
    assert_eq!((&*user.id, &*user.given, user.suspended), ("101", "Ann", true));
    assert!(project.pools.contains_key("gitlab") && project.roles.contains_key("prober"));
    assert_eq!(World::parse(&world.to_yaml().unwrap()).unwrap(), world);
}

#[test]
fn the_simulator_has_one_google_cloud() {
    let shown = Shown { callers: Vec::new(), people: Inventoried::default(), live: Snapshot::default() };
    let two = settings(&[("gcp", "gcp", &[]), ("other", "gcp", &[])]);
    assert!(seeded(&shown, &two).unwrap_err().message.contains("two Google Cloud organizations"));
}
