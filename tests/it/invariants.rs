//! The safety invariants, each over the whole pipeline: files and a world in, a plan or an apply out.
//!
//! Invariant: every test has a base that was applied, changes one thing, and looks at what the program would do.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::repo::{Ran, Repo};

mod approved;
mod duties;
mod held;
mod input;
mod outside;
mod people;
mod running;

/// Settings without limits; each test adds its own.
const SETTINGS: &str = r#"format: 1
organization: acme
timezone: UTC
directory:
  from: okta
  handle: login
  attributes: { department: department, manager: managerEmail }
types:
  employee: { rules: true, match: { userType: Employee } }
  contractor: { match: { userType: Contractor } }
  service: { match: { userType: Service } }
identities: { okta: "{email}", aws: "{handle}" }
groups: { okta: "rbac_role_{role}" }
providers:
  okta: { url: https://acme.okta.com, own: [{ groups: "rbac_*", may: all }, { groups: "app.*", may: members }] }
  aws: { account: "222222222222", name: ci, own: [{ users: "*", groups: "*", roles: "*", policies: "*", may: all }] }
simulate: world.yaml
"#;

/// The members of infra by rule, those of finance by rule, and an app for infra.
const ROLES: &str = r#"kind: Role
name: infra
owners: [klibby]
members: [{ department: infrastructure }]
access: [{ okta: { groups: [app.gitlab] } }]
---
kind: Role
name: finance
owners: [klibby]
members: [{ department: finance }]
"#;

/// Three people in infrastructure and one in finance.
const PEOPLE: &[(&str, &str)] = &[
    ("klibby", "Infrastructure"),
    ("dmurphy", "Infrastructure"),
    ("rpatel", "Infrastructure"),
    ("tnguyen", "Finance"),
];

/// The same people, of whom dmurphy has gone to finance.
const MOVED: &[(&str, &str)] = &[
    ("klibby", "Infrastructure"),
    ("dmurphy", "Finance"),
    ("rpatel", "Infrastructure"),
    ("tnguyen", "Finance"),
];

/// A world of employees by handle and department; a department may go on with `, userType: …` and `status` with `!`.
struct World {
    people: Vec<(String, String, &'static str)>,
    groups: Vec<(&'static str, Vec<String>)>,
    aws: &'static str,
    now: &'static str,
    more: String,
}

const AWS: &str = r"aws:
  caller: arn:aws:iam::222222222222:role/rolecall
  accounts: { '222222222222': { name: ci, users: [{ name: dmurphy }, { name: rpatel }], groups: [{ name: deployers }] } }
";

impl World {
    fn of(people: &[(&str, &str)]) -> Self {
        let people = people.iter().map(|(who, what)| ((*who).to_owned(), (*what).to_owned(), "ACTIVE"));
        Self {
            people: people.collect(),
            groups: vec![("app.gitlab", vec![])],
            aws: AWS,
            now: "2026-11-22T17:00:00Z",
            more: String::new(),
        }
    }

    /// As the apply of `ROLES` leaves it.
    fn settled(people: &[(&str, &str)]) -> Self {
        let mut world = Self::of(people);
        let of = |department: &str| -> Vec<String> {
            let them = PEOPLE.iter().filter(|(_, what)| *what == department);
            them.map(|(who, _)| (*who).to_owned()).collect()
        };
        world.groups = vec![
            ("app.gitlab", of("Infrastructure")),
            ("rbac_role_infra", of("Infrastructure")),
            ("rbac_role_finance", of("Finance")),
        ];
        world
    }

    fn status(mut self, who: &[&str], status: &'static str) -> Self {
        for person in self.people.iter_mut().filter(|person| who.contains(&person.0.as_str())) {
            person.2 = status;
        }
        self
    }

    fn group(mut self, name: &'static str, members: &[&str]) -> Self {
        self.groups.retain(|(group, _)| *group != name);
        self.groups.push((name, members.iter().map(|who| (*who).to_owned()).collect()));
        self
    }

    fn aws(mut self, aws: &'static str) -> Self {
        self.aws = aws;
        self
    }

    fn now(mut self, now: &'static str) -> Self {
        self.now = now;
        self
    }

    /// What goes wrong with calls.
    fn faults(mut self, calls: &str) -> Self {
        self.more = format!("faults: {{ calls: [{calls}] }}\n");
        self
    }

    fn write(&self, repo: &Repo) {
        use std::fmt::Write as _;
        let mut text = format!(
            "now: {}\nkeep_log: true\n{}okta:\n  token_owner: svc@acme.com\n  users:\n",
            self.now, self.more
        );
        let _ = writeln!(text, "    - {{ login: svc@acme.com, profile: {{ userType: Service }} }}");
        for (who, department, status) in &self.people {
            let kind = if department.contains("userType") { "" } else { ", userType: Employee" };
            let _ = writeln!(
                text,
                "    - {{ login: {who}@acme.com, status: {status}, profile: {{ department: {department}{kind} }} }}"
            );
        }
        text.push_str("  groups:\n");
        for (group, members) in &self.groups {
            let there = |who: &&String| self.people.iter().any(|person| person.0 == **who);
            let members: Vec<String> =
                members.iter().filter(there).map(|who| format!("{who}@acme.com")).collect();
            let _ = writeln!(text, "    - {{ name: {group}, members: [{}] }}", members.join(", "));
        }
        text.push_str(self.aws);
        repo.write("world.yaml", &text);
        let _ = std::fs::remove_file(repo.path().join("world.yaml.log"));
    }
}

/// An access repo whose files were applied to a world.
fn settled(extra: &str, roles: &str, world: &World) -> Repo {
    let repo = Repo::empty();
    repo.write("rolecall.yaml", &format!("{SETTINGS}{extra}"));
    repo.write("roles/all.yaml", roles);
    world.write(&repo);
    repo.converge();
    repo
}

/// What a list of changes does: `revoke dmurphy member rbac_role_infra`, without instance, kind and domain.
fn ops(list: &Value) -> Vec<String> {
    let op = |change: &Value| {
        let short = |key: &str| {
            let text = change[key].as_str().unwrap_or_default();
            text.rsplit(['/', ':']).next().unwrap_or_default().trim_end_matches("@acme.com").to_owned()
        };
        let op = change["op"].as_str().unwrap();
        if change.get("principal").is_some() {
            format!("{op} {} {} {}", short("principal"), short("relation"), short("resource"))
        } else {
            format!("{op} {}", short("address"))
        }
    };
    list.as_array().unwrap().iter().map(|item| op(item.get("change").unwrap_or(item))).collect()
}

fn set(list: &Value) -> BTreeSet<String> {
    ops(list).into_iter().collect()
}

fn want(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// What is held for a reason.
fn held(plan: &Value, why: &str) -> BTreeSet<String> {
    let list = plan["held"].as_array().unwrap().iter().filter(|held| held["why"] == why);
    set(&list.cloned().collect())
}

/// How many writes the world has seen.
fn writes(repo: &Repo) -> usize {
    std::fs::read_to_string(repo.path().join("world.yaml.log")).unwrap_or_default().lines().count()
}

/// Applies what was planned, which must write nothing and end with this code.
#[track_caller]
fn refused(repo: &Repo, code: i32) -> Ran {
    let before = writes(repo);
    let ran = repo.expect(code, &["apply", "--yes"]);
    assert_eq!(writes(repo), before, "something was written\n{}{}", ran.stdout, ran.stderr);
    ran
}
