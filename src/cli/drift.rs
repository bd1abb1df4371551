//! `rolecall drift`: what was changed behind Git's back, apart from what is held or pending; and taking it over.
//!
//! Invariant: nothing is written to any provider. It must not fail for a chat that does not answer.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::session::{Options, Session};
use super::{Exit, Failure, Format, environment, print, repo, repo_or_here, say, style};
use crate::model::{Finding, Plan, Risk};
use crate::render::terminal::Style;
use crate::render::{issue, json, markdown, metrics, terminal};

mod accept;
mod post;

/// All codes of this module.
pub(super) const CODES: &[crate::model::Code] = &[accept::NO_DRIFT, accept::NOT_SAID, post::UNPOSTED];

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The access repo
    repo: Option<PathBuf>,
    /// Exit with 2 only for drift of at least this risk
    #[arg(long, value_name = "RISK", value_parser = risk, default_value = "low")]
    fail_on: Risk,
    /// Write drift.md, drift.json and issues.json, an issue for each provider, into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write counts and times to this file, in the text format of Prometheus
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Tell a chat of drift of at least that risk: an https address that takes Slack's webhooks
    #[arg(long, value_name = "URL", env = "ROLECALL_WEBHOOK", hide_env_values = true)]
    webhook: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write into the YAML what somebody did by hand, to be reviewed like a request
    Accept(accept::Arguments),
}

fn risk(text: &str) -> Result<Risk, String> {
    match text {
        "low" => Ok(Risk::Low),
        "medium" => Ok(Risk::Medium),
        "high" => Ok(Risk::High),
        _ => Err("it is `low`, `medium` or `high`".to_owned()),
    }
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    if let Some(Command::Accept(accept)) = &arguments.command {
        return accept::run(accept, format).await;
    }
    let repo = repo_or_here(arguments.repo.as_ref());
    let session = Session::open(Options { repo, ..Options::default() }).await?;
    let plan = session.in_its_time(session.plan()).await?.plan;
    let style = Style { zone: session.head.settings.timezone.clone(), ..style(false) };
    match format {
        Format::Text => print(&terminal::drift(&plan, &style)),
        Format::Markdown => print(&markdown::drift(&plan)),
        Format::Json => print(&json::drift(&plan)),
    }
    if let Some(folder) = &arguments.out {
        write(folder, &plan).map_err(|error| unwritable(folder, &error))?;
    }
    if let Some(file) = &arguments.metrics {
        let applied = session.memory.standing()?.map(|(base, _)| base.at);
        replace(file, &metrics::metrics(&plan, applied)).map_err(|error| unwritable(file, &error))?;
    }
    let drifted = plan.drift.iter().any(|drift| drift.change.risk >= arguments.fail_on);
    if let Some(url) = arguments.webhook.as_deref().filter(|_| drifted) {
        let link = environment("CI_JOB_URL");
        let told = crate::render::chat::drift(&plan, &session.head.settings.organization, link.as_deref());
        if let Err(warning) = post::post(url, told).await {
            say(&format!("{warning}\n"));
        }
    }
    session.close()?;
    Ok(if drifted { Exit::Changes } else { Exit::Success })
}

fn unwritable(path: &Path, error: &std::io::Error) -> Finding {
    Finding::error(repo::UNREADABLE, format!("`{}` cannot be written: {error}", path.display()))
        .help("name a place that can be written")
}

fn write(folder: &Path, plan: &Plan) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("drift.md"), markdown::drift(plan))?;
    std::fs::write(folder.join("drift.json"), json::drift(plan))?;
    std::fs::write(folder.join("issues.json"), json::issues(&issue::issues(plan), plan.complete))
}

/// Puts a file in the place of another at once: a collector must not read half of one.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut written = std::fs::File::create(&new)?;
    written.write_all(text.as_bytes())?;
    std::fs::rename(&new, file)
}
