//! Lowering: what a provider's manifest or access entry says it stands for, before people and accounts are known.
//!
//! Invariant: every resource, grant and reference made here carries the place in YAML that asked for it.
//! It must not decide whether something may be touched or exists: that is the planner's.

use std::sync::Arc;

use super::address::{Address, Name};
use super::finding::{Code, Finding, Sources};
use super::grant::{Collection, GrantKey};
use super::resource::Origin;
use super::span::{Span, Spanned};
use super::value::{Attributes, Value};

/// A file that a manifest names is not there or cannot be read.
pub const BAD_FILE: Code = Code { code: "RC113", title: "a file named in a manifest cannot be used" };

/// What a manifest is lowered with, and into.
#[derive(Debug)]
pub struct Lowering<'a> {
    /// The provider's instance.
    pub instance: &'a str,
    /// The scope: an account's id.
    pub scope: Option<&'a str>,
    /// What people call that scope, or what the provider's things are all in.
    pub scope_name: Option<&'a str>,
    /// The document's `name`.
    pub name: &'a Spanned<String>,
    /// Where the document stands.
    pub origin: Arc<Origin>,
    /// The files of the access repo, for documents kept beside the manifest.
    pub sources: &'a Sources,
    /// What has been said so far.
    pub out: &'a mut Lowered,
}

/// What manifests stand for.
#[derive(Debug, Clone, Default)]
pub struct Lowered {
    /// Resources that are declared.
    pub resources: Vec<LoweredResource>,
    /// Grants between addresses.
    pub grants: Vec<(GrantKey, Attributes, Arc<Origin>)>,
    /// Grants to people by handle; the principal comes from `identities:`.
    pub people: Vec<PersonGrant>,
    /// Collections of edges that are what YAML says, no more.
    pub claims: Vec<(Collection, Arc<Origin>)>,
    /// Names of manifests that must exist, with the document kind they must be of.
    pub references: Vec<(Address, Span)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// A declared resource.
#[derive(Debug, Clone)]
pub struct LoweredResource {
    /// Its address.
    pub address: Address,
    /// What YAML says of it; omitted fields are absent.
    pub attributes: Attributes,
    /// Where.
    pub origin: Arc<Origin>,
    /// Whether its membership may become empty.
    pub allow_empty: bool,
}

/// A grant to a person, named by handle.
#[derive(Debug, Clone)]
pub struct PersonGrant {
    /// Who.
    pub handle: Spanned<String>,
    /// What the edge is called.
    pub relation: Name,
    /// On what.
    pub resource: Address,
    /// Attributes of the edge.
    pub attributes: Attributes,
    /// Where.
    pub origin: Arc<Origin>,
}

impl Lowering<'_> {
    /// The address of a thing of this provider, in this document's scope.
    #[must_use]
    pub fn address(&self, kind: &str, name: &str) -> Address {
        Address::new(self.instance, self.scope, kind, name)
    }

    /// The origin of one place within the document.
    #[must_use]
    pub fn origin_at(&self, span: &Span) -> Arc<Origin> {
        Arc::new(Origin { span: span.clone(), ..(*self.origin).clone() })
    }

    /// A reference of a native document: `managed:X` is the vendor's own, a full address is itself, and a bare name is a
    /// manifest of that kind, which must exist.
    pub fn reference(&mut self, kind: &str, text: &Spanned<String>) -> Option<Address> {
        if text.value.contains(':') {
            return match text.value.parse() {
                Ok(address) => Some(address),
                Err(error) => {
                    let error: super::address::AddressError = error;
                    self.out.findings.push(
                        Finding::error(super::decode::WRONG_VALUE, error.to_string())
                            .at(&text.span)
                            .help("write a manifest's name, `managed:NAME`, or a full address"),
                    );
                    None
                }
            };
        }
        let address = self.address(kind, &text.value);
        self.out.references.push((address.clone(), text.span.clone()));
        Some(address)
    }

    /// Declares the document's resource; attributes that are `None` are left to the schema's default, else unmanaged.
    pub fn resource<'v>(
        &mut self,
        kind: &str,
        attributes: impl IntoIterator<Item = (&'v str, Option<Value>)>,
        allow_empty: bool,
    ) -> Address {
        let address = self.address(kind, self.name);
        let attributes =
            attributes.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect();
        self.out.resources.push(LoweredResource {
            address: address.clone(),
            attributes,
            origin: self.origin.clone(),
            allow_empty,
        });
        address
    }

    /// Asks for an edge between two addresses.
    pub fn grant(&mut self, principal: &Address, relation: &str, resource: &Address, span: &Span) {
        let key = GrantKey::new(principal, relation, resource);
        self.out.grants.push((key, Attributes::new(), self.origin_at(span)));
    }

    /// Asks for an edge from a person.
    pub fn grant_person(&mut self, handle: &Spanned<String>, relation: &str, resource: &Address) {
        self.out.people.push(PersonGrant {
            handle: handle.clone(),
            relation: relation.into(),
            resource: resource.clone(),
            attributes: Attributes::new(),
            origin: self.origin_at(&handle.span),
        });
    }

    /// Says that a collection of edges is what YAML says, no more.
    pub fn claim(&mut self, collection: Collection) {
        self.out.claims.push((collection, self.origin.clone()));
    }

    /// The text of a file beside the manifest; the path is relative to the manifest's folder and stays within the repo.
    pub fn file(&mut self, path: &Spanned<String>) -> Option<String> {
        let refuse = |why: &str| {
            Finding::error(BAD_FILE, format!("the file `{}` {why}", path.value))
                .at(&path.span)
                .help("name a file beside this manifest, relative to it")
        };
        let bad = path.value.is_empty()
            || path.value.starts_with('/')
            || path.value.contains(['\\', ':'])
            || path.value.split('/').any(|part| part == ".." || part.is_empty());
        if bad {
            self.out.findings.push(refuse("is not a plain relative path"));
            return None;
        }
        let folder = path.span.file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let full = if folder.is_empty() { path.value.clone() } else { format!("{folder}/{}", path.value) };
        let Some(bytes) = self.sources.files.get(full.as_str()) else {
            self.out.findings.push(refuse("does not exist"));
            return None;
        };
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => {
                self.out.findings.push(refuse("is not UTF-8"));
                None
            }
        }
    }
}

/// How an access target reaches a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    /// Each person gets the edge, by `identities:` (groups, IAM policies).
    People,
    /// The role's own group gets it (apps, assignments, bindings).
    Group,
}

/// One thing that a role's `access:` entry names.
#[derive(Debug, Clone)]
pub struct Target {
    /// The provider's instance, in which people's principals are looked up.
    pub instance: Name,
    /// What is given.
    pub resource: Address,
    /// By which edge.
    pub relation: Name,
    /// To whom.
    pub through: Through,
    /// Attributes of the edge.
    pub attributes: Attributes,
    /// Under which condition, in canonical text.
    pub condition: Option<Name>,
    /// Whether the provider itself is told when the edge ends.
    pub native_expiry: bool,
    /// Whether all edges of this relation on it are what YAML says, no more.
    pub exclusive: bool,
    /// Where YAML names it.
    pub span: Span,
}

/// What an access entry is lowered with, and into.
#[derive(Debug)]
pub struct AccessLowering<'a> {
    /// The provider's instance.
    pub instance: &'a str,
    /// The scope: an account's id.
    pub scope: Option<&'a str>,
    /// What people call that scope.
    pub scope_name: Option<&'a str>,
    /// What the entry names.
    pub targets: &'a mut Vec<Target>,
    /// What is wrong.
    pub findings: &'a mut Vec<Finding>,
}

impl AccessLowering<'_> {
    /// Names a target: a bare name is a live or declared thing of that kind, `managed:X` the vendor's own.
    pub fn target(&mut self, kind: &str, relation: &str, through: Through, name: &Spanned<String>) {
        let resource = if name.value.contains(':') {
            match name.value.parse() {
                Ok(address) => address,
                Err(_) => Address::new(self.instance, self.scope, kind, &name.value),
            }
        } else {
            Address::new(self.instance, self.scope, kind, &name.value)
        };
        let span = name.span.clone();
        self.targets.push(Target {
            instance: self.instance.into(),
            resource,
            relation: relation.into(),
            through,
            attributes: Attributes::new(),
            condition: None,
            native_expiry: false,
            exclusive: false,
            span,
        });
    }
}
