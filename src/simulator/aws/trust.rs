//! Whether a role's trust policy lets someone in.
//!
//! Invariant: what it does not understand lets no one in. Conditions are not looked at.

use serde_json::Value as Json;

/// Whether `caller` may assume a role that trusts as `trust` says.
pub(super) fn allows(trust: &Json, caller: &str) -> bool {
    let statements = match &trust["Statement"] {
        Json::Array(statements) => statements.as_slice(),
        one @ Json::Object(_) => std::slice::from_ref(one),
        _ => return false,
    };
    let concerns = |statement: &&Json| {
        let action =
            texts(&statement["Action"]).iter().any(|it| matches!(*it, "*" | "sts:*" | "sts:AssumeRole"));
        let principal = &statement["Principal"];
        action && (*principal == "*" || texts(&principal["AWS"]).iter().any(|it| is(it, caller)))
    };
    let mut concerned = statements.iter().filter(concerns).peekable();
    concerned.peek().is_some() && concerned.all(|statement| statement["Effect"] == "Allow")
}

fn is(principal: &str, caller: &str) -> bool {
    let account = caller.split(':').nth(4).unwrap_or_default();
    let role = caller.split(":assumed-role/").nth(1).and_then(|rest| rest.split('/').next());
    principal == "*"
        || principal == caller
        || principal == account
        || principal == format!("arn:aws:iam::{account}:root")
        || role.is_some_and(|role| {
            principal.starts_with(&format!("arn:aws:iam::{account}:role/"))
                && principal.rsplit('/').next() == Some(role)
        })
}

fn texts(value: &Json) -> Vec<&str> {
    match value {
        Json::String(text) => vec![text],
        Json::Array(items) => items.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}
