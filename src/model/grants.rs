//! The edges that one side wants: sorted by key, in runs of one relation on one resource.
//!
//! Invariant: runs are sorted and never empty; so are the edges within each, and no key is there twice. Head and base
//! share the runs that they ask for alike, so that to be the same is to be the same pointer.
//! It must not know who asked: that is in the terms of each edge.

use std::iter::Flatten;
use std::slice::Iter;
use std::sync::Arc;

use super::address::{Address, Name};
use super::grant::GrantKey;
use super::resource::WantedGrant;

/// The edges of one relation on one resource, sorted.
pub type Run = Arc<Vec<WantedGrant>>;

/// Edges, sorted by key, unique.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    runs: Vec<Run>,
}

/// What all edges of a run have in common.
fn place(key: &GrantKey) -> (&Address, &Name) {
    (&key.resource, &key.relation)
}

impl Grants {
    /// Edges from runs that are sorted, each within itself, and none empty.
    #[must_use]
    pub fn of(runs: Vec<Run>) -> Self {
        debug_assert!(runs.iter().flat_map(|run| run.iter()).is_sorted_by(|one, two| one.key < two.key));
        Self { runs }
    }

    /// The runs.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The edges.
    pub fn iter(&self) -> Flatten<Flat<'_>> {
        Flat(self.runs.iter()).flatten()
    }

    /// The edges, to be altered; whoever alters a key must put it in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut WantedGrant> {
        self.runs.iter_mut().flat_map(|run| Arc::make_mut(run).iter_mut())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// An edge by key.
    #[must_use]
    pub fn get(&self, key: &GrantKey) -> Option<&WantedGrant> {
        let run = self.run(key).ok().and_then(|at| self.runs.get(at))?;
        run.binary_search_by(|grant| grant.key.cmp(key)).ok().and_then(|at| run.get(at))
    }

    /// Puts an edge in its place, instead of the one that was there.
    pub fn insert(&mut self, grant: WantedGrant) {
        match self.run(&grant.key) {
            Err(at) => self.runs.insert(at, Arc::new(vec![grant])),
            Ok(at) => {
                let run = Arc::make_mut(&mut self.runs[at]);
                match run.binary_search_by(|other| other.key.cmp(&grant.key)) {
                    Ok(at) => run[at] = grant,
                    Err(at) => run.insert(at, grant),
                }
            }
        }
    }

    fn run(&self, key: &GrantKey) -> Result<usize, usize> {
        self.runs.binary_search_by(|run| run.first().map(|first| place(&first.key)).cmp(&Some(place(key))))
    }
}

/// The runs as slices.
#[derive(Debug, Clone)]
pub struct Flat<'a>(Iter<'a, Run>);

impl<'a> Iterator for Flat<'a> {
    type Item = &'a [WantedGrant];

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|run| run.as_slice())
    }
}

impl<'a> IntoIterator for &'a Grants {
    type Item = &'a WantedGrant;
    type IntoIter = Flatten<Flat<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
