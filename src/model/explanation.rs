//! Explanations: who has what and why, whether and why not, what an edit would give, what a line gives
//! (`rolecall.explanation/v1`).
//!
//! Invariant: all that is told carries the place in YAML that says so. What was not looked at is told as unknown
//! (`live: null`), never as absent. It must not be worded: that is `render`'s.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::address::{Address, Name};
use super::grant::GrantKey;
use super::inventory::Person;
use super::plan::{Risk, Why};
use super::resource::{LapseCause, Origin, Sensitivity};
use super::span::Span;

/// The `format` of an explanation.
pub const EXPLANATION_FORMAT: &str = "rolecall.explanation/v1";

/// An answer to a question about access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The `format`.
    pub format: &'static str,
    /// The time that it is for.
    pub at: Timestamp,
    /// The file that was laid over the directory, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// How many calls it took, by instance.
    pub calls: BTreeMap<Name, u64>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
}

/// The answer, by the form of the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "question", rename_all = "snake_case")]
pub enum Answer {
    /// Who has what.
    Has(Has),
    /// Whether somebody has something.
    Whether(Whether),
    /// What would give something to somebody.
    Wants(Wants),
    /// What a line gives.
    Line(Cut),
}

/// All that one person or thing has, or that is had of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Has {
    /// What was asked about.
    pub about: Address,
    /// What is known of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// What is known of the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleFacts>,
    /// The roles that the person has, or the people who have the role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Holding>,
    /// Edges.
    pub edges: Vec<Edge>,
    /// What is another time's, where the question is for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Then>,
}

/// What a role says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoleFacts {
    /// Where it stands.
    pub span: Span,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who approves changes.
    pub owners: Vec<String>,
    /// How much harm its access can do.
    pub sensitivity: Sensitivity,
    /// Why nobody loses it for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
    /// What it gives.
    pub gives: Vec<Gives>,
}

/// One thing that a role gives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Gives {
    /// On what.
    pub resource: Address,
    /// By which edge.
    pub relation: Name,
    /// The line that says so.
    pub span: Span,
}

/// Somebody and a role that he has, or is mentioned in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// The role.
    pub role: Name,
    /// Where it stands.
    pub span: Span,
    /// The person.
    pub person: Address,
    /// Why he does not have it, where he does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lapse: Option<LapseCause>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What gives it, or takes it.
    pub because: Vec<Origin>,
}

/// One edge and why it is there, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The edge.
    #[serde(flatten)]
    pub key: GrantKey,
    /// Whose principal it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<Address>,
    /// Whether YAML asks for it.
    pub wanted: bool,
    /// Whether it is there; `None`: nobody looked, or it could not be seen.
    pub live: Option<bool>,
    /// Why YAML mentions it and does not ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lapse: Option<LapseCause>,
    /// What put it there, where it is the provider itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who asked, or what took it.
    pub because: Vec<Origin>,
}

/// What one time has that another has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Then {
    /// The time that is compared with.
    pub now: Timestamp,
    /// What is asked for now and not then.
    pub ended: Vec<Edge>,
    /// What is asked for then and not now.
    pub begun: Vec<Edge>,
}

/// Whether somebody has something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Whether {
    /// Who.
    pub who: Address,
    /// What is known of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// What.
    pub on: Address,
    /// Whether YAML asks for it.
    pub wanted: bool,
    /// Whether it is there; `None`: it could not be seen, or is nothing that a provider has, such as a role.
    pub live: Option<bool>,
    /// The edges that make it so, one after the other where it comes through a group, and those that ended.
    pub edges: Vec<Edge>,
    /// Every role that would give it, and whether he has that.
    pub roles: Vec<Judged>,
    /// What gives it besides roles, and does not name him.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Origin>,
}

/// Whether somebody has a role, and what is missing if not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The role.
    pub role: Name,
    /// Where it stands.
    pub span: Span,
    /// The line of `access` that gives what was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gives: Option<Span>,
    /// The verdict.
    pub verdict: Standing,
    /// What gives it, or takes it.
    pub because: Vec<Origin>,
    /// The entry that comes nearest, where none matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
}

/// Whether somebody has a role, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// He has it.
    Has,
    /// The word that would give it counts no more, or not yet, or somebody took it.
    Lapsed(LapseCause),
    /// No entry is about him.
    NoEntry,
}

/// An entry that is not about somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nearest {
    /// The entry in words.
    pub entry: String,
    /// Where it stands.
    pub span: Span,
    /// Its conditions, one by one.
    pub conditions: Vec<Held>,
}

/// One condition of an entry and what is true of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Whether it is met.
    pub holds: bool,
    /// In words: `department is red_team, and this entry asks for engineering`.
    pub text: String,
    /// The roles that it asks for, where it asks for roles and is not met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Judged>,
}

/// What would give something to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wants {
    /// Who.
    pub who: Address,
    /// What.
    pub on: Address,
    /// Whether YAML asks for it already.
    pub wanted: bool,
    /// The smallest edit; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<Proposal>,
    /// The other roles that would give it, with how much else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Other>,
    /// Who must approve the edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approvers>,
    /// What stands in the way.
    pub blocks: Vec<Block>,
}

/// An edit that would give something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The role that it gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
    /// The file to add, or to add to.
    pub file: String,
    /// The list to add to: a key of the document that begins at this place; `None`: a file of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<(String, Span)>,
    /// The text, ready to paste.
    pub text: String,
    /// Whether the same, resolved with the edit, gives it. An edit that was not seen to give it is not shown as if it did.
    pub verified: bool,
    /// What else it gives.
    pub extras: Vec<GrantKey>,
    /// The same as an entry of the role's `members`, for what is to stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_good: Option<Box<Self>>,
}

/// A role that would give it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Other {
    /// The role.
    pub role: Name,
    /// How many edges it gives besides.
    pub extras: usize,
}

/// Who must approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approvers {
    /// The owners of the role.
    pub owners: Vec<String>,
    /// How many of them.
    pub quorum: u32,
    /// The risk that says so.
    pub risk: Risk,
    /// What makes it so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub risk_reasons: Vec<String>,
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Block {
    /// In a word.
    pub why: Obstacle,
    /// In words.
    pub text: String,
    /// The line that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What stands in the way, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// Nothing gives it.
    NoRole,
    /// An `except` is about the person.
    Excepted,
    /// The person is not at work.
    Status,
    /// `own:` does not let it be given.
    Own,
    /// A plan would hold it.
    Held(Why),
    /// The edit makes something else wrong.
    Wrong,
}

/// What a line gives: what would be lost if it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// The line.
    pub line: Span,
    /// What stands there, in words.
    pub what: String,
    /// Who would lose which role.
    pub roles: Vec<Holding>,
    /// Edges that nobody would ask for any more.
    pub loses: Vec<Edge>,
    /// Edges that it asks for too, each with what else does.
    pub keeps: Vec<Edge>,
    /// Edges that it keeps from being asked for.
    pub gains: Vec<Edge>,
    /// Things that would not be declared any more.
    pub resources: Vec<Address>,
    /// What would be wrong without it.
    pub breaks: Vec<String>,
}
