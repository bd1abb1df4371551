//! What every provider must do, as a suite that runs over a simulator, a real server or a plug-in.
//!
//! A narrative of steps: each is written, observed, written once more by a fresh writer, and observed again.
//! Invariant: it fails where a change is not there afterwards, where writing it twice ends elsewhere than writing it
//! once, and where something is missing from what is called whole. It must not know any vendor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::{Clock, Error, ErrorKind, Outcome, Provider};
use crate::model::{
    Address, Attributes, Cause, Change, Coverage, Digest, GrantKey, Name, Op, Origin, Permit, Risk, Snapshot,
    Span, Value,
};

/// How often it looks whether what was written can be seen, a second apart at first, then longer and longer.
const LOOKS: u32 = 8;

/// One step: changes that are written one after another by one writer.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it does, for messages.
    pub name: &'static str,
    /// The changes.
    pub changes: Vec<Change>,
}

impl Step {
    /// A step.
    pub fn new(name: &'static str, changes: impl IntoIterator<Item = Change>) -> Self {
        Self { name, changes: changes.into_iter().collect() }
    }
}

/// Makes the permit for the effects of a step. The suite itself has no way to make one.
pub type PermitFor<'a> = &'a (dyn Fn(BTreeSet<Digest>) -> Permit + Sync);

/// Where the suite failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub step: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step `{}`: {}", self.step, self.what)
    }
}

impl std::error::Error for Failure {}

/// Creates a resource.
#[must_use]
pub fn create(address: &Address, after: Attributes) -> Change {
    change(Op::Create, address, None, None, Some(after))
}

/// Changes a resource.
#[must_use]
pub fn update(address: &Address, before: Attributes, after: Attributes) -> Change {
    change(Op::Update, address, None, Some(before), Some(after))
}

/// Deletes a resource.
#[must_use]
pub fn delete(address: &Address, before: Attributes) -> Change {
    change(Op::Delete, address, None, Some(before), None)
}

/// Adds an edge.
#[must_use]
pub fn grant(key: &GrantKey) -> Change {
    change(Op::Grant, &key.resource, Some(key), None, Some(Attributes::new()))
}

/// Removes an edge.
#[must_use]
pub fn revoke(key: &GrantKey) -> Change {
    change(Op::Revoke, &key.resource, Some(key), Some(Attributes::new()), None)
}

fn change(
    op: Op,
    address: &Address,
    grant: Option<&GrantKey>,
    before: Option<Attributes>,
    after: Option<Attributes>,
) -> Change {
    let effect = Change::effect_of(op, address, grant, after.as_ref(), &[]);
    let fields = match (&before, &after) {
        (Some(before), Some(after)) => after
            .iter()
            .filter(|(name, value)| before.get(*name) != Some(*value))
            .map(|(name, _)| name.clone())
            .collect(),
        _ => BTreeSet::new(),
    };
    let (text, span) = ("the conformance suite".to_owned(), Span::file("conformance"));
    Change {
        op,
        address: address.clone(),
        grant: grant.cloned(),
        subject: None,
        precondition: Digest::of(&before),
        before,
        after,
        fields,
        cause: Cause::Request,
        standing: None,
        reason: Origin { text, span, chain: Vec::new(), role: None },
        also: Vec::new(),
        until: None,
        risk: Risk::Low,
        risk_reasons: Vec::new(),
        requires: BTreeSet::new(),
        dependents: Vec::new(),
        effect,
        approved_by: None,
        taken_over: false,
    }
}

/// Runs the narrative. `observe` are the resources whose edges are looked at, besides those of the changes themselves.
/// Returns what is there in the end.
pub async fn run(
    provider: &dyn Provider,
    clock: &dyn Clock,
    observe: &BTreeSet<Address>,
    steps: &[Step],
    permit_for: PermitFor<'_>,
) -> Result<Snapshot, Failure> {
    let failed = |step: &str, what: String| Failure { step: step.to_owned(), what };
    provider.identity().await.map_err(|error| failed("identity", error.to_string()))?;
    let mut edges_of = observe.clone();
    edges_of.extend(steps.iter().flat_map(|step| &step.changes).map(|change| change.address.clone()));

    let mut live = whole(provider, &edges_of).await.map_err(|what| failed("before", what))?;
    for step in steps {
        let failed = |what: String| failed(step.name, what);
        refuses_without_permit(provider, &live, step, permit_for).await.map_err(failed)?;
        write(provider, clock, &live, step, permit_for).await.map_err(failed)?;
        let once = settled(provider, clock, &edges_of, step).await.map_err(failed)?;
        // A fresh writer that knows only what was observed: what an interrupted run continues with.
        write(provider, clock, &live, step, permit_for)
            .await
            .map_err(|what| failed(format!("the second time, {what}")))?;
        let twice = settled(provider, clock, &edges_of, step).await.map_err(failed)?;
        if let Some(difference) = difference(&once, &twice) {
            return Err(failed(format!("writing it twice is not like writing it once: {difference}")));
        }
        write(provider, clock, &twice, step, permit_for)
            .await
            .map_err(|what| failed(format!("the third time, {what}")))?;
        live = settled(provider, clock, &edges_of, step).await.map_err(failed)?;
        if let Some(difference) = difference(&twice, &live) {
            return Err(failed(format!("what is there already was written again: {difference}")));
        }
        reads_alike(provider, &live, step).await.map_err(failed)?;
    }
    Ok(live)
}

/// Checks that an observation in which something could not be read says so: whatever it lacks of `whole` lies in a scope
/// that is not called complete.
pub fn tells_what_is_missing(whole: &Snapshot, cut: &Snapshot) -> Result<(), Failure> {
    let failed = |what: String| Failure { step: "incomplete read".into(), what };
    if !cut.coverage.values().any(|coverage| matches!(coverage, Coverage::Partial(_))) {
        return Err(failed("no scope is partial".into()));
    }
    for address in whole.resources.keys().filter(|address| !cut.resources.contains_key(*address)) {
        if cut.coverage_of(address) == Some(&Coverage::Complete) {
            return Err(failed(format!("`{address}` is missing, and its scope is called complete")));
        }
    }
    for grant in whole.grants.iter().filter(|grant| cut.grant(&grant.key).is_none()) {
        if cut.coverage_of_grant(&grant.key) == Some(&Coverage::Complete) {
            return Err(failed(format!("`{}` is missing, and its scope is called complete", grant.key)));
        }
    }
    Ok(())
}

/// What the first difference between two observations is, in words.
#[must_use]
pub fn difference(one: &Snapshot, two: &Snapshot) -> Option<String> {
    for (address, resource) in &one.resources {
        match two.resources.get(address) {
            None => return Some(format!("`{address}` is gone")),
            Some(other) if other != resource => return Some(format!("`{address}` has changed")),
            Some(_) => {}
        }
    }
    if let Some(address) = two.resources.keys().find(|address| !one.resources.contains_key(*address)) {
        return Some(format!("`{address}` has come"));
    }
    let edges = |snapshot: &Snapshot| -> BTreeMap<_, _> {
        snapshot.grants.iter().map(|grant| (grant.key.clone(), grant.clone())).collect()
    };
    let (one, two) = (edges(one), edges(two));
    one.iter()
        .find(|(key, grant)| two.get(*key) != Some(*grant))
        .map(|(key, _)| format!("`{key}` is not as before"))
        .or_else(|| two.keys().find(|key| !one.contains_key(*key)).map(|key| format!("`{key}` has come")))
}

async fn whole(provider: &dyn Provider, edges_of: &BTreeSet<Address>) -> Result<Snapshot, String> {
    let live = provider.observe(edges_of).await;
    for (scope, coverage) in &live.coverage {
        if let Coverage::Partial(why) = coverage {
            return Err(format!("`{scope}` was not read whole: {why}"));
        }
    }
    for address in edges_of {
        if live.coverage_of(address).is_none() {
            return Err(format!("nothing says whether `{address}` was looked for"));
        }
    }
    Ok(live)
}

/// Observes until what the step did can be seen.
async fn settled(
    provider: &dyn Provider,
    clock: &dyn Clock,
    edges_of: &BTreeSet<Address>,
    step: &Step,
) -> Result<Snapshot, String> {
    let mut missing = String::new();
    for look in 0..LOOKS {
        let live = whole(provider, edges_of).await?;
        match step.changes.iter().find_map(|change| not_done(&live, change)) {
            None => return Ok(live),
            Some(what) => missing = what,
        }
        clock.sleep(Duration::from_secs(1 << look)).await;
    }
    Err(missing)
}

fn not_done(live: &Snapshot, change: &Change) -> Option<String> {
    let target = change.target();
    match (change.op, &change.grant) {
        (Op::Revoke, Some(key)) => live.grant(key).map(|_| format!("`{target}` is still there")),
        (_, Some(key)) => match live.grant(key) {
            None => Some(format!("`{target}` is not there")),
            Some(grant) => lacks(&grant.attributes, change)
                .map(|name| format!("`{name}` of `{target}` is not as written")),
        },
        (Op::Delete, None) => {
            live.resources.get(&change.address).map(|_| format!("`{target}` is still there"))
        }
        (_, None) => match live.resources.get(&change.address) {
            None => Some(format!("`{target}` is not there")),
            Some(resource) => lacks(&resource.attributes, change)
                .map(|name| format!("`{name}` of `{target}` is not as written")),
        },
    }
}

fn lacks<'c>(live: &Attributes, change: &'c Change) -> Option<&'c str> {
    let after = change.after.as_ref()?;
    // What is wanted to be nothing is so where it is not there.
    let is_so = |(name, value): &(&Name, &Value)| live.get(*name).unwrap_or(&Value::Null) == *value;
    after.iter().find(|pair| !is_so(pair)).map(|(name, _)| name.as_ref())
}

async fn write(
    provider: &dyn Provider,
    clock: &dyn Clock,
    live: &Snapshot,
    step: &Step,
    permit_for: PermitFor<'_>,
) -> Result<(), String> {
    let permit = permit_for(step.changes.iter().map(|change| change.effect.clone()).collect());
    let writer = provider.writer(&permit, live);
    for change in &step.changes {
        if provider.lane(change) != provider.lane(change) {
            return Err(format!("`{}` has no lane of its own", change.target()));
        }
        let failed = |error: Error| format!("`{} {}` failed: {error}", change.op, change.target());
        let mut outcome = writer.write(change).await.map_err(failed)?;
        for look in 0..LOOKS {
            let Outcome::Pending { poll } = &outcome else { break };
            clock.sleep(Duration::from_secs(1 << look)).await;
            outcome = match writer.poll(change, poll).await {
                // It can be observed, if not asked for.
                Err(error) if error.kind == ErrorKind::Unsupported => break,
                answer => answer.map_err(failed)?,
            };
        }
    }
    Ok(())
}

async fn refuses_without_permit(
    provider: &dyn Provider,
    live: &Snapshot,
    step: &Step,
    permit_for: PermitFor<'_>,
) -> Result<(), String> {
    let writer = provider.writer(&permit_for(BTreeSet::new()), live);
    let calls = provider.calls();
    for change in &step.changes {
        match writer.write(change).await {
            Err(Error { kind: ErrorKind::Denied, .. }) if provider.calls() == calls => {}
            other => return Err(format!("`{}` without a permit gives {other:?}", change.target())),
        }
    }
    Ok(())
}

/// Reading one thing, or one edge, shows the same as observing all.
async fn reads_alike(provider: &dyn Provider, live: &Snapshot, step: &Step) -> Result<(), String> {
    let addresses: BTreeSet<_> = step.changes.iter().map(|change| &change.address).collect();
    for address in addresses {
        let read =
            provider.read(address).await.map_err(|error| format!("`{address}` cannot be read: {error}"))?;
        // What takes a call of its own to read is shown by a look at the thing alone.
        let shown = |seen: &Snapshot| {
            let observed = live.resources.get(address);
            let mut resource = seen.resources.get(address).cloned();
            if let (Some(resource), Some(observed)) = (&mut resource, observed) {
                resource.attributes.retain(|name, _| observed.attributes.contains_key(name));
            }
            resource
        };
        if shown(&read) != shown(live) {
            return Err(format!("`{address}` read alone is not what was observed"));
        }
        let edges = |snapshot: &Snapshot| -> BTreeSet<_> {
            snapshot.grants.iter().filter(|grant| grant.key.resource == *address).cloned().collect()
        };
        if edges(&read) != edges(live) {
            return Err(format!("the edges on `{address}` read alone are not what was observed"));
        }
    }
    for key in step.changes.iter().filter_map(|change| change.grant.as_ref()) {
        let read = provider.read_grant(key).await;
        let read = read.map_err(|error| format!("`{key}` cannot be read: {error}"))?;
        if read.as_ref() != live.grant(key) {
            return Err(format!("`{key}` read alone is not what was observed"));
        }
    }
    Ok(())
}
