//! What the commands that edit YAML share: the access repo with its time and people, the diff, and the writing.
//!
//! Invariant: nothing is written before all edits are judged; each file is replaced whole or not at all, and only if it still
//! is what was read. It must not decide what to edit.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::session::{Options, Session, load, open_world};
use super::{Failure, Format, print};
use crate::manifest::Tree;
use crate::manifest::edit::{Draft, FileEdit};
use crate::model::{Address, Code, Desired, Directory, Finding, Inventory, Name, Origin, Registry, Span};
use crate::provider::{Clock as _, SystemClock};
use crate::render::diff;
use crate::simulator::Simulator;
use crate::{providers, resolve};

/// A file that cannot be written.
const UNWRITABLE: Code = Code { code: "RC163", title: "a file of the access repo cannot be written" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[UNWRITABLE];

/// An access repo that is to be edited.
pub(super) struct Desk {
    /// Its folder.
    pub(super) root: PathBuf,
    /// What it says now.
    pub(super) tree: Tree,
    /// The time: the world's, where all is simulated.
    pub(super) now: Timestamp,
    /// People, where they can be known without a network.
    pub(super) people: Option<Inventory>,
    /// The kinds that there are.
    pub(super) registry: Registry,
}

/// An edit, for programs.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    path: Name,
    diff: String,
}

impl Desk {
    /// Reads an access repo, which must be without errors: what is broken cannot be edited safely.
    pub(super) async fn open(root: PathBuf) -> Result<Self, Failure> {
        let registry = providers::registry();
        let tree = load(&root, &registry)?;
        let (now, people) = match &tree.settings.simulate {
            Some(world) => {
                let now = open_world(&root, &world.value, Simulator::copy_of)?.clock().now();
                let session =
                    Session::open(Options { repo: root.clone(), looks_only: true, ..Options::default() })
                        .await?;
                let (records, accounts, incomplete) = session.in_its_time(session.inventory()).await?;
                let whole = incomplete.is_empty();
                let people = resolve::people(&tree, &records, accounts, incomplete, now).0;
                session.close()?;
                (now, whole.then_some(people))
            }
            None => {
                let now = SystemClock.now();
                let people = || resolve::people(&tree, &[], Vec::new(), Vec::new(), now).0;
                (now, (tree.settings.directory == Directory::Manifests).then(people))
            }
        };
        Ok(Self { root, tree, now, people, registry })
    }

    /// What a tree asks for at a time, where people are known.
    pub(super) fn desired(&self, tree: &Tree, at: Timestamp) -> Option<Desired> {
        Some(resolve::resolve(tree, Some(&self.tree), self.people.as_ref()?, &self.registry, at))
    }

    /// The tree that edits lead to.
    pub(super) fn settle(&self, draft: &Draft) -> Result<Tree, Failure> {
        draft.settle(&self.registry).map_err(|findings| Failure::in_sources(findings, draft.sources()))
    }
}

/// The lines by which a person has a role.
pub(super) fn lines_of(desired: &Desired, person: &str, role: &str) -> Vec<Origin> {
    let person = Address::person(person);
    let mut lines: Vec<Origin> = desired
        .grants
        .iter()
        .filter(|grant| grant.subject.as_ref() == Some(&person))
        .flat_map(|grant| grant.terms.origins.clone())
        .filter(|origin| origin.role.as_deref() == Some(role))
        .map(|origin| (*origin).clone())
        .collect();
    lines.sort_by(|one, two| one.span.cmp(&two.span));
    lines.dedup_by(|one, two| one.span == two.span);
    lines
}

/// Prints edits as diffs; `rest` is what a program is told besides.
pub(super) fn show<T: Serialize>(edits: &[FileEdit], rest: &T, format: Format) {
    #[derive(Serialize)]
    struct All<'a, T> {
        edits: Vec<Shown>,
        #[serde(flatten)]
        rest: &'a T,
    }
    let shown = |edit: &FileEdit| Shown {
        path: edit.path.clone(),
        diff: diff::unified(&edit.path, edit.before.as_deref(), edit.after.as_deref()),
    };
    let edits: Vec<Shown> = edits.iter().map(shown).collect();
    match format {
        Format::Json => {
            print(&(serde_json::to_string_pretty(&All { edits, rest }).unwrap_or_default() + "\n"));
        }
        Format::Text => edits.iter().for_each(|edit| print(&edit.diff)),
        Format::Markdown => edits.iter().for_each(|edit| print(&diff::markdown(&edit.diff))),
    }
}

/// Writes edits. All files are looked at before the first one is touched.
pub(super) fn write(root: &Path, edits: &[FileEdit]) -> Result<(), Failure> {
    let refuse = |path: &Name, why: &dyn std::fmt::Display| {
        Finding::error(UNWRITABLE, format!("`{path}` cannot be written: {why}")).at(&Span::file(path.clone()))
    };
    let mut findings = Vec::new();
    for edit in edits {
        let now = match fs::read(root.join(&*edit.path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        match now {
            Ok(now) if now.as_deref() == edit.before.as_deref().map(str::as_bytes) => {}
            Ok(_) => findings.push(
                refuse(&edit.path, &"somebody else has changed it meanwhile")
                    .help("run this again; nothing was written"),
            ),
            Err(error) => findings.push(refuse(&edit.path, &error).help("nothing was written")),
        }
    }
    if !findings.is_empty() {
        return Err(findings.into());
    }
    for (at, edit) in edits.iter().enumerate() {
        let path = root.join(&*edit.path);
        let done = match &edit.after {
            Some(text) => replace(&path, text.as_bytes()),
            None => fs::remove_file(&path),
        };
        if let Err(error) = done {
            let written: Vec<String> = edits[..at].iter().map(|edit| format!("`{}`", edit.path)).collect();
            let help = if written.is_empty() {
                "check its permissions; nothing was written".to_owned()
            } else {
                format!("check its permissions; written already: {}", written.join(", "))
            };
            return Err(refuse(&edit.path, &error).help(help).into());
        }
    }
    Ok(())
}

/// Puts a file in the place of another, with its permissions: whole, or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Its name ends in something else than `.yaml`, so that nobody takes it for a manifest.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || {
        let mut file = fs::File::create_new(&new)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    };
    let done = write().and_then(|()| fs::rename(&new, path));
    if done.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        let _ = fs::remove_file(&new);
    }
    done
}
