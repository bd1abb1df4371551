//! Explanations for terminals and merge requests: who has what and why, whether and why not, what an edit or a line gives.
//!
//! Invariant: what is said is worked out once, as rows, and each medium only lays it out; names are folded beyond
//! [`FOLD`], and JSON has all. What was not looked at is said to be unknown. It must not decide who has anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::escape::{fence, markdown as escape};
use super::page::{Ink, Page, inked};
use super::terminal::Style;
use super::words::{Line, Piece, count, literal, relation, time, words};
use crate::model::explanation::{Answer, Edge, Explanation};
use crate::model::{Address, LapseCause, Origin, Span};

mod has;
mod others;
#[cfg(test)]
mod tests;

/// How many names are told in one place.
pub const FOLD: usize = 20;

/// One row of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Row {
    /// What it is about.
    Title(Line, Ink),
    /// What follows.
    Section(String),
    /// A line, so many steps in.
    Item(usize, Line),
    /// Text to be pasted.
    Paste(Vec<String>),
}

/// What rows are made with.
struct Told<'a> {
    rows: Vec<Row>,
    zone: &'a TimeZone,
    /// Whether all names are told.
    all: bool,
}

/// An explanation for a terminal; `all` folds nothing.
#[must_use]
pub fn terminal(explanation: &Explanation, style: &Style, all: bool) -> String {
    let mut page = Page::new(style);
    for row in rows(explanation, &style.zone, all) {
        match row {
            Row::Title(line, ink) => {
                let parts = inked(&line, true).into_iter().enumerate();
                let parts = parts.map(|(at, (text, own))| (text, if at == 0 { ink } else { own }));
                page.line(0, 2, &parts.collect::<Vec<_>>());
            }
            Row::Section(text) => {
                page.blank();
                page.line(0, 2, &[(text, Ink::Strong)]);
            }
            Row::Item(deep, line) => page.text(2 * deep, 2 * deep + 2, &line),
            Row::Paste(lines) => {
                lines.iter().for_each(|line| page.verbatim(4, &[(line.clone(), Ink::Plain)]));
            }
        }
    }
    page.finish()
}

/// An explanation for a merge request; `all` folds nothing.
#[must_use]
pub fn markdown(explanation: &Explanation, zone: &TimeZone, all: bool) -> String {
    let mut text = String::new();
    for row in rows(explanation, zone, all) {
        text.push_str(&match row {
            Row::Title(line, _) => format!("### {}\n\n", super::markdown::line(&line)),
            Row::Section(title) => format!("\n#### {}\n\n", escape(&title)),
            Row::Item(deep, line) => {
                format!("{}- {}\n", "  ".repeat(deep.saturating_sub(1)), super::markdown::line(&line))
            }
            Row::Paste(lines) => format!("\n{}\n", fence("yaml", &lines, "")),
        });
    }
    text
}

fn rows(explanation: &Explanation, zone: &TimeZone, all: bool) -> Vec<Row> {
    let mut told = Told { rows: Vec::new(), zone, all };
    match &explanation.answer {
        Answer::Has(has) => has::told(has, explanation.at, &mut told),
        Answer::Whether(whether) => others::whether(whether, &mut told),
        Answer::Wants(wants) => others::wants(wants, &mut told),
        Answer::Line(cut) => others::cut(cut, &mut told),
    }
    if let Some(file) = &explanation.directory {
        told.section("not as the directory is");
        told.item(1, vec![words("with "), literal(file), words(" laid over it")]);
    }
    if !explanation.unread.is_empty() {
        told.section("not everything could be seen");
        explanation.unread.iter().for_each(|why| told.item(1, super::words::prose(why)));
    }
    told.rows
}

impl Told<'_> {
    fn title(&mut self, line: Line, ink: Ink) {
        self.rows.push(Row::Title(line, ink));
    }

    fn section(&mut self, text: impl Into<String>) {
        self.rows.push(Row::Section(text.into()));
    }

    fn item(&mut self, deep: usize, line: Line) {
        self.rows.push(Row::Item(deep, line));
    }

    fn paste(&mut self, text: &str) {
        self.rows.push(Row::Paste(text.lines().map(str::to_owned).collect()));
    }

    /// What says so: a sentence and its place, then what led there.
    fn because(&mut self, deep: usize, origins: &[Origin]) {
        for origin in origins {
            let mut line = vec![words("because "), words(origin.text.clone())];
            place(&mut line, &origin.span);
            self.item(deep, line);
            for link in &origin.chain {
                let lead = if link.contains(" gives it (") { "and" } else { "through" };
                self.item(deep + 1, vec![words(format!("{lead} {link}"))]);
            }
        }
    }

    /// Names, folded where there are many.
    fn names(&self, mut names: Vec<String>) -> Line {
        names.sort();
        names.dedup();
        let shown = if self.all { names.len() } else { FOLD };
        let more = names.len().saturating_sub(shown);
        names.truncate(shown);
        let mut line = Line::new();
        for (at, name) in names.into_iter().enumerate() {
            if at > 0 {
                line.push(words(", "));
            }
            line.push(literal(name));
        }
        if more > 0 {
            line.push(words(format!(" and {more} more")));
        }
        line
    }

    fn time(&self, at: Timestamp) -> String {
        time(at, self.zone)
    }

    fn until(&self, until: Option<Timestamp>) -> String {
        until.map(|until| format!(", until {}", super::words::end(until, self.zone))).unwrap_or_default()
    }

    /// What edges are on: those that stand alike in one line.
    fn on(&mut self, deep: usize, lead: &str, edges: &[&Edge]) {
        let mut alike: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
        for edge in edges {
            let (relation, thing) = what(edge);
            alike.entry((state(edge), relation)).or_default().push(thing);
        }
        for ((state, relation), things) in alike {
            let mut line = vec![words(format!("{lead}{relation} "))];
            line.extend(self.names(things));
            line.push(words(state));
            self.item(deep, line);
        }
    }

    /// Edges by what they are on, with the names of who has them.
    fn by_thing(&mut self, deep: usize, edges: &[&Edge]) {
        let mut things: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for edge in edges {
            things.entry(what(edge)).or_default().push(who(edge));
        }
        for ((relation, thing), names) in things {
            let people = count(names.len(), "", "").trim().to_owned();
            let mut line =
                vec![words(format!("{relation} ")), literal(thing), words(format!(": {people}: "))];
            line.extend(self.names(names));
            self.item(deep, line);
        }
    }
}

/// Adds where something stands.
fn place(line: &mut Line, span: &Span) {
    if !span.file.is_empty() {
        let place = Span { column: 0, ..span.clone() };
        line.extend([words(" ("), Piece::Place(place.to_string()), words(")")]);
    }
}

/// The words and the thing of an edge: `member of`, `okta:group/x`.
fn what(edge: &Edge) -> (String, String) {
    let thing = &edge.key.resource;
    let place = edge.key.principal.place();
    let within = if thing.is_reserved() { format!("{thing} in {place}") } else { thing.to_string() };
    (relation(&edge.key.relation, true), within)
}

/// Who has an edge.
fn who(edge: &Edge) -> String {
    edge.person.as_ref().map_or_else(|| edge.key.principal.to_string(), name)
}

/// What people call a person or a role.
fn name(address: &Address) -> String {
    match address.instance() {
        "person" => address.name().into_owned(),
        _ => address.to_string(),
    }
}

/// How an edge stands, where that is worth a word.
fn state(edge: &Edge) -> &'static str {
    match (edge.wanted, edge.live, edge.lapse) {
        (true, Some(true), _) => "",
        (true, Some(false), _) => ", not there yet",
        (true, None, _) => ", not looked at",
        (false, Some(true), Some(_)) => ", still there",
        (false, _, _) => "",
    }
}

/// Why somebody does not have what YAML mentions.
fn lapse(cause: LapseCause) -> &'static str {
    match cause {
        LapseCause::Expired => "it has ended",
        LapseCause::NotYet => "not yet",
        LapseCause::Excepted => "excepted",
        LapseCause::Left => "has left",
        LapseCause::Suspended => "is suspended",
    }
}
