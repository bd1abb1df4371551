//! The forge: where merge requests, their approvals and notes are, and issues are kept.
//!
//! Invariant: it tells what the forge said, and says so where that was nothing: what cannot be read is an error and never an
//! empty list. It must not judge: which approvals count is the gate's.

mod client;
mod notes;
mod requests;

pub use client::{Gitlab, TOKENS};
pub use notes::{Posted, Suggestion};
pub use requests::{Asked, Project};

#[cfg(test)]
mod tests;
