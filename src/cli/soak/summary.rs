//! What all seeds came to, as text, Markdown and JSON.
//!
//! Invariant: which seed is named as the first does not depend on how many ran side by side. It must not judge.

use std::collections::BTreeMap;

use serde_json::json;

use super::docket::{Docket, Findings, Judge};
use super::run::Told;
use crate::cli::Format;
use crate::model::Guard;

/// How many failing seeds are told in full.
const TOLD: usize = 3;
/// How wide a line is at most, where many things are listed.
const WIDTH: usize = 100;
/// What the counts of faults begin with.
const FAULT: &str = "fault ";

/// What all seeds came to.
#[derive(Debug, Default)]
pub(super) struct Summary {
    docket: Docket,
    /// The guard that the program did without.
    without: Option<Guard>,
    /// Whether all seeds are told in full.
    verbose: bool,
    seeds: u64,
    failing: usize,
    /// The first seed in which each judge found something wrong.
    first: BTreeMap<Judge, u64>,
}

impl Summary {
    /// Of no seeds yet.
    pub(super) fn of(without: Option<Guard>, verbose: bool) -> Self {
        Self { without, verbose, ..Self::default() }
    }

    /// Takes a seed in; what is to be told of it at once.
    pub(super) fn take(&mut self, seed: u64, told: &Told) -> Option<String> {
        self.seeds += 1;
        self.docket.merge(&told.docket);
        for (judge, _) in told.docket.judges.iter().filter(|(_, findings)| !findings.violations.is_empty()) {
            let first = self.first.entry(*judge).or_insert(seed);
            *first = seed.min(*first);
        }
        let fails = told.docket.violations() > 0;
        self.failing += usize::from(fails);
        (self.verbose || fails).then(|| self.story(seed, told, fails))
    }

    fn story(&self, seed: u64, told: &Told, fails: bool) -> String {
        let mut text = format!("seed {seed}\n");
        if self.verbose || self.failing <= TOLD {
            told.log.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
        for (judge, findings) in &told.docket.judges {
            for wrong in &findings.violations {
                text.push_str(&format!("  VIOLATED {}: {wrong}\n", judge.words().trim()));
            }
        }
        if fails {
            let guard = self.without.map(|guard| format!(" --without-guard {}", guard.number()));
            let guard = guard.unwrap_or_default();
            text.push_str(&format!("  again: rolecall soak --first {seed} --seeds 1 --verbose{guard}\n"));
        }
        text
    }

    /// How many violations there are.
    pub(super) fn violations(&self) -> usize {
        self.docket.violations()
    }

    /// Whether nothing is left to look for: the judge of the guard that is missing has spoken.
    pub(super) fn is_missed(&self) -> bool {
        self.without.is_some_and(|guard| self.first.contains_key(&Judge::Guard(guard)))
    }

    /// All of it, in a format.
    pub(super) fn render(&self, format: Format) -> String {
        match format {
            Format::Json => self.json(),
            Format::Text => self.text(),
            Format::Markdown => self.markdown(),
        }
    }

    fn findings(&self, judge: Judge) -> Findings {
        self.docket.judges.get(&judge).cloned().unwrap_or_default()
    }

    /// `230 rounds`, `669 plans`: the counts without those of faults, or the latter alone.
    fn counted(&self, faults: bool) -> Vec<String> {
        let counts = self.docket.counts.iter().filter(|(what, _)| what.starts_with(FAULT) == faults);
        counts.map(|(what, times)| format!("{times} {}", what.trim_start_matches(FAULT))).collect()
    }

    /// The last line: what a person wants to know first.
    fn verdict(&self) -> String {
        let Self { seeds, failing, .. } = self;
        let cpu = self.cpu_per_seed().map(|cpu| format!("; {cpu:.3} CPU-seconds a seed")).unwrap_or_default();
        match self.violations() {
            0 => format!("{seeds} seeds, nothing violated{cpu}\n"),
            many => format!("{seeds} seeds, {failing} of them with violations, {many} in all{cpu}\n"),
        }
    }

    /// Whether the missing guard was seen, and by whom.
    fn guard(&self) -> String {
        let Some(guard) = self.without else { return String::new() };
        let own = Judge::Guard(guard);
        let mut text = match self.first.get(&own) {
            Some(at) => format!("guard {} is missed by its own judge, in seed {at}\n", own.words().trim()),
            None => format!("guard {} is not missed by its own judge\n", own.words().trim()),
        };
        for (judge, at) in self.first.iter().filter(|(judge, _)| **judge != own) {
            text.push_str(&format!("  it is also missed by: {}, in seed {at}\n", judge.words().trim()));
        }
        text
    }

    fn text(&self) -> String {
        let mut text = folded("", &self.counted(false));
        text.push_str(&folded("faults met: ", &self.counted(true)));
        text.push_str("\nviolations  judged\n");
        for judge in Judge::all() {
            let Findings { violations, occasions } = self.findings(judge);
            let never = if occasions == 0 { "  (it never had anything to judge)" } else { "" };
            text.push_str(&format!("{:>10} {occasions:>7}  {}{never}\n", violations.len(), judge.words()));
        }
        text.push_str(&format!("\n{}{}", self.guard(), self.verdict()));
        text
    }

    fn markdown(&self) -> String {
        let mut text = format!("**{}**\n\n{}", self.verdict().trim(), self.guard());
        text.push_str("\n| judge | violations | judged |\n|---|--:|--:|\n");
        for judge in Judge::all() {
            let Findings { violations, occasions } = self.findings(judge);
            let words = judge.words();
            text.push_str(&format!("| {} | {} | {occasions} |\n", words.trim(), violations.len()));
        }
        let (counts, faults) = (self.counted(false), self.counted(true));
        text.push_str(&format!("\n{}.\n", counts.join(", ")));
        if !faults.is_empty() {
            text.push_str(&format!("\nFaults met: {}.\n", faults.join(", ")));
        }
        text
    }

    fn json(&self) -> String {
        let judges = Judge::all().map(|judge| {
            let Findings { violations, occasions } = self.findings(judge);
            json!({
                "judge": judge.words().trim(), "violations": violations, "occasions": occasions,
                "first": self.first.get(&judge),
            })
        });
        let json = json!({
            "seeds": self.seeds, "failing": self.failing, "counts": self.docket.counts,
            "without_guard": self.without.map(Guard::number), "missed": self.is_missed(),
            "judges": judges.collect::<Vec<_>>(), "cpu_seconds_a_seed": self.cpu_per_seed(),
        });
        format!("{json:#}\n")
    }

    fn cpu_per_seed(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
        Some(cpu_seconds()? / self.seeds.max(1) as f64)
    }
}

/// Things after a word, with as many in a line as a terminal shows.
fn folded(word: &str, things: &[String]) -> String {
    let (mut text, mut line) = (String::new(), word.to_owned());
    for (at, thing) in things.iter().enumerate() {
        let comma = if at + 1 < things.len() { "," } else { "" };
        if line.len() + thing.len() > WIDTH {
            text.push_str(&format!("{}\n", line.trim_end()));
            "  ".clone_into(&mut line);
        }
        line.push_str(&format!("{thing}{comma} "));
    }
    if !things.is_empty() {
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text
}

/// The CPU time that this process has used, in seconds, where the system tells.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in brackets and may hold anything: count from its end.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    // Linux counts in hundredths wherever this runs.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(judges: &[Judge]) -> Told {
        let mut told = Told::default();
        told.log.push("something happened".to_owned());
        told.docket.count("rounds", 3);
        told.docket.count("fault Denied", 2);
        told.docket.judge(Judge::Converged, None);
        for judge in judges {
            told.docket.judge(*judge, Some("too much went".to_owned()));
        }
        told
    }

    #[test]
    fn a_guard_is_missed_only_when_its_own_judge_speaks_and_the_least_seed_is_named() {
        let mut summary = Summary::of(Some(Guard::Caps), false);
        assert_eq!(summary.take(1, &told(&[])), None);
        let story = summary.take(2, &told(&[Judge::NothingLost])).unwrap();
        assert!(story.contains("VIOLATED nothing lost: too much went"), "{story}");
        assert!(story.contains("--first 2 --seeds 1 --verbose --without-guard 14"), "{story}");
        assert!(!summary.is_missed());
        for seed in [9, 7] {
            summary.take(seed, &told(&[Judge::Guard(Guard::Caps)]));
        }
        assert!(summary.is_missed());
        let text = summary.render(Format::Text);
        assert!(
            text.contains("guard 14 no more removals than the caps is missed by its own judge, in seed 7\n")
        );
        assert!(text.contains("also missed by: nothing lost, in seed 2\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&summary.render(Format::Json)).unwrap();
        assert_eq!((&json["missed"], &json["without_guard"]), (&json!(true), &json!(14)));
    }

    #[test]
    fn what_was_counted_and_judged_can_be_read() {
        let mut summary = Summary::default();
        summary.take(1, &told(&[]));
        let text = summary.render(Format::Text);
        assert!(text.starts_with(
            "3 rounds\nfaults met: 2 Denied\n\nviolations  judged\n         0       1  converged\n"
        ));
        assert!(text.contains("1 seeds, nothing violated"), "{text}");
        let markdown = summary.render(Format::Markdown);
        assert!(
            markdown.contains("| converged | 0 | 1 |\n") && markdown.ends_with("Faults met: 2 Denied.\n")
        );
        let many: Vec<String> = (10..40).map(|n| format!("{n} things")).collect();
        let folded = folded("", &many);
        assert!(folded.lines().count() > 2 && folded.lines().all(|line| line.len() <= WIDTH), "{folded}");
    }
}
