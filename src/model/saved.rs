//! Snapshots and demands as files: JSON that a person can read, and reading it so that equal names are one in memory.
//!
//! A snapshot file (`rolecall.snapshot/v1`) names everything by address, edge by edge, in any order; parts that several
//! machines read are put together with [`Snapshot::merge`]. Invariant: what is saved reads back the same; a format that
//! is not known is refused, and no bytes make it panic. It must not touch files: it is given their bytes.

use std::borrow::{Borrow, Cow};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::address::{Address, Name};
use super::demand::{DemandState, DemandedGrant};
use super::grant::GrantKey;
use super::ordered::Ordered;
use super::plan::{Cause, Standing};
use super::resource::Origin;
use super::snapshot::{LiveGrant, SNAPSHOT_FORMAT, Snapshot};
use super::value::Attributes;

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They are of another format.
    #[error(
        "its format is `{0}`, and only `{SNAPSHOT_FORMAT}` can be read; observe again, or read it with the version that wrote it"
    )]
    Format(String),
    /// They are not whole, or no snapshot at all.
    #[error("it is no snapshot, or not a whole one: {0}; observe again")]
    Broken(String),
}

/// A snapshot as bytes, for a file.
///
/// # Errors
/// None is known: everything in a snapshot can be written as JSON.
pub fn save(snapshot: &Snapshot) -> Result<Vec<u8>, SnapshotError> {
    #[derive(Serialize)]
    struct File<'a> {
        format: &'a str,
        #[serde(flatten)]
        snapshot: &'a Snapshot,
    }
    let file = File { format: SNAPSHOT_FORMAT, snapshot };
    serde_json::to_vec(&file).map_err(|error| SnapshotError::Broken(error.to_string()))
}

/// The snapshot that bytes of a file hold, in order whatever theirs was.
///
/// # Errors
/// The bytes are not of this format, or not whole.
pub fn load(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        format: Cow<'a, str>,
    }
    let broken = |error: serde_json::Error| SnapshotError::Broken(error.to_string());
    // A later format may look quite different, so its name is read first, and by itself.
    let head: Head<'_> = serde_json::from_slice(bytes).map_err(broken)?;
    if head.format != SNAPSHOT_FORMAT {
        return Err(SnapshotError::Format(head.format.into_owned()));
    }
    let mut snapshot: Snapshot = serde_json::from_slice(bytes).map_err(broken)?;
    snapshot.normalize();
    Ok(snapshot)
}

/// Things that are often the same, each kept once, by what is read of them.
struct Pool<K, T>(HashMap<K, T>);

impl<K: Eq + Hash, T: Clone> Pool<K, T> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn one<Q, E>(&mut self, read: &Q, make: impl FnOnce(&Q) -> Result<T, E>) -> Result<T, E>
    where
        Q: ?Sized + Eq + Hash,
        K: Borrow<Q> + for<'q> From<&'q Q>,
    {
        if let Some(known) = self.0.get(read) {
            return Ok(known.clone());
        }
        let new = make(read)?;
        self.0.insert(K::from(read), new.clone());
        Ok(new)
    }
}

/// The names in a list of edges.
struct Names {
    addresses: Pool<Name, Address>,
    names: Pool<Name, Name>,
    /// Neighbours are mostly on the same thing.
    last: Option<Address>,
}

impl Names {
    fn new() -> Self {
        Self { addresses: Pool::new(), names: Pool::new(), last: None }
    }

    fn key<E: serde::de::Error>(
        &mut self,
        resource: &str,
        relation: &str,
        principal: &str,
        condition: Option<&str>,
    ) -> Result<GrantKey, E> {
        let address = |text: &str| text.parse::<Address>().map_err(E::custom);
        let name = |text: &str| Ok(Name::from(text));
        let resource = match &self.last {
            Some(last) if last.as_str() == resource => last.clone(),
            _ => self.addresses.one(resource, address)?,
        };
        self.last = Some(resource.clone());
        Ok(GrantKey {
            resource,
            relation: self.names.one(relation, name)?,
            principal: self.addresses.one(principal, address)?,
            condition: condition.map(|condition| self.names.one(condition, name)).transpose()?,
        })
    }
}

/// Reads a list item by item, each turned into what is kept before the next is read.
struct List<R, T, F>(F, PhantomData<(R, T)>);

impl<'de, R: Deserialize<'de>, T, F: FnMut(R) -> Result<T, String>> Visitor<'de> for List<R, T, F> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of edges")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push((self.0)(item).map_err(A::Error::custom)?);
        }
        Ok(list)
    }
}

/// Reads live edges.
pub(super) fn live<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ordered<LiveGrant>, D::Error> {
    #[derive(Deserialize)]
    struct Edge<'a> {
        #[serde(borrow)]
        resource: Cow<'a, str>,
        #[serde(borrow)]
        relation: Cow<'a, str>,
        #[serde(borrow)]
        principal: Cow<'a, str>,
        #[serde(borrow, default)]
        condition: Option<Cow<'a, str>>,
        #[serde(default)]
        attributes: Attributes,
        #[serde(default)]
        via: Option<String>,
    }
    let mut names = Names::new();
    let edge = |edge: Edge<'de>| {
        let key = names.key::<serde::de::value::Error>(
            &edge.resource,
            &edge.relation,
            &edge.principal,
            edge.condition.as_deref(),
        );
        let key = key.map_err(|error| error.to_string())?;
        Ok(LiveGrant { key, attributes: edge.attributes, via: edge.via })
    };
    deserializer.deserialize_seq(List(edge, PhantomData)).map(Ordered::look)
}

/// Reads demanded edges.
pub(super) fn demanded<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Ordered<DemandedGrant>, D::Error> {
    #[derive(Deserialize)]
    struct Edge<'a> {
        #[serde(borrow)]
        resource: Cow<'a, str>,
        #[serde(borrow)]
        relation: Cow<'a, str>,
        #[serde(borrow)]
        principal: Cow<'a, str>,
        #[serde(borrow, default)]
        condition: Option<Cow<'a, str>>,
        want: Option<Attributes>,
        #[serde(default)]
        state: DemandState,
        cause: Cause,
        #[serde(default)]
        standing: Option<Standing>,
        #[serde(borrow, default)]
        subject: Option<Cow<'a, str>>,
        reason: Origin,
        #[serde(default)]
        roles: Vec<Name>,
        #[serde(default)]
        until: Option<jiff::Timestamp>,
        #[serde(default)]
        since: Option<jiff::Timestamp>,
    }
    let (mut names, mut people) = (Names::new(), Pool::<Name, Address>::new());
    let (mut reasons, mut roles) = (HashSet::<Arc<Origin>>::new(), Pool::<Arc<[Name]>, Arc<[Name]>>::new());
    let edge = |edge: Edge<'de>| {
        let key = names.key::<serde::de::value::Error>(
            &edge.resource,
            &edge.relation,
            &edge.principal,
            edge.condition.as_deref(),
        );
        let person = |text: &str| text.parse::<Address>().map_err(|error| error.to_string());
        let subject = edge.subject.map(|text| people.one(text.as_ref(), person)).transpose()?;
        let reason = reasons.get(&edge.reason).cloned().unwrap_or_else(|| Arc::new(edge.reason));
        reasons.insert(reason.clone());
        Ok(DemandedGrant {
            key: key.map_err(|error| error.to_string())?,
            want: edge.want,
            state: edge.state,
            cause: edge.cause,
            standing: edge.standing,
            subject,
            reason,
            roles: roles.one(edge.roles.as_slice(), |roles| Ok::<_, String>(roles.into()))?,
            until: edge.until,
            since: edge.since,
        })
    };
    deserializer.deserialize_seq(List(edge, PhantomData)).map(Ordered::look)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Coverage, Resource, Value};

    fn attributes() -> impl Strategy<Value = Attributes> {
        proptest::collection::btree_map("[a-z]{1,3}", ".{0,6}", 0..3)
            .prop_map(|map| map.into_iter().map(|(key, text)| (key.into(), Value::text(text))).collect())
    }

    fn address() -> impl Strategy<Value = Address> {
        ("okta|aws", proptest::option::of("[0-9]{3}"), "user|group", ".{1,6}")
            .prop_map(|(instance, scope, kind, name)| Address::new(&instance, scope.as_deref(), &kind, &name))
    }

    fn snapshot() -> impl Strategy<Value = Snapshot> {
        let edge = (address(), "member|attached", address(), proptest::option::of(".{0,5}"));
        let edge = (edge, attributes(), proptest::option::of(".{0,5}"));
        let edges = proptest::collection::vec(edge, 0..12);
        let resources = proptest::collection::btree_map(
            address(),
            (proptest::option::of("[a-z]{2}"), attributes()),
            0..6,
        );
        let coverage = proptest::collection::btree_map("[a-z:/]{1,5}", proptest::option::of(".{0,5}"), 0..4);
        (edges, resources, coverage).prop_map(|(edges, resources, coverage)| {
            let edges =
                edges.into_iter().map(|((resource, relation, principal, condition), attributes, via)| {
                    let condition = condition.map(Name::from);
                    let key = GrantKey { resource, relation: relation.into(), principal, condition };
                    LiveGrant { key, attributes, via }
                });
            let resource = |(id, attributes): (Option<String>, _)| Resource {
                id: id.map(Name::from),
                attributes,
                ..Resource::default()
            };
            let mut snapshot = Snapshot {
                resources: resources.into_iter().map(|(address, parts)| (address, resource(parts))).collect(),
                grants: edges.collect(),
                coverage: coverage
                    .into_iter()
                    .map(|(scope, why)| (scope.into(), why.map_or(Coverage::Complete, Coverage::Partial)))
                    .collect(),
                calls: [("okta".into(), 3)].into(),
            };
            snapshot.normalize();
            snapshot
        })
    }

    proptest! {
        #[test]
        fn what_is_saved_reads_back_the_same_and_has_the_same_digest(snapshot in snapshot()) {
            let read = load(&save(&snapshot).unwrap()).unwrap();
            prop_assert_eq!(&read, &snapshot);
            prop_assert_eq!(read.digest_of("okta"), snapshot.digest_of("okta"));
        }

        #[test]
        fn parts_put_together_are_the_whole(snapshot in snapshot(), at in 0_usize..12) {
            let (one, two) = snapshot.grants.split_at(at.min(snapshot.grants.len()));
            let mut whole = Snapshot { grants: two.to_vec().into(), ..snapshot.clone() };
            whole.merge(Snapshot { grants: one.to_vec().into(), ..Snapshot::default() });
            prop_assert_eq!(whole, snapshot);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), cut in 0_usize..400) {
            let _ = load(&bytes);
            let mut live = Snapshot::default();
            let edge = GrantKey::new(&Address::person("ann"), "member", &Address::role("x"));
            live.grants.push(LiveGrant { key: edge, attributes: Attributes::new(), via: None });
            let mut file = save(&live).unwrap();
            file.truncate(cut);
            let _ = load(&file);
        }
    }

    #[test]
    fn another_format_is_refused_and_says_what_to_do() {
        let error = load(br#"{"format":"rolecall.snapshot/v9","edges":{}}"#).unwrap_err();
        assert_eq!(error, SnapshotError::Format("rolecall.snapshot/v9".into()));
        assert!(error.to_string().contains("observe again"));
        assert!(matches!(load(b"{}"), Err(SnapshotError::Broken(_))));
    }

    #[test]
    fn equal_names_are_one_in_memory() {
        let mut live = Snapshot::default();
        for group in ["a", "b"] {
            let key = GrantKey::new(&Address::person("ann"), "member", &Address::role(group));
            live.grants.push(LiveGrant { key, attributes: Attributes::new(), via: None });
        }
        let read = load(&save(&live).unwrap()).unwrap();
        let [one, two] = &read.grants[..] else { panic!("{read:?}") };
        assert_eq!(one.key.principal.as_str().as_ptr(), two.key.principal.as_str().as_ptr());
    }
}
