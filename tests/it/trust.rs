//! What a merge request or a plan file could try, against a small company where people come from manifests.
//!
//! Invariant: what is not approved is not written, wherever it is hidden.

use crate::repo::Repo;

const SETTINGS: &str = r#"format: 1
organization: acme
directory: manifests
types: { employee: { rules: true }, service: {} }
identities: { okta: "{email}", aws: "{handle}" }
groups: { okta: "rbac_{role}" }
providers:
  okta: { url: https://acme.okta.com, own: [{ groups: "rbac_*", may: all }] }
  aws: { account: "222222222222", own: [{ users: "*", groups: "*", may: all }] }
simulate: world.yaml
"#;

const PEOPLE: &str = r#"{ kind: User, name: bob, type: employee, email: bob@acme.com, attributes: { department: finance } }
---
{ kind: User, name: eve, type: employee, email: eve@acme.com, attributes: { department: sales } }
"#;

const ROLE: &str = r#"kind: Role
name: finance
owners: [bob]
members: [{ department: finance }]
access: [{ aws: { groups: [admins] } }]
"#;

const WORLD: &str = r#"now: 2026-11-22T17:00:00Z
okta:
  token_owner: svc@acme.com
  users: [{ login: bob@acme.com }, { login: eve@acme.com }, { login: svc@acme.com }]
aws:
  caller: arn:aws:iam::222222222222:role/rolecall
  accounts: { "222222222222": { name: ci, users: [{ name: bob }, { name: eve }, { name: mallory }], groups: [{ name: admins }] } }
"#;

fn company() -> Repo {
    let repo = Repo::empty();
    repo.write("rolecall.yaml", SETTINGS);
    repo.write("people/all.yaml", PEOPLE);
    repo.write("roles/finance.yaml", ROLE);
    repo.write("world.yaml", WORLD);
    repo.converge();
    repo
}

#[test]
fn what_head_says_of_people_is_a_request_and_never_standing() {
    for (old, new) in [
        ("department: sales", "department: finance"),
        ("email: bob@acme.com", "email: bob@acme.com, identities: { aws: mallory }"),
    ] {
        let repo = company();
        repo.replace("people/all.yaml", old, new);
        let plan = repo.plan();
        let changes = plan["changes"].as_array().unwrap();
        assert!(!changes.is_empty(), "{old}");
        assert!(changes.iter().all(|change| change["cause"] == "request"), "{old}: {plan:#}");
        assert!(!plan["effects"].as_array().unwrap().is_empty());
    }
}

#[test]
fn a_plan_file_that_was_changed_is_refused() {
    let repo = company();
    repo.replace("people/all.yaml", "department: sales", "department: finance");
    let plan = repo.expect(0, &["plan", "--format", "json"]).stdout;
    for (old, new) in
        [("okta:user/eve@acme.com", "okta:user/svc@acme.com"), ("\"op\": \"grant\"", "\"op\": \"revoke\"")]
    {
        assert!(plan.contains(old));
        repo.write("changed.json", &plan.replace(old, new));
        let ran = repo.expect(4, &["apply", "changed.json", "--yes"]);
        assert!(ran.stderr.contains("RC705"), "{}", ran.stderr);
    }
    let parsed: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let id = parsed["id"].as_str().unwrap();
    repo.expect(0, &["apply", "--yes"]);
    repo.write("changed.json", &plan.replace(id, "0123456789ab"));
    repo.expect(4, &["apply", "changed.json", "--yes"]);
}

#[test]
fn what_a_limited_apply_gave_is_known_as_ours_when_head_takes_it_back() {
    let repo = company();
    repo.replace("people/all.yaml", "department: sales", "department: finance");
    repo.expect(0, &["plan", "--only", "okta:group/rbac_finance"]);
    repo.expect(0, &["apply", "--yes"]);
    assert!(repo.read("world.yaml").contains("eve"));
    repo.replace(
        "people/all.yaml",
        "name: eve, type: employee, email: eve@acme.com, attributes: { department: finance }",
        "name: eve, type: employee, email: eve@acme.com, attributes: { department: sales }",
    );
    let plan = repo.plan();
    let revokes =
        plan["changes"].as_array().unwrap().iter().filter(|change| change["op"] == "revoke").count();
    assert_eq!((revokes, plan["drift"].as_array().unwrap().len()), (1, 0), "{plan:#}");
    repo.converge();
}

#[test]
fn an_apply_after_which_the_gate_still_denies_says_so() {
    let repo = company();
    repo.replace("people/all.yaml", "department: finance", "department: sales");
    repo.replace(
        "roles/finance.yaml",
        "[{ department: finance }]",
        "[{ handle: eve }, { department: sales, handle: eve }]",
    );
    repo.replace("rolecall.yaml", "simulate:", "protected: [\"person:bob\"]\nsimulate:");
    // Base does not protect him yet: head's protection judges what comes after it.
    repo.converge();
    repo.replace(
        "roles/finance.yaml",
        "[{ handle: eve }, { department: sales, handle: eve }]",
        "[{ handle: bob }]",
    );
    repo.expect(0, &["plan"]);
    let ran = repo.expect(3, &["apply", "--yes"]);
    assert!(ran.stdout.contains("protected"), "{}", ran.stdout);
}

/// The threat model names tests; one that is renamed or gone would be a promise that nobody keeps.
#[test]
fn the_threat_model_names_tests_that_are_there() {
    fn texts(folder: &std::path::Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                texts(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut sources = String::new();
    for folder in ["src", "tests/it"] {
        texts(&crate::repo::package(folder), &mut sources);
    }
    let page = std::fs::read_to_string(crate::repo::package("docs/threat-model.md")).unwrap();
    let named = page.split('`').skip(1).step_by(2).filter(|word| {
        word.len() > 12
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '…')
    });
    let missing: Vec<&str> =
        named.filter(|name| !sources.contains(&format!("fn {}", name.trim_end_matches('…')))).collect();
    assert_eq!(missing, [""; 0], "docs/threat-model.md names tests that are not there");
}
