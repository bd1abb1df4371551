//! Tests of Google's side: policies, groups, paging, faults.

use bytes::Bytes;
use http::Request;
use serde_json::{Value as Json, json};

use super::super::tests::{json_of, world};
use super::super::{Edit, Fault, Simulator};
use crate::provider::Transport as _;

mod resources;

pub(super) const WORLD: &str = "
now: 2026-11-22T17:00:00Z
page_size: 2
gcp:
  organization: '123456789012'
  domain: acme.com
  customer: C01acme
  caller: serviceAccount:rolecall@iam-a.iam.gserviceaccount.com
  roles: [{ id: ci_viewer, title: CI, permissions: [a.b.c] }]
  bindings:
    - { role: roles/viewer, members: ['domain:acme.com'] }
  folders:
    - { path: eng, id: '1' }
    - { path: eng/dev, id: '2' }
    - { path: ops, id: '3', bindings: [{ role: roles/browser, members: ['group:x@acme.com'] }] }
  projects:
    - id: dev-a1
      number: '11'
      folder: eng/dev
      billing: 01ABCD-234567-89ABCD
      services: [compute.googleapis.com]
      labels: { team: x }
      audit_configs: [{ service: allServices, auditLogConfigs: [{ logType: DATA_READ }] }]
      bindings:
        - { role: roles/editor, members: ['serviceAccount:ci@dev-a1.iam.gserviceaccount.com', 'group:x@acme.com'] }
        - role: roles/logging.viewer
          members: ['user:a@acme.com']
          condition: { title: soon, expression: 'request.time < timestamp(\"2027-01-01T00:00:00Z\")' }
      service_accounts:
        - { name: ci, unique_id: '21', keys: [{ id: k1 }, { id: k2, managed: system }], bindings: [{ role: roles/iam.serviceAccountUser, members: ['user:a@acme.com'] }] }
        - { name: cd }
        - { name: ce }
      pools: [{ id: gitlab, providers: [{ id: gitlab, issuer: 'https://gitlab.com' }] }]
    - { id: prod-b2, number: '12', liens: [{ id: l1, reason: r, origin: o, restrictions: [resourcemanager.projects.delete] }] }
    - { id: old-c3, number: '13', state: DELETE_REQUESTED, deleted: 2026-11-01T00:00:00Z }
    - { id: gone-d4, number: '14', state: DELETE_REQUESTED, deleted: 2026-10-01T00:00:00Z }
  billing_accounts: [{ id: 01ABCD-234567-89ABCD, name: Main, bindings: [{ role: roles/billing.user, members: ['group:x@acme.com'] }] }]
  groups:
    - email: x@acme.com
      id: 0x
      members:
        - { email: a@acme.com, expires: 2026-11-22T18:00:00Z }
        - { email: b@acme.com, roles: [MEMBER, OWNER] }
        - { email: ci@dev-a1.iam.gserviceaccount.com }
        - { email: y@acme.com }
        - { email: z@else.com }
    - { email: y@acme.com, id: 0y }
    - { email: z@acme.com, id: 0z, labels: { cloudidentity.googleapis.com/groups.dynamic: '' }, members: [{ email: a@acme.com }] }
  users:
    - { email: a@acme.com, id: '101', given: Ann, family: A, sessions: 2, tokens: [{ client: app, name: App }] }
    - { email: b@acme.com, id: '102', suspended: true }
    - { email: c@acme.com, id: '103', deleted: 2026-11-20T00:00:00Z }
";

pub(super) fn google(method: &str, path: &str, body: &Json) -> Request<Bytes> {
    let request = Request::builder().method(method).uri(format!("https://x.googleapis.com{path}"));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    request.header("authorization", "Bearer ya29.x").body(Bytes::from(body)).unwrap()
}

pub(super) fn ask(simulator: &Simulator, method: &str, path: &str, body: &Json) -> (u16, Json) {
    let answer = simulator.handle(&google(method, path, body));
    let json = if answer.body().is_empty() { Json::Null } else { json_of(&answer) };
    (answer.status().as_u16(), json)
}

pub(super) fn read(simulator: &Simulator, path: &str) -> Json {
    let (status, json) = ask(simulator, "GET", path, &Json::Null);
    assert_eq!(status, 200, "{path}: {json}");
    json
}

/// What a refusal is called.
pub(super) fn refused(simulator: &Simulator, method: &str, path: &str, body: &Json) -> (u16, String) {
    let (status, json) = ask(simulator, method, path, body);
    (status, json["error"]["status"].as_str().unwrap_or_default().to_owned())
}

fn is(status: u16, word: &str) -> (u16, String) {
    (status, word.to_owned())
}

/// All pages of a list.
pub(super) fn all(simulator: &Simulator, path: &str, field: &str) -> Vec<Json> {
    let mut items = Vec::new();
    let mut token = String::new();
    loop {
        let mark = if path.contains('?') { '&' } else { '?' };
        let json = read(simulator, &format!("{path}{mark}pageToken={token}"));
        let page = json[field].as_array().cloned().unwrap_or_default();
        assert!(page.len() <= 2, "{path}");
        items.extend(page);
        match json["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => return items,
        }
    }
}

pub(super) fn names(items: &[Json], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

fn policy(simulator: &Simulator, name: &str) -> Json {
    let body = json!({"options": {"requestedPolicyVersion": 3}});
    let (status, json) = ask(simulator, "POST", &format!("{name}:getIamPolicy"), &body);
    assert_eq!(status, 200, "{json}");
    json
}

fn set(simulator: &Simulator, name: &str, policy: &Json) -> (u16, Json) {
    ask(simulator, "POST", &format!("{name}:setIamPolicy"), &json!({"policy": policy}))
}

#[test]
fn lists_come_in_tiny_pages_and_whole() {
    let simulator = world(WORLD);
    let of = |path: &str, field: &str, name: &str| names(&all(&simulator, path, field), name);
    assert_eq!(of("/v3/projects:search", "projects", "projectId"), ["dev-a1", "old-c3", "prod-b2"]);
    assert_eq!(of("/v3/projects:search?query=state:ACTIVE", "projects", "projectId"), ["dev-a1", "prod-b2"]);
    assert_eq!(of("/v3/folders:search?pageSize=1", "folders", "displayName"), ["eng", "dev", "ops"]);
    assert_eq!(of("/v3/folders?parent=folders/1", "folders", "name"), ["folders/2"]);
    assert_eq!(of("/v3/folders:search?query=displayName%3D%22ops%22", "folders", "name"), ["folders/3"]);
    assert_eq!(of("/v3/organizations:search", "organizations", "displayName"), ["acme.com"]);
    let accounts = of("/v1/projects/dev-a1/serviceAccounts?pageSize=100", "accounts", "email");
    assert_eq!(accounts.len(), 3);
    assert_eq!(of("/v1/groups?parent=customers/C01acme&view=FULL", "groups", "name").len(), 3);
    let members = all(&simulator, "/v1/groups/0x/memberships?view=FULL", "memberships");
    assert_eq!(names(&members, "type"), ["USER", "USER", "SERVICE_ACCOUNT", "GROUP", "USER"]);
    assert_eq!(members[0]["roles"][0]["expiryDetail"]["expireTime"], "2026-11-22T18:00:00Z");
    assert_eq!(of("/admin/directory/v1/users?customer=my_customer", "users", "primaryEmail").len(), 2);
    assert_eq!(of("/admin/directory/v1/users?customer=C01acme&showDeleted=true", "users", "id"), ["103"]);
    assert_eq!(of("/v1/billingAccounts", "billingAccounts", "displayName"), ["Main"]);
    assert_eq!(of("/v1/projects/dev-a1/services?filter=state:ENABLED", "services", "state"), ["ENABLED"]);
    let pools = "/v1/projects/dev-a1/locations/global/workloadIdentityPools";
    assert_eq!(of(pools, "workloadIdentityPools", "state"), ["ACTIVE"]);
    assert_eq!(
        of(&format!("{pools}/gitlab/providers"), "workloadIdentityPoolProviders", "state"),
        ["ACTIVE"]
    );
    assert_eq!(of("/v1/organizations/123456789012/roles?view=FULL", "roles", "title"), ["CI"]);
    let bad = [
        "/v3/projects:search?pageToken=xyz",
        "/v3/projects:search?pageSize=-1",
        "/v3/projects:search?query=a~b",
    ];
    for path in bad {
        assert_eq!(refused(&simulator, "GET", path, &Json::Null), is(400, "INVALID_ARGUMENT"), "{path}");
    }
}

#[tokio::test]
async fn pages_go_wrong_on_demand() {
    let simulator = world(WORLD);
    let path = "/v3/projects:search";
    let page = async |fault, token: &str| {
        simulator.faults().once("GET /v3/projects:search", fault);
        let request = google("GET", &format!("{path}?pageToken={token}"), &Json::Null);
        json_of(&simulator.call(request).await.unwrap())
    };
    let short = page(Fault::ShortPage, "").await;
    assert_eq!(short["projects"].as_array().unwrap().len(), 1);
    let token = short["nextPageToken"].as_str().unwrap().to_owned();
    let again = page(Fault::RepeatedCursor, &token).await;
    assert_eq!(again["nextPageToken"], token.as_str());
    let hollow = page(Fault::HollowPage, &token).await;
    assert_eq!(hollow.get("projects"), None);
    let next = hollow["nextPageToken"].as_str().unwrap();
    assert_eq!(read(&simulator, &format!("{path}?pageToken={next}"))["projects"][0]["projectId"], "old-c3");
    assert_eq!(page(Fault::EmptyList, "").await, json!({}));
}

#[test]
fn calls_are_named_without_their_ids() {
    let simulator = world(WORLD);
    for (method, path, name) in [
        ("GET", "/v3/projects:search?query=x", "GET /v3/projects:search"),
        ("POST", "/v3/projects/dev-a1:setIamPolicy", "POST /v3/projects/{id}:setIamPolicy"),
        ("GET", "/v1/groups/0x/memberships?view=FULL", "GET /v1/groups/{id}/memberships"),
        (
            "GET",
            "/v1/groups/-/memberships:searchDirectGroups",
            "GET /v1/groups/-/memberships:searchDirectGroups",
        ),
        ("DELETE", "/v1/groups/0x/memberships/7", "DELETE /v1/groups/{id}/memberships/{id}"),
        (
            "GET",
            "/v1/projects/p/locations/global/workloadIdentityPools",
            "GET /v1/projects/{id}/locations/global/workloadIdentityPools",
        ),
        (
            "GET",
            "/v1/projects/p/serviceAccounts/a@b/keys?keyTypes=USER_MANAGED",
            "GET /v1/projects/{id}/serviceAccounts/{id}/keys",
        ),
        (
            "POST",
            "/admin/directory/v1/users/a@acme.com/signOut",
            "POST /admin/directory/v1/users/{id}/signOut",
        ),
        (
            "GET",
            "/v1/organizations/1:searchAllIamPolicies",
            "GET /v1/organizations/{id}:searchAllIamPolicies",
        ),
        ("GET", "/oauth2/v2/userinfo", "GET /oauth2/v2/userinfo"),
        ("POST", "/v1/projects/p/services:batchEnable", "POST /v1/projects/{id}/services:batchEnable"),
    ] {
        let _ = ask(&simulator, method, path, &Json::Null);
        assert!(simulator.calls().contains_key(name), "{name}: {:?}", simulator.calls());
    }
}

#[test]
fn who_read_a_policy_before_it_changed_does_not_set_it() {
    let simulator = world(WORLD);
    let name = "/v3/organizations/123456789012";
    let old = policy(&simulator, name);
    let mut new = old.clone();
    new["bindings"]
        .as_array_mut()
        .unwrap()
        .push(json!({"role": "roles/browser", "members": ["user:a@acme.com"]}));
    let (status, answer) = set(&simulator, name, &new);
    assert_eq!((status, answer["bindings"].as_array().unwrap().len()), (200, 2));
    assert_ne!(answer["etag"], old["etag"]);
    assert_eq!(policy(&simulator, name)["etag"], answer["etag"]);
    let (status, error) = set(&simulator, name, &new);
    assert_eq!((status, &error["error"]["status"]), (409, &json!("ABORTED")));
    new.as_object_mut().unwrap().remove("etag");
    new["bindings"] = json!([]);
    assert_eq!(set(&simulator, name, &new).0, 200, "who sends no etag overwrites");
    assert_eq!(policy(&simulator, name).get("bindings"), None);
    let same = policy(&simulator, name);
    assert_eq!(set(&simulator, name, &same).1["etag"], same["etag"], "the same again is no change");
}

#[test]
fn conditions_are_shown_to_who_asks_for_version_3_and_kept_by_who_sets_it() {
    let simulator = world(WORLD);
    let name = "/v3/projects/dev-a1";
    let whole = policy(&simulator, name);
    assert_eq!((&whole["version"], &whole["bindings"][1]["condition"]["title"]), (&json!(3), &json!("soon")));
    let (_, old) = ask(&simulator, "POST", "/v3/projects/11:getIamPolicy", &Json::Null);
    let role = old["bindings"][1]["role"].as_str().unwrap();
    assert!(role.starts_with("roles/logging.viewer_withcond_"), "{role}");
    assert_eq!((&old["version"], old["bindings"][1].get("condition")), (&json!(1), None));
    assert_eq!(old["etag"], whole["etag"]);
    assert_eq!(set(&simulator, name, &old).0, 400, "what was read so is not set");
    let body = json!({"options": {"requestedPolicyVersion": 2}});
    assert_eq!(ask(&simulator, "POST", &format!("{name}:getIamPolicy"), &body).0, 400);
    for (field, value) in
        [("role", json!("roles/viewer")), ("condition", json!({"title": "t", "expression": ""}))]
    {
        let mut wrong = whole.clone();
        wrong["bindings"][1][field] = value;
        assert_eq!(set(&simulator, name, &wrong).0, 400, "{field}");
    }
    let mut plain = whole;
    plain["version"] = 1.into();
    assert_eq!(set(&simulator, name, &plain).0, 400);
    plain["bindings"].as_array_mut().unwrap().pop();
    assert_eq!(set(&simulator, name, &plain).0, 400, "taking a condition away needs version 3 too");
    plain["version"] = 3.into();
    let (status, answer) = set(&simulator, name, &plain);
    assert_eq!((status, &answer["version"]), (200, &json!(1)));
}

#[test]
fn audit_configs_stay_unless_the_mask_names_them() {
    let simulator = world(WORLD);
    let name = "/v3/projects/dev-a1";
    let mut policy_read = policy(&simulator, name);
    assert_eq!(policy_read["auditConfigs"][0]["service"], "allServices");
    policy_read.as_object_mut().unwrap().remove("auditConfigs");
    policy_read["bindings"].as_array_mut().unwrap().remove(0);
    let (_, answer) = set(&simulator, name, &policy_read);
    assert_eq!(answer["auditConfigs"][0]["service"], "allServices");
    let body = json!({"policy": {"etag": answer["etag"]}, "updateMask": "auditConfigs"});
    let (status, answer) = ask(&simulator, "POST", &format!("{name}:setIamPolicy"), &body);
    assert_eq!((status, answer.get("auditConfigs")), (200, None));
    assert_eq!(answer["bindings"].as_array().unwrap().len(), 1);
    let body = json!({"policy": {}, "updateMask": "binding"});
    assert_eq!(ask(&simulator, "POST", &format!("{name}:setIamPolicy"), &body).0, 400);
}

#[test]
fn members_and_roles_that_do_not_exist_are_not_bound() {
    let simulator = world(WORLD);
    let name = "/v3/projects/prod-b2";
    let bind = |role: &str, member: &str| {
        let (status, json) =
            set(&simulator, name, &json!({"bindings": [{"role": role, "members": [member]}]}));
        (status, json["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    for known in [
        "user:a@acme.com",
        "user:who@else.com",
        "group:x@acme.com",
        "serviceAccount:ci@dev-a1.iam.gserviceaccount.com",
        "serviceAccount:x@unknown.iam.gserviceaccount.com",
        "serviceAccount:12@cloudbuild.gserviceaccount.com",
        "domain:acme.com",
        "principalSet://iam.googleapis.com/projects/11/locations/global/workloadIdentityPools/gitlab/*",
        "deleted:user:gone@acme.com?uid=1",
    ] {
        assert_eq!(bind("roles/viewer", known).0, 200, "{known}");
    }
    for unknown in [
        "user:nobody@acme.com",
        "user:c@acme.com",
        "group:n@acme.com",
        "serviceAccount:n@dev-a1.iam.gserviceaccount.com",
    ] {
        let (status, message) = bind("roles/viewer", unknown);
        assert_eq!(status, 400, "{unknown}");
        assert!(message.ends_with("does not exist."), "{message}");
    }
    for wrong in ["allUsers", "nobody", "robot:a@acme.com", "user:a"] {
        assert_eq!(bind("roles/viewer", wrong).0, 400, "{wrong}");
    }
    assert_eq!(bind("organizations/123456789012/roles/ci_viewer", "user:a@acme.com").0, 200);
    for role in ["organizations/123456789012/roles/none", "projects/dev-a1/roles/x", "viewer", "roles/"] {
        assert_eq!(bind(role, "user:a@acme.com").0, 400, "{role}");
    }
    assert_eq!(
        refused(&simulator, "POST", "/v3/projects/none:getIamPolicy", &Json::Null),
        is(403, "PERMISSION_DENIED")
    );
    assert_eq!(set(&simulator, "/v3/projects/old-c3", &json!({"bindings": []})).0, 400);
}

#[test]
fn who_is_deleted_stays_in_policies_as_such() {
    let simulator = world(WORLD);
    let account = "/v1/projects/dev-a1/serviceAccounts/ci@dev-a1.iam.gserviceaccount.com";
    let members = || policy(&simulator, "/v3/projects/dev-a1")["bindings"].clone();
    let etag = policy(&simulator, "/v3/projects/dev-a1")["etag"].clone();
    assert_eq!(ask(&simulator, "DELETE", account, &Json::Null).0, 200);
    let deleted = "deleted:serviceAccount:ci@dev-a1.iam.gserviceaccount.com?uid=21";
    assert_eq!(members()[0]["members"][0], deleted);
    assert_ne!(policy(&simulator, "/v3/projects/dev-a1")["etag"], etag);
    assert_eq!(refused(&simulator, "GET", account, &Json::Null), is(404, "NOT_FOUND"));
    assert_eq!(
        simulator.world().gcp.groups["x@acme.com"].members.len(),
        4,
        "and no member of a group any more"
    );
    let (status, json) = ask(&simulator, "POST", "/v1/projects/-/serviceAccounts/21:undelete", &Json::Null);
    assert_eq!((status, &json["restoredAccount"]["uniqueId"]), (200, &json!("21")));
    assert_eq!(members()[0]["members"][0], "serviceAccount:ci@dev-a1.iam.gserviceaccount.com");
    assert_eq!(ask(&simulator, "DELETE", "/v1/groups/0x", &Json::Null).1["done"], true);
    assert_eq!(members()[0]["members"][1], "deleted:group:x@acme.com?uid=0x");
    assert_eq!(ask(&simulator, "DELETE", "/admin/directory/v1/users/a@acme.com", &Json::Null).0, 204);
    assert_eq!(members()[1]["members"][0], "deleted:user:a@acme.com?uid=101");
    let mut same = policy(&simulator, "/v3/projects/dev-a1");
    same["bindings"].as_array_mut().unwrap().remove(1);
    assert_eq!(set(&simulator, "/v3/projects/dev-a1", &same).0, 200, "the deleted are no obstacle");
}

#[test]
fn groups_and_memberships_come_and_go() {
    let simulator = world(WORLD);
    let body = json!({"groupKey": {"id": "New@acme.com"}, "parent": "customers/C01acme", "displayName": "New",
        "labels": {"cloudidentity.googleapis.com/groups.discussion_forum": ""}});
    let create = |body: &Json| ask(&simulator, "POST", "/v1/groups?initialGroupConfig=EMPTY", body);
    let (status, made) = create(&body);
    assert_eq!(
        (status, &made["done"], &made["response"]["groupKey"]["id"]),
        (200, &json!(true), &json!("new@acme.com"))
    );
    assert_eq!(create(&body).0, 409);
    for (field, value) in [
        ("groupKey", json!({"id": "a@else.com"})),
        ("labels", json!({})),
        ("groupKey", json!({"id": "a@acme.com"})),
    ] {
        let mut wrong = body.clone();
        wrong[field] = value;
        assert_ne!(create(&wrong).0, 200, "{wrong}");
    }
    let name = made["response"]["name"].as_str().unwrap();
    assert_eq!(read(&simulator, "/v1/groups:lookup?groupKey.id=new@acme.com")["name"], name);
    let patched =
        ask(&simulator, "PATCH", &format!("/v1/{name}?updateMask=description"), &json!({"description": "d"}));
    assert_eq!(patched.1["response"]["description"], "d");
    let path = format!("/v1/{name}/memberships");
    let add = |email: &str, roles: Json| {
        ask(&simulator, "POST", &path, &json!({"preferredMemberKey": {"id": email}, "roles": roles}))
    };
    let (status, member) = add("a@acme.com", json!([{"name": "MEMBER"}]));
    assert_eq!((status, &member["response"]["type"]), (200, &json!("USER")));
    assert_eq!(add("a@acme.com", json!([{"name": "MEMBER"}])).0, 409);
    assert_eq!(add("nobody@acme.com", json!([{"name": "MEMBER"}])).0, 404);
    assert_eq!(add("b@acme.com", json!([{"name": "OWNER"}])).0, 400);
    assert_eq!(add("who@else.com", json!([{"name": "MEMBER"}])).0, 200);
    let member = format!("/v1/{}", member["response"]["name"].as_str().unwrap());
    assert_eq!(read(&simulator, &member)["preferredMemberKey"]["id"], "a@acme.com");
    let modify = |body: Json| ask(&simulator, "POST", &format!("{member}:modifyMembershipRoles"), &body).0;
    assert_eq!(modify(json!({"addRoles": [{"name": "OWNER"}], "removeRoles": ["MEMBER"]})), 400);
    assert_eq!(modify(json!({"addRoles": [{"name": "OWNER"}]})), 200);
    assert_eq!(modify(json!({"removeRoles": ["OWNER"]})), 200);
    let update = json!([{"fieldMask": "expiryDetail.expireTime", "membershipRole": {"name": "MEMBER", "expiryDetail": {"expireTime": "2026-11-22T17:30:00Z"}}}]);
    assert_eq!(modify(json!({"updateRolesParams": update, "addRoles": [{"name": "OWNER"}]})), 400);
    assert_eq!(modify(json!({"updateRolesParams": update})), 200);
    let direct = "/v1/groups/-/memberships:searchDirectGroups?query=member_key_id%3D%3D'a@acme.com'";
    assert_eq!(all(&simulator, direct, "memberships").len(), 3);
    assert_eq!(ask(&simulator, "DELETE", &member, &Json::Null).0, 200);
    assert_eq!(ask(&simulator, "DELETE", &member, &Json::Null).0, 404);
    let dynamic = json!({"preferredMemberKey": {"id": "b@acme.com"}, "roles": [{"name": "MEMBER"}]});
    assert_eq!(ask(&simulator, "POST", "/v1/groups/0z/memberships", &dynamic).0, 400);
    assert_eq!(refused(&simulator, "GET", "/v1/groups/none", &Json::Null), is(403, "PERMISSION_DENIED"));
}

#[test]
fn a_membership_ends_by_the_worlds_clock() {
    let simulator = world(WORLD);
    let members = || all(&simulator, "/v1/groups/0x/memberships", "memberships").len();
    let lookup = "/v1/groups/0x/memberships:lookup?memberKey.id=a@acme.com";
    assert_eq!((members(), ask(&simulator, "GET", lookup, &Json::Null).0), (5, 200));
    simulator.clock().advance(std::time::Duration::from_secs(3600));
    assert_eq!((members(), ask(&simulator, "GET", lookup, &Json::Null).0), (4, 404));
    let body = json!({"preferredMemberKey": {"id": "a@acme.com"}, "roles": [{"name": "MEMBER", "expiryDetail": {"expireTime": "2026-11-22T17:30:00Z"}}]});
    assert_eq!(ask(&simulator, "POST", "/v1/groups/0x/memberships", &body).0, 400, "that is in the past");
}

#[test]
fn people_are_signed_out_and_apps_shut_out() {
    let simulator = world(WORLD);
    let users = "/admin/directory/v1/users";
    assert_eq!(read(&simulator, &format!("{users}/101"))["primaryEmail"], "a@acme.com");
    assert_eq!(read(&simulator, &format!("{users}/b@acme.com"))["suspended"], true);
    assert_eq!(ask(&simulator, "POST", &format!("{users}/a@acme.com/signOut"), &Json::Null).0, 204);
    assert_eq!(simulator.world().gcp.users["a@acme.com"].sessions, 0);
    assert_eq!(read(&simulator, &format!("{users}/a@acme.com/tokens"))["items"][0]["clientId"], "app");
    assert_eq!(ask(&simulator, "DELETE", &format!("{users}/a@acme.com/tokens/app"), &Json::Null).0, 204);
    assert_eq!(ask(&simulator, "DELETE", &format!("{users}/a@acme.com/tokens/app"), &Json::Null).0, 404);
    assert_eq!(ask(&simulator, "GET", &format!("{users}/c@acme.com"), &Json::Null).0, 404);
    assert_eq!(read(&simulator, "/oauth2/v2/userinfo")["email"], "rolecall@iam-a.iam.gserviceaccount.com");
}

#[tokio::test]
async fn faults_speak_as_google_does() {
    let simulator = world(WORLD);
    let mut reasons = Vec::new();
    for _ in 0..4 {
        simulator.faults().once("GET /v3/projects:search", Fault::Throttled);
        let answer = simulator.call(google("GET", "/v3/projects:search", &Json::Null)).await.unwrap();
        let json = json_of(&answer);
        reasons.push(format!(
            "{} {}",
            answer.status().as_u16(),
            json["error"]["errors"][0]["reason"].as_str().unwrap()
        ));
    }
    reasons.sort();
    assert_eq!(
        reasons,
        ["403 quotaExceeded", "403 rateLimitExceeded", "403 userRateLimitExceeded", "429 rateLimitExceeded"]
    );
    for (fault, status, word) in [
        (Fault::ThrottledSilently, 429, "RESOURCE_EXHAUSTED"),
        (Fault::Denied, 403, "PERMISSION_DENIED"),
        (Fault::Unauthorized, 401, "UNAUTHENTICATED"),
        (Fault::Status(503), 503, "UNAVAILABLE"),
        (Fault::Status(500), 500, "INTERNAL"),
    ] {
        simulator.faults().once("GET /v3/*", fault);
        let answer = simulator.call(google("GET", "/v3/folders:search", &Json::Null)).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let json = json_of(&answer);
        assert_eq!((&json["error"]["status"], json["error"].get("details")), (&json!(word), None));
    }
    let mut request = google("GET", "/v3/projects:search", &Json::Null);
    request.headers_mut().insert("authorization", "Bearer ".parse().unwrap());
    assert_eq!(simulator.handle(&request).status(), 401);
    request.headers_mut().remove("authorization");
    assert_eq!(simulator.handle(&request).status(), 401);
    assert_eq!(refused(&simulator, "GET", "/v1/nothing", &Json::Null), is(404, "NOT_FOUND"));
    assert_eq!(ask(&simulator, "POST", "/v1/groups", &json!("{")).0, 400);
}

#[test]
fn others_bind_and_unbind_and_change_groups_meanwhile() {
    let simulator = world(WORLD);
    let (role, member) = ("roles/browser".to_owned(), "user:b@acme.com".to_owned());
    let group = "x@acme.com".to_owned();
    let all = ["organization", "folders/eng/dev", "projects/dev-a1", "projects/nothing"];
    let edit = |edit: Edit| simulator.edit(|world| edit.make(world)).unwrap();
    let etag = policy(&simulator, "/v3/folders/2")["etag"].clone();
    for on in all {
        edit(Edit::Bind { on: on.to_owned(), role: role.clone(), member: member.clone() });
    }
    assert_eq!(policy(&simulator, "/v3/folders/2")["bindings"], json!([{"role": role, "members": [member]}]));
    assert_ne!(policy(&simulator, "/v3/folders/2")["etag"], etag);
    for on in all {
        edit(Edit::Unbind { on: on.to_owned(), role: role.clone(), member: member.clone() });
    }
    assert_eq!(policy(&simulator, "/v3/folders/2").get("bindings"), None);
    edit(Edit::Unbind {
        on: "projects/dev-a1".into(),
        role: "roles/logging.viewer".into(),
        member: "user:a@acme.com".into(),
    });
    assert_eq!(policy(&simulator, "/v3/projects/dev-a1")["version"], 1, "whatever the condition");
    edit(Edit::AddGroupMember { group: group.clone(), member: "new@else.com".into() });
    edit(Edit::RemoveGroupMember { group, member: "a@acme.com".into() });
    let members = simulator.world().gcp.groups["x@acme.com"].members.clone();
    assert!(members["new@else.com"].roles.contains("MEMBER") && !members.contains_key("a@acme.com"));
}

#[test]
fn a_write_that_only_counts_has_changed_nothing() {
    let simulator = world(WORLD);
    simulator.watch();
    let rename = |name: &str| {
        let body = json!({"displayName": name});
        ask(&simulator, "PATCH", "/v3/projects/prod-b2?updateMask=displayName", &body).0
    };
    assert_eq!((rename("Name"), rename("Name")), (200, 200));
    let changed: Vec<bool> = simulator.watched().iter().map(|written| written.changed).collect();
    assert_eq!(changed, [true, false]);
}

#[test]
fn reads_and_writes_are_counted_apart_by_the_minute() {
    let limited = "limits: { reads_per_minute: 2, writes_per_minute: 1 }";
    let simulator = world(&WORLD.replace("customer: C01acme", &format!("customer: C01acme\n  {limited}")));
    let get = || ask(&simulator, "GET", "/v3/projects:search", &Json::Null).0;
    let put = || ask(&simulator, "PUT", "/v1/projects/prod-b2/billingInfo", &json!({})).0;
    assert_eq!((get(), get(), put()), (200, 200, 200));
    assert!([403, 429].contains(&get()) && [403, 429].contains(&put()));
    assert_eq!(simulator.throttled(), 2);
    simulator.clock().advance(std::time::Duration::from_secs(60));
    assert_eq!((get(), put()), (200, 200));
}
