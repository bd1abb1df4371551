//! Lists that read as empty, and in which memory saw something: an empty answer looks just like a world in which all was
//! taken away by hand.
//!
//! What is doubted can be asked for from the other side, edge by edge; what is not refuted becomes partial coverage, and all
//! else follows from that: what rests on it waits, and memory keeps what it knew.
//! Invariant: a list is believed only if it has something, if what we did explains that it has nothing, or if nobody
//! who was asked is there. It must not ask: whoever calls it does.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Address, Coverage, Demand, DemandState, DemandedGrant, Finding, GrantKey, Guard, LiveGrant, Pattern,
    Scope, Snapshot, Value,
};

use super::EMPTY_LIST;
use super::resources::EXISTENCE;

/// How many of a list's edges are asked for at most: if none of so many is there, the list is right.
const MOST: usize = 25;

/// A list that reads as empty, and in which memory saw something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// There is nothing of a kind at one place, where there were so many.
    Kind {
        /// The place, as addresses begin.
        place: String,
        /// The kind.
        kind: String,
        /// Those that memory knew.
        known: Vec<Address>,
    },
    /// There are no edges on a thing, where there were so many.
    Edges {
        /// The thing.
        on: Address,
        /// Those to ask for, of which none may be there.
        ask: Vec<GrantKey>,
        /// How many memory knew.
        known: usize,
    },
}

/// What was said of an edge that was asked for: it is there, or not, or why that cannot be told.
pub type Answer = Result<Option<LiveGrant>, String>;

/// The lists to doubt. `done` are the targets of what we took away ourselves; things that `revert` picks are known to be
/// gone.
#[must_use]
pub fn doubts(
    live: &Snapshot,
    demand: Option<&Demand>,
    done: &BTreeSet<String>,
    revert: &[Pattern],
) -> Vec<Doubt> {
    let Some(demand) = demand.filter(|_| Guard::EmptyList.holds()) else { return Vec::new() };
    let mut doubts = kinds(live, demand, done, revert);
    // Memory keeps edges in order: those on one thing stand together.
    for on in demand.grants.chunk_by(|one, other| one.key.resource == other.key.resource) {
        doubts.extend(edges(live, on, done));
    }
    doubts
}

fn kinds(live: &Snapshot, demand: &Demand, done: &BTreeSet<String>, revert: &[Pattern]) -> Vec<Doubt> {
    let mut known: BTreeMap<(&str, &str), BTreeSet<&Address>> = BTreeMap::new();
    let things = demand.resources.iter().filter(|(_, fields)| {
        fields.get(EXISTENCE).is_some_and(|field| is_there(field.want != Value::Null, field.state))
    });
    let granted = demand.grants.iter().filter(|grant| is_there(grant.want.is_some(), grant.state));
    let mut last = None;
    for address in things.map(|(address, _)| address).chain(granted.map(|grant| &grant.key.resource)) {
        if last.replace(address) != Some(address) && !address.is_reserved() {
            known.entry((address.place(), address.kind())).or_default().insert(address);
        }
    }
    let is_gone = |address: &Address| {
        done.contains(address.as_str()) || revert.iter().any(|pattern| pattern.matches_address(address))
    };
    let mut doubts = Vec::new();
    for ((place, kind), known) in known {
        let listed = || live.resources.keys().any(|one| one.place() == place && one.kind() == kind);
        let known: Vec<Address> = known.into_iter().filter(|address| !is_gone(address)).cloned().collect();
        let Some(first) = known.first() else { continue };
        if live.coverage_of(first) == Some(&Coverage::Complete) && !listed() {
            doubts.push(Doubt::Kind { place: place.to_owned(), kind: kind.to_owned(), known });
        }
    }
    doubts
}

fn edges(live: &Snapshot, on: &[DemandedGrant], done: &BTreeSet<String>) -> Option<Doubt> {
    let first = &on.first()?.key;
    if !live.resources.contains_key(&first.resource)
        || live.coverage_of_grant(first) != Some(&Coverage::Complete)
        || !live.edges_on(&first.resource).is_empty()
    {
        return None;
    }
    let known = on.iter().filter(|grant| is_there(grant.want.is_some(), grant.state)).map(|grant| &grant.key);
    let is_gone =
        |key: &GrantKey| done.contains(key.principal.as_str()) || done.contains(key.to_string().as_str());
    let known: Vec<&GrantKey> = known.filter(|key| !is_gone(key)).collect();
    // Some from all over the list.
    let step = known.len().div_ceil(MOST).max(1);
    let ask: Vec<GrantKey> = known.iter().step_by(step).map(|key| (*key).clone()).collect();
    let on = first.resource.clone();
    (!ask.is_empty()).then_some(Doubt::Edges { on, ask, known: known.len() })
}

/// Whether memory takes something to be there: it saw it, or it was to go and did not.
fn is_there(wanted: bool, state: DemandState) -> bool {
    match state {
        DemandState::True => wanted,
        DemandState::Held | DemandState::Unfinished => !wanted,
        DemandState::Pending => false,
    }
}

/// What is still doubted once all were asked.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doubted {
    /// The scopes that count as partial, whatever another look at the same lists shows.
    pub partial: BTreeMap<Scope, Coverage>,
    /// What there is to say.
    pub findings: Vec<Finding>,
}

/// Calls partial what is still doubted, takes in what was found to be there, and says so.
pub fn settle(live: &mut Snapshot, doubts: &[Doubt], answers: &BTreeMap<GrantKey, Answer>) -> Doubted {
    let Doubted { mut partial, mut findings } = Doubted::default();
    for doubt in doubts {
        match doubt {
            Doubt::Kind { place, kind, known } => {
                let count = known.len();
                let why = format!("there is no {kind} at all in `{place}`, and the last run saw {count}");
                let scope = format!("{place}:{kind}");
                let one = format!("{scope}/");
                // What was not found in the list was taken as read with it.
                let found = live.coverage.keys().map(AsRef::as_ref).filter(|scope| scope.starts_with(&one));
                let scopes = known.iter().map(Address::as_str).chain(found).chain([scope.as_str()]);
                partial.extend(scopes.map(|scope| (scope.into(), Coverage::Partial(why.clone()))));
                let help = format!(
                    "what rests on that waits; if they were all deleted by hand, `rolecall plan --revert '{scope}/*'` makes \
                     them again"
                );
                findings.push(Finding::warning(EMPTY_LIST, why).help(help));
            }
            Doubt::Edges { on, ask, known } => {
                let answers = || ask.iter().filter_map(|key| answers.get(key));
                let there: Vec<&LiveGrant> =
                    answers().filter_map(|answer| answer.as_ref().ok()?.as_ref()).collect();
                let told = answers().filter(|answer| answer.is_ok()).count();
                let but = match (there.first(), answers().find_map(|answer| answer.as_ref().err())) {
                    (Some(edge), _) => format!("but `{}` is there", edge.key),
                    (None, Some(error)) => format!("and whether that is so could not be asked: {error}"),
                    // Nobody who was asked is there: the list is right.
                    (None, None) if told == ask.len() => continue,
                    (None, None) => "and nobody was asked whether that is so".to_owned(),
                };
                let grants = if *known == 1 { "a grant".to_owned() } else { format!("{known} grants") };
                let why = format!("reads as empty, where the last run saw {grants}, {but}");
                partial.insert(on.as_str().into(), Coverage::Partial(format!("it {why}")));
                live.grants.extend(there.into_iter().cloned());
                let why = format!("`{on}` {why}");
                let help = "nothing that rests on that list is taken away until it can be read";
                findings.push(Finding::warning(EMPTY_LIST, why).about(on).help(help));
            }
        }
    }
    live.normalize();
    live.coverage.extend(partial.clone());
    Doubted { partial, findings }
}
