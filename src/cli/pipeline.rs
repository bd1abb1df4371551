//! What a pipeline of GitLab says of the run: whether it may write at all, and who decides what it does.
//!
//! Invariant: in a pipeline nothing real is written unless the ref is protected and the pipeline was started in a way that
//! not everybody can. It must not decide what is approved: that is `apply`'s.

use std::path::Path;

use super::session::trust::same_reality;
use super::session::{load, load_sources};
use super::{Exit, Failure};
use crate::apply::memory::Memory;
use crate::model::{Code, Finding};
use crate::providers;

/// A pipeline that anyone can start must not write.
const NOT_HERE: Code = Code { code: "RC640", title: "a pipeline that must not apply" };
/// The merge request could have changed what its own pipeline said.
const ADVICE: Code = Code { code: "RC641", title: "the note of the merge request was only advice" };

/// All codes of this module.
pub(super) const CODES: &[Code] = &[NOT_HERE, ADVICE];

/// How a pipeline that applies may have been started. Those that are left out (merge requests, triggers, other
/// pipelines, chat) are started by people who need not be allowed to change the protected branch.
const SOURCES: [&str; 4] = ["push", "schedule", "web", "api"];

/// What the environment says of the run.
type Told<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Refuses an apply in a pipeline that must not write to what is real; asked before any provider is.
pub(super) fn may_apply(repo: &Path, told: Told<'_>) -> Result<(), Failure> {
    let Some(finding) = refusal(told) else { return Ok(()) };
    // Where all is simulated there is nothing to protect.
    let (registry, refused) = (providers::registry(), Err(Failure::from(finding).exit(Exit::Stale)));
    let head = load(repo, &registry)?;
    if head.settings.simulate.is_none() {
        return refused;
    }
    // What was applied last serves where head cannot be planned, and that may be real.
    let base = Memory::at(repo.join(&head.settings.memory)).sources()?;
    let base = base.map(|sources| load_sources(&sources, &registry)).transpose()?;
    base.map_or(Ok(()), |base| same_reality(&head, &base))
}

/// Why this run must not write; `None` outside a pipeline, or where it may.
fn refusal(told: Told<'_>) -> Option<Finding> {
    // Runners of GitLab say `true`; others say other things, and mean the same.
    told("CI").filter(|ci| !matches!(ci.as_str(), "false" | "0"))?;
    let source = told("CI_PIPELINE_SOURCE");
    if !source.as_deref().is_some_and(|source| SOURCES.contains(&source)) {
        let message = match &source {
            Some(source) => format!("this pipeline was started by `{source}`, and such a one does not apply"),
            None => "this is a pipeline, and it does not say what started it".to_owned(),
        };
        let help = format!("`CI_PIPELINE_SOURCE` is one of `{}` where it may", SOURCES.join("`, `"));
        return Some(Finding::error(NOT_HERE, message).help(help));
    }
    if told("CI_COMMIT_REF_PROTECTED").as_deref() != Some("true") {
        let name =
            told("CI_COMMIT_REF_NAME").map_or_else(|| "this ref".to_owned(), |name| format!("`{name}`"));
        let message =
            format!("{name} is not protected, so anyone could have put there what would be applied");
        let help = "protect the branch (Settings → Repository → Protected branches), and apply from there";
        return Some(Finding::error(NOT_HERE, message).help(help));
    }
    None
}

/// What to know of a pipeline whose configuration lies in the access repo itself; `None` elsewhere.
pub(super) fn advice(told: Told<'_>) -> Option<Finding> {
    told("GITLAB_CI")?;
    let path = told("CI_CONFIG_PATH").unwrap_or_else(|| ".gitlab-ci.yml".to_owned());
    let project = told("CI_PROJECT_PATH").unwrap_or_default();
    if is_outside(&path, &project) {
        return None;
    }
    let message = format!(
        "the pipeline is `{path}` of the access repo itself: a merge request can change what its own plan and note say"
    );
    let finding = Finding::warning(ADVICE, message)
        .note("so the note was only advice; what counts is the plan that this pipeline made on the protected branch")
        .help("let the protected environment ask for approval of that plan; or move the pipeline out (docs/pipeline.md)");
    Some(finding)
}

/// Whether a pipeline's file, as the project's settings name it, lies where a merge request of the project does not reach:
/// `FILE@GROUP/PROJECT[:REF]` of another project, or a URL.
pub(super) fn is_outside(path: &str, project: &str) -> bool {
    match path.split_once('@') {
        Some((_, place)) => {
            let place = place.split(':').next().unwrap_or_default();
            !place.is_empty() && !place.eq_ignore_ascii_case(project)
        }
        None => path.starts_with("https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn invariant_7_a_pipeline_applies_from_a_protected_ref_and_a_known_source_alone() {
        assert_eq!(refusal(&told(&[])), None, "no pipeline");
        for source in ["push", "schedule", "web", "api"] {
            let pairs = [("CI", "true"), ("CI_COMMIT_REF_PROTECTED", "true"), ("CI_PIPELINE_SOURCE", source)];
            let told =
                |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(refusal(&told), None, "{source}");
        }
        for (why, pairs) in [
            ("CI_PIPELINE_SOURCE", &[("CI", "true"), ("CI_COMMIT_REF_PROTECTED", "true")][..]),
            (
                "`merge_request_event`",
                &[
                    ("CI", "true"),
                    ("CI_COMMIT_REF_PROTECTED", "true"),
                    ("CI_PIPELINE_SOURCE", "merge_request_event"),
                ],
            ),
            (
                "`trigger`",
                &[("CI", "1"), ("CI_COMMIT_REF_PROTECTED", "true"), ("CI_PIPELINE_SOURCE", "trigger")],
            ),
            ("not protected", &[("CI", "true"), ("CI_PIPELINE_SOURCE", "push")]),
            (
                "`feature` is not protected",
                &[
                    ("CI", "true"),
                    ("CI_COMMIT_REF_NAME", "feature"),
                    ("CI_COMMIT_REF_PROTECTED", "false"),
                    ("CI_PIPELINE_SOURCE", "schedule"),
                ],
            ),
        ] {
            let finding = refusal(&told(pairs)).unwrap();
            let text = format!("{} {}", finding.message, finding.help.unwrap());
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn a_pipeline_of_the_access_repo_itself_only_advises() {
        assert_eq!(advice(&told(&[])), None, "no pipeline");
        for own in [
            &[("GITLAB_CI", "true")][..],
            &[("GITLAB_CI", "true"), ("CI_CONFIG_PATH", ".gitlab-ci.yml")],
            &[("GITLAB_CI", "true"), ("CI_CONFIG_PATH", "ci/access.yml")],
        ] {
            assert!(advice(&told(own)).is_some(), "{own:?}");
        }
        for other in
            ["ci/access.yml@group/pipelines", "ci/access.yml@group/pipelines:main", "https://x/y.yml"]
        {
            let told = |name: &str| match name {
                "GITLAB_CI" => Some("true".to_owned()),
                "CI_CONFIG_PATH" => Some(other.to_owned()),
                _ => None,
            };
            assert_eq!(advice(&told), None, "{other}");
        }
    }
}
