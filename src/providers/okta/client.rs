//! How Okta is called: its token, its rate-limit buckets, its error bodies.
//!
//! Invariant: the token goes into one header, marked as sensitive, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{rules, settings, user};
use crate::model::settings::ProviderSettings;
use crate::model::{Address, Name};
use crate::provider::send::{Api, Dialect, Explanation, Limits, Secret};
use crate::provider::{Error, ErrorKind, HttpTransport, Transport};
use crate::providers::Wiring;

/// Where the token is looked for: our own name first, then that of Okta's tools.
const TOKENS: [&str; 2] = ["OKTA_API_TOKEN", "OKTA_CLIENT_TOKEN"];

/// How long what was written may be missing from what is read. Okta says seconds.
pub(super) const LAG: Duration = Duration::from_secs(15);

/// What stays as it is in a part of a path or query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One Okta organization.
#[derive(Debug)]
pub(super) struct Okta {
    pub(super) instance: Name,
    pub(super) api: Api,
    /// People as last read, so that inventory and observation read them once.
    pub(super) people: Mutex<Option<Arc<user::People>>>,
    /// The group rules as last read whole.
    pub(super) rules: Mutex<Option<Arc<rules::Rules>>>,
}

impl Okta {
    pub(super) fn open(settings: &ProviderSettings, wiring: &Wiring) -> Result<Self, Error> {
        let mut findings = Vec::new();
        let settings::Settings { url, budget } = settings::read(&settings.options, &mut findings);
        if let Some(finding) = findings.first() {
            return Err(Error::new(ErrorKind::Other, finding.to_string()));
        }
        let instance = settings.instance.clone();
        let simulated = wiring.transport.is_some();
        let base = match url {
            Some(url) => url,
            None if simulated => SIMULATED.parse().map_err(|_| Error::new(ErrorKind::Other, "no URL"))?,
            None => {
                let message = format!("`providers.{instance}` has no `url`, so there is nothing to call");
                return Err(Error::new(ErrorKind::Other, message));
            }
        };
        let token =
            TOKENS.iter().find_map(|name| (wiring.credentials)(name)).map(|token| token.trim().to_owned());
        let token = match token.filter(|token| !token.is_empty()) {
            Some(token) => token,
            None if simulated => "simulated".to_owned(),
            None => {
                let message = format!("there is no token for {base}: set `{}`", TOKENS[0]);
                return Err(Error::new(ErrorKind::Auth, message));
            }
        };
        let limits = Limits { budget, ..Limits::default() };
        let transport: Arc<dyn Transport> = match &wiring.transport {
            Some(transport) => transport.clone(),
            None => Arc::new(HttpTransport::new(limits.max_body).map_err(|error| {
                Error::new(ErrorKind::Other, format!("no connection can be made: {error}"))
            })?),
        };
        let dialect = Box::new(OktaDialect { token: Secret::new(token) });
        let api = Api::new(transport, wiring.clock.clone(), base, dialect, limits);
        Ok(Self { instance, api, people: Mutex::default(), rules: Mutex::default() })
    }

    /// Whether an address is one of this organization's, of that kind.
    pub(super) fn is_mine(&self, address: &Address, kind: &str) -> bool {
        !address.is_reserved() && address.instance() == self.instance.as_ref() && address.kind() == kind
    }

    /// The scope of all things of a kind: `okta:group`.
    pub(super) fn scope(&self, kind: &str) -> Name {
        let address = Address::new(&self.instance, None, kind, "x");
        format!("{}:{kind}", address.place()).into()
    }
}

/// What a simulated organization is called where settings give no URL.
const SIMULATED: &str = "https://okta.simulated";

/// Text as part of a path or query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

struct OktaDialect {
    token: Secret,
}

#[async_trait]
impl Dialect for OktaDialect {
    fn vendor(&self) -> &str {
        "Okta"
    }

    async fn authorize(&self, request: &mut http::Request<Bytes>) -> Result<(), Error> {
        let value = HeaderValue::from_str(&format!("SSWS {}", self.token.expose()));
        let mut value = value.map_err(|_| {
            Error::new(
                ErrorKind::Auth,
                format!("the token in `{}` has characters that no token has", TOKENS[0]),
            )
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(())
    }

    /// Okta counts a few endpoints for themselves, each with all its methods, and all others together.
    fn bucket(&self, _: &Method, path: &str) -> String {
        let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
        match parts.as_slice() {
            ["groups"] => "/groups".into(),
            ["groups", "rules"] => "/".into(),
            ["groups", _] => "/groups/{id}".into(),
            ["users"] => "/users".into(),
            ["users", _] => "/users/{id}".into(),
            ["apps", ..] => "/apps".into(),
            _ => "/".into(),
        }
    }

    fn explain(&self, _: StatusCode, body: &[u8]) -> Explanation {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Refusal {
            error_code: Option<String>,
            error_summary: Option<String>,
            #[serde(default)]
            error_causes: Vec<Reason>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reason {
            error_summary: Option<String>,
        }
        let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else { return Explanation::default() };
        let reasons = refusal.error_causes.into_iter().filter_map(|reason| reason.error_summary);
        let texts: Vec<String> = refusal.error_summary.into_iter().chain(reasons).collect();
        let kind = match refusal.error_code.as_deref() {
            Some("E0000047") => Some(ErrorKind::Throttled),
            Some("E0000011") => Some(ErrorKind::Auth),
            _ => None,
        };
        Explanation { kind, code: refusal.error_code, text: (!texts.is_empty()).then(|| texts.join("; ")) }
    }

    fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        Some(headers.get("x-okta-request-id")?.to_str().ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_that_okta_counts() {
        let dialect = OktaDialect { token: Secret::new("x") };
        for (path, bucket) in [
            ("/api/v1/groups", "/groups"),
            ("/api/v1/groups/00g1", "/groups/{id}"),
            ("/api/v1/groups/00g1/users", "/"),
            ("/api/v1/groups/00g1/users/00u1", "/"),
            ("/api/v1/groups/rules", "/"),
            ("/api/v1/users", "/users"),
            ("/api/v1/users/me", "/users/{id}"),
        ] {
            assert_eq!(dialect.bucket(&Method::GET, path), bucket, "{path}");
        }
    }

    #[test]
    fn refusals_say_why() {
        let dialect = OktaDialect { token: Secret::new("x") };
        let body =
            br#"{"errorCode":"E0000001","errorSummary":"Api validation failed: name","errorLink":"E0000001",
            "errorId":"oae1","errorCauses":[{"errorSummary":"name: already exists"}]}"#;
        let said = dialect.explain(StatusCode::BAD_REQUEST, body);
        assert_eq!(said.code.as_deref(), Some("E0000001"));
        assert_eq!(said.text.as_deref(), Some("Api validation failed: name; name: already exists"));
        assert_eq!(dialect.explain(StatusCode::BAD_GATEWAY, b"<html>"), Explanation::default());
    }
}
