//! Carrying out what was approved: what is still approved, the disk, the journal, the memory, the executor.
//!
//! Invariant: the plan that is executed is a fresh one, and nothing in it is written that was not approved.
//! It must not plan or render: it gets plans, and gives a report.

use crate::model::Code;

pub mod approve;
pub mod disk;
pub mod executor;
pub mod journal;
pub mod memory;

#[cfg(test)]
mod fixture;

/// The approved plan is older than its time to live.
pub const EXPIRED: Code = Code { code: "RC601", title: "the approved plan has expired" };
/// The approved plan was carried out already.
pub const FINISHED: Code = Code { code: "RC602", title: "the approved plan was carried out already" };
/// The fresh plan wants something that was not approved.
pub const NOT_APPROVED: Code = Code { code: "RC603", title: "a change that was not approved" };
/// Something that was approved is neither wanted any more nor true.
pub const MISSING: Code = Code { code: "RC604", title: "an approved change is not wanted any more" };
/// What an approved change rests on has changed.
pub const MOVED: Code = Code { code: "RC605", title: "what an approved change rests on has changed" };
/// Nobody approved the effects.
pub const NO_APPROVAL: Code = Code { code: "RC606", title: "the effects were not approved" };
/// The lock is taken, or cannot be reached.
pub const LOCKED: Code = Code { code: "RC610", title: "another run holds the lock, or it cannot be reached" };
/// The journal cannot be read or written.
pub const JOURNAL_IO: Code = Code { code: "RC611", title: "the journal cannot be read or written" };
/// The journal's chain of digests is broken.
pub const JOURNAL_BROKEN: Code = Code { code: "RC612", title: "the journal is broken" };
/// There is no such journal.
pub const NO_JOURNAL: Code = Code { code: "RC614", title: "there is no such journal" };

/// Every code of the apply.
pub const CODES: &[Code] = &[
    EXPIRED,
    FINISHED,
    NOT_APPROVED,
    MISSING,
    MOVED,
    NO_APPROVAL,
    LOCKED,
    JOURNAL_IO,
    JOURNAL_BROKEN,
    NO_JOURNAL,
];
