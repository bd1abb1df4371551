//! The edges that one side wants: sorted by key, in runs of one relation on one resource, each edge two small numbers.
//!
//! A million edges are mostly the same people over and over, on the same terms. So who has edges stands once in a
//! [`Roster`], in the order of keys, and an edge is a place there and a place among the terms of its run.
//! Invariant: runs are sorted and never empty; so are the edges within each, and no key is there twice. Head and base
//! share the roster and the runs that they ask for alike, so that to be the same is to be the same pointer.
//! It must not know who asked: that is in the terms.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::address::{Address, Name};
use super::grant::GrantKey;
use super::resource::{Terms, WantedGrant};

/// Who has an edge: what remains of it without its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// To whom.
    pub principal: Address,
    /// Under which condition.
    pub condition: Option<Name>,
    /// Whose principal it is (`person:x`), where it is a person's.
    pub subject: Option<Address>,
}

/// Everyone who has edges, sorted, unique. A number is a place here, so that numbers are in the order of keys.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    ends: Vec<End>,
}

/// An edge of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Its end's place in the roster.
    pub end: u32,
    /// Its terms' place in the run.
    pub terms: u32,
}

/// The edges of one relation on one resource.
#[derive(Debug, Clone)]
pub struct Run {
    /// On what.
    pub resource: Address,
    /// By which edge.
    pub relation: Name,
    /// The edges, in the order of their ends.
    pub edges: Vec<Edge>,
    /// The terms that they are asked for on.
    pub terms: Vec<Arc<Terms>>,
}

/// Edges, sorted by key, unique.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    roster: Arc<Roster>,
    runs: Vec<Arc<Run>>,
}

impl Roster {
    /// A roster of ends that may be told in any order and more than once.
    #[must_use]
    pub fn of(mut ends: Vec<End>) -> Self {
        ends.sort();
        ends.dedup();
        Self { ends }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All ends, in order.
    #[must_use]
    pub fn ends(&self) -> &[End] {
        &self.ends
    }

    /// Who has a number.
    #[must_use]
    pub fn end(&self, number: u32) -> &End {
        &self.ends[number as usize]
    }

    /// The number of an end, if it is here.
    #[must_use]
    pub fn number(&self, end: &End) -> Option<u32> {
        self.ends.binary_search(end).ok().map(number)
    }

    /// The numbers of a principal.
    #[must_use]
    pub fn numbers(&self, principal: &Address) -> Range<u32> {
        let first = self.ends.partition_point(|end| end.principal < *principal);
        let rest = &self.ends[first..];
        number(first)..number(first + rest.iter().take_while(|end| end.principal == *principal).count())
    }
}

/// A place as a number. There are fewer people than that.
pub fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Run {
    /// The terms of one of its edges.
    #[must_use]
    pub fn terms(&self, edge: Edge) -> &Arc<Terms> {
        &self.terms[edge.terms as usize]
    }

    /// What all its edges have in common.
    #[must_use]
    pub fn place(&self) -> (&Address, &Name) {
        (&self.resource, &self.relation)
    }
}

impl End {
    /// What tells the edges of a run apart.
    #[must_use]
    pub fn part(&self) -> (&Address, Option<&Name>) {
        (&self.principal, self.condition.as_ref())
    }
}

impl Grants {
    /// Edges from runs that are sorted, each within itself, and none empty.
    #[must_use]
    pub fn of(roster: Arc<Roster>, runs: Vec<Arc<Run>>) -> Self {
        debug_assert!(runs.is_sorted_by(|one, two| one.place() < two.place()));
        debug_assert!(runs.iter().all(|run| {
            let parts = run.edges.iter().map(|edge| roster.end(edge.end).part());
            !run.edges.is_empty() && parts.is_sorted_by(|one, two| one < two)
        }));
        Self { roster, runs }
    }

    /// Who the numbers are.
    #[must_use]
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// The runs.
    #[must_use]
    pub fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    /// The edges, each written out.
    pub fn iter(&self) -> impl Iterator<Item = WantedGrant> {
        self.runs.iter().flat_map(|run| run.edges.iter().map(|edge| self.written(run, *edge)))
    }

    fn written(&self, run: &Run, edge: Edge) -> WantedGrant {
        let End { principal, condition, subject } = self.roster.end(edge.end).clone();
        let (resource, relation) = (run.resource.clone(), run.relation.clone());
        let key = GrantKey { resource, relation, principal, condition };
        WantedGrant { key, subject, terms: run.terms(edge).clone() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.edges.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// An edge by key.
    #[must_use]
    pub fn get(&self, key: &GrantKey) -> Option<WantedGrant> {
        let run = self.runs.binary_search_by(|run| run.place().cmp(&(&key.resource, &key.relation))).ok()?;
        let run = &self.runs[run];
        let part = (&key.principal, key.condition.as_ref());
        let at = run.edges.binary_search_by(|edge| self.roster.end(edge.end).part().cmp(&part)).ok()?;
        Some(self.written(run, run.edges[at]))
    }

    /// The edges from some things, each as what it is on and whom it is from.
    pub fn from<'p>(&self, principals: impl IntoIterator<Item = &'p Address>) -> Vec<(&Run, &End)> {
        let mut is_one = Vec::new();
        for number in principals.into_iter().flat_map(|principal| self.roster.numbers(principal)) {
            is_one.resize(self.roster.len(), false);
            is_one[number as usize] = true;
        }
        // Most things have no edges of their own, and then there is nothing to look for.
        let runs = if is_one.is_empty() { &[][..] } else { &self.runs };
        let mut found = Vec::new();
        for run in runs {
            let ends = run.edges.iter().filter(|edge| is_one[edge.end as usize]);
            found.extend(ends.map(|edge| (run.as_ref(), self.roster.end(edge.end))));
        }
        found
    }

    /// Puts an edge in its place, instead of the one that was there. Each number may be another one after that: it is
    /// for a few edges, not for many.
    pub fn insert(&mut self, grant: WantedGrant) {
        let mut all: Vec<WantedGrant> = self.iter().collect();
        all.push(grant);
        *self = all.into_iter().collect();
    }

    /// The terms of all edges, to be altered, each with what they are asked for on.
    pub fn terms_mut(&mut self) -> impl Iterator<Item = (&Address, &mut Terms)> {
        self.runs.iter_mut().flat_map(|run| {
            let Run { resource, terms, .. } = Arc::make_mut(run);
            terms.iter_mut().map(|terms| (&*resource, Arc::make_mut(terms)))
        })
    }
}

impl FromIterator<WantedGrant> for Grants {
    /// Of edges in any order; of two with the same key the later one counts.
    fn from_iter<I: IntoIterator<Item = WantedGrant>>(grants: I) -> Self {
        let mut grants: Vec<WantedGrant> = grants.into_iter().collect();
        grants.sort_by(|one, other| one.key.cmp(&other.key));
        let end = |grant: &WantedGrant| End {
            principal: grant.key.principal.clone(),
            condition: grant.key.condition.clone(),
            subject: grant.subject.clone(),
        };
        let roster = Roster::of(grants.iter().map(end).collect());
        let mut runs: Vec<Run> = Vec::new();
        let mut last: Option<GrantKey> = None;
        for grant in grants {
            // The sort keeps equal keys in the order in which they were told.
            let again = last.as_ref() == Some(&grant.key);
            let Some(end) = roster.number(&end(&grant)) else { continue };
            let GrantKey { resource, relation, .. } = &grant.key;
            if runs.last().is_none_or(|run| run.place().cmp(&(resource, relation)) != Ordering::Equal) {
                let (resource, relation) = (resource.clone(), relation.clone());
                runs.push(Run { resource, relation, edges: Vec::new(), terms: Vec::new() });
            }
            let Some(run) = runs.last_mut() else { continue };
            if again {
                run.edges.pop();
            }
            run.edges.push(Edge { end, terms: number(run.terms.len()) });
            run.terms.push(grant.terms);
            last = Some(grant.key);
        }
        Self::of(Arc::new(roster), runs.into_iter().map(Arc::new).collect())
    }
}

impl PartialEq for Grants {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Grants {}

impl<'a> IntoIterator for &'a Grants {
    type Item = WantedGrant;
    type IntoIter = Box<dyn Iterator<Item = WantedGrant> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn grant((resource, principal, condition, word): (u8, u8, Option<u8>, u8)) -> WantedGrant {
        let mut key = GrantKey::new(
            &Address::person(&principal.to_string()),
            "member",
            &Address::role(&resource.to_string()),
        );
        key.condition = condition.map(|condition| condition.to_string().into());
        let subject = principal.is_multiple_of(2).then(|| key.principal.clone());
        let attributes = [("word".into(), i64::from(word).into())].into();
        WantedGrant { key, subject, terms: Arc::new(Terms { attributes, ..Terms::default() }) }
    }

    proptest! {
        #[test]
        fn edges_are_as_in_a_map(
            told in proptest::collection::vec((0_u8..4, 0_u8..12, proptest::option::of(0_u8..2), any::<u8>()), 0..40),
        ) {
            let told: Vec<WantedGrant> = told.into_iter().map(grant).collect();
            let map: BTreeMap<GrantKey, WantedGrant> =
                told.iter().map(|grant| (grant.key.clone(), grant.clone())).collect();
            let grants: Grants = told.iter().cloned().collect();
            let mut one_by_one = Grants::default();
            told.iter().for_each(|grant| one_by_one.insert(grant.clone()));
            prop_assert_eq!(&grants, &one_by_one);
            prop_assert_eq!(grants.len(), map.len());
            prop_assert!(grants.iter().eq(map.values().cloned()));
            for grant in &told {
                prop_assert_eq!(grants.get(&grant.key), map.get(&grant.key).cloned());
            }
            let some = [Address::person("3"), Address::person("7"), Address::person("99")];
            let found: Vec<_> = grants.from(&some).into_iter().map(|(run, end)| (&run.resource, &end.principal)).collect();
            let expected = map.keys().filter(|key| some.contains(&key.principal));
            prop_assert!(found.into_iter().eq(expected.map(|key| (&key.resource, &key.principal))));
        }
    }
}
