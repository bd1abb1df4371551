//! What must not be taken away, whatever is asked: incomplete reads, caps, guards, ownership.

use serde_json::Value;

use super::{PEOPLE, ROLES, World, held, ops, refused, set, settled, want, writes};
use crate::repo::Repo;

/// Head takes klibby out of infra.
fn without_klibby(repo: &Repo) {
    repo.replace("roles/all.yaml", "department: infrastructure", "handle: [dmurphy, rpatel]");
}

fn taken(list: &Value) -> Vec<String> {
    ops(list).into_iter().filter(|op| op.starts_with("revoke") || op.starts_with("delete")).collect()
}

#[test]
fn invariant_11_an_incomplete_read_takes_nothing_away_in_its_scope() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let denied = |action: &str| {
        let calls = format!("{{ action: \"{action}\", times: 1000, fault: denied }}");
        World::settled(PEOPLE).faults(&calls).write(&repo);
    };
    without_klibby(&repo);
    repo.replace("roles/all.yaml", "department: finance", "handle: [tnguyen, dmurphy]");
    let grant = "grant dmurphy member rbac_role_finance";
    World::settled(PEOPLE).write(&repo);
    assert_eq!(taken(&repo.plan()["changes"]).len(), 2, "they would go, were they read");

    for action in ["GET /groups/{id}/users", "GET /users"] {
        denied(action);
        let plan = repo.plan();
        assert_eq!(taken(&plan["changes"]), [""; 0], "{action} denied: {plan:#}");
        assert_eq!(plan["complete"], false, "{action}");
    }
    denied("GET /groups/{id}/users");
    let plan = repo.plan();
    assert!(set(&plan["changes"]).contains(grant), "a grant may rest on a partial read: {plan:#}");
    assert_eq!(held(&plan, "incomplete").len(), 2, "{plan:#}");

    // A scope of another provider does not matter.
    denied("iam:*");
    assert_eq!(taken(&repo.plan()["changes"]).len(), 2);
}

#[test]
fn invariant_11_an_iam_sweep_that_breaks_off_takes_nothing_away() {
    let native = "{ kind: aws/User, name: bot }\n---\n{ kind: aws/User, name: bot2 }\n";
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.write("native/x.yaml", native);
    repo.converge();
    repo.write("native/x.yaml", "{ kind: aws/User, name: bot2 }\n");
    assert_eq!(taken(&repo.plan()["changes"]), ["delete bot"]);
    let fault = "faults: { calls: [{ action: \"iam:GetAccountAuthorizationDetails\", skip: 1, times: 1000, fault: denied }] }\npage_size: 1\n";
    repo.write("world.yaml", &format!("{fault}{}", repo.read("world.yaml")));
    let plan = repo.plan();
    assert_eq!(taken(&plan["changes"]), [""; 0], "{plan:#}");
}

#[test]
fn invariant_12_a_group_that_reads_as_empty_and_was_not_is_not_deleted() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.write("native/x.yaml", "{ kind: okta/Group, name: rbac_x, members: [klibby, dmurphy] }\n");
    repo.converge();
    std::fs::remove_dir_all(repo.path().join("native")).unwrap();
    World::settled(PEOPLE).group("rbac_x", &["klibby", "dmurphy"]).write(&repo);
    assert_eq!(taken(&repo.plan()["changes"]), ["delete rbac_x"]);
    // Its list says so, and its members are asked.
    let fault =
        "faults: { calls: [{ action: \"GET /groups/{id}/users\", times: 1000, fault: empty_list }] }\n";
    repo.write("world.yaml", &format!("{fault}{}", repo.read("world.yaml")));
    let plan = repo.plan();
    assert_eq!(taken(&plan["changes"]), [""; 0]);
    assert!(held(&plan, "incomplete").contains("delete rbac_x"), "{plan:#}");
    assert!(plan["findings"].to_string().contains("RC355"), "{plan:#}");
    // It really is empty, and nobody says that he is there.
    World::settled(PEOPLE).group("rbac_x", &[]).write(&repo);
    assert_eq!(taken(&repo.plan()["changes"]), ["delete rbac_x"]);
}

#[test]
fn invariant_14_too_many_removals_are_held_and_the_printed_waiver_lets_them_go() {
    let limits = "limits: { removals: { floor: 1, percent: 10 }, per_run: 100 }\n";
    let repo = settled(limits, ROLES, &World::of(PEOPLE));
    repo.replace("roles/all.yaml", "department: infrastructure", "handle: rpatel");
    repo.replace("roles/all.yaml", "department: finance", "handle: [tnguyen, dmurphy]");
    let ran = repo.expect(3, &["plan", "--detailed-exitcode", "--format", "json"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(held(&plan, "capped").len(), 4, "all that the cap counts: {plan:#}");
    assert_eq!(ops(&plan["changes"]), ["grant dmurphy member rbac_role_finance"], "the rest goes on");
    let remedies: std::collections::BTreeSet<&str> = plan["held"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|held| held["remedy"].as_str().unwrap().split("---\n"))
        .map(str::trim)
        .collect();
    let waivers: Vec<&str> = remedies.into_iter().collect();
    repo.write("rules/x.yaml", &waivers.join("\n---\n").replace("your-handle", "klibby"));
    let plan = repo.plan();
    assert_eq!(plan["held"].as_array().unwrap().len(), 0, "{plan:#}\n{}", repo.read("rules/x.yaml"));
    assert_eq!(taken(&plan["changes"]).len(), 4);
    repo.converge();
}

#[test]
fn invariant_15_a_group_that_would_become_empty_is_held_unless_that_is_declared() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.replace("roles/all.yaml", "members: [{ department: finance }]", "members: []");
    let plan = repo.plan();
    assert_eq!(held(&plan, "empty"), want(&["revoke tnguyen member rbac_role_finance"]), "{plan:#}");
    repo.replace("roles/all.yaml", "members: []", "members: []\nallow_empty: true");
    assert_eq!(ops(&repo.plan()["changes"]), ["revoke tnguyen member rbac_role_finance"]);
    // Leavers may empty it, declared or not.
    repo.write("roles/all.yaml", ROLES);
    World::settled(PEOPLE).status(&["tnguyen"], "DEPROVISIONED").write(&repo);
    let plan = repo.plan();
    assert_eq!(held(&plan, "empty"), want(&[]), "{plan:#}");
}

#[test]
fn invariant_16_the_principal_that_applies_keeps_its_access() {
    let aws = r#"aws:
  caller: arn:aws:iam::222222222222:user/rolecall
  accounts: { "222222222222": { name: ci, users: [{ name: rolecall }, { name: other }] } }
"#;
    let native = r#"{ kind: aws/User, name: rolecall, groups: [operators], policies: ["managed:IAMFullAccess"] }
---
{ kind: aws/User, name: other, groups: [operators] }
---
{ kind: aws/Group, name: operators, policies: ["managed:AdministratorAccess"] }
"#;
    let repo = settled("", ROLES, &World::of(PEOPLE).aws(aws));
    repo.write("native/x.yaml", native);
    repo.converge();
    let less =
        native.replace(", groups: [operators]", "").replace(", policies: [\"managed:IAMFullAccess\"]", "");
    let less = less.replace(", policies: [\"managed:AdministratorAccess\"]", ", allow_empty: true");
    repo.write("native/x.yaml", &less);
    let plan = repo.plan();
    assert_eq!(taken(&plan["changes"]), ["revoke other member operators"], "{plan:#}");
    let mine = [
        "revoke rolecall attached IAMFullAccess",
        "revoke rolecall member operators",
        "revoke operators attached AdministratorAccess",
    ];
    assert_eq!(held(&plan, "self"), want(&mine), "{plan:#}");
    repo.write("native/x.yaml", "{ kind: aws/User, name: other, groups: [] }\n");
    let plan = repo.plan();
    assert_eq!(taken(&plan["changes"]), [""; 0], "{plan:#}");
    assert_eq!(held(&plan, "self"), want(&["delete rolecall", "delete operators"]), "{plan:#}");
}

#[test]
fn invariant_17_the_last_administrators_are_held_even_for_leavers() {
    let limits = "limits: { admins: { min: 3, of: [\"okta:group/rbac_role_infra\"] } }\n";
    let repo = settled(limits, ROLES, &World::of(PEOPLE));
    World::settled(PEOPLE).status(&["dmurphy"], "DEPROVISIONED").write(&repo);
    let plan = repo.plan();
    assert_eq!(held(&plan, "last_admin"), want(&["revoke dmurphy member rbac_role_infra"]), "{plan:#}");
    assert_eq!(ops(&plan["changes"]), ["revoke dmurphy member app.gitlab"]);
}

#[test]
fn invariant_18_what_is_protected_stays_and_its_drift_is_an_alert() {
    let protected = "protected: [\"person:klibby\", \"okta:group/rbac_role_finance\"]\n";
    let repo = Repo::empty();
    repo.write("rolecall.yaml", super::SETTINGS);
    repo.write("roles/all.yaml", ROLES);
    World::of(PEOPLE).write(&repo);
    repo.converge();
    repo.write("rolecall.yaml", &format!("{}{protected}", super::SETTINGS));
    repo.converge();
    without_klibby(&repo);
    repo.replace("roles/all.yaml", "department: finance", "handle: [tnguyen, dmurphy]");
    let plan = repo.plan();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 0, "{plan:#}");
    assert_eq!(held(&plan, "protected").len(), 3);
    repo.write("roles/all.yaml", ROLES);
    World::settled(PEOPLE).group("rbac_role_infra", &["dmurphy", "rpatel"]).write(&repo);
    let plan = repo.plan();
    let codes: Vec<&Value> = plan["findings"].as_array().unwrap().iter().map(|f| &f["code"]).collect();
    assert!(codes.iter().any(|code| *code == "RC411"), "{plan:#}");
    assert_eq!(plan["changes"].as_array().unwrap().len(), 0);
}

#[test]
fn invariant_19_what_is_unmanaged_or_unclaimed_is_never_touched() {
    let mut world = World::of(PEOPLE).group("legacy", &["klibby"]);
    let names: Vec<&'static str> = (0..40).map(|n| &*format!("rbac_{n:02}").leak()).collect();
    for name in &names {
        world = world.group(name, &["klibby", "rpatel"]);
    }
    let repo = settled("", ROLES, &world);
    let untouched = |repo: &Repo| {
        let world = rolecall::simulator::World::parse(&repo.read("world.yaml")).unwrap();
        let whole =
            |name: &&&str| world.okta.groups.values().any(|g| g.name == **name && g.members.len() == 2);
        names.iter().filter(whole).count()
    };
    assert_eq!(untouched(&repo), 40);
    // Widening `own` to everything takes nothing away either.
    repo.replace("rolecall.yaml", "{ groups: \"app.*\", may: members }", "{ groups: \"*\", may: all }");
    let plan = repo.plan();
    assert_eq!(taken(&plan["changes"]), [""; 0], "{plan:#}");
    repo.converge();
    assert_eq!(untouched(&repo), 40);
    // Adoption is explicit, and deletes only what was adopted.
    repo.write("native/x.yaml", "{ kind: okta/Group, name: rbac_07, members: [klibby, rpatel] }\n");
    assert_eq!(taken(&repo.plan()["changes"]), [""; 0]);
    repo.converge();
    std::fs::remove_dir_all(repo.path().join("native")).unwrap();
    assert_eq!(taken(&repo.plan()["changes"]), ["delete rbac_07"]);
}

#[test]
fn invariant_20_a_person_whose_file_vanished_is_not_deleted() {
    let aws = r#"aws:
  caller: arn:aws:iam::222222222222:role/rolecall
  accounts: { "222222222222": { name: ci, users: [{ name: ext }, { name: dmurphy }, { name: rpatel }], groups: [{ name: deployers }] } }
"#;
    let repo = settled("", ROLES, &World::of(PEOPLE).aws(aws));
    repo.write("people/x.yaml", "kind: User\nname: ext\ntype: contractor\nemail: ext@acme.com\n");
    let role = "kind: Role\nname: out\nowners: [klibby]\nmembers: [{ department: finance }, { type: contractor }]\naccess: [{ aws: { accounts: [ci], groups: [deployers] } }]\n";
    repo.write("roles/out.yaml", role);
    repo.converge();
    std::fs::remove_dir_all(repo.path().join("people")).unwrap();
    let plan = repo.plan();
    let all = [ops(&plan["changes"]), ops(&plan["held"])].concat();
    assert!(all.contains(&"revoke ext member deployers".to_owned()), "{plan:#}");
    assert!(!all.iter().any(|op| op.starts_with("delete")), "{plan:#}");
}

#[test]
fn invariant_29_without_the_lock_nothing_is_applied() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.replace("roles/all.yaml", "department: finance", "handle: [tnguyen, dmurphy]");
    repo.expect(0, &["plan"]);
    let path = repo.path().join(".rolecall/lock");
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).unwrap();
    file.lock().unwrap();
    let ran = refused(&repo, 1);
    assert!(ran.stderr.contains("RC610"), "{}", ran.stderr);
    drop(file);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let ran = refused(&repo, 1);
    assert!(ran.stderr.contains("RC610"), "{}", ran.stderr);
    std::fs::remove_dir(&path).unwrap();
    let before = writes(&repo);
    repo.expect(0, &["apply", "--yes"]);
    assert_eq!(writes(&repo), before + 1);
}
