//! Containment: of a draft only what takes away from one person, and with it what cuts off his own accounts.
//!
//! Invariant: what comes out only takes away, and from nobody else; it is asked for now, so that each change is a request.
//! It must not judge: what is protected, and whether an administrator would be left, is the gate's.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Address, Attributes, Cause, Change, CutOff, Digest, Draft, GrantKey, Op, Origin, Value};

use super::proposal::Proposal;

/// Whom it is about, and what is known of his accounts.
#[derive(Debug, Clone)]
pub struct Containment {
    /// `person:x`.
    pub person: Address,
    /// His accounts.
    pub accounts: BTreeSet<Address>,
    /// What can be ended at once on them.
    pub cut_offs: BTreeMap<Address, Vec<CutOff>>,
    /// By account: all that it has an edge on, where the provider listed that.
    pub holdings: BTreeMap<Address, BTreeSet<Address>>,
    /// Why it is done.
    pub reason: Origin,
}

impl Containment {
    fn concerns(&self, change: &Change) -> bool {
        let principal = change.grant.as_ref().map(|grant| &grant.principal);
        change.op == Op::Revoke
            && (change.subject.as_ref() == Some(&self.person)
                || principal.is_some_and(|principal| self.accounts.contains(principal)))
    }

    /// Whether his account's own list says that an edge is not there, however little was read of the other end.
    fn is_known_to_be_gone(&self, key: &GrantKey) -> bool {
        self.holdings.get(&key.principal).is_some_and(|held| !held.contains(&key.resource))
    }
}

/// What of a draft takes away from one person; his accounts are cut off first.
pub fn contain(draft: Draft, containment: &Containment) -> Draft {
    let all = containment.cut_offs.iter();
    let each = all.flat_map(|(account, cut_offs)| cut_offs.iter().map(move |cut| (account, cut)));
    let cut = each.map(|(account, cut)| cut_off(account, cut, containment));
    let mut changes: Vec<Change> = cut.collect();
    changes.extend(draft.changes.into_iter().filter(|change| containment.concerns(change)));
    let effects: BTreeSet<Digest> = changes.iter().map(|change| change.effect.clone()).collect();
    for change in &mut changes {
        change.cause = Cause::Request;
        change.standing = None;
        // He waits for nothing that is done to others.
        change.requires.retain(|effect| effects.contains(effect));
    }
    let held = draft.held.into_iter().filter(|held| {
        let known = || held.change.grant.as_ref().is_some_and(|key| containment.is_known_to_be_gone(key));
        containment.concerns(&held.change) && (held.change.before.is_some() || !known())
    });
    let accounts = containment.accounts.iter().chain([&containment.person]);
    let about: BTreeSet<&str> = accounts.map(Address::as_str).collect();
    let findings = draft.findings.into_iter();
    Draft {
        changes,
        held: held.collect(),
        findings: findings
            .filter(|finding| finding.subject.as_deref().is_some_and(|subject| about.contains(subject)))
            .collect(),
        ..Draft::default()
    }
}

/// Each is a change of its own: one that the provider refuses keeps none of the others back.
fn cut_off(account: &Address, cut: &CutOff, containment: &Containment) -> Change {
    let proposal = Proposal {
        op: Op::Update,
        address: account,
        grant: None,
        // What was open is no value that anybody declares; the field's name says what it was.
        before: Some(Attributes::new()),
        after: Some(Attributes::from([(cut.field.clone(), Value::text(cut.after.clone()))])),
        fields: BTreeSet::from([cut.field.clone()]),
        dependents: Vec::new(),
        cause: Cause::Request,
        reason: containment.reason.clone(),
        until: None,
    };
    let mut change = proposal.into_change();
    change.subject = Some(containment.person.clone());
    change
}
