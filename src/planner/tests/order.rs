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
    for (resource, grant) in world.head.grants.terms_mut() {
        if *resource == group("rbac_x") {
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

fn statement(entries: &[(&str, Value)]) -> Value {
    let entries = entries.iter().map(|(key, value)| (*key, value.clone()));
    Value::map([("Statement", Value::List(vec![Value::map(entries)]))])
}

#[test]
fn a_document_that_allows_everything_or_trusts_everyone_is_a_high_risk() {
    let everyone = Value::map([("AWS", Value::set(["*"]))]);
    let all = ("Resource", Value::set(["*"]));
    let allow = ("Effect", Value::from("Allow"));
    let condition = ("Condition", Value::map([("Bool", Value::map([("x", "true")]))]));
    for (expected, entries) in [
        (Risk::High, vec![allow.clone(), all.clone(), ("Action", "*".into())]),
        (Risk::High, vec![allow.clone(), all.clone(), ("Action", Value::set(["iam:*", "s3:get"]))]),
        (Risk::High, vec![allow.clone(), all.clone(), ("NotAction", "s3:get".into())]),
        (Risk::High, vec![allow.clone(), ("Principal", "*".into())]),
        (Risk::High, vec![allow.clone(), ("Principal", everyone.clone())]),
        (Risk::Medium, vec![allow.clone(), ("Principal", everyone), condition]),
        (Risk::Medium, vec![allow.clone(), all.clone(), ("Action", "s3:*".into())]),
        (Risk::Medium, vec![allow, ("Resource", "arn:x".into()), ("Action", "*".into())]),
        (Risk::Medium, vec![("Effect", "Deny".into()), all, ("Action", "*".into())]),
    ] {
        let mut world = World::new();
        let role = aws("role", "r");
        world.head.declares(&role, fields([("trust", statement(&entries))]));
        let draft = world.draft();
        assert_eq!(draft.changes[0].risk, expected, "{entries:?}: {:?}", draft.changes[0].risk_reasons);

        // What was there already is not what the change does.
        let mut before = statement(&entries);
        if let Value::Map(map) = &mut before {
            map.insert("Version".into(), "x".into());
        }
        let attributes = fields([("trust", before)]);
        world.base().declares(&role, attributes.clone());
        world.live.resources.insert(role, Resource { attributes, ..Resource::default() });
        assert_eq!(world.draft().changes[0].risk, Risk::Medium);
    }
}

#[test]
fn a_membership_is_as_risky_as_what_its_group_carries() {
    let admin = Address::reserved("managed", "AdministratorAccess");
    let (group, policy) = (aws("group", "admins"), aws("policy", "all"));
    let document = statement(&[("Effect", "Allow".into()), ("Action", "*".into()), ("Resource", "*".into())]);
    let joins = GrantKey::new(&aws("user", "ann"), "member", &group);
    let with = |bend: &dyn Fn(&mut World)| {
        let mut world = World::new();
        for address in [&group, &aws("user", "ann")] {
            world.live.resources.insert(address.clone(), Resource::default());
        }
        world.head.wants(&joins);
        bend(&mut world);
        let draft = world.draft();
        let all = draft.changes.iter().chain(draft.held.iter().map(|held| &held.change));
        let change = all.into_iter().find(|change| change.grant.as_ref() == Some(&joins)).unwrap();
        (change.risk, change.risk_reasons.join(", "))
    };
    assert_eq!(with(&|_| {}).0, Risk::Low);
    let high = (Risk::High, format!("`{group}` gives `{admin}`, which may do everything"));
    assert_eq!(with(&|world| world.is(&attached(&group, &admin))), high);
    assert_eq!(with(&|world| world.head.wants(&attached(&group, &admin))), high);
    let by_policy = with(&|world| {
        world.is(&attached(&group, &policy));
        let attributes = fields([("document", document.clone())]);
        world.live.resources.insert(policy.clone(), Resource { attributes, ..Resource::default() });
    });
    assert_eq!(by_policy, (Risk::High, format!("`{group}` gives `{policy}`, which allows everything")));
    let by_itself = with(&|world| {
        let attributes = fields([("inline", Value::map([("x", document.clone())]))]);
        world.live.resources.insert(group.clone(), Resource { attributes, ..Resource::default() });
    });
    assert_eq!(by_itself, (Risk::High, format!("`{group}` allows everything")));
}

#[test]
fn many_removals_from_one_thing_and_removals_from_machines_are_no_low_risk() {
    let mut world = World::new();
    for number in 0..11 {
        let key = member(&format!("p{number}@rbac_x"));
        world.is(&key);
        world.base().people_mut().insert(key.principal.clone(), Address::person(&format!("p{number}")));
        world.base().wants(&key);
    }
    let key = GrantKey::new(&user("robot"), "member", &group("app.y"));
    world.is(&key);
    world.base().wants(&key);
    let draft = world.draft();
    assert_eq!(draft.changes.len(), 12);
    assert!(draft.changes.iter().all(|change| change.risk == Risk::Medium), "{:?}", draft.changes);
}
