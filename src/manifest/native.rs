//! Documents of the providers' kinds: their header keys, and the hand-over of the rest to the kind.
//!
//! Invariant: the kind sees a body without header keys. It must not know any provider.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::documents::NativeDocument;
use super::header::Header;
use super::shape::unknown;
use super::{EMPTY_ENTRY, UNKNOWN_INSTANCE};
use crate::model::decode::WRONG_VALUE;
use crate::model::{
    Declared, Finding, Many, Name, Node, NodeValue, Origin, Pattern, ProviderType, Settings, Spanned, decode,
};

/// The keys of a provider's document that are the same for all kinds, besides `kind` and `name`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NativeHeader {
    /// The provider's name in `rolecall.yaml`; may be left out where there is only one of its sort.
    provider: Option<Spanned<String>>,
    /// The account it stands in: a name or an id.
    account: Option<Spanned<String>>,
    /// The accounts it stands in: names, ids, or `ou:PATH`, with `!` for exceptions.
    accounts: Option<Many<Spanned<String>>>,
    /// What it was called before: it is renamed, and not made anew.
    renamed_from: Option<Spanned<String>>,
}

/// What the header keys are called.
const KEYS: [&str; 4] = ["provider", "account", "accounts", "renamed_from"];

/// A document together with what tells it from others of the same name: its instance and accounts.
pub(crate) struct Read {
    pub(crate) distinct: String,
    pub(crate) document: Option<NativeDocument>,
}

pub(crate) fn native(
    header: &Header,
    mut document: Node,
    provider: &ProviderType,
    declared: Declared,
    settings: Option<&Settings>,
    findings: &mut Vec<Finding>,
) -> Read {
    let taken = KEYS.iter().filter_map(|key| document.take(key)).collect();
    let head = Node { value: NodeValue::Map(taken), span: document.span.clone() };
    let head: Option<NativeHeader> = decode(&head, findings);
    let body = (declared.parse)(&document, findings);
    let Some(head) = head else { return Read { distinct: document.span.to_string(), document: None } };
    let accounts = accounts(&head, findings);
    let instance = settings.and_then(|settings| instance(header, &head, provider, settings, findings));
    let mut distinct: Vec<&str> = accounts.iter().map(|pattern| pattern.as_str()).collect();
    distinct.sort_unstable();
    let place = instance.as_deref().unwrap_or(provider.name);
    let distinct = format!("{place} {}", distinct.join(" "));
    let document = instance.zip(body).map(|(instance, body)| NativeDocument {
        kind: header.kind.as_str().into(),
        instance,
        name: header.name.clone(),
        accounts,
        renamed_from: head.renamed_from,
        body,
        origin: Arc::new(Origin {
            text: format!("{} {}", header.kind.value, header.name.value),
            span: document.span,
            chain: Vec::new(),
            role: None,
        }),
    });
    Read { distinct, document }
}

fn accounts(head: &NativeHeader, findings: &mut Vec<Finding>) -> Vec<Spanned<Pattern>> {
    let pattern =
        |text: &Spanned<String>| Spanned { value: Pattern::new(text.value.clone()), span: text.span.clone() };
    let listed = head.accounts.as_ref().map(|accounts| accounts.iter().map(pattern).collect::<Vec<_>>());
    if let (Some(one), Some(_)) = (&head.account, &head.accounts) {
        let finding =
            Finding::error(WRONG_VALUE, "`account` and `accounts` exclude each other").at(&one.span);
        findings.push(finding.help("keep one of them"));
    }
    let patterns = listed.unwrap_or_else(|| head.account.iter().map(pattern).collect());
    let empty = patterns.iter().find(|pattern| matches!(pattern.as_str(), "" | "!"));
    if let Some(pattern) = empty {
        findings.push(Finding::error(EMPTY_ENTRY, "an account has no empty name").at(&pattern.span));
    }
    if let Some(first) = patterns.first()
        && patterns.iter().all(|pattern| pattern.as_str().starts_with('!'))
    {
        let finding = Finding::error(EMPTY_ENTRY, "there are only exceptions here, which pick no account");
        findings.push(finding.at(&first.span).help("add what they are exceptions to, such as `ou:**`"));
    }
    patterns
}

/// The instance that is named, else the one called like its sort, else the only one of its sort.
fn instance(
    header: &Header,
    head: &NativeHeader,
    provider: &ProviderType,
    settings: &Settings,
    findings: &mut Vec<Finding>,
) -> Option<Name> {
    let mut of_sort = settings.providers.values().filter(|one| one.provider.as_ref() == provider.name);
    let known: Vec<&str> = of_sort.clone().map(|one| one.instance.as_ref()).collect();
    if let Some(named) = &head.provider {
        if known.contains(&named.as_str()) {
            return Some(named.as_str().into());
        }
        let message = format!("`{}` is not a provider of the sort `{}`", named.value, provider.name);
        findings.push(unknown(UNKNOWN_INSTANCE, message, named, known));
        return None;
    }
    match (known.len(), of_sort.next()) {
        (1, Some(only)) => Some(only.instance.clone()),
        (0, _) => {
            let message = format!("`rolecall.yaml` has no provider of the sort `{}`", provider.name);
            let finding = Finding::error(UNKNOWN_INSTANCE, message).at(&header.kind.span);
            findings.push(finding.help(format!("add `{}:` to its `providers:`", provider.name)));
            None
        }
        _ if known.contains(&provider.name) => Some(provider.name.into()),
        _ => {
            let message = format!("there are several providers of the sort `{}`", provider.name);
            let finding = Finding::error(UNKNOWN_INSTANCE, message).at(&header.kind.span);
            findings.push(finding.help(format!("add `provider:` with one of `{}`", known.join("`, `"))));
            None
        }
    }
}
