//! Edges: each case is one line of H, B, D, L.

use super::*;

/// `+` wants it, `-` does not, `0` is not there at all; D may say `held`; L may say `rule`.
fn edge(sides: &str) -> World {
    let key = member("ann@rbac_x");
    let mut world = World::new();
    for side in sides.split_whitespace() {
        match side {
            "H+" => world.head.wants(&key),
            "B+" => world.base().wants(&key),
            "B0" => world.base = None,
            "D0" => world.demand = None,
            "D+" => world.was_demanded(&key, true, DemandState::True, Cause::Request),
            "D+held" => world.was_demanded(&key, true, DemandState::Held, Cause::Request),
            "D+pending" => world.was_demanded(&key, true, DemandState::Pending, Cause::Standing),
            "D-held" => world.was_demanded(&key, false, DemandState::Held, Cause::Request),
            "D-" => world.was_demanded(&key, false, DemandState::True, Cause::Request),
            "L+" => world.is(&key),
            "Lrule" => {
                world.is(&key);
                world.live.grants[0].via = Some("group rule x".to_owned());
            }
            "Hclaim" => world.head.claims_members(&key.resource),
            "Bclaim" => world.base().claims_members(&key.resource),
            "left" => world.status("ann", Status::Left),
            "suspended" => world.status("ann", Status::Suspended),
            "H-" | "B-" | "L-" => {}
            other => panic!("{other}"),
        }
    }
    world
}

#[test]
fn each_edge_of_head_base_memory_and_live_has_one_meaning() {
    for (sides, expected) in [
        ("H+ B+ D+ L+", "nothing"),
        ("H+ B- D- L+", "nothing"),
        ("H+ B- D0 L-", "grant (request)"),
        ("H+ B- D+ L-", "grant (request)"),
        ("H+ B0 D0 L-", "grant (request)"),
        ("H+ B0 D+ L-", "grant (request)"),
        ("H+ B+ L-", "grant (joiner)"),
        ("H+ B+ D-held L-", "grant (joiner)"),
        ("H+ B+ D+ L-", "removed by hand: grant (drift)"),
        ("H+ B+ D0 L-", "removed by hand: grant (drift)"),
        ("H+ B+ D+held L-", "grant (request)"),
        ("H+ B+ D+pending L-", "grant (joiner)"),
        ("H+ B+ D+ Lrule", "nothing"),
        ("H- B+ D+ L+", "revoke (request)"),
        ("H- B+ D0 L+", "revoke (request)"),
        ("H- B+ D+ L-", "nothing"),
        ("H- B- D+ L+", "revoke (mover)"),
        ("H- B- D-held L+", "revoke (request)"),
        ("H- B- D- L+", "nothing"),
        ("H- B- D- L+ Hclaim Bclaim", "added by hand: revoke (drift)"),
        ("H- B- L+ Hclaim Bclaim", "added by hand: revoke (drift)"),
        ("H- B- D0 L+ Hclaim Bclaim", "added by hand: revoke (drift)"),
        ("H- B- L+ Hclaim", "revoke (request, taken over)"),
        ("H- B- L+ Bclaim", "nothing"),
        ("H- B- L+", "nothing"),
        ("H- B0 D0 L+ Hclaim", "added by hand: revoke (drift)"),
        ("H- B0 D+ L+", "nothing"),
        ("H- B- D+ Lrule Hclaim Bclaim", "nothing"),
        ("H- B- L+ left", "revoke (leaver)"),
        ("H- B- D+ L+ left", "revoke (leaver)"),
        ("H- B- D+ L+ suspended", "revoke (leaver)"),
        ("H- B0 D0 L+ left", "revoke (leaver)"),
        ("H- B- D+ L- left", "nothing"),
        ("H- B- D+ Lrule left", "nothing"),
    ] {
        let said = edge(sides).says().replace(" okta:user/ann member okta:group/rbac_x", "");
        let said = if said.is_empty() { "nothing" } else { &said };
        assert_eq!(said, expected, "{sides}");
    }
}

#[test]
fn what_ended_goes_as_an_expiry_and_cites_the_line_that_ended_it() {
    for (cause, expected) in [
        (crate::model::LapseCause::Expired, Standing::Expiry),
        (crate::model::LapseCause::NotYet, Standing::Expiry),
        (crate::model::LapseCause::Excepted, Standing::Mover),
        (crate::model::LapseCause::Left, Standing::Leaver),
    ] {
        let mut world = edge("H- B- D+ L+");
        let lapse = crate::model::Lapse { cause, origin: origin("until 2026-11-01"), subject: None };
        world.head.lapsed.insert(member("ann@rbac_x"), lapse);
        let draft = world.draft();
        assert_eq!(draft.changes[0].standing, Some(expected), "{cause:?}");
        assert_eq!(draft.changes[0].reason.text, "until 2026-11-01");
    }
}

#[test]
fn who_has_other_access_already_is_a_mover() {
    let mut world = edge("H+ B+ L-");
    world.was_demanded(&member("ann@app.y"), true, DemandState::True, Cause::Request);
    world.is(&member("ann@app.y"));
    assert_eq!(
        world.says(),
        "grant okta:user/ann member okta:group/rbac_x (mover)\nrevoke okta:user/ann member okta:group/app.y (mover)"
    );
}

#[test]
fn removals_need_both_sides_own_and_what_is_no_longer_owned_is_let_go() {
    let mut world = edge("H- B+ D+ L+");
    world.own = own("okta groups rbac_*: add");
    assert_eq!(world.says(), "forget okta:user/ann member okta:group/rbac_x (request)");
    let mut world = edge("H- B+ D+ L+");
    world.own_base = Some(own("okta groups rbac_*: look"));
    assert_eq!(world.says(), "forget okta:user/ann member okta:group/rbac_x (request)");
    let mut world = edge("H- B+ D+ L+");
    world.own_base = None;
    assert_eq!(world.says(), "forget okta:user/ann member okta:group/rbac_x (request)");
}

#[test]
fn invariant_19_widening_own_takes_nothing_away() {
    let mut world = edge("H- B- L+ Hclaim");
    world.own_base = Some(own(""));
    assert_eq!(world.says(), "");
    assert_eq!(world.draft().unclaimed.grants, BTreeMap::from([("okta".to_owned(), 1)]));
}

#[test]
fn asking_for_what_own_does_not_allow_is_one_error_a_thing() {
    let mut world = World::new();
    world.head.wants(&member("ann@other"));
    world.head.wants(&member("bob@other"));
    let draft = world.draft();
    assert_eq!(words(&draft), "RC350");
    assert_eq!(
        draft.findings[0].message,
        "2 grants are asked for on `okta:group/other`, but `own:` only lets rolecall look at it"
    );
    assert_eq!(
        draft.findings[0].help.as_deref().unwrap(),
        "put `{ groups: \"other\", may: members }` first in `own:` of `okta` in `rolecall.yaml`, or do not name it; \
         `may: add` would do where nothing is ever to be revoked"
    );
    assert_eq!(draft.findings[0].span.as_ref().unwrap().line, 3);
}

#[test]
fn grants_are_added_where_own_says_add() {
    let mut world = World::new();
    world.head.wants(&member("ann@legacy_z"));
    world.is(&member("bob@legacy_z"));
    world.head.claims_members(&group("legacy_z"));
    world.base().claims_members(&group("legacy_z"));
    assert_eq!(world.says(), "grant okta:user/ann member okta:group/legacy_z (request)");
}

#[test]
fn owning_all_users_does_not_open_every_group() {
    let mut world = World::new();
    world.own = own("okta users *: all");
    world.head.wants(&member("ann@other"));
    assert_eq!(world.says(), "RC350");
}

#[test]
fn the_principal_decides_over_the_vendors_own_policies_and_what_it_claims() {
    let (reader, policy) = (aws("role", "reader"), Address::reserved("managed", "SecurityAudit"));
    let mut world = World::new();
    world.own = own("aws roles *: all");
    world.own_base = Some(world.own.clone());
    world.live.resources.insert(reader.clone(), Resource::default());
    let ours = attached(&reader, &aws("policy", "deny"));
    world.live.resources.insert(aws("policy", "deny"), Resource::default());
    for key in [attached(&reader, &policy), ours] {
        world.head.wants(&key);
    }
    // `deny` is not owned, and nobody claims what is attached to the role.
    assert_eq!(
        world.says(),
        "grant aws/222222222222:role/reader attached managed:SecurityAudit (request)\nRC350"
    );
    world.head.claims.insert(Collection::of_principal(&reader, "attached"), origin("document"));
    assert_eq!(world.draft().changes.len(), 2);
    // Now that the role claims, what else is attached to it is taken over.
    world.is(&attached(&reader, &Address::reserved("managed", "ReadOnlyAccess")));
    let said = world.says();
    assert!(
        said.contains(
            "revoke aws/222222222222:role/reader attached managed:ReadOnlyAccess (request, taken over)"
        ),
        "{said}"
    );
}

#[test]
fn a_person_reaches_an_iam_policy_if_either_end_is_owned() {
    let key = attached(&aws("user", "ann"), &aws("policy", "deny"));
    for (rules, expected) in
        [("aws users *: all", "grant"), ("aws policies *: add", "grant"), ("aws roles *: all", "RC350")]
    {
        let mut world = World::new();
        world.own = own(rules);
        world.head.people_mut().insert(aws("user", "ann"), Address::person("ann"));
        world.live.resources.insert(aws("user", "ann"), Resource::default());
        world.live.resources.insert(aws("policy", "deny"), Resource::default());
        world.head.wants(&key);
        assert!(world.says().starts_with(expected), "{rules}: {}", world.says());
    }
}

#[test]
fn leavers_lose_what_own_allows_and_nothing_else() {
    let mut world = World::new();
    world.status("ann", Status::Left);
    for edge in ["ann@rbac_x", "ann@app.y", "ann@legacy_z", "ann@other", "bob@app.y"] {
        world.is(&member(edge));
    }
    assert_eq!(
        world.says(),
        "revoke okta:user/ann member okta:group/app.y (leaver)\n\
         revoke okta:user/ann member okta:group/rbac_x (leaver)"
    );
    let draft = world.draft();
    assert_eq!(draft.unmanaged.grants, BTreeMap::from([("okta".to_owned(), 1)]));
    assert_eq!(draft.unclaimed.grants, BTreeMap::from([("okta".to_owned(), 2)]));
}

#[test]
fn invariant_22_a_termination_waits_for_nothing_that_is_incomplete() {
    let mut world = edge("H- B- D+ L+ left");
    world.inventory.incomplete.push("okta: throttled".to_owned());
    world.live.coverage.insert("okta:group/rbac_x".into(), Coverage::Partial("throttled".to_owned()));
    world.head.frozen.insert("x".into(), crate::model::Finding::error(super::super::CYCLE, "gone"));
    assert_eq!(world.says(), "revoke okta:user/ann member okta:group/rbac_x (leaver)");
    // What was not seen is told instead.
    world.live.grants.clear();
    assert!(world.says().starts_with("held frozen: revoke"), "{}", world.says());
}

#[test]
fn invariant_11_what_was_not_read_whole_loses_nothing_and_may_gain_what_is_idempotent() {
    let mut world = edge("H- B+ D+ L+");
    world.head.wants(&member("bob@rbac_x"));
    world.live.coverage.insert("okta:group/rbac_x".into(), Coverage::Partial("throttled".to_owned()));
    assert_eq!(
        world.says(),
        "grant okta:user/bob member okta:group/rbac_x (request)\n\
         held incomplete: revoke okta:user/ann member okta:group/rbac_x (request)"
    );
    // Not read at all: nothing.
    world.live.coverage.clear();
    world.live.coverage.insert("okta:group".into(), Coverage::Complete);
    assert_eq!(
        world.says(),
        "held incomplete: revoke okta:user/ann member okta:group/rbac_x (request)\n\
         held incomplete: grant okta:user/bob member okta:group/rbac_x (request)"
    );
}

#[test]
fn a_removal_that_could_not_be_seen_waits_instead_of_being_forgotten() {
    let mut world = edge("H- B- D+ L-");
    world.live.coverage.insert("okta:group/rbac_x".into(), Coverage::Partial("403".to_owned()));
    assert_eq!(world.says(), "held incomplete: revoke okta:user/ann member okta:group/rbac_x (mover)");
    // With the group itself known to be gone there is nothing to wait for.
    world.live.resources.remove(&group("rbac_x"));
    world.live.coverage.remove("okta:group/rbac_x");
    assert_eq!(world.says(), "");
}

#[test]
fn nothing_that_was_not_read_counts_as_removed_by_hand() {
    let mut world = edge("H+ B+ D+ L-");
    world.live.coverage.insert("okta:group/rbac_x".into(), Coverage::Partial("403".to_owned()));
    assert_eq!(world.says(), "");
}

#[test]
fn invariant_41_absent_is_not_a_leaver() {
    let mut world = edge("H- B- D+ L+");
    world.inventory.people.remove("ann");
    for side in world.sides() {
        side.people_mut().remove(&user("ann"));
    }
    assert_eq!(world.says(), "held incomplete: revoke okta:user/ann member okta:group/rbac_x (mover)\nRC352");
}

#[test]
fn invariant_12_an_empty_directory_takes_nothing_away() {
    let mut world = edge("H- B- D+ L+");
    world.inventory.people.clear();
    assert_eq!(world.says(), "held incomplete: revoke okta:user/ann member okta:group/rbac_x (mover)");
}

#[test]
fn an_incomplete_inventory_holds_removals_and_not_grants() {
    let mut world = edge("H- B- D+ L+");
    world.head.wants(&member("bob@app.y"));
    world.inventory.incomplete.push("okta: 500".to_owned());
    assert_eq!(
        world.says(),
        "grant okta:user/bob member okta:group/app.y (request)\n\
         held incomplete: revoke okta:user/ann member okta:group/rbac_x (mover)"
    );
}

#[test]
fn invariant_13_a_frozen_role_holds_its_removals_but_not_what_expired() {
    let mut world = edge("H- B- D+ L+");
    world
        .head
        .frozen
        .insert("x".into(), crate::model::Finding::error(super::super::CYCLE, "department y is gone"));
    assert_eq!(world.says(), "held frozen: revoke okta:user/ann member okta:group/rbac_x (mover)");
    let lapse = crate::model::Lapse {
        cause: crate::model::LapseCause::Expired,
        origin: origin("until"),
        subject: None,
    };
    world.head.lapsed.insert(member("ann@rbac_x"), lapse);
    assert_eq!(world.says(), "revoke okta:user/ann member okta:group/rbac_x (expiry)");
}

#[test]
fn what_is_declared_and_not_owned_is_one_error_with_all_that_is_granted_on_it() {
    let mut world = World::new();
    world.head.declares(&group("other"), Attributes::new());
    world.head.claims_members(&group("other"));
    world.head.wants(&member("ann@other"));
    let draft = world.draft();
    assert_eq!(words(&draft), "RC350");
    assert_eq!(
        draft.findings[0].message,
        "`okta:group/other` is declared, but `own:` only lets rolecall look at it"
    );
    assert_eq!(
        draft.findings[0].help.as_deref().unwrap(),
        "put `{ groups: \"other\", may: all }` first in `own:` of `okta` in `rolecall.yaml`, or leave it out of YAML"
    );

    // What the principal decides is the principal's error, not that of what is attached to it.
    let (reader, policy) = (aws("role", "reader"), aws("policy", "deny"));
    let mut world = World::new();
    world.own = own("aws policies *: all");
    for address in [&reader, &policy] {
        world.live.resources.insert(address.clone(), Resource::default());
    }
    world.head.declares(&reader, Attributes::new());
    world.head.claims.insert(Collection::of_principal(&reader, "attached"), origin("document"));
    world.head.wants(&attached(&reader, &policy));
    let draft = world.draft();
    let about: Vec<_> = draft.findings.iter().filter_map(|finding| finding.subject.as_deref()).collect();
    assert_eq!(about, ["aws/222222222222:role/reader"], "{:?}", draft.findings);
}

/// What is told of the one held grant to what a role names.
fn told(name: &str, prepare: fn(&mut World)) -> (String, String) {
    let mut world = World::new();
    for name in ["app.crm.user", "app.crm.administrator", "app.gitlab.user"] {
        world.live.resources.insert(group(name), Resource::default());
    }
    prepare(&mut world);
    world.head.named.insert(group(name), origin("access"));
    world.head.wants(&member(&format!("ann@{name}")));
    world.head.wants(&member(&format!("bob@{name}")));
    let draft = world.draft();
    assert!(draft.held.len() == 2 && draft.held[0].remedy == draft.held[1].remedy, "{}", words(&draft));
    (draft.held[0].text.clone(), draft.held[0].remedy.clone().unwrap_or_default())
}

#[test]
fn a_typo_in_what_a_role_gives_is_held_with_the_name_that_was_meant() {
    let (text, remedy) = told("app.crm.usr", |_| {});
    assert_eq!(text, "`okta:group/app.crm.usr` does not exist and is not being created");
    assert_eq!(remedy, "did you mean `okta:group/app.crm.user`?");
    // A user is no group, however near its name is.
    let (_, remedy) = told("app.telemetry_export", |world| {
        world.live.resources.insert(user("app.telemetry_exports"), Resource::default());
    });
    assert_eq!(
        remedy,
        "declare it, make it there by hand, or give it `may: all` in `own:` of `rolecall.yaml`"
    );
}

#[test]
fn nobody_elses_account_is_suggested_for_a_person_who_has_none() {
    let mut world = World::new();
    world.head.people_mut().insert(user("bobb"), Address::person("bobb"));
    world.head.wants(&member("bobb@rbac_x"));
    let held = &world.draft().held[0];
    assert_eq!(held.why, crate::model::Why::Absent);
    assert_eq!(
        held.remedy.as_deref(),
        Some("make the account there, or say in `identities:` which one it is")
    );
}

#[test]
fn nobody_new_gets_a_role_whose_except_could_not_be_worked_out() {
    let doubt = (Why::Frozen, "its department `red_team` is gone".to_owned());
    for (sides, expected) in [
        ("H+ B+ L-", "held frozen: grant okta:user/ann member okta:group/rbac_x (joiner)"),
        ("H+ B- L-", "held frozen: grant okta:user/ann member okta:group/rbac_x (request)"),
        ("H+ B+ D+held L-", "held frozen: grant okta:user/ann member okta:group/rbac_x (request)"),
        ("H+ B+ D+ L-", "removed by hand: grant okta:user/ann member okta:group/rbac_x (drift)"),
        ("H+ B+ D+ L+", ""),
    ] {
        let mut world = edge(sides);
        world.head.wants(&GrantKey::new(&group("rbac_x"), "member", &group("app.y")));
        world.base().wants(&GrantKey::new(&group("rbac_x"), "member", &group("app.y")));
        world.is(&GrantKey::new(&group("rbac_x"), "member", &group("app.y")));
        for (_, wanted) in world.head.grants.terms_mut() {
            let role = Origin { role: Some("x".into()), ..(*origin("role x")).clone() };
            wanted.origins = vec![role.into()];
        }
        world.head.doubtful.insert("x".into(), doubt.clone());
        assert_eq!(world.says(), expected, "{sides}");
        // Another role that gives it is reason enough.
        let other = Origin { role: Some("y".into()), ..(*origin("role y")).clone() };
        world.head.grants.terms_mut().for_each(|(_, wanted)| wanted.origins.push(other.clone().into()));
        assert!(!world.says().contains("held"), "{sides}");
    }
}

#[test]
fn what_does_not_exist_is_absent_and_what_is_made_is_not() {
    let mut world = World::new();
    world.head.wants(&member("ann@rbac_new"));
    world.head.wants(&member("zoe@rbac_x"));
    assert_eq!(
        world.says(),
        "held absent: grant okta:user/ann member okta:group/rbac_new (request)\n\
         held absent: grant okta:user/zoe member okta:group/rbac_x (request)"
    );
    world.head.declares(&group("rbac_new"), Attributes::new());
    world.live.coverage.remove("okta");
    assert!(
        world.says().starts_with(
            "create okta:group/rbac_new (request)\ngrant okta:user/ann member okta:group/rbac_new (request)\n"
        ),
        "{}",
        world.says()
    );
}

#[test]
fn invariant_42_a_name_that_changed_hands_is_held() {
    let mut world = edge("H+ B- L-");
    world.head.people_mut().insert(user("ann"), Address::person("bob"));
    assert_eq!(world.says(), "held identity: grant okta:user/ann member okta:group/rbac_x (request)");
}

#[test]
fn invariant_30_drift_is_no_change_until_it_is_asked_for() {
    let mut added = edge("H- B- L+ Hclaim Bclaim");
    let mut removed = edge("H+ B+ D+ L-");
    for world in [&mut added, &mut removed] {
        assert!(world.draft().changes.is_empty());
        assert_eq!(world.draft().drift[0].id.len(), 8);
        world.heal = Heal::Revoke;
    }
    assert_eq!(added.says(), "revoke okta:user/ann member okta:group/rbac_x (mover)");
    assert!(removed.draft().changes.is_empty(), "healing never grants");
    for world in [&mut added, &mut removed] {
        world.heal = Heal::None;
        world.revert = vec![Pattern::new("okta:group/rbac_*")];
    }
    assert_eq!(added.says(), "revoke okta:user/ann member okta:group/rbac_x (request)");
    assert_eq!(removed.says(), "grant okta:user/ann member okta:group/rbac_x (request)");
    let mut without_base = edge("H- B0 L+ Hclaim");
    without_base.revert = vec![Pattern::new("**")];
    without_base.heal = Heal::Revoke;
    assert!(without_base.draft().changes.is_empty(), "without base nothing is taken away");
}

#[test]
fn attributes_of_an_edge_are_compared_where_they_are_wanted() {
    let mut world = edge("H+ B+ D0 L+");
    let attributes = fields([("role", "admin".into())]);
    world.live.grants[0].attributes = fields([("role", "viewer".into()), ("other", true.into())]);
    world.head.first().attributes = attributes.clone();
    let change = world.draft().changes.remove(0);
    assert_eq!((change.op, change.cause), (Op::Update, Cause::Request));
    assert_eq!(change.before, Some(fields([("role", "viewer".into())])));
    assert_eq!((change.after, change.fields), (Some(attributes.clone()), BTreeSet::from(["role".into()])));
    world.base().first().attributes = attributes;
    assert!(world.says().starts_with("changed by hand: update"), "{}", world.says());
}

#[test]
fn what_the_provider_masters_is_not_claimed() {
    let mut world = edge("H- B- L+ Hclaim Bclaim left");
    world.live.resources.get_mut(&group("rbac_x")).unwrap().mastered = Some("built in".to_owned());
    assert_eq!(world.says(), "");
}

#[test]
fn both_who_ask_are_named_and_the_end_is_told() {
    let mut world = edge("H+ B- L-");
    world.head.first().origins.push(origin("grant inc-1"));
    world.head.first().until = Some(jiff::Timestamp::MAX);
    let change = world.draft().changes.remove(0);
    assert_eq!(change.reason.text, "role x");
    assert_eq!(change.also[0].text, "grant inc-1");
    assert_eq!(change.until, Some(jiff::Timestamp::MAX));
    assert_eq!(change.subject, Some(Address::person("ann")));
}

#[test]
fn what_a_group_rule_put_in_counts_as_there_whatever_its_attributes() {
    let mut world = edge("H+ B- Lrule");
    world.head.first().attributes = fields([("role", "admin".into())]);
    assert_eq!(world.says(), "");
}

#[test]
fn a_role_that_is_frozen_holds_what_another_role_gave_too() {
    let mut world = edge("H- B- D+ L+");
    let gone = crate::model::Finding::error(super::super::CYCLE, "department y is gone");
    world.head.frozen.insert("b".into(), gone);
    assert_eq!(world.says(), "revoke okta:user/ann member okta:group/rbac_x (mover)");
    world.demand.as_mut().unwrap().grants[0].roles = ["a".into(), "b".into()].into();
    assert_eq!(world.says(), "held frozen: revoke okta:user/ann member okta:group/rbac_x (mover)");
}

#[test]
fn another_end_of_what_is_there_is_another_effect_and_needs_approval() {
    let (soon, late) = (jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::MAX);
    let of = |base: Option<jiff::Timestamp>, head: Option<jiff::Timestamp>| {
        let mut world = edge("H+ B+ D+ L+");
        world.base().first().until = base;
        world.head.first().until = head;
        world.head.first().sensitivity = Sensitivity::High;
        world.draft().changes
    };
    assert_eq!(of(Some(soon), Some(soon)), []);
    for (base, head, risk) in [
        (Some(soon), Some(late), Risk::High),
        (Some(soon), None, Risk::High),
        (None, Some(soon), Risk::Low),
        (Some(late), Some(soon), Risk::Low),
    ] {
        let changes = of(base, head);
        let [change] = &changes[..] else { panic!("{changes:?}") };
        assert!(!change.op.writes() && change.cause == Cause::Request, "{change:?}");
        assert_eq!((change.risk, change.until), (risk, head));
        assert_eq!(change.fields, BTreeSet::from(["until".into()]));
    }
    assert_ne!(of(Some(soon), Some(late))[0].effect, of(Some(soon), None)[0].effect);
    // The grant itself says until when, too.
    let mut world = edge("H+ B- L-");
    let without = world.draft().changes[0].effect.clone();
    world.head.first().until = Some(late);
    assert_ne!(world.draft().changes[0].effect, without);
}

#[test]
fn what_has_ended_and_is_there_still_is_not_prolonged_without_approval() {
    let mut world = edge("H+ B- D+ L+");
    let (cause, subject) = (crate::model::LapseCause::Expired, None);
    let lapse = crate::model::Lapse { cause, origin: origin("until"), subject };
    world.base().lapsed.insert(member("ann@rbac_x"), lapse);
    assert_eq!(world.says(), "adopt okta:user/ann member okta:group/rbac_x [until] (request)");
}

#[test]
fn whose_file_is_gone_where_files_are_the_directory_loses_all_by_request() {
    let mut world = edge("H- B- D+ L+");
    world.inventory.people.remove("ann");
    for side in world.sides() {
        side.people_mut().remove(&user("ann"));
    }
    world.head.removed.insert(Address::person("ann"), origin("the `User` of ann is gone"));
    assert_eq!(world.says(), "revoke okta:user/ann member okta:group/rbac_x (request)");
    world.live.coverage.insert("okta:group/rbac_x".into(), Coverage::Partial("403".to_owned()));
    assert_eq!(world.says(), "held incomplete: revoke okta:user/ann member okta:group/rbac_x (request)");
}
