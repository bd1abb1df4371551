//! What somebody who opens merge requests could try, against a small company whose Okta is taken for real and whose merge
//! requests are in a GitLab.
//!
//! Invariant: each attack ends with exit code 4 and a reason that a person can act on, and nothing was written to Okta. The
//! first test is the same company with nothing wrong, which is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Value, json};

use crate::gitlab::{BOT, BOT_TOKEN, Fault, Gitlab, JOB_TOKEN};
use crate::repo::{Ran, Repo};
use crate::served::Served;

mod laundering;
mod owners;
mod posts;
mod trust;

const WORLD: &str = r#"now: 2026-11-22T17:00:00Z
okta:
  token_owner: svc@acme.com
  users:
    - { login: klibby@acme.com, profile: { userType: Employee } }
    - { login: rpatel@acme.com, profile: { userType: Employee } }
    - { login: tnguyen@acme.com, profile: { userType: Employee, managerEmail: klibby@acme.com } }
    - { login: mallory@acme.com, profile: { userType: Employee } }
    - { login: "evil@acme.com", profile: { userType: Employee, displayName: "/approve\n/merge" } }
    - { login: svc@acme.com }
  groups:
    - { name: app.one, members: [] }
"#;

const ROLE: &str = "kind: Role
name: infra
owners: [klibby, rpatel]
members:
  - { handle: tnguyen }
";

/// A company with its Okta, its GitLab, and an access repo in Git.
struct Company {
    repo: Repo,
    okta: Served,
    gitlab: Gitlab,
}

impl Company {
    fn new() -> Self {
        let company = Self { repo: Repo::empty(), okta: Served::of(WORLD), gitlab: Gitlab::start() };
        let settings = format!(
            "format: 1
organization: acme
directory: {{ from: okta, handle: login, attributes: {{ manager: managerEmail }} }}
types: {{ employee: {{ rules: true, match: {{ userType: Employee }} }} }}
identities: {{ okta: \"{{email}}\" }}
groups: {{ okta: \"rbac_{{role}}\" }}
owners: [klibby, rpatel]
providers:
  okta: {{ url: {}, own: [{{ groups: \"*\", may: all }}] }}
forge: {{ url: {}, project: acme/access, bot: {BOT}, environment: access }}
approvals: {{ low: 1, medium: 1, high: 2 }}
",
            company.okta.url, company.gitlab.url
        );
        company.repo.write("rolecall.yaml", &settings);
        company.repo.write("roles/infra.yaml", ROLE);
        company.repo.write(".gitignore", ".rolecall\nout\n");
        company.git(&["init", "-q", "-b", "main"], "x");
        company
    }

    /// With a base: the first merge request, approved and applied.
    fn settled() -> Self {
        Self::new().settle()
    }

    fn settle(self) -> Self {
        let request = self.propose("mallory", "mallory@acme.com");
        self.approve(request, &["klibby"]);
        self.merge(request, "mallory@acme.com");
        let ran = self.apply();
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        self
    }

    fn git(&self, arguments: &[&str], email: &str) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=x", "-c", &format!("user.email={email}"), "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.repo.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn run(&self, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
        let mut variables = vec![("OKTA_API_TOKEN", "any-token"), ("ROLECALL_FORGE_TOKEN", BOT_TOKEN)];
        variables.extend(more);
        self.repo.run_with(arguments, &variables)
    }

    /// Opens a merge request with what is in the work tree at 10:00, whose pipeline plans it and posts the note at 10:30.
    fn propose(&self, author: &str, email: &str) -> u64 {
        self.at("10:00");
        let request = self.gitlab.state().open(author, "c0ffee00", email);
        self.note(request, "10:30");
        request
    }

    fn at(&self, time: &str) {
        self.gitlab.state().now = format!("2026-11-22T{time}:00.000Z");
    }

    /// The pipeline of a merge request.
    fn note(&self, request: u64, time: &str) {
        let ran = self.run(&["plan", "--out", "out"], &[]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        self.at(time);
        self.post(request);
    }

    fn post(&self, request: u64) {
        let (api, number) = (format!("{}/api/v4", self.gitlab.url), request.to_string());
        let variables = [
            ("CI_API_V4_URL", api.as_str()),
            ("CI_PROJECT_ID", "42"),
            ("CI_MERGE_REQUEST_IID", number.as_str()),
        ];
        let ran = self.run(&["note", "out/plan.json"], &variables);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }

    /// At 11:00.
    fn approve(&self, request: u64, who: &[&str]) {
        self.at("11:00");
        who.iter().for_each(|by| self.gitlab.state().approve(request, by));
    }

    /// Merges what is in the work tree.
    fn merge(&self, request: u64, email: &str) {
        let commit = self.commit(email);
        self.gitlab.state().merge(request, &commit);
    }

    fn commit(&self, email: &str) -> String {
        self.git(&["add", "-A"], email);
        self.git(&["commit", "-q", "-m", "change"], email);
        self.git(&["rev-parse", "HEAD"], email)
    }

    /// The pipeline of the default branch: a plan, and its apply.
    fn apply(&self) -> Ran {
        self.apply_with(&[], &[])
    }

    fn apply_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let ran = self.run(&["plan"], &[]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        self.run(&[&["apply", "--yes"], arguments].concat(), variables)
    }

    /// All groups of Okta with their members.
    fn groups(&self) -> BTreeMap<String, BTreeSet<String>> {
        let world = self.okta.simulator.world();
        world.okta.groups.values().map(|group| (group.name.clone(), group.members.clone())).collect()
    }

    /// Who is in the role's group.
    fn members(&self) -> Vec<String> {
        self.groups().remove("rbac_infra").unwrap_or_default().into_iter().collect()
    }

    /// Demands that an apply is refused with these words, and that nothing was written.
    #[track_caller]
    fn refused(&self, words: &[&str]) {
        self.refused_with(&[], &[], words);
    }

    #[track_caller]
    fn refused_with(&self, arguments: &[&str], variables: &[(&str, &str)], words: &[&str]) {
        let before = self.groups();
        let ran = self.apply_with(arguments, variables);
        assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not in:\n{}", ran.stderr);
        }
        assert_eq!(self.groups(), before, "something was written");
    }

    /// Another member of the role.
    fn add(&self, handle: &str) {
        let role = self.repo.read("roles/infra.yaml");
        self.repo.write("roles/infra.yaml", &format!("{role}  - {{ handle: {handle} }}\n"));
    }
}

#[test]
fn invariant_01_what_was_approved_by_its_owner_is_applied_and_recorded() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["klibby"]);
    company.merge(request, "mallory@acme.com");
    let ran = company.apply();
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("by klibby (acme/access!2)"), "{}", ran.stdout);
    assert_eq!(company.members(), ["mallory@acme.com", "tnguyen@acme.com"]);
    let shown = company.run(&["evidence", "show", "--format", "json"], &[]).stdout;
    let bundle: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let text = bundle.to_string();
    assert!(text.contains("\"approved_by\":\"acme/access!2\""), "{shown}");
    assert!(text.contains("reset_on_push") && !text.contains(BOT_TOKEN), "{shown}");
    // A second apply of the same plan is refused: it is finished.
    let again = company.run(&["apply", "--yes"], &[]);
    assert_eq!(again.code, 4, "{}", again.stderr);
}

#[test]
fn invariant_02_what_nobody_approved_is_refused() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.merge(request, "mallory@acme.com");
    company.refused(&["RC650", "nobody approved acme/access!2", "1 of klibby, rpatel"]);
    // Nor what reached the branch without a merge request.
    company.approve(request, &["klibby"]);
    company.add("rpatel");
    company.commit("mallory@acme.com");
    company.refused(&["nothing that was approved shows exactly this"]);
}

#[test]
fn invariant_02_effects_that_grew_after_the_note_are_refused() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["klibby"]);
    company.add("rpatel");
    company.merge(request, "mallory@acme.com");
    company.refused(&["1 effect of role `infra`", "nothing that was approved shows exactly this"]);
}

#[test]
fn invariant_03_an_approver_who_wrote_or_pushed_some_of_it_does_not_count() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("klibby", "klibby@acme.com");
    company.approve(request, &["klibby"]);
    company.merge(request, "klibby@acme.com");
    company.refused(&["`klibby` approved acme/access!2 and wrote some of it"]);

    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "klibby@acme.com");
    company.approve(request, &["klibby"]);
    company.merge(request, "klibby@acme.com");
    company.refused(&["`klibby` approved acme/access!2 and wrote some of it"]);

    let company = Company::settled();
    company.add("mallory");
    company.at("09:00");
    let request = company.propose("mallory", "mallory@acme.com");
    company.at("10:10");
    company.gitlab.state().push(request, "klibby", "c0ffee01", "mallory@acme.com");
    company.approve(request, &["klibby"]);
    company.merge(request, "mallory@acme.com");
    company.refused(&["`klibby` approved acme/access!2 and wrote some of it"]);
}

#[test]
fn invariant_04_what_gitlab_does_not_tell_is_refused_and_never_zero() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["klibby"]);
    company.merge(request, "mallory@acme.com");
    let parts = ["/approvals", "/notes", "/versions", "/commits", "/merge_requests"];
    let faults = [
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(404),
        Fault::Status(500),
        Fault::Reset,
        Fault::Truncated,
    ];
    // Each fault of approvals, and of everything else one.
    let cases = faults
        .iter()
        .map(|fault| (parts[0], fault))
        .chain(parts.iter().zip(&faults[1..]).map(|(p, f)| (*p, f)));
    for (part, fault) in cases {
        company.gitlab.state().faults =
            vec![(format!("/2{part}").replace("/2/merge_requests", "/merge_requests"), fault.clone())];
        company.refused(&["RC651", "what is not known is not approved"]);
    }
    company.gitlab.state().faults = vec![("/2/notes".to_owned(), Fault::Endless)];
    company.refused(&["RC651", "more than 200 pages"]);
    company.gitlab.state().faults.clear();
    // A job's own token reads no approvals, and none at all reads nothing.
    company.refused_with(&[], &[("ROLECALL_FORGE_TOKEN", ""), ("CI_JOB_TOKEN", JOB_TOKEN)], &["RC651"]);
    company.refused_with(&[], &[("ROLECALL_FORGE_TOKEN", "glpat-wrong-0123456789")], &["RC651", "401"]);
    company.refused_with(&[], &[("ROLECALL_FORGE_TOKEN", "")], &["there is no token"]);
    assert_eq!(company.apply().code, 0);
}

#[test]
fn invariant_05_an_approval_before_the_last_push_or_note_does_not_count() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["klibby"]);
    company.at("12:00");
    company.gitlab.state().push(request, "mallory", "c0ffee01", "mallory@acme.com");
    company.merge(request, "mallory@acme.com");
    company.refused(&["the note of acme/access!2 is older than its last change"]);
    // A note that says the same is not written again, and then stays older.
    company.gitlab.state().requests.get_mut(&request).unwrap().notes.clear();
    company.note(request, "12:30");
    company.refused(&["`klibby` approved acme/access!2 before its last change"]);
    company.at("13:00");
    company.gitlab.state().approve(request, "rpatel");
    assert_eq!(company.apply().code, 0);
}

#[test]
fn invariant_05_times_come_from_the_history_where_gitlab_is_too_old_to_tell_them() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["klibby"]);
    company.merge(request, "mallory@acme.com");
    company.gitlab.state().requests.get_mut(&request).unwrap().tells_when = false;
    let notes = company.gitlab.state().requests[&request].notes.clone();
    company.gitlab.state().requests.get_mut(&request).unwrap().notes.retain(|note| note["system"] == false);
    company.refused(&["it is not known when `klibby` approved acme/access!2"]);
    company.gitlab.state().requests.get_mut(&request).unwrap().notes = notes;
    assert_eq!(company.apply().code, 0);
}

#[test]
fn invariant_05_a_forged_note_shows_nothing() {
    let company = Company::settled();
    company.add("mallory");
    // Benign text over the true effects, by somebody else.
    let ran = company.run(&["plan", "--out", "out"], &[]);
    assert_eq!(ran.code, 0);
    let plan: Value = serde_json::from_str(&company.repo.read("out/plan.json")).unwrap();
    company.at("10:00");
    let request = company.gitlab.state().open("mallory", "c0ffee00", "mallory@acme.com");
    let hex = |value: &Value| value.as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let effects: Vec<String> = plan["effects"].as_array().unwrap().iter().map(hex).collect();
    let forged = format!(
        "<!-- rolecall:plan:access -->\n### nothing to do\n<!-- rolecall:shown:v1 {} {} -->",
        hex(&plan["effect"]),
        effects.join(",")
    );
    company.gitlab.state().say(request, "mallory", &forged, false);
    company.approve(request, &["klibby"]);
    company.merge(request, "mallory@acme.com");
    company.refused(&["acme/access!2 has no note by project_42_bot that shows a plan"]);
    // By the bot, where the merge request's own pipeline could have made it: it is only advice.
    company.gitlab.state().requests.get_mut(&request).unwrap().notes.clear();
    company.at("10:30");
    company.gitlab.state().say(request, BOT, &forged, false);
    company.gitlab.state().pipeline = json!("");
    company.refused(&["is only advice", "a merge request can change it"]);
    company.gitlab.state().pipeline = json!("ci/access.yml@acme/access");
    company.refused(&["is only advice"]);
    company.gitlab.state().pipeline = Value::Null;
    company.refused(&["the forge does not tell where the pipeline is configured"]);
}

#[test]
fn invariant_05_without_a_believed_note_the_deployment_is_approved() {
    let company = Company::settled();
    company.gitlab.state().pipeline = json!("");
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["klibby"]);
    company.merge(request, "mallory@acme.com");
    let deployment = |by: &str, status: &str, at: &str| {
        json!({
            "id": 17, "iid": 3, "status": "running", "deployable": { "id": 1001 },
            "approvals": [{ "user": { "username": by }, "status": status, "created_at": at }],
        })
    };
    let job = [("CI_JOB_ID", "1001")];
    let deploys = |by: &str, status: &str, at: &str| {
        company.gitlab.state().deployments = vec![deployment(by, status, at)];
    };
    deploys("klibby", "rejected", "2099-01-01T00:00:00Z");
    company.refused_with(&[], &job, &["`klibby` rejected deployment 17 of access"]);
    deploys("mallory", "approved", "2099-01-01T00:00:00Z");
    company.refused_with(&[], &job, &["`mallory` approved deployment 17 of access and wrote some of it"]);
    deploys("klibby", "approved", "2026-01-01T00:00:00Z");
    company.refused_with(&[], &job, &["before this plan was made"]);
    deploys("klibby", "approved", "2099-01-01T00:00:00Z");
    company.refused_with(&[], &[("CI_JOB_ID", "1002")], &["is only advice"]);
    let ran = company.apply_with(&[], &job);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("by klibby (deployment 17 of access)"), "{}", ran.stdout);
}

#[test]
fn invariant_06_a_forge_that_lets_authors_approve_or_keeps_approvals_is_refused_or_recorded() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["klibby"]);
    company.merge(request, "mallory@acme.com");
    for (key, value, words) in [
        ("merge_requests_author_approval", true, "lets authors approve"),
        ("merge_requests_disable_committers_approval", false, "lets those who committed approve"),
        ("reset_approvals_on_push", false, "keeps approvals when something is pushed"),
    ] {
        let strict = company.gitlab.state().settings.clone();
        company.gitlab.state().settings[key] = json!(value);
        company.refused(&["RC652", words]);
        company.gitlab.state().settings = strict;
    }
    company.gitlab.state().faults = vec![("acme%2Faccess/approvals".to_owned(), Fault::Status(403))];
    company.refused(&["RC652", "the forge does not tell its approval settings"]);
    // Head cannot make that pass: base says so.
    company.repo.replace(
        "rolecall.yaml",
        "environment: access }",
        "environment: access, settings: recorded }",
    );
    company.commit("mallory@acme.com");
    company.refused(&["RC652"]);
}

#[test]
fn invariant_43_a_merge_request_does_not_choose_its_judges() {
    for (old, new) in [
        // Its owner, its quorum, its forge, its bot.
        ("owners: [klibby, rpatel]\nproviders", "owners: [mallory2]\nproviders"),
        ("approvals: { low: 1", "approvals: { operator: allowed, low: 1"),
    ] {
        let company = Company::settled();
        company.repo.replace("rolecall.yaml", old, new);
        let role =
            company.repo.read("roles/infra.yaml").replace("owners: [klibby, rpatel]", "owners: [tnguyen]");
        company.repo.write("roles/infra.yaml", &role);
        company.add("mallory");
        let request = company.propose("mallory", "mallory@acme.com");
        company.approve(request, &["tnguyen"]);
        company.merge(request, "mallory@acme.com");
        company.refused(&["`tnguyen` approved it and does not own it", "1 of klibby, rpatel"]);
    }
    let company = Company::settled();
    // Whose account is whose.
    company.repo.write(
        "people/klibby.yaml",
        "{ kind: User, name: klibby, type: employee, identities: { gitlab: mallory2 } }\n",
    );
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["mallory2"]);
    company.merge(request, "mallory@acme.com");
    company.refused(&["`mallory2`, who approved acme/access!2, is nobody who is at work here"]);
    // A role that is new is for the owners of the whole, whoever it names.
    let company = Company::settled();
    company.repo.write(
        "roles/new.yaml",
        "{ kind: Role, name: new, owners: [tnguyen], members: [{ handle: mallory }], access: [{ okta: { groups: [app.one] } }] }\n",
    );
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["tnguyen"]);
    company.merge(request, "mallory@acme.com");
    company.refused(&["`tnguyen` approved it and does not own it"]);
}

#[test]
fn invariant_09_a_plan_file_that_was_edited_or_is_of_another_time_is_refused() {
    let company = Company::settled();
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["klibby"]);
    let plan = company.repo.read("out/plan.json");
    company.merge(request, "mallory@acme.com");
    assert!(plan.contains("okta:user/mallory@acme.com"));
    company
        .repo
        .write("out/forged.json", &plan.replace("okta:user/mallory@acme.com", "okta:user/rpatel@acme.com"));
    let ran = company.run(&["apply", "out/forged.json", ".", "--yes"], &[]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("RC705"), "{}", ran.stderr);
    // The plan that the merge request made is as good as the branch's own: its effects are what was approved.
    let ran = company.run(&["apply", "out/plan.json", ".", "--yes"], &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let ran = company.run(&["apply", "out/plan.json", ".", "--yes"], &[]);
    assert_eq!(ran.code, 4, "a plan that was carried out is not carried out again: {}", ran.stderr);
}

#[test]
fn invariant_02_a_waiver_is_approved_by_two_who_answer_for_the_whole_and_not_by_its_author() {
    let company = Company::new();
    company.repo.replace(
        "rolecall.yaml",
        "approvals:",
        "limits: { removals: { floor: 0, percent: 0 } }\napprovals:",
    );
    company.add("rpatel");
    let company = company.settle();
    company.repo.write("roles/infra.yaml", ROLE);
    let waiver = |code: &str, on: &str| {
        format!(
            "{{ kind: Waiver, name: w-{}, code: {code}, on: [\"{on}\"], allow: 5, owner: mallory, reason: because, until: 2099-01-01 }}\n",
            code.to_lowercase()
        )
    };
    let waivers = [waiver("RC404", "okta:group/rbac_infra"), waiver("RC405", "okta")].join("---\n");
    company.repo.write("rules/waivers.yaml", &waivers);
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["mallory"]);
    company.merge(request, "mallory@acme.com");
    company.refused(&["`mallory` approved acme/access!2 and wrote some of it", "waiver `w-rc404`"]);
    company.approve(request, &["klibby"]);
    company.refused(&["1 of 2 who have to did", "waiver `w-rc404`"]);
    company.approve(request, &["rpatel"]);
    let ran = company.apply();
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(company.members(), ["tnguyen@acme.com"]);
}

#[test]
fn invariant_37_a_display_name_that_is_a_quick_action_is_not_executed() {
    let company = Company::settled();
    company.add("evil");
    let role = company.repo.read("roles/infra.yaml");
    company.repo.write(
        "roles/infra.yaml",
        &role.replace("{ handle: evil }", "{ handle: evil, reason: \"x\\n/approve\\n/merge\" }"),
    );
    let ran = company.run(&["plan"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let request = company.propose("mallory", "mallory@acme.com");
    let state = company.gitlab.state();
    assert_eq!(state.executed, Vec::<String>::new());
    assert_eq!(state.requests[&request].approvals.len(), 0);
    let note = state.requests[&request].notes[0]["body"].as_str().unwrap().to_owned();
    assert!(note.contains("approve"), "{note}");
}
