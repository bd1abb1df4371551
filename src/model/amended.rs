//! A document of the access repo that head has otherwise than base: what judges and what is asked is asked for, too.
//!
//! Invariant: what has to be approved is what it says, before and after, and not where or how it is written. It says nothing
//! of what changes live: that is shown by the changes.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::address::Name;
use super::plan::Risk;
use super::span::Span;
use super::value::Digest;

/// A document that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amended {
    /// Its kind: `Role`, `Settings`, `file`.
    pub kind: String,
    /// Its name; that of the file where it is one.
    pub name: String,
    /// The digest of what base says; nothing where it has no such document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// The digest of what head says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
    /// How much harm it can do.
    pub risk: Risk,
    /// The roles whose owners answer for it; none: those of the whole do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<Name>,
    /// Whom it gives them to, by handle.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub to: BTreeSet<Name>,
    /// Where it stands, or stood.
    pub span: Span,
    /// Digest of (kind, name, before, after).
    pub effect: Digest,
}

impl Amended {
    /// The digest of what it says, before and after.
    #[must_use]
    pub fn own_effect(&self) -> Digest {
        Digest::of(&("document", &self.kind, &self.name, &self.before, &self.after))
    }
}

impl fmt::Display for Amended {
    /// ``role `infra` ``
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A provider's kinds are called as they are written: `aws/Role`.
        let kind = if self.kind.contains('/') { self.kind.clone() } else { self.kind.to_lowercase() };
        write!(f, "{kind} `{}`", self.name)
    }
}
