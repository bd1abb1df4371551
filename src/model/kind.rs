//! Kinds, their schemas, and the registry of what the providers have.
//!
//! A kind is a schema plus, where people may declare it, a typed manifest that lowers to resources and grants.
//! Invariant: everything generic (diff, digest, render, order, redaction) is driven by the schema alone.
//! It must not do I/O: the registry is data and pure functions, handed in by `cli`.

use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema as JsonSchemaDocument, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::address::{Address, Name};
use super::decode::decode;
use super::finding::Finding;
use super::inventory::Account;
use super::lowering::{AccessLowering, Lowering};
use super::plan::{Change, Op};
use super::span::Node;
use super::value::{Attributes, Value};

/// What is true of an attribute, beyond its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// It cannot be changed after creation.
    pub immutable: bool,
    /// It is never read into live, and no manifest field holds one.
    pub sensitive: bool,
    /// The provider sets it; we never do.
    pub computed: bool,
    /// It is given at creation, and the provider does not show it afterwards, so it is never compared.
    pub unseen: bool,
    /// A list without order or repeats.
    pub set: bool,
    /// A policy document: shown as line diffs, compared in canonical form (which the provider makes on both sides).
    pub document: bool,
    /// A map that is owned key by key (tags): keys that YAML does not name are left alone.
    pub keyed: bool,
    /// It gives access: counted, capped and judged like a grant (inline policies, trust, boundary).
    pub access: bool,
    /// Nothing is made without it, so that a name alone makes none.
    pub required: bool,
    /// To read it takes a call for each thing, so that it is read only of what declares it.
    pub on_demand: bool,
    /// Some of its values end the thing, or what it can do: `deleted`, a disabled account, nobody who pays.
    pub ends: bool,
}

/// An attribute of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name in snake_case, the provider's word.
    pub name: Name,
    /// What is true of it.
    pub flags: Flags,
    /// What an omitted field means; `None`: an omitted field is unmanaged.
    pub default: Option<Value>,
    /// The kind that its value names (a full address as text); orders creation and explains.
    pub reference: Option<Name>,
}

impl Flags {
    /// Whether a value of it ends the thing.
    #[must_use]
    pub fn ended_by(self, value: Option<&Value>) -> bool {
        self.ends
            && match value {
                None | Some(Value::Null | Value::Bool(true)) => true,
                Some(value) => value.as_text() == Some("deleted"),
            }
    }

    /// Whether live shows what we asked for, so that the two can be compared.
    #[must_use]
    pub fn compared(self) -> bool {
        !self.computed && !self.sensitive && !self.unseen
    }
}

impl Attribute {
    /// An attribute without flags.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), flags: Flags::default(), default: None, reference: None }
    }

    /// With flags.
    #[must_use]
    pub fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// With what an omitted field means.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// With the kind that its value names.
    #[must_use]
    pub fn reference(mut self, kind: &str) -> Self {
        self.reference = Some(kind.into());
        self
    }
}

/// What a kind of resource consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The kind in addresses: `role`.
    pub kind: Name,
    /// The kind in `own:` selectors: `roles`.
    pub plural: Name,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// Whether one that is gone cannot be made again (a person's account, an AWS account): never deleted because its
    /// file vanished.
    pub irreplaceable: bool,
    /// Whether whoever is named is taken to exist where none of this kind were looked for: people whom another directory
    /// masters.
    pub assumed: bool,
}

impl Schema {
    /// A schema without attributes.
    #[must_use]
    pub fn new(kind: &str, plural: &str) -> Self {
        Self {
            kind: kind.into(),
            plural: plural.into(),
            attributes: Vec::new(),
            irreplaceable: false,
            assumed: false,
        }
    }

    /// With one more attribute.
    #[must_use]
    pub fn with(mut self, attribute: Attribute) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// An attribute by name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name.as_ref() == name)
    }
}

/// A kind of edge that a provider has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name: `member`, `attached`, `assigned`. A `*` at its end stands for any rest: roles that a vendor binds.
    pub name: Name,
    /// Kinds that can be its principal.
    pub principals: Vec<Name>,
    /// Kinds that can be its resource; `managed` for a vendor's own things.
    pub resources: Vec<Name>,
    /// In words, between principal and resource: `member of`.
    pub words: Name,
    /// Whether authority over it goes pair by pair: of the edges of one such relation on one resource, those of known
    /// people and of our own principals are ours, and all others stay.
    pub pair: bool,
}

impl Relation {
    /// Whether an edge of that name is of this sort.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.name.strip_suffix('*').map_or(&*self.name == name, |start| name.starts_with(start))
    }
}

/// A typed manifest of a provider's kind, ready to be lowered.
pub trait Native: fmt::Debug + Send + Sync {
    /// Says which resources, grants and claims it stands for, in one scope.
    fn lower(&self, lowering: &mut Lowering<'_>);
}

/// Decodes the body of a document (without the header keys).
pub type Parse = fn(&Node, &mut Vec<Finding>) -> Option<Arc<dyn Native>>;

/// A kind of resource.
#[derive(Debug, Clone)]
pub struct Kind {
    /// What it consists of.
    pub schema: Schema,
    /// How people declare it; `None` where it is only ever observed.
    pub declared: Option<Declared>,
}

/// How a kind is declared in YAML.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// The `kind:` of the document: `aws/Role`.
    pub name: &'static str,
    /// Decodes a document's body.
    pub parse: Parse,
    /// The JSON Schema of a document's body.
    pub json_schema: fn(&mut SchemaGenerator) -> JsonSchemaDocument,
}

impl Kind {
    /// A kind that is only ever observed.
    #[must_use]
    pub fn observed(schema: Schema) -> Self {
        Self { schema, declared: None }
    }

    /// A kind that documents named `name` declare as `T`.
    #[must_use]
    pub fn of<T: Native + DeserializeOwned + JsonSchema + 'static>(
        name: &'static str,
        schema: Schema,
    ) -> Self {
        fn parse<T: Native + DeserializeOwned + 'static>(
            node: &Node,
            findings: &mut Vec<Finding>,
        ) -> Option<Arc<dyn Native>> {
            decode::<T>(node, findings).map(|native| Arc::new(native) as Arc<dyn Native>)
        }
        let json_schema = |generator: &mut SchemaGenerator| T::json_schema(generator);
        Self { schema, declared: Some(Declared { name, parse: parse::<T>, json_schema }) }
    }
}

/// Everything pure that the engine must know of one sort of provider.
#[derive(Debug, Clone)]
pub struct ProviderType {
    /// `okta`, `aws`: the first part of its documents' kinds, and the default of `provider:`.
    pub name: &'static str,
    /// Its kinds.
    pub kinds: Vec<Kind>,
    /// Its edges.
    pub relations: Vec<Relation>,
    /// The kind that people are here; what `identities:` gives the name of.
    pub person_kind: &'static str,
    /// The kind and relation of a role's own group, where this provider keeps groups for roles.
    pub role_group: Option<(&'static str, &'static str)>,
    /// Lowers one entry of a role's `access:` for one scope.
    pub access: fn(&Node, &mut AccessLowering<'_>),
    /// The JSON Schema of such an entry.
    pub access_schema: fn(&mut SchemaGenerator) -> JsonSchemaDocument,
    /// The address of a principal from the text of an identity (a name, an e-mail, an ARN).
    pub principal: fn(instance: &str, scope: Option<&str>, identity: &str) -> Address,
    /// Checks the provider's own settings (all keys but `provider` and `own`) and finds the scope of things that name none.
    pub settings: fn(&Node, &mut Vec<Finding>) -> ProviderScope,
    /// The JSON Schema of its settings.
    pub settings_schema: fn(&mut SchemaGenerator) -> JsonSchemaDocument,
    /// What it knows of things that are in one another; `None` where each stands for itself.
    pub places: Option<Places>,
}

/// What a provider knows whose things are in one another: accounts in folders, and everything else in accounts.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// The thing that a thing is in, and cannot be without.
    pub holder: fn(&Address) -> Option<Address>,
    /// The account that a declared thing is, or would be.
    pub account: fn(&Address, &Attributes) -> Option<Account>,
    /// What a principal is called in policies: `group:x@acme.com`.
    pub member: fn(&Address) -> Option<String>,
}

/// The scope that a provider's settings give to what names none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderScope {
    /// The scope in addresses: an account's id; `None` where the provider has no scopes.
    pub scope: Option<Name>,
    /// What people call it.
    pub name: Option<Name>,
}

/// All sorts of providers that this build knows.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// One each.
    pub types: Vec<ProviderType>,
}

impl Registry {
    /// A sort of provider by name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&ProviderType> {
        self.types.iter().find(|provider| provider.name == name)
    }

    /// A kind by the `kind:` of its documents, with its provider.
    #[must_use]
    pub fn declared(&self, name: &str) -> Option<(&ProviderType, &Kind)> {
        let provider = self.provider(name.split_once('/')?.0)?;
        let kind =
            provider.kinds.iter().find(|kind| kind.declared.is_some_and(|declared| declared.name == name))?;
        Some((provider, kind))
    }
}

impl ProviderType {
    /// A schema by the kind in addresses.
    #[must_use]
    pub fn schema(&self, kind: &str) -> Option<&Schema> {
        self.kinds.iter().map(|kind| &kind.schema).find(|schema| schema.kind.as_ref() == kind)
    }

    /// A relation by name.
    #[must_use]
    pub fn relation(&self, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.covers(name))
    }

    /// Whether authority over the edges of a relation goes pair by pair.
    #[must_use]
    pub fn is_pair(&self, relation: &str) -> bool {
        self.relation(relation).is_some_and(|relation| relation.pair)
    }
}

/// Schemas by instance, as planner, gate and render need them: which sort of provider an instance is.
#[derive(Debug, Clone, Default)]
pub struct Schemas {
    /// Sorts by instance name.
    pub instances: std::collections::BTreeMap<Name, ProviderType>,
}

impl Schemas {
    /// The sort of provider that an address is of.
    #[must_use]
    pub fn provider(&self, address: &Address) -> Option<&ProviderType> {
        self.instances.get(address.instance())
    }

    /// Whether a change of fields ends the thing, or what it can do; and the field that does.
    #[must_use]
    pub fn ending(&self, change: &Change) -> Option<Name> {
        let schema =
            self.of(&change.address).filter(|_| change.op == Op::Update && change.grant.is_none())?;
        let after = |field: &Name| change.after.as_ref().and_then(|after| after.get(field));
        let ends = |field: &&Name| {
            let flags = schema.attribute(field).map(|attribute| attribute.flags).unwrap_or_default();
            flags.ended_by(after(field))
        };
        change.fields.iter().find(ends).cloned()
    }

    /// The thing that a thing is in.
    #[must_use]
    pub fn holder(&self, address: &Address) -> Option<Address> {
        (self.provider(address)?.places?.holder)(address)
    }

    /// The account that a declared thing is, or would be.
    #[must_use]
    pub fn account(&self, address: &Address, attributes: &Attributes) -> Option<Account> {
        (self.provider(address)?.places?.account)(address, attributes)
    }

    /// What a principal is called in policies.
    #[must_use]
    pub fn member(&self, principal: &Address) -> Option<String> {
        (self.provider(principal)?.places?.member)(principal)
    }

    /// Whether authority over the edges of a relation on a resource goes pair by pair.
    #[must_use]
    pub fn is_pair(&self, resource: &Address, relation: &str) -> bool {
        self.provider(resource).is_some_and(|provider| provider.is_pair(relation))
    }

    /// The schema of the kind that an address is of.
    #[must_use]
    pub fn of(&self, address: &Address) -> Option<&Schema> {
        self.provider(address)?.schema(address.kind())
    }
}
