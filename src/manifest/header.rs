//! The keys that every document has, and what is known of all documents before any is decoded.
//!
//! Invariant: a document's name is known even where the rest of it is broken, so that nothing else is reported as
//! missing because of it. It must not decode bodies.

use std::collections::BTreeMap;

use super::{DUPLICATE, NOT_A_DOCUMENT};
use crate::model::decode::MISSING_KEY;
use crate::model::{Finding, Node, NodeValue, Span, Spanned, decode};

/// The kinds of documents that are not a provider's.
pub const OWN_KINDS: [&str; 7] = ["User", "Role", "Unit", "Grant", "Suspension", "Separation", "Waiver"];

/// What names a document.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) kind: Spanned<String>,
    pub(crate) name: Spanned<String>,
}

impl Header {
    /// Takes `kind` and `name` off a document.
    pub(crate) fn take(document: &mut Node, findings: &mut Vec<Finding>) -> Option<Self> {
        if !matches!(document.value, NodeValue::Map(_)) {
            let message = format!("this document is {}, but must be a mapping", document.what());
            findings.push(
                Finding::error(NOT_A_DOCUMENT, message)
                    .at(&document.span)
                    .help("begin it with `kind:` and `name:`"),
            );
            return None;
        }
        let kind = required(document, "kind", findings);
        let name = required(document, "name", findings);
        Some(Self { kind: kind?, name: name? })
    }
}

fn required(document: &mut Node, key: &str, findings: &mut Vec<Finding>) -> Option<Spanned<String>> {
    let Some(entry) = document.take(key) else {
        findings.push(Finding::error(MISSING_KEY, format!("missing key `{key}`")).at(&document.span));
        return None;
    };
    let text: Spanned<String> = decode(&entry.value, findings)?;
    if text.is_empty() {
        findings.push(Finding::error(MISSING_KEY, format!("`{key}` is empty")).at(&text.span));
        return None;
    }
    Some(text)
}

/// The names of all documents.
#[derive(Debug, Default)]
pub(crate) struct Names {
    seen: BTreeMap<(String, String), Span>,
}

impl Names {
    /// Takes in a document's name, and refuses it where it is taken. Roles and units share their names.
    pub(crate) fn declare(&mut self, header: &Header, distinct: &str, findings: &mut Vec<Finding>) {
        let family = if header.kind.value == "Unit" { "Role" } else { header.kind.value.as_str() };
        let key = (format!("{family} {distinct}"), header.name.value.clone());
        if let Some(first) = self.seen.get(&key) {
            let message = format!("there already is a {} `{}`", family, header.name.value);
            findings.push(
                Finding::error(DUPLICATE, message)
                    .at(&header.name.span)
                    .help(format!("the other is at {first}; rename or remove one")),
            );
        } else {
            self.seen.insert(key, header.name.span.clone());
        }
    }

    /// The names of one kind of our own.
    pub(crate) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> + Clone {
        let family = format!("{kind} ");
        self.seen.keys().filter(move |(of, _)| *of == family).map(|(_, name)| name.as_str())
    }
}
