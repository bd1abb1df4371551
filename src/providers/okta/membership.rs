//! One membership, asked for from the member's side: the groups of one person are one short list.
//!
//! Invariant: the answer does not rest on the group's list of members, which may be long, or empty by mistake; and an
//! empty list of a person's groups is no proof either. Only of those who have left it reads a list that grows with the
//! organization.

use super::OktaKind;
use super::client::{Okta, encoded};
use super::group::{self, Group, Groups};
use super::rules::Rules;
use super::user;
use std::collections::BTreeSet;

use crate::model::{Address, Attributes, Coverage, GrantKey, LiveGrant, Snapshot};
use crate::provider::paging::{Listing, list};
use crate::provider::{Error, ErrorKind, edge_in};

/// Whether somebody is in a group, just now.
pub(super) async fn read(okta: &Okta, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
    if &*key.relation != group::MEMBER || !okta.is_mine(&key.principal, user::KIND) {
        return Err(Error::new(ErrorKind::Unsupported, format!("Okta knows no such edge as `{key}`")));
    }
    // Pages are of up to 200, which is also what comes unasked; the query parameters are documented and are not in the
    // description on npm. Checked November 2026:
    // https://developer.okta.com/docs/api/openapi/okta-management/management/tags/userresources/other/listusergroups
    let target = format!("/api/v1/users/{}/groups", encoded(&key.principal.name()));
    let Listing { items, cut_short } = list::<Group>(&okta.api, &target).await;
    let empty = items.is_empty();
    if let Some(group) = pick(okta, key, items).await? {
        let via = via(okta, key, &group).await?;
        return Ok(Some(LiveGrant { key: key.clone(), attributes: Attributes::new(), via }));
    }
    match cut_short {
        None if empty => in_no_group(okta, key).await,
        None => Ok(None),
        // Who does not exist is in no group.
        Some(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Some(error) => Err(error),
    }
}

/// All memberships of one person, just now.
pub(super) async fn of(okta: &Okta, member: &Address) -> Result<Snapshot, Error> {
    let (name, mut live) = (member.name(), Snapshot::default());
    let target = format!("/api/v1/users/{}/groups", encoded(&name));
    let (listing, rules) = tokio::join!(list::<Group>(&okta.api, &target), Rules::known(okta));
    let Listing { items, cut_short } = listing;
    let mut coverage = match cut_short {
        // Who does not exist is in no group.
        Some(error) if error.kind == ErrorKind::NotFound => Coverage::Complete,
        Some(error) => Coverage::Partial(format!("the groups of `{member}` could not be read: {error}")),
        // Okta lists no groups of who has been deactivated, whether he is in any or not.
        None if items.is_empty() => {
            Coverage::Partial(format!("Okta lists no group of `{member}`, not even `Everyone`"))
        }
        None => Coverage::Complete,
    };
    if let (Some(why), Coverage::Complete) = (&rules.incomplete, &coverage) {
        coverage = Coverage::Partial(why.clone());
    }
    let filled = items.iter().any(|group| group.mastered().is_none() && rules.fill(&group.id));
    let user = if filled { user::find(okta, member).await? } else { None };
    for group in items {
        let plain = Address::new(&okta.instance, None, group::KIND, &group.profile.name);
        let address = match group.is_of_app() {
            // Which of several groups of one name it is, only all of that name can tell.
            true if group::find(okta, &plain).await?.is_none_or(|found| found.id != group.id) => {
                let name = group::beside_another(&group.profile.name, &group.id);
                Address::new(&okta.instance, None, group::KIND, &name)
            }
            _ => plain,
        };
        let by_rule = || user.as_ref().and_then(|user| rules.via(&group.id, user));
        live.grants.push(LiveGrant {
            key: GrantKey::new(member, group::MEMBER, &address),
            attributes: Attributes::new(),
            via: group.mastered().map(Into::into).or_else(by_rule),
        });
    }
    live.coverage.insert(member.as_str().into(), coverage);
    live.normalize();
    Ok(live)
}

/// All groups that somebody is in, by their addresses; `None` where they are not known whole.
pub(super) async fn holdings(okta: &Okta, principal: &Address) -> Option<BTreeSet<Address>> {
    if !okta.is_mine(principal, user::KIND) {
        return None;
    }
    let target = format!("/api/v1/users/{}/groups", encoded(&principal.name()));
    match list::<Group>(&okta.api, &target).await {
        Listing { items, cut_short: None } if !items.is_empty() => {
            // Nobody can be taken out of what Okta or an app masters.
            let own = items.iter().filter(|group| group.mastered().is_none());
            Some(
                own.map(|group| Address::new(&okta.instance, None, group::KIND, &group.profile.name))
                    .collect(),
            )
        }
        // Who does not exist is in no group.
        Listing { cut_short: Some(error), .. } if error.kind == ErrorKind::NotFound => Some(BTreeSet::new()),
        _ => None,
    }
}

/// The group of an edge among those of a person. Okta's own groups have their names for themselves; which of several an
/// app's group is, only all groups of that name can tell.
async fn pick(okta: &Okta, key: &GrantKey, groups: Vec<Group>) -> Result<Option<Group>, Error> {
    let wanted = key.resource.name();
    let (apps, own): (Vec<_>, Vec<_>) = groups.into_iter().partition(Group::is_of_app);
    if let Some(group) = own.into_iter().find(|group| group.profile.name == wanted) {
        return Ok(Some(group));
    }
    let named = |group: &Group| {
        group.profile.name == wanted || group::beside_another(&group.profile.name, &group.id) == wanted
    };
    let mut apps = apps.into_iter().filter(named).peekable();
    if apps.peek().is_none() {
        return Ok(None);
    }
    let meant = group::find(okta, &key.resource).await?;
    Ok(apps.find(|group| meant.as_ref().is_some_and(|meant| meant.id == group.id)))
}

/// What put a member into a group, as far as it can be told without asking who he is.
async fn via(okta: &Okta, key: &GrantKey, group: &Group) -> Result<Option<String>, Error> {
    if let Some(master) = group.mastered() {
        return Ok(Some(master.into()));
    }
    let rules = Rules::known(okta).await;
    // A rule may have put him in, and then nobody should take him out.
    if let Some(why) = &rules.incomplete {
        return Ok(Some(format!("a group rule, perhaps: {why}")));
    }
    if !rules.fill(&group.id) {
        return Ok(None);
    }
    Ok(user::find(okta, &key.principal).await?.and_then(|member| rules.via(&group.id, &member)))
}

/// Everybody is in the built-in group `Everyone`, but for those who have been deactivated: of them the group's own list
/// must say the same.
async fn in_no_group(okta: &Okta, key: &GrantKey) -> Result<Option<LiveGrant>, Error> {
    match user::find(okta, &key.principal).await? {
        None => Ok(None),
        Some(user) if user.has_left() => {
            edge_in(&Groups.read(okta, &key.resource).await?, &key.resource, key)
        }
        Some(_) => {
            let message = format!("Okta lists no group of `{}`, not even `Everyone`", key.principal);
            Err(Error::new(ErrorKind::Malformed, message))
        }
    }
}
