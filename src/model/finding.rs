//! Findings: numbered messages for people, and waivers, the exceptions to them.
//!
//! Invariant: a finding says what is wrong, where, and what to do; every check reports all it finds.
//! It must not know how it is shown: `render` draws the snippet from the [`Sources`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::address::Name;
use super::span::{Span, Spanned};

/// The files that a tree consists of: path relative to its root (with `/`) → bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The files, sorted by path.
    pub files: BTreeMap<Name, Arc<[u8]>>,
}

impl Sources {
    /// Sources from texts, for tests and generated trees.
    pub fn of<P: Into<Name>, T: AsRef<[u8]>>(files: impl IntoIterator<Item = (P, T)>) -> Self {
        Self {
            files: files.into_iter().map(|(path, text)| (path.into(), Arc::from(text.as_ref()))).collect(),
        }
    }

    /// The text of a line (1-based), without its end; `None` where there is no such line or it is not UTF-8.
    #[must_use]
    pub fn line(&self, file: &str, line: u32) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let bytes = self.files.get(file)?.split(|byte| *byte == b'\n').nth(index)?;
        std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\r'))
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Likely wrong; nothing stops.
    Warning,
    /// Nothing is planned or applied until it is mended or waived.
    Error,
}

/// The number of a finding: `RC` and three digits. The hundreds tell where it comes from: 1 files and YAML,
/// 2 references and names, 3 people, roles and access, 4 gate, 5 providers, 6 apply, 7 memory and evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// The number as it is printed: `RC203`.
    pub code: &'static str,
    /// What such a finding means, for the table of findings in the docs.
    pub title: &'static str,
}

/// A message of a check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// Its number.
    pub code: Name,
    /// How much it matters.
    pub level: Level,
    /// What is wrong: lower case, no full stop, literals in backticks.
    pub message: String,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What it is about, where that has an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// More to know, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was likely meant: it would stand exactly where the span is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

impl Finding {
    /// A finding of a level.
    pub fn new(code: Code, level: Level, message: impl Into<String>) -> Self {
        Self {
            code: code.code.into(),
            level,
            message: message.into(),
            span: None,
            subject: None,
            help: None,
            notes: Vec::new(),
            instead: None,
        }
    }

    /// An error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Level::Error, message)
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Level::Warning, message)
    }

    /// With its place.
    #[must_use]
    pub fn at(mut self, span: &Span) -> Self {
        self.span = Some(span.clone());
        self
    }

    /// With what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With one more line.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With the word that was likely meant in the place of the one at its span.
    #[must_use]
    pub fn meant(self, word: &str) -> Self {
        self.help(format!("did you mean `{word}`?")).instead(word)
    }

    /// With what would stand in the place of what is at its span.
    #[must_use]
    pub fn instead(mut self, text: impl Into<String>) -> Self {
        self.instead = Some(text.into());
        self
    }

    /// With the address it is about.
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subject = Some(subject.to_string());
        self
    }
}

impl fmt::Display for Finding {
    /// One line, without the snippet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        };
        write!(f, "{level}[{}]: {}", self.code, self.message)?;
        if let Some(span) = &self.span {
            write!(f, " ({span})")?;
        }
        Ok(())
    }
}

/// Whether any of these stops the run.
#[must_use]
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Error)
}

/// The candidate nearest to a mistyped word, for `did you mean`; `None` where nothing is near.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

/// An exception to a finding or a cap: who took it, why, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// The manifest's name.
    pub name: Spanned<String>,
    /// The code that is waived.
    pub code: Spanned<String>,
    /// What it is waived for: addresses or selectors.
    pub on: Vec<Spanned<String>>,
    /// For a cap: how many removals are allowed.
    pub allow: Option<u32>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// When it ends, as an instant.
    pub until: jiff::Timestamp,
}
