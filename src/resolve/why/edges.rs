//! Edges: what is wanted beside what is live, as far as a question concerns it.
//!
//! Invariant: an edge that is not seen is absent only where what would show it was read whole; otherwise it is unknown.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::explanation::Edge;
use crate::model::{
    Address, Coverage, Desired, GrantKey, LiveGrant, Name, Origin, Snapshot, Span, WantedGrant,
};

/// Which edges a question is about: those that one of these covers.
#[derive(Debug, Clone, Default)]
pub struct Concern {
    /// Principals.
    pub ends: BTreeSet<Address>,
    /// Things.
    pub resources: BTreeSet<Address>,
    /// A role that gives them.
    pub role: Option<Name>,
}

impl Concern {
    fn covers(&self, resource: &Address, principal: &Address) -> bool {
        self.resources.contains(resource) || self.ends.contains(principal)
    }

    fn is_role(&self, origin: &Origin) -> bool {
        self.role.is_some() && origin.role == self.role
    }
}

/// The edges that a question is about: those that are wanted, then those that lapsed, then those that nobody asks for.
#[must_use]
pub fn edges(desired: &Desired, live: &Snapshot, concern: &Concern) -> Vec<Edge> {
    let mut edges = Vec::new();
    let roster = desired.grants.roster();
    for run in desired.grants.runs() {
        let whole = concern.resources.contains(&run.resource);
        // Whom an edge is about is asked by its terms first: there are few of them.
        let terms: Vec<bool> =
            run.terms.iter().map(|terms| whole || terms.origins.iter().any(|o| concern.is_role(o))).collect();
        for edge in &run.edges {
            let end = roster.end(edge.end);
            if !terms[edge.terms as usize] && !concern.ends.contains(&end.principal) {
                continue;
            }
            let terms = run.terms(*edge);
            let key = GrantKey {
                resource: run.resource.clone(),
                relation: run.relation.clone(),
                principal: end.principal.clone(),
                condition: end.condition.clone(),
            };
            edges.push(Edge {
                person: end.subject.clone(),
                wanted: true,
                live: seen(live, &key),
                lapse: None,
                via: live.grant(&key).and_then(|grant| grant.via.clone()),
                until: terms.until,
                because: terms.origins.iter().map(|origin| (**origin).clone()).collect(),
                key,
            });
        }
    }
    let mut lapsed = BTreeSet::new();
    for (key, lapse) in &desired.lapsed {
        let concerns = concern.covers(&key.resource, &key.principal) || concern.is_role(&lapse.origin);
        // What is asked for by another word is not lapsed.
        if !concerns || desired.grant(key).is_some() {
            continue;
        }
        lapsed.insert(key);
        edges.push(Edge {
            key: key.clone(),
            person: lapse.subject.clone(),
            wanted: false,
            live: seen(live, key),
            lapse: Some(lapse.cause),
            via: live.grant(key).and_then(|grant| grant.via.clone()),
            until: None,
            because: vec![(*lapse.origin).clone()],
        });
    }
    let unasked = live.grants.iter().filter(|grant| {
        concern.covers(&grant.key.resource, &grant.key.principal)
            && !lapsed.contains(&grant.key)
            && desired.grant(&grant.key).is_none()
    });
    edges.extend(unasked.map(|grant| of_live(desired, grant)));
    edges.sort_by(|one, other| {
        let order = |edge: &Edge| (!edge.wanted, edge.lapse);
        (order(one), &one.key).cmp(&(order(other), &other.key))
    });
    edges
}

fn of_live(desired: &Desired, grant: &LiveGrant) -> Edge {
    let by = grant.via.as_ref().map(|via| {
        let named = desired.named.get(&grant.key.resource).map(|origin| origin.span.clone());
        let span = named.unwrap_or_else(|| Span::file(""));
        Origin { text: format!("put there by {via}"), span, chain: Vec::new(), role: None }
    });
    Edge {
        key: grant.key.clone(),
        person: desired.people.get(&grant.key.principal).cloned(),
        wanted: false,
        live: Some(true),
        lapse: None,
        via: grant.via.clone(),
        until: None,
        because: by.into_iter().collect(),
    }
}

/// Whether an edge is there; `None` where that was not seen.
fn seen(live: &Snapshot, key: &GrantKey) -> Option<bool> {
    match live.grant(key) {
        Some(_) => Some(true),
        None => (live.coverage_of_grant(key) == Some(&Coverage::Complete)).then_some(false),
    }
}

/// The edges by which one of these principals has a thing: one, or a membership and what that group has.
#[must_use]
pub fn path(desired: &Desired, principals: &BTreeSet<Address>, thing: &Address) -> Vec<WantedGrant> {
    let of = |from: &BTreeSet<Address>| -> Vec<GrantKey> {
        let edges = desired.grants.from(from).into_iter();
        let key = edges.map(|(run, end)| GrantKey {
            resource: run.resource.clone(),
            relation: run.relation.clone(),
            principal: end.principal.clone(),
            condition: end.condition.clone(),
        });
        key.collect()
    };
    let own = of(principals);
    if let Some(direct) = own.iter().find(|key| key.resource == *thing) {
        return desired.grant(direct).into_iter().collect();
    }
    let groups: BTreeMap<&Address, &GrantKey> = own.iter().map(|key| (&key.resource, key)).collect();
    let further = of(&groups.keys().map(|group| (*group).clone()).collect());
    let Some(last) = further.iter().find(|key| key.resource == *thing) else { return Vec::new() };
    let first = groups.get(&last.principal).and_then(|key| desired.grant(key));
    first.into_iter().chain(desired.grant(last)).collect()
}
