//! The smallest edit of a file that makes it say what it is to say: comments, order, quotes and line ends stay.
//!
//! Invariant: what an edit makes is read again, and is the old tree with that one change and no other, or the edit is
//! refused. Pure: it gives texts, and writes nothing. It must not decide what is to change.

mod add;
mod cut;
mod draft;
pub mod enter;
pub mod grant;
mod layout;
mod lines;
pub mod past;
#[cfg(test)]
mod tests;
mod text;
pub mod withdraw;

use std::ops::Range;

pub use draft::{Draft, FileEdit};
pub use text::scalar;

use super::yaml;
use crate::model::{Code, Entry, Name, Node, NodeValue, Span, Spanned};
use layout::{Document, Form, Part};

/// A change that could not be made without changing more.
pub const NOT_EDITABLE: Code =
    Code { code: "RC160", title: "an edit that would change more than it is to, or less" };

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The value under a key.
    Key(String),
    /// An item of a list.
    Item(usize),
}

/// A value of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// Which of the documents that say something.
    pub document: usize,
    /// The way from its root.
    pub steps: Vec<Step>,
}

impl Path {
    /// The path of a value under this one.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// The path of an item under this one.
    #[must_use]
    pub fn item(&self, item: usize) -> Self {
        self.step(Step::Item(item))
    }

    fn step(&self, step: Step) -> Self {
        Self { document: self.document, steps: self.steps.iter().cloned().chain([step]).collect() }
    }
}

/// One change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Takes out an item of a list, an entry of a mapping, or, where the path has no steps, a document.
    Remove(Path),
    /// Puts an item, written as YAML on one line, at the end of a list.
    Append(Path, String),
    /// Puts a key with a list of one item, written as YAML on one line, behind another key of a mapping.
    Insert {
        /// The mapping.
        map: Path,
        /// The key that it follows.
        after: String,
        /// The new key.
        key: String,
        /// The item.
        item: String,
    },
    /// Writes another scalar in place of one.
    Set(Path, String),
    /// Puts a document behind all others.
    Document(String),
}

impl Change {
    /// What it changes; of a new document there is nothing yet.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Remove(path)
            | Self::Append(path, _)
            | Self::Set(path, _)
            | Self::Insert { map: path, .. } => Some(path),
            Self::Document(_) => None,
        }
    }
}

/// A part of a text, and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Splice {
    range: Range<usize>,
    text: String,
}

/// Makes a change; the text is `None` where the file has nothing left to say.
///
/// # Errors
/// Why it cannot be made without changing anything else.
pub fn apply(file: &Name, text: &str, change: &Change) -> Result<Option<String>, String> {
    let before = read(file, text)?;
    let intended = intended(file, &before, change).ok_or("what is to be changed is not there")?;
    if intended.is_empty() {
        return Ok(None);
    }
    let layout = layout::layout(text).filter(|layout| layout.len() == before.len());
    let layout = layout.ok_or("its YAML takes a form that is not edited")?;
    let splices = splices(text, &layout, change).ok_or("it is written in a way that is not edited")?;
    let edited = splice(text, splices).ok_or("it is written in a way that is not edited")?;
    let after = read(file, &edited)?;
    let same = after.len() == intended.len() && after.iter().zip(&intended).all(|(one, two)| same(one, two));
    if same {
        Ok(Some(edited))
    } else {
        Err("more than that would change, such as what an alias stands for".into())
    }
}

/// The documents of a text, which must have no mistake.
fn read(file: &Name, text: &str) -> Result<Vec<Node>, String> {
    let mut findings = Vec::new();
    let documents = yaml::read(file, text.as_bytes(), &mut findings);
    match findings.first() {
        Some(finding) => Err(finding.message.clone()),
        None => Ok(documents.into_iter().map(|document| document.node).collect()),
    }
}

/// The path of the value at a place.
#[must_use]
pub fn find(file: &Name, text: &str, place: &Span) -> Option<Path> {
    fn within(node: &Node, place: &Span, path: &Path) -> Option<Path> {
        if node.span == *place {
            return Some(path.clone());
        }
        match &node.value {
            NodeValue::List(items) => {
                items.iter().enumerate().find_map(|(at, item)| within(item, place, &path.item(at)))
            }
            NodeValue::Map(entries) => {
                entries.iter().find_map(|entry| within(&entry.value, place, &path.key(&entry.key.value)))
            }
            _ => None,
        }
    }
    let documents = read(file, text).ok()?;
    documents
        .iter()
        .enumerate()
        .find_map(|(document, node)| within(node, place, &Path { document, steps: Vec::new() }))
}

/// The trees that a change is to lead to.
fn intended(file: &Name, before: &[Node], change: &Change) -> Option<Vec<Node>> {
    let mut after = before.to_vec();
    let one = |text: &str| {
        let mut documents = read(file, text).ok()?;
        if documents.len() == 1 { documents.pop() } else { None }
    };
    match change {
        Change::Remove(path) => match path.steps.split_last() {
            None => {
                after.get(path.document)?;
                after.remove(path.document);
            }
            Some((last, steps)) => match (&mut at(after.get_mut(path.document)?, steps)?.value, last) {
                (NodeValue::List(items), Step::Item(item)) if *item < items.len() => {
                    drop(items.remove(*item));
                }
                (NodeValue::Map(entries), Step::Key(key)) => {
                    let position = entries.iter().position(|entry| entry.key.value == *key)?;
                    entries.remove(position);
                }
                _ => return None,
            },
        },
        Change::Append(path, item) => match &mut at(after.get_mut(path.document)?, &path.steps)?.value {
            NodeValue::List(items) => items.push(one(item)?),
            _ => return None,
        },
        Change::Insert { map, after: behind, key, item } => {
            let NodeValue::Map(entries) = &mut at(after.get_mut(map.document)?, &map.steps)?.value else {
                return None;
            };
            let position = entries.iter().position(|entry| entry.key.value == *behind)?;
            let key = Spanned { value: key.clone(), span: Span::file(file.clone()) };
            let value = Node { value: NodeValue::List(vec![one(item)?]), span: Span::file(file.clone()) };
            entries.insert(position + 1, Entry { key, value });
        }
        Change::Set(path, value) => *at(after.get_mut(path.document)?, &path.steps)? = one(value)?,
        Change::Document(text) => after.push(one(text)?),
    }
    Some(after)
}

fn at<'n>(node: &'n mut Node, steps: &[Step]) -> Option<&'n mut Node> {
    steps.iter().try_fold(node, |node, step| match (&mut node.value, step) {
        (NodeValue::List(items), Step::Item(item)) => items.get_mut(*item),
        (NodeValue::Map(entries), Step::Key(key)) => {
            entries.iter_mut().find(|entry| entry.key.value == *key).map(|entry| &mut entry.value)
        }
        _ => None,
    })
}

/// Whether two trees say the same, wherever it stands. The order of keys counts.
fn same(one: &Node, two: &Node) -> bool {
    match (&one.value, &two.value) {
        (NodeValue::List(one), NodeValue::List(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (NodeValue::Map(one), NodeValue::Map(two)) => {
            let alike =
                |(one, two): (&Entry, &Entry)| one.key.value == two.key.value && same(&one.value, &two.value);
            one.len() == two.len() && one.iter().zip(two).all(alike)
        }
        (one, two) => one == two,
    }
}

fn splices(text: &str, documents: &[Document], change: &Change) -> Option<Vec<Splice>> {
    match change {
        Change::Remove(path) => {
            let Some((last, steps)) = path.steps.split_last() else {
                return Some(vec![cut::document(text, documents, path.document)?]);
            };
            let (holder, colon) = part(documents.get(path.document)?, steps)?;
            match (&holder.form, last) {
                (Form::List { flow, items }, Step::Item(at)) => {
                    cut::item(text, *flow, &holder.range, items, *at, colon)
                }
                (Form::Map { flow, entries }, Step::Key(key)) => {
                    let at = entries.iter().position(|entry| entry.key == *key)?;
                    cut::entry(text, *flow, &holder.range, entries, at)
                }
                _ => None,
            }
        }
        Change::Append(path, item) => {
            let (list, _) = part(documents.get(path.document)?, &path.steps)?;
            let Form::List { flow, items } = &list.form else { return None };
            add::item(text, *flow, &list.range, items, item)
        }
        Change::Insert { map, after, key, item } => {
            let (map, _) = part(documents.get(map.document)?, &map.steps)?;
            let Form::Map { flow, entries } = &map.form else { return None };
            let at = entries.iter().position(|entry| entry.key == *after)?;
            add::list(text, *flow, entries, at, (key, item))
        }
        Change::Set(path, value) => {
            let (old, _) = part(documents.get(path.document)?, &path.steps)?;
            let leaf = matches!(old.form, Form::Leaf) && !old.range.is_empty();
            leaf.then(|| vec![Splice { range: old.range.clone(), text: value.clone() }])
        }
        Change::Document(new) => Some(vec![add::document(text, new)]),
    }
}

/// The part at the end of some steps, and where the colon of its key ends, where it has one.
fn part<'d>(document: &'d Document, steps: &[Step]) -> Option<(&'d Part, Option<usize>)> {
    steps.iter().try_fold((&document.root, None), |(part, _), step| match (&part.form, step) {
        (Form::List { items, .. }, Step::Item(at)) => items.get(*at).map(|item| (&item.part, None)),
        (Form::Map { entries, .. }, Step::Key(key)) => {
            entries.iter().find(|entry| entry.key == *key).map(|entry| (&entry.part, Some(entry.colon)))
        }
        _ => None,
    })
}

fn splice(text: &str, mut splices: Vec<Splice>) -> Option<String> {
    splices.sort_by_key(|splice| splice.range.start);
    let mut edited = String::new();
    let mut from = 0;
    for Splice { range, text: new } in splices {
        edited.push_str(text.get(from..range.start)?);
        edited.push_str(&new);
        from = range.end;
    }
    edited.push_str(text.get(from..)?);
    Some(edited)
}
