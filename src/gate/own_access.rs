//! Own access: what the principals that apply have must not get less by their own hands.
//!
//! Access is lost in two ways: what gives it is taken away, or something that denies is added. A vendor weighs the two
//! against each other; here either is enough.
//! Invariant: what is held may be harmless, what goes on is not known to take anything. It must not ask the provider.

use std::collections::BTreeSet;

use super::OWN_ACCESS;
use super::bench::{Bench, MEMBER, Stop, edges_of, stripped};
use crate::model::{
    Address, Attribute, Change, GrantKey, Guard, LiveGrant, Name, Op, Snapshot, Value, Why, cut,
};

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
        if self.rules.callers.is_empty() || !Guard::OwnAccess.holds() {
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
                    Op::Update => {
                        self.narrows(change)
                            || cuts_off(change)
                            || self.rules.schemas.ending(change).is_some()
                    }
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
            let members = edges_from(self.rules.live, &own).filter(|key| key.relation.as_ref() == MEMBER);
            let groups: Vec<&Address> =
                members.map(|key| &key.resource).filter(|group| !own.contains(group)).collect();
            if groups.is_empty() {
                return own;
            }
            own.extend(groups);
        }
    }

    /// What is attached to them, and the policies that bound them.
    fn attached_to(&self, own: &BTreeSet<&'a Address>) -> BTreeSet<Address> {
        let live = self.rules.live;
        let edges = edges_from(live, own);
        let bounds = own.iter().filter_map(|address| Some((*address, live.resources.get(*address)?)));
        let bounds = bounds.flat_map(|(address, resource)| {
            let schema = self.rules.schemas.of(address);
            let bounding = schema
                .into_iter()
                .flat_map(|schema| &schema.attributes)
                .filter(|attribute| bounds_access(attribute));
            bounding.filter_map(|attribute| resource.attributes.get(&attribute.name)?.as_text()?.parse().ok())
        });
        let mut attached: BTreeSet<Address> = bounds.collect();
        for key in edges {
            // Where policies bind, it is the role that gives access, which may be one's own; not what it is bound on.
            match self.rules.schemas.is_pair(&key.resource, &key.relation) {
                true => attached.extend(key.named()),
                false => _ = attached.insert(key.resource.clone()),
            }
        }
        // What they are in may end, and they with it.
        attached.extend(own.iter().filter_map(|address| self.rules.schemas.holder(address)));
        attached
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
            let keys = live.grants.iter().map(|edge| &edge.key);
            open.extend(keys.filter(|key| key.principal == *address).map(|key| &key.resource));
            open.extend(head.grants.from([address]).into_iter().map(|(run, _)| &run.resource));
        }
        false
    }
}

/// Whether a change ends sessions or disables keys: those may be the ones that this run signs in with.
fn cuts_off(change: &Change) -> bool {
    let after = |field: &Name| change.after.as_ref().and_then(|after| after.get(field));
    change.fields.iter().any(|field| cut(field, after(field)).is_some())
}

/// The live edges from a few principals.
fn edges_from<'a, 'o>(
    live: &'a Snapshot,
    own: &'o BTreeSet<&Address>,
) -> impl Iterator<Item = &'a GrantKey> + 'o
where
    'a: 'o,
{
    // Most runs have none of them, which their ends tell.
    let may_be_in = |run: &[LiveGrant], principal: &Address| {
        let ends = run.first().zip(run.last());
        ends.is_some_and(|(first, last)| {
            first.key.principal <= *principal && *principal <= last.key.principal
        })
    };
    live.runs().flat_map(move |run| {
        let own = own.iter().filter(move |principal| may_be_in(run, principal));
        own.flat_map(move |principal| edges_of(run, principal))
    })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::gate::fixture::*;
    use crate::model::{Address, Attributes, Change, Digest, Op, Value, Why};

    #[test]
    fn invariant_16_the_principal_that_applies_keeps_its_access() {
        let mut world = World::new();
        let (bot, policy) = (user("bot"), Address::new("okta", None, "policy", "deploy"));
        world.members("a", &names("m", 3));
        world.edge(&bot, "member", &group("a"));
        world.edge(&group("a"), "attached", &policy);
        world.callers = vec![bot.clone()];
        let mut narrowed = resource_change(Op::Update, &policy);
        let document = |statements: &[&str]| {
            let list = Value::List(statements.iter().map(|text| Value::text(*text)).collect());
            Some(Attributes::from([("document".into(), Value::map([("Statement", list)]))]))
        };
        (narrowed.before, narrowed.after) = (document(&["s3", "iam"]), document(&["s3"]));
        narrowed.fields.insert("document".into());
        let mut widened = narrowed.clone();
        widened.after = document(&["s3", "iam", "ec2"]);
        widened.effect = Digest::of(&"widened");
        world.plan([
            edge_change(Op::Revoke, &bot, "member", &group("a")),
            edge_change(Op::Revoke, &group("a"), "attached", &policy),
            resource_change(Op::Delete, &policy),
            resource_change(Op::Delete, &group("a")),
            narrowed,
            widened,
            revoke("m000", "a"),
        ]);
        let judged = world.judge();
        assert_eq!(reasons(&judged), [Why::OwnAccess]);
        assert_eq!(
            going(&judged),
            ["update okta:policy/deploy", "revoke okta:user/m000 member okta:group/a"]
        );
        world.callers.clear();
        assert!(!reasons(&world.judge()).contains(&Why::OwnAccess));
    }

    #[test]
    fn invariant_16_groups_within_groups_carry_its_access_too() {
        let mut world = World::new();
        let policy = Address::new("okta", None, "policy", "deploy");
        world.edge(&user("bot"), "member", &group("z"));
        world.edge(&group("z"), "member", &group("y"));
        world.edge(&group("y"), "member", &group("x"));
        world.edge(&group("x"), "attached", &policy);
        world.callers = vec![user("bot")];
        world.plan([edge_change(Op::Revoke, &group("x"), "attached", &policy)]);
        assert_eq!(reasons(&world.judge()), [Why::OwnAccess]);
    }

    /// A document whose statements have these effects.
    fn document(effects: &[&str]) -> Value {
        let statement = |effect: &&str| Value::map([("Action", "*"), ("Effect", *effect), ("Resource", "*")]);
        Value::map([("Statement", Value::List(effects.iter().map(statement).collect()))])
    }

    fn update(address: &Address, field: &str, before: Value, after: Value) -> Change {
        let side = |value| Some(Attributes::from([(field.into(), value)]));
        Change {
            before: side(before),
            fields: BTreeSet::from([field.into()]),
            effect: Digest::of(&(address, &after)),
            after: side(after),
            ..resource_change(Op::Update, address)
        }
    }

    #[test]
    fn invariant_16_what_is_bounded_or_denied_is_taken_away_too() {
        let mut world = World::new();
        let policy = |name: &str| Address::new("okta", None, "policy", name);
        let (bot, z, bound) = (user("bot"), group("z"), policy("bound"));
        world.edge(&bot, "member", &z);
        world.edge(&z, "attached", &policy("deploy"));
        world.edge(&group("quiet"), "attached", &policy("denies"));
        let attributes = |field: &str, value: Value| Attributes::from([(field.into(), value)]);
        let mut is = |address: &Address, attributes| {
            world.live.resources.entry(address.clone()).or_default().attributes = attributes;
        };
        is(&bot, attributes("boundary", bound.as_str().into()));
        is(&policy("denies"), attributes("document", document(&["Deny"])));
        is(&policy("gives"), attributes("document", document(&["Allow"])));
        world.callers = vec![bot.clone()];
        let (allow, both) = (document(&["Allow"]), document(&["Allow", "Deny"]));
        let inline = |document: &Value| Value::map([("x", document.clone())]);
        for taking in [
            update(&bot, "boundary", Value::Null, "managed:ReadOnlyAccess".into()),
            update(&bot, "boundary", bound.as_str().into(), "managed:ReadOnlyAccess".into()),
            update(&bot, "inline", Value::Null, inline(&both)),
            update(&z, "inline", inline(&allow), inline(&both)),
            update(&policy("deploy"), "document", allow.clone(), both.clone()),
            update(&bound, "document", both.clone(), document(&["Deny"])),
            edge_change(Op::Grant, &bot, "attached", &policy("denies")),
            edge_change(Op::Grant, &z, "attached", &Address::reserved("managed", "AWSDenyAll")),
            edge_change(Op::Grant, &bot, "member", &group("quiet")),
        ] {
            world.draft.changes = vec![taking.clone()];
            assert_eq!(reasons(&world.judge()), [Why::OwnAccess], "{} {}", taking.op, taking.target());
        }
        for harmless in [
            update(&user("x"), "boundary", Value::Null, "managed:ReadOnlyAccess".into()),
            update(&bot, "inline", Value::Null, inline(&allow)),
            update(&policy("deploy"), "document", both.clone(), document(&["Allow", "Deny", "Allow"])),
            update(&policy("other"), "document", allow, both),
            edge_change(Op::Grant, &bot, "attached", &policy("gives")),
            edge_change(Op::Grant, &user("x"), "attached", &policy("denies")),
        ] {
            world.draft.changes = vec![harmless.clone()];
            assert!(world.judge().held.is_empty(), "{} {}", harmless.op, harmless.target());
        }
    }
}
