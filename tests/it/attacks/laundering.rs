//! Merge requests that change nothing live, and what judges the next one, or what comes by itself later.
//!
//! Invariant: what a tree says is approved before it becomes base, by those whom base names.

use super::{Company, ROLE};

/// What base says.
fn base(company: &Company, file: &str) -> String {
    company.repo.read(&format!(".rolecall/verified/base/{file}"))
}

#[test]
fn invariant_43_settings_become_base_once_two_who_answer_for_the_whole_approved_them() {
    let company = Company::settled();
    let before = base(&company, "rolecall.yaml");
    company.repo.replace(
        "rolecall.yaml",
        "owners: [klibby, rpatel]\nproviders",
        "owners: [mallory]\nproviders",
    );
    let request = company.propose("mallory", "mallory@acme.com");
    let note = company.gitlab.state().requests[&request].notes[0]["body"].as_str().unwrap().to_owned();
    assert!(note.contains("What judges and what is asked changes"), "{note}");
    company.merge(request, "mallory@acme.com");
    company.refused(&["RC650", "settings `rolecall.yaml`", "high risk", "2 of klibby, rpatel"]);
    company.approve(request, &["klibby", "mallory"]);
    company.refused(&["1 of 2 who have to did", "`mallory` approved acme/access!2 and wrote some of it"]);
    // Nobody is there to approve a standing run, and it moves no base.
    let ran = company.run(&["apply", "--standing", "--yes"], &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(base(&company, "rolecall.yaml"), before);
    company.approve(request, &["rpatel"]);
    let ran = company.apply();
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_ne!(base(&company, "rolecall.yaml"), before);
}

#[test]
fn invariant_02_a_rule_that_gives_nobody_anything_yet_is_approved_by_the_owners_of_its_role() {
    for (file, text) in [
        ("roles/infra.yaml", format!("{ROLE}  - {{ handle: mallory, from: 2099-01-01 }}\n")),
        ("roles/infra.yaml", format!("{ROLE}  - {{ manager: mallory }}\n")),
        ("roles/infra.yaml", ROLE.replace("owners: [klibby, rpatel]", "owners: [mallory]")),
        (
            "grants/later.yaml",
            "{ kind: Grant, name: later, to: [mallory], roles: [infra], from: 2099-01-01, until: 2099-02-01, reason: x }\n"
                .to_owned(),
        ),
    ] {
        let company = Company::settled();
        company.repo.write(file, &text);
        let ran = company.run(&["plan", "--out", "out"], &[]);
        assert_eq!(ran.code, 0, "{text}: {}", ran.stderr);
        let plan: serde_json::Value = serde_json::from_str(&company.repo.read("out/plan.json")).unwrap();
        assert_eq!(plan["changes"].as_array().unwrap().len(), 0, "{plan:#}");
        let request = company.propose("mallory", "mallory@acme.com");
        company.merge(request, "mallory@acme.com");
        company.refused(&["RC650", "medium risk", "1 of klibby, rpatel", "nobody approved acme/access!2"]);
        company.approve(request, &["klibby"]);
        assert_eq!(company.apply().code, 0, "{text}");
    }
}

#[test]
fn what_is_only_written_otherwise_needs_no_approval() {
    let company = Company::settled();
    let written = "# ours\nname: infra\nkind: Role\nowners: [rpatel, klibby]\nmembers: [{ handle: tnguyen, reason: runs it }]\n";
    std::fs::remove_file(company.repo.path().join("roles/infra.yaml")).unwrap();
    company.repo.write("roles/ops.yaml", written);
    company.commit("mallory@acme.com");
    let ran = company.apply();
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(base(&company, "roles/ops.yaml"), written);
}
