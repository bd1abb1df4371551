//! Inventory: what must be known before desired can be worked out: people, accounts, and whether all were read.
//!
//! Invariant: leavers are known by status, never by absence; an incomplete directory says so.
//! It must not hold more of a person than rules can cite.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{Address, Name};

/// Where a person stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not there yet (Okta: STAGED; who is PROVISIONED has been activated, and needs his access on the first day).
    Staged,
    /// At work.
    #[default]
    Active,
    /// Out for now (Okta: SUSPENDED, or a `Suspension`).
    Suspended,
    /// Gone (Okta: DEPROVISIONED).
    Left,
}

/// A person or service account that roles can be given to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Person {
    /// The handle: `dmurphy`.
    pub handle: Name,
    /// What to call him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// E-mail address, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Name>,
    /// The key in `types:`; `None` where no `match` fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Name>,
    /// Where he stands.
    pub status: Status,
    /// The manager's handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<Name>,
    /// Attributes that rules can cite, as the directory writes them, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(Name, Name)>,
    /// Identities of his own, by instance; win over the templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identities: BTreeMap<Name, String>,
    /// The address of his record in the directory, where a provider masters it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Address>,
}

/// An account, project or the like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The instance it is in.
    pub instance: Name,
    /// Its id: the scope in addresses.
    pub id: Name,
    /// Its name.
    pub name: Name,
    /// Its organizational units from the root, joined by `/`.
    #[serde(default)]
    pub path: String,
}

/// People, accounts, and how much of them was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// People by handle.
    pub people: BTreeMap<Name, Person>,
    /// Accounts.
    #[serde(default)]
    pub accounts: Vec<Account>,
    /// Why the directory is not whole; empty: it is.
    #[serde(default)]
    pub incomplete: Vec<String>,
}

/// What a directory calls people, before settings say which attribute is which.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DirectoryRecord {
    /// The address of the record: `okta:user/klibby@acme.com`.
    pub address: Option<Address>,
    /// Where the person stands.
    pub status: Status,
    /// Profile attributes by the directory's own names, texts only.
    pub profile: BTreeMap<Name, Name>,
}

impl Person {
    /// An attribute that rules can cite.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known.as_ref() == name).map(|(_, value)| value.as_ref())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Staged => "not there yet",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Left => "left",
        })
    }
}
