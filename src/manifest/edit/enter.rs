//! Entering people by name: into a role, or among the `members:` of a native group; and taking them out of the latter.
//!
//! Invariant: only the one list is touched. Taking people out of roles is `withdraw`'s. It must not edit.

use super::past::text;
use super::{Change, Path, find, read, scalar};
use crate::manifest::{Role, Tree};
use crate::model::{Name, Node, NodeValue, Span};

/// The change that gives one person a role by name.
#[must_use]
pub fn enter(tree: &Tree, role: &Role, person: &str, reason: &str) -> Option<(Name, Change)> {
    let entry = format!("{{ handle: {}, reason: {} }}", scalar(person), scalar(reason));
    put(tree, &role.span, "members", &["owners", "sensitivity", "job", "name"], entry)
}

/// The change that puts one person among the `members:` of the document that holds a place.
#[must_use]
pub fn enter_native(tree: &Tree, document: &Span, person: &str) -> Option<(Name, Change)> {
    put(tree, document, "members", &["name"], scalar(person))
}

/// The change that takes one person out of the `members:` of the document that holds a place.
#[must_use]
pub fn leave_native(tree: &Tree, document: &Span, person: &str) -> Option<(Name, Change)> {
    let (path, node) = whole(tree, document)?;
    let NodeValue::List(items) = &node.get("members")?.value else { return None };
    let at = items.iter().position(|item| item.as_text() == Some(person))?;
    Some((document.file.clone(), Change::Remove(path.key("members").item(at))))
}

fn put(tree: &Tree, place: &Span, key: &str, after: &[&str], item: String) -> Option<(Name, Change)> {
    let (path, node) = whole(tree, place)?;
    let file = place.file.clone();
    match node.get(key).map(|node| &node.value) {
        Some(NodeValue::List(_)) => Some((file, Change::Append(path.key(key), item))),
        Some(_) => None,
        None => {
            let after = after.iter().find(|key| node.get(key).is_some())?;
            let (after, key) = ((*after).to_owned(), key.to_owned());
            Some((file, Change::Insert { map: path, after, key, item }))
        }
    }
}

/// The document that holds a place, and its path.
fn whole(tree: &Tree, place: &Span) -> Option<(Path, Node)> {
    let source = text(&tree.sources, &place.file)?;
    let path = Path { steps: Vec::new(), ..find(&place.file, source, place)? };
    let node = read(&place.file, source).ok()?.into_iter().nth(path.document)?;
    Some((path, node))
}
