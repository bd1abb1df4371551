//! References between documents that need no network: roles, cycles of roles, types, attributes, providers, people
//! where manifests are the directory.
//!
//! Invariant: a document that exists but is broken is not reported as missing.
//! It must not know who matches what.

use std::collections::{BTreeMap, BTreeSet};

use super::documents::{Condition, GrantFile, GrantNeed, Role, RoleEntry, Separation, User};
use super::header::Names;
use super::load::Documents;
use super::roles::ENTRY_KEYS;
use super::shape::unknown;
use super::{
    MISSING_NEED, ON_REQUEST, ROLE_CYCLE, TOO_LONG, UNKNOWN_ATTRIBUTE, UNKNOWN_INSTANCE, UNKNOWN_PERSON,
    UNKNOWN_ROLE, UNKNOWN_TYPE,
};
use crate::model::decode::WRONG_VALUE;
use crate::model::{Address, Code, Directory, Finding, Settings, Spanned};

pub(crate) fn check(
    documents: &Documents,
    names: &Names,
    settings: Option<&Settings>,
    directory: Option<&Directory>,
    findings: &mut Vec<Finding>,
) {
    let known = Known::new(documents, names, settings, directory);
    let mut check = Check { known, findings };
    let owners = settings.map(|settings| settings.owners.as_slice()).unwrap_or_default();
    let handles = owners.iter().filter(|owner| !owner.starts_with('@')).cloned();
    check.people(&handles.collect::<Vec<_>>());
    for user in &documents.users {
        check.user(user, settings);
    }
    for role in &documents.roles {
        check.role(role);
    }
    for grant in &documents.grants {
        check.people(&grant.to);
        check.roles(&grant.roles);
        for role in documents.roles.iter().filter(|role| role.on_request.is_some()) {
            check.on_request(grant, role);
        }
    }
    for suspension in &documents.suspensions {
        check.people(std::slice::from_ref(&suspension.name));
    }
    for separation in &documents.separations {
        check.separation(separation);
    }
    cycles(&documents.roles, check.findings);
}

/// What can be named. `None`: that cannot be known here.
struct Known<'a> {
    roles: BTreeSet<&'a str>,
    /// Handles, where manifests are the directory.
    people: Option<BTreeSet<&'a str>>,
    types: Option<BTreeSet<&'a str>>,
    instances: Option<BTreeSet<&'a str>>,
    /// What entries can cite.
    attributes: Option<BTreeSet<&'a str>>,
}

impl<'a> Known<'a> {
    fn new(
        documents: &'a Documents,
        names: &'a Names,
        settings: Option<&'a Settings>,
        directory: Option<&'a Directory>,
    ) -> Self {
        let handles: BTreeSet<&str> = names.of("User").collect();
        let attributes = directory.and_then(|directory| match directory {
            Directory::Provider { attributes, .. } => Some(attributes.keys().map(AsRef::as_ref).collect()),
            // One that could not be decoded might have the attribute.
            Directory::Manifests if documents.users.len() < handles.len() => None,
            Directory::Manifests => {
                let of = |user: &'a User| user.attributes.iter().map(|(name, _)| name.as_str());
                Some(documents.users.iter().flat_map(of).collect())
            }
        });
        let manifests = directory == Some(&Directory::Manifests);
        Self {
            roles: names.of("Role").collect(),
            people: manifests.then_some(handles),
            types: settings.map(|settings| settings.types.iter().map(|one| one.name.as_ref()).collect()),
            instances: settings.map(|settings| settings.providers.keys().map(AsRef::as_ref).collect()),
            attributes,
        }
    }
}

struct Check<'a, 'f> {
    known: Known<'a>,
    findings: &'f mut Vec<Finding>,
}

impl Check<'_, '_> {
    fn user(&mut self, user: &User, settings: Option<&Settings>) {
        self.types(std::slice::from_ref(&user.kind));
        self.people(user.manager.as_slice());
        self.people(user.owner.as_slice());
        // Where manifests are the directory these very attributes are what is known.
        for (name, _) in &user.attributes {
            self.attribute(name, "rules could not cite", &[]);
        }
        for (instance, _) in user.identities.iter().filter(|(instance, _)| instance.value != "gitlab") {
            self.instance(instance);
        }
        let kind = settings
            .and_then(|settings| settings.types.iter().find(|kind| kind.name.as_ref() == user.kind.as_str()));
        for need in kind.iter().flat_map(|kind| &kind.needs) {
            let has = match need.as_str() {
                "manager" => user.manager.is_some(),
                "owner" => user.owner.is_some(),
                "until" => user.until.is_some(),
                _ => user.review.is_some(),
            };
            if !has {
                let message =
                    format!("`{}` lacks `{need}`, which the type `{}` needs", *user.name, *user.kind);
                let finding = Finding::error(MISSING_NEED, message).at(&user.name.span);
                self.findings.push(finding.help(format!("add `{need}:`")));
            }
        }
    }

    fn role(&mut self, role: &Role) {
        let handles = role.owners.iter().filter(|owner| !owner.starts_with('@')).cloned();
        self.people(&handles.collect::<Vec<_>>());
        for entry in role.members.iter().chain(&role.except) {
            self.entry(entry);
        }
        for access in &role.access {
            self.instance(&access.instance);
        }
    }

    /// Whether a grant says what a role wants of it, and lasts no longer than that allows.
    fn on_request(&mut self, grant: &GrantFile, role: &Role) {
        let Some(terms) = &role.on_request else { return };
        let Some(named) = grant.roles.iter().find(|name| name.value == role.name.value) else { return };
        for need in &terms.needs {
            let (key, has) = match need {
                GrantNeed::Reason => ("reason", grant.reason.is_some()),
                GrantNeed::Ticket => ("ticket", grant.ticket.is_some()),
                GrantNeed::Until => ("until", grant.until.is_some()),
            };
            if !has {
                let message = format!("a grant of `{}` needs `{key}`", named.value);
                self.findings
                    .push(Finding::error(ON_REQUEST, message).at(&named.span).help(format!("add `{key}:`")));
            }
        }
        // Without a `from` it begins with the first apply, which nobody knows yet.
        if let (Some(max), Some(from), Some(until)) = (terms.max, &grant.from, &grant.until)
            && until.value.duration_since(from.value) > max
        {
            let message = format!("this lasts longer than the {max:#} that `{}` allows", named.value);
            let finding = Finding::error(TOO_LONG, message).at(&until.span);
            self.findings.push(finding.help("bring `until` forward, and extend it while it runs"));
        }
    }

    fn separation(&mut self, separation: &Separation) {
        for name in separation.between.iter().flatten() {
            if !name.contains(':') {
                self.roles(std::slice::from_ref(name));
                continue;
            }
            match name.parse::<Address>() {
                Ok(address) => {
                    let instance = Spanned { value: address.instance().to_owned(), span: name.span.clone() };
                    self.instance(&instance);
                }
                Err(error) => {
                    let finding = Finding::error(WRONG_VALUE, error.to_string()).at(&name.span);
                    self.findings
                        .push(finding.help("write a role, or an address such as `okta:group/app.x`"));
                }
            }
        }
    }

    fn entry(&mut self, entry: &RoleEntry) {
        for condition in &entry.conditions {
            match condition {
                Condition::Handle(people) | Condition::Manager(people) | Condition::ReportsTo(people) => {
                    self.people(people);
                }
                Condition::Type(types) => self.types(types),
                Condition::Role(roles) => self.roles(roles),
                Condition::Attribute { name, .. } => self.attribute(name, "entries cannot cite", &ENTRY_KEYS),
            }
        }
    }

    fn people(&mut self, handles: &[Spanned<String>]) {
        if let Some(known) = &self.known.people {
            missing(UNKNOWN_PERSON, "no `User` is called", handles, known, self.findings);
        }
    }

    fn types(&mut self, types: &[Spanned<String>]) {
        if let Some(known) = &self.known.types {
            missing(UNKNOWN_TYPE, "`types:` does not have", types, known, self.findings);
        }
    }

    fn roles(&mut self, roles: &[Spanned<String>]) {
        missing(UNKNOWN_ROLE, "there is no role", roles, &self.known.roles, self.findings);
    }

    fn instance(&mut self, instance: &Spanned<String>) {
        if let Some(known) = &self.known.instances {
            let words = "`providers:` does not have";
            missing(UNKNOWN_INSTANCE, words, std::slice::from_ref(instance), known, self.findings);
        }
    }

    fn attribute(&mut self, name: &Spanned<String>, words: &str, besides: &[&str]) {
        if let Some(known) = &self.known.attributes
            && !known.contains(name.as_str())
        {
            let message = format!("{words} `{}`: the directory does not give it", name.value);
            let known = known.iter().chain(besides).copied();
            self.findings.push(unknown(UNKNOWN_ATTRIBUTE, message, name, known));
        }
    }
}

fn missing(
    code: Code,
    words: &str,
    named: &[Spanned<String>],
    known: &BTreeSet<&str>,
    findings: &mut Vec<Finding>,
) {
    for name in named.iter().filter(|name| !known.contains(name.as_str())) {
        findings.push(unknown(code, format!("{words} `{}`", name.value), name, known.iter().copied()));
    }
}

/// Reports each way in which a role leads back to itself.
fn cycles(roles: &[Role], findings: &mut Vec<Finding>) {
    let cited = |role: &Role| -> Vec<Spanned<String>> {
        let conditions = role.members.iter().chain(&role.except).flat_map(|entry| &entry.conditions);
        let of = |condition: &Condition| match condition {
            Condition::Role(roles) => roles.clone(),
            _ => Vec::new(),
        };
        conditions.flat_map(of).collect()
    };
    let edges: BTreeMap<&str, Vec<Spanned<String>>> =
        roles.iter().map(|role| (role.name.as_str(), cited(role))).collect();
    // A walk with a path of its own instead of recursion: chains of roles may be as long as people like.
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in edges.keys() {
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        let mut on_path: BTreeSet<&str> = BTreeSet::from([*start]);
        if done.contains(start) {
            continue;
        }
        while let Some((at, next)) = path.last_mut() {
            let (role, index) = (*at, *next);
            *next += 1;
            let Some(to) = edges.get(role).and_then(|edges| edges.get(index)) else {
                done.insert(role);
                on_path.remove(role);
                path.pop();
                continue;
            };
            let Some((name, _)) = edges.get_key_value(to.as_str()) else { continue };
            if on_path.contains(name) {
                let begin = path.iter().position(|(role, _)| role == name).unwrap_or(0);
                let mut names: Vec<&str> = path.iter().skip(begin).map(|(role, _)| *role).collect();
                names.push(name);
                let message = format!("these roles consist of each other: `{}`", names.join("` → `"));
                let finding = Finding::error(ROLE_CYCLE, message).at(&to.span);
                findings.push(finding.help("take one of these citations out"));
            } else if !done.contains(name) {
                path.push((name, 0));
                on_path.insert(name);
            }
        }
    }
}
