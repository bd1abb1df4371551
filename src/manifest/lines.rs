//! Lines: which part of which document stands on a line of the access repo.
//!
//! Invariant: a part is a document or items of a list, which can be taken out and leave the rest as it is. Of a line that
//! gives nobody anything by itself it says so. It must not know what the part gives.

use std::collections::BTreeSet;

use super::documents::Tree;
use super::load::SETTINGS_FILE;
use super::yaml;
use crate::model::{Entry, Name, Node, NodeValue, Span};

/// What stands on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where its nodes begin: documents, or items of one list.
    pub spans: BTreeSet<Span>,
    /// The kind of its document.
    pub kind: String,
    /// The name of its document.
    pub name: String,
    /// The list whose items it is; `None`: it is the whole document.
    pub list: Option<String>,
}

/// Why a line has no part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPart {
    /// There is no such file.
    NoFile,
    /// The file has only so many lines.
    PastTheEnd(usize),
    /// Nothing but blanks, a comment, or a mark between documents.
    Blank,
    /// A key that gives nobody anything.
    GivesNothing(String),
    /// The file holds the settings.
    Settings,
}

/// The part on a line (from 1), or at a column (from 1) of it where one is given.
pub fn part(tree: &Tree, file: &str, line: u32, column: Option<u32>) -> Result<Part, NoPart> {
    let file = Name::from(file);
    let bytes = tree.sources.files.get(&file).ok_or(NoPart::NoFile)?;
    if *file == *SETTINGS_FILE {
        return Err(NoPart::Settings);
    }
    let text = String::from_utf8_lossy(bytes);
    let number = usize::try_from(line).unwrap_or(usize::MAX);
    let words = number.checked_sub(1).and_then(|at| text.lines().nth(at)).map(str::trim);
    let words = words.ok_or_else(|| NoPart::PastTheEnd(text.lines().count()))?;
    if words.is_empty() || words.starts_with('#') || words.starts_with("---") || words == "..." {
        return Err(NoPart::Blank);
    }
    let documents = yaml::read(&file, bytes, &mut Vec::new());
    let document = documents.iter().rfind(|document| document.node.span.line <= line).ok_or(NoPart::Blank)?;
    let node = &document.node;
    let text_of = |key: &str| node.get(key).and_then(Node::as_text).unwrap_or_default().to_owned();
    let part = |list, spans| Part { spans, kind: text_of("kind"), name: text_of("name"), list };
    let whole = part(None, BTreeSet::from([node.span.clone()]));

    let entry = node.entries().iter().rfind(|entry| starts(entry, line, column));
    let Some(Entry { key, value }) = entry else { return Ok(whole) };
    // A document that is written on one line goes with it.
    let beside = node.entries().iter().filter(|entry| entry.key.span.line == line).count();
    if line == node.span.line && column.is_none() && beside > 1 {
        return Ok(whole);
    }
    let is_role = matches!(whole.kind.as_str(), "Role" | "Unit");
    let spans = items(value, key.span.line, line, column);
    // A grant to nobody, or of nothing, is none.
    let empties = whole.kind == "Grant" && is_all(value, &spans);
    if !spans.is_empty() && !empties {
        return Ok(part(Some(key.value.clone()), spans));
    }
    let names = matches!(key.as_str(), "kind" | "name");
    if is_role && !names { Err(NoPart::GivesNothing(key.value.clone())) } else { Ok(whole) }
}

/// Whether an entry of a document begins at or before a place.
fn starts(entry: &Entry, line: u32, column: Option<u32>) -> bool {
    let span = &entry.key.span;
    span.line < line || (span.line == line && column.is_none_or(|column| span.column <= column))
}

/// The items of the innermost list that stand on a line; all of a list where the line is that of its key alone.
fn items(node: &Node, key: u32, line: u32, column: Option<u32>) -> BTreeSet<Span> {
    match &node.value {
        NodeValue::List(list) => {
            let mut here: Vec<&Node> = list.iter().filter(|item| item.span.line == line).collect();
            if let Some(column) = column
                && let Some(last) = here.iter().rposition(|item| item.span.column <= column)
            {
                here = vec![here[last]];
            }
            if !here.is_empty() {
                return here.into_iter().map(|item| item.span.clone()).collect();
            }
            if key == line {
                return list.iter().map(|item| item.span.clone()).collect();
            }
            let Some(around) = list.iter().rfind(|item| item.span.line < line) else {
                return BTreeSet::new();
            };
            let inner = inner(around, line, column);
            if inner.is_empty() { BTreeSet::from([around.span.clone()]) } else { inner }
        }
        _ => BTreeSet::new(),
    }
}

/// The items of a list within an item that stand on a line; none where that would leave nothing of the list, since then the
/// item around goes.
fn inner(item: &Node, line: u32, column: Option<u32>) -> BTreeSet<Span> {
    let entry = item.entries().iter().rfind(|entry| starts(entry, line, column));
    // A line that a key begins is the key's, and what it is a key of goes with it.
    let Some(Entry { key, value }) = entry.filter(|entry| entry.key.span.line < line) else {
        return BTreeSet::new();
    };
    match &value.value {
        NodeValue::Map(_) => inner(value, line, column),
        _ => Some(items(value, key.span.line, line, column))
            .filter(|spans| !is_all(value, spans))
            .unwrap_or_default(),
    }
}

fn is_all(list: &Node, spans: &BTreeSet<Span>) -> bool {
    matches!(&list.value, NodeValue::List(items) if items.iter().all(|item| spans.contains(&item.span)))
}
