//! `explain`, `values` and `plan --directory` as people run them: goldens over the example, and everything that is typed
//! wrong.
//!
//! Invariant: goldens are in `tests/fixtures/explain/`; `ROLECALL_BLESS=1` rewrites them.

use serde_json::Value;

use crate::repo::{Repo, golden, package};

const EXAMPLE: &str = "examples/acme";

/// What is asked, by the name of its golden.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("person", &["rpatel"]),
    ("person-without", &["breakglass1"]),
    ("person-left", &["cgarcia"]),
    ("role", &["ci_deployer"]),
    ("unit", &["engineering"]),
    ("group", &["app.pager.responder"]),
    ("group-of-a-document", &["app.erp.approver"]),
    ("policy", &["managed:PowerUserAccess"]),
    ("only-live", &["dept.engineering"]),
    ("yes", &["klibby", "okta:group/app.code.developer"]),
    ("yes-through-a-group", &["rpatel", "ci-deploy"]),
    ("yes-not-yet", &["gortega", "deployers"]),
    ("no-entry", &["hcarter", "app.docs.editor"]),
    ("no-type", &["ext_kbrandt", "birthright_engineering"]),
    ("no-excepted", &["ext_rlopez", "ci_deployer"]),
    ("no-ended", &["rpatel", "incident_responder"]),
    ("no-left", &["cgarcia", "app.code.developer"]),
    ("no-by-hand", &["zali", "app.erp.approver"]),
    ("later", &["asilva", "--at", "2026-12-01"]),
    ("earlier", &["incident_responder", "--at", "2026-11-15"]),
    ("wants-role", &["klibby", "--wants", "role:team_backend"]),
    ("wants-least", &["klibby", "--wants", "app.pager.responder"]),
    ("wants-through-a-group", &["swalker", "--wants", "ci-deploy"]),
    ("wants-document", &["klibby", "--wants", "app.erp.approver"]),
    ("wants-held", &["klibby", "--wants", "incident_responder"]),
    ("wants-protected", &["breakglass1", "--wants", "ci_deployer"]),
    ("wants-excepted", &["ext_rlopez", "--wants", "deployers"]),
    ("wants-left", &["cgarcia", "--wants", "ci_deployer"]),
    ("wants-nothing", &["klibby", "--wants", "admin.super"]),
    ("wants-already", &["klibby", "--wants", "app.code.developer"]),
    ("line-member", &["roles/engineering.yaml:36"]),
    ("line-access", &["roles/engineering.yaml:18"]),
    ("line-except", &["roles/operations.yaml:12"]),
    ("line-role", &["roles/engineering.yaml:12"]),
    ("line-grant", &["grants/2026-11/inc-1017.yaml:4"]),
    ("line-document", &["native/okta/groups.yaml:4:12"]),
];

fn explained(repo: &Repo, question: &[&str], format: &str) -> String {
    let ran = repo.expect(0, &[&["explain"], question, &["--format", format]].concat());
    assert_eq!(ran.stderr, "", "{question:?}");
    ran.stdout
}

#[test]
fn explanations_are_as_they_were_read() {
    let repo = Repo::copy_of(EXAMPLE);
    let world = repo.read("world.yaml");
    for (name, question) in QUESTIONS {
        golden(&package(&format!("tests/fixtures/explain/{name}.txt")), &explained(&repo, question, "text"));
    }
    assert_eq!(repo.read("world.yaml"), world, "a question leaves the world as it is");
}

#[test]
fn explanations_for_machines_and_merge_requests() {
    let repo = Repo::copy_of(EXAMPLE);
    for name in ["person", "yes-through-a-group", "no-entry", "wants-least", "line-role", "later"] {
        let (_, question) = QUESTIONS.iter().find(|(known, _)| *known == name).unwrap();
        let json = explained(&repo, question, "json");
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["format"], "rolecall.explanation/v1");
        golden(&package(&format!("tests/fixtures/explain/{name}.json")), &json);
        golden(
            &package(&format!("tests/fixtures/explain/{name}.md")),
            &explained(&repo, question, "markdown"),
        );
    }
}

#[test]
fn the_repo_may_be_named_in_every_form() {
    let repo = Repo::empty();
    repo.add(&package("examples"));
    for question in [
        &["explain", "rpatel", "acme"][..],
        &["explain", "rpatel", "team_backend", "acme"],
        &["explain", "klibby", "acme", "--wants", "team_backend"],
        &["explain", "roles/engineering.yaml:36", "acme"],
        &["values", "acme"],
        &["values", "department", "acme"],
    ] {
        repo.expect(0, question);
    }
}

#[test]
fn what_is_typed_wrong_is_explained() {
    let repo = Repo::copy_of(EXAMPLE);
    for (wrong, code, help) in [
        (&["rpatl"][..], "RC209", "did you mean `rpatel`?"),
        (&["person:rpatell"], "RC209", "did you mean `person:rpatel`?"),
        (&["role:team_bakend"], "RC209", "did you mean `role:team_backend`?"),
        (&["okta:group/app.code.develper"], "RC209", "did you mean `okta:group/app.code.developer`?"),
        (&["xyzzy"], "RC209", "give a handle"),
        (&["rpatel", "app.cod.developer"], "RC209", "did you mean `app.code.developer`?"),
        (&["rpatel", "--wants", "team_bakend"], "RC209", "did you mean `team_backend`?"),
        (&["team_backend", "--wants", "app.docs.editor"], "RC222", "give a handle"),
        (&["rpatel", "--wants", "person:klibby"], "RC222", "name a role"),
        (&["roles/engineering.yaml:36", "rpatel"], "RC222", "ask about a line alone"),
        (&["roles/engineering.yaml"], "RC220", "`roles/engineering.yaml:14`"),
        (&["roles/engineering.yaml:x"], "RC220", "lines count from 1"),
        (&["roles/engineering.yaml:0"], "RC220", "lines count from 1"),
        (&["roles/engineering.yaml:36:0"], "RC220", "lines count from 1"),
        (&["roles/engineering.yaml:400"], "RC220", "it has 50 lines"),
        (&["roles/enginering.yaml:4"], "RC220", "did you mean `roles/engineering.yaml`?"),
        (&["roles/engineering.yml:4"], "RC220", "did you mean `roles/engineering.yaml`?"),
        (&["native/okta/groups.yaml:5"], "RC221", "name the line of an entry"),
        (&["roles/engineering.yaml:39"], "RC221", "name the line of an entry"),
        (&["roles/engineering.yaml:33"], "RC221", "that of `kind`"),
        (&["rolecall.yaml:8"], "RC221", "name a line of a manifest"),
    ] {
        let ran = repo.expect(1, &[&["explain"], wrong].concat());
        assert!(ran.stdout.is_empty());
        for text in [code, help] {
            assert!(ran.stderr.contains(text), "{wrong:?} is not explained with `{text}`:\n{}", ran.stderr);
        }
    }
    for usage in [&["rpatel", "x", "--wants", "y"][..], &["rpatel", "--at", "yesterday"]] {
        repo.expect(64, &[&["explain"], usage].concat());
    }
}

const SETTINGS: &str = r#"format: 1
organization: acme
timezone: UTC
directory: { from: okta, handle: login, attributes: { department: department, manager: manager } }
types: { employee: { rules: true, match: { userType: Employee } }, guest: { match: { userType: Guest } } }
identities: { okta: { employee: "{email}", guest: "{manager}" } }
groups: { okta: "rbac_{role}" }
providers:
  okta: { url: https://acme.okta.com, own: [{ groups: "rbac_*", may: all }, { groups: "app.*", may: members }] }
approvals: { low: 1, medium: 2, high: 3 }
simulate: world.yaml
"#;

const ROLES: &str = "kind: Role
name: infra
owners: [klibby, \"@acme/leads\"]
sensitivity: medium
members: [{ department: infrastructure }]
access: [{ okta: { groups: [app.gitlab] } }]
---
kind: Role
name: others
owners: [klibby]
allow_empty: true
access: [{ okta: { groups: [other.group] } }]
---
kind: Role
name: none
owners: [klibby]
allow_empty: true
access: [{ okta: { groups: [app.absent] } }]
---
{ kind: Role, name: more, owners: [klibby], sensitivity: high, members: [{ role: light }] }
---
{ kind: Role, name: light, owners: [klibby], allow_empty: true, access: [{ okta: { groups: [app.light] } }] }
";

fn small(people: usize) -> Repo {
    use std::fmt::Write as _;
    let repo = Repo::empty();
    repo.write("rolecall.yaml", SETTINGS);
    repo.write("roles/infra.yaml", ROLES);
    let mut world = "now: 2026-11-22T17:00:00Z\nokta:\n  token_owner: svc@acme.com\n  users:\n    - { login: svc@acme.com, profile: { userType: Employee, department: Sales } }\n    - { login: visitor@acme.com, profile: { userType: Guest } }\n".to_owned();
    for number in 0..people {
        writeln!(world, "    - {{ login: p{number:02}@acme.com, profile: {{ userType: Employee, department: Infrastructure }} }}").unwrap();
    }
    world.push_str("  groups: [{ name: app.gitlab }, { name: other.group }, { name: app.light }, { name: app.unclaimed }]\n");
    repo.write("world.yaml", &world);
    repo
}

#[test]
fn many_names_are_folded_unless_all_are_asked_for() {
    let repo = small(54);
    let said = repo.expect(0, &["explain", "infra"]).stdout;
    assert!(said.contains("54 people have it"), "{said}");
    assert!(said.contains("p19 and 34 more") && !said.contains("p20"), "{said}");
    let all = repo.expect(0, &["explain", "infra", "--all"]).stdout;
    assert!(all.contains("p53") && !all.contains(" more"), "{all}");
    let json: Value =
        serde_json::from_str(&repo.expect(0, &["explain", "infra", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["roles"].as_array().unwrap().len(), 54);
}

/// What stands in the way of a wish: the words, and what is said.
fn blocks(repo: &Repo, who: &str, on: &str) -> (Value, Vec<(Value, String)>) {
    let ran = repo.expect(0, &["explain", who, "--wants", on, "--format", "json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    let blocks = json["blocks"].as_array().unwrap().iter();
    let told =
        blocks.map(|block| (block["why"].clone(), block["text"].as_str().unwrap().to_owned())).collect();
    (json, told)
}

#[test]
fn what_blocks_a_wish_is_what_a_plan_would_say() {
    use serde_json::json;
    let repo = small(2);
    let (wish, none) = blocks(&repo, "svc", "app.gitlab");
    assert_eq!(none, []);
    assert_eq!(wish["edit"]["verified"], true);
    assert_eq!(
        (&wish["approval"]["quorum"], &wish["approval"]["risk"]),
        (&json!(2), &json!("medium")),
        "settings say two for a medium risk: {wish:#}"
    );
    assert_eq!(wish["approval"]["owners"], json!(["klibby", "@acme/leads"]));
    // Pasted as it stands, it does what it says.
    let file = wish["edit"]["file"].as_str().unwrap();
    repo.write(file, wish["edit"]["text"].as_str().unwrap());
    let said = repo.expect(0, &["explain", "svc", "app.gitlab"]).stdout;
    assert!(said.starts_with("yes"), "{said}");
    std::fs::remove_file(repo.path().join(file)).unwrap();

    // What comes with it needs approval like the thing itself.
    let (wish, none) = blocks(&repo, "svc", "app.light");
    assert_eq!(
        (none, &wish["approval"]["risk"], &wish["approval"]["quorum"]),
        (Vec::new(), &json!("high"), &json!(3))
    );

    let (_, absent) = blocks(&repo, "svc", "app.absent");
    assert_eq!(absent[0].0, json!({"held": "absent"}), "{absent:?}");
    let (_, own) = blocks(&repo, "svc", "other.group");
    assert_eq!(own[0].0, "own", "{own:?}");
    let (wish, identity) = blocks(&repo, "visitor", "app.gitlab");
    assert!(
        identity.iter().any(|(why, text)| *why == json!({"held": "identity"}) && text.contains("manager")),
        "{identity:?}"
    );
    assert_eq!(wish["edit"]["verified"], false, "nobody is seen to have it");
    let (wish, nothing) = blocks(&repo, "svc", "app.unclaimed");
    assert_eq!((nothing[0].0.clone(), &wish["edit"]), (json!("no_role"), &Value::Null));

    // Base judges: its owners and numbers, whatever head says.
    repo.converge();
    repo.replace("rolecall.yaml", "medium: 2", "medium: 1");
    repo.replace("roles/infra.yaml", "owners: [klibby, \"@acme/leads\"]", "owners: [p00]");
    let (wish, _) = blocks(&repo, "svc", "app.gitlab");
    assert_eq!(wish["approval"]["quorum"], 2);
    assert_eq!(wish["approval"]["owners"], json!(["klibby", "@acme/leads"]));
}

#[test]
fn a_plan_over_another_directory_is_shown_and_never_applied() {
    let repo = small(3);
    repo.converge();
    repo.write("reorg.csv", "handle,department,status,email,type\np01,Sales,,,\np02,,left,,\nnew,Infrastructure,,new@acme.com,employee\n");
    let said = repo.expect(0, &["plan", "--directory", "reorg.csv"]).stdout;
    assert!(said.contains("`reorg.csv (") && said.contains("cannot be applied"), "{said}");
    let ran = repo.expect(0, &["plan", "--directory", "reorg.csv", "--format", "json", "--out", "out"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(plan["selection"]["directory"].as_str().unwrap().starts_with("reorg.csv ("), "{plan:#}");
    let mut moved: Vec<String> = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            format!(
                "{} {} {}",
                change["op"].as_str().unwrap(),
                change["subject"].as_str().unwrap(),
                change["standing"].as_str().unwrap()
            )
        })
        .collect();
    moved.sort();
    moved.dedup();
    assert_eq!(moved, ["grant person:new joiner", "revoke person:p01 mover", "revoke person:p02 leaver"]);

    // Neither that plan nor, in its place, the last one is what `apply` takes.
    let refused = repo.expect(4, &["apply", "out/plan.json", ".", "--yes"]);
    assert!(refused.stderr.contains("RC624"), "{}", refused.stderr);
    let refused = repo.expect(4, &["rehearse", "out/plan.json", "."]);
    assert!(refused.stderr.contains("RC624"), "{}", refused.stderr);
    let last = repo.expect(0, &["apply", "--yes"]);
    assert!(last.stdout.contains("nothing to do"), "the last plan is the one before: {}", last.stdout);
    assert_eq!(repo.plan()["changes"].as_array().unwrap().len(), 0);

    let said = repo.expect(0, &["explain", "new", "app.gitlab", "--directory", "reorg.csv"]).stdout;
    assert!(said.starts_with("yes") && said.contains("reorg.csv"), "{said}");
    let said = repo.expect(0, &["explain", "p02", "infra", "--directory", "reorg.csv"]).stdout;
    assert!(said.starts_with("no") && said.contains("has left"), "{said}");

    repo.write("wrong.csv", "handle,departmnt\np01,Sales\n");
    let wrong = repo.expect(1, &["plan", "--directory", "wrong.csv"]);
    for text in ["RC331", "wrong.csv:1", "did you mean `department`?"] {
        assert!(wrong.stderr.contains(text), "{}", wrong.stderr);
    }
    let missing = repo.expect(1, &["plan", "--directory", "nowhere.csv"]);
    assert!(missing.stderr.contains("RC121"), "{}", missing.stderr);
}

#[test]
fn values_are_what_the_directory_holds() {
    let repo = Repo::copy_of(EXAMPLE);
    golden(&package("tests/fixtures/explain/values.txt"), &repo.expect(0, &["values"]).stdout);
    golden(
        &package("tests/fixtures/explain/values-department.txt"),
        &repo.expect(0, &["values", "department"]).stdout,
    );
    golden(
        &package("tests/fixtures/explain/values-status.json"),
        &repo.expect(0, &["values", "status", "--format", "json"]).stdout,
    );
    let markdown = repo.expect(0, &["values", "type", "--format", "markdown"]).stdout;
    assert!(
        markdown.starts_with("| `type` | `cited as` | `people` | `left` |\n|---|---|---|---|\n| "),
        "{markdown}"
    );
    let wrong = repo.expect(1, &["values", "departmnt"]);
    assert!(
        wrong.stderr.contains("RC223") && wrong.stderr.contains("did you mean `department`?"),
        "{}",
        wrong.stderr
    );
}

/// The live edges of an explanation: (who, on what, put there by).
fn live(repo: &Repo, what: &str) -> Vec<(String, String, Value)> {
    let json = explained(repo, &[what], "json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["unread"].is_null(), "{what}: {json:#}");
    let edges = json["edges"].as_array().unwrap().iter().filter(|edge| edge["live"] == true);
    let text = |edge: &Value, key: &str| edge[key].as_str().unwrap().to_owned();
    edges.map(|edge| (text(edge, "principal"), text(edge, "resource"), edge["via"].clone())).collect()
}

#[test]
fn people_and_things_are_seen_alike_from_both_sides() {
    let repo = Repo::copy_of(EXAMPLE);
    // Groups of apps may be called like others, and then have their id beside the name.
    let world = repo.read("world.yaml");
    let others = "  groups:\n    - { name: app.code.developer, type: APP_GROUP, members: [klibby@acme.com, zali@acme.com] }\n    - { name: crm.sync, type: APP_GROUP, members: [klibby@acme.com] }\n";
    repo.write("world.yaml", &world.replacen("  groups:\n", others, 1));
    let mut seen = 0;
    let mut of_apps = 0;
    for person in ["klibby", "rpatel", "zali", "ext_rlopez", "cgarcia"] {
        for (principal, thing, via) in live(&repo, person) {
            seen += 1;
            of_apps += usize::from(via == "an app masters it");
            let others = live(&repo, &thing);
            assert!(
                others.contains(&(principal.clone(), thing.clone(), via.clone())),
                "{principal} has {thing} ({via}) from his side, and from its side: {others:?}"
            );
        }
    }
    assert!(seen > 30 && of_apps == 3, "{seen} {of_apps}");
    let group = live(&repo, "okta:group/app.warehouse.analyst");
    for (principal, ..) in group {
        let handle = principal.rsplit('/').next().unwrap().split('@').next().unwrap().to_owned();
        assert!(live(&repo, &handle).iter().any(|(_, thing, _)| thing.ends_with("app.warehouse.analyst")));
    }
}

#[test]
fn what_cannot_be_read_is_unknown_and_said_so() {
    let repo = small(2);
    repo.converge();
    let world = repo.read("world.yaml");
    let broken = |action: &str| {
        let fault =
            format!("faults: {{ calls: [{{ action: \"{action}\", times: 1000, fault: denied }}] }}\n");
        repo.write("world.yaml", &format!("{world}{fault}"));
    };
    broken("GET /users/{id}/groups");
    let said = repo.expect(0, &["explain", "p00", "app.gitlab"]).stdout;
    for text in [
        "yes: p00 has okta:group/app.gitlab",
        "could not be seen",
        "not looked at",
        "not everything could be seen",
    ] {
        assert!(said.contains(text), "no `{text}` in\n{said}");
    }
    let json: Value = serde_json::from_str(&explained(&repo, &["p00"], "json")).unwrap();
    assert!(json["edges"].as_array().unwrap().iter().all(|edge| edge["live"].is_null()), "{json:#}");
    assert!(json["unread"][0].as_str().unwrap().contains("p00"), "{json:#}");
    broken("GET /users");
    let people = repo.expect(1, &["explain", "p00"]);
    assert!(people.stderr.contains("RC209") && people.stderr.contains("not read whole"), "{}", people.stderr);
}
