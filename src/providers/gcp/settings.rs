//! Google's part of `providers:`: which organization, as whom, and how much of its quotas may be used.
//!
//! Invariant: no credential is in here, and calls go to Google's own hosts or to this machine, whatever is written.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use url::Url;

use crate::model::{Code, Finding, Node, ProviderScope, Spanned, decode};
use crate::provider::transport::is_loopback;

/// A setting of a Google organization is not valid.
pub(super) const BAD_SETTING: Code =
    Code { code: "RC540", title: "a setting of a Google organization is not valid" };

/// A Google Cloud organization. Credentials are Google's own default ones, or those that `identity` gives for the token of
/// a pipeline in `GCP_ID_TOKEN`; never from here.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// The organization's number, in quotes.
    pub(super) organization: Spanned<String>,
    /// The customer's id in Cloud Identity, `C` and letters: without it there are no groups.
    pub(super) customer: Option<Spanned<String>>,
    /// Whether people's accounts are read from the directory of Workspace or Cloud Identity. Without it whoever is named is
    /// taken to have one, unless people come from here.
    #[serde(default)]
    pub(super) users: bool,
    /// Who calls.
    #[serde(default)]
    pub(super) identity: Identity,
    /// The project whose quotas the calls count against.
    pub(super) quota_project: Option<Spanned<String>>,
    /// How much of the quotas may be used, such as `50%`; all of them unless given.
    budget: Option<Spanned<String>>,
    /// Where Google is called instead of its own hosts: on this machine, or one of `googleapis.com`.
    url: Option<Spanned<String>>,
}

/// Who calls.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// The provider of a workload identity pool that takes the token in `GCP_ID_TOKEN`:
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    pub(super) provider: Option<Spanned<String>>,
    /// The e-mail address of the service account that reads.
    pub(super) read: Option<Spanned<String>>,
    /// The e-mail address of the service account that writes.
    pub(super) write: Option<Spanned<String>>,
}

impl Options {
    /// How much of the quotas may be used, in percent.
    pub(super) fn percent(&self) -> u8 {
        self.budget.as_ref().and_then(|text| percent(text)).unwrap_or(100)
    }

    /// Where Google is called instead of its own hosts.
    pub(super) fn base(&self) -> Option<Url> {
        self.url.as_ref().and_then(|url| host(url).ok())
    }
}

/// Reads and checks the settings; what is wrong is told.
pub(super) fn read(node: &Node, findings: &mut Vec<Finding>) -> Option<Options> {
    let options: Options = decode(node, findings)?;
    let before = findings.len();
    let mut bad = |at: &Spanned<String>, message: String, help: &str| {
        findings.push(Finding::error(BAD_SETTING, message).at(&at.span).help(help));
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(&options.organization) {
        let message = format!("`{}` is not an organization's number", options.organization.value);
        bad(&options.organization, message, "see `gcloud organizations list`; keep it in quotes");
    }
    if let Some(customer) = &options.customer
        && !customer
            .strip_prefix('C')
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    {
        let message = format!("`{}` is not a customer's id", customer.value);
        bad(
            customer,
            message,
            "see `gcloud organizations list`: it is the directory customer id, such as `C01ab2cd3`",
        );
    }
    for email in [&options.identity.read, &options.identity.write].into_iter().flatten() {
        if super::names::parts_of(email).is_none() {
            let message = format!("`{}` is not a service account", email.value);
            bad(email, message, "write `NAME@PROJECT.iam.gserviceaccount.com`");
        }
    }
    if let Some(provider) = &options.identity.provider {
        let parts: Vec<&str> = provider.split('/').collect();
        let fits = matches!(parts.as_slice(), ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", name]
            if digits(number) && !pool.is_empty() && !name.is_empty());
        if !fits {
            let message = format!("`{}` is not a provider of a workload identity pool", provider.value);
            bad(
                provider,
                message,
                "write `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`",
            );
        }
    }
    if let Some(budget) = options.budget.as_ref().filter(|budget| percent(budget).is_none()) {
        let message = format!("`{}` is not a percentage", budget.value);
        bad(budget, message, "write a whole number from `1%` to `100%`");
    }
    if let Some(url) = &options.url
        && let Err(why) = host(url)
    {
        bad(url, format!("`{}` {why}", url.value), "leave it out: Google's own hosts are known");
    }
    (findings.len() == before).then_some(options)
}

fn percent(text: &str) -> Option<u8> {
    text.strip_suffix('%')?.parse().ok().filter(|percent| (1..=100).contains(percent))
}

/// Tokens of Google go to Google, or stay on this machine.
fn host(text: &str) -> Result<Url, &'static str> {
    let url: Url = text.parse().map_err(|_| "is not a URL")?;
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else { return Err("names no host") };
    let google = url.scheme() == "https" && (host == "googleapis.com" || host.ends_with(".googleapis.com"));
    let here = ["http", "https"].contains(&url.scheme()) && is_loopback(host);
    if !google && !here {
        return Err("is neither a host of Google's nor this machine");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("has a path, query or fragment");
    }
    Ok(url)
}

/// Checks the settings. What names no project is the organization's.
pub(super) fn check(node: &Node, findings: &mut Vec<Finding>) -> ProviderScope {
    let organization = read(node, findings).map(|options| options.organization.value.into());
    ProviderScope { scope: None, name: organization }
}

/// The JSON Schema of the settings.
pub(super) fn schema(generator: &mut SchemaGenerator) -> schemars::Schema {
    Options::json_schema(generator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_35_tokens_go_to_google_or_stay_here() {
        for (url, good) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost:8080/", true),
            ("https://private.googleapis.com", true),
            ("https://googleapis.com.evil.example", false),
            ("https://evilgoogleapis.com", false),
            ("http://iam.googleapis.com", false),
            ("https://a:b@iam.googleapis.com", false),
            ("https://iam.googleapis.com/v1", false),
            ("ftp://localhost", false),
        ] {
            assert_eq!(host(url).is_ok(), good, "{url}");
        }
    }
}
