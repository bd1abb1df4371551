//! `rolecall rehearse`: carries a plan out on a simulated copy of live, and tells what that takes and where it ends.
//!
//! Invariant: no provider of live is left when anything is written: [`look`] takes the session that has them and gives
//! back values. Neither live, nor what stands beside a simulated one, nor the access repo's memory is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::apply::{Chosen, Order, Word, carry_out, exit, word};
use super::session::{Observed, Options, Parts, Session, deletions};
use super::{Exit, Failure, Format, print, style};
use crate::apply::JOURNAL_IO;
use crate::apply::approve;
use crate::apply::disk::MemoryDisk;
use crate::apply::executor::{Progress, Stop, Tally};
use crate::apply::memory::Memory;
use crate::model::report::{REHEARSAL_FORMAT, Rehearsal, Step, Took, Waited};
use crate::model::{Address, Approval, Code, Coverage, Finding, Plan, Sources};
use crate::provider::{Clock, VirtualClock};
use crate::render::terminal::Style;
use crate::render::{json, rehearsal};
use crate::simulator::{Latency, Seen, Simulator, World, seed};

/// A copy cannot be made of what was not seen.
const NOT_SEEN: Code =
    Code { code: "RC504", title: "live could not be read whole, so there is nothing to rehearse on" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NOT_SEEN];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    chosen: Chosen,
    /// How long each call takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 200)]
    latency: u64,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let options = Options { repo: arguments.chosen.repo(), looks_only: true, ..Options::default() };
    let live = Session::open(options).await?;
    let plan = arguments.chosen.plan(&live.memory)?;
    let zone = live.head.settings.timezone.clone();
    let copy = look(live, &plan).await?;
    let rehearsal = rehearse(copy, plan, arguments.latency).await?;
    match format {
        Format::Json => print(&json::rehearsal(&rehearsal)),
        Format::Text | Format::Markdown => {
            print(&rehearsal::terminal(&rehearsal, &Style { zone, ..style(false) }));
        }
    }
    Ok(exit(&rehearsal.report))
}

/// What a rehearsal needs: nothing in it can reach live.
struct Copy {
    world: World,
    parts: Parts,
}

/// Observes what an apply of the plan would, and makes a world of it. The providers of live end here.
async fn look(mut live: Session, plan: &Plan) -> Result<Copy, Failure> {
    live.selection = plan.selection.clone();
    let Observed { now, inventory, records, live: mut seen, .. } =
        live.in_its_time(live.observe(&BTreeSet::new())).await?;
    live.look_closely(&deletions(&plan.changes, &plan.held), &mut seen).await;
    let partial = seen.coverage.iter().filter_map(|(scope, coverage)| match coverage {
        Coverage::Complete => None,
        Coverage::Partial(why) => Some(format!("`{scope}`: {why}")),
    });
    let missing: Vec<String> = inventory.incomplete.iter().cloned().chain(partial).collect();
    if !missing.is_empty() {
        let finding = |why: &String| {
            let finding = Finding::error(NOT_SEEN, format!("live could not be read whole: {why}"));
            finding.help("let the credentials read it, or try again when the provider answers")
        };
        return Err(missing.iter().map(finding).collect::<Vec<_>>().into());
    }
    // Whoever is taken to exist there is there in the copy.
    let named = plan.changes.iter().filter_map(|change| change.grant.as_ref()).map(|key| &key.principal);
    let is_assumed = |person: &&Address| {
        let provider = live.schemas().provider(person).filter(|it| it.person_kind == person.kind());
        provider.and_then(|it| it.schema(it.person_kind)).is_some_and(|schema| schema.assumed)
    };
    for principal in named.filter(is_assumed) {
        seen.resources.entry(principal.clone()).or_default();
    }
    let callers: Vec<Address> = live.callers.iter().filter_map(|caller| caller.principal.clone()).collect();
    let seeded = seed(&Seen {
        now,
        live: &seen,
        records: &records,
        accounts: &inventory.accounts,
        callers: &callers,
        providers: &live.head.settings.providers,
    });
    let mut world = seeded.map_err(|error| error.finding())?;
    // That AWS has a policy that nobody holds yet is not observed; the plan takes it for granted, and so does this.
    world.aws.managed = managed(plan);
    let memory = remembered(&live, plan)?;
    let (commit, root) = (live.commit(), live.root().map(std::path::Path::to_path_buf));
    let selection = plan.selection.clone();
    let credentials = Arc::new(|_: &str| None);
    let (head, loaded) = (live.head, Vec::new());
    let parts =
        Parts { head, base: None, loaded, memory, simulator: None, credentials, selection, commit, root };
    Ok(Copy { world, parts })
}

/// The names of AWS's own policies that a plan gives.
fn managed(plan: &Plan) -> BTreeSet<String> {
    let given = plan.changes.iter().filter_map(|change| Some(change.grant.as_ref()?.resource.clone()));
    let bounds = plan
        .changes
        .iter()
        .filter_map(|change| change.after.as_ref()?.get("boundary")?.as_text()?.parse::<Address>().ok());
    let own = given.chain(bounds).filter(|policy| policy.instance() == "managed");
    own.map(|policy| policy.name().into_owned()).collect()
}

/// What is remembered of earlier runs, in a memory of its own that ends with the rehearsal.
fn remembered(live: &Session, plan: &Plan) -> Result<Memory, Failure> {
    let memory = Memory::on(Arc::new(MemoryDisk::new()));
    if let Some(verified) = live.memory.verified()? {
        memory.advance(&verified)?;
    }
    // What was begun is gone on with here as it would be there.
    let (from, to) = (live.memory.journal(&plan.id)?, memory.journal(&plan.id)?);
    let copied = from.disk.read(&from.file).and_then(|journal| match journal {
        Some(bytes) => to.disk.replace(&to.file, &bytes),
        None => Ok(()),
    });
    copied.map_err(|error| Finding::error(JOURNAL_IO, format!("`{from}` cannot be read: {error}")))?;
    Ok(memory)
}

/// Carries the plan out in the copy, in the copy's time.
async fn rehearse(copy: Copy, plan: Plan, latency: u64) -> Result<Rehearsal, Failure> {
    let Copy { world, parts } = copy;
    let began = world.now;
    let simulator = Simulator::of(world).map_err(|error| error.finding())?;
    simulator.faults().latency(Latency { ms: latency, ..Latency::default() });
    let mut session = Session::assemble(Parts { simulator: Some(simulator.clone()), ..parts }).await?;
    // In the copy all is simulated, so its effects need nobody's approval. But a plan that would be carried out without one
    // leaves undone what is only queued, there as here.
    let standing = matches!(approve::approval(&plan, false, None), Ok(Approval::Standing));
    let plan = Plan { simulated: true, ..plan };
    let word = match word(&session, &plan, None, None)? {
        _ if standing => Word::Is(Approval::Standing),
        word => word,
    };
    let watch = Watch { clock: simulator.clock(), seen: Mutex::default() };
    let confirm = |_: &Plan, _: &Sources| {
        watch.note(|seen, now| seen.read = Some(now));
        Ok(true)
    };
    let stop = Stop::default();
    let order =
        Order { approved: &plan, word, confirm: &confirm, stop: &stop, progress: &watch, witness: None };
    let Some(report) = carry_out(&mut session, order).await? else {
        unreachable!("it was confirmed");
    };
    let (calls, ended) = (simulator.calls(), simulator.clock().now());
    let reads = calls.iter().filter(|(action, _)| reads(action)).map(|(_, calls)| calls).sum();
    let seen = watch.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let read = seen.read.unwrap_or(began);
    let written = seen.written.unwrap_or(read);
    Ok(Rehearsal {
        format: REHEARSAL_FORMAT.to_owned(),
        report,
        reads,
        writes: simulator.requests() - reads,
        calls,
        latency,
        took: Took {
            reading: between(began, read),
            writing: between(read, written),
            verifying: between(written, ended),
        },
        waited: seen.waited.into_values().map(|(waited, _)| waited).collect(),
    })
}

/// Whether an action of a vendor's changes nothing.
fn reads(action: &str) -> bool {
    // Of HTTP the method tells, but for Google's policies, which are read by `POST`.
    if action.contains(" /") {
        return action.starts_with("GET ") || action.ends_with(":getIamPolicy");
    }
    match action.split_once(':') {
        Some((service, name)) => {
            service == "sts" || ["Get", "List"].iter().any(|word| name.starts_with(word))
        }
        None => false,
    }
}

/// Milliseconds from one time to another; none where the other is not later.
fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// Hears when what was done, and what was waited for.
struct Watch {
    clock: Arc<VirtualClock>,
    seen: Mutex<Noticed>,
}

#[derive(Default)]
struct Noticed {
    /// When all was read.
    read: Option<Timestamp>,
    /// When the last change ended.
    written: Option<Timestamp>,
    /// What was waited for, and until when that is counted already.
    waited: BTreeMap<String, (Waited, Timestamp)>,
}

impl Watch {
    fn note(&self, take: impl FnOnce(&mut Noticed, Timestamp)) {
        take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now());
    }
}

impl Progress for Watch {
    fn ended(&self, _: &Step, _: Tally) {
        self.note(|seen, now| seen.written = Some(now));
    }

    fn waiting(&self, what: &str, until: Timestamp) {
        self.note(|seen, now| {
            let none = || (Waited { what: what.to_owned(), times: 0, ms: 0 }, now);
            let (waited, counted) = seen.waited.entry(what.to_owned()).or_insert_with(none);
            // What several wait for at the same time is waited for once.
            let from = now.max(*counted);
            waited.times += u64::from(until > from);
            waited.ms += between(from, until);
            *counted = until.max(*counted);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn waits_that_overlap_count_once() {
        let clock = Arc::new(VirtualClock::at(Timestamp::UNIX_EPOCH));
        let watch = Watch { clock: clock.clone(), seen: Mutex::default() };
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        watch.waiting("okta /", at(60));
        clock.advance(Duration::from_secs(10));
        watch.waiting("okta /", at(60));
        watch.waiting("okta /users", at(20));
        watch.waiting("okta /", at(70));
        let waited = watch.seen.into_inner().unwrap().waited;
        let told: Vec<_> = waited.values().map(|(w, _)| (w.what.as_str(), w.times, w.ms)).collect();
        assert_eq!(told, [("okta /", 2, 70_000), ("okta /users", 1, 10_000)]);
    }

    #[test]
    fn what_reads_is_told_from_what_writes() {
        for (action, is_read) in [
            ("GET /users/me", true),
            ("PUT /groups/{id}/users/{id}", false),
            ("iam:GetUser", true),
            ("iam:ListRoles", true),
            ("iam:CreateUser", false),
            ("sts:AssumeRole", true),
            ("GET /v3/projects:search", true),
            ("POST /v3/projects/{id}:getIamPolicy", true),
            ("POST /v3/projects/{id}:setIamPolicy", false),
        ] {
            assert_eq!(reads(action), is_read, "{action}");
        }
    }
}
