//! What would give something: the edit, tried out; who must approve it; and what a plan would say to it.
//!
//! Invariant: what stands in the way is said by planner and gate, over a plan of nothing but what the edit gives.

use std::collections::{BTreeMap, BTreeSet};

use super::Asking;
use crate::gate::{self, Judged, Rules};
use crate::model::explanation::{Approvers, Block, Obstacle, Proposal, Wants};
use crate::model::settings::Heal;
use crate::model::{
    Address, Change, Desired, Draft, Finding, GrantKey, Level, Ownership, Risk, Snapshot, WantedGrant,
};
use crate::planner::{self, Input};
use crate::resolve::why::{self, Wish};

impl Asking<'_> {
    pub(super) async fn wants(&self, handle: &str, on: &Address, unread: &mut Vec<String>) -> Wants {
        let who = Address::person(handle);
        let Wish { wanted, edit, others, mut blocks, after } =
            why::wish(self.view, self.session.base(), handle, on);
        let mut approval = None;
        if let (Some(edit), Some(after)) = (&edit, &after) {
            let new = self.given(&who, after);
            let path = why::path(after, &self.view.principals(&who), on);
            let wished =
                |key: &GrantKey| on.instance() == "role" || path.iter().any(|grant| grant.key == *key);
            // With no edge at all, there is nobody in the provider to give it to.
            if path.is_empty() && on.instance() != "role" {
                let why = self.view.nameless(handle, on.instance());
                blocks.extend(why.map(|text| Block {
                    why: Obstacle::Held(crate::model::Why::Identity),
                    text,
                    span: None,
                    help: Some("add a template to `identities`, or his own to his `User`".to_owned()),
                }));
            }
            let judged = self.judge(after, &new, unread).await;
            approval = Some(self.approvers(edit, &judged, &wished, &mut blocks));
        }
        blocks.sort();
        blocks.dedup();
        Wants { who, on: on.clone(), wanted, edit, others, approval, blocks }
    }

    /// The edges that an edit gives a person: what comes besides needs approval like what is wished for.
    fn given(&self, who: &Address, after: &Desired) -> Vec<WantedGrant> {
        let ends = self.view.principals(who);
        let edges = after.grants.from(&ends).into_iter();
        let keys = edges.map(|(run, end)| GrantKey {
            resource: run.resource.clone(),
            relation: run.relation.clone(),
            principal: end.principal.clone(),
            condition: end.condition.clone(),
        });
        let new = keys.filter(|key| self.view.desired.grant(key).is_none());
        new.filter_map(|key| after.grant(&key)).collect()
    }

    /// What a plan of these edges alone would be.
    async fn judge(&self, after: &Desired, new: &[WantedGrant], unread: &mut Vec<String>) -> Judgement {
        let session = self.session;
        let things: BTreeSet<Address> =
            new.iter().map(|grant| grant.key.resource.clone()).filter(|thing| !thing.is_reserved()).collect();
        let ends: BTreeSet<Address> = new.iter().map(|grant| grant.key.principal.clone()).collect();
        // That the ends exist is a question to their own list.
        let missing = ends
            .iter()
            .filter(|end| !self.inventory.people.values().any(|person| person.record.as_ref() == Some(*end)));
        let missing: BTreeSet<Address> = missing.cloned().collect();
        let live = self.look(&missing, &things, unread).await;
        let mut live = listed(live, &things, &missing);
        // Who else is there is none of this plan's business; what hangs on the things themselves makes the risk.
        live.grants.retain(|grant| things.contains(&grant.key.principal));
        let (head, base) = (part(after, new, &things), part(&self.view.desired, &[], &things));
        let accounts = &self.inventory.accounts;
        let own = |own: &Ownership| Ownership { accounts: accounts.clone(), ..own.clone() };
        let own_head = own(&session.head.settings.own);
        let own_base = own(&session.base().map_or(&session.head.settings, |base| &base.settings).own);
        let strangers = planner::Strangers::new();
        let draft: Draft = planner::draft(&Input {
            head: &head,
            base: Some(&base),
            demand: None,
            live: &live,
            own: &own_head,
            own_base: Some(&own_base),
            inventory: self.inventory,
            strangers: &strangers,
            apart: &head.apart,
            schemas: session.schemas(),
            revert: &[],
            heal: Heal::None,
            handover: jiff::SignedDuration::ZERO,
            now: self.now,
        });
        let findings: Vec<Finding> = draft
            .findings
            .iter()
            .filter(|finding| finding.level == Level::Error || is_own(finding))
            .cloned()
            .collect();
        let callers: Vec<Address> =
            session.callers.iter().filter_map(|caller| caller.principal.clone()).collect();
        let judged = gate::judge(
            draft,
            &Rules {
                settings: session.judging(),
                apart: &head.apart,
                waivers: &session.head.waivers,
                callers: &callers,
                live: &live,
                head: &head,
                base: None,
                inventory: self.inventory,
                schemas: session.schemas(),
                approved: &BTreeSet::new(),
                now: self.now,
            },
        );
        Judgement { judged, findings }
    }

    /// Who must approve what was judged; what holds something that is wished for is told as what stands in the way.
    fn approvers(
        &self,
        edit: &Proposal,
        judgement: &Judgement,
        wished: &dyn Fn(&GrantKey) -> bool,
        blocks: &mut Vec<Block>,
    ) -> Approvers {
        let Judgement { judged, findings } = judgement;
        blocks.extend(findings.iter().map(|finding| Block {
            why: if is_own(finding) { Obstacle::Own } else { Obstacle::Wrong },
            text: finding.message.clone(),
            span: finding.span.clone(),
            help: finding.help.clone(),
        }));
        let held = judged.held.iter().filter(|held| held.change.grant.as_ref().is_none_or(wished));
        blocks.extend(held.map(|held| Block {
            why: Obstacle::Held(held.why),
            text: held.text.clone(),
            span: None,
            help: held.remedy.clone(),
        }));
        let changes: Vec<&Change> =
            judged.changes.iter().chain(judged.held.iter().map(|held| &held.change)).collect();
        let risk = changes.iter().map(|change| change.risk).max().unwrap_or(Risk::Low);
        let reasons: BTreeSet<&String> = changes
            .iter()
            .filter(|change| change.risk == risk)
            .flat_map(|change| &change.risk_reasons)
            .collect();
        let quorum = self.session.judging().approvals.quorum[match risk {
            Risk::Low => 0,
            Risk::Medium => 1,
            Risk::High => 2,
        }];
        // Base says who approves, where it knows the role: a change must not choose its own judges.
        let role = edit.role.as_deref();
        let of_base = role.and_then(|name| {
            self.session.base().and_then(|base| base.roles.iter().find(|role| role.name.value == name))
        });
        let role = of_base.or_else(|| role.and_then(|name| self.view.role(name)));
        Approvers {
            owners: role.into_iter().flat_map(|role| &role.owners).map(|owner| owner.value.clone()).collect(),
            quorum,
            risk,
            risk_reasons: reasons.into_iter().cloned().collect(),
        }
    }
}

/// What planner and gate said.
struct Judgement {
    judged: Judged,
    findings: Vec<Finding>,
}

fn is_own(finding: &Finding) -> bool {
    finding.code.as_ref() == planner::NOT_OWNED.code
}

/// What is asked for, as far as these edges go.
fn part(desired: &Desired, edges: &[WantedGrant], things: &BTreeSet<Address>) -> Desired {
    let of = |address: &Address| things.contains(address);
    Desired {
        resources: desired.resources.iter().filter(|(address, _)| of(address)).map(owned).collect(),
        grants: edges.iter().cloned().collect(),
        claims: desired.claims.iter().filter(|(claim, _)| of(claim.owner())).map(owned).collect(),
        pairs: desired.pairs.iter().filter(|((address, _), _)| of(address)).map(owned).collect(),
        named: desired.named.iter().filter(|(address, _)| of(address)).map(owned).collect(),
        people: desired.people.clone(),
        frozen: desired.frozen.clone(),
        doubtful: desired.doubtful.clone(),
        gone: desired.gone.clone(),
        apart: desired.apart.clone(),
        dead: Vec::new(),
        sessions: BTreeMap::new(),
        lapsed: BTreeMap::new(),
        removed: BTreeMap::new(),
        findings: Vec::new(),
    }
}

fn owned<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}

/// A look at single things tells of each whether it is there: as far as these go, that is as good as the list of all.
fn listed(mut live: Snapshot, things: &BTreeSet<Address>, ends: &BTreeSet<Address>) -> Snapshot {
    for address in things.iter().chain(ends) {
        let seen = live.coverage.get(address.as_str()).or_else(|| live.coverage.get(address.place()));
        if let Some(seen) = seen.cloned() {
            let kind = format!("{}:{}", address.place(), address.kind());
            live.coverage.entry(kind.into()).or_insert(seen);
        }
    }
    live
}
