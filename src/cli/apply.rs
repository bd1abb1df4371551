//! `rolecall apply`: carries out a plan that was approved, and tells what is left.
//!
//! Invariant: it plans again first, and writes nothing unless every effect of that is approved; base advances only when
//! a fresh plan has no change left.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::session::{Options, Planned, Session};
use super::{Exit, Failure, Format, print, repo, repo_or_here, say, style};
use crate::apply::approve;
use crate::apply::executor::{self, Run, Silent, Stop};
use crate::apply::journal::{History, Journal, Lock};
use crate::apply::memory::{BaseRecord, FORGED, Verified, read_plan};
use crate::model::report::State;
use crate::model::{Approval, Change, Code, DemandState, Digest, Finding, Plan, Report, Snapshot};
use crate::planner;
use crate::provider::Provider;
use crate::render::terminal::Style;
use crate::render::{json, terminal};

/// The work tree has changes that Git does not have.
const DIRTY: Code = Code { code: "RC620", title: "the work tree is not committed" };
/// There is no terminal to ask on.
const NOBODY_TO_ASK: Code = Code { code: "RC621", title: "there is nobody to ask" };

/// The plan is for another time.
const OTHER_TIME: Code = Code { code: "RC622", title: "the plan is for another time" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[DIRTY, NOBODY_TO_ASK, OTHER_TIME];

/// The last of the waits for what was written to be seen: 31 seconds in all.
const LONGEST_WAIT: Duration = Duration::from_secs(16);

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
    let mut session = Session::open(Options { repo, ..Options::default() }).await?;
    let approved = match file {
        Some(file) => read_plan(file),
        None => session.memory.last_plan(),
    }
    .map_err(|finding| {
        // A plan that was changed is one that nobody approved.
        let exit = if finding.code.as_ref() == FORGED.code { Exit::Stale } else { Exit::Error };
        Failure::from(finding).exit(exit)
    })?;
    if approved.selection.at.is_some() {
        let finding = Finding::error(OTHER_TIME, format!("plan `{}` is for another time", approved.id));
        return Err(Failure::from(finding.help("plan without `--at`")).exit(Exit::Stale));
    }
    session.options.selection = approved.selection.clone();
    let settings = session.judging();
    let approval = approve::approval(&approved, settings.approvals.operator, arguments.approve.as_deref())
        .map_err(|finding| Failure::from(finding).exit(Exit::Stale))?;
    // With no approval of its own, what is queued stays queued.
    if approval != Approval::Standing {
        session.options.approved = approved.effects.iter().cloned().collect();
    }
    committed(&session)?;
    let now = session.clock.now();
    let lock = Lock::take(&session.memory.lock()?, "rolecall apply", now)?;
    session.still_verified()?;
    let path = session.memory.journal(&approved.id)?;
    // Only a run that began to write left something half done.
    let begun =
        History::read(&path)?.is_some_and(|history| history.is_open() && !history.states().is_empty());
    let mut journal = Journal::open(&path, &approved, now, &lock)?;
    let fresh = session.plan().await?;
    let cleared = {
        let finished = journal.history().is_finished();
        approve::reconcile(&approved, &fresh.plan, &fresh.live, session.clock.now(), finished, begun)
            .map_err(|stale| Failure::from(stale.reasons).exit(Exit::Stale))?
    };
    let permit = cleared
        .permit(fresh.verdict.clone(), approval)
        .map_err(|finding| Failure::from(finding).exit(Exit::Stale))?;
    let style = Style { zone: session.head.settings.timezone.clone(), ..style(false) };
    if !arguments.yes && !confirmed(&fresh.plan, &session, &style)? {
        say("nothing was changed\n");
        return Ok(Exit::Success);
    }
    let providers: Vec<&dyn Provider> = session.providers.values().map(AsRef::as_ref).collect();
    let mut report = executor::execute(Run {
        cleared: &cleared,
        permit: &permit,
        providers: &providers,
        live: &fresh.live,
        observed: fresh.plan.created,
        clock: session.clock.as_ref(),
        journal: &mut journal,
        stop: &on_signal(),
        progress: &Silent,
    })
    .await;
    let after = settled(&session, &report).await?;
    conclude(&session, &mut report, &after);
    remember(&session, &approved, &fresh, &after, &report)?;
    if report.converged {
        journal.finish(session.clock.now(), &approved)?;
    }
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
    Ok(if !report.converged {
        Exit::Error
    } else if report.held.iter().any(|held| held.why.denies()) {
        Exit::Denied
    } else {
        Exit::Success
    })
}

/// Looks again, and for a while again and again where what was written is not seen yet: IAM takes seconds to show it.
async fn settled(session: &Session, report: &Report) -> Result<Planned, Failure> {
    let done: BTreeSet<&Digest> =
        report.steps.iter().filter(|step| step.state == State::Done).map(|step| &step.effect).collect();
    let mut wait = Duration::from_secs(1);
    loop {
        let after = session.plan().await?;
        let unseen =
            after.plan.changes.iter().any(|change| change.op.writes() && done.contains(&change.effect));
        if !unseen || wait > LONGEST_WAIT {
            return Ok(after);
        }
        session.clock.sleep(wait).await;
        wait *= 2;
    }
}

/// What is applied to real providers must be what Git has, so that it can be looked up later.
fn committed(session: &Session) -> Result<(), Failure> {
    if session.simulated() {
        return Ok(());
    }
    let head = &session.head;
    let message = match repo::uncommitted(&session.options.repo, &head.sources, &head.settings.manifests) {
        Some(names) if names.is_empty() => return Ok(()),
        Some(names) => format!("these are not as they were committed: `{}`", names.join("`, `")),
        None => "the access repo is not in Git, or has no commit".to_owned(),
    };
    let help = "commit first: only what Git has is applied to what is not simulated";
    Err(Failure::from(Finding::error(DIRTY, message).help(help)).exit(Exit::Stale))
}

/// Shows the plan and asks; without a terminal `--yes` must say it.
fn confirmed(plan: &Plan, session: &Session, style: &Style) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let help = "say `--yes`; the plan says what will be done";
        return Err(Finding::error(NOBODY_TO_ASK, "there is no terminal to ask on").help(help).into());
    }
    print(&terminal::plan(plan, &session.head.sources, style));
    say(&format!("apply these {} changes? only `yes` is taken as yes: ", plan.changes.len()));
    let mut answer = String::new();
    // An input that ends, or cannot be read, is no yes.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(answer.trim() == "yes")
}

/// A flag that the first signal to end sets: what is in flight is finished, the rest is not begun.
fn on_signal() -> Arc<Stop> {
    let stop = Arc::new(Stop::default());
    let flag = stop.clone();
    tokio::spawn(async move {
        let terminated = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut signal) => signal.recv().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated => {}
        }
        flag.ask();
        say("finishing what is in flight; apply the same plan again to go on\n");
    });
    stop
}

/// What a fresh look says about the end.
fn conclude(session: &Session, report: &mut Report, after: &Planned) {
    report.left =
        after.plan.changes.iter().map(|change| format!("{} {}", change.op, change.target())).collect();
    if !session.options.selection.only.is_empty() {
        report.left.push("whatever `--only` left out: plan again to see it".to_owned());
    }
    report.held = after.plan.held.clone();
    report.drift = after.plan.drift.clone();
    report.converged = after.plan.changes.iter().all(|change: &Change| !change.op.writes());
    report.calls = session.providers.values().map(|provider| provider.calls()).sum();
}

/// Remembers what is demanded; makes head the base of what comes next where all of it is true.
fn remember(
    session: &Session,
    approved: &Plan,
    fresh: &Planned,
    after: &Planned,
    report: &Report,
) -> Result<(), Failure> {
    let states = report.steps.iter().filter_map(|step| match step.state {
        State::Done | State::Already => None,
        State::Pending => Some((step.effect.clone(), DemandState::Pending)),
        State::Refused | State::Failed | State::Unknown | State::NotReached => {
            Some((step.effect.clone(), DemandState::Unfinished))
        }
    });
    let states = states.collect();
    let demand = planner::remember(
        &after.desired,
        session.demand(),
        &fresh.plan,
        &after.live,
        session.schemas(),
        &states,
    );
    // Base is what was applied whole: an apply that did not converge, or was limited, leaves it where it is. What it did
    // give is demanded from now on, so that nothing of it is taken for somebody else's.
    if !report.converged || !approved.selection.only.is_empty() {
        session.memory.keep_demand(&demand)?;
        return Ok(());
    }
    let snapshot = Snapshot { calls: std::collections::BTreeMap::new(), ..after.live.clone() };
    session.memory.advance(&Verified {
        sources: session.head.sources.clone(),
        base: BaseRecord::new(session.commit(), &approved.id, session.clock.now()),
        demand: Some(demand),
        snapshot: Some(snapshot),
    })?;
    Ok(())
}
