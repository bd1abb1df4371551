//! Organizations, folders, projects and liens, as Resource Manager shows them.
//!
//! Invariant: what was deleted is shown for thirty days, and then no more. It must not change folders or projects.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::super::keyed;
use super::super::order::Reply;
use super::super::world::{GcpFolder, GcpLien, GcpProject, GcpState};
use super::{Answer, Context, Problem, etag, put, stamp, text};

/// How long what was deleted can be restored (November 2026):
/// <https://cloud.google.com/resource-manager/docs/creating-managing-projects#shutting_down_projects>.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Pages where Google says only that the server chooses.
const PAGES: (usize, usize) = (100, 1000);

/// Whether something deleted is really gone.
pub(super) fn gone(state: GcpState, deleted: Option<Timestamp>, now: Timestamp) -> bool {
    let ended = |deleted: Timestamp| now.duration_since(deleted) >= KEPT;
    state == GcpState::DeleteRequested && deleted.is_some_and(ended)
}

impl Context<'_> {
    /// A project by id or number. To who may not see a thing, and for what is not there, Google says the same.
    pub(super) fn find_project(&self, key: &str) -> Result<&GcpProject, Problem> {
        let there = |project: &&GcpProject| !gone(project.state, project.deleted, self.moment.now);
        self.gcp().project(key).filter(there).ok_or_else(Problem::denied)
    }

    /// A project that is in use.
    pub(super) fn live_project(&self, key: &str) -> Result<&GcpProject, Problem> {
        let live = |project: &&GcpProject| project.state == GcpState::Active;
        Some(self.find_project(key)?)
            .filter(live)
            .ok_or_else(|| Problem::precondition(format!("Project {key} is not in state ACTIVE.")))
    }

    pub(super) fn find_folder(&self, id: &str) -> Result<&GcpFolder, Problem> {
        let there = |folder: &&GcpFolder| !gone(folder.state, folder.deleted, self.moment.now);
        self.gcp().folders.get(id).filter(there).ok_or_else(Problem::denied)
    }

    fn organization(&self) -> Json {
        let gcp = self.gcp();
        let name = gcp.organization_name();
        json!({"name": name, "displayName": gcp.domain, "directoryCustomerId": gcp.customer, "state": "ACTIVE",
            "createTime": stamp(None), "updateTime": stamp(None), "etag": etag(&["organization", &name])})
    }

    pub(super) fn search_organizations(&self) -> Answer {
        let found = match self.order.query("query").unwrap_or_default().trim() {
            "" => true,
            query => match query.split_once([':', '=']) {
                Some(("domain", domain)) => bare(domain).eq_ignore_ascii_case(&self.gcp().domain),
                Some(("directoryCustomerId" | "owner.directoryCustomerId", customer)) => {
                    bare(customer) == self.gcp().customer
                }
                _ => return Err(Problem::invalid("The query is not understood.")),
            },
        };
        let items = found.then(|| (self.gcp().organization.as_str(), ()));
        self.page("organizations", PAGES, items.into_iter(), |()| self.organization())
    }

    pub(super) fn read_organization(&self, id: &str) -> Answer {
        if id != self.gcp().organization {
            return Err(Problem::denied());
        }
        Ok(Reply::json(200, &self.organization()))
    }

    pub(super) fn list_folders(&self) -> Answer {
        let query = self.asked()?;
        let folders = self.gcp().folders.iter().filter(|(_, folder)| {
            !gone(folder.state, folder.deleted, self.moment.now)
                && query.matches(&self.gcp().parent_name(folder.parent()), folder.state, folder.name(), None)
        });
        self.page("folders", PAGES, folders, |folder| self.folder(folder))
    }

    pub(super) fn list_projects(&self) -> Answer {
        let query = self.asked()?;
        let projects = self.gcp().projects.iter().filter(|(_, project)| {
            let parent = || self.gcp().parent_name(project.folder.as_deref());
            !gone(project.state, project.deleted, self.moment.now)
                && (query.0.is_empty()
                    || query.matches(&parent(), project.state, &project.name, Some(project)))
        });
        self.page("projects", PAGES, projects, |project| self.project(project))
    }

    /// What a list asks for: a query, or the children of a parent that are in use.
    fn asked(&self) -> Result<Query, Problem> {
        match (self.order.query("query"), self.order.query("parent")) {
            (query, None) => Query::parse(&query.unwrap_or_default()),
            (_, Some(parent)) => {
                let mut tests = vec![("parent".to_owned(), parent)];
                if self.order.query("showDeleted").as_deref() != Some("true") {
                    tests.push(("state".to_owned(), "ACTIVE".to_owned()));
                }
                Ok(Query(tests))
            }
        }
    }

    pub(super) fn read_folder(&self, id: &str) -> Answer {
        Ok(Reply::json(200, &self.folder(self.find_folder(id)?)))
    }

    pub(super) fn read_project(&self, key: &str) -> Answer {
        Ok(Reply::json(200, &self.project(self.find_project(key)?)))
    }

    /// A folder as Google shows it.
    pub(super) fn folder(&self, folder: &GcpFolder) -> Json {
        let parent = self.gcp().parent_name(folder.parent());
        let mut json = json!({"name": format!("folders/{}", folder.id), "parent": parent,
            "displayName": folder.name(), "state": folder.state.word(), "createTime": stamp(folder.created),
            "updateTime": stamp(folder.deleted.or(folder.created)),
            "etag": etag(&["folder", &folder.id, &folder.path, folder.state.word()])});
        if let Some(time) = folder.deleted.filter(|_| folder.state == GcpState::DeleteRequested) {
            json["deleteTime"] = stamp(Some(time)).into();
        }
        json
    }

    /// A project as Google shows it.
    pub(super) fn project(&self, project: &GcpProject) -> Json {
        let parent = self.gcp().parent_name(project.folder.as_deref());
        let labels = json!(project.labels);
        let sign = [&project.id, &project.name, &parent, &labels.to_string(), project.state.word()];
        let mut json = json!({"name": format!("projects/{}", project.number), "parent": parent,
            "projectId": project.id, "displayName": project.name, "state": project.state.word(),
            "createTime": stamp(project.created), "updateTime": stamp(project.deleted.or(project.created)),
            "etag": etag(&sign)});
        if !project.labels.is_empty() {
            json["labels"] = labels;
        }
        if let Some(time) = project.deleted.filter(|_| project.state == GcpState::DeleteRequested) {
            json["deleteTime"] = stamp(Some(time)).into();
        }
        json
    }

    pub(super) fn list_liens(&self) -> Answer {
        let parent = self.order.query("parent").unwrap_or_default();
        let key = parent.strip_prefix("projects/").ok_or_else(|| Problem::invalid("Invalid parent."))?;
        let project = self.find_project(key)?;
        let liens = project.liens.iter().map(|lien| (&lien.id, lien));
        let liens: std::collections::BTreeMap<_, _> = liens.collect();
        self.page("liens", PAGES, liens.into_iter(), |shown| lien(project, shown))
    }

    pub(super) fn create_lien(&mut self) -> Answer {
        let body = self.body()?;
        let key = text(&body, "parent").strip_prefix("projects/").unwrap_or_default();
        let project = self.find_project(key)?;
        let restrictions = body["restrictions"].as_array().into_iter().flatten();
        let restrictions: BTreeSet<String> =
            restrictions.filter_map(|it| Some(it.as_str()?.to_owned())).collect();
        if restrictions.is_empty() || text(&body, "reason").is_empty() || text(&body, "origin").is_empty() {
            return Err(Problem::invalid("A lien has restrictions, a reason and an origin."));
        }
        let id = project.id.clone();
        let new = GcpLien {
            id: format!("l{}", keyed::token(&["lien", &id, &self.moment.n.to_string()], 24)),
            reason: text(&body, "reason").to_owned(),
            origin: text(&body, "origin").to_owned(),
            restrictions,
            created: Some(self.moment.now),
        };
        let answer = lien(project, &new);
        if let Some(project) = self.gcp_mut().project_mut(&id) {
            project.liens.push(new);
        }
        Ok(Reply::json(200, &answer))
    }

    pub(super) fn delete_lien(&mut self, name: &str) -> Answer {
        let (number, id) = name.strip_prefix('p').and_then(|it| it.split_once('-')).unwrap_or_default();
        let project = self.find_project(number)?;
        if !project.liens.iter().any(|lien| lien.id == id) {
            return Err(Problem::denied());
        }
        if let Some(project) = self.gcp_mut().project_mut(number) {
            project.liens.retain(|lien| lien.id != id);
        }
        Ok(Reply::json(200, &json!({})))
    }
}

/// A lien as Google shows it.
fn lien(project: &GcpProject, lien: &GcpLien) -> Json {
    let mut json = json!({"name": format!("liens/p{}-{}", project.number, lien.id),
        "parent": format!("projects/{}", project.number), "createTime": stamp(lien.created)});
    put(&mut json, "reason", &lien.reason);
    put(&mut json, "origin", &lien.origin);
    json["restrictions"] = json!(lien.restrictions);
    json
}

/// A search's tests, all of which are to hold.
struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `state:ACTIVE AND parent=folders/1`. What it does not understand is refused.
    fn parse(text: &str) -> Result<Self, Problem> {
        const KNOWN: [&str; 8] =
            ["state", "lifecycleState", "parent", "parent.id", "displayName", "name", "id", "projectId"];
        let mut tests = Vec::new();
        for test in text.split(" AND ").map(str::trim).filter(|test| !test.is_empty()) {
            let (field, value) = test.split_once([':', '=']).unwrap_or_default();
            if !KNOWN.contains(&field.trim()) && !field.starts_with("labels.") {
                return Err(Problem::invalid(format!("The query is not understood: {test}")));
            }
            tests.push((field.trim().to_owned(), bare(value).to_owned()));
        }
        Ok(Self(tests))
    }

    fn matches(&self, parent: &str, state: GcpState, name: &str, project: Option<&GcpProject>) -> bool {
        self.0.iter().all(|(field, value)| match field.as_str() {
            "state" | "lifecycleState" => value == state.word(),
            "parent" => value == parent,
            "parent.id" => parent.rsplit('/').next() == Some(value),
            "displayName" | "name" => match value.strip_suffix('*') {
                Some(start) => name.to_lowercase().starts_with(&start.to_lowercase()),
                None => name.eq_ignore_ascii_case(value),
            },
            "id" | "projectId" => project.is_some_and(|project| project.id == *value),
            _ => {
                let label = field.strip_prefix("labels.").unwrap_or_default();
                let held = project.and_then(|project| project.labels.get(label));
                held.is_some_and(|held| value == "*" || held == value)
            }
        })
    }
}

/// A value without its quotes.
fn bare(value: &str) -> &str {
    value.trim().trim_matches('"')
}
