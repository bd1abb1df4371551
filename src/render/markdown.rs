//! A plan for a note in a merge request.
//!
//! Invariant: data never becomes markup (`escape::markdown`, `code`, `fence`), no line begins with `/`, and the note is at
//! most [`LIMIT`] bytes: what is cut is cut between items, and said. It must not decide what is said: that is `outline`.

use jiff::tz::TimeZone;

use super::escape::{code, fence, joined, markdown as escape};
use super::findings;
use super::groups::{self, Item, Section, Tone};
use super::outline::Outline;
use super::values::{DiffLine, LineSign, Shown};
use super::words::{Line, Piece, capitalized, count, prose};
use crate::model::{Finding, Level, Plan, Shown as Sealed};

/// The most bytes of a note. GitLab takes a million characters; people do not.
pub const LIMIT: usize = 60_000;

/// Names and lines of one item that are shown at once, and that are shown at all.
const AT_ONCE: usize = 8;
const AT_MOST: usize = 200;
const LINES_AT_ONCE: usize = 24;

/// A plan.
#[must_use]
pub fn plan(plan: &Plan, zone: &TimeZone) -> String {
    written(plan, zone, None).0
}

/// The note of a merge request: a plan between the mark by which the note is found again and the seal that says which
/// effects it shows, neither of which is displayed. It says nothing that changes while the plan stays the same, since an
/// edit makes every approval before it worthless.
#[must_use]
pub fn note(plan: &Plan, target: &str, pipeline: Option<&str>) -> String {
    let place = Noted { pipeline: pipeline.and_then(address) };
    // A zone that this program does not know is told in UTC, which is always told besides.
    let zone = TimeZone::get(&plan.zone).unwrap_or(TimeZone::UTC);
    let (text, whole) = written(plan, &zone, Some(&place));
    let mark = Sealed::mark(target);
    // Whoever approves was shown what he could read, and nothing else.
    if !whole {
        return format!("{mark}\n{text}");
    }
    let seal = Sealed::line(&plan.effect, &plan.effects);
    format!("{mark}\n{text}\n{seal}\n")
}

/// The note of a merge request that could not be planned: what is wrong with it. It shows no effects, so that no approval of it
/// counts.
#[must_use]
pub fn unplanned(findings: &[Finding], target: &str, pipeline: Option<&str>) -> String {
    let errors = findings.iter().filter(|finding| finding.level == Level::Error).count();
    let why = match errors {
        0 => "the plan job says why".to_owned(),
        errors => format!("{} to be mended first", count(errors, "error has", "errors have")),
    };
    let mut note = Note {
        text: format!("{}\n### {}not planned: {why}\n", Sealed::mark(target), mark(Tone::Alarm)),
        room: LIMIT - RESERVE,
        cut: 0,
        hidden: false,
    };
    if !findings.is_empty() {
        told(&mut note, findings);
    }
    if note.cut > 0 {
        note.text.push_str(&format!("\n**{} more; the job's log has them all.**\n", note.cut));
    }
    if let Some(pipeline) = pipeline.and_then(address) {
        note.text.push_str(&format!("\n[The pipeline]({pipeline})\n"));
    }
    note.text
}

/// Where a note stands.
struct Noted {
    /// Where the whole can be read.
    pipeline: Option<String>,
}

/// An address that a link can be made of: https, and nothing that ends one.
fn address(url: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/%".contains(c);
    let rest = url.strip_prefix("https://")?;
    (!rest.is_empty() && rest.chars().all(plain)).then(|| url.to_owned())
}

/// The text, and whether all changes are in it, with all names and lines.
fn written(plan: &Plan, zone: &TimeZone, noted: Option<&Noted>) -> (String, bool) {
    let Outline { tone, headline, remarks, errors_first, sections, basis, effect, approvers, next } =
        Outline::of(plan, zone);
    let mut head = format!("### {}{}\n\n", mark(tone), escape(&headline));
    head.extend(remarks.iter().map(|remark| format!("- {}\n", line(remark))));
    if let Some((short, _)) = &effect
        && !approvers.is_empty()
    {
        head.push_str(&format!("\n**To approve: {}**\n\n", code(short)));
        head.extend(approvers.iter().take(AT_MOST).map(|approver| format!("- {}\n", line(approver))));
        if approvers.len() > AT_MOST {
            head.push_str(&format!("- and {} more\n", approvers.len() - AT_MOST));
        }
    }
    let mut tail = String::from("\n");
    if let Some(Noted { pipeline }) = noted {
        if let Some(pipeline) = pipeline {
            tail.push_str(&format!("[The whole plan is in the pipeline]({pipeline})\n\n"));
        }
    } else {
        if let Some((short, whole)) = effect {
            tail.push_str(&format!("**To approve: {}**\n\n{}\n\n", code(&short), code(&whole)));
        }
        if !next.is_empty() {
            tail.push_str("**Next**\n\n");
            tail.extend(next.iter().map(|text| format!("- {}\n", line(text))));
            tail.push('\n');
        }
        tail.push_str("<details><summary>What this plan rests on</summary>\n\n");
        tail.extend(basis.iter().map(|(label, text)| format!("- {label}: {}\n", line(text))));
        tail.push_str("\n</details>\n");
    }

    let mut note =
        Note { text: head, room: LIMIT.saturating_sub(tail.len() + RESERVE), cut: 0, hidden: false };
    if errors_first {
        told(&mut note, &plan.findings);
    }
    for part in &sections {
        section(&mut note, part);
    }
    let whole = note.cut == 0 && !note.hidden;
    if !errors_first && !plan.findings.is_empty() {
        told(&mut note, &plan.findings);
    }
    if note.cut > 0 {
        let cut = count(note.cut, "more entry does", "more entries do");
        note.text.push_str(&format!(
            "\n**{cut} not fit into this note; the whole plan is in the job's artifacts.**\n"
        ));
    }
    note.text.push_str(&tail);
    if noted.is_some() && !plan.effects.is_empty() {
        note.text.push_str(if whole {
            "Approve the merge request after you have read this. A push, or a plan that becomes another one, takes approvals \
             away.\n"
        } else {
            "**Not all of it is shown here, so an approval of the merge request does not count.** Read the whole plan in the \
             pipeline of the default branch and approve its deployment, or let smaller merge requests ask for it.\n"
        });
    }
    (note.text, whole)
}

/// What moved by itself, and how to accept or revert it.
#[must_use]
pub fn drift(plan: &Plan) -> String {
    let mut note = Note { text: String::new(), room: LIMIT, cut: 0, hidden: false };
    match groups::drift(&plan.drift) {
        Some(part) => section(&mut note, &part),
        None => note.text.push_str("No drift: nothing moved by itself.\n"),
    }
    note.text
}

/// One section by itself, for what is longer than a note.
pub(super) fn alone(part: &Section) -> String {
    let mut note = Note { text: String::new(), room: LIMIT / 2, cut: 0, hidden: false };
    section(&mut note, part);
    if note.cut > 0 {
        let cut = count(note.cut, "more entry does", "more entries do");
        note.text.push_str(&format!("\n**{cut} not fit here.**\n"));
    }
    note.text
}

/// Room for the sentence that says what was cut, and for closing what is open.
const RESERVE: usize = 700;

/// A note that stops growing between items.
struct Note {
    text: String,
    room: usize,
    cut: usize,
    /// Whether an item that is there has more names or lines than are shown.
    hidden: bool,
}

impl Note {
    /// Adds a text if it fits and nothing before it was cut.
    fn put(&mut self, text: &str) -> bool {
        let fits = self.cut == 0 && self.text.len() + text.len() <= self.room;
        if fits {
            self.text.push_str(text);
        }
        fits
    }

    /// Adds an item, or counts it as cut.
    fn item(&mut self, text: &str) {
        if !self.put(text) {
            self.cut += 1;
        }
    }
}

fn told(note: &mut Note, findings: &[Finding]) {
    if note.put("\n#### Findings\n\n") {
        findings::sorted(findings).into_iter().for_each(|finding| note.item(&findings::entry(finding)));
    } else {
        note.cut += findings.len();
    }
}

fn section(note: &mut Note, section: &Section) {
    let Section { tone, title, lead, items, remedy } = section;
    let folded = *tone == Tone::Calm && items.len() > AT_ONCE;
    let mut open = format!("\n#### {}{}\n\n", mark(*tone), escape(title));
    if let Some(lead) = lead {
        open.push_str(&format!("{}\n\n", line(lead)));
    }
    if folded {
        open.push_str(&format!(
            "<details><summary>Show {}</summary>\n\n",
            count(items.len(), "entry", "entries")
        ));
    }
    if !note.put(&open) {
        note.cut += items.len();
        return;
    }
    for part in items {
        note.hidden |= part.names.len() > AT_MOST
            || part
                .fields
                .iter()
                .any(|(_, shown)| matches!(shown, Shown::Lines(lines) if lines.len() > AT_MOST));
        note.item(&item(part));
    }
    if folded {
        note.text.push_str("\n</details>\n");
    }
    if !remedy.is_empty() {
        let text = if section.remedy_is_document() {
            fence("yaml", remedy, "")
        } else {
            remedy.iter().map(|text| format!("{}\n", line(&prose(text)))).collect()
        };
        note.item(&format!("\n{}\n\n{text}", capitalized(section.remedy_lead())));
    }
}

fn item(item: &Item) -> String {
    let Item { op: _, sign, title, names, fields, facts } = item;
    let mut text = format!("- `{sign}` {}\n", line(title));
    let shown: Vec<String> = names.iter().take(AT_MOST).map(|name| code(name)).collect();
    if names.len() <= AT_ONCE && !names.is_empty() {
        text.push_str(&format!("  - {}\n", shown.join(", ")));
    }
    for (label, fact) in facts {
        text.push_str(&format!("  - {label}: {}\n", line(fact)));
    }
    for (name, shown) in fields {
        match shown {
            Shown::Set(value) => text.push_str(&format!("  - {}: {}\n", code(name), code(value))),
            Shown::Changed(old, new) => {
                text.push_str(&format!("  - {}: {} → {}\n", code(name), code(old), code(new)));
            }
            Shown::Lines(lines) => text.push_str(&diff(name, lines)),
        }
    }
    if names.len() > AT_ONCE {
        let more = names.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!(
            "\n  <details><summary>All {}</summary>\n\n  {}{more}\n\n  </details>\n\n",
            names.len(),
            shown.join(", ")
        ));
    }
    text
}

fn diff(name: &str, lines: &[DiffLine]) -> String {
    let mut shown: Vec<String> = lines
        .iter()
        .take(AT_MOST)
        .map(|DiffLine { sign, text }| match sign {
            LineSign::Skipped => format!("@@ {text} @@"),
            sign => format!("{} {text}", sign.mark()),
        })
        .collect();
    if lines.len() > AT_MOST {
        shown.push(format!("@@ {} more lines @@", lines.len() - AT_MOST));
    }
    let block = fence("diff", &shown, "    ");
    let label = format!("  - {}:\n\n", code(name));
    if shown.len() <= LINES_AT_ONCE {
        return format!("{label}{block}\n");
    }
    let lines = count(shown.len(), "line", "lines");
    format!("{label}    <details><summary>{lines}</summary>\n\n{block}\n    </details>\n\n")
}

/// A line of text.
pub(super) fn line(line: &Line) -> String {
    joined(line.iter().map(|piece| match piece {
        Piece::Words(text) => escape(text),
        Piece::Literal(text) | Piece::Quoted(text) | Piece::Place(text) => code(text),
    }))
}

pub(super) fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Calm => "",
        Tone::Warn => "🟡 ",
        Tone::Alarm => "🔴 ",
    }
}
