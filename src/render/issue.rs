//! Drift as issues of a forge: one for each provider, kept up to date and closed when the drift is gone.
//!
//! Invariant: pure: what is to be done follows from the plan and from the issues that there are. Titles and bodies hold no
//! markup from data. It must not decide what drift is.

use std::collections::BTreeMap;

use super::groups;
use super::markdown;
use super::words::count;
use crate::model::{Digest, Drift, Name, Plan};

/// What an issue is to say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Issue {
    /// The provider that it is about.
    pub target: Name,
    /// One line.
    pub title: String,
    /// Markdown; its first line is the mark that the issue is found by.
    pub body: String,
    /// Digest of what drifted: as long as it stays, there is nothing new to say.
    pub fingerprint: String,
}

/// An issue that is there, written by the same author as ours are: nobody else's mark counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its number in the project.
    pub number: u64,
    /// The provider that its mark names.
    pub target: Name,
    /// The fingerprint that its mark names.
    pub fingerprint: String,
    /// Whether it is open.
    pub open: bool,
}

/// What is to be done with the issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Open a new one.
    Open(Issue),
    /// Write title and body of this one anew.
    Update(u64, Issue),
    /// Close this one: the drift is gone.
    Close(u64),
}

/// The first line of a body, which people do not see.
fn mark(target: &str, fingerprint: &str) -> String {
    format!("<!-- rolecall:drift:{target} {fingerprint} -->")
}

impl Existing {
    /// An issue by the mark in its body; `None` where it is none of ours.
    #[must_use]
    pub fn read(number: u64, body: &str, open: bool) -> Option<Self> {
        let mark =
            body.lines().next()?.trim_end().strip_prefix("<!-- rolecall:drift:")?.strip_suffix(" -->")?;
        let (target, fingerprint) = mark.split_once(' ')?;
        Some(Self { number, target: target.into(), fingerprint: fingerprint.to_owned(), open })
    }
}

/// An issue for each provider that something drifted in.
#[must_use]
pub fn issues(plan: &Plan) -> Vec<Issue> {
    let mut targets: BTreeMap<Name, Vec<Drift>> = BTreeMap::new();
    for drift in &plan.drift {
        targets.entry(drift.change.address.instance().into()).or_default().push(drift.clone());
    }
    targets.into_iter().map(|(target, drift)| issue(target, &drift)).collect()
}

fn issue(target: Name, drift: &[Drift]) -> Issue {
    let mut ids: Vec<&str> = drift.iter().map(|drift| drift.id.as_str()).collect();
    ids.sort_unstable();
    let fingerprint = Digest::of(&ids).short().to_owned();
    // Names of providers are `[a-z0-9._-]`, so that neither title nor mark can hold anything else.
    let title = format!(
        "Drift in {target}: {}",
        count(drift.len(), "thing moved by itself", "things moved by themselves")
    );
    let mut body = format!("{}\n", mark(&target, &fingerprint));
    if let Some(section) = groups::drift(drift) {
        body.push_str(&markdown::alone(&section));
    }
    body.push_str(
        "\nThis issue is kept up to date by the drift job, and closed when the drift is gone. Each id is for \
         `rolecall drift accept`:\n\n",
    );
    let told = drift.iter().map(|drift| (drift.id.as_str(), drift.change.target()));
    let lines = told.map(|(id, target)| format!("- `{id}` {}\n", super::escape::code(&target)));
    let mut cut = 0_usize;
    for line in lines {
        if body.len() + line.len() <= markdown::LIMIT {
            body.push_str(&line);
        } else {
            cut += 1;
        }
    }
    if cut > 0 {
        body.push_str(&format!("- and {cut} more, which `rolecall drift` tells\n"));
    }
    Issue { target, title, body, fingerprint }
}

/// What is to be done so that there is one open issue for each provider that drifted, and none for the others. Of what
/// could not be read nothing is known to be gone: then nothing is closed.
#[must_use]
pub fn steps(wanted: &[Issue], existing: &[Existing], complete: bool) -> Vec<Step> {
    let mut open: Vec<&Existing> = existing.iter().filter(|issue| issue.open).collect();
    open.sort_by_key(|issue| issue.number);
    let mut steps = Vec::new();
    for issue in wanted {
        let mut own = open.iter().filter(|existing| existing.target == issue.target);
        match own.next() {
            None => steps.push(Step::Open(issue.clone())),
            Some(first) if first.fingerprint != issue.fingerprint => {
                steps.push(Step::Update(first.number, issue.clone()));
            }
            Some(_) => {}
        }
        // Two jobs at once may have opened two: the older one stays.
        steps.extend(own.map(|other| Step::Close(other.number)));
    }
    let gone = open.iter().filter(|existing| wanted.iter().all(|issue| issue.target != existing.target));
    steps.extend(gone.filter(|_| complete).map(|existing| Step::Close(existing.number)));
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::render::{escape, fixture};

    fn wanted(target: &str, fingerprint: &str) -> Issue {
        Issue { target: target.into(), title: "t".into(), body: "b".into(), fingerprint: fingerprint.into() }
    }

    fn there(number: u64, target: &str, fingerprint: &str, open: bool) -> Existing {
        Existing { number, target: target.into(), fingerprint: fingerprint.into(), open }
    }

    #[test]
    fn an_issue_is_found_by_its_mark_and_by_nothing_else() {
        let plan = fixture::plan();
        let issues = issues(&plan);
        assert!(!issues.is_empty() && !plan.drift.is_empty());
        for issue in &issues {
            let found = Existing::read(7, &issue.body, true).unwrap();
            assert_eq!(found, there(7, &issue.target, &issue.fingerprint, true));
            assert!(!issue.title.contains('\n'));
        }
        for body in ["", "x", "<!-- rolecall:plan:okta a -->", "x\n<!-- rolecall:drift:okta a -->"] {
            assert_eq!(Existing::read(7, body, true), None, "{body}");
        }
    }

    #[test]
    fn the_fingerprint_is_that_of_what_drifted_in_whatever_order() {
        let mut plan = fixture::plan();
        let before = issues(&plan);
        plan.drift.reverse();
        plan.created = plan.expires;
        let prints =
            |issues: &[Issue]| issues.iter().map(|issue| issue.fingerprint.clone()).collect::<Vec<_>>();
        assert_eq!(prints(&issues(&plan)), prints(&before));
        plan.drift[0].id = "other".into();
        assert_ne!(prints(&issues(&plan)), prints(&before));
    }

    #[test]
    fn one_issue_for_each_provider_is_opened_updated_and_closed() {
        let okta = wanted("okta", "a");
        let open = [there(3, "okta", "a", true)];
        assert_eq!(steps(std::slice::from_ref(&okta), &[], true), [Step::Open(okta.clone())]);
        assert_eq!(steps(std::slice::from_ref(&okta), &open, true), []);
        let changed = wanted("okta", "b");
        assert_eq!(steps(std::slice::from_ref(&changed), &open, true), [Step::Update(3, changed.clone())]);
        assert_eq!(steps(&[], &open, true), [Step::Close(3)]);
        assert_eq!(steps(&[], &open, false), [], "what could not be read is not gone");
        // A closed one is history; somebody else's provider is left alone; of two the older one stays.
        let past = [there(1, "okta", "a", false)];
        assert_eq!(steps(std::slice::from_ref(&okta), &past, true), [Step::Open(okta.clone())]);
        let two = [there(9, "okta", "a", true), there(4, "okta", "a", true), there(5, "aws", "x", true)];
        assert_eq!(steps(std::slice::from_ref(&okta), &two, true), [Step::Close(9), Step::Close(5)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn invariant_38_an_issue_holds_no_markup_from_data(text in escape::nasty()) {
            let mut plan = fixture::plan();
            for drift in &mut plan.drift {
                drift.text.clone_from(&text);
            }
            for issue in issues(&plan) {
                prop_assert!(!issue.body.lines().any(|line| line.trim_start().starts_with('/')), "{}", issue.body);
                let rest = escape::outside_code(&issue.body);
                prop_assert!(!rest.contains('@') && !rest.contains("://"), "{rest}");
                prop_assert_eq!(rest.matches("<!--").count(), 1);
            }
        }
    }
}
