//! `rolecall approve`: signs that somebody has read a plan and approves its effects, for forges that cannot tell.
//!
//! Invariant: only a plan whose digests are those of its content is signed, and the key stays where it is. It must not apply.

use std::path::PathBuf;

use super::session::load;
use super::{Exit, Failure, print, repo_or_here, say, style};
use crate::apply::memory::{Memory, read_plan};
use crate::evidence::envelope::{Approves, Key};
use crate::model::{Code, Digest, Finding};
use crate::provider::{Clock as _, SystemClock};
use crate::providers;
use crate::render::terminal::{self, Style};

/// The key cannot be used.
const NO_KEY: Code = Code { code: "RC655", title: "a key that statements cannot be signed with" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NO_KEY];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plan: a plan.json; the last one made unless given
    plan: Option<PathBuf>,
    /// The access repo
    #[arg(long)]
    repo: Option<PathBuf>,
    /// The private key: what `openssl genpkey -algorithm ed25519` writes
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let repo = repo_or_here(arguments.repo.as_ref());
    let tree = load(&repo, &providers::registry())?;
    let plan = match &arguments.plan {
        Some(file) => read_plan(file)?,
        None => Memory::at(repo.join(&tree.settings.memory)).last_plan()?,
    };
    let no_key = |why: String| {
        let message = format!("`{}` {why}", arguments.key.display());
        Finding::error(NO_KEY, message).help("make one with `openssl genpkey -algorithm ed25519 -out FILE`")
    };
    let pem = std::fs::read_to_string(&arguments.key)
        .map_err(|error| no_key(format!("cannot be read: {error}")))?;
    let key = Key::read(&pem).ok_or_else(|| no_key("is no private key of Ed25519 in PEM".to_owned()))?;
    // Whoever signs is shown what he signs, whatever becomes of stdout.
    let style = Style { zone: tree.settings.timezone.clone(), ..style(true) };
    say(&terminal::plan(&plan, &tree.sources, &style));
    let public = key.public();
    let known = tree.settings.approvals.keys.iter().find(|(_, known)| Some(**known) == public);
    match known {
        Some((handle, _)) => say(&format!("signed by the key of `{handle}`\n")),
        None => {
            say("nobody in `approvals.keys` of these settings has this key, so it would count for nothing\n");
        }
    }
    let envelope = key.approve(Approves {
        organization: &tree.settings.organization,
        plan: &plan.id,
        document: &Digest::of(&plan),
        effect: &plan.effect,
        at: SystemClock.now(),
        until: plan.expires,
    });
    // An envelope is texts alone, which JSON does not refuse.
    print(&format!("{}\n", serde_json::to_string(&envelope).unwrap_or_default()));
    Ok(Exit::Success)
}
