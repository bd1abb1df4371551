//! Calls and waiting: how many calls a plan and an apply make, how long they take within the vendors' limits, and the memory.
//!
//! `cargo bench --bench waiting [-- iam|okta|waiting|memory]`. Calls and times come from the simulator and its virtual clock, so they are the same on every
//! machine; memory is the most that a process of its own had. Prints a Markdown table.
//! Invariant: a bar is worked out from the seed and from what the vendors document, never from what was measured.

#![expect(clippy::print_stdout, reason = "what a bench measures is printed")]
#![expect(clippy::unwrap_used, reason = "in a bench, to panic is to fail, which is meant")]
#![expect(clippy::disallowed_methods, reason = "a process of its own is waited for in real time")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rolecall::model::{Address, Attributes};
use rolecall::provider::conformance::create;
use rolecall::simulator::{AwsAccount, AwsLimits, World};
use serde_json::Value as Json;

#[path = "../tests/it/filling.rs"]
mod filling;

use filling::{Filled, fill, instance, least, memberships, organization};

/// The account of the benches.
const ACCOUNT: &str = "222222222222";
/// What Okta allows of memberships, a minute.
const OTHERS: u64 = 1200;
/// How long a call takes, in milliseconds.
const LATENCY: u64 = 100;
/// How often whoever fills a group dies on the way.
const DEATHS: u64 = 20;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    println!("| what | figure | bar | ratio |\n|---|---|---|---|");
    let parts: [(&str, fn()); 4] =
        [("iam", iam_calls), ("okta", okta_calls), ("waiting", waiting), ("memory", memory)];
    for (name, part) in parts {
        if named.is_empty() || named.iter().any(|one| one == name) {
            part();
        }
    }
}

/// A row: a figure, what it may be at most, and what it is a multiple of.
fn row(what: &str, figure: &str, bar: &str, ratio: f64) {
    println!("| {what} | {figure} | {bar} | {ratio:.2} |");
}

fn calls(what: &str, calls: u64, least: u64, most: f64) {
    row(what, &format!("{calls} calls"), &format!("≤ {most} × {least}"), calls as f64 / least as f64);
}

/// 1,000 users in 100 groups, 50 roles and policies: from nothing, and when all is there.
fn iam_calls() {
    let folder = tempfile::tempdir().unwrap();
    let (users, groups, roles) = (1000_usize, 100, 50);
    let mut native = String::new();
    for n in 0..users {
        let (one, other) = (n % groups, (n * 7 + 1) % groups);
        let _ =
            writeln!(native, "---\n{{ kind: aws/User, name: u{n:04}, groups: [g{one:03}, g{other:03}] }}");
    }
    for n in 0..groups {
        let _ = writeln!(native, "---\n{{ kind: aws/Group, name: g{n:03} }}");
    }
    for n in 0..roles {
        let trust = format!(
            r#"{{ Version: 2012-10-17, Statement: [{{ Effect: Allow, Principal: {{ AWS: "{ACCOUNT}" }}, Action: "sts:AssumeRole" }}] }}"#
        );
        let document = format!(
            r#"{{ Version: 2012-10-17, Statement: [{{ Effect: Allow, Action: "s3:GetObject", Resource: "arn:aws:s3:::b{n}/*" }}] }}"#
        );
        let _ = writeln!(
            native,
            "---\n{{ kind: aws/Role, name: r{n:02}, trust: {trust}, policies: [p{n:02}, \"managed:SecurityAudit\"] }}\n---\n{{ kind: aws/Policy, name: p{n:02}, document: {document} }}"
        );
    }
    let edges = users + (0..users).filter(|n| n % groups != (n * 7 + 1) % groups).count();
    let writes = (users + groups + 2 * roles + edges + 2 * roles) as u64;
    settings(
        folder.path(),
        &format!(
            "aws: {{ account: \"{ACCOUNT}\", own: [{{ users: \"*\", groups: \"*\", roles: \"*\", policies: \"*\", may: all }}] }}"
        ),
        "manifests",
    );
    write(folder.path(), "native/all.yaml", &native);
    let mut world = World::at("2026-11-22T17:00:00Z".parse().unwrap());
    world.page_size = 1000;
    world.aws.accounts.insert(ACCOUNT.to_owned(), AwsAccount::default());
    write(folder.path(), "world.yaml", &world.to_yaml().unwrap());

    run(folder.path(), &["plan"]);
    let told = run(folder.path(), &["rehearse", "--format", "json", "--latency", "100"]);
    assert_eq!(told["report"]["converged"], true);
    let made = told["reads"].as_u64().unwrap() + told["writes"].as_u64().unwrap();
    calls(&format!("IAM: an apply from nothing, {writes} writes"), made, writes, 1.05);
    run(folder.path(), &["apply", "--yes"]);
    // Users, groups, roles and policies in one list; descriptions of roles in another; and who we are.
    let pages = ((users + groups + 2 * roles) as u64).div_ceil(1000) + 1 + 1;
    let made = unchanged(folder.path(), "aws");
    calls("IAM: a plan of 1,000 users, 100 groups, 50 roles without a change", made, pages, 1.1);
}

/// 1,000 people in 100 groups of 200: when all is there, and 2,000 memberships over 200 groups from nothing.
fn okta_calls() {
    let folder = tempfile::tempdir().unwrap();
    let (people, groups, each) = (1000, 100, 200);
    okta_repo(folder.path(), people, groups, each);
    run(folder.path(), &["plan"]);
    let told = run(folder.path(), &["rehearse", "--format", "json", "--latency", "100"]);
    assert_eq!(told["report"]["converged"], true);
    let writes = (groups * each) as u64;
    let made = told["reads"].as_u64().unwrap() + told["writes"].as_u64().unwrap();
    calls(&format!("Okta: an apply of {writes} memberships in {groups} groups"), made, writes, 1.05);
    run(folder.path(), &["apply", "--yes"]);
    // People, leavers, groups, rules, the members of each group, and whose token it is.
    let page = |rows: usize| rows.div_ceil(200);
    let pages = page(people) + 1 + page(groups) + 1 + groups * page(each) + 1;
    let made = unchanged(folder.path(), "okta");
    calls("Okta: a plan of 1,000 people and 100 groups of 200 without a change", made, pages as u64, 1.1);
}

/// How long writing takes within the limits.
fn waiting() {
    let okta = instance("okta", &[]);
    let told = |what: &str, filled: &Filled, least: Duration| {
        let members: usize = filled.world.okta.groups.values().map(|group| group.members.len()).sum();
        assert_eq!(members as u64, filled.writes, "{what}: something is missing, or was written twice");
        let calls: u64 = filled.calls.values().sum();
        let figure =
            format!("{:.0} s, {calls} calls, {} throttled", filled.took.as_secs_f64(), filled.throttled);
        let bar = format!("≤ 1.1 × {:.0} s, 0 throttled", least.as_secs_f64());
        row(what, &figure, &bar, filled.took.as_secs_f64() / least.as_secs_f64());
    };
    let filled = fill(organization(10_000, 1), &okta, LATENCY, memberships(10_000, 1, 10_000), &[]);
    told("Okta: one group gets 10,000 members", &filled, least(filled.writes, OTHERS, LATENCY));
    let filled = fill(organization(1000, 200), &okta, LATENCY, memberships(1000, 200, 10), &[]);
    told("Okta: 200 groups get 2,000 members", &filled, least(filled.writes, OTHERS, LATENCY));
    let lives = vec![10_000 / DEATHS; usize::try_from(DEATHS).unwrap()];
    let filled = fill(organization(10_000, 1), &okta, LATENCY, memberships(10_000, 1, 10_000), &lives);
    let what = format!("Okta: one group gets 10,000 members, of a program that dies {DEATHS} times");
    // What each life reads anew, and looks at, is counted as waste.
    told(&what, &filled, least(filled.writes, OTHERS, LATENCY));

    // AWS does not say how many calls IAM takes; nor do its answers.
    let limits = AwsLimits { per_second: 20, burst: 40 };
    let mut world = World::at("2026-11-22T17:00:00Z".parse().unwrap());
    world.page_size = 1000;
    world.aws.limits = Some(limits);
    world.aws.accounts.insert(ACCOUNT.to_owned(), AwsAccount::default());
    let user =
        |n: usize| create(&Address::new("aws", Some(ACCOUNT), "user", &format!("u{n}")), Attributes::new());
    let users: Vec<_> = (0..3300).map(user).collect();
    let filled = fill(world, &instance("aws", &[("account", ACCOUNT)]), LATENCY, users, &[]);
    let least = (filled.writes - u64::from(limits.burst)) as f64 / f64::from(limits.per_second);
    let figure = format!("{:.0} s, {} throttled", filled.took.as_secs_f64(), filled.throttled);
    let bar = format!("≤ 1.1 × {least:.0} s");
    row("IAM: 3,300 users, 20 calls a second", &figure, &bar, filled.took.as_secs_f64() / least);
}

/// The most memory that an apply has which fills a group with 10,000 members, the simulated world included.
fn memory() {
    let folder = tempfile::tempdir().unwrap();
    let told = |what: &str, peak: u64| {
        let mib = peak as f64 / 1024.0;
        row(what, &format!("{mib:.0} MiB"), "< 200 MiB", mib / 200.0);
    };
    okta_repo(folder.path(), 10_000, 1, 10_000);
    run(folder.path(), &["plan"]);
    let world = fs::read_to_string(folder.path().join("world.yaml")).unwrap();
    let dying = format!("{world}faults: {{ kill_after_writes: {} }}\n", 10_000 / DEATHS - 10);
    write(folder.path(), "world.yaml", &dying);
    let mut most = 0;
    for death in 1..=DEATHS {
        let (peak, code) = peak(folder.path());
        assert_eq!(code, None, "death {death}");
        most = most.max(peak);
    }
    let world = fs::read_to_string(folder.path().join("world.yaml")).unwrap();
    let alive: String = world
        .lines()
        .filter(|line| !line.contains("kill_after") && *line != "faults:")
        .fold(String::new(), |text, line| text + line + "\n");
    write(folder.path(), "world.yaml", &alive);
    let (last, code) = peak(folder.path());
    assert_eq!(code, Some(0));
    run(folder.path(), &["plan", "--detailed-exitcode"]);
    let what = format!("an apply that gives a group 10,000 members and is killed {DEATHS} times");
    told(&what, most.max(last));

    let folder = tempfile::tempdir().unwrap();
    okta_repo(folder.path(), 10_000, 1, 10_000);
    run(folder.path(), &["plan"]);
    let (whole, code) = peak(folder.path());
    assert_eq!(code, Some(0));
    told("an apply that gives a group 10,000 members", whole);
}

/// An access repo whose groups get so many members each.
fn okta_repo(folder: &Path, people: usize, groups: usize, each: usize) {
    settings(folder, "okta: { own: [{ groups: \"*\", may: members }] }", "{ from: okta, handle: login }");
    let mut native = String::new();
    for group in 0..groups {
        let _ = writeln!(native, "---\nkind: okta/Group\nname: g{group}\nmembers:");
        for n in 0..each {
            let _ = writeln!(native, "  - p{}", (group * each + n) % people);
        }
    }
    write(folder, "native/all.yaml", &native);
    let mut world = organization(people, groups);
    for user in world.okta.users.values_mut() {
        user.profile.insert("userType".to_owned(), "Employee".into());
    }
    write(folder, "world.yaml", &world.to_yaml().unwrap());
}

fn settings(folder: &Path, provider: &str, directory: &str) {
    let identity = if provider.starts_with("okta") { "okta: \"{email}\"" } else { "aws: \"{handle}\"" };
    write(
        folder,
        "rolecall.yaml",
        &format!(
            "format: 1\norganization: acme\ntimezone: UTC\ndirectory: {directory}\ntypes:\n  employee: {{ rules: true, match: {{ userType: Employee }} }}\nidentities: {{ {identity} }}\nproviders:\n  {provider}\nsimulate: world.yaml\n"
        ),
    );
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Runs the program, which must end well; what it says, where that is JSON.
fn run(folder: &Path, arguments: &[&str]) -> Json {
    let done = rolecall(folder, arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap_or_default()
}

/// How many calls of a provider a plan makes that has nothing to change.
fn unchanged(folder: &Path, provider: &str) -> u64 {
    let plan = run(folder, &["plan", "--format", "json"]);
    assert_eq!(plan["changes"].as_array().unwrap().len(), 0);
    plan["base"]["providers"][provider]["calls"].as_u64().unwrap()
}

/// The most memory that an apply had, in KiB, and its exit code, where it had one.
fn peak(folder: &Path) -> (u64, Option<i32>) {
    let mut apply = rolecall(folder, &["apply", "--yes"]);
    let mut apply = apply.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", apply.id());
    let mut peak = 0;
    loop {
        // The figure only grows, so the last look before the end is near the end's.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(ended) = apply.try_wait().unwrap() {
            return (peak, ended.code());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn rolecall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rolecall"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}
