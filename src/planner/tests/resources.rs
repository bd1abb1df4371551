//! Resources and their fields.

use super::*;

fn text(value: &str) -> Attributes {
    fields([("description", value.into())])
}

/// A group whose description is said by H, B, D and L; `-` is not said or not there.
fn described(head: &str, base: &str, demand: &str, live: &str) -> World {
    let address = group("rbac_g");
    let mut world = World::new();
    if head != "-" {
        world.head.declares(&address, text(head));
    }
    match base {
        "none" => world.base = None,
        "-" => {}
        _ => world.base().declares(&address, text(base)),
    }
    match demand {
        "none" => world.demand = None,
        "-" => {}
        _ => {
            let (want, state) = match demand.strip_prefix("held ") {
                Some(want) => (want, DemandState::Held),
                None => (demand, DemandState::True),
            };
            let field = |want: Value| DemandedField { want, state, cause: Cause::Request };
            let fields = if want == "gone" {
                BTreeMap::from([("".into(), field(Value::Null))])
            } else {
                BTreeMap::from([("".into(), field(true.into())), ("description".into(), field(want.into()))])
            };
            world.demand.as_mut().unwrap().resources.insert(address.clone(), fields);
        }
    }
    if live != "-" {
        let resource = Resource { attributes: text(live), ..Resource::default() };
        world.live.resources.insert(address, resource);
    }
    world
}

#[test]
fn each_field_of_head_base_memory_and_live_has_one_meaning() {
    for (head, base, demand, live, expected) in [
        ("a", "a", "a", "a", ""),
        ("a", "-", "-", "-", "create X (request)"),
        ("a", "none", "none", "-", "create X (request)"),
        ("a", "a", "-", "-", "create X (joiner)"),
        ("a", "a", "a", "-", "removed by hand: create X (drift)"),
        ("a", "a", "none", "-", "removed by hand: create X (drift)"),
        ("a", "a", "held a", "-", "create X (request)"),
        ("a", "-", "-", "a", "adopt X (request)"),
        ("a", "none", "none", "a", "adopt X (request)"),
        ("a", "-", "-", "b", "update X [description] (request)"),
        ("a", "b", "b", "b", "update X [description] (request)"),
        ("a", "a", "b", "b", "update X [description] (mover)"),
        ("a", "a", "a", "b", "changed by hand: update X [description] (drift)"),
        ("a", "a", "none", "b", "changed by hand: update X [description] (drift)"),
        ("a", "a", "held a", "b", "update X [description] (request)"),
        ("a", "none", "none", "b", "update X [description] (request)"),
        ("-", "a", "a", "a", "delete X (request)"),
        ("-", "a", "a", "b", "delete X (request)"),
        ("-", "a", "a", "-", ""),
        ("-", "-", "a", "a", ""),
        ("-", "-", "held gone", "a", "delete X (request)"),
        ("-", "-", "gone", "a", ""),
        ("-", "none", "held gone", "a", ""),
        ("-", "none", "none", "a", ""),
    ] {
        let said = described(head, base, demand, live).says().replace("okta:group/rbac_g", "X");
        assert_eq!(said, expected, "H {head}, B {base}, D {demand}, L {live}");
    }
}

#[test]
fn invariant_44_of_400_groups_and_one_manifest_one_is_deleted_with_it() {
    let mut world = World::new();
    for number in 0..400 {
        world.live.resources.insert(group(&format!("rbac_{number:03}")), Resource::default());
    }
    world.live.resources.remove(&group("rbac_x"));
    for name in ["app.y", "legacy_z"] {
        world.live.resources.remove(&group(name));
    }
    world.head.declares(&group("rbac_007"), Attributes::new());
    world.head.claims_members(&group("rbac_007"));
    world.base = None;
    let draft = world.draft();
    assert_eq!(words(&draft), "adopt okta:group/rbac_007 (request)");
    assert_eq!(draft.unclaimed.resources, BTreeMap::from([("okta groups".to_owned(), 399)]));
    assert_eq!(draft.unclaimed.examples.len(), 5);
    assert_eq!(draft.unmanaged.resources["okta groups"], 1);

    world.base = Some(std::mem::take(&mut world.head));
    let draft = world.draft();
    assert_eq!(words(&draft), "delete okta:group/rbac_007 (request)");
    assert_eq!(draft.unclaimed.resources["okta groups"], 399);
}

#[test]
fn keys_of_a_keyed_field_are_owned_one_by_one() {
    let address = aws("role", "reader");
    let tags = |tags: &[(&str, &str)]| fields([("tags", Value::map(tags.iter().copied()))]);
    let mut world = World::new();
    world.head.declares(&address, tags(&[("team", "a"), ("new", "1")]));
    world.base().declares(&address, tags(&[("team", "b"), ("old", "1")]));
    let attributes = tags(&[("team", "b"), ("old", "1"), ("theirs", "1")]);
    world.live.resources.insert(address.clone(), Resource { attributes, ..Resource::default() });
    let change = world.draft().changes.remove(0);
    assert_eq!(change.before, Some(tags(&[("team", "b"), ("old", "1")])));
    assert_eq!(change.after, Some(tags(&[("team", "a"), ("new", "1")])));
    // Dropping the whole field drops its keys, and no one else's.
    world.head.resources.get_mut(&address).unwrap().attributes.clear();
    let change = world.draft().changes.remove(0);
    assert_eq!(change.before, Some(tags(&[("team", "b"), ("old", "1")])));
    assert_eq!(change.after, Some(tags(&[])));
}

#[test]
fn equal_means_equal_and_what_is_not_said_is_not_compared() {
    let mut world = described("a", "a", "a", "a");
    let live = world.live.resources.get_mut(&group("rbac_g")).unwrap();
    live.attributes.insert("labels".into(), Value::set(["b", "a"]));
    live.attributes.insert("color".into(), "red".into());
    live.attributes.insert("created".into(), "today".into());
    for side in world.sides() {
        let attributes = &mut side.resources.get_mut(&group("rbac_g")).unwrap().attributes;
        attributes.insert("labels".into(), Value::List(vec!["b".into(), "a".into(), "a".into()]));
        attributes.insert("created".into(), "yesterday".into());
        attributes.insert("note".into(), "".into());
    }
    assert_eq!(world.says(), "");
}

#[test]
fn drift_of_one_field_stays_apart_from_the_request_for_another() {
    let mut world = described("a", "b", "b", "b");
    for side in world.sides() {
        let attributes = &mut side.resources.get_mut(&group("rbac_g")).unwrap().attributes;
        attributes.insert("color".into(), "blue".into());
    }
    let field = DemandedField { want: "blue".into(), state: DemandState::True, cause: Cause::Request };
    let fields_of = world.demand.as_mut().unwrap().resources.get_mut(&group("rbac_g")).unwrap();
    fields_of.insert("color".into(), field);
    world.live.resources.get_mut(&group("rbac_g")).unwrap().attributes.insert("color".into(), "red".into());
    assert_eq!(
        world.says(),
        "update okta:group/rbac_g [description] (request)\n\
         changed by hand: update okta:group/rbac_g [color] (drift)"
    );
    let draft = world.draft();
    // A writer that sends whole profiles must not undo the drift on the way.
    assert_eq!(draft.changes[0].after, Some(fields([("color", "red".into()), ("description", "a".into())])));
    world.revert.push(Pattern::new("okta:group/rbac_g"));
    assert_eq!(world.says(), "update okta:group/rbac_g [color description] (request)");
}

#[test]
fn a_field_that_cannot_be_changed_in_place_is_an_error_and_no_change() {
    let mut world = described("a", "b", "-", "b");
    let address = group("rbac_g");
    world.head.resources.get_mut(&address).unwrap().attributes.insert("sort".into(), "dynamic".into());
    assert_eq!(world.says(), "RC351");
    world.live.resources.remove(&address);
    assert_eq!(world.says(), "create okta:group/rbac_g (request)");
}

#[test]
fn declaring_what_own_does_not_allow_is_an_error() {
    for (name, attributes, expected) in [
        ("other", Attributes::new(), "RC350"),
        ("app.new", Attributes::new(), "RC350"),
        ("app.y", text("ours"), "RC350"),
        ("app.y", Attributes::new(), "adopt okta:group/app.y (request)"),
        ("app.y", fields([("color", "grey".into())]), "adopt okta:group/app.y (request)"),
    ] {
        let mut world = World::new();
        world.head.declares(&group(name), attributes);
        assert_eq!(world.says(), expected, "{name}");
    }
}

#[test]
fn what_is_no_longer_owned_is_let_go_without_a_call() {
    for (head, base) in [("okta groups rbac_*: members", OWN), (OWN, "okta groups rbac_*: members")] {
        let mut world = described("-", "a", "a", "a");
        (world.own, world.own_base) = (own(head), Some(own(base)));
        assert_eq!(world.says(), "forget okta:group/rbac_g (request)");
    }
}

#[test]
fn invariant_20_what_cannot_be_made_again_is_not_deleted_because_its_file_vanished() {
    let mut world = World::new();
    world.own = own("okta users *: all");
    world.own_base = Some(world.own.clone());
    world.base().declares(&user("ann"), Attributes::new());
    assert_eq!(world.says(), "forget okta:user/ann (request)\nRC353");
}

#[test]
fn what_head_still_grants_on_is_not_deleted() {
    let mut world = described("-", "a", "a", "a");
    world.head.wants(&member("ann@rbac_g"));
    assert_eq!(
        world.says(),
        "grant okta:user/ann member okta:group/rbac_g (request)\nforget okta:group/rbac_g (request)\nRC353"
    );
}

/// `rbac_g` is no longer declared; ann is in it, and cid, who has left.
fn dropped() -> World {
    let mut world = described("-", "a", "a", "a");
    world.base().claims_members(&group("rbac_g"));
    world.status("cid", Status::Left);
    for edge in ["ann@rbac_g", "cid@rbac_g"] {
        world.base().wants(&member(edge));
        world.is(&member(edge));
    }
    world
}

#[test]
fn a_deletion_lists_what_hangs_on_it_and_waits_for_no_separate_revocations_but_leavers() {
    let mut world = dropped();
    world.live.resources.get_mut(&group("rbac_g")).unwrap().dependents.push("rule y".to_owned());
    let draft = world.draft();
    assert_eq!(
        words(&draft),
        "revoke okta:user/cid member okta:group/rbac_g (request)\ndelete okta:group/rbac_g (request)"
    );
    let delete = &draft.changes[1];
    assert_eq!(delete.dependents, ["okta:user/ann member okta:group/rbac_g", "rule y"]);
    assert_eq!(delete.risk, Risk::High);
    assert_eq!(delete.requires, BTreeSet::from([draft.changes[0].effect.clone()]));
}

#[test]
fn a_deletion_rests_on_a_whole_read_of_what_hangs_on_it() {
    let mut world = described("-", "a", "a", "a");
    world.live.coverage.remove("okta");
    assert_eq!(world.says(), "held incomplete: delete okta:group/rbac_g (request)");
    world.live.coverage.insert("okta:group/rbac_g".into(), Coverage::Complete);
    assert_eq!(world.says(), "delete okta:group/rbac_g (request)");
    world.live.coverage.insert("okta:group".into(), Coverage::Partial("500".to_owned()));
    assert_eq!(world.says(), "held incomplete: delete okta:group/rbac_g (request)");
}

#[test]
fn invariant_11_what_hangs_on_a_thing_whose_deletion_waits_waits_with_it_but_leavers() {
    let mut world = dropped();
    world.live.coverage.insert("okta:group".into(), Coverage::Partial("500".to_owned()));
    world.live.coverage.insert("okta:group/rbac_g".into(), Coverage::Complete);
    assert_eq!(
        world.says(),
        "revoke okta:user/cid member okta:group/rbac_g (request)\n\
         held incomplete: delete okta:group/rbac_g (request)"
    );
}

#[test]
fn creating_needs_a_whole_read() {
    let mut world = described("a", "-", "-", "-");
    world.live.coverage.insert("okta:group".into(), Coverage::Partial("500".to_owned()));
    world.head.wants(&member("ann@rbac_g"));
    assert_eq!(
        world.says(),
        "held incomplete: create okta:group/rbac_g (request)\n\
         held incomplete: grant okta:user/ann member okta:group/rbac_g (request)"
    );
}

#[test]
fn a_target_that_is_merely_named_is_created_if_owned_and_never_deleted() {
    let mut world = World::new();
    for name in ["rbac_new", "app.new"] {
        world.head.named.insert(group(name), origin("access"));
        world.head.wants(&member(&format!("ann@{name}")));
    }
    assert_eq!(
        world.says(),
        "create okta:group/rbac_new (request)\n\
         grant okta:user/ann member okta:group/rbac_new (request)\n\
         held absent: grant okta:user/ann member okta:group/app.new (request)"
    );
    let mut world = World::new();
    world.base().named.insert(group("rbac_x"), origin("access"));
    assert_eq!(world.says(), "");
    assert_eq!(world.draft().unclaimed.examples[2], "okta:group/rbac_x");
}

#[test]
fn a_name_alone_makes_nothing_that_needs_more_than_a_name() {
    let mut world = World::new();
    let policy = aws("policy", "p");
    world.head.named.insert(policy.clone(), origin("access"));
    world.head.wants(&attached(&aws("user", "ann"), &policy));
    world.live.resources.insert(aws("user", "ann"), Resource::default());
    let kinds = &mut world.schemas.instances.get_mut("aws").unwrap().kinds;
    let policies = kinds.iter_mut().find(|kind| kind.schema.kind.as_ref() == "policy").unwrap();
    policies.schema.attributes[0].flags.required = true;
    assert_eq!(
        world.says(),
        "held absent: grant aws/222222222222:user/ann attached aws/222222222222:policy/p (request)"
    );
}

#[test]
fn what_refers_to_something_absent_waits_and_so_does_what_refers_to_that() {
    let boundary = |name: &str| fields([("boundary", aws("policy", name).as_str().into())]);
    let mut world = World::new();
    world.head.declares(&aws("role", "a"), boundary("b"));
    world.head.declares(&aws("policy", "b"), boundary("c"));
    assert_eq!(
        world.says(),
        "held absent: create aws/222222222222:policy/b (request)\n\
         held absent: create aws/222222222222:role/a (request)"
    );
    world.live.resources.insert(aws("policy", "c"), Resource::default());
    assert_eq!(
        world.says(),
        "create aws/222222222222:policy/b (request)\ncreate aws/222222222222:role/a (request)"
    );
}

#[test]
fn what_the_provider_masters_cannot_be_changed() {
    let mut world = described("a", "b", "b", "b");
    world.live.resources.get_mut(&group("rbac_g")).unwrap().mastered = Some("built in".to_owned());
    assert_eq!(world.says(), "RC354");
}

#[test]
fn editing_what_was_deleted_by_hand_does_not_make_it_again_empty() {
    let mut world = World::new();
    let here = group("rbac_x");
    let text = |text: &str| Attributes::from([("description".into(), Value::text(text))]);
    world.base().declares(&here, text("old"));
    world.head.declares(&here, text("new"));
    world.live.resources.remove(&here);
    let field = DemandedField { want: Value::Bool(true), state: DemandState::True, cause: Cause::Request };
    let fields = BTreeMap::from([("".into(), field)]);
    world.demand.as_mut().unwrap().resources.insert(here.clone(), fields);
    let said = "held absent: create okta:group/rbac_x (request)\n\
                removed by hand: create okta:group/rbac_x (drift)";
    assert_eq!(world.says(), said);
    assert!(world.draft().held[0].remedy.as_ref().unwrap().contains("--revert okta:group/rbac_x"));
    // Once base has that edit too, it is drift still.
    let plan = plan(world.draft());
    let demand =
        remember(&world.head, world.demand.as_ref(), &plan, &world.live, &world.schemas, &BTreeMap::new());
    world.demand = Some(demand);
    world.base().declares(&here, text("new"));
    assert_eq!(world.says(), "removed by hand: create okta:group/rbac_x (drift)");
    world.revert.push(Pattern::new("okta:group/rbac_x"));
    assert_eq!(world.says(), "create okta:group/rbac_x (request)");
}
