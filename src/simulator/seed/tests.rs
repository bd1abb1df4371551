//! What was observed is observed again in the world that is made of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::model::settings::ProviderSettings;
use crate::model::span::Entry;
use crate::model::{Node, ProviderScope, Span, Spanned};
use crate::provider::{Caller, Inventoried, Provider};
use crate::providers::{Wiring, open};
use crate::simulator::Simulator;

mod google;

const EXAMPLE: &str = include_str!("../world/example.yaml");
const ACME: &str = include_str!("../../../examples/acme/world.yaml");

/// Everything that a provider shows.
#[derive(Debug, PartialEq)]
struct Shown {
    callers: Vec<Caller>,
    people: Inventoried,
    live: Snapshot,
}

fn node(entries: &[(&str, &str)]) -> Node {
    let text =
        |value: &str| Node { value: NodeValue::Text(value.to_owned()), span: Span::file("rolecall.yaml") };
    let entry = |(key, value): &(&str, &str)| Entry {
        key: Spanned { value: (*key).to_owned(), span: Span::file("rolecall.yaml") },
        value: text(value),
    };
    Node { value: NodeValue::Map(entries.iter().map(entry).collect()), span: Span::file("rolecall.yaml") }
}

/// An instance, its provider, and its options.
type Instance<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn settings(instances: &[Instance<'_>]) -> BTreeMap<Name, ProviderSettings> {
    let one = |(instance, provider, options): &Instance<'_>| {
        let settings = ProviderSettings {
            instance: (*instance).into(),
            provider: (*provider).into(),
            options: node(options),
            scope: ProviderScope::default(),
        };
        (Name::from(*instance), settings)
    };
    instances.iter().map(one).collect()
}

/// Looks at a world with the providers' own code, closely where the sweep does not show what hangs on a thing.
async fn look(simulator: &Simulator, providers: &BTreeMap<Name, ProviderSettings>) -> Shown {
    let mut shown = Shown { callers: Vec::new(), people: Inventoried::default(), live: Snapshot::default() };
    for settings in providers.values() {
        let wiring = Wiring {
            transport: Some(Arc::new(simulator.clone())),
            clock: simulator.clock(),
            credentials: Arc::new(|_| None),
        };
        let provider: Box<dyn Provider> = open(settings, &wiring).await.unwrap();
        shown.callers.push(provider.identity().await.unwrap());
        let Inventoried { records, accounts, incomplete } = provider.inventory().await;
        shown.people.records.extend(records);
        shown.people.accounts.extend(accounts);
        shown.people.incomplete.extend(incomplete);
        let things = provider.observe(&BTreeSet::new()).await;
        let groups = things.resources.keys().filter(|address| address.kind() == "group").cloned();
        let mut live = provider.observe(&groups.collect()).await;
        let users: Vec<Address> = things.resources.keys().filter(|a| a.kind() == "user").cloned().collect();
        for user in users {
            live.merge(provider.read(&user).await.unwrap());
        }
        live.calls.clear();
        shown.live.merge(live);
    }
    shown
}

fn seeded(shown: &Shown, providers: &BTreeMap<Name, ProviderSettings>) -> Result<World, WorldError> {
    let callers: Vec<Address> = shown.callers.iter().filter_map(|caller| caller.principal.clone()).collect();
    seed(&Seen {
        now: "2026-11-22T17:00:00Z".parse().unwrap(),
        live: &shown.live,
        records: &shown.people.records,
        accounts: &shown.people.accounts,
        callers: &callers,
        providers,
    })
}

/// What is shown of a world and of what is seeded from it; the same, unless seeding is broken.
async fn there_and_back(world: &str, providers: &BTreeMap<Name, ProviderSettings>) -> (Shown, World) {
    let mut world = World::parse(world).unwrap();
    world.faults = crate::simulator::WorldFaults::default();
    let live = Simulator::of(world).unwrap();
    let shown = look(&live, providers).await;
    let world = seeded(&shown, providers).unwrap();
    let again = look(&Simulator::of(world.clone()).unwrap(), providers).await;
    for (address, resource) in &shown.live.resources {
        assert_eq!(again.live.resources.get(address), Some(resource), "{address}");
    }
    assert_eq!(again, shown);
    (shown, world)
}

#[tokio::test]
async fn the_documented_world_is_seen_again_as_it_was() {
    let providers = settings(&[("okta", "okta", &[]), ("aws", "aws", &[("account", "222222222222")])]);
    let (shown, world) = there_and_back(EXAMPLE, &providers).await;
    // Each of these would be missing if what holds it were left out.
    let user = &shown.live.resources[&"aws/222222222222:user/ci-deployer".parse::<Address>().unwrap()];
    assert_eq!(user.dependents.len(), 3);
    assert!(shown.live.grants.iter().any(|grant| grant.via.is_some()));
    assert!(shown.live.grants.len() > 6 && shown.live.resources.len() > 8);
    assert_eq!(world.okta.token_owner, "svc_rolecall@acme.com");
    assert_eq!(world.aws.caller, "arn:aws:iam::222222222222:user/rolecall");
}

#[tokio::test]
async fn the_example_organization_is_seen_again_as_it_was() {
    let account = World::parse(ACME).unwrap().aws.accounts.into_keys().next().unwrap();
    let providers = settings(&[("okta", "okta", &[]), ("aws", "aws", &[("account", &account)])]);
    let (shown, _) = there_and_back(ACME, &providers).await;
    assert!(shown.people.records.len() > 30 && shown.live.grants.len() > 100);
}

#[tokio::test]
async fn groups_of_every_sort_and_people_in_every_state_are_seen_again() {
    let world = "
now: 2026-11-22T17:00:00Z
page_size: 2
okta:
  users:
    - { login: svc@acme.com }
    - { login: Mixed.Case@acme.com, profile: { level: 3, remote: true, email: other@acme.com } }
    - { login: new@acme.com, status: PROVISIONED }
    - { login: staged@acme.com, status: STAGED }
    - { login: locked@acme.com, status: LOCKED_OUT }
    - { login: out@acme.com, status: SUSPENDED }
    - { login: gone@acme.com, status: DEPROVISIONED }
  token_owner: svc@acme.com
  groups:
    - { name: Everyone, type: BUILT_IN }
    - { name: twice, description: ours, members: [out@acme.com, gone@acme.com] }
    - { name: twice, type: APP_GROUP, members: [new@acme.com] }
    - { name: of an app, type: APP_GROUP, members: [Mixed.Case@acme.com] }
    - { name: sales/emea & more, members: [gone@acme.com, staged@acme.com] }
    - { name: empty }
  rules:
    - { name: 'people, all of them', groups: [sales/emea & more, empty], members: [locked@acme.com], except: [staged@acme.com] }
    - { name: other, groups: [sales/emea & more], members: [new@acme.com], except: [staged@acme.com] }
";
    let providers = settings(&[("okta", "okta", &[])]);
    let (_, world) = there_and_back(world, &providers).await;
    assert_eq!(world.okta.rules.len(), 2);
}

#[tokio::test]
async fn roles_that_nobody_sees_can_be_entered_and_others_not() {
    let text = |open: &str| {
        format!(
            "now: 2026-11-22T17:00:00Z\naws:\n  open_roles: [{open}]\n  accounts:\n    \"111111111111\": {{}}\n    \"222222222222\": {{ users: [{{ name: ci, path: /x/ }}] }}\n"
        )
    };
    let role = "arn:aws:iam::222222222222:role/OrganizationAccountAccessRole";
    let providers = settings(&[
        ("main", "aws", &[("account", "111111111111")]),
        ("member", "aws", &[("account", "222222222222"), ("role", role)]),
    ]);
    let (shown, world) = there_and_back(&text(role), &providers).await;
    assert_eq!(world.aws.open_roles, BTreeSet::from([role.to_owned()]));
    assert_eq!(shown.callers[1].principal.as_ref().unwrap().name(), "OrganizationAccountAccessRole");

    let closed = Simulator::of(World::parse(&text("")).unwrap()).unwrap();
    let wiring = Wiring {
        transport: Some(Arc::new(closed.clone())),
        clock: closed.clock(),
        credentials: Arc::new(|_| None),
    };
    let refused = open(&providers["member"], &wiring).await.unwrap().identity().await.unwrap_err();
    assert!(refused.to_string().contains("AssumeRole"), "{refused}");
}

#[test]
fn the_simulator_has_one_okta_organization() {
    let shown = Shown { callers: Vec::new(), people: Inventoried::default(), live: Snapshot::default() };
    let two = settings(&[("okta", "okta", &[]), ("subsidiary", "okta", &[])]);
    let error = seeded(&shown, &two).unwrap_err();
    assert!(error.message.contains("`okta` and `subsidiary`"), "{}", error.message);
}

#[test]
fn edges_whose_other_end_was_not_seen_are_left_out() {
    let mut live = Snapshot::default();
    let address = |text: &str| text.parse::<Address>().unwrap();
    live.resources.insert(address("aws/222222222222:user/ci"), Resource::default());
    for (relation, resource) in [
        ("attached", "aws/222222222222:policy/x"),
        ("member", "aws/222222222222:group/g"),
        ("attached", "managed:job-function/Billing"),
    ] {
        let key =
            crate::model::GrantKey::new(&address("aws/222222222222:user/ci"), relation, &address(resource));
        live.grants.push(LiveGrant { key, attributes: Default::default(), via: None });
    }
    let providers = settings(&[("aws", "aws", &[("account", "222222222222")])]);
    let account =
        Account { instance: "aws".into(), id: "222222222222".into(), name: "ci".into(), path: String::new() };
    let people = Inventoried { accounts: vec![account], ..Inventoried::default() };
    let world = seeded(&Shown { callers: Vec::new(), people, live }, &providers).unwrap();
    let user = &world.aws.accounts["222222222222"].users["ci"];
    assert_eq!(user.policies, BTreeSet::from(["managed:job-function/Billing".to_owned()]));
    assert!(user.groups.is_empty());
    Simulator::of(world).unwrap();
}
