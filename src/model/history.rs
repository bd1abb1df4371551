//! What the journal of an apply says: its records, and what they tell about each change.
//!
//! Invariant: a history holds one entry a change and one a run, however often something was tried, and nothing else.
//! It must not be taken for the truth: what is true is read from live.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::permit::Approval;
use super::plan::{Op, Plan};
use super::report::State;
use super::value::Digest;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number, from 0.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The digest of the line before; of nothing, for the first.
    pub prev: Digest,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// An apply has begun.
    Opened {
        /// The format of the journal.
        format: String,
        /// The approved plan's id.
        plan: String,
        /// Its effect digest.
        effect: Digest,
        /// Bytes of a torn first line that were cut off.
        #[serde(default, skip_serializing_if = "is_zero")]
        torn: u64,
    },
    /// An apply goes on where another one ended.
    Resumed {
        /// Bytes of a torn last line that were cut off.
        torn: u64,
    },
    /// How it was approved; once per run.
    Approved {
        /// How.
        approval: Approval,
    },
    /// A call is about to be made.
    Intent {
        /// The effect.
        effect: Digest,
        /// What it does.
        op: Op,
        /// To what.
        target: String,
        /// Which try this is, from 1.
        attempt: u32,
    },
    /// What became of an effect.
    Outcome {
        /// The effect.
        effect: Digest,
        /// What became of it.
        state: State,
        /// Why, where it is not done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// The vendor's id of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// What to ask the provider about, where it is still at it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        poll: Option<String>,
    },
    /// Everything was done and seen to be true: the plan cannot be applied again.
    Finished {
        /// The approved plan's id.
        plan: String,
    },
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a journal tells.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct History {
    /// The approved plan's id; none where there is no record.
    pub plan: Option<String>,
    /// Its effect digest.
    pub effect: Option<Digest>,
    /// The runs that worked on it.
    pub runs: Vec<Run>,
    /// What is known of each change, in the order in which they came up.
    pub changes: Vec<Entry>,
    /// When everything was done and seen to be true.
    pub finished: Option<Timestamp>,
    /// How many records there are.
    pub records: u64,
    /// Bytes of a last line that is not whole.
    pub torn: u64,
    /// Where an effect stands in `changes`.
    #[serde(skip)]
    places: BTreeMap<Digest, usize>,
    /// Changes of this run that have an intent and no outcome after it.
    #[serde(skip)]
    under_way: BTreeSet<usize>,
}

/// One run over a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// When it began.
    pub began: Timestamp,
    /// When its last record was written.
    pub ended: Timestamp,
    /// How it was approved; none where it ended before.
    pub approval: Option<Approval>,
    /// Bytes of a torn last line that it found and cut off.
    pub torn: u64,
    /// How many changes were under way when it ended: begun, and nothing more is known of them.
    pub under_way: usize,
}

/// What is known of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its effect.
    pub effect: Digest,
    /// What it does; none where it was never begun, since then its outcome alone was recorded.
    pub op: Option<Op>,
    /// To what; none where it was never begun.
    pub target: Option<String>,
    /// How often it was begun, in all runs.
    pub tries: u32,
    /// When the last record of it was written.
    pub at: Timestamp,
    /// What became of it. What was begun and not heard of again is unknown.
    pub state: State,
    /// Why, where it is not done.
    pub message: Option<String>,
    /// The vendor's id of the last request that has one.
    pub request_id: Option<String>,
    /// What to ask the provider about, where it is still at it.
    pub poll: Option<String>,
}

impl History {
    /// The targets of what a run began to write, unless all of it was finished. What was refused was not begun.
    #[must_use]
    pub fn begun(&self) -> BTreeSet<&str> {
        let begun = self.changes.iter().filter(|change| self.is_open() && change.tries > 0);
        begun.filter_map(|change| change.target.as_deref()).collect()
    }

    /// The targets of what was taken away.
    #[must_use]
    pub fn taken_away(&self) -> BTreeSet<String> {
        let removed = |entry: &&Entry| entry.state == State::Done && entry.op.is_some_and(Op::is_removal);
        self.changes.iter().filter(removed).filter_map(|entry| entry.target.clone()).collect()
    }

    /// Takes in the next record.
    pub fn add(&mut self, at: Timestamp, event: Event) {
        self.records += 1;
        match event {
            Event::Opened { format: _, plan, effect, torn } => {
                (self.plan, self.effect) = (Some(plan), Some(effect));
                self.begin(at, torn);
            }
            Event::Resumed { torn } => self.begin(at, torn),
            Event::Approved { approval } => {
                if let Some(run) = self.runs.last_mut() {
                    run.approval = Some(approval);
                }
            }
            Event::Intent { effect, op, target, attempt: _ } => {
                let place = self.entry(effect, at);
                let entry = &mut self.changes[place];
                (entry.op, entry.target, entry.state) = (Some(op), Some(target), State::Unknown);
                (entry.message, entry.poll) = (None, None);
                entry.tries += 1;
                self.under_way.insert(place);
            }
            Event::Outcome { effect, state, message, request_id, poll } => {
                let place = self.entry(effect, at);
                let entry = &mut self.changes[place];
                (entry.state, entry.message, entry.poll) = (state, message, poll);
                entry.request_id = request_id.or(entry.request_id.take());
                self.under_way.remove(&place);
            }
            Event::Finished { plan: _ } => self.finished = Some(at),
        }
        if let Some(run) = self.runs.last_mut() {
            (run.ended, run.under_way) = (at, self.under_way.len());
        }
    }

    fn begin(&mut self, at: Timestamp, torn: u64) {
        self.under_way.clear();
        self.runs.push(Run { began: at, ended: at, approval: None, torn, under_way: 0 });
    }

    /// Where the entry of an effect stands; it is made if need be.
    fn entry(&mut self, effect: Digest, at: Timestamp) -> usize {
        let place = *self.places.entry(effect).or_insert_with_key(|effect| {
            self.changes.push(Entry {
                effect: effect.clone(),
                op: None,
                target: None,
                tries: 0,
                at,
                state: State::Unknown,
                message: None,
                request_id: None,
                poll: None,
            });
            self.changes.len() - 1
        });
        self.changes[place].at = at;
        place
    }

    /// What is known of an effect.
    #[must_use]
    pub fn of(&self, effect: &Digest) -> Option<&Entry> {
        self.places.get(effect).and_then(|place| self.changes.get(*place))
    }

    /// Whether the plan was carried out.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    /// Whether an apply began and did not finish.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.plan.is_some() && !self.is_finished()
    }

    /// What is known of each effect that was begun. An intent without an outcome is unknown; an effect that is not here
    /// was not begun.
    #[must_use]
    pub fn states(&self) -> BTreeMap<Digest, State> {
        self.changes.iter().map(|entry| (entry.effect.clone(), entry.state)).collect()
    }

    /// Says what changes do that were never begun, as their plan has it.
    pub fn name(&mut self, plan: &Plan) {
        for change in &plan.changes {
            if let Some(place) = self.places.get(&change.effect) {
                let entry = &mut self.changes[*place];
                entry.op.get_or_insert(change.op);
                entry.target.get_or_insert_with(|| change.target());
            }
        }
    }
}
