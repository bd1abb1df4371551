//! What each write did to the world, for those who judge from outside.
//!
//! Invariant: a write that only set time stamps or counters has changed nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::Digest;

use super::world::{Gcp, IamPolicy, OktaGroup, OktaUser, World};

/// A write that was carried out.
#[derive(Debug, Clone)]
pub struct Written {
    /// When.
    pub at: Timestamp,
    /// What was called, as [`Simulator::calls`](super::Simulator::calls) names it.
    pub action: String,
    /// What was sent, so that one that is sent twice is known.
    pub sent: Digest,
    /// Whether the worlds differ by more than time stamps and counters.
    pub changed: bool,
    /// The world before.
    pub before: Arc<World>,
    /// The world after.
    pub after: Arc<World>,
}

impl Written {
    pub(super) fn new(
        at: Timestamp,
        action: String,
        sent: Digest,
        before: Arc<World>,
        after: Arc<World>,
    ) -> Self {
        let changed = !same(&before, &after);
        Self { at, action, sent, changed, before, after }
    }
}

/// Whether two worlds are the same but for time stamps and counters.
fn same(one: &World, other: &World) -> bool {
    let people = |one: &OktaUser, other: &OktaUser| {
        OktaUser { last_updated: other.last_updated, ..one.clone() } == *other
    };
    let groups = |one: &OktaGroup, other: &OktaGroup| {
        let OktaGroup { last_updated, last_membership_updated, .. } = *other;
        OktaGroup { last_updated, last_membership_updated, ..one.clone() } == *other
    };
    let policies = |one: &IamPolicy, other: &IamPolicy| {
        let IamPolicy { updated, last_version, .. } = *other;
        IamPolicy { updated, last_version, ..one.clone() } == *other
    };
    all(&one.okta.users, &other.okta.users, people)
        && all(&one.okta.groups, &other.okta.groups, groups)
        && one.okta.rules == other.okta.rules
        && all(&one.aws.accounts, &other.aws.accounts, |one, other| {
            one.users == other.users
                && one.groups == other.groups
                && one.roles == other.roles
                && all(&one.policies, &other.policies, policies)
        })
        && (one.gcp == other.gcp || plain(&one.gcp) == plain(&other.gcp))
}

/// Google's part without counters, and without operations that are done: what they did is there.
fn plain(gcp: &Gcp) -> Gcp {
    let mut gcp = gcp.clone();
    gcp.operations.retain(|_, operation| operation.outcome.is_none());
    gcp.policies_mut().for_each(|policy| policy.revision = 0);
    let roles = gcp.projects.values_mut().flat_map(|project| project.roles.values_mut());
    gcp.roles.values_mut().chain(roles).for_each(|role| role.revision = 0);
    gcp
}

/// Whether two maps have the same keys, and things that are equal or `alike` at each.
fn all<T: PartialEq>(
    one: &BTreeMap<String, T>,
    other: &BTreeMap<String, T>,
    alike: impl Fn(&T, &T) -> bool,
) -> bool {
    let pairs = || one.iter().zip(other);
    one.len() == other.len()
        && pairs().all(|(one, other)| one.0 == other.0 && (one.1 == other.1 || alike(one.1, other.1)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::super::Simulator;
    use super::super::tests::{iam, okta, world};
    use super::*;

    const WORLD: &str = "
now: 2026-11-22T17:00:00Z
okta:
  users: [{ login: klibby@acme.com, id: 00uk }]
  groups: [{ name: a, id: 00ga }]
aws: { accounts: { '222222222222': { users: [{ name: ci }] } } }
";

    fn put(simulator: &Simulator) {
        let _ = simulator.handle(&okta("PUT", "/groups/00ga/users/00uk", &Json::Null));
    }

    #[test]
    fn each_write_is_kept_with_the_worlds_around_it_and_whether_it_changed_any() {
        let simulator = world(WORLD);
        put(&simulator);
        assert!(simulator.watched().is_empty(), "nobody watches yet");
        simulator.watch();
        put(&simulator);
        let _ = simulator.handle(&okta("DELETE", "/groups/00ga/users/00uk", &Json::Null));
        let same = json!({"profile": {"name": "a"}});
        let _ = simulator.handle(&okta("PUT", "/groups/00ga", &same));
        let _ = simulator.handle(&okta("GET", "/groups", &Json::Null));
        let _ = simulator.handle(&iam("Action=CreateUser&UserName=ci"));
        let _ = simulator.handle(&iam("Action=CreateUser&UserName=new"));
        simulator.edit(|world| world.okta.group_named("a").unwrap().description = Some("x".into())).unwrap();
        let watched = simulator.watched();
        let seen: Vec<_> = watched.iter().map(|write| (write.action.as_str(), write.changed)).collect();
        let expected = [
            ("PUT /groups/{id}/users/{id}", false),
            ("DELETE /groups/{id}/users/{id}", true),
            ("PUT /groups/{id}", false),
            ("iam:CreateUser", true),
        ];
        assert_eq!(seen, expected, "reads, refusals and edits are no writes");
        let members = |world: &World| world.okta.groups["00ga"].members.len();
        assert_eq!((members(&watched[1].before), members(&watched[1].after)), (1, 0));
        assert!(watched.windows(2).all(|two| Arc::ptr_eq(&two[0].after, &two[1].before)));
        simulator.watch();
        assert!(simulator.watched().is_empty(), "it starts anew");
    }
}
