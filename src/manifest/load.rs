//! Loading: from the bytes of an access repo to its [`Tree`], or to everything that is wrong with it.
//!
//! Invariant: a tree without errors or none at all; every file is read however broken the others are.
//! It must not read files: it is given their bytes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use super::documents::{GrantFile, NativeDocument, Role, Separation, Suspension, Tree, User};
use super::header::{Header, Names, OWN_KINDS};
use super::settings::{FOLDERS, Read, settings, within};
use super::shape::unknown;
use super::yaml::{self, Document};
use super::{BAD_PATH, NO_SETTINGS, UNKNOWN_KIND, duties, native, people, references, roles, text};
use crate::model::{
    Digest, Finding, LOCK_FILE, Level, Name, NodeValue, Registry, Settings, Sources, Span, Spanned, Waiver,
    has_errors,
};

/// The file with the settings, at the root of an access repo.
pub const SETTINGS_FILE: &str = "rolecall.yaml";

/// The most findings that are told of one file.
const MAX_FINDINGS: usize = 100;

/// Loads an access repo. The tree is there unless a finding is an error; the findings are sorted by place.
#[must_use]
pub fn load(sources: &Sources, registry: &Registry) -> (Option<Tree>, Vec<Finding>) {
    let mut findings = Vec::new();
    let read = read_settings(sources, registry, &mut findings);
    let knows_directory = read.as_ref().is_some_and(|read| read.knows_directory);
    let settings = read.map(|read| read.settings);
    let mut loader = Loader::new(registry, settings.as_ref(), findings);
    let defaults = FOLDERS.map(str::to_owned);
    let folders = settings.as_ref().map_or(defaults.as_slice(), |settings| &settings.manifests);
    for (file, bytes) in &sources.files {
        if folders.iter().any(|folder| within(folder, file)) {
            loader.file(file, bytes);
        }
    }
    let Loader { names, documents, mut findings, .. } = loader;
    let locked = sources.files.get_key_value(LOCK_FILE);
    let lock = locked.and_then(|(file, bytes)| super::lock::lock(file, bytes, &mut findings));
    let directory = settings.as_ref().map(|settings| &settings.directory).filter(|_| knows_directory);
    references::check(&documents, &names, settings.as_ref(), directory, &mut findings);
    let findings = tidy(findings);
    let tree = settings.filter(|_| !has_errors(&findings)).map(|settings| Tree {
        settings,
        users: documents.users,
        roles: documents.roles,
        grants: documents.grants,
        suspensions: documents.suspensions,
        separations: documents.separations,
        waivers: documents.waivers,
        natives: documents.natives,
        lock,
        digest: digest(sources),
        sources: sources.clone(),
        findings: findings.clone(),
    });
    (tree, findings)
}

/// The folders that hold manifests, as the bytes of `rolecall.yaml` say; the usual ones where they do not. What is wrong
/// with them is for [`load`] to tell.
#[must_use]
pub fn folders(settings: &[u8]) -> Vec<String> {
    let documents = yaml::read(&Name::from(SETTINGS_FILE), settings, &mut Vec::new());
    let named = documents.first().and_then(|document| match &document.node.get("manifests")?.value {
        NodeValue::List(items) => {
            Some(items.iter().filter_map(|item| item.as_text().map(str::to_owned)).collect())
        }
        _ => None,
    });
    named.unwrap_or_else(|| FOLDERS.map(str::to_owned).to_vec())
}

fn read_settings(sources: &Sources, registry: &Registry, findings: &mut Vec<Finding>) -> Option<Read> {
    let file = Name::from(SETTINGS_FILE);
    let Some(bytes) = sources.files.get(&file) else {
        let finding = Finding::error(NO_SETTINGS, "there is no `rolecall.yaml`").at(&Span::file(file));
        findings.push(finding.help("run this in the root of an access repo, or name it"));
        return None;
    };
    let before = findings.len();
    let mut documents = yaml::read(&file, bytes, findings).into_iter();
    let Some(first) = documents.next() else {
        if findings.len() == before {
            let finding = Finding::error(NO_SETTINGS, "`rolecall.yaml` says nothing").at(&Span::file(file));
            findings.push(finding.help("it begins with `format: 1` and `organization:`"));
        }
        return None;
    };
    if let Some(second) = documents.next() {
        let finding = Finding::error(NO_SETTINGS, "`rolecall.yaml` is one document, and this is another");
        findings.push(finding.at(&second.node.span).help("put manifests into the folders of `manifests:`"));
    }
    if first.whole { settings(&first.node, registry, findings) } else { None }
}

/// The documents that could be decoded.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) users: Vec<User>,
    pub(crate) roles: Vec<Role>,
    pub(crate) grants: Vec<GrantFile>,
    pub(crate) suspensions: Vec<Suspension>,
    pub(crate) separations: Vec<Separation>,
    pub(crate) waivers: Vec<Waiver>,
    pub(crate) natives: Vec<NativeDocument>,
}

/// Decodes documents, one by one.
pub(super) struct Loader<'a> {
    registry: &'a Registry,
    settings: Option<&'a Settings>,
    zone: TimeZone,
    names: Names,
    documents: Documents,
    findings: Vec<Finding>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(
        registry: &'a Registry,
        settings: Option<&'a Settings>,
        findings: Vec<Finding>,
    ) -> Self {
        Self {
            registry,
            zone: settings.map_or(TimeZone::UTC, |settings| settings.timezone.clone()),
            settings,
            names: Names::default(),
            documents: Documents::default(),
            findings,
        }
    }

    /// What was decoded, and what is wrong with the rest.
    pub(super) fn finish(self) -> (Documents, Vec<Finding>) {
        (self.documents, self.findings)
    }

    fn file(&mut self, file: &Name, bytes: &[u8]) {
        let name = file.rsplit('/').next().unwrap_or(file);
        match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
            Some("yaml") if name.ends_with(".yaml") => {
                let enough = self.findings.len() + yaml::MAX_MISTAKES;
                for document in yaml::read(file, bytes, &mut self.findings) {
                    if self.findings.len() < enough {
                        self.document(document);
                    }
                }
            }
            Some("yaml" | "yml") => {
                let finding = Finding::error(BAD_PATH, format!("`{name}` would not be read"));
                let help = "manifests end in `.yaml`, in lower case; rename it";
                self.findings.push(finding.at(&Span::file(file.clone())).help(help));
            }
            // Files beside manifests, such as policy documents in JSON, are read by those that name them.
            _ => {}
        }
    }

    pub(super) fn document(&mut self, Document { mut node, whole }: Document) {
        if !whole {
            // What is wrong with it is reported; its name still counts, if it can be made out.
            if let Some(header) = Header::take(&mut node, &mut Vec::new()) {
                self.names.declare(&header, "", &mut self.findings);
            }
            return;
        }
        let Some(header) = Header::take(&mut node, &mut self.findings) else { return };
        let (zone, findings) = (&self.zone, &mut self.findings);
        if let Some((provider, kind)) = self.registry.declared(&header.kind)
            && let Some(declared) = kind.declared
        {
            let read = native::native(&header, node, provider, declared, self.settings, findings);
            self.names.declare(&header, &read.distinct, findings);
            self.documents.natives.extend(read.document);
            return;
        }
        self.names.declare(&header, "", findings);
        match header.kind.as_str() {
            "User" => self.documents.users.extend(people::user(header, &node, zone, findings)),
            "Role" | "Unit" => self.documents.roles.extend(roles::role(header, &node, zone, findings)),
            "Grant" => self.documents.grants.extend(roles::grant(header, &node, zone, findings)),
            "Suspension" => {
                self.documents.suspensions.extend(duties::suspension(header, &node, findings));
            }
            "Separation" => {
                self.documents.separations.extend(duties::separation(header, &node, findings));
            }
            "Waiver" => self.documents.waivers.extend(people::waiver(header, &node, zone, findings)),
            _ => findings.push(unknown_kind(&header.kind, self.registry)),
        }
    }
}

fn unknown_kind(kind: &Spanned<String>, registry: &Registry) -> Finding {
    let natives = registry.types.iter().flat_map(|provider| &provider.kinds);
    let natives = natives.filter_map(|kind| kind.declared.map(|declared| declared.name));
    let known: Vec<&str> = OWN_KINDS.into_iter().chain(natives).collect();
    unknown(UNKNOWN_KIND, format!("there is no kind `{}`", kind.value), kind, known)
}

/// The digest of all paths and bytes.
fn digest(sources: &Sources) -> Digest {
    let files: BTreeMap<&str, Digest> =
        sources.files.iter().map(|(path, bytes)| (path.as_ref(), Digest::of_bytes(bytes))).collect();
    Digest::of(&files)
}

/// Sorts by place, leaves out repeats and what merely follows from another mistake, and keeps the list readable.
fn tidy(mut findings: Vec<Finding>) -> Vec<Finding> {
    let is_text = |finding: &Finding| {
        let codes =
            [yaml::AMBIGUOUS, yaml::BAD_ALIAS, yaml::UNSUPPORTED, yaml::DUPLICATE_KEY, text::BAD_CHARACTER];
        codes.iter().any(|code| code.code == finding.code.as_ref())
    };
    let place =
        |finding: &Finding| finding.span.as_ref().map(|span| (span.file.clone(), span.line, span.column));
    let reported: BTreeSet<_> =
        findings.iter().filter(|finding| is_text(finding)).filter_map(place).collect();
    findings
        .retain(|finding| is_text(finding) || place(finding).is_none_or(|place| !reported.contains(&place)));
    findings.sort_by(|a, b| a.span.cmp(&b.span).then_with(|| a.cmp(b)));
    findings.dedup();

    let file = |finding: &Finding| finding.span.as_ref().map(|span| span.file.clone());
    let mut tidied = Vec::new();
    for of_file in findings.chunk_by(|a, b| file(a) == file(b)) {
        let shown = of_file.len().min(MAX_FINDINGS);
        tidied.extend_from_slice(&of_file[..shown]);
        if let Some(next) = of_file.get(shown) {
            let level = of_file[shown..].iter().map(|finding| finding.level).max().unwrap_or(Level::Error);
            let rest = of_file.len() - shown;
            let message = format!("and at least {rest} more in this file, from here on");
            tidied.push(Finding { level, message, help: None, notes: Vec::new(), ..next.clone() });
        }
    }
    tidied
}
