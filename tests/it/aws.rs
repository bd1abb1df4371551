//! The AWS provider from outside: a small planner of its own turns manifests into changes for the real writer.
//!
//! `wire` has scripted answers and `simulated` the simulator, both in virtual time; `moto` stands beside this file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rolecall::model::ProviderScope;
use rolecall::model::settings::ProviderSettings;
use rolecall::model::{
    Address, Approval, Attributes, Cause, Change, Coverage, Digest, Entry, Finding, GrantKey, LiveGrant,
    Lowered, Lowering, Name, Node, NodeValue, Op, Origin, Permit, Risk, Ruling, Snapshot, Sources, Span,
    Spanned, Value, Verdict,
};
use rolecall::provider::{Error, Provider, SystemClock};
use rolecall::providers::Wiring;

use rolecall::providers::aws::document::canonical;
use rolecall::providers::aws::{open, provider_type};

mod declaring;
mod simulated;
mod wire;

/// What YAML would give for the same text, all at one place.
pub(crate) fn node(text: &str) -> Node {
    fn tree(json: serde_json::Value) -> Node {
        let value = match json {
            serde_json::Value::Null => NodeValue::Null,
            serde_json::Value::Bool(value) => NodeValue::Bool(value),
            serde_json::Value::Number(number) => NodeValue::Int(number.as_i64().unwrap()),
            serde_json::Value::String(text) => NodeValue::Text(text),
            serde_json::Value::Array(items) => NodeValue::List(items.into_iter().map(tree).collect()),
            serde_json::Value::Object(map) => NodeValue::Map(
                map.into_iter()
                    .map(|(value, node)| Entry { key: Spanned { value, span: place() }, value: tree(node) })
                    .collect(),
            ),
        };
        Node { value, span: place() }
    }
    tree(serde_json::from_str(text).unwrap())
}

fn place() -> Span {
    Span { file: "native/x.yaml".into(), line: 3, column: 5, length: 1 }
}

fn origin() -> Origin {
    Origin { text: "a test".into(), span: Span::file("native/x.yaml"), chain: Vec::new(), role: None }
}

/// What a manifest of kind `aws/…`, written as JSON, stands for.
pub(crate) fn lowered(kind: &str, name: &str, body: &str, account: &str, sources: &Sources) -> Lowered {
    let mut out = Lowered::default();
    let types = provider_type();
    let kind = types.kinds.iter().find(|k| k.declared.unwrap().name == kind).unwrap();
    let Some(native) = (kind.declared.unwrap().parse)(&node(body), &mut out.findings) else { return out };
    let name = Spanned { value: name.to_owned(), span: Span::file("native/x.yaml") };
    native.lower(&mut Lowering {
        instance: "aws",
        scope: Some(account),
        scope_name: None,
        name: &name,
        origin: Arc::new(origin()),
        sources,
        out: &mut out,
    });
    out
}

/// What many manifests (kind, name, body) stand for.
pub(crate) fn desired(account: &str, manifests: &[(&str, &str, &str)]) -> Lowered {
    let mut all = Lowered::default();
    for (kind, name, body) in manifests {
        let one = lowered(kind, name, body, account, &Sources::default());
        assert_eq!(errors(&one.findings), Vec::<&str>::new(), "{kind} {name}");
        all.resources.extend(one.resources);
        all.grants.extend(one.grants);
        all.claims.extend(one.claims);
    }
    all
}

pub(crate) fn errors(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|f| f.level == rolecall::model::Level::Error).map(|f| f.message.as_str()).collect()
}

pub(crate) fn change(op: Op, address: &Address) -> Change {
    Change {
        op,
        address: address.clone(),
        grant: None,
        subject: None,
        before: None,
        after: None,
        fields: BTreeSet::new(),
        cause: Cause::Request,
        standing: None,
        reason: origin(),
        also: Vec::new(),
        until: None,
        risk: Risk::Low,
        risk_reasons: Vec::new(),
        requires: BTreeSet::new(),
        dependents: Vec::new(),
        precondition: Digest::of(&""),
        effect: Change::effect_of(op, address, None, None, &[]),
        approved_by: None,
        taken_over: false,
    }
}

pub(crate) fn edge(op: Op, key: &GrantKey) -> Change {
    let effect = Change::effect_of(op, &key.resource, Some(key), None, &[]);
    Change { grant: Some(key.clone()), effect, ..change(op, &key.resource) }
}

/// What leads from live to desired; everything declared in `base` and not in `head` goes.
pub(crate) fn changes(base: &Lowered, head: &Lowered, live: &Snapshot) -> Vec<Change> {
    let schemas = provider_type();
    let (mut first, mut then, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for wanted in &head.resources {
        let schema = schemas.schema(wanted.address.kind()).unwrap();
        let mut after = wanted.attributes.clone();
        for attribute in &schema.attributes {
            if let Some(default) = &attribute.default {
                after.entry(attribute.name.clone()).or_insert_with(|| default.clone());
            }
        }
        let Some(found) = live.resources.get(&wanted.address) else {
            // Policies first: others name them as boundaries.
            let list = if wanted.address.kind() == "policy" { &mut first } else { &mut then };
            list.push(Change { after: Some(after), ..change(Op::Create, &wanted.address) });
            continue;
        };
        let mut before = Attributes::new();
        for (name, value) in &after {
            let keyed = schema.attribute(name).unwrap().flags.keyed;
            let seen = found.attributes.get(name).cloned().unwrap_or_default();
            let base = base.resources.iter().find(|r| r.address == wanted.address);
            let base = base.and_then(|r| r.attributes.get(name)).and_then(Value::as_map);
            let ours = |key: &Name| {
                value.as_map().is_some_and(|m| m.contains_key(key))
                    || base.is_some_and(|m| m.contains_key(key))
            };
            let seen = match seen {
                Value::Map(map) if keyed => {
                    Value::Map(map.into_iter().filter(|(key, _)| ours(key)).collect())
                }
                other => other,
            };
            before.insert(name.clone(), seen);
        }
        let fields: BTreeSet<Name> = after
            .iter()
            .filter(|(name, value)| {
                let seen = &before[*name];
                seen != *value && !(seen.is_empty() && value.is_empty())
            })
            .map(|(name, _)| name.clone())
            .collect();
        if !fields.is_empty() {
            then.push(Change {
                before: Some(before),
                after: Some(after),
                fields,
                ..change(Op::Update, &wanted.address)
            });
        }
    }
    let wanted: BTreeSet<&GrantKey> = head.grants.iter().map(|(key, ..)| key).collect();
    let missing = wanted.iter().filter(|key| live.grant(key).is_none());
    then.extend(missing.map(|key| edge(Op::Grant, key)));
    for LiveGrant { key, .. } in &live.grants {
        let claimed = head.claims.iter().any(|(collection, _)| key.is_in(collection));
        if claimed && !wanted.contains(key) {
            last.push(edge(Op::Revoke, key));
        }
    }
    for old in &base.resources {
        let kept = head.resources.iter().any(|new| new.address == old.address);
        if !kept && live.resources.contains_key(&old.address) {
            let list = &mut last;
            list.push(change(Op::Delete, &old.address));
        }
    }
    // A policy goes last, when nothing has it any more.
    last.sort_by_key(|change| change.op == Op::Delete && change.address.kind() == "policy");
    first.into_iter().chain(then).chain(last).collect()
}

pub(crate) fn permit(changes: &[Change]) -> Permit {
    let effects = changes.iter().map(|change| change.effect.clone()).collect();
    Permit::new(Verdict::new(Ruling::Allowed, effects), Approval::Simulated)
}

/// Writes all, one after the other.
pub(crate) async fn apply(aws: &dyn Provider, changes: &[Change], live: &Snapshot) -> Result<(), Error> {
    let writer = aws.writer(&permit(changes), live);
    for change in changes {
        let written = writer.write(change).await;
        written.map_err(|error| Error {
            message: format!("{} {}: {error}", change.op, change.target()),
            ..error
        })?;
    }
    Ok(())
}

pub(crate) async fn observe(aws: &dyn Provider) -> Snapshot {
    let seen = aws.observe(&BTreeSet::new()).await;
    assert_eq!(seen.coverage.values().collect::<Vec<_>>(), [&Coverage::Complete]);
    seen
}

/// Plans against what is live, writes, and asserts that nothing is left to do.
pub(crate) async fn converge(aws: &dyn Provider, base: &Lowered, head: &Lowered) -> Vec<Change> {
    let live = observe(aws).await;
    let changes = changes(base, head, &live);
    apply(aws, &changes, &live).await.unwrap();
    let left = self::changes(base, head, &observe(aws).await);
    assert_eq!(left, [], "the second plan is empty");
    changes
}

pub(crate) fn settings(options: &str) -> ProviderSettings {
    let scope = ProviderScope::default();
    ProviderSettings { instance: "aws".into(), provider: "aws".into(), options: node(options), scope }
}

pub(crate) fn wiring() -> Wiring {
    Wiring { transport: None, clock: Arc::new(SystemClock), credentials: Arc::new(|_| None) }
}
