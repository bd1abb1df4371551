//! What holds of any draft: the gate adds nothing, loses nothing, and changes no effect.

use proptest::prelude::*;

use super::*;

fn change() -> impl Strategy<Value = Change> {
    let ops = prop_oneof![Just(Op::Grant), Just(Op::Revoke), Just(Op::Delete), Just(Op::Adopt)];
    (ops, 0..6usize, 0..4usize, any::<bool>()).prop_map(|(op, who, what, leaves)| {
        let (who, what) = (format!("m{who:03}"), format!("g{what}"));
        match op {
            Op::Delete => resource_change(Op::Delete, &group(&what)),
            Op::Adopt => resource_change(Op::Adopt, &group(&what)),
            Op::Revoke if leaves => leaver(&who, &what),
            op => edge_change(op, &user(&who), "member", &group(&what)),
        }
    })
}

proptest! {
    /// Unmanaged and unclaimed things have no change in the draft, so they have none after it.
    #[test]
    fn invariant_19_and_44_the_gate_only_sorts(
        changes in prop::collection::vec(change(), 0..20),
        links in prop::collection::vec((0..20usize, 0..20usize), 0..20),
        caps in (0..8u32, 0..8u32, 0..4u32),
    ) {
        let mut world = World::new();
        for name in ["g0", "g1", "g2", "g3"] {
            world.members(name, &names("m", 6));
        }
        world.settings.limits.removals = Cap { floor: caps.0, percent: 0 };
        world.settings.limits.per_run = caps.1;
        world.settings.limits.admins_min = caps.2;
        world.settings.limits.admins_of = vec![spanned(group("g0"))];
        world.settings.protected = vec![spanned(Pattern::new("okta:group/g3"))];
        let mut unique: BTreeMap<Digest, Change> = BTreeMap::new();
        for change in changes {
            unique.insert(change.effect.clone(), change);
        }
        let mut changes: Vec<Change> = unique.into_values().collect();
        for (later, earlier) in links {
            if earlier < later && later < changes.len() {
                let effect = changes[earlier].effect.clone();
                changes[later].requires.insert(effect);
            }
        }
        let given: BTreeSet<Digest> = changes.iter().map(|change| change.effect.clone()).collect();
        world.plan(changes);
        let judged = world.judge();
        prop_assert_eq!(&world.judge(), &judged);
        let held: BTreeSet<Digest> = judged.held.iter().map(|held| held.change.effect.clone()).collect();
        let mut placed = BTreeSet::new();
        for change in &judged.changes {
            prop_assert!(!held.contains(&change.effect));
            prop_assert!(judged.verdict.allows(&change.effect));
            prop_assert!(change.requires.iter().all(|effect| placed.contains(effect)), "closed and in order");
            placed.insert(change.effect.clone());
        }
        prop_assert_eq!(placed.len() + held.len(), given.len());
        prop_assert!(placed.union(&held).all(|effect| given.contains(effect)));
        prop_assert!(held.iter().all(|effect| !judged.verdict.allows(effect)));
        let denies = judged.held.iter().any(|held| held.why.denies());
        prop_assert_eq!(judged.verdict.ruling() == Ruling::Denied, denies);
    }
}
