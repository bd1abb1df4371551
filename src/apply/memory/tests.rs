//! What is remembered is the old or the new, whatever happens in between.

use super::*;
use crate::apply::disk::{Crash, MemoryDisk};
use crate::apply::fixture::{create, plan, start};

fn verified(text: &str) -> Verified {
    Verified {
        sources: Sources::of([("rolecall.yaml", text), ("roles/a/b.yaml", "x"), (text, "only here")]),
        base: BaseRecord::new(None, text, start()),
        demand: Some(demand(text)),
        snapshot: Some(Snapshot { calls: [(text.into(), 1)].into(), ..Snapshot::default() }),
    }
}

fn demand(text: &str) -> Demand {
    Demand { format: text.to_owned(), ..Demand::default() }
}

fn a_plan(name: &str) -> Plan {
    let mut plan = plan(&[create(name)]);
    plan.id = Plan::id_of(&plan.effect, plan.created, &plan.base);
    plan
}

/// What a memory tells: which apply it was, and whether all of it is of that one.
fn told(memory: &Memory) -> Option<String> {
    let Verified { sources, base, demand, snapshot } = memory.verified().unwrap()?;
    let expected = verified(&base.plan);
    assert_eq!((&sources, &base), (&expected.sources, &expected.base));
    assert_eq!(snapshot, expected.snapshot);
    assert_eq!(demand, expected.demand);
    Some(base.plan)
}

/// A crash in each of some operations, and each way in which it can leave things.
fn crashes(operations: u64) -> impl Iterator<Item = (u64, Crash)> {
    let ways =
        [Crash::Before, Crash::Torn(0), Crash::Torn(1), Crash::Torn(2), Crash::Torn(999), Crash::After];
    (0..operations).flat_map(move |at| ways.map(|how| (at, how)))
}

/// How many operations something takes that remembers.
fn operations(first: &str, then: impl Fn(&Memory)) -> u64 {
    let disk = MemoryDisk::new();
    let memory = Memory::on(Arc::new(disk.clone()));
    memory.advance(&verified(first)).unwrap();
    let before = disk.operations();
    then(&memory);
    disk.operations() - before
}

#[test]
fn what_was_verified_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let disk = MemoryDisk::new();
    for memory in [Memory::at(folder.path().join("m")), Memory::on(Arc::new(disk))] {
        assert_eq!(told(&memory), None);
        memory.keep_demand(&demand("none")).unwrap();
        assert_eq!(told(&memory), None, "without a base nothing is kept");
        for text in ["one", "two", "two"] {
            memory.advance(&verified(text)).unwrap();
            assert_eq!(told(&memory).as_deref(), Some(text));
        }
        memory.advance(&Verified { demand: None, snapshot: None, ..verified("two") }).unwrap();
        let read = memory.verified().unwrap().unwrap();
        assert_eq!((read.demand, read.snapshot), (None, None));
        memory.keep_demand(&demand("three")).unwrap();
        assert_eq!(memory.verified().unwrap().unwrap().demand, Some(demand("three")));
    }
    let mut left: Vec<_> = std::fs::read_dir(folder.path().join("m")).unwrap().flatten().collect();
    assert_eq!(left.pop().unwrap().file_name(), "verified", "nothing else is left behind");
    assert!(left.is_empty());
}

#[test]
fn invariant_24_a_crash_at_any_operation_leaves_the_old_or_the_new() {
    let last = operations("one", |memory| memory.advance(&verified("two")).unwrap());
    assert!(last > 9, "it is more than a few: {last}");
    // Twice in a row, since a crash must not spoil what the next one leaves either. The second advance has to settle the first
    // one's crash, which takes a few more.
    for (first, how) in crashes(last + 1) {
        for (second, then) in crashes(last + 3) {
            let disk = MemoryDisk::new();
            let memory = Memory::on(Arc::new(disk.clone()));
            memory.advance(&verified("one")).unwrap();
            disk.crash(first, how);
            let done = memory.advance(&verified("two")).is_ok();
            assert_eq!(disk.revive(), first < last);
            let before = told(&memory).unwrap();
            assert!(if done { before == "two" } else { ["one", "two"].contains(&before.as_str()) });

            disk.crash(second, then);
            let done = memory.advance(&verified("three")).is_ok();
            disk.revive();
            let after = told(&memory).unwrap();
            let expected = if done { vec!["three"] } else { vec![before.as_str(), "three"] };
            assert!(
                expected.contains(&after.as_str()),
                "{first} {how:?}, {second} {then:?}: {before} {after}"
            );
            memory.advance(&verified("four")).unwrap();
            assert_eq!(told(&memory).as_deref(), Some("four"));
            assert_eq!(disk.list(Path::new("")).unwrap().len(), 6, "nothing else is left behind");
        }
    }
}

#[test]
fn invariant_44_a_first_apply_that_crashes_is_none_or_whole() {
    let last = operations("one", |memory| memory.advance(&verified("two")).unwrap());
    for (at, how) in crashes(last) {
        let disk = MemoryDisk::new();
        let memory = Memory::on(Arc::new(disk.clone()));
        disk.crash(at, how);
        let done = memory.advance(&verified("one")).is_ok();
        disk.revive();
        let read = told(&memory);
        assert!(read.is_none() && !done || read.as_deref() == Some("one"), "{at} {how:?}");
        memory.advance(&verified("two")).unwrap();
        assert_eq!(told(&memory).as_deref(), Some("two"));
    }
}

#[test]
fn invariant_24_a_demand_or_a_plan_is_kept_or_not() {
    for (at, how) in crashes(operations("one", |memory| memory.keep_demand(&demand("two")).unwrap())) {
        let disk = MemoryDisk::new();
        let memory = Memory::on(Arc::new(disk.clone()));
        memory.advance(&verified("one")).unwrap();
        disk.crash(at, how);
        let done = memory.keep_demand(&demand("two")).is_ok();
        disk.revive();
        let read = memory.verified().unwrap().unwrap();
        let kept = read.demand.unwrap();
        assert!(kept == demand("two") || (!done && kept == demand("one")), "{at} {how:?}");
        assert_eq!((read.sources, read.snapshot), (verified("one").sources, verified("one").snapshot));
    }
    let (one, two) = (a_plan("one"), a_plan("two"));
    for (at, how) in crashes(operations("one", |memory| drop(memory.save_plan(&two).unwrap()))) {
        let disk = MemoryDisk::new();
        let memory = Memory::on(Arc::new(disk.clone()));
        memory.save_plan(&one).unwrap();
        disk.crash(at, how);
        let done = memory.save_plan(&two).is_ok();
        disk.revive();
        let last = memory.last_plan().unwrap();
        assert!(last == two || (!done && last == one), "{at} {how:?}");
    }
}

#[test]
fn invariant_24_a_demand_is_kept_with_what_a_crash_left_to_be_settled() {
    let last = operations("one", |memory| memory.advance(&verified("two")).unwrap());
    for (at, how) in crashes(last) {
        let disk = MemoryDisk::new();
        let memory = Memory::on(Arc::new(disk.clone()));
        memory.advance(&verified("one")).unwrap();
        disk.crash(at, how);
        memory.advance(&verified("two")).unwrap_err();
        disk.revive();
        let before = memory.verified().unwrap().unwrap();
        memory.keep_demand(&demand("three")).unwrap();
        let after = memory.verified().unwrap().unwrap();
        assert_eq!((after.base, after.demand), (before.base, Some(demand("three"))));
    }
}

#[test]
fn a_disk_that_fills_up_leaves_the_old_or_the_new_and_goes_on_once_there_is_room() {
    let mut fits = false;
    for room in 0..2000 {
        let disk = MemoryDisk::new();
        let memory = Memory::on(Arc::new(disk.clone()));
        memory.advance(&verified("one")).unwrap();
        disk.room(Some(room));
        fits = memory.advance(&verified("two")).is_ok();
        assert_eq!(told(&memory).as_deref(), Some(if fits { "two" } else { "one" }));
        disk.room(None);
        memory.advance(&verified("three")).unwrap();
        assert_eq!(told(&memory).as_deref(), Some("three"));
    }
    assert!(fits);
}

/// A disk on which an apply puts another memory in the place of the one that is being read, at the n-th thing that is read.
#[derive(Debug)]
struct Raced {
    disk: MemoryDisk,
    reads: std::sync::atomic::AtomicU64,
    at: u64,
}

impl Raced {
    fn read_on(&self) -> &MemoryDisk {
        if self.reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == self.at {
            Memory::on(Arc::new(self.disk.clone())).advance(&verified("two")).unwrap();
        }
        &self.disk
    }
}

impl Disk for Raced {
    fn read(&self, file: &Path) -> std::io::Result<Option<Vec<u8>>> {
        self.read_on().read(file)
    }
    fn list(&self, folder: &Path) -> std::io::Result<Vec<String>> {
        self.read_on().list(folder)
    }
    fn append(&self, file: &Path, length: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.disk.append(file, length, bytes)
    }
    fn cut(&self, file: &Path, length: u64) -> std::io::Result<()> {
        self.disk.cut(file, length)
    }
    fn replace(&self, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.disk.replace(file, bytes)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.disk.remove(path)
    }
    fn lock(&self, file: &Path, holder: &[u8]) -> std::io::Result<crate::apply::disk::Locking> {
        self.disk.lock(file, holder)
    }
}

#[test]
fn whoever_reads_while_an_apply_remembers_sees_one_of_the_two() {
    let mut seen = Vec::new();
    for at in 0..12 {
        let disk = MemoryDisk::new();
        Memory::on(Arc::new(disk.clone())).advance(&verified("one")).unwrap();
        let raced = Raced { disk, reads: 0.into(), at };
        seen.push(told(&Memory::on(Arc::new(raced))).unwrap());
    }
    assert!(seen.starts_with(&["two".to_owned()]) && seen.ends_with(&["one".to_owned()]), "{seen:?}");
}

#[test]
fn a_broken_memory_is_not_an_empty_one() {
    for file in ["verified/base.json", "verified/demand.json", "verified/snapshot.json", "plans/last"] {
        let disk = MemoryDisk::new();
        let memory = Memory::on(Arc::new(disk.clone()));
        memory.advance(&verified("one")).unwrap();
        disk.replace(Path::new(file), b"{").unwrap();
        if file == "plans/last" {
            assert_eq!(memory.last_plan().unwrap_err().code.as_ref(), "RC702");
        } else {
            assert_eq!(memory.verified().unwrap_err().code.as_ref(), "RC701");
        }
    }
    let disk = MemoryDisk::new();
    disk.crash(0, Crash::Before);
    disk.remove(Path::new("x")).unwrap_err();
    assert_eq!(Memory::on(Arc::new(disk)).verified().unwrap_err().code.as_ref(), "RC701");
}

#[test]
fn the_id_of_a_plan_leads_nowhere_else() {
    let memory = Memory::on(Arc::new(MemoryDisk::new()));
    for id in ["", "../x", "a/b", "."] {
        assert!(memory.journal(id).is_err());
    }
    assert_eq!(memory.journal("0ab").unwrap().to_string(), "journals/0ab.jsonl");
}
