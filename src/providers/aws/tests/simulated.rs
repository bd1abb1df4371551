//! The provider against the simulator, in virtual time: what moto lacks, tiny pages, faults, and death between writes.

use crate::provider::Effect;
use crate::simulator::{Simulator, World};

use super::*;

const ACCOUNT: &str = "222222222222";

fn simulator(users: &str, page_size: usize) -> Simulator {
    let text = format!(
        "now: 2026-01-01T00:00:00Z\npage_size: {page_size}\naws:\n  accounts:\n    \"{ACCOUNT}\":\n      name: ci\n{users}"
    );
    Simulator::of(World::parse(&text).unwrap()).unwrap()
}

fn aws(simulator: &Simulator) -> Box<dyn Provider> {
    let transport = Some(Arc::new(simulator.clone()) as Arc<dyn crate::provider::Transport>);
    let wiring = Wiring { transport, clock: simulator.clock(), ..wiring() };
    open(&settings(&format!(r#"{{"account": "{ACCOUNT}"}}"#)), &wiring).unwrap()
}

fn allow(action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}]}}"#
    )
}

/// A small account of every kind, with two actions to tell its versions apart.
fn some(action: &str, session: &str) -> Lowered {
    let document = allow(action);
    let trust = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{ACCOUNT}"}}, "Action": "sts:AssumeRole"}}}}"#
    );
    desired(
        ACCOUNT,
        &[
            ("aws/Policy", "edge", &format!(r#"{{"path": "/x/", "document": {document}}}"#)),
            ("aws/Group", "g", &format!(r#"{{"policies": ["edge"], "inline": {{"i": {document}}}}}"#)),
            (
                "aws/User",
                "u",
                &format!(
                    r#"{{"tags": {{"a": "{session}"}}, "groups": ["g"], "policies": ["edge"], "boundary": "edge", "inline": {{"i": {document}}}}}"#
                ),
            ),
            (
                "aws/Role",
                "r",
                &format!(
                    r#"{{"trust": {trust}, "description": "{action}", "max_session": "{session}", "policies": ["edge"], "inline": {{"i": {document}}}}}"#
                ),
            ),
        ],
    )
}

#[tokio::test]
async fn a_user_gets_changes_and_loses_a_boundary() {
    let simulator = simulator("", 20);
    let aws = aws(&simulator);
    let policy = ("aws/Policy", "edge", &*format!(r#"{{"document": {}}}"#, allow("a:b")));
    let with = |body| desired(ACCOUNT, &[policy, ("aws/User", "ci", body)]);
    let steps = [
        with(r#"{"boundary": "edge"}"#),
        with(r#"{"boundary": "managed:PowerUserAccess"}"#),
        with(r#"{"boundary": "none"}"#),
    ];
    let mut base = Lowered::default();
    for head in steps {
        assert!(!converge(&*aws, &base, &head).await.is_empty());
        base = head;
    }
    let left_out = with("{}");
    assert_eq!(changes(&base, &left_out, &observe(&*aws).await), [], "an omitted boundary is left as it is");
}

#[tokio::test]
async fn each_kind_is_made_changed_and_removed_with_pages_of_one() {
    let simulator = simulator("", 1);
    let aws = aws(&simulator);
    let (first, second, none) = (some("s3:GetObject", "1h"), some("s3:PutObject", "2h"), Lowered::default());
    converge(&*aws, &none, &first).await;
    converge(&*aws, &first, &second).await;
    converge(&*aws, &second, &none).await;
    assert!(observe(&*aws).await.resources.is_empty());
}

#[tokio::test]
async fn a_user_goes_with_keys_password_and_devices_only_if_they_were_shown() {
    let user = "      users:\n      - { name: ci, access_keys: [AKIAEXAMPLE000000001], login_profile: true, mfa: [\"arn:aws:iam::222222222222:mfa/ci\"] }\n";
    let simulator = simulator(user, 20);
    let aws = aws(&simulator);
    let live = observe(&*aws).await;
    let address: Address = "aws/222222222222:user/ci".parse().unwrap();
    let dependents = aws.read(&address).await.unwrap().resources[&address].dependents.clone();
    assert_eq!(
        dependents,
        ["access key AKIAEXAMPLE000000001", "login profile", "MFA device arn:aws:iam::222222222222:mfa/ci"]
    );
    for missing in 0..3 {
        let mut shown = dependents.clone();
        let hidden = shown.remove(missing);
        let delete = Change { dependents: shown, ..change(Op::Delete, &address) };
        let before = simulator.writes();
        let error = apply(&*aws, &[delete], &live).await.unwrap_err();
        assert!(error.message.contains(&hidden), "{error}");
        assert_eq!(simulator.writes(), before, "refused before the first write");
    }
    apply(&*aws, &[Change { dependents, ..change(Op::Delete, &address) }], &live).await.unwrap();
    assert!(observe(&*aws).await.resources.is_empty());
}

/// Plans and applies until nothing is left, as often as someone would.
async fn persist(simulator: &Simulator, base: &Lowered, head: &Lowered) {
    for _ in 0..40 {
        let aws = aws(simulator);
        let live = aws.observe(&BTreeSet::new()).await;
        if live.coverage.values().any(|coverage| *coverage != Coverage::Complete) {
            continue;
        }
        let changes = changes(base, head, &live);
        if changes.is_empty() {
            return;
        }
        let writer = aws.writer(&permit(&changes), &live);
        for change in &changes {
            // What is not known is tried again, as an executor would after reading.
            match writer.write(change).await {
                Err(error) if error.effect == Effect::Unknown => drop(writer.write(change).await),
                _ => {}
            }
        }
    }
    panic!("it does not converge");
}

#[tokio::test]
async fn invariant_24_killed_between_any_two_writes_the_next_run_ends_the_same() {
    let (first, second, none) = (some("s3:GetObject", "1h"), some("s3:PutObject", "2h"), Lowered::default());
    let whole = simulator("", 20);
    persist(&whole, &none, &first).await;
    let made = whole.writes();
    persist(&whole, &first, &second).await;
    let expected = observe(&*aws(&whole)).await;
    for n in 0..whole.writes() {
        let simulator = simulator("", 20);
        simulator.faults().fail_after_writes(n);
        for (base, head) in [(&none, &first), (&first, &second)] {
            let aws = aws(&simulator);
            let live = aws.observe(&BTreeSet::new()).await;
            let _ = apply(&*aws, &changes(base, head, &live), &live).await;
        }
        simulator.faults().clear();
        persist(&simulator, &none, &first).await;
        persist(&simulator, &first, &second).await;
        let ended = observe(&*aws(&simulator)).await;
        assert_eq!(
            (ended.resources, ended.grants),
            (expected.resources.clone(), expected.grants.clone()),
            "{n}"
        );
    }
    assert!(made > 10);
}

#[tokio::test]
async fn invariant_25_whatever_happens_to_the_answers_it_ends_the_same_and_nothing_is_there_twice() {
    let (first, second, none) = (some("s3:GetObject", "1h"), some("s3:PutObject", "2h"), Lowered::default());
    for seed in 1..=60 {
        let simulator = simulator("", 2);
        simulator.faults().seeded(seed, 200);
        persist(&simulator, &none, &first).await;
        persist(&simulator, &first, &second).await;
        simulator.faults().clear();
        let ended = observe(&*aws(&simulator)).await;
        assert_eq!(changes(&second, &second, &ended), [], "seed {seed}");
        assert_eq!(ended.resources.len(), 4, "seed {seed}");
        let world = simulator.world();
        let policy = &world.aws.accounts[ACCOUNT].policies["edge"];
        assert_eq!(policy.versions.len(), 1, "one update makes one version, seed {seed}");
    }
}
