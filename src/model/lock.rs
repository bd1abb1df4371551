//! The lock: which immutable id each name had when somebody said that it was right (`rolecall.lock`).
//!
//! Invariant: a name that is not in it is none of its business. It must not say what follows: planner and `check` do.

use std::collections::BTreeMap;

use super::address::{Address, Name};
use super::span::Spanned;

/// Where it is kept, beside the settings.
pub const LOCK_FILE: &str = "rolecall.lock";

/// Names with their ids, and the values that were there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// The id of each person's record (`person:x`), account, group and the like.
    pub names: BTreeMap<Address, Spanned<String>>,
    /// By attribute that entries cite: how many people had each value.
    pub values: BTreeMap<Name, BTreeMap<Name, u64>>,
}

/// What of two locks differs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockChanges {
    /// Names that are new, with their ids.
    pub new: Vec<(Address, String)>,
    /// Names that are gone.
    pub gone: Vec<Address>,
    /// Names that have changed hands, with the old and the new id.
    pub changed: Vec<(Address, String, String)>,
    /// Values that are new or gone, or whose number changed: attribute, value, before, after.
    pub values: Vec<(Name, Name, u64, u64)>,
}

impl Lock {
    /// The id that a name had.
    #[must_use]
    pub fn id(&self, name: &Address) -> Option<&str> {
        self.names.get(name).map(|id| id.value.as_str())
    }

    /// The file: sorted, a name or value a line, so that two people's changes merge where they do not touch.
    #[must_use]
    pub fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut text = "# Which name is whose. Written by `rolecall lock`; a name whose id is another is held, not served.\n\
                        format: 1\nnames:"
            .to_owned();
        for (name, id) in &self.names {
            text.push_str(&format!("\n  {}: {}", quoted(name.as_str()), quoted(&id.value)));
        }
        text.push_str(if self.names.is_empty() { " {}\nvalues:" } else { "\nvalues:" });
        for (attribute, values) in self.values.iter().filter(|(_, values)| !values.is_empty()) {
            text.push_str(&format!("\n  {}:", quoted(attribute)));
            for (value, count) in values {
                text.push_str(&format!("\n    {}: {count}", quoted(value)));
            }
        }
        let none = self.values.values().all(BTreeMap::is_empty);
        text.push_str(if none { " {}\n" } else { "\n" });
        text
    }

    /// What another lock says otherwise.
    #[must_use]
    pub fn changes(&self, next: &Self) -> LockChanges {
        let mut changes = LockChanges::default();
        for (name, id) in &next.names {
            match self.id(name) {
                None => changes.new.push((name.clone(), id.value.clone())),
                Some(old) if old != id.value => {
                    changes.changed.push((name.clone(), old.to_owned(), id.value.clone()));
                }
                Some(_) => {}
            }
        }
        changes.gone = self.names.keys().filter(|name| !next.names.contains_key(*name)).cloned().collect();
        let all: std::collections::BTreeSet<(&Name, &Name)> = [self, next]
            .into_iter()
            .flat_map(|lock| &lock.values)
            .flat_map(|(attribute, values)| values.keys().map(move |value| (attribute, value)))
            .collect();
        for (attribute, value) in all {
            let of = |lock: &Self| lock.values.get(attribute).and_then(|values| values.get(value)).copied();
            let (before, after) = (of(self).unwrap_or(0), of(next).unwrap_or(0));
            if before != after {
                changes.values.push((attribute.clone(), value.clone(), before, after));
            }
        }
        changes
    }
}
