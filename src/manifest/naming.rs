//! What people and roles' groups are called in each provider: `identities:` and `groups:`, and their templates.
//!
//! Invariant: a template cites only what will be there to fill it in.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::known_instance;
use super::settings_body::{GroupNamesBody, GroupsBody, IdentityBody};
use super::shape::{Pairs, Part, unknown};
use super::{EMPTY_ENTRY, UNKNOWN_TYPE};
use crate::model::decode::WRONG_VALUE;
use crate::model::settings::{GroupNames, Identity, PersonType, ProviderSettings};
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
                    findings.push(finding.at(&key.span).meant(near));
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
    groups: &Pairs<Part<GroupsBody>>,
    types: &[PersonType],
    providers: &BTreeMap<Name, ProviderSettings>,
    registry: &Registry,
    findings: &mut Vec<Finding>,
) -> BTreeMap<Name, GroupNames> {
    let instances: BTreeSet<Name> = providers.keys().cloned().collect();
    let mut read = BTreeMap::new();
    for (name, Part { node, .. }) in &groups.0 {
        known_instance(name, name, &instances, findings);
        let names = if node.as_text().is_some() {
            let Some(template) = decode::<Spanned<String>>(node, findings) else { continue };
            if !template.contains('{') {
                let others = groups.0.iter().map(|(other, _)| other.value.as_str());
                if !others.filter(|other| *other != name.value).any(|other| other == template.value) {
                    let message =
                        format!("`{}` is neither a template nor a provider of `groups:`", template.value);
                    let finding = Finding::error(WRONG_VALUE, message).at(&template.span);
                    findings.push(finding.help("write such as `rbac_role_{role}`"));
                }
                // Their groups are pushed there, so that there is nothing to make here.
                read.insert(name.as_str().into(), GroupNames::default());
                continue;
            }
            GroupNames { role: Some(template.clone()), unit: Some(template), kind: None }
        } else {
            let Some(body) = decode::<GroupNamesBody>(node, findings) else { continue };
            GroupNames { role: body.role, unit: body.unit, kind: body.kind }
        };
        let of_all = names.role == names.unit;
        check_group(names.role.as_ref(), "roles", &["role", "color"], types, findings);
        if !of_all {
            check_group(names.unit.as_ref(), "units", &["unit", "role"], types, findings);
        }
        check_group(names.kind.as_ref(), "types", &["type", "color"], types, findings);
        let sort = providers.get(name.as_str()).and_then(|one| registry.provider(&one.provider));
        if sort.is_some_and(|sort| sort.role_group.is_none()) {
            let message = format!("`{}` keeps no groups for roles", name.value);
            let finding = Finding::error(WRONG_VALUE, message).at(&node.span);
            findings.push(finding.help("take this line out, or name the provider whose groups it gets"));
        }
        read.insert(name.as_str().into(), names);
    }
    read
}

/// Checks the template of a group: it must tell one thing from another, and cite what is there.
fn check_group(
    template: Option<&Spanned<String>>,
    what: &str,
    keys: &[&str],
    types: &[PersonType],
    findings: &mut Vec<Finding>,
) {
    let Some(template) = template else { return };
    check_template(template, Some(keys), findings);
    let cites = |key: &str| template.contains(&format!("{{{key}}}"));
    let told_apart = match what {
        "roles" => cites("role"),
        _ => keys.iter().any(|key| cites(key)),
    };
    if !told_apart {
        let message = format!("all {what} would have the same group");
        let finding = Finding::error(WRONG_VALUE, message).at(&template.span);
        findings.push(finding.help(format!("put `{{{}}}` into it", keys.first().unwrap_or(&"role"))));
    }
    let own = types.iter().filter(|kind| what == "types" || kind.role_groups);
    let mut seen = BTreeSet::new();
    let again = own.filter_map(|kind| kind.color.as_deref()).find(|color| !seen.insert(*color));
    if let Some(color) = again.filter(|_| cites("color") && !cites("type")) {
        let message = format!("two types have the color `{color}`, so two groups would have one name");
        let finding = Finding::error(WRONG_VALUE, message).at(&template.span);
        findings.push(finding.help("give each type a color of its own"));
    }
    if cites("color") && types.iter().all(|kind| kind.color.is_none()) {
        let finding = Finding::error(WRONG_VALUE, "no type of people has a `color`").at(&template.span);
        findings.push(finding.help("give types a `color` under `types:`, or take `{color}` out"));
    }
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
