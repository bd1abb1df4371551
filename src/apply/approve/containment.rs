//! What needs no approval because it only takes away from one person.
//!
//! Invariant: leave is given for a plan of which each change is a revocation of his, or cuts off one of his own accounts;
//! one change of any other sort, and there is none. It must not take the planner's word for it.

use std::collections::BTreeSet;

use super::{Cleared, NO_APPROVAL};
use crate::model::{Address, Approval, Change, Finding, Op, Permit, Verdict, cut};

impl Cleared<'_> {
    /// Leave to write what the gate allowed of the fresh plan, if all that is in it takes away from this person.
    /// `accounts` are his.
    pub fn containment(
        &self,
        verdict: Verdict,
        person: &Address,
        accounts: &BTreeSet<Address>,
    ) -> Result<Permit, Box<Finding>> {
        let refuse = |message: String| Err(Box::new(Finding::error(NO_APPROVAL, message)));
        if let Some(waived) = self.fresh().waived.first() {
            return refuse(format!("waiver `{}` is used, and has to be approved", waived.name));
        }
        let mut changes = self.fresh().changes.iter();
        if let Some(change) = changes.find(|change| !only_takes_away(change, person, accounts)) {
            let target = change.target();
            return refuse(format!("{} `{target}` does not only take away from `{person}`", change.op));
        }
        Ok(Permit::new(verdict, Approval::Containment(person.clone())))
    }
}

/// Whether a change does nothing but take away from one person: a revocation of his, or a cut-off of an account of his.
#[must_use]
pub fn only_takes_away(change: &Change, person: &Address, accounts: &BTreeSet<Address>) -> bool {
    if change.effect != change.own_effect() || !change.dependents.is_empty() || change.until.is_some() {
        return false;
    }
    match (change.op, &change.grant) {
        (Op::Revoke, Some(key)) => {
            change.after.is_none()
                && change.address == key.resource
                && (accounts.contains(&key.principal) || change.subject.as_ref() == Some(person))
        }
        (Op::Update, None) => {
            let after = change.after.as_ref();
            let named = after.is_some_and(|after| after.keys().eq(&change.fields));
            accounts.contains(&change.address)
                && named
                && !change.fields.is_empty()
                && change
                    .fields
                    .iter()
                    .all(|field| cut(field, after.and_then(|after| after.get(field))).is_some())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::apply::fixture::*;
    use crate::model::{CutOff, GrantKey, Value};

    fn person() -> Address {
        Address::person("h")
    }

    fn accounts() -> BTreeSet<Address> {
        [user("h"), Address::new("aws", Some("222222222222"), "user", "h")].into()
    }

    fn of(who: &str, mut change: Change) -> Change {
        change.subject = Some(Address::person(who));
        change
    }

    fn cut_off(account: &Address, cut: &CutOff) -> Change {
        let after = [(cut.field.clone(), Value::text(cut.after.clone()))].into();
        change(Op::Update, account, None, Some(crate::model::Attributes::new()), Some(after))
    }

    /// A change, and whether it only takes away from `h`.
    fn any_change() -> impl Strategy<Value = (Change, bool)> {
        let group_name = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")];
        let cuts = prop_oneof![
            Just(CutOff::sessions(None)),
            Just(CutOff::access_key("AKIA1")),
            Just(CutOff::password())
        ];
        (0..12u8, group_name, cuts).prop_map(|(sort, name, cut)| match sort {
            0..=2 => (of("h", revoke("h", name)), true),
            3 => (revoke("h", name), true),
            4 => (cut_off(&user("h"), &cut), true),
            5 => (of("x", revoke("x", name)), false),
            6 => (cut_off(&user("x"), &cut), false),
            7 => (of("h", grant("h", name)), false),
            8 => (delete(name), false),
            9 => (create(name), false),
            10 => (update(name, &[("description", "x")], &[("description", "y")]), false),
            _ => {
                let other = [("path".into(), Value::text("inactive"))].into();
                (change(Op::Update, &user("h"), None, None, Some(other)), false)
            }
        })
    }

    proptest! {
        /// Whatever the draft: one thing in it that is no taking away from him, and nothing of it is written.
        #[test]
        fn invariant_32_a_containment_has_leave_for_nothing_but_taking_away_from_one_person(
            drafted in prop::collection::vec(any_change(), 0..12),
        ) {
            let changes: Vec<Change> = drafted.iter().map(|(change, _)| change.clone()).collect();
            let plan = plan(&changes);
            let live = crate::model::Snapshot::default();
            let begun = BTreeSet::new();
            let cleared = super::super::reconcile(&plan, &plan, &live, start(), false, &begun).unwrap();
            let permit = cleared.containment(verdict(&plan), &person(), &accounts());
            prop_assert_eq!(permit.is_ok(), drafted.iter().all(|(_, takes)| *takes));
            if let Ok(permit) = permit {
                prop_assert_eq!(permit.approval(), &Approval::Containment(person()));
                prop_assert!(cleared.permit(verdict(&plan), Approval::Containment(person())).is_err());
            }
        }
    }

    #[test]
    fn a_change_that_says_it_is_his_and_is_done_to_another_account_is_none_of_his() {
        // Its effect is another's: what is approved is judged by what is done.
        let key = GrantKey::new(&user("x"), "member", &group("a"));
        let mut forged = of("h", revoke("h", "a"));
        forged.grant = Some(key);
        assert!(!only_takes_away(&forged, &person(), &accounts()));
    }
}
