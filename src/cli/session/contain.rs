//! What a session must know to plan a containment: whose accounts, what they hold, what can be ended on them.
//!
//! Invariant: what could not be asked, and what `own:` leaves where it is, is told and never passed over in silence.
//! It must not decide what is taken away: planner and gate do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Session;
use crate::cli::Failure;
use crate::manifest::Suspension;
use crate::model::{
    Address, Attributes, Change, Code, CutOff, DemandState, Desired, Digest, Draft, Finding, GrantKey,
    Inventory, Level, LiveGrant, May, Name, Op, Origin, Ownership, Snapshot, Span, Spanned, Value, nearest,
};
use crate::planner::{self, Containment};
use crate::resolve::INCOMPLETE_DIRECTORY;

/// Something of somebody's could not be asked for.
pub(in crate::cli) const NOT_ASKED: Code =
    Code { code: "RC626", title: "what somebody has could not all be asked for" };
/// Something stays with somebody.
pub(in crate::cli) const STAYS: Code =
    Code { code: "RC627", title: "something stays with a person who is contained" };

/// Nobody has the handle.
const NOBODY: Code = Code { code: "RC625", title: "nobody has the handle to contain" };

/// All codes of this module.
pub(in crate::cli) const CODES: &[Code] = &[NOBODY, NOT_ASKED, STAYS];

/// How much a vendor's clock may be ahead of the one that tells when sessions were ended.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// How many things a finding names.
const NAMED: usize = 8;

impl Session {
    /// The person to contain.
    pub(in crate::cli) fn person(&self) -> Option<Address> {
        self.selection.contain.as_deref().map(Address::person)
    }

    /// Fails where the person to contain is nobody whom the directory or a manifest knows.
    pub(super) fn is_known(&self, inventory: &Inventory) -> Result<(), Failure> {
        let Some(handle) = &self.selection.contain else { return Ok(()) };
        if inventory.people.contains_key(handle) {
            return Ok(());
        }
        let mut message = format!("nobody has the handle `{handle}`");
        if let Some(why) = inventory.incomplete.first() {
            message.push_str(&format!(", as far as could be read: {why}"));
        }
        let help = match nearest(handle, inventory.people.keys().map(AsRef::as_ref)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name a person by his handle, as `rolecall explain` does".to_owned(),
        };
        Err(Finding::error(NOBODY, message).help(help).into())
    }

    /// Suspends the person to contain in this run's head, which is otherwise as it is; whether he was already.
    pub(in crate::cli) fn suspend(&mut self, reason: &str) -> bool {
        let Some(handle) = self.selection.contain.clone() else { return false };
        if self.head.suspensions.iter().any(|suspension| suspension.name.value == *handle) {
            return true;
        }
        let span = Span::file("rolecall contain");
        let name = Spanned { value: handle.to_string(), span: span.clone() };
        let mut head = (*self.head).clone();
        head.suspensions.push(Suspension { name, reason: reason.to_owned(), span });
        self.head = Arc::new(head);
        false
    }

    /// The accounts of the person to contain. One that is another person's too is nobody's.
    pub(in crate::cli) fn accounts(&self, head: &Desired, findings: &[Finding]) -> BTreeSet<Address> {
        let Some(person) = self.person() else { return BTreeSet::new() };
        let his = head.people.iter().filter(|(_, whose)| **whose == person).map(|(account, _)| account);
        let clashes = |account: &Address| {
            let about = |finding: &Finding| finding.subject.as_deref() == Some(account.as_str());
            findings.iter().any(|finding| finding.level == Level::Error && about(finding))
        };
        his.filter(|account| !clashes(account)).cloned().collect()
    }

    /// Asks from the side of the person to contain what he has, and looks at that alone: his groups are few, and there may
    /// be thousands.
    pub(super) async fn holdings(
        &self,
        head: &Desired,
        own: [Option<&Ownership>; 2],
        scopes: &mut BTreeMap<Name, BTreeSet<Address>>,
    ) -> BTreeMap<Address, BTreeSet<Address>> {
        let accounts = self.accounts(head, &[]);
        let mut holdings = BTreeMap::new();
        for account in &accounts {
            if let Some(provider) = self.providers.get(account.instance())
                && let Some(held) = provider.holdings(account).await
            {
                holdings.insert(account.clone(), held);
            }
        }
        let may = |thing: &Address| {
            let plural = self.schemas.of(thing).map_or(thing.kind(), |schema| &schema.plural);
            own.iter().flatten().all(|own| own.may(thing, plural) >= May::Members)
        };
        for instance in self.providers.keys() {
            let there = || accounts.iter().filter(|account| account.instance() == instance.as_ref());
            if there().next().is_some() && there().all(|account| holdings.contains_key(account)) {
                // What nobody names is his as well, where `own:` lets us take it.
                let held = there().filter_map(|account| holdings.get(account)).flatten();
                scopes.insert(instance.clone(), held.filter(|thing| may(thing)).cloned().collect());
            }
        }
        holdings
    }

    /// Of a draft, what takes away from the person to contain, with what cuts off his accounts.
    pub(super) async fn contained(
        &self,
        draft: Draft,
        head: &Desired,
        live: &Snapshot,
        own: [Option<&Ownership>; 2],
        holdings: BTreeMap<Address, BTreeSet<Address>>,
        findings: &mut Vec<Finding>,
    ) -> Result<Draft, Failure> {
        let Some(person) = self.person() else { return Ok(draft) };
        if let Some(clash) = findings.iter().find(|finding| {
            finding.level == Level::Error && finding.subject.as_deref() == Some(person.as_str())
        }) {
            return Err(clash.clone().into());
        }
        let accounts = self.accounts(head, findings);
        let ended = self.memory.ended()?;
        for account in accounts.iter().filter(|account| !live.resources.contains_key(*account)) {
            let assumed = self.schemas.of(account).is_some_and(|schema| schema.assumed);
            if assumed && live.coverage_of(account).is_none() {
                let message = format!(
                    "`{account}`: its sessions and tokens are not ended, since accounts are not read there"
                );
                let help =
                    "end them by hand; `users: true` in the provider's settings would let rolecall do it";
                findings.push(Finding::warning(STAYS, message).about(account).help(help));
            }
        }
        let mut cut_offs = BTreeMap::new();
        for account in accounts.iter().filter(|account| live.resources.contains_key(*account)) {
            let Some(provider) = self.providers.get(account.instance()) else { continue };
            let found = match provider.cut_offs(account).await {
                Ok(found) => found,
                Err(error) => {
                    let message =
                        format!("what is to be ended on `{account}` could not be asked for: {error}");
                    let help = "end its sessions and keys by hand, or contain him again when it can be asked";
                    findings.push(Finding::error(NOT_ASKED, message).about(account).help(help));
                    continue;
                }
            };
            let plural = self.schemas.of(account).map_or(account.kind(), |schema| &schema.plural);
            let owned = own.into_iter().flatten().all(|own| own.may(account, plural) == May::All);
            let (may, must_not): (Vec<CutOff>, Vec<CutOff>) =
                found.into_iter().partition(|cut| owned || !cut.changes_account);
            if !must_not.is_empty() {
                let words: Vec<&str> = must_not.iter().map(|cut| cut.field.as_ref()).collect();
                let message = format!(
                    "`{account}` keeps its {}: `own:` does not let rolecall change the account",
                    words.join(", ")
                );
                let help = "disable that by hand; `may: all` on his account would let rolecall do it";
                findings.push(Finding::warning(STAYS, message).about(account).help(help));
            }
            let stays: BTreeSet<&str> = may.iter().filter_map(|cut| cut.remains).collect();
            for what in stays {
                let message = format!("`{account}`: {what}");
                let help = "wait for that before you take him to be out";
                findings.push(Finding::warning(STAYS, message).about(account).help(help));
            }
            let open = |cut: &CutOff| is_open(cut, ended.get(&effect(account, cut)));
            cut_offs.insert(account.clone(), may.into_iter().filter(open).collect());
        }
        let containment = Containment { person, accounts, cut_offs, holdings, reason: self.why() };
        let draft = planner::contain(draft, &containment);
        findings.extend(stays(&containment, &draft, live));
        Ok(draft)
    }

    /// Leaves of the findings what there is to say of the person to contain.
    pub(super) fn keep_what_matters(&self, findings: &mut Vec<Finding>, head: &Desired) {
        let about: BTreeSet<Address> = self.accounts(head, &[]).into_iter().chain(self.person()).collect();
        let codes = [NOT_ASKED.code, STAYS.code, INCOMPLETE_DIRECTORY.code];
        findings.retain(|finding| {
            let subject = finding.subject.as_deref();
            codes.contains(&&*finding.code) || about.iter().any(|address| subject == Some(address.as_str()))
        });
        findings.extend(self.unusable.iter().cloned());
    }

    /// The suspension that head has, or is given for this run.
    fn why(&self) -> Origin {
        let handle = self.selection.contain.as_deref().unwrap_or_default();
        let found = self.head.suspensions.iter().find(|suspension| suspension.name.value == handle);
        let (reason, span) = found.map_or_else(
            || ("contained".to_owned(), Span::file("rolecall.yaml")),
            |suspension| (suspension.reason.clone(), suspension.name.span.clone()),
        );
        Origin { text: format!("{handle} is suspended ({reason})"), span, chain: Vec::new(), role: None }
    }

    /// Remembers that what was taken away had been there, so that its absence is drift from now on, and nothing that a rule
    /// gives back by itself before the suspension is merged.
    pub(in crate::cli) fn remember_taken(&self, taken: &BTreeSet<&GrantKey>) -> Result<(), Failure> {
        let Some(demand) = self.demand() else { return Ok(()) };
        let mut demand = demand.clone();
        let mut news = false;
        let mut grants: Vec<_> = std::mem::take(&mut demand.grants).into_iter().collect();
        for grant in &mut grants {
            if grant.want.is_some() && grant.state != DemandState::True && taken.contains(&grant.key) {
                grant.state = DemandState::True;
                news = true;
            }
        }
        demand.grants = grants.into_iter().collect();
        if news { Ok(self.memory.keep_demand(&demand)?) } else { Ok(()) }
    }

    /// Remembers which sessions have been ended, so that they are not ended again before they are begun again.
    pub(in crate::cli) fn remember_ended(
        &self,
        ended: impl Iterator<Item = Digest>,
        at: Timestamp,
    ) -> Result<(), Failure> {
        let mut known = self.memory.ended()?;
        known.extend(ended.map(|effect| (effect, at)));
        Ok(self.memory.keep_ended(&known)?)
    }
}

/// The effect of a change that is this cut-off and nothing else.
fn effect(account: &Address, cut: &CutOff) -> Digest {
    let after = Attributes::from([(cut.field.clone(), Value::text(cut.after.clone()))]);
    Change::effect_of(Op::Update, account, None, Some(&after), &[])
}

/// Whether it may be open again. What the vendor shows only while it is open, is.
fn is_open(cut: &CutOff, ended: Option<&Timestamp>) -> bool {
    let Some(ended) = ended.filter(|_| !cut.changes_account) else { return true };
    let begun = cut.last_begun.map(|begun| begun.saturating_add(SKEW).unwrap_or(Timestamp::MAX));
    begun.is_some_and(|begun| begun >= *ended)
}

/// What he keeps although it is known: what a group rule gives, and what `own:` does not let us take.
fn stays(containment: &Containment, draft: &Draft, live: &Snapshot) -> Vec<Finding> {
    let goes: BTreeSet<&_> = draft.changes.iter().filter_map(|change| change.grant.as_ref()).collect();
    let held: BTreeSet<&_> = draft.held.iter().filter_map(|held| held.change.grant.as_ref()).collect();
    let mut findings = Vec::new();
    for account in &containment.accounts {
        let built_in = |thing: &Address| live.resources.get(thing).is_some_and(|it| it.mastered.is_some());
        let known: Vec<&LiveGrant> =
            live.grants.iter().filter(|edge| edge.key.principal == *account).collect();
        let by_rule = known.iter().filter(|edge| edge.via.is_some()).map(|edge| &edge.key.resource);
        let by_rule: BTreeSet<&Address> = by_rule.filter(|thing| !built_in(thing)).collect();
        let others = known.iter().filter(|edge| !goes.contains(&edge.key) && !held.contains(&edge.key));
        let taken = |thing: &&Address| {
            let on = |key: &&GrantKey| key.principal == *account && key.resource == **thing;
            goes.iter().chain(&held).any(on)
        };
        let listed = containment.holdings.get(account).into_iter().flatten().filter(|thing| !taken(thing));
        let others: BTreeSet<&Address> = others
            .map(|edge| &edge.key.resource)
            .chain(listed)
            .filter(|thing| !built_in(thing) && !by_rule.contains(thing))
            .collect();
        for (things, why, help) in [
            (by_rule, "a group rule puts him in", "suspend the account in Okta, or take him out of the rule"),
            (others, "`own:` does not let rolecall take it", "take it away by hand"),
        ] {
            if things.is_empty() {
                continue;
            }
            let mut names: Vec<String> =
                things.iter().take(NAMED).map(|thing| format!("`{thing}`")).collect();
            if things.len() > NAMED {
                names.push(format!("{} more", things.len() - NAMED));
            }
            let message = format!("`{account}` keeps {}: {why}", names.join(", "));
            findings.push(Finding::warning(STAYS, message).about(account).help(help));
        }
    }
    findings
}
