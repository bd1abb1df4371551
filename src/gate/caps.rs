//! Caps: how much may go in one run, per group, per provider and over all, and how many people may leave.
//!
//! All removal caps count the same removals, so one refusal tells of all of them; a cap holds everything it counts.
//! Invariant: leavers and suspensions count, as people, against a cap of their own and against no other.

use std::collections::{BTreeMap, BTreeSet};

use super::bench::{Bench, MEMBER, Stop, stripped};
use super::{GROUP_CAP, LEAVERS_CAP, PROVIDER_CAP, RUN_CAP, Rules};
use crate::model::settings::Cap;
use crate::model::{Address, Change, Code, GrantKey, Guard, LiveGrant, Op, Person, Status, Why};

/// What one cap counts.
#[derive(Default)]
struct Count<'a> {
    /// Edges that go, each once, however many changes take it.
    edges: BTreeSet<&'a GrantKey>,
    /// Resources that go, and access that updates strip.
    others: u64,
    /// The changes that are counted.
    changes: Vec<usize>,
}

impl<'a> Count<'a> {
    fn add(&mut self, index: usize, edges: impl IntoIterator<Item = &'a GrantKey>, others: u64) {
        self.edges.extend(edges);
        self.others += others;
        if self.changes.last() != Some(&index) {
            self.changes.push(index);
        }
    }

    fn total(&self) -> u64 {
        self.edges.len() as u64 + self.others
    }
}

/// A cap that is exceeded and not waived.
struct Breach {
    text: String,
    remedy: String,
    changes: Vec<usize>,
}

impl<'a> Bench<'a> {
    /// Holds what is beyond the caps.
    pub(super) fn caps(&mut self) {
        if !Guard::Caps.holds() {
            return;
        }
        let mut breaches = Vec::new();
        breaches.extend(self.leavers());
        self.removals(&mut breaches);
        let mut by_change: BTreeMap<usize, Vec<&Breach>> = BTreeMap::new();
        for breach in &breaches {
            for index in &breach.changes {
                by_change.entry(*index).or_default().push(breach);
            }
        }
        for (index, breaches) in by_change {
            let texts: Vec<&str> = breaches.iter().map(|breach| breach.text.as_str()).collect();
            let remedies: Vec<&str> = breaches.iter().map(|breach| breach.remedy.as_str()).collect();
            let (text, remedy) = (texts.join("; "), Some(remedies.join("---\n")));
            self.hold(index, Stop { why: Why::Capped, text, remedy });
        }
    }

    fn leavers(&mut self) -> Option<Breach> {
        let who = |change: &'a Change| {
            let principal = change.grant.as_ref().map_or(&change.address, |grant| &grant.principal);
            self.person(change).unwrap_or(principal)
        };
        let going = self.going().filter(|(_, change)| self.is_leaver(change));
        let (mut people, changes): (BTreeSet<&Address>, Vec<usize>) =
            going.map(|(index, change)| (who(change), index)).unzip();
        if changes.is_empty() {
            return None;
        }
        // What could not be read makes no room: who is to lose what was not seen leaves all the same.
        let unseen = self.held.iter().map(|held| &held.change).filter(|change| self.is_leaver(change));
        people.extend(unseen.map(who));
        let all = &self.rules.inventory.people;
        let is_active = |person: &&Person| person.status == Status::Active;
        let handles = people.iter().filter_map(|person| person.as_str().strip_prefix("person:"));
        let leaving = handles.filter_map(|handle| all.get(handle)).filter(is_active).count() as u64;
        let count = people.len() as u64;
        let total = all.values().filter(is_active).count() as u64 - leaving + count;
        let cap = self.rules.settings.limits.leavers;
        let what = format!("{count} of {total} people would lose their access as leavers or suspended");
        self.breach(LEAVERS_CAP, "*", &["*"], &what, count, &Allowed::share(cap, total), changes)
    }

    fn removals(&mut self, breaches: &mut Vec<Breach>) {
        let mut groups: BTreeMap<&Address, Count<'a>> = BTreeMap::new();
        let mut providers: BTreeMap<&str, Count<'a>> = BTreeMap::new();
        let mut run = Count::default();
        for (index, change) in self.going().filter(|(_, change)| !self.is_leaver(change)) {
            let others = u64::from(change.op == Op::Delete) + stripped(self.rules, change);
            let edges = self.losses(index);
            if others == 0 && edges.is_empty() {
                continue;
            }
            for edge in edges.iter().filter(|edge| edge.relation.as_ref() == MEMBER) {
                groups.entry(&edge.resource).or_default().add(index, [*edge], 0);
            }
            let edges = edges.iter().copied();
            providers.entry(instance(change)).or_default().add(index, edges.clone(), others);
            run.add(index, edges, others);
        }

        let limits = &self.rules.settings.limits;
        for (group, count) in groups {
            let members = self.rules.live.edges_on(group).iter();
            let total = members.filter(|edge| edge.key.relation.as_ref() == MEMBER).count() as u64;
            let allowed = Allowed::share(limits.removals, total);
            let plain = group.plain();
            let names = [group.as_str(), &plain, group.instance()];
            let what = format!("{} of the {total} members of `{group}` would go", count.total());
            let (count, changes) = (count.total(), count.changes);
            breaches.extend(self.breach(GROUP_CAP, group.as_str(), &names, &what, count, &allowed, changes));
        }
        for (instance, count) in providers {
            // The floor alone settles most plans; counting what is known walks all edges.
            let small = count.total() <= u64::from(limits.removals.floor);
            let total = if small { 0 } else { known_edges(self.rules, instance) };
            let allowed = Allowed::share(limits.removals, total);
            let what = format!("{} removals in `{instance}`, which has {total} known grants", count.total());
            let (count, changes) = (count.total(), count.changes);
            breaches.extend(self.breach(
                PROVIDER_CAP,
                instance,
                &[instance],
                &what,
                count,
                &allowed,
                changes,
            ));
        }
        let allowed = Allowed { number: u64::from(limits.per_run), rule: "limits.per_run".to_owned() };
        let what = format!("{} removals in one run", run.total());
        let (count, changes) = (run.total(), run.changes);
        breaches.extend(self.breach(RUN_CAP, "*", &["*"], &what, count, &allowed, changes));
    }

    #[expect(clippy::too_many_arguments, reason = "these are the parts of one sentence")]
    fn breach(
        &mut self,
        code: Code,
        on: &str,
        names: &[&str],
        what: &str,
        count: u64,
        allowed: &Allowed,
        changes: Vec<usize>,
    ) -> Option<Breach> {
        if count <= allowed.number {
            return None;
        }
        let mut text = format!("{}: {what}, and {} allows {}", code.code, allowed.rule, allowed.number);
        let short = match self.waivers.lift(code, names, count) {
            Ok(waiver) => {
                self.waivers.keep(waiver, text, changes);
                return None;
            }
            Err(short) => short,
        };
        for short in short {
            text.push_str(", ");
            text.push_str(&short);
        }
        Some(Breach { text, remedy: self.waivers.document(code, on, count), changes })
    }
}

/// How many may go, and by which rule.
struct Allowed {
    number: u64,
    rule: String,
}

impl Allowed {
    fn share(cap: Cap, total: u64) -> Self {
        let rule = format!("the larger of {} and {} %", cap.floor, cap.percent);
        Self { number: cap.of(total), rule }
    }
}

/// The provider that a change is made in.
fn instance(change: &Change) -> &str {
    change.grant.as_ref().map_or(&change.address, |grant| &grant.principal).instance()
}

/// The live edges of one provider that belong to something head knows.
fn known_edges(rules: &Rules<'_>, instance: &str) -> u64 {
    let head = rules.head;
    let known_edges = |run: &[LiveGrant]| {
        let (Some(LiveGrant { key: first, .. }), Some(LiveGrant { key: last, .. })) =
            (run.first(), run.last())
        else {
            return 0;
        };
        let known = head.resources.contains_key(&first.resource) || head.named.contains_key(&first.resource);
        // Principals are sorted, so what the first and the last have in common all have.
        if known && first.principal.place() == last.principal.place() {
            return if first.principal.instance() == instance { run.len() } else { 0 };
        }
        let of_instance = run.iter().map(|edge| &edge.key).filter(|key| key.principal.instance() == instance);
        of_instance
            .filter(|key| known || head.resources.contains_key(&key.principal) || head.claims(key))
            .count()
    };
    rules.live.runs().map(|run| known_edges(run) as u64).sum()
}
