//! Approvals: what it takes to approve each effect, and whether what was said amounts to that.
//!
//! Invariant: what is not known counts against. An approval counts for an effect only if whoever gave it was shown that
//! effect, gave it after the last change of what he saw, is at work, and wrote none of it (an author who approves through a
//! later merge request included). It must not ask anybody: what the forge told is handed to it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::approval::History;
use crate::model::settings::Approvals;
use crate::model::{
    Accounts, Address, Amended, Cause, Change, Code, Commit, Covered, Digest, Finding, Held, Inventory, Name,
    OwnedRole, Owners, Quorum, Reviewed, Risk, Statement, Waived, Why,
};

mod sources;
#[cfg(test)]
mod tests;

use sources::{Source, asked, sources};

/// Effects that no approval covers.
pub const NOT_COVERED: Code = Code { code: "RC650", title: "effects that nobody who may has approved" };
/// The forge lets authors approve, or keeps approvals when something is pushed.
pub const WEAK_FORGE: Code = Code { code: "RC652", title: "the forge's settings let approvals mean little" };

/// Why nobody can approve what has no owner.
const NOBODY: &str = "nobody answers for it: name `owners` in the role or in `rolecall.yaml`";

/// What a plan asks to be approved.
#[derive(Debug, Clone, Copy)]
pub struct ToApprove<'a> {
    /// Its changes.
    pub changes: &'a [Change],
    /// What is held: what is queued can be approved.
    pub held: &'a [Held],
    /// The waivers that are used.
    pub waived: &'a [Waived],
    /// The documents that are otherwise than base has them.
    pub amended: &'a [Amended],
}

/// What it takes to approve each effect of a plan, effects that take the same together.
///
/// The owners of each role that a change comes through, of each as many as its risk asks for; besides them the manager of
/// whoever gets a role that asks for that. So for documents that differ, by the role that one is or the roles that it gives. What comes through no role, and waivers, are for the owners of the whole.
#[must_use]
pub fn quorums(
    asked: ToApprove<'_>,
    owners: &Owners,
    people: &Inventory,
    settings: &Approvals,
) -> Vec<Quorum> {
    type Key = (bool, Risk, Vec<String>, Vec<Name>, Option<String>);
    let mut quorums: BTreeMap<Key, (BTreeSet<Digest>, BTreeSet<String>)> = BTreeMap::new();
    let requests =
        asked.changes.iter().filter(|change| change.cause == Cause::Request).map(|change| (false, change));
    let queued = asked.held.iter().filter(|held| held.why == Why::Queued).map(|held| (true, &held.change));
    for (queued, change) in requests.chain(queued) {
        // Each role that it comes through has to agree: one that takes another in would else be its owners' to give.
        let roles: BTreeSet<&str> = change.roles().collect();
        let nobodys = OwnedRole { owners: owners.rest.clone(), manager: false };
        let mut parts: Vec<(&OwnedRole, String)> = roles
            .iter()
            .map(|role| (owners.roles.get(*role).unwrap_or(&nobodys), format!("role `{role}`")))
            .collect();
        if parts.is_empty() {
            parts.push((&nobodys, format!("`{}`", change.reason.span.file)));
        }
        for (owned, of) in parts {
            let mut impossible = owned.owners.is_empty().then(|| NOBODY.to_owned());
            let mut managers = Vec::new();
            if owned.manager
                && !change.op.is_removal()
                && let Some(person) = change.subject.as_ref().map(Address::name)
            {
                match people.people.get(&*person).and_then(|person| person.manager.clone()) {
                    Some(manager) => managers.push(manager),
                    None => {
                        impossible =
                            Some(format!("the manager of `{person}` has to approve it, and is not known"));
                    }
                }
            }
            let key = (queued, change.risk, owned.owners.clone(), managers, impossible);
            let entry = quorums.entry(key).or_default();
            entry.0.insert(change.effect.clone());
            entry.1.insert(of);
        }
    }
    for waived in asked.waived {
        let impossible = owners.rest.is_empty().then(|| NOBODY.to_owned());
        let entry =
            quorums.entry((false, Risk::High, owners.rest.clone(), Vec::new(), impossible)).or_default();
        entry.0.insert(waived.effect.clone());
        entry.1.insert(format!("waiver `{}`", waived.name));
    }
    for amended in asked.amended {
        let nobodys = OwnedRole { owners: owners.rest.clone(), manager: false };
        let mut parts: BTreeMap<&Name, &OwnedRole> = BTreeMap::new();
        for role in &amended.roles {
            parts.insert(role, owners.roles.get(role).unwrap_or(&nobodys));
        }
        let each = if parts.is_empty() { vec![&nobodys] } else { parts.into_values().collect() };
        for owned in each {
            let mut impossible = owned.owners.is_empty().then(|| NOBODY.to_owned());
            let mut managers = Vec::new();
            for person in amended.to.iter().filter(|_| owned.manager) {
                match people.people.get(person).and_then(|person| person.manager.clone()) {
                    Some(manager) => managers.push(manager),
                    None => {
                        impossible =
                            Some(format!("the manager of `{person}` has to approve it, and is not known"));
                    }
                }
            }
            managers.sort();
            managers.dedup();
            let key = (false, amended.risk, owned.owners.clone(), managers, impossible);
            let entry = quorums.entry(key).or_default();
            entry.0.insert(amended.effect.clone());
            entry.1.insert(amended.to_string());
        }
    }
    let of = |((queued, risk, owners, managers, impossible), (effects, of)): (Key, _)| Quorum {
        risk,
        needed: settings.needed(risk),
        owners,
        managers,
        effects,
        of: BTreeSet::into_iter(of).collect(),
        impossible,
        queued,
    };
    let mut quorums: Vec<Quorum> = quorums.into_iter().map(of).collect();
    quorums.sort_by(|one, two| (two.risk, &one.of).cmp(&(one.risk, &two.of)));
    quorums
}

/// The plan that was to be approved.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its id.
    pub id: &'a str,
    /// The digest of all that it says.
    pub document: &'a Digest,
    /// The digest of its effects.
    pub effect: &'a Digest,
    /// Its effects.
    pub effects: &'a BTreeSet<Digest>,
    /// When it was made.
    pub created: Timestamp,
}

/// What was said, and who is who.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// What was merged between base and head.
    pub history: &'a History,
    /// Signed statements.
    pub statements: &'a [Statement],
    /// Who is who.
    pub accounts: &'a Accounts,
    /// The plan that was to be approved.
    pub plan: Asked<'a>,
    /// Effects that are what remains of another one, which was to be approved.
    pub stands_for: &'a BTreeMap<Digest, Digest>,
    /// Who wrote what was asked for before base and has waited since, by effect; nothing where nobody knows.
    pub wrote: &'a BTreeMap<Digest, Vec<Option<Commit>>>,
    /// Whether weak settings of the forge are recorded and let pass.
    pub lenient: bool,
}

/// Judges whether each effect is approved by whom it takes.
///
/// # Errors
/// What is missing, of every effect that has to be approved before anything may be written.
pub fn review(quorums: &[Quorum], said: Said<'_>) -> Result<Reviewed, Vec<Finding>> {
    let mut not_compliant: Vec<String> = said.history.not_asked.iter().cloned().collect();
    let mut findings = Vec::new();
    if let Some(why) = weakness(said.history)
        && !said.history.requests.is_empty()
    {
        if said.lenient {
            not_compliant.push(why);
        } else {
            let finding = Finding::error(WEAK_FORGE, why).help(
                "mend it at the forge (Settings → Merge requests → Approvals); or let `forge.settings: recorded` \
                 keep it in the evidence and go on",
            );
            findings.push(finding);
        }
    }
    let sources = sources(&said);
    let mut covered: BTreeMap<(usize, Vec<String>), Vec<Covered>> = BTreeMap::new();
    let mut waiting: BTreeSet<&Digest> = BTreeSet::new();
    for (at, quorum) in quorums.iter().enumerate() {
        // What each effect lacks, effects that lack the same together.
        let mut missing: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for effect in &quorum.effects {
            match covering(quorum, effect, &sources, &said) {
                Ok(found) => {
                    add(covered.entry((at, found.source.clone())).or_default(), quorum, effect, found);
                }
                Err(why) => {
                    waiting.insert(effect);
                    *missing.entry(why).or_default() += 1;
                }
            }
        }
        if quorum.queued {
            continue;
        }
        for (why, count) in missing {
            findings.push(lacking(quorum, count, why));
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    // What only waits goes on once all who have to approve it did.
    for row in covered.values_mut().flatten() {
        row.quorum.effects.retain(|effect| !waiting.contains(effect));
    }
    covered.values_mut().for_each(|rows| rows.retain(|row| !row.quorum.effects.is_empty()));
    covered.retain(|_, rows| !rows.is_empty());
    let used: BTreeSet<String> = covered.keys().flat_map(|(_, source)| source.iter().cloned()).collect();
    Ok(Reviewed {
        covered: covered.into_values().flatten().collect(),
        requests: said.history.requests.clone(),
        deployment: said.history.deployment.clone().filter(|deployment| used.contains(&deployment.name)),
        statements: said.statements.to_vec(),
        rules: said.history.rules.clone().and_then(Result::ok),
        not_compliant,
    })
}

/// Who approved an effect, and where.
struct Found {
    source: Vec<String>,
    by: Vec<(Name, Timestamp)>,
    asked: Vec<String>,
}

fn add(rows: &mut Vec<Covered>, quorum: &Quorum, effect: &Digest, found: Found) {
    let Found { source, by, asked } = found;
    let source = source.join(", ");
    if let Some(row) = rows.iter_mut().find(|row| row.by == by && row.asked == asked) {
        row.quorum.effects.insert(effect.clone());
        return;
    }
    let quorum = Quorum { effects: [effect.clone()].into(), ..quorum.clone() };
    rows.push(Covered { source, by, asked, quorum });
}

fn lacking(quorum: &Quorum, count: usize, why: Vec<String>) -> Finding {
    let effects = if count == 1 { "1 effect".to_owned() } else { format!("{count} effects") };
    let named = match quorum.of.as_slice() {
        [] => String::new(),
        [only] => format!(" of {only}"),
        [first, rest @ ..] => format!(" of {first} and {} more", rest.len()),
    };
    let verb = if count == 1 { "is" } else { "are" };
    let mut finding = Finding::error(
        NOT_COVERED,
        format!("{effects}{named} ({} risk) {verb} not approved: {}", quorum.risk, takes(quorum)),
    );
    for why in why {
        finding = finding.note(why);
    }
    finding.help("have exactly this approved: see docs/approvals.md for the ways there are")
}

/// What it takes, in words: `2 of klibby, @acme/eng-leads and the manager rpatel have to`.
fn takes(quorum: &Quorum) -> String {
    if let Some(why) = &quorum.impossible {
        return why.clone();
    }
    let mut text = format!("it takes {} of {}", quorum.needed, quorum.owners.join(", "));
    for manager in &quorum.managers {
        text.push_str(&format!(", and the manager {manager}"));
    }
    text
}

/// Why the forge's settings let approvals mean little; nothing where they do not, or no forge was asked.
fn weakness(history: &History) -> Option<String> {
    let rules = match history.rules.as_ref()? {
        Ok(rules) => rules,
        Err(why) => return Some(format!("the forge does not tell its approval settings: {why}")),
    };
    let mut weak = Vec::new();
    if rules.author_may_approve {
        weak.push("lets authors approve what they wrote");
    }
    if rules.committer_may_approve {
        weak.push("lets those who committed approve");
    }
    if !rules.reset_on_push {
        weak.push("keeps approvals when something is pushed");
    }
    (!weak.is_empty()).then(|| format!("the forge {}", weak.join(", and ")))
}

/// Who approved an effect, where that is enough; else all that is missing.
fn covering(
    quorum: &Quorum,
    effect: &Digest,
    sources: &[Source<'_>],
    said: &Said<'_>,
) -> Result<Found, Vec<String>> {
    if quorum.impossible.is_some() {
        return Err(Vec::new());
    }
    let effect = said.stands_for.get(effect).unwrap_or(effect);
    let (who, unknown) = asked(effect, sources, said);
    if !unknown.is_empty() {
        let mut unknown = unknown;
        unknown.sort();
        unknown.dedup();
        return Err(unknown);
    }
    let mut by: BTreeMap<&Name, (Timestamp, &str)> = BTreeMap::new();
    let mut why = Vec::new();
    let mut shown = false;
    for source in sources {
        why.extend(source.not.iter().cloned());
        if !source.shows(effect) {
            continue;
        }
        if let Some(later) = source.taken_back(effect, sources) {
            why.push(format!("{} showed it, and {} took it back after that was merged", source.name, later));
            continue;
        }
        shown = true;
        for (person, at) in &source.by {
            if who.contains(person.as_ref()) {
                why.push(format!("`{person}` approved {} and wrote some of it", source.name));
                continue;
            }
            by.entry(person).or_insert((*at, &source.name));
        }
    }
    let owns = |person: &Name| {
        let groups = &said.accounts.groups;
        quorum.owners.iter().any(|owner| match owner.strip_prefix('@') {
            Some(_) => groups.get(owner).is_some_and(|members| members.contains(person)),
            None => owner == person.as_ref(),
        })
    };
    let owners = by.keys().filter(|person| owns(person)).count();
    let missing: Vec<&Name> = quorum.managers.iter().filter(|manager| !by.contains_key(manager)).collect();
    if u32::try_from(owners).unwrap_or(u32::MAX) >= quorum.needed && missing.is_empty() {
        let counts = |person: &Name| owns(person) || quorum.managers.contains(person);
        let counted: Vec<_> = by.iter().filter(|(person, _)| counts(person)).collect();
        let mut source: Vec<String> = counted.iter().map(|(_, (_, source))| (*source).to_owned()).collect();
        source.sort();
        source.dedup();
        return Ok(Found {
            source,
            by: counted.into_iter().map(|(person, (at, _))| ((*person).clone(), *at)).collect(),
            asked: who.into_iter().collect(),
        });
    }
    for person in by.keys().filter(|person| !owns(person) && !quorum.managers.contains(person)) {
        why.push(format!("`{person}` approved it and does not own it"));
    }
    if !shown && !sources.is_empty() {
        why.push("nothing that was approved shows exactly this".to_owned());
    }
    if shown {
        why.push(format!("{owners} of {} who have to did", quorum.needed));
    }
    for manager in missing {
        why.push(format!("the manager `{manager}` did not"));
    }
    why.sort();
    why.dedup();
    Err(why)
}
