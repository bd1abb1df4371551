//! One seed: an organization, and several rounds of edits, trouble, and an engineer who goes on until nothing is left.
//!
//! Invariant: everything follows from the seed. It must not judge: it hands what happened to the judges.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::dice::Dice;
use super::docket::{Docket, Judge};
use super::facts::{Fact, facts, okta_group};
use super::go::{Go, writes};
use super::judges;
use super::repo::{Repo, TTL_DAYS};
use super::site::{Ended, Site};
use super::trouble::{Event, PAUSE, Trouble};
use super::{edits, world};
use crate::model::Plan;
use crate::simulator::{Edit, PlannedEdit, When};

/// How many goes an engineer has to bring a round to its end.
const MOST_GOES: usize = 16;

/// What becomes of one seed.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) docket: Docket,
    /// What happened, line by line.
    pub(super) log: Vec<String>,
}

/// Runs one seed.
pub(super) async fn seed(seed: u64) -> Told {
    let mut dice = Dice::of(seed, 1);
    let start: Timestamp = START.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let (world, repo) = world::draw(&mut dice, start);
    let mut told = Told::default();
    let site = match Site::of(world) {
        Ok(site) => site,
        Err(error) => {
            told.docket.judge(Judge::Converged, Some(format!("the world cannot be made: {error}")));
            return told;
        }
    };
    let rounds = dice.between(2, 4);
    let mut run = Run {
        dice,
        site,
        repo,
        base: None,
        ours: BTreeSet::new(),
        lost: BTreeSet::new(),
        dropped: BTreeSet::new(),
        moved: BTreeSet::new(),
        n: 0,
        told,
    };
    for round in 0..rounds {
        run.told.docket.count("rounds", 1);
        run.told.log.push(format!("round {round}, {}", run.site.now()));
        run.round(round).await;
        if run.told.docket.violations() > 0 {
            break;
        }
    }
    let requests = run.site.simulator.requests();
    run.told.docket.count("calls", requests);
    for (fault, times) in run.site.simulator.faults().met() {
        run.told.docket.count(&format!("fault {fault:?}"), times);
    }
    run.told
}

/// When it is at first.
const START: &str = "2026-11-22T12:00:00Z";

pub(super) struct Run {
    dice: Dice,
    pub(super) site: Site,
    pub(super) repo: Repo,
    /// What the memory's base is of.
    pub(super) base: Option<Repo>,
    /// All edges that any applied access repo ever asked for.
    pub(super) ours: BTreeSet<Fact>,
    /// What somebody took away by hand, and may stay away as drift.
    pub(super) lost: BTreeSet<Fact>,
    /// Things that were declared once and are not any more.
    pub(super) dropped: BTreeSet<String>,
    /// Who has moved since the last round ended.
    pub(super) moved: BTreeSet<String>,
    n: usize,
    pub(super) told: Told,
}

/// What a round was.
pub(super) struct Round {
    /// The repo before its edits.
    pub(super) before: Repo,
    /// Live after the edits and before anything was applied.
    pub(super) live: crate::simulator::World,
    pub(super) from: Timestamp,
    pub(super) goes: Vec<Go>,
    pub(super) trouble: Trouble,
    /// What others did to live while it went on.
    pub(super) others: Vec<Edit>,
    /// The same without trouble.
    pub(super) twin: Option<Twin>,
    /// What the last plan still holds, as targets.
    pub(super) held: BTreeSet<String>,
    /// Those of them that a cap holds.
    pub(super) capped: BTreeSet<String>,
    /// The group that is to be described, and that somebody else describes otherwise.
    pub(super) moved: Option<String>,
    /// An edge that YAML asks for since the plan was approved.
    pub(super) unapproved: Option<Fact>,
}

/// What came of the same edits without trouble.
pub(super) struct Twin {
    pub(super) world: crate::simulator::World,
    pub(super) goes: usize,
    /// What a cap holds at last, as targets.
    pub(super) capped: BTreeSet<String>,
}

impl Run {
    fn say(&mut self, text: impl Into<String>) {
        self.told.log.push(format!("  {}", text.into()));
    }

    async fn round(&mut self, number: usize) {
        let trouble = if number == 0 && self.dice.percent(60) {
            Trouble::none()
        } else {
            Trouble::draw(&mut self.dice)
        };
        let before = self.repo.clone();
        let departments = self.site.simulator.world();
        self.edit(number).await;
        self.say(format!("{trouble:?}"));
        let Ok(fork) = self.site.fork() else { return };
        self.moved = moved(&departments, &self.site.simulator.world());
        self.dropped.extend(super::go::dropped(&before, &self.repo));
        let mut round = Round {
            before,
            live: self.site.simulator.world(),
            from: self.site.now(),
            goes: Vec::new(),
            trouble,
            others: Vec::new(),
            twin: None,
            held: BTreeSet::new(),
            capped: BTreeSet::new(),
            moved: None,
            unapproved: None,
        };
        self.play(&mut round).await;
        if self.told.docket.violations() == 0 {
            // Where nothing went wrong the same once more would be the same once more.
            round.twin = if round.trouble.is_none() {
                Some(Twin {
                    world: self.site.simulator.world(),
                    goes: round.goes.len(),
                    capped: round.capped.clone(),
                })
            } else {
                self.twin(fork, &round).await
            };
            judges::round(self, &round);
        }
    }

    /// Edits what is asked for and what is there.
    async fn edit(&mut self, number: usize) {
        if number == 0 {
            return;
        }
        let (repo, world) = (self.repo.clone(), self.site.simulator.world());
        for _ in 0..self.dice.between(1, 4) {
            self.n += 1;
            let (n, dice) = (self.n, &mut self.dice);
            let known = self.site.simulator.world();
            let text = match dice.below(20) {
                0..9 => edits::of_repo(dice, &mut self.repo, &known, n),
                9..14 => self.on_live(|dice, world, _| edits::of_people(dice, world, n)),
                14..17 => self.on_live(|dice, world, repo| edits::by_hand(dice, world, repo, n)),
                17 | 18 => {
                    let days = u64::try_from(dice.between(1, 30)).unwrap_or(1);
                    self.site.simulator.clock().advance(Duration::from_secs(days * 86_400));
                    format!("{days} days pass")
                }
                _ if dice.percent(60) => {
                    self.site.disk = crate::apply::disk::MemoryDisk::new();
                    self.base = None;
                    "the memory is lost".to_owned()
                }
                _ => continue,
            };
            self.say(text);
        }
        if let Some(why) = self.can_be_planned(&self.repo.clone()).await {
            // Nobody can merge what cannot be planned, and an edit of live can make YAML wrong; somebody puts that right
            // before anything else.
            self.say(format!("(not: what is there cannot be planned: {why})"));
            let restored = self.site.simulator.edit(|now| now.okta = world.okta.clone());
            self.repo = repo;
            if self.can_be_planned(&self.repo.clone()).await.is_some() {
                self.repo.mend(&world);
            }
            self.told.docket.count("edits that were put right", u64::from(restored.is_ok()));
        }
        if self.base.is_none() {
            // Without memory, what was given where nobody names it any more is nobody's from now on.
            let named = self.repo.names();
            self.ours.retain(|fact| fact.things().iter().any(|thing| named.contains(*thing)));
        }
    }

    /// Edits live, and notes what was taken away by that.
    fn on_live(
        &mut self,
        edit: impl FnOnce(&mut Dice, &mut crate::simulator::World, &Repo) -> String,
    ) -> String {
        let before = facts(&self.site.simulator.world());
        let (dice, repo) = (&mut self.dice, &self.repo);
        let done = self.site.simulator.edit(|world| edit(dice, world, repo));
        let after = facts(&self.site.simulator.world());
        self.lost.extend(before.into_keys().filter(|fact| !after.contains_key(fact)));
        done.unwrap_or_else(|error| format!("(not: {error})"))
    }

    /// Why an access repo cannot be planned, without trouble.
    async fn can_be_planned(&self, repo: &Repo) -> Option<String> {
        let fork = self.site.fork().ok()?;
        let failure = fork.plan(&repo.sources()).await.err()?;
        Some(failure.findings.first().map_or_else(String::new, |finding| finding.to_string()))
    }

    /// Plans, has trouble, applies, and goes on until nothing is left.
    async fn play(&mut self, round: &mut Round) {
        if round.trouble.event == Some(Event::Moved) {
            self.describe(round);
        }
        if round.trouble.planning {
            round.trouble.begin(&self.site, false);
        }
        let mut plan = self.plan().await;
        Trouble::end(&self.site);
        self.happens_between(round);
        let (mut resumes, mut failed) = (false, 0);
        for number in 0..MOST_GOES {
            self.site.simulator.clock().advance(PAUSE);
            let Some(approved) = &plan else {
                plan = self.plan().await;
                resumes = false;
                continue;
            };
            let troubled = number < round.trouble.goes;
            let trouble = troubled.then(|| round.trouble.clone());
            let approved = approved.clone();
            let go = self.go(round, &approved, trouble, number == 0, resumes).await;
            let (converged, stale, died) =
                (go.ended.converged(), go.ended.is_stale(), matches!(go.ended, Ended::Died));
            self.say(format!("{} writes, {}", go.writes.len(), go.ended.words()));
            if let Ended::Report(report) = &go.ended {
                self.told.log.extend(report.steps.iter().map(|step| {
                    let why = step.message.as_deref().unwrap_or_default();
                    format!("    {:?}: {} {} {why}", step.state, step.op, step.target)
                }));
                self.told.log.extend(report.held.iter().map(|held| {
                    format!(
                        "    after: held {:?}: {} {}: {}",
                        held.why,
                        held.change.op,
                        held.change.target(),
                        held.text
                    )
                }));
                self.told.log.extend(report.left.iter().map(|left| format!("    left: {left}")));
            }
            self.told.log.extend(go.writes.iter().map(|write| {
                let did: Vec<String> = write.did.iter().map(ToString::to_string).collect();
                format!("    {}: {}", write.action, did.join(", "))
            }));
            judges::go(self, round, &go);
            round.goes.push(go);
            if self.told.docket.violations() > 0 {
                return;
            }
            resumes = true;
            if converged && !troubled {
                match self.plan().await {
                    Some(left) if left.changes.iter().any(|change| change.op.writes()) => {
                        self.say(format!("{} changes are left", left.changes.len()));
                        plan = Some(left);
                        resumes = false;
                        continue;
                    }
                    Some(last) => return self.settle(round, &last).await,
                    None => continue,
                }
            }
            failed += usize::from(!troubled && !died);
            if converged || stale || failed > 1 {
                plan = self.plan().await;
                (resumes, failed) = (false, 0);
            }
        }
        let left = plan.map(|plan| plan.changes.iter().map(|c| format!("{} {}", c.op, c.target())).collect());
        let left: Vec<String> = left.unwrap_or_default();
        let wrong = format!("after {MOST_GOES} goes there is no end; left: {}", left.join(", "));
        self.told.docket.judge(Judge::Converged, Some(wrong));
    }

    /// Applies what has nothing left, which must write nothing.
    async fn settle(&mut self, round: &mut Round, last: &Plan) {
        round.held = last.held.iter().map(|held| held.change.target()).collect();
        round.capped = capped(last);
        self.site.simulator.clock().advance(PAUSE);
        self.site.simulator.watch();
        let ended = self.site.apply(&self.repo.sources(), last).await;
        let again = writes(&self.site);
        let wrong = (!again.is_empty() || !ended.converged()).then(|| {
            let actions: Vec<&str> = again.iter().map(|write| write.action.as_str()).collect();
            format!("an apply of nothing: {}, and wrote {}", ended.words(), actions.join(", "))
        });
        self.told.docket.guard(crate::model::Guard::Idempotent, wrong);
        if ended.converged() {
            self.base = Some(self.repo.clone());
        }
    }

    async fn plan(&mut self) -> Option<Plan> {
        self.told.docket.count("plans", 1);
        match self.site.plan(&self.repo.sources()).await {
            Ok(plan) => {
                self.tell(&plan);
                Some(plan)
            }
            Err(failure) => {
                let first = failure.findings.first().map_or_else(String::new, ToString::to_string);
                self.say(format!("no plan: {first}"));
                None
            }
        }
    }

    fn tell(&mut self, plan: &Plan) {
        let change =
            |change: &crate::model::Change| format!("{} {} ({:?})", change.op, change.target(), change.cause);
        for one in &plan.changes {
            self.say(format!("  {}", change(one)));
        }
        for held in &plan.held {
            self.say(format!("  held {:?}: {}", held.why, change(&held.change)));
        }
        for drift in &plan.drift {
            self.say(format!("  drift: {}", change(&drift.change)));
        }
    }

    async fn go(
        &mut self,
        round: &mut Round,
        plan: &Plan,
        trouble: Option<Trouble>,
        first: bool,
        resumes: bool,
    ) -> Go {
        self.told.docket.count("applies", 1);
        let sources = self.repo.sources();
        let (world, from) = (self.site.simulator.world(), self.site.now());
        let before = facts(&world);
        let mut others = Vec::new();
        if let Some(trouble) = &trouble {
            trouble.begin(&self.site, first);
            if first && trouble.event == Some(Event::During) {
                others = self.somebody_edits(2);
                for edit in &others {
                    let skip = u32::try_from(self.dice.below(25)).unwrap_or(0);
                    let when = if self.dice.percent(50) { When::Before } else { When::After };
                    let edit = PlannedEdit { action: "*".into(), skip, when, edit: edit.clone() };
                    self.site.simulator.faults().edit(edit);
                }
            }
        }
        self.site.simulator.watch();
        let twice = first && trouble.as_ref().is_some_and(|trouble| trouble.event == Some(Event::Twice));
        let (ended, second) = if twice {
            let later = Duration::from_millis(u64::try_from(self.dice.below(3000)).unwrap_or(0));
            let (ended, second, overlap) = self.site.apply_twice(&sources, plan, later).await;
            (ended, Some((second, overlap)))
        } else {
            (self.site.apply(&sources, plan).await, None)
        };
        let died = Trouble::end(&self.site);
        self.told.docket.count("crashes", u64::from(died));
        let end = self.site.simulator.world();
        let writes = writes(&self.site);
        self.told.docket.count("writes", writes.len() as u64);
        round.others.extend(others.iter().cloned());
        let base = self.base.clone();
        self.ours.extend(self.repo.wants(&world, from));
        // Who dies may have got as far as that.
        if self.site.memory().sources().ok().flatten().is_some_and(|verified| verified == sources) {
            self.base = Some(self.repo.clone());
        }
        let (after, until) = (facts(&end), self.site.now());
        let repo = self.repo.clone();
        self.ours.extend(repo.wants(&end, until));
        Go {
            repo,
            base,
            trouble,
            resumes,
            before,
            after,
            world,
            end,
            from,
            until,
            writes,
            ended,
            second,
            others,
        }
    }

    /// What happens between the plan and its apply.
    fn happens_between(&mut self, round: &mut Round) {
        match round.trouble.event {
            Some(Event::Unapproved) => {
                let (world, now) = (self.site.simulator.world(), self.site.now());
                match edits::unapproved(&mut self.dice, &mut self.repo, &world, now) {
                    Some((text, edge)) => {
                        self.say(text);
                        round.unapproved = Some(edge);
                    }
                    None => round.trouble.event = None,
                }
            }
            Some(Event::Aged) => {
                let days = u64::try_from(TTL_DAYS).unwrap_or(7);
                self.site.simulator.clock().advance(Duration::from_secs(days * 86_400 + 60));
                self.say("the plan grows old");
            }
            Some(Event::Between) => {
                for edit in self.somebody_edits(2) {
                    // What no longer fits changes nothing.
                    let _ = self.site.simulator.edit(|world| edit.make(world));
                    round.others.push(edit);
                }
            }
            Some(Event::Moved) => {
                if let Some(name) = &round.moved {
                    describe(&self.site, name);
                }
            }
            _ => {}
        }
    }

    /// What somebody else is going to do to live, or does now.
    fn somebody_edits(&mut self, most: usize) -> Vec<Edit> {
        let world = self.site.simulator.world();
        let groups: Vec<(String, Vec<String>)> = world
            .okta
            .groups
            .values()
            .map(|group| (group.name.clone(), group.members.iter().cloned().collect()))
            .collect();
        let logins: Vec<String> = world.okta.users.keys().cloned().collect();
        let mut edits = Vec::new();
        for _ in 0..self.dice.between(1, most) {
            let Some((group, members)) = self.dice.one(groups.clone()) else { continue };
            let edit = match self.dice.below(10) {
                0..5 => self.dice.one(logins.clone()).map(|login| Edit::AddMember { group, login }),
                5..9 => self.dice.one(members).map(|login| Edit::RemoveMember { group, login }),
                _ => Some(Edit::DeleteGroup { group }),
            };
            edits.extend(edit);
        }
        for edit in &edits {
            self.say(format!("somebody else: {edit:?}"));
            let before = facts(&self.site.simulator.world());
            self.lost.extend(before.into_keys().filter(|fact| super::go::touches(edit, fact)));
        }
        edits
    }

    /// Asks for another description of a group that is there.
    fn describe(&mut self, round: &mut Round) {
        let live = facts(&self.site.simulator.world());
        let there = |name: &&String| live.contains_key(&Fact::Thing(okta_group(name)));
        let base = self.base.as_ref().map(|base| base.groups.keys().cloned().collect::<BTreeSet<_>>());
        let known = |name: &&String| base.as_ref().is_some_and(|base| base.contains(*name));
        let names: Vec<String> = self.repo.groups.keys().filter(there).filter(known).cloned().collect();
        match self.dice.one(names) {
            Some(name) => {
                self.n += 1;
                if let Some(group) = self.repo.groups.get_mut(&name) {
                    group.description = Some(format!("asked {}", self.n));
                }
                self.say(format!("group {name} is to be described"));
                round.moved = Some(name);
            }
            None => round.trouble.event = None,
        }
    }

    /// The same edits without any trouble.
    async fn twin(&mut self, fork: Site, round: &Round) -> Option<Twin> {
        let passed = self.site.now().duration_since(fork.now());
        fork.simulator.clock().advance(passed.unsigned_abs());
        for edit in &round.others {
            // What no longer fits changes nothing.
            let _ = fork.simulator.edit(|world| edit.make(world));
        }
        if let Some(name) = &round.moved {
            describe(&fork, name);
        }
        let sources = self.repo.sources();
        for goes in 0..MOST_GOES {
            let plan = fork.plan(&sources).await.ok()?;
            if goes > 0 && !plan.changes.iter().any(|change| change.op.writes()) {
                return Some(Twin { world: fork.simulator.world(), goes, capped: capped(&plan) });
            }
            fork.simulator.clock().advance(PAUSE);
            let ended = fork.apply(&sources, &plan).await;
            if !ended.converged() {
                self.say(format!("without trouble: {}", ended.words()));
            }
        }
        None
    }
}

/// What a cap holds, as targets.
fn capped(plan: &Plan) -> BTreeSet<String> {
    let held = plan.held.iter().filter(|held| held.why == crate::model::Why::Capped);
    held.map(|held| held.change.target()).collect()
}

/// Whose department is another one than it was.
fn moved(before: &crate::simulator::World, after: &crate::simulator::World) -> BTreeSet<String> {
    let department = |user: &crate::simulator::OktaUser| user.profile.get("department").cloned();
    let moved = after.okta.users.values().filter(|user| {
        before.okta.users.get(&user.login).is_some_and(|before| department(before) != department(user))
    });
    moved.map(|user| super::facts::handle(&user.login).to_owned()).collect()
}

/// Somebody describes a group.
fn describe(site: &Site, name: &str) {
    let edit = |world: &mut crate::simulator::World| {
        if let Some(group) = world.okta.group_named(name) {
            group.description = Some("somebody else's".to_owned());
        }
    };
    // A group that is gone is described by nobody.
    let _ = site.simulator.edit(edit);
}
