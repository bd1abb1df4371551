//! `rolecall.lock`: a name that has changed hands is held, not served, until somebody says that it is right.

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
  aws: { account: "222222222222", name: ci, own: [{ users: "*", groups: "*", may: all }] }
simulate: world.yaml
"#;

const ROLES: &str = r"kind: Role
name: infra
owners: [klibby]
members: [{ department: infrastructure }, { handle: tnguyen }]
access: [{ okta: { groups: [app.gitlab] } }, { aws: { accounts: [ci], groups: [deployers] } }]
";

const WORLD: &str = r#"now: 2026-11-22T17:00:00Z
keep_log: true
okta:
  token_owner: svc@acme.com
  users:
    - { login: klibby@acme.com, profile: { userType: Employee, department: Infrastructure } }
    - { login: dmurphy@acme.com, profile: { userType: Employee, department: Infrastructure } }
    - { login: tnguyen@acme.com, profile: { userType: Employee, department: Finance } }
    - { login: svc@acme.com, profile: { userType: Employee } }
  groups: [{ name: app.gitlab }]
aws:
  caller: arn:aws:iam::222222222222:role/rolecall
  accounts: { "222222222222": { name: ci, users: [{ name: dmurphy }, { name: klibby }, { name: tnguyen }], groups: [{ name: deployers }] } }
"#;

/// Locked and applied.
fn repo() -> Repo {
    let repo = Repo::empty();
    repo.write("rolecall.yaml", SETTINGS);
    repo.write("roles/all.yaml", ROLES);
    repo.write("world.yaml", WORLD);
    repo.expect(0, &["lock"]);
    repo.converge();
    repo
}

/// Another one has the login now: the world with the old record away and a new one in its place, in no group.
fn recycle(repo: &Repo, login: &str) {
    let mut world = rolecall::simulator::World::parse(&repo.read("world.yaml")).unwrap();
    for group in world.okta.groups.values_mut() {
        group.members.remove(login);
    }
    let user = world.okta.users.get_mut(login).unwrap();
    user.id = "00uANOTHER".to_owned();
    repo.write("world.yaml", &world.to_yaml().unwrap());
}

fn held(plan: &Value) -> Vec<String> {
    let of = |held: &Value| {
        let change = &held["change"];
        let text = |key: &str| change[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {} {}", held["why"].as_str().unwrap(), text("op"), text("principal"), text("resource"))
    };
    plan["held"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn a_lock_is_sorted_a_name_a_line_and_written_twice_the_same() {
    let repo = repo();
    let text = repo.read("rolecall.lock");
    for line in [
        "  \"okta:group/app.gitlab\": \"00g",
        "  \"person:klibby\": \"00u",
        "  \"person:tnguyen\": \"00u",
        "  \"aws/222222222222:user/tnguyen\": \"AIDA",
        "    \"Infrastructure\": 2\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("dmurphy"), "nobody names him: {text}");
    assert!(!text.contains("rbac_role_infra"), "rolecall makes it itself: {text}");
    let names: Vec<&str> =
        text.lines().filter(|line| line.starts_with("  \"") && !line.ends_with(':')).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted);
    let ran = repo.expect(0, &["lock"]);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("as it was"), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(repo.read("rolecall.lock"), text);
    // A change of its own lines alone is a change of head's files, and asks for nothing.
    repo.write("rolecall.lock", &text.replace("\"Infrastructure\": 2", "\"Infrastructure\": 3"));
    let plan = repo.plan();
    assert_eq!((plan["changes"].as_array().unwrap().len(), plan["held"].as_array().unwrap().len()), (0, 0));
    assert_ne!(plan["base"]["config"], plan["base"]["base_config"]);
}

#[test]
fn invariant_42_a_recycled_handle_is_held_and_not_served_until_the_lock_says_otherwise() {
    let repo = repo();
    recycle(&repo, "klibby@acme.com");
    repo.replace("roles/all.yaml", "{ handle: tnguyen }", "{ handle: [tnguyen, klibby] }");
    repo.write(
        "roles/new.yaml",
        "kind: Role\nname: new\nowners: [tnguyen]\nmembers: [{ department: infrastructure }]\n",
    );
    let plan = repo.plan();
    let gives: Vec<&Value> =
        plan["changes"].as_array().unwrap().iter().filter(|change| change["op"] == "grant").collect();
    assert!(gives.iter().all(|change| !change["subject"].to_string().contains("klibby")), "{plan:#}");
    assert!(gives.iter().any(|change| change["subject"] == "person:dmurphy"), "others are served: {plan:#}");
    assert_eq!(
        held(&plan),
        ["identity grant okta:user/klibby@acme.com okta:group/rbac_role_new"],
        "{plan:#}"
    );
    assert!(plan["findings"].to_string().contains("RC356"), "{plan:#}");
    // Neither is anything taken: what is given by hand to the new one is his, until it is known who he is.
    repo.converge();
    fs::remove_file(repo.path().join("roles/new.yaml")).unwrap();
    repo.replace("roles/all.yaml", "{ department: infrastructure }", "{ handle: dmurphy }");
    repo.replace("roles/all.yaml", "[tnguyen, klibby]", "tnguyen");
    let plan = repo.plan();
    let changes = plan["changes"].to_string();
    assert!(!changes.contains("okta:user/klibby@acme.com"), "{plan:#}");

    // `lock` says loudly what changed, and what it writes is accepted as head's word that was changed.
    let ran = repo.expect(0, &["lock"]);
    assert!(
        ran.stdout.contains("! person:klibby: 00u") && ran.stdout.contains("-> 00uANOTHER"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("CHANGED HANDS"), "{}", ran.stderr);
    let plan = repo.plan();
    assert_eq!(held(&plan), Vec::<String>::new(), "{plan:#}");
    assert!(!plan["findings"].to_string().contains("RC356"), "{plan:#}");
}

#[test]
fn invariant_42_a_group_that_was_deleted_and_made_again_is_held() {
    let repo = repo();
    let mut world = rolecall::simulator::World::parse(&repo.read("world.yaml")).unwrap();
    let id = world.okta.groups.values().find(|group| group.name == "app.gitlab").unwrap().id.clone();
    let mut group = world.okta.groups.remove(&id).unwrap();
    (group.id, group.members) = ("00gANOTHER".to_owned(), Default::default());
    world.okta.add_group(group);
    repo.write("world.yaml", &world.to_yaml().unwrap());
    let more = "kind: Grant\nname: x\nto: dmurphy\nroles: [infra]\nuntil: 2026-12-22\nreason: audit\n";
    repo.write("grants/x.yaml", more);
    repo.replace(
        "roles/all.yaml",
        "members: [{ department: infrastructure }, { handle: tnguyen }]",
        "members: [{ handle: svc }]",
    );
    let plan = repo.plan();
    let changes = plan["changes"].to_string();
    assert!(!changes.contains("app.gitlab"), "{plan:#}");
    assert!(
        held(&plan).iter().any(|held| held.starts_with("identity grant") && held.ends_with("app.gitlab")),
        "{plan:#}"
    );
    assert!(changes.contains("rbac_role_infra"), "the rest goes on: {plan:#}");
    // Base's lock judges: taking the line out of head does not help.
    let lock = repo.read("rolecall.lock");
    let without: String =
        lock.lines().filter(|line| !line.contains("app.gitlab")).map(|line| format!("{line}\n")).collect();
    repo.write("rolecall.lock", &without);
    assert!(!repo.plan()["changes"].to_string().contains("app.gitlab"));
    repo.write("rolecall.lock", &lock);
    repo.expect(0, &["lock"]);
    assert!(repo.plan()["changes"].to_string().contains("app.gitlab"));
}

#[test]
fn invariant_42_whoever_has_left_goes_whatever_his_id_is() {
    let repo = repo();
    let mut world = rolecall::simulator::World::parse(&repo.read("world.yaml")).unwrap();
    let user = world.okta.users.get_mut("tnguyen@acme.com").unwrap();
    (user.id, user.status) = ("00uANOTHER".to_owned(), rolecall::simulator::UserStatus::Deprovisioned);
    repo.write("world.yaml", &world.to_yaml().unwrap());
    let plan = repo.plan();
    let revoked =
        plan["changes"].as_array().unwrap().iter().filter(|change| change["op"] == "revoke").count();
    assert_eq!(revoked, 3, "{plan:#}");
}

#[test]
fn check_tells_offline_what_the_lock_does_not_know() {
    let repo = repo();
    assert!(repo.expect(0, &["check"]).stdout.is_empty());
    repo.replace(
        "roles/all.yaml",
        "department: infrastructure }, { handle: tnguyen",
        "department: infrastrcture }, { handle: tnguyn",
    );
    // No provider is asked: there is no world.
    fs::remove_file(repo.path().join("world.yaml")).unwrap();
    let ran = repo.expect(0, &["check"]);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for text in ["RC203", "did you mean `infrastructure` (2 people)?", "RC204", "did you mean `tnguyen`?"] {
        assert!(said.contains(text), "{text}: {said}");
    }
}

#[test]
fn a_lock_that_cannot_be_understood_or_is_a_link_is_an_error() {
    let repo = repo();
    let lock = repo.read("rolecall.lock");
    for bad in [
        format!("<<<<<<< HEAD\n{lock}"),
        lock.replace("format: 1", "format: 2"),
        format!("{lock}other: {{}}\n"),
        lock.replace("  \"person:klibby\": ", "  \"person:klibby\": [")
            .replace("\n  \"person:tnguyen\"", "]\n  \"person:tnguyen\""),
        String::new(),
    ] {
        repo.write("rolecall.lock", &bad);
        for command in ["check", "plan"] {
            let ran = repo.expect(1, &[command]);
            assert!(
                format!("{}{}", ran.stdout, ran.stderr).contains("rolecall.lock"),
                "{bad}: {}{}",
                ran.stdout,
                ran.stderr
            );
        }
    }
    fs::rename(repo.path().join("rolecall.lock"), repo.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", repo.path().join("rolecall.lock")).unwrap();
    for command in ["plan", "lock"] {
        assert!(repo.expect(1, &[command]).stderr.contains("symbolic link"));
    }
}
