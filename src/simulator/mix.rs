//! How often which fault happens by chance, and the chance itself.
//!
//! Invariant: the same seed gives the same numbers on every machine. It must not know what a fault does.

use serde::{Deserialize, Serialize};

use super::faults::Fault;

/// How many of a thousand calls suffer which fault.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mix {
    shares: Vec<Share>,
}

/// One fault's part of a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    fault: Fault,
    per_mille: u16,
}

/// All faults that a drawn mix can have.
const ALL: [Fault; 17] = [
    Fault::Throttled,
    Fault::ThrottledSilently,
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Html(502),
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::TimeoutAfter,
    Fault::Truncated,
    Fault::ShortPage,
    Fault::HollowPage,
    Fault::EmptyList,
    Fault::RepeatedCursor,
    Fault::WrongCounts,
    Fault::Denied,
    Fault::Unauthorized,
];

/// Those of them that a caller gets over by trying again: the first of [`ALL`].
const PASSING: usize = 10;

impl Mix {
    /// Nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// About `per_mille` of a thousand calls suffer something that trying again gets over: throttles, errors of the
    /// server, lost and broken answers, each as often as the others.
    #[must_use]
    pub fn even(per_mille: u16) -> Self {
        let parts = u16::try_from(PASSING).unwrap_or(1);
        let part = |at: u16| per_mille / parts + u16::from(at < per_mille % parts);
        let shares = ALL.into_iter().take(PASSING).zip(0..);
        Self { shares: shares.map(|(fault, at)| Share { fault, per_mille: part(at) }).collect() }
    }

    /// What belongs to a seed: some of all the faults there are, each up to thirty times in a thousand calls.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut dice = Dice::seeded(seed);
        let mut mix = Self::none();
        for fault in ALL {
            let (there, often) = (dice.below(3) == 0, dice.below(30) + 1);
            if there {
                mix = mix.with(fault, u16::try_from(often).unwrap_or(1));
            }
        }
        mix
    }

    /// The same with this share of that fault.
    #[must_use]
    pub fn with(mut self, fault: Fault, per_mille: u16) -> Self {
        self.shares.retain(|share| share.fault != fault);
        self.shares.push(Share { fault, per_mille });
        self
    }

    /// How many of a thousand calls suffer this.
    #[must_use]
    pub fn share(&self, fault: Fault) -> u16 {
        self.shares.iter().filter(|share| share.fault == fault).map(|share| share.per_mille).sum()
    }

    /// What happens to a call.
    pub(super) fn draw(&self, dice: &mut Dice) -> Option<Fault> {
        let mut drawn = dice.below(1000);
        self.shares.iter().find_map(|share| {
            let hit = drawn < u64::from(share.per_mille);
            drawn = drawn.saturating_sub(u64::from(share.per_mille));
            hit.then_some(share.fault)
        })
    }
}

/// Numbers that a seed makes repeatable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from nothing up to, but not including, `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // SplitMix64: each step of the counter, well mixed, is a number of its own.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(mix: &Mix, seed: u64) -> Vec<Option<Fault>> {
        let mut dice = Dice::seeded(seed);
        (0..10_000).map(|_| mix.draw(&mut dice)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_faults_and_about_as_many_as_asked() {
        let mix = Mix::even(305).with(Fault::Denied, 0);
        assert_eq!(drawn(&mix, 7), drawn(&mix, 7));
        assert_ne!(drawn(&mix, 7), drawn(&mix, 8));
        let of = |fault| drawn(&mix, 7).iter().filter(|drawn| **drawn == Some(fault)).count();
        for fault in ALL.into_iter().take(PASSING) {
            assert!((30..=31).contains(&mix.share(fault)));
            assert!((200..400).contains(&of(fault)), "{fault:?}: {}", of(fault));
        }
        assert_eq!(ALL.into_iter().map(|fault| mix.share(fault)).sum::<u16>(), 305);
        assert_eq!(of(Fault::Denied) + of(Fault::EmptyList), 0);
    }

    #[test]
    fn mixes_are_drawn_and_every_fault_is_in_some() {
        assert_eq!(Mix::drawn(3), Mix::drawn(3));
        let mixes: Vec<_> = (0..100).map(Mix::drawn).collect();
        assert!(ALL.into_iter().all(|fault| mixes.iter().any(|mix| mix.share(fault) > 0)));
        assert!(mixes.iter().all(|mix| ALL.into_iter().map(|fault| mix.share(fault)).sum::<u16>() < 600));
    }
}
