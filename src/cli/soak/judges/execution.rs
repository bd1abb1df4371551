//! Judges of how an approved plan is carried out: 9, 10, 21, 23 to 25, 27 to 29, and that nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};

use super::super::docket::Judge;
use super::super::facts::{Fact, okta_group};
use super::super::go::{Go, Write};
use super::super::repo::{Repo, at_work};
use super::super::run::{Round, Run};
use super::super::trouble::{Event, Network, Trouble};
use crate::model::Guard;

pub(super) fn go(run: &mut Run, round: &Round, go: &Go) {
    approved(run, round, go);
    nothing_twice(run, go);
    order(run, go);
    lock(run, go);
    if let Some(before) = round.goes.last()
        && go.resumes
    {
        resumed(run, before, go);
    }
}

/// Nothing is written where something was not approved, the plan is too old, or the values have moved.
fn approved(run: &mut Run, round: &Round, go: &Go) {
    if !round.goes.is_empty() {
        return;
    }
    let wrote = |what: &str| {
        let actions: Vec<&str> = go.writes.iter().map(|write| write.action.as_str()).collect();
        (!actions.is_empty()).then(|| format!("{what}, and it wrote {}", actions.join(", ")))
    };
    match go.trouble.as_ref().and_then(|trouble| trouble.event) {
        Some(Event::Unapproved) => {
            let network = go.trouble.as_ref().map(|trouble| &trouble.network);
            let sees = matches!(network, Some(Network::Calm | Network::Throttles(_) | Network::Lag { .. }));
            let edge = round.unapproved.as_ref();
            // What base asks for too was approved with the rule that asks for it.
            let by_rule =
                |base: &Repo| edge.is_some_and(|edge| base.wants(&go.world, go.from).contains(edge));
            if go.base.as_ref().is_some_and(by_rule) {
                return;
            }
            let made = go.writes.iter().flat_map(|write| &write.did).find(|did| Some(&did.fact) == edge);
            // Where not all can be seen, what was not approved may not be seen to be wanted.
            let wrong = match made {
                None if sees => wrote("a change was not approved"),
                None => None,
                Some(made) => Some(format!("{made}, which was not approved")),
            };
            run.told.docket.guard(Guard::Approved, wrong);
        }
        Some(Event::Aged) => run.told.docket.guard(Guard::TimeToLive, wrote("the plan is too old")),
        Some(Event::Moved) => {
            let Some(name) = &round.moved else { return };
            let field = Fact::Field(okta_group(name), "description".into());
            let wrote = go.writes.iter().flat_map(|write| &write.did).any(|did| did.fact == field);
            let wrong = wrote.then(|| format!("the {field} had moved, and was written"));
            run.told.docket.guard(Guard::Approved, wrong);
        }
        _ => {}
    }
}

/// Nothing is made twice, and no write changes nothing.
fn nothing_twice(run: &mut Run, go: &Go) {
    if go.writes.is_empty() {
        return;
    }
    let mut made: BTreeSet<&Fact> = BTreeSet::new();
    let mut twice = Vec::new();
    for did in go.writes.iter().flat_map(|write| &write.did) {
        let is_edge = !matches!(did.fact, Fact::Field(..));
        if is_edge && did.is_new() && !made.insert(&did.fact) && !go.touched(&did.fact) {
            twice.push(format!("{} was made twice", did.fact));
        }
    }
    let doubled =
        go.after.keys().filter(|fact| matches!(fact, Fact::Thing(thing) if thing.ends_with(" twice")));
    twice.extend(doubled.map(ToString::to_string));
    run.told.docket.judge(Judge::NothingTwice, (!twice.is_empty()).then(|| twice.join(", ")));

    // Whoever reads what is behind or only in part, or meets others, may give what is there already.
    let trouble = go.trouble.as_ref();
    let sees = |trouble: &Trouble| {
        matches!(trouble.network, Network::Calm | Network::Throttles(_) | Network::Lost(_))
    };
    if !trouble.is_none_or(sees) || !go.others.is_empty() || go.second.is_some() {
        return;
    }
    let idle = |write: &&Write| !write.changed;
    let wrong = |write: &Write| format!("{} changed nothing", write.action);
    match trouble.map(|trouble| &trouble.network) {
        // A list that could not be read to its end leaves it open who is in it, and giving that again is no mistake. To send
        // once more what was done is.
        Some(Network::Lost(_)) => {
            let mut done = BTreeSet::new();
            let sent = go.writes.iter().map(|write| (write, done.insert(&write.sent)));
            let again =
                sent.filter(|(write, is_new)| !is_new && !write.changed).map(|(write, _)| wrong(write));
            let again = again.min();
            run.told.docket.guard(Guard::ReadUnknown, again);
        }
        // What is true already is not written, in this apply as in the next.
        _ => run.told.docket.guard(Guard::Idempotent, go.writes.iter().find(idle).map(wrong)),
    }
}

/// Whoever moves has the new before he loses the old.
fn order(run: &mut Run, go: &Go) {
    let quiet = |trouble: &Trouble| {
        matches!(trouble.network, Network::Calm | Network::Throttles(_)) && trouble.event.is_none()
    };
    if go.resumes || !go.trouble.as_ref().is_none_or(quiet) {
        return;
    }
    // What somebody had by his department, and has by another now.
    let (asked, now) = (go.repo.wants(&go.world, go.from), go.repo.wants(&go.end, go.until));
    let mut given: BTreeMap<&str, usize> = BTreeMap::new();
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, write) in go.writes.iter().enumerate() {
        for did in
            write.did.iter().filter(|did| matches!(&did.fact, Fact::Edge(_, what) if what.contains("rbac_")))
        {
            let Some(handle) = did.fact.handle().filter(|handle| at_work(&go.world, handle)) else {
                continue;
            };
            if did.is_new() && asked.contains(&did.fact) {
                given.insert(handle, at);
            } else if did.is_removal() && run.moved.contains(handle) && !now.contains(&did.fact) {
                taken.entry(handle).or_insert(at);
            }
        }
    }
    for (handle, first) in taken {
        let Some(last) = given.get(handle) else { continue };
        let wrong = (first < *last).then(|| format!("{handle} lost something before he got the rest"));
        run.told.docket.guard(Guard::Order, wrong);
    }
}

/// While one runs, another is refused.
fn lock(run: &mut Run, go: &Go) {
    let Some((second, overlap)) = &go.second else { return };
    let wrong = overlap.then(|| format!("two ran at once: {}; {}", go.ended.words(), second.words()));
    run.told.docket.guard(Guard::Lock, wrong);
}

/// What was cut off goes on from what is live, in one go.
fn resumed(run: &mut Run, before: &Go, go: &Go) {
    let Some(trouble) = &before.trouble else { return };
    let cut = trouble.death.is_some() && trouble.network == Network::Calm && trouble.event.is_none();
    if !cut || !go.is_calm() || before.ended.converged() || before.writes.is_empty() || go.ended.is_stale() {
        return;
    }
    let wrong = (!go.ended.converged()).then(|| format!("it went on, and {}", go.ended.words()));
    run.told.docket.guard(Guard::Resume, wrong);
}

pub(super) fn round(run: &mut Run, round: &Round) {
    let Some(first) = round.goes.first() else { return };
    if first.writes.is_empty() || round.twin.as_ref().is_none_or(|twin| twin.goes > 1) {
        return;
    }
    let wrong = (!first.ended.converged()).then(|| first.ended.words());
    match &round.trouble.network {
        Network::Lag { .. } if round.trouble.is_only(true) => run.told.docket.guard(Guard::Lag, wrong),
        Network::Throttles(_) if round.trouble.is_only(true) => {
            run.told.docket.guard(Guard::Throttle, wrong);
        }
        _ => {}
    }
}
