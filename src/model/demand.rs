//! What was demanded, as memory keeps it between applies (`rolecall.demand/v1`).
//!
//! Invariant: what was not seen to be true says so, and keeps the cause it had until it is.
//! It must not justify anything by itself: it only tells standing changes and drift from requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::{Address, Name};
use super::grant::GrantKey;
use super::ordered::{Keyed, Ordered};
use super::plan::{Cause, Standing};
use super::resource::Origin;
use super::value::{Attributes, Value};

/// What was demanded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Demand {
    /// The `format`.
    pub format: String,
    /// Edges.
    #[serde(deserialize_with = "super::saved::demanded")]
    pub grants: Ordered<DemandedGrant>,
    /// Fields of resources.
    pub resources: BTreeMap<Address, BTreeMap<Name, DemandedField>>,
    /// When each session of a role that is given on request began, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub begun: BTreeMap<Name, Timestamp>,
}

impl Demand {
    /// Whether people are among those whom it is about.
    #[must_use]
    pub fn knows_people(&self) -> bool {
        self.grants.iter().any(|grant| grant.subject.is_some())
    }

    /// Takes over from before what it does not say anything of, and what was wanted and is not any more: for where who is to
    /// have what could not be worked out.
    pub fn keep(&mut self, before: &Self) {
        let mut kept: BTreeMap<&GrantKey, &DemandedGrant> =
            before.grants.iter().map(|grant| (&grant.key, grant)).collect();
        self.grants.retain(|grant| match kept.get(&grant.key) {
            Some(before) if before.want.is_some() && grant.want.is_none() => false,
            _ => {
                kept.remove(&grant.key);
                true
            }
        });
        self.grants.extend(kept.into_values().cloned());
        self.grants.sort_by(|one, other| one.key.cmp(&other.key));
        for (address, fields) in &before.resources {
            self.resources.entry(address.clone()).or_insert_with(|| fields.clone());
        }
        self.keep_begun(Some(before));
    }
}

impl Demand {
    /// Leaves what a limited run did not pick as it was before: what nobody tried is neither true nor anybody's doing.
    pub fn leave(&mut self, before: Option<&Self>, edges: &BTreeSet<GrantKey>, things: &BTreeSet<Address>) {
        if edges.is_empty() && things.is_empty() {
            return;
        }
        let old = before.into_iter().flat_map(|before| &before.grants);
        let old: Vec<DemandedGrant> = old.filter(|grant| edges.contains(&grant.key)).cloned().collect();
        self.grants.retain(|grant| !edges.contains(&grant.key));
        self.grants.extend(old);
        self.grants.sort_by(|one, other| one.key.cmp(&other.key));
        for thing in things {
            match before.and_then(|before| before.resources.get(thing)) {
                Some(fields) => drop(self.resources.insert(thing.clone(), fields.clone())),
                None => drop(self.resources.remove(thing)),
            }
        }
    }

    /// Keeps when sessions began that a tree does not ask for just now, as long as that tree is not base.
    pub fn keep_begun(&mut self, before: Option<&Self>) {
        for (session, at) in before.into_iter().flat_map(|before| &before.begun) {
            self.begun.entry(session.clone()).or_insert(*at);
        }
    }
}

/// The `format` of a saved demand.
pub const DEMAND_FORMAT: &str = "rolecall.demand/v1";

/// Whether what was demanded came true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemandState {
    /// It was seen to be true.
    #[default]
    True,
    /// The gate held it.
    Held,
    /// The provider is still at it.
    Pending,
    /// It was tried or not reached, and not seen to be true.
    Unfinished,
}

/// An edge that was demanded, or (`want: null`) demanded to be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DemandedGrant {
    /// The edge.
    #[serde(flatten)]
    pub key: GrantKey,
    /// Its attributes; `None`: it is to be gone.
    pub want: Option<Attributes>,
    /// Whether that came true.
    pub state: DemandState,
    /// The cause it had, which it keeps until it is true.
    pub cause: Cause,
    /// Which rule moved it, of a standing one; kept likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Whose principal it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Address>,
    /// Who asked.
    pub reason: Arc<Origin>,
    /// All roles that gave it, sorted: each of them can be frozen.
    #[serde(skip_serializing_if = "<[Name]>::is_empty")]
    pub roles: Arc<[Name]>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Since when it is to be gone because somebody moved: his handover begins there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Keyed for DemandedGrant {
    fn key(&self) -> &GrantKey {
        &self.key
    }
}

impl Demand {
    /// Puts in order what was gathered in any order.
    pub fn normalize(&mut self) {
        self.grants.order(|grants| {
            grants.sort_by(|one, other| one.key.cmp(&other.key));
            grants.dedup_by(|one, other| one.key == other.key);
        });
    }
}

/// A field that was demanded. The field named `""` stands for the resource's existence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemandedField {
    /// Its value; `Null` under `""` means that the resource is to be gone.
    pub want: Value,
    /// Whether that came true.
    #[serde(default)]
    pub state: DemandState,
    /// The cause it had.
    pub cause: Cause,
}
