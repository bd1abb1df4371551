//! A journal that survives crashes and shows tampering; a lock that names its holder.

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::apply::disk::{Crash, MemoryDisk};
use crate::apply::fixture::{create, grant, plan, start};
use crate::model::report::State;
use crate::model::{Approval, Op};

impl Journal {
    /// Makes every further write fail, as a disk that is gone would.
    pub(in crate::apply) fn break_down(&mut self) {
        let disk = MemoryDisk::new();
        disk.crash(0, Crash::Before);
        self.file.disk = Arc::new(disk);
    }
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("p1.jsonl")
    }

    fn place(&self) -> Place {
        Place::at(self.path())
    }

    fn lock(&self) -> Lock {
        Lock::take(&Place::at(self.folder.path().join("lock")), "a test", start()).unwrap()
    }

    fn open(&self) -> Result<Journal, Box<Finding>> {
        let lock = self.lock();
        Journal::open(&self.place(), &plan(&[create("a")]), start(), &lock)
    }

    fn read(&self) -> History {
        History::read(&self.place()).unwrap().unwrap()
    }
}

fn intent(name: &str) -> Event {
    let change = create(name);
    Event::Intent { effect: change.effect.clone(), op: change.op, target: change.target(), attempt: 1 }
}

fn outcome(name: &str, state: State) -> Event {
    Event::Outcome { effect: create(name).effect, state, message: None, request_id: None, poll: None }
}

#[test]
fn a_journal_tells_what_is_done_pending_and_unknown() {
    let place = Bench::new();
    let mut journal = place.open().unwrap();
    for event in
        [intent("a"), outcome("a", State::Done), intent("b"), outcome("b", State::Pending), intent("c")]
    {
        journal.append(start(), event).unwrap();
    }
    let history = place.read();
    assert_eq!(&history, journal.history());
    let states = history.states();
    let state = |name: &str| states.get(&create(name).effect).copied();
    assert_eq!(
        [state("a"), state("b"), state("c"), state("d")],
        [Some(State::Done), Some(State::Pending), Some(State::Unknown), None]
    );
    assert!(history.is_open() && !history.is_finished());
    journal.finish(start(), &plan(&[])).unwrap();
    assert!(place.read().is_finished() && !place.read().is_open());
}

#[test]
fn invariant_24_a_torn_last_line_is_cut_off_and_noted_wherever_it_is_torn() {
    let place = Bench::new();
    let mut journal = place.open().unwrap();
    journal.append(start(), intent("a")).unwrap();
    let whole = fs::read(place.path()).unwrap();
    journal.append(start(), outcome("a", State::Done)).unwrap();
    drop(journal);
    let longer = fs::read(place.path()).unwrap();
    for torn in whole.len() + 1..longer.len() {
        fs::write(place.path(), &longer[..torn]).unwrap();
        let cut = (torn - whole.len()) as u64;
        assert_eq!(place.read().torn, cut);
        let mut journal = place.open().unwrap();
        assert_eq!(journal.history().states()[&create("a").effect], State::Unknown);
        journal.append(start(), outcome("a", State::Done)).unwrap();
        drop(journal);
        let history = place.read();
        assert_eq!(history.torn, 0);
        assert_eq!(history.runs[1].torn, cut);
        assert!(fs::read(place.path()).unwrap().starts_with(&whole), "nothing whole is rewritten");
    }
}

#[test]
fn a_journal_torn_before_its_first_record_begins_anew() {
    let place = Bench::new();
    fs::write(place.path(), b"{\"number\":0,").unwrap();
    let journal = place.open().unwrap();
    assert_eq!(journal.history().plan.as_deref(), Some("p1"));
    assert_eq!(journal.history().runs.iter().map(|run| run.torn).collect::<Vec<_>>(), [12]);
    assert_eq!(&place.read(), journal.history());
}

#[test]
fn invariant_40_a_changed_dropped_or_reordered_record_breaks_the_chain() {
    let place = Bench::new();
    let mut journal = place.open().unwrap();
    for name in ["a", "b", "c"] {
        journal.append(start(), intent(name)).unwrap();
    }
    drop(journal);
    let text = fs::read_to_string(place.path()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let put = |lines: &[&str]| fs::write(place.path(), format!("{}\n", lines.join("\n"))).unwrap();
    let changed = lines[1].replace("group/a", "group/z");
    for wrong in [
        vec![lines[0], &changed, lines[2], lines[3]],
        vec![lines[0], lines[2], lines[3]],
        vec![lines[0], lines[2], lines[1], lines[3]],
        vec![lines[0], "", lines[1]],
    ] {
        put(&wrong);
        let error = place.open().unwrap_err();
        assert_eq!(error.code.as_ref(), JOURNAL_BROKEN.code);
        assert!(History::read(&place.place()).is_err());
    }
    put(&lines);
    assert!(place.open().is_ok());
}

#[test]
fn the_journal_of_another_plan_is_refused() {
    let place = Bench::new();
    drop(place.open().unwrap());
    let lock = place.lock();
    let other = Plan { id: "p2".into(), ..plan(&[grant("x", "a")]) };
    let error = Journal::open(&place.place(), &other, start(), &lock).unwrap_err();
    assert!(error.message.contains("plan `p1`, not of `p2`"), "{error}");
}

#[test]
fn there_is_no_history_where_there_is_no_journal() {
    assert_eq!(History::read(&Bench::new().place()), Ok(None));
}

#[test]
fn invariant_29_a_lock_that_is_taken_says_by_whom_and_how_to_free_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = Place::at(folder.path().join("lock"));
    let lock = Lock::take(&path, "job 7 of klibby", start()).unwrap();
    let later = "2026-11-22T13:02:03Z".parse().unwrap();
    let error = Lock::take(&path, "another", later).unwrap_err();
    let pid = std::process::id();
    assert_eq!(error.code.as_ref(), LOCKED.code);
    assert!(error.message.starts_with("job 7 of klibby holds the lock"), "{error}");
    assert!(error.message.contains(&format!("process {pid}")) && error.message.ends_with("for 1h 2m 3s"));
    assert!(error.help.as_deref().unwrap().contains("which frees the lock"));
    drop(lock);
    assert_eq!(fs::read(&path.file).unwrap(), b"", "a free lock names nobody");
    assert!(Lock::take(&path, "another", later).is_ok());
}

#[test]
fn invariant_24_a_lock_whose_holder_was_killed_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = Place::at(folder.path().join("lock"));
    let holder = r#"{"who":"a killed job","host":"h","pid":1,"since":"2026-11-22T12:00:00Z"}"#;
    fs::write(&path.file, holder).unwrap();
    assert!(Lock::take(&path, "the next", start()).is_ok());
}

#[test]
fn invariant_29_a_lock_that_cannot_be_reached_refuses() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let path = Place::at(folder.path().join("file/lock"));
    let error = Lock::take(&path, "me", start()).unwrap_err();
    assert!(error.message.contains("cannot be reached"), "{error}");
}

/// A journal on a disk in memory.
fn on(disk: &MemoryDisk) -> Place {
    Place { disk: Arc::new(disk.clone()), file: "p1.jsonl".into() }
}

fn open(disk: &MemoryDisk) -> Result<Journal, Box<Finding>> {
    let lock = Place { file: "lock".into(), ..on(disk) };
    Journal::open(&on(disk), &plan(&[create("a")]), start(), &Lock::take(&lock, "a test", start())?)
}

fn bytes(disk: &MemoryDisk) -> Vec<u8> {
    on(disk).disk.read(&on(disk).file).unwrap().unwrap_or_default()
}

/// What is read of these bytes.
fn parse(bytes: &[u8]) -> Reading {
    Reading::of(bytes, &on(&MemoryDisk::new()))
}

/// What these lines tell, one by one.
fn events(bytes: &[u8]) -> Vec<Event> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    lines.map(|line| serde_json::from_slice::<Record>(line).unwrap().event).collect()
}

/// A journal of a few records, of all sorts.
fn story() -> Vec<u8> {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk).unwrap();
    journal.append(start(), Event::Approved { approval: Approval::Simulated }).unwrap();
    journal.append_all(start(), [intent("a"), intent("b")]).unwrap();
    journal.append(start(), outcome("a", State::Done)).unwrap();
    journal = open(&disk).unwrap();
    journal.finish(start(), &plan(&[])).unwrap();
    bytes(&disk)
}

#[test]
fn invariant_40_any_byte_that_is_not_what_was_written_is_noticed() {
    let whole = story();
    for at in 0..whole.len() {
        for flip in [1, 2, 4, 8, 16, 32, 64, 128, b'\n' ^ whole[at], b'"' ^ whole[at]] {
            let mut changed = whole.clone();
            changed[at] ^= flip;
            let Reading { history, broken, .. } = parse(&changed);
            let same = flip == 0;
            // The last line without its end is one that is torn.
            let noticed = broken.is_some() || (at + 1 == whole.len() && history.torn > 0);
            assert!(noticed != same, "byte {at} ^ {flip}: {history:?}");
        }
    }
}

#[test]
fn invariant_40_any_line_that_is_dropped_doubled_or_swapped_is_noticed_and_named() {
    let whole = story();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let broken = |lines: &[&[u8]]| parse(&lines.concat()).broken.map(|broken| broken.message);
    for one in 0..lines.len() {
        let line = |number: usize| format!("line {number} of `p1.jsonl` does not follow");
        let mut dropped = lines.clone();
        dropped.remove(one);
        // That the last one is missing is what a crash leaves, and the journal is open then.
        let told = broken(&dropped);
        assert_eq!(told.is_some_and(|told| told.starts_with(&line(one + 1))), one + 1 < lines.len());
        let mut doubled = lines.clone();
        doubled.insert(one, lines[one]);
        assert!(broken(&doubled).unwrap().starts_with(&line(one + 2)));
        for other in one + 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(one, other);
            assert!(broken(&swapped).unwrap().starts_with(&line(one + 1)));
        }
    }
}

#[test]
fn what_stands_before_a_broken_line_is_still_told() {
    let whole = story();
    let mut changed = whole.clone();
    let last = whole.len() - 3;
    changed[last] ^= 1;
    let disk = MemoryDisk::new();
    on(&disk).disk.append(&on(&disk).file, 0, &changed).unwrap();
    let Reading { history, broken, .. } = super::read(&on(&disk)).unwrap().unwrap();
    assert_eq!((history.records, history.states().len(), history.is_finished()), (6, 2, false));
    assert!(broken.unwrap().message.starts_with("line 7 of"));
    assert!(History::read(&on(&disk)).is_err() && open(&disk).is_err());
    assert_eq!(bytes(&disk), changed, "nothing is written after it");
}

#[test]
fn a_journal_of_another_format_is_not_read() {
    let event = Event::Opened {
        format: "rolecall.journal/v9".into(),
        plan: "p1".into(),
        effect: Digest::of_bytes(b""),
        torn: 0,
    };
    let (line, _) = seal(&Record { number: 0, at: start(), prev: Digest::of_bytes(b""), event }).unwrap();
    assert!(parse(&line).broken.unwrap().message.contains("`rolecall.journal/v9`"));
}

#[test]
fn invariant_24_a_journal_that_is_torn_at_any_byte_tells_the_lines_that_are_whole() {
    let whole = story();
    for length in 0..=whole.len() {
        let Reading { history, end, broken } = parse(&whole[..length]);
        assert_eq!(broken, None);
        let lines = whole[..length].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!((history.records, end.length + history.torn), (lines as u64, length as u64));
    }
}

/// What a run does to its journal, as far as it gets, and how many events it was told are there.
fn run(disk: &MemoryDisk, groups: &[Vec<Event>]) -> usize {
    let Ok(mut journal) = open(disk) else { return 0 };
    let mut told = 1;
    for group in groups {
        if journal.append_all(start(), group.clone()).is_err() {
            break;
        }
        told += group.len();
    }
    told
}

#[test]
fn invariant_24_after_a_crash_at_any_operation_all_that_was_told_to_be_there_is_there() {
    let groups = [
        vec![Event::Approved { approval: Approval::Standing }],
        vec![intent("a"), intent("b"), intent("c")],
        vec![outcome("b", State::Done)],
    ];
    let all: Vec<Event> = groups.concat();
    for how in [0, 1, 300, 700, 5000].map(Crash::Torn).into_iter().chain([Crash::Before, Crash::After]) {
        for at in 0..5 {
            let disk = MemoryDisk::new();
            disk.crash(at, how);
            let told = run(&disk, &groups);
            assert_eq!(disk.revive(), at < 4);
            let before = bytes(&disk);
            let Reading { history, end, broken } = parse(&before);
            assert_eq!(broken, None, "{how:?} at {at}");
            assert!(history.records >= told as u64, "{how:?} at {at}: {told} were told to be there");
            let kept = events(&before[..usize::try_from(end.length).unwrap()]);
            assert!(kept.is_empty() || all.starts_with(&kept[1..]), "{how:?} at {at}: {kept:?}");

            assert_eq!(run(&disk, &groups), 5 + 1);
            let after = bytes(&disk);
            assert!(after.starts_with(&before[..usize::try_from(end.length).unwrap()]), "{how:?} at {at}");
            let read = parse(&after);
            assert_eq!((read.broken, read.history.torn), (None, 0));
            assert_eq!(read.history.runs.last().unwrap().torn, history.torn);
        }
    }
}

#[test]
fn invariant_24_a_journal_on_a_full_disk_goes_on_behind_what_is_whole_once_there_is_room() {
    for room in 0..1200 {
        let disk = MemoryDisk::new();
        let mut journal = open(&disk).unwrap();
        journal.append(start(), intent("a")).unwrap();
        let known = journal.history().clone();
        disk.room(Some(room));
        let full = journal.append_all(start(), [intent("b"), outcome("a", State::Done)]);
        let Err(full) = full else {
            assert!(room > 300, "it fits into {room} bytes");
            break;
        };
        assert!(full.message.contains("no space left"), "{full}");
        assert_eq!(journal.history(), &known, "what could not be written has not happened");
        disk.room(Some(room));
        let again = journal.append(start(), outcome("a", State::Failed));
        disk.room(None);
        journal.append(start(), intent("c")).unwrap();
        let read = parse(&bytes(&disk));
        assert_eq!((read.broken, &read.history), (None, journal.history()), "room for {room}");
        assert_eq!(read.history.records, 3 + u64::from(again.is_ok()));
    }
}

fn event() -> impl Strategy<Value = Event> {
    use State::*;
    let name = || prop::sample::select(vec!["a", "b", "c", "d"]);
    let text = || prop::option::of(prop_oneof![any::<String>(), Just(format!("x{SEAL}sha256:0\"}}\n"))]);
    let states = vec![Done, Already, Pending, Refused, Failed, Unknown, NotReached];
    prop_oneof![
        Just(Event::Approved { approval: Approval::Operator(Digest::of_bytes(b"x")) }),
        (name(), any::<String>(), any::<u32>()).prop_map(|(name, target, attempt)| Event::Intent {
            effect: create(name).effect,
            op: Op::Create,
            target,
            attempt
        }),
        (name(), prop::sample::select(states), text(), text(), text()).prop_map(
            |(name, state, message, request_id, poll)| Event::Outcome {
                effect: create(name).effect,
                state,
                message,
                request_id,
                poll
            }
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_history_reads_back_as_it_was_written(
        runs in prop::collection::vec(prop::collection::vec(prop::collection::vec(event(), 0..4), 0..4), 1..4)
    ) {
        let disk = MemoryDisk::new();
        let mut expected = Vec::new();
        for groups in &runs {
            let mut journal = open(&disk).unwrap();
            expected.push(None);
            for group in groups {
                journal.append_all(start(), group.clone()).unwrap();
                expected.extend(group.iter().cloned().map(Some));
            }
            prop_assert_eq!(&History::read(&on(&disk)).unwrap().unwrap(), journal.history());
        }
        let read = events(&bytes(&disk));
        prop_assert_eq!(read.len(), expected.len());
        for (read, expected) in read.iter().zip(&expected) {
            match expected {
                Some(expected) => prop_assert_eq!(read, expected),
                None => {
                    let begins = matches!(read, Event::Opened { .. } | Event::Resumed { .. });
                    prop_assert!(begins, "{:?} begins a run", read);
                }
            }
        }
    }
}
