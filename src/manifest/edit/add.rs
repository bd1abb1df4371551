//! Putting in: an item into a list, a list into a mapping, a document behind the others.
//!
//! Invariant: what is put in follows the style of where it goes: block or flow, indentation, line ends.
//! It must not know documents.

use std::ops::Range;

use super::Splice;
use super::layout::{Entry, Form, Item, skip};
use super::lines;

fn insert(at: usize, text: String) -> Splice {
    Splice { range: at..at, text }
}

/// Puts an item at the end of a list.
pub(super) fn item(
    text: &str,
    flow: bool,
    list: &Range<usize>,
    items: &[Item],
    new: &str,
) -> Option<Vec<Splice>> {
    let Some(last) = items.last() else {
        let inside = list.start + 1..list.end - 1;
        let blank = text.get(inside.clone())?.trim().is_empty();
        return Some(vec![if blank {
            Splice { range: inside, text: new.to_owned() }
        } else {
            insert(inside.start, format!("{new} "))
        }]);
    };
    if flow {
        return in_brackets(text, last.start, last.part.range.end, new);
    }
    let column = last.start - lines::start(text, last.start);
    lines::begins(text, last.start).then_some(())?;
    Some(vec![line_after(text, last.part.range.end, &format!("{}- {new}", " ".repeat(column)))])
}

/// Puts a key with a list of one item behind another entry of a mapping.
pub(super) fn list(
    text: &str,
    flow: bool,
    entries: &[Entry],
    after: usize,
    (key, item): (&str, &str),
) -> Option<Vec<Splice>> {
    let before = entries.get(after)?;
    if flow {
        return in_brackets(text, before.start, before.part.range.end, &format!("{key}: [{item}]"));
    }
    let column = |at: usize| " ".repeat(at - lines::start(text, at));
    let new = match &before.part.form {
        // A list beside it tells how lists are written here.
        Form::List { flow: false, items } => {
            let dash = items.first().filter(|item| lines::begins(text, item.start))?.start;
            format!("{key}:{}{}- {item}", lines::ending(text), column(dash))
        }
        _ => format!("{key}: [{item}]"),
    };
    Some(vec![line_after(text, before.part.range.end, &format!("{}{new}", column(before.start)))])
}

/// Puts a document behind all others.
pub(super) fn document(text: &str, new: &str) -> Splice {
    let ending = lines::ending(text);
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { ending };
    let text_of = format!("---\n{new}").replace('\n', ending);
    insert(text.len(), format!("{gap}{text_of}"))
}

/// A line behind the one that holds the end of something.
fn line_after(text: &str, end: usize, line: &str) -> Splice {
    let ending = lines::ending(text);
    let at = lines::end(text, end);
    if text.get(..at).is_some_and(|before| before.ends_with('\n')) {
        insert(at, format!("{line}{ending}"))
    } else {
        insert(at, format!("{ending}{line}"))
    }
}

fn in_brackets(text: &str, start: usize, end: usize, new: &str) -> Option<Vec<Splice>> {
    let behind = skip(text, end);
    let comma = text.as_bytes().get(behind) == Some(&b',');
    let after = if comma { behind + 1 } else { end };
    let rest = text.get(after..lines::end(text, after))?.trim();
    if lines::begins(text, start) && (rest.is_empty() || rest.starts_with('#')) {
        // One a line: the new one gets its own.
        let indent = " ".repeat(start - lines::start(text, start));
        let mark = if comma { "," } else { "" };
        let mut splices = vec![line_after(text, after, &format!("{indent}{new}{mark}"))];
        if !comma {
            splices.push(insert(end, ",".into()));
        }
        return Some(splices);
    }
    let mark = if comma { "," } else { "" };
    let lead = if comma { "" } else { "," };
    Some(vec![insert(after, format!("{lead} {new}{mark}"))])
}
