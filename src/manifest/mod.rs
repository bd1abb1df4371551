//! YAML to documents: parsing, limits, decoding, checks of form.
//!
//! Invariant: pure; all mistakes are reported with file, line and column; bad input never panics.
//! It must not resolve anything: who matches and what exists is `resolve`'s and the planner's.

mod altered;
mod amended;
pub mod codeowners;
pub mod documents;
mod duties;
pub mod edit;
pub mod forge;
mod header;
mod lines;
mod load;
mod lock;
mod naming;
mod native;
mod ownership;
mod people;
mod references;
mod roles;
mod schema;
mod settings;
mod settings_body;
pub(crate) mod shape;
#[cfg(test)]
mod tests;
pub mod text;
pub mod time;
pub mod yaml;

pub use altered::{Edit, altered};
pub use amended::amended;
pub use documents::{
    AccessEntry, Approver, Condition, GrantFile, GrantNeed, NativeDocument, OnRequest, Role, RoleEntry,
    Separation, Suspension, Tree, User,
};
pub use header::OWN_KINDS;
pub use lines::{NoPart, Part, part};
pub use load::{SETTINGS_FILE, folders, load};
pub use lock::BAD_LOCK;
pub use schema::json_schema;

use crate::model::{Code, decode, lowering};

/// `rolecall.yaml` is not there, or is not one mapping.
pub const NO_SETTINGS: Code =
    Code { code: "RC114", title: "`rolecall.yaml` is missing or is not one mapping" };
/// A document that is no mapping.
pub const NOT_A_DOCUMENT: Code = Code { code: "RC115", title: "a document is not a mapping" };
/// A `kind:` that nothing knows.
pub const UNKNOWN_KIND: Code = Code { code: "RC116", title: "a kind that does not exist" };
/// A name that breaks the rule for names.
pub const BAD_NAME: Code = Code { code: "RC118", title: "a name that cannot be used" };
/// A path that leaves the repo, or a file that would not be read.
pub const BAD_PATH: Code = Code { code: "RC119", title: "a path or file name that cannot be used" };
/// Two documents with one name.
pub const DUPLICATE: Code = Code { code: "RC210", title: "two documents have the same kind and name" };
/// A role that no document declares.
pub const UNKNOWN_ROLE: Code = Code { code: "RC211", title: "a role that does not exist" };
/// Roles that consist of each other.
pub const ROLE_CYCLE: Code = Code { code: "RC212", title: "roles that consist of each other" };
/// A handle that no `User` has, where manifests are the directory.
pub const UNKNOWN_PERSON: Code = Code { code: "RC213", title: "a person who does not exist" };
/// An instance that `providers:` does not have.
pub const UNKNOWN_INSTANCE: Code =
    Code { code: "RC214", title: "a provider that `rolecall.yaml` does not have" };
/// A type that `types:` does not have.
pub const UNKNOWN_TYPE: Code = Code { code: "RC215", title: "a type of people that does not exist" };
/// An attribute that the directory does not give.
pub const UNKNOWN_ATTRIBUTE: Code =
    Code { code: "RC216", title: "an attribute that the directory does not give" };
/// A sort of provider that this build does not know.
pub const UNKNOWN_PROVIDER: Code = Code { code: "RC217", title: "a sort of provider that does not exist" };
/// A person without what his type needs.
pub const MISSING_NEED: Code = Code { code: "RC310", title: "a person lacks what his type needs" };
/// An entry that says nothing.
pub const EMPTY_ENTRY: Code = Code { code: "RC311", title: "an entry or list without anything in it" };
/// A unit with something else than roles.
pub const NOT_A_UNIT: Code = Code { code: "RC312", title: "a unit has something else than roles" };
/// Something that ends before it begins.
pub const ENDS_FIRST: Code = Code { code: "RC313", title: "something ends before it begins" };
/// A role that is given on request alone, given otherwise or without what it needs.
pub const ON_REQUEST: Code =
    Code { code: "RC314", title: "a role that is given on request, given otherwise" };
/// A session that is longer than its role allows.
pub const TOO_LONG: Code = Code { code: "RC315", title: "a grant that lasts longer than its role allows" };

/// Every code that loading can give.
pub const CODES: &[Code] = &[
    BAD_LOCK,
    text::NOT_UTF8,
    text::BAD_CHARACTER,
    yaml::SYNTAX,
    text::TOO_LARGE,
    yaml::TOO_DEEP,
    yaml::BAD_ALIAS,
    yaml::DUPLICATE_KEY,
    yaml::AMBIGUOUS,
    yaml::UNSUPPORTED,
    decode::UNKNOWN_KEY,
    decode::WRONG_VALUE,
    decode::MISSING_KEY,
    lowering::BAD_FILE,
    NO_SETTINGS,
    NOT_A_DOCUMENT,
    UNKNOWN_KIND,
    time::BAD_TIME,
    BAD_NAME,
    BAD_PATH,
    codeowners::NO_NAME,
    edit::NOT_EDITABLE,
    DUPLICATE,
    UNKNOWN_ROLE,
    ROLE_CYCLE,
    UNKNOWN_PERSON,
    UNKNOWN_INSTANCE,
    UNKNOWN_TYPE,
    UNKNOWN_ATTRIBUTE,
    UNKNOWN_PROVIDER,
    MISSING_NEED,
    EMPTY_ENTRY,
    NOT_A_UNIT,
    ENDS_FIRST,
    ON_REQUEST,
    TOO_LONG,
];
