//! Reading: the whole account in one sweep of pages, or one thing just before it matters.
//!
//! Invariant: a page that fails makes the account's coverage partial; what AWS keeps for itself is no resource.
//! Keys, login profiles and MFA devices are not in the sweep: only [`Provider::read`] of a user lists them, since
//! only a deletion needs them, and asking for each user would cost three calls a head.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_iam::types::{AttachedPolicy, PolicyDetail, Tag};

use crate::model::{
    Account as Listed, Address, Attributes, Change, Coverage, CutOff, GrantKey, LiveGrant, Name, Permit,
    Resource, Snapshot, Value,
};
use crate::provider::{Caller, Error, ErrorKind, Inventoried, Lane, Pace, Patience, Provider, Writer};

use super::connection::{Account, BUCKET};
use super::iam::{IamKind, each_page};
use super::writer::{AwsWriter, LAG};
use super::{ATTACHED, KINDS, MARK, MEMBER, cut_off, document};

/// How many changes of an account are under way at once: IAM takes few calls a second.
const WIDTH: usize = 5;

/// The largest page that IAM gives.
pub(super) const PAGE: i32 = 1000;

#[async_trait]
impl Provider for std::sync::Arc<Account> {
    fn instance(&self) -> &Name {
        &self.instance
    }

    async fn identity(&self) -> Result<Caller, Error> {
        self.caller().await
    }

    async fn inventory(&self) -> Inventoried {
        let id = Name::from(self.options.account.value.as_str());
        let name = self.options.name.as_ref().map_or_else(|| id.clone(), |name| name.value.as_str().into());
        let account = Listed { instance: self.instance.clone(), id, name, path: String::new() };
        Inventoried { accounts: vec![account], ..Inventoried::default() }
    }

    async fn observe(&self, _: &BTreeSet<Address>) -> Snapshot {
        let before = self.calls();
        let mut seen = Seen::new(&self.instance, &self.options.account);
        let coverage = match self.sweep(&mut seen).await {
            Ok(()) => Coverage::Complete,
            Err(error) => Coverage::Partial(error.to_string()),
        };
        let mut snapshot = seen.snapshot;
        self.learn(snapshot.resources.iter().map(|(address, resource)| (address, &resource.attributes)));
        snapshot.coverage.insert(self.place(), coverage);
        snapshot.calls.insert(self.instance.clone(), self.calls() - before);
        snapshot.normalize();
        snapshot
    }

    async fn read(&self, address: &Address) -> Result<Snapshot, Error> {
        let before = self.calls();
        let mut snapshot = read(self, address).await?;
        snapshot.calls.insert(self.instance.clone(), self.calls() - before);
        Ok(snapshot)
    }

    async fn read_grant(&self, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
        read_grant(self, key).await
    }

    async fn cut_offs(&self, principal: &Address) -> Result<Vec<CutOff>, Error> {
        cut_off::cut_offs(self, principal).await
    }

    fn edges_a_page(&self) -> Option<usize> {
        usize::try_from(PAGE).ok()
    }

    fn writer(&self, permit: &Permit, live: &Snapshot) -> Box<dyn Writer> {
        Box::new(AwsWriter::new(self.clone(), permit.clone(), live))
    }

    fn calls(&self) -> u64 {
        Account::calls(self)
    }

    fn lane(&self, change: &Change) -> Lane {
        // IAM refuses what changes one thing twice at a time. Members are in no document of the group's.
        let alone = match &change.grant {
            Some(edge) if &*edge.relation == MEMBER => None,
            Some(edge) => Some(edge.principal.as_str().into()),
            None => Some(change.address.as_str().into()),
        };
        Lane { alone, ..Lane::new(BUCKET, WIDTH) }
    }

    fn pace(&self, _: &str) -> Pace {
        Account::pace(self)
    }

    fn patience(&self) -> Patience {
        Patience { lag: LAG, ..Patience::default() }
    }
}

impl Account {
    async fn sweep(&self, seen: &mut Seen<'_>) -> Result<(), Error> {
        let aws = self.connection().await?;
        let entities = KINDS.iter().filter_map(|kind| kind.entity()).collect();
        let request = aws.iam.get_account_authorization_details().set_filter(Some(entities)).max_items(PAGE);
        each_page!(aws, request, page => KINDS.iter().for_each(|kind| kind.sweep(&page, seen)));
        for kind in KINDS {
            kind.list(aws, seen).await?;
        }
        Ok(())
    }
}

/// One thing, its edges and what hangs on it; empty where it does not exist.
pub(super) async fn read(account: &Account, address: &Address) -> Result<Snapshot, Error> {
    let mut seen = Seen::new(&account.instance, &account.options.account);
    let kind = kind_of(address).filter(|_| address.place() == &*account.place());
    let Some(kind) = kind else {
        let message = format!("`{address}` is not something that `{}` can read", account.place());
        return Err(Error::new(ErrorKind::Unsupported, message));
    };
    let aws = account.connection().await?;
    match kind.read(aws, &address.name(), &mut seen).await {
        Err(error) if error.kind == ErrorKind::NotFound => seen.snapshot = Snapshot::default(),
        other => other?,
    }
    let mut snapshot = seen.snapshot;
    snapshot.coverage.insert(address.as_str().into(), Coverage::Complete);
    snapshot.normalize();
    Ok(snapshot)
}

/// One edge, from the principal's own list of that sort.
async fn read_grant(account: &Account, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
    let mut seen = Seen::new(&account.instance, &account.options.account);
    let kind = kind_of(&key.principal).filter(|_| key.principal.place() == &*account.place());
    let Some(kind) = kind else {
        let message = format!("`{key}` is not something that `{}` can read", account.place());
        return Err(Error::new(ErrorKind::Unsupported, message));
    };
    let aws = account.connection().await?;
    match kind.edges(aws, &key.principal.name(), &key.relation, &mut seen).await {
        // Who does not exist holds nothing.
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        other => other?,
    }
    seen.snapshot.normalize();
    Ok(seen.snapshot.grant(key).cloned())
}

/// What knows how to treat an address.
pub(super) fn kind_of(address: &Address) -> Option<&'static dyn IamKind> {
    KINDS.iter().copied().find(|kind| kind.kind().schema.kind.as_ref() == address.kind())
}

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    instance: &'a str,
    account: &'a str,
    /// What was seen.
    pub(super) snapshot: Snapshot,
}

impl<'a> Seen<'a> {
    fn new(instance: &'a str, account: &'a str) -> Self {
        Self { instance, account, snapshot: Snapshot::default() }
    }

    pub(super) fn address(&self, kind: &str, name: &str) -> Address {
        Address::new(self.instance, Some(self.account), kind, name)
    }

    /// A thing that exists.
    pub(super) fn resource(
        &mut self,
        kind: &str,
        name: &str,
        id: Option<&str>,
        attributes: Attributes,
    ) -> &mut Resource {
        let address = self.address(kind, name);
        let resource = Resource { id: id.map(Into::into), attributes, ..Resource::default() };
        self.snapshot.resources.entry(address).insert_entry(resource).into_mut()
    }

    /// An edge that exists.
    pub(super) fn edge(&mut self, principal: &Address, relation: &str, resource: &Address) {
        let key = GrantKey::new(principal, relation, resource);
        self.snapshot.grants.push(LiveGrant { key, attributes: Attributes::new(), via: None });
    }

    /// The policies attached to a principal.
    pub(super) fn attached(&mut self, principal: &Address, policies: &[AttachedPolicy]) {
        for policy in policies.iter().filter_map(AttachedPolicy::policy_arn) {
            if let Some(policy) = self.policy(policy) {
                self.edge(principal, ATTACHED, &policy);
            }
        }
    }

    /// The address of a policy by its ARN; AWS's own keep their path, since their ARN is made of it.
    pub(super) fn policy(&self, arn: &str) -> Option<Address> {
        let mut parts = arn.splitn(6, ':').skip(4);
        let (owner, rest) = (parts.next()?, parts.next()?.strip_prefix("policy/")?);
        let name = rest.rsplit('/').next()?;
        Some(if owner == "aws" { Address::reserved("managed", rest) } else { self.address("policy", name) })
    }

    /// The value of a `boundary`.
    pub(super) fn boundary(&self, arn: Option<&str>) -> Value {
        arn.and_then(|arn| self.policy(arn)).map_or(Value::Null, |address| address.as_str().into())
    }
}

/// The value of `tags`, without the mark, which is no part of what people declare.
pub(super) fn tags(tags: &[Tag]) -> Value {
    let own = tags.iter().filter(|tag| (tag.key(), tag.value()) != MARK);
    Value::map(own.map(|tag| (tag.key(), tag.value())))
}

/// The value of `inline`.
pub(super) fn inline(policies: &[PolicyDetail]) -> Value {
    Value::map(
        policies
            .iter()
            .filter_map(|policy| Some((policy.policy_name()?, document(policy.policy_document()?)))),
    )
}

/// A live document. One that cannot be read stays as it is, so that it differs from every declared one.
pub(super) fn document(encoded: &str) -> Value {
    document::live(encoded).unwrap_or_else(|_| encoded.into())
}

/// Attributes from pairs.
pub(super) fn attributes<const N: usize>(pairs: [(&str, Value); N]) -> Attributes {
    BTreeMap::from(pairs.map(|(name, value)| (Name::from(name), value)))
}

/// Reads the inline policies whose names were listed, each by a call of its own.
pub(super) async fn documents<F>(
    names: Vec<String>,
    read: impl Fn(String) -> F,
) -> Result<Vec<PolicyDetail>, Error>
where
    F: Future<Output = Result<String, Error>> + Send,
{
    let mut policies = Vec::new();
    for name in names {
        let document = read(name.clone()).await?;
        policies.push(PolicyDetail::builder().policy_name(name).policy_document(document).build());
    }
    Ok(policies)
}
