//! Own access: what the principals that apply have must not get less by their own hands.
//!
//! Access is lost in two ways: what gives it is taken away, or something that denies is added. A vendor weighs the two
//! against each other; here either is enough.
//! Invariant: what is held may be harmless, what goes on is not known to take anything. It must not ask the provider.

use std::collections::BTreeSet;

use super::OWN_ACCESS;
use super::bench::{Bench, MEMBER, Stop, stripped};
use crate::model::{Address, Attribute, Change, Name, Op, Value, Why};

/// The vendor's own policies that do nothing but deny.
const DENYING: [&str; 4] = [
    "AWSDenyAll",
    "AWSCompromisedKeyQuarantine",
    "AWSCompromisedKeyQuarantineV2",
    "AWSCompromisedKeyQuarantineV3",
];

impl<'a> Bench<'a> {
    /// Holds what would take access from the principals that apply: from themselves, their groups, or what is attached
    /// to those or bounds them.
    pub(super) fn own_access(&mut self) {
        if self.rules.callers.is_empty() {
            return;
        }
        let own = self.callers_and_groups();
        let attached = self.attached_to(&own);
        for (index, change) in self.going().collect::<Vec<_>>() {
            let principal = change.grant.as_ref().map(|grant| &grant.principal);
            let is_own = principal.map_or_else(
                || own.contains(&change.address) || attached.contains(&change.address),
                |principal| own.contains(principal),
            );
            let takes = is_own
                && match change.op {
                    Op::Delete | Op::Revoke => true,
                    Op::Update => self.narrows(change),
                    Op::Grant => self.denies(&change.address),
                    Op::Create | Op::Adopt | Op::Forget => false,
                };
            if takes {
                let text = format!(
                    "{}: {} `{}` could take access from the principal that applies",
                    OWN_ACCESS.code,
                    change.op,
                    change.target()
                );
                let remedy = "let another principal apply it".to_owned();
                self.hold(index, Stop { why: Why::OwnAccess, text, remedy: Some(remedy) });
            }
        }
    }

    /// The principals that apply, and the groups that they are in, directly or through others.
    fn callers_and_groups(&self) -> BTreeSet<&'a Address> {
        let mut own: BTreeSet<&Address> = self.rules.callers.iter().collect();
        loop {
            let members = self.rules.live.grants.iter().filter(|edge| edge.key.relation.as_ref() == MEMBER);
            let groups: Vec<&Address> = members
                .filter(|edge| own.contains(&edge.key.principal) && !own.contains(&edge.key.resource))
                .map(|edge| &edge.key.resource)
                .collect();
            if groups.is_empty() {
                return own;
            }
            own.extend(groups);
        }
    }

    /// What is attached to them, and the policies that bound them.
    fn attached_to(&self, own: &BTreeSet<&'a Address>) -> BTreeSet<Address> {
        let live = self.rules.live;
        let edges = live.grants.iter().filter(|edge| own.contains(&edge.key.principal));
        let bounds = own.iter().filter_map(|address| Some((*address, live.resources.get(*address)?)));
        let bounds = bounds.flat_map(|(address, resource)| {
            let schema = self.rules.schemas.of(address);
            let bounding = schema
                .into_iter()
                .flat_map(|schema| &schema.attributes)
                .filter(|attribute| bounds_access(attribute));
            bounding.filter_map(|attribute| resource.attributes.get(&attribute.name)?.as_text()?.parse().ok())
        });
        edges.map(|edge| edge.key.resource.clone()).chain(bounds).collect()
    }

    /// Whether an update may leave less access than there was: an edge's attributes, or a document or flagged attribute
    /// that does not keep all it had or that denies more; whatever bounds may bound more.
    fn narrows(&self, change: &Change) -> bool {
        let schema = self.rules.schemas.of(&change.address);
        stripped(self.rules, change) > 0
            || change.fields.iter().any(|field| {
                let attribute = schema.and_then(|schema| schema.attribute(field));
                let flags = attribute.map(|attribute| attribute.flags).unwrap_or_default();
                if change.grant.is_none() && !flags.access && !flags.document {
                    return false;
                }
                let before = side(change.before.as_ref(), field);
                let after = side(change.after.as_ref(), field);
                let bounds = attribute.is_some_and(bounds_access) && before != after;
                bounds || !keeps(after, before) || !denials(before).is_superset(&denials(after))
            })
    }

    /// Whether something denies whoever is given it: by a document of its own or of what is attached to it, live or
    /// wanted.
    fn denies(&self, given: &Address) -> bool {
        let (live, head) = (self.rules.live, self.rules.head);
        let mut open = vec![given];
        let mut seen = BTreeSet::new();
        while let Some(address) = open.pop() {
            if !seen.insert(address) {
                continue;
            }
            let live_one = live.resources.get(address).map(|resource| &resource.attributes);
            let wanted = head.resources.get(address).map(|wanted| &wanted.attributes);
            let mut values = live_one.into_iter().chain(wanted).flat_map(|attributes| attributes.values());
            let vendors = address.instance() == "managed" && DENYING.contains(&address.name().as_ref());
            if vendors || values.any(|value| !denials(value).is_empty()) {
                return true;
            }
            let live = live.grants.iter().map(|edge| &edge.key);
            let keys = live.chain(head.grants.iter().map(|edge| &edge.key));
            open.extend(keys.filter(|key| key.principal == *address).map(|key| &key.resource));
        }
        false
    }
}

/// Whether an attribute names what limits access instead of giving it: a permissions boundary.
fn bounds_access(attribute: &Attribute) -> bool {
    attribute.flags.access && attribute.reference.is_some()
}

fn side<'a>(attributes: Option<&'a crate::model::Attributes>, field: &Name) -> &'a Value {
    static NOTHING: Value = Value::Null;
    attributes.and_then(|attributes| attributes.get(field)).unwrap_or(&NOTHING)
}

/// Whether a value still holds everything that another one held.
fn keeps(after: &Value, before: &Value) -> bool {
    match (after, before) {
        (Value::Map(after), Value::Map(before)) => {
            before.iter().all(|(key, before)| after.get(key).is_some_and(|after| keeps(after, before)))
        }
        (Value::List(after), Value::List(before)) => before.iter().all(|item| after.contains(item)),
        (after, before) => before.is_empty() || after == before,
    }
}

/// The statements of documents that deny, at whatever depth they stand.
fn denials(value: &Value) -> BTreeSet<&Value> {
    match value {
        Value::Map(map) if map.get("Effect").and_then(Value::as_text) == Some("Deny") => {
            BTreeSet::from([value])
        }
        Value::Map(map) => map.values().flat_map(denials).collect(),
        Value::List(items) => items.iter().flat_map(denials).collect(),
        _ => BTreeSet::new(),
    }
}
