//! The command line: one file a command, and the only place where the parts are wired together.
//!
//! Invariant: stdout is data, stderr is talk; exit codes are 64 usage, 1 error, 4 stale or not approved, 3 denied,
//! 2 changes, 0. It must not decide anything about access.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::model::{Finding, Sources};
use crate::render::terminal::Style;

mod apply;
mod approve;
mod check;
mod codeowners;
mod completions;
mod contain;
mod drift;
mod edit;
mod evidence;
mod explain;
mod init;
mod journal;
mod lock;
mod note;
mod offboard;
mod pipeline;
mod plan;
mod progress;
mod rehearse;
pub mod repo;
mod request;
mod review;
mod schema;
mod session;
mod simulate;
mod soak;
mod tidy;
mod values;
mod when;

/// What a command ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Success,
    /// Something is wrong.
    Error,
    /// There are changes, or drift.
    Changes,
    /// The gate denies.
    Denied,
    /// The plan is stale or not approved.
    Stale,
    /// The command line is wrong.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Error => 1,
            Exit::Changes => 2,
            Exit::Denied => 3,
            Exit::Stale => 4,
            Exit::Usage => 64,
        })
    }
}

/// Why a command could not do its work: findings for people, with the files that they point into.
#[derive(Debug, Default)]
pub struct Failure {
    findings: Vec<Finding>,
    sources: Sources,
    exit: Option<Exit>,
}

impl From<Finding> for Failure {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], ..Self::default() }
    }
}

impl From<Box<Finding>> for Failure {
    fn from(finding: Box<Finding>) -> Self {
        (*finding).into()
    }
}

impl From<Vec<Finding>> for Failure {
    fn from(findings: Vec<Finding>) -> Self {
        Self { findings, ..Self::default() }
    }
}

impl Failure {
    fn in_sources(findings: Vec<Finding>, sources: &Sources) -> Self {
        Self { findings, sources: sources.clone(), exit: None }
    }

    fn exit(mut self, exit: Exit) -> Self {
        self.exit = Some(exit);
        self
    }
}

/// Keeps who has access to what in Git: YAML in, an explained plan out, and only what was approved applied.
#[derive(Debug, Parser)]
#[command(name = "rolecall", version, max_term_width = 100)]
struct Arguments {
    /// How to print results
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For reading in a terminal
    #[default]
    Text,
    /// For programs
    Json,
    /// For a merge request
    Markdown,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an access repo to begin with, which plans at once against a simulated world
    Init(init::Arguments),
    /// Check all that needs no network: syntax, names, references
    Check(check::Arguments),
    /// Show what would change, for whom, why, and how risky it is
    Plan(plan::Arguments),
    /// Carry out a plan that was approved
    Apply(apply::Arguments),
    /// Sign that you have read a plan and approve its effects
    Approve(approve::Arguments),
    /// Take everything away from one person, now
    Contain(contain::Arguments),
    /// Carry out a plan on a simulated copy of live: what it takes, and where it ends
    Rehearse(rehearse::Arguments),
    /// Make GitLab's CODEOWNERS from the owners of roles
    Codeowners(codeowners::Arguments),
    /// Write the plan as the one note of a merge request, and suggest how to mend what `check` found
    Note(note::NoteArguments),
    /// Keep one issue of the forge for each provider that drifted
    Issues(note::IssuesArguments),
    /// Show what was changed behind Git's back
    Drift(drift::Arguments),
    /// Tell who has what, and why
    Explain(explain::Arguments),
    /// Show and verify the evidence that applies leave
    Evidence(evidence::Arguments),
    /// Ask for roles for some time, or take them away: writes the YAML for a merge request
    Request(request::Arguments),
    /// Take whoever leaves out of every grant and entry that names him, and say what is to be handed over
    Offboard(offboard::Arguments),
    /// Take entries, grants and waivers that have ended out of the YAML
    Tidy(tidy::Arguments),
    /// Show what an apply did, from its journal
    Journal(journal::Arguments),
    /// Write down which name is whose, in rolecall.lock
    Lock(lock::Arguments),
    /// Print the JSON Schema of a kind, or of every document
    Schema(schema::Arguments),
    /// Tell what the directory holds: attributes, their values, and how many people have each
    Values(values::Arguments),
    /// Print the completions of a shell
    Completions(completions::Arguments),
    /// Serve the simulated Okta, AWS and Google Cloud of an access repo on loopback
    Simulate(simulate::Arguments),
    /// Try everything out on random organizations, with faults and crashes
    Soak(soak::Arguments),
}

/// Runs the command line that this process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Clap knows where its text goes: help to stdout, mistakes to stderr.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success }.into();
        }
    };
    let levels = tracing_subscriber::EnvFilter::try_from_env("ROLECALL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(levels).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("error: no runtime can be started: {error}\n"));
            return Exit::Error.into();
        }
    };
    let format = arguments.format;
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Init(arguments) => init::run(&arguments, format),
            Command::Check(arguments) => check::run(&arguments, format).await,
            Command::Plan(arguments) => plan::run(&arguments, format).await,
            Command::Apply(arguments) => apply::run(&arguments, format).await,
            Command::Approve(arguments) => approve::run(&arguments),
            Command::Note(arguments) => note::note(&arguments).await,
            Command::Issues(arguments) => note::issues(&arguments, format).await,
            Command::Contain(arguments) => contain::run(&arguments, format).await,
            Command::Rehearse(arguments) => rehearse::run(&arguments, format).await,
            Command::Codeowners(arguments) => codeowners::run(&arguments, format),
            Command::Drift(arguments) => drift::run(&arguments, format).await,
            Command::Explain(arguments) => explain::run(&arguments, format).await,
            Command::Evidence(arguments) => evidence::run(&arguments, format),
            Command::Offboard(arguments) => offboard::run(&arguments, format).await,
            Command::Request(arguments) => request::run(&arguments, format).await,
            Command::Tidy(arguments) => tidy::run(&arguments, format).await,
            Command::Journal(arguments) => journal::run(&arguments, format),
            Command::Lock(arguments) => lock::run(&arguments, format).await,
            Command::Schema(arguments) => schema::run(&arguments),
            Command::Values(arguments) => values::run(&arguments, format).await,
            Command::Completions(arguments) => Ok(completions::run(&arguments)),
            Command::Simulate(arguments) => simulate::run(&arguments).await,
            Command::Soak(arguments) => soak::run(&arguments, format),
        }
    });
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            match format {
                Format::Json => print(&crate::render::findings::json(&failure.findings)),
                Format::Markdown => print(&crate::render::findings::markdown(&failure.findings)),
                Format::Text => {
                    say(&crate::render::findings::terminal(
                        &failure.findings,
                        &failure.sources,
                        &style(true),
                    ));
                }
            }
            failure.exit.unwrap_or(Exit::Error).into()
        }
    }
}

/// Every number that a finding of this program can have, for the table in the docs.
#[must_use]
pub fn codes() -> Vec<crate::model::Code> {
    let here = [
        apply::CODES,
        approve::CODES,
        note::CODES,
        check::CODES,
        codeowners::CODES,
        drift::CODES,
        evidence::CODES,
        edit::CODES,
        contain::CODES,
        explain::CODES,
        init::CODES,
        pipeline::CODES,
        lock::CODES,
        rehearse::CODES,
        repo::CODES,
        request::CODES,
        review::CODES,
        schema::CODES,
        session::CODES,
        simulate::CODES,
        soak::CODES,
        values::CODES,
    ]
    .concat();
    let parts = [
        crate::manifest::CODES,
        crate::resolve::CODES,
        crate::planner::CODES,
        crate::gate::CODES,
        crate::apply::CODES,
        crate::apply::memory::CODES,
        crate::simulator::CODES,
        crate::evidence::CODES,
    ];
    let mut codes: Vec<_> =
        parts.concat().into_iter().chain(crate::providers::CODES.concat()).chain(here).collect();
    codes.sort();
    codes.dedup();
    codes
}

/// Data goes to stdout. A reader that went away is no error of ours.
fn print(text: &str) {
    let _ = write!(anstream::stdout(), "{}", scrubbed(text));
}

/// Talk goes to stderr.
fn say(text: &str) {
    let _ = write!(anstream::stderr(), "{}", scrubbed(text));
}

/// A text without the credentials of this run. No message of ours holds one; a server's might repeat what it was sent.
fn scrubbed(text: &str) -> String {
    const SECRETS: [&str; 8] = [
        "ROLECALL_FORGE_TOKEN",
        "GITLAB_TOKEN",
        "CI_JOB_TOKEN",
        "ROLECALL_WEBHOOK",
        "OKTA_API_TOKEN",
        "OKTA_CLIENT_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ];
    // What is as short as a word is no secret, and would take words out of the text.
    let secrets = SECRETS.into_iter().filter_map(environment).filter(|secret| secret.len() >= 8);
    secrets.fold(text.to_owned(), |text, secret| text.replace(&secret, "…"))
}

/// How wide and how coloured.
fn style(talk: bool) -> Style {
    let choice = if talk {
        anstream::AutoStream::choice(&std::io::stderr())
    } else {
        anstream::AutoStream::choice(&std::io::stdout())
    };
    let width =
        environment("COLUMNS").and_then(|columns| columns.parse().ok()).unwrap_or(100_usize).clamp(40, 160);
    Style { color: choice != anstream::ColorChoice::Never, width, ..Style::default() }
}

/// A variable of the environment: the one place that reads it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folder of the access repo: what was named, else the current one.
fn repo_or_here(repo: Option<&PathBuf>) -> PathBuf {
    repo.cloned().unwrap_or_else(|| Path::new(".").to_owned())
}
