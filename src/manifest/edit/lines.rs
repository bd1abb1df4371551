//! Lines of a text: where they begin and end, and what stands on them.
//!
//! Invariant: a line's range ends behind its line end, so that taking it out leaves the others as they are.

use std::ops::Range;

/// Where the line begins that holds a byte.
pub(super) fn start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
}

/// Behind the line that holds a byte, its line end included.
pub(super) fn end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |end| at + end + 1)
}

/// The line above, where there is one.
pub(super) fn above(text: &str, at: usize) -> Option<Range<usize>> {
    let this = start(text, at);
    let before = this.checked_sub(1)?;
    Some(start(text, before)..this)
}

/// What stands on a line, its line end included.
pub(super) fn of(text: &str, range: &Range<usize>) -> String {
    text.get(range.clone()).unwrap_or_default().to_owned()
}

/// How far a line is indented.
pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Whether nothing else stands on the line before a byte.
pub(super) fn begins(text: &str, at: usize) -> bool {
    text.get(start(text, at)..at).is_some_and(|before| before.bytes().all(|byte| byte == b' '))
}

/// Whether a line holds a comment and nothing else.
pub(super) fn is_comment(line: &str) -> bool {
    line.trim_start_matches(' ').starts_with('#')
}

/// Whether nothing stands on a line.
pub(super) fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

/// How lines end in this text.
pub(super) fn ending(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text.get(..at).is_some_and(|line| line.ends_with('\r')) => "\r\n",
        _ => "\n",
    }
}
