//! What the media make of one rich plan: each snapshot is meant to be read.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::fixture::{change, changes, edge, findings, origin, plan, report, sources};
use super::terminal::Style;
use super::{escape, gitlab, html, markdown, terminal};
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
    insta::assert_snapshot!(html::plan(&plan(), &zone()));
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

#[test]
fn dump_for_eyes() {
    if let Ok(dir) = std::env::var("RENDER_DUMP") {
        std::fs::write(format!("{dir}/plan.html"), html::plan(&plan(), &zone())).unwrap();
        std::fs::write(format!("{dir}/plan.md"), markdown::plan(&plan(), &zone())).unwrap();
        let color = Style { color: true, ..style(80) };
        std::fs::write(format!("{dir}/plan.ansi"), terminal::plan(&plan(), &sources(), &color)).unwrap();
    }
}
