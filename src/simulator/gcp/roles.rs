//! Custom roles and workload identity pools.
//!
//! Invariant: a deleted role can be restored for seven days, and its id is not given again for thirty-seven.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::super::order::Reply;
use super::super::world::{Gcp, GcpPool, GcpPoolProvider, GcpRole, GcpStage};
use super::{Answer, Context, Problem, etag, put, text};

/// How long a deleted role is still there, and how long its id is not to be had (November 2026):
/// <https://cloud.google.com/iam/docs/creating-custom-roles#deleting-custom-role>.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
const BLOCKED: SignedDuration = SignedDuration::from_hours(37 * 24);

/// A custom role by its full name; also one that is deleted and could be restored.
pub(super) fn role_of<'a>(gcp: &'a Gcp, name: &str, now: Timestamp) -> Option<&'a GcpRole> {
    let parts: Vec<&str> = name.split('/').collect();
    let [kind, id, "roles", role] = parts.as_slice() else { return None };
    let roles = roles_of(gcp, (kind, id))?;
    roles.get(*role).filter(|role| age(role, now).is_none_or(|age| age < KEPT))
}

fn roles_of<'a>(gcp: &'a Gcp, (kind, id): (&str, &str)) -> Option<&'a BTreeMap<String, GcpRole>> {
    match kind {
        "organizations" => (id == gcp.organization).then_some(&gcp.roles),
        "projects" => Some(&gcp.project(id)?.roles),
        _ => None,
    }
}

/// How long ago a role was deleted.
fn age(role: &GcpRole, now: Timestamp) -> Option<SignedDuration> {
    role.deleted.map(|deleted| now.duration_since(deleted))
}

impl Context<'_> {
    /// What is below `roles` of an organization or a project.
    pub(super) fn roles(&mut self, method: &str, of: (&str, &str), words: &[&str], verb: &str) -> Answer {
        let of = match of.0 {
            "projects" => ("projects", self.live_project(of.1)?.id.clone()),
            _ => ("organizations", of.1.to_owned()),
        };
        let of = (of.0, of.1.as_str());
        if roles_of(self.gcp(), of).is_none() {
            return Err(Problem::denied());
        }
        match (method, words, verb) {
            ("GET", [], "") => self.list_roles(of),
            ("POST", [], "") => self.create_role(of),
            ("GET", [id], "") => Ok(Reply::json(200, &shown(of, self.find_role(of, id)?, true))),
            ("PATCH", [id], "") => self.update_role(of, id),
            ("DELETE", [id], "") => self.delete_role(of, id),
            ("POST", [id], "undelete") => self.undelete_role(of, id),
            _ => Err(super::unknown()),
        }
    }

    fn find_role(&self, of: (&str, &str), id: &str) -> Result<&GcpRole, Problem> {
        let name = format!("{}/{}/roles/{id}", of.0, of.1);
        let missing = || Problem::missing(format!("The role named {name} was not found."));
        role_of(self.gcp(), &name, self.moment.now).ok_or_else(missing)
    }

    /// A role to change, after a look at the etag that the client has of it.
    fn role_mut(&mut self, of: (&str, &str), id: &str, tag: Option<&str>) -> Result<&mut GcpRole, Problem> {
        let role = self.find_role(of, id)?;
        if tag.is_some_and(|tag| !tag.is_empty() && tag != etag_of(of, role)) {
            return Err(Problem::aborted("There were concurrent changes to the role."));
        }
        let gcp = self.gcp_mut();
        let roles = match of.0 {
            "projects" => &mut gcp.project_mut(of.1).ok_or_else(Problem::denied)?.roles,
            _ => &mut gcp.roles,
        };
        roles.get_mut(id).ok_or_else(Problem::denied)
    }

    fn list_roles(&self, of: (&str, &str)) -> Answer {
        let full = self.order.query("view").as_deref() == Some("FULL");
        let deleted = self.order.query("showDeleted").as_deref() == Some("true");
        let roles = roles_of(self.gcp(), of).into_iter().flatten();
        let roles = roles.filter(|(_, role)| match age(role, self.moment.now) {
            None => true,
            Some(age) => deleted && age < KEPT,
        });
        self.page("roles", (300, 1000), roles, |role| shown(of, role, full))
    }

    fn create_role(&mut self, of: (&str, &str)) -> Answer {
        let body = self.body()?;
        let id = text(&body, "roleId").to_owned();
        let fits = |sign: u8| sign.is_ascii_alphanumeric() || sign == b'_' || sign == b'.';
        if !(3..=64).contains(&id.len()) || !id.bytes().all(fits) {
            return Err(Problem::invalid(format!("The role id is not valid: {id:?}")));
        }
        let mut role = GcpRole { id: id.clone(), stage: GcpStage::Alpha, ..GcpRole::default() };
        if let Some(old) = roles_of(self.gcp(), of).and_then(|roles| roles.get(&id)) {
            match age(old, self.moment.now) {
                None => {
                    let message = format!("A role named {} in {}/{} already exists.", id, of.0, of.1);
                    return Err(Problem::exists(message));
                }
                Some(age) if age < KEPT => {
                    return Err(Problem::precondition(format!(
                        "You can't create a role with role_id ({id}) where there is an existing role with that role_id in a deleted state."
                    )));
                }
                Some(age) if age < BLOCKED => {
                    return Err(Problem::precondition(format!(
                        "You can't create a role_id ({id}) which has been marked for deletion."
                    )));
                }
                Some(_) => role.revision = old.revision + 1,
            }
        }
        let sent = &body["role"];
        let every = ["title", "description", "includedPermissions", "stage"].map(str::to_owned);
        let given = every.into_iter().filter(|field| sent.get(field).is_some()).collect::<Vec<_>>();
        fill(&mut role, sent, &given)?;
        let answer = shown(of, &role, true);
        let gcp = self.gcp_mut();
        match of.0 {
            "projects" => {
                if let Some(project) = gcp.project_mut(of.1) {
                    project.roles.insert(id, role);
                }
            }
            _ => _ = gcp.roles.insert(id, role),
        }
        Ok(Reply::json(200, &answer))
    }

    fn update_role(&mut self, of: (&str, &str), id: &str) -> Answer {
        let sent = self.body()?;
        let mut mask = self.mask(&sent);
        if mask.is_empty() {
            mask = ["title", "description", "includedPermissions", "stage"].map(str::to_owned).into();
        }
        let role = self.role_mut(of, id, sent["etag"].as_str())?;
        if role.deleted.is_some() {
            return Err(Problem::precondition(format!("You can't update a role_id ({id}) that is deleted.")));
        }
        let mut new = role.clone();
        fill(&mut new, &sent, &mask)?;
        if new != *role {
            new.revision += 1;
            *role = new;
        }
        let answer = shown(of, self.find_role(of, id)?, true);
        Ok(Reply::json(200, &answer))
    }

    fn delete_role(&mut self, of: (&str, &str), id: &str) -> Answer {
        let (now, tag) = (self.moment.now, self.order.query("etag"));
        let role = self.role_mut(of, id, tag.as_deref())?;
        if role.deleted.is_none() {
            role.deleted = Some(now);
            role.revision += 1;
        }
        Ok(Reply::json(200, &shown(of, self.find_role(of, id)?, true)))
    }

    fn undelete_role(&mut self, of: (&str, &str), id: &str) -> Answer {
        let body = self.body()?;
        let role = self.role_mut(of, id, body["etag"].as_str())?;
        if role.deleted.take().is_none() {
            return Err(Problem::precondition(format!("The role_id ({id}) is not deleted.")));
        }
        role.revision += 1;
        Ok(Reply::json(200, &shown(of, self.find_role(of, id)?, true)))
    }

    /// What is below `workloadIdentityPools` of a project.
    pub(super) fn pools(&self, project: &str, words: &[&str]) -> Answer {
        let project = self.live_project(project)?;
        let number = project.number.as_str();
        let find = |id: &str| {
            project.pools.get(id).ok_or_else(|| Problem::missing("Requested entity was not found."))
        };
        match words {
            [] => {
                let deleted = self.order.query("showDeleted").as_deref() == Some("true");
                let pools = project.pools.iter().filter(|(_, pool)| deleted || pool.deleted.is_none());
                self.page("workloadIdentityPools", (50, 1000), pools, |pool| shown_pool(number, pool))
            }
            [id] => Ok(Reply::json(200, &shown_pool(number, find(id)?))),
            [id, "providers"] => {
                let pool = find(id)?;
                let show = |provider: &GcpPoolProvider| shown_provider(number, &pool.id, provider);
                self.page("workloadIdentityPoolProviders", (50, 100), pool.providers.iter(), show)
            }
            _ => Err(super::unknown()),
        }
    }
}

/// Puts what was sent into a role, where the mask names it.
fn fill(role: &mut GcpRole, sent: &Json, mask: &[String]) -> Result<(), Problem> {
    for field in mask {
        match field.as_str() {
            "title" if text(sent, "title").len() > 100 => {
                return Err(Problem::invalid("The title is too long."));
            }
            "title" => text(sent, "title").clone_into(&mut role.title),
            "description" if text(sent, "description").len() > 256 => {
                return Err(Problem::invalid("The description is too long."));
            }
            "description" => text(sent, "description").clone_into(&mut role.description),
            "includedPermissions" => {
                let sent = sent["includedPermissions"].as_array().into_iter().flatten();
                let permissions: BTreeSet<String> =
                    sent.filter_map(|it| Some(it.as_str()?.to_owned())).collect();
                // A permission is SERVICE.RESOURCE.VERB.
                if let Some(wrong) = permissions.iter().find(|it| it.split('.').count() < 3) {
                    return Err(Problem::invalid(format!("Permission {wrong} is not valid.")));
                }
                role.permissions = permissions;
            }
            "stage" => {
                let stage = sent["stage"].as_str().unwrap_or("ALPHA");
                role.stage = serde_json::from_value(stage.into())
                    .map_err(|_| Problem::invalid(format!("The stage is not valid: {stage}")))?;
            }
            "etag" | "name" => {}
            _ => return Err(Problem::invalid(format!("The update mask has an unknown field: {field}."))),
        }
    }
    Ok(())
}

fn etag_of((kind, of): (&str, &str), role: &GcpRole) -> String {
    etag(&["role", kind, of, &role.id, &role.revision.to_string()])
}

/// A role as Google shows it.
pub(super) fn shown(of: (&str, &str), role: &GcpRole, full: bool) -> Json {
    let mut json = json!({"name": format!("{}/{}/roles/{}", of.0, of.1, role.id), "stage": role.stage,
        "etag": etag_of(of, role)});
    put(&mut json, "title", &role.title);
    put(&mut json, "description", &role.description);
    if full && !role.permissions.is_empty() {
        json["includedPermissions"] = json!(role.permissions);
    }
    if role.deleted.is_some() {
        json["deleted"] = true.into();
    }
    json
}

/// A pool as Google shows it.
pub(super) fn shown_pool(number: &str, pool: &GcpPool) -> Json {
    let name = format!("projects/{number}/locations/global/workloadIdentityPools/{}", pool.id);
    let state = if pool.deleted.is_some() { "DELETED" } else { "ACTIVE" };
    let mut json = json!({"name": name, "state": state});
    put(&mut json, "displayName", &pool.display_name);
    put(&mut json, "description", &pool.description);
    if pool.disabled {
        json["disabled"] = true.into();
    }
    json
}

fn shown_provider(number: &str, pool: &str, provider: &GcpPoolProvider) -> Json {
    let pool = format!("projects/{number}/locations/global/workloadIdentityPools/{pool}");
    let mut json = json!({"name": format!("{pool}/providers/{}", provider.id), "state": "ACTIVE",
        "oidc": {"issuerUri": provider.issuer}, "attributeMapping": {"google.subject": "assertion.sub"}});
    if provider.disabled {
        json["disabled"] = true.into();
    }
    json
}
