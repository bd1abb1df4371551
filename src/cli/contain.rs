//! `rolecall contain`: takes everything away from one person, now, and writes the `Suspension` that keeps it so.
//!
//! Invariant: it has leave for a plan that only takes away from that person, and for no other; a tree that cannot be loaded
//! is no reason to wait, since base is as good for that. It must not move base, nor give anything.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::apply::{NOBODY_TO_ASK, Witnessed, conclude, exit, keep_evidence, on_signal, settled};
use super::progress::Shown;
use super::session::{CONTAIN_CODES, Parts, Planned, Session, load, load_sources, open_world, trust};
use super::{Exit, Failure, Format, environment, print, repo, repo_or_here, say, style};
use crate::apply::approve;
use crate::apply::executor::{self, Run, Stop};
use crate::apply::journal::{Journal, Lock};
use crate::apply::memory::{Memory, USUAL};
use crate::manifest::{self, Tree};
use crate::model::report::State;
use crate::model::{
    Address, Approval, Change, Code, Coverage, Finding, GrantKey, Level, Name, Op, Plan, Registry, Report,
    Selection, Why,
};
use crate::provider::Provider;
use crate::providers;
use crate::render::terminal::Style;
use crate::render::{findings, json, terminal};
use crate::simulator::Simulator;

mod suspension;

/// All codes of this command.
pub(super) const CODES: &[Code] =
    &[CONTAIN_CODES[0], CONTAIN_CODES[1], CONTAIN_CODES[2], suspension::BAD_REASON, suspension::NOT_WRITTEN];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The person's handle
    handle: String,
    /// The access repo
    repo: Option<PathBuf>,
    /// Why, and the ticket: it goes into the suspension
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Write the report to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let root = repo_or_here(arguments.repo.as_ref());
    let handle = arguments.handle.strip_prefix("person:").unwrap_or(&arguments.handle);
    if let Some(reason) = &arguments.reason {
        suspension::check(reason)?;
    }
    let (mut session, broken) = open(&root, handle).await?;
    if let Some(broken) = broken {
        say(&findings::terminal(&broken.findings, &broken.sources, &style(true)));
        say("the tree cannot be loaded, so this rests on what was applied last, as the memory has it\n");
    }
    let reason =
        arguments.reason.clone().unwrap_or_else(|| format!("contained at {:.0}", session.clock.now()));
    let suspended = session.suspend(&reason);
    let style = Style { zone: session.head.settings.timezone.clone(), ..style(false) };
    let stop = Arc::new(Stop::default());
    let confirm = |plan: &Plan| {
        let yes = arguments.yes || confirmed(plan, handle, &session, &style)?;
        if yes {
            on_signal(stop.clone(), "`rolecall contain`");
        }
        Ok(yes)
    };
    let contained = session.in_its_time(contain(&session, &confirm, &stop)).await?;
    let Some(Contained { report, told }) = contained else {
        say("nothing was changed\n");
        return Ok(Exit::Success);
    };
    match format {
        Format::Json => print(&json::report(&report)),
        Format::Text | Format::Markdown => print(&terminal::containment(&report, handle, &style)),
    }
    say(&findings::terminal(&told, &session.head.sources, &super::style(true)));
    if let Some(file) = &arguments.report {
        std::fs::write(file, json::report(&report)).map_err(|error| {
            let message = format!("`{}` cannot be written: {error}", file.display());
            Finding::error(repo::UNREADABLE, message).help("name a file that can be written")
        })?;
    }
    let ended = exit(&report);
    if suspended {
        say("his suspension is in the files already\n");
    } else if report.steps.is_empty() && ended == Exit::Denied {
        say("no suspension is written: it would be held like all of this\n");
    } else {
        suspension::write(&root, &session.head, handle, &reason)?;
    }
    session.close()?;
    Ok(ended)
}

/// A session for a containment. Where the tree cannot be loaded, head is base, and what is wrong is handed on.
async fn open(root: &Path, handle: &str) -> Result<(Session, Option<Failure>), Failure> {
    let registry = providers::registry();
    let (head, broken) = match load(root, &registry) {
        Ok(head) => (head, None),
        Err(broken) => match remembered(root, &registry)? {
            Some(base) => (base, Some(broken)),
            None => return Err(broken),
        },
    };
    let selection = Selection { contain: Some(handle.into()), ..Selection::default() };
    Ok((over(root, head, selection, |_| Ok(repo::commit(root))).await?, broken))
}

/// A session in which base's files stand in for head's; `None` where there is no base.
pub(super) async fn at_base(root: &Path, selection: Selection) -> Result<Option<Session>, Failure> {
    let registry = providers::registry();
    let Some(head) = remembered(root, &registry)? else { return Ok(None) };
    let commit = |memory: &Memory| Ok(memory.standing()?.and_then(|(base, _)| base.commit));
    Ok(Some(over(root, head, selection, commit).await?))
}

/// A session over a tree that stands for head.
async fn over(
    root: &Path,
    head: Tree,
    selection: Selection,
    commit: impl FnOnce(&Memory) -> Result<Option<String>, Failure>,
) -> Result<Session, Failure> {
    trust::own_memory(root, &head.settings, &head.sources, &providers::registry())?;
    let world = head.settings.simulate.as_ref();
    let simulator = world.map(|world| open_world(root, &world.value, Simulator::open)).transpose()?;
    let memory = Memory::at(root.join(&head.settings.memory));
    Session::assemble(Parts {
        base: None,
        loaded: Vec::new(),
        commit: commit(&memory)?,
        memory,
        simulator,
        credentials: Arc::new(environment),
        selection,
        root: Some(root.to_path_buf()),
        head: Arc::new(head),
    })
    .await
}

/// Base's tree, from the memory that the settings name, as far as they can be read.
fn remembered(root: &Path, registry: &Registry) -> Result<Option<Tree>, Failure> {
    let settings = repo::read(root, |_| Vec::new()).ok();
    let settings = settings.and_then(|sources| manifest::load(&sources, registry).0);
    if let Some(tree) = &settings {
        trust::own_memory(root, &tree.settings, &tree.sources, registry)?;
    }
    let memory = settings.map_or_else(|| USUAL.to_owned(), |tree| tree.settings.memory);
    let sources = Memory::at(root.join(memory)).sources()?;
    sources.map(|sources| load_sources(&sources, registry)).transpose()
}

/// What came of it, and what there is to say besides.
struct Contained {
    report: Report,
    told: Vec<Finding>,
}

/// Plans, asks, takes away, and looks again; `None` where it was not confirmed.
async fn contain(
    session: &Session,
    confirm: &dyn Fn(&Plan) -> Result<bool, Failure>,
    stop: &Stop,
) -> Result<Option<Contained>, Failure> {
    let now = session.clock.now();
    let lock = Lock::take(&session.memory.lock(), "rolecall contain", now)?;
    session.still_verified()?;
    let observed = session.clock.now();
    let planned = session.plan().await?;
    let plan = &planned.plan;
    let person = session.person().unwrap_or_else(|| Address::person(""));
    let accounts = session.accounts(&planned.desired, &plan.findings);
    if plan.changes.is_empty() {
        let mut report = Report {
            plan: plan.id.clone(),
            effect: plan.effect.clone(),
            approval: Approval::Containment(person).to_string(),
            steps: Vec::new(),
            left: Vec::new(),
            held: Vec::new(),
            drift: Vec::new(),
            converged: false,
            calls: 0,
        };
        let told = end(session, &mut report, &planned);
        return Ok(Some(Contained { report, told }));
    }
    session.memory.keep_plan(plan)?;
    let mut journal = Journal::open(&session.memory.journal(&plan.id)?, plan, now, &lock)?;
    let begun = BTreeSet::new();
    let cleared = approve::reconcile(plan, plan, &planned.live, session.clock.now(), false, &begun)
        .map_err(|stale| Failure::from(stale.reasons).exit(Exit::Stale))?;
    let permit = cleared
        .containment(planned.verdict.clone(), &person, &accounts)
        .map_err(|finding| Failure::from(finding).exit(Exit::Stale))?;
    if !confirm(plan)? {
        return Ok(None);
    }
    let providers: Vec<&dyn Provider> = session.providers.values().map(AsRef::as_ref).collect();
    let shown = Shown::on_stderr(session.clock.clone());
    let mut report = executor::execute(Run {
        cleared: &cleared,
        permit: &permit,
        providers: &providers,
        live: &planned.live,
        observed,
        clock: session.clock.as_ref(),
        journal: &mut journal,
        stop,
        progress: &shown,
    })
    .await;
    drop(shown);
    // What was taken away is told whatever happens now.
    let after = match remember(session, plan, &report) {
        Ok(()) => settled(session, stop, &report, &journal.history().taken_away(), &BTreeSet::new()).await,
        Err(failure) => Err(failure),
    };
    let seen = after.as_ref().ok().map(|after| after.live.clone());
    let told = match after {
        Ok(after) => end(session, &mut report, &after),
        Err(failure) => {
            report.converged = false;
            let lines = failure.findings.iter().map(|finding| format!("not seen or not kept: {finding}"));
            report.left.extend(lines);
            plan.findings.clone()
        }
    };
    in_words(&mut report, plan);
    let approval = Approval::Containment(person);
    let witness = &super::evidence::witness(session);
    let witnessed = Witnessed { witness, approved: plan, fresh: plan, approval: &approval, began: observed };
    // What was taken away is told, and the suspension written, whatever becomes of the evidence.
    if let Err(failure) = keep_evidence(session, &witnessed, &report, seen.as_ref()) {
        report.left.extend(failure.findings.iter().map(|finding| format!("no evidence was kept: {finding}")));
        report.converged = false;
    }
    if report.converged {
        journal.finish(session.clock.now(), plan)?;
    }
    Ok(Some(Contained { report, told }))
}

/// What must not be given back or done again by itself.
fn remember(session: &Session, plan: &Plan, report: &Report) -> Result<(), Failure> {
    let done: BTreeSet<_> =
        report.steps.iter().filter(|step| step.state == State::Done).map(|step| &step.effect).collect();
    let done = || plan.changes.iter().filter(|change| done.contains(&change.effect));
    let taken: BTreeSet<&GrantKey> = done().filter_map(|change| change.grant.as_ref()).collect();
    session.remember_taken(&taken)?;
    let cut = done().filter(|change| change.op == Op::Update).map(|change| change.effect.clone());
    session.remember_ended(cut, plan.created)
}

/// What a last look says; what could not be read of him is left to do. What there is to say besides.
fn end(session: &Session, report: &mut Report, after: &Planned) -> Vec<Finding> {
    conclude(session, report, after);
    let unread = after.plan.held.iter().filter(|held| held.why == Why::Incomplete).count();
    let not_asked = after.plan.findings.iter().any(|finding| finding.level == Level::Error);
    let partial = after.live.coverage.iter().filter_map(|(scope, coverage)| match coverage {
        Coverage::Partial(why) => {
            Some(format!("whatever he has on `{scope}`, which was not read whole: {why}"))
        }
        Coverage::Complete => None,
    });
    report.left.extend(partial);
    let missing =
        session.unusable.iter().map(|finding| format!("whatever he has there: {}", finding.message));
    report.left.extend(missing);
    report.converged &= unread == 0 && !not_asked && report.left.is_empty();
    after.plan.findings.clone()
}

/// Says of the steps that cut accounts off what they did.
fn in_words(report: &mut Report, plan: &Plan) {
    for (step, change) in report.steps.iter_mut().zip(&plan.changes) {
        if change.op == Op::Update {
            step.target = format!("{}: {}", change.address, cut_offs(change));
        }
    }
}

fn cut_offs(change: &Change) -> String {
    let after = |field: &Name| change.after.as_ref().and_then(|after| after.get(field)?.as_text());
    let each = change.fields.iter().filter_map(|field| Some(format!("{field} {}", after(field)?)));
    each.collect::<Vec<_>>().join(", ")
}

/// Shows what goes and asks; without a terminal `--yes` must say it.
fn confirmed(plan: &Plan, handle: &str, session: &Session, style: &Style) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let help = "say `--yes`: it only takes away, and the report says what";
        return Err(Finding::error(NOBODY_TO_ASK, "there is no terminal to ask on").help(help).into());
    }
    print(&terminal::plan(plan, &session.head.sources, style));
    say(&format!("take all of this away from {handle} now? only `yes` is taken as yes: "));
    let mut answer = String::new();
    // An input that ends, or cannot be read, is no yes.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(answer.trim() == "yes")
}
