//! `rolecall journal show`: what an apply did, change by change, and how to go on with it.
//!
//! Invariant: it works from files alone, whatever state the access repo is in: it is read when something has gone wrong.

use std::path::{Path, PathBuf};

use super::{Exit, Failure, Format, print, repo_or_here, say, style};
use crate::apply::NO_JOURNAL;
use crate::apply::disk::Place;
use crate::apply::journal::{Reading, last_written, read};
use crate::apply::memory::{Memory, USUAL};
use crate::model::history::History;
use crate::model::{Approval, Finding};
use crate::providers;
use crate::render::journal::{Journal, json, markdown, terminal};
use crate::render::terminal::Style;

/// How many journals are named where none is the one that was asked for.
const NAMED: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what was done, what is left, and how to go on
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The plan: its id or the beginning of it, or a journal's file; the last one that was written unless given
    plan: Option<String>,
    /// The access repo
    repo: Option<PathBuf>,
}

impl Show {
    /// A single argument that is a folder is REPO, as `apply` has it.
    fn places(&self) -> (Option<&str>, PathBuf) {
        match (&self.plan, &self.repo) {
            (Some(only), None) if Path::new(only).is_dir() => (None, only.into()),
            (plan, repo) => (plan.as_deref(), repo_or_here(repo.as_ref())),
        }
    }
}

pub(super) fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let Command::Show(show) = &arguments.command;
    let (plan, root) = show.places();
    let (memory, style) = memory(&root);
    let place = find(&memory, plan)?;
    let Some(Reading { mut history, broken, .. }) = read(&place)? else {
        return Err(Finding::error(NO_JOURNAL, format!("there is no journal at `{place}`")).into());
    };
    // The journal stands for itself: the plan only adds what was never begun.
    let plan = memory.plan(history.plan.as_deref().unwrap_or_default()).unwrap_or_else(|finding| {
        say(&format!("{finding}\n"));
        None
    });
    if let Some(plan) = &plan {
        history.name(plan);
    }
    let again = again(&memory, &root, &history);
    let journal = Journal {
        place: &place.to_string(),
        history: &history,
        broken: broken.as_deref(),
        plan: plan.as_ref(),
        again: &again,
    };
    match format {
        Format::Text => print(&terminal(&journal, &style)),
        Format::Json => print(&json(&journal)),
        Format::Markdown => print(&markdown(&journal, &style.zone)),
    }
    Ok(if broken.is_some() { Exit::Error } else { Exit::Success })
}

/// The memory of an access repo, and how it shows times. What is wrong with the repo's files must not keep anybody from
/// reading what an apply did: the memory is then looked for where it usually is.
pub(super) fn memory(root: &Path) -> (Memory, Style) {
    match super::session::load(root, &providers::registry()) {
        Ok(head) => {
            let zone = head.settings.timezone.clone();
            (Memory::at(root.join(&head.settings.memory)), Style { zone, ..style(false) })
        }
        Err(_) => {
            let usual = root.join(USUAL);
            if usual.is_dir() {
                say(&format!("`{}` cannot be loaded; looking in `{}`\n", root.display(), usual.display()));
            }
            (Memory::at(usual), style(false))
        }
    }
}

/// The journal that is meant.
fn find(memory: &Memory, plan: Option<&str>) -> Result<Place, Failure> {
    if let Some(file) = plan.filter(|plan| Path::new(plan).is_file()) {
        return Ok(Place::at(file));
    }
    let ids = memory.journals()?;
    let none = |message: String, ids: &[&String]| {
        let named: Vec<String> = ids.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
        let more =
            if ids.len() > NAMED { format!(", and {} more", ids.len() - NAMED) } else { String::new() };
        let help = match named.is_empty() {
            true => "nothing was applied from here yet: an apply leaves one".to_owned(),
            false => format!("there are {}{more}", named.join(", ")),
        };
        Failure::from(Finding::error(NO_JOURNAL, message).help(help))
    };
    let Some(plan) = plan else {
        let mut places = Vec::new();
        for id in &ids {
            places.push(memory.journal(id)?);
        }
        let last = places.into_iter().max_by_key(last_written);
        return last.ok_or_else(|| none("there is no journal".to_owned(), &[]));
    };
    let begin: Vec<&String> = ids.iter().filter(|id| id.starts_with(plan)).collect();
    match begin[..] {
        [one] => Ok(memory.journal(one)?),
        [] => Err(none(format!("there is no journal of a plan `{plan}`"), &ids.iter().collect::<Vec<_>>())),
        _ => Err(none(format!("the journals of several plans begin with `{plan}`"), &begin)),
    }
}

/// The command that goes on with a plan.
fn again(memory: &Memory, root: &Path, history: &History) -> String {
    let id = history.plan.as_deref().unwrap_or_default();
    let mut command = "rolecall apply".to_owned();
    if !id.is_empty() && !memory.last_plan().is_ok_and(|last| last.id == id) {
        command.push_str(&format!(" {}", memory.plan_file(id).display()));
    }
    if root != Path::new(".") {
        command.push_str(&format!(" {}", root.display()));
    }
    let approval = history.runs.iter().rev().find_map(|run| run.approval.as_ref());
    if let Some(Approval::Operator(effect)) = approval {
        command.push_str(&format!(" --approve {}", effect.short()));
    }
    command
}
