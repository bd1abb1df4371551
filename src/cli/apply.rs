//! `rolecall apply`: carries out a plan that was approved, and tells what is left.
//!
//! Invariant: it plans again first, and writes nothing unless every effect of that is approved; base advances only when
//! a fresh plan has no change left.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use super::session::{Options, Planned, Session};
use super::{Exit, Failure, Format, print, repo_or_here, say, style};
use crate::apply::executor::{self, Run};
use crate::apply::journal::{Journal, Lock};
use crate::apply::memory::{BaseRecord, Verified, read_plan};
use crate::apply::{self, approve};
use crate::model::report::State;
use crate::model::{Approval, Code, Finding, Plan, Report};
use crate::planner;
use crate::render::{Style, json, terminal};

/// The plan cannot be applied any more.
const STALE: Code = Code { code: "RC601", title: "the plan is stale" };
/// Nobody approved it.
const NOT_APPROVED: Code = Code { code: "RC602", title: "the plan is not approved" };
/// The work tree has changes that Git does not have.
const DIRTY: Code = Code { code: "RC603", title: "the work tree is not committed" };

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plan: a plan.json; the last one made unless given
    plan: Option<PathBuf>,
    /// The access repo
    repo: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Approve these effects as the operator: the digest that the plan ends with
    #[arg(long, value_name = "EFFECT")]
    approve: Option<String>,
    /// Write the report to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Arguments {
    /// A single argument that is an access repo is REPO: `rolecall apply examples/acme`.
    fn places(&self) -> (Option<&Path>, PathBuf) {
        match (&self.plan, &self.repo) {
            (Some(only), None) if only.is_dir() => (None, only.clone()),
            (plan, repo) => (plan.as_deref(), repo_or_here(repo.as_ref())),
        }
    }
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let (file, repo) = arguments.places();
    let session = Session::open(Options { repo: repo.clone(), ..Options::default() }).await?;
    let approved = match file {
        Some(file) => read_plan(file)?,
        None => session.memory.last_plan()?,
    };
    let lock = Lock::take(&session.memory.lock(), session.clock.as_ref())?;
    let mut journal =
        Journal::open(&session.memory.journal(&approved.id), &approved, session.clock.as_ref())?;
    let fresh = session.plan().await?;
    let cleared = approve::reconcile(
        &approved,
        &fresh.plan,
        session.clock.now(),
        journal.finished(),
        journal.is_open(),
    )
    .map_err(|stale| stale_failure(&approved, &stale.reasons))?;
    let approval = approval(arguments, &session, &approved, &repo)?;
    let style = Style { timezone: session.head.settings.timezone.clone(), ..style(false) };
    if !arguments.yes && !confirmed(&approved, &fresh.plan, &session, &style)? {
        say("nothing was changed\n");
        return Ok(Exit::Success);
    }
    let permit = apply::permit(fresh.verdict.clone(), approval);
    let steps = executor::execute(Run {
        plan: &fresh.plan,
        cleared: &cleared,
        permit: &permit,
        live: &fresh.live,
        providers: &session.providers,
        clock: session.clock.as_ref(),
        journal: &mut journal,
        stop: &stop_flag(),
    })
    .await?;
    let after = session.plan().await?;
    let report = conclude(&session, &approved, &fresh, after, steps, &permit, &mut journal)?;
    match format {
        Format::Json => print(&json::report(&report)),
        Format::Text | Format::Markdown => print(&terminal::report(&report, &style)),
    }
    if let Some(file) = &arguments.report {
        std::fs::write(file, json::report(&report)).map_err(|error| {
            Finding::error(
                super::repo::UNREADABLE,
                format!("`{}` cannot be written: {error}", file.display()),
            )
        })?;
    }
    drop(lock);
    session.close()?;
    Ok(if report.converged { Exit::Success } else { Exit::Error })
}
