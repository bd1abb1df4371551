//! A disk in memory, for rehearsing what disks do: it can crash in the middle of anything, fill up, and lose its lock.
//!
//! Invariant: it does to its files exactly what a folder would, in no time and by no call to the system; clones are the
//! same disk, as seen by another process. It must not be kinder than a real one.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, Held, Locking, other_writer, unfinished};

/// When, in the operation that it hits, the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Before anything of it was done.
    Before,
    /// In the middle of it: so many bytes of what was written survive, so many files of a folder are removed.
    Torn(usize),
    /// When all of it was done, and nobody was told.
    After,
}

/// A disk in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// How many operations were to last, so far.
    operations: u64,
    /// Which of them crashes, and how.
    crash: Option<(u64, Crash)>,
    /// The process that used it has died.
    down: bool,
    /// How many bytes may still be written.
    room: Option<u64>,
    /// The lock cannot be reached.
    unreachable: bool,
    /// Who holds what: a number that is given once, and the word that was left.
    locks: BTreeMap<PathBuf, (u64, Vec<u8>)>,
    locked: u64,
}

impl MemoryDisk {
    /// An empty disk on which nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The process dies at an operation that is to last (append, cut, replace, rename, remove), `after` others from now.
    /// From then on everything fails until [`Self::revive`].
    pub fn crash(&self, after: u64, how: Crash) {
        let mut state = self.state();
        state.crash = Some((state.operations + after, how));
    }

    /// A new process: what was kept is there, locks are free, nothing is going to crash. Says whether the one before it had
    /// died.
    pub fn revive(&self) -> bool {
        let mut state = self.state();
        (state.crash, state.locks) = (None, BTreeMap::new());
        std::mem::take(&mut state.down)
    }

    /// How many operations were to last, so far: append, cut, replace, rename, remove.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Only so many more bytes fit; `None` for as many as anybody wants.
    pub fn room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Whether locks can be reached.
    pub fn unreachable(&self, unreachable: bool) {
        self.state().unreachable = unreachable;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two steps that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.down { Err(died()) } else { Ok(()) }
    }

    /// Counts an operation; where it is the one that crashes, all that follow fail.
    fn begin(&mut self) -> io::Result<Option<Crash>> {
        self.alive()?;
        let crash = self.crash.filter(|(at, _)| *at == self.operations).map(|(_, how)| how);
        self.operations += 1;
        self.down = crash.is_some();
        Ok(crash)
    }

    /// Ends an operation that happens at once or not at all.
    fn at_once(&mut self, crash: Option<Crash>, done: impl FnOnce(&mut Self)) -> io::Result<()> {
        if matches!(crash, None | Some(Crash::After)) {
            done(self);
        }
        self.alive()
    }

    /// Whether so many bytes fit.
    fn fits(&self, bytes: usize) -> bool {
        self.room.is_none_or(|room| room >= bytes as u64)
    }

    fn write(&mut self, file: &Path, bytes: Vec<u8>) {
        let added = bytes.len() as u64;
        let removed = self.files.insert(file.to_owned(), bytes).map_or(0, |old| old.len() as u64);
        self.room = self.room.map(|room| (room + removed).saturating_sub(added));
    }

    fn take_away(&mut self, file: &Path) {
        let removed = self.files.remove(file).map_or(0, |old| old.len() as u64);
        self.room = self.room.map(|room| room + removed);
    }

    fn below(&self, folder: &Path) -> Vec<PathBuf> {
        let from = self.files.range(folder.to_owned()..);
        from.map(|(file, _)| file).take_while(|file| file.starts_with(folder)).cloned().collect()
    }
}

impl Disk for MemoryDisk {
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        let state = self.state();
        state.alive()?;
        Ok(state.files.get(file).cloned())
    }

    fn append(&self, file: &Path, length: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let crash = state.begin()?;
        let old = state.files.get(file).map_or(0, |old| old.len() as u64);
        other_writer(old, length)?;
        let survive = match crash {
            Some(Crash::Before) => return Err(died()),
            Some(Crash::Torn(survive)) => survive,
            Some(Crash::After) | None => bytes.len(),
        };
        let room = state.room.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX));
        let kept = bytes.len().min(survive).min(room);
        // In place, since a journal grows long.
        state.files.entry(file.to_owned()).or_default().extend_from_slice(&bytes[..kept]);
        state.room = state.room.map(|room| room.saturating_sub(kept as u64));
        state.alive()?;
        if kept == bytes.len() { Ok(()) } else { Err(full()) }
    }

    fn cut(&self, file: &Path, length: u64) -> io::Result<()> {
        let mut state = self.state();
        let crash = state.begin()?;
        let Some(bytes) = state.files.get(file) else { return Err(missing(file)) };
        let kept = bytes[..bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX))].to_vec();
        state.at_once(crash, |state| state.write(file, kept))
    }

    fn replace(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let crash = state.begin()?;
        // Old and new are there at the same time for a moment.
        if !state.fits(bytes.len()) {
            return state.alive().and(Err(full()));
        }
        if let Some(Crash::Torn(kept)) = crash {
            state.write(&unfinished(file), bytes[..bytes.len().min(kept)].to_vec());
        }
        state.at_once(crash, |state| {
            state.take_away(&unfinished(file));
            state.write(file, bytes.to_vec());
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let crash = state.begin()?;
        let files = state.below(from);
        if files.is_empty() {
            return Err(missing(from));
        }
        if !state.below(to).is_empty() {
            return Err(io::Error::new(ErrorKind::DirectoryNotEmpty, format!("`{}` is there", to.display())));
        }
        state.at_once(crash, |state| {
            for file in files {
                let Some(bytes) = state.files.remove(&file) else { continue };
                // `join` with nothing would make a folder of a file.
                let rest = file.strip_prefix(from).unwrap_or(Path::new(""));
                let new = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
                state.files.insert(new, bytes);
            }
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let crash = state.begin()?;
        let files = state.below(path);
        let gone = match crash {
            Some(Crash::Before) => 0,
            Some(Crash::Torn(gone)) => files.len().min(gone),
            Some(Crash::After) | None => files.len(),
        };
        for file in &files[..gone] {
            state.take_away(file);
        }
        state.alive()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive()?;
        let names = state.below(folder).into_iter().filter_map(|file| {
            let name = file.strip_prefix(folder).ok()?.to_str()?;
            (!name.is_empty()).then(|| name.to_owned())
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    fn lock(&self, file: &Path, holder: &[u8]) -> io::Result<Locking> {
        let mut state = self.state();
        state.alive()?;
        if state.unreachable {
            return Err(io::Error::other("no lock is to be had here"));
        }
        if let Some((_, holder)) = state.locks.get(file) {
            return Ok(Locking::Taken(holder.clone()));
        }
        if !state.fits(holder.len()) {
            return Err(full());
        }
        state.locked += 1;
        let number = state.locked;
        state.locks.insert(file.to_owned(), (number, holder.to_owned()));
        drop(state);
        Ok(Locking::Ours(Box::new(Number { disk: self.clone(), file: file.to_owned(), number })))
    }
}

/// A lock of a process.
#[derive(Debug)]
struct Number {
    disk: MemoryDisk,
    file: PathBuf,
    number: u64,
}

impl Held for Number {}

impl Drop for Number {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        // After a crash it may be somebody else's.
        if state.locks.get(&self.file).is_some_and(|(number, _)| *number == self.number) {
            state.locks.remove(&self.file);
        }
    }
}

fn died() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the process has died")
}

fn full() -> io::Error {
    io::Error::new(ErrorKind::StorageFull, "no space left on the disk")
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("there is no `{}`", path.display()))
}
