//! Okta's part of `providers:`: where the organization is, and how much of its rate limits may be used.
//!
//! Invariant: the token is never in here; the URL is https, or http to this machine.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use url::Url;

use crate::model::{Code, Finding, Node, ProviderScope, Spanned, decode};
use crate::provider::transport::is_loopback;

/// The URL is not that of an Okta organization.
pub(super) const BAD_URL: Code =
    Code { code: "RC510", title: "the URL of an Okta organization is not valid" };
/// The budget is no share.
pub(super) const BAD_BUDGET: Code = Code { code: "RC511", title: "a budget is not a percentage" };

/// What `providers:` says of an Okta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Where it is; `None` where everything is simulated.
    pub(super) url: Option<Url>,
    /// How much of the rate limits may be used, in percent.
    pub(super) budget: u8,
}

/// An Okta organization. The token comes from `OKTA_API_TOKEN`, never from here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Where the organization is: `https://acme.okta.com`.
    url: Option<Spanned<String>>,
    /// How much of the organization's rate limits may be used, such as `50%`; all of them unless given.
    budget: Option<Spanned<String>>,
}

/// Reads and checks the settings; what is wrong is left out.
pub(super) fn read(node: &Node, findings: &mut Vec<Finding>) -> Settings {
    let written = decode::<Written>(node, findings).unwrap_or(Written { url: None, budget: None });
    let url = written.url.and_then(|url| {
        organization(&url.value)
            .map_err(|why| {
                let finding = Finding::error(BAD_URL, format!("`{}` {why}", url.value)).at(&url.span);
                findings
                    .push(finding.help("write the organization's own URL, such as `https://acme.okta.com`"));
            })
            .ok()
    });
    let budget = written.budget.and_then(|budget| {
        let percent = budget.value.strip_suffix('%').and_then(|digits| digits.parse::<u8>().ok());
        if percent.is_none_or(|percent| percent == 0 || percent > 100) {
            let finding = Finding::error(BAD_BUDGET, format!("`{}` is not a percentage", budget.value));
            findings.push(finding.at(&budget.span).help("write a whole number from `1%` to `100%`"));
            return None;
        }
        percent
    });
    Settings { url, budget: budget.unwrap_or(100) }
}

/// Checks the settings. Okta has no scopes.
pub(super) fn check(node: &Node, findings: &mut Vec<Finding>) -> ProviderScope {
    read(node, findings);
    ProviderScope::default()
}

/// The JSON Schema of the settings.
pub(super) fn schema(generator: &mut SchemaGenerator) -> schemars::Schema {
    Written::json_schema(generator)
}

fn organization(text: &str) -> Result<Url, &'static str> {
    let url: Url = text.parse().map_err(|_| "is not a URL")?;
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else { return Err("names no host") };
    if !(url.scheme() == "https" || (url.scheme() == "http" && is_loopback(host))) {
        return Err("is neither https nor http to this machine");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials, which belong in `OKTA_API_TOKEN`");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("has a path, query or fragment");
    }
    if host.split('.').next().is_some_and(|first| first.ends_with("-admin")) {
        return Err("is the admin console's, which has no API");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::okta::tests::node;

    #[test]
    fn settings_are_typed_and_checked() {
        let mut findings = Vec::new();
        let settings = read(&node(&[("url", "https://acme.okta.com"), ("budget", "50%")]), &mut findings);
        assert_eq!(findings, []);
        assert_eq!((settings.url.unwrap().as_str(), settings.budget), ("https://acme.okta.com/", 50));
        assert_eq!(read(&node(&[]), &mut findings), Settings { url: None, budget: 100 });
        assert_eq!(findings, []);
    }

    #[test]
    fn invariant_35_a_url_that_tokens_must_not_go_to_is_an_error() {
        for (url, good) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost:8080/", true),
            ("http://acme.okta.com", false),
            ("https://acme-admin.okta.com", false),
            ("https://user:pass@acme.okta.com", false),
            ("https://acme.okta.com/api/v1", false),
            ("https://acme.okta.com?x", false),
            ("ftp://acme.okta.com", false),
            ("acme.okta.com", false),
            ("file:///etc/passwd", false),
        ] {
            let mut findings = Vec::new();
            read(&node(&[("url", url)]), &mut findings);
            assert_eq!(findings.is_empty(), good, "{url}: {findings:?}");
        }
    }

    #[test]
    fn a_budget_is_a_percentage() {
        for (budget, good) in
            [("1%", true), ("100%", true), ("0%", false), ("101%", false), ("50", false), ("x%", false)]
        {
            let mut findings = Vec::new();
            read(&node(&[("budget", budget)]), &mut findings);
            assert_eq!(findings.is_empty(), good, "{budget}");
        }
    }
}
