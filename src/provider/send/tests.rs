//! Tests of `send`: what is sent again, what is not, and what is never told.

use std::sync::Mutex;

use super::*;
use crate::provider::scripted::{Scripted, answer};
use crate::provider::{Effect, VirtualClock};

const SECRET: &str = "00abcdefghijklmnopqrstuvwxyz0123456789ABCD";

/// Authorizes with a number that goes up, as single-use proofs do.
struct Numbered(Mutex<u32>);

#[async_trait]
impl Dialect for Numbered {
    fn vendor(&self) -> &str {
        "the vendor"
    }

    async fn authorize(&self, request: &mut http::Request<Bytes>) -> Result<(), Error> {
        let mut number = self.0.lock().unwrap();
        *number += 1;
        let value = format!("{SECRET} {number}").parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(())
    }

    fn bucket(&self, _: &Method, path: &str) -> String {
        path.to_owned()
    }

    fn explain(&self, _: StatusCode, body: &[u8]) -> Explanation {
        Explanation { text: Some(String::from_utf8_lossy(body).into_owned()), ..Explanation::default() }
    }

    fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        Some(headers.get("x-request-id")?.to_str().ok()?.to_owned())
    }
}

struct Case {
    api: Api,
    transport: Arc<Scripted>,
    clock: Arc<VirtualClock>,
}

fn case(answers: Vec<Result<http::Response<Bytes>, TransportError>>) -> Case {
    let (transport, clock) =
        (Arc::new(Scripted::new(answers)), Arc::new(VirtualClock::at(Timestamp::UNIX_EPOCH)));
    let dialect = Box::new(Numbered(Mutex::new(0)));
    let base = "https://acme.example".parse().unwrap();
    let api = Api::new(transport.clone(), clock.clone(), base, dialect, Limits::default());
    Case { api, transport, clock }
}

fn lost(maybe_sent: bool) -> Result<http::Response<Bytes>, TransportError> {
    Err(TransportError { message: "connection reset".into(), maybe_sent })
}

#[tokio::test]
async fn reading_is_tried_again_with_new_credentials() {
    let case = case(vec![lost(true), answer(503, ""), answer(200, "[1]")]);
    let got: Vec<u8> = case.api.get("/x?y=1").await.unwrap().json().unwrap();
    assert_eq!((got, case.api.calls()), (vec![1], 3));
    let proofs: Vec<_> =
        case.transport.sent().iter().map(|sent| sent.headers()["authorization"].clone()).collect();
    assert!(proofs[0] != proofs[1] && proofs[1] != proofs[2]);
}

#[tokio::test]
async fn reading_gives_up_after_so_many_tries() {
    let case = case((0..9).map(|_| answer(500, "oops")).collect());
    let error = case.api.get("/x").await.unwrap_err();
    assert_eq!((error.kind, error.effect, case.api.calls()), (ErrorKind::Unreachable, Effect::None, 5));
}

#[tokio::test]
async fn invariant_25_a_write_whose_outcome_is_unknown_is_not_sent_again() {
    for outcome in [lost(true), answer(500, ""), answer(504, "")] {
        let case = case(vec![outcome]);
        let error = case.api.send(Method::POST, "/x", None).await.unwrap_err();
        assert_eq!((error.effect, case.api.calls()), (Effect::Unknown, 1));
    }
}

#[tokio::test]
async fn a_write_that_was_never_sent_is_sent_again() {
    let case = case(vec![lost(false), answer(200, "{}")]);
    case.api.send(Method::POST, "/x", None).await.unwrap();
    assert_eq!(case.api.calls(), 2);
}

#[tokio::test]
async fn invariant_28_a_throttle_waits_for_the_reset_for_writes_too() {
    let mut throttled = answer(429, "").unwrap();
    for (name, value) in
        [("x-rate-limit-limit", 10), ("x-rate-limit-remaining", 0), ("x-rate-limit-reset", 45)]
    {
        throttled.headers_mut().insert(name, value.into());
    }
    let case = case(vec![Ok(throttled), answer(200, "{}")]);
    case.api.send(Method::PUT, "/x", None).await.unwrap();
    let waited = case.clock.now().as_second();
    assert!((45..=46).contains(&waited), "{waited}");
}

#[tokio::test]
async fn a_throttle_that_outlasts_the_deadline_is_an_error_of_that_kind() {
    let case = case((0..200).map(|_| answer(429, "")).collect());
    let error = case.api.get("/x").await.unwrap_err();
    assert_eq!((error.kind, error.effect), (ErrorKind::Throttled, Effect::None));
    assert!(case.clock.now().as_second() <= 600);
}

#[tokio::test]
async fn invariant_35_a_redirect_to_another_host_is_not_followed() {
    let redirect = |to: &str| {
        let mut redirect = answer(302, "").unwrap();
        redirect.headers_mut().insert("location", to.parse().unwrap());
        Ok(redirect)
    };
    for to in ["https://evil.example/x", "http://acme.example/x", "//evil.example/x"] {
        let case = case(vec![redirect(to)]);
        assert_eq!(case.api.get("/x").await.unwrap_err().kind, ErrorKind::Denied, "{to}");
        assert_eq!(case.api.calls(), 1);
    }
    let here = case(vec![redirect("/y"), answer(200, "{}")]);
    here.api.get("/x").await.unwrap();
    assert_eq!(here.transport.sent()[1].uri(), "https://acme.example/y");
    let write = case(vec![redirect("/y")]);
    assert!(write.api.send(Method::DELETE, "/x", None).await.is_err());
    let circles = case((0..9).map(|_| redirect("/x")).collect());
    assert_eq!(circles.api.get("/x").await.unwrap_err().kind, ErrorKind::Malformed);
    assert_eq!(circles.api.calls(), 4);
}

#[tokio::test]
async fn a_target_on_another_host_is_refused() {
    let case = case(vec![]);
    assert!(case.api.get("https://evil.example/x").await.is_err());
    assert!(case.api.get("//evil.example/x").await.is_err());
    assert_eq!(case.api.calls(), 0);
}

#[tokio::test]
async fn invariant_39_no_error_shows_the_secret() {
    let base64 = "MDBhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODlBQkNE";
    let echo = format!("bad header `{SECRET}`, that is {base64}\r\n/close");
    for status in [400, 401, 403, 404, 500] {
        let case = case((0..9).map(|_| answer(status, &echo)).collect());
        let shown = format!("{:?}", case.api.get("/x").await.unwrap_err());
        assert!(!shown.contains(&SECRET[..20]) && !shown.contains(&base64[..20]), "{shown}");
        assert!(shown.contains("bad header") && !shown.contains('\n'), "{shown}");
    }
    assert!(!format!("{:?}", Secret::new(SECRET)).contains(&SECRET[..5]));
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_without_quoting_it() {
    let case = case(vec![answer(200, "canary"), answer(200, "canary")]);
    let error = case.api.get("/x").await.unwrap().json::<Vec<u8>>().unwrap_err();
    assert_eq!((error.kind, error.effect), (ErrorKind::Malformed, Effect::None));
    assert!(!error.message.contains("canary"));
    let written = case.api.send(Method::POST, "/x", None).await.unwrap().json::<Vec<u8>>().unwrap_err();
    assert_eq!(written.effect, Effect::Unknown);
}

#[tokio::test]
async fn no_more_are_under_way_at_once_than_allowed() {
    let case = case((0..40).map(|_| answer(200, "{}")).collect());
    let calls = (0..40).map(|number| {
        let api = &case.api;
        async move { api.get(&format!("/{number}")).await.map(|_| ()) }
    });
    futures_util::future::try_join_all(calls).await.unwrap();
    assert_eq!((case.api.calls(), case.transport.most_at_once()), (40, 10));
}

#[test]
fn invariant_39_a_token_of_gitlabs_is_not_shown_though_it_is_short() {
    let shown = presentable("you sent glpat-0123456789abcdefghij, and /v4?x=glcbt-64_0123456789abcdefghij");
    assert_eq!(shown, "you sent …, and /v4?…", "{shown}");
    assert_eq!(presentable("no group glacier-archive-policy"), "no group glacier-archive-policy");
}
