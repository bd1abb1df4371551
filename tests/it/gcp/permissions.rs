//! Each identity calls what its generated role allows, and its role allows nothing that is not called.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use rolecall::model::{CutOff, Op};
use rolecall::provider::TransportError;
use rolecall::providers::gcp::permissions::{self, Call, READS, WRITES};

use super::*;

/// Passes calls on, and keeps who made which.
#[derive(Debug)]
struct Recorded {
    simulator: Simulator,
    calls: Mutex<BTreeSet<(bool, String, String)>>,
}

#[async_trait]
impl Transport for Recorded {
    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let writes = request.headers()["authorization"] == "Bearer simulated-writer";
        let call = (writes, request.method().to_string(), request.uri().path().to_owned());
        self.calls.lock().unwrap().insert(call);
        self.simulator.call(request).await
    }
}

/// A change of fields that were read apart.
fn fields(on: &str, before: Attributes, after: Attributes) -> Change {
    update(&address(on), before, after)
}

fn cut(on: &str, cut: &CutOff) -> Change {
    let after: Attributes = [(cut.field.clone(), Value::text(cut.after.clone()))].into();
    update(&address(on), Attributes::new(), after)
}

#[tokio::test]
async fn each_identity_is_allowed_what_it_calls_and_no_more() {
    let simulator =
        world(&WORLD.replace("  customer: C01acme", "  customer: C01acme\n  operation_seconds: 5"));
    let transport = Arc::new(Recorded { simulator: simulator.clone(), calls: Mutex::default() });
    let gcp = provider(&[("users", NodeValue::Bool(true))], transport.clone(), simulator.clock()).await;
    let clock = simulator.clock();
    let (observed, narrative) = (observed(), narrative());
    clock.drive(conformance::run(&*gcp, &*clock, &observed, &narrative, &permit)).await.unwrap();

    // What the narrative leaves out: fields that take a call each, the end of sessions and keys, edges from one side.
    let project = "gcp:project/eng-dev-a1";
    let runner = "gcp/eng-dev-a1:service_account/ci-runner";
    let text = |name: &'static str, value: &str| attributes([(name, value.into())]);
    let services =
        |names: &[&str]| attributes([("services", Value::map(names.iter().map(|name| (*name, "enabled"))))]);
    let wanted: Attributes = [("billing", Value::Null), ("services", Value::Null), ("lien", Value::Null)]
        .map(|(name, value)| (name.into(), value))
        .into();
    let keys = text("keys", "none");
    let asked = [(address(project), wanted), (address(runner), keys.clone())].into();
    let seen = clock.drive(gcp.observe_fields(&asked)).await;
    assert_eq!(seen.coverage, std::collections::BTreeMap::new());
    let read = |text: &str| seen.resources[&address(text)].attributes.clone();
    assert_eq!(read(project)["billing"], "gcp:billing_account/01ABCD-234567-89ABCD".into());
    let person = address("gcp:user/klibby@acme.com");
    clock.drive(gcp.edges_of(&person)).await.unwrap();
    let of = clock.drive(gcp.cut_offs(&address(runner))).await.unwrap();
    let sessions = clock.drive(gcp.cut_offs(&person)).await.unwrap();
    assert_eq!((of.len(), sessions.len()), (1, 1));
    let own = "gcp/eng-dev-a1:custom_role/deploys";
    let stage = |stage: &str| text("stage", stage);
    let made =
        attributes([("permissions", Value::List(vec!["run.services.get".into()])), ("stage", "ga".into())]);
    let changes = [
        fields(project, Attributes::new(), text("lien", "keeps the keys")),
        fields(project, text("lien", "keeps the keys"), attributes([("lien", Value::Null)])),
        fields(project, services(&[]), services(&["run.googleapis.com"])),
        fields(project, services(&[]), services(&["a.googleapis.com", "b.googleapis.com"])),
        fields(project, services(&["a.googleapis.com"]), services(&[])),
        fields(project, Attributes::new(), attributes([("billing", Value::Null)])),
        cut(runner, &of[0]),
        fields(runner, read(runner), keys),
        fields(runner, attributes([("disabled", false.into())]), attributes([("disabled", true.into())])),
        fields(runner, attributes([("disabled", true.into())]), attributes([("disabled", false.into())])),
        cut(person.as_str(), &sessions[0]),
        fields(own, stage("beta"), stage("ga")),
        delete(&address(own), Attributes::new()),
        create(&address(own), made),
    ];
    let live = clock.drive(gcp.observe(&observed)).await;
    let writer = gcp.writer(&permit(changes.iter().map(|change| change.effect.clone()).collect()), &live);
    for change in &changes {
        assert!(matches!(change.op, Op::Create | Op::Update | Op::Delete));
        let mut outcome = clock.drive(writer.write(change)).await;
        while let Ok(rolecall::provider::Outcome::Pending { poll }) = &outcome {
            clock.drive(clock.sleep(std::time::Duration::from_secs(6))).await;
            outcome = clock.drive(writer.poll(change, poll)).await;
        }
        outcome.unwrap_or_else(|error| panic!("{} {:?}: {error}", change.target(), change.after));
    }

    let calls = transport.calls.lock().unwrap();
    for (hand, table) in [(false, READS), (true, WRITES)] {
        let mut used: BTreeSet<&Call> = BTreeSet::new();
        for (_, method, path) in calls.iter().filter(|(writes, ..)| *writes == hand) {
            let found: Vec<&Call> = permissions::of(table, method, path).collect();
            assert!(!found.is_empty(), "{method} {path} is in no role (writes: {hand})");
            used.extend(found);
        }
        let needed: Vec<Call> = used.into_iter().copied().collect();
        let (needed, allowed) = (permissions::permissions(&needed), permissions::permissions(table));
        let more: Vec<_> = allowed.iter().filter(|permission| !needed.contains(permission)).collect();
        assert!(more.is_empty(), "nothing calls for {more:?} (writes: {hand})");
    }
}

#[test]
fn the_roles_stand_in_the_docs() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gcp.md")).unwrap();
    assert!(
        docs.contains(&permissions::documents()),
        "put this into docs/gcp.md:\n{}",
        permissions::documents()
    );
}
