//! The memory: base, demand, the last verified snapshot, plans and journals, in a folder.
//!
//! Invariant: losing it loses no access and removes none; what was verified is replaced whole or not at all, so a crash
//! leaves the old or the new. It must not decide what base means, and it holds no secret.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{Code, Demand, Finding, Name, Plan, Snapshot, Sources};

/// The memory cannot be read or written.
pub const MEMORY: Code = Code { code: "RC701", title: "the memory cannot be read or written" };
/// There is no such plan.
pub const NO_PLAN: Code = Code { code: "RC702", title: "there is no plan to apply" };

/// A plan whose digests do not fit what it says.
pub const FORGED: Code = Code { code: "RC705", title: "a plan file was changed" };

/// All codes of the memory.
pub const CODES: &[Code] = &[MEMORY, NO_PLAN, FORGED];

/// The `format` of what describes base.
const BASE_FORMAT: &str = "rolecall.base/v1";

/// The folder that remembers.
#[derive(Debug, Clone)]
pub struct Memory {
    root: PathBuf,
}

/// What is remembered of the last verified apply.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The files that were applied.
    pub sources: Sources,
    /// Where they came from.
    pub base: BaseRecord,
    /// What they demanded; lost is `None`.
    pub demand: Option<Demand>,
    /// What was seen after it; lost is `None`.
    pub snapshot: Option<Snapshot>,
}

/// Where base came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseRecord {
    /// `rolecall.base/v1`.
    pub format: String,
    /// The commit, where Git tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The plan whose apply it was.
    pub plan: String,
    /// When it was verified.
    pub at: Timestamp,
}

impl BaseRecord {
    /// A record of now.
    #[must_use]
    pub fn new(commit: Option<String>, plan: &str, at: Timestamp) -> Self {
        Self { format: BASE_FORMAT.to_owned(), commit, plan: plan.to_owned(), at }
    }
}

impl Memory {
    /// The memory in a folder, which need not exist.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The last verified apply; `None` where there was none.
    ///
    /// # Errors
    /// Where the folder is there and cannot be understood: a memory that is broken is not a memory that is empty.
    pub fn verified(&self) -> Result<Option<Verified>, Finding> {
        // A crash between the two renames of `advance` leaves the new one complete beside the old one.
        let folder = ["verified", "verified.new", "verified.old"].map(|name| self.root.join(name));
        let Some(folder) = folder.iter().find(|folder| folder.join("base.json").is_file()) else {
            return Ok(None);
        };
        let Some(base) = read_json(&folder.join("base.json"))? else { return Ok(None) };
        let mut sources = Sources::default();
        read_folder(&folder.join("base"), "", &mut sources)
            .map_err(|error| broken(&folder.join("base"), &error))?;
        let demand = read_json(&folder.join("demand.json"))?;
        let snapshot = read_json(&folder.join("snapshot.json"))?;
        Ok(Some(Verified { sources, base, demand, snapshot }))
    }

    /// Remembers a verified apply in place of the one before.
    ///
    /// # Errors
    /// Where it cannot be written; then the one before still stands.
    pub fn advance(&self, verified: &Verified) -> Result<(), Finding> {
        let [current, new, old] =
            ["verified", "verified.new", "verified.old"].map(|name| self.root.join(name));
        let write = || -> io::Result<()> {
            remove(&new)?;
            fs::create_dir_all(new.join("base"))?;
            for (path, bytes) in &verified.sources.files {
                let file = new.join("base").join(path.as_ref());
                if let Some(parent) = file.parent() {
                    fs::create_dir_all(parent)?;
                }
                replace(&file, bytes)?;
            }
            if let Some(demand) = &verified.demand {
                write_json(&new.join("demand.json"), demand)?;
            }
            if let Some(snapshot) = &verified.snapshot {
                write_json(&new.join("snapshot.json"), snapshot)?;
            }
            // Last, because its presence says that the rest is complete.
            write_json(&new.join("base.json"), &verified.base)?;
            sync(&new)?;
            remove(&old)?;
            if current.exists() {
                fs::rename(&current, &old)?;
            }
            fs::rename(&new, &current)?;
            sync(&self.root)?;
            remove(&old)
        };
        write().map_err(|error| broken(&self.root, &error))
    }

    /// Remembers what was demanded by an apply that did not converge: base stays, but what was given is known to be ours.
    /// Without a base there is nothing that it could be compared with, and nothing is kept.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep_demand(&self, demand: &Demand) -> Result<(), Finding> {
        let folder = self.root.join("verified");
        if !folder.join("base.json").is_file() {
            return Ok(());
        }
        let file = folder.join("demand.json");
        write_json(&file, demand).map_err(|error| broken(&file, &error))
    }

    /// Remembers a plan, and that it is the last one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save_plan(&self, plan: &Plan) -> Result<PathBuf, Finding> {
        let file = self.root.join("plans").join(format!("{}.json", plan.id));
        let write = || -> io::Result<()> {
            fs::create_dir_all(self.root.join("plans"))?;
            write_json(&file, plan)?;
            replace(&self.root.join("plans/last"), plan.id.as_bytes())
        };
        write().map_err(|error| broken(&file, &error)).map(|()| file)
    }

    /// The last plan that was made.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub fn last_plan(&self) -> Result<Plan, Finding> {
        let last = self.root.join("plans/last");
        let none =
            || Finding::error(NO_PLAN, "no plan was made yet").help("run `rolecall plan` first, and read it");
        match fs::read_to_string(&last) {
            Ok(id) if id.trim().chars().all(|c| c.is_ascii_alphanumeric()) => {
                read_plan(&self.root.join("plans").join(format!("{}.json", id.trim())))
            }
            Ok(_) => Err(none()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(none()),
            Err(error) => Err(broken(&last, &error)),
        }
    }

    /// Where the journal of a plan is; its folder is made.
    ///
    /// # Errors
    /// Where that cannot be.
    pub fn journal(&self, plan: &str) -> Result<PathBuf, Finding> {
        let folder = self.root.join("journals");
        fs::create_dir_all(&folder).map_err(|error| broken(&folder, &error))?;
        // The id comes from a file: it must not lead anywhere else.
        let plain = !plan.is_empty() && plan.chars().all(|c| c.is_ascii_alphanumeric());
        let message = format!("`{plan}` is not the id of a plan");
        if plain { Ok(folder.join(format!("{plan}.jsonl"))) } else { Err(Finding::error(NO_PLAN, message)) }
    }

    /// Where the lock is; its folder is made.
    ///
    /// # Errors
    /// Where that cannot be.
    pub fn lock(&self) -> Result<PathBuf, Finding> {
        fs::create_dir_all(&self.root).map_err(|error| broken(&self.root, &error))?;
        Ok(self.root.join("lock"))
    }
}

/// A plan from its file.
///
/// # Errors
/// Where it cannot be read or is none.
pub fn read_plan(file: &Path) -> Result<Plan, Finding> {
    let plan: Plan = read_json(file)?.ok_or_else(|| {
        Finding::error(NO_PLAN, format!("there is no plan at `{}`", file.display()))
            .help("name the `plan.json` that `plan` wrote")
    })?;
    if plan.format == crate::model::plan::PLAN_FORMAT {
        if plan.is_consistent() {
            return Ok(plan);
        }
        let message = format!("`{}` was changed: its digests are not those of what it says", file.display());
        return Err(Finding::error(FORGED, message).help("plan again, and approve what that says"));
    }
    let message =
        format!("`{}` has the format `{}`, which this version cannot apply", file.display(), plan.format);
    Err(Finding::error(NO_PLAN, message).help("plan again with this version"))
}

fn broken(path: &Path, error: &dyn std::fmt::Display) -> Finding {
    Finding::error(MEMORY, format!("`{}` cannot be used: {error}", path.display()))
        .help("mend or remove it; without a base nothing is removed, and everything is planned as a request")
}

fn read_json<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, Finding> {
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| broken(file, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(broken(file, &error)),
    }
}

fn write_json(file: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    replace(file, &bytes)
}

/// Makes sure that what was renamed in a folder is on disk.
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Writes a file whole or not at all.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut out = fs::File::create(&new)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(new, file)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read_folder(folder: &Path, prefix: &str, sources: &mut Sources) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let plain = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
        let (Some(name), true) = (name.to_str(), plain) else { continue };
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        // The type of the entry itself: a link is neither, and is not followed.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_folder(&entry.path(), &path, sources)?;
        } else if kind.is_file() {
            sources.files.insert(Name::from(path), Arc::from(fs::read(entry.path())?));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(text: &str) -> Verified {
        Verified {
            sources: Sources::of([("rolecall.yaml", text), ("roles/a/b.yaml", "x")]),
            base: BaseRecord::new(None, "p1", Timestamp::UNIX_EPOCH),
            demand: None,
            snapshot: Some(Snapshot::default()),
        }
    }

    #[test]
    fn what_was_verified_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(folder.path().join("m"));
        assert!(memory.verified().unwrap().is_none());
        memory.advance(&verified("one")).unwrap();
        memory.advance(&verified("two")).unwrap();
        let read = memory.verified().unwrap().unwrap();
        assert_eq!(read.sources, verified("two").sources);
        assert!(read.demand.is_none());
    }

    #[test]
    fn a_crash_between_the_renames_leaves_one_of_the_two() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(folder.path());
        memory.advance(&verified("one")).unwrap();
        fs::rename(folder.path().join("verified"), folder.path().join("verified.old")).unwrap();
        assert_eq!(memory.verified().unwrap().unwrap().sources, verified("one").sources);
    }

    #[test]
    fn a_broken_memory_is_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::at(folder.path());
        memory.advance(&verified("one")).unwrap();
        fs::write(folder.path().join("verified/base.json"), "{").unwrap();
        assert_eq!(memory.verified().unwrap_err().code.as_ref(), "RC701");
    }
}
