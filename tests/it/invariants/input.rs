//! What comes in from files, and what must never come out again.

use std::process::Command;

use super::{PEOPLE, ROLES, World, settled, writes};

#[test]
fn invariant_33_yaml_that_is_wrong_stops_plan_and_apply_with_its_place() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let before = writes(&repo);
    for (text, wanted) in [
        ("kind: Role\nname: x\nowner: [klibby]\n", vec!["roles/x.yaml:3:1", "`owners`"]),
        ("kind: Role\nname: x\nname: y\n", vec!["roles/x.yaml:3:1"]),
        ("kind: Role\nname: x\nowners: [NO]\n", vec!["roles/x.yaml:3:10"]),
        ("kind: Role\nname: x\nmembers: [{ handle: 007 }]\n", vec!["roles/x.yaml:3:21"]),
        ("kind: Role\nname: x\nmembers: [{ handle: nobody }]\n", vec!["roles/x.yaml:3"]),
    ] {
        repo.write("roles/x.yaml", text);
        for command in [&["plan"][..], &["apply", "--yes"]] {
            let ran = repo.expect(1, command);
            assert!(ran.stdout.is_empty(), "{}", ran.stdout);
            for part in &wanted {
                assert!(ran.stderr.contains(part), "{text}{command:?} does not say {part}: {}", ran.stderr);
            }
        }
    }
    assert_eq!(writes(&repo), before);
}

#[test]
fn invariant_34_documents_are_read_from_below_the_root_and_through_no_link() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    let canary = "canary-of-another-folder";
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.json");
    std::fs::write(&secret, format!("{{\"Version\": \"{canary}\"}}")).unwrap();
    std::fs::create_dir_all(repo.path().join("native")).unwrap();
    std::os::unix::fs::symlink(outside.path(), repo.path().join("outside")).unwrap();
    let here = repo.path().file_name().unwrap().to_str().unwrap();
    for file in [
        secret.to_str().unwrap().to_owned(),
        format!("../../{}/secret.json", outside.path().file_name().unwrap().to_str().unwrap()),
        format!("../../{here}/rolecall.yaml"),
        "../outside/secret.json".to_owned(),
        "https://example.com/secret.json".to_owned(),
        format!("file://{}", secret.display()),
        "..\\..\\secret.json".to_owned(),
    ] {
        repo.write(
            "native/x.yaml",
            &format!("kind: aws/Policy\nname: x\ndocument: {{ file: \"{file}\" }}\n"),
        );
        let ran = repo.expect(1, &["plan"]);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(canary), "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains("native/x.yaml"), "{file}: {}", ran.stderr);
    }
    std::os::unix::fs::symlink(&secret, repo.path().join("native/secret.json")).unwrap();
    repo.write("native/x.yaml", "kind: aws/Policy\nname: x\ndocument: { file: secret.json }\n");
    let ran = repo.expect(1, &["plan"]);
    assert!(ran.stderr.contains("symbolic link") && !ran.stderr.contains(canary), "{}", ran.stderr);
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let at = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let signs = (0..=chunk.len()).map(|n| char::from(BASE64[(bits >> (18 - 6 * n) & 63) as usize]));
        out.extend(signs);
    }
    out
}

/// A secret, and as base64 at each of the three places it can have in a longer text.
fn shapes(secret: &str) -> Vec<String> {
    let mut shapes = vec![secret.to_owned()];
    for shift in 0..3 {
        let encoded = base64(&[&b"xxx"[..shift], secret.as_bytes()].concat());
        // The first and last signs hold neighbours' bits.
        shapes.push(encoded[4..encoded.len() - 2].to_owned());
    }
    shapes
}

pub(super) const TOKEN: &str = "00cAnArYtOkEn-0f-0kta_4242";

pub(super) const SECRETS: [(&str, &str); 5] = [
    ("OKTA_API_TOKEN", TOKEN),
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "cAnArYsEcReT/OfAws+424242"),
    ("AWS_SESSION_TOKEN", "cAnArYsEsSiOn424242"),
    ("ROLECALL_LOG", "trace"),
];

pub(super) fn canaries() -> Vec<String> {
    SECRETS.iter().filter(|(_, text)| text.contains("cAnArY")).flat_map(|(_, text)| shapes(text)).collect()
}

#[test]
fn invariant_39_secrets_show_in_nothing_that_is_printed_or_kept() {
    let secrets = canaries();
    let clean = |what: &str, text: &str| {
        for secret in &secrets {
            assert!(!text.contains(secret), "{what} shows {secret}");
        }
    };
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.write(
        "roles/ops.yaml",
        "kind: Role\nname: ops\nowners: [klibby]\nmembers: [{ handle: [dmurphy, rpatel] }]\n",
    );
    let run = |arguments: &[&str]| {
        let ran = repo.run_with(arguments, &SECRETS);
        clean(&format!("{arguments:?}"), &ran.stdout);
        clean(&format!("{arguments:?}"), &ran.stderr);
        ran.code
    };
    let fault = "faults: { calls: [{ action: \"POST /groups\", fault: { html: 502 } }, { action: \"iam:*\", fault: unauthorized }, { action: \"PUT *\", fault: reset_after }] }\n";
    repo.write("world.yaml", &format!("{fault}{}", repo.read("world.yaml")));
    for format in ["text", "json", "markdown"] {
        run(&["plan", "--format", format, "--out", "out"]);
        run(&["drift", "--format", format]);
        run(&["explain", "dmurphy", "--format", format]);
    }
    run(&["apply", "--yes", "--report", "report.json"]);
    let mut files = 0;
    let listed = Command::new("find").arg(repo.path()).args(["-type", "f"]).output().unwrap();
    for path in String::from_utf8(listed.stdout).unwrap().lines() {
        clean(path, &String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        files += 1;
    }
    assert!(files > 15, "{files}");
    // The test sees what it looks for.
    assert!(base64(format!("ab{TOKEN}").as_bytes()).contains(&secrets[3]));
}
