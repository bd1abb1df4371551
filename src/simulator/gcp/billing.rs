//! Cloud Billing: billing accounts, and who pays for which project.
//!
//! Invariant: a project has at most one billing account, which is there.

use serde_json::{Value as Json, json};

use super::super::order::Reply;
use super::super::world::{GcpBillingAccount, GcpProject, GcpState};
use super::{Answer, Context, Problem, put, text};

/// Pages, by default and at most.
const PAGES: (usize, usize) = (100, 100);

impl Context<'_> {
    /// What is below `/v1/billingAccounts`.
    pub(super) fn billing(&mut self, method: &str, words: &[&str], verb: &str) -> Answer {
        match (method, words, verb) {
            ("GET", [], "") => {
                self.page("billingAccounts", PAGES, self.gcp().billing_accounts.iter(), |it| {
                    self.billing_account(it)
                })
            }
            ("GET", [id], "") => Ok(Reply::json(200, &self.billing_account(self.find_billing(id)?))),
            ("GET", [id], "getIamPolicy") => self.read_policy(&format!("billingAccounts/{id}")),
            ("POST", [id], "setIamPolicy") => self.set_policy(&format!("billingAccounts/{id}")),
            ("GET", [id, "projects"], "") => {
                let id = self.find_billing(id)?.id.as_str();
                let pays = |project: &GcpProject| {
                    project.billing.as_deref() == Some(id) && project.state == GcpState::Active
                };
                let projects = self.gcp().projects.iter().filter(|(_, project)| pays(project));
                self.page("projectBillingInfo", PAGES, projects, |project| self.info(project))
            }
            _ => Err(super::unknown()),
        }
    }

    fn find_billing(&self, id: &str) -> Result<&GcpBillingAccount, Problem> {
        self.gcp().billing_accounts.get(id).ok_or_else(Problem::denied)
    }

    pub(super) fn read_billing(&self, project: &str) -> Answer {
        Ok(Reply::json(200, &self.info(self.find_project(project)?)))
    }

    pub(super) fn set_billing(&mut self, project: &str) -> Answer {
        let body = self.body()?;
        let id = self.live_project(project)?.id.clone();
        let account = match text(&body, "billingAccountName") {
            "" => None,
            name => {
                let account = self.find_billing(name.strip_prefix("billingAccounts/").unwrap_or_default())?;
                if !account.open {
                    return Err(Problem::precondition("Billing account is not open."));
                }
                Some(account.id.clone())
            }
        };
        if let Some(project) = self.gcp_mut().project_mut(&id) {
            project.billing = account;
        }
        self.read_billing(&id)
    }

    fn info(&self, project: &GcpProject) -> Json {
        let account = project.billing.as_ref().and_then(|id| self.gcp().billing_accounts.get(id));
        let mut json = json!({"name": format!("projects/{}/billingInfo", project.id), "projectId": project.id,
            "billingEnabled": account.is_some_and(|account| account.open)});
        if let Some(account) = account {
            json["billingAccountName"] = format!("billingAccounts/{}", account.id).into();
        }
        json
    }

    fn billing_account(&self, account: &GcpBillingAccount) -> Json {
        let mut json = json!({"name": format!("billingAccounts/{}", account.id), "open": account.open,
            "parent": self.gcp().organization_name()});
        put(&mut json, "displayName", &account.name);
        json
    }
}
