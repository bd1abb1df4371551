//! Cut-offs: what a provider can end at once on a person's own account, beyond the edges that he has.
//!
//! Invariant: a closed list of words; each of them only takes away, and none is an attribute that anybody declares.
//! It must not say how a vendor does it.

use jiff::Timestamp;

use super::address::Name;
use super::value::Value;

/// The field of sessions and tokens.
const SESSIONS: &str = "sessions";
/// What the field of an access key begins with; its id follows.
const ACCESS_KEY: &str = "access key ";
/// The field of a password for a vendor's console.
const PASSWORD: &str = "console password";

/// Something of an account that can be ended at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutOff {
    /// The field that a change of it has.
    pub field: Name,
    /// What becomes of it, in a word.
    pub after: Name,
    /// Whether it changes the account itself, which `own:` must allow. Who is merely signed out can sign in again.
    pub changes_account: bool,
    /// When it was last begun anew, where the vendor tells: what was ended later than that need not be ended again.
    pub last_begun: Option<Timestamp>,
    /// What goes on for a while all the same, in words.
    pub remains: Option<&'static str>,
}

/// What a cut-off is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut<'a> {
    /// All sessions and tokens.
    Sessions,
    /// The access key of this id.
    AccessKey(&'a str),
    /// The password for the vendor's console.
    Password,
}

impl CutOff {
    /// Ends all sessions and tokens. `last_begun` is when he last signed in.
    #[must_use]
    pub fn sessions(last_begun: Option<Timestamp>) -> Self {
        Self {
            field: SESSIONS.into(),
            after: "ended".into(),
            changes_account: false,
            last_begun,
            remains: None,
        }
    }

    /// Makes an access key inactive.
    #[must_use]
    pub fn access_key(id: &str) -> Self {
        let field = format!("{ACCESS_KEY}{id}").into();
        Self { field, after: "inactive".into(), changes_account: true, last_begun: None, remains: None }
    }

    /// Deletes a password. Nobody can bring it back; another one can be made.
    #[must_use]
    pub fn password() -> Self {
        Self {
            field: PASSWORD.into(),
            after: "deleted".into(),
            changes_account: true,
            last_begun: None,
            remains: None,
        }
    }

    /// With what goes on for a while all the same.
    #[must_use]
    pub fn remains(self, what: &'static str) -> Self {
        Self { remains: Some(what), ..self }
    }

    /// In words: `access key AKIA… becomes inactive`.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} becomes {}", self.field, self.after)
    }
}

/// What a field of a change and its value after cut off; `None`: they are no cut-off.
#[must_use]
pub fn cut<'a>(field: &'a str, after: Option<&Value>) -> Option<Cut<'a>> {
    match (field, after?.as_text()?) {
        (SESSIONS, "ended") => Some(Cut::Sessions),
        (PASSWORD, "deleted") => Some(Cut::Password),
        (field, "inactive") => field.strip_prefix(ACCESS_KEY).filter(|id| !id.is_empty()).map(Cut::AccessKey),
        _ => None,
    }
}
