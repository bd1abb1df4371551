//! The plan: an immutable list of changes, each with its cause, reason, risk and the live values it rests on
//! (`rolecall.plan/v1`).
//!
//! Invariant: the effect digest depends on what is to be approved (request changes, what is queued, the waivers that are
//! used, documents that differ) and on nothing else, not even their order.
//! It must not hold secrets, floats, or anything that apply would trust without planning again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{Address, Name};
use super::amended::Amended;
use super::approval::Quorum;
use super::finding::{Finding, Waiver};
use super::grant::GrantKey;
use super::pattern::Pattern;
use super::resource::Origin;
use super::span::Span;
use super::value::{Attributes, Digest};

/// The `format` of a plan.
pub const PLAN_FORMAT: &str = "rolecall.plan/v1";

/// The field that an adopt on a grant changes: when it ends, which no provider is told.
pub const UNTIL: &str = "until";

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Makes a resource.
    Create,
    /// Changes fields of a resource, or attributes of a grant.
    Update,
    /// Removes a resource.
    Delete,
    /// Adds an edge.
    Grant,
    /// Removes an edge.
    Revoke,
    /// Declares what is live already; writes nothing.
    Adopt,
    /// Lets go of what is no longer owned; writes nothing.
    Forget,
}

impl Op {
    /// Whether it takes something away.
    #[must_use]
    pub fn is_removal(self) -> bool {
        matches!(self, Self::Delete | Self::Revoke)
    }

    /// Whether it calls the provider.
    #[must_use]
    pub fn writes(self) -> bool {
        !matches!(self, Self::Adopt | Self::Forget)
    }
}

/// Why something changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Head asks for it and base did not.
    Request,
    /// People or time moved under approved rules.
    Standing,
    /// Live moved by itself.
    Drift,
}

/// Which approved rule moved a standing change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Someone came.
    Joiner,
    /// Someone moved.
    Mover,
    /// Someone left or is suspended.
    Leaver,
    /// Something ended.
    Expiry,
}

/// How much harm a change could do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Little.
    #[default]
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

/// Why a change is declined for now. The order is the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It would change what is protected.
    Protected,
    /// It would take away from the principal that applies.
    #[serde(rename = "self")]
    OwnAccess,
    /// Too few administrators would be left.
    LastAdmin,
    /// It would break a separation of duties.
    Separation,
    /// Too many removals.
    Capped,
    /// A group would become empty.
    Empty,
    /// A guardrail forbids it.
    Guardrail,
    /// An entry of its role cites what is gone.
    Frozen,
    /// What it rests on was not read whole.
    Incomplete,
    /// Its principal or resource does not exist and is not being created.
    Absent,
    /// A name has changed hands, or two people share one.
    Identity,
    /// It takes its time: an earlier operation is still under way, or a mover's handover.
    Pending,
    /// A standing change beyond what runs by itself.
    Queued,
}

impl Why {
    /// Whether the gate denies because of it (exit 3); the others only wait.
    #[must_use]
    pub fn denies(self) -> bool {
        self <= Self::Guardrail
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it does.
    pub op: Op,
    /// The resource it is about; of a grant, what is given.
    pub address: Address,
    /// The edge, of a grant.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantKey>,
    /// The person it is about, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Address>,
    /// The managed attributes before, as seen live; `None`: not there.
    pub before: Option<Attributes>,
    /// The managed attributes after; `None`: gone.
    pub after: Option<Attributes>,
    /// The names of the attributes that change, of an update. Of an adopt on a grant: [`UNTIL`], whose end changes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fields: BTreeSet<Name>,
    /// Why.
    pub cause: Cause,
    /// Which rule moved it, of a standing change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Who asked, and where.
    pub reason: Origin,
    /// Further places that ask for the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Origin>,
    /// When what is given ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How much harm it could do.
    pub risk: Risk,
    /// What makes it more than low, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risk_reasons: Vec<String>,
    /// Digests of the effects that must be done before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requires: BTreeSet<Digest>,
    /// What goes with it: keys, MFA devices, memberships of what is deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<String>,
    /// Digest of the live values that it rests on.
    pub precondition: Digest,
    /// Digest of what it does: (op, address, grant key, after), when that ends, and what goes with it.
    pub effect: Digest,
    /// Who let the rule in that a standing change follows, where Git tells: the merge request, else the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Takes over a live edge that base did not claim.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_over: bool,
}

impl Change {
    /// The digest of what a change without an end does: no ids, no reasons.
    #[must_use]
    pub fn effect_of(
        op: Op,
        address: &Address,
        grant: Option<&GrantKey>,
        after: Option<&Attributes>,
        dependents: &[String],
    ) -> Digest {
        Self::effect_until(op, address, grant, after, dependents, None)
    }

    /// The digest of what a change does, and until when: no ids, no reasons. A later end is another effect.
    #[must_use]
    pub fn effect_until(
        op: Op,
        address: &Address,
        grant: Option<&GrantKey>,
        after: Option<&Attributes>,
        dependents: &[String],
        until: Option<Timestamp>,
    ) -> Digest {
        #[derive(Serialize)]
        struct Effect<'a> {
            op: Op,
            address: &'a Address,
            grant: Option<&'a GrantKey>,
            after: Option<&'a Attributes>,
            #[serde(skip_serializing_if = "<[String]>::is_empty")]
            dependents: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            until: Option<Timestamp>,
        }
        Digest::of(&Effect { op, address, grant, after, dependents, until })
    }

    /// The digest of what this change does, worked out anew.
    #[must_use]
    pub fn own_effect(&self) -> Digest {
        let Self { op, address, grant, after, dependents, until, .. } = self;
        Self::effect_until(*op, address, grant.as_ref(), after.as_ref(), dependents, *until)
    }

    /// What the change is done to, in one line: `okta:user/x member okta:group/y`, or an address.
    #[must_use]
    pub fn target(&self) -> String {
        self.grant.as_ref().map_or_else(|| self.address.to_string(), ToString::to_string)
    }

    /// The roles that it comes through, by all who ask.
    pub fn roles(&self) -> impl Iterator<Item = &str> + Clone {
        std::iter::once(&self.reason).chain(&self.also).flat_map(Origin::roles)
    }

    /// The principals whose edges go with what is deleted.
    pub fn losers(&self) -> impl Iterator<Item = Address> {
        self.dependents.iter().filter_map(|edge| edge.split(' ').next()?.parse().ok())
    }

    /// Whether a pattern picks it: by its address, principal, resource or person.
    #[must_use]
    pub fn is_on(&self, pattern: &Pattern) -> bool {
        let grant = self.grant.iter().flat_map(|grant| [&grant.principal, &grant.resource]);
        std::iter::once(&self.address).chain(&self.subject).chain(grant).any(|a| pattern.matches_address(a))
    }
}

/// A change that is declined for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Why, first in precedence.
    pub why: Why,
    /// In words, with numbers and names.
    pub text: String,
    /// What to do: for a cap, the waiver ready to paste.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The change.
    pub change: Change,
}

/// A waiver of head's that lets changes of this plan go. Whoever approves the plan approves it too, so it is an effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waived {
    /// The waiver's name.
    pub name: String,
    /// The code that it waives.
    pub code: Name,
    /// What it waives the code for.
    pub on: BTreeSet<String>,
    /// Up to how many removals.
    pub allow: Option<u32>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub until: Timestamp,
    /// Where it stands.
    pub span: Span,
    /// What it lets go, in words: one text for each cap that it lifts.
    pub lets: Vec<String>,
    /// Digest of what it allows: (code, on, allow, until), whatever it is called and however much of it is used.
    pub effect: Digest,
}

impl Waived {
    /// A waiver with what it lets go.
    #[must_use]
    pub fn of(waiver: &Waiver, lets: Vec<String>) -> Self {
        let mut waived = Self {
            name: waiver.name.value.clone(),
            code: waiver.code.value.as_str().into(),
            on: waiver.on.iter().map(|on| on.value.clone()).collect(),
            allow: waiver.allow,
            owner: waiver.owner.clone(),
            reason: waiver.reason.clone(),
            until: waiver.until,
            span: waiver.name.span.clone(),
            lets,
            effect: Digest::of(&()),
        };
        waived.effect = waived.own_effect();
        waived
    }

    /// The digest of what it allows.
    #[must_use]
    pub fn own_effect(&self) -> Digest {
        #[derive(Serialize)]
        struct Effect<'a> {
            code: &'a str,
            on: &'a BTreeSet<String>,
            allow: Option<u32>,
            until: Timestamp,
        }
        Digest::of(&Effect { code: &self.code, on: &self.on, allow: self.allow, until: self.until })
    }
}

/// Something live that moved by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// A short name: the first digits of the digest of address and values.
    pub id: String,
    /// What would put it back. Never part of a plan's changes.
    pub change: Change,
    /// In words: `added by hand`, `removed by hand`, `changed by hand`.
    pub text: String,
}

/// A count of things with the first few named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How many resources, by instance and kind in the plural (`okta groups`).
    pub resources: BTreeMap<String, u64>,
    /// How many edges, by instance.
    pub grants: BTreeMap<String, u64>,
    /// The first few addresses.
    pub examples: Vec<String>,
}

/// Counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Changes by operation.
    #[serde(flatten)]
    pub by_op: BTreeMap<Op, u64>,
    /// Changes by risk.
    pub by_risk: BTreeMap<Risk, u64>,
    /// Changes by cause.
    pub by_cause: BTreeMap<Cause, u64>,
}

impl Summary {
    /// Counts changes.
    #[must_use]
    pub fn of(changes: &[Change]) -> Self {
        let mut summary = Self::default();
        for change in changes {
            *summary.by_op.entry(change.op).or_default() += 1;
            *summary.by_risk.entry(change.risk).or_default() += 1;
            *summary.by_cause.entry(change.cause).or_default() += 1;
        }
        summary
    }
}

/// What a plan rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Basis {
    /// The commit of base, where Git tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Digest of head's files.
    pub config: String,
    /// Digest of base's files; `None`: no base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_config: Option<String>,
    /// What was seen of each provider.
    pub providers: BTreeMap<Name, ProviderBasis>,
}

/// What was seen of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderBasis {
    /// Digest of what was seen.
    pub snapshot: Digest,
    /// Scopes that were not read whole, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partial: BTreeMap<Name, String>,
    /// How many scopes were read.
    pub scopes: u64,
    /// Calls made.
    pub calls: u64,
}

/// What the gate said, for people and files; it opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// All changes may go on.
    Allowed,
    /// Some are held for reasons that deny; the others may go on.
    Denied,
}

/// What planner and gate made, complete: this is `plan.json`.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_FORMAT`].
    pub format: String,
    /// A short id: digits of the digest of effect, creation and basis.
    pub id: String,
    /// The digest of `effects`, which is what is approved.
    pub effect: Digest,
    /// The digests of the request changes, of what is queued, and of the waivers that are used, sorted.
    pub effects: Vec<Digest>,
    /// When it was made.
    pub created: Timestamp,
    /// When it can no longer be applied.
    pub expires: Timestamp,
    /// Name and version of the program.
    pub tool: String,
    /// What it rests on.
    pub base: Basis,
    /// The changes in the order of execution.
    pub changes: Vec<Change>,
    /// The documents that are otherwise than base has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amended: Vec<Amended>,
    /// The waivers that let some of the changes go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<Waived>,
    /// What is declined for now.
    pub held: Vec<Held>,
    /// What moved by itself.
    pub drift: Vec<Drift>,
    /// What is outside `own`.
    pub unmanaged: Tally,
    /// What is inside `own` and was never declared.
    pub unclaimed: Tally,
    /// Messages of the checks.
    pub findings: Vec<Finding>,
    /// What the gate said.
    pub verdict: Ruling,
    /// Counts of the changes.
    pub summary: Summary,
    /// Whether everything was read whole.
    pub complete: bool,
    /// Whether all providers are simulated.
    #[serde(default)]
    pub simulated: bool,
    /// What it was limited to and what drift it reverts: apply plans again with the same.
    #[serde(default, skip_serializing_if = "Selection::is_all")]
    pub selection: Selection,
    /// The organization's time zone, by its IANA name, for people; empty: UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// Who can approve what of it. For people: what apply asks for is worked out anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quorums: Vec<Quorum>,
}

/// What a plan picks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selection {
    /// Only changes that one of these picks; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Pattern>,
    /// Only standing changes: what head asks for and base does not is left for a plan that is approved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standing: bool,
    /// Drift that one of these picks becomes changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revert: Vec<Pattern>,
    /// Only what takes away from the person of this handle, with what ends his sessions and keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contain: Option<Name>,
    /// The time it is for, where that is not when it was made; such a plan is for reading only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The file that was laid over the directory, with its digest; such a plan is for reading only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

impl Selection {
    /// Whether it picks all changes and no drift, as a plan does unless told otherwise.
    #[must_use]
    pub fn is_all(&self) -> bool {
        let Self { only, standing, revert, contain, at, directory } = self;
        only.is_empty()
            && !standing
            && revert.is_empty()
            && contain.is_none()
            && at.is_none()
            && directory.is_none()
    }

    /// Whether a plan of it is for reading only, since it does not rest on what is so now.
    #[must_use]
    pub fn is_rehearsed(&self) -> bool {
        self.at.is_some() || self.directory.is_some()
    }
}

impl Plan {
    /// The id of a plan: of what it would do, when it was made, and what it rests on.
    #[must_use]
    pub fn id_of(effect: &Digest, created: Timestamp, base: &Basis) -> String {
        Digest::of(&(effect, created, base)).short().to_owned()
    }

    /// Whether the digests are those of the content: a plan that came from a file may say anything.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let held = self.held.iter().map(|held| &held.change);
        let each = self.changes.iter().chain(held).all(|change| change.effect == change.own_effect())
            && self.waived.iter().all(|waived| waived.effect == waived.own_effect())
            && self.amended.iter().all(|amended| amended.effect == amended.own_effect());
        let (effects, effect) = Self::effects_of(&self.changes, &self.held, &self.waived, &self.amended);
        each && effects == self.effects
            && effect == self.effect
            && self.id == Self::id_of(&self.effect, self.created, &self.base)
    }

    /// The digests of what there is to approve, sorted, and the digest of those: the request changes, what is queued (a
    /// request change too that waits for a queued one), the waivers that are used, and the documents that differ. The other standing changes need no
    /// approval.
    #[must_use]
    pub fn effects_of(
        changes: &[Change],
        held: &[Held],
        waived: &[Waived],
        amended: &[Amended],
    ) -> (Vec<Digest>, Digest) {
        let requests = changes.iter().filter(|change| change.cause == Cause::Request);
        let queued = held.iter().filter(|held| held.why == Why::Queued).map(|held| &held.change);
        let waivers = waived.iter().map(|waived| &waived.effect);
        let documents = amended.iter().map(|amended| &amended.effect);
        let changes = requests.chain(queued).map(|change| &change.effect);
        let mut effects: Vec<Digest> = changes.chain(waivers).chain(documents).cloned().collect();
        effects.sort();
        effects.dedup();
        let all = Digest::of(&effects);
        (effects, all)
    }
}

macro_rules! words {
    ($type:ty: $($variant:ident => $word:literal),+ $(,)?) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

words!(Op: Create => "create", Update => "update", Delete => "delete", Grant => "grant", Revoke => "revoke",
    Adopt => "adopt", Forget => "forget");
words!(Cause: Request => "request", Standing => "standing", Drift => "drift");
words!(Standing: Joiner => "joiner", Mover => "mover", Leaver => "leaver", Expiry => "expiry");
words!(Risk: Low => "low", Medium => "medium", High => "high");
words!(Why: Protected => "protected", OwnAccess => "self", LastAdmin => "last_admin", Separation => "separation",
    Capped => "capped", Empty => "empty", Guardrail => "guardrail", Frozen => "frozen", Incomplete => "incomplete",
    Absent => "absent", Identity => "identity", Pending => "pending", Queued => "queued");
words!(Ruling: Allowed => "allowed", Denied => "denied");

/// What the planner found, before the gate has judged it.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// The changes in the order of execution, each with what it requires.
    pub changes: Vec<Change>,
    /// What the planner itself must decline: absent, incomplete, frozen, identity.
    pub held: Vec<Held>,
    /// What moved by itself.
    pub drift: Vec<Drift>,
    /// What is outside `own`.
    pub unmanaged: Tally,
    /// What is inside `own` and was never declared.
    pub unclaimed: Tally,
    /// Messages.
    pub findings: Vec<Finding>,
}
