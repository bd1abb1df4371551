//! Addresses: the one name a thing has everywhere: in YAML references, plans, digests, messages and waivers.
//!
//! `INSTANCE[/SCOPE]:KIND/NAME` for what lives in a provider, `person:NAME`, `role:NAME` and `managed:NAME` for what
//! does not. Invariant: the text inside is canonical, so equal addresses are equal texts and order is text order.
//! It must not hold a vendor's id: ids stand beside addresses.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A short, shared, immutable text: the name of a kind, a field, a relation, an instance.
pub type Name = Arc<str>;

/// Instances that can never be the name of a provider, because they name things of our own or of a vendor.
pub const RESERVED_INSTANCES: [&str; 7] = ["person", "role", "managed", "ou", "tag", "gitlab", "member"];

/// What would make an address ambiguous or unprintable. `/`, `:` and `@` stay readable in names: the name comes last.
const ENCODED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'%').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'`').add(b'|');
/// In an instance, scope or kind the separators are encoded too.
const ENCODED_PART: &AsciiSet = &ENCODED.add(b'/').add(b':');

/// The address of one thing, in canonical text. Cheap to clone.
#[derive(Clone)]
pub struct Address(Arc<str>);

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address: {why}")]
pub struct AddressError {
    /// The text that was refused.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Address {
    /// The address of a thing in a provider; the parts are given plain and encoded here.
    #[must_use]
    pub fn new(instance: &str, scope: Option<&str>, kind: &str, name: &str) -> Self {
        let mut text =
            String::with_capacity(instance.len() + scope.map_or(0, str::len) + kind.len() + name.len() + 3);
        text.extend(utf8_percent_encode(instance, ENCODED_PART));
        if let Some(scope) = scope {
            text.push('/');
            text.extend(utf8_percent_encode(scope, ENCODED_PART));
        }
        text.push(':');
        text.extend(utf8_percent_encode(kind, ENCODED_PART));
        text.push('/');
        text.extend(utf8_percent_encode(name, ENCODED));
        Self(text.into())
    }

    /// The address of something that belongs to no provider: `person:dmurphy`, `role:sec_sirt`, `managed:ReadOnlyAccess`.
    #[must_use]
    pub fn reserved(instance: &str, name: &str) -> Self {
        debug_assert!(RESERVED_INSTANCES.contains(&instance));
        let mut text = String::with_capacity(instance.len() + name.len() + 1);
        text.push_str(instance);
        text.push(':');
        text.extend(utf8_percent_encode(name, ENCODED));
        Self(text.into())
    }

    /// `person:HANDLE`.
    #[must_use]
    pub fn person(handle: &str) -> Self {
        Self::reserved("person", handle)
    }

    /// `role:NAME`.
    #[must_use]
    pub fn role(name: &str) -> Self {
        Self::reserved("role", name)
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `INSTANCE[/SCOPE]`: the part before the first colon.
    #[must_use]
    pub fn place(&self) -> &str {
        self.split().0
    }

    /// The provider instance (encoded as in the text), or one of [`RESERVED_INSTANCES`].
    #[must_use]
    pub fn instance(&self) -> &str {
        let place = self.place();
        place.split_once('/').map_or(place, |(instance, _)| instance)
    }

    /// The account, project or the like, where the provider has such.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.place().split_once('/').map(|(_, scope)| scope)
    }

    /// The kind in snake_case; empty for `person:x` and its like.
    #[must_use]
    pub fn kind(&self) -> &str {
        if self.is_reserved() { "" } else { self.split().1.split_once('/').map_or("", |(kind, _)| kind) }
    }

    /// The name as the provider writes it.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        let rest = self.split().1;
        let name =
            if self.is_reserved() { rest } else { rest.split_once('/').map_or(rest, |(_, name)| name) };
        percent_decode_str(name).decode_utf8_lossy()
    }

    /// The whole text as people write it: nothing encoded.
    #[must_use]
    pub fn plain(&self) -> Cow<'_, str> {
        percent_decode_str(&self.0).decode_utf8_lossy()
    }

    /// Whether this names a person, a role or a vendor's own thing instead of one in a provider.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        RESERVED_INSTANCES.contains(&self.place())
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once(':').unwrap_or((&self.0, ""))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |why| AddressError { text: text.to_owned(), why };
        let (place, rest) =
            text.split_once(':').ok_or_else(|| refuse("it has no `:` after the provider's name"))?;
        if place.is_empty() || rest.is_empty() {
            return Err(refuse("a part of it is empty"));
        }
        let decode =
            |part| percent_decode_str(part).decode_utf8().map_err(|_| refuse("its encoding is not UTF-8"));
        if RESERVED_INSTANCES.contains(&place) {
            return Ok(Self::reserved(place, &decode(rest)?));
        }
        let (kind, name) =
            rest.split_once('/').ok_or_else(|| refuse("it has no `/` between kind and name"))?;
        let (instance, scope) = place.split_once('/').map_or((place, None), |(i, s)| (i, Some(s)));
        if instance.is_empty() || scope == Some("") || kind.is_empty() || name.is_empty() {
            return Err(refuse("a part of it is empty"));
        }
        let scope = scope.map(decode).transpose()?;
        Ok(Self::new(&decode(instance)?, scope.as_deref(), &decode(kind)?, &decode(name)?))
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_what_it_was_made_of() {
        let address = Address::new("aws", Some("222222222222"), "role", "audit reader/1");
        assert_eq!(address.as_str(), "aws/222222222222:role/audit%20reader/1");
        assert_eq!(address.name(), "audit reader/1");
        assert_eq!(
            (address.instance(), address.scope(), address.kind()),
            ("aws", Some("222222222222"), "role")
        );
        assert_eq!(address.as_str().parse::<Address>().unwrap(), address);
    }

    #[test]
    fn people_have_no_kind() {
        let person: Address = "person:dmurphy".parse().unwrap();
        assert_eq!((person.instance(), person.kind(), person.name().as_ref()), ("person", "", "dmurphy"));
        assert!(person.is_reserved());
    }

    #[test]
    fn broken_texts_say_what_is_wrong() {
        for text in ["", "okta", ":x/y", "okta:", "okta:group", "okta/:group/x", "okta:/x", "okta:group/"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
