//! The documents of an access repo, decoded and checked for form: what `load` gives and `resolve` reads.
//!
//! Invariant: every name that a person wrote keeps its place. It must not know who matches an entry or what exists.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{
    Digest, Finding, Lock, Name, Native, Node, Origin, Pattern, Sensitivity, Settings, Sources, Span,
    Spanned, Status, Waiver,
};

/// A whole access repo, decoded.
#[derive(Debug, Clone)]
pub struct Tree {
    /// `rolecall.yaml`.
    pub settings: Settings,
    /// `kind: User`.
    pub users: Vec<User>,
    /// `kind: Role` and `kind: Unit`.
    pub roles: Vec<Role>,
    /// `kind: Grant`.
    pub grants: Vec<GrantFile>,
    /// `kind: Suspension`.
    pub suspensions: Vec<Suspension>,
    /// `kind: Separation`.
    pub separations: Vec<Separation>,
    /// `kind: Waiver`.
    pub waivers: Vec<Waiver>,
    /// Documents of the providers' kinds.
    pub natives: Vec<NativeDocument>,
    /// `rolecall.lock`, where there is one.
    pub lock: Option<Lock>,
    /// The files it was made of.
    pub sources: Sources,
    /// Digest of those files' paths and bytes.
    pub digest: Digest,
    /// Warnings and infos; a tree with errors is not made.
    pub findings: Vec<Finding>,
}

/// A person or service account that the directory does not master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The handle.
    pub name: Spanned<String>,
    /// The key in `types:`.
    pub kind: Spanned<String>,
    /// E-mail address.
    pub email: Option<Spanned<String>>,
    /// What to call him.
    pub display_name: Option<String>,
    /// The manager's handle.
    pub manager: Option<Spanned<String>>,
    /// Who answers for a service account.
    pub owner: Option<Spanned<String>>,
    /// When he ends.
    pub until: Option<Spanned<Timestamp>>,
    /// How often he is reviewed, as written.
    pub review: Option<String>,
    /// Attributes that rules can cite.
    pub attributes: Vec<(Spanned<String>, Spanned<String>)>,
    /// Identities of his own by instance.
    pub identities: Vec<(Spanned<String>, Spanned<String>)>,
    /// Where he stands; `active` unless the manifest says otherwise.
    pub status: Status,
    /// The document.
    pub span: Span,
}

/// A role, or a unit: a role that consists of nothing but roles.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its name.
    pub name: Spanned<String>,
    /// Whether it is a `Unit`.
    pub unit: bool,
    /// Everyone has exactly one of those with `job: true`.
    pub job: bool,
    /// In words, for people.
    pub description: Option<String>,
    /// Who approves changes: handles and `@group/paths`.
    pub owners: Vec<Spanned<String>>,
    /// How much harm its access can do.
    pub sensitivity: Sensitivity,
    /// How often it is reviewed, as written.
    pub review: Option<String>,
    /// Who has it: any of these.
    pub members: Vec<RoleEntry>,
    /// Who does not, whatever the entries say: any of these.
    pub except: Vec<RoleEntry>,
    /// It is given on request alone, and for how long.
    pub on_request: Option<OnRequest>,
    /// Whether its group may become empty.
    pub allow_empty: bool,
    /// What it gives.
    pub access: Vec<AccessEntry>,
    /// The document.
    pub span: Span,
}

/// On which terms a role is given to who asks for it; no rule gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnRequest {
    /// The longest that it lasts: from `from`, or else from the first apply.
    pub max: Option<SignedDuration>,
    /// Who must approve, besides whoever owns it.
    pub approve: Vec<Approver>,
    /// What a `Grant` of it must say.
    pub needs: Vec<GrantNeed>,
}

/// Who must approve that somebody gets a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// The manager of who gets it.
    Manager,
    /// An owner of the role.
    Owner,
}

/// What a `Grant` can be required to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantNeed {
    /// Why.
    Reason,
    /// The ticket.
    Ticket,
    /// An end.
    Until,
}

/// A person who is out of everything for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The handle.
    pub name: Spanned<String>,
    /// Why.
    pub reason: String,
    /// The document.
    pub span: Span,
}

/// Access that nobody may have together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Separation {
    /// Its name.
    pub name: Spanned<String>,
    /// Its sides: names of roles, and addresses.
    pub between: Vec<Vec<Spanned<String>>>,
    /// Why.
    pub reason: Option<String>,
    /// The document.
    pub span: Span,
}

/// One entry of `members` or `except`: all of its conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleEntry {
    /// What must be true; at least one.
    pub conditions: Vec<Condition>,
    /// From when it counts.
    pub from: Option<Spanned<Timestamp>>,
    /// Until when it counts.
    pub until: Option<Spanned<Timestamp>>,
    /// Why.
    pub reason: Option<String>,
    /// Where it begins.
    pub span: Span,
}

/// One key of an entry; any of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `handle:` these very people.
    Handle(Vec<Spanned<String>>),
    /// `type:` people of these types.
    Type(Vec<Spanned<String>>),
    /// `manager:` people whose manager is one of these.
    Manager(Vec<Spanned<String>>),
    /// `reports_to:` people below one of these, at any depth.
    ReportsTo(Vec<Spanned<String>>),
    /// `role:` those who have one of these roles.
    Role(Vec<Spanned<String>>),
    /// An attribute of the directory, compared in lower_snake_case.
    Attribute {
        /// The attribute, a key of `directory.attributes`.
        name: Spanned<String>,
        /// Its values.
        values: Vec<Spanned<String>>,
    },
}

/// One entry of `access:`: an instance and what the provider makes of the rest.
#[derive(Debug, Clone)]
pub struct AccessEntry {
    /// The provider's instance.
    pub instance: Spanned<String>,
    /// The provider's own words.
    pub body: Node,
}

/// `kind: Grant`: one request, one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantFile {
    /// Its name.
    pub name: Spanned<String>,
    /// Handles.
    pub to: Vec<Spanned<String>>,
    /// Roles.
    pub roles: Vec<Spanned<String>>,
    /// From when.
    pub from: Option<Spanned<Timestamp>>,
    /// Until when.
    pub until: Option<Spanned<Timestamp>>,
    /// Why.
    pub reason: Option<String>,
    /// The ticket.
    pub ticket: Option<String>,
    /// The document.
    pub span: Span,
}

/// A document of a provider's kind.
#[derive(Debug, Clone)]
pub struct NativeDocument {
    /// Its `kind:`, such as `aws/Role`.
    pub kind: Name,
    /// The provider's instance.
    pub instance: Name,
    /// Its name.
    pub name: Spanned<String>,
    /// The accounts it stands for; empty: the instance's own scope.
    pub accounts: Vec<Spanned<Pattern>>,
    /// What it was called before.
    pub renamed_from: Option<Spanned<String>>,
    /// The decoded body.
    pub body: Arc<dyn Native>,
    /// Where it stands, as an origin for what it declares.
    pub origin: Arc<Origin>,
}
