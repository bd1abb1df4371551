//! Verdict and permit: the two values without which nothing is written.
//!
//! Invariant: a verdict is made only by `gate`, a permit only by `apply` from a verdict and an approval; neither can be
//! read from a file. A writer cannot be made without a permit.

use std::collections::BTreeSet;

use super::address::Address;
use super::approval::Reviewed;
use super::plan::Ruling;
use super::value::Digest;

/// What the gate said about exactly these effects.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    ruling: Ruling,
    allowed: BTreeSet<Digest>,
}

impl Verdict {
    /// To be called by `gate` alone, which `tests/it/tidy.rs` sees to; visible for the tests of writers.
    #[doc(hidden)]
    pub fn new(ruling: Ruling, allowed: BTreeSet<Digest>) -> Self {
        Self { ruling, allowed }
    }

    /// Allowed or denied.
    #[must_use]
    pub fn ruling(&self) -> Ruling {
        self.ruling
    }

    /// Whether a change with this effect may go on.
    #[must_use]
    pub fn allows(&self, effect: &Digest) -> bool {
        self.allowed.contains(effect)
    }
}

/// How the effects were approved; recorded in journal and evidence.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Everything is simulated: none is needed.
    Simulated,
    /// Only standing changes within their limits.
    Standing,
    /// The person who applied typed the effect digest.
    Operator(Digest),
    /// Every change takes away from this one person, and does nothing else.
    Containment(Address),
    /// Whoever has to approve each effect did: at the forge, or by a signed statement.
    Reviewed(Box<Reviewed>),
}

impl std::fmt::Display for Approval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Simulated => f.write_str("none needed: everything is simulated"),
            Self::Standing => f.write_str("none needed: standing changes within their limits"),
            Self::Operator(effect) => write!(f, "effect {} typed by the operator", effect.short()),
            Self::Containment(person) => write!(f, "none needed: all of it only takes away from `{person}`"),
            Self::Reviewed(reviewed) => reviewed.fmt(f),
        }
    }
}

/// Leave to write exactly the allowed effects.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    verdict: Verdict,
    approval: Approval,
}

impl Permit {
    /// To be called by `apply` alone, which `tests/it/tidy.rs` sees to; visible for the tests of writers.
    #[doc(hidden)]
    pub fn new(verdict: Verdict, approval: Approval) -> Self {
        Self { verdict, approval }
    }

    /// Whether a change with this effect may be written.
    #[must_use]
    pub fn covers(&self, effect: &Digest) -> bool {
        self.verdict.allows(effect)
    }

    /// How it was approved.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }
}
