//! The provider against the simulator, in virtual time: what moto lacks, tiny pages, faults, and death between writes.

use rolecall::provider::Effect;
use rolecall::provider::conformance::{
    self, Step, create, delete, grant, revoke, tells_what_is_missing, update,
};
use rolecall::simulator::{Fault, Mix, Planned, Simulator, World};

use super::*;

const ACCOUNT: &str = "222222222222";

fn simulator(users: &str, page_size: usize) -> Simulator {
    let text = format!(
        "now: 2026-01-01T00:00:00Z\npage_size: {page_size}\naws:\n  accounts:\n    \"{ACCOUNT}\":\n      name: ci\n{users}"
    );
    Simulator::of(World::parse(&text).unwrap()).unwrap()
}

fn aws(simulator: &Simulator) -> Box<dyn Provider> {
    let transport = Some(Arc::new(simulator.clone()) as Arc<dyn rolecall::provider::Transport>);
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
async fn one_edge_costs_one_call_and_is_what_was_observed() {
    let simulator = simulator("", 1000);
    let aws = aws(&simulator);
    converge(&*aws, &Lowered::default(), &some("s3:GetObject", "1h")).await;
    let live = observe(&*aws).await;
    assert_eq!(live.grants.len(), 4, "the user is in the group; it, the user and the role have the policy");
    let before = aws.calls();
    for edge in &live.grants {
        assert_eq!(aws.read_grant(&edge.key).await.unwrap().as_ref(), Some(edge));
    }
    for (who, relation, what) in [
        ("user/u", "member", "group/other"),
        ("role/r", "attached", "policy/other"),
        ("user/no", "member", "group/g"),
    ] {
        let [who, what] = [who, what].map(|end| format!("aws/{ACCOUNT}:{end}").parse::<Address>().unwrap());
        assert_eq!(aws.read_grant(&GrantKey::new(&who, relation, &what)).await.unwrap(), None);
    }
    assert_eq!(aws.calls() - before, 7);
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
        simulator.faults().seeded(seed, Mix::even(200));
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

fn text(pairs: &[(&str, Value)]) -> Attributes {
    pairs.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
}

fn at(kind: &str, name: &str) -> Address {
    Address::new("aws", Some(ACCOUNT), kind, name)
}

/// Every kind made, changed, given, taken and removed.
fn narrative() -> Vec<Step> {
    let document = |action: &str| canonical(&node(&allow(action)).to_value());
    let trust = |who: &str| {
        canonical(&node(&format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{who}"}}, "Action": "sts:AssumeRole"}}}}"#
        )).to_value())
    };
    let inline = |action: &str| Value::map([("i", document(action))]);
    let (user, group, role, policy) = (at("user", "u"), at("group", "g"), at("role", "r"), at("policy", "p"));
    let users = |tag: &str, action: &str, boundary: Value| {
        text(&[("tags", Value::map([("a", tag)])), ("inline", inline(action)), ("boundary", boundary)])
    };
    let roles = |who: &str, session: i64| {
        text(&[("trust", trust(who)), ("description", who.into()), ("max_session", session.into())])
    };
    let edges = [
        GrantKey::new(&user, "member", &group),
        GrantKey::new(&user, "attached", &policy),
        GrantKey::new(&group, "attached", &policy),
        GrantKey::new(&role, "attached", &policy),
    ];
    let (one, two) = ("111111111111", "222222222222");
    let edge = Value::from(policy.as_str());
    vec![
        Step::new(
            "make",
            [
                create(&policy, text(&[("path", "/x/".into()), ("document", document("a:b"))])),
                create(&group, text(&[("inline", inline("a:b"))])),
                create(&user, users("1", "a:b", edge.clone())),
                create(&role, roles(one, 3600)),
            ],
        ),
        Step::new("give", edges.iter().map(grant)),
        Step::new(
            "change",
            [
                update(
                    &policy,
                    text(&[("document", document("a:b"))]),
                    text(&[("document", document("a:c"))]),
                ),
                update(&group, text(&[("inline", inline("a:b"))]), text(&[("inline", inline("a:c"))])),
                update(&user, users("1", "a:b", edge), users("2", "a:c", Value::Null)),
                update(&role, roles(one, 3600), roles(two, 7200)),
            ],
        ),
        Step::new("take", edges.iter().skip(1).map(revoke)),
        Step::new(
            "remove",
            [&user, &group, &role, &policy].map(|address| delete(address, Attributes::new())),
        ),
    ]
}

fn permit_for(effects: BTreeSet<Digest>) -> Permit {
    Permit::new(Verdict::new(Ruling::Allowed, effects), Approval::Simulated)
}

#[tokio::test]
async fn aws_conforms_over_the_simulator_with_pages_of_one() {
    let simulator = simulator("", 1);
    let aws = aws(&simulator);
    let clock = simulator.clock();
    let live = conformance::run(&*aws, &*clock, &BTreeSet::new(), &narrative(), &permit_for).await.unwrap();
    assert!(live.resources.is_empty() && live.grants.is_empty(), "{live:?}");
    assert_eq!(aws.calls(), simulator.requests());
}

#[tokio::test]
async fn invariant_11_each_list_that_breaks_off_is_told() {
    for action in ["GetAccountAuthorizationDetails", "ListRoles"] {
        for fault in
            [Fault::Denied, Fault::Status(500), Fault::Html(502), Fault::ResetBefore, Fault::Truncated]
        {
            for skip in [0, 1] {
                let simulator = simulator("", 1);
                persist(&simulator, &Lowered::default(), &some("s3:GetObject", "1h")).await;
                if action == "ListRoles" && skip == 1 {
                    continue;
                }
                let whole = observe(&*aws(&simulator)).await;
                let named = simulator.calls().into_keys().find(|name| name.ends_with(action)).unwrap();
                simulator.faults().plan(Planned { action: named, skip, times: 100, fault });
                let cut = aws(&simulator).observe(&BTreeSet::new()).await;
                tells_what_is_missing(&whole, &cut)
                    .unwrap_or_else(|error| panic!("{action} {fault:?}: {error}"));
            }
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_far_from_awss_own_is_made_up_for() {
    for skew in [-3600, 3600] {
        let simulator = simulator("", 2);
        simulator.faults().skew(skew);
        let first = some("s3:GetObject", "1h");
        persist(&simulator, &Lowered::default(), &first).await;
        let ended = observe(&*aws(&simulator)).await;
        assert_eq!(changes(&first, &first, &ended), [], "{skew} seconds");
    }
}
