//! What the media make of one rich plan: each snapshot is meant to be read.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::fixture::{changes, edge, findings, origin, plan, report, sources};
use super::terminal::Style;
use super::{escape, gitlab, html, json, markdown, terminal};
use crate::model::*;

fn style(width: usize) -> Style {
    Style { color: false, width, zone: zone() }
}

fn zone() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(-8))
}

#[test]
fn a_plan_at_80_columns() {
    insta::assert_snapshot!(terminal::plan(&plan(), &sources(), &style(80)));
}

#[test]
fn a_plan_at_120_columns() {
    insta::assert_snapshot!(terminal::plan(&plan(), &sources(), &style(120)));
}

#[test]
fn a_plan_as_markdown() {
    insta::assert_snapshot!(markdown::plan(&plan(), &zone()));
}

#[test]
fn a_plan_as_html() {
    insta::assert_snapshot!(html::plan(&plan(), &zone()).replace(include_str!("plan.css"), ""));
}

#[test]
fn the_drift_alone() {
    insta::assert_snapshot!(terminal::drift(&plan(), &style(80)));
}

#[test]
fn a_report_that_went_half_well() {
    insta::assert_snapshot!(terminal::report(&report(), &style(80)));
}

#[test]
fn findings_point_at_the_word() {
    insta::assert_snapshot!(super::findings::terminal(&findings(), &sources(), &style(80)));
}

fn quiet() -> Plan {
    let mut plan = plan();
    (plan.changes, plan.held, plan.drift, plan.findings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    plan.waived.clear();
    (plan.effects, plan.effect) = Plan::effects_of(&[], &[], &[], &[]);
    plan.verdict = Ruling::Allowed;
    plan
}

fn first_line(plan: &Plan) -> String {
    terminal::plan(plan, &sources(), &style(200)).lines().next().unwrap().to_owned()
}

#[test]
fn nothing_to_do_is_one_calm_sentence() {
    let plan = quiet();
    let text = terminal::plan(&plan, &sources(), &style(80));
    assert!(text.starts_with("nothing to do: what is live is what the files ask for\n\nunclaimed"), "{text}");
    assert!(!text.contains("approve") && !text.contains("next"), "{text}");
    assert!(markdown::plan(&plan, &zone()).starts_with("### nothing to do: what is live"));
}

#[test]
fn drift_and_adoptions_are_not_called_what_the_files_ask_for() {
    let mut plan = quiet();
    plan.drift = super::fixture::plan().drift;
    assert_eq!(first_line(&plan), "nothing to do for now (2 drift)");
    plan.drift.clear();
    plan.changes = changes().into_iter().filter(|change| change.op == Op::Adopt).collect();
    assert_eq!(first_line(&plan), "nothing to write (2 adopted)");
}

#[test]
fn a_gap_in_what_was_read_is_never_called_nothing_to_do() {
    let mut plan = quiet();
    plan.complete = false;
    let okta = plan.base.providers.get_mut("okta").unwrap();
    okta.partial.insert("okta:group/x".into(), "403 on page 2".to_owned());
    let text = terminal::plan(&plan, &sources(), &style(80));
    assert!(text.starts_with("nothing to do in what could be read\n"), "{text}");
    assert!(text.contains("not read whole: okta:group/x: 403 on page 2"), "{text}");
}

#[test]
fn the_first_line_tells_errors_before_anything_else() {
    let mut plan = quiet();
    plan.findings = findings();
    assert_eq!(first_line(&plan), "not ready: nothing to do for now");
    plan.changes = changes();
    assert!(
        first_line(&plan).starts_with("not ready: 43 changes for 34 people in aws and okta: 2 high risk")
    );
    assert!(!terminal::plan(&plan, &sources(), &style(80)).contains("carry"));
}

#[test]
fn what_differs_in_reason_end_or_risk_is_not_folded() {
    let grant = |name: &str, reason: &str| {
        edge(Op::Grant, name, "member", "okta:group/x", origin(reason, "roles/x.yaml", 1))
    };
    let folds = |changes: Vec<Change>| {
        let sections = super::groups::changes(&changes, &zone());
        sections
            .iter()
            .flat_map(|section| &section.items)
            .map(|item| item.names.len().max(1))
            .collect::<Vec<_>>()
    };
    assert_eq!(folds(vec![grant("a", "one"), grant("b", "two"), grant("c", "one")]), [2, 1]);
    let mut later = grant("b", "one");
    later.until = Some(jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(folds(vec![grant("a", "one"), later]), [1, 1]);
    let mut risky = grant("b", "one");
    risky.risk = Risk::High;
    assert_eq!(folds(vec![grant("a", "one"), risky]), [1, 1]);
}

#[test]
fn every_change_is_told_exactly_once() {
    let plan = plan();
    let mut sections = super::groups::changes(&plan.changes, &zone());
    sections.extend(super::groups::held(&plan.held, &zone()));
    sections.extend(super::groups::drift(&plan.drift));
    let told: usize =
        sections.iter().flat_map(|section| &section.items).map(|item| item.names.len().max(1)).sum();
    assert_eq!(told, plan.changes.len() + plan.held.len() + plan.drift.len());
}

#[test]
fn what_is_to_be_pasted_into_a_shell_is_quoted_for_it() {
    let mut plan = plan();
    plan.drift[0].change.address = Address::new("okta", None, "group", "a;$(x)'y");
    let text = terminal::drift(&plan, &style(120));
    assert!(text.contains(r"rolecall plan --revert 'okta:group/a;$(x)'\''y'"), "{text}");
}

#[test]
fn nothing_is_wider_than_the_terminal_save_what_must_stay_whole() {
    for width in [60, 80, 120] {
        let text = terminal::plan(&plan(), &Sources::default(), &style(width));
        for line in text.lines().filter(|line| line.chars().count() > width) {
            let words = line.trim_start().split(' ').filter(|word| !word.is_empty()).count();
            assert!(words <= 1, "{width}: {line}");
        }
    }
}

#[test]
fn colour_says_nothing_that_the_words_do_not() {
    let colored = terminal::plan(&plan(), &sources(), &Style { color: true, ..style(80) });
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    // Blanks at a line's end can stand before the code that ends a colour.
    let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_ne!(colored, plain);
    assert_eq!(trimmed(&plain), trimmed(&terminal::plan(&plan(), &sources(), &style(80))));
}

#[test]
fn a_note_is_cut_between_items_and_says_so() {
    let mut plan = plan();
    plan.changes = (0..3000)
        .map(|n| {
            edge(
                Op::Grant,
                &format!("p{n}"),
                "member",
                "okta:group/x",
                origin(&format!("reason {n}"), "r.yaml", n),
            )
        })
        .collect();
    let note = markdown::plan(&plan, &zone());
    assert!(note.len() <= markdown::LIMIT, "{}", note.len());
    let (shown, _) = note.split_once("more entries do not fit into this note").unwrap();
    let number: usize = shown.rsplit("**").next().unwrap().trim().replace(',', "").parse().unwrap();
    let told = note.lines().filter(|line| line.starts_with("- `+` `p")).count();
    // The held, drift and finding entries that follow are counted as cut too.
    assert!(told > 100 && number + told >= 3000, "{told} {number}");
    assert_eq!(note.matches("<details>").count(), note.matches("</details>").count());
    assert!(note.contains("To approve"));
    // Nobody who reads it has seen what was cut, so it names no effects whose approval would count.
    let posted = |plan: &Plan| markdown::note(plan, "access", None);
    assert!(!posted(&plan).contains("rolecall:shown") && posted(&plan).contains("does not count"));
    plan.changes.truncate(2);
    assert!(posted(&plan).contains("rolecall:shown"), "{}", posted(&plan));
    let one = origin("one reason", "r.yaml", 1);
    let folded = |count: usize| {
        let each =
            (0..count).map(|n| edge(Op::Grant, &format!("p{n}"), "member", "okta:group/x", one.clone()));
        Plan { changes: each.collect(), ..plan.clone() }
    };
    assert!(posted(&folded(200)).contains("rolecall:shown"));
    assert!(!posted(&folded(201)).contains("rolecall:shown"), "{}", posted(&folded(201)));
}

#[test]
fn findings_without_a_place_to_show_are_told_all_the_same() {
    let code = Code { code: "RC101", title: "" };
    let places = [
        None,
        Some(Span::file("roles/infra.yaml")),
        Some(Span { file: "roles/infra.yaml".into(), line: 99, column: 3, length: 2 }),
        Some(Span { file: "roles/infra.yaml".into(), line: 4, column: 0, length: 1 }),
        Some(Span { file: "roles/infra.yaml".into(), line: 4, column: 900, length: u32::MAX }),
        Some(Span { file: "roles/infra.yaml".into(), line: 5, column: 5, length: 9 }),
        Some(Span { file: "roles/infra.yaml".into(), line: u32::MAX, column: u32::MAX, length: 0 }),
        Some(Span { file: "broken.yaml".into(), line: 1, column: 1, length: 1 }),
        Some(Span { file: "gone.yaml".into(), line: 1, column: 1, length: 1 }),
        Some(Span { file: "grants/long.yaml".into(), line: 1, column: 4000, length: 3 }),
    ];
    let all: Vec<Finding> = places
        .into_iter()
        .map(|span| Finding { span, ..Finding::error(code, "something is wrong") })
        .collect();
    insta::assert_snapshot!(super::findings::terminal(&all, &sources(), &style(80)));
}

#[test]
fn gitlab_reads_its_reports() {
    assert_eq!(gitlab::terraform(&plan()), "{\"create\":37,\"delete\":5,\"update\":1}\n");
    insta::assert_snapshot!(gitlab::codequality(&findings()));
    insta::assert_snapshot!(gitlab::junit(&findings()));
}

#[test]
fn a_fingerprint_does_not_depend_on_the_line_and_tells_repeats_apart() {
    let fingerprints = |findings: &[Finding]| -> Vec<String> {
        let report: serde_json::Value = serde_json::from_str(&gitlab::codequality(findings)).unwrap();
        report.as_array().unwrap().iter().map(|entry| entry["fingerprint"].to_string()).collect()
    };
    let mut moved = findings();
    moved[0].span.as_mut().unwrap().line = 40;
    assert_eq!(fingerprints(&findings()[..1]), fingerprints(&moved[..1]));
    let twice = fingerprints(&[findings()[0].clone(), moved[0].clone()]);
    assert_ne!(twice[0], twice[1]);
}

/// The rich plan with the same text from outside in every place that can hold one.
fn poisoned(text: &str) -> Plan {
    let mut plan = plan();
    let name: Name = text.into();
    let poison_origin = |origin: &mut Origin| {
        origin.text = text.to_owned();
        origin.span.file = name.clone();
        origin.chain = vec![text.to_owned()];
    };
    let poison = |change: &mut Change| {
        poison_origin(&mut change.reason);
        change.also = vec![change.reason.clone()];
        change.risk_reasons = vec![text.to_owned()];
        change.dependents = vec![text.to_owned()];
        if let Some(grant) = &mut change.grant {
            grant.principal = Address::new("okta", None, "user", text);
            grant.relation = name.clone();
            grant.condition = Some(name.clone());
        }
        let values = Value::map([
            (text, Value::List(vec![Value::text(text), Value::map([(text, text)])])),
            ("b", text.into()),
        ]);
        let attributes = Attributes::from([(name.clone(), values), ("plain".into(), text.into())]);
        change.after = Some(attributes);
        change.fields = std::collections::BTreeSet::new();
    };
    plan.changes.iter_mut().for_each(poison);
    for held in &mut plan.held {
        poison(&mut held.change);
        (held.text, held.remedy) = (text.to_owned(), Some(text.to_owned()));
    }
    for drift in &mut plan.drift {
        poison(&mut drift.change);
        (drift.text, drift.id) = (text.to_owned(), text.to_owned());
    }
    for finding in &mut plan.findings {
        (finding.code, finding.message, finding.help) =
            (name.clone(), text.to_owned(), Some(text.to_owned()));
        finding.notes = vec![text.to_owned()];
        finding.span.as_mut().unwrap().file = name.clone();
    }
    for tally in [&mut plan.unmanaged, &mut plan.unclaimed] {
        tally.resources = [(text.to_owned(), 2)].into();
        tally.grants = [(text.to_owned(), 2)].into();
        tally.examples = vec![text.to_owned()];
    }
    (plan.id, plan.tool, plan.base.commit) = (text.to_owned(), text.to_owned(), Some(text.to_owned()));
    plan.complete = false;
    for provider in plan.base.providers.values_mut() {
        provider.partial = [(name.clone(), text.to_owned())].into();
    }
    plan
}

/// What is left of a note when fences, code spans and our own marks are taken out.
fn outside_code(note: &str) -> String {
    let (mut rest, mut fence) = (String::new(), None::<String>);
    for line in note.lines() {
        let ticks: String = line.trim_start().chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if *open == ticks && line.trim() == ticks => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 && !line.trim_start()[ticks.len()..].contains('`') => {
                fence = Some(ticks);
            }
            None => rest.push_str(&escape::outside_code(&(line.to_owned() + "\n"))),
        }
    }
    assert!(fence.is_none(), "a fence is not closed");
    rest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_37_no_quick_action_mention_link_or_image_is_made_from_data(text in escape::nasty()) {
        let note = markdown::plan(&poisoned(&text), &zone());
        prop_assert!(note.len() <= markdown::LIMIT);
        prop_assert!(!note.chars().any(|c| c != '\n' && escape::is_unseen(c)));
        prop_assert!(note.lines().all(|line| !line.starts_with('/')));
        let rest = outside_code(&note);
        let mut own = rest;
        for mark in ["<details>", "</details>", "<summary>", "</summary>", "#### ", "### ", "**", "🔴", "🟡"] {
            own = own.replace(mark, "");
        }
        let harmless = |c: char| c.is_alphanumeric() || " \n.,;:()?-+'→".contains(c);
        prop_assert!(own.chars().all(harmless), "{:?}", own.chars().find(|c| !harmless(*c)));
    }

    #[test]
    fn invariant_38_html_holds_only_our_own_tags(text in escape::nasty()) {
        let page = html::plan(&poisoned(&text), &zone());
        let tags = [
            "!doctype", "html", "head", "meta", "title", "style", "body", "main", "header", "p", "h1", "h2", "h3", "aside",
            "code", "section", "article", "span", "dl", "dt", "dd", "b", "wbr", "pre", "ins", "del", "details", "summary",
            "footer", "br",
        ];
        for tag in page.split('<').skip(1) {
            let name = tag.trim_start_matches('/').split([' ', '>']).next().unwrap();
            prop_assert!(tags.contains(&name), "{name}");
        }
        prop_assert!(!page.chars().any(|c| c != '\n' && escape::is_unseen(c)));
    }

    #[test]
    fn invariant_37_the_terminal_shows_what_cannot_be_seen(text in escape::nasty()) {
        let page = terminal::plan(&poisoned(&text), &sources(), &style(80));
        prop_assert!(!page.chars().any(|c| c != '\n' && escape::is_unseen(c)), "{page:?}");
    }

    #[test]
    fn invariant_38_reports_stay_well_formed(text in escape::nasty()) {
        let findings = poisoned(&text).findings;
        let report: serde_json::Value = serde_json::from_str(&gitlab::codequality(&findings)).unwrap();
        prop_assert_eq!(report.as_array().unwrap().len(), findings.len());
        let xml = gitlab::junit(&findings);
        let mut reader = quick_xml::Reader::from_str(&xml);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
        prop_assert!(!json::plan(&poisoned(&text)).is_empty());
    }
}
