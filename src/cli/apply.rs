//! `rolecall apply`: carries out a plan that was approved, and tells what is left.
//!
//! Invariant: it asks before it lets anything be written, and prints what became of it. It must not carry out anything
//! itself: [`carry_out`] does, without a terminal or a file of the access repo.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::progress::Shown;
use super::review::Inquiry;
use super::session::{Options, Session};
use super::{Exit, Failure, Format, environment, pipeline, print, repo, repo_or_here, say, style};
use crate::apply::executor::Stop;
use crate::apply::memory::{FORGED, Memory, read_plan};
use crate::model::{Approval, Code, Finding, Held, Plan, Selection, Sources, Why};
use crate::render::terminal::Style;
use crate::render::{findings, json, terminal};

mod carry_out;

pub(super) use carry_out::{
    Order, Witness, Witnessed, Word, carry_out, conclude, exit, keep_evidence, settled, word,
};

/// The work tree has changes that Git does not have.
const DIRTY: Code = Code { code: "RC620", title: "the work tree is not committed" };
/// There is no terminal to ask on.
pub(super) const NOBODY_TO_ASK: Code = Code { code: "RC621", title: "there is nobody to ask" };

/// The plan is for another time.
const OTHER_TIME: Code = Code { code: "RC622", title: "the plan is for another time" };

/// A plan is named where none is taken.
const NOT_A_REPO: Code = Code { code: "RC623", title: "a plan is named where none is taken" };
/// The plan rests on a directory that is not there.
const OTHER_DIRECTORY: Code = Code { code: "RC624", title: "the plan is for another directory" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[DIRTY, NOBODY_TO_ASK, OTHER_TIME, OTHER_DIRECTORY, NOT_A_REPO];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Approve these effects as the operator: the digest that the plan ends with
    #[arg(long, value_name = "EFFECT")]
    approve: Option<String>,
    /// Approve by signed statements: a file that `rolecall approve` wrote. Each counts for whoever signed it
    #[arg(long, value_name = "FILE", conflicts_with = "standing")]
    approval: Vec<PathBuf>,
    /// Plan now, and carry out the standing changes alone: people and time moved under rules that were approved
    #[arg(long, conflicts_with = "approve")]
    standing: bool,
    /// Write the report to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Which plan, and of which access repo.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// The plan: a plan.json; the last one made unless given
    plan: Option<PathBuf>,
    /// The access repo
    repo: Option<PathBuf>,
}

impl Chosen {
    /// The access repo. A single argument that is one is REPO: `rolecall apply examples/acme`.
    pub(super) fn repo(&self) -> PathBuf {
        match (&self.plan, &self.repo) {
            (Some(only), None) if only.is_dir() => only.clone(),
            (_, repo) => repo_or_here(repo.as_ref()),
        }
    }

    /// Whether a plan is named.
    fn names_a_plan(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| self.repo.is_some() || !plan.is_dir())
    }

    /// The plan. One that was changed is one that nobody approved.
    pub(super) fn plan(&self, memory: &Memory) -> Result<Plan, Failure> {
        let read = match &self.plan {
            Some(file) if self.names_a_plan() => read_plan(file),
            _ => memory.last_plan(),
        };
        read.map_err(|finding| {
            let exit = if finding.code.as_ref() == FORGED.code { Exit::Stale } else { Exit::Error };
            Failure::from(finding).exit(exit)
        })
    }
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let repo = arguments.chosen.repo();
    pipeline::may_apply(&repo, &environment)?;
    let (mut session, approved, inquiry) = if arguments.standing {
        if arguments.chosen.names_a_plan() {
            let finding = Finding::error(NOT_A_REPO, "`--standing` makes its own plan, and takes no other");
            return Err(finding.help("name the access repo alone, or leave `--standing` out").into());
        }
        let (session, plan) = standing(&repo).await?;
        if !has_work(&session, &plan) {
            session.close()?;
            say("nothing to do by itself\n");
            return Ok(Exit::Success);
        }
        // What is denied is told, whatever else there is to do: a feed that reports everybody as gone is no quiet night.
        if plan.changes.is_empty() && plan.held.iter().any(|held| held.why.denies()) {
            let style = Style { zone: session.head.settings.timezone.clone(), ..style(false) };
            match format {
                Format::Json => print(&json::plan(&plan)),
                Format::Text | Format::Markdown => {
                    print(&terminal::plan(&plan, &session.head.sources, &style));
                }
            }
            session.close()?;
            return Ok(Exit::Denied);
        }
        session.memory.keep_plan(&plan)?;
        (session, plan, None)
    } else {
        let session = Session::open(Options { repo: repo.clone(), ..Options::default() }).await?;
        let approved = arguments.chosen.plan(&session.memory)?;
        let inquiry = Inquiry::open(&session, &arguments.approval, &environment)?;
        if let Some(advice) = pipeline::advice(&environment) {
            say(&findings::terminal(&[advice], &Sources::default(), &super::style(true)));
        }
        (session, approved, inquiry)
    };
    let style = Style { zone: session.head.settings.timezone.clone(), ..style(false) };
    let word = if arguments.standing {
        Word::Is(Approval::Standing)
    } else {
        word(&session, &approved, arguments.approve.as_deref(), inquiry.as_ref())?
    };
    committed(&session, &repo)?;
    let stop = Arc::new(Stop::default());
    let confirm = |plan: &Plan, sources: &Sources| {
        // What is standing was approved with its rule.
        let yes = arguments.yes || arguments.standing || confirmed(plan, sources, &style)?;
        // Until here there is nothing to finish, and a signal ends the process as it always does.
        if yes {
            on_signal(stop.clone(), "`rolecall apply` with the same plan");
        }
        Ok(yes)
    };
    let shown = Shown::on_stderr(session.clock.clone());
    let witness = Some(super::evidence::witness(&session));
    let order =
        Order { approved: &approved, word, confirm: &confirm, stop: &stop, progress: &shown, witness };
    let carried_out = carry_out(&mut session, order).await;
    drop(shown);
    let Some(report) = carried_out? else {
        say("nothing was changed\n");
        return Ok(Exit::Success);
    };
    match format {
        Format::Json => print(&json::report(&report)),
        Format::Text | Format::Markdown => print(&terminal::report(&report, &style)),
    }
    if let Some(file) = &arguments.report {
        std::fs::write(file, json::report(&report)).map_err(|error| {
            let message = format!("`{}` cannot be written: {error}", file.display());
            Finding::error(repo::UNREADABLE, message).help("name a file that can be written")
        })?;
    }
    session.close()?;
    Ok(exit(&report))
}

/// The standing changes of now. Where head cannot be planned, because a file is broken or a rule went wrong before it was
/// applied, base's files serve: whoever has left must not keep what he has for that.
async fn standing(repo: &Path) -> Result<(Session, Plan), Failure> {
    let selection = Selection { standing: true, ..Selection::default() };
    let planned = async {
        let options =
            Options { repo: repo.to_path_buf(), selection: selection.clone(), ..Options::default() };
        let session = Session::open(options).await?;
        let plan = session.in_its_time(session.plan()).await?.plan;
        Ok::<_, Failure>((session, plan))
    };
    let failure = match planned.await {
        Ok(planned) => return Ok(planned),
        Err(failure) => failure,
    };
    let Some(session) = super::contain::at_base(repo, selection).await? else { return Err(failure) };
    let Ok(planned) = session.in_its_time(session.plan()).await else { return Err(failure) };
    say(&findings::terminal(&failure.findings, &failure.sources, &style(true)));
    say("what is in the files cannot be planned; what was applied last serves in its place\n");
    Ok((session, planned.plan))
}

/// Whether a standing run has something to do, or to remember: a mover's handover and a session begin with the run that
/// first sees them.
fn has_work(session: &Session, plan: &Plan) -> bool {
    let begins = |held: &Held| {
        held.why == Why::Pending
            && session.demand_of(&held.change).is_none_or(|demand| demand.since.is_none())
    };
    !plan.changes.is_empty()
        || plan.held.iter().any(|held| held.why.denies() || begins(held))
        || session.has_sessions_that_never_began()
}

/// What is applied to real providers must be what Git has, so that it can be looked up later.
fn committed(session: &Session, repo: &Path) -> Result<(), Failure> {
    if session.simulated() {
        return Ok(());
    }
    let head = &session.head;
    let message = match repo::uncommitted(repo, &head.sources, &head.settings.manifests) {
        Some(names) if names.is_empty() => return Ok(()),
        Some(names) => format!("these are not as they were committed: `{}`", names.join("`, `")),
        None => "the access repo is not in Git, or has no commit".to_owned(),
    };
    let help = "commit first: only what Git has is applied to what is not simulated";
    Err(Failure::from(Finding::error(DIRTY, message).help(help)).exit(Exit::Stale))
}

/// Shows the plan and asks; without a terminal `--yes` must say it.
fn confirmed(plan: &Plan, sources: &Sources, style: &Style) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let help = "say `--yes`; the plan says what will be done";
        return Err(Finding::error(NOBODY_TO_ASK, "there is no terminal to ask on").help(help).into());
    }
    print(&terminal::plan(plan, sources, style));
    say(&format!("apply these {} changes? only `yes` is taken as yes: ", plan.changes.len()));
    let mut answer = String::new();
    // An input that ends, or cannot be read, is no yes.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(answer.trim() == "yes")
}

/// From now on the first signal to end asks the run to stop: what is in flight is finished, the rest is not begun. The
/// second ends it at once, which the journal survives as it would a crash.
pub(super) fn on_signal(stop: Arc<Stop>, again: &'static str) {
    // Where the system does not tell of signals, they end the process as they always do.
    let (Ok(mut interrupted), Ok(mut terminated)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
            if first {
                stop.ask();
                say(&format!("\nfinishing what is in flight; {again} goes on from there\n"));
            }
        }
        say(&format!("\nended at once; {again} looks at what was in flight, and goes on\n"));
        #[expect(clippy::disallowed_methods, reason = "whoever asks twice wants nothing more to be done")]
        std::process::exit(1);
    });
}
