//! IAM groups. Their members come through users and people: each declares its own groups.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_iam::types::{AttachedPolicy, EntityType, PolicyDetail};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Collection, Kind, Lowering, Native, Node, Schema, Spanned};
use crate::provider::Error;

use super::MEMBER;
use super::connection::Connection;
use super::iam::{IamKind, New, Page, Part, Sent, each_page, pages, sent};
use super::manifest::{self, inline_attribute, path_attribute};
use super::sweep::{self, PAGE, Seen, attributes};

/// The kind of groups.
#[derive(Debug)]
pub(super) struct Groups;

/// `kind: aws/Group`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Group {
    /// Where it is in the account's hierarchy, as in `/teams/`; it cannot be changed later.
    path: Option<Spanned<String>>,
    /// The managed policies attached to it, and no others; `managed:X` is AWS's own.
    #[serde(default)]
    policies: Vec<Spanned<String>>,
    /// Its inline policies by name, and no others: YAML, JSON as text, or `{ file: x.json }`.
    inline: Option<BTreeMap<String, Node>>,
    /// Whether it may lose its last member.
    #[serde(default)]
    allow_empty: bool,
}

impl Native for Group {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        manifest::name(lowering, 128);
        let path = manifest::path(lowering, self.path.as_ref());
        let inline = manifest::inline(lowering, self.inline.as_ref());
        let group = lowering.resource("group", [("path", path), ("inline", inline)], self.allow_empty);
        lowering.claim(Collection::of_resource(&group, MEMBER));
        manifest::attach(lowering, &group, &self.policies);
    }
}

fn add(
    seen: &mut Seen<'_>,
    (name, id, path): (&str, Option<&str>, Option<&str>),
    inline: &[PolicyDetail],
    attached: &[AttachedPolicy],
) {
    let values = attributes([("path", path.unwrap_or("/").into()), ("inline", sweep::inline(inline))]);
    seen.resource("group", name, id, values);
    let group = seen.address("group", name);
    seen.attached(&group, attached);
}

#[async_trait]
impl IamKind for Groups {
    fn kind(&self) -> Kind {
        let schema = Schema::new("group", "groups").with(path_attribute()).with(inline_attribute());
        Kind::of::<Group>("aws/Group", schema)
    }

    fn entity(&self) -> Option<EntityType> {
        Some(EntityType::Group)
    }

    fn sweep(&self, page: &Page, seen: &mut Seen<'_>) {
        for group in page.group_detail_list() {
            let Some(name) = group.group_name() else { continue };
            let inline = group.group_policy_list();
            add(seen, (name, group.group_id(), group.path()), inline, group.attached_managed_policies());
        }
    }

    async fn read(&self, aws: &Connection, name: &str, seen: &mut Seen<'_>) -> Result<(), Error> {
        let iam = &aws.iam;
        let group = seen.address("group", name);
        let found = each_page!(aws, iam.get_group().group_name(name).max_items(PAGE), page => {
            for user in page.users() {
                let user = seen.address("user", user.user_name());
                seen.edge(&user, MEMBER, &group);
            }
            page.group
        });
        let Some(found) = found else { return Ok(()) };
        let attached = pages!(
            aws,
            iam.list_attached_group_policies().group_name(name).max_items(PAGE),
            attached_policies
        );
        let attached = attached.into_iter().flatten().collect::<Vec<_>>();
        let names = pages!(aws, iam.list_group_policies().group_name(name).max_items(PAGE), policy_names);
        let inline = sweep::documents(names, |policy| {
            let request = iam.get_group_policy().group_name(name).policy_name(policy);
            async move { aws.read(|| request.clone().send()).await.map(|answer| answer.policy_document) }
        })
        .await?;
        add(seen, (found.group_name(), Some(found.group_id()), Some(found.path())), &inline, &attached);
        Ok(())
    }

    async fn edges(&self, aws: &Connection, name: &str, _: &str, seen: &mut Seen<'_>) -> Result<(), Error> {
        let request = aws.iam.list_attached_group_policies().group_name(name).max_items(PAGE);
        let attached = pages!(aws, request, attached_policies);
        seen.attached(&seen.address("group", name), &attached.into_iter().flatten().collect::<Vec<_>>());
        Ok(())
    }

    async fn create(&self, aws: &Connection, name: &str, new: &New<'_>) -> Sent {
        sent!(aws, aws.iam.create_group().group_name(name).set_path(new.text("path").map(str::to_owned)))
    }

    async fn set(&self, aws: &Connection, name: &str, part: Part<'_>) -> Sent {
        let iam = &aws.iam;
        match part {
            Part::Attach(arn) => sent!(aws, iam.attach_group_policy().group_name(name).policy_arn(arn)),
            Part::Detach(arn) => sent!(aws, iam.detach_group_policy().group_name(name).policy_arn(arn)),
            Part::Join(user) => sent!(aws, iam.add_user_to_group().group_name(name).user_name(user)),
            Part::Leave(user) => sent!(aws, iam.remove_user_from_group().group_name(name).user_name(user)),
            Part::PutInline(policy, text) => {
                sent!(aws, iam.put_group_policy().group_name(name).policy_name(policy).policy_document(text))
            }
            Part::DeleteInline(policy) => {
                sent!(aws, iam.delete_group_policy().group_name(name).policy_name(policy))
            }
            _ => Err(part.unsupported()),
        }
    }

    async fn delete(&self, aws: &Connection, name: &str) -> Sent {
        sent!(aws, aws.iam.delete_group().group_name(name))
    }
}
