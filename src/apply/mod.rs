//! Carrying out what was approved.
//!
//! Invariant: nothing is written that was not planned again, approved and permitted; every write is journalled before
//! and after. It must not decide what should change.

pub mod memory;
