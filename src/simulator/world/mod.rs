//! The world: everything that the simulated Okta, AWS and Google Cloud hold, as a person writes it in `world.yaml`.
//!
//! Invariant: names are the keys; ids and times that the file omits are derived, and the same each time.
//! It must not answer requests: `okta`, `aws` and `gcp` do.
//!
//! The format, with every key that it knows, is shown at [`World`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::edits::PlannedEdit;
use super::faults::{Lag, Latency, Planned};
use super::mix::Mix;
use super::store::WorldError;

mod aws;
mod gcp;
mod okta;

pub use aws::{Aws, AwsAccount, AwsLimits, IamGroup, IamPolicy, IamRole, IamUser};
pub use gcp::{
    Gcp, GcpBillingAccount, GcpBinding, GcpCondition, GcpFolder, GcpGroup, GcpKey, GcpLien, GcpLimits,
    GcpManagedBy, GcpMember, GcpOperation, GcpOutcome, GcpPolicy, GcpPool, GcpPoolProvider, GcpProject,
    GcpRole, GcpServiceAccount, GcpStage, GcpState, GcpToken, GcpUser,
};
pub use okta::{GroupType, Okta, OktaGroup, OktaRule, OktaUser, RuleStatus, UserStatus};

pub(super) use aws::iam_id;
pub(super) use gcp::folder_id;
pub(super) use okta::group_id;

/// What `world.yaml` says. What is omitted has the default told here.
///
#[doc = concat!("```yaml\n", include_str!("example.yaml"), "```")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// When it is.
    pub now: Timestamp,
    /// At most so many items a page.
    #[serde(default = "default_page_size", skip_serializing_if = "is_default_page_size")]
    pub page_size: usize,
    /// Up to which line of the log this file has taken in.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub folded: u64,
    /// Whether the log stays when it was taken in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keep_log: bool,
    /// What goes wrong.
    #[serde(default, skip_serializing_if = "is_default")]
    pub faults: WorldFaults,
    /// The Okta organization.
    #[serde(default)]
    pub okta: Okta,
    /// The AWS accounts.
    #[serde(default)]
    pub aws: Aws,
    /// The Google Cloud organization.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gcp: Gcp,
}

/// What goes wrong in a world, and when.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldFaults {
    /// The process dies before this write, counted from 1 in each run, takes effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_before_write: Option<u64>,
    /// The process dies once so many writes of this run took effect, before the last of them is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_after_writes: Option<u64>,
    /// The process dies before this call, counted from 1 in each run, is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_before_call: Option<u64>,
    /// The process dies once this call was carried out, before it is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_after_call: Option<u64>,
    /// What everything that is left to chance is drawn from.
    #[serde(skip_serializing_if = "is_zero")]
    pub seed: u64,
    /// What happens to calls by chance.
    #[serde(skip_serializing_if = "is_default")]
    pub mix: Mix,
    /// How far reads are behind.
    #[serde(skip_serializing_if = "is_default")]
    pub lag: Lag,
    /// By how many seconds the servers' clock is ahead.
    #[serde(skip_serializing_if = "is_default")]
    pub skew: i64,
    /// How long each call takes.
    #[serde(skip_serializing_if = "is_default")]
    pub latency: Latency,
    /// What happens to calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Planned>,
    /// What others do meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<PlannedEdit>,
}

impl World {
    /// An empty world at a time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            page_size: default_page_size(),
            folded: 0,
            keep_log: false,
            faults: WorldFaults::default(),
            okta: Okta::default(),
            aws: Aws::default(),
            gcp: Gcp::default(),
        }
    }

    /// Fills in what was omitted and checks that every name means something.
    pub(super) fn settle(&mut self) -> Result<(), WorldError> {
        if self.page_size == 0 {
            return Err(WorldError::invalid("`page_size` is 0: nothing could ever be listed"));
        }
        self.okta.settle()?;
        if self.aws.caller.is_empty()
            && let Some(account) = self.aws.accounts.keys().next()
        {
            self.aws.caller = format!("arn:aws:iam::{account}:user/rolecall");
        }
        for (id, account) in &mut self.aws.accounts {
            if id.len() != 12 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(WorldError::invalid(format!(
                    "`{id}` is no account id: those have twelve digits"
                )));
            }
            account.settle(id)?;
        }
        self.gcp.settle()
    }

    /// What is worth writing down: without what would be derived again.
    pub(super) fn terse(&self) -> Self {
        let mut world = self.clone();
        world.okta.tersen();
        world.aws.accounts.iter_mut().for_each(|(id, account)| account.tersen(id));
        world.gcp.tersen();
        world
    }
}

fn fill(field: &mut String, value: impl FnOnce() -> String) {
    if field.is_empty() {
        *field = value();
    }
}

fn forget(field: &mut String, derived: &str) {
    if field == derived {
        field.clear();
    }
}

fn default_page_size() -> usize {
    20
}

fn is_default_page_size(size: &usize) -> bool {
    *size == default_page_size()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_root(path: &str) -> bool {
    path.is_empty() || path == "/"
}

fn is_first_version(version: &str) -> bool {
    version.is_empty() || version == "v1"
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("example.yaml");

    #[test]
    fn the_documented_example_is_a_world_and_reads_back_as_it_was_written() {
        let world = World::parse(EXAMPLE).unwrap();
        assert_eq!(world.okta.user("00u1dmurphy").unwrap().login, "dmurphy@acme.com");
        assert_eq!(world.aws.accounts["222222222222"].policies["deny-data"].last_version, 2);
        assert_eq!(world.gcp.projects["eng-dev-a1"].policy.bindings.len(), 2);
        let text = world.to_yaml().unwrap();
        assert_eq!(World::parse(&text).unwrap(), world, "{text}");
        assert_eq!(World::parse(&text).unwrap().to_yaml().unwrap(), text);
        assert!(!text.contains("id: 00uk"), "what would be derived again is not written: {text}");
    }

    #[test]
    fn names_that_mean_nothing_are_refused() {
        let wrong = [
            ("members: [dmurphy@acme.com]", "members: [nobody@acme.com]", "nobody@acme.com"),
            ("groups: [deployers]", "groups: [deplyers]", "deplyers"),
            ("policies: [deny-data,", "policies: [deny-dada,", "deny-dada"),
            ("groups: [app.gitlab.developer], members", "groups: [app.gitlab], members", "app.gitlab"),
            ("\"222222222222\":", "\"2222\":", "twelve digits"),
            ("path: /service/", "paths: /service/", "paths"),
            ("token_owner: svc", "token_owner: xvc", "xvc_rolecall"),
            ("folder: eng/dev", "folder: eng/div", "eng/div"),
            ("- { path: eng/dev, state", "- { path: ing/dev, state", "`ing`"),
            ("billing: 01ABCD-234567-89ABCD", "billing: 01ABCD", "01ABCD"),
            ("liens: [{ reason", "leins: [{ reason", "leins"),
            ("audit_configs: [{ service", "audit: [{ service", "audit"),
            ("page_size: 20", "page_size: 0", "page_size"),
            ("- { login: svc_rolecall@acme.com }", "- { login: dmurphy@acme.com }", "stands here twice"),
        ];
        for (right, broken, named) in wrong {
            assert!(EXAMPLE.contains(right), "{right}");
            let error = World::parse(&EXAMPLE.replacen(right, broken, 1)).unwrap_err();
            assert!(error.message.contains(named), "{broken}: {}", error.message);
        }
    }
}
