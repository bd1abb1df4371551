//! Why somebody has a role or not, entry by entry and condition by condition.
//!
//! Invariant: a condition holds of somebody exactly where resolving finds him by it. The nearest entry is the one that the
//! fewest conditions of fail; of those that name people by handle, only where no other comes as near.

use super::View;
use crate::manifest::{Condition, Role, RoleEntry};
use crate::model::explanation::{Held, Judged, Nearest, Standing};
use crate::model::{LapseCause, Origin, Person, Span, Status};
use crate::resolve::entries::{Cited, Set, condition_in_words, in_words};
use crate::resolve::roles::{cited_roles, needs_type};

/// How deep roles of roles are told, and how many of them at one place.
const DEEP: usize = 3;
const MANY: usize = 4;

impl View<'_> {
    /// Whether somebody has a role, and what is missing where he does not. `gives` is the line for which it is asked.
    #[must_use]
    pub fn judge(&self, handle: &str, role: &str, gives: Option<Span>) -> Option<Judged> {
        self.judged(handle, role, gives, DEEP)
    }

    fn judged(&self, handle: &str, role: &str, gives: Option<Span>, deep: usize) -> Option<Judged> {
        let role = self.role(role)?;
        let number = self.known.crowd.number(handle)?;
        let members = self.members.get(role.name.value.as_str());
        let has = members.and_then(|members| members.of(number));
        let lapsed = members.and_then(|members| members.lapsed.get(&number));
        let (verdict, because): (Standing, Vec<Origin>) = match (has, lapsed) {
            (Some(membership), _) => {
                (Standing::Has, membership.origins.iter().map(|origin| (**origin).clone()).collect())
            }
            (None, Some((cause, origin))) => (Standing::Lapsed(*cause), vec![(**origin).clone()]),
            (None, None) => match self.known.crowd.status(number) {
                Status::Left => (Standing::Lapsed(LapseCause::Left), Vec::new()),
                Status::Suspended => (Standing::Lapsed(LapseCause::Suspended), Vec::new()),
                Status::Staged | Status::Active => (Standing::NoEntry, Vec::new()),
            },
        };
        let nearest = if verdict == Standing::NoEntry { self.nearest(role, number, deep) } else { None };
        let name = role.name.value.as_str().into();
        Some(Judged { role: name, span: role.name.span.clone(), gives, verdict, because, nearest })
    }

    fn nearest(&self, role: &Role, number: u32, deep: usize) -> Option<Nearest> {
        let judged = role.members.iter().map(|entry| (entry, self.conditions(entry, number)));
        let (entry, mut conditions) = judged.min_by_key(|(entry, conditions)| {
            let failed = conditions.iter().filter(|(_, held)| !held.holds).count();
            let names = entry.conditions.iter().any(|one| matches!(one, Condition::Handle(_)));
            (failed, names, std::cmp::Reverse(conditions.len() - failed))
        })?;
        let handle = &self.known.crowd.person(number)?.handle;
        for (condition, held) in &mut conditions {
            if let Some(Condition::Role(names)) = condition
                && !held.holds
                && deep > 0
            {
                let roles = names.iter().take(MANY);
                held.roles =
                    roles.filter_map(|name| self.judged(handle, &name.value, None, deep - 1)).collect();
            }
        }
        let conditions = conditions.into_iter().map(|(_, held)| held).collect();
        Some(Nearest { entry: in_words(entry), span: entry.span.clone(), conditions })
    }

    /// The conditions of an entry, those that are not written included, and what is true of somebody.
    fn conditions<'e>(&self, entry: &'e RoleEntry, number: u32) -> Vec<(Option<&'e Condition>, Held)> {
        let Some(person) = self.known.crowd.person(number) else { return Vec::new() };
        let roles = |name: &str| -> Set {
            let members = self.members.get(name).map(|members| &members.current);
            members.into_iter().flatten().map(|(number, _)| *number).collect()
        };
        let mut all: Vec<(Option<&Condition>, Held)> = Vec::new();
        for condition in &entry.conditions {
            let set = self.known.crowd.matching(condition, &roles, &mut Cited::default());
            let holds = set.binary_search(&number).is_ok();
            let words = condition_in_words(condition);
            let text = if holds { words } else { self.fails(condition, person) };
            all.push((Some(condition), Held { holds, text, roles: Vec::new() }));
        }
        if needs_type(entry) {
            let ruled: Vec<&str> =
                self.tree.settings.types.iter().filter(|kind| kind.rules).map(|kind| &*kind.name).collect();
            let kind = person.kind.as_deref();
            let holds = kind.is_some_and(|kind| ruled.contains(&kind));
            let text = match kind {
                _ if holds => format!("type is {}", kind.unwrap_or_default()),
                Some(kind) => format!(
                    "type is {kind}, and entries match {} unless they name a type",
                    if ruled.is_empty() { "no type".to_owned() } else { ruled.join(" and ") + " only" }
                ),
                None => "he matches none of `types`, and entries match no one without a type".to_owned(),
            };
            // What holds without being written is not worth a word.
            if !holds {
                all.push((None, Held { holds, text, roles: Vec::new() }));
            }
        }
        let at = |at: jiff::Timestamp| {
            at.to_zoned(self.tree.settings.timezone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string()
        };
        let ended = entry.until.as_ref().filter(|until| until.value <= self.now);
        let ended = ended.map(|until| format!("this entry has ended, {}", at(until.value)));
        let begins = entry.from.as_ref().filter(|from| from.value > self.now);
        let begins = begins.map(|from| format!("this entry begins {}", at(from.value)));
        let held = |text| (None, Held { holds: false, text, roles: Vec::new() });
        all.extend(ended.or(begins).map(held));
        all
    }

    /// What a condition asks for that is not so.
    fn fails(&self, condition: &Condition, person: &Person) -> String {
        let asks = |values: &[crate::model::Spanned<String>]| {
            values.iter().map(|value| value.value.as_str()).collect::<Vec<_>>().join(" or ")
        };
        match condition {
            Condition::Handle(values) => format!("this entry names {}", asks(values).replace(" or ", ", ")),
            Condition::Type(values) => {
                let kind = person.kind.as_deref().unwrap_or("none of `types`");
                format!("type is {kind}, and this entry asks for {}", asks(values))
            }
            Condition::Manager(values) => match &person.manager {
                Some(manager) => format!("manager is {manager}, and this entry asks for {}", asks(values)),
                None => format!("there is no manager, and this entry asks for {}", asks(values)),
            },
            Condition::ReportsTo(values) => {
                let above = self.above(person);
                let above = if above.is_empty() { "nobody".to_owned() } else { above.join(", then ") };
                format!("reports to {above}, and this entry asks for people below {}", asks(values))
            }
            Condition::Role(values) => match values.as_slice() {
                [one] => format!("does not have role {}", one.value),
                many => format!("has none of the roles {}", asks(many).replace(" or ", ", ")),
            },
            Condition::Attribute { name, values } => match person.attribute(&name.value) {
                Some(has) => format!("{} is {has}, and this entry asks for {}", name.value, asks(values)),
                None => format!("there is no {}, and this entry asks for {}", name.value, asks(values)),
            },
        }
    }

    /// Managers, nearest first; a circle ends where it closes.
    fn above(&self, person: &Person) -> Vec<String> {
        let mut above: Vec<String> = Vec::new();
        let mut next = person.manager.clone();
        while let Some(manager) = next.take() {
            if above.iter().any(|known| **known == *manager) || *manager == *person.handle {
                break;
            }
            next = self.person(&manager).and_then(|manager| manager.manager.clone());
            above.push(manager.as_ref().to_owned());
        }
        above
    }

    /// Whether an entry of a role cites another one.
    #[must_use]
    pub fn cites(&self, role: &Role, other: &str) -> bool {
        role.members.iter().chain(&role.except).flat_map(cited_roles).any(|cited| cited == other)
    }
}
