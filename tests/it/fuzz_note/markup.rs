//! What a browser makes of HTML, a parser of XML, and Slack of a message: a strict reading of each.
//!
//! Invariant: tags, attributes and entities are ours, each a known one. It must not forgive as browsers do.

use rolecall::model::Plan;
use rolecall::render::escape::is_unseen;

#[rustfmt::skip]
const TAGS: [&str; 39] = [
    "html", "head", "meta", "title", "style", "body", "main", "header", "p", "h1", "h2", "h3", "aside", "code",
    "section", "article", "span", "details", "summary", "dl", "dt", "dd", "pre", "br", "del", "ins", "b", "wbr",
    "footer", "testsuites", "testsuite", "testcase", "failure", "system-out", "ul", "li", "div", "strong", "em",
];
/// Those that nothing is in, and that so are not closed.
const ALONE: [&str; 3] = ["meta", "br", "wbr"];
#[rustfmt::skip]
const ATTRIBUTES: [&str; 11] = [
    "lang", "charset", "name", "http-equiv", "content", "class", "tests", "failures", "classname", "file", "message",
];
/// Those that a text may make within a line: where it may break, what stood between backticks, how lines differ.
const WITHIN: [&str; 5] = ["wbr", "code", "del", "ins", "span"];
const ENTITIES: [&str; 5] = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
const PROLOGUES: [&str; 2] = ["<!doctype html>\n", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"];

/// Judges a page or a report.
pub(super) fn judge(_: &Plan, page: &str, harmless: &str) -> Result<(), String> {
    if let Some(unseen) = page.chars().find(|c| *c != '\n' && is_unseen(*c)) {
        return Err(format!("an unseen character: {unseen:?}"));
    }
    let (seen, expected) = (tags(page)?, tags(harmless).map_err(|why| format!("if harmless: {why}"))?);
    let other = seen.iter().zip(&expected).find(|(a, b)| a != b);
    match (seen.len() == expected.len(), other) {
        (true, None) => Ok(()),
        (_, other) => Err(format!("{} tags in place of {}: {other:?}", seen.len(), expected.len())),
    }
}

/// Its tags, sorted, but for those within a line.
fn tags(page: &str) -> Result<Vec<&str>, String> {
    let mut rest = PROLOGUES.iter().find_map(|prologue| page.strip_prefix(prologue)).ok_or("no prologue")?;
    let (mut tags, mut open) = (Vec::new(), Vec::new());
    while let Some((text, after)) = rest.split_once('<') {
        if open.last() != Some(&"style") {
            plain(text, "\"'")?;
        }
        let (tag, after) = after.split_once('>').ok_or("a tag without an end")?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes something else"));
            }
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if !TAGS.contains(&name) {
            return Err(format!("<{tag}> is none of ours"));
        }
        while !attributes.is_empty() {
            let (attribute, value) = attributes.split_once("=\"").ok_or_else(|| format!("<{tag}>"))?;
            let (value, next) = value.split_once('"').ok_or_else(|| format!("<{tag}>"))?;
            // `type` is an attribute of a failure alone.
            if !ATTRIBUTES.contains(&attribute) && (name, attribute) != ("failure", "type") {
                return Err(format!("an attribute that is none of ours: {attribute:?} in <{tag}>"));
            }
            plain(value, "")?;
            attributes = next.strip_prefix(' ').unwrap_or(next);
        }
        if !closed && !ALONE.contains(&name) {
            open.push(name);
        }
        if !WITHIN.contains(&name) {
            tags.push(name);
        }
    }
    plain(rest, "\"'")?;
    if !open.is_empty() {
        return Err(format!("not closed: {open:?}"));
    }
    tags.sort_unstable();
    Ok(tags)
}

/// That a text holds no markup, and of entities only those that we make.
fn plain(text: &str, more: &str) -> Result<(), String> {
    let odd = |c: char| "<>".contains(c) || more.contains(c);
    let is_entity = |(at, _): (usize, &str)| ENTITIES.iter().any(|entity| text[at..].starts_with(entity));
    if text.contains(odd) || !text.match_indices('&').all(is_entity) {
        return Err(format!("markup in {text:?}"));
    }
    Ok(())
}

/// Judges a message for Slack.
pub(super) fn judge_chat(plan: &Plan, body: &str, _: &str) -> Result<(), String> {
    let json: serde_json::Value = serde_json::from_str(body).map_err(|why| why.to_string())?;
    let text = json["text"].as_str().ok_or("no text")?;
    let lines = text.lines().count();
    if lines != 1 + plan.drift.len() || json.as_object().is_none_or(|object| object.len() != 1) {
        return Err(format!("{lines} lines in {text:?}"));
    }
    if let Some(unseen) = text.chars().find(|c| *c != '\n' && is_unseen(*c)) {
        return Err(format!("an unseen character: {unseen:?}"));
    }
    let said = text.strip_prefix("*acme*").ok_or("the head is not ours")?;
    plain(said, "*`~")
}
