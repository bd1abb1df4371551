//! Approval of effects: what it takes, what a note shows of them, and which approval counts for which of them.
//!
//! Invariant: nothing here decides. What a forge tells is kept as it was told, and what it did not tell is not made up: an
//! absent answer is an error of whoever asked, never an empty list.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Name;
use super::plan::Risk;
use super::value::Digest;

/// What it takes to approve some of the effects of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// The highest risk among them.
    pub risk: Risk,
    /// How many of the owners.
    pub needed: u32,
    /// The owners, sorted: handles and `@group/paths`.
    pub owners: Vec<String>,
    /// The handles of managers who must approve besides, each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<Name>,
    /// Which effects.
    pub effects: BTreeSet<Digest>,
    /// The roles, files or waivers that they come from, in words, sorted.
    pub of: Vec<String>,
    /// Why nobody can approve them, where nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impossible: Option<String>,
    /// Whether they are standing changes beyond what runs by itself: without approval they wait, and stop nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queued: bool,
}

/// Who answers for what, as base says: a merge request cannot choose its own judges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owners {
    /// By role.
    pub roles: BTreeMap<Name, OwnedRole>,
    /// For everything else.
    pub rest: Vec<String>,
}

/// Who answers for a role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnedRole {
    /// Its owners: handles and `@group/paths`.
    pub owners: Vec<String>,
    /// Whether the manager of whoever gets it must approve besides.
    pub manager: bool,
}

/// Who is who at the forge, as base says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    /// Handles of those who are at work.
    pub at_work: BTreeSet<Name>,
    /// Handles of those who are at work, by the name of their account in lower case.
    pub by_account: BTreeMap<String, Name>,
    /// Handles of everyone, by e-mail address in lower case.
    pub by_email: BTreeMap<String, Name>,
    /// The host of the forge.
    pub forge: Option<String>,
    /// Members of groups, by `@path`: handles. Those that nobody asked about are not there.
    pub groups: BTreeMap<String, BTreeSet<Name>>,
}

impl Accounts {
    /// Whose account it is, if it is somebody's who is at work.
    #[must_use]
    pub fn of(&self, account: &str) -> Option<&Name> {
        self.by_account.get(&account.to_lowercase())
    }

    /// Whose e-mail address it is. The forge makes up such as `17-ann@users.noreply.gitlab.com` for those who hide theirs.
    #[must_use]
    pub fn of_email(&self, email: &str) -> Option<&Name> {
        let email = email.to_lowercase();
        self.by_email.get(&email).or_else(|| {
            let (user, host) = email.split_once('@')?;
            let (id, account) = user.split_once('-')?;
            let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
            let is_forges =
                host.strip_prefix("users.noreply.").is_some_and(|host| self.forge.as_deref() == Some(host));
            if is_id && is_forges { self.by_account.get(account) } else { None }
        })
    }
}

/// How many effects a note names one by one: beyond that it names the whole alone, since a note has a largest size.
const NAMED: usize = 6_000;
/// What the last line of a note begins and ends with.
const SEAL: (&str, &str) = ("<!-- rolecall:shown:v1 ", " -->");

/// Which effects a note shows: the last line of it, which is not displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The digest of all.
    pub effect: Digest,
    /// Each of them; empty where they are too many to name.
    pub effects: BTreeSet<Digest>,
}

impl Shown {
    /// The first line of a note, which is not displayed: by it and by its author the note is found again.
    #[must_use]
    pub fn mark(target: &str) -> String {
        format!("<!-- rolecall:plan:{target} -->")
    }

    /// The line, without its end. It holds nothing but digits.
    #[must_use]
    pub fn line(effect: &Digest, effects: &[Digest]) -> String {
        let named = if effects.len() > NAMED { &[] } else { effects };
        let each: Vec<&str> = named.iter().map(Digest::hex).collect();
        format!("{}{} {}{}", SEAL.0, effect.hex(), each.join(","), SEAL.1)
    }

    /// What a note shows; nothing where its last line is not such a one.
    #[must_use]
    pub fn of_note(body: &str) -> Option<Self> {
        let line = body.trim_end().lines().next_back()?;
        let (effect, each) = line.strip_prefix(SEAL.0)?.strip_suffix(SEAL.1)?.split_once(' ')?;
        let effects: BTreeSet<Digest> =
            each.split(',').filter(|hex| !hex.is_empty()).map(Digest::from_hex).collect::<Option<_>>()?;
        let effect = Digest::from_hex(effect)?;
        // What is named one by one must be what is named as a whole.
        let sorted: Vec<&Digest> = effects.iter().collect();
        (effects.is_empty() || Digest::of(&sorted) == effect).then_some(Self { effect, effects })
    }
}

/// What was merged between base and head, as Git and the forge tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Merge requests in the order in which they were merged, the first one first.
    pub requests: Vec<MergeRequest>,
    /// Commits of the branch that came with no merge request.
    pub direct: Vec<Commit>,
    /// The account whose notes count.
    pub bot: Option<String>,
    /// Why the forge was not asked, though there is one.
    pub not_asked: Option<String>,
    /// Why what notes show is not believed; `None`: a merge request cannot have changed it.
    pub notes_are_advice: Option<String>,
    /// The approval of the deployment that this run is.
    pub deployment: Option<Deployment>,
    /// What the forge's settings let people do, or why it does not tell.
    pub rules: Option<Result<ForgeRules, String>>,
}

/// The deployment that an apply is, where the environment asks for approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name: `deployment 17 of access`.
    pub name: String,
    /// Who approved it.
    pub approvals: Vec<Approving>,
    /// Who refused.
    pub rejected: Vec<String>,
}

/// A signed word of somebody whose key base knows, verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The file that it came from.
    pub file: String,
    /// The handle of whose key signed it.
    pub by: Name,
    /// When, as it says.
    pub at: Timestamp,
    /// The plan that was read, by its id.
    pub plan: String,
    /// The digest of all that it said.
    pub document: Digest,
    /// The digest of the effects that it approves.
    pub effect: Digest,
}

/// A request that was merged, as the forge tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeRequest {
    /// Its name: `acme/access!42`.
    pub name: String,
    /// Where it can be read.
    pub url: String,
    /// What it is called.
    pub title: String,
    /// Who opened it: an account's name at the forge.
    pub author: String,
    /// When it was opened.
    pub created: Timestamp,
    /// When it was merged.
    pub merged: Option<Timestamp>,
    /// Who merged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_by: Option<String>,
    /// The commit of the source branch that was merged.
    pub head: String,
    /// The commit of the last version that the forge has of its content, and when that came.
    pub version: (String, Timestamp),
    /// Who wrote and committed its commits, by e-mail address.
    pub commits: Vec<Commit>,
    /// Accounts that pushed to it while it was open.
    pub pushers: BTreeSet<String>,
    /// Who approved it.
    pub approvals: Vec<Approving>,
    /// The notes that the pipeline's account wrote, with the mark of this access repo.
    pub notes: Vec<BotNote>,
}

/// A commit of a merge request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// The e-mail address of who wrote it.
    pub author: String,
    /// The e-mail address of who committed it.
    pub committer: String,
}

/// That somebody approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approving {
    /// The account's name at the forge.
    pub by: String,
    /// When; `None`: the forge does not say, and then it does not count.
    pub at: Option<Timestamp>,
}

/// A note that shows a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotNote {
    /// When it was last edited.
    pub edited: Timestamp,
    /// The digest of the effects that it shows; `None`: it has no such line.
    pub effect: Option<Digest>,
    /// The effects themselves.
    #[serde(skip)]
    pub effects: BTreeSet<Digest>,
}

/// What the forge's settings let people do, as far as it tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeRules {
    /// Whether an author may approve what he wrote.
    pub author_may_approve: bool,
    /// Whether who committed may approve.
    pub committer_may_approve: bool,
    /// Whether approvals are taken away by a push.
    pub reset_on_push: bool,
}

/// Which approvals cover which effects: what is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// What approved them, in words: `acme/access!42`, `deployment 17 of access`, `statement approval.json`.
    pub source: String,
    /// Who approved: handles, sorted; with when.
    pub by: Vec<(Name, Timestamp)>,
    /// Who asked: handles or accounts of authors and committers, sorted.
    pub asked: Vec<String>,
    /// What it took.
    pub quorum: Quorum,
}

/// All approvals of a plan, as they were judged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reviewed {
    /// Which approval covers which effects.
    pub covered: Vec<Covered>,
    /// What the forge told, as it was judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<MergeRequest>,
    /// The deployment that was approved, as the forge told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    /// The signed statements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<Statement>,
    /// What the forge's settings let people do; `None`: it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<ForgeRules>,
    /// In what it falls short of what an auditor expects, where settings let that pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_compliant: Vec<String>,
}

impl Reviewed {
    /// The effects that are covered.
    pub fn effects(&self) -> impl Iterator<Item = &Digest> {
        self.covered.iter().flat_map(|covered| &covered.quorum.effects)
    }
}

impl std::fmt::Display for Reviewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, covered) in self.covered.iter().enumerate() {
            let who: Vec<&str> = covered.by.iter().map(|(who, _)| who.as_ref()).collect();
            let count = covered.quorum.effects.len();
            let effects = if count == 1 { "effect" } else { "effects" };
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{count} {effects} by {} ({})", who.join(", "), covered.source)?;
        }
        for why in &self.not_compliant {
            write!(f, "; not compliant: {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(count: usize) -> Vec<Digest> {
        let mut digests: Vec<Digest> = (0..count).map(|n| Digest::of(&n)).collect();
        digests.sort();
        digests
    }

    #[test]
    fn the_last_line_of_a_note_says_which_effects_it_shows() {
        for count in [0, 1, 3, NAMED + 1] {
            let effects = digests(count);
            let all = Digest::of(&effects);
            let line = Shown::line(&all, &effects);
            let shown = Shown::of_note(&format!("# Plan\r\n\r\n{line}\n")).unwrap();
            assert_eq!(shown.effect, all);
            assert_eq!(shown.effects.len(), if count > NAMED { 0 } else { count });
        }
    }

    #[test]
    fn a_line_that_is_not_the_last_or_does_not_add_up_shows_nothing() {
        let effects = digests(3);
        let line = Shown::line(&Digest::of(&effects), &effects);
        for body in [
            format!("{line}\nmore"),
            format!(" {line}"),
            Shown::line(&Digest::of(&effects), &effects[1..]),
            line.replace(" -->", ""),
            line.replace("v1", "v2"),
            String::new(),
        ] {
            assert_eq!(Shown::of_note(&body), None, "{body}");
        }
    }
}
