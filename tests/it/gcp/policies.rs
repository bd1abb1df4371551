//! Policies that somebody else writes at the same time: neither side loses anything, and what is nobody's stays as it was.

use std::cell::Cell;

use bytes::Bytes;
use rolecall::simulator::{Latency, Mix};
use serde_json::{Value as Json, json};

use super::*;

/// What neither side has anything to do with.
const OTHERS: &str = r#"
now: 2026-11-22T17:00:00Z
gcp:
  organization: "123456789012"
  domain: acme.com
  customer: C01acme
  caller: serviceAccount:rolecall@acme-iam.iam.gserviceaccount.com
  projects:
    - id: eng-dev-a1
      audit_configs:
        - { service: allServices, auditLogConfigs: [{ logType: DATA_READ, exemptedMembers: ["user:x@elsewhere.org"] }] }
      bindings:
        - { role: roles/editor, members: ["serviceAccount:7@cloudservices.gserviceaccount.com", "serviceAccount:service-7@compute-system.iam.gserviceaccount.com"] }
        - { role: roles/owner, members: ["user:boss@elsewhere.org", "deleted:user:gone@acme.com?uid=101"] }
        - role: roles/logging.viewer
          members: ["user:night@elsewhere.org"]
          condition: { title: at night, description: never by day, expression: 'request.time.getHours("UTC") > 20' }
        - { role: roles/logging.viewer, members: ["user:shared@elsewhere.org"] }
"#;

const PROJECT: &str = "gcp:project/eng-dev-a1";

/// Numbers that look as if by chance, and are the same for a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn call(simulator: &Simulator, method: &str, path: &str, body: &Json) -> (u16, Json) {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("https://cloudresourcemanager.googleapis.com{path}"))
        .header("authorization", "Bearer another")
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let answer = simulator.call(request).await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
}

async fn policy(simulator: &Simulator) -> Json {
    let body = json!({ "options": { "requestedPolicyVersion": 3 } });
    call(simulator, "POST", "/v3/projects/eng-dev-a1:getIamPolicy", &body).await.1
}

/// Somebody with another tool, who reads and writes the policy whole as everybody should.
async fn other(simulator: &Simulator, role: &str, member: &str, bind: bool, conflicts: &Cell<u32>) {
    loop {
        let mut policy = policy(simulator).await;
        let bindings = policy["bindings"].as_array_mut().unwrap();
        let plain = |binding: &&mut Json| binding["role"] == role && binding.get("condition").is_none();
        match (bindings.iter_mut().find(plain), bind) {
            (Some(binding), true) => {
                let members = binding["members"].as_array_mut().unwrap();
                if !members.iter().any(|one| one == member) {
                    members.push(member.into());
                }
            }
            (None, true) => bindings.push(json!({ "role": role, "members": [member] })),
            (Some(binding), false) => {
                binding["members"].as_array_mut().unwrap().retain(|one| one != member);
            }
            (None, false) => {}
        }
        bindings.retain(|binding| !binding["members"].as_array().unwrap().is_empty());
        policy["version"] = 3.into();
        let body = json!({ "policy": policy });
        match call(simulator, "POST", "/v3/projects/eng-dev-a1:setIamPolicy", &body).await.0 {
            200 => return,
            409 => conflicts.set(conflicts.get() + 1),
            status => panic!("{status}"),
        }
    }
}

/// Whether a policy binds somebody without a condition.
fn binds(policy: &Json, role: &str, member: &str) -> bool {
    let bindings = policy["bindings"].as_array().unwrap().iter();
    let mut plain = bindings.filter(|binding| binding["role"] == role && binding.get("condition").is_none());
    plain.any(|binding| binding["members"].as_array().unwrap().iter().any(|one| one == member))
}

#[tokio::test]
async fn invariant_26_two_writers_of_one_policy_lose_nothing_in_a_thousand_interleavings() {
    const ROLES: [&str; 3] = ["roles/logging.viewer", "roles/browser", "roles/owner"];
    let (conflicts, mut ours_again) = (Cell::new(0), 0);
    let others = world(OTHERS).world();
    for seed in 0..1000 {
        let mut dice = Dice(seed);
        let simulator = Simulator::of(others.clone()).unwrap();
        simulator.faults().seeded(seed, Mix::none());
        let gcp = simulated(&simulator).await;
        let clock = simulator.clock();
        let before = clock.drive(policy(&simulator)).await;
        let live = clock.drive(gcp.observe(&[address(PROJECT)].into())).await;
        simulator.faults().latency(Latency { ms: 10, jitter_ms: 200 });

        // Both start with some of what they end without.
        let mut ours = Vec::new();
        for n in 0..1 + dice.roll(4) {
            let role = ROLES[dice.roll(3) as usize];
            let key = edge(&format!("gcp:user/ours{n}@elsewhere.org"), role, PROJECT);
            let conditional = dice.roll(3) == 0 && role != "roles/owner";
            ours.push(grant(&if conditional { office(key) } else { key }));
        }
        let theirs: Vec<(&str, String)> = (0..1 + dice.roll(4))
            .map(|n| (ROLES[dice.roll(3) as usize], format!("user:theirs{n}@elsewhere.org")))
            .collect();
        let taken = revoke(&edge("gcp:user/shared@elsewhere.org", "roles/logging.viewer", PROJECT));
        let takes = dice.roll(2) == 0;
        let mut changes: Vec<Change> = ours.clone();
        changes.extend(takes.then_some(taken));
        let permit = permit(changes.iter().map(|change| change.effect.clone()).collect());
        let writer = gcp.writer(&permit, &live);
        let cut = dice.roll(changes.len() as u64 + 1) as usize;
        let us = async {
            // Two batches, as a plan whose changes become ready at different times has.
            for batch in [&changes[..cut], &changes[cut..]] {
                let batch: Vec<&Change> = batch.iter().collect();
                for (change, outcome) in batch.iter().zip(writer.write_all(&batch).await) {
                    outcome.unwrap_or_else(|error| panic!("seed {seed}: {}: {error}", change.target()));
                }
            }
        };
        let them = async {
            for (role, member) in &theirs {
                other(&simulator, role, member, true, &conflicts).await;
            }
            for (role, member) in theirs.iter().skip(1) {
                other(&simulator, role, member, false, &conflicts).await;
            }
        };
        clock.drive(futures_util::future::join(us, them)).await;
        simulator.faults().latency(Latency::default());

        let after = clock.drive(policy(&simulator)).await;
        let told = || format!("seed {seed}: {after:#}");
        for change in &ours {
            let key = change.grant.as_ref().unwrap();
            let member = format!("user:{}", key.principal.name());
            let there = match key.condition {
                None => binds(&after, &key.relation, &member),
                Some(_) => after.to_string().contains(&member),
            };
            assert!(there, "{}", told());
        }
        for (n, (role, member)) in theirs.iter().enumerate() {
            assert_eq!(binds(&after, role, member), n == 0, "{}", told());
        }
        assert_eq!(binds(&after, "roles/logging.viewer", "user:shared@elsewhere.org"), !takes, "{}", told());
        // What is nobody's: the agents' binding and the foreign condition whole, the deleted member, the audit configs.
        for index in [0, 2] {
            let theirs = &before["bindings"][index];
            assert!(after["bindings"].as_array().unwrap().contains(theirs), "{}", told());
        }
        for member in ["user:boss@elsewhere.org", "deleted:user:gone@acme.com?uid=101"] {
            assert!(binds(&after, "roles/owner", member), "{}", told());
        }
        assert_eq!(after["auditConfigs"].to_string(), before["auditConfigs"].to_string(), "{}", told());
        let sets = simulator.calls()["POST /v3/projects/{id}:setIamPolicy"];
        ours_again += u32::from(sets > 2 + 2 * theirs.len() as u64);
    }
    // They have met, often, on either side.
    assert!(conflicts.get() > 100 && ours_again > 100, "{} {ours_again}", conflicts.get());
}

/// All changes of one policy are one read and one write.
#[tokio::test]
async fn changes_of_one_policy_are_written_together() {
    let simulator = world(OTHERS);
    let gcp = simulated(&simulator).await;
    let live = gcp.observe(&[address(PROJECT)].into()).await;
    let changes: Vec<Change> = (0..50)
        .map(|n| grant(&edge(&format!("gcp:user/p{n}@elsewhere.org"), "roles/browser", PROJECT)))
        .collect();
    let writer = gcp.writer(&permit(changes.iter().map(|change| change.effect.clone()).collect()), &live);
    let before = simulator.requests();
    let batch: Vec<&Change> = changes.iter().collect();
    assert!(gcp.lane(batch[0]).batch.is_some() && gcp.lane(batch[0]) == gcp.lane(batch[49]));
    assert!(writer.write_all(&batch).await.iter().all(Result::is_ok));
    assert_eq!(simulator.requests() - before, 2);
    // Once more, nothing is written.
    assert!(writer.write_all(&batch).await.iter().all(Result::is_ok));
    assert_eq!((simulator.requests() - before, simulator.writes()), (3, 1));
}

/// An account that does not exist makes Google refuse a whole policy; the others of the batch are written all the same.
#[tokio::test]
async fn one_that_google_refuses_keeps_nobody_else_waiting() {
    let simulator = world(WORLD);
    let gcp = simulated(&simulator).await;
    let live = gcp.observe(&observed()).await;
    let good = ["klibby", "dmurphy"]
        .map(|name| grant(&edge(&format!("gcp:user/{name}@acme.com"), "roles/browser", PROJECT)));
    let bad = grant(&edge("gcp:user/nobody@acme.com", "roles/browser", PROJECT));
    let changes = [&good[0], &bad, &good[1]];
    let writer = gcp.writer(&permit(changes.iter().map(|change| change.effect.clone()).collect()), &live);
    let outcomes = writer.write_all(&changes).await;
    assert!(outcomes[0].is_ok() && outcomes[1].is_err() && outcomes[2].is_ok(), "{outcomes:?}");
    let seen = gcp.read(&address(PROJECT)).await.unwrap();
    assert!(good.iter().all(|change| seen.grant(change.grant.as_ref().unwrap()).is_some()));
}

/// What a batch holds that nobody approved is refused, and the rest is written.
#[tokio::test]
async fn invariant_1_a_batch_writes_only_what_the_permit_covers() {
    let simulator = world(WORLD);
    let gcp = simulated(&simulator).await;
    let live = gcp.observe(&observed()).await;
    let [one, two] = ["klibby", "dmurphy"]
        .map(|name| grant(&edge(&format!("gcp:user/{name}@acme.com"), "roles/browser", PROJECT)));
    let writer = gcp.writer(&permit([one.effect.clone()].into()), &live);
    let outcomes = writer.write_all(&[&two, &one]).await;
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
    let seen = gcp.read(&address(PROJECT)).await.unwrap();
    assert!(
        seen.grant(two.grant.as_ref().unwrap()).is_none()
            && seen.grant(one.grant.as_ref().unwrap()).is_some()
    );
}

#[tokio::test]
async fn invariant_25_after_a_lost_answer_the_policy_is_as_it_should_be() {
    for fault in
        [Fault::ResetAfter, Fault::TimeoutAfter, Fault::Truncated, Fault::ResetBefore, Fault::Throttled]
    {
        let simulator = world(WORLD);
        let gcp = simulated(&simulator).await;
        let clock = simulator.clock();
        let live = clock.drive(gcp.observe(&observed())).await;
        simulator.faults().once("POST /v3/projects/{id}:setIamPolicy", fault);
        let change = grant(&edge("gcp:user/klibby@acme.com", "roles/browser", PROJECT));
        let key = change.grant.clone().unwrap();
        let writer = gcp.writer(&permit([change.effect.clone()].into()), &live);
        if let Err(error) = clock.drive(writer.write(&change)).await {
            assert_eq!(error.effect, Effect::Unknown, "{fault:?}: {error}");
            if clock.drive(gcp.read_grant(&key)).await.unwrap().is_none() {
                clock.drive(writer.write(&change)).await.unwrap();
            }
        }
        assert!(clock.drive(gcp.read_grant(&key)).await.unwrap().is_some(), "{fault:?}");
        assert_eq!(simulator.writes(), 1, "{fault:?}");
    }
}
