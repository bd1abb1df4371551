//! Tests of lag, and that chance repeats: the same seed and the same calls give the same answers and the same world.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::super::*;
use super::{create, iam, json_of, okta, text, world};
use crate::provider::{Transport as _, TransportError};

const WORLD: &str = "
now: 2026-11-22T17:00:00Z
page_size: 3
okta:
  users: [{ login: a@acme.com, id: 00ua }, { login: b@acme.com, id: 00ub }]
  groups: [{ name: one, id: 00g1 }, { name: two, id: 00g2, members: [a@acme.com] }]
aws: { accounts: { '222222222222': { users: [{ name: ann }, { name: ben }], groups: [{ name: g }] } } }
";

fn get(path: &str) -> Request<Bytes> {
    okta("GET", path, &Json::Null)
}

async fn names(simulator: &Simulator) -> Vec<String> {
    let answer = json_of(&simulator.call(get("/groups?limit=200")).await.unwrap());
    answer
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["profile"]["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn users(simulator: &Simulator) -> usize {
    text(&simulator.call(iam("Action=ListUsers")).await.unwrap()).matches("<UserName>").count()
}

#[tokio::test]
async fn reads_are_behind_and_writes_are_not() {
    let simulator = world(&WORLD.replace("page_size: 3", "page_size: 100"));
    simulator.faults().lag(Lag { okta: 10, iam: 4, ..Lag::default() });
    let clock = simulator.clock();
    simulator.call(create("three")).await.unwrap();
    simulator.call(iam("Action=CreateUser&UserName=cleo")).await.unwrap();
    assert_eq!((names(&simulator).await.len(), users(&simulator).await), (2, 2));
    assert_eq!(simulator.call(create("three")).await.unwrap().status().as_u16(), 400, "it exists already");
    clock.sleep(Duration::from_secs(4)).await;
    simulator.edit(|world| world.okta.group_named("one").unwrap().name = "uno".into()).unwrap();
    assert_eq!((names(&simulator).await.len(), users(&simulator).await), (2, 3));
    clock.sleep(Duration::from_secs(6)).await;
    let mut seen = names(&simulator).await;
    seen.sort();
    assert_eq!(seen, ["one", "three", "two"], "the edit is not four seconds older than the creation");
    clock.sleep(Duration::from_secs(4)).await;
    assert!(names(&simulator).await.contains(&"uno".into()));
    let history = || simulator.lock().history.len();
    assert_eq!(history(), 1, "what nobody can see any more is forgotten");
    simulator.faults().clear();
    let _ = names(&simulator).await;
    assert_eq!(history(), 0);
}

/// What a client does.
#[derive(Debug, Clone)]
enum Step {
    Call(&'static str, String),
    Wait(u64),
}

fn request(step: &Step) -> Option<Request<Bytes>> {
    let Step::Call(method, what) = step else { return None };
    Some(match *method {
        "AWS" => iam(what),
        "NEW" => create(what),
        method => okta(method, what, &Json::Null),
    })
}

fn reading() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Call("GET", "/groups?limit=200".into())),
        Just(Step::Call("GET", "/groups/00g1/users".into())),
        Just(Step::Call("AWS", "Action=GetAccountAuthorizationDetails&MaxItems=2".into())),
        Just(Step::Call("AWS", "Action=GetGroup&GroupName=g".into())),
    ]
}

fn writing() -> impl Strategy<Value = Step> {
    let aws = |what: &str| Just(Step::Call("AWS", what.to_owned()));
    prop_oneof![
        (0..2_u8, 0..2_u8, any::<bool>()).prop_map(|(group, user, there)| {
            let method = if there { "PUT" } else { "DELETE" };
            Step::Call(method, format!("/groups/00g{}/users/00u{}", group + 1, ["a", "b"][usize::from(user)]))
        }),
        (0..6_u8).prop_map(|n| Step::Call("NEW", format!("n{n}"))),
        Just(Step::Call("DELETE", "/groups/00g2".into())),
        (0..6_u8).prop_map(|n| Step::Call("AWS", format!("Action=CreateUser&UserName=u{n}"))),
        aws("Action=AddUserToGroup&GroupName=g&UserName=ann"),
        aws("Action=RemoveUserFromGroup&GroupName=g&UserName=ann"),
        aws("Action=DeleteUser&UserName=ben"),
        (0..9_u64).prop_map(Step::Wait),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(prop_oneof![reading(), writing()], 1..60)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

type Answers = Vec<Result<Response<Bytes>, TransportError>>;

/// Takes the steps, each call after the other.
fn take(simulator: &Simulator, steps: &[Step]) -> Answers {
    block_on(async {
        let mut answers = Vec::new();
        for step in steps {
            match (request(step), step) {
                (Some(request), _) => answers.push(simulator.call(request).await),
                (None, Step::Wait(seconds)) => simulator.clock().sleep(Duration::from_secs(*seconds)).await,
                (None, Step::Call(..)) => {}
            }
        }
        answers
    })
}

/// All of an answer that can be told from another, without the id of the request.
fn shown(answer: &Response<Bytes>) -> (u16, Vec<(String, String)>, String) {
    let headers =
        answer.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (answer.status().as_u16(), headers.collect(), text(answer))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn with_every_fault_off_an_answer_is_what_it_is_without_any(steps in steps()) {
        let (plain, faultless) = (world(WORLD), world(WORLD));
        let faults = faultless.faults();
        faults.seeded(7, Mix::none());
        faults.latency(Latency::default());
        faults.lag(Lag { replicas: true, ..Lag::default() });
        faults.skew(0);
        let answers = take(&faultless, &steps);
        let mut answers = answers.iter();
        for step in &steps {
            match request(step) {
                Some(request) => {
                    prop_assert_eq!(shown(&plain.handle(&request)), shown(answers.next().unwrap().as_ref().unwrap()));
                }
                None => if let Step::Wait(seconds) = step {
                    plain.clock().advance(Duration::from_secs(*seconds));
                }
            }
        }
        prop_assert_eq!(plain.world(), faultless.world());
    }

    #[test]
    fn invariant_27_a_lagging_read_never_shows_what_never_was(
        steps in steps(), reads in proptest::collection::vec(reading(), 1..4), okta in 0..8_u64, iam in 0..8_u64, seed: u64
    ) {
        let simulator = world(WORLD);
        let (clock, faults) = (simulator.clock(), simulator.faults());
        faults.seeded(seed, Mix::none());
        faults.lag(Lag { okta, iam, gcp: 0, replicas: true });
        // Since when which body was the true answer to each read; the first before anything was done.
        let mut truths: Vec<Vec<(Timestamp, String)>> = vec![Vec::new(); reads.len()];
        let body = |answer: &Response<Bytes>| {
            let text = text(answer);
            let id = text.split("<RequestId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or("none").to_owned();
            let error = text.split("\"errorId\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("none").to_owned();
            text.replace(&id, "").replace(&error, "")
        };
        for step in std::iter::once(&Step::Wait(0)).chain(&steps) {
            take(&simulator, std::slice::from_ref(step));
            let now = clock.now();
            for (read, truths) in reads.iter().zip(&mut truths) {
                let request = request(read).unwrap();
                truths.push((now, body(&simulator.handle(&request))));
                let seen = body(&block_on(simulator.call(request)).unwrap());
                let lag = if matches!(read, Step::Call("GET", _)) { okta } else { iam };
                let start = now.saturating_sub(SignedDuration::from_secs(i64::try_from(lag).unwrap())).unwrap();
                let young = truths.partition_point(|(since, _)| *since <= start).saturating_sub(1);
                prop_assert!(truths[young..].iter().any(|(_, truth)| *truth == seen), "{seen} at {now}: {truths:?}");
                if lag == 0 {
                    prop_assert_eq!(&truths[truths.len() - 1].1, &seen);
                }
            }
        }
    }

    #[test]
    fn the_same_seed_and_the_same_calls_repeat(steps in steps(), seed: u64) {
        let run = || {
            let simulator = world(WORLD);
            let faults = simulator.faults();
            faults.seeded(seed, Mix::drawn(seed));
            faults.latency(Latency { ms: 20, jitter_ms: 400 });
            faults.lag(Lag { okta: 5, iam: 3, gcp: 0, replicas: true });
            faults.skew(seed.cast_signed() % 1000);
            faults.die_at_call(40, When::After);
            let answers: Vec<_> = take(&simulator, &steps).iter().map(|it| it.as_ref().map(shown).map_err(Clone::clone)).collect();
            (answers, simulator.world(), simulator.clock().now(), simulator.faults().met())
        };
        prop_assert_eq!(run(), run());
    }
}
