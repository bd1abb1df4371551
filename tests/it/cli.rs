//! The command line: exit codes, what is printed where, and what each option does.
//!
//! Invariant: 64 usage, 1 error, 4 stale or not approved, 3 denied, 2 changes or drift, 0; stdout is data, stderr talk.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::repo::Repo;

const SETTINGS: &str = r#"format: 1
organization: acme
timezone: UTC
directory: { from: okta, handle: login, attributes: { department: department } }
types: { employee: { rules: true, match: { userType: Employee } } }
identities: { okta: "{email}" }
groups: { okta: "rbac_role_{role}" }
providers:
  okta: { url: https://acme.okta.com, own: [{ groups: "rbac_*", may: all }, { groups: "app.*", may: members }] }
simulate: world.yaml
"#;

const ROLES: &str = r"kind: Role
name: infra
owners: [klibby]
members: [{ department: infrastructure }]
access: [{ okta: { groups: [app.gitlab] } }]
";

const WORLD: &str = r"now: 2026-11-22T17:00:00Z
keep_log: true
okta:
  token_owner: svc@acme.com
  users:
    - { login: klibby@acme.com, profile: { firstName: Kate, lastName: Libby, userType: Employee, department: Infrastructure } }
    - { login: dmurphy@acme.com, profile: { userType: Employee, department: Infrastructure } }
    - { login: tnguyen@acme.com, profile: { userType: Employee, department: Finance } }
    - { login: svc@acme.com, profile: { userType: Employee } }
  groups: [{ name: app.gitlab, members: [klibby@acme.com] }]
";

const FINANCE: &str =
    "kind: Role\nname: finance\nowners: [klibby]\nmembers: [{ department: finance }, { handle: dmurphy }]\n";

fn repo() -> Repo {
    let repo = Repo::empty();
    repo.write("rolecall.yaml", SETTINGS);
    repo.write("roles/infra.yaml", ROLES);
    repo.write("world.yaml", WORLD);
    repo
}

fn settled() -> Repo {
    let repo = repo();
    repo.converge();
    repo
}

fn git(repo: &Repo, arguments: &[&str]) {
    let user = ["-c", "user.name=test", "-c", "user.email=test@acme.com"];
    let done = Command::new("git").arg("-C").arg(repo.path()).args(user).args(arguments).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn commit(repo: &Repo) {
    git(repo, &["add", "-A"]);
    git(repo, &["commit", "-q", "-m", "x"]);
}

fn targets(list: &Value) -> Vec<String> {
    let one = |item: &Value| {
        let change = item.get("change").unwrap_or(item);
        let who = change.get("subject").or(change.get("address")).unwrap().as_str().unwrap();
        format!("{} {who}", change["op"].as_str().unwrap())
    };
    list.as_array().unwrap().iter().map(one).collect()
}

#[test]
fn a_command_line_that_is_wrong_ends_with_64_and_help_with_0() {
    let repo = repo();
    for wrong in [
        &[][..],
        &["aply"],
        &["plan", "--nope"],
        &["plan", "--at", "yesterday"],
        &["plan", "--format", "yaml"],
        &["drift", "--fail-on", "huge"],
        &["explain"],
        &["plan", "a", "b"],
        &["simulate", "--port", "99999999"],
        &["apply", "--yes", "--force"],
    ] {
        let ran = repo.expect(64, wrong);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{wrong:?}: {}", ran.stdout);
    }
    for right in [&["--help"][..], &["plan", "--help"], &["--version"]] {
        let ran = repo.expect(0, right);
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{right:?}: {}", ran.stderr);
    }
}

#[test]
fn a_repo_that_is_missing_or_linked_is_an_error() {
    let empty = Repo::empty();
    for arguments in
        [&["plan"][..], &["check"], &["drift"], &["apply", "--yes"], &["explain", "x"], &["plan", "nowhere"]]
    {
        let ran = empty.expect(1, arguments);
        assert!(
            ran.stderr.contains("RC1") && ran.stderr.contains("rolecall.yaml"),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert!(ran.stdout.is_empty());
    }
    assert_eq!(
        std::fs::read_dir(empty.path()).unwrap().count(),
        0,
        "something was made in a folder that is no repo"
    );

    let repo = settled();
    std::os::unix::fs::symlink(repo.path().join("roles/infra.yaml"), repo.path().join("roles/x.yaml"))
        .unwrap();
    let ran = repo.expect(1, &["plan"]);
    assert!(ran.stderr.contains("symbolic link") && ran.stderr.contains("roles/x.yaml"), "{}", ran.stderr);
    std::fs::remove_file(repo.path().join("roles/x.yaml")).unwrap();
    repo.write("other.yaml", SETTINGS);
    std::fs::remove_file(repo.path().join("rolecall.yaml")).unwrap();
    std::os::unix::fs::symlink("other.yaml", repo.path().join("rolecall.yaml")).unwrap();
    for command in [&["plan"][..], &["check"], &["apply", "--yes"]] {
        let ran = repo.expect(1, command);
        assert!(ran.stderr.contains("symbolic link"), "{command:?}: {}", ran.stderr);
    }
}

#[test]
fn a_world_or_memory_outside_the_repo_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("world.yaml"), WORLD).unwrap();
    let repo = repo();
    for world in [outside.path().join("world.yaml").to_str().unwrap(), "../world.yaml", "a/../../world.yaml"]
    {
        repo.write(
            "rolecall.yaml",
            &SETTINGS.replace("simulate: world.yaml", &format!("simulate: \"{world}\"")),
        );
        repo.expect(1, &["plan"]);
    }
    for memory in [outside.path().to_str().unwrap(), "../memory"] {
        repo.write("rolecall.yaml", &format!("{SETTINGS}memory: \"{memory}\"\n"));
        repo.expect(1, &["plan"]);
    }
}

#[test]
fn plan_says_with_its_exit_code_what_there_is_when_asked() {
    let repo = repo();
    repo.expect(0, &["plan"]);
    repo.expect(2, &["plan", "--detailed-exitcode"]);
    repo.expect(0, &["apply", "--yes"]);
    repo.expect(0, &["plan", "--detailed-exitcode"]);
    repo.replace("roles/infra.yaml", "department: infrastructure", "handle: tnguyen");
    repo.write("rolecall.yaml", &format!("{SETTINGS}protected: [\"person:klibby\"]\n"));
    // Base has no `protected:`, so this is still allowed; once it has, the gate denies.
    repo.expect(2, &["plan", "--detailed-exitcode"]);
    repo.write("roles/infra.yaml", ROLES);
    repo.converge();
    repo.replace("roles/infra.yaml", "department: infrastructure", "handle: tnguyen");
    repo.expect(3, &["plan", "--detailed-exitcode"]);
    repo.expect(0, &["plan"]);
}

#[test]
fn drift_ends_with_2_for_drift_of_that_risk() {
    let repo = settled();
    assert!(repo.expect(0, &["drift"]).stderr.is_empty());
    repo.replace(
        "world.yaml",
        "members: [dmurphy@acme.com, klibby@acme.com]\n      created",
        "members: [dmurphy@acme.com, tnguyen@acme.com]\n      created",
    );
    let ran = repo.expect(2, &["drift"]);
    for who in ["klibby", "tnguyen", "okta:group/rbac_role_infra"] {
        assert!(ran.stdout.contains(who), "{}", ran.stdout);
    }
    repo.expect(0, &["drift", "--fail-on", "high"]);
    let json: Value = serde_json::from_str(&repo.expect(2, &["drift", "--format", "json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2, "{json:#}");
    assert!(repo.expect(2, &["drift", "--format", "markdown"]).stdout.contains("klibby"));

    // `--revert` makes changes of it, and apply puts it back.
    let ran = repo.expect(0, &["plan", "--revert", "person:tnguyen", "--format", "json"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(targets(&plan["changes"]), ["revoke person:tnguyen"], "{plan:#}");
    repo.expect(0, &["plan", "--revert", "okta:group/rbac_role_infra"]);
    repo.expect(0, &["apply", "--yes"]);
    repo.expect(0, &["drift"]);
    repo.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn an_old_a_finished_and_a_foreign_plan_are_stale() {
    let repo = settled();
    // Finished.
    let ran = repo.expect(0, &["plan"]);
    assert!(ran.stdout.contains("nothing to do"), "{}", ran.stdout);
    repo.write("roles/finance.yaml", FINANCE);
    repo.expect(0, &["plan", "--out", "out"]);
    repo.expect(0, &["apply", "--yes"]);
    for command in [
        &["apply", "--yes"][..],
        &["apply", "out/plan.json", "--yes"],
        &["apply", "out/plan.json", ".", "--yes"],
    ] {
        let ran = repo.expect(4, command);
        assert!(ran.stderr.contains("RC602"), "{command:?}: {}", ran.stderr);
    }
    // Grown since.
    repo.write("roles/ops.yaml", "kind: Role\nname: ops\nowners: [klibby]\nmembers: [{ handle: klibby }]\n");
    repo.expect(0, &["plan"]);
    repo.write(
        "roles/ops.yaml",
        "kind: Role\nname: ops\nowners: [klibby]\nmembers: [{ handle: [klibby, tnguyen] }]\n",
    );
    let ran = repo.expect(4, &["apply", "--yes"]);
    assert!(ran.stderr.contains("RC603") && ran.stderr.contains("tnguyen"), "{}", ran.stderr);
    // Shrunk since: what was approved is neither wanted nor true.
    repo.write("roles/ops.yaml", "kind: Role\nname: ops\nowners: [klibby]\n");
    let ran = repo.expect(4, &["apply", "--yes"]);
    assert!(ran.stderr.contains("RC604") && ran.stderr.contains("klibby"), "{}", ran.stderr);
    // Expired.
    repo.expect(0, &["plan"]);
    repo.replace("world.yaml", "now: 2026-11-22T17:00:00Z", "now: 2026-12-22T17:00:00Z");
    let ran = repo.expect(4, &["apply", "--yes"]);
    assert!(ran.stderr.contains("RC601"), "{}", ran.stderr);
    let ran = repo.expect(4, &["apply", "--yes", "--format", "json"]);
    assert!(
        serde_json::from_str::<Value>(&ran.stdout).unwrap().to_string().contains("RC601"),
        "{}",
        ran.stdout
    );
}

#[test]
fn apply_wants_a_plan_and_a_word() {
    let repo = repo();
    let ran = repo.expect(1, &["apply", "--yes"]);
    assert!(ran.stderr.contains("RC702") && ran.stderr.contains("rolecall plan"), "{}", ran.stderr);
    repo.expect(1, &["apply", "nowhere.json", "--yes"]);
    repo.write("broken.json", "{}");
    repo.expect(1, &["apply", "broken.json", "--yes"]);
    repo.expect(0, &["plan"]);
    let ran = repo.expect(1, &["apply"]);
    assert!(ran.stderr.contains("RC621") && ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert!(!repo.path().join("world.yaml.log").exists(), "something was written without a yes");
    let ran = repo.expect(0, &["apply", "--yes", "--report", "report.json"]);
    assert!(!ran.stdout.is_empty());
    let report: Value = serde_json::from_str(&repo.read("report.json")).unwrap();
    assert_eq!(report["converged"], true);
}

#[test]
fn only_limits_a_plan_and_its_apply() {
    let repo = settled();
    repo.write("roles/finance.yaml", FINANCE);
    let ran = repo.expect(0, &["plan", "--only", "okta:group/app.gitlab", "--format", "json"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 0);
    // Without the group that it needs, a grant is left out too.
    let ran = repo.expect(0, &["plan", "--only", "person:dmurphy", "--format", "json"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 0, "{plan:#}");
    repo.write("roles/infra.yaml", &ROLES.replace("department: infrastructure", "handle: klibby"));
    repo.expect(0, &["plan", "--only", "person:dmurphy"]);
    repo.expect(0, &["apply", "--yes"]);
    // What was not picked is still to be done.
    let left = repo.plan();
    assert_eq!(
        targets(&left["changes"]),
        ["create okta:group/rbac_role_finance", "grant person:dmurphy", "grant person:tnguyen"],
        "{left:#}"
    );
    repo.converge();
}

#[test]
fn at_plans_for_another_time_and_leaves_nothing_to_apply() {
    let repo = settled();
    repo.write(
        "grants/x.yaml",
        "kind: Grant\nname: x\nto: tnguyen\nroles: [infra]\nuntil: 2026-11-30\nreason: audit\n",
    );
    repo.converge();
    let ran =
        repo.expect(2, &["plan", "--at", "2026-12-02T00:00:00Z", "--detailed-exitcode", "--format", "json"]);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(targets(&plan["changes"]), ["revoke person:tnguyen"; 2]);
    let ran = repo.expect(0, &["plan", "--at", "2026-12-02T00:00:00Z", "--out", "out"]);
    assert!(ran.stdout.contains("cannot be applied"), "{}", ran.stdout);
    // Neither as the last plan nor by its file.
    let log = repo.read("world.yaml.log");
    repo.run(&["apply", "--yes"]);
    let by_file = repo.run(&["apply", "out/plan.json", "--yes"]);
    assert_eq!(repo.read("world.yaml.log"), log, "{}{}", by_file.stdout, by_file.stderr);
    assert_ne!(by_file.code, 0, "a plan for another time was applied: {}", by_file.stdout);
}

#[test]
fn base_is_a_folder_or_a_revision() {
    let repo = repo();
    let old = Repo::empty();
    old.write("rolecall.yaml", SETTINGS);
    old.write("roles/infra.yaml", ROLES);
    repo.write(".gitignore", ".rolecall\nworld.yaml*\n");
    git(&repo, &["init", "-q"]);
    commit(&repo);
    repo.write("roles/infra.yaml", &ROLES.replace("department: infrastructure", "handle: dmurphy"));
    commit(&repo);
    // Without base nobody loses anything; with one, klibby loses the app.
    assert!(!targets(&repo.plan()["changes"]).contains(&"revoke person:klibby".to_owned()));
    for base in [old.path().to_str().unwrap(), "HEAD~1"] {
        let ran = repo.expect(0, &["plan", "--base", base, "--format", "json"]);
        let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(targets(&plan["changes"]).contains(&"revoke person:klibby".to_owned()), "{base}: {plan:#}");
    }
    for base in ["nowhere", "HEAD~9", "--upload-pack=x", "world.yaml", ""] {
        let ran = repo.run(&["plan", &format!("--base={base}")]);
        assert!(matches!(ran.code, 1 | 64), "{base}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{base}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let repo = repo();
    repo.write("file", "");
    for out in ["file", "file/below", "/proc/nowhere"] {
        let ran = repo.expect(1, &["plan", "--out", out]);
        assert!(ran.stderr.contains(out), "{}", ran.stderr);
    }
    repo.expect(0, &["plan"]);
    let ran = repo.expect(1, &["apply", "--yes", "--report", "file/below"]);
    assert!(ran.stderr.contains("file/below"), "{}", ran.stderr);
}

#[test]
fn every_format_can_be_read() {
    let repo = repo();
    repo.expect(0, &["plan"]);
    for arguments in
        [&["plan"][..], &["drift"], &["explain", "klibby"], &["check"], &["plan", "--out", "out"]]
    {
        let json = repo.expect(0, &[arguments, &["--format", "json"]].concat()).stdout;
        serde_json::from_str::<Value>(&json).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{json}"));
        let markdown = repo.expect(0, &[arguments, &["--format", "markdown"]].concat()).stdout;
        assert!(arguments == ["check"] || !markdown.trim().is_empty(), "{arguments:?}");
    }
    for name in ["plan.json", "terraform.json", "codequality.json"] {
        serde_json::from_str::<Value>(&repo.read(&format!("out/{name}"))).unwrap();
    }
    for name in ["plan.md", "plan.html", "junit.xml"] {
        assert!(!repo.read(&format!("out/{name}")).is_empty(), "{name}");
    }
    let report = repo.expect(0, &["apply", "--yes", "--format", "json"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["converged"], true);
    repo.write("roles/x.yaml", "kind: Role\nname: x\nnope: 1\n");
    for command in [&["plan"][..], &["check"], &["apply", "--yes"]] {
        let ran = repo.expect(1, &[command, &["--format", "json"]].concat());
        assert!(
            serde_json::from_str::<Value>(&ran.stdout).unwrap().to_string().contains("RC110"),
            "{}",
            ran.stdout
        );
        let ran = repo.expect(1, &[command, &["--format", "markdown"]].concat());
        assert!(ran.stdout.contains("RC110"), "{}", ran.stdout);
    }
}

#[test]
fn a_schema_for_every_kind() {
    let repo = Repo::empty();
    for (kind, keys) in [
        (
            "Settings",
            &[
                "format",
                "organization",
                "timezone",
                "owners",
                "directory",
                "types",
                "identities",
                "groups",
                "providers",
                "memory",
                "heal",
                "standing",
                "limits",
                "approvals",
                "plan_ttl",
                "protected",
                "simulate",
                "manifests",
            ][..],
        ),
        (
            "User",
            &["name", "type", "email", "manager", "owner", "until", "review", "attributes", "identities"],
        ),
        (
            "Role",
            &[
                "name",
                "job",
                "owners",
                "sensitivity",
                "review",
                "members",
                "except",
                "access",
                "handle",
                "role",
                "reports_to",
                "type",
                "reason",
                "from",
                "until",
            ],
        ),
        ("Unit", &["name", "members"]),
        ("Grant", &["name", "to", "from", "roles", "until", "reason", "ticket"]),
        ("Waiver", &["name", "code", "on", "owner", "reason", "until", "allow"]),
        ("okta/Group", &["name", "members", "allow_empty", "description"]),
        ("aws/User", &["name", "account", "path", "tags", "groups", "policies", "inline", "boundary"]),
        ("aws/Group", &["name", "account", "policies", "inline"]),
        ("aws/Role", &["name", "account", "trust", "policies", "inline", "max_session", "boundary", "tags"]),
        ("aws/Policy", &["name", "account", "document", "description", "path"]),
    ] {
        let schema: Value = serde_json::from_str(&repo.expect(0, &["schema", kind]).stdout).unwrap();
        let text = schema.to_string();
        for key in keys {
            assert!(
                text.contains(&format!("\"{key}\":{{")) || text.contains(&format!("\"{key}\":true")),
                "{kind} has no {key}: {schema:#}"
            );
        }
    }
    serde_json::from_str::<Value>(&repo.expect(0, &["schema"]).stdout).unwrap();
    let ran = repo.expect(1, &["schema", "aws/Rolle"]);
    assert!(ran.stderr.contains("RC208") && ran.stderr.contains("`aws/Role`"), "{}", ran.stderr);
}

#[test]
fn explain_knows_people_roles_groups_and_addresses() {
    let repo = settled();
    repo.write("roles/finance.yaml", FINANCE);
    for (what, wanted) in [
        ("klibby", &["Kate", "okta:group/app.gitlab", "roles/infra.yaml:4"][..]),
        ("person:dmurphy", &["not there yet", "okta:group/rbac_role_finance", "roles/finance.yaml:4"]),
        ("infra", &["dmurphy", "klibby"]),
        ("role:finance", &["dmurphy", "tnguyen"]),
        ("app.gitlab", &["klibby", "dmurphy"]),
        ("okta:group/rbac_role_infra", &["klibby"]),
    ] {
        let ran = repo.expect(0, &["explain", what]);
        for part in wanted {
            assert!(ran.stdout.contains(part), "{what} does not say {part}: {}", ran.stdout);
        }
    }
    for (what, near) in [("klibbi", "klibby"), ("app.gitlap", "app.gitlab"), ("financ", "finance")] {
        let ran = repo.expect(1, &["explain", what]);
        assert!(ran.stderr.contains(&format!("did you mean `{near}`")), "{what}: {}", ran.stderr);
        assert!(ran.stdout.is_empty());
    }
}

/// The simulator over loopback HTTP, for providers that think it is real.
struct Served {
    child: Child,
    url: String,
    _repo: Repo,
}

impl Served {
    fn start() -> Self {
        let repo = repo();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rolecall"))
            .args(["simulate", "--port", "0"])
            .current_dir(repo.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit_once("url ").unwrap_or_else(|| panic!("{line}")).1.to_owned();
        Self { child, url, _repo: repo }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_not_simulated_needs_git_and_an_approval() {
    let served = Served::start();
    let settings =
        SETTINGS.replace("simulate: world.yaml\n", "").replace("https://acme.okta.com", &served.url);
    let repo = Repo::empty();
    repo.write("rolecall.yaml", &settings);
    repo.write("roles/infra.yaml", ROLES);
    repo.write(".gitignore", ".rolecall\n");
    let run = |arguments: &[&str]| repo.run_with(arguments, &[("OKTA_API_TOKEN", "any")]);
    let stale = |arguments: &[&str], code: &str| {
        let ran = run(arguments);
        assert_eq!(ran.code, 4, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(code), "{arguments:?}: {}", ran.stderr);
    };
    let ran = run(&["plan", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(plan["simulated"], false);
    let effect = plan["effect"].as_str().unwrap();
    // The operator may not approve, unless settings say so.
    stale(&["apply", "--yes"], "RC606");
    stale(&["apply", "--yes", "--approve", effect], "RC606");
    repo.write("rolecall.yaml", &format!("{settings}approvals: {{ operator: allowed }}\n"));
    assert_eq!(run(&["plan"]).code, 0);
    stale(&["apply", "--yes"], "RC606");
    stale(&["apply", "--yes", "--approve", "sha256:0000"], "RC606");
    stale(&["apply", "--yes", "--approve", ""], "RC606");
    stale(&["apply", "--yes", "--approve", &effect[..12]], "RC606");
    // What is not in Git is not applied.
    stale(&["apply", "--yes", "--approve", effect], "RC620");
    git(&repo, &["init", "-q"]);
    stale(&["apply", "--yes", "--approve", effect], "RC620");
    commit(&repo);
    let ran = run(&["apply", "--yes", "--approve", effect]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("typed by the operator"), "{}", ran.stdout);
    assert_eq!(run(&["plan", "--detailed-exitcode"]).code, 0);
}

#[test]
fn a_provider_that_cannot_be_reached_is_an_error_with_its_place() {
    let repo = Repo::empty();
    repo.write(
        "rolecall.yaml",
        &SETTINGS
            .replace("simulate: world.yaml\n", "")
            .replace("https://acme.okta.com", "http://127.0.0.1:9"),
    );
    repo.write("roles/infra.yaml", ROLES);
    let ran = repo.run_with(&["plan"], &[("OKTA_API_TOKEN", "any")]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stderr.contains("RC501") && ran.stderr.contains("rolecall.yaml:9"), "{}", ran.stderr);
    // Without credentials nobody is asked.
    let ran = repo.run(&["plan"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("OKTA_API_TOKEN"), "{}", ran.stderr);
}
