//! Waivers of caps and separations: which one lifts which, which lift nothing, and the one to paste where one is needed.
//!
//! Invariant: a waiver lifts only what it names, up to the number it names, until it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::ToSpan;

use super::{GROUP_CAP, LEAVERS_CAP, PROVIDER_CAP, RUN_CAP, Rules, SEPARATED, UNUSED_WAIVER};
use crate::model::{Code, Finding, Pattern, Waived, Waiver};

/// What a waiver can lift.
const WAIVABLE: [Code; 5] = [GROUP_CAP, PROVIDER_CAP, RUN_CAP, LEAVERS_CAP, SEPARATED];
/// How long the waiver that a refusal prints would last.
const DAYS: i64 = 7;

pub(super) struct Waivers<'a> {
    rules: &'a Rules<'a>,
    /// Those that lifted a cap, or that a refusal names.
    cited: BTreeSet<usize>,
    /// By waiver: the caps that it lifted.
    lifted: BTreeMap<usize, Vec<Lifted>>,
}

/// A cap that was lifted.
struct Lifted {
    /// What it would have said.
    text: String,
    /// What it would have held.
    changes: Vec<usize>,
}

impl<'a> Waivers<'a> {
    pub(super) fn new(rules: &'a Rules<'a>) -> Self {
        Self { rules, cited: BTreeSet::new(), lifted: BTreeMap::new() }
    }

    /// The waiver that lifts a cap for so many; `names` are what its `on:` may call it. If there is none, why the waivers
    /// that are meant for it do not.
    pub(super) fn lift(&mut self, code: Code, names: &[&str], count: u64) -> Result<usize, Vec<String>> {
        let now = self.rules.now;
        let mut short = Vec::new();
        for (index, waiver) in self.rules.waivers.iter().enumerate() {
            if waiver.code.value != code.code || !is_on(waiver, names) {
                continue;
            }
            let allow = u64::from(waiver.allow.unwrap_or(0));
            if waiver.until <= now {
                short.push(format!("waiver `{}` has ended", waiver.name.value));
            } else if allow < count {
                short.push(format!("waiver `{}` allows {allow}", waiver.name.value));
            } else {
                self.cited.insert(index);
                return Ok(index);
            }
            self.cited.insert(index);
        }
        Err(short)
    }

    /// Keeps what a waiver lifted.
    pub(super) fn keep(&mut self, waiver: usize, text: String, changes: Vec<usize>) {
        self.lifted.entry(waiver).or_default().push(Lifted { text, changes });
    }

    /// The waivers that let something go; one whose changes are all held for other reasons lets nothing go.
    pub(super) fn used(&self, goes: impl Fn(usize) -> bool) -> Vec<Waived> {
        let used = self.lifted.iter().filter_map(|(index, lifted)| {
            let lets: Vec<String> = lifted
                .iter()
                .filter(|lifted| lifted.changes.iter().any(|change| goes(*change)))
                .map(|lifted| lifted.text.clone())
                .collect();
            (!lets.is_empty()).then(|| Waived::of(&self.rules.waivers[*index], lets))
        });
        used.collect()
    }

    /// The waiver that would lift a cap for so many, or what has no number (0), as a document to paste.
    pub(super) fn document(&self, code: Code, on: &str, count: u64) -> String {
        let zone = self.rules.settings.timezone.clone();
        let until = self.rules.now.to_zoned(zone).date().saturating_add(DAYS.days());
        let thing: String = on
            .to_ascii_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' })
            .collect();
        let stem = match thing.trim_matches('-') {
            "" => code.code.to_ascii_lowercase(),
            thing => format!("{}-{thing}", code.code.to_ascii_lowercase()),
        };
        let taken = |name: &str| self.rules.waivers.iter().any(|waiver| waiver.name.value == name);
        let mut name = stem.clone();
        let mut number = 2;
        while taken(&name) {
            name = format!("{stem}-{number}");
            number += 1;
        }
        let mut text = String::new();
        let allow = if count > 0 { format!("allow: {count}\n") } else { String::new() };
        // JSON's quoting is YAML's too. Writing into a text cannot fail.
        let _ = write!(
            text,
            "kind: Waiver\nname: {name}\ncode: {}\non: [{}]\n{allow}owner: your-handle\n\
             reason: \"why this is meant, with the ticket\"\nuntil: {until}\n",
            code.code,
            serde_json::Value::from(on)
        );
        text
    }

    /// Waivers of the gate's codes that lifted nothing and that no refusal names.
    pub(super) fn unused(&self) -> Vec<Finding> {
        let unused =
            self.rules.waivers.iter().enumerate().filter(|(index, waiver)| {
                !self.cited.contains(index) && waiver.code.value.starts_with("RC4")
            });
        unused
            .map(|(_, waiver)| {
                let known = WAIVABLE.iter().any(|code| code.code == waiver.code.value);
                let why = if !known {
                    format!(
                        "`{}` is no cap and no separation, and only those can be waived",
                        waiver.code.value
                    )
                } else if waiver.until <= self.rules.now {
                    "it has ended".to_owned()
                } else {
                    "nothing comes up against what it lifts".to_owned()
                };
                let message = format!("waiver `{}` waives nothing: {why}", waiver.name.value);
                Finding::warning(UNUSED_WAIVER, message).at(&waiver.code.span).help("delete it")
            })
            .collect()
    }
}

fn is_on(waiver: &Waiver, names: &[&str]) -> bool {
    waiver.on.iter().any(|on| {
        let pattern = Pattern::new(on.value.as_str());
        on.value == "*" || names.iter().any(|name| pattern.matches(name))
    })
}
