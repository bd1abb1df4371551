//! Plans, reports and findings for machines.
//!
//! Invariant: what cannot be seen is written as an escape, so that a file shown to people hides nothing; a parser reads
//! back the very same values. It must not leave anything out.

use std::fmt::Write as _;

use serde::Serialize;

use super::escape::is_unseen;
use crate::model::report::Rehearsal;
use crate::model::{Explanation, Plan, Report};

/// A plan (`rolecall.plan/v1`).
#[must_use]
pub fn plan(plan: &Plan) -> String {
    pretty(plan)
}

/// The report of an apply.
#[must_use]
pub fn report(report: &Report) -> String {
    pretty(report)
}

/// A rehearsal (`rolecall.rehearsal/v1`).
#[must_use]
pub fn rehearsal(rehearsal: &Rehearsal) -> String {
    pretty(rehearsal)
}

/// An explanation (`rolecall.explanation/v1`).
#[must_use]
pub fn explanation(explanation: &Explanation) -> String {
    pretty(explanation)
}

/// What the directory holds (`rolecall.values/v1`).
#[must_use]
pub fn values(values: &impl Serialize) -> String {
    pretty(values)
}

/// The issues that a forge is to have of what moved by itself, and whether all was read: else none may be closed.
#[must_use]
pub fn issues(issues: &[super::issue::Issue], complete: bool) -> String {
    pretty(&serde_json::json!({ "complete": complete, "issues": issues }))
}

/// What a check found, and what can be mended with a click.
#[must_use]
pub fn checked(findings: &[crate::model::Finding], suggestions: &[super::suggestions::Suggestion]) -> String {
    pretty(&serde_json::json!({ "findings": findings, "suggestions": suggestions }))
}

/// What moved by itself.
#[must_use]
pub fn drift(plan: &Plan) -> String {
    pretty(&plan.drift)
}

/// Any of our own values.
pub(super) fn pretty(value: &impl Serialize) -> String {
    // Our own values have text keys and whole numbers only, which is all that JSON can refuse.
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut text = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        // Beyond the line ends of the layout, such characters stand in texts alone, where JSON knows this escape.
        if character != '\n' && is_unseen(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(character);
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn invariant_38_json_hides_nothing_and_reads_back(text in any::<String>()) {
            let json = super::pretty(&[&text]);
            prop_assert!(!json.chars().any(|c| c != '\n' && super::is_unseen(c)));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [text]);
        }
    }

    #[test]
    fn a_plan_reads_back_as_it_was() {
        let plan = crate::render::fixture::plan();
        assert_eq!(serde_json::from_str::<crate::model::Plan>(&super::plan(&plan)).unwrap(), plan);
    }
}
