//! IAM: service accounts and their keys.
//!
//! Invariant: an address is used by one account at a time, a unique id by one ever. No secret is made: what a new key
//! shows is the same for all.

use jiff::SignedDuration;
use serde_json::{Value as Json, json};

use super::super::keyed;
use super::super::order::Reply;
use super::super::world::{GcpKey, GcpManagedBy, GcpProject, GcpServiceAccount};
use super::{Answer, Context, Problem, etag, put, stamp, text};

/// How long a deleted account can be restored (November 2026):
/// <https://cloud.google.com/iam/docs/service-accounts-delete-undelete>.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

impl Context<'_> {
    /// What is below `/v1/projects` and `/v1/organizations`.
    pub(super) fn iam(&mut self, method: &str, words: &[&str], verb: &str) -> Answer {
        match (method, words, verb) {
            ("GET", ["organizations", id], "searchAllIamPolicies") => self.search_policies(id),
            ("GET", ["organizations", id, "assets"], "") => self.list_assets(id),
            (_, [kind, id, "roles", rest @ ..], _) => self.roles(method, (kind, id), rest, verb),
            ("GET", ["projects", id, "services"], "") => self.list_services(id),
            ("GET", ["projects", id, "services", name], "") => self.read_service(id, name),
            ("POST", ["projects", _, "services", ..], _) => self.operate(),
            ("GET", ["projects", id, "billingInfo"], "") => self.read_billing(id),
            ("PUT", ["projects", id, "billingInfo"], "") => self.set_billing(id),
            ("GET", ["projects", id, "locations", "global", "workloadIdentityPools", rest @ ..], "") => {
                self.pools(id, rest)
            }
            (_, ["projects", id, "serviceAccounts", rest @ ..], _) => self.accounts(method, id, rest, verb),
            _ => Err(super::unknown()),
        }
    }

    fn accounts(&mut self, method: &str, project: &str, words: &[&str], verb: &str) -> Answer {
        match (method, words, verb) {
            ("GET", [], "") => self.list_accounts(project),
            ("POST", [], "") => self.create_account(project),
            ("GET", [key], "") => {
                let (project, account) = self.find_account(project, key)?;
                Ok(Reply::json(200, &shown(project, account)))
            }
            ("PATCH", [key], "") => self.update_account(project, key),
            ("DELETE", [key], "") => self.delete_account(project, key),
            ("POST", [key], "undelete") => self.undelete_account(project, key),
            ("POST", [key], "enable" | "disable") => {
                let account = self.account_mut(project, key)?;
                account.disabled = verb == "disable";
                Ok(Reply::json(200, &json!({})))
            }
            ("POST", [key], "getIamPolicy") => {
                self.read_policy(&format!("projects/{project}/serviceAccounts/{key}"))
            }
            ("POST", [key], "setIamPolicy") => {
                self.set_policy(&format!("projects/{project}/serviceAccounts/{key}"))
            }
            ("GET", [key, "keys"], "") => self.list_keys(project, key),
            ("POST", [key, "keys"], "") => self.create_key(project, key),
            (_, [account, "keys", key], _) => self.turn_key(method, (project, account), key, verb),
            _ => Err(super::unknown()),
        }
    }

    /// An account by address or unique id, of a project or, with `-`, of any.
    pub(super) fn find_account(
        &self,
        project: &str,
        key: &str,
    ) -> Result<(&GcpProject, &GcpServiceAccount), Problem> {
        let found = if project == "-" {
            let projects = &self.gcp().projects;
            let of =
                key.split_once('@').and_then(|(_, domain)| domain.strip_suffix(".iam.gserviceaccount.com"));
            let of = of.and_then(|id| projects.get(id));
            let mut some = of.into_iter().chain(projects.values().filter(|_| of.is_none()));
            some.find_map(|it| Some((it, it.service_account(key)?)))
        } else {
            let project = self.live_project(project)?;
            project.service_account(key).map(|account| (project, account))
        };
        found.ok_or_else(|| {
            Problem::missing(if key.contains('@') {
                format!("Service account projects/{project}/serviceAccounts/{key} does not exist.")
            } else {
                format!("Unknown service account: {key}")
            })
        })
    }

    fn account_mut(&mut self, project: &str, key: &str) -> Result<&mut GcpServiceAccount, Problem> {
        let (project, account) = self.find_account(project, key)?;
        let (id, name) = (project.id.clone(), account.name.clone());
        let project = self.gcp_mut().projects.get_mut(&id);
        project.and_then(|it| it.service_accounts.get_mut(&name)).ok_or_else(Problem::denied)
    }

    fn list_accounts(&self, project: &str) -> Answer {
        let project = self.live_project(project)?;
        let accounts = project.service_accounts.iter();
        self.page("accounts", (20, 100), accounts, |account| shown(project, account))
    }

    fn create_account(&mut self, project: &str) -> Answer {
        let body = self.body()?;
        let project = self.live_project(project)?;
        let name = text(&body, "accountId").to_owned();
        if !super::changes::is_name(&name, 6, 30) {
            return Err(Problem::invalid(
                "Invalid account id: six to thirty small letters, digits and hyphens are valid.",
            ));
        }
        let id = project.id.clone();
        if project.service_accounts.contains_key(&name) {
            let message = format!("Service account {name} already exists within project projects/{id}.");
            return Err(Problem::exists(message));
        }
        let sent = &body["serviceAccount"];
        let email = format!("{name}@{id}.iam.gserviceaccount.com");
        let account = GcpServiceAccount {
            email: email.clone(),
            unique_id: keyed::digits(&["service account", &id, &name, &self.moment.n.to_string()], 21),
            display_name: text(sent, "displayName").to_owned(),
            description: text(sent, "description").to_owned(),
            name: name.clone(),
            ..GcpServiceAccount::default()
        };
        if let Some(project) = self.gcp_mut().projects.get_mut(&id) {
            project.service_accounts.insert(name, account);
        }
        let (project, account) = self.find_account(&id, &email)?;
        Ok(Reply::json(200, &shown(project, account)))
    }

    fn update_account(&mut self, project: &str, key: &str) -> Answer {
        let body = self.body()?;
        let sent = &body["serviceAccount"];
        let mask = self.mask(&body);
        let known = |field: &String| ["displayName", "description"].contains(&field.as_str());
        if mask.is_empty() || !mask.iter().all(known) {
            return Err(Problem::invalid("The update mask names display_name, description, or both."));
        }
        let tag = sent["etag"].as_str().filter(|tag| !tag.is_empty());
        let (_, account) = self.find_account(project, key)?;
        if tag.is_some_and(|tag| tag != etag_of(account)) {
            return Err(Problem::aborted("There were concurrent changes to the service account."));
        }
        let account = self.account_mut(project, key)?;
        for field in &mask {
            let value = text(sent, field).to_owned();
            match field.as_str() {
                "displayName" => account.display_name = value,
                _ => account.description = value,
            }
        }
        let (project, account) = self.find_account(project, key)?;
        Ok(Reply::json(200, &shown(project, account)))
    }

    fn delete_account(&mut self, project: &str, key: &str) -> Answer {
        let (project, account) = self.find_account(project, key)?;
        let (id, name) = (project.id.clone(), account.name.clone());
        let (email, unique) = (account.email.clone(), account.unique_id.clone());
        let now = Some(self.moment.now);
        let gcp = self.gcp_mut();
        if let Some(project) = gcp.projects.get_mut(&id)
            && let Some(account) = project.service_accounts.remove(&name)
        {
            project.deleted_accounts.push(GcpServiceAccount { deleted: now, ..account });
        }
        gcp.groups.values_mut().for_each(|group| _ = group.members.remove(&email));
        let member = format!("serviceAccount:{email}");
        gcp.rename_member(&member, &format!("deleted:{member}?uid={unique}"));
        Ok(Reply::json(200, &json!({})))
    }

    fn undelete_account(&mut self, project: &str, unique: &str) -> Answer {
        let projects = self
            .gcp()
            .projects
            .values()
            .filter(|it| project == "-" || it.id == project || it.number == project);
        let found =
            projects.flat_map(|it| it.deleted_accounts.iter().map(|account| (it.id.clone(), account)));
        let kept = |account: &GcpServiceAccount| {
            account.deleted.is_none_or(|deleted| self.moment.now.duration_since(deleted) < KEPT)
        };
        let found =
            found.filter(|(_, account)| kept(account)).find(|(_, account)| account.unique_id == unique);
        let Some((id, account)) = found else {
            return Err(Problem::missing(format!("Unknown service account: {unique}")));
        };
        let account = GcpServiceAccount { deleted: None, ..account.clone() };
        self.live_project(&id)?;
        let (name, email) = (account.name.clone(), account.email.clone());
        if self.gcp().projects.get(&id).is_some_and(|it| it.service_accounts.contains_key(&name)) {
            return Err(Problem::precondition(format!("A service account {email} exists.")));
        }
        let gcp = self.gcp_mut();
        if let Some(project) = gcp.projects.get_mut(&id) {
            project.deleted_accounts.retain(|it| it.unique_id != unique);
            project.service_accounts.insert(name, account);
        }
        let member = format!("serviceAccount:{email}");
        gcp.rename_member(&format!("deleted:{member}?uid={unique}"), &member);
        let (project, account) = self.find_account(&id, &email)?;
        Ok(Reply::json(200, &json!({"restoredAccount": shown(project, account)})))
    }

    fn list_keys(&self, project: &str, key: &str) -> Answer {
        let (project, account) = self.find_account(project, key)?;
        let asked = self.order.queries("keyTypes");
        let asked: Vec<&str> =
            asked.iter().map(String::as_str).filter(|it| *it != "KEY_TYPE_UNSPECIFIED").collect();
        let keys = account.keys.values().filter(|key| asked.is_empty() || asked.contains(&kind(key)));
        let keys: Vec<Json> = keys.map(|key| shown_key(project, account, key)).collect();
        Ok(Reply::json(200, &if keys.is_empty() { json!({}) } else { json!({"keys": keys}) }))
    }

    fn create_key(&mut self, project: &str, account: &str) -> Answer {
        let (found, of) = self.find_account(project, account)?;
        if of.keys.values().filter(|key| key.managed == GcpManagedBy::User).count() >= 10 {
            return Err(Problem::precondition("Precondition check failed."));
        }
        let n = self.moment.n.to_string();
        let bytes = keyed::bytes(&["key", &of.unique_id, &n]);
        let id: String = bytes.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
        let key = GcpKey { id: id.clone(), created: Some(self.moment.now), ..GcpKey::default() };
        let mut json = shown_key(found, of, &key);
        json["privateKeyType"] = "TYPE_GOOGLE_CREDENTIALS_FILE".into();
        json["privateKeyData"] = "eyJ0eXBlIjoic2VydmljZV9hY2NvdW50In0=".into();
        self.account_mut(project, account)?.keys.insert(id, key);
        Ok(Reply::json(200, &json))
    }

    fn turn_key(&mut self, method: &str, (project, account): (&str, &str), id: &str, verb: &str) -> Answer {
        let (of, found) = self.find_account(project, account)?;
        let key = found
            .keys
            .get(id)
            .ok_or_else(|| Problem::missing(format!("Service account key {id} does not exist.")))?;
        if (method, verb) == ("GET", "") {
            return Ok(Reply::json(200, &shown_key(of, found, key)));
        }
        if key.managed == GcpManagedBy::System {
            return Err(Problem::precondition("A key that Google manages cannot be changed."));
        }
        let keys = &mut self.account_mut(project, account)?.keys;
        match (method, verb) {
            ("DELETE", "") => _ = keys.remove(id),
            ("POST", "enable" | "disable") => {
                keys.entry(id.to_owned()).and_modify(|key| key.disabled = verb == "disable");
            }
            _ => return Err(super::unknown()),
        }
        Ok(Reply::json(200, &json!({})))
    }
}

fn etag_of(account: &GcpServiceAccount) -> String {
    etag(&["account", &account.unique_id, &account.display_name, &account.description])
}

/// An account as Google shows it.
pub(super) fn shown(project: &GcpProject, account: &GcpServiceAccount) -> Json {
    let email = &account.email;
    let mut json = json!({"name": format!("projects/{}/serviceAccounts/{email}", project.id), "email": email,
        "projectId": project.id, "uniqueId": account.unique_id, "oauth2ClientId": account.unique_id,
        "etag": etag_of(account)});
    put(&mut json, "displayName", &account.display_name);
    put(&mut json, "description", &account.description);
    if account.disabled {
        json["disabled"] = true.into();
    }
    json
}

fn kind(key: &GcpKey) -> &'static str {
    match key.managed {
        GcpManagedBy::User => "USER_MANAGED",
        GcpManagedBy::System => "SYSTEM_MANAGED",
    }
}

/// A key as Google shows it.
pub(super) fn shown_key(project: &GcpProject, account: &GcpServiceAccount, key: &GcpKey) -> Json {
    let email = &account.email;
    let end = key.expires.map_or_else(|| "9999-12-31T23:59:59Z".to_owned(), |end| end.to_string());
    let mut json = json!({"name": format!("projects/{}/serviceAccounts/{email}/keys/{}", project.id, key.id),
        "validAfterTime": stamp(key.created), "validBeforeTime": end, "keyAlgorithm": "KEY_ALG_RSA_2048",
        "keyOrigin": "GOOGLE_PROVIDED", "keyType": kind(key)});
    if key.disabled {
        json["disabled"] = true.into();
        json["disableReason"] = "SERVICE_ACCOUNT_KEY_DISABLE_REASON_USER_INITIATED".into();
    }
    json
}
