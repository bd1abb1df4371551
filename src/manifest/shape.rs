//! Small shapes that several documents share: maps in the order of the file, names, paths.
//!
//! Invariant: nothing loses its place. It must not know any one kind of document.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::BAD_NAME;
use crate::model::{Code, Finding, Node, Spanned, decode, nearest};

/// A mapping with free keys, in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Pairs<T>(pub(crate) Vec<(Spanned<String>, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Pairs<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Pairs_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// A part of a document that is decoded by itself, so that a mistake in it does not hide those in others.
#[derive(Debug, Clone)]
pub(crate) struct Part<T> {
    pub(crate) node: Node,
    kind: PhantomData<T>,
}

impl<T: DeserializeOwned> Part<T> {
    pub(crate) fn read(&self, findings: &mut Vec<Finding>) -> Option<T> {
        decode(&self.node, findings)
    }
}

impl<'de, T> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node::deserialize(deserializer).map(|node| Self { node, kind: PhantomData })
    }
}

impl<T: JsonSchema> JsonSchema for Part<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The rule for rolecall's own names, as a regular expression for JSON Schemas.
pub(crate) const NAME_PATTERN: &str = "^[a-z0-9][a-z0-9._-]*$";

/// Whether a text follows [`NAME_PATTERN`].
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.as_bytes().first().is_some_and(plain)
        && text.bytes().all(|byte| plain(&byte) || matches!(byte, b'.' | b'_' | b'-'))
}

/// Reports a name that breaks the rule.
pub(crate) fn check_name(what: &str, name: &Spanned<String>, findings: &mut Vec<Finding>) {
    if !is_name(name) {
        findings.push(
            Finding::error(BAD_NAME, format!("`{}` cannot be the name of {what}", name.value))
                .at(&name.span)
                .help("a name begins with a lower-case letter or digit, and goes on with those, `.`, `_` and `-`"),
        );
    }
}

/// Whether a path stays within the access repo: relative, with `/`, without `..`.
pub(crate) fn is_inside(path: &str) -> bool {
    !path.contains(['\\', ':']) && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// A finding about a word that is not among those known, with the nearest of them.
pub(crate) fn unknown<'a>(
    code: Code,
    message: String,
    word: &Spanned<String>,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Finding {
    let finding = Finding::error(code, message).at(&word.span);
    if let Some(near) = nearest(word, known.clone()) {
        return finding.meant(near);
    }
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    match known.len() {
        0 => finding.help("there is none yet"),
        1..=12 => finding.help(format!("known are `{}`", known.join("`, `"))),
        _ => finding,
    }
}
