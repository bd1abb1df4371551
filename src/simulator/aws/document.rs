//! Checks policy documents as AWS does before it takes them.
//!
//! Invariant: what AWS refuses as malformed or too long is refused.

use serde_json::Value as Json;

use super::super::world::World;
use super::Problem;

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It says what its holder may do.
    Identity,
    /// It says who may assume a role.
    Trust,
}

/// Reads a document. Those of `most` signs without spaces are too long.
pub(super) fn read(text: &str, what: Use, most: usize, world: &World) -> Result<Json, Problem> {
    let malformed = |message: &str| Problem::new(400, "MalformedPolicyDocument", message);
    let mut document: Json =
        serde_json::from_str(text).map_err(|_| malformed("This policy contains invalid Json"))?;
    if text.chars().filter(|sign| !sign.is_whitespace()).count() > most {
        return Err(Problem::limit(format!("Cannot exceed quota for PolicySize: {most}")));
    }
    let syntax = || malformed("Syntax errors in policy.");
    let Some(policy) = document.as_object_mut() else { return Err(syntax()) };
    if policy.keys().any(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement")) {
        return Err(syntax());
    }
    if policy.get("Version").is_some_and(|version| *version != "2012-10-17" && *version != "2008-10-17") {
        return Err(malformed("Policy document must be version 2012-10-17 or greater."));
    }
    let statements = match policy.get_mut("Statement") {
        Some(Json::Array(statements)) if !statements.is_empty() => statements.as_mut_slice(),
        Some(one @ Json::Object(_)) => std::slice::from_mut(one),
        _ => return Err(syntax()),
    };
    let mut sids = std::collections::BTreeSet::new();
    for statement in statements {
        let Some(parts) = statement.as_object_mut() else { return Err(syntax()) };
        let one_of = |one: &str, other: &str| parts.contains_key(one) != parts.contains_key(other);
        const KEYS: [&str; 9] = [
            "Sid",
            "Effect",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
            "Principal",
            "NotPrincipal",
        ];
        if parts.keys().any(|key| !KEYS.contains(&key.as_str())) {
            return Err(syntax());
        }
        if parts.get("Effect").is_none_or(|effect| *effect != "Allow" && *effect != "Deny")
            || !one_of("Action", "NotAction")
        {
            return Err(syntax());
        }
        let principal = parts.contains_key("Principal") || parts.contains_key("NotPrincipal");
        let resource = parts.contains_key("Resource") || parts.contains_key("NotResource");
        match what {
            Use::Identity if principal => {
                return Err(malformed("Policy document should not specify a principal."));
            }
            Use::Identity if !one_of("Resource", "NotResource") => {
                return Err(malformed("Policy statement must contain resources."));
            }
            Use::Trust if resource => return Err(malformed("Has prohibited field Resource")),
            Use::Trust if !principal => return Err(malformed("Missing required field Principal")),
            _ => {}
        }
        if let Some(sid) = parts.get("Sid").and_then(Json::as_str) {
            let plain = what == Use::Trust || sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !plain || !sids.insert(sid.to_owned()) {
                return Err(malformed(
                    "Statement IDs (SID) in a single policy must be unique and alphanumeric.",
                ));
            }
        }
        if let Some(principals) = parts.get_mut("Principal").and_then(|principal| principal.get_mut("AWS")) {
            settle_principals(principals, world)?;
        }
    }
    Ok(document)
}

/// Writes account ids as their root ARNs, as AWS does, and refuses principals that do not exist.
fn settle_principals(principals: &mut Json, world: &World) -> Result<(), Problem> {
    match principals {
        Json::Array(items) => items.iter_mut().try_for_each(|item| settle_principals(item, world)),
        Json::String(text) if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            *text = format!("arn:aws:iam::{text}:root");
            Ok(())
        }
        Json::String(text) => {
            let account = text.split(':').nth(4).and_then(|id| world.aws.accounts.get(id));
            let (kind, name) =
                text.split(':').nth(5).and_then(|rest| rest.split_once('/')).unwrap_or_default();
            let name = name.rsplit('/').next().unwrap_or_default();
            let there = account.is_none_or(|account| match kind {
                "user" => account.users.contains_key(name),
                "role" => account.roles.contains_key(name),
                _ => true,
            });
            if there {
                return Ok(());
            }
            let message = format!("Invalid principal in policy: \"AWS\":\"{text}\"");
            Err(Problem::new(400, "MalformedPolicyDocument", message))
        }
        _ => Err(Problem::new(400, "MalformedPolicyDocument", "Syntax errors in policy.")),
    }
}
