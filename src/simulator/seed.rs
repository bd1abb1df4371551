//! A world made of what was observed of live, in which a plan can be carried out without anybody noticing.
//!
//! Invariant: what was observed is observed again in the world, by the same ids. What nobody read of live (secrets,
//! profiles that no rule cites, limits of its own) is as the vendor has it by default.
//! It must not call anyone: it turns values into values.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::world::{
    AwsAccount, GroupType, IamGroup, IamPolicy, IamRole, IamUser, Okta, OktaGroup, OktaRule, OktaUser,
    UserStatus, World,
};
use super::{INVALID, WorldError};
use crate::model::settings::ProviderSettings;
use crate::model::{
    Account, Address, DirectoryRecord, LiveGrant, Name, NodeValue, Resource, Snapshot, Status, Value,
};

/// The largest page that any list of the vendors has: how many there are on it is for who asks to say.
const LARGEST_PAGE: usize = 1000;

mod gcp;

/// What was observed of live.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// When.
    pub now: Timestamp,
    /// Resources and edges.
    pub live: &'a Snapshot,
    /// People, as the directory has them.
    pub records: &'a [DirectoryRecord],
    /// The accounts.
    pub accounts: &'a [Account],
    /// Who the credentials are, where they are something that could be managed.
    pub callers: &'a [Address],
    /// The settings of each instance.
    pub providers: &'a BTreeMap<Name, ProviderSettings>,
}

/// A world that shows what was seen, under the limits that the vendors document.
pub fn seed(seen: &Seen<'_>) -> Result<World, WorldError> {
    let mut world = World { page_size: LARGEST_PAGE, ..World::at(seen.now) };
    let (mut organization, mut cloud) = (None, None);
    for (instance, settings) in seen.providers {
        match settings.provider.as_ref() {
            "okta" => {
                only(&mut organization, instance, "Okta")?;
                world.okta = Organization::new(seen, instance).okta();
            }
            "aws" => {
                for account in seen.accounts.iter().filter(|account| account.instance == *instance) {
                    seen.aws(&mut world, settings, account);
                }
            }
            "gcp" => {
                only(&mut cloud, instance, "Google Cloud")?;
                world.gcp = gcp::Cloud::new(seen, instance, settings).gcp();
            }
            // An unknown provider cannot have been observed.
            _ => {}
        }
    }
    Ok(world)
}

/// Remembers the instance that an organization is of, which is the only one of its vendor.
fn only<'a>(known: &mut Option<&'a Name>, instance: &'a Name, vendor: &str) -> Result<(), WorldError> {
    let Some(other) = known.replace(instance) else { return Ok(()) };
    let message =
        format!("`{other}` and `{instance}` are two {vendor} organizations, and the simulator has one");
    Err(WorldError { code: INVALID, message, help: None })
}

impl<'a> Seen<'a> {
    /// The resources of a place, by kind.
    fn resources(&self, place: &str, kind: &str) -> impl Iterator<Item = (&'a Address, &'a Resource)> {
        let all = self.live.resources.iter();
        all.filter(move |(address, _)| address.place() == place && address.kind() == kind)
    }

    fn caller(&self, instance: &str) -> Option<&'a Address> {
        self.callers.iter().find(|caller| caller.instance() == instance)
    }
}

/// An Okta organization that is being made.
struct Organization<'a> {
    seen: &'a Seen<'a>,
    instance: &'a str,
    records: BTreeMap<&'a Address, &'a DirectoryRecord>,
}

impl<'a> Organization<'a> {
    fn new(seen: &'a Seen<'a>, instance: &'a str) -> Self {
        let records = seen.records.iter().filter_map(|record| Some((record.address.as_ref()?, record)));
        Self { seen, instance, records: records.collect() }
    }

    fn okta(&self) -> Okta {
        let mut okta = Okta::default();
        let mut logins: BTreeMap<&Address, String> = BTreeMap::new();
        for (address, resource) in self.seen.resources(self.instance, "user") {
            let user = self.user(address, resource);
            logins.insert(address, user.login.clone());
            okta.add_user(user);
        }
        let caller = self.seen.caller(self.instance);
        okta.token_owner = caller.and_then(|caller| logins.get(caller)).cloned().unwrap_or_default();
        let mut edges: BTreeMap<&Address, Vec<&LiveGrant>> = BTreeMap::new();
        for grant in &self.seen.live.grants {
            edges.entry(&grant.key.resource).or_default().push(grant);
        }
        let mut rules: BTreeMap<String, OktaRule> = BTreeMap::new();
        for (address, resource) in self.seen.resources(self.instance, "group") {
            let mut group = group(address, resource);
            let edges = edges.get(address).into_iter().flatten();
            let members: Vec<(&LiveGrant, &String)> =
                edges.filter_map(|grant| Some((*grant, logins.get(&grant.key.principal)?))).collect();
            group.members = members.iter().map(|(_, login)| (*login).clone()).collect();
            for name in resource.dependents.iter().filter_map(|text| rule_that_fills(text)) {
                let rule = rules.entry(name.to_owned()).or_default();
                rule.name = name.to_owned();
                rule.groups.insert(group.name.clone());
                // Whom no rule put in although rules fill the group, the rules except.
                let by_hand = members.iter().filter(|(grant, _)| grant.via.is_none());
                rule.except.extend(by_hand.map(|(_, login)| (*login).clone()));
            }
            okta.add_group(group);
        }
        okta.rules = rules;
        okta
    }

    fn user(&self, address: &Address, resource: &Resource) -> OktaUser {
        let record = self.records.get(address);
        let profile = record.into_iter().flat_map(|record| &record.profile);
        let mut profile: BTreeMap<String, Json> =
            profile.map(|(key, value)| (key.to_string(), Json::from(value.as_ref()))).collect();
        let login = match profile.remove("login") {
            Some(Json::String(login)) => login,
            _ => address.name().into_owned(),
        };
        let told = text(resource, "status").to_uppercase();
        let status = serde_json::from_value(told.into()).unwrap_or_else(|_| {
            match record.map(|record| record.status).unwrap_or_default() {
                Status::Staged => UserStatus::Staged,
                Status::Active => UserStatus::Active,
                Status::Suspended => UserStatus::Suspended,
                Status::Left => UserStatus::Deprovisioned,
            }
        });
        OktaUser { login, id: id(resource), status, profile, ..OktaUser::default() }
    }
}

fn group(address: &Address, resource: &Resource) -> OktaGroup {
    let id = id(resource);
    let kind = match resource.mastered.as_deref() {
        None => GroupType::OktaGroup,
        Some(why) if why.contains("app") => GroupType::AppGroup,
        Some(_) => GroupType::BuiltIn,
    };
    let name = address.name();
    // A group of an app has its id beside its name where another group has the same name.
    let name = name.strip_suffix(&format!(" [{id}]")).unwrap_or(&name).to_owned();
    let description = Some(text(resource, "description").to_owned()).filter(|text| !text.is_empty());
    OktaGroup { name, id, kind, description, ..OktaGroup::default() }
}

/// The rule that a group's dependent is.
fn rule_that_fills(dependent: &str) -> Option<&str> {
    dependent.strip_prefix("group rule ")?.strip_suffix(" puts members into it")
}

impl Seen<'_> {
    fn aws(&self, world: &mut World, settings: &ProviderSettings, account: &Account) {
        let (instance, id) = (&*account.instance, account.id.to_string());
        let place = Address::new(instance, Some(&id), "x", "x").place().to_owned();
        let mut it = AwsAccount { name: account.name.to_string(), ..AwsAccount::default() };
        for (address, resource) in self.resources(&place, "policy") {
            let policy = policy(address, resource);
            it.policies.insert(policy.name.clone(), policy);
        }
        for (address, resource) in self.resources(&place, "group") {
            let group = iam_group(address, resource);
            it.groups.insert(group.name.clone(), group);
        }
        for (address, resource) in self.resources(&place, "role") {
            let role = role(address, resource, &it);
            it.roles.insert(role.name.clone(), role);
        }
        for (address, resource) in self.resources(&place, "user") {
            let user = user(address, resource, &it);
            it.users.insert(user.name.clone(), user);
        }
        for grant in self.live.grants.iter().filter(|grant| grant.key.principal.place() == place) {
            edge(&mut it, grant);
        }
        match settings.options.get("role").map(|role| &role.value) {
            // Signing in is no part of what is tried out, and the role may be one that AWS keeps, which nobody observes.
            Some(NodeValue::Text(role)) => _ = world.aws.open_roles.insert(role.clone()),
            _ => world.aws.caller = arn(self.caller(instance), &id, &it),
        }
        world.aws.accounts.insert(id, it);
    }
}

/// Puts an edge in. One whose other end was not seen cannot be in a world.
fn edge(account: &mut AwsAccount, grant: &LiveGrant) {
    let (principal, resource) = (&grant.key.principal, &grant.key.resource);
    let name = &*principal.name();
    if resource.kind() == "group" {
        let group = resource.name().into_owned();
        let known = account.groups.contains_key(&group);
        if let Some(user) = account.users.get_mut(name).filter(|_| known) {
            user.groups.insert(group);
        }
        return;
    }
    let Some(policy) = reference(resource, account) else { return };
    let policies = match principal.kind() {
        "user" => account.users.get_mut(name).map(|user| &mut user.policies),
        "group" => account.groups.get_mut(name).map(|group| &mut group.policies),
        _ => account.roles.get_mut(name).map(|role| &mut role.policies),
    };
    policies.into_iter().for_each(|policies| _ = policies.insert(policy.clone()));
}

/// Who signs, as AWS writes it.
fn arn(caller: Option<&Address>, account: &str, it: &AwsAccount) -> String {
    match caller.map(|caller| (caller.kind(), caller.name())) {
        Some(("user", name)) => {
            let path = it.users.get(&*name).map_or("/", |user| user.path.as_str());
            format!("arn:aws:iam::{account}:user{path}{name}")
        }
        Some(("role", name)) => format!("arn:aws:sts::{account}:assumed-role/{name}/rolecall"),
        _ => format!("arn:aws:iam::{account}:root"),
    }
}

fn user(address: &Address, resource: &Resource, account: &AwsAccount) -> IamUser {
    let hanging = |what: &str| {
        let named = resource.dependents.iter().filter_map(|text| text.strip_prefix(what));
        named.map(str::to_owned).collect()
    };
    IamUser {
        name: address.name().into_owned(),
        id: id(resource),
        path: text(resource, "path").to_owned(),
        tags: tags(resource),
        inline: documents(resource),
        boundary: boundary(resource, account),
        access_keys: hanging("access key "),
        mfa: hanging("MFA device "),
        login_profile: resource.dependents.iter().any(|text| text == "login profile"),
        ..IamUser::default()
    }
}

fn iam_group(address: &Address, resource: &Resource) -> IamGroup {
    IamGroup {
        name: address.name().into_owned(),
        id: id(resource),
        path: text(resource, "path").to_owned(),
        inline: documents(resource),
        ..IamGroup::default()
    }
}

fn role(address: &Address, resource: &Resource, account: &AwsAccount) -> IamRole {
    let max_session = match resource.attributes.get("max_session") {
        Some(Value::Int(seconds)) => u32::try_from(*seconds).ok(),
        _ => None,
    };
    IamRole {
        name: address.name().into_owned(),
        id: id(resource),
        path: text(resource, "path").to_owned(),
        description: Some(text(resource, "description").to_owned()).filter(|text| !text.is_empty()),
        max_session,
        tags: tags(resource),
        trust: resource.attributes.get("trust").map_or(Json::Null, Value::to_json),
        inline: documents(resource),
        boundary: boundary(resource, account),
        ..IamRole::default()
    }
}

fn policy(address: &Address, resource: &Resource) -> IamPolicy {
    IamPolicy {
        name: address.name().into_owned(),
        id: id(resource),
        path: text(resource, "path").to_owned(),
        description: Some(text(resource, "description").to_owned()).filter(|text| !text.is_empty()),
        document: resource.attributes.get("document").map_or(Json::Null, Value::to_json),
        ..IamPolicy::default()
    }
}

fn id(resource: &Resource) -> String {
    resource.id.as_deref().unwrap_or_default().to_owned()
}

fn text<'a>(resource: &'a Resource, attribute: &str) -> &'a str {
    resource.attributes.get(attribute).and_then(Value::as_text).unwrap_or_default()
}

fn tags(resource: &Resource) -> BTreeMap<String, String> {
    let tags = resource.attributes.get("tags").and_then(Value::as_map).into_iter().flatten();
    tags.filter_map(|(key, value)| Some((key.to_string(), value.as_text()?.to_owned()))).collect()
}

fn documents(resource: &Resource) -> BTreeMap<String, Json> {
    let inline = resource.attributes.get("inline").and_then(Value::as_map).into_iter().flatten();
    inline.map(|(name, document)| (name.to_string(), document.to_json())).collect()
}

fn boundary(resource: &Resource, account: &AwsAccount) -> Option<String> {
    reference(&text(resource, "boundary").parse().ok()?, account)
}

/// A policy as the world names it; `None` where it was not seen.
fn reference(policy: &Address, account: &AwsAccount) -> Option<String> {
    let name = policy.name();
    if policy.instance() == "managed" {
        return Some(format!("managed:{name}"));
    }
    account.policies.contains_key(&*name).then(|| name.into_owned())
}

#[cfg(test)]
mod tests;
