//! `world.yaml` and `world.yaml.log` on disk: each simulated write is in the log, synced, before it is answered.
//!
//! Invariant: killed at any moment, nothing that was answered is lost and nothing is taken in twice: lines are
//! numbered, and the world tells up to which number it has them. One process writes at a time; a file that someone
//! edited meanwhile is never overwritten. It must not know what the requests in the log mean.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Code, Digest, Finding};

use super::order::Order;
use super::world::World;
use super::yaml;

/// The world file cannot be read or written.
pub const UNREADABLE: Code = Code { code: "RC590", title: "the world file cannot be read or written" };
/// The world file says something that cannot be.
pub const INVALID: Code = Code { code: "RC591", title: "the world file is not valid" };
/// Someone else writes to the world, or has written to it.
pub const BUSY: Code = Code { code: "RC592", title: "the world file is in use or has changed meanwhile" };

const HEADER: &str = "\
# The simulated Okta, AWS and Google Cloud. Edit it freely: that is drift. It is rewritten when simulated writes are folded in from
# the log beside it, and comments of your own are lost then; values, and what you left out, stay.
";

/// Why the world cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WorldError {
    /// The number of the finding.
    pub code: Code,
    /// What is wrong, and where.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl WorldError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { code: INVALID, message: message.into(), help: None }
    }

    fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        let message = format!("cannot {what} `{}`: {error}", path.display());
        Self { code: UNREADABLE, message, help: None }
    }

    pub(super) fn edited() -> Self {
        Self::busy("the world file has changed since it was read".into(), "start again")
    }

    fn busy(message: String, help: &str) -> Self {
        Self { code: BUSY, message, help: Some(help.to_owned()) }
    }

    /// The error as a finding.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let finding = Finding::error(self.code, &self.message);
        match &self.help {
            Some(help) => finding.help(help),
            None => finding,
        }
    }
}

/// One line of the log: a write that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// Its number; one more than the line's before it.
    pub(super) n: u64,
    /// When it was carried out.
    pub(super) at: Timestamp,
    /// What was asked.
    #[serde(flatten)]
    pub(super) order: Order,
}

/// The two files.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    log: PathBuf,
    /// What the world file looked like when it was read or written last.
    seen: Digest,
    /// How long the log was, up to its last whole line.
    length: u64,
    /// The log, locked, once something is written.
    held: Option<File>,
}

impl Store {
    /// Reads the world and the lines that it has not taken in.
    pub(super) fn read(path: &Path) -> Result<(World, Vec<Line>, Self), WorldError> {
        let bytes = std::fs::read(path).map_err(|error| WorldError::io("read", path, &error))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| WorldError::invalid(format!("`{}` is not UTF-8: {error}", path.display())))?;
        let world = parse(text).map_err(|why| WorldError::invalid(format!("`{}`: {why}", path.display())))?;
        let log = path.with_added_extension("log");
        let logged = match std::fs::read(&log) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(WorldError::io("read", &log, &error)),
        };
        // What follows the last line's end was cut off by a death: it was never answered.
        let whole = logged.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut lines = Vec::new();
        for (index, line) in logged[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| {
                WorldError::invalid(format!("`{}` line {}: {error}", log.display(), index + 1))
            })?;
            if line.n > world.folded {
                lines.push(line);
            }
        }
        let store = Self {
            path: path.to_owned(),
            log,
            seen: Digest::of_bytes(&bytes),
            length: whole as u64,
            held: None,
        };
        Ok((world, lines, store))
    }

    /// Where the log is.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Writes a line and waits until the disk has it.
    pub(super) fn append(&mut self, line: &Line) -> Result<(), WorldError> {
        let mut bytes = serde_json::to_vec(line)
            .map_err(|error| WorldError::invalid(format!("a write cannot be put into words: {error}")))?;
        bytes.push(b'\n');
        let log = self.log.clone();
        let mut file = self.hold()?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_data())
            .map_err(|error| WorldError::io("write to", &log, &error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Writes the world and empties the log. Does nothing and says `false` where someone edited the file meanwhile: the
    /// log is then taken in at the next start.
    pub(super) fn fold(&mut self, world: &World) -> Result<bool, WorldError> {
        self.hold()?;
        let now = std::fs::read(&self.path).map_err(|error| WorldError::io("read", &self.path, &error))?;
        if Digest::of_bytes(&now) != self.seen {
            return Ok(false);
        }
        let text = yaml::to_string(&world.terse())
            .map_err(|error| WorldError::invalid(format!("the world cannot be written: {error}")))?;
        let text = format!("{HEADER}{text}");
        let draft = self.path.with_added_extension("tmp");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&draft, &self.path)?;
            if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                File::open(folder)?.sync_all()?;
            }
            if world.keep_log { Ok(()) } else { std::fs::remove_file(&self.log) }
        };
        write().map_err(|error| WorldError::io("write", &self.path, &error))?;
        self.seen = Digest::of_bytes(text.as_bytes());
        if !world.keep_log {
            self.length = 0;
        }
        self.held = None;
        Ok(true)
    }

    /// The log, locked. Fails where another process has it, or has written since we read.
    fn hold(&mut self) -> Result<&File, WorldError> {
        if self.held.is_none() {
            let fail = |what: &'static str| {
                let log = self.log.clone();
                move |error: std::io::Error| WorldError::io(what, &log, &error)
            };
            let file = OpenOptions::new().create(true).append(true).open(&self.log).map_err(fail("open"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let message = format!("another process is writing to `{}`", self.path.display());
                    return Err(WorldError::busy(message, "wait until it is done"));
                }
                Err(TryLockError::Error(error)) => return Err(fail("lock")(error)),
            }
            let now =
                std::fs::read(&self.path).map_err(|error| WorldError::io("read", &self.path, &error))?;
            let length = file.metadata().map_err(fail("read"))?.len();
            let torn = length > self.length && !ends_whole(&self.log).map_err(fail("read"))?;
            if Digest::of_bytes(&now) != self.seen || (length != self.length && !torn) {
                let message = format!("`{}` has changed since it was read", self.path.display());
                return Err(WorldError::busy(message, "start again"));
            }
            if torn {
                file.set_len(self.length).map_err(fail("mend"))?;
            }
            self.held = Some(file);
        }
        self.held.as_ref().ok_or_else(|| WorldError::busy("the log is gone".into(), "start again"))
    }
}

fn ends_whole(path: &Path) -> std::io::Result<bool> {
    Ok(std::fs::read(path)?.last().is_none_or(|byte| *byte == b'\n'))
}

/// A world from YAML.
fn parse(text: &str) -> Result<World, String> {
    let budget = serde_saphyr::budget! { max_nodes: 20_000_000, max_events: 60_000_000, max_total_scalar_bytes: 1 << 30 };
    let options = serde_saphyr::options! { strict_booleans: true, budget: budget, with_snippet: false };
    let mut world: World =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    world.settle().map_err(|error| error.message)?;
    Ok(world)
}

impl World {
    /// A world from the YAML that `world.yaml` holds.
    pub fn parse(text: &str) -> Result<Self, WorldError> {
        parse(text).map_err(WorldError::invalid)
    }

    /// The YAML that `world.yaml` holds.
    pub fn to_yaml(&self) -> Result<String, WorldError> {
        yaml::to_string(&self.terse())
            .map_err(|error| WorldError::invalid(format!("the world cannot be written: {error}")))
    }
}
