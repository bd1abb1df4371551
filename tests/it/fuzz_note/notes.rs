//! What GitLab makes of a note: blocks, references, quick actions, and the line that says what is shown.
//!
//! Invariant: a text of a plan is read as text or as code. It must not be laxer than GitLab: where versions of it differ,
//! the one that sees more counts.

use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options, parse_document};
use rolecall::model::{Plan, Shown};
use rolecall::render::escape::is_unseen;

/// What a note says where it left something out: then its shape depends on how long texts are.
const CUT: [&str; 2] = [" not fit into this note", " not fit here"];

/// Judges a note.
pub(super) fn judge(plan: &Plan, note: &str, harmless: &str) -> Result<(), String> {
    if let Some(unseen) = note.chars().find(|c| *c != '\n' && is_unseen(*c)) {
        return Err(format!("an unseen character: {unseen:?}"));
    }
    if let Some(command) = command(note) {
        return Err(format!("a quick action: {command:?}"));
    }
    if let Some(line) = note.lines().find(|line| line.trim_start().starts_with("::include")) {
        return Err(format!("a file is included: {line:?}"));
    }
    let (seen, expected) =
        (Seen::of(note)?, Seen::of(harmless).map_err(|why| format!("if harmless: {why}"))?);
    if let Some((text, why)) = seen.texts.iter().find_map(|text| reference(text).map(|why| (text, why))) {
        return Err(format!("{why} in {text:?}"));
    }
    if !CUT.iter().any(|cut| note.contains(cut) || harmless.contains(cut)) {
        if seen.shape != expected.shape {
            return Err(format!("another shape: {}", difference(&seen.shape, &expected.shape)));
        }
        let (signs, wanted) = (seen.signs(), expected.signs());
        if signs != wanted {
            return Err(format!("running text with {signs:?} in place of {wanted:?}"));
        }
    }
    match Shown::of_note(note) {
        Some(shown) if shown.effect != plan.effect || !shown.effects.iter().eq(&plan.effects) => {
            Err(format!("it shows {shown:?}"))
        }
        None if Shown::of_note(harmless).is_some() => Err("it no longer says what it shows".to_owned()),
        _ => Ok(()),
    }
}

/// Where two texts part.
fn difference(text: &str, other: &str) -> String {
    let same = text.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| text.chars().skip(same.saturating_sub(60)).take(160).collect::<String>();
    format!("…{:?}… in place of …{:?}…", part(text), part(other))
}

/// Judges a line by itself.
pub(super) fn judge_title(plan: &Plan, title: &str, harmless: &str) -> Result<(), String> {
    if title.contains('\n') { Err(format!("several lines: {title:?}")) } else { judge(plan, title, harmless) }
}

/// The first quick action: GitLab deletes `\r`, then looks at the beginning of each line outside of what it takes for a
/// fence, which ends at three backticks however long it was opened. Blanks before it count as none.
fn command(note: &str) -> Option<String> {
    let note = note.replace('\r', "");
    let lines: Vec<&str> = note.split('\n').collect();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].starts_with("```") {
            let from = if lines[at].len() > 3 { at + 1 } else { at + 2 };
            if let Some(end) = (from..lines.len()).find(|end| lines[*end] == "```") {
                at = end + 1;
                continue;
            }
        }
        let line = lines[at].trim_start();
        if line.strip_prefix('/').is_some_and(|word| word.starts_with(char::is_alphabetic)) {
            return Some(line.to_owned());
        }
        at += 1;
    }
    None
}

/// A reference that GitLab would make of running text, in which `\u{fffc}` stands for code.
fn reference(text: &str) -> Option<&'static str> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or(' ');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for (index, character) in characters.iter().enumerate() {
        let (next, before) = (at(index + 1), if index == 0 { ' ' } else { at(index - 1) });
        let found = match character {
            '@' if is_word(next) => "a mention or an e-mail address",
            '#' | '!' | '$' | '&' if next.is_ascii_digit() => "a reference by number",
            '%' | '~' if is_word(next) || next == '"' => "a milestone or a label",
            '*' if is_word(next) => "an iteration",
            '[' if is_word(next) => "a reference in brackets",
            ':' if next == '/' && at(index + 2) == '/' => "an address",
            ':' if !is_word(before) && before != ':' => {
                let name =
                    characters[index + 1..].iter().take_while(|c| is_word(**c) || "+-".contains(**c)).count();
                if name == 0 || at(index + 1 + name) != ':' || is_word(at(index + 2 + name)) {
                    continue;
                }
                "an emoji"
            }
            _ => continue,
        };
        return Some(found);
    }
    let is_commit =
        |word: &str| (7..=40).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_hexdigit());
    if text.split(|c| !is_word(c)).any(is_commit) {
        return Some("a commit");
    }
    text.to_lowercase().contains("www.").then_some("an address without a scheme")
}

/// What is in a note.
struct Seen {
    /// The kinds of its nodes, without what is said and in whatever order.
    shape: String,
    /// Its running texts.
    texts: Vec<String>,
}

impl Seen {
    fn of(note: &str) -> Result<Self, String> {
        let arena = Arena::new();
        let mut texts = vec![String::new()];
        let shape = walk(parse_document(&arena, note, &options()), &mut texts)?;
        Ok(Self { shape, texts })
    }

    /// All characters of running text that could mean something.
    fn signs(&self) -> Vec<char> {
        let harmless = |c: &char| c.is_alphanumeric() || " .,;:()?-+'→\u{fffc}".contains(*c);
        let mut signs: Vec<char> =
            self.texts.iter().flat_map(|text| text.chars()).filter(|c| !harmless(c)).collect();
        signs.sort_unstable();
        signs
    }
}

/// All that GitLab turns on, and what it does itself before and after.
fn options() -> Options<'static> {
    let mut options = Options::default();
    let extension = &mut options.extension;
    extension.alerts = true;
    extension.autolink = true;
    extension.cjk_friendly_emphasis = true;
    extension.description_lists = true;
    extension.footnotes = true;
    extension.front_matter_delimiter = Some("---".to_owned());
    extension.inline_footnotes = true;
    extension.math_code = true;
    extension.math_dollars = true;
    extension.multiline_block_quotes = true;
    extension.strikethrough = true;
    extension.table = true;
    extension.tasklist = true;
    extension.wikilinks_title_before_pipe = true;
    options.parse.relaxed_autolinks = true;
    options.parse.relaxed_tasklist_matching = true;
    options.parse.tasklist_in_table = true;
    options
}

/// The shape of a node and of what is in it; an error where it is of a kind that none of ours is.
fn walk<'a>(node: &'a AstNode<'a>, texts: &mut Vec<String>) -> Result<String, String> {
    let mut own = match &node.data.borrow().value {
        NodeValue::Text(text) => {
            if let Some(last) = texts.last_mut() {
                last.push_str(text);
            }
            String::new()
        }
        NodeValue::Code(_) | NodeValue::SoftBreak | NodeValue::LineBreak => {
            let is_code = matches!(node.data.borrow().value, NodeValue::Code(_));
            if let Some(last) = texts.last_mut() {
                last.push(if is_code { '\u{fffc}' } else { ' ' });
            }
            String::new()
        }
        NodeValue::HtmlBlock(block) => html(&block.literal)?,
        NodeValue::HtmlInline(literal) => html(literal)?,
        NodeValue::Document => "document".to_owned(),
        NodeValue::Paragraph => "p".to_owned(),
        NodeValue::Heading(heading) => format!("h{}{}", heading.level, if heading.setext { "=" } else { "" }),
        NodeValue::List(list) => format!("{:?}", list.list_type),
        NodeValue::Item(_) => "item".to_owned(),
        NodeValue::Strong => "strong".to_owned(),
        NodeValue::CodeBlock(block) => {
            if block.fenced {
                format!("fence {}", block.info)
            } else {
                "indented".to_owned()
            }
        }
        other => return Err(format!("a node of none of our kinds: {other:?}")),
    };
    if node.data.borrow().value.block() {
        texts.push(String::new());
    }
    let mut parts: Vec<String> = node.children().map(|child| walk(child, texts)).collect::<Result<_, _>>()?;
    parts.retain(|part| !part.is_empty());
    parts.sort();
    if !parts.is_empty() {
        own.push_str(&format!("({})", parts.join(" ")));
    }
    Ok(own)
}

/// Raw HTML, where it is ours: details, and comments that hold nothing but names and digits.
fn html(literal: &str) -> Result<String, String> {
    let is_ours = |line: &str| {
        let of = |from: &str, to: &str, more: &str| {
            let inner = line.strip_prefix(from).and_then(|rest| rest.strip_suffix(to));
            inner.is_some_and(|text| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c)))
        };
        line.is_empty()
            || line == "</details>"
            || of("<details><summary>", "</summary>", " ,")
            || of("<!-- rolecall:plan:", " -->", "._-")
            || of("<!-- rolecall:drift:", " -->", "._- ")
            || of("<!-- rolecall:shown:v1 ", " -->", ", ")
    };
    let lines: Vec<&str> = literal.lines().map(str::trim).collect();
    if let Some(line) = lines.iter().find(|line| !is_ours(line)) {
        return Err(format!("HTML that is not ours: {line:?}"));
    }
    // What a line shows differs with the texts, and is judged by itself.
    let shape = |line: &&str| line.split("rolecall:shown").next().unwrap_or_default().to_owned();
    Ok(lines.iter().map(shape).collect())
}
