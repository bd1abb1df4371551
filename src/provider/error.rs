//! What can go wrong with a provider: a closed set of kinds, so that retry follows the kind and never the text.
//!
//! Invariant: an error never carries a secret or a whole response body.

use std::fmt;

/// The kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The credentials are missing, wrong or expired.
    Auth,
    /// The credentials may not do this.
    Denied,
    /// What was named does not exist.
    NotFound,
    /// It exists already, changed meanwhile, or is in use.
    Conflict,
    /// Too many calls, beyond the deadline for waiting.
    Throttled,
    /// The provider cannot do this.
    Unsupported,
    /// The answer makes no sense.
    Malformed,
    /// No answer: connection, time-out, 5xx.
    Unreachable,
    /// Everything else.
    Other,
}

/// What is known of a write that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It was refused or never sent: nothing has changed.
    None,
    /// It may or may not have taken effect: read before trying again.
    Unknown,
}

/// An error of a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// Its kind.
    pub kind: ErrorKind,
    /// What went wrong, for people.
    pub message: String,
    /// The vendor's code: `E0000047`, `EntityAlreadyExists`.
    pub code: Option<String>,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
    /// What is known of its effect, of a write.
    pub effect: Effect,
}

impl Error {
    /// An error that changed nothing.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, request_id: None, effect: Effect::None }
    }

    /// With the vendor's code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// With an unknown effect.
    #[must_use]
    pub fn maybe_done(mut self) -> Self {
        self.effect = Effect::Unknown;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " [request {id}]")?;
        }
        Ok(())
    }
}
