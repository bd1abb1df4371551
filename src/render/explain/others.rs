//! Whether somebody has something, what would give it, and what a line gives.
//!
//! Invariant: yes or no comes first; an edit that was not seen to give what is wished for is not told as if it did.

use std::collections::BTreeMap;

use super::{Told, lapse, name, place, what, who};
use crate::model::explanation::{Cut, Edge, Judged, Proposal, Standing, Wants, Whether};
use crate::model::{Address, Risk, Span, Status};
use crate::render::page::Ink;
use crate::render::words::{Line, Piece, capitalized, count, literal, prose, words};

pub(super) fn whether(whether: &Whether, told: &mut Told<'_>) {
    let Whether { who, person, on, wanted, live, edges, roles, elsewhere } = whether;
    let (answer, has, ink) = match (wanted, live) {
        (true, Some(false)) => ("yes, and not there yet", "is to have", Ink::Warn),
        (true, _) => ("yes", "has", Ink::Good),
        (false, Some(true)) => ("not asked for, and there all the same", "has", Ink::Warn),
        (false, _) => ("no", "does not have", Ink::Alarm),
    };
    let title =
        [words(answer), words(": "), literal(name(who)), words(format!(" {has} ")), literal(on.to_string())];
    told.title(title.into(), ink);
    if let Some(person) = person
        && person.status != Status::Active
    {
        let stands = match person.status {
            Status::Left => "has left".to_owned(),
            status => format!("is {status}"),
        };
        told.item(1, vec![literal(name(who)), words(format!(" {stands}"))]);
    }
    if live.is_none() && on.instance() != "role" {
        told.item(1, vec![words("whether it is there could not be seen")]);
    }
    for edge in edges {
        let (relation, thing) = what(edge);
        let mut line = vec![literal(super::who(edge)), words(format!(" {relation} ")), literal(thing)];
        line.push(words(told.until(edge.until)));
        line.push(words(super::state(edge)));
        line.push(words(edge.lapse.map(|cause| format!(": {}", lapse(cause))).unwrap_or_default()));
        told.item(1, line);
        told.because(2, &edge.because);
        if let Some(via) = edge.via.as_ref().filter(|_| edge.because.is_empty()) {
            told.item(2, vec![words(format!("put there by {via}"))]);
        }
    }
    let held = edges.iter().any(|edge| edge.wanted);
    if roles.is_empty() && elsewhere.is_empty() && !held {
        told.item(1, vec![words("no role gives it")]);
    }
    // Where the edges tell why, the roles say nothing new.
    let told_by_edges = |role: &Judged| {
        held || edges
            .iter()
            .flat_map(|edge| &edge.because)
            .any(|origin| origin.role.as_ref() == Some(&role.role))
    };
    for role in roles.iter().filter(|role| !told_by_edges(role)) {
        judged(role, 1, told);
    }
    let mentioned = edges.iter().any(|edge| edge.wanted || edge.lapse.is_some());
    for origin in elsewhere.iter().filter(|_| !mentioned) {
        let mut line = vec![words(format!("{} says who is in it, and does not name him", origin.text))];
        place(&mut line, &origin.span);
        told.item(1, line);
    }
}

/// Whether somebody has a role, and what is missing.
fn judged(role: &Judged, deep: usize, told: &mut Told<'_>) {
    let words_of = match role.verdict {
        Standing::Has => "has role ",
        Standing::Lapsed(_) | Standing::NoEntry => "does not have role ",
    };
    let mut line = vec![words(words_of), literal(role.role.to_string())];
    place(&mut line, &role.span);
    if let Some(span) = role.gives.as_ref().filter(|span| **span != role.span) {
        line.push(words(", which gives it"));
        place(&mut line, span);
    }
    if let Standing::Lapsed(cause) = role.verdict {
        line.push(words(format!(": {}", lapse(cause))));
    }
    told.item(deep, line);
    told.because(deep + 1, &role.because);
    let Some(nearest) = &role.nearest else {
        if role.verdict == Standing::NoEntry {
            told.item(deep + 1, vec![words("it has no entry in `members`; only a grant gives it")]);
        }
        return;
    };
    let mut line = vec![words("nearest is the entry "), literal(nearest.entry.clone())];
    place(&mut line, &nearest.span);
    told.item(deep + 1, line);
    for condition in nearest.conditions.iter().filter(|condition| !condition.holds) {
        told.item(deep + 2, vec![words("but "), words(condition.text.clone())]);
        condition.roles.iter().for_each(|role| judged(role, deep + 3, told));
    }
}

pub(super) fn wants(wants: &Wants, told: &mut Told<'_>) {
    let Wants { who, on, wanted, edit, others, approval, blocks } = wants;
    let both = |lead: &str| {
        vec![words(lead.to_owned()), words(": "), literal(on.to_string()), words(" for "), literal(name(who))]
    };
    if *wanted {
        told.title(both("it is asked for already"), Ink::Good);
        let question = format!("`rolecall explain {} {on}` tells by what", name(who));
        told.item(1, prose(&question));
        return;
    }
    match edit.as_ref().filter(|edit| edit.verified) {
        Some(_) if blocks.is_empty() => told.title(both("one edit would give it"), Ink::Good),
        Some(_) => told.title(both("an edit would ask for it, and something stands in the way"), Ink::Warn),
        None => told.title(both("no edit was found that gives it"), Ink::Alarm),
    }
    if !blocks.is_empty() {
        told.section("what stands in the way");
    }
    for block in blocks {
        let mut line = prose(&block.text);
        if let Some(span) = &block.span {
            place(&mut line, span);
        }
        told.item(1, line);
        if let Some(help) = &block.help {
            told.item(2, prose(help));
        }
    }
    let verified = edit.as_ref().filter(|edit| edit.verified);
    if let Some(edit) = verified {
        proposal(edit, told);
    }
    if let Some(approval) = approval.as_ref().filter(|_| verified.is_some()) {
        told.section("who must approve");
        let risk = match approval.risk {
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        };
        let of = match approval.owners.as_slice() {
            [] => ", and nobody is named as its owner".to_owned(),
            owners => format!(" of {}", owners.join(", ")),
        };
        let risk = match approval.risk_reasons.first() {
            Some(why) => format!("the risk is {risk}: {why}"),
            None => format!("the risk is {risk}"),
        };
        told.item(1, prose(&format!("{}{of}; {risk}", approval.quorum)));
    }
    if !others.is_empty() {
        told.section("other roles that give it, with more besides");
    }
    for other in others {
        let more = count(other.extras, "more thing", "more things");
        told.item(1, vec![literal(other.role.to_string()), words(format!(": {more}"))]);
    }
}

fn proposal(edit: &Proposal, told: &mut Told<'_>) {
    told.section(format!("{}:", capitalized(&where_to(edit))));
    told.paste(&edit.text);
    told.item(1, vec![words("checked: resolved with it, it is asked for")]);
    if !edit.extras.is_empty() {
        let things: Vec<String> = edit.extras.iter().map(|key| key.resource.to_string()).collect();
        let mut line = vec![words(format!("gives {} besides: ", count(things.len(), "thing", "things")))];
        line.extend(told.names(things));
        told.item(1, line);
    }
    if let Some(good) = &edit.for_good {
        told.section(format!("For good instead, {}:", where_to(good)));
        told.paste(&good.text);
    }
}

fn where_to(edit: &Proposal) -> String {
    match &edit.list {
        Some((key, span)) => {
            format!("add to `{key}` of the document at {}", Span { column: 0, ..span.clone() })
        }
        None => format!("add the file {}", edit.file),
    }
}

pub(super) fn cut(cut: &Cut, told: &mut Told<'_>) {
    let Cut { line, what, roles, loses, keeps, gains, resources, breaks } = cut;
    let mut title: Line = vec![Piece::Place(Span { column: 0, ..line.clone() }.to_string()), words(": ")];
    title.extend(prose(what));
    told.title(title, Ink::Strong);
    if roles.is_empty() && loses.is_empty() && keeps.is_empty() && gains.is_empty() && resources.is_empty() {
        told.item(1, vec![words("gives nobody anything: without it all stays as it is")]);
    }
    if !roles.is_empty() {
        told.section("without it, these would lose a role");
    }
    let mut lost: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    for holding in roles {
        let place = Span { column: 0, ..holding.span.clone() }.to_string();
        lost.entry((&holding.role, place)).or_default().push(name(&holding.person));
    }
    for ((role, place), names) in lost {
        let mut line =
            vec![literal(role), words(" ("), Piece::Place(place), words(format!("): {}: ", names.len()))];
        line.extend(told.names(names));
        told.item(1, line);
    }
    let of = |edges: &'_ [Edge]| -> usize { edges.len() };
    if !loses.is_empty() {
        told.section(format!("and {} would not be asked for any more", count(of(loses), "edge", "edges")));
        told.by_thing(1, &loses.iter().collect::<Vec<_>>());
    }
    if !keeps.is_empty() {
        told.section(format!("{} would stay, for another reason", count(of(keeps), "edge", "edges")));
        let mut reasons: Vec<(&Edge, Vec<String>)> = Vec::new();
        for edge in keeps {
            let alike =
                |other: &Edge| super::what(other) == super::what(edge) && other.because == edge.because;
            match reasons.iter_mut().find(|(other, _)| alike(other)) {
                Some((_, names)) => names.push(who(edge)),
                None => reasons.push((edge, vec![who(edge)])),
            }
        }
        for (edge, names) in reasons {
            let (relation, thing) = super::what(edge);
            let mut line = vec![words(format!("{relation} ")), literal(thing), words(": ")];
            line.extend(told.names(names));
            told.item(1, line);
            told.because(2, &edge.because);
        }
    }
    if !gains.is_empty() {
        told.section(format!("{} would be asked for", count(of(gains), "edge", "edges")));
        told.by_thing(1, &gains.iter().collect::<Vec<_>>());
    }
    if !resources.is_empty() {
        told.section("and these would not be declared any more");
        let names = resources.iter().map(Address::to_string).collect();
        let line = told.names(names);
        told.item(1, line);
    }
    if !breaks.is_empty() {
        told.section("and this would be wrong");
        breaks.iter().for_each(|text| told.item(1, prose(text)));
    }
}
