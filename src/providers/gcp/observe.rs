//! Looking: inventory, everything at once, one thing, one edge, one principal.
//!
//! Invariant: what was written here since is read exactly, whatever a search shows of it; what could not be read is told as
//! partial coverage. It must not write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;

use super::client::Service;
use super::names::{self, BILLING, FOLDER, ORGANIZATION, PROJECT, SERVICE_ACCOUNT, USER};
use super::tree::{self, Tree};
use super::{Gcp, assets, billing, group, kind_of, membership, policies, project, service_account, user};
use crate::model::{Address, Attributes, Coverage, GrantKey, LiveGrant, Resource, Snapshot};
use crate::provider::{Error, ErrorKind, Inventoried, edge_in};

/// Projects as accounts, and people where they come from here. Both are read anew.
pub(super) async fn inventory(gcp: &Arc<Gcp>) -> Inventoried {
    let (tree, people) = tokio::join!(tree::shared(gcp, true), user::shared(gcp, true));
    let cut = tree.folders_cut.iter().chain(&tree.projects_cut).chain(&people.incomplete);
    Inventoried {
        records: people.records.clone(),
        accounts: tree.accounts(&gcp.instance),
        incomplete: cut.cloned().collect(),
    }
}

/// Everything, with the members of those groups that `edges_of` names.
pub(super) async fn observe(gcp: &Arc<Gcp>, edges_of: &BTreeSet<Address>) -> Snapshot {
    let tree = tree::shared(gcp, false).await;
    let with_billing = edges_of.iter().any(|address| address.kind() == BILLING);
    let (policies, groups, people, accounts) = tokio::join!(
        async {
            let (mut things, emails) = assets::things(gcp, &tree).await;
            things.merge(assets::policies(gcp, &tree, &emails, "").await.0);
            things
        },
        group::observe(gcp, edges_of),
        user::shared(gcp, false),
        billing::accounts(gcp, with_billing),
    );
    let mut live = tree.snapshot(gcp);
    for part in [policies, groups, people.snapshot(gcp), accounts] {
        live.merge(part);
    }
    // What is in a project that does not exist does not exist either.
    let projects = live.coverage.get(&gcp.scope(PROJECT)).cloned().unwrap_or(Coverage::Complete);
    for address in edges_of {
        let nowhere = names::scope(address).is_some_and(|id| !tree.projects.contains_key(&id));
        if nowhere {
            live.coverage.insert(address.place().into(), projects.clone());
        }
        // Of a folder or project that was not seen nobody knows who is bound on it, unless it would have been seen.
        if [FOLDER, PROJECT].contains(&address.kind()) && !live.resources.contains_key(address) {
            let listed = live.coverage.get(&gcp.scope(address.kind())).cloned().unwrap_or(Coverage::Complete);
            live.coverage.insert(address.as_str().into(), listed);
        }
    }
    // The search may not show an account's policy: it can be another organization's.
    for address in edges_of.iter().filter(|address| address.kind() == BILLING) {
        if !live.resources.contains_key(address) {
            let listed = live.coverage.get(&gcp.scope(BILLING)).cloned().unwrap_or(Coverage::Complete);
            live.coverage.insert(address.as_str().into(), listed);
            continue;
        }
        live.grants.retain(|edge| edge.key.resource != *address);
        match policies::read(gcp, address).await {
            Ok(seen) => live.merge(seen),
            Err(error) => {
                let why = format!("the policy of `{address}` could not be read: {error}");
                live.coverage.insert(address.as_str().into(), Coverage::Partial(why));
            }
        }
    }
    exactly(gcp, &mut live).await;
    live.normalize();
    live
}

/// Puts what was written here since in the place of what searches show of it.
async fn exactly(gcp: &Arc<Gcp>, live: &mut Snapshot) {
    let written: BTreeSet<Address> = gcp.written_things().into_iter().collect();
    // Folders and projects were taken in with the tree; whoever makes one is bound on it by Google.
    let (things, places): (BTreeSet<Address>, BTreeSet<Address>) =
        written.into_iter().partition(|address| ![FOLDER, PROJECT].contains(&address.kind()));
    let places = places.into_iter().filter(|address| live.resources.contains_key(address));
    let policies: BTreeSet<Address> = gcp.written_policies().into_iter().chain(places).collect();
    let policies = policies.into_iter().filter(|address| !things.contains(address));
    let policies: Vec<Address> = policies.collect();
    let reads = things.iter().cloned().chain(policies).map(|address| async move {
        let seen = match kind_of(&address) {
            Ok(kind) if ![FOLDER, PROJECT].contains(&address.kind()) => kind.read(gcp, &address).await,
            _ => policies::read(gcp, &address).await,
        };
        (address, seen)
    });
    let width = gcp.reads.api(Service::Resources).in_flight();
    let mut reads = futures_util::stream::iter(reads).buffer_unordered(width);
    while let Some((address, seen)) = reads.next().await {
        match seen {
            Ok(seen) => {
                live.grants.retain(|edge| edge.key.resource != address);
                if things.contains(&address) {
                    live.resources.remove(&address);
                }
                live.merge(seen);
            }
            Err(error) => {
                let why = format!("`{address}`, which was written a moment ago, could not be read: {error}");
                live.coverage.insert(address.as_str().into(), Coverage::Partial(why));
            }
        }
    }
}

/// Of these, the fields that take a call each.
pub(super) async fn fields(gcp: &Arc<Gcp>, of: &BTreeMap<Address, Attributes>) -> Snapshot {
    let mut reads = Vec::new();
    for (address, wanted) in of {
        reads.push(fields_of(gcp, address, wanted));
    }
    let width = gcp.reads.api(Service::Resources).in_flight();
    let mut reads = futures_util::stream::iter(reads).buffer_unordered(width);
    let mut live = Snapshot::default();
    while let Some((address, read)) = reads.next().await {
        match read {
            Ok(attributes) => {
                live.resources.insert(address.clone(), Resource { attributes, ..Resource::default() });
            }
            Err(error) => {
                let fields: Vec<&str> = of[address].keys().map(AsRef::as_ref).collect();
                let why = format!("{} of `{address}` could not be read: {error}", fields.join(", "));
                let scope =
                    if address.scope().is_some() { address.place().into() } else { gcp.scope(PROJECT) };
                live.coverage.insert(scope, Coverage::Partial(why));
            }
        }
    }
    live
}

async fn fields_of<'a>(
    gcp: &Gcp,
    address: &'a Address,
    wanted: &Attributes,
) -> (&'a Address, Result<Attributes, Error>) {
    let read = match address.kind() {
        PROJECT => project::fields(gcp, address, wanted).await,
        SERVICE_ACCOUNT => service_account::fields(gcp, address, wanted).await,
        _ => Ok(Attributes::new()),
    };
    (address, read)
}

/// One thing, with the edges on it.
pub(super) async fn read(gcp: &Arc<Gcp>, address: &Address) -> Result<Snapshot, Error> {
    if !gcp.is_mine(address) {
        let message = format!("`{address}` is not something that `{}` can read", gcp.instance);
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let before = gcp.calls();
    let mut seen = match address.kind() {
        ORGANIZATION => {
            let mut seen = policies::read(gcp, address).await?;
            let id: crate::model::Name = address.name().as_ref().into();
            if *id == *gcp.organization() {
                let resource = Resource { id: Some(id), ..Resource::default() };
                seen.resources.insert(address.clone(), resource);
            }
            seen
        }
        BILLING => billing::read(gcp, address).await?,
        USER => user::read(gcp, address).await?,
        _ => kind_of(address)?.read(gcp, address).await?,
    };
    seen.calls.insert(gcp.instance.clone(), gcp.calls() - before);
    seen.normalize();
    Ok(seen)
}

/// One edge: of a group, asked for by itself; of a policy, from an exact read of it.
pub(super) async fn read_grant(gcp: &Arc<Gcp>, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
    if &*key.relation == group::MEMBER {
        return membership::read(gcp, key).await;
    }
    edge_in(&policies::read(gcp, &key.resource).await?, &key.resource, key)
}

/// All edges of one principal: what policies bind it to, and the groups that it is in itself.
pub(super) async fn edges_of(gcp: &Arc<Gcp>, principal: &Address) -> Result<Snapshot, Error> {
    let Some(member) = names::member(principal).filter(|_| gcp.is_mine(principal)) else {
        return read(gcp, principal).await;
    };
    let tree: Arc<Tree> = tree::shared(gcp, false).await;
    // Without the accounts' ids nobody could tell whose policy a search shows.
    let (things, emails) = assets::things(gcp, &tree).await;
    let query = format!("policy:\"{member}\"");
    let ((bound, unknown), groups) =
        tokio::join!(assets::policies(gcp, &tree, &emails, &query), membership::of(gcp, principal));
    let mut seen = Snapshot::default();
    let mut partial: Vec<String> = Vec::new();
    // The search finds what contains the text, which another member's may.
    for edge in bound.grants {
        if edge.key.principal == *principal {
            seen.grants.push(edge);
        }
    }
    partial.extend(tree.folders_cut.iter().chain(&tree.projects_cut).cloned());
    // Whose policy it is could not be told of these, so that it may be his.
    partial.extend(unknown.iter().map(|name| format!("whose policy `{name}` is could not be told")));
    partial.extend(things.coverage.into_values().chain(bound.coverage.into_values()).filter_map(
        |coverage| match coverage {
            Coverage::Partial(why) => Some(why),
            Coverage::Complete => None,
        },
    ));
    match groups {
        Ok(groups) => seen.grants.extend(groups),
        Err(error) => partial.push(format!("the groups of `{principal}` could not be read: {error}")),
    }
    partial.sort();
    partial.dedup();
    let coverage =
        if partial.is_empty() { Coverage::Complete } else { Coverage::Partial(partial.join("; ")) };
    seen.coverage.insert(principal.as_str().into(), coverage);
    seen.normalize();
    Ok(seen)
}
