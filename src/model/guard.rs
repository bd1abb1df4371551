//! The guards: what keeps an apply from doing harm, each under the number of its invariant.
//!
//! Invariant: in every build that people are given all of them hold. Only a build with the feature `unguarded`, which
//! `soak --without-guard` needs to show that it can see, can be without one.
//! It must not be asked for anything but a check that a numbered invariant demands.

/// A guard that the soak can be told to do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Guard {
    /// What was not approved, or rests on values that have changed, is refused.
    Approved = 9,
    /// A plan that is too old is refused.
    TimeToLive = 10,
    /// What was not read whole loses nothing.
    Coverage = 11,
    /// A list that is empty all of a sudden takes nothing away.
    EmptyList = 12,
    /// Too many removals are held.
    Caps = 14,
    /// A group does not become empty by accident.
    EmptyGroup = 15,
    /// Whoever applies keeps the access that it takes.
    OwnAccess = 16,
    /// Enough administrators stay.
    LastAdministrator = 17,
    /// What is not ours is not touched.
    Ownership = 19,
    /// Grants come before revocations, but for those who leave.
    Order = 21,
    /// Leavers are held up by nothing that may not hold them up.
    Leavers = 22,
    /// What is true already is not written.
    Idempotent = 23,
    /// A run that was killed goes on from what is live.
    Resume = 24,
    /// What may have been done is looked at before it is done again.
    ReadUnknown = 25,
    /// What was written is given time to be seen.
    Lag = 27,
    /// A throttle is waited out.
    Throttle = 28,
    /// Two runs never apply at once.
    Lock = 29,
    /// Without base nothing is taken away.
    Base = 44,
}

impl Guard {
    /// All of them, by number.
    pub const ALL: [Self; 18] = [
        Self::Approved,
        Self::TimeToLive,
        Self::Coverage,
        Self::EmptyList,
        Self::Caps,
        Self::EmptyGroup,
        Self::OwnAccess,
        Self::LastAdministrator,
        Self::Ownership,
        Self::Order,
        Self::Leavers,
        Self::Idempotent,
        Self::Resume,
        Self::ReadUnknown,
        Self::Lag,
        Self::Throttle,
        Self::Lock,
        Self::Base,
    ];

    /// The number of its invariant.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether it holds.
    #[cfg(not(feature = "unguarded"))]
    #[must_use]
    #[inline]
    pub const fn holds(self) -> bool {
        true
    }

    /// Whether it holds.
    #[cfg(feature = "unguarded")]
    #[must_use]
    pub fn holds(self) -> bool {
        WITHOUT.load(std::sync::atomic::Ordering::Relaxed) != self.number()
    }

    /// From now on it does not hold in this process.
    #[cfg(feature = "unguarded")]
    pub fn give_up(self) {
        WITHOUT.store(self.number(), std::sync::atomic::Ordering::Relaxed);
    }
}

/// The number of the guard that does not hold; 0 for none.
#[cfg(feature = "unguarded")]
static WITHOUT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
