//! What writes to Google Cloud: the permit, and what is known of what exists.
//!
//! Invariant: a change that the permit does not cover is refused before anything is called; changes of one policy are written
//! together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::names::{FOLDER, GROUP, ORGANIZATION, USER};
use super::{Gcp, cut_off, group, kind_of, policies, tree};
use crate::model::{Address, Change, Name, Permit, Snapshot};
use crate::provider::{Error, ErrorKind, Outcome, Writer, covered};

/// One run of writing.
pub(super) struct Session {
    pub(super) gcp: Arc<Gcp>,
    permit: Permit,
    /// The ids of folders and groups that exist.
    ids: Mutex<BTreeMap<Address, Name>>,
    /// What this run made, or may have made.
    made: Mutex<BTreeSet<Address>>,
}

impl Session {
    pub(super) fn new(gcp: Arc<Gcp>, permit: &Permit, live: &Snapshot) -> Self {
        let with_ids = live
            .resources
            .iter()
            .filter(|(address, _)| gcp.is_mine(address) && [FOLDER, GROUP].contains(&address.kind()));
        let ids = with_ids.filter_map(|(address, resource)| Some((address.clone(), resource.id.clone()?)));
        let ids = Mutex::new(ids.collect());
        Self { gcp, permit: permit.clone(), ids, made: Mutex::default() }
    }

    pub(super) fn note_made(&self, address: &Address) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(address.clone());
    }

    pub(super) fn is_made(&self, address: &Address) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(address)
    }

    fn known(&self, address: &Address) -> Option<Name> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned()
    }

    fn learn(&self, address: &Address, id: &str) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(address.clone(), id.into());
    }

    /// `folders/NUMBER` or `organizations/NUMBER`, by address.
    pub(super) async fn name_of(&self, holder: &Address) -> Result<Option<String>, Error> {
        if holder.kind() == ORGANIZATION {
            return Ok(Some(format!("organizations/{}", holder.name())));
        }
        if let Some(id) = self.known(holder) {
            return Ok(Some(format!("folders/{id}")));
        }
        let found = tree::find_folder(&self.gcp.writes, &self.gcp.organization(), &holder.name()).await?;
        if let Some(folder) = &found {
            self.learn(holder, &tree::number(&folder.name));
        }
        Ok(found.map(|folder| folder.name))
    }

    /// `groups/ID`, by address.
    pub(super) async fn group(&self, address: &Address) -> Result<Option<String>, Error> {
        if let Some(id) = self.known(address) {
            return Ok(Some(format!("groups/{id}")));
        }
        let found = group::find(&self.gcp, &self.gcp.writes, address).await?.map(|group| group.name);
        if let Some(name) = &found {
            self.learn(address, &tree::number(name));
        }
        Ok(found)
    }

    /// Whether a change is one of a policy.
    fn is_bound(change: &Change) -> bool {
        change.grant.as_ref().is_some_and(|key| &*key.relation != group::MEMBER)
    }
}

#[async_trait]
impl Writer for Session {
    async fn write(&self, change: &Change) -> Result<Outcome, Error> {
        covered(&self.permit, change)?;
        if Self::is_bound(change) {
            let mut written = policies::write(&self.gcp, &[change]).await;
            return written.pop().unwrap_or_else(|| Err(unsupported(change)));
        }
        if change.address.kind() == USER && cut_off::is_cut_off(change) {
            return cut_off::end(self, change).await;
        }
        let kind = kind_of(&change.address)?;
        self.gcp.note_thing(&change.address);
        kind.write(self, change).await
    }

    async fn write_all(&self, changes: &[&Change]) -> Vec<Result<Outcome, Error>> {
        // A batch is of one policy; what is not covered is refused, and keeps nobody else from being written.
        let refused: Vec<Option<Error>> =
            changes.iter().map(|change| covered(&self.permit, change).err()).collect();
        let together =
            |(change, refused): (&&Change, &Option<Error>)| refused.is_none() && Self::is_bound(change);
        let all = changes.iter().zip(&refused).all(|pair| pair.1.is_some() || together(pair));
        if !all {
            let mut outcomes = Vec::with_capacity(changes.len());
            for change in changes {
                outcomes.push(self.write(change).await);
            }
            return outcomes;
        }
        let bound: Vec<&Change> = changes
            .iter()
            .zip(&refused)
            .filter(|(_, refused)| refused.is_none())
            .map(|(change, _)| *change)
            .collect();
        let mut written = policies::write(&self.gcp, &bound).await.into_iter();
        let mut outcomes = Vec::with_capacity(changes.len());
        for (change, refused) in changes.iter().zip(refused) {
            outcomes.push(match refused {
                Some(error) => Err(error),
                None => written.next().unwrap_or_else(|| Err(unsupported(change))),
            });
        }
        outcomes
    }

    async fn poll(&self, change: &Change, poll: &str) -> Result<Outcome, Error> {
        self.gcp.note_thing(&change.address);
        kind_of(&change.address)?.poll(self, change, poll).await
    }
}

/// What is to be written to is not there.
pub(super) fn gone(address: &Address) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{address}` does not exist in Google Cloud"))
}

/// Nothing here writes such a change.
pub(super) fn unsupported(change: &Change) -> Error {
    let message = format!("`{} {}` cannot be written to Google Cloud", change.op, change.target());
    Error::new(ErrorKind::Unsupported, message)
}
