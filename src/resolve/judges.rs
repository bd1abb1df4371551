//! Who answers for what, and who is who at the forge: what approvals are judged by.
//!
//! Invariant: base says it, where there is a base: a merge request chooses neither its judges nor whose account is whose.
//! It must not decide what is approved: that is the gate's.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::people::people;
use super::principals::text_of;
use super::sees_alike;
use crate::manifest::Tree;
use crate::manifest::documents::{Approver, Role};
use crate::model::{Accounts, DirectoryRecord, Inventory, Name, OwnedRole, Owners, Spanned, Status};

/// The key in `identities:` of the forge.
const FORGE: &str = "gitlab";

/// Who answers for the roles of both trees and for the rest.
///
/// A role that base does not know is answered for by the owners of the whole, since whoever proposes it writes its owners;
/// without base head's word is all there is.
#[must_use]
pub fn owners(head: &Tree, base: Option<&Tree>) -> Owners {
    let judging = base.unwrap_or(head);
    let names = |owners: &[Spanned<String>]| -> Vec<String> {
        let mut names: Vec<String> = owners.iter().map(|owner| owner.value.clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    let rest = names(&judging.settings.owners);
    let terms =
        |role: &Role| role.on_request.as_ref().is_some_and(|on| on.approve.contains(&Approver::Manager));
    let mut roles = BTreeMap::new();
    for role in &head.roles {
        let owned = OwnedRole { owners: rest.clone(), manager: terms(role) };
        roles.insert(Name::from(role.name.value.as_str()), owned);
    }
    for role in &judging.roles {
        let owners = names(&role.owners);
        let owners = if owners.is_empty() { rest.clone() } else { owners };
        roles.insert(Name::from(role.name.value.as_str()), OwnedRole { owners, manager: terms(role) });
    }
    Owners { roles, rest }
}

/// People as base sees them, by its `User` manifests and its words for the directory's attributes; nothing where head sees
/// them alike.
#[must_use]
pub fn judging_people(
    head: &Tree,
    base: Option<&Tree>,
    records: &[DirectoryRecord],
    now: Timestamp,
) -> Option<Inventory> {
    let base = base.filter(|base| !sees_alike(head, base))?;
    Some(people(base, records, Vec::new(), Vec::new(), now).0)
}

/// Who is who at the forge. An account or address that two people would have is nobody's.
#[must_use]
pub fn accounts(tree: &Tree, people: &Inventory) -> Accounts {
    let forge = tree.settings.forge.as_ref();
    let forge = forge.and_then(|forge| forge.url.value.host_str()).map(str::to_lowercase);
    let mut accounts = Accounts { forge, ..Accounts::default() };
    let mut twice = (Vec::new(), Vec::new());
    for person in people.people.values() {
        if let Some(email) = &person.email {
            let email = email.to_lowercase();
            if accounts.by_email.insert(email.clone(), person.handle.clone()).is_some() {
                twice.0.push(email);
            }
        }
        // Who is not at work approves nothing.
        if person.status != Status::Active {
            continue;
        }
        accounts.at_work.insert(person.handle.clone());
        let identity = tree.settings.identities.get(FORGE);
        let own = person.identities.get(FORGE);
        let account = match (own, identity) {
            (Some(own), _) => Some(own.clone()),
            (None, None) => Some(person.handle.to_string()),
            (None, Some(_)) => {
                text_of(person, FORGE, "user", identity).ok().map(std::borrow::Cow::into_owned)
            }
        };
        let Some(account) = account.map(|account| account.trim_start_matches('@').to_lowercase()) else {
            continue;
        };
        if accounts.by_account.insert(account.clone(), person.handle.clone()).is_some() {
            twice.1.push(account);
        }
    }
    twice.0.iter().for_each(|email| drop(accounts.by_email.remove(email)));
    twice.1.iter().for_each(|account| drop(accounts.by_account.remove(account)));
    accounts
}
