//! `rolecall codeowners`: GitLab's CODEOWNERS from `owners:`, and whether the one that is there is current.
//!
//! Invariant: what a person wrote above the line that begins ours stays as it is. It must not need a network.

use std::path::{Path, PathBuf};

use super::session::load;
use super::{Exit, Failure, Format, print, repo_or_here, say};
use crate::manifest::Tree;
use crate::manifest::codeowners::{MARK, codeowners};
use crate::manifest::edit::FileEdit;
use crate::model::{Code, Finding, Level, Name, Sources, Span};
use crate::providers;

/// The file says something else than `owners:`.
const NOT_CURRENT: Code = Code { code: "RC218", title: "CODEOWNERS is not what `owners:` makes of it" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NOT_CURRENT];

/// Where GitLab looks, in this order; it takes the first that is there (checked in November 2026).
const PLACES: [&str; 3] = ["CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The access repo
    repo: Option<PathBuf>,
    /// Write the file, where it is or at the root; otherwise it is printed
    #[arg(long)]
    write: bool,
}

pub(super) fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let root = repo_or_here(arguments.repo.as_ref());
    let tree = load(&root, &providers::registry())?;
    let (edit, findings) = edit(&root, &tree)?;
    super::check::show_on_stderr(&findings, &tree.sources);
    if !arguments.write {
        let whole = edit.after.unwrap_or_default();
        match format {
            Format::Json => {
                print(&(serde_json::json!({ "path": edit.path, "text": whole }).to_string() + "\n"));
            }
            Format::Text | Format::Markdown => print(&whole),
        }
        return Ok(Exit::Success);
    }
    if edit.before == edit.after {
        say(&format!("`{}` is current\n", edit.path));
    } else {
        say(&format!("`{}` is written\n", edit.path));
        super::edit::write(&root, &[edit])?;
    }
    Ok(Exit::Success)
}

/// Whether the file is current; nothing where there is none. `None` besides: there is no file.
pub(super) fn check(root: &Path, tree: &Tree) -> Result<Option<Vec<Finding>>, Failure> {
    let (edit, mut findings) = edit(root, tree)?;
    if edit.before.is_none() {
        return Ok(None);
    }
    if edit.before != edit.after {
        let finding = Finding::new(NOT_CURRENT, Level::Error, format!("`{}` is not current", edit.path));
        let help = "`rolecall codeowners --write` makes it anew; GitLab asks those whom the merged one names";
        findings.push(finding.at(&Span::file(edit.path)).help(help));
    }
    Ok(Some(findings))
}

/// The file as it is and as it should be.
fn edit(root: &Path, tree: &Tree) -> Result<(FileEdit, Vec<Finding>), Failure> {
    let made = codeowners(tree);
    // A link is not followed: what it leads to is not of the access repo.
    let place = PLACES.iter().find(|place| root.join(place).symlink_metadata().is_ok()).unwrap_or(&PLACES[0]);
    let path = root.join(place);
    let refuse = |error: &dyn std::fmt::Display| {
        Finding::error(super::repo::UNREADABLE, format!("`{place}` cannot be read: {error}"))
            .help("it is a file of text; check what stands in its place")
    };
    if path.is_symlink() {
        return Err(refuse(&"it is a symbolic link").into());
    }
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(refuse(&error).into()),
    };
    let own =
        before.as_deref().map(|text| text.find(MARK).map_or(text, |at| &text[..at])).unwrap_or_default();
    let gap = if own.is_empty() || own.ends_with("\n\n") {
        ""
    } else if own.ends_with('\n') {
        "\n"
    } else {
        "\n\n"
    };
    let after = Some(format!("{own}{gap}{}", made.text));
    Ok((FileEdit { path: Name::from(*place), before, after }, made.findings))
}

/// What a person is told where there is no file.
pub(super) fn hint(sources: &Sources) -> Option<&'static str> {
    sources.files.keys().any(|path| path.starts_with("roles/")).then_some(
        "there is no CODEOWNERS: `rolecall codeowners --write` makes one, so that GitLab asks the owners of a role\n",
    )
}
