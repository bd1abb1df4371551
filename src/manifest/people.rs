//! `User` and `Waiver` documents.
//!
//! Invariant: a broken part is reported and left out; the rest still is checked. Whether what is named exists is
//! `references`' to say.

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::documents::User;
use super::header::Header;
use super::shape::{Pairs, check_name};
use super::{BAD_NAME, EMPTY_ENTRY, time};
use crate::model::{Finding, Many, Node, Spanned, Status, Waiver, decode};

/// A person or service account that the directory does not have. `name` is the handle.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserBody {
    /// The type: a key of `types:` in `rolecall.yaml`.
    #[serde(rename = "type")]
    kind: Spanned<String>,
    /// The e-mail address.
    email: Option<Spanned<String>>,
    /// What to call the person.
    display_name: Option<String>,
    /// The manager's handle.
    manager: Option<Spanned<String>>,
    /// Who answers for a service account: a handle.
    owner: Option<Spanned<String>>,
    /// When the person ends: a date (that whole day) or a time with its offset.
    until: Option<Spanned<String>>,
    /// How often the person is reviewed, such as `90d`.
    review: Option<Spanned<String>>,
    /// What rules can cite.
    #[serde(default)]
    attributes: Pairs<Spanned<String>>,
    /// What the person is called in a provider, where the templates of `identities:` do not say so.
    #[serde(default)]
    identities: Pairs<Spanned<String>>,
    /// Where the person stands; `active` unless given.
    #[serde(default)]
    status: Status,
}

pub(crate) fn user(
    header: Header,
    document: &Node,
    zone: &TimeZone,
    findings: &mut Vec<Finding>,
) -> Option<User> {
    check_name("a person", &header.name, findings);
    let body: UserBody = decode(document, findings)?;
    Some(User {
        name: header.name,
        kind: body.kind,
        email: body.email,
        display_name: body.display_name,
        manager: body.manager,
        owner: body.owner,
        until: body.until.and_then(|text| time::end(&text, zone, findings)),
        review: review(body.review, findings),
        attributes: body.attributes.0,
        identities: body.identities.0,
        status: body.status,
        span: document.span.clone(),
    })
}

/// Checks how often something is reviewed, and keeps it as written.
pub(crate) fn review(text: Option<Spanned<String>>, findings: &mut Vec<Finding>) -> Option<String> {
    let text = text?;
    time::duration(&text, findings);
    Some(text.value)
}

/// An exception to a finding or a cap.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaiverBody {
    /// The code that is waived, such as `RC412`.
    code: Spanned<String>,
    /// What it is waived for: addresses or patterns of them. May be left out where a cap is raised.
    #[serde(default)]
    on: Many<Spanned<String>>,
    /// For a cap: how many removals are allowed.
    allow: Option<u32>,
    /// Who answers for it: a handle.
    owner: Spanned<String>,
    /// Why.
    reason: Spanned<String>,
    /// When it ends: a date (that whole day) or a time with its offset.
    until: Spanned<String>,
}

pub(crate) fn waiver(
    header: Header,
    document: &Node,
    zone: &TimeZone,
    findings: &mut Vec<Finding>,
) -> Option<Waiver> {
    check_name("a waiver", &header.name, findings);
    let body: WaiverBody = decode(document, findings)?;
    let digits = body.code.strip_prefix("RC").unwrap_or_default();
    if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("`{}` is not the code of a finding", body.code.value);
        findings.push(Finding::error(BAD_NAME, message).at(&body.code.span).help("write it as `RC412`"));
    }
    if body.on.is_empty() && body.allow.is_none() {
        let finding = Finding::error(EMPTY_ENTRY, "this waiver does not say what it is for");
        findings
            .push(finding.at(&document.span).help("give `on:` addresses, or `allow:` the number for a cap"));
    }
    if body.reason.trim().is_empty() {
        let finding = Finding::error(EMPTY_ENTRY, "a waiver needs a reason");
        findings.push(finding.at(&body.reason.span).help("say why, and name a ticket"));
    }
    check_name("a person", &body.owner, findings);
    Some(Waiver {
        name: header.name,
        code: body.code,
        on: body.on.0,
        allow: body.allow,
        owner: body.owner.value,
        reason: body.reason.value,
        until: time::end(&body.until, zone, findings)?.value,
    })
}
