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
    let places: Vec<&str> = patch.lines().filter_map(|line| line.strip_prefix("+++ ")).collect();
    assert!((1..=2).contains(&places.len()), "{places:?}");

    // Always in the same folder, so that what was built of it the last time is used and nothing piles up.
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let copy = scratch.join("toy");
    if copy.exists() {
        fs::remove_dir_all(&copy).unwrap();
    }
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        // Not what was built, which holds this copy, nor what Git, an editor or an agent keeps.
        let kept =
            scratch.starts_with(entry.path()) || name == "target" || name.to_string_lossy().starts_with('.');
        if !kept {
            copy_into(&entry.path(), &copy.join(name));
        }
    }

    // Git must not take the copy for a part of the repository that it lies in.
    let git = Command::new("git")
        .args(["apply", "--whitespace=nowarn"])
        .arg(root.join(PATCH))
        .current_dir(&copy)
        .env("GIT_CEILING_DIRECTORIES", scratch)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&git.stderr);
    assert!(git.status.success(), "{PATCH} does not fit the sources any more:\n{said}");
    for place in places {
        let place = place.strip_prefix("b/").unwrap();
        let changed = fs::read(copy.join(place)).unwrap();
        assert!(fs::read(root.join(place)).ok() != Some(changed), "{place} was not changed");
    }

    // To Cargo a copy is the same package, wherever it stands: under the same version its build would pass for ours.
    let before = "\nname = \"rolecall\"\n";
    for file in ["Cargo.toml", "Cargo.lock"] {
        let text = fs::read_to_string(copy.join(file)).unwrap();
        let (start, rest) = text.split_once(before).unwrap();
        let rest = rest.replacen("version = \"", "version = \"100", 1);
        fs::write(copy.join(file), format!("{start}{before}{rest}")).unwrap();
    }
    // A build, not a check, of this package alone: the dependencies that this test was linked with are in the same
    // target folder and are built for it already.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--lib", "--offline", "--locked", "--quiet"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let cargo = cargo.current_dir(&copy).env("CARGO_TARGET_DIR", scratch.parent().unwrap()).output().unwrap();
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
