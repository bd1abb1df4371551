//! A journal that survives crashes and shows tampering; a lock that names its holder.

use std::path::PathBuf;

use super::*;
use crate::apply::fixture::{create, grant, plan, start};

impl Journal {
    /// Makes every further write fail, as a disk that is gone would.
    pub(in crate::apply) fn break_down(&mut self) {
        let disk = crate::apply::disk::MemoryDisk::new();
        disk.crash(0, crate::apply::disk::Crash::Before);
        self.file.disk = std::sync::Arc::new(disk);
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
        assert!(history.records.iter().any(|record| record.event == Event::Resumed { torn: cut }));
        assert!(fs::read(place.path()).unwrap().starts_with(&whole), "nothing whole is rewritten");
    }
}

#[test]
fn a_journal_torn_before_its_first_record_begins_anew() {
    let place = Bench::new();
    fs::write(place.path(), b"{\"number\":0,").unwrap();
    let journal = place.open().unwrap();
    assert_eq!(journal.history().plan(), Some("p1"));
    assert_eq!(journal.history().records.len(), 2);
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
