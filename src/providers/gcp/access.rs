//! What a role, or a service account, is given in Google Cloud: roles on the organization, folders, projects and the like.
//!
//! Invariant: a binding goes to the role's own group unless `via: people` says otherwise; what Google would refuse by form is
//! reported here with its place. It must not know what exists.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;

use super::condition::{self, LONGEST_TITLE};
use super::group::MEMBER;
use super::names::{self, BILLING, FOLDER, GROUP, ORGANIZATION, PROJECT, ROLE, SERVICE_ACCOUNT};
use crate::model::decode::WRONG_VALUE;
use crate::model::lowering::LoweredResource;
use crate::model::{
    AccessLowering, Address, Attributes, Code, Finding, GrantKey, Lowering, Many, Name, Node, Spanned,
    Target, Through, Value, decode,
};

/// An access entry gives nothing, or nothing to give it on.
pub(super) const NO_TARGET: Code =
    Code { code: "RC541", title: "an access entry for Google Cloud names nothing to give" };
/// A basic role under a condition.
pub(super) const BASIC_ROLE: Code =
    Code { code: "RC542", title: "a basic role of Google's takes no condition" };
/// A condition that Google does not take.
pub(super) const BAD_CONDITION: Code = Code { code: "RC543", title: "a condition that Google does not take" };

/// The roles that take no condition. Checked November 2026:
/// https://cloud.google.com/iam/docs/conditions-overview#limitations
const BASIC: [&str; 3] = ["roles/owner", "roles/editor", "roles/viewer"];

/// Who gets a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Via {
    /// The role's own group.
    #[default]
    Group,
    /// Each of its people.
    People,
}

/// When a binding holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Condition {
    /// What it is called; part of what makes it another one.
    title: Spanned<String>,
    /// What it is for.
    description: Option<Spanned<String>>,
    /// What must be so, in Google's expression language.
    expression: Spanned<String>,
}

/// What is given in Google Cloud: roles on resources, or places in groups.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Access {
    /// On these projects, by id.
    #[serde(default)]
    projects: Many<Spanned<String>>,
    /// On these folders, by path, and so on all that is in them.
    #[serde(default)]
    folders: Many<Spanned<String>>,
    /// On the organization, and so on everything.
    organization: Option<Spanned<bool>>,
    /// On these billing accounts, by id.
    #[serde(default)]
    billing_accounts: Many<Spanned<String>>,
    /// On these service accounts, by e-mail address: for whoever may act as them.
    #[serde(default)]
    service_accounts: Many<Spanned<String>>,
    /// The role: `roles/logging.viewer`, or the name of a `gcp/CustomRole` of the organization.
    role: Option<Spanned<String>>,
    /// Several of them.
    #[serde(default)]
    roles: Many<Spanned<String>>,
    /// When it holds.
    condition: Option<Condition>,
    /// Whether Google, too, is told when it ends: in the condition, or in the place in the role's group.
    #[serde(default)]
    native_expiry: bool,
    /// Whether nobody else may have the role there; service agents of Google's excepted.
    #[serde(default)]
    exclusive: bool,
    /// Who gets it.
    #[serde(default)]
    via: Via,
    /// Groups of Google's that each of the people is put into, by e-mail address.
    #[serde(default)]
    groups: Many<Spanned<String>>,
}

/// What an entry comes to.
struct Given {
    /// Resource, relation, and the place that names the resource.
    bindings: Vec<(Address, Name, crate::model::Span)>,
    groups: Vec<(Address, crate::model::Span)>,
    condition: Option<Name>,
    native_expiry: bool,
    exclusive: bool,
    via: Via,
}

fn given(
    node: &Node,
    instance: &str,
    organization: Option<&str>,
    findings: &mut Vec<Finding>,
) -> Option<Given> {
    let access: Access = decode(node, findings)?;
    let mut resources = Vec::new();
    let named = |kind: &'static str, names: &Many<Spanned<String>>| -> Vec<_> {
        names.iter().map(|name| (Address::new(instance, None, kind, name), name.span.clone())).collect()
    };
    resources.extend(named(PROJECT, &access.projects));
    resources.extend(named(FOLDER, &access.folders));
    resources.extend(named(BILLING, &access.billing_accounts));
    if let (Some(whole), Some(id)) = (access.organization.as_ref().filter(|whole| whole.value), organization)
    {
        resources.push((Address::new(instance, None, ORGANIZATION, id), whole.span.clone()));
    }
    for email in access.service_accounts.iter() {
        match names::parts_of(email) {
            Some((name, project)) => {
                let address = Address::new(instance, Some(&project), SERVICE_ACCOUNT, &name);
                resources.push((address, email.span.clone()));
            }
            None => {
                let message = format!("`{}` is not a service account", email.value);
                let finding = Finding::error(WRONG_VALUE, message).at(&email.span);
                findings.push(finding.help("write `NAME@PROJECT.iam.gserviceaccount.com`"));
            }
        }
    }
    let groups = named(GROUP, &access.groups);
    let roles: Vec<&Spanned<String>> = access.role.iter().chain(access.roles.iter()).collect();
    let mut nothing = |why: &str, help: &str| {
        findings.push(Finding::error(NO_TARGET, why).at(&node.span).help(help));
    };
    if resources.is_empty() && groups.is_empty() {
        nothing(
            "this entry says nothing to give a role on",
            "name `projects`, `folders` or `organization: true`",
        );
    } else if roles.is_empty() && !resources.is_empty() {
        nothing("this entry gives no role", "add `role: roles/…`");
    } else if resources.is_empty() && !roles.is_empty() {
        nothing("this entry gives a role on nothing", "name `projects`, `folders` or `organization: true`");
    }
    for role in roles.iter().filter(|role| BASIC.contains(&role.value.as_str())) {
        if access.condition.is_some() || (access.native_expiry && access.via == Via::People) {
            let message = format!("`{}` takes no condition: Google refuses that", role.value);
            let finding = Finding::error(BASIC_ROLE, message).at(&role.span);
            findings.push(
                finding.help(
                    "give a predefined role such as `roles/logging.viewer`, or leave the condition out",
                ),
            );
        }
    }
    let condition = access.condition.as_ref().map(|condition| {
        let mut bad = |at: &Spanned<String>, message: &str, help: &str| {
            findings.push(Finding::error(BAD_CONDITION, message).at(&at.span).help(help));
        };
        if condition.title.is_empty() || condition.title.chars().count() > LONGEST_TITLE {
            bad(&condition.title, "a condition's title has 1 to 100 characters", "give it a short one");
        }
        if condition.expression.trim().is_empty() {
            bad(
                &condition.expression,
                "this condition says nothing",
                "leave it out, or write what must be so",
            );
        }
        let description = condition.description.as_ref().map(|text| text.value.as_str());
        condition::canonical(&condition.title, description, &condition.expression)
    });
    let bindings = resources.iter().flat_map(|(resource, span)| {
        roles.iter().map(|role| (resource.clone(), relation(instance, role).into(), span.clone()))
    });
    Some(Given {
        bindings: bindings.collect(),
        groups,
        condition,
        native_expiry: access.native_expiry,
        exclusive: access.exclusive,
        via: access.via,
    })
}

/// The relation of what YAML calls a role: Google's own have `roles/` before their name, and a bare one is the
/// organization's.
fn relation(instance: &str, role: &str) -> String {
    if role.contains(':') {
        return role.to_owned();
    }
    match role.split_once('/') {
        Some(_) => names::relation(instance, role),
        None => Address::new(instance, None, ROLE, role).to_string(),
    }
}

/// Lowers one entry of a role's `access:`.
pub(super) fn lower(node: &Node, lowering: &mut AccessLowering<'_>) {
    let organization = lowering.scope_name;
    let Some(given) = given(node, lowering.instance, organization, lowering.findings) else { return };
    let through = if given.via == Via::People { Through::People } else { Through::Group };
    let target = |resource: Address, relation: Name, through, span| Target {
        instance: lowering.instance.into(),
        resource,
        relation,
        through,
        attributes: Attributes::new(),
        condition: given.condition.clone(),
        native_expiry: given.native_expiry,
        exclusive: given.exclusive,
        span,
    };
    let mut targets = Vec::new();
    for (resource, relation, span) in given.bindings {
        targets.push(target(resource, relation, through, span));
    }
    for (group, span) in given.groups {
        let member = target(group, MEMBER.into(), Through::People, span);
        targets.push(Target { condition: None, exclusive: false, ..member });
    }
    lowering.targets.append(&mut targets);
}

/// Gives a declared principal what an entry says.
pub(super) fn grant(lowering: &mut Lowering<'_>, principal: &Address, node: &Node) {
    let findings = &mut lowering.out.findings;
    let Some(given) = given(node, lowering.instance, lowering.scope_name, findings) else { return };
    for (flag, set) in [("native_expiry", given.native_expiry), ("exclusive", given.exclusive)] {
        if set {
            let message = format!("`{flag}` is for what roles give");
            let finding = Finding::error(WRONG_VALUE, message).at(&node.span);
            findings.push(finding.help("leave it out here"));
        }
    }
    for (resource, relation, span) in given.bindings {
        let key =
            GrantKey { condition: given.condition.clone(), ..GrantKey::new(principal, &relation, &resource) };
        let origin = lowering.origin_at(&span);
        lowering.out.grants.push((key, Attributes::new(), origin));
    }
    for (group, span) in given.groups {
        lowering.grant(principal, MEMBER, &group, &span);
    }
}

/// Declares a resource whose scope its own document tells.
pub(super) fn declare<'v>(
    lowering: &mut Lowering<'_>,
    address: &Address,
    attributes: impl IntoIterator<Item = (&'v str, Option<Value>)>,
) {
    let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect();
    lowering.out.resources.push(LoweredResource {
        address: address.clone(),
        attributes,
        origin: lowering.origin.clone(),
        allow_empty: true,
    });
}

/// The JSON Schema of an entry.
pub(super) fn schema(generator: &mut SchemaGenerator) -> schemars::Schema {
    Access::json_schema(generator)
}
