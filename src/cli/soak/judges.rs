//! The judges: what must hold of every go and of every round, told from worlds and writes alone.
//!
//! Invariant: nothing here asks the planner, the gate or the executor; what was asked for is worked out by [`Repo`].

use super::docket::Judge;
use super::facts::{DOMAIN, Difference, Fact, differences, facts, is_gone};
use super::go::{Go, touches};
use super::run::{Round, Run};
use super::trouble::Network;
use crate::simulator::World;

mod execution;
mod removals;

/// Judges a go.
pub(super) fn go(run: &mut Run, round: &Round, go: &Go) {
    execution::go(run, round, go);
    removals::go(run, go);
}

/// Judges a round.
pub(super) fn round(run: &mut Run, round: &Round) {
    ended(run, round);
    nothing_lost(run, round);
    execution::round(run, round);
    removals::round(run, round);
}

/// Whether whoever a fact is about has left or is suspended, in a world.
fn is_leaver(world: &World, fact: &Fact) -> bool {
    let status = |handle: &str| world.okta.users.get(&format!("{handle}{DOMAIN}")).map(|user| user.status);
    fact.handle().and_then(status).is_some_and(is_gone)
}

/// The end is the same as without trouble.
fn ended(run: &mut Run, round: &Round) {
    let Some(twin) = &round.twin else {
        let wrong = "without trouble there is no end either".to_owned();
        run.told.docket.judge(Judge::Converged, Some(wrong));
        return;
    };
    let (here, there) = (facts(&run.site.simulator.world()), facts(&twin.world));
    let touched = |fact: &Fact| round.others.iter().any(|edit| touches(edit, fact));
    // The leavers' cap counts whom it sees: where not all could be read, some may lose theirs whom it held otherwise.
    let sees = matches!(round.trouble.network, Network::Calm | Network::Throttles(_) | Network::Lost(_));
    let let_go = |did: &Difference| !sees && did.is_removal() && is_leaver(&twin.world, &did.fact);
    // A cap counts what goes together, of what is there: what goes in two runs may be within it where one run was not.
    let capped = |fact: &Fact| round.capped.iter().chain(&twin.capped).any(|target| is_about(target, fact));
    let differ: Vec<String> = differences(&there, &here)
        .iter()
        .filter(|did| !touched(&did.fact) && !let_go(did) && !capped(&did.fact))
        .map(ToString::to_string)
        .collect();
    let wrong = (!differ.is_empty()).then(|| format!("the end is not the same: {}", differ.join(", ")));
    run.told.docket.judge(Judge::Converged, wrong);
}

/// Whether what a plan changes there is a fact, or something that hangs on it.
fn is_about(target: &str, fact: &Fact) -> bool {
    let last = |end: &str| end.rsplit('/').next().unwrap_or_default().to_owned();
    match fact {
        Fact::Edge(who, what) if target.contains(' ') => {
            [who, what].iter().all(|end| target.contains(last(end).as_str()))
        }
        _ => !target.contains(' ') && fact.things().iter().any(|thing| last(thing) == last(target)),
    }
}

/// What is asked for is there, unless it is held, and nobody's access went that is still asked for.
fn nothing_lost(run: &mut Run, round: &Round) {
    let world = run.site.simulator.world();
    let (now, live) = (run.site.now(), facts(&world));
    let (asked, wanted) = (run.repo.wants(&world, now), round.before.wants(&round.live, round.from));
    let had = facts(&round.live);
    let touched = |fact: &Fact| round.others.iter().any(|edit| touches(edit, fact));
    let held = |fact: &Fact| {
        matches!(fact, Fact::Edge(..)) && round.held.iter().any(|target| is_about(target, fact))
    };
    let missing: Vec<String> = asked
        .iter()
        .filter(|fact| !live.contains_key(*fact) && !touched(fact))
        // What somebody took away by hand is drift, and not put back by itself.
        .filter(|fact| had.contains_key(*fact) || (!wanted.contains(*fact) && !run.lost.contains(*fact)))
        .filter(|fact| !held(fact))
        .map(ToString::to_string)
        .collect();
    let wrong = (!missing.is_empty()).then(|| format!("asked for and not there: {}", missing.join(", ")));
    if !asked.is_empty() {
        run.told.docket.judge(Judge::NothingLost, wrong);
    }
}
