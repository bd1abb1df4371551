//! What a role's `access:` entry asks of Okta.
//!
//! Invariant: what is not supported is an error, never left out in silence.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;

use super::group;
use crate::model::{AccessLowering, Code, Finding, Many, Node, Spanned, Through, decode};

/// An access entry asks for what Okta has and rolecall cannot give yet.
pub(super) const NOT_SUPPORTED: Code =
    Code { code: "RC512", title: "an access entry asks for what is not supported yet" };
/// An access entry names nothing.
pub(super) const NO_TARGET: Code = Code { code: "RC513", title: "an access entry names nothing to give" };

/// What a role gives in Okta.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Access {
    /// Groups that each member of the role becomes a member of.
    #[serde(default)]
    groups: Many<Spanned<String>>,
    #[schemars(skip)]
    app: Option<Node>,
    #[schemars(skip)]
    profile: Option<Node>,
    #[schemars(skip)]
    priority: Option<Node>,
}

/// Lowers one entry.
pub(super) fn lower(node: &Node, lowering: &mut AccessLowering<'_>) {
    let Some(access) = decode::<Access>(node, lowering.findings) else { return };
    let apps = [("app", access.app), ("profile", access.profile), ("priority", access.priority)];
    let mut refused = false;
    for (key, value) in apps {
        let Some(value) = value else { continue };
        refused = true;
        let message = format!("`{key}`: assigning Okta apps is not supported yet");
        let finding = Finding::error(NOT_SUPPORTED, message).at(&value.span);
        lowering
            .findings
            .push(finding.help("assign the app to a group in Okta, and name that group in `groups`"));
    }
    if access.groups.is_empty() && !refused {
        let finding = Finding::error(NO_TARGET, "this entry names no group").at(&node.span);
        lowering.findings.push(finding.help("write `okta: { groups: [NAME] }`"));
    }
    for name in &*access.groups {
        // Groups of Okta do not nest, so each person gets the edge.
        lowering.target(group::KIND, group::MEMBER, Through::People, name);
    }
}

/// The JSON Schema of an entry.
pub(super) fn schema(generator: &mut SchemaGenerator) -> schemars::Schema {
    Access::json_schema(generator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::okta::tests::node;

    fn lowered(entries: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let (mut targets, mut findings) = (Vec::new(), Vec::new());
        let mut lowering = AccessLowering {
            instance: "okta",
            scope: None,
            scope_name: None,
            targets: &mut targets,
            findings: &mut findings,
        };
        lower(&node(entries), &mut lowering);
        let targets = targets
            .iter()
            .map(|target| format!("{} {:?} {}", target.relation, target.through, target.resource));
        (targets.collect(), findings.iter().map(|finding| finding.code.to_string()).collect())
    }

    #[test]
    fn groups_are_given_person_by_person() {
        let (targets, findings) = lowered(&[("groups", "app.gitlab developer")]);
        assert_eq!(
            (targets, findings),
            (vec!["member People okta:group/app.gitlab%20developer".to_owned()], vec![])
        );
    }

    #[test]
    fn apps_are_refused_clearly() {
        assert_eq!(
            lowered(&[("app", "datadog"), ("priority", "x")]),
            (vec![], vec!["RC512".into(), "RC512".into()])
        );
        assert_eq!(lowered(&[]), (vec![], vec!["RC513".into()]));
        assert_eq!(lowered(&[("group", "x")]).1, ["RC110", "RC513"]);
    }
}
