//! How Google is called: its hosts, credentials, quotas, error bodies, lists and long-running operations.
//!
//! Invariant: what reads goes out with the identity that reads, and only a writer has the one that writes. A token goes
//! into one header, marked as sensitive, and nowhere else. It must not know what is read or written.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use google_cloud_auth::credentials::{CacheableResource, Credentials};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use url::Url;

use super::credentials;
use super::settings::Options;
use crate::provider::paging::{Listing, Page, read_all};
use crate::provider::send::{Answer, Api, Dialect, Explanation, Limits, presentable};
use crate::provider::{Error, ErrorKind, HttpTransport, Outcome, Pace, Transport};
use crate::providers::Wiring;

/// What stays as it is in a part of a path or query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// Google's services, as they are called here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Resource Manager: organization, folders, projects, their policies, liens.
    Resources,
    /// IAM: service accounts, keys, custom roles, pools.
    Iam,
    /// Cloud Identity: groups and memberships.
    Identity,
    /// Cloud Asset: the search over all policies.
    Assets,
    /// Cloud Billing.
    Billing,
    /// Service Usage.
    Usage,
    /// The directory of Workspace and Cloud Identity.
    Directory,
    /// Who the token is.
    Accounts,
}

const SERVICES: [(Service, &str); 8] = [
    (Service::Resources, "cloudresourcemanager"),
    (Service::Iam, "iam"),
    (Service::Identity, "cloudidentity"),
    (Service::Assets, "cloudasset"),
    (Service::Billing, "cloudbilling"),
    (Service::Usage, "serviceusage"),
    (Service::Directory, "admin"),
    (Service::Accounts, "www"),
];

impl Service {
    /// Its name, which its host begins with and which its lane is called by.
    pub(super) fn name(self) -> &'static str {
        SERVICES.iter().find(|(service, _)| *service == self).map_or("", |(_, name)| name)
    }
}

/// Google, as one identity sees it.
#[derive(Debug)]
pub(super) struct Client {
    apis: Vec<Api>,
}

/// Which identity calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hand {
    Reads,
    Writes,
}

impl Client {
    pub(super) fn new(options: &Options, wiring: &Wiring, hand: Hand) -> Result<Self, Error> {
        let limits = Limits { budget: options.percent(), ..Limits::default() };
        let transport: Arc<dyn Transport> = match &wiring.transport {
            Some(transport) => transport.clone(),
            None => Arc::new(HttpTransport::new(limits.max_body).map_err(|error| {
                Error::new(ErrorKind::Other, format!("no connection can be made: {error}"))
            })?),
        };
        // A server on this machine is nobody who could check a token of Google's.
        let local = options.base().is_some_and(|url| url.scheme() == "http");
        let credentials = match wiring.transport.is_some() || local {
            true => None,
            false => Some(credentials::of(options, wiring, hand)?),
        };
        let mut apis = Vec::new();
        for (service, name) in SERVICES {
            let host = || format!("https://{name}.googleapis.com").parse::<Url>();
            let base = options.base().map_or_else(host, Ok);
            let base = base.map_err(|_| Error::new(ErrorKind::Other, "no host"))?;
            let quota_project = options.quota_project.as_ref().map(|project| project.value.clone());
            let dialect = GoogleDialect { service, credentials: credentials.clone(), quota_project, hand };
            apis.push(Api::new(transport.clone(), wiring.clock.clone(), base, Box::new(dialect), limits));
        }
        Ok(Self { apis })
    }

    pub(super) fn api(&self, service: Service) -> &Api {
        // There is one for each, in the same order.
        let at = SERVICES.iter().position(|(known, _)| *known == service).unwrap_or_default();
        &self.apis[at]
    }

    pub(super) fn calls(&self) -> u64 {
        self.apis.iter().map(Api::calls).sum()
    }

    pub(super) fn pace(&self, lane: &str) -> Pace {
        let service = SERVICES.iter().find(|(_, name)| *name == lane);
        service
            .map_or_else(Pace::default, |(service, name)| self.api(*service).pace(&format!("{name} writes")))
    }

    pub(super) async fn get(&self, service: Service, target: &str) -> Result<Json, Error> {
        self.api(service).get(target).await?.json()
    }

    /// Asks where Google reads by `POST`.
    pub(super) async fn ask(
        &self,
        service: Service,
        target: &str,
        body: Option<&Json>,
    ) -> Result<Json, Error> {
        self.api(service).ask(target, body).await?.json()
    }

    pub(super) async fn send(
        &self,
        service: Service,
        method: Method,
        target: &str,
        body: Option<&Json>,
    ) -> Result<Answer, Error> {
        self.api(service).send(method, target, body).await
    }

    /// A list to its end: `field` is what holds the items of a page.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        service: Service,
        target: &str,
        field: &str,
    ) -> Listing<T> {
        read_all(String::new(), |token| async move {
            let mark = if target.contains('?') { '&' } else { '?' };
            let page = match token.is_empty() {
                true => self.get(service, target).await?,
                false => self.get(service, &format!("{target}{mark}pageToken={}", encoded(&token))).await?,
            };
            let odd =
                || Error::new(ErrorKind::Malformed, format!("a page of `{field}` is not what it should be"));
            let Json::Object(mut page) = page else { return Err(odd()) };
            // Google leaves out what is empty.
            let items = page.remove(field).unwrap_or_else(|| Json::Array(Vec::new()));
            let items: Vec<T> = serde_json::from_value(items).map_err(|_| odd())?;
            let next = page.get("nextPageToken").and_then(Json::as_str).filter(|token| !token.is_empty());
            Ok(Page { items, next: next.map(str::to_owned) })
        })
        .await
    }

    /// What became of an answer that is a long-running operation: done, failed, or pending under its name.
    pub(super) fn operation(answer: &Answer, service: Service) -> Result<Outcome, Error> {
        let operation: Operation = answer.json()?;
        operation.outcome(service, answer.request_id.clone())
    }

    /// Asks about an operation by what [`Client::operation`] said to ask.
    pub(super) async fn poll(&self, poll: &str) -> Result<Outcome, Error> {
        let (name, rest) = poll.split_once(' ').unwrap_or_default();
        let service = SERVICES.iter().find(|(_, known)| *known == name).map(|(service, _)| *service);
        let service = service.ok_or_else(|| Error::new(ErrorKind::Malformed, "no operation of Google's"))?;
        let version = if service == Service::Resources { "v3" } else { "v1" };
        let answer = self.api(service).get(&format!("/{version}/{rest}")).await;
        // Whether it failed is what the operation says, not that it could not be asked.
        let answer = answer.map_err(|error| match error.kind {
            ErrorKind::Unreachable | ErrorKind::Throttled => error,
            _ => Error { kind: ErrorKind::Unreachable, ..error },
        })?;
        let operation: Operation = answer.json()?;
        operation.outcome(service, answer.request_id)
    }
}

/// A long-running operation, in all of Google's services.
#[derive(Debug, Deserialize)]
struct Operation {
    #[serde(default)]
    name: String,
    #[serde(default)]
    done: bool,
    error: Option<Status>,
}

#[derive(Debug, Deserialize)]
struct Status {
    #[serde(default)]
    code: i32,
    #[serde(default)]
    message: String,
}

impl Operation {
    fn outcome(self, service: Service, request_id: Option<String>) -> Result<Outcome, Error> {
        if let Some(Status { code, message }) = self.error {
            // https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
            let kind = match code {
                5 => ErrorKind::NotFound,
                6 | 9 | 10 => ErrorKind::Conflict,
                7 => ErrorKind::Denied,
                8 => ErrorKind::Throttled,
                16 => ErrorKind::Auth,
                _ => ErrorKind::Other,
            };
            return Err(Error::new(kind, format!("the operation has failed: {}", presentable(&message))));
        }
        // One without a name is over with its answer.
        Ok(match self.done || self.name.is_empty() {
            true => Outcome::Done { request_id },
            false => Outcome::Pending { poll: format!("{} {}", service.name(), self.name) },
        })
    }
}

/// Text as part of a path or query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

#[derive(Debug)]
struct GoogleDialect {
    service: Service,
    /// Nothing where nobody checks them.
    credentials: Option<Credentials>,
    quota_project: Option<String>,
    hand: Hand,
}

/// Why Google refuses by 403 where it means that there were too many calls. Checked November 2026:
/// https://developers.google.com/workspace/admin/directory/v1/limits and
/// https://cloud.google.com/apis/design/errors
const TOO_MANY: [&str; 5] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "RATE_LIMIT_EXCEEDED",
    "concurrentLimitExceeded",
];

#[async_trait]
impl Dialect for GoogleDialect {
    fn vendor(&self) -> &str {
        "Google"
    }

    async fn authorize(&self, request: &mut http::Request<Bytes>) -> Result<(), Error> {
        let Some(credentials) = &self.credentials else {
            let token = match self.hand {
                Hand::Reads => HeaderValue::from_static("Bearer simulated-reader"),
                Hand::Writes => HeaderValue::from_static("Bearer simulated-writer"),
            };
            request.headers_mut().insert(header::AUTHORIZATION, token);
            return Ok(());
        };
        let found = credentials.headers(http::Extensions::new()).await;
        let found = found.map_err(|error| credentials::refused(&error))?;
        let CacheableResource::New { data, .. } = found else {
            return Err(Error::new(ErrorKind::Auth, "Google's credentials gave no token"));
        };
        for (name, value) in &data {
            let mut value = value.clone();
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        if let Some(project) = &self.quota_project
            && let Ok(value) = HeaderValue::from_str(project)
        {
            request.headers_mut().insert("x-goog-user-project", value);
        }
        Ok(())
    }

    /// Quotas are counted by service, reading and writing apart.
    fn bucket(&self, method: &Method, path: &str) -> String {
        let reads = *method == Method::GET || path.ends_with(":getIamPolicy");
        format!("{} {}", self.service.name(), if reads { "reads" } else { "writes" })
    }

    fn explain(&self, _: StatusCode, body: &[u8]) -> Explanation {
        #[derive(Deserialize)]
        struct Refusal {
            error: Told,
        }
        #[derive(Deserialize)]
        struct Told {
            message: Option<String>,
            status: Option<String>,
            #[serde(default)]
            errors: Vec<Reason>,
            #[serde(default)]
            details: Vec<Reason>,
        }
        #[derive(Deserialize)]
        struct Reason {
            reason: Option<String>,
        }
        let Ok(Refusal { error }) = serde_json::from_slice(body) else { return Explanation::default() };
        let reasons: Vec<String> =
            error.errors.into_iter().chain(error.details).filter_map(|one: Reason| one.reason).collect();
        let has = |wanted: &[&str]| reasons.iter().any(|reason| wanted.contains(&reason.as_str()));
        let kind = match error.status.as_deref() {
            _ if has(&TOO_MANY) => Some(ErrorKind::Throttled),
            _ if has(&["SERVICE_DISABLED", "accessNotConfigured"]) => Some(ErrorKind::Unsupported),
            Some("RESOURCE_EXHAUSTED") => Some(ErrorKind::Throttled),
            Some("ABORTED" | "ALREADY_EXISTS" | "FAILED_PRECONDITION") => Some(ErrorKind::Conflict),
            _ => None,
        };
        let code = reasons.into_iter().next().or(error.status);
        Explanation { code, text: error.message, kind }
    }

    fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        Some(headers.get("x-goog-request-id")?.to_str().ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect() -> GoogleDialect {
        GoogleDialect { service: Service::Iam, credentials: None, quota_project: None, hand: Hand::Reads }
    }

    #[test]
    fn a_403_for_too_many_calls_is_no_denial() {
        for (body, kind) in [
            (
                r#"{"error":{"code":403,"message":"x","errors":[{"reason":"rateLimitExceeded"}]}}"#,
                Some(ErrorKind::Throttled),
            ),
            (
                r#"{"error":{"code":403,"message":"x","errors":[{"reason":"quotaExceeded"}]}}"#,
                Some(ErrorKind::Throttled),
            ),
            (
                r#"{"error":{"code":403,"message":"x","errors":[{"reason":"userRateLimitExceeded"}]}}"#,
                Some(ErrorKind::Throttled),
            ),
            (
                r#"{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}"#,
                Some(ErrorKind::Throttled),
            ),
            (
                r#"{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED","details":[{"reason":"SERVICE_DISABLED"}]}}"#,
                Some(ErrorKind::Unsupported),
            ),
            (r#"{"error":{"code":409,"message":"x","status":"ABORTED"}}"#, Some(ErrorKind::Conflict)),
            (r#"{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED"}}"#, None),
        ] {
            assert_eq!(dialect().explain(StatusCode::FORBIDDEN, body.as_bytes()).kind, kind, "{body}");
        }
        assert_eq!(dialect().explain(StatusCode::BAD_GATEWAY, b"<html>"), Explanation::default());
    }

    #[test]
    fn operations_say_what_became_of_them() {
        let outcome =
            |json: &str| serde_json::from_str::<Operation>(json).unwrap().outcome(Service::Resources, None);
        assert_eq!(outcome(r#"{"done":true}"#), Ok(Outcome::Done { request_id: None }));
        let poll = "cloudresourcemanager operations/cp.1".to_owned();
        assert_eq!(outcome(r#"{"name":"operations/cp.1"}"#), Ok(Outcome::Pending { poll }));
        let failed = outcome(r#"{"name":"x","done":true,"error":{"code":9,"message":"no"}}"#).unwrap_err();
        assert_eq!(
            (failed.kind, failed.message.as_str()),
            (ErrorKind::Conflict, "the operation has failed: no")
        );
    }
}
