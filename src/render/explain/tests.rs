//! What is said of answers that the example does not give: names that fold, what nobody looked at, text that is hostile.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{FOLD, markdown, terminal};
use crate::model::explanation::{Answer, Edge, Explanation, Has, Holding, Wants, Whether};
use crate::model::{Address, EXPLANATION_FORMAT, GrantKey, Origin, Span};
use crate::render::terminal::Style;

fn explanation(answer: Answer) -> Explanation {
    Explanation {
        format: EXPLANATION_FORMAT,
        at: Timestamp::UNIX_EPOCH,
        directory: None,
        calls: [("okta".into(), 7)].into(),
        unread: Vec::new(),
        answer,
    }
}

fn origin(text: &str) -> Origin {
    let span = Span { line: 4, column: 5, ..Span::file("roles/x.yaml") };
    Origin {
        text: text.to_owned(),
        span,
        chain: vec!["role y (roles/y.yaml:1:7)".into()],
        role: Some("x".into()),
    }
}

fn edge(who: &str, live: Option<bool>) -> Edge {
    let group = Address::new("okta", None, "group", "app.x");
    Edge {
        key: GrantKey::new(&Address::new("okta", None, "user", who), "member", &group),
        person: Some(Address::person(who)),
        wanted: true,
        live,
        lapse: None,
        via: None,
        until: None,
        because: vec![origin("role x: because")],
    }
}

fn role(people: usize) -> Explanation {
    let holding = |number: usize| Holding {
        role: "x".into(),
        span: Span::file("roles/x.yaml"),
        person: Address::person(&format!("p{number:02}")),
        lapse: None,
        until: None,
        because: vec![origin("role x: department is a")],
    };
    explanation(Answer::Has(Has {
        about: Address::role("x"),
        person: None,
        role: None,
        roles: (0..people).map(holding).collect(),
        edges: Vec::new(),
        then: None,
    }))
}

#[test]
fn names_fold_beyond_a_number_that_is_told() {
    let style = Style::default();
    let text = terminal(&role(FOLD + 34), &style, false);
    assert!(text.contains("54 people have it") && text.contains("p19 and 34 more"), "{text}");
    assert!(!text.contains("p20"), "{text}");
    for all in [terminal(&role(FOLD + 34), &style, true), terminal(&role(FOLD), &style, false)] {
        assert!(!all.contains(" more"), "{all}");
    }
    assert!(markdown(&role(FOLD + 1), &TimeZone::UTC, false).contains("and 1 more"));
}

#[test]
fn what_nobody_looked_at_is_neither_there_nor_missing() {
    let told = |live| {
        let whether = Whether {
            who: Address::person("a"),
            person: None,
            on: Address::new("okta", None, "group", "app.x"),
            wanted: true,
            live,
            edges: vec![edge("a", live)],
            roles: Vec::new(),
            elsewhere: Vec::new(),
        };
        let mut explanation = explanation(Answer::Whether(whether));
        explanation.unread = vec!["`okta` did not answer".into()];
        terminal(&explanation, &Style::default(), false)
    };
    let unknown = told(None);
    for text in
        ["yes: a has okta:group/app.x\n", "could not be seen", "not looked at", "`okta` did not answer"]
    {
        assert!(unknown.contains(text), "no `{text}` in\n{unknown}");
    }
    assert!(told(Some(false)).starts_with("yes, and not there yet: a is to have"));
    assert!(
        told(Some(false)).contains("\n    because role x: because (roles/x.yaml:4)\n      through role y")
    );
}

#[test]
fn invariant_37_nothing_that_people_wrote_becomes_markup_or_moves_the_cursor() {
    let hostile = "\x1b[2J\u{202e} <b> @all /approve [x](http://evil)";
    let mut edge = edge("a", Some(true));
    edge.because = vec![origin(hostile)];
    edge.person = Some(Address::person("a\nb"));
    let has = Has {
        about: edge.key.resource.clone(),
        person: None,
        role: None,
        roles: Vec::new(),
        edges: vec![edge],
        then: None,
    };
    let explanation = explanation(Answer::Has(has));
    let text = terminal(&explanation, &Style::default(), false);
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}') && !text.contains("a\nb"), "{text}");
    let note = markdown(&explanation, &TimeZone::UTC, false);
    for live in ["<b> ", " @all ", " /approve ", " [x](http"] {
        assert!(!note.contains(live), "{live} in\n{note}");
    }
}

#[test]
fn what_is_asked_for_already_needs_no_edit() {
    let wants = Wants {
        who: Address::person("a"),
        on: Address::role("x"),
        wanted: true,
        edit: None,
        others: Vec::new(),
        approval: None,
        blocks: Vec::new(),
    };
    let text = terminal(&explanation(Answer::Wants(wants)), &Style::default(), false);
    assert_eq!(text, "it is asked for already: role:x for a\n  `rolecall explain a role:x` tells by what\n");
}
