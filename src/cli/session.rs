//! One run over one access repo: trees, memory, providers. `observe` looks, `planning` makes plans.
//!
//! Invariant: what it is made of are values; only [`Session::open`] reads files, and hands them on. It must not decide.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Exit, Failure, environment, repo};
use crate::apply::memory::{Memory, Verified};
use crate::manifest::{self, Tree};
use crate::model::{
    Change, Code, Demand, DemandedGrant, Digest, Finding, Name, Registry, Schemas, Selection, Settings,
    Sources,
};
use crate::provider::{Caller, Clock, Provider, SystemClock, Transport};
use crate::providers::{self, Credentials, Wiring};
use crate::resolve::reorganized::{self, Reorganized};
use crate::simulator::{Simulator, WorldError};

mod approved_by;
mod contain;
mod look;
mod names;
mod observe;
mod planning;
pub(super) mod trust;

pub(super) use contain::CODES as CONTAIN_CODES;
pub(super) use observe::Observed;
pub(super) use planning::{Planned, deletions};

/// A provider refuses to talk to us.
const NO_PROVIDER: Code = Code { code: "RC501", title: "a provider cannot be used" };
/// The directory that people come from is not a provider.
const NO_DIRECTORY: Code = Code { code: "RC502", title: "the directory names no provider" };

/// Another apply has ended meanwhile.
const MOVED_ON: Code = Code { code: "RC704", title: "another apply has moved base meanwhile" };

/// All codes of this module.
pub(super) const CODES: &[Code] =
    &[trust::WORLD, NO_PROVIDER, NO_DIRECTORY, trust::ELSEWHERE, MOVED_ON, trust::MEMORY];

/// What a run over an access repo's folder needs to be told.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    /// The folder of the access repo.
    pub(super) repo: PathBuf,
    /// Base in place of what memory says: a revision, or a folder.
    pub(super) base: Option<String>,
    /// What the plan picks.
    pub(super) selection: Selection,
    /// Whether a simulated world is only looked at, so that not even its log is taken in.
    pub(super) looks_only: bool,
    /// Whether no plan will be made: then what memory keeps for telling causes apart, which is most of it, is not read.
    pub(super) asks_only: bool,
}

/// What a run is made of: values, and the edges that they are to be used on.
pub(super) struct Parts {
    /// The tree that is planned.
    pub(super) head: Arc<Tree>,
    /// Base in place of what memory says.
    pub(super) base: Option<Tree>,
    /// Trees that were loaded before: what has the same files is not loaded again.
    pub(super) loaded: Vec<Arc<Tree>>,
    /// What is remembered of earlier runs.
    pub(super) memory: Memory,
    /// The world that stands in for every provider, with its clock.
    pub(super) simulator: Option<Simulator>,
    /// Credentials by name.
    pub(super) credentials: Credentials,
    /// What the plan picks.
    pub(super) selection: Selection,
    /// The commit that head is.
    pub(super) commit: Option<String>,
    /// The folder of the access repo, where Git can be asked about it.
    pub(super) root: Option<PathBuf>,
}

/// One run over one access repo.
pub(super) struct Session {
    pub(super) head: Arc<Tree>,
    pub(super) memory: Memory,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) providers: BTreeMap<Name, Box<dyn Provider>>,
    pub(super) callers: Vec<Caller>,
    /// What the plan picks.
    pub(super) selection: Selection,
    /// What is laid over the directory. What rests on it is never applied.
    reorganized: Option<Reorganized>,
    /// What there is to say of providers that a containment does without.
    pub(super) unusable: Vec<Finding>,
    base: Option<Arc<Tree>>,
    base_was_named: bool,
    /// The folder of the access repo, where Git can be asked about it.
    root: Option<PathBuf>,
    verified: Option<Verified>,
    commit: Option<String>,
    registry: Registry,
    schemas: Schemas,
    simulator: Option<Simulator>,
}

/// Head's tree, or all that is wrong with it.
pub(super) fn load(root: &Path, registry: &Registry) -> Result<Tree, Failure> {
    let sources = repo::read(root, manifest::folders)?;
    load_sources(&sources, registry)
}

/// A tree of files, or all that is wrong with it.
pub(super) fn load_sources(sources: &Sources, registry: &Registry) -> Result<Tree, Failure> {
    match manifest::load(sources, registry) {
        (Some(tree), _) => Ok(tree),
        (None, findings) => Err(Failure::in_sources(findings, sources)),
    }
}

impl Session {
    /// Reads the access repo and its memory, and makes sure of each provider who we are.
    pub(super) async fn open(options: Options) -> Result<Self, Failure> {
        let Options { repo: root, base, selection, looks_only, asks_only } = options;
        let registry = providers::registry();
        let head = Arc::new(load(&root, &registry)?);
        trust::own_memory(&root, &head.settings, &head.sources, &registry)?;
        let base = match base {
            Some(named) => {
                let folder = Path::new(&named);
                let sources = if folder.is_dir() {
                    repo::read(folder, manifest::folders)?
                } else {
                    repo::at_revision(&root, &named)?
                };
                Some(load_sources(&sources, &registry)?)
            }
            None => None,
        };
        let world = head.settings.simulate.as_ref();
        let open = if looks_only { Simulator::copy_of } else { Simulator::open };
        let simulator = world.map(|world| open_world(&root, &world.value, open)).transpose()?;
        let memory = Memory::at(root.join(&head.settings.memory));
        let (commit, credentials) = (repo::commit(&root), Arc::new(environment));
        let loaded = Vec::new();
        let root = Some(root);
        let parts = Parts { head, base, loaded, memory, simulator, credentials, selection, commit, root };
        if asks_only {
            let sources = parts.memory.sources()?;
            return Self::with(parts, sources.as_ref(), None).await;
        }
        Self::assemble(parts).await
    }

    /// Puts a run together, and makes sure of each provider who we are.
    pub(super) async fn assemble(parts: Parts) -> Result<Self, Failure> {
        let verified = parts.memory.verified()?;
        let sources = verified.as_ref().map(|verified| verified.sources.clone());
        Self::with(parts, sources.as_ref(), verified).await
    }

    /// Puts a run together over what memory keeps: the files of base, and perhaps the rest.
    async fn with(
        parts: Parts,
        sources: Option<&Sources>,
        verified: Option<Verified>,
    ) -> Result<Self, Failure> {
        let Parts { head, base, loaded, memory, simulator, credentials, selection, commit, root } = parts;
        let registry = providers::registry();
        let base_was_named = base.is_some();
        let base = match (base, sources) {
            // Where nothing has changed since, base is head.
            (None, Some(sources)) => {
                match loaded.iter().chain([&head]).find(|tree| tree.sources == *sources) {
                    Some(tree) => Some(tree.clone()),
                    None => Some(Arc::new(load_sources(sources, &registry)?)),
                }
            }
            (base, _) => base.map(Arc::new),
        };
        // A base that was named by hand is only read against.
        if let Some(base) = base.as_deref().filter(|_| !base_was_named) {
            trust::same_reality(&head, base)?;
        }
        let clock: Arc<dyn Clock> = match &simulator {
            Some(simulator) => simulator.clock(),
            None => Arc::new(SystemClock),
        };
        let transport = simulator.clone().map(|simulator| Arc::new(simulator) as Arc<dyn Transport>);
        let wiring = Wiring { transport, clock: clock.clone(), credentials };
        let mut session = Self {
            schemas: schemas(&head, &registry),
            providers: BTreeMap::new(),
            callers: Vec::new(),
            reorganized: None,
            unusable: Vec::new(),
            selection,
            head,
            base,
            base_was_named,
            verified,
            commit,
            root,
            memory,
            clock,
            registry,
            simulator,
        };
        session.connect(&wiring).await?;
        Ok(session)
    }

    /// Does work in the time of its world: where all is simulated nobody waits.
    pub(super) async fn in_its_time<F: Future>(&self, work: F) -> F::Output {
        match &self.simulator {
            Some(simulator) => simulator.clock().drive(work).await,
            None => work.await,
        }
    }

    async fn connect(&mut self, wiring: &Wiring) -> Result<(), Failure> {
        let mut findings = Vec::new();
        for (instance, settings) in &self.head.settings.providers {
            if self.simulator.is_none()
                && let Err(finding) = trust::own_address(settings, self.base.as_deref(), &*wiring.credentials)
            {
                findings.push(finding);
                continue;
            }
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
        // What one provider cannot do must not keep from a person what another one can take away.
        if self.selection.contain.is_some() && !self.providers.is_empty() {
            self.unusable = findings;
            return Ok(());
        }
        if findings.is_empty() { Ok(()) } else { Err(Failure::in_sources(findings, &self.head.sources)) }
    }

    /// Whether every provider is simulated.
    pub(super) fn simulated(&self) -> bool {
        self.simulator.is_some()
    }

    /// Lays a file over the directory from now on. What is planned after that is for reading only.
    pub(super) fn rehearse_directory(&mut self, file: &Path) -> Result<(), Failure> {
        let name = file.display().to_string();
        let bytes = std::fs::read(file).map_err(|error| {
            let message = format!("`{name}` cannot be read: {error}");
            Finding::error(repo::UNREADABLE, message).help("name a CSV or JSON file of people")
        })?;
        let read = reorganized::read(&self.head, &name, &bytes).map_err(|findings| {
            // Its lines are shown like those of a manifest.
            let file = (name.as_str().into(), Arc::from(bytes.as_slice()));
            Failure::in_sources(findings, &Sources { files: [file].into() })
        })?;
        self.selection.directory = Some(format!("{name} ({})", Digest::of_bytes(&bytes).short()));
        self.reorganized = Some(read);
        Ok(())
    }

    /// The time to plan for.
    pub(super) fn now(&self) -> Timestamp {
        self.selection.at.unwrap_or_else(|| self.clock.now())
    }

    /// Fails where another run has moved base, or what is demanded, since this one read it; to be asked under the lock.
    pub(super) fn still_verified(&self) -> Result<(), Failure> {
        let verified = self.verified.as_ref().map(|verified| (&verified.base, &verified.demand));
        if verified == self.memory.standing()?.as_ref().map(|(base, demand)| (base, demand)) {
            return Ok(());
        }
        let finding = Finding::error(MOVED_ON, "another apply has ended since this one began");
        Err(Failure::from(finding.help("plan again: what it did may change what is left to do"))
            .exit(Exit::Stale))
    }

    /// Whether a grant of base's is of a role that is given for a limited time, and memory does not know since when.
    pub(super) fn has_sessions_that_never_began(&self) -> bool {
        let Some(base) = self.base.as_deref() else { return false };
        let limited = |name: &str| {
            let role = base.roles.iter().find(|role| role.name.value == name);
            role.and_then(|role| role.on_request.as_ref()).is_some_and(|terms| terms.max.is_some())
        };
        let begun = |name: &Name| self.demand().is_some_and(|demand| demand.begun.contains_key(name));
        base.grants.iter().filter(|grant| grant.from.is_none()).any(|grant| {
            let roles = grant.roles.iter().filter(|role| limited(&role.value));
            let mut each = roles.flat_map(|role| grant.to.iter().map(move |to| (role, to)));
            each.any(|(role, to)| {
                !begun(&crate::model::Session::called(&grant.name.value, &role.value, &to.value))
            })
        })
    }

    /// Whether head is another tree than the one that was applied last.
    pub(super) fn asks_for_more_than_base(&self) -> bool {
        self.base.as_deref().is_none_or(|base| base.digest != self.head.digest)
    }

    /// The settings that judge: base's, so that a merge request cannot weaken what judges it; head's where there is none.
    pub(super) fn judging(&self) -> &Settings {
        &self.judging_tree().settings
    }

    /// The tree of the last verified apply, or the one that was named in its place.
    pub(super) fn base(&self) -> Option<&Tree> {
        self.base.as_deref()
    }

    /// What the providers have.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The folder of the access repo, where Git can be asked about it.
    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The tree whose word counts where head's would be its own judge.
    pub(super) fn judging_tree(&self) -> &Tree {
        self.base.as_deref().unwrap_or(&self.head)
    }

    /// The commit that base was, where it was in Git.
    pub(super) fn base_commit(&self) -> Option<&str> {
        self.verified.as_ref()?.base.commit.as_deref()
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
        if self.base_was_named { None } else { self.verified.as_ref()?.demand.as_ref() }
    }

    /// What memory keeps of the edge that a change is about.
    pub(super) fn demand_of(&self, change: &Change) -> Option<&DemandedGrant> {
        let (grants, key) = (&self.demand()?.grants, change.grant.as_ref()?);
        grants.binary_search_by(|grant| grant.key.cmp(key)).ok().and_then(|at| grants.get(at))
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
pub(super) fn open_world(
    root: &Path,
    world: &str,
    open: fn(&Path) -> Result<Simulator, WorldError>,
) -> Result<Simulator, Failure> {
    let plain =
        !world.is_empty() && world.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let mut path = root.to_owned();
    let linked = world.split('/').any(|part| {
        path.push(part);
        path.is_symlink()
    });
    if !plain || linked {
        let message = format!("`simulate` names `{world}`, which is not a plain relative path to a file");
        return Err(Finding::error(trust::WORLD, message).help("name a file beside `rolecall.yaml`").into());
    }
    open(&path).map_err(|error| error.finding().into())
}

fn schemas(tree: &Tree, registry: &Registry) -> Schemas {
    let instances = tree.settings.providers.iter().filter_map(|(instance, settings)| {
        Some((instance.clone(), registry.provider(&settings.provider)?.clone()))
    });
    Schemas { instances: instances.collect() }
}
