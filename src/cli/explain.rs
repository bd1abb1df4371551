//! `rolecall explain`: who has what, and why: live beside desired, each with its chain of lines.
//!
//! Invariant: what it says comes from the same resolution that a plan is made of.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::session::{Observed, Options, Session};
use super::{Exit, Failure, Format, print, repo_or_here};
use crate::model::{
    Address, Code, Desired, Finding, GrantKey, LapseCause, Origin, Person, Selection, nearest,
};
use crate::render::escape;

/// Nobody and nothing has that name.
const UNKNOWN: Code = Code { code: "RC209", title: "nobody and nothing has that name" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[UNKNOWN];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A handle, a role, a group's name, or an address
    what: String,
    /// The access repo
    repo: Option<PathBuf>,
    /// Explain as if it were this time
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

/// What is known of one person or thing.
#[derive(Debug, Serialize)]
struct Explanation {
    /// What was asked about.
    about: Address,
    /// What is known of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<Person>,
    /// Edges, those that are wanted first.
    edges: Vec<Edge>,
}

/// One edge and why it is there, or not.
#[derive(Debug, Serialize)]
struct Edge {
    #[serde(flatten)]
    key: GrantKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<Address>,
    state: Standing,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    because: Vec<Origin>,
}

/// How an edge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// It is wanted and there.
    Granted,
    /// It is wanted and not there yet.
    Wanted,
    /// It is there, and nobody asked for it.
    Unasked,
    /// YAML mentions it, but not for now.
    Lapsed(LapseCause),
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let repo = repo_or_here(arguments.repo.as_ref());
    let session = Session::open(Options {
        repo,
        selection: Selection { at: arguments.at, ..Selection::default() },
        ..Options::default()
    })
    .await?;
    let observed = session.in_its_time(session.observe(&BTreeSet::new())).await?;
    let about = find(&arguments.what, &observed)?;
    let explanation = explain(about, &observed);
    match format {
        Format::Json => print(&(serde_json::to_string_pretty(&explanation).unwrap_or_default() + "\n")),
        Format::Text => print(&text(
            &explanation,
            &session.head.settings.timezone,
            |text| escape::visible(text).into_owned(),
            "",
        )),
        Format::Markdown => {
            print(&text(&explanation, &session.head.settings.timezone, escape::markdown, "  \n"));
        }
    }
    session.close()?;
    Ok(Exit::Success)
}

/// What the words mean: an address, a handle, a role, or the name of anything that is wanted or live.
fn find(what: &str, observed: &Observed) -> Result<Address, Failure> {
    if let Ok(address) = what.parse::<Address>() {
        return Ok(address);
    }
    if observed.inventory.people.contains_key(what) {
        return Ok(Address::person(what));
    }
    let roles = observed
        .head
        .grants
        .runs()
        .iter()
        .flat_map(|run| &run.terms)
        .flat_map(|terms| &terms.origins)
        .filter_map(|origin| origin.role.as_deref());
    if roles.clone().any(|role| role == what) {
        return Ok(Address::role(what));
    }
    let things = observed.head.resources.keys().chain(observed.live.resources.keys());
    if let Some(thing) = things.clone().find(|address| address.name() == what) {
        return Ok(thing.clone());
    }
    let names: Vec<String> = things.map(|address| address.name().into_owned()).collect();
    let people = observed.inventory.people.keys().map(AsRef::as_ref);
    let finding = Finding::error(UNKNOWN, format!("nobody and nothing is called `{what}`"));
    Err(match nearest(what, people.chain(roles).chain(names.iter().map(String::as_str))) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help("give a handle, a role, the name of a group or policy, or an address"),
    }
    .into())
}

fn explain(about: Address, observed: &Observed) -> Explanation {
    let Observed { head, live, inventory, .. } = observed;
    let concerns = |key: &GrantKey, person: Option<&Address>, role: &[&Origin]| {
        key.resource == about
            || key.principal == about
            || person == Some(&about)
            || (about.instance() == "role"
                && role.iter().any(|origin| origin.role.as_deref() == Some(about.name().as_ref())))
    };
    let mut edges = Vec::new();
    for grant in &head.grants {
        let origins = grant.origins.iter().map(|origin| (**origin).clone());
        if concerns(
            &grant.key,
            grant.subject.as_ref(),
            &grant.origins.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        ) {
            let state = if live.grant(&grant.key).is_some() { Standing::Granted } else { Standing::Wanted };
            let person = grant.subject.clone();
            edges.push(Edge {
                key: grant.key.clone(),
                person,
                state,
                until: grant.until,
                because: origins.collect(),
            });
        }
    }
    for (key, lapse) in &head.lapsed {
        if concerns(key, lapse.subject.as_ref(), &[lapse.origin.as_ref()]) {
            let state = Standing::Lapsed(lapse.cause);
            let because = vec![(*lapse.origin).clone()];
            edges.push(Edge { key: key.clone(), person: lapse.subject.clone(), state, until: None, because });
        }
    }
    for grant in &live.grants {
        let person = head.people.get(&grant.key.principal);
        if head.grant(&grant.key).is_none()
            && !head.lapsed.contains_key(&grant.key)
            && concerns(&grant.key, person, &[])
        {
            let because = grant.via.iter().map(|via| by_provider(head, via, &grant.key)).collect();
            let person = person.cloned();
            edges.push(Edge {
                key: grant.key.clone(),
                person,
                state: Standing::Unasked,
                until: None,
                because,
            });
        }
    }
    edges.sort_by(|a, b| (a.state, &a.key).cmp(&(b.state, &b.key)));
    let person = (about.instance() == "person")
        .then(|| inventory.people.get(about.name().as_ref()).cloned())
        .flatten();
    Explanation { about, person, edges }
}

fn by_provider(head: &Desired, via: &str, key: &GrantKey) -> Origin {
    let span = head
        .named
        .get(&key.resource)
        .map_or_else(|| crate::model::Span::file(""), |origin| origin.span.clone());
    Origin { text: format!("put there by {via}"), span, chain: Vec::new(), role: None }
}

fn text(explanation: &Explanation, zone: &TimeZone, safe: fn(&str) -> String, end: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let _ = write!(out, "{}", safe(explanation.about.as_str()));
    if let Some(person) = &explanation.person {
        let mut facts: Vec<String> = person.name.iter().map(ToString::to_string).collect();
        facts.extend(person.kind.iter().map(ToString::to_string));
        facts.push(person.status.to_string());
        facts.extend(person.manager.iter().map(|manager| format!("reports to {manager}")));
        facts.extend(person.attributes.iter().map(|(key, value)| format!("{key} {value}")));
        let _ = write!(out, ": {}", safe(&facts.join(", ")));
    }
    let _ = writeln!(out, "{end}");
    if explanation.edges.is_empty() {
        let _ = writeln!(out, "  has nothing, and nothing is asked for{end}");
    }
    let by_person = explanation.about.instance() == "person";
    for edge in &explanation.edges {
        let place = if edge.key.resource.is_reserved() && by_person {
            format!(" in {}", edge.key.principal.place())
        } else {
            String::new()
        };
        let what =
            format!("{} {}{place}", crate::render::relation(&edge.key.relation, true), edge.key.resource);
        let who = edge.person.as_ref().unwrap_or(&edge.key.principal);
        let line = if by_person { what } else { format!("{who}: {what}") };
        let state = match edge.state {
            Standing::Granted => "",
            Standing::Wanted => " (asked for, not there yet)",
            Standing::Unasked => " (there, though nobody asks for it)",
            Standing::Lapsed(LapseCause::Expired) => " (ended)",
            Standing::Lapsed(LapseCause::NotYet) => " (not yet)",
            Standing::Lapsed(LapseCause::Excepted) => " (no: excepted)",
            Standing::Lapsed(LapseCause::Left) => " (no: has left)",
            Standing::Lapsed(LapseCause::Suspended) => " (no: is suspended)",
        };
        let until =
            edge.until.map(|until| format!(" until {}", crate::render::end(until, zone))).unwrap_or_default();
        let _ = writeln!(out, "  {}{until}{state}{end}", safe(&line));
        for origin in &edge.because {
            let place =
                if origin.span.file.is_empty() { String::new() } else { format!(" ({})", origin.span) };
            let _ = writeln!(out, "    because {}{}{end}", safe(&origin.text), safe(&place));
            for link in &origin.chain {
                let _ = writeln!(out, "      {}{end}", safe(link));
            }
        }
    }
    out
}
