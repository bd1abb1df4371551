//! Groups of Cloud Identity.
//!
//! Invariant: a group is changed only in what its file says; one that is there already under its address is taken for what
//! was wanted only if it is that. Its members are read group by group, and only of those that are asked for.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use async_trait::async_trait;
use futures_util::StreamExt;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::client::{Client, Service, encoded};
use super::folder::BAD_NAME;
use super::names::{self, GROUP};
use super::writer::{self, Session};
use super::{Gcp, GcpKind, access, membership};
use crate::model::{
    Address, Attribute, Attributes, Change, Collection, Coverage, Finding, Kind, Lowering, Native, Node, Op,
    Resource, Schema, Snapshot, Spanned, Value,
};
use crate::provider::paging::Listing;
use crate::provider::{Effect, Error, ErrorKind, Outcome};

/// Somebody's place in a group.
pub(super) const MEMBER: &str = "member";
/// How many groups are asked for at once; the most that Google gives with all that is known of them.
const PAGE: usize = 500;
/// What makes a group one that mail goes to, which every group is.
const OF_MAIL: &str = "cloudidentity.googleapis.com/groups.discussion_forum";

/// The kind itself.
pub(super) struct Groups;

/// `kind: gcp/Group`. Its name is its e-mail address. Its members are those named here and those that roles put in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupManifest {
    /// What people call it.
    display_name: Option<Spanned<String>>,
    /// What it is for.
    description: Option<Spanned<String>>,
    /// Handles of people who are in it whatever roles say.
    #[serde(default)]
    members: Vec<Spanned<String>>,
    /// Other groups that are in it, by e-mail address.
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    /// Service accounts that are in it, by e-mail address.
    #[serde(default)]
    service_accounts: Vec<Spanned<String>>,
    /// What it is given, like an entry of a role's `access:`.
    #[serde(default)]
    access: Vec<Node>,
    /// Whether it may become empty.
    #[serde(default)]
    allow_empty: bool,
}

impl Native for GroupManifest {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let is_email = |text: &str| {
            text.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && domain.contains('.'))
                && text == text.to_lowercase()
        };
        for name in std::iter::once(lowering.name).chain(&self.groups).chain(&self.service_accounts) {
            if !is_email(name) {
                let message = format!("`{}` is not an e-mail address in lower case", name.value);
                let finding = Finding::error(BAD_NAME, message).at(&name.span);
                lowering.out.findings.push(finding.help("write such as `team@acme.com`"));
            }
        }
        let text =
            |text: &Option<Spanned<String>>| text.as_ref().map(|text| Value::text(text.value.as_str()));
        let attributes =
            [("display_name", text(&self.display_name)), ("description", text(&self.description))];
        let group = lowering.resource(GROUP, attributes, self.allow_empty);
        lowering.claim(Collection::of_resource(&group, MEMBER));
        for member in &self.members {
            lowering.grant_person(member, MEMBER, &group);
        }
        let others = self.groups.iter().map(|email| ("group", email));
        for (sort, email) in others.chain(self.service_accounts.iter().map(|email| ("serviceAccount", email)))
        {
            let principal = names::principal(lowering.instance, &format!("{sort}:{}", email.value));
            lowering.grant(&principal, MEMBER, &group, &email.span);
        }
        for entry in &self.access {
            access::grant(lowering, &group, entry);
        }
    }
}

/// A group as Google writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Group {
    /// `groups/ID`.
    pub(super) name: String,
    pub(super) group_key: Key,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    description: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
}

impl Group {
    pub(super) fn address(&self, instance: &str) -> Address {
        Address::new(instance, None, GROUP, &self.group_key.id.to_lowercase())
    }

    fn attributes(&self) -> Attributes {
        let attributes = [
            ("display_name", self.display_name.as_str().into()),
            ("description", self.description.as_str().into()),
        ];
        attributes.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    fn resource(&self) -> Resource {
        let id = self.name.rsplit('/').next().unwrap_or_default();
        Resource { id: Some(id.into()), attributes: self.attributes(), ..Resource::default() }
    }
}

/// All groups, with the members of those that are asked for.
pub(super) async fn observe(gcp: &Gcp, edges_of: &BTreeSet<Address>) -> Snapshot {
    let mut seen = Snapshot::default();
    let Some(customer) = &gcp.options.customer else { return seen };
    let parent = encoded(&format!("customers/{}", customer.value));
    let target = format!("/v1/groups?parent={parent}&view=FULL&pageSize={PAGE}");
    let Listing { items, cut_short } = gcp.reads.list::<Group>(Service::Identity, &target, "groups").await;
    let count = items.len();
    let why =
        |error: &Error| Coverage::Partial(format!("the list of groups breaks off after {count}: {error}"));
    let listed = cut_short.as_ref().map_or(Coverage::Complete, why);
    seen.coverage.insert(gcp.scope(GROUP), listed.clone());
    let mut reads = Vec::new();
    for group in &items {
        let address = group.address(&gcp.instance);
        seen.resources.insert(address.clone(), group.resource());
        if edges_of.contains(&address) {
            reads.push(async move {
                let read = membership::list(gcp, &address, &group.name).await;
                (address, read)
            });
        }
    }
    for address in edges_of.iter().filter(|address| address.kind() == GROUP) {
        if !seen.resources.contains_key(address) {
            seen.coverage.insert(address.as_str().into(), listed.clone());
        }
    }
    let width = gcp.reads.api(Service::Identity).in_flight();
    let mut reads = futures_util::stream::iter(reads).buffer_unordered(width);
    while let Some((address, (grants, coverage))) = reads.next().await {
        seen.grants.extend(grants);
        seen.coverage.insert(address.as_str().into(), coverage);
    }
    seen
}

/// The group at an address, read just now.
pub(super) async fn find(gcp: &Gcp, client: &Client, address: &Address) -> Result<Option<Group>, Error> {
    let customer = gcp.options.customer.as_ref().map_or("my_customer", |customer| customer.value.as_str());
    let email = address.name();
    let target = format!("/v1/groups:lookup?groupKey.id={}", encoded(&email));
    let found = match client.get(Service::Identity, &target).await {
        Ok(found) => found,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        // Of one that does not exist Google says that it may not be seen. That is believed of whoever sees others.
        Err(error) if error.kind == ErrorKind::Denied => {
            let parent = encoded(&format!("customers/{customer}"));
            let any = format!("/v1/groups?parent={parent}&pageSize=1");
            return client.get(Service::Identity, &any).await.map(|_| None).map_err(|_| error);
        }
        Err(error) => return Err(error),
    };
    let Some(name) = found.get("name").and_then(serde_json::Value::as_str) else { return Ok(None) };
    match client.get(Service::Identity, &format!("/v1/{name}")).await {
        Ok(json) => {
            let odd = |_| Error::new(ErrorKind::Malformed, format!("`{address}` is not what it should be"));
            let group: Group = serde_json::from_value(json).map_err(odd)?;
            // A group is found by its other addresses, too; whoever has one of those is another group.
            Ok(Some(group).filter(|group| group.group_key.id.eq_ignore_ascii_case(&email)))
        }
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl GcpKind for Groups {
    fn kind(&self) -> Kind {
        let schema = Schema::new(GROUP, "groups")
            .with(Attribute::new("display_name"))
            .with(Attribute::new("description"));
        // Where settings name no customer groups are not looked for, and others' can be bound all the same.
        Kind::of::<GroupManifest>("gcp/Group", Schema { assumed: true, ..schema })
    }

    async fn read(&self, gcp: &Gcp, address: &Address) -> Result<Snapshot, Error> {
        let mut seen = Snapshot::default();
        seen.coverage.insert(address.as_str().into(), Coverage::Complete);
        if let Some(group) = find(gcp, &gcp.reads, address).await? {
            let (grants, coverage) = membership::list(gcp, address, &group.name).await;
            seen.grants = grants.into();
            seen.coverage.insert(address.as_str().into(), coverage);
            seen.resources.insert(address.clone(), group.resource());
        }
        seen.normalize();
        Ok(seen)
    }

    async fn write(&self, session: &Session, change: &Change) -> Result<Outcome, Error> {
        match (change.op, &change.grant) {
            (_, Some(_)) => membership::write(session, change).await,
            (Op::Create, None) => create(session, change).await,
            (Op::Update, None) => update(session, change).await,
            (Op::Delete, None) => delete(session, &change.address).await,
            _ => Err(writer::unsupported(change)),
        }
    }
}

async fn create(session: &Session, change: &Change) -> Result<Outcome, Error> {
    let (gcp, address) = (&session.gcp, &change.address);
    let Some(customer) = &gcp.options.customer else {
        let message =
            format!("`{address}`: without `customer` in `providers.{}` there are no groups", gcp.instance);
        return Err(Error::new(ErrorKind::Unsupported, message));
    };
    let nothing = Attributes::new();
    let wanted = change.after.as_ref().unwrap_or(&nothing);
    let mut body = json!({
        "groupKey": { "id": address.name() },
        "parent": format!("customers/{}", customer.value),
        "labels": { OF_MAIL: "" },
    });
    for (field, name) in [("displayName", "display_name"), ("description", "description")] {
        if let Some(text) = wanted.get(name).and_then(Value::as_text) {
            body[field] = text.into();
        }
    }
    // Without this whoever makes a group owns it, which nobody asked for.
    let target = "/v1/groups?initialGroupConfig=EMPTY";
    match gcp.writes.send(Service::Identity, Method::POST, target, Some(&body)).await {
        Ok(answer) => Client::operation(&answer, Service::Identity),
        Err(error) if error.effect == Effect::None && error.kind == ErrorKind::Conflict => {
            let Some(there) = find(gcp, &gcp.writes, address).await? else { return Err(error) };
            let there = there.attributes();
            match wanted.iter().find(|(name, value)| there.get(*name) != Some(*value)) {
                None => Ok(Outcome::Done { request_id: error.request_id }),
                Some((name, _)) => {
                    let message =
                        format!("`{address}` exists already, and its `{name}` is not what was approved");
                    Err(Error::new(ErrorKind::Conflict, message).code("ALREADY_EXISTS"))
                }
            }
        }
        Err(error) => Err(error),
    }
}

async fn update(session: &Session, change: &Change) -> Result<Outcome, Error> {
    let (gcp, address) = (&session.gcp, &change.address);
    let nothing = Attributes::new();
    let wanted = change.after.as_ref().unwrap_or(&nothing);
    let group = find(gcp, &gcp.writes, address).await?.ok_or_else(|| writer::gone(address))?;
    let there = group.attributes();
    let (mut mask, mut body) = (Vec::new(), json!({}));
    for (field, name) in [("displayName", "display_name"), ("description", "description")] {
        if change.fields.contains(name) && wanted.get(name) != there.get(name) {
            mask.push(field);
            body[field] = wanted.get(name).and_then(Value::as_text).unwrap_or_default().into();
        }
    }
    if mask.is_empty() {
        return Ok(Outcome::Done { request_id: None });
    }
    let target = format!("/v1/{}?updateMask={}", group.name, encoded(&mask.join(",")));
    let answer = gcp.writes.send(Service::Identity, Method::PATCH, &target, Some(&body)).await?;
    Client::operation(&answer, Service::Identity)
}

async fn delete(session: &Session, address: &Address) -> Result<Outcome, Error> {
    let client = &session.gcp.writes;
    let Some(group) = find(&session.gcp, client, address).await? else {
        return Ok(Outcome::Done { request_id: None });
    };
    let names = &session.gcp.memberships;
    names.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| key.resource != *address);
    match client.send(Service::Identity, Method::DELETE, &format!("/v1/{}", group.name), None).await {
        Ok(answer) => Client::operation(&answer, Service::Identity),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Outcome::Done { request_id: error.request_id }),
        Err(error) => Err(error),
    }
}
