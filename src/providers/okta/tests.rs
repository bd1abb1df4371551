//! Tests of the Okta provider over a small Okta of canned answers.

use crate::model::span::Entry;
use crate::model::{Node, NodeValue, Span, Spanned};

/// A mapping of texts, as YAML would give it.
pub(super) fn node(entries: &[(&str, &str)]) -> Node {
    let span = |column| Span { file: "x.yaml".into(), line: 1, column, length: 1 };
    let entries = entries.iter().zip(1..).map(|((key, value), column)| Entry {
        key: Spanned { value: (*key).to_owned(), span: span(column * 10) },
        value: Node { value: NodeValue::Text((*value).to_owned()), span: span(column * 10 + 5) },
    });
    Node { value: NodeValue::Map(entries.collect()), span: span(1) }
}
