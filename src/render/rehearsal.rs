//! A rehearsal for terminals: what would become of each change, how many calls that takes and how long.
//!
//! Invariant: it says that nothing live was changed, before anything else.

use super::page::{Ink, Page};
use super::terminal::{Style, outcome, tally};
use super::words::{count, list, literal, prose};
use crate::model::report::Rehearsal;

/// How many actions are told; JSON has all.
const ACTIONS: usize = 12;

/// A rehearsal.
#[must_use]
pub fn terminal(rehearsal: &Rehearsal, style: &Style) -> String {
    let Rehearsal { format: _, report, reads, writes, calls, latency, took, waited } = rehearsal;
    let mut page = Page::new(style);
    let (end, ink) = match report.converged {
        true => ("it converges", Ink::Good),
        false => ("it does not converge", Ink::Alarm),
    };
    page.line(0, 0, &[(format!("rehearsed, and nothing live was changed: {end}: {}", tally(report)), ink)]);
    outcome(&mut page, report, style);
    page.blank();
    page.fact(0, "plan", &vec![literal(&report.plan)]);
    let both = [count(*reads, "read", "reads"), count(*writes, "write", "writes")];
    page.fact(0, "calls", &prose(&format!("{}: {}", count(reads + writes, "call", "calls"), list(&both))));
    let mut most: Vec<_> = calls.iter().collect();
    most.sort_by_key(|(action, calls)| (std::cmp::Reverse(**calls), *action));
    for (action, calls) in most.iter().take(ACTIONS) {
        page.fact(0, "", &prose(&format!("{calls} × `{action}`")));
    }
    if most.len() > ACTIONS {
        page.fact(0, "", &prose(&format!("and {} more actions", most.len() - ACTIONS)));
    }
    let all = took.reading + took.writing + took.verifying;
    let parts = [(took.reading, "reading"), (took.writing, "writing"), (took.verifying, "verifying")];
    let parts: Vec<String> = parts.iter().map(|(ms, what)| format!("{} {what}", time(*ms))).collect();
    let text = format!("{} at {latency} ms a call: {}", time(all), list(&parts));
    page.fact(0, "time", &prose(&text));
    for (index, wait) in waited.iter().enumerate() {
        let text = format!("{} for `{}`, {}", time(wait.ms), wait.what, count(wait.times, "time", "times"));
        page.fact(0, if index == 0 { "of which" } else { "" }, &prose(&text));
    }
    page.finish()
}

/// A duration as people say it.
fn time(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        let said = [0, 1, 59_000, 61_500, 3_599_000, 7_260_000].map(time);
        assert_eq!(said, ["0 s", "1 s", "59 s", "1 min 2 s", "59 min 59 s", "2 h 1 min"]);
    }
}
