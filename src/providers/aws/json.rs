//! JSON as spanned trees, for documents that are kept as JSON.
//!
//! Invariant: a key that repeats is an error, and no number loses digits. It must not know what documents mean.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::model::{Entry, Node, NodeValue, Span, Spanned};

/// JSON as a tree whose every place is `span`, since lines within a file beside the manifest are not tracked. Unlike
/// `serde_json::Value` it refuses keys that repeat, of which IAM, too, would silently take one.
pub(super) fn json(text: &str, span: &Span) -> Result<Node, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let node = At(span).deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(node)
}

#[derive(Clone, Copy)]
struct At<'a>(&'a Span);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl At<'_> {
    fn node<E>(self, value: NodeValue) -> Result<Node, E> {
        Ok(Node { value, span: self.0.clone() })
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without fractions")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        self.node(NodeValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        self.node(NodeValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        self.node(NodeValue::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        self.node(NodeValue::Int(i64::try_from(value).map_err(|_| E::custom("this number is too large"))?))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        self.node(NodeValue::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        self.node(NodeValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: BTreeMap<String, Node> = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            if entries.insert(key.clone(), value).is_some() {
                return Err(de::Error::custom(format!("the key `{key}` repeats")));
            }
        }
        let entry = |(value, node)| Entry { key: Spanned { value, span: self.0.clone() }, value: node };
        self.node(NodeValue::Map(entries.into_iter().map(entry).collect()))
    }
}
