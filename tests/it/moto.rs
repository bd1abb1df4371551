//! The writer and the sweep against moto, an AWS that we did not write.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use rolecall::model::{Address, Attributes, Change, GrantKey, Lowered, Op, Snapshot, Value};
use rolecall::provider::{Provider, SystemClock, Transport, TransportError};
use rolecall::providers::Wiring;
use rolecall::providers::aws::open;

use crate::aws::{apply, change, changes, converge, desired, observe, permit, settings, wiring};
use crate::servers;

/// Moto's own account.
const ACCOUNT: &str = "123456789012";

/// Sends every request to moto, whatever its host: what the SDK does with `AWS_ENDPOINT_URL`, without the environment.
#[derive(Debug)]
struct ToMoto {
    url: String,
    client: reqwest::Client,
}

#[async_trait]
impl Transport for ToMoto {
    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let lost = |error: reqwest::Error| TransportError { message: error.to_string(), maybe_sent: true };
        let (parts, body) = request.into_parts();
        let sent =
            self.client.post(&self.url).headers(parts.headers).body(body).send().await.map_err(lost)?;
        let mut answer = http::Response::builder().status(sent.status());
        for (name, value) in sent.headers() {
            answer = answer.header(name, value);
        }
        Ok(answer.body(sent.bytes().await.map_err(lost)?).unwrap())
    }
}

fn aws(moto: &servers::Moto) -> Box<dyn Provider> {
    let transport = ToMoto { url: moto.url(), client: reqwest::Client::new() };
    let wiring = Wiring { transport: Some(Arc::new(transport)), clock: Arc::new(SystemClock), ..wiring() };
    open(&settings(&format!(r#"{{"account": "{ACCOUNT}", "name": "ci"}}"#)), &wiring).unwrap()
}

const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}}"#;

fn allow(action: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}]}}"#
    )
}

#[tokio::test]
async fn each_kind_is_made_changed_and_removed_and_the_second_plan_is_empty() {
    let Some(moto) = servers::Moto::start("aws::each_kind", &[]) else { return };
    let aws = aws(&moto);
    let (get, put) = (allow("s3:GetObject"), allow("s3:PutObject"));
    let none = Lowered::default();
    let first = desired(
        ACCOUNT,
        &[
            (
                "aws/Policy",
                "edge",
                &format!(r#"{{"path": "/x/", "description": "the edge", "document": {get}}}"#),
            ),
            (
                "aws/Group",
                "deployers",
                &format!(r#"{{"policies": ["managed:ReadOnlyAccess", "edge"], "inline": {{"a": {get}}}}}"#),
            ),
            (
                "aws/User",
                "ci",
                &format!(
                    r#"{{"path": "/service/", "tags": {{"team": "platform"}}, "groups": ["deployers"], "policies": ["edge"], "inline": {{"a": {get}}}}}"#
                ),
            ),
            (
                "aws/Role",
                "reader",
                &format!(
                    r#"{{"trust": {TRUST}, "description": "reads", "max_session": "2h", "policies": ["managed:service-role/AWSLambdaBasicExecutionRole"], "inline": {{"a": {get}}}, "boundary": "edge", "tags": {{"a": "b"}}}}"#
                ),
            ),
        ],
    );
    let made = converge(&*aws, &none, &first).await;
    assert_eq!(made.len(), 4 + 5);

    let second = desired(
        ACCOUNT,
        &[
            ("aws/Policy", "edge", &format!(r#"{{"document": {put}}}"#)),
            ("aws/Group", "deployers", &format!(r#"{{"policies": ["edge"], "inline": {{"b": {get}}}}}"#)),
            (
                "aws/User",
                "ci",
                &format!(r#"{{"tags": {{"stage": "prod"}}, "groups": [], "inline": {{"a": {put}}}}}"#),
            ),
            (
                "aws/Role",
                "reader",
                &format!(
                    r#"{{"trust": {}, "description": "writes", "boundary": "none", "tags": {{"a": "c"}}}}"#,
                    TRUST.replace("123456789012", "arn:aws:iam::111111111111:root")
                ),
            ),
        ],
    );
    let changed = converge(&*aws, &first, &second).await;
    assert_eq!(changed.iter().filter(|change| change.op == Op::Update).count(), 4, "{changed:#?}");
    let live = observe(&*aws).await;
    let role = &live.resources[&"aws/123456789012:role/reader".parse().unwrap()].attributes;
    assert_eq!(role["max_session"], Value::Int(7200), "an update of the description leaves the session");

    converge(&*aws, &second, &none).await;
    assert_eq!(observe(&*aws).await.resources.len(), 0);
}

#[tokio::test]
async fn a_policy_that_changes_often_keeps_within_five_versions() {
    let Some(moto) = servers::Moto::start("aws::versions", &[]) else { return };
    let aws = aws(&moto);
    let mut base = Lowered::default();
    for n in 0..8 {
        let body = format!(r#"{{"document": {}}}"#, allow(&format!("s3:Get{n}")));
        let head = desired(ACCOUNT, &[("aws/Policy", "p", &body)]);
        converge(&*aws, &base, &head).await;
        base = head;
    }
    converge(&*aws, &base, &Lowered::default()).await;
}

#[tokio::test]
async fn invariant_25_a_lost_answer_is_read_and_what_was_made_is_kept() {
    let Some(moto) = servers::Moto::start("aws::a_lost_answer", &["--lose-answer", "1"]) else { return };
    let aws = aws(&moto);
    let head = desired(ACCOUNT, &[("aws/User", "ci", r#"{"tags": {"team": "platform"}}"#)]);
    let live = observe(&*aws).await;
    let changes = changes(&Lowered::default(), &head, &live);
    let writer = aws.writer(&permit(&changes), &live);
    let error = writer.write(&changes[0]).await.unwrap_err();
    assert_eq!(error.effect, rolecall::provider::Effect::Unknown, "{error}");
    assert_eq!(moto.counts().calls["iam:CreateUser"], 1, "it is not repeated blindly");
    writer.write(&changes[0]).await.unwrap();
    assert_eq!(moto.counts().calls["iam:CreateUser"], 1, "it is read instead");
    assert_eq!(crate::aws::changes(&head, &head, &observe(&*aws).await), []);
}

#[tokio::test]
async fn invariant_28_throttles_are_waited_out() {
    let Some(moto) = servers::Moto::start("aws::throttles", &["--throttle-every", "3"]) else { return };
    let aws = aws(&moto);
    let head = desired(
        ACCOUNT,
        &[
            ("aws/User", "a", "{}"),
            ("aws/User", "b", "{}"),
            ("aws/Group", "c", "{}"),
            ("aws/Group", "d", "{}"),
        ],
    );
    converge(&*aws, &Lowered::default(), &head).await;
    assert!(moto.counts().throttled > 0);
}

#[tokio::test]
async fn a_user_goes_with_what_the_plan_showed_and_with_nothing_else() {
    let Some(moto) = servers::Moto::start("aws::a_deletion", &[]) else { return };
    let aws = aws(&moto);
    let head = desired(
        ACCOUNT,
        &[
            ("aws/Group", "g", "{}"),
            ("aws/User", "ci", r#"{"groups": ["g"], "policies": ["managed:SecurityAudit"]}"#),
        ],
    );
    converge(&*aws, &Lowered::default(), &head).await;
    raw(&moto, "Action=CreateAccessKey&UserName=ci").await;
    raw(&moto, "Action=CreateLoginProfile&UserName=ci&Password=x").await;

    let user: Address = "aws/123456789012:user/ci".parse().unwrap();
    let live = observe(&*aws).await;
    let blind = change(Op::Delete, &user);
    let error = apply(&*aws, std::slice::from_ref(&blind), &live).await.unwrap_err();
    assert_eq!(error.kind, rolecall::provider::ErrorKind::Conflict);
    assert!(error.message.contains("access key AKIA"), "{error}");

    let dependents = aws.read(&user).await.unwrap().resources[&user].dependents.clone();
    assert_eq!(dependents.len(), 2, "{dependents:?}");
    apply(&*aws, &[Change { dependents, ..blind.clone() }], &live).await.unwrap();
    apply(&*aws, &[blind], &live).await.unwrap();
    assert!(aws.read(&user).await.unwrap().resources.is_empty());
}

#[tokio::test]
async fn a_user_is_cut_off_and_then_has_nothing_left_to_cut_off() {
    let Some(moto) = servers::Moto::start("aws::a_cut_off", &[]) else { return };
    let aws = aws(&moto);
    converge(&*aws, &Lowered::default(), &desired(ACCOUNT, &[("aws/User", "ci", "{}")])).await;
    raw(&moto, "Action=CreateAccessKey&UserName=ci").await;
    raw(&moto, "Action=CreateAccessKey&UserName=ci").await;
    raw(&moto, "Action=CreateLoginProfile&UserName=ci&Password=x").await;
    let user: Address = "aws/123456789012:user/ci".parse().unwrap();
    let live = observe(&*aws).await;
    let cut = aws.cut_offs(&user).await.unwrap();
    assert_eq!(cut.len(), 3, "{cut:?}");
    let changes: Vec<Change> = cut
        .iter()
        .map(|cut| {
            let after = Attributes::from([(cut.field.clone(), Value::text(cut.after.clone()))]);
            let effect = Change::effect_of(Op::Update, &user, None, Some(&after), &[]);
            let fields = [cut.field.clone()].into();
            Change { after: Some(after), fields, effect, ..change(Op::Update, &user) }
        })
        .collect();
    apply(&*aws, &changes, &live).await.unwrap();
    apply(&*aws, &changes, &live).await.unwrap();
    assert_eq!(aws.cut_offs(&user).await.unwrap(), []);
}

#[tokio::test]
async fn reading_one_thing_gives_what_the_sweep_gives() {
    let Some(moto) = servers::Moto::start("aws::reading", &[]) else { return };
    let aws = aws(&moto);
    let get = allow("s3:GetObject");
    let head = desired(
        ACCOUNT,
        &[
            ("aws/Policy", "p", &format!(r#"{{"path": "/x/", "document": {get}}}"#)),
            ("aws/Group", "g", &format!(r#"{{"path": "/x/", "policies": ["p"], "inline": {{"i": {get}}}}}"#)),
            (
                "aws/User",
                "u",
                &format!(
                    r#"{{"path": "/x/", "tags": {{"a": "b"}}, "groups": ["g"], "policies": ["p"], "inline": {{"i": {get}}}}}"#
                ),
            ),
            (
                "aws/Role",
                "r",
                &format!(
                    r#"{{"path": "/x/", "trust": {TRUST}, "policies": ["p"], "boundary": "p", "inline": {{"i": {get}}}}}"#
                ),
            ),
        ],
    );
    converge(&*aws, &Lowered::default(), &head).await;
    let all = observe(&*aws).await;
    for (address, swept) in &all.resources {
        let read = aws.read(address).await.unwrap();
        assert_eq!(read.resources[address].attributes, swept.attributes, "{address}");
        let edges = |of: &Snapshot| -> BTreeMap<GrantKey, ()> {
            of.grants
                .iter()
                .filter(|g| g.key.principal == *address || g.key.resource == *address)
                .map(|g| (g.key.clone(), ()))
                .collect()
        };
        assert_eq!(edges(&read), edges(&all), "{address}");
    }
}

async fn raw(moto: &servers::Moto, form: &str) {
    let signature = "AWS4-HMAC-SHA256 Credential=AKIAX/20260101/us-east-1/iam/aws4_request";
    let request = reqwest::Client::new().post(moto.url()).header("authorization", signature);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = request.body(format!("Version=2010-05-08&{form}")).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}
