//! What manifests ask for, given people and `now`: entries to members, roles to groups and grants, each with its origin.
//!
//! Invariant: pure, and independent of the order of files, documents and people. What is not wanted at `now` although
//! YAML mentions it is told as a lapse. It must not look at live: whether a thing exists is the planner's.

mod duties;
mod entries;
mod judges;
mod lock;
mod mend;
mod own_groups;
mod people;
mod principals;
pub mod reorganized;
mod roles;
mod runs;
mod wanted;
pub mod why;

#[cfg(test)]
mod tests;

pub use judges::{accounts, judging_people, owners};
pub use lock::{lock, unknown_to_lock};
pub use mend::{Mend, mends};
pub use people::{normalized, people};

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::manifest::Tree;
use crate::model::{
    Account, Code, Desired, DirectoryRecord, Finding, Inventory, Level, Name, Registry, Span,
};
use wanted::{Known, asked, made};

/// Two people would have one handle.
pub const HANDLE_CLASH: Code =
    Code { code: "RC301", title: "two records of the directory give the same handle" };
/// A person has no type.
pub const NO_TYPE: Code = Code { code: "RC302", title: "a person matches none of `types`" };
/// A person cannot be named in a provider.
pub const NO_IDENTITY: Code = Code { code: "RC303", title: "a person has no identity in a provider" };
/// Two people would be one principal.
pub const IDENTITY_CLASH: Code =
    Code { code: "RC304", title: "two people have the same identity in a provider" };
/// Two values of an attribute cannot be told apart.
pub const VALUE_CLASH: Code = Code { code: "RC305", title: "two values are the same in lower_snake_case" };
/// A role keeps its members because an entry cites what is gone.
pub const FROZEN: Code =
    Code { code: "RC306", title: "an entry cites what no longer exists; its role is frozen" };
/// A manager is not in the directory.
pub const NO_MANAGER: Code = Code { code: "RC307", title: "a manager is not in the directory" };
/// A person of the directory has a `User` manifest too.
pub const DIRECTORY_MASTERS: Code = Code { code: "RC308", title: "the directory masters what a `User` says" };
/// The directory was not read whole.
pub const INCOMPLETE_DIRECTORY: Code = Code { code: "RC309", title: "the directory was not read whole" };
/// Somebody without exactly one job.
pub const NO_JOB: Code = Code { code: "RC316", title: "a person without exactly one job" };
/// A suspension of nobody.
pub const NOBODY_SUSPENDED: Code = Code { code: "RC317", title: "a suspension of nobody" };
/// An attribute value that nobody has.
pub const NO_SUCH_VALUE: Code = Code { code: "RC203", title: "an entry cites a value that nobody has" };
/// A handle that nobody has.
pub const NO_SUCH_PERSON: Code = Code { code: "RC204", title: "a handle that nobody has" };
/// Something is declared twice.
pub const DECLARED_TWICE: Code = Code { code: "RC205", title: "a resource is declared twice" };
/// A manifest that is named does not exist.
pub const NO_SUCH_MANIFEST: Code = Code { code: "RC206", title: "a manifest that is named does not exist" };
/// A provider that is named does not exist.
pub const NO_SUCH_PROVIDER: Code =
    Code { code: "RC207", title: "a provider that is named is not in `providers:`" };

/// When desired is worked out for, and when sessions began.
#[derive(Debug, Clone, Copy)]
pub struct When<'a> {
    /// The instant.
    pub now: Timestamp,
    /// When each session of a role that is given on request began, as memory knows.
    pub begun: Option<&'a BTreeMap<Name, Timestamp>>,
}

impl From<Timestamp> for When<'_> {
    fn from(now: Timestamp) -> Self {
        Self { now, begun: None }
    }
}

/// What head and base ask for at one `now`, of the same records of the directory, each through its own settings and
/// `User` manifests.
#[derive(Debug)]
pub struct Sides {
    /// People, as head sees them.
    pub inventory: Inventory,
    /// What there is to say about them.
    pub about_people: Vec<Finding>,
    /// What head asks for.
    pub head: Desired,
    /// What base asks for.
    pub base: Option<Desired>,
}

/// What a tree asks for at `now`. `base` (the tree of the last verified apply) tells which dead citations are old; give
/// `None` for base itself.
#[must_use]
pub fn resolve<'w>(
    tree: &Tree,
    base: Option<&Tree>,
    inventory: &Inventory,
    registry: &Registry,
    when: impl Into<When<'w>>,
) -> Desired {
    let known = Known::of(tree, inventory, registry);
    let asked = asked(tree, base, &known, None, registry, when.into());
    made(&known, [asked]).pop().unwrap_or_default()
}

/// What both sides ask for. What they ask for alike is worked out once, and shared.
#[must_use]
pub fn sides<'w>(
    head: &Tree,
    base: Option<&Tree>,
    records: &[DirectoryRecord],
    accounts: Vec<Account>,
    incomplete: Vec<String>,
    registry: &Registry,
    when: impl Into<When<'w>>,
) -> Sides {
    let when = when.into();
    let now = when.now;
    let same_people = base.filter(|base| sees_alike(head, base));
    let other_people = base
        .filter(|_| same_people.is_none())
        .map(|base| people(base, records, accounts.clone(), incomplete.clone(), now).0);
    let (inventory, mut about_people) = people(head, records, accounts, incomplete, now);
    // What a merge request brings is a mistake; what was right once must not stop the plans of all others.
    let is_new = |span: &Span| {
        let named = head.suspensions.iter().find(|suspension| suspension.name.span == *span);
        let old =
            |name: &str| base.is_some_and(|base| base.suspensions.iter().any(|old| old.name.value == name));
        named.is_some_and(|suspension| !old(&suspension.name.value))
    };
    for finding in about_people.iter_mut().filter(|finding| finding.code.as_ref() == NOBODY_SUSPENDED.code) {
        if inventory.incomplete.is_empty() && finding.span.as_ref().is_some_and(is_new) {
            finding.level = Level::Error;
        }
    }
    let known = Known::of(head, &inventory, registry);
    let mut head = asked(head, base, &known, None, registry, when);
    let other = base.filter(|_| other_people.is_none());
    let other = other.map(|base| asked(base, None, &known, Some(&head), registry, when));
    head.judge_jobs(other.as_ref());
    let mut sides = made(&known, std::iter::once(head).chain(other)).into_iter();
    let head = sides.next().unwrap_or_default();
    let base = match (base, other_people) {
        (Some(base), Some(people)) => Some(resolve(base, None, &people, registry, when)),
        _ => sides.next(),
    };
    drop(known);
    Sides { inventory, about_people, head, base }
}

/// Whether two trees see the same people by the same names. Then what they ask for alike is the same.
fn sees_alike(one: &Tree, two: &Tree) -> bool {
    let of = |tree: &Tree| {
        let settings = &tree.settings;
        let providers = settings.providers.iter();
        let providers: Vec<_> = providers
            .map(|(name, provider)| (name.clone(), provider.provider.clone(), provider.scope.clone()))
            .collect();
        let people = (settings.directory.clone(), settings.types.clone(), settings.identities.clone());
        (people, providers, settings.timezone.clone())
    };
    (&one.users, &one.suspensions) == (&two.users, &two.suspensions) && of(one) == of(two)
}

/// All codes of this module.
pub const CODES: &[Code] = &[
    HANDLE_CLASH,
    NO_TYPE,
    NO_IDENTITY,
    IDENTITY_CLASH,
    VALUE_CLASH,
    FROZEN,
    NO_MANAGER,
    DIRECTORY_MASTERS,
    INCOMPLETE_DIRECTORY,
    NO_JOB,
    NOBODY_SUSPENDED,
    NO_SUCH_VALUE,
    NO_SUCH_PERSON,
    DECLARED_TWICE,
    NO_SUCH_MANIFEST,
    NO_SUCH_PROVIDER,
    reorganized::BAD_FILE,
    reorganized::BAD_COLUMN,
    reorganized::BAD_ROW,
];
