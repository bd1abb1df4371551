//! A Google Cloud made of what was observed of one.
//!
//! Invariant: what was observed has the same ids, names and bindings in it. Whom a binding or a group names need not have
//! been seen: he is as much a stranger here as he was to who looked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::super::world::{
    Gcp, GcpBillingAccount, GcpBinding, GcpCondition, GcpFolder, GcpGroup, GcpKey, GcpLien, GcpMember,
    GcpPool, GcpPoolProvider, GcpProject, GcpRole, GcpServiceAccount, GcpState, GcpUser,
};
use super::{Seen, text};
use crate::model::settings::ProviderSettings;
use crate::model::{Address, LiveGrant, NodeValue, Resource, Status, Value};

/// A Google Cloud that is being made.
pub(super) struct Cloud<'a> {
    seen: &'a Seen<'a>,
    instance: &'a str,
    settings: &'a ProviderSettings,
    gcp: Gcp,
}

/// The label of a group whose members a query says.
const DYNAMIC: &str = "cloudidentity.googleapis.com/groups.dynamic";

impl<'a> Cloud<'a> {
    pub(super) fn new(seen: &'a Seen<'a>, instance: &'a str, settings: &'a ProviderSettings) -> Self {
        Self { seen, instance, settings, gcp: Gcp::default() }
    }

    pub(super) fn gcp(mut self) -> Gcp {
        self.organization();
        if self.gcp.organization.is_empty() {
            return self.gcp;
        }
        self.tree();
        self.people();
        self.edges();
        self.gcp.caller = match self.seen.caller(self.instance) {
            Some(caller) => self.member(caller),
            None => String::new(),
        };
        self.gcp
    }

    fn all(&self, kind: &'static str) -> impl Iterator<Item = (&'a Address, &'a Resource)> + use<'a> {
        self.seen.resources(self.instance, kind)
    }

    /// What is in a project, with the project's id.
    fn below(&self, kind: &'static str) -> Vec<(String, String, &'a Resource)> {
        let of = |address: &Address| address.instance() == self.instance && address.kind() == kind;
        let things = self.seen.live.resources.iter().filter(|(address, _)| of(address));
        let scoped = things.filter_map(|(address, resource)| {
            Some((address.scope()?.to_owned(), address.name().into_owned(), resource))
        });
        scoped.collect()
    }

    fn option(&self, name: &str) -> Option<String> {
        match self.settings.options.get(name).map(|node| &node.value) {
            Some(NodeValue::Text(text)) => Some(text.to_string()),
            _ => None,
        }
    }

    /// Which organization it is. Where nobody saw it, the settings name it; its domain is that of most addresses.
    fn organization(&mut self) {
        let found = self.all("organization").next();
        let id = found.map(|(address, _)| address.name().into_owned());
        let told = |name: &str| found.map(|(_, it)| text(it, name).to_owned()).filter(|it| !it.is_empty());
        let plain = |id: String| bare(&id).to_owned();
        self.gcp.organization = id.or_else(|| self.option("organization").map(plain)).unwrap_or_default();
        self.gcp.domain = told("domain")
            .or_else(|| self.option("domain"))
            .or_else(|| told("display_name"))
            .unwrap_or_else(|| self.usual_domain());
        let customer = told("customer").or_else(|| self.option("customer")).unwrap_or_default();
        self.gcp.customer = bare(&customer).to_owned();
    }

    fn usual_domain(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (address, _) in self.all("group").chain(self.all("user")) {
            if let Some((_, domain)) = address.name().rsplit_once('@') {
                *counts.entry(domain.to_owned()).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or_else(|| "example.com".to_owned(), |(domain, _)| domain)
    }

    fn tree(&mut self) {
        for (address, resource) in self.all("folder") {
            let path = address.name().into_owned();
            let id = bare(id(resource)).to_owned();
            self.gcp.folders.insert(
                if id.is_empty() { super::super::world::folder_id(&path) } else { id.clone() },
                GcpFolder { path, id, state: state(resource), ..GcpFolder::default() },
            );
        }
        for (address, resource) in self.all("billing_account") {
            let id = address.name().into_owned();
            let open = resource.attributes.get("open") != Some(&Value::Bool(false));
            let name = text(resource, "display_name").to_owned();
            self.gcp
                .billing_accounts
                .insert(id.clone(), GcpBillingAccount { id, name, open, ..GcpBillingAccount::default() });
        }
        for (address, resource) in self.all("custom_role") {
            let role = role(&address.name(), resource);
            self.gcp.roles.insert(role.id.clone(), role);
        }
        self.gcp.index();
        for (address, resource) in self.all("project") {
            let project = self.project(&address.name(), resource);
            self.gcp.projects.insert(project.id.clone(), project);
        }
        for (project, name, resource) in self.below("service_account") {
            let mut account = account(&name, resource);
            if account.email.is_empty() {
                account.email = format!("{name}@{project}.iam.gserviceaccount.com");
            }
            self.in_project(&project, |it| _ = it.service_accounts.insert(name, account));
        }
        for (project, name, resource) in self.below("custom_role") {
            self.in_project(&project, |it| _ = it.roles.insert(name.clone(), role(&name, resource)));
        }
        for (project, name, resource) in self.below("workload_identity_pool") {
            self.in_project(&project, |it| _ = it.pools.insert(name.clone(), pool(name, resource)));
        }
    }

    fn in_project(&mut self, id: &str, change: impl FnOnce(&mut GcpProject)) {
        if let Some(project) = self.gcp.projects.get_mut(id) {
            change(project);
        }
    }

    fn project(&self, name: &str, resource: &Resource) -> GcpProject {
        let parent: Option<Address> = text(resource, "parent").parse().ok();
        let path = parent.filter(|parent| parent.kind() == "folder").map(|parent| parent.name().into_owned());
        let billing = text(resource, "billing");
        let billing =
            billing.parse::<Address>().map_or_else(|_| bare(billing).to_owned(), |it| it.name().into_owned());
        let number = match resource.attributes.get("number") {
            Some(Value::Int(number)) => number.to_string(),
            Some(Value::Text(number)) => number.to_string(),
            _ => Some(bare(id(resource))).filter(|id| is_number(id)).unwrap_or_default().to_owned(),
        };
        let reason = Some(text(resource, "lien")).filter(|reason| !reason.is_empty());
        let lien = reason.map(|reason| GcpLien {
            reason: reason.to_owned(),
            origin: "rolecall".to_owned(),
            restrictions: ["resourcemanager.projects.delete".to_owned()].into(),
            ..GcpLien::default()
        });
        GcpProject {
            id: name.to_owned(),
            number,
            name: text(resource, "display_name").to_owned(),
            folder: path.filter(|path| self.gcp.paths.contains_key(path)),
            state: state(resource),
            labels: map(resource, "labels"),
            billing: Some(billing).filter(|id| self.gcp.billing_accounts.contains_key(id)),
            // What can be used stands as the keys of a map.
            services: map(resource, "services").into_keys().chain(list(resource, "services")).collect(),
            liens: lien.into_iter().collect(),
            ..GcpProject::default()
        }
    }

    fn people(&mut self) {
        for (address, resource) in self.all("group") {
            let mut group = GcpGroup {
                email: address.name().into_owned(),
                id: bare(id(resource)).to_owned(),
                name: text(resource, "display_name").to_owned(),
                description: text(resource, "description").to_owned(),
                ..GcpGroup::default()
            };
            if resource.mastered.as_ref().is_some_and(|why| why.contains("dynamic")) {
                group.labels.insert(DYNAMIC.to_owned(), String::new());
            }
            self.gcp.add_group(group);
        }
        for (address, resource) in self.all("user") {
            let user = GcpUser {
                email: address.name().into_owned(),
                id: id(resource).to_owned(),
                suspended: is(resource, "suspended"),
                archived: is(resource, "archived"),
                ..GcpUser::default()
            };
            self.gcp.add_user(user);
        }
        for record in self.seen.records {
            let of = |it: &&Address| it.instance() == self.instance && it.kind() == "user";
            let Some(address) = record.address.as_ref().filter(of) else { continue };
            let told = |names: [&str; 2]| {
                let text = names.into_iter().find_map(|name| record.profile.get(name));
                text.map(ToString::to_string).unwrap_or_default()
            };
            let email = address.name().to_lowercase();
            let mut user = self.gcp.users.get(&email).cloned().unwrap_or_default();
            user.email = email;
            user.given = told(["givenName", "name.givenName"]);
            user.family = told(["familyName", "name.familyName"]);
            user.org_unit = told(["orgUnitPath", "org_unit"]);
            match record.status {
                Status::Suspended => user.suspended |= !user.archived,
                Status::Left => user.deleted = user.deleted.or(Some(self.seen.now)),
                Status::Staged | Status::Active => {}
            }
            self.gcp.add_user(user);
        }
    }

    fn edges(&mut self) {
        let mine = |grant: &&LiveGrant| grant.key.resource.instance() == self.instance;
        let grants: Vec<&LiveGrant> = self.seen.live.grants.iter().filter(mine).collect();
        for grant in grants {
            if grant.key.resource.kind() == "group" {
                self.membership(grant);
            } else {
                self.binding(grant);
            }
        }
    }

    fn membership(&mut self, grant: &LiveGrant) {
        let member = self.member(&grant.key.principal);
        let email = member.split_once(':').map_or(member.as_str(), |(_, email)| email).to_lowercase();
        let Some(group) = self.gcp.groups.get_mut(&grant.key.resource.name().to_lowercase()) else { return };
        let told = grant.attributes.get("role").and_then(Value::as_text).unwrap_or(&grant.key.relation);
        let mut roles = BTreeSet::from(["MEMBER".to_owned(), told.to_uppercase()]);
        roles.retain(|role| ["MEMBER", "MANAGER", "OWNER"].contains(&role.as_str()));
        let end = grant.attributes.get("expires").and_then(Value::as_text);
        let expires = end.and_then(|end| end.parse().ok());
        let member =
            group.members.entry(email.clone()).or_insert_with(|| GcpMember { email, ..GcpMember::default() });
        member.roles.extend(roles);
        member.expires = member.expires.or(expires);
    }

    fn binding(&mut self, grant: &LiveGrant) {
        let key = &grant.key;
        let member = self.member(&key.principal);
        let custom = key.relation.parse::<Address>().ok().filter(|it| it.kind() == "custom_role");
        let role = match custom.as_ref().map(|role| (role.scope(), role.name())) {
            Some((Some(project), name)) => format!("projects/{project}/roles/{name}"),
            Some((None, name)) => format!("organizations/{}/roles/{name}", self.gcp.organization),
            None => key.relation.to_string(),
        };
        let condition = key.condition.as_ref().and_then(|text| condition(text));
        let Some(name) = self.policy_name(&key.resource) else { return };
        let Some(policy) = self.gcp.policy_mut(&name) else { return };
        let same = |it: &&mut GcpBinding| it.role == role && it.condition == condition;
        match policy.bindings.iter_mut().find(same) {
            Some(binding) => binding.members.push(member),
            None => policy.bindings.push(GcpBinding { role, members: vec![member], condition }),
        }
    }

    /// What Google calls the thing that has a policy.
    fn policy_name(&self, resource: &Address) -> Option<String> {
        let name = resource.name();
        Some(match resource.kind() {
            "organization" => self.gcp.organization_name(),
            "folder" => format!("folders/{}", self.gcp.folder_at(&name)?.id),
            "project" => format!("projects/{name}"),
            "billing_account" => format!("billingAccounts/{name}"),
            "service_account" => {
                let project = resource.scope()?;
                let account = self.gcp.projects.get(project)?.service_accounts.get(&*name)?;
                format!("projects/{project}/serviceAccounts/{}", account.email)
            }
            _ => return None,
        })
    }

    /// How IAM writes a principal.
    fn member(&self, principal: &Address) -> String {
        let name = principal.name();
        match principal.kind() {
            "user" => format!("user:{name}"),
            "group" => format!("group:{name}"),
            "service_account" => {
                let project = principal.scope().unwrap_or_default();
                let account = self.gcp.projects.get(project).and_then(|it| it.service_accounts.get(&*name));
                let email = account.map(|account| account.email.clone());
                let email = email.unwrap_or_else(|| format!("{name}@{project}.iam.gserviceaccount.com"));
                format!("serviceAccount:{email}")
            }
            _ => name.into_owned(),
        }
    }
}

/// A condition from the text that stands in an edge's key.
fn condition(text: &str) -> Option<GcpCondition> {
    let json: Json = serde_json::from_str(text).ok()?;
    let field = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    Some(GcpCondition {
        title: field("title"),
        description: field("description"),
        expression: field("expression"),
        location: field("location"),
    })
}

fn account(name: &str, resource: &Resource) -> GcpServiceAccount {
    // The id of a key is forty hexadecimal digits, whatever stands around it.
    let is_key = |word: &&str| word.len() == 40 && word.bytes().all(|sign| sign.is_ascii_hexdigit());
    let words = |text: &str| -> Vec<String> {
        text.split([' ', '(', ')', ',', '/', ':']).map(str::to_owned).collect()
    };
    let keys = resource.dependents.iter().flat_map(|text| {
        let words = words(text);
        // A day is told with it; at which hour it was made is not.
        let day = words.iter().find_map(|word| word.parse::<jiff::civil::Date>().ok());
        let created = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok()).map(|at| at.timestamp());
        let disabled = words.iter().any(|word| word == "disabled");
        let ids = words.into_iter().filter(move |word| is_key(&word.as_str()));
        ids.map(move |id| (id.clone(), GcpKey { id, created, disabled, ..GcpKey::default() }))
            .collect::<Vec<_>>()
    });
    GcpServiceAccount {
        name: name.to_owned(),
        unique_id: Some(id(resource)).filter(|id| is_number(id)).unwrap_or_default().to_owned(),
        email: text(resource, "email").to_owned(),
        display_name: text(resource, "display_name").to_owned(),
        description: text(resource, "description").to_owned(),
        disabled: is(resource, "disabled"),
        keys: keys.collect(),
        ..GcpServiceAccount::default()
    }
}

fn role(name: &str, resource: &Resource) -> GcpRole {
    let stage = serde_json::from_value(text(resource, "stage").to_uppercase().into()).unwrap_or_default();
    GcpRole {
        id: name.to_owned(),
        title: text(resource, "title").to_owned(),
        description: text(resource, "description").to_owned(),
        permissions: list(resource, "permissions"),
        stage,
        ..GcpRole::default()
    }
}

fn pool(name: String, resource: &Resource) -> GcpPool {
    let providers = map(resource, "providers")
        .into_iter()
        .map(|(id, issuer)| (id.clone(), GcpPoolProvider { id, issuer, ..GcpPoolProvider::default() }));
    GcpPool {
        id: name,
        display_name: text(resource, "display_name").to_owned(),
        description: text(resource, "description").to_owned(),
        disabled: is(resource, "disabled"),
        providers: providers.collect(),
        ..GcpPool::default()
    }
}

fn state(resource: &Resource) -> GcpState {
    match text(resource, "state").eq_ignore_ascii_case("DELETE_REQUESTED") {
        true => GcpState::DeleteRequested,
        false => GcpState::Active,
    }
}

fn id(resource: &Resource) -> &str {
    resource.id.as_deref().unwrap_or_default()
}

/// An id without the collection that it is in: `folders/1` is `1`.
fn bare(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

fn is_number(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|sign| sign.is_ascii_digit())
}

fn is(resource: &Resource, attribute: &str) -> bool {
    resource.attributes.get(attribute) == Some(&Value::Bool(true))
}

fn map(resource: &Resource, attribute: &str) -> BTreeMap<String, String> {
    let map = resource.attributes.get(attribute).and_then(Value::as_map).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.to_string(), value.as_text()?.to_owned()))).collect()
}

fn list(resource: &Resource, attribute: &str) -> BTreeSet<String> {
    let list = resource.attributes.get(attribute).and_then(Value::as_list).into_iter().flatten();
    list.filter_map(|item| Some(item.as_text()?.to_owned())).collect()
}
