//! The nouns that everything agrees on: addresses, values, kinds, resources, grants, inventory, snapshots, plans,
//! findings, permits.
//!
//! Invariant: imports nothing of the other modules and does no I/O.

pub mod address;
pub mod amended;
pub mod approval;
pub mod cut_off;
pub mod decode;
pub mod demand;
pub mod explanation;
pub mod finding;
pub mod grant;
pub mod grants;
pub mod guard;
pub mod history;
pub mod inventory;
pub mod kind;
pub mod lock;
pub mod lowering;
pub mod ordered;
pub mod ownership;
pub mod pattern;
pub mod permit;
pub mod plan;
pub mod report;
pub mod resource;
pub mod saved;
pub mod settings;
pub mod snapshot;
pub mod span;
pub mod value;

pub use address::{Address, AddressError, Name};
pub use amended::Amended;
pub use approval::{
    Accounts, Approving, BotNote, Commit, Covered, Deployment, ForgeRules, MergeRequest, OwnedRole, Owners,
    Quorum, Reviewed, Shown, Statement,
};
pub use cut_off::{Cut, CutOff, cut};
pub use decode::decode;
pub use demand::{DEMAND_FORMAT, Demand, DemandState, DemandedField, DemandedGrant};
pub use explanation::{Answer, EXPLANATION_FORMAT, Explanation};
pub use finding::{Code, Finding, Level, Sources, Waiver, has_errors, nearest};
pub use grant::{Collection, GrantKey, named_by};
pub use grants::Grants;
pub use guard::Guard;
pub use inventory::{Account, DirectoryRecord, Inventory, Person, Status};
pub use kind::{
    Attribute, Declared, Flags, Kind, Native, Places, ProviderScope, ProviderType, Registry, Relation,
    Schema, Schemas,
};
pub use lock::{LOCK_FILE, Lock, LockChanges};
pub use lowering::{AccessLowering, Lowered, Lowering, Target, Through};
pub use ordered::{Keyed, Ordered};
pub use ownership::{May, OwnRule, Ownership};
pub use pattern::{Pattern, any_matches};
pub use permit::{Approval, Permit, Verdict};
pub use plan::{
    Basis, Cause, Change, Draft, Drift, Held, Op, Plan, ProviderBasis, Risk, Ruling, Selection, Summary,
    Tally, Waived, Why,
};
pub use report::Report;
pub use resource::{
    Apart, ApartSide, DeadCitation, Desired, Lapse, LapseCause, Origin, Sensitivity, Session, Terms, Wanted,
    WantedGrant,
};
pub use settings::{Directory, Settings};
pub use snapshot::{Coverage, LiveGrant, Resource, Scope, Snapshot};
pub use span::{Entry, Many, Node, NodeValue, Span, Spanned};
pub use value::{Attributes, Digest, Value};
