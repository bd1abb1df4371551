//! Edits of an access repo that are not written yet: all of them are judged together before the first one is.
//!
//! Invariant: a draft that is settled loads without an error that the old files did not have. It must not write.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Change, NOT_EDITABLE, apply};
use crate::manifest::{self, Tree};
use crate::model::{Finding, Level, Name, Registry, Sources, Span};

/// One file, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEdit {
    /// Its path in the access repo.
    pub path: Name,
    /// What it says; `None` where it is new.
    pub before: Option<String>,
    /// What it will say; `None` where it goes.
    pub after: Option<String>,
}

/// Edits of an access repo.
#[derive(Debug, Clone)]
pub struct Draft {
    before: Sources,
    after: Sources,
}

impl Draft {
    /// No edits yet.
    #[must_use]
    pub fn of(sources: &Sources) -> Self {
        Self { before: sources.clone(), after: sources.clone() }
    }

    /// A file's text as it is now.
    #[must_use]
    pub fn text(&self, file: &str) -> Option<&str> {
        std::str::from_utf8(self.after.files.get(file)?).ok()
    }

    /// Makes changes of files, those further behind in a file first, so that paths stay what they are.
    ///
    /// # Errors
    /// Each change that cannot be made without changing anything else.
    pub fn change(&mut self, mut changes: Vec<(Name, Change)>) -> Result<(), Vec<Finding>> {
        changes.sort_by(|(one_file, one), (two_file, two)| {
            // A new document has no path, and comes last.
            (one_file, one.path().is_none(), two.path()).cmp(&(two_file, two.path().is_none(), one.path()))
        });
        let mut findings = Vec::new();
        for (file, change) in changes {
            let edited = self.text(&file).ok_or_else(|| "it is not there".to_owned());
            match edited.and_then(|text| apply(&file, text, &change)) {
                Ok(Some(text)) => drop(self.after.files.insert(file, Arc::from(text.into_bytes()))),
                Ok(None) => drop(self.after.files.remove(&file)),
                Err(why) => findings.push(
                    Finding::error(NOT_EDITABLE, format!("`{file}` is not edited: {why}"))
                        .at(&Span::file(file.clone()))
                        .help("edit it by hand; nothing was written"),
                ),
            }
        }
        findings.dedup();
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Adds a file, which must not be there yet.
    pub fn create(&mut self, file: &Name, text: &str) {
        self.after.files.entry(file.clone()).or_insert_with(|| Arc::from(text.as_bytes()));
    }

    /// The files that differ, in the order of their paths.
    #[must_use]
    pub fn edits(&self) -> Vec<FileEdit> {
        let paths: BTreeSet<&Name> = self.before.files.keys().chain(self.after.files.keys()).collect();
        let text = |sources: &Sources, path: &Name| {
            sources.files.get(path).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        paths
            .into_iter()
            .filter(|path| self.before.files.get(*path) != self.after.files.get(*path))
            .map(|path| FileEdit {
                path: path.clone(),
                before: text(&self.before, path),
                after: text(&self.after, path),
            })
            .collect()
    }

    /// The tree that the edits make.
    ///
    /// # Errors
    /// What would be wrong with it.
    pub fn settle(&self, registry: &Registry) -> Result<Tree, Vec<Finding>> {
        let (tree, findings) = manifest::load(&self.after, registry);
        tree.ok_or_else(|| {
            let errors = findings.into_iter().filter(|finding| finding.level == Level::Error);
            let refused =
                Finding::error(NOT_EDITABLE, "what the edit would lead to is wrong; nothing was written");
            std::iter::once(refused).chain(errors).collect()
        })
    }

    /// The files as they would be.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.after
    }
}
