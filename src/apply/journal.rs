//! The journal of an apply, and the lock that keeps two of them apart: what was about to be done, and what became of it.
//!
//! JSON Lines, one record a line, each with the digest of the line before. Invariant: an intent is on disk before its
//! call is made, and nothing that is on disk is ever rewritten, save a last line that was torn by a crash.
//! It must not decide anything: what is true is read from live, not from here.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{JOURNAL_BROKEN, JOURNAL_IO, LOCKED};
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
    pub fn read(path: &Path) -> Result<Option<Self>, Box<Finding>> {
        match fs::read(path) {
            Ok(bytes) => Self::parse(&bytes, path).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(trouble(path, "read", &error)),
        }
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, Box<Finding>> {
        let length = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (whole, torn) = bytes.split_at(length);
        let mut history = Self { torn: torn.len() as u64, length: length as u64, ..Self::default() };
        for (number, line) in (0u64..).zip(whole.split_inclusive(|byte| *byte == b'\n')) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let broken = |why: &str| {
                let message = format!("line {} of `{}` {why}", number + 1, path.display());
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
    file: File,
    path: PathBuf,
    history: History,
}

impl Journal {
    /// Opens the journal of a plan, or begins it. A torn last line is cut off, which the journal notes. The lock is taken
    /// as proof that nobody else writes.
    pub fn open(path: &Path, plan: &Plan, now: Timestamp, _lock: &Lock) -> Result<Self, Box<Finding>> {
        let options = || OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = options().map_err(|error| trouble(path, "opened", &error))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| trouble(path, "read", &error))?;
        let history = History::parse(&bytes, path)?;
        if let Some(other) = history.plan().filter(|other| *other != plan.id) {
            let message =
                format!("`{}` is the journal of plan `{other}`, not of `{}`", path.display(), plan.id);
            return Err(Box::new(Finding::error(JOURNAL_BROKEN, message).help("move it away")));
        }
        let torn = history.torn;
        if torn > 0 {
            let cut = file.set_len(history.length).and_then(|()| file.seek(SeekFrom::End(0)));
            cut.map_err(|error| trouble(path, "mended", &error))?;
        }
        let mut journal = Self { file, path: path.to_owned(), history };
        if journal.history.records.is_empty() {
            let (format, effect) = (JOURNAL_FORMAT.to_owned(), plan.effect.clone());
            journal.append(now, Event::Opened { format, plan: plan.id.clone(), effect })?;
            sync_folder(path)?;
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
            let line = serde_json::to_vec(&record).map_err(|error| trouble(&self.path, "written", &error))?;
            last = Some(Digest::of_bytes(&line));
            lines.extend(line);
            lines.push(b'\n');
            records.push(record);
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        written.map_err(|error| trouble(&self.path, "written", &error))?;
        self.history.last = last;
        self.history.length += lines.len() as u64;
        self.history.records.append(&mut records);
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

/// A new file is only there for good once its folder is on disk too.
fn sync_folder(path: &Path) -> Result<(), Box<Finding>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| trouble(folder, "synced", &e))?;
    }
    Ok(())
}

fn trouble(path: &Path, what: &str, error: &dyn std::fmt::Display) -> Box<Finding> {
    let message = format!("`{}` cannot be {what}: {error}", path.display());
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

/// The lock of a memory. The operating system holds it for the process, so one that was killed leaves none behind; the
/// file only says who it is.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub fn take(path: &Path, who: &str, now: Timestamp) -> Result<Self, Box<Finding>> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let message = format!("the lock `{}` cannot be reached: {error}", path.display());
            Box::new(Finding::error(LOCKED, message).help("nothing is applied without it"))
        };
        let options = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options().map_err(|error| unreachable(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(path, now)),
            Err(TryLockError::Error(error)) => return Err(unreachable(&error)),
        }
        let holder = Holder { who: who.to_owned(), host: host(), pid: std::process::id(), since: now };
        let text = serde_json::to_string(&holder).map_err(|error| unreachable(&error))?;
        let written = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|error| unreachable(&error))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file stays: whoever has just opened it would otherwise lock one that is no longer there. Should emptying it
        // fail, a stale name is left in a file that nobody holds.
        let _ = self.file.set_len(0);
    }
}

fn taken(path: &Path, now: Timestamp) -> Box<Finding> {
    let holder = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Holder>(&bytes).ok());
    let (message, help) = match holder {
        Some(Holder { who, host, pid, since }) => {
            let age = now.duration_since(since).as_secs().max(0);
            let age = format!("{}h {}m {}s", age / 3600, age / 60 % 60, age % 60);
            (
                format!("{who} holds the lock `{}`: process {pid} on {host}, for {age}", path.display()),
                format!("wait for it; if it hangs, end process {pid} on {host}, which frees the lock"),
            )
        }
        None => (
            format!("another process holds the lock `{}`", path.display()),
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
