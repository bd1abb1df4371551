//! Entries: which people one entry of `members` or `except` is about.
//!
//! Invariant: people are numbers in the order of handles, sets of them sorted; who has left still matches, because the
//! caller must be able to say why he has nothing. Values are compared in lower_snake_case; two that collide match nothing
//! in `members` and both in `except`: whoever may be meant gets nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::people::normalized;
use super::{NO_SUCH_PERSON, NO_SUCH_VALUE, VALUE_CLASH};
use crate::manifest::{Condition, RoleEntry};
use crate::model::{Finding, Inventory, Name, Person, Spanned, Status, Why, nearest};

/// People by number, sorted.
pub(super) type Set = Vec<u32>;

/// People with the indexes that entries ask.
pub(super) struct Crowd<'a> {
    /// People in the order of handles.
    pub(super) people: Vec<&'a Person>,
    /// Where each of them stands.
    statuses: Vec<Status>,
    by_kind: HashMap<&'a str, Set>,
    by_manager: HashMap<&'a str, Set>,
    by_value: BTreeMap<&'a str, BTreeMap<String, Set>>,
    /// Values that look alike although they differ, by attribute.
    clashes: BTreeMap<&'a str, BTreeSet<String>>,
    complete: bool,
}

/// The values of one attribute while people are counted. Many have the same one, spelled in few ways.
#[derive(Default)]
struct Values<'a> {
    /// By spelling: the place in `sets`.
    spellings: HashMap<&'a str, usize>,
    /// By value, normalized: likewise.
    places: BTreeMap<String, usize>,
    /// Who has each, and how the first one spells it.
    sets: Vec<(&'a str, Set)>,
}

/// What was met while an entry was worked out.
#[derive(Debug, Default)]
pub(super) struct Cited {
    /// Whether it is one of `except`.
    pub(super) except: bool,
    /// What it cites that nobody has.
    pub(super) dead: Vec<Dead>,
    /// Why it may be about more people than were found: one who cannot be told from another, or what was not read.
    pub(super) gap: Option<(Why, String)>,
}

impl Cited {
    fn unread(&mut self) {
        let text = "the directory was not read whole".to_owned();
        self.gap.get_or_insert((Why::Incomplete, text));
    }
}

/// What an entry cites that nobody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dead {
    /// What is cited: `department`, `handle`, `manager`, `reports_to`.
    pub(super) key: String,
    /// The value, normalized.
    pub(super) value: String,
    /// The message, as the error that it is when it is new.
    pub(super) finding: Finding,
}

impl<'a> Crowd<'a> {
    pub(super) fn of(inventory: &'a Inventory, findings: &mut Vec<Finding>) -> Self {
        let mut crowd = Self {
            people: inventory.people.values().collect(),
            statuses: inventory.people.values().map(|person| person.status).collect(),
            by_kind: HashMap::new(),
            by_manager: HashMap::new(),
            by_value: BTreeMap::new(),
            clashes: BTreeMap::new(),
            complete: inventory.incomplete.is_empty(),
        };
        let mut attributes: Vec<(&str, Values<'_>)> = Vec::new();
        for (number, person) in (0_u32..).zip(inventory.people.values()) {
            if let Some(kind) = &person.kind {
                crowd.by_kind.entry(kind).or_default().push(number);
            }
            if let Some(manager) = &person.manager {
                crowd.by_manager.entry(manager).or_default().push(number);
            }
            for (name, value) in &person.attributes {
                let known = attributes.iter().position(|(known, _)| *known == name.as_ref());
                let at = known.unwrap_or_else(|| {
                    attributes.push((name, Values::default()));
                    attributes.len() - 1
                });
                let values = &mut attributes[at].1;
                let place = match values.spellings.get(value.as_ref()) {
                    Some(place) => *place,
                    None => crowd.spelled(name, value, values, findings),
                };
                values.sets[place].1.push(number);
            }
        }
        for (name, Values { places, mut sets, .. }) in attributes {
            let sets = places.into_iter().map(|(value, place)| (value, std::mem::take(&mut sets[place].1)));
            crowd.by_value.insert(name, sets.collect());
        }
        crowd
    }

    /// The place of a value that is spelled like this for the first time.
    fn spelled(
        &mut self,
        name: &'a str,
        value: &'a str,
        values: &mut Values<'a>,
        findings: &mut Vec<Finding>,
    ) -> usize {
        let key = normalized(value);
        let next = values.sets.len();
        let place = *values.places.entry(key.clone()).or_insert(next);
        values.spellings.insert(value, place);
        if place == next {
            values.sets.push((value, Set::new()));
        }
        let first = values.sets[place].0;
        // Case and space around it are typing, anything else is another value.
        let same = first.trim().to_lowercase() == value.trim().to_lowercase();
        if !same && self.clashes.entry(name).or_default().insert(key) {
            let message = format!(
                "`{first}` and `{value}` are the same {name} to an entry, so `members` matches neither and `except` both"
            );
            findings.push(Finding::warning(VALUE_CLASH, message).help("make them one in the directory"));
        }
        place
    }

    pub(super) fn number(&self, handle: &str) -> Option<u32> {
        let found = self.people.binary_search_by(|person| person.handle.as_ref().cmp(handle));
        found.ok().and_then(|at| u32::try_from(at).ok())
    }

    pub(super) fn person(&self, number: u32) -> Option<&'a Person> {
        self.people.get(usize::try_from(number).ok()?).copied()
    }

    /// Where somebody stands.
    pub(super) fn status(&self, number: u32) -> Status {
        self.statuses.get(number as usize).copied().unwrap_or(Status::Left)
    }

    /// The people of the types that rules match without being told.
    pub(super) fn of_types<'n>(&self, types: impl Iterator<Item = &'n Name>) -> Set {
        union(types.filter_map(|name| self.by_kind.get(name.as_ref())))
    }

    /// Whom a condition is about; `roles` tells who has a role.
    pub(super) fn matching(
        &self,
        condition: &Condition,
        roles: &dyn Fn(&str) -> Set,
        cited: &mut Cited,
    ) -> Set {
        match condition {
            Condition::Handle(handles) => {
                let mut set: Set =
                    handles.iter().filter_map(|handle| self.handle(handle, "handle", cited)).collect();
                set.sort_unstable();
                set.dedup();
                set
            }
            Condition::Type(types) => {
                union(types.iter().filter_map(|kind| self.by_kind.get(kind.value.as_str())))
            }
            Condition::Manager(managers) => union(managers.iter().filter_map(|manager| {
                self.handle(manager, "manager", cited);
                self.by_manager.get(manager.value.as_str())
            })),
            Condition::ReportsTo(managers) => {
                // Someone in between may be among those who were not read.
                if !self.complete {
                    cited.unread();
                }
                let tops =
                    managers.iter().filter(|manager| self.handle(manager, "reports_to", cited).is_some());
                self.below(tops.map(|manager| manager.value.as_str()))
            }
            Condition::Role(names) => {
                let sets: Vec<Set> = names.iter().map(|name| roles(&name.value)).collect();
                union(sets.iter())
            }
            Condition::Attribute { name, values } => {
                union(values.iter().filter_map(|value| self.value(name, value, cited)))
            }
        }
    }

    /// Whom all conditions of an entry are about.
    pub(super) fn all(&self, entry: &RoleEntry, roles: &dyn Fn(&str) -> Set, cited: &mut Cited) -> Set {
        let mut sets = entry.conditions.iter().map(|condition| self.matching(condition, roles, cited));
        let Some(first) = sets.next() else { return Set::new() };
        sets.fold(first, |all, set| intersection(&all, &set))
    }

    fn handle(&self, handle: &Spanned<String>, key: &str, cited: &mut Cited) -> Option<u32> {
        let number = self.number(&handle.value);
        if number.is_none() && !self.complete {
            cited.unread();
        }
        if let Some(help) = self.nobody(&handle.value) {
            let message = format!("nobody has the handle `{}`", handle.value);
            let finding = Finding::error(NO_SUCH_PERSON, message).at(&handle.span).help(help);
            cited.dead.push(Dead { key: key.to_owned(), value: handle.value.clone(), finding });
        }
        number
    }

    /// What to do about a handle that nobody has; nothing where somebody has it, or might have.
    pub(super) fn nobody(&self, handle: &str) -> Option<String> {
        if !self.complete || self.number(handle).is_some() {
            return None;
        }
        Some(match nearest(handle, self.people.iter().map(|person| person.handle.as_ref())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name a person of the directory, or add a `User` manifest".to_owned(),
        })
    }

    fn value(&self, name: &Spanned<String>, value: &Spanned<String>, cited: &mut Cited) -> Option<&Set> {
        let key = normalized(&value.value);
        let values = self.by_value.get(name.value.as_str());
        let clashes = self.clashes.get(name.value.as_str()).is_some_and(|clashes| clashes.contains(&key));
        if clashes && !cited.except {
            let text = format!("two values of {} are `{key}`", name.value);
            cited.gap.get_or_insert((Why::Frozen, text));
            return None;
        }
        let found = values.and_then(|values| values.get(&key));
        if found.is_none() && !self.complete {
            cited.unread();
        }
        if found.is_none() && self.complete {
            let message = format!("{} `{}` is cited here, but nobody has it", name.value, value.value);
            let finding = Finding::error(NO_SUCH_VALUE, message).at(&value.span);
            let near = values.and_then(|values| {
                let near = nearest(&key, values.keys().map(String::as_str))?;
                Some((near, values.get(near).map_or(0, Vec::len)))
            });
            let finding = match near {
                Some((near, 1)) => finding.help(format!("did you mean `{near}` (1 person)?")).instead(near),
                Some((near, count)) => {
                    finding.help(format!("did you mean `{near}` ({count} people)?")).instead(near)
                }
                None => finding.help(format!("no value of `{}` in the directory is like it", name.value)),
            };
            cited.dead.push(Dead { key: name.value.clone(), value: key, finding });
        }
        found
    }

    /// Everyone below some people, at any depth; a circle of managers ends where it closes.
    fn below<'h>(&self, tops: impl Iterator<Item = &'h str>) -> Set {
        let mut set = BTreeSet::new();
        let mut open: Vec<&str> = tops.collect();
        while let Some(manager) = open.pop() {
            for number in self.by_manager.get(manager).into_iter().flatten() {
                if set.insert(*number)
                    && let Some(person) = self.person(*number)
                {
                    open.push(&person.handle);
                }
            }
        }
        set.into_iter().collect()
    }
}

fn union<'s>(sets: impl Iterator<Item = &'s Set>) -> Set {
    let mut all: Set = sets.flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn intersection(one: &Set, two: &Set) -> Set {
    let (short, long) = if one.len() <= two.len() { (one, two) } else { (two, one) };
    short.iter().filter(|number| long.binary_search(number).is_ok()).copied().collect()
}

/// An entry in words: `division is engineering, region is emea or amer`.
pub(super) fn in_words(entry: &RoleEntry) -> String {
    entry.conditions.iter().map(condition_in_words).collect::<Vec<_>>().join(", ")
}

/// One condition in words: `region is emea or amer`.
pub(super) fn condition_in_words(condition: &Condition) -> String {
    let words = |key: &str, is: &str, values: &[Spanned<String>]| {
        let values: Vec<&str> = values.iter().map(|value| value.value.as_str()).collect();
        format!("{key} {is}{}", values.join(" or "))
    };
    match condition {
        Condition::Handle(values) => words("handle", "is ", values),
        Condition::Type(values) => words("type", "is ", values),
        Condition::Manager(values) => words("manager", "is ", values),
        Condition::ReportsTo(values) => words("reports to", "", values),
        Condition::Role(values) => words("has role", "", values),
        Condition::Attribute { name, values } => words(&name.value, "is ", values),
    }
}
