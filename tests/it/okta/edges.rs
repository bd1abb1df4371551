//! One membership, read from the member's side.

use std::time::Duration;

use rolecall::model::LiveGrant;
use rolecall::provider::{Error, ErrorKind};
use rolecall::simulator::Lag;

use super::*;

async fn read(okta: &dyn Provider, login: &str, group: &str) -> Result<Option<LiveGrant>, Error> {
    okta.read_grant(&member(login, group)).await
}

/// A world with many groups, and `dmurphy` in all of them.
fn crowded() -> World {
    let mut world = world();
    for n in 0..50 {
        world.okta.add_group(OktaGroup {
            name: format!("g{n:02}"),
            members: BTreeSet::from(["dmurphy@acme.com".to_owned()]),
            ..OktaGroup::default()
        });
    }
    world
}

#[tokio::test]
async fn each_edge_read_alone_is_what_was_observed() {
    let simulator = Simulator::of(crowded()).unwrap();
    let okta = simulated(&simulator).await;
    let mut groups = observed();
    groups.extend(["okta:group/g00", "okta:group/g07", "okta:group/g49"].map(address));
    let live = okta.observe(&groups).await;
    let (mut there, mut via) = (0, 0);
    for group in live.resources.keys().filter(|address| groups.contains(*address)) {
        for user in simulator.world().okta.users.keys() {
            let key = member(user, group.as_str());
            let alone = okta.read_grant(&key).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(alone.as_ref(), live.grant(&key), "{key}");
            there += usize::from(alone.is_some());
            via += usize::from(alone.is_some_and(|edge| edge.via.is_some()));
        }
    }
    assert_eq!((there, via), (13, 7));
    assert_eq!(
        read(&*okta, "nobody@acme.com", "okta:group/g00").await.unwrap(),
        None,
        "there is no such user"
    );
    assert_eq!(read(&*okta, "klibby@acme.com", "okta:group/none").await.unwrap(), None, "nor such a group");
}

#[tokio::test]
async fn an_apps_group_is_told_from_one_of_the_same_name() {
    let simulator = Simulator::of(world()).unwrap();
    let okta = simulated(&simulator).await;
    let live = okta.observe(&observed()).await;
    let app =
        live.resources.keys().find(|address| address.name().starts_with("app.gitlab [")).unwrap().clone();
    assert!(read(&*okta, "klibby@acme.com", app.as_str()).await.unwrap().unwrap().via.is_some());
    assert_eq!(read(&*okta, "out@acme.com", app.as_str()).await.unwrap(), None);
    assert_eq!(read(&*okta, "klibby@acme.com", "okta:group/app.gitlab").await.unwrap().unwrap().via, None);
    let edited = simulator.edit(|world| {
        world.okta.groups.values_mut().for_each(|group| {
            if group.kind == GroupType::OktaGroup {
                group.members.remove("klibby@acme.com");
            }
        });
    });
    edited.unwrap();
    assert_eq!(read(&*okta, "klibby@acme.com", "okta:group/app.gitlab").await.unwrap(), None);
}

#[tokio::test]
async fn one_edge_of_a_large_group_costs_one_call() {
    let mut large = world();
    large.page_size = 200;
    for n in 0..1000 {
        let login = format!("p{n}@acme.com");
        large.okta.add_user(OktaUser { login: login.clone(), ..OktaUser::default() });
        large.okta.group_named("empty").unwrap().members.insert(login);
    }
    let simulator = Simulator::of(large).unwrap();
    let okta = simulated(&simulator).await;
    okta.observe(&observed()).await;
    let before = okta.calls();
    assert!(read(&*okta, "p7@acme.com", "okta:group/empty").await.unwrap().is_some());
    assert_eq!(read(&*okta, "dmurphy@acme.com", "okta:group/empty").await.unwrap(), None);
    assert_eq!(okta.calls() - before, 2, "{:?}", simulator.calls());
}

/// A list that is empty by mistake proves nothing: everybody is at least in `Everyone`, whether or not the file of the
/// world has it.
#[tokio::test]
async fn invariant_11_an_empty_list_of_groups_is_no_proof() {
    for listed in [true, false] {
        let mut world = world();
        if !listed {
            world.okta.groups.retain(|_, group| group.kind != GroupType::BuiltIn);
        }
        let simulator = Simulator::of(world).unwrap();
        let okta = simulated(&simulator).await;
        let empty = |times| {
            let action = "GET /users/{id}/groups".into();
            simulator.faults().plan(Planned { action, skip: 0, times, fault: Fault::EmptyList });
        };
        empty(1);
        let error = read(&*okta, "klibby@acme.com", "okta:group/app.gitlab").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        // Who has left is not in `Everyone`; then the group is asked.
        empty(1);
        assert!(read(&*okta, "gone@acme.com", "okta:group/app.gitlab").await.unwrap().is_some());
        assert_eq!(read(&*okta, "gone@acme.com", "okta:group/empty").await.unwrap(), None);
    }
}

#[tokio::test]
async fn invariant_11_an_edge_that_cannot_be_read_is_an_error() {
    for fault in [Fault::Denied, Fault::Status(500), Fault::Html(502), Fault::ResetBefore, Fault::Truncated] {
        for skip in [0, 1] {
            let simulator = Simulator::of(crowded()).unwrap();
            let action = "GET /users/{id}/groups".into();
            simulator.faults().plan(Planned { action, skip, times: 100, fault });
            let okta = simulated(&simulator).await;
            assert!(read(&*okta, "dmurphy@acme.com", "okta:group/empty").await.is_err(), "{fault:?} {skip}");
        }
    }
}

/// Where the rules cannot be read, a member may be a rule's, and nobody should take him out.
#[tokio::test]
async fn a_member_whom_an_unread_rule_may_have_put_in_is_told() {
    let simulator = Simulator::of(world()).unwrap();
    let action = "GET /groups/rules".into();
    simulator.faults().plan(Planned { action, skip: 0, times: 100, fault: Fault::Denied });
    let okta = simulated(&simulator).await;
    let edge = read(&*okta, "klibby@acme.com", "okta:group/app.gitlab").await.unwrap().unwrap();
    assert!(edge.via.unwrap().starts_with("a group rule, perhaps"));
    assert_eq!(read(&*okta, "klibby@acme.com", "okta:group/sales").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_just_written_shows_as_late_as_in_lists() {
    let simulator = Simulator::of(world()).unwrap();
    let okta = simulated(&simulator).await;
    let live = okta.observe(&observed()).await;
    simulator.faults().lag(Lag { okta: 10, ..Lag::default() });
    let key = member("klibby@acme.com", "okta:group/empty");
    let joined = grant(&key);
    okta.writer(&permit([joined.effect.clone()].into()), &live).write(&joined).await.unwrap();
    assert_eq!(okta.read_grant(&key).await.unwrap(), None);
    simulator.clock().drive(simulator.clock().sleep(Duration::from_secs(11))).await;
    assert!(okta.read_grant(&key).await.unwrap().is_some());
}
