//! Writing: one approved change by the calls it needs, in the order that IAM wants.
//!
//! Invariant: nothing goes that the approved change does not name: what hangs on a deleted thing was seen before or is
//! listed in `dependents`, else the deletion is refused. A creation whose outcome is unknown is read before it is
//! tried again, and what it made is kept. It must not plan: fields and order come with the change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::guard::Guard;
use crate::model::{Address, Attributes, Change, GrantKey, Name, Op, Permit, Resource, Snapshot, Value};
use crate::provider::{Effect, Error, ErrorKind, Outcome, Writer};

use super::connection::{Account, Connection};
use super::iam::{IamKind, New, Part, Sent, tag};
use super::sweep::{kind_of, read};
use super::{MEMBER, cut_off, document};

/// How long to wait, each time, for IAM to know everywhere what was made a moment ago. AWS says seconds.
const PATIENCE: [u64; 6] = [1, 2, 4, 8, 8, 8];
/// The same in all: what does not show by then is not there.
pub(super) const LAG: Duration = Duration::from_secs(31);

fn patience() -> &'static [u64] {
    if Guard::Lag.holds() { &PATIENCE } else { &[] }
}

/// What writes to one account.
#[derive(Debug)]
pub(super) struct AwsWriter {
    account: Arc<Account>,
    permit: Permit,
    /// What was seen of the account.
    live: Snapshot,
    /// What this writer made, or may have made.
    made: Mutex<BTreeSet<Address>>,
    /// Targets of writes whose outcome is not known.
    unsure: Mutex<BTreeSet<Address>>,
}

#[async_trait]
impl Writer for AwsWriter {
    async fn write(&self, change: &Change) -> Result<Outcome, Error> {
        if !self.permit.covers(&change.effect) {
            return Err(Error::new(
                ErrorKind::Denied,
                format!("`{}` is not covered by the permit", change.target()),
            ));
        }
        if !change.op.writes() {
            return Ok(Outcome::Done { request_id: None });
        }
        let aws = self.account.connection().await?;
        let done = match (&change.grant, change.op) {
            (Some(edge), Op::Grant) => self.grant(aws, edge).await,
            (Some(edge), Op::Revoke) => self.revoke(aws, edge).await,
            (None, Op::Create) => self.create(aws, change).await,
            (None, Op::Update) if cut_off::is_cut_off(change) => cut_off::end(aws, change).await,
            (None, Op::Update) => self.update(aws, change).await,
            (None, Op::Delete) => self.delete(aws, change).await,
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                format!("IAM has no {} of `{}`", change.op, change.target()),
            )),
        };
        let mut unsure = self.unsure.lock().unwrap_or_else(PoisonError::into_inner);
        if done.as_ref().is_err_and(|error| error.effect == Effect::Unknown) {
            unsure.insert(change.address.clone());
        } else {
            unsure.remove(&change.address);
        }
        done.map(|request_id| Outcome::Done { request_id })
    }
}

impl AwsWriter {
    pub(super) fn new(account: Arc<Account>, permit: Permit, live: &Snapshot) -> Self {
        let place = account.place();
        let mut own = live.clone();
        own.resources.retain(|address, _| address.place() == &*place);
        own.grants.retain(|grant| grant.key.principal.place() == &*place);
        account.learn(own.resources.iter().map(|(address, resource)| (address, &resource.attributes)));
        Self { account, permit, live: own, made: Mutex::default(), unsure: Mutex::default() }
    }

    async fn grant(&self, aws: &Connection, edge: &GrantKey) -> Sent {
        let arn = aws.arn(&edge.resource);
        let (of, part) = edge_part(edge, &arn, true)?;
        self.set(aws, of, part, &[&edge.principal, &edge.resource]).await
    }

    async fn revoke(&self, aws: &Connection, edge: &GrantKey) -> Sent {
        let arn = aws.arn(&edge.resource);
        let (of, part) = edge_part(edge, &arn, false)?;
        gone_is_done(self.set(aws, of, part, &[]).await)
    }

    async fn create(&self, aws: &Connection, change: &Change) -> Sent {
        let address = &change.address;
        let wanted = change.after.as_ref().ok_or_else(|| without(change, "after"))?;
        let kind = kind_at(address)?;
        let boundary = boundary_of(wanted)?;
        let new = New { attributes: wanted, boundary: boundary.as_ref().map(|policy| aws.arn(policy)) };
        self.account.learn([(address, wanted)]);

        let maybe_there = self.live.resources.contains_key(address) || self.is_made(address);
        let mut found = if maybe_there { self.look(address).await? } else { None };
        let mut request_id = None;
        if found.is_none() {
            let name = address.name();
            let about: Vec<&Address> = boundary.iter().collect();
            let create = || kind.create(aws, &name, &new);
            match self.settle(&about, change.after.as_ref(), create).await {
                Err(error) if error.code.as_deref() == Some("EntityAlreadyExists") => {
                    found = Some(self.look_patiently(address).await?.ok_or(error)?);
                }
                Err(error) => {
                    if error.effect == Effect::Unknown {
                        self.note_made(address);
                    }
                    return Err(error);
                }
                Ok(id) => {
                    self.note_made(address);
                    request_id = id;
                }
            }
        }
        if let Some(found) = &found {
            // What else is there is only ours to complete if we made it.
            let differs =
                |(name, value): &(&Name, &Value)| !same(name, Some(value), found.attributes.get(*name));
            let ours = self.is_made(address);
            if let Some((name, _)) =
                wanted.iter().filter(differs).find(|(name, _)| !ours || &***name != "inline")
            {
                let message =
                    format!("`{address}` exists already, and its `{name}` is not what was approved");
                return Err(Error::new(ErrorKind::Conflict, message).code("EntityAlreadyExists"));
            }
        }
        let there = found.as_ref().and_then(|found| found.attributes.get("inline"));
        let inline = self.set_inline(aws, address, there, wanted.get("inline")).await?;
        Ok(inline.or(request_id))
    }

    async fn update(&self, aws: &Connection, change: &Change) -> Sent {
        let address = &change.address;
        let kind = kind_at(address)?;
        let wanted = change.after.as_ref().ok_or_else(|| without(change, "after"))?;
        let empty = Attributes::new();
        let before = change.before.as_ref().unwrap_or(&empty);
        let mut fields = change.fields.clone();
        // What is there already is not written again: one more version of a policy is no repetition. After an
        // unknown outcome, what was observed before no longer tells.
        let found = if self.is_unsure(address) {
            Some(self.look(address).await?.ok_or_else(|| missing(address))?)
        } else {
            self.live.resources.get(address).cloned()
        };
        if let Some(found) = found.filter(|_| Guard::Idempotent.holds()) {
            let own = kind.field_groups().iter().copied().flatten();
            for name in own.filter(|name| same(name, wanted.get(**name), found.attributes.get(**name))) {
                fields.remove(*name);
            }
        }
        let mut request_id = None;
        let mut note = |sent: Option<String>| request_id = sent.or(request_id.take());
        if fields.remove("boundary") {
            let policy = boundary_of(wanted)?;
            let arn = policy.as_ref().map(|policy| aws.arn(policy));
            let part = arn.as_deref().map_or(Part::DeleteBoundary, Part::PutBoundary);
            let about: Vec<&Address> = policy.iter().chain([address]).collect();
            let sent = self.set(aws, address, part, &about).await;
            note(if policy.is_none() { gone_is_done(sent)? } else { sent? });
        }
        if fields.remove("tags") {
            note(self.set_tags(aws, address, before.get("tags"), wanted.get("tags")).await?);
        }
        for group in kind.field_groups() {
            let mut touched = false;
            for name in *group {
                touched |= fields.remove(*name);
            }
            if touched {
                let seen = self.live.resources.get(address).map_or(&empty, |resource| &resource.attributes);
                let values = group.iter().filter_map(|name| {
                    let value =
                        wanted.get(*name).or_else(|| before.get(*name)).or_else(|| seen.get(*name))?;
                    Some((Name::from(*name), value.clone()))
                });
                let values: Attributes = values.collect();
                note(self.settled_fields(aws, kind, address, group[0], &values).await?);
            }
        }
        if fields.remove("inline") {
            note(self.set_inline(aws, address, before.get("inline"), wanted.get("inline")).await?);
        }
        if let Some(name) = fields.first() {
            let message = format!("the `{name}` of `{address}` cannot be changed once it is made");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(request_id)
    }

    async fn settled_fields(
        &self,
        aws: &Connection,
        kind: &dyn IamKind,
        address: &Address,
        group: &str,
        values: &Attributes,
    ) -> Sent {
        let name = address.name();
        self.settle(&[address], Some(values), || kind.set(aws, &name, Part::Fields(group, values))).await
    }

    async fn delete(&self, aws: &Connection, change: &Change) -> Sent {
        let address = &change.address;
        let kind = kind_at(address)?;
        let found = read(&self.account, address).await?;
        let Some(resource) = found.resources.get(address) else { return Ok(None) };
        let approved = |what: &str| change.dependents.iter().any(|listed| listed == what);
        let refuse = |what: String| {
            let message =
                format!("`{address}` has {what}, which the approved deletion does not show; plan again");
            Err(Error::new(ErrorKind::Conflict, message))
        };
        if let Some(new) = resource.dependents.iter().find(|dependent| !approved(dependent)) {
            return refuse(new.clone());
        }
        let known =
            self.live.resources.get(address).and_then(|resource| names(resource.attributes.get("inline")));
        let inline = names(resource.attributes.get("inline")).unwrap_or_default();
        let unknown = |name: &&Name| !known.as_ref().is_some_and(|known| known.contains(*name));
        if let Some(new) = inline.iter().find(unknown).filter(|name| !approved(name)) {
            return refuse(format!("the inline policy `{new}`"));
        }
        let new = |edge: &&GrantKey| self.live.grant(edge).is_none() && !approved(&edge.to_string());
        if let Some(new) = found.grants.iter().map(|grant| &grant.key).find(new) {
            return refuse(format!("the edge `{new}`"));
        }

        for grant in &found.grants {
            self.revoke(aws, &grant.key).await?;
        }
        for name in &inline {
            gone_is_done(self.set(aws, address, Part::DeleteInline(name), &[]).await)?;
        }
        for dependent in &resource.dependents {
            gone_is_done(self.set(aws, address, Part::Drop(dependent), &[]).await)?;
        }
        let name = address.name();
        gone_is_done(self.settle(&[], None, || kind.delete(aws, &name)).await)
    }

    async fn set_tags(
        &self,
        aws: &Connection,
        address: &Address,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Sent {
        let (before, after) = (entries(before), entries(after));
        let changed = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
        let set: Vec<_> = changed.filter_map(|(key, value)| Some(tag(key, value.as_text()?))).collect();
        let unset: Vec<String> =
            before.keys().filter(|key| !after.contains_key(*key)).map(|k| k.to_string()).collect();
        let mut request_id = None;
        if !set.is_empty() {
            request_id = self.set(aws, address, Part::Tag(&set), &[address]).await?;
        }
        if !unset.is_empty() {
            request_id = self.set(aws, address, Part::Untag(&unset), &[address]).await?;
        }
        Ok(request_id)
    }

    async fn set_inline(
        &self,
        aws: &Connection,
        address: &Address,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Sent {
        let (before, after) = (entries(before), entries(after));
        let mut request_id = None;
        for (name, document) in after.iter().filter(|(name, document)| before.get(*name) != Some(document)) {
            let text = document::text(document);
            request_id = self.set(aws, address, Part::PutInline(name, &text), &[address]).await?;
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            request_id = gone_is_done(self.set(aws, address, Part::DeleteInline(name), &[]).await)?;
        }
        Ok(request_id)
    }

    async fn set(&self, aws: &Connection, of: &Address, part: Part<'_>, about: &[&Address]) -> Sent {
        let kind = kind_at(of)?;
        let name = of.name();
        self.settle(about, None, || kind.set(aws, &name, part)).await
    }

    /// Calls, and calls again while IAM does not yet know what was made a moment ago, or is still busy with it.
    async fn settle<F>(&self, about: &[&Address], values: Option<&Attributes>, call: impl Fn() -> F) -> Sent
    where
        F: Future<Output = Sent> + Send,
    {
        let clock = &self.account.wiring.clock;
        for seconds in patience() {
            let error = match call().await {
                Err(error) => error,
                done => return done,
            };
            let early = match (error.kind, error.code.as_deref()) {
                (ErrorKind::Conflict, Some("ConcurrentModification" | "EntityTemporarilyUnmodifiable")) => {
                    true
                }
                (ErrorKind::NotFound, _) => about.iter().any(|address| self.is_made(address)),
                // A trust policy may name a principal that is a second old.
                (_, Some("MalformedPolicyDocument")) => self.names_made(values),
                _ => false,
            };
            if !early {
                return Err(error);
            }
            clock.sleep(Duration::from_secs(*seconds)).await;
        }
        call().await
    }

    async fn look(&self, address: &Address) -> Result<Option<Resource>, Error> {
        Ok(read(&self.account, address).await?.resources.remove(address))
    }

    /// Looks at what is said to exist, until it shows.
    async fn look_patiently(&self, address: &Address) -> Result<Option<Resource>, Error> {
        for seconds in patience() {
            if let Some(found) = self.look(address).await? {
                return Ok(Some(found));
            }
            self.account.wiring.clock.sleep(Duration::from_secs(*seconds)).await;
        }
        self.look(address).await
    }

    fn is_made(&self, address: &Address) -> bool {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(address)
    }

    fn note_made(&self, address: &Address) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(address.clone());
    }

    fn is_unsure(&self, address: &Address) -> bool {
        self.unsure.lock().unwrap_or_else(PoisonError::into_inner).contains(address)
    }

    /// Whether a document among these values names a user or role that this writer made.
    fn names_made(&self, values: Option<&Attributes>) -> bool {
        let documents = values.into_iter().flatten().filter(|(_, value)| value.as_map().is_some());
        let text: String = documents.map(|(_, value)| value.to_string()).collect();
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().any(|address| text.contains(&format!("/{}\"", address.name())))
    }
}

/// The thing whose call makes or removes an edge, and that call. `arn` is that of the edge's resource.
fn edge_part<'e>(edge: &'e GrantKey, arn: &'e str, add: bool) -> Result<(&'e Address, Part<'e>), Error> {
    if &*edge.relation == MEMBER {
        // Names of IAM have no characters that an address encodes, so the end of the text is the name.
        let user = edge.principal.as_str().rsplit('/').next().unwrap_or_default();
        return Ok((&edge.resource, if add { Part::Join(user) } else { Part::Leave(user) }));
    }
    Ok((&edge.principal, if add { Part::Attach(arn) } else { Part::Detach(arn) }))
}

fn kind_at(address: &Address) -> Result<&'static dyn IamKind, Error> {
    kind_of(address)
        .ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("`{address}` is of no kind that IAM has")))
}

fn boundary_of(values: &Attributes) -> Result<Option<Address>, Error> {
    let boundary = values.get("boundary").and_then(Value::as_text).filter(|text| !text.is_empty());
    let parsed = boundary.map(str::parse).transpose();
    parsed.map_err(|error: crate::model::AddressError| Error::new(ErrorKind::Other, error.to_string()))
}

/// Whether a field is as wanted. Of tags only those that are wanted count, and nothing is the same as empty.
fn same(name: &str, wanted: Option<&Value>, found: Option<&Value>) -> bool {
    let (wanted, found) = (wanted.unwrap_or(&Value::Null), found.unwrap_or(&Value::Null));
    if name == "tags" {
        let (wanted, found) = (entries(Some(wanted)), entries(Some(found)));
        return wanted.iter().all(|(key, value)| found.get(key) == Some(value));
    }
    wanted == found || (wanted.is_empty() && found.is_empty())
}

fn entries(value: Option<&Value>) -> BTreeMap<Name, Value> {
    value.and_then(Value::as_map).cloned().unwrap_or_default()
}

fn names(value: Option<&Value>) -> Option<BTreeSet<Name>> {
    Some(value?.as_map()?.keys().cloned().collect())
}

/// Removing what is gone is done.
pub(super) fn gone_is_done(sent: Sent) -> Sent {
    match sent {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(error.request_id),
        other => other,
    }
}

fn without(change: &Change, what: &str) -> Error {
    Error::new(ErrorKind::Other, format!("the change of `{}` has no `{what}`", change.target()))
}

fn missing(address: &Address) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{address}` does not exist any more"))
}
