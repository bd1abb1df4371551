//! rolecall keeps who has access to what in Git.
//!
//! `docs/architecture.md` is the map; the command line in `cli` is the only place where the parts are wired together.

pub mod apply;
pub mod cli;
pub mod evidence;
pub mod forge;
pub mod gate;
pub mod manifest;
pub mod model;
pub mod planner;
pub mod provider;
pub mod providers;
pub mod render;
pub mod resolve;
pub mod simulator;
