//! The commands that edit YAML: what they write, what they leave, and when they refuse.
//!
//! Invariant: a command that fails, or only looks, writes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::repo::Repo;

const INC_991: &str = "grants/2026-11/inc-991.yaml";

/// Every file of an access repo but its memory.
fn files(repo: &Repo) -> BTreeMap<String, Vec<u8>> {
    fn within(folder: &Path, root: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with(".rolecall") {
                within(&path, root, files);
            } else if path.is_file() {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    within(repo.path(), repo.path(), &mut all);
    all
}

/// The files that a command wrote, changed or removed, and what it printed.
#[track_caller]
fn changed(repo: &Repo, code: i32, arguments: &[&str]) -> (Vec<String>, crate::repo::Ran) {
    let before = files(repo);
    let ran = repo.expect(code, arguments);
    let after = files(repo);
    let names = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name));
    let mut names: Vec<String> = names.cloned().collect();
    names.sort();
    names.dedup();
    (names, ran)
}

fn acme() -> Repo {
    Repo::copy_of("examples/acme")
}

#[test]
fn tidy_takes_out_what_has_ended_and_nothing_else() {
    let repo = acme();
    let plan = repo.plan();
    let (names, ran) = changed(&repo, 2, &["tidy", "--check"]);
    assert!(names.is_empty(), "{names:?}");
    assert!(ran.stdout.contains("--- a/grants/2026-11/inc-991.yaml\n+++ /dev/null\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("grant `inc-991` ended 2026-11-20 03:00 -08:00"), "{}", ran.stderr);
    let (names, again) = changed(&repo, 0, &["tidy"]);
    assert_eq!(names, [INC_991]);
    assert_eq!(again.stdout, ran.stdout);
    // The same changes, for the same causes; what the plan says of the line that is gone may differ.
    let changes = |plan: &Value| -> Vec<(Value, Value)> {
        let all = plan["changes"].as_array().unwrap().iter();
        all.map(|change| (change["effect"].clone(), change["cause"].clone())).collect()
    };
    assert_eq!(changes(&repo.plan()), changes(&plan));
    let (names, ran) = changed(&repo, 0, &["tidy", "--check"]);
    assert!(
        names.is_empty() && ran.stdout.is_empty() && ran.stderr.contains("nothing here has ended"),
        "{ran:?}"
    );
}

#[test]
fn tidy_leaves_people_comments_and_line_ends() {
    let repo = acme();
    repo.expect(0, &["tidy"]);
    repo.replace("world.yaml", "now: 2026-11-2", "now: 2027-05-2");
    let roles = repo.read("roles/engineering.yaml").replace('\n', "\r\n");
    repo.write("roles/engineering.yaml", &roles);
    let (names, ran) = changed(&repo, 0, &["tidy"]);
    // The grant and the waiver have ended, and two entries; the contractors' documents stay.
    assert_eq!(
        names,
        [
            "grants/2026-11/inc-1017.yaml",
            "roles/engineering.yaml",
            "roles/operations.yaml",
            "rules/waivers.yaml"
        ],
        "{}",
        ran.stdout
    );
    let gone = "  # Contractors are in no team by rule; each is named, with an end.\r\n  - { handle: ext_kbrandt, until: 2027-03-31, reason: \"design system, WEB-208\" }\r\n";
    assert_eq!(repo.read("roles/engineering.yaml"), roles.replace(gone, ""));
    assert!(!repo.path().join("rules/waivers.yaml").exists());
    repo.expect(0, &["check"]);
}

#[test]
fn tidy_writes_all_or_nothing() {
    let repo = acme();
    repo.write(
        "roles/x.yaml",
        "kind: Role\nname: x\nowners: [klibby]\nmembers: &m [{ handle: klibby, until: 2026-01-01 }]\nexcept: *m\n",
    );
    let (names, ran) = changed(&repo, 1, &["tidy"]);
    assert!(names.is_empty(), "{names:?}");
    assert!(ran.stderr.contains("RC160") && ran.stderr.contains("roles/x.yaml"), "{}", ran.stderr);
    // What is broken is not edited at all.
    repo.write("roles/x.yaml", "kind: Role\nname: x\nnope: 1\n");
    let (names, ran) = changed(&repo, 1, &["tidy"]);
    assert!(names.is_empty() && ran.stderr.contains("RC110"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn a_file_keeps_its_permissions_and_one_that_cannot_be_written_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let repo = acme();
    let file = repo.path().join("roles/operations.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    repo.expect(0, &["request", "--to", "dmurphy", "--role", "infra_oncall", "--remove"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    // Somebody else is about to write the same file.
    repo.write("roles/operations.yaml.new", "");
    let (names, ran) =
        changed(&repo, 1, &["request", "--to", "nokafor", "--role", "infra_oncall", "--remove"]);
    assert!(names.is_empty() && ran.stderr.contains("RC163"), "{names:?} {}", ran.stderr);
}

#[test]
fn request_writes_one_file_that_plan_takes() {
    let repo = acme();
    let arguments =
        ["request", "--to", "dmurphy,jchen", "--role", "incident_responder", "--role", "team_people"];
    let rest = ["--lasts", "8h", "--reason", "builds hang: why?", "--ticket", "INC-1020"];
    let (names, ran) = changed(&repo, 0, &[&arguments[..], &rest, &["--print"]].concat());
    assert!(names.is_empty() && ran.stderr.contains("nothing was written"), "{}", ran.stderr);
    let (names, printed) = changed(&repo, 0, &[&arguments[..], &rest].concat());
    assert_eq!(names, ["grants/2026-11/inc-1020.yaml"]);
    assert_eq!(printed.stdout, ran.stdout);
    assert_eq!(
        repo.read(&names[0]),
        "kind: Grant\nname: inc-1020\nto: [dmurphy, jchen]\nroles: [incident_responder, team_people]\n\
         until: 2026-11-22T17:00-08:00\nreason: \"builds hang: why?\"\nticket: INC-1020\n"
    );
    for part in
        ["owners: vhaddad, rsantos", "`team_people` is approved by its owners: eolsen", "rolecall plan"]
    {
        assert!(printed.stderr.contains(part), "{part}: {}", printed.stderr);
    }
    let plan = repo.plan();
    let asked =
        plan["changes"].as_array().unwrap().iter().filter(|change| change.to_string().contains("INC-1020"));
    assert!(
        asked.clone().count() >= 2
            && asked.clone().all(|change| change["cause"].to_string().contains("request"))
    );
    // The same again has another name, as long as it is not there already.
    let (names, ran) = changed(&repo, 0, &[&arguments[..], &rest].concat());
    assert!(names.is_empty() && ran.stderr.contains("for as long already"), "{}", ran.stderr);
    let longer = ["--lasts", "14d", "--reason", "x", "--ticket", "INC-1020"];
    let (names, _) = changed(&repo, 0, &[&arguments[..], &longer].concat());
    assert_eq!(names, ["grants/2026-11/inc-1020-2.yaml"]);
}

#[test]
fn request_without_a_ticket_names_itself_and_follows_the_modeline() {
    let repo = acme();
    let line = "# yaml-language-server: $schema=../../schema.json\n";
    let text = repo.read(INC_991);
    repo.write(INC_991, &format!("{line}{text}"));
    repo.expect(0, &["tidy"]);
    let text = repo.read("grants/2026-11/inc-1017.yaml");
    repo.write("grants/2026-11/inc-1017.yaml", &format!("{line}{text}"));
    let (names, _) = changed(
        &repo,
        0,
        &[
            "request",
            "--to",
            "dmurphy",
            "--role",
            "team_sales",
            "--from",
            "2026-12-01",
            "--until",
            "2026-12-31",
            "--reason",
            "helps out",
        ],
    );
    assert_eq!(names, ["grants/2026-11/team_sales-dmurphy-20261122.yaml"]);
    assert_eq!(
        repo.read(&names[0]),
        format!(
            "{line}kind: Grant\nname: team_sales-dmurphy-20261122\nto: dmurphy\nfrom: 2026-12-01\nroles: [team_sales]\nuntil: 2026-12-31\nreason: helps out\n"
        )
    );
}

#[test]
fn a_request_that_makes_no_sense_is_refused_with_all_that_is_wrong() {
    let repo = acme();
    let refused = |arguments: &[&str], parts: &[&str]| {
        let all = [&["request"][..], arguments, &["--reason", "x"]].concat();
        let (names, ran) = changed(&repo, 1, &all);
        assert!(names.is_empty(), "{arguments:?}: {names:?}");
        for part in parts {
            assert!(ran.stderr.contains(part), "{arguments:?} does not say {part}: {}", ran.stderr);
        }
    };
    refused(
        &["--to", "dmurfy,Klibby", "--role", "infra_oncal", "--lasts", "8h"],
        &["RC211", "`infra_oncall`", "RC213", "`dmurphy`", "RC161", "`Klibby`"],
    );
    let to = ["--to", "dmurphy", "--role", "team_sales"];
    refused(&[&to[..], &["--until", "2026-11-01"]].concat(), &["RC161", "is over"]);
    refused(&[&to[..], &["--until", "tomorrow"]].concat(), &["RC117", "2026-12-31T18:00-08:00"]);
    refused(&[&to[..], &["--lasts", "1.5h"]].concat(), &["RC117", "`8h`"]);
    refused(&[&to[..], &["--from", "2026-12-05", "--until", "2026-12-01"]].concat(), &["RC161", "--from"]);
    refused(&["--to", "cgarcia", "--role", "team_sales", "--lasts", "8h"], &["RC161", "has left"]);
    for wrong in [
        &["--role", "team_sales", "--lasts", "8h", "--reason", "x"][..],
        &["--to", "dmurphy", "--lasts", "8h", "--reason", "x"],
        &["--to", "dmurphy", "--role", "team_sales", "--reason", "x"],
        &["--to", "dmurphy", "--role", "team_sales", "--lasts", "8h"],
        &[
            "--to",
            "dmurphy",
            "--role",
            "team_sales",
            "--lasts",
            "8h",
            "--until",
            "2026-12-31",
            "--reason",
            "x",
        ],
        &["--to", "dmurphy", "--role", "team_sales", "--remove", "--except"],
        &["--to", "dmurphy", "--role", "team_sales", "--remove", "--lasts", "8h"],
    ] {
        repo.expect(64, &[&["request"], wrong].concat());
    }
    // A character that does not show would be one that nobody reviews.
    let (names, ran) =
        changed(&repo, 1, &[&["request"][..], &to, &["--lasts", "8h", "--reason", "a\u{202e}b"]].concat());
    assert!(names.is_empty() && ran.stderr.contains("RC102"), "{}", ran.stderr);
}

#[test]
fn removing_takes_the_smallest_part_that_is_right() {
    let repo = Repo::copy_of("examples/acme");
    let text = "# two people, two roles\nkind: Grant\nname: g\nto: [dmurphy, jchen] # both\nroles:\n  - team_sales # a\n  - team_people\nreason: \"help, out\"\n";
    let file = "grants/g.yaml";
    let remove = |to: &str, role: &str| {
        repo.write(file, text);
        let (names, ran) = changed(&repo, 0, &["request", "--to", to, "--role", role, "--remove"]);
        assert_eq!(names, [file], "{}", ran.stderr);
        repo.expect(0, &["check"]);
    };
    remove("jchen", "team_sales,team_people");
    assert_eq!(repo.read(file), text.replace("[dmurphy, jchen]", "[dmurphy]"));
    remove("jchen,dmurphy", "team_sales");
    assert_eq!(repo.read(file), text.replace("  - team_sales # a\n", ""));
    remove("jchen", "team_sales");
    let rest = "---\nkind: Grant\nname: g-2\nto: jchen\nroles: [team_people]\nreason: \"help, out\"\n";
    assert_eq!(repo.read(file), text.replace("[dmurphy, jchen]", "[dmurphy]") + rest);
    remove("dmurphy,jchen", "team_sales,team_people");
    assert!(!repo.path().join(file).exists());
    // Nobody has it: nothing to do is no error.
    let (names, ran) = changed(&repo, 0, &["request", "--to", "jchen", "--role", "team_sales", "--remove"]);
    assert!(names.is_empty() && ran.stderr.contains("nothing to write"), "{}", ran.stderr);
}

#[test]
fn what_a_rule_gives_is_not_removed_but_can_be_excepted() {
    let repo = acme();
    let arguments = ["request", "--to", "rpatel", "--role", "ci_deployer", "--remove"];
    let (names, ran) = changed(&repo, 1, &arguments);
    assert!(names.is_empty(), "{names:?}");
    for part in ["RC162", "roles/operations.yaml:10:5", "--except"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let text = repo.read("roles/operations.yaml");
    let excepted = [&arguments[..], &["--except", "--reason", "on leave, HR-1"]].concat();
    let (names, _) = changed(&repo, 0, &excepted);
    assert_eq!(names, ["roles/operations.yaml"]);
    let line = "we do not manage, SEC-9\" }\n";
    assert_eq!(
        repo.read(&names[0]),
        text.replace(line, &format!("{line}  - {{ handle: rpatel, reason: \"on leave, HR-1\" }}\n"))
    );
    let (names, _) = changed(&repo, 0, &excepted);
    assert!(names.is_empty(), "{names:?}");
    // Whoever is kept out is told so when the role is asked for.
    let ran = repo.expect(
        0,
        &["request", "--to", "rpatel", "--role", "ci_deployer", "--lasts", "8h", "--reason", "x", "--print"],
    );
    assert!(ran.stderr.contains("will not get `ci_deployer`"), "{}", ran.stderr);
}

#[test]
fn without_the_directory_it_says_what_it_cannot_know() {
    let repo = acme();
    repo.replace("rolecall.yaml", "simulate: world.yaml\n", "");
    let request = ["request", "--role", "ci_deployer", "--to"];
    let lasts = ["--lasts", "8h", "--reason", "x"];
    let (names, ran) = changed(&repo, 0, &[&request[..], &["nobody1"], &lasts].concat());
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(ran.stderr.contains("who is in the directory cannot be told here"), "{}", ran.stderr);
    // A `User` says who he is.
    let ran = repo.expect(0, &[&request[..], &["svc_ci"], &lasts, &["--print"]].concat());
    assert!(!ran.stderr.contains("cannot be told here"), "{}", ran.stderr);
    // The grant goes; whether a rule gives the role, too, only the directory knows.
    let (gone, ran) = changed(&repo, 0, &[&request[..], &["nobody1", "--remove"]].concat());
    assert_eq!(gone, names);
    assert!(
        ran.stderr.contains("may still give them `ci_deployer` (roles/operations.yaml:10:5)"),
        "{}",
        ran.stderr
    );
    let (names, ran) = changed(&repo, 1, &[&request[..], &["nobody1", "--remove"]].concat());
    assert!(names.is_empty() && ran.stderr.contains("RC162"), "{}", ran.stderr);
    let (names, _) =
        changed(&repo, 0, &[&request[..], &["nobody1", "--remove", "--except", "--reason", "x"]].concat());
    assert_eq!(names, ["roles/operations.yaml"]);
}

#[test]
fn edits_can_be_read_by_programs_and_in_merge_requests() {
    let repo = acme();
    let json: Value =
        serde_json::from_str(&repo.expect(2, &["tidy", "--check", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["edits"][0]["path"], INC_991);
    assert_eq!(
        (&json["written"], &json["ended"][0]["ended"]),
        (&false.into(), &"2026-11-20T11:00:00Z".into())
    );
    let request = ["request", "--to", "dmurphy", "--role", "team_sales", "--lasts", "8h", "--reason", "x"];
    let json = repo.expect(0, &[&request[..], &["--print", "--format", "json"]].concat()).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["approvers"][0]["owners"][0], "bthompson");
    let markdown = repo.expect(0, &[&request[..], &["--format", "markdown"]].concat()).stdout;
    assert!(markdown.starts_with("```diff\n--- /dev/null\n"), "{markdown}");
}

#[test]
fn whoever_leaves_is_taken_out_of_what_names_him_and_what_he_answers_for_is_told() {
    let repo = acme();
    let (names, ran) = changed(&repo, 0, &["offboard", "dmurphy", "--print"]);
    assert!(names.is_empty() && ran.stdout.contains("dmurphy"), "{names:?} {}", ran.stdout);
    let (names, ran) = changed(&repo, 0, &["offboard", "dmurphy"]);
    assert!(!names.is_empty() && ran.stderr.contains("`dmurphy` is at work"), "{names:?} {}", ran.stderr);
    for name in &names {
        let (before, after) =
            (fs::read_to_string(crate::repo::package("examples/acme").join(name)).unwrap(), repo.read(name));
        let gone = before.lines().filter(|line| !after.lines().any(|kept| kept == *line));
        assert!(gone.clone().all(|line| line.contains("dmurphy")), "{name}: {:?}", gone.collect::<Vec<_>>());
    }
    let plan = repo.plan();
    assert!(plan["changes"].as_array().unwrap().iter().any(|change| change["subject"] == "person:dmurphy"));
    // Somebody who owns roles hands them over.
    let ran = repo.expect(0, &["offboard", "klibby", "--print"]);
    assert!(ran.stderr.contains("hand over: he owns role"), "{}", ran.stderr);
    let ran = repo.expect(1, &["offboard", "dmurfy"]);
    assert!(ran.stderr.contains("did you mean `dmurphy`"), "{}", ran.stderr);
}

#[test]
fn what_is_given_on_request_is_asked_for_on_its_terms() {
    let repo = acme();
    repo.write(
        "roles/prod.yaml",
        "kind: Role\nname: prod_admin\nowners: [klibby]\non_request: { max: 8h, needs: [ticket] }\n",
    );
    let ask = |more: &[&str]| {
        let arguments = ["request", "--to", "dmurphy", "--role", "prod_admin", "--reason", "incident"];
        repo.run(&[&arguments[..], more].concat())
    };
    let ran = ask(&["--lasts", "9h"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("`prod_admin` lasts 8h at most") && ran.stderr.contains("needs a ticket"),
        "{}",
        ran.stderr
    );
    let ran = ask(&["--lasts", "8h", "--ticket", "INC-1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(repo.read("grants/2026-11/inc-1.yaml").contains("ticket: INC-1"));
}
