//! Notes, issues and reports of plans whose every text is hostile, judged by the parser that GitLab itself uses.
//!
//! `ROLECALL_FUZZ=1000000 cargo test --profile soak --test it -- fuzz_note` judges a million plans on all cores;
//! `ROLECALL_FUZZ_FIRST` says which seed is the first. Invariant: a seed says everything, so that a failure repeats.
//! Taken as given: names of providers in drift (`[a-z0-9._-]`) and ids of drift (hex), which are never anybody's text.
//! It must not know how a rendering escapes: only what a reader, GitLab or Slack makes of the outcome.

mod markup;
mod notes;
mod plans;
mod texts;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::tz::TimeZone;
use rolecall::model::Plan;
use rolecall::render::{chat, findings, gitlab, html, issue, markdown};

use texts::Texts;

/// What renders a plan: a name, and the texts that it makes.
type Rendering = (&'static str, fn(&Plan) -> Vec<String>);

/// All that GitLab reads as Markdown of many lines.
const NOTES: [Rendering; 6] = [
    ("note", |plan| vec![markdown::note(plan, "access", None)]),
    ("not planned", |plan| vec![markdown::unplanned(&plan.findings, "access", None)]),
    ("plan", |plan| vec![markdown::plan(plan, &TimeZone::UTC)]),
    ("drift", |plan| vec![markdown::drift(plan)]),
    ("findings", |plan| vec![findings::markdown(&plan.findings)]),
    ("issue", |plan| issue::issues(plan).into_iter().map(|issue| issue.body).collect()),
];

/// All that GitLab reads as Markdown of one line.
const TITLES: [Rendering; 1] =
    [("issue title", |plan| issue::issues(plan).into_iter().map(|issue| issue.title).collect())];

/// All that is HTML or XML.
const MARKUP: [Rendering; 2] = [
    ("html", |plan| vec![html::plan(plan, &TimeZone::UTC)]),
    ("junit", |plan| vec![gitlab::junit(&plan.findings)]),
];

/// What Slack reads.
const CHAT: [Rendering; 1] = [("chat", |plan| vec![chat::drift(plan, "acme", None)])];

/// What judges a text: the plan, the text, and the same of a plan with harmless texts.
type Judge = fn(&Plan, &str, &str) -> Result<(), String>;

/// What is wrong with any of the renderings of a plan.
fn complaint(renderings: &[Rendering], judge: Judge, seed: u64, texts: &Texts) -> Option<String> {
    let (hostile, harmless) =
        (plans::plan(seed, &mut texts.clone()), plans::plan(seed, &mut texts.harmless()));
    renderings.iter().find_map(|(name, render)| {
        let (shown, expected) = (render(&hostile), render(&harmless));
        if shown.len() != expected.len() {
            return Some(format!("{name}: {} texts in place of {}", shown.len(), expected.len()));
        }
        let judged = shown.iter().zip(&expected).find_map(|(a, b)| judge(&hostile, a, b).err());
        judged.map(|why| format!("{name}: {why}"))
    })
}

/// The shortest text that does it alone, cut down to what is needed.
fn blame(renderings: &[Rendering], judge: Judge, seed: u64, why: &str) -> String {
    let mut texts = Texts::hostile(seed);
    let _ = plans::plan(seed, &mut texts);
    let mut drawn: Vec<(usize, String)> = texts.drawn().iter().cloned().enumerate().collect();
    drawn.sort_by_key(|(_, text)| text.len());
    let of = |index: usize, text: &str| complaint(renderings, judge, seed, &Texts::one(seed, index, text));
    let Some((index, text, mut why)) =
        drawn.into_iter().find_map(|(index, text)| of(index, &text).map(|why| (index, text, why)))
    else {
        return format!("seed {seed}: {why} (only by several texts together)");
    };
    let mut text: Vec<char> = text.chars().collect();
    let mut size = text.len().max(2) / 2;
    while size > 0 {
        let mut at = 0;
        while at < text.len() {
            let shorter: Vec<char> = [&text[..at], &text[(at + size).min(text.len())..]].concat();
            match of(index, &shorter.iter().collect::<String>()) {
                Some(still) => (text, why) = (shorter, still),
                None => at += size,
            }
        }
        size /= 2;
    }
    format!("seed {seed}: {:?} alone: {why}", text.into_iter().collect::<String>())
}

/// A number from the environment.
#[expect(clippy::disallowed_methods, reason = "how much to try is told by whoever runs it")]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// How many failures are looked into.
const BLAMED: usize = 12;

/// Judges as many plans as are asked for.
fn run(renderings: &[Rendering], judge: Judge) {
    let first = number("ROLECALL_FUZZ_FIRST", 1);
    let end = first + number("ROLECALL_FUZZ", 300);
    let (next, failures) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || failures.lock().unwrap().len() >= BLAMED {
                        break;
                    }
                    if let Some(why) = complaint(renderings, judge, seed, &Texts::hostile(seed)) {
                        failures.lock().unwrap().push((seed, why));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let told: Vec<String> = failures.iter().map(|(seed, why)| blame(renderings, judge, *seed, why)).collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}

#[test]
fn invariant_37_no_text_of_a_plan_does_anything_in_a_note() {
    run(&NOTES, notes::judge);
}

#[test]
fn invariant_38_no_text_of_a_plan_does_anything_in_the_title_of_an_issue() {
    run(&TITLES, notes::judge_title);
}

#[test]
fn invariant_38_no_text_of_a_plan_is_markup_in_html_or_xml() {
    run(&MARKUP, markup::judge);
}

#[test]
fn invariant_38_no_text_of_a_plan_does_anything_in_a_chat() {
    run(&CHAT, markup::judge_chat);
}
