//! The client of GitLab against answers that are written out, and against none, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Asked, Gitlab};
use crate::provider::scripted::Scripted;
use crate::provider::{Clock, ErrorKind, Transport, TransportError, VirtualClock};

fn clock() -> Arc<VirtualClock> {
    Arc::new(VirtualClock::at("2026-11-22T17:00:00Z".parse().unwrap()))
}

fn gitlab(transport: Arc<dyn Transport>, clock: Arc<VirtualClock>) -> Gitlab {
    let token = |name: &str| (name == "ROLECALL_FORGE_TOKEN").then(|| "glpat-canary".to_owned());
    Gitlab::open(
        &"https://gitlab.example/git".parse().unwrap(),
        "acme/access",
        &token,
        Some(transport),
        clock,
    )
    .unwrap()
}

fn answers(body: &Value) -> http::Response<Bytes> {
    http::Response::new(body.to_string().into())
}

/// Never answers: each call takes a minute until its time is over.
#[derive(Debug)]
struct Silent(Arc<VirtualClock>);

#[async_trait]
impl Transport for Silent {
    async fn call(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        self.0.sleep(Duration::from_secs(60)).await;
        Err(TransportError { message: "it took too long".to_owned(), maybe_sent: true })
    }
}

#[tokio::test]
async fn invariant_4_a_forge_that_never_answers_is_an_error_after_a_while_and_not_an_empty_list() {
    let clock = clock();
    let began = clock.now();
    let gitlab = gitlab(Arc::new(Silent(clock.clone())), clock.clone());
    let asked = Asked { bot: Some("bot"), target: "access" };
    let error = clock.drive(gitlab.request(7, asked)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    let took = clock.now().duration_since(began);
    assert!(took.as_secs() >= 60 && took.as_secs() <= 300, "{took:?}");
    let error = clock.drive(gitlab.merged_as("c0ffee", "main")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_gitlab_below_a_path_is_called_there_and_the_project_is_one_part_of_it() {
    let clock = clock();
    let transport = Arc::new(Scripted::new(vec![Ok(answers(
        &json!({ "ci_config_path": null, "default_branch": "main" }),
    ))]));
    let gitlab = gitlab(transport.clone(), clock.clone());
    let project = clock.drive(gitlab.project()).await.unwrap();
    assert_eq!((project.pipeline, project.branch.as_str()), (None, "main"));
    assert_eq!(transport.lines(), ["GET /git/api/v4/projects/acme%2Faccess"]);
    let sent = transport.sent();
    assert_eq!(sent[0].headers()["private-token"], "glpat-canary");
    assert!(sent[0].headers()["private-token"].is_sensitive());
}

#[tokio::test]
async fn settings_that_gitlab_does_not_tell_are_not_made_up() {
    let clock = clock();
    let told = json!({ "merge_requests_author_approval": false, "reset_approvals_on_push": true });
    let gitlab = gitlab(Arc::new(Scripted::new(vec![Ok(answers(&told))])), clock.clone());
    let error = clock.drive(gitlab.rules()).await.unwrap_err();
    assert!(error.message.contains("merge_requests_disable_committers_approval"), "{error}");
}

#[tokio::test]
async fn invariant_39_a_refusal_that_repeats_the_token_is_told_by_its_message_alone() {
    let clock = clock();
    let mut refused = answers(&json!({ "message": "403 Forbidden", "sent": "glpat-canary" }));
    *refused.status_mut() = StatusCode::FORBIDDEN;
    let gitlab = gitlab(Arc::new(Scripted::new(vec![Ok(refused)])), clock.clone());
    let error = clock.drive(gitlab.members("acme/leads", jiff::Timestamp::UNIX_EPOCH)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(!format!("{error} {error:?} {gitlab:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn a_merge_request_belongs_to_the_commit_that_it_was_merged_as() {
    let of = |merged: Option<&str>, squashed: Option<&str>, sha: &str, state: &str| {
        json!([{
            "iid": 7, "title": "x", "state": state, "author": { "username": "rpatel" },
            "created_at": "2026-11-22T10:00:00.000+01:00", "target_branch": "main", "merged_at": null, "merge_user": null, "sha": sha,
            "merge_commit_sha": merged, "squash_commit_sha": squashed, "web_url": "https://gitlab.example/x",
        }])
    };
    for (list, is) in [
        (of(Some("c1"), None, "s1", "merged"), true),
        (of(None, Some("c1"), "s1", "merged"), true),
        (of(None, None, "c1", "merged"), true),
        // One of several commits of a fast-forward merge.
        (of(None, None, "c2", "merged"), true),
        // A commit that another merge brought is not this one's.
        (of(Some("c2"), None, "c3", "merged"), false),
        (of(Some("c1"), None, "s1", "opened"), false),
    ] {
        let clock = clock();
        let gitlab = gitlab(Arc::new(Scripted::new(vec![Ok(answers(&list))])), clock.clone());
        let found = clock.drive(gitlab.merged_as("c1", "main")).await.unwrap();
        assert_eq!(found == [7], is, "{list}");
    }
    let elsewhere = of(Some("c1"), None, "s1", "merged");
    for branch in ["release", ""] {
        let clock = clock();
        let gitlab = gitlab(Arc::new(Scripted::new(vec![Ok(answers(&elsewhere))])), clock.clone());
        assert_eq!(clock.drive(gitlab.merged_as("c1", branch)).await.unwrap(), Vec::<u64>::new());
    }
}

#[tokio::test]
async fn invariant_4_a_full_page_without_a_word_of_the_next_one_is_no_whole_list() {
    let page = |count: usize, next: Option<&str>| {
        let mut answer = answers(&Value::Array(vec![json!({ "username": "x", "access_level": 30 }); count]));
        next.map(|next| answer.headers_mut().insert("x-next-page", next.parse().unwrap()));
        answer
    };
    for (answer, whole) in [(page(100, None), false), (page(100, Some("")), true), (page(99, None), true)] {
        let clock = clock();
        let gitlab = gitlab(Arc::new(Scripted::new(vec![Ok(answer)])), clock.clone());
        let members = clock.drive(gitlab.members("acme", jiff::Timestamp::UNIX_EPOCH)).await;
        assert_eq!(members.is_ok(), whole, "{members:?}");
    }
}
