//! Where durable state is kept: the one way in which an apply reads, writes and locks anything of its own.
//!
//! Invariant: what an operation did is there for good when it returns; one that is cut short leaves what was there, or a
//! beginning of what was to be appended, or some files of a folder that was to be removed.
//! It must not know what it keeps.

use std::fmt::{self, Debug};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod in_memory;
#[cfg(test)]
mod tests;

pub use in_memory::{Crash, MemoryDisk};

/// Something that keeps files. A file's folder need not be made, and a folder is there as long as it has files.
pub trait Disk: Debug + Send + Sync {
    /// The bytes of a file; `None` where there is none.
    ///
    /// # Errors
    /// Where that cannot be told.
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Adds bytes to a file that is `length` long; one that is not there is 0 long. Cut short, or failing, it may leave
    /// the first of the bytes.
    ///
    /// # Errors
    /// Where the file has another length, since then somebody else writes it, or it cannot be written.
    fn append(&self, file: &Path, length: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to its first bytes.
    ///
    /// # Errors
    /// Where it is not there or cannot be written.
    fn cut(&self, file: &Path, length: u64) -> io::Result<()>;

    /// Puts bytes in the place of a file, whole or not at all. Cut short, it may leave a file with `.new` at the end of
    /// its name beside it.
    ///
    /// # Errors
    /// Where it cannot be written; then the file is as it was.
    fn replace(&self, file: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a folder another name, at which there is nothing.
    ///
    /// # Errors
    /// Where that cannot be; then it has its old name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, or a folder with all that is in it, in any order. Where there is none, all is well.
    ///
    /// # Errors
    /// Where it cannot be removed; some of a folder may be gone.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The files below a folder, as sorted paths from there with `/`; none where there is no folder. What is neither a file
    /// nor a folder is left out, and so is a name that is not Unicode: nothing of that was written here.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Takes a lock, and leaves word of who has it. It ends with what is returned, or with the process.
    ///
    /// # Errors
    /// Where it cannot be told whether it is free.
    fn lock(&self, file: &Path, holder: &[u8]) -> io::Result<Locking>;
}

/// What came of taking a lock.
#[derive(Debug)]
pub enum Locking {
    /// It is ours for as long as this is kept.
    Ours(Box<dyn Held>),
    /// Another has it, who left this word, or none yet.
    Taken(Vec<u8>),
}

/// A lock that is held.
pub trait Held: Debug + Send + Sync {}

/// A file and the disk that it is on.
#[derive(Debug, Clone)]
pub struct Place {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The file.
    pub file: PathBuf,
}

impl Place {
    /// A file of this machine.
    pub fn at(file: impl Into<PathBuf>) -> Self {
        Self { disk: Arc::new(Folder), file: file.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())
    }
}

/// The files of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Folder;

impl Disk for Folder {
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn append(&self, file: &Path, length: u64, bytes: &[u8]) -> io::Result<()> {
        let new = length == 0 && !file.exists();
        if new {
            make(parent(file))?;
        }
        let mut out = OpenOptions::new().append(true).create(new).open(file)?;
        other_writer(out.metadata()?.len(), length)?;
        out.write_all(bytes)?;
        out.sync_data()?;
        if new { sync(parent(file)) } else { Ok(()) }
    }

    fn cut(&self, file: &Path, length: u64) -> io::Result<()> {
        let out = OpenOptions::new().write(true).open(file)?;
        out.set_len(length)?;
        out.sync_all()
    }

    fn replace(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = unfinished(file);
        make(parent(file))?;
        let write = || {
            let mut out = File::create(&new)?;
            out.write_all(bytes)?;
            out.sync_all()?;
            fs::rename(&new, file)
        };
        if let Err(error) = write() {
            // What is left of it takes room on a disk that may be full. Should that fail too, the next one writes over it.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        sync(parent(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        sync(parent(from))?;
        sync(parent(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // Of the thing itself: where a link leads to is none of ours.
        let removed = fs::symlink_metadata(path)
            .and_then(|found| if found.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) });
        match removed {
            Ok(()) => sync(parent(path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        match below(folder, "", &mut found) {
            Err(error) if error.kind() == ErrorKind::NotFound && !folder.exists() => return Ok(Vec::new()),
            listed => listed?,
        }
        found.sort();
        Ok(found)
    }

    fn lock(&self, file: &Path, holder: &[u8]) -> io::Result<Locking> {
        make(parent(file))?;
        let mut lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(file)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return fs::read(file).map(Locking::Taken),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        lock.set_len(0)?;
        lock.write_all(holder)?;
        Ok(Locking::Ours(Box::new(FileLock(lock))))
    }
}

/// A lock of the operating system, which ends with the process; the file only says whose it is.
#[derive(Debug)]
struct FileLock(File);

impl Held for FileLock {}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The file stays: whoever has just opened it would otherwise lock one that is no longer there. Should emptying it
        // fail, a stale name is left in a file that nobody holds.
        let _ = self.0.set_len(0);
    }
}

/// What an unfinished [`Disk::replace`] leaves.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn other_writer(found: u64, expected: u64) -> io::Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("somebody else writes it: it has {found} bytes where it had {expected}")))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Makes a folder, for good, and those that it is in.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = parent(folder);
    make(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    sync(above)
}

/// A new file, or a new name, is only there for good once its folder is.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn below(folder: &Path, prefix: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        // The type of the entry itself: a link is neither, and is not followed.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            below(&entry.path(), &path, found)?;
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(())
}
