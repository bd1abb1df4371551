//! The Okta provider as a whole: over the simulator, in process and through Prism, which holds every exchange against
//! Okta's published description.

use std::collections::BTreeSet;
use std::sync::Arc;

use rolecall::model::settings::ProviderSettings;
use rolecall::model::span::Entry;
use rolecall::model::{
    Address, Approval, Attributes, Coverage, Digest, GrantKey, Node, NodeValue, Permit, Ruling, Span,
    Spanned, Status, Verdict,
};
use rolecall::provider::conformance::{
    self, Step, create, delete, grant, revoke, tells_what_is_missing, update,
};
use rolecall::provider::{Clock, Effect, Provider, SystemClock, Transport};
use rolecall::providers::{Wiring, open};
use rolecall::simulator::{
    Fault, GroupType, OktaGroup, OktaRule, OktaUser, Planned, Simulator, UserStatus, World,
};

use crate::servers::{Prism, Said, Watching};

mod edges;

/// A small organization: a few people in every state, groups of every sort, a rule, and pages of two.
fn world() -> World {
    let mut world = World::at("2026-11-22T17:00:00Z".parse().unwrap());
    world.page_size = 2;
    let okta = &mut world.okta;
    okta.token_owner = "svc_rolecall@acme.com".into();
    for (login, status) in [
        ("svc_rolecall@acme.com", UserStatus::Active),
        ("klibby@acme.com", UserStatus::Active),
        ("dmurphy@acme.com", UserStatus::Active),
        ("new@acme.com", UserStatus::Provisioned),
        ("staged@acme.com", UserStatus::Staged),
        ("out@acme.com", UserStatus::Suspended),
        ("gone@acme.com", UserStatus::Deprovisioned),
    ] {
        let names = [("firstName", "Ann"), ("lastName", "Other"), ("department", "eng")];
        let profile = names.map(|(key, value)| (key.to_owned(), value.into())).into();
        okta.add_user(OktaUser { login: login.into(), status, profile, ..OktaUser::default() });
    }
    let group = |name: &str, kind, members: &[&str]| OktaGroup {
        name: name.into(),
        kind,
        members: members.iter().map(|login| (*login).to_owned()).collect(),
        ..OktaGroup::default()
    };
    okta.add_group(group("Everyone", GroupType::BuiltIn, &[]));
    okta.add_group(group(
        "app.gitlab",
        GroupType::OktaGroup,
        &["klibby@acme.com", "gone@acme.com", "out@acme.com"],
    ));
    okta.add_group(group("app.gitlab", GroupType::AppGroup, &["klibby@acme.com"]));
    okta.add_group(group("sales", GroupType::OktaGroup, &[]));
    okta.add_group(group("empty", GroupType::OktaGroup, &[]));
    let rule = OktaRule {
        name: "sales people".into(),
        groups: BTreeSet::from(["sales".into()]),
        members: BTreeSet::from(["dmurphy@acme.com".into()]),
        ..OktaRule::default()
    };
    okta.rules.insert("0prsales".into(), OktaRule { id: "0prsales".into(), ..rule });
    world
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn member(login: &str, group: &str) -> GrantKey {
    GrantKey::new(&Address::new("okta", None, "user", login), "member", &address(group))
}

fn described(text: &str) -> Attributes {
    Attributes::from([("description".into(), text.into())])
}

fn permit(effects: BTreeSet<Digest>) -> Permit {
    Permit::new(Verdict::new(Ruling::Allowed, effects), Approval::Simulated)
}

fn observed() -> BTreeSet<Address> {
    [
        "okta:group/app.gitlab",
        "okta:group/sales",
        "okta:group/Everyone",
        "okta:group/empty",
        "okta:group/none",
    ]
    .map(address)
    .into()
}

/// A group's life, beside groups that are only looked at.
fn narrative() -> Vec<Step> {
    let group = address("okta:group/rbac_role_sirt");
    let (klibby, dmurphy) =
        (member("klibby@acme.com", group.as_str()), member("dmurphy@acme.com", group.as_str()));
    let odd = address("okta:group/a%20b%2Bc/d");
    vec![
        Step::new("create a group", [create(&group, described("who answers at night"))]),
        Step::new("create one without a description", [create(&odd, Attributes::new())]),
        Step::new("add members", [grant(&klibby), grant(&dmurphy)]),
        Step::new(
            "describe it anew",
            [update(&group, described("who answers at night"), described("incidents"))],
        ),
        Step::new("describe it no more", [update(&group, described("incidents"), described(""))]),
        Step::new("remove one member", [revoke(&klibby)]),
        Step::new("remove a leaver", [revoke(&member("gone@acme.com", "okta:group/app.gitlab"))]),
        Step::new(
            "move a member",
            [grant(&member("dmurphy@acme.com", "okta:group/empty")), revoke(&dmurphy)],
        ),
        Step::new("delete the groups", [delete(&group, described("")), delete(&odd, described(""))]),
        Step::new("create it again, with a member", [create(&group, described("back")), grant(&klibby)]),
        Step::new("delete it with its member", [delete(&group, described("back"))]),
    ]
}

async fn provider(
    url: Option<&str>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
) -> Box<dyn Provider> {
    let span = Span::file("rolecall.yaml");
    let entries = url.into_iter().map(|url| Entry {
        key: Spanned { value: "url".into(), span: span.clone() },
        value: Node { value: NodeValue::Text(url.into()), span: span.clone() },
    });
    let options = Node { value: NodeValue::Map(entries.collect()), span: span.clone() };
    let settings = ProviderSettings {
        instance: "okta".into(),
        provider: "okta".into(),
        options,
        scope: Default::default(),
    };
    let wiring =
        Wiring { transport: Some(transport), clock, credentials: Arc::new(|_| Some("00token".into())) };
    open(&settings, &wiring).await.unwrap()
}

async fn simulated(simulator: &Simulator) -> Box<dyn Provider> {
    provider(None, Arc::new(simulator.clone()), simulator.clock()).await
}

#[tokio::test]
async fn okta_conforms_over_the_simulator_with_tiny_pages() {
    let simulator = Simulator::of(world()).unwrap();
    let okta = simulated(&simulator).await;
    let clock = simulator.clock();
    let live = conformance::run(&*okta, &*clock, &observed(), &narrative(), &permit).await.unwrap();
    assert!(live.resources.contains_key(&address("okta:group/app.gitlab")));
    assert_eq!(okta.calls(), simulator.requests());
    assert!(simulator.requests() > 100, "{}", simulator.requests());

    // What one page holds is what many hold.
    let mut large = simulator.world();
    large.page_size = 200;
    let whole = simulated(&Simulator::of(large).unwrap()).await.observe(&observed()).await;
    let tiny = simulated(&simulator).await.observe(&observed()).await;
    assert_eq!(conformance::difference(&tiny, &whole), None);
}

#[tokio::test]
async fn people_come_with_their_status() {
    let simulator = Simulator::of(world()).unwrap();
    let inventory = simulated(&simulator).await.inventory().await;
    assert_eq!(inventory.incomplete, Vec::<String>::new());
    let status = |login: &str| {
        let address = Some(Address::new("okta", None, "user", login));
        inventory.records.iter().find(|record| record.address == address).unwrap().status
    };
    assert_eq!(inventory.records.len(), 7);
    assert_eq!(status("gone@acme.com"), Status::Left);
    assert_eq!(status("out@acme.com"), Status::Suspended);
    assert_eq!(status("staged@acme.com"), Status::Staged);
    assert_eq!(status("new@acme.com"), Status::Active);
}

#[tokio::test]
async fn a_plan_that_changes_nothing_costs_one_call_a_page() {
    let mut large = world();
    large.page_size = 200;
    let simulator = Simulator::of(large).unwrap();
    let okta = simulated(&simulator).await;
    okta.identity().await.unwrap();
    okta.inventory().await;
    okta.observe(&observed()).await;
    // Who calls, people, leavers, groups, rules, and the members of four groups.
    assert_eq!(simulator.requests(), 9, "{:?}", simulator.calls());
    assert_eq!(simulator.writes(), 0);
}

#[tokio::test]
async fn invariant_11_each_list_that_breaks_off_is_told() {
    let whole = simulated(&Simulator::of(world()).unwrap()).await.observe(&observed()).await;
    for action in ["GET /users", "GET /groups", "GET /groups/rules", "GET /groups/{id}/users"] {
        for fault in
            [Fault::Denied, Fault::Status(500), Fault::Html(502), Fault::ResetBefore, Fault::Truncated]
        {
            for skip in [0, 1] {
                if action == "GET /groups/rules" && skip == 1 {
                    continue;
                }
                let simulator = Simulator::of(world()).unwrap();
                simulator.faults().plan(Planned { action: action.into(), skip, times: 100, fault });
                let cut = simulated(&simulator).await.observe(&observed()).await;
                tells_what_is_missing(&whole, &cut)
                    .unwrap_or_else(|error| panic!("{action} {fault:?}: {error}"));
            }
        }
    }
}

#[tokio::test]
async fn invariant_24_whatever_is_lost_on_the_way_nothing_is_done_twice() {
    for fault in
        [Fault::ResetAfter, Fault::TimeoutAfter, Fault::Truncated, Fault::ResetBefore, Fault::Throttled]
    {
        let simulator = Simulator::of(world()).unwrap();
        let okta = simulated(&simulator).await;
        let live = okta.observe(&observed()).await;
        simulator.faults().once("POST /groups", fault);
        let group = address("okta:group/rbac_x");
        let (made, joined) =
            (create(&group, described("x")), grant(&member("klibby@acme.com", group.as_str())));
        let permit = permit([&made, &joined].map(|change| change.effect.clone()).into());
        let writer = okta.writer(&permit, &live);
        // What the executor does: after an unknown outcome it looks, and writes again what does not show.
        if let Err(error) = writer.write(&made).await {
            assert_eq!(error.effect, Effect::Unknown, "{fault:?}: {error}");
            if !okta.read(&group).await.unwrap().resources.contains_key(&group) {
                writer.write(&made).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            }
        }
        writer.write(&joined).await.unwrap();
        let groups = simulator.world().okta.groups;
        let made: Vec<_> = groups.values().filter(|group| group.name == "rbac_x").collect();
        assert_eq!(made.len(), 1, "{fault:?}");
        assert_eq!((made[0].description.as_deref(), made[0].members.len()), (Some("x"), 1));
    }
}

#[tokio::test]
async fn invariant_28_limits_are_kept_by_what_the_headers_say() {
    let mut tight = world();
    tight.okta.limits = [("group", 20), ("groups", 20), ("users", 20), ("user", 20), ("other", 20)]
        .map(|(bucket, limit)| (bucket.to_owned(), limit))
        .into();
    let simulator = Simulator::of(tight).unwrap();
    let okta = simulated(&simulator).await;
    let live = okta.observe(&observed()).await;
    let start = simulator.clock().now();
    let changes: Vec<_> =
        (0..100).map(|n| create(&address(&format!("okta:group/g{n:03}")), Attributes::new())).collect();
    let permit = permit(changes.iter().map(|change| change.effect.clone()).collect());
    let writer = okta.writer(&permit, &live);
    let calls = okta.calls();
    for change in &changes {
        writer.write(change).await.unwrap();
    }
    assert_eq!(okta.calls() - calls, 100, "none was refused");
    let minutes = simulator.clock().now().duration_since(start).as_secs_f64() / 60.0;
    assert!((4.0..=5.5).contains(&minutes), "{minutes}");
}

/// The one thing that is no violation: what Okta published on npm describes no refusals at all, only what is
/// answered when all goes well. So the status of a refusal may be unknown to it, if the refusal is worded as Okta
/// words each.
fn is_a_refusal(said: &Said) -> bool {
    let unknown = said.violation["message"]
        .as_str()
        .is_some_and(|message| message.starts_with("Unable to match the returned status code"));
    let worded =
        ["errorCode", "errorSummary", "errorLink", "errorId"].iter().all(|key| said.body[key].is_string())
            && said.body["errorCauses"].is_array();
    unknown
        && worded
        && said.violation["severity"] == "Warning"
        && said.violation["location"] == serde_json::json!(["response"])
        && (said.status.is_client_error() || said.status.is_server_error())
}

/// What the provider asks of Okta, as the simulator calls it.
const OPERATIONS: &[&str] = &[
    "DELETE /groups/{id}",
    "DELETE /groups/{id}/users/{id}",
    "DELETE /users/{id}/sessions",
    "GET /groups",
    "GET /groups/rules",
    "GET /groups/{id}",
    "GET /groups/{id}/users",
    "GET /users",
    "GET /users/me",
    "GET /users/{id}",
    "GET /users/{id}/groups",
    "POST /groups",
    "PUT /groups/{id}",
    "PUT /groups/{id}/users/{id}",
];

/// Ends somebody's sessions, twice, and those of nobody.
async fn cut_off(okta: &dyn Provider) {
    let of = |login: &str| Address::new("okta", None, "user", login);
    assert_eq!(okta.cut_offs(&of("gone@acme.com")).await.unwrap(), []);
    let cut = okta.cut_offs(&of("klibby@acme.com")).await.unwrap();
    assert!(matches!(&cut[..], [one] if !one.changes_account && one.last_begun.is_some()), "{cut:?}");
    let after =
        Attributes::from([(cut[0].field.clone(), rolecall::model::Value::text(cut[0].after.clone()))]);
    for (login, works) in [("klibby@acme.com", true), ("nobody@acme.com", false)] {
        let (ended, live) =
            (update(&of(login), Attributes::new(), after.clone()), okta.observe(&BTreeSet::new()).await);
        let writer = okta.writer(&permit([ended.effect.clone()].into()), &live);
        for _ in 0..2 {
            assert_eq!(writer.write(&ended).await.is_ok(), works, "{login}");
        }
    }
    assert_eq!(okta.holdings(&of("nobody@acme.com")).await, Some(BTreeSet::new()));
    let held = okta.holdings(&of("klibby@acme.com")).await.unwrap();
    assert_eq!(held, [address("okta:group/app.gitlab")].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_end_in_the_simulator_as_through_prism() {
    let simulator = Simulator::of(world()).unwrap();
    let okta = simulated(&simulator).await;
    simulator.clock().drive(cut_off(&*okta)).await;
}

/// Each path that the provider's sources name is one of the operations that go through Prism.
#[test]
fn the_operations_are_those_of_the_sources() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/providers/okta");
    let mut paths = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.ends_with("tests.rs") {
            continue;
        }
        let source = std::fs::read_to_string(file).unwrap();
        let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let named = source.split("\"/api/v1").skip(1).map(|rest| rest.split(['?', '"']).next().unwrap());
        paths.extend(named.map(|path| path.replace("{}", "{id}")));
    }
    paths.retain(|path| path != "/");
    let known = OPERATIONS.iter().map(|operation| operation.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(paths, known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn okta_conforms_through_prism_without_breaking_the_published_description() {
    let simulator = Simulator::of(world()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let served = simulator.clone();
    let serving = tokio::spawn(async move { served.serve(listener).await });
    let name = "okta::okta_conforms_through_prism_without_breaking_the_published_description";
    let started = tokio::task::spawn_blocking(move || Prism::start(name, "okta", &upstream)).await.unwrap();
    let Some(prism) = started else { return };

    let watching = Arc::new(Watching::new());
    let okta = provider(Some(&prism.url()), watching.clone(), Arc::new(SystemClock)).await;
    let ran = conformance::run(&*okta, &SystemClock, &observed(), &narrative(), &permit).await;
    let inventory = okta.inventory().await;
    for (login, there) in [("klibby@acme.com", true), ("staged@acme.com", true), ("nobody@acme.com", false)] {
        let person = Address::new("okta", None, "user", login);
        assert_eq!(okta.read(&person).await.unwrap().resources.contains_key(&person), there, "{login}");
    }

    cut_off(&*okta).await;

    // What was sent is what arrived is what Prism judged: there is no exchange of which nothing is known.
    let (sent, arrived) = (okta.calls(), simulator.calls());
    let judged = tokio::task::spawn_blocking(move || prism.finish()).await.unwrap();
    serving.abort();
    // First of all, since what breaks the description explains what else goes wrong.
    let (refusals, others): (Vec<_>, Vec<_>) = watching.said().into_iter().partition(is_a_refusal);
    let violations: Vec<String> = others.iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!(judged.violations.len(), refusals.len(), "{:#?}", judged.violations);

    let live = ran.unwrap();
    assert!(live.coverage.values().all(|coverage| *coverage == Coverage::Complete));
    assert_eq!(inventory.incomplete, Vec::<String>::new());
    assert_eq!((arrived.values().sum::<u64>(), judged.exchanges as u64), (sent, sent));
    assert!(sent > 500, "{sent}");
    assert_eq!(arrived.keys().collect::<Vec<_>>(), OPERATIONS);
}
