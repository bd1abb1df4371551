//! How long many small writes take, in virtual time: what the vendors' limits allow, and hardly more.

use std::time::Duration;

use crate::filling::{fill, instance, least, memberships, organization};

/// What Okta allows of memberships and all else that has no limit of its own, a minute.
const OTHERS: u64 = 1200;

#[test]
fn a_group_is_filled_in_the_time_that_the_limits_allow() {
    let filled = fill(organization(2000, 1), &instance("okta", &[]), 100, memberships(2000, 1, 2000), &[]);
    assert_eq!((filled.writes, filled.calls["PUT /groups/{id}/users/{id}"]), (2000, 2000));
    assert_eq!(filled.world.okta.groups.values().next().unwrap().members.len(), 2000);
    assert_eq!(filled.throttled, 0);
    let least = least(filled.writes, OTHERS, 100);
    assert!(filled.took <= least.mul_f64(1.1), "{:?} where {least:?} would do", filled.took);
}

#[test]
fn a_group_is_filled_in_that_time_also_by_those_who_die_on_the_way() {
    let lives = [1, 150, 700, 40, 200];
    let filled = fill(organization(2000, 1), &instance("okta", &[]), 100, memberships(2000, 1, 2000), &lives);
    assert_eq!(filled.world.okta.groups.values().next().unwrap().members.len(), 2000);
    // At each death some calls were under way whose end nobody heard. What they did is looked at, not done again.
    assert_eq!(filled.writes, 2000);
    let least = least(filled.writes, OTHERS, 100);
    assert!(filled.took <= least.mul_f64(1.1), "{:?} where {least:?} would do", filled.took);
}

#[test]
fn what_a_dead_run_began_holds_up_nothing_else() {
    let lives = [1, 150, 700, 40, 500, 300];
    let filled = fill(organization(2000, 1), &instance("okta", &[]), 100, memberships(2000, 1, 2000), &lives);
    assert_eq!(filled.writes, 2000);
    // What was under way at the last death may be on its way to be seen for so long; at the others the rest goes on.
    let lag = Duration::from_secs(15);
    let least = least(filled.writes, OTHERS, 100);
    println!("{:?} {:?}", filled.took, filled.calls);
    assert!(filled.took <= least.mul_f64(1.1) + lag, "{:?} where {least:?} would do", filled.took);
}

#[test]
fn half_a_budget_takes_twice_as_long() {
    let half = instance("okta", &[("budget", "50%")]);
    let filled = fill(organization(1000, 10), &half, 100, memberships(1000, 10, 200), &[]);
    assert_eq!(filled.throttled, 0);
    let least = least(filled.writes, OTHERS / 2, 100);
    assert!(filled.took >= least && filled.took <= least.mul_f64(1.1), "{:?} where {least:?}", filled.took);
}

/// Looking at what was under way at each death costs calls too. Asked for one by one they are few; each list of the members
/// would be more than thirty. The bench `waiting` does the same with 10,000 and twenty deaths.
#[test]
fn who_dies_while_a_large_group_is_filled_does_not_read_all_of_it_for_what_was_under_way() {
    let (people, more, deaths) = (7700, 1700, 4);
    let mut world = organization(people, 1);
    let members = (more..people).map(|n| format!("p{n}@acme.com"));
    world.okta.group_named("g0").unwrap().members.extend(members);
    let filled = fill(world, &instance("okta", &[]), 100, memberships(people, 1, more), &[250; 4]);
    assert_eq!(filled.world.okta.groups.values().next().unwrap().members.len(), people);
    assert_eq!((filled.writes, filled.throttled), (more as u64, 0));
    // Groups are listed where a life begins, and would be where their members are read once more.
    assert_eq!(filled.calls["GET /groups"], deaths + 1, "{:?}", filled.calls);
    let alone = filled.calls["GET /users/{id}/groups"];
    assert!((1..=20 * deaths).contains(&alone), "{:?}", filled.calls);
    // Each life reads the group once, and its rules.
    let reads = (deaths + 1) * (people as u64 / 200 + 1);
    let least = least(filled.writes + reads, OTHERS, 100);
    assert!(filled.took <= least.mul_f64(1.1), "{:?} where {least:?} would do", filled.took);
}
