//! The reports that GitLab shows beside a merge request.
//!
//! Invariant: the forms are GitLab's (`terraform`, `codequality`, `junit`); fingerprints do not depend on line numbers.
//! It must not say anything that the other media do not.

use serde_json::json;

use super::escape::{html as xml, visible};
use super::findings::{sorted, total, word};
use crate::model::{Digest, Finding, Level, Op, Plan};

/// The `terraform` report: what would be made, changed and removed; grants count as what they are.
#[must_use]
pub fn terraform(plan: &Plan) -> String {
    let of = |ops: &[Op]| plan.changes.iter().filter(|change| ops.contains(&change.op)).count();
    let report = json!({
        "create": of(&[Op::Create, Op::Grant]),
        "update": of(&[Op::Update]),
        "delete": of(&[Op::Delete, Op::Revoke]),
    });
    format!("{report}\n")
}

/// The `codequality` report.
#[must_use]
pub fn codequality(findings: &[Finding]) -> String {
    let mut seen = std::collections::BTreeMap::<_, u64>::new();
    let report: Vec<_> = sorted(findings)
        .into_iter()
        .map(|finding| {
            let Finding { code, level, message, span, subject, help, notes: _, instead: _ } = finding;
            let file = span.as_ref().map_or("rolecall.yaml", |span| &*span.file);
            // GitLab shows one of those with equal fingerprints: the same message twice in a file is told apart by a count.
            let count =
                seen.entry((code.clone(), file.to_owned(), subject.clone(), message.clone())).or_default();
            *count += 1;
            let fingerprint = Digest::of(&(code, file, subject, message, *count));
            let description = match help {
                Some(help) => format!("{code}: {message} ({})", help.lines().next().unwrap_or_default()),
                None => format!("{code}: {message}"),
            };
            json!({
                "description": visible(&description),
                "check_name": visible(code),
                "fingerprint": fingerprint.as_str().trim_start_matches("sha256:"),
                "severity": match level {
                    Level::Error => "critical",
                    Level::Warning => "minor",
                    Level::Info => "info",
                },
                "location": {
                    "path": visible(file),
                    "lines": { "begin": span.as_ref().map_or(1, |span| span.line.max(1)) },
                },
            })
        })
        .collect();
    super::json::pretty(&report)
}

/// The `annotations` report: where the whole plan can be read, beside the job; `job` is its address.
#[must_use]
pub fn annotations(job: &str, file: &str) -> String {
    let url = format!("{job}/artifacts/file/{file}");
    let link = json!({ "external_link": { "label": "The whole plan", "url": url } });
    super::json::pretty(&json!({ "rolecall": [link] }))
}

/// The `junit` report: one case for each finding, failed where it is an error; one that passes where there is none.
#[must_use]
pub fn junit(findings: &[Finding]) -> String {
    let findings = sorted(findings);
    let failures = findings.iter().filter(|finding| finding.level == Level::Error).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let tests = findings.len().max(1);
    text.push_str(&format!("<testsuites name=\"rolecall\" tests=\"{tests}\" failures=\"{failures}\">\n"));
    text.push_str(&format!("  <testsuite name=\"check\" tests=\"{tests}\" failures=\"{failures}\">\n"));
    if findings.is_empty() {
        text.push_str("    <testcase name=\"check\" classname=\"rolecall\"/>\n");
    }
    for finding in &findings {
        let Finding { code, level, message, span, subject: _, help, notes, instead: _ } = finding;
        let place = span.as_ref().map(ToString::to_string).unwrap_or_default();
        let file = span.as_ref().map(|span| format!(" file=\"{}\"", xml(&span.file))).unwrap_or_default();
        let (name, class) = (xml(&format!("{code}: {message}")), xml(code));
        text.push_str(&format!("    <testcase name=\"{name}\" classname=\"{class}\"{file}>\n"));
        let body = std::iter::once(place.as_str())
            .chain(notes.iter().map(String::as_str))
            .chain(help.iter().flat_map(|help| help.lines()))
            .filter(|line| !line.is_empty())
            .map(xml)
            .collect::<Vec<_>>()
            .join("\n");
        let (element, attributes) = match level {
            Level::Error => ("failure", format!(" message=\"{}\" type=\"{}\"", xml(message), word(*level))),
            Level::Warning | Level::Info => ("system-out", String::new()),
        };
        text.push_str(&format!("      <{element}{attributes}>{body}</{element}>\n    </testcase>\n"));
    }
    let total = total(&findings);
    if !total.is_empty() {
        text.push_str(&format!("    <system-out>{total}</system-out>\n"));
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}
