//! Decoding of spanned trees into typed manifests, through serde, with a place for every error.
//!
//! Invariant: all mistakes of a tree are reported, not the first: a bad entry is reported, left out, and decoding
//! goes on without it. It must not read text: it sees [`Node`]s only.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::finding::{Code, Finding, nearest};
use super::span::{Entry, Many, Node, NodeValue, Span, Spanned};

/// An unknown key.
pub const UNKNOWN_KEY: Code = Code { code: "RC110", title: "a key that this kind does not have" };
/// A value of the wrong type, or a missing key.
pub const WRONG_VALUE: Code = Code { code: "RC111", title: "a value of the wrong type or form" };
/// A missing key.
pub const MISSING_KEY: Code = Code { code: "RC112", title: "a required key is missing" };

const SPANNED: &str = "$rolecall::Spanned";
const MANY: &str = "$rolecall::Many";
const SPANNED_FIELDS: &[&str] = &["file", "line", "column", "length", "value"];

/// Decodes a tree, reporting every mistake. `None` where what is left cannot make a `T`; then at least one error was
/// reported.
pub fn decode<T: DeserializeOwned>(node: &Node, findings: &mut Vec<Finding>) -> Option<T> {
    let mut skipped = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    loop {
        let state = State { skipped: &skipped, unknown: std::cell::RefCell::new(&mut unknown) };
        let error = match T::deserialize(Reader { node, state: &state }) {
            Ok(value) => {
                findings.extend(unknown);
                // A value that could only be made by leaving something out is not what was asked for.
                return skipped.is_empty().then_some(value);
            }
            Err(error) => error,
        };
        let missing = error.message.starts_with("missing field");
        if !missing || skipped.is_empty() {
            let code = if missing { MISSING_KEY } else { WRONG_VALUE };
            let message = error.message.replacen("missing field", "missing key", 1);
            findings.push(Finding::error(code, message).at(error.span.as_ref().unwrap_or(&node.span)));
        }
        match error.entry {
            Some(entry) if skipped.insert(entry.clone()) => {}
            _ => {
                findings.extend(unknown);
                return None;
            }
        }
    }
}

/// What decoding has met so far.
struct State<'a> {
    /// Places of values already reported, now left out.
    skipped: &'a BTreeSet<Span>,
    unknown: std::cell::RefCell<&'a mut BTreeSet<Finding>>,
}

/// Why a node could not become what was asked for.
#[derive(Debug)]
struct DecodeError {
    message: String,
    span: Option<Span>,
    /// The innermost entry that can be left out.
    entry: Option<Span>,
}

impl DecodeError {
    fn or_at(mut self, span: &Span) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }

    fn in_entry(mut self, span: &Span) -> Self {
        self.entry.get_or_insert_with(|| span.clone());
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), span: None, entry: None }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Unit => "nothing".to_owned(),
            de::Unexpected::Bool(value) => format!("`{value}`"),
            de::Unexpected::Signed(value) => format!("the number {value}"),
            de::Unexpected::Str(text) => format!("the text `{text}`"),
            de::Unexpected::Seq => "a list".to_owned(),
            de::Unexpected::Map => "a mapping".to_owned(),
            other => other.to_string(),
        };
        de::Error::custom(format!("this is {found}, but {} is needed here", in_words(&expected.to_string())))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }
}

/// What serde calls a type, in the words of people who write YAML.
fn in_words(expected: &str) -> &str {
    match expected {
        "a string" => "a text",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative and not too large,",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        _ if expected.starts_with("struct ") => "a mapping",
        _ => expected,
    }
}

#[derive(Clone, Copy)]
struct Reader<'a, 's> {
    node: &'a Node,
    state: &'a State<'s>,
}

impl Reader<'_, '_> {
    fn spanned<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_map(SpannedAccess { reader: self, next: 0 })
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let NodeValue::Map(entries) = &self.node.value else { return self.mismatch(&visitor) };
        visitor
            .visit_map(EntryAccess { entries: entries.iter(), value: None, fields, state: self.state })
            .map_err(|error| error.or_at(&self.node.span))
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let NodeValue::List(items) = &self.node.value else { return self.mismatch(&visitor) };
        visitor
            .visit_seq(ItemAccess { items, state: self.state })
            .map_err(|error| error.or_at(&self.node.span))
    }

    fn mismatch<'de, T, V: Visitor<'de>>(self, visitor: &V) -> Result<T, DecodeError> {
        struct Expected<'v, V>(&'v V);
        impl<'de, V: Visitor<'de>> fmt::Display for Expected<'_, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.expecting(f)
            }
        }
        let expected = Expected(visitor).to_string();
        let message = format!("this is {}, but {} is needed here", self.node.what(), in_words(&expected));
        Err(DecodeError { message, span: Some(self.node.span.clone()), entry: None })
    }
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            NodeValue::Null => visitor.visit_unit(),
            NodeValue::Bool(value) => visitor.visit_bool(*value),
            NodeValue::Int(value) => visitor.visit_i64(*value),
            NodeValue::Text(text) => visitor.visit_str(text),
            NodeValue::List(_) => self.list(visitor),
            NodeValue::Map(_) => self.map(None, visitor),
        }
        .map_err(|error: DecodeError| error.or_at(&self.node.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.value == NodeValue::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match (name, &self.node.value) {
            (MANY, NodeValue::List(_)) => self.list(visitor),
            (MANY, _) => visitor
                .visit_seq(ItemAccess { items: std::slice::from_ref(self.node), state: self.state })
                .map_err(|error| error.or_at(&self.node.span)),
            _ => {
                visitor.visit_newtype_struct(self).map_err(|error: DecodeError| error.or_at(&self.node.span))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == SPANNED { self.spanned(visitor) } else { self.map(Some(fields), visitor) }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.map(None, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.list(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let NodeValue::Text(text) = &self.node.value else { return self.mismatch(&visitor) };
        if !variants.contains(&text.as_str()) {
            let mut message = format!("`{text}` is not one of `{}`", variants.join("`, `"));
            if let Some(near) = nearest(text, variants.iter().copied()) {
                message.push_str(&format!("; did you mean `{near}`?"));
            }
            return Err(DecodeError { message, span: Some(self.node.span.clone()), entry: None });
        }
        visitor
            .visit_enum(text.as_str().into_deserializer())
            .map_err(|error: DecodeError| error.or_at(&self.node.span))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            NodeValue::Text(text) => {
                visitor.visit_str(text).map_err(|error: DecodeError| error.or_at(&self.node.span))
            }
            NodeValue::Int(_) | NodeValue::Bool(_) => Err(DecodeError {
                message: format!("this is {}, but a text is needed here; put it in quotes", self.node.what()),
                span: Some(self.node.span.clone()),
                entry: None,
            }),
            _ => self.mismatch(&visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

/// The five fields of a [`Spanned`].
struct SpannedAccess<'a, 's> {
    reader: Reader<'a, 's>,
    next: usize,
}

impl<'de> MapAccess<'de> for SpannedAccess<'_, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some(field) = SPANNED_FIELDS.get(self.next) else { return Ok(None) };
        self.next += 1;
        let key: StrDeserializer<'_, DecodeError> = (*field).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let span = &self.reader.node.span;
        match self.next {
            1 => seed.deserialize(IntoDeserializer::<DecodeError>::into_deserializer(span.file.as_ref())),
            2 => seed.deserialize(span.line.into_deserializer()),
            3 => seed.deserialize(span.column.into_deserializer()),
            4 => seed.deserialize(span.length.into_deserializer()),
            _ => seed.deserialize(self.reader),
        }
    }
}

struct EntryAccess<'a, 's> {
    entries: std::slice::Iter<'a, Entry>,
    value: Option<&'a Entry>,
    fields: Option<&'static [&'static str]>,
    state: &'a State<'s>,
}

impl<'de> MapAccess<'de> for EntryAccess<'_, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        for entry in self.entries.by_ref() {
            if self.state.skipped.contains(&entry.value.span) {
                continue;
            }
            if let Some(fields) = self.fields
                && !fields.contains(&entry.key.value.as_str())
            {
                self.state.unknown.borrow_mut().insert(unknown_key(&entry.key, fields));
                continue;
            }
            self.value = Some(entry);
            let node = Node { value: NodeValue::Text(entry.key.value.clone()), span: entry.key.span.clone() };
            return seed.deserialize(Reader { node: &node, state: self.state }).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some(entry) = self.value.take() else { return Err(de::Error::custom("a value without its key")) };
        seed.deserialize(Reader { node: &entry.value, state: self.state })
            .map_err(|error| error.or_at(&entry.value.span).in_entry(&entry.value.span))
    }
}

struct ItemAccess<'a, 's> {
    items: &'a [Node],
    state: &'a State<'s>,
}

impl<'de> SeqAccess<'de> for ItemAccess<'_, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        while let Some((item, rest)) = self.items.split_first() {
            self.items = rest;
            if !self.state.skipped.contains(&item.span) {
                return seed
                    .deserialize(Reader { node: item, state: self.state })
                    .map(Some)
                    .map_err(|error| error.or_at(&item.span).in_entry(&item.span));
            }
        }
        Ok(None)
    }
}

fn unknown_key(key: &Spanned<String>, fields: &[&str]) -> Finding {
    let finding = Finding::error(UNKNOWN_KEY, format!("unknown key `{}`", key.value)).at(&key.span);
    match nearest(&key.value, fields.iter().copied()) {
        Some(near) => finding.meant(near),
        None if fields.is_empty() => finding.help("no key is allowed here"),
        None => finding.help(format!("the keys here are `{}`", fields.join("`, `"))),
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    /// Works only through [`decode`]: elsewhere there are no places.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Spanned<T>, A::Error> {
                let mut span = Span::file("");
                let mut value = None;
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "file" => span.file = map.next_value::<String>()?.into(),
                        "line" => span.line = map.next_value()?,
                        "column" => span.column = map.next_value()?,
                        "length" => span.length = map.next_value()?,
                        _ => value = Some(map.next_value()?),
                    }
                }
                value.map(|value| Spanned { value, span }).ok_or_else(|| de::Error::missing_field("value"))
            }
        }
        deserializer.deserialize_struct(SPANNED, SPANNED_FIELDS, Parts(std::marker::PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Many<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Many<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Many(list))
            }
        }
        deserializer.deserialize_newtype_struct(MANY, Items(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<NodeValue>::deserialize(deserializer).map(|Spanned { value, span }| Self { value, span })
    }
}

impl<'de> Deserialize<'de> for NodeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = NodeValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<NodeValue, E> {
                Ok(NodeValue::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<NodeValue, E> {
                Ok(NodeValue::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<NodeValue, E> {
                Ok(NodeValue::Int(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<NodeValue, E> {
                Ok(NodeValue::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<NodeValue, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(NodeValue::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeValue, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<Spanned<String>, Node>()? {
                    entries.push(Entry { key, value });
                }
                Ok(NodeValue::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32) -> Span {
        Span { file: "x.yaml".into(), line, column, length: 1 }
    }

    fn text(text: &str, line: u32) -> Node {
        Node { value: NodeValue::Text(text.into()), span: at(line, 8) }
    }

    fn map(entries: Vec<(&str, Node)>) -> Node {
        let entries = entries.into_iter().enumerate().map(|(i, (key, value))| Entry {
            key: Spanned { value: key.into(), span: at(u32::try_from(i).unwrap() + 1, 1) },
            value,
        });
        Node { value: NodeValue::Map(entries.collect()), span: at(1, 1) }
    }

    #[derive(Debug, Deserialize)]
    struct Thing {
        name: Spanned<String>,
        #[serde(default)]
        regions: Many<Spanned<String>>,
        age: Option<u32>,
        rest: Option<Node>,
    }

    #[test]
    fn spans_reach_the_typed_value() {
        let node = map(vec![
            ("name", text("x", 1)),
            ("regions", text("emea", 2)),
            ("rest", map(vec![("a", text("b", 9))])),
        ]);
        let thing: Thing = decode(&node, &mut Vec::new()).unwrap();
        assert_eq!((thing.name.span.line, thing.name.span.column), (1, 8));
        assert_eq!(thing.regions[0].value, "emea");
        assert_eq!(thing.rest.unwrap().get("a").unwrap().span.line, 9);
        assert_eq!(thing.age, None);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let number = Node { value: NodeValue::Int(3), span: at(1, 9) };
        let node = map(vec![("name", number), ("age", text("old", 2)), ("regoins", text("emea", 3))]);
        let mut findings = Vec::new();
        assert!(decode::<Thing>(&node, &mut findings).is_none());
        let codes: Vec<_> =
            findings.iter().map(|f| (f.code.as_ref(), f.span.as_ref().unwrap().line)).collect();
        assert_eq!(codes, [("RC111", 1), ("RC111", 2), ("RC110", 3)]);
        assert_eq!(findings[2].help.as_deref(), Some("did you mean `regions`?"));
    }

    #[test]
    fn messages_speak_of_yaml_and_not_of_types() {
        let list = Node { value: NodeValue::List(Vec::new()), span: at(1, 9) };
        let negative = Node { value: NodeValue::Int(-3), span: at(2, 9) };
        let mut findings = Vec::new();
        assert!(decode::<Thing>(&map(vec![("name", list), ("age", negative)]), &mut findings).is_none());
        let messages: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "this is a list, but a text is needed here",
                "this is the number -3, but a whole number, not negative and not too large, is needed here",
            ]
        );
    }

    #[test]
    fn a_missing_key_points_at_its_mapping() {
        let mut findings = Vec::new();
        assert!(decode::<Thing>(&map(vec![]), &mut findings).is_none());
        assert_eq!(
            (findings[0].code.as_ref(), findings[0].message.as_str()),
            ("RC112", "missing key `name`")
        );
    }
}
