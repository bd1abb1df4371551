//! Both disks do the same; and the one in memory does what crashes and full disks do.

use super::*;

/// Runs a test on both, below a folder.
fn on_both(test: impl Fn(&dyn Disk, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    test(&Folder, &folder.path().join("made/on/the/way"));
    test(&MemoryDisk::new(), Path::new("made/on/the/way"));
}

fn text(disk: &dyn Disk, file: &Path) -> Option<String> {
    disk.read(file).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn what_is_appended_follows_what_is_there() {
    on_both(|disk, root| {
        let file = root.join("a");
        assert_eq!(text(disk, &file), None);
        disk.append(&file, 0, b"one").unwrap();
        disk.append(&file, 3, b"two").unwrap();
        assert_eq!(text(disk, &file).unwrap(), "onetwo");
        disk.cut(&file, 4).unwrap();
        assert_eq!(text(disk, &file).unwrap(), "onet");
        disk.append(&file, 4, b"").unwrap();
        assert_eq!(disk.cut(&root.join("b"), 0).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn nothing_is_appended_to_what_somebody_else_writes() {
    on_both(|disk, root| {
        let file = root.join("a");
        disk.append(&file, 0, b"one").unwrap();
        for length in [0, 2, 4] {
            let error = disk.append(&file, length, b"two").unwrap_err();
            assert!(error.to_string().contains("it has 3 bytes"), "{error}");
        }
        assert!(disk.append(&root.join("b"), 1, b"two").is_err(), "it is gone");
        assert_eq!((text(disk, &file).unwrap().as_str(), text(disk, &root.join("b"))), ("one", None));
    });
}

#[test]
fn files_are_replaced_renamed_listed_and_removed_with_their_folders() {
    on_both(|disk, root| {
        assert_eq!(disk.list(&root.join("x")).unwrap(), [""; 0]);
        for name in ["x/b", "x/a.b", "x/a/c", "x/a/d/e", "xy"] {
            disk.replace(&root.join(name), b"old").unwrap();
            disk.replace(&root.join(name), name.as_bytes()).unwrap();
        }
        assert_eq!(disk.list(&root.join("x")).unwrap(), ["a.b", "a/c", "a/d/e", "b"]);
        assert!(disk.rename(&root.join("z"), &root.join("x/z")).is_err(), "there is no such folder");
        disk.rename(&root.join("x/a"), &root.join("z")).unwrap();
        assert!(disk.rename(&root.join("z"), &root.join("x")).is_err(), "there is one already");
        assert_eq!(disk.list(root).unwrap(), ["x/a.b", "x/b", "xy", "z/c", "z/d/e"]);
        assert_eq!(text(disk, &root.join("z/d/e")).unwrap(), "x/a/d/e");
        for name in ["x", "z/c", "nothing"] {
            disk.remove(&root.join(name)).unwrap();
        }
        assert_eq!(disk.list(root).unwrap(), ["xy", "z/d/e"]);
    });
}

#[test]
fn invariant_29_a_lock_is_held_by_one_until_it_lets_go() {
    on_both(|disk, root| {
        let file = root.join("lock");
        let Locking::Ours(held) = disk.lock(&file, b"one").unwrap() else { panic!("it was free") };
        let Locking::Taken(by) = disk.lock(&file, b"two").unwrap() else { panic!("it was taken") };
        assert_eq!(by, b"one");
        drop(held);
        assert!(matches!(disk.lock(&file, b"two").unwrap(), Locking::Ours(_)));
    });
}

#[test]
fn links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("kept")).unwrap();
    fs::write(root.join("kept/file"), "x").unwrap();
    fs::create_dir(root.join("tree")).unwrap();
    std::os::unix::fs::symlink(root.join("kept"), root.join("tree/link")).unwrap();
    assert_eq!(Folder.list(&root.join("tree")).unwrap(), [""; 0]);
    Folder.remove(&root.join("tree")).unwrap();
    assert_eq!(fs::read(root.join("kept/file")).unwrap(), b"x");
}

#[test]
fn a_process_that_died_does_nothing_more_until_there_is_a_new_one() {
    let (disk, file) = (MemoryDisk::new(), Path::new("a"));
    let held = disk.lock(Path::new("lock"), b"one").unwrap();
    disk.crash(1, Crash::Before);
    disk.append(file, 0, b"one").unwrap();
    assert!(disk.append(file, 3, b"two").is_err());
    assert!(disk.read(file).is_err() && disk.list(Path::new("")).is_err() && disk.remove(file).is_err());
    assert!(disk.lock(Path::new("lock"), b"two").is_err());
    assert!(disk.revive() && !disk.revive());
    assert_eq!((text(&disk, file).unwrap().as_str(), disk.operations()), ("one", 2));
    let Locking::Ours(next) = disk.lock(Path::new("lock"), b"two").unwrap() else { panic!("it was freed") };
    drop(held);
    let Locking::Taken(by) = disk.lock(Path::new("lock"), b"three").unwrap() else { panic!("it was taken") };
    assert_eq!(by, b"two", "what died gives up nothing that is not its own");
    drop(next);
}

/// What is left of `a`, `a.new` and two files in `b` by an operation that crashes.
fn left(how: Crash, operation: impl Fn(&MemoryDisk) -> io::Result<()>) -> [Option<String>; 4] {
    let disk = MemoryDisk::new();
    for file in ["a", "b/1", "b/2"] {
        disk.replace(Path::new(file), b"old").unwrap();
    }
    disk.crash(0, how);
    operation(&disk).unwrap_err();
    disk.revive();
    ["a", "a.new", "b/1", "b/2"].map(|file| text(&disk, Path::new(file)))
}

#[test]
fn an_operation_that_is_cut_short_leaves_no_more_than_it_may() {
    let some = |texts: [&str; 4]| texts.map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()));
    let old = some(["old", "", "old", "old"]);
    let file = Path::new("a");
    let all = [Crash::Before, Crash::Torn(1), Crash::After];

    let append = |disk: &MemoryDisk| disk.append(file, 3, b"new");
    let after = some(["oldnew", "", "old", "old"]);
    assert_eq!(all.map(|how| left(how, append)), [old.clone(), some(["oldn", "", "old", "old"]), after]);

    let cut = |disk: &MemoryDisk| disk.cut(file, 2);
    assert_eq!(all.map(|how| left(how, cut)), [old.clone(), old.clone(), some(["ol", "", "old", "old"])]);

    let replace = |disk: &MemoryDisk| disk.replace(file, b"new");
    let torn = some(["old", "n", "old", "old"]);
    assert_eq!(all.map(|how| left(how, replace)), [old.clone(), torn, some(["new", "", "old", "old"])]);

    let remove = |disk: &MemoryDisk| disk.remove(Path::new("b"));
    let torn = some(["old", "", "", "old"]);
    assert_eq!(all.map(|how| left(how, remove)), [old.clone(), torn, some(["old", "", "", ""])]);

    let rename = |disk: &MemoryDisk| disk.rename(Path::new("b"), Path::new("c"));
    assert_eq!(all.map(|how| left(how, rename)), [old.clone(), old, some(["old", "", "", ""])]);
}

#[test]
fn a_full_disk_takes_a_part_of_what_is_appended_and_nothing_of_what_replaces() {
    let (disk, file) = (MemoryDisk::new(), Path::new("a"));
    disk.replace(file, b"old").unwrap();
    disk.room(Some(2));
    assert_eq!(disk.append(file, 3, b"new").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(text(&disk, file).unwrap(), "oldne");
    assert_eq!(disk.replace(file, b"n").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.lock(Path::new("lock"), b"me").unwrap_err().kind(), ErrorKind::StorageFull);
    disk.cut(file, 3).unwrap();
    assert_eq!(disk.replace(file, b"new").unwrap_err().kind(), ErrorKind::StorageFull, "both must fit");
    disk.replace(file, b"n").unwrap();
    disk.append(file, 1, b"four").unwrap();
    disk.remove(file).unwrap();
    disk.append(file, 0, b"five5").unwrap();
    assert!(disk.append(file, 5, b"6").is_err());
    disk.room(None);
    disk.append(file, 5, b"6").unwrap();
    disk.unreachable(true);
    assert!(disk.lock(Path::new("lock"), b"me").is_err());
}
