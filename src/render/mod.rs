//! Plans, reports and findings for people and machines.
//!
//! Invariant: every string is data from outside and is escaped for its medium in one place, `escape`; what is said is
//! worked out once, in `groups`, so that all media say the same. It must do no I/O and read no clock.

pub mod chat;
pub mod diff;
pub mod escape;
pub mod explain;
pub mod findings;
pub mod gitlab;
mod groups;
pub mod html;
pub mod issue;
pub mod journal;
pub mod json;
pub mod markdown;
pub mod metrics;
mod outline;
mod page;
pub mod rehearsal;
pub mod suggestions;
pub mod terminal;
mod values;
mod words;

pub use words::{end, relation, time};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
