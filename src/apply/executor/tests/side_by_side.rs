//! Side by side in virtual time: lanes, keys and turns; batches; what is pending; what a stop cuts short.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::apply::disk::{MemoryDisk, Place};
use crate::model::plan::Standing;
use crate::model::{Address, GrantKey, LiveGrant, Name, Op};
use crate::provider::{Caller, Error, Inventoried, Outcome, Pace, Patience, VirtualClock, Writer};

/// When each call began and ended, in seconds, and to what.
pub(super) type Log = Arc<Mutex<Vec<(String, i64, i64)>>>;
pub(super) type Answers = Arc<dyn Fn(&Change, usize) -> Result<Outcome, Error> + Send + Sync>;

/// A vendor whose calls take time, with lanes by the first letter of a group's name.
#[derive(Clone)]
pub(super) struct Vendor {
    pub(super) name: Name,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) world: Arc<World>,
    pub(super) width: usize,
    pub(super) batch: bool,
    pub(super) alone: bool,
    pub(super) patience: Patience,
    /// How many edges a page shows, where one can be asked for alone.
    pub(super) page: Option<usize>,
    /// Why none can, though it says so.
    pub(super) blind: Option<ErrorKind>,
    /// How many seconds a call takes.
    pub(super) takes: fn(&Change) -> u64,
    /// What a call of a change gives, by how many there were of it before.
    pub(super) answers: Answers,
    /// What asking gives, by how often it was asked before.
    pub(super) polls: Answers,
    pub(super) tries: Arc<Mutex<BTreeMap<String, usize>>>,
    pub(super) asked: Arc<Mutex<usize>>,
    pub(super) log: Log,
    pub(super) batches: Arc<Mutex<Vec<usize>>>,
    pub(super) under_way: Arc<Mutex<BTreeMap<Name, (usize, usize)>>>,
}

impl Vendor {
    pub(super) fn of(bench: &Bench) -> Self {
        let done: Answers = Arc::new(|_, _| Ok(Outcome::Done { request_id: None }));
        Self {
            name: "okta".into(),
            clock: bench.clock.clone(),
            world: bench.world.clone(),
            width: 4,
            batch: false,
            alone: false,
            patience: Patience::default(),
            page: None,
            blind: None,
            takes: |_| 1,
            answers: done.clone(),
            polls: done,
            tries: Arc::default(),
            asked: Arc::default(),
            log: Arc::default(),
            batches: Arc::default(),
            under_way: Arc::default(),
        }
    }

    pub(super) fn seconds(&self) -> i64 {
        self.clock.now().duration_since(start()).as_secs()
    }

    fn letter(change: &Change) -> Name {
        change.address.name().chars().take(1).collect::<String>().as_str().into()
    }

    /// The most that were ever under way in a lane.
    pub(super) fn most(&self, lane: &str) -> usize {
        self.under_way.lock().unwrap().get(lane).map_or(0, |(_, most)| *most)
    }

    pub(super) fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }

    /// When a change's call began and ended.
    pub(super) fn times(&self, change: &Change) -> (i64, i64) {
        let log = self.log.lock().unwrap();
        let (_, begun, ended) = log.iter().find(|(target, ..)| *target == change.target()).unwrap();
        (*begun, *ended)
    }

    async fn call(&self, change: &Change) -> Result<Outcome, Error> {
        let begun = self.seconds();
        self.clock.sleep(Duration::from_secs((self.takes)(change))).await;
        let count = {
            let mut tries = self.tries.lock().unwrap();
            let count = tries.entry(change.target()).or_default();
            *count += 1;
            *count - 1
        };
        let answer = (self.answers)(change, count);
        if matches!(answer, Ok(Outcome::Done { .. })) {
            self.world.make(change);
        }
        self.log.lock().unwrap().push((change.target(), begun, self.seconds()));
        answer
    }
}

#[async_trait]
impl Provider for Vendor {
    fn instance(&self) -> &Name {
        &self.name
    }

    async fn identity(&self) -> Result<Caller, Error> {
        Ok(Caller { principal: None, text: "a test".into() })
    }

    async fn inventory(&self) -> Inventoried {
        Inventoried::default()
    }

    async fn observe(&self, _: &BTreeSet<Address>) -> Snapshot {
        self.world.seen()
    }

    async fn read(&self, address: &Address) -> Result<Snapshot, Error> {
        Okta::of(&self.world).read(address).await
    }

    async fn read_grant(&self, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
        self.world.edges.lock().unwrap().push(key.clone());
        match self.blind {
            Some(kind) => Err(Error::new(kind, "it cannot be told")),
            None => Ok(self.world.seen().grant(key).cloned()),
        }
    }

    fn edges_a_page(&self) -> Option<usize> {
        self.page
    }

    fn writer(&self, _: &Permit, _: &Snapshot) -> Box<dyn Writer> {
        Box::new(self.clone())
    }

    fn calls(&self) -> u64 {
        0
    }

    fn lane(&self, change: &Change) -> Lane {
        let lane = Self::letter(change);
        let alone = self.alone.then(|| change.address.as_str().into());
        Lane { batch: self.batch.then(|| "all".into()), alone, ..Lane::new(&lane, self.width) }
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    fn pace(&self, lane: &str) -> Pace {
        let closed = (lane == "z" && self.seconds() < 60).then(|| start() + SignedDuration::from_secs(60));
        Pace { closed_until: closed, left: Some(0), per_minute: Some(60) }
    }
}

#[async_trait]
impl Writer for Vendor {
    async fn write(&self, change: &Change) -> Result<Outcome, Error> {
        let lane = Self::letter(change);
        {
            let mut under_way = self.under_way.lock().unwrap();
            let (now, most) = under_way.entry(lane.clone()).or_default();
            *now += 1;
            *most = (*most).max(*now);
        }
        let answer = self.call(change).await;
        self.under_way.lock().unwrap().get_mut(&lane).unwrap().0 -= 1;
        answer
    }

    async fn write_all(&self, changes: &[&Change]) -> Vec<Result<Outcome, Error>> {
        self.batches.lock().unwrap().push(changes.len());
        futures_util::future::join_all(changes.iter().map(|change| self.call(change))).await
    }

    async fn poll(&self, change: &Change, _: &str) -> Result<Outcome, Error> {
        let count = {
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            *asked - 1
        };
        let answer = (self.polls)(change, count);
        if matches!(answer, Ok(Outcome::Done { .. })) {
            self.world.make(change);
        }
        answer
    }
}

pub(super) fn apply(bench: &Bench, vendor: &Vendor) -> Report {
    bench.apply_to(&plan(&bench.world.left(&bench.changes)), vendor).unwrap()
}

pub(super) fn states(report: &Report) -> Vec<State> {
    report.steps.iter().map(|step| step.state).collect()
}

pub(super) fn members(count: usize, group: &str) -> Vec<Change> {
    (0..count).map(|number| grant(&format!("u{number}"), group)).collect()
}

#[test]
fn changes_of_three_lanes_overlap_and_no_lane_exceeds_its_width() {
    let changes = [members(100, "a"), members(60, "b"), members(40, "c")].concat();
    let bench = Bench::new(changes);
    let vendor = Vendor::of(&bench);
    assert_eq!(apply(&bench, &vendor).count(State::Done), 200);
    assert_eq!(["a", "b", "c"].map(|lane| vendor.most(lane)), [4, 4, 4]);
    assert_eq!(vendor.seconds(), 25, "as long as the longest lane alone");
}

#[test]
fn a_big_group_is_filled_in_order_with_few_under_way() {
    let bench = Bench::new(members(3000, "a"));
    let vendor = Vendor { width: 10, ..Vendor::of(&bench) };
    assert_eq!(apply(&bench, &vendor).count(State::Done), 3000);
    assert_eq!((vendor.most("a"), vendor.seconds()), (10, 300));
    let begun: Vec<String> = vendor.log.lock().unwrap().iter().map(|(target, ..)| target.clone()).collect();
    let wanted: Vec<String> = bench.changes.iter().map(Change::target).collect();
    assert_eq!(begun, wanted);
}

#[test]
fn invariant_28_a_lane_that_is_throttled_for_a_minute_delays_no_other() {
    let bench = Bench::new([members(8, "z"), members(8, "b")].concat());
    let vendor =
        Vendor { takes: |change| if change.address.name() == "z" { 60 } else { 1 }, ..Vendor::of(&bench) };
    assert_eq!(apply(&bench, &vendor).count(State::Done), 16);
    assert_eq!(vendor.times(&bench.changes[15]).1, 2);
}

#[test]
fn invariant_28_a_throttle_is_no_error_before_the_deadline() {
    let bench = Bench::new(members(1, "a"));
    let throttled: Answers = Arc::new(|_, tries| match tries {
        0..10 => Err(Error::new(ErrorKind::Throttled, "too much")),
        _ => Ok(Outcome::Done { request_id: None }),
    });
    let vendor = Vendor { answers: throttled, ..Vendor::of(&bench) };
    assert_eq!(states(&apply(&bench, &vendor)), [State::Done]);
    assert!((60..600).contains(&vendor.seconds()), "{}", vendor.seconds());
}

#[test]
fn what_depends_waits_and_what_does_not_goes_on_while_something_is_tried_again() {
    let made = create("a");
    let bench =
        Bench::new(vec![made.clone(), after(grant("x", "b"), &made), grant("y", "b"), grant("z", "a")]);
    let answers: Answers = Arc::new(|change, tries| match (change.op, tries) {
        (Op::Create, 0..3) => Err(Error::new(ErrorKind::Unreachable, "away")),
        _ => Ok(Outcome::Done { request_id: None }),
    });
    let vendor = Vendor { answers, ..Vendor::of(&bench) };
    assert_eq!(apply(&bench, &vendor).count(State::Done), 4);
    assert_eq!((vendor.times(&bench.changes[2]), vendor.times(&bench.changes[3])), ((0, 1), (0, 1)));
    assert!(vendor.times(&bench.changes[1]).0 > 4);
}

#[test]
fn changes_of_one_key_never_overlap() {
    let changes: Vec<Change> = ["a", "b"]
        .iter()
        .flat_map(|group| (0..5).map(move |n| (group, n)))
        .map(|(group, n)| update(group, &[("description", group)], &[("description", &format!("{n}"))]))
        .collect();
    let bench = Bench::new(changes);
    for group in ["a", "b"] {
        bench.world.make(&create(group));
    }
    let vendor = Vendor { alone: true, ..Vendor::of(&bench) };
    let fresh = plan(&bench.changes);
    assert_eq!(bench.apply_to(&fresh, &vendor).unwrap().count(State::Done), 10);
    assert_eq!(["a", "b"].map(|lane| vendor.most(lane)), [1, 1]);
    assert_eq!(vendor.seconds(), 5);
}

#[test]
fn invariant_21_who_moves_has_the_new_before_he_loses_the_old_whatever_lane_it_is_in() {
    let taken = revoke("x", "old");
    let mut left = revoke("gone", "old");
    left.standing = Some(Standing::Leaver);
    let bench = Bench::new(vec![grant("x", "slow"), grant("gone", "slow"), left.clone(), taken.clone()]);
    for edge in [grant("x", "old"), grant("gone", "old")] {
        bench.world.make(&edge);
    }
    let vendor =
        Vendor { takes: |change| if change.address.name() == "slow" { 30 } else { 1 }, ..Vendor::of(&bench) };
    assert_eq!(apply(&bench, &vendor).count(State::Done), 4);
    assert_eq!(vendor.times(&taken), (30, 31));
    assert_eq!(vendor.times(&left), (0, 1), "who leaves waits for nothing");
}

#[test]
fn invariant_21_a_group_goes_when_those_in_it_have_what_they_get_instead() {
    let mut gone = delete("old");
    gone.dependents = vec![grant("x", "old").target(), "rule y".to_owned()];
    let given = grant("x", "slow");
    let bench = Bench::new(vec![given.clone(), grant("y", "slow"), gone.clone()]);
    bench.world.make(&create("old"));
    let vendor =
        Vendor { takes: |change| if change.address.name() == "slow" { 30 } else { 1 }, ..Vendor::of(&bench) };
    assert_eq!(apply(&bench, &vendor).count(State::Done), 3);
    assert_eq!(vendor.times(&gone).0, vendor.times(&given).1);
}

#[test]
fn invariant_21_what_must_not_be_held_together_is_taken_before_the_other_is_given() {
    let (taken, given) = (revoke("x", "clerks"), grant("x", "approvers"));
    let bench = Bench::new(vec![taken, given]);
    bench.world.make(&grant("x", "clerks"));
    let answers: Answers = Arc::new(|_, _| Err(Error::new(ErrorKind::Denied, "no")));
    let vendor = Vendor { answers, ..Vendor::of(&bench) };
    let report = apply(&bench, &vendor);
    assert_eq!(states(&report), [State::Failed, State::NotReached]);
    let why = report.steps[1].message.as_deref().unwrap();
    assert_eq!(why, "waits for revoke `okta:user/x member okta:group/clerks`");
}

#[test]
fn what_is_of_one_batch_is_sent_together_and_told_apart() {
    let bench = Bench::new(members(5, "a"));
    let answers: Answers = Arc::new(|change, tries| match (change.target().contains("u3"), tries) {
        (true, 0) => Err(Error::new(ErrorKind::Unreachable, "this one not")),
        _ if change.target().contains("u4") => Err(Error::new(ErrorKind::Denied, "no")),
        _ => Ok(Outcome::Done { request_id: None }),
    });
    let vendor = Vendor { batch: true, width: 1, answers, ..Vendor::of(&bench) };
    let report = apply(&bench, &vendor);
    assert_eq!(states(&report), [[State::Done; 4].as_slice(), &[State::Failed]].concat());
    assert_eq!(*vendor.batches.lock().unwrap(), [5], "only what failed is sent again, alone");
    let told = events(&bench);
    assert!(told[2..7].iter().all(|event| event == "intent"), "each has one, before the one call: {told:?}");
    assert_eq!(told[7..].iter().filter(|event| *event == "outcome").count(), 5, "{told:?}");
    assert_eq!(
        told[7..11],
        ["outcome", "outcome", "outcome", "intent"],
        "what succeeded does not wait: {told:?}"
    );
}

/// What the records of a journal are about.
fn events(bench: &Bench) -> Vec<String> {
    let bytes = bench.place.disk.read(&bench.place.file).unwrap().unwrap();
    let records = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let record = |line: &[u8]| serde_json::from_slice::<serde_json::Value>(line).unwrap();
    records.map(|line| record(line)["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn records_that_come_together_are_synced_together() {
    let disk = MemoryDisk::new();
    let mut bench = Bench::new(members(40, "a"));
    bench.place = Place { disk: Arc::new(disk.clone()), file: "journal".into() };
    let vendor = Vendor { width: 20, ..Vendor::of(&bench) };
    assert_eq!(apply(&bench, &vendor).count(State::Done), 40);
    assert_eq!(events(&bench).len(), 82);
    // Opened; approved; twenty intents; twenty outcomes with twenty intents; twenty outcomes.
    assert!(disk.operations() <= 6, "{} operations", disk.operations());
}

pub(super) fn pending() -> Answers {
    Arc::new(|change, _| match change.op {
        Op::Create => Ok(Outcome::Pending { poll: "operation 7".into() }),
        _ => Ok(Outcome::Done { request_id: None }),
    })
}

#[test]
fn invariant_27_what_is_pending_is_asked_about_while_its_lane_goes_on() {
    let made = create("a");
    let bench = Bench::new(vec![made.clone(), grant("x", "ab"), after(grant("y", "a"), &made)]);
    let polls: Answers = Arc::new(|_, asked| match asked {
        0..3 => Ok(Outcome::Pending { poll: "operation 7".into() }),
        3 => Err(Error::new(ErrorKind::Unreachable, "away")),
        _ => Ok(Outcome::Done { request_id: Some("r".into()) }),
    });
    let vendor = Vendor { width: 1, answers: pending(), polls, ..Vendor::of(&bench) };
    let report = apply(&bench, &vendor);
    assert_eq!(states(&report), [State::Done; 3]);
    assert_eq!((vendor.times(&bench.changes[1]), vendor.asked()), ((1, 2), 5));
    assert!(vendor.times(&bench.changes[2]).0 > 8, "the waits grow");
}

#[test]
fn invariant_27_what_stays_pending_is_told_with_what_to_ask_and_asked_by_the_next_run() {
    let bench = Bench::new(vec![create("a")]);
    let still: Answers = Arc::new(|_, _| Ok(Outcome::Pending { poll: "operation 8".into() }));
    let vendor = Vendor { answers: pending(), polls: still, ..Vendor::of(&bench) };
    let report = apply(&bench, &vendor);
    assert_eq!(states(&report), [State::Pending]);
    assert!(report.steps[0].message.as_deref().unwrap().contains("operation 8"));
    assert!((500..=601).contains(&vendor.seconds()), "{}", vendor.seconds());

    let asked = vendor.asked();
    let vendor = Vendor { polls: Vendor::of(&bench).polls, ..vendor };
    assert_eq!(states(&apply(&bench, &vendor)), [State::Done]);
    assert_eq!((vendor.asked(), vendor.log.lock().unwrap().len()), (asked + 1, 1), "asked, not begun again");
}

#[test]
fn an_operation_that_fails_after_all_is_begun_again_if_it_may_be_and_not_for_ever() {
    for (kind, begun, state) in
        [(ErrorKind::Conflict, 3, State::Failed), (ErrorKind::Denied, 1, State::Failed)]
    {
        let bench = Bench::new(vec![create("a")]);
        let polls: Answers = Arc::new(move |_, _| Err(Error::new(kind, "it failed")));
        let vendor = Vendor { answers: pending(), polls, ..Vendor::of(&bench) };
        assert_eq!(states(&apply(&bench, &vendor)), [state]);
        assert_eq!(vendor.log.lock().unwrap().len(), begun, "{kind:?}");
    }
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_begins_nothing_more() {
    let bench = Bench::new(members(40, "a"));
    let vendor = Vendor::of(&bench);
    let asks = async {
        bench.clock.sleep(Duration::from_millis(2500)).await;
        bench.stop.ask();
    };
    let report = bench.apply_beside(&plan(&bench.changes), &vendor, &Silent, asks).unwrap();
    assert_eq!((report.count(State::Done), report.count(State::NotReached)), (12, 28));
    assert_eq!(vendor.seconds(), 3);
    let history = History::read(&bench.journal()).unwrap().unwrap();
    assert!(history.states().values().all(|state| *state == State::Done), "all is told");
    let again = Bench { stop: Stop::default(), ..bench };
    assert_eq!(apply(&again, &vendor).count(State::Done), 28);
}

#[test]
fn a_stop_cuts_waits_short_and_leaves_what_never_answers_unknown() {
    let bench = Bench::new(vec![grant("x", "a"), grant("y", "b"), create("c")]);
    let answers: Answers = Arc::new(|change, _| match change.op {
        Op::Create => Ok(Outcome::Pending { poll: "operation 7".into() }),
        _ => Err(Error::new(ErrorKind::Unreachable, "away")),
    });
    let polls: Answers = Arc::new(|_, _| Ok(Outcome::Pending { poll: "operation 7".into() }));
    let takes = |change: &Change| if change.address.name() == "b" { 100_000 } else { 0 };
    let vendor = Vendor { takes, answers, polls, ..Vendor::of(&bench) };
    let asks = async {
        bench.clock.sleep(Duration::from_secs(100)).await;
        bench.stop.ask();
    };
    let report = bench.apply_beside(&plan(&bench.changes), &vendor, &Silent, asks).unwrap();
    assert_eq!(states(&report), [State::Failed, State::Unknown, State::Pending]);
    assert!((100..=150).contains(&vendor.seconds()), "{}", vendor.seconds());
}

#[test]
fn a_provider_that_falls_silent_ends_the_run_in_an_explained_state() {
    let bench = Bench::new(members(1000, "a"));
    let answers: Answers = Arc::new(|_, _| Err(Error::new(ErrorKind::Unreachable, "away")));
    let vendor = Vendor { width: 1, answers, ..Vendor::of(&bench) };
    let report = apply(&bench, &vendor);
    assert_eq!((report.count(State::Failed), report.count(State::NotReached)), (3, 997));
    let why = report.steps[999].message.as_deref().unwrap();
    assert!(why.contains("`okta` has not answered for"), "{why}");
    assert!(vendor.seconds() < 660, "{}", vendor.seconds());
}

/// Remembers what it is told.
#[derive(Default)]
pub(super) struct Heard(pub(super) Mutex<Vec<String>>);

impl Progress for Heard {
    fn begun(&self, change: &Change, tally: Tally) {
        let told = format!("begun {} {}/{}", change.op, tally.ended, tally.total);
        self.0.lock().unwrap().push(told);
    }

    fn ended(&self, step: &Step, tally: Tally) {
        let left = tally.left.map(|left| left.as_secs());
        self.0.lock().unwrap().push(format!("{:?} {} left {left:?}", step.state, tally.ended));
    }

    fn waiting(&self, what: &str, until: Timestamp) {
        self.0.lock().unwrap().push(format!("{what} waits until {until}"));
    }
}

#[test]
fn progress_hears_what_begins_what_ends_and_what_is_waited_for() {
    let bench = Bench::new(members(3, "z"));
    let vendor = Vendor { width: 1, takes: |_| 40, ..Vendor::of(&bench) };
    let heard = Heard::default();
    let report = bench.apply_beside(&plan(&bench.changes), &vendor, &heard, async {}).unwrap();
    assert_eq!(report.count(State::Done), 3);
    assert_eq!(
        *heard.0.lock().unwrap(),
        [
            "begun grant 0/3",
            "okta z waits until 2026-11-22T12:01:00Z",
            "Done 1 left Some(22)",
            "begun grant 1/3",
            "Done 2 left Some(1)",
            "begun grant 2/3",
            "Done 3 left Some(0)"
        ]
    );
}

#[test]
fn invariant_27_a_look_that_shows_nothing_yet_is_no_proof() {
    // The answer is lost, what was made shows after five seconds, and the vendor says ten.
    let bench = Bench::new(vec![create("a")]);
    let world = bench.world.clone();
    let answers: Answers = Arc::new(move |_, tries| {
        assert_eq!(tries, 0, "it was made once more");
        Err(Error::new(ErrorKind::Unreachable, "lost").maybe_done())
    });
    let patience = Patience { lag: Duration::from_secs(10), ..Patience::default() };
    let vendor = Vendor { answers, patience, ..Vendor::of(&bench) };
    let shows = async {
        bench.clock.sleep(Duration::from_secs(5)).await;
        world.make(&create("a"));
    };
    let report = bench.apply_beside(&plan(&bench.changes), &vendor, &Silent, shows).unwrap();
    assert_eq!(states(&report), [State::Done]);
}
