//! Conditions of bindings: their canonical text, and the end that rolecall writes into one.
//!
//! Invariant: the text of a condition is its identity, and the end that `native_expiry` adds is no part of it: what is
//! written here reads back as the same condition with the same end, and what others wrote is never taken for such.
//! It must not evaluate expressions: Google does.

use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use crate::model::Name;

/// What the expression of an end begins with.
const BEFORE: &str = "request.time < timestamp(\"";
/// What follows its time.
const AFTER: &str = "\")";
/// What the title of one says before its time.
const UNTIL: &str = "until ";
/// How many characters Google lets a title have.
pub(super) const LONGEST_TITLE: usize = 100;

/// A condition in canonical text: JSON with its keys in order, and no empty ones.
pub(super) fn canonical(title: &str, description: Option<&str>, expression: &str) -> Name {
    let mut map = Map::new();
    let description = description.unwrap_or_default();
    for (key, text) in [("title", title), ("description", description), ("expression", expression)] {
        if !text.is_empty() {
            map.insert(key.to_owned(), text.into());
        }
    }
    Json::Object(map).to_string().into()
}

/// A condition as a policy has it: what it is without an end of ours, and that end.
pub(super) fn read(condition: Option<&Json>) -> (Option<Name>, Option<Timestamp>) {
    let Some(condition) = condition.filter(|condition| !condition.is_null()) else { return (None, None) };
    let text = |key: &str| condition.get(key).and_then(Json::as_str).unwrap_or_default();
    let (title, description, expression) = (text("title"), text("description"), text("expression"));
    let plain = || Some(canonical(title, Some(description), expression));
    let Some((own, end)) = ended(expression) else { return (plain(), None) };
    let told = format!("{UNTIL}{end}");
    match (own, title.strip_suffix(&told)) {
        (None, Some("")) => (None, Some(end)),
        (Some(own), Some(title)) => match title.strip_suffix(", ") {
            Some(title) => (Some(canonical(title, Some(description), own)), Some(end)),
            None => (plain(), None),
        },
        _ => (plain(), None),
    }
}

/// The expression without an end, and the end, where it has one of our form.
fn ended(expression: &str) -> Option<(Option<&str>, Timestamp)> {
    let (own, rest) = match expression.strip_prefix('(') {
        Some(rest) => {
            let (own, rest) = rest.rsplit_once(") && ")?;
            (Some(own), rest)
        }
        None => (None, expression),
    };
    let time = rest.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    let end: Timestamp = time.parse().ok()?;
    // Only the one way in which it is written here is ours.
    (end.to_string() == time).then_some((own, end))
}

/// A condition as a policy takes it; `None`: the binding has none.
pub(super) fn write(condition: Option<&Name>, end: Option<Timestamp>) -> Option<Json> {
    let own: Option<Json> = condition.and_then(|condition| serde_json::from_str(condition).ok());
    let Some(end) = end else { return own };
    let of_time = format!("{BEFORE}{end}{AFTER}");
    let Some(Json::Object(mut own)) = own else {
        return Some(serde_json::json!({ "title": format!("{UNTIL}{end}"), "expression": of_time }));
    };
    let text = |own: &Map<String, Json>, key: &str| {
        own.get(key).and_then(Json::as_str).map(str::to_owned).unwrap_or_default()
    };
    let title = format!("{}, {UNTIL}{end}", text(&own, "title"));
    let expression = format!("({}) && {of_time}", text(&own, "expression"));
    own.insert("title".to_owned(), title.into());
    own.insert("expression".to_owned(), expression.into());
    Some(Json::Object(own))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            title in "[a-z(),. ]{1,20}", description in "[a-z ]{0,9}", expression in "[a-z&|()\"<=. ]{1,40}",
            seconds in proptest::option::of(0_i64..4_000_000_000), bare in any::<bool>(),
        ) {
            let condition = (!bare).then(|| canonical(&title, Some(&description), &expression));
            let end = seconds.map(|seconds| Timestamp::from_second(seconds).unwrap());
            let written = write(condition.as_ref(), end);
            prop_assert_eq!(read(written.as_ref()), (condition, end));
        }
    }

    #[test]
    fn what_others_wrote_is_theirs() {
        for (title, expression) in [
            ("mine", r#"request.time < timestamp("2026-11-23T11:00:00Z")"#),
            ("until 2026-11-23T11:00:00Z", r#"request.time < timestamp("2026-11-23T12:00:00Z")"#),
            ("until 2026-11-23T11:00:00.0Z", r#"request.time < timestamp("2026-11-23T11:00:00.0Z")"#),
            ("x, until 2026-11-23T11:00:00Z", r#"request.time < timestamp("2026-11-23T11:00:00Z")"#),
        ] {
            let theirs = serde_json::json!({ "title": title, "expression": expression });
            assert_eq!(read(Some(&theirs)), (Some(canonical(title, None, expression)), None), "{title}");
        }
    }
}
