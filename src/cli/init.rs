//! `rolecall init`: an access repo to begin with, which plans at once against a simulated world.
//!
//! Invariant: no file that is there is changed, and with one in the way nothing is written. It must not need a network, Git,
//! or an answer.

use std::path::{Path, PathBuf};

use super::edit::write;
use super::session::load_sources;
use super::{Exit, Failure, Format, print, say};
use crate::manifest::codeowners::codeowners;
use crate::manifest::edit::FileEdit;
use crate::manifest::{self, folders};
use crate::model::{Code, Finding, Name, Sources};
use crate::providers;

/// There is something already.
const TAKEN: Code = Code { code: "RC164", title: "there is something where an access repo is to be made" };
/// A name that cannot be an organization's.
const BAD_ORGANIZATION: Code = Code { code: "RC165", title: "a name that no organization can have" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[TAKEN, BAD_ORGANIZATION];

/// What is written, apart from what is made of it: the schemas and CODEOWNERS.
const FILES: [(&str, &str); 6] = [
    ("rolecall.yaml", include_str!("../../templates/init/rolecall.yaml")),
    ("roles/engineering.yaml", include_str!("../../templates/init/roles/engineering.yaml")),
    ("world.yaml", include_str!("../../templates/init/world.yaml")),
    ("README.md", include_str!("../../templates/init/README.md")),
    (".gitignore", include_str!("../../templates/init/gitignore")),
    (".gitlab-ci.yml", include_str!("../../templates/init/gitlab-ci.yml")),
];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder, which is made where it is not there
    folder: Option<PathBuf>,
    /// What the organization is called: a word such as in a host's name
    #[arg(long, value_name = "NAME", default_value = "example")]
    organization: String,
}

pub(super) fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let Arguments { folder, organization } = arguments;
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if organization.is_empty() || !organization.chars().all(word) {
        let finding =
            Finding::error(BAD_ORGANIZATION, format!("`{organization}` is no word for an organization"));
        return Err(finding.help("write it in lower-case letters, digits and hyphens").into());
    }
    let root = folder.clone().unwrap_or_else(|| PathBuf::from("."));
    let files = files(organization)?;
    let taken: Vec<&str> = files
        .iter()
        .map(|(path, _)| *path)
        .filter(|path| root.join(path).symlink_metadata().is_ok())
        .collect();
    if !taken.is_empty() || root.is_file() {
        let message = format!("`{}` has these already: `{}`", root.display(), taken.join("`, `"));
        let help = "name another folder, or take them away; nothing was written";
        return Err(Finding::error(TAKEN, message).help(help).into());
    }
    std::fs::create_dir_all(&root).map_err(|error| {
        Finding::error(TAKEN, format!("`{}` cannot be made: {error}", root.display()))
            .help("name another folder")
    })?;
    let edits: Vec<FileEdit> = files
        .into_iter()
        .map(|(path, text)| FileEdit { path: Name::from(path), before: None, after: Some(text) })
        .collect();
    write(&root, &edits)?;
    match format {
        Format::Json => {
            let paths: Vec<&Name> = edits.iter().map(|edit| &edit.path).collect();
            print(&(serde_json::json!({ "folder": root, "files": paths }).to_string() + "\n"));
        }
        Format::Text | Format::Markdown => edits.iter().for_each(|edit| print(&format!("{}\n", edit.path))),
    }
    say(&next(&root));
    Ok(Exit::Success)
}

/// All files with their texts.
fn files(organization: &str) -> Result<Vec<(&'static str, String)>, Failure> {
    let fill =
        |text: &str| text.replace("ORGANIZATION", organization).replace("VERSION", env!("CARGO_PKG_VERSION"));
    let mut files: Vec<(&str, String)> = FILES.map(|(path, text)| (path, fill(text))).to_vec();
    let registry = providers::registry();
    for (path, kind) in [(".schemas/settings.json", Some("Settings")), (".schemas/documents.json", None)] {
        if let Some(schema) = manifest::json_schema(&registry, kind) {
            files.push((path, format!("{schema:#}\n")));
        }
    }
    // CODEOWNERS is made of the same tree that the files are read as.
    let sources = Sources::of(files.iter().map(|(path, text)| (*path, text)));
    let read = folders(files[0].1.as_bytes());
    let manifests = sources.files.into_iter().filter(|(path, _)| {
        path.as_ref() == manifest::SETTINGS_FILE
            || read
                .iter()
                .any(|folder| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/')))
    });
    let tree = load_sources(&Sources { files: manifests.collect() }, &registry)?;
    files.push(("CODEOWNERS", codeowners(&tree).text));
    Ok(files)
}

fn next(root: &Path) -> String {
    let here = root == Path::new(".");
    let name = root.display();
    let named = if here { String::new() } else { format!(" {name}") };
    format!(
        "\nan access repo with a simulated Okta\n\n  rolecall plan{named}      what would change, and why\n  \
         rolecall apply{named}     carry it out, on the simulated Okta\n\nthen read {}, and change roles/engineering.yaml\n",
        if here { "README.md".to_owned() } else { root.join("README.md").display().to_string() }
    )
}
