//! Carrying out an approved plan over a session: plan again, compare, execute, look, remember.
//!
//! Invariant: it plans again first, and writes nothing unless every effect of that is approved; base advances only when
//! a fresh plan has no change left. It must not print, ask or read the access repo: whoever calls it does.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::select;
use jiff::Timestamp;

use super::{OTHER_DIRECTORY, OTHER_TIME};
use crate::apply::approve::{self, Stale};
use crate::apply::executor::{self, Progress, Run, Stop};
use crate::apply::journal::{History, Journal, Lock};
use crate::apply::memory::{BaseRecord, Verified};
use crate::cli::review::Inquiry;
use crate::cli::session::{Planned, Session};
use crate::cli::{Exit, Failure};
use crate::evidence::{self, Ran};
use crate::gate::approvals::NOT_COVERED;
use crate::model::guard::Guard;
use crate::model::report::State;
use crate::model::{
    Approval, Cause, Change, DemandState, Digest, Finding, Plan, Quorum, Report, Reviewed, Snapshot, Sources,
};
use crate::planner;
use crate::provider::Provider;

/// The last of the waits for what was written to be seen: 31 seconds in all.
const LONGEST_WAIT: Duration = Duration::from_secs(16);

/// What is to be carried out, and how whoever ordered it is heard.
pub(in crate::cli) struct Order<'a> {
    /// The plan that was approved.
    pub(in crate::cli) approved: &'a Plan,
    /// On whose word: [`word`].
    pub(in crate::cli) word: Word<'a>,
    /// Asked once with the fresh plan, before anything is written.
    pub(in crate::cli) confirm: &'a dyn Fn(&Plan, &Sources) -> Result<bool, Failure>,
    /// Set by a signal: what is in flight is finished, the rest is not begun.
    pub(in crate::cli) stop: &'a Stop,
    /// Told what begins, ends and waits.
    pub(in crate::cli) progress: &'a dyn Progress,
    /// What a bundle of evidence says of where it ran; none is kept without.
    pub(in crate::cli) witness: Option<Witness>,
}

/// On whose word a plan is carried out.
pub(in crate::cli) enum Word<'a> {
    /// This one.
    Is(Approval),
    /// Of whoever has to approve what a fresh plan says: they are asked then.
    Of(&'a Inquiry),
}

/// Where an apply runs, for its evidence.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Witness {
    /// What the pipeline says of itself.
    pub(in crate::cli) pipeline: BTreeMap<String, String>,
    /// The digest of the program's file.
    pub(in crate::cli) binary: Option<Digest>,
}

/// On whose word a plan can be carried out now: that of the operator, who typed `typed`; of nobody, where none is needed; else
/// of those whom `inquiry` can ask.
pub(in crate::cli) fn word<'a>(
    session: &Session,
    approved: &Plan,
    typed: Option<&str>,
    inquiry: Option<&'a Inquiry>,
) -> Result<Word<'a>, Failure> {
    if let Some(handle) = &approved.selection.contain {
        let message =
            format!("plan `{}` takes away from `{handle}`, and is approved by that alone", approved.id);
        let finding = Finding::error(OTHER_TIME, message).help("run `rolecall contain` again instead");
        return Err(Failure::from(finding).exit(Exit::Stale));
    }
    let stale = |finding: Finding| Err(Failure::from(finding).exit(Exit::Stale));
    if approved.selection.at.is_some() {
        let finding = Finding::error(OTHER_TIME, format!("plan `{}` is for another time", approved.id));
        return stale(finding.help("plan without `--at`"));
    }
    if let Some(file) = &approved.selection.directory {
        let message = format!("plan `{}` rests on `{file}` and not on the directory", approved.id);
        let help = "plan without `--directory`, once the directory itself says so";
        return stale(Finding::error(OTHER_DIRECTORY, message).help(help));
    }
    if let Some(inquiry) = inquiry.filter(|_| !approved.simulated && typed.is_none())
        && !approved.effects.is_empty()
    {
        return Ok(Word::Of(inquiry));
    }
    let operator = session.judging().approvals.operator;
    approve::approval(approved, operator, typed).map(Word::Is).or_else(|finding| stale(*finding))
}

/// Carries out an approved plan; `None` where it was not confirmed.
pub(in crate::cli) async fn carry_out(
    session: &mut Session,
    order: Order<'_>,
) -> Result<Option<Report>, Failure> {
    session.selection = order.approved.selection.clone();
    let session: &Session = session;
    session.in_its_time(Box::pin(execute(session, order))).await
}

/// What a run that ended with this report ends with.
pub(in crate::cli) fn exit(report: &Report) -> Exit {
    if !report.converged {
        Exit::Error
    } else if report.held.iter().any(|held| held.why.denies()) {
        Exit::Denied
    } else {
        Exit::Success
    }
}

async fn execute(session: &Session, order: Order<'_>) -> Result<Option<Report>, Failure> {
    let approved = order.approved;
    let now = session.clock.now();
    let lock = Lock::take(&session.memory.lock(), "rolecall apply", now)?;
    session.still_verified()?;
    let path = session.memory.journal(&approved.id)?;
    let earlier = History::read(&path)?.unwrap_or_default();
    let mut journal = Journal::open(&path, approved, now, &lock)?;
    let observed = session.clock.now();
    let taken = earlier.taken_away();
    // With no approval of its own, what is queued stays queued.
    let mut goes: BTreeSet<Digest> = match &order.word {
        Word::Is(Approval::Standing) | Word::Of(_) => BTreeSet::new(),
        Word::Is(_) => approved.effects.iter().cloned().collect(),
    };
    // Boxed, since what plans is large and is asked for twice here.
    let mut fresh = Box::pin(session.plan_after(&taken, &goes)).await?;
    let (finished, begun) = (journal.history().is_finished(), earlier.begun());
    let stale = |stale: Stale| Failure::from(stale.reasons).exit(Exit::Stale);
    let approval = match &order.word {
        Word::Is(approval) => approval.clone(),
        Word::Of(inquiry) => {
            // What is stale is refused without asking anybody.
            let now = session.clock.now();
            drop(
                approve::reconcile(approved, &fresh.plan, &fresh.live, now, finished, &begun)
                    .map_err(stale)?,
            );
            let reviewed = Box::pin(inquiry.review(session, approved, &fresh)).await?;
            let queued = reviewed.covered.iter().filter(|covered| covered.quorum.queued);
            goes = queued.flat_map(|covered| covered.quorum.effects.iter().cloned()).collect();
            if !goes.is_empty() {
                let before = std::mem::take(&mut fresh.plan.quorums);
                fresh = Box::pin(session.plan_after(&taken, &goes)).await?;
                same_quorums(&before, &fresh.plan.quorums)?;
            }
            cite(&reviewed, &mut fresh.plan);
            if reviewed.covered.is_empty() {
                Approval::Standing
            } else {
                Approval::Reviewed(Box::new(reviewed))
            }
        }
    };
    let fresh = fresh;
    let cleared =
        approve::reconcile(approved, &fresh.plan, &fresh.live, session.clock.now(), finished, &begun)
            .map_err(stale)?;
    let permit = cleared
        .permit(fresh.verdict.clone(), approval.clone())
        .map_err(|finding| Failure::from(finding).exit(Exit::Stale))?;
    if !(order.confirm)(&fresh.plan, &session.head.sources)? {
        return Ok(None);
    }
    let providers: Vec<&dyn Provider> = session.providers.values().map(AsRef::as_ref).collect();
    let mut report = executor::execute(Run {
        cleared: &cleared,
        permit: &permit,
        providers: &providers,
        live: &fresh.live,
        observed,
        clock: session.clock.as_ref(),
        journal: &mut journal,
        stop: order.stop,
        progress: order.progress,
    })
    .await;
    // What was written is told whatever happens now: a full disk, or a look that fails, must not take the report along.
    let ending = Ending { order: &order, fresh: &fresh, approval: &approval, goes: &goes, began: observed };
    if let Err(failure) = end(session, &ending, &mut report, &mut journal).await {
        report.converged = false;
        report.left.extend(failure.findings.iter().map(|finding| format!("not seen or not kept: {finding}")));
        report.left.push("whatever a fresh look would show: apply the same plan again".to_owned());
    }
    Ok(Some(report))
}

/// Looks at what came of it, and remembers that.
async fn end(
    session: &Session,
    ending: &Ending<'_>,
    report: &mut Report,
    journal: &mut Journal,
) -> Result<(), Failure> {
    let Ending { order, fresh, approval, goes, began } = *ending;
    let approved = order.approved;
    let keep = |report: &Report, live: Option<&Snapshot>| {
        let witness = order.witness.as_ref();
        let witnessed =
            witness.map(|witness| Witnessed { witness, approved, fresh: &fresh.plan, approval, began });
        witnessed.map(|witnessed| keep_evidence(session, &witnessed, report, live)).transpose()
    };
    let after = match settled(session, order.stop, report, &journal.history().taken_away(), goes).await {
        Ok(after) => after,
        Err(failure) => {
            // What was written is told to whoever audits it, though nobody could see what came of it.
            keep(report, None)?;
            return Err(failure);
        }
    };
    conclude(session, report, &after);
    // What is remembered ends access in time, so that it is written whatever becomes of the evidence.
    let evidence = keep(report, Some(&after.live));
    let kept = evidence.as_ref().ok().cloned().flatten();
    remember(session, ending, &after, report, kept)?;
    evidence?;
    if report.converged {
        journal.finish(session.clock.now(), approved)?;
    }
    Ok(())
}

/// Fails where what goes on besides makes anything take more, or others, to be approved than was judged.
fn same_quorums(before: &[Quorum], after: &[Quorum]) -> Result<(), Failure> {
    let takes = |quorum: &Quorum| (quorum.needed, quorum.owners.clone(), quorum.managers.clone());
    let judged = |quorum: &Quorum, effect: &Digest| {
        before.iter().any(|old| takes(old) == takes(quorum) && old.effects.contains(effect))
    };
    let mut asked = after.iter().filter(|quorum| !quorum.queued);
    if asked.all(|quorum| quorum.effects.iter().all(|effect| judged(quorum, effect))) {
        return Ok(());
    }
    let finding =
        Finding::error(NOT_COVERED, "what it takes to approve this has changed while it was looked at");
    Err(Failure::from(finding.help("plan again, and have that approved")).exit(Exit::Stale))
}

/// Writes into changes where they were approved.
fn cite(reviewed: &Reviewed, plan: &mut Plan) {
    for change in plan.changes.iter_mut().filter(|change| change.cause == Cause::Request) {
        let covered = reviewed.covered.iter().find(|covered| covered.quorum.effects.contains(&change.effect));
        change.approved_by = covered.map(|covered| covered.source.clone());
    }
}

/// What an apply ends with, besides what it saw.
struct Ending<'a> {
    order: &'a Order<'a>,
    fresh: &'a Planned,
    /// How it was approved.
    approval: &'a Approval,
    /// What was queued and goes.
    goes: &'a BTreeSet<Digest>,
    /// When it began to write.
    began: Timestamp,
}

/// What a bundle of evidence is made of, besides what became of it.
pub(in crate::cli) struct Witnessed<'a> {
    pub(in crate::cli) witness: &'a Witness,
    pub(in crate::cli) approved: &'a Plan,
    pub(in crate::cli) fresh: &'a Plan,
    pub(in crate::cli) approval: &'a Approval,
    /// When it began to write.
    pub(in crate::cli) began: Timestamp,
}

/// Keeps a bundle of evidence; gives its digest. `live` is what was seen afterwards, where anything was.
pub(in crate::cli) fn keep_evidence(
    session: &Session,
    witnessed: &Witnessed<'_>,
    report: &Report,
    live: Option<&Snapshot>,
) -> Result<Digest, Failure> {
    let Witnessed { witness, approved, fresh, approval, began } = *witnessed;
    let callers = session.providers.keys().zip(&session.callers);
    let run = Ran {
        began: Some(began),
        ended: Some(session.clock.now()),
        pipeline: witness.pipeline.clone(),
        principals: callers.map(|(instance, caller)| (instance.to_string(), caller.text.clone())).collect(),
    };
    let previous = session.memory.last_evidence()?;
    let commit = session.commit();
    let bundle = evidence::bundle(evidence::Parts {
        approved,
        fresh,
        approval,
        report,
        live,
        commit: commit.as_deref(),
        run: &run,
        binary: witness.binary.as_ref(),
        previous: previous.as_ref().map(|(number, digest)| (*number, digest)),
    });
    let bytes = evidence::bytes(&bundle);
    session.memory.keep_evidence(bundle.number, &approved.id, &bytes)?;
    Ok(Digest::of_bytes(&bytes))
}

/// Looks again, and for a while again and again where what was written is not seen yet: IAM takes seconds to show it.
pub(in crate::cli) async fn settled(
    session: &Session,
    stop: &Stop,
    report: &Report,
    taken: &BTreeSet<String>,
    goes: &BTreeSet<Digest>,
) -> Result<Planned, Failure> {
    // What is done is not seen yet where a fresh look would change the same thing again, in whatever way.
    let done: BTreeSet<&str> = report
        .steps
        .iter()
        .filter(|step| step.state == State::Done)
        .map(|step| step.target.as_str())
        .collect();
    let mut wait = Duration::from_secs(1);
    loop {
        let after = Box::pin(session.plan_after(taken, goes)).await?;
        let unseen = after.plan.changes.iter().any(|c| c.op.writes() && done.contains(c.target().as_str()));
        if !unseen || wait > LONGEST_WAIT || !Guard::Lag.holds() || stop.is_asked() {
            return Ok(after);
        }
        select(pin!(session.clock.sleep(wait)), pin!(stop.asked())).await;
        wait *= 2;
    }
}

/// What a fresh look says about the end.
pub(in crate::cli) fn conclude(session: &Session, report: &mut Report, after: &Planned) {
    report.left =
        after.plan.changes.iter().map(|change| format!("{} {}", change.op, change.target())).collect();
    if !session.selection.only.is_empty() {
        report.left.push("whatever `--only` left out: plan again to see it".to_owned());
    }
    report.held = after.plan.held.clone();
    report.drift = after.plan.drift.clone();
    report.converged = after.plan.changes.iter().all(|change: &Change| !change.op.writes());
    // What is asked for of people who were not seen is not known to be there, nor to be approved.
    if let Some(why) = &after.unknown_people {
        report.left.push(format!("whatever rests on who all the people are: {why}"));
        report.converged = false;
    }
    report.calls = session.providers.values().map(|provider| provider.calls()).sum();
}

/// Remembers what is demanded; makes head the base of what comes next where all of it is true.
fn remember(
    session: &Session,
    ending: &Ending<'_>,
    after: &Planned,
    report: &Report,
    evidence: Option<Digest>,
) -> Result<(), Failure> {
    let Ending { order: Order { approved, .. }, fresh, .. } = ending;
    let states = report.steps.iter().filter_map(|step| match step.state {
        State::Already => None,
        // Where it is not to be seen yet, the provider lags.
        State::Done => Some((step.effect.clone(), DemandState::True)),
        State::Pending => Some((step.effect.clone(), DemandState::Pending)),
        State::Refused | State::Failed | State::Unknown | State::NotReached => {
            Some((step.effect.clone(), DemandState::Unfinished))
        }
    });
    let states = states.collect();
    let mut demand = planner::remember(
        &after.desired,
        session.demand(),
        &both(&fresh.plan, after),
        &after.live,
        session.schemas(),
        &states,
    );
    if let (Some(before), Some(_)) = (session.demand(), &after.unknown_people) {
        demand.keep(before);
    }
    // Base is what was applied whole: an apply that did not converge, or was limited, leaves it where it is. What it did
    // give is demanded from now on, so that nothing of it is taken for somebody else's.
    let limited = !approved.selection.only.is_empty()
        || (approved.selection.standing && session.asks_for_more_than_base());
    for planned in [fresh, after] {
        demand.leave(session.demand(), &planned.left_out.edges, &planned.left_out.things);
    }
    if !report.converged || limited {
        demand.keep_begun(session.demand());
        session.memory.keep_demand(&demand)?;
        return Ok(());
    }
    let snapshot = Snapshot { calls: std::collections::BTreeMap::new(), ..after.live.clone() };
    session.memory.advance(&Verified {
        sources: session.head.sources.clone(),
        base: BaseRecord { evidence, ..BaseRecord::new(session.commit(), &approved.id, session.clock.now()) },
        demand: Some(demand),
        snapshot: Some(snapshot),
    })?;
    Ok(())
}

/// The plan that was carried out, with what the last look wants and holds besides: where less could be read at first, it
/// is not in the plan, and is neither true nor somebody else's doing. Where not all people were seen at last, nothing that
/// only this look would take away counts.
fn both<'a>(fresh: &'a Plan, after: &Planned) -> Cow<'a, Plan> {
    let known: BTreeSet<String> = all(fresh).map(Change::target).collect();
    let counts = |change: &Change| after.unknown_people.is_none() || !change.op.is_removal();
    let is_new = |change: &Change| counts(change) && !known.contains(&change.target());
    let after = &after.plan;
    if !all(after).any(is_new) {
        return Cow::Borrowed(fresh);
    }
    let mut both = fresh.clone();
    both.changes.extend(after.changes.iter().filter(|change| is_new(change)).cloned());
    both.held.extend(after.held.iter().filter(|held| is_new(&held.change)).cloned());
    Cow::Owned(both)
}

/// The changes of a plan, held or not.
fn all(plan: &Plan) -> impl Iterator<Item = &Change> {
    plan.changes.iter().chain(plan.held.iter().map(|held| &held.change))
}
