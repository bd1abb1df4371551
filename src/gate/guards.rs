//! Guards: what must not be touched, what must not run dry, and what does not run by itself.
//!
//! Invariant: a guard looks at what would be left once everything that still goes on is done, and where that rests on
//! a grant of the same plan, the removals wait for that grant.

use std::collections::{BTreeMap, BTreeSet};

use super::bench::{Bench, MEMBER, Stop, edges_of};
use super::{DRIFT_ACTS, EMPTY_GROUP, LAST_ADMIN, PROTECTED, PROTECTED_MOVED, PROTECTS_NOTHING, Rules};
use crate::model::plan::Standing;
use crate::model::settings::Heal;
use crate::model::{
    Address, Cause, Change, Coverage, Digest, Drift, Finding, Guard, Op, Pattern, Person, Risk, Spanned,
    Status, Value, Why,
};

/// What a directory calls an account that nobody can use now.
const SHUT: [&str; 4] = ["staged", "activating", "suspended", "deprovisioned"];

/// What becomes of those who have an edge on one thing.
struct Outlook<'a> {
    /// Who keeps it.
    staying: BTreeSet<&'a Address>,
    /// Who gets it, by the grants that still go on.
    coming: Vec<(usize, &'a Address)>,
    /// The changes that take it from someone.
    takers: Vec<usize>,
}

impl Outlook<'_> {
    fn after(&self) -> usize {
        let coming: BTreeSet<_> = self.coming.iter().map(|(_, principal)| *principal).collect();
        self.staying.union(&coming).count()
    }
}

impl<'a> Bench<'a> {
    /// Holds what would change something protected, take an edge from or on it, or delete what cannot be made again.
    pub(super) fn protected(&mut self) {
        for (index, change) in self.changes.iter().enumerate().filter(|(_, change)| change.op.writes()) {
            let people = &self.rules.head.people;
            let person = self.person(change);
            // What is deleted takes edges with it, and those may be a protected person's.
            let lost = self.losses(index).iter();
            let ends: BTreeSet<&Address> = lost
                .flat_map(|edge| {
                    [&edge.principal, &edge.resource].into_iter().chain(people.get(&edge.principal))
                })
                .chain(person)
                .collect();
            let covers = |pattern: &&Spanned<Pattern>| {
                change.is_on(pattern) || ends.iter().any(|end| pattern.matches_address(end))
            };
            let pattern = self.rules.settings.protected.iter().find(covers);
            if let Some(pattern) = pattern {
                let itself =
                    change.is_on(pattern) || person.is_some_and(|person| pattern.matches_address(person));
                let what = if itself { "it" } else { "what would go with it" };
                let text = format!(
                    "{}: `{}` in `protected:` ({}) covers {what}",
                    PROTECTED.code, pattern.value, pattern.span
                );
                let remedy =
                    format!("change it by hand, or first take `{}` out of `protected:`", pattern.value);
                self.hold(index, Stop { why: Why::Protected, text, remedy: Some(remedy) });
                continue;
            }
            // A kind that nobody describes is not known to be replaceable.
            let schema = self.rules.schemas.of(&change.address);
            if change.op == Op::Delete && schema.is_none_or(|schema| schema.irreplaceable) {
                let text = format!(
                    "{}: `{}` could not be made again, so it is not deleted because its file is gone",
                    PROTECTED.code, change.address
                );
                let remedy = "put its file back, or delete it by hand".to_owned();
                self.hold(index, Stop { why: Why::Protected, text, remedy: Some(remedy) });
            }
        }
    }

    /// Holds the removals that would leave too few administrators. Whether there were any.
    pub(super) fn last_admin(&mut self) -> bool {
        if !Guard::LastAdministrator.holds() {
            return false;
        }
        let limits = &self.rules.settings.limits;
        let mut news = false;
        for group in &limits.admins_of {
            let outlook = self.admins(group);
            let after = outlook.after();
            if after >= limits.admins_min as usize {
                continue;
            }
            // Whoever has left goes before those who merely move: only where that is not enough must he stay, too.
            let (leavers, others): (Vec<usize>, Vec<usize>) =
                outlook.takers.into_iter().partition(|index| self.is_leaver(&self.changes[*index]));
            for index in if others.is_empty() { leavers } else { others } {
                let text = format!(
                    "{}: {after} would be left in `{}`, and `limits.admins.min` is {}",
                    LAST_ADMIN.code, group.value, limits.admins_min
                );
                let remedy = format!("add others to `{}` first", group.value);
                news |= self.hold(index, Stop { why: Why::LastAdmin, text, remedy: Some(remedy) });
            }
        }
        news
    }

    /// Holds the removals that would leave a group without members, unless it may be empty or only leavers empty it.
    /// Whether there were any.
    pub(super) fn empty_groups(&mut self) -> bool {
        if !Guard::EmptyGroup.holds() {
            return false;
        }
        let mut news = false;
        for (group, takers) in self.emptied() {
            if self.keeps_someone(group) || self.outlook(group).after() > 0 {
                continue;
            }
            let place = self.rules.head.resources.get(group).map(|wanted| &wanted.origin.span);
            let place = place.map_or_else(|| "on its document".to_owned(), |span| format!("at {span}"));
            for index in takers {
                let text = format!("{}: `{group}` would have no members left", EMPTY_GROUP.code);
                let remedy = format!("if that is meant, write `allow_empty: true` {place}");
                news |= self.hold(index, Stop { why: Why::Empty, text, remedy: Some(remedy) });
            }
        }
        news
    }

    /// Groups that must not become empty and that stay, with what takes members from them and is no leaver's.
    fn emptied(&self) -> BTreeMap<&'a Address, Vec<usize>> {
        let deleted: BTreeSet<&Address> =
            self.going().filter(|(_, change)| change.op == Op::Delete).map(|(_, c)| &c.address).collect();
        let mut groups: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
        for (index, _) in self.going().filter(|(_, change)| !self.is_leaver(change)) {
            for edge in self.losses(index).iter().filter(|edge| edge.relation.as_ref() == MEMBER) {
                let wanted = self.rules.head.resources.get(&edge.resource);
                if !deleted.contains(&edge.resource) && !wanted.is_some_and(|wanted| wanted.allow_empty) {
                    groups.entry(&edge.resource).or_default().push(index);
                }
            }
        }
        groups
    }

    /// Holds what only drift asks for, unless `heal: revoke` lets it be taken away.
    pub(super) fn unasked(&mut self) {
        let heals = self.rules.settings.heal == Heal::Revoke;
        for (index, change) in self.going().collect::<Vec<_>>() {
            let may = (heals && change.op == Op::Revoke) || self.is_leaver(change);
            if change.cause == Cause::Drift && change.op.writes() && !may {
                let text = format!("{}: drift is shown, and does not act by itself", DRIFT_ACTS.code);
                self.hold(index, Stop { why: Why::Guardrail, text, remedy: None });
            }
        }
    }

    /// Queues standing changes that are riskier than what runs by itself, unless they have been approved.
    pub(super) fn standing(&mut self) {
        let limits = &self.rules.settings.standing;
        for (index, change) in self.going().collect::<Vec<_>>() {
            let approved = self.rules.approved.contains(&change.effect);
            if change.cause != Cause::Standing || !change.op.writes() || approved {
                continue;
            }
            let standing = if self.is_leaver(change) { Some(Standing::Leaver) } else { change.standing };
            let (name, up_to) = match standing {
                Some(Standing::Joiner) => ("joiner", limits.joiner),
                Some(Standing::Mover) => ("mover", limits.mover),
                Some(Standing::Leaver) => ("leaver", limits.leaver),
                Some(Standing::Expiry) => ("expiry", limits.expiry),
                None => ("of no rule", Risk::Low),
            };
            if change.risk > up_to {
                let text = format!(
                    "its risk is {}, and standing changes ({name}) run by themselves up to {up_to}; it waits for approval",
                    change.risk
                );
                self.hold(index, Stop { why: Why::Queued, text, remedy: None });
            }
        }
    }

    /// By change: the effects of grants that its group would be short of if they failed.
    pub(super) fn rests(&self) -> BTreeMap<usize, BTreeSet<Digest>> {
        let limits = &self.rules.settings.limits;
        let admins = limits.admins_of.iter().map(|group| {
            let outlook = self.admins(group);
            (limits.admins_min as usize, outlook.takers.clone(), outlook)
        });
        let groups = self.emptied().into_iter().filter(|(group, _)| !self.keeps_someone(group));
        let groups = groups.map(|(group, takers)| (1, takers, self.outlook(group)));
        let mut rests: BTreeMap<usize, BTreeSet<Digest>> = BTreeMap::new();
        for (least, takers, outlook) in admins.chain(groups) {
            let short = least.saturating_sub(outlook.staying.len());
            for (grant, _) in outlook.coming.iter().take(short) {
                let grant = &self.changes[*grant];
                // A removal that the grant itself waits for (revocations come first) cannot wait for the grant, not even by
                // what was put between them just now: two people who change places would wait for each other.
                let earlier = self.all_required(grant, &rests);
                for taker in takers.iter().filter(|taker| !earlier.contains(&self.changes[**taker].effect)) {
                    rests.entry(*taker).or_default().insert(grant.effect.clone());
                }
            }
        }
        rests
    }

    /// The effects that a change requires, directly or through others.
    fn all_required(&self, change: &Change, rests: &BTreeMap<usize, BTreeSet<Digest>>) -> BTreeSet<Digest> {
        let mut open: Vec<Digest> = change.requires.iter().cloned().collect();
        let mut required = BTreeSet::new();
        while let Some(effect) = open.pop() {
            if !required.insert(effect.clone()) {
                continue;
            }
            for index in self.of_effect(&effect) {
                open.extend(self.changes[*index].requires.iter().cloned());
                open.extend(rests.get(index).into_iter().flatten().cloned());
            }
        }
        required
    }

    /// Who can act as an administrator. A removal from one who cannot counts as a taker all the same: whom nobody can
    /// replace is not let go before others are there.
    fn admins(&self, group: &Address) -> Outlook<'a> {
        let mut outlook = self.outlook(group);
        outlook.staying.retain(|principal| self.can_act(principal));
        outlook.coming.retain(|(_, principal)| self.can_act(principal));
        outlook
    }

    /// Whether a principal is someone's who is at work, or nobody's; and its account is not known to be shut.
    fn can_act(&self, principal: &Address) -> bool {
        let Rules { live, head, inventory, .. } = self.rules;
        let at_work = head.people.get(principal).is_none_or(|address| {
            let person = inventory.people.get(address.name().as_ref());
            !head.gone.contains(address) && person.is_none_or(|person| person.status == Status::Active)
        });
        let account = live.resources.get(principal).and_then(|account| account.attributes.get("status"));
        at_work && !account.and_then(Value::as_text).is_some_and(|status| SHUT.contains(&status))
    }

    /// Whether somebody keeps what he has on a thing: mostly the first who is asked.
    fn keeps_someone(&self, resource: &Address) -> bool {
        let lost = self.going_on(resource).flat_map(|(index, _)| self.losses(index));
        let lost: BTreeSet<&Address> =
            lost.filter(|edge| edge.resource == *resource).map(|edge| &edge.principal).collect();
        self.rules.live.edges_on(resource).iter().any(|edge| !lost.contains(&edge.key.principal))
    }

    fn outlook(&self, resource: &Address) -> Outlook<'a> {
        let edges = self.rules.live.edges_on(resource);
        let mut staying: BTreeSet<&Address> = edges.iter().map(|edge| &edge.key.principal).collect();
        let had = staying.clone();
        let (mut coming, mut takers) = (Vec::new(), Vec::new());
        for (index, change) in self.going_on(resource) {
            let lost = self.losses(index).iter().filter(|edge| edge.resource == *resource);
            let mut takes = false;
            for edge in lost {
                staying.remove(&edge.principal);
                takes = true;
            }
            if takes {
                takers.push(index);
            }
            if let (Op::Grant, Some(grant)) = (change.op, &change.grant)
                && grant.resource == *resource
                && !had.contains(&grant.principal)
            {
                coming.push((index, &grant.principal));
            }
        }
        Outlook { staying, coming, takers }
    }

    /// What the gate has to say about the waivers.
    pub(super) fn waiver_findings(&self) -> Vec<Finding> {
        self.waivers.unused()
    }
}

/// A warning for each entry of `protected:` that names one thing which nobody knows: a slip there protects nothing.
pub(super) fn protects_nothing(rules: &Rules<'_>) -> Vec<Finding> {
    let Rules { live, head, inventory, .. } = rules;
    let is_known = |address: &Address| {
        let person = || inventory.people.contains_key(address.name().as_ref());
        let has = |person: &Person| person.record.as_ref() == Some(address);
        live.resources.contains_key(address)
            || matches!(live.coverage_of(address), Some(Coverage::Partial(_)))
            || head.resources.contains_key(address)
            || head.named.contains_key(address)
            || head.people.contains_key(address)
            || (address.instance() == "person" && person())
            || head.people.values().any(|person| person == address)
            || inventory.people.values().any(has)
            || !live.edges_on(address).is_empty()
            || live.runs().any(|run| edges_of(run, address).next().is_some())
    };
    let unknown = |pattern: &&Spanned<Pattern>| pattern.literal().is_some_and(|address| !is_known(&address));
    let unknown = rules.settings.protected.iter().filter(unknown);
    unknown
        .map(|pattern| {
            let message = format!(
                "`{}` in `protected:` is nothing that is live, declared or known, so it protects nothing",
                pattern.value
            );
            let help = match pattern.as_str().starts_with("role:") {
                true => "name the role's group instead; a role itself is nothing that changes",
                false => "write the address that a plan prints; case counts",
            };
            Finding::warning(PROTECTS_NOTHING, message).at(&pattern.span).help(help)
        })
        .collect()
}

/// An alert for each protected thing that has moved by itself.
pub(super) fn protected_drift(rules: &Rules<'_>, drift: &[Drift]) -> Vec<Finding> {
    let covered = |drift: &&Drift| {
        let is_on = |pattern: &Spanned<Pattern>| drift.change.is_on(pattern);
        rules.settings.protected.iter().any(is_on)
    };
    drift
        .iter()
        .filter(covered)
        .map(|drift| {
            let target = drift.change.target();
            Finding::warning(PROTECTED_MOVED, format!("`{target}` is protected and was {}", drift.text))
                .about(&drift.change.address)
                .help("find out who did it; rolecall will not put it back")
        })
        .collect()
}
