//! Tests of the Okta provider over a small Okta of canned answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::*;
use crate::model::span::Entry;
use crate::model::{
    Approval, Attributes, Collection, Coverage, Digest, GrantKey, Lowered, Lowering, Node, NodeValue, Origin,
    Ruling, Sources, Span, Spanned, Status, Verdict,
};
use crate::provider::conformance::{create, delete, grant, revoke, tells_what_is_missing, update};
use crate::provider::scripted::{Exchange, Scripted, answer};
use crate::provider::{Clock, Effect, TransportError, VirtualClock};

/// A mapping of texts, as YAML would give it.
pub(super) fn node(entries: &[(&str, &str)]) -> Node {
    let span = |column| Span { file: "x.yaml".into(), line: 1, column, length: 1 };
    let entries = entries.iter().zip(1..).map(|((key, value), column)| Entry {
        key: Spanned { value: (*key).to_owned(), span: span(column * 10) },
        value: Node { value: NodeValue::Text((*value).to_owned()), span: span(column * 10 + 5) },
    });
    Node { value: NodeValue::Map(entries.collect()), span: span(1) }
}

/// Lists by path, each in pages of `size`, and faults by the beginning of `METHOD /path`.
struct Org {
    lists: BTreeMap<&'static str, Vec<Json>>,
    size: usize,
    faults: Vec<(&'static str, Exchange)>,
}

fn user(id: &str, login: &str, status: &str) -> Json {
    json!({ "id": id, "status": status, "profile": { "login": login, "department": "eng", "level": 3, "tags": ["x"] } })
}

fn group(id: &str, name: &str, sort: &str) -> Json {
    json!({ "id": id, "type": sort, "profile": { "name": name, "description": null, "custom": "kept" } })
}

fn org() -> Org {
    let here = vec![
        user("00u1", "Klibby@Acme.com", "ACTIVE"),
        user("00u2", "staged@acme.com", "STAGED"),
        user("00u3", "new@acme.com", "PROVISIONED"),
        user("00u4", "locked@acme.com", "LOCKED_OUT"),
        user("00u5", "out@acme.com", "SUSPENDED"),
    ];
    let groups = vec![
        group("00g1", "app.gitlab", "OKTA_GROUP"),
        group("00g2", "app.gitlab", "APP_GROUP"),
        group("00g3", "Everyone", "BUILT_IN"),
        group("00g4", "sales", "OKTA_GROUP"),
    ];
    let rules = vec![
        json!({ "name": "sales people", "status": "ACTIVE", "actions": { "assignUserToGroups": { "groupIds": ["00g4"] } },
            "conditions": { "people": { "users": { "exclude": ["00u4"] } } } }),
        json!({ "name": "old", "status": "INACTIVE", "actions": { "assignUserToGroups": { "groupIds": ["00g1"] } } }),
    ];
    let sales = vec![
        user("00u1", "klibby@acme.com", "ACTIVE"),
        user("00u4", "locked@acme.com", "LOCKED_OUT"),
        user("00u9", "gone@acme.com", "DEPROVISIONED"),
    ];
    let lists = BTreeMap::from([
        ("/api/v1/users", here),
        ("left", vec![user("00u9", "gone@acme.com", "DEPROVISIONED")]),
        ("/api/v1/groups", groups),
        ("/api/v1/groups/rules", rules),
        ("/api/v1/groups/00g1/users", vec![user("00u1", "klibby@acme.com", "ACTIVE")]),
        ("/api/v1/groups/00g2/users", vec![]),
        ("/api/v1/groups/00g3/users", vec![user("00u1", "klibby@acme.com", "ACTIVE")]),
        ("/api/v1/groups/00g4/users", sales),
    ]);
    Org { lists, size: 2, faults: Vec::new() }
}

impl Org {
    fn fault(mut self, call: &'static str, exchange: Exchange) -> Self {
        self.faults.push((call, exchange));
        self
    }

    fn respond(&mut self, request: &http::Request<Bytes>) -> Exchange {
        let target = request.uri().path_and_query().unwrap().as_str();
        let line = format!("{} {target}", request.method());
        if let Some(at) = self.faults.iter().position(|(call, _)| line.starts_with(call)) {
            // Reading fails as often as it is tried; a write fails once.
            let reads = request.method() == http::Method::GET;
            return if reads { self.faults[at].1.clone() } else { self.faults.remove(at).1 };
        }
        let path = request.uri().path();
        let query: BTreeMap<_, _> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        match (request.method().as_str(), query.get("filter"), query.get("q")) {
            ("GET", Some(filter), _) => {
                assert_eq!(filter, r#"status eq "DEPROVISIONED""#);
                self.page("left", &query, path)
            }
            ("GET", None, Some(start)) => {
                let found: Vec<_> = self.lists[path]
                    .iter()
                    .filter(|group| group["profile"]["name"].as_str().unwrap().starts_with(start.as_str()))
                    .collect();
                answer(200, &json!(found).to_string())
            }
            ("GET", ..) if self.lists.contains_key(path) => self.page(path, &query, path),
            ("GET", ..) => {
                let (list, id) = path.rsplit_once('/').unwrap();
                let found = self.lists.get(list).and_then(|list| list.iter().find(|item| item["id"] == id));
                found.map_or_else(not_found, |item| answer(200, &item.to_string()))
            }
            ("POST", ..) => {
                let body: Json = serde_json::from_slice(request.body()).unwrap();
                let groups = self.lists.get_mut(path).unwrap();
                if groups.iter().any(|group| group["profile"]["name"] == body["profile"]["name"]) {
                    return answer(
                        400,
                        r#"{"errorCode":"E0000001","errorSummary":"Api validation failed: name"}"#,
                    );
                }
                let group = json!({ "id": "00gnew", "type": "OKTA_GROUP", "profile": body["profile"] });
                groups.push(group.clone());
                answer(200, &group.to_string())
            }
            _ => answer(204, ""),
        }
    }

    fn page(&self, list: &str, query: &BTreeMap<String, String>, path: &str) -> Exchange {
        assert_eq!(query["limit"], "200");
        let start: usize = query.get("after").map_or(0, |after| after.parse().unwrap());
        let all = &self.lists[list];
        let end = (start + self.size).min(all.len());
        let mut page = answer(200, &json!(all[start..end]).to_string()).unwrap();
        if end < all.len() {
            let filter = query
                .get("filter")
                .map_or_else(String::new, |filter| format!("&filter={}", client::encoded(filter)));
            let link =
                format!("<https://elsewhere.example{path}?after={end}&limit=200{filter}>; rel=\"next\"");
            page.headers_mut().append("link", link.parse().unwrap());
        }
        Ok(page)
    }
}

fn not_found() -> Exchange {
    answer(404, r#"{"errorCode":"E0000007","errorSummary":"Not found"}"#)
}

fn lost() -> Exchange {
    Err(TransportError { message: "connection reset".into(), maybe_sent: true })
}

fn denied() -> Exchange {
    answer(403, r#"{"errorCode":"E0000006","errorSummary":"You do not have permission"}"#)
}

struct Case {
    okta: Box<dyn Provider>,
    transport: Arc<Scripted>,
}

fn settings(options: Node) -> ProviderSettings {
    ProviderSettings { instance: "okta".into(), provider: "okta".into(), options, scope: Default::default() }
}

fn open_with(transport: Arc<Scripted>) -> Box<dyn Provider> {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::at(Timestamp::UNIX_EPOCH));
    let wiring =
        Wiring { transport: Some(transport), clock, credentials: Arc::new(|_| Some("00token".into())) };
    open(&settings(node(&[("url", "https://acme.okta.com")])), &wiring).unwrap()
}

fn case(org: Org) -> Case {
    let org = Mutex::new(org);
    let transport = Arc::new(Scripted::by(move |request| org.lock().unwrap().respond(request)));
    Case { okta: open_with(transport.clone()), transport }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn set(addresses: &[&str]) -> BTreeSet<Address> {
    addresses.iter().map(|text| address(text)).collect()
}

fn permit(changes: &[&Change]) -> Permit {
    let effects: BTreeSet<Digest> = changes.iter().map(|change| change.effect.clone()).collect();
    Permit::new(Verdict::new(Ruling::Allowed, effects), Approval::Simulated)
}

fn member(login: &str, group: &str) -> GrantKey {
    GrantKey::new(&user::address("okta", login), group::MEMBER, &address(group))
}

impl Case {
    async fn write(&self, live: &Snapshot, change: &Change) -> Result<Outcome, Error> {
        self.okta.writer(&permit(&[change]), live).write(change).await
    }

    /// What was written, without what was read.
    fn writes(&self) -> Vec<String> {
        self.transport.lines().into_iter().filter(|line| !line.starts_with("GET")).collect()
    }
}

#[tokio::test]
async fn invariant_41_people_are_read_by_status_leavers_too() {
    let case = case(org());
    let inventory = case.okta.inventory().await;
    assert_eq!(inventory.incomplete, Vec::<String>::new());
    let found: Vec<_> = inventory
        .records
        .iter()
        .map(|record| (record.address.as_ref().unwrap().name().into_owned(), record.status))
        .collect();
    assert_eq!(
        found,
        [
            ("gone@acme.com".to_owned(), Status::Left),
            ("klibby@acme.com".to_owned(), Status::Active),
            ("locked@acme.com".to_owned(), Status::Active),
            ("new@acme.com".to_owned(), Status::Active),
            ("out@acme.com".to_owned(), Status::Suspended),
            ("staged@acme.com".to_owned(), Status::Staged),
        ]
    );
    let profile = &inventory.records[1].profile;
    assert_eq!((profile["login"].as_ref(), profile["level"].as_ref()), ("Klibby@Acme.com", "3"));
    assert!(!profile.contains_key("tags"));
}

#[tokio::test]
async fn invariant_11_a_page_that_fails_makes_the_inventory_incomplete() {
    let case = case(org().fault("GET /api/v1/users?after=4", denied()));
    let inventory = case.okta.inventory().await;
    assert_eq!(inventory.incomplete.len(), 1);
    assert!(inventory.incomplete[0].contains("breaks off after 4"), "{:?}", inventory.incomplete);
    assert_eq!(inventory.records.len(), 5);
    let live = case.okta.observe(&BTreeSet::new()).await;
    assert!(matches!(live.coverage["okta:user"], Coverage::Partial(_)));
}

#[tokio::test]
async fn a_status_that_is_not_known_is_told() {
    let mut org = org();
    org.lists.get_mut("/api/v1/users").unwrap().push(user("00u7", "odd@acme.com", "FROZEN"));
    let inventory = case(org).okta.inventory().await;
    assert_eq!(
        inventory.incomplete,
        ["`okta:user/odd@acme.com` has the status `FROZEN`, which is not known"]
    );
}

#[tokio::test]
async fn all_is_observed_with_few_calls() {
    let mut org = org();
    org.size = 200;
    let case = case(org);
    case.okta.inventory().await;
    let live =
        case.okta.observe(&set(&["okta:group/app.gitlab", "okta:group/none", "aws:group/app.gitlab"])).await;
    assert_eq!(live.calls["okta"], 3);
    assert_eq!(case.okta.calls(), 5, "{:?}", case.transport.lines());
    assert_eq!(
        live.resources.keys().map(Address::as_str).collect::<Vec<_>>(),
        [
            "okta:group/Everyone",
            "okta:group/app.gitlab",
            "okta:group/app.gitlab%20[00g2]",
            "okta:group/sales",
            "okta:user/gone@acme.com",
            "okta:user/klibby@acme.com",
            "okta:user/locked@acme.com",
            "okta:user/new@acme.com",
            "okta:user/out@acme.com",
            "okta:user/staged@acme.com",
        ]
    );
    let scopes: Vec<_> = live.coverage.keys().map(AsRef::as_ref).collect();
    assert_eq!(scopes, ["okta:group", "okta:group/app.gitlab", "okta:group/none", "okta:user"]);
    assert!(live.coverage.values().all(|coverage| *coverage == Coverage::Complete));
    let mastered = |name: &str| live.resources[&address(name)].mastered.clone();
    assert_eq!(mastered("okta:group/app.gitlab"), None);
    assert_eq!(mastered("okta:group/app.gitlab%20[00g2]").as_deref(), Some("an app masters it"));
    assert_eq!(mastered("okta:group/Everyone").as_deref(), Some("it is built into Okta"));
}

#[tokio::test]
async fn what_a_group_rule_may_have_put_in_is_told() {
    let case = case(org());
    let live =
        case.okta.observe(&set(&["okta:group/sales", "okta:group/app.gitlab", "okta:group/Everyone"])).await;
    let via: Vec<_> = live
        .grants
        .iter()
        .map(|grant| {
            (
                grant.key.resource.name().into_owned(),
                grant.key.principal.name().into_owned(),
                grant.via.as_deref(),
            )
        })
        .collect();
    let expected = [
        ("Everyone", "klibby@acme.com", Some("it is built into Okta")),
        ("app.gitlab", "klibby@acme.com", None),
        ("sales", "gone@acme.com", None),
        ("sales", "klibby@acme.com", Some("group rule sales people")),
        ("sales", "locked@acme.com", None),
    ]
    .map(|(group, login, via)| (group.to_owned(), login.to_owned(), via));
    assert_eq!(via, expected);
    assert_eq!(
        live.resources[&address("okta:group/sales")].dependents,
        ["group rule sales people puts members into it"]
    );
}

#[tokio::test]
async fn invariant_11_what_was_not_read_is_partial_in_just_its_scope() {
    let edges = set(&["okta:group/sales", "okta:group/app.gitlab", "okta:group/none"]);
    let whole = case(org()).okta.observe(&edges).await;
    for (fault, partial) in [
        ("GET /api/v1/groups?after=2", vec!["okta:group", "okta:group/none", "okta:group/sales"]),
        ("GET /api/v1/groups/00g4/users?after", vec!["okta:group/sales"]),
        ("GET /api/v1/groups/rules", vec!["okta:group/app.gitlab", "okta:group/sales"]),
        ("GET /api/v1/users?filter", vec!["okta:user"]),
    ] {
        for exchange in [denied(), lost(), answer(200, "[{\"id\": 1}]"), answer(500, "")] {
            let cut = case(org().fault(fault, exchange)).okta.observe(&edges).await;
            let found: Vec<_> = cut
                .coverage
                .iter()
                .filter(|(_, coverage)| **coverage != Coverage::Complete)
                .map(|(scope, _)| scope.as_ref())
                .collect();
            assert_eq!(found, partial, "{fault}");
            tells_what_is_missing(&whole, &cut).unwrap();
        }
    }
}

#[tokio::test]
async fn an_apps_group_does_not_get_the_name_that_an_unseen_group_may_have() {
    let mut org = org().fault("GET /api/v1/groups?after=2", denied());
    org.lists.get_mut("/api/v1/groups").unwrap().rotate_left(1);
    let cut = case(org).okta.observe(&set(&["okta:group/app.gitlab"])).await;
    assert!(!cut.resources.contains_key(&address("okta:group/app.gitlab")));
    assert_ne!(cut.coverage["okta:group/app.gitlab"], Coverage::Complete);
}

#[tokio::test]
async fn one_group_is_read_by_its_exact_name() {
    let case = case(org());
    let whole = case.okta.observe(&set(&["okta:group/sales"])).await;
    let read = case.okta.read(&address("okta:group/sales")).await.unwrap();
    assert_eq!(read.resources[&address("okta:group/sales")], whole.resources[&address("okta:group/sales")]);
    assert_eq!(read.grants, whole.grants);
    assert_eq!(case.okta.read(&address("okta:group/sale")).await.unwrap().resources.len(), 0);
    let imported = case.okta.read(&address("okta:group/app.gitlab%20[00g2]")).await.unwrap();
    assert_eq!(imported.resources.values().next().unwrap().id.as_deref(), Some("00g2"));
    assert_eq!(case.okta.read(&address("okta:app/x")).await.unwrap_err().kind, ErrorKind::Unsupported);
}

#[tokio::test]
async fn the_caller_is_the_owner_of_the_token() {
    let mut org = org();
    org.lists.get_mut("/api/v1/users").unwrap().push(user("me", "Admin@acme.com", "ACTIVE"));
    let fresh = case(org);
    let caller = fresh.okta.identity().await.unwrap();
    assert_eq!(caller.principal.unwrap().as_str(), "okta:user/admin@acme.com");
    assert_eq!(caller.text, "Admin@acme.com at https://acme.okta.com");
    assert_eq!(fresh.transport.sent()[0].headers()["authorization"], "SSWS 00token");

    let invalid = answer(401, r#"{"errorCode":"E0000011","errorSummary":"Invalid token provided"}"#);
    let error =
        case(super::tests::org().fault("GET /api/v1/users/me", invalid)).okta.identity().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.to_string().contains("https://acme.okta.com/ does not take this token"), "{error}");
    assert!(!error.to_string().contains("00token"));
}

#[tokio::test]
async fn invariant_01_nothing_is_written_without_a_permit_for_this_very_change() {
    let case = case(org());
    let live = case.okta.observe(&BTreeSet::new()).await;
    let calls = case.okta.calls();
    let (allowed, other) = (
        grant(&member("klibby@acme.com", "okta:group/sales")),
        revoke(&member("klibby@acme.com", "okta:group/sales")),
    );
    let writer = case.okta.writer(&permit(&[&allowed]), &live);
    assert_eq!(writer.write(&other).await.unwrap_err().kind, ErrorKind::Denied);
    let forged = Change { effect: allowed.effect.clone(), ..other };
    assert_eq!(writer.write(&forged).await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(case.okta.calls(), calls);
    writer.write(&allowed).await.unwrap();
    assert_eq!(case.writes(), ["PUT /api/v1/groups/00g4/users/00u1"]);
}

fn described(text: &str) -> Attributes {
    Attributes::from([("description".into(), text.into())])
}

#[tokio::test]
async fn a_member_of_what_was_just_created_needs_no_look_up() {
    let case = case(org());
    let live = case.okta.observe(&BTreeSet::new()).await;
    let calls = case.okta.calls();
    let (made, joined) = (
        create(&address("okta:group/rbac_x"), described("x")),
        grant(&member("klibby@acme.com", "okta:group/rbac_x")),
    );
    let writer = case.okta.writer(&permit(&[&made, &joined]), &live);
    writer.write(&made).await.unwrap();
    writer.write(&joined).await.unwrap();
    assert_eq!(case.okta.calls() - calls, 2);
    assert_eq!(case.writes(), ["POST /api/v1/groups", "PUT /api/v1/groups/00gnew/users/00u1"]);
}

#[tokio::test]
async fn invariant_24_a_lost_answer_to_a_creation_is_looked_up_and_nothing_is_created_twice() {
    let wanted = create(&address("okta:group/rbac_x"), described("x"));
    // It took effect, and the answer was lost: it is there under its exact name.
    let mut there = org();
    there.lists.get_mut("/api/v1/groups").unwrap().extend([
        group("00g7", "rbac_x_longer", "OKTA_GROUP"),
        json!({ "id": "00g8", "type": "OKTA_GROUP", "profile": { "name": "rbac_x", "description": "x" } }),
    ]);
    let adopted = case(there.fault("POST /api/v1/groups", lost()));
    let error = adopted.write(&Snapshot::default(), &wanted).await.unwrap_err();
    assert_eq!(error.effect, Effect::Unknown, "whoever asked looks first");
    assert!(adopted.okta.read(&wanted.address).await.unwrap().resources.contains_key(&wanted.address));
    // And if it did not show: a second one is refused, and the first is taken for what it is.
    adopted.write(&Snapshot::default(), &wanted).await.unwrap();
    assert_eq!(adopted.writes(), ["POST /api/v1/groups"; 2]);
    // It took no effect: it is created by the next try.
    let repeated = case(org().fault("POST /api/v1/groups", answer(503, "")));
    assert_eq!(repeated.write(&Snapshot::default(), &wanted).await.unwrap_err().effect, Effect::Unknown);
    repeated.write(&Snapshot::default(), &wanted).await.unwrap();
    assert_eq!(repeated.writes(), ["POST /api/v1/groups"; 2]);
}

#[tokio::test]
async fn invariant_23_a_group_that_is_there_already_is_done_if_it_is_as_wanted_and_else_a_conflict() {
    let case = case(org());
    let there = case.okta.read(&address("okta:group/sales")).await.unwrap();
    let described_so = there.resources[&address("okta:group/sales")].attributes.clone();
    case.write(&Snapshot::default(), &create(&address("okta:group/sales"), described_so)).await.unwrap();
    let other = create(&address("okta:group/sales"), described("who sells"));
    let error = case.write(&Snapshot::default(), &other).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert_eq!(case.writes(), ["POST /api/v1/groups"; 2], "what is there is left alone");
}

#[tokio::test]
async fn a_changed_description_keeps_what_else_the_profile_has() {
    let case = case(org());
    let changed = update(&address("okta:group/sales"), described(""), described("who sells"));
    case.write(&Snapshot::default(), &changed).await.unwrap();
    assert_eq!(case.writes(), ["PUT /api/v1/groups/00g4"]);
    let body: Json = serde_json::from_slice(case.transport.sent().last().unwrap().body()).unwrap();
    let profile = json!({ "name": "sales", "description": "who sells", "custom": "kept" });
    assert_eq!(body, json!({ "profile": profile }), "attributes of the organization's own are kept");
}

#[tokio::test]
async fn what_is_one_limit_of_oktas_is_one_lane_and_what_rewrites_a_group_is_alone_with_it() {
    let case = case(org());
    let (x, y) = (address("okta:group/x"), address("okta:group/y"));
    let lane = |change: &Change| case.okta.lane(change);
    let joined = lane(&grant(&member("klibby@acme.com", "okta:group/x")));
    assert_eq!((&*joined.name, joined.alone), ("/", None));
    let (made, changed) =
        (lane(&create(&x, described(""))), lane(&update(&x, described(""), described("y"))));
    assert_eq!((&*made.name, &*changed.name), ("/groups", "/groups/{id}"));
    assert_eq!(made.alone, changed.alone);
    assert_ne!(made.alone, lane(&create(&y, described(""))).alone);
    case.okta.observe(&BTreeSet::new()).await;
    assert_eq!(case.okta.pace("/"), Default::default(), "no headers tell of a limit");
}

#[tokio::test]
async fn a_group_that_an_app_masters_is_not_taken_over() {
    let mut org = org();
    org.lists.get_mut("/api/v1/groups").unwrap().push(group("00g9", "ad", "APP_GROUP"));
    let refused = answer(400, r#"{"errorCode":"E0000001","errorSummary":"Api validation failed: name"}"#);
    let case = case(org.fault("POST /api/v1/groups", refused));
    let error = case
        .write(&Snapshot::default(), &create(&address("okta:group/ad"), described("x")))
        .await
        .unwrap_err();
    assert_eq!((error.code.as_deref(), case.writes().len()), (Some("E0000001"), 1));
}

#[tokio::test]
async fn invariant_23_what_is_gone_already_is_done() {
    let case = case(org().fault("DELETE /api/v1/groups/00g4/users/00u1", not_found()));
    let live = case.okta.observe(&BTreeSet::new()).await;
    let revoked = |login: &str, group: &str| revoke(&member(login, group));
    case.write(&live, &revoked("klibby@acme.com", "okta:group/sales")).await.unwrap();
    case.write(&live, &revoked("nobody@acme.com", "okta:group/sales")).await.unwrap();
    case.write(&live, &revoked("klibby@acme.com", "okta:group/none")).await.unwrap();
    case.write(&live, &delete(&address("okta:group/none"), Attributes::new())).await.unwrap();
    assert_eq!(case.writes(), ["DELETE /api/v1/groups/00g4/users/00u1"]);
}

#[tokio::test]
async fn invariant_27_a_deletion_waits_until_the_group_is_gone() {
    let deleted = delete(&address("okta:group/sales"), Attributes::new());
    let lingering = case(org());
    let live = lingering.okta.observe(&BTreeSet::new()).await;
    let outcome = lingering.write(&live, &deleted).await.unwrap();
    assert_eq!(outcome, Outcome::Pending { poll: "/api/v1/groups/00g4".into() });
    let gone = case(org().fault("GET /api/v1/groups/00g4", not_found()));
    assert!(matches!(gone.write(&live, &deleted).await, Ok(Outcome::Done { .. })));
    let asked = |case: &Case| case.okta.writer(&permit(&[&deleted]), &live);
    let poll = "/api/v1/groups/00g4";
    assert!(matches!(asked(&lingering).poll(&deleted, poll).await, Ok(Outcome::Pending { .. })));
    assert!(matches!(asked(&gone).poll(&deleted, poll).await, Ok(Outcome::Done { .. })));
}

#[tokio::test]
async fn invariant_25_a_grant_whose_answer_is_lost_is_unknown() {
    let case = case(org().fault("PUT /api/v1/groups/00g4/users/00u1", lost()));
    let live = case.okta.observe(&BTreeSet::new()).await;
    let error = case.write(&live, &grant(&member("klibby@acme.com", "okta:group/sales"))).await.unwrap_err();
    assert_eq!((error.effect, case.writes().len()), (Effect::Unknown, 1));
}

#[tokio::test]
async fn what_cannot_be_written_is_refused() {
    let case = case(org());
    let live = case.okta.observe(&BTreeSet::new()).await;
    let absent = grant(&member("nobody@acme.com", "okta:group/sales"));
    assert_eq!(case.write(&live, &absent).await.unwrap_err().kind, ErrorKind::NotFound);
    let missing = update(&address("okta:group/none"), Attributes::new(), described("x"));
    assert_eq!(case.write(&live, &missing).await.unwrap_err().kind, ErrorKind::NotFound);
    let person = delete(&address("okta:user/klibby@acme.com"), Attributes::new());
    assert_eq!(case.write(&live, &person).await.unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(case.writes(), Vec::<String>::new());
}

#[test]
fn a_declared_group_claims_its_members() {
    let kind = provider_type().kinds.into_iter().find(|kind| kind.declared.is_some()).unwrap();
    let mut findings = Vec::new();
    let native =
        (kind.declared.unwrap().parse)(&node(&[("description", "who sells")]), &mut findings).unwrap();
    assert_eq!(findings, []);
    let span = Span::file("sales.yaml");
    let name = Spanned { value: "sales".to_owned(), span: span.clone() };
    let origin = Arc::new(Origin { text: "x".into(), span, chain: Vec::new(), role: None });
    let mut out = Lowered::default();
    let sources = Sources::default();
    let mut lowering = Lowering {
        instance: "okta",
        scope: None,
        scope_name: None,
        name: &name,
        origin,
        sources: &sources,
        out: &mut out,
    };
    native.lower(&mut lowering);
    let sales = address("okta:group/sales");
    assert_eq!(out.resources[0].address, sales);
    assert_eq!(out.resources[0].attributes, described("who sells"));
    assert_eq!(out.claims[0].0, Collection::of_resource(&sales, "member"));
}

#[test]
fn what_is_missing_for_opening_is_said() {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::at(Timestamp::UNIX_EPOCH));
    let network = |token: Option<&'static str>| Wiring {
        transport: None,
        clock: clock.clone(),
        credentials: Arc::new(move |_| token.map(Into::into)),
    };
    let fails = |entries: &[(&str, &str)], token| {
        open(&settings(node(entries)), &network(token)).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(fails(&[], Some("x")), "`providers.okta` has no `url`, so there is nothing to call");
    let url = [("url", "https://acme.okta.com")];
    assert_eq!(fails(&url, None), "there is no token for https://acme.okta.com/: set `OKTA_API_TOKEN`");
    assert!(fails(&[("url", "http://acme.okta.com")], Some("x")).contains("RC510"));
    assert!(open(&settings(node(&url)), &network(Some("x"))).is_ok());
}

#[test]
fn every_code_is_listed_once() {
    let codes: BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
    assert_eq!(codes.len(), CODES.len());
}
