//! The whole way, YAML to a second empty plan, against moto: an AWS that we did not write, which counts the calls.
//!
//! Invariant: a no-change plan makes at most 5 requests, and an apply from nothing at most 1.05 × the writes.

use std::fmt::Write as _;
use std::process::Command;

use crate::repo::{Ran, Repo};
use crate::servers::Moto;

/// The account that moto's own keys belong to.
const ACCOUNT: &str = "123456789012";

const SETTINGS: &str = r#"format: 1
organization: acme
timezone: UTC
directory: manifests
types:
  employee: { rules: true }
identities: { aws: "{handle}" }
providers:
  aws: { account: "123456789012", own: [{ users: "*", groups: "*", roles: "*", policies: "*", may: all }] }
limits: { removals: { floor: 10, percent: 25 }, per_run: 200 }
approvals: { operator: allowed }
"#;

/// An access repo in Git, as it must be to be applied to what is not simulated.
fn repo(native: &str) -> Repo {
    let repo = Repo::empty();
    repo.write("rolecall.yaml", SETTINGS);
    repo.write(".gitignore", ".rolecall\n");
    repo.write("native/all.yaml", native);
    git(&repo, &["init", "-q"]);
    commit(&repo);
    repo
}

fn git(repo: &Repo, arguments: &[&str]) {
    let user = ["-c", "user.name=test", "-c", "user.email=test@acme.com"];
    let done = Command::new("git").arg("-C").arg(repo.path()).args(user).args(arguments).status().unwrap();
    assert!(done.success(), "git {arguments:?}");
}

fn commit(repo: &Repo) {
    git(repo, &["add", "-A"]);
    git(repo, &["commit", "-q", "-m", "x"]);
}

fn run(repo: &Repo, moto: &Moto, arguments: &[&str]) -> Ran {
    repo.run_with(
        arguments,
        &[
            ("AWS_ENDPOINT_URL", &moto.url()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "example"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ],
    )
}

/// Plans, approves what the plan says, applies, and gives the plan.
fn apply(repo: &Repo, moto: &Moto) -> serde_json::Value {
    let planned = run(repo, moto, &["plan", "--format", "json"]);
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let plan: serde_json::Value = serde_json::from_str(&planned.stdout).unwrap();
    let refused = run(repo, moto, &["apply", "--yes"]);
    assert_eq!(refused.code, 4, "an apply without approval: {}{}", refused.stdout, refused.stderr);
    let applied = run(repo, moto, &["apply", "--yes", "--approve", plan["effect"].as_str().unwrap()]);
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
    plan
}

fn converged(repo: &Repo, moto: &Moto) {
    let left = run(repo, moto, &["plan", "--detailed-exitcode"]);
    assert_eq!(left.code, 0, "{}{}", left.stdout, left.stderr);
}

const FIRST: &str = r#"kind: aws/User
name: ci-deployer
path: /service/
tags: { team: platform }
groups: [deployers]
policies: [deny-data]
inline: { own-keys: { Version: 2012-10-17, Statement: [{ Effect: Allow, Action: "iam:ListAccessKeys", Resource: "*" }] } }
---
{ kind: aws/Group, name: deployers, policies: ["managed:ReadOnlyAccess", deny-data] }
---
kind: aws/Policy
name: deny-data
document: { Version: 2012-10-17, Statement: [{ Effect: Deny, Action: "s3:GetObject", Resource: "*" }] }
---
kind: aws/Role
name: audit-reader
description: reads everything
trust: { Version: 2012-10-17, Statement: [{ Effect: Allow, Principal: { AWS: "arn:aws:iam::123456789012:root" }, Action: "sts:AssumeRole" }] }
policies: ["managed:SecurityAudit", deny-data]
boundary: deny-data
tags: { team: audit }
"#;

#[test]
fn each_aws_kind_is_created_changed_and_removed_on_moto_and_the_second_plan_is_empty() {
    let Some(moto) = Moto::start("each_aws_kind_on_moto", &[]) else { return };
    let repo = repo(FIRST);
    let plan = apply(&repo, &moto);
    assert_eq!(plan["summary"]["create"], 4, "{plan:#}");
    converged(&repo, &moto);
    for (old, new) in [
        ("team: platform", "team: delivery, tier: one"),
        ("Action: \"s3:GetObject\"", "Action: [\"s3:GetObject\", \"s3:PutObject\"]"),
        ("description: reads everything", "description: reads all of it\nmax_session: 2h"),
        ("policies: [\"managed:ReadOnlyAccess\", deny-data]", "policies: [\"managed:ReadOnlyAccess\"]"),
        ("policies: [deny-data]\ninline: { own-keys", "inline: { my-keys"),
        ("\nboundary: deny-data", ""),
        (
            "Effect: Allow, Principal: { AWS: \"arn:aws:iam::123456789012:root\" }",
            "Effect: Allow, Principal: { Service: ec2.amazonaws.com }",
        ),
    ] {
        repo.replace("native/all.yaml", old, new);
    }
    commit(&repo);
    let plan = apply(&repo, &moto);
    assert_eq!(plan["summary"]["update"], 3, "{plan:#}");
    assert_eq!(plan["summary"]["revoke"], 2, "{plan:#}");
    converged(&repo, &moto);
    repo.write("native/all.yaml", "{ kind: aws/Group, name: deployers, allow_empty: true }\n");
    commit(&repo);
    let plan = apply(&repo, &moto);
    assert_eq!(plan["summary"]["delete"], 3, "{plan:#}");
    converged(&repo, &moto);
}

#[test]
fn a_thousand_users_cost_as_many_calls_as_the_pages_that_hold_them() {
    let Some(moto) = Moto::start("a_thousand_users_on_moto", &[]) else { return };
    let (users, groups, roles) = (1000, 100, 50);
    let mut native = String::new();
    for n in 0..users {
        let _ = writeln!(
            native,
            "---\n{{ kind: aws/User, name: u{n:04}, tags: {{ number: \"{n}\" }}, groups: [g{:03}, g{:03}] }}",
            n % groups,
            (n * 7 + 1) % groups
        );
    }
    for n in 0..groups {
        let _ = writeln!(native, "---\n{{ kind: aws/Group, name: g{n:03} }}");
    }
    for n in 0..roles {
        let trust = r#"{ Version: 2012-10-17, Statement: [{ Effect: Allow, Principal: { AWS: "123456789012" }, Action: "sts:AssumeRole" }] }"#;
        let document = format!(
            r#"{{ Version: 2012-10-17, Statement: [{{ Effect: Allow, Action: "s3:GetObject", Resource: "arn:aws:s3:::b{n}/*" }}] }}"#
        );
        let _ = writeln!(
            native,
            "---\n{{ kind: aws/Role, name: r{n:02}, trust: {trust}, policies: [p{n:02}, \"managed:SecurityAudit\"] }}"
        );
        let _ = writeln!(native, "---\n{{ kind: aws/Policy, name: p{n:02}, document: {document} }}");
    }
    let repo = repo(&native);
    let planned = run(&repo, &moto, &["plan", "--format", "json"]);
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let plan: serde_json::Value = serde_json::from_str(&planned.stdout).unwrap();
    // A user whose two groups are one has one membership.
    let edges = (0..users).filter(|n| n % groups != (n * 7 + 1) % groups).count() + users;
    let writes = users + edges + groups + 2 * roles + 2 * roles;
    assert_eq!(plan["changes"].as_array().unwrap().len(), writes);
    moto.reset();
    let applied = run(&repo, &moto, &["apply", "--yes", "--approve", plan["effect"].as_str().unwrap()]);
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
    let counts = moto.counts();
    println!("apply from nothing: {} calls for {writes} writes", counts.total);
    assert!(counts.total as usize * 100 <= writes * 105, "{counts:?} for {writes} writes");
    moto.reset();
    let left = run(&repo, &moto, &["plan", "--detailed-exitcode", "--format", "json"]);
    assert_eq!(left.code, 0, "{}{}", left.stdout, left.stderr);
    let left: serde_json::Value = serde_json::from_str(&left.stdout).unwrap();
    let counts = moto.counts();
    println!("no-change plan: {} calls", counts.total);
    assert!(counts.total <= 5, "{counts:?}");
    let told = &left["base"]["providers"]["aws"]["calls"];
    assert_eq!(*told, counts.total, "the provider counts what the server counts");
}

#[test]
fn a_create_whose_answer_is_lost_is_adopted_not_repeated() {
    let Some(moto) = Moto::start("a_lost_answer_on_moto", &["--lose-answer", "2"]) else { return };
    let repo = repo(FIRST);
    let planned = run(&repo, &moto, &["plan", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&planned.stdout).unwrap();
    moto.reset();
    let effect = plan["effect"].as_str().unwrap();
    let applied = run(&repo, &moto, &["apply", "--yes", "--approve", effect]);
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
    assert_eq!(moto.counts().lost, 1);
    converged(&repo, &moto);
    assert!(plan["tool"].as_str().unwrap().starts_with("rolecall"), "{ACCOUNT}");
}
