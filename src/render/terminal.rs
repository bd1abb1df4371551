//! Plans and reports for terminals: what one can read aloud on the phone.
//!
//! Invariant: nothing is wider than the terminal save single words, and colour says nothing that the words do not.
//! It must not decide what is said: that is `groups` and `outline`.

use jiff::tz::TimeZone;

use super::findings;
use super::groups::{self, Item, Section, Tone, sign};
use super::outline::Outline;
use super::page::{Ink, LABEL, Page};
use super::values::{DiffLine, LineSign, Shown};
use super::words::{Line, count, list, literal, prose, words};
use crate::model::report::{State, Step};
use crate::model::{Op, Plan, Report, Sources};

/// How to print.
#[derive(Debug, Clone)]
pub struct Style {
    /// With colour.
    pub color: bool,
    /// How many columns there are.
    pub width: usize,
    /// Where times are told besides UTC.
    pub zone: TimeZone,
}

impl Default for Style {
    fn default() -> Self {
        Self { color: false, width: 80, zone: TimeZone::UTC }
    }
}

/// How many names of a folded item are printed; the other media hold all.
const NAMES: usize = 5;

/// How many steps of a report that went well are printed.
const STEPS: usize = 20;

/// A plan.
#[must_use]
pub fn plan(plan: &Plan, sources: &Sources, style: &Style) -> String {
    let Outline { tone, headline, remarks, errors_first, sections, basis, effect, approvers, next } =
        Outline::of(plan, &style.zone);
    let mut page = Page::new(style);
    page.line(0, 0, &[(headline, ink(tone))]);
    for remark in &remarks {
        page.text(0, 2, remark);
    }
    let told = findings::terminal(&plan.findings, sources, style);
    if errors_first {
        page.blank();
        page.raw(&told);
    }
    for part in &sections {
        section(&mut page, part);
    }
    if !errors_first && !told.is_empty() {
        page.blank();
        page.raw(&told);
    }
    page.blank();
    for (label, line) in &basis {
        page.fact(0, label, line);
    }
    if let Some((short, whole)) = effect {
        page.blank();
        page.fact(0, "to approve", &vec![literal(short)]);
        page.fact(0, "", &vec![words(whole)]);
    }
    // Where all is simulated nobody is asked.
    for (index, line) in approvers.iter().enumerate().filter(|_| !plan.simulated) {
        page.fact(0, if index == 0 { "approved by" } else { "" }, line);
    }
    if !next.is_empty() {
        page.blank();
    }
    for (index, line) in next.iter().enumerate() {
        page.fact(0, if index == 0 { "next" } else { "then" }, line);
    }
    page.finish()
}

/// What moved by itself, and how to accept or revert it.
#[must_use]
pub fn drift(plan: &Plan, style: &Style) -> String {
    let mut page = Page::new(style);
    match groups::drift(&plan.drift) {
        Some(part) => {
            let count = count(plan.drift.len(), "thing", "things");
            page.line(0, 0, &[(format!("{count} moved behind the files' back"), Ink::Warn)]);
            section(&mut page, &part);
        }
        None if plan.complete => page.text(0, 0, &prose("no drift: nothing moved by itself")),
        None => page.text(0, 0, &prose("no drift in what could be read, which is not everything")),
    }
    page.finish()
}

/// The report of an apply.
#[must_use]
pub fn report(report: &Report, style: &Style) -> String {
    let Report { plan, effect, approval, steps, left: _, held, drift, converged, calls } = report;
    let mut page = Page::new(style);
    let (headline, tone) = verdict(report);
    page.line(0, 0, &[(headline, tone)]);
    outcome(&mut page, report, style);
    page.blank();
    page.fact(0, "plan", &vec![literal(plan)]);
    page.fact(0, "effect", &vec![literal(effect.short())]);
    page.fact(0, "approved", &prose(approval));
    page.fact(0, "calls", &prose(&count(*calls, "call", "calls")));
    page.blank();
    let next = if *converged && !(held.is_empty() && drift.is_empty()) {
        prose("nothing is left to do; what is held or moved by itself stands above")
    } else if *converged {
        prose("nothing: what is live is what the files ask for")
    } else if steps.iter().any(|step| step.state == State::Refused) {
        prose("plan again with `rolecall plan`: what was refused needs a look at what changed meanwhile")
    } else {
        prose("run `rolecall apply` again: it goes on where this one stopped")
    };
    page.fact(0, "next", &next);
    page.finish()
}

/// What was taken away from one person, and what is left of his.
#[must_use]
pub fn containment(report: &Report, person: &str, style: &Style) -> String {
    let mut page = Page::new(style);
    let denied = report.held.iter().any(|held| held.why.denies());
    let (headline, ink) = if !report.converged {
        (format!("{person} is not contained yet: not all could be taken away"), Ink::Alarm)
    } else if denied {
        (format!("{person} keeps what must not be taken away; the rest is gone"), Ink::Alarm)
    } else if report.steps.is_empty() {
        (format!("{person} has nothing that could be taken away"), Ink::Good)
    } else {
        (format!("{person} is contained: what rolecall may take away is gone"), Ink::Good)
    };
    page.line(0, 0, &[(headline, ink)]);
    outcome(&mut page, report, style);
    page.blank();
    page.fact(0, "plan", &vec![literal(&report.plan)]);
    page.fact(0, "approved", &prose(&report.approval));
    page.fact(0, "calls", &prose(&count(report.calls, "call", "calls")));
    if !report.converged {
        page.blank();
        page.fact(0, "next", &prose("run `rolecall contain` again: it goes on where this one stopped"));
    }
    page.finish()
}

/// What became of each change, and what is left.
pub(super) fn outcome(page: &mut Page, report: &Report, style: &Style) {
    let Report { steps, left, held, drift, .. } = report;
    let wrong = [
        (State::Failed, "Failed: the provider said no", Ink::Alarm),
        (
            State::Unknown,
            "Unknown: it may or may not have taken effect; the next apply reads before it tries again",
            Ink::Alarm,
        ),
        (State::Refused, "Refused: what it rests on had changed since the plan was approved", Ink::Warn),
        (State::NotReached, "Not reached", Ink::Warn),
        (State::Pending, "Pending: the provider is still at it", Ink::Warn),
        (State::Done, "Done", Ink::Good),
        (State::Already, "True already, nothing written", Ink::Dim),
    ];
    for (state, title, ink) in wrong {
        let of_state: Vec<&Step> = steps.iter().filter(|step| step.state == state).collect();
        if of_state.is_empty() {
            continue;
        }
        page.blank();
        page.line(0, 0, &[(format!("{title} ({})", of_state.len()), ink)]);
        // What went well is told in short; what did not, in full.
        let quiet = matches!(state, State::Done | State::Already) && of_state.len() > STEPS;
        let shown = if quiet { STEPS } else { of_state.len() };
        for Step { effect: _, op, target, risk: _, state: _, message, request_id } in
            of_state[..shown].iter().copied()
        {
            page.line(2, 4, &[(format!("{} {op} ", sign(*op)), op_ink(*op)), (target.clone(), Ink::Plain)]);
            if let Some(message) = message {
                page.text(6, 6, &prose(message));
            }
            if let (Some(id), true) = (request_id, !matches!(state, State::Done | State::Already)) {
                page.line(6, 6, &[(format!("request {id}"), Ink::Dim)]);
            }
        }
        if shown < of_state.len() {
            page.line(2, 4, &[(format!("  and {} more", of_state.len() - shown), Ink::Dim)]);
        }
    }
    for part in groups::held(held, &style.zone) {
        section(page, &part);
    }
    if let Some(part) = groups::drift(drift) {
        section(page, &part);
    }
    if !left.is_empty() {
        page.blank();
        page.line(0, 0, &[(format!("Left to do ({})", left.len()), Ink::Warn)]);
        for line in left {
            page.line(2, 4, &[(line.clone(), Ink::Plain)]);
        }
    }
}

/// How many changes came to what.
pub(super) fn tally(report: &Report) -> String {
    let states = [
        (State::Done, "done"),
        (State::Already, "true already"),
        (State::Pending, "pending"),
        (State::Refused, "refused"),
        (State::Failed, "failed"),
        (State::Unknown, "unknown"),
        (State::NotReached, "not reached"),
    ];
    let mut parts: Vec<String> = states
        .into_iter()
        .map(|(state, word)| (report.count(state), word))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    if !report.held.is_empty() {
        parts.push(format!("{} held", report.held.len()));
    }
    if !report.drift.is_empty() {
        parts.push(format!("{} drift", report.drift.len()));
    }
    if parts.is_empty() { "nothing to do".to_owned() } else { list(&parts) }
}

fn verdict(report: &Report) -> (String, Ink) {
    let parts = tally(report);
    let failed = report.count(State::Failed) + report.count(State::Unknown) > 0;
    match (report.converged, failed) {
        (true, _) => (format!("applied and verified: {parts}"), Ink::Good),
        (false, true) => (format!("applied in part: {parts}"), Ink::Alarm),
        (false, false) => (format!("not finished: {parts}"), Ink::Warn),
    }
}

pub(super) fn ink(tone: Tone) -> Ink {
    match tone {
        Tone::Calm => Ink::Good,
        Tone::Warn => Ink::Warn,
        Tone::Alarm => Ink::Alarm,
    }
}

fn op_ink(op: Op) -> Ink {
    match op {
        Op::Create | Op::Grant => Ink::Good,
        Op::Update => Ink::Warn,
        Op::Delete | Op::Revoke => Ink::Alarm,
        Op::Adopt | Op::Forget => Ink::Dim,
    }
}

fn section(page: &mut Page, section: &Section) {
    let Section { tone, title, lead, items, remedy } = section;
    page.blank();
    // Of calm sections only the items matter, so the heading stays quiet.
    page.line(0, 0, &[(title.clone(), if *tone == Tone::Calm { Ink::Strong } else { ink(*tone) })]);
    if let Some(lead) = lead {
        page.text(2, 2, lead);
    }
    for part in items {
        item(page, part);
    }
    if !remedy.is_empty() {
        page.blank();
        page.text(2, 2, &prose(section.remedy_lead()));
        page.blank();
        for line in remedy {
            if section.remedy_is_document() {
                // As it is, so that it can be pasted: never wrapped.
                page.verbatim(4, &[(line.clone(), Ink::Plain)]);
            } else {
                page.text(4, 4, &prose(line));
            }
        }
    }
}

fn item(page: &mut Page, item: &Item) {
    let Item { op, sign, title, names, fields, facts } = item;
    page.blank();
    page.title(*sign, op_ink(*op), title);
    if !names.is_empty() {
        page.text(6, 6, &some_of(names));
    }
    let label = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).clamp(LABEL, 24);
    for (name, shown) in fields {
        match shown {
            Shown::Set(value) => {
                page.line(6, 8, &[(format!("{name:label$} "), Ink::Dim), (value.clone(), Ink::Plain)]);
            }
            Shown::Changed(old, new) => page.line(
                6,
                8,
                &[
                    (format!("{name:label$} "), Ink::Dim),
                    (old.clone(), Ink::Alarm),
                    (" → ".to_owned(), Ink::Plain),
                    (new.clone(), Ink::Good),
                ],
            ),
            Shown::Lines(lines) => {
                page.line(6, 8, &[(name.clone(), Ink::Dim)]);
                lines.iter().for_each(|line| diff_line(page, line));
            }
        }
    }
    for (label, line) in facts {
        page.fact(6, label, line);
    }
}

fn diff_line(page: &mut Page, line: &DiffLine) {
    let DiffLine { sign, text } = line;
    let ink = match sign {
        LineSign::Same | LineSign::Skipped => Ink::Dim,
        LineSign::Added => Ink::Good,
        LineSign::Removed => Ink::Alarm,
    };
    let text = match sign {
        LineSign::Skipped => format!("· {text}"),
        sign => format!("{} {text}", sign.mark()),
    };
    page.chopped(8, &text, ink);
}

/// The first few names.
fn some_of(names: &[String]) -> Line {
    let shown = if names.len() <= NAMES + 1 { names.len() } else { NAMES };
    let mut line = vec![words(names[..shown].join(", "))];
    if names.len() > shown {
        line.push(words(format!(" and {} more", names.len() - shown)));
    }
    line
}
