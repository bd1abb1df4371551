//! Telling a chat: one message to a webhook.
//!
//! Invariant: the address comes from whoever runs this, never from the access repo; only https, and plain http to this
//! machine alone; no redirect is followed, and no message of ours repeats the address, which is a secret.

use std::time::Duration;

use crate::model::{Code, Finding};

/// A chat was not told.
pub(super) const UNPOSTED: Code = Code { code: "RC642", title: "a chat could not be told of drift" };

/// How long a chat may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Posts a body of JSON.
///
/// # Errors
/// A warning: that a chat is down says nothing about access.
pub(super) async fn post(url: &str, body: String) -> Result<(), Finding> {
    let warn = |why: String| Finding::warning(UNPOSTED, format!("the webhook was not told: {why}"));
    let parsed = url::Url::parse(url).map_err(|_| warn("its address is no URL".to_owned()))?;
    let local = match parsed.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(_)) | None => false,
    };
    if parsed.scheme() != "https" && !(parsed.scheme() == "http" && local) {
        return Err(warn("its address is not `https://`".to_owned()));
    }
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build();
    let client = client.map_err(|error| warn(error.without_url().to_string()))?;
    let request = client.post(parsed).header("content-type", "application/json").body(body);
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(warn(format!("it answered {}", answer.status()))),
        Err(error) => Err(warn(error.without_url().to_string())),
    }
}
