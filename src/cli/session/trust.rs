//! What a change must not choose by itself: the memory that judges it, whether anything is real, and the hosts that
//! credentials are sent to.
//!
//! Invariant: asked before the memory is believed and before the first call. It must not plan, nor call anybody.

use std::path::Path;

use super::load_sources;
use crate::apply::memory::{Memory, USUAL};
use crate::cli::{Failure, repo};
use crate::manifest::Tree;
use crate::model::{Code, Finding, Registry, Settings, Sources, Span};

/// The settings look for the memory where it must not be.
pub(super) const MEMORY: Code =
    Code { code: "RC706", title: "the memory is somewhere else, or came with a change" };

/// The simulated world is not below the access repo, or base is not simulated.
pub(super) const WORLD: Code =
    Code { code: "RC703", title: "`simulate` names no file of the access repo, or is not what base says" };

/// A change must not bring its own past: a memory in which whatever it asks for was asked for already, and nothing was ever
/// protected.
pub(in crate::cli) fn own_memory(
    root: &Path,
    settings: &Settings,
    sources: &Sources,
    registry: &Registry,
) -> Result<(), Failure> {
    let (memory, simulated) = (settings.memory.as_str(), settings.simulate.is_some());
    let refuse = |message: String, help: &str| {
        Err(Failure::in_sources(vec![Finding::error(MEMORY, message).help(help)], sources))
    };
    // A simulated one may be committed with its world: what is real is never judged by it.
    if !simulated && let Some(tracked) = repo::tracked(root, memory) {
        return refuse(
            format!(
                "the memory `{memory}` is not one: Git tracks `{tracked}`, so a change could have brought it"
            ),
            "take it out of Git (`git rm -r --cached`) and ignore it; what judges a change must not come with it",
        );
    }
    if memory == USUAL {
        return Ok(());
    }
    let Some(there) = Memory::at(root.join(USUAL)).sources()? else { return Ok(()) };
    let named = load_sources(&there, registry)?.settings.memory == memory;
    if named || (simulated && Memory::at(root.join(memory)).sources()?.is_some()) {
        return Ok(());
    }
    refuse(
        format!("`memory: {memory}` is not what the memory in `{USUAL}` says, which was applied last"),
        "move the folder there by hand, in a change of its own; what judges a change must not come from it",
    )
}

/// What is simulated needs no approval and becomes base all the same, so that neither may follow the other in one memory.
pub(in crate::cli) fn same_reality(head: &Tree, base: &Tree) -> Result<(), Failure> {
    let is_simulated = |tree: &Tree| tree.settings.simulate.is_some();
    let message = match (is_simulated(base), is_simulated(head)) {
        (false, true) => "`simulate` is new, and what was applied last was real",
        (true, false) => "`simulate` is gone, and what was applied last was simulated",
        _ => return Ok(()),
    };
    let span = head.settings.simulate.as_ref().map(|world| world.span.clone());
    let finding = Finding::error(WORLD, message)
        .at(&span.unwrap_or_else(|| Span::file("rolecall.yaml")))
        .note("what is simulated is applied without approval, and would judge what is real from then on")
        .help("begin with a memory of its own: move `.rolecall` (or what `memory:` names) away by hand");
    Err(Failure::in_sources(vec![finding], &head.sources))
}
