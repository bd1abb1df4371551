//! What must wait: frozen, incomplete, absent, identity.
//!
//! Invariant: a removal goes on only if all that it rests on was read whole; those who are known to have left or are
//! suspended are the exception: what was seen of theirs goes. Of what is given, only a grant may rest on a partial read.
//! It must not decide what should change.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::plan::Standing;
use crate::model::{
    Address, Attributes, Cause, Change, Coverage, DemandState, Finding, GrantKey, Guard, Held, LapseCause,
    May, Name, Op, Schemas, Value, WantedGrant, Why, nearest,
};

use super::facts::Facts;
use super::resources::Asked;
use super::{Input, MISSING_PERSON};

/// What became of the resources.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) changes: Vec<Change>,
    /// What will exist.
    pub(super) making: HashSet<Address>,
    /// What will not.
    pub(super) dropping: HashSet<Address>,
    /// What is to go and must wait: what hangs on it waits with it.
    pub(super) lingering: HashSet<Address>,
}

/// Why a change must wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    why: Why,
    text: String,
    remedy: Option<String>,
}

impl Reason {
    fn new(why: Why, text: impl Into<String>) -> Self {
        Self { why, text: text.into(), remedy: None }
    }

    /// The change, held.
    pub(super) fn hold(self, change: Change) -> Held {
        let Self { why, text, remedy } = self;
        Held { why, text, remedy, change }
    }
}

/// Splits changes of resources into those that go on and those that wait.
pub(super) fn resources(facts: &Facts<'_>, proposed: Vec<Change>, held: &mut Vec<Held>) -> Settled {
    let mut going = Vec::new();
    let mut lingering = HashSet::new();
    for change in proposed {
        if let Some(text) = incomplete_resource(facts, &change) {
            if change.op == Op::Delete {
                lingering.insert(change.address.clone());
            }
            held.push(Reason::new(Why::Incomplete, text).hold(change));
        } else if change.op == Op::Create && facts.was_deleted(&change.address) {
            let address = &change.address;
            let text =
                format!("`{address}` was there and was deleted by somebody; made again it would be empty");
            let remedy = Some(format!("`rolecall plan --revert {address}` makes it again, with its grants"));
            held.push(Reason { why: Why::Absent, text, remedy }.hold(change));
        } else {
            going.push(change);
        }
    }
    // What refers to something that does not exist and is not being made waits, and so does what refers to that.
    loop {
        let making: HashSet<Address> = going
            .iter()
            .filter(|change| change.op == Op::Create)
            .map(|change| change.address.clone())
            .collect();
        let missing = |change: &Change| {
            let after = change.after.as_ref().filter(|_| change.op.writes())?;
            let named = references(facts.input.schemas, &change.address, after);
            named.into_iter().find(|address| !making.contains(address) && !facts.exists(address))
        };
        let mut found = false;
        let mut left = Vec::new();
        for change in going {
            match missing(&change) {
                Some(address) => {
                    found = true;
                    held.push(not_there(facts, &address).hold(change));
                }
                None => left.push(change),
            }
        }
        going = left;
        if !found {
            let dropping = going.iter().filter(|change| change.op == Op::Delete);
            let dropping = dropping.map(|change| change.address.clone()).collect();
            return Settled { changes: going, making, dropping, lingering };
        }
    }
}

fn incomplete_resource(facts: &Facts<'_>, change: &Change) -> Option<String> {
    let live = facts.input.live;
    let address = &change.address;
    let unread = |coverage: Option<&Coverage>| match coverage {
        _ if !Guard::Coverage.holds() => None,
        Some(Coverage::Complete) => None,
        Some(Coverage::Partial(why)) => Some(format!("`{address}` was not read whole: {why}")),
        None if facts.is_in_nothing(address) => None,
        None => Some(format!("`{address}` was not read")),
    };
    match change.op {
        Op::Create | Op::Update => unread(live.coverage_of(address)),
        Op::Delete => {
            // What hangs on it is part of what is approved, so its edges must have been read too.
            let edges = live.coverage.get(address.as_str()).or_else(|| live.coverage.get(address.place()));
            unread(live.coverage_of(address))
                .or_else(|| unread(edges).map(|text| format!("{text} (what hangs on it)")))
                .or_else(|| facts.inventory_gap.clone())
        }
        Op::Grant | Op::Revoke | Op::Adopt | Op::Forget => None,
    }
}

/// People whom the directory does not have, and how many removals wait for them.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<Address, u64>);

const MISSING: &str = "absent is not a leaver: mark him as deprovisioned in the directory, or give him a `User` with an `until:` that has passed";

impl Waiting {
    pub(super) fn report(self, findings: &mut Vec<Finding>) {
        for (person, count) in self.0 {
            let message = format!(
                "`{person}` is missing from the directory, and not known to have left: {count} removals wait"
            );
            findings.push(Finding::warning(MISSING_PERSON, message).about(&person).help(MISSING));
        }
    }
}

/// Why a change of an edge must wait.
pub(super) fn edge(
    facts: &Facts<'_>,
    change: &Change,
    making: &HashSet<Address>,
    waiting: &mut Waiting,
) -> Option<Reason> {
    match change.op {
        Op::Grant | Op::Update => giving(facts, change, making),
        Op::Revoke => taking(facts, change, waiting),
        Op::Create | Op::Delete | Op::Adopt | Op::Forget => None,
    }
}

fn giving(facts: &Facts<'_>, change: &Change, making: &HashSet<Address>) -> Option<Reason> {
    let key = change.grant.as_ref()?;
    let ends = [&key.resource, &key.principal];
    let relation = key.named();
    let missing = |end: &&Address| !making.contains(*end) && !facts.exists(end);
    if let Some(end) = ends.into_iter().chain(&relation).find(missing) {
        return Some(not_there(facts, end));
    }
    if let Some(text) = changed_hands(facts, change) {
        return Some(Reason::new(Why::Identity, text));
    }
    if change.op == Op::Grant
        && let Some(doubt) = doubtful(facts, key)
    {
        return Some(doubt);
    }
    // An edge of what does not exist yet cannot have been read, nor be there.
    let is_new = ends.iter().any(|end| making.contains(*end));
    let read = facts.input.live.coverage_of_grant(key);
    match read {
        None if !is_new => {
            Some(Reason::new(Why::Incomplete, format!("the grants on `{}` were not read", key.resource)))
        }
        // Giving what may be there already changes nothing; changing attributes that were not read might.
        Some(Coverage::Partial(why)) if change.op == Op::Update => Some(Reason::new(
            Why::Incomplete,
            format!("the grants on `{}` were not read whole: {why}", key.resource),
        )),
        _ => None,
    }
}

fn taking(facts: &Facts<'_>, change: &Change, waiting: &mut Waiting) -> Option<Reason> {
    let key = change.grant.as_ref()?;
    let subject = change.subject.as_ref();
    let seen = change.before.is_some();
    if seen && Guard::Leavers.holds() && subject.is_some_and(|person| facts.gone(person).is_some()) {
        return None;
    }
    let head = facts.input.head;
    let lapse = head.lapsed.get(key).map(|lapse| lapse.cause);
    let explicit = matches!(
        lapse,
        Some(LapseCause::Expired | LapseCause::Excepted | LapseCause::Left | LapseCause::Suspended)
    ) || subject
        .is_some_and(|person| head.removed.contains_key(person) || facts.is_on_another_side(person, change));
    if !explicit {
        let demanded = facts.demanded(key).into_iter().flat_map(|demand| demand.roles.iter());
        let asked = base_roles(facts, change);
        let roles = change.reason.role.iter().chain(&asked).chain(demanded);
        for role in roles {
            if let Some(finding) = head.frozen.get(role) {
                return Some(Reason::new(Why::Frozen, finding.message.clone()));
            }
        }
    }
    let missing = |person: &&Address| !facts.is_known(person) && !head.removed.contains_key(*person);
    if let Some(person) = subject.filter(missing) {
        *waiting.0.entry(person.clone()).or_default() += 1;
        return Some(Reason::new(
            Why::Incomplete,
            format!("`{person}` is missing from the directory, and not known to have left"),
        ));
    }
    if let Some(gap) = &facts.inventory_gap {
        return Some(Reason::new(Why::Incomplete, gap.clone()));
    }
    match facts.input.live.coverage_of_grant(key) {
        _ if !Guard::Coverage.holds() => {}
        None => {
            return Some(Reason::new(
                Why::Incomplete,
                format!("the grants on `{}` were not read", key.resource),
            ));
        }
        Some(Coverage::Partial(why)) => {
            return Some(Reason::new(
                Why::Incomplete,
                format!("the grants on `{}` were not read whole: {why}", key.resource),
            ));
        }
        Some(Coverage::Complete) => {}
    }
    if let Some(text) = changed_hands(facts, change) {
        return Some(Reason::new(Why::Identity, text));
    }
    let moves = change.cause == Cause::Standing && change.standing == Some(Standing::Mover) && !explicit;
    let until = facts.handed_over(key);
    (moves && facts.input.now < until).then(|| {
        let until = until.strftime("%Y-%m-%d %H:%M UTC");
        Reason::new(Why::Pending, format!("a mover keeps what he had for his handover, until {until}"))
    })
}

/// Why it is not known that an edge should be given: every role that gives it may have members whom its `except` was to
/// keep out. What memory saw to be true was given before that.
fn doubtful(facts: &Facts<'_>, key: &GrantKey) -> Option<Reason> {
    let doubts = &facts.input.head.doubtful;
    if doubts.is_empty() || facts.demanded(key).is_some_and(|demand| demand.state == DemandState::True) {
        return None;
    }
    let wanted = facts.input.head.grant(key).filter(|wanted| wanted.subject.is_some())?;
    let mut all = wanted.origins.iter().map(|origin| doubts.get(origin.role.as_ref()?));
    let first = all.next().flatten()?;
    let (why, text) = first;
    all.all(|doubt| doubt.is_some()).then(|| Reason::new(*why, text.as_str()))
}

/// All roles that base says give an edge.
fn base_roles(facts: &Facts<'_>, change: &Change) -> Vec<Name> {
    if change.cause == Cause::Drift {
        return Vec::new();
    }
    let key = change.grant.as_ref();
    let wanted = key.zip(facts.input.base).and_then(|(key, base)| base.grant(key));
    let roles =
        |wanted: WantedGrant| wanted.origins.iter().filter_map(|origin| origin.role.clone()).collect();
    wanted.map_or_else(Vec::new, roles)
}

/// What is now another than was locked, or a principal that is someone else's than the change was asked for.
fn changed_hands(facts: &Facts<'_>, change: &Change) -> Option<String> {
    let key = change.grant.as_ref()?;
    let strangers = facts.input.strangers;
    let mut named =
        [Some(&key.principal), Some(&key.resource), change.subject.as_ref()].into_iter().flatten();
    if let Some(text) = named.find_map(|end| strangers.get(end)) {
        return Some(text.clone());
    }
    let subject = change.subject.as_ref()?;
    let now = facts.person(&key.principal).filter(|now| *now != subject)?;
    Some(format!("`{}` was `{subject}` and is now `{now}`", key.principal))
}

fn not_there(facts: &Facts<'_>, address: &Address) -> Reason {
    if !facts.would_be_seen(address) {
        return Reason::new(Why::Incomplete, format!("whether `{address}` exists was not read"));
    }
    let text = format!("`{address}` does not exist and is not being created");
    Reason { remedy: facts.advice(address), ..Reason::new(Why::Absent, text) }
}

/// What would let go on what waits for something absent; nothing where it is declared, since its own change says that.
pub(super) fn advice(input: &Input<'_>, person: bool, address: &Address, may: May) -> Option<String> {
    let asked = Asked::of(input.head, address);
    if asked.is_some_and(|asked| asked.declared) {
        return None;
    }
    if person {
        // Another one's account that is merely spelled alike is not to be suggested.
        return Some("make the account there, or say in `identities:` which one it is".to_owned());
    }
    let name = address.name();
    let alike = |other: &&Address| other.place() == address.place() && other.kind() == address.kind();
    let names = input.live.resources.keys().filter(alike).map(|other| (other.name(), other));
    // Names of one place tend to begin alike (`app.`), which makes no typo of one another.
    let names = names.filter(|(other, _)| {
        strsim::damerau_levenshtein(&name, other) * 3 <= name.chars().count().max(other.chars().count())
    });
    let names: BTreeMap<_, _> = names.collect();
    if let Some(near) = nearest(&name, names.keys().map(AsRef::as_ref)) {
        return Some(format!("did you mean `{}`?", names[near]));
    }
    // What an access entry names is made if that is allowed; what a field refers to is not.
    Some(if asked.is_some() && may < May::All {
        "declare it, make it there by hand, or give it `may: all` in `own:` of `rolecall.yaml`".to_owned()
    } else {
        "declare it, or make it there by hand".to_owned()
    })
}

/// What a resource cannot be without: what it is in, and what its attributes refer to.
pub(super) fn references(schemas: &Schemas, address: &Address, attributes: &Attributes) -> BTreeSet<Address> {
    let mut found: BTreeSet<Address> = schemas.holder(address).into_iter().collect();
    let Some(schema) = schemas.of(address) else { return found };
    for attribute in schema.attributes.iter().filter(|attribute| attribute.reference.is_some()) {
        let value = attributes.get(&attribute.name);
        let texts = value.and_then(Value::as_text).into_iter();
        let items = value.and_then(Value::as_list).into_iter().flatten().filter_map(Value::as_text);
        // A text that is no address names nothing of ours: an ARN of another account, say.
        found.extend(texts.chain(items).filter_map(|text| text.parse::<Address>().ok()));
    }
    found
}
