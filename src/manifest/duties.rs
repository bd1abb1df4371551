//! `Suspension` and `Separation` documents: who is out of everything for now, and what nobody may have together.
//!
//! Invariant: each says why, or what, so that whoever is stopped by it can be told. Whether what is named exists is
//! `references`' to say.

use schemars::JsonSchema;
use serde::Deserialize;

use super::EMPTY_ENTRY;
use super::documents::{Separation, Suspension};
use super::header::Header;
use super::shape::check_name;
use crate::model::{Finding, Many, Node, Spanned, decode};

/// A person who is out of everything until this document is deleted. `name` is the handle.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuspensionBody {
    /// Why, and the ticket.
    reason: Spanned<String>,
}

pub(crate) fn suspension(header: Header, document: &Node, findings: &mut Vec<Finding>) -> Option<Suspension> {
    check_name("a person", &header.name, findings);
    let body: SuspensionBody = decode(document, findings)?;
    if body.reason.trim().is_empty() {
        let finding = Finding::error(EMPTY_ENTRY, "a suspension needs a reason").at(&body.reason.span);
        findings.push(finding.help("say why, and name a ticket"));
    }
    Some(Suspension { name: header.name, reason: body.reason.value, span: document.span.clone() })
}

/// Access that nobody may have together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeparationBody {
    /// Two sides or more; nobody may have something of two of them. A side is a list of roles, and of addresses such as
    /// `okta:group/app.netsuite.approver`.
    between: Vec<Many<Spanned<String>>>,
    /// Why.
    reason: Option<String>,
}

pub(crate) fn separation(header: Header, document: &Node, findings: &mut Vec<Finding>) -> Option<Separation> {
    check_name("a separation", &header.name, findings);
    let body: SeparationBody = decode(document, findings)?;
    let span = document.get("between").map_or(&document.span, |node| &node.span);
    if body.between.len() < 2 {
        let finding = Finding::error(EMPTY_ENTRY, "a separation is between two sides at least").at(span);
        findings.push(finding.help("write such as `between: [[clerk], [approver]]`"));
    }
    if body.between.iter().any(|side| side.is_empty() || side.iter().any(|name| name.is_empty())) {
        let finding = Finding::error(EMPTY_ENTRY, "a side of this separation has nothing in it").at(span);
        findings.push(finding.help("name a role or an address on each side"));
    }
    let between: Vec<Vec<Spanned<String>>> = body.between.into_iter().map(|side| side.0).collect();
    for (number, side) in between.iter().enumerate() {
        let others = || between.iter().skip(number + 1).flatten();
        for name in side.iter().filter(|name| others().any(|other| other.value == name.value)) {
            let message = format!("`{}` is on two sides, so nobody could have it", name.value);
            let finding = Finding::error(EMPTY_ENTRY, message).at(&name.span);
            findings.push(finding.help("take it off one of them"));
        }
    }
    Some(Separation { name: header.name, between, reason: body.reason, span: document.span.clone() })
}
