//! Ending at once what lets somebody in: a person's sessions and the tokens of apps, a service account's keys.
//!
//! Invariant: nothing is deleted but tokens, and no account changes its state: a key is made inactive, and can be made active
//! again. What goes on for a while whatever is done is said. It must not take bindings: those are edges.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::Gcp;
use super::client::{Service, encoded};
use super::names::{SERVICE_ACCOUNT, USER};
use super::service_account;
use super::writer::{self, Session};
use crate::model::{Address, Change, Cut, CutOff, Op, cut};
use crate::provider::paging::Listing;
use crate::provider::{Error, ErrorKind, Outcome};

/// What Google cannot end. Checked November 2026:
/// https://cloud.google.com/docs/authentication/token-types#access-lifetime
const TOKENS: &str = "access tokens of Google Cloud that were handed out before stay valid for up to an hour";
/// The same of a service account.
const TOKENS_OF_ACCOUNT: &str = "access tokens that its keys were exchanged for, or that were made by impersonating it, stay valid for up to an hour";

/// What can be ended of an account.
pub(super) async fn cut_offs(gcp: &Gcp, principal: &Address) -> Result<Vec<CutOff>, Error> {
    if !gcp.is_mine(principal) {
        return Ok(Vec::new());
    }
    match principal.kind() {
        USER if gcp.options.users => {
            let seen = super::user::read(gcp, principal).await?;
            let there = seen.resources.contains_key(principal);
            // Sessions cannot be counted here, nor can it be told when one began.
            Ok(there.then(|| CutOff::sessions(None).remains(TOKENS)).into_iter().collect())
        }
        SERVICE_ACCOUNT => {
            let keys = service_account::keys(&gcp.reads, principal).await?;
            let open = keys.iter().filter(|key| !key.disabled);
            Ok(open.map(|key| CutOff::access_key(key.id()).remains(TOKENS_OF_ACCOUNT)).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Whether a change cuts off and does nothing else.
pub(super) fn is_cut_off(change: &Change) -> bool {
    let after = |field: &str| change.after.as_ref().and_then(|after| after.get(field));
    change.op == Op::Update
        && !change.fields.is_empty()
        && change.fields.iter().all(|field| cut(field, after(field)).is_some())
}

/// Cuts off.
pub(super) async fn end(session: &Session, change: &Change) -> Result<Outcome, Error> {
    let client = &session.gcp.writes;
    let mut request_id = None;
    for field in &change.fields {
        let after = change.after.as_ref().and_then(|after| after.get(field));
        match cut(field, after) {
            Some(Cut::AccessKey(id)) => {
                let target =
                    format!("{}/keys/{}:disable", service_account::path(&change.address), encoded(id));
                match client.send(Service::Iam, Method::POST, &target, Some(&json!({}))).await {
                    Ok(answer) => request_id = answer.request_id,
                    // What is gone opens nothing.
                    Err(error) if error.kind == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Some(Cut::Sessions) => request_id = sign_out(session, &change.address).await?.or(request_id),
            _ => return Err(writer::unsupported(change)),
        }
    }
    Ok(Outcome::Done { request_id })
}

/// Ends the sessions of a person on the web and on devices, and takes back what apps were allowed.
/// Checked November 2026: https://developers.google.com/workspace/admin/directory/reference/rest/v1/users/signOut
async fn sign_out(session: &Session, address: &Address) -> Result<Option<String>, Error> {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Token {
        client_id: String,
    }
    let client = &session.gcp.writes;
    let user = format!("/admin/directory/v1/users/{}", encoded(&address.name()));
    let answer = client.send(Service::Directory, Method::POST, &format!("{user}/signOut"), None).await?;
    let Listing { items, cut_short } =
        client.list::<Token>(Service::Directory, &format!("{user}/tokens"), "items").await;
    for token in items {
        let target = format!("{user}/tokens/{}", encoded(&token.client_id));
        match client.send(Service::Directory, Method::DELETE, &target, None).await {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    match cut_short {
        Some(error) if error.kind != ErrorKind::NotFound => Err(error),
        _ => Ok(answer.request_id),
    }
}
