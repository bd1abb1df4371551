//! Google Cloud: one organization with its folders, projects, policies, service accounts and roles, and Cloud Identity's
//! groups.
//!
//! Invariant: a plan reads lists and one search over all policies, and nothing project by project but what only such calls
//! show and somebody declares. A policy is read just before it is written, and written whole, once for all its changes.
//! A new kind is one file that implements [`GcpKind`] and its line in [`KINDS`].
//! It must not touch what Google keeps for itself: service agents, what was deleted, audit configs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::settings::ProviderSettings;
use crate::model::{
    Account, Address, Attributes, Change, Code, CutOff, GrantKey, Kind, LiveGrant, Name, Permit, Places,
    ProviderType, Relation, Schema, Snapshot, Value,
};
use crate::provider::{
    Caller, Error, ErrorKind, Inventoried, Lane, Outcome, Pace, Patience, Provider, Writer,
};

use super::Wiring;
use client::{Client, Hand, Service};
use names::{BILLING, FOLDER, GROUP, ORGANIZATION, POOL, PRINCIPAL, PROJECT, ROLE, SERVICE_ACCOUNT, USER};
use settings::Options;
use tree::Tree;
use writer::Session;

mod access;
mod assets;
mod billing;
mod client;
mod condition;
mod credentials;
mod cut_off;
mod folder;
mod group;
mod membership;
mod names;
mod observe;
pub mod permissions;
mod policies;
mod policy;
mod project;
mod role;
mod service_account;
mod settings;
mod tree;
mod user;
mod writer;

/// All kinds that can be written. A new one is added here.
const KINDS: &[&dyn GcpKind] =
    &[&folder::Folders, &project::Projects, &service_account::ServiceAccounts, &role::Roles, &group::Groups];

/// How long what was written may be missing from what is read. Google's own lists say a minute or two.
const LAG: Duration = Duration::from_secs(120);

/// The findings of this provider.
pub const CODES: &[Code] =
    &[settings::BAD_SETTING, access::NO_TARGET, access::BASIC_ROLE, access::BAD_CONDITION, folder::BAD_NAME];

/// One kind of thing in Google Cloud: what it consists of, how one is read and written.
#[async_trait]
trait GcpKind: Send + Sync {
    /// Its schema, and how it is declared.
    fn kind(&self) -> Kind;

    /// One of this kind with the edges on it, read just now.
    async fn read(&self, gcp: &Gcp, address: &Address) -> Result<Snapshot, Error>;

    /// Carries out a change to one of this kind. The permit has been checked.
    async fn write(&self, session: &Session, change: &Change) -> Result<Outcome, Error>;

    /// Asks what became of a change that was pending, and goes on with what it still needs.
    async fn poll(&self, session: &Session, _: &Change, poll: &str) -> Result<Outcome, Error> {
        session.gcp.writes.poll(poll).await
    }
}

/// What the engine knows of Google Cloud without calling it.
#[must_use]
pub fn provider_type() -> ProviderType {
    let names = |names: &[&str]| names.iter().map(|name| Name::from(*name)).collect();
    let observed = |kind: &str, plural: &str| Schema { irreplaceable: true, ..Schema::new(kind, plural) };
    let assumed = |kind: &str, plural: &str| Schema { assumed: true, ..observed(kind, plural) };
    let others = [
        observed(ORGANIZATION, "organizations"),
        assumed(BILLING, "billing_accounts"),
        observed(POOL, "workload_identity_pools"),
        user::schema(),
        assumed(PRINCIPAL, "other_principals"),
    ];
    let principals = [USER, GROUP, SERVICE_ACCOUNT, PRINCIPAL];
    ProviderType {
        name: "gcp",
        kinds: KINDS.iter().map(|kind| kind.kind()).chain(others.map(Kind::observed)).collect(),
        relations: vec![
            Relation {
                name: group::MEMBER.into(),
                principals: names(&principals),
                resources: names(&[GROUP]),
                words: "member of".into(),
                pair: false,
            },
            // Every other relation is a role that a policy binds.
            Relation {
                name: "*".into(),
                principals: names(&principals),
                resources: names(&[ORGANIZATION, FOLDER, PROJECT, SERVICE_ACCOUNT, BILLING]),
                words: "is bound to".into(),
                pair: true,
            },
        ],
        person_kind: USER,
        role_group: Some((GROUP, group::MEMBER)),
        access: access::lower,
        access_schema: access::schema,
        principal: |instance, _, identity| match identity.contains(':') {
            true => names::principal(instance, identity),
            false => names::principal(instance, &format!("user:{identity}")),
        },
        settings: settings::check,
        settings_schema: settings::schema,
        places: Some(Places { holder, account, member: names::member }),
    }
}

/// The thing that a thing is in: what is in a project, that; a folder, the one above it.
fn holder(address: &Address) -> Option<Address> {
    if let Some(project) = names::scope(address) {
        return Some(Address::new(address.instance(), None, PROJECT, &project));
    }
    let name = address.name();
    let above = name.rsplit_once('/').filter(|_| address.kind() == FOLDER)?.0;
    Some(Address::new(address.instance(), None, FOLDER, above))
}

/// The account that a declared project is, or would be.
fn account(address: &Address, attributes: &Attributes) -> Option<Account> {
    if address.kind() != PROJECT {
        return None;
    }
    let parent: Option<Address> =
        attributes.get("parent").and_then(Value::as_text).and_then(|text| text.parse().ok());
    let path = parent.filter(|parent| parent.kind() == FOLDER).map(|parent| parent.name().into_owned());
    let id: Name = address.name().as_ref().into();
    Some(Account {
        instance: address.instance().into(),
        name: id.clone(),
        id,
        path: path.unwrap_or_default(),
    })
}

/// Opens the organization that settings name; calls nobody yet.
pub fn open(settings: &ProviderSettings, wiring: &Wiring) -> Result<Box<dyn Provider>, Error> {
    let mut findings = Vec::new();
    let options = settings::read(&settings.options, &mut findings).ok_or_else(|| {
        let why = findings.first().map_or_else(|| "they are not valid".to_owned(), ToString::to_string);
        Error::new(ErrorKind::Other, format!("cannot use the settings of `{}`: {why}", settings.instance))
    })?;
    let reads = Client::new(&options, wiring, Hand::Reads)?;
    let writes = Client::new(&options, wiring, Hand::Writes)?;
    let gcp = Gcp {
        instance: settings.instance.clone(),
        options,
        reads,
        writes,
        tree: tokio::sync::Mutex::default(),
        people: tokio::sync::Mutex::default(),
        stale: AtomicBool::new(false),
        written: Mutex::default(),
        memberships: Mutex::default(),
    };
    Ok(Box::new(Arc::new(gcp)))
}

/// One organization.
#[derive(Debug)]
pub(super) struct Gcp {
    instance: Name,
    options: Options,
    reads: Client,
    writes: Client,
    /// Folders and projects as last read, so that inventory and observation read them once.
    tree: tokio::sync::Mutex<Option<Arc<Tree>>>,
    /// People as last read.
    people: tokio::sync::Mutex<Option<Arc<user::People>>>,
    /// Whether a folder or project was written since the tree was read.
    stale: AtomicBool,
    written: Mutex<Written>,
    /// What memberships are called, as far as they were seen: taking one away asks for that.
    memberships: Mutex<BTreeMap<GrantKey, String>>,
}

/// What was written since this was opened. Searches lag, so it is read by itself from then on.
#[derive(Debug, Default)]
struct Written {
    things: BTreeSet<Address>,
    policies: BTreeSet<Address>,
}

impl Gcp {
    fn organization(&self) -> String {
        self.options.organization.value.clone()
    }

    /// The scope of all things of a kind: `gcp:project`.
    fn scope(&self, kind: &str) -> Name {
        let address = Address::new(&self.instance, None, kind, "x");
        format!("{}:{kind}", address.place()).into()
    }

    /// Whether an address is one of this organization's.
    fn is_mine(&self, address: &Address) -> bool {
        !address.is_reserved() && address.instance() == self.instance.as_ref()
    }

    fn written_things(&self) -> Vec<Address> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).things.iter().cloned().collect()
    }

    fn written_policies(&self) -> Vec<Address> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).policies.iter().cloned().collect()
    }

    fn note_thing(&self, address: &Address) {
        if [FOLDER, PROJECT].contains(&address.kind()) {
            self.stale.store(true, Ordering::Release);
        }
        self.written.lock().unwrap_or_else(PoisonError::into_inner).things.insert(address.clone());
    }

    fn note_policy(&self, address: &Address) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).policies.insert(address.clone());
    }

    fn calls(&self) -> u64 {
        self.reads.calls() + self.writes.calls()
    }
}

fn kind_of(address: &Address) -> Result<&'static dyn GcpKind, Error> {
    let found = KINDS.iter().find(|kind| kind.kind().schema.kind.as_ref() == address.kind());
    found.copied().ok_or_else(|| {
        let message =
            format!("there is no kind `{}` in Google Cloud that is written, for `{address}`", address.kind());
        Error::new(ErrorKind::Unsupported, message)
    })
}

#[async_trait]
impl Provider for Arc<Gcp> {
    fn instance(&self) -> &Name {
        &self.instance
    }

    async fn identity(&self) -> Result<Caller, Error> {
        user::me(self).await
    }

    async fn inventory(&self) -> Inventoried {
        observe::inventory(self).await
    }

    async fn observe(&self, edges_of: &BTreeSet<Address>) -> Snapshot {
        let before = self.calls();
        let mut live = observe::observe(self, edges_of).await;
        live.calls.insert(self.instance.clone(), self.calls() - before);
        live
    }

    async fn observe_fields(&self, of: &BTreeMap<Address, Attributes>) -> Snapshot {
        let before = self.calls();
        let mut live = observe::fields(self, of).await;
        live.calls.insert(self.instance.clone(), self.calls() - before);
        live
    }

    async fn read(&self, address: &Address) -> Result<Snapshot, Error> {
        observe::read(self, address).await
    }

    async fn read_grant(&self, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
        observe::read_grant(self, key).await
    }

    async fn edges_of(&self, principal: &Address) -> Result<Snapshot, Error> {
        observe::edges_of(self, principal).await
    }

    async fn holdings(&self, principal: &Address) -> Option<BTreeSet<Address>> {
        let held = observe::edges_of(self, principal).await.ok()?;
        let whole = held.coverage.get(principal.as_str()) == Some(&crate::model::Coverage::Complete);
        whole.then(|| held.grants.iter().map(|edge| edge.key.resource.clone()).collect())
    }

    async fn cut_offs(&self, principal: &Address) -> Result<Vec<CutOff>, Error> {
        cut_off::cut_offs(self, principal).await
    }

    fn writer(&self, permit: &Permit, live: &Snapshot) -> Box<dyn Writer> {
        Box::new(Session::new(self.clone(), permit, live))
    }

    fn calls(&self) -> u64 {
        Gcp::calls(self)
    }

    /// Changes of one policy go together, and nothing else touches it meanwhile.
    fn lane(&self, change: &Change) -> Lane {
        let width = self.writes.api(Service::Resources).in_flight();
        let about: Name = change.address.as_str().into();
        match &change.grant {
            Some(key) if &*key.relation != group::MEMBER => {
                let service = policies::service(&change.address);
                Lane { batch: Some(about.clone()), alone: Some(about), ..Lane::new(service.name(), width) }
            }
            Some(_) => Lane::new(Service::Identity.name(), width),
            None => {
                let service = match change.address.kind() {
                    GROUP => Service::Identity,
                    SERVICE_ACCOUNT | ROLE => Service::Iam,
                    USER => Service::Directory,
                    _ => Service::Resources,
                };
                Lane { alone: Some(about), ..Lane::new(service.name(), width) }
            }
        }
    }

    fn pace(&self, lane: &str) -> Pace {
        self.writes.pace(lane)
    }

    fn patience(&self) -> Patience {
        Patience { lag: LAG, ..Patience::default() }
    }
}
