//! Tests of the AWS side, through the vendor's own client.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_iam::config::retry::RetryConfig;
use aws_sdk_iam::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_sdk_iam::types::{EntityType, RoleDetail, Tag};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use super::super::tests::{iam, text, world};
use super::super::{Fault, Simulator};
use crate::provider::Transport as _;

const WORLD: &str = r#"
now: 2026-11-22T17:00:00Z
page_size: 3
aws:
  caller: arn:aws:iam::222222222222:user/rolecall
  accounts:
    "111111111111":
      roles:
        - name: reader
          path: /audit/
          trust: { Version: 2012-10-17, Statement: [{ Effect: Allow, Principal: { AWS: "arn:aws:iam::222222222222:root" }, Action: "sts:AssumeRole" }] }
        - name: closed
          trust: { Version: 2012-10-17, Statement: [{ Effect: Allow, Principal: { Service: ec2.amazonaws.com }, Action: "sts:AssumeRole" }] }
    "222222222222":
      users:
        - { name: ann, groups: [deployers], policies: ["managed:ReadOnlyAccess", deny], boundary: deny, tags: { team: x & y } }
        - { name: ben, path: /service/, access_keys: [AKIABEN], mfa: ["arn:aws:iam::222222222222:mfa/ben"], login_profile: true }
        - { name: cleo, inline: { own: { Version: 2012-10-17, Statement: { Effect: Allow, Action: "s3:*", Resource: "*" } } } }
      groups:
        - { name: deployers, policies: [deny] }
      roles:
        - name: worker
          description: works
          max_session: 7200
          trust: { Version: 2012-10-17, Statement: [{ Effect: Allow, Principal: { Service: ec2.amazonaws.com }, Action: "sts:AssumeRole" }] }
          policies: ["managed:SecurityAudit"]
      policies:
        - { name: deny, path: /p/, document: { Version: 2012-10-17, Statement: [{ Effect: Deny, Action: "s3:GetObject", Resource: "*" }] } }
"#;

const DOCUMENT: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}"#;
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"sts:AssumeRole"}]}"#;

/// Carries the client's requests into the simulator.
#[derive(Debug, Clone)]
struct Wire(Simulator);

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let simulator = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
            let answer = simulator.call(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn config(simulator: &Simulator, key: &str) -> SdkConfig {
    let wire = SharedHttpConnector::new(Wire(simulator.clone()));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            key, "secret", None, None, "test",
        )))
        .http_client(http_client_fn(move |_, _| wire.clone()))
        .build()
}

fn client(simulator: &Simulator) -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::new(&config(simulator, "AKIDTEST"))
}

/// The code of an error.
macro_rules! refused {
    ($call:expr) => {
        $call.send().await.unwrap_err().code().unwrap().to_owned()
    };
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

fn decoded(document: &str) -> serde_json::Value {
    let text = percent_encoding::percent_decode_str(document).decode_utf8().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_sweep_in_small_pages_shows_everything_once() {
    let simulator = world(WORLD);
    let mut pages =
        client(&simulator).get_account_authorization_details().max_items(1000).into_paginator().send();
    let (mut users, mut groups, mut roles, mut policies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        users.extend(page.user_detail_list().to_vec());
        groups.extend(page.group_detail_list().to_vec());
        roles.extend(page.role_detail_list().to_vec());
        policies.extend(page.policies().to_vec());
        count += 1;
    }
    // Three users, a group, a role, its own policy, two of AWS's: eight things, three a page.
    assert_eq!(count, 3);
    assert_eq!((users.len(), groups.len(), roles.len(), policies.len()), (3, 1, 1, 3));
    let ann = &users[0];
    assert_eq!(ann.arn(), Some("arn:aws:iam::222222222222:user/ann"));
    assert_eq!(ann.group_list(), ["deployers"]);
    assert_eq!(
        ann.attached_managed_policies()[0].policy_arn(),
        Some("arn:aws:iam::222222222222:policy/p/deny")
    );
    assert_eq!(
        ann.attached_managed_policies()[1].policy_arn(),
        Some("arn:aws:iam::aws:policy/ReadOnlyAccess")
    );
    let boundary = ann.permissions_boundary().unwrap().permissions_boundary_arn();
    assert_eq!(boundary, Some("arn:aws:iam::222222222222:policy/p/deny"));
    assert_eq!(ann.tags()[0].value(), "x & y");
    assert_eq!(users[1].path(), Some("/service/"));
    let inline = &users[2].user_policy_list()[0];
    assert_eq!(decoded(inline.policy_document().unwrap())["Statement"]["Action"], "s3:*");
    let RoleDetail { role_name, assume_role_policy_document, .. } = &roles[0];
    assert_eq!(role_name.as_deref(), Some("worker"));
    assert_eq!(decoded(assume_role_policy_document.as_deref().unwrap())["Version"], "2012-10-17");
    let own = &policies[0];
    assert_eq!((own.attachment_count(), own.permissions_boundary_usage_count()), (Some(2), Some(1)));
    assert!(own.policy_version_list()[0].is_default_version());
    assert_eq!(policies[2].policy_name(), Some("SecurityAudit"));
}

#[tokio::test]
async fn a_sweep_can_be_filtered_and_only_the_list_of_roles_has_descriptions() {
    let simulator = world(WORLD);
    let client = client(&simulator);
    let page = client
        .get_account_authorization_details()
        .filter(EntityType::Role)
        .filter(EntityType::LocalManagedPolicy);
    let page = page.send().await.unwrap();
    assert_eq!(
        (page.user_detail_list().len(), page.role_detail_list().len(), page.policies().len()),
        (0, 1, 1)
    );
    assert!(!page.is_truncated());
    let answer = simulator.handle(&iam("Action=GetAccountAuthorizationDetails&Filter.member.1=Role"));
    assert!(!text(&answer).contains("works") && !text(&answer).contains("7200"), "{}", text(&answer));
    let roles = client.list_roles().send().await.unwrap();
    assert_eq!(roles.roles()[0].description(), Some("works"));
    assert_eq!(roles.roles()[0].max_session_duration(), Some(7200));
    assert_eq!(refused!(client.list_roles().max_items(1001)), "ValidationError");
}

#[tokio::test]
async fn a_user_is_made_given_things_and_cannot_go_before_they_do() {
    let simulator = world(WORLD);
    let iam = client(&simulator);
    let deny = "arn:aws:iam::222222222222:policy/p/deny";
    let made = iam
        .create_user()
        .user_name("new")
        .path("/x/")
        .tags(tag("a", "1"))
        .permissions_boundary(deny)
        .send()
        .await;
    let made = made.unwrap().user.unwrap();
    assert_eq!((made.arn(), made.tags().len()), ("arn:aws:iam::222222222222:user/x/new", 1));
    assert_eq!(made.create_date().secs(), simulator.clock_seconds());
    assert_eq!(refused!(iam.create_user().user_name("NEW")), "EntityAlreadyExists");
    assert_eq!(refused!(iam.create_user().user_name("a b")), "ValidationError");

    iam.tag_user().user_name("new").tags(tag("b", "2")).send().await.unwrap();
    iam.untag_user().user_name("new").tag_keys("a").send().await.unwrap();
    assert_eq!(iam.list_user_tags().user_name("new").send().await.unwrap().tags()[0].key(), "b");
    iam.attach_user_policy().user_name("new").policy_arn(deny).send().await.unwrap();
    iam.attach_user_policy()
        .user_name("new")
        .policy_arn("arn:aws:iam::aws:policy/SecurityAudit")
        .send()
        .await
        .unwrap();
    assert_eq!(
        refused!(iam.attach_user_policy().user_name("new").policy_arn("arn:aws:iam::aws:policy/None")),
        "NoSuchEntity"
    );
    let attached = iam.list_attached_user_policies().user_name("new").send().await.unwrap();
    assert_eq!(attached.attached_policies().len(), 2);
    iam.put_user_policy().user_name("new").policy_name("own").policy_document(DOCUMENT).send().await.unwrap();
    let inline = iam.get_user_policy().user_name("new").policy_name("own").send().await.unwrap();
    assert_eq!(decoded(inline.policy_document())["Statement"][0]["Action"], "s3:Get*");
    assert_eq!(iam.list_user_policies().user_name("new").send().await.unwrap().policy_names(), ["own"]);
    iam.add_user_to_group().user_name("new").group_name("deployers").send().await.unwrap();
    assert_eq!(iam.list_groups_for_user().user_name("new").send().await.unwrap().groups().len(), 1);
    assert_eq!(iam.get_group().group_name("deployers").send().await.unwrap().users().len(), 2);
    iam.delete_user_permissions_boundary().user_name("new").send().await.unwrap();
    assert_eq!(refused!(iam.delete_user_permissions_boundary().user_name("new")), "NoSuchEntity");
    iam.put_user_permissions_boundary().user_name("new").permissions_boundary(deny).send().await.unwrap();
    assert!(
        iam.get_user().user_name("new").send().await.unwrap().user.unwrap().permissions_boundary().is_some()
    );
    iam.update_user().user_name("new").new_user_name("newer").new_path("/").send().await.unwrap();

    let delete = || iam.delete_user().user_name("newer");
    assert_eq!(refused!(delete()), "DeleteConflict");
    iam.remove_user_from_group().user_name("newer").group_name("deployers").send().await.unwrap();
    assert_eq!(refused!(delete()), "DeleteConflict");
    iam.detach_user_policy().user_name("newer").policy_arn(deny).send().await.unwrap();
    assert_eq!(refused!(iam.detach_user_policy().user_name("newer").policy_arn(deny)), "NoSuchEntity");
    iam.detach_user_policy()
        .user_name("newer")
        .policy_arn("arn:aws:iam::aws:policy/SecurityAudit")
        .send()
        .await
        .unwrap();
    assert_eq!(refused!(delete()), "DeleteConflict");
    iam.delete_user_policy().user_name("newer").policy_name("own").send().await.unwrap();
    assert_eq!(refused!(iam.delete_user_policy().user_name("newer").policy_name("own")), "NoSuchEntity");
    delete().send().await.unwrap();
    assert_eq!(refused!(delete()), "NoSuchEntity");
}

#[tokio::test]
async fn what_hangs_on_a_user_is_listed_and_taken_away() {
    let simulator = world(WORLD);
    let iam = client(&simulator);
    let keys = iam.list_access_keys().user_name("ben").send().await.unwrap();
    assert_eq!(keys.access_key_metadata()[0].access_key_id(), Some("AKIABEN"));
    let devices = iam.list_mfa_devices().user_name("ben").send().await.unwrap();
    let serial = devices.mfa_devices()[0].serial_number();
    assert!(iam.get_login_profile().user_name("ben").send().await.unwrap().login_profile().is_some());
    assert_eq!(refused!(iam.delete_user().user_name("ben")), "DeleteConflict");
    let turn = |key: &'static str, status: &str| {
        iam.update_access_key().user_name("ben").access_key_id(key).status(status.into())
    };
    for status in ["Inactive", "Inactive"] {
        turn("AKIABEN", status).send().await.unwrap();
        let keys = iam.list_access_keys().user_name("ben").send().await.unwrap();
        assert_eq!(keys.access_key_metadata()[0].status().map(|it| it.as_str()), Some(status));
    }
    assert_eq!(refused!(turn("AKIAOTHER", "Inactive")), "NoSuchEntity");
    assert_eq!(refused!(turn("AKIABEN", "Gone")), "ValidationError");
    turn("AKIABEN", "Active").send().await.unwrap();
    iam.delete_login_profile().user_name("ben").send().await.unwrap();
    assert_eq!(refused!(iam.delete_login_profile().user_name("ben")), "NoSuchEntity");
    assert_eq!(refused!(iam.delete_user().user_name("ben")), "DeleteConflict");
    iam.delete_access_key().user_name("ben").access_key_id("AKIABEN").send().await.unwrap();
    assert_eq!(refused!(iam.delete_user().user_name("ben")), "DeleteConflict");
    iam.deactivate_mfa_device().user_name("ben").serial_number(serial).send().await.unwrap();
    assert!(iam.list_ssh_public_keys().user_name("ben").send().await.unwrap().ssh_public_keys().is_empty());
    iam.delete_user().user_name("ben").send().await.unwrap();
}

#[tokio::test]
async fn a_group_is_made_filled_and_deleted_when_empty() {
    let simulator = world(WORLD);
    let iam = client(&simulator);
    let deny = "arn:aws:iam::222222222222:policy/p/deny";
    let made = iam.create_group().group_name("new").path("/x/").send().await.unwrap().group.unwrap();
    assert_eq!(made.arn(), "arn:aws:iam::222222222222:group/x/new");
    assert_eq!(refused!(iam.create_group().group_name("new")), "EntityAlreadyExists");
    iam.attach_group_policy().group_name("new").policy_arn(deny).send().await.unwrap();
    iam.put_group_policy()
        .group_name("new")
        .policy_name("own")
        .policy_document(DOCUMENT)
        .send()
        .await
        .unwrap();
    assert!(iam.get_group_policy().group_name("new").policy_name("own").send().await.is_ok());
    assert_eq!(iam.list_group_policies().group_name("new").send().await.unwrap().policy_names(), ["own"]);
    assert_eq!(
        iam.list_attached_group_policies().group_name("new").send().await.unwrap().attached_policies().len(),
        1
    );
    iam.add_user_to_group().group_name("new").user_name("ann").send().await.unwrap();
    iam.update_group().group_name("new").new_group_name("newer").send().await.unwrap();
    assert_eq!(iam.get_group().group_name("newer").send().await.unwrap().users().len(), 1);
    let delete = || iam.delete_group().group_name("newer");
    assert_eq!(refused!(delete()), "DeleteConflict");
    iam.remove_user_from_group().group_name("newer").user_name("ann").send().await.unwrap();
    assert_eq!(refused!(delete()), "DeleteConflict");
    iam.detach_group_policy().group_name("newer").policy_arn(deny).send().await.unwrap();
    assert_eq!(refused!(delete()), "DeleteConflict");
    iam.delete_group_policy().group_name("newer").policy_name("own").send().await.unwrap();
    delete().send().await.unwrap();
    assert_eq!(iam.list_groups().send().await.unwrap().groups().len(), 1);
    assert_eq!(refused!(iam.add_user_to_group().group_name("newer").user_name("ann")), "NoSuchEntity");
}

#[tokio::test]
async fn a_role_is_made_changed_and_deleted() {
    let simulator = world(WORLD);
    let iam = client(&simulator);
    let audit = "arn:aws:iam::aws:policy/SecurityAudit";
    let create = || iam.create_role().role_name("new").assume_role_policy_document(TRUST);
    assert_eq!(refused!(create().max_session_duration(60)), "ValidationError");
    assert_eq!(refused!(create().assume_role_policy_document(DOCUMENT)), "MalformedPolicyDocument");
    let nobody = TRUST.replace("222222222222", "arn:aws:iam::222222222222:user/nobody");
    assert_eq!(refused!(create().assume_role_policy_document(nobody)), "MalformedPolicyDocument");
    let made = create()
        .description("one")
        .max_session_duration(7200)
        .tags(tag("a", "b"))
        .permissions_boundary(audit);
    let made = made.send().await.unwrap().role.unwrap();
    assert_eq!((made.description(), made.max_session_duration()), (Some("one"), Some(7200)));
    let trust = decoded(made.assume_role_policy_document().unwrap());
    assert_eq!(
        trust["Statement"][0]["Principal"]["AWS"], "arn:aws:iam::222222222222:root",
        "as AWS writes it"
    );
    assert_eq!(refused!(create()), "EntityAlreadyExists");
    iam.update_role().role_name("new").description("two").send().await.unwrap();
    let role = iam.get_role().role_name("new").send().await.unwrap().role.unwrap();
    assert_eq!(
        (role.description(), role.max_session_duration(), role.tags().len()),
        (Some("two"), Some(7200), 1)
    );
    iam.update_assume_role_policy().role_name("new").policy_document(TRUST).send().await.unwrap();
    assert_eq!(
        refused!(iam.update_assume_role_policy().role_name("new").policy_document("{")),
        "MalformedPolicyDocument"
    );
    iam.tag_role().role_name("new").tags(tag("c", "d")).send().await.unwrap();
    iam.untag_role().role_name("new").tag_keys("a").send().await.unwrap();
    assert_eq!(iam.list_role_tags().role_name("new").send().await.unwrap().tags().len(), 1);
    iam.attach_role_policy().role_name("new").policy_arn(audit).send().await.unwrap();
    assert_eq!(
        iam.list_attached_role_policies().role_name("new").send().await.unwrap().attached_policies().len(),
        1
    );
    iam.put_role_policy().role_name("new").policy_name("own").policy_document(DOCUMENT).send().await.unwrap();
    assert!(iam.get_role_policy().role_name("new").policy_name("own").send().await.is_ok());
    assert_eq!(iam.list_role_policies().role_name("new").send().await.unwrap().policy_names(), ["own"]);
    iam.delete_role_permissions_boundary().role_name("new").send().await.unwrap();
    iam.put_role_permissions_boundary().role_name("new").permissions_boundary(audit).send().await.unwrap();
    assert_eq!(refused!(iam.delete_role().role_name("new")), "DeleteConflict");
    iam.detach_role_policy().role_name("new").policy_arn(audit).send().await.unwrap();
    assert_eq!(refused!(iam.delete_role().role_name("new")), "DeleteConflict");
    iam.delete_role_policy().role_name("new").policy_name("own").send().await.unwrap();
    assert!(
        iam.list_instance_profiles_for_role()
            .role_name("new")
            .send()
            .await
            .unwrap()
            .instance_profiles()
            .is_empty()
    );
    iam.delete_role().role_name("new").send().await.unwrap();
}

#[tokio::test]
async fn a_policy_has_at_most_five_versions_and_numbers_are_never_given_twice() {
    let simulator = world(WORLD);
    let iam = client(&simulator);
    let create = || iam.create_policy().policy_name("new").policy_document(DOCUMENT);
    let made =
        create().path("/x/").description("words").tags(tag("a", "b")).send().await.unwrap().policy.unwrap();
    assert_eq!((made.description(), made.default_version_id()), (Some("words"), Some("v1")));
    let arn = made.arn().unwrap();
    assert_eq!(refused!(create()), "EntityAlreadyExists");
    let version = || iam.create_policy_version().policy_arn(arn).policy_document(DOCUMENT);
    assert_eq!(refused!(version().policy_document("{}")), "MalformedPolicyDocument");
    let two = version().set_as_default(true).send().await.unwrap().policy_version.unwrap();
    assert_eq!((two.version_id(), two.is_default_version()), (Some("v2"), true));
    for _ in 0..3 {
        version().send().await.unwrap();
    }
    assert_eq!(refused!(version()), "LimitExceeded");
    assert_eq!(refused!(iam.delete_policy_version().policy_arn(arn).version_id("v2")), "DeleteConflict");
    iam.delete_policy_version().policy_arn(arn).version_id("v5").send().await.unwrap();
    let six = version().send().await.unwrap().policy_version.unwrap();
    assert_eq!((six.version_id(), six.is_default_version()), (Some("v6"), false));
    iam.set_default_policy_version().policy_arn(arn).version_id("v6").send().await.unwrap();
    assert_eq!(
        iam.get_policy().policy_arn(arn).send().await.unwrap().policy.unwrap().default_version_id(),
        Some("v6")
    );
    let document = iam
        .get_policy_version()
        .policy_arn(arn)
        .version_id("v1")
        .send()
        .await
        .unwrap()
        .policy_version
        .unwrap();
    assert_eq!(decoded(document.document().unwrap())["Version"], "2012-10-17");
    let mut versions = Vec::new();
    let mut pages = iam.list_policy_versions().policy_arn(arn).into_paginator().items().send();
    while let Some(version) = pages.next().await {
        versions.push(version.unwrap().version_id.unwrap());
    }
    assert_eq!(versions, ["v1", "v2", "v3", "v4", "v6"]);
    iam.tag_policy().policy_arn(arn).tags(tag("c", "d")).send().await.unwrap();
    iam.untag_policy().policy_arn(arn).tag_keys("a").send().await.unwrap();
    assert_eq!(iam.list_policy_tags().policy_arn(arn).send().await.unwrap().tags()[0].key(), "c");

    iam.attach_user_policy().user_name("cleo").policy_arn(arn).send().await.unwrap();
    assert_eq!(refused!(iam.delete_policy().policy_arn(arn)), "DeleteConflict");
    assert_eq!(iam.list_entities_for_policy().policy_arn(arn).send().await.unwrap().policy_users().len(), 1);
    iam.detach_user_policy().user_name("cleo").policy_arn(arn).send().await.unwrap();
    assert_eq!(refused!(iam.delete_policy().policy_arn(arn)), "DeleteConflict");
    for version in ["v1", "v2", "v3", "v4"] {
        iam.delete_policy_version().policy_arn(arn).version_id(version).send().await.unwrap();
    }
    iam.delete_policy().policy_arn(arn).send().await.unwrap();
    assert_eq!(refused!(iam.get_policy().policy_arn(arn)), "NoSuchEntity");
    let own = iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local).send().await.unwrap();
    assert_eq!(own.policies().len(), 1);
}

#[tokio::test]
async fn quotas_are_aws_s() {
    let simulator = world(WORLD);
    let iam = client(&simulator);
    let long = DOCUMENT.replace("s3:Get*", &"s".repeat(7000));
    assert_eq!(refused!(iam.create_policy().policy_name("x").policy_document(long)), "LimitExceeded");
    for number in 0..10 {
        let group = format!("g{number}");
        iam.create_group().group_name(&group).send().await.unwrap();
        let policy = iam.create_policy().policy_name(&group).policy_document(DOCUMENT).send().await.unwrap();
        let arn = policy.policy.unwrap().arn.unwrap();
        iam.attach_role_policy().role_name("worker").policy_arn(arn).send().await.map_or_else(
            |error| assert_eq!((number, error.code()), (9, Some("LimitExceeded"))),
            |_| assert!(number < 9),
        );
        iam.add_user_to_group().user_name("ann").group_name(group).send().await.map_or_else(
            |error| assert_eq!((number, error.code()), (9, Some("LimitExceeded"))),
            |_| assert!(number < 9),
        );
    }
}

#[tokio::test]
async fn accounts_are_reached_by_credentials_of_their_own() {
    let simulator = world(WORLD);
    let sts = aws_sdk_sts::Client::new(&config(&simulator, "AKIDTEST"));
    let me = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(
        (me.account(), me.arn()),
        (Some("222222222222"), Some("arn:aws:iam::222222222222:user/rolecall"))
    );
    let assume = |role: &str| {
        sts.assume_role().role_arn(format!("arn:aws:iam::111111111111:role/{role}")).role_session_name("test")
    };
    assert_eq!(refused!(assume("closed")), "AccessDenied");
    assert_eq!(refused!(assume("none")), "AccessDenied");
    assert_eq!(refused!(assume("audit/reader").duration_seconds(7200)), "ValidationError");
    let session = assume("audit/reader").send().await.unwrap();
    let key = session.credentials().unwrap().access_key_id().to_owned();
    let there = config(&simulator, &key);
    let me = aws_sdk_sts::Client::new(&there).get_caller_identity().send().await.unwrap();
    assert_eq!(me.arn(), Some("arn:aws:sts::111111111111:assumed-role/reader/test"));
    let iam = aws_sdk_iam::Client::new(&there);
    assert_eq!(iam.list_roles().send().await.unwrap().roles().len(), 2);
    assert_eq!(refused!(iam.get_user().user_name("ann")), "NoSuchEntity");
    simulator.clock().advance(std::time::Duration::from_secs(3600));
    assert_eq!(refused!(iam.list_roles()), "ExpiredToken");

    let ben =
        aws_sdk_sts::Client::new(&config(&simulator, "AKIABEN")).get_caller_identity().send().await.unwrap();
    assert_eq!(ben.arn(), Some("arn:aws:iam::222222222222:user/service/ben"));
    let unknown = aws_sdk_sts::Client::new(&config(&simulator, "ASIAUNKNOWN"));
    assert_eq!(refused!(unknown.get_caller_identity()), "InvalidClientTokenId");
    let mut unsigned = iam_request();
    unsigned.headers_mut().remove("authorization");
    assert!(text(&simulator.handle(&unsigned)).contains("MissingAuthenticationToken"));
}

/// A trap for whoever uses the client: it takes what is there for all there is.
#[tokio::test]
async fn the_client_takes_half_an_answer_for_a_whole_one_so_its_user_must_check() {
    let simulator = world(WORLD);
    simulator.faults().once("iam:ListUsers", Fault::Truncated);
    let half = client(&simulator).list_users().send().await.unwrap();
    assert!(half.users().len() < 3 && !half.is_truncated());
    simulator.faults().once("iam:ListUsers", Fault::Truncated);
    let answer = simulator.call(iam_request()).await.unwrap();
    assert!(!text(&answer).ends_with("</ListUsersResponse>"));
}

fn iam_request() -> http::Request<Bytes> {
    iam("Action=ListUsers")
}

#[tokio::test]
async fn the_client_understands_every_fault() {
    let simulator = world(WORLD);
    let iam = client(&simulator);
    let cases = [
        (Fault::Throttled, Some("Throttling")),
        (Fault::Denied, Some("AccessDenied")),
        (Fault::Unauthorized, Some("InvalidClientTokenId")),
        (Fault::Status(503), Some("ServiceUnavailable")),
        (Fault::Status(500), Some("ServiceFailure")),
        (Fault::ResetAfter, None),
        (Fault::Html(502), None),
    ];
    for (fault, code) in cases {
        simulator.faults().once("iam:ListUsers", fault);
        let error = iam.list_users().send().await.unwrap_err();
        assert_eq!(error.code(), code, "{fault:?}");
    }
    assert_eq!(refused!(aws_sdk_iam::Client::list_saml_providers(&iam)), "InvalidAction");
}

impl Simulator {
    fn clock_seconds(&self) -> i64 {
        use crate::provider::Clock as _;
        self.clock().now().as_second()
    }
}
