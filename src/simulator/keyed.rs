//! Lists in the file that are maps in memory, and ids made of names.
//!
//! Invariant: the same names give the same ids on every machine.

use sha2::{Digest as _, Sha256};

use super::world::{
    GcpBillingAccount, GcpFolder, GcpGroup, GcpKey, GcpMember, GcpOperation, GcpPool, GcpPoolProvider,
    GcpProject, GcpRole, GcpServiceAccount, GcpToken, GcpUser, IamGroup, IamPolicy, IamRole, IamUser,
    OktaGroup, OktaRule, OktaUser,
};

/// Letters and digits made of `parts`: as an id looks, and the same each time.
pub(super) fn token(parts: &[&str], length: usize) -> String {
    const SIGNS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let sign = |byte: &u8| char::from(SIGNS[usize::from(*byte) % SIGNS.len()]);
    bytes(parts).iter().take(length).map(sign).collect()
}

/// Digits made of `parts`, the first of which is no zero.
pub(super) fn digits(parts: &[&str], length: usize) -> String {
    let digit = |(at, byte): (usize, &u8)| char::from(b'0' + if at == 0 { 1 + byte % 9 } else { byte % 10 });
    bytes(parts).iter().take(length).enumerate().map(digit).collect()
}

/// What ids and etags are made of.
pub(super) fn bytes(parts: &[&str]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().to_vec()
}

/// An item of a list that has a key.
pub(super) trait Keyed {
    /// The key in memory; may be derived.
    fn key(&self) -> String;
    /// What the list in the file is sorted by.
    fn order(&self) -> &str;
}

macro_rules! keyed {
    ($($kind:ty: $field:ident),* $(,)?) => {$(
        impl Keyed for $kind {
            fn key(&self) -> String {
                self.$field.clone()
            }
            fn order(&self) -> &str {
                &self.$field
            }
        }
    )*};
}

keyed!(OktaUser: login, IamUser: name, IamGroup: name, IamRole: name, IamPolicy: name);
keyed!(GcpProject: id, GcpServiceAccount: name, GcpKey: id, GcpRole: id, GcpPool: id, GcpPoolProvider: id);
keyed!(GcpBillingAccount: id, GcpGroup: email, GcpMember: email, GcpUser: email, GcpToken: client);
keyed!(GcpOperation: name);

impl Keyed for GcpFolder {
    fn key(&self) -> String {
        if self.id.is_empty() { super::world::folder_id(&self.path) } else { self.id.clone() }
    }

    fn order(&self) -> &str {
        &self.path
    }
}

impl Keyed for OktaGroup {
    fn key(&self) -> String {
        if self.id.is_empty() { super::world::group_id(&self.name, self.kind) } else { self.id.clone() }
    }

    fn order(&self) -> &str {
        &self.name
    }
}

impl Keyed for OktaRule {
    fn key(&self) -> String {
        if self.id.is_empty() { format!("name:{}", self.name) } else { self.id.clone() }
    }

    fn order(&self) -> &str {
        &self.name
    }
}

/// Reads a list into a map and writes a map as a list.
pub(super) mod list {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    use super::Keyed;

    pub(in super::super) fn serialize<T: Keyed + Serialize, S: Serializer>(
        map: &BTreeMap<String, T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut items: Vec<&T> = map.values().collect();
        items.sort_by(|one, two| one.order().cmp(two.order()));
        serializer.collect_seq(items)
    }

    pub(in super::super) fn deserialize<'de, T: Keyed + Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, T>, D::Error> {
        let mut map = BTreeMap::new();
        for item in Vec::<T>::deserialize(deserializer)? {
            if item.order().is_empty() {
                return Err(D::Error::custom("an entry of this list has no name"));
            }
            let name = item.order().to_owned();
            if map.insert(item.key(), item).is_some() {
                return Err(D::Error::custom(format!("`{name}` stands here twice")));
            }
        }
        Ok(map)
    }
}
