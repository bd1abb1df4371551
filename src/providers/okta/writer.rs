//! What writes to Okta: the permit, and the ids of what exists.
//!
//! Invariant: a change that the permit does not cover is refused before anything is called.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::client::Okta;
use super::kind_of;
use crate::model::{Address, Change, Name, Permit, Snapshot};
use crate::provider::{Error, Outcome, Writer, covered};

/// One run of writing.
pub(super) struct Session {
    pub(super) okta: Arc<Okta>,
    permit: Permit,
    ids: Mutex<BTreeMap<Address, Name>>,
}

impl Session {
    pub(super) fn new(okta: Arc<Okta>, permit: &Permit, live: &Snapshot) -> Self {
        let ours = live.resources.iter().filter(|(address, _)| address.instance() == okta.instance.as_ref());
        let ids =
            ours.filter_map(|(address, resource)| Some((address.clone(), resource.id.clone()?))).collect();
        Self { okta, permit: permit.clone(), ids: Mutex::new(ids) }
    }

    /// Remembers the id of what was just created.
    pub(super) fn learn(&self, address: &Address, id: &str) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(address.clone(), id.into());
    }

    /// The id of what is at an address: from what was observed or created, else looked up; `None` where nothing is.
    pub(super) async fn id(&self, address: &Address) -> Result<Option<Name>, Error> {
        let known = self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let found = kind_of(address)?.id(&self.okta, address).await?;
        if let Some(id) = &found {
            self.learn(address, id);
        }
        Ok(found.map(Into::into))
    }
}

#[async_trait]
impl Writer for Session {
    async fn write(&self, change: &Change) -> Result<Outcome, Error> {
        covered(&self.permit, change)?;
        kind_of(&change.address)?.write(self, change).await
    }

    async fn poll(&self, change: &Change, poll: &str) -> Result<Outcome, Error> {
        kind_of(&change.address)?.poll(self, change, poll).await
    }
}
