//! What the manifests of the IAM kinds have in common: names, paths, tags, inline policies, boundaries, attachments.
//!
//! Invariant: what IAM would refuse by form is reported here with its place. It must not call AWS.

use std::collections::BTreeMap;

use crate::model::{
    Address, Attribute, Code, Collection, Finding, Flags, Lowering, Node, NodeValue, Spanned, Value,
};

use super::document::{self, Use};
use super::{ATTACHED, MARK};

/// A name, path or number that IAM does not allow.
pub(super) const BAD_NAME: Code =
    Code { code: "RC532", title: "a name, path or number that IAM does not allow" };
/// What AWS or rolecall keeps for itself.
pub(super) const KEPT: Code =
    Code { code: "RC533", title: "a manifest names what AWS or rolecall keeps for itself" };

/// How many characters a policy's name may have, managed or inline.
pub(super) const POLICY_NAME: usize = 128;

/// The path in the account's hierarchy. It is part of the ARN, so others' policies would break if it changed.
pub(super) fn path_attribute() -> Attribute {
    Attribute::new("path").flags(Flags { immutable: true, ..Flags::default() })
}

/// Inline policies by name. They are access, so a declared principal has exactly those that YAML names.
pub(super) fn inline_attribute() -> Attribute {
    Attribute::new("inline")
        .flags(Flags { document: true, access: true, ..Flags::default() })
        .default(Value::Map(BTreeMap::new()))
}

/// The permissions boundary. An omitted one is left as it is: taking a boundary away gives access.
pub(super) fn boundary_attribute() -> Attribute {
    Attribute::new("boundary").flags(Flags { access: true, ..Flags::default() }).reference("policy")
}

/// Tags, owned key by key.
pub(super) fn tags_attribute() -> Attribute {
    Attribute::new("tags").flags(Flags { keyed: true, ..Flags::default() })
}

fn bad(lowering: &mut Lowering<'_>, at: &Spanned<String>, message: String, help: &str) {
    lowering.out.findings.push(Finding::error(BAD_NAME, message).at(&at.span).help(help));
}

/// Checks the document's name by IAM's rule.
pub(super) fn name(lowering: &mut Lowering<'_>, longest: usize) {
    let name = lowering.name;
    checked_name(lowering, name, longest);
}

fn checked_name(lowering: &mut Lowering<'_>, name: &Spanned<String>, longest: usize) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.is_empty() || name.chars().count() > longest || !name.chars().all(allowed) {
        let help = format!("1 to {longest} letters, digits and `_+=,.@-`; a path goes into `path`");
        bad(lowering, name, format!("`{}` is not a name that IAM allows", name.value), &help);
    }
}

/// The value of `path`.
pub(super) fn path(lowering: &mut Lowering<'_>, path: Option<&Spanned<String>>) -> Option<Value> {
    let path = path?;
    let visible = path.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if !path.starts_with('/') || !path.ends_with('/') || path.len() > 512 || !visible || path.contains("//") {
        let message = format!("`{}` is not a path that IAM allows", path.value);
        bad(lowering, path, message, "a path begins and ends with `/`, as in `/service/`");
    }
    Some(path.value.as_str().into())
}

/// The value of `tags`.
pub(super) fn tags(
    lowering: &mut Lowering<'_>,
    tags: Option<&BTreeMap<String, Spanned<String>>>,
) -> Option<Value> {
    let tags = tags?;
    for (key, value) in tags {
        if key.starts_with("aws:") || key == MARK.0 {
            let whose = if key == MARK.0 { "rolecall" } else { "AWS" };
            let finding =
                Finding::error(KEPT, format!("{whose} itself sets the tag `{key}`")).at(&value.span);
            lowering.out.findings.push(finding.help("leave it out"));
        } else if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            let help = "a key has 1 to 128 characters, a value at most 256";
            bad(lowering, value, format!("the tag `{key}` is not one that IAM allows"), help);
        }
    }
    Some(Value::map(tags.iter().map(|(key, value)| (key.as_str(), value.value.as_str()))))
}

/// The value of `inline`: canonical documents by name.
pub(super) fn inline(lowering: &mut Lowering<'_>, inline: Option<&BTreeMap<String, Node>>) -> Option<Value> {
    let mut documents = BTreeMap::new();
    for (name, node) in inline? {
        checked_name(lowering, &Spanned { value: name.clone(), span: node.span.clone() }, POLICY_NAME);
        if let Some(document) = document::declared(node, Use::Permissions, lowering) {
            documents.insert(name.as_str().into(), document);
        }
    }
    Some(Value::Map(documents))
}

/// The value of `boundary`: an address; `none` takes one away.
pub(super) fn boundary(lowering: &mut Lowering<'_>, boundary: Option<&Spanned<String>>) -> Option<Value> {
    let boundary = boundary?;
    if boundary.value == "none" {
        return Some(Value::Null);
    }
    policy(lowering, boundary).map(|address| address.as_str().into())
}

/// Attaches policies to a declared principal, which then has no others.
pub(super) fn attach(lowering: &mut Lowering<'_>, principal: &Address, policies: &[Spanned<String>]) {
    for text in policies {
        if let Some(policy) = policy(lowering, text) {
            lowering.grant(principal, ATTACHED, &policy, &text.span);
        }
    }
    lowering.claim(Collection::of_principal(principal, ATTACHED));
}

fn policy(lowering: &mut Lowering<'_>, text: &Spanned<String>) -> Option<Address> {
    if text.starts_with("arn:") {
        let help =
            "write `managed:NAME` for AWS's own (with its path: `managed:service-role/NAME`), else the name";
        bad(lowering, text, format!("`{}` is an ARN, not a name", text.value), help);
        return None;
    }
    let address = lowering.reference("policy", text)?;
    let policy = address.instance() == "managed" || address.kind() == "policy";
    if !policy {
        bad(lowering, text, format!("`{}` is not a policy", text.value), "name a policy, or `managed:NAME`");
    }
    policy.then_some(address)
}

/// Seconds from `3600`, `1h`, `90m` or `1h30m`.
pub(super) fn seconds(lowering: &mut Lowering<'_>, node: &Node) -> Option<i64> {
    let seconds = match &node.value {
        NodeValue::Int(seconds) => Some(*seconds),
        NodeValue::Text(text) => text.parse::<jiff::SignedDuration>().ok().map(|duration| duration.as_secs()),
        _ => None,
    };
    if seconds.is_some_and(|seconds| (3600..=43_200).contains(&seconds)) {
        return seconds;
    }
    let message = "a session's length is 1 to 12 hours".to_owned();
    lowering.out.findings.push(
        Finding::error(BAD_NAME, message)
            .at(&node.span)
            .help("write `1h`, `90m`, or seconds from 3600 to 43200"),
    );
    None
}
