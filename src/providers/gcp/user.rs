//! People's accounts in Workspace or Cloud Identity: read where settings say so, never made or ended.
//!
//! Invariant: leavers are asked for, since the plain list leaves deleted accounts out; a page that fails makes the inventory
//! incomplete. Where accounts are not read nothing is said of them, so that whoever is named is taken to have one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value as Json;

use super::Gcp;
use super::client::{Service, encoded};
use super::names::{self, USER};
use crate::model::{
    Address, Attribute, Coverage, DirectoryRecord, Flags, Name, Resource, Schema, Snapshot, Status, Value,
};
use crate::provider::paging::Listing;
use crate::provider::{Caller, Error, ErrorKind};

/// How many are asked for at once; the most that Google gives.
const PAGE: usize = 500;

/// What a user consists of.
pub(super) fn schema() -> Schema {
    let computed = Flags { computed: true, ..Flags::default() };
    let schema = Schema::new(USER, "users").with(Attribute::new("status").flags(computed));
    Schema { irreplaceable: true, assumed: true, ..schema }
}

/// A user as Google writes it, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    #[serde(default)]
    id: String,
    primary_email: String,
    #[serde(default)]
    suspended: bool,
    #[serde(default)]
    archived: bool,
    deletion_time: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Json>,
}

impl User {
    fn address(&self, instance: &str) -> Address {
        names::principal(instance, &format!("user:{}", self.primary_email))
    }

    /// Archived accounts are those of people who have left, kept for their mail.
    fn stands(&self) -> Status {
        match self {
            Self { deletion_time: Some(_), .. } | Self { archived: true, .. } => Status::Left,
            Self { suspended: true, .. } => Status::Suspended,
            _ => Status::Active,
        }
    }

    fn resource(&self) -> Resource {
        let status = match self.stands() {
            Status::Left => "archived",
            Status::Suspended => "suspended",
            _ => "active",
        };
        Resource {
            id: (!self.id.is_empty()).then(|| self.id.as_str().into()),
            attributes: [("status".into(), Value::text(status))].into(),
            ..Resource::default()
        }
    }

    /// What the directory says of him, as texts: of lists what is primary, or of a sort that matters.
    fn profile(&self) -> BTreeMap<Name, Name> {
        let mut profile: BTreeMap<Name, Name> = BTreeMap::new();
        let mut put = |name: &str, value: &Json| {
            let text = match value {
                Json::String(text) if !text.is_empty() => text.clone(),
                Json::Number(_) | Json::Bool(_) => value.to_string(),
                _ => return,
            };
            profile.entry(name.into()).or_insert_with(|| text.into());
        };
        put("login", &self.primary_email.clone().into());
        put("primaryEmail", &self.primary_email.clone().into());
        for (name, value) in &self.others {
            match (name.as_str(), value) {
                ("name", Json::Object(parts)) => parts.iter().for_each(|(part, value)| put(part, value)),
                ("organizations", Json::Array(all)) => {
                    let primary = all.iter().find(|it| it["primary"] == true).or_else(|| all.first());
                    let parts = primary.and_then(Json::as_object).into_iter().flatten();
                    // What it is called, and for what: the rest is about the entry.
                    parts.filter(|(part, _)| *part != "primary").for_each(|(part, value)| put(part, value));
                }
                ("relations", Json::Array(all)) => {
                    all.iter()
                        .filter(|it| it["type"] == "manager")
                        .for_each(|it| put("manager", &it["value"]));
                }
                ("externalIds", Json::Array(all)) => {
                    all.iter()
                        .filter(|it| it["type"] == "organization")
                        .for_each(|it| put("employeeId", &it["value"]));
                }
                ("customSchemas", Json::Object(schemas)) => {
                    for (schema, fields) in schemas {
                        let fields = fields.as_object().into_iter().flatten();
                        fields.for_each(|(field, value)| put(&format!("{schema}.{field}"), value));
                    }
                }
                (name, value) => put(name, value),
            }
        }
        profile
    }
}

/// People as read once.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) records: Vec<DirectoryRecord>,
    resources: BTreeMap<Address, Resource>,
    pub(super) incomplete: Vec<String>,
    /// Whether anybody was looked for.
    read: bool,
}

impl People {
    pub(super) fn snapshot(&self, gcp: &Gcp) -> Snapshot {
        let mut seen = Snapshot { resources: self.resources.clone(), ..Snapshot::default() };
        if self.read {
            let coverage = match self.incomplete.as_slice() {
                [] => Coverage::Complete,
                reasons => Coverage::Partial(reasons.join("; ")),
            };
            seen.coverage.insert(gcp.scope(USER), coverage);
        }
        seen
    }
}

/// People, read once for one look.
pub(super) async fn shared(gcp: &Gcp, anew: bool) -> Arc<People> {
    let mut known = gcp.people.lock().await;
    match &*known {
        Some(people) if !anew => people.clone(),
        _ => {
            let people = Arc::new(read_people(gcp).await);
            *known = Some(people.clone());
            people
        }
    }
}

async fn read_people(gcp: &Gcp) -> People {
    let mut people = People::default();
    if !gcp.options.users {
        return people;
    }
    people.read = true;
    let customer = gcp.options.customer.as_ref().map_or("my_customer", |customer| customer.value.as_str());
    let target = |more: &str| {
        format!(
            "/admin/directory/v1/users?customer={}&projection=full&maxResults={PAGE}{more}",
            encoded(customer)
        )
    };
    let (here, gone) = (target(""), target("&showDeleted=true"));
    let (here, gone) = tokio::join!(
        gcp.reads.list::<User>(Service::Directory, &here, "users"),
        gcp.reads.list::<User>(Service::Directory, &gone, "users"),
    );
    let mut users: BTreeMap<Address, User> = BTreeMap::new();
    // Whoever has his address now comes last: a deleted account may have had it before him.
    for (which, Listing { items, cut_short }) in [("people who have left", gone), ("people", here)] {
        if let Some(error) = cut_short {
            people.incomplete.push(format!("the list of {which} breaks off after {}: {error}", items.len()));
        }
        users.extend(items.into_iter().map(|user| (user.address(&gcp.instance), user)));
    }
    for (address, user) in users {
        let record = DirectoryRecord {
            address: Some(address.clone()),
            status: user.stands(),
            profile: user.profile(),
        };
        people.records.push(record);
        if user.deletion_time.is_none() {
            people.resources.insert(address, user.resource());
        }
    }
    people
}

/// One person's account.
pub(super) async fn read(gcp: &Gcp, address: &Address) -> Result<Snapshot, Error> {
    let mut seen = Snapshot::default();
    if !gcp.options.users {
        let message = format!("`{address}`: accounts are not read here; `users: true` in its settings would");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let target = format!("/admin/directory/v1/users/{}?projection=full", encoded(&address.name()));
    match gcp.reads.get(Service::Directory, &target).await {
        Ok(json) => {
            let user: User = serde_json::from_value(json).map_err(|_| {
                Error::new(ErrorKind::Malformed, format!("`{address}` is not what it should be"))
            })?;
            seen.resources.insert(address.clone(), user.resource());
        }
        Err(error) if error.kind == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(seen)
}

/// Whose credentials these are, once it is known that they see the organization that settings name.
pub(super) async fn me(gcp: &Gcp) -> Result<Caller, Error> {
    #[derive(Debug, Deserialize)]
    struct Info {
        email: Option<String>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Organization {
        #[serde(default)]
        display_name: String,
        #[serde(default)]
        directory_customer_id: String,
    }
    let info = gcp.reads.get(Service::Accounts, "/oauth2/v2/userinfo").await?;
    let email = serde_json::from_value::<Info>(info).ok().and_then(|info| info.email);
    // Without it nobody could keep it from taking away its own access.
    let email = email
        .ok_or_else(|| Error::new(ErrorKind::Auth, "Google does not tell whose credentials these are"))?;
    let organization = gcp.organization();
    let target = format!("/v3/organizations/{}", encoded(&organization));
    let found = gcp.reads.get(Service::Resources, &target).await.map_err(|error| match error.kind {
        ErrorKind::Denied | ErrorKind::NotFound => {
            let message = format!("{email} does not see the organization {organization}: {}", error.message);
            Error { kind: ErrorKind::Auth, message, ..error }
        }
        _ => error,
    })?;
    let found: Organization = serde_json::from_value(found)
        .map_err(|_| Error::new(ErrorKind::Malformed, "the organization is not what it should be"))?;
    if let Some(customer) = &gcp.options.customer
        && !found.directory_customer_id.is_empty()
        && found.directory_customer_id != customer.value
    {
        let message = format!(
            "the organization {organization} is of the customer `{}`, and `customer` says `{}`",
            found.directory_customer_id, customer.value
        );
        return Err(Error::new(ErrorKind::Auth, message));
    }
    // What writes must not take away its own access; one that reads alone has none to lose that matters.
    let writer = gcp.options.identity.write.as_ref().map_or(email.as_str(), |writer| writer.value.as_str());
    let sort = if writer.ends_with(".gserviceaccount.com") { "serviceAccount" } else { "user" };
    let principal =
        (!writer.is_empty()).then(|| names::principal(&gcp.instance, &format!("{sort}:{writer}")));
    let name = if found.display_name.is_empty() { organization } else { found.display_name };
    Ok(Caller { principal, text: format!("{email} at {name}") })
}
