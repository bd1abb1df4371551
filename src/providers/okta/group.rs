//! Groups and their members.
//!
//! Invariant: only groups of Okta's own are changed, and of their profile only what is managed; what is there already is
//! never made into what was approved for a new group. It must not nest groups: Okta cannot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::client::{Okta, encoded};
use super::rules::Rules;
use super::user::{self, User};
use super::writer::Session;
use super::{OktaKind, membership};
use crate::model::guard::Guard;
use crate::model::{
    Address, Attribute, Attributes, Change, Code, Collection, Coverage, Finding, GrantKey, Kind, LiveGrant,
    Lowering, Native, Op, Relation, Resource, Schema, Scope, Snapshot, Spanned, Value,
};
use crate::provider::paging::{Listing, list};
use crate::provider::{Effect, Error, ErrorKind, Outcome};

pub(super) const KIND: &str = "group";
pub(super) const MEMBER: &str = "member";

/// A group's name is not one that Okta takes.
pub(super) const BAD_NAME: Code = Code { code: "RC514", title: "a name that an Okta group cannot have" };

/// How many are asked for at once, as Okta recommends.
pub(super) const LIMIT: usize = 200;

/// The kind itself.
pub(super) struct Groups;

/// A group of Okta's own. Its members are those named here and those that roles put in, no others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GroupManifest {
    /// What the group is for.
    description: Option<Spanned<String>>,
    /// Handles of people who are in the group whatever roles say.
    #[serde(default)]
    members: Vec<Spanned<String>>,
    /// Whether the group may become empty.
    #[serde(default)]
    allow_empty: bool,
}

impl Native for GroupManifest {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let length = lowering.name.value.chars().count();
        if length > 255 {
            let message = format!("the name of this group has {length} characters; Okta takes up to 255");
            lowering.out.findings.push(Finding::error(BAD_NAME, message).at(&lowering.name.span));
        }
        let description = self.description.as_ref().map(|text| Value::text(text.value.as_str()));
        let group = lowering.resource(KIND, [("description", description)], self.allow_empty);
        lowering.claim(Collection::of_resource(&group, MEMBER));
        for member in &self.members {
            lowering.grant_person(member, MEMBER, &group);
        }
    }
}

/// A group as Okta writes it, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
    #[serde(rename = "type")]
    sort: String,
    pub(super) profile: Profile,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Profile {
    pub(super) name: String,
    description: Option<String>,
    /// Attributes of the organization's own, which a replaced profile must keep.
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

impl Group {
    /// Why nobody may change it.
    pub(super) fn mastered(&self) -> Option<&'static str> {
        match self.sort.as_str() {
            "OKTA_GROUP" => None,
            "BUILT_IN" => Some("it is built into Okta"),
            _ => Some("an app masters it"),
        }
    }

    /// Whether an app masters it: then it may share its name with another group.
    pub(super) fn is_of_app(&self) -> bool {
        self.sort == "APP_GROUP"
    }

    fn description(&self) -> &str {
        self.profile.description.as_deref().unwrap_or_default()
    }

    fn resource(&self, rules: &Rules) -> Resource {
        Resource {
            id: Some(self.id.as_str().into()),
            attributes: Attributes::from([("description".into(), self.description().into())]),
            mastered: self.mastered().map(Into::into),
            dependents: rules.filling(&self.id),
        }
    }
}

/// Groups by address. Okta keeps the names of its own groups apart from each other, but not from those of apps: where two
/// groups have one name, Okta's own has it, and the others have their id beside it. So do all of apps where not all groups
/// are known, since one that was not seen could have the name.
fn by_address(okta: &Okta, groups: Vec<Group>, whole: bool) -> BTreeMap<Address, Group> {
    let mut named: BTreeMap<String, BTreeMap<String, Group>> = BTreeMap::new();
    for group in groups {
        named.entry(group.profile.name.clone()).or_default().insert(group.id.clone(), group);
    }
    let mut found = BTreeMap::new();
    for (name, groups) in named {
        let alone = whole && groups.len() == 1;
        for (id, group) in groups {
            let name = if alone || !group.is_of_app() { name.clone() } else { beside_another(&name, &id) };
            found.insert(Address::new(&okta.instance, None, KIND, &name), group);
        }
    }
    found
}

/// What an app's group is called here where another group may have its name.
pub(super) fn beside_another(name: &str, id: &str) -> String {
    format!("{name} [{id}]")
}

/// The group at an address, read just now.
pub(super) async fn find(okta: &Okta, address: &Address) -> Result<Option<Group>, Error> {
    let name = address.name();
    // By `q`, not `search`: the index behind the latter lags, and what was just created would not be found.
    let start = name.split(" [").next().unwrap_or_default();
    let found = list::<Group>(&okta.api, &format!("/api/v1/groups?q={}&limit={LIMIT}", encoded(start)))
        .await
        .whole()?;
    let many = found.len() >= LIMIT;
    match by_address(okta, found, !many).remove(address) {
        None if many => {
            let message =
                format!("`{address}` is not among the first {LIMIT} groups whose names begin alike");
            Err(Error::new(ErrorKind::Other, message))
        }
        found => Ok(found),
    }
}

/// The members of a group, and how many of them were read.
async fn members(
    okta: &Okta,
    address: &Address,
    group: &Group,
    rules: &Rules,
) -> (Scope, Vec<LiveGrant>, Coverage) {
    let target = format!("/api/v1/groups/{}/users?limit={LIMIT}", encoded(&group.id));
    let Listing { items, cut_short } = list::<User>(&okta.api, &target).await;
    let grants = items.iter().map(|member| LiveGrant {
        key: GrantKey::new(&member.address(&okta.instance), MEMBER, address),
        attributes: Attributes::new(),
        via: group.mastered().map(Into::into).or_else(|| rules.via(&group.id, member)),
    });
    let why = cut_short.map(|error| format!("the members of `{address}` could not be read: {error}"));
    // Without the rules, a member that one put in looks like one added by hand.
    let why = why.or_else(|| rules.incomplete.clone());
    (address.as_str().into(), grants.collect(), why.map_or(Coverage::Complete, Coverage::Partial))
}

#[async_trait]
impl OktaKind for Groups {
    fn kind(&self) -> Kind {
        let schema = Schema::new(KIND, "groups").with(Attribute::new("description"));
        Kind::of::<GroupManifest>("okta/Group", schema)
    }

    fn relations(&self) -> Vec<Relation> {
        vec![Relation {
            name: MEMBER.into(),
            principals: vec![user::KIND.into()],
            resources: vec![KIND.into()],
            words: "member of".into(),
            pair: false,
        }]
    }

    async fn observe(&self, okta: &Okta, edges_of: &BTreeSet<Address>) -> Snapshot {
        let target = format!("/api/v1/groups?limit={LIMIT}");
        let (listing, rules) = tokio::join!(list::<Group>(&okta.api, &target), Rules::read(okta));
        let listed = listing.cut_short.as_ref().map_or(Coverage::Complete, |error| {
            Coverage::Partial(format!("the list of groups breaks off after {}: {error}", listing.items.len()))
        });
        let groups = by_address(okta, listing.items, listing.cut_short.is_none());
        let mut live = Snapshot::default();
        live.coverage.insert(okta.scope(KIND), listed.clone());

        let mut reads = Vec::new();
        for address in edges_of.iter().filter(|address| okta.is_mine(address, KIND)) {
            match groups.get(address) {
                Some(group) => reads.push(members(okta, address, group, &rules)),
                // Where there is no such group there are no members, if all groups were seen.
                None => _ = live.coverage.insert(address.as_str().into(), listed.clone()),
            }
        }
        let mut reads = futures_util::stream::iter(reads).buffer_unordered(okta.api.in_flight());
        while let Some((scope, grants, coverage)) = reads.next().await {
            live.grants.extend(grants);
            live.coverage.insert(scope, coverage);
        }
        drop(reads);
        live.resources =
            groups.iter().map(|(address, group)| (address.clone(), group.resource(&rules))).collect();
        live
    }

    async fn read(&self, okta: &Okta, address: &Address) -> Result<Snapshot, Error> {
        let (found, rules) = tokio::join!(find(okta, address), Rules::read(okta));
        let mut live = Snapshot::default();
        live.coverage.insert(address.as_str().into(), Coverage::Complete);
        if let Some(group) = found? {
            let (scope, grants, coverage) = members(okta, address, &group, &rules).await;
            live.grants = grants.into();
            live.coverage.insert(scope, coverage);
            live.resources.insert(address.clone(), group.resource(&rules));
        }
        live.normalize();
        Ok(live)
    }

    async fn read_grant(&self, okta: &Okta, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
        membership::read(okta, key).await
    }

    async fn id(&self, okta: &Okta, address: &Address) -> Result<Option<String>, Error> {
        Ok(find(okta, address).await?.map(|group| group.id))
    }

    fn bucket(&self, change: &Change) -> &'static str {
        match (&change.grant, change.op) {
            (Some(_), _) => "/",
            (None, Op::Create) => "/groups",
            (None, _) => "/groups/{id}",
        }
    }

    /// Only deletions are ever pending.
    async fn poll(&self, session: &Session, _: &Change, poll: &str) -> Result<Outcome, Error> {
        Ok(if gone_yet(&session.okta, poll).await.map_err(Error::maybe_done)? {
            Outcome::Done { request_id: None }
        } else {
            Outcome::Pending { poll: poll.to_owned() }
        })
    }

    async fn write(&self, session: &Session, change: &Change) -> Result<Outcome, Error> {
        let description = change.after.as_ref().and_then(|after| after.get("description")?.as_text());
        match (change.op, &change.grant) {
            (Op::Grant, Some(key)) => grant(session, key).await,
            (Op::Revoke, Some(key)) => revoke(session, key).await,
            (Op::Create, None) => create(session, &change.address, description).await,
            (Op::Update, None) => match session.id(&change.address).await? {
                Some(id) => describe(&session.okta, &id, description).await,
                None => Err(gone(&change.address)),
            },
            (Op::Delete, None) => delete(session, &change.address).await,
            _ => {
                let message = format!("`{} {}` cannot be written to Okta", change.op, change.target());
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }
}

/// Creates a group. Okta knows no token that would make this idempotent, but it refuses a second group of the same name;
/// then the one that is there is taken for what was wanted if it is that, and left alone if it is not.
async fn create(session: &Session, address: &Address, description: Option<&str>) -> Result<Outcome, Error> {
    let okta = &session.okta;
    let mut profile = json!({ "name": address.name() });
    if let Some(description) = description {
        profile["description"] = description.into();
    }
    let body = json!({ "profile": profile });
    let refusal = match okta.api.send(Method::POST, "/api/v1/groups", Some(&body)).await {
        Ok(answer) => {
            let request_id = answer.request_id.clone();
            // Its id is all that is needed; without it, it is looked for when it is used.
            if let Ok(group) = answer.json::<Group>() {
                session.learn(address, &group.id);
            }
            return Ok(Outcome::Done { request_id });
        }
        Err(error) => error,
    };
    // A name that is taken is refused with the same code as any other bad value, so it is looked for.
    let refused = refusal.effect == Effect::None;
    if !refused || !matches!(refusal.kind, ErrorKind::Conflict | ErrorKind::Other) {
        return Err(refusal);
    }
    let mut found = find(okta, address).await?;
    for seconds in [1, 2, 4, 8] {
        if found.is_some() || !Guard::Lag.holds() {
            break;
        }
        okta.api.clock().sleep(Duration::from_secs(seconds)).await;
        found = find(okta, address).await?;
    }
    let Some(group) = found.filter(|group| group.mastered().is_none()) else { return Err(refusal) };
    if description.is_some_and(|text| text != group.description()) {
        let message = format!("`{address}` exists already, and its `description` is not what was approved");
        let error = Error::new(ErrorKind::Conflict, message);
        return Err(Error { code: refusal.code, request_id: refusal.request_id, ..error });
    }
    session.learn(address, &group.id);
    Ok(Outcome::Done { request_id: refusal.request_id })
}

/// Sets the description and keeps all else, which a replacement would lose.
async fn describe(okta: &Okta, id: &str, description: Option<&str>) -> Result<Outcome, Error> {
    let target = format!("/api/v1/groups/{}", encoded(id));
    let answer = okta.api.get(&target).await?;
    let group: Group = answer.json()?;
    let same = |text: &str| text == group.description() && Guard::Idempotent.holds();
    let Some(description) = description.filter(|text| !same(text)) else {
        return Ok(Outcome::Done { request_id: answer.request_id });
    };
    let mut profile = group.profile.others;
    profile.insert("name".into(), group.profile.name.into());
    profile.insert("description".into(), description.into());
    let answer = okta.api.send(Method::PUT, &target, Some(&json!({ "profile": profile }))).await?;
    Ok(Outcome::Done { request_id: answer.request_id })
}

async fn delete(session: &Session, address: &Address) -> Result<Outcome, Error> {
    let okta = &session.okta;
    let Some(id) = session.id(address).await? else { return Ok(Outcome::Done { request_id: None }) };
    let target = format!("/api/v1/groups/{}", encoded(&id));
    let request_id = match okta.api.send(Method::DELETE, &target, None).await {
        Ok(answer) => answer.request_id,
        Err(error) if error.kind == ErrorKind::NotFound => {
            return Ok(Outcome::Done { request_id: error.request_id });
        }
        Err(error) => return Err(error),
    };
    Ok(match gone_yet(okta, &target).await {
        Ok(true) => Outcome::Done { request_id },
        // It was accepted, whatever became of the question.
        Ok(false) | Err(_) => Outcome::Pending { poll: target },
    })
}

/// Whether a deleted group is gone: Okta takes its time.
async fn gone_yet(okta: &Okta, target: &str) -> Result<bool, Error> {
    match okta.api.get(target).await {
        Ok(_) => Ok(false),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

async fn grant(session: &Session, key: &GrantKey) -> Result<Outcome, Error> {
    let group = session.id(&key.resource).await?.ok_or_else(|| gone(&key.resource))?;
    let member = session.id(&key.principal).await?.ok_or_else(|| gone(&key.principal))?;
    let target = format!("/api/v1/groups/{}/users/{}", encoded(&group), encoded(&member));
    let answer = session.okta.api.send(Method::PUT, &target, None).await?;
    Ok(Outcome::Done { request_id: answer.request_id })
}

async fn revoke(session: &Session, key: &GrantKey) -> Result<Outcome, Error> {
    let ids = (session.id(&key.resource).await?, session.id(&key.principal).await?);
    // Who is not there is no member.
    let (Some(group), Some(member)) = ids else { return Ok(Outcome::Done { request_id: None }) };
    let target = format!("/api/v1/groups/{}/users/{}", encoded(&group), encoded(&member));
    match session.okta.api.send(Method::DELETE, &target, None).await {
        Ok(answer) => Ok(Outcome::Done { request_id: answer.request_id }),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Outcome::Done { request_id: error.request_id }),
        Err(error) => Err(error),
    }
}

fn gone(address: &Address) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{address}` does not exist in Okta"))
}
