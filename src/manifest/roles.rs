//! `Role`, `Unit` and `Grant` documents.
//!
//! Invariant: an entry keeps its conditions in the order of the file; one that says nothing is an error, never
//! "everyone". Whether what is named exists is `references`' to say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use super::documents::{AccessEntry, Approver, Condition, GrantFile, GrantNeed, OnRequest, Role, RoleEntry};
use super::header::Header;
use super::people::review;
use super::shape::{check_name, is_name};
use super::{BAD_NAME, EMPTY_ENTRY, ENDS_FIRST, NOT_A_UNIT, ON_REQUEST, time};
use crate::model::decode::WRONG_VALUE;
use crate::model::{Entry, Finding, Many, Node, NodeValue, Sensitivity, Spanned, decode};

/// The keys of entries that are not attributes of the directory.
pub(crate) const ENTRY_KEYS: [&str; 8] =
    ["handle", "type", "manager", "reports_to", "role", "from", "until", "reason"];

/// A role: who has it, and what it gives. A `Unit` is one whose members are roles alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleBody {
    /// Everyone has exactly one of the roles with `job: true`.
    #[serde(default)]
    job: bool,
    /// In words, for people.
    description: Option<String>,
    /// Who approves changes: handles and `@group/paths`.
    #[serde(default)]
    owners: Vec<Spanned<String>>,
    /// How much harm its access can do.
    #[serde(default)]
    sensitivity: Sensitivity,
    /// How often it is reviewed, such as `90d`.
    review: Option<Spanned<String>>,
    /// Who has it: any of these.
    #[serde(default)]
    #[schemars(with = "Vec<EntryBody>")]
    members: Vec<Node>,
    /// Who does not have it, whatever `members` says: any of these.
    #[serde(default)]
    #[schemars(with = "Vec<EntryBody>")]
    except: Vec<Node>,
    /// It is given on request alone, by a `Grant`: its terms.
    on_request: Option<Spanned<OnRequestBody>>,
    /// Whether its group may become empty.
    #[serde(default)]
    allow_empty: bool,
    /// What it gives: entries of one key, the provider.
    #[serde(default)]
    #[schemars(with = "Vec<AccessBody>")]
    access: Vec<Node>,
}

/// On which terms a role is given to who asks for it. No rule gives it, and nobody need have it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnRequestBody {
    /// The longest that it lasts, such as `8h`: from the grant's `from`, or else from the first apply.
    max: Option<Spanned<String>>,
    /// Who must approve, besides whoever owns the role.
    #[serde(default)]
    approve: Vec<Approver>,
    /// What a grant of it must say.
    #[serde(default)]
    needs: Vec<GrantNeed>,
}

/// One entry: all of its keys must be true, and any of the values of each. Other keys are attributes of the directory.
#[derive(JsonSchema)]
#[schemars(rename = "Entry")]
#[expect(dead_code, reason = "the JSON Schema of what `entry` reads key by key")]
struct EntryBody {
    /// These very people.
    handle: Option<Many<String>>,
    /// People of these types.
    r#type: Option<Many<String>>,
    /// People whose manager is one of these.
    manager: Option<Many<String>>,
    /// People below one of these, at any depth.
    reports_to: Option<Many<String>>,
    /// Those who have one of these roles.
    role: Option<Many<String>>,
    /// From when: a date or a time with its offset.
    from: Option<String>,
    /// Until when: a date (that whole day) or a time with its offset.
    until: Option<String>,
    /// Why.
    reason: Option<String>,
    #[serde(flatten)]
    attributes: BTreeMap<String, Many<String>>,
}

/// What a role gives in one provider. The key is the provider's name in `rolecall.yaml`.
pub(crate) struct AccessBody;

impl JsonSchema for AccessBody {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Access".into()
    }

    /// Open here; [`super::json_schema`] fills in what each provider takes.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "minProperties": 1, "maxProperties": 1 })
    }
}

pub(crate) fn role(
    header: Header,
    document: &Node,
    zone: &TimeZone,
    findings: &mut Vec<Finding>,
) -> Option<Role> {
    let unit = header.kind.value == "Unit";
    check_name(if unit { "a unit" } else { "a role" }, &header.name, findings);
    let body: RoleBody = decode(document, findings)?;
    for owner in &body.owners {
        if !is_name(owner.strip_prefix('@').map_or(owner.as_str(), |_| "group")) {
            let message = format!("`{}` cannot be an owner", owner.value);
            let finding = Finding::error(BAD_NAME, message).at(&owner.span);
            findings.push(finding.help("write a handle, or `@group/path`"));
        }
    }
    let members: Vec<RoleEntry> =
        body.members.iter().filter_map(|node| entry(node, zone, findings)).collect();
    if unit {
        let no_role =
            |member: &&RoleEntry| !member.conditions.iter().all(|c| matches!(c, Condition::Role(_)));
        for member in members.iter().filter(no_role) {
            let finding =
                Finding::error(NOT_A_UNIT, "the members of a unit are roles alone").at(&member.span);
            findings.push(finding.help("write `role: NAME`, or make this a `kind: Role`"));
        }
    }
    let on_request = body.on_request.map(|asked| {
        for member in &members {
            let message = format!("`{}` is given on request, so no entry gives it", *header.name);
            let finding = Finding::error(ON_REQUEST, message).at(&member.span);
            findings.push(finding.help("write a `kind: Grant` instead, or take `on_request` out"));
        }
        if unit || body.job {
            let what = if unit { "a unit" } else { "a job" };
            let finding = Finding::error(ON_REQUEST, format!("{what} cannot be given on request"));
            findings.push(finding.at(&asked.span).help("take `on_request` out"));
        }
        let OnRequestBody { max, approve, needs } = asked.value;
        OnRequest { max: max.and_then(|text| time::duration(&text, findings)), approve, needs }
    });
    Some(Role {
        name: header.name,
        unit,
        job: body.job,
        description: body.description,
        owners: body.owners,
        sensitivity: body.sensitivity,
        review: review(body.review, findings),
        members,
        except: body.except.iter().filter_map(|node| entry(node, zone, findings)).collect(),
        allow_empty: body.allow_empty || on_request.is_some(),
        on_request,
        access: body.access.into_iter().filter_map(|node| access(node, findings)).collect(),
        span: document.span.clone(),
    })
}

fn entry(node: &Node, zone: &TimeZone, findings: &mut Vec<Finding>) -> Option<RoleEntry> {
    let NodeValue::Map(entries) = &node.value else {
        let message = format!("this entry is {}, but must be a mapping", node.what());
        let finding = Finding::error(WRONG_VALUE, message).at(&node.span);
        findings.push(finding.help("write such as `{ handle: dmurphy }`"));
        return None;
    };
    let before = findings.len();
    let (mut from, mut until, mut reason) = (None, None, None);
    let mut conditions = Vec::new();
    for Entry { key, value } in entries {
        match key.as_str() {
            "from" => from = instant(value, zone, time::start, findings),
            "until" => until = instant(value, zone, time::end, findings),
            "reason" => reason = decode::<String>(value, findings),
            word => {
                let Some(values) = values(key, value, findings) else { continue };
                conditions.push(match word {
                    "handle" => Condition::Handle(values),
                    "type" => Condition::Type(values),
                    "manager" => Condition::Manager(values),
                    "reports_to" => Condition::ReportsTo(values),
                    "role" => Condition::Role(values),
                    _ => Condition::Attribute { name: key.clone(), values },
                });
            }
        }
    }
    check_order(from.as_ref(), until.as_ref(), findings);
    if findings.len() > before {
        return None;
    }
    if conditions.is_empty() {
        let finding = Finding::error(EMPTY_ENTRY, "this entry does not say who").at(&node.span);
        findings.push(finding.help("give it a key such as `handle`, `role`, `type`, or an attribute"));
        return None;
    }
    Some(RoleEntry { conditions, from, until, reason, span: node.span.clone() })
}

/// The values of a condition: texts, at least one, none empty.
fn values(key: &Spanned<String>, value: &Node, findings: &mut Vec<Finding>) -> Option<Vec<Spanned<String>>> {
    let values = decode::<Many<Spanned<String>>>(value, findings)?.0;
    let empty = if values.is_empty() { Some(&value.span) } else { None };
    let empty = empty.or_else(|| values.iter().find(|value| value.is_empty()).map(|value| &value.span));
    if let Some(span) = empty {
        let finding = Finding::error(EMPTY_ENTRY, format!("`{}` has no value", key.value)).at(span);
        findings.push(finding.help("give it one, or take the key out"));
        return None;
    }
    Some(values)
}

type ReadTime = fn(&Spanned<String>, &TimeZone, &mut Vec<Finding>) -> Option<Spanned<Timestamp>>;

fn instant(
    node: &Node,
    zone: &TimeZone,
    read: ReadTime,
    findings: &mut Vec<Finding>,
) -> Option<Spanned<Timestamp>> {
    let text: Spanned<String> = decode(node, findings)?;
    read(&text, zone, findings)
}

fn check_order(
    from: Option<&Spanned<Timestamp>>,
    until: Option<&Spanned<Timestamp>>,
    findings: &mut Vec<Finding>,
) {
    if let (Some(from), Some(until)) = (from, until)
        && until.value <= from.value
    {
        let message = format!("this ends at {}, but begins at {}", until.value, from.value);
        findings.push(Finding::error(ENDS_FIRST, message).at(&until.span).help("mend `from` or `until`"));
    }
}

fn access(node: Node, findings: &mut Vec<Finding>) -> Option<AccessEntry> {
    if let NodeValue::Map(entries) = node.value
        && entries.len() == 1
    {
        let mut entries = entries;
        return entries.pop().map(|Entry { key, value }| AccessEntry { instance: key, body: value });
    }
    let finding = Finding::error(WRONG_VALUE, "an access entry is a mapping with one key, the provider");
    findings.push(finding.at(&node.span).help("write such as `- okta: { groups: [app.x] }`"));
    None
}

/// One request: roles for some people, for some time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantBody {
    /// Who: handles.
    to: Many<Spanned<String>>,
    /// Which roles.
    roles: Many<Spanned<String>>,
    /// From when: a date or a time with its offset.
    from: Option<Spanned<String>>,
    /// Until when: a date (that whole day) or a time with its offset.
    until: Option<Spanned<String>>,
    /// Why.
    reason: Option<String>,
    /// The ticket.
    ticket: Option<String>,
}

pub(crate) fn grant(
    header: Header,
    document: &Node,
    zone: &TimeZone,
    findings: &mut Vec<Finding>,
) -> Option<GrantFile> {
    check_name("a grant", &header.name, findings);
    let body: GrantBody = decode(document, findings)?;
    for (key, list) in [("to", &body.to), ("roles", &body.roles)] {
        if list.is_empty() || list.iter().any(|text| text.is_empty()) {
            let span = document.get(key).map_or(&document.span, |node| &node.span);
            let finding = Finding::error(EMPTY_ENTRY, format!("`{key}` has no value")).at(span);
            findings.push(finding.help("name at least one, or delete this document"));
        }
    }
    let from = body.from.and_then(|text| time::start(&text, zone, findings));
    let until = body.until.and_then(|text| time::end(&text, zone, findings));
    check_order(from.as_ref(), until.as_ref(), findings);
    Some(GrantFile {
        name: header.name,
        to: body.to.0,
        roles: body.roles.0,
        from,
        until,
        reason: body.reason,
        ticket: body.ticket,
        span: document.span.clone(),
    })
}
