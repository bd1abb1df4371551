//! `journal show` over the journals of applies that ended, died, or were tampered with.
//!
//! Invariant: it needs nothing but files, and shows what it can whatever is wrong with the rest.

use std::fs;

use serde_json::Value;

use crate::repo::{Repo, package};

/// An access repo whose apply died after some writes, and the id of its plan.
fn died(writes: u32) -> (Repo, String) {
    let repo = Repo::empty();
    let case = package("tests/fixtures/kill");
    repo.add(&case.join("base"));
    fs::copy(case.join("world.yaml"), repo.path().join("world.yaml")).unwrap();
    let id = repo.plan()["id"].as_str().unwrap().to_owned();
    repo.write(
        "world.yaml",
        &format!("{}faults: {{ kill_after_writes: {writes} }}\n", repo.read("world.yaml")),
    );
    repo.expect(-1, &["apply", "--yes"]);
    (repo, id)
}

fn journal(id: &str) -> String {
    format!(".rolecall/journals/{id}.jsonl")
}

#[test]
fn the_journal_of_an_apply_that_died_says_what_is_left_and_how_to_go_on() {
    let (repo, id) = died(3);
    let text = repo.expect(0, &["journal", "show"]).stdout;
    for part in ["not finished: ", " unknown", " not begun + ", "; interrupted: ", &id] {
        assert!(text.contains(part), "`{part}` in\n{text}");
    }
    assert!(text.contains("\n           rolecall apply\n"), "{text}");

    // A later plan takes the place of the last one: then the command names the plan.
    repo.replace("world.yaml", "faults: { kill_after_writes: 3 }\n", "");
    repo.expect(0, &["plan"]);
    let line = format!("rolecall apply ./.rolecall/plans/{id}.json");
    let text = repo.expect(0, &["journal", "show", &id[..5]]).stdout;
    assert!(text.contains(&line), "{text}");
    repo.expect(0, &["apply", &format!(".rolecall/plans/{id}.json"), "--yes"]);
    let text = repo.expect(0, &["journal", "show", "."]).stdout;
    assert!(text.starts_with("finished: ") && !text.contains("not begun"), "{text}");
    assert!(text.contains("run 2"), "{text}");

    let told: Value =
        serde_json::from_str(&repo.expect(0, &["journal", "show", "--format", "json"]).stdout).unwrap();
    assert_eq!((&told["plan"], told["runs"].as_array().unwrap().len()), (&Value::from(id), 2));
    let markdown = repo.expect(0, &["journal", "show", "--format", "markdown"]).stdout;
    assert!(markdown.starts_with("### Finished: "), "{markdown}");
}

#[test]
fn a_plan_that_is_not_kept_any_more_is_not_named() {
    let (repo, id) = died(3);
    fs::remove_file(repo.path().join(format!(".rolecall/plans/{id}.json"))).unwrap();
    let text = repo.expect(0, &["journal", "show"]).stdout;
    assert!(text.contains("the plan itself is not here") && !text.contains("plans/"), "{text}");
}

#[test]
fn invariant_40_a_broken_journal_is_an_error_and_what_stands_before_is_shown() {
    let (repo, id) = died(3);
    let text = repo.read(&journal(&id));
    let lines: Vec<&str> = text.lines().collect();
    let changed = lines[4].replacen("\"attempt\":1", "\"attempt\":2", 1).replacen("done", "sone", 1);
    assert_ne!(changed, lines[4]);
    repo.write(&journal(&id), &text.replacen(lines[4], &changed, 1));
    for format in ["text", "markdown", "json"] {
        let shown = repo.expect(1, &["journal", "show", "--format", format]).stdout;
        assert!(shown.contains("line 5 of ") && shown.contains("RC612"), "{shown}");
        let target = serde_json::from_str::<Value>(lines[2]).unwrap()["target"].as_str().unwrap().to_owned();
        assert!(shown.contains(&target), "{target} in\n{shown}");
    }
    assert!(repo.expect(1, &["apply", "--yes"]).stderr.contains("line 5 of "));
}

#[test]
fn a_journal_is_shown_whatever_is_wrong_with_the_rest() {
    let (repo, id) = died(2);
    repo.write("roles/broken.yaml", "{");
    repo.write(&format!(".rolecall/plans/{id}.json"), "{");
    let torn = repo.read(&journal(&id)) + "{\"number\":9,";
    repo.write(&journal(&id), &torn);
    let ran = repo.expect(0, &["journal", "show"]);
    assert!(ran.stdout.contains("12 bytes of it") && ran.stdout.contains("unknown"), "{}", ran.stdout);
    assert!(ran.stderr.contains("cannot be loaded") && ran.stderr.contains("RC701"), "{}", ran.stderr);
    assert_eq!(repo.read(&journal(&id)), torn, "showing writes nothing");

    let elsewhere = Repo::empty();
    elsewhere.write("x.jsonl", &torn);
    let shown = elsewhere.expect(0, &["journal", "show", "x.jsonl"]).stdout;
    assert!(shown.contains(&id) && shown.contains("the plan itself is not here"), "{shown}");
}

#[test]
fn the_journal_that_is_meant_is_found_or_others_are_named() {
    let (repo, id) = died(2);
    fs::copy(repo.path().join(journal(&id)), repo.path().join(journal("00a"))).unwrap();
    fs::copy(repo.path().join(journal(&id)), repo.path().join(journal("00b"))).unwrap();
    let error = repo.expect(1, &["journal", "show", "00"]).stderr;
    assert!(error.contains("begin with `00`") && error.contains("`00a`, `00b`"), "{error}");
    let error = repo.expect(1, &["journal", "show", "zz"]).stderr;
    assert!(error.contains("RC614") && error.contains(&id), "{error}");
    assert!(
        Repo::empty().expect(1, &["journal", "show"]).stderr.contains("nothing was applied from here yet")
    );
    repo.expect(64, &["journal"]);
}
