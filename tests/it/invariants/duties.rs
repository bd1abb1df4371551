//! What runs by itself, what is given for a while, what must not be together, and who is out of everything.

use std::collections::BTreeSet;

use super::{MOVED, PEOPLE, ROLES, World, held, ops, set, settled, want, writes};

/// A role that is given on request, for eight hours.
const ON_REQUEST: &str = "---
kind: Role
name: admin
owners: [klibby]
on_request: { max: 8h, needs: [ticket] }
";

/// Nobody may have both roles.
const APART: &str = "---
{ kind: Separation, name: two-hands, between: [[infra], [finance]], reason: SOX-12 }
";

fn causes(plan: &serde_json::Value) -> BTreeSet<String> {
    let changes = plan["changes"].as_array().unwrap();
    let of = |change: &serde_json::Value| {
        let standing = change["standing"].as_str().unwrap_or_default();
        format!("{} {standing}", change["cause"].as_str().unwrap()).trim().to_owned()
    };
    changes.iter().map(of).collect()
}

#[test]
fn invariant_02_a_joiner_gets_by_a_standing_run_what_the_rules_give_up_to_their_risk() {
    let secret =
        "---\nkind: Role\nname: vault\nsensitivity: high\nmembers: [{ department: infrastructure }]\n";
    let roles =
        format!("{ROLES}{secret}").replacen("owners: [klibby]", "owners: [klibby]\nsensitivity: medium", 1);
    let repo = settled("", &roles, &World::of(PEOPLE));
    let people = [PEOPLE, &[("joiner", "Infrastructure")]].concat();
    let vault = ["klibby", "dmurphy", "rpatel"];
    World::settled(&people).group("rbac_role_vault", &vault).write(&repo);
    let ran = repo.expect(0, &["apply", "--standing"]);
    assert!(ran.stdout.starts_with("applied and verified: 2 done and 1 held"), "{}", ran.stdout);
    let plan = repo.plan();
    assert_eq!(
        (set(&plan["changes"]), held(&plan, "queued")),
        (want(&[]), want(&["grant joiner member rbac_role_vault"]))
    );
    // A second run has nothing to do, and says so without a journal.
    let before = writes(&repo);
    let ran = repo.expect(0, &["apply", "--standing"]);
    assert_eq!(
        (writes(&repo), ran.stdout.as_str(), ran.stderr.as_str()),
        (before, "", "nothing to do by itself\n")
    );
    // What is queued can be approved like a request.
    repo.converge();
    assert_eq!(set(&repo.plan()["held"]), want(&[]));
}

#[test]
fn invariant_02_a_standing_run_leaves_what_head_asks_for_to_a_plan_that_is_approved() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    // A merge request is merged and not yet applied; meanwhile somebody joins.
    repo.replace("roles/all.yaml", "{ department: finance }", "{ department: finance }, { handle: dmurphy }");
    let people = [PEOPLE, &[("joiner", "Finance")]].concat();
    World::settled(&people).write(&repo);
    repo.expect(0, &["apply", "--standing"]);
    let plan = repo.plan();
    assert_eq!(set(&plan["changes"]), want(&["grant dmurphy member rbac_role_finance"]), "{plan:#}");
    assert_eq!(causes(&plan), want(&["request"]), "base has not moved: {plan:#}");
    repo.converge();
}

#[test]
fn what_was_approved_on_monday_applies_on_tuesday_when_others_joined_meanwhile() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    // Two merge requests, merged before one apply.
    repo.replace("roles/all.yaml", "{ department: finance }", "{ department: finance }, { handle: dmurphy }");
    repo.write("grants/x.yaml", "{ kind: Grant, name: x, to: klibby, roles: [finance], reason: audit }\n");
    let monday = repo.plan();
    let asked = want(&["grant dmurphy member rbac_role_finance", "grant klibby member rbac_role_finance"]);
    // And what the two files say from now on.
    assert_eq!((set(&monday["changes"]), monday["effects"].as_array().unwrap().len()), (asked, 4));
    let people = [PEOPLE, &[("j1", "Finance"), ("j2", "Finance"), ("j3", "Infrastructure")]].concat();
    World::settled(&people).now("2026-11-23T17:00:00Z").write(&repo);
    repo.expect(0, &["apply", "--yes"]);
    let tuesday = repo.plan();
    assert_eq!((set(&tuesday["changes"]), set(&tuesday["drift"])), (want(&[]), want(&[])), "{tuesday:#}");
    let report = repo.run(&["journal", "show", monday["id"].as_str().unwrap()]).stdout;
    for who in ["dmurphy", "klibby", "j1", "j2", "j3"] {
        assert!(report.contains(who), "{report}");
    }
    repo.replace("roles/all.yaml", "{ handle: dmurphy }", "{ handle: rpatel }");
    assert_eq!(causes(&repo.plan()), want(&["request"]));
}

#[test]
fn what_was_taken_by_hand_stays_taken_and_is_drift_through_any_number_of_applies() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let people = [PEOPLE, &[("j1", "Finance"), ("j2", "Finance"), ("j3", "Finance")]].concat();
    let mut finance = vec!["tnguyen"];
    for known in 1..=3 {
        World::settled(&people[..PEOPLE.len() + known])
            .group("rbac_role_infra", &["klibby", "dmurphy"])
            .group("rbac_role_finance", &finance)
            .write(&repo);
        repo.converge();
        finance.push(people[PEOPLE.len() + known - 1].0);
        let plan = repo.plan();
        assert_eq!(set(&plan["drift"]), want(&["grant rpatel member rbac_role_infra"]), "{plan:#}");
    }
}

#[test]
fn invariant_31_a_session_ends_after_its_time_counted_from_the_first_apply() {
    let roles = format!("{ROLES}{ON_REQUEST}");
    let repo = settled("", &roles, &World::of(PEOPLE));
    let grant = "{ kind: Grant, name: inc-1, to: rpatel, roles: [admin], ticket: INC-1 }\n";
    repo.write("grants/inc-1.yaml", grant);
    repo.converge();
    let world = |now| World::settled(PEOPLE).group("rbac_role_admin", &["rpatel"]).now(now);
    world("2026-11-23T00:59:59Z").write(&repo);
    assert_eq!(set(&repo.plan()["changes"]), want(&[]));
    world("2026-11-23T01:00:01Z").write(&repo);
    let plan = repo.plan();
    assert_eq!(
        (set(&plan["changes"]), causes(&plan)),
        (want(&["revoke rpatel member rbac_role_admin"]), want(&["standing expiry"]))
    );
    repo.expect(0, &["apply", "--standing"]);
    assert_eq!(set(&repo.plan()["changes"]), want(&[]), "it does not begin again");
    // Without its ticket, through a rule, or for longer, it is not to be had.
    let refused = |file: &str, text: &str, code: &str| {
        let kept = repo.read(file);
        repo.write(file, text);
        let ran = repo.expect(1, &["check"]);
        assert!(ran.stdout.contains(code), "{}{}", ran.stdout, ran.stderr);
        repo.write(file, &kept);
    };
    refused("grants/inc-1.yaml", &grant.replace(", ticket: INC-1", ""), "RC314");
    let long = "from: 2026-11-24T00:00Z, until: 2026-11-24T08:01Z }";
    refused("grants/inc-1.yaml", &grant.replace('}', &format!(", {long}")), "RC315");
    refused(
        "roles/all.yaml",
        &roles.replace("on_request:", "members: [{ handle: rpatel }]\non_request:"),
        "RC314",
    );
}

#[test]
fn invariant_21_whoever_changes_sides_loses_the_one_before_he_gets_the_other() {
    let repo = settled("", &format!("{ROLES}{APART}"), &World::of(PEOPLE));
    World::settled(MOVED).write(&repo);
    let plan = repo.plan();
    assert_eq!(held(&plan, "separation"), want(&[]), "{plan:#}");
    let order = ops(&plan["changes"]);
    assert_eq!(order.last().unwrap(), "grant dmurphy member rbac_role_finance", "{order:?}");
    repo.converge();
    // A department that is renamed keeps its members, but not those who have gone to the other side.
    let moved =
        [("klibby", "Platform"), ("dmurphy", "Finance"), ("rpatel", "Finance"), ("tnguyen", "Finance")];
    World::settled(&moved)
        .group("app.gitlab", &["klibby", "rpatel"])
        .group("rbac_role_infra", &["klibby", "rpatel"])
        .group("rbac_role_finance", &["tnguyen", "dmurphy"])
        .write(&repo);
    let plan = repo.plan();
    assert!(held(&plan, "frozen").iter().all(|held| held.contains("klibby")), "{plan:#}");
    assert!(set(&plan["changes"]).contains("revoke rpatel member rbac_role_infra"), "{plan:#}");
}

#[test]
fn invariant_43_a_separation_of_base_judges_head_and_a_waiver_lets_one_through() {
    let roles = format!("{ROLES}{APART}");
    let repo = settled("", &roles, &World::of(PEOPLE));
    repo.write("roles/all.yaml", ROLES);
    repo.write("grants/x.yaml", "{ kind: Grant, name: x, to: klibby, roles: [finance], reason: audit }\n");
    let plan = repo.plan();
    assert_eq!(held(&plan, "separation"), want(&["grant klibby member rbac_role_finance"]), "{plan:#}");
    assert_eq!(repo.run(&["plan", "--detailed-exitcode"]).code, 3);
    let waiver = plan["held"][0]["remedy"].as_str().unwrap();
    repo.write("rules/waiver.yaml", waiver);
    let plan = repo.plan();
    assert_eq!(set(&plan["changes"]), want(&["grant klibby member rbac_role_finance"]), "{plan:#}");
    assert_eq!(plan["waived"].as_array().unwrap().len(), 1, "the waiver is approved with it: {plan:#}");
    // So are the three documents: the separation that goes, the grant, and the waiver for whatever it lets through later.
    assert_eq!(plan["amended"].as_array().unwrap().len(), 3, "{plan:#}");
    assert_eq!(plan["effects"].as_array().unwrap().len(), 5, "{plan:#}");
    repo.converge();
}

#[test]
fn a_suspension_takes_out_of_everything_and_deleting_it_undoes_that() {
    let limits = "limits: { removals: { floor: 0, percent: 0 }, per_run: 0 }\n";
    let roles = format!("{ROLES}---\nkind: Role\nname: one\nmembers: [{{ handle: dmurphy }}]\n");
    let repo = settled(limits, &roles, &World::of(PEOPLE));
    repo.write("people/suspensions/dmurphy.yaml", "{ kind: Suspension, name: dmurphy, reason: SEC-512 }\n");
    let plan = repo.plan();
    let all = ["app.gitlab", "rbac_role_infra", "rbac_role_one"];
    let of =
        |op: &str| all.iter().map(|group| format!("{op} dmurphy member {group}")).collect::<BTreeSet<_>>();
    assert_eq!((set(&plan["changes"]), set(&plan["held"])), (of("revoke"), want(&[])), "{plan:#}");
    assert!(plan["changes"].to_string().contains("SEC-512"), "{plan:#}");
    repo.converge();
    std::fs::remove_file(repo.path().join("people/suspensions/dmurphy.yaml")).unwrap();
    let plan = repo.plan();
    assert_eq!((set(&plan["changes"]), causes(&plan)), (of("grant"), want(&["request"])), "{plan:#}");
    repo.write("people/suspensions/x.yaml", "{ kind: Suspension, name: dmurfy, reason: SEC-512 }\n");
    let ran = repo.expect(1, &["plan"]);
    assert!(ran.stderr.contains("RC317") && ran.stderr.contains("did you mean `dmurphy`"), "{}", ran.stderr);
}

#[test]
fn a_mover_keeps_what_he_had_for_his_handover_and_no_longer() {
    let standing = "standing: { mover: { up_to: medium, handover: 14d } }\n";
    let repo = settled(standing, ROLES, &World::of(PEOPLE));
    let world = |now| World::settled(MOVED).group("rbac_role_finance", &["tnguyen", "dmurphy"]).now(now);
    let old = want(&["revoke dmurphy member app.gitlab", "revoke dmurphy member rbac_role_infra"]);
    world("2026-11-23T17:00:00Z").write(&repo);
    assert_eq!(held(&repo.plan(), "pending"), old);
    repo.expect(0, &["apply", "--standing"]);
    // Runs in between change nothing about when it began.
    for now in ["2026-11-30T17:00:00Z", "2026-12-07T16:59:59Z"] {
        world(now).write(&repo);
        assert_eq!(repo.expect(0, &["apply", "--standing"]).stderr, "nothing to do by itself\n");
        assert_eq!(held(&repo.plan(), "pending"), old);
    }
    world("2026-12-07T17:00:01Z").write(&repo);
    assert_eq!(set(&repo.plan()["changes"]), old);
    repo.expect(0, &["apply", "--standing"]);
    assert_eq!(set(&repo.plan()["changes"]), want(&[]));
}

#[test]
fn a_job_that_an_edit_takes_is_a_mistake_and_one_that_a_move_takes_a_warning() {
    let roles = ROLES.replace("owners: [klibby]", "owners: [klibby]\njob: true");
    let roles = roles.replace("{ department: finance }", "{ department: finance }, { handle: svc }");
    let repo = settled("", &roles, &World::of(PEOPLE));
    assert!(!repo.expect(0, &["plan"]).stdout.contains("RC316"));
    let moved = [PEOPLE, &[("jdoe", "Sales")]].concat();
    World::settled(&moved).write(&repo);
    let ran = repo.expect(0, &["plan"]);
    assert!(ran.stdout.contains("warning[RC316]: `jdoe` has no job"), "{}", ran.stdout);
    repo.replace("roles/all.yaml", "{ handle: svc }", "{ handle: [svc, dmurphy] }");
    let ran = repo.expect(1, &["plan"]);
    let told = "error[RC316]: `dmurphy` (finance, infra) has more than one job";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

#[test]
fn what_froze_a_role_is_mended_as_check_proposes() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let moved = [
        ("klibby", "Platform"),
        ("dmurphy", "Platform"),
        ("rpatel", "Security"),
        ("tnguyen", "Finance"),
        ("jdoe", "Security"),
    ];
    World::settled(&moved).write(&repo);
    let plan = repo.plan();
    assert_eq!(held(&plan, "frozen").len(), 6, "{plan:#}");
    let ran = repo.expect(0, &["check", "--suggest"]);
    assert!(ran.stdout.contains("`platform` (2 people), `security` (1 person)"), "{}", ran.stdout);
    assert!(ran.stdout.contains("department: [platform, security]"), "{}", ran.stdout);
    assert!(ran.stdout.contains("jdoe would get the role too"), "{}", ran.stdout);
    repo.replace("roles/all.yaml", "department: infrastructure", "department: [platform, security]");
    let plan = repo.plan();
    assert_eq!(
        (held(&plan, "frozen"), set(&plan["changes"])),
        (want(&[]), want(&["grant jdoe member app.gitlab", "grant jdoe member rbac_role_infra"]))
    );
    assert!(repo.expect(0, &["check", "--suggest"]).stderr.contains("no entry cites what is gone"));
}

#[test]
fn a_standing_change_cites_the_merge_request_that_its_rule_came_with() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let git = |arguments: &[&str]| {
        let ran = std::process::Command::new("git")
            .arg("-C")
            .arg(repo.path())
            .args([
                "-c",
                "user.name=klibby",
                "-c",
                "user.email=klibby@acme.com",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    repo.write(".gitignore", ".rolecall/\nworld.yaml*\n");
    let rule = repo.read("roles/all.yaml");
    repo.write("roles/all.yaml", "kind: Role\nname: none\n");
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "Begin"]);
    git(&["checkout", "--quiet", "-b", "rules"]);
    repo.write("roles/all.yaml", &rule);
    git(&["commit", "--quiet", "-am", "Rules for two departments"]);
    git(&["checkout", "--quiet", "main"]);
    git(&[
        "merge",
        "--quiet",
        "--no-ff",
        "-m",
        "Merge branch 'rules'\n\nSee merge request acme/access!7",
        "rules",
    ]);
    let people = [PEOPLE, &[("joiner", "Finance")]].concat();
    World::settled(&people).write(&repo);
    let plan = repo.plan();
    assert_eq!(plan["changes"][0]["approved_by"], "merge request acme/access!7", "{plan:#}");
    let told = repo.expect(0, &["plan"]).stdout;
    assert!(told.contains("which came with merge request") && told.contains("acme/access!7"), "{told}");
    // A rule that is not committed has come with nothing.
    repo.write("roles/all.yaml", &rule.replace("department: finance", "department: [finance]"));
    assert_eq!(repo.plan()["changes"][0].get("approved_by"), None);
}

#[test]
fn invariant_41_of_2500_people_300_leavers_wait_for_a_waiver_and_three_go_from_everywhere() {
    let limits =
        "limits: { removals: { floor: 0, percent: 0 }, per_run: 0, leavers: { floor: 15, percent: 2 } }\n";
    let alone = "---\nkind: Role\nname: one\nmembers: [{ handle: p0001 }]\n";
    let handles: Vec<String> = (0..2_500).map(|n| format!("p{n:04}")).collect();
    let staff = |department: &dyn Fn(usize) -> &'static str| -> Vec<(&str, &'static str)> {
        handles.iter().enumerate().map(|(n, who)| (who.as_str(), department(n))).collect()
    };
    let before = staff(&|n| if n < 40 { "Infrastructure" } else { "Finance" });
    let repo = settled(limits, &format!("{ROLES}{alone}"), &World::of(&before));
    // The department that infra cites is renamed, so that the role is frozen; and many leave.
    let after = staff(&|n| if n < 40 { "Platform" } else { "Finance" });
    let infra: Vec<&str> = handles[..40].iter().map(String::as_str).collect();
    let finance: Vec<&str> = handles[40..].iter().map(String::as_str).collect();
    let world = |gone: &[&str]| {
        World::of(&after)
            .group("app.gitlab", &infra)
            .group("rbac_role_infra", &infra)
            .group("rbac_role_finance", &finance)
            .group("rbac_role_one", &["p0001"])
            .status(gone, "DEPROVISIONED")
            .write(&repo);
    };
    let many: Vec<&str> = handles[1..301].iter().map(String::as_str).collect();
    world(&many);
    let plan = repo.plan();
    assert_eq!(set(&plan["changes"]), want(&[]));
    let capped = plan["held"].as_array().unwrap().iter().find(|held| held["why"] == "capped").unwrap();
    let text = capped["text"].as_str().unwrap();
    assert!(text.starts_with("RC407: 300 of 2501 people would lose their access"), "{text}");
    let waiver = capped["remedy"].as_str().unwrap();
    assert!(waiver.contains("code: RC407") && waiver.contains("allow: 300"), "{waiver}");
    repo.write("rules/waiver.yaml", waiver);
    assert!(set(&repo.plan()["changes"]).len() >= 300, "the waiver lets them go");
    std::fs::remove_file(repo.path().join("rules/waiver.yaml")).unwrap();

    world(&["p0001", "p0002", "p0100"]);
    let plan = repo.plan();
    let going = want(&[
        "revoke p0001 member app.gitlab",
        "revoke p0001 member rbac_role_infra",
        "revoke p0001 member rbac_role_one",
        "revoke p0002 member app.gitlab",
        "revoke p0002 member rbac_role_infra",
        "revoke p0100 member rbac_role_finance",
    ]);
    assert_eq!(set(&plan["changes"]), going);
    assert_eq!(held(&plan, "frozen").len(), 2 * 38, "nobody else loses what the renamed department gave");
    repo.converge();
}

#[test]
fn a_limited_apply_leaves_what_it_does_not_pick_as_it_was() {
    let standing = "standing: { mover: { up_to: medium } }\n";
    let repo = settled(standing, ROLES, &World::of(PEOPLE));
    World::settled(MOVED).write(&repo);
    let before = repo.plan();
    repo.expect(0, &["plan", "--only", "okta:group/rbac_role_nothing"]);
    repo.run(&["apply", "--yes"]);
    let after = repo.plan();
    assert_eq!(
        (set(&after["changes"]), causes(&after)),
        (set(&before["changes"]), causes(&before)),
        "{after:#}"
    );
    assert_eq!(set(&after["drift"]), want(&[]), "{after:#}");
    World::settled(MOVED).now("2026-11-22T18:00:00Z").write(&repo);
    repo.converge();
}

#[test]
fn invariant_31_a_session_that_is_over_does_not_begin_again_because_its_grant_was_away() {
    let roles = format!("{ROLES}{ON_REQUEST}");
    let repo = settled("", &roles, &World::of(PEOPLE));
    let grant = "{ kind: Grant, name: inc-1, to: rpatel, roles: [admin], ticket: INC-1 }\n";
    repo.write("grants/inc-1.yaml", grant);
    repo.converge();
    let people = [PEOPLE, &[("joiner", "Finance")]].concat();
    let world = |now, people: &[(&str, &str)]| {
        World::settled(people).group("rbac_role_admin", &["rpatel"]).now(now).write(&repo);
    };
    world("2026-11-24T17:00:00Z", PEOPLE);
    repo.expect(0, &["apply", "--standing"]);
    // A merge request takes the grant out, is merged and not applied; a standing run goes on; and it is put back.
    std::fs::remove_file(repo.path().join("grants/inc-1.yaml")).unwrap();
    World::settled(&people).group("rbac_role_admin", &[]).now("2026-11-24T18:00:00Z").write(&repo);
    repo.expect(0, &["apply", "--standing"]);
    repo.write("grants/inc-1.yaml", grant);
    let plan = repo.plan();
    assert!(!set(&plan["changes"]).iter().any(|op| op.contains("rbac_role_admin")), "{plan:#}");
}

#[test]
fn a_standing_run_goes_on_with_base_where_head_is_broken_and_tells_what_is_denied() {
    let limits = "limits: { leavers: { floor: 1, percent: 1 } }\n";
    let repo = settled(limits, ROLES, &World::of(PEOPLE));
    World::settled(PEOPLE).status(&["rpatel"], "DEPROVISIONED").write(&repo);
    repo.write("roles/broken.yaml", "kind: Role\nname: [\n");
    let ran = repo.expect(0, &["apply", "--standing"]);
    assert!(ran.stderr.contains("what was applied last serves in its place"), "{}", ran.stderr);
    assert!(ran.stdout.contains("rpatel"), "{}", ran.stdout);
    std::fs::remove_file(repo.path().join("roles/broken.yaml")).unwrap();
    assert_eq!(set(&repo.plan()["changes"]), want(&[]));
    World::settled(PEOPLE)
        .group("rbac_role_infra", &["klibby", "dmurphy"])
        .group("app.gitlab", &["klibby", "dmurphy"])
        .status(&["rpatel", "klibby", "dmurphy"], "DEPROVISIONED")
        .write(&repo);
    let ran = repo.expect(3, &["apply", "--standing"]);
    assert!(ran.stdout.contains("RC407"), "{}", ran.stdout);
}

#[test]
fn invariant_43_a_separation_is_of_what_a_role_gives_whatever_the_role_is_called() {
    let roles = format!("{ROLES}{APART}").replace("groups: [app.gitlab]", "groups: [app.gitlab]");
    let repo = settled("", &roles, &World::of(PEOPLE));
    // Another role gives the same as infra, to somebody in finance.
    let renamed = ROLES.replace("name: infra", "name: infra2");
    repo.write("roles/all.yaml", &renamed);
    repo.write("grants/x.yaml", "{ kind: Grant, name: x, to: tnguyen, roles: [infra2], reason: audit }\n");
    let plan = repo.plan();
    assert!(held(&plan, "separation").contains("grant tnguyen member app.gitlab"), "{plan:#}");
}

#[test]
fn people_who_change_places_between_two_sides_do_not_wait_for_each_other() {
    let pair = "---\nkind: Role\nname: a\nmembers: [{ handle: dmurphy }]\n---\nkind: Role\nname: b\nmembers: [{ handle: tnguyen }]\n---\n{ kind: Separation, name: ab, between: [[a], [b]] }\n";
    let repo = settled("", &format!("{ROLES}{pair}"), &World::of(PEOPLE));
    let swapped =
        pair.replace("dmurphy", "x").replace("tnguyen", "dmurphy").replace("handle: x", "handle: tnguyen");
    repo.write("roles/all.yaml", &format!("{ROLES}{swapped}"));
    repo.converge();
}
