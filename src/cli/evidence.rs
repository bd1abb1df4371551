//! `rolecall evidence`: the bundles that applies leave, shown, and their chain verified.
//!
//! Invariant: it reads the memory and nothing else, so that an auditor needs no credentials. It must not change anything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::apply::Witness;
use super::session::Session;
use super::{Exit, Failure, Format, environment, print, repo_or_here, say};
use crate::evidence::{BROKEN, Bundle, verify};
use crate::model::{Code, Digest, Finding};
use crate::render::{escape, findings};

/// There is no such bundle.
const NO_BUNDLE: Code = Code { code: "RC711", title: "there is no such bundle of evidence" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NO_BUNDLE];

/// What a pipeline of GitLab says of itself, and nothing secret.
const PIPELINE: [&str; 13] = [
    "CI_COMMIT_REF_NAME",
    "CI_COMMIT_REF_PROTECTED",
    "CI_COMMIT_SHA",
    "CI_CONFIG_PATH",
    "CI_ENVIRONMENT_NAME",
    "CI_JOB_ID",
    "CI_JOB_URL",
    "CI_PIPELINE_ID",
    "CI_PIPELINE_SOURCE",
    "CI_PIPELINE_URL",
    "CI_PROJECT_PATH",
    "CI_RUNNER_ID",
    "GITLAB_USER_LOGIN",
];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that no bundle was altered, dropped or put elsewhere
    Verify {
        /// The access repo
        repo: Option<PathBuf>,
    },
    /// Show a bundle: who had what approved, what was done, and what was seen then
    Show {
        /// The number of a bundle, or the id of its plan; the last one unless given
        bundle: Option<String>,
        /// The access repo
        #[arg(long)]
        repo: Option<PathBuf>,
    },
}

/// Where an apply runs. The program's file is read only where what it did is real: its digest takes a while.
pub(super) fn witness(session: &Session) -> Witness {
    let told = PIPELINE.iter().filter_map(|name| Some(((*name).to_owned(), environment(name)?)));
    let binary = || std::env::current_exe().ok().and_then(|file| std::fs::read(file).ok());
    let binary = if session.simulated() { None } else { binary() };
    Witness {
        pipeline: told.collect::<BTreeMap<_, _>>(),
        binary: binary.map(|bytes| Digest::of_bytes(&bytes)),
    }
}

pub(super) fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::Verify { repo } => verified(&repo_or_here(repo.as_ref()), format),
        Command::Show { bundle, repo } => show(&repo_or_here(repo.as_ref()), bundle.as_deref(), format),
    }
}

fn verified(root: &std::path::Path, format: Format) -> Result<Exit, Failure> {
    let (memory, style) = super::journal::memory(root);
    let chain = memory.evidence()?;
    let mut found = verify(&chain);
    // The last bundle has none after it that would show that it was altered; base names the one that it rests on.
    if let Some((base, _)) = memory.standing()?
        && let Some(named) = &base.evidence
        && !chain.iter().any(|(_, bytes)| Digest::of_bytes(bytes) == *named)
    {
        let message = format!("the bundle that base rests on (plan `{}`) is not there as it was", base.plan);
        found.push(Finding::error(BROKEN, message).help("it was altered or dropped; compare it with a copy"));
    }
    // A crash between a bundle and its head leaves a head that is one behind; anything else was done by somebody.
    let digest = |at: usize| chain.get(at).map(|(_, bytes)| Digest::of_bytes(bytes).to_string());
    let as_it_was = match memory.evidence_head()? {
        Some((number, head)) => {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            let behind = chain.len().checked_sub(at);
            matches!(behind, Some(0 | 1)) && digest(at.wrapping_sub(1)).as_ref() == Some(&head)
        }
        None => chain.is_empty(),
    };
    if !as_it_was {
        let message = "the newest bundle is not the one that was written last";
        found.push(Finding::error(BROKEN, message).help("it was altered or dropped; compare it with a copy"));
    }
    match format {
        Format::Json => print(&findings::json(&found)),
        Format::Markdown => print(&findings::markdown(&found)),
        Format::Text if found.is_empty() => {}
        Format::Text => print(&findings::terminal(&found, &crate::model::Sources::default(), &style)),
    }
    if !found.is_empty() {
        return Ok(Exit::Error);
    }
    let bundles = if chain.len() == 1 { "1 bundle".to_owned() } else { format!("{} bundles", chain.len()) };
    say(&format!("{bundles}, each as it was and where it was\n"));
    Ok(Exit::Success)
}

fn show(root: &std::path::Path, wanted: Option<&str>, format: Format) -> Result<Exit, Failure> {
    let (memory, style) = super::journal::memory(root);
    let chain = memory.evidence()?;
    let is_it = |name: &str| {
        let Some(wanted) = wanted else { return true };
        let (number, plan) = name.split_once('-').unwrap_or((name, ""));
        number.trim_start_matches('0') == wanted || (!wanted.is_empty() && plan.starts_with(wanted))
    };
    let Some((name, bytes)) = chain.iter().rev().find(|(name, _)| is_it(name)) else {
        let message = match wanted {
            Some(wanted) => format!("there is no bundle of evidence `{wanted}`"),
            None => "there is no evidence yet".to_owned(),
        };
        let finding = Finding::error(NO_BUNDLE, message);
        return Err(finding.help(format!("each apply leaves one; there are {}", chain.len())).into());
    };
    if format == Format::Json {
        print(&String::from_utf8_lossy(bytes));
        return Ok(Exit::Success);
    }
    let bundle: Bundle = serde_json::from_slice(bytes)
        .map_err(|error| Finding::error(BROKEN, format!("`{name}` is no bundle: {error}")))?;
    let safe: fn(&str) -> String = match format {
        Format::Markdown => escape::markdown,
        _ => |text| escape::visible(text).into_owned(),
    };
    print(&text(&bundle, &style.zone, safe, if format == Format::Markdown { "  \n" } else { "\n" }));
    Ok(Exit::Success)
}

fn text(bundle: &Bundle, zone: &jiff::tz::TimeZone, safe: fn(&str) -> String, end: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = write!(out, "{key:<12}{}{end}", safe(value));
    };
    let at = |time: Option<jiff::Timestamp>| {
        time.map_or("unknown".to_owned(), |time| crate::render::time(time, zone))
    };
    line("bundle", &format!("{} of plan {}", bundle.number, bundle.applied.plan));
    line("by", &bundle.tool.version);
    line("effect", bundle.applied.effect.as_str());
    line("approved", &bundle.approval.text);
    if let Some(commit) = &bundle.applied.commit {
        line("commit", commit);
    }
    line("began", &at(bundle.run.began));
    line("ended", &at(bundle.run.ended));
    for (instance, principal) in &bundle.run.principals {
        line("as", &format!("{instance}: {principal}"));
    }
    for (name, value) in &bundle.run.pipeline {
        line("pipeline", &format!("{name}={value}"));
    }
    for waived in &bundle.waived {
        line("waived", &format!("{} ({}), {}: {}", waived.name, waived.code, waived.owner, waived.reason));
    }
    for step in &bundle.steps {
        let request = step.request_id.as_ref().map(|id| format!(" [request {id}]")).unwrap_or_default();
        let cause = bundle.changes.iter().find(|change| change.effect == step.effect);
        let why = cause
            .map(|change| format!(": {} ({})", change.reason.text, change.reason.span))
            .unwrap_or_default();
        line(&step.state.to_string(), &format!("{} {}{request}{why}", step.op, step.target));
    }
    for held in &bundle.held {
        line("held", &format!("{} {}: {} ({})", held.change.op, held.change.target(), held.text, held.why));
    }
    for left in &bundle.verification.left {
        line("left", left);
    }
    let seen = &bundle.verification;
    let converged =
        if seen.converged { "verified: nothing was left" } else { "not verified: something was left" };
    let population = seen
        .population
        .as_ref()
        .map(|all| format!("; {} principals had {} edges", all.principals, all.edges));
    line("then", &format!("{converged}{}", population.unwrap_or_default()));
    out
}
