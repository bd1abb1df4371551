//! What is written to GitLab: one note of a merge request, suggestions on its lines, and issues.
//!
//! Invariant: what is there already is edited or left alone, and never posted twice; what somebody else wrote is never
//! taken for ours, whatever it says. Nothing here approves, merges or closes a merge request.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Gitlab, encoded};
use crate::provider::{Error, ErrorKind};
use crate::render::issue::{Existing, Step};

/// How many characters GitLab lets a note have.
const MOST: usize = 1_000_000;
/// How many suggestions are made in one merge request: more is a list that nobody clicks through.
const SUGGESTIONS: usize = 20;
/// The label that issues are found by, besides their author.
const LABEL: &str = "rolecall::drift";

/// What became of something that was to be posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It is new.
    New,
    /// It was there, and says something else now.
    Edited,
    /// It was there, and said this already.
    Same,
}

/// A remark on a line of a merge request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The file, from the root of the project.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
    /// Markdown; its last line is the mark that it is found by.
    pub body: String,
}

#[derive(Debug, Deserialize)]
struct User {
    username: String,
}

#[derive(Debug, Deserialize)]
struct Note {
    id: u64,
    body: String,
    author: User,
    #[serde(default)]
    system: bool,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Request {
    diff_refs: Option<Refs>,
}

#[derive(Debug, Deserialize)]
struct Refs {
    base_sha: String,
    head_sha: String,
    start_sha: String,
}

#[derive(Debug, Deserialize)]
struct IssueOf {
    iid: u64,
    description: Option<String>,
    author: User,
    state: String,
}

impl Gitlab {
    /// The account that the token is of.
    pub async fn account(&self) -> Result<String, Error> {
        Ok(self.read::<User>(&self.path("/user")).await?.username)
    }

    /// Puts the one note of a merge request that begins with the first line of `body` where it belongs: in the place of the
    /// one that this account has written, else as a new one. A note that says the same already is not touched: an edit
    /// would make approvals older than it.
    pub async fn note(&self, iid: u64, body: &str) -> Result<Posted, Error> {
        if body.chars().count() > MOST {
            let message = format!("a note has at most {MOST} characters, and this one has more");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let account = self.account().await?;
        let mark = body.lines().next().unwrap_or_default().trim_end();
        let target = self.of_project(&format!("/merge_requests/{iid}/notes"));
        let notes: Vec<Note> = self.list(&format!("{target}?sort=asc&order_by=created_at")).await?;
        let is_ours = |note: &&Note| {
            !note.system
                && note.kind.is_none()
                && note.author.username == account
                && note.body.lines().next().is_some_and(|line| line.trim_end() == mark)
        };
        let content = json!({ "body": body });
        match notes.iter().find(is_ours) {
            Some(note) if note.body.trim_end() == body.trim_end() => Ok(Posted::Same),
            Some(note) => {
                self.write::<Value>(Method::PUT, &format!("{target}/{}", note.id), &content).await?;
                Ok(Posted::Edited)
            }
            None => {
                self.write::<Value>(Method::POST, &target, &content).await?;
                Ok(Posted::New)
            }
        }
    }

    /// Makes suggestions on lines of a merge request; says how many are new. Those that are there already, and those on
    /// lines that the merge request does not touch, which GitLab refuses, are left out.
    pub async fn suggest(&self, iid: u64, suggestions: &[Suggestion]) -> Result<usize, Error> {
        if suggestions.is_empty() {
            return Ok(0);
        }
        let account = self.account().await?;
        let of = |rest: &str| self.of_project(&format!("/merge_requests/{iid}{rest}"));
        let request: Request = self.read(&of("")).await?;
        let Some(refs) = request.diff_refs else { return Ok(0) };
        let notes: Vec<Note> = self.list(&of("/notes?sort=asc&order_by=created_at")).await?;
        let mark = |body: &str| body.trim_end().lines().next_back().map(str::to_owned).unwrap_or_default();
        let there: Vec<String> = notes
            .iter()
            .filter(|note| note.author.username == account)
            .map(|note| mark(&note.body))
            .collect();
        let mut new = 0;
        for suggestion in suggestions.iter().filter(|one| !there.contains(&mark(&one.body))) {
            if there.len() + new >= SUGGESTIONS {
                break;
            }
            let Suggestion { path, line, body } = suggestion;
            let Refs { base_sha, head_sha, start_sha } = &refs;
            let content = json!({ "body": body, "position": {
                "position_type": "text", "base_sha": base_sha, "head_sha": head_sha, "start_sha": start_sha,
                "old_path": path, "new_path": path, "new_line": line,
            } });
            match self.write::<Value>(Method::POST, &of("/discussions"), &content).await {
                Ok(_) => new += 1,
                // A line that is not in the diff: GitLab says 400 (checked in November 2026).
                Err(error) if error.code.as_deref() == Some("400") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(new)
    }

    /// The issues of drift that this account has written.
    pub async fn issues(&self) -> Result<Vec<Existing>, Error> {
        let account = self.account().await?;
        let query = format!("/issues?labels={}&scope=all&state=all", encoded(LABEL));
        let issues: Vec<IssueOf> = self.list(&self.of_project(&query)).await?;
        let ours = issues.into_iter().filter(|issue| issue.author.username == account);
        Ok(ours
            .filter_map(|issue| {
                Existing::read(issue.iid, issue.description.as_deref()?, issue.state == "opened")
            })
            .collect())
    }

    /// Does what is to be done with an issue.
    pub async fn step(&self, step: &Step) -> Result<(), Error> {
        let of = |rest: &str| self.of_project(&format!("/issues{rest}"));
        let (method, target, content) = match step {
            Step::Open(issue) => (
                Method::POST,
                of(""),
                json!({ "title": issue.title, "description": issue.body, "labels": LABEL }),
            ),
            Step::Update(number, issue) => (
                Method::PUT,
                of(&format!("/{number}")),
                json!({ "title": issue.title, "description": issue.body }),
            ),
            Step::Close(number) => {
                (Method::PUT, of(&format!("/{number}")), json!({ "state_event": "close" }))
            }
        };
        self.write::<Value>(method, &target, &content).await.map(drop)
    }
}
