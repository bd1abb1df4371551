//! Edges: one merge over the sorted H, B, D and L, run by run, and for each key what must happen and why.
//!
//! Invariant: an edge is taken away only where both sides' `own` allow it, and without base only from those who are gone.
//! Edges that a group rule put in count as there and are never taken away.
//! It must not look up a key that the merge has at hand: there may be a million.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use crate::model::grant::EXPIRES;
use crate::model::grants::{self, Edge, End, Roster};
use crate::model::plan::{Standing, UNTIL};
use crate::model::snapshot::length;
use crate::model::{
    Address, Attributes, Cause, Change, Coverage, DemandState, DemandedGrant, Draft, Finding, GrantKey,
    Guard, LapseCause, LiveGrant, May, Name, Op, Origin, Snapshot, Span, Terms, Value,
};

use super::facts::{Facts, Side};
use super::hold::Settled;
use super::proposal::{Demanded, Proposal, cause, drift, put_back};
use super::{NOT_OWNED, tally};

/// All changes of edges, except drift that nobody asks to put back, which is told apart.
pub(super) fn compare(facts: &Facts<'_>, settled: &Settled, out: &mut Draft) -> Vec<Change> {
    let input = facts.input;
    let roster = input.head.grants.roster();
    let mut this = Edges {
        facts,
        settled,
        changes: Vec::new(),
        refused: BTreeMap::new(),
        live_names: Names::of(roster),
        demanded_names: Names::of(roster),
    };
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
    head: &'a [Arc<grants::Run>],
    base: &'a [Arc<grants::Run>],
    demand: &'a [DemandedGrant],
    live: &'a [LiveGrant],
}

/// The edges of one relation on one resource, on all sides.
#[derive(Clone, Copy)]
struct Run<'a> {
    head: Option<&'a grants::Run>,
    base: Option<&'a grants::Run>,
    demand: &'a [DemandedGrant],
    live: &'a [LiveGrant],
    /// What it is on, and which edge.
    place: (&'a Address, &'a Name),
    /// Head and base want the very same.
    same: bool,
}

impl<'a> Rest<'a> {
    fn next(&mut self) -> Option<Run<'a>> {
        let wanted = |runs: &'a [Arc<grants::Run>]| runs.first().map(|run| run.place());
        let found = |key: Option<&'a GrantKey>| key.map(|key| (&key.resource, &key.relation));
        let (head, base) = (wanted(self.head), wanted(self.base));
        let demand = found(self.demand.first().map(|grant| &grant.key));
        let live = found(self.live.first().map(|grant| &grant.key));
        let here = [head, base, demand, live].into_iter().flatten().min()?;
        let take = |runs: &mut &'a [Arc<grants::Run>], place| {
            let (run, rest) = runs.split_first().filter(|_| place == Some(here))?;
            *runs = rest;
            Some(run)
        };
        let (head, base) = (take(&mut self.head, head), take(&mut self.base, base));
        let is_here = |key: &GrantKey| (&key.resource, &key.relation) == here;
        let (demand, rest) = self.demand.split_at(length(self.demand, |grant| is_here(&grant.key)));
        self.demand = rest;
        let (live, rest) = self.live.split_at(length(self.live, |grant| is_here(&grant.key)));
        self.live = rest;
        let same = head.zip(base).is_some_and(|(head, base)| Arc::ptr_eq(head, base));
        let (head, base) = (head.map(Arc::as_ref), base.map(Arc::as_ref));
        Some(Run { head, base, demand, live, place: here, same })
    }
}

/// In a run, edges differ by these.
type Part<'a> = (&'a Address, Option<&'a Name>);

fn part(key: &GrantKey) -> Part<'_> {
    (&key.principal, key.condition.as_ref())
}

/// Takes the first item if it has this key.
fn take<'a, T>(items: &mut &'a [T], key: impl Fn(&'a T) -> Part<'a>, wanted: Part<'_>) -> Option<&'a T> {
    let (first, rest) = items.split_first().filter(|(first, _)| key(first) == wanted)?;
    *items = rest;
    Some(first)
}

/// Whom another side's texts were found to name. What was read at different times has texts of its own, each mostly once
/// in memory, so that a text needs to be compared but once and after that the place where it is will do.
struct Names(Vec<*const u8>);

impl Names {
    fn of(roster: &Roster) -> Self {
        Self(vec![std::ptr::null(); roster.len()])
    }

    /// Whether a key is that of a number.
    fn is(&mut self, roster: &Roster, number: u32, key: &GrantKey) -> bool {
        let text = key.principal.as_str().as_ptr();
        if key.condition.is_none() && self.0[number as usize] == text {
            return true;
        }
        let end = roster.end(number);
        let same = end.part() == part(key);
        if same && key.condition.is_none() {
            self.0[number as usize] = text;
        }
        same
    }
}

/// An edge that one side wants.
#[derive(Clone, Copy)]
struct Wish<'a> {
    end: &'a End,
    terms: &'a Terms,
}

impl Deref for Wish<'_> {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        self.terms
    }
}

/// One key, on all sides but live.
struct Key<'a> {
    key: GrantKey,
    head: Option<Wish<'a>>,
    base: Option<Wish<'a>>,
    demand: Option<&'a DemandedGrant>,
}

impl<'a> Key<'a> {
    fn subject(&self, facts: &Facts<'a>) -> Option<&'a Address> {
        let head = self.head.and_then(|grant| grant.end.subject.as_ref());
        let base = || self.base.and_then(|grant| grant.end.subject.as_ref());
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
    refused: BTreeMap<Address, (u64, &'a Origin)>,
    live_names: Names,
    demanded_names: Names,
}

impl<'a> Edges<'a, '_> {
    fn run(&mut self, run: &Run<'a>, out: &mut Draft) {
        let input = self.facts.input;
        let roster: &Roster = input.head.grants.roster();
        let old_roster: &Roster = input.base.map_or(roster, |base| base.grants.roster());
        let edges = |run: Option<&'a grants::Run>| run.map_or(&[][..], |run| &run.edges);
        let (mut head, mut base, mut demand, mut live) =
            (edges(run.head), edges(run.base), run.demand, run.live);
        let terms = |run: Option<&'a grants::Run>, edge: Edge| run.map(|run| run.terms(edge).as_ref());
        let until = |run, edge| terms(run, edge).and_then(|terms| terms.until);
        let allowed = run.head.is_some_and(|run| self.facts.own_all(Side::Head, run.place()) >= May::Add);
        let settled = allowed && Guard::Idempotent.holds();
        loop {
            // What is there and stays as it is, is most of it.
            while let ([wanted, more @ ..], [there, others @ ..]) = (head, live) {
                let was = if run.same {
                    Some(wanted)
                } else {
                    let part = roster.end(wanted.end).part();
                    base.first().filter(|base| old_roster.end(base.end).part() == part)
                };
                let is_remembered = demand
                    .first()
                    .is_some_and(|first| self.demanded_names.is(roster, wanted.end, &first.key));
                let stays = settled
                    && self.live_names.is(roster, wanted.end, &there.key)
                    && (run.same
                        || was.map_or(input.base.is_none(), |was| {
                            until(run.base, *was) == until(run.head, *wanted)
                        }))
                    && (is_remembered
                        || demand
                            .first()
                            .is_none_or(|first| part(&first.key) > roster.end(wanted.end).part()))
                    && terms(run.head, *wanted).is_some_and(|terms| is_there(there, terms));
                if !stays {
                    break;
                }
                (head, live) = (more, others);
                if was.is_some() {
                    base = base.get(1..).unwrap_or_default();
                }
                if is_remembered {
                    demand = demand.get(1..).unwrap_or_default();
                }
            }
            let wants = head.first().map(|edge| roster.end(edge.end).part());
            let wanted = base.first().map(|edge| old_roster.end(edge.end).part());
            let others = [demand.first().map(|grant| &grant.key), live.first().map(|grant| &grant.key)];
            let others = others.map(|key| key.map(part));
            let Some(here) = [wants, wanted].into_iter().chain(others).flatten().min() else { return };
            let wish = |run, roster: &'a Roster, edge: &Edge| {
                terms(run, *edge).map(|terms| Wish { end: roster.end(edge.end), terms })
            };
            let wants = take(&mut head, |edge| roster.end(edge.end).part(), here);
            let wanted = take(&mut base, |edge| old_roster.end(edge.end).part(), here);
            let (resource, relation) = run.place;
            let at = Key {
                key: GrantKey {
                    resource: resource.clone(),
                    relation: relation.clone(),
                    principal: here.0.clone(),
                    condition: here.1.cloned(),
                },
                head: wants.and_then(|edge| wish(run.head, roster, edge)),
                base: wanted.and_then(|edge| wish(run.base, old_roster, edge)),
                demand: take(&mut demand, |grant| part(&grant.key), here),
            };
            match (at.head, take(&mut live, |grant| part(&grant.key), here)) {
                (Some(head), live) => self.wanted(&at, head, live, out),
                (None, Some(live)) => self.unwanted(&at, live, out),
                (None, None) => self.out_of_sight(&at),
            }
        }
    }

    fn wanted(&mut self, at: &Key<'a>, head: Wish<'a>, live: Option<&'a LiveGrant>, out: &mut Draft) {
        let live = live.filter(|_| Guard::Idempotent.holds());
        let is_there = live.is_some_and(|live| is_there(live, &head));
        let op = if live.is_some() { Op::Update } else { Op::Grant };
        let needed = if op == Op::Update && !is_there { May::Members } else { May::Add };
        if self.facts.own_edge(Side::Head, &at.key, head.end.subject.is_some()) < needed {
            let asked = self.facts.deciding(&at.key, head.end.subject.is_some()).next();
            if let Some((asked, origin)) = asked.zip(head.terms.origins.first()) {
                self.refused.entry(asked.clone()).or_insert((0, origin)).0 += 1;
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
        if cause == Cause::Drift && op == Op::Grant && !is_read(self.facts.input.live, &at.key) {
            return;
        }
        let mut after = head.attributes.clone();
        if live.is_some_and(|live| live.attributes.contains_key(EXPIRES)) {
            after.entry(EXPIRES.into()).or_insert(Value::Null);
        }
        let differs =
            |name: &str| live.is_some_and(|live| shown(&live.attributes, name) != shown(&after, name));
        let seen = |live: &LiveGrant| {
            let managed = live.attributes.iter().filter(|(name, _)| after.contains_key(*name));
            managed.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let proposal = Proposal {
            op,
            address: &at.key.resource,
            grant: Some(&at.key),
            before: live.map(seen),
            fields: after.keys().filter(|name| differs(name)).cloned().collect(),
            after: Some(after.clone()),
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
    fn end(&mut self, at: &Key<'a>, head: Wish<'a>, live: Option<&'a LiveGrant>) {
        let Some(base) = self.facts.input.base else { return };
        let ended = || base.lapsed.get(&at.key).is_some_and(|lapse| lapse.cause == LapseCause::Expired);
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
            grant: Some(&at.key),
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
            return tally::grant(&mut out.unmanaged, &at.key);
        }
        let allowed = self.facts.may_revoke(&at.key, subject.is_some());
        let gone = subject.and_then(|person| self.facts.gone(person));
        let (cause, taken_over) = match self.removal(at, gone.is_some(), allowed) {
            Removal::Change { cause, taken_over } => (cause, taken_over),
            Removal::Drift => (Cause::Drift, false),
            Removal::Leave => {
                let may = self.facts.own_edge(Side::Head, &at.key, subject.is_some());
                let tally = if may == May::Look { &mut out.unmanaged } else { &mut out.unclaimed };
                return tally::grant(tally, &at.key);
            }
        };
        // It goes with what it hangs on, listed there, or waits with it. Those who are gone do not wait for that.
        if self.goes_along(&at.key) && (gone.is_none() || !allowed) {
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
        let gone = subject.and_then(|person| self.facts.gone(person));
        if is_read(self.facts.input.live, &at.key)
            || !self.facts.may_revoke(&at.key, subject.is_some())
            || (self.goes_along(&at.key) && gone.is_none())
        {
            return;
        }
        let cause = match at.demand {
            _ if at.base.is_some() => Cause::Request,
            Some(demand) if demand.want.is_some() => Cause::Standing,
            Some(demand) if demand.state != DemandState::True && demand.cause != Cause::Drift => demand.cause,
            _ => return,
        };
        let reason = self.why_gone(at, subject, gone, false);
        let change = self.revoke(at, Op::Revoke, None, cause, reason, gone.is_some());
        self.changes.push(change);
    }

    /// Whether an edge hangs on something that is to go.
    fn goes_along(&self, key: &GrantKey) -> bool {
        let Settled { dropping, lingering, .. } = self.settled;
        [&key.resource, &key.principal].iter().any(|end| dropping.contains(*end) || lingering.contains(*end))
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
        let (address, grant) = (&at.key.resource, Some(&at.key));
        let (fields, dependents, until) = (BTreeSet::new(), Vec::new(), None);
        let proposal =
            Proposal { op, address, grant, before, after: None, fields, dependents, cause, reason, until };
        let mut change = proposal.into_change();
        change.subject = at.subject(self.facts).cloned();
        if cause == Cause::Standing {
            let now = self.standing(&at.key, gone);
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
        let person = at.subject(self.facts).is_some();
        let claims = |side| {
            let pair = || self.facts.pair(side, &at.key, person);
            self.facts.claim(side, &at.key).or_else(pair).is_some()
        };
        let [head, base] = [Side::Head, Side::Base].map(claims);
        match (head, base) {
            (true, false) if has_base && allowed => {
                Removal::Change { cause: Cause::Request, taken_over: true }
            }
            (true, false) if has_base => Removal::Leave,
            (true, _) if self.facts.own_edge(Side::Head, &at.key, person) >= May::Members => Removal::Drift,
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
        if let Some(lapse) = self.facts.input.head.lapsed.get(&at.key) {
            return (*lapse.origin).clone();
        }
        if let Some(origin) = subject.and_then(|person| self.facts.input.head.removed.get(person)) {
            return (**origin).clone();
        }
        let asked = at.base.and_then(|base| base.terms.origins.first());
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
        let pair = || self.facts.pair(Side::Head, &at.key, subject.is_some());
        known.unwrap_or_else(|| match self.facts.claim(Side::Head, &at.key).or_else(pair) {
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
            let address = &address;
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

/// An attribute's value; nothing, where it is not there.
fn shown<'v>(attributes: &'v Attributes, name: &str) -> &'v Value {
    attributes.get(name).unwrap_or(&Value::Null)
}

/// Whether a live edge is what is wanted, or nobody's to change.
fn is_there(live: &LiveGrant, wanted: &Terms) -> bool {
    live.via.is_some() || holds(live, &wanted.attributes)
}

/// Whether a live edge has the attributes that are wanted; others are unmanaged.
pub(super) fn holds(live: &LiveGrant, want: &Attributes) -> bool {
    // An end that nobody asks for would take it away by itself.
    if live.attributes.contains_key(EXPIRES) && !want.contains_key(EXPIRES) {
        return false;
    }
    // What is wanted to be nothing is so where it is not there.
    want.iter().all(|(name, value)| live.attributes.get(name).unwrap_or(&Value::Null) == value)
}

/// For what no line of YAML says, but `own:` allows.
fn nowhere() -> Origin {
    let text = "a known person's access within `own:`".to_owned();
    Origin { text, span: Span::file("rolecall.yaml"), chain: Vec::new(), role: None }
}
