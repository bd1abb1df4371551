//! The text of a `Grant` document.
//!
//! Invariant: it reads as what it was made of. It must not know who may have what.

use super::scalar;

/// What a grant says, times as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewGrant {
    /// Its name.
    pub name: String,
    /// Handles.
    pub to: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// From when.
    pub from: Option<String>,
    /// Until when.
    pub until: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The ticket.
    pub ticket: Option<String>,
}

impl NewGrant {
    /// The document, in the order in which people write it.
    #[must_use]
    pub fn document(&self) -> String {
        let list = |texts: &[String]| {
            format!("[{}]", texts.iter().map(|text| scalar(text)).collect::<Vec<_>>().join(", "))
        };
        let to = match self.to.as_slice() {
            [one] => scalar(one),
            several => list(several),
        };
        let mut text = format!("kind: Grant\nname: {}\nto: {to}\n", scalar(&self.name));
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                text.push_str(&format!("{key}: {value}\n"));
            }
        };
        line("from", self.from.as_deref().map(scalar));
        line("roles", Some(list(&self.roles)));
        line("until", self.until.as_deref().map(scalar));
        line("reason", self.reason.as_deref().map(scalar));
        line("ticket", self.ticket.as_deref().map(scalar));
        text
    }
}
