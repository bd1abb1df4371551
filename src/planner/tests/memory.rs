//! What must be observed, and what is remembered.

use super::*;

fn after(world: &World, states: &BTreeMap<Digest, DemandState>) -> Demand {
    let plan = plan(world.draft());
    remember(&world.head, world.demand.as_ref(), &plan, &world.seen().0, &world.schemas, states)
}

fn grant<'d>(demand: &'d Demand, text: &str) -> Option<&'d DemandedGrant> {
    demand.grants.iter().find(|grant| grant.key == member(text))
}

#[test]
fn scopes_are_what_edges_are_on_and_only_what_is_owned() {
    let mut world = World::new();
    let robot = aws("user", "robot");
    world.head.wants(&member("ann@rbac_x"));
    world.head.wants(&attached(&robot, &Address::reserved("managed", "ReadOnlyAccess")));
    world.head.claims_members(&group("rbac_claimed"));
    world.head.named.insert(group("app.named"), origin("access"));
    world.base().wants(&member("ann@app.y"));
    world.base().wants(&member("ann@other"));
    world.base().declares(&group("rbac_old"), Attributes::new());
    world.was_demanded(&member("ann@legacy_z"), true, DemandState::True, Cause::Request);
    let (base, own_base) = (world.base.as_ref(), world.own_base.as_ref());
    let scopes = scopes(&world.head, base, world.demand.as_ref(), &world.own, own_base, &world.schemas);
    let okta = ["app.named", "app.y", "legacy_z", "rbac_claimed", "rbac_old", "rbac_x"].map(group);
    assert_eq!(
        scopes,
        BTreeMap::from([("okta".into(), BTreeSet::from(okta)), ("aws".into(), BTreeSet::from([robot]))])
    );
}

#[test]
fn what_came_true_is_remembered_as_true_and_removed_by_hand_becomes_drift() {
    let mut world = World::new();
    world.head.wants(&member("ann@rbac_x"));
    world.head.declares(&group("rbac_g"), fields([("description", "a".into())]));
    let draft = world.draft();
    apply_to(&mut world.live, &draft.changes);
    world.demand =
        Some(remember(&world.head, None, &plan(draft), &world.live, &world.schemas, &BTreeMap::new()));
    world.base = Some(world.head.clone());
    assert_eq!(world.says(), "");
    world.live.grants.clear();
    world.live.resources.get_mut(&group("rbac_g")).unwrap().attributes.clear();
    let said = "removed by hand: grant okta:user/ann member okta:group/rbac_x (drift)";
    assert!(world.says().contains(said), "{}", world.says());
    // Another apply does not make it anything else.
    world.demand = Some(after(&world, &BTreeMap::new()));
    assert!(world.draft().changes.is_empty(), "{}", world.says());
    assert_eq!(world.draft().drift.len(), 2);
}

#[test]
fn what_did_not_come_true_keeps_its_cause_when_base_has_moved_on() {
    let mut world = World::new();
    world.head.wants(&member("ann@rbac_x"));
    world.head.declares(&group("rbac_g"), Attributes::new());
    world.base().wants(&member("bob@app.y"));
    world.base().declares(&group("rbac_old"), Attributes::new());
    world.is(&member("bob@app.y"));
    world.live.resources.insert(group("rbac_old"), Resource::default());
    let first = world.says();
    assert_eq!(world.draft().changes.len(), 4);
    world.demand = Some(after(&world, &BTreeMap::new()));
    assert_eq!(grant(world.demand.as_ref().unwrap(), "ann@rbac_x").unwrap().state, DemandState::Unfinished);
    assert_eq!(grant(world.demand.as_ref().unwrap(), "bob@app.y").unwrap().want, None);
    world.base = Some(world.head.clone());
    assert_eq!(world.says(), first);
}

#[test]
fn invariant_27_lag_is_pending_and_no_drift() {
    let mut world = World::new();
    world.head.wants(&member("ann@rbac_x"));
    let effect = world.draft().changes[0].effect.clone();
    let demand = after(&world, &BTreeMap::from([(effect, DemandState::True)]));
    assert_eq!(demand.grants[0].state, DemandState::Pending);
    world.base = Some(world.head.clone());
    world.demand = Some(demand);
    assert!(world.draft().drift.is_empty());
}

#[test]
fn what_was_held_or_could_not_be_read_is_not_forgotten() {
    let mut world = World::new();
    world.was_demanded(&member("ann@rbac_x"), true, DemandState::True, Cause::Request);
    world.is(&member("ann@rbac_x"));
    world.inventory.incomplete.push("okta: 500".to_owned());
    world.demand = Some(after(&world, &BTreeMap::new()));
    let held = grant(world.demand.as_ref().unwrap(), "ann@rbac_x").unwrap();
    assert_eq!((held.want.is_none(), held.state, held.cause), (true, DemandState::Held, Cause::Standing));
    world.inventory.incomplete.clear();
    assert_eq!(world.says(), "revoke okta:user/ann member okta:group/rbac_x (mover)");
    // Unread now: it stays.
    let seen = std::mem::take(&mut world.live.grants);
    world.live.coverage.insert("okta:group/rbac_x".into(), Coverage::Partial("403".to_owned()));
    world.demand = Some(after(&world, &BTreeMap::new()));
    assert!(grant(world.demand.as_ref().unwrap(), "ann@rbac_x").is_some());
    // Read, and gone.
    world.live.coverage.insert("okta:group/rbac_x".into(), Coverage::Complete);
    world.demand = Some(after(&world, &BTreeMap::new()));
    assert!(grant(world.demand.as_ref().unwrap(), "ann@rbac_x").is_none());
    // Back again, by hand, and nobody's.
    world.live.grants = seen;
    assert_eq!(world.says(), "");
}

#[test]
fn a_tag_that_was_to_go_and_did_not_is_still_to_go() {
    let address = aws("role", "reader");
    let tags = |tags: &[(&str, &str)]| fields([("tags", Value::map(tags.iter().copied()))]);
    let mut world = World::new();
    world.head.declares(&address, tags(&[]));
    world.base().declares(&address, tags(&[("old", "1")]));
    let attributes = tags(&[("old", "1"), ("theirs", "1")]);
    world.live.resources.insert(address.clone(), Resource { attributes, ..Resource::default() });
    let first = world.says();
    assert_eq!(first, format!("update {address} [tags] (request)"));
    world.demand = Some(after(&world, &BTreeMap::new()));
    world.base = Some(world.head.clone());
    assert_eq!(world.says(), first);
    let changes = world.draft().changes;
    apply_to(&mut world.live, &changes);
    world.demand = Some(after(&world, &BTreeMap::new()));
    assert_eq!(world.says(), "");
}

#[test]
fn a_joiner_whose_second_grant_failed_is_still_a_joiner() {
    let mut world = World::new();
    world.was_demanded(&member("bob@app.y"), true, DemandState::True, Cause::Request);
    world.is(&member("bob@app.y"));
    for side in world.sides() {
        for edge in ["ann@app.y", "ann@rbac_x", "bob@app.y"] {
            side.wants(&member(edge));
        }
    }
    let draft = world.draft();
    assert_eq!(draft.changes.len(), 2);
    apply_to(&mut world.live, &draft.changes[..1]);
    let plan = plan(draft);
    world.demand = Some(remember(&world.head, None, &plan, &world.live, &world.schemas, &BTreeMap::new()));
    assert_eq!(world.says(), "grant okta:user/ann member okta:group/rbac_x (joiner)");
}

#[test]
fn invariant_12_what_hangs_on_a_thing_whose_deletion_is_held_is_remembered_with_it() {
    let mut world = World::new();
    let old = group("rbac_old");
    world.base().declares(&old, Attributes::new());
    world.live.resources.insert(old, Resource::default());
    let edge = member("ann@rbac_old");
    world.base().wants(&edge);
    world.was_demanded(&edge, true, DemandState::True, Cause::Request);
    world.is(&edge);
    // The gate holds it, say for a cap, and base moves on.
    for _ in 0..2 {
        let mut plan = plan(world.draft());
        let change = plan.changes.pop().unwrap();
        assert_eq!((change.op, plan.changes.len()), (Op::Delete, 0));
        plan.held.push(Held { why: Why::Capped, text: String::new(), remedy: None, change });
        let (head, demand, live) = (&world.head, world.demand.as_ref(), &world.live);
        world.demand = Some(remember(head, demand, &plan, live, &world.schemas, &BTreeMap::new()));
        world.base = Some(world.head.clone());
        let kept = grant(world.demand.as_ref().unwrap(), "ann@rbac_old").unwrap();
        assert_eq!((&kept.want, kept.state, kept.cause), (&None, DemandState::Held, Cause::Request));
    }
    // So a list that is empty all of a sudden is noticed.
    world.live.grants.clear();
    world.hidden.push(edge);
    assert!(world.draft().changes.is_empty(), "{}", world.says());
}
