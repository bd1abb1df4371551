//! JSON Schemas of everything that people write, for editors and for `rolecall schema`.
//!
//! Invariant: made of the very types that are decoded, so that schema and loader cannot drift apart.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::header::OWN_KINDS;
use super::native::NativeHeader;
use super::ownership::OwnBody;
use super::people::{UserBody, WaiverBody};
use super::roles::{AccessBody, GrantBody, RoleBody};
use super::settings::{ProviderBody, SettingsBody};
use super::shape::NAME_PATTERN;
use crate::model::{Declared, Many, ProviderType, Registry};

/// The JSON Schema of a kind, of `Settings` (`rolecall.yaml`), or without a kind of any document. `None` where there is
/// no such kind.
#[must_use]
pub fn json_schema(registry: &Registry, kind: Option<&str>) -> Option<Value> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = match kind {
        Some("Settings") => settings(registry, &mut generator),
        Some(kind) => document(registry, kind, &mut generator)?,
        None => {
            let natives = registry.types.iter().flat_map(|provider| &provider.kinds);
            let natives = natives.filter_map(|kind| kind.declared.map(|declared| declared.name));
            let kinds: Vec<Value> = OWN_KINDS
                .into_iter()
                .chain(natives)
                .filter_map(|kind| document(registry, kind, &mut generator))
                .collect();
            json!({ "oneOf": kinds })
        }
    };
    let access = access(registry, &mut generator);
    let mut definitions = generator.take_definitions(true);
    if let Some(open) = definitions.get_mut(AccessBody::schema_name().as_ref()) {
        *open = access;
    }
    let title = kind.unwrap_or("any document of an access repo");
    let fields = as_object(&mut root);
    fields.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    fields.insert("title".into(), title.into());
    if !definitions.is_empty() {
        fields.insert("$defs".into(), Value::Object(definitions));
    }
    Some(root)
}

fn document(registry: &Registry, kind: &str, generator: &mut SchemaGenerator) -> Option<Value> {
    let own_name = json!({ "type": "string", "pattern": NAME_PATTERN, "description": "Its name." });
    let body = match kind {
        "User" => UserBody::json_schema(generator),
        "Role" | "Unit" => RoleBody::json_schema(generator),
        "Grant" => GrantBody::json_schema(generator),
        "Waiver" => WaiverBody::json_schema(generator),
        _ => {
            let declared = registry.declared(kind)?.1.declared?;
            return Some(native(declared, generator));
        }
    };
    let mut body = body.to_value();
    named(&mut body, kind, own_name);
    Some(body)
}

fn native(declared: Declared, generator: &mut SchemaGenerator) -> Value {
    let mut body = (declared.json_schema)(generator).to_value();
    merge(&mut body, NativeHeader::json_schema(generator).to_value());
    let name = json!({ "type": "string", "minLength": 1, "description": "Its name, as the provider has it." });
    named(&mut body, declared.name, name);
    // The loader refuses every key that a kind does not have.
    as_object(&mut body).entry("additionalProperties").or_insert(false.into());
    body
}

/// Adds `kind` and `name`.
fn named(body: &mut Value, kind: &str, name: Value) {
    let kind = json!({ "const": kind, "description": "What this document is." });
    merge(body, json!({ "properties": { "kind": kind, "name": name }, "required": ["kind", "name"] }));
}

/// Adds the properties and required keys of another object schema.
fn merge(body: &mut Value, mut other: Value) {
    let body = as_object(body);
    let other = as_object(&mut other);
    body.entry("type").or_insert("object".into());
    if let Some(Value::Object(properties)) = other.remove("properties") {
        as_object(body.entry("properties").or_insert_with(|| json!({}))).extend(properties);
    }
    if let Some(Value::Array(required)) = other.remove("required") {
        if let Value::Array(all) = body.entry("required").or_insert_with(|| json!([])) {
            all.extend(required);
        }
    }
}

fn settings(registry: &Registry, generator: &mut SchemaGenerator) -> Value {
    let mut root = SettingsBody::json_schema(generator).to_value();
    let mut sorts = Map::new();
    for provider in &registry.types {
        let mut body = (provider.settings_schema)(generator).to_value();
        merge(&mut body, ProviderBody::json_schema(generator).to_value());
        merge(&mut body, json!({ "properties": { "own": { "type": "array", "items": own(provider, generator) } } }));
        sorts.insert(provider.name.to_owned(), body);
    }
    let any: Vec<&Value> = sorts.values().collect();
    let other = if any.is_empty() { json!(false) } else { json!({ "anyOf": any }) };
    let providers = json!({
        "type": "object",
        "description": "The providers, by a name of your own.",
        "properties": sorts,
        "additionalProperties": other,
    });
    merge(&mut root, json!({ "properties": { "providers": providers } }));
    root
}

/// An entry of `own:`, with the plurals of a provider's kinds.
fn own(provider: &ProviderType, generator: &mut SchemaGenerator) -> Value {
    let mut body = OwnBody::json_schema(generator).to_value();
    let mut plurals = Map::new();
    for kind in &provider.kinds {
        let mut names = Many::<String>::json_schema(generator).to_value();
        let description = format!("Patterns of names of {}.", kind.schema.plural.replace('_', " "));
        as_object(&mut names).insert("description".into(), description.into());
        plurals.insert(kind.schema.plural.to_string(), names);
    }
    merge(&mut body, json!({ "properties": plurals }));
    body
}

/// An entry of `access:`, with what each provider takes.
fn access(registry: &Registry, generator: &mut SchemaGenerator) -> Value {
    let mut root = AccessBody::json_schema(generator).to_value();
    let mut sorts = Map::new();
    for provider in &registry.types {
        sorts.insert(provider.name.to_owned(), (provider.access_schema)(generator).to_value());
    }
    let any: Vec<&Value> = sorts.values().collect();
    let other = if any.is_empty() { json!(false) } else { json!({ "anyOf": any }) };
    let description = "What a role gives in one provider. The key is the provider's name in `rolecall.yaml`.";
    let fields = as_object(&mut root);
    fields.insert("description".into(), description.into());
    fields.insert("additionalProperties".into(), other);
    fields.insert("properties".into(), Value::Object(sorts));
    root
}

/// The fields of a schema; `true` and the like become an object first.
fn as_object(schema: &mut Value) -> &mut Map<String, Value> {
    if !schema.is_object() {
        *schema = json!({});
    }
    match schema {
        Value::Object(fields) => fields,
        _ => unreachable!("made an object just above"),
    }
}
