//! Where everything happens: a world, a disk, and a process that plans and applies and can die at any moment.
//!
//! Invariant: what is called here is what the commands call, and nothing of it is told about faults or judges.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join, select};
use jiff::Timestamp;

use crate::apply::disk::{Disk, MemoryDisk};
use crate::apply::executor::{Silent, Stop};
use crate::apply::memory::Memory;
use crate::cli::apply::{Order, carry_out, word};
use crate::cli::session::{Parts, Session, load_sources};
use crate::cli::{Exit, Failure};
use crate::manifest::Tree;
use crate::model::{Finding, Plan, Report, Selection, Sources};
use crate::provider::Clock as _;
use crate::providers;
use crate::simulator::{Simulator, World};

/// A world, and the disk of whoever applies to it. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) simulator: Simulator,
    pub(super) disk: MemoryDisk,
    loaded: Loaded,
}

/// The trees that were loaded last. Loading is a function of the files, and the same ones are planned and applied many
/// times over.
type Loaded = Rc<RefCell<VecDeque<Arc<Tree>>>>;

/// How many trees are kept: head, base, and what somebody tried or put right in between.
const KEPT: usize = 8;

/// What became of an apply.
#[derive(Debug)]
pub(super) enum Ended {
    /// It came to an end of its own.
    Report(Report),
    /// It refused, or gave up.
    Failed(Exit, Vec<Finding>),
    /// Its process died.
    Died,
}

impl Ended {
    /// In a word or two.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Report(report) => {
                let done = report.count(crate::model::report::State::Done);
                let left = report.left.len();
                let converged = if report.converged { "converged" } else { "did not converge" };
                format!("{converged}, {done} of {} done, {left} left", report.steps.len())
            }
            Self::Failed(exit, findings) => {
                let codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_ref()).collect();
                format!("{exit:?} with {}", codes.join(" "))
            }
            Self::Died => "died".to_owned(),
        }
    }

    /// Whether it converged.
    pub(super) fn converged(&self) -> bool {
        matches!(self, Self::Report(report) if report.converged)
    }

    /// Whether it was refused as stale or not approved.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::Failed(Exit::Stale, _))
    }
}

impl Site {
    /// A site with nothing to remember.
    pub(super) fn of(world: World) -> Result<Self, String> {
        Self::over(world, Loaded::default())
    }

    fn over(world: World, loaded: Loaded) -> Result<Self, String> {
        let simulator = Simulator::of(world).map_err(|error| error.to_string())?;
        simulator.watch();
        Ok(Self { simulator, disk: MemoryDisk::new(), loaded })
    }

    /// The same world and the same memory once more, apart from this one.
    pub(super) fn fork(&self) -> Result<Self, String> {
        let mut world = self.simulator.world();
        world.now = self.now();
        let fork = Self::over(world, self.loaded.clone())?;
        let root = std::path::Path::new("");
        for file in self.disk.list(root).map_err(|error| error.to_string())? {
            let file = std::path::Path::new(&file);
            let bytes = self.disk.read(file).map_err(|error| error.to_string())?.unwrap_or_default();
            fork.disk.replace(file, &bytes).map_err(|error| error.to_string())?;
        }
        Ok(fork)
    }

    /// The time there.
    pub(super) fn now(&self) -> Timestamp {
        self.simulator.clock().now()
    }

    /// What is remembered.
    pub(super) fn memory(&self) -> Memory {
        Memory::on(Arc::new(self.disk.clone()))
    }

    fn load(&self, sources: &Sources) -> Result<Arc<Tree>, Failure> {
        let mut loaded = self.loaded.borrow_mut();
        if let Some(tree) = loaded.iter().find(|tree| tree.sources == *sources) {
            return Ok(tree.clone());
        }
        let tree = Arc::new(load_sources(sources, &providers::registry())?);
        loaded.push_front(tree.clone());
        loaded.truncate(KEPT);
        Ok(tree)
    }

    async fn session(&self, sources: &Sources) -> Result<Session, Failure> {
        let head = self.load(sources)?;
        let loaded = self.loaded.borrow().iter().cloned().collect();
        Session::assemble(Parts {
            head,
            base: None,
            loaded,
            memory: self.memory(),
            simulator: Some(self.simulator.clone()),
            credentials: Arc::new(|_| None),
            selection: Selection::default(),
            commit: None,
            root: None,
        })
        .await
    }

    /// `rolecall plan`.
    pub(super) async fn plan(&self, sources: &Sources) -> Result<Plan, Failure> {
        let clock = self.simulator.clock();
        let planned = clock.drive(async {
            let session = self.session(sources).await?;
            let planned = session.plan().await?;
            session.memory.save_plan(&planned.plan)?;
            Ok::<_, Failure>(planned)
        });
        Ok(planned.await?.plan)
    }

    /// `rolecall apply`, whose process may die.
    pub(super) async fn apply(&self, sources: &Sources, plan: &Plan) -> Ended {
        self.simulator.clock().drive(self.process(sources, plan)).await.0
    }

    /// Two of them, the second of which begins so much later; and whether one began to write before the other had ended.
    pub(super) async fn apply_twice(
        &self,
        sources: &Sources,
        plan: &Plan,
        later: Duration,
    ) -> (Ended, Ended, bool) {
        let clock = self.simulator.clock();
        let first = async {
            let (ended, begun) = self.process(sources, plan).await;
            (ended, begun, clock.now())
        };
        let second = async {
            clock.sleep(later).await;
            let (ended, begun) = self.process(sources, plan).await;
            (ended, begun, clock.now())
        };
        let ((one, begun, until), (two, second, over)) = clock.drive(join(first, second)).await;
        let overlap = begun.zip(second).is_some_and(|(one, two)| one < over && two < until);
        (one, two, overlap)
    }

    /// How it ended, and when it was about to write.
    async fn process(&self, sources: &Sources, plan: &Plan) -> (Ended, Option<Timestamp>) {
        let begun = Cell::new(None);
        let run = async {
            let mut session = self.session(sources).await?;
            let word = word(&session, plan, None, None)?;
            let (stop, clock) = (Stop::default(), self.simulator.clock());
            let confirm = |_: &Plan, _: &Sources| {
                begun.set(Some(clock.now()));
                Ok(true)
            };
            let order = Order {
                approved: plan,
                word,
                confirm: &confirm,
                stop: &stop,
                progress: &Silent,
                witness: None,
            };
            carry_out(&mut session, order).await
        };
        let death = self.simulator.faults().death();
        let ended = match select(std::pin::pin!(run), std::pin::pin!(death)).await {
            Either::Right(_) => Ended::Died,
            Either::Left((Ok(Some(report)), _)) => Ended::Report(report),
            Either::Left((Ok(None), _)) => Ended::Failed(Exit::Error, Vec::new()),
            Either::Left((Err(failure), _)) => {
                Ended::Failed(failure.exit.unwrap_or(Exit::Error), failure.findings)
            }
        };
        (ended, begun.get())
    }
}
