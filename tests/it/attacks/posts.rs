//! What is written to the forge, and what is signed where there is none.
//!
//! Invariant: what is there is edited or left alone, and nothing of it approves anything.

use serde_json::{Value, json};

use super::{Company, ROLE};
use crate::gitlab::{Fault, JOB_TOKEN};

#[test]
fn a_note_is_written_once_edited_in_place_and_left_alone_while_it_says_the_same() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    let notes = |company: &Company| company.gitlab.state().requests[&request].notes.clone();
    let first = notes(&company);
    assert_eq!(first.len(), 1);
    company.note(request, "11:30");
    assert_eq!(notes(&company), first, "an edit would make approvals worthless");
    // Somebody else's note with the same mark is not taken for ours.
    company.gitlab.state().say(request, "mallory", "<!-- rolecall:plan:access -->\nhello", false);
    company.add("rpatel");
    company.note(request, "12:30");
    let after = notes(&company);
    assert_eq!(after.len(), 2);
    assert_eq!(after[0]["updated_at"], "2026-11-22T12:30:00.000Z");
    assert!(after[0]["body"].as_str().unwrap().contains("rpatel"));
    assert_eq!(after[1]["body"], "<!-- rolecall:plan:access -->\nhello");
}

#[test]
fn drift_is_one_issue_for_each_provider_that_is_kept_up_to_date_and_closed() {
    let company = Company::settled();
    let api = format!("{}/api/v4", company.gitlab.url);
    let place = [("CI_API_V4_URL", api.as_str()), ("CI_PROJECT_ID", "42")];
    let keep = |issues: Value, complete: bool| {
        company.repo.write("out/issues.json", &json!({ "issues": issues, "complete": complete }).to_string());
        let ran = company.run(&["issues", "out/issues.json"], &place);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    let issue = |fingerprint: &str| {
        let body = format!("<!-- rolecall:drift:okta {fingerprint} -->\ntext");
        json!([{ "target": "okta", "title": "Drift in okta", "body": body, "fingerprint": fingerprint }])
    };
    assert_eq!(keep(issue("aa"), true), "opened an issue for okta\n");
    assert_eq!(keep(issue("aa"), true), "");
    assert_eq!(keep(issue("bb"), true), "wrote issue 1 of okta anew\n");
    assert_eq!(keep(json!([]), false), "", "what could not be read is not known to be gone");
    assert_eq!(keep(json!([]), true), "closed issue 1\n");
    assert_eq!(keep(issue("cc"), true), "opened an issue for okta\n");
    let issues = company.gitlab.state().issues.clone();
    assert_eq!(issues.len(), 2);
    assert_eq!(issues[0]["state"], "closed");
    // With a job's own token nothing is written.
    let job = [place[0], place[1], ("ROLECALL_FORGE_TOKEN", ""), ("CI_JOB_TOKEN", JOB_TOKEN)];
    let ran = company.run(&["issues", "out/issues.json"], &job);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("RC657"), "{}", ran.stderr);
}

#[test]
fn suggestions_are_made_once_and_only_on_lines_that_changed() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    let number = request.to_string();
    let api = format!("{}/api/v4", company.gitlab.url);
    let suggestion = |line: u32, instead: &str| {
        let finding = json!({ "code": "RC203", "level": "error", "message": "x" });
        json!({ "path": "roles/infra.yaml", "line": line, "instead": instead, "finding": finding })
    };
    let findings = json!({ "suggestions": [suggestion(3, "one"), suggestion(100, "two")] });
    company.repo.write("out/findings.json", &findings.to_string());
    let place =
        [("CI_API_V4_URL", api.as_str()), ("CI_PROJECT_ID", "42"), ("CI_MERGE_REQUEST_IID", number.as_str())];
    for (go, new) in [(1, "new suggestions: 1"), (2, "new suggestions: 0")] {
        let ran = company.run(&["note", "out/plan.json", "--findings", "out/findings.json"], &place);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stderr.contains(new), "{go}: {}", ran.stderr);
    }
    let log = company.gitlab.state().log.clone();
    assert!(log.iter().all(|call| !call.contains("/approve ") && !call.contains("/merge ")), "{log:#?}");
}

#[test]
fn invariant_05_what_a_commit_brings_under_the_name_of_a_report_is_no_note() {
    let company = Company::settled();
    company.add("mallory");
    let ran = company.run(&["plan", "--out", "out"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let plan: Value = serde_json::from_str(&company.repo.read("out/plan.json")).unwrap();
    let hex = |value: &Value| value.as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let effects: Vec<String> = plan["effects"].as_array().unwrap().iter().map(hex).collect();
    let forged = format!(
        "<!-- rolecall:plan:access -->\n### nothing to approve\n/approve\n<!-- rolecall:shown:v1 {} {} -->",
        hex(&plan["effect"]),
        effects.join(",")
    );
    company.at("10:00");
    let request = company.gitlab.state().open("mallory", "c0ffee00", "mallory@acme.com");
    let (api, number) = (format!("{}/api/v4", company.gitlab.url), request.to_string());
    let place =
        [("CI_API_V4_URL", api.as_str()), ("CI_PROJECT_ID", "42"), ("CI_MERGE_REQUEST_IID", number.as_str())];
    // A check that cannot read something says so where the committed file was.
    let old = json!({ "suggestions": [{ "path": "roles/infra.yaml", "line": 5, "body": forged }] });
    company.repo.write("access-check/findings.json", &old.to_string());
    std::os::unix::fs::symlink("rolecall.yaml", company.repo.path().join("CODEOWNERS")).unwrap();
    let ran = company.run(&["check", "--out", "access-check"], &[]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(!company.repo.read("access-check/findings.json").contains("nothing to approve"));
    std::fs::remove_file(company.repo.path().join("CODEOWNERS")).unwrap();
    // What it says is not Markdown, whoever wrote it.
    let finding = json!({ "code": "RC203", "level": "error", "message": forged });
    let new = |instead: &str| json!({ "path": "roles/infra.yaml", "line": 5, "finding": finding, "instead": instead });
    for (suggestion, code) in [(old["suggestions"][0].clone(), 1), (new(&forged), 0), (new("a: b"), 0)] {
        company.repo.write("out/findings.json", &json!({ "suggestions": [suggestion] }).to_string());
        let ran = company.run(&["note", "out/none.json", "--findings", "out/findings.json"], &place);
        assert_eq!(ran.code, code, "{}", ran.stderr);
    }
    assert_eq!(company.gitlab.state().executed, Vec::<String>::new());
    // Nor would it count: it is no note that stands by itself.
    company.at("10:30");
    let mut posted =
        company.gitlab.state().say(request, crate::gitlab::BOT, &forged.replace("/approve", ""), false);
    posted["type"] = json!("DiffNote");
    company.gitlab.state().requests.get_mut(&request).unwrap().notes = vec![posted.clone()];
    company.approve(request, &["klibby"]);
    company.merge(request, "mallory@acme.com");
    company.refused(&["has no note by project_42_bot that shows a plan"]);
    // And of two that do, neither.
    posted["type"] = Value::Null;
    company.gitlab.state().requests.get_mut(&request).unwrap().notes = vec![posted.clone(), posted];
    company.refused(&["has several notes that show a plan"]);
}

#[test]
fn a_signed_statement_approves_where_the_forge_is_down_and_not_where_it_refuses() {
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let company = Company::new();
    company.repo.replace(
        "rolecall.yaml",
        "approvals: { low: 1",
        &format!("approvals: {{ keys: {{ klibby: {PUBLIC} }}, low: 1"),
    );
    company.repo.write("out/klibby.pem", PEM);
    company.commit("mallory@acme.com");
    let sign = || {
        assert_eq!(company.run(&["plan"], &[]).code, 0);
        let ran = company.run(&["approve", "--key", "out/klibby.pem"], &[]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        company.repo.write("out/statement.json", &ran.stdout);
        ran.stderr
    };
    let said = sign();
    assert!(said.contains("signed by the key of `klibby`"), "{said}");
    assert!(said.contains("rbac_infra"), "whoever signs sees what he signs: {said}");
    let apply = |file: &str| company.run(&["apply", "--yes", "--approval", file], &[]);
    let text = company.repo.read("out/statement.json");
    company.repo.write("out/altered.json", &text.replacen("eyJ", "eyK", 1));
    let ran = apply("out/altered.json");
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("RC653"), "{}", ran.stderr);
    // A forge that refuses to tell is no forge that is down: what it knows of authors would be left away.
    let ran =
        company.run(&["apply", "--yes", "--approval", "out/statement.json"], &[("ROLECALL_FORGE_TOKEN", "")]);
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("there is no token"), "{}", ran.stderr);
    company.gitlab.state().faults = vec![("/api/v4".to_owned(), Fault::Status(403))];
    assert_eq!(apply("out/statement.json").code, 4);
    company.gitlab.state().faults = vec![("/api/v4".to_owned(), Fault::Status(503))];
    let ran = apply("out/statement.json");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("by klibby (statement `out/statement.json`)"), "{}", ran.stdout);
    assert!(ran.stdout.contains("not compliant: the forge could not"), "{}", ran.stdout);
    // For another plan it counts for nothing.
    company.add("mallory");
    company.commit("mallory@acme.com");
    assert_eq!(company.run(&["plan"], &[]).code, 0);
    let ran = apply("out/statement.json");
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("approves effect"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_planned_is_said_in_the_note_and_mended_with_a_click() {
    let company = Company::settled();
    company.repo.write("roles/infra.yaml", &ROLE.replace("members:", "membrs:"));
    company.at("10:00");
    let request = company.gitlab.state().open("mallory", "c0ffee00", "mallory@acme.com");
    let ran = company.run(&["check", "--out", "out"], &[]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let _ = std::fs::remove_file(company.repo.path().join("out/plan.json"));
    let (api, number) = (format!("{}/api/v4", company.gitlab.url), request.to_string());
    let place =
        [("CI_API_V4_URL", api.as_str()), ("CI_PROJECT_ID", "42"), ("CI_MERGE_REQUEST_IID", number.as_str())];
    let ran = company.run(
        &["note", "out/plan.json", "--findings", "out/findings.json", "--findings", "out/none.json"],
        &place,
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let notes = company.gitlab.state().requests[&request].notes.clone();
    let body = |at: usize| notes[at]["body"].as_str().unwrap().to_owned();
    assert!(body(0).contains("not planned: 1 error has to be mended first"), "{}", body(0));
    assert!(body(0).contains("did you mean `members`?"), "{}", body(0));
    assert!(!body(0).contains("rolecall:shown"), "{}", body(0));
    assert!(body(1).contains("```suggestion:-0+0\nmembers:\n```"), "{}", body(1));
    // An approval of that is an approval of nothing.
    company.repo.write("roles/infra.yaml", ROLE);
    company.add("mallory");
    company.approve(request, &["klibby"]);
    company.merge(request, "mallory@acme.com");
    company.refused(&["the note of acme/access!2 does not say which effects it shows"]);
}
