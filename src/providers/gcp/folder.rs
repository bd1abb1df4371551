//! Folders. Each is called by its path, so that what it is in stands in its name.
//!
//! Invariant: a folder is made in a parent that exists, and one that is there already under its name is taken for what was
//! wanted: there is nothing else to a folder. Google itself refuses to delete one that has something in it.

use async_trait::async_trait;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::client::{Client, Service};
use super::names::FOLDER;
use super::writer::{self, Session};
use super::{Gcp, GcpKind, policies, tree};
use crate::model::Address;
use crate::model::{
    Change, Code, Coverage, Finding, Kind, Lowering, Native, Op, Resource, Schema, Snapshot, Spanned,
};
use crate::provider::{Effect, Error, ErrorKind, Outcome};

/// A name, path or number that Google Cloud does not allow.
pub(super) const BAD_NAME: Code = Code { code: "RC544", title: "a name that Google Cloud does not allow" };

/// The kind itself.
pub(super) struct Folders;

/// `kind: gcp/Folder`. Its name is its path from the organization: `eng/dev`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FolderManifest {}

impl Native for FolderManifest {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        check_path(lowering, lowering.name);
        lowering.resource(FOLDER, [], true);
    }
}

/// Says what is wrong with a path of folders.
pub(super) fn check_path(lowering: &mut Lowering<'_>, path: &Spanned<String>) {
    let fits = |part: &str| {
        let edges = |character: char| character.is_alphanumeric();
        (3..=30).contains(&part.chars().count())
            && part.chars().all(|c| edges(c) || " -_".contains(c))
            && part.starts_with(edges)
            && part.ends_with(edges)
    };
    if !path.split('/').all(fits) {
        let message = format!("`{}` is not a path of folders that Google allows", path.value);
        let help = "each part has 3 to 30 letters, digits, spaces, `-` and `_`, and begins and ends with a letter or digit";
        lowering.out.findings.push(Finding::error(BAD_NAME, message).at(&path.span).help(help));
    }
}

async fn id_of(client: &Client, gcp: &Gcp, address: &Address) -> Result<Option<String>, Error> {
    let found = tree::find_folder(client, &gcp.organization(), &address.name()).await?;
    Ok(found.map(|folder| folder.name))
}

#[async_trait]
impl GcpKind for Folders {
    fn kind(&self) -> Kind {
        Kind::of::<FolderManifest>("gcp/Folder", Schema::new(FOLDER, "folders"))
    }

    async fn read(&self, gcp: &Gcp, address: &Address) -> Result<Snapshot, Error> {
        let Some(folder) = tree::find_folder(&gcp.reads, &gcp.organization(), &address.name()).await? else {
            let mut nothing = Snapshot::default();
            nothing.coverage.insert(address.as_str().into(), Coverage::Complete);
            return Ok(nothing);
        };
        let mut seen = policies::read(gcp, address).await?;
        let resource = Resource { id: Some(tree::number(&folder.name)), ..Resource::default() };
        seen.resources.insert(address.clone(), resource);
        Ok(seen)
    }

    async fn poll(&self, session: &Session, change: &Change, poll: &str) -> Result<Outcome, Error> {
        match session.gcp.writes.poll(poll).await {
            Err(error) if change.op == Op::Create && error.kind == ErrorKind::Conflict => {
                match id_of(&session.gcp.writes, &session.gcp, &change.address).await? {
                    Some(_) => Ok(Outcome::Done { request_id: error.request_id }),
                    None => Err(error),
                }
            }
            outcome => outcome,
        }
    }

    async fn write(&self, session: &Session, change: &Change) -> Result<Outcome, Error> {
        let (gcp, address) = (&session.gcp, &change.address);
        let client = &gcp.writes;
        match change.op {
            Op::Create => {
                let name = address.name();
                let (above, name) =
                    name.rsplit_once('/').map_or((None, &*name), |(above, name)| (Some(above), name));
                let parent = match above {
                    None => format!("organizations/{}", gcp.organization()),
                    Some(above) => {
                        let above = Address::new(&gcp.instance, None, FOLDER, above);
                        id_of(client, gcp, &above).await?.ok_or_else(|| writer::gone(&above))?
                    }
                };
                let body = json!({ "displayName": name, "parent": parent });
                let sent = client.send(Service::Resources, Method::POST, "/v3/folders", Some(&body)).await;
                match sent.and_then(|answer| Client::operation(&answer, Service::Resources)) {
                    // A name that is taken is refused at once, or by the operation.
                    Err(error) if error.effect == Effect::None && error.kind == ErrorKind::Conflict => {
                        match id_of(client, gcp, address).await? {
                            Some(_) => Ok(Outcome::Done { request_id: error.request_id }),
                            None => Err(error),
                        }
                    }
                    outcome => outcome,
                }
            }
            Op::Delete => {
                let Some(name) = id_of(client, gcp, address).await? else {
                    return Ok(Outcome::Done { request_id: None });
                };
                let answer =
                    client.send(Service::Resources, Method::DELETE, &format!("/v3/{name}"), None).await?;
                Client::operation(&answer, Service::Resources)
            }
            _ => Err(writer::unsupported(change)),
        }
    }
}
