//! People: read from Okta, and not written: that their sessions end changes nothing of them.
//!
//! Invariant: leavers are asked for by status, since the plain list leaves them out; a page that fails makes the
//! inventory incomplete, and a person whose status is not known is told, not guessed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;

use super::client::{Okta, encoded};
use super::writer::Session;
use super::{OktaKind, sessions};
use crate::model::{
    Address, Attribute, Attributes, Change, Coverage, DirectoryRecord, Flags, Kind, Name, Resource, Schema,
    Snapshot, Status, Value,
};
use crate::provider::paging::{Listing, list};
use crate::provider::{Caller, Error, ErrorKind, Inventoried, Outcome};

pub(super) const KIND: &str = "user";

/// The kind itself.
pub(super) struct Users;

/// A user as Okta writes it, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) status: String,
    /// When he last signed in; not there where he never has.
    #[serde(default, rename = "lastLogin")]
    pub(super) last_login: Option<Timestamp>,
    pub(super) profile: Profile,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Profile {
    pub(super) login: String,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

/// People as read once.
#[derive(Debug, Default)]
pub(super) struct People {
    records: Vec<DirectoryRecord>,
    resources: BTreeMap<Address, Resource>,
    incomplete: Vec<String>,
}

/// The address of a person. Okta takes logins without regard to case.
pub(super) fn address(instance: &str, login: &str) -> Address {
    Address::new(instance, None, KIND, &login.to_lowercase())
}

impl User {
    pub(super) fn address(&self, instance: &str) -> Address {
        address(instance, &self.profile.login)
    }

    /// Whether he has been deactivated: no group rule concerns him any more.
    pub(super) fn has_left(&self) -> bool {
        self.status == "DEPROVISIONED"
    }

    /// Where he stands. STAGED is an account that nobody has activated, and ACTIVATING one on its way from there. All
    /// others but SUSPENDED and DEPROVISIONED belong to people at work, whatever they still have to do themselves:
    /// PROVISIONED has been activated by an administrator and waits for its owner's first sign-in (what he needs on his
    /// first day must be there by then), RECOVERY and PASSWORD_EXPIRED wait for a new password, LOCKED_OUT for a pause.
    fn stands(&self) -> Option<Status> {
        Some(match self.status.as_str() {
            "STAGED" | "ACTIVATING" => Status::Staged,
            "ACTIVE" | "PROVISIONED" | "RECOVERY" | "PASSWORD_EXPIRED" | "LOCKED_OUT" => Status::Active,
            "SUSPENDED" => Status::Suspended,
            "DEPROVISIONED" => Status::Left,
            _ => return None,
        })
    }

    fn resource(&self) -> Resource {
        let status = Value::text(self.status.to_lowercase());
        Resource {
            id: Some(self.id.as_str().into()),
            attributes: Attributes::from([("status".into(), status)]),
            ..Resource::default()
        }
    }

    /// What the directory says of him, as texts; lists and objects are left out, as no rule can cite them.
    fn profile(&self, texts: &mut HashSet<Name>) -> BTreeMap<Name, Name> {
        // Many people have the same department, and everyone the same attributes: each text is kept once.
        let mut shared = |text: &str| {
            texts.get(text).cloned().unwrap_or_else(|| {
                let name = Name::from(text);
                texts.insert(name.clone());
                name
            })
        };

        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Some(value.to_string()),
            _ => None,
        };
        let mut profile = BTreeMap::from([(shared("login"), Name::from(self.profile.login.as_str()))]);
        for (name, value) in self.profile.others.iter().filter(|(name, _)| *name != "login") {
            profile.extend(text(value).map(|value| (shared(name), shared(&value))));
        }
        profile
    }
}

/// Whose token this is.
pub(super) async fn me(okta: &Okta) -> Result<Caller, Error> {
    let answer = okta.api.get("/api/v1/users/me").await.map_err(|error| match error.kind {
        ErrorKind::Auth => {
            let message = format!("{} does not take this token: {}", okta.api.base(), error.message);
            Error { message, ..error }
        }
        _ => error,
    })?;
    let user: User = answer.json()?;
    let text = format!("{} at {}", user.profile.login, okta.api.base().as_str().trim_end_matches('/'));
    Ok(Caller { principal: Some(user.address(&okta.instance)), text })
}

/// People and where they stand, read just now.
pub(super) async fn inventory(okta: &Okta) -> Inventoried {
    let people = Arc::new(read_people(okta).await);
    *okta.people.lock().await = Some(people.clone());
    Inventoried {
        records: people.records.clone(),
        accounts: Vec::new(),
        incomplete: people.incomplete.clone(),
    }
}

async fn read_people(okta: &Okta) -> People {
    let here = list::<User>(&okta.api, "/api/v1/users?limit=200").await;
    // By `filter`, not `search`: the index behind the latter lags, and someone who has just left would be in neither list.
    let filter = encoded(r#"status eq "DEPROVISIONED""#);
    let left = list::<User>(&okta.api, &format!("/api/v1/users?filter={filter}&limit=200")).await;
    let (mut people, mut texts) = (People::default(), HashSet::new());
    let mut users: BTreeMap<String, User> = BTreeMap::new();
    for (which, Listing { items, cut_short }) in [("people", here), ("people who have left", left)] {
        if let Some(error) = cut_short {
            people.incomplete.push(format!("the list of {which} breaks off after {}: {error}", items.len()));
        }
        // Who leaves while the lists are read may be in both: then he has left.
        users.extend(items.into_iter().map(|user| (user.id.clone(), user)));
    }
    for user in users.values() {
        let address = user.address(&okta.instance);
        match user.stands() {
            Some(status) => {
                let record = DirectoryRecord {
                    address: Some(address.clone()),
                    status,
                    profile: user.profile(&mut texts),
                };
                people.records.push(record);
            }
            None => {
                people
                    .incomplete
                    .push(format!("`{address}` has the status `{}`, which is not known", user.status));
            }
        }
        people.resources.insert(address, user.resource());
    }
    people.records.sort_by(|one, two| one.address.cmp(&two.address));
    people
}

/// The person at an address, read just now.
pub(super) async fn find(okta: &Okta, address: &Address) -> Result<Option<User>, Error> {
    match okta.api.get(&format!("/api/v1/users/{}", encoded(&address.name()))).await {
        Ok(answer) => answer.json().map(Some),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl OktaKind for Users {
    fn kind(&self) -> Kind {
        let computed = Flags { computed: true, ..Flags::default() };
        let schema = Schema::new(KIND, "users").with(Attribute::new("status").flags(computed));
        Kind::observed(Schema { irreplaceable: true, ..schema })
    }

    async fn observe(&self, okta: &Okta, _: &BTreeSet<Address>) -> Snapshot {
        let mut known = okta.people.lock().await;
        let people = match &*known {
            Some(people) => people.clone(),
            None => {
                let people = Arc::new(read_people(okta).await);
                *known = Some(people.clone());
                people
            }
        };
        drop(known);
        let coverage = match people.incomplete.as_slice() {
            [] => Coverage::Complete,
            reasons => Coverage::Partial(reasons.join("; ")),
        };
        Snapshot {
            resources: people.resources.clone(),
            coverage: [(okta.scope(KIND), coverage)].into(),
            ..Snapshot::default()
        }
    }

    async fn read(&self, okta: &Okta, address: &Address) -> Result<Snapshot, Error> {
        let found = find(okta, address).await?;
        let resources = found.map(|user| (address.clone(), user.resource())).into_iter().collect();
        Ok(Snapshot { resources, ..Snapshot::default() })
    }

    async fn id(&self, okta: &Okta, address: &Address) -> Result<Option<String>, Error> {
        Ok(find(okta, address).await?.map(|user| user.id))
    }

    async fn write(&self, session: &Session, change: &Change) -> Result<Outcome, Error> {
        if sessions::is_cut_off(change) {
            return sessions::end(session, change).await;
        }
        let message =
            format!("`{} {}`: people are made and ended in Okta itself", change.op, change.target());
        Err(Error::new(ErrorKind::Unsupported, message))
    }
}
