//! `rolecall values`: what the directory holds, so that an entry cites what people have.
//!
//! Invariant: it reads people and nothing else of any provider. Who has left is counted apart.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::session::{Options, Session};
use super::{Exit, Failure, Format, print, repo_or_here};
use crate::model::{Code, Finding, Inventory, Person, Status, nearest};
use crate::render::escape;
use crate::resolve::{self, normalized};

/// The directory gives no such attribute.
const NO_ATTRIBUTE: Code = Code { code: "RC223", title: "no attribute of people has that name" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NO_ATTRIBUTE];

/// What people have besides the attributes of the directory.
const OWN: [&str; 3] = ["manager", "status", "type"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// An attribute, as entries cite it; all attributes unless given
    attribute: Option<String>,
    /// The access repo
    repo: Option<PathBuf>,
}

impl Arguments {
    /// The access repo, and the attribute. A single argument that is a folder with settings in it is REPO.
    fn places(&self) -> (PathBuf, Option<&str>) {
        match (&self.attribute, &self.repo) {
            (Some(only), None) if PathBuf::from(only).join(crate::manifest::SETTINGS_FILE).exists() => {
                (only.into(), None)
            }
            (attribute, repo) => (repo_or_here(repo.as_ref()), attribute.as_deref()),
        }
    }
}

/// One value of an attribute (`rolecall.values/v1`).
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Count {
    /// As the directory writes it; empty: people without a value.
    value: String,
    /// As entries compare it; no entry can cite a status.
    #[serde(skip_serializing_if = "Option::is_none")]
    cited_as: Option<String>,
    /// How many people have it who have not left.
    people: usize,
    /// How many have it who have left.
    left: usize,
}

/// An attribute and how much the directory holds of it (`rolecall.values/v1`).
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Attribute {
    /// Its name.
    attribute: String,
    /// How many values it has.
    values: usize,
    /// How many people who have not left have one.
    people: usize,
    /// How many of those have none.
    without: usize,
}

#[derive(Debug, Serialize)]
struct Values<'a, T> {
    format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<&'a str>,
    values: Vec<T>,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let (repo, attribute) = arguments.places();
    let session =
        Session::open(Options { repo, looks_only: true, asks_only: true, ..Options::default() }).await?;
    let (records, accounts, incomplete) = session.in_its_time(session.inventory()).await?;
    let (inventory, _) = resolve::people(&session.head, &records, accounts, incomplete, session.now());
    let mut names: Vec<&str> = inventory
        .people
        .values()
        .flat_map(|person| person.attributes.iter().map(|(name, _)| name.as_ref()))
        .chain(attributes(&session))
        .chain(OWN)
        .collect();
    names.sort_unstable();
    names.dedup();
    for why in &inventory.incomplete {
        super::say(&format!("the directory was not read whole: {why}\n"));
    }
    let text = match attribute {
        None => {
            let all: Vec<Attribute> = names.iter().map(|name| summary(&inventory, name)).collect();
            let row = |one: &Attribute| {
                vec![
                    one.attribute.clone(),
                    one.values.to_string(),
                    one.people.to_string(),
                    one.without.to_string(),
                ]
            };
            told(format, &["attribute", "values", "people", "without"], None, all, row)
        }
        Some(name) if names.contains(&name) => {
            let row = |one: &Count| {
                let value = if one.value.is_empty() { "(no value)".to_owned() } else { one.value.clone() };
                vec![
                    value,
                    one.cited_as.clone().unwrap_or_default(),
                    one.people.to_string(),
                    one.left.to_string(),
                ]
            };
            let counts = counts(&inventory, name);
            told(format, &[name, "cited as", "people", "left"], Some(name), counts, row)
        }
        Some(name) => {
            let finding = Finding::error(NO_ATTRIBUTE, format!("people have no attribute `{name}`"));
            let help = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("they have `{}`", names.join("`, `")),
            };
            return Err(finding.help(help).into());
        }
    };
    print(&text);
    session.close()?;
    Ok(Exit::Success)
}

/// The attributes that settings name, whether anybody has them or not.
fn attributes(session: &Session) -> impl Iterator<Item = &str> {
    let named = match &session.head.settings.directory {
        crate::model::Directory::Provider { attributes, .. } => Some(attributes),
        crate::model::Directory::Manifests => None,
    };
    named.into_iter().flat_map(|attributes| attributes.keys().map(AsRef::as_ref))
}

fn value(person: &Person, name: &str) -> Option<String> {
    match name {
        "manager" => person.manager.as_deref().map(str::to_owned),
        "status" => Some(status(person.status).to_owned()),
        "type" => person.kind.as_deref().map(str::to_owned),
        _ => person.attribute(name).map(str::to_owned),
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Staged => "staged",
        Status::Active => "active",
        Status::Suspended => "suspended",
        Status::Left => "left",
    }
}

fn counts(inventory: &Inventory, name: &str) -> Vec<Count> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for person in inventory.people.values() {
        let value = value(person, name).unwrap_or_default();
        let count = counts.entry(value.clone()).or_insert_with(|| Count {
            // Handles and types are compared as they stand.
            cited_as: match name {
                "status" => None,
                "manager" | "type" => Some(value.clone()),
                _ => Some(normalized(&value)),
            },
            value,
            ..Count::default()
        });
        match person.status {
            Status::Left => count.left += 1,
            _ => count.people += 1,
        }
    }
    let mut counts: Vec<Count> = counts.into_values().collect();
    counts.sort_by(|one, other| (other.people, &one.value).cmp(&(one.people, &other.value)));
    counts
}

fn summary(inventory: &Inventory, name: &str) -> Attribute {
    let here = inventory.people.values().filter(|person| person.status != Status::Left);
    let (with, without): (Vec<&Person>, Vec<&Person>) =
        here.partition(|person| value(person, name).is_some());
    let mut values: Vec<String> = with.iter().filter_map(|person| value(person, name)).collect();
    values.sort_unstable();
    values.dedup();
    Attribute { attribute: name.to_owned(), values: values.len(), people: with.len(), without: without.len() }
}

fn told<T: Serialize>(
    format: Format,
    header: &[&str],
    attribute: Option<&str>,
    values: Vec<T>,
    row: impl Fn(&T) -> Vec<String>,
) -> String {
    if format == Format::Json {
        let values = Values { format: "rolecall.values/v1", attribute, values };
        return crate::render::json::values(&values);
    }
    let rows: Vec<Vec<String>> = std::iter::once(header.iter().map(|cell| (*cell).to_owned()).collect())
        .chain(values.iter().map(row))
        .collect();
    let mut text = String::new();
    if format == Format::Markdown {
        for (at, row) in rows.iter().enumerate() {
            // A cell is a code span, in which a bar alone would end the cell.
            let cells: Vec<String> = row.iter().map(|cell| escape::code(cell).replace('|', "\\|")).collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
            if at == 0 {
                text.push_str(&format!("|{}\n", "---|".repeat(row.len())));
            }
        }
        return text;
    }
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| escape::visible(cell).into_owned()).collect()).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                format!("{cell}{}", " ".repeat(width(column).saturating_sub(cell.chars().count())))
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
