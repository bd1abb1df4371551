//! What a change must not choose by itself: the memory that judges it, whether anything is real, and the hosts that
//! credentials are sent to.
//!
//! Invariant: asked before the memory is believed and before the first call. It must not plan, nor call anybody.

use std::path::Path;

use url::Url;

use super::load_sources;
use crate::apply::memory::{Memory, USUAL};
use crate::cli::{Failure, repo};
use crate::manifest::Tree;
use crate::model::settings::ProviderSettings;
use crate::model::{Code, Finding, Node, Registry, Settings, Sources, Span, Spanned};

/// The settings look for the memory where it must not be.
pub(super) const MEMORY: Code =
    Code { code: "RC706", title: "the memory is somewhere else, or came with a change" };

/// The simulated world is not below the access repo, or base is not simulated.
pub(super) const WORLD: Code =
    Code { code: "RC703", title: "`simulate` names no file of the access repo, or is not what base says" };

/// A provider is somewhere else than base says, and nobody but head says so.
pub(super) const ELSEWHERE: Code =
    Code { code: "RC505", title: "a provider is where nobody but the change says that it is" };

/// The variables that bind the credentials beside them to hosts, by sort of provider. AWS's are bound to AWS, or to what
/// `AWS_ENDPOINT_URL` says.
const HOSTS: [(&str, &str); 1] = [("okta", "OKTA_ORG_URL")];

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

/// Credentials go to no host that head alone names: whoever opens a merge request would have them sent to him by its plan.
pub(super) fn own_address(
    settings: &ProviderSettings,
    base: Option<&Tree>,
    told: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Finding> {
    let ProviderSettings { instance, provider, options, .. } = settings;
    let variable = HOSTS.iter().find(|(sort, _)| *sort == provider.as_ref()).map(|(_, variable)| *variable);
    let refuse = |address: &Spanned<String>, why: &str| {
        let shown = &address.value;
        let help = match variable {
            Some(variable) => format!(
                "if it is right, set `{variable}={shown}` beside the token: that is not the merge request's to say"
            ),
            None => "change it back".to_owned(),
        };
        let message = format!("`{instance}` is at `{shown}`, {why}; no credentials were sent there");
        Err(Finding::error(ELSEWHERE, message).at(&address.span).help(help))
    };
    let addresses = addresses(options);
    if let Some((variable, hosts)) = variable.and_then(|variable| Some((variable, told(variable)?))) {
        let hosts: Vec<String> =
            hosts.split([',', ' ']).filter(|host| !host.is_empty()).map(origin).collect();
        return match addresses.iter().find(|address| !hosts.contains(&origin(&address.value))) {
            Some(other) => refuse(other, &format!("and `{variable}` names another")),
            None => Ok(()),
        };
    }
    let Some(base) = base else { return Ok(()) };
    let known = base.settings.providers.get(instance);
    if let Some(known) = known.filter(|known| known.provider != *provider) {
        let message =
            format!("`{instance}` is of sort `{provider}`, and of sort `{}` in base", known.provider);
        return Err(Finding::error(ELSEWHERE, message)
            .at(&options.span)
            .help("give the new one another name"));
    }
    let same_sort = base.settings.providers.values().filter(|known| known.provider == *provider);
    // A new name for an organization that base has already is nowhere new.
    let candidates = known.map_or_else(|| same_sort.collect(), |known| vec![known]);
    let hosts: Vec<String> = candidates
        .into_iter()
        .flat_map(|known| self::addresses(&known.options))
        .map(|address| origin(&address.value))
        .collect();
    match addresses.iter().find(|address| !hosts.contains(&origin(&address.value))) {
        Some(other) => refuse(other, "where what was applied last does not have it"),
        None => Ok(()),
    }
}

/// Whatever options hold that is a URL.
fn addresses(options: &Node) -> Vec<Spanned<String>> {
    let text = |node: &Node| Some(Spanned { value: node.as_text()?.to_owned(), span: node.span.clone() });
    let each = options.entries().iter().filter_map(|entry| text(&entry.value));
    each.filter(|text| text.value.contains("://")).collect()
}

/// Scheme, host and port, however they are written.
fn origin(address: &str) -> String {
    address
        .trim()
        .parse()
        .map_or_else(|_| address.trim().to_owned(), |url: Url| url.origin().ascii_serialization())
}
