//! What is still approved, and what is not.

use std::borrow::Borrow;
use std::slice;

use super::*;
use crate::apply::fixture::*;
use crate::model::{Held, LiveGrant, Ruling, Span, Waived, Waiver, Why};

/// Of a plan that nobody began to carry out.
const NOTHING: BTreeSet<&str> = BTreeSet::new();

fn live(resources: &[(&str, &[(&str, &str)])], edges: &[(&str, &str)]) -> Snapshot {
    let mut live = Snapshot::default();
    live.coverage.insert("okta".into(), Coverage::Complete);
    for (name, values) in resources {
        live.resources.entry(group(name)).or_default().attributes = attributes(values);
    }
    for (who, what) in edges {
        live.resources.entry(user(who)).or_default();
        let key = GrantKey::new(&user(who), "member", &group(what));
        live.grants.push(LiveGrant { key, attributes: Attributes::new(), via: None });
    }
    live.normalize();
    live
}

fn codes(result: Result<Cleared<'_>, Stale>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(stale) => stale.reasons.iter().map(|reason| reason.code.to_string()).collect(),
    }
}

fn check<C: Borrow<Change>>(approved: &[C], fresh: &[C], live: &Snapshot) -> Vec<String> {
    let plan_of = |changes: &[C]| plan(&changes.iter().map(|c| c.borrow().clone()).collect::<Vec<_>>());
    codes(reconcile(&plan_of(approved), &plan_of(fresh), live, start(), false, &NOTHING))
}

#[test]
fn the_same_plan_is_cleared() {
    let changes = [create("a"), grant("x", "a"), revoke("y", "b")];
    assert!(check(&changes, &changes, &live(&[], &[])).is_empty());
}

#[test]
fn invariant_9_what_is_riskier_than_it_was_shown_is_refused() {
    let shown = grant("x", "a");
    let mut now = shown.clone();
    now.risk = crate::model::Risk::High;
    let (shown, now) = ([shown], [now]);
    assert_eq!(check(&shown, &now, &live(&[], &[])), [NOT_APPROVED.code]);
    assert!(check(&now, &shown, &live(&[], &[])).is_empty());
}

#[test]
fn invariant_10_an_expired_plan_is_refused_with_every_other_reason_at_once() {
    let approved = plan(&[create("a")]);
    let fresh = plan(&[create("b")]);
    let live = live(&[], &[]);
    let told = reconcile(&approved, &fresh, &live, approved.expires, true, &NOTHING);
    assert_eq!(codes(told), [FINISHED.code, EXPIRED.code, NOT_APPROVED.code, MISSING.code]);
    assert_eq!(codes(reconcile(&approved, &approved, &live, start(), true, &NOTHING)), [FINISHED.code]);
}

#[test]
fn invariant_9_an_effect_that_was_not_approved_is_refused_before_anything_is_written() {
    let live = live(&[("a", &[("description", "old")])], &[("y", "b")]);
    let other = update("a", &[("description", "old")], &[("description", "other")]);
    let asked = update("a", &[("description", "old")], &[("description", "new")]);
    for (approved, fresh) in [
        (vec![], grant("x", "a")),
        (vec![grant("x", "a")], grant("x", "b")),
        (vec![revoke("y", "b")], grant("y", "b")),
        (vec![asked.clone()], other),
        (vec![asked.clone()], delete("a")),
        (vec![asked], create("a")),
    ] {
        let told = check(&approved, slice::from_ref(&fresh), &live);
        assert!(told.contains(&NOT_APPROVED.code.to_owned()), "{} {}", fresh.op, fresh.target());
    }
}

#[test]
fn what_remains_of_an_approved_effect_is_approved() {
    let live = live(&[], &[]);
    let made = change(
        Op::Create,
        &group("a"),
        None,
        None,
        Some(attributes(&[("description", "new"), ("type", "x")])),
    );
    let rest = update("a", &[("description", ""), ("type", "x")], &[("description", "new"), ("type", "x")]);
    let adopt = change(Op::Adopt, &group("a"), None, None, made.after.clone());
    assert!(check(&[&made], &[&rest], &live).is_empty(), "a create became an update");
    assert!(check(&[&made], &[&adopt], &live).is_empty(), "a create became an adopt");
    let wrong = update("a", &[("description", "")], &[("description", "other")]);
    assert_eq!(check(&[&made], &[&wrong], &live), [NOT_APPROVED.code]);
    assert_eq!(check(&[&adopt], &[&rest], &live), [NOT_APPROVED.code], "an adopt writes nothing");

    let whole = update("a", &[("description", ""), ("type", "")], &[("description", "new"), ("type", "x")]);
    let fewer = update("a", &[("description", "")], &[("description", "new")]);
    assert!(check(&[&whole], &[&fewer], &live).is_empty());
    assert_eq!(check(&[&fewer], &[&whole], &live), [NOT_APPROVED.code], "more fields are not fewer");

    let one = update("a", &[("description", ""), ("type", "x")], &[("description", "new"), ("type", "x")]);
    let two = update("a", &[("description", ""), ("type", "y")], &[("description", "new"), ("type", "x")]);
    let two = Change { effect: Digest::of(&"two"), ..two };
    assert_eq!(check(&[&one], &[&two], &live), [NOT_APPROVED.code], "not even back to what was seen");

    let deletes = |dependents: &[&str]| {
        let mut change = delete("a");
        change.dependents = dependents.iter().map(|text| (*text).to_owned()).collect();
        change.effect = Change::effect_of(Op::Delete, &change.address, None, None, &change.dependents);
        [change]
    };
    let asked = deletes(&["key 1", "key 2"]);
    assert!(check(&asked, &deletes(&["key 2"]), &live).is_empty());
    assert_eq!(check(&asked, &deletes(&["key 3"]), &live), [NOT_APPROVED.code]);
}

#[test]
fn a_later_end_than_was_approved_was_not_approved() {
    let until = |end: i64| {
        let mut change = grant("x", "a");
        change.until = Some(Timestamp::from_second(end).unwrap());
        let Change { op, address, grant, after, dependents, until, .. } = &change;
        change.effect =
            Change::effect_until(*op, address, grant.as_ref(), after.as_ref(), dependents, *until);
        change
    };
    let live = live(&[("a", &[])], &[]);
    assert!(check(&[until(5)], &[until(5)], &live).is_empty());
    assert_eq!(check(&[until(5)], &[until(6)], &live), [NOT_APPROVED.code]);
    let (mut there, mut longer) = (until(5), until(6));
    (there.op, longer.op) = (Op::Adopt, Op::Adopt);
    longer.effect = Digest::of(&6);
    assert_eq!(check(&[there], &[longer], &live), [NOT_APPROVED.code]);
}

#[test]
fn an_approved_effect_may_be_missing_only_if_it_is_seen_to_be_true() {
    let world = live(&[("a", &[("description", "a")])], &[("x", "a")]);
    let done = [create("a"), grant("x", "a"), revoke("z", "a"), delete("gone")];
    assert!(check(&done, &[], &world).is_empty());
    for open in [create("b"), grant("z", "a"), revoke("x", "a"), delete("a")] {
        assert_eq!(check(&[&open], &[], &world), [MISSING.code], "{} {}", open.op, open.target());
    }
    let other = live(&[("a", &[("description", "other")])], &[]);
    assert_eq!(check(&[create("a")], &[], &other), [MISSING.code]);
}

#[test]
fn what_was_not_read_whole_proves_no_absence() {
    let mut world = live(&[], &[]);
    world.coverage.insert("okta".into(), Coverage::Partial("403".into()));
    assert_eq!(check(&[revoke("x", "a"), delete("b")], &[], &world), [MISSING.code, MISSING.code]);
}

#[test]
fn an_approved_effect_that_is_held_now_is_neither_missing_nor_written() {
    let approved = plan(&[grant("x", "a")]);
    let mut fresh = plan(&[]);
    let change = grant("x", "a");
    fresh.held.push(Held { why: Why::Incomplete, text: String::new(), remedy: None, change });
    assert!(reconcile(&approved, &fresh, &live(&[], &[]), start(), false, &NOTHING).is_ok());
}

fn with_waiver(mut plan: Plan, allow: u32) -> Plan {
    let text =
        |text: &str| crate::model::Spanned { value: text.to_owned(), span: Span::file("rules/x.yaml") };
    let waiver = Waiver {
        name: text("x"),
        code: text("RC404"),
        on: vec![text("okta:group/a")],
        allow: Some(allow),
        owner: "klibby".into(),
        reason: "a move".into(),
        until: start(),
    };
    plan.waived.push(Waived::of(&waiver, vec!["much".into()]));
    (plan.effects, plan.effect) = Plan::effects_of(&plan.changes, &plan.held, &plan.waived, &plan.amended);
    plan
}

#[test]
fn invariant_9_a_waiver_is_approved_like_an_effect() {
    let changes = [revoke("x", "a")];
    let (bare, twelve, more) =
        (plan(&changes), with_waiver(plan(&changes), 12), with_waiver(plan(&changes), 13));
    let live = live(&[], &[]);
    let told =
        |approved: &Plan, fresh: &Plan| codes(reconcile(approved, fresh, &live, start(), false, &NOTHING));
    assert!(told(&twelve, &twelve).is_empty());
    assert!(told(&twelve, &bare).is_empty(), "a waiver that is not needed any more is no loss");
    assert_eq!(told(&bare, &twelve), [NOT_APPROVED.code]);
    assert_eq!(told(&twelve, &more), [NOT_APPROVED.code]);
    assert_ne!(twelve.effect, bare.effect, "who approved the plan without it did not approve the waiver");

    // Standing changes need no approval, but the waiver that they use does.
    let standing = Change { cause: Cause::Standing, ..revoke("x", "a") };
    let standing = Plan { simulated: false, ..with_waiver(plan(&[standing]), 12) };
    assert!(approval(&standing, true, None).is_err());
    let cleared = reconcile(&standing, &standing, &live, start(), false, &NOTHING).unwrap();
    assert!(cleared.permit(verdict(&standing), Approval::Standing).is_err());
    assert!(cleared.permit(verdict(&standing), Approval::Operator(standing.effect.clone())).is_ok());
}

#[test]
fn standing_changes_go_along_without_approval() {
    let standing = Change { cause: Cause::Standing, ..grant("joiner", "a") };
    assert!(check(&[], &[&standing], &live(&[], &[])).is_empty());
    assert!(check(&[&standing], &[], &live(&[], &[])).is_empty());
}

#[test]
fn invariant_9_a_precondition_that_no_longer_holds_refuses_that_change_and_what_waits_for_it() {
    let asked =
        update("a", &[("description", "old"), ("type", "x")], &[("description", "new"), ("type", "x")]);
    let met =
        update("a", &[("description", "moved"), ("type", "y")], &[("description", "new"), ("type", "y")]);
    let waits = after(grant("x", "a"), &met);
    let longer = after(grant("y", "b"), &waits);
    let approved = plan(&[asked, grant("x", "a"), grant("y", "b"), grant("z", "c")]);
    let fresh = plan(&[longer.clone(), met.clone(), waits.clone(), grant("z", "c")]);
    let live = live(&[], &[]);
    let cleared = reconcile(&approved, &fresh, &live, start(), false, &NOTHING).unwrap();
    let refused: Vec<&Digest> = cleared.refused().keys().collect();
    let mut expected = vec![&met.effect, &waits.effect, &longer.effect];
    expected.sort();
    assert_eq!(refused, expected);
    assert_eq!(cleared.refused()[&met.effect], "RC605: `description` changed since the plan was approved");
    assert!(cleared.refused()[&longer.effect].starts_with("waits for grant `okta:user/x member"));
}

#[test]
fn a_deletion_is_refused_if_anything_it_saw_has_changed() {
    let asked = delete("a");
    let mut met = asked.clone();
    met.before = Some(attributes(&[("description", "reborn")]));
    let (approved, fresh, live) = (plan(&[asked]), plan(&[met.clone()]), live(&[], &[]));
    let cleared = reconcile(&approved, &fresh, &live, start(), false, &NOTHING).unwrap();
    assert!(cleared.refused().contains_key(&met.effect));
}

#[test]
fn our_own_interrupted_write_is_no_surprise() {
    let list =
        |items: &[&str]| Some(Attributes::from([("policies".into(), Value::set(items.iter().copied()))]));
    let asked = change(Op::Update, &group("a"), None, list(&["p", "q"]), list(&["r"]));
    let met = change(Op::Update, &group("a"), None, list(&["q", "r"]), list(&["r"]));
    let strange = change(Op::Update, &group("a"), None, list(&["q", "s"]), list(&["r"]));
    let live = live(&[], &[]);
    let refused = |met: &Change, open: bool| {
        let (approved, fresh) = (plan(slice::from_ref(&asked)), plan(slice::from_ref(met)));
        let begun = open.then(|| met.target());
        let begun = begun.iter().map(String::as_str).collect();
        reconcile(&approved, &fresh, &live, start(), false, &begun).unwrap().refused().len()
    };
    assert_eq!((refused(&met, false), refused(&met, true), refused(&strange, true)), (1, 0, 1));
}

#[test]
fn invariant_1_an_approval_counts_only_for_the_effects_it_names() {
    let real = Plan { simulated: false, ..plan(&[grant("x", "a")]) };
    let cleared = reconcile(&real, &real, &Snapshot::default(), start(), false, &NOTHING).unwrap();
    let permit = |approval| cleared.permit(verdict(&real), approval);
    assert!(permit(Approval::Simulated).is_err());
    assert!(permit(Approval::Standing).is_err());
    assert!(permit(Approval::Operator(Digest::of(&"other"))).is_err());
    let permit = permit(Approval::Operator(real.effect.clone())).unwrap();
    assert!(permit.covers(&real.changes[0].effect));
    assert!(!permit.covers(&grant("y", "a").effect));
    let denied = Verdict::new(Ruling::Denied, BTreeSet::new());
    let permit = cleared.permit(denied, Approval::Operator(real.effect.clone())).unwrap();
    assert!(!permit.covers(&real.changes[0].effect), "what the gate held stays held");
}

#[test]
fn how_effects_are_approved() {
    let simulated = plan(&[grant("x", "a")]);
    assert_eq!(approval(&simulated, false, None), Ok(Approval::Simulated));
    let real = Plan { simulated: false, ..simulated };
    let typed = Approval::Operator(real.effect.clone());
    assert_eq!(approval(&real, true, Some(real.effect.short())), Ok(typed.clone()));
    assert_eq!(approval(&real, true, Some(real.effect.as_str())), Ok(typed));
    assert!(approval(&real, true, Some("sha256:")).is_err());
    assert!(approval(&real, true, None).is_err());
    assert!(approval(&real, false, Some(real.effect.short())).is_err(), "settings do not allow it");
    let standing = Plan { simulated: false, ..plan(&[]) };
    assert_eq!(approval(&standing, false, None), Ok(Approval::Standing));
}
