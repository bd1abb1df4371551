//! An apply that dies, at every write and at any moment, and the same plan applied again.
//!
//! Invariant: the second apply ends converged with exit 0, nothing was created twice, and the world is the one that an
//! apply without a death leaves behind.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rolecall::simulator::World;

use crate::repo::{Repo, package};

/// An access repo whose base is applied and whose head is planned, and how its apply ends when nobody dies.
struct Planned {
    repo: Repo,
    plan: String,
    writes: Vec<String>,
    end: World,
}

impl Planned {
    fn new() -> Self {
        let case = package("tests/fixtures/kill");
        let repo = Repo::empty();
        repo.add(&case.join("base"));
        fs::copy(case.join("world.yaml"), repo.path().join("world.yaml")).unwrap();
        repo.converge();
        repo.add(&case.join("head"));
        let plan = repo.plan()["id"].as_str().unwrap().to_owned();
        let whole = copy(&repo);
        let before = writes(&whole).len();
        whole.expect(0, &["apply", "--yes"]);
        let writes = writes(&whole).split_off(before);
        assert!(writes.len() >= 12, "{writes:#?}");
        for sort in ["CreateUser", "CreatePolicyVersion", "DetachUserPolicy", "DeleteUser", "POST", "DELETE"]
        {
            assert!(writes.iter().any(|write| write.starts_with(sort)), "{sort} is not tried: {writes:#?}");
        }
        Self { plan, writes, end: end(&whole), repo }
    }

    /// The same plan once more, after a death.
    fn again(&self, killed: &Repo, when: &str) {
        let before = writes(&self.repo).len();
        let again = killed.run(&["apply", "--yes"]);
        assert_eq!(again.code, 0, "applied again after a death {when}:\n{}{}", again.stdout, again.stderr);
        let left = killed.run(&["plan", "--detailed-exitcode"]);
        assert_eq!(left.code, 0, "left after a death {when}:\n{}{}", left.stdout, left.stderr);
        assert_eq!(end(killed), self.end, "the world after a death {when}");
        let mut twice = writes(killed).split_off(before);
        for write in &self.writes {
            let at = twice.iter().position(|other| other == write);
            twice.remove(at.unwrap_or_else(|| panic!("{write} is missing after a death {when}")));
        }
        // A write that sets a value may be sent once more, if its answer was lost; one that makes a thing may not.
        let makes = |write: &String| write.starts_with("Create") || write.starts_with("POST");
        assert!(twice.len() <= 1 && !twice.iter().any(makes), "twice after a death {when}: {twice:#?}");
    }

    /// Dies as the world's `faults:` say at the n-th write, for each n.
    fn die_at_every_write(&self, fault: &str) {
        for n in 1..=self.writes.len() {
            let killed = copy(&self.repo);
            let fault = format!("{fault}: {n}");
            die(&killed, &fault);
            self.again(&killed, &fault);
        }
    }

    fn journal(&self, repo: &Repo) -> PathBuf {
        repo.path().join(format!(".rolecall/journals/{}.jsonl", self.plan))
    }
}

fn copy(repo: &Repo) -> Repo {
    let other = Repo::empty();
    other.add(repo.path());
    other
}

/// Applies until the fault ends it, which is then taken out of the world again.
fn die(repo: &Repo, fault: &str) {
    repo.write("world.yaml", &format!("{}faults: {{ {fault} }}\n", repo.read("world.yaml")));
    repo.expect(-1, &["apply", "--yes"]);
    // Where a start folded the log in first, the file was written anew.
    let healed = repo.read("world.yaml").replacen(&format!("faults: {{ {fault} }}\n"), "", 1);
    repo.write("world.yaml", &healed.replacen(&format!("faults:\n  {fault}\n"), "", 1));
    assert!(!repo.read("world.yaml").contains("kill_"), "{}", repo.read("world.yaml"));
}

/// What was written to the world so far: the action, and on what. Ids are left out, because they count writes.
fn writes(repo: &Repo) -> Vec<String> {
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let body = line["body"].as_str().unwrap_or_default().to_owned();
        if line["to"] == "iam" {
            return body.trim_start_matches("Action=").to_owned();
        }
        let path = line["path"].as_str().unwrap().split('/');
        let group = path.clone().position(|part| part == "groups").map(|at| at + 1);
        let path: Vec<&str> =
            path.enumerate().map(|(at, part)| if Some(at) == group { "ID" } else { part }).collect();
        format!("{} {} {body}", line["method"].as_str().unwrap(), path.join("/"))
    };
    repo.read("world.yaml.log").lines().map(line).collect()
}

/// The world without ids and times, which tell how often and when things were tried.
fn end(repo: &Repo) -> World {
    let mut world = World::parse(&repo.read("world.yaml")).unwrap();
    world.folded = 0;
    world.now = jiff::Timestamp::UNIX_EPOCH;
    let groups = std::mem::take(&mut world.okta.groups);
    for mut group in groups.into_values() {
        group.id.clear();
        (group.created, group.last_updated, group.last_membership_updated) = (None, None, None);
        assert!(world.okta.groups.insert(group.name.clone(), group).is_none(), "a group is there twice");
    }
    for account in world.aws.accounts.values_mut() {
        for user in account.users.values_mut() {
            user.id.clear();
            user.created = None;
        }
        for role in account.roles.values_mut() {
            role.id.clear();
            role.created = None;
        }
        for policy in account.policies.values_mut() {
            policy.id.clear();
            (policy.created, policy.updated) = (None, None);
        }
    }
    world
}

#[test]
fn invariant_24_dead_before_any_write_and_applied_again_it_ends_converged() {
    Planned::new().die_at_every_write("kill_before_write");
}

#[test]
fn invariant_24_dead_after_any_write_and_applied_again_it_ends_converged() {
    Planned::new().die_at_every_write("kill_after_writes");
}

#[test]
fn invariant_24_dead_twice_and_applied_again_it_ends_converged() {
    let planned = Planned::new();
    for n in 1..planned.writes.len() / 2 {
        let killed = copy(&planned.repo);
        die(&killed, &format!("kill_after_writes: {n}"));
        die(&killed, "kill_before_write: 2");
        planned.again(&killed, &format!("after {n} writes, and before the second one after that"));
    }
}

#[test]
fn invariant_24_killed_at_any_line_of_the_journal_and_applied_again_it_ends_converged() {
    let planned = Planned::new();
    let (mut killed_in_time, mut too_late) = (0, 0);
    // The journal opens, is approved, has an intent and an outcome for each change, and finishes.
    for lines in 1..=2 * planned.writes.len() {
        let repo = copy(&planned.repo);
        let mut child = Command::new(env!("CARGO_BIN_EXE_rolecall"))
            .args(["apply", "--yes"])
            .current_dir(repo.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let journal = planned.journal(&repo);
        let written = || fs::read(&journal).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
        while written() < lines && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if fs::read_to_string(&journal).unwrap().contains("\"event\":\"finished\"") {
            // It was done before it died: then the plan is an old one.
            too_late += 1;
            repo.expect(4, &["apply", "--yes"]);
            repo.expect(0, &["plan", "--detailed-exitcode"]);
            assert_eq!(end(&repo), planned.end);
        } else {
            killed_in_time += 1;
            planned.again(&repo, &format!("at line {lines} of the journal"));
        }
    }
    println!("killed {killed_in_time} in time, {too_late} too late");
    assert!(killed_in_time > 0);
}
