//! Beginning: what `init` makes works at once; CODEOWNERS follows from `owners:`; completions.
//!
//! Invariant: a new user sees a plan with two commands, and nothing that was there is changed.

use serde_json::Value;

use crate::repo::Repo;

fn begun() -> Repo {
    let repo = Repo::empty();
    repo.expect(0, &["init"]);
    repo
}

#[test]
fn what_init_makes_is_checked_planned_and_applied_at_once() {
    let repo = Repo::empty();
    let ran = repo.expect(0, &["init", "access", "--organization", "acme"]);
    assert!(
        ran.stdout.contains("rolecall.yaml\n") && ran.stderr.contains("rolecall plan access"),
        "{}",
        ran.stderr
    );
    let checked = repo.expect(0, &["check", "access"]);
    assert!(checked.stdout.is_empty() && checked.stderr.contains("nothing wrong"), "{}", checked.stdout);
    let ran = repo.expect(0, &["plan", "access", "--format", "json"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(plan["changes"].as_array().unwrap().len() > 3, "{plan:#}");
    assert_eq!(plan["held"].as_array().unwrap().len(), 0, "{plan:#}");
    assert_eq!(plan["findings"].as_array().unwrap().len(), 0, "{plan:#}");
    repo.expect(0, &["apply", "access", "--yes"]);
    repo.expect(0, &["plan", "access", "--detailed-exitcode"]);
    assert!(!repo.read("access/rolecall.yaml").contains("ORGANIZATION"));
    assert!(!repo.read("access/.gitlab-ci.yml").contains("VERSION"));
    // The schemas that the first lines name are there, and are what `schema` prints.
    let schema = repo.expect(0, &["schema"]).stdout;
    assert_eq!(repo.read("access/.schemas/documents.json"), schema);
    for (file, schema) in [
        ("rolecall.yaml", ".schemas/settings.json"),
        ("roles/engineering.yaml", "../.schemas/documents.json"),
    ] {
        let text = repo.read(&format!("access/{file}"));
        assert!(text.lines().next().unwrap().ends_with(&format!("$schema={schema}")), "{file}");
    }
}

#[test]
fn init_changes_nothing_that_is_there() {
    let repo = Repo::empty();
    repo.write("README.md", "mine\n");
    let ran = repo.expect(1, &["init"]);
    assert!(ran.stderr.contains("RC164") && ran.stderr.contains("`README.md`"), "{}", ran.stderr);
    assert_eq!(repo.read("README.md"), "mine\n");
    assert_eq!(std::fs::read_dir(repo.path()).unwrap().count(), 1, "something was written");
    for name in ["Acme", "a b", "", "x: y"] {
        repo.expect(1, &["init", "new", "--organization", name]);
    }
    assert!(!repo.path().join("new").exists());
}

#[test]
fn codeowners_that_are_not_current_fail_the_check_and_one_command_mends_it() {
    let repo = begun();
    repo.expect(0, &["check"]);
    repo.replace("roles/engineering.yaml", "owners: [klibby]", "owners: [klibby, \"@acme/leads\"]");
    let ran = repo.expect(1, &["check"]);
    assert!(
        ran.stdout.contains("RC218") && ran.stdout.contains("rolecall codeowners --write"),
        "{}",
        ran.stdout
    );
    assert!(repo.expect(0, &["codeowners"]).stdout.contains("[engineering] @acme/leads @klibby\n"));
    repo.expect(0, &["codeowners", "--write"]);
    repo.expect(0, &["check"]);
    // What stands above is the user's own.
    let made = repo.read("CODEOWNERS");
    repo.write("CODEOWNERS", "[Docs] @writers\n/docs/\n");
    repo.expect(1, &["check"]);
    repo.expect(0, &["codeowners", "--write"]);
    assert_eq!(repo.read("CODEOWNERS"), format!("[Docs] @writers\n/docs/\n\n{made}"));
    repo.expect(0, &["codeowners", "--write"]);
    assert_eq!(repo.read("CODEOWNERS"), format!("[Docs] @writers\n/docs/\n\n{made}"));
    // Elsewhere, where GitLab looks too.
    std::fs::remove_file(repo.path().join("CODEOWNERS")).unwrap();
    repo.write(".gitlab/CODEOWNERS", "");
    repo.expect(1, &["check"]);
    repo.expect(0, &["codeowners", "--write"]);
    assert_eq!(repo.read(".gitlab/CODEOWNERS"), made);
    // Without one there is a hint, and nothing fails.
    std::fs::remove_file(repo.path().join(".gitlab/CODEOWNERS")).unwrap();
    let ran = repo.expect(0, &["check"]);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("there is no CODEOWNERS"), "{}", ran.stderr);
    // A link is not followed.
    std::os::unix::fs::symlink(repo.path().join("README.md"), repo.path().join("CODEOWNERS")).unwrap();
    let ran = repo.expect(1, &["codeowners", "--write"]);
    assert!(ran.stderr.contains("symbolic link"), "{}", ran.stderr);
}

#[test]
fn there_are_completions_for_shells() {
    let repo = Repo::empty();
    for shell in ["bash", "zsh", "fish"] {
        assert!(repo.expect(0, &["completions", shell]).stdout.contains("rehearse"), "{shell}");
    }
    repo.expect(64, &["completions", "none"]);
}
