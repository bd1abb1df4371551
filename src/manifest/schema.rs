//! JSON Schemas of everything that people write, for editors and for `rolecall schema`.
//!
//! Invariant: made of the very types that are decoded, so that schema and loader cannot drift apart.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::duties::{SeparationBody, SuspensionBody};
use super::header::OWN_KINDS;
use super::native::NativeHeader;
use super::ownership::OwnBody;
use super::people::{UserBody, WaiverBody};
use super::roles::{AccessBody, GrantBody, RoleBody};
use super::settings_body::{ProviderBody, SettingsBody};
use super::shape::NAME_PATTERN;
use crate::model::{Declared, Many, ProviderType, Registry};

type Fields = Map<String, Value>;

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
            let kinds = OWN_KINDS.into_iter().chain(natives);
            let kinds: Vec<Value> =
                kinds.filter_map(|kind| document(registry, kind, &mut generator)).map(Value::from).collect();
            object(Some(json!({ "oneOf": kinds })))
        }
    };
    let access = access(registry, &mut generator);
    let mut definitions = generator.take_definitions(true);
    if let Some(open) = definitions.get_mut(AccessBody::schema_name().as_ref()) {
        *open = access.into();
    }
    root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".into(), kind.unwrap_or("any document of an access repo").into());
    if !definitions.is_empty() {
        root.insert("$defs".into(), definitions.into());
    }
    Some(root.into())
}

fn document(registry: &Registry, kind: &str, generator: &mut SchemaGenerator) -> Option<Fields> {
    let body = match kind {
        "User" => UserBody::json_schema(generator),
        "Role" | "Unit" => RoleBody::json_schema(generator),
        "Grant" => GrantBody::json_schema(generator),
        "Suspension" => SuspensionBody::json_schema(generator),
        "Separation" => SeparationBody::json_schema(generator),
        "Waiver" => WaiverBody::json_schema(generator),
        _ => {
            let declared = registry.declared(kind)?.1.declared?;
            return Some(native(declared, generator));
        }
    };
    let name = json!({ "type": "string", "pattern": NAME_PATTERN, "description": "Its name." });
    Some(named(fields(body), kind, name))
}

fn native(declared: Declared, generator: &mut SchemaGenerator) -> Fields {
    let header = fields(NativeHeader::json_schema(generator));
    let body = merged(fields((declared.json_schema)(generator)), header);
    let name =
        json!({ "type": "string", "minLength": 1, "description": "Its name, as the provider has it." });
    let mut body = named(body, declared.name, name);
    // The loader refuses every key that a kind does not have.
    body.entry("additionalProperties").or_insert(false.into());
    body
}

/// Adds `kind` and `name`.
fn named(body: Fields, kind: &str, name: Value) -> Fields {
    let kind = json!({ "const": kind, "description": "What this document is." });
    let mut properties = Fields::new();
    properties.insert("kind".into(), kind);
    properties.insert("name".into(), name);
    let mut body = with_properties(body, properties);
    let mut required = vec![json!("kind"), json!("name")];
    required.extend(list(body.remove("required")));
    body.insert("required".into(), required.into());
    body
}

/// Adds the properties and required keys of another schema.
fn merged(body: Fields, mut other: Fields) -> Fields {
    let mut body = with_properties(body, object(other.remove("properties")));
    let mut required = list(body.remove("required"));
    required.extend(list(other.remove("required")));
    if !required.is_empty() {
        body.insert("required".into(), required.into());
    }
    body
}

fn with_properties(mut body: Fields, more: Fields) -> Fields {
    let mut properties = object(body.remove("properties"));
    properties.extend(more);
    body.entry("type").or_insert("object".into());
    body.insert("properties".into(), properties.into());
    body
}

fn settings(registry: &Registry, generator: &mut SchemaGenerator) -> Fields {
    let mut sorts = Fields::new();
    for provider in &registry.types {
        let body = fields((provider.settings_schema)(generator));
        let body = merged(body, fields(ProviderBody::json_schema(generator)));
        let mut own = Fields::new();
        own.insert("own".into(), json!({ "type": "array", "items": own_entry(provider, generator) }));
        sorts.insert(provider.name.to_owned(), with_properties(body, own).into());
    }
    let description = "The providers, by a name of your own.";
    let mut properties = Fields::new();
    properties.insert("providers".into(), keyed_by_instance(sorts, description).into());
    with_properties(fields(SettingsBody::json_schema(generator)), properties)
}

/// An entry of `own:`, with the plurals of a provider's kinds.
fn own_entry(provider: &ProviderType, generator: &mut SchemaGenerator) -> Fields {
    let mut plurals = Fields::new();
    for kind in &provider.kinds {
        let mut names = fields(Many::<String>::json_schema(generator));
        let description = format!("Patterns of names of {}.", kind.schema.plural.replace('_', " "));
        names.insert("description".into(), description.into());
        plurals.insert(kind.schema.plural.to_string(), names.into());
    }
    with_properties(fields(OwnBody::json_schema(generator)), plurals)
}

/// An entry of `access:`, with what each provider takes.
fn access(registry: &Registry, generator: &mut SchemaGenerator) -> Fields {
    let mut sorts = Fields::new();
    for provider in &registry.types {
        sorts.insert(provider.name.to_owned(), (provider.access_schema)(generator).to_value());
    }
    let description = "What a role gives in one provider. The key is the provider's name in `rolecall.yaml`.";
    let mut entry = keyed_by_instance(sorts, description);
    entry.insert("minProperties".into(), 1.into());
    entry.insert("maxProperties".into(), 1.into());
    entry
}

/// A mapping by instance: one called like its sort is of that sort, any other of any.
fn keyed_by_instance(sorts: Fields, description: &str) -> Fields {
    let any: Vec<Value> = sorts.values().cloned().collect();
    let mut schema = Fields::new();
    schema.insert("type".into(), "object".into());
    schema.insert("description".into(), description.into());
    schema.insert(
        "additionalProperties".into(),
        if any.is_empty() { json!(false) } else { json!({ "anyOf": any }) },
    );
    schema.insert("properties".into(), sorts.into());
    schema
}

/// The fields of a schema; a schema that is `true` has none.
fn fields(schema: Schema) -> Fields {
    object(Some(schema.to_value()))
}

fn object(value: Option<Value>) -> Fields {
    if let Some(Value::Object(fields)) = value { fields } else { Fields::new() }
}

fn list(value: Option<Value>) -> Vec<Value> {
    if let Some(Value::Array(items)) = value { items } else { Vec::new() }
}
