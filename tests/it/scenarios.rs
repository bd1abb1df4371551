//! Scenarios: small access repos with a world, each a feature to learn and a promise to keep.
//!
//! `tests/scenarios/CASE/`: `head/` is planned in `world.yaml`. Where there is a `base/`, it was applied before, in
//! `past.yaml` (or else in the world as it is). Goldens: `plan.txt`, `note.md`, `report.txt`, `journal.jsonl`.
//! Invariant: after the apply a second plan has no change.

use std::fs;
use std::path::Path;

use crate::repo::{Repo, golden, package};

#[test]
fn every_scenario_is_what_it_was_and_converges() {
    let mut cases: Vec<_> =
        fs::read_dir(package("tests/scenarios")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases.iter().filter(|path| path.is_dir()) {
        println!("scenario {}", case.file_name().unwrap().to_string_lossy());
        scenario(case);
    }
}

fn scenario(case: &Path) {
    let repo = Repo::empty();
    let world = case.join("world.yaml");
    if case.join("base").is_dir() {
        let past = case.join("past.yaml");
        repo.add(&case.join("base"));
        fs::copy(if past.is_file() { &past } else { &world }, repo.path().join("world.yaml")).unwrap();
        repo.converge();
        let kept = repo.read("world.yaml");
        repo.clear();
        repo.write("world.yaml", &kept);
        if past.is_file() {
            fs::copy(&world, repo.path().join("world.yaml")).unwrap();
        }
    } else {
        fs::copy(&world, repo.path().join("world.yaml")).unwrap();
    }
    repo.add(&case.join("head"));
    let plan = repo.run(&["plan", "--out", "out"]);
    golden(&case.join("plan.txt"), &format!("{}{}", plan.stdout, plan.stderr));
    if plan.code != 0 {
        return;
    }
    golden(&case.join("note.md"), &repo.read("out/plan.md"));
    let id = serde_json::from_str::<serde_json::Value>(&repo.read("out/plan.json")).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    // What the gate denies stays denied; the rest is applied all the same.
    let report = repo.run(&["apply", "--yes"]);
    assert!(matches!(report.code, 0 | 3), "{}{}", report.stdout, report.stderr);
    golden(&case.join("report.txt"), &report.stdout);
    golden(&case.join("journal.jsonl"), &repo.read(&format!(".rolecall/journals/{id}.jsonl")));
    let left = repo.plan();
    assert_eq!(
        left["changes"].as_array().unwrap().len(),
        0,
        "{}: the second plan is not empty",
        case.display()
    );
}
