//! Laws that hold for every world.

use proptest::prelude::*;

use super::*;
use crate::model::CutOff;
use crate::planner::{Containment, contain};

const GROUPS: [&str; 4] = ["rbac_x", "app.y", "legacy_z", "other"];
const PEOPLE: [&str; 3] = ["ann", "bob", "cid"];

/// What each of twelve edges is on each side, which groups are claimed and declared, and who has left.
fn world() -> impl Strategy<Value = World> {
    let edges = prop::collection::vec((any::<bool>(), any::<bool>(), 0..7_u8, any::<bool>()), 12);
    let groups = prop::collection::vec((0..4_u8, 0..4_u8, any::<bool>(), 0..3_u8, 0..3_u8), 4);
    (edges, groups, any::<bool>(), any::<bool>(), prop::option::of(0..3_usize), any::<bool>()).prop_map(
        |(edges, groups, has_base, has_demand, gone, whole)| {
            let mut world = World::new();
            if let Some(gone) = gone {
                world.status(PEOPLE[gone], Status::Left);
            }
            let is_gone = |who: &str| gone.is_some_and(|gone| PEOPLE[gone] == who);
            for (index, (head, base, demand, live)) in edges.into_iter().enumerate() {
                let who = PEOPLE[index / 4];
                let key = member(&format!("{who}@{}", GROUPS[index % 4]));
                if head && !is_gone(who) {
                    world.head.wants(&key);
                }
                if base && !is_gone(who) {
                    world.base().wants(&key);
                }
                match demand {
                    0 => world.was_demanded(&key, true, DemandState::True, Cause::Request),
                    1 => world.was_demanded(&key, false, DemandState::True, Cause::Standing),
                    2 => world.was_demanded(&key, true, DemandState::Held, Cause::Request),
                    3 => world.was_demanded(&key, false, DemandState::Unfinished, Cause::Standing),
                    _ => {}
                }
                if live {
                    world.is(&key);
                }
            }
            for (name, (head, base, exists, said, is)) in GROUPS.iter().zip(groups) {
                let text = |number: u8| fields([("description", number.to_string().into())]);
                for (side, how) in [(0, head), (1, base)] {
                    let side = if side == 0 { &mut world.head } else { world.base() };
                    match how {
                        0 => side.declares(&group(name), text(said)),
                        1 => side.claims_members(&group(name)),
                        2 => {
                            side.declares(&group(name), text(is));
                            side.claims_members(&group(name));
                        }
                        _ => {}
                    }
                }
                if exists {
                    world
                        .live
                        .resources
                        .insert(group(name), Resource { attributes: text(is), ..Resource::default() });
                } else {
                    world.live.resources.remove(&group(name));
                    world.live.grants.retain(|grant| grant.key.resource != group(name));
                }
            }
            if !whole {
                world.live.coverage.insert("okta:group/rbac_x".into(), Coverage::Partial("403".to_owned()));
            }
            if !has_base {
                world.base = None;
            }
            if !has_demand {
                world.demand = None;
            }
            world
        },
    )
}

fn writes(draft: &Draft) -> Vec<String> {
    draft.changes.iter().filter(|change| change.op.writes()).map(Change::target).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_23_what_was_applied_needs_no_more_changes(mut world in world()) {
        let draft = world.draft();
        apply_to(&mut world.live, &draft.changes);
        prop_assert_eq!(writes(&world.draft()), Vec::<String>::new());
        // Nor once it is remembered and base has moved on.
        let plan = plan(draft);
        world.demand =
            Some(remember(&world.head, world.demand.as_ref(), &plan, &world.live, &world.schemas, &BTreeMap::new()));
        prop_assert_eq!(writes(&world.draft()), Vec::<String>::new());
        world.base = Some(world.head.clone());
        let again = world.draft();
        prop_assert!(again.changes.is_empty(), "{}", words(&again));
    }

    #[test]
    fn invariant_08_effects_do_not_depend_on_the_order_of_the_input(world in world(), seed in any::<u64>()) {
        let mut shuffled = world.clone();
        let key = |key: &GrantKey| Digest::of(&(key, seed));
        shuffled.live.grants.sort_by_key(|grant| key(&grant.key));
        if let Some(demand) = &mut shuffled.demand {
            demand.grants.sort_by_key(|grant| key(&grant.key));
        }
        let (one, other) = (world.draft(), shuffled.draft());
        prop_assert_eq!(Plan::effects_of(&one.changes, &one.held, &[], &[]), Plan::effects_of(&other.changes, &other.held, &[], &[]));
        prop_assert_eq!(one.changes, other.changes);
        prop_assert_eq!(one.held, other.held);
    }

    #[test]
    fn nothing_outside_own_is_ever_written(world in world()) {
        let draft = world.draft();
        for change in draft.changes.iter().chain(draft.held.iter().map(|held| &held.change)) {
            let may = world.own.may(&change.address, "groups");
            let needed = match change.op {
                Op::Forget => May::Look,
                Op::Grant | Op::Adopt => May::Add,
                Op::Revoke | Op::Update if change.grant.is_some() => May::Members,
                _ => May::All,
            };
            prop_assert!(may >= needed, "{} {}", change.op, change.target());
        }
    }

    #[test]
    fn invariant_44_without_base_nothing_is_taken_away_but_from_leavers(mut world in world(), revert in any::<bool>()) {
        world.base = None;
        world.heal = Heal::Revoke;
        if revert {
            world.revert.push(Pattern::new("**"));
        }
        for change in world.draft().changes.iter().filter(|change| change.op.is_removal()) {
            prop_assert_eq!(change.standing, Some(Standing::Leaver));
        }
    }

    #[test]
    fn invariant_32_what_leaving_and_containing_cause_only_takes_away(
        mut world in world(),
        who in 0..3_usize,
        suspended in any::<bool>(),
    ) {
        let leavers = |draft: &Draft| draft.changes.iter().filter(|c| c.standing == Some(Standing::Leaver)).cloned().collect::<Vec<_>>();
        // What `own:` no longer allows is let go without a call.
        let takes = |change: &Change| matches!(change.op, Op::Revoke | Op::Forget);
        let before = world.draft();
        prop_assert!(leavers(&before).iter().all(takes));
        // He is suspended as a `Suspension` in head does it: nothing is wanted for him any more, and he is still known.
        let person = Address::person(PEOPLE[who]);
        world.status(PEOPLE[who], if suspended { Status::Suspended } else { Status::Left });
        let account = user(PEOPLE[who]);
        let wanted: Vec<_> = world.head.grants.iter().filter(|grant| grant.key.principal != account).collect();
        world.head.grants = crate::model::Grants::default();
        for grant in wanted {
            world.head.grants.insert(grant);
        }
        let draft = world.draft();
        prop_assert!(leavers(&draft).iter().all(takes));
        let containment = Containment {
            person,
            accounts: BTreeSet::from([account.clone()]),
            cut_offs: BTreeMap::from([(account.clone(), vec![CutOff::sessions(None), CutOff::access_key("AKIA1")])]),
            holdings: BTreeMap::new(),
            reason: (*origin("suspended")).clone(),
        };
        let contained = contain(draft, &containment);
        for change in &contained.changes {
            let cuts = change.op == Op::Update && change.address == account && change.grant.is_none();
            let takes = change.op == Op::Revoke
                && change.grant.as_ref().is_some_and(|key| key.principal == account)
                && world.own.may(&change.address, "groups") >= May::Members;
            prop_assert!(cuts || takes, "{} {}", change.op, change.target());
            prop_assert_eq!(change.cause, Cause::Request);
            prop_assert_eq!(&change.effect, &change.own_effect());
        }
        prop_assert_eq!(contained.changes.iter().filter(|change| change.op == Op::Update).count(), 2);
        prop_assert!(contained.held.iter().all(|held| held.change.op == Op::Revoke));
        // All of his that was seen and may go, goes.
        let left = world.live.grants.iter().filter(|live| live.key.principal == account && live.via.is_none());
        for live in left.filter(|live| world.own.may(&live.key.resource, "groups") >= May::Members) {
            let base_lets = world.base.is_none()
                || world.own_base.as_ref().is_some_and(|own| own.may(&live.key.resource, "groups") >= May::Members);
            let goes = contained.changes.iter().any(|change| change.grant.as_ref() == Some(&live.key));
            prop_assert!(goes || !base_lets, "{} stays", live.key);
        }
    }

    #[test]
    fn deletes_are_of_what_base_declared_and_head_does_not(world in world()) {
        for change in world.draft().changes.iter().filter(|change| change.op == Op::Delete) {
            let base = world.base.as_ref().and_then(|base| base.resources.get(&change.address));
            prop_assert!(base.is_some_and(|base| base.declared));
            prop_assert!(!world.head.resources.contains_key(&change.address));
        }
    }

    #[test]
    fn invariant_30_drift_is_never_among_the_changes(world in world()) {
        let draft = world.draft();
        prop_assert!(draft.changes.iter().all(|change| change.cause != Cause::Drift));
        prop_assert!(draft.drift.iter().all(|drift| drift.change.cause == Cause::Drift));
    }

    #[test]
    fn each_change_comes_after_what_it_requires(world in world()) {
        let draft = world.draft();
        for (index, change) in draft.changes.iter().enumerate() {
            for required in &change.requires {
                prop_assert!(draft.changes[..index].iter().any(|earlier| earlier.effect == *required));
            }
        }
    }

    #[test]
    fn a_live_world_that_is_as_desired_needs_nothing(mut world in world()) {
        // What is live is what head wants, no more; base and memory say what they like of it.
        world.own = own("okta groups *: all");
        world.own_base = Some(world.own.clone());
        world.live.grants.clear();
        for wanted in &world.head.grants {
            world.live.grants.push(LiveGrant { key: wanted.key.clone(), attributes: Attributes::new(), via: None });
        }
        world.live.resources.retain(|address, _| address.kind() == "user");
        for (address, wanted) in &world.head.resources {
            let resource = Resource { attributes: wanted.attributes.clone(), ..Resource::default() };
            world.live.resources.insert(address.clone(), resource);
        }
        let draft = world.draft();
        prop_assert_eq!(writes(&draft), Vec::<String>::new(), "{}", words(&draft));
        prop_assert!(draft.drift.is_empty(), "{}", words(&draft));
    }
}
