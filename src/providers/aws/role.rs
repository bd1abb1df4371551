//! IAM roles. Those that AWS makes for itself are no resources.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_iam::types::{AttachedPolicy, EntityType, PolicyDetail, Tag};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{
    Attribute, Attributes, Finding, Flags, Kind, Lowering, Native, Node, Schema, Spanned, Value,
};
use crate::provider::{Error, ErrorKind};

use super::connection::Connection;
use super::document::{self, Use};
use super::iam::{IamKind, New, Page, Part, Sent, pages, sent};
use super::manifest::{self, KEPT, boundary_attribute, inline_attribute, path_attribute, tags_attribute};
use super::sweep::{self, PAGE, Seen, attributes};

/// What hangs on a role and would go with it, in the words of its `dependents`.
const INSTANCE_PROFILE: &str = "instance profile ";

/// The kind of roles.
#[derive(Debug)]
pub(super) struct Roles;

/// `kind: aws/Role`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Role {
    /// Where it is in the account's hierarchy, as in `/ci/`; it cannot be changed later.
    path: Option<Spanned<String>>,
    /// In words, for people.
    description: Option<String>,
    /// Who may assume it: YAML, JSON as text, or `{ file: x.json }`.
    trust: Node,
    /// The managed policies attached to it, and no others; `managed:X` is AWS's own.
    #[serde(default)]
    policies: Vec<Spanned<String>>,
    /// Its inline policies by name, and no others: YAML, JSON as text, or `{ file: x.json }`.
    inline: Option<BTreeMap<String, Node>>,
    /// The policy that bounds what it can ever do; `none` takes a boundary away.
    boundary: Option<Spanned<String>>,
    /// Tags; those that are not named here are left alone.
    tags: Option<BTreeMap<String, Spanned<String>>>,
    /// The longest session: `1h` to `12h`, or seconds.
    max_session: Option<Node>,
}

impl Native for Role {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        manifest::name(lowering, 64);
        let given_path = self.path.as_ref();
        if is_kept(lowering.name, given_path.map_or("/", |path| path.as_str())) {
            let message = format!("the role `{}` is one that AWS keeps for itself", lowering.name.value);
            let finding = Finding::error(KEPT, message).at(&lowering.name.span);
            lowering
                .out
                .findings
                .push(finding.help("leave it to AWS: rolecall neither reads nor changes it"));
        }
        let path = manifest::path(lowering, given_path);
        let trust = document::declared(&self.trust, Use::Trust, lowering);
        let inline = manifest::inline(lowering, self.inline.as_ref());
        let boundary = manifest::boundary(lowering, self.boundary.as_ref());
        let tags = manifest::tags(lowering, self.tags.as_ref());
        let max_session = self.max_session.as_ref().and_then(|node| manifest::seconds(lowering, node));
        let role = lowering.resource(
            "role",
            [
                ("path", path),
                ("description", self.description.as_deref().map(Value::from)),
                ("trust", trust),
                ("inline", inline),
                ("boundary", boundary),
                ("tags", tags),
                ("max_session", max_session.map(Value::from)),
            ],
            false,
        );
        manifest::attach(lowering, &role, &self.policies);
    }
}

/// Roles of services, of Identity Center, and the one by which an organization enters its accounts.
fn is_kept(name: &str, path: &str) -> bool {
    path.starts_with("/aws-service-role/")
        || path.starts_with("/aws-reserved/")
        || name.starts_with("AWSServiceRoleFor")
        || name.starts_with("AWSReservedSSO_")
        || name == "OrganizationAccountAccessRole"
}

/// A role as either way of reading shows it.
struct Found<'a> {
    name: &'a str,
    id: Option<&'a str>,
    path: Option<&'a str>,
    trust: Option<&'a str>,
    tags: &'a [Tag],
    boundary: Option<&'a str>,
    inline: &'a [PolicyDetail],
    attached: &'a [AttachedPolicy],
    profiles: Vec<&'a str>,
}

impl Found<'_> {
    fn add(self, seen: &mut Seen<'_>) {
        let path = self.path.unwrap_or("/");
        if is_kept(self.name, path) {
            return;
        }
        let values = attributes([
            ("path", path.into()),
            ("trust", self.trust.map_or(Value::Null, sweep::document)),
            ("tags", sweep::tags(self.tags)),
            ("inline", sweep::inline(self.inline)),
            ("boundary", seen.boundary(self.boundary)),
        ]);
        let dependents = self.profiles.iter().map(|profile| format!("{INSTANCE_PROFILE}{profile}")).collect();
        seen.resource("role", self.name, self.id, values).dependents = dependents;
        let role = seen.address("role", self.name);
        seen.attached(&role, self.attached);
    }
}

/// What only `ListRoles` and `GetRole` show.
fn describe(seen: &mut Seen<'_>, name: &str, description: Option<&str>, max_session: Option<i32>) {
    if let Some(role) = seen.snapshot.resources.get_mut(&seen.address("role", name)) {
        role.attributes.insert("description".into(), description.unwrap_or_default().into());
        role.attributes
            .insert("max_session".into(), i64::from(max_session.unwrap_or(DEFAULT_SESSION)).into());
    }
}

/// What IAM takes where nothing is said, in seconds.
const DEFAULT_SESSION: i32 = 3600;

#[async_trait]
impl IamKind for Roles {
    fn kind(&self) -> Kind {
        let trust = Flags { document: true, access: true, required: true, ..Flags::default() };
        let schema = Schema::new("role", "roles")
            .with(path_attribute())
            .with(Attribute::new("description"))
            .with(Attribute::new("trust").flags(trust))
            .with(inline_attribute())
            .with(boundary_attribute())
            .with(tags_attribute())
            .with(Attribute::new("max_session"));
        Kind::of::<Role>("aws/Role", schema)
    }

    fn entity(&self) -> Option<EntityType> {
        Some(EntityType::Role)
    }

    fn sweep(&self, page: &Page, seen: &mut Seen<'_>) {
        for role in page.role_detail_list() {
            let Some(name) = role.role_name() else { continue };
            let found = Found {
                name,
                id: role.role_id(),
                path: role.path(),
                trust: role.assume_role_policy_document(),
                tags: role.tags(),
                boundary: role.permissions_boundary().and_then(|b| b.permissions_boundary_arn()),
                inline: role.role_policy_list(),
                attached: role.attached_managed_policies(),
                profiles: role.instance_profile_list().iter().map(|p| p.instance_profile_name()).collect(),
            };
            found.add(seen);
        }
    }

    async fn list(&self, aws: &Connection, seen: &mut Seen<'_>) -> Result<(), Error> {
        for role in pages!(aws, aws.iam.list_roles().max_items(PAGE), roles) {
            describe(seen, role.role_name(), role.description(), role.max_session_duration());
        }
        Ok(())
    }

    async fn read(&self, aws: &Connection, name: &str, seen: &mut Seen<'_>) -> Result<(), Error> {
        let iam = &aws.iam;
        let answer = aws.read(|| iam.get_role().role_name(name).send()).await?;
        let Some(role) = answer.role() else { return Ok(()) };
        let attached =
            pages!(aws, iam.list_attached_role_policies().role_name(name).max_items(PAGE), attached_policies);
        let attached = attached.into_iter().flatten().collect::<Vec<_>>();
        let names = pages!(aws, iam.list_role_policies().role_name(name).max_items(PAGE), policy_names);
        let inline = sweep::documents(names, |policy| {
            let request = iam.get_role_policy().role_name(name).policy_name(policy);
            async move { aws.read(|| request.clone().send()).await.map(|answer| answer.policy_document) }
        })
        .await?;
        let profiles = pages!(
            aws,
            iam.list_instance_profiles_for_role().role_name(name).max_items(PAGE),
            instance_profiles
        );
        let found = Found {
            name: role.role_name(),
            id: Some(role.role_id()),
            path: Some(role.path()),
            trust: role.assume_role_policy_document(),
            tags: role.tags(),
            boundary: role.permissions_boundary().and_then(|b| b.permissions_boundary_arn()),
            inline: &inline,
            attached: &attached,
            profiles: profiles.iter().map(|profile| profile.instance_profile_name()).collect(),
        };
        found.add(seen);
        describe(seen, role.role_name(), role.description(), role.max_session_duration());
        Ok(())
    }

    async fn edges(&self, aws: &Connection, name: &str, _: &str, seen: &mut Seen<'_>) -> Result<(), Error> {
        let request = aws.iam.list_attached_role_policies().role_name(name).max_items(PAGE);
        let attached = pages!(aws, request, attached_policies);
        seen.attached(&seen.address("role", name), &attached.into_iter().flatten().collect::<Vec<_>>());
        Ok(())
    }

    async fn create(&self, aws: &Connection, name: &str, new: &New<'_>) -> Sent {
        let request =
            aws.iam.create_role().role_name(name).assume_role_policy_document(new.document("trust")?);
        let request = request.set_tags(Some(new.tags())).set_permissions_boundary(new.boundary.clone());
        let request = request.set_description(new.text("description").map(str::to_owned));
        let request = request.set_max_session_duration(session(new.attributes)?);
        sent!(aws, request.set_path(new.text("path").map(str::to_owned)))
    }

    /// `UpdateRole` sets the session back to an hour where it is not told, so both of its fields go together.
    fn field_groups(&self) -> &'static [&'static [&'static str]] {
        &[&["trust"], &["description", "max_session"]]
    }

    async fn set(&self, aws: &Connection, name: &str, part: Part<'_>) -> Sent {
        let iam = &aws.iam;
        match part {
            Part::Attach(arn) => sent!(aws, iam.attach_role_policy().role_name(name).policy_arn(arn)),
            Part::Detach(arn) => sent!(aws, iam.detach_role_policy().role_name(name).policy_arn(arn)),
            Part::PutInline(policy, text) => {
                sent!(aws, iam.put_role_policy().role_name(name).policy_name(policy).policy_document(text))
            }
            Part::DeleteInline(policy) => {
                sent!(aws, iam.delete_role_policy().role_name(name).policy_name(policy))
            }
            Part::PutBoundary(arn) => {
                sent!(aws, iam.put_role_permissions_boundary().role_name(name).permissions_boundary(arn))
            }
            Part::DeleteBoundary => sent!(aws, iam.delete_role_permissions_boundary().role_name(name)),
            Part::Tag(tags) => sent!(aws, iam.tag_role().role_name(name).set_tags(Some(tags.to_vec()))),
            Part::Untag(keys) => {
                sent!(aws, iam.untag_role().role_name(name).set_tag_keys(Some(keys.to_vec())))
            }
            Part::Fields("trust", values) => {
                let trust = New { attributes: values, boundary: None }.document("trust")?;
                sent!(aws, iam.update_assume_role_policy().role_name(name).policy_document(trust))
            }
            Part::Fields("description", values) => {
                let description = values.get("description").and_then(Value::as_text).unwrap_or_default();
                let request = iam.update_role().role_name(name).description(description);
                sent!(aws, request.set_max_session_duration(session(values)?))
            }
            Part::Drop(what) => match what.strip_prefix(INSTANCE_PROFILE) {
                // The profile itself stays: machines may name it, and it may be given another role.
                Some(profile) => {
                    sent!(
                        aws,
                        iam.remove_role_from_instance_profile()
                            .role_name(name)
                            .instance_profile_name(profile)
                    )
                }
                None => Err(part.unsupported()),
            },
            Part::Join(_) | Part::Leave(_) | Part::Fields(..) => Err(part.unsupported()),
        }
    }

    async fn delete(&self, aws: &Connection, name: &str) -> Sent {
        sent!(aws, aws.iam.delete_role().role_name(name))
    }
}

fn session(values: &Attributes) -> Result<Option<i32>, Error> {
    match values.get("max_session") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(seconds)) if i32::try_from(*seconds).is_ok() => Ok(i32::try_from(*seconds).ok()),
        Some(other) => {
            Err(Error::new(ErrorKind::Other, format!("`{other}` is not a session's length in seconds")))
        }
    }
}
