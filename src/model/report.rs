//! The report of an apply: what became of each change, and what is left.
//!
//! Invariant: every change of the plan appears exactly once, whatever happened.
//! It must not hold what a vendor answered beyond code, message and request id.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::plan::{Drift, Held, Op, Risk};
use super::value::Digest;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was carried out.
    Done,
    /// It was true already; nothing was written.
    Already,
    /// The provider is still at it.
    Pending,
    /// What it rests on had changed since the plan was approved.
    Refused,
    /// The provider said no.
    Failed,
    /// Whether it took effect is not known.
    Unknown,
    /// What it depends on did not happen, or the run ended before it.
    NotReached,
}

impl fmt::Display for State {
    /// In words, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Done => "done",
            Self::Already => "already",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::NotReached => "not reached",
        })
    }
}

/// One change and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The effect.
    pub effect: Digest,
    /// What it did.
    pub op: Op,
    /// To what: [`super::plan::Change::target`].
    pub target: String,
    /// How risky it was.
    pub risk: Risk,
    /// What became of it.
    pub state: State,
    /// Why, where it is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The vendor's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The report of an apply.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The plan's id.
    pub plan: String,
    /// The plan's effect digest.
    pub effect: Digest,
    /// How it was approved, in words.
    pub approval: String,
    /// Each change.
    pub steps: Vec<Step>,
    /// What a fresh plan still wants to change.
    pub left: Vec<String>,
    /// What is declined for now.
    pub held: Vec<Held>,
    /// What moved by itself.
    pub drift: Vec<Drift>,
    /// Whether no change is left.
    pub converged: bool,
    /// Calls made, reading included.
    pub calls: u64,
}

impl Report {
    /// How many steps ended in a state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.steps.iter().filter(|step| step.state == state).count()
    }
}

/// The `format` of a rehearsal.
pub const REHEARSAL_FORMAT: &str = "rolecall.rehearsal/v1";

/// What an apply did that was carried out on a simulated copy of live. Times are those of the copy.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// `rolecall.rehearsal/v1`.
    pub format: String,
    /// What became of each change, and what would be left.
    pub report: Report,
    /// Calls that read.
    pub reads: u64,
    /// Calls that write.
    pub writes: u64,
    /// Calls by the vendor's name of the action.
    pub calls: BTreeMap<String, u64>,
    /// How long each call took, in milliseconds.
    pub latency: u64,
    /// How long it took, in milliseconds.
    pub took: Took,
    /// What writing waited for.
    pub waited: Vec<Waited>,
}

/// How long an apply took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Took {
    /// Reading all that the plan is made from.
    pub reading: u64,
    /// Carrying out the changes.
    pub writing: u64,
    /// Looking at what has become of it.
    pub verifying: u64,
}

/// Something that was waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// What: a limit of a provider, or a pause before something is tried again.
    pub what: String,
    /// How often.
    pub times: u64,
    /// How long in all, in milliseconds; waits for the same that overlap count once.
    pub ms: u64,
}
