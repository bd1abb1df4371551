//! One run over one access repo: trees, memory, providers; and the one way in which a plan is made.
//!
//! Invariant: plan and apply make plans with the same function from the same parts, so what is approved is what is
//! compared. It must not decide: it reads, hands values to the pure modules, and hands on what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::{Exit, Failure, environment, repo};
use crate::apply::memory::{Memory, Verified};
use crate::gate::{self, Judged, Rules};
use crate::manifest::{self, Tree};
use crate::model::plan::PLAN_FORMAT;
use crate::model::settings::Directory;
use crate::model::{
    Address, Basis, Code, Coverage, Demand, Desired, Digest, Draft, Finding, Inventory, Name, Op, Ownership,
    Plan, ProviderBasis, Registry, Ruling, Schemas, Selection, Settings, Snapshot, Sources, Summary, Verdict,
    has_errors,
};
use crate::planner::{self, Input};
use crate::provider::{Caller, Clock, Provider, SystemClock, Transport};
use crate::providers::{self, Wiring};
use crate::resolve;
use crate::simulator::Simulator;

/// The simulated world is not below the access repo.
const WORLD: Code = Code { code: "RC703", title: "`simulate` does not name a file of the access repo" };
/// A provider refuses to talk to us.
const NO_PROVIDER: Code = Code { code: "RC501", title: "a provider cannot be used" };
/// The directory that people come from is not a provider.
const NO_DIRECTORY: Code = Code { code: "RC502", title: "the directory names no provider" };

/// Another apply has ended meanwhile.
const MOVED_ON: Code = Code { code: "RC704", title: "another apply has moved base meanwhile" };

/// The settings look for the memory where it is not.
const MOVED_MEMORY: Code = Code { code: "RC706", title: "the memory is somewhere else" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[WORLD, NO_PROVIDER, NO_DIRECTORY, MOVED_ON, MOVED_MEMORY];

/// What a run needs to be told.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// The folder of the access repo.
    pub(super) repo: PathBuf,
    /// Base in place of what memory says: a revision, or a folder.
    pub(super) base: Option<String>,
    /// What the plan picks.
    pub(super) selection: Selection,
    /// Effects that were approved, where an apply plans again.
    pub(super) approved: BTreeSet<Digest>,
}

/// One run over one access repo.
pub(super) struct Session {
    pub(super) options: Options,
    pub(super) head: Tree,
    pub(super) memory: Memory,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) providers: BTreeMap<Name, Box<dyn Provider>>,
    pub(super) callers: Vec<Caller>,
    base: Option<Tree>,
    verified: Option<Verified>,
    commit: Option<String>,
    registry: Registry,
    schemas: Schemas,
    simulator: Option<Simulator>,
}

/// A plan with what it was made of.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) verdict: Verdict,
    pub(super) live: Snapshot,
    pub(super) desired: Desired,
}

/// What head asks for and what is there, before anything is compared.
pub(super) struct Observed {
    pub(super) now: Timestamp,
    pub(super) inventory: Inventory,
    pub(super) head: Desired,
    pub(super) base: Option<Desired>,
    pub(super) own_head: Ownership,
    pub(super) own_base: Option<Ownership>,
    pub(super) live: Snapshot,
    pub(super) findings: Vec<Finding>,
}

/// Head's tree, or all that is wrong with it.
pub(super) fn load(root: &Path, registry: &Registry) -> Result<Tree, Failure> {
    let sources = repo::read(root, manifest::folders)?;
    load_sources(&sources, registry)
}

fn load_sources(sources: &Sources, registry: &Registry) -> Result<Tree, Failure> {
    match manifest::load(sources, registry) {
        (Some(tree), _) => Ok(tree),
        (None, findings) => Err(Failure::in_sources(findings, sources)),
    }
}

impl Session {
    /// Reads the access repo and its memory, and makes sure of each provider who we are.
    pub(super) async fn open(options: Options) -> Result<Self, Failure> {
        let registry = providers::registry();
        let root = options.repo.clone();
        let head = load(&root, &registry)?;
        let memory = Memory::at(root.join(&head.settings.memory));
        let verified = memory.verified()?;
        if verified.is_none() {
            moved_memory(&root, &head)?;
        }
        let base = match (&options.base, &verified) {
            (Some(named), _) => {
                let folder = Path::new(named);
                let sources = if folder.is_dir() {
                    repo::read(folder, manifest::folders)?
                } else {
                    repo::at_revision(&root, named)?
                };
                Some(load_sources(&sources, &registry)?)
            }
            (None, Some(verified)) => Some(load_sources(&verified.sources, &registry)?),
            (None, None) => None,
        };
        let simulator =
            head.settings.simulate.as_ref().map(|world| open_world(&root, &world.value)).transpose()?;
        let clock: Arc<dyn Clock> = match &simulator {
            Some(simulator) => simulator.clock(),
            None => Arc::new(SystemClock),
        };
        let wiring = Wiring {
            transport: simulator.clone().map(|simulator| Arc::new(simulator) as Arc<dyn Transport>),
            clock: clock.clone(),
            credentials: Arc::new(environment),
        };
        let mut session = Self {
            commit: repo::commit(&root),
            schemas: schemas(&head, &registry),
            providers: BTreeMap::new(),
            callers: Vec::new(),
            options,
            head,
            base,
            verified,
            memory,
            clock,
            registry,
            simulator,
        };
        session.connect(&wiring).await?;
        Ok(session)
    }

    async fn connect(&mut self, wiring: &Wiring) -> Result<(), Failure> {
        let mut findings = Vec::new();
        for (instance, settings) in &self.head.settings.providers {
            let opened = match providers::open(settings, wiring).await {
                Ok(provider) => provider.identity().await.map(|caller| (provider, caller)),
                Err(error) => Err(error),
            };
            match opened {
                Ok((provider, caller)) => {
                    self.callers.push(caller);
                    self.providers.insert(instance.clone(), provider);
                }
                Err(error) => findings.push(
                    Finding::error(NO_PROVIDER, format!("`{instance}` cannot be used: {error}"))
                        .at(&settings.options.span)
                        .help("check its settings, and the credentials in the environment"),
                ),
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(Failure::in_sources(findings, &self.head.sources)) }
    }

    /// Whether every provider is simulated.
    pub(super) fn simulated(&self) -> bool {
        self.simulator.is_some()
    }

    /// The time to plan for.
    pub(super) fn now(&self) -> Timestamp {
        self.options.selection.at.unwrap_or_else(|| self.clock.now())
    }

    /// Fails where another run has moved base since this one read it; to be asked under the lock.
    pub(super) fn still_verified(&self) -> Result<(), Failure> {
        let known = |verified: &Option<Verified>| verified.as_ref().map(|verified| verified.base.clone());
        if known(&self.memory.verified()?) == known(&self.verified) {
            return Ok(());
        }
        let finding = Finding::error(MOVED_ON, "another apply has ended since this one began");
        Err(Failure::from(finding.help("plan again: what it did may change what is left to do"))
            .exit(Exit::Stale))
    }

    /// The settings that judge: base's, so that a merge request cannot weaken what judges it; head's where there is none.
    pub(super) fn judging(&self) -> &Settings {
        self.base.as_ref().map_or(&self.head.settings, |base| &base.settings)
    }

    /// The commit that is checked out.
    pub(super) fn commit(&self) -> Option<String> {
        self.commit.clone()
    }

    /// The schemas of each instance.
    pub(super) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The demand that memory keeps.
    pub(super) fn demand(&self) -> Option<&Demand> {
        // A base that was named by hand is not what the demand was kept for.
        if self.options.base.is_some() { None } else { self.verified.as_ref()?.demand.as_ref() }
    }

    /// Reads people and the live world, and works out what head and base ask for.
    pub(super) async fn observe(&self) -> Result<Observed, Failure> {
        let now = self.now();
        let mut findings = Vec::new();
        let (records, accounts, incomplete) = self.inventory().await?;
        // Both sides see the same records at the same time, each through its own settings and `User` manifests: what head
        // says of people is a request like everything else that it says.
        let people = |tree: &Tree| resolve::people(tree, &records, accounts.clone(), incomplete.clone(), now);
        let (inventory, about_people) = people(&self.head);
        findings.extend(about_people);
        let head = resolve::resolve(&self.head, self.base.as_ref(), &inventory, &self.registry, now);
        let base =
            self.base.as_ref().map(|base| resolve::resolve(base, None, &people(base).0, &self.registry, now));
        findings.extend(head.findings.iter().cloned());
        let own =
            |tree: &Tree| Ownership { accounts: inventory.accounts.clone(), ..tree.settings.own.clone() };
        let (own_head, own_base) = (own(&self.head), self.base.as_ref().map(own));
        let scopes =
            planner::scopes(&head, base.as_ref(), self.demand(), &own_head, own_base.as_ref(), &self.schemas);
        let nothing = BTreeSet::new();
        let seen = join_all(self.providers.iter().map(|(instance, provider)| {
            let edges_of = scopes.get(instance).unwrap_or(&nothing);
            async move { provider.observe(edges_of).await }
        }));
        let mut live = Snapshot::default();
        for part in seen.await {
            live.merge(part);
        }
        Ok(Observed { now, inventory, head, base, own_head, own_base, live, findings })
    }

    async fn inventory(
        &self,
    ) -> Result<(Vec<crate::model::DirectoryRecord>, Vec<crate::model::Account>, Vec<String>), Failure> {
        let directory = match &self.head.settings.directory {
            Directory::Manifests => None,
            Directory::Provider { from, .. } => Some(from),
        };
        if let Some(from) = directory
            && !self.providers.contains_key(&from.value)
        {
            let message = format!("`{}` is not in `providers:`", from.value);
            return Err(Finding::error(NO_DIRECTORY, message).at(&from.span).into());
        }
        let parts = join_all(
            self.providers
                .iter()
                .map(|(instance, provider)| async move { (instance, provider.inventory().await) }),
        );
        let (mut records, mut accounts, mut incomplete) = (Vec::new(), Vec::new(), Vec::new());
        for (instance, part) in parts.await {
            accounts.extend(part.accounts);
            if directory.is_some_and(|from| from.value == *instance) {
                records = part.records;
            }
            incomplete.extend(part.incomplete.into_iter().map(|why| format!("{instance}: {why}")));
        }
        Ok((records, accounts, incomplete))
    }

    /// Makes a plan from scratch.
    pub(super) async fn plan(&self) -> Result<Planned, Failure> {
        let Observed { now, inventory, head, base, own_head, own_base, mut live, mut findings } =
            self.observe().await?;
        if has_errors(&findings) {
            return Err(Failure::in_sources(findings, &self.head.sources));
        }
        let draft = |live: &Snapshot| {
            planner::draft(&Input {
                head: &head,
                base: base.as_ref(),
                demand: self.demand(),
                live,
                own: &own_head,
                own_base: own_base.as_ref(),
                inventory: &inventory,
                schemas: &self.schemas,
                revert: &self.options.selection.revert,
                heal: self.judging().heal,
                now,
            })
        };
        let first = draft(&live);
        let draft = if self.look_at_deletions(&first, &mut live).await { draft(&live) } else { first };
        if has_errors(&draft.findings) {
            findings.extend(draft.findings);
            return Err(Failure::in_sources(findings, &self.head.sources));
        }
        let judging = self.judging();
        let callers: Vec<Address> =
            self.callers.iter().filter_map(|caller| caller.principal.clone()).collect();
        let mut judged = gate::judge(
            draft,
            &Rules {
                settings: judging,
                waivers: &self.head.waivers,
                callers: &callers,
                live: &live,
                head: &head,
                inventory: &inventory,
                schemas: &self.schemas,
                approved: &self.options.approved,
                now,
            },
        );
        self.limit(&mut judged);
        let denied = judged.held.iter().any(|held| held.why.denies());
        let verdict = if denied { Ruling::Denied } else { Ruling::Allowed };
        findings.extend(judged.findings);
        findings.extend(self.head.findings.iter().cloned());
        findings.sort_by(|a, b| (&a.span, &a.code, &a.message).cmp(&(&b.span, &b.code, &b.message)));
        findings.dedup();
        let (effects, effect) = Plan::effects_of(&judged.changes, &judged.held, &judged.waived);
        let basis = self.basis(&live);
        let created = self.clock.now();
        let id = Plan::id_of(&effect, created, &basis);
        let complete =
            inventory.incomplete.is_empty() && live.coverage.values().all(|c| *c == Coverage::Complete);
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
            waived: judged.waived,
            held: judged.held,
            drift: judged.drift,
            unmanaged: judged.unmanaged,
            unclaimed: judged.unclaimed,
            findings,
            verdict,
            complete,
            simulated: self.simulated(),
            selection: self.options.selection.clone(),
        };
        Ok(Planned { plan, verdict: judged.verdict, live, desired: head })
    }

    /// Reads once more, closely, what would be deleted: what hangs on it (keys, devices) is an effect of the deletion, and a
    /// sweep does not show it. Says whether anything was read.
    async fn look_at_deletions(&self, draft: &Draft, live: &mut Snapshot) -> bool {
        let held = draft.held.iter().map(|held| &held.change);
        let deletions: Vec<&Address> = draft
            .changes
            .iter()
            .chain(held)
            .filter(|change| change.op == Op::Delete)
            .map(|change| &change.address)
            .collect();
        for address in &deletions {
            let Some(provider) = self.providers.get(address.instance()) else { continue };
            match provider.read(address).await {
                Ok(seen) => live.merge(seen),
                // What could not be looked at is not deleted.
                Err(error) => {
                    live.coverage.insert(address.as_str().into(), Coverage::Partial(error.to_string()));
                }
            }
        }
        !deletions.is_empty()
    }

    /// Leaves out what `--only` does not pick, and whatever needs what was left out. The gate has judged the whole: what a
    /// cap counts does not get smaller by looking at a part.
    fn limit(&self, judged: &mut Judged) {
        let only = &self.options.selection.only;
        if only.is_empty() {
            return;
        }
        let picked = |change: &crate::model::Change| only.iter().any(|pattern| change.is_on(pattern));
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
        judged.changes.retain(|change| !left_out.contains(&change.effect));
        judged.held.retain(|held| picked(&held.change));
        judged.drift.retain(|drift| picked(&drift.change));
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

    /// Ends the run: what the simulator did is folded into its world file.
    pub(super) fn close(self) -> Result<(), Failure> {
        match self.simulator {
            Some(simulator) => simulator.close().map_err(|error| error.finding().into()),
            None => Ok(()),
        }
    }
}

/// The simulator of a world file, which must be below the access repo.
pub(super) fn open_world(root: &Path, world: &str) -> Result<Simulator, Failure> {
    let plain =
        !world.is_empty() && world.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let mut path = root.to_owned();
    let linked = world.split('/').any(|part| {
        path.push(part);
        path.is_symlink()
    });
    if !plain || linked {
        let message = format!("`simulate` names `{world}`, which is not a plain relative path to a file");
        return Err(Finding::error(WORLD, message).help("name a file beside `rolecall.yaml`").into());
    }
    Simulator::open(&path).map_err(|error| error.finding().into())
}

/// Without this, a change could bring its own past: a memory elsewhere, in which nothing was ever protected.
fn moved_memory(root: &Path, head: &Tree) -> Result<(), Failure> {
    let usual = ".rolecall";
    if head.settings.memory == usual || Memory::at(root.join(usual)).verified()?.is_none() {
        return Ok(());
    }
    let message = format!("`memory: {}` is empty, and there is a memory in `{usual}`", head.settings.memory);
    let help =
        "move the folder there by hand, in a change of its own; what judges a change must not come from it";
    Err(Failure::in_sources(vec![Finding::error(MOVED_MEMORY, message).help(help)], &head.sources))
}

fn schemas(tree: &Tree, registry: &Registry) -> Schemas {
    let instances = tree.settings.providers.iter().filter_map(|(instance, settings)| {
        Some((instance.clone(), registry.provider(&settings.provider)?.clone()))
    });
    Schemas { instances: instances.collect() }
}
