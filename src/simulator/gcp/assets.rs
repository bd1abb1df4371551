//! Cloud Asset: all policies of the organization, and some of its resources, in one list each.
//!
//! Invariant: what is shown was true some time ago: whoever runs an order here gives it the world of then. Audit configs
//! are not shown.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::world::{Gcp, GcpPolicy, GcpProject, GcpState};
use super::policies::shown_binding;
use super::{Answer, Context, Problem, iam, roles, stamp};

/// Something that has a policy.
struct Bound<'a> {
    kind: &'static str,
    policy: &'a GcpPolicy,
    /// The name by which the etag is made.
    name: String,
    project: Option<&'a GcpProject>,
    folders: Vec<String>,
}

const FOLDER: &str = "cloudresourcemanager.googleapis.com/Folder";
const PROJECT: &str = "cloudresourcemanager.googleapis.com/Project";
const ORGANIZATION: &str = "cloudresourcemanager.googleapis.com/Organization";
const ACCOUNT: &str = "iam.googleapis.com/ServiceAccount";
const BILLING: &str = "cloudbilling.googleapis.com/BillingAccount";

impl Context<'_> {
    fn check_organization(&self, id: &str) -> Result<(), Problem> {
        if id == self.gcp().organization { Ok(()) } else { Err(Problem::denied()) }
    }

    /// Whether a type is among those that are asked for; `.*` at an end stands for any rest.
    fn is_asked_for(&self) -> impl Fn(&str) -> bool {
        let asked = self.order.queries("assetTypes");
        let asked: Vec<String> = asked.iter().flat_map(|it| it.split(',')).map(str::to_owned).collect();
        move |kind: &str| {
            let fits = |asked: &String| match asked.strip_suffix(".*") {
                Some(start) => kind.starts_with(start),
                None => asked == kind,
            };
            asked.is_empty() || asked.iter().any(fits)
        }
    }

    pub(super) fn search_policies(&self, organization: &str) -> Answer {
        self.check_organization(organization)?;
        let wanted = Wanted::parse(&self.order.query("query").unwrap_or_default())?;
        let asked = self.is_asked_for();
        let bound = bound(self.gcp());
        let found = bound.iter().filter(|(resource, it)| asked(it.kind) && wanted.is_in(it.policy, resource));
        self.page("results", (100, 500), found, |it| {
            let bindings = it.policy.bindings.iter().filter(|it| wanted.0.iter().all(|word| named(it, word)));
            let bindings: Vec<Json> = bindings.map(|binding| shown_binding(binding, true)).collect();
            let version = if it.policy.is_conditional() { 3 } else { 1 };
            let policy = json!({"version": version, "etag": it.policy.etag(&it.name), "bindings": bindings});
            let mut json = json!({"resource": it.resource(), "assetType": it.kind, "policy": policy,
                "organization": self.gcp().organization_name()});
            if let Some(project) = it.project {
                json["project"] = format!("projects/{}", project.number).into();
            }
            if !it.folders.is_empty() {
                json["folders"] = it.folders.clone().into();
            }
            json
        })
    }

    pub(super) fn list_assets(&self, organization: &str) -> Answer {
        self.check_organization(organization)?;
        let content = match self.order.query("contentType").as_deref() {
            None | Some("CONTENT_TYPE_UNSPECIFIED") => false,
            Some("RESOURCE") => true,
            Some(_) => return Err(Problem::invalid("The content type is not supported by the simulator.")),
        };
        let asked = self.is_asked_for();
        let assets = assets(self.gcp());
        let (page, next) = self.part((100, 1000), assets.iter().filter(|(_, it)| asked(it.kind)), |asset| {
            let mut json = json!({"name": asset.name, "assetType": asset.kind, "ancestors": asset.ancestors,
                "updateTime": stamp(None)});
            if content {
                json["resource"] = json!({"version": "v1", "discoveryName": asset.discovery(),
                    "parent": asset.parent(), "data": asset.data});
            }
            json
        })?;
        let mut json = json!({"readTime": self.moment.now.saturating_sub(self.moment.age).unwrap_or(self.moment.now).to_string()});
        if !page.is_empty() {
            json["assets"] = page.into();
        }
        if let Some(next) = next {
            json["nextPageToken"] = next.into();
        }
        Ok(super::Reply::json(200, &json))
    }
}

impl Bound<'_> {
    /// The full name of the resource.
    fn resource(&self) -> String {
        let service = self.kind.split('/').next().unwrap_or_default();
        format!("//{service}/{}", self.shown_name())
    }

    fn shown_name(&self) -> String {
        let account = self
            .name
            .split_once("/serviceAccounts/")
            .and_then(|(_, email)| self.project?.service_account(email));
        match (account, self.project) {
            (Some(account), Some(project)) => {
                format!("projects/{}/serviceAccounts/{}", project.id, account.unique_id)
            }
            _ => self.name.clone(),
        }
    }
}

/// Everything that has a policy with bindings, by the resource's full name.
fn bound(gcp: &Gcp) -> BTreeMap<String, Bound<'_>> {
    let mut all = Vec::new();
    let plain = |kind, policy, name| Bound { kind, policy, name, project: None, folders: Vec::new() };
    all.push(plain(ORGANIZATION, &gcp.policy, gcp.organization_name()));
    for folder in gcp.folders.values() {
        let above = gcp.folders_above(Some(&folder.path));
        all.push(Bound { folders: above, ..plain(FOLDER, &folder.policy, format!("folders/{}", folder.id)) });
    }
    for project in gcp.projects.values() {
        let folders = gcp.folders_above(project.folder.as_deref());
        let name = format!("projects/{}", project.id);
        let live = project.state == GcpState::Active;
        for account in project.service_accounts.values().filter(|_| live) {
            let name = format!("{name}/serviceAccounts/{}", account.email);
            let bound = plain(ACCOUNT, &account.policy, name);
            all.push(Bound { project: Some(project), folders: folders.clone(), ..bound });
        }
        all.push(Bound { project: Some(project), folders, ..plain(PROJECT, &project.policy, name) });
    }
    for account in gcp.billing_accounts.values() {
        all.push(plain(BILLING, &account.policy, format!("billingAccounts/{}", account.id)));
    }
    all.retain(|it| !it.policy.bindings.is_empty());
    all.into_iter().map(|it| (it.resource(), it)).collect()
}

/// Words that a binding must have, each of them.
struct Wanted(Vec<String>);

impl Wanted {
    /// Reads `policy:"user:x@acme.com"` and the like, joined by AND.
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut words = Vec::new();
        for part in text.split(" AND ").map(str::trim).filter(|part| !part.is_empty()) {
            let word = part.strip_prefix("policy:").or_else(|| part.strip_prefix("policy="));
            let Some(word) = word else {
                return Err(Problem::invalid(format!("The query is not understood: {part}")));
            };
            words.push(word.trim().trim_matches('"').to_lowercase());
        }
        Ok(Self(words))
    }

    fn is_in(&self, policy: &GcpPolicy, _resource: &str) -> bool {
        self.0.is_empty() || policy.bindings.iter().any(|it| self.0.iter().all(|word| named(it, word)))
    }
}

fn named(binding: &super::super::world::GcpBinding, word: &str) -> bool {
    let members = binding.members.iter().chain([&binding.role]);
    members.map(|it| it.to_lowercase()).any(|it| it.contains(word))
}

/// A resource that Cloud Asset lists.
struct Asset {
    kind: &'static str,
    name: String,
    ancestors: Vec<String>,
    data: Json,
}

impl Asset {
    /// What the type is called in its own API.
    fn discovery(&self) -> &str {
        self.kind.split('/').nth(1).unwrap_or_default()
    }

    fn parent(&self) -> String {
        let parent = self.ancestors.first().map(String::as_str).unwrap_or_default();
        match self.name.split_once("/keys/") {
            Some((account, _)) => account.to_owned(),
            None => format!("//cloudresourcemanager.googleapis.com/{parent}"),
        }
    }
}

/// All assets by name.
fn assets(gcp: &Gcp) -> BTreeMap<String, Asset> {
    let mut all = Vec::new();
    let organization = gcp.organization_name();
    let mut add = |kind, name: String, ancestors: &Vec<String>, data| {
        let name = format!("//iam.googleapis.com/{name}");
        all.push(Asset { kind, name, ancestors: ancestors.clone(), data });
    };
    let role = "iam.googleapis.com/Role";
    let above = vec![organization.clone()];
    for it in gcp.roles.values() {
        let of = ("organizations", gcp.organization.as_str());
        add(role, format!("{organization}/roles/{}", it.id), &above, roles::shown(of, it, true));
    }
    for project in gcp.projects.values().filter(|it| it.state == GcpState::Active) {
        let (id, number) = (&project.id, &project.number);
        let mut above = vec![format!("projects/{number}")];
        above.extend(gcp.folders_above(project.folder.as_deref()));
        above.push(organization.clone());
        for account in project.service_accounts.values() {
            let name = format!("projects/{id}/serviceAccounts/{}", account.unique_id);
            for key in account.keys.values() {
                let data = iam::shown_key(project, account, key);
                add("iam.googleapis.com/ServiceAccountKey", format!("{name}/keys/{}", key.id), &above, data);
            }
            add(ACCOUNT, name, &above, iam::shown(project, account));
        }
        for it in project.roles.values() {
            add(
                role,
                format!("projects/{id}/roles/{}", it.id),
                &above,
                roles::shown(("projects", id), it, true),
            );
        }
        for pool in project.pools.values() {
            let name = format!("projects/{number}/locations/global/workloadIdentityPools/{}", pool.id);
            add("iam.googleapis.com/WorkloadIdentityPool", name, &above, roles::shown_pool(number, pool));
        }
    }
    all.into_iter().map(|asset| (asset.name.clone(), asset)).collect()
}
