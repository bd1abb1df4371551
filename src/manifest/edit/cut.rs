//! Taking out: an item of a list, an entry of a mapping, a document of a stream.
//!
//! Invariant: what goes is the thing and what was written about it alone; a comment that may be about others stays.
//! It must not know documents.

use std::ops::Range;

use super::Splice;
use super::layout::{Document, Entry, Item, skip};
use super::lines;

/// A thing among its like.
struct Sibling {
    start: usize,
    end: usize,
}

/// Takes an item out of a list. `colon` is behind the key that holds the list, where a key does.
pub(super) fn item(
    text: &str,
    flow: bool,
    list: &Range<usize>,
    items: &[Item],
    at: usize,
    colon: Option<usize>,
) -> Option<Vec<Splice>> {
    let siblings: Vec<Sibling> =
        items.iter().map(|item| Sibling { start: item.start, end: item.part.range.end }).collect();
    if flow {
        return in_brackets(text, list, &siblings, at);
    }
    let mut splices = vec![own_lines(text, &siblings, at, colon.unwrap_or(list.start))?];
    if siblings.len() == 1 {
        // A list without items must say that it is one.
        let colon = colon?;
        let line = text.get(colon..lines::end(text, colon))?;
        let line = line.split(" #").next().unwrap_or_default().trim_end();
        splices.push(Splice { range: colon + line.len()..colon + line.len(), text: " []".into() });
    }
    Some(splices)
}

/// Takes an entry out of a mapping.
pub(super) fn entry(
    text: &str,
    flow: bool,
    map: &Range<usize>,
    entries: &[Entry],
    at: usize,
) -> Option<Vec<Splice>> {
    let siblings: Vec<Sibling> =
        entries.iter().map(|entry| Sibling { start: entry.start, end: entry.part.range.end }).collect();
    if flow {
        return in_brackets(text, map, &siblings, at);
    }
    // A mapping without entries is nothing, and who holds it may not take that.
    (siblings.len() > 1).then_some(())?;
    Some(vec![own_lines(text, &siblings, at, map.start)?])
}

/// The lines of a sibling, with the comments that are its own. `above` is where those before it end, if it is the first.
fn own_lines(text: &str, siblings: &[Sibling], at: usize, above: usize) -> Option<Splice> {
    let sibling = siblings.get(at)?;
    if !lines::begins(text, sibling.start) {
        return None;
    }
    let column = sibling.start - lines::start(text, sibling.start);
    let mut end = lines::end(text, sibling.end);
    let next = siblings.get(at + 1).map(|next| next.start);
    // What else stands on its last line goes with it, and may be nothing but a comment.
    if next.is_some_and(|next| next < end) {
        return None;
    }
    loop {
        let line = lines::of(text, &(end..lines::end(text, end)));
        if !lines::is_comment(&line) || lines::indent(&line) <= column {
            break;
        }
        end += line.len();
    }
    let before = at.checked_sub(1).and_then(|before| siblings.get(before)).map_or(above, |before| before.end);
    let start = own_comment(
        text,
        sibling.start,
        before,
        at > 0,
        next.is_some_and(|next| next < lines::end(text, end)),
    );
    Some(Splice { range: start..end, text: String::new() })
}

/// Where the comment right above a thing begins, if it is about that alone; else where the thing's line begins.
///
/// It may be a heading for more where another thing follows at once, unless it stands between two things without a gap.
fn own_comment(text: &str, at: usize, before: usize, follows: bool, followed: bool) -> usize {
    let line = lines::start(text, at);
    let column = at - line;
    let mut start = line;
    while let Some(range) = lines::above(text, start) {
        let comment = lines::of(text, &range);
        // A line that begins before the end of what is above is that thing's own.
        if range.start < before || !lines::is_comment(&comment) || lines::indent(&comment) != column {
            break;
        }
        start = range.start;
    }
    let close = lines::above(text, start).is_some_and(|range| !lines::is_blank(&lines::of(text, &range)));
    if followed && !(follows && close) { line } else { start }
}

/// Takes one of several out of brackets.
fn in_brackets(text: &str, all: &Range<usize>, siblings: &[Sibling], at: usize) -> Option<Vec<Splice>> {
    let cut = |range: Range<usize>| Some(vec![Splice { range, text: String::new() }]);
    let plain = |range: &Range<usize>| !text.get(range.clone()).is_none_or(|text| text.contains(['#', '\n']));
    let sibling = siblings.get(at)?;
    let next = siblings.get(at + 1).map(|next| next.start);
    let behind = skip(text, sibling.end);
    let comma = (text.as_bytes().get(behind) == Some(&b',')).then_some(behind + 1);
    let last = comma.unwrap_or(sibling.end);
    // Alone on its lines: they go, and no other is touched.
    let rest = text.get(last..lines::end(text, last))?.trim();
    let same_line = plain(&(sibling.end..last));
    if lines::begins(text, sibling.start) && same_line && (rest.is_empty() || rest.starts_with('#')) {
        return Some(vec![own_lines(text, siblings, at, all.start + 1)?]);
    }
    let inside = all.start + 1..all.end - 1;
    if siblings.len() == 1 && plain(&(inside.start..sibling.start)) && plain(&(sibling.end..inside.end)) {
        return cut(inside);
    }
    if at == 0
        && let Some(next) = next.filter(|next| plain(&(sibling.end..*next)))
    {
        return cut(sibling.start..next);
    }
    if let Some(before) = at.checked_sub(1).and_then(|before| siblings.get(before))
        && plain(&(before.end..sibling.start))
    {
        return cut(before.end..sibling.end);
    }
    cut(sibling.start..if same_line { last } else { sibling.end })
}

/// Takes a document out of a stream of several.
pub(super) fn document(text: &str, documents: &[Document], at: usize) -> Option<Splice> {
    let document = documents.get(at)?;
    let end = documents.get(at + 1).map_or(text.len(), |next| next.start);
    let mut range = lines::start(text, document.start)..end;
    if at == 0 && range.start == 0 && !document.marked {
        // Nothing stands above: the next one needs no mark to begin with.
        let marked = documents.get(1).is_some_and(|next| next.marked);
        let line = end..lines::end(text, end);
        if marked && lines::of(text, &line).trim_end() == "---" {
            range.end = line.end;
        }
    }
    Some(Splice { range, text: String::new() })
}
