//! What was approved, what it rests on, and what judges it.

use super::{PEOPLE, ROLES, World, held, ops, refused, set, settled, want, writes};
use crate::repo::Repo;

fn effect(repo: &Repo) -> String {
    repo.plan()["effect"].as_str().unwrap().to_owned()
}

#[test]
fn invariant_08_the_effect_depends_on_operation_subject_and_role_and_on_no_order() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let more = "kind: Role\nname: ops\nowners: [klibby]\nmembers: [{ handle: [dmurphy, rpatel] }]\n";
    repo.write("roles/ops.yaml", more);
    let first = effect(&repo);
    // The same in another file, in another order, with other words.
    std::fs::remove_file(repo.path().join("roles/ops.yaml")).unwrap();
    repo.write(
        "roles/all.yaml",
        &format!(
            "members: [{{ handle: [rpatel, dmurphy], reason: on call }}]\nname: ops\nkind: Role\nowners: [klibby]\n---\n{ROLES}"
        ),
    );
    assert_eq!(effect(&repo), first);
    let mut seen = std::collections::BTreeSet::from([first]);
    for (what, text) in [
        ("another subject", more.replace("dmurphy", "tnguyen")),
        ("one subject less", more.replace("dmurphy, ", "")),
        ("another role", more.replace("name: ops", "name: oops")),
        ("another operation", ROLES.split_once("---").unwrap().0.replace("infrastructure", "finance")),
        ("nothing", String::new()),
    ] {
        repo.write("roles/all.yaml", ROLES);
        repo.write("roles/ops.yaml", &text);
        if what == "another operation" {
            repo.write("roles/all.yaml", &text);
            std::fs::remove_file(repo.path().join("roles/ops.yaml")).unwrap();
        }
        assert!(seen.insert(effect(&repo)), "{what} has the effect of something else");
    }
}

#[test]
fn invariant_09_what_was_not_approved_is_refused_before_the_first_write() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.replace("roles/all.yaml", "department: finance", "handle: [tnguyen, dmurphy]");
    repo.expect(0, &["plan"]);
    repo.replace("roles/all.yaml", "[tnguyen, dmurphy]", "[tnguyen, dmurphy, rpatel]");
    let ran = refused(&repo, 4);
    assert!(ran.stderr.contains("RC603") && ran.stderr.contains("rpatel"), "{}", ran.stderr);
}

#[test]
fn invariant_09_a_precondition_that_no_longer_holds_stops_that_change_alone() {
    let native = r#"kind: aws/Policy
name: deny-data
document: { Version: 2012-10-17, Statement: [{ Effect: Deny, Action: "s3:GetObject", Resource: "*" }] }
"#;
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.write("native/x.yaml", native);
    repo.converge();
    repo.replace("native/x.yaml", "s3:GetObject", "s3:*");
    repo.replace("roles/all.yaml", "department: finance", "handle: [tnguyen, dmurphy]");
    assert_eq!(repo.plan()["changes"].as_array().unwrap().len(), 2);
    // Somebody changes the policy between plan and apply.
    repo.replace("world.yaml", "s3:getobject", "s3:listbucket");
    let ran = repo.expect(1, &["apply", "--yes"]);
    assert!(ran.stdout.contains("RC605"), "{}", ran.stdout);
    assert!(repo.read("world.yaml").contains("s3:listbucket"), "it was written over");
    // Not even where the same plan is applied once more: what was refused was not begun.
    let ran = repo.expect(1, &["apply", "--yes"]);
    assert!(ran.stdout.contains("RC605"), "{}", ran.stdout);
    assert!(repo.read("world.yaml").contains("s3:listbucket"), "it was written over the second time");
    let left = repo.plan();
    assert_eq!(ops(&left["changes"]), ["update deny-data"], "the rest went on");
}

#[test]
fn invariant_10_a_plan_older_than_its_time_to_live_is_refused() {
    let repo = settled("plan_ttl: 2d\n", ROLES, &World::of(PEOPLE));
    repo.replace("roles/all.yaml", "department: finance", "handle: [tnguyen, dmurphy]");
    repo.expect(0, &["plan"]);
    repo.replace("world.yaml", "now: 2026-11-22T17:00:00Z", "now: 2026-11-24T17:00:00Z");
    let ran = refused(&repo, 4);
    assert!(ran.stderr.contains("RC601"), "{}", ran.stderr);
    repo.replace("world.yaml", "now: 2026-11-24T17:00:00Z", "now: 2026-11-24T16:59:59Z");
    repo.expect(0, &["apply", "--yes"]);
}

#[test]
fn invariant_23_what_was_applied_is_not_written_again() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let before = writes(&repo);
    assert!(before > 0);
    repo.converge();
    assert_eq!(writes(&repo), before);
    // Nor where nothing is remembered.
    std::fs::remove_dir_all(repo.path().join(".rolecall")).unwrap();
    repo.converge();
    assert_eq!(writes(&repo), before);
}

/// Head takes klibby out of infra, and in the same change weakens what judges that.
fn weakened(base: &str, head: &str) -> serde_json::Value {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.write("rolecall.yaml", &format!("{}{base}", repo.read("rolecall.yaml")));
    repo.converge();
    repo.replace("roles/all.yaml", "department: infrastructure", "handle: [dmurphy, rpatel]");
    let removals = want(&["revoke klibby member app.gitlab", "revoke klibby member rbac_role_infra"]);
    let strict = repo.plan();
    let settings = repo.read("rolecall.yaml");
    assert!(settings.contains(base));
    repo.write("rolecall.yaml", &settings.replacen(base, head, 1));
    let plan = repo.plan();
    assert_eq!(set(&strict["held"]), removals, "the base does not hold it");
    assert_eq!(set(&plan["held"]), removals, "the head let go what base holds");
    assert_eq!(plan["verdict"], "denied");
    plan
}

#[test]
fn invariant_43_protected_of_base_judges_head() {
    let plan = weakened("protected: [\"person:klibby\"]\n", "");
    assert_eq!(held(&plan, "protected").len(), 2);
}

#[test]
fn invariant_43_limits_of_base_judge_head() {
    let strict = "limits: { removals: { floor: 0, percent: 0 } }\n";
    let plan = weakened(strict, "limits: { removals: { floor: 100, percent: 100 }, per_run: 1000 }\n");
    assert_eq!(held(&plan, "capped").len(), 2);
    let strict =
        "limits: { admins: { min: 3, of: [\"okta:group/rbac_role_infra\", \"okta:group/app.gitlab\"] } }\n";
    let plan = weakened(strict, "");
    assert_eq!(held(&plan, "last_admin").len(), 2);
}

#[test]
fn invariant_43_own_of_base_judges_the_removals_of_head() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.replace("rolecall.yaml", "groups: \"app.*\", may: members", "groups: \"app.*\", may: add");
    repo.converge();
    // In one change: whoever is in the app is taken out of it, and `own` comes to allow that.
    repo.replace("rolecall.yaml", "groups: \"app.*\", may: add", "groups: \"app.*\", may: members");
    repo.replace("roles/all.yaml", "department: infrastructure", "handle: [dmurphy, rpatel]");
    let plan = repo.plan();
    assert_eq!(
        set(&plan["changes"]),
        want(&["revoke klibby member rbac_role_infra", "forget klibby member app.gitlab"])
    );
}

#[test]
fn invariant_43_heal_of_base_judges_drift() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    World::settled(PEOPLE).group("rbac_role_finance", &["tnguyen", "dmurphy"]).write(&repo);
    repo.write("rolecall.yaml", &format!("{}heal: revoke\n", repo.read("rolecall.yaml")));
    let plan = repo.plan();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 0, "{plan:#}");
    assert_eq!(ops(&plan["drift"]), ["revoke dmurphy member rbac_role_finance"]);
}

#[test]
fn invariant_44_without_base_nothing_is_taken_away() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.write("native/x.yaml", "{ kind: okta/Group, name: rbac_x, members: [klibby] }\n");
    repo.converge();
    std::fs::remove_dir_all(repo.path().join(".rolecall")).unwrap();
    std::fs::remove_dir_all(repo.path().join("native")).unwrap();
    repo.replace("roles/all.yaml", "department: infrastructure", "handle: [dmurphy, rpatel]");
    let plan = repo.plan();
    let taken: Vec<String> = ops(&plan["changes"])
        .into_iter()
        .filter(|op| op.starts_with("revoke") || op.starts_with("delete"))
        .collect();
    assert!(taken.is_empty(), "{taken:?}");
    let before = writes(&repo);
    repo.expect(0, &["apply", "--yes"]);
    assert_eq!(writes(&repo), before);
    assert!(repo.read("world.yaml").contains("rbac_x"));
}

#[test]
fn invariant_44_a_memory_that_is_broken_stops_everything_and_a_lost_one_takes_nothing() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    for file in ["base.json", "demand.json", "snapshot.json"] {
        let name = format!(".rolecall/verified/{file}");
        let kept = repo.read(&name);
        repo.write(&name, &kept[..kept.len() / 2]);
        let ran = repo.expect(1, &["plan"]);
        assert!(ran.stderr.contains("RC701"), "{file}: {}", ran.stderr);
        refused(&repo, 1);
        repo.write(&name, &kept);
    }
    for file in ["demand.json", "snapshot.json"] {
        let name = format!(".rolecall/verified/{file}");
        let kept = repo.read(&name);
        std::fs::remove_file(repo.path().join(&name)).unwrap();
        let plan = repo.plan();
        assert_eq!(plan["changes"].as_array().unwrap().len(), 0, "without {file}: {plan:#}");
        repo.write(&name, &kept);
    }
}
