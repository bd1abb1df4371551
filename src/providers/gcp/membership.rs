//! Places in groups: of people, of other groups, of service accounts; as members, managers or owners; with an end that Google
//! keeps itself.
//!
//! Invariant: whoever is in a group has one edge, whatever more he may do there; what he may do is changed only where somebody
//! says so. It must not look for places through other groups: those are what a group's own members are.

use std::sync::PoisonError;

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::Gcp;
use super::client::{Client, Service, encoded};
use super::group::{self, MEMBER};
use super::names::{self, GROUP};
use super::writer::{self, Session};
use crate::model::grant::EXPIRES;
use crate::model::{Address, Attributes, Change, Coverage, GrantKey, LiveGrant, Op, Value};
use crate::provider::paging::Listing;
use crate::provider::{Effect, Error, ErrorKind, Outcome};

/// How many places are asked for at once; the most that Google gives with their roles and ends.
/// Checked November 2026: https://cloud.google.com/identity/docs/reference/rest/v1/groups.memberships/list
const PAGE: usize = 500;
/// What everybody in a group is.
const PLAIN: &str = "MEMBER";

/// A place in a group as Google writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    /// `groups/ID/memberships/ID`.
    name: String,
    preferred_member_key: group::Key,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default, rename = "type")]
    sort: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Role {
    name: String,
    expiry_detail: Option<Expiry>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expiry {
    expire_time: Option<Timestamp>,
}

impl Membership {
    fn principal(&self, instance: &str) -> Address {
        let id = &self.preferred_member_key.id;
        let sort = match self.sort.as_str() {
            "GROUP" => "group",
            "SERVICE_ACCOUNT" => "serviceAccount",
            _ if id.ends_with(".gserviceaccount.com") => "serviceAccount",
            _ => "user",
        };
        names::principal(instance, &format!("{sort}:{id}"))
    }

    fn edge(&self, instance: &str, group: &Address) -> LiveGrant {
        let end = self
            .roles
            .iter()
            .find(|role| role.name == PLAIN)
            .and_then(|role| role.expiry_detail.as_ref()?.expire_time);
        let mut attributes = Attributes::new();
        attributes.extend(end.map(|end| (EXPIRES.into(), Value::from(end.to_string()))));
        let more = self.roles.iter().filter(|role| role.name != PLAIN).map(|role| role.name.to_lowercase());
        let highest = more.max().unwrap_or_else(|| PLAIN.to_lowercase());
        attributes.insert("role".into(), highest.into());
        let principal = self.principal(instance);
        LiveGrant { key: GrantKey::new(&principal, MEMBER, group), attributes, via: None }
    }
}

fn remember(gcp: &Gcp, key: &GrantKey, name: &str) {
    gcp.memberships.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), name.to_owned());
}

/// Who is in a group, and how many of them were read.
pub(super) async fn list(gcp: &Gcp, address: &Address, name: &str) -> (Vec<LiveGrant>, Coverage) {
    let target = format!("/v1/{name}/memberships?view=FULL&pageSize={PAGE}");
    let Listing { items, cut_short } =
        gcp.reads.list::<Membership>(Service::Identity, &target, "memberships").await;
    let mut grants = Vec::with_capacity(items.len());
    for membership in &items {
        let edge = membership.edge(&gcp.instance, address);
        remember(gcp, &edge.key, &membership.name);
        grants.push(edge);
    }
    let coverage = match cut_short {
        None => Coverage::Complete,
        // It went meanwhile.
        Some(error) if error.kind == ErrorKind::NotFound => Coverage::Complete,
        Some(error) => Coverage::Partial(format!("the members of `{address}` could not be read: {error}")),
    };
    (grants, coverage)
}

/// The place of somebody in a group whose name is known; by his address.
async fn find(client: &Client, group: &str, key: &GrantKey) -> Result<Option<Membership>, Error> {
    let Some(email) = names::email_of(&key.principal) else { return Ok(None) };
    let target = format!("/v1/{group}/memberships:lookup?memberKey.id={}", encoded(&email));
    let found = match client.get(Service::Identity, &target).await {
        Ok(found) => found,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(name) = found.get("name").and_then(Json::as_str) else { return Ok(None) };
    match client.get(Service::Identity, &format!("/v1/{name}")).await {
        Ok(json) => {
            let odd = |_| Error::new(ErrorKind::Malformed, format!("`{key}` is not what it should be"));
            let membership: Membership = serde_json::from_value(json).map_err(odd)?;
            // Somebody is found by his other addresses, too.
            let is_he = |found: &Membership| found.preferred_member_key.id.eq_ignore_ascii_case(&email);
            Ok(Some(membership).filter(is_he))
        }
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// One place, read just now.
pub(super) async fn read(gcp: &Gcp, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
    let Some(group) = group::find(gcp, &gcp.reads, &key.resource).await? else { return Ok(None) };
    let found = find(&gcp.reads, &group.name, key).await?;
    Ok(found.map(|membership| membership.edge(&gcp.instance, &key.resource)).filter(|edge| edge.key == *key))
}

/// The groups that somebody is in himself.
pub(super) async fn of(gcp: &Gcp, principal: &Address) -> Result<Vec<LiveGrant>, Error> {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Relation {
        /// `groups/ID/memberships/ID`.
        membership: String,
        group_key: group::Key,
        #[serde(default)]
        roles: Vec<Role>,
    }
    let Some(email) = names::email_of(principal).filter(|_| gcp.options.customer.is_some()) else {
        return Ok(Vec::new());
    };
    let query = encoded(&format!("member_key_id == '{}'", email.replace('\'', "")));
    let target = format!("/v1/groups/-/memberships:searchDirectGroups?query={query}&pageSize=200");
    let found = gcp.reads.list::<Relation>(Service::Identity, &target, "memberships").await.whole()?;
    let edge = |relation: Relation| {
        let group = Address::new(&gcp.instance, None, GROUP, &relation.group_key.id.to_lowercase());
        let membership = Membership {
            name: relation.membership,
            preferred_member_key: group::Key { id: email.clone() },
            roles: relation.roles,
            sort: String::new(),
        };
        let edge = LiveGrant {
            key: GrantKey::new(principal, MEMBER, &group),
            ..membership.edge(&gcp.instance, &group)
        };
        remember(gcp, &edge.key, &membership.name);
        edge
    };
    Ok(found.into_iter().map(edge).collect())
}

/// Gives a place, changes it, or takes it away.
pub(super) async fn write(session: &Session, change: &Change) -> Result<Outcome, Error> {
    let key = change.grant.as_ref().ok_or_else(|| writer::unsupported(change))?;
    let client = &session.gcp.writes;
    let end = change.after.as_ref().and_then(|after| after.get(EXPIRES)).cloned();
    match change.op {
        Op::Grant => {
            let Some(group) = session.group(&key.resource).await? else {
                return Err(writer::gone(&key.resource));
            };
            let email = names::email_of(&key.principal).ok_or_else(|| writer::unsupported(change))?;
            let mut role = json!({ "name": PLAIN });
            if let Some(end) = end.as_ref().and_then(Value::as_text) {
                role["expiryDetail"] = json!({ "expireTime": end });
            }
            let body = json!({ "preferredMemberKey": { "id": email }, "roles": [role] });
            let target = format!("/v1/{group}/memberships");
            match client.send(Service::Identity, Method::POST, &target, Some(&body)).await {
                Ok(answer) => Client::operation(&answer, Service::Identity),
                Err(error) if error.effect == Effect::None && error.kind == ErrorKind::Conflict => {
                    let Some(there) = find(client, &group, key).await? else { return Err(error) };
                    set_end(session, key, &there, end.as_ref()).await
                }
                Err(error) => Err(error),
            }
        }
        Op::Update => {
            let Some(group) = session.group(&key.resource).await? else {
                return Err(writer::gone(&key.resource));
            };
            let there = find(client, &group, key).await?.ok_or_else(|| writer::gone(&key.principal))?;
            set_end(session, key, &there, end.as_ref()).await
        }
        Op::Revoke => {
            let known = session.gcp.memberships.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
            let name = match known {
                Some(name) => Some(name),
                None => match session.group(&key.resource).await? {
                    Some(group) => find(client, &group, key).await?.map(|membership| membership.name),
                    None => None,
                },
            };
            let Some(name) = name else { return Ok(Outcome::Done { request_id: None }) };
            match client.send(Service::Identity, Method::DELETE, &format!("/v1/{name}"), None).await {
                Ok(answer) => Client::operation(&answer, Service::Identity),
                Err(error) if error.kind == ErrorKind::NotFound => {
                    Ok(Outcome::Done { request_id: error.request_id })
                }
                Err(error) => Err(error),
            }
        }
        _ => Err(writer::unsupported(change)),
    }
}

/// Makes a place end when it is wanted to. Only plain members can have an end.
async fn set_end(
    session: &Session,
    key: &GrantKey,
    there: &Membership,
    end: Option<&Value>,
) -> Result<Outcome, Error> {
    let found = there.edge(&session.gcp.instance, &key.resource);
    let same = end.is_none_or(|end| found.attributes.get(EXPIRES).unwrap_or(&Value::Null) == end);
    if same {
        return Ok(Outcome::Done { request_id: None });
    }
    let role = match end.and_then(Value::as_text) {
        Some(end) => json!({ "name": PLAIN, "expiryDetail": { "expireTime": end } }),
        None => json!({ "name": PLAIN }),
    };
    let body = json!({
        "updateRolesParams": [{ "fieldMask": "expiryDetail.expireTime", "membershipRole": role }],
    });
    let target = format!("/v1/{}:modifyMembershipRoles", there.name);
    let answer = session.gcp.writes.send(Service::Identity, Method::POST, &target, Some(&body)).await?;
    Ok(Outcome::Done { request_id: answer.request_id })
}
