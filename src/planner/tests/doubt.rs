//! Lists that read as empty, and were not.

use super::*;
use crate::planner::Answer;

/// ann and bob are in a group that base asks for and head does not, as memory knows; no list shows them.
fn emptied() -> World {
    let mut world = World::new();
    for edge in ["ann@rbac_x", "bob@rbac_x"] {
        world.base().wants(&member(edge));
        world.was_demanded(&member(edge), true, DemandState::True, Cause::Request);
    }
    world
}

const HELD: &str = "held incomplete: revoke okta:user/ann member okta:group/rbac_x (request)\n\
    held incomplete: revoke okta:user/bob member okta:group/rbac_x (request)\nRC355";

/// What memory makes of an apply at the end of which all is as it is now.
fn remembered(world: &World) -> Demand {
    let plan = plan(world.draft());
    let (live, _) = world.seen();
    remember(&world.head, world.demand.as_ref(), &plan, &live, &world.schemas, &BTreeMap::new())
}

#[test]
fn invariant_12_a_list_that_is_empty_all_of_a_sudden_holds_what_rests_on_it() {
    let mut world = emptied();
    world.hidden.push(member("bob@rbac_x"));
    assert_eq!(world.says(), HELD);
    assert!(world.draft().held[0].text.contains("but `okta:user/bob member"), "{:?}", world.draft().held[0]);
    // Nothing of that is forgotten, however often it happens and whatever becomes of base.
    for _ in 0..3 {
        world.demand = Some(remembered(&world));
        world.base = Some(world.head.clone());
        assert_eq!(world.says(), HELD);
    }
    // What waits goes once it is seen.
    world.is(&member("ann@rbac_x"));
    world.is(&member("bob@rbac_x"));
    assert_eq!(world.says(), HELD.replace("held incomplete: ", "").replace("\nRC355", ""));
}

#[test]
fn a_list_is_believed_if_nobody_is_there_who_was_asked() {
    let mut world = emptied();
    assert_eq!(world.says(), "");
    world.demand = Some(remembered(&world));
    assert_eq!(
        world.demand,
        Some(Demand { format: world.demand.clone().unwrap().format, ..Demand::default() })
    );
    // And if nobody can be asked, it is not.
    let mut world = emptied();
    world.answers = false;
    assert_eq!(world.says(), HELD);
}

#[test]
fn what_we_took_away_ourselves_is_no_reason_to_doubt() {
    let world = emptied();
    let all = [member("ann@rbac_x").to_string(), member("bob@rbac_x").to_string()];
    let doubts = |done: &[String]| {
        let done = done.iter().cloned().collect();
        doubts(&world.live, world.demand.as_ref(), &done, &[])
    };
    assert_eq!(doubts(&all), []);
    let Doubt::Edges { on, ask, known } = &doubts(&all[..1])[0] else { panic!() };
    assert_eq!((on, ask.as_slice(), *known), (&group("rbac_x"), &[member("bob@rbac_x")][..], 1));
    assert_eq!(doubts(&[user("ann").to_string(), user("bob").to_string()]), []);
}

#[test]
fn of_a_long_list_some_from_all_over_it_are_asked_for() {
    let mut world = World::new();
    for n in 0..1000 {
        world.was_demanded(&member(&format!("p{n:04}@rbac_x")), true, DemandState::True, Cause::Request);
    }
    let doubts = doubts(&world.live, world.demand.as_ref(), &BTreeSet::new(), &[]);
    let Doubt::Edges { ask, known, .. } = &doubts[0] else { panic!() };
    assert_eq!((ask.len(), *known), (25, 1000));
    assert_eq!((&ask[0], &ask[24]), (&member("p0000@rbac_x"), &member("p0960@rbac_x")));
}

#[test]
fn one_answer_that_failed_is_no_answer() {
    let world = emptied();
    let doubts = doubts(&world.live, world.demand.as_ref(), &BTreeSet::new(), &[]);
    let settled = |answers: [Answer; 2]| {
        let mut live = world.live.clone();
        let keys = [member("ann@rbac_x"), member("bob@rbac_x")];
        let findings = settle(&mut live, &doubts, &keys.into_iter().zip(answers).collect()).findings;
        (!live.coverage.contains_key("okta:group/rbac_x"), findings.len())
    };
    assert_eq!(settled([Ok(None), Ok(None)]), (true, 0));
    assert_eq!(settled([Ok(None), Err("500".to_owned())]), (false, 1));
}

#[test]
fn invariant_12_a_group_that_reads_as_empty_and_was_not_is_not_deleted() {
    let mut world = World::new();
    let old = group("rbac_old");
    world.base().declares(&old, Attributes::new());
    world.live.resources.insert(old, Resource::default());
    world.base().wants(&member("ann@rbac_old"));
    world.was_demanded(&member("ann@rbac_old"), true, DemandState::True, Cause::Request);
    world.hidden.push(member("ann@rbac_old"));
    // Nor is it the next time, when memory was written meanwhile.
    for _ in 0..3 {
        assert_eq!(world.says(), "held incomplete: delete okta:group/rbac_old (request)\nRC355");
        world.demand = Some(remembered(&world));
    }
    world.is(&member("ann@rbac_old"));
    assert_eq!(world.says(), "delete okta:group/rbac_old (request)");
}

#[test]
fn invariant_12_where_there_is_nothing_of_a_kind_any_more_nothing_of_it_is_made_or_forgotten() {
    let mut world = emptied();
    let old = group("rbac_old");
    for side in world.sides() {
        side.declares(&group("rbac_x"), Attributes::new());
    }
    world.base().declares(&old, Attributes::new());
    world.demand = Some(remembered(&World { base: None, head: world.base().clone(), ..world.clone() }));
    let listed = world.live.resources.clone();
    world.live.resources.retain(|address, _| address.kind() != "group");
    for _ in 0..3 {
        let says = world.says();
        assert!(world.draft().changes.is_empty(), "{says}");
        assert!(says.contains("held incomplete: delete okta:group/rbac_old (request)"), "{says}");
        assert!(
            says.contains("held incomplete: revoke okta:user/ann member okta:group/rbac_x (request)"),
            "{says}"
        );
        assert!(says.ends_with("RC355"), "{says}");
        world.demand = Some(remembered(&world));
        world.base = Some(world.head.clone());
    }
    world.live.resources = listed;
    world.live.resources.insert(old, Resource::default());
    for edge in ["ann@rbac_x", "bob@rbac_x"] {
        world.is(&member(edge));
    }
    assert_eq!(
        world.says(),
        "revoke okta:user/ann member okta:group/rbac_x (request)\n\
         revoke okta:user/bob member okta:group/rbac_x (request)\n\
         delete okta:group/rbac_old (request)"
    );
}

#[test]
fn what_was_all_deleted_by_hand_is_made_again_when_that_is_asked_for() {
    let mut world = World::new();
    for side in world.sides() {
        side.declares(&group("rbac_g"), Attributes::new());
    }
    let existence =
        DemandedField { want: Value::Bool(true), state: DemandState::True, cause: Cause::Request };
    let known = world.demand.get_or_insert_with(Demand::default);
    known.resources.insert(group("rbac_g"), BTreeMap::from([("".into(), existence)]));
    world.live.resources.retain(|address, _| address.kind() != "group");
    assert_eq!(world.says(), "RC355");
    world.revert.push(Pattern::new("okta:group/*"));
    assert_eq!(world.says(), "create okta:group/rbac_g (request)");
}
