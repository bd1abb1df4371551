//! Asking whoever has to approve: what was merged since base, what the forge tells of it, and signed statements.
//!
//! Invariant: base's settings say which forge is asked, whose notes count and whose keys; what could not be asked is refused
//! and never taken for an answer. It must not judge: the gate does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;

use super::session::{Planned, Session};
use super::{Exit, Failure, pipeline, repo};
use crate::apply::approve;
use crate::evidence::envelope::{self, Envelope};
use crate::forge::{Asked, Gitlab};
use crate::gate::approvals::{self, Said};
use crate::model::approval::History;
use crate::model::settings::Forge;
use crate::model::{
    Accounts, Cause, Change, Code, Commit, DemandState, Digest, Finding, MergeRequest, Name, Plan, Quorum,
    Reviewed, Statement,
};
use crate::provider::{Error, ErrorKind};
use crate::resolve;

/// The forge could not be asked.
const UNKNOWN: Code = Code { code: "RC651", title: "what the forge says of approvals is not known" };
/// A signed statement counts for nothing.
const NO_STATEMENT: Code = Code { code: "RC653", title: "a signed statement that counts for nothing" };
/// It is not known what came since base.
const NO_HISTORY: Code = Code { code: "RC654", title: "it is not known what was merged since base" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[UNKNOWN, NO_STATEMENT, NO_HISTORY];

/// Who can be asked about approvals.
pub(super) struct Inquiry {
    /// The forge that base names, or why it cannot be asked: that matters only to what needs an approval.
    forge: Option<(Forge, Result<Gitlab, Error>)>,
    /// Envelopes, each with its file.
    envelopes: Vec<(String, Envelope)>,
    /// The job that this is.
    job: Option<u64>,
}

impl Inquiry {
    /// Whoever settings and the command line name; nothing where that is nobody, or all is simulated.
    pub(super) fn open(
        session: &Session,
        files: &[PathBuf],
        told: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Failure> {
        if session.simulated() {
            return Ok(None);
        }
        let envelopes = envelopes(files)?;
        let open = |forge: &Forge| {
            let gitlab = Gitlab::open(&forge.url.value, &forge.project, told, None, session.clock.clone());
            (forge.clone(), gitlab)
        };
        let forge = session.judging().forge.as_ref().map(open);
        if forge.is_none() && envelopes.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { forge, envelopes, job: told("CI_JOB_ID").and_then(|id| id.parse().ok()) }))
    }

    /// Asks about what a fresh plan says, and has it judged.
    pub(super) async fn review(
        &self,
        session: &Session,
        approved: &Plan,
        fresh: &Planned,
    ) -> Result<Reviewed, Failure> {
        let quorums = &fresh.plan.quorums;
        let mut accounts = resolve::accounts(session.judging_tree(), &fresh.people);
        let history = self.history(session).await?;
        self.groups(quorums, session.clock.now(), &mut accounts).await?;
        let statements = self.statements(session)?;
        let effects: BTreeSet<Digest> = approved.effects.iter().cloned().collect();
        let document = Digest::of(approved);
        let stands_for = approve::stands_for(approved, &fresh.plan);
        let said = Said {
            history: &history,
            statements: &statements,
            accounts: &accounts,
            plan: approvals::Asked {
                id: &approved.id,
                document: &document,
                effect: &approved.effect,
                effects: &effects,
                created: approved.created,
            },
            stands_for: &stands_for,
            wrote: &waited(session, &fresh.plan),
            lenient: self.forge.as_ref().is_some_and(|(forge, _)| forge.lenient),
        };
        approvals::review(quorums, said).map_err(|findings| Failure::from(findings).exit(Exit::Stale))
    }

    /// What was merged between base and head.
    async fn history(&self, session: &Session) -> Result<History, Failure> {
        let Some(root) = session.root() else { return Err(no_history("there is no Git to ask").into()) };
        let base = session.base_commit();
        let Some((forge, gitlab)) = &self.forge else {
            // Without a forge all that is known is who wrote what.
            let direct = repo::commits_since(root, base, false).map_err(no_history)?;
            return Ok(History { direct, ..History::default() });
        };
        let told = async {
            let gitlab = gitlab.as_ref().map_err(Unasked::of)?;
            let mut history = History { bot: forge.bot.clone(), ..History::default() };
            let commits =
                repo::commits_since(root, base, true).map_err(|why| Unasked::Git(no_history(why)))?;
            let mut known: BTreeSet<u64> = BTreeSet::new();
            let project = gitlab.project().await?;
            let asked = Asked { bot: forge.bot.as_deref(), target: &forge.target };
            for commit in commits {
                let requests = gitlab.merged_as(&commit.id, &project.branch).await?;
                if requests.is_empty() {
                    history.direct.push(commit);
                }
                for iid in requests {
                    if known.insert(iid) {
                        history.requests.push(gitlab.request(iid, asked).await?);
                    }
                }
            }
            if !history.requests.is_empty() {
                history.rules = Some(gitlab.rules().await.map_err(|error| error.to_string()));
                history.notes_are_advice = notes_are_advice(forge, project.pipeline.as_deref());
            }
            if let (Some(environment), Some(job)) = (&forge.environment, self.job) {
                history.deployment = gitlab.deployment(environment, job).await?;
            }
            Ok::<_, Unasked>(history)
        };
        match told.await {
            Ok(mut history) => {
                history.requests.sort_by_key(|request: &MergeRequest| request.merged);
                Ok(history)
            }
            // Statements stand for themselves, and Git tells who must not have made them. That is less than the forge knows, so
            // it serves only where nobody answers.
            Err(Unasked::Forge(error)) if self.stands_alone(&error) => {
                let direct: Vec<Commit> = repo::commits_since(root, base, false).map_err(no_history)?;
                let not_asked =
                    Some(format!("the forge could not be asked who wrote and pushed what: {error}"));
                Ok(History { direct, not_asked, ..History::default() })
            }
            Err(Unasked::Forge(error)) => Err(unknown(forge, &error)),
            Err(Unasked::Git(finding)) => Err(finding.into()),
        }
    }

    /// Whether statements can do without a forge that failed like this: only where it did not answer. One that refuses may be
    /// refused by whoever starts the apply, who leaves its token away.
    fn stands_alone(&self, error: &Error) -> bool {
        error.kind == ErrorKind::Unreachable && !self.envelopes.is_empty()
    }

    /// Who is in the groups that own something.
    async fn groups(
        &self,
        quorums: &[Quorum],
        now: Timestamp,
        accounts: &mut Accounts,
    ) -> Result<(), Failure> {
        let Some((forge, Ok(gitlab))) = &self.forge else { return Ok(()) };
        let owners = quorums.iter().flat_map(|quorum| &quorum.owners);
        let groups: BTreeSet<&String> = owners.filter(|owner| owner.starts_with('@')).collect();
        for group in groups {
            let members = gitlab.members(group.trim_start_matches('@'), now).await;
            let members = match members {
                Ok(members) => members,
                // Whoever is named by himself can still have approved.
                Err(error) if self.stands_alone(&error) => continue,
                Err(error) => return Err(unknown(forge, &error)),
            };
            let handles: BTreeSet<Name> =
                members.iter().filter_map(|account| accounts.of(account).cloned()).collect();
            accounts.groups.insert(group.clone(), handles);
        }
        Ok(())
    }

    fn statements(&self, session: &Session) -> Result<Vec<Statement>, Failure> {
        let (settings, now) = (session.judging(), session.clock.now());
        let (mut statements, mut findings) = (Vec::new(), Vec::new());
        for (file, envelope) in &self.envelopes {
            let read =
                envelope::approvals(envelope, file, &settings.approvals.keys, &settings.organization, now);
            match read {
                Ok(read) => statements.extend(read),
                Err(why) => findings.push(no_statement(file, &why)),
            }
        }
        if findings.is_empty() { Ok(statements) } else { Err(Failure::from(findings).exit(Exit::Stale)) }
    }
}

/// Who wrote what base asked for already and what has been held since: no merge request after base tells. By effect.
fn waited(session: &Session, plan: &Plan) -> BTreeMap<Digest, Vec<Option<Commit>>> {
    let Some(root) = session.root() else { return BTreeMap::new() };
    let waits = |change: &&Change| {
        let demand = session.demand_of(change);
        let gives = change.cause == Cause::Request && !change.op.is_removal();
        gives && demand.is_some_and(|demand| demand.state != DemandState::True)
    };
    let of = |change: &Change| {
        let lines = std::iter::once(&change.reason).chain(&change.also).map(|origin| {
            let lines = BTreeSet::from([origin.span.line]);
            let commits = repo::commits_of(root, &origin.span.file, &lines);
            commits.get(&origin.span.line).and_then(|commit| repo::commit_as(root, commit))
        });
        (change.effect.clone(), lines.collect())
    };
    plan.changes.iter().filter(waits).map(of).collect()
}

/// Why it is not known what was merged.
enum Unasked {
    Forge(Error),
    Git(Finding),
}

impl Unasked {
    fn of(error: &Error) -> Self {
        Self::Forge(error.clone())
    }
}

impl From<Error> for Unasked {
    fn from(error: Error) -> Self {
        Self::Forge(error)
    }
}

/// Why the notes are not believed; nothing where a merge request cannot change who writes them, or what. `pipeline` is where
/// the project's settings say that it is configured.
fn notes_are_advice(forge: &Forge, pipeline: Option<&str>) -> Option<String> {
    if forge.bot.is_none() {
        return Some("`forge.bot` does not say whose notes count".to_owned());
    }
    match forge.notes {
        Some(true) => return None,
        Some(false) => return Some("`forge.notes` says so".to_owned()),
        None => {}
    }
    let why = match pipeline {
        Some(path) if pipeline::is_outside(path, &forge.project) => return None,
        Some(_) => "the pipeline is configured in the access repo, where a merge request can change it",
        None => "the forge does not tell where the pipeline is configured",
    };
    Some(why.to_owned())
}

fn unknown(forge: &Forge, error: &Error) -> Failure {
    let message = format!("{} cannot be asked who approved: {error}", forge.url.value);
    let finding = Finding::error(UNKNOWN, message)
        .note("what is not known is not approved, so nothing was changed")
        .help(
            "it takes a token that reads merge requests, their approvals and the project's settings (a project access \
             token, role Reporter or more, scope `read_api`) in `ROLECALL_FORGE_TOKEN`; a job's own token cannot",
        );
    Failure::from(finding).exit(Exit::Stale)
}

fn no_history(why: impl std::fmt::Display) -> Finding {
    Finding::error(NO_HISTORY, format!("it is not known what was merged since the last apply: {why}"))
        .help("run this where Git has the whole history (in a pipeline: `GIT_DEPTH: \"0\"`)")
}

fn no_statement(file: &str, why: &str) -> Finding {
    Finding::error(NO_STATEMENT, format!("`{file}` counts for nothing: {why}"))
        .help("let it be signed again, with `rolecall approve`, by somebody whose key base has")
}

fn envelopes(files: &[PathBuf]) -> Result<Vec<(String, Envelope)>, Failure> {
    let (mut read, mut findings) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        match text.and_then(|text| envelope::envelopes(&text)) {
            Ok(envelopes) => read.extend(envelopes.into_iter().map(|envelope| (name.clone(), envelope))),
            Err(why) => findings.push(no_statement(&name, &why)),
        }
    }
    if findings.is_empty() { Ok(read) } else { Err(Failure::from(findings).exit(Exit::Stale)) }
}
