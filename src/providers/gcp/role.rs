//! Custom roles of the organization and of projects.
//!
//! Invariant: a role that was deleted a few days ago is had back and then made what was approved, since its id is free for
//! nobody else; one whose id is still blocked says so. It must not touch the roles that Google predefines.

use std::collections::BTreeSet;

use async_trait::async_trait;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::client::{Service, encoded};
use super::folder::BAD_NAME;
use super::names::{self, ROLE};
use super::writer::{self, Session};
use super::{Gcp, GcpKind, access};
use crate::model::{
    Address, Attribute, Attributes, Change, Coverage, Finding, Flags, Kind, Lowering, Many, Native, Op,
    Resource, Schema, Snapshot, Spanned, Value,
};
use crate::provider::{Effect, Error, ErrorKind, Outcome};

/// The kind itself.
pub(super) struct Roles;

/// How far a role is from being ready; Google shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Alpha,
    Beta,
    Ga,
    Deprecated,
    Disabled,
    Eap,
}

/// `kind: gcp/CustomRole`. Its name is its id.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoleManifest {
    /// The id of the project that it is of; of the organization, where it is omitted.
    project: Option<Spanned<String>>,
    /// What people call it.
    title: Option<Spanned<String>>,
    /// What it is for.
    description: Option<Spanned<String>>,
    /// What it allows, such as `logging.logEntries.list`.
    permissions: Many<Spanned<String>>,
    /// How far it is: `ga` unless given.
    stage: Option<Stage>,
}

impl Native for RoleManifest {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let name = lowering.name;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        if !(3..=64).contains(&name.len()) || !name.bytes().all(fits) {
            let message = format!("`{}` is not the id of a role", name.value);
            let finding = Finding::error(BAD_NAME, message).at(&name.span);
            lowering.out.findings.push(finding.help("an id has 3 to 64 letters, digits, `_` and `.`"));
        }
        for permission in self.permissions.iter().filter(|permission| permission.split('.').count() != 3) {
            let message = format!("`{}` is not a permission", permission.value);
            let finding = Finding::error(BAD_NAME, message).at(&permission.span);
            lowering
                .out
                .findings
                .push(finding.help("write `SERVICE.RESOURCE.VERB`; wildcards are none of Google's"));
        }
        let permissions: BTreeSet<&str> = self.permissions.iter().map(|it| it.value.as_str()).collect();
        let text =
            |text: &Option<Spanned<String>>| text.as_ref().map(|text| Value::text(text.value.as_str()));
        let project = self.project.as_ref().map(|project| project.value.as_str());
        let address = Address::new(lowering.instance, project, ROLE, name);
        let stage = self.stage.map(|stage| format!("{stage:?}").to_lowercase().into());
        let attributes = [
            ("title", text(&self.title)),
            ("description", text(&self.description)),
            ("permissions", Some(Value::List(permissions.into_iter().map(Value::from).collect()))),
            ("stage", stage),
        ];
        access::declare(lowering, &address, attributes);
    }
}

/// A role as Google writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Role {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    included_permissions: BTreeSet<String>,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    pub(super) deleted: bool,
}

impl Role {
    pub(super) fn address(&self, instance: &str) -> Option<Address> {
        names::relation(instance, &self.name).parse().ok().filter(|address: &Address| address.kind() == ROLE)
    }

    fn attributes(&self) -> Attributes {
        let permissions = self.included_permissions.iter().map(|it| Value::from(it.as_str())).collect();
        let stage = if self.stage.is_empty() { "alpha".to_owned() } else { self.stage.to_lowercase() };
        let attributes = [
            ("title", self.title.as_str().into()),
            ("description", self.description.as_str().into()),
            ("permissions", Value::List(permissions)),
            ("stage", stage.into()),
        ];
        attributes.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    pub(super) fn resource(&self) -> Resource {
        Resource { attributes: self.attributes(), ..Resource::default() }
    }
}

fn path(gcp: &Gcp, address: &Address) -> String {
    let name = names::role_name(&gcp.organization(), address);
    format!("/v1/{}", name.split('/').map(encoded).collect::<Vec<_>>().join("/"))
}

/// A role, deleted ones too: Google shows those for some time.
async fn find(client: &super::Client, gcp: &Gcp, address: &Address) -> Result<Option<Role>, Error> {
    match client.get(Service::Iam, &path(gcp, address)).await {
        Ok(json) => serde_json::from_value(json)
            .map(Some)
            .map_err(|_| Error::new(ErrorKind::Malformed, format!("`{address}` is not what it should be"))),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What of these fields is not as wanted, as a mask and a body.
fn patch(
    wanted: &Attributes,
    there: &Attributes,
    fields: Option<&BTreeSet<crate::model::Name>>,
) -> Option<(String, serde_json::Value)> {
    let (mut mask, mut role) = (Vec::new(), json!({}));
    for (field, name) in [
        ("title", "title"),
        ("description", "description"),
        ("includedPermissions", "permissions"),
        ("stage", "stage"),
    ] {
        let Some(value) = wanted.get(name).filter(|_| fields.is_none_or(|fields| fields.contains(name)))
        else {
            continue;
        };
        if there.get(name) == Some(value) {
            continue;
        }
        mask.push(field);
        role[field] = shown(name, value);
    }
    (!mask.is_empty()).then(|| (mask.join(","), role))
}

/// A value as Google writes it.
fn shown(name: &str, value: &Value) -> serde_json::Value {
    match value {
        Value::List(items) => items.iter().filter_map(Value::as_text).collect(),
        value if name == "stage" => value.as_text().unwrap_or_default().to_uppercase().into(),
        value => value.as_text().unwrap_or_default().into(),
    }
}

#[async_trait]
impl GcpKind for Roles {
    fn kind(&self) -> Kind {
        let permissions = Flags { set: true, access: true, required: true, ..Flags::default() };
        let schema = Schema::new(ROLE, "custom_roles")
            .with(Attribute::new("title"))
            .with(Attribute::new("description"))
            .with(Attribute::new("permissions").flags(permissions))
            .with(Attribute::new("stage").default("ga"));
        Kind::of::<RoleManifest>("gcp/CustomRole", schema)
    }

    async fn read(&self, gcp: &Gcp, address: &Address) -> Result<Snapshot, Error> {
        let mut seen = Snapshot::default();
        seen.coverage.insert(address.as_str().into(), Coverage::Complete);
        let found = find(&gcp.reads, gcp, address).await?.filter(|role| !role.deleted);
        seen.resources.extend(found.map(|role| (address.clone(), role.resource())));
        Ok(seen)
    }

    async fn write(&self, session: &Session, change: &Change) -> Result<Outcome, Error> {
        let (gcp, address) = (&session.gcp, &change.address);
        let client = &gcp.writes;
        let nothing = Attributes::new();
        let wanted = change.after.as_ref().unwrap_or(&nothing);
        let path = path(gcp, address);
        let set = async |there: &Attributes, fields: Option<&BTreeSet<crate::model::Name>>| {
            let Some((mask, role)) = patch(wanted, there, fields) else {
                return Ok(Outcome::Done { request_id: None });
            };
            let target = format!("{path}?updateMask={}", encoded(&mask));
            let answer = client.send(Service::Iam, Method::PATCH, &target, Some(&role)).await?;
            Ok(Outcome::Done { request_id: answer.request_id })
        };
        match change.op {
            Op::Create => {
                let mut role = json!({ "stage": "GA" });
                for (field, name) in [
                    ("title", "title"),
                    ("description", "description"),
                    ("includedPermissions", "permissions"),
                    ("stage", "stage"),
                ] {
                    if let Some(value) = wanted.get(name) {
                        role[field] = shown(name, value);
                    }
                }
                let body = json!({ "roleId": address.name(), "role": role });
                let (all, _) = path.rsplit_once('/').unwrap_or_default();
                let error = match client.send(Service::Iam, Method::POST, all, Some(&body)).await {
                    Ok(answer) => return Ok(Outcome::Done { request_id: answer.request_id }),
                    Err(error) if error.effect == Effect::None && error.kind != ErrorKind::Denied => error,
                    Err(error) => return Err(error),
                };
                match find(client, gcp, address).await? {
                    // For seven days a deleted role can be had back, and for thirty more its id is nobody's.
                    // Checked November 2026: https://cloud.google.com/iam/docs/creating-custom-roles#deleting-custom-role
                    Some(role) if role.deleted => {
                        let target = format!("{path}:undelete");
                        client.send(Service::Iam, Method::POST, &target, Some(&json!({}))).await?;
                        session.note_made(address);
                        set(&role.attributes(), None).await
                    }
                    Some(role) if patch(wanted, &role.attributes(), None).is_none() => {
                        Ok(Outcome::Done { request_id: error.request_id })
                    }
                    Some(role) if session.is_made(address) => set(&role.attributes(), None).await,
                    Some(_) => {
                        let message = format!("`{address}` exists already, and is not what was approved");
                        Err(Error::new(ErrorKind::Conflict, message).code("ALREADY_EXISTS"))
                    }
                    None if error.kind == ErrorKind::Conflict => {
                        let message = format!(
                            "the id of `{address}` is blocked: a role of that id was deleted less than 37 days ago; \
                             choose another name, or wait ({error})"
                        );
                        Err(Error { message, ..error })
                    }
                    None => Err(error),
                }
            }
            Op::Update => {
                let role = find(client, gcp, address).await?.filter(|role| !role.deleted);
                set(&role.ok_or_else(|| writer::gone(address))?.attributes(), Some(&change.fields)).await
            }
            Op::Delete => {
                if find(client, gcp, address).await?.is_none_or(|role| role.deleted) {
                    return Ok(Outcome::Done { request_id: None });
                }
                let answer = client.send(Service::Iam, Method::DELETE, &path, None).await?;
                Ok(Outcome::Done { request_id: answer.request_id })
            }
            _ => Err(writer::unsupported(change)),
        }
    }
}
