//! `own:`: what may be touched, from YAML to rules.
//!
//! Invariant: a selector that this build does not understand is an error, never a wider rule.
//! It must not know which accounts exist.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::EMPTY_ENTRY;
use super::shape::unknown;
use crate::model::decode::{UNKNOWN_KEY, WRONG_VALUE};
use crate::model::{
    Entry, Finding, Many, May, Name, Node, NodeValue, OwnRule, Pattern, ProviderType, Spanned, decode,
};

/// What may be touched: the first entry that matches decides. Besides these keys there is one for each kind, in the
/// plural, with patterns of names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Own")]
pub(crate) struct OwnBody {
    /// How far rolecall may go: `look`, `add` (grants, never removals), `members` (the grants on it), `all`.
    may: May,
    /// Only in these accounts: names, ids or `ou:PATH`, with `!` for exceptions.
    accounts: Option<Many<Spanned<String>>>,
    /// Of Google: only in these folders, by their paths, and in what lies below; with `!` for exceptions.
    folder: Option<Many<Spanned<String>>>,
    /// Of Google: about what these principals are bound to, whatever it is; as policies name them, such as `group:rbac-*`.
    principals: Option<Many<Spanned<String>>>,
}

/// The keys that are no kinds.
const KEYS: [&str; 4] = ["may", "accounts", "folder", "principals"];

pub(crate) fn rules(node: &Node, provider: &ProviderType, findings: &mut Vec<Finding>) -> Vec<OwnRule> {
    let NodeValue::List(items) = &node.value else {
        let message = format!("`own` is {}, but must be a list", node.what());
        let finding = Finding::error(WRONG_VALUE, message).at(&node.span);
        findings.push(finding.help("write such as `[{ groups: \"rbac_*\", may: all }]`"));
        return Vec::new();
    };
    items.iter().filter_map(|item| rule(item, provider, findings)).collect()
}

fn rule(item: &Node, provider: &ProviderType, findings: &mut Vec<Finding>) -> Option<OwnRule> {
    let (own, selectors): (Vec<&Entry>, Vec<&Entry>) =
        item.entries().iter().partition(|entry| KEYS.contains(&entry.key.as_str()));
    let value = match &item.value {
        NodeValue::Map(_) => NodeValue::Map(own.into_iter().cloned().collect()),
        other => other.clone(),
    };
    let body: Option<OwnBody> = decode(&Node { value, span: item.span.clone() }, findings);
    let plurals: Vec<&str> = provider.kinds.iter().map(|kind| kind.schema.plural.as_ref()).collect();
    let mut kinds: BTreeMap<Name, Vec<Pattern>> = BTreeMap::new();
    let says_nothing = selectors.is_empty() && KEYS[1..].iter().all(|key| item.get(key).is_none());
    for Entry { key, value } in selectors {
        if !plurals.contains(&key.as_str()) {
            let message = format!("`{}` has nothing called `{}`", provider.name, key.value);
            findings.push(unknown(UNKNOWN_KEY, message, key, plurals.iter().copied().chain(["accounts"])));
            continue;
        }
        if let Some(names) = decode::<Many<Spanned<String>>>(value, findings) {
            kinds.insert(key.as_str().into(), patterns(&names, value, findings));
        }
    }
    let body = body?;
    let mut picked = |key: &str, names: Option<Many<Spanned<String>>>| {
        names.map_or_else(Vec::new, |names| patterns(&names, item.get(key).unwrap_or(item), findings))
    };
    let accounts = picked("accounts", body.accounts);
    let (folders, principals) = (picked("folder", body.folder), picked("principals", body.principals));
    for key in ["folder", "principals"] {
        if let Some(node) = item.get(key).filter(|_| provider.places.is_none()) {
            let message = format!("`{}` knows no `{key}` here", provider.name);
            let finding = Finding::error(UNKNOWN_KEY, message).at(&node.span);
            findings.push(finding.help(format!("name one of `{}`, or `accounts`", plurals.join("`, `"))));
            return None;
        }
    }
    let about_things = !kinds.is_empty() || !accounts.is_empty() || !folders.is_empty();
    if !principals.is_empty() && about_things {
        let finding = Finding::error(WRONG_VALUE, "`principals` stands alone: it is about no thing");
        findings.push(finding.at(&item.span).help("make two entries of it"));
        return None;
    }
    if says_nothing {
        let finding = Finding::error(EMPTY_ENTRY, "this entry does not say what it is about").at(&item.span);
        findings.push(finding.help(format!("name one of `{}`, or `accounts`", plurals.join("`, `"))));
    }
    // A rule that lost its selectors to a mistake would match everything.
    if kinds.is_empty() && accounts.is_empty() && folders.is_empty() && principals.is_empty() {
        return None;
    }
    Some(OwnRule { kinds, accounts, folders, principals, may: body.may, span: item.span.clone() })
}

fn patterns(names: &[Spanned<String>], node: &Node, findings: &mut Vec<Finding>) -> Vec<Pattern> {
    if names.iter().all(|name| name.starts_with('!')) {
        let finding = Finding::error(EMPTY_ENTRY, "nothing is picked by this").at(&node.span);
        findings.push(finding.help("give at least one pattern that is no exception; `\"*\"` is everything"));
    }
    for name in names.iter().filter(|name| matches!(name.as_str(), "" | "!")) {
        findings.push(Finding::error(EMPTY_ENTRY, "a pattern is empty").at(&name.span));
    }
    names.iter().map(|name| Pattern::new(name.value.clone())).collect()
}
