//! A whole organization, made by rule: people, roles, units and grants, and the world in which all of it has come true.
//!
//! It is the same each time. Who has which role is worked out here from the same rules as the YAML says, in the plainest
//! way, so that a plan over it is checked against what nobody asked the product for.
//! Invariant: everything follows from the numbers of people, roles and units. Use it for what only shows at size.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::repo::Repo;

/// How large an organization is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Organization {
    pub(crate) people: usize,
    pub(crate) roles: usize,
    pub(crate) units: usize,
}

/// The size that the bars are for.
pub(crate) const LARGE: Organization = Organization { people: 2_500, roles: 250, units: 60 };

const SETTINGS: &str = r#"format: 1
organization: acme
timezone: UTC
directory: { from: okta, handle: login, attributes: { department: department, title: title, region: region, manager: manager } }
types:
  employee: { rules: true, match: { userType: Employee } }
  contractor: { match: { userType: Contractor } }
identities: { okta: "{email}" }
groups: { okta: "rbac_{role}" }
providers:
  okta: { url: https://acme.okta.com, own: [{ groups: "rbac_*", may: all }, { groups: "app.*", may: members }] }
limits: { per_run: 1000 }
simulate: world.yaml
"#;

const DEPARTMENTS: usize = 50;
const TITLES: usize = 120;
const REGIONS: [&str; 4] = ["amer", "apac", "emea", "latam"];
const APPS: usize = 120;

/// Somebody, by number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person(usize);

impl Person {
    pub(crate) fn handle(self) -> String {
        format!("p{:04}", self.0)
    }

    fn department(self) -> usize {
        self.0 % DEPARTMENTS
    }

    fn title(self) -> usize {
        // Not in step with departments.
        (self.0 / 3) % TITLES
    }

    fn region(self) -> &'static str {
        REGIONS[(self.0 / 7) % REGIONS.len()]
    }

    fn is_contractor(self) -> bool {
        self.0 % 10 == 9
    }

    /// Everyone but the first has one; it is a tree of ten below each.
    fn manager(self) -> Option<Self> {
        self.0.checked_sub(1).map(|before| Self(before / 10))
    }

    fn reports_to(self, top: Self) -> bool {
        self.manager().is_some_and(|manager| manager.0 == top.0 || manager.reports_to(top))
    }
}

impl Organization {
    pub(crate) fn everyone(self) -> impl Iterator<Item = Person> {
        (0..self.people).map(Person)
    }

    /// Writes the access repo, and a world in which all has come true but the memberships of every `missing`th person.
    pub(crate) fn write(self, repo: &Repo, missing: usize) {
        repo.write("rolecall.yaml", SETTINGS);
        let mut files: BTreeMap<usize, String> = BTreeMap::new();
        for number in 0..self.roles {
            files.entry(number / 10).or_default().push_str(&role(number));
        }
        for (number, text) in files {
            repo.write(&format!("roles/{number:02}.yaml"), &text);
        }
        let units: String = (0..self.units).map(|number| self.unit(number)).collect();
        repo.write("roles/units.yaml", &units);
        for number in 0..self.roles / 5 {
            let text = format!(
                "kind: Grant\nname: g{number:03}\nto: [{}]\nroles: [r{:03}]\nuntil: 2026-12-{:02}\nreason: a project\n",
                Person(number * 13 % self.people).handle(),
                number * 5,
                1 + number % 28,
            );
            repo.write(&format!("grants/2026-11/g{number:03}.yaml"), &text);
        }
        repo.write("world.yaml", &self.world(missing));
    }

    /// The handles of those who have a role.
    pub(crate) fn members(self, role: usize) -> BTreeSet<usize> {
        let mut members: BTreeSet<usize> =
            self.everyone().filter(|person| is_member(role, *person)).map(|person| person.0).collect();
        if role.is_multiple_of(5) && role / 5 < self.roles / 5 {
            members.insert(role / 5 * 13 % self.people);
        }
        members.retain(|number| !is_excepted(role, Person(*number)));
        members
    }

    fn parts(self, unit: usize) -> Vec<usize> {
        (0..3 + unit % 3).map(|part| (unit * 4 + part * 61) % self.roles).collect()
    }

    fn unit(self, number: usize) -> String {
        let parts: Vec<String> = self.parts(number).iter().map(|role| format!("r{role:03}")).collect();
        format!(
            "---\nkind: Unit\nname: u{number:02}\nowners: [p0000]\nmembers: [{{ role: [{}] }}]\naccess: [{{ okta: {{ groups: [app.{:03}] }} }}]\n",
            parts.join(", "),
            number % APPS
        )
    }

    /// Who is in which group once all has come true.
    fn groups(self) -> BTreeMap<String, BTreeSet<usize>> {
        let mut groups: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for number in 0..APPS {
            groups.insert(format!("app.{number:03}"), BTreeSet::new());
        }
        let all: Vec<BTreeSet<usize>> = (0..self.roles).map(|role| self.members(role)).collect();
        for (number, members) in all.iter().enumerate() {
            groups.insert(format!("rbac_r{number:03}"), members.clone());
            for app in apps(number) {
                groups.entry(format!("app.{app:03}")).or_default().extend(members);
            }
        }
        for unit in 0..self.units {
            let members: BTreeSet<usize> =
                self.parts(unit).iter().flat_map(|role| &all[*role]).copied().collect();
            groups.entry(format!("app.{:03}", unit % APPS)).or_default().extend(&members);
            groups.insert(format!("rbac_u{unit:02}"), members);
        }
        groups
    }

    fn world(self, missing: usize) -> String {
        let mut world = "now: 2026-11-22T17:00:00Z\nokta:\n  token_owner: svc@acme.com\n  users:\n    - { login: svc@acme.com, profile: { userType: Employee } }\n".to_owned();
        for person in self.everyone() {
            let manager = person
                .manager()
                .map(|manager| format!(", manager: {}", manager.handle()))
                .unwrap_or_default();
            writeln!(
                world,
                "    - {{ login: {}@acme.com, profile: {{ userType: {}, department: Department {:02}, title: Title {:03}, region: {}{manager} }} }}",
                person.handle(),
                if person.is_contractor() { "Contractor" } else { "Employee" },
                person.department(),
                person.title(),
                person.region(),
            )
            .unwrap();
        }
        world.push_str("  groups:\n");
        for (name, members) in self.groups() {
            let there = members.iter().filter(|number| missing == 0 || !number.is_multiple_of(missing));
            let logins: Vec<String> =
                there.map(|number| format!("{}@acme.com", Person(*number).handle())).collect();
            writeln!(world, "    - {{ name: {name}, members: [{}] }}", logins.join(", ")).unwrap();
        }
        world
    }
}

/// Whom a role's rule is about.
fn is_member(role: usize, person: Person) -> bool {
    let ruled = !person.is_contractor();
    match role % 5 {
        0 => ruled && person.department() == role % DEPARTMENTS,
        1 => ruled && person.title() == role % TITLES,
        2 => ruled && person.department() == role % DEPARTMENTS && person.region() == REGIONS[role % 4],
        3 => ruled && person.reports_to(Person(1 + role % 200)),
        _ => person.title() == role % TITLES && person.is_contractor(),
    }
}

fn is_excepted(role: usize, person: Person) -> bool {
    role.is_multiple_of(7) && person.region() == "latam"
}

fn apps(role: usize) -> [usize; 2] {
    [role % APPS, (role * 7 + 3) % APPS]
}

fn role(number: usize) -> String {
    let entry = match number % 5 {
        0 => format!("{{ department: department_{:02} }}", number % DEPARTMENTS),
        1 => format!("{{ title: title_{:03} }}", number % TITLES),
        2 => format!(
            "{{ department: department_{:02}, region: {} }}",
            number % DEPARTMENTS,
            REGIONS[number % 4]
        ),
        3 => format!("{{ reports_to: {} }}", Person(1 + number % 200).handle()),
        _ => format!("{{ title: title_{:03}, type: contractor }}", number % TITLES),
    };
    let except =
        if number.is_multiple_of(7) { "except: [{ region: latam, reason: \"LAW-1\" }]\n" } else { "" };
    let [one, two] = apps(number);
    format!(
        "---\nkind: Role\nname: r{number:03}\nowners: [{}]\nallow_empty: true\nmembers:\n  - {entry}\n{except}access:\n  - okta: {{ groups: [app.{one:03}, app.{two:03}] }}\n",
        Person(number % 100).handle()
    )
}

/// The calls that an explanation says it took.
fn calls(json: &str) -> u64 {
    let json: Value = serde_json::from_str(json).unwrap();
    json["calls"]["okta"].as_u64().unwrap()
}

#[test]
fn an_organization_converges_and_a_question_costs_a_fraction_of_a_plan() {
    let repo = Repo::empty();
    LARGE.write(&repo, 500);
    let plan = repo.plan();
    let summary = &plan["summary"];
    let missing: usize = LARGE
        .groups()
        .values()
        .map(|members| members.iter().filter(|number| number.is_multiple_of(500)).count())
        .sum();
    assert!(missing > 10);
    assert_eq!(
        summary["grant"], missing,
        "who is not in a group yet is put in, and nobody else: {summary:#}"
    );
    for nothing in ["revoke", "create", "delete", "update"] {
        assert!(summary[nothing].is_null(), "{nothing}: {summary:#}");
    }
    repo.expect(0, &["apply", "--yes"]);
    let left = repo.plan();
    assert_eq!(left["changes"], Value::Array(Vec::new()));
    let plan = left["base"]["providers"]["okta"]["calls"].as_u64().unwrap();
    println!("plan: {plan} calls");
    for question in [
        &["p0005"][..],
        &["r010"],
        &["u01"],
        &["okta:group/app.010"],
        &["p0005", "app.010"],
        &["p0005", "r010"],
        &["p0005", "--wants", "app.010"],
        &["roles/00.yaml:7"],
    ] {
        let arguments = [&["explain", "--format", "json"], question].concat();
        let made = calls(&repo.expect(0, &arguments).stdout);
        println!("explain {}: {made} calls, 1/{} of a plan", question.join(" "), plan / made);
        assert!(made * 5 <= plan, "`explain {}` makes {made} calls, and a plan {plan}", question.join(" "));
    }
}

/// CPU time of all programs run so far, and of this one, in ticks of 10 ms.
fn ticks() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> =
        text.rsplit(") ").next().unwrap().split(' ').map(|field| field.parse().unwrap_or_default()).collect();
    (fields[13] + fields[14], fields[11] + fields[12])
}

#[test]
#[ignore = "it measures: run it alone, with `--ignored --nocapture`"]
fn what_a_question_costs_beside_a_plan() {
    let repo = Repo::empty();
    LARGE.write(&repo, 0);
    repo.converge();
    let rounds = 3;
    let of = |arguments: &[&str]| {
        let before = ticks().0;
        (0..rounds).for_each(|_| drop(repo.expect(0, arguments)));
        (ticks().0 - before) / rounds
    };
    // Reading the world is no part of either: it is the simulator's, and real ones keep their own.
    let before = ticks().1;
    (0..rounds).for_each(|_| {
        drop(rolecall::simulator::Simulator::copy_of(&repo.path().join("world.yaml")).unwrap());
    });
    let world = (ticks().1 - before) / rounds;
    let plan = of(&["plan"]).saturating_sub(world);
    println!("reading the world: {world}0 ms of CPU, left out; plan: {plan}0 ms");
    for question in [
        &["p0005"][..],
        &["r010"],
        &["p0005", "app.010"],
        &["p0005", "--wants", "app.011"],
        &["roles/00.yaml:7"],
    ] {
        let cost = of(&[&["explain"], question].concat()).saturating_sub(world);
        println!("explain {}: {cost}0 ms, {} % of a plan", question.join(" "), cost * 100 / plan.max(1));
    }
}
