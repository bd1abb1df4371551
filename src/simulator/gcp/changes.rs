//! What operations do to folders and projects.
//!
//! Invariant: each checks everything before it changes anything. A project's id is never given twice; live folders of
//! one parent have different names.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::keyed;
use super::super::world::{Gcp, GcpFolder, GcpPolicy, GcpProject, GcpState, folder_id};
use super::{Context, Problem, text};

type Changed = Result<Json, Problem>;

/// How deep folders may be, and how many one parent may have (November 2026):
/// <https://cloud.google.com/resource-manager/reference/rest/v3/folders/create>.
const DEEPEST: usize = 10;
const MOST: usize = 300;

impl Context<'_> {
    pub(super) fn create_project(&mut self) -> Changed {
        let body = self.body()?;
        let id = text(&body, "projectId").to_owned();
        if !is_name(&id, 6, 30) {
            return Err(Problem::invalid(format!(
                "project_id contains invalid characters or is too short: {id}"
            )));
        }
        if self.gcp().projects.contains_key(&id) {
            return Err(Problem::exists("Requested entity already exists"));
        }
        let folder = self.parent(text(&body, "parent"))?;
        let name = match text(&body, "displayName") {
            "" => id.clone(),
            name => name_of_project(name)?,
        };
        let number = keyed::digits(&["project", &id, &self.moment.n.to_string()], 12);
        let project = GcpProject {
            id: id.clone(),
            number: number.clone(),
            name,
            folder,
            created: Some(self.moment.now),
            labels: labels(&body)?,
            policy: self.owned(&["roles/owner"]),
            ..GcpProject::default()
        };
        let gcp = self.gcp_mut();
        gcp.numbers.insert(number, id.clone());
        gcp.projects.insert(id.clone(), project);
        self.shown_project(&id)
    }

    /// The policy of what the caller makes (November 2026):
    /// <https://cloud.google.com/resource-manager/docs/access-control-proj#resource-creators>.
    fn owned(&self, roles: &[&str]) -> GcpPolicy {
        let mut policy = GcpPolicy::default();
        let caller = &self.gcp().caller;
        roles.iter().filter(|_| !caller.is_empty()).for_each(|role| policy.bind(role, caller));
        policy
    }

    pub(super) fn update_project(&mut self, key: &str) -> Changed {
        let body = self.body()?;
        let id = self.live_project(key)?.id.clone();
        let mut mask = self.mask(&body);
        if mask.is_empty() {
            mask = ["displayName", "labels"]
                .into_iter()
                .filter(|it| body.get(it).is_some())
                .map(str::to_owned)
                .collect();
        }
        let mut name = None;
        let mut replaced = None;
        for field in &mask {
            match field.as_str() {
                "displayName" => name = Some(name_of_project(text(&body, "displayName"))?),
                "labels" => replaced = Some(labels(&body)?),
                _ => return Err(Problem::invalid(format!("The field {field} cannot be updated."))),
            }
        }
        if let Some(project) = self.gcp_mut().project_mut(&id) {
            if let Some(name) = name {
                project.name = name;
            }
            if let Some(labels) = replaced {
                project.labels = labels;
            }
        }
        self.shown_project(&id)
    }

    pub(super) fn move_project(&mut self, key: &str) -> Changed {
        let body = self.body()?;
        let id = self.live_project(key)?.id.clone();
        let folder = self.parent(text(&body, "destinationParent"))?;
        if let Some(project) = self.gcp_mut().project_mut(&id) {
            project.folder = folder;
        }
        self.shown_project(&id)
    }

    pub(super) fn delete_project(&mut self, key: &str) -> Changed {
        let project = self.find_project(key)?;
        if project.state == GcpState::DeleteRequested {
            return Err(Problem::precondition("Cannot delete an inactive project."));
        }
        let held = |restriction: &str| restriction == "resourcemanager.projects.delete";
        let lien = project.liens.iter().find(|lien| lien.restrictions.iter().any(|it| held(it)));
        if let Some(lien) = lien {
            // https://cloud.google.com/resource-manager/docs/project-liens
            return Err(Problem::precondition(format!(
                "A lien to prevent deletion was placed on the project by [{}]. Remove the lien to allow deletion.",
                lien.origin
            )));
        }
        let (id, now) = (project.id.clone(), self.moment.now);
        if let Some(project) = self.gcp_mut().project_mut(&id) {
            project.state = GcpState::DeleteRequested;
            project.deleted = Some(now);
        }
        self.shown_project(&id)
    }

    pub(super) fn undelete_project(&mut self, key: &str) -> Changed {
        let project = self.find_project(key)?;
        if project.state == GcpState::Active {
            return Err(Problem::precondition("The project is not in state DELETE_REQUESTED."));
        }
        self.check_parent(project.folder.as_deref())?;
        let id = project.id.clone();
        if let Some(project) = self.gcp_mut().project_mut(&id) {
            project.state = GcpState::Active;
            project.deleted = None;
        }
        self.shown_project(&id)
    }

    fn shown_project(&self, id: &str) -> Changed {
        Ok(self.project(self.find_project(id)?))
    }

    pub(super) fn create_folder(&mut self) -> Changed {
        let body = self.body()?;
        let parent = self.parent(text(&body, "parent"))?;
        let name = name_of_folder(text(&body, "displayName"))?;
        let path = joined(parent.as_deref(), &name);
        // As people meet it: https://github.com/hashicorp/terraform-provider-google/issues/5133
        self.check_folder(parent.as_deref(), &path, None).map_err(Problem::later)?;
        let id = folder_id(&format!("{path} {}", self.moment.n));
        let roles = ["roles/resourcemanager.folderAdmin", "roles/resourcemanager.folderEditor"];
        let folder = GcpFolder {
            path,
            id: id.clone(),
            created: Some(self.moment.now),
            policy: self.owned(&roles),
            ..GcpFolder::default()
        };
        let gcp = self.gcp_mut();
        gcp.folders.insert(id.clone(), folder);
        gcp.index();
        self.shown_folder(&id)
    }

    pub(super) fn rename_folder(&mut self, id: &str) -> Changed {
        let body = self.body()?;
        let folder = self.live_folder(id)?;
        if self.mask(&body).iter().any(|field| field != "displayName") {
            return Err(Problem::invalid("Only the display name of a folder can be updated."));
        }
        let name = name_of_folder(text(&body, "displayName"))?;
        let path = joined(folder.parent(), &name);
        self.check_folder(folder.parent(), &path, Some(id))?;
        self.gcp_mut().lead(id, &path);
        self.shown_folder(id)
    }

    pub(super) fn move_folder(&mut self, id: &str) -> Changed {
        let body = self.body()?;
        let parent = self.parent(text(&body, "destinationParent"))?;
        let folder = self.live_folder(id)?;
        let own = format!("{}/", folder.path);
        if parent.as_ref().is_some_and(|parent| format!("{parent}/").starts_with(&own)) {
            return Err(Problem::precondition("A folder cannot be moved below itself."));
        }
        let path = joined(parent.as_deref(), folder.name());
        self.check_folder(parent.as_deref(), &path, Some(id))?;
        self.gcp_mut().lead(id, &path);
        self.shown_folder(id)
    }

    pub(super) fn delete_folder(&mut self, id: &str) -> Changed {
        let folder = self.find_folder(id)?;
        if folder.state == GcpState::Active {
            let path = Some(folder.path.as_str());
            let gcp = self.gcp();
            let live = |state: GcpState| state == GcpState::Active;
            if gcp.folders.values().any(|it| live(it.state) && it.parent() == path)
                || gcp.projects.values().any(|it| live(it.state) && it.folder.as_deref() == path)
            {
                return Err(Problem::precondition("The folder is not empty: it has active children."));
            }
            let now = self.moment.now;
            let gcp = self.gcp_mut();
            if let Some(folder) = gcp.folders.get_mut(id) {
                folder.state = GcpState::DeleteRequested;
                folder.deleted = Some(now);
            }
            gcp.index();
        }
        self.shown_folder(id)
    }

    pub(super) fn undelete_folder(&mut self, id: &str) -> Changed {
        let folder = self.find_folder(id)?;
        if folder.state == GcpState::DeleteRequested {
            self.check_parent(folder.parent())?;
            self.check_folder(folder.parent(), &folder.path, Some(id))?;
            let gcp = self.gcp_mut();
            if let Some(folder) = gcp.folders.get_mut(id) {
                folder.state = GcpState::Active;
                folder.deleted = None;
            }
            gcp.index();
        }
        self.shown_folder(id)
    }

    fn shown_folder(&self, id: &str) -> Changed {
        Ok(self.folder(self.find_folder(id)?))
    }

    fn live_folder(&self, id: &str) -> Result<&GcpFolder, Problem> {
        let live = |folder: &&GcpFolder| folder.state == GcpState::Active;
        let folder = Some(self.find_folder(id)?).filter(live);
        folder.ok_or_else(|| Problem::precondition("The folder is not in state ACTIVE."))
    }

    /// The path of the folder that a parent is; none: it is the organization.
    fn parent(&self, name: &str) -> Result<Option<String>, Problem> {
        match name.split_once('/') {
            Some(("organizations", id)) if id == self.gcp().organization => Ok(None),
            Some(("folders", id)) => Ok(Some(self.live_folder(id)?.path.clone())),
            Some(("organizations", _)) => Err(Problem::denied()),
            _ => Err(Problem::invalid(format!("The parent is not valid: {name:?}"))),
        }
    }

    fn check_parent(&self, path: Option<&str>) -> Result<(), Problem> {
        let live = |path: &str| self.gcp().folder_at(path).is_some_and(|it| it.state == GcpState::Active);
        if path.is_none_or(live) {
            return Ok(());
        }
        Err(Problem::precondition("The parent is not in state ACTIVE."))
    }

    /// Whether a folder may be at a path.
    fn check_folder(&self, parent: Option<&str>, path: &str, own: Option<&str>) -> Result<(), Problem> {
        let refuse = |what: &str| {
            let parent = self.gcp().parent_name(parent);
            let name = path.rsplit('/').next().unwrap_or_default();
            let message = format!(
                "Folder reservation failed for parent [{parent}], folder_name [{name}] due to constraint: The folder operation violates {what}."
            );
            Err(Problem::precondition(message))
        };
        let live = |it: &&GcpFolder| it.state == GcpState::Active && Some(it.id.as_str()) != own;
        let others = self.gcp().folders.values().filter(live);
        let siblings: Vec<&GcpFolder> = others.filter(|it| it.parent() == parent).collect();
        if siblings.iter().any(|it| it.path.eq_ignore_ascii_case(path)) {
            return refuse("display name uniqueness within the parent");
        }
        if siblings.len() >= MOST {
            return refuse("the fanout constraint");
        }
        let below =
            own.and_then(|id| self.gcp().folders.get(id)).map_or(0, |own| self.gcp().depth_below(&own.path));
        if path.split('/').count() + below > DEEPEST {
            return refuse("the height constraint");
        }
        Ok(())
    }
}

impl Gcp {
    /// How many levels of folders there are below a path.
    fn depth_below(&self, path: &str) -> usize {
        let start = format!("{path}/");
        let below = self.folders.values().filter_map(|it| it.path.strip_prefix(&start));
        below.map(|rest| rest.split('/').count()).max().unwrap_or(0)
    }

    /// Puts a folder, with everything below it, at another path.
    fn lead(&mut self, id: &str, path: &str) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        let old = std::mem::replace(&mut folder.path, path.to_owned());
        let start = format!("{old}/");
        for folder in self.folders.values_mut() {
            if let Some(rest) = folder.path.strip_prefix(&start) {
                folder.path = format!("{path}/{rest}");
            }
        }
        for folder in self.projects.values_mut().filter_map(|project| project.folder.as_mut()) {
            if *folder == old {
                path.clone_into(folder);
            } else if let Some(rest) = folder.strip_prefix(&start) {
                *folder = format!("{path}/{rest}");
            }
        }
        self.index();
    }
}

fn joined(parent: Option<&str>, name: &str) -> String {
    parent.map_or_else(|| name.to_owned(), |parent| format!("{parent}/{name}"))
}

/// Small letters, digits and hyphens; a letter first, no hyphen last.
pub(super) fn is_name(name: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&name.len())
        && name.starts_with(|sign: char| sign.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'-')
}

fn name_of_project(name: &str) -> Result<String, Problem> {
    let fits = |sign: char| sign.is_alphanumeric() || "-'\" !".contains(sign);
    if (4..=30).contains(&name.chars().count()) && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    Err(Problem::invalid("field [display_name] has issue [project display name is not valid]"))
}

fn name_of_folder(name: &str) -> Result<String, Problem> {
    let ends = [name.chars().next(), name.chars().next_back()];
    if (3..=30).contains(&name.chars().count())
        && name.chars().all(|sign| sign.is_alphanumeric() || " -_".contains(sign))
        && ends.into_iter().flatten().all(char::is_alphanumeric)
    {
        return Ok(name.to_owned());
    }
    Err(Problem::invalid("field [display_name] has issue [folder display name is not valid]"))
}

fn labels(body: &Json) -> Result<BTreeMap<String, String>, Problem> {
    let mut labels = BTreeMap::new();
    for (key, value) in body["labels"].as_object().into_iter().flatten() {
        let fits = |text: &str| {
            text.chars().count() <= 63
                && text.chars().all(|sign| {
                    (sign.is_alphanumeric() && !sign.is_uppercase()) || sign == '-' || sign == '_'
                })
        };
        let value = value.as_str().filter(|value| fits(value));
        let Some(value) = value.filter(|_| fits(key) && key.starts_with(char::is_alphabetic)) else {
            return Err(Problem::invalid(format!("Label {key} is not valid.")));
        };
        labels.insert(key.clone(), value.to_owned());
    }
    if labels.len() > 64 {
        return Err(Problem::invalid("A project has at most 64 labels."));
    }
    Ok(labels)
}
