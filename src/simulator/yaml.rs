//! Writes the world as YAML that a person can read and edit.
//!
//! Invariant: what it writes reads back as the same value; the same value gives the same text; keys keep the order of
//! the structs. It must not know what it writes.

use std::fmt;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Up to here a list or map is written on one line.
const WIDTH: usize = 100;

/// Any value, with its keys in the order in which they came.
enum Tree {
    Scalar(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// The YAML text of a value.
pub(super) fn to_string(value: &impl Serialize) -> Result<String, serde_json::Error> {
    // JSON text keeps the order of keys, which `serde_json::Value` would not.
    let tree: Tree = serde_json::from_str(&serde_json::to_string(value)?)?;
    let mut text = String::new();
    tree.block(0, &mut text);
    Ok(text)
}

impl Tree {
    /// The value on one line, where that is short enough.
    fn flow(&self, room: usize) -> Option<String> {
        let text = match self {
            Self::Scalar(text) => text.clone(),
            Self::List(items) => {
                let items: Option<Vec<_>> = items.iter().map(|item| item.flow(room)).collect();
                format!("[{}]", items?.join(", "))
            }
            Self::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Map(entries) => {
                let entries: Option<Vec<_>> = entries
                    .iter()
                    .map(|(key, value)| Some(format!("{}: {}", scalar(key), value.flow(room)?)))
                    .collect();
                format!("{{ {} }}", entries?.join(", "))
            }
        };
        (text.len() <= room || matches!(self, Self::Scalar(_))).then_some(text)
    }

    fn block(&self, indent: usize, text: &mut String) {
        let margin = " ".repeat(indent);
        match self {
            Self::Scalar(scalar) => text.push_str(&format!("{margin}{scalar}\n")),
            Self::List(items) => {
                for item in items {
                    match item.flow(WIDTH.saturating_sub(indent)) {
                        Some(line) => text.push_str(&format!("{margin}- {line}\n")),
                        None => {
                            let mut block = String::new();
                            item.block(indent + 2, &mut block);
                            // The first line of the block stands behind the dash.
                            text.push_str(&format!("{margin}- {}", &block[indent + 2..]));
                        }
                    }
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    let key = scalar(key);
                    // The outermost keys always open a block: the file is easier to find one's way in.
                    let room = if indent == 0 { 0 } else { WIDTH.saturating_sub(indent + key.len() + 2) };
                    match value.flow(room) {
                        Some(line) => text.push_str(&format!("{margin}{key}: {line}\n")),
                        None if value.is_empty() => {
                            text.push_str(&format!("{margin}{key}: {}\n", value.nothing()));
                        }
                        None => {
                            text.push_str(&format!("{margin}{key}:\n"));
                            value.block(indent + 2, text);
                        }
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
        }
    }

    fn nothing(&self) -> &'static str {
        if matches!(self, Self::List(_)) { "[]" } else { "{}" }
    }
}

/// A text as a YAML scalar: plain where no reader could take it for anything else.
fn scalar(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./@+=-".contains(&byte);
    let bytes = text.as_bytes();
    let inner = bytes.iter().enumerate().all(|(at, byte)| {
        let followed = bytes.get(at + 1).is_some_and(|next| plain(*next));
        plain(*byte) || (followed && (*byte == b' ' || *byte == b':'))
    });
    let first =
        bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'/' || *byte == b'_');
    // Words that YAML takes for null or a truth value, numbers, and `a: b`, are quoted. A time stamp is no number.
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "inf" | "nan"
    );
    let stamp = text.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[0].is_ascii_digit();
    if inner && (first || stamp) && !word {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Scalar("null".into()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Scalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Scalar(value.to_string()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Scalar(serde_json::Value::from(value).to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Scalar(scalar(value)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let value = json!({
            "words": ["no", "on", "NULL", "12", "1e3", "0x1F", "2026-11-22", "2026-11-22T17:00:00Z", "", " a", "a ", "a: b", "a:b",
                "a #b", "#a", "- a", "~", ".5", "a\nb", "ä", "managed:X", "arn:aws:iam::222222222222:user/x", "{a}", "[a", "*",
                "&a", "!a", "a:", "s3:*", "=", "<<", "222222222222", "1_000", "12:30", "x y z", "\u{7}", "it's", "\"q\""],
            "deep": [[["a"], {"b": {"c": [{"d": 1, "e": true, "f": null}]}}], [], {}],
            "long": ["0123456789".repeat(6), "abcdefghij".repeat(6), {"key with: colon": "x".repeat(80), "y": ["z".repeat(90)]}],
            "empty": {}, "none": [], "number": -3
        });
        let text = to_string(&value).unwrap();
        let options = serde_saphyr::options! { strict_booleans: true, no_schema: true };
        let back: Value = serde_saphyr::from_str_with_options(&text, options).unwrap();
        assert_eq!(back, value, "{text}");
    }

    #[test]
    fn short_things_stay_on_one_line() {
        let text = to_string(&json!({"users": [{"login": "a@x.com", "members": ["b", "c"]}]})).unwrap();
        assert_eq!(text, "users:\n  - { login: a@x.com, members: [b, c] }\n");
    }
}
