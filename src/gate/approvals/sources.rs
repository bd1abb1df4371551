//! Where effects were approved: what each merge request, deployment and statement shows, whose approval counts there, and who
//! asked for what.
//!
//! Invariant: a doubt makes a source show nothing, or an approval not count, and is told. It must not know what it takes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Asked, Said};
use crate::model::{Accounts, Commit, Digest, MergeRequest, Name};

/// What forges commit as, where somebody merges or edits in the browser (GitHub's and GitLab's, checked in November 2026).
const FORGES: [&str; 2] = ["noreply@github.com", "noreply@gitlab.com"];

/// One place where effects were approved.
pub(super) struct Source<'a> {
    pub(super) name: String,
    /// Which effects whoever approved here was shown: those of a note, or all of the plan's.
    shows: Shows<'a>,
    /// Whose approval counts here, and since when.
    pub(super) by: BTreeMap<Name, Timestamp>,
    /// Why others' do not.
    pub(super) not: Vec<String>,
    /// When the note was last edited, and when it was merged, of a merge request.
    noted: Option<(Timestamp, Timestamp)>,
}

enum Shows<'a> {
    Each(&'a BTreeSet<Digest>),
    /// Nothing that could be believed.
    Nothing,
}

impl Source<'_> {
    pub(super) fn shows(&self, effect: &Digest) -> bool {
        match self.shows {
            Shows::Each(effects) => effects.contains(effect),
            Shows::Nothing => false,
        }
    }

    /// The first merge request that does not ask for an effect any more, though it was planned after this one was merged:
    /// what is asked for once more after that has to be approved once more.
    pub(super) fn taken_back<'b>(&self, effect: &Digest, sources: &'b [Source<'_>]) -> Option<&'b str> {
        let (_, merged) = self.noted?;
        let later = sources.iter().find(|later| {
            let noted = later.noted.is_some_and(|(edited, _)| edited > merged);
            noted && matches!(later.shows, Shows::Each(_)) && !later.shows(effect)
        });
        later.map(|later| later.name.as_str())
    }
}

/// All places, the merge requests first and in their order.
pub(super) fn sources<'a>(said: &Said<'a>) -> Vec<Source<'a>> {
    let Asked { id, document, effect, effects, created } = said.plan;
    let mut sources: Vec<Source<'a>> =
        said.history.requests.iter().map(|request| of_request(request, said)).collect();
    if let Some(deployment) = &said.history.deployment {
        let mut source = Source {
            name: deployment.name.clone(),
            shows: Shows::Each(effects),
            by: BTreeMap::new(),
            not: Vec::new(),
            noted: None,
        };
        for approving in &deployment.approvals {
            match approving.at {
                Some(at) if at < created => {
                    source.not.push(format!(
                        "`{}` approved {} before this plan was made",
                        approving.by, source.name
                    ));
                }
                at => count(&mut source, &approving.by, at, said.accounts),
            }
        }
        for by in &deployment.rejected {
            source.by.clear();
            source.not.push(format!("`{by}` rejected {}", source.name));
        }
        sources.push(source);
    }
    for statement in said.statements {
        let name = format!("statement `{}`", statement.file);
        let mut source =
            Source { name, shows: Shows::Each(effects), by: BTreeMap::new(), not: Vec::new(), noted: None };
        if !said.accounts.at_work.contains(&statement.by) {
            source.not.push(format!(
                "`{}`, who signed {}, is nobody who is at work here",
                statement.by, source.name
            ));
        } else if statement.effect == *effect && statement.plan != id {
            // The same may be asked for once more, after it was taken back.
            source.not.push(format!("{} is of plan `{}`, and this is `{id}`", source.name, statement.plan));
        } else if statement.effect == *effect && statement.document != *document {
            source.not.push(format!("{} is of a plan `{id}` that said something else", source.name));
        } else if statement.effect == *effect {
            source.by.insert(statement.by.clone(), statement.at);
        } else {
            source.shows = Shows::Nothing;
            source.not.push(format!(
                "{} approves effect `{}`, and this plan's is `{}`",
                source.name,
                statement.effect.short(),
                effect.short()
            ));
        }
        sources.push(source);
    }
    sources
}

/// What a merge request's approvals amount to.
fn of_request<'a>(request: &'a MergeRequest, said: &Said<'a>) -> Source<'a> {
    let mut source = Source {
        name: request.name.clone(),
        shows: Shows::Nothing,
        by: BTreeMap::new(),
        not: Vec::new(),
        noted: None,
    };
    let name = &request.name;
    let Some(merged) = request.merged else {
        source.not.push(format!("{name} is not merged"));
        return source;
    };
    let (version, changed) = &request.version;
    if *version != request.head {
        source.not.push(format!(
            "of {name} `{}` was merged, and the forge's last version of it is `{}`",
            short(&request.head),
            short(version)
        ));
        return source;
    }
    if let Some(why) = &said.history.notes_are_advice {
        source.not.push(format!("the note of {name} is only advice: {why}"));
        return source;
    }
    let (Some(note), None) = (request.notes.first(), request.notes.get(1)) else {
        if !request.notes.is_empty() {
            source.not.push(format!(
                "{name} has several notes that show a plan, and it is not known which is the true one"
            ));
            return source;
        }
        let bot = said.history.bot.as_deref().unwrap_or("the bot that `forge.bot` names");
        source.not.push(format!("{name} has no note by {bot} that shows a plan"));
        return source;
    };
    if note.effect.is_none() {
        source.not.push(format!("the note of {name} does not say which effects it shows"));
        return source;
    }
    if note.edited < *changed {
        source.not.push(format!("the note of {name} is older than its last change of {changed}"));
        return source;
    }
    let Asked { effect, effects, .. } = said.plan;
    source.shows = if note.effect.as_ref() == Some(effect) {
        Shows::Each(effects)
    } else if note.effects.is_empty() && note.effect != Some(Digest::of(&note.effects)) {
        source
            .not
            .push(format!("the note of {name} shows too many effects to name them, and not just these"));
        return source;
    } else {
        Shows::Each(&note.effects)
    };
    source.noted = Some((note.edited, merged));
    let since = note.edited.max(*changed);
    for approving in &request.approvals {
        match approving.at {
            Some(at) if at <= *changed => {
                source
                    .not
                    .push(format!("`{}` approved {name} before its last change of {changed}", approving.by));
            }
            Some(at) if at <= since => {
                source.not.push(format!(
                    "`{}` approved {name} before its note was last edited, at {}",
                    approving.by, note.edited
                ));
            }
            at => count(&mut source, &approving.by, at, said.accounts),
        }
    }
    if request.approvals.is_empty() {
        source.not.push(format!("nobody approved {name}"));
    }
    source
}

fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// Counts an approval, if it is known whose it is and of when.
fn count(source: &mut Source<'_>, account: &str, at: Option<Timestamp>, accounts: &Accounts) {
    let name = &source.name;
    match (accounts.of(account), at) {
        (None, _) => {
            source.not.push(format!("`{account}`, who approved {name}, is nobody who is at work here"));
        }
        (_, None) => source.not.push(format!("it is not known when `{account}` approved {name}")),
        (Some(person), Some(at)) => drop(source.by.insert(person.clone(), at)),
    }
}

/// Whoever asked for an effect, none of whom may approve it; or why that is not known.
///
/// The merge request that was the first to show it asked for it, after it was taken back the first one since. So may have all
/// before it, since what was held when they were planned is in no note, and commits that came with no merge request: Mallory's
/// effects do not become approvable by her because the next merge request, which she approves, shows them too. So did
/// whoever wrote what has waited since before base.
pub(super) fn asked(
    effect: &Digest,
    sources: &[Source<'_>],
    said: &Said<'_>,
) -> (BTreeSet<String>, Vec<String>) {
    let history = said.history;
    let (mut who, mut unknown) = (BTreeSet::new(), Vec::new());
    // The first sources are the merge requests, in their order.
    for (request, source) in history.requests.iter().zip(sources) {
        authors(request, said, &mut who, &mut unknown);
        if source.shows(effect) && source.taken_back(effect, sources).is_none() {
            break;
        }
    }
    for commit in &history.direct {
        wrote(commit, "the branch itself", said, &mut who, &mut unknown);
    }
    for commit in said.wrote.get(effect).into_iter().flatten() {
        match commit {
            Some(commit) => wrote(commit, "what has waited since", said, &mut who, &mut unknown),
            None => {
                unknown.push("Git does not tell who wrote what has waited since the last apply".to_owned());
            }
        }
    }
    (who, unknown)
}

fn authors(request: &MergeRequest, said: &Said<'_>, who: &mut BTreeSet<String>, unknown: &mut Vec<String>) {
    let is_bot =
        |account: &str| said.history.bot.as_deref().is_some_and(|bot| bot.eq_ignore_ascii_case(account));
    for account in std::iter::once(&request.author).chain(&request.pushers) {
        match said.accounts.of(account) {
            Some(person) => drop(who.insert(person.to_string())),
            None if is_bot(account) => drop(who.insert(account.clone())),
            None => unknown.push(format!(
                "`{account}`, who wrote {}, is nobody who is at work here, so it is not known who must not approve it",
                request.name
            )),
        }
    }
    for commit in &request.commits {
        wrote(commit, &request.name, said, who, unknown);
    }
}

fn wrote(
    commit: &Commit,
    place: &str,
    said: &Said<'_>,
    who: &mut BTreeSet<String>,
    unknown: &mut Vec<String>,
) {
    // A forge that merges or edits for somebody commits in its own name; the author is still who wrote it.
    let committer = Some(&commit.committer).filter(|email| !FORGES.contains(&email.to_lowercase().as_str()));
    for email in std::iter::once(&commit.author).chain(committer) {
        match said.accounts.of_email(email) {
            Some(person) => drop(who.insert(person.to_string())),
            None => unknown.push(format!(
                "commit `{}` of {place} is by `{email}`, which is nobody's address here, so it is not known who must not \
                 approve it",
                short(&commit.id)
            )),
        }
    }
}
