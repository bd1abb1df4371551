//! What the on-call engineer and the auditor read: each snapshot is meant to be read.

use proptest::prelude::*;

use super::*;
use crate::model::history::Event;
use crate::model::{Approval, Code, Digest};
use crate::render::escape::{is_unseen, nasty, outside_code};
use crate::render::fixture;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_345_200 + second).unwrap()
}

fn style() -> Style {
    Style { zone: TimeZone::fixed(jiff::tz::offset(-8)), ..Style::default() }
}

/// Some of a plan's changes.
fn plan() -> Plan {
    let mut plan = fixture::plan();
    plan.changes.truncate(8);
    plan
}

fn outcome(change: &Change, state: State, message: Option<&str>, poll: Option<&str>) -> Event {
    let (effect, message, poll) =
        (change.effect.clone(), message.map(str::to_owned), poll.map(str::to_owned));
    let request_id = (state != State::Refused).then(|| format!("req-{}", &change.effect.short()[..4]));
    Event::Outcome { effect, state, message, request_id, poll }
}

/// An apply that died with two changes under way, was run again, and was stopped.
fn history(plan: &Plan) -> History {
    let intent = |change: &Change, attempt| Event::Intent {
        effect: change.effect.clone(),
        op: change.op,
        target: change.target(),
        attempt,
    };
    let approved = || Event::Approved { approval: Approval::Operator(plan.effect.clone()) };
    let changes = &plan.changes;
    let format = "rolecall.journal/v1".to_owned();
    let events = [
        Event::Opened { format, plan: plan.id.clone(), effect: plan.effect.clone(), torn: 0 },
        approved(),
        intent(&changes[0], 1),
        outcome(&changes[0], State::Done, None, None),
        intent(&changes[1], 1),
        outcome(&changes[1], State::Unknown, Some("no answer within 30 s"), None),
        intent(&changes[1], 2),
        intent(&changes[2], 1),
        Event::Resumed { torn: 118 },
        approved(),
        outcome(&changes[1], State::Already, None, None),
        intent(&changes[2], 1),
        outcome(&changes[2], State::Pending, Some("the provider is still at it"), Some("operation 7")),
        outcome(&changes[3], State::Refused, Some("RC605: `description` is not what the plan saw"), None),
        intent(&changes[4], 1),
        outcome(
            &changes[4],
            State::Failed,
            Some("denied: not authorized to perform iam:AttachUserPolicy"),
            None,
        ),
        intent(&changes[5], 1),
    ];
    let mut history = History::default();
    for (second, event) in (0..).zip(events) {
        history.add(at(second), event);
    }
    history.torn = 31;
    history
}

fn journal<'a>(history: &'a History, plan: Option<&'a Plan>, broken: Option<&'a Finding>) -> Journal<'a> {
    Journal {
        place: ".rolecall/journals/0ab.jsonl",
        history,
        broken,
        plan,
        again: "rolecall apply --approve 0ab",
    }
}

#[test]
fn an_apply_that_died_half_way() {
    let plan = plan();
    let mut history = history(&plan);
    history.name(&plan);
    insta::assert_snapshot!(terminal(&journal(&history, Some(&plan), None), &style()));
}

#[test]
fn an_apply_that_died_half_way_as_markdown() {
    let plan = plan();
    let mut history = history(&plan);
    history.name(&plan);
    insta::assert_snapshot!(markdown(&journal(&history, Some(&plan), None), &style().zone));
}

#[test]
fn a_journal_without_its_plan_tells_what_it_has() {
    let text = terminal(&journal(&history(&plan()), None, None), &style());
    assert!(!text.contains("not begun") && text.contains("effect "), "{text}");
    assert!(text.contains("the plan itself is not here"), "{text}");
    assert!(!text.contains("--approve") && !text.contains("go on with"), "{text}");
}

#[test]
fn a_finished_journal_says_so_and_misses_nothing() {
    let plan = plan();
    let mut history = history(&plan);
    (history.torn, history.finished) = (0, Some(at(60)));
    let text = terminal(&journal(&history, Some(&plan), None), &style());
    assert!(
        text.starts_with("finished: ") && text.contains("next       nothing: all of it was done"),
        "{text}"
    );
    assert!(!text.contains("not begun"), "{text}");
}

#[test]
fn a_broken_journal_says_which_line_before_all_else() {
    let code = Code { code: "RC612", title: "the journal is broken" };
    let broken = Finding::error(code, "line 7 of `x.jsonl` is not what was written");
    let plan = plan();
    let history = history(&plan);
    let told = journal(&history, Some(&plan), Some(&broken));
    let text = terminal(&told, &style());
    assert!(text.starts_with("the journal is broken; up to there: "), "{text}");
    assert!(text.find("line 7 of").unwrap() < text.find(&plan.changes[0].target()).unwrap(), "{text}");
    assert!(!text.contains("rolecall apply"), "{text}");
    assert!(markdown(&told, &style().zone).contains("line 7 of `x.jsonl`"));
}

#[test]
fn machines_get_all_of_it() {
    let plan = plan();
    let history = history(&plan);
    let read: serde_json::Value = serde_json::from_str(&json(&journal(&history, Some(&plan), None))).unwrap();
    assert_eq!(read["format"], FORMAT);
    assert_eq!(read["plan"], plan.id.as_str());
    assert_eq!(read["runs"][0]["under_way"], 2);
    assert_eq!(read["changes"][2]["poll"], "operation 7");
    let known = history.changes.len();
    assert_eq!(read["not_begun"].as_array().unwrap().len(), plan.changes.len() - known);
    assert!(read.get("broken").is_none() && read.get("places").is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn invariant_37_what_a_vendor_answered_stays_text(
        target in nasty(), message in nasty(), request in nasty(), poll in nasty()
    ) {
        let mut history = History::default();
        let effect = Digest::of_bytes(b"x");
        let (format, plan) = (String::new(), target.clone());
        history.add(at(0), Event::Opened { format, plan, effect: effect.clone(), torn: 0 });
        history.add(at(1), Event::Intent { effect: effect.clone(), op: Op::Create, target, attempt: 1 });
        let (message, request_id, poll) = (Some(message), Some(request), Some(poll));
        history.add(at(2), Event::Outcome { effect, state: State::Failed, message, request_id, poll });
        let told = journal(&history, None, None);
        for text in [terminal(&told, &style()), markdown(&told, &style().zone)] {
            prop_assert!(!text.chars().any(|c| c != '\n' && is_unseen(c)), "{text:?}");
        }
        let text = markdown(&told, &style().zone);
        prop_assert!(!text.lines().any(|line| line.trim_start().starts_with('/')), "{text}");
        let text = outside_code(&text);
        for harm in ["@all", "![", "](", "<script", "https://", "!2", "~bug"] {
            prop_assert!(!text.contains(harm), "{harm}: {text}");
        }
    }
}
