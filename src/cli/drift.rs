//! `rolecall drift`: what was changed behind Git's back, apart from what is held or pending.

use std::path::PathBuf;

use super::session::{Options, Session};
use super::{Exit, Failure, Format, print, repo_or_here, style};
use crate::model::Risk;
use crate::render::terminal::Style;
use crate::render::{json, markdown, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The access repo
    repo: Option<PathBuf>,
    /// Exit with 2 only for drift of at least this risk
    #[arg(long, value_name = "RISK", value_parser = risk, default_value = "low")]
    fail_on: Risk,
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
    let repo = repo_or_here(arguments.repo.as_ref());
    let session = Session::open(Options { repo, ..Options::default() }).await?;
    let plan = session.in_its_time(session.plan()).await?.plan;
    let style = Style { zone: session.head.settings.timezone.clone(), ..style(false) };
    match format {
        Format::Text => print(&terminal::drift(&plan, &style)),
        Format::Markdown => print(&markdown::drift(&plan)),
        Format::Json => print(&json::drift(&plan)),
    }
    session.close()?;
    let drifted = plan.drift.iter().any(|drift| drift.change.risk >= arguments.fail_on);
    Ok(if drifted { Exit::Changes } else { Exit::Success })
}
