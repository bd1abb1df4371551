//! What a line gives: the difference between all that is asked for with it and without it.
//!
//! Invariant: both sides see the same people at the same time. An edge that another line asks for as well is kept, and
//! told apart from those that are lost.

use std::collections::BTreeSet;

use super::View;
use crate::manifest::Part;
use crate::model::explanation::{Cut, Edge, Holding};
use crate::model::{Finding, Level, Origin, Span, WantedGrant};

/// What `part`, on a line of the tree that `with` shows, gives; `without` shows the tree that lacks it.
#[must_use]
pub fn cut(with: &View<'_>, without: &View<'_>, part: &Part, line: Span) -> Cut {
    let (mut loses, mut keeps, mut gains) = (Vec::new(), Vec::new(), Vec::new());
    let other = &without.desired.grants;
    for grant in &with.desired.grants {
        match other.get(&grant.key) {
            None => loses.push(edge(&grant, with)),
            Some(kept) if kept.terms.origins != grant.terms.origins => {
                // Another word of the same line that goes too is not what keeps it.
                let lost = grant.terms.origins.iter().any(|origin| !kept.terms.origins.contains(origin));
                if lost {
                    keeps.push(edge(&kept, without));
                }
            }
            Some(_) => {}
        }
    }
    for grant in other {
        if with.desired.grants.get(&grant.key).is_none() {
            gains.push(edge(&grant, without));
        }
    }
    let resources = with.desired.resources.values().filter(|wanted| wanted.declared);
    let resources = resources.map(|wanted| &wanted.address);
    let resources = resources
        .filter(|address| !without.desired.resources.get(*address).is_some_and(|other| other.declared));
    Cut {
        line,
        what: what(part),
        roles: roles(with, without),
        loses,
        keeps,
        gains,
        resources: resources.cloned().collect(),
        breaks: breaks(with, without, part),
    }
}

/// Who has a role with the line and not without it.
fn roles(with: &View<'_>, without: &View<'_>) -> Vec<Holding> {
    let mut lost = Vec::new();
    for role in with.roles() {
        let name = role.name.value.as_str();
        let Some(members) = with.members.get(name) else { continue };
        let others = without.members.get(name);
        for (number, _) in &members.current {
            if !others.is_some_and(|others| others.has(*number)) {
                lost.extend(with.holding(role, *number));
            }
        }
    }
    lost
}

fn edge(grant: &WantedGrant, view: &View<'_>) -> Edge {
    Edge {
        key: grant.key.clone(),
        person: grant.subject.clone().or_else(|| view.desired.people.get(&grant.key.principal).cloned()),
        wanted: true,
        live: None,
        lapse: None,
        via: None,
        until: grant.terms.until,
        because: grant
            .terms
            .origins
            .iter()
            .map(|origin: &std::sync::Arc<Origin>| (**origin).clone())
            .collect(),
    }
}

fn what(part: &Part) -> String {
    let Part { spans, kind, name, list } = part;
    match (list, spans.len()) {
        (None, _) => format!("the {kind} {name}"),
        (Some(list), 1) => format!("an entry of `{list}` of the {kind} {name}"),
        (Some(list), many) => format!("{many} entries of `{list}` of the {kind} {name}"),
    }
}

/// What would be wrong that is not wrong now.
fn breaks(with: &View<'_>, without: &View<'_>, part: &Part) -> Vec<String> {
    let errors = |view: &View<'_>| -> BTreeSet<String> {
        let errors = view.desired.findings.iter().filter(|finding| finding.level == Level::Error);
        errors.map(Finding::to_string).collect()
    };
    let mut breaks: Vec<String> = errors(without).difference(&errors(with)).cloned().collect();
    if part.list.is_none() && matches!(part.kind.as_str(), "Role" | "Unit") {
        let citing = without.roles().filter(|role| without.cites(role, &part.name));
        breaks.extend(citing.map(|role| format!("role {} cites it ({})", role.name.value, role.name.span)));
        let grants =
            without.tree.grants.iter().filter(|grant| grant.roles.iter().any(|role| role.value == part.name));
        breaks
            .extend(grants.map(|grant| format!("grant {} gives it ({})", grant.name.value, grant.name.span)));
    }
    breaks
}
