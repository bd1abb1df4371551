//! The program in a pipeline: what it refuses to do there, and what it says of where the pipeline lies.
//!
//! Invariant: what is refused here is refused before any provider is asked anything.

use crate::repo::Repo;

/// A provider that is real as far as `apply` knows, and where nobody answers.
const REAL: &str = r#"format: 1
organization: acme
timezone: UTC
directory: manifests
types: { employee: { rules: true } }
identities: { okta: "{email}" }
groups: { okta: "rbac_role_{role}" }
providers:
  okta: { url: "http://127.0.0.1:9", own: [{ groups: "rbac_*", may: all }] }
"#;

const PROTECTED: [(&str, &str); 4] = [
    ("CI", "true"),
    ("GITLAB_CI", "true"),
    ("CI_COMMIT_REF_PROTECTED", "true"),
    ("CI_PIPELINE_SOURCE", "push"),
];

fn with(changed: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut variables = PROTECTED.to_vec();
    variables.retain(|(name, _)| changed.iter().all(|(other, _)| other != name));
    variables.extend(changed.iter().filter(|(_, value)| !value.is_empty()));
    variables
}

#[test]
fn invariant_7_apply_in_a_pipeline_needs_a_protected_ref_and_a_known_source() {
    let repo = Repo::empty();
    repo.write("rolecall.yaml", REAL);
    for changed in [
        &[("CI_COMMIT_REF_PROTECTED", "false")][..],
        &[("CI_COMMIT_REF_PROTECTED", "")],
        &[("CI_PIPELINE_SOURCE", "merge_request_event")],
        &[("CI_PIPELINE_SOURCE", "trigger")],
        &[("CI_PIPELINE_SOURCE", "")],
        &[("CI", "1"), ("GITLAB_CI", ""), ("CI_PIPELINE_SOURCE", "")],
    ] {
        for apply in [&["apply", "--yes"][..], &["apply", "--standing", "--yes"], &["apply", ".", "--yes"]] {
            let ran = repo.run_with(apply, &with(changed));
            assert_eq!(ran.code, 4, "{changed:?}: {}{}", ran.stdout, ran.stderr);
            assert!(ran.stderr.contains("RC640") && !ran.stderr.contains("RC501"), "{}", ran.stderr);
        }
    }
    // Where it may, it goes on to ask the provider, who does not answer.
    for allowed in [with(&[]), with(&[("CI_PIPELINE_SOURCE", "schedule")]), Vec::new()] {
        let ran = repo.run_with(&["apply", "--yes"], &allowed);
        assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("RC501") && !ran.stderr.contains("RC640"), "{}", ran.stderr);
    }
    // Planning is for everybody.
    let ran = repo.run_with(&["plan"], &with(&[("CI_PIPELINE_SOURCE", "merge_request_event")]));
    assert!(!ran.stderr.contains("RC640"), "{}", ran.stderr);
}

#[test]
fn a_pipeline_that_lies_in_the_access_repo_is_said_to_be_advice_and_kept_as_evidence() {
    for (path, advises) in [(".gitlab-ci.yml", true), ("ci/access.yml@acme/pipelines", false)] {
        let repo = Repo::copy_of("examples/acme");
        repo.expect(0, &["plan"]);
        // Simulated, so the unprotected ref of a laptop is no matter.
        let variables = with(&[("CI_COMMIT_REF_PROTECTED", ""), ("CI_CONFIG_PATH", path)]);
        let ran = repo.run_with(&["apply", "--yes"], &variables);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.stderr.contains("RC641"), advises, "{path}: {}", ran.stderr);
        let shown = repo.expect(0, &["evidence", "show"]).stdout;
        assert!(shown.contains(&format!("CI_CONFIG_PATH={path}")), "{shown}");
    }
}

/// Every report of the component is a file that `plan --out` writes, or that the job itself makes.
#[test]
fn the_component_names_commands_and_files_that_there_are() {
    let component = std::fs::read_to_string(crate::repo::package("templates/access.yml")).unwrap();
    let called = component.lines().filter_map(|line| line.split_once("rolecall ")?.1.split(' ').next());
    for command in called.filter(|word| ["check", "plan", "apply", "drift"].contains(word)) {
        Repo::empty().expect(0, &[command, "--help"]);
    }
    let repo = Repo::copy_of("examples/acme");
    repo.expect(0, &["plan", "--out", "access-plan"]);
    let reports =
        component.lines().filter_map(|line| line.split_once(": access-plan/").map(|(_, file)| file));
    for file in reports.filter(|file| *file != "annotations.json") {
        assert!(!repo.read(&format!("access-plan/{file}")).is_empty(), "{file}");
    }
}

/// Artifacts of these names are what people read and what apply is given: a commit must not bring them.
#[test]
fn invariant_05_a_job_of_the_component_takes_away_what_a_commit_brings_under_the_names_of_reports() {
    let component = std::fs::read_to_string(crate::repo::package("templates/access.yml")).unwrap();
    let jobs: Vec<&str> = component.split("\n$[[ inputs.prefix ]]-").skip(1).collect();
    assert_eq!(jobs.len(), 8);
    for job in jobs {
        let script = job.split_once("  script:\n").unwrap().1;
        let first = script.lines().find(|line| !line.trim_start().starts_with('#')).unwrap().trim();
        let expected = match job.split_once(':').unwrap().0 {
            // These have no work tree.
            "note" | "issues" => {
                assert!(job.contains("GIT_STRATEGY: empty"), "{job}");
                continue;
            }
            // This is given what the plan job made.
            "apply" => "- rm -rf access-apply",
            _ => "- *clean",
        };
        assert_eq!(first, expected, "{job}");
    }
}
