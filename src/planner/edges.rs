//! Edges: one merge over the sorted H, B, D and L, run by run, and for each key what must happen and why.
//!
//! Invariant: an edge is taken away only where both sides' `own` allow it, and without base only from those who are gone.
//! Edges that a group rule put in count as there and are never taken away.
//! It must not look up a key that the merge has at hand: there may be a million.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::plan::{Standing, UNTIL};
use crate::model::snapshot::length;
use crate::model::{
    Address, Attributes, Cause, Change, Coverage, DemandState, DemandedGrant, Draft, Finding, GrantKey,
    Guard, LapseCause, LiveGrant, May, Name, Op, Origin, Snapshot, Span, WantedGrant,
};

use super::facts::{Facts, Side};
use super::hold::Settled;
use super::proposal::{Demanded, Proposal, cause, drift, put_back};
use super::{NOT_OWNED, tally};

/// All changes of edges, except drift that nobody asks to put back, which is told apart.
pub(super) fn compare(facts: &Facts<'_>, settled: &Settled, out: &mut Draft) -> Vec<Change> {
    let input = facts.input;
    let mut this = Edges { facts, settled, changes: Vec::new(), refused: BTreeMap::new() };
    // Without base, memory has nothing to say.
    let demand = input.demand.filter(|_| input.base.is_some());
    let mut rest = Rest {
        head: input.head.grants.runs(),
        base: input.base.map_or(&[], |base| base.grants.runs()),
        demand: demand.map_or(&[], |demand| &demand.grants),
        live: &input.live.grants,
    };
    while let Some(run) = rest.next() {
        this.run(&run, out);
    }
    this.report(out);
    this.changes
}

/// What has not been looked at.
struct Rest<'a> {
    head: &'a [Arc<Vec<WantedGrant>>],
    base: &'a [Arc<Vec<WantedGrant>>],
    demand: &'a [DemandedGrant],
    live: &'a [LiveGrant],
}

/// The edges of one relation on one resource, on all sides.
#[derive(Clone, Copy)]
struct Run<'a> {
    head: &'a [WantedGrant],
    base: &'a [WantedGrant],
    demand: &'a [DemandedGrant],
    live: &'a [LiveGrant],
    /// Head and base want the very same.
    same: bool,
}

impl<'a> Rest<'a> {
    fn next(&mut self) -> Option<Run<'a>> {
        let first = |runs: &'a [Arc<Vec<WantedGrant>>]| runs.first()?.first().map(|grant| &grant.key);
        let (head, base) = (first(self.head), first(self.base));
        let demand = self.demand.first().map(|grant| &grant.key);
        let keys = [head, base, demand, self.live.first().map(|grant| &grant.key)];
        let here = keys.into_iter().flatten().min_by_key(|key| (&key.resource, &key.relation))?;
        let is_here = |key: &GrantKey| key.is_beside(here);
        let wanted = |runs: &mut &'a [Arc<Vec<WantedGrant>>], key: Option<&GrantKey>| {
            let (run, rest) = runs.split_first().filter(|_| key.is_some_and(is_here))?;
            *runs = rest;
            Some(run)
        };
        let (head, base) = (wanted(&mut self.head, head), wanted(&mut self.base, base));
        let (demand, rest) = self.demand.split_at(length(self.demand, |grant| is_here(&grant.key)));
        self.demand = rest;
        let (live, rest) = self.live.split_at(length(self.live, |grant| is_here(&grant.key)));
        self.live = rest;
        let same = head.zip(base).is_some_and(|(head, base)| Arc::ptr_eq(head, base));
        let slice = |run: Option<&'a Arc<Vec<WantedGrant>>>| run.map_or(&[][..], |run| run.as_slice());
        Some(Run { head: slice(head), base: slice(base), demand, live, same })
    }
}

/// In a run, edges differ by these.
fn end(key: &GrantKey) -> (&Address, &Option<Name>) {
    (&key.principal, &key.condition)
}

/// Takes the first item if it has this key.
fn take<'a, T>(items: &mut &'a [T], key: impl Fn(&T) -> &GrantKey, wanted: &GrantKey) -> Option<&'a T> {
    let (first, rest) = items.split_first().filter(|(first, _)| end(key(first)) == end(wanted))?;
    *items = rest;
    Some(first)
}

/// One key, on all sides but live.
struct Key<'a> {
    key: &'a GrantKey,
    head: Option<&'a WantedGrant>,
    base: Option<&'a WantedGrant>,
    demand: Option<&'a DemandedGrant>,
}

impl<'a> Key<'a> {
    fn subject(&self, facts: &Facts<'a>) -> Option<&'a Address> {
        let head = self.head.and_then(|grant| grant.subject.as_ref());
        let base = || self.base.and_then(|grant| grant.subject.as_ref());
        let demand = || self.demand.and_then(|grant| grant.subject.as_ref());
        head.or_else(base).or_else(demand).or_else(|| facts.person(&self.key.principal))
    }

    /// What moved it when it was tried before and did not come true, where the same is to be tried again.
    fn unfinished_standing(&self) -> Option<Standing> {
        let demand = self.demand.filter(|demand| demand.state != DemandState::True)?;
        demand.standing.filter(|_| demand.want.is_some() == self.head.is_some())
    }
}

/// Why an edge that head does not want should go.
enum Removal {
    /// As a change of this cause.
    Change { cause: Cause, taken_over: bool },
    /// Nobody asked for it on either side: told apart.
    Drift,
    /// It is none of our business.
    Leave,
}

struct Edges<'a, 'f> {
    facts: &'f Facts<'a>,
    settled: &'f Settled,
    changes: Vec<Change>,
    /// How many edges head wants that `own` does not allow, by the thing that `own` was asked about.
    refused: BTreeMap<&'a Address, (u64, &'a Origin)>,
}

impl<'a> Edges<'a, '_> {
    fn run(&mut self, run: &Run<'a>, out: &mut Draft) {
        let Run { mut head, mut base, mut demand, mut live, same } = *run;
        let allowed = head.first().is_some_and(|head| self.facts.own_all(Side::Head, &head.key) >= May::Add);
        loop {
            // What is there and stays as it is, is most of it.
            while let ([wanted, more @ ..], [there, others @ ..]) = (head, live) {
                let key = end(&wanted.key);
                let was = if same { Some(wanted) } else { base.first().filter(|base| end(&base.key) == key) };
                let remembered = demand.first().map_or(Ordering::Greater, |first| end(&first.key).cmp(&key));
                let stays = allowed
                    && Guard::Idempotent.holds()
                    && was.map_or(self.facts.input.base.is_none(), |was| was.until == wanted.until)
                    && remembered.is_ge()
                    && end(&there.key) == key
                    && is_there(there, wanted);
                if !stays {
                    break;
                }
                (head, live) = (more, others);
                if was.is_some() {
                    base = base.get(1..).unwrap_or_default();
                }
                if remembered.is_eq() {
                    demand = demand.get(1..).unwrap_or_default();
                }
            }
            let wants = [head.first(), base.first()].map(|grant| grant.map(|grant| &grant.key));
            let others = [demand.first().map(|grant| &grant.key), live.first().map(|grant| &grant.key)];
            let Some(key) = wants.into_iter().chain(others).flatten().min_by_key(|key| end(key)) else {
                return;
            };
            let at = Key {
                key,
                head: take(&mut head, |grant| &grant.key, key),
                base: take(&mut base, |grant| &grant.key, key),
                demand: take(&mut demand, |grant| &grant.key, key),
            };
            match (at.head, take(&mut live, |grant| &grant.key, key)) {
                (Some(head), live) => self.wanted(&at, head, live, out),
                (None, Some(live)) => self.unwanted(&at, live, out),
                (None, None) => self.out_of_sight(&at),
            }
        }
    }

    fn wanted(&mut self, at: &Key<'a>, head: &'a WantedGrant, live: Option<&'a LiveGrant>, out: &mut Draft) {
        let live = live.filter(|_| Guard::Idempotent.holds());
        let is_there = live.is_some_and(|live| is_there(live, head));
        let op = if live.is_some() { Op::Update } else { Op::Grant };
        let needed = if op == Op::Update && !is_there { May::Members } else { May::Add };
        if self.facts.own_edge(Side::Head, at.key, head.subject.is_some()) < needed {
            let asked = self.facts.deciding(at.key, head.subject.is_some()).next();
            if let Some((asked, origin)) = asked.zip(head.origins.first()) {
                self.refused.entry(asked).or_insert((0, origin)).0 += 1;
            }
            return;
        }
        if is_there {
            return self.end(at, head, live);
        }
        let same_as_base =
            at.base.is_some_and(|base| base.attributes == head.attributes && base.until == head.until);
        let demanded = at.demand.map(|demand| Demanded {
            same: demand.want.as_ref() == Some(&head.attributes),
            state: demand.state,
            cause: demand.cause,
        });
        let cause = cause(self.facts.input, same_as_base, demanded);
        if cause == Cause::Drift && op == Op::Grant && !is_read(self.facts.input.live, at.key) {
            return;
        }
        let differs =
            |name: &str| live.is_some_and(|live| live.attributes.get(name) != head.attributes.get(name));
        let seen = |live: &LiveGrant| {
            let managed = live.attributes.iter().filter(|(name, _)| head.attributes.contains_key(*name));
            managed.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let proposal = Proposal {
            op,
            address: &at.key.resource,
            grant: Some(at.key),
            before: live.map(seen),
            after: Some(head.attributes.clone()),
            fields: head.attributes.keys().filter(|name| differs(name)).cloned().collect(),
            dependents: Vec::new(),
            cause,
            reason: head.origins.first().map_or_else(nowhere, |origin| (**origin).clone()),
            until: head.until,
        };
        let mut change = proposal.into_change();
        change.also = head.origins.iter().skip(1).map(|origin| (**origin).clone()).collect();
        change.subject = at.subject(self.facts).cloned();
        if cause == Cause::Standing {
            let moved = change.subject.as_ref().is_some_and(|person| self.facts.was_served(person));
            let now = if moved { Standing::Mover } else { Standing::Joiner };
            change.standing = at.unfinished_standing().or(Some(now));
        }
        let text = if op == Op::Grant { "removed by hand" } else { "changed by hand" };
        self.place(change, text, out);
    }

    /// An edge that is there and stays, for another time than base asked: that needs approval, and no call.
    fn end(&mut self, at: &Key<'a>, head: &'a WantedGrant, live: Option<&'a LiveGrant>) {
        let Some(base) = self.facts.input.base else { return };
        let ended = || base.lapsed.get(at.key).is_some_and(|lapse| lapse.cause == LapseCause::Expired);
        let was = match at.base {
            Some(base) if base.until == head.until => return,
            Some(base) => {
                base.until.map_or("it had no end".to_owned(), |until| format!("it was to end {until}"))
            }
            None if ended() => "it has ended".to_owned(),
            None => return,
        };
        let origin = head.origins.first().map_or_else(nowhere, |origin| (**origin).clone());
        let now = head.until.map_or("it gets no end".to_owned(), |until| format!("it is to end {until}"));
        let attributes = live.map(|live| live.attributes.clone());
        let proposal = Proposal {
            op: Op::Adopt,
            address: &at.key.resource,
            grant: Some(at.key),
            before: attributes.clone(),
            after: attributes,
            fields: BTreeSet::from([UNTIL.into()]),
            dependents: Vec::new(),
            cause: Cause::Request,
            reason: Origin { text: format!("{now}, and {was}: {}", origin.text), ..origin },
            until: head.until,
        };
        let mut change = proposal.into_change();
        change.subject = at.subject(self.facts).cloned();
        self.changes.push(change);
    }

    fn unwanted(&mut self, at: &Key<'a>, live: &'a LiveGrant, out: &mut Draft) {
        let subject = at.subject(self.facts);
        if live.via.is_some() {
            return tally::grant(&mut out.unmanaged, at.key);
        }
        let allowed = self.facts.may_revoke(at.key, subject.is_some());
        let gone = subject.and_then(|person| self.facts.gone(person));
        let (cause, taken_over) = match self.removal(at, gone.is_some(), allowed) {
            Removal::Change { cause, taken_over } => (cause, taken_over),
            Removal::Drift => (Cause::Drift, false),
            Removal::Leave => {
                let may = self.facts.own_edge(Side::Head, at.key, subject.is_some());
                let tally = if may == May::Look { &mut out.unmanaged } else { &mut out.unclaimed };
                return tally::grant(tally, at.key);
            }
        };
        // It goes with what it hangs on, listed there. Those who are gone do not wait for that.
        let goes_along =
            [&at.key.resource, &at.key.principal].iter().any(|end| self.settled.dropping.contains(*end));
        if goes_along && (gone.is_none() || !allowed) {
            return;
        }
        let op = if allowed || cause == Cause::Drift { Op::Revoke } else { Op::Forget };
        let reason = self.why_gone(at, subject, gone, taken_over);
        let mut change = self.revoke(at, op, Some(live.attributes.clone()), cause, reason, gone.is_some());
        change.taken_over = taken_over;
        self.place(change, "added by hand", out);
    }

    /// Nobody wants an edge that base or memory knows, and it is not seen. Where that may be for want of reading, its
    /// removal waits, so that it is neither forgotten nor done blindly.
    fn out_of_sight(&mut self, at: &Key<'a>) {
        let subject = at.subject(self.facts);
        if is_read(self.facts.input.live, at.key) || !self.facts.may_revoke(at.key, subject.is_some()) {
            return;
        }
        let cause = match at.demand {
            _ if at.base.is_some() => Cause::Request,
            Some(demand) if demand.want.is_some() => Cause::Standing,
            Some(demand) if demand.state != DemandState::True && demand.cause != Cause::Drift => demand.cause,
            _ => return,
        };
        let gone = subject.and_then(|person| self.facts.gone(person));
        let reason = self.why_gone(at, subject, gone, false);
        let change = self.revoke(at, Op::Revoke, None, cause, reason, gone.is_some());
        self.changes.push(change);
    }

    fn revoke(
        &self,
        at: &Key<'a>,
        op: Op,
        before: Option<Attributes>,
        cause: Cause,
        reason: Origin,
        gone: bool,
    ) -> Change {
        let (address, grant) = (&at.key.resource, Some(at.key));
        let (fields, dependents, until) = (BTreeSet::new(), Vec::new(), None);
        let proposal =
            Proposal { op, address, grant, before, after: None, fields, dependents, cause, reason, until };
        let mut change = proposal.into_change();
        change.subject = at.subject(self.facts).cloned();
        if cause == Cause::Standing {
            let now = self.standing(at.key, gone);
            change.standing = at.unfinished_standing().filter(|_| now != Standing::Leaver).or(Some(now));
        }
        change
    }

    fn removal(&self, at: &Key<'a>, gone: bool, allowed: bool) -> Removal {
        let change = |cause| Removal::Change { cause, taken_over: false };
        let has_base = self.facts.input.base.is_some() || !Guard::Base.holds();
        if has_base && at.base.is_some() {
            return change(Cause::Request);
        }
        let removed =
            at.subject(self.facts).is_some_and(|person| self.facts.input.head.removed.contains_key(person));
        match at.demand {
            Some(demand) if demand.want.is_some() && removed => return change(Cause::Request),
            Some(demand) if demand.want.is_some() => return change(Cause::Standing),
            Some(demand) if demand.state != DemandState::True && demand.cause != Cause::Drift => {
                return change(demand.cause);
            }
            _ => {}
        }
        if self.facts.mastered(&at.key.resource).is_some() {
            return Removal::Leave;
        }
        if gone && allowed {
            return change(Cause::Standing);
        }
        let [head, base] = [Side::Head, Side::Base].map(|side| self.facts.claim(side, at.key).is_some());
        let person = at.subject(self.facts).is_some();
        match (head, base) {
            (true, false) if has_base && allowed => {
                Removal::Change { cause: Cause::Request, taken_over: true }
            }
            (true, false) if has_base => Removal::Leave,
            (true, _) if self.facts.own_edge(Side::Head, at.key, person) >= May::Members => Removal::Drift,
            _ => Removal::Leave,
        }
    }

    fn standing(&self, key: &GrantKey, gone: bool) -> Standing {
        match self.facts.input.head.lapsed.get(key).map(|lapse| lapse.cause) {
            _ if gone => Standing::Leaver,
            Some(LapseCause::Left | LapseCause::Suspended) => Standing::Leaver,
            Some(LapseCause::Expired | LapseCause::NotYet) => Standing::Expiry,
            Some(LapseCause::Excepted) | None => Standing::Mover,
        }
    }

    fn why_gone(
        &self,
        at: &Key<'a>,
        subject: Option<&Address>,
        gone: Option<&str>,
        taken_over: bool,
    ) -> Origin {
        if let Some(lapse) = self.facts.input.head.lapsed.get(at.key) {
            return (*lapse.origin).clone();
        }
        if let Some(origin) = subject.and_then(|person| self.facts.input.head.removed.get(person)) {
            return (**origin).clone();
        }
        let asked = at.base.and_then(|base| base.origins.first());
        let known = match (asked, at.demand) {
            (Some(origin), _) => Some(Origin {
                text: format!("no longer asked for; base asked: {}", origin.text),
                ..(**origin).clone()
            }),
            (None, Some(demand)) if demand.want.is_some() => Some(Origin {
                text: format!("no longer asked for: {}", demand.reason.text),
                ..(*demand.reason).clone()
            }),
            (None, Some(demand)) if demand.state != DemandState::True => Some((*demand.reason).clone()),
            _ => None,
        };
        if let (Some(person), Some(gone)) = (subject, gone) {
            return Origin { text: format!("`{person}` {gone}"), ..known.unwrap_or_else(nowhere) };
        }
        known.unwrap_or_else(|| match self.facts.claim(Side::Head, at.key) {
            Some(claim) if taken_over => Origin {
                text: format!("taken over: it is there, and not among what is declared: {}", claim.text),
                ..(**claim).clone()
            },
            Some(claim) => Origin {
                text: format!("nobody asks for it where all is declared: {}", claim.text),
                ..(**claim).clone()
            },
            None => nowhere(),
        })
    }

    fn place(&mut self, mut change: Change, text: &str, out: &mut Draft) {
        if change.cause == Cause::Drift {
            let removable = change.op != Op::Revoke
                || change
                    .grant
                    .as_ref()
                    .is_some_and(|key| self.facts.may_revoke(key, change.subject.is_some()));
            match put_back(self.facts.input, &change).filter(|_| removable) {
                Some(cause) => change.cause = cause,
                None => return drift(change, text, out),
            }
            if change.cause == Cause::Standing {
                change.standing = Some(Standing::Mover);
            }
        }
        self.changes.push(change);
    }

    fn report(&mut self, out: &mut Draft) {
        for (address, (count, origin)) in std::mem::take(&mut self.refused) {
            // Of a thing that is declared and not owned, that is all there is to say.
            let told = |finding: &Finding| {
                finding.code.as_ref() == NOT_OWNED.code
                    && finding.subject.as_deref() == Some(address.as_str())
            };
            if out.findings.iter().any(told) {
                continue;
            }
            let asked = if count == 1 { "a grant is".to_owned() } else { format!("{count} grants are") };
            let may = self.facts.may_only(address);
            let message = format!("{asked} asked for on `{address}`, but `own:` only lets rolecall {may}");
            let help = format!(
                "{}, or do not name it; `may: add` would do where nothing is ever to be revoked",
                self.facts.own_entry(address, "members")
            );
            out.findings.push(Finding::error(NOT_OWNED, message).at(&origin.span).about(address).help(help));
        }
    }
}

/// Whether an edge would have been seen if it existed: its collection was read whole, or one of its ends is not there.
pub(super) fn is_read(live: &Snapshot, key: &GrantKey) -> bool {
    let is_absent = |end: &Address| {
        !end.is_reserved()
            && !live.resources.contains_key(end)
            && live.coverage_of(end) == Some(&Coverage::Complete)
    };
    live.coverage_of_grant(key) == Some(&Coverage::Complete)
        || is_absent(&key.resource)
        || is_absent(&key.principal)
}

/// Whether a live edge is what is wanted, or nobody's to change.
fn is_there(live: &LiveGrant, wanted: &WantedGrant) -> bool {
    live.via.is_some() || holds(live, &wanted.attributes)
}

/// Whether a live edge has the attributes that are wanted; others are unmanaged.
pub(super) fn holds(live: &LiveGrant, want: &Attributes) -> bool {
    want.iter().all(|(name, value)| live.attributes.get(name) == Some(value))
}

/// For what no line of YAML says, but `own:` allows.
fn nowhere() -> Origin {
    let text = "a known person's access within `own:`".to_owned();
    Origin { text, span: Span::file("rolecall.yaml"), chain: Vec::new(), role: None }
}
