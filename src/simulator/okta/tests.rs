//! Tests of Okta's side.

use http::StatusCode;
use serde_json::{Value as Json, json};

use super::super::Simulator;
use super::super::tests::{json_of, okta, world};

const WORLD: &str = "
now: 2026-11-22T17:00:00Z
page_size: 2
okta:
  token_owner: svc@acme.com
  users:
    - { login: a@acme.com, id: 00ua, profile: { firstName: Ann, lastName: A, department: Eng } }
    - { login: b@acme.com, id: 00ub, status: SUSPENDED }
    - { login: c@acme.com, id: 00uc, status: DEPROVISIONED }
    - { login: d@acme.com, id: 00ud }
    - { login: svc@acme.com, id: 00us }
  groups:
    - { name: Everyone, id: 00g0, type: BUILT_IN }
    - { name: mixed, id: 00g1, members: [a@acme.com, c@acme.com] }
    - { name: from_ad, id: 00g2, type: APP_GROUP, members: [a@acme.com] }
    - { name: plain, id: 00g3, description: plain }
  rules:
    - { name: by rule, groups: [mixed], members: [b@acme.com, d@acme.com, c@acme.com] }
    - { name: asleep, status: INACTIVE, groups: [plain], members: [d@acme.com] }
";

fn ask(simulator: &Simulator, method: &str, path: &str, body: &Json) -> (u16, Json) {
    let answer = simulator.handle(&okta(method, path, body));
    let json = if answer.body().is_empty() { Json::Null } else { json_of(&answer) };
    (answer.status().as_u16(), json)
}

/// All pages of a list.
fn all(simulator: &Simulator, path: &str) -> Vec<Json> {
    let (mut items, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next.take() {
        let answer = simulator.handle(&okta("GET", &path, &Json::Null));
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let page = json_of(&answer).as_array().unwrap().clone();
        assert!(page.len() <= 2, "{path}");
        items.extend(page);
        let links = answer.headers().get_all("link").iter().map(|link| link.to_str().unwrap());
        next = links.filter(|link| link.ends_with("rel=\"next\"")).map(address).next();
    }
    items
}

fn address(link: &str) -> String {
    let url = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    url.strip_prefix("https://acme.okta.com/api/v1").unwrap().to_owned()
}

fn logins(users: &[Json]) -> Vec<&str> {
    users.iter().map(|user| user["profile"]["login"].as_str().unwrap().split('@').next().unwrap()).collect()
}

#[test]
fn invariant_41_a_plain_list_has_no_one_who_left_and_a_search_by_status_has() {
    let simulator = world(WORLD);
    assert_eq!(logins(&all(&simulator, "/users")), ["a", "b", "d", "svc"]);
    assert_eq!(logins(&all(&simulator, "/users?limit=1&search=status%20eq%20%22DEPROVISIONED%22")), ["c"]);
    assert_eq!(logins(&all(&simulator, "/users?filter=status+eq+%22SUSPENDED%22")), ["b"]);
    assert_eq!(logins(&all(&simulator, "/users?search=profile.department+eq+%22eng%22")), ["a"]);
    assert_eq!(logins(&all(&simulator, "/users?q=an")), ["a"]);
    assert_eq!(ask(&simulator, "GET", "/users?search=nonsense", &Json::Null).1["errorCode"], "E0000031");
    assert_eq!(ask(&simulator, "GET", "/users?limit=0", &Json::Null).1["errorCode"], "E0000001");
    assert_eq!(ask(&simulator, "GET", "/users?after=zz", &Json::Null).0, 400);
}

#[test]
fn members_are_those_put_in_by_hand_and_by_active_rules() {
    let simulator = world(WORLD);
    assert_eq!(logins(&all(&simulator, "/groups/00g0/users")), ["a", "b", "d", "svc"]);
    assert_eq!(logins(&all(&simulator, "/groups/00g1/users?limit=200")), ["a", "b", "c", "d"]);
    assert!(all(&simulator, "/groups/00g3/users").is_empty());
    let groups_of = |user: &str| -> Vec<String> {
        let groups = all(&simulator, &format!("/users/{user}@acme.com/groups"));
        groups.iter().map(|group| group["profile"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(groups_of("d"), ["Everyone", "mixed"]);
    assert_eq!(groups_of("a"), ["Everyone", "mixed", "from_ad"]);
    assert_eq!(groups_of("c"), ["mixed"], "who has left is not in Everyone");
    assert_eq!(ask(&simulator, "GET", "/users/x@acme.com/groups", &Json::Null).0, 404);
    let rules = all(&simulator, "/groups/rules");
    let by_rule = rules.iter().find(|rule| rule["name"] == "by rule").unwrap();
    assert_eq!(by_rule["actions"]["assignUserToGroups"]["groupIds"], json!(["00g1"]));
    assert_eq!(by_rule["status"], "ACTIVE");
}

#[test]
fn people_are_in_everyone_also_where_the_file_has_no_such_group() {
    let simulator = world(
        "{ now: 2026-11-22T17:00:00Z, page_size: 2, okta: { users: [{ login: a@acme.com }, { login: b@acme.com }],
           groups: [{ name: x, id: 00g0, members: [a@acme.com] }, { name: y, id: 00gz, members: [a@acme.com] }] } }",
    );
    let names = |path: &str| -> Vec<String> {
        all(&simulator, path).iter().map(|it| it["profile"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut groups = names("/users/a@acme.com/groups");
    groups.sort();
    assert_eq!(groups, ["Everyone", "x", "y"]);
    assert_eq!(names("/users/b@acme.com/groups"), ["Everyone"]);
    assert_eq!(names("/groups"), ["x", "y"]);
}

#[test]
fn members_come_and_go_by_hand_but_not_against_a_rule() {
    let simulator = world(WORLD);
    let put = |group: &str, user: &str| {
        ask(&simulator, "PUT", &format!("/groups/{group}/users/{user}"), &Json::Null).0
    };
    let delete = |group: &str, user: &str| {
        ask(&simulator, "DELETE", &format!("/groups/{group}/users/{user}"), &Json::Null).0
    };
    assert_eq!((put("00g3", "00ud"), put("00g3", "00ud")), (204, 204));
    assert_eq!(logins(&all(&simulator, "/groups/00g3/users")), ["d"]);
    assert_eq!((delete("00g3", "00ud"), delete("00g3", "00ud")), (204, 204));
    assert_eq!(delete("00g1", "00ub"), 403, "a rule put him in");
    assert_eq!((delete("00g1", "00uc"), delete("00g1", "00ua")), (204, 204));
    assert_eq!(logins(&all(&simulator, "/groups/00g1/users")), ["b", "d"]);
    assert_eq!((put("00g0", "00ud"), put("00g2", "00ud"), delete("00g2", "00ua")), (403, 403, 403));
    assert_eq!((put("00g3", "00uc"), put("00g3", "00ux"), put("00gx", "00ua")), (403, 404, 404));
}

#[test]
fn a_group_is_created_renamed_and_deleted() {
    let simulator = world(WORLD);
    let profile =
        |name: &str, description: &str| json!({"profile": {"name": name, "description": description}});
    let (status, group) = ask(&simulator, "POST", "/groups", &profile("new", "words"));
    assert_eq!(
        (status, &group["type"], &group["profile"]["description"]),
        (200, &json!("OKTA_GROUP"), &json!("words"))
    );
    assert_eq!(group["created"], "2026-11-22T17:00:00.000Z");
    let id = group["id"].as_str().unwrap();
    let (status, error) = ask(&simulator, "POST", "/groups", &profile("new", ""));
    assert_eq!((status, &error["errorCode"]), (400, &json!("E0000001")));
    assert!(
        error["errorCauses"][0]["errorSummary"]
            .as_str()
            .unwrap()
            .contains("An object with this field already exists")
    );
    assert_eq!(
        ask(&simulator, "POST", "/groups", &profile("from_ad", "")).0,
        200,
        "an app may have the name"
    );
    assert_eq!(ask(&simulator, "PUT", &format!("/groups/{id}"), &profile("plain", "")).0, 400);
    let (status, renamed) = ask(&simulator, "PUT", &format!("/groups/{id}"), &profile("newer", ""));
    assert_eq!((status, &renamed["id"], renamed["profile"].get("description")), (200, &group["id"], None));
    assert_eq!(ask(&simulator, "DELETE", &format!("/groups/{id}"), &Json::Null), (204, Json::Null));
    let (status, error) = ask(&simulator, "GET", &format!("/groups/{id}"), &Json::Null);
    assert_eq!((status, &error["errorCode"]), (404, &json!("E0000007")));
    let (_, again) = ask(&simulator, "POST", "/groups", &profile("newer", ""));
    assert_ne!(again["id"], group["id"], "an id is never given twice");
    for id in ["00g0", "00g2"] {
        assert_eq!(ask(&simulator, "DELETE", &format!("/groups/{id}"), &Json::Null).0, 403);
        assert_eq!(ask(&simulator, "PUT", &format!("/groups/{id}"), &profile("x", "")).0, 403);
    }
    assert_eq!(ask(&simulator, "POST", "/groups", &json!({"profile": {"nmae": "x"}})).0, 400);
}

#[test]
fn groups_are_listed_by_name_type_and_prefix() {
    let simulator = world(WORLD);
    assert_eq!(all(&simulator, "/groups").len(), 4);
    assert_eq!(all(&simulator, "/groups?filter=type+eq+%22OKTA_GROUP%22").len(), 2);
    assert_eq!(all(&simulator, "/groups?search=profile.name+sw+%22pl%22").len(), 1);
    assert_eq!(all(&simulator, "/groups?q=FROM").len(), 1);
}

#[test]
fn a_user_is_created_suspended_deactivated_and_deleted() {
    let simulator = world(WORLD);
    let body =
        json!({"profile": {"login": "e@acme.com", "email": "e@acme.com", "firstName": "E", "lastName": "E"}});
    let (status, user) = ask(&simulator, "POST", "/users?activate=false", &body);
    assert_eq!((status, &user["status"]), (200, &json!("STAGED")));
    assert_eq!(ask(&simulator, "POST", "/users", &body).1["errorCode"], "E0000001");
    let turn =
        |step: &str| ask(&simulator, "POST", &format!("/users/e@acme.com/lifecycle/{step}"), &Json::Null).0;
    assert_eq!((turn("suspend"), turn("activate"), turn("suspend"), turn("unsuspend")), (400, 200, 200, 200));
    let (_, changed) = ask(&simulator, "POST", "/users/e@acme.com", &json!({"profile": {"title": "Dr"}}));
    assert_eq!((&changed["profile"]["title"], &changed["profile"]["firstName"]), (&json!("Dr"), &json!("E")));
    assert_eq!(ask(&simulator, "PUT", "/groups/00g3/users/e@acme.com", &Json::Null).0, 204);
    let delete = || ask(&simulator, "DELETE", "/users/e@acme.com", &Json::Null).0;
    assert_eq!(delete(), 204);
    assert_eq!(ask(&simulator, "GET", "/users/e@acme.com", &Json::Null).1["status"], "DEPROVISIONED");
    assert_eq!(delete(), 204);
    assert_eq!(delete(), 404);
    assert!(all(&simulator, "/groups/00g3/users").is_empty());
    assert_eq!(ask(&simulator, "GET", "/users/me", &Json::Null).1["id"], "00us");
}

#[test]
fn sessions_end_as_often_as_asked_and_only_of_somebody() {
    let simulator = world(WORLD);
    let end = |path: &str| ask(&simulator, "DELETE", path, &Json::Null).0;
    assert_eq!(end("/users/me/sessions?oauthTokens=true&forgetDevices=true"), 204);
    assert_eq!(end("/users/me/sessions"), 204);
    assert_eq!(end("/users/nobody@acme.com/sessions"), 404);
    assert_eq!(end("/users/me/sessions?oauthTokens=1"), 400);
}

#[test]
fn what_is_no_request_is_refused_as_okta_does() {
    let simulator = world(WORLD);
    let mut request = okta("GET", "/users/me", &Json::Null);
    request.headers_mut().remove("authorization");
    let answer = simulator.handle(&request);
    assert_eq!(
        (answer.status(), json_of(&answer)["errorCode"].as_str()),
        (StatusCode::UNAUTHORIZED, Some("E0000011"))
    );
    assert_eq!(ask(&simulator, "GET", "/nothing", &Json::Null).1["errorCode"], "E0000008");
    assert_eq!(ask(&simulator, "PATCH", "/groups", &Json::Null).1["errorCode"], "E0000022");
    assert_eq!(ask(&simulator, "POST", "/groups", &json!("{")).0, 400);
    assert_eq!(ask(&simulator, "GET", "/org", &Json::Null).0, 200);
}

#[test]
fn a_rule_is_made_activated_and_deleted_and_a_deleted_group_invalidates_it() {
    let simulator = world(WORLD);
    let body = json!({"type": "group_rule", "name": "new", "conditions": {"expression": {"value": "true", "type": "urn:okta:expression:1.0"}},
        "actions": {"assignUserToGroups": {"groupIds": ["00g3"]}}});
    let (status, rule) = ask(&simulator, "POST", "/groups/rules", &body);
    assert_eq!((status, &rule["status"]), (200, &json!("INACTIVE")));
    let path = format!("/groups/rules/{}", rule["id"].as_str().unwrap());
    assert_eq!(ask(&simulator, "POST", &format!("{path}/lifecycle/activate"), &Json::Null).0, 204);
    assert_eq!(
        (ask(&simulator, "DELETE", &path, &Json::Null).0, ask(&simulator, "PUT", &path, &body).0),
        (400, 400)
    );
    assert_eq!(ask(&simulator, "DELETE", "/groups/00g3", &Json::Null).0, 204);
    assert_eq!(ask(&simulator, "GET", &path, &Json::Null).1["status"], "INVALID");
    assert_eq!(ask(&simulator, "DELETE", &path, &Json::Null).0, 202);
}
