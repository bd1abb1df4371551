//! `rolecall note` and `rolecall issues`: write to the forge what a plan and a look at drift said.
//!
//! Invariant: they read what an earlier job made and the environment, and nothing of the access repo; the forge's token is
//! the only credential that they use. They must not plan.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::{Exit, Failure, Format, environment, print, repo, say};
use crate::apply::memory::read_plan;
use crate::forge::{self, Gitlab, Posted};
use crate::model::{Code, Finding};
use crate::provider::{Error, SystemClock};
use crate::render::issue::{self, Issue, Step};
use crate::render::markdown;
use crate::render::suggestions::Suggestion;

/// It is not known where to write.
const NOWHERE: Code =
    Code { code: "RC656", title: "it is not known which merge request or project to write to" };
/// The forge refused.
const UNWRITTEN: Code = Code { code: "RC657", title: "the forge was not written to" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NOWHERE, UNWRITTEN];

#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The API of GitLab; that of the pipeline unless given
    #[arg(long, value_name = "URL", env = "CI_API_V4_URL")]
    api: Option<String>,
    /// The project: its path or number; that of the pipeline unless given
    #[arg(long, env = "CI_PROJECT_ID")]
    project: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct NoteArguments {
    /// The plan: a plan.json. Where there is none, the note says what `--findings` says is wrong
    plan: PathBuf,
    /// Suggest what this file says how to mend: the findings.json of `check --out` and of
    /// `plan --out`. One that is not there says nothing
    #[arg(long, value_name = "FILE")]
    findings: Vec<PathBuf>,
    /// What marks the note, where a project has several access repos
    #[arg(long, default_value = "access")]
    target: String,
    /// The merge request's number in the project; that of the pipeline unless given
    #[arg(long, value_name = "NUMBER", env = "CI_MERGE_REQUEST_IID")]
    merge_request: Option<u64>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(super) struct IssuesArguments {
    /// The issues.json of `drift --out`
    issues: PathBuf,
    #[command(flatten)]
    place: Place,
}

impl Place {
    fn open(&self) -> Result<Gitlab, Failure> {
        let missing = |what: &str, how: &str| {
            Finding::error(NOWHERE, format!("it is not known {what}")).help(format!("say it with `{how}`"))
        };
        let api = self.api.as_deref().ok_or_else(|| missing("where GitLab is", "--api"))?;
        let project = self.project.as_deref().ok_or_else(|| missing("which project it is", "--project"))?;
        let url = api.trim_end_matches('/').trim_end_matches("/api/v4");
        let url: Url = url.parse().map_err(|_| missing("where GitLab is", "--api"))?;
        let clock = std::sync::Arc::new(SystemClock);
        Gitlab::open(&url, project, &environment, None, clock).map_err(|error| unwritten(&error))
    }
}

fn unwritten(error: &Error) -> Failure {
    let help = "it takes a project access token, role Reporter, scope `api`, in `ROLECALL_FORGE_TOKEN`";
    Finding::error(UNWRITTEN, format!("GitLab was not written to: {error}")).help(help).into()
}

fn unreadable(file: &Path, why: impl std::fmt::Display) -> Finding {
    Finding::error(repo::UNREADABLE, format!("`{}` cannot be read: {why}", file.display()))
        .help("name the file that the earlier job made")
}

/// What a check left.
#[derive(Debug, Default, Deserialize)]
struct Checked {
    #[serde(default)]
    findings: Vec<Finding>,
    #[serde(default)]
    suggestions: Vec<Suggestion>,
}

fn checked(files: &[PathBuf]) -> Result<Checked, Finding> {
    let mut all = Checked::default();
    for file in files {
        let text = match std::fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(file, error)),
        };
        let checked: Checked = serde_json::from_slice(&text).map_err(|error| unreadable(file, error))?;
        all.findings.extend(checked.findings);
        all.suggestions.extend(checked.suggestions);
    }
    Ok(all)
}

/// Posts the note of a plan.
pub(super) async fn note(arguments: &NoteArguments) -> Result<Exit, Failure> {
    let checked = checked(&arguments.findings)?;
    let iid = arguments.merge_request.ok_or_else(|| {
        Finding::error(NOWHERE, "it is not known which merge request it is")
            .help("say it with `--merge-request`")
    })?;
    if !crate::manifest::forge::is_target(&arguments.target) {
        let message = format!("`{}` cannot mark a note", arguments.target);
        return Err(Finding::error(NOWHERE, message)
            .help("write it in lower case: letters, digits, `.`, `_`, `-`")
            .into());
    }
    let gitlab = arguments.place.open()?;
    let pipeline = environment("CI_PIPELINE_URL");
    let (target, pipeline) = (arguments.target.as_str(), pipeline.as_deref());
    let body = if arguments.plan.exists() {
        markdown::note(&read_plan(&arguments.plan)?, target, pipeline)
    } else {
        markdown::unplanned(&checked.findings, target, pipeline)
    };
    let posted = gitlab.note(iid, &body).await.map_err(|error| unwritten(&error))?;
    say(match posted {
        Posted::New => "the note is there\n",
        Posted::Edited => "the note says this now\n",
        Posted::Same => "the note says this already\n",
    });
    let written = checked
        .suggestions
        .into_iter()
        .filter_map(|one| Some(forge::Suggestion { body: one.body()?, path: one.path, line: one.line }));
    let written: Vec<forge::Suggestion> = written.collect();
    if !written.is_empty() {
        let new = gitlab.suggest(iid, &written).await.map_err(|error| unwritten(&error))?;
        say(&format!("new suggestions: {new}\n"));
    }
    Ok(Exit::Success)
}

/// Keeps the issues of drift.
pub(super) async fn issues(arguments: &IssuesArguments, format: Format) -> Result<Exit, Failure> {
    #[derive(Deserialize)]
    struct Wanted {
        issues: Vec<Issue>,
        complete: bool,
    }
    let file = &arguments.issues;
    let text = std::fs::read(file).map_err(|error| unreadable(file, error))?;
    let wanted: Wanted = serde_json::from_slice(&text).map_err(|error| unreadable(file, error))?;
    let gitlab = arguments.place.open()?;
    let existing = gitlab.issues().await.map_err(|error| unwritten(&error))?;
    let steps = issue::steps(&wanted.issues, &existing, wanted.complete);
    for step in &steps {
        gitlab.step(step).await.map_err(|error| unwritten(&error))?;
        if format == Format::Text {
            print(&match step {
                Step::Open(issue) => format!("opened an issue for {}\n", issue.target),
                Step::Update(number, issue) => format!("wrote issue {number} of {} anew\n", issue.target),
                Step::Close(number) => format!("closed issue {number}\n"),
            });
        }
    }
    if steps.is_empty() {
        say("the issues are as they should be\n");
    }
    Ok(Exit::Success)
}
