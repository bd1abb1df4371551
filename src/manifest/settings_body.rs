//! `rolecall.yaml` as people write it; the JSON Schema of it is made of these.
//!
//! Invariant: each top-level key is a [`Part`], so that a mistake under one does not hide those under others.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::ownership::OwnBody;
use super::shape::{Pairs, Part};
use crate::model::plan::Risk;
use crate::model::settings::Heal;
use crate::model::{Node, Spanned};

/// The settings of an access repo: `rolecall.yaml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsBody {
    /// The version of this format: `1`.
    pub(crate) format: Part<Spanned<u32>>,
    /// The organization's name.
    pub(crate) organization: Part<String>,
    /// Where dates begin and end, such as `America/Los_Angeles`; `UTC` unless given.
    pub(crate) timezone: Option<Part<Spanned<String>>>,
    /// Who answers for what no role's owners do: settings, rules, people; handles and `@group/paths`.
    pub(crate) owners: Option<Part<Vec<Spanned<String>>>>,
    /// Where people come from.
    pub(crate) directory: Part<DirectoryBody>,
    /// Types of people.
    pub(crate) types: Option<Part<Pairs<Part<TypeBody>>>>,
    /// What people are called in each provider: a template such as `{email}`, or one for each type of people or kind of
    /// principal.
    pub(crate) identities: Option<Part<Pairs<Part<IdentityBody>>>>,
    /// What a role's group is called in each provider, such as `rbac_role_{role}`; or templates for the groups of roles,
    /// units and types; or the provider whose groups it gets.
    pub(crate) groups: Option<Part<Pairs<Part<GroupsBody>>>>,
    /// The providers, by a name of your own.
    pub(crate) providers: Option<Part<Pairs<Node>>>,
    /// The folder in which rolecall remembers; `.rolecall` unless given.
    pub(crate) memory: Option<Part<Spanned<String>>>,
    /// What happens to access that was given by hand.
    pub(crate) heal: Option<Part<Heal>>,
    /// What runs without a new approval.
    pub(crate) standing: Option<Part<StandingBody>>,
    /// Caps on what one run may do.
    pub(crate) limits: Option<Part<LimitsBody>>,
    /// Who must approve.
    pub(crate) approvals: Option<Part<ApprovalsBody>>,
    /// How long a plan can be applied, such as `7d`.
    pub(crate) plan_ttl: Option<Part<Spanned<String>>>,
    /// What is never changed: addresses or patterns of them.
    pub(crate) protected: Option<Part<Vec<Spanned<String>>>>,
    /// The folders that are read; `people`, `roles`, `grants`, `sandboxes`, `rules` and `native` unless given.
    pub(crate) manifests: Option<Part<Vec<Spanned<String>>>>,
    /// Where merge requests are, and which of their notes and approvals count.
    pub(crate) forge: Option<Part<ForgeBody>>,
    /// A world file, to simulate every provider with.
    pub(crate) simulate: Option<Part<Spanned<String>>>,
}

/// `manifests`, or the provider that people come from.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, rename = "Directory")]
#[expect(dead_code, reason = "the JSON Schema of what `directory` reads by hand")]
pub(crate) enum DirectoryBody {
    Manifests(ManifestsWord),
    Provider(FromProvider),
}

#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "part of a JSON Schema")]
pub(crate) enum ManifestsWord {
    /// `User` manifests alone.
    Manifests,
}

/// A provider that people come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FromProvider {
    /// The provider's name in `providers:`.
    pub(crate) from: Spanned<String>,
    /// The attribute whose part before `@`, in lower case, is the handle.
    pub(crate) handle: String,
    /// What entries may cite: our attribute, and the directory's.
    #[serde(default)]
    pub(crate) attributes: Pairs<String>,
}

/// A type of people.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeBody {
    /// A colour for templates of groups.
    pub(crate) color: Option<String>,
    /// Whether entries that do not name a type match it.
    #[serde(default)]
    pub(crate) rules: bool,
    /// Whether it has groups of its own, where the groups of roles are told apart by colour; `true` unless given.
    pub(crate) role_groups: Option<bool>,
    /// What a `User` of this type must have.
    #[serde(default)]
    pub(crate) needs: Vec<Need>,
    /// The directory's attributes that make a person of this type.
    #[serde(default, rename = "match")]
    pub(crate) matches: Pairs<String>,
}

/// What a `User` can be required to have.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Need {
    /// A manager.
    Manager,
    /// An owner.
    Owner,
    /// An end.
    Until,
    /// A review.
    Review,
}

#[derive(Debug, JsonSchema)]
#[schemars(untagged, rename = "Identity")]
#[expect(dead_code, reason = "the JSON Schema of what `identities` reads by hand")]
pub(crate) enum IdentityBody {
    One(String),
    Per(BTreeMap<String, String>),
}

#[derive(Debug, JsonSchema)]
#[schemars(untagged, rename = "Groups")]
#[expect(dead_code, reason = "the JSON Schema of what `groups` reads by hand")]
pub(crate) enum GroupsBody {
    One(String),
    Each(GroupNamesBody),
}

/// What the groups of roles, units and types are called.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupNamesBody {
    /// Of a role: `rbac_role_{role}`. With `{color}` each type of people has a group of its own.
    pub(crate) role: Option<Spanned<String>>,
    /// Of a unit: `rbac_ou_{unit}`.
    pub(crate) unit: Option<Spanned<String>>,
    /// Of all people of a type: `rbac_type_{color}`.
    #[serde(rename = "type")]
    pub(crate) kind: Option<Spanned<String>>,
}

/// What runs without a new approval, and up to which risk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StandingBody {
    /// People who join.
    pub(crate) joiner: Option<Part<Reach>>,
    /// People who move.
    pub(crate) mover: Option<Part<Reach>>,
    /// People who leave.
    pub(crate) leaver: Option<Part<Reach>>,
    /// What ends.
    pub(crate) expiry: Option<Part<Reach>>,
}

#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the JSON Schema of what `standing` reads by hand")]
pub(crate) enum Reach {
    All(AllWord),
    UpTo(UpTo),
}

#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "part of a JSON Schema")]
pub(crate) enum AllWord {
    /// Whatever the risk.
    All,
}

/// Up to a risk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpTo {
    /// The highest risk.
    pub(crate) up_to: Risk,
    /// For people who move: how long they keep what they had, such as `14d`.
    pub(crate) handover: Option<Spanned<String>>,
}

/// Caps on what one run may do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsBody {
    /// Removals per group and per provider: the larger of the two.
    pub(crate) removals: Option<CapBody>,
    /// Removals over all.
    pub(crate) per_run: Option<u32>,
    /// People who leave in one run: the larger of the two.
    pub(crate) leavers: Option<CapBody>,
    /// The administrators that must remain.
    pub(crate) admins: Option<AdminsBody>,
}

/// A number and a share; the larger counts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CapBody {
    /// At least this many.
    pub(crate) floor: Option<u32>,
    /// This share, in percent.
    #[schemars(range(max = 100))]
    pub(crate) percent: Option<Spanned<u32>>,
}

/// The administrators that must remain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminsBody {
    /// How many.
    pub(crate) min: u32,
    /// The groups whose members are administrators: addresses.
    pub(crate) of: Vec<Spanned<String>>,
}

/// Who must approve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalsBody {
    /// Approvals that a low risk needs.
    #[schemars(range(min = 1))]
    pub(crate) low: Option<Spanned<u32>>,
    /// Approvals that a medium risk needs.
    #[schemars(range(min = 1))]
    pub(crate) medium: Option<Spanned<u32>>,
    /// Approvals that a high risk needs.
    #[schemars(range(min = 1))]
    pub(crate) high: Option<Spanned<u32>>,
    /// Whose approvals count.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one word for it so far")]
    pub(crate) from: Approvers,
    /// Whether the person who applies may approve by typing the effect digest.
    #[serde(default)]
    pub(crate) operator: Operator,
    /// Public keys whose signed statements count as approvals, by handle: Ed25519, as `openssl pkey -pubout` prints them
    /// between the lines of dashes.
    #[serde(default)]
    pub(crate) keys: Pairs<Spanned<String>>,
}

/// Where merge requests are, and which of their notes and approvals count.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgeBody {
    /// Where GitLab is; `https://gitlab.com` unless given.
    pub(crate) url: Option<Spanned<String>>,
    /// The project of the access repo, with its groups: `acme/access`.
    pub(crate) project: Spanned<String>,
    /// The account that the pipeline writes notes with. Only its notes say what a merge request showed.
    pub(crate) bot: Option<String>,
    /// What marks the notes and issues of this access repo: `access` unless given. Two access repos in one project need two.
    pub(crate) target: Option<Spanned<String>>,
    /// The environment of the apply job, where its deployment approvals are to count.
    pub(crate) environment: Option<String>,
    /// Whether the notes are believed: `auto` where the pipeline is configured outside the project.
    #[serde(default)]
    pub(crate) notes: Notes,
    /// What becomes of an apply where the forge lets authors approve, or keeps approvals when something is pushed.
    #[serde(default)]
    pub(crate) settings: ForgeSettings,
}

/// Whether the notes are believed.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Notes {
    /// Where the pipeline is configured in another project.
    #[default]
    Auto,
    /// Always: a pipeline execution policy makes them.
    Trusted,
    /// Never.
    Advice,
}

/// What weak approval settings of the forge do.
#[derive(Debug, Default, Clone, Copy, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ForgeSettings {
    /// Nothing is applied.
    #[default]
    Required,
    /// It is recorded in the evidence, and goes on.
    Recorded,
}

/// Whose approvals count.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Approvers {
    /// The owners of what changes.
    #[default]
    Owners,
}

/// Whether the person who applies may approve.
#[derive(Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operator {
    /// He may not.
    #[default]
    Forbidden,
    /// He may.
    Allowed,
}

/// The JSON Schema parts of a provider's entry that are the same for all sorts.
#[derive(JsonSchema)]
#[schemars(rename = "Provider")]
#[expect(dead_code, reason = "a JSON Schema for the keys that `provider` takes off")]
pub(crate) struct ProviderBody {
    /// The sort of provider; its name unless given.
    provider: Option<String>,
    /// What may be touched; the first entry that matches decides, and what matches none is only looked at.
    own: Option<Vec<OwnBody>>,
}
