//! A random small organization, and the access repo that its first plan is made of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::json;

use super::dice::Dice;
use super::facts::{ACCOUNT, DOMAIN};
use super::repo::{ADMINS, BREAK_GLASS, CALLER, Cap, Entry, Group, Iam, May, Own, Repo, Role, Who};
use crate::simulator::{
    AwsAccount, IamGroup, IamPolicy, IamRole, IamUser, OktaGroup, OktaUser, UserStatus, World,
};

/// Departments that people can be in.
pub(super) const DEPARTMENTS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
/// Okta groups whose members may be ours: those of apps, and one that is only added to.
pub(super) const APPS: [&str; 5] = ["app.a", "app.b", "app.c", "legacy_a", "other.a"];
/// IAM groups that roles can give.
pub(super) const AWS_GROUPS: [&str; 3] = ["ci-deployers", "ci-readers", "hand-made"];
/// IAM policies that roles can give.
pub(super) const AWS_POLICIES: [&str; 3] = ["managed:ReadOnlyAccess", "managed:PowerUserAccess", "ci-write"];

/// A person's login.
pub(super) fn login(handle: &str) -> String {
    format!("{handle}{DOMAIN}")
}

/// A person.
pub(super) fn person(handle: &str, department: &str) -> OktaUser {
    let kind = if department.is_empty() { "Service" } else { "Employee" };
    let mut profile = BTreeMap::from([("userType".to_owned(), json!(kind))]);
    if !department.is_empty() {
        profile.insert("department".to_owned(), json!(department));
    }
    OktaUser { login: login(handle), status: UserStatus::Active, profile, ..OktaUser::default() }
}

fn set<const N: usize>(items: [&str; N]) -> BTreeSet<String> {
    items.into_iter().map(str::to_owned).collect()
}

/// The settings' `own:` at first.
fn own() -> Vec<Own> {
    let line = |kind, pattern: &str, may| Own { kind, pattern: pattern.to_owned(), may };
    vec![
        line("okta:group", "rbac_*", May::All),
        line("okta:group", "list.*", May::All),
        line("okta:group", "admin.*", May::All),
        line("okta:group", "app.*", May::Members),
        line("okta:group", "legacy_*", May::Add),
        line("aws:user", "ci-*", May::All),
        line("aws:user", CALLER, May::All),
        line("aws:user", "*", May::Members),
        line("aws:group", "ci-*", May::All),
        line("aws:role", "ci-*", May::All),
        line("aws:policy", "ci-*", May::All),
    ]
}

/// A world and the access repo over it, as the first plan finds them.
pub(super) fn draw(dice: &mut Dice, now: Timestamp) -> (World, Repo) {
    let mut world = World::at(now);
    world.page_size = dice.between(3, 9);
    let people = dice.between(8, 14);
    let handles: Vec<String> = (0..people).map(|n| format!("p{n:02}")).collect();
    for (n, handle) in handles.iter().enumerate() {
        // Somebody is in each of them, or nothing that cites it could be planned.
        let department = DEPARTMENTS.get(n).or_else(|| dice.pick(&DEPARTMENTS)).copied().unwrap_or("alpha");
        world.okta.add_user(person(handle, department));
    }
    for service in [CALLER, BREAK_GLASS.1] {
        world.okta.add_user(person(service, ""));
    }
    world.okta.token_owner = login(CALLER);
    for name in APPS.into_iter().chain([ADMINS, BREAK_GLASS.0]) {
        let mut members: BTreeSet<String> = match name {
            ADMINS => handles.iter().take(3).map(|handle| login(handle)).collect(),
            _ if dice.percent(40) => dice.one(&handles).map(|handle| login(handle)).into_iter().collect(),
            _ => BTreeSet::new(),
        };
        if name == BREAK_GLASS.0 {
            members = BTreeSet::from([login(BREAK_GLASS.1)]);
        }
        world.okta.add_group(OktaGroup { name: name.to_owned(), members, ..OktaGroup::default() });
    }
    world.aws.caller = format!("arn:aws:iam::{ACCOUNT}:user/{CALLER}");
    world.aws.accounts.insert(ACCOUNT.to_owned(), account(dice, &handles));
    let repo = repo(dice, &handles);
    (world, repo)
}

fn account(dice: &mut Dice, handles: &[String]) -> AwsAccount {
    let mut account = AwsAccount { name: "ci".to_owned(), ..AwsAccount::default() };
    let statement = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*" }],
    });
    let policy =
        IamPolicy { name: "hand-policy".into(), document: statement.clone(), ..IamPolicy::default() };
    account.policies.insert(policy.name.clone(), policy);
    let policies = set(["hand-policy"]);
    let group = IamGroup { name: "hand-made".into(), policies: policies.clone(), ..IamGroup::default() };
    account.groups.insert(group.name.clone(), group);
    let operators = IamGroup {
        name: "ci-operators".into(),
        policies: set(["managed:IAMFullAccess"]),
        ..IamGroup::default()
    };
    account.groups.insert(operators.name.clone(), operators);
    let role = IamRole { name: "hand-role".into(), trust: statement, policies, ..IamRole::default() };
    account.roles.insert(role.name.clone(), role);
    for handle in handles {
        if dice.percent(60) {
            let groups = if dice.percent(20) { set(["hand-made"]) } else { BTreeSet::new() };
            account
                .users
                .insert(handle.clone(), IamUser { name: handle.clone(), groups, ..IamUser::default() });
        }
    }
    let caller = IamUser { name: CALLER.into(), groups: set(["ci-operators"]), ..IamUser::default() };
    account.users.insert(CALLER.into(), caller);
    account
}

fn repo(dice: &mut Dice, handles: &[String]) -> Repo {
    let mut repo = Repo {
        own: own(),
        removals: Cap { floor: dice.between(2, 4), percent: dice.between(10, 40) },
        leavers: Cap { floor: dice.between(1, 3), percent: 10 },
        per_run: dice.between(6, 30),
        admins_min: 2,
        waived: dice.percent(20),
        roles: BTreeMap::new(),
        groups: BTreeMap::new(),
        iam: BTreeMap::new(),
    };
    for name in ["ci-deployers", "ci-readers"] {
        let iam = Iam { policies: set(["managed:ReadOnlyAccess"]), ..Iam::default() };
        repo.iam.insert(("group", name.to_owned()), iam);
    }
    let operators = Iam { policies: set(["managed:IAMFullAccess"]), ..Iam::default() };
    repo.iam.insert(("group", "ci-operators".to_owned()), operators);
    let caller = Iam { groups: set(["ci-operators"]), ..Iam::default() };
    repo.iam.insert(("user", CALLER.to_owned()), caller);
    let write = Iam { document: Some("arn:aws:s3:::bucket/*".to_owned()), ..Iam::default() };
    repo.iam.insert(("policy", "ci-write".to_owned()), write);
    for n in 0..dice.between(1, 3) {
        let (kind, name, iam) = native(dice, n);
        repo.iam.insert((kind, name), iam);
    }
    let admins = handles.iter().take(3).cloned().collect();
    repo.groups.insert(ADMINS.to_owned(), Group { members: admins, ..Group::default() });
    let mut operators: BTreeSet<String> = dice.one(handles).cloned().into_iter().collect();
    operators.insert(CALLER.to_owned());
    repo.groups.insert("list.operators".to_owned(), Group { members: operators, ..Group::default() });
    for n in 0..dice.between(3, 5) {
        let drawn = role(dice, handles, &repo);
        repo.roles.insert(format!("r{n}"), drawn);
    }
    repo
}

/// A declared IAM thing.
pub(super) fn native(dice: &mut Dice, n: usize) -> (&'static str, String, Iam) {
    let policies = if dice.percent(50) { set(["managed:ReadOnlyAccess"]) } else { BTreeSet::new() };
    match dice.below(3) {
        0 => {
            let tags = BTreeMap::from([("team".to_owned(), format!("t{}", dice.below(3)))]);
            let groups = if dice.percent(50) { set(["ci-readers"]) } else { BTreeSet::new() };
            ("user", format!("ci-bot{n}"), Iam { policies, tags, groups, ..Iam::default() })
        }
        1 => {
            let max_session = Some(u8::try_from(dice.between(2, 5)).unwrap_or(2));
            let document = dice.percent(50).then(|| format!("arn:aws:s3:::in{}/*", dice.below(9)));
            let iam =
                Iam { policies, max_session, document, description: Some("reads".into()), ..Iam::default() };
            ("role", format!("ci-role{n}"), iam)
        }
        _ => {
            let document = Some(format!("arn:aws:s3:::b{}/*", dice.below(9)));
            ("policy", format!("ci-policy{n}"), Iam { document, ..Iam::default() })
        }
    }
}

/// A role for some of these people.
pub(super) fn role(dice: &mut Dice, handles: &[String], repo: &Repo) -> Role {
    let mut role = Role { allow_empty: dice.percent(20), ..Role::default() };
    for _ in 0..dice.between(1, 2) {
        role.members.push(entry(dice, handles, repo));
    }
    for _ in 0..dice.below(3) {
        role.okta.extend(dice.pick(&APPS).map(|name| (*name).to_owned()));
    }
    if dice.percent(50) {
        role.aws_groups.extend(dice.pick(&AWS_GROUPS[..2]).map(|name| (*name).to_owned()));
    }
    if dice.percent(30) {
        role.aws_policies.extend(dice.pick(&AWS_POLICIES).map(|name| (*name).to_owned()));
    }
    role.okta.remove("other.a");
    role
}

/// An entry for some of these people.
pub(super) fn entry(dice: &mut Dice, handles: &[String], repo: &Repo) -> Entry {
    let department = || Who::Department(DEPARTMENTS[0].to_owned());
    let who = match dice.below(10) {
        0..6 => dice.pick(&DEPARTMENTS).map(|name| Who::Department((*name).to_owned())),
        6..9 => dice.one(handles).map(|handle| Who::Handle(handle.clone())),
        _ => {
            // A role of roles refers to one that refers to none, so that there is no circle.
            let plain = |role: &Role| role.members.iter().all(|entry| !matches!(entry.who, Who::Role(_)));
            let roles = repo.roles.iter().filter(|(_, role)| plain(role)).map(|(name, _)| name.clone());
            dice.one(roles).map(Who::Role)
        }
    };
    Entry { who: who.unwrap_or_else(department), until: None }
}
