//! What a plan says in numbers, in the text format of Prometheus: for the text-file collector of node_exporter, and for
//! GitLab's metrics report.
//!
//! Invariant: names and labels come from closed sets of words, so that no data makes a series; and every series is there
//! each time, with 0, so that an alert sees what ends.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::model::plan::Why;
use crate::model::{Cause, Plan, Risk};

const RISKS: [Risk; 3] = [Risk::Low, Risk::Medium, Risk::High];
const CAUSES: [Cause; 3] = [Cause::Request, Cause::Standing, Cause::Drift];
const WHYS: [Why; 13] = [
    Why::Protected,
    Why::OwnAccess,
    Why::LastAdmin,
    Why::Separation,
    Why::Capped,
    Why::Empty,
    Why::Guardrail,
    Why::Frozen,
    Why::Incomplete,
    Why::Absent,
    Why::Identity,
    Why::Pending,
    Why::Queued,
];

/// The numbers; `applied` is when the last apply was seen to be true.
#[must_use]
pub fn metrics(plan: &Plan, applied: Option<Timestamp>) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, series: &[(String, i64)]| {
        let _ = writeln!(text, "# HELP rolecall_{name} {help}\n# TYPE rolecall_{name} gauge");
        for (labels, value) in series {
            let _ = writeln!(text, "rolecall_{name}{labels} {value}");
        }
    };
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let mut changes = Vec::new();
    for cause in CAUSES {
        for risk in RISKS {
            let count =
                plan.changes.iter().filter(|change| change.cause == cause && change.risk == risk).count();
            changes.push((format!("{{cause=\"{cause}\",risk=\"{risk}\"}}"), number(count)));
        }
    }
    gauge("changes", "Changes that a plan would make.", &changes);
    let held = WHYS.map(|why| {
        let count = plan.held.iter().filter(|held| held.why == why).count();
        (format!("{{why=\"{why}\"}}"), number(count))
    });
    gauge("held", "Changes that are declined for now.", &held);
    let drift = RISKS.map(|risk| {
        let count = plan.drift.iter().filter(|drift| drift.change.risk == risk).count();
        (format!("{{risk=\"{risk}\"}}"), number(count))
    });
    gauge("drift", "Things that moved by themselves.", &drift);
    let one = |value: i64| [(String::new(), value)];
    gauge("complete", "Whether everything could be read.", &one(i64::from(plan.complete)));
    gauge("plan_timestamp_seconds", "When this was looked at.", &one(plan.created.as_second()));
    if let Some(applied) = applied {
        let help = "When the last apply was seen to be true.";
        gauge("last_apply_timestamp_seconds", help, &one(applied.as_second()));
        let age = plan.created.as_second() - applied.as_second();
        gauge("base_age_seconds", "How old what is compared with was then.", &one(age));
    }
    text.push_str("# EOF\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn each_line_is_one_that_a_collector_takes() {
        let plan = fixture::plan();
        let applied = plan.created.checked_sub(jiff::SignedDuration::from_hours(2)).unwrap();
        let text = metrics(&plan, Some(applied));
        let (mut typed, mut seen) = (None, std::collections::BTreeSet::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(kind, "gauge");
                typed = Some(name.to_owned());
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<i64>().is_ok(), "{line}");
                assert!(seen.insert(series.to_owned()), "twice: {line}");
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                assert_eq!(Some(name), typed.as_deref(), "{line}");
                assert!(labels.is_empty() || labels.ends_with("\"}"), "{line}");
            }
        }
        let held: usize =
            WHYS.iter().map(|why| plan.held.iter().filter(|held| held.why == *why).count()).sum();
        assert_eq!(held, plan.held.len(), "a reason is missing");
        assert!(text.contains("rolecall_base_age_seconds 7200\n") && text.ends_with("# EOF\n"), "{text}");
        assert!(text.contains(&format!("rolecall_plan_timestamp_seconds {}\n", plan.created.as_second())));
        assert!(!metrics(&plan, None).contains("last_apply"));
    }
}
