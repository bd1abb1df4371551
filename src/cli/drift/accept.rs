//! `rolecall drift accept`: writes into the YAML what somebody did by hand, where YAML can say just that.
//!
//! Invariant: with the edit Git asks for what is there, and for nothing else that it did not ask for before; otherwise
//! nothing is written, and it is said why. It must not touch a provider.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::edit::{Desk, show, write};
use crate::cli::session::{Options, Session};
use crate::cli::{Exit, Failure, Format, repo_or_here, say};
use crate::manifest::Tree;
use crate::manifest::edit::enter::{enter, enter_native, leave_native};
use crate::manifest::edit::withdraw::{except, withdraw};
use crate::manifest::edit::{Change, Draft};
use crate::model::{Code, Desired, Drift, Finding, GrantKey, Name, Op, Wanted};

/// There is no such drift.
pub(super) const NO_DRIFT: Code = Code { code: "RC643", title: "there is no such drift" };
/// YAML cannot say just that.
pub(super) const NOT_SAID: Code = Code { code: "RC644", title: "drift that cannot be accepted by an edit" };

/// How many are named.
const NAMED: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The drift: its id, as `drift --format json` and the issue tell it, or who or what it is about
    id: String,
    /// The access repo
    repo: Option<PathBuf>,
    /// Why it may stay
    #[arg(long, value_name = "TEXT", default_value = "given by hand, and kept")]
    reason: String,
    /// Write nothing
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Serialize)]
struct Told {
    accepted: Vec<String>,
    written: bool,
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let root = repo_or_here(arguments.repo.as_ref());
    let session =
        Session::open(Options { repo: root.clone(), looks_only: true, ..Options::default() }).await?;
    let planned = session.in_its_time(session.plan()).await?;
    session.close()?;
    let drift = find(&planned.plan.drift, &arguments.id)?;
    let desk = Desk::open(root).await?;
    let mut draft = Draft::of(&desk.tree.sources);
    let refuse = |why: String| {
        let help = "write it by hand, or put it back: `rolecall plan --revert`; nothing was written";
        let target = drift.change.target();
        Failure::from(Finding::error(NOT_SAID, format!("`{target}`, {}: {why}", drift.text)).help(help))
    };
    let changes = changes(&desk, &planned.desired, drift, &arguments.reason).map_err(refuse)?;
    draft.change(changes).map_err(|findings| Failure::in_sources(findings, &desk.tree.sources))?;
    let after = desk.settle(&draft)?;
    prove(&desk, &after, drift).map_err(refuse)?;
    let edits = draft.edits();
    let writes = !arguments.check && !edits.is_empty();
    if writes {
        write(&desk.root, &edits)?;
    }
    show(&edits, &Told { accepted: vec![drift.id.clone()], written: writes }, format);
    if writes {
        say("written; a merge request asks for it, and until it is applied this is drift\n");
    }
    Ok(Exit::Success)
}

/// The one drift that is meant.
fn find<'d>(drift: &'d [Drift], id: &str) -> Result<&'d Drift, Failure> {
    let by_id: Vec<&Drift> =
        drift.iter().filter(|drift| !id.is_empty() && drift.id.starts_with(id)).collect();
    let is_on = |drift: &&Drift| {
        let subject =
            drift.change.subject.as_ref().and_then(|subject| subject.as_str().strip_prefix("person:"));
        subject == Some(id) || drift.change.target() == id || drift.change.address.as_str() == id
    };
    let found = if by_id.is_empty() { drift.iter().filter(is_on).collect() } else { by_id };
    let refuse = |message: String, listed: &[&Drift]| {
        let named: Vec<String> = listed
            .iter()
            .take(NAMED)
            .map(|drift| format!("`{}` ({})", drift.id, drift.change.target()))
            .collect();
        let help = match listed.len() {
            0 => "nothing drifted".to_owned(),
            count if count > NAMED => format!("there are {} and {} more", named.join(", "), count - NAMED),
            _ => format!("there are {}", named.join(", ")),
        };
        Failure::from(Finding::error(NO_DRIFT, message).help(help))
    };
    match found[..] {
        [one] => Ok(one),
        [] => Err(refuse(format!("no drift is called `{id}`"), &drift.iter().collect::<Vec<_>>())),
        _ => Err(refuse(format!("`{id}` is about several"), &found)),
    }
}

/// The edit that asks for what is there; or why there is none.
fn changes(
    desk: &Desk,
    desired: &Desired,
    drift: &Drift,
    reason: &str,
) -> Result<Vec<(Name, Change)>, String> {
    let change = &drift.change;
    let (Some(key), Op::Grant | Op::Revoke) = (&change.grant, change.op) else {
        return Err(
            "only who is in a group can be taken over by an edit; what a thing is stands in its document"
                .into(),
        );
    };
    let Some(person) = change.subject.as_ref().and_then(|subject| subject.as_str().strip_prefix("person:"))
    else {
        return Err("it is about no person whom the directory knows".into());
    };
    let Some(Wanted { origin, .. }) = desired.resources.get(&key.resource).filter(|wanted| wanted.declared)
    else {
        return Err(format!(
            "`{}` is given by roles, and belongs to none: give somebody a role that gives it, or make one",
            key.resource
        ));
    };
    let role =
        origin.role.as_ref().and_then(|role| desk.tree.roles.iter().find(|one| one.name.value == **role));
    let edit = "the place where it stands is written in a way that is not edited".to_owned();
    let Some(role) = role else {
        let done = match change.op {
            Op::Revoke => enter_native(&desk.tree, &origin.span, person),
            _ => leave_native(&desk.tree, &origin.span, person),
        };
        return done.map(|change| vec![change]).ok_or(edit);
    };
    if change.op == Op::Revoke {
        // Whoever is in the role's group has the role: that gives what the role gives besides.
        return enter(&desk.tree, role, person, reason).map(|change| vec![change]).ok_or(edit);
    }
    let (people, roles) = ([person.to_owned()], [role.name.value.clone()]);
    let named = withdraw(&desk.tree, &people, &roles, desk.now);
    if !named.is_empty() {
        return Ok(named);
    }
    except(&desk.tree, role, &people, reason).map(|change| vec![change]).ok_or(edit)
}

/// Whether the edit leads to what is there, where people are known without a network; elsewhere the next plan tells.
fn prove(desk: &Desk, after: &Tree, drift: &Drift) -> Result<(), String> {
    let (Some(desired), Some(key)) = (desk.desired(after, desk.now), &drift.change.grant) else {
        return Ok(());
    };
    let asked = |key: &GrantKey| desired.grants.iter().any(|grant| grant.key == *key);
    match (drift.change.op, asked(key)) {
        (Op::Revoke, true) | (Op::Grant, false) => Ok(()),
        (Op::Revoke, false) => Err("an `except` of the role keeps him out".into()),
        _ => Err("another entry or rule gives it as well".into()),
    }
}
