//! What a client asks, what it gets, and what is known at that moment; the same for a call and for a line of the log.
//!
//! Invariant: an order holds no secret, so that it can stand in the log.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::faults::Fault;

/// Which service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Service {
    /// Okta's management API.
    Okta,
    /// AWS IAM.
    Iam,
    /// AWS STS.
    Sts,
    /// Google's REST APIs.
    Google,
}

/// How HTTP writes times.
const HTTP_DATE: DateTimePrinter = DateTimePrinter::new();

/// A request without its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    /// Which service is asked.
    pub(super) to: Service,
    /// Of AWS: who asks, as an ARN.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) caller: String,
    /// `GET` and so on.
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    /// The body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) body: String,
}

impl Order {
    /// The account that is asked.
    pub(super) fn account(&self) -> &str {
        self.caller.split(':').nth(4).unwrap_or_default()
    }

    /// The path without its query.
    pub(super) fn plain_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// A parameter of the query, decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        self.queries(name).into_iter().next()
    }

    /// All values of a parameter that may be given more than once.
    pub(super) fn queries(&self, name: &str) -> Vec<String> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        pairs(query).into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
    }
}

/// What is true while an order is carried out.
#[derive(Debug, Clone, Default)]
pub(super) struct Moment {
    /// The time.
    pub(super) now: Timestamp,
    /// The number that the write will have in the log: makes new ids.
    pub(super) n: u64,
    /// What links in answers begin with: `https://acme.okta.com`.
    pub(super) base: String,
    /// The id of the request.
    pub(super) request_id: String,
    /// The number of the request in this run.
    pub(super) number: u64,
    /// How far ahead the server's own clock is.
    pub(super) ahead: SignedDuration,
    /// How old what a read shows is.
    pub(super) age: Duration,
    /// What is wrong with the answer.
    pub(super) fault: Option<Fault>,
}

impl Moment {
    /// The time by the server's own clock.
    pub(super) fn told(&self) -> Timestamp {
        self.now.saturating_add(self.ahead).unwrap_or(self.now)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) body: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// A JSON answer.
    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        // What is answered has names for keys, and nothing of it fails on its own.
        let body = serde_json::to_string(body).unwrap_or_default();
        Self { status, kind: "application/json", body, headers: Vec::new() }
    }

    /// An XML answer.
    pub(super) fn xml(status: u16, body: String) -> Self {
        Self { status, kind: "text/xml", body, headers: Vec::new() }
    }

    /// An answer without a body.
    pub(super) fn nothing() -> Self {
        Self { status: 204, kind: "", body: String::new(), headers: Vec::new() }
    }

    /// A page that some machine in between sends.
    pub(super) fn html(status: u16) -> Self {
        let body = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
        Self { status, kind: "text/html", body, headers: Vec::new() }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, broken off in the middle.
    pub(super) fn halved(mut self) -> Self {
        self.body.truncate(self.body.floor_char_boundary(self.body.len() / 2));
        self
    }

    pub(super) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer as HTTP, dated.
    pub(super) fn http(self, now: Timestamp) -> Response<Bytes> {
        let mut headers = HeaderMap::new();
        if !self.kind.is_empty()
            && let Ok(kind) = HeaderValue::try_from(self.kind)
        {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        // Only times that no calendar of four digits has cannot be written so.
        let date = HTTP_DATE.timestamp_to_rfc9110_string(&now).unwrap_or_default();
        for (name, value) in self.headers.into_iter().chain([("date", date)]) {
            // Values come from names that people give: what HTTP cannot carry is left out.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.append(name, value);
            }
        }
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = headers;
        response
    }
}

/// The pairs of a form or query, decoded.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    let split = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(split).collect()
}
