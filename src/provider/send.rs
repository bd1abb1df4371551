//! The one way in which HTTP APIs are called: authorized anew for each attempt, limited, counted, retried where safe.
//!
//! Invariant: a write whose outcome is not known is never sent again from here: it comes back as
//! [`Effect::Unknown`](super::Effect), and whoever asked reads first. No error carries a secret or a whole body.
//! It must not know any vendor: what differs between them is a [`Dialect`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use url::Url;

use super::clock::later;
use super::limiter::{ClosedUntil, Jitter, Limiter};
use super::{Clock, Error, ErrorKind, Pace, Transport, TransportError};
use crate::model::guard::Guard;

/// The pauses before a call is tried again whose server says nothing of when: the first, and the longest.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest of them.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What differs between the vendors' HTTP APIs.
#[async_trait]
pub trait Dialect: Send + Sync {
    /// The vendor's name in messages.
    fn vendor(&self) -> &str;

    /// Adds credentials. Called anew for each attempt, since some proofs may be used only once.
    async fn authorize(&self, request: &mut http::Request<Bytes>) -> Result<(), Error>;

    /// The rate-limit bucket that a call counts against.
    fn bucket(&self, method: &Method, path: &str) -> String;

    /// What a refusal says.
    fn explain(&self, status: StatusCode, body: &[u8]) -> Explanation;

    /// The vendor's id of the request.
    fn request_id(&self, headers: &HeaderMap) -> Option<String>;
}

/// What a refusal says, in the vendor's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The vendor's code.
    pub code: Option<String>,
    /// In words.
    pub text: Option<String>,
    /// The kind, where the status alone would tell it wrong (Google throttles with 403).
    pub kind: Option<ErrorKind>,
}

/// How far sending goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How much of each bucket may be used, in percent; the rest is for others.
    pub budget: u8,
    /// How many requests may be under way at once.
    pub in_flight: usize,
    /// How long one call may take in all, waits and repeats included.
    pub deadline: Duration,
    /// How often a call without an answer is tried.
    pub attempts: u32,
    /// How many bytes an answer may have.
    pub max_body: usize,
    /// What the jitter comes from.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let (deadline, max_body) = (Duration::from_secs(600), 64 << 20);
        Self { budget: 100, in_flight: 10, deadline, attempts: 5, max_body, seed: 0 }
    }
}

/// A text that must not be shown. Its `Debug` is empty, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for a header and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// An HTTP API.
pub struct Api {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    base: Url,
    dialect: Box<dyn Dialect>,
    limits: Limits,
    limiter: Limiter,
    under_way: Semaphore,
    jitter: Jitter,
    calls: AtomicU64,
}

/// An answer that is no refusal.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
    /// What was called, for messages.
    called: String,
    wrote: bool,
}

impl Answer {
    /// The body, decoded.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // The position is enough to find it; the text could quote the body.
            let place = format!("line {} column {}", error.line(), error.column());
            let message = format!("the answer to `{}` is not what it should be, at {place}", self.called);
            let error =
                Error { request_id: self.request_id.clone(), ..Error::new(ErrorKind::Malformed, message) };
            if self.wrote { error.maybe_done() } else { error }
        })
    }
}

/// What to do after a failed attempt.
enum After {
    /// Nothing more can be done.
    Fail(Error),
    /// The server was busy; the limiter knows for how long, unless it was told nothing.
    Throttled(Error),
    /// It may be tried again after a while.
    Again(Error),
    /// The same elsewhere on the same host.
    Moved(Url),
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Api {
    /// An API at `base`, whose path is not used.
    pub fn new(
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        base: Url,
        dialect: Box<dyn Dialect>,
        limits: Limits,
    ) -> Self {
        let limiter = Limiter::new(clock.clone(), limits.budget, limits.seed);
        let (under_way, jitter) = (Semaphore::new(limits.in_flight.max(1)), Jitter::seeded(!limits.seed));
        let calls = AtomicU64::new(0);
        Self { transport, clock, base, dialect, limits, limiter, under_way, jitter, calls }
    }

    /// Where it is.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The shared clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// How many requests may be under way at once.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.limits.in_flight.max(1)
    }

    /// How many requests were sent, repeats included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// What is known of a bucket.
    #[must_use]
    pub fn pace(&self, bucket: &str) -> Pace {
        self.limiter.pace(bucket)
    }

    /// Reads; `target` is a path with its query.
    pub async fn get(&self, target: &str) -> Result<Answer, Error> {
        self.send(Method::GET, target, None).await
    }

    /// Asks, where a vendor reads by `POST`: it may be sent again like any reading.
    pub async fn ask(&self, target: &str, body: Option<&serde_json::Value>) -> Result<Answer, Error> {
        self.exchange(Method::POST, target, body, true).await
    }

    /// Sends one request, with a JSON body where one is given; `target` is a path with its query.
    pub async fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer, Error> {
        let reads = method == Method::GET;
        self.exchange(method, target, body, reads).await
    }

    async fn exchange(
        &self,
        method: Method,
        target: &str,
        body: Option<&serde_json::Value>,
        reads: bool,
    ) -> Result<Answer, Error> {
        let mut url = self.base.join(target).map_err(|_| self.wrong_target(target))?;
        if url.origin() != self.base.origin() {
            return Err(self.wrong_target(target));
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let deadline = later(self.clock.now(), self.limits.deadline);
        let (mut tries, mut moves) = (0, 0);
        loop {
            tries += 1;
            let called = format!("{method} {}", url.path());
            let after = match self.attempt(&method, reads, &url, &body, &called, deadline).await? {
                Ok(answer) => return Ok(answer),
                Err(after) => after,
            };
            let (error, patient) = match after {
                After::Fail(error) => return Err(error),
                After::Throttled(error) if !Guard::Throttle.holds() => return Err(error),
                After::Moved(to) if moves < 3 => {
                    (url, moves) = (to, moves + 1);
                    continue;
                }
                After::Moved(_) => {
                    return Err(Error::new(
                        ErrorKind::Malformed,
                        format!("`{called}` is redirected in circles"),
                    ));
                }
                After::Throttled(error) => (error, true),
                After::Again(error) => (error, false),
            };
            // What the limiter was told is waited for there; this is for servers that say nothing.
            let pause = self.jitter.pause(tries, FIRST_PAUSE, LONGEST_PAUSE);
            if (!patient && tries >= self.limits.attempts) || later(self.clock.now(), pause) > deadline {
                return Err(error);
            }
            self.clock.sleep(pause).await;
        }
    }

    /// One attempt. The outer error ends the call; the inner one says what may follow.
    async fn attempt(
        &self,
        method: &Method,
        reads: bool,
        url: &Url,
        body: &Bytes,
        called: &str,
        deadline: Timestamp,
    ) -> Result<Result<Answer, After>, Error> {
        let vendor = self.dialect.vendor();
        let slot = self.limiter.acquire(&self.dialect.bucket(method, url.path()), deadline).await.map_err(
            |ClosedUntil(until)| {
                let message =
                    format!("{vendor} allows no `{called}` before {until}, which is too long to wait");
                Error::new(ErrorKind::Throttled, message)
            },
        )?;
        let Ok(turn) = self.under_way.acquire().await else {
            return Err(Error::new(ErrorKind::Other, format!("`{called}` was not sent: sending has ended")));
        };
        let mut request = http::Request::new(body.clone());
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.as_str().parse().map_err(|_| self.wrong_target(url.path()))?;
        let json = header::HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::ACCEPT, json.clone());
        if !body.is_empty() {
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        let agent = header::HeaderValue::from_static(concat!("rolecall/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(header::USER_AGENT, agent);
        self.dialect.authorize(&mut request).await?;

        self.calls.fetch_add(1, Ordering::Relaxed);
        let result = self.transport.call(request).await;
        drop(turn);
        Ok(match result {
            Err(error) => Err(self.after_silence(reads, called, error)),
            Ok(response) => {
                slot.learn(response.status(), response.headers(), self.clock.now());
                self.after_answer(reads, url, called, response)
            }
        })
    }

    fn after_silence(
        &self,
        reads: bool,
        called: &str,
        TransportError { message, maybe_sent }: TransportError,
    ) -> After {
        let message =
            format!("no answer to `{called}` from {}: {}", self.dialect.vendor(), presentable(&message));
        let error = Error::new(ErrorKind::Unreachable, message);
        if reads || !maybe_sent { After::Again(error) } else { After::Fail(error.maybe_done()) }
    }

    fn after_answer(
        &self,
        reads: bool,
        url: &Url,
        called: &str,
        response: http::Response<Bytes>,
    ) -> Result<Answer, After> {
        let (parts, body) = response.into_parts();
        let request_id = self.dialect.request_id(&parts.headers);
        let wrote = !reads;
        if body.len() > self.limits.max_body {
            let message = format!("the answer to `{called}` has more than {} bytes", self.limits.max_body);
            let error = Error::new(ErrorKind::Malformed, message);
            return Err(After::Fail(if wrote { error.maybe_done() } else { error }));
        }
        if parts.status.is_success() {
            return Ok(Answer { headers: parts.headers, body, request_id, called: called.to_owned(), wrote });
        }
        if parts.status.is_redirection() {
            return Err(self.after_redirect(reads, url, called, &parts.headers));
        }
        let said = self.dialect.explain(parts.status, &body);
        let kind = said.kind.unwrap_or_else(|| kind_of(parts.status));
        let text = said.text.map_or_else(|| parts.status.to_string(), |text| presentable(&text));
        let message = format!("{} answers `{called}` with: {text}", self.dialect.vendor());
        let error =
            Error { code: said.code.map(|code| presentable(&code)), request_id, ..Error::new(kind, message) };
        Err(match kind {
            // Refused before anything was done, so a write may be sent again too.
            ErrorKind::Throttled => After::Throttled(error),
            ErrorKind::Unreachable if reads => After::Again(error),
            ErrorKind::Unreachable => After::Fail(error.maybe_done()),
            _ => After::Fail(error),
        })
    }

    /// Only reading follows, and only within the host: credentials go nowhere else.
    fn after_redirect(&self, reads: bool, url: &Url, called: &str, headers: &HeaderMap) -> After {
        let target = headers.get(header::LOCATION).and_then(|to| url.join(to.to_str().ok()?).ok());
        match target {
            Some(to) if reads && to.origin() == self.base.origin() => After::Moved(to),
            Some(to) => {
                let host = to.host_str().unwrap_or("nowhere");
                let message =
                    format!("`{called}` is redirected to `{}`, which is not followed", presentable(host));
                After::Fail(Error::new(ErrorKind::Denied, message))
            }
            None => {
                let message = format!("`{called}` is redirected without saying where");
                After::Fail(Error::new(ErrorKind::Malformed, message))
            }
        }
    }

    fn wrong_target(&self, target: &str) -> Error {
        let path = target.split('?').next().unwrap_or_default();
        let message = format!("`{}` is no path on {}", presentable(path), self.base);
        Error::new(ErrorKind::Malformed, message)
    }
}

fn kind_of(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Auth,
        403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        405 | 501 => ErrorKind::Unsupported,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::Throttled,
        408 | 500..=599 => ErrorKind::Unreachable,
        _ => ErrorKind::Other,
    }
}

/// A vendor's text as it may be shown: short, on one line, and without anything as long as a token, which a server
/// could echo, in plain or in base64.
#[must_use]
pub fn presentable(text: &str) -> String {
    const LONGEST_RUN: usize = 40;
    const LONGEST: usize = 300;
    let mut shown = String::new();
    let mut run = String::new();
    for character in text.chars().chain([' ']) {
        if character.is_ascii_alphanumeric() || "+/=_-".contains(character) {
            run.push(character);
            continue;
        }
        shown.push_str(if run.len() >= LONGEST_RUN || is_token(&run) { "…" } else { &run });
        run.clear();
        shown.push(if character.is_control() { ' ' } else { character });
        if shown.len() > LONGEST {
            return format!("{}…", shown.chars().take(LONGEST).collect::<String>().trim_end());
        }
    }
    shown.trim().to_owned()
}

/// Whether a word has a token of GitLab's in it, which can be as short as 26 characters.
fn is_token(run: &str) -> bool {
    ["glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glsoat-", "glagent-"]
        .iter()
        .any(|kind| run.contains(kind))
}

#[cfg(test)]
mod tests;
