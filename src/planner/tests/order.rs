//! Order and risk.

use super::*;

#[test]
fn what_is_referred_to_comes_first_and_goes_last() {
    let (role, policy) = (aws("role", "a"), aws("policy", "z"));
    let boundary = fields([("boundary", policy.as_str().into())]);
    let mut world = World::new();
    world.head.declares(&role, boundary);
    world.head.declares(&policy, Attributes::new());
    world.head.wants(&attached(&role, &policy));
    let draft = world.draft();
    let targets: Vec<String> = draft.changes.iter().map(Change::target).collect();
    assert_eq!(targets, [policy.to_string(), role.to_string(), format!("{role} attached {policy}")]);
    assert_eq!(draft.changes[1].requires, BTreeSet::from([draft.changes[0].effect.clone()]));
    assert_eq!(draft.changes[2].requires.len(), 2);

    apply_to(&mut world.live, &draft.changes);
    let people = world.head.people.clone();
    world.base = Some(std::mem::replace(&mut world.head, Desired { people, ..Desired::default() }));
    let draft = world.draft();
    let targets: Vec<String> = draft.changes.iter().map(Change::target).collect();
    assert_eq!(targets, [role.to_string(), policy.to_string()]);
    assert_eq!(draft.changes[1].requires, BTreeSet::from([draft.changes[0].effect.clone()]));
}

#[test]
fn a_deleted_policy_waits_for_the_role_that_lets_go_of_it() {
    let (role, policy) = (aws("role", "a"), aws("policy", "b"));
    let boundary = |name: &str| fields([("boundary", Address::reserved("managed", name).as_str().into())]);
    let mut world = World::new();
    world.head.declares(&role, boundary("ReadOnlyAccess"));
    world.base().declares(&role, fields([("boundary", policy.as_str().into())]));
    world.base().declares(&policy, Attributes::new());
    let attributes = fields([("boundary", policy.as_str().into())]);
    world.live.resources.insert(role, Resource { attributes, ..Resource::default() });
    world.live.resources.insert(policy, Resource::default());
    let draft = world.draft();
    assert_eq!(draft.changes[0].op, Op::Update);
    assert_eq!(draft.changes[0].risk, Risk::Medium);
    assert_eq!(draft.changes[1].requires, BTreeSet::from([draft.changes[0].effect.clone()]));
}

#[test]
fn invariant_21_grants_before_revocations_and_leavers_before_all() {
    let mut world = World::new();
    world.status("cid", Status::Left);
    for edge in ["ann@app.y", "cid@rbac_x"] {
        world.was_demanded(&member(edge), true, DemandState::True, Cause::Request);
        world.is(&member(edge));
    }
    world.head.declares(&group("rbac_new"), Attributes::new());
    for side in world.sides() {
        side.wants(&member("ann@rbac_x"));
    }
    assert_eq!(
        world.says(),
        "revoke okta:user/cid member okta:group/rbac_x (leaver)\n\
         create okta:group/rbac_new (request)\n\
         grant okta:user/ann member okta:group/rbac_x (mover)\n\
         revoke okta:user/ann member okta:group/app.y (mover)"
    );
}

#[test]
fn a_cycle_is_told_and_loses_no_change() {
    let mut world = World::new();
    for (one, other) in [("a", "b"), ("b", "a")] {
        world
            .head
            .declares(&aws("policy", one), fields([("boundary", aws("policy", other).as_str().into())]));
    }
    let draft = world.draft();
    assert_eq!(draft.changes.len(), 2);
    assert_eq!(draft.findings[0].code.as_ref(), "RC359");
}

#[test]
fn risk_is_told_in_words() {
    let mut world = World::new();
    let (ci, admin) = (aws("user", "ci"), Address::reserved("managed", "AdministratorAccess"));
    world.head.declares(&ci, fields([("trust", "everyone".into())]));
    world.head.wants(&attached(&ci, &admin));
    world.head.wants(&member("ann@rbac_x"));
    world.head.wants(&member("bob@app.y"));
    for grant in &mut world.head.grants {
        if grant.key.resource == group("rbac_x") {
            grant.sensitivity = Sensitivity::High;
        }
    }
    let draft = world.draft();
    let said = |target: &str| {
        let change = draft.changes.iter().find(|change| change.target() == target).unwrap();
        (change.risk, change.risk_reasons.join(", "))
    };
    assert_eq!(said(ci.as_str()), (Risk::Medium, "`trust` gives access".to_owned()));
    assert_eq!(
        said(&attached(&ci, &admin).to_string()),
        (Risk::High, "`managed:AdministratorAccess` may do everything".to_owned())
    );
    assert_eq!(said(&member("bob@app.y").to_string()), (Risk::Low, String::new()));
    assert_eq!(
        said(&member("ann@rbac_x").to_string()),
        (Risk::High, "the role's sensitivity is high".to_owned())
    );
}

#[test]
fn many_removals_from_one_thing_and_removals_from_machines_are_no_low_risk() {
    let mut world = World::new();
    for number in 0..11 {
        let key = member(&format!("p{number}@rbac_x"));
        world.is(&key);
        world.base().people.insert(key.principal.clone(), Address::person(&format!("p{number}")));
        world.base().wants(&key);
    }
    let key = GrantKey::new(&user("robot"), "member", &group("app.y"));
    world.is(&key);
    world.base().wants(&key);
    let draft = world.draft();
    assert_eq!(draft.changes.len(), 12);
    assert!(draft.changes.iter().all(|change| change.risk == Risk::Medium), "{:?}", draft.changes);
}
