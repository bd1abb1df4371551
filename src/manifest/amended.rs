//! Which documents head has otherwise than base.
//!
//! Invariant: two documents that say the same are the same, wherever they stand, in whatever order, with whatever comments,
//! descriptions and reasons; a file that is no document is what its bytes are. It must not say who has to approve them.

use std::collections::{BTreeMap, BTreeSet};

use super::documents::Tree;
use super::header::{Header, OWN_KINDS};
use super::load::SETTINGS_FILE;
use super::settings::within;
use super::yaml;
use crate::model::{Amended, Digest, LOCK_FILE, Name, Risk, Span, Value};

/// What a document says, and where.
struct Said {
    digest: Digest,
    value: Value,
    span: Span,
}

type Documents = BTreeMap<(String, String), Said>;

/// The documents that differ, by kind and name.
#[must_use]
pub fn amended(head: &Tree, base: &Tree) -> Vec<Amended> {
    let (now, before) = (documents(head, base), documents(base, head));
    let keys: BTreeSet<&(String, String)> = now.keys().chain(before.keys()).collect();
    let differs = |key: &&(String, String)| {
        let digest = |side: &Documents| side.get(*key).map(|said| said.digest.clone());
        let (before_digest, after) = (digest(&before), digest(&now));
        if before_digest == after {
            return None;
        }
        let sides = || [before.get(*key), now.get(*key)].into_iter().flatten();
        let (kind, name) = (*key).clone();
        let roles = match kind.as_str() {
            "Role" => [Name::from(name.as_str())].into(),
            "Grant" => sides().flat_map(|said| texts(&said.value, "roles")).collect(),
            _ => BTreeSet::new(),
        };
        let to = match kind.as_str() {
            "Grant" => now.get(*key).into_iter().flat_map(|said| texts(&said.value, "to")).collect(),
            _ => BTreeSet::new(),
        };
        let risk = match kind.as_str() {
            // These judge whatever comes after.
            "Settings" | "Separation" | "Waiver" => Risk::High,
            _ => Risk::Medium,
        };
        let span = sides().last().map(|said| said.span.clone())?;
        let effect = Digest::of(&());
        let mut amended = Amended { kind, name, before: before_digest, after, risk, roles, to, span, effect };
        amended.effect = amended.own_effect();
        Some(amended)
    };
    keys.iter().filter_map(differs).collect()
}

/// The documents of those files that another tree has not just so.
fn documents(tree: &Tree, other: &Tree) -> Documents {
    let mut documents = Documents::new();
    let manifests = |file: &str| tree.settings.manifests.iter().any(|folder| within(folder, file));
    let same_place = tree.settings.manifests == other.settings.manifests;
    for (file, bytes) in &tree.sources.files {
        // What is the same file may be read by one and not by the other.
        if same_place && other.sources.files.get(file) == Some(bytes) {
            continue;
        }
        let is_settings = file.as_ref() == SETTINGS_FILE;
        if !is_settings && !manifests(file) && file.as_ref() != LOCK_FILE {
            continue;
        }
        let is_yaml = file.ends_with(".yaml");
        if !is_yaml {
            let said =
                Said { digest: Digest::of_bytes(bytes), value: Value::Null, span: Span::file(file.clone()) };
            documents.insert(("file".to_owned(), file.to_string()), said);
            continue;
        }
        for mut document in yaml::read(file, bytes, &mut Vec::new()) {
            let span = document.node.span.clone();
            let (kind, name) = match Header::take(&mut document.node, &mut Vec::new()) {
                _ if is_settings => ("Settings".to_owned(), file.to_string()),
                // Roles and units share their names.
                Some(header) if header.kind.value == "Unit" => ("Role".to_owned(), header.name.value),
                Some(header) => (header.kind.value, header.name.value),
                // A tree that was loaded has none without.
                None => continue,
            };
            let mut value = document.node.to_value();
            if OWN_KINDS.contains(&kind.as_str()) {
                value = plain(value);
            }
            // Things of one name in several accounts are one document here.
            let earlier = documents.remove(&(kind.clone(), name.clone()));
            let digest = Digest::of(&(earlier.map(|said| said.digest), &value));
            documents.insert((kind, name), Said { digest, value, span });
        }
    }
    documents
}

/// A document of ours without what it says to people alone, and its lists in one order: each is a set.
fn plain(value: Value) -> Value {
    let Value::Map(mut map) = value else { return value };
    for key in ["description", "reason"] {
        map.remove(key);
    }
    for key in ["members", "except"] {
        let Some(Value::List(entries)) = map.get_mut(key) else { continue };
        for entry in entries {
            if let Value::Map(entry) = entry {
                entry.remove("reason");
            }
        }
    }
    sorted(Value::Map(map))
}

fn sorted(value: Value) -> Value {
    match value {
        Value::List(items) => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            items.sort_by_cached_key(Digest::of);
            Value::List(items)
        }
        Value::Map(map) => Value::Map(map.into_iter().map(|(key, value)| (key, sorted(value))).collect()),
        other => other,
    }
}

/// The texts under a key: one, or a list of them.
fn texts(value: &Value, key: &str) -> Vec<Name> {
    let Some(value) = value.as_map().and_then(|map| map.get(key)) else { return Vec::new() };
    let items = value.as_list().unwrap_or_else(|| std::slice::from_ref(value));
    items.iter().filter_map(|item| item.as_text()).map(Name::from).collect()
}
