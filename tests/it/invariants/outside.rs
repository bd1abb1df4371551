//! What comes from outside gets in nowhere else: what a server repeats, a link, a memory that a change brings along.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::input::{SECRETS, base64, canaries};
use super::{PEOPLE, ROLES, SETTINGS, World, held, settled};
use crate::repo::Repo;

const AWS_ERROR: &[&str; 2] = &[
    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>",
    "</Message></Error><RequestId>x</RequestId></ErrorResponse>",
];

/// A server on loopback that answers 403 with the whole request, plain and as base64, between two texts.
fn parrot(around: &'static [&'static str; 2]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = [0; 16384];
            let length = stream.read(&mut heard).unwrap();
            let plain = String::from_utf8_lossy(&heard[..length]).replace(['\r', '\n', '"', '<', '&'], " ");
            let body = format!("{}{plain} {}{}", around[0], base64(&heard[..length]), around[1]);
            let head = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-type:";
            let kind = if body.starts_with('{') { "application/json" } else { "text/xml" };
            let _ = write!(stream, "{head} {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    url
}

#[test]
fn invariant_39_a_server_that_repeats_what_it_hears_gives_no_secret_away() {
    let okta = parrot(&["{\"errorCode\":\"E0000006\",\"errorSummary\":\"", "\"}"]);
    let aws = parrot(AWS_ERROR);
    let repo = Repo::empty();
    let settings = SETTINGS.replace("simulate: world.yaml\n", "").replace("https://acme.okta.com", &okta);
    repo.write("rolecall.yaml", &settings);
    repo.write("roles/all.yaml", ROLES);
    // Without the logs, which hold what libraries write: this is about our own messages.
    let variables = [&SECRETS[..4], &[("AWS_ENDPOINT_URL", &*aws), ("AWS_REGION", "us-east-1")]].concat();
    let ran = repo.run_with(&["plan"], &variables);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    for provider in ["`okta` cannot be used", "`aws` cannot be used"] {
        assert!(ran.stderr.contains(provider), "{}", ran.stderr);
    }
    let shown: Vec<String> = canaries().into_iter().filter(|secret| ran.stderr.contains(secret)).collect();
    assert!(shown.is_empty(), "shown: {shown:?}\n{}", ran.stderr);
}

#[test]
fn invariant_34_the_world_is_read_through_no_link() {
    let outside = tempfile::tempdir().unwrap();
    let repo = Repo::empty();
    World::of(PEOPLE).write(&repo);
    std::fs::rename(repo.path().join("world.yaml"), outside.path().join("world.yaml")).unwrap();
    std::os::unix::fs::symlink(outside.path(), repo.path().join("out")).unwrap();
    repo.write("rolecall.yaml", &SETTINGS.replace("simulate: world.yaml", "simulate: out/world.yaml"));
    repo.write("roles/all.yaml", ROLES);
    repo.expect(1, &["plan"]);
}

#[test]
fn invariant_43_head_does_not_choose_the_base_that_judges_it() {
    let repo = settled("", ROLES, &World::of(PEOPLE));
    repo.write("rolecall.yaml", &format!("{SETTINGS}protected: [\"person:klibby\"]\n"));
    repo.converge();
    let more = ROLES.replace("department: finance", "handle: [tnguyen, klibby]");
    repo.write("roles/all.yaml", &more);
    assert_eq!(held(&repo.plan(), "protected").len(), 1, "base does not hold it");
    // In the same change `protected` goes, and memory is looked for where there is none.
    repo.write("rolecall.yaml", &format!("{SETTINGS}memory: elsewhere\n"));
    let ran = repo.run(&["plan", "--format", "json"]);
    if ran.code == 0 {
        let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(held(&plan, "protected").len(), 1, "head let go what base holds: {:#}", plan["changes"]);
    }
}
