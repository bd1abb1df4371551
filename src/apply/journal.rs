//! The journal of an apply, and the lock that keeps two of them apart: what was about to be done, and what became of it.
//!
//! JSON Lines, one record a line, each with the digest of the line before and its own. Invariant: what is told to be
//! written is on disk and is never rewritten; what could not be written whole is cut off before anything follows it.
//! It must not decide anything: what is true is read from live, not from here.

use std::fs;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::disk::{Held, Locking, Place};
use super::{JOURNAL_BROKEN, JOURNAL_IO, LOCKED};
use crate::model::guard::Guard;
pub use crate::model::history::{Event, History, Record};
use crate::model::{Digest, Finding, Plan};

/// The `format` of a journal.
pub const JOURNAL_FORMAT: &str = "rolecall.journal/v1";

/// What stands between a record and its own digest, which ends its line.
const SEAL: &str = r#","digest":""#;

impl History {
    /// Reads a journal; `None` where there is none. A torn last line is noted and left alone.
    ///
    /// # Errors
    /// Where it cannot be read, or any line of it is not what was written.
    pub fn read(file: &Place) -> Result<Option<Self>, Box<Finding>> {
        match read(file)? {
            Some(Reading { broken: Some(broken), .. }) => Err(broken),
            reading => Ok(reading.map(|reading| reading.history)),
        }
    }
}

/// A journal as far as it can be trusted.
#[derive(Debug)]
pub struct Reading {
    /// What it tells up to there.
    pub history: History,
    /// Which line is not what was written, where one is not.
    pub broken: Option<Box<Finding>>,
    end: End,
}

/// Where the lines end that can be trusted: what the next one must follow.
#[derive(Debug)]
struct End {
    length: u64,
    digest: Digest,
}

/// Reads a journal as far as it can be trusted; `None` where there is none.
///
/// # Errors
/// Where it cannot be read.
pub fn read(file: &Place) -> Result<Option<Reading>, Box<Finding>> {
    match file.disk.read(&file.file) {
        Ok(bytes) => Ok(bytes.map(|bytes| Reading::of(&bytes, file))),
        Err(error) => Err(trouble(file, "read", &error)),
    }
}

/// When a journal was last written; `None` where that cannot be told.
#[must_use]
pub fn last_written(file: &Place) -> Option<Timestamp> {
    let bytes = file.disk.read(&file.file).ok()??;
    let mut lines =
        bytes.split_inclusive(|byte| *byte == b'\n').rev().filter_map(|line| line.strip_suffix(b"\n"));
    serde_json::from_slice::<Record>(lines.next()?).ok().map(|record| record.at)
}

impl Reading {
    fn of(bytes: &[u8], file: &Place) -> Self {
        let mut history = History::default();
        let mut end = End { length: 0, digest: Digest::of_bytes(b"") };
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(text) = line.strip_suffix(b"\n") else {
                history.torn = line.len() as u64;
                break;
            };
            match unseal(text, history.records, &end.digest) {
                Ok((Record { at, event, .. }, digest)) => {
                    end = End { length: end.length + line.len() as u64, digest };
                    history.add(at, event);
                }
                Err(why) => {
                    let message = format!("line {} of `{file}` {why}", history.records + 1);
                    let help =
                        "find out who changed it; if it cannot be restored, move it away and plan again";
                    let broken = Finding::error(JOURNAL_BROKEN, message).help(help);
                    return Self { history, end, broken: Some(Box::new(broken)) };
                }
            }
        }
        Self { history, end, broken: None }
    }
}

/// A record as a line, and the digest that ends it.
fn seal(record: &Record) -> serde_json::Result<(Vec<u8>, Digest)> {
    let mut line = serde_json::to_vec(record)?;
    line.pop();
    let digest = Digest::of_bytes(&line);
    line.extend(format!("{SEAL}{digest}\"}}\n").into_bytes());
    Ok((line, digest))
}

/// The record of a line, and the digest that ends it; or why it cannot be trusted.
fn unseal(line: &[u8], number: u64, prev: &Digest) -> Result<(Record, Digest), String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("is no record: {error}"))?;
    // What stands in a text of the record has its quotes escaped: this is the seal, or there is none.
    let (body, seal) = text.rsplit_once(SEAL).ok_or("is no record: it has no digest")?;
    let digest = Digest::of_bytes(body.as_bytes());
    if seal.strip_suffix("\"}") != Some(digest.as_str()) {
        return Err("is not what was written: its digest is another".to_owned());
    }
    let record: Record = serde_json::from_str(text).map_err(|error| format!("is no record: {error}"))?;
    if record.prev != *prev || record.number != number {
        return Err("does not follow from the line before it".to_owned());
    }
    match &record.event {
        Event::Opened { format, .. } if format != JOURNAL_FORMAT => {
            Err(format!("is of the format `{format}`, which this version cannot read"))
        }
        _ => Ok((record, digest)),
    }
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: Place,
    history: History,
    end: End,
    /// Something may stand after the end, because it could not be written whole.
    torn: bool,
}

impl Journal {
    /// Opens the journal of a plan, or begins it. A torn last line is cut off, which the journal notes. The lock is taken
    /// as proof that nobody else writes.
    ///
    /// # Errors
    /// Where it cannot be read or written, is not what was written, or is another plan's.
    pub fn open(file: &Place, plan: &Plan, now: Timestamp, _lock: &Lock) -> Result<Self, Box<Finding>> {
        let Reading { history, end, broken } = read(file)?.unwrap_or_else(|| Reading::of(b"", file));
        if let Some(broken) = broken {
            return Err(broken);
        }
        if let Some(other) = history.plan.as_ref().filter(|other| **other != plan.id) {
            let message = format!("`{file}` is the journal of plan `{other}`, not of `{}`", plan.id);
            return Err(Box::new(Finding::error(JOURNAL_BROKEN, message).help("move it away")));
        }
        let (torn, new) = (history.torn, history.records == 0);
        let mut journal = Self { file: file.clone(), history, end, torn: torn > 0 };
        let first = if new {
            let (format, effect) = (JOURNAL_FORMAT.to_owned(), plan.effect.clone());
            Event::Opened { format, plan: plan.id.clone(), effect, torn }
        } else {
            Event::Resumed { torn }
        };
        journal.append(now, first)?;
        journal.history.torn = 0;
        Ok(journal)
    }

    /// Writes a record and waits until it is on disk.
    ///
    /// # Errors
    /// Where it cannot be written; then it is as if it had not been tried.
    pub fn append(&mut self, at: Timestamp, event: Event) -> Result<(), Box<Finding>> {
        self.append_all(at, [event])
    }

    /// Writes records and waits, once for all of them, until they are on disk.
    ///
    /// # Errors
    /// Where they cannot be written; then it is as if none of them had been tried.
    pub fn append_all(
        &mut self,
        at: Timestamp,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<(), Box<Finding>> {
        let (mut lines, mut written, mut prev) = (Vec::new(), Vec::new(), self.end.digest.clone());
        for (number, event) in (self.history.records..).zip(events) {
            let record = Record { number, at, prev, event };
            let (line, digest) = seal(&record).map_err(|error| trouble(&self.file, "written", &error))?;
            lines.extend(line);
            prev = digest;
            written.push(record.event);
        }
        if written.is_empty() {
            return Ok(());
        }
        self.write(&lines).map_err(|error| trouble(&self.file, "written", &error))?;
        self.end = End { length: self.end.length + lines.len() as u64, digest: prev };
        for event in written {
            self.history.add(at, event);
        }
        Ok(())
    }

    /// Adds lines. What an earlier failure left of lines that nobody was told are there goes first: a record must not follow
    /// half a line.
    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        let Place { disk, file } = &self.file;
        if self.torn {
            disk.cut(file, self.end.length)?;
        }
        self.torn = true;
        if let Err(error) = disk.append(file, self.end.length, lines) {
            // Whole lines among those that did arrive would tell of calls that are never made.
            self.torn = disk.cut(file, self.end.length).is_err();
            return Err(error);
        }
        self.torn = false;
        Ok(())
    }

    /// Records that everything was done and seen to be true.
    ///
    /// # Errors
    /// Where that cannot be written.
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
    /// Takes the lock.
    ///
    /// # Errors
    /// Where another has it, which says who and since when, or it cannot be told.
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
