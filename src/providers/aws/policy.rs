//! IAM managed policies of the account, with their versions. AWS's own are only ever attached.

use async_trait::async_trait;
use aws_sdk_iam::types::{EntityType, PolicyVersion};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Attribute, Flags, Kind, Lowering, Native, Node, Schema, Spanned, Value};
use crate::provider::{Error, ErrorKind};

use super::ATTACHED;
use super::connection::Connection;
use super::document::{self, Use};
use super::iam::{IamKind, New, Page, Part, Sent, each_page, pages, sent};
use super::manifest::{self, POLICY_NAME, path_attribute};
use super::sweep::{self, PAGE, Seen, attributes};

/// The kind of managed policies.
#[derive(Debug)]
pub(super) struct Policies;

/// `kind: aws/Policy`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Policy {
    /// Where it is in the account's hierarchy, as in `/teams/`; it cannot be changed later.
    path: Option<Spanned<String>>,
    /// In words, for people; it cannot be changed later.
    description: Option<String>,
    /// What it allows and denies: YAML, JSON as text, or `{ file: x.json }`.
    document: Node,
}

impl Native for Policy {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        manifest::name(lowering, POLICY_NAME);
        let path = manifest::path(lowering, self.path.as_ref());
        let document = document::declared(&self.document, Use::Permissions, lowering);
        let description = self.description.as_deref().map(Value::from);
        let attributes = [("path", path), ("description", description), ("document", document)];
        lowering.resource("policy", attributes, false);
    }
}

#[async_trait]
impl IamKind for Policies {
    fn kind(&self) -> Kind {
        // `GetAccountAuthorizationDetails` and `ListPolicies` leave descriptions out (checked November 2026).
        let unseen = Flags { immutable: true, unseen: true, ..Flags::default() };
        let document = Flags { document: true, access: true, required: true, ..Flags::default() };
        let schema = Schema::new("policy", "policies")
            .with(path_attribute())
            .with(Attribute::new("description").flags(unseen))
            .with(Attribute::new("document").flags(document));
        Kind::of::<Policy>("aws/Policy", schema)
    }

    fn entity(&self) -> Option<EntityType> {
        Some(EntityType::LocalManagedPolicy)
    }

    fn sweep(&self, page: &Page, seen: &mut Seen<'_>) {
        for policy in page.policies() {
            // The ARN alone is always there; it says name and path.
            let Some(arn) = policy.arn() else { continue };
            let versions = policy.policy_version_list();
            let default = versions.iter().find(|version| version.is_default_version());
            let document = default.and_then(PolicyVersion::document);
            add(seen, arn, policy.policy_id(), policy.description(), document);
        }
    }

    async fn read(&self, aws: &Connection, name: &str, seen: &mut Seen<'_>) -> Result<(), Error> {
        let iam = &aws.iam;
        let arn = aws.policy_arn(name);
        let answer = aws.read(|| iam.get_policy().policy_arn(&arn).send()).await?;
        let Some(policy) = answer.policy() else { return Ok(()) };
        let version = policy.default_version_id().unwrap_or("v1");
        let request = iam.get_policy_version().policy_arn(&arn).version_id(version);
        let answer = aws.read(|| request.clone().send()).await?;
        let document = answer.policy_version().and_then(PolicyVersion::document);
        add(seen, &arn, policy.policy_id(), policy.description(), document);

        let Some(resource) = seen.policy(&arn) else { return Ok(()) };
        each_page!(aws, iam.list_entities_for_policy().policy_arn(&arn).max_items(PAGE), page => {
            let users = page.policy_users().iter().filter_map(|user| Some(("user", user.user_name()?)));
            let groups = page.policy_groups().iter().filter_map(|group| Some(("group", group.group_name()?)));
            let roles = page.policy_roles().iter().filter_map(|role| Some(("role", role.role_name()?)));
            for (kind, name) in users.chain(groups).chain(roles) {
                let principal = seen.address(kind, name);
                seen.edge(&principal, ATTACHED, &resource);
            }
        });
        Ok(())
    }

    async fn create(&self, aws: &Connection, name: &str, new: &New<'_>) -> Sent {
        let request = aws.iam.create_policy().policy_name(name).policy_document(new.document("document")?);
        let request = request.set_description(new.text("description").map(str::to_owned));
        sent!(aws, request.set_path(new.text("path").map(str::to_owned)))
    }

    fn field_groups(&self) -> &'static [&'static [&'static str]] {
        &[&["document"]]
    }

    async fn set(&self, aws: &Connection, name: &str, part: Part<'_>) -> Sent {
        let Part::Fields("document", values) = part else { return Err(part.unsupported()) };
        let arn = aws.policy_arn(name);
        let text = New { attributes: values, boundary: None }.document("document")?;
        let request =
            || aws.iam.create_policy_version().policy_arn(&arn).policy_document(&text).set_as_default(true);
        match sent!(aws, request()) {
            // Five versions are kept at most. The oldest that does nothing makes room.
            Err(error) if error.code.as_deref() == Some("LimitExceeded") => {
                let oldest = idle_versions(aws, &arn).await?.into_iter().next().ok_or(error)?;
                sent!(aws, aws.iam.delete_policy_version().policy_arn(&arn).version_id(oldest))?;
                sent!(aws, request())
            }
            other => other,
        }
    }

    async fn delete(&self, aws: &Connection, name: &str) -> Sent {
        let arn = aws.policy_arn(name);
        for version in idle_versions(aws, &arn).await? {
            match sent!(aws, aws.iam.delete_policy_version().policy_arn(&arn).version_id(version)) {
                Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        sent!(aws, aws.iam.delete_policy().policy_arn(&arn))
    }
}

fn add(seen: &mut Seen<'_>, arn: &str, id: Option<&str>, description: Option<&str>, document: Option<&str>) {
    let Some(path_and_name) = arn.splitn(6, ':').nth(5).and_then(|rest| rest.strip_prefix("policy")) else {
        return;
    };
    let Some((path, name)) = path_and_name.rsplit_once('/') else { return };
    let values = attributes([
        ("path", format!("{path}/").into()),
        ("description", description.unwrap_or_default().into()),
        ("document", document.map_or(Value::Null, sweep::document)),
    ]);
    seen.resource("policy", name, id, values);
}

/// The ids of the versions that are not in force, oldest first.
async fn idle_versions(aws: &Connection, arn: &str) -> Result<Vec<String>, Error> {
    let versions = pages!(aws, aws.iam.list_policy_versions().policy_arn(arn).max_items(PAGE), versions);
    let mut idle: Vec<PolicyVersion> =
        versions.into_iter().flatten().filter(|version| !version.is_default_version()).collect();
    // Two versions can be of one second; their ids count up, `v9` before `v10`.
    let number = |version: &PolicyVersion| -> u64 {
        version.version_id().and_then(|id| id.strip_prefix('v')?.parse().ok()).unwrap_or_default()
    };
    idle.sort_by_key(number);
    Ok(idle.into_iter().filter_map(|version| version.version_id).collect())
}
