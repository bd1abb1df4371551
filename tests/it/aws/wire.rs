//! What moto cannot show: paging, wrong accounts, lost answers, slow consistency; against scripted answers, in
//! virtual time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use rolecall::provider::{Clock, Effect, ErrorKind, Transport, TransportError, VirtualClock};

use super::*;

const ACCOUNT: &str = "222222222222";

type Answer = Result<(u16, String), TransportError>;

/// Answers by a function of the action and the form's fields, and keeps what was asked.
struct Script<F> {
    asked: Mutex<Vec<BTreeMap<String, String>>>,
    answer: F,
}

impl<F> std::fmt::Debug for Script<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

#[async_trait]
impl<F: Fn(&str, &BTreeMap<String, String>, usize) -> Answer + Send + Sync> Transport for Script<F> {
    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(request.body())
            .map(|(k, v)| (k.into_owned(), v.into_owned()))
            .collect();
        let action = form["Action"].clone();
        let before = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(form.clone());
            asked.iter().filter(|form| form["Action"] == action).count() - 1
        };
        if action == "GetCallerIdentity" {
            let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ci");
            return Ok(response(
                200,
                result(&action, &format!("<Arn>{arn}</Arn><Account>{ACCOUNT}</Account>")),
            ));
        }
        (self.answer)(&action, &form, before).map(|(status, body)| response(status, body))
    }
}

impl<F> Script<F> {
    fn actions(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|form| form["Action"].clone()).collect()
    }
}

fn response(status: u16, body: String) -> http::Response<Bytes> {
    http::Response::builder().status(status).body(body.into()).unwrap()
}

fn result(action: &str, inner: &str) -> String {
    format!(
        "<{action}Response><{action}Result>{inner}</{action}Result>\
         <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></{action}Response>"
    )
}

fn ok(action: &str, inner: &str) -> Answer {
    Ok((200, result(action, inner)))
}

fn refused(status: u16, code: &str) -> Answer {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>");
    Ok((status, format!("<ErrorResponse>{error}<RequestId>r-2</RequestId></ErrorResponse>")))
}

fn lost() -> Answer {
    Err(TransportError { message: "the connection closed".into(), maybe_sent: true })
}

struct World<F> {
    script: Arc<Script<F>>,
    clock: Arc<VirtualClock>,
    aws: Box<dyn Provider>,
}

fn world_of<F>(account: &str, answer: F) -> World<F>
where
    F: Fn(&str, &BTreeMap<String, String>, usize) -> Answer + Send + Sync + 'static,
{
    let script = Arc::new(Script { asked: Mutex::default(), answer });
    let clock = Arc::new(VirtualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let transport: Arc<dyn Transport> = script.clone();
    let wiring = Wiring { transport: Some(transport), clock: clock.clone(), ..wiring() };
    let aws = open(&settings(&format!(r#"{{"account": "{account}"}}"#)), &wiring).unwrap();
    World { script, clock, aws }
}

fn world<F>(answer: F) -> World<F>
where
    F: Fn(&str, &BTreeMap<String, String>, usize) -> Answer + Send + Sync + 'static,
{
    world_of(ACCOUNT, answer)
}

fn user(name: &str) -> Change {
    let address = Address::new("aws", Some(ACCOUNT), "user", name);
    Change { after: Some(Attributes::new()), ..change(Op::Create, &address) }
}

const USER: &str = "<User><Path>/</Path><UserName>ci</UserName><UserId>AIDA1</UserId><Arn>a</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></User>";

/// The answers to the reads of a user that has nothing.
fn bare_user(action: &str) -> Answer {
    match action {
        "GetUser" => ok(action, USER),
        "ListGroupsForUser" => ok(action, "<Groups/>"),
        "ListAttachedUserPolicies" => ok(action, "<AttachedPolicies/>"),
        "ListUserPolicies" => ok(action, "<PolicyNames/>"),
        "ListAccessKeys" => ok(action, "<AccessKeyMetadata/>"),
        "GetLoginProfile" => refused(404, "NoSuchEntity"),
        "ListMFADevices" => ok(action, "<MFADevices/>"),
        other => panic!("{other} was not expected"),
    }
}

#[tokio::test]
async fn credentials_of_another_account_are_refused_before_any_other_call() {
    let world = world_of("333333333333", |_, _, _| panic!("nothing else may be called"));
    let error = world.aws.identity().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.message.contains("222222222222") && error.message.contains("333333333333"), "{error}");
    let seen = world.aws.observe(&BTreeSet::new()).await;
    assert!(matches!(seen.coverage["aws/333333333333"], Coverage::Partial(_)), "{seen:?}");
    assert!(apply(&*world.aws, &[user("ci")], &Snapshot::default()).await.is_err());
    assert!(world.script.actions().iter().all(|action| action == "GetCallerIdentity"));
}

#[tokio::test]
async fn the_caller_of_a_session_is_its_role() {
    let world = world(|_, _, _| panic!("nothing else is called"));
    let caller = world.aws.identity().await.unwrap();
    assert_eq!(caller.principal.unwrap().as_str(), "aws/222222222222:role/deployer");
    assert_eq!(world.aws.calls(), 1);
}

fn page(action: &str, form: &BTreeMap<String, String>, pages: usize) -> Answer {
    let page: usize = form.get("Marker").map_or(0, |marker| marker.parse().unwrap());
    let more = if page + 1 < pages {
        format!("<IsTruncated>true</IsTruncated><Marker>{}</Marker>", page + 1)
    } else {
        "<IsTruncated>false</IsTruncated>".to_owned()
    };
    let user = format!(
        "<member><UserName>u{page}</UserName><Path>/</Path><GroupList><member>g</member></GroupList></member>"
    );
    match action {
        "GetAccountAuthorizationDetails" => {
            ok(action, &format!("<UserDetailList>{user}</UserDetailList>{more}"))
        }
        _ => ok(action, &format!("<Roles/>{more}")),
    }
}

#[tokio::test]
async fn the_sweep_follows_every_page_and_asks_for_what_is_managed_only() {
    let world = world(|action, form, _| page(action, form, 3));
    let seen = observe(&*world.aws).await;
    assert_eq!((seen.resources.len(), seen.grants.len()), (3, 3));
    let asked = world.script.asked.lock().unwrap();
    let first = asked.iter().find(|form| form["Action"] == "GetAccountAuthorizationDetails").unwrap();
    let filter: BTreeSet<&str> =
        first.iter().filter(|(k, _)| k.starts_with("Filter.")).map(|(_, v)| v.as_str()).collect();
    assert_eq!(filter, BTreeSet::from(["User", "Group", "Role", "LocalManagedPolicy"]));
    assert_eq!(first["MaxItems"], "1000");
    assert_eq!(asked.len(), 1 + 3 + 3);
    assert_eq!(seen.calls["aws"], 7);
}

#[tokio::test]
async fn invariant_11_a_page_that_fails_makes_the_account_partial() {
    for failing in ["GetAccountAuthorizationDetails", "ListRoles"] {
        let world = world(move |action, form, _| {
            if action == failing && form.contains_key("Marker") {
                refused(403, "AccessDenied")
            } else {
                page(action, form, 2)
            }
        });
        let seen = world.aws.observe(&BTreeSet::new()).await;
        assert!(
            matches!(&seen.coverage["aws/222222222222"], Coverage::Partial(why) if why.contains("AccessDenied"))
        );
    }
}

#[tokio::test]
async fn what_aws_keeps_for_itself_is_no_resource_and_the_mark_is_no_tag() {
    let role = |name: &str, path: &str| {
        format!(
            "<member><RoleName>{name}</RoleName><Path>{path}</Path><AttachedManagedPolicies><member>\
             <PolicyArn>arn:aws:iam::aws:policy/service-role/X</PolicyArn></member></AttachedManagedPolicies>\
             <Tags><member><Key>managed-by</Key><Value>rolecall</Value></member>\
             <member><Key>a</Key><Value>b</Value></member></Tags></member>"
        )
    };
    let roles = [
        role("AWSServiceRoleForX", "/aws-service-role/x.amazonaws.com/"),
        role("AWSReservedSSO_A_1", "/aws-reserved/sso.amazonaws.com/"),
        role("OrganizationAccountAccessRole", "/"),
        role("ours", "/"),
    ]
    .concat();
    let world = world(move |action, _, _| match action {
        "ListRoles" => ok(action, "<Roles/>"),
        _ => ok(action, &format!("<RoleDetailList>{roles}</RoleDetailList>")),
    });
    let seen = observe(&*world.aws).await;
    let ours: Address = "aws/222222222222:role/ours".parse().unwrap();
    assert_eq!(seen.resources.keys().collect::<Vec<_>>(), [&ours]);
    assert_eq!(seen.resources[&ours].attributes["tags"], Value::map([("a", "b")]));
    assert_eq!(seen.grants[0].key.resource.as_str(), "managed:service-role/X");
    assert_eq!(seen.grants.len(), 1);
}

#[tokio::test]
async fn invariant_01_a_change_without_a_permit_is_refused_without_a_call() {
    let world = world(|_, _, _| panic!("nothing may be called"));
    let writer = world.aws.writer(&permit(&[user("other")]), &Snapshot::default());
    assert_eq!(writer.write(&user("ci")).await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(world.aws.calls(), 0);
}

#[tokio::test]
async fn a_creation_is_not_repeated_when_it_may_be_done_and_is_when_it_is_not() {
    for (first, effect) in [
        (lost(), Effect::Unknown),
        (Ok((503, String::new())), Effect::Unknown),
        (refused(403, "AccessDenied"), Effect::None),
    ] {
        let world = world(move |_, _, _| first.clone());
        let writer = world.aws.writer(&permit(&[user("ci")]), &Snapshot::default());
        assert_eq!(writer.write(&user("ci")).await.unwrap_err().effect, effect);
        assert_eq!(world.script.actions(), ["GetCallerIdentity", "CreateUser"]);
    }
    let unsent = Err(TransportError { message: "refused".into(), maybe_sent: false });
    for first in [unsent, refused(400, "Throttling")] {
        let world =
            world(move |action, _, before| if before == 0 { first.clone() } else { ok(action, USER) });
        apply(&*world.aws, &[user("ci")], &Snapshot::default()).await.unwrap();
        assert_eq!(world.script.actions(), ["GetCallerIdentity", "CreateUser", "CreateUser"]);
    }
}

#[tokio::test]
async fn invariant_25_what_an_unknown_creation_made_is_completed_and_not_made_again() {
    let document =
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "a:b", "Resource": "*"}]}"#;
    let create = Change {
        after: Some(BTreeMap::from([(
            "inline".into(),
            Value::map([("i", canonical(&node(document).to_value()))]),
        )])),
        ..user("ci")
    };
    let world = world(|action, _, _| match action {
        "CreateUser" => lost(),
        "PutUserPolicy" => ok(action, ""),
        other => bare_user(other),
    });
    let writer = world.aws.writer(&permit(std::slice::from_ref(&create)), &Snapshot::default());
    assert_eq!(writer.write(&create).await.unwrap_err().effect, Effect::Unknown);
    writer.write(&create).await.unwrap();
    let actions = world.script.actions();
    assert_eq!(actions.iter().filter(|action| *action == "CreateUser").count(), 1);
    assert_eq!(actions.iter().filter(|action| *action == "PutUserPolicy").count(), 1);
}

#[tokio::test]
async fn a_name_that_someone_else_took_is_not_taken_over() {
    let create = Change { after: Some(BTreeMap::from([("path".into(), "/ours/".into())])), ..user("ci") };
    let world = world(|action, _, _| match action {
        "CreateUser" => refused(409, "EntityAlreadyExists"),
        other => bare_user(other),
    });
    let error = apply(&*world.aws, &[create], &Snapshot::default()).await.unwrap_err();
    assert_eq!((error.kind, error.effect), (ErrorKind::Conflict, Effect::None));
    assert!(error.message.contains("`path`"), "{error}");
}

#[tokio::test]
async fn invariant_27_iam_is_given_the_seconds_it_needs_to_know_what_was_made() {
    let group: Address = "aws/222222222222:group/g".parse().unwrap();
    let join = edge(Op::Grant, &GrantKey::new(&user("ci").address, "member", &group));
    let world = world(|action, _, before| match action {
        "CreateUser" => ok(action, USER),
        _ if before < 3 => refused(404, "NoSuchEntity"),
        _ => ok(action, ""),
    });
    let start = world.clock.now();
    apply(&*world.aws, &[user("ci"), join.clone()], &Snapshot::default()).await.unwrap();
    assert_eq!(world.clock.now().duration_since(start).as_secs(), 1 + 2 + 4);

    let strict = self::world(|_, _, _| refused(404, "NoSuchEntity"));
    let error = apply(&*strict.aws, &[join], &Snapshot::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(strict.script.actions().len(), 2, "nothing was made, so there is nothing to wait for");
}

#[tokio::test]
async fn invariant_23_taking_away_what_is_gone_is_done() {
    let policy = Address::reserved("managed", "X");
    let revoke = edge(Op::Revoke, &GrantKey::new(&user("ci").address, "attached", &policy));
    let delete = change(Op::Delete, &user("ci").address);
    let world = world(|_, _, _| refused(404, "NoSuchEntity"));
    apply(&*world.aws, &[revoke, delete], &Snapshot::default()).await.unwrap();
    assert_eq!(world.script.actions(), ["GetCallerIdentity", "DetachUserPolicy", "GetUser"]);
}

#[tokio::test]
async fn an_update_writes_only_the_fields_and_keys_that_change() {
    let tags = |pairs: &[(&str, &str)]| Value::map(pairs.iter().copied());
    let update = Change {
        before: Some(BTreeMap::from([("tags".into(), tags(&[("a", "1"), ("b", "1"), ("c", "1")]))])),
        after: Some(BTreeMap::from([
            ("tags".into(), tags(&[("a", "1"), ("b", "2"), ("d", "1")])),
            ("boundary".into(), "managed:X".into()),
        ])),
        fields: BTreeSet::from(["tags".into(), "boundary".into()]),
        ..change(Op::Update, &user("ci").address)
    };
    let world = world(|action, _, _| ok(action, ""));
    apply(&*world.aws, &[update], &Snapshot::default()).await.unwrap();
    let asked = world.script.asked.lock().unwrap();
    let by = |action: &str| asked.iter().find(|form| form["Action"] == action).unwrap();
    assert_eq!(asked.len(), 4);
    assert_eq!(by("PutUserPermissionsBoundary")["PermissionsBoundary"], "arn:aws:iam::aws:policy/X");
    let tagged: Vec<&str> =
        by("TagUser").iter().filter(|(k, _)| k.ends_with(".Key")).map(|(_, v)| v.as_str()).collect();
    assert_eq!(tagged, ["b", "d"]);
    let untagged: Vec<&str> =
        by("UntagUser").iter().filter(|(k, _)| k.starts_with("TagKeys")).map(|(_, v)| v.as_str()).collect();
    assert_eq!(untagged, ["c"]);
}

#[tokio::test]
async fn a_new_version_that_may_exist_is_not_made_twice() {
    let policy: Address = "aws/222222222222:policy/p".parse().unwrap();
    let text =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["a:b"],"Resource":["*"]}]}"#;
    let document = canonical(&node(text).to_value());
    let update = Change {
        before: Some(BTreeMap::from([("document".into(), Value::Null)])),
        after: Some(BTreeMap::from([("document".into(), document)])),
        fields: BTreeSet::from(["document".into()]),
        ..change(Op::Update, &policy)
    };
    let world = world(move |action, form, _| {
        let arn = "arn:aws:iam::222222222222:policy/teams/p";
        assert_eq!(form["PolicyArn"], arn, "the path is part of it");
        match action {
            "CreatePolicyVersion" => lost(),
            "GetPolicy" => ok(
                action,
                &format!("<Policy><Arn>{arn}</Arn><DefaultVersionId>v2</DefaultVersionId></Policy>"),
            ),
            "GetPolicyVersion" => {
                ok(action, &format!("<PolicyVersion><Document>{text}</Document></PolicyVersion>"))
            }
            _ => ok(action, "<PolicyGroups/><PolicyUsers/><PolicyRoles/>"),
        }
    });
    let mut live = Snapshot::default();
    let attributes = BTreeMap::from([("path".into(), "/teams/".into())]);
    live.resources.insert(policy, rolecall::model::Resource { attributes, ..Default::default() });
    let writer = world.aws.writer(&permit(std::slice::from_ref(&update)), &live);
    assert_eq!(writer.write(&update).await.unwrap_err().effect, Effect::Unknown);
    writer.write(&update).await.unwrap();
    assert_eq!(world.script.actions().iter().filter(|action| *action == "CreatePolicyVersion").count(), 1);
}

#[tokio::test]
async fn invariant_28_a_throttle_is_waited_out_in_virtual_time_and_has_an_end() {
    let throttles = Arc::new(AtomicUsize::new(0));
    let counted = throttles.clone();
    let world = world(move |action, form, _| {
        if counted.fetch_add(1, Ordering::SeqCst) < 4 {
            refused(400, "Throttling")
        } else {
            page(action, form, 1)
        }
    });
    observe(&*world.aws).await;
    let endless = self::world(|_, _, _| refused(400, "Throttling"));
    let seen = endless.aws.observe(&BTreeSet::new()).await;
    assert!(
        matches!(&seen.coverage["aws/222222222222"], Coverage::Partial(why) if why.contains("Throttling"))
    );
    assert!((20..200).contains(&endless.aws.calls()), "{}", endless.aws.calls());
    assert!(throttles.load(Ordering::SeqCst) > 4);
}

#[test]
fn without_a_transport_nothing_is_opened_until_it_is_needed() {
    open(&settings(r#"{"account": "222222222222"}"#), &wiring()).unwrap();
    assert!(open(&settings(r#"{"account": "2"}"#), &wiring()).is_err());
}
