//! A directory as it might be: rows of a CSV or JSON file laid over the records of the real one.
//!
//! Invariant: a row is found by its handle, and says only what it has a value for; who is not in the file stays as he is.
//! A row with a new handle is a joiner. All rows that are wrong are told at once. What rests on this is never applied.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{Tree, yaml};
use crate::model::settings::Directory;
use crate::model::{
    Address, Code, DirectoryRecord, Finding, Name, Node, NodeValue, Registry, Span, Spanned, Status,
    has_errors, nearest,
};

/// The file is not one of rows.
pub const BAD_FILE: Code = Code { code: "RC330", title: "a directory file that cannot be used" };
/// A column that means nothing.
pub const BAD_COLUMN: Code = Code { code: "RC331", title: "a column that is no attribute of the directory" };
/// A row that is wrong.
pub const BAD_ROW: Code = Code { code: "RC332", title: "a row of a directory file that is not valid" };

/// The columns that are not attributes.
const COLUMNS: [&str; 5] = ["handle", "email", "manager", "status", "type"];

/// What a file says of people, by handle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reorganized {
    rows: BTreeMap<String, Row>,
}

/// What it says of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    status: Option<Status>,
    /// By the directory's own names; empty: he has it no more.
    profile: BTreeMap<Name, Name>,
    span: Span,
}

/// One row as it was read: (column, value).
type Cells = Vec<(Spanned<String>, Option<Spanned<String>>)>;

/// Reads a file, or tells all that is wrong with it. `tree` says what attributes there are.
pub fn read(tree: &Tree, file: &str, bytes: &[u8]) -> Result<Reorganized, Vec<Finding>> {
    let mut findings = Vec::new();
    let at = Span::file(file);
    if matches!(tree.settings.directory, Directory::Manifests) {
        let message = "the directory of this access repo is its `User` manifests";
        let help = "rehearse on a branch: edit those instead";
        return Err(vec![Finding::error(BAD_FILE, message).at(&at).help(help)]);
    }
    let rows = match file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("csv") => of_csv(file, bytes, &mut findings),
        Some("json") => of_json(file, bytes, &mut findings),
        _ => {
            let finding = Finding::error(BAD_FILE, format!("`{file}` is neither .csv nor .json")).at(&at);
            findings.push(finding.help("a CSV with a header row, or a JSON list of objects"));
            Vec::new()
        }
    };
    let mut reorganized = Reorganized::default();
    let mut unknown: BTreeSet<String> = BTreeSet::new();
    for (span, cells) in rows {
        let before = findings.len();
        let Some((handle, row)) = row(tree, span, cells, &mut unknown, &mut findings) else { continue };
        if findings.len() > before {
            continue;
        }
        if let Some(first) = reorganized.rows.get(&handle) {
            let finding = Finding::error(BAD_ROW, format!("`{handle}` has a row already, at {}", first.span));
            findings.push(finding.at(&row.span).help("keep one of them"));
        } else {
            reorganized.rows.insert(handle, row);
        }
    }
    if findings.is_empty() && reorganized.rows.is_empty() {
        findings.push(Finding::error(BAD_FILE, format!("`{file}` has no row")).at(&at));
    }
    findings.sort_by(|one, other| one.span.cmp(&other.span));
    if findings.is_empty() { Ok(reorganized) } else { Err(findings) }
}

fn of_csv(file: &str, bytes: &[u8], findings: &mut Vec<Finding>) -> Vec<(Span, Cells)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let at = |line: u64| Span { line: u32::try_from(line).unwrap_or(u32::MAX), ..Span::file(file) };
    let refuse = |error: &csv::Error, line: u64| {
        let why = match error.kind() {
            csv::ErrorKind::Utf8 { .. } => "it is not UTF-8".to_owned(),
            _ => error.to_string(),
        };
        Finding::error(BAD_FILE, format!("this row cannot be read: {why}")).at(&at(line))
    };
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(str::to_owned).collect(),
        Err(error) => {
            findings.push(refuse(&error, 1));
            return Vec::new();
        }
    };
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                findings.push(refuse(&error, line));
                continue;
            }
        }
        let span = at(record.position().map_or(line, csv::Position::line));
        if record.len() > header.len() {
            let message =
                format!("this row has {} values, and there are {} columns", record.len(), header.len());
            let finding = Finding::error(BAD_ROW, message).at(&span);
            findings.push(finding.help("put a value that has commas into double quotes"));
            continue;
        }
        let cells = header.iter().zip(&record).map(|(column, value)| {
            let spanned = |value: &str| Spanned { value: value.to_owned(), span: span.clone() };
            (
                Spanned { value: column.clone(), span: at(1) },
                Some(spanned(value)).filter(|cell| !cell.is_empty()),
            )
        });
        rows.push((span.clone(), cells.collect()));
    }
    rows
}

/// JSON is YAML, whose reader knows where everything stands.
fn of_json(file: &str, bytes: &[u8], findings: &mut Vec<Finding>) -> Vec<(Span, Cells)> {
    // Tabs, which YAML refuses, can only stand between values.
    let bytes: Vec<u8> = bytes.iter().map(|byte| if *byte == b'\t' { b' ' } else { *byte }).collect();
    let documents = yaml::read(&file.into(), &bytes, findings);
    if has_errors(findings) {
        return Vec::new();
    }
    let Some(Node { value: NodeValue::List(items), .. }) =
        documents.into_iter().next().map(|document| document.node)
    else {
        let finding = Finding::error(BAD_FILE, "this is no list of objects").at(&Span::file(file));
        findings
            .push(finding.help("write such as `[{ \"handle\": \"dmurphy\", \"department\": \"Sales\" }]`"));
        return Vec::new();
    };
    let mut rows = Vec::new();
    for item in items {
        let NodeValue::Map(entries) = item.value else {
            let finding = Finding::error(BAD_ROW, format!("this is {}, and no object", item.what()));
            findings.push(finding.at(&item.span));
            continue;
        };
        let mut cells = Cells::new();
        for entry in entries {
            let span = entry.value.span.clone();
            let value = match entry.value.value {
                NodeValue::Text(value) => value,
                NodeValue::Int(value) => value.to_string(),
                NodeValue::Bool(value) => value.to_string(),
                // It says that there is no value, which an empty cell of a CSV does not.
                NodeValue::Null => String::new(),
                NodeValue::List(_) | NodeValue::Map(_) => {
                    let message = format!("`{}` is not one value", entry.key.value);
                    findings.push(Finding::error(BAD_ROW, message).at(&span));
                    continue;
                }
            };
            cells.push((entry.key, Some(Spanned { value, span })));
        }
        rows.push((item.span, cells));
    }
    rows
}

fn row(
    tree: &Tree,
    span: Span,
    cells: Cells,
    unknown: &mut BTreeSet<String>,
    findings: &mut Vec<Finding>,
) -> Option<(String, Row)> {
    let Directory::Provider { handle: handle_key, attributes, .. } = &tree.settings.directory else {
        return None;
    };
    let mut row = Row { status: None, profile: BTreeMap::new(), span };
    let (mut handle, before) = (None, findings.len());
    for (column, cell) in cells {
        let known = COLUMNS.contains(&column.as_str()) || attributes.contains_key(column.as_str());
        if !known {
            if unknown.insert(column.value.clone()) {
                findings.push(no_column(&column, attributes));
            }
            continue;
        }
        let Some(Spanned { value, span }) = cell else { continue };
        let mut wrong = |message: String, help: String| {
            findings.push(Finding::error(BAD_ROW, message).at(&span).help(help));
        };
        match column.as_str() {
            "handle" => {
                let lower = value.split('@').next().unwrap_or_default().to_lowercase();
                if lower.is_empty() || lower.contains(char::is_whitespace) {
                    wrong(
                        format!("`{value}` is no handle"),
                        "give the part of the login before the `@`".into(),
                    );
                } else {
                    handle = Some((lower, value));
                }
            }
            "status" => match value.as_str() {
                "active" => row.status = Some(Status::Active),
                "staged" => row.status = Some(Status::Staged),
                "suspended" => row.status = Some(Status::Suspended),
                "left" => row.status = Some(Status::Left),
                _ => wrong(
                    format!("`{value}` is no status"),
                    "it is `active`, `staged`, `suspended` or `left`".into(),
                ),
            },
            "type" => match tree.settings.types.iter().find(|kind| *kind.name == *value) {
                Some(kind) => {
                    row.profile
                        .extend(kind.matches.iter().map(|(key, has)| (key.clone(), has.as_str().into())));
                }
                None => {
                    let known: Vec<&str> = tree.settings.types.iter().map(|kind| &*kind.name).collect();
                    wrong(
                        format!("there is no type `{value}`"),
                        format!("the types are `{}`", known.join("`, `")),
                    );
                }
            },
            "email" => drop(row.profile.insert("email".into(), value.into())),
            key => match attributes.get(key) {
                Some(theirs) => drop(row.profile.insert(theirs.as_str().into(), value.into())),
                None => wrong(
                    format!("`{key}` is not read from this directory"),
                    format!("add it to `directory.attributes`, or leave the column out: `{key}: …`"),
                ),
            },
        }
    }
    let Some((handle, written)) = handle else {
        if findings.len() > before {
            return None;
        }
        let finding = Finding::error(BAD_ROW, "this row has no `handle`").at(&row.span);
        findings.push(finding.help("whom it is about is said by the column `handle`"));
        return None;
    };
    let theirs = Name::from(handle_key.as_str());
    row.profile.entry(theirs).or_insert_with(|| written.as_str().into());
    Some((handle, row))
}

fn no_column(column: &Spanned<String>, attributes: &BTreeMap<Name, String>) -> Finding {
    let finding =
        Finding::error(BAD_COLUMN, format!("no attribute of the directory is called `{}`", column.value))
            .at(&column.span);
    let names: Vec<&str> = COLUMNS.into_iter().chain(attributes.keys().map(AsRef::as_ref)).collect();
    finding.help(match nearest(&column.value, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the columns are `{}`", names.join("`, `")),
    })
}

impl Reorganized {
    /// Lays it over the records of a directory. People who are only in manifests cannot be laid over, which is told.
    pub fn lay_over(
        &self,
        tree: &Tree,
        registry: &Registry,
        records: &mut Vec<DirectoryRecord>,
    ) -> Result<(), Vec<Finding>> {
        let Directory::Provider { from, handle: key, .. } = &tree.settings.directory else { return Ok(()) };
        let handle_of = |record: &DirectoryRecord| {
            let login = record.profile.get(key.as_str())?;
            Some(login.split('@').next().unwrap_or_default().to_lowercase())
        };
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, record) in records.iter().enumerate() {
            places.entry(handle_of(record).unwrap_or_default()).or_default().push(at);
        }
        let settings = tree.settings.providers.get(&from.value);
        let provider = settings.and_then(|settings| registry.provider(&settings.provider));
        let mut findings = Vec::new();
        for (handle, row) in &self.rows {
            let users = tree.users.iter().filter(|user| user.name.value == *handle);
            match places.get(handle).map(Vec::as_slice) {
                // Who left and came back has two records; the one at work is the person.
                Some(all) => {
                    let at_work = all.iter().find(|at| records[**at].status != Status::Left);
                    let Some(at) = at_work.or(all.last()) else { continue };
                    let record = &mut records[*at];
                    record.status = row.status.unwrap_or(record.status);
                    for (name, value) in row.profile.iter().filter(|(name, _)| ***name != **key) {
                        match value.is_empty() {
                            true => drop(record.profile.remove(name)),
                            false => drop(record.profile.insert(name.clone(), value.clone())),
                        }
                    }
                }
                None => match users.clone().next() {
                    Some(user) => {
                        let message = format!("`{handle}` is not in the directory, but in a `User` manifest");
                        let finding = Finding::error(BAD_ROW, message).at(&row.span);
                        findings.push(finding.help(format!("edit {} instead", user.name.span)));
                    }
                    None => {
                        let login = row.profile.get("email").or(row.profile.get(key.as_str()));
                        let address =
                            provider.zip(settings).zip(login).map(|((provider, settings), login)| {
                                (provider.principal)(&from.value, settings.scope.scope.as_deref(), login)
                            });
                        let filled = row.profile.iter().filter(|(_, value)| !value.is_empty());
                        records.push(DirectoryRecord {
                            address: address.filter(|address: &Address| !address.name().is_empty()),
                            status: row.status.unwrap_or_default(),
                            profile: filled.map(|(name, value)| (name.clone(), value.clone())).collect(),
                        });
                    }
                },
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// How many people it says something of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests;
