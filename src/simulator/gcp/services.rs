//! Service Usage: which services a project has enabled.
//!
//! Invariant: only what is enabled is known; every name of a service can be enabled.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::operations::typed;
use super::{Answer, Context, Problem};

impl Context<'_> {
    pub(super) fn list_services(&self, project: &str) -> Answer {
        let project = self.live_project(project)?;
        let disabled = match self.order.query("filter").as_deref() {
            None | Some("" | "state:ENABLED") => false,
            Some("state:DISABLED") => true,
            Some(_) => return Err(Problem::invalid("The filter is not understood.")),
        };
        let services = project.services.iter().filter(|_| !disabled).map(|name| (name, name));
        self.page("services", (50, 200), services, |name| service(&project.number, name, true))
    }

    pub(super) fn read_service(&self, project: &str, name: &str) -> Answer {
        let project = self.live_project(project)?;
        let json = service(&project.number, name, project.services.contains(name));
        Ok(super::Reply::json(200, &json))
    }

    /// Turns services on or off.
    pub(super) fn turn_services(&mut self, words: &[&str], verb: &str) -> Result<Json, Problem> {
        let body = self.body()?;
        let project = self.live_project(words.get(2).copied().unwrap_or_default())?;
        let (id, number) = (project.id.clone(), project.number.clone());
        let names: BTreeSet<String> = match words.get(4) {
            Some(name) => [(*name).to_owned()].into(),
            None => {
                let sent = body["serviceIds"].as_array().into_iter().flatten();
                sent.filter_map(|name| Some(name.as_str()?.to_owned())).collect()
            }
        };
        if names.is_empty() || names.len() > 20 {
            return Err(Problem::invalid("One to twenty services can be enabled at once."));
        }
        if let Some(name) = names.iter().find(|name| !name.contains('.')) {
            return Err(Problem::denied_service(name));
        }
        if verb == "disable" && !names.is_subset(&project.services) {
            return Err(Problem::precondition("The service is not enabled for the project."));
        }
        if let Some(project) = self.gcp_mut().project_mut(&id) {
            if verb == "disable" {
                project.services.retain(|name| !names.contains(name));
            } else {
                project.services.extend(names.iter().cloned());
            }
        }
        let mut shown = names.iter().map(|name| service(&number, name, verb != "disable"));
        let (message, json) = match verb {
            "batchEnable" => ("BatchEnableServicesResponse", json!({"services": shown.collect::<Vec<_>>()})),
            "disable" => ("DisableServiceResponse", json!({"service": shown.next()})),
            _ => ("EnableServiceResponse", json!({"service": shown.next()})),
        };
        Ok(typed(json, &format!("google.api.serviceusage.v1.{message}")))
    }
}

impl Problem {
    /// Google does not say whether a service is there (November 2026):
    /// <https://cloud.google.com/service-usage/docs/reference/rest/v1/services/enable>.
    fn denied_service(name: &str) -> Self {
        let message = format!("Not found or permission denied for service(s): {name}.");
        Self::new(403, "PERMISSION_DENIED", "forbidden", message)
    }
}

/// A service as Google shows it.
fn service(number: &str, name: &str, enabled: bool) -> Json {
    let state = if enabled { "ENABLED" } else { "DISABLED" };
    json!({"name": format!("projects/{number}/services/{name}"), "parent": format!("projects/{number}"),
        "state": state, "config": {"name": name, "title": name}})
}
