//! Grants: edges from a principal to a resource, and the collections that authority is claimed over.
//!
//! Invariant: (principal, relation, resource, condition) is the identity; attributes can change without the edge
//! becoming another one. It must not hold who asked: that is an [`Origin`](super::resource::Origin).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::address::{Address, Name};

/// The attribute of an edge by which a provider is told when it ends: RFC 3339, in UTC.
pub const EXPIRES: &str = "expires";

/// What makes an edge itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GrantKey {
    /// On what.
    pub resource: Address,
    /// By which edge: `member`, `attached`.
    pub relation: Name,
    /// To whom.
    pub principal: Address,
    /// Under which condition, in canonical text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Name>,
}

impl GrantKey {
    /// An edge without a condition.
    #[must_use]
    pub fn new(principal: &Address, relation: &str, resource: &Address) -> Self {
        Self {
            resource: resource.clone(),
            relation: relation.into(),
            principal: principal.clone(),
            condition: None,
        }
    }

    /// The thing that the edge's relation names, where it names one.
    #[must_use]
    pub fn named(&self) -> Option<Address> {
        named_by(&self.relation)
    }

    /// Whether two edges are of one relation on one resource.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        self.resource == other.resource && self.relation == other.relation
    }

    /// Whether it comes before another one, asked of neighbours in a list: those are mostly beside each other.
    #[must_use]
    pub fn precedes(&self, other: &Self) -> bool {
        match self.is_beside(other) {
            true => (&self.principal, &self.condition) < (&other.principal, &other.condition),
            false => self < other,
        }
    }

    /// Whether the edge belongs to a collection.
    #[must_use]
    pub fn is_in(&self, collection: &Collection) -> bool {
        match collection {
            Collection::OfResource { resource, relation } => {
                *resource == self.resource && *relation == self.relation
            }
            Collection::OfPrincipal { principal, relation } => {
                *principal == self.principal && *relation == self.relation
            }
        }
    }

    /// The collections that this edge can be claimed by.
    #[must_use]
    pub fn collections(&self) -> [Collection; 2] {
        [
            Collection::OfResource { resource: self.resource.clone(), relation: self.relation.clone() },
            Collection::OfPrincipal { principal: self.principal.clone(), relation: self.relation.clone() },
        ]
    }
}

/// The thing that a relation names, where it names one: a role of one's own that is bound.
#[must_use]
pub fn named_by(relation: &str) -> Option<Address> {
    // Most relations are plain words, and are asked about once per edge: no error is made for those.
    if relation.contains(':') { relation.parse().ok() } else { None }
}

impl fmt::Display for GrantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.principal, self.relation, self.resource)?;
        self.condition.as_ref().map_or(Ok(()), |condition| write!(f, " if {condition}"))
    }
}

/// A set of edges that a declaration has authority over: those in it that nobody asks for are not meant to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// All edges of one sort on a resource: a declared group's members.
    OfResource {
        /// The resource.
        resource: Address,
        /// The sort of edge.
        relation: Name,
    },
    /// All edges of one sort from a principal: the policies attached to a declared role.
    OfPrincipal {
        /// The principal.
        principal: Address,
        /// The sort of edge.
        relation: Name,
    },
}

impl Collection {
    /// All edges of one sort on a resource.
    #[must_use]
    pub fn of_resource(resource: &Address, relation: &str) -> Self {
        Self::OfResource { resource: resource.clone(), relation: relation.into() }
    }

    /// All edges of one sort from a principal.
    #[must_use]
    pub fn of_principal(principal: &Address, relation: &str) -> Self {
        Self::OfPrincipal { principal: principal.clone(), relation: relation.into() }
    }

    /// The thing whose collection it is.
    #[must_use]
    pub fn owner(&self) -> &Address {
        match self {
            Self::OfResource { resource, .. } => resource,
            Self::OfPrincipal { principal, .. } => principal,
        }
    }
}
