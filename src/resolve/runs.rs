//! Runs: what several places ask for on one resource becomes sorted edges and lapses.
//!
//! Invariant: a run follows from its parts and the people alone, so equal parts of head and base share one run. The same
//! edge asked for twice keeps the terms of both: all origins, the later end, the higher sensitivity.
//! It must not know roles or documents, only what they ask for.

use std::sync::Arc;

use super::entries::Crowd;
use super::principals::{Named, Principals};
use super::roles::{Members, Membership, later};
use crate::model::{
    Address, Attributes, GrantKey, Lapse, LapseCause, Name, Origin, Sensitivity, Status, Terms, WantedGrant,
};

/// What one place asks for on a resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// One edge.
    Edge(WantedGrant),
    /// An edge for each of these people.
    People {
        /// Who, on whose word.
        members: Arc<Members>,
        /// The provider in which they are looked up.
        instance: Name,
        /// What leads from the word to the edge, to be told.
        link: Option<String>,
        /// Attributes of each edge.
        attributes: Attributes,
        /// How sensitive it is.
        sensitivity: Sensitivity,
    },
}

/// What the parts of a run come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    /// The edges, sorted.
    pub(super) edges: Arc<Vec<WantedGrant>>,
    /// Who is mentioned and does not get one, sorted.
    pub(super) lapsed: Arc<Vec<(GrantKey, Lapse)>>,
    /// Who gets none for want of a principal in an instance.
    pub(super) nameless: Arc<Vec<(u32, Name)>>,
}

/// Makes runs.
pub(super) struct Maker<'a> {
    pub(super) crowd: &'a Crowd<'a>,
    pub(super) principals: &'a Principals,
}

impl Maker<'_> {
    /// What parts ask for, by one relation on one resource.
    pub(super) fn make(&self, resource: &Address, relation: &Name, parts: &[Part]) -> Made {
        let (mut lapsed, mut nameless) = (Vec::new(), Vec::new());
        let mut edges = Vec::with_capacity(parts.iter().map(Part::len).sum());
        for part in parts {
            match part {
                Part::Edge(edge) => edges.push(edge.clone()),
                Part::People { members, instance, link, attributes, sensitivity } => {
                    let Some(named) = self.principals.named(instance) else { continue };
                    let key = |principal: &Address| GrantKey {
                        resource: resource.clone(),
                        relation: relation.clone(),
                        principal: principal.clone(),
                        condition: None,
                    };
                    let terms = members.memberships.iter().map(|membership| {
                        let origins = linked(membership, link.as_ref());
                        let (attributes, sensitivity) = (attributes.clone(), *sensitivity);
                        Arc::new(Terms { attributes, origins, until: membership.until, sensitivity })
                    });
                    let terms: Vec<_> = terms.collect();
                    for (number, place) in in_order(members, named) {
                        let Some(principal) = named.principal(number) else {
                            nameless.push((number, instance.clone()));
                            continue;
                        };
                        let terms = terms.get(place as usize).cloned().unwrap_or_default();
                        let subject = self.principals.persons.get(number as usize).cloned();
                        edges.push(WantedGrant { key: key(principal), subject, terms });
                    }
                    for (number, (cause, origin)) in &members.lapsed {
                        if let Some(principal) = named.principal(*number).filter(|_| !members.has(*number)) {
                            let lapse = self.lapse(*number, *cause, origin, link.as_ref());
                            lapsed.push((key(principal), lapse));
                        }
                    }
                }
            }
        }
        if parts.len() > 1 {
            // The order of parts decides whose attributes count.
            edges.sort_by(|one, other| one.key.cmp(&other.key));
            merge(&mut edges);
        }
        lapsed.sort_by(|(one, _), (other, _)| one.cmp(other));
        lapsed.dedup_by(|(one, _), (other, _)| one == other);
        lapsed.retain(|(key, _)| edges.binary_search_by(|edge| edge.key.cmp(key)).is_err());
        Made { edges: Arc::new(edges), lapsed: Arc::new(lapsed), nameless: Arc::new(nameless) }
    }

    /// Why somebody does not have what he is mentioned for.
    fn lapse(&self, number: u32, cause: LapseCause, origin: &Arc<Origin>, link: Option<&String>) -> Lapse {
        let mut origin = (**origin).clone();
        if let Some(person) = self.crowd.person(number) {
            origin.text = match cause {
                LapseCause::Left => format!("{} has left; {}", person.handle, origin.text),
                LapseCause::Suspended => format!("{} is suspended; {}", person.handle, origin.text),
                LapseCause::NotYet if person.status == Status::Staged => {
                    format!("{} is not there yet; {}", person.handle, origin.text)
                }
                LapseCause::Expired | LapseCause::NotYet | LapseCause::Excepted => origin.text,
            };
        }
        origin.chain.extend(link.cloned());
        let subject = self.principals.persons.get(number as usize).cloned();
        Lapse { cause, origin: Arc::new(origin), subject }
    }
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Edge(_) => 1,
            Self::People { members, .. } => members.current.len(),
        }
    }
}

/// Members in the order of their principals, each with the place of his membership.
fn in_order(members: &Members, named: &Named) -> impl Iterator<Item = (u32, u32)> {
    let ranked = members.current.iter().map(|(number, place)| (named.rank(*number), *number, *place));
    let mut ranked: Vec<_> = ranked.collect();
    if !ranked.is_sorted() {
        ranked.sort_unstable();
    }
    ranked.into_iter().map(|(_, number, place)| (number, place))
}

/// The origins of a membership, with one more link at the end of their chain.
fn linked(membership: &Membership, link: Option<&String>) -> Vec<Arc<Origin>> {
    let mut origins = membership.origins.clone();
    for origin in origins.iter_mut().filter(|_| link.is_some()) {
        Arc::make_mut(origin).chain.extend(link.cloned());
    }
    origins.sort();
    origins.dedup();
    origins
}

/// Makes one of neighbours with the same key.
fn merge(edges: &mut Vec<WantedGrant>) {
    // Mostly it is two roles that give the same group to the same people.
    let mut last: Option<[Arc<Terms>; 3]> = None;
    edges.dedup_by(|next, kept| {
        if next.key != kept.key {
            return false;
        }
        let both = match &last {
            Some([one, two, both]) if Arc::ptr_eq(one, &kept.terms) && Arc::ptr_eq(two, &next.terms) => {
                both.clone()
            }
            _ => {
                let mut both = (*kept.terms).clone();
                both.origins.extend_from_slice(&next.origins);
                both.origins.sort();
                both.origins.dedup();
                both.until = later(both.until, next.until);
                both.sensitivity = both.sensitivity.max(next.sensitivity);
                Arc::new(both)
            }
        };
        last = Some([kept.terms.clone(), next.terms.clone(), both.clone()]);
        kept.terms = both;
        true
    });
}
