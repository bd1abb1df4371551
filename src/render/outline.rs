//! A whole plan in words: verdict and headline, sections, what is left alone, the effect to approve, what to do next.
//!
//! Invariant: the headline says at least as much harm as there is: denials, errors and gaps in what was read come first.
//! It must not escape or lay out: that is each medium's.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::groups::{self, Section, Tone};
use super::words::{Line, count, list, literal, plural, prose, time, words};
use crate::model::{Change, Level, Name, Op, Plan, ProviderBasis, Quorum, Risk, Ruling, Tally};

/// How many scopes that were not read whole are named.
const PARTIAL: usize = 10;

/// A plan in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outline {
    /// How the whole looks.
    pub(super) tone: Tone,
    /// Verdict and what would happen, in one sentence.
    pub(super) headline: String,
    /// What must be known before reading on.
    pub(super) remarks: Vec<Line>,
    /// Whether the findings hold errors and so come before everything else.
    pub(super) errors_first: bool,
    /// Documents, waivers, changes, held, drift.
    pub(super) sections: Vec<Section>,
    /// What is left alone, what it rests on: label and text.
    pub(super) basis: Vec<(&'static str, Line)>,
    /// The effect to approve: short and whole.
    pub(super) effect: Option<(String, String)>,
    /// What it takes to approve which part, a line each; `needed of whom, for what`.
    pub(super) approvers: Vec<Line>,
    /// What to do next.
    pub(super) next: Vec<Line>,
}

impl Outline {
    /// Says a plan.
    pub(super) fn of(plan: &Plan, zone: &TimeZone) -> Self {
        let mut sections: Vec<Section> = groups::amended(&plan.amended).into_iter().collect();
        sections.extend(groups::waived(&plan.waived, zone));
        sections.extend(groups::changes(&plan.changes, zone));
        sections.extend(groups::held(&plan.held, zone));
        sections.extend(groups::drift(&plan.drift));
        Self {
            tone: tone(plan),
            headline: headline(plan),
            remarks: remarks(plan),
            errors_first: errors(plan) > 0,
            sections,
            basis: basis(plan, zone),
            effect: (!plan.effects.is_empty())
                .then(|| (plan.effect.short().to_owned(), plan.effect.to_string())),
            approvers: approvers(&plan.quorums),
            next: next(plan),
        }
    }
}

fn errors(plan: &Plan) -> usize {
    plan.findings.iter().filter(|finding| finding.level == Level::Error).count()
}

fn writes(plan: &Plan) -> usize {
    plan.changes.iter().filter(|change| change.op.writes()).count()
}

fn tone(plan: &Plan) -> Tone {
    let risky = plan.changes.iter().any(|change| change.risk == Risk::High && change.op.writes());
    if plan.verdict == Ruling::Denied || errors(plan) > 0 || risky {
        Tone::Alarm
    } else if plan.held.is_empty()
        && plan.drift.is_empty()
        && plan.waived.is_empty()
        && plan.amended.is_empty()
        && plan.complete
    {
        Tone::Calm
    } else {
        Tone::Warn
    }
}

fn headline(plan: &Plan) -> String {
    let number = writes(plan);
    let verdict = match (errors(plan), plan.verdict) {
        (1.., _) => "not ready: ",
        (_, Ruling::Denied) => "denied in part: ",
        (_, Ruling::Allowed) => "",
    };
    let mut asides = Vec::new();
    let high = plan.changes.iter().filter(|change| change.risk == Risk::High && change.op.writes()).count();
    if high > 0 {
        asides.push(format!("{high} high risk"));
    }
    if !plan.held.is_empty() {
        asides.push(format!("{} held", plan.held.len()));
    }
    if !plan.drift.is_empty() {
        asides.push(format!("{} drift", plan.drift.len()));
    }
    for (op, word) in [(Op::Adopt, "adopted"), (Op::Forget, "let go")] {
        let number = plan.changes.iter().filter(|change| change.op == op).count();
        if number > 0 {
            asides.push(format!("{number} {word}"));
        }
    }
    let asides = asides.join(", ");
    if number == 0 {
        let nothing = if !plan.complete {
            "nothing to do in what could be read"
        } else if !plan.amended.is_empty() {
            "nothing to do now; what judges and what is asked changes"
        } else if asides.is_empty() && errors(plan) == 0 {
            "nothing to do: what is live is what the files ask for"
        } else if plan.changes.is_empty() {
            "nothing to do for now"
        } else {
            "nothing to write"
        };
        let more = if asides.is_empty() { String::new() } else { format!(" ({asides})") };
        return format!("{verdict}{nothing}{more}");
    }
    let written = || plan.changes.iter().filter(|change| change.op.writes());
    let people: BTreeSet<_> = written().filter_map(|change| change.subject.as_ref()).collect();
    // A vendor's own thing (`managed:X`) lives where its principal does.
    let instance = |change: &Change| match &change.grant {
        Some(grant) => grant.principal.instance().to_owned(),
        None => change.address.instance().to_owned(),
    };
    let instances: BTreeSet<String> = written().map(instance).collect();
    let instances: Vec<String> = instances.into_iter().collect();
    let whom = match people.len() {
        0 => String::new(),
        people => format!(" for {}", count(people, "person", "people")),
    };
    let more = if asides.is_empty() { String::new() } else { format!(": {asides}") };
    format!("{verdict}{}{whom} in {}{more}", count(number, "change", "changes"), list(&instances))
}

fn remarks(plan: &Plan) -> Vec<Line> {
    let mut remarks = Vec::new();
    let by_op: Vec<String> = [
        (Op::Create, "creation", "creations"),
        (Op::Update, "update", "updates"),
        (Op::Delete, "deletion", "deletions"),
        (Op::Grant, "grant", "grants"),
        (Op::Revoke, "revocation", "revocations"),
        (Op::Adopt, "adoption", "adoptions"),
        (Op::Forget, "let go", "let go"),
    ]
    .into_iter()
    .map(|(op, one, many)| (plan.changes.iter().filter(|change| change.op == op).count(), one, many))
    .filter(|(number, ..)| *number > 0)
    .map(|(number, one, many)| count(number, one, many))
    .collect();
    if !by_op.is_empty() {
        remarks.push(prose(&list(&by_op)));
    }
    if errors(plan) > 0 {
        let errors = count(errors(plan), "error", "errors");
        remarks.push(prose(&format!("{errors} must be mended or waived before anything is applied")));
    }
    if plan.verdict == Ruling::Denied {
        let denied = plan.held.iter().filter(|held| held.why.denies()).count();
        let rest = if writes(plan) > 0 { "; the rest can go on without it" } else { "" };
        remarks.push(prose(&format!("the gate denies {}{rest}", count(denied, "change", "changes"))));
    }
    if !plan.waived.is_empty() {
        let (one, many) = ("waiver lets removals", "waivers let removals");
        let waivers = count(plan.waived.len(), one, many);
        remarks.push(prose(&format!("{waivers} go beyond a cap, and would be approved with the plan")));
    }
    if !plan.complete {
        remarks.push(prose("not everything could be read: nothing is removed where that was so"));
        let partial: Vec<_> = plan.base.providers.values().flat_map(|provider| &provider.partial).collect();
        for (scope, why) in partial.iter().take(PARTIAL) {
            let mut line = vec![words("not read whole: "), literal(scope.to_string()), words(": ")];
            line.extend(prose(why));
            remarks.push(line);
        }
        if partial.len() > PARTIAL {
            let more = count(partial.len() - PARTIAL, "more scope was", "more scopes were");
            remarks.push(prose(&format!("{more} not read whole")));
        }
    }
    if plan.base.base_config.is_none() {
        remarks.push(prose(
            "there is no earlier apply to compare with: nothing is deleted, and only leavers lose access",
        ));
    }
    remarks
}

/// How many of the things that an approval is of are named.
const OF: usize = 4;

/// What it takes to approve, whoever has to do the same in one line:
/// `2 of klibby and @acme/leads, and the manager rpatel: 3 effects of high risk, from role x`.
fn approvers(quorums: &[Quorum]) -> Vec<Line> {
    type Who<'a> = (bool, Option<&'a String>, u32, &'a [String], &'a [Name]);
    let mut by_who: Vec<(Who<'_>, Vec<&Quorum>)> = Vec::new();
    for quorum in quorums {
        let Quorum { queued, impossible, needed, owners, managers, .. } = quorum;
        let who: Who<'_> = match impossible {
            // Who it would be matters to nobody, as long as it is nobody.
            Some(why) => (*queued, Some(why), 0, &[], &[]),
            None => (*queued, None, *needed, owners, managers),
        };
        match by_who.iter_mut().find(|(known, _)| *known == who) {
            Some((_, same)) => same.push(quorum),
            None => by_who.push((who, vec![quorum])),
        }
    }
    by_who
        .into_iter()
        .map(|((queued, impossible, needed, owners, managers), quorums)| {
            let mut line = Line::new();
            if let Some(why) = impossible {
                line.push(words("nobody can, because "));
                line.extend(prose(why));
            } else {
                line.push(words(format!("{needed} of ")));
                names(&mut line, owners.iter().map(String::as_str));
                if !managers.is_empty() {
                    line.push(words(if managers.len() == 1 {
                        ", and the manager "
                    } else {
                        ", and the managers "
                    }));
                    names(&mut line, managers.iter().map(AsRef::as_ref));
                }
            }
            let risks: Vec<String> = [Risk::High, Risk::Medium, Risk::Low]
                .into_iter()
                .map(|risk| {
                    (
                        risk,
                        quorums
                            .iter()
                            .filter(|quorum| quorum.risk == risk)
                            .map(|quorum| quorum.effects.len())
                            .sum(),
                    )
                })
                .filter(|(_, effects): &(Risk, usize)| *effects > 0)
                .map(|(risk, effects)| format!("{} of {risk} risk", count(effects, "effect", "effects")))
                .collect();
            line.push(words(format!(": {}", list(&risks))));
            let of: BTreeSet<&String> = quorums.iter().flat_map(|quorum| &quorum.of).collect();
            for (index, what) in of.iter().take(OF).enumerate() {
                line.push(words(if index == 0 { ", from " } else { ", " }));
                line.extend(prose(what));
            }
            if of.len() > OF {
                line.push(words(format!(" and {} more", of.len() - OF)));
            }
            if queued {
                line.push(words("; without it they wait, and nothing else does"));
            }
            line
        })
        .collect()
}

/// Names of people and groups, which nobody is told of by being named.
fn names<'a>(line: &mut Line, names: impl Iterator<Item = &'a str>) {
    for (index, name) in names.enumerate() {
        if index > 0 {
            line.push(words(", "));
        }
        line.push(literal(name));
    }
}

fn basis(plan: &Plan, zone: &TimeZone) -> Vec<(&'static str, Line)> {
    let mut basis = Vec::new();
    let unclaimed = tally(&plan.unclaimed, "ours to touch, declared nowhere, left alone");
    basis.extend(unclaimed.map(|line| ("unclaimed", line)));
    let unmanaged = tally(&plan.unmanaged, "outside `own`, only looked at");
    basis.extend(unmanaged.map(|line| ("unmanaged", line)));
    let read = |(name, ProviderBasis { calls, scopes, .. }): (&crate::model::Name, &ProviderBasis)| {
        format!("{name} in {} ({})", count(*calls, "call", "calls"), count(*scopes, "scope", "scopes"))
    };
    let read: Vec<String> = plan.base.providers.iter().map(read).collect();
    if !read.is_empty() {
        basis.push(("read", prose(&list(&read))));
    }
    if let Some(commit) = &plan.base.commit {
        basis.push(("compared", vec![words("with the last verified apply, commit "), literal(commit)]));
    }
    let made = format!(" by {}, {}", plan.tool, time(plan.created, zone));
    basis.push(("plan", vec![literal(&plan.id), words(made)]));
    basis.push(("good until", vec![words(time(plan.expires, zone))]));
    basis
}

/// `399 okta groups (left alone), such as okta:group/a`; nothing where there is nothing.
fn tally(Tally { resources, grants, examples }: &Tally, what: &str) -> Option<Line> {
    let counted = |number: u64, kind: &str| {
        let kind = kind.replace('_', " ");
        count(number, &singular(&kind), &kind)
    };
    let mut parts: Vec<String> = resources
        .iter()
        .filter(|(_, number)| **number > 0)
        .map(|(kind, number)| counted(*number, kind))
        .collect();
    parts.extend(grants.iter().filter(|(_, number)| **number > 0).map(|(instance, number)| {
        count(*number, &format!("grant in {instance}"), &format!("grants in {instance}"))
    }));
    if parts.is_empty() {
        return None;
    }
    let mut line = prose(&format!("{} ({what})", list(&parts)));
    for (index, example) in examples.iter().take(3).enumerate() {
        line.push(words(if index == 0 { ", such as " } else { ", " }));
        line.push(literal(example));
    }
    Some(line)
}

/// The singular of a plural that [`plural`] makes.
fn singular(many: &str) -> String {
    let stems =
        [many.strip_suffix("ies").map(|stem| format!("{stem}y")), many.strip_suffix('s').map(str::to_owned)];
    stems.into_iter().flatten().find(|one| plural(one) == many).unwrap_or_else(|| many.to_owned())
}

fn next(plan: &Plan) -> Vec<Line> {
    let mut next = Vec::new();
    if errors(plan) > 0 {
        next.push(prose("mend the errors, then plan again with `rolecall plan`"));
        return next;
    }
    if let Some(at) = plan.selection.at {
        next.push(prose(&format!("this is how it would be at {at}; such a plan cannot be applied")));
        return next;
    }
    if let Some(file) = &plan.selection.directory {
        let text = format!(
            "this is how it would be with `{file}` laid over the directory; such a plan cannot be applied"
        );
        next.push(prose(&text));
        return next;
    }
    let mut remedies = plan.held.iter().filter_map(|held| held.remedy.as_deref());
    if remedies.clone().any(groups::is_document) {
        next.push(prose("to let go what is held, add what stands under it to the same merge request"));
    } else if remedies.next().is_some() {
        next.push(prose("what to do about what is held stands under it"));
    }
    if plan.changes.is_empty() {
        if !plan.drift.is_empty() {
            next.push(prose("write the drift into the YAML, or revert it, one by one"));
        }
        return next;
    }
    next.push(if plan.simulated {
        prose("carry it out with `rolecall apply`; everything here is simulated, so nobody needs to approve")
    } else if plan.effects.is_empty() {
        prose("carry it out with `rolecall apply`; approved rules cover all of it")
    } else {
        prose("have it approved, then carry out exactly that with `rolecall apply`")
    });
    next
}
