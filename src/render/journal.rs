//! What a journal tells: for whoever is on call when an apply has died, and for an auditor a year later.
//!
//! Invariant: every change that came up is told, in the order in which it did, with what is known of it last; what cannot
//! be trusted is not told, and that is said first. It must not judge: what to do next is what `apply` does.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::escape::{code, markdown as escape};
use super::groups::{Tone, sign};
use super::page::{Ink, LABEL, Page, inked};
use super::terminal::{Style, ink};
use super::words::{Line, capitalized, count, list, literal, prose, time, words};
use super::{findings, json as machine, markdown as note};
use crate::model::history::{Entry, History, Run};
use crate::model::report::State;
use crate::model::{Change, Finding, Op, Plan};

/// The `format` of what is told to machines.
const FORMAT: &str = "rolecall.history/v1";

/// A journal, and what is known besides.
#[derive(Debug)]
pub struct Journal<'a> {
    /// Where it is.
    pub place: &'a str,
    /// What it tells.
    pub history: &'a History,
    /// Which line is not what was written; nothing of what follows is in the history.
    pub broken: Option<&'a Finding>,
    /// The plan, where it is still there.
    pub plan: Option<&'a Plan>,
    /// The command that goes on with it.
    pub again: &'a str,
}

/// All of it in words.
struct Outline {
    tone: Tone,
    headline: String,
    facts: Vec<(&'static str, Line)>,
    runs: Vec<Line>,
    changes: Vec<Told>,
    next: Vec<Line>,
    /// The command that the first of these speaks of.
    command: Option<String>,
}

/// A change in words.
struct Told {
    at: Option<Timestamp>,
    /// What became of it; none where nothing is known of it.
    state: Option<State>,
    op: Option<Op>,
    target: Line,
    /// Tries, the request, what is polled.
    asides: Vec<Line>,
    message: Option<Line>,
}

/// A journal for a terminal.
#[must_use]
pub fn terminal(journal: &Journal<'_>, style: &Style) -> String {
    let Outline { tone, headline, facts, runs, changes, next, command } = Outline::of(journal, &style.zone);
    let mut page = Page::new(style);
    page.line(0, 0, &[(headline, ink(tone))]);
    if let Some(broken) = journal.broken {
        page.blank();
        page.raw(&findings::terminal(std::slice::from_ref(broken), &crate::model::Sources::default(), style));
    }
    page.blank();
    for (label, line) in &facts {
        page.fact(0, label, line);
    }
    for (index, line) in runs.iter().enumerate() {
        page.fact(0, &format!("run {}", index + 1), line);
    }
    if !changes.is_empty() {
        page.blank();
        page.line(0, 0, &[(heading(&changes), Ink::Strong)]);
    }
    for Told { at, state, op, target, asides, message } in changes {
        let at = at.map_or_else(|| " ".repeat(14), |at| at.strftime("%m-%d %H:%M:%S").to_string());
        let mut parts = vec![
            (format!("{at} "), Ink::Dim),
            (format!("{:<9} ", word(state)), state_ink(state)),
            (op.map(|op| format!("{} {op} ", sign(op))).unwrap_or_default(), Ink::Plain),
        ];
        parts.extend(inked(&target, false));
        for (index, aside) in asides.iter().enumerate() {
            parts.push((if index == 0 { " (" } else { ", " }.to_owned(), Ink::Dim));
            parts.extend(inked(aside, false).into_iter().map(|(text, _)| (text, Ink::Dim)));
        }
        if !asides.is_empty() {
            parts.push((")".to_owned(), Ink::Dim));
        }
        if let Some(message) = message {
            parts.push((": ".to_owned(), Ink::Plain));
            parts.extend(inked(&message, false));
        }
        page.line(2, 27, &parts);
    }
    page.blank();
    for (index, line) in next.iter().enumerate() {
        page.fact(0, if index == 0 { "next" } else { "then" }, line);
        if let (0, Some(command)) = (index, &command) {
            page.verbatim(LABEL + 1, &[(command.clone(), Ink::Strong)]);
        }
    }
    page.finish()
}

/// A journal for an issue or a merge request.
#[must_use]
pub fn markdown(journal: &Journal<'_>, zone: &TimeZone) -> String {
    let Outline { tone, headline, facts, runs, changes, next, command } = Outline::of(journal, zone);
    let mut text = format!("### {}{}\n\n", note::mark(tone), escape(&capitalized(&headline)));
    text.extend(journal.broken.map(findings::entry));
    text.extend(facts.iter().map(|(label, line)| format!("- {label}: {}\n", note::line(line))));
    for (index, line) in runs.iter().enumerate() {
        text.push_str(&format!("- run {}: {}\n", index + 1, note::line(line)));
    }
    if !changes.is_empty() {
        text.push_str(&format!("\n#### {}\n\n", escape(&heading(&changes))));
    }
    for Told { at, state, op, target, asides, message } in changes {
        let op = op.map(|op| format!("{op} ")).unwrap_or_default();
        text.push_str(&format!("- **{}** {op}{}", word(state), note::line(&target)));
        let mut asides: Vec<String> = asides.iter().map(note::line).collect();
        asides.extend(at.map(|at| code(&at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())));
        if !asides.is_empty() {
            text.push_str(&format!(" ({})", asides.join(", ")));
        }
        text.extend(message.map(|message| format!(": {}", note::line(&message))));
        text.push('\n');
    }
    if !next.is_empty() {
        text.push_str("\n**Next**\n\n");
        for (index, line) in next.iter().enumerate() {
            let command =
                command.as_ref().filter(|_| index == 0).map(|command| format!(" {}", code(command)));
            text.push_str(&format!("- {}{}\n", note::line(line), command.unwrap_or_default()));
        }
    }
    text
}

/// A journal for machines (`rolecall.history/v1`).
#[must_use]
pub fn json(journal: &Journal<'_>) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        format: &'static str,
        #[serde(flatten)]
        history: &'a History,
        not_begun: Vec<NotBegun<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        broken: Option<&'a Finding>,
    }
    #[derive(Serialize)]
    struct NotBegun<'a> {
        effect: &'a crate::model::Digest,
        op: Op,
        target: String,
    }
    let not_begun = not_begun(journal).map(|change| NotBegun {
        effect: &change.effect,
        op: change.op,
        target: change.target(),
    });
    machine::pretty(&Document {
        format: FORMAT,
        history: journal.history,
        not_begun: not_begun.collect(),
        broken: journal.broken,
    })
}

/// Changes of the plan that no record is about, where that means anything: an apply that has ended had no need of them.
fn not_begun<'a>(journal: &'a Journal<'_>) -> impl Iterator<Item = &'a Change> {
    let plan = journal.plan.filter(|_| !journal.history.is_finished());
    let changes = plan.into_iter().flat_map(|plan| &plan.changes);
    changes.filter(|change| journal.history.of(&change.effect).is_none())
}

impl Outline {
    fn of(journal: &Journal<'_>, zone: &TimeZone) -> Self {
        let history = journal.history;
        let mut changes: Vec<Told> = history.changes.iter().map(Told::of).collect();
        changes.extend(not_begun(journal).map(Told::not_begun));
        let (tone, headline) = headline(journal, &changes);
        Self {
            tone,
            headline,
            facts: facts(journal, zone),
            runs: runs(history, zone),
            changes,
            next: next(journal, zone),
            command: goes_on(journal).then(|| journal.again.to_owned()),
        }
    }
}

impl Told {
    fn of(entry: &Entry) -> Self {
        let Entry { effect, op, target, tries, at, state, message, request_id, poll } = entry;
        let mut asides = Vec::new();
        if *tries > 1 {
            asides.push(prose(&format!("{tries} tries")));
        }
        asides.extend(request_id.as_ref().map(|id| vec![words("request "), literal(id)]));
        asides.extend(poll.as_ref().map(|poll| vec![words("ask about "), literal(poll)]));
        let target = match target {
            Some(target) => vec![literal(target)],
            None => vec![words("effect "), literal(effect.short())],
        };
        let silent = "it was begun, and nothing was heard of it since";
        let message = message.as_deref().or((*state == State::Unknown).then_some(silent)).map(prose);
        Self { at: Some(*at), state: Some(*state), op: *op, target, asides, message }
    }

    fn not_begun(change: &Change) -> Self {
        Self {
            at: None,
            state: None,
            op: Some(change.op),
            target: vec![literal(change.target())],
            asides: Vec::new(),
            message: None,
        }
    }
}

const STATES: [(Option<State>, &str); 8] = [
    (Some(State::Done), "done"),
    (Some(State::Already), "already"),
    (Some(State::Pending), "pending"),
    (Some(State::Refused), "refused"),
    (Some(State::Failed), "failed"),
    (Some(State::Unknown), "unknown"),
    (Some(State::NotReached), "waiting"),
    (None, "not begun"),
];

fn word(state: Option<State>) -> &'static str {
    STATES.iter().find(|(other, _)| *other == state).map_or("", |(_, word)| word)
}

fn state_ink(state: Option<State>) -> Ink {
    match state {
        Some(State::Done) => Ink::Good,
        Some(State::Already) => Ink::Dim,
        Some(State::Pending | State::Refused | State::NotReached) | None => Ink::Warn,
        Some(State::Failed | State::Unknown) => Ink::Alarm,
    }
}

fn headline(journal: &Journal<'_>, changes: &[Told]) -> (Tone, String) {
    let counted = STATES
        .iter()
        .map(|(state, word)| (changes.iter().filter(|told| told.state == *state).count(), word))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"));
    let counted: Vec<String> = counted.collect();
    let counted = if counted.is_empty() { "nothing was begun".to_owned() } else { list(&counted) };
    let wrong = changes.iter().any(|told| matches!(told.state, Some(State::Failed | State::Unknown)));
    match (journal.broken, journal.history.is_finished()) {
        (Some(_), _) => (Tone::Alarm, format!("the journal is broken; up to there: {counted}")),
        (None, true) => (Tone::Calm, format!("finished: {counted}")),
        (None, false) if wrong => (Tone::Alarm, format!("not finished: {counted}")),
        (None, false) => (Tone::Warn, format!("not finished: {counted}")),
    }
}

fn facts(journal: &Journal<'_>, zone: &TimeZone) -> Vec<(&'static str, Line)> {
    let History { plan, effect, runs, changes: _, finished, records, torn, .. } = journal.history;
    let mut facts = vec![("journal", vec![literal(journal.place)])];
    facts.extend(plan.iter().map(|plan| ("plan", vec![literal(plan)])));
    facts.extend(effect.iter().map(|effect| ("effect", vec![literal(effect.short())])));
    if let (Some(first), Some(last)) = (runs.first(), runs.last()) {
        facts.push(("began", vec![words(time(first.began, zone))]));
        match finished {
            Some(at) => facts.push(("finished", vec![words(time(*at, zone))])),
            None => facts.push(("last heard", vec![words(time(last.ended, zone))])),
        }
    }
    facts.push(("records", prose(&records.to_string())));
    if *torn > 0 {
        let torn = count(*torn, "byte", "bytes");
        facts.push(("torn", prose(&format!("its last line is torn: {torn} of it, which do not count"))));
    }
    facts
}

/// Each run: when, how it was approved, and how it ended.
fn runs(history: &History, zone: &TimeZone) -> Vec<Line> {
    let last = history.runs.len().saturating_sub(1);
    let run = |(index, run): (usize, &Run)| {
        let Run { began, ended: _, approval: approved, torn, under_way } = run;
        let mut said = vec![time(*began, zone)];
        said.push(match approved {
            Some(approved) => format!("approval: {approved}"),
            None => "it ended before anything was begun".to_owned(),
        });
        if *torn > 0 {
            said.push(format!("it cut off {} of a torn line", count(*torn, "byte", "bytes")));
        }
        if *under_way > 0 {
            let number = count(*under_way, "change was", "changes were");
            said.push(format!("interrupted: {number} under way"));
        } else if index < last && approved.is_some() {
            said.push("it ended with something left".to_owned());
        }
        vec![words(said.join("; "))]
    };
    history.runs.iter().enumerate().map(run).collect()
}

fn heading(changes: &[Told]) -> String {
    format!("{} (times in UTC)", count(changes.len(), "change", "changes"))
}

/// Whether an apply can go on with it: it needs the plan.
fn goes_on(journal: &Journal<'_>) -> bool {
    journal.broken.is_none() && !journal.history.is_finished() && journal.plan.is_some()
}

fn next(journal: &Journal<'_>, zone: &TimeZone) -> Vec<Line> {
    let Journal { place: _, history, broken, plan, again: _ } = journal;
    if broken.is_some() {
        return vec![prose("find out who changed it; until then nothing goes on with this plan")];
    }
    if history.is_finished() {
        return vec![prose("nothing: all of it was done and seen to be true; it cannot be applied again")];
    }
    let Some(plan) = plan else {
        let kept = "the plan itself is not here: where its file was kept, `rolecall apply` with that file goes on; else \
                    plan again with `rolecall plan`, which sees what was done";
        return vec![prose(kept)];
    };
    let has = |state| history.changes.iter().any(|entry| entry.state == state);
    let mut next = vec![prose("if no run is at it any more, go on with")];
    let mut does = vec!["looks at what is live"];
    if has(State::Unknown) {
        does.push("reads what is unknown before it tries again");
    }
    if has(State::Pending) {
        does.push("asks about what is pending");
    }
    if has(State::Failed) {
        does.push("tries again what failed, so mend first what the provider said");
    }
    let does: Vec<String> = does.into_iter().map(str::to_owned).collect();
    next.push(prose(&format!("it {}", list(&does))));
    if has(State::Refused) {
        next.push(prose("what was refused needs a new plan: `rolecall plan` shows what changed meanwhile"));
    }
    next.push(prose(&format!(
        "the plan is good until {}; after that plan again, which sees what was done",
        time(plan.expires, zone)
    )));
    next
}

#[cfg(test)]
mod tests;
