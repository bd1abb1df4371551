//! Tests of what the simulated vendors share: the files, faults, limits, HTTP.

use std::fs;
use std::path::PathBuf;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value as Json, json};

use super::*;
use crate::provider::Transport as _;

mod faulty;
mod lagging;

const WORLD: &str = "
now: 2026-11-22T17:00:00Z
page_size: 2
okta:
  users:
    - { login: klibby@acme.com, profile: { firstName: Kate } }   # a comment
    - { login: dmurphy@acme.com }
  groups:
    - { name: a, members: [klibby@acme.com] }
    - { name: b }
aws:
  accounts:
    '222222222222': { users: [{ name: ci }] }
";

pub(super) fn world(text: &str) -> Simulator {
    Simulator::of(World::parse(text).unwrap()).unwrap()
}

/// A request to Okta.
pub(super) fn okta(method: &str, path: &str, body: &Json) -> Request<Bytes> {
    let request = Request::builder().method(method).uri(format!("https://acme.okta.com/api/v1{path}"));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    request.header("authorization", "SSWS 00token").body(Bytes::from(body)).unwrap()
}

/// A request to IAM.
pub(super) fn iam(body: &str) -> Request<Bytes> {
    let signed = "AWS4-HMAC-SHA256 Credential=AKIDTEST/20261122/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
    let request = Request::builder().method("POST").uri("https://iam.amazonaws.com/");
    request.header("authorization", signed).body(Bytes::from(body.to_owned())).unwrap()
}

pub(super) fn text(response: &Response<Bytes>) -> String {
    String::from_utf8(response.body().to_vec()).unwrap()
}

pub(super) fn json_of(response: &Response<Bytes>) -> Json {
    serde_json::from_slice(response.body()).unwrap()
}

fn create(name: &str) -> Request<Bytes> {
    okta("POST", "/groups", &json!({"profile": {"name": name}}))
}

fn groups(simulator: &Simulator) -> Vec<String> {
    let mut names: Vec<_> = simulator.world().okta.groups.values().map(|group| group.name.clone()).collect();
    names.sort();
    names
}

fn on_disk() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.yaml");
    fs::write(&path, WORLD).unwrap();
    (folder, path)
}

#[test]
fn a_world_that_is_only_read_leaves_no_trace() {
    let (folder, path) = on_disk();
    let simulator = Simulator::open(&path).unwrap();
    assert_eq!(simulator.handle(&okta("GET", "/groups", &Json::Null)).status(), StatusCode::OK);
    simulator.close().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), WORLD);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn killed_after_any_write_nothing_is_lost_and_nothing_is_done_twice() {
    let (_folder, path) = on_disk();
    let log = path.with_added_extension("log");
    let first = Simulator::open(&path).unwrap();
    let id = json_of(&first.handle(&create("c")))["id"].clone();
    assert_eq!(first.handle(&iam("Action=CreateUser&UserName=new")).status(), StatusCode::OK);
    assert_eq!(first.handle(&iam("Action=CreateUser&UserName=new")).status(), StatusCode::CONFLICT);
    let expected = first.world();
    drop(first);
    assert_eq!(fs::read_to_string(&path).unwrap(), WORLD, "nothing is folded before the end");
    let logged = fs::read(&log).unwrap();
    assert_eq!(logged.split(|byte| *byte == b'\n').count(), 3, "two lines: what was refused is not logged");
    assert!(!String::from_utf8(logged.clone()).unwrap().contains("00token"));

    let second = Simulator::open(&path).unwrap();
    assert_eq!(second.world(), expected);
    assert!(!log.exists());
    let folded = fs::read_to_string(&path).unwrap();
    assert!(folded.contains(id.as_str().unwrap()) && folded.starts_with("# The simulated"), "{folded}");
    drop(second);

    // Killed between the renaming of the world and the removal of the log.
    fs::write(&log, &logged).unwrap();
    let third = Simulator::open(&path).unwrap();
    assert_eq!(third.world(), expected);
    drop(third);

    // Killed in the middle of a line: its write was never answered.
    fs::write(&log, [&logged[..], b"{\"n\":3,\"at\":\"2026-"].concat()).unwrap();
    let fourth = Simulator::open(&path).unwrap();
    assert_eq!(fourth.world(), expected);
    assert_eq!(fourth.handle(&create("d")).status(), StatusCode::OK);
    drop(fourth);
    assert_eq!(groups(&Simulator::open(&path).unwrap()), ["a", "b", "c", "d"]);
}

#[test]
fn an_edit_by_hand_while_the_log_is_open_survives() {
    let (_folder, path) = on_disk();
    let simulator = Simulator::open(&path).unwrap();
    let _ = simulator.handle(&create("c"));
    fs::write(&path, WORLD.replace("name: b", "name: by_hand")).unwrap();
    simulator.close().unwrap();
    drop(simulator);
    assert_eq!(groups(&Simulator::open(&path).unwrap()), ["a", "by_hand", "c"]);
}

#[test]
fn a_log_that_no_longer_fits_the_edited_world_is_an_error_that_says_which_line() {
    let (_folder, path) = on_disk();
    let simulator = Simulator::open(&path).unwrap();
    let _ = simulator.handle(&create("c"));
    drop(simulator);
    fs::write(&path, WORLD.replace("name: b", "name: c")).unwrap();
    let error = Simulator::open(&path).unwrap_err();
    assert_eq!(error.code.code, "RC591");
    assert!(error.message.starts_with("line 1 of "), "{error}");
}

#[test]
fn two_processes_do_not_write_to_the_same_world() {
    let (_folder, path) = on_disk();
    let (one, two) = (Simulator::open(&path).unwrap(), Simulator::open(&path).unwrap());
    assert_eq!(one.handle(&create("c")).status(), StatusCode::OK);
    let refused = two.handle(&create("d"));
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text(&refused).contains("another process"), "{}", text(&refused));
    one.close().unwrap();
    drop((one, two));
    let (one, two) = (Simulator::open(&path).unwrap(), Simulator::open(&path).unwrap());
    let _ = one.handle(&create("e"));
    one.close().unwrap();
    assert!(text(&two.handle(&create("f"))).contains("has changed"));
    assert_eq!(groups(&Simulator::open(&path).unwrap()), ["a", "b", "c", "e"]);
}

#[test]
fn an_edit_is_written_and_checked() {
    let (_folder, path) = on_disk();
    let simulator = Simulator::open(&path).unwrap();
    let _ = simulator.handle(&create("c"));
    simulator
        .edit(|world| world.okta.group_named("c").unwrap().members.insert("dmurphy@acme.com".into()))
        .unwrap();
    let wrong = simulator.edit(|world| world.okta.group_named("c").unwrap().members.insert("nobody".into()));
    assert_eq!(wrong.unwrap_err().code.code, "RC591");
    drop(simulator);
    let again = Simulator::open(&path).unwrap();
    assert_eq!(again.world().okta.group_named("c").unwrap().members.len(), 1);
}

#[tokio::test]
async fn the_file_says_what_goes_wrong_and_has_what_others_did() {
    let (_folder, path) = on_disk();
    let faults = "faults:
  lag: { okta: 60 }
  skew: 60
  latency: { ms: 1000 }
  seed: 3
  mix: [{ fault: wrong_counts, per_mille: 1000 }]
  edits: [{ action: 'GET *', skip: 1, edit: { add_member: { group: b, login: dmurphy@acme.com } } }]
okta:";
    fs::write(&path, WORLD.replace("okta:", faults)).unwrap();
    let simulator = Simulator::open(&path).unwrap();
    let list = || okta("GET", "/groups", &Json::Null);
    assert_eq!(simulator.call(create("c")).await.unwrap().status(), StatusCode::OK);
    let seen = simulator.call(list()).await.unwrap();
    assert_eq!(json_of(&seen).as_array().unwrap().len(), 2, "`c` is not seen yet");
    assert_eq!(seen.headers()["x-rate-limit-remaining"], "500");
    assert_eq!(
        seen.headers()["date"],
        "Sun, 22 Nov 2026 17:01:01 GMT",
        "it left 1.5 seconds after the start"
    );
    let _ = simulator.call(list()).await.unwrap();
    drop(simulator);
    let again = Simulator::open(&path).unwrap();
    assert_eq!(groups(&again), ["a", "b", "c"]);
    assert!(again.world().okta.group_named("b").unwrap().members.contains("dmurphy@acme.com"));
    let unknown = WORLD.replace("okta:", "faults: { latencies: 1 }\nokta:");
    assert!(World::parse(&unknown).unwrap_err().message.contains("latencies"));
}

#[tokio::test]
async fn invariant_25_faults_say_whether_the_effect_took_place() {
    let cases = [
        (Fault::ResetBefore, false),
        (Fault::Status(500), false),
        (Fault::Throttled, false),
        (Fault::ThrottledSilently, false),
        (Fault::Html(502), false),
        (Fault::Denied, false),
        (Fault::Unauthorized, false),
        (Fault::ResetAfter, true),
        (Fault::TimeoutAfter, true),
        (Fault::Truncated, true),
    ];
    for (fault, effect) in cases {
        let simulator = world(WORLD);
        simulator.faults().once("POST /groups", fault);
        let answer = simulator.call(create("c")).await;
        assert_eq!(groups(&simulator).contains(&"c".into()), effect, "{fault:?}");
        match (fault, answer) {
            (Fault::ResetBefore | Fault::ResetAfter | Fault::TimeoutAfter, Err(error)) => {
                assert!(error.maybe_sent);
            }
            (Fault::Truncated, Ok(answer)) => assert!(serde_json::from_slice::<Json>(answer.body()).is_err()),
            (_, Ok(answer)) => assert!(answer.status().as_u16() >= 400, "{fault:?}"),
            (fault, answer) => panic!("{fault:?}: {answer:?}"),
        }
        assert_eq!(simulator.call(create("d")).await.unwrap().status(), StatusCode::OK, "{fault:?}");
    }
}

#[tokio::test]
async fn a_page_passes_and_the_next_one_fails() {
    let simulator = world(WORLD);
    let planned = Planned { action: "GET /*".into(), skip: 1, times: 2, fault: Fault::Status(503) };
    simulator.faults().plan(planned);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(simulator.call(okta("GET", "/groups", &Json::Null)).await.unwrap().status().as_u16());
    }
    assert_eq!(seen, [200, 503, 503, 200]);
}

#[tokio::test]
async fn invariant_24_a_process_that_dies_after_n_writes_does_nothing_more() {
    let simulator = world(WORLD);
    simulator.faults().fail_after_writes(1);
    assert!(simulator.call(create("c")).await.is_ok());
    assert!(simulator.call(okta("GET", "/groups", &Json::Null)).await.is_ok());
    assert!(simulator.call(create("d")).await.is_err());
    assert!(simulator.call(okta("GET", "/groups", &Json::Null)).await.is_err());
    assert_eq!(groups(&simulator), ["a", "b", "c"]);
    simulator.faults().clear();
    assert!(simulator.call(create("d")).await.is_ok());
}

#[tokio::test]
async fn limits_are_told_by_headers_and_end_in_virtual_time() {
    let simulator = world(&WORLD.replace("okta:\n", "okta:\n  limits: { groups: 2 }\n"));
    let list = || okta("GET", "/groups", &Json::Null);
    let header = |answer: &Response<Bytes>, name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let first = simulator.call(list()).await.unwrap();
    assert_eq!(header(&first, "x-rate-limit-remaining"), "1");
    assert_eq!(header(&first, "date"), "Sun, 22 Nov 2026 17:00:00 GMT");
    let _ = simulator.call(list()).await.unwrap();
    let refused = simulator.call(list()).await.unwrap();
    assert_eq!(
        (refused.status(), json_of(&refused)["errorCode"].as_str()),
        (StatusCode::TOO_MANY_REQUESTS, Some("E0000047"))
    );
    assert_eq!(simulator.call(okta("GET", "/users", &Json::Null)).await.unwrap().status(), StatusCode::OK);
    let reset: i64 = header(&refused, "x-rate-limit-reset").parse().unwrap();
    let wait = reset - simulator.clock().now().as_second();
    assert_eq!(wait, 60);
    simulator.clock().sleep(Duration::from_secs(wait.unsigned_abs())).await;
    assert_eq!(simulator.call(list()).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn aws_throttles_beyond_its_burst_where_the_world_says_so() {
    let simulator = world(&WORLD.replace("aws:\n", "aws:\n  limits: { per_second: 1, burst: 2 }\n"));
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(simulator.call(iam("Action=ListUsers")).await.unwrap().status().as_u16());
    }
    assert_eq!(seen, [200, 200, 400]);
    simulator.clock().sleep(Duration::from_secs(1)).await;
    assert_eq!(simulator.call(iam("Action=ListUsers")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn calls_are_counted_by_action() {
    let simulator = world(WORLD);
    let _ = simulator.call(create("c")).await;
    let _ = simulator.call(okta("GET", "/groups/00g1/users?limit=3", &Json::Null)).await;
    let _ = simulator.call(okta("GET", "/users/me", &Json::Null)).await;
    let _ = simulator.call(okta("POST", "/users/klibby@acme.com/lifecycle/suspend", &Json::Null)).await;
    let _ = simulator.call(iam("Action=ListUsers&Version=2010-05-08")).await;
    let calls = simulator.calls();
    let names: Vec<_> = calls.keys().map(String::as_str).collect();
    let expected = [
        "GET /groups/{id}/users",
        "GET /users/me",
        "POST /groups",
        "POST /users/{id}/lifecycle/suspend",
        "iam:ListUsers",
    ];
    assert_eq!(names, expected);
    assert_eq!((simulator.requests(), simulator.writes()), (5, 2));
}

#[tokio::test]
async fn the_same_is_served_over_loopback_http() {
    let simulator = world(WORLD);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn({
        let simulator = simulator.clone();
        async move { simulator.serve(listener).await }
    });
    let client = reqwest::Client::new();
    let get = |url: String| client.get(url).header("authorization", "SSWS x").send();
    let answer = get(format!("{base}/api/v1/groups?limit=1")).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let next = answer.headers().get_all("link").iter().next_back().unwrap().to_str().unwrap().to_owned();
    let next = next.strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    assert!(next.starts_with(&base), "{next}");
    let page: Json = serde_json::from_slice(&get(next).await.unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(page.as_array().unwrap().len(), 1);
    simulator.faults().once("GET /groups", Fault::ResetAfter);
    assert!(get(format!("{base}/api/v1/groups")).await.is_err());
    server.abort();
}
