//! How much harm each change could do, in words.
//!
//! Invariant: the risk is a function of the change and of what it rests on, never of the other changes' order.
//! It must not stop anything: what is protected or capped is the gate's.

use std::collections::HashMap;

use crate::model::{Address, Change, Draft, Op, Risk, Sensitivity};

use super::facts::Facts;
use super::resources::Asked;

/// The vendor's own policies that make an administrator, or nearly.
const ADMINISTRATOR: &[(&str, &str)] = &[
    ("AdministratorAccess", "may do everything"),
    ("IAMFullAccess", "may give itself everything"),
    ("PowerUserAccess", "may do everything but manage access"),
];

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
    for change in changes.iter_mut().chain(held).chain(drift) {
        let mut reasons = reasons(facts, change);
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

fn reasons(facts: &Facts<'_>, change: &Change) -> Vec<(Risk, String)> {
    match change.op {
        // An end that moves later gives, one that moves earlier takes away.
        Op::Adopt if change.grant.is_some() && is_longer(facts, change) => giving(facts, change),
        Op::Adopt | Op::Forget => Vec::new(),
        Op::Create | Op::Update => match &change.grant {
            Some(_) => giving(facts, change),
            None => resource(facts, change),
        },
        Op::Grant => giving(facts, change),
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

fn resource(facts: &Facts<'_>, change: &Change) -> Vec<(Risk, String)> {
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
        }
    }
    if let Some(asked) = Asked::of(facts.input.head, &change.address) {
        sensitive(asked.sensitivity, &mut reasons);
    }
    reasons
}

fn giving(facts: &Facts<'_>, change: &Change) -> Vec<(Risk, String)> {
    let mut reasons = Vec::new();
    let Some(key) = &change.grant else { return reasons };
    if key.resource.instance() == "managed" {
        let name = key.resource.name();
        let known = ADMINISTRATOR.iter().find(|(policy, _)| *policy == name);
        reasons.extend(known.map(|(policy, what)| (Risk::High, format!("`managed:{policy}` {what}"))));
    }
    if let Some(wanted) = facts.input.head.grant(key) {
        sensitive(wanted.sensitivity, &mut reasons);
    }
    reasons
}

fn sensitive(sensitivity: Sensitivity, reasons: &mut Vec<(Risk, String)>) {
    match sensitivity {
        Sensitivity::Low => {}
        Sensitivity::Medium => reasons.push((Risk::Medium, "the role's sensitivity is medium".to_owned())),
        Sensitivity::High => reasons.push((Risk::High, "the role's sensitivity is high".to_owned())),
    }
}
