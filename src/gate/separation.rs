//! Separation of duties: nobody gets something of two sides that are kept apart.
//!
//! Invariant: it looks at what each person would have once everything that still goes on is done; of two sides that
//! somebody would get at once he gets neither. It takes nothing away: what somebody has of two sides already is a finding.

use std::collections::{BTreeMap, BTreeSet};

use super::bench::{Bench, Stop};
use super::{Rules, SEPARATED, SEPARATED_LIVE, SEPARATES_NOTHING};
use crate::model::{Address, Apart, Finding, GrantKey, Op, Why};

/// By person: the sides he is on, and by what.
type Sides<'a> = BTreeMap<&'a Address, BTreeMap<usize, BTreeSet<&'a Address>>>;

impl<'a> Bench<'a> {
    /// Holds the grants that would put somebody on two sides.
    pub(super) fn separations(&mut self) {
        for apart in self.rules.apart {
            self.separation(apart);
        }
    }

    fn separation(&mut self, apart: &'a Apart) {
        let mut coming: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
        let mut sides = Sides::new();
        for (index, change) in self.going().filter(|(_, change)| change.op == Op::Grant) {
            let (Some(person), Some(key)) = (self.person(change), &change.grant) else { continue };
            for side in apart.sides_of(&key.resource, change.roles()) {
                sides.entry(person).or_default().entry(side).or_default().insert(&key.resource);
                let indices = coming.entry(person).or_default();
                if indices.last() != Some(&index) {
                    indices.push(index);
                }
            }
        }
        if coming.is_empty() {
            return;
        }
        let lost: BTreeSet<&GrantKey> =
            self.going().flat_map(|(index, _)| self.losses(index)).copied().collect();
        let stays = |key: &GrantKey| !lost.contains(key);
        let had = live_sides(self.rules, apart, &|person, key| coming.contains_key(person) && stays(key));
        for (person, his) in had {
            for (side, things) in his {
                sides.entry(person).or_default().entry(side).or_default().extend(things);
            }
        }
        // What is to go and is held stays.
        let held = self.held.iter().map(|held| &held.change).chain(self.stopped());
        for change in held.filter(|change| change.op == Op::Revoke) {
            let (Some(person), Some(key)) = (self.person(change), &change.grant) else { continue };
            if coming.contains_key(person) {
                for side in apart.sides_of(&key.resource, change.roles()) {
                    sides.entry(person).or_default().entry(side).or_default().insert(&key.resource);
                }
            }
        }
        for (person, indices) in coming {
            let Some(his) = sides.get(person).filter(|his| his.len() > 1) else { continue };
            let text = format!(
                "{}: {} ({}) keeps apart what `{person}` would have: {}",
                SEPARATED.code,
                apart.origin.text,
                apart.origin.span,
                told(his)
            );
            let names = [person.as_str(), apart.name.as_ref()];
            match self.waivers.lift(SEPARATED, &names, 0) {
                Ok(waiver) => self.waivers.keep(waiver, text, indices),
                Err(short) => {
                    let text = std::iter::once(text).chain(short).collect::<Vec<_>>().join(", ");
                    let remedy = Some(self.waivers.document(SEPARATED, person.as_str(), 0));
                    for index in indices {
                        let stop = Stop { why: Why::Separation, text: text.clone(), remedy: remedy.clone() };
                        self.hold(index, stop);
                    }
                }
            }
        }
    }

    /// A warning for everyone who has something of two sides already and keeps it; an error where head is the first to ask for
    /// both: what was given by hand must not become right by being written down. A warning for what names nothing.
    pub(super) fn separated(&mut self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for apart in self.rules.apart {
            let Rules { live, head, .. } = self.rules;
            let is_known = |thing: &&Address| {
                live.resources.contains_key(*thing)
                    || head.resources.contains_key(*thing)
                    || head.named.contains_key(*thing)
                    || thing.is_reserved()
            };
            let all = apart.sides.iter().flat_map(|side| &side.resources);
            for unknown in all.filter(|thing| !is_known(thing)) {
                let message = format!(
                    "{} names `{unknown}`, which is nothing that is live or declared",
                    apart.origin.text
                );
                let finding = Finding::warning(SEPARATES_NOTHING, message).at(&apart.origin.span);
                findings.push(finding.help("write the address that a plan prints; case counts"));
            }
        }
        let lost: BTreeSet<&GrantKey> =
            self.going().flat_map(|(index, _)| self.losses(index)).copied().collect();
        for apart in self.rules.apart {
            let sides = live_sides(self.rules, apart, &|_, key| !lost.contains(key));
            let mut wanted = None;
            for (person, his) in sides.into_iter().filter(|(_, his)| his.len() > 1) {
                if self.waivers.lift(SEPARATED, &[person.as_str(), apart.name.as_ref()], 0).is_ok() {
                    continue;
                }
                // Only of those few who have something of two sides it is asked who wants that.
                let [ours, before] = wanted.get_or_insert_with(|| {
                    [Some(self.rules.head), self.rules.base]
                        .map(|desired| desired.map(|desired| apart.wanted(desired)))
                });
                let both = |wanted: &BTreeMap<Address, BTreeSet<usize>>| {
                    wanted.get(person).is_some_and(|sides| sides.len() > 1)
                };
                let is_new =
                    before.as_ref().is_some_and(|before| !both(before)) && ours.as_ref().is_some_and(both);
                let message =
                    format!("`{person}` has what {} keeps apart: {}", apart.origin.text, told(&his));
                let finding = match is_new {
                    true => Finding::error(SEPARATED_LIVE, format!("{message}; this asks for both")),
                    false => Finding::warning(SEPARATED_LIVE, message),
                };
                let finding = finding.at(&apart.origin.span).about(person);
                findings.push(
                    finding.help("take one of them away by a merge request, or waive it with a `Waiver`"),
                );
            }
        }
        findings
    }
}

/// Who is on which side by what is live, as far as `counts` says.
fn live_sides<'a>(
    rules: &Rules<'a>,
    apart: &Apart,
    counts: &dyn Fn(&Address, &GrantKey) -> bool,
) -> Sides<'a> {
    let mut sides = Sides::new();
    let mut add = |person: &'a Address, resource: &'a Address, on: BTreeSet<usize>| {
        for side in on {
            sides.entry(person).or_default().entry(side).or_default().insert(resource);
        }
    };
    let head = rules.head;
    for (run, end, on) in apart.edges(head) {
        let Some(person) = &end.subject else { continue };
        let key = GrantKey {
            resource: run.resource.clone(),
            relation: run.relation.clone(),
            principal: end.principal.clone(),
            condition: end.condition.clone(),
        };
        if rules.live.grant(&key).is_some() && counts(person, &key) {
            add(person, &run.resource, on);
        }
    }
    let named: BTreeSet<&Address> = apart.sides.iter().flat_map(|side| &side.resources).collect();
    for live in named.into_iter().flat_map(|resource| rules.live.edges_on(resource)) {
        if let Some(person) = head.people.get(&live.key.principal)
            && counts(person, &live.key)
        {
            add(person, &live.key.resource, apart.sides_of(&live.key.resource, std::iter::empty()));
        }
    }
    sides
}

/// `okta:group/a` on one side, and `okta:group/b` on another.
fn told(sides: &BTreeMap<usize, BTreeSet<&Address>>) -> String {
    let side = |things: &BTreeSet<&Address>| {
        things.iter().map(|thing| format!("`{thing}`")).collect::<Vec<_>>().join(", ")
    };
    sides.values().map(side).collect::<Vec<_>>().join(" and ")
}
