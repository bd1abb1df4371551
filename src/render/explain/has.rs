//! All that one person has, or that is had of one role or thing.
//!
//! Invariant: a person's access is told by role, that of a role or thing by reason, so that a thousand people are a few
//! lines. It must not fold reasons, only names.

use std::collections::BTreeMap;

use super::{Told, lapse, name, place, state, what, who};
use crate::model::explanation::{Edge, Has, Holding, RoleFacts, Then};
use crate::model::{Origin, Person, Sensitivity, Span};
use crate::render::page::Ink;
use crate::render::words::{Line, Piece, count, literal, words};

pub(super) fn told(has: &Has, at: jiff::Timestamp, told: &mut Told<'_>) {
    let mut title = vec![literal(has.about.to_string())];
    match (&has.person, &has.role) {
        (Some(person), _) => title.push(words(format!(": {}", facts(person)))),
        (None, Some(RoleFacts { description: Some(text), .. })) => title.push(words(format!(": {text}"))),
        _ => {}
    }
    told.title(title, Ink::Strong);
    if let Some(then) = &has.then {
        let (at, now) = (told.time(at), told.time(then.now));
        told.item(1, vec![words(format!("as it will be at {at}; it is {now}"))]);
    }
    if let Some(person) = &has.person {
        attributes(person, told);
    }
    if let Some(role) = &has.role {
        role_facts(role, told);
    }
    if has.roles.is_empty() && has.edges.is_empty() {
        let text = match (has.about.instance(), &has.role) {
            ("person", _) => "has nothing, and nothing is asked for",
            (_, Some(_)) => "nobody has it",
            _ => "nobody has it, and nobody is asked to",
        };
        told.item(1, vec![words(text)]);
    }
    match has.about.instance() {
        "person" => of_person(has, told),
        "role" => of_role(has, told),
        _ => of_thing(has, told),
    }
    if let Some(then) = &has.then {
        changes(then, has.about.instance() == "person", told);
    }
}

fn facts(person: &Person) -> String {
    let mut facts: Vec<String> = person.name.iter().map(ToString::to_string).collect();
    facts.extend(person.kind.iter().map(ToString::to_string));
    facts.push(person.status.to_string());
    facts.extend(person.manager.iter().map(|manager| format!("reports to {manager}")));
    facts.join(", ")
}

fn attributes(person: &Person, told: &mut Told<'_>) {
    let known: Vec<String> = person.attributes.iter().map(|(key, value)| format!("{key} {value}")).collect();
    if !known.is_empty() {
        told.item(1, vec![words(known.join(", "))]);
    }
}

fn role_facts(role: &RoleFacts, told: &mut Told<'_>) {
    let line = Span { column: 0, ..role.span.clone() };
    let mut line = vec![words("stands in "), Piece::Place(line.to_string())];
    let sensitivity = match role.sensitivity {
        Sensitivity::Low => "low",
        Sensitivity::Medium => "medium",
        Sensitivity::High => "high",
    };
    line.push(words(format!(", sensitivity {sensitivity}, ")));
    match role.owners.as_slice() {
        [] => line.push(words("and nobody owns it")),
        owners => line.push(words(format!("owned by {}", owners.join(", ")))),
    }
    told.item(1, line);
    if let Some(why) = &role.frozen {
        told.item(1, crate::render::words::prose(why));
    }
    if !role.gives.is_empty() {
        told.section("gives");
        for gives in &role.gives {
            let relation = crate::render::words::relation(&gives.relation, true);
            let mut line = vec![words(format!("{relation} ")), literal(gives.resource.to_string())];
            place(&mut line, &gives.span);
            told.item(1, line);
        }
    }
}

fn of_person(has: &Has, told: &mut Told<'_>) {
    let held: Vec<&Holding> = has.roles.iter().filter(|role| role.lapse.is_none()).collect();
    if !held.is_empty() {
        told.section(format!("has {}", count(held.len(), "role", "roles")));
    }
    for holding in held {
        let mut line = vec![literal(holding.role.to_string())];
        place(&mut line, &holding.span);
        line.push(words(told.until(holding.until)));
        told.item(1, line);
        told.because(2, &holding.because);
        let given = |edge: &&Edge| {
            edge.wanted && edge.because.iter().any(|origin| origin.role.as_ref() == Some(&holding.role))
        };
        let given: Vec<&Edge> = has.edges.iter().filter(given).collect();
        told.on(2, "so ", &given);
    }
    let beside = |edge: &&Edge| edge.wanted && edge.because.iter().any(|origin| origin.role.is_none());
    let beside: Vec<&Edge> = has.edges.iter().filter(beside).collect();
    if !beside.is_empty() {
        told.section("has, whatever roles say");
    }
    for edge in beside {
        let mut line = on(edge, "");
        line.push(words(told.until(edge.until)));
        told.item(1, line);
        let origins: Vec<Origin> =
            edge.because.iter().filter(|origin| origin.role.is_none()).cloned().collect();
        told.because(2, &origins);
    }
    let lost: Vec<&Holding> = has.roles.iter().filter(|role| role.lapse.is_some()).collect();
    let known = |edge: &Edge| {
        edge.because.iter().any(|origin| lost.iter().any(|one| Some(&one.role) == origin.role.as_ref()))
    };
    let lapsed: Vec<&Edge> = has.edges.iter().filter(|edge| edge.lapse.is_some()).collect();
    if !lost.is_empty() || lapsed.iter().any(|edge| !known(edge)) {
        told.section("does not have, though it is mentioned");
    }
    for holding in &lost {
        let mut line = vec![literal(holding.role.to_string())];
        place(&mut line, &holding.span);
        line.push(words(holding.lapse.map(|cause| format!(": {}", lapse(cause))).unwrap_or_default()));
        told.item(1, line);
        told.because(2, &holding.because);
        let of = |origin: &Origin| origin.role.as_ref() == Some(&holding.role);
        let there = |edge: &&&Edge| edge.live == Some(true) && edge.because.iter().any(of);
        let there: Vec<&Edge> = lapsed.iter().filter(there).copied().collect();
        told.on(2, "", &there);
    }
    for edge in lapsed.into_iter().filter(|edge| !known(edge)) {
        let mut line = on(edge, "");
        line.push(words(edge.lapse.map(|cause| format!(": {}", lapse(cause))).unwrap_or_default()));
        told.item(1, line);
        told.because(2, &edge.because);
    }
    unasked(has, told, true);
}

/// What an edge is on, and how it stands.
fn on(edge: &Edge, lead: &str) -> Line {
    let (relation, thing) = what(edge);
    vec![words(format!("{lead}{relation} ")), literal(thing), words(state(edge))]
}

fn of_role(has: &Has, told: &mut Told<'_>) {
    let names = |holding: &Holding| name(&holding.person);
    by_reason(&has.roles, |one| one.lapse.is_none(), names, told);
    by_reason(&has.roles, |one| one.lapse.is_some(), names, told);
    let missing: Vec<&Edge> =
        has.edges.iter().filter(|edge| edge.wanted && edge.live == Some(false)).collect();
    if !missing.is_empty() {
        told.section("asked for, and not there yet");
        told.by_thing(1, &missing);
    }
    let still: Vec<&Edge> =
        has.edges.iter().filter(|edge| edge.lapse.is_some() && edge.live == Some(true)).collect();
    if !still.is_empty() {
        told.section("still there");
        told.by_thing(1, &still);
    }
    unasked(has, told, false);
}

/// People who have a role, or do not, by the reason.
fn by_reason(
    holdings: &[Holding],
    pick: impl Fn(&Holding) -> bool,
    names: impl Fn(&Holding) -> String,
    told: &mut Told<'_>,
) {
    let mut reasons: Vec<(&Holding, Vec<String>)> = Vec::new();
    for holding in holdings.iter().filter(|holding| pick(holding)) {
        let alike = |other: &Holding| {
            (&other.because, other.until, other.lapse) == (&holding.because, holding.until, holding.lapse)
        };
        match reasons.iter_mut().find(|(other, _)| alike(other)) {
            Some((_, people)) => people.push(names(holding)),
            None => reasons.push((holding, vec![names(holding)])),
        }
    }
    let Some((first, _)) = reasons.first() else { return };
    let people: usize = reasons.iter().map(|(_, people)| people.len()).sum();
    told.section(match first.lapse {
        None => format!("{} it", count(people, "person has", "people have")),
        Some(_) => "mentioned, and without it".to_owned(),
    });
    for (holding, people) in reasons {
        let mut line = people_of(people, told);
        line.push(words(told.until(holding.until)));
        line.push(words(holding.lapse.map(|cause| format!(": {}", lapse(cause))).unwrap_or_default()));
        told.item(1, line);
        told.because(2, &holding.because);
    }
}

/// `5 of them: a, b, c`.
fn people_of(names: Vec<String>, told: &Told<'_>) -> Line {
    let mut line = Line::new();
    if names.len() > 1 {
        line.push(words(format!("{}: ", count(names.len(), "", "").trim())));
    }
    line.extend(told.names(names));
    line
}

fn of_thing(has: &Has, told: &mut Told<'_>) {
    let mine = |edge: &&Edge| edge.key.principal != has.about;
    let wanted: Vec<&Edge> = has.edges.iter().filter(mine).filter(|edge| edge.wanted).collect();
    if !wanted.is_empty() {
        told.section(format!("{} it", count(wanted.len(), "has", "have")));
        edges_by_reason(&wanted, told);
    }
    let lapsed: Vec<&Edge> = has.edges.iter().filter(mine).filter(|edge| edge.lapse.is_some()).collect();
    if !lapsed.is_empty() {
        told.section("mentioned, and without it");
        edges_by_reason(&lapsed, told);
    }
    unasked(has, told, false);
    let own: Vec<&Edge> = has.edges.iter().filter(|edge| !mine(edge)).collect();
    if !own.is_empty() {
        told.section("has itself");
    }
    for edge in own {
        told.item(1, on(edge, ""));
        told.because(2, &edge.because);
    }
}

fn edges_by_reason(edges: &[&Edge], told: &mut Told<'_>) {
    let mut reasons: Vec<(&Edge, Vec<String>)> = Vec::new();
    for edge in edges {
        let of = |edge: &Edge| (edge.until, state(edge), edge.lapse, edge.key.relation.clone());
        let alike = |other: &Edge| other.because == edge.because && of(other) == of(edge);
        match reasons.iter_mut().find(|(other, _)| alike(other)) {
            Some((_, names)) => names.push(who(edge)),
            None => reasons.push((edge, vec![who(edge)])),
        }
    }
    for (edge, names) in reasons {
        let mut line = people_of(names, told);
        line.push(words(told.until(edge.until)));
        line.push(words(edge.lapse.map(|cause| format!(": {}", lapse(cause))).unwrap_or_default()));
        line.push(words(state(edge)));
        told.item(1, line);
        told.because(2, &edge.because);
    }
}

/// What is there and nobody asks for: what somebody did by hand first, then what the provider does by itself.
fn unasked(has: &Has, told: &mut Told<'_>, of_person: bool) {
    let there = has.edges.iter().filter(|edge| !edge.wanted && edge.lapse.is_none());
    let there: Vec<&Edge> = there.filter(|edge| edge.key.principal != has.about || of_person).collect();
    let (by_itself, by_hand): (Vec<&Edge>, Vec<&Edge>) =
        there.into_iter().partition(|edge| edge.via.is_some());
    let tell = |edges: &[&Edge], told: &mut Told<'_>| match of_person {
        true => told.on(1, "", edges),
        false => told.by_thing(1, edges),
    };
    if !by_hand.is_empty() {
        told.section("there, though nobody asks for it");
        tell(&by_hand, told);
    }
    let mut ways: BTreeMap<&str, Vec<&Edge>> = BTreeMap::new();
    for edge in by_itself {
        ways.entry(edge.via.as_deref().unwrap_or_default()).or_default().push(edge);
    }
    for (via, edges) in ways {
        told.section(format!("put there by the provider: {via}"));
        tell(&edges, told);
    }
}

/// What another time has that this one has not.
fn changes(then: &Then, of_person: bool, told: &mut Told<'_>) {
    for (title, edges) in [("ended by then", &then.ended), ("begun by then", &then.begun)] {
        if edges.is_empty() {
            continue;
        }
        told.section(title);
        let edges: Vec<&Edge> = edges.iter().collect();
        if !of_person {
            told.by_thing(1, &edges);
            continue;
        }
        for edge in edges {
            let (relation, thing) = what(edge);
            told.item(1, vec![words(format!("{relation} ")), literal(thing)]);
            told.because(2, &edge.because);
        }
    }
    if then.ended.is_empty() && then.begun.is_empty() {
        told.section("nothing will have ended or begun by then");
    }
}
