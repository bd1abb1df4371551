//! Tests of faults: pages that lie, other administrators, deaths, wrong clocks, too many calls at once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, join_all, select};
use http::{Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::super::*;
use super::{create, iam, json_of, okta, text, world};
use crate::provider::Transport as _;

const WORLD: &str = "
now: 2026-11-22T17:00:00Z
page_size: 4
okta:
  users: [{ login: klibby@acme.com, id: 00uk }, { login: dmurphy@acme.com }]
  groups: [{ name: a, id: 00ga }, { name: b, id: 00gb }, { name: c, id: 00gc }, { name: d, id: 00gd }, { name: e, id: 00ge },
    { name: f, id: 00gf, members: [klibby@acme.com] }]
  rules: [{ name: r, groups: [f], members: [dmurphy@acme.com] }]
aws:
  accounts:
    '222222222222':
      users: [{ name: ann, policies: [deny] }, { name: ben }, { name: cleo }, { name: dan }, { name: eve }]
      policies: [{ name: deny, document: { Version: 2012-10-17, Statement: [] } }]
";

fn get(path: &str) -> Request<Bytes> {
    okta("GET", path, &Json::Null)
}

/// The pages that a client reads which follows the links: how many things are on each, and whether it stopped since a
/// link led back.
async fn okta_pages(simulator: &Simulator) -> (Vec<usize>, bool) {
    let (mut pages, mut seen) = (Vec::new(), vec!["/groups?limit=4".to_owned()]);
    loop {
        let answer = simulator.call(get(&seen[seen.len() - 1])).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        pages.push(json_of(&answer).as_array().unwrap().len());
        let Some(next) = crate::provider::paging::next_link(answer.headers()) else { return (pages, false) };
        let next = next.strip_prefix("https://acme.okta.com/api/v1").unwrap().to_owned();
        if seen.contains(&next) {
            return (pages, true);
        }
        seen.push(next);
    }
}

async fn iam_pages(simulator: &Simulator) -> (Vec<usize>, bool) {
    let (mut pages, mut seen) = (Vec::new(), vec![String::new()]);
    loop {
        let marker = &seen[seen.len() - 1];
        let marker = if marker.is_empty() { String::new() } else { format!("&Marker={marker}") };
        let answer = text(&simulator.call(iam(&format!("Action=ListUsers{marker}"))).await.unwrap());
        pages.push(answer.matches("<UserName>").count());
        let next = answer.split("<Marker>").nth(1).and_then(|rest| rest.split('<').next());
        assert_eq!(answer.contains("<IsTruncated>true"), next.is_some());
        let Some(next) = next.map(str::to_owned) else { return (pages, false) };
        if seen.contains(&next) {
            return (pages, true);
        }
        seen.push(next);
    }
}

#[tokio::test]
async fn pages_are_short_hollow_empty_or_lead_back_as_is_asked_for() {
    // How many things are on each page of six groups and of five users, where the second page is the one that lies.
    let cases: [(Fault, &[usize], &[usize], bool); 4] = [
        (Fault::ShortPage, &[4, 2], &[4, 1], false),
        (Fault::HollowPage, &[4, 0, 2], &[4, 0, 1], false),
        (Fault::EmptyList, &[4, 0], &[4, 0], false),
        (Fault::RepeatedCursor, &[4, 2], &[4, 1], true),
    ];
    for (fault, groups, users, back) in cases {
        let simulator = world(WORLD);
        for action in ["GET /groups", "iam:ListUsers"] {
            simulator.faults().plan(Planned { action: action.into(), skip: 1, times: 1, fault });
        }
        assert_eq!(okta_pages(&simulator).await, (groups.to_vec(), back), "{fault:?}");
        assert_eq!(iam_pages(&simulator).await, (users.to_vec(), back), "{fault:?}");
        assert_eq!(simulator.faults().met(), BTreeMap::from([(fault, 2)]));
    }
    let cases: [(Fault, &[usize], &[usize]); 4] = [
        (Fault::ShortPage, &[2, 4], &[2, 3]),
        (Fault::HollowPage, &[0, 4, 2], &[0, 4, 1]),
        (Fault::EmptyList, &[0], &[0]),
        (Fault::RepeatedCursor, &[4, 2], &[4, 1]),
    ];
    for (fault, groups, users) in cases {
        let simulator = world(WORLD);
        simulator.faults().once("GET /groups", fault);
        simulator.faults().once("iam:ListUsers", fault);
        assert_eq!(okta_pages(&simulator).await, (groups.to_vec(), false), "{fault:?}");
        assert_eq!(iam_pages(&simulator).await, (users.to_vec(), false), "{fault:?}");
    }
}

#[tokio::test]
async fn what_is_told_beside_the_data_can_be_wrong_and_the_data_is_not() {
    let right = world(WORLD);
    let wrong = world(WORLD);
    wrong.faults().seeded(1, Mix::none().with(Fault::WrongCounts, 1000));
    let left =
        |answer: &Response<Bytes>| answer.headers()["x-rate-limit-remaining"].to_str().unwrap().to_owned();
    let (one, other) = (right.call(get("/groups")).await.unwrap(), wrong.call(get("/groups")).await.unwrap());
    assert_eq!((left(&one), left(&other)), ("499".into(), "500".into()));
    assert_eq!(one.body(), other.body());
    let list = || iam("Action=ListPolicies");
    let count = |answer: &str| {
        answer.split("<AttachmentCount>").nth(1).and_then(|it| it.split('<').next()?.parse().ok())
    };
    let (one, other) = (right.call(list()).await.unwrap(), wrong.call(list()).await.unwrap());
    assert_eq!((count(&text(&one)), count(&text(&other))), (Some(1_u8), Some(2)));
}

#[tokio::test]
async fn others_edit_the_world_before_or_after_a_call() {
    let simulator = world(WORLD);
    simulator.watch();
    let edits = [
        (0, When::After, Edit::RemoveMember { group: "f".into(), login: "klibby@acme.com".into() }),
        (1, When::Before, Edit::AddMember { group: "a".into(), login: "klibby@acme.com".into() }),
        (1, When::Before, Edit::AddMember { group: "nobody's".into(), login: "klibby@acme.com".into() }),
        (1, When::Before, Edit::RenameGroup { group: "f".into(), to: "g".into() }),
        (2, When::After, Edit::DeleteGroup { group: "g".into() }),
    ];
    for (skip, when, edit) in edits {
        simulator.faults().edit(PlannedEdit { action: "POST *".into(), skip, when, edit });
    }
    simulator.faults().edit_with("POST /groups", 2, When::After, |world| {
        let policies =
            [("deny", "user/ben"), ("managed:ReadOnlyAccess", "user/dan"), ("unknown", "user/cleo")];
        for (policy, to) in policies {
            Edit::Attach { policy: policy.into(), to: to.into() }.make(world);
        }
        Edit::Detach { policy: "deny".into(), from: "user/ann".into() }.make(world);
        Edit::Tag { on: "policy/deny".into(), key: "team".into(), value: "x".into() }.make(world);
    });
    let members = |name: &str| simulator.world().okta.group_named(name).map(|group| group.members.len());
    let _ = simulator.call(create("n1")).await;
    assert_eq!((members("f"), members("a")), (Some(0), Some(0)));
    simulator.faults().once("POST /groups", Fault::Denied);
    let _ = simulator.call(create("n2")).await;
    assert_eq!((members("f"), members("g"), members("a")), (None, Some(0), Some(1)));
    assert!(simulator.world().okta.rules.values().all(|rule| rule.groups.contains("g")));
    simulator.faults().once("POST /groups", Fault::ResetBefore);
    let _ = simulator.call(create("n3")).await;
    let world = simulator.world();
    assert_eq!(members("g"), None);
    assert!(
        world.okta.rules.values().all(|rule| rule.status == RuleStatus::Invalid && rule.groups.is_empty())
    );
    let account = &world.aws.accounts["222222222222"];
    let held: Vec<_> = account.users.values().map(|user| user.policies.len()).collect();
    assert_eq!((held, account.policies["deny"].tags.len()), (vec![0, 1, 0, 1, 0], 1));
    assert_eq!(simulator.watched().len(), 1, "others' edits are no writes of ours");
}

#[tokio::test]
async fn an_edit_that_the_world_cannot_bear_is_not_overlooked() {
    let simulator = world(WORLD);
    simulator.faults().edit_with("GET /groups", 0, When::Before, |world| {
        world.okta.group_named("a").unwrap().members.insert("nobody".into());
    });
    let error = simulator.call(get("/groups")).await.unwrap_err();
    assert!(error.message.contains("`nobody`"), "{error}");
}

#[tokio::test]
async fn invariant_24_death_comes_at_any_call_before_it_is_carried_out_or_before_it_is_answered() {
    for (when, made) in [(When::Before, 1), (When::After, 2)] {
        let simulator = world(WORLD);
        simulator.faults().die_at_call(3, when);
        assert!(simulator.call(create("n1")).await.is_ok());
        assert!(simulator.call(get("/groups")).await.is_ok());
        assert!(!simulator.faults().is_dead());
        assert!(simulator.call(create("n2")).await.is_err());
        assert!(simulator.faults().is_dead());
        assert!(simulator.call(create("n3")).await.is_err());
        assert_eq!(simulator.writes(), made, "{when:?}");
        simulator.faults().clear();
        assert!(simulator.call(create("n3")).await.is_ok());
    }
}

#[tokio::test]
async fn invariant_24_the_dead_do_not_hear_what_was_on_its_way_to_them() {
    let simulator = world(WORLD);
    simulator.faults().latency(Latency { ms: 100, jitter_ms: 0 });
    simulator.faults().die_at_call(2, When::Before);
    let calls = ["n1", "n2"].map(|name| simulator.call(create(name)));
    let answers = simulator.clock().drive(join_all(calls)).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(simulator.writes(), 1);
}

#[tokio::test]
async fn invariant_24_who_waits_for_a_death_sees_the_dead_do_nothing_more() {
    let cases = [(When::Before, 0), (When::Before, 10), (When::After, 0), (When::After, 10)];
    for (when, ms) in cases {
        let simulator = world(WORLD);
        simulator.faults().latency(Latency { ms, jitter_ms: 5 * ms });
        simulator.faults().die_at_call(7, when);
        let returned = std::cell::Cell::new(0);
        let one = |n: u32| {
            let (simulator, returned) = (&simulator, &returned);
            async move {
                for m in 0..5 {
                    let answer = simulator.call(create(&format!("n{n}.{m}"))).await;
                    assert!(answer.is_ok(), "the dead hear nothing");
                    returned.set(returned.get() + 1);
                }
            }
        };
        let run = std::pin::pin!(join_all((0..4).map(one)));
        let death = std::pin::pin!(simulator.faults().death());
        let ended = simulator.clock().drive(select(death, run)).await;
        assert!(matches!(ended, Either::Left(_)));
        drop(ended);
        assert!(returned.get() <= 6);
        assert_eq!(simulator.writes(), if when == When::Before { 6 } else { 7 });
    }
}

#[tokio::test]
async fn the_servers_clock_is_off_in_what_it_tells_and_in_nothing_else() {
    let simulator = world(&WORLD.replace("okta:\n", "okta:\n  limits: { groups: 1 }\n"));
    simulator.faults().skew(-600);
    let answer = simulator.call(get("/groups")).await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("date"), "Sun, 22 Nov 2026 16:50:00 GMT");
    let noon: Timestamp = "2026-11-22T17:00:00Z".parse().unwrap();
    assert_eq!(header("x-rate-limit-reset"), (noon.as_second() + 60 - 600).to_string());
    simulator.clock().sleep(Duration::from_secs(59)).await;
    assert_eq!(simulator.call(get("/groups")).await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    simulator.clock().sleep(Duration::from_secs(1)).await;
    assert_eq!(simulator.call(get("/groups")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn aws_refuses_signatures_whose_time_is_too_far_from_its_own() {
    let signed = |seconds: i64| {
        let mut request = iam("Action=ListUsers");
        let noon: Timestamp = "2026-11-22T17:00:00Z".parse().unwrap();
        let time = noon
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap()
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        request.headers_mut().insert("x-amz-date", time.parse().unwrap());
        request
    };
    let simulator = world(WORLD);
    assert_eq!(
        simulator.call(signed(99_999)).await.unwrap().status(),
        StatusCode::OK,
        "clocks are not to differ"
    );
    simulator.faults().skew(600);
    let early = simulator.call(signed(0)).await.unwrap();
    assert_eq!(early.status(), StatusCode::FORBIDDEN);
    let said = "Signature expired: 20261122T170000Z is now earlier than 20261122T170500Z (20261122T171000Z - 5 min.)";
    assert!(
        text(&early).contains(said) && text(&early).contains("<Code>SignatureDoesNotMatch<"),
        "{}",
        text(&early)
    );
    let late = text(&simulator.call(signed(901)).await.unwrap());
    let said = "Signature not yet current: 20261122T171501Z is still later than 20261122T171500Z (20261122T171000Z + 5 min.)";
    assert!(late.contains(said), "{late}");
    assert_eq!(simulator.call(signed(900)).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn okta_takes_75_calls_at_once_and_tells_the_others_apart_from_those_over_the_limit() {
    let simulator = world(WORLD);
    simulator.faults().latency(Latency { ms: 100, jitter_ms: 0 });
    let calls = (0..80).map(|_| simulator.call(get("/groups")));
    let answers = simulator.clock().drive(join_all(calls)).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().map(Result::unwrap).partition(|answer| answer.status() == StatusCode::OK);
    assert_eq!((taken.len(), refused.len(), simulator.throttled()), (75, 5, 5));
    let header = |name: &str| refused[0].headers()[name].to_str().unwrap();
    assert_eq!(json_of(&refused[0])["errorCode"], "E0000047");
    assert_eq!((header("x-rate-limit-limit"), header("x-rate-limit-remaining")), ("0", "0"));
    assert_eq!(
        simulator.clock().drive(simulator.call(get("/groups"))).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn throttles_that_no_fault_made_are_counted() {
    let text = WORLD.replace("okta:\n", "okta:\n  limits: { groups: 1 }\n");
    let simulator = world(&text.replace("aws:\n", "aws:\n  limits: { per_second: 1, burst: 1 }\n"));
    for fault in [Fault::Throttled, Fault::ThrottledSilently] {
        simulator.faults().once("GET /groups", fault);
        simulator.faults().once("iam:ListUsers", fault);
    }
    for _ in 0..4 {
        let _ = simulator.call(get("/groups")).await;
        let _ = simulator.call(iam("Action=ListUsers")).await;
    }
    assert_eq!(simulator.throttled(), 2);
}

#[test]
fn okta_counts_its_endpoints_as_it_documents() {
    let simulator = world(WORLD);
    let limit = |method: &str, path: &str| {
        let answer = simulator.handle(&okta(method, path, &json!({})));
        answer.headers()["x-rate-limit-limit"].to_str().unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(limit("GET", "/groups"), 500);
    assert_eq!(limit("PUT", "/groups/00ga"), 1000);
    assert_eq!(limit("GET", "/groups/rules"), 1200);
    assert_eq!(limit("GET", "/groups/00ga/users"), 1200);
    assert_eq!(limit("PUT", "/groups/00ga/users/00uk"), 1200);
    assert_eq!(limit("GET", "/users"), 600);
    assert_eq!(limit("GET", "/users/me"), 600);
    assert_eq!(limit("POST", "/users/00uk/lifecycle/suspend"), 1200);
    assert_eq!(limit("GET", "/apps/0oa1"), 100);
    let unknown = World::parse(&WORLD.replace("okta:\n", "okta:\n  limits: { grops: 1 }\n")).unwrap_err();
    assert!(unknown.message.contains("`grops`"), "{unknown}");
}
