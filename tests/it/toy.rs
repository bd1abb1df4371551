//! The proof that the seams are right: a kind is added to a provider in two places at most.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The toy kind, as a change to the sources. Mend it with them: it is the shortest guide to adding a kind.
const PATCH: &str = "tests/toy_kind.patch";

#[test]
fn a_new_kind_takes_two_places_at_most_and_builds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let patch = fs::read_to_string(root.join(PATCH)).unwrap();
    let places: Vec<&str> = patch.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
    assert!(places.len() <= 2, "{places:?}");

    // One folder for all runs, so that what was built for the last one is used and nothing piles up.
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("toy");
    let copy = built.join("copy");
    if copy.exists() {
        fs::remove_dir_all(&copy).unwrap();
    }
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        // Not what was built, which holds this copy, nor what Git, an editor or an agent keeps.
        let kept = entry.path() == built.parent().unwrap()
            || name == "target"
            || name.to_string_lossy().starts_with('.');
        if !kept {
            copy_into(&entry.path(), &copy.join(name));
        }
    }

    // Git must not take the copy for a part of the repository that it lies in.
    let git = Command::new("git")
        .args(["apply", "--whitespace=nowarn"])
        .arg(root.join(PATCH))
        .current_dir(&copy)
        .env("GIT_CEILING_DIRECTORIES", &built)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&git.stderr);
    assert!(git.status.success(), "{PATCH} does not fit the sources any more:\n{said}");
    for place in places {
        let changed = fs::read(copy.join(place)).unwrap();
        assert!(fs::read(root.join(place)).ok() != Some(changed), "{place} was not changed");
    }

    let cargo = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--locked", "--quiet"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", &built)
        .env("CARGO_INCREMENTAL", "0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&cargo.stderr);
    assert!(cargo.status.success(), "with the toy kind it does not build:\n{said}");
}

fn copy_into(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy_into(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}
