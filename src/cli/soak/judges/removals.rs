//! Judges of what is taken away or touched at all: 11, 12, 14 to 17, 19, 22 and 44.

use std::collections::{BTreeMap, BTreeSet};

use super::super::docket::Judge;
use super::super::facts::{
    Difference, Fact, aws_user, facts, handle, is_gone, okta_group, okta_user, statuses,
};
use super::super::go::{Go, Write, dropped, touches};
use super::super::repo::{ADMINS, CALLER, May, at_work};
use super::super::run::{Round, Run};
use super::super::trouble::Network;
use super::is_leaver;
use crate::model::Guard;
use crate::simulator::{Edit, UserStatus, World};

pub(super) fn go(run: &mut Run, go: &Go) {
    let asked = go.repo.wants(&go.world, go.from);
    unowned(run, go);
    justified(run, go, &asked);
    unread(run, go);
    emptied(run, go, &asked);
    caps(run, go, &asked);
    callers(run, go, &asked);
    administrators(run, go, &asked);
    forgotten(run, go, &asked);
}

fn said(wrong: &[String]) -> Option<String> {
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

/// Nothing that is not ours is touched.
fn unowned(run: &mut Run, go: &Go) {
    let head = |thing: &str| go.repo.may(thing);
    // A removal needs both sides' leave.
    let both = |thing: &str| go.base.as_ref().map_or(head(thing), |base| head(thing).min(base.may(thing)));
    let allowed = |write: &Write, did: &Difference| match &did.fact {
        Fact::Thing(thing) if did.is_new() => head(thing) == May::All,
        Fact::Thing(thing) => both(thing) == May::All,
        Fact::Field(thing, _) => head(thing) == May::All || both(thing) == May::All,
        Fact::Edge(who, what) => {
            // What was deleted took its edges along.
            let along =
                |did: &Difference| matches!(&did.fact, Fact::Thing(thing) if thing == who || thing == what);
            let okta = what.starts_with("okta:");
            let own = |thing: &str| {
                if did.is_new() { head(thing) >= May::Add } else { both(thing) >= May::Members }
            };
            write.did.iter().any(along) || own(what) || (!okta && own(who))
        }
    };
    for write in &go.writes {
        for did in &write.did {
            let wrong = (!allowed(write, did)).then(|| format!("{did} is not ours"));
            run.told.docket.guard(Guard::Ownership, wrong);
        }
    }
}

/// Nothing goes that is asked for, or that nobody ever asked for and nothing claims.
fn justified(run: &mut Run, go: &Go, asked: &BTreeSet<Fact>) {
    let last = go.repo.wants(&go.end, go.until);
    let gone = go.base.as_ref().map(|base| dropped(base, &go.repo)).unwrap_or_default();
    let claims = go.repo.declares();
    let gone = |thing: &String| gone.contains(thing) || run.dropped.contains(thing);
    let mut wrong = Vec::new();
    for (write, did) in go.removals() {
        let fact = &did.fact;
        if asked.contains(fact) && last.contains(fact) {
            wrong.push(format!("{fact} is asked for, and went by {}", write.action));
            continue;
        }
        let by_base = go.base.as_ref().is_some_and(|base| base.wants(&go.world, go.from).contains(fact));
        let known = match fact {
            Fact::Thing(thing) => gone(thing),
            Fact::Edge(who, what) => {
                let ours =
                    by_base || run.ours.contains(fact) || claims.contains(what) || claims.contains(who);
                is_leaver(&go.world, fact) || ours || gone(who) || gone(what)
            }
            Fact::Field(..) => true,
        };
        if !known {
            wrong.push(format!("{fact} went by {}, and nobody asked for that", write.action));
        }
    }
    if go.removals().next().is_some() {
        run.told.docket.judge(Judge::NothingLost, said(&wrong));
    }
}

/// What could not be read takes nothing away but from those who left.
fn unread(run: &mut Run, go: &Go) {
    let Some(trouble) = &go.trouble else { return };
    let (guard, scope) = match trouble.network {
        Network::Blind("iam:GetAccountAuthorizationDetails", _) => (Guard::Coverage, "aws:"),
        // Other pages than the first may have been whole lists.
        Network::Blind(_, 0) => (Guard::Coverage, "okta:"),
        Network::Empty(_) => (Guard::EmptyList, "okta:"),
        Network::Blind("GET /users", 1) if has_pages(&go.world) => return strangers(run, go),
        _ => return,
    };
    let populated = members(go.before.keys());
    let wrong: Vec<String> = go
        .removals()
        .filter(|(_, did)| match &did.fact {
            Fact::Thing(thing) => {
                thing.starts_with(scope)
                    && (guard == Guard::Coverage || populated.contains_key(thing.as_str()))
            }
            fact @ Fact::Edge(who, _) => who.starts_with(scope) && !is_leaver(&go.world, fact),
            Fact::Field(..) => false,
        })
        .map(|(write, did)| format!("{} went by {}, unread", did.fact, write.action))
        .collect();
    run.told.docket.guard(guard, said(&wrong));
}

/// Whether the people who have not left are more than a page of them.
fn has_pages(world: &World) -> bool {
    let here = world.okta.users.values().filter(|user| user.status != UserStatus::Deprovisioned);
    here.count() > world.page_size
}

/// Of a directory of which only the first page was read nobody loses anything but those who left.
fn strangers(run: &mut Run, go: &Go) {
    let people = statuses(&go.world);
    let person = |fact: &Fact| fact.handle().is_some_and(|handle| people.contains_key(handle));
    let taken = go.removals().filter(|(_, did)| person(&did.fact) && !is_leaver(&go.world, &did.fact));
    let wrong: Vec<String> = taken
        .map(|(write, did)| format!("{} went by {}, and who there is was not read", did.fact, write.action))
        .collect();
    run.told.docket.guard(Guard::Coverage, said(&wrong));
}

/// The members of groups.
fn members<'a>(facts: impl Iterator<Item = &'a Fact>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut members: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for fact in facts {
        if let Fact::Edge(who, what) = fact
            && what.contains(":group/")
        {
            members.entry(what).or_default().insert(who);
        }
    }
    members
}

fn is_on(fact: &Fact, group: &str) -> bool {
    matches!(fact, Fact::Edge(_, what) if what == group)
}

/// No group becomes empty by others than leavers.
fn emptied(run: &mut Run, go: &Go, asked: &BTreeSet<Fact>) {
    let (after, declared) = (members(go.after.keys()), go.repo.declares());
    for group in members(go.before.keys()).into_keys() {
        let thing = Fact::Thing(group.to_owned());
        // Of what roles merely name nobody can say that it may be empty, so it may.
        if !declared.contains(group)
            || !go.after.contains_key(&thing)
            || go.touched(&thing)
            || go.repo.may_be_empty(group)
        {
            continue;
        }
        let emptied = !after.contains_key(group)
            && go.removals().any(|(_, did)| is_on(&did.fact, group) && !is_leaver(&go.world, &did.fact));
        // Where nobody is asked for, and somebody was, it could become empty.
        let could = !asked.iter().any(|fact| is_on(fact, group))
            && go.before.keys().any(|fact| is_on(fact, group) && run.ours.contains(fact));
        if could || emptied {
            run.told.docket.guard(Guard::EmptyGroup, emptied.then(|| format!("{group} was emptied")));
        }
    }
}

/// No more goes than the caps let go.
fn caps(run: &mut Run, go: &Go, asked: &BTreeSet<Fact>) {
    let judging = go.base.as_ref().unwrap_or(&go.repo);
    let total = members(go.before.keys());
    let allowed = |group: &str| judging.removals.of(total.get(group).map_or(0, BTreeSet::len));
    let leaver = |fact: &Fact| is_leaver(&go.world, fact) || is_leaver(&go.end, fact);
    let taken: Vec<&Fact> = go.removals().map(|(_, did)| &did.fact).filter(|fact| !leaver(fact)).collect();
    let mut wrong = Vec::new();
    if !go.repo.waived {
        for (group, went) in members(taken.iter().copied()) {
            let (count, most) = (went.len(), allowed(group));
            if count > most {
                wrong.push(format!("{count} of {group} went, and {most} may"));
            }
        }
        let (count, most) = (taken.len(), judging.per_run);
        if count > most {
            wrong.push(format!("{count} went in one run, and {most} may"));
        }
    }
    let left = go.removals().map(|(_, did)| &did.fact).filter(|fact| leaver(fact));
    let left: BTreeSet<&str> = left.filter_map(Fact::handle).collect();
    let people = statuses(&go.world);
    let staying = people.values().filter(|status| **status == UserStatus::Active).count();
    let most = judging.leavers.of(staying + left.len());
    if left.len() > most {
        wrong.push(format!("{} lost all as leavers in one run, and {most} may", left.len()));
    }
    // More is to go than may.
    let going = |fact: &&Fact| run.ours.contains(*fact) && !asked.contains(*fact) && !leaver(fact);
    let going = members(go.before.keys().filter(going));
    let many = !go.repo.waived && going.iter().any(|(group, who)| who.len() > allowed(group));
    if many || !wrong.is_empty() {
        run.told.docket.guard(Guard::Caps, said(&wrong));
    }
}

/// Whoever applies keeps all that he has.
fn callers(run: &mut Run, go: &Go, asked: &BTreeSet<Fact>) {
    let callers = [aws_user(CALLER), okta_user(CALLER)];
    let mut own: BTreeSet<&str> = callers.iter().map(String::as_str).collect();
    for fact in go.before.keys() {
        if let Fact::Edge(who, what) = fact
            && callers.contains(who)
            && what.contains(":group/")
        {
            own.insert(what);
        }
    }
    let is_own = |fact: &Fact| match fact {
        Fact::Edge(who, _) => own.contains(who.as_str()),
        Fact::Thing(thing) => own.contains(thing.as_str()),
        Fact::Field(..) => false,
    };
    let wrong: Vec<String> =
        go.removals().filter(|(_, did)| is_own(&did.fact)).map(|(_, did)| did.to_string()).collect();
    let dropped =
        go.before.keys().any(|fact| is_own(fact) && run.ours.contains(fact) && !asked.contains(fact));
    if dropped || !wrong.is_empty() {
        run.told.docket.guard(Guard::OwnAccess, said(&wrong));
    }
}

/// Enough administrators stay who can act.
fn administrators(run: &mut Run, go: &Go, asked: &BTreeSet<Fact>) {
    let group = okta_group(ADMINS);
    let least = go.base.as_ref().unwrap_or(&go.repo).admins_min;
    let mut wrong = Vec::new();
    for (write, did) in go.removals().filter(|(_, did)| is_on(&did.fact, &group)) {
        let acting = |fact: &&Fact| {
            is_on(fact, &group) && fact.handle().is_some_and(|handle| at_work(&write.world, handle))
        };
        let acting = write.after.keys().filter(acting).count();
        if acting < least && !go.touched(&Fact::Thing(group.clone())) {
            wrong.push(format!("{did}, and {acting} administrators are left"));
        }
    }
    let few = asked.iter().filter(|fact| is_on(fact, &group)).count() < least;
    if few || !wrong.is_empty() {
        run.told.docket.guard(Guard::LastAdministrator, said(&wrong));
    }
}

/// Without a base nothing goes but what leavers have.
fn forgotten(run: &mut Run, go: &Go, asked: &BTreeSet<Fact>) {
    if go.base.is_some() {
        return;
    }
    let stays = go.removals().filter(|(_, did)| !is_leaver(&go.world, &did.fact));
    let wrong: Vec<String> = stays.map(|(_, did)| did.to_string()).collect();
    let claimed = go.repo.declares();
    let extra = |fact: &Fact| matches!(fact, Fact::Edge(_, what) if claimed.contains(what));
    if go.before.keys().any(|fact| extra(fact) && !asked.contains(fact)) || !wrong.is_empty() {
        run.told.docket.guard(Guard::Base, said(&wrong));
    }
}

/// At the end leavers have nothing left that was given by us and is ours to take, unless their cap holds it.
pub(super) fn round(run: &mut Run, round: &Round) {
    let world = run.site.simulator.world();
    let live = facts(&world);
    let own = |thing: &str| run.repo.may(thing).min(round.before.may(thing));
    let ours = |fact: &Fact| match fact {
        Fact::Edge(who, what) => {
            let okta = what.starts_with("okta:");
            *what != okta_group(ADMINS)
                && run.ours.contains(fact)
                && (own(what) >= May::Members || (!okta && own(who) >= May::Members))
        }
        _ => false,
    };
    let had: BTreeSet<Fact> =
        facts(&round.live).into_keys().filter(|fact| is_leaver(&round.live, fact) && ours(fact)).collect();
    // Whatever else they have counts too.
    let all = facts(&round.live);
    let people = statuses(&round.live);
    let has_left = |handle: &str| people.get(handle).is_none_or(|status| is_gone(*status));
    let mut leaving: BTreeSet<&str> =
        all.keys().filter_map(Fact::handle).filter(|handle| has_left(handle)).collect();
    // And so does what others give them meanwhile.
    let given = round.others.iter().filter_map(|edit| match edit {
        Edit::AddMember { login, .. } => Some(handle(login)),
        _ => None,
    });
    leaving.extend(given.filter(|handle| has_left(handle)));
    let staying = people.values().filter(|status| **status == UserStatus::Active).count();
    let most = round.before.leavers.of(staying + leaving.len());
    if had.is_empty() || leaving.len() > most {
        return;
    }
    let touched = |fact: &Fact| round.others.iter().any(|edit| touches(edit, fact));
    let kept: Vec<String> = had
        .iter()
        .filter(|fact| live.contains_key(*fact) && !touched(fact))
        .map(ToString::to_string)
        .collect();
    run.told.docket.guard(Guard::Leavers, said(&kept));
}
