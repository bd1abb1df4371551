//! How GitLab is called: its token, its pages, its refusals.
//!
//! Invariant: the token goes into one header, marked as sensitive, and to the one host that settings name. A list is whole
//! or an error.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::provider::paging::{Page, read_all};
use crate::provider::send::{Api, Dialect, Explanation, Limits, Secret};
use crate::provider::{Clock, Error, ErrorKind, HttpTransport, Transport};

/// Where a token is looked for. The last one is a job's own: it reads merge requests and notes, and neither approvals nor
/// anything that is written (GitLab's table of what a job token may do, November 2026).
pub const TOKENS: [&str; 3] = ["ROLECALL_FORGE_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN"];

/// What stays as it is in a part of a path or query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How many pages a list may have: none that is read here comes near.
const MOST_PAGES: usize = 200;
/// How many items a page has.
const PAGE: usize = 100;

/// One project of a GitLab.
pub struct Gitlab {
    api: Api,
    /// What the path of every call begins with.
    prefix: String,
    /// The project, as paths have it.
    project: String,
}

impl fmt::Debug for Gitlab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gitlab")
            .field("api", &self.api)
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

impl Gitlab {
    /// A project of the GitLab at `url`, by its path (`acme/access`) or its number. `credentials` looks a token up by name.
    pub fn open(
        url: &Url,
        project: &str,
        credentials: &dyn Fn(&str) -> Option<String>,
        transport: Option<Arc<dyn Transport>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let found =
            TOKENS.iter().find_map(|name| credentials(name).map(|token| (*name, token.trim().to_owned())));
        let Some((name, token)) = found.filter(|(_, token)| !token.is_empty()) else {
            let message = format!("there is no token for {url}: set `{}`", TOKENS[0]);
            return Err(Error::new(ErrorKind::Auth, message));
        };
        let limits =
            Limits { deadline: Duration::from_secs(120), attempts: 3, in_flight: 4, ..Limits::default() };
        let transport: Arc<dyn Transport> = match transport {
            Some(transport) => transport,
            None => Arc::new(HttpTransport::new(limits.max_body).map_err(|error| {
                Error::new(ErrorKind::Other, format!("no connection can be made: {error}"))
            })?),
        };
        let dialect = Box::new(GitlabDialect { name, token: Secret::new(token) });
        let prefix = format!("{}/api/v4", url.path().trim_end_matches('/'));
        let api = Api::new(transport, clock, url.clone(), dialect, limits);
        Ok(Self { api, prefix, project: encoded(project) })
    }

    /// A path of the project.
    pub(super) fn of_project(&self, rest: &str) -> String {
        format!("{}/projects/{}{rest}", self.prefix, self.project)
    }

    /// A path of the whole.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }

    /// Reads one thing.
    pub(super) async fn read<T: DeserializeOwned>(&self, target: &str) -> Result<T, Error> {
        self.api.get(target).await?.json()
    }

    /// The first of a list that is asked for; what comes after it is not read, nor what comes after the most that is looked through.
    pub(super) async fn first<T: DeserializeOwned>(
        &self,
        target: &str,
        is: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, Error> {
        for page in 1..=MOST_PAGES {
            let items: Vec<T> = self.read(&format!("{target}&per_page={PAGE}&page={page}")).await?;
            let last = items.is_empty();
            if let Some(found) = items.into_iter().find(|item| is(item)) {
                return Ok(Some(found));
            }
            if last {
                break;
            }
        }
        Ok(None)
    }

    /// Reads a list to its end. GitLab numbers pages, and names the next one in a header.
    pub(super) async fn list<T: DeserializeOwned>(&self, target: &str) -> Result<Vec<T>, Error> {
        let separator = if target.contains('?') { '&' } else { '?' };
        let fetch = |page: String| async move {
            if page.parse::<usize>().is_ok_and(|page| page > MOST_PAGES) {
                let path = target.split('?').next().unwrap_or_default();
                let message = format!("the list `{path}` has more than {MOST_PAGES} pages");
                return Err(Error::new(ErrorKind::Malformed, message));
            }
            let answer = self.api.get(&format!("{target}{separator}per_page={PAGE}&page={page}")).await?;
            let items: Vec<T> = answer.json()?;
            let next = answer.headers.get("x-next-page").and_then(|next| next.to_str().ok());
            // A proxy that drops the header must not make a list end where its first page does.
            if next.is_none() && items.len() >= PAGE {
                let message = "a list has a full page, and GitLab does not say whether there is another";
                return Err(Error::new(ErrorKind::Malformed, message));
            }
            let next = next.filter(|next| !next.is_empty()).map(str::to_owned);
            // A next page is a number; anything else would be put into the next request.
            if next.as_ref().is_some_and(|next| next.parse::<u32>().is_err()) {
                return Err(Error::new(ErrorKind::Malformed, "the next page of a list is no number"));
            }
            Ok(Page { items, next })
        };
        read_all("1".to_owned(), fetch).await.whole()
    }

    /// Writes.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: &serde_json::Value,
    ) -> Result<T, Error> {
        self.api.send(method, target, Some(body)).await?.json()
    }
}

/// Text as part of a path or query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

struct GitlabDialect {
    /// The variable that the token was found in.
    name: &'static str,
    token: Secret,
}

#[async_trait]
impl Dialect for GitlabDialect {
    fn vendor(&self) -> &str {
        "GitLab"
    }

    async fn authorize(&self, request: &mut http::Request<Bytes>) -> Result<(), Error> {
        let mut value = HeaderValue::from_str(self.token.expose()).map_err(|_| {
            Error::new(
                ErrorKind::Auth,
                format!("the token in `{}` has characters that no token has", self.name),
            )
        })?;
        value.set_sensitive(true);
        let header = if self.name == "CI_JOB_TOKEN" { "job-token" } else { "private-token" };
        request.headers_mut().insert(HeaderName::from_static(header), value);
        Ok(())
    }

    fn bucket(&self, _: &Method, _: &str) -> String {
        "/".into()
    }

    fn explain(&self, status: StatusCode, body: &[u8]) -> Explanation {
        #[derive(Deserialize)]
        struct Refusal {
            message: Option<serde_json::Value>,
            error: Option<String>,
        }
        // GitLab has no codes of its own: the status is the only one.
        let code = Some(status.as_str().to_owned());
        let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
            return Explanation { code, ..Explanation::default() };
        };
        let text = match refusal.message {
            Some(serde_json::Value::String(text)) => Some(text),
            // `{"message": {"title": ["is too long"]}}`
            Some(other) => Some(other.to_string()),
            None => refusal.error,
        };
        Explanation { code, text, ..Explanation::default() }
    }

    fn request_id(&self, headers: &HeaderMap) -> Option<String> {
        Some(headers.get("x-request-id")?.to_str().ok()?.to_owned())
    }
}
