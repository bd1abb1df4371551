//! The one way in which a plan is made.
//!
//! Invariant: plan and apply make plans with this, so what is approved is what is compared. It must not decide: it hands
//! values to the pure modules, and hands on what they say.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Observed, Session};
use crate::cli::Failure;
use crate::gate::approvals::{self, ToApprove};
use crate::gate::{self, Judged, Rules};
use crate::manifest;
use crate::model::plan::PLAN_FORMAT;
use crate::model::{
    Address, Amended, Apart, Basis, Cause, Change, Coverage, Demand, Desired, Digest, Draft, GrantKey, Held,
    Inventory, Op, Plan, ProviderBasis, Ruling, Selection, Snapshot, Summary, Verdict, Waiver, has_errors,
};
use crate::planner::{self, Input};
use crate::resolve;

/// A plan with what it was made of.
pub(in crate::cli) struct Planned {
    pub(in crate::cli) plan: Plan,
    pub(in crate::cli) verdict: Verdict,
    pub(in crate::cli) live: Snapshot,
    pub(in crate::cli) desired: Desired,
    /// What `--only` or `--standing` did not pick.
    pub(in crate::cli) left_out: LeftOut,
    /// Why it is not known who all the people are, where it is not.
    pub(in crate::cli) unknown_people: Option<String>,
    /// People as base sees them: whose approval counts.
    pub(in crate::cli) people: Inventory,
}

/// The edges and things that a limited plan leaves as they are.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct LeftOut {
    pub(in crate::cli) edges: BTreeSet<GrantKey>,
    pub(in crate::cli) things: BTreeSet<Address>,
}

/// What changes would delete, held or not.
pub(in crate::cli) fn deletions<'a>(changes: &'a [Change], held: &'a [Held]) -> Vec<&'a Address> {
    let all = changes.iter().chain(held.iter().map(|held| &held.change));
    all.filter(|change| change.op == Op::Delete).map(|change| &change.address).collect()
}

impl Session {
    /// Makes a plan from scratch.
    pub(in crate::cli) async fn plan(&self) -> Result<Planned, Failure> {
        self.plan_after(&BTreeSet::new(), &BTreeSet::new()).await
    }

    /// Makes a plan from scratch, where these targets were taken away by us since memory was written, and these effects
    /// were approved: what was queued among them goes.
    pub(in crate::cli) async fn plan_after(
        &self,
        done: &BTreeSet<String>,
        approved: &BTreeSet<Digest>,
    ) -> Result<Planned, Failure> {
        let Observed {
            now,
            inventory,
            records,
            head,
            base,
            own_head,
            own_base,
            mut live,
            doubted,
            mut findings,
            holdings,
        } = Box::pin(self.observe(done)).await?;
        // What is wrong with the rest of the tree does not stop what only takes away from one person.
        let contains = self.selection.contain.is_some();
        self.is_known(&inventory)?;
        if has_errors(&findings) && !contains {
            return Err(Failure::in_sources(findings, &self.head.sources));
        }
        let unknown_people = match inventory.incomplete.first() {
            None if inventory.people.is_empty() && self.demand().is_some_and(Demand::knows_people) => {
                Some("the directory is empty, and the last run knew people".to_owned())
            }
            first => first.cloned(),
        };
        // A merge request cannot take away what judges it: base's separations hold until they are gone from base.
        let mut apart: Vec<Apart> = base.iter().flat_map(|base| &base.apart).cloned().collect();
        apart.extend(
            head.apart
                .iter()
                .filter(|new| !apart.iter().any(|old| old.sides == new.sides))
                .cloned()
                .collect::<Vec<_>>(),
        );
        let locks = (self.head.lock.as_ref(), self.base.as_deref().and_then(|base| base.lock.as_ref()));
        let (strangers, changed_hands) = planner::strangers(locks.0, locks.1, &inventory, &live);
        findings.extend(changed_hands);
        let draft = |live: &Snapshot| {
            planner::draft(&Input {
                head: &head,
                base: base.as_ref(),
                demand: self.demand(),
                live,
                own: &own_head,
                own_base: own_base.as_ref(),
                inventory: &inventory,
                apart: &apart,
                strangers: &strangers,
                schemas: &self.schemas,
                revert: &self.selection.revert,
                heal: self.judging().heal,
                handover: self.judging().standing.handover,
                now,
            })
        };
        let first = draft(&live);
        let draft = if contains {
            let own = [Some(&own_head), own_base.as_ref()];
            self.contained(first, &head, &live, own, holdings, &mut findings).await?
        } else if self.look_at_deletions(&first, &mut live).await {
            // It is the same lists that are read again.
            live.coverage.extend(doubted);
            draft(&live)
        } else {
            first
        };
        if has_errors(&draft.findings) && !contains {
            findings.extend(draft.findings);
            return Err(Failure::in_sources(findings, &self.head.sources));
        }
        let judging = self.judging();
        let callers: Vec<Address> =
            self.callers.iter().filter_map(|caller| caller.principal.clone()).collect();
        // A run that nobody approves has the waivers that were approved with base, and no others.
        let approved_waivers: Vec<Waiver> = match self.base.as_deref() {
            Some(base) if self.selection.standing => {
                let waivers = self.head.waivers.iter();
                waivers.filter(|waiver| base.waivers.iter().any(|old| old == *waiver)).cloned().collect()
            }
            _ if self.selection.standing => Vec::new(),
            _ => self.head.waivers.clone(),
        };
        let mut judged = gate::judge(
            draft,
            &Rules {
                settings: judging,
                apart: &apart,
                waivers: &approved_waivers,
                callers: &callers,
                live: &live,
                head: &head,
                base: base.as_ref(),
                inventory: &inventory,
                schemas: &self.schemas,
                approved,
                now,
            },
        );
        if has_errors(&judged.findings) {
            findings.extend(judged.findings);
            return Err(Failure::in_sources(findings, &self.head.sources));
        }
        let left_out = self.limit(&mut judged);
        if let Some(root) = &self.root {
            let held = judged.held.iter_mut().map(|held| &mut held.change);
            super::approved_by::cite(
                root,
                &self.head.sources,
                &mut judged.changes.iter_mut().chain(held).collect::<Vec<_>>(),
            );
        }
        let denied = judged.held.iter().any(|held| held.why.denies());
        let verdict = if denied { Ruling::Denied } else { Ruling::Allowed };
        findings.extend(judged.findings);
        findings.extend(self.head.findings.iter().cloned());
        if contains {
            self.keep_what_matters(&mut findings, &head);
        }
        findings.sort_by(|a, b| (&a.span, &a.code, &a.message).cmp(&(&b.span, &b.code, &b.message)));
        findings.dedup();
        let amended = self.amended();
        let (effects, effect) = Plan::effects_of(&judged.changes, &judged.held, &judged.waived, &amended);
        let basis = self.basis(&live);
        let created = self.clock.now();
        let id = Plan::id_of(&effect, created, &basis);
        let complete =
            inventory.incomplete.is_empty() && live.coverage.values().all(|c| *c == Coverage::Complete);
        let people = resolve::judging_people(&self.head, self.base.as_deref(), &records, now);
        let people = people.unwrap_or(inventory);
        let owners = resolve::owners(&self.head, self.base.as_deref());
        let asked = ToApprove {
            changes: &judged.changes,
            held: &judged.held,
            waived: &judged.waived,
            amended: &amended,
        };
        let quorums = approvals::quorums(asked, &owners, &people, &judging.approvals);
        let plan = Plan {
            format: PLAN_FORMAT.to_owned(),
            id,
            effect,
            effects,
            created,
            expires: created.checked_add(judging.plan_ttl).unwrap_or(Timestamp::MAX),
            tool: concat!("rolecall ", env!("CARGO_PKG_VERSION")).to_owned(),
            base: basis,
            summary: Summary::of(&judged.changes),
            changes: judged.changes,
            amended,
            waived: judged.waived,
            held: judged.held,
            drift: judged.drift,
            unmanaged: judged.unmanaged,
            unclaimed: judged.unclaimed,
            findings,
            verdict,
            complete,
            simulated: self.simulated(),
            selection: self.selection.clone(),
            zone: self.head.settings.timezone.iana_name().unwrap_or_default().to_owned(),
            quorums,
        };
        Ok(Planned { plan, verdict: judged.verdict, live, desired: head, left_out, unknown_people, people })
    }

    /// The documents that are otherwise than base has them. Whatever does not make head the next base leaves them for a plan that
    /// does.
    fn amended(&self) -> Vec<Amended> {
        let Selection { only, standing, contain, .. } = &self.selection;
        match self.base.as_deref() {
            Some(base)
                if only.is_empty() && !standing && contain.is_none() && base.digest != self.head.digest =>
            {
                manifest::amended(&self.head, base)
            }
            _ => Vec::new(),
        }
    }

    /// Looks at what a draft would delete; says whether anything was read.
    async fn look_at_deletions(&self, draft: &Draft, live: &mut Snapshot) -> bool {
        let deletions = deletions(&draft.changes, &draft.held);
        self.look_closely(&deletions, live).await;
        !deletions.is_empty()
    }

    /// Reads once more, closely: what hangs on a thing (keys, devices) is an effect of its deletion, and a sweep does not
    /// show it.
    pub(in crate::cli) async fn look_closely(&self, at: &[&Address], live: &mut Snapshot) {
        for address in at {
            let Some(provider) = self.providers.get(address.instance()) else { continue };
            match provider.read(address).await {
                Ok(seen) => live.merge(seen),
                // What could not be looked at is not deleted.
                Err(error) => {
                    live.coverage.insert(address.as_str().into(), Coverage::Partial(error.to_string()));
                }
            }
        }
    }

    /// Leaves out what `--only` or `--standing` does not pick, and whatever needs what was left out. The gate has judged the
    /// whole: what a cap counts does not get smaller by looking at a part. Says what was left out.
    fn limit(&self, judged: &mut Judged) -> LeftOut {
        let Selection { only, standing, .. } = &self.selection;
        let mut rest = LeftOut::default();
        if only.is_empty() && !standing {
            return rest;
        }
        let picked = |change: &Change| {
            (only.is_empty() || only.iter().any(|pattern| change.is_on(pattern)))
                && (!standing || change.cause == Cause::Standing)
        };
        let mut left_out: BTreeSet<Digest> = judged
            .changes
            .iter()
            .filter(|change| !picked(change))
            .map(|change| change.effect.clone())
            .collect();
        loop {
            let before = left_out.len();
            let more =
                judged.changes.iter().filter(|change| change.requires.iter().any(|r| left_out.contains(r)));
            let more: Vec<Digest> = more.map(|change| change.effect.clone()).collect();
            left_out.extend(more);
            if left_out.len() == before {
                break;
            }
        }
        let changes = judged.changes.iter().filter(|change| left_out.contains(&change.effect));
        let held = judged.held.iter().map(|held| &held.change).filter(|change| !picked(change));
        for change in changes.chain(held) {
            match &change.grant {
                Some(key) => drop(rest.edges.insert(key.clone())),
                None => drop(rest.things.insert(change.address.clone())),
            }
        }
        judged.changes.retain(|change| !left_out.contains(&change.effect));
        judged.held.retain(|held| picked(&held.change));
        judged.drift.retain(|drift| only.is_empty() || picked(&drift.change));
        rest
    }

    fn basis(&self, live: &Snapshot) -> Basis {
        let providers = self.providers.iter().map(|(instance, provider)| {
            let scopes = live.coverage.iter().filter(|(scope, _)| {
                scope
                    .strip_prefix(instance.as_ref())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
            });
            let partial = scopes.clone().filter_map(|(scope, coverage)| match coverage {
                Coverage::Complete => None,
                Coverage::Partial(why) => Some((scope.clone(), why.clone())),
            });
            let basis = ProviderBasis {
                snapshot: live.digest_of(instance),
                partial: partial.collect(),
                scopes: u64::try_from(scopes.count()).unwrap_or(u64::MAX),
                calls: provider.calls(),
            };
            (instance.clone(), basis)
        });
        Basis {
            commit: self.verified.as_ref().and_then(|verified| verified.base.commit.clone()),
            config: self.head.digest.to_string(),
            base_config: self.base.as_ref().map(|base| base.digest.to_string()),
            providers: providers.collect(),
        }
    }
}
