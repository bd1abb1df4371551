//! Duties: suspensions, what nobody may have together, and that everyone has one job.
//!
//! Invariant: what a merge request itself puts wrong is an error, what people's moves put wrong is a warning: nobody's
//! move may stop the plans of all others. It must not decide what is done about it: gate and planner do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::entries::Crowd;
use super::roles::Memberships;
use super::{NO_JOB, NOBODY_SUSPENDED};
use crate::manifest::{Separation, Suspension, Tree};
use crate::model::{Address, Apart, ApartSide, Finding, Inventory, Name, Origin, Status, nearest};

/// How many people a finding names.
const NAMED: usize = 5;

/// Takes those whom a `Suspension` names out of everything.
pub(super) fn suspend(tree: &Tree, inventory: &mut Inventory, findings: &mut Vec<Finding>) {
    for Suspension { name, .. } in &tree.suspensions {
        match inventory.people.get_mut(name.value.as_str()) {
            Some(person) if person.status == Status::Left => {}
            Some(person) => person.status = Status::Suspended,
            None => {
                let message = format!("`{}` is suspended, but nobody has that handle", name.value);
                let near = nearest(&name.value, inventory.people.keys().map(AsRef::as_ref));
                let help = match near {
                    Some(near) => {
                        format!("did you mean `{near}`? Until it is mended, nobody is suspended by it")
                    }
                    None => "name a person of the directory; until it is mended, nobody is suspended by it"
                        .to_owned(),
                };
                findings.push(Finding::warning(NOBODY_SUSPENDED, message).at(&name.span).help(help));
            }
        }
    }
}

/// By number: the document that suspends somebody.
pub(super) fn suspended(tree: &Tree, crowd: &Crowd<'_>) -> BTreeMap<u32, Arc<Origin>> {
    let origin = |suspension: &Suspension| {
        Arc::new(Origin {
            text: format!("{} is suspended ({})", suspension.name.value, suspension.reason),
            span: suspension.name.span.clone(),
            chain: Vec::new(),
            role: None,
        })
    };
    let of = |suspension: &Suspension| Some((crowd.number(&suspension.name.value)?, origin(suspension)));
    tree.suspensions.iter().filter_map(of).collect()
}

/// What nobody may have together; `groups` are each role's own, `given` what each gives to its people. A role stands for
/// what it alone gives, too, so that another role with the same access, or another name, is on the same side.
pub(super) fn apart(
    tree: &Tree,
    groups: &BTreeMap<Name, Vec<Address>>,
    given: &BTreeMap<Name, BTreeSet<Address>>,
) -> Vec<Apart> {
    let side = |names: &Vec<crate::model::Spanned<String>>| {
        let mut side = ApartSide::default();
        for name in names {
            // `load` has seen that it is one or the other.
            if let Some(address) = name.contains(':').then(|| name.parse::<Address>().ok()).flatten() {
                side.resources.insert(address);
            } else {
                let role = Name::from(name.value.as_str());
                side.resources.extend(groups.get(&role).into_iter().flatten().cloned());
                side.roles.insert(role);
            }
        }
        let others = given.iter().filter(|(role, _)| !side.roles.contains(*role));
        let others: BTreeSet<&Address> = others.flat_map(|(_, things)| things).collect();
        let own = side.roles.iter().filter_map(|role| given.get(role)).flatten();
        let own: Vec<Address> = own.filter(|thing| !others.contains(thing)).cloned().collect();
        side.resources.extend(own);
        side
    };
    let of = |separation: &Separation| {
        let because = separation.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        Apart {
            name: separation.name.value.as_str().into(),
            sides: separation.between.iter().map(side).collect(),
            origin: Arc::new(Origin {
                text: format!("separation {}{because}", separation.name.value),
                span: separation.name.span.clone(),
                chain: Vec::new(),
                role: None,
            }),
        }
    };
    tree.separations.iter().map(of).collect()
}

/// By handle: who does not have exactly one job, and which he has.
#[derive(Debug, Default)]
pub(super) struct Jobs<'c>(BTreeMap<&'c str, Vec<Name>>);

impl<'c> Jobs<'c> {
    /// Whoever is at work has a job, save the accounts of machines: those that have an owner, and types that need one or have
    /// no groups. Where no role is a job, nobody needs one.
    pub(super) fn of(tree: &Tree, memberships: &Memberships<'_>, crowd: &Crowd<'c>) -> Self {
        let jobs = tree.roles.iter().filter(|role| role.job);
        let jobs: BTreeMap<&Name, _> =
            jobs.filter_map(|role| memberships.roles.get_key_value(role.name.value.as_str())).collect();
        if jobs.is_empty() {
            return Self::default();
        }
        let services: BTreeSet<&str> = tree
            .users
            .iter()
            .filter(|user| user.owner.is_some())
            .map(|user| user.name.value.as_str())
            .collect();
        let types = tree.settings.types.iter();
        let machines =
            types.filter(|kind| !kind.role_groups || kind.needs.iter().any(|need| need == "owner"));
        let machines: BTreeSet<&Name> = machines.map(|kind| &kind.name).collect();
        let mut wrong = BTreeMap::new();
        for (number, person) in (0_u32..).zip(&crowd.people) {
            let works = person.status == Status::Active;
            let is_person = person.kind.as_ref().is_some_and(|kind| !machines.contains(kind));
            if !works || !is_person || services.contains(person.handle.as_ref()) {
                continue;
            }
            let his = jobs.iter().filter(|(_, members)| members.has(number));
            let his: Vec<Name> = his.map(|(job, _)| (*job).clone()).collect();
            if his.len() != 1 {
                wrong.insert(person.handle.as_ref(), his);
            }
        }
        Self(wrong)
    }

    /// What there is to say of head's jobs. Whom base gave one job, and head does not, was put wrong by an edit.
    pub(super) fn findings(&self, base: Option<&Jobs<'_>>) -> Vec<Finding> {
        let edited = |handle: &str| base.is_some_and(|base| !base.0.contains_key(handle));
        let mut findings = Vec::new();
        for is_error in [true, false] {
            let some = self.0.iter().filter(|(handle, _)| edited(handle) == is_error);
            let (none, several): (Vec<_>, Vec<_>) = some.partition(|(_, jobs)| jobs.is_empty());
            for (people, what, help) in [
                (none, "no job", "let an entry of a role with `job: true` match them"),
                (
                    several,
                    "more than one job",
                    "let only one role with `job: true` match each, or `except` them in the others",
                ),
            ] {
                if people.is_empty() {
                    continue;
                }
                let named = people.iter().take(NAMED).map(|(handle, jobs)| match jobs.as_slice() {
                    [] => format!("`{handle}`"),
                    jobs => format!("`{handle}` ({})", jobs.join(", ")),
                });
                let more = people.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let verb = if people.len() == 1 { "has" } else { "have" };
                let message = format!("{}{more} {verb} {what}", named.collect::<Vec<_>>().join(", "));
                let finding = match is_error {
                    true => Finding::error(NO_JOB, format!("{message}; at base that was right")),
                    false => Finding::warning(NO_JOB, message),
                };
                findings.push(finding.help(help));
            }
        }
        findings
    }
}
