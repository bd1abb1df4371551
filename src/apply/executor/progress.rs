//! What an execution tells while it runs. Nothing depends on it: journal and report are made without it.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::Change;
use crate::model::report::Step;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many changes the plan has.
    pub total: usize,
    /// How many of them have ended, however.
    pub ended: usize,
    /// How many are under way.
    pub under_way: usize,
    /// How long the limits alone will make the rest take, as far as they are known.
    pub left: Option<Duration>,
}

/// Hears how a run goes on. It is called in the middle of it, so it must not wait.
pub trait Progress: Send + Sync {
    /// A change is begun: its first call is about to be made.
    fn begun(&self, _change: &Change, _tally: Tally) {}

    /// A change has ended.
    fn ended(&self, _step: &Step, _tally: Tally) {}

    /// Nothing of this goes on before that time: a limit of a provider, or a pause before something is tried again.
    fn waiting(&self, _what: &str, _until: Timestamp) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
