//! Projects: made, moved, labelled, paid for, given services and a lien; ended and had back by an explicit word.
//!
//! Invariant: a project is changed step by step towards what was approved, each step after a fresh read, and a step that takes
//! Google its time is asked about before the next. One that is there already is only completed if this run made it.
//! What its file does not say stays as it is.

use std::collections::BTreeMap;

use async_trait::async_trait;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::client::{Client, Service, encoded};
use super::folder::{BAD_NAME, check_path};
use super::names::{BILLING, FOLDER, PROJECT};
use super::tree::{self, Project};
use super::writer::{self, Session};
use super::{Gcp, GcpKind, billing, policies};
use crate::model::{
    Address, Attribute, Attributes, Change, Coverage, Finding, Flags, Kind, Lowering, Many, Name, Native, Op,
    Schema, Snapshot, Spanned, Value,
};
use crate::provider::paging::Listing;
use crate::provider::{Effect, Error, ErrorKind, Outcome};

/// How many services are enabled by one call; the most that Google takes.
const SERVICES_AT_ONCE: usize = 20;
/// How many steps one change can take: one for each field, and some.
const STEPS: usize = 64;
/// Whose lien one of ours is.
const ORIGIN: &str = "rolecall";
/// What a lien keeps from happening.
const DELETION: &str = "resourcemanager.projects.delete";

/// The kind itself.
pub(super) struct Projects;

/// Whether a project is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It is.
    Active,
    /// Its end was asked for. Google keeps it for thirty days, in which `active` has it back.
    Deleted,
}

/// `kind: gcp/Project`. Its name is its id, which is never free again once it was used.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProjectManifest {
    /// The path of the folder that it is in. Without it a new one is directly below the organization, and another stays
    /// where it is.
    folder: Option<Spanned<String>>,
    /// What people call it.
    display_name: Option<Spanned<String>>,
    /// Its labels; others are left alone.
    labels: Option<BTreeMap<String, Spanned<String>>>,
    /// The id of the billing account that it counts against.
    billing: Option<Spanned<String>>,
    /// Services that are to be enabled; others are left alone.
    services: Option<Many<Spanned<String>>>,
    /// Why nobody may delete it: then a lien keeps Google from doing so. `none` takes a lien of rolecall's away.
    lien: Option<Spanned<String>>,
    /// `deleted` ends it. That its file vanishes never does.
    state: Option<State>,
}

impl Native for ProjectManifest {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let mut bad = |at: &Spanned<String>, message: String, help: &str| {
            lowering.out.findings.push(Finding::error(BAD_NAME, message).at(&at.span).help(help));
        };
        if !is_id(lowering.name) {
            let help = "an id has 6 to 30 lower-case letters, digits and `-`, begins with a letter and does not end with `-`";
            bad(lowering.name, format!("`{}` is not the id of a project", lowering.name.value), help);
        }
        for (key, value) in self.labels.iter().flatten() {
            let fits = |text: &str| {
                text.len() <= 63
                    && text.chars().all(|c| c.is_lowercase() || c.is_numeric() || "-_".contains(c))
            };
            if !fits(key) || !key.starts_with(char::is_alphabetic) || !fits(value) {
                let message = format!("`{key}: {}` is not a label that Google allows", value.value);
                bad(
                    value,
                    message,
                    "up to 63 lower-case letters, digits, `-` and `_` each; a key begins with a letter",
                );
            }
        }
        for service in self.services.iter().flat_map(|services| services.iter()) {
            if !service.contains('.') {
                bad(
                    service,
                    format!("`{}` is not a service", service.value),
                    "write such as `compute.googleapis.com`",
                );
            }
        }
        if let Some(folder) = &self.folder {
            check_path(lowering, folder);
        }
        let folder = self.folder.as_ref().map(|path| lowering.address(FOLDER, path));
        let account = self.billing.as_ref().map(|id| match id.value.as_str() {
            "none" => Value::Null,
            id => lowering.address(BILLING, id).as_str().into(),
        });
        let text =
            |text: &Option<Spanned<String>>| text.as_ref().map(|text| Value::text(text.value.as_str()));
        let labels = self
            .labels
            .as_ref()
            .map(|labels| Value::map(labels.iter().map(|(key, value)| (key.as_str(), value.value.as_str()))));
        let services = self
            .services
            .as_ref()
            .map(|services| Value::map(services.iter().map(|service| (service.value.as_str(), ENABLED))));
        let lien = self.lien.as_ref().map(|lien| match lien.value.as_str() {
            "none" => Value::Null,
            reason => reason.into(),
        });
        let state = self.state.map(|state| match state {
            State::Active => "active".into(),
            State::Deleted => "deleted".into(),
        });
        let attributes = [
            ("parent", folder.map(|folder| folder.as_str().into())),
            ("display_name", text(&self.display_name)),
            ("labels", labels),
            ("billing", account),
            ("services", services),
            ("lien", lien),
            ("state", state),
        ];
        lowering.resource(PROJECT, attributes, true);
    }
}

/// What a service is that can be used.
const ENABLED: &str = "enabled";

fn is_id(text: &str) -> bool {
    // Old projects of a domain have it before the id.
    let id = text.rsplit(':').next().unwrap_or_default();
    (6..=30).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && id.starts_with(|first: char| first.is_ascii_lowercase())
        && !id.ends_with('-')
}

#[derive(Debug, Deserialize)]
struct Enabled {
    /// `projects/NUMBER/services/NAME`.
    name: String,
}

#[derive(Debug, Deserialize)]
struct Lien {
    name: String,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    reason: String,
}

async fn services(client: &Client, project: &str) -> Result<Value, Error> {
    let target = format!("/v1/projects/{}/services?filter=state:ENABLED&pageSize=200", encoded(project));
    let enabled = client.list::<Enabled>(Service::Usage, &target, "services").await.whole()?;
    let names = enabled.iter().map(|service| service.name.rsplit('/').next().unwrap_or_default());
    Ok(Value::map(names.map(|name| (name, ENABLED))))
}

async fn liens(client: &Client, project: &str) -> Result<Vec<Lien>, Error> {
    let parent = encoded(&format!("projects/{project}"));
    let target = format!("/v3/liens?parent={parent}&pageSize=100");
    let Listing { items, cut_short } = client.list::<Lien>(Service::Resources, &target, "liens").await;
    match cut_short {
        Some(error) => Err(error),
        None => Ok(items.into_iter().filter(|lien| lien.origin == ORIGIN).collect()),
    }
}

/// The fields of a project that take a call each: those that are wanted.
pub(super) async fn fields(gcp: &Gcp, address: &Address, wanted: &Attributes) -> Result<Attributes, Error> {
    let id = address.name();
    let mut found = Attributes::new();
    for name in wanted.keys() {
        let value = match &**name {
            "billing" => billing::of_project(gcp, &id).await,
            "services" => services(&gcp.reads, &id).await,
            "lien" => liens(&gcp.reads, &id).await.map(|liens| reason(&liens)),
            _ => continue,
        };
        match value {
            Ok(value) => drop(found.insert(name.clone(), value)),
            // What does not exist has none; that it does not is the list's to tell.
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn reason(liens: &[Lien]) -> Value {
    liens.first().map_or(Value::Null, |lien| lien.reason.as_str().into())
}

#[async_trait]
impl GcpKind for Projects {
    fn kind(&self) -> Kind {
        let keyed = Flags { keyed: true, ..Flags::default() };
        let on_demand = Flags { on_demand: true, ..Flags::default() };
        let ends = Flags { ends: true, ..Flags::default() };
        let schema = Schema::new(PROJECT, "projects")
            .with(Attribute::new("parent").reference(FOLDER))
            .with(Attribute::new("display_name"))
            .with(Attribute::new("labels").flags(keyed))
            .with(Attribute::new("state").flags(ends).default("active"))
            .with(Attribute::new("billing").flags(Flags { ends: true, ..on_demand }).reference(BILLING))
            .with(Attribute::new("services").flags(Flags { keyed: true, ..on_demand }))
            .with(Attribute::new("lien").flags(on_demand));
        Kind::of::<ProjectManifest>("gcp/Project", Schema { irreplaceable: true, ..schema })
    }

    async fn read(&self, gcp: &Gcp, address: &Address) -> Result<Snapshot, Error> {
        let id = address.name();
        let Some(project) = tree::find_project(&gcp.reads, &id).await? else {
            let mut nothing = Snapshot::default();
            nothing.coverage.insert(address.as_str().into(), Coverage::Complete);
            return Ok(nothing);
        };
        let mut seen = policies::read(gcp, address).await?;
        let tree = tree::knowing(gcp, &project.parent).await;
        let mut resource = tree.resource(&gcp.instance, &project);
        if !project.is_ending() {
            let all = ["billing", "services", "lien"].map(|name| (Name::from(name), Value::Null));
            // Who may not see these can still see the rest.
            if let Ok(more) = fields(gcp, address, &all.into()).await {
                resource.attributes.extend(more);
            }
        }
        seen.resources.insert(address.clone(), resource);
        Ok(seen)
    }

    async fn write(&self, session: &Session, change: &Change) -> Result<Outcome, Error> {
        match change.op {
            Op::Create | Op::Update => converge(session, change).await,
            _ => Err(writer::unsupported(change)),
        }
    }

    async fn poll(&self, session: &Session, change: &Change, poll: &str) -> Result<Outcome, Error> {
        match session.gcp.writes.poll(poll).await? {
            Outcome::Done { .. } => {
                session.note_made(&change.address);
                converge(session, change).await
            }
            pending => Ok(pending),
        }
    }
}

/// Goes step by step to what was approved.
async fn converge(session: &Session, change: &Change) -> Result<Outcome, Error> {
    let mut last = Outcome::Done { request_id: None };
    let mut taken: Vec<&'static str> = Vec::new();
    while let Some((step, outcome)) = next(session, change, &taken).await? {
        if let Outcome::Pending { .. } = outcome {
            return Ok(outcome);
        }
        last = outcome;
        taken.push(step);
        if taken.len() >= STEPS {
            break;
        }
    }
    Ok(last)
}

/// The next step that is needed and was not taken yet, taken.
async fn next(
    session: &Session,
    change: &Change,
    taken: &[&'static str],
) -> Result<Option<(&'static str, Outcome)>, Error> {
    let (gcp, address) = (&session.gcp, &change.address);
    let client = &gcp.writes;
    let nothing = Attributes::new();
    let wanted = change.after.as_ref().unwrap_or(&nothing);
    let asks = |field: &str| match change.op {
        Op::Create => wanted.get(field),
        _ => wanted.get(field).filter(|_| change.fields.contains(field)),
    };
    let open = |step: &'static str| !taken.contains(&step);
    let id = address.name();
    let at = format!("/v3/projects/{}", encoded(&id));
    let send = async |method: Method, target: &str, body: Option<&serde_json::Value>| {
        let answer = client.send(Service::Resources, method, target, body).await?;
        Client::operation(&answer, Service::Resources)
    };
    let Some(project) = tree::find_project(client, &id).await? else {
        if change.op != Op::Create {
            return Err(writer::gone(address));
        }
        if !open("create") {
            return Ok(None);
        }
        return create(session, address, wanted).await.map(|outcome| Some(("create", outcome)));
    };
    let ends = asks("state").and_then(Value::as_text) == Some("deleted");
    if project.is_ending() {
        // There is nothing to do to what ends, but to have it back.
        let back = asks("state").and_then(Value::as_text) == Some("active");
        return match back && open("undelete") {
            true => {
                Ok(Some(("undelete", send(Method::POST, &format!("{at}:undelete"), Some(&json!({}))).await?)))
            }
            false if ends || !open("undelete") => Ok(None),
            false => {
                let message = format!("`{address}` is to end; `state: active` in its document has it back");
                Err(Error::new(ErrorKind::Conflict, message))
            }
        };
    }
    if change.op == Op::Create && !session.is_made(address) {
        refuse_another(session, change, &project).await?;
    }
    if let Some(parent) = asks("parent").and_then(Value::as_text)
        && open("move")
    {
        let holder: Address = parent.parse().map_err(|_| writer::unsupported(change))?;
        let parent = session.name_of(&holder).await?.ok_or_else(|| writer::gone(&holder))?;
        if parent != project.parent {
            let body = json!({ "destinationParent": parent });
            return Ok(Some(("move", send(Method::POST, &format!("{at}:move"), Some(&body)).await?)));
        }
    }
    if let Some((mask, body)) = patch(change, &project, asks("display_name"), asks("labels"))
        && open("patch")
    {
        let target = format!("{at}?updateMask={}", encoded(&mask));
        return Ok(Some(("patch", send(Method::PATCH, &target, Some(&body)).await?)));
    }
    if let Some(account) = asks("billing")
        && open("billing")
        && billing::of_project(gcp, &id).await? != *account
    {
        return billing::set(session, &id, account).await.map(|outcome| Some(("billing", outcome)));
    }
    if let Some(wanted) = asks("services").and_then(Value::as_map)
        && let Some(step) = use_services(session, change, &id, wanted, taken).await?
    {
        return Ok(Some(step));
    }
    if let Some(reason) = asks("lien")
        && open("lien")
        && let Some(outcome) = set_lien(client, &id, reason).await?
    {
        return Ok(Some(("lien", outcome)));
    }
    if ends && open("delete") {
        return Ok(Some(("delete", send(Method::DELETE, &at, None).await?)));
    }
    Ok(None)
}

async fn create(session: &Session, address: &Address, wanted: &Attributes) -> Result<Outcome, Error> {
    let (gcp, id) = (&session.gcp, address.name());
    let parent = match wanted.get("parent").and_then(Value::as_text) {
        None => format!("organizations/{}", gcp.organization()),
        Some(parent) => {
            let holder: Address = parent
                .parse()
                .map_err(|_| Error::new(ErrorKind::Other, format!("`{parent}` is no folder")))?;
            session.name_of(&holder).await?.ok_or_else(|| writer::gone(&holder))?
        }
    };
    let mut body = json!({ "projectId": id, "parent": parent });
    if let Some(name) = wanted.get("display_name").and_then(Value::as_text) {
        body["displayName"] = name.into();
    }
    if let Some(labels) = wanted.get("labels").and_then(Value::as_map) {
        body["labels"] = texts(labels);
    }
    match gcp.writes.send(Service::Resources, Method::POST, "/v3/projects", Some(&body)).await {
        Ok(answer) => {
            session.note_made(address);
            Client::operation(&answer, Service::Resources)
        }
        Err(error) => {
            if error.effect == Effect::Unknown {
                session.note_made(address);
            }
            Err(error)
        }
    }
}

fn texts(map: &BTreeMap<Name, Value>) -> serde_json::Value {
    let pairs = map.iter().filter_map(|(key, value)| Some((key.to_string(), value.as_text()?.into())));
    serde_json::Value::Object(pairs.collect())
}

/// A project that somebody else made is not made into what was approved for a new one; what is so already is.
async fn refuse_another(session: &Session, change: &Change, project: &Project) -> Result<(), Error> {
    let tree = tree::knowing(&session.gcp, &project.parent).await;
    let there = tree.resource(&session.gcp.instance, project).attributes;
    let wanted = change.after.iter().flatten();
    let differs = |(name, value): &(&Name, &Value)| match (&***name, there.get(*name)) {
        ("labels", Some(Value::Map(there))) => value
            .as_map()
            .is_some_and(|wanted| wanted.iter().any(|(key, value)| there.get(key) != Some(value))),
        ("billing" | "services" | "lien", _) => false,
        (_, there) => there != Some(*value),
    };
    match wanted.into_iter().find(|pair| differs(pair)) {
        Some((name, _)) => {
            let message =
                format!("`{}` exists already, and its `{name}` is not what was approved", change.address);
            Err(Error::new(ErrorKind::Conflict, message).code("ALREADY_EXISTS"))
        }
        None => Ok(()),
    }
}

/// What of name and labels differs, as a mask and a body. Google replaces all labels, so that others' are sent back.
fn patch(
    change: &Change,
    project: &Project,
    name: Option<&Value>,
    labels: Option<&Value>,
) -> Option<(String, serde_json::Value)> {
    let (mut mask, mut body) = (Vec::new(), json!({}));
    if let Some(name) = name.and_then(Value::as_text).filter(|name| *name != project.display_name) {
        mask.push("displayName");
        body["displayName"] = name.into();
    }
    if let Some(wanted) = labels.and_then(Value::as_map) {
        let before = change.before.as_ref().and_then(|before| before.get("labels")?.as_map());
        let mut all = project.labels.clone();
        for key in before.into_iter().flat_map(BTreeMap::keys).filter(|key| !wanted.contains_key(*key)) {
            all.remove(&**key);
        }
        let set =
            wanted.iter().filter_map(|(key, value)| Some((key.to_string(), value.as_text()?.to_owned())));
        all.extend(set);
        if all != project.labels {
            mask.push("labels");
            body["labels"] = json!(all);
        }
    }
    (!mask.is_empty()).then(|| (mask.join(","), body))
}

/// Enables what is missing, then disables what base asked for and head does not.
async fn use_services(
    session: &Session,
    change: &Change,
    id: &str,
    wanted: &BTreeMap<Name, Value>,
    taken: &[&'static str],
) -> Result<Option<(&'static str, Outcome)>, Error> {
    let client = &session.gcp.writes;
    if taken.iter().filter(|step| **step == "services").count() >= STEPS / 2 {
        return Ok(None);
    }
    let live = services(client, id).await?;
    let live = live.as_map().cloned().unwrap_or_default();
    let missing: Vec<&str> =
        wanted.keys().filter(|name| !live.contains_key(*name)).map(AsRef::as_ref).collect();
    let at = format!("/v1/projects/{}/services", encoded(id));
    if let Some(some) = missing.chunks(SERVICES_AT_ONCE).next() {
        let (target, body) = match some {
            [one] => (format!("{at}/{}:enable", encoded(one)), json!({})),
            many => (format!("{at}:batchEnable"), json!({ "serviceIds": many })),
        };
        let answer = client.send(Service::Usage, Method::POST, &target, Some(&body)).await?;
        return Ok(Some(("services", Client::operation(&answer, Service::Usage)?)));
    }
    let before = change.before.as_ref().and_then(|before| before.get("services")?.as_map());
    let gone = before
        .into_iter()
        .flat_map(BTreeMap::keys)
        .find(|name| !wanted.contains_key(*name) && live.contains_key(*name));
    let Some(gone) = gone.filter(|_| change.op == Op::Update) else { return Ok(None) };
    let body = json!({ "disableDependentServices": false });
    let target = format!("{at}/{}:disable", encoded(gone));
    let answer = client.send(Service::Usage, Method::POST, &target, Some(&body)).await?;
    Ok(Some(("services", Client::operation(&answer, Service::Usage)?)))
}

async fn set_lien(client: &Client, id: &str, wanted: &Value) -> Result<Option<Outcome>, Error> {
    let ours = liens(client, id).await?;
    if reason(&ours) == *wanted {
        return Ok(None);
    }
    let mut request_id = None;
    // The new one comes first, so that there is no time without any.
    if let Some(reason) = wanted.as_text() {
        let parent = format!("projects/{id}");
        let body =
            json!({ "parent": parent, "reason": reason, "origin": ORIGIN, "restrictions": [DELETION] });
        let answer = client.send(Service::Resources, Method::POST, "/v3/liens", Some(&body)).await?;
        request_id = answer.request_id;
    }
    for lien in ours {
        let target = format!("/v3/{}", lien.name);
        match client.send(Service::Resources, Method::DELETE, &target, None).await {
            Ok(answer) => request_id = answer.request_id,
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(Outcome::Done { request_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_that_google_takes() {
        for (id, good) in [
            ("eng-dev-a1", true),
            ("acme.com:eng-dev", true),
            ("short", false),
            ("1starts-with-digit", false),
            ("ends-with-dash-", false),
            ("Upper-Case", false),
            ("a-name-that-has-more-than-thirty-characters", false),
        ] {
            assert_eq!(is_id(id), good, "{id}");
        }
    }
}
