//! Cutting off a user: access keys become inactive, and the console's password goes.
//!
//! Invariant: a key is not deleted, so that whoever undoes it need not hand out another; a password has no such state, and
//! its deletion is a field of its own in plan and journal. It must not invent a policy that denies.

use aws_sdk_iam::types::StatusType;

use super::connection::{Account, Connection};
use super::iam::{Sent, pages, sent};
use super::sweep::PAGE;
use super::writer::gone_is_done;
use crate::model::{Address, Change, Cut, CutOff, Op, cut};
use crate::provider::{Error, ErrorKind};

/// What can still be ended of a user: keys that are active, and a password. What STS has given him for hours goes on, with
/// no more than his user may: checked November 2026,
/// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access.html
pub(super) async fn cut_offs(account: &Account, principal: &Address) -> Result<Vec<CutOff>, Error> {
    if principal.place() != &*account.place() || principal.kind() != "user" {
        return Ok(Vec::new());
    }
    let aws = account.connection().await?;
    match of_user(aws, &principal.name()).await {
        // Who does not exist has nothing that opens.
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

async fn of_user(aws: &Connection, name: &str) -> Result<Vec<CutOff>, Error> {
    let iam = &aws.iam;
    let keys = pages!(aws, iam.list_access_keys().user_name(name).max_items(PAGE), access_key_metadata);
    let active = keys.iter().filter(|key| key.status() != Some(&StatusType::Inactive));
    let mut found: Vec<CutOff> =
        active.filter_map(|key| key.access_key_id()).map(CutOff::access_key).collect();
    match aws.read(|| iam.get_login_profile().user_name(name).send()).await {
        Ok(_) => found.push(CutOff::password()),
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Whether a change cuts off and does nothing else.
pub(super) fn is_cut_off(change: &Change) -> bool {
    change.op == Op::Update
        && !change.fields.is_empty()
        && change.fields.iter().all(|field| of(change, field).is_some())
}

fn of<'a>(change: &'a Change, field: &'a str) -> Option<Cut<'a>> {
    cut(field, change.after.as_ref().and_then(|after| after.get(field)))
}

/// Carries it out, key by key; each call may be repeated.
pub(super) async fn end(aws: &Connection, change: &Change) -> Sent {
    let (iam, name) = (&aws.iam, change.address.name());
    let mut request_id = None;
    for field in &change.fields {
        let sent = match of(change, field) {
            Some(Cut::AccessKey(id)) => {
                let request = iam.update_access_key().user_name(&*name).access_key_id(id);
                sent!(aws, request.status(StatusType::Inactive))
            }
            Some(Cut::Password) => sent!(aws, iam.delete_login_profile().user_name(&*name)),
            Some(Cut::Sessions) | None => {
                let message = format!("IAM cannot end the {field} of `{}`", change.address);
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        };
        request_id = gone_is_done(sent)?.or(request_id);
    }
    Ok(request_id)
}
