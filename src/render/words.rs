//! The words that all media use: counts, lists, relations, reasons for holding, times.
//!
//! Invariant: English that can be read aloud. It must not escape: that is each medium's.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use serde_json::Value as Json;

use crate::model::{Change, Why};

/// A part of a line, each shown in its own manner and escaped by the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Running text.
    Words(String),
    /// An address, a name, a value: what a title is about.
    Literal(String),
    /// What stood between backticks in running text.
    Quoted(String),
    /// A file and line.
    Place(String),
}

/// A line of text.
pub(super) type Line = Vec<Piece>;

/// Running text whose backticks mark literals.
pub(super) fn prose(text: &str) -> Line {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return vec![Piece::Words(text.to_owned())];
    }
    let piece = |(index, part): (usize, &str)| {
        if index.is_multiple_of(2) { Piece::Words(part.to_owned()) } else { Piece::Quoted(part.to_owned()) }
    };
    parts.into_iter().enumerate().map(piece).filter(|piece| *piece != Piece::Words(String::new())).collect()
}

/// Running text without marks.
pub(super) fn words(text: impl Into<String>) -> Piece {
    Piece::Words(text.into())
}

/// An address, a name or a value.
pub(super) fn literal(text: impl Into<String>) -> Piece {
    Piece::Literal(text.into())
}

/// A text of ours as a sentence begins.
pub(super) fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// `1 person`, `34 people`, with thousands apart.
pub(super) fn count(number: impl TryInto<u64>, one: &str, many: &str) -> String {
    let number: u64 = number.try_into().unwrap_or(u64::MAX);
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The plural of a kind, for counting what has one in lower_snake_case.
pub(super) fn plural(kind: &str) -> String {
    let kind = kind.replace('_', " ");
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{kind}s"),
    }
}

/// What stands between principal and resource of an edge that is given or taken.
#[must_use]
pub fn relation(name: &str, given: bool) -> String {
    let words = match (name, given) {
        ("attached", true) => return "with policy".to_owned(),
        ("attached", false) => return "without policy".to_owned(),
        ("member", _) => "member of".to_owned(),
        ("assigned", _) => "assigned to".to_owned(),
        // A role that is bound: its own name, or its address.
        (role, true) if role.contains(['/', ':']) => return format!("with {role} on"),
        (role, false) if role.contains(['/', ':']) => return format!("without {role} on"),
        (other, _) => format!("{}:", other.replace('_', " ")),
    };
    if given { words } else { format!("no longer {words}") }
}

/// A condition in words: its title, and what must be so.
#[must_use]
pub(super) fn condition(text: &str) -> String {
    let Ok(Json::Object(parts)) = serde_json::from_str::<Json>(text) else { return text.to_owned() };
    let part = |name: &str| parts.get(name).and_then(Json::as_str);
    match (part("title"), part("expression")) {
        (Some(title), Some(expression)) => format!("{title}: {expression}"),
        _ => text.to_owned(),
    }
}

/// Why a change is held, in words.
pub(super) fn why(why: Why) -> &'static str {
    match why {
        Why::Protected => "what is protected stays as it is",
        Why::OwnAccess => "it would take from whoever applies",
        Why::LastAdmin => "too few administrators would be left",
        Why::Separation => "duties must stay separate",
        Why::Capped => "too many removals at once",
        Why::Empty => "a group would become empty",
        Why::Guardrail => "a guardrail forbids it",
        Why::Frozen => "an entry cites what is gone",
        Why::Incomplete => "not everything could be read",
        Why::Absent => "who or what is named does not exist",
        Why::Identity => "it is not certain who is meant",
        Why::Pending => "it takes its time",
        Why::Queued => "more than what runs without approval",
    }
}

/// `2027-01-31 23:59 -08:00 (2027-02-01 07:59 UTC)`: both, because an end is agreed on here and kept elsewhere.
#[must_use]
pub fn time(at: Timestamp, zone: &TimeZone) -> String {
    let utc = at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let local = at.to_zoned(zone.clone());
    if local.offset().is_zero() {
        return utc;
    }
    format!("{} ({utc})", local.strftime("%Y-%m-%d %H:%M %:z"))
}

/// An end as people say it: a midnight is the end of the day before, because `until: DATE` means that day, too.
#[must_use]
pub fn end(at: Timestamp, zone: &TimeZone) -> String {
    let local = at.to_zoned(zone.clone());
    match local.date().yesterday() {
        Ok(day) if local.time() == jiff::civil::Time::midnight() => {
            format!("the end of {day} {} ({})", local.strftime("%:z"), at.strftime("%Y-%m-%d %H:%M UTC"))
        }
        _ => time(at, zone),
    }
}

/// Whom an edge is about: the person's handle, and the principal where that could be someone else.
pub(super) fn who(change: &Change) -> String {
    let Some(grant) = &change.grant else { return change.address.to_string() };
    let Some(subject) = &change.subject else { return grant.principal.to_string() };
    let (handle, account) = (subject.name(), grant.principal.name());
    let same = account.split('@').next().is_some_and(|name| name.eq_ignore_ascii_case(&handle));
    if same { handle.into_owned() } else { format!("{handle} ({})", grant.principal) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_lists_read_as_people_write_them() {
        assert_eq!(count(1_u64, "person", "people"), "1 person");
        assert_eq!(count(12_345_u64, "person", "people"), "12,345 people");
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(
            (list(&names[..1]), list(&names[..2]), list(&names)),
            ("a".into(), "a and b".into(), "a, b and c".into())
        );
        assert_eq!(
            (plural("policy"), plural("permission_set")),
            ("policies".into(), "permission sets".into())
        );
    }

    #[test]
    fn times_are_told_here_and_in_utc() {
        let at: Timestamp = "2027-02-01T07:59:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(-8));
        assert_eq!(time(at, &zone), "2027-01-31 23:59 -08:00 (2027-02-01 07:59 UTC)");
        assert_eq!(time(at, &TimeZone::UTC), "2027-02-01 07:59 UTC");
    }

    #[test]
    fn backticks_in_messages_mark_literals() {
        assert_eq!(
            prose("role `x` is gone"),
            [words("role "), Piece::Quoted("x".to_owned()), words(" is gone")]
        );
        assert_eq!(prose("a ` alone"), [words("a ` alone")]);
    }
}
