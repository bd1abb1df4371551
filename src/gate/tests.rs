//! What the gate must do, one invariant after the other.

use std::sync::Arc;

use std::collections::{BTreeMap, BTreeSet};

use super::fixture::*;
use super::*;
use crate::model::plan::{Risk, Standing};
use crate::model::settings::{Cap, Heal};
use crate::model::{Attributes, Cause, Digest, Op, Pattern, Value, Why};

#[test]
fn a_harmless_draft_goes_on_whole() {
    let mut world = World::new();
    world.members("a", &names("m", 4));
    let judged = world.plan([grant("new", "a"), revoke("m000", "a")]).judge();
    assert_eq!(judged.changes.len(), 2);
    assert_eq!(judged.verdict.ruling(), Ruling::Allowed);
    assert!(judged.changes.iter().all(|change| judged.verdict.allows(&change.effect)));
    assert!(judged.held.is_empty() && judged.findings.is_empty());
}

#[test]
fn invariant_14_removals_above_the_group_cap_are_all_held_and_the_rest_goes_on() {
    let mut world = World::new();
    world.members("a", &names("m", 40));
    world.members("b", &names("m", 40));
    let eleven = names("m", 11);
    world.plan(eleven.iter().map(|who| revoke(who, "a")));
    let judged = world.plan([revoke("m000", "b"), grant("new", "a")]).judge();
    assert_eq!(going(&judged).len(), 2, "{:?}", going(&judged));
    assert_eq!(reasons(&judged), [Why::Capped]);
    assert_eq!(judged.held.len(), 11);
    assert_eq!(judged.verdict.ruling(), Ruling::Denied);
    let held = &judged.held[0];
    assert!(!judged.verdict.allows(&held.change.effect));
    assert_eq!(
        held.text,
        "RC404: 11 of the 40 members of `okta:group/a` would go, and the larger of 10 and 25 % allows 10"
    );
}

#[test]
fn invariant_14_the_larger_of_floor_and_percent_counts() {
    let mut world = World::new();
    world.members("a", &names("m", 100));
    world.plan(names("m", 25).iter().map(|who| revoke(who, "a")));
    assert!(world.judge().held.is_empty());
    world.plan([revoke("m025", "a")]);
    assert_eq!(world.judge().held.len(), 26);
}

#[test]
fn invariant_14_the_waiver_that_a_refusal_prints_lifts_the_cap_when_pasted() {
    let mut world = World::new();
    world.members("a b", &names("m", 40));
    world.plan(names("m", 11).iter().map(|who| revoke(who, "a b")));
    let refused = world.judge();
    let remedies: Vec<String> =
        refused.held[0].remedy.clone().unwrap().split("---\n").map(Into::into).collect();
    assert_eq!(remedies.len(), 2, "group and provider: {remedies:?}");
    world.waivers = remedies.iter().map(|document| pasted(document)).collect();
    assert_eq!(world.waivers[0].on[0].value, "okta:group/a%20b");
    let lifted = world.judge();
    assert_eq!((lifted.held.len(), lifted.findings.len()), (0, 0), "{:?}", lifted.held.first());
    assert_eq!(lifted.verdict.ruling(), Ruling::Allowed);

    world.plan([revoke("m011", "a b")]);
    let more = world.judge();
    assert_eq!(more.held.len(), 12, "a waiver of 11 does not lift 12");
    assert!(more.held[0].text.contains("waiver `rc404-okta-group-a-20b` allows 11"), "{}", more.held[0].text);
    let names: Vec<String> =
        more.held[0].remedy.clone().unwrap().split("---\n").map(|d| pasted(d).name.value).collect();
    assert!(names.iter().all(|name| name.ends_with("-2")), "a pasted name must be free: {names:?}");
}

#[test]
fn a_waiver_is_named_with_what_it_lets_go_and_only_while_it_does() {
    let mut world = World::new();
    world.settings.limits.removals = Cap { floor: 2, percent: 0 };
    world.members("a", &names("m", 40));
    world.members("b", &names("m", 2));
    world.plan(names("m", 3).iter().map(|who| revoke(who, "a")));
    assert!(world.judge().waived.is_empty(), "nothing is waived yet");
    let documents = world.judge().held[0].remedy.clone().unwrap();
    world.waivers = documents.split("---\n").map(pasted).collect();
    let judged = world.judge();
    let names_of = |judged: &Judged| -> Vec<String> {
        judged.waived.iter().map(|waived| format!("{} {:?}", waived.code, waived.on)).collect()
    };
    assert_eq!(names_of(&judged), [r#"RC404 {"okta:group/a"}"#, r#"RC405 {"okta"}"#]);
    assert_eq!(
        judged.waived[0].lets,
        ["RC404: 3 of the 40 members of `okta:group/a` would go, and the larger of 2 and 0 % allows 2"]
    );

    let standing = |mut change: Change| {
        change.cause = Cause::Standing;
        change.standing = Some(Standing::Mover);
        change
    };
    world.draft.changes = world.draft.changes.into_iter().map(standing).collect();
    assert_eq!(world.judge().waived.len(), 2, "standing removals need the waiver just as much");

    // What a waiver lifts is held all the same if another cap holds it, and then nobody needs to approve the waiver.
    world.waivers.pop();
    let judged = world.judge();
    assert_eq!((judged.held.len(), judged.waived.len()), (3, 0));

    world.draft.changes.truncate(1);
    assert!(world.judge().waived.is_empty(), "no cap is reached, so no waiver is used");
}

#[test]
fn what_is_approved_of_a_waiver_is_what_it_allows() {
    let waiver = pasted(
        "kind: Waiver\nname: x\ncode: RC404\non: [\"a\", \"b\"]\nallow: 3\nowner: o\nreason: \"r\"\nuntil: 2026-11-29",
    );
    let effect = |change: fn(&mut Waiver)| {
        let mut waiver = waiver.clone();
        change(&mut waiver);
        Waived::of(&waiver, Vec::new()).effect
    };
    let as_it_is = effect(|_| {});
    assert_eq!(effect(|waiver| waiver.name.value = "y".into()), as_it_is);
    assert_eq!(effect(|waiver| waiver.on.reverse()), as_it_is);
    for other in [
        effect(|waiver| waiver.allow = Some(4)),
        effect(|waiver| waiver.on.truncate(1)),
        effect(|waiver| waiver.code.value = "RC405".into()),
        effect(|waiver| waiver.until = Timestamp::UNIX_EPOCH),
    ] {
        assert_ne!(other, as_it_is);
    }
}

#[test]
fn an_ended_waiver_lifts_nothing_and_an_unused_one_is_a_finding() {
    let mut world = World::new();
    world.members("a", &names("m", 100));
    world.plan(names("m", 26).iter().map(|who| revoke(who, "a")));
    world.waivers = vec![pasted(&world.judge().held[0].remedy.clone().unwrap())];
    assert_eq!(world.judge().held.len(), 26, "the provider's cap is another one");
    world.waivers[0].on[0].value = "okta".into();
    world.waivers.push(world.waivers[0].clone());
    world.waivers[1].code.value = PROVIDER_CAP.code.into();
    assert!(world.judge().held.is_empty());

    let until = world.waivers[0].until;
    world.now = until;
    let ended = world.judge();
    assert_eq!(ended.held.len(), 26);
    assert!(ended.held[0].text.contains("has ended"));

    world.now = "2026-11-22T12:00:00Z".parse().unwrap();
    world.draft.changes.clear();
    world.waivers[1].code.value = PROTECTED.code.into();
    let unused = world.judge();
    let codes: Vec<_> = unused.findings.iter().map(|finding| finding.code.as_ref()).collect();
    assert_eq!(codes, ["RC410", "RC410"]);
    assert!(unused.findings[1].message.contains("is no cap and no separation"));
}

#[test]
fn invariant_14_the_provider_cap_counts_edges_deletions_and_stripped_access() {
    let mut world = World::new();
    for name in names("g", 20) {
        world.members(&name, &names("m", 2));
    }
    world.plan(names("g", 9).iter().map(|name| revoke("m000", name)));
    assert!(world.judge().held.is_empty(), "9 of 40");
    let role = Address::new("okta", None, "role", "r");
    let mut strip = resource_change(Op::Update, &role);
    let inline = |names: &[&str]| {
        let map = Value::map(names.iter().map(|name| (*name, "{}")));
        Some(Attributes::from([("inline".into(), map)]))
    };
    (strip.before, strip.after) = (inline(&["p", "q", "r"]), inline(&["p"]));
    strip.fields.insert("inline".into());
    world.plan([strip]);
    let judged = world.judge();
    assert_eq!(judged.held.len(), 10, "9 edges and 2 inline policies");
    assert!(judged.held[0].text.starts_with("RC405: 11 removals in `okta`"), "{}", judged.held[0].text);
    world.draft.changes.pop();
    world.plan([resource_change(Op::Delete, &group("g019"))]);
    let judged = world.judge();
    assert_eq!(judged.held.len(), 10, "9 edges, a group and the 2 edges on it");
    assert!(judged.held[0].text.starts_with("RC405: 12 removals"), "{}", judged.held[0].text);
}

#[test]
fn invariant_14_an_edge_that_two_changes_take_counts_once() {
    let mut world = World::new();
    world.members("a", &names("m", 10));
    world.plan(names("m", 10).iter().map(|who| revoke(who, "a")));
    world.plan([resource_change(Op::Delete, &group("a"))]);
    world.settings.limits.removals = Cap { floor: 11, percent: 0 };
    assert!(world.judge().held.is_empty());
    world.settings.limits.removals = Cap { floor: 10, percent: 0 };
    assert_eq!(world.judge().held.len(), 11);
}

#[test]
fn invariant_14_per_run_counts_over_all() {
    let mut world = World::new();
    for name in names("g", 20) {
        world.members(&name, &names("m", 2));
    }
    world.settings.limits.removals = Cap { floor: 100, percent: 100 };
    world.settings.limits.per_run = 5;
    world.plan(names("g", 6).iter().map(|name| revoke("m000", name)));
    let judged = world.judge();
    assert_eq!(judged.held.len(), 6);
    world.waivers = vec![pasted(&judged.held[0].remedy.clone().unwrap())];
    assert_eq!(world.waivers[0].code.value, "RC406");
    assert!(world.judge().held.is_empty());
}

#[test]
fn invariant_15_a_group_that_would_become_empty_is_held_unless_it_may() {
    let mut world = World::new();
    world.members("a", &names("m", 2));
    world.plan([revoke("m000", "a"), revoke("m001", "a")]);
    let judged = world.judge();
    assert_eq!((judged.held.len(), reasons(&judged)), (2, vec![Why::Empty]));
    assert!(judged.held[0].remedy.as_deref().unwrap().contains("allow_empty: true"));
    world.wants(&group("a"), true);
    assert!(world.judge().held.is_empty());
}

#[test]
fn invariant_15_leavers_may_empty_a_group_and_others_may_not_help() {
    let mut world = World::new();
    world.members("a", &names("m", 2));
    world.plan([leaver("m000", "a"), leaver("m001", "a")]);
    assert!(world.judge().held.is_empty());
    world.draft.changes[1] = revoke("m001", "a");
    let judged = world.judge();
    assert_eq!(going(&judged), ["revoke okta:user/m000 member okta:group/a"]);
    assert_eq!(reasons(&judged), [Why::Empty]);
}

#[test]
fn invariant_15_a_grant_of_the_same_plan_keeps_a_group_filled_and_must_come_first() {
    let mut world = World::new();
    world.members("a", &names("m", 1));
    world.plan([revoke("m000", "a"), grant("new", "a")]);
    let judged = world.judge();
    assert!(judged.held.is_empty());
    let [first, second] = judged.changes.as_slice() else { panic!("{:?}", going(&judged)) };
    assert_eq!((first.op, second.op), (Op::Grant, Op::Revoke));
    assert!(second.requires.contains(&first.effect), "if the grant fails, the group must not run dry");
}

#[test]
fn invariant_15_a_grant_that_is_held_does_not_count() {
    let mut world = World::new();
    world.members("a", &names("m", 1));
    let mut joiner = grant("new", "a");
    (joiner.cause, joiner.standing, joiner.risk) = (Cause::Standing, Some(Standing::Joiner), Risk::High);
    world.plan([joiner, revoke("m000", "a")]);
    let judged = world.judge();
    assert_eq!(reasons(&judged), [Why::Empty, Why::Queued]);
    assert!(judged.changes.is_empty());
}

#[test]
fn a_removal_that_a_grant_waits_for_does_not_wait_for_the_grant() {
    let mut world = World::new();
    world.members("a", &names("m", 1));
    let first = revoke("m000", "a");
    world.plan([first.clone(), after(grant("new", "a"), &first)]);
    let judged = world.judge();
    assert!(judged.changes[0].requires.is_empty() && judged.changes.len() == 2);
}

#[test]
fn invariant_17_too_few_administrators_is_held_even_for_leavers() {
    let mut world = World::new();
    world.members("admin", &names("m", 4));
    world.settings.limits.admins_min = 3;
    world.settings.limits.admins_of = vec![spanned(group("admin"))];
    world.plan([leaver("m000", "admin")]);
    assert!(world.judge().held.is_empty());
    world.plan([leaver("m001", "admin")]);
    assert_eq!(reasons(&world.judge()), [Why::LastAdmin]);
    world.plan([grant("new", "admin")]);
    let judged = world.judge();
    assert!(judged.held.is_empty());
    assert_eq!(judged.changes[0].op, Op::Grant);
    assert!(judged.changes[1..].iter().all(|change| change.requires.contains(&judged.changes[0].effect)));
    world.draft.changes = vec![resource_change(Op::Delete, &group("admin"))];
    assert_eq!(reasons(&world.judge()), [Why::LastAdmin]);
}

#[test]
fn invariant_22_a_leaver_goes_before_an_administrator_who_merely_moves() {
    let mut world = World::new();
    world.members("admin", &names("m", 4));
    world.settings.limits.admins_min = 3;
    world.settings.limits.admins_of = vec![spanned(group("admin"))];
    let judged = world.plan([revoke("m001", "admin"), leaver("m000", "admin")]).judge();
    assert_eq!(going(&judged), ["revoke okta:user/m000 member okta:group/admin"]);
    assert_eq!(judged.held[0].change.target(), "okta:user/m001 member okta:group/admin");
}

#[test]
fn invariant_17_administrators_who_cannot_act_do_not_count() {
    let bends: [fn(&mut World); 4] = [
        |world| world.head.gone.extend([Address::person("m002")]),
        |world| world.inventory.people.get_mut("m002").unwrap().status = crate::model::Status::Staged,
        |world| world.inventory.people.get_mut("m002").unwrap().status = crate::model::Status::Suspended,
        |world| {
            let account = world.live.resources.get_mut(&user("m002")).unwrap();
            account.attributes.insert("status".into(), "deprovisioned".into());
        },
    ];
    for (number, bend) in bends.iter().enumerate() {
        let mut world = World::new();
        world.people(&names("m", 4));
        world.members("admin", &names("m", 3));
        for name in names("m", 4) {
            Arc::make_mut(&mut world.head.people).insert(user(&name), Address::person(&name));
        }
        world.settings.limits.admins_min = 2;
        world.settings.limits.admins_of = vec![spanned(group("admin"))];
        world.plan([revoke("m000", "admin")]);
        assert!(world.judge().held.is_empty());
        bend(&mut world);
        assert_eq!(reasons(&world.judge()), [Why::LastAdmin], "{number}");
        world.plan([grant("m003", "admin")]);
        let judged = world.judge();
        let [first, second] = judged.changes.as_slice() else { panic!("{:?}", going(&judged)) };
        assert!(second.requires.contains(&first.effect), "{number}");
        world.inventory.people.get_mut("m003").unwrap().status = crate::model::Status::Staged;
        assert_eq!(reasons(&world.judge()), [Why::LastAdmin], "{number}");
    }
}

#[test]
fn invariant_18_what_is_protected_is_not_changed_and_its_drift_is_an_alert() {
    let mut world = World::new();
    world.members("admin.break_glass", &names("m", 3));
    let on = |text: &str| spanned(Pattern::new(text));
    world.settings.protected = vec![on("okta:group/admin.*"), on("person:breakglass1")];
    Arc::make_mut(&mut world.head.people).insert(user("bg1"), Address::person("breakglass1"));
    world.plan([
        grant("new", "admin.break_glass"),
        leaver("m000", "admin.break_glass"),
        grant("bg1", "b"),
        resource_change(Op::Adopt, &group("admin.break_glass")),
        grant("new", "b"),
    ]);
    let change = grant("mallory", "admin.break_glass");
    world.draft.drift.push(Drift { id: "1".into(), change, text: "added by hand".into() });
    let judged = world.judge();
    assert_eq!((judged.held.len(), reasons(&judged)), (3, vec![Why::Protected]));
    assert_eq!(
        going(&judged),
        ["adopt okta:group/admin.break_glass", "grant okta:user/new member okta:group/b"]
    );
    assert_eq!(judged.findings.len(), 1);
    assert_eq!(judged.findings[0].code.as_ref(), PROTECTED_MOVED.code);
}

#[test]
fn invariant_18_a_name_that_an_address_encodes_is_protected_as_people_write_it() {
    for written in ["okta:group/app.Break Glass", "okta:group/app.Break%20Glass", "okta:group/app.Break *"] {
        let mut world = World::new();
        world.members("app.Break Glass", &names("m", 3));
        world.settings.protected = vec![spanned(Pattern::new(written))];
        let judged = world.plan([grant("new", "app.Break Glass")]).judge();
        assert_eq!((reasons(&judged), judged.findings.len()), (vec![Why::Protected], 0), "{written}");
    }
}

#[test]
fn invariant_18_what_is_protected_loses_nothing_with_what_is_deleted() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.members(name, &names("m", 1));
    }
    world.edge(&user("klibby@acme.com"), "member", &group("a"));
    world.edge(&user("bg"), "member", &group("b"));
    world.edge(&group("c"), "attached", &Address::reserved("managed", "BreakGlass"));
    Arc::make_mut(&mut world.head.people).insert(user("klibby@acme.com"), Address::person("klibby"));
    let on = |text: &str| spanned(Pattern::new(text));
    world.settings.protected = vec![on("person:klibby"), on("okta:user/bg"), on("managed:Break*")];
    world.plan(["a", "b", "c"].map(|name| resource_change(Op::Delete, &group(name))));
    let judged = world.judge();
    assert_eq!((judged.held.len(), reasons(&judged)), (3, vec![Why::Protected]));
    world.settings.protected.clear();
    assert_eq!(world.judge().changes.len(), 3);
}

#[test]
fn an_entry_of_protected_that_names_nothing_is_told() {
    let mut world = World::new();
    world.members("a", &names("m", 2));
    world.people(&["klibby".to_owned()]);
    let on = |text: &str| spanned(Pattern::new(text));
    let known = ["okta:group/a", "okta:user/m000", "person:klibby", "okta:group/none.*"];
    world.settings.protected = known.map(on).into();
    assert!(world.judge().findings.is_empty());
    let unknown = ["okta:group/A", "person:nobody", "role:infra"];
    world.settings.protected = unknown.map(on).into();
    let findings = world.judge().findings;
    assert!(findings.iter().all(|finding| finding.code.as_ref() == PROTECTS_NOTHING.code));
    assert_eq!(findings.len(), 3);
}

#[test]
fn a_waiver_names_a_group_as_people_write_it() {
    let mut world = World::new();
    world.members("a b", &names("m", 100));
    world.plan(names("m", 26).iter().map(|who| revoke(who, "a b")));
    world.settings.limits.removals = Cap { floor: 0, percent: 25 };
    world.waivers = world.judge().held[0].remedy.clone().unwrap().split("---\n").map(pasted).collect();
    assert!(world.judge().held.is_empty());
    world.waivers[0].on[0].value = "okta:group/a b".into();
    assert!(world.judge().held.is_empty());
}

#[test]
fn invariant_20_what_cannot_be_made_again_is_not_deleted() {
    let mut world = World::new();
    let gone = Change { standing: Some(Standing::Leaver), ..resource_change(Op::Delete, &user("x")) };
    let unknown = resource_change(Op::Delete, &Address::new("okta", None, "thing", "x"));
    world.plan([gone, unknown, resource_change(Op::Delete, &group("old"))]);
    let judged = world.judge();
    assert_eq!(going(&judged), ["delete okta:group/old"]);
    assert_eq!(reasons(&judged), [Why::Protected]);
}

#[test]
fn invariant_22_leavers_are_held_up_by_no_cap_but_their_own() {
    let mut world = World::new();
    let staff = names("m", 100);
    world.people(&staff);
    world.members("a", &staff[..12]);
    world.settings.limits.per_run = 1;
    world.plan(staff[..12].iter().map(|who| leaver(who, "a")));
    let judged = world.judge();
    assert!(judged.held.is_empty(), "{:?}", judged.held.first());

    world.settings.limits.leavers = Cap { floor: 11, percent: 2 };
    let judged = world.judge();
    assert_eq!((judged.held.len(), reasons(&judged)), (12, vec![Why::Capped]));
    assert!(judged.held[0].text.starts_with("RC407: 12 of 100 people"), "{}", judged.held[0].text);
    world.waivers = vec![pasted(judged.held[0].remedy.as_deref().unwrap())];
    assert!(world.judge().held.is_empty());
}

#[test]
fn invariant_22_leavers_count_as_people_and_not_as_edges() {
    let mut world = World::new();
    let groups = names("g", 30);
    for name in &groups {
        world.members(name, &names("m", 2));
    }
    world.settings.limits.leavers = Cap { floor: 1, percent: 0 };
    world.plan(groups.iter().map(|name| leaver("m000", name)));
    assert!(world.judge().held.is_empty());
    world.plan([leaver("m001", "g000")]);
    assert_eq!(world.judge().held.len(), 31);
}

#[test]
fn leavers_whose_access_could_not_be_seen_count_towards_their_cap() {
    let mut world = World::new();
    world.members("a", &names("m", 2));
    world.settings.limits.leavers = Cap { floor: 1, percent: 0 };
    world.plan([leaver("m000", "a")]);
    assert!(world.judge().held.is_empty());
    let change = Change { before: None, ..leaver("m001", "b") };
    world.draft.held.push(Held { why: Why::Incomplete, text: "403".into(), remedy: None, change });
    assert_eq!(reasons(&world.judge()), [Why::Capped, Why::Incomplete]);
}

#[test]
fn invariant_22_a_leaver_waits_for_nothing_that_may_not_hold_him_up() {
    let mut world = World::new();
    world.members("a", &names("m", 3));
    let blocker = grant("absent", "a");
    world.draft.held.push(Held {
        why: Why::Absent,
        text: "no such user".into(),
        remedy: None,
        change: blocker.clone(),
    });
    world.plan([after(leaver("m000", "a"), &blocker), after(revoke("m001", "a"), &blocker)]);
    let judged = world.judge();
    assert_eq!(going(&judged), ["revoke okta:user/m000 member okta:group/a"]);
    assert!(judged.changes[0].requires.is_empty());
    assert_eq!(reasons(&judged), [Why::Absent]);
    assert_eq!(judged.verdict.ruling(), Ruling::Allowed, "absent does not deny");
}

#[test]
fn an_edge_of_someone_gone_is_a_leavers_whatever_ended_it() {
    let mut world = World::new();
    world.members("a", &names("m", 2));
    Arc::make_mut(&mut world.head.people).insert(user("m000"), Address::person("x"));
    Arc::make_mut(&mut world.head.people).insert(user("m001"), Address::person("y"));
    world.head.gone = BTreeSet::from([Address::person("x"), Address::person("y")]);
    world.plan([revoke("m000", "a"), revoke("m001", "a")]);
    assert!(world.judge().held.is_empty());
}

#[test]
fn what_waits_for_something_held_is_held_with_it() {
    let mut world = World::new();
    world.settings.protected = vec![spanned(Pattern::new("okta:group/a"))];
    let create = resource_change(Op::Create, &group("a"));
    let member = after(grant("x", "b"), &create);
    let last = after(grant("y", "c"), &member);
    world.plan([last, member, create, grant("z", "d")]);
    let judged = world.judge();
    assert_eq!(going(&judged), ["grant okta:user/z member okta:group/d"]);
    assert_eq!((judged.held.len(), reasons(&judged)), (3, vec![Why::Protected]));
    assert_eq!(
        judged.held[0].text,
        "waits for grant `okta:user/x member okta:group/b`, which is held (protected)"
    );
}

#[test]
fn standing_changes_beyond_their_limits_are_queued_without_denying() {
    let mut world = World::new();
    world.members("a", &names("m", 9));
    let standing = |change: Change, standing, risk| Change {
        cause: Cause::Standing,
        standing: Some(standing),
        risk,
        ..change
    };
    world.plan([
        standing(grant("j", "a"), Standing::Joiner, Risk::Medium),
        standing(grant("k", "a"), Standing::Joiner, Risk::High),
        standing(revoke("m000", "a"), Standing::Mover, Risk::Medium),
        standing(revoke("m001", "a"), Standing::Expiry, Risk::High),
        Change { risk: Risk::High, ..grant("r", "a") },
    ]);
    let judged = world.judge();
    assert_eq!((judged.changes.len(), judged.held.len(), reasons(&judged)), (3, 2, vec![Why::Queued]));
    assert_eq!(judged.verdict.ruling(), Ruling::Allowed);
}

#[test]
fn what_is_queued_is_among_the_effects_to_approve_and_goes_on_once_it_is() {
    let mut world = World::new();
    world.members("a", &names("m", 9));
    let mut joiner = grant("j", "a");
    (joiner.cause, joiner.standing, joiner.risk) = (Cause::Standing, Some(Standing::Joiner), Risk::High);
    let mut mover = revoke("m000", "a");
    (mover.cause, mover.standing) = (Cause::Standing, Some(Standing::Mover));
    let waits = after(grant("r", "b"), &joiner);
    world.plan([joiner.clone(), mover, waits.clone()]);
    let judged = world.judge();
    let (effects, _) = crate::model::Plan::effects_of(&judged.changes, &judged.held, &[], &[]);
    assert_eq!(BTreeSet::from_iter(effects.clone()), BTreeSet::from([joiner.effect, waits.effect]));

    world.approved = effects.into_iter().collect();
    let released = world.judge();
    assert_eq!((released.changes.len(), released.held.len()), (3, 0));
    world.settings.protected = vec![spanned(Pattern::new("okta:group/a"))];
    assert!(world.judge().changes.is_empty(), "an approval lifts nothing else");
}

#[test]
fn invariant_30_drift_never_grants_and_revokes_only_where_heal_says_so() {
    let mut world = World::new();
    world.members("a", &names("m", 3));
    let drift = |change: Change| Change { cause: Cause::Drift, ..change };
    world.plan([drift(grant("x", "a")), drift(revoke("m000", "a"))]);
    assert_eq!(world.judge().held.len(), 2);
    world.settings.heal = Heal::Revoke;
    assert_eq!(going(&world.judge()), ["revoke okta:user/m000 member okta:group/a"]);
}

mod any_draft;
