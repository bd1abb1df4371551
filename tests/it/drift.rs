//! Drift: told to issues, chats and collectors; accepted into the YAML; and taken back by the standing job where settings
//! say so.
//!
//! Invariant: what is accepted is asked for by the edit and no longer drifts once it is applied.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use crate::repo::Repo;

/// The group of the role, as the world writes it after the first apply.
const OWN: &str = "members: [dmurphy@example.com, klibby@example.com]\n      created";

fn settled() -> Repo {
    let repo = Repo::empty();
    repo.expect(0, &["init"]);
    repo.write(
        "native/lists.yaml",
        "kind: okta/Group\nname: rbac_lists\nallow_empty: true\n# who reads it\nmembers: [klibby]\n",
    );
    repo.converge();
    repo
}

/// Somebody puts rsantos into the role's group and takes dmurphy out.
fn by_hand(repo: &Repo) {
    repo.replace("world.yaml", OWN, "members: [klibby@example.com, rsantos@example.com]\n      created");
}

fn drift(repo: &Repo) -> Vec<Value> {
    let ran = repo.run(&["drift", "--format", "json"]);
    assert!(matches!(ran.code, 0 | 2), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn id(repo: &Repo, op: &str) -> String {
    let one = drift(repo).into_iter().find(|drift| drift["change"]["op"] == op).unwrap();
    one["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_given_by_hand_becomes_an_entry_and_what_was_taken_an_exception() {
    let repo = settled();
    by_hand(&repo);
    assert_eq!(drift(&repo).len(), 2);
    let before = repo.read("roles/engineering.yaml");
    let looked = repo.expect(0, &["drift", "accept", &id(&repo, "revoke"), "--check"]);
    assert!(looked.stdout.contains("+  - { handle: rsantos, reason: "), "{}", looked.stdout);
    assert_eq!(repo.read("roles/engineering.yaml"), before);
    // By its id, or by whom it is about.
    repo.expect(0, &["drift", "accept", &id(&repo, "revoke"), "--reason", "helps out, ENG-7"]);
    repo.expect(0, &["drift", "accept", "dmurphy", "--reason", "on leave"]);
    let text = repo.read("roles/engineering.yaml");
    assert!(text.contains("  - { handle: rsantos, reason: \"helps out, ENG-7\" }\n"), "{text}");
    assert!(text.contains("except:\n  - { handle: dmurphy, reason: on leave }\n"), "{text}");
    // The rest of what the role gives follows, and then nothing drifts.
    repo.converge();
    assert_eq!(drift(&repo).len(), 0);
    let ran = repo.expect(1, &["drift", "accept", "dmurphy"]);
    assert!(ran.stderr.contains("RC643") && ran.stderr.contains("nothing drifted"), "{}", ran.stderr);
}

#[test]
fn the_members_of_a_native_group_are_edited_where_they_stand() {
    let repo = settled();
    let lists = "name: rbac_lists\n      id: ";
    let world = repo.read("world.yaml");
    let at = world.find(lists).unwrap();
    let (head, tail) = world.split_at(at);
    repo.write("world.yaml", &(head.to_owned() + &tail.replacen("[klibby@", "[rsantos@", 1)));
    assert_eq!(drift(&repo).len(), 2);
    repo.expect(0, &["drift", "accept", "rsantos"]);
    repo.expect(0, &["drift", "accept", &id(&repo, "grant")]);
    let text = repo.read("native/lists.yaml");
    assert_eq!(
        text,
        "kind: okta/Group\nname: rbac_lists\nallow_empty: true\n# who reads it\nmembers: [rsantos]\n"
    );
    repo.converge();
    assert_eq!(drift(&repo).len(), 0);
}

#[test]
fn what_yaml_cannot_say_is_refused_with_the_reason() {
    let repo = settled();
    let app = "name: app.chat\n      members: [dmurphy@example.com, ";
    let world = repo.read("world.yaml");
    assert!(world.contains(app), "{world}");
    repo.write("world.yaml", &world.replace(app, "name: app.chat\n      members: ["));
    let before = repo.read("roles/engineering.yaml");
    let ran = repo.expect(1, &["drift", "accept", "dmurphy"]);
    assert!(ran.stderr.contains("RC644") && ran.stderr.contains("given by roles"), "{}", ran.stderr);
    let ran = repo.expect(1, &["drift", "accept", "nobody"]);
    assert!(ran.stderr.contains("RC643") && ran.stderr.contains("app.chat"), "{}", ran.stderr);
    assert_eq!(repo.read("roles/engineering.yaml"), before);
}

#[test]
fn the_standing_job_takes_back_what_was_given_by_hand_where_settings_say_so() {
    let repo = settled();
    repo.write("rolecall.yaml", &format!("{}heal: revoke\n", repo.read("rolecall.yaml")));
    repo.converge();
    by_hand(&repo);
    repo.expect(0, &["apply", "--standing", "--yes"]);
    let left = drift(&repo);
    // What was taken by hand stays drift: nothing grants by itself.
    assert_eq!(left.len(), 1, "{left:#?}");
    assert_eq!(left[0]["change"]["op"], "grant");
    let without = settled();
    by_hand(&without);
    without.expect(0, &["apply", "--standing", "--yes"]);
    assert_eq!(drift(&without).len(), 2);
}

#[test]
fn issues_and_metrics_are_written_to_files() {
    let repo = settled();
    by_hand(&repo);
    repo.expect(2, &["drift", "--out", "out", "--metrics", "metrics.txt"]);
    let issues: Value = serde_json::from_str(&repo.read("out/issues.json")).unwrap();
    assert_eq!(issues["complete"], true);
    let issues = issues["issues"].as_array().unwrap();
    assert_eq!(issues.len(), 1, "{issues:#?}");
    assert_eq!(issues[0]["title"], "Drift in okta: 2 things moved by themselves");
    assert!(issues[0]["body"].as_str().unwrap().starts_with("<!-- rolecall:drift:okta "), "{issues:#?}");
    assert!(repo.read("out/drift.md").contains("rsantos"));
    let metrics = repo.read("metrics.txt");
    assert!(metrics.contains("rolecall_drift{risk=\"low\"} 2\n"), "{metrics}");
    assert!(metrics.contains("rolecall_base_age_seconds 0\n"), "{metrics}");
    repo.expect(1, &["drift", "--metrics", "nowhere/metrics.txt"]);
}

#[test]
fn a_chat_is_told_and_one_that_does_not_answer_fails_nothing() {
    let repo = settled();
    by_hand(&repo);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook/s3cret-path", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut seen, mut part) = (String::new(), [0; 4096]);
        while !seen.ends_with("}\n") {
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "{seen}");
            seen.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        seen
    });
    let ran = repo.run_with(&["drift"], &[("ROLECALL_WEBHOOK", &url)]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(!ran.stderr.contains("RC642"), "{}", ran.stderr);
    let seen = server.join().unwrap();
    assert!(seen.starts_with("POST /hook/s3cret-path ") && seen.contains("2 things moved"), "{seen}");
    for (url, why) in [
        (url.as_str(), ""),
        ("http://chat.example/s3cret-path", "https://"),
        ("https://127.0.0.1:9/s3cret-path", ""),
        ("no url s3cret-path", "no URL"),
    ] {
        let ran = repo.run_with(&["drift"], &[("ROLECALL_WEBHOOK", url)]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("RC642") && ran.stderr.contains(why), "{}", ran.stderr);
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
    // Where nothing drifted that matters, nobody is told.
    let ran = repo.run_with(&["drift", "--fail-on", "high"], &[("ROLECALL_WEBHOOK", &url)]);
    assert!(ran.code == 0 && ran.stderr.is_empty(), "{}", ran.stderr);
}

#[test]
fn a_waiver_that_waits_for_approval_does_not_stop_the_standing_job() {
    // The example asks for more than base, with a waiver; its joiners, movers and leavers need neither.
    let repo = Repo::copy_of("examples/acme");
    let ran = repo.expect(0, &["apply", "--standing", "--yes"]);
    assert!(
        !ran.stdout.contains("jenkins-agent") && !ran.stderr.contains("RC606"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let left = repo.plan();
    let standing = left["changes"].as_array().unwrap().iter().filter(|change| change["cause"] == "standing");
    assert_eq!(standing.count(), 0, "{left:#}");
    assert!(!left["waived"].as_array().unwrap().is_empty(), "the waiver is still there to be approved");
}
