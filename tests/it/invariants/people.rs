//! People who come, move, leave, are missing, and whose time ends.

use super::{MOVED, PEOPLE, ROLES, World, held, ops, set, settled, want, writes};

/// AWS access for those in infrastructure who have a user there.
const DEPLOYERS: &str = r"---
kind: Role
name: deploy
owners: [klibby]
members: [{ handle: [dmurphy, rpatel] }]
access: [{ aws: { accounts: [ci], groups: [deployers] } }]
";

#[test]
fn invariant_13_a_value_that_is_gone_holds_the_removals_of_its_role_and_nothing_else() {
    let people = [PEOPLE, &[("jdoe", "Finance")]].concat();
    let roles = ROLES
        .replace("[{ department: infrastructure }]", "[{ department: infrastructure }, { handle: jdoe }]");
    let repo = settled("", &roles, &World::of(&people));
    // Infrastructure is called platform now; rpatel has left, and jdoe's entry goes to tnguyen.
    let moved =
        |who: &str, what: &'static str| if who == "jdoe" || who == "tnguyen" { what } else { "Platform" };
    let now: Vec<(&str, &str)> = people.iter().map(|(who, what)| (*who, moved(who, what))).collect();
    World::settled(&now)
        .group("app.gitlab", &["klibby", "dmurphy", "rpatel", "jdoe"])
        .group("rbac_role_infra", &["klibby", "dmurphy", "rpatel", "jdoe"])
        .group("rbac_role_finance", &["tnguyen", "jdoe"])
        .status(&["rpatel"], "DEPROVISIONED")
        .write(&repo);
    repo.replace("roles/all.yaml", "{ handle: jdoe }", "{ handle: [jdoe, tnguyen] }");
    let plan = repo.plan();
    let of = |op: &str, who: &[&str]| -> Vec<String> {
        let on =
            |who: &&str| ["app.gitlab", "rbac_role_infra"].map(|group| format!("{op} {who} member {group}"));
        who.iter().flat_map(on).collect()
    };
    let frozen = of("revoke", &["klibby", "dmurphy"]);
    assert_eq!(held(&plan, "frozen"), frozen.into_iter().collect(), "{plan:#}");
    let going = [of("revoke", &["rpatel"]), of("grant", &["tnguyen"])].concat();
    assert_eq!(set(&plan["changes"]), going.into_iter().collect(), "{plan:#}");
    assert!(plan["findings"].to_string().contains("infrastructure"), "it says so: {plan:#}");
    // A value that head brings and nobody has is a mistake.
    repo.replace("roles/all.yaml", "department: finance", "department: finanze");
    let ran = repo.expect(1, &["plan"]);
    assert!(ran.stderr.contains("RC203") && ran.stderr.contains("finance"), "{}", ran.stderr);
}

#[test]
fn invariant_21_a_mover_is_given_before_he_is_taken_from_and_a_leaver_is_first() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    World::settled(MOVED).status(&["rpatel"], "DEPROVISIONED").write(&repo);
    let plan = repo.plan();
    assert_eq!(
        set(&plan["changes"]),
        want(&[
            "revoke rpatel member app.gitlab",
            "revoke rpatel member rbac_role_infra",
            "grant dmurphy member rbac_role_finance",
            "revoke dmurphy member app.gitlab",
            "revoke dmurphy member rbac_role_infra",
        ]),
        "{plan:#}"
    );
    repo.expect(0, &["apply", "--yes"]);
    let log = repo.read("world.yaml.log");
    let methods: Vec<&str> =
        log.lines().map(|line| if line.contains("\"PUT\"") { "give" } else { "take" }).collect();
    assert_eq!(methods, ["take", "take", "give", "take", "take"], "{log}");
}

#[test]
fn invariant_22_a_termination_waits_for_nothing_that_was_not_read() {
    let roles = format!("{ROLES}{DEPLOYERS}");
    let repo = settled("", &roles, &World::of(PEOPLE));
    let aws = r#"aws:
  caller: arn:aws:iam::222222222222:role/rolecall
  accounts: { "222222222222": { name: ci, users: [{ name: dmurphy, groups: [deployers] }, { name: rpatel, groups: [deployers] }], groups: [{ name: deployers }] } }
"#;
    let world = || {
        World::settled(PEOPLE)
            .group("rbac_role_deploy", &["dmurphy", "rpatel"])
            .status(&["dmurphy"], "DEPROVISIONED")
            .aws(aws)
    };
    // Of the lists of members in Okta only the first is read: what was seen goes all the same.
    let fault = "{ action: \"GET /groups/{id}/users\", skip: 1, times: 1000, fault: denied }";
    world().faults(fault).write(&repo);
    let plan = repo.plan();
    assert_eq!(plan["complete"], false);
    let going = set(&plan["changes"]);
    assert!(going.contains("revoke dmurphy member deployers"), "{plan:#}");
    let unread = plan["base"]["providers"]["okta"]["partial"].as_object().unwrap();
    assert_eq!(unread.len(), 3, "it says what was not read: {plan:#}");
    for group in ["app.gitlab", "rbac_role_infra", "rbac_role_deploy"] {
        let was_read = !unread.keys().any(|scope| scope.ends_with(group));
        assert_eq!(going.contains(&format!("revoke dmurphy member {group}")), was_read, "{group}: {plan:#}");
    }
    world().write(&repo);
    assert_eq!(ops(&repo.plan()["changes"]).len(), 4, "read whole, all of it goes");
}

#[test]
fn invariant_31_what_ends_is_gone_a_moment_later_as_a_standing_revocation() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.write(
        "grants/x.yaml",
        "kind: Grant\nname: x\nto: dmurphy\nroles: [finance]\nuntil: 2026-11-22T18:00Z\nreason: audit\n",
    );
    repo.converge();
    let world = |now| World::settled(PEOPLE).group("rbac_role_finance", &["tnguyen", "dmurphy"]).now(now);
    world("2026-11-22T17:59:59Z").write(&repo);
    assert_eq!(repo.plan()["changes"].as_array().unwrap().len(), 0);
    world("2026-11-22T18:00:01Z").write(&repo);
    let plan = repo.plan();
    assert_eq!(ops(&plan["changes"]), ["revoke dmurphy member rbac_role_finance"]);
    assert_eq!(
        (&plan["changes"][0]["cause"], &plan["changes"][0]["standing"]),
        (&"standing".into(), &"expiry".into())
    );
    assert_eq!(plan["effects"].as_array().unwrap().len(), 0, "it needs no approval");
    repo.converge();
}

#[test]
fn invariant_41_absent_is_not_a_leaver() {
    let roles = format!("{ROLES}{DEPLOYERS}");
    let repo = settled("", &roles, &World::of(PEOPLE));
    let aws = r#"aws:
  caller: arn:aws:iam::222222222222:role/rolecall
  accounts: { "222222222222": { name: ci, users: [{ name: dmurphy, groups: [deployers] }, { name: rpatel, groups: [deployers] }], groups: [{ name: deployers }] } }
"#;
    let here: Vec<(&str, &str)> = PEOPLE.iter().copied().filter(|(who, _)| *who != "dmurphy").collect();
    World::settled(&here).group("rbac_role_deploy", &["rpatel"]).aws(aws).write(&repo);
    let plan = repo.plan();
    assert!(!set(&plan["changes"]).iter().any(|op| op.contains("dmurphy")), "{plan:#}");
    assert!(plan["findings"].to_string().contains("dmurphy"), "it is a finding: {plan:#}");
}

#[test]
fn invariant_41_many_leavers_at_once_are_held_by_a_cap_of_their_own() {
    let limits = "limits: { removals: { floor: 1, percent: 1 }, leavers: { floor: 2, percent: 1 } }\n";
    let repo = settled(limits, ROLES, &World::of(PEOPLE));
    let gone = |who: &[&str]| {
        World::settled(PEOPLE).status(who, "DEPROVISIONED").write(&repo);
        repo.plan()
    };
    let plan = gone(&["klibby", "dmurphy"]);
    assert_eq!(
        (set(&plan["changes"]).len(), set(&plan["held"]).len()),
        (4, 0),
        "no other cap counts: {plan:#}"
    );
    let plan = gone(&["klibby", "dmurphy", "tnguyen"]);
    assert_eq!((set(&plan["changes"]).len(), held(&plan, "capped").len()), (0, 5), "{plan:#}");
}

#[test]
fn invariant_45_contractors_and_services_match_no_rule_that_does_not_name_them() {
    let people = [
        ("klibby", "Infrastructure"),
        ("ext", "Infrastructure, userType: Contractor"),
        ("bot", "Infrastructure, userType: Service"),
        ("odd", "Infrastructure, userType: Nobody"),
    ];
    let roles = r"kind: Role
name: infra
owners: [klibby]
members: [{ department: infrastructure }]
---
kind: Role
name: outside
owners: [klibby]
members: [{ department: infrastructure, type: contractor }]
---
kind: Role
name: below
owners: [klibby]
members: [{ role: infra }]
";
    let repo = settled("", roles, &World::of(&people));
    let world = rolecall::simulator::World::parse(&repo.read("world.yaml")).unwrap();
    let members = |name: &str| {
        let group = world.okta.groups.values().find(|group| group.name == name).unwrap();
        group.members.iter().map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(members("rbac_role_infra"), ["klibby@acme.com"]);
    assert_eq!(members("rbac_role_below"), ["klibby@acme.com"]);
    assert_eq!(members("rbac_role_outside"), ["ext@acme.com"]);
    assert_eq!(writes(&repo), 3 + 3);
}
