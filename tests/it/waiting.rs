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
/// would be fifty.
#[test]
fn a_group_of_ten_thousand_is_filled_in_that_time_also_by_those_who_die_twenty_times() {
    let filled = fill(
        organization(10_000, 1),
        &instance("okta", &[]),
        100,
        memberships(10_000, 1, 10_000),
        &[500; 20],
    );
    assert_eq!(filled.world.okta.groups.values().next().unwrap().members.len(), 10_000);
    assert_eq!((filled.writes, filled.throttled), (10_000, 0));
    let least = least(filled.writes, OTHERS, 100);
    println!("{:?} where {least:?} would do, {:?}", filled.took, filled.calls);
    assert!(filled.took <= least.mul_f64(1.1), "{:?} where {least:?} would do", filled.took);
}
