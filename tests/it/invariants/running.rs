//! What happens while a plan is carried out: lost answers, throttles, drift.

use super::{PEOPLE, ROLES, World, ops, settled, writes};

/// Settled, with a request for a new role of two people, and what goes wrong once that is planned.
fn asked(calls: &str) -> crate::repo::Repo {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    World::settled(PEOPLE).write(&repo);
    repo.write(
        "roles/ops.yaml",
        "kind: Role\nname: ops\nowners: [klibby]\nmembers: [{ handle: [dmurphy, rpatel] }]\n",
    );
    repo.expect(0, &["plan"]);
    World::settled(PEOPLE).faults(calls).write(&repo);
    repo
}

#[test]
fn invariant_25_a_creation_whose_answer_is_lost_is_looked_up_and_not_repeated() {
    for fault in ["reset_after", "timeout_after", "truncated"] {
        for action in ["POST /groups", "PUT /groups/{id}/users/{id}"] {
            let repo = asked(&format!("{{ action: \"{action}\", fault: {fault} }}"));
            let ran = repo.expect(0, &["apply", "--yes"]);
            assert_eq!(writes(&repo), 3, "{action} {fault}: {}\n{}", ran.stdout, repo.read("world.yaml.log"));
            let calls = repo.read("world.yaml.log");
            assert_eq!(calls.matches("\"POST\"").count(), 1, "{calls}");
        }
    }
}

#[test]
fn invariant_28_a_throttle_is_waited_out_and_is_no_error() {
    for fault in ["throttled", "throttled_silently", "{ status: 503 }"] {
        let repo = asked(&format!("{{ action: \"*\", skip: 4, times: 3, fault: {fault} }}"));
        repo.expect(0, &["apply", "--yes"]);
        assert_eq!(writes(&repo), 3);
        repo.expect(0, &["plan", "--detailed-exitcode"]);
    }
}

#[test]
fn invariant_28_a_throttle_without_end_ends_with_what_was_read() {
    let repo = asked("{ action: \"GET /groups/{id}/users\", times: 4000000, fault: throttled_silently }");
    repo.replace("roles/all.yaml", "department: infrastructure", "handle: [dmurphy, rpatel]");
    let plan = repo.plan();
    assert_eq!(plan["complete"], false);
    assert!(!ops(&plan["changes"]).iter().any(|op| op.starts_with("revoke")), "{plan:#}");
}

#[test]
fn invariant_30_drift_does_nothing_by_itself() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let moved = || World::settled(PEOPLE).group("rbac_role_infra", &["klibby", "dmurphy", "tnguyen"]);
    moved().write(&repo);
    let plan = repo.plan();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 0, "{plan:#}");
    assert_eq!(plan["drift"].as_array().unwrap().len(), 2, "{plan:#}");
    repo.expect(0, &["apply", "--yes"]);
    assert_eq!(writes(&repo), 0);
    repo.expect(2, &["drift"]);
}

/// The directory's second page cannot be read: dmurphy is known, klibby and those after him are not.
const HALF: &str = "{ action: \"GET /users\", skip: 1, times: 1000, fault: denied }";

fn half(world: &World, repo: &crate::repo::Repo) {
    world.write(repo);
    repo.write("world.yaml", &format!("page_size: 2\n{}", repo.read("world.yaml")));
}

#[test]
fn invariant_30_drift_stays_drift_when_an_apply_could_not_read_all_people() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let drifted = || World::settled(PEOPLE).group("rbac_role_infra", &["klibby", "dmurphy"]);
    half(&drifted().faults(HALF), &repo);
    repo.expect(0, &["plan"]);
    let ran = repo.expect(1, &["apply", "--yes"]);
    assert!(ran.stdout.contains("who all the people are"), "{}", ran.stdout);
    half(&drifted(), &repo);
    let plan = repo.plan();
    assert_eq!(ops(&plan["changes"]), [""; 0], "{plan:#}");
    assert_eq!(ops(&plan["drift"]), ["grant rpatel member rbac_role_infra"]);
}

#[test]
fn invariant_02_what_nobody_approved_does_not_become_base_because_people_could_not_be_read() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    half(&World::settled(PEOPLE), &repo);
    repo.expect(0, &["plan"]);
    repo.replace("roles/all.yaml", "department: finance", "department: finance }, { handle: rpatel");
    half(&World::settled(PEOPLE).faults(HALF), &repo);
    // What the file says was in no plan, though whom it is about cannot be seen.
    repo.expect(4, &["apply", "--yes"]);
    half(&World::settled(PEOPLE), &repo);
    let plan = repo.plan();
    assert_eq!(plan["changes"][0]["cause"], "request", "{plan:#}");
    assert_eq!(ops(&plan["changes"]), ["grant rpatel member rbac_role_finance"]);
}

#[test]
fn invariant_30_heal_takes_away_what_was_given_by_hand_and_grants_nothing() {
    let repo = settled("heal: revoke\n", ROLES, &World::of(PEOPLE));
    World::settled(PEOPLE).group("rbac_role_infra", &["klibby", "dmurphy", "tnguyen"]).write(&repo);
    assert_eq!(ops(&repo.plan()["changes"]), ["revoke tnguyen member rbac_role_infra"]);
    repo.expect(0, &["apply", "--yes"]);
    assert_eq!(writes(&repo), 1);
    assert_eq!(ops(&repo.plan()["drift"]), ["grant rpatel member rbac_role_infra"]);
}
