//! Service accounts: made, described, disabled, deleted; and their keys, which are seen, aged and forbidden.
//!
//! Invariant: a key is never made and its secret never read. What a deleted account leaves behind in policies is Google's
//! `deleted:` member, which nobody here takes for the account: one of the same name is another one.

use async_trait::async_trait;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::access;
use super::client::{Service, encoded};
use super::folder::BAD_NAME;
use super::names::{self, SERVICE_ACCOUNT};
use super::writer::{self, Session};
use super::{Gcp, GcpKind, policies};
use crate::model::{
    Address, Attribute, Attributes, Change, Coverage, Finding, Flags, Kind, Lowering, Native, Node, Op,
    Resource, Schema, Snapshot, Spanned, Value, decode,
};
use crate::provider::{Effect, Error, ErrorKind, Outcome};

/// The kind itself.
pub(super) struct ServiceAccounts;

/// What `keys` says where none may be.
const NONE: &str = "none";
/// What it says where they may have some age: `up to 90d`.
const UP_TO: &str = "up to ";

/// `kind: gcp/ServiceAccount`. Its name is the part of its e-mail address before the `@`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceAccountManifest {
    /// The id of the project that it is in.
    project: Spanned<String>,
    /// What people call it.
    display_name: Option<Spanned<String>>,
    /// What it is for.
    description: Option<Spanned<String>>,
    /// Whether it can do nothing for now.
    disabled: Option<bool>,
    /// `forbidden`: no keys of its own; or `{ max_age: 90d }`: none older than that. Others are shown as drift.
    keys: Option<Node>,
    /// What it is given, like an entry of a role's `access:`.
    #[serde(default)]
    access: Vec<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ages {
    max_age: Spanned<String>,
}

impl Native for ServiceAccountManifest {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let name = lowering.name;
        if !(6..=30).contains(&name.len())
            || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            || !name.starts_with(|first: char| first.is_ascii_lowercase())
            || name.ends_with('-')
        {
            let message = format!("`{}` is not a service account's name", name.value);
            let help = "a name has 6 to 30 lower-case letters, digits and `-`, begins with a letter and does not end with `-`";
            lowering.out.findings.push(Finding::error(BAD_NAME, message).at(&name.span).help(help));
        }
        let keys = self.keys.as_ref().and_then(|keys| keys_of(keys, lowering));
        let text =
            |text: &Option<Spanned<String>>| text.as_ref().map(|text| Value::text(text.value.as_str()));
        let address = Address::new(lowering.instance, Some(&self.project), SERVICE_ACCOUNT, name);
        let attributes = [
            ("display_name", text(&self.display_name)),
            ("description", text(&self.description)),
            ("disabled", self.disabled.map(Value::Bool)),
            ("keys", keys),
        ];
        access::declare(lowering, &address, attributes);
        for entry in &self.access {
            access::grant(lowering, &address, entry);
        }
    }
}

fn keys_of(node: &Node, lowering: &mut Lowering<'_>) -> Option<Value> {
    match node.as_text() {
        Some("forbidden") => Some(NONE.into()),
        Some(other) => {
            let finding = Finding::error(BAD_NAME, format!("`{other}` says nothing of keys")).at(&node.span);
            lowering.out.findings.push(finding.help("write `forbidden`, or `{ max_age: 90d }`"));
            None
        }
        None => {
            let ages: Ages = decode(node, &mut lowering.out.findings)?;
            let age = duration(&ages.max_age);
            if age.is_none() {
                let message = format!("`{}` is no length of time", ages.max_age.value);
                let finding = Finding::error(BAD_NAME, message).at(&ages.max_age.span);
                lowering.out.findings.push(finding.help("write such as `90d`"));
            }
            age.map(|_| format!("{UP_TO}{}", ages.max_age.value).into())
        }
    }
}

/// An account as Google writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    #[serde(default)]
    pub(super) unique_id: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    disabled: bool,
}

impl Account {
    /// Its address; accounts that Google made itself have none of this kind.
    pub(super) fn address(&self, instance: &str) -> Option<Address> {
        let (name, project) = names::parts_of(&self.email)?;
        (!names::is_agent(&self.email))
            .then(|| Address::new(instance, Some(&project), SERVICE_ACCOUNT, &name))
    }

    fn attributes(&self) -> Attributes {
        let attributes = [
            ("display_name", self.display_name.as_str().into()),
            ("description", self.description.as_str().into()),
            ("disabled", Value::Bool(self.disabled)),
        ];
        attributes.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    pub(super) fn resource(&self) -> Resource {
        let id = (!self.unique_id.is_empty()).then(|| self.unique_id.as_str().into());
        Resource { id, attributes: self.attributes(), ..Resource::default() }
    }
}

/// A key.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Key {
    /// `projects/P/serviceAccounts/E/keys/ID`.
    pub(super) name: String,
    #[serde(default)]
    valid_after_time: Option<Timestamp>,
    #[serde(default)]
    key_type: String,
    #[serde(default)]
    pub(super) disabled: bool,
}

impl Key {
    pub(super) fn id(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// Google's own keys of an account are no secret that anybody has.
    fn is_somebodys(&self) -> bool {
        self.key_type != "SYSTEM_MANAGED"
    }

    fn words(&self) -> String {
        let made = self.valid_after_time.map(|at| format!(", made {}", at.strftime("%Y-%m-%d")));
        let disabled = if self.disabled { ", disabled" } else { "" };
        format!("key {}{}{disabled}", self.id(), made.unwrap_or_default())
    }
}

/// What goes with an account that is deleted.
pub(super) fn dependents(keys: &[Key]) -> Vec<String> {
    let mut words: Vec<String> = keys.iter().filter(|key| key.is_somebodys()).map(Key::words).collect();
    words.sort();
    words
}

/// The path of an account.
pub(super) fn path(address: &Address) -> String {
    let project = names::scope(address).unwrap_or_default();
    let email = names::email(&address.name(), &project);
    format!("/v1/projects/{}/serviceAccounts/{}", encoded(&project), encoded(&email))
}

async fn find(session: Option<&Session>, gcp: &Gcp, address: &Address) -> Result<Option<Account>, Error> {
    let client = if session.is_some() { &gcp.writes } else { &gcp.reads };
    match client.get(Service::Iam, &path(address)).await {
        Ok(json) => serde_json::from_value(json)
            .map(Some)
            .map_err(|_| Error::new(ErrorKind::Malformed, format!("`{address}` is not what it should be"))),
        // What is in a project that ends cannot be reached any more.
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The keys that somebody may have.
pub(super) async fn keys(client: &super::Client, address: &Address) -> Result<Vec<Key>, Error> {
    #[derive(Debug, Deserialize)]
    struct Keys {
        #[serde(default)]
        keys: Vec<Key>,
    }
    let target = format!("{}/keys?keyTypes=USER_MANAGED", path(address));
    let json = match client.get(Service::Iam, &target).await {
        Ok(json) => json,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let odd =
        |_| Error::new(ErrorKind::Malformed, format!("the keys of `{address}` are not what they should be"));
    let Keys { mut keys } = serde_json::from_value(json).map_err(odd)?;
    keys.retain(Key::is_somebodys);
    Ok(keys)
}

/// A length of time such as `90d`; a day has 24 hours here.
fn duration(text: &str) -> Option<SignedDuration> {
    let span: jiff::Span = text.parse().ok()?;
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    length.is_positive().then_some(length)
}

/// The keys that are against what is wanted.
fn against<'k>(keys: &'k [Key], wanted: &str, now: Timestamp) -> Vec<&'k Key> {
    let longest = wanted.strip_prefix(UP_TO).and_then(duration);
    let is_old = |key: &&Key| match (longest, key.valid_after_time) {
        (Some(longest), Some(made)) => now.duration_since(made) > longest,
        // Nobody knows how old it is.
        _ => true,
    };
    keys.iter().filter(is_old).collect()
}

/// Whether its keys are as they are wanted to be, and which ones are not.
pub(super) async fn fields(gcp: &Gcp, address: &Address, wanted: &Attributes) -> Result<Attributes, Error> {
    let Some(wanted) = wanted.get("keys").and_then(Value::as_text) else { return Ok(Attributes::new()) };
    let keys = keys(&gcp.reads, address).await?;
    let now = gcp.reads.api(Service::Iam).clock().now();
    let wrong: Vec<String> = against(&keys, wanted, now).into_iter().map(Key::words).collect();
    let found = if wrong.is_empty() { wanted.to_owned() } else { wrong.join("; ") };
    Ok([("keys".into(), found.into())].into())
}

#[async_trait]
impl GcpKind for ServiceAccounts {
    fn kind(&self) -> Kind {
        let schema = Schema::new(SERVICE_ACCOUNT, "service_accounts")
            .with(Attribute::new("display_name"))
            .with(Attribute::new("description"))
            .with(Attribute::new("disabled").flags(Flags { ends: true, ..Flags::default() }).default(false))
            .with(Attribute::new("keys").flags(Flags { on_demand: true, access: true, ..Flags::default() }));
        Kind::of::<ServiceAccountManifest>("gcp/ServiceAccount", schema)
    }

    async fn read(&self, gcp: &Gcp, address: &Address) -> Result<Snapshot, Error> {
        let Some(account) = find(None, gcp, address).await? else {
            let mut nothing = Snapshot::default();
            nothing.coverage.insert(address.as_str().into(), Coverage::Complete);
            return Ok(nothing);
        };
        let mut seen = policies::read(gcp, address).await?;
        let resource =
            Resource { dependents: dependents(&keys(&gcp.reads, address).await?), ..account.resource() };
        seen.resources.insert(address.clone(), resource);
        Ok(seen)
    }

    async fn write(&self, session: &Session, change: &Change) -> Result<Outcome, Error> {
        match change.op {
            Op::Create => create(session, change).await,
            Op::Update if super::cut_off::is_cut_off(change) => super::cut_off::end(session, change).await,
            Op::Update => update(session, change).await,
            Op::Delete => delete(session, change).await,
            _ => Err(writer::unsupported(change)),
        }
    }
}

async fn create(session: &Session, change: &Change) -> Result<Outcome, Error> {
    let (gcp, address) = (&session.gcp, &change.address);
    let nothing = Attributes::new();
    let wanted = change.after.as_ref().unwrap_or(&nothing);
    let text = |name: &str| wanted.get(name).and_then(Value::as_text);
    let mut account = json!({});
    for (field, name) in [("displayName", "display_name"), ("description", "description")] {
        if let Some(text) = text(name) {
            account[field] = text.into();
        }
    }
    let body = json!({ "accountId": address.name(), "serviceAccount": account });
    let project = names::scope(address).unwrap_or_default();
    let target = format!("/v1/projects/{}/serviceAccounts", encoded(&project));
    let mut request_id = None;
    match gcp.writes.send(Service::Iam, Method::POST, &target, Some(&body)).await {
        Ok(answer) => {
            session.note_made(address);
            request_id = answer.request_id;
        }
        Err(error) if error.effect == Effect::None && error.kind == ErrorKind::Conflict => {
            let Some(there) = find(Some(session), gcp, address).await? else { return Err(error) };
            let there = there.attributes();
            let differs = |(name, value): &(&crate::model::Name, &Value)| {
                &***name != "keys"
                    && (&***name != "disabled" || !session.is_made(address))
                    && there.get(*name) != Some(*value)
            };
            if let Some((name, _)) = wanted.iter().find(differs) {
                let message =
                    format!("`{address}` exists already, and its `{name}` is not what was approved");
                return Err(Error::new(ErrorKind::Conflict, message).code("ALREADY_EXISTS"));
            }
        }
        Err(error) => {
            if error.effect == Effect::Unknown {
                session.note_made(address);
            }
            return Err(error);
        }
    }
    if wanted.get("disabled") == Some(&Value::Bool(true)) {
        request_id = turn(session, address, true).await?.or(request_id);
    }
    Ok(Outcome::Done { request_id })
}

async fn turn(session: &Session, address: &Address, off: bool) -> Result<Option<String>, Error> {
    let step = if off { "disable" } else { "enable" };
    let target = format!("{}:{step}", path(address));
    Ok(session.gcp.writes.send(Service::Iam, Method::POST, &target, Some(&json!({}))).await?.request_id)
}

async fn update(session: &Session, change: &Change) -> Result<Outcome, Error> {
    let (gcp, address) = (&session.gcp, &change.address);
    let nothing = Attributes::new();
    let wanted = change.after.as_ref().unwrap_or(&nothing);
    let found = find(Some(session), gcp, address).await?.ok_or_else(|| writer::gone(address))?;
    let there = found.attributes();
    let differs = |name: &str| change.fields.contains(name) && wanted.get(name) != there.get(name);
    let mut request_id = None;
    let (mut mask, mut account) = (Vec::new(), json!({}));
    for (field, name) in [("displayName", "display_name"), ("description", "description")] {
        if differs(name) {
            mask.push(field);
            account[field] = wanted.get(name).and_then(Value::as_text).unwrap_or_default().into();
        }
    }
    if !mask.is_empty() {
        let body = json!({ "serviceAccount": account, "updateMask": mask.join(",") });
        let answer = gcp.writes.send(Service::Iam, Method::PATCH, &path(address), Some(&body)).await?;
        request_id = answer.request_id;
    }
    if differs("disabled") {
        let off = wanted.get("disabled") == Some(&Value::Bool(true));
        request_id = turn(session, address, off).await?.or(request_id);
    }
    if let Some(wanted) =
        wanted.get("keys").and_then(Value::as_text).filter(|_| change.fields.contains("keys"))
    {
        let keys = keys(&gcp.writes, address).await?;
        let now = gcp.writes.api(Service::Iam).clock().now();
        // Only what was shown when it was approved goes.
        let shown =
            change.before.as_ref().and_then(|before| before.get("keys")?.as_text().map(str::to_owned));
        let shown = shown.unwrap_or_default();
        for key in against(&keys, wanted, now).into_iter().filter(|key| shown.contains(key.id())) {
            let target = format!("{}/keys/{}", path(address), encoded(key.id()));
            match gcp.writes.send(Service::Iam, Method::DELETE, &target, None).await {
                Ok(answer) => request_id = answer.request_id,
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Outcome::Done { request_id })
}

async fn delete(session: &Session, change: &Change) -> Result<Outcome, Error> {
    let (gcp, address) = (&session.gcp, &change.address);
    if find(Some(session), gcp, address).await?.is_none() {
        return Ok(Outcome::Done { request_id: None });
    }
    let shown = |words: &String| change.dependents.iter().any(|listed| listed == words);
    if let Some(new) = dependents(&keys(&gcp.writes, address).await?).iter().find(|words| !shown(words)) {
        let message =
            format!("`{address}` has the {new}, which the approved deletion does not show; plan again");
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    match gcp.writes.send(Service::Iam, Method::DELETE, &path(address), None).await {
        Ok(answer) => Ok(Outcome::Done { request_id: answer.request_id }),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Outcome::Done { request_id: error.request_id }),
        Err(error) => Err(error),
    }
}
