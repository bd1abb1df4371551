//! Fields of one resource: which differ from live, and why.
//!
//! Invariant: only what head or (key by key) base manages is compared; what live does not show never is.
//! It must not know of ownership or order.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Attribute, Attributes, Cause, DemandedField, Name, Schema, Value};

use super::Input;
use super::proposal::{Demanded, cause};

/// The four sides of a resource's fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides<'a> {
    pub(super) schema: Option<&'a Schema>,
    pub(super) head: &'a Attributes,
    pub(super) base: Option<&'a Attributes>,
    pub(super) demand: Option<&'a BTreeMap<Name, DemandedField>>,
    pub(super) live: &'a Attributes,
}

/// A field, or a key of a keyed one, that is not what head wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) name: Name,
    /// The key, of a keyed attribute.
    pub(super) key: Option<Name>,
    /// What head wants; `None`: the key is to be gone.
    pub(super) want: Option<Value>,
    pub(super) cause: Cause,
    pub(super) immutable: bool,
}

impl<'a> Sides<'a> {
    /// What differs, sorted by name and key.
    pub(super) fn differences(&self, input: &Input<'_>) -> Vec<Difference> {
        let mut out = Vec::new();
        for name in self.names() {
            let attribute = self.attribute(name);
            let immutable = attribute.is_some_and(|attribute| attribute.flags.immutable);
            let difference =
                |key, want, cause| Difference { name: name.clone(), key, want, cause, immutable };
            let demanded = self.demand.and_then(|demand| demand.get(name));
            if is_keyed(attribute) {
                for key in self.keys(name) {
                    let want = key_of(self.head.get(name), key);
                    if want == key_of(self.live.get(name), key) {
                        continue;
                    }
                    let same_as_base = self.base.is_some_and(|base| key_of(base.get(name), key) == want);
                    let demanded = demanded.map(|field| Demanded {
                        same: key_of(Some(&field.want), key) == want,
                        state: field.state,
                        cause: field.cause,
                    });
                    let cause = cause(input, same_as_base, demanded);
                    out.push(difference(Some(key.clone()), want.cloned(), cause));
                }
            } else if let Some(want) = self.head.get(name) {
                if is_same(attribute, Some(want), self.live.get(name)) {
                    continue;
                }
                let same_as_base =
                    self.base.is_some_and(|base| is_same(attribute, Some(want), base.get(name)));
                let demanded = demanded.map(|field| Demanded {
                    same: is_same(attribute, Some(want), Some(&field.want)),
                    state: field.state,
                    cause: field.cause,
                });
                out.push(difference(None, Some(want.clone()), cause(input, same_as_base, demanded)));
            }
        }
        out
    }

    /// The managed fields as they are.
    pub(super) fn before(&self) -> Attributes {
        let mut before = Attributes::new();
        for name in self.names() {
            let Some(value) = self.live.get(name) else { continue };
            if is_keyed(self.attribute(name)) {
                let keys = self.keys(name);
                let map = value.as_map().into_iter().flatten().filter(|(key, _)| keys.contains(key));
                let map: BTreeMap<Name, Value> = map.map(|(k, v)| (k.clone(), v.clone())).collect();
                before.insert(name.clone(), Value::Map(map));
            } else {
                before.insert(name.clone(), value.clone());
            }
        }
        before
    }

    /// The managed fields once some differences are gone; the others stay as they are.
    pub(super) fn after<'d>(&self, differences: impl IntoIterator<Item = &'d Difference>) -> Attributes {
        let mut after = self.before();
        for Difference { name, key, want, .. } in differences {
            match (key, want) {
                (None, Some(want)) => {
                    after.insert(name.clone(), want.clone());
                }
                (None, None) => {
                    after.remove(name);
                }
                (Some(key), want) => {
                    let entry = after.entry(name.clone()).or_default();
                    let mut map = entry.as_map().cloned().unwrap_or_default();
                    match want {
                        Some(want) => map.insert(key.clone(), want.clone()),
                        None => map.remove(key),
                    };
                    *entry = Value::Map(map);
                }
            }
        }
        after
    }

    /// All that head wants of a new resource.
    pub(super) fn created(&self) -> Attributes {
        let ours = |name: &Name| is_ours(self.attribute(name));
        self.head.iter().filter(|(name, _)| ours(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The attributes to look at: head's, and keyed ones that base or memory still knows keys of.
    fn names(&self) -> BTreeSet<&'a Name> {
        let keyed = |name: &&Name| is_keyed(self.attribute(name));
        let demanded = self.demand.into_iter().flat_map(BTreeMap::keys);
        let more = self.base.into_iter().flat_map(BTreeMap::keys).chain(demanded).filter(keyed);
        self.head.keys().chain(more).filter(|name| is_ours(self.attribute(name))).collect()
    }

    fn keys(&self, name: &Name) -> BTreeSet<&'a Name> {
        let base = self.base.and_then(|base| base.get(name));
        let demanded = self.demand.and_then(|demand| demand.get(name)).map(|field| &field.want);
        [self.head.get(name), base, demanded]
            .into_iter()
            .flatten()
            .filter_map(Value::as_map)
            .flat_map(BTreeMap::keys)
            .collect()
    }

    fn attribute(&self, name: &Name) -> Option<&'a Attribute> {
        self.schema.and_then(|schema| schema.attribute(name))
    }
}

/// Whether a field is ours to compare and set.
fn is_ours(attribute: Option<&Attribute>) -> bool {
    attribute.is_none_or(|attribute| attribute.flags.compared())
}

fn is_keyed(attribute: Option<&Attribute>) -> bool {
    attribute.is_some_and(|attribute| attribute.flags.keyed)
}

/// A key's value; `null` is how memory writes that it is to be gone.
fn key_of<'v>(map: Option<&'v Value>, key: &Name) -> Option<&'v Value> {
    map?.as_map()?.get(key).filter(|value| **value != Value::Null)
}

/// Whether two values of a field mean the same: nothing is nothing, and a set has no order.
pub(super) fn is_same(attribute: Option<&Attribute>, one: Option<&Value>, other: Option<&Value>) -> bool {
    let (one, other) = (one.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null));
    if one == other || (one.is_empty() && other.is_empty()) {
        return true;
    }
    match (one.as_list(), other.as_list()) {
        (Some(one), Some(other)) if attribute.is_some_and(|attribute| attribute.flags.set) => {
            one.iter().collect::<BTreeSet<_>>() == other.iter().collect::<BTreeSet<_>>()
        }
        _ => false,
    }
}

/// Whether the keys that are wanted are there and those marked as gone are not; for other attributes, [`is_same`].
pub(super) fn is_satisfied(attribute: Option<&Attribute>, want: &Value, live: Option<&Value>) -> bool {
    match want.as_map() {
        Some(map) if is_keyed(attribute) => {
            map.keys().all(|key| key_of(Some(want), key) == key_of(live, key))
        }
        _ => is_same(attribute, Some(want), live),
    }
}
