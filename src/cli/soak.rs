//! `rolecall soak`: random organizations, edits, faults and crashes in virtual time, and judges that look on.
//!
//! Invariant: a seed says everything; the same seed gives the same rounds on every machine. It must not reach anything
//! outside of this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Exit, Failure, Format, print};
use crate::model::{Code, Finding, Guard};
use docket::Judge;
use summary::Summary;

mod dice;
mod docket;
mod edits;
mod facts;
mod go;
mod judges;
mod repo;
mod run;
mod site;
mod summary;
mod trouble;
mod world;

/// The soak cannot run.
const NO_SOAK: Code = Code { code: "RC630", title: "the soak cannot run as it was asked" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NO_SOAK];

/// The stack of a thread, in bytes: without optimisation a whole apply inside a round is more than the usual two megabytes.
const STACK: usize = 16 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// How many run side by side
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Do without this guard, by the number of its invariant, until its own judge misses it
    #[arg(long, value_name = "NUMBER")]
    without_guard: Option<u8>,
    /// Name the guards, each with its number, and do nothing else
    #[arg(long, conflicts_with = "without_guard")]
    guards: bool,
    /// Tell what happens in each seed
    #[arg(long)]
    verbose: bool,
}

pub(super) fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    if arguments.guards {
        print(&guards(format));
        return Ok(Exit::Success);
    }
    let without = arguments.without_guard.map(do_without).transpose()?;
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first.saturating_add(arguments.seeds);
    let all = Mutex::new(Summary::of(without, arguments.verbose));
    let summary = || all.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || summary().is_missed() {
                return Ok(());
            }
            let told = runtime.block_on(run::seed(seed));
            let story = summary().take(seed, &told);
            // Whoever reads JSON reads nothing else.
            if let Some(story) = story.filter(|_| format != Format::Json) {
                print(&story);
            }
        }
    };
    let started: std::io::Result<()> = std::thread::scope(|scope| {
        let begin = |_| std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let jobs: Vec<_> = (0..arguments.jobs.max(1)).map(begin).collect::<std::io::Result<_>>()?;
        jobs.into_iter()
            .try_for_each(|job| job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    started.map_err(|error| Finding::error(NO_SOAK, format!("no runtime can be started: {error}")))?;
    let summary = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    print(&summary.render(format));
    Ok(if summary.violations() > 0 { Exit::Error } else { Exit::Success })
}

/// All guards, one a line.
fn guards(format: Format) -> String {
    let all = Guard::ALL.into_iter().map(|guard| (guard.number(), Judge::Guard(guard).words()));
    match format {
        Format::Json => {
            let all = all.map(|(number, words)| {
                let words = words.trim().trim_start_matches(&number.to_string()).trim();
                serde_json::json!({ "number": number, "guard": words })
            });
            format!("{:#}\n", all.collect::<serde_json::Value>())
        }
        Format::Text | Format::Markdown => all.map(|(_, words)| format!("{words}\n")).collect(),
    }
}

#[cfg(feature = "unguarded")]
fn do_without(number: u8) -> Result<Guard, Failure> {
    let guard = Guard::ALL.into_iter().find(|guard| guard.number() == number);
    let guard = guard.ok_or_else(|| no_guard(number))?;
    guard.give_up();
    Ok(guard)
}

#[cfg(not(feature = "unguarded"))]
fn do_without(number: u8) -> Result<Guard, Failure> {
    if Guard::ALL.iter().all(|guard| guard.number() != number) {
        return Err(no_guard(number));
    }
    let finding = Finding::error(NO_SOAK, "this build cannot do without a guard");
    let help = format!(
        "`cargo run --features unguarded -- soak --without-guard {number}` builds one that can; it is never released"
    );
    Err(Failure::from(finding.help(help)).exit(Exit::Usage))
}

fn no_guard(number: u8) -> Failure {
    let known: Vec<String> = Guard::ALL.iter().map(|guard| guard.number().to_string()).collect();
    let finding = Finding::error(NO_SOAK, format!("there is no guard {number}"));
    Failure::from(finding.help(format!("it is one of {}", known.join(", ")))).exit(Exit::Usage)
}
