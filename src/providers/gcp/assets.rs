//! Cloud Asset: all policies of the organization in one search, and its service accounts, keys, roles and pools in one list.
//!
//! Invariant: what it shows may be minutes old, so that nothing rests on it alone that was written here since.
//! It must not read a project by itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::Gcp;
use super::client::{Service, encoded};
use super::names::{self, BILLING, FOLDER, ORGANIZATION, POOL, PROJECT, SERVICE_ACCOUNT};
use super::tree::{Tree, number};
use super::{policies, role, service_account};
use crate::model::{Address, Coverage, Resource, Snapshot};
use crate::provider::Error;
use crate::provider::paging::Listing;

/// How many policies, and how many things, are asked for at once; the most that Google gives.
/// Checked November 2026: https://cloud.google.com/asset-inventory/docs/reference/rest/v1/TopLevel/searchAllIamPolicies
const POLICIES: usize = 500;
const THINGS: usize = 1000;

/// What has policies that are read here.
const WITH_POLICIES: [&str; 5] = [
    "cloudresourcemanager.googleapis.com/Organization",
    "cloudresourcemanager.googleapis.com/Folder",
    "cloudresourcemanager.googleapis.com/Project",
    "iam.googleapis.com/ServiceAccount",
    "cloudbilling.googleapis.com/BillingAccount",
];
const ACCOUNT: &str = "iam.googleapis.com/ServiceAccount";
const KEY: &str = "iam.googleapis.com/ServiceAccountKey";
const OWN_ROLE: &str = "iam.googleapis.com/Role";
const OF_POOLS: &str = "iam.googleapis.com/WorkloadIdentityPool";

#[derive(Debug, Deserialize)]
struct Found {
    resource: String,
    #[serde(default)]
    policy: Json,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asset {
    name: String,
    asset_type: String,
    #[serde(default)]
    resource: Shown,
}

#[derive(Debug, Default, Deserialize)]
struct Shown {
    #[serde(default)]
    data: Json,
}

/// Which service account has an id of its own.
pub(super) type Emails = BTreeMap<String, Address>;

/// Service accounts with their keys, own roles and pools.
pub(super) async fn things(gcp: &Gcp, tree: &Tree) -> (Snapshot, Emails) {
    let types =
        [ACCOUNT, KEY, OWN_ROLE, OF_POOLS].map(|name| format!("assetTypes={}", encoded(name))).join("&");
    let target = format!(
        "/v1/organizations/{}/assets?contentType=RESOURCE&{types}&pageSize={THINGS}",
        encoded(&gcp.organization())
    );
    let Listing { items, cut_short } = gcp.reads.list::<Asset>(Service::Assets, &target, "assets").await;
    let mut seen = Snapshot::default();
    let mut emails = Emails::new();
    let mut keys: BTreeMap<Address, Vec<service_account::Key>> = BTreeMap::new();
    for Asset { name, asset_type, resource: Shown { data } } in items {
        match asset_type.as_str() {
            ACCOUNT => {
                if let Ok(account) = serde_json::from_value::<service_account::Account>(data)
                    && let Some(address) = account.address(&gcp.instance)
                {
                    emails.insert(account.unique_id.clone(), address.clone());
                    seen.resources.insert(address, account.resource());
                }
            }
            KEY => {
                let email = name.rsplit_once("/keys/").and_then(|(account, _)| account.rsplit_once('/'));
                if let (Ok(key), Some((_, id))) = (serde_json::from_value(data), email) {
                    let about = Address::new(&gcp.instance, None, "key_of", id);
                    keys.entry(about).or_default().push(key);
                }
            }
            OWN_ROLE => {
                if let Ok(found) = serde_json::from_value::<role::Role>(data)
                    && let Some(address) = found.address(&gcp.instance)
                    && !found.deleted
                {
                    seen.resources.insert(address, found.resource());
                }
            }
            OF_POOLS => seen.resources.extend(pool(gcp, tree, &name)),
            _ => {}
        }
    }
    for (about, keys) in keys {
        // Keys name their account by its own id, or by its e-mail address.
        let id = about.name();
        let account = emails.get(&*id).cloned().or_else(|| {
            let (name, project) = names::parts_of(&id)?;
            Some(Address::new(&gcp.instance, Some(&project), SERVICE_ACCOUNT, &name))
        });
        if let Some(resource) = account.and_then(|account| seen.resources.get_mut(&account)) {
            resource.dependents = service_account::dependents(&keys);
        }
    }
    let coverage = covered(cut_short.as_ref(), "service accounts and roles");
    for id in tree.projects.keys() {
        let place = Address::new(&gcp.instance, Some(id), SERVICE_ACCOUNT, "x");
        seen.coverage.insert(place.place().into(), coverage.clone());
    }
    seen.coverage.insert(gcp.scope(names::ROLE), coverage);
    (seen, emails)
}

fn covered(cut: Option<&Error>, what: &str) -> Coverage {
    cut.map_or(Coverage::Complete, |error| {
        Coverage::Partial(format!("the list of {what} breaks off: {error}"))
    })
}

fn pool(gcp: &Gcp, tree: &Tree, name: &str) -> Option<(Address, Resource)> {
    let (project, rest) = name.strip_prefix("//iam.googleapis.com/projects/")?.split_once('/')?;
    let id = rest.strip_prefix("locations/global/workloadIdentityPools/")?;
    let project = format!("projects/{project}");
    let project = tree.project_id(&project)?;
    Some((Address::new(&gcp.instance, Some(project), POOL, id), Resource::default()))
}

/// The edges of all policies, and what has one and could not be told. `query` picks, where it is not empty.
pub(super) async fn policies(
    gcp: &Gcp,
    tree: &Tree,
    emails: &Emails,
    query: &str,
) -> (Snapshot, Vec<String>) {
    let types = WITH_POLICIES.map(|name| format!("assetTypes={}", encoded(name))).join("&");
    let query = if query.is_empty() { String::new() } else { format!("&query={}", encoded(query)) };
    let target = format!(
        "/v1/organizations/{}:searchAllIamPolicies?{types}&pageSize={POLICIES}{query}",
        encoded(&gcp.organization())
    );
    let Listing { items, cut_short } = gcp.reads.list::<Found>(Service::Assets, &target, "results").await;
    let (mut seen, mut unknown) = (Snapshot::default(), Vec::new());
    for Found { resource, policy } in items {
        match address_of(gcp, tree, emails, &resource) {
            Some(resource) => {
                let found = policies::found(&gcp.instance, tree, &resource, policy);
                seen.grants.extend(found.grants);
            }
            None => unknown.push(resource),
        }
    }
    let coverage = covered(cut_short.as_ref(), "policies");
    // What the search shows nothing of has no bindings.
    let places = tree.folders.keys().map(|path| (FOLDER, path.as_str()));
    let places = places.chain(tree.projects.keys().map(|id| (PROJECT, id.as_str())));
    let organization = gcp.organization();
    for (kind, name) in places.chain([(ORGANIZATION, organization.as_str())]) {
        let address = Address::new(&gcp.instance, None, kind, name);
        seen.coverage.insert(address.as_str().into(), coverage.clone());
    }
    for address in emails.values() {
        seen.coverage.insert(address.as_str().into(), coverage.clone());
    }
    seen.normalize();
    (seen, unknown)
}

/// The address of what Cloud Asset calls by its full name.
fn address_of(gcp: &Gcp, tree: &Tree, emails: &Emails, name: &str) -> Option<Address> {
    let (service, name) = name.strip_prefix("//")?.split_once('/')?;
    let at = |kind: &str, name: &str| Some(Address::new(&gcp.instance, None, kind, name));
    match (service, name.split_once('/')?) {
        ("cloudresourcemanager.googleapis.com", ("organizations", id)) => {
            (id == gcp.organization()).then(|| at(ORGANIZATION, id))?
        }
        ("cloudresourcemanager.googleapis.com", ("folders", _)) => at(FOLDER, tree.path(name)?),
        ("cloudresourcemanager.googleapis.com", ("projects", _)) => at(PROJECT, tree.project_id(name)?),
        ("iam.googleapis.com", ("projects", _)) => {
            let id = number(name);
            emails.get(&*id).cloned().or_else(|| {
                let (name, project) = names::parts_of(&id)?;
                Some(Address::new(&gcp.instance, Some(&project), SERVICE_ACCOUNT, &name))
            })
        }
        ("cloudbilling.googleapis.com", ("billingAccounts", id)) => at(BILLING, id),
        _ => None,
    }
}
