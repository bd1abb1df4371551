//! What happens to an organization between two plans: edits of YAML, people who come, move and go, hands on live.
//!
//! Invariant: an edit is told in words, so that a failing seed can be read; it follows from the dice and what is there.

use jiff::{Timestamp, ToSpan};
use serde_json::json;

use super::dice::Dice;
use super::facts::{ACCOUNT, Fact, facts, handle, okta_group, okta_user};
use super::repo::{
    ADMINS, BREAK_GLASS, CALLER, Entry, Group, May, Own, Repo, Who, at_work, group_of, in_department,
};
use super::world::{APPS, AWS_GROUPS, AWS_POLICIES, DEPARTMENTS, entry, login, native, person, role};
use crate::simulator::{IamUser, OktaGroup, UserStatus, World};

/// The people who are no services.
fn handles(world: &World) -> Vec<String> {
    let all = world.okta.users.keys().map(|login| handle(login).to_owned());
    all.filter(|handle| handle != CALLER && handle != BREAK_GLASS.1).collect()
}

/// Edits the access repo; what was done, in words.
pub(super) fn of_repo(dice: &mut Dice, repo: &mut Repo, world: &World, n: usize) -> String {
    let people = handles(world);
    let somebody = dice.one(&people).cloned().unwrap_or_else(|| "p00".to_owned());
    let roles: Vec<String> = repo.roles.keys().cloned().collect();
    let name = dice.one(&roles).cloned().unwrap_or_else(|| "r0".to_owned());
    let drawn = entry(dice, &people, repo);
    let which = dice.below(28);
    if let Some(text) = of_native(dice, repo, &somebody, n, which) {
        return text;
    }
    if which == 20 {
        let drawn = role(dice, &people, repo);
        repo.roles.insert(format!("n{n}"), drawn);
        return format!("role n{n} is new");
    }
    let until = world.now.checked_add((24 * i64::try_from(dice.between(1, 20)).unwrap_or(1)).hours());
    let Some(role) = repo.roles.get_mut(&name) else { return "nothing".to_owned() };
    match which {
        21 => {
            role.members.push(Entry { who: Who::Handle(somebody.clone()), until: None });
            format!("{somebody} gets {name}")
        }
        22 => {
            let day = until.unwrap_or(world.now).to_zoned(jiff::tz::TimeZone::UTC).date();
            role.members.push(Entry { who: Who::Handle(somebody.clone()), until: Some(day) });
            format!("{somebody} gets {name} until {day}")
        }
        23 => {
            if !role.except.remove(&somebody) {
                role.except.insert(somebody.clone());
            }
            format!("whether {somebody} is kept out of {name} changes")
        }
        24 => {
            role.members = vec![Entry { who: Who::Handle(somebody.clone()), until: None }];
            format!("{name} is for {somebody} alone")
        }
        25 => {
            role.members.clear();
            format!("{name} is for nobody")
        }
        26 => {
            let at = dice.below(role.members.len());
            // A role that others refer to must not refer to others, or there might be a circle.
            let drawn = if matches!(drawn.who, Who::Role(_)) { None } else { Some(drawn) };
            if let (Some(entry), Some(drawn)) = (role.members.get_mut(at), drawn) {
                *entry = drawn;
            }
            format!("an entry of {name} is for others")
        }
        27 => {
            role.allow_empty = !role.allow_empty;
            format!("whether {name} may be empty changes")
        }
        _ => targets(dice, repo, &name, n),
    }
}

/// Edits what a role gives, or whether there is one.
fn targets(dice: &mut Dice, repo: &mut Repo, name: &str, n: usize) -> String {
    let Some(mut role) = repo.roles.remove(name) else { return "nothing".to_owned() };
    let text = match dice.below(8) {
        0 if repo.roles.len() > 1 => {
            for other in repo.roles.values_mut() {
                other.members.retain(|entry| entry.who != Who::Role(name.to_owned()));
            }
            return format!("role {name} is gone");
        }
        1 => {
            for other in repo.roles.values_mut() {
                for entry in other.members.iter_mut().filter(|entry| entry.who == Who::Role(name.to_owned()))
                {
                    entry.who = Who::Role(format!("n{n}"));
                }
            }
            repo.roles.insert(format!("n{n}"), role);
            return format!("role {name} is called n{n} now");
        }
        2 | 3 => {
            let app = dice.pick(&APPS[..4]).copied().unwrap_or("app.a");
            if !role.okta.remove(app) {
                role.okta.insert(app.to_owned());
            }
            format!("whether {name} gives {app} changes")
        }
        4 | 5 => {
            let group = dice.pick(&AWS_GROUPS[..2]).copied().unwrap_or("ci-readers");
            let there = repo.iam.contains_key(&("group", group.to_owned()));
            if !role.aws_groups.remove(group) && there {
                role.aws_groups.insert(group.to_owned());
            }
            format!("whether {name} gives {group} changes")
        }
        6 => {
            let policy = dice.pick(&AWS_POLICIES).copied().unwrap_or("ci-write");
            let there = policy != "ci-write" || repo.iam.contains_key(&("policy", policy.to_owned()));
            if !role.aws_policies.remove(policy) && there {
                role.aws_policies.insert(policy.to_owned());
            }
            format!("whether {name} gives {policy} changes")
        }
        _ => {
            role.okta.clear();
            role.aws_groups.clear();
            role.aws_policies.clear();
            format!("{name} gives nothing")
        }
    };
    repo.roles.insert(name.to_owned(), role);
    text
}

/// Edits native documents and settings; `None` where it is not for these.
fn of_native(dice: &mut Dice, repo: &mut Repo, somebody: &str, n: usize, which: usize) -> Option<String> {
    let things: Vec<(&'static str, String)> = repo.iam.keys().cloned().collect();
    let thing = dice.one(&things).cloned();
    let group = dice.one(repo.groups.keys().cloned()).unwrap_or_default();
    Some(match which {
        0 => {
            let (kind, name, iam) = native(dice, n + 10);
            let text = format!("{kind} {name} is new");
            repo.iam.insert((kind, name), iam);
            text
        }
        1 | 2 => {
            let (kind, name) = thing.filter(|(_, name)| name != CALLER)?;
            forget(repo, kind, &name);
            format!("{kind} {name} is gone")
        }
        3 | 4 => {
            let (kind, name) = thing?;
            let iam = repo.iam.get_mut(&(kind, name.clone()))?;
            match kind {
                "policy" => iam.document = Some(format!("arn:aws:s3:::e{}/*", dice.below(99))),
                "role" if dice.percent(50) => iam.description = Some(format!("d{}", dice.below(99))),
                "role" => {
                    iam.document = dice.percent(70).then(|| format!("arn:aws:s3:::i{}/*", dice.below(9)));
                }
                "user" if name != CALLER => {
                    iam.tags.insert("team".into(), format!("t{}", dice.below(9)));
                }
                _ => {
                    let managed = "managed:SecurityAudit".to_owned();
                    if !iam.policies.remove(&managed) {
                        iam.policies.insert(managed);
                    }
                }
            }
            format!("{kind} {name} is edited")
        }
        5 => {
            let members = &mut repo.groups.get_mut(ADMINS)?.members;
            while members.len() > 1 {
                members.pop_last();
            }
            "all administrators but one are dropped".to_owned()
        }
        6 => {
            let members = &mut repo.groups.get_mut(ADMINS)?.members;
            members.pop_first();
            members.insert(somebody.to_owned());
            format!("an administrator is dropped for {somebody}")
        }
        7 => {
            match dice.below(4) {
                0 => forget(repo, "user", CALLER),
                1 => forget(repo, "group", "ci-operators"),
                2 => repo.iam.get_mut(&("user", CALLER.to_owned()))?.groups.clear(),
                _ => {
                    repo.groups.get_mut("list.operators")?.members.remove(CALLER);
                }
            }
            "the access of whoever applies is dropped".to_owned()
        }
        8 => {
            let at = dice.below(repo.own.len());
            let own = repo.own.get_mut(at).filter(|own| own.may >= May::Add)?;
            if own.pattern != "legacy_*" && (own.kind != "okta:group" || own.pattern != "app.*") {
                return None;
            }
            own.may = if own.may == May::Add { May::Members } else { May::Add };
            format!("own of {} {} changes", own.kind, own.pattern)
        }
        9 => {
            // What is no longer ours is let go, in the same edit as its document.
            let (kind, name) = thing.filter(|(kind, name)| name != CALLER && *kind != "user")?;
            forget(repo, kind, &name);
            let kind_of = match kind {
                "group" => "aws:group",
                "role" => "aws:role",
                _ => "aws:policy",
            };
            repo.own.insert(0, Own { kind: kind_of, pattern: name.clone(), may: May::Look });
            format!("{kind} {name} is let go")
        }
        10 => {
            repo.waived = !repo.waived;
            "the caps are waived, or no longer".to_owned()
        }
        11 => {
            let members = [somebody.to_owned(), "p01".to_owned()].into();
            let description = Some(format!("d{}", dice.below(99)));
            repo.groups.insert(format!("list.n{n}"), Group { description, members, allow_empty: false });
            format!("group list.n{n} is new")
        }
        12 | 13 => {
            repo.groups.remove(&group).filter(|_| group != ADMINS)?;
            format!("group {group} is gone")
        }
        14 => {
            repo.groups.get_mut(&group).filter(|_| group != ADMINS)?.members.clear();
            format!("group {group} is for nobody")
        }
        15 => {
            repo.groups.get_mut(&group)?.description = Some(format!("d{}", dice.below(99)));
            format!("group {group} is described")
        }
        16 => {
            let members = &mut repo.groups.get_mut(&group)?.members;
            members.insert(somebody.to_owned());
            format!("{somebody} is put into {group}")
        }
        17 => {
            let old = repo.groups.remove(&group).filter(|_| group.starts_with("list."))?;
            repo.groups.insert(format!("list.n{n}"), old);
            format!("group {group} is called list.n{n} now")
        }
        _ => return None,
    })
}

/// Takes an IAM thing and what refers to it out of YAML.
fn forget(repo: &mut Repo, kind: &'static str, name: &str) {
    repo.iam.remove(&(kind, name.to_owned()));
    for role in repo.roles.values_mut() {
        if kind == "group" {
            role.aws_groups.remove(name);
        } else if kind == "policy" {
            role.aws_policies.remove(name);
        }
    }
    for iam in repo.iam.values_mut() {
        if kind == "group" {
            iam.groups.remove(name);
        } else if kind == "policy" {
            iam.policies.remove(name);
        }
    }
}

/// What happens to people; what it was, in words.
pub(super) fn of_people(dice: &mut Dice, world: &mut World, n: usize) -> String {
    let people = handles(world);
    let Some(who) = dice.one(&people).cloned() else { return "nothing".to_owned() };
    let department = dice.pick(&DEPARTMENTS).copied().unwrap_or("alpha");
    let status = |world: &mut World, who: &str, status| {
        if let Some(user) = world.okta.users.get_mut(&login(who)) {
            user.status = status;
        }
    };
    match dice.below(12) {
        0 | 1 => {
            let who = format!("j{n:02}");
            world.okta.add_user(person(&who, department));
            if dice.percent(50)
                && let Some(account) = world.aws.accounts.get_mut(ACCOUNT)
            {
                account.users.insert(who.clone(), IamUser { name: who.clone(), ..IamUser::default() });
            }
            format!("{who} joins {department}")
        }
        2..5 => {
            if let Some(user) = world.okta.users.get_mut(&login(&who)) {
                user.profile.insert("department".into(), json!(department));
            }
            format!("{who} moves to {department}")
        }
        5 | 6 => {
            status(world, &who, UserStatus::Deprovisioned);
            format!("{who} leaves")
        }
        7 => {
            status(world, &who, UserStatus::Suspended);
            format!("{who} is suspended")
        }
        8 => {
            for who in people.iter().take(4) {
                status(world, who, UserStatus::Deprovisioned);
            }
            "four leave".to_owned()
        }
        9 => {
            status(world, &who, UserStatus::Active);
            format!("{who} is back")
        }
        10 if people.len() > 5 => {
            vanish(world, &who);
            format!("{who} vanishes from the directory")
        }
        _ => {
            let other = DEPARTMENTS.iter().find(|name| **name != department).copied().unwrap_or("beta");
            for who in in_department(world, department) {
                if let Some(user) = world.okta.users.get_mut(&login(&who)) {
                    user.profile.insert("department".into(), json!(other));
                }
            }
            format!("nobody is in {department} any more, all are in {other}")
        }
    }
}

fn vanish(world: &mut World, who: &str) {
    let login = login(who);
    world.okta.users.remove(&login);
    for group in world.okta.groups.values_mut() {
        group.members.remove(&login);
    }
}

/// What somebody does to live by hand; what it was, in words.
pub(super) fn by_hand(dice: &mut Dice, world: &mut World, repo: &Repo, n: usize) -> String {
    let logins: Vec<String> = world.okta.users.keys().cloned().collect();
    let who = dice.one(&logins).cloned().unwrap_or_default();
    let roles: Vec<String> = repo.roles.keys().map(|role| group_of(role)).collect();
    let names: Vec<String> = world.okta.groups.values().map(|group| group.name.clone()).collect();
    let names: Vec<String> = names.into_iter().filter(|name| name != BREAK_GLASS.0).collect();
    let ours = dice.one(&roles).cloned();
    let name =
        if dice.percent(50) { ours.or_else(|| dice.one(&names).cloned()) } else { dice.one(&names).cloned() };
    let name = name.unwrap_or_default();
    match dice.below(10) {
        0..4 => {
            if let Some(group) = world.okta.group_named(&name) {
                group.members.insert(who.clone());
            }
            format!("somebody puts {} into {name}", handle(&who))
        }
        4 | 5 => {
            let group = world.okta.group_named(&name);
            let gone = group.and_then(|group| group.members.pop_first()).unwrap_or_default();
            format!("somebody takes {} out of {name}", handle(&gone))
        }
        6 => {
            if let Some(group) = world.okta.group_named(&name) {
                group.description = Some(format!("by hand {n}"));
            }
            format!("somebody describes {name}")
        }
        7 => {
            let name = format!("hand.{n}");
            let members = [who].into();
            world.okta.add_group(OktaGroup { name: name.clone(), members, ..OktaGroup::default() });
            format!("somebody makes {name}")
        }
        8 => {
            let Some(account) = world.aws.accounts.get_mut(ACCOUNT) else { return "nothing".to_owned() };
            let users: Vec<String> = account.users.keys().filter(|name| *name != CALLER).cloned().collect();
            let name = dice.one(users).unwrap_or_default();
            if let Some(user) = account.users.get_mut(&name)
                && !user.policies.remove("managed:ViewOnlyAccess")
            {
                user.policies.insert("managed:ViewOnlyAccess".into());
            }
            format!("somebody attaches a policy to {name}, or detaches it")
        }
        _ => {
            let Some(account) = world.aws.accounts.get_mut(ACCOUNT) else { return "nothing".to_owned() };
            let roles: Vec<String> = account.roles.keys().cloned().collect();
            let name = dice.one(roles).unwrap_or_default();
            if let Some(role) = account.roles.get_mut(&name) {
                role.tags.insert("seen".into(), n.to_string());
            }
            format!("somebody tags {name}")
        }
    }
}

/// A change of YAML that nobody approved: one more person gets a role that he does not have.
pub(super) fn unapproved(
    dice: &mut Dice,
    repo: &mut Repo,
    world: &World,
    now: Timestamp,
) -> Option<(String, Fact)> {
    let people = handles(world);
    let (live, wants) = (facts(world), repo.wants(world, now));
    let mut choices = Vec::new();
    for name in repo.roles.keys() {
        let members = repo.members(name, world, now);
        choices.extend(people.iter().filter_map(|who| {
            let edge = Fact::edge(okta_user(who), okta_group(&group_of(name)));
            // Where its group is not there the grant might be held, and nothing would be unapproved.
            let there = live.contains_key(&Fact::Thing(okta_group(&group_of(name))));
            let is_new = there
                && !members.contains(who)
                && at_work(world, who)
                && !repo.roles[name].except.contains(who)
                && !wants.contains(&edge)
                && !live.contains_key(&edge);
            is_new.then(|| (name.clone(), who.clone()))
        }));
    }
    let (name, who) = dice.one(choices)?;
    repo.roles.get_mut(&name)?.members.push(Entry { who: Who::Handle(who.clone()), until: None });
    let edge = Fact::edge(okta_user(&who), okta_group(&group_of(&name)));
    Some((format!("{who} gets {name}, which nobody approved"), edge))
}
