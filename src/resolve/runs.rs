//! Runs: what several places ask for on one resource becomes sorted edges and lapses.
//!
//! Invariant: a run follows from its parts and the people alone, so equal parts of head and base share one run. The same
//! edge asked for twice keeps the terms of both: all origins, the later end, the higher sensitivity.
//! It must not know roles or documents, only what they ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entries::Crowd;
use super::principals::Principals;
use super::roles::{Members, Membership, later};
use crate::model::grant::EXPIRES;
use crate::model::grants::{Edge, End, Roster, Run, number};
use crate::model::{
    Address, Attributes, GrantKey, Lapse, LapseCause, Name, Origin, Sensitivity, Status, Terms, Value,
    WantedGrant,
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
        /// Under which condition.
        condition: Option<Name>,
        /// Whether the provider is told when each ends.
        native_expiry: bool,
        /// How sensitive it is.
        sensitivity: Sensitivity,
    },
}

/// What the parts of a run come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    /// The edges; none where nobody gets one.
    pub(super) run: Option<Arc<Run>>,
    /// Who is mentioned and does not get one, sorted.
    pub(super) lapsed: Arc<Vec<(GrantKey, Lapse)>>,
    /// Who gets none for want of a principal in an instance.
    pub(super) nameless: Arc<Vec<(u32, Name)>>,
}

/// Makes runs.
pub(super) struct Maker<'a> {
    pub(super) crowd: &'a Crowd<'a>,
    pub(super) principals: &'a Principals,
    /// Who is suspended by a document, by number.
    pub(super) suspended: &'a BTreeMap<u32, Arc<Origin>>,
    /// Everyone who may get an edge.
    pub(super) roster: &'a Roster,
    /// By instance: the number of each person's principal in the roster.
    pub(super) numbers: BTreeMap<Name, Vec<Option<u32>>>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        crowd: &'a Crowd<'a>,
        principals: &'a Principals,
        suspended: &'a BTreeMap<u32, Arc<Origin>>,
        roster: &'a Roster,
    ) -> Self {
        let numbers = principals.instances().map(|(instance, named)| {
            let mut numbers = vec![None; crowd.people.len()];
            // Both lists are in order, so that nobody needs to be looked up.
            let mut ends = (0..).zip(roster.ends()).peekable();
            for (principal, person) in named.in_order() {
                while ends.next_if(|(_, end)| end.principal < *principal).is_some() {}
                let end = ends.peek().filter(|(_, end)| end.part() == (principal, None));
                numbers[person as usize] = end.map(|(number, _)| *number);
            }
            (instance.clone(), numbers)
        });
        Self { crowd, principals, suspended, roster, numbers: numbers.collect() }
    }

    /// What parts ask for, by one relation on one resource.
    pub(super) fn make(&self, resource: &Address, relation: &Name, parts: &[Part]) -> Made {
        let (mut lapsed, mut nameless) = (Vec::new(), Vec::new());
        let mut edges = Vec::with_capacity(parts.iter().map(Part::len).sum());
        let mut terms = Vec::new();
        for part in parts {
            match part {
                Part::Edge(grant) => {
                    let Some(end) = self.roster.number(&end_of(grant)) else { continue };
                    edges.push(Edge { end, terms: number(terms.len()) });
                    terms.push(grant.terms.clone());
                }
                Part::People {
                    members,
                    instance,
                    link,
                    attributes,
                    condition,
                    native_expiry,
                    sensitivity,
                } => {
                    let Some(numbers) = self.numbers.get(instance) else { continue };
                    let number_of = |person: u32| {
                        let plain = numbers[person as usize]?;
                        let Some(condition) = condition else { return Some(plain) };
                        self.roster.number(&conditional(self.roster.end(plain), condition))
                    };
                    // Terms are made for those alone on which somebody has an edge.
                    let mut places = vec![None; members.memberships.len()];
                    let mut place_of = |membership: u32| {
                        let next = number(terms.len());
                        *places[membership as usize].get_or_insert_with(|| {
                            let membership = &members.memberships[membership as usize];
                            let origins = linked(membership, link.as_ref());
                            let (mut attributes, sensitivity) = (attributes.clone(), *sensitivity);
                            let until = membership.until;
                            if *native_expiry {
                                set_end(&mut attributes, until);
                            }
                            terms.push(Arc::new(Terms { attributes, origins, until, sensitivity }));
                            next
                        })
                    };
                    for (person, membership) in &members.current {
                        match number_of(*person) {
                            Some(end) => edges.push(Edge { end, terms: place_of(*membership) }),
                            None => nameless.push((*person, instance.clone())),
                        }
                    }
                    for (person, (cause, origin)) in &members.lapsed {
                        if let Some(end) = number_of(*person).filter(|_| !members.has(*person)) {
                            lapsed.push((end, self.lapse(*person, *cause, origin, link.as_ref())));
                        }
                    }
                }
            }
        }
        // The order of parts decides whose attributes count.
        if !edges.is_sorted_by(|one, two| one.end < two.end) {
            edges.sort_by_key(|edge| edge.end);
            merge(&mut edges, &mut terms);
        }
        lapsed.sort_by_key(|(end, _)| *end);
        lapsed.dedup_by_key(|(end, _)| *end);
        lapsed.retain(|(end, _)| edges.binary_search_by_key(end, |edge| edge.end).is_err());
        let (resource, relation) = (resource.clone(), relation.clone());
        let key = |end| {
            let (resource, relation) = (resource.clone(), relation.clone());
            let End { principal, condition, .. } = self.roster.end(end).clone();
            GrantKey { resource, relation, principal, condition }
        };
        let lapsed = lapsed.into_iter().map(|(end, lapse)| (key(end), lapse)).collect();
        let run = Run { resource, relation, edges, terms };
        let run = (!run.edges.is_empty()).then(|| Arc::new(run));
        Made { run, lapsed: Arc::new(lapsed), nameless: Arc::new(nameless) }
    }

    /// Why somebody does not have what he is mentioned for.
    fn lapse(&self, number: u32, cause: LapseCause, origin: &Arc<Origin>, link: Option<&String>) -> Lapse {
        let mut origin = (**origin).clone();
        if let Some(suspension) = self.suspended.get(&number).filter(|_| cause == LapseCause::Suspended) {
            origin.text = format!("{}; {}", suspension.text, origin.text);
            origin.span = suspension.span.clone();
        } else if let Some(person) = self.crowd.person(number) {
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

/// Who an edge is given to.
pub(super) fn end_of(grant: &WantedGrant) -> End {
    let GrantKey { principal, condition, .. } = &grant.key;
    End { principal: principal.clone(), condition: condition.clone(), subject: grant.subject.clone() }
}

/// The same person, under a condition.
pub(super) fn conditional(end: &End, condition: &Name) -> End {
    End { condition: Some(condition.clone()), ..end.clone() }
}

/// Tells the provider when an edge ends.
fn set_end(attributes: &mut Attributes, until: Option<jiff::Timestamp>) {
    let end = until.map_or(Value::Null, |until| until.to_string().into());
    attributes.insert(EXPIRES.into(), end);
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

/// Makes one of neighbours with the same end.
fn merge(edges: &mut Vec<Edge>, terms: &mut Vec<Arc<Terms>>) {
    // Mostly it is two roles that give the same group to the same people.
    let mut merged: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    edges.dedup_by(|next, kept| {
        if next.end != kept.end {
            return false;
        }
        kept.terms = *merged.entry((kept.terms, next.terms)).or_insert_with(|| {
            let mut both = (*terms[kept.terms as usize]).clone();
            let next = &terms[next.terms as usize];
            both.origins.extend_from_slice(&next.origins);
            both.origins.sort();
            both.origins.dedup();
            both.until = later(both.until, next.until);
            // Who is told of an end is told of the later one.
            if both.attributes.contains_key(EXPIRES) || next.attributes.contains_key(EXPIRES) {
                set_end(&mut both.attributes, both.until);
            }
            both.sensitivity = both.sensitivity.max(next.sensitivity);
            terms.push(Arc::new(both));
            number(terms.len() - 1)
        });
        true
    });
}
