//! The journal of an apply, and the lock that keeps two of them apart: what was about to be done, and what became of it.
//!
//! JSON Lines, one record a line, each with the digest of the line before. Invariant: an intent is on disk before its
//! call is made, and nothing that is on disk is ever rewritten, save a last line that was torn by a crash.
//! It must not decide anything: what is true is read from live, not from here.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk::{Held, Locking, Place};
use super::{JOURNAL_BROKEN, JOURNAL_IO, LOCKED};
use crate::model::guard::Guard;
use crate::model::report::State;
use crate::model::{Approval, Digest, Finding, Op, Plan};

/// The `format` of a journal.
pub const JOURNAL_FORMAT: &str = "rolecall.journal/v1";

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number, from 0.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Digest of the line before; of nothing, for the first.
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
        /// [`JOURNAL_FORMAT`].
        format: String,
        /// The approved plan's id.
        plan: String,
        /// Its effect digest.
        effect: Digest,
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

/// What a journal tells.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Its records, in order.
    pub records: Vec<Record>,
    /// Bytes of a last line that is not whole.
    pub torn: u64,
    /// The digest of the last whole line.
    last: Option<Digest>,
    /// The length of all whole lines.
    length: u64,
}

impl History {
    /// Reads a journal; `None` where there is none. A torn last line is noted and left alone.
    pub fn read(file: &Place) -> Result<Option<Self>, Box<Finding>> {
        match file.disk.read(&file.file) {
            Ok(bytes) => bytes.map(|bytes| Self::parse(&bytes, file)).transpose(),
            Err(error) => Err(trouble(file, "read", &error)),
        }
    }

    fn parse(bytes: &[u8], file: &Place) -> Result<Self, Box<Finding>> {
        let length = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (whole, torn) = bytes.split_at(length);
        let mut history = Self { torn: torn.len() as u64, length: length as u64, ..Self::default() };
        for (number, line) in (0u64..).zip(whole.split_inclusive(|byte| *byte == b'\n')) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let broken = |why: &str| {
                let message = format!("line {} of `{file}` {why}", number + 1);
                let help = "find out who changed it; if it cannot be restored, move it away and plan again";
                Box::new(Finding::error(JOURNAL_BROKEN, message).help(help))
            };
            let record: Record =
                serde_json::from_slice(line).map_err(|error| broken(&format!("is no record: {error}")))?;
            let prev = history.last.take().unwrap_or_else(|| Digest::of_bytes(b""));
            if record.prev != prev || record.number != number {
                return Err(broken("does not follow from the line before it"));
            }
            history.last = Some(Digest::of_bytes(line));
            history.records.push(record);
        }
        Ok(history)
    }

    /// The id of the plan it belongs to.
    #[must_use]
    pub fn plan(&self) -> Option<&str> {
        self.records.iter().find_map(|record| match &record.event {
            Event::Opened { plan, .. } => Some(plan.as_str()),
            _ => None,
        })
    }

    /// Whether the plan was carried out.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.records.iter().any(|record| matches!(record.event, Event::Finished { .. }))
    }

    /// Whether an apply began and did not finish.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.records.is_empty() && !self.is_finished()
    }

    /// What is known of each effect that was begun. An intent without an outcome is unknown; an effect that is not here
    /// was not begun.
    #[must_use]
    pub fn states(&self) -> BTreeMap<Digest, State> {
        let mut states = BTreeMap::new();
        for record in &self.records {
            match &record.event {
                Event::Intent { effect, .. } => states.insert(effect.clone(), State::Unknown),
                Event::Outcome { effect, state, .. } => states.insert(effect.clone(), *state),
                _ => None,
            };
        }
        states
    }
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: Place,
    history: History,
    /// Something may stand after what the history tells, because it could not be written whole.
    torn: bool,
}

impl Journal {
    /// Opens the journal of a plan, or begins it. A torn last line is cut off, which the journal notes. The lock is taken
    /// as proof that nobody else writes.
    pub fn open(file: &Place, plan: &Plan, now: Timestamp, _lock: &Lock) -> Result<Self, Box<Finding>> {
        let history = History::read(file)?.unwrap_or_default();
        if let Some(other) = history.plan().filter(|other| *other != plan.id) {
            let message = format!("`{file}` is the journal of plan `{other}`, not of `{}`", plan.id);
            return Err(Box::new(Finding::error(JOURNAL_BROKEN, message).help("move it away")));
        }
        let torn = history.torn;
        let mut journal = Self { file: file.clone(), history, torn: torn > 0 };
        if journal.history.records.is_empty() {
            let (format, effect) = (JOURNAL_FORMAT.to_owned(), plan.effect.clone());
            journal.append(now, Event::Opened { format, plan: plan.id.clone(), effect })?;
        }
        if torn > 0 || journal.history.records.len() > 1 {
            journal.append(now, Event::Resumed { torn })?;
        }
        Ok(journal)
    }

    /// Writes a record and waits until it is on disk.
    pub fn append(&mut self, at: Timestamp, event: Event) -> Result<(), Box<Finding>> {
        self.append_all(at, [event])
    }

    /// Writes records and waits, once for all of them, until they are on disk.
    pub fn append_all(
        &mut self,
        at: Timestamp,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<(), Box<Finding>> {
        let (mut lines, mut records, mut last) = (Vec::new(), Vec::new(), self.history.last.clone());
        for (number, event) in (self.history.records.len() as u64..).zip(events) {
            let prev = last.unwrap_or_else(|| Digest::of_bytes(b""));
            let record = Record { number, at, prev, event };
            let line = serde_json::to_vec(&record).map_err(|error| trouble(&self.file, "written", &error))?;
            last = Some(Digest::of_bytes(&line));
            lines.extend(line);
            lines.push(b'\n');
            records.push(record);
        }
        self.write(&lines).map_err(|error| trouble(&self.file, "written", &error))?;
        self.history.last = last;
        self.history.length += lines.len() as u64;
        self.history.records.append(&mut records);
        Ok(())
    }

    /// Adds lines. What an earlier failure left of lines that nobody was told are there goes first: a record must not follow
    /// half a line.
    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        let Place { disk, file } = &self.file;
        if self.torn {
            disk.cut(file, self.history.length)?;
        }
        self.torn = true;
        disk.append(file, self.history.length, lines)?;
        self.torn = false;
        Ok(())
    }

    /// Records that everything was done and seen to be true.
    pub fn finish(&mut self, at: Timestamp, plan: &Plan) -> Result<(), Box<Finding>> {
        self.append(at, Event::Finished { plan: plan.id.clone() })
    }

    /// What it tells, this run included.
    pub fn history(&self) -> &History {
        &self.history
    }
}

fn trouble(file: &Place, what: &str, error: &dyn std::fmt::Display) -> Box<Finding> {
    let message = format!("`{file}` cannot be {what}: {error}");
    Box::new(Finding::error(JOURNAL_IO, message).help("nothing is written to a provider without a journal"))
}

/// Who holds a lock; written into it for the one who finds it taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    who: String,
    host: String,
    pid: u32,
    since: Timestamp,
}

/// The lock of a memory. It ends with the process, so that one that was killed leaves none behind.
#[derive(Debug)]
pub struct Lock {
    _held: Option<Box<dyn Held>>,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub fn take(file: &Place, who: &str, now: Timestamp) -> Result<Self, Box<Finding>> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let message = format!("the lock `{file}` cannot be reached: {error}");
            Box::new(Finding::error(LOCKED, message).help("nothing is applied without it"))
        };
        let holder = Holder { who: who.to_owned(), host: host(), pid: std::process::id(), since: now };
        let holder = serde_json::to_vec(&holder).map_err(|error| unreachable(&error))?;
        let refused = match file.disk.lock(&file.file, &holder) {
            Ok(Locking::Ours(held)) => return Ok(Self { _held: Some(held) }),
            Ok(Locking::Taken(by)) => taken(file, &by, now),
            Err(error) => unreachable(&error),
        };
        if Guard::Lock.holds() { Err(refused) } else { Ok(Self { _held: None }) }
    }
}

fn taken(file: &Place, holder: &[u8], now: Timestamp) -> Box<Finding> {
    // Whoever took it a moment ago has not left word yet.
    let (message, help) = match serde_json::from_slice(holder).ok() {
        Some(Holder { who, host, pid, since }) => {
            let age = now.duration_since(since).as_secs().max(0);
            let age = format!("{}h {}m {}s", age / 3600, age / 60 % 60, age % 60);
            (
                format!("{who} holds the lock `{file}`: process {pid} on {host}, for {age}"),
                format!("wait for it; if it hangs, end process {pid} on {host}, which frees the lock"),
            )
        }
        None => (
            format!("another process holds the lock `{file}`"),
            "wait for it, or end it, which frees the lock".to_owned(),
        ),
    };
    Box::new(Finding::error(LOCKED, message).help(help))
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    name.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "this host".into())
}

#[cfg(test)]
mod tests;
