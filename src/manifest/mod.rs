//! YAML to documents: parsing, limits, decoding, checks of form.
//!
//! Invariant: pure; all mistakes are reported with file, line and column; bad input never panics.
//! It must not resolve anything: who matches and what exists is `resolve`'s and the planner's.

pub mod documents;
pub mod text;
pub mod time;
pub mod yaml;

pub use documents::{AccessEntry, Condition, GrantFile, NativeDocument, Role, RoleEntry, Tree, User};
