//! IAM users.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_iam::types::{AttachedPolicy, EntityType, PolicyDetail, Tag};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Collection, Kind, Lowering, Native, Node, Schema, Spanned};
use crate::provider::{Error, ErrorKind};

use super::MEMBER;
use super::connection::Connection;
use super::iam::{IamKind, New, Page, Part, Sent, pages, sent};
use super::manifest::{self, boundary_attribute, inline_attribute, path_attribute, tags_attribute};
use super::sweep::{self, PAGE, Seen, attributes};

/// What hangs on a user and would go with it, in the words of its `dependents`.
const ACCESS_KEY: &str = "access key ";
const LOGIN_PROFILE: &str = "login profile";
const MFA_DEVICE: &str = "MFA device ";

/// The kind of users.
#[derive(Debug)]
pub(super) struct Users;

/// `kind: aws/User`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct User {
    /// Where it is in the account's hierarchy, as in `/service/`; it cannot be changed later.
    path: Option<Spanned<String>>,
    /// Tags; those that are not named here are left alone.
    tags: Option<BTreeMap<String, Spanned<String>>>,
    /// The groups it is in, and no others.
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    /// The managed policies attached to it, and no others; `managed:X` is AWS's own.
    #[serde(default)]
    policies: Vec<Spanned<String>>,
    /// Its inline policies by name, and no others: YAML, JSON as text, or `{ file: x.json }`.
    inline: Option<BTreeMap<String, Node>>,
    /// The policy that bounds what it can ever do; `none` takes a boundary away.
    boundary: Option<Spanned<String>>,
}

impl Native for User {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        manifest::name(lowering, 64);
        let path = manifest::path(lowering, self.path.as_ref());
        let tags = manifest::tags(lowering, self.tags.as_ref());
        let inline = manifest::inline(lowering, self.inline.as_ref());
        let boundary = manifest::boundary(lowering, self.boundary.as_ref());
        let attributes = [("path", path), ("tags", tags), ("inline", inline), ("boundary", boundary)];
        let user = lowering.resource("user", attributes, false);
        for name in &self.groups {
            if let Some(group) = lowering.reference("group", name) {
                lowering.grant(&user, MEMBER, &group, &name.span);
            }
        }
        lowering.claim(Collection::of_principal(&user, MEMBER));
        manifest::attach(lowering, &user, &self.policies);
    }
}

/// A user as either way of reading shows it.
struct Found<'a> {
    name: &'a str,
    id: Option<&'a str>,
    path: Option<&'a str>,
    tags: &'a [Tag],
    boundary: Option<&'a str>,
    inline: &'a [PolicyDetail],
    attached: &'a [AttachedPolicy],
    groups: Vec<&'a str>,
}

impl Found<'_> {
    fn add(self, seen: &mut Seen<'_>) {
        let values = attributes([
            ("path", self.path.unwrap_or("/").into()),
            ("tags", sweep::tags(self.tags)),
            ("inline", sweep::inline(self.inline)),
            ("boundary", seen.boundary(self.boundary)),
        ]);
        seen.resource("user", self.name, self.id, values);
        let user = seen.address("user", self.name);
        seen.attached(&user, self.attached);
        for group in self.groups {
            let group = seen.address("group", group);
            seen.edge(&user, MEMBER, &group);
        }
    }
}

#[async_trait]
impl IamKind for Users {
    fn kind(&self) -> Kind {
        let schema = Schema::new("user", "users")
            .with(path_attribute())
            .with(tags_attribute())
            .with(inline_attribute())
            .with(boundary_attribute());
        Kind::of::<User>("aws/User", schema)
    }

    fn entity(&self) -> Option<EntityType> {
        Some(EntityType::User)
    }

    fn sweep(&self, page: &Page, seen: &mut Seen<'_>) {
        for user in page.user_detail_list() {
            let Some(name) = user.user_name() else { continue };
            let found = Found {
                name,
                id: user.user_id(),
                path: user.path(),
                tags: user.tags(),
                boundary: user.permissions_boundary().and_then(|b| b.permissions_boundary_arn()),
                inline: user.user_policy_list(),
                attached: user.attached_managed_policies(),
                groups: user.group_list().iter().map(String::as_str).collect(),
            };
            found.add(seen);
        }
    }

    async fn read(&self, aws: &Connection, name: &str, seen: &mut Seen<'_>) -> Result<(), Error> {
        let iam = &aws.iam;
        let answer = aws.read(|| iam.get_user().user_name(name).send()).await?;
        let Some(user) = answer.user() else { return Ok(()) };
        let groups = pages!(aws, iam.list_groups_for_user().user_name(name).max_items(PAGE), groups);
        let attached =
            pages!(aws, iam.list_attached_user_policies().user_name(name).max_items(PAGE), attached_policies);
        let attached = attached.into_iter().flatten().collect::<Vec<_>>();
        let names = pages!(aws, iam.list_user_policies().user_name(name).max_items(PAGE), policy_names);
        let inline = sweep::documents(names, |policy| {
            let request = iam.get_user_policy().user_name(name).policy_name(policy);
            async move { aws.read(|| request.clone().send()).await.map(|answer| answer.policy_document) }
        })
        .await?;
        let found = Found {
            name: user.user_name(),
            id: Some(user.user_id()),
            path: Some(user.path()),
            tags: user.tags(),
            boundary: user.permissions_boundary().and_then(|b| b.permissions_boundary_arn()),
            inline: &inline,
            attached: &attached,
            groups: groups.iter().map(|group| group.group_name()).collect(),
        };
        found.add(seen);

        let keys = pages!(aws, iam.list_access_keys().user_name(name).max_items(PAGE), access_key_metadata);
        let keys = keys.iter().filter_map(|key| Some(format!("{ACCESS_KEY}{}", key.access_key_id()?)));
        let mut dependents: Vec<String> = keys.collect();
        match aws.read(|| iam.get_login_profile().user_name(name).send()).await {
            Ok(_) => dependents.push(LOGIN_PROFILE.to_owned()),
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let devices = pages!(aws, iam.list_mfa_devices().user_name(name).max_items(PAGE), mfa_devices);
        dependents.extend(devices.iter().map(|device| format!("{MFA_DEVICE}{}", device.serial_number())));
        if let Some(resource) = seen.snapshot.resources.get_mut(&seen.address("user", name)) {
            resource.dependents = dependents;
        }
        Ok(())
    }

    async fn edges(
        &self,
        aws: &Connection,
        name: &str,
        relation: &str,
        seen: &mut Seen<'_>,
    ) -> Result<(), Error> {
        let user = seen.address("user", name);
        if relation == MEMBER {
            let request = aws.iam.list_groups_for_user().user_name(name).max_items(PAGE);
            for group in pages!(aws, request, groups) {
                let group = seen.address("group", group.group_name());
                seen.edge(&user, MEMBER, &group);
            }
            return Ok(());
        }
        let request = aws.iam.list_attached_user_policies().user_name(name).max_items(PAGE);
        let attached = pages!(aws, request, attached_policies);
        seen.attached(&user, &attached.into_iter().flatten().collect::<Vec<_>>());
        Ok(())
    }

    async fn create(&self, aws: &Connection, name: &str, new: &New<'_>) -> Sent {
        let request = aws.iam.create_user().user_name(name).set_tags(Some(new.tags()));
        let request = request.set_permissions_boundary(new.boundary.clone());
        sent!(aws, request.set_path(new.text("path").map(str::to_owned)))
    }

    async fn set(&self, aws: &Connection, name: &str, part: Part<'_>) -> Sent {
        let iam = &aws.iam;
        match part {
            Part::Attach(arn) => sent!(aws, iam.attach_user_policy().user_name(name).policy_arn(arn)),
            Part::Detach(arn) => sent!(aws, iam.detach_user_policy().user_name(name).policy_arn(arn)),
            Part::PutInline(policy, text) => {
                sent!(aws, iam.put_user_policy().user_name(name).policy_name(policy).policy_document(text))
            }
            Part::DeleteInline(policy) => {
                sent!(aws, iam.delete_user_policy().user_name(name).policy_name(policy))
            }
            Part::PutBoundary(arn) => {
                sent!(aws, iam.put_user_permissions_boundary().user_name(name).permissions_boundary(arn))
            }
            Part::DeleteBoundary => sent!(aws, iam.delete_user_permissions_boundary().user_name(name)),
            Part::Tag(tags) => sent!(aws, iam.tag_user().user_name(name).set_tags(Some(tags.to_vec()))),
            Part::Untag(keys) => {
                sent!(aws, iam.untag_user().user_name(name).set_tag_keys(Some(keys.to_vec())))
            }
            Part::Drop(what) => drop_dependent(aws, name, what).await,
            Part::Join(_) | Part::Leave(_) | Part::Fields(..) => Err(part.unsupported()),
        }
    }

    async fn delete(&self, aws: &Connection, name: &str) -> Sent {
        sent!(aws, aws.iam.delete_user().user_name(name))
    }
}

async fn drop_dependent(aws: &Connection, name: &str, what: &str) -> Sent {
    let iam = &aws.iam;
    if let Some(key) = what.strip_prefix(ACCESS_KEY) {
        return sent!(aws, iam.delete_access_key().user_name(name).access_key_id(key));
    }
    if let Some(device) = what.strip_prefix(MFA_DEVICE) {
        // A virtual device is a thing of its own that someone may give to another user; it opens nothing by itself.
        return sent!(aws, iam.deactivate_mfa_device().user_name(name).serial_number(device));
    }
    if what == LOGIN_PROFILE {
        return sent!(aws, iam.delete_login_profile().user_name(name));
    }
    Err(Part::Drop(what).unsupported())
}
