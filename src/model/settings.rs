//! Settings: what `rolecall.yaml` says, as nouns that planner, gate and providers share.
//!
//! Invariant: head's settings say what is asked for, base's judge it; nothing here is read from the environment.
//! It must not parse: `manifest` makes it.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{Address, Name};
use super::kind::ProviderScope;
use super::ownership::Ownership;
use super::pattern::Pattern;
use super::plan::Risk;
use super::span::{Node, Span, Spanned};

/// What `rolecall.yaml` says, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The organization's name.
    pub organization: String,
    /// Where `until: DATE` ends.
    pub timezone: jiff::tz::TimeZone,
    /// Who answers for what no role's owners do: handles and `@group/paths`.
    pub owners: Vec<Spanned<String>>,
    /// Where people come from.
    pub directory: Directory,
    /// Types of people, in the order of the file.
    pub types: Vec<PersonType>,
    /// Templates of people's names, by instance; per person type where that is given.
    pub identities: BTreeMap<Name, Identity>,
    /// What groups of ours are called, by instance.
    pub groups: BTreeMap<Name, GroupNames>,
    /// Providers by instance.
    pub providers: BTreeMap<Name, ProviderSettings>,
    /// What may be touched.
    pub own: Ownership,
    /// The folders that hold manifests.
    pub manifests: Vec<String>,
    /// The folder of the memory, relative to the access repo.
    pub memory: String,
    /// Whether the standing job takes away what was given by hand.
    pub heal: Heal,
    /// What runs without a new approval.
    pub standing: Standing,
    /// Caps.
    pub limits: Limits,
    /// Who must approve.
    pub approvals: Approvals,
    /// How long a plan can be applied.
    pub plan_ttl: SignedDuration,
    /// What is never changed: addresses or patterns of them.
    pub protected: Vec<Spanned<Pattern>>,
    /// Where merge requests are, and whose notes count.
    pub forge: Option<Forge>,
    /// The world file, where everything is simulated.
    pub simulate: Option<Spanned<String>>,
}

/// Where people come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directory {
    /// `User` manifests alone.
    Manifests,
    /// A provider masters people; `User` manifests add those it does not have.
    Provider {
        /// The instance.
        from: Spanned<Name>,
        /// The profile attribute whose part before `@`, in lower case, is the handle.
        handle: String,
        /// Our attribute → the directory's.
        attributes: BTreeMap<Name, String>,
    },
}

/// A type of people: employee, contractor, service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonType {
    /// Its name.
    pub name: Name,
    /// The colour that group templates can use.
    pub color: Option<String>,
    /// Whether entries that do not name a type match it.
    pub rules: bool,
    /// Whether it has groups of its own, where the groups of roles are told apart by colour.
    pub role_groups: bool,
    /// What a `User` of it must have: `manager`, `owner`, `until`, `review`.
    pub needs: Vec<String>,
    /// Directory attributes (by the directory's names) that make a person of this type.
    pub matches: BTreeMap<Name, String>,
    /// Where it stands.
    pub span: Span,
}

/// What the groups of roles, units and types are called in one provider: templates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupNames {
    /// Of a role: `rbac_role_{role}`. With `{color}` each type of people has a group of its own.
    pub role: Option<Spanned<String>>,
    /// Of a unit: `rbac_ou_{unit}`.
    pub unit: Option<Spanned<String>>,
    /// Of all people of a type: `rbac_type_{color}`.
    pub kind: Option<Spanned<String>>,
}

/// How people are called in one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The template for everyone: `{handle}`, `{email}`, or an attribute in braces.
    pub template: Option<Spanned<String>>,
    /// Templates by person type, or by the provider's kind of principal.
    pub per: BTreeMap<Name, Spanned<String>>,
}

/// One provider's part of the settings.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// The key in `providers:`.
    pub instance: Name,
    /// Which sort it is; defaults to the key.
    pub provider: Name,
    /// Everything but `provider` and `own`, for the provider itself to read.
    pub options: Node,
    /// The scope of things that name none.
    pub scope: ProviderScope,
}

/// What happens to access that was given by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Heal {
    /// It is shown as drift.
    #[default]
    None,
    /// The standing job takes it away.
    Revoke,
}

/// How far standing changes go by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The highest risk of a joiner's grant.
    pub joiner: Risk,
    /// The highest risk of a mover's grant or removal.
    pub mover: Risk,
    /// How long a mover keeps what he had.
    pub handover: SignedDuration,
    /// The highest risk of what a leaver or suspension takes away.
    pub leaver: Risk,
    /// The highest risk of what an end takes away.
    pub expiry: Risk,
}

impl Default for Standing {
    fn default() -> Self {
        let handover = SignedDuration::ZERO;
        Self { joiner: Risk::Medium, mover: Risk::Low, handover, leaver: Risk::High, expiry: Risk::High }
    }
}

/// A cap: the larger of a number and a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// At least this many are allowed.
    pub floor: u32,
    /// And this share of what is there, in percent.
    pub percent: u32,
}

impl Cap {
    /// How many of `total` may go.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        u64::from(self.floor).max(total.saturating_mul(u64::from(self.percent)) / 100)
    }
}

/// Caps on what one run may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Removals per group and per provider.
    pub removals: Cap,
    /// Removals over all in one run.
    pub per_run: u32,
    /// Leavers in one run, of all people.
    pub leavers: Cap,
    /// The least number of administrators.
    pub admins_min: u32,
    /// The groups whose members are administrators.
    pub admins_of: Vec<Spanned<Address>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            removals: Cap { floor: 10, percent: 25 },
            per_run: 200,
            leavers: Cap { floor: 15, percent: 2 },
            admins_min: 0,
            admins_of: Vec::new(),
        }
    }
}

/// Who must approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    /// Approvals that a low, medium and high risk need.
    pub quorum: [u32; 3],
    /// Whether the person who applies may approve by typing the effect digest.
    pub operator: bool,
    /// The public keys, Ed25519, whose signed statements count, by handle; 32 bytes each.
    pub keys: BTreeMap<Name, [u8; 32]>,
}

impl Default for Approvals {
    fn default() -> Self {
        Self { quorum: [1, 1, 2], operator: false, keys: BTreeMap::new() }
    }
}

impl Approvals {
    /// How many approvals a risk needs.
    #[must_use]
    pub fn needed(&self, risk: Risk) -> u32 {
        let [low, medium, high] = self.quorum;
        match risk {
            Risk::Low => low,
            Risk::Medium => medium,
            Risk::High => high,
        }
    }
}

/// Where merge requests are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forge {
    /// Where it is: `https://gitlab.com`.
    pub url: Spanned<url::Url>,
    /// The project of the access repo: `acme/access`.
    pub project: String,
    /// The account whose notes show plans.
    pub bot: Option<String>,
    /// What marks the notes and issues of this access repo.
    pub target: String,
    /// The environment whose deployment approvals count.
    pub environment: Option<String>,
    /// Whether what notes show is believed; `None`: where the pipeline lies outside the project.
    pub notes: Option<bool>,
    /// Whether weak approval settings of the forge are recorded and let pass, or refused.
    pub lenient: bool,
}
