//! Worlds of any size for the benches: an access repo, yesterday's and today's people, and what is live.
//!
//! For n people: n/100 roles that find them by rule or by name, n/10 groups, 10 n edges. Between yesterday and today
//! about 1 % of the edges change: some roles give other groups, some people move, and somebody changes some by hand.
//! Invariant: the same size gives the same world. It must not use anything but the library's public functions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rolecall::manifest::{self, Tree};
use rolecall::model::{
    Address, Attributes, Coverage, DirectoryRecord, GrantKey, LiveGrant, Name, Registry, Resource, Sources,
    Status, Value,
};

/// The Sunday on which all of this happens.
pub(crate) const NOW: &str = "2026-11-22T12:00:00Z";

/// Before or after the edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Day {
    /// What base says, and who was where.
    Yesterday,
    /// What head says, and who is where.
    Today,
}

/// A number that looks random and is not.
fn mixed(what: u64, salt: u64) -> u64 {
    let mut x =
        what.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(salt.wrapping_mul(0xD1B5_4A32_D192_ED03));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// How many there are of each, for so many people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    people: u64,
}

impl Size {
    /// A world with so many people; at least a thousand.
    pub(crate) fn of(people: u64) -> Self {
        Self { people: people.max(1_000) }
    }

    /// Roles of all sorts.
    pub(crate) fn roles(self) -> u64 {
        self.people / 100
    }

    /// Groups that exist.
    pub(crate) fn groups(self) -> u64 {
        self.people / 10
    }

    /// One in a hundred roles is a division's.
    fn divisions(self) -> u64 {
        (self.roles() / 100).max(1)
    }

    fn departments(self) -> u64 {
        self.roles() * 6 / 10
    }

    fn cost_centers(self) -> u64 {
        self.roles() * 3 / 10
    }

    /// The rest of the roles have their members by name.
    fn projects(self) -> u64 {
        self.roles() - self.divisions() - self.departments() - self.cost_centers()
    }

    /// Groups whose members a document names.
    fn lists(self) -> u64 {
        self.roles() / 2
    }

    fn handle(self, person: u64) -> String {
        const FIRST: [&str; 8] = ["ann", "bo", "chidi", "dora", "emil", "fatima", "goran", "hana"];
        const LAST: [&str; 8] =
            ["abara", "berg", "castillo", "dubois", "eriksen", "fischer", "gupta", "haddad"];
        let pick = |names: [&'static str; 8], salt| names[(mixed(person, salt) % 8) as usize];
        format!("{}.{}.{person:06}", pick(FIRST, 1), pick(LAST, 2))
    }

    fn status(self, person: u64) -> Status {
        match mixed(person, 3) % 1_000 {
            0..10 => Status::Left,
            10..12 => Status::Suspended,
            12..14 => Status::Staged,
            _ => Status::Active,
        }
    }

    fn department(self, person: u64, day: Day) -> u64 {
        let moved = day == Day::Today && mixed(person, 4).is_multiple_of(300);
        mixed(person, if moved { 6 } else { 5 }) % self.departments()
    }

    /// What the directory says of everyone.
    pub(crate) fn records(self, day: Day) -> Vec<DirectoryRecord> {
        // Whoever reads a directory keeps each text once.
        let mut texts: BTreeSet<Name> = BTreeSet::new();
        let mut shared = |text: &str| {
            let known = texts.get(text).cloned();
            known.unwrap_or_else(|| {
                let name = Name::from(text);
                texts.insert(name.clone());
                name
            })
        };
        let record = |person: u64| {
            let handle = self.handle(person);
            let login = format!("{handle}@acme.com");
            let department = self.department(person, day);
            let profile = [
                ("login", login.clone()),
                ("email", login.clone()),
                ("displayName", handle.replace('.', " ")),
                ("userType", "Employee".to_owned()),
                ("department", format!("Department {department:04}")),
                ("division", format!("Division {:02}", department % self.divisions())),
                ("costCenter", format!("CC-{:04}", mixed(person, 7) % self.cost_centers())),
                ("title", format!("Title {}", mixed(person, 8) % 50)),
                ("managerEmail", format!("{}@acme.com", self.handle(person / 20))),
            ];
            DirectoryRecord {
                address: Some(Address::new("okta", None, "user", &login)),
                status: self.status(person),
                profile: profile.into_iter().map(|(key, value)| (shared(key), shared(&value))).collect(),
            }
        };
        let mut records: Vec<_> = (0..self.people).map(record).collect();
        records.sort_by(|one, other| one.address.cmp(&other.address));
        records
    }

    /// The files of the access repo.
    pub(crate) fn sources(self, day: Day) -> Sources {
        let mut files: BTreeMap<String, String> =
            BTreeMap::from([("rolecall.yaml".to_owned(), SETTINGS.to_owned())]);
        let mut role = |folder: &str, name: &str, members: &str, access: &[String], aws: Option<&str>| {
            let text =
                files.entry(format!("roles/{folder}-{}.yaml", mixed(name.len() as u64, 9) % 4)).or_default();
            let _ = write!(
                text,
                "---\nkind: Role\nname: {name}\nowners: [{}]\nmembers:\n{members}access:\n  - okta: {{ groups: [{}] }}\n",
                self.handle(14),
                access.join(", ")
            );
            if let Some(group) = aws {
                let _ = writeln!(text, "  - aws: {{ groups: [{group}] }}");
            }
        };
        for division in 0..self.divisions() {
            let members = format!("  - {{ division: division_{division:02} }}\n");
            role(
                "divisions",
                &format!("division_{division:02}"),
                &members,
                &[format!("app.division.{division:02}")],
                None,
            );
        }
        for department in 0..self.departments() {
            let members = format!("  - {{ department: department_{department:04} }}\n");
            let mut access: Vec<_> = (0..3).map(|app| format!("app.dept.{department:04}.{app}")).collect();
            // What one in fifty departments has is changed by the merge request: one group goes, another comes.
            if day == Day::Today && department % 50 == 7 {
                access[0] = format!("app.dept.{department:04}.next");
            }
            role(
                &format!("departments-{:02}", department % 40),
                &format!("department_{department:04}"),
                &members,
                &access,
                None,
            );
        }
        for center in 0..self.cost_centers() {
            let members = format!("  - {{ cost_center: cc_{center:04} }}\n");
            let access: Vec<_> = (0..3).map(|app| format!("app.center.{center:04}.{app}")).collect();
            role("centers", &format!("center_{center:04}"), &members, &access, None);
        }
        for project in 0..self.projects() {
            let people = (0..20).map(|seat| mixed(project * 20 + seat, 10) % self.people);
            let mut members = String::new();
            for person in people {
                let _ = writeln!(
                    members,
                    "  - {{ handle: {}, until: 2027-0{}-28, reason: \"project {project}\" }}",
                    self.handle(person),
                    1 + person % 6
                );
            }
            // The first group is a department's too: some people have it for two reasons.
            let access = [format!("app.dept.{project:04}.0"), format!("app.project.{project:04}")];
            let aws = project.is_multiple_of(10).then_some("deployers");
            role("projects", &format!("project_{project:04}"), &members, &access, aws);
        }
        let lists = files.entry("native/okta/lists.yaml".to_owned()).or_default();
        for list in 0..self.lists() {
            let people = (0..10).map(|seat| self.handle(mixed(list * 10 + seat, 11) % self.people));
            let people: Vec<_> = people.collect();
            let _ = write!(
                lists,
                "---\nkind: okta/Group\nname: list.{list:04}\nmembers: [{}]\n",
                people.join(", ")
            );
        }
        Sources::of(files)
    }

    /// The access repo, loaded.
    pub(crate) fn tree(self, day: Day, registry: &Registry) -> Tree {
        let (tree, findings) = manifest::load(&self.sources(day), registry);
        tree.unwrap_or_else(|| panic!("the generated repo is wrong: {:?}", findings.first()))
    }

    /// What is live once `wanted` was applied, and somebody has been at it by hand.
    pub(crate) fn live(self, wanted: impl IntoIterator<Item = GrantKey>) -> rolecall::model::Snapshot {
        let mut live = rolecall::model::Snapshot::default();
        let mut put = |address: &Address, id: String, field: &str, text: &str| {
            let resource = Resource {
                id: Some(id.into()),
                attributes: Attributes::from([(field.into(), Value::text(text))]),
                ..Resource::default()
            };
            live.resources.insert(address.clone(), resource);
        };
        for person in 0..self.people {
            let login = format!("{}@acme.com", self.handle(person));
            let status = match self.status(person) {
                Status::Left => "deprovisioned",
                Status::Suspended => "suspended",
                Status::Staged => "staged",
                Status::Active => "active",
            };
            let address = Address::new("okta", None, "user", &login);
            put(&address, format!("00u{person:017}"), "status", status);
        }
        let mut grants = Vec::new();
        for (number, key) in (0_u64..).zip(wanted) {
            for end in [&key.resource, &key.principal] {
                if end.instance() == "okta" && end.kind() == "group" {
                    put(
                        end,
                        format!("00g{:017}", mixed(end.as_str().len() as u64, number)),
                        "description",
                        "",
                    );
                } else if end.instance() == "aws" {
                    put(end, format!("AIDA{number:016}"), "path", "/");
                }
            }
            // One in 300 was taken away by hand, and where one was taken another one was given.
            let mut key = key;
            if mixed(number, 12).is_multiple_of(300) && key.resource.instance() == "okta" {
                let login = format!("{}@acme.com", self.handle(mixed(number, 13) % self.people));
                key.principal = Address::new("okta", None, "user", &login);
            }
            grants.push(LiveGrant { key, attributes: Attributes::new(), via: None });
        }
        let legacy = |number: u64| Address::new("okta", None, "group", &format!("legacy.{number:05}"));
        let known = live.resources.keys().filter(|address| address.kind() == "group").count() as u64;
        for number in known..self.groups() {
            let group = legacy(number);
            let login = format!("{}@acme.com", self.handle(mixed(number, 14) % self.people));
            let principal = Address::new("okta", None, "user", &login);
            let key = GrantKey::new(&principal, "member", &group);
            grants.push(LiveGrant { key, attributes: Attributes::new(), via: None });
            let resource = Resource { id: Some(format!("00g{number:017}").into()), ..Resource::default() };
            live.resources.insert(group, resource);
        }
        for scope in ["okta:user", "okta:group", "aws/222222222222"] {
            live.coverage.insert(scope.into(), Coverage::Complete);
        }
        let groups: Vec<Name> =
            live.resources.keys().filter(|a| a.kind() == "group").map(|a| a.as_str().into()).collect();
        live.coverage.extend(groups.into_iter().map(|group| (group, Coverage::Complete)));
        live.calls.insert("okta".into(), self.groups());
        live.grants = grants.into();
        live.normalize();
        live
    }
}

const SETTINGS: &str = r#"format: 1
organization: acme
timezone: America/Los_Angeles
directory:
  from: okta
  handle: login
  attributes: { department: department, division: division, title: title, cost_center: costCenter, manager: managerEmail }
types:
  employee: { rules: true, match: { userType: Employee } }
identities: { okta: "{email}", aws: "{handle}" }
groups: { okta: "rbac_role_{role}" }
providers:
  okta:
    own:
      - { groups: ["rbac_*", "list.*"], may: all }
      - { groups: "app.*", may: all }
      - { groups: "legacy.*", may: add }
  aws:
    account: "222222222222"
    name: ci
    own:
      - { users: "*", may: members }
      - { groups: "*", may: all }
standing: { joiner: { up_to: medium }, mover: { up_to: medium }, leaver: all, expiry: all }
limits: { removals: { floor: 10, percent: 50 }, per_run: 20000, leavers: { floor: 15, percent: 5 }, admins: { min: 2, of: ["okta:group/list.0001"] } }
protected: ["okta:group/list.0000", "okta:group/admin.*"]
"#;
