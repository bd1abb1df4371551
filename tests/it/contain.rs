//! `contain`: one person loses everything, now; nobody else loses or gets anything.
//!
//! Invariant: it needs no approval because it only takes away, and it does that whatever state the files are in.

use std::fs;

use serde_json::Value;

use crate::repo::Repo;

const SETTINGS: &str = r#"format: 1
organization: acme
timezone: UTC
directory: { from: okta, handle: login, attributes: { department: department } }
types: { employee: { rules: true, match: { userType: Employee } } }
identities: { okta: "{email}", aws: "{handle}" }
groups: { okta: "rbac_role_{role}" }
providers:
  okta: { url: https://acme.okta.com, own: [{ groups: "rbac_*", may: all }, { groups: "app.*", may: members }] }
  aws: { account: "222222222222", name: ci, own: [{ users: "*", groups: "*", roles: "*", policies: "*", may: all }] }
simulate: world.yaml
"#;

const ROLES: &str = r"kind: Role
name: infra
owners: [klibby]
members: [{ department: infrastructure }]
access: [{ okta: { groups: [app.gitlab] } }, { aws: { accounts: [ci], groups: [deployers], policies: [deploy] } }]
---
kind: Role
name: finance
owners: [klibby]
members: [{ department: finance }]
";

const WORLD: &str = r#"now: 2026-11-22T17:00:00Z
keep_log: true
okta:
  token_owner: svc@acme.com
  users:
    - { login: klibby@acme.com, sessions: 2, profile: { userType: Employee, department: Infrastructure } }
    - { login: dmurphy@acme.com, sessions: 3, profile: { userType: Employee, department: Infrastructure } }
    - { login: rpatel@acme.com, profile: { userType: Employee, department: Infrastructure } }
    - { login: tnguyen@acme.com, profile: { userType: Employee, department: Finance } }
    - { login: svc@acme.com, profile: { userType: Employee } }
  groups:
    - { name: app.gitlab }
    - { name: app.payroll, members: [dmurphy@acme.com] }
    - { name: legacy_wiki, members: [dmurphy@acme.com, klibby@acme.com] }
aws:
  caller: arn:aws:iam::222222222222:role/rolecall
  accounts:
    "222222222222":
      name: ci
      users:
        - { name: dmurphy, access_keys: [AKIAEXAMPLE000000001, AKIAEXAMPLE000000002], inactive_keys: [AKIAEXAMPLE000000002], login_profile: true }
        - { name: klibby, access_keys: [AKIAEXAMPLE000000003] }
      groups: [{ name: deployers }]
      policies: [{ name: deploy, document: { Version: "2012-10-17", Statement: [] } }]
"#;

fn repo_of(settings: &str, world: &str) -> Repo {
    let repo = Repo::empty();
    repo.write("rolecall.yaml", settings);
    repo.write("roles/all.yaml", ROLES);
    repo.write("world.yaml", world);
    repo.converge();
    repo
}

fn repo() -> Repo {
    repo_of(SETTINGS, WORLD)
}

fn world(repo: &Repo) -> rolecall::simulator::World {
    rolecall::simulator::World::parse(&repo.read("world.yaml")).unwrap()
}

/// Who is in which group of Okta, and what the AWS users have.
fn holdings(repo: &Repo, who: &str) -> Vec<String> {
    let world = world(repo);
    let login = format!("{who}@acme.com");
    let groups = world.okta.groups.values().filter(|group| group.members.contains(&login));
    let mut all: Vec<String> = groups.map(|group| group.name.clone()).collect();
    for user in world.aws.accounts.values().filter_map(|account| account.users.get(who)) {
        all.extend(user.groups.iter().chain(&user.policies).cloned());
        all.extend(user.access_keys.difference(&user.inactive_keys).cloned());
        all.extend(user.login_profile.then(|| "password".to_owned()));
    }
    all.extend((world.okta.users[&login].sessions > 0).then(|| "sessions".to_owned()));
    all.sort();
    all
}

fn writes(repo: &Repo) -> Vec<String> {
    let log = fs::read_to_string(repo.path().join("world.yaml.log")).unwrap_or_default();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("method"), text("path"), text("body"))
    };
    log.lines().map(line).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn one_person_loses_everything_in_every_provider_and_nobody_else_anything() {
    let repo = repo();
    assert_eq!(
        holdings(&repo, "dmurphy"),
        [
            "AKIAEXAMPLE000000001",
            "app.gitlab",
            "app.payroll",
            "deploy",
            "deployers",
            "legacy_wiki",
            "password",
            "rbac_role_infra",
            "sessions"
        ]
    );
    let (others, before) =
        (["klibby", "rpatel", "tnguyen"].map(|who| holdings(&repo, who)), writes(&repo).len());
    let ran = repo.expect(
        0,
        &["contain", "dmurphy", "--yes", "--reason", "SEC-512, laptop stolen", "--report", "report.json"],
    );
    assert_eq!(
        holdings(&repo, "dmurphy"),
        ["legacy_wiki"],
        "what `own:` does not give stays\n{}",
        ran.stdout
    );
    assert_eq!(["klibby", "rpatel", "tnguyen"].map(|who| holdings(&repo, who)), others);
    assert_eq!(writes(&repo).len() - before, 8, "{:#?}", writes(&repo));
    for said in [
        "dmurphy is contained",
        "sessions ended",
        "access key AKIAEXAMPLE000000001 inactive",
        "console password deleted",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(
        ran.stderr.contains("legacy_wiki") && ran.stderr.contains("people/suspensions/dmurphy.yaml"),
        "{}",
        ran.stderr
    );
    let suspension = repo.read("people/suspensions/dmurphy.yaml");
    assert_eq!(suspension, "{ kind: Suspension, name: dmurphy, reason: \"SEC-512, laptop stolen\" }\n");
    let report = json(&repo.read("report.json"));
    assert_eq!(
        (report["converged"].as_bool(), report["steps"].as_array().unwrap().len()),
        (Some(true), 8),
        "{report:#}"
    );

    // A second time there is nothing to do, and nothing is written.
    let (before, text) = (writes(&repo).len(), suspension);
    let again = repo.expect(0, &["contain", "person:dmurphy", "--yes"]);
    assert_eq!(
        (writes(&repo).len(), repo.read("people/suspensions/dmurphy.yaml")),
        (before, text),
        "{}",
        again.stdout
    );
    assert!(again.stdout.contains("nothing that could be taken away"), "{}", again.stdout);

    // Merged, it takes nothing more; deleted, it is a request that gives back what the rules give.
    let plan = repo.plan();
    assert_eq!(
        (plan["changes"].as_array().unwrap().len(), plan["drift"].as_array().unwrap().len()),
        (0, 0),
        "{plan:#}"
    );
    repo.converge();
    fs::remove_file(repo.path().join("people/suspensions/dmurphy.yaml")).unwrap();
    let plan = repo.plan();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 4, "{plan:#}");
    assert_eq!(
        plan["effects"].as_array().unwrap().len(),
        5,
        "these have to be approved, and that the file goes"
    );
    // `journal show` tells of it.
    let shown = repo.expect(0, &["journal", "show"]).stdout;
    let id = report["plan"].as_str().unwrap();
    let shown = if shown.contains("person:dmurphy") {
        shown
    } else {
        repo.expect(0, &["journal", "show", id]).stdout
    };
    assert!(shown.contains("only takes away from") && shown.contains("update"), "{shown}");
}

#[test]
fn what_was_taken_away_is_not_given_back_by_a_standing_run_before_the_suspension_is_merged() {
    let repo = repo();
    repo.expect(0, &["contain", "dmurphy", "--yes"]);
    fs::remove_file(repo.path().join("people/suspensions/dmurphy.yaml")).unwrap();
    let before = holdings(&repo, "dmurphy");
    repo.expect(0, &["apply", "--standing"]);
    assert_eq!(holdings(&repo, "dmurphy"), before);
    let plan = repo.plan();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 0, "{plan:#}");
    assert_eq!(plan["drift"].as_array().unwrap().len(), 4, "it shows as drift: {plan:#}");
}

#[test]
fn without_a_terminal_it_wants_yes_and_a_plan_of_it_is_no_plan_for_apply() {
    let repo = repo();
    let before = writes(&repo).len();
    let ran = repo.expect(1, &["contain", "dmurphy"]);
    assert!(ran.stderr.contains("RC621"), "{}", ran.stderr);
    assert!(!repo.path().join("people").exists());
    let plans = fs::read_dir(repo.path().join(".rolecall/plans")).unwrap().map(|file| file.unwrap().path());
    let plan = plans
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .find(|path| fs::read_to_string(path).unwrap().contains("\"contain\""))
        .unwrap();
    let ran = repo.expect(4, &["apply", plan.to_str().unwrap(), ".", "--yes"]);
    assert!(ran.stderr.contains("rolecall contain"), "{}", ran.stderr);
    assert_eq!(writes(&repo).len(), before);
    for reason in ["", "a\u{202e}b"] {
        assert!(
            repo.expect(1, &["contain", "dmurphy", "--yes", "--reason", reason]).stderr.contains("RC628")
        );
    }
}

#[test]
fn nobody_is_an_error_with_the_nearest_name() {
    let repo = repo();
    let ran = repo.expect(1, &["contain", "dmurphi", "--yes"]);
    assert!(ran.stderr.contains("RC625") && ran.stderr.contains("did you mean `dmurphy`"), "{}", ran.stderr);
}

#[test]
fn a_tree_that_is_broken_at_three_in_the_morning_is_no_reason_to_wait() {
    let repo = repo();
    repo.write("roles/all.yaml", "kind: Role\n  name: [");
    let ran = repo.expect(0, &["contain", "dmurphy", "--yes"]);
    assert_eq!(holdings(&repo, "dmurphy"), ["legacy_wiki"], "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("roles/all.yaml") && ran.stderr.contains("applied last"), "{}", ran.stderr);
    assert!(repo.path().join("people/suspensions/dmurphy.yaml").exists());
    // Neither are the settings.
    let repo = self::repo();
    repo.write("rolecall.yaml", "format: [1");
    repo.expect(0, &["contain", "dmurphy", "--yes"]);
    assert_eq!(holdings(&repo, "dmurphy"), ["legacy_wiki"]);
    // What is wrong with what head asks for of others does not matter either.
    let repo = self::repo();
    repo.replace("roles/all.yaml", "department: finance", "department: finanze");
    repo.expect(1, &["plan"]);
    repo.expect(0, &["contain", "dmurphy", "--yes"]);
    assert_eq!(holdings(&repo, "dmurphy"), ["legacy_wiki"]);
}

#[test]
fn nothing_else_that_the_files_ask_for_is_done() {
    let repo = repo();
    repo.replace("roles/all.yaml", "{ department: finance }", "{ handle: [rpatel, dmurphy] }");
    repo.write("roles/new.yaml", "kind: Role\nname: new\nowners: [klibby]\nmembers: [{ handle: dmurphy }]\n");
    let before = ["klibby", "rpatel", "tnguyen"].map(|who| holdings(&repo, who));
    repo.expect(0, &["contain", "dmurphy", "--yes"]);
    assert_eq!(["klibby", "rpatel", "tnguyen"].map(|who| holdings(&repo, who)), before);
    assert!(!world(&repo).okta.groups.values().any(|group| group.name == "rbac_role_new"));
    assert_eq!(holdings(&repo, "dmurphy"), ["legacy_wiki"]);
}

#[test]
fn whoever_is_protected_keeps_all_and_the_last_administrator_stays_one() {
    let protected = repo_of(&format!("{SETTINGS}protected: [\"person:dmurphy\"]\n"), WORLD);
    let before = holdings(&protected, "dmurphy");
    let ran = protected.expect(3, &["contain", "dmurphy", "--yes"]);
    assert_eq!(holdings(&protected, "dmurphy"), before, "{}", ran.stdout);
    assert!(ran.stdout.contains("protected:"), "{}", ran.stdout);
    assert!(!protected.path().join("people").exists());

    let admins =
        format!("{SETTINGS}limits: {{ admins: {{ min: 3, of: [\"okta:group/rbac_role_infra\"] }} }}\n");
    let last = repo_of(&admins, WORLD);
    let ran = last.expect(3, &["contain", "dmurphy", "--yes"]);
    assert_eq!(holdings(&last, "dmurphy"), ["legacy_wiki", "rbac_role_infra"], "{}", ran.stdout);
    assert!(ran.stdout.contains("RC403"), "{}", ran.stdout);
    assert!(last.path().join("people/suspensions/dmurphy.yaml").exists());
}

#[test]
fn what_cannot_be_read_is_told_and_what_was_seen_goes() {
    let repo = repo();
    let fault = "faults: { calls: [{ action: \"iam:GetAccountAuthorizationDetails\", times: 1000, fault: denied }] }\n";
    repo.write("world.yaml", &format!("{}{fault}", repo.read("world.yaml")));
    let ran = repo.expect(1, &["contain", "dmurphy", "--yes"]);
    assert!(
        ran.stdout.contains("not contained yet") && ran.stdout.contains("aws/222222222222"),
        "{}",
        ran.stdout
    );
    let left = holdings(&repo, "dmurphy");
    assert!(
        !left.iter().any(|what| what.contains("rbac") || what.contains("app.") || what == "sessions"),
        "{left:?}"
    );
    assert!(left.contains(&"deployers".to_owned()));
}

#[test]
fn own_decides_about_keys_as_about_everything() {
    let settings = SETTINGS.replace(
        "users: \"*\", groups: \"*\", roles: \"*\", policies: \"*\", may: all",
        "groups: \"*\", policies: \"*\", may: members",
    );
    let repo = repo_of(&settings, WORLD);
    let ran = repo.expect(0, &["contain", "dmurphy", "--yes"]);
    let left = holdings(&repo, "dmurphy");
    assert!(
        left.contains(&"AKIAEXAMPLE000000001".to_owned()) && left.contains(&"password".to_owned()),
        "{left:?}"
    );
    assert!(ran.stderr.contains("RC627") && ran.stderr.contains("AKIAEXAMPLE000000001"), "{}", ran.stderr);
}

#[test]
fn it_looks_at_what_he_has_and_not_at_every_group() {
    let mut groups = String::new();
    let mut roles = ROLES.to_owned();
    for n in 0..40 {
        groups.push_str(&format!("    - {{ name: app.x{n} }}\n"));
        roles.push_str(&format!("---\nkind: Role\nname: x{n}\nowners: [klibby]\nmembers: [{{ handle: rpatel }}]\naccess: [{{ okta: {{ groups: [app.x{n}] }} }}]\n"));
    }
    let repo = Repo::empty();
    repo.write("rolecall.yaml", SETTINGS);
    repo.write("roles/all.yaml", &roles);
    repo.write(
        "world.yaml",
        &WORLD.replace("    - { name: app.gitlab }\n", &format!("    - {{ name: app.gitlab }}\n{groups}")),
    );
    repo.converge();
    let ran = repo.expect(0, &["contain", "dmurphy", "--yes", "--format", "json"]);
    let calls = json(&ran.stdout)["calls"].as_u64().unwrap();
    assert!(calls < 60, "{calls} calls, with 80 groups that he is not in");
    assert_eq!(holdings(&repo, "dmurphy"), ["legacy_wiki"]);
}

#[test]
fn invariant_24_killed_at_any_write_and_run_again_it_goes_on() {
    let whole = repo();
    for (fault, n) in (1..=8).flat_map(|n| [("kill_before_write", n), ("kill_after_writes", n)]) {
        let repo = Repo::empty();
        repo.add(whole.path());
        let fault = format!("{fault}: {n}");
        let healthy = repo.read("world.yaml");
        repo.write("world.yaml", &format!("{healthy}faults: {{ {fault} }}\n"));
        repo.expect(-1, &["contain", "dmurphy", "--yes"]);
        let healed = repo.read("world.yaml").replacen(&format!("faults: {{ {fault} }}\n"), "", 1);
        repo.write("world.yaml", &healed.replacen(&format!("faults:\n  {fault}\n"), "", 1));
        repo.expect(0, &["contain", "dmurphy", "--yes"]);
        assert_eq!(holdings(&repo, "dmurphy"), ["legacy_wiki"], "after {fault}");
        assert!(repo.path().join("people/suspensions/dmurphy.yaml").exists());
    }
}
