//! Evidence: what an auditor gets of each apply, in one file, chained to the one before (`rolecall.evidence/v1`).
//!
//! Invariant: a bundle is made of values that the apply had, and says nothing that was not seen; each names the digest of
//! the bytes of the one before, so that none can be altered, dropped or put elsewhere without the chain showing it.
//! It must not read files, clocks or providers, and holds no secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::report::Step;
use crate::model::{Basis, Change, Code, Digest, Finding, Held, Plan, Report, Snapshot, Waived};

pub mod envelope;

#[cfg(test)]
mod tests;

/// The `format` of a bundle.
pub const EVIDENCE_FORMAT: &str = "rolecall.evidence/v1";

/// The chain of evidence is broken.
pub const BROKEN: Code = Code { code: "RC710", title: "the chain of evidence is broken" };

/// All codes of evidence.
pub const CODES: &[Code] = &[BROKEN];

/// What one apply did, on whose word, and what was seen afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// `rolecall.evidence/v1`.
    pub format: String,
    /// Its place in the chain, from 1.
    pub number: u64,
    /// The digest of the bytes of the bundle before; none for the first.
    pub previous: Option<Digest>,
    /// What did it.
    pub tool: Tool,
    /// What was applied.
    pub applied: Applied,
    /// How it was approved, in words and in full.
    pub approval: Approved,
    /// Where and when it ran, and as whom.
    pub run: Ran,
    /// Every change of the plan: before, after, cause, reason, risk, and the live values that it rests on.
    pub changes: Vec<Change>,
    /// What was declined for now, and why.
    pub held: Vec<Held>,
    /// The exceptions that were used: who answers for each, why, until when.
    pub waived: Vec<Waived>,
    /// What became of each change, with the vendor's id of the request.
    pub steps: Vec<Step>,
    /// What was seen afterwards.
    pub verification: Verification,
}

/// The program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name and version.
    pub version: String,
    /// The digest of its file, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<Digest>,
}

/// What was applied, and on what it rested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The plan that was approved.
    pub plan: String,
    /// The digest of its effects, and those.
    pub effect: Digest,
    /// The effects that had to be approved.
    pub effects: Vec<Digest>,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it could be applied.
    pub expires: Timestamp,
    /// The commit of head, where Git tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What the plan that was carried out rests on: base, the digests of both trees, and of what each provider showed.
    pub basis: Basis,
    /// Whether everything was read whole.
    pub complete: bool,
    /// Whether all providers were simulated.
    pub simulated: bool,
}

/// How it was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// In words.
    pub text: String,
    /// As it was recorded.
    pub approval: crate::model::Approval,
}

/// Where and when it ran, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ran {
    /// When it began to write.
    pub began: Option<Timestamp>,
    /// When it had looked at what became of it.
    pub ended: Option<Timestamp>,
    /// What the pipeline says of itself, by the names of its variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pipeline: BTreeMap<String, String>,
    /// Whom each provider saw, in words.
    pub principals: BTreeMap<String, String>,
}

/// What was seen afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Whether no change was left.
    pub converged: bool,
    /// What was left.
    pub left: Vec<String>,
    /// Who had what then; none where nothing could be seen.
    pub population: Option<Population>,
}

/// Everyone who has something, counted; the digest is that of the sorted edges, as the snapshot of the memory has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// Edges.
    pub edges: usize,
    /// Principals.
    pub principals: usize,
    /// The digest of all edges.
    pub digest: Digest,
}

impl Population {
    /// The population of what was seen.
    #[must_use]
    pub fn of(live: &Snapshot) -> Self {
        let mut principals: Vec<&str> = live.grants.iter().map(|edge| edge.key.principal.as_str()).collect();
        principals.sort_unstable();
        principals.dedup();
        let edges: Vec<_> = live.grants.iter().collect();
        Self { edges: edges.len(), principals: principals.len(), digest: Digest::of(&edges) }
    }
}

/// What a bundle is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The plan that was approved.
    pub approved: &'a Plan,
    /// The plan that was carried out.
    pub fresh: &'a Plan,
    /// How it was approved.
    pub approval: &'a crate::model::Approval,
    /// What became of it.
    pub report: &'a Report,
    /// What was seen afterwards, where anything was.
    pub live: Option<&'a Snapshot>,
    /// The commit of head.
    pub commit: Option<&'a str>,
    /// Where it ran.
    pub run: &'a Ran,
    /// The digest of the program.
    pub binary: Option<&'a Digest>,
    /// The bundle before: its place and the digest of its bytes.
    pub previous: Option<(u64, &'a Digest)>,
}

/// The bundle of an apply.
#[must_use]
pub fn bundle(parts: Parts<'_>) -> Bundle {
    let Parts { approved, fresh, approval, report, live, commit, run, binary, previous } = parts;
    Bundle {
        format: EVIDENCE_FORMAT.to_owned(),
        number: previous.map_or(1, |(number, _)| number + 1),
        previous: previous.map(|(_, digest)| digest.clone()),
        tool: Tool { version: fresh.tool.clone(), binary: binary.cloned() },
        applied: Applied {
            plan: approved.id.clone(),
            effect: approved.effect.clone(),
            effects: approved.effects.clone(),
            created: approved.created,
            expires: approved.expires,
            commit: commit.map(str::to_owned),
            basis: fresh.base.clone(),
            complete: fresh.complete,
            simulated: fresh.simulated,
        },
        approval: Approved { text: approval.to_string(), approval: approval.clone() },
        run: run.clone(),
        changes: fresh.changes.clone(),
        held: report.held.clone(),
        waived: fresh.waived.clone(),
        steps: report.steps.clone(),
        verification: Verification {
            converged: report.converged && live.is_some(),
            left: report.left.clone(),
            population: live.map(Population::of),
        },
    }
}

/// A bundle as it is kept.
#[must_use]
pub fn bytes(bundle: &Bundle) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(bundle).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// What is wrong with a chain of bundles, each with its name and bytes, in their order.
#[must_use]
pub fn verify(chain: &[(String, Vec<u8>)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut wrong = |name: &str, why: String, help: &str| {
        findings.push(Finding::error(BROKEN, format!("`{name}` {why}")).help(help));
    };
    let mut previous: Option<Digest> = None;
    for (number, (name, bytes)) in (1..).zip(chain) {
        match serde_json::from_slice::<Bundle>(bytes) {
            Err(error) => wrong(name, format!("is no bundle: {error}"), "take it from a copy"),
            Ok(bundle) => {
                if bundle.number != number {
                    let why =
                        format!("says that it is number {}, and it is number {number} here", bundle.number);
                    wrong(name, why, "one was dropped, added or put elsewhere; look for it in a copy");
                }
                if bundle.previous != previous {
                    let why = "does not follow the one before it, whose bytes are others now".to_owned();
                    wrong(name, why, "the one before was altered or is missing; compare it with a copy");
                }
            }
        }
        previous = Some(Digest::of_bytes(bytes));
    }
    findings
}
