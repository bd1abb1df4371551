//! `rolecall plan`: what would change, for whom, why, and how risky it is.
//!
//! Invariant: nothing is written to any provider: no writer can be made here.

use std::path::{Path, PathBuf};

use super::session::{Options, Session};
use super::when::When;
use super::{Exit, Failure, Format, environment, print, repo_or_here, style};
use crate::model::{Finding, Pattern, Plan, Ruling, Selection};
use crate::render::suggestions::suggestions;
use crate::render::terminal::Style;
use crate::render::{gitlab, html, json, markdown, terminal};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The access repo
    repo: Option<PathBuf>,
    /// Compare with this instead of the last verified apply: a Git revision, or a folder
    #[arg(long, value_name = "REV|DIR")]
    base: Option<String>,
    /// Write plan.json, plan.md, plan.html and GitLab's reports into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Plan only what these select: addresses, or patterns of them
    #[arg(long, value_name = "SELECTOR")]
    only: Vec<String>,
    /// Turn drift that these select into changes that put it back
    #[arg(long, value_name = "SELECTOR")]
    revert: Vec<String>,
    /// Plan as if it were this time: a day in the organization's zone, or a time with its offset
    #[arg(long, value_name = "TIME")]
    at: Option<When>,
    /// Rehearse a reorganization: lay this CSV or JSON file over the directory; such a plan cannot be applied
    #[arg(long, value_name = "FILE")]
    directory: Option<PathBuf>,
    /// Exit with 2 where there are changes and with 3 where the gate denies
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let planned = plan(arguments, format).await;
    // Why there is no plan is for the merge request to say, too.
    if let (Err(failure), Some(folder)) = (&planned, &arguments.out) {
        let prefix = super::repo::prefix(&repo_or_here(arguments.repo.as_ref()));
        let suggestions = suggestions(&failure.findings, &failure.sources, &prefix);
        let text = json::checked(&failure.findings, &suggestions);
        // The failure itself is told whatever becomes of this.
        let _ =
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(folder.join("findings.json"), text));
    }
    planned
}

async fn plan(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let patterns = |texts: &[String]| texts.iter().map(Pattern::new).collect();
    let mut session = Session::open(Options {
        repo: repo_or_here(arguments.repo.as_ref()),
        base: arguments.base.clone(),
        selection: Selection {
            only: patterns(&arguments.only),
            revert: patterns(&arguments.revert),
            ..Selection::default()
        },
        ..Options::default()
    })
    .await?;
    session.selection.at = arguments.at.map(|when| when.in_zone(&session.head.settings.timezone));
    if let Some(file) = &arguments.directory {
        session.rehearse_directory(file)?;
    }
    let planned = session.in_its_time(session.plan()).await?;
    let plan = &planned.plan;
    // What does not rest on what is so now is for reading only: it must not become the last plan, which `apply` takes.
    if !plan.selection.is_rehearsed() {
        session.memory.save_plan(plan)?;
    }
    let style = Style { zone: session.head.settings.timezone.clone(), ..style(false) };
    if let Some(folder) = &arguments.out {
        let prefix = super::repo::prefix(&repo_or_here(arguments.repo.as_ref()));
        let suggestions = suggestions(&plan.findings, &session.head.sources, &prefix);
        let checked = json::checked(&plan.findings, &suggestions);
        write(folder, plan, checked, &style, environment("CI_JOB_URL").as_deref()).map_err(|error| {
            Finding::error(
                super::repo::UNREADABLE,
                format!("`{}` cannot be written: {error}", folder.display()),
            )
            .help("name a folder that can be written")
        })?;
    }
    match format {
        Format::Text => print(&terminal::plan(plan, &session.head.sources, &style)),
        Format::Markdown => print(&markdown::plan(plan, &style.zone)),
        Format::Json => print(&json::plan(plan)),
    }
    let exit = match (arguments.detailed_exitcode, plan.verdict) {
        (true, Ruling::Denied) => Exit::Denied,
        (true, Ruling::Allowed) if !plan.changes.is_empty() => Exit::Changes,
        _ => Exit::Success,
    };
    session.close()?;
    Ok(exit)
}

fn write(
    folder: &Path,
    plan: &Plan,
    checked: String,
    style: &Style,
    job: Option<&str>,
) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, text) in [
        ("plan.json", json::plan(plan)),
        ("findings.json", checked),
        ("plan.md", markdown::plan(plan, &style.zone)),
        ("plan.html", html::plan(plan, &style.zone)),
        ("terraform.json", gitlab::terraform(plan)),
        ("codequality.json", gitlab::codequality(&plan.findings)),
        ("junit.xml", gitlab::junit(&plan.findings)),
    ] {
        std::fs::write(folder.join(name), text)?;
    }
    // Where this is a job, the plan can be read among what it leaves.
    if let (Some(job), Some(name)) = (job, folder.to_str().filter(|_| folder.is_relative())) {
        std::fs::write(
            folder.join("annotations.json"),
            gitlab::annotations(job, &format!("{name}/plan.html")),
        )?;
    }
    Ok(())
}
