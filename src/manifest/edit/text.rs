//! Texts as they are written into manifests: without quotes where every reader takes them for what they are.
//!
//! Invariant: what is written reads as the same text, in brackets too.

use jiff::Timestamp;

use crate::manifest::text;
use crate::model::NodeValue;

/// A text as a scalar of one line.
#[must_use]
pub fn scalar(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " ._-/+();".contains(c);
    let words = value.starts_with(char::is_alphanumeric) && value.chars().all(plain) && value.trim() == value;
    // A colon is part of a time, and elsewhere may end a key.
    let time = value.parse::<Timestamp>().is_ok() && !value.contains([' ', '[']);
    let safe = (words || time) && matches!(text::plain(value), Ok(NodeValue::Text(_)));
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
