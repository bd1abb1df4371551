//! Live: what providers were seen to hold, and how much of it was read (`rolecall.snapshot/v1`).
//!
//! Invariant: what was not read whole says so; nothing may be removed because it is missing here.
//! A saved snapshot is a cache and a memory: it never justifies a removal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::address::{Address, Name};
use super::grant::GrantKey;
use super::ordered::{Keyed, Ordered};
use super::value::{Attributes, Digest, Lines};

/// The `format` of a saved snapshot.
pub const SNAPSHOT_FORMAT: &str = "rolecall.snapshot/v1";

/// A resource that exists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resource {
    /// The vendor's immutable id, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Name>,
    /// Attributes; sensitive ones are never read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: Attributes,
    /// Why nobody may change the thing itself, where the provider forbids it (built in, mastered by an app).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mastered: Option<String>,
    /// What hangs on it and would go with it: keys, MFA devices, a login profile. Each is an effect of a deletion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<String>,
}

/// An edge that exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LiveGrant {
    /// The edge.
    #[serde(flatten)]
    pub key: GrantKey,
    /// Its attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: Attributes,
    /// What put it there, where that makes it unremovable by hand (`group rule x`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

impl Keyed for LiveGrant {
    fn key(&self) -> &GrantKey {
        &self.key
    }
}

/// How much of a scope was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// All of it.
    Complete,
    /// Not all of it, and why.
    Partial(String),
}

/// A part of a provider that is read as one: `okta:group` (all groups), `okta:group/x` (its edges), `aws/2222` (a whole
/// account).
pub type Scope = Name;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Resources by address.
    pub resources: BTreeMap<Address, Resource>,
    /// Edges, sorted by key, unique.
    #[serde(deserialize_with = "super::saved::live")]
    pub grants: Ordered<LiveGrant>,
    /// How much of each scope was read; a scope that is not here was not read at all.
    pub coverage: BTreeMap<Scope, Coverage>,
    /// Calls made per instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<Name, u64>,
}

impl Snapshot {
    /// Puts in order what was gathered in any order.
    pub fn normalize(&mut self) {
        self.grants.order(|grants| {
            grants.sort();
            grants.dedup_by(|a, b| a.key == b.key);
        });
    }

    /// Takes in what another part of the world was seen to hold.
    pub fn merge(&mut self, other: Self) {
        self.resources.extend(other.resources);
        self.normalize();
        // What is read again, to be looked at closely, is there already; the rest is one more run of sorted edges.
        let mut new = Vec::new();
        for grant in other.grants {
            match self.grants.binary_search_by(|known| known.key.cmp(&grant.key)) {
                Ok(at) if grant < self.grants[at] => self.grants[at] = grant,
                Ok(_) => {}
                Err(_) => new.push(grant),
            }
        }
        if !new.is_empty() {
            self.grants.append(&mut new);
        }
        self.coverage.extend(other.coverage);
        for (instance, calls) in other.calls {
            *self.calls.entry(instance).or_default() += calls;
        }
        self.normalize();
    }

    /// Takes in fields that were read apart, of resources that are here.
    pub fn take_in_fields(&mut self, fields: Self) {
        for (address, more) in fields.resources {
            if let Some(resource) = self.resources.get_mut(&address) {
                resource.attributes.extend(more.attributes);
            }
        }
        self.coverage.extend(fields.coverage);
        for (instance, calls) in fields.calls {
            *self.calls.entry(instance).or_default() += calls;
        }
    }

    /// The edges on a resource.
    #[must_use]
    pub fn edges_on(&self, resource: &Address) -> &[LiveGrant] {
        let start = self.grants.partition_point(|grant| grant.key.resource < *resource);
        let rest = self.grants.get(start..).unwrap_or_default();
        rest.get(..rest.partition_point(|grant| grant.key.resource == *resource)).unwrap_or_default()
    }

    /// An edge by key.
    #[must_use]
    pub fn grant(&self, key: &GrantKey) -> Option<&LiveGrant> {
        self.grants.binary_search_by(|grant| grant.key.cmp(key)).ok().and_then(|index| self.grants.get(index))
    }

    /// The edges, one slice for each relation on each resource.
    pub fn runs(&self) -> impl Iterator<Item = &[LiveGrant]> {
        let mut rest = self.grants.as_slice();
        std::iter::from_fn(move || {
            let first = &rest.first()?.key;
            let (run, after) = rest.split_at(length(rest, |grant| grant.key.is_beside(first)));
            rest = after;
            Some(run)
        })
    }

    /// How much was read of what would show whether this resource exists: the scope of its kind, else of its place.
    #[must_use]
    pub fn coverage_of(&self, address: &Address) -> Option<&Coverage> {
        let kind = format!("{}:{}", address.place(), address.kind());
        self.coverage.get(kind.as_str()).or_else(|| self.coverage.get(address.place()))
    }

    /// How much was read of what would show whether this edge exists: the scope of its resource, of its principal, of
    /// its place.
    #[must_use]
    pub fn coverage_of_grant(&self, key: &GrantKey) -> Option<&Coverage> {
        self.coverage
            .get(key.resource.as_str())
            .or_else(|| self.coverage.get(key.principal.as_str()))
            .or_else(|| self.coverage.get(key.principal.place()))
            .or_else(|| self.coverage.get(key.resource.place()))
    }

    /// The digest of one instance's part: of a line for each resource, then for each relation on a resource one line and
    /// one for each principal. What stands in a line is JSON with sorted keys, or an address, which has no line breaks.
    #[must_use]
    pub fn digest_of(&self, instance: &str) -> Digest {
        let is_of = |address: &Address| {
            let rest = address.as_str().strip_prefix(instance);
            rest.is_some_and(|rest| rest.starts_with([':', '/']))
        };
        let mut lines = Lines::default();
        for (address, resource) in self.resources.iter().filter(|(address, _)| is_of(address)) {
            lines.text(address.as_str());
            lines.json(resource);
            lines.end();
        }
        for run in self.runs() {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            // Principals are sorted, so what the place of the first and that of the last have in common all have.
            let (first, last) = (&first.key.principal, &last.key.principal);
            let alike = first.place() == last.place();
            if alike && !is_of(first) {
                continue;
            }
            let mut told = false;
            for LiveGrant { key, attributes, via } in
                run.iter().filter(|edge| alike || is_of(&edge.key.principal))
            {
                if !std::mem::replace(&mut told, true) {
                    lines.text(key.resource.as_str());
                    lines.json(&key.relation);
                    lines.end();
                }
                lines.text(key.principal.as_str());
                if key.condition.is_some() || !attributes.is_empty() || via.is_some() {
                    lines.json(&(&key.condition, attributes, via));
                }
                lines.end();
            }
        }
        lines.digest()
    }
}

/// How many of a sorted list's first items are `alike`, without looking at each.
pub fn length<T>(items: &[T], alike: impl Fn(&T) -> bool) -> usize {
    let mut step = 1;
    while items.get(step).is_some_and(&alike) {
        step *= 2;
    }
    let (from, to) = (step / 2, items.len().min(step));
    items.get(from..to).map_or(items.len(), |rest| from + rest.partition_point(alike))
}
