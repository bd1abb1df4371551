//! Tests of Google's side: folders and projects, operations, roles, accounts, assets.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{WORLD, all, ask, is, names, policy, read, refused};
use crate::simulator::tests::world;
use crate::simulator::{GcpState, Simulator};

const ORGANIZATION: &str = "organizations/123456789012";

fn slow() -> Simulator {
    world(&WORLD.replace("customer: C01acme", "customer: C01acme\n  operation_seconds: 10"))
}

fn done(answer: &(u16, Json)) -> &Json {
    assert_eq!((answer.0, &answer.1["done"]), (200, &json!(true)), "{}", answer.1);
    &answer.1["response"]
}

fn create(simulator: &Simulator, id: &str) -> (u16, Json) {
    ask(
        simulator,
        "POST",
        "/v3/projects",
        &json!({"projectId": id, "parent": "folders/2", "labels": {"a": "b"}}),
    )
}

#[test]
fn a_project_is_created_changed_moved_deleted_and_restored() {
    let simulator = world(WORLD);
    let made = create(&simulator, "new-project");
    let project = done(&made);
    assert_eq!((&project["parent"], &project["labels"]["a"]), (&json!("folders/2"), &json!("b")));
    assert!(project["@type"].as_str().unwrap().ends_with("resourcemanager.v3.Project"));
    let path = format!("/v3/{}", project["name"].as_str().unwrap());
    assert_eq!(policy(&simulator, &path)["bindings"][0]["role"], "roles/owner");
    let body = json!({"labels": {"c": "d"}, "displayName": "Other name"});
    let changed = ask(&simulator, "PATCH", &format!("{path}?updateMask=labels,display_name"), &body);
    assert_eq!(
        (&done(&changed)["labels"], &done(&changed)["displayName"]),
        (&json!({"c": "d"}), &json!("Other name"))
    );
    let moved = ask(&simulator, "POST", &format!("{path}:move"), &json!({"destinationParent": ORGANIZATION}));
    assert_eq!(done(&moved)["parent"], ORGANIZATION);
    let deleted = ask(&simulator, "DELETE", &path, &Json::Null);
    assert_eq!(done(&deleted)["state"], "DELETE_REQUESTED");
    assert_eq!(read(&simulator, &path)["deleteTime"], "2026-11-22T17:00:00Z");
    assert_eq!(refused(&simulator, "DELETE", &path, &Json::Null), is(400, "FAILED_PRECONDITION"));
    assert_eq!(done(&ask(&simulator, "POST", &format!("{path}:undelete"), &Json::Null))["state"], "ACTIVE");
    for wrong in ["Short", "x-", "new_project", "a"] {
        assert_eq!(create(&simulator, wrong).0, 400, "{wrong}");
    }
    let nowhere = json!({"projectId": "new-project2", "parent": "folders/9"});
    assert_eq!(ask(&simulator, "POST", "/v3/projects", &nowhere).0, 403);
}

#[test]
fn the_id_of_a_project_is_never_given_again() {
    let simulator = world(WORLD);
    for id in ["dev-a1-x", "old-c3", "gone-d4"] {
        let body = json!({"projectId": id, "parent": ORGANIZATION});
        let again = refused(&simulator, "POST", "/v3/projects", &body);
        assert_eq!(again, if id == "dev-a1-x" { is(200, "") } else { is(409, "ALREADY_EXISTS") });
    }
    assert_eq!(refused(&simulator, "GET", "/v3/projects/gone-d4", &Json::Null), is(403, "PERMISSION_DENIED"));
    assert_eq!(
        refused(&simulator, "POST", "/v3/projects/14:undelete", &Json::Null),
        is(403, "PERMISSION_DENIED")
    );
    simulator.clock().advance(Duration::from_secs(9 * 24 * 3600));
    assert_eq!(ask(&simulator, "GET", "/v3/projects/old-c3", &Json::Null).0, 403, "after thirty days");
}

#[test]
fn a_lien_keeps_a_project() {
    let simulator = world(WORLD);
    let path = "/v3/projects/prod-b2";
    assert_eq!(refused(&simulator, "DELETE", path, &Json::Null), is(400, "FAILED_PRECONDITION"));
    let liens = all(&simulator, "/v3/liens?parent=projects/prod-b2", "liens");
    assert_eq!(names(&liens, "name"), ["liens/p12-l1"]);
    let body = json!({"parent": "projects/12", "reason": "r", "origin": "x", "restrictions": ["resourcemanager.projects.delete"]});
    let (status, lien) = ask(&simulator, "POST", "/v3/liens", &body);
    assert_eq!((status, &lien["parent"]), (200, &json!("projects/12")));
    assert_eq!(ask(&simulator, "DELETE", "/v3/liens/p12-l1", &Json::Null).0, 200);
    assert_eq!(ask(&simulator, "DELETE", path, &Json::Null).0, 400);
    assert_eq!(
        ask(&simulator, "DELETE", &format!("/v3/{}", lien["name"].as_str().unwrap()), &Json::Null).0,
        200
    );
    assert_eq!(ask(&simulator, "DELETE", path, &Json::Null).0, 200);
}

#[test]
fn folders_have_names_of_their_own_and_lead_what_is_in_them() {
    let simulator = world(WORLD);
    let make = |parent: &str, name: &str| {
        ask(&simulator, "POST", "/v3/folders", &json!({"parent": parent, "displayName": name}))
    };
    let made = make("folders/1", "data");
    let name = done(&made)["name"].as_str().unwrap().to_owned();
    assert!(made.1["name"].as_str().unwrap().starts_with("operations/fc."));
    let twice = make("folders/1", "data");
    assert_eq!((twice.0, &twice.1["error"]["code"]), (200, &json!(9)), "told as what came of the operation");
    assert_eq!(make("folders/1", "x").0, 400);
    let patch = |id: &str, name: &str| {
        refused(
            &simulator,
            "PATCH",
            &format!("/v3/{id}?updateMask=displayName"),
            &json!({"displayName": name}),
        )
    };
    assert_eq!(patch(&name, "dev"), is(400, "FAILED_PRECONDITION"));
    assert_eq!(patch("folders/1", "work"), is(200, ""));
    assert_eq!(simulator.world().gcp.projects["dev-a1"].folder.as_deref(), Some("work/dev"));
    let to = |id: &str, parent: &str| {
        refused(&simulator, "POST", &format!("/v3/{id}:move"), &json!({"destinationParent": parent}))
    };
    assert_eq!(to("folders/1", "folders/2"), is(400, "FAILED_PRECONDITION"));
    assert_eq!(to("folders/2", "folders/3"), is(200, ""));
    assert_eq!(simulator.world().gcp.projects["dev-a1"].folder.as_deref(), Some("ops/dev"));
    assert_eq!(read(&simulator, "/v3/projects/dev-a1")["parent"], "folders/2");
    assert_eq!(refused(&simulator, "DELETE", "/v3/folders/3", &Json::Null), is(400, "FAILED_PRECONDITION"));
    assert_eq!(ask(&simulator, "DELETE", &format!("/v3/{name}"), &Json::Null).0, 200);
    assert_eq!(ask(&simulator, "DELETE", &format!("/v3/{name}"), &Json::Null).0, 200, "once more is no harm");
    let again = make("folders/1", "data");
    assert_eq!(done(&again)["state"], "ACTIVE", "the name of a deleted one is free");
    assert_eq!(
        refused(&simulator, "POST", &format!("/v3/{name}:undelete"), &Json::Null),
        is(400, "FAILED_PRECONDITION")
    );
    let world = simulator.world();
    assert_eq!(crate::simulator::World::parse(&world.to_yaml().unwrap()).unwrap(), world);
}

#[test]
fn an_operation_takes_effect_when_its_time_has_come() {
    let simulator = slow();
    let (status, begun) = create(&simulator, "new-project");
    assert_eq!((status, begun.get("done")), (200, None));
    let path = format!("/v3/{}", begun["name"].as_str().unwrap());
    assert_eq!(ask(&simulator, "GET", "/v3/projects/new-project", &Json::Null).0, 403);
    assert_eq!(create(&simulator, "new-project").0, 409, "that it is under way is known");
    simulator.clock().advance(Duration::from_secs(9));
    assert_eq!(read(&simulator, &path).get("done"), None);
    simulator.clock().advance(Duration::from_secs(1));
    let ended = read(&simulator, &path);
    assert_eq!((&ended["done"], &ended["response"]["projectId"]), (&json!(true), &json!("new-project")));
    assert_eq!(read(&simulator, "/v3/projects/new-project")["createTime"], "2026-11-22T17:00:10Z");
    // What it met when it took effect was otherwise than when it was asked.
    let (_, begun) =
        ask(&simulator, "POST", "/v3/projects/new-project:move", &json!({"destinationParent": "folders/3"}));
    simulator
        .edit(|world| world.gcp.folders.get_mut("3").unwrap().state = GcpState::DeleteRequested)
        .unwrap();
    simulator.clock().advance(Duration::from_secs(10));
    let ended = read(&simulator, &format!("/v3/{}", begun["name"].as_str().unwrap()));
    assert_eq!((&ended["done"], &ended["error"]["code"]), (&json!(true), &json!(9)));
}

#[test]
fn what_is_under_way_survives_a_death() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.yaml");
    let text = WORLD.replace("customer: C01acme", "customer: C01acme\n  operation_seconds: 10");
    std::fs::write(&path, text).unwrap();
    let first = Simulator::open(&path).unwrap();
    let _ = create(&first, "new-project");
    first.clock().advance(Duration::from_secs(20));
    let _ = read(&first, "/v3/projects/new-project");
    assert_eq!(ask(&first, "PUT", "/v1/projects/new-project/billingInfo", &json!({})).0, 200);
    let _ = ask(&first, "DELETE", "/v3/projects/new-project", &Json::Null);
    let expected = first.world();
    drop(first);
    let second = Simulator::open(&path).unwrap();
    assert_eq!(second.world(), expected);
    drop(second);
    let third = Simulator::open(&path).unwrap();
    assert_eq!(third.world(), expected);
    third.clock().advance(Duration::from_secs(10));
    assert_eq!(read(&third, "/v3/projects/new-project")["state"], "DELETE_REQUESTED");
}

#[test]
fn services_are_enabled_and_disabled() {
    let simulator = world(WORLD);
    let body = json!({"serviceIds": ["iam.googleapis.com", "run.googleapis.com"]});
    let batch = ask(&simulator, "POST", "/v1/projects/dev-a1/services:batchEnable", &body);
    assert_eq!(done(&batch)["services"].as_array().unwrap().len(), 2);
    let services = "/v1/projects/dev-a1/services";
    assert_eq!(all(&simulator, &format!("{services}?filter=state:ENABLED"), "services").len(), 3);
    let name = batch.1["name"].as_str().unwrap();
    assert_eq!(read(&simulator, &format!("/v1/{name}"))["done"], true);
    let disable = || ask(&simulator, "POST", &format!("{services}/run.googleapis.com:disable"), &json!({}));
    assert_eq!(done(&disable())["service"]["state"], "DISABLED");
    assert_eq!(disable().0, 400);
    let enabled = ask(&simulator, "POST", &format!("{services}/run.googleapis.com:enable"), &Json::Null);
    assert_eq!(done(&enabled)["service"]["state"], "ENABLED");
    assert_eq!(ask(&simulator, "POST", &format!("{services}/nonsense:enable"), &Json::Null).0, 403);
}

#[test]
fn a_deleted_role_is_restored_for_a_week_and_its_id_blocked_for_thirty_days_more() {
    let simulator = world(WORLD);
    let roles = "/v1/organizations/123456789012/roles";
    let role = json!({"roleId": "new_role", "role": {"title": "New", "includedPermissions": ["x.y.z"], "stage": "GA"}});
    let create = || refused(&simulator, "POST", roles, &role);
    assert_eq!((create(), create()), (is(200, ""), is(409, "ALREADY_EXISTS")));
    let path = format!("{roles}/new_role");
    let etag = read(&simulator, &path)["etag"].clone();
    let (_, changed) = ask(
        &simulator,
        "PATCH",
        &format!("{path}?updateMask=title"),
        &json!({"title": "Newer", "etag": etag}),
    );
    assert_eq!((&changed["title"], &changed["includedPermissions"]), (&json!("Newer"), &json!(["x.y.z"])));
    assert_eq!(
        refused(
            &simulator,
            "PATCH",
            &format!("{path}?updateMask=title"),
            &json!({"title": "x", "etag": etag})
        ),
        is(409, "ABORTED")
    );
    assert_eq!(ask(&simulator, "DELETE", &path, &Json::Null).1["deleted"], true);
    assert_eq!(all(&simulator, roles, "roles").len(), 1);
    assert_eq!(all(&simulator, &format!("{roles}?showDeleted=true"), "roles").len(), 2);
    assert_eq!(create(), is(400, "FAILED_PRECONDITION"));
    let undelete = || ask(&simulator, "POST", &format!("{path}:undelete"), &json!({})).0;
    assert_eq!((undelete(), undelete()), (200, 400));
    assert_eq!(ask(&simulator, "DELETE", &path, &Json::Null).0, 200);
    let days = |days: u64| simulator.clock().advance(Duration::from_secs(days * 24 * 3600));
    days(7);
    assert_eq!((undelete(), ask(&simulator, "GET", &path, &Json::Null).0), (404, 404));
    assert_eq!(create(), is(400, "FAILED_PRECONDITION"));
    days(30);
    assert_eq!(create(), is(200, ""));
    let own = "/v1/projects/dev-a1/roles";
    assert_eq!(ask(&simulator, "POST", own, &role).1["name"], "projects/dev-a1/roles/new_role");
}

#[test]
fn accounts_and_keys_come_and_go() {
    let simulator = world(WORLD);
    let accounts = "/v1/projects/dev-a1/serviceAccounts";
    let body = json!({"accountId": "builder", "serviceAccount": {"displayName": "Builder"}});
    let (status, account) = ask(&simulator, "POST", accounts, &body);
    assert_eq!((status, &account["displayName"]), (200, &json!("Builder")));
    assert_eq!(refused(&simulator, "POST", accounts, &body), is(409, "ALREADY_EXISTS"));
    let path = format!("/v1/projects/-/serviceAccounts/{}", account["uniqueId"].as_str().unwrap());
    let patch = json!({"serviceAccount": {"description": "builds"}, "updateMask": "description"});
    let (_, changed) = ask(&simulator, "PATCH", &path, &patch);
    assert_eq!((&changed["description"], &changed["displayName"]), (&json!("builds"), &json!("Builder")));
    assert_eq!(ask(&simulator, "POST", &format!("{path}:disable"), &Json::Null).0, 200);
    assert_eq!(read(&simulator, &path)["disabled"], true);
    assert_eq!(ask(&simulator, "POST", &format!("{path}:enable"), &Json::Null).0, 200);
    let (status, key) = ask(&simulator, "POST", &format!("{path}/keys"), &json!({}));
    assert_eq!((status, key["privateKeyData"].is_string()), (200, true));
    let keys = format!("{accounts}/21/keys");
    assert_eq!(read(&simulator, &keys)["keys"].as_array().unwrap().len(), 2);
    assert_eq!(
        read(&simulator, &format!("{keys}?keyTypes=USER_MANAGED"))["keys"].as_array().unwrap().len(),
        1
    );
    assert_eq!(ask(&simulator, "POST", &format!("{keys}/k1:disable"), &Json::Null).0, 200);
    assert_eq!(read(&simulator, &format!("{keys}/k1"))["disabled"], true);
    assert_eq!(ask(&simulator, "DELETE", &format!("{keys}/k2"), &Json::Null).0, 400);
    assert_eq!(ask(&simulator, "DELETE", &format!("{keys}/k1"), &Json::Null).0, 200);
    let name = format!("{accounts}/ci@dev-a1.iam.gserviceaccount.com");
    let (_, held) = ask(
        &simulator,
        "POST",
        &format!("{name}:getIamPolicy?options.requestedPolicyVersion=3"),
        &Json::Null,
    );
    assert_eq!(held["bindings"][0]["role"], "roles/iam.serviceAccountUser");
    let body = json!({"policy": {"etag": held["etag"], "bindings": []}});
    assert_eq!(ask(&simulator, "POST", &format!("{name}:setIamPolicy"), &body).1.get("bindings"), None);
}

#[test]
fn projects_are_paid_for_by_who_is_open() {
    let simulator = world(WORLD);
    let info = "/v1/projects/prod-b2/billingInfo";
    assert_eq!(read(&simulator, info)["billingEnabled"], false);
    let put = |name: &str| ask(&simulator, "PUT", info, &json!({"billingAccountName": name}));
    let (status, json) = put("billingAccounts/01ABCD-234567-89ABCD");
    assert_eq!((status, &json["billingEnabled"]), (200, &json!(true)));
    assert_eq!(
        all(&simulator, "/v1/billingAccounts/01ABCD-234567-89ABCD/projects", "projectBillingInfo").len(),
        2
    );
    assert_eq!((put("billingAccounts/none").0, put("").0), (403, 200));
    let account = "/v1/billingAccounts/01ABCD-234567-89ABCD";
    let held = read(&simulator, &format!("{account}:getIamPolicy?options.requestedPolicyVersion=3"));
    assert_eq!(held["bindings"][0]["role"], "roles/billing.user");
    let body = json!({"policy": {"bindings": [{"role": "roles/billing.viewer", "members": ["user:a@acme.com"]}], "etag": held["etag"]}});
    assert_eq!(ask(&simulator, "POST", &format!("{account}:setIamPolicy"), &body).0, 200);
}

#[test]
fn all_policies_are_found_at_once_and_so_are_accounts_and_roles() {
    let simulator = world(WORLD);
    let path = "/v1/organizations/123456789012:searchAllIamPolicies";
    let results = all(&simulator, path, "results");
    let expected = [
        "//cloudbilling.googleapis.com/billingAccounts/01ABCD-234567-89ABCD",
        "//cloudresourcemanager.googleapis.com/folders/3",
        "//cloudresourcemanager.googleapis.com/organizations/123456789012",
        "//cloudresourcemanager.googleapis.com/projects/dev-a1",
        "//iam.googleapis.com/projects/dev-a1/serviceAccounts/21",
    ];
    assert_eq!(names(&results, "resource"), expected);
    let project = &results[3];
    assert_eq!(
        (&project["project"], &project["folders"]),
        (&json!("projects/11"), &json!(["folders/2", "folders/1"]))
    );
    assert_eq!(project["policy"]["bindings"][1]["condition"]["title"], "soon");
    assert_eq!(project["policy"].get("auditConfigs"), None);
    assert_eq!(project["policy"]["etag"], policy(&simulator, "/v3/projects/dev-a1")["etag"]);
    let found = all(&simulator, &format!("{path}?query=policy:%22user:a@acme.com%22"), "results");
    assert_eq!((found.len(), found[0]["policy"]["bindings"].as_array().unwrap().len()), (2, 1));
    assert_eq!(
        all(&simulator, &format!("{path}?assetTypes=iam.googleapis.com/ServiceAccount"), "results").len(),
        1
    );
    assert_eq!(ask(&simulator, "GET", &format!("{path}?query=nonsense"), &Json::Null).0, 400);

    let assets = "/v1/organizations/123456789012/assets?contentType=RESOURCE";
    let kinds = names(&all(&simulator, assets, "assets"), "assetType");
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    let some = all(
        &simulator,
        &format!("{assets}&assetTypes=iam.googleapis.com/Role&assetTypes=iam.googleapis.com/ServiceAccount"),
        "assets",
    );
    assert_eq!(some.len(), 4);
    assert_eq!(some[0]["ancestors"], json!([ORGANIZATION]));
    assert_eq!(some[0]["resource"]["data"]["includedPermissions"], json!(["a.b.c"]));
    assert_eq!(some[1]["ancestors"], json!(["projects/11", "folders/2", "folders/1", ORGANIZATION]));
}

#[test]
fn cloud_asset_is_behind() {
    let simulator = world(&WORLD.replace("customer: C01acme", "customer: C01acme\n  asset_lag_seconds: 30"));
    let path = "/v1/organizations/123456789012:searchAllIamPolicies";
    let bindings = || all(&simulator, path, "results").len();
    assert_eq!(bindings(), 5);
    let body = json!({"policy": {"bindings": [{"role": "roles/viewer", "members": ["user:a@acme.com"]}]}});
    assert_eq!(ask(&simulator, "POST", "/v3/projects/prod-b2:setIamPolicy", &body).0, 200);
    assert_eq!(policy(&simulator, "/v3/projects/prod-b2")["bindings"].as_array().unwrap().len(), 1);
    assert_eq!(bindings(), 5);
    simulator.clock().advance(Duration::from_secs(29));
    assert_eq!(bindings(), 5);
    simulator.clock().advance(Duration::from_secs(1));
    assert_eq!(bindings(), 6);
}
