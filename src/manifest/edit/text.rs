//! Texts as they are written into manifests: without quotes where every reader takes them for what they are.
//!
//! Invariant: what is written reads as the same text, in brackets too.

use crate::manifest::text;
use crate::model::NodeValue;

/// A text as a scalar of one line.
#[must_use]
pub fn scalar(value: &str) -> String {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-' | '/' | '+' | '(' | ')' | ';');
    // A colon is part of a time, and ends a key only before a space.
    let time = |c: char| c == ':' || plain(c);
    let dated = value.as_bytes().get(10) == Some(&b'T');
    let safe = value.starts_with(|c: char| c.is_alphanumeric())
        && value.chars().all(|c| if dated { time(c) } else { plain(c) })
        && value.trim() == value
        && matches!(text::plain(value), Ok(NodeValue::Text(_)));
    if safe { value.to_owned() } else { quoted(value) }
}

fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out + "\""
}
