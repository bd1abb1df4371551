//! `rolecall soak`: random organizations, edits, faults and crashes in virtual time, and judges that look on.
//!
//! Invariant: a seed says everything; the same seed gives the same rounds on every machine. It must not reach anything
//! outside of this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Exit, Failure, Format, print};
use crate::model::{Code, Finding, Guard};
use docket::{Docket, Judge};
use run::Told;

mod dice;
mod docket;
mod edits;
mod facts;
mod go;
mod judges;
mod repo;
mod run;
mod site;
mod trouble;
mod world;

/// The soak cannot run.
const NO_SOAK: Code = Code { code: "RC630", title: "the soak cannot run as it was asked" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NO_SOAK];

/// How many failing seeds are told in full.
const TOLD: usize = 3;

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
    /// Do without this guard, by the number of its invariant, which must be seen
    #[arg(long, value_name = "NUMBER")]
    without_guard: Option<u8>,
    /// Tell what happens in each seed
    #[arg(long)]
    verbose: bool,
}

pub(super) fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    if let Some(number) = arguments.without_guard {
        do_without(number)?;
    }
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first.saturating_add(arguments.seeds);
    let all = Mutex::new(Summary::default());
    let work = || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let enough = arguments.without_guard.is_some()
                && all.lock().unwrap_or_else(PoisonError::into_inner).failing > 0;
            if seed >= end || enough {
                return Ok(());
            }
            let told = runtime.block_on(run::seed(seed));
            all.lock().unwrap_or_else(PoisonError::into_inner).take(seed, &told, arguments, format);
        }
    };
    let started: std::io::Result<()> = std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..arguments.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        jobs.into_iter()
            .try_for_each(|job| job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    started.map_err(|error| Finding::error(NO_SOAK, format!("no runtime can be started: {error}")))?;
    let summary = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    match format {
        Format::Json => print(&summary.json()),
        Format::Text | Format::Markdown => print(&summary.text()),
    }
    Ok(if summary.docket.violations() > 0 { Exit::Error } else { Exit::Success })
}

#[cfg(feature = "unguarded")]
fn do_without(number: u8) -> Result<(), Failure> {
    match Guard::ALL.into_iter().find(|guard| guard.number() == number) {
        Some(guard) => {
            guard.give_up();
            Ok(())
        }
        None => Err(no_guard(number)),
    }
}

#[cfg(not(feature = "unguarded"))]
fn do_without(number: u8) -> Result<(), Failure> {
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

/// What all seeds came to.
#[derive(Debug, Default)]
struct Summary {
    docket: Docket,
    seeds: u64,
    failing: usize,
}

impl Summary {
    /// Takes a seed in, and tells of it where it fails.
    fn take(&mut self, seed: u64, told: &Told, arguments: &Arguments, format: Format) {
        self.seeds += 1;
        self.docket.merge(&told.docket);
        let fails = told.docket.violations() > 0;
        self.failing += usize::from(fails);
        if format == Format::Json || !(arguments.verbose || fails) {
            return;
        }
        let mut text = format!("seed {seed}\n");
        for line in told.log.iter().filter(|_| arguments.verbose || self.failing <= TOLD) {
            text.push_str(&format!("  {line}\n"));
        }
        for (judge, findings) in &told.docket.judges {
            for wrong in &findings.violations {
                text.push_str(&format!("  VIOLATED {}: {wrong}\n", judge.words().trim()));
            }
        }
        if fails {
            let guard = arguments.without_guard.map(|guard| format!(" --without-guard {guard}"));
            let guard = guard.unwrap_or_default();
            text.push_str(&format!("  again: rolecall soak --first {seed} --seeds 1 --verbose{guard}\n"));
        }
        print(&text);
    }

    fn cpu_per_seed(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
        Some(cpu_seconds()? / self.seeds.max(1) as f64)
    }

    fn text(&self) -> String {
        let mut text = format!("{} seeds\n", self.seeds);
        for (what, times) in &self.docket.counts {
            text.push_str(&format!("{times:>9} {what}\n"));
        }
        text.push_str("violations  judged\n");
        for judge in Judge::all() {
            let findings = self.docket.judges.get(&judge).cloned().unwrap_or_default();
            let (wrong, occasions) = (findings.violations.len(), findings.occasions);
            let never = if occasions == 0 { "  (it never had anything to judge)" } else { "" };
            text.push_str(&format!("{wrong:>10} {occasions:>7}  {}{never}\n", judge.words()));
        }
        if let Some(cpu) = self.cpu_per_seed() {
            text.push_str(&format!("{cpu:.3} CPU-seconds a seed\n"));
        }
        text
    }

    fn json(&self) -> String {
        let judges = Judge::all().map(|judge| {
            let findings = self.docket.judges.get(&judge).cloned().unwrap_or_default();
            serde_json::json!({
                "judge": judge.words().trim(), "violations": findings.violations, "occasions": findings.occasions,
            })
        });
        let json = serde_json::json!({
            "seeds": self.seeds, "failing": self.failing, "counts": self.docket.counts,
            "judges": judges.collect::<Vec<_>>(), "cpu_seconds_a_seed": self.cpu_per_seed(),
        });
        format!("{json:#}\n")
    }
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
