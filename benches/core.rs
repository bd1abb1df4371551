//! The core at scale: what a plan costs besides reading the world, for worlds of up to a million edges.
//!
//! `cargo bench --bench core [-- PEOPLE]`. Every size is made by one process and measured by another, so that the peak of
//! memory is the plan's own. Time is CPU time of the one thread there is. The yardstick is `serde_json` reading the same
//! world's snapshot file into plain structs of `String`s: whoever reads a world pays that much.
//! Invariant: ratios compare what was measured in one run. It must not judge: it prints.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may fail loudly")]

mod worlds;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rolecall::gate::{self, Rules};
use rolecall::model::plan::PLAN_FORMAT;
use rolecall::model::{
    Basis, Demand, Desired, Digest, Draft, Inventory, Ownership, Plan, Registry, Ruling, Schemas, Selection,
    Snapshot, Summary,
};
use rolecall::planner::{self, Input};
use rolecall::{providers, resolve};
use worlds::{Day, NOW, Size};

/// What the bar is for.
const PEOPLE: u64 = 100_000;
/// How often everything is measured; the median counts.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    match arguments.first().map(String::as_str) {
        Some("make") => make(Size::of(number(1).unwrap()), Path::new(&arguments[2])),
        Some("run") => run(Size::of(number(1).unwrap()), Path::new(&arguments[2])),
        _ => compare(number(0).unwrap_or(PEOPLE)),
    }
}

/// CPU time of this process so far: what other processes do does not count.
fn cpu() -> Duration {
    // The kernel brings the figure up to date when the thread gives way.
    std::thread::yield_now();
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    match text.split(' ').next().and_then(|text| text.parse().ok()) {
        Some(nanoseconds) => Duration::from_nanos(nanoseconds),
        None => wall(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the machine it runs on")]
fn wall() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The most memory that this process has had, in MiB.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// Time by phase, in the order of the phases.
#[derive(Default)]
struct Watch {
    phases: Vec<(String, Vec<Duration>)>,
}

impl Watch {
    fn time<T>(&mut self, phase: &str, work: impl FnOnce() -> T) -> T {
        let before = cpu();
        let done = black_box(work());
        let spent = cpu().saturating_sub(before);
        match self.phases.iter_mut().find(|(name, _)| name == phase) {
            Some((_, times)) => times.push(spent),
            None => self.phases.push((phase.to_owned(), vec![spent])),
        }
        done
    }

    fn print(mut self) {
        for (phase, times) in &mut self.phases {
            times.sort();
            println!("time {} {phase}", times[times.len() / 2].as_nanos());
        }
    }
}

/// What the engine is given besides files and people.
struct Wiring {
    registry: Registry,
    schemas: Schemas,
    now: Timestamp,
}

fn wiring(size: Size) -> Wiring {
    let registry = providers::registry();
    let tree = size.tree(Day::Today, &registry);
    let instances = tree.settings.providers.iter();
    let instances = instances
        .map(|(instance, settings)| {
            (instance.clone(), registry.provider(&settings.provider).unwrap().clone())
        })
        .collect();
    Wiring { registry, schemas: Schemas { instances }, now: NOW.parse().unwrap() }
}

/// Writes what was live after yesterday's apply, and what memory kept of it.
fn make(size: Size, folder: &Path) {
    let Wiring { registry, schemas, now } = wiring(size);
    let tree = size.tree(Day::Yesterday, &registry);
    let (inventory, _) = resolve::people(&tree, &size.records(Day::Yesterday), Vec::new(), Vec::new(), now);
    let desired = resolve::resolve(&tree, None, &inventory, &registry, now);
    let live = size.live(desired.grants.iter().map(|grant| grant.key));
    let nothing = plan(Draft::default(), &Snapshot::default());
    let demand = planner::remember(&desired, None, &nothing, &live, &schemas, &BTreeMap::new());
    fs::write(folder.join("snapshot.json"), serde_json::to_vec(&live).unwrap()).unwrap();
    fs::write(folder.join("demand.json"), serde_json::to_vec(&demand).unwrap()).unwrap();
}

fn plan(draft: Draft, live: &Snapshot) -> Plan {
    let (effects, effect) = Plan::effects_of(&draft.changes, &draft.held, &[], &[]);
    black_box(live);
    Plan {
        format: PLAN_FORMAT.to_owned(),
        id: String::new(),
        effect,
        effects,
        created: Timestamp::UNIX_EPOCH,
        expires: Timestamp::UNIX_EPOCH,
        tool: String::new(),
        base: Basis::default(),
        summary: Summary::of(&draft.changes),
        changes: draft.changes,
        amended: Vec::new(),
        waived: Vec::new(),
        held: draft.held,
        drift: draft.drift,
        unmanaged: draft.unmanaged,
        unclaimed: draft.unclaimed,
        findings: draft.findings,
        verdict: Ruling::Allowed,
        complete: true,
        simulated: true,
        zone: String::new(),
        quorums: Vec::new(),
        selection: Selection::default(),
    }
}

/// Makes the plan of one world over and over, and prints what it cost.
fn run(size: Size, folder: &Path) {
    let mut watch = Watch::default();
    let wiring = wiring(size);
    let (head, base) = watch.time("load both repos", || {
        (size.tree(Day::Today, &wiring.registry), size.tree(Day::Yesterday, &wiring.registry))
    });
    let demand: Demand = {
        let bytes = fs::read(folder.join("demand.json")).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let records = size.records(Day::Today);
    let file = fs::read(folder.join("snapshot.json")).unwrap();
    let live: Snapshot = watch.time("decode into ours", || serde_json::from_slice(&file).unwrap());
    drop(file);
    println!("fact {} people", records.len());
    println!("fact {} roles", head.roles.len());
    println!("fact {} resources", live.resources.len());
    println!("fact {} grants", live.grants.len());
    println!("memory {:.0} before", peak());
    for round in 0..ROUNDS {
        let sides = watch.time("resolve both", || {
            let (accounts, incomplete) = (Vec::new(), Vec::new());
            resolve::sides(&head, Some(&base), &records, accounts, incomplete, &wiring.registry, wiring.now)
        });
        let resolve::Sides { inventory, head: wanted, base: was, .. } = sides;
        // What the same costs that is not shared: the people of one side, and what they are to have.
        if round + 1 == ROUNDS {
            let (people, _) = watch.time("(people, one side)", || {
                resolve::people(&head, &records, Vec::new(), Vec::new(), wiring.now)
            });
            drop(watch.time("(resolve, one side)", || {
                resolve::resolve(&head, Some(&base), &people, &wiring.registry, wiring.now)
            }));
        }
        let own = |tree: &rolecall::manifest::Tree| tree.settings.own.clone();
        let (own_head, own_base): (Ownership, Ownership) = (own(&head), own(&base));
        let draft = watch.time("draft", || {
            planner::draft(&Input {
                head: &wanted,
                base: was.as_ref(),
                demand: Some(&demand),
                live: &live,
                own: &own_head,
                own_base: Some(&own_base),
                inventory: &inventory,
                apart: &wanted.apart,
                strangers: &planner::Strangers::new(),
                schemas: &wiring.schemas,
                revert: &[],
                heal: head.settings.heal,
                handover: head.settings.standing.handover,
                now: wiring.now,
            })
        });
        if round == 0 {
            println!("fact {} changes", draft.changes.len());
            println!("fact {} drifted", draft.drift.len());
            println!("fact {} held by the planner", draft.held.len());
            println!("fact {} findings", draft.findings.len());
        }
        let judged = watch.time("gate", || judge(draft, &head, &wanted, &inventory, &live, &wiring));
        watch.time("digests", || {
            let effects = Plan::effects_of(&judged.changes, &judged.held, &judged.waived, &[]);
            (
                effects,
                wiring.schemas.instances.keys().map(|instance| live.digest_of(instance)).collect::<Vec<_>>(),
            )
        });
        if round == 0 {
            println!("fact {} held by the gate", judged.held.len());
            println!("memory {:.0} peak", peak());
        }
        watch.time("(putting it all away)", || drop((judged, wanted, was, inventory)));
    }
    drop((live, demand));
    let file = fs::read(folder.join("snapshot.json")).unwrap();
    println!("fact {} bytes", file.len());
    for _ in 0..ROUNDS {
        let plain = watch.time("decode", || serde_json::from_slice::<plain::Snapshot>(&file).unwrap());
        println!("fact {} decoded", plain.grants.len() + plain.resources.len());
    }
    watch.print();
}

fn judge(
    draft: Draft,
    head: &rolecall::manifest::Tree,
    wanted: &Desired,
    inventory: &Inventory,
    live: &Snapshot,
    wiring: &Wiring,
) -> gate::Judged {
    let approved: BTreeSet<Digest> = BTreeSet::new();
    let callers = ["aws/222222222222:user/rolecall".parse().unwrap()];
    let rules = Rules {
        settings: &head.settings,
        apart: &[],
        waivers: &head.waivers,
        callers: &callers,
        live,
        head: wanted,
        base: None,
        inventory,
        schemas: &wiring.schemas,
        approved: &approved,
        now: wiring.now,
    };
    gate::judge(draft, &rules)
}

/// What anyone would write to read such a file.
mod plain {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is read for what reading costs")]
    pub(crate) struct Snapshot {
        pub(crate) resources: BTreeMap<String, Resource>,
        pub(crate) grants: Vec<Grant>,
        pub(crate) coverage: BTreeMap<String, serde_json::Value>,
        #[serde(default)]
        pub(crate) calls: BTreeMap<String, u64>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is read for what reading costs")]
    pub(crate) struct Resource {
        pub(crate) id: Option<String>,
        #[serde(default)]
        pub(crate) attributes: BTreeMap<String, serde_json::Value>,
        pub(crate) mastered: Option<String>,
        #[serde(default)]
        pub(crate) dependents: Vec<String>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "it is read for what reading costs")]
    pub(crate) struct Grant {
        pub(crate) resource: String,
        pub(crate) relation: String,
        pub(crate) principal: String,
        pub(crate) condition: Option<String>,
        #[serde(default)]
        pub(crate) attributes: BTreeMap<String, serde_json::Value>,
        pub(crate) via: Option<String>,
    }
}

/// What one process found out.
#[derive(Default)]
struct Measured {
    times: Vec<(String, Duration)>,
    facts: BTreeMap<String, u64>,
    memory: BTreeMap<String, f64>,
}

fn measure(people: u64) -> Measured {
    let folder = std::env::temp_dir().join(format!("rolecall-bench-{}-{people}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let child = |what: &str| {
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program)
            .arg(what)
            .arg(people.to_string())
            .arg(&folder)
            .stderr(std::process::Stdio::inherit())
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{what} of {people} failed");
        String::from_utf8(output.stdout).unwrap()
    };
    child("make");
    let text = child("run");
    fs::remove_dir_all(&folder).unwrap();
    let mut measured = Measured::default();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(sort), Some(number), Some(name)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        match sort {
            "time" => measured.times.push((name.to_owned(), Duration::from_nanos(number.parse().unwrap()))),
            "fact" => drop(measured.facts.insert(name.to_owned(), number.parse().unwrap())),
            _ => drop(measured.memory.insert(name.to_owned(), number.parse().unwrap())),
        }
    }
    measured
}

/// The phases that the bar is about.
const CORE: [&str; 4] = ["resolve both", "draft", "gate", "digests"];

/// Measures a world and one of half its size, and prints the table.
fn compare(people: u64) {
    let (half, whole) = (measure(people / 2), measure(people));
    let time = |of: &Measured, name: &str| {
        of.times.iter().find(|(phase, _)| phase == name).map_or(0.0, |(_, time)| time.as_secs_f64() * 1e3)
    };
    for (fact, number) in &whole.facts {
        println!("{number:>12} {fact}");
    }
    println!("\n{:<24}{:>12}{:>12}{:>10}{:>10}", "", "half (ms)", "whole (ms)", "growth", "/ decode");
    let decode = time(&whole, "decode");
    let row = |name: &str, half: f64, whole: f64| {
        println!("{name:<24}{half:>12.1}{whole:>12.1}{:>10.2}{:>10.2}", whole / half, whole / decode);
    };
    for (phase, _) in &whole.times {
        row(phase, time(&half, phase), time(&whole, phase));
    }
    let sum = |of: &Measured| CORE.iter().map(|phase| time(of, phase)).sum::<f64>();
    row("the core together", sum(&half), sum(&whole));
    let bytes = whole.facts["bytes"] as f64 / whole.facts["grants"] as f64;
    println!("\nsnapshot file: {bytes:.0} bytes a grant");
    println!(
        "memory: {:.0} MiB at the peak of the plan, {:.0} MiB before it (half the size: {:.0} MiB)",
        whole.memory["peak"], whole.memory["before"], half.memory["peak"]
    );
}
