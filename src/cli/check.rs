//! `rolecall check`: all that needs no network; and with `--suggest`, how to mend what the directory has outrun.
//!
//! Invariant: every finding of every file is printed; with a baseline only new ones fail.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::session::{Options, Session};
use super::{Exit, Failure, Format, codeowners, print, repo_or_here, say, style};
use crate::model::{Code, Digest, Finding, Level, Sources};
use crate::render::suggestions::{Suggestion, suggestions};
use crate::render::{findings, gitlab, json};
use crate::resolve::{self, Mend};
use crate::{manifest, providers};

/// How to mend an entry that cites what is gone.
const MEND: Code = Code { code: "RC318", title: "how to mend an entry that cites what is gone" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[MEND];

/// How many people are named.
const NAMED: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The access repo
    repo: Option<PathBuf>,
    /// Findings that are known already; a missing file is written
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write findings.json, with what can be mended by a click, codequality.json and junit.xml into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "suggest")]
    out: Option<PathBuf>,
    /// Look at the directory too, and say how to mend entries that cite what is gone
    #[arg(long, conflicts_with = "baseline")]
    suggest: bool,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    if arguments.suggest {
        return suggest(arguments, format).await;
    }
    let root = repo_or_here(arguments.repo.as_ref());
    let (sources, mut found, hint) = match checked(&root) {
        Ok(checked) => checked,
        Err(failure) => {
            // What a commit brings under the name of the folder must not stand for what was found here.
            leave(arguments, &root, &failure.findings, &failure.sources)?;
            return Err(failure);
        }
    };
    if let Some(file) = &arguments.baseline {
        found = against(found, file)?;
    }
    leave(arguments, &root, &found, &sources)?;
    show(&found, &sources, format);
    let errors = found.iter().filter(|finding| finding.level == Level::Error).count();
    if errors > 0 {
        return Ok(Exit::Error);
    }
    if format == Format::Text && found.is_empty() {
        say(&format!("{} files, nothing wrong\n", sources.files.len()));
        hint.into_iter().for_each(say);
    }
    Ok(Exit::Success)
}

/// The files, what is wrong with them, and what a person is told where nothing is.
fn checked(root: &Path) -> Result<(Sources, Vec<Finding>, Option<&'static str>), Failure> {
    let sources = super::repo::read(root, manifest::folders)?;
    let (tree, mut found) = manifest::load(&sources, &providers::registry());
    found.extend(tree.iter().flat_map(resolve::unknown_to_lock));
    let owners = tree.map(|tree| codeowners::check(root, &tree)).transpose()?;
    let hint = if matches!(owners, Some(None)) { codeowners::hint(&sources) } else { None };
    found.extend(owners.flatten().unwrap_or_default());
    Ok((sources, found, hint))
}

/// Writes what `--out` asks for.
fn leave(arguments: &Arguments, root: &Path, found: &[Finding], sources: &Sources) -> Result<(), Finding> {
    let Some(folder) = &arguments.out else { return Ok(()) };
    let suggestions = suggestions(found, sources, &super::repo::prefix(root));
    write(folder, found, &suggestions).map_err(|error| {
        let message = format!("`{}` cannot be written: {error}", folder.display());
        Finding::error(super::repo::UNREADABLE, message).help("name a folder that can be written")
    })
}

fn write(folder: &Path, found: &[Finding], suggestions: &[Suggestion]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("findings.json"), json::checked(found, suggestions))?;
    std::fs::write(folder.join("codequality.json"), gitlab::codequality(found))?;
    std::fs::write(folder.join("junit.xml"), gitlab::junit(found))
}

/// How to mend what entries cite and is gone.
async fn suggest(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let repo = repo_or_here(arguments.repo.as_ref());
    let session = Session::open(Options { repo, ..Options::default() }).await?;
    let observed = session.in_its_time(session.observe(&BTreeSet::new())).await?;
    let mends = resolve::mends(&observed.head, session.demand(), &observed.inventory);
    let findings: Vec<Finding> = mends.iter().map(proposal).collect();
    show(&findings, &session.head.sources, format);
    if findings.is_empty() && format == Format::Text {
        say("no entry cites what is gone\n");
    }
    session.close()?;
    Ok(Exit::Success)
}

/// What a person is told of a mend.
fn proposal(mend: &Mend) -> Finding {
    let Mend { role, key, gone, span, now, others } = mend;
    let people = |count: usize| if count == 1 { "1 person".to_owned() } else { format!("{count} people") };
    let listed: Vec<String> =
        now.iter().map(|(value, count)| format!("`{value}` ({})", people(*count))).collect();
    let (message, help) = if now.is_empty() {
        let message = format!("{key} `{gone}` is gone, and nobody who is at work has role `{role}` for it");
        (message, format!("take `{gone}` out"))
    } else {
        let message = format!(
            "{key} `{gone}` is gone; those who had role `{role}` for it have now: {}",
            listed.join(", ")
        );
        let values: Vec<&str> = now.iter().map(|(value, _)| value.as_str()).collect();
        let written = match values.as_slice() {
            [one] => (*one).to_owned(),
            several => format!("[{}]", several.join(", ")),
        };
        (message, format!("write `{key}: {written}` in place of `{gone}`"))
    };
    let mut finding =
        Finding::new(MEND, Level::Info, message).at(span).about(format!("role:{role}")).help(help);
    if !others.is_empty() {
        let named: Vec<&str> = others.iter().take(NAMED).map(AsRef::as_ref).collect();
        let more = others.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        finding = finding.note(format!("with that {}{more} would get the role too", named.join(", ")));
    }
    finding
}

/// Findings beside the data that a command prints.
pub(super) fn show_on_stderr(found: &[Finding], sources: &Sources) {
    if !found.is_empty() {
        say(&findings::terminal(found, sources, &style(true)));
    }
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
