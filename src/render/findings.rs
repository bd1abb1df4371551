//! Findings for people and machines: the line that is meant, with a mark under the very word.
//!
//! Invariant: whatever a span says, a finding is shown; a place that is not in the sources is told without a snippet.
//! It must not judge: what is an error was decided where it was found.

use annotate_snippets::{AnnotationKind, Group, Level as Title, Origin, Renderer, Snippet};

use super::escape::{self, visible};
use super::page::{Ink, Page};
use super::terminal::Style;
use super::words::{count, list, prose};
use crate::model::{Finding, Level, Sources, Span};

/// How much of a long line is shown on each side of the word that is meant.
const AROUND: usize = 100;

/// Findings as snippets, sorted by place, with the count at the end.
#[must_use]
pub fn terminal(findings: &[Finding], sources: &Sources, style: &Style) -> String {
    let findings = sorted(findings);
    let renderer =
        if style.color { Renderer::styled() } else { Renderer::plain() }.term_width(style.width.max(40));
    let mut text = String::new();
    for finding in &findings {
        text.push_str(&snippet(finding, sources, &renderer));
        text.push_str("\n\n");
    }
    if !findings.is_empty() {
        let mut page = Page::new(style);
        let errors = findings.iter().any(|finding| finding.level == Level::Error);
        page.line(0, 0, &[(total(&findings), if errors { Ink::Alarm } else { Ink::Warn })]);
        text.push_str(&page.finish());
    }
    text
}

/// Findings as a Markdown list.
#[must_use]
pub fn markdown(findings: &[Finding]) -> String {
    let findings = sorted(findings);
    let mut text: String = findings.iter().map(|finding| entry(finding)).collect();
    if !findings.is_empty() {
        text.push_str(&format!("\n{}\n", total(&findings)));
    }
    text
}

/// One finding as an item of a Markdown list.
pub(super) fn entry(finding: &Finding) -> String {
    let Finding { code, level, message, span, subject: _, help, notes, instead: _ } = finding;
    let place =
        span.as_ref().map(|span| format!(" ({})", escape::code(&span.to_string()))).unwrap_or_default();
    let mut text = format!("- **{}** {}: {}{place}\n", word(*level), escape::code(code), rich(message));
    for note in notes {
        text.push_str(&format!("  - {}\n", rich(note)));
    }
    for line in help.iter().flat_map(|help| help.lines()).filter(|line| !line.trim().is_empty()) {
        text.push_str(&format!("  - help: {}\n", rich(line)));
    }
    text
}

/// Findings as JSON.
#[must_use]
pub fn json(findings: &[Finding]) -> String {
    super::json::pretty(&sorted(findings))
}

/// A message as Markdown: what it puts between backticks are literals.
fn rich(text: &str) -> String {
    super::markdown::line(&prose(text))
}

/// Findings by file, line and column, each once.
pub(super) fn sorted(findings: &[Finding]) -> Vec<&Finding> {
    let mut findings: Vec<&Finding> = findings.iter().collect();
    findings.sort_by(|a, b| {
        (&a.span, a.level.cmp(&b.level).reverse(), &a.code, *a).cmp(&(
            &b.span,
            std::cmp::Ordering::Equal,
            &b.code,
            *b,
        ))
    });
    findings.dedup();
    findings
}

/// The level as it is printed.
pub(super) fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    }
}

/// `2 errors and 1 warning`.
pub(super) fn total(findings: &[&Finding]) -> String {
    let of = |level| findings.iter().filter(|finding| finding.level == level).count();
    let counted: Vec<String> = [
        (of(Level::Error), "error", "errors"),
        (of(Level::Warning), "warning", "warnings"),
        (of(Level::Info), "note", "notes"),
    ]
    .into_iter()
    .filter(|(number, ..)| *number > 0)
    .map(|(number, one, many)| count(number, one, many))
    .collect();
    list(&counted)
}

fn snippet(finding: &Finding, sources: &Sources, renderer: &Renderer) -> String {
    let Finding { code, level, message, span, subject: _, help, notes, instead: _ } = finding;
    let title = match level {
        Level::Error => Title::ERROR,
        Level::Warning => Title::WARNING,
        Level::Info => Title::INFO,
    };
    let mut group: Group<'_> = Group::with_title(title.primary_title(visible(message)).id(visible(code)));
    if let Some(span) = span {
        match excerpt(span, sources) {
            Some(Excerpt { text, marked, exact }) => {
                let path = exact.then(|| visible(&span.file).into_owned());
                let snippet =
                    Snippet::source(text).line_start(usize::try_from(span.line).unwrap_or(1)).path(path);
                group = group.element(snippet.annotation(AnnotationKind::Primary.span(marked)));
                if !exact {
                    // The columns that the snippet would tell are not those of the file.
                    group = group.element(Title::NOTE.message(visible(&format!("at {span}")).into_owned()));
                }
            }
            None => group = group.element(origin(span)),
        }
    }
    group = group.elements(notes.iter().map(|note| Title::NOTE.message(lines(note))));
    if let Some(help) = help {
        group = group.element(Title::HELP.message(lines(help)));
    }
    let text = renderer.render(&[group]);
    if span.is_some() {
        return text;
    }
    // Without a place there is no margin for the bar to stand beside.
    let is_bar = |line: &&str| anstream::adapter::strip_str(line).to_string().trim() == "|";
    text.lines().filter(|line| !is_bar(line)).collect::<Vec<_>>().join("\n")
}

/// The place alone.
fn origin(span: &Span) -> Origin<'static> {
    let origin = Origin::path(visible(&span.file).into_owned());
    match (usize::try_from(span.line), usize::try_from(span.column)) {
        (Ok(line @ 1..), Ok(column @ 1..)) => origin.line(line).char_column(column),
        (Ok(line @ 1..), _) => origin.line(line),
        _ => origin,
    }
}

/// Text of several lines, each made safe.
fn lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// A line to show, and what to mark in it, in bytes.
struct Excerpt {
    text: String,
    marked: std::ops::Range<usize>,
    /// Whether columns in the text are columns in the file.
    exact: bool,
}

/// The line that a span means, made safe and cut to what surrounds the word; `None` where there is none to show.
fn excerpt(span: &Span, sources: &Sources) -> Option<Excerpt> {
    let line = sources.line(&span.file, span.line)?;
    let blank = line.chars().take_while(|c| c.is_whitespace()).count();
    let (column, length) = match usize::try_from(span.column).unwrap_or(usize::MAX) {
        // Only the line is known: all of it is meant.
        0 => (blank, usize::MAX),
        column => (column - 1, usize::try_from(span.length).unwrap_or(usize::MAX).max(1)),
    };
    // A column beyond the end means the end.
    let column = column.min(line.chars().count());
    let from = column.saturating_sub(AROUND);
    let window: Vec<char> = line.chars().skip(from).take(2 * AROUND).collect();
    let end = (column - from).saturating_add(length).min(window.len());
    let start = (column - from).min(end);
    let part = |characters: &[char]| visible(&characters.iter().collect::<String>()).into_owned();
    let (before, marked, after) = (part(&window[..start]), part(&window[start..end]), part(&window[end..]));
    let exact = from == 0 && before.chars().count() == start;
    let range = before.len()..before.len() + marked.len();
    Some(Excerpt { text: before + &marked + &after, marked: range, exact })
}
