//! Rehearsals: what they say is what an apply then does, and nothing live or remembered is touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use rolecall::simulator::World;
use serde_json::Value as Json;

use crate::repo::{Ran, Repo, package};
use crate::served::Served;
use crate::servers::Moto;

/// The account that moto's own keys belong to.
const ACCOUNT: &str = "123456789012";

/// Every file of a folder, the memory too.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

fn json(ran: &Ran) -> Json {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr))
}

/// What became of each change, without the ids of requests.
fn steps(report: &Json) -> Vec<(String, String, String)> {
    let text = |step: &Json, key: &str| step[key].as_str().unwrap().to_owned();
    let steps = report["steps"].as_array().unwrap().iter();
    steps.map(|step| (text(step, "op"), text(step, "target"), text(step, "state"))).collect()
}

/// Rehearses, sees that no file has changed, and gives what was told.
#[track_caller]
fn rehearse(repo: &Repo, code: i32) -> Json {
    let before = files(repo.path());
    let ran = repo.expect(code, &["rehearse", "--format", "json"]);
    assert!(files(repo.path()) == before, "a rehearsal has written something");
    if code == 4 { Json::Null } else { json(&ran) }
}

/// The base of a case applied, its head planned.
fn planned() -> Repo {
    let case = package("tests/fixtures/kill");
    let repo = Repo::empty();
    repo.add(&case.join("base"));
    fs::copy(case.join("world.yaml"), repo.path().join("world.yaml")).unwrap();
    repo.converge();
    repo.add(&case.join("head"));
    repo.plan();
    repo
}

#[test]
fn what_is_rehearsed_is_what_an_apply_then_does() {
    let repo = Repo::copy_of("examples/acme");
    repo.plan();
    let told = rehearse(&repo, 0);
    let text = repo.expect(0, &["rehearse", ".", "--latency", "0"]).stdout;
    assert!(text.starts_with("rehearsed, and nothing live was changed: it converges: 80 done"), "{text}");

    let done = json(&repo.expect(0, &["apply", "--yes", "--format", "json"]));
    assert_eq!(steps(&told["report"]), steps(&done));
    for same in ["plan", "effect", "left", "held", "drift", "converged"] {
        assert_eq!(told["report"][same], done[same], "{same}");
    }
    assert_eq!(told["format"], "rolecall.rehearsal/v1");
    let calls: u64 = told["calls"].as_object().unwrap().values().map(|calls| calls.as_u64().unwrap()).sum();
    let (reads, writes) = (told["reads"].as_u64().unwrap(), told["writes"].as_u64().unwrap());
    assert_eq!(calls, reads + writes);
    // Each change is a write, those of one policy are one together, and the user who is deleted has a policy that goes first.
    assert!((70..=84).contains(&writes), "{writes}");
    assert_eq!(told["calls"]["iam:DeleteUser"], 1);
    let took = &told["took"];
    for (what, least) in [("reading", 800), ("writing", 1000), ("verifying", 600)] {
        assert!(took[what].as_u64().unwrap() >= least, "{what}: {took}");
    }
    rehearse(&repo, 4);
}

#[test]
fn a_plan_that_is_stale_or_forged_is_not_rehearsed() {
    let repo = planned();
    rehearse(&repo, 0);
    let plan = repo.expect(0, &["plan", "--format", "json"]).stdout;
    repo.write("plan.json", &plan.replacen("dmurphy", "rpatel", 1));
    repo.expect(4, &["rehearse", "plan.json", "."]);
    repo.write("plan.json", &plan);
    repo.expect(0, &["rehearse", "plan.json", "."]);
    repo.write("native/more.yaml", "{ kind: aws/User, name: more }\n");
    rehearse(&repo, 4);
}

#[test]
fn what_the_vendor_refuses_is_known_before() {
    let repo = planned();
    // Six versions' worth of characters: IAM takes 6144.
    let long: String = (0..300).map(|n| format!("\"s3:Get{n:020}\", ")).collect();
    repo.write(
        "native/long.yaml",
        &format!(
            "kind: aws/Policy\nname: too-long\ndocument: {{ Version: 2012-10-17, Statement: [{{ Effect: Allow, Action: [{long}], Resource: \"*\" }}] }}\n"
        ),
    );
    repo.plan();
    let told = rehearse(&repo, 1);
    assert_eq!(told["report"]["converged"], false);
    let failed = steps(&told["report"]).into_iter().filter(|(_, _, state)| state == "failed");
    assert_eq!(failed.map(|(_, target, _)| target).collect::<Vec<_>>(), ["aws/222222222222:policy/too-long"]);
    assert!(told["report"]["left"].to_string().contains("too-long"));
}

#[test]
fn an_apply_that_was_interrupted_is_rehearsed_from_where_it_stopped() {
    let repo = planned();
    let world = repo.read("world.yaml");
    repo.write("world.yaml", &format!("{world}faults: {{ kill_after_writes: 5 }}\n"));
    repo.expect(-1, &["apply", "--yes"]);
    let healed = repo.read("world.yaml").replace("faults: { kill_after_writes: 5 }\n", "");
    repo.write("world.yaml", &healed.replace("faults:\n  kill_after_writes: 5\n", ""));
    // What it wrote is still in the log beside the world, and a rehearsal leaves it there.
    assert!(repo.read("world.yaml.log").lines().count() > 0);
    let told = rehearse(&repo, 0);
    let already = steps(&told["report"]).iter().filter(|(_, _, state)| state == "already").count();
    let done = steps(&told["report"]).iter().filter(|(_, _, state)| state == "done").count();
    assert!(done > 0 && already + done == steps(&told["report"]).len(), "{told:#}");
    repo.expect(0, &["apply", "--yes"]);
}

#[test]
fn what_could_not_be_read_is_not_rehearsed_on() {
    let repo = planned();
    let fault = "{ action: \"GET /groups/{id}/users\", times: 9, fault: denied }";
    repo.write("world.yaml", &format!("{}faults: {{ calls: [{fault}] }}\n", repo.read("world.yaml")));
    let before = files(repo.path());
    let ran = repo.expect(1, &["rehearse"]);
    assert!(ran.stderr.contains("RC504") && ran.stderr.contains("app.gitlab.developer"), "{}", ran.stderr);
    assert!(files(repo.path()) == before);
}

/// Commits all of an access repo: where not all is simulated, nothing else is applied.
fn commit(repo: &Repo) {
    for arguments in [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "-m", "x"]] {
        let user = ["-c", "user.name=test", "-c", "user.email=test@acme.com"];
        assert!(
            Command::new("git")
                .arg("-C")
                .arg(repo.path())
                .args(user)
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    }
}

#[test]
fn what_is_only_queued_waits_in_a_rehearsal_as_it_does_in_an_apply() {
    let employee = |login: &str| {
        format!("{{ login: {login}@acme.com, profile: {{ department: infra, userType: Employee }} }}")
    };
    let served = Served::of(&format!(
        "{{ now: 2026-11-22T17:00:00Z, okta: {{ token_owner: svc@acme.com, users: [{{ login: svc@acme.com }}, {}] }} }}",
        employee("klibby")
    ));
    let repo = Repo::empty();
    repo.write(
        "rolecall.yaml",
        &format!(
            "format: 1\norganization: acme\ntimezone: UTC\ndirectory: {{ from: okta, handle: login, attributes: {{ department: department }} }}\ntypes:\n  employee: {{ rules: true, match: {{ userType: Employee }} }}\nidentities: {{ okta: \"{{email}}\" }}\ngroups: {{ okta: \"rbac_{{role}}\" }}\nproviders:\n  okta: {{ url: \"{}\", own: [{{ groups: \"rbac_*\", may: all }}] }}\napprovals: {{ operator: allowed }}\n",
            served.url
        ),
    );
    repo.write(".gitignore", ".rolecall\n");
    repo.write(
        "roles/infra.yaml",
        "kind: Role\nname: infra\nowners: [klibby]\nsensitivity: high\nmembers: [{ department: infra }]\n",
    );
    commit(&repo);
    let run = |arguments: &[&str]| {
        let ran = repo.run_with(arguments, &[("OKTA_API_TOKEN", "00token")]);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        json(&ran)
    };
    let plan = run(&["plan", "--format", "json"]);
    let told = run(&["rehearse", "--format", "json"]);
    let done = run(&["apply", "--yes", "--approve", plan["effect"].as_str().unwrap(), "--format", "json"]);
    assert_eq!((steps(&told["report"]).len(), steps(&done).len()), (2, 2));

    // A joiner of a role that matters waits for approval.
    let joins = World::parse(&format!(
        "{{ now: 2026-11-22T17:00:00Z, okta: {{ users: [{}] }} }}",
        employee("dmurphy")
    ));
    let joins = joins.unwrap().okta.users["dmurphy@acme.com"].clone();
    served.simulator.edit(|world| world.okta.add_user(joins)).unwrap();
    let plan = run(&["plan", "--format", "json"]);
    assert_eq!(
        (plan["changes"].as_array().unwrap().len(), &plan["held"][0]["why"]),
        (0, &Json::from("queued"))
    );
    let told = run(&["rehearse", "--format", "json"]);
    assert_eq!((&told["writes"], &told["report"]["held"][0]["why"]), (&Json::from(0), &Json::from("queued")));
    let done = run(&["apply", "--yes", "--format", "json"]);
    assert_eq!(told["report"]["held"], done["held"]);
}

#[test]
fn no_write_reaches_a_real_provider() {
    let Some(moto) = Moto::start("rehearse::no_write_reaches_a_real_provider", &[]) else { return };
    let repo = Repo::empty();
    repo.write(
        "rolecall.yaml",
        &format!(
            "format: 1\norganization: acme\ntimezone: UTC\ndirectory: manifests\ntypes:\n  employee: {{ rules: true }}\nidentities: {{ aws: \"{{handle}}\" }}\nproviders:\n  aws: {{ account: \"{ACCOUNT}\", own: [{{ users: \"*\", groups: \"*\", roles: \"*\", policies: \"*\", may: all }}] }}\napprovals: {{ operator: allowed }}\n"
        ),
    );
    repo.write(".gitignore", ".rolecall\n");
    repo.write(
        "native/all.yaml",
        "{ kind: aws/User, name: ci, path: /service/, groups: [deployers], policies: [\"managed:AmazonGlacierReadOnlyAccess\", deny] }\n---\n{ kind: aws/Group, name: deployers, policies: [deny] }\n---\n{ kind: aws/Policy, name: deny, document: { Version: 2012-10-17, Statement: [{ Effect: Deny, Action: \"s3:GetObject\", Resource: \"*\" }] } }\n",
    );
    commit(&repo);
    let url = moto.url();
    let run = |arguments: &[&str], code: i32| {
        let variables = [
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "example"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let ran = repo.run_with(arguments, &variables);
        assert_eq!(ran.code, code, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        ran
    };
    let plan = json(&run(&["plan", "--format", "json"], 0));
    moto.reset();
    let before = files(repo.path());
    let told = json(&run(&["rehearse", "--format", "json"], 0));
    assert!(files(repo.path()) == before);
    let counts = moto.counts();
    assert_eq!(counts.writes, 0, "{counts:?}");
    // Who we are, the sweep, and the roles: as a plan looks, and no more.
    assert_eq!(counts.total, 3, "{counts:?}");
    assert!(told["writes"].as_u64().unwrap() >= 7, "{told:#}");

    let effect = plan["effect"].as_str().unwrap();
    let done = json(&run(&["apply", "--yes", "--approve", effect, "--format", "json"], 0));
    assert_eq!(steps(&told["report"]), steps(&done));
    assert!(moto.counts().writes >= 7);
    // Now that all is there, what is seen of it is rehearsed on.
    repo.replace("native/all.yaml", "ReadOnlyAccess\", deny]", "ReadOnlyAccess\"]");
    run(&["plan"], 0);
    let told = json(&run(&["rehearse", "--format", "json"], 0));
    assert_eq!(told["writes"], 1, "{told:#}");
}
