//! The memory: base, demand, the last verified snapshot, plans and journals, below a folder of a disk.
//!
//! Invariant: losing it loses no access and removes none; what was verified is replaced whole or not at all, so a crash
//! leaves the old or the new, and whoever reads meanwhile sees one of them. It must not decide what base means, and it
//! holds no secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::disk::{Disk, Folder, Place};
use crate::model::{Code, Demand, Digest, Finding, Name, Plan, Snapshot, Sources};

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

/// Where the memory is in an access repo, unless its settings say otherwise.
pub const USUAL: &str = ".rolecall";
/// What was verified last, and what is to take its place. Each is complete once it has a [`BASE`].
const VERIFIED: &str = "verified";
const NEXT: &str = "verified.new";
/// What describes base, in either.
const BASE: &str = "base.json";
/// The bundles of evidence, each named by its number and its plan.
const EVIDENCE: &str = "evidence";
/// The number and digest of the newest of them.
const HEAD: &str = "head";
/// When sessions were last ended.
const ENDED: &str = "ended.json";
/// The id of the plan that was made last.
const LAST_PLAN: &str = "plans/last";

/// What remembers.
#[derive(Debug, Clone)]
pub struct Memory {
    disk: Arc<dyn Disk>,
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
    /// The bundle of evidence that tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
}

impl BaseRecord {
    /// A record of now.
    #[must_use]
    pub fn new(commit: Option<String>, plan: &str, at: Timestamp) -> Self {
        Self { format: BASE_FORMAT.to_owned(), commit, plan: plan.to_owned(), at, evidence: None }
    }
}

impl Memory {
    /// The memory in a folder of this machine, which need not exist.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { disk: Arc::new(Folder), root: root.into() }
    }

    /// The memory that has a disk to itself.
    #[must_use]
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self { disk, root: PathBuf::new() }
    }

    /// The last verified apply; `None` where there was none.
    ///
    /// # Errors
    /// Where it is there and cannot be understood: a memory that is broken is not a memory that is empty.
    pub fn verified(&self) -> Result<Option<Verified>, Finding> {
        self.whole(|folder, base| {
            let snapshot = self.read_json(&folder.join("snapshot.json"))?;
            let (sources, demand) = (self.read_sources(folder)?, self.read_demand(folder)?);
            Ok(Verified { sources, base: parse(&folder.join(BASE), base)?, demand, snapshot })
        })
    }

    /// Where the last verified apply came from, and what it demanded; `None` where there was none.
    ///
    /// # Errors
    /// Where that is there and cannot be understood.
    pub fn standing(&self) -> Result<Option<(BaseRecord, Option<Demand>)>, Finding> {
        self.whole(|folder, base| Ok((parse(&folder.join(BASE), base)?, self.read_demand(folder)?)))
    }

    /// The files of the last verified apply; `None` where there was none.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn sources(&self) -> Result<Option<Sources>, Finding> {
        self.whole(|folder, _| self.read_sources(folder))
    }

    /// What is read of the last verified apply, all of it of the same one.
    fn whole<T>(&self, read: impl Fn(&Path, &[u8]) -> Result<T, Finding>) -> Result<Option<T>, Finding> {
        loop {
            let Some((folder, base)) = self.complete()? else { return Ok(None) };
            let read = read(&folder, &base);
            // An apply may have put another in its place meanwhile; what was read then is some of each.
            if self.complete()? == Some((folder, base)) {
                return read.map(Some);
            }
        }
    }

    /// Which folder was verified, and what it says of itself. While one is put in the place of another it is the new one as
    /// soon as the old one is not complete any more; it may get its name while we look for it.
    fn complete(&self) -> Result<Option<(PathBuf, Vec<u8>)>, Finding> {
        for name in [VERIFIED, NEXT, VERIFIED] {
            let folder = self.root.join(name);
            if let Some(base) = self.read(&folder.join(BASE))? {
                return Ok(Some((folder, base)));
            }
        }
        Ok(None)
    }

    fn read_demand(&self, folder: &Path) -> Result<Option<Demand>, Finding> {
        self.read_json(&folder.join("demand.json"))
    }

    fn read_sources(&self, folder: &Path) -> Result<Sources, Finding> {
        let tree = folder.join("base");
        let mut sources = Sources::default();
        for path in self.disk.list(&tree).map_err(|error| broken(&tree, &error))? {
            let file = tree.join(&path);
            let bytes = self.read(&file)?.ok_or_else(|| broken(&file, &"it is gone"))?;
            sources.files.insert(Name::from(path), Arc::from(bytes));
        }
        Ok(sources)
    }

    /// Remembers a verified apply in place of the one before.
    ///
    /// # Errors
    /// Where it cannot be written; then either still stands, whole.
    pub fn advance(&self, verified: &Verified) -> Result<(), Finding> {
        self.settle()?;
        let next = self.root.join(NEXT);
        self.discard(&next)?;
        for (path, bytes) in &verified.sources.files {
            self.replace(&next.join("base").join(path.as_ref()), bytes)?;
        }
        if let Some(demand) = &verified.demand {
            self.write_json(&next.join("demand.json"), demand)?;
        }
        if let Some(snapshot) = &verified.snapshot {
            self.write_json(&next.join("snapshot.json"), snapshot)?;
        }
        // Last, because its presence says that the rest is complete.
        self.write_json(&next.join(BASE), &verified.base)?;
        self.discard(&self.root.join(VERIFIED))?;
        self.settle()
    }

    /// Ends what a crash in [`Self::advance`] left half done: the new one takes the place of one that is not complete.
    fn settle(&self) -> Result<(), Finding> {
        let [current, next] = [VERIFIED, NEXT].map(|name| self.root.join(name));
        if self.complete()?.is_some_and(|(folder, _)| folder == next) {
            self.discard(&current)?;
            self.disk.rename(&next, &current).map_err(|error| broken(&current, &error))?;
        }
        Ok(())
    }

    /// Removes what was verified: first what says that it is complete, so that what a crash leaves of it is not taken for it.
    fn discard(&self, folder: &Path) -> Result<(), Finding> {
        for path in [&folder.join(BASE), folder] {
            self.disk.remove(path).map_err(|error| broken(path, &error))?;
        }
        Ok(())
    }

    /// Remembers what was demanded by an apply that did not converge: base stays, but what was given is known to be ours.
    /// Without a base there is nothing that it could be compared with, and nothing is kept.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep_demand(&self, demand: &Demand) -> Result<(), Finding> {
        self.settle()?;
        match self.complete()? {
            Some((folder, _)) => self.write_json(&folder.join("demand.json"), demand),
            None => Ok(()),
        }
    }

    /// Remembers a plan, and that it is the last one. Says where it is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save_plan(&self, plan: &Plan) -> Result<PathBuf, Finding> {
        let file = self.keep_plan(plan)?;
        self.replace(&self.root.join(LAST_PLAN), plan.id.as_bytes())?;
        Ok(file)
    }

    /// Keeps a plan that is nobody's last one: `apply` does not take it by itself.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep_plan(&self, plan: &Plan) -> Result<PathBuf, Finding> {
        let file = self.plan_file(&plan.id);
        self.write_json(&file, plan)?;
        Ok(file)
    }

    /// When sessions were last ended, by the effect that ended them: what nobody has begun since need not be ended again.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn ended(&self) -> Result<BTreeMap<Digest, Timestamp>, Finding> {
        Ok(self.read_json(&self.root.join(ENDED))?.unwrap_or_default())
    }

    /// Remembers when sessions were last ended.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn keep_ended(&self, ended: &BTreeMap<Digest, Timestamp>) -> Result<(), Finding> {
        self.write_json(&self.root.join(ENDED), ended)
    }

    /// The last plan that was made.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub fn last_plan(&self) -> Result<Plan, Finding> {
        let id = self.read(&self.root.join(LAST_PLAN))?.and_then(|bytes| String::from_utf8(bytes).ok());
        let id = id.as_deref().map(str::trim).filter(|id| is_id(id)).ok_or_else(|| {
            Finding::error(NO_PLAN, "no plan was made yet").help("run `rolecall plan` first, and read it")
        })?;
        self.plan(id)?.ok_or_else(|| no_plan(&self.plan_file(id)))
    }

    /// A plan that was made, by its id; `None` where it is not kept any more.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn plan(&self, id: &str) -> Result<Option<Plan>, Finding> {
        let file = self.plan_file(id);
        let bytes = if is_id(id) { self.read(&file)? } else { None };
        bytes.map(|bytes| parse_plan(&file, &bytes)).transpose()
    }

    /// Where the plan of an id is.
    #[must_use]
    pub fn plan_file(&self, id: &str) -> PathBuf {
        self.root.join("plans").join(format!("{id}.json"))
    }

    /// Where the journal of a plan is.
    ///
    /// # Errors
    /// Where that is not the id of a plan: it comes from a file, and must not lead anywhere else.
    pub fn journal(&self, plan: &str) -> Result<Place, Finding> {
        if !is_id(plan) {
            return Err(Finding::error(NO_PLAN, format!("`{plan}` is not the id of a plan")));
        }
        Ok(self.place(&format!("journals/{plan}.jsonl")))
    }

    /// The ids of the plans that have a journal.
    ///
    /// # Errors
    /// Where that cannot be told.
    pub fn journals(&self) -> Result<Vec<String>, Finding> {
        let folder = self.root.join("journals");
        let files = self.disk.list(&folder).map_err(|error| broken(&folder, &error))?;
        let ids = files.iter().filter_map(|file| file.strip_suffix(".jsonl"));
        Ok(ids.filter(|id| is_id(id)).map(str::to_owned).collect())
    }

    /// The bundles of evidence in their order: name and bytes.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn evidence(&self) -> Result<Vec<(String, Vec<u8>)>, Finding> {
        let folder = self.root.join(EVIDENCE);
        let mut names = self.disk.list(&folder).map_err(|error| broken(&folder, &error))?;
        names.retain(|name| name.ends_with(".json"));
        names.sort();
        let mut bundles = Vec::new();
        for name in names {
            if let Some(bytes) = self.read(&folder.join(&name))? {
                bundles.push((name, bytes));
            }
        }
        Ok(bundles)
    }

    /// The number and the digest of the bundle that was kept last.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn last_evidence(&self) -> Result<Option<(u64, Digest)>, Finding> {
        let folder = self.root.join(EVIDENCE);
        let names = self.disk.list(&folder).map_err(|error| broken(&folder, &error))?;
        let numbered = |name: &String| Some((name.split('-').next()?.parse::<u64>().ok()?, name.clone()));
        let Some((number, name)) = names.iter().filter_map(numbered).max() else { return Ok(None) };
        let bytes = self.read(&folder.join(&name))?;
        Ok(bytes.map(|bytes| (number, Digest::of_bytes(&bytes))))
    }

    /// Keeps a bundle of evidence; what is kept is never replaced.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep_evidence(&self, number: u64, plan: &str, bytes: &[u8]) -> Result<(), Finding> {
        let file = self.root.join(EVIDENCE).join(format!("{number:06}-{plan}.json"));
        self.replace(&file, bytes)?;
        let head = format!("{number} {}\n", Digest::of_bytes(bytes));
        self.replace(&self.root.join(EVIDENCE).join(HEAD), head.as_bytes())
    }

    /// The number and the digest of the newest bundle, as they were written beside it.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn evidence_head(&self) -> Result<Option<(u64, String)>, Finding> {
        let bytes = self.read(&self.root.join(EVIDENCE).join(HEAD))?.unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap_or_default();
        Ok(text
            .trim()
            .split_once(' ')
            .and_then(|(number, digest)| Some((number.parse().ok()?, digest.to_owned()))))
    }

    /// Where the lock is.
    #[must_use]
    pub fn lock(&self) -> Place {
        self.place("lock")
    }

    fn place(&self, name: &str) -> Place {
        Place { disk: self.disk.clone(), file: self.root.join(name) }
    }

    fn read(&self, file: &Path) -> Result<Option<Vec<u8>>, Finding> {
        self.disk.read(file).map_err(|error| broken(file, &error))
    }

    fn read_json<T: DeserializeOwned>(&self, file: &Path) -> Result<Option<T>, Finding> {
        self.read(file)?.map(|bytes| parse(file, &bytes)).transpose()
    }

    fn replace(&self, file: &Path, bytes: &[u8]) -> Result<(), Finding> {
        self.disk.replace(file, bytes).map_err(|error| broken(file, &error))
    }

    fn write_json(&self, file: &Path, value: &impl Serialize) -> Result<(), Finding> {
        let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| broken(file, &error))?;
        bytes.push(b'\n');
        self.replace(file, &bytes)
    }
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A plan from its file.
///
/// # Errors
/// Where it cannot be read or is none.
pub fn read_plan(file: &Path) -> Result<Plan, Finding> {
    let bytes = Folder.read(file).map_err(|error| broken(file, &error))?;
    parse_plan(file, &bytes.ok_or_else(|| no_plan(file))?)
}

fn no_plan(file: &Path) -> Finding {
    Finding::error(NO_PLAN, format!("there is no plan at `{}`", file.display()))
        .help("name the `plan.json` that `plan` wrote")
}

fn parse_plan(file: &Path, bytes: &[u8]) -> Result<Plan, Finding> {
    let plan: Plan = parse(file, bytes)?;
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

fn parse<T: DeserializeOwned>(file: &Path, bytes: &[u8]) -> Result<T, Finding> {
    serde_json::from_slice(bytes).map_err(|error| broken(file, &error))
}

#[cfg(test)]
mod tests;
