//! A world as a flat map of facts, so that two worlds can be told apart fact by fact.
//!
//! Invariant: ids, time stamps and counters are no facts. It must not know what anybody wants of a world.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::simulator::{UserStatus, World};

/// The one account of all worlds here.
pub(super) const ACCOUNT: &str = "222222222222";
/// What comes after the handle in a login.
pub(super) const DOMAIN: &str = "@acme.com";

/// Something that can be true of a world. Things are named `okta:group/x`, `aws:user/x`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    /// A thing is there.
    Thing(String),
    /// Somebody is in something, or something is attached to somebody.
    Edge(String, String),
    /// A field of a thing; its value is the fact's.
    Field(String, String),
}

impl Fact {
    /// An edge.
    pub(super) fn edge(who: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Edge(who.into(), what.into())
    }

    /// The handle of the person whose edge it is, where it may be one's.
    pub(super) fn handle(&self) -> Option<&str> {
        match self {
            Self::Edge(who, _) => who.strip_prefix("okta:user/").or_else(|| who.strip_prefix("aws:user/")),
            _ => None,
        }
    }

    /// The things that it is about.
    pub(super) fn things(&self) -> Vec<&str> {
        match self {
            Self::Thing(thing) | Self::Field(thing, _) => vec![thing],
            Self::Edge(who, what) => vec![who, what],
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thing(thing) => write!(f, "{thing}"),
            Self::Edge(who, what) => write!(f, "{who} in {what}"),
            Self::Field(thing, field) => write!(f, "{field} of {thing}"),
        }
    }
}

/// All that is true of a world, with values where there are any.
pub(super) type Facts = BTreeMap<Fact, String>;

/// Okta's name of a person.
pub(super) fn okta_user(handle: &str) -> String {
    format!("okta:user/{handle}")
}

/// IAM's name of a person.
pub(super) fn aws_user(handle: &str) -> String {
    format!("aws:user/{handle}")
}

/// An Okta group.
pub(super) fn okta_group(name: &str) -> String {
    format!("okta:group/{name}")
}

/// An IAM thing.
pub(super) fn aws(kind: &str, name: &str) -> String {
    format!("aws:{kind}/{name}")
}

/// A policy as something is attached to it: AWS's own begin with `managed:`.
pub(super) fn policy(name: &str) -> String {
    if name.starts_with("managed:") { name.to_owned() } else { aws("policy", name) }
}

/// The part of a login that names the person.
pub(super) fn handle(login: &str) -> &str {
    login.strip_suffix(DOMAIN).unwrap_or(login)
}

/// All facts of a world. People are no facts: the directory is not ours to change.
pub(super) fn facts(world: &World) -> Facts {
    let mut facts = Facts::new();
    for group in world.okta.groups.values() {
        let name = okta_group(&group.name);
        // Two groups of one name are one fact too many.
        if facts.insert(Fact::Thing(name.clone()), String::new()).is_some() {
            facts.insert(Fact::Thing(format!("{name} twice")), String::new());
        }
        if let Some(description) = &group.description {
            facts.insert(Fact::Field(name.clone(), "description".into()), description.clone());
        }
        for login in &group.members {
            facts.insert(Fact::edge(okta_user(handle(login)), &name), String::new());
        }
    }
    let Some(account) = world.aws.accounts.get(ACCOUNT) else { return facts };
    for user in account.users.values() {
        let name = aws("user", &user.name);
        facts.insert(Fact::Thing(name.clone()), String::new());
        tags(&mut facts, &name, &user.tags);
        inline(&mut facts, &name, &user.inline);
        for group in &user.groups {
            facts.insert(Fact::edge(&name, aws("group", group)), String::new());
        }
        attached(&mut facts, &name, &user.policies);
    }
    for group in account.groups.values() {
        let name = aws("group", &group.name);
        facts.insert(Fact::Thing(name.clone()), String::new());
        inline(&mut facts, &name, &group.inline);
        attached(&mut facts, &name, &group.policies);
    }
    for role in account.roles.values() {
        let name = aws("role", &role.name);
        facts.insert(Fact::Thing(name.clone()), String::new());
        tags(&mut facts, &name, &role.tags);
        inline(&mut facts, &name, &role.inline);
        attached(&mut facts, &name, &role.policies);
        facts.insert(Fact::Field(name.clone(), "trust".into()), role.trust.to_string());
        if let Some(description) = &role.description {
            facts.insert(Fact::Field(name.clone(), "description".into()), description.clone());
        }
        if let Some(seconds) = role.max_session.filter(|seconds| *seconds != 3600) {
            facts.insert(Fact::Field(name.clone(), "max_session".into()), seconds.to_string());
        }
    }
    for policy in account.policies.values() {
        let name = aws("policy", &policy.name);
        facts.insert(Fact::Thing(name.clone()), String::new());
        tags(&mut facts, &name, &policy.tags);
        facts.insert(Fact::Field(name, "document".into()), policy.document.to_string());
    }
    facts
}

fn attached(facts: &mut Facts, name: &str, policies: &BTreeSet<String>) {
    facts.extend(policies.iter().map(|to| (Fact::edge(name, policy(to)), String::new())));
}

fn tags(facts: &mut Facts, name: &str, tags: &BTreeMap<String, String>) {
    // The mark says that rolecall made it, and changes nothing.
    let tags = tags.iter().filter(|(key, _)| *key != "managed-by");
    facts.extend(tags.map(|(key, value)| (Fact::Field(name.into(), format!("tags/{key}")), value.clone())));
}

fn inline(facts: &mut Facts, name: &str, inline: &BTreeMap<String, serde_json::Value>) {
    let field = |key: &String| Fact::Field(name.into(), format!("inline/{key}"));
    facts.extend(inline.iter().map(|(key, value)| (field(key), value.to_string())));
}

/// What differs: each fact with its values before and after, `None` where it was or is not so.
pub(super) fn differences(before: &Facts, after: &Facts) -> Vec<Difference> {
    let all: BTreeSet<&Fact> = before.keys().chain(after.keys()).collect();
    let both = all.into_iter().map(|fact| (fact, before.get(fact), after.get(fact)));
    both.filter(|(_, one, other)| one != other)
        .map(|(fact, before, after)| Difference {
            fact: fact.clone(),
            before: before.cloned(),
            after: after.cloned(),
        })
        .collect()
}

/// A fact that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) fact: Fact,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Difference {
    /// Whether access or a thing went.
    pub(super) fn is_removal(&self) -> bool {
        self.after.is_none() && !matches!(self.fact, Fact::Field(..))
    }

    /// Whether it was not so before.
    pub(super) fn is_new(&self) -> bool {
        self.before.is_none()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match (&self.before, &self.after) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        write!(f, "{mark} {}", self.fact)
    }
}

/// People by handle, with where they stand.
pub(super) fn statuses(world: &World) -> BTreeMap<String, UserStatus> {
    world.okta.users.values().map(|user| (handle(&user.login).to_owned(), user.status)).collect()
}

/// Whether somebody of this status has left or is suspended.
pub(super) fn is_gone(status: UserStatus) -> bool {
    matches!(status, UserStatus::Deprovisioned | UserStatus::Suspended)
}
