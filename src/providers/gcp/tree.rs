//! The organization's folders and projects, as two lists tell them: who is in whom, by which id.
//!
//! Invariant: a folder is called by its path from the organization; where part of that is not to be seen, by its id in
//! brackets, so that no two are called alike. A list that breaks off says so. It must not write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;

use super::Gcp;
use super::client::{Client, Service, encoded};
use super::names::{FOLDER, ORGANIZATION, PROJECT};
use crate::model::{Account, Address, Attributes, Coverage, Resource, Snapshot, Value};
use crate::provider::paging::Listing;
use crate::provider::{Error, ErrorKind};

/// How many are asked for at once.
const PAGE: usize = 500;
/// How deep folders go at most; Google allows ten.
const DEEPEST: usize = 32;

/// A folder as Google writes it, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Folder {
    /// `folders/NUMBER`.
    pub(super) name: String,
    #[serde(default)]
    pub(super) parent: String,
    #[serde(default)]
    pub(super) display_name: String,
    #[serde(default)]
    state: String,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Project {
    /// `projects/NUMBER`.
    pub(super) name: String,
    pub(super) project_id: String,
    #[serde(default)]
    pub(super) parent: String,
    #[serde(default)]
    pub(super) display_name: String,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) state: String,
}

impl Project {
    /// Whether its end was asked for: it can be had back for thirty days.
    pub(super) fn is_ending(&self) -> bool {
        self.state == "DELETE_REQUESTED"
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Tree {
    organization: String,
    /// Folders by path.
    pub(super) folders: BTreeMap<String, Folder>,
    /// Paths by `folders/NUMBER`.
    paths: BTreeMap<String, String>,
    /// Projects by id.
    pub(super) projects: BTreeMap<String, Project>,
    /// Ids by `projects/NUMBER`.
    ids: BTreeMap<String, String>,
    pub(super) folders_cut: Option<String>,
    pub(super) projects_cut: Option<String>,
}

impl Tree {
    /// Reads both lists.
    pub(super) async fn read(gcp: &Gcp) -> Self {
        let folders = format!("/v3/folders:search?pageSize={PAGE}");
        let projects = format!("/v3/projects:search?pageSize={PAGE}");
        let (folders, projects) = tokio::join!(
            gcp.reads.list::<Folder>(Service::Resources, &folders, "folders"),
            gcp.reads.list::<Project>(Service::Resources, &projects, "projects"),
        );
        let cut = |what: &str, cut: Option<&Error>, count: usize| {
            cut.map(|error| format!("the list of {what} breaks off after {count}: {error}"))
        };
        let mut tree = Self {
            folders_cut: cut("folders", folders.cut_short.as_ref(), folders.items.len()),
            projects_cut: cut("projects", projects.cut_short.as_ref(), projects.items.len()),
            ..Self::of(&gcp.organization(), folders.items, projects.items)
        };
        // What was written here a moment ago may not be in the lists yet, and is asked for by itself.
        for address in gcp.written_things() {
            tree.take_in(gcp, &address).await;
        }
        tree
    }

    fn of(organization: &str, folders: Vec<Folder>, projects: Vec<Project>) -> Self {
        let mut tree = Self { organization: organization.to_owned(), ..Self::default() };
        let folders: BTreeMap<String, Folder> = folders
            .into_iter()
            .filter(|folder| folder.state != "DELETE_REQUESTED")
            .map(|folder| (folder.name.clone(), folder))
            .collect();
        for folder in folders.values() {
            let path = path_of(organization, folder, &folders);
            tree.paths.insert(folder.name.clone(), path.clone());
            tree.folders.insert(path, folder.clone());
        }
        for project in projects {
            // Whoever calls may see another organization's, too.
            let another =
                project.parent.starts_with("organizations/") && tree.path(&project.parent).is_none();
            if another {
                continue;
            }
            tree.ids.insert(project.name.clone(), project.project_id.clone());
            tree.projects.insert(project.project_id.clone(), project);
        }
        tree
    }

    /// Reads one folder or project anew.
    async fn take_in(&mut self, gcp: &Gcp, address: &Address) {
        let name = address.name();
        let seen: Result<(), Error> = async {
            match address.kind() {
                FOLDER => {
                    self.folders.remove(&*name);
                    if let Some(folder) = find_folder(&gcp.reads, &gcp.organization(), &name).await? {
                        self.paths.insert(folder.name.clone(), name.clone().into_owned());
                        self.folders.insert(name.clone().into_owned(), folder);
                    }
                }
                PROJECT => {
                    self.projects.remove(&*name);
                    if let Some(project) = find_project(&gcp.reads, &name).await? {
                        self.ids.insert(project.name.clone(), project.project_id.clone());
                        self.projects.insert(project.project_id.clone(), project);
                    }
                }
                _ => {}
            }
            Ok(())
        }
        .await;
        if let Err(error) = seen {
            let why =
                Some(format!("`{address}`, which was written a moment ago, could not be read: {error}"));
            match address.kind() {
                FOLDER => self.folders_cut = why,
                _ => self.projects_cut = why,
            }
        }
    }

    /// The path of the folder that `parent` names; empty for the organization.
    pub(super) fn path(&self, parent: &str) -> Option<&str> {
        if let Some(id) = parent.strip_prefix("organizations/") {
            return (id == self.organization).then_some("");
        }
        self.paths.get(parent).map(String::as_str)
    }

    /// The id of the project that `projects/NUMBER` or `projects/ID` names.
    pub(super) fn project_id<'t>(&'t self, name: &'t str) -> Option<&'t str> {
        if let Some(id) = self.ids.get(name) {
            return Some(id);
        }
        name.strip_prefix("projects/").filter(|id| self.projects.contains_key(*id))
    }

    /// The address of what something is in.
    pub(super) fn holder(&self, instance: &str, parent: &str) -> Option<Address> {
        match parent.strip_prefix("organizations/") {
            Some(id) => Some(Address::new(instance, None, ORGANIZATION, id)),
            None => Some(Address::new(instance, None, FOLDER, self.path(parent)?)),
        }
    }

    /// The accounts that there are: those that end are none any more.
    pub(super) fn accounts(&self, instance: &str) -> Vec<Account> {
        let here = self.projects.values().filter(|project| !project.is_ending());
        let account = |project: &Project| Account {
            instance: instance.into(),
            id: project.project_id.as_str().into(),
            name: project.project_id.as_str().into(),
            // One in brackets is in no folder that could be named.
            path: self.path(&project.parent).map_or_else(|| format!("[{}]", project.parent), str::to_owned),
        };
        here.map(account).collect()
    }

    /// Folders and projects as resources, each list with its coverage.
    pub(super) fn snapshot(&self, gcp: &Gcp) -> Snapshot {
        let instance = &gcp.instance;
        let mut seen = Snapshot::default();
        let coverage = |cut: &Option<String>| cut.clone().map_or(Coverage::Complete, Coverage::Partial);
        seen.coverage.insert(gcp.scope(FOLDER), coverage(&self.folders_cut));
        seen.coverage.insert(gcp.scope(PROJECT), coverage(&self.projects_cut));
        seen.coverage.insert(gcp.scope(ORGANIZATION), Coverage::Complete);
        for (path, folder) in &self.folders {
            let address = Address::new(instance, None, FOLDER, path);
            seen.resources
                .insert(address, Resource { id: Some(number(&folder.name)), ..Resource::default() });
        }
        for (id, project) in &self.projects {
            let address = Address::new(instance, None, PROJECT, id);
            seen.resources.insert(address, self.resource(instance, project));
        }
        let organization = gcp.organization();
        let resource = Resource { id: Some(organization.as_str().into()), ..Resource::default() };
        seen.resources.insert(Address::new(instance, None, ORGANIZATION, &organization), resource);
        seen
    }

    /// A project as a resource.
    pub(super) fn resource(&self, instance: &str, project: &Project) -> Resource {
        let parent = self.holder(instance, &project.parent);
        let parent = parent.map_or_else(|| project.parent.as_str().into(), |parent| parent.as_str().into());
        let state = if project.is_ending() { "deleted" } else { "active" };
        let labels = project.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let attributes = [
            ("parent", parent),
            ("display_name", project.display_name.as_str().into()),
            ("labels", Value::map(labels)),
            ("state", state.into()),
        ];
        let attributes: Attributes =
            attributes.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Resource { id: Some(number(&project.name)), attributes, ..Resource::default() }
    }
}

/// The number in `folders/NUMBER`.
pub(super) fn number(name: &str) -> crate::model::Name {
    name.rsplit('/').next().unwrap_or_default().into()
}

fn path_of(organization: &str, folder: &Folder, all: &BTreeMap<String, Folder>) -> String {
    let root = format!("organizations/{organization}");
    let (mut names, mut at) = (vec![folder.display_name.as_str()], folder);
    for _ in 0..DEEPEST {
        if at.parent == root {
            names.reverse();
            return names.join("/");
        }
        let Some(above) = all.get(&at.parent) else { break };
        names.push(&above.display_name);
        at = above;
    }
    format!("[{}]", number(&folder.name))
}

/// The folder at a path, read just now: step by step, since only siblings have names of their own.
pub(super) async fn find_folder(
    client: &Client,
    organization: &str,
    path: &str,
) -> Result<Option<Folder>, Error> {
    let mut parent = format!("organizations/{organization}");
    let mut found = None;
    for name in path.split('/') {
        let target = format!("/v3/folders?parent={}&pageSize={PAGE}", encoded(&parent));
        let Listing { items, cut_short } =
            client.list::<Folder>(Service::Resources, &target, "folders").await;
        let here = items
            .into_iter()
            .find(|folder| folder.display_name == name && folder.state != "DELETE_REQUESTED");
        match (here, cut_short) {
            (Some(folder), _) => {
                parent.clone_from(&folder.name);
                found = Some(folder);
            }
            (None, None) => return Ok(None),
            (None, Some(error)) if error.kind == ErrorKind::NotFound => return Ok(None),
            (None, Some(error)) => return Err(error),
        }
    }
    Ok(found)
}

/// A project, read just now. Of one that does not exist Google says that it may not be seen; then the search must not know
/// it either. Checked November 2026:
/// https://cloud.google.com/resource-manager/docs/core_errors
pub(super) async fn find_project(client: &Client, id: &str) -> Result<Option<Project>, Error> {
    let target = format!("/v3/projects/{}", encoded(id));
    let error = match client.get(Service::Resources, &target).await {
        Ok(json) => {
            return serde_json::from_value(json).map(Some).map_err(|_| {
                Error::new(ErrorKind::Malformed, format!("the project `{id}` is not what it should be"))
            });
        }
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind == ErrorKind::Denied => error,
        Err(error) => return Err(error),
    };
    let target = format!("/v3/projects:search?query={}", encoded(&format!("id:{id}")));
    let found = client.list::<Project>(Service::Resources, &target, "projects").await.whole()?;
    match found.iter().any(|project| project.project_id == id) {
        true => Err(error),
        false => Ok(None),
    }
}

/// A tree that is read once for one look, whichever part of the look comes first.
pub(super) async fn shared(gcp: &Gcp, anew: bool) -> Arc<Tree> {
    let mut known = gcp.tree.lock().await;
    let anew = gcp.stale.swap(false, Ordering::AcqRel) || anew;
    match &*known {
        Some(tree) if !anew => tree.clone(),
        _ => {
            let tree = Arc::new(Tree::read(gcp).await);
            *known = Some(tree.clone());
            tree
        }
    }
}

/// A tree that knows where something is: read anew, where its holder is newer than the last one.
pub(super) async fn knowing(gcp: &Gcp, parent: &str) -> Arc<Tree> {
    let tree = shared(gcp, false).await;
    if tree.path(parent).is_some() { tree } else { shared(gcp, true).await }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(id: &str, parent: &str, name: &str) -> Folder {
        Folder {
            name: format!("folders/{id}"),
            parent: parent.to_owned(),
            display_name: name.to_owned(),
            state: "ACTIVE".to_owned(),
        }
    }

    #[test]
    fn folders_are_called_by_their_paths() {
        let folders = vec![
            folder("1", "organizations/9", "eng"),
            folder("2", "folders/1", "dev"),
            folder("3", "folders/77", "dev"),
            folder("4", "folders/4", "loop"),
        ];
        let tree = Tree::of("9", folders, Vec::new());
        let paths: Vec<&str> = tree.folders.keys().map(String::as_str).collect();
        assert_eq!(paths, ["[3]", "[4]", "eng", "eng/dev"]);
        assert_eq!(tree.path("folders/2"), Some("eng/dev"));
        assert_eq!(tree.holder("gcp", "folders/2").unwrap().as_str(), "gcp:folder/eng/dev");
        assert_eq!(tree.holder("gcp", "organizations/9").unwrap().as_str(), "gcp:organization/9");
    }
}
