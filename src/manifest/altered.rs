//! A tree with one edit made in memory: something taken out, put into a list, or a file added.
//!
//! Invariant: what is edited is decoded again by the very code that loads it, so that an edit which would not load does
//! not resolve either. It must not write YAML, and the files of the tree stay as they are.

use std::collections::BTreeSet;

use super::documents::Tree;
use super::load::{Documents, Loader};
use super::yaml;
use crate::model::{Entry, Finding, Name, Node, NodeValue, Registry, Span, Spanned, has_errors};

/// One edit.
#[derive(Debug, Clone, Copy)]
pub enum Edit<'a> {
    /// The documents and items of lists that begin at these places, all of one file, go.
    Without(&'a BTreeSet<Span>),
    /// An item, as YAML, is put at the end of a list of the document that begins at a place.
    Item {
        /// Where the document begins.
        document: &'a Span,
        /// The list's key; it is made where it is not there.
        key: &'a str,
        /// The item.
        text: &'a str,
    },
    /// A file is added.
    File {
        /// Its path.
        file: &'a str,
        /// Its text.
        text: &'a str,
    },
}

/// The tree after an edit, or what would be wrong. References to what is gone are not looked at: `resolve` meets them.
pub fn altered(tree: &Tree, registry: &Registry, edit: Edit<'_>) -> Result<Tree, Vec<Finding>> {
    let mut findings = Vec::new();
    let file: Name = match edit {
        Edit::Without(spans) => spans.first().map_or_else(|| "".into(), |span| span.file.clone()),
        Edit::Item { document, .. } => document.file.clone(),
        Edit::File { file, .. } => file.into(),
    };
    let bytes = match edit {
        Edit::File { text, .. } => text.as_bytes(),
        _ => tree.sources.files.get(&file).map(AsRef::as_ref).unwrap_or_default(),
    };
    let mut documents = yaml::read(&file, bytes, &mut findings);
    match edit {
        Edit::Without(spans) => {
            documents.retain(|document| !spans.contains(&document.node.span));
            documents.iter_mut().for_each(|document| without(&mut document.node, spans));
        }
        Edit::Item { document: at, key, text } => {
            let item = yaml::read(&file, text.as_bytes(), &mut findings).into_iter().next();
            let at = documents.iter_mut().find(|document| document.node.span == *at);
            if let (Some(item), Some(document)) = (item, at) {
                // What is new has no place yet; that of its document is the nearest.
                let item = placed(item.node, &document.node.span);
                put(&mut document.node, key, item);
            }
        }
        Edit::File { .. } => {}
    }
    let mut loader = Loader::new(registry, Some(&tree.settings), findings);
    documents.into_iter().for_each(|document| loader.document(document));
    let (new, findings) = loader.finish();
    if has_errors(&findings) {
        return Err(findings);
    }
    let mut tree = tree.clone();
    replace(&mut tree, &file, new);
    Ok(tree)
}

/// Puts what was decoded again in the place of what was there.
fn replace(tree: &mut Tree, file: &Name, new: Documents) {
    tree.users.retain(|user| user.span.file != *file);
    tree.roles.retain(|role| role.span.file != *file);
    tree.grants.retain(|grant| grant.span.file != *file);
    tree.natives.retain(|native| native.origin.span.file != *file);
    tree.suspensions.retain(|suspension| suspension.span.file != *file);
    tree.separations.retain(|separation| separation.span.file != *file);
    tree.waivers.retain(|waiver| waiver.name.span.file != *file);
    tree.users.extend(new.users);
    tree.roles.extend(new.roles);
    tree.grants.extend(new.grants);
    tree.natives.extend(new.natives);
    tree.suspensions.extend(new.suspensions);
    tree.separations.extend(new.separations);
    tree.waivers.extend(new.waivers);
}

fn without(node: &mut Node, spans: &BTreeSet<Span>) {
    match &mut node.value {
        NodeValue::List(items) => {
            items.retain(|item| !spans.contains(&item.span));
            items.iter_mut().for_each(|item| without(item, spans));
        }
        NodeValue::Map(entries) => entries.iter_mut().for_each(|entry| without(&mut entry.value, spans)),
        _ => {}
    }
}

fn put(document: &mut Node, key: &str, item: Node) {
    let NodeValue::Map(entries) = &mut document.value else { return };
    match entries.iter_mut().find(|entry| entry.key.value == key) {
        Some(Entry { value: Node { value: NodeValue::List(items), .. }, .. }) => items.push(item),
        Some(entry) => entry.value = Node { span: item.span.clone(), value: NodeValue::List(vec![item]) },
        None => {
            let span = item.span.clone();
            let value = Node { span: span.clone(), value: NodeValue::List(vec![item]) };
            entries.push(Entry { key: Spanned { value: key.to_owned(), span }, value });
        }
    }
}

fn placed(mut node: Node, at: &Span) -> Node {
    node.span = at.clone();
    node.value = match node.value {
        NodeValue::List(items) => NodeValue::List(items.into_iter().map(|item| placed(item, at)).collect()),
        NodeValue::Map(entries) => {
            let entries = entries.into_iter().map(|Entry { key, value }| Entry {
                key: Spanned { span: at.clone(), ..key },
                value: placed(value, at),
            });
            NodeValue::Map(entries.collect())
        }
        other => other,
    };
    node
}
