//! How much harm each change could do, in words.
//!
//! Invariant: the risk is a function of the change and of what it rests on, never of the other changes' order.
//! It must not stop anything: what is protected or capped is the gate's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{
    Address, Attributes, Change, Draft, GrantKey, LiveGrant, Name, Op, Risk, Sensitivity, Value, named_by,
};

use super::facts::Facts;
use super::resources::Asked;
use super::tally::between;

type Reasons = Vec<(Risk, String)>;
type Statement = BTreeMap<Name, Value>;

/// The vendor's own policies that make an administrator, or nearly.
const ADMINISTRATOR: &[(&str, &str)] = &[
    ("AdministratorAccess", "may do everything"),
    ("IAMFullAccess", "may give itself everything"),
    ("PowerUserAccess", "may do everything but manage access"),
];

/// The roles that a vendor binds by policies, and that make an administrator, or nearly.
/// Checked November 2026: https://cloud.google.com/iam/docs/understanding-roles
const BOUND: &[(&str, &str)] = &[
    ("roles/owner", "may do everything"),
    ("roles/editor", "may change nearly everything"),
    ("roles/resourcemanager.organizationAdmin", "may give itself everything"),
    ("roles/resourcemanager.folderAdmin", "may give itself everything"),
    ("roles/resourcemanager.folderIamAdmin", "may give itself everything"),
    ("roles/resourcemanager.projectIamAdmin", "may give itself everything"),
    ("roles/iam.securityAdmin", "may give itself everything"),
    ("roles/iam.organizationRoleAdmin", "may widen every role of the organization's own"),
    ("roles/iam.roleAdmin", "may widen every role of the project's own"),
    ("roles/iam.serviceAccountAdmin", "may make itself every service account"),
    ("roles/iam.serviceAccountKeyAdmin", "may make keys of service accounts"),
    ("roles/iam.serviceAccountTokenCreator", "may act as service accounts"),
    ("roles/iam.serviceAccountUser", "may act as service accounts"),
    ("roles/iam.workloadIdentityUser", "may act as service accounts"),
    ("roles/iam.workloadIdentityPoolAdmin", "may let in whom it likes"),
    ("roles/billing.admin", "may give itself everything on the billing account"),
];
/// What a role allows that lets its principals give themselves more.
const SELF_SERVICE: &[&str] = &[
    "setIamPolicy",
    "iam.roles.create",
    "iam.roles.update",
    "iam.roles.undelete",
    "iam.serviceAccountKeys.create",
    "iam.serviceAccounts.actAs",
    "iam.serviceAccounts.getAccessToken",
    "iam.serviceAccounts.getOpenIdToken",
    "iam.serviceAccounts.implicitDelegation",
    "iam.serviceAccounts.signBlob",
    "iam.serviceAccounts.signJwt",
    "iam.workloadIdentityPools.create",
    "iam.workloadIdentityPoolProviders.create",
    "iam.workloadIdentityPoolProviders.update",
];
/// Principals that are everybody.
const EVERYBODY: &[&str] = &["allUsers", "allAuthenticatedUsers"];

/// From this many removals on one thing, each is worth a second look.
const MANY: u64 = 10;

/// Gives each change, held ones and drift included, its risk.
pub(super) fn judge(facts: &Facts<'_>, changes: &mut [Change], out: &mut Draft) {
    let held = out.held.iter_mut().map(|held| &mut held.change);
    let drift = out.drift.iter_mut().map(|drift| &mut drift.change);
    let mut removals: HashMap<Address, u64> = HashMap::new();
    for change in changes.iter().filter(|change| change.op == Op::Revoke) {
        *removals.entry(change.address.clone()).or_default() += 1;
    }
    let mut judged: Vec<&mut Change> = changes.iter_mut().chain(held).chain(drift).collect();
    let given = judged.iter().filter(|change| change.grant.is_some() && !change.op.is_removal());
    let given = Given::of(facts, given.map(|change| change.address.clone()));
    for change in &mut judged {
        let mut reasons = reasons(facts, &given, change);
        if change.op == Op::Revoke {
            let count = removals.get(&change.address).copied().unwrap_or_default();
            if count > MANY {
                reasons.push((Risk::Medium, format!("one of {count} removals from `{}`", change.address)));
            }
        }
        reasons.sort_by_key(|(risk, _)| std::cmp::Reverse(*risk));
        change.risk = reasons.first().map_or(Risk::Low, |(risk, _)| *risk);
        change.risk_reasons = reasons.into_iter().map(|(_, reason)| reason).collect();
    }
}

/// Who gets what on what.
type Found<'a> = (&'a Address, &'a Name, &'a Address);

/// What comes with the things that are given: a member of a group gets what is attached to it.
struct Given<'a> {
    attached: HashMap<Address, BTreeSet<&'a Address>>,
    /// What each is bound to by policies: there it is the relation that gives access.
    bound: HashMap<Address, BTreeSet<(&'a Name, &'a Address)>>,
}

impl<'a> Given<'a> {
    fn of(facts: &Facts<'a>, things: impl Iterator<Item = Address>) -> Self {
        let mut attached: HashMap<Address, BTreeSet<&Address>> =
            things.map(|thing| (thing, BTreeSet::new())).collect();
        let (mut known, mut bound) = (0, HashMap::<_, BTreeSet<_>>::new());
        while attached.len() > known {
            known = attached.len();
            let mut things: Vec<Address> = attached.keys().cloned().collect();
            things.sort();
            let things: Vec<&Address> = things.iter().collect();
            let mut found = Vec::new();
            let wanted = facts.input.head.grants.from(things.iter().copied());
            found.extend(wanted.into_iter().map(|(run, end)| (&end.principal, &run.relation, &run.resource)));
            for run in facts.input.live.runs() {
                attach(&things, run, &mut found);
            }
            for (thing, relation, more) in &found {
                if facts.input.schemas.is_pair(more, relation) {
                    bound.entry((*thing).clone()).or_default().insert((*relation, *more));
                }
            }
            found.retain(|(thing, _, more)| attached.get_mut(*thing).is_some_and(|known| known.insert(more)));
            for (_, _, more) in found {
                attached.entry(more.clone()).or_default();
            }
        }
        Self { attached, bound }
    }

    /// What makes a thing, or what comes with it, an administrator's.
    fn reasons(&self, facts: &Facts<'_>, given: &Address, reasons: &mut Reasons) {
        let mut open = vec![given];
        let mut seen = BTreeSet::new();
        while let Some(thing) = open.pop() {
            if !seen.insert(thing) {
                continue;
            }
            open.extend(self.attached.get(thing).into_iter().flatten());
            for (relation, on) in self.bound.get(thing).into_iter().flatten() {
                if let Some(what) = powerful(facts, relation) {
                    reasons
                        .push((Risk::High, format!("`{given}` gives `{relation}` on `{on}`, which {what}")));
                }
            }
            let Some(what) = administers(facts, thing) else { continue };
            reasons.push((
                Risk::High,
                match thing == given {
                    true => format!("`{thing}` {what}"),
                    false => format!("`{given}` gives `{thing}`, which {what}"),
                },
            ));
        }
    }
}

/// The edges of a run whose principals are among these things. People's edges are most of all, and those have none.
fn attach<'a>(things: &[&Address], run: &'a [LiveGrant], found: &mut Vec<Found<'a>>) {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
    if let Some(things) = between(things, [&first.key.principal, &last.key.principal]) {
        let keys = run.iter().map(|grant| &grant.key);
        let keys = keys.filter(|key| things.binary_search(&&key.principal).is_ok());
        found.extend(keys.map(|key| (&key.principal, &key.relation, &key.resource)));
    }
}

/// What a thing itself lets its principals do, where that is everything or nearly.
fn administers(facts: &Facts<'_>, thing: &Address) -> Option<String> {
    if thing.instance() == "managed" {
        let name = thing.name();
        let known = ADMINISTRATOR.iter().find(|(policy, _)| *policy == name);
        return known.map(|(_, what)| (*what).to_owned());
    }
    let live = facts.input.live.resources.get(thing).map(|resource| &resource.attributes);
    let wanted = Asked::of(facts.input.head, thing).map(|asked| asked.attributes);
    let values = live.into_iter().chain(wanted).flat_map(Attributes::values);
    values.flat_map(statements).find_map(allows_all)
}

/// The statements of documents, at whatever depth they stand.
fn statements(value: &Value) -> Vec<&Statement> {
    match value {
        Value::Map(map) if map.contains_key("Effect") => vec![map],
        Value::Map(map) => map.values().flat_map(statements).collect(),
        Value::List(items) => items.iter().flat_map(statements).collect(),
        _ => Vec::new(),
    }
}

fn allows(statement: &Statement) -> bool {
    statement.get("Effect").and_then(Value::as_text) == Some("Allow")
}

/// Whether a text, or one of a list, is one of these.
fn has(value: Option<&Value>, texts: &[&str]) -> bool {
    match value {
        Some(Value::Text(text)) => texts.iter().any(|wanted| wanted.eq_ignore_ascii_case(text)),
        Some(Value::List(items)) => items.iter().any(|item| has(Some(item), texts)),
        _ => false,
    }
}

/// What a statement allows, where that is to do everything, or to give oneself everything, everywhere.
fn allows_all(statement: &Statement) -> Option<String> {
    let actions = statement.get("Action");
    let what = match () {
        () if has(actions, &["*", "*:*"]) => "allows everything",
        () if has(actions, &["iam:*"]) => "allows to give oneself everything",
        () if statement.contains_key("NotAction") => "allows all that it does not name",
        () => return None,
    };
    let everywhere = has(statement.get("Resource"), &["*"]) || statement.contains_key("NotResource");
    (allows(statement) && everywhere).then(|| what.to_owned())
}

/// Whether a statement of a trust policy takes whoever comes.
fn trusts_all(statement: &Statement) -> bool {
    let principal = statement.get("Principal");
    let of_aws = principal.and_then(Value::as_map).and_then(|kinds| kinds.get("AWS"));
    let everyone = has(principal, &["*"]) || has(of_aws, &["*"]) || statement.contains_key("NotPrincipal");
    allows(statement) && everyone && statement.get("Condition").is_none_or(Value::is_empty)
}

fn reasons(facts: &Facts<'_>, given: &Given<'_>, change: &Change) -> Reasons {
    match change.op {
        // An end that moves later gives, one that moves earlier takes away.
        Op::Adopt if change.grant.is_some() && is_longer(facts, change) => giving(facts, given, change),
        Op::Adopt | Op::Forget => Vec::new(),
        Op::Create | Op::Update => match &change.grant {
            Some(_) => giving(facts, given, change),
            None => resource(facts, change),
        },
        Op::Grant => giving(facts, given, change),
        Op::Delete => {
            let mut reasons = vec![(Risk::High, format!("deletes a {}", change.address.kind()))];
            if !change.dependents.is_empty() {
                reasons.push((
                    Risk::High,
                    match change.dependents.len() {
                        1 => "something hangs on it".to_owned(),
                        more => format!("{more} things hang on it"),
                    },
                ));
            }
            reasons
        }
        Op::Revoke if change.subject.is_none() => {
            let principal = change.grant.as_ref().map_or(&change.address, |key| &key.principal);
            vec![(Risk::Medium, format!("takes access from `{principal}`, which is no person"))]
        }
        Op::Revoke => Vec::new(),
    }
}

fn is_longer(facts: &Facts<'_>, change: &Change) -> bool {
    let base = change.grant.as_ref().zip(facts.input.base).and_then(|(key, base)| base.grant(key));
    let was = base.map(|base| base.until);
    match (change.until, was) {
        (None, _) | (_, None) => true,
        (Some(until), Some(was)) => was.is_some_and(|was| until > was),
    }
}

fn resource(facts: &Facts<'_>, change: &Change) -> Reasons {
    let mut reasons = Vec::new();
    let schema = facts.input.schemas.of(&change.address);
    for attribute in schema.into_iter().flat_map(|schema| &schema.attributes).filter(|a| a.flags.access) {
        let given = change.after.as_ref().and_then(|after| after.get(&attribute.name));
        let changes = match change.op {
            Op::Create => given.is_some_and(|value| !value.is_empty()),
            _ => change.fields.contains(&attribute.name),
        };
        if changes {
            reasons.push((Risk::Medium, format!("`{}` gives access", attribute.name)));
            let before = change.before.as_ref().and_then(|before| before.get(&attribute.name));
            let before = before.map(statements).unwrap_or_default();
            let mut added = given.map(statements).unwrap_or_default();
            added.retain(|statement| !before.contains(statement));
            let worst = added.iter().copied().find_map(allows_all);
            reasons.extend(worst.map(|what| (Risk::High, format!("`{}` {what}", attribute.name))));
            if added.into_iter().any(trusts_all) {
                reasons.push((Risk::High, format!("`{}` lets everyone in", attribute.name)));
            }
        }
    }
    if let Some(field) = facts.input.schemas.ending(change) {
        reasons.push((Risk::High, format!("`{field}` ends it, and what is in it or depends on it")));
    }
    if change.op == Op::Create || change.fields.contains("permissions") {
        let allowed = change.after.as_ref().and_then(serves_itself);
        reasons.extend(allowed.map(|permission| (Risk::High, format!("it allows `{permission}`"))));
    }
    if let Some(asked) = Asked::of(facts.input.head, &change.address) {
        sensitive(asked.sensitivity, &mut reasons);
    }
    reasons
}

fn giving(facts: &Facts<'_>, given: &Given<'_>, change: &Change) -> Reasons {
    let mut reasons = Vec::new();
    let Some(key) = &change.grant else { return reasons };
    given.reasons(facts, &key.resource, &mut reasons);
    if facts.input.schemas.is_pair(&key.resource, &key.relation) {
        bound(facts, key, &mut reasons);
    }
    if let Some(wanted) = facts.input.head.grant(key) {
        sensitive(wanted.sensitivity, &mut reasons);
    }
    reasons
}

/// What whoever is bound to a role may do, where that is everything or nearly: a vendor's, or one of our own.
fn powerful(facts: &Facts<'_>, relation: &str) -> Option<String> {
    if let Some((_, what)) = BOUND.iter().find(|(role, _)| *role == relation) {
        return Some((*what).to_owned());
    }
    let own = named_by(relation)?;
    let live = facts.input.live.resources.get(&own).map(|role| &role.attributes);
    let wanted = Asked::of(facts.input.head, &own).map(|asked| asked.attributes);
    live.into_iter().chain(wanted).find_map(serves_itself).map(|permission| format!("allows `{permission}`"))
}

/// A permission by which whoever has it gives himself more.
fn serves_itself(role: &Attributes) -> Option<&str> {
    let permissions = role.get("permissions")?.as_list()?.iter().filter_map(Value::as_text);
    let serves = |permission: &&str| SELF_SERVICE.iter().any(|end| permission.ends_with(end));
    permissions.into_iter().find(serves)
}

/// What a role lets whoever is bound to it do.
fn bound(facts: &Facts<'_>, key: &GrantKey, reasons: &mut Reasons) {
    if let Some(what) = powerful(facts, &key.relation) {
        reasons.push((Risk::High, format!("`{}` {what}", key.relation)));
    }
    if EVERYBODY.contains(&&*key.principal.name()) {
        reasons.push((Risk::High, "it gives that to everybody".to_owned()));
    }
}

fn sensitive(sensitivity: Sensitivity, reasons: &mut Reasons) {
    match sensitivity {
        Sensitivity::Low => {}
        Sensitivity::Medium => reasons.push((Risk::Medium, "the role's sensitivity is medium".to_owned())),
        Sensitivity::High => reasons.push((Risk::High, "the role's sensitivity is high".to_owned())),
    }
}
