//! `rolecall.lock`, read: which id each name had.
//!
//! Invariant: what cannot be understood is an error, because a lock that is not read protects nothing.

use super::yaml;
use crate::model::{Address, Code, Finding, Lock, Name, Node, NodeValue, Spanned};

/// The lock cannot be understood.
pub const BAD_LOCK: Code = Code { code: "RC124", title: "`rolecall.lock` cannot be understood" };

const HELP: &str =
    "settle what Git could not merge, or write it anew with `rolecall lock`, and read what that says";

/// The lock in a file's bytes.
pub(super) fn lock(file: &Name, bytes: &[u8], findings: &mut Vec<Finding>) -> Option<Lock> {
    let before = findings.len();
    let documents = yaml::read(file, bytes, findings);
    let [document] = documents.as_slice() else {
        if findings.len() == before {
            let finding = Finding::error(BAD_LOCK, "`rolecall.lock` is not one document");
            findings.push(finding.at(&crate::model::Span::file(file.clone())).help(HELP));
        }
        return None;
    };
    let mut lock = Lock::default();
    let mut bad = |node: &Node, message: String| {
        findings.push(Finding::error(BAD_LOCK, message).at(&node.span).help(HELP));
    };
    for entry in document.node.entries() {
        match (entry.key.value.as_str(), &entry.value.value) {
            ("format", NodeValue::Int(1)) => {}
            ("names", NodeValue::Map(names)) => {
                for name in names {
                    let id = name.value.as_text().filter(|id| !id.is_empty());
                    match (name.key.value.parse::<Address>(), id) {
                        (Ok(address), Some(id)) => {
                            let id = Spanned { value: id.to_owned(), span: name.key.span.clone() };
                            lock.names.insert(address, id);
                        }
                        _ => bad(&name.value, format!("`{}` is no name with its id", name.key.value)),
                    }
                }
            }
            ("values", NodeValue::Map(attributes)) => {
                for attribute in attributes {
                    let values = lock.values.entry(attribute.key.value.as_str().into()).or_default();
                    for value in attribute.value.entries() {
                        match &value.value.value {
                            NodeValue::Int(count) => {
                                let count = u64::try_from(*count).unwrap_or(0);
                                values.insert(value.key.value.as_str().into(), count);
                            }
                            _ => bad(&value.value, format!("`{}` has no number of people", value.key.value)),
                        }
                    }
                }
            }
            (key, _) => bad(&entry.value, format!("`{key}` is not what a lock has here")),
        }
    }
    (document.whole && findings.len() == before).then_some(lock)
}
