//! Reading and writing policies: where each resource has its own, and one exact read before one write for all changes of it.
//!
//! Invariant: a policy is written only with the etag of the read that it rests on. Where somebody else was faster, it is read
//! again and the very same edits are made to what is there now, so that neither side loses any.
//! It must not decide what is edited.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Gcp;
use super::client::{Client, Service, encoded};
use super::names::{self, BILLING, FOLDER, ORGANIZATION, PROJECT, SERVICE_ACCOUNT};
use super::policy::{Edit, Policy};
use super::tree;
use crate::model::{Address, Change, Coverage, Op, Snapshot, Value, grant::EXPIRES};
use crate::provider::{Effect, Error, ErrorKind, Outcome};

/// How often a policy is read again because somebody else wrote it meanwhile.
const CONFLICTS: u32 = 8;
/// The pause before that; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// The service that keeps the policy of a resource.
pub(super) fn service(resource: &Address) -> Service {
    match resource.kind() {
        SERVICE_ACCOUNT => Service::Iam,
        BILLING => Service::Billing,
        _ => Service::Resources,
    }
}

/// The full name of a resource that has a policy, with the version of the API; `None`: there is no such folder.
async fn name_of(gcp: &Gcp, client: &Client, resource: &Address) -> Result<Option<String>, Error> {
    let name = resource.name();
    Ok(Some(match resource.kind() {
        ORGANIZATION => format!("/v3/organizations/{}", encoded(&name)),
        PROJECT => format!("/v3/projects/{}", encoded(&name)),
        FOLDER => {
            let known =
                gcp.tree.lock().await.as_ref().and_then(|tree| Some(tree.folders.get(&*name)?.name.clone()));
            match known {
                Some(known) => format!("/v3/{known}"),
                None => match tree::find_folder(client, &gcp.organization(), &name).await? {
                    Some(folder) => format!("/v3/{}", folder.name),
                    None => return Ok(None),
                },
            }
        }
        SERVICE_ACCOUNT => {
            let project = names::scope(resource).unwrap_or_default();
            let email = names::email(&name, &project);
            format!("/v1/projects/{}/serviceAccounts/{}", encoded(&project), encoded(&email))
        }
        BILLING => format!("/v1/billingAccounts/{}", encoded(&name)),
        other => {
            let message = format!("a {other} has no policy of its own: `{resource}`");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }))
}

/// Reads a policy as it is just now; `None`: there is no such resource. The services differ in how they are asked for the
/// version that shows conditions. Checked November 2026:
/// https://cloud.google.com/iam/docs/policies#versions
async fn read_by(client: &Client, resource: &Address, name: &str) -> Result<Option<Policy>, Error> {
    let version = "options.requestedPolicyVersion=3";
    let read = match service(resource) {
        Service::Billing => client.get(Service::Billing, &format!("{name}:getIamPolicy?{version}")).await,
        Service::Iam => client.ask(Service::Iam, &format!("{name}:getIamPolicy?{version}"), None).await,
        _ => {
            let body = json!({ "options": { "requestedPolicyVersion": 3 } });
            client.ask(Service::Resources, &format!("{name}:getIamPolicy"), Some(&body)).await
        }
    };
    match read {
        Ok(answer) => Policy::of(answer).map(Some).ok_or_else(|| {
            Error::new(ErrorKind::Malformed, format!("the policy of `{resource}` is not what it should be"))
        }),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The edges that a resource's policy makes, just now.
pub(super) async fn read(gcp: &Gcp, resource: &Address) -> Result<Snapshot, Error> {
    let mut seen = Snapshot::default();
    seen.coverage.insert(resource.as_str().into(), Coverage::Complete);
    let Some(name) = name_of(gcp, &gcp.reads, resource).await? else { return Ok(seen) };
    if let Some(policy) = read_by(&gcp.reads, resource, &name).await? {
        let tree = tree::shared(gcp, false).await;
        let is_ours = |project: &str| tree.projects.contains_key(project);
        seen.grants = policy.edges(&gcp.instance, resource, &is_ours).into();
    }
    seen.normalize();
    Ok(seen)
}

/// What a change asks of a policy.
fn edit(change: &Change) -> Result<Edit, Error> {
    let odd =
        |why: &str| Error::new(ErrorKind::Unsupported, format!("`{} {}`: {why}", change.op, change.target()));
    let key = change.grant.clone().ok_or_else(|| odd("no policy has that"))?;
    if names::member(&key.principal).is_none() {
        return Err(odd("a policy cannot bind such a thing"));
    }
    match change.op {
        Op::Grant | Op::Update => {
            let end = change.after.as_ref().and_then(|after| after.get(EXPIRES));
            let end = end.filter(|end| **end != Value::Null);
            let end = end.map(|end| {
                end.as_text().and_then(|text| text.parse().ok()).ok_or_else(|| odd("its end is no time"))
            });
            Ok(Edit::Bind(key, end.transpose()?))
        }
        Op::Revoke => Ok(Edit::Unbind(key)),
        _ => Err(odd("a policy cannot do that")),
    }
}

/// Writes changes of one policy; an answer for each. What Google refuses for the sake of one of them is tried one by one,
/// so that an account that does not exist keeps nobody else waiting.
pub(super) async fn write(gcp: &Gcp, changes: &[&Change]) -> Vec<Result<Outcome, Error>> {
    let Some(resource) = changes.first().map(|change| &change.address) else { return Vec::new() };
    let edits: Vec<Result<Edit, Error>> = changes.iter().map(|change| edit(change)).collect();
    let good: Vec<&Edit> = edits.iter().filter_map(|edit| edit.as_ref().ok()).collect();
    gcp.note_policy(resource);
    let mut written = write_edits(gcp, resource, &good).await;
    let busy = [ErrorKind::Throttled, ErrorKind::Unreachable, ErrorKind::Auth];
    let refused = |error: &Error| error.effect == Effect::None && !busy.contains(&error.kind);
    let alone = good.len() > 1 && written.as_ref().is_err_and(refused);
    let mut each = Vec::new();
    if alone {
        for edit in &good {
            each.push(write_edits(gcp, resource, std::slice::from_ref(edit)).await);
        }
    }
    let mut each = each.into_iter();
    edits
        .into_iter()
        .map(|edit| match (edit, alone) {
            (Err(error), _) => Err(error),
            (Ok(_), true) => each.next().unwrap_or_else(|| written.clone()),
            (Ok(_), false) => {
                let told = written.clone();
                // One request, so one of them tells its id.
                if let Ok(Outcome::Done { request_id }) = &mut written {
                    *request_id = None;
                }
                told
            }
        })
        .collect()
}

async fn write_edits(gcp: &Gcp, resource: &Address, edits: &[&Edit]) -> Result<Outcome, Error> {
    let client = &gcp.writes;
    let takes_only = edits.iter().all(|edit| matches!(edit, Edit::Unbind(_)));
    let gone = || {
        let nothing = Outcome::Done { request_id: None };
        let error = Error::new(ErrorKind::NotFound, format!("`{resource}` does not exist in Google Cloud"));
        // Nobody is bound where there is nothing.
        if takes_only { Ok(nothing) } else { Err(error) }
    };
    let Some(name) = name_of(gcp, client, resource).await? else { return gone() };
    let mut pause = PAUSE;
    for attempt in 1.. {
        let Some(mut policy) = read_by(client, resource, &name).await? else { return gone() };
        if !policy.edit(&gcp.organization(), edits.iter().copied()) {
            return Ok(Outcome::Done { request_id: None });
        }
        let target = format!("{name}:setIamPolicy");
        match client.send(service(resource), http::Method::POST, &target, Some(&policy.body())).await {
            Ok(answer) => return Ok(Outcome::Done { request_id: answer.request_id }),
            Err(error) if is_overtaken(&error) && attempt < CONFLICTS => {
                client.api(service(resource)).clock().sleep(pause).await;
                pause *= 2;
            }
            Err(error) => return Err(error),
        }
    }
    gone()
}

/// Whether somebody else wrote the policy meanwhile; a constraint of the organization's is another sort of conflict.
fn is_overtaken(error: &Error) -> bool {
    let constraint = ["FAILED_PRECONDITION", "failedPrecondition"];
    error.kind == ErrorKind::Conflict && !error.code.as_deref().is_some_and(|code| constraint.contains(&code))
}

/// The edges of a policy that a search showed.
pub(super) fn found(instance: &str, tree: &tree::Tree, resource: &Address, policy: Json) -> Snapshot {
    let mut seen = Snapshot::default();
    if let Some(policy) = Policy::of(policy) {
        let is_ours = |project: &str| tree.projects.contains_key(project);
        seen.grants = policy.edges(instance, resource, &is_ours).into();
    }
    seen
}
