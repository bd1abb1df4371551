//! Ending somebody's sessions and tokens, at once.
//!
//! Invariant: nothing of the account changes. It is not suspended: deleting a `Suspension` gives all back that it took,
//! and nobody here would unsuspend the account.

use http::Method;

use super::client::{Okta, encoded};
use super::user;
use super::writer::Session;
use crate::model::{Address, Change, Cut, CutOff, Op, cut};
use crate::provider::{Error, ErrorKind, Outcome};

/// What can be ended of an account of Okta. Sessions cannot be counted; when he last signed in can be told.
pub(super) async fn cut_offs(okta: &Okta, principal: &Address) -> Result<Vec<CutOff>, Error> {
    if !okta.is_mine(principal, user::KIND) {
        return Ok(Vec::new());
    }
    // Who has been deactivated has no session: Okta ends them all with the account.
    let account = user::find(okta, principal).await?.filter(|account| !account.has_left());
    Ok(account.map(|account| CutOff::sessions(account.last_login)).into_iter().collect())
}

/// Whether a change ends sessions and does nothing else.
pub(super) fn is_cut_off(change: &Change) -> bool {
    let after = |field: &str| change.after.as_ref().and_then(|after| after.get(field));
    change.op == Op::Update
        && !change.fields.is_empty()
        && change.fields.iter().all(|field| cut(field, after(field)) == Some(Cut::Sessions))
}

/// Ends them, and takes back the refresh and access tokens of OpenID Connect and OAuth. `204`, also where there were none;
/// sessions that apps keep for themselves go on. Checked November 2026:
/// https://developer.okta.com/docs/api/openapi/okta-management/management/tag/UserSessions/
pub(super) async fn end(session: &Session, change: &Change) -> Result<Outcome, Error> {
    let Some(id) = session.id(&change.address).await? else {
        let message = format!("`{}` does not exist any more", change.address);
        return Err(Error::new(ErrorKind::NotFound, message));
    };
    // A device that is remembered would skip the second factor at the next sign-in.
    let target = format!("/api/v1/users/{}/sessions?oauthTokens=true&forgetDevices=true", encoded(&id));
    let answer = session.okta.api.send(Method::DELETE, &target, None).await?;
    Ok(Outcome::Done { request_id: answer.request_id })
}
