//! Values: what an attribute holds, in a form that has one canonical text and so one digest.
//!
//! Invariant: no floats (a digest must not depend on how a number was printed), maps are sorted.
//! It must not know any kind: what a set or a document means is the schema's business.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::address::Name;

/// Attributes by name, sorted.
pub type Attributes = BTreeMap<Name, Value>;

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Value {
    /// Nothing: the attribute is known to be absent.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(Name),
    /// A list; of an attribute flagged `set` it is kept sorted and without repeats by whoever makes it.
    List(Vec<Value>),
    /// A map with sorted keys.
    Map(BTreeMap<Name, Value>),
}

impl Value {
    /// A text value.
    #[must_use]
    pub fn text(text: impl Into<Name>) -> Self {
        Self::Text(text.into())
    }

    /// A sorted list of texts without repeats.
    pub fn set<I: IntoIterator<Item = T>, T: Into<Name>>(items: I) -> Self {
        let mut items: Vec<Self> = items.into_iter().map(|item| Self::Text(item.into())).collect();
        items.sort();
        items.dedup();
        Self::List(items)
    }

    /// A map of texts.
    pub fn map<I: IntoIterator<Item = (K, V)>, K: Into<Name>, V: Into<Self>>(entries: I) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// The text, where this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The map, where this is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&BTreeMap<Name, Self>> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    /// The items, where this is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// Whether nothing is there: `null`, or an empty text, list or map.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(map) => map.is_empty(),
            Self::Bool(_) | Self::Int(_) => false,
        }
    }

    /// The value as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Text(value) => value.as_ref().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(map) => {
                serde_json::Value::Object(map.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect())
            }
        }
    }

    /// A value from JSON; `None` where it holds a number that is not a whole one.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        Some(match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Int(number.as_i64()?),
            serde_json::Value::String(text) => Self::text(text.as_str()),
            serde_json::Value::Array(items) => {
                Self::List(items.iter().map(Self::from_json).collect::<Option<_>>()?)
            }
            serde_json::Value::Object(map) => Self::Map(
                map.iter()
                    .map(|(k, v)| Some((Name::from(k.as_str()), Self::from_json(v)?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Name> for Value {
    fn from(text: Name) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl fmt::Display for Value {
    /// Texts plain, everything else as compact JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            other => write!(f, "{}", other.to_json()),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Map(map) => {
                let mut entries = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    entries.serialize_entry(key, value)?;
                }
                entries.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, whole number, truth value, list or map")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Int(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
                i64::try_from(value).map(Value::Int).map_err(|_| E::custom("this number is too large"))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Value, E> {
                Err(E::custom("only whole numbers are allowed; quote it if it is a text"))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::text(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Value::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((key, value)) = entries.next_entry::<String, Value>()? {
                    map.insert(key.into(), value);
                }
                Ok(Value::Map(map))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(String);

/// Lines that are digested as they come.
#[derive(Default)]
pub(super) struct Lines {
    sha: Sha256,
    buffer: Vec<u8>,
}

impl Lines {
    /// How much is kept before it is digested.
    const BUFFER: usize = 1 << 15;

    /// A text without line breaks or tabs.
    pub(super) fn text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    /// A tab and a value.
    pub(super) fn json(&mut self, value: &impl Serialize) {
        self.buffer.push(b'\t');
        // Our own values have text keys, which is all that JSON can refuse.
        let _ = serde_json::to_writer(&mut self.buffer, value);
    }

    /// Ends a line.
    pub(super) fn end(&mut self) {
        self.buffer.push(b'\n');
        if self.buffer.len() >= Self::BUFFER {
            self.sha.update(&self.buffer);
            self.buffer.clear();
        }
    }

    /// The digest of all lines.
    pub(super) fn digest(mut self) -> Digest {
        self.sha.update(&self.buffer);
        Digest::of_hash(&self.sha.finalize())
    }
}

impl Digest {
    fn of_hash(hash: &[u8]) -> Self {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in hash {
            text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Self(text)
    }

    /// The digest of bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of_hash(&Sha256::digest(bytes))
    }

    /// The digest of a value's RFC 8785 canonical JSON.
    #[must_use]
    pub fn of(value: &impl Serialize) -> Self {
        // Our own values have text keys and whole numbers only, which is all that canonical JSON can refuse.
        Self::of_bytes(&serde_json_canonicalizer::to_vec(value).unwrap_or_default())
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// A digest of its 64 digits; nothing where they are not those of one.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        let is_digits = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_digits.then(|| Self(format!("sha256:{hex}")))
    }

    /// The first twelve hexadecimal digits, for people to read aloud.
    #[must_use]
    pub fn short(&self) -> &str {
        let digits = self.0.strip_prefix("sha256:").unwrap_or(&self.0);
        digits.get(..12).unwrap_or(digits)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_does_not_depend_on_the_order_of_keys() {
        let one: Value = serde_json::from_str(r#"{"b":[1,"x"],"a":true}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"a":true,"b":[1,"x"]}"#).unwrap();
        assert_eq!(Digest::of(&one), Digest::of(&two));
        assert_ne!(Digest::of(&one), Digest::of(&Value::Null));
        assert_eq!(Digest::of(&one).short().len(), 12);
    }

    #[test]
    fn floats_are_refused() {
        assert!(serde_json::from_str::<Value>("1.5").is_err());
    }
}
