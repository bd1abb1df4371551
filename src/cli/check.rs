//! `rolecall check`: all that needs no network.
//!
//! Invariant: every finding of every file is printed; with a baseline only new ones fail.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Exit, Failure, Format, print, repo_or_here, say, style};
use crate::model::{Digest, Finding, Level, Sources};
use crate::render::findings;
use crate::{manifest, providers};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The access repo
    repo: Option<PathBuf>,
    /// Findings that are known already; a missing file is written
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let root = repo_or_here(arguments.repo.as_ref());
    let sources = super::repo::read(&root, manifest::folders)?;
    let (_, mut found) = manifest::load(&sources, &providers::registry());
    if let Some(file) = &arguments.baseline {
        found = against(found, file)?;
    }
    show(&found, &sources, format);
    let errors = found.iter().filter(|finding| finding.level == Level::Error).count();
    if errors > 0 {
        return Ok(Exit::Error);
    }
    if format == Format::Text && found.is_empty() {
        say(&format!("{} files, nothing wrong\n", sources.files.len()));
    }
    Ok(Exit::Success)
}

fn show(found: &[Finding], sources: &Sources, format: Format) {
    match format {
        Format::Json => print(&findings::json(found)),
        Format::Markdown => print(&findings::markdown(found)),
        Format::Text if found.is_empty() => {}
        Format::Text => print(&findings::terminal(found, sources, &style(false))),
    }
}

/// What is not in the baseline. A finding is known by what it says and in which file, not by its line, which moves.
fn against(found: Vec<Finding>, file: &std::path::Path) -> Result<Vec<Finding>, Failure> {
    let known_by = |finding: &Finding| {
        Digest::of(&(&finding.code, &finding.message, finding.span.as_ref().map(|span| &span.file)))
            .to_string()
    };
    let refuse = |error: &dyn std::fmt::Display| {
        let message = format!("the baseline `{}` cannot be used: {error}", file.display());
        Finding::error(super::repo::UNREADABLE, message).help("remove it to write a new one")
    };
    match std::fs::read(file) {
        Ok(bytes) => {
            let known: BTreeSet<String> = serde_json::from_slice(&bytes).map_err(|error| refuse(&error))?;
            Ok(found.into_iter().filter(|finding| !known.contains(&known_by(finding))).collect())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let known: BTreeSet<String> = found.iter().map(known_by).collect();
            let text = serde_json::to_string_pretty(&known).map_err(|error| refuse(&error))?;
            std::fs::write(file, text + "\n").map_err(|error| refuse(&error))?;
            say(&format!("{} findings are now the baseline\n", known.len()));
            Ok(Vec::new())
        }
        Err(error) => Err(refuse(&error).into()),
    }
}
