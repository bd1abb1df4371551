//! `rolecall explain`: who has what, and why; whether, and why not; what would give it; what a line gives.
//!
//! Invariant: what it says comes from the same resolution that a plan is made of. It makes no plan, and looks at no more
//! of live than the question is about, so that it costs a fraction of one. It must not judge anything itself: `resolve`
//! says who has what, planner and gate what stands in the way.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;

use super::session::{Options, Session};
use super::when::When;
use super::{Exit, Failure, Format, print, say, style};
use crate::model::explanation::{Cut, Edge, Has, Then, Whether};
use crate::model::{
    Address, Answer, Code, EXPLANATION_FORMAT, Explanation, Finding, Inventory, Snapshot, Span, has_errors,
};
use crate::render::terminal::Style;
use crate::render::{explain as told, json};
use crate::resolve::{
    self,
    why::{self, Concern, View},
};
use crate::{manifest, model};

mod question;
mod wants;

use question::Question;

/// Nobody and nothing has that name.
const UNKNOWN: Code = Code { code: "RC209", title: "nobody and nothing has that name" };
/// There is no such line.
const NO_LINE: Code = Code { code: "RC220", title: "a place that is no line of the access repo" };
/// The line gives nobody anything.
const GIVES_NOTHING: Code = Code { code: "RC221", title: "a line that gives nobody anything" };
/// Parts of the question do not go together.
const NO_QUESTION: Code = Code { code: "RC222", title: "a question that cannot be asked" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[UNKNOWN, NO_LINE, GIVES_NOTHING, NO_QUESTION];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A handle, a role, a group or policy, an address, or a line such as `roles/infra.yaml:14`
    what: String,
    /// With a handle before it: whether that person has this, and why or why not
    on: Option<String>,
    /// The access repo
    repo: Option<PathBuf>,
    /// Which edit would give this to the person, who must approve it, and what stands in the way
    #[arg(long, value_name = "ADDRESS")]
    wants: Option<String>,
    /// Explain as if it were this time: a day in the organization's zone, or a time with its offset
    #[arg(long, value_name = "TIME")]
    at: Option<When>,
    /// Lay this CSV or JSON file over the directory first
    #[arg(long, value_name = "FILE")]
    directory: Option<PathBuf>,
    /// Tell all names, however many there are
    #[arg(long)]
    all: bool,
}

impl Arguments {
    /// The access repo, and what follows the first word. A folder with settings in it is REPO: `explain rpatel examples/acme`.
    fn places(&self) -> (PathBuf, Option<&str>) {
        match (&self.on, &self.repo) {
            (Some(on), None) if PathBuf::from(on).join(manifest::SETTINGS_FILE).exists() => (on.into(), None),
            (on, repo) => (super::repo_or_here(repo.as_ref()), on.as_deref()),
        }
    }
}

pub(super) async fn run(arguments: &Arguments, format: Format) -> Result<Exit, Failure> {
    let (repo, on) = arguments.places();
    if on.is_some() && arguments.wants.is_some() {
        let finding = Finding::error(NO_QUESTION, "`--wants` and a second word ask two questions");
        let help = "ask `explain WHO WHAT` whether he has it, or `explain WHO --wants WHAT` how to get it";
        return Err(Failure::from(finding.help(help)).exit(Exit::Usage));
    }
    let mut session =
        Session::open(Options { repo, looks_only: true, asks_only: true, ..Options::default() }).await?;
    session.selection.at = arguments.at.map(|when| when.in_zone(&session.head.settings.timezone));
    if let Some(file) = &arguments.directory {
        session.rehearse_directory(file)?;
    }
    let asked = (arguments.what.as_str(), on, arguments.wants.as_deref());
    let explanation = session.in_its_time(explain(&session, asked)).await?;
    let style = Style { zone: session.head.settings.timezone.clone(), ..style(false) };
    match format {
        Format::Json => print(&json::explanation(&explanation)),
        Format::Text => print(&told::terminal(&explanation, &style, arguments.all)),
        Format::Markdown => print(&told::markdown(&explanation, &style.zone, arguments.all)),
    }
    session.close()?;
    Ok(Exit::Success)
}

/// The answer to a question in words.
async fn explain(
    session: &Session,
    (what, on, wants): (&str, Option<&str>, Option<&str>),
) -> Result<Explanation, Failure> {
    let now = session.now();
    let (records, accounts, incomplete) = session.inventory().await?;
    let (inventory, about_people) = resolve::people(&session.head, &records, accounts, incomplete, now);
    let (head, base, registry) = (&session.head, session.base(), session.registry());
    let view = View::of(head, base, &inventory, registry, now);
    if has_errors(&about_people) || has_errors(&view.desired.findings) {
        say("this access repo has mistakes that a plan would not take; `rolecall plan` tells them\n");
    }
    let asking = Asking { session, view: &view, inventory: &inventory, now };
    let mut unread: Vec<String> = inventory.incomplete.clone();
    let answer = match question::of(&asking, what, on, wants).await? {
        Question::Has(about) => asking.has(&about, &mut unread).await,
        Question::Whether { who, on } => asking.whether(&who, &on, &mut unread).await,
        Question::Wants { handle, on } => Answer::Wants(asking.wants(&handle, &on, &mut unread).await),
        Question::Line { file, line, column } => Answer::Line(asking.line(&file, line, column)?),
    };
    unread.sort();
    unread.dedup();
    let directory = session.selection.directory.clone();
    let calls = session.providers.iter().map(|(instance, provider)| (instance.clone(), provider.calls()));
    Ok(Explanation { format: EXPLANATION_FORMAT, at: now, directory, calls: calls.collect(), unread, answer })
}

/// What a question is asked of.
struct Asking<'a> {
    session: &'a Session,
    view: &'a View<'a>,
    inventory: &'a Inventory,
    now: Timestamp,
}

impl Asking<'_> {
    /// Which edges a question about one thing concerns, and what of live shows them.
    fn concern(&self, about: &Address) -> (Concern, BTreeSet<Address>) {
        let mut concern = Concern::default();
        match about.instance() {
            "person" => concern.ends = self.view.principals(about),
            "role" => {
                let role = self.view.role(&about.name());
                let groups = role.map(|role| self.view.groups(role)).unwrap_or_default();
                concern.resources = groups.into_iter().map(|gives| gives.resource).collect();
                concern.role = Some(about.name().as_ref().into());
                let things = role.map(|role| self.view.gives(role)).unwrap_or_default();
                return (concern, things.into_iter().map(|gives| gives.resource).collect());
            }
            _ => {
                concern.resources.insert(about.clone());
                concern.ends.insert(about.clone());
                return (concern, BTreeSet::from([about.clone()]));
            }
        }
        (concern, BTreeSet::new())
    }

    async fn look(
        &self,
        ends: &BTreeSet<Address>,
        things: &BTreeSet<Address>,
        unread: &mut Vec<String>,
    ) -> Snapshot {
        let (live, why) = self.session.look(ends, things).await;
        unread.extend(why);
        live
    }

    async fn has(&self, about: &Address, unread: &mut Vec<String>) -> Answer {
        let (concern, things) = self.concern(about);
        let is_person = about.instance() == "person";
        let ends = if is_person { concern.ends.clone() } else { BTreeSet::new() };
        let live = self.look(&ends, &things, unread).await;
        let name = about.name();
        let roles = match about.instance() {
            "person" => self.view.holdings_of(&name),
            "role" => self.view.holdings_in(&name),
            _ => Vec::new(),
        };
        Answer::Has(Has {
            about: about.clone(),
            person: if is_person { self.view.person(&name).cloned() } else { None },
            role: if about.instance() == "role" { self.view.facts(&name) } else { None },
            roles,
            edges: why::edges(&self.view.desired, &live, &concern),
            then: self.then(&concern),
        })
    }

    /// What is asked for at this time and not now, and the other way round, where this is another time.
    fn then(&self, concern: &Concern) -> Option<Then> {
        self.session.selection.at?;
        let now = self.session.clock.now();
        let (head, registry) = (&self.session.head, self.session.registry());
        let today = View::of(head, self.session.base(), self.inventory, registry, now);
        let nothing = Snapshot::default();
        let of = |view: &View<'_>| why::edges(&view.desired, &nothing, concern);
        let (now_has, then_has) = (of(&today), of(self.view));
        let wanted =
            |edges: &[Edge], key: &model::GrantKey| edges.iter().any(|edge| edge.wanted && edge.key == *key);
        let ended = now_has.iter().filter(|edge| edge.wanted && !wanted(&then_has, &edge.key));
        // Why it will be gone is the other time's to say.
        let ended = ended.map(|edge| match then_has.iter().find(|then| then.key == edge.key) {
            Some(then) => Edge { because: then.because.clone(), lapse: then.lapse, ..edge.clone() },
            None => edge.clone(),
        });
        let begun = then_has.iter().filter(|edge| edge.wanted && !wanted(&now_has, &edge.key)).cloned();
        Some(Then { now, ended: ended.collect(), begun: begun.collect() })
    }

    async fn whether(&self, who: &Address, on: &Address, unread: &mut Vec<String>) -> Answer {
        let view = self.view;
        let ends = view.principals(who);
        let handle = who.name();
        let is_role = on.instance() == "role";
        let path = if is_role { Vec::new() } else { why::path(&view.desired, &ends, on) };
        let live =
            if is_role { Snapshot::default() } else { self.look(&ends, &BTreeSet::new(), unread).await };
        let concern = Concern { ends, ..Concern::default() };
        let all = why::edges(&view.desired, &live, &concern);
        let on_path = |edge: &&Edge| path.iter().any(|grant| grant.key == edge.key);
        let mut edges: Vec<Edge> = all.iter().filter(on_path).cloned().collect();
        // What leads on from a group is not his own edge, so it was not looked at.
        let further = path.iter().filter(|grant| !all.iter().any(|edge| edge.key == grant.key));
        edges.extend(further.map(|grant| Edge {
            key: grant.key.clone(),
            person: None,
            wanted: true,
            live: None,
            lapse: None,
            via: None,
            until: grant.until,
            because: grant.origins.iter().map(|origin| (**origin).clone()).collect(),
        }));
        if edges.is_empty() {
            edges.extend(all.into_iter().filter(|edge| edge.key.resource == *on));
        }
        let things = view.leading_to(on);
        let mut roles: Vec<_> = match is_role {
            true => view.judge(&handle, &handle_of(on), None).into_iter().collect(),
            false => {
                let givers = view.givers(&things).into_iter();
                givers.filter_map(|(role, span)| view.judge(&handle, &role.name.value, Some(span))).collect()
            }
        };
        roles.sort_by(|one, other| (one.verdict, &one.role).cmp(&(other.verdict, &other.role)));
        let has_role = is_role && roles.iter().any(|role| role.verdict == model::explanation::Standing::Has);
        let own = edges.iter().find(|edge| concern.ends.contains(&edge.key.principal));
        Answer::Whether(Whether {
            who: who.clone(),
            person: view.person(&handle).cloned().filter(|_| who.instance() == "person"),
            on: on.clone(),
            wanted: has_role || !path.is_empty(),
            live: match own {
                _ if is_role => None,
                Some(edge) => edge.live,
                None => concern.ends.iter().all(|end| self.was_read(&live, end)).then_some(false),
            },
            edges,
            roles,
            elsewhere: view.documents(&BTreeSet::from([on.clone()])),
        })
    }

    fn was_read(&self, live: &Snapshot, end: &Address) -> bool {
        [end.as_str(), end.place()]
            .iter()
            .any(|scope| live.coverage.get(*scope) == Some(&model::Coverage::Complete))
    }

    fn line(&self, file: &str, line: u32, column: Option<u32>) -> Result<Cut, Failure> {
        let session = self.session;
        let part = manifest::part(&session.head, file, line, column)
            .map_err(|why| question::no_part(&session.head, file, line, &why))?;
        let without =
            manifest::altered(&session.head, session.registry(), manifest::Edit::Without(&part.spans))
                .map_err(|findings| Failure::in_sources(findings, &session.head.sources))?;
        let after = View::of(&without, session.base(), self.inventory, session.registry(), self.now);
        let span = Span { file: file.into(), line, column: column.unwrap_or_default(), length: 1 };
        Ok(why::cut(self.view, &after, &part, span))
    }
}

fn handle_of(address: &Address) -> String {
    address.name().into_owned()
}
