//! Roles: who has each role at `now`, through which entries, until when; and who is mentioned but does not have it.
//!
//! Invariant: a role is worked out after those it cites; a circle (which `load` refuses) gives nobody anything.
//! An entry that cites what is gone freezes its role where base cited it too, and is an error where head is the first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::entries::{Cited, Crowd, Set, in_words};
use super::people::normalized;
use super::{FROZEN, NO_SUCH_PERSON, When};
use crate::manifest::{Condition, GrantFile, Role, RoleEntry, Tree};
use crate::model::{Address, DeadCitation, Finding, LapseCause, Name, Origin, Session, Status, Why};

/// Why and until when somebody has a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Membership {
    /// The entries and grants that give it.
    pub(super) origins: Vec<Arc<Origin>>,
    /// When the last of them ends.
    pub(super) until: Option<Timestamp>,
}

/// Who has one role.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// Members by number, sorted, each with the place of his membership among `memberships`.
    pub(super) current: Vec<(u32, u32)>,
    /// The memberships that there are: most members have theirs for the same reason.
    pub(super) memberships: Vec<Membership>,
    /// Those who are mentioned and do not have it.
    pub(super) lapsed: BTreeMap<u32, (LapseCause, Arc<Origin>)>,
}

impl Members {
    pub(super) fn of(&self, number: u32) -> Option<&Membership> {
        let at = self.current.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.memberships.get(self.current.get(at)?.1 as usize)
    }

    /// Whether somebody has the role.
    pub(super) fn has(&self, number: u32) -> bool {
        self.of(number).is_some()
    }

    /// People on one word, or why one does not get what it gives.
    pub(super) fn those(people: impl Iterator<Item = (u32, Status)>, origin: &Arc<Origin>) -> Self {
        let (mut members, mut given) = (Self::default(), Vec::new());
        for (number, status) in people {
            let origin = origin.clone();
            match out(status) {
                Some(cause) => drop(members.lapsed.insert(number, (cause, origin))),
                None => given.push(Given { number, origin, until: None }),
            }
        }
        members.gather(given);
        members
    }

    /// Those of them who are among some people.
    pub(super) fn only(&self, people: &Set) -> Self {
        let among = |number: &u32| people.binary_search(number).is_ok();
        Self {
            current: self.current.iter().filter(|(number, _)| among(number)).copied().collect(),
            memberships: self.memberships.clone(),
            lapsed: self
                .lapsed
                .iter()
                .filter(|(number, _)| among(number))
                .map(|(number, why)| (*number, why.clone()))
                .collect(),
        }
    }

    fn numbers(&self) -> Set {
        self.current.iter().map(|(number, _)| *number).collect()
    }

    /// Those who are given the role, in the order of entries: (number, origin, end).
    fn gather(&mut self, mut given: Vec<Given>) {
        // What gives the role first stays first.
        if !given.is_sorted_by_key(|given| given.number) {
            given.sort_by_key(|given| given.number);
        }
        let mut places: BTreeMap<Membership, u32> = BTreeMap::new();
        let mut last: Option<(&[Given], u32)> = None;
        for same in given.chunk_by(|one, other| one.number == other.number) {
            let alike = |last: &[Given]| last.iter().map(Given::why).eq(same.iter().map(Given::why));
            let place = match last {
                Some((last, place)) if alike(last) => place,
                _ => {
                    let membership = Membership {
                        origins: same.iter().map(|given| given.origin.clone()).collect(),
                        until: same.iter().map(|given| given.until).reduce(later).flatten(),
                    };
                    let next = u32::try_from(places.len()).unwrap_or(u32::MAX);
                    *places.entry(membership).or_insert(next)
                }
            };
            last = Some((same, place));
            self.current.extend(same.first().map(|given| (given.number, place)));
        }
        let mut memberships: Vec<_> = places.into_iter().collect();
        memberships.sort_by_key(|(_, place)| *place);
        self.memberships = memberships.into_iter().map(|(membership, _)| membership).collect();
    }
}

/// One entry's word on one person.
struct Given {
    number: u32,
    origin: Arc<Origin>,
    until: Option<Timestamp>,
}

impl Given {
    fn why(&self) -> (*const Origin, Option<Timestamp>) {
        (Arc::as_ptr(&self.origin), self.until)
    }
}

/// Who has which role.
#[derive(Debug, Default)]
pub(super) struct Memberships<'t> {
    /// By role.
    pub(super) roles: BTreeMap<Name, Arc<Members>>,
    /// Roles that keep their members, and why.
    pub(super) frozen: BTreeMap<Name, Finding>,
    /// Roles that may have members whom their `except` was to keep out.
    pub(super) doubtful: BTreeMap<Name, (Why, String)>,
    /// What is cited and gone.
    pub(super) dead: Vec<DeadCitation>,
    /// The sessions that are under way, or begin with the next apply.
    pub(super) sessions: BTreeMap<Name, Session>,
    /// Roles that may lack members. Whoever is to be kept out by having one of them may not be.
    short: BTreeMap<Name, (Why, String)>,
    /// What each role's members were worked out from, where that gave nothing to tell.
    sources: BTreeMap<Name, (&'t Role, Vec<&'t GrantFile>)>,
}

impl Memberships<'_> {
    /// The members of a role that is worked out from the very same here, besides the members of the roles that it cites.
    fn same(&self, role: &Role, grants: &[&GrantFile]) -> Option<&Arc<Members>> {
        let (other, theirs) = self.sources.get(role.name.value.as_str())?;
        let same = (&role.members, &role.except, &role.name, &role.on_request)
            == (&other.members, &other.except, &other.name, &other.on_request);
        if same && theirs == grants { self.roles.get(role.name.value.as_str()) } else { None }
    }
}

/// Who has which role at `now`. `base` tells which citations are older than head. `like` is another tree's memberships of
/// the same people: what is the same there is taken from there.
pub(super) fn memberships<'t>(
    tree: &'t Tree,
    base: Option<&Tree>,
    crowd: &Crowd<'_>,
    like: Option<&Memberships<'_>>,
    when: When<'_>,
    findings: &mut Vec<Finding>,
) -> Memberships<'t> {
    let mut ruled = vec![false; crowd.people.len()];
    for number in crowd.of_types(tree.settings.types.iter().filter(|kind| kind.rules).map(|kind| &kind.name))
    {
        ruled[number as usize] = true;
    }
    let mut work = Work {
        roles: tree.roles.iter().map(|role| (role.name.value.as_str(), role)).collect(),
        grants: BTreeMap::new(),
        cited: base.map(cited).unwrap_or_default(),
        crowd,
        like,
        ruled,
        when,
        now: when.now,
        zone: tree.settings.timezone.clone(),
        out: Memberships::default(),
        open: BTreeSet::new(),
        findings,
    };
    for grant in &tree.grants {
        for role in &grant.roles {
            work.grants.entry(role.value.as_str()).or_default().push(grant);
        }
    }
    for role in &tree.roles {
        work.role(&role.name.value);
        work.owners(role);
    }
    work.out
}

/// What a tree's entries cite: (role, key, value).
fn cited(tree: &Tree) -> BTreeSet<(String, String, String)> {
    let mut all = BTreeSet::new();
    for role in &tree.roles {
        let mut add = |key: &str, value: String| all.insert((role.name.value.clone(), key.to_owned(), value));
        for condition in role.members.iter().chain(&role.except).flat_map(|entry| &entry.conditions) {
            let (key, values) = match condition {
                Condition::Handle(values) => ("handle", values),
                Condition::Manager(values) => ("manager", values),
                Condition::ReportsTo(values) => ("reports_to", values),
                Condition::Attribute { name, values } => {
                    for value in values {
                        add(&name.value, normalized(&value.value));
                    }
                    continue;
                }
                Condition::Type(_) | Condition::Role(_) => continue,
            };
            for value in values {
                add(key, value.value.clone());
            }
        }
    }
    for grant in &tree.grants {
        for (role, to) in grant.roles.iter().flat_map(|role| grant.to.iter().map(move |to| (role, to))) {
            all.insert((role.value.clone(), "handle".to_owned(), to.value.clone()));
        }
    }
    all
}

struct Work<'a, 'c, 'l> {
    roles: BTreeMap<&'a str, &'a Role>,
    grants: BTreeMap<&'a str, Vec<&'a GrantFile>>,
    cited: BTreeSet<(String, String, String)>,
    crowd: &'c Crowd<'c>,
    like: Option<&'c Memberships<'l>>,
    /// By number: whether rules match him without being told his type.
    ruled: Vec<bool>,
    when: When<'l>,
    now: Timestamp,
    zone: TimeZone,
    out: Memberships<'a>,
    open: BTreeSet<String>,
    findings: &'c mut Vec<Finding>,
}

impl<'a> Work<'a, '_, '_> {
    fn role(&mut self, name: &str) {
        let Some(role) = self.roles.get(name).copied() else { return };
        if self.out.roles.contains_key(name) || !self.open.insert(name.to_owned()) {
            return;
        }
        for cites in roles_of(role) {
            self.role(cites);
        }
        let grants = self.grants.get(name).cloned().unwrap_or_default();
        let mut kept_out = Cited { except: true, ..Cited::default() };
        let mut given = Cited::default();
        let members = match self.same(role, &grants) {
            Some(members) => members,
            None => {
                let mut members = Members::default();
                let mut all = Vec::new();
                for entry in &role.members {
                    self.entry(role, entry, (&mut members, &mut all), &mut given);
                }
                for grant in &grants {
                    self.grant(role, grant, (&mut members, &mut all), &mut given);
                }
                members.gather(all);
                for entry in &role.except {
                    self.except(role, entry, &mut members, &mut kept_out);
                }
                Arc::new(members)
            }
        };
        let name = Name::from(name);
        if [&given, &kept_out].iter().all(|cited| cited.dead.is_empty() && cited.gap.is_none()) {
            self.out.sources.insert(name.clone(), (role, grants));
        }
        self.judge(role, given, kept_out);
        self.out.roles.insert(name, members);
    }

    /// The members that another tree gives a role for the very same reasons, down to the roles that it cites.
    fn same(&self, role: &Role, grants: &[&GrantFile]) -> Option<Arc<Members>> {
        let like = self.like?;
        let members = like.same(role, grants)?;
        let is_same = |name: &str| match (self.out.roles.get(name), like.roles.get(name)) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        // A role that falls short keeps nobody out, which is to be told again.
        let short = || role.except.iter().flat_map(cited_roles).any(|name| self.out.short.contains_key(name));
        (roles_of(role).all(is_same) && !short()).then(|| members.clone())
    }

    fn entry(
        &self,
        role: &Role,
        entry: &RoleEntry,
        (members, all): (&mut Members, &mut Vec<Given>),
        cited: &mut Cited,
    ) {
        let roles =
            |name: &str| self.out.roles.get(name).map(|members| members.numbers()).unwrap_or_default();
        let mut set = self.crowd.all(entry, &roles, cited);
        if needs_type(entry) {
            set.retain(|number| self.ruled.get(*number as usize).copied().unwrap_or_default());
        }
        let text = format!(
            "role {}: {}{}{}",
            role.name.value,
            in_words(entry),
            because(entry.reason.as_deref()),
            self.ended(entry.until.as_ref().map(|until| until.value))
        );
        let until = entry.until.as_ref().map(|until| until.value);
        let lapse = lapse(entry.from.as_ref().map(|from| from.value), until, self.now);
        // People who come by the same roles share an origin.
        let mut origins: BTreeMap<Vec<&str>, Arc<Origin>> = BTreeMap::new();
        let cites: Vec<&str> = cited_roles(entry).collect();
        all.reserve(set.len());
        for number in set {
            let held = |name: &&str| self.out.roles.get(*name).is_some_and(|members| members.has(number));
            let through: Vec<&str> = cites.iter().copied().filter(held).collect();
            // What comes through a role ends when that membership ends.
            let inherited = through
                .iter()
                .filter_map(|name| self.out.roles.get(*name)?.of(number))
                .map(|membership| membership.until)
                .reduce(later);
            let until = inherited.map_or(until, |inherited| earlier(until, inherited));
            let origin = origins.entry(through).or_insert_with_key(|through| {
                Arc::new(Origin {
                    text: text.clone(),
                    span: entry.span.clone(),
                    chain: through.iter().map(|name| self.link(name)).collect(),
                    role: Some(role.name.value.as_str().into()),
                })
            });
            self.add(Given { number, origin: origin.clone(), until }, members, all, lapse);
        }
    }

    fn grant(
        &mut self,
        role: &Role,
        grant: &GrantFile,
        (members, all): (&mut Members, &mut Vec<Given>),
        cited: &mut Cited,
    ) {
        let from = grant.from.as_ref().map(|from| from.value);
        let mut origins: BTreeMap<(Option<Timestamp>, bool), Arc<Origin>> = BTreeMap::new();
        for number in self.crowd.matching(&Condition::Handle(grant.to.clone()), &|_| Set::new(), cited) {
            let (until, is_open) = self.end_of(role, grant, number);
            let origin =
                origins.entry((until, is_open)).or_insert_with(|| self.asked(role, grant, until, is_open));
            let lapse = lapse(from, until, self.now);
            self.add(Given { number, origin: origin.clone(), until }, members, all, lapse);
        }
    }

    /// When a grant ends for somebody; and whether the time that its role allows begins only when it is applied.
    fn end_of(&mut self, role: &Role, grant: &GrantFile, number: u32) -> (Option<Timestamp>, bool) {
        let until = grant.until.as_ref().map(|until| until.value);
        let Some(max) = role.on_request.as_ref().and_then(|terms| terms.max) else { return (until, false) };
        let after = |begin: Timestamp| Some(begin.checked_add(max).unwrap_or(Timestamp::MAX));
        if let Some(from) = &grant.from {
            return (earlier(until, after(from.value)), false);
        }
        let Some(person) = self.crowd.person(number) else { return (until, false) };
        let name = Session::called(&grant.name.value, &role.name.value, &person.handle);
        let begun = self.when.begun.and_then(|begun| begun.get(&name)).copied();
        let role = Name::from(role.name.value.as_str());
        self.out.sessions.insert(name, Session { person: Address::person(&person.handle), role });
        match begun {
            Some(begun) => (earlier(until, after(begun)), false),
            None => (until, true),
        }
    }

    fn asked(&self, role: &Role, grant: &GrantFile, until: Option<Timestamp>, is_open: bool) -> Arc<Origin> {
        let ticket = grant.ticket.as_ref().map(|ticket| format!(", {ticket}")).unwrap_or_default();
        let max = role.on_request.as_ref().and_then(|terms| terms.max).filter(|_| is_open);
        let at_most =
            max.map(|max| format!(", for {max:#} from the first apply at most")).unwrap_or_default();
        let (because, ended) = (because(grant.reason.as_deref()), self.ended(until));
        let named = grant.roles.iter().find(|name| name.value == role.name.value);
        Arc::new(Origin {
            text: format!("grant {}{because}{ticket}{at_most}{ended}", grant.name.value),
            span: named.map_or(&grant.span, |name| &name.span).clone(),
            chain: vec![self.link(&role.name.value)],
            role: Some(role.name.value.as_str().into()),
        })
    }

    fn add(&self, given: Given, members: &mut Members, all: &mut Vec<Given>, lapse: Option<LapseCause>) {
        match out(self.crowd.status(given.number)).or(lapse) {
            Some(cause) => drop(members.lapsed.entry(given.number).or_insert((cause, given.origin))),
            None => all.push(given),
        }
    }

    fn except(&self, role: &Role, entry: &RoleEntry, members: &mut Members, cited: &mut Cited) {
        let roles =
            |name: &str| self.out.roles.get(name).map(|members| members.numbers()).unwrap_or_default();
        let mut mine = Cited { except: true, ..Cited::default() };
        let set = self.crowd.all(entry, &roles, &mut mine);
        let (from, until) = (entry.from.as_ref().map(|at| at.value), entry.until.as_ref().map(|at| at.value));
        let in_force = lapse(from, until, self.now).is_none();
        if in_force && cited.gap.is_none() {
            let dead = mine.dead.first();
            let dead = dead.map(|dead| (Why::Frozen, format!("its {} `{}` is gone", dead.key, dead.value)));
            let short = || cited_roles(entry).find_map(|name| self.out.short.get(name).cloned());
            cited.gap = dead.or(mine.gap).or_else(short);
        }
        cited.dead.extend(mine.dead);
        if !in_force {
            return;
        }
        let origin = Arc::new(Origin {
            text: format!(
                "role {} excepts: {}{}",
                role.name.value,
                in_words(entry),
                because(entry.reason.as_deref())
            ),
            span: entry.span.clone(),
            chain: Vec::new(),
            role: Some(role.name.value.as_str().into()),
        });
        members.current.retain(|(number, _)| {
            let excepted = set.binary_search(number).is_ok();
            if excepted {
                members.lapsed.insert(*number, (LapseCause::Excepted, origin.clone()));
            }
            !excepted
        });
    }

    /// Says which owners of a role are nobody. It is a warning: who left must not stop the plans of all others.
    fn owners(&mut self, role: &Role) {
        // `@group/path` is the forge's to know.
        for owner in role.owners.iter().filter(|owner| !owner.value.starts_with('@')) {
            if let Some(help) = self.crowd.nobody(&owner.value) {
                let message = format!(
                    "role `{}` is owned by `{}`, but nobody has that handle",
                    role.name.value, owner.value
                );
                self.findings.push(
                    Finding::warning(NO_SUCH_PERSON, message)
                        .at(&owner.span)
                        .about(format!("role:{}", role.name.value))
                        .help(help),
                );
            }
        }
    }

    /// What was cited and is gone freezes a role or is an error; what could not be worked out makes it short of members
    /// or doubtful, and so the roles that cite it.
    fn judge(&mut self, role: &Role, given: Cited, kept_out: Cited) {
        let name: Name = role.name.value.as_str().into();
        let (members, except) =
            (role.members.iter().flat_map(cited_roles), || role.except.iter().flat_map(cited_roles));
        let members: Vec<&str> = members.collect();
        let gone = given
            .dead
            .first()
            .map(|dead| (Why::Frozen, format!("its {} `{}` is gone", dead.key, dead.value)));
        let short = gone
            .or(given.gap)
            .or_else(|| members.iter().find_map(|cites| self.out.short.get(*cites).cloned()))
            .or_else(|| except().find_map(|cites| self.out.doubtful.get(cites).cloned()));
        self.out.short.extend(short.map(|short| (name.clone(), short)));
        let doubt = kept_out.gap.map(|(why, text)| {
            let text =
                format!("whom `role:{name}` excepts could not be worked out: {text}; nobody new gets it");
            (why, text)
        });
        let doubt = doubt.or_else(|| members.iter().find_map(|cites| self.out.doubtful.get(*cites).cloned()));
        self.out.doubtful.extend(doubt.map(|doubt| (name.clone(), doubt)));

        let dead = given.dead.into_iter().map(|dead| (dead, "nobody loses the role"));
        let dead = dead.chain(kept_out.dead.into_iter().map(|dead| (dead, "nobody gets or loses the role")));
        for (dead, so) in dead {
            let known = self.cited.contains(&(role.name.value.clone(), dead.key.clone(), dead.value.clone()));
            if !known {
                self.findings.push(dead.finding);
                continue;
            }
            let mut finding = Finding::warning(
                FROZEN,
                format!(
                    "role `{name}` is frozen: its {} `{}` is gone, so {so} until this is mended",
                    dead.key, dead.value
                ),
            );
            finding.span = dead.finding.span;
            if let Some(span) = finding.span.clone() {
                let (role, key, value) = (name.clone(), dead.key, dead.value);
                self.out.dead.push(DeadCitation { role, key, value, span });
            }
            let finding = finding
                .about(format!("role:{name}"))
                .help("cite what its people have now, or remove the entry: `rolecall check --suggest` tells what they have");
            self.findings.push(finding.clone());
            self.out.frozen.entry(name.clone()).or_insert(finding);
        }
        let inherited = roles_of(role).find_map(|cites| self.out.frozen.get(cites)).cloned();
        if let Some(finding) = inherited {
            self.out.frozen.entry(name).or_insert(finding);
        }
    }

    /// That something has ended, where it has: `, ended 2026-11-22 00:00 -08:00`.
    fn ended(&self, until: Option<Timestamp>) -> String {
        let ended = until.filter(|until| *until <= self.now);
        let at = ended.map(|at| at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string());
        at.map(|at| format!(", ended {at}")).unwrap_or_default()
    }

    fn link(&self, role: &str) -> String {
        match self.roles.get(role) {
            Some(role) => format!("role {} ({})", role.name.value, role.name.span),
            None => format!("role {role}"),
        }
    }
}

pub(super) fn cited_roles(entry: &RoleEntry) -> impl Iterator<Item = &str> {
    entry
        .conditions
        .iter()
        .filter_map(|condition| if let Condition::Role(names) = condition { Some(names) } else { None })
        .flatten()
        .map(|name| name.value.as_str())
}

pub(super) fn roles_of(role: &Role) -> impl Iterator<Item = &str> {
    role.members.iter().chain(&role.except).flat_map(cited_roles)
}

/// Rules match only types that say so, unless the entry names a type; handles and roles name people already.
pub(super) fn needs_type(entry: &RoleEntry) -> bool {
    let named = |condition: &Condition| matches!(condition, Condition::Type(_) | Condition::Handle(_));
    let rule = |condition: &Condition| {
        matches!(condition, Condition::Attribute { .. } | Condition::Manager(_) | Condition::ReportsTo(_))
    };
    entry.conditions.iter().any(rule) && !entry.conditions.iter().any(named)
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

/// Why somebody who stands there gets nothing.
fn out(status: Status) -> Option<LapseCause> {
    match status {
        Status::Left => Some(LapseCause::Left),
        Status::Suspended => Some(LapseCause::Suspended),
        Status::Staged => Some(LapseCause::NotYet),
        Status::Active => None,
    }
}

fn lapse(from: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) -> Option<LapseCause> {
    if until.is_some_and(|until| until <= now) {
        Some(LapseCause::Expired)
    } else if from.is_some_and(|from| from > now) {
        Some(LapseCause::NotYet)
    } else {
        None
    }
}

/// The later of two ends, where none is never.
pub(super) fn later(one: Option<Timestamp>, two: Option<Timestamp>) -> Option<Timestamp> {
    Some(one?.max(two?))
}

/// The earlier of two ends, where none is never.
fn earlier(one: Option<Timestamp>, two: Option<Timestamp>) -> Option<Timestamp> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}
