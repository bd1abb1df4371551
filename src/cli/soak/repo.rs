//! An access repo as a small model: it renders to YAML, and says by itself what it asks for.
//!
//! Invariant: what it says is worked out from the model and the world alone, never by the code that is being judged.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value as Json, json};

use super::facts::{ACCOUNT, Fact, aws, aws_user, handle, okta_group, okta_user, policy};
use crate::model::Sources;
use crate::simulator::{UserStatus, World};

/// How far rolecall may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum May {
    Look,
    Add,
    Members,
    All,
}

impl May {
    fn word(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Add => "add",
            Self::Members => "members",
            Self::All => "all",
        }
    }
}

/// A line of `own:`: things of a kind whose names match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    /// `okta:group`, `aws:user` and so on.
    pub(super) kind: &'static str,
    /// A name, or its beginning and a `*`.
    pub(super) pattern: String,
    pub(super) may: May,
}

/// An entry of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) who: Who,
    /// Until the end of that day.
    pub(super) until: Option<Date>,
}

/// Whom an entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    Department(String),
    Handle(String),
    Role(String),
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Role {
    pub(super) members: Vec<Entry>,
    pub(super) except: BTreeSet<String>,
    pub(super) allow_empty: bool,
    pub(super) okta: BTreeSet<String>,
    pub(super) aws_groups: BTreeSet<String>,
    pub(super) aws_policies: BTreeSet<String>,
}

/// A declared Okta group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Group {
    pub(super) description: Option<String>,
    pub(super) members: BTreeSet<String>,
    pub(super) allow_empty: bool,
}

/// A declared IAM thing of whatever kind; what a kind does not have stays empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Iam {
    pub(super) groups: BTreeSet<String>,
    pub(super) policies: BTreeSet<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) description: Option<String>,
    /// In hours.
    pub(super) max_session: Option<u8>,
    /// Of policies, the resource that their document is about; of others, that of an inline policy.
    pub(super) document: Option<String>,
}

/// A cap: the larger of a number and a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cap {
    pub(super) floor: usize,
    pub(super) percent: usize,
}

impl Cap {
    /// How many of so many may go.
    pub(super) fn of(self, total: usize) -> usize {
        self.floor.max(total * self.percent / 100)
    }
}

/// The access repo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repo {
    pub(super) own: Vec<Own>,
    pub(super) removals: Cap,
    pub(super) leavers: Cap,
    pub(super) per_run: usize,
    pub(super) admins_min: usize,
    /// Whether all caps on removals are waived.
    pub(super) waived: bool,
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) groups: BTreeMap<String, Group>,
    /// By kind (`user`, `group`, `role`, `policy`) and name.
    pub(super) iam: BTreeMap<(&'static str, String), Iam>,
}

/// The group of administrators, of which a least number must stay.
pub(super) const ADMINS: &str = "admin.super";
/// The group and the person that nobody may change.
pub(super) const BREAK_GLASS: (&str, &str) = ("admin.break_glass", "breakglass1");
/// Who applies: in Okta the owner of the token, in IAM a user.
pub(super) const CALLER: &str = "svc_rolecall";
/// How long a plan may be applied.
pub(super) const TTL_DAYS: i64 = 7;

impl Repo {
    /// How far rolecall may go on a thing.
    pub(super) fn may(&self, thing: &str) -> May {
        let Some((kind, name)) = thing.split_once('/') else { return May::Look };
        let matches = |own: &&Own| {
            own.kind == kind
                && match own.pattern.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => own.pattern == name,
                }
        };
        self.own.iter().find(matches).map_or(May::Look, |own| own.may)
    }

    /// The things that it declares, the groups of roles among them.
    pub(super) fn declares(&self) -> BTreeSet<String> {
        let roles = self.roles.keys().map(|role| okta_group(&group_of(role)));
        let groups = self.groups.keys().map(|group| okta_group(group));
        let iam = self.iam.keys().map(|(kind, name)| aws(kind, name));
        roles.chain(groups).chain(iam).collect()
    }

    /// Whether a group may become empty.
    pub(super) fn may_be_empty(&self, thing: &str) -> bool {
        let role = thing.strip_prefix("okta:group/rbac_role_").and_then(|name| self.roles.get(name));
        let group = thing.strip_prefix("okta:group/").and_then(|name| self.groups.get(name));
        role.is_some_and(|role| role.allow_empty) || group.is_some_and(|group| group.allow_empty)
    }

    /// Who has a role at a time, of those who are at work.
    pub(super) fn members(&self, role: &str, world: &World, now: Timestamp) -> BTreeSet<String> {
        let Some(asked) = self.roles.get(role) else { return BTreeSet::new() };
        let mut members = BTreeSet::new();
        for entry in asked.members.iter().filter(|entry| entry.until.is_none_or(|end| now < after(end))) {
            match &entry.who {
                Who::Handle(handle) => members.extend([handle.clone()]),
                Who::Role(other) => members.extend(self.members(other, world, now)),
                Who::Department(name) => members.extend(in_department(world, name)),
            }
        }
        members.retain(|person| at_work(world, person) && !asked.except.contains(person));
        members
    }

    /// Every edge that it asks for at a time, as far as both ends of it can be.
    pub(super) fn wants(&self, world: &World, now: Timestamp) -> BTreeSet<Fact> {
        let mut wants = BTreeSet::new();
        let has_iam = |person: &str| {
            world.aws.accounts.get(ACCOUNT).is_some_and(|account| account.users.contains_key(person))
        };
        for (name, role) in &self.roles {
            for person in self.members(name, world, now) {
                let okta = role.okta.iter().map(|group| okta_group(group));
                let okta = okta.chain([okta_group(&group_of(name))]);
                wants.extend(okta.map(|group| Fact::edge(okta_user(&person), group)));
                if has_iam(&person) {
                    let groups = role.aws_groups.iter().map(|group| aws("group", group));
                    let policies = role.aws_policies.iter().map(|name| policy(name));
                    wants.extend(groups.chain(policies).map(|to| Fact::edge(aws_user(&person), to)));
                }
            }
        }
        for (name, group) in &self.groups {
            let members = group.members.iter().filter(|person| at_work(world, person));
            wants.extend(members.map(|person| Fact::edge(okta_user(person), okta_group(name))));
        }
        for ((kind, name), iam) in &self.iam {
            let groups = iam.groups.iter().map(|group| aws("group", group));
            let policies = iam.policies.iter().map(|name| policy(name));
            wants.extend(groups.chain(policies).map(|to| Fact::edge(aws(kind, name), to)));
        }
        wants
    }

    /// The things that it declares, and those that its roles give.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let given = self.roles.values().flat_map(|role| {
            let groups = role.okta.iter().map(|group| okta_group(group));
            let groups = groups.chain(role.aws_groups.iter().map(|group| aws("group", group)));
            groups.chain(role.aws_policies.iter().map(|name| policy(name)))
        });
        self.declares().into_iter().chain(given).collect()
    }

    /// Takes out entries that cite what nobody has, and members whom nobody knows, which is a mistake where it is new.
    pub(super) fn mend(&mut self, world: &World) {
        let is_known = |handle: &String| world.okta.user(&super::world::login(handle)).is_some();
        for group in self.groups.values_mut() {
            group.members.retain(is_known);
        }
        for role in self.roles.values_mut() {
            role.members.retain(|entry| match &entry.who {
                Who::Department(name) => !in_department(world, name).is_empty(),
                Who::Handle(handle) => is_known(handle),
                Who::Role(_) => true,
            });
        }
    }

    /// The files.
    pub(super) fn sources(&self) -> Sources {
        let mut files = vec![("rolecall.yaml".to_owned(), self.settings().to_string())];
        for (name, role) in &self.roles {
            files.push((format!("roles/{name}.yaml"), role_document(name, role).to_string()));
        }
        for (name, group) in &self.groups {
            let mut document = json!({
                "kind": "okta/Group", "name": name, "members": group.members, "allow_empty": group.allow_empty,
            });
            put(&mut document, "description", group.description.as_ref().map(|text| json!(text)));
            files.push((format!("native/okta-{name}.yaml"), document.to_string()));
        }
        for ((kind, name), iam) in &self.iam {
            files.push((format!("native/aws-{kind}-{name}.yaml"), iam_document(kind, name, iam).to_string()));
        }
        if self.waived {
            let waiver = |code: &str| {
                json!({
                    "kind": "Waiver", "name": code.to_lowercase(), "code": code, "on": ["*"], "allow": 500,
                    "owner": "p00", "reason": "it is meant", "until": "2028-12-31",
                })
            };
            let waivers = ["RC404", "RC405", "RC406"].map(|code| waiver(code).to_string());
            files.push(("rules/waivers.yaml".to_owned(), waivers.join("\n---\n")));
        }
        Sources::of(files)
    }

    fn settings(&self) -> Json {
        let own = |instance: &str| -> Vec<Json> {
            let lines = self.own.iter().filter_map(|own| {
                let kind = own.kind.strip_prefix(instance)?.strip_prefix(':')?;
                let plural = if kind == "policy" { "policies".to_owned() } else { format!("{kind}s") };
                Some(json!({ plural: own.pattern, "may": own.may.word() }))
            });
            lines.collect()
        };
        let cap = |cap: Cap| json!({ "floor": cap.floor, "percent": cap.percent });
        json!({
            "format": 1, "organization": "acme", "timezone": "UTC", "simulate": "world.yaml",
            "directory": {
                "from": "okta", "handle": "login",
                "attributes": { "department": "department", "manager": "managerEmail" },
            },
            "types": {
                "employee": { "rules": true, "match": { "userType": "Employee" } },
                "service": { "match": { "userType": "Service" } },
            },
            "identities": { "okta": "{email}", "aws": "{handle}" },
            "groups": { "okta": "rbac_role_{role}" },
            "providers": {
                "okta": { "own": own("okta") },
                "aws": { "account": ACCOUNT, "name": "ci", "own": own("aws") },
            },
            "standing": { "joiner": { "up_to": "high" }, "mover": { "up_to": "high" }, "leaver": "all", "expiry": "all" },
            "limits": {
                "removals": cap(self.removals), "per_run": self.per_run, "leavers": cap(self.leavers),
                "admins": { "min": self.admins_min, "of": [okta_group(ADMINS)] },
            },
            "plan_ttl": format!("{TTL_DAYS}d"),
            "protected": [format!("person:{}", BREAK_GLASS.1), okta_group(BREAK_GLASS.0)],
        })
    }
}

/// The Okta group of a role.
pub(super) fn group_of(role: &str) -> String {
    format!("rbac_role_{role}")
}

/// The end of a day.
fn after(day: Date) -> Timestamp {
    let next = day.tomorrow().unwrap_or(day);
    next.to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

/// Whether somebody is known and neither gone nor not yet there.
pub(super) fn at_work(world: &World, person: &str) -> bool {
    world.okta.user(&super::world::login(person)).is_some_and(|user| user.status == UserStatus::Active)
}

/// The employees of a department who are at work.
pub(super) fn in_department(world: &World, department: &str) -> Vec<String> {
    let is = |value: Option<&Json>, text: &str| value.and_then(Json::as_str) == Some(text);
    let users = world.okta.users.values().filter(|user| {
        user.status == UserStatus::Active
            && is(user.profile.get("department"), department)
            && is(user.profile.get("userType"), "Employee")
    });
    users.map(|user| handle(&user.login).to_owned()).collect()
}

fn put(document: &mut Json, key: &str, value: Option<Json>) {
    if let (Some(map), Some(value)) = (document.as_object_mut(), value) {
        map.insert(key.to_owned(), value);
    }
}

fn role_document(name: &str, role: &Role) -> Json {
    let entry = |entry: &Entry| {
        let mut document = match &entry.who {
            Who::Department(department) => json!({ "department": department }),
            Who::Handle(handle) => json!({ "handle": handle, "reason": "asked for" }),
            Who::Role(role) => json!({ "role": role }),
        };
        put(&mut document, "until", entry.until.map(|day| json!(day.to_string())));
        document
    };
    let mut access = Vec::new();
    if !role.okta.is_empty() {
        access.push(json!({ "okta": { "groups": role.okta } }));
    }
    let mut aws = json!({});
    put(&mut aws, "groups", (!role.aws_groups.is_empty()).then(|| json!(role.aws_groups)));
    put(&mut aws, "policies", (!role.aws_policies.is_empty()).then(|| json!(role.aws_policies)));
    if aws != json!({}) {
        access.push(json!({ "aws": aws }));
    }
    let except: Vec<Json> =
        role.except.iter().map(|handle| json!({ "handle": handle, "reason": "not him" })).collect();
    json!({
        "kind": "Role", "name": name, "owners": ["p00"], "allow_empty": role.allow_empty,
        "members": role.members.iter().map(entry).collect::<Vec<_>>(), "except": except, "access": access,
    })
}

fn iam_document(kind: &str, name: &str, iam: &Iam) -> Json {
    let title = match kind {
        "user" => "aws/User",
        "group" => "aws/Group",
        "role" => "aws/Role",
        _ => "aws/Policy",
    };
    let statement = |resource: &String| {
        json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": resource }],
        })
    };
    let mut document = json!({ "kind": title, "name": name });
    let some = |set: &BTreeSet<String>| Some(json!(set));
    match kind {
        "policy" => {
            put(&mut document, "document", iam.document.as_ref().map(statement));
            return document;
        }
        "user" => put(&mut document, "groups", some(&iam.groups)),
        "role" => {
            let root = format!("arn:aws:iam::{ACCOUNT}:root");
            let trust = json!({
                "Version": "2012-10-17",
                "Statement": [{ "Effect": "Allow", "Principal": { "AWS": root }, "Action": "sts:AssumeRole" }],
            });
            put(&mut document, "trust", Some(trust));
            put(&mut document, "description", iam.description.as_ref().map(|text| json!(text)));
            put(&mut document, "max_session", iam.max_session.map(|hours| json!(format!("{hours}h"))));
        }
        _ => {}
    }
    put(&mut document, "policies", some(&iam.policies));
    put(&mut document, "inline", iam.document.as_ref().map(|resource| json!({ "own": statement(resource) })));
    if !iam.tags.is_empty() {
        put(&mut document, "tags", Some(json!(iam.tags)));
    }
    document
}
