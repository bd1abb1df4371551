//! A plan in words: a headline, sections, and items in which identical changes to many are folded into one.
//!
//! Invariant: every change, held change and drift of the plan is in exactly one item, and all media say what stands here
//! and nothing else. It must not escape or lay out: that is each medium's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::values::{Shown, show};
use super::words::{
    Line, Piece, condition, count, end, list, literal, plural, prose, relation, who, why, words,
};
use crate::model::plan::Standing;
use crate::model::{
    Amended, Attributes, Cause, Change, Drift, GrantKey, Held, Name, Op, Origin, Risk, Span, Value, Waived,
    Why,
};

/// Changes under one heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// How much it matters.
    pub(super) tone: Tone,
    /// The heading.
    pub(super) title: String,
    /// What is true of all that follows.
    pub(super) lead: Option<Line>,
    /// What happens.
    pub(super) items: Vec<Item>,
    /// What to do about it, or what to paste, line by line.
    pub(super) remedy: Vec<String>,
}

impl Section {
    /// What stands above the remedy: a document is to be pasted, anything else is to be read.
    pub(super) fn remedy_lead(&self) -> &'static str {
        if self.remedy_is_document() {
            "to let it go on, add this to the merge request:"
        } else {
            "what to do:"
        }
    }

    /// Whether the remedy is a document that is to be pasted as it is.
    pub(super) fn remedy_is_document(&self) -> bool {
        self.remedy.first().is_some_and(|line| is_document(line))
    }
}

/// Whether a remedy is a YAML document, and not a sentence.
pub(super) fn is_document(remedy: &str) -> bool {
    remedy.starts_with("kind:")
}

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// All is well.
    Calm,
    /// Worth a look.
    Warn,
    /// Look here first.
    Alarm,
}

/// One change, or several that differ in nothing but whom they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What it does.
    pub(super) op: Op,
    /// The character that stands before it.
    pub(super) sign: char,
    /// In one line.
    pub(super) title: Line,
    /// Whom or what it is about, where that is more than one.
    pub(super) names: Vec<String>,
    /// The fields that are set or change.
    pub(super) fields: Vec<(String, Shown)>,
    /// Why, how risky, until when: label and text.
    pub(super) facts: Vec<(&'static str, Line)>,
}

/// The character that stands before an item.
pub(super) fn sign(op: Op) -> char {
    match op {
        Op::Create | Op::Grant => '+',
        Op::Update => '~',
        Op::Delete | Op::Revoke => '-',
        Op::Adopt | Op::Forget => '=',
    }
}

/// The changes, the riskiest first, and those that write nothing last.
pub(super) fn changes(changes: &[Change], zone: &TimeZone) -> Vec<Section> {
    let mut sections = Vec::new();
    for risk in [Risk::High, Risk::Medium, Risk::Low] {
        let of_risk: Vec<&Change> = changes.iter().filter(|c| c.risk == risk && c.op.writes()).collect();
        let tone = match risk {
            Risk::High => Tone::Alarm,
            Risk::Medium => Tone::Warn,
            Risk::Low => Tone::Calm,
        };
        let title = match risk {
            Risk::High => "High risk",
            Risk::Medium => "Medium risk",
            Risk::Low => "Low risk",
        };
        sections.extend(section(tone, title, None, &of_risk, zone));
    }
    let silent: Vec<&Change> = changes.iter().filter(|c| !c.op.writes()).collect();
    let lead = prose("only what rolecall answers for changes: no call is made");
    sections.extend(section(Tone::Calm, "Without a write", Some(lead), &silent, zone));
    sections
}

fn section(
    tone: Tone,
    title: &str,
    lead: Option<Line>,
    changes: &[&Change],
    zone: &TimeZone,
) -> Option<Section> {
    if changes.is_empty() {
        return None;
    }
    let title = format!("{title} ({})", count(changes.len(), "change", "changes"));
    Some(Section { tone, title, lead, items: fold(changes, zone), remedy: Vec::new() })
}

/// What is declined: a section for each reason, with what to do about it said once.
pub(super) fn held(held: &[Held], zone: &TimeZone) -> Vec<Section> {
    let mut groups: BTreeMap<(Why, &str, Option<&str>), Vec<&Change>> = BTreeMap::new();
    for Held { why, text, remedy, change } in held {
        groups.entry((*why, text, remedy.as_deref())).or_default().push(change);
    }
    let mut told = BTreeSet::new();
    let mut sections = Vec::with_capacity(groups.len());
    for ((reason, text, remedy), changes) in groups {
        sections.push(Section {
            tone: if reason.denies() { Tone::Alarm } else { Tone::Warn },
            title: format!("Held: {} ({reason}, {})", why(reason), count(changes.len(), "change", "changes")),
            lead: Some(prose(text)),
            items: fold(&changes, zone),
            remedy: remedy.map(|text| documents(text, &mut told)).unwrap_or_default(),
        });
    }
    sections
}

/// The documents that are otherwise: whoever approves the plan approves what they will say from then on.
pub(super) fn amended(amended: &[Amended]) -> Option<Section> {
    if amended.is_empty() {
        return None;
    }
    let op = |document: &Amended| match (&document.before, &document.after) {
        (None, _) => Op::Create,
        (_, None) => Op::Delete,
        _ => Op::Update,
    };
    // What matters most stands alone; of the rest those that are new, changed and gone are a line each.
    let mut lines: BTreeMap<(Reverse<Risk>, Op, usize), Line> = BTreeMap::new();
    for (number, document) in (1..).zip(amended) {
        let alone = if document.risk == Risk::High { number } else { 0 };
        let line = lines.entry((Reverse(document.risk), op(document), alone)).or_default();
        match line.is_empty() {
            true => line.push(words(format!("{} risk: ", document.risk))),
            false => line.push(words(", ")),
        }
        line.extend(prose(&document.to_string()));
        line.push(words(" "));
        line.extend(place(&document.span));
    }
    let item = |((_, op, _), title)| {
        let (names, fields, facts) = (Vec::new(), Vec::new(), Vec::new());
        Item { op, sign: sign(op), title, names, fields, facts }
    };
    Some(Section {
        tone: Tone::Warn,
        title: format!(
            "What judges and what is asked changes ({})",
            count(amended.len(), "document", "documents")
        ),
        lead: Some(prose("read the files; what they say from now on is approved with the plan")),
        items: lines.into_iter().map(item).collect(),
        remedy: Vec::new(),
    })
}

/// The waivers that let changes go: who approves the plan approves them.
pub(super) fn waived(waived: &[Waived], zone: &TimeZone) -> Option<Section> {
    if waived.is_empty() {
        return None;
    }
    let item = |waived: &Waived| {
        let Waived { name, code, on, allow, owner, reason, until, span, lets, effect: _ } = waived;
        let mut title = vec![literal(name), words(format!(" waives {code} on "))];
        for (index, on) in on.iter().enumerate() {
            title.extend((index > 0).then(|| words(", ")));
            title.push(literal(on));
        }
        title.extend(allow.map(|allow| words(format!(", up to {allow}"))));
        let mut facts: Vec<_> = lets.iter().map(|text| ("lets go", prose(text))).collect();
        facts.push(("owner", vec![words(owner)]));
        facts.push(("why", prose(reason)));
        facts.push(("until", vec![words(end(*until, zone))]));
        facts.push(("where", place(span)));
        // A waiver does nothing by itself; it is shown as what wants a look.
        Item { op: Op::Update, sign: '!', title, names: Vec::new(), fields: Vec::new(), facts }
    };
    Some(Section {
        tone: Tone::Warn,
        title: format!("Waived ({})", count(waived.len(), "waiver", "waivers")),
        lead: Some(prose(
            "without these, the removals that they let go would be held; they are approved with the plan",
        )),
        items: waived.iter().map(item).collect(),
        remedy: Vec::new(),
    })
}

/// The lines of a remedy without those documents of it that stand in an earlier one: pasted together they are one file.
fn documents<'a>(remedy: &'a str, told: &mut BTreeSet<&'a str>) -> Vec<String> {
    if !is_document(remedy) {
        return remedy.lines().map(str::to_owned).collect();
    }
    let new: Vec<&str> =
        remedy.split("---\n").map(str::trim_end).filter(|document| told.insert(*document)).collect();
    new.join("\n---\n").lines().map(str::to_owned).collect()
}

/// What moved by itself.
pub(super) fn drift(drift: &[Drift]) -> Option<Section> {
    if drift.is_empty() {
        return None;
    }
    let item = |Drift { id: _, change, text }: &Drift| {
        let mut title = vec![literal(who_or_address(change))];
        if let Some(grant) = &change.grant {
            title.extend([
                words(format!(" {} ", relation(&grant.relation, true))),
                literal(grant.resource.as_str()),
            ]);
        }
        title.push(words(": "));
        title.extend(prose(text));
        let fields = if change.op == Op::Update { fields(change) } else { Vec::new() };
        let fields =
            fields.into_iter().map(|(name, shown)| (format!("{name} (live → files)"), shown)).collect();
        let mut facts = vec![("declared", place(&change.reason.span))];
        facts.push(("keep it", prose("write it into the YAML, where it is reviewed like a request")));
        facts.push((
            "revert",
            vec![literal(format!("rolecall plan --revert {}", shell(change.address.as_str())))],
        ));
        if change.op.is_removal() {
            // Nothing in YAML asks for what was added by hand, so there is no line to show.
            facts.remove(0);
        }
        Item { op: change.op, sign: '!', title, names: Vec::new(), fields, facts }
    };
    let mut drift: Vec<&Drift> = drift.iter().collect();
    drift.sort_by(|a, b| {
        (Reverse(a.change.risk), sort_key(&a.change)).cmp(&(Reverse(b.change.risk), sort_key(&b.change)))
    });
    Some(Section {
        tone: Tone::Warn,
        title: format!(
            "Drift ({})",
            count(drift.len(), "thing moved by itself", "things moved by themselves")
        ),
        lead: Some(prose("no part of this plan: accept one into YAML, or plan its way back")),
        items: drift.into_iter().map(item).collect(),
        remedy: Vec::new(),
    })
}

fn who_or_address(change: &Change) -> String {
    if change.grant.is_some() { who(change) } else { change.address.to_string() }
}

/// By provider, then address; of one address the thing itself before what is given on it.
fn sort_key(change: &Change) -> (&str, &str, Op, Option<&GrantKey>) {
    (change.address.instance(), change.address.as_str(), change.op, change.grant.as_ref())
}

/// All that is told of a change but whom it is about: changes of equal likeness are told in one sentence.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Likeness<'a> {
    op: Op,
    /// Of a grant what is given; of a resource its place and kind.
    target: (&'a str, &'a str, Option<&'a str>),
    /// Nothing of what writes nothing: only that it is so.
    told: Option<Told<'a>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Told<'a> {
    of_person: bool,
    before: Vec<(&'a Name, &'a Value)>,
    after: Vec<(&'a Name, &'a Value)>,
    fields: &'a BTreeSet<Name>,
    cause: (Cause, Option<Standing>),
    reason: &'a Origin,
    also: &'a [Origin],
    until: Option<Timestamp>,
    risk: (Risk, &'a [String]),
    dependents: &'a [String],
    approved_by: Option<&'a str>,
    taken_over: bool,
}

fn likeness(change: &Change) -> Likeness<'_> {
    let Change {
        op,
        address,
        grant,
        subject,
        before,
        after,
        fields,
        cause,
        standing,
        reason,
        also,
        until,
        risk,
        risk_reasons,
        dependents,
        approved_by,
        taken_over,
        // What must be done first and what it rests on are told by the order, not by words.
        requires: _,
        precondition: _,
        effect: _,
    } = change;
    let target = match grant {
        Some(grant) => (grant.resource.as_str(), &*grant.relation, grant.condition.as_deref()),
        None => (address.place(), address.kind(), None),
    };
    let told = op.writes().then(|| Told {
        of_person: subject.is_some(),
        before: shown(*op, fields, before.as_ref()),
        after: shown(*op, fields, after.as_ref()),
        fields,
        cause: (*cause, *standing),
        reason,
        also,
        until: *until,
        risk: (*risk, risk_reasons),
        dependents,
        approved_by: approved_by.as_deref(),
        taken_over: *taken_over,
    });
    Likeness { op: *op, target, told }
}

/// The attributes that are shown: those that change, or all; of what goes, none.
fn shown<'a>(
    op: Op,
    fields: &BTreeSet<Name>,
    attributes: Option<&'a Attributes>,
) -> Vec<(&'a Name, &'a Value)> {
    let attributes = attributes.into_iter().flatten();
    attributes.filter(|(name, _)| !op.is_removal() && (fields.is_empty() || fields.contains(*name))).collect()
}

fn fold(changes: &[&Change], zone: &TimeZone) -> Vec<Item> {
    let mut sorted = changes.to_vec();
    sorted.sort_by(|a, b| (Reverse(a.risk), sort_key(a)).cmp(&(Reverse(b.risk), sort_key(b))));
    let mut groups: Vec<Vec<&Change>> = Vec::new();
    let mut known: BTreeMap<Likeness<'_>, usize> = BTreeMap::new();
    for change in sorted {
        let place = *known.entry(likeness(change)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    groups.iter().map(|group| item(group, zone)).collect()
}

fn item(group: &[&Change], zone: &TimeZone) -> Item {
    // A group is never empty: `fold` begins each with a change.
    let first = group[0];
    let mut names: Vec<String> = group.iter().map(|change| who(change)).collect();
    names.sort();
    let whom = match names.as_slice() {
        [one] => literal(one.as_str()),
        many => words(what(first, many.len())),
    };
    let given = first.op != Op::Revoke;
    let title = match (&first.grant, first.op) {
        (Some(grant), Op::Grant | Op::Revoke) => {
            vec![
                whom,
                words(format!(" → {} ", relation(&grant.relation, given))),
                literal(grant.resource.as_str()),
            ]
        }
        (Some(grant), op) => vec![
            words(format!("{op} ")),
            whom,
            words(format!(" {} ", relation(&grant.relation, true))),
            literal(grant.resource.as_str()),
        ],
        (None, op) => vec![words(format!("{op} ")), whom],
    };
    let under = first.grant.as_ref().and_then(|grant| grant.condition.as_ref());
    let title = title
        .into_iter()
        .chain(under.into_iter().flat_map(|c| [words(" if "), literal(condition(c))]))
        .collect();
    let facts = if first.op.writes() || group.len() == 1 { facts(first, zone) } else { Vec::new() };
    let names = if names.len() > 1 { names } else { Vec::new() };
    Item { op: first.op, sign: sign(first.op), title, names, fields: fields(first), facts }
}

/// What a folded item is about: `34 people`, `3 users`.
fn what(change: &Change, number: usize) -> String {
    match (&change.grant, &change.subject) {
        (Some(_), Some(_)) => count(number, "person", "people"),
        (Some(grant), None) => counted(grant.principal.kind(), number),
        (None, _) => format!("{} in {}", counted(change.address.kind(), number), change.address.place()),
    }
}

fn counted(kind: &str, number: usize) -> String {
    if kind.is_empty() {
        return count(number, "principal", "principals");
    }
    count(number, &kind.replace('_', " "), &plural(kind))
}

fn fields(change: &Change) -> Vec<(String, Shown)> {
    if !change.op.writes() || change.op.is_removal() {
        return Vec::new();
    }
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    let names: Vec<_> = if change.fields.is_empty() {
        after.into_iter().flatten().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name).collect()
    } else {
        change.fields.iter().collect()
    };
    let value = |attributes: Option<&'_ Attributes>, name| attributes.and_then(|a| a.get(name)).cloned();
    names
        .into_iter()
        .map(|name| (name.to_string(), show(value(before, name).as_ref(), value(after, name).as_ref())))
        .collect()
}

fn facts(change: &Change, zone: &TimeZone) -> Vec<(&'static str, Line)> {
    let mut facts = Vec::new();
    if !change.dependents.is_empty() {
        facts.push(("goes too", prose(&list(&change.dependents))));
    }
    facts.push(("why", asked(&change.reason)));
    facts.extend(change.reason.chain.iter().map(|link| ("via", prose(link))));
    facts.extend(change.also.iter().map(|origin| ("also", asked(origin))));
    if change.taken_over {
        facts.push(("note", prose("taken over: it was there before the files claimed it")));
    }
    match (change.cause, change.standing) {
        (Cause::Request, _) => {}
        (Cause::Standing, sort) => {
            let sort = sort.map(|sort| format!(" ({sort})")).unwrap_or_default();
            let by =
                change.approved_by.as_ref().map(|by| format!(", which came with {by}")).unwrap_or_default();
            facts.push(("cause", prose(&format!("standing{sort}: the approved rule covers it{by}"))));
        }
        (Cause::Drift, _) => facts.push(("cause", prose("drift: this puts back what moved by itself"))),
    }
    if change.risk > Risk::Low {
        let reasons = change.risk_reasons.join("; ");
        let text =
            if reasons.is_empty() { change.risk.to_string() } else { format!("{}: {reasons}", change.risk) };
        facts.push(("risk", prose(&text)));
    }
    if let Some(until) = change.until {
        facts.push(("until", vec![words(end(until, zone))]));
    }
    facts
}

fn asked(origin: &Origin) -> Line {
    let mut line = prose(&origin.text);
    line.push(words(" ("));
    line.extend(place(&origin.span));
    line.push(words(")"));
    line
}

/// A word for a command line that someone will paste: addresses may hold what a shell would act on.
fn shell(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if word.chars().all(harmless) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// File and line; the column helps nobody who reads a plan.
fn place(Span { file, line, .. }: &Span) -> Line {
    let text = if *line == 0 { file.to_string() } else { format!("{file}:{line}") };
    vec![Piece::Place(text)]
}
