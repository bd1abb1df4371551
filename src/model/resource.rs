//! What is wanted: desired resources and grants, each with the chain of places that asked for it.
//!
//! Invariant: grants are sorted by key and unique; an edge asked for twice keeps both origins and the later end.
//! It must not say what to do about it: that is the plan's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::address::{Address, Name};
use super::finding::Finding;
use super::grant::{Collection, GrantKey};
use super::grants::{Edge, End, Grants, Run};
use super::plan::Why;
use super::span::Span;
use super::value::Attributes;

/// Why something is wanted (or no longer): a sentence, the place, and what led there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// In words: `role birthright_engineering, entry 2: department is infrastructure`.
    pub text: String,
    /// The line that says so.
    pub span: Span,
    /// What led there, nearest first: the roles and grants in between.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The role that gives it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
}

impl Origin {
    /// The roles that it leads through: the one that gives it, and those that lead there.
    pub fn roles(&self) -> impl Iterator<Item = &str> + Clone {
        let linked = |link: &'_ String| -> Option<usize> {
            Some(link.strip_prefix("role ")?.split(' ').next()?.len())
        };
        let chain =
            self.chain.iter().filter_map(move |link| linked(link).and_then(|length| link.get(5..5 + length)));
        self.role.as_deref().into_iter().chain(chain)
    }

    /// Whether it leads through a role.
    #[must_use]
    pub fn leads_through(&self, role: &str) -> bool {
        self.roles().any(|known| known == role)
    }
}

/// A resource that should exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its address.
    pub address: Address,
    /// The managed fields, schema defaults included.
    pub attributes: Attributes,
    /// Who asked.
    pub origin: Arc<Origin>,
    /// A document, or a role for its own group, declares it. Otherwise an access entry names it: it is created if `own`
    /// allows all on it, and never deleted.
    pub declared: bool,
    /// Whether its membership may become empty.
    pub allow_empty: bool,
    /// How sensitive the role is that it belongs to, for the risk.
    pub sensitivity: Sensitivity,
}

/// How much harm access can do; as roles say.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Little.
    #[default]
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

/// An edge that should exist. What it is asked on is read as if it stood here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedGrant {
    /// The edge.
    pub key: GrantKey,
    /// Whose principal it is (`person:x`), where it is a person's.
    pub subject: Option<Address>,
    /// On which terms; all members that an entry gives a role share them.
    pub terms: Arc<Terms>,
}

/// On which terms an edge is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// Its attributes.
    pub attributes: Attributes,
    /// Who asked; at least one, sorted.
    pub origins: Vec<Arc<Origin>>,
    /// When the last of them ends.
    pub until: Option<jiff::Timestamp>,
    /// The highest sensitivity of those who ask.
    pub sensitivity: Sensitivity,
}

impl Deref for WantedGrant {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

/// Why an edge that YAML still mentions, or mentioned, is not wanted at `now`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapse {
    /// What took it away.
    pub cause: LapseCause,
    /// The place that says so.
    pub origin: Arc<Origin>,
    /// Whose it is.
    pub subject: Option<Address>,
}

/// What takes an edge away without anyone editing YAML, or by an explicit line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LapseCause {
    /// Its `until` has passed.
    Expired,
    /// Its `from` has not come.
    NotYet,
    /// An `except` names the person.
    Excepted,
    /// The person has left.
    Left,
    /// The person is suspended.
    Suspended,
}

/// Access that nobody may have together: two sides or more, and nobody may have something of two of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// The name of the `Separation`.
    pub name: Name,
    /// Its sides, in the order of the document.
    pub sides: Vec<ApartSide>,
    /// The document.
    pub origin: Arc<Origin>,
}

/// One side of what nobody may have together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApartSide {
    /// Whatever these roles give.
    pub roles: BTreeSet<Name>,
    /// Whatever is on these things.
    pub resources: BTreeSet<Address>,
}

impl Apart {
    /// The sides that an edge on a thing is on, where these roles give it.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "an iterator is gone through once for each side")]
    pub fn sides_of<'a>(
        &self,
        resource: &Address,
        roles: impl Iterator<Item = &'a str> + Clone,
    ) -> BTreeSet<usize> {
        let is_on = |side: &ApartSide| {
            side.resources.contains(resource) || roles.clone().any(|role| side.roles.contains(role))
        };
        (0..).zip(&self.sides).filter(|(_, side)| is_on(side)).map(|(number, _)| number).collect()
    }

    /// What is wanted on some side: each edge with what it is on, who gets it, and the sides.
    pub fn edges<'d>(
        &self,
        desired: &'d Desired,
    ) -> impl Iterator<Item = (&'d Run, &'d End, BTreeSet<usize>)> {
        let roster = desired.grants.roster();
        desired.grants.runs().iter().flat_map(move |run| {
            let of = |terms: &Arc<Terms>| {
                let roles = terms.origins.iter().flat_map(|origin| origin.roles());
                self.sides_of(&run.resource, roles)
            };
            let sides: Vec<BTreeSet<usize>> = run.terms.iter().map(of).collect();
            // Most things are on no side at all.
            let edges = if sides.iter().all(BTreeSet::is_empty) { &[][..] } else { &run.edges };
            let on = move |edge: &Edge| (&**run, roster.end(edge.end), sides[edge.terms as usize].clone());
            edges.iter().map(on).filter(|(_, _, sides)| !sides.is_empty())
        })
    }

    /// By person: the sides on which something is wanted for him.
    #[must_use]
    pub fn wanted(&self, desired: &Desired) -> BTreeMap<Address, BTreeSet<usize>> {
        let mut wanted: BTreeMap<Address, BTreeSet<usize>> = BTreeMap::new();
        for (_, end, sides) in self.edges(desired) {
            if let Some(person) = &end.subject {
                wanted.entry(person.clone()).or_default().extend(sides);
            }
        }
        wanted
    }
}

/// Somebody's time with a role that is given on request for a limited time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose (`person:x`).
    pub person: Address,
    /// With which role.
    pub role: Name,
}

/// What an entry cites that was there at base and is gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadCitation {
    /// The role whose entry it is.
    pub role: Name,
    /// The key: an attribute, `manager`, `reports_to` or `handle`.
    pub key: String,
    /// The value, as entries compare it.
    pub value: String,
    /// Where it is cited.
    pub span: Span,
}

impl Session {
    /// What the session of a grant, a role and a person is called.
    #[must_use]
    pub fn called(grant: &str, role: &str, handle: &str) -> Name {
        format!("{grant}/{role}/{handle}").into()
    }
}

/// Everything that one side (head or base) asks for at one `now`.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// Resources by address.
    pub resources: BTreeMap<Address, Wanted>,
    /// Edges, sorted by key, unique.
    pub grants: Grants,
    /// Edges that YAML mentions and that are not wanted at `now`.
    pub lapsed: BTreeMap<GrantKey, Lapse>,
    /// Collections that are what YAML says, no more, with the place that claims them.
    pub claims: BTreeMap<Collection, Arc<Origin>>,
    /// Relations on resources that are named where authority goes pair by pair, each with the first place that does.
    pub pairs: BTreeMap<(Address, Name), Arc<Origin>>,
    /// Targets that access entries name, declared or not.
    pub named: BTreeMap<Address, Arc<Origin>>,
    /// The principal of each known person in each instance, to recognise live edges of people.
    pub people: Arc<BTreeMap<Address, Address>>,
    /// Roles whose removals are held because an entry cites a value or manager that is gone, and why.
    pub frozen: BTreeMap<Name, Finding>,
    /// What entries cite that is gone, and freezes their roles.
    pub dead: Vec<DeadCitation>,
    /// Roles that may have members whom their `except` was to keep out, because that could not be worked out: nobody
    /// new gets them. Why, as what it gives is held for, and in words.
    pub doubtful: BTreeMap<Name, (Why, String)>,
    /// People (`person:x`) whose `User` base had and head does not, where the manifests are the directory: that is said
    /// by a person, unlike an absence; with what to say of it.
    pub removed: BTreeMap<Address, Arc<Origin>>,
    /// What nobody may have together.
    pub apart: Vec<Apart>,
    /// The sessions of roles that are given on request for a limited time, and of whom; by a name of their own. When they
    /// have begun is memory's to know.
    pub sessions: BTreeMap<Name, Session>,
    /// Resources whose group may become empty because leavers alone empty it, and the like, are the gate's to know;
    /// here: people who left or are suspended, by `person:x`.
    pub gone: BTreeSet<Address>,
    /// What is wrong or worth knowing.
    pub findings: Vec<Finding>,
}

impl Desired {
    /// An edge by key.
    #[must_use]
    pub fn grant(&self, key: &GrantKey) -> Option<WantedGrant> {
        self.grants.get(key)
    }

    /// Whether an edge belongs to a claimed collection.
    #[must_use]
    pub fn claims(&self, key: &GrantKey) -> bool {
        key.collections().iter().any(|collection| self.claims.contains_key(collection))
    }
}
