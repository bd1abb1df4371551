//! Taking roles from people: out of the grants and entries that name them by handle.
//!
//! Invariant: only these people lose, and only these roles. What a rule gives is not touched: it is about others too.
//! What has ended already is `past`'s. It must not edit.

use jiff::Timestamp;

use super::grant::NewGrant;
use super::past::text;
use super::{Change, Path, find, read};
use crate::manifest::{Condition, GrantFile, Role, Tree};
use crate::model::{Name, Node, Spanned};

/// The changes that take roles from people, as far as they are given by name.
#[must_use]
pub fn withdraw(tree: &Tree, people: &[String], roles: &[String], now: Timestamp) -> Vec<(Name, Change)> {
    let over = |until: Option<&Spanned<Timestamp>>| until.is_some_and(|until| until.value <= now);
    let mut names: Vec<String> = tree.grants.iter().map(|grant| grant.name.value.clone()).collect();
    let mut changes = Vec::new();
    for grant in tree.grants.iter().filter(|grant| !over(grant.until.as_ref())) {
        changes.extend(from_grant(tree, grant, people, roles, &mut names).unwrap_or_default());
    }
    for role in tree.roles.iter().filter(|role| roles.contains(&role.name.value)) {
        changes.extend(from_role(tree, role, people, &over));
    }
    changes
}

fn from_grant(
    tree: &Tree,
    grant: &GrantFile,
    people: &[String],
    roles: &[String],
    names: &mut Vec<String>,
) -> Option<Vec<(Name, Change)>> {
    let (lose, keep): (Vec<_>, Vec<_>) = positions(&grant.to, people);
    let (gone, left): (Vec<_>, Vec<_>) = positions(&grant.roles, roles);
    if lose.is_empty() || gone.is_empty() {
        return None;
    }
    let file = &grant.span.file;
    let path = find(file, text(&tree.sources, file)?, &grant.span)?;
    let out = |key: &str, items: &[usize]| -> Vec<(Name, Change)> {
        let list = path.key(key);
        items.iter().map(|item| (file.clone(), Change::Remove(list.item(*item)))).collect()
    };
    if keep.is_empty() && left.is_empty() {
        return Some(vec![(file.clone(), Change::Remove(path.clone()))]);
    }
    if left.is_empty() {
        return Some(out("to", &lose));
    }
    if keep.is_empty() {
        return Some(out("roles", &gone));
    }
    // Some people lose some roles: what they keep becomes a document of its own.
    let documents = read(file, text(&tree.sources, file)?).ok()?;
    let node = documents.get(path.document)?;
    let written = |key: &str| node.get(key).and_then(Node::as_text).map(str::to_owned);
    let pick = |list: &[Spanned<String>], items: &[usize]| {
        items.iter().filter_map(|item| list.get(*item)).map(|text| text.value.clone()).collect()
    };
    let name = free(&grant.name.value, names);
    names.push(name.clone());
    let rest = NewGrant {
        name,
        to: pick(&grant.to, &lose),
        roles: pick(&grant.roles, &left),
        from: written("from"),
        until: written("until"),
        reason: grant.reason.clone(),
        ticket: grant.ticket.clone(),
    };
    let mut changes = out("to", &lose);
    changes.push((file.clone(), Change::Document(rest.document())));
    Some(changes)
}

/// The places of what is among `named`, and of what is not.
fn positions(list: &[Spanned<String>], named: &[String]) -> (Vec<usize>, Vec<usize>) {
    (0..list.len()).partition(|at| list.get(*at).is_some_and(|text| named.contains(&text.value)))
}

/// A name that is not taken: the one that is wished for, or that with a number.
#[must_use]
pub fn free(wish: &str, taken: &[String]) -> String {
    let numbered = (2_u32..).map(|number| format!("{wish}-{number}"));
    std::iter::once(wish.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .unwrap_or_else(|| wish.to_owned())
}

fn from_role(
    tree: &Tree,
    role: &Role,
    people: &[String],
    over: &dyn Fn(Option<&Spanned<Timestamp>>) -> bool,
) -> Vec<(Name, Change)> {
    let mut changes = Vec::new();
    for entry in role.members.iter().filter(|entry| !over(entry.until.as_ref())) {
        let handles = entry.conditions.iter().find_map(|condition| match condition {
            Condition::Handle(handles) => Some(handles),
            _ => None,
        });
        let Some(handles) = handles else { continue };
        let (lose, keep) = positions(handles, people);
        let file = &entry.span.file;
        let path = text(&tree.sources, file).and_then(|text| find(file, text, &entry.span));
        let Some(path) = path.filter(|_| !lose.is_empty()) else { continue };
        if keep.is_empty() {
            changes.push((file.clone(), Change::Remove(path)));
        } else {
            let list = path.key("handle");
            changes.extend(lose.iter().map(|item| (file.clone(), Change::Remove(list.item(*item)))));
        }
    }
    changes
}

/// The change that keeps people out of a role, whatever its rules say.
#[must_use]
pub fn except(tree: &Tree, role: &Role, people: &[String], reason: &str) -> Option<(Name, Change)> {
    let file = &role.span.file;
    let source = text(&tree.sources, file)?;
    let path: Path = find(file, source, &role.span)?;
    let who = match people {
        [one] => super::scalar(one),
        several => {
            format!("[{}]", several.iter().map(|one| super::scalar(one)).collect::<Vec<_>>().join(", "))
        }
    };
    let entry = format!("{{ handle: {who}, reason: {} }}", super::scalar(reason));
    let documents = read(file, source).ok()?;
    let node = documents.get(path.document)?;
    if node.get("except").is_some() {
        return Some((file.clone(), Change::Append(path.key("except"), entry)));
    }
    let after = ["members", "job", "sensitivity", "owners", "name"]
        .into_iter()
        .find(|key| node.get(key).is_some())?;
    let change = Change::Insert { map: path, after: after.to_owned(), key: "except".into(), item: entry };
    Some((file.clone(), change))
}
