//! The example: its past is made here, its first plan shows what the README tells of, and it ends with nothing to do.
//!
//! `tests/fixtures/acme/` holds the past: `past.yaml`, the world in which base was applied, and `base/`, the files of
//! base that are not those of head. Invariant: all runs are over copies; `ROLECALL_BLESS=1` rewrites goldens and memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::repo::{Repo, golden, package};

const EXAMPLE: &str = "examples/acme";
const FIXTURES: &str = "tests/fixtures/acme";
/// What head has and base had not yet.
const NEW: &[&str] = &[
    "grants/2026-11/inc-1017.yaml",
    "native/aws/artifact-write.json",
    "native/aws/publisher.yaml",
    "native/gcp/data.yaml",
    "roles/data.yaml",
    "rules/waivers.yaml",
];
/// When the past was applied, as its world says.
const PAST: &str = "2026-11-13";

/// A copy of the example as it is committed.
fn example() -> Repo {
    let repo = Repo::copy_of(EXAMPLE);
    let base: Value = serde_json::from_str(&repo.read(".rolecall/verified/base.json")).unwrap();
    assert!(
        base["at"].as_str().unwrap().starts_with(PAST),
        "the example has been applied; put it back with `git restore {EXAMPLE}`"
    );
    for name in ["plans", "journals", "lock"] {
        let path = repo.path().join(".rolecall").join(name);
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    repo
}

/// The files below a folder by their paths.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                walk(&path, &format!("{name}/"), found);
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, "", &mut found);
    found
}

/// Applies base in the past: the memory that leaves, and the world.
fn applied() -> Repo {
    let repo = Repo::copy_of(EXAMPLE);
    let _ = fs::remove_dir_all(repo.path().join(".rolecall"));
    for new in NEW {
        fs::remove_file(repo.path().join(new)).unwrap();
    }
    repo.add(&package(FIXTURES).join("base"));
    repo.write("world.yaml", &fs::read_to_string(package(FIXTURES).join("past.yaml")).unwrap());
    repo.converge();
    repo
}

/// What happened since, in the world that the past left.
fn happen(repo: &Repo) {
    let change = |old: &str, new: &str| repo.replace("world.yaml", old, new);
    change("now: 2026-11-13T18:00:00Z\n", &format!("{SINCE}now: 2026-11-22T17:00:00Z\n"));
    let world = repo.read("world.yaml");
    let folded: String = world.lines().find(|line| line.starts_with("folded: ")).unwrap().into();
    change(&format!("{folded}\n"), "");
    change("    - login: tnguyen@acme.com\n", &format!("{JOINER}    - login: tnguyen@acme.com\n"));
    change(
        "- login: cgarcia@acme.com\n      status: ACTIVE",
        "- login: cgarcia@acme.com\n      status: DEPROVISIONED",
    );
    let frontend = "costCenter: \"0430\"\n        department: Frontend\n        division: Engineering\n        firstName: Gabriel\n        lastName: Ortega\n        managerEmail: cdubois@acme.com";
    change(
        frontend,
        &frontend.replace("0430", "0410").replace("Frontend", "Backend").replace("cdubois", "pjoshi"),
    );
    change("title: Senior Frontend Engineer", "title: Senior Backend Engineer");
    change("pmartin@acme.com, wlee@acme.com]", "pmartin@acme.com, wlee@acme.com, zali@acme.com]");
    let runner = "            - serviceAccount:ci-runner@acme-ci-run.iam.gserviceaccount.com\n";
    change(runner, &format!("{runner}            - user:fmoreau@acme.com\n"));
    let account = "display_name: CI runner }";
    change(
        account,
        &format!("display_name: CI runner, keys: [{{ id: {KEY}, created: 2026-11-19T09:00:00Z }}] }}"),
    );
}

const SINCE: &str = "\
# Since the last apply, on 13 November: Tess Hale has joined the people team, Carla Garcia has left, Gabriel Ortega has
# moved from frontend to backend, the access for incident 991 has ended, and somebody has put Zara Ali, who enters
# payments, into app.erp.approver by hand. In Google Cloud somebody has bound Fleur Moreau to a role on acme-ci-run, and
# made a key of ci-runner, which is to have none.
";
const KEY: &str = "5d41402abc4b2a76b9719d911017c592a1b2c3d4";
const JOINER: &str = r#"    - login: thale@acme.com
      status: ACTIVE
      profile:
        costCenter: "0800"
        department: People Operations
        division: People
        firstName: Tess
        lastName: Hale
        managerEmail: eolsen@acme.com
        region: amer
        title: People Partner
        userType: Employee
"#;

#[test]
fn memory_and_world_are_what_the_past_left_and_what_happened_since() {
    let repo = applied();
    happen(&repo);
    golden(&package(EXAMPLE).join("world.yaml"), &repo.read("world.yaml"));

    for part in ["verified", "evidence"] {
        let of = |root: &Path| root.join(".rolecall").join(part);
        let committed = of(&package(EXAMPLE));
        let (made, kept) = (files(&of(repo.path())), files(&committed));
        for (name, bytes) in &made {
            let path = committed.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            golden(&path, std::str::from_utf8(bytes).unwrap());
        }
        let left: Vec<_> = kept.keys().filter(|name| !made.contains_key(*name)).collect();
        assert!(
            left.is_empty(),
            "the memory of the example has files that no apply leaves, delete them: {left:?}"
        );
    }
}

/// Whether any change of the plan has these values under these keys.
fn has(list: &Value, wanted: &[(&str, &str)]) -> bool {
    let fits = |change: &Value| wanted.iter().all(|(key, value)| change[*key] == **value);
    list.as_array().unwrap().iter().any(fits)
}

#[test]
fn the_first_plan_shows_a_bit_of_everything() {
    let repo = example();
    let ran = repo.expect(0, &["plan"]);
    golden(&package(FIXTURES).join("plan.txt"), &format!("{}{}", ran.stdout, ran.stderr));

    let plan = repo.plan();
    let changes = &plan["changes"];
    for wanted in [
        &[("op", "create"), ("address", "okta:group/rbac_role_data_platform"), ("cause", "request")][..],
        &[("op", "create"), ("address", "aws/222222222222:role/ci-publisher")],
        &[("op", "create"), ("address", "aws/222222222222:policy/artifact-write")],
        &[("op", "update"), ("address", "aws/222222222222:policy/ci-deploy")],
        &[("op", "delete"), ("address", "aws/222222222222:user/jenkins-agent"), ("risk", "high")],
        &[("op", "revoke"), ("address", "okta:group/app.erp.approver"), ("subject", "person:wlee")],
        &[("op", "revoke"), ("address", "managed:ReadOnlyAccess"), ("cause", "request")],
        &[("op", "revoke"), ("subject", "person:tnguyen"), ("cause", "standing"), ("standing", "expiry")],
        &[("op", "create"), ("address", "gcp:project/acme-warehouse"), ("cause", "request")],
        &[("op", "create"), ("address", "gcp:custom_role/job_watcher")],
        &[("op", "create"), ("address", "gcp:group/data-auditors@acme.com")],
        &[
            ("op", "grant"),
            ("address", "gcp:project/acme-warehouse"),
            ("relation", "roles/bigquery.dataViewer"),
        ],
        &[("op", "grant"), ("subject", "person:thale"), ("cause", "standing"), ("standing", "joiner")],
        &[("op", "grant"), ("subject", "person:gortega"), ("cause", "standing"), ("standing", "mover")],
        &[("op", "revoke"), ("subject", "person:cgarcia"), ("cause", "standing"), ("standing", "leaver")],
    ] {
        assert!(has(changes, wanted), "no change with {wanted:?}");
    }
    let alike = |op: &str, address: &str| {
        let fits = |change: &&Value| change["op"] == op && change["address"] == address;
        changes.as_array().unwrap().iter().filter(fits).count()
    };
    assert_eq!(alike("grant", "okta:group/app.assistant.user"), 18);
    assert_eq!(alike("revoke", "okta:group/app.tracker.member"), 12, "the waiver lets exactly these go");

    let held = plan["held"].as_array().unwrap();
    assert_eq!(held.len(), 1, "{held:#?}");
    assert_eq!(
        (&held[0]["why"], &held[0]["change"]["subject"]),
        (&"absent".into(), &"person:gortega".into())
    );
    let drift = plan["drift"].as_array().unwrap();
    let subjects: Vec<_> = drift.iter().map(|drift| &drift["change"]["subject"]).collect();
    assert_eq!(subjects, [&Value::Null, &"person:fmoreau".into(), &"person:zali".into()], "{drift:#?}");
    for tally in ["unclaimed", "unmanaged"] {
        assert!(!plan[tally]["resources"].as_object().unwrap().is_empty(), "nothing is {tally}");
    }
    assert_eq!(plan["verdict"], "allowed");
}

#[test]
fn applied_it_has_nothing_left_to_do_and_the_same_plan_is_stale() {
    let repo = example();
    repo.expect(2, &["plan", "--detailed-exitcode"]);
    repo.expect(0, &["apply", "--yes"]);
    // No new plan was made, so this is the one that was just carried out.
    let stale = repo.expect(4, &["apply", "--yes"]);
    assert!(stale.stderr.contains("rolecall plan"), "it does not say what to do:\n{}", stale.stderr);
    let left = repo.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(left.stdout.contains("person-by-person") || left.stdout.contains("gortega"), "{}", left.stdout);
}

#[test]
fn what_is_edited_in_the_world_by_hand_is_drift() {
    let repo = example();
    repo.expect(0, &["plan"]);
    repo.expect(0, &["apply", "--yes"]);
    let address = "okta:group/list.security_alerts";
    let before = repo.expect(2, &["drift"]);
    assert!(!before.stdout.contains(address), "{}", before.stdout);
    repo.replace("world.yaml", "gets the security alerts by mail", "somebody edited this");
    let after = repo.expect(2, &["drift"]);
    assert!(after.stdout.contains(address), "{}", after.stdout);
    repo.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn the_readme_quotes_the_plan_as_it_is() {
    let readme = fs::read_to_string(package("README.md")).unwrap();
    let plan = fs::read_to_string(package(FIXTURES).join("plan.txt")).unwrap();
    let quoted = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let mut rest = plan.lines();
    for line in quoted.lines().filter(|line| !line.is_empty() && *line != "…") {
        assert!(rest.any(|said| said == line), "the plan does not say, in this order: {line}");
    }
}

/// The program's complaint about the example with one text of one file replaced.
fn complaint(file: &str, old: &str, new: &str) -> String {
    let repo = example();
    repo.replace(file, old, new);
    let ran = repo.expect(1, &["plan"]);
    assert_eq!(ran.stdout, "", "an error is talk, not data");
    ran.stderr
}

#[test]
fn the_mistakes_of_a_newcomer_are_explained() {
    for (file, old, new, code, place, help) in [
        (
            "roles/business.yaml",
            "department: it_operations",
            "department: it_oprations",
            "RC203",
            "roles/business.yaml:6:",
            "did you mean `it_operations` (3 people)?",
        ),
        (
            "roles/security.yaml",
            "sensitivity: high",
            "sensitvity: high",
            "RC110",
            "roles/security.yaml:5:",
            "did you mean `sensitivity`?",
        ),
        (
            "grants/2026-11/inc-1017.yaml",
            "to: asilva",
            "to: asliva",
            "RC204",
            "grants/2026-11/inc-1017.yaml:3:",
            "did you mean `asilva`?",
        ),
        (
            "grants/2026-11/inc-1017.yaml",
            "until: 2026-11-24",
            "until: 24.11.2026",
            "RC117",
            "grants/2026-11/inc-1017.yaml:5:",
            "2026-",
        ),
    ] {
        let said = complaint(file, old, new);
        for text in [code, place, help] {
            assert!(said.contains(text), "`{new}` is not explained with `{text}`:\n{said}");
        }
    }
}

#[test]
fn a_person_is_explained_down_to_the_line() {
    let said = example().expect(0, &["explain", "rpatel"]).stdout;
    for text in [
        "person:rpatel: Ravi Patel, employee",
        "okta:group/rbac_role_team_backend",
        "roles/engineering.yaml:",
        "okta:group/app.warehouse.analyst",
        "roles/data.yaml:",
        "managed:PowerUserAccess",
        "INC-991",
    ] {
        assert!(said.contains(text), "no `{text}` in\n{said}");
    }
}

/// The example's settings over a world with 400 groups that match `own`, one of them declared.
fn four_hundred() -> Repo {
    use std::fmt::Write as _;
    let repo = Repo::empty();
    repo.write("rolecall.yaml", &fs::read_to_string(package(EXAMPLE).join("rolecall.yaml")).unwrap());
    let mut world = "now: 2026-11-22T17:00:00Z\nokta:\n  token_owner: svc_rolecall@acme.com\n  users:\n    \
                     - { login: klibby@acme.com, profile: { userType: Employee } }\n    \
                     - { login: svc_rolecall@acme.com, profile: { userType: Service } }\n  groups:\n"
        .to_owned();
    for number in 0..400 {
        writeln!(world, "    - {{ name: rbac_{number:03}, members: [klibby@acme.com] }}").unwrap();
    }
    world.push_str("aws:\n  accounts:\n    \"222222222222\": { name: ci }\n");
    world.push_str("gcp: { organization: \"123456789012\", domain: acme.com, customer: C01acme0 }\n");
    repo.write("world.yaml", &world);
    repo.write("native/groups.yaml", "kind: okta/Group\nname: rbac_007\nmembers: [klibby]\n");
    repo
}

#[test]
fn invariant_19_four_hundred_groups_that_nobody_declared_are_left_alone() {
    let repo = four_hundred();
    let plan = repo.plan();
    assert!(!has(&plan["changes"], &[("op", "delete")]) && !has(&plan["changes"], &[("op", "revoke")]));
    assert_eq!(plan["unclaimed"]["resources"]["okta groups"], 399);
}

#[test]
fn invariant_44_only_what_base_declared_is_deleted() {
    let repo = four_hundred();
    repo.converge();
    fs::remove_file(repo.path().join("native/groups.yaml")).unwrap();
    let plan = repo.plan();
    let changes = plan["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(
        (&changes[0]["op"], &changes[0]["address"]),
        (&"delete".into(), &"okta:group/rbac_007".into())
    );
    assert_eq!(plan["unclaimed"]["resources"]["okta groups"], 399);
    repo.expect(0, &["apply", "--yes"]);
    let world = repo.read("world.yaml");
    assert!(!world.contains("rbac_007") && world.contains("rbac_006") && world.contains("rbac_399"));
}

/// Every finding that the sources have: code, title, folder.
fn codes() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let product = |path: &String| {
        !path.ends_with("tests.rs") && !path.ends_with("fixture.rs") && !path.contains("/tests/")
    };
    for (path, bytes) in files(&package("src")).into_iter().filter(|(path, _)| product(path)) {
        let text = String::from_utf8(bytes).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for rest in text.split("Code { code: \"").skip(1) {
            let code = rest.split('"').next().unwrap();
            let title = rest.split("title: \"").nth(1).unwrap().split('"').next().unwrap();
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            found.push((code.to_owned(), title.to_owned(), folder.to_owned()));
        }
    }
    found.sort();
    found
}

#[test]
fn every_finding_has_its_own_code_and_stands_in_the_docs() {
    use std::fmt::Write as _;
    let codes = codes();
    assert!(codes.len() > 50, "the codes were not found");
    let twice: Vec<_> = codes.windows(2).filter(|pair| pair[0].0 == pair[1].0).collect();
    assert!(twice.is_empty(), "one code, two meanings: {twice:#?}");
    let mut page =
        "# Findings\n\nEvery message of a check has a number. The hundreds tell where it comes from.\n"
            .to_owned();
    let sections = [
        ("RC1", "Files and YAML"),
        ("RC2", "References and names"),
        ("RC3", "People, roles, access, ownership"),
        ("RC4", "The gate"),
        ("RC5", "Providers and the simulator"),
        ("RC6", "Apply"),
        ("RC7", "The memory"),
    ];
    for (prefix, title) in sections {
        write!(page, "\n## {title}\n\n| code | what it means | from |\n|---|---|---|\n").unwrap();
        for (code, title, folder) in codes.iter().filter(|(code, ..)| code.starts_with(prefix)) {
            writeln!(page, "| {code} | {title} | `{folder}/` |").unwrap();
        }
    }
    golden(&package("docs/findings.md"), &page);
}
