//! What goes wrong in a round, drawn from the dice.

use std::time::Duration;

use super::dice::Dice;
use super::site::Site;
use crate::apply::disk::Crash;
use crate::simulator::{Fault, Lag, Latency, Mix, Planned, When};

/// What the network and the vendors do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Network {
    /// Nothing.
    Calm,
    /// Some calls suffer something that trying again gets over.
    Passing(u16),
    /// Some calls suffer anything.
    Any(u64),
    /// Some calls are throttled, with or without a word on when to come back.
    Throttles(u16),
    /// The answers of some writes are lost, though they took effect.
    Lost(u16),
    /// Reads lag behind writes.
    Lag { okta: u64, iam: u64, replicas: bool },
    /// Reads lag, and answers are lost.
    LostInLag { okta: u64, iam: u64 },
    /// This cannot be read: all such calls are denied, but for the first so many.
    Blind(&'static str, u32),
    /// These lists are empty.
    Empty(&'static str),
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// At a call, before it is carried out or after.
    Call(u64, bool),
    /// After so many writes.
    Writes(u64),
    /// At something that is to last on disk.
    Disk(u64, Crash),
    /// It does not, but the disk is full.
    Full(u64),
}

/// What somebody does while we are at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// YAML changes after the plan was approved.
    Unapproved,
    /// The plan is left until it is too old.
    Aged,
    /// Somebody edits live between plan and apply.
    Between,
    /// Somebody edits live in the middle of the apply.
    During,
    /// Somebody changes the very field that the plan changes.
    Moved,
    /// A second apply begins while one runs.
    Twice,
}

/// What goes wrong in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) network: Network,
    pub(super) latency: Latency,
    /// How far the server's clock is ahead, in seconds.
    pub(super) skew: i64,
    pub(super) death: Option<Death>,
    pub(super) event: Option<Event>,
    /// Whether planning suffers from it too.
    pub(super) planning: bool,
    /// How many goes it lasts.
    pub(super) goes: usize,
    seed: u64,
}

impl Trouble {
    /// Nothing at all.
    pub(super) fn none() -> Self {
        Self {
            network: Network::Calm,
            latency: Latency::default(),
            skew: 0,
            death: None,
            event: None,
            planning: false,
            goes: 0,
            seed: 0,
        }
    }

    /// What goes wrong in a round.
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let seed = dice.next();
        let per_mille = |dice: &mut Dice| u16::try_from(dice.between(20, 250)).unwrap_or(20);
        let seconds = |dice: &mut Dice, most| u64::try_from(dice.between(1, most)).unwrap_or(1);
        let network = match dice.below(100) {
            0..26 => Network::Calm,
            26..38 => Network::Passing(per_mille(dice)),
            38..46 => Network::Any(dice.next()),
            46..56 => Network::Throttles(per_mille(dice)),
            // So few that no read is ever given up.
            56..66 => Network::Lost(20 + per_mille(dice) / 5),
            66..76 => {
                let replicas = dice.percent(50);
                Network::Lag { okta: seconds(dice, 4), iam: seconds(dice, 8), replicas }
            }
            76..80 => Network::LostInLag { okta: seconds(dice, 3), iam: seconds(dice, 6) },
            80..92 => {
                let (action, most) = dice.pick(&READS).copied().unwrap_or(READS[0]);
                Network::Blind(action, u32::try_from(dice.below(most)).unwrap_or(0))
            }
            _ => Network::Empty(dice.pick(&LISTS).copied().unwrap_or(LISTS[0])),
        };
        let death = dice.percent(35).then(|| {
            let n = u64::try_from(dice.below(40)).unwrap_or(1);
            match dice.below(8) {
                0..2 => Death::Call(n + 1, dice.percent(50)),
                2..4 => Death::Writes(n % 8),
                4..7 => {
                    let torn = Crash::Torn(dice.below(200));
                    Death::Disk(
                        n % 20,
                        dice.pick(&[Crash::Before, torn, Crash::After]).copied().unwrap_or(torn),
                    )
                }
                _ => Death::Full(u64::try_from(dice.below(20_000)).unwrap_or(0)),
            }
        });
        let event = match dice.below(100) {
            0..8 => Some(Event::Unapproved),
            8..14 => Some(Event::Aged),
            14..22 => Some(Event::Between),
            22..30 => Some(Event::During),
            30..36 => Some(Event::Moved),
            36..44 => Some(Event::Twice),
            _ => None,
        };
        let ms = u64::try_from(dice.between(20, 300)).unwrap_or(20);
        // Two can meet only where things take time.
        let latency = if dice.percent(50) || event == Some(Event::Twice) {
            Latency { ms, jitter_ms: ms / 2 }
        } else {
            Latency::default()
        };
        let skew = if dice.percent(10) { i64::try_from(dice.below(240)).unwrap_or(0) - 120 } else { 0 };
        Self {
            network,
            latency,
            skew,
            death,
            event,
            planning: dice.percent(15),
            goes: dice.between(1, 2),
            seed,
        }
    }

    /// Lets it begin.
    pub(super) fn begin(&self, site: &Site, with_death: bool) {
        let faults = site.simulator.faults();
        faults.latency(self.latency);
        faults.skew(self.skew);
        let every = |action: &str, skip, fault| {
            faults.plan(Planned { action: action.to_owned(), skip, times: u32::MAX, fault });
        };
        match &self.network {
            Network::Calm => {}
            Network::Passing(per_mille) => faults.seeded(self.seed, Mix::even(*per_mille)),
            Network::Any(seed) => faults.seeded(self.seed, Mix::drawn(*seed)),
            Network::Throttles(per_mille) => {
                let half = per_mille / 2;
                let mix = Mix::none().with(Fault::Throttled, half).with(Fault::ThrottledSilently, half);
                faults.seeded(self.seed, mix);
            }
            Network::Lost(per_mille) => faults.seeded(self.seed, lost(*per_mille)),
            Network::Lag { okta, iam, replicas } => {
                faults.lag(Lag { okta: *okta, iam: *iam, replicas: *replicas, ..Lag::default() });
            }
            Network::LostInLag { okta, iam } => {
                faults.lag(Lag { okta: *okta, iam: *iam, replicas: true, ..Lag::default() });
                faults.seeded(self.seed, lost(60));
            }
            Network::Blind(action, skip) => every(action, *skip, Fault::Denied),
            Network::Empty(action) => every(action, 0, Fault::EmptyList),
        }
        match self.death.filter(|_| with_death) {
            None => {}
            Some(Death::Call(n, after)) => {
                faults.die_at_call(n, if after { When::After } else { When::Before });
            }
            Some(Death::Writes(n)) => faults.fail_after_writes(n),
            Some(Death::Disk(n, how)) => site.disk.crash(n, how),
            Some(Death::Full(bytes)) => site.disk.room(Some(bytes)),
        }
    }

    /// Ends it; the dead live again, with what they kept. Whether anybody had died.
    pub(super) fn end(site: &Site) -> bool {
        let faults = site.simulator.faults();
        let died = faults.is_dead();
        faults.clear();
        site.disk.room(None);
        site.disk.revive() || died
    }

    /// Whether there is none.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::none()
    }

    /// Whether nothing goes wrong but what this says.
    pub(super) fn is_only(&self, network: bool) -> bool {
        let calm = network || self.network == Network::Calm;
        calm && self.death.is_none() && self.event.is_none() && !self.planning
    }
}

/// How long it takes until somebody tries again.
pub(super) const PAUSE: Duration = Duration::from_secs(90);

/// Reads, and how many of them may pass before the others are denied.
const READS: [(&str, usize); 5] = [
    ("GET /groups/{id}/users", 6),
    ("GET /groups", 2),
    ("GET /users", 3),
    ("iam:GetAccountAuthorizationDetails", 2),
    ("GET /groups/{id}/users", 1),
];

/// Lists that can be empty.
const LISTS: [&str; 4] = ["GET /groups/{id}/users", "GET /groups", "GET /users", "GET /groups/{id}/users"];

fn lost(per_mille: u16) -> Mix {
    let third = per_mille / 3 + 1;
    let mix = Mix::none().with(Fault::ResetAfter, third).with(Fault::TimeoutAfter, third);
    mix.with(Fault::Truncated, third)
}
