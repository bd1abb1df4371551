//! What people and roles' groups are called in each provider: `identities:` and `groups:`, and their templates.
//!
//! Invariant: a template cites only what will be there to fill it in.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::known_instance;
use super::settings_body::IdentityBody;
use super::shape::{Pairs, Part, unknown};
use super::{EMPTY_ENTRY, UNKNOWN_TYPE};
use crate::model::decode::WRONG_VALUE;
use crate::model::settings::{Identity, PersonType, ProviderSettings};
use crate::model::{Directory, Finding, Name, Registry, Spanned, decode, nearest};

pub(crate) fn identities(
    identities: &Pairs<Part<IdentityBody>>,
    directory: Option<&Directory>,
    types: &[PersonType],
    instances: &BTreeSet<Name>,
    findings: &mut Vec<Finding>,
) -> BTreeMap<Name, Identity> {
    let mut known = vec!["handle", "email"];
    let open = match directory {
        Some(Directory::Provider { attributes, .. }) => {
            known.extend(attributes.keys().map(AsRef::as_ref));
            false
        }
        // There every attribute that a `User` has can be cited.
        Some(Directory::Manifests) | None => true,
    };
    let mut read = BTreeMap::new();
    for (name, Part { node, .. }) in &identities.0 {
        if name.value != "gitlab" {
            known_instance(name, name, instances, findings);
        }
        let mut identity = Identity::default();
        if node.as_text().is_some() {
            identity.template = decode(node, findings);
        } else if let Some(per) = decode::<Pairs<Spanned<String>>>(node, findings) {
            for (key, template) in per.0 {
                // A key may also be a kind of principal, which only its provider knows: refuse what is nearly a type.
                let names = || types.iter().map(|one| one.name.as_ref());
                if let Some(near) = nearest(&key, names()).filter(|near| *near != key.as_str()) {
                    let finding = Finding::error(UNKNOWN_TYPE, format!("there is no type `{}`", key.value));
                    findings.push(finding.at(&key.span).help(format!("did you mean `{near}`?")));
                }
                identity.per.insert(key.value.into(), template);
            }
        }
        for template in identity.template.iter().chain(identity.per.values()) {
            check_template(template, if open { None } else { Some(&known) }, findings);
        }
        read.insert(name.as_str().into(), identity);
    }
    read
}

pub(crate) fn groups(
    groups: Pairs<Spanned<String>>,
    providers: &BTreeMap<Name, ProviderSettings>,
    registry: &Registry,
    findings: &mut Vec<Finding>,
) -> BTreeMap<Name, Spanned<String>> {
    let instances: BTreeSet<Name> = providers.keys().cloned().collect();
    for (name, template) in &groups.0 {
        known_instance(name, name, &instances, findings);
        if !template.contains('{') {
            if !groups.0.iter().any(|(other, _)| other.value == template.value && other.value != name.value) {
                let message =
                    format!("`{}` is neither a template nor a provider of `groups:`", template.value);
                let finding = Finding::error(WRONG_VALUE, message).at(&template.span);
                findings.push(finding.help("write such as `rbac_role_{role}`"));
            }
            continue;
        }
        check_template(template, Some(&["role", "color"]), findings);
        if !template.contains("{role}") {
            let finding =
                Finding::error(WRONG_VALUE, "all roles would have the same group").at(&template.span);
            findings.push(finding.help("put `{role}` into it"));
        }
        let sort = providers.get(name.as_str()).and_then(|one| registry.provider(&one.provider));
        if sort.is_some_and(|sort| sort.role_group.is_none()) {
            let message = format!("`{}` keeps no groups for roles", name.value);
            let finding = Finding::error(WRONG_VALUE, message).at(&template.span);
            findings.push(finding.help("take this line out, or name the provider whose groups it gets"));
        }
    }
    groups.0.into_iter().map(|(name, template)| (name.value.into(), template)).collect()
}

/// Checks the braces of a template; `known` is what may stand in them, where that is known.
fn check_template(template: &Spanned<String>, known: Option<&[&str]>, findings: &mut Vec<Finding>) {
    let mut rest = template.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((inside, next)) = after.split_once('}').filter(|_| !before.contains('}')) else {
            rest = "}";
            break;
        };
        if let Some(known) = known
            && !known.contains(&inside)
        {
            let message = format!("`{{{inside}}}` stands for nothing");
            let word = Spanned { value: inside.to_owned(), span: template.span.clone() };
            findings.push(unknown(WRONG_VALUE, message, &word, known.iter().copied()));
        }
        rest = next;
    }
    if rest.contains('}') {
        let finding = Finding::error(WRONG_VALUE, "the braces of this template do not match");
        findings.push(finding.at(&template.span).help("write such as `{email}`"));
    }
    if template.trim().is_empty() {
        findings.push(Finding::error(EMPTY_ENTRY, "this template is empty").at(&template.span));
    }
}
