//! Edges: one merge over the sorted H, B, D and L, and for each key what must happen and why.
//!
//! Invariant: an edge is taken away only where both sides' `own` allow it, and without base only from those who are gone.
//! Edges that a group rule put in count as there and are never taken away.
//! It must not look up a key that the merge has at hand: there may be a million.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::plan::{Standing, UNTIL};
use crate::model::{
    Address, Attributes, Cause, Change, Coverage, DemandState, DemandedGrant, Draft, Finding, GrantKey,
    Guard, LapseCause, LiveGrant, May, Op, Origin, Snapshot, Span, WantedGrant,
};

use super::facts::{Facts, Side};
use super::hold::Settled;
use super::proposal::{Demanded, Proposal, cause, drift, put_back};
use super::{NOT_OWNED, tally};

/// All changes of edges, except drift that nobody asks to put back, which is told apart.
pub(super) fn compare(facts: &Facts<'_>, settled: &Settled, out: &mut Draft) -> Vec<Change> {
    let input = facts.input;
    let mut this = Edges { facts, settled, changes: Vec::new(), refused: BTreeMap::new() };
    let head = sorted(&input.head.grants, |grant| &grant.key);
    let base = sorted(input.base.map_or(&[], |base| &base.grants), |grant| &grant.key);
    // Without base, memory has nothing to say.
    let demand = input.demand.filter(|_| input.base.is_some());
    let demand = sorted(demand.map_or(&[], |demand| &demand.grants), |grant| &grant.key);
    let live = sorted(&input.live.grants, |grant| &grant.key);

    let (mut h, mut b, mut d, mut l) = (0, 0, 0, 0);
    loop {
        let (head, base, demand, live) = (head.get(h), base.get(b), demand.get(d), live.get(l));
        let keys = [head.map(|g| &g.key), base.map(|g| &g.key), demand.map(|g| &g.key), live.map(|g| &g.key)];
        let Some(key) = keys.into_iter().flatten().min() else { break };
        let at = Key {
            key,
            head: head.filter(|g| g.key == *key).copied(),
            base: base.filter(|g| g.key == *key).copied(),
            demand: demand.filter(|g| g.key == *key).copied(),
        };
        let live = live.filter(|g| g.key == *key).copied();
        h += usize::from(at.head.is_some());
        b += usize::from(at.base.is_some());
        d += usize::from(at.demand.is_some());
        l += usize::from(live.is_some());
        match (at.head, live) {
            (Some(head), live) => this.wanted(&at, head, live, out),
            (None, Some(live)) => this.unwanted(&at, live, out),
            (None, None) => this.out_of_sight(&at),
        }
    }
    this.report(out);
    this.changes
}

/// References in the order of their keys; the inputs are sorted already unless someone was careless.
fn sorted<T>(items: &[T], key: impl Fn(&T) -> &GrantKey) -> Vec<&T> {
    let mut items: Vec<&T> = items.iter().collect();
    if !items.is_sorted_by(|one, other| key(one) < key(other)) {
        items.sort_by(|one, other| key(one).cmp(key(other)));
        items.dedup_by(|one, other| key(one) == key(other));
    }
    items
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
    fn wanted(&mut self, at: &Key<'a>, head: &'a WantedGrant, live: Option<&'a LiveGrant>, out: &mut Draft) {
        let live = live.filter(|_| Guard::Idempotent.holds());
        let is_there = live.is_some_and(|live| live.via.is_some() || holds(live, &head.attributes));
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
                ..demand.reason.clone()
            }),
            (None, Some(demand)) if demand.state != DemandState::True => Some(demand.reason.clone()),
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

/// Whether a live edge has the attributes that are wanted; others are unmanaged.
pub(super) fn holds(live: &LiveGrant, want: &Attributes) -> bool {
    want.iter().all(|(name, value)| live.attributes.get(name) == Some(value))
}

/// For what no line of YAML says, but `own:` allows.
fn nowhere() -> Origin {
    let text = "a known person's access within `own:`".to_owned();
    Origin { text, span: Span::file("rolecall.yaml"), chain: Vec::new(), role: None }
}
