//! What GitLab tells of merge requests: who wrote, changed, noted and approved them, and of the deployment that a job is.
//!
//! Invariant: only what is there is told. A merge request belongs to a commit only where GitLab says that it was merged as
//! that commit.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;

use super::client::{Gitlab, encoded};
use crate::model::{Approving, BotNote, Commit, Deployment, ForgeRules, MergeRequest, Shown};
use crate::provider::{Error, ErrorKind};

/// Which notes of a merge request count.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The account that wrote them.
    pub bot: Option<&'a str>,
    /// What marks those of this access repo.
    pub target: &'a str,
}

#[derive(Debug, Deserialize)]
struct User {
    username: String,
}

/// The least role whose members own code for GitLab.
const DEVELOPER: u32 = 30;

#[derive(Debug, Deserialize)]
struct Member {
    username: String,
    access_level: u32,
    state: Option<String>,
    membership_state: Option<String>,
    /// A date.
    expires_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Request {
    iid: u64,
    title: String,
    state: String,
    target_branch: String,
    author: User,
    created_at: Timestamp,
    merged_at: Option<Timestamp>,
    merge_user: Option<User>,
    merged_by: Option<User>,
    sha: Option<String>,
    merge_commit_sha: Option<String>,
    squash_commit_sha: Option<String>,
    web_url: String,
    references: Option<References>,
}

#[derive(Debug, Deserialize)]
struct References {
    full: String,
}

#[derive(Debug, Deserialize)]
struct Version {
    head_commit_sha: String,
    created_at: Timestamp,
}

#[derive(Debug, Deserialize)]
struct CommitOf {
    id: String,
    author_email: String,
    committer_email: String,
}

#[derive(Debug, Deserialize)]
struct Approvals {
    approved_by: Vec<ApprovedBy>,
}

#[derive(Debug, Deserialize)]
struct ApprovedBy {
    user: User,
    approved_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct Note {
    body: String,
    author: User,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default)]
    system: bool,
    /// `DiffNote`, `DiscussionNote`; nothing for one that stands by itself, as that of a plan does.
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Rules {
    merge_requests_author_approval: Option<bool>,
    merge_requests_disable_committers_approval: Option<bool>,
    reset_approvals_on_push: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ProjectOf {
    ci_config_path: Option<String>,
    default_branch: Option<String>,
}

/// What a project's settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Where its pipeline is configured; empty: in itself, under the usual name; `None`: GitLab does not tell.
    pub pipeline: Option<String>,
    /// Its default branch.
    pub branch: String,
}

#[derive(Debug, Deserialize)]
struct DeploymentOf {
    id: u64,
    deployable: Option<Deployable>,
    #[serde(default)]
    approvals: Vec<DeploymentApproval>,
}

#[derive(Debug, Deserialize)]
struct Deployable {
    id: u64,
}

#[derive(Debug, Deserialize)]
struct DeploymentApproval {
    user: User,
    status: String,
    created_at: Option<Timestamp>,
}

impl Gitlab {
    /// The numbers of the merge requests that were merged into a branch as this commit of it.
    pub async fn merged_as(&self, commit: &str, branch: &str) -> Result<Vec<u64>, Error> {
        let target = self.of_project(&format!("/repository/commits/{}/merge_requests", encoded(commit)));
        let requests: Vec<Request> = self.list(&target).await?;
        // One that was merged into another branch was not what let the commit in here.
        let requests: Vec<Request> =
            requests.into_iter().filter(|request| request.target_branch == branch).collect();
        let is_of = |request: &Request| {
            let as_what = [&request.merge_commit_sha, &request.squash_commit_sha, &request.sha];
            request.state == "merged" && as_what.into_iter().flatten().any(|sha| sha == commit)
        };
        // A fast-forward merge brings several commits and names the last of them alone; the others are known by GitLab's
        // saying that they are of a request that was merged without a commit of its own.
        let plain = |request: &Request| {
            request.state == "merged"
                && request.merge_commit_sha.is_none()
                && request.squash_commit_sha.is_none()
        };
        Ok(requests
            .iter()
            .filter(|request| is_of(request) || plain(request))
            .map(|request| request.iid)
            .collect())
    }

    /// A merge request, with all that bears on whether its approvals count.
    pub async fn request(&self, iid: u64, asked: Asked<'_>) -> Result<MergeRequest, Error> {
        let of = |rest: &str| self.of_project(&format!("/merge_requests/{iid}{rest}"));
        let request: Request = self.read(&of("")).await?;
        let versions: Vec<Version> = self.list(&of("/versions")).await?;
        let commits: Vec<CommitOf> = self.list(&of("/commits")).await?;
        let approvals: Approvals = self.read(&of("/approvals")).await?;
        let notes: Vec<Note> = self.list(&of("/notes?sort=asc&order_by=created_at")).await?;
        let name = request.references.map_or_else(|| format!("!{iid}"), |references| references.full);
        let missing =
            |what: &str| Error::new(ErrorKind::Malformed, format!("GitLab tells no {what} of {name}"));
        let last = versions.into_iter().max_by_key(|version| version.created_at);
        let last = last.ok_or_else(|| missing("version"))?;
        let head = request.sha.ok_or_else(|| missing("head"))?;
        let system = || notes.iter().filter(|note| note.system);
        // `approved_at` is young; what the history of the merge request says is as good.
        let said_at = |account: &str| {
            let said = system().filter(|note| note.author.username == account);
            let said = said.filter(|note| note.body.starts_with("approved this merge request"));
            said.map(|note| note.created_at).max()
        };
        let approvals = approvals.approved_by.into_iter().map(|approved| Approving {
            at: approved.approved_at.or_else(|| said_at(&approved.user.username)),
            by: approved.user.username,
        });
        // `added 3 commits`, by whoever pushed them.
        let added = |body: &str| {
            let number = body.strip_prefix("added ").and_then(|rest| rest.split_once(' '));
            number.is_some_and(|(number, rest)| number.parse::<u32>().is_ok() && rest.starts_with("commit"))
        };
        let pushers = system().filter(|note| added(&note.body)).map(|note| note.author.username.clone());
        let pushers: BTreeSet<String> = pushers.collect();
        let mark = Shown::mark(asked.target);
        let is_bots = |note: &&Note| {
            let by_bot = asked.bot.is_some_and(|bot| bot.eq_ignore_ascii_case(&note.author.username));
            let alone = !note.system && note.kind.is_none();
            alone && by_bot && note.body.lines().next().is_some_and(|line| line.trim_end() == mark)
        };
        let notes = notes.iter().filter(is_bots).map(|note| {
            let shown = Shown::of_note(&note.body);
            BotNote {
                edited: note.updated_at,
                effect: shown.as_ref().map(|shown| shown.effect.clone()),
                effects: shown.map(|shown| shown.effects).unwrap_or_default(),
            }
        });
        Ok(MergeRequest {
            url: request.web_url,
            title: request.title,
            author: request.author.username,
            created: request.created_at,
            merged: request.merged_at.filter(|_| request.state == "merged"),
            merged_by: request.merge_user.or(request.merged_by).map(|user| user.username),
            head,
            version: (last.head_commit_sha, last.created_at),
            commits: commits
                .into_iter()
                .map(|commit| Commit {
                    id: commit.id,
                    author: commit.author_email,
                    committer: commit.committer_email,
                })
                .collect(),
            pushers,
            approvals: approvals.collect(),
            notes: notes.collect(),
            name,
        })
    }

    /// What the project's settings let people do about approvals.
    pub async fn rules(&self) -> Result<ForgeRules, Error> {
        let rules: Rules = self.read(&self.of_project("/approvals")).await?;
        let told = |told: Option<bool>, what: &str| {
            told.ok_or_else(|| Error::new(ErrorKind::Malformed, format!("GitLab does not tell `{what}`")))
        };
        Ok(ForgeRules {
            author_may_approve: told(rules.merge_requests_author_approval, "merge_requests_author_approval")?,
            committer_may_approve: !told(
                rules.merge_requests_disable_committers_approval,
                "merge_requests_disable_committers_approval",
            )?,
            reset_on_push: told(rules.reset_approvals_on_push, "reset_approvals_on_push")?,
        })
    }

    /// The accounts that are members of a group itself, by its path, as GitLab takes owners of code: with the role Developer
    /// or more, and neither blocked, awaited nor past their end. Whoever is in a group above it need not be one of them.
    pub async fn members(&self, group: &str, now: Timestamp) -> Result<Vec<String>, Error> {
        let target = self.path(&format!("/groups/{}/members", encoded(group)));
        let members: Vec<Member> = self.list(&target).await?;
        let today = now.strftime("%F").to_string();
        let counts = |member: &Member| {
            let active = |state: &Option<String>| state.as_deref().is_none_or(|state| state == "active");
            let lasts = member.expires_at.as_ref().is_none_or(|end| *end > today);
            active(&member.state)
                && active(&member.membership_state)
                && lasts
                && member.access_level >= DEVELOPER
        };
        Ok(members.into_iter().filter(counts).map(|member| member.username).collect())
    }

    /// What the project's settings say.
    pub async fn project(&self) -> Result<Project, Error> {
        let project: ProjectOf = self.read(&self.of_project("")).await?;
        let branch = project.default_branch.ok_or_else(|| {
            Error::new(ErrorKind::Malformed, "GitLab tells no default branch of the project")
        })?;
        Ok(Project { pipeline: project.ci_config_path, branch })
    }

    /// The deployment to an environment that a job is, with its approvals.
    pub async fn deployment(&self, environment: &str, job: u64) -> Result<Option<Deployment>, Error> {
        let query = format!("/deployments?environment={}&order_by=id&sort=desc", encoded(environment));
        let is_ours =
            |one: &DeploymentOf| one.deployable.as_ref().is_some_and(|deployable| deployable.id == job);
        // The newest come first, and ours is one of them: there may be years of them.
        let Some(ours) = self.first(&self.of_project(&query), is_ours).await? else { return Ok(None) };
        let whole: DeploymentOf = self.read(&self.of_project(&format!("/deployments/{}", ours.id))).await?;
        let (mut approvals, mut rejected) = (Vec::new(), Vec::new());
        for approval in whole.approvals {
            match approval.status.as_str() {
                "approved" => {
                    approvals.push(Approving { by: approval.user.username, at: approval.created_at });
                }
                "rejected" => rejected.push(approval.user.username),
                _ => {}
            }
        }
        Ok(Some(Deployment { name: format!("deployment {} of {environment}", ours.id), approvals, rejected }))
    }
}
