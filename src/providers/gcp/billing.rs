//! Billing accounts, and which one a project counts against.
//!
//! Invariant: accounts are read where something of theirs is asked for, and never made or ended. It must not pay.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::client::{Service, encoded};
use super::names::BILLING;
use super::writer::Session;
use super::{Gcp, policies};
use crate::model::{Address, Coverage, Resource, Snapshot, Value};
use crate::provider::paging::Listing;
use crate::provider::{Error, ErrorKind, Outcome};

#[derive(Debug, Deserialize)]
struct Account {
    /// `billingAccounts/ID`.
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    #[serde(default)]
    billing_account_name: String,
}

fn address(gcp: &Gcp, id: &str) -> Address {
    Address::new(&gcp.instance, None, BILLING, id)
}

/// The accounts that can be seen, where they are asked for.
pub(super) async fn accounts(gcp: &Arc<Gcp>, asked: bool) -> Snapshot {
    let mut seen = Snapshot::default();
    if !asked {
        return seen;
    }
    let target = "/v1/billingAccounts?pageSize=100";
    let Listing { items, cut_short } =
        gcp.reads.list::<Account>(Service::Billing, target, "billingAccounts").await;
    for account in items {
        let id = account.name.trim_start_matches("billingAccounts/");
        let resource = Resource { id: Some(id.into()), ..Resource::default() };
        seen.resources.insert(address(gcp, id), resource);
    }
    let why = |error: Error| Coverage::Partial(format!("the list of billing accounts breaks off: {error}"));
    seen.coverage.insert(gcp.scope(BILLING), cut_short.map_or(Coverage::Complete, why));
    seen
}

/// One account with its policy.
pub(super) async fn read(gcp: &Arc<Gcp>, address: &Address) -> Result<Snapshot, Error> {
    let target = format!("/v1/billingAccounts/{}", encoded(&address.name()));
    match gcp.reads.get(Service::Billing, &target).await {
        Ok(_) => {}
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(Snapshot::default()),
        Err(error) => return Err(error),
    }
    let mut seen = policies::read(gcp, address).await?;
    let resource = Resource { id: Some(address.name().as_ref().into()), ..Resource::default() };
    seen.resources.insert(address.clone(), resource);
    Ok(seen)
}

/// The account that a project counts against, as an address; nothing, where there is none.
pub(super) async fn of_project(gcp: &Gcp, project: &str) -> Result<Value, Error> {
    let target = format!("/v1/projects/{}/billingInfo", encoded(project));
    let info: Info =
        serde_json::from_value(gcp.reads.get(Service::Billing, &target).await?).unwrap_or_default();
    Ok(match info.billing_account_name.strip_prefix("billingAccounts/") {
        Some(id) if !id.is_empty() => address(gcp, id).as_str().into(),
        _ => Value::Null,
    })
}

/// Makes a project count against an account; against none, where nothing is wanted.
pub(super) async fn set(session: &Session, project: &str, wanted: &Value) -> Result<Outcome, Error> {
    let name = match wanted.as_text().map(str::parse::<Address>) {
        Some(Ok(account)) => format!("billingAccounts/{}", account.name()),
        _ => String::new(),
    };
    let target = format!("/v1/projects/{}/billingInfo", encoded(project));
    let body = json!({ "billingAccountName": name });
    let answer = session.gcp.writes.send(Service::Billing, http::Method::PUT, &target, Some(&body)).await?;
    Ok(Outcome::Done { request_id: answer.request_id })
}
