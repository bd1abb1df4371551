//! What the judges found: how often each had something to judge, and what was wrong.

use std::collections::BTreeMap;

use crate::model::Guard;

/// A judge: of a general rule, or of one guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Judge {
    /// It ends, in the same world as the same edits without faults.
    Converged,
    /// Nothing is made twice, and no write changes nothing.
    NothingTwice,
    /// What is asked for is there, and nobody else's access went.
    NothingLost,
    /// What is not ours is not touched, and what was not read is not taken away.
    Guard(Guard),
}

impl Judge {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let guards = Guard::ALL.into_iter().map(Self::Guard);
        [Self::Converged, Self::NothingTwice, Self::NothingLost].into_iter().chain(guards)
    }

    /// What it watches over, with the number of its invariant.
    pub(super) fn words(self) -> String {
        let guard = match self {
            Self::Converged => return "converged".to_owned(),
            Self::NothingTwice => return "nothing twice".to_owned(),
            Self::NothingLost => return "nothing lost".to_owned(),
            Self::Guard(guard) => guard,
        };
        let words = match guard {
            Guard::Approved => "nothing that was not approved",
            Guard::TimeToLive => "nothing of a plan too old",
            Guard::Coverage => "nothing removed from an incomplete scope",
            Guard::EmptyList => "nothing removed for an empty list",
            Guard::Caps => "no more removals than the caps",
            Guard::EmptyGroup => "no group emptied",
            Guard::OwnAccess => "whoever applies keeps his access",
            Guard::LastAdministrator => "enough administrators stay",
            Guard::Ownership => "nothing unowned touched",
            Guard::Order => "grants before revocations",
            Guard::Leavers => "leavers lose what they have",
            Guard::Idempotent => "applied twice, written once",
            Guard::Resume => "resumed from live",
            Guard::ReadUnknown => "read before it is tried again",
            Guard::Lag => "lag is waited for",
            Guard::Throttle => "throttles are waited out",
            Guard::Lock => "two never apply at once",
            Guard::Base => "without memory nothing goes",
        };
        format!("{:>2} {words}", guard.number())
    }
}

/// What one judge found.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    /// How often there was something to judge.
    pub(super) occasions: u64,
    /// What was wrong.
    pub(super) violations: Vec<String>,
}

/// What all judges found, and what was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Docket {
    pub(super) judges: BTreeMap<Judge, Findings>,
    /// Rounds, plans, applies and so on.
    pub(super) counts: BTreeMap<String, u64>,
}

impl Docket {
    /// A judge had something to judge; `wrong` is what was wrong.
    pub(super) fn judge(&mut self, judge: Judge, wrong: Option<String>) {
        let findings = self.judges.entry(judge).or_default();
        findings.occasions += 1;
        findings.violations.extend(wrong);
    }

    /// The judge of a guard had something to judge.
    pub(super) fn guard(&mut self, guard: Guard, wrong: Option<String>) {
        self.judge(Judge::Guard(guard), wrong);
    }

    /// Something happened so often.
    pub(super) fn count(&mut self, what: &str, times: u64) {
        *self.counts.entry(what.to_owned()).or_default() += times;
    }

    /// Takes another docket in.
    pub(super) fn merge(&mut self, other: &Self) {
        for (judge, findings) in &other.judges {
            let here = self.judges.entry(*judge).or_default();
            here.occasions += findings.occasions;
            here.violations.extend(findings.violations.iter().cloned());
        }
        for (what, times) in &other.counts {
            self.count(what, *times);
        }
    }

    /// How many violations there are.
    pub(super) fn violations(&self) -> usize {
        self.judges.values().map(|findings| findings.violations.len()).sum()
    }
}
