//! Okta: people, groups and memberships, over its Management API.
//!
//! Invariant: lists are read page by page, once each, and a plan reads none per user. A new kind is one file that implements
//! [`OktaKind`] and its line in [`KINDS`]; nothing else here knows what kinds there are.
//! It must not change people: they are made and ended in Okta or in what masters it.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::settings::ProviderSettings;
use crate::model::{
    Address, Change, Code, CutOff, GrantKey, Kind, LiveGrant, Permit, ProviderType, Relation, Snapshot,
};
use crate::provider::{
    Caller, Error, ErrorKind, Inventoried, Lane, Outcome, Pace, Patience, Provider, Writer,
};

use super::Wiring;
use client::Okta;
use writer::Session;

mod access;
mod client;
mod group;
mod membership;
mod rules;
mod sessions;
mod settings;
mod user;
mod writer;

/// All kinds. A new one is added here.
const KINDS: &[&dyn OktaKind] = &[&user::Users, &group::Groups];

/// The findings of this provider.
pub const CODES: &[Code] =
    &[access::NOT_SUPPORTED, access::NO_TARGET, settings::BAD_URL, settings::BAD_BUDGET, group::BAD_NAME];

/// One kind of thing in Okta: what it consists of, how it is read and how it is written.
#[async_trait]
trait OktaKind: Send + Sync {
    /// Its schema, and how it is declared.
    fn kind(&self) -> Kind;

    /// The edges it is the resource of.
    fn relations(&self) -> Vec<Relation> {
        Vec::new()
    }

    /// All of this kind, with the edges on those that `edges_of` names. What could not be read is told as coverage.
    async fn observe(&self, okta: &Okta, edges_of: &BTreeSet<Address>) -> Snapshot;

    /// One of this kind with the edges on it, read just now.
    async fn read(&self, okta: &Okta, address: &Address) -> Result<Snapshot, Error>;

    /// One edge on one of this kind, read just now.
    async fn read_grant(&self, _: &Okta, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
        Err(Error::new(ErrorKind::Unsupported, format!("Okta knows no such edge as `{key}`")))
    }

    /// The id of one of this kind, looked up just now; `None` where there is none.
    async fn id(&self, okta: &Okta, address: &Address) -> Result<Option<String>, Error>;

    /// The bucket that such a change counts against; of most it is the one that all others share.
    fn bucket(&self, _: &Change) -> &'static str {
        "/"
    }

    /// Asks what became of a change that was pending.
    async fn poll(&self, _: &Session, change: &Change, _poll: &str) -> Result<Outcome, Error> {
        let message = format!("Okta cannot be asked what became of `{} {}`", change.op, change.target());
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// Carries out a change to one of this kind, or to an edge on it. The permit has been checked.
    async fn write(&self, session: &Session, change: &Change) -> Result<Outcome, Error>;
}

/// What the engine knows of Okta without calling it.
#[must_use]
pub fn provider_type() -> ProviderType {
    ProviderType {
        name: "okta",
        kinds: KINDS.iter().map(|kind| kind.kind()).collect(),
        relations: KINDS.iter().flat_map(|kind| kind.relations()).collect(),
        person_kind: user::KIND,
        role_group: Some((group::KIND, group::MEMBER)),
        access: access::lower,
        access_schema: access::schema,
        principal: |instance, _, identity| user::address(instance, identity),
        settings: settings::check,
        places: None,
        settings_schema: settings::schema,
    }
}

/// Opens the Okta that settings name; calls nobody yet.
pub fn open(settings: &ProviderSettings, wiring: &Wiring) -> Result<Box<dyn Provider>, Error> {
    Ok(Box::new(OktaProvider { okta: Arc::new(Okta::open(settings, wiring)?) }))
}

struct OktaProvider {
    okta: Arc<Okta>,
}

fn kind_of(address: &Address) -> Result<&'static dyn OktaKind, Error> {
    let found = KINDS.iter().find(|kind| kind.kind().schema.kind.as_ref() == address.kind());
    found.copied().ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            format!("there is no kind `{}` in Okta, for `{address}`", address.kind()),
        )
    })
}

#[async_trait]
impl Provider for OktaProvider {
    fn instance(&self) -> &crate::model::Name {
        &self.okta.instance
    }

    async fn identity(&self) -> Result<Caller, Error> {
        user::me(&self.okta).await
    }

    async fn inventory(&self) -> Inventoried {
        user::inventory(&self.okta).await
    }

    async fn observe(&self, edges_of: &BTreeSet<Address>) -> Snapshot {
        let before = self.okta.api.calls();
        let kinds = KINDS.iter().map(|kind| kind.observe(&self.okta, edges_of));
        let mut live = Snapshot::default();
        for part in futures_util::future::join_all(kinds).await {
            live.merge(part);
        }
        live.calls.insert(self.okta.instance.clone(), self.okta.api.calls() - before);
        live
    }

    async fn read(&self, address: &Address) -> Result<Snapshot, Error> {
        kind_of(address)?.read(&self.okta, address).await
    }

    async fn read_grant(&self, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
        kind_of(&key.resource)?.read_grant(&self.okta, key).await
    }

    async fn edges_of(&self, principal: &Address) -> Result<Snapshot, Error> {
        match self.okta.is_mine(principal, user::KIND) {
            true => membership::of(&self.okta, principal).await,
            false => self.read(principal).await,
        }
    }

    async fn holdings(&self, principal: &Address) -> Option<BTreeSet<Address>> {
        membership::holdings(&self.okta, principal).await
    }

    async fn cut_offs(&self, principal: &Address) -> Result<Vec<CutOff>, Error> {
        sessions::cut_offs(&self.okta, principal).await
    }

    fn edges_a_page(&self) -> Option<usize> {
        Some(group::LIMIT)
    }

    fn writer(&self, permit: &Permit, live: &Snapshot) -> Box<dyn Writer> {
        Box::new(Session::new(self.okta.clone(), permit, live))
    }

    fn calls(&self) -> u64 {
        self.okta.api.calls()
    }

    /// What counts against one limit is one lane. What replaces a whole profile, or removes it, is alone with it.
    fn lane(&self, change: &Change) -> Lane {
        let bucket = kind_of(&change.address).map_or("/", |kind| kind.bucket(change));
        let alone = change.grant.is_none().then(|| change.address.as_str().into());
        Lane { alone, ..Lane::new(bucket, self.okta.api.in_flight()) }
    }

    fn pace(&self, lane: &str) -> Pace {
        self.okta.api.pace(lane)
    }

    fn patience(&self) -> Patience {
        Patience { lag: client::LAG, ..Patience::default() }
    }
}

#[cfg(test)]
mod tests;
