//! From `rolecall.yaml` to [`Settings`].
//!
//! Invariant: a wrong part is reported and replaced by its default, so that the manifests can still be checked; with
//! any error no tree is made. It must not read the environment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use super::forge::{self, forge};
use super::settings_body::{
    ApprovalsBody, CapBody, FromProvider, LimitsBody, Need, Operator, Reach, SettingsBody, StandingBody,
    TypeBody, UpTo,
};
use super::shape::{Pairs, Part, check_name, is_inside, is_name, unknown};
use super::{BAD_NAME, BAD_PATH, UNKNOWN_INSTANCE, UNKNOWN_PROVIDER, naming, ownership, time};
use crate::model::address::RESERVED_INSTANCES;
use crate::model::decode::WRONG_VALUE;
use crate::model::plan::Risk;
use crate::model::settings::{Approvals, Cap, Directory, Limits, PersonType, ProviderSettings, Standing};
use crate::model::{
    Address, Finding, Name, Node, NodeValue, OwnRule, Ownership, Pattern, ProviderScope, Registry, Settings,
    Spanned, decode,
};

/// The folders that are read unless `manifests:` says otherwise.
pub(crate) const FOLDERS: [&str; 6] = ["people", "roles", "grants", "sandboxes", "rules", "native"];

/// The settings, and how sure they are.
pub(crate) struct Read {
    pub(crate) settings: Settings,
    /// Whether `directory:` could be made out. Where not, nothing can be said about who exists.
    pub(crate) knows_directory: bool,
}

/// Reads the settings; `None` where they are not even a mapping with the keys that must be there.
pub(crate) fn settings(node: &Node, registry: &Registry, findings: &mut Vec<Finding>) -> Option<Read> {
    let body: SettingsBody = decode(node, findings)?;
    if let Some(format) = body.format.read(findings).filter(|format| format.value != 1) {
        let message = format!("this build reads `format: 1`, not `{}`", format.value);
        findings.push(Finding::error(WRONG_VALUE, message).at(&format.span).help("update rolecall"));
    }
    let mut own = Ownership::default();
    let mut providers = BTreeMap::new();
    for (name, node) in read(&body.providers, findings).unwrap_or_default().0 {
        let (settings, rules) = provider(&name, node, registry, findings);
        own.rules.insert(settings.instance.clone(), rules);
        providers.insert(settings.instance.clone(), settings);
    }
    let instances: BTreeSet<Name> = providers.keys().cloned().collect();
    let directory = directory(&body.directory.node, &instances, findings);
    let types = types(read(&body.types, findings).unwrap_or_default(), findings);
    let memory = folder(read(&body.memory, findings), ".rolecall", findings);
    let world = read(&body.simulate, findings);
    if let Some(world) = &world {
        check_path(world, findings);
    }
    let identities = read(&body.identities, findings).unwrap_or_default();
    let groups_body = read(&body.groups, findings).unwrap_or_default();
    let zone = read(&body.timezone, findings).and_then(|text| time::zone(&text, findings));
    let settings = Settings {
        organization: body.organization.read(findings).unwrap_or_default(),
        timezone: zone.unwrap_or(TimeZone::UTC),
        owners: read(&body.owners, findings).unwrap_or_default(),
        identities: naming::identities(&identities, directory.as_ref(), &types, &instances, findings),
        groups: naming::groups(&groups_body, &types, &providers, registry, findings),
        types,
        providers,
        own,
        manifests: manifests(read(&body.manifests, findings), &memory, findings),
        memory,
        heal: read(&body.heal, findings).unwrap_or_default(),
        standing: read(&body.standing, findings).map(|body| standing(&body, findings)).unwrap_or_default(),
        limits: read(&body.limits, findings)
            .map(|body| limits(body, &instances, findings))
            .unwrap_or_default(),
        approvals: read(&body.approvals, findings).map(|body| approvals(&body, findings)).unwrap_or_default(),
        plan_ttl: plan_ttl(read(&body.plan_ttl, findings), findings),
        protected: protected(read(&body.protected, findings).unwrap_or_default(), &instances, findings),
        forge: read(&body.forge, findings).and_then(|body| forge(body, findings)),
        simulate: world,
        directory: directory.clone().unwrap_or(Directory::Manifests),
    };
    Some(Read { settings, knows_directory: directory.is_some() })
}

fn read<T: DeserializeOwned>(part: &Option<Part<T>>, findings: &mut Vec<Finding>) -> Option<T> {
    part.as_ref()?.read(findings)
}

fn plan_ttl(text: Option<Spanned<String>>, findings: &mut Vec<Finding>) -> SignedDuration {
    let week = SignedDuration::from_hours(7 * 24);
    let Some(text) = text else { return week };
    let Some(ttl) = time::duration(&text, findings) else { return week };
    if ttl.is_zero() {
        let finding = Finding::error(WRONG_VALUE, "with this no plan could ever be applied");
        findings.push(finding.at(&text.span).help("write such as `7d`"));
    }
    ttl
}

/// Reads one provider. A broken one stays known by its name, so that what cites it is not reported too.
fn provider(
    name: &Spanned<String>,
    mut options: Node,
    registry: &Registry,
    findings: &mut Vec<Finding>,
) -> (ProviderSettings, Vec<OwnRule>) {
    check_name("a provider", name, findings);
    if RESERVED_INSTANCES.contains(&name.as_str()) {
        let message =
            format!("`{}` cannot be the name of a provider: it has a meaning of its own", name.value);
        findings.push(Finding::error(BAD_NAME, message).at(&name.span).help("choose another name"));
    }
    let is_mapping = matches!(options.value, NodeValue::Map(_));
    if !is_mapping {
        let message = format!("this is {}, but a provider's settings are a mapping", options.what());
        findings.push(Finding::error(WRONG_VALUE, message).at(&options.span).help("write at least `{}`"));
    }
    let sort = options.take("provider").map(|entry| decode::<Spanned<String>>(&entry.value, findings));
    let sort = sort.unwrap_or_else(|| Some(name.clone()));
    let own = options.take("own");
    let (mut rules, mut scope) = (Vec::new(), ProviderScope::default());
    if let Some(sort) = &sort {
        if let Some(known) = registry.provider(sort) {
            rules = own.map_or_else(Vec::new, |entry| ownership::rules(&entry.value, known, findings));
            if is_mapping {
                scope = (known.settings)(&options, findings);
            }
        } else {
            let message = format!("there is no sort of provider called `{}`", sort.value);
            let sorts: Vec<&str> = registry.types.iter().map(|provider| provider.name).collect();
            findings.push(unknown(UNKNOWN_PROVIDER, message, sort, sorts));
        }
    }
    let provider = sort.map_or_else(String::new, |sort| sort.value).into();
    (ProviderSettings { instance: name.as_str().into(), provider, options, scope }, rules)
}

fn directory(node: &Node, instances: &BTreeSet<Name>, findings: &mut Vec<Finding>) -> Option<Directory> {
    match node.as_text() {
        Some("manifests") => return Some(Directory::Manifests),
        Some(word) => {
            let message = format!("`{word}` is not a directory");
            let finding = Finding::error(WRONG_VALUE, message).at(&node.span);
            findings
                .push(finding.help("write `manifests`, or `{ from: PROVIDER, handle: …, attributes: … }`"));
            return None;
        }
        None => {}
    }
    let body: FromProvider = decode(node, findings)?;
    known_instance(&body.from, &body.from, instances, findings);
    for (name, _) in &body.attributes.0 {
        let taken = ["handle", "type", "reports_to", "role", "from", "until", "reason"];
        if taken.contains(&name.as_str()) || !is_name(name) || name.contains(['.', '-']) {
            let message = format!("`{}` cannot be the name of an attribute", name.value);
            let finding = Finding::error(BAD_NAME, message).at(&name.span);
            findings
                .push(finding.help(format!("write it in lower_snake_case, and not as {}", taken.join(", "))));
        }
    }
    let attributes =
        body.attributes.0.into_iter().map(|(name, theirs)| (name.value.into(), theirs)).collect();
    let from = Spanned { value: body.from.value.into(), span: body.from.span };
    Some(Directory::Provider { from, handle: body.handle, attributes })
}

/// A broken type stays known by its name, so that those who are of it are not reported too.
fn types(types: Pairs<Part<TypeBody>>, findings: &mut Vec<Finding>) -> Vec<PersonType> {
    let read = |(name, part): (Spanned<String>, Part<TypeBody>)| {
        check_name("a type", &name, findings);
        let body = part.read(findings).unwrap_or_default();
        let word = |need: &Need| match need {
            Need::Manager => "manager",
            Need::Owner => "owner",
            Need::Until => "until",
            Need::Review => "review",
        };
        PersonType {
            name: name.value.into(),
            color: body.color,
            rules: body.rules,
            role_groups: body.role_groups.unwrap_or(true),
            needs: body.needs.iter().map(|need| word(need).to_owned()).collect(),
            matches: body.matches.0.into_iter().map(|(key, value)| (key.value.into(), value)).collect(),
            span: name.span,
        }
    };
    types.0.into_iter().map(read).collect()
}

fn standing(body: &StandingBody, findings: &mut Vec<Finding>) -> Standing {
    let mut standing = Standing::default();
    let mut reach = |part: &Option<Part<Reach>>, risk: &mut Risk, handover: Option<&mut SignedDuration>| {
        let Some(Part { node, .. }) = part else { return };
        if node.as_text() == Some("all") {
            *risk = Risk::High;
            return;
        }
        if node.as_text().is_some() {
            let finding = Finding::error(WRONG_VALUE, "this is neither `all` nor `{ up_to: RISK }`");
            findings.push(finding.at(&node.span).help("write such as `{ up_to: medium }`"));
            return;
        }
        let Some(body) = decode::<UpTo>(node, findings) else { return };
        *risk = body.up_to;
        match (body.handover, handover) {
            (Some(text), Some(handover)) => *handover = time::duration(&text, findings).unwrap_or_default(),
            (Some(text), None) => {
                let finding = Finding::error(WRONG_VALUE, "only people who move have a `handover`");
                findings.push(finding.at(&text.span).help("put it under `mover`"));
            }
            (None, _) => {}
        }
    };
    reach(&body.joiner, &mut standing.joiner, None);
    reach(&body.mover, &mut standing.mover, Some(&mut standing.handover));
    reach(&body.leaver, &mut standing.leaver, None);
    reach(&body.expiry, &mut standing.expiry, None);
    standing
}

fn limits(body: LimitsBody, instances: &BTreeSet<Name>, findings: &mut Vec<Finding>) -> Limits {
    let defaults = Limits::default();
    let mut cap = |body: Option<CapBody>, default: Cap| {
        let Some(body) = body else { return default };
        if let Some(percent) = body.percent.as_ref().filter(|percent| percent.value > 100) {
            let finding = Finding::error(WRONG_VALUE, format!("{} is more than 100 percent", percent.value));
            findings.push(finding.at(&percent.span).help("write a whole number from 0 to 100"));
        }
        // What a cap does not name is no allowance: the default's share is not added to a floor of one's own.
        Cap { floor: body.floor.unwrap_or(0), percent: body.percent.map_or(0, |percent| percent.value) }
    };
    let removals = cap(body.removals, defaults.removals);
    let leavers = cap(body.leavers, defaults.leavers);
    let mut admins_of = Vec::new();
    let admins = body.admins.map(|admins| (admins.min, admins.of));
    for text in admins.iter().flat_map(|(_, of)| of) {
        match text.parse::<Address>() {
            Ok(address) => {
                let instance = Spanned { value: address.instance().to_owned(), span: text.span.clone() };
                known_instance(&instance, text, instances, findings);
                admins_of.push(Spanned { value: address, span: text.span.clone() });
            }
            Err(error) => {
                let finding = Finding::error(WRONG_VALUE, error.to_string()).at(&text.span);
                findings.push(finding.help("write such as `okta:group/admin.super`"));
            }
        }
    }
    let admins_min = admins.map_or(defaults.admins_min, |(min, _)| min);
    Limits { removals, per_run: body.per_run.unwrap_or(defaults.per_run), leavers, admins_min, admins_of }
}

fn approvals(body: &ApprovalsBody, findings: &mut Vec<Finding>) -> Approvals {
    let mut approvals = Approvals::default();
    for (given, quorum) in [&body.low, &body.medium, &body.high].into_iter().zip(&mut approvals.quorum) {
        let Some(given) = given else { continue };
        if given.value == 0 {
            let finding = Finding::error(WRONG_VALUE, "a change that is asked for needs an approval");
            findings.push(finding.at(&given.span).help("write at least 1"));
        }
        *quorum = given.value;
    }
    approvals.operator = body.operator == Operator::Allowed;
    for (handle, key) in &body.keys.0 {
        match forge::public_key(key) {
            Some(known) if approvals.keys.values().any(|other| *other == known) => {
                let finding = Finding::error(
                    WRONG_VALUE,
                    "somebody else has this key, so whoever holds it would be two",
                );
                findings.push(finding.at(&key.span).help("let each have a key of his own"));
            }
            Some(key) => drop(approvals.keys.insert(handle.value.as_str().into(), key)),
            None => {
                let finding = Finding::error(WRONG_VALUE, "this is no public key of Ed25519");
                let help = "write what `openssl pkey -in KEY -pubout` prints between the lines of dashes";
                findings.push(finding.at(&key.span).help(help));
            }
        }
    }
    approvals
}

fn protected(
    protected: Vec<Spanned<String>>,
    instances: &BTreeSet<Name>,
    findings: &mut Vec<Finding>,
) -> Vec<Spanned<Pattern>> {
    for text in &protected {
        let place = text.split_once(':').map(|(place, _)| place.split('/').next().unwrap_or(place));
        match place {
            Some(place) if place.contains(['*', '?']) || ["person", "role"].contains(&place) => {}
            Some(place) => {
                let word = Spanned { value: place.to_owned(), span: text.span.clone() };
                known_instance(&word, text, instances, findings);
            }
            None => {
                let message = format!("`{}` is not an address, nor a pattern of addresses", text.value);
                let finding = Finding::error(WRONG_VALUE, message).at(&text.span);
                findings.push(finding.help("write such as `person:breakglass1` or `okta:group/admin.*`"));
            }
        }
    }
    protected.into_iter().map(|text| Spanned { value: Pattern::new(text.value), span: text.span }).collect()
}

fn manifests(
    folders: Option<Vec<Spanned<String>>>,
    memory: &str,
    findings: &mut Vec<Finding>,
) -> Vec<String> {
    let folders = folders.filter(|folders| !folders.is_empty());
    let Some(folders) = folders else { return FOLDERS.map(str::to_owned).to_vec() };
    for folder in &folders {
        let name = folder.trim_end_matches('/');
        check_path(folder, findings);
        if within(name, memory) || within(memory, name) {
            let message = format!("the folder `{name}` and the memory `{memory}` are in each other");
            let finding = Finding::error(BAD_PATH, message).at(&folder.span);
            findings.push(finding.help("what is remembered must not be read as manifests"));
        }
    }
    folders.into_iter().map(|folder| folder.trim_end_matches('/').to_owned()).collect()
}

/// Whether a path is a folder, or lies in it.
pub(crate) fn within(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn folder(path: Option<Spanned<String>>, default: &str, findings: &mut Vec<Finding>) -> String {
    let Some(path) = path else { return default.to_owned() };
    check_path(&path, findings);
    path.trim_end_matches('/').to_owned()
}

fn check_path(path: &Spanned<String>, findings: &mut Vec<Finding>) {
    if !is_inside(path.strip_suffix('/').unwrap_or(path)) {
        let message = format!("`{}` is not a plain path within the access repo", path.value);
        let finding = Finding::error(BAD_PATH, message).at(&path.span);
        findings.push(finding.help("write it relative to `rolecall.yaml`, with `/` and without `..`"));
    }
}

/// Reports an instance that `providers:` does not have; `shown` is the text that names it.
pub(crate) fn known_instance(
    instance: &Spanned<String>,
    shown: &Spanned<String>,
    instances: &BTreeSet<Name>,
    findings: &mut Vec<Finding>,
) {
    if !instances.contains(instance.as_str()) {
        let message = format!("`{}` names a provider that is not in `providers:`", shown.value);
        findings.push(unknown(UNKNOWN_INSTANCE, message, instance, instances.iter().map(AsRef::as_ref)));
    }
}
