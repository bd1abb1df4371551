//! Values for people: one pretty form, and what changed between two values.
//!
//! Invariant: the form is canonical, so that a line differs only where the value does.
//! It must not escape: that is each medium's.

use similar::{Algorithm, DiffTag, capture_diff_slices, group_diff_ops};

use crate::model::Value;

/// How long a value may be to stand on one line.
const SHORT: usize = 48;
/// Unchanged lines around a changed one.
const CONTEXT: usize = 3;

/// How a field is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// What it becomes, on one line.
    Set(String),
    /// What it was and becomes, on one line.
    Changed(String, String),
    /// Line by line.
    Lines(Vec<DiffLine>),
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DiffLine {
    /// What happens to it.
    pub(super) sign: LineSign,
    /// The line.
    pub(super) text: String,
}

/// What happens to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineSign {
    /// It stays.
    Same,
    /// It comes.
    Added,
    /// It goes.
    Removed,
    /// Unchanged lines are left out here.
    Skipped,
}

impl LineSign {
    /// The character that stands before the line.
    pub(super) fn mark(self) -> char {
        match self {
            Self::Same => ' ',
            Self::Added => '+',
            Self::Removed => '-',
            Self::Skipped => '@',
        }
    }
}

/// How to show a field that had one value (or was not there) and gets another (or goes).
pub(super) fn show(before: Option<&Value>, after: Option<&Value>) -> Shown {
    let (old, new) = (before.filter(|v| !v.is_empty()), after.filter(|v| !v.is_empty()));
    let short = |value: Option<&Value>| value.map_or(Some("(none)".to_owned()), inline);
    match (short(old), short(new)) {
        (_, Some(new)) if old.is_none() => Shown::Set(new),
        (Some(old), Some(new)) => Shown::Changed(old, new),
        _ => Shown::Lines(diff(&old.map(pretty).unwrap_or_default(), &new.map(pretty).unwrap_or_default())),
    }
}

/// A value on one line, where that is short enough.
fn inline(value: &Value) -> Option<String> {
    let text = match value {
        Value::List(items) if items.iter().all(is_scalar) => {
            format!("[{}]", items.iter().map(scalar).collect::<Vec<_>>().join(", "))
        }
        Value::List(_) | Value::Map(_) => return None,
        // A text that fills its line needs quotes only where it could be taken for something else.
        Value::Text(text) if !looks_other(text) && text.trim() == &**text && !text.contains(['"', '\n']) => {
            return Some(text.to_string());
        }
        other => return Some(scalar(other)),
    };
    (text.chars().count() <= SHORT).then_some(text)
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::List(_) | Value::Map(_))
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Text(text) if is_bare(text) => text.to_string(),
        other => other.to_json().to_string(),
    }
}

fn looks_other(text: &str) -> bool {
    let number = text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    number || matches!(text, "true" | "false" | "null" | "(none)") || text.starts_with(['[', '{'])
}

/// Whether a text cannot be taken for anything else when it stands without quotes.
fn is_bare(text: &str) -> bool {
    let bare = |c: char| c.is_alphanumeric() || "_-./:*@+=,$%".contains(c);
    !looks_other(text) && text.chars().all(bare) && !text.ends_with(':') && !text.starts_with('-')
}

/// A value over lines, the way YAML is written.
pub(super) fn pretty(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    write(value, "", "", &mut lines);
    lines
}

fn write(value: &Value, first: &str, rest: &str, lines: &mut Vec<String>) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (index, (key, value)) in entries.iter().enumerate() {
                let lead = if index == 0 { first } else { rest };
                let key = scalar(&Value::Text(key.clone()));
                if is_scalar(value) || value.is_empty() {
                    lines.push(format!("{lead}{key}: {}", scalar(value)));
                } else {
                    lines.push(format!("{lead}{key}:"));
                    let inner = format!("{rest}  ");
                    write(value, &inner, &inner, lines);
                }
            }
        }
        Value::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                let lead = if index == 0 { first } else { rest };
                write(item, &format!("{lead}- "), &format!("{rest}  "), lines);
            }
        }
        other => lines.push(format!("{first}{}", scalar(other))),
    }
}

/// The lines that differ, with a few that stay around them.
fn diff(old: &[String], new: &[String]) -> Vec<DiffLine> {
    let operations = capture_diff_slices(Algorithm::Myers, old, new);
    let mut lines = Vec::new();
    let mut put = |sign, texts: &[String]| {
        lines.extend(texts.iter().map(|text| DiffLine { sign, text: text.clone() }));
    };
    let mut shown_until = 0;
    for group in group_diff_ops(operations, CONTEXT) {
        for operation in group {
            let (tag, was, becomes) = operation.as_tag_tuple();
            if was.start > shown_until {
                put(LineSign::Skipped, &[skipped(was.start - shown_until)]);
            }
            shown_until = was.end;
            match tag {
                DiffTag::Equal => put(LineSign::Same, &old[was]),
                DiffTag::Delete | DiffTag::Insert | DiffTag::Replace => {
                    put(LineSign::Removed, &old[was]);
                    put(LineSign::Added, &new[becomes]);
                }
            }
        }
    }
    if shown_until > 0 && old.len() > shown_until {
        put(LineSign::Skipped, &[skipped(old.len() - shown_until)]);
    }
    lines
}

fn skipped(lines: usize) -> String {
    format!("{lines} unchanged {}", if lines == 1 { "line" } else { "lines" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn documents_read_like_yaml() {
        let document = value(
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["a:B"],"Resource":"*"}],"n":"no: yes","e":[]}"#,
        );
        assert_eq!(
            pretty(&document).join("\n"),
            "Statement:\n  - Action:\n      - a:B\n    Effect: Allow\n    Resource: *\nVersion: 2012-10-17\ne: []\nn: \"no: yes\""
        );
    }

    #[test]
    fn only_what_differs_is_shown_with_a_few_lines_around_it() {
        let list = |extra: &str| {
            let items: Vec<String> =
                (0..20).map(|n| format!("line-number-{n}")).chain([extra.to_owned()]).collect();
            Value::List(items.into_iter().map(Value::from).collect())
        };
        let Shown::Lines(lines) = show(Some(&list("old")), Some(&list("new"))) else { panic!("not lines") };
        let text: Vec<String> =
            lines.iter().map(|line| format!("{}{}", line.sign.mark(), line.text)).collect();
        assert_eq!(
            text,
            [
                "@17 unchanged lines",
                " - line-number-17",
                " - line-number-18",
                " - line-number-19",
                "-- old",
                "+- new"
            ]
        );
    }

    #[test]
    fn short_values_stand_on_one_line() {
        assert_eq!(show(None, Some(&value("\"/service/\""))), Shown::Set("/service/".to_owned()));
        assert_eq!(
            show(Some(&value("1")), Some(&value("null"))),
            Shown::Changed("1".into(), "(none)".into())
        );
        assert_eq!(
            show(Some(&value("\"1\"")), Some(&value("1"))),
            Shown::Changed("\"1\"".into(), "1".into())
        );
        let Shown::Lines(lines) = show(None, Some(&value(r#"{"a":1}"#))) else { panic!("not lines") };
        assert_eq!(lines, [DiffLine { sign: LineSign::Added, text: "a: 1".to_owned() }]);
    }
}
