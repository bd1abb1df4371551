//! Where a value stands in the user's YAML, and the tree of spanned values that every manifest is decoded from.
//!
//! Invariant: every node carries the position of its first character, so each message can point at it.
//! It must not parse anything: `manifest` alone knows YAML.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::address::Name;
use super::value::Value;

/// A place in a file of the access repo.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Path relative to the root of the access repo, with `/`.
    pub file: Name,
    /// 1-based line; 0 where only the file is known.
    pub line: u32,
    /// 1-based column in characters; 0 where only the line is known.
    pub column: u32,
    /// Characters to underline on that line; at least 1.
    pub length: u32,
}

impl Span {
    /// The span of a whole file.
    #[must_use]
    pub fn file(file: impl Into<Name>) -> Self {
        Self { file: file.into(), line: 0, column: 0, length: 1 }
    }
}

impl fmt::Display for Span {
    /// `roles/infra.yaml:14:17`, or less where less is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        Ok(())
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// One item or a list of them: `region: emea` means `region: [emea]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> std::ops::Deref for Many<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: JsonSchema> JsonSchema for Many<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Many_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [item.clone(), { "type": "array", "items": item }] })
    }
}

/// A parsed YAML value with its place. Decode it with [`super::decode::decode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it holds.
    pub value: NodeValue,
    /// Where it begins.
    pub span: Span,
}

/// What a [`Node`] holds. There are no floats: the loader refuses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeValue {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file; keys are texts and do not repeat.
    Map(Vec<Entry>),
}

/// A key and its value in a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Spanned<String>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value under a key, where this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key.value == key).map(|entry| &entry.value)
    }

    /// The entries of a mapping; empty for everything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        if let NodeValue::Map(entries) = &self.value { entries } else { &[] }
    }

    /// Takes an entry out of a mapping.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let NodeValue::Map(entries) = &mut self.value else { return None };
        let position = entries.iter().position(|entry| entry.key.value == key)?;
        Some(entries.remove(position))
    }

    /// The text, where this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let NodeValue::Text(text) = &self.value { Some(text) } else { None }
    }

    /// What this is, in words for a message: `a list`.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self.value {
            NodeValue::Null => "nothing",
            NodeValue::Bool(_) => "a truth value",
            NodeValue::Int(_) => "a number",
            NodeValue::Text(_) => "a text",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a mapping",
        }
    }

    /// The same without places.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(value) => Value::Bool(*value),
            NodeValue::Int(value) => Value::Int(*value),
            NodeValue::Text(text) => Value::text(text.as_str()),
            NodeValue::List(items) => Value::List(items.iter().map(Self::to_value).collect()),
            NodeValue::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|entry| (entry.key.value.as_str().into(), entry.value.to_value()))
                    .collect(),
            ),
        }
    }
}

impl JsonSchema for Node {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Any".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}
