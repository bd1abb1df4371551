//! Whatever fails, wherever it is killed: everything is told once, nothing runs too early, nothing is done twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::apply::approve::{is_true, reconcile};
use crate::apply::disk::Place;
use crate::apply::fixture::*;
use crate::apply::journal::{History, Lock};
use crate::model::{Approval, Digest, Plan};
use crate::provider::{ErrorKind, VirtualClock};

mod kinds;
mod looks;
mod side_by_side;

/// One apply of `changes`, on a world, with a journal in a folder of its own.
struct Bench {
    folder: tempfile::TempDir,
    place: Place,
    changes: Vec<Change>,
    world: Arc<World>,
    clock: Arc<VirtualClock>,
    stop: Stop,
    observed: Timestamp,
}

impl Bench {
    fn new(changes: Vec<Change>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            place: Place::at(folder.path().join("journal")),
            folder,
            changes,
            world: World::new(Snapshot::default()),
            clock: Arc::new(VirtualClock::at(start())),
            stop: Stop::default(),
            observed: start(),
        }
    }

    fn journal(&self) -> Place {
        self.place.clone()
    }

    /// Applies what is left to be done; `None` where the run was killed.
    fn apply(&self) -> Option<Report> {
        self.apply_plan(&plan(&self.world.left(&self.changes)))
    }

    fn apply_plan(&self, fresh: &Plan) -> Option<Report> {
        self.apply_to(fresh, &Okta::of(&self.world))
    }

    fn apply_to(&self, fresh: &Plan, provider: &dyn Provider) -> Option<Report> {
        self.apply_beside(fresh, provider, &Silent, async {})
    }

    /// Applies while something else happens, and tells how it goes.
    fn apply_beside(
        &self,
        fresh: &Plan,
        provider: &dyn Provider,
        progress: &dyn Progress,
        beside: impl Future<Output = ()>,
    ) -> Option<Report> {
        let lock = Lock::take(&Place::at(self.folder.path().join("lock")), "a test", start()).unwrap();
        let approved = plan(&self.changes);
        let live = self.world.seen();
        let history = History::read(&self.journal()).unwrap().unwrap_or_default();
        let cleared =
            reconcile(&approved, fresh, &live, start(), history.is_finished(), &history.begun()).unwrap();
        let permit = cleared.permit(verdict(fresh), Approval::Simulated).unwrap();
        let now = self.clock.now();
        let mut journal = Journal::open(&self.journal(), &approved, now, &lock).unwrap();
        let run = Run {
            cleared: &cleared,
            permit: &permit,
            providers: &[provider],
            live: &live,
            observed: self.observed,
            clock: &*self.clock,
            journal: &mut journal,
            stop: &self.stop,
            progress,
        };
        wait(self.clock.drive(async {
            let killed = async {
                beside.await;
                self.world.killed.notified().await;
            };
            tokio::select! {
                report = execute(run) => Some(report),
                () = killed => None,
            }
        }))
    }

    fn states(&self) -> Vec<State> {
        self.apply().unwrap().steps.iter().map(|step| step.state).collect()
    }
}

#[test]
fn changes_run_in_the_plans_order_and_after_what_they_require() {
    let made = create("a");
    let bench =
        Bench::new(vec![after(grant("x", "a"), &made), grant("y", "b"), made.clone(), grant("z", "c")]);
    let report = bench.apply().unwrap();
    assert!(report.steps.iter().all(|step| step.state == State::Done), "{:?}", report.steps);
    let targets: Vec<String> = bench.changes.iter().map(Change::target).collect();
    let told: Vec<&String> = report.steps.iter().map(|step| &step.target).collect();
    assert_eq!(told, targets.iter().collect::<Vec<_>>(), "the report keeps the plan's order");
    assert_eq!(
        bench.world.written(),
        [&targets[1], &targets[2], &targets[0], &targets[3]].map(String::clone)
    );
    assert_eq!((report.calls, report.approval.as_str()), (4, "none needed: everything is simulated"));
}

#[test]
fn invariant_23_applying_twice_writes_nothing_the_second_time() {
    let bench = Bench::new(vec![create("a"), grant("x", "a"), revoke("y", "b"), delete("c")]);
    for change in [create("c"), grant("y", "b")] {
        bench.world.make(&change);
    }
    assert_eq!(bench.apply().unwrap().count(State::Done), 4);
    let report = bench.apply().unwrap();
    assert!(report.steps.is_empty());
    assert_eq!(bench.world.written().len(), 4);
}

#[test]
fn a_failure_stops_what_requires_it_and_nothing_else() {
    let made = create("a");
    let member = after(grant("x", "a"), &made);
    let more = after(grant("y", "b"), &member);
    let bench = Bench::new(vec![made, member, more, grant("z", "c")]);
    bench.world.fault(0, Fault::No(ErrorKind::Denied));
    let report = bench.apply().unwrap();
    let states: Vec<State> = report.steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [State::Failed, State::NotReached, State::NotReached, State::Done]);
    assert_eq!(report.steps[1].message.as_deref(), Some("waits for create `okta:group/a`"));
    assert_eq!(bench.world.written().len(), 2, "a refusal is not tried again");
}

#[test]
fn retries_follow_the_kind_of_the_error_and_are_bounded() {
    use ErrorKind::*;
    for (kind, calls) in
        [(Conflict, 4), (Auth, 1), (Denied, 1), (NotFound, 1), (Unsupported, 1), (Malformed, 1), (Other, 1)]
    {
        let bench = Bench::new(vec![grant("x", "a")]);
        for call in 0..9 {
            bench.world.fault(call, Fault::No(kind));
        }
        assert_eq!(bench.states(), [State::Failed], "{kind:?}");
        assert_eq!(bench.world.written().len(), calls, "{kind:?}");
    }
    let bench = Bench::new(vec![grant("x", "a")]);
    bench.world.fault(0, Fault::No(Throttled));
    assert_eq!(bench.states(), [State::Done]);
    assert!(bench.clock.now() > start(), "it waited, in the clock's time");
}

#[test]
fn invariant_25_an_unknown_outcome_is_read_before_it_is_tried_again() {
    let bench = Bench::new(vec![create("a")]);
    bench.world.fault(0, Fault::Lost { applied: true });
    let report = bench.apply().unwrap();
    assert_eq!(report.steps[0].state, State::Done);
    assert!(report.steps[0].message.as_deref().unwrap().contains("the answer was lost"));
    assert_eq!(bench.world.written().len(), 1, "what was made is taken for what it is");

    let bench = Bench::new(vec![create("a")]);
    bench.world.fault(0, Fault::Lost { applied: false });
    assert_eq!(bench.states(), [State::Done]);
    assert_eq!((bench.world.written().len(), bench.world.reads.lock().unwrap().len()), (2, 1));
}

#[test]
fn invariant_26_a_conflict_reads_again_and_never_writes_over_somebody_else() {
    let bench = Bench::new(vec![create("a")]);
    bench.world.fault(0, Fault::No(ErrorKind::Conflict));
    let mut theirs = create("a");
    theirs.after = Some(attributes(&[("description", "theirs")]));
    let fresh = plan(&bench.changes);
    bench.world.make(&theirs);
    let report = bench.apply_plan(&fresh).unwrap();
    assert_eq!(report.steps[0].state, State::Refused);
    assert_eq!(bench.world.written().len(), 1);

    let bench = Bench::new(vec![create("a")]);
    bench.world.fault(0, Fault::No(ErrorKind::Conflict));
    let fresh = plan(&bench.changes);
    bench.world.make(&create("a"));
    assert_eq!(bench.apply_plan(&fresh).unwrap().steps[0].state, State::Already);
}

#[test]
fn what_is_gone_already_needs_no_removal() {
    let bench = Bench::new(vec![delete("a"), revoke("x", "b")]);
    let fresh = plan(&bench.changes);
    for call in 0..2 {
        bench.world.fault(call, Fault::No(ErrorKind::NotFound));
    }
    let report = bench.apply_plan(&fresh).unwrap();
    assert_eq!(report.count(State::Already), 2, "{:?}", report.steps);
}

#[test]
fn invariant_27_what_is_pending_is_told_and_never_begun_again() {
    let made = create("a");
    let bench = Bench::new(vec![made.clone(), after(grant("x", "a"), &made)]);
    bench.world.fault(0, Fault::Pending);
    assert_eq!(bench.states(), [State::Pending, State::NotReached]);
    assert_eq!(bench.states(), [State::Pending, State::NotReached]);
    assert_eq!(bench.world.written().len(), 1);
    bench.world.make(&made);
    assert_eq!(bench.states(), [State::Done]);
}

#[test]
fn adopting_and_letting_go_make_no_call() {
    let adopt = change(crate::model::Op::Adopt, &group("a"), None, None, Some(Default::default()));
    let forget = change(crate::model::Op::Forget, &group("b"), None, None, None);
    let bench = Bench::new(vec![adopt, forget]);
    let fresh = plan(&bench.changes);
    let report = bench.apply_plan(&fresh).unwrap();
    assert_eq!((report.count(State::Already), report.calls), (2, 0));
}

#[test]
fn an_old_observation_is_looked_at_again() {
    let mut bench = Bench::new(vec![update("a", &[("description", "a")], &[("description", "new")])]);
    bench.world.make(&create("a"));
    let fresh = plan(&bench.changes);
    let mut theirs = create("a");
    theirs.after = Some(attributes(&[("description", "theirs")]));
    bench.world.make(&theirs);
    bench.observed = time("2026-11-22T11:44:59Z");
    assert_eq!(bench.apply_plan(&fresh).unwrap().steps[0].state, State::Refused);
    assert!(bench.world.written().is_empty());
    bench.observed = time("2026-11-22T11:45:00Z");
    assert_eq!(bench.apply_plan(&fresh).unwrap().steps[0].state, State::Done, "15 minutes are not too old");
}

#[test]
fn a_stop_leaves_the_rest_not_reached() {
    let bench = Bench::new(vec![grant("x", "a"), grant("y", "a")]);
    bench.stop.ask();
    let report = bench.apply().unwrap();
    assert_eq!(report.count(State::NotReached), 2);
    assert_eq!(report.steps[0].message.as_deref(), Some("the run was stopped before it"));
    assert!(bench.world.written().is_empty());
}

#[test]
fn a_circle_is_told_and_does_not_hang() {
    let (one, two) = (grant("x", "a"), grant("y", "a"));
    let bench = Bench::new(vec![after(one.clone(), &two), after(two, &one), grant("z", "a")]);
    assert_eq!(bench.states(), [State::NotReached, State::NotReached, State::Done]);
}

/// Runs a plan whose permit covers only `allowed`, with a journal that may be broken.
fn run<T>(bench: &Bench, allowed: &[Change], breaks: bool, with: impl FnOnce(Run<'_>) -> T) -> T {
    let approved = plan(&bench.changes);
    let live = bench.world.seen();
    let cleared = reconcile(&approved, &approved, &live, start(), false, &BTreeSet::new()).unwrap();
    let permit = cleared.permit(verdict(&plan(allowed)), Approval::Simulated).unwrap();
    let lock = Lock::take(&Place::at(bench.folder.path().join("lock")), "a test", start()).unwrap();
    let mut journal = Journal::open(&bench.journal(), &approved, start(), &lock).unwrap();
    if breaks {
        journal.break_down();
    }
    let okta = Okta::of(&bench.world);
    with(Run {
        cleared: &cleared,
        permit: &permit,
        providers: &[&okta],
        live: &live,
        observed: start(),
        clock: &*bench.clock,
        journal: &mut journal,
        stop: &bench.stop,
        progress: &Silent,
    })
}

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn invariant_1_what_the_gate_did_not_let_pass_is_not_written() {
    let bench = Bench::new(vec![grant("x", "a"), grant("y", "a")]);
    let report = run(&bench, &bench.changes[1..], false, |run| wait(execute(run)));
    assert_eq!(report.steps[0].state, State::Refused);
    assert_eq!(bench.world.written(), [bench.changes[1].target()]);
}

#[test]
fn without_a_journal_nothing_is_written() {
    let bench = Bench::new(vec![grant("x", "a"), grant("y", "a")]);
    let report = run(&bench, &bench.changes, true, |run| wait(execute(run)));
    assert_eq!(report.count(State::NotReached), 2);
    assert!(report.steps[0].message.as_deref().unwrap().contains("RC611"), "{:?}", report.steps[0]);
    assert!(bench.world.written().is_empty());
}

#[test]
fn every_call_has_its_intent_on_disk_and_every_end_its_outcome() {
    let bench = Bench::new(vec![create("a"), grant("x", "a")]);
    bench.world.fault(0, Fault::No(ErrorKind::Unreachable));
    bench.world.fault(1, Fault::Killed { applied: true });
    assert!(bench.apply().is_none());
    let history = History::read(&bench.journal()).unwrap().unwrap();
    let intents: u32 = history.changes.iter().map(|entry| entry.tries).sum();
    assert_eq!(intents as usize, bench.world.written().len());
    assert_eq!(history.states()[&bench.changes[0].effect], State::Unknown);
    let report = bench.apply().unwrap();
    assert_eq!(report.steps.len(), 1, "the fresh plan has only the rest");
    let states = History::read(&bench.journal()).unwrap().unwrap().states();
    assert_eq!(states[&bench.changes[1].effect], State::Done);
}

/// Ten changes that hang together, some of them on a world where what they take away is there.
fn story() -> (Vec<Change>, Vec<Change>) {
    let (a, b) = (create("a"), create("b"));
    let left = revoke("old", "c");
    let changes = vec![
        a.clone(),
        b.clone(),
        after(grant("x", "a"), &a),
        after(grant("y", "a"), &a),
        after(after(grant("x", "b"), &b), &a),
        update("d", &[("description", "d")], &[("description", "new")]),
        left.clone(),
        after(delete("c"), &left),
        grant("z", "d"),
        revoke("z", "e"),
    ];
    (changes, vec![create("c"), create("d"), create("e"), grant("old", "c"), grant("z", "e")])
}

fn lines(path: &Path) -> usize {
    std::fs::read(path).unwrap().iter().filter(|byte| **byte == b'\n').count()
}

/// How much of the last record a crash takes with it, before it was synced.
#[derive(Debug, Clone, Copy)]
enum Tear {
    Nothing,
    LineEnd,
    Half,
    All,
}

fn tear(path: &Path, tear: Tear) {
    let text = std::fs::read(path).unwrap();
    let last = text.split_inclusive(|byte| *byte == b'\n').next_back().unwrap().len();
    let gone = match tear {
        Tear::Nothing => 0,
        Tear::LineEnd => 1,
        Tear::Half => last / 2,
        Tear::All => last,
    };
    std::fs::write(path, &text[..text.len() - gone]).unwrap();
}

#[test]
fn invariant_24_killed_between_any_two_records_and_run_again_nothing_happens_twice() {
    let (changes, before) = story();
    for (call, width) in (0..changes.len()).flat_map(|call| [(call, 1), (call, 4)]) {
        // Where the call took effect, its intent was synced before it; else a crash can have torn it.
        let torn = [Tear::Nothing, Tear::LineEnd, Tear::Half, Tear::All].map(|tear| (false, tear));
        for (applied, torn) in torn.into_iter().chain([(true, Tear::Nothing)]) {
            let bench = Bench::new(changes.clone());
            for change in &before {
                bench.world.make(change);
            }
            bench.world.width.store(width, std::sync::atomic::Ordering::SeqCst);
            bench.world.fault(call, Fault::Killed { applied });
            assert!(bench.apply().is_none());
            let known = lines(&bench.journal().file);
            tear(&bench.journal().file, torn);
            let report = bench.apply().unwrap();
            assert!(
                report.steps.iter().all(|step| matches!(step.state, State::Done | State::Already)),
                "killed at {call} of {width}, applied {applied}: {:?}",
                report.steps
            );
            assert!(lines(&bench.journal().file) > known);
            assert!(bench.world.left(&changes).is_empty(), "it has converged");
            let changed = bench.world.changed();
            assert_eq!(changed.len(), changes.len(), "{changed:?}");
            assert!(changed.values().all(|times| *times == 1), "{changed:?}");
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    use ErrorKind::*;
    prop_oneof![
        prop::sample::select(vec![Auth, Denied, NotFound, Conflict, Throttled, Unreachable, Other])
            .prop_map(Fault::No),
        any::<bool>().prop_map(|applied| Fault::Lost { applied }),
        any::<bool>().prop_map(|applied| Fault::Killed { applied }),
        Just(Fault::Pending),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_fails_every_change_is_told_once_and_nothing_runs_too_early(
        links in prop::collection::vec((0..12usize, 0..12usize), 0..20),
        faults in prop::collection::btree_map(0..30usize, fault(), 0..12),
    ) {
        let mut changes: Vec<Change> = (0..12).map(|number| grant(&format!("u{number}"), "a")).collect();
        for (one, other) in links {
            // Later in the plan is no promise: links go both ways, but by number, so that they make no circle.
            let effect = changes[one.min(other)].effect.clone();
            if one != other {
                changes[one.max(other)].requires.insert(effect);
            }
        }
        changes.reverse();
        let bench = Bench::new(changes.clone());
        let pending = |bench: &Bench| {
            let history = History::read(&bench.journal()).unwrap().unwrap();
            history.states().values().any(|state| *state == State::Pending)
        };
        bench.world.faults.lock().unwrap().extend(faults);
        let mut runs = 0;
        loop {
            runs += 1;
            prop_assert!(runs < 60, "it makes no progress");
            let fresh = plan(&bench.world.left(&changes));
            let Some(report) = bench.apply_plan(&fresh) else { continue };
            let told: Vec<&Digest> = report.steps.iter().map(|step| &step.effect).collect();
            let asked: Vec<&Digest> = fresh.changes.iter().map(|change| &change.effect).collect();
            prop_assert_eq!(told, asked);
            let seen = bench.world.seen();
            for (step, change) in report.steps.iter().zip(&fresh.changes) {
                let done = matches!(step.state, State::Done | State::Already);
                prop_assert!(!done || is_true(change, &seen), "said to be done, and is not");
                prop_assert!(done == step.message.is_none() || step.state == State::Done);
            }
            if bench.world.left(&changes).is_empty() || pending(&bench) {
                break;
            }
        }
        let targets: BTreeMap<String, &Change> = changes.iter().map(|change| (change.target(), change)).collect();
        let writes = bench.world.writes.lock().unwrap().clone();
        let mut true_now: BTreeSet<&Digest> = BTreeSet::new();
        for (target, changed) in &writes {
            let change = targets[target];
            prop_assert!(change.requires.iter().all(|effect| true_now.contains(effect)), "{} ran too early", target);
            if *changed {
                prop_assert!(true_now.insert(&change.effect), "{} happened twice", target);
            }
        }
    }
}
