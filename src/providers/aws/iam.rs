//! What a kind of IAM must be able to do, so that everything else treats all kinds alike.
//!
//! Invariant: a kind says what one call does; order, permits, repetition and what hangs on a thing are the writer's.

use async_trait::async_trait;
use aws_sdk_iam::operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput;
use aws_sdk_iam::types::{EntityType, Tag};

use crate::model::{Attributes, Kind, Value};
use crate::provider::{Error, ErrorKind};

use super::MARK;
use super::connection::Connection;
use super::document;
use super::sweep::Seen;

/// One page of the account.
pub(super) type Page = GetAccountAuthorizationDetailsOutput;

/// The vendor's id of a request that was carried out.
pub(super) type Sent = Result<Option<String>, Error>;

/// A kind of thing in IAM.
#[async_trait]
pub(super) trait IamKind: std::fmt::Debug + Send + Sync {
    /// Its schema and manifest.
    fn kind(&self) -> Kind;

    /// What to ask the sweep for, where the sweep has it.
    fn entity(&self) -> Option<EntityType> {
        None
    }

    /// Takes its things out of one page of the sweep.
    fn sweep(&self, _page: &Page, _seen: &mut Seen<'_>) {}

    /// Reads, page by page, what the sweep does not show.
    async fn list(&self, _aws: &Connection, _seen: &mut Seen<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Reads one thing with its edges and what hangs on it. `NotFound` where it does not exist.
    async fn read(&self, aws: &Connection, name: &str, seen: &mut Seen<'_>) -> Result<(), Error>;

    /// Reads the edges of one relation from one of these principals. `NotFound` where it does not exist; `Unsupported`
    /// where there are none of that relation.
    async fn edges(
        &self,
        _: &Connection,
        _name: &str,
        relation: &str,
        _: &mut Seen<'_>,
    ) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Unsupported, format!("this kind is no principal of `{relation}`")))
    }

    /// Makes a thing, with all that the one call can give it.
    async fn create(&self, aws: &Connection, name: &str, new: &New<'_>) -> Sent;

    /// Changes one aspect of it by one call.
    async fn set(&self, aws: &Connection, name: &str, part: Part<'_>) -> Sent;

    /// Removes it, when nothing hangs on it any more.
    async fn delete(&self, aws: &Connection, name: &str) -> Sent;

    /// The order of its own fields in an update; those of one call together.
    fn field_groups(&self) -> &'static [&'static [&'static str]] {
        &[]
    }
}

/// A thing to be made.
#[derive(Debug)]
pub(super) struct New<'a> {
    /// Its attributes.
    pub(super) attributes: &'a Attributes,
    /// The ARN of its boundary.
    pub(super) boundary: Option<String>,
}

impl New<'_> {
    /// A text attribute; an empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(Value::as_text).filter(|text| !text.is_empty())
    }

    /// A document attribute, as IAM is given it.
    pub(super) fn document(&self, name: &str) -> Result<String, Error> {
        self.attributes
            .get(name)
            .map(document::text)
            .ok_or_else(|| Error::new(ErrorKind::Other, format!("a creation needs `{name}`")))
    }

    /// Its tags, and the mark.
    pub(super) fn tags(&self) -> Vec<Tag> {
        let tags = self.attributes.get("tags").and_then(Value::as_map).into_iter().flatten();
        let given = tags.filter_map(|(key, value)| Some(tag(key, value.as_text()?)));
        given.chain([tag(MARK.0, MARK.1)]).collect()
    }
}

/// One aspect of a thing, changed by one call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// Attach a managed policy, by its ARN.
    Attach(&'a str),
    /// Detach it.
    Detach(&'a str),
    /// Make someone, by his kind and name, a member.
    Join(&'a str),
    /// Take him out.
    Leave(&'a str),
    /// Put an inline policy of that name and text.
    PutInline(&'a str, &'a str),
    /// Delete one.
    DeleteInline(&'a str),
    /// Set the boundary to that ARN.
    PutBoundary(&'a str),
    /// Take it away.
    DeleteBoundary,
    /// Set tags.
    Tag(&'a [Tag]),
    /// Take tags away, by key.
    Untag(&'a [String]),
    /// Set the kind's own fields of that group (by its first name); all attributes as they are to be.
    Fields(&'a str, &'a Attributes),
    /// Remove what hangs on it, in the words that its `dependents` have.
    Drop(&'a str),
}

impl Part<'_> {
    /// What a kind says to a part that it does not have.
    pub(super) fn unsupported(&self) -> Error {
        Error::new(ErrorKind::Unsupported, format!("this kind has no such part: {self:?}"))
    }
}

/// A tag.
pub(super) fn tag(key: &str, value: &str) -> Tag {
    // Both required fields are set, which is all that building can miss.
    Tag::builder().key(key).value(value).build().unwrap_or_else(|_| unreachable!("key and value are set"))
}

/// What is said of a list that would never end.
pub(super) fn goes_in_circles() -> Error {
    Error::new(ErrorKind::Malformed, "IAM gives the same page twice")
}

/// Reads a list page by page, and does something with each; what it gives for the last.
macro_rules! each_page {
    ($aws:expr, $request:expr, $page:ident => $with:expr) => {{
        let request = $request;
        let mut marker: Option<String> = None;
        loop {
            let $page = $aws.read(|| request.clone().set_marker(marker.clone()).send()).await?;
            let next = $page.marker.clone().filter(|marker| !marker.is_empty());
            let last = $with;
            if next.is_none() {
                break last;
            }
            // A list that begins anew would never end.
            if next == marker {
                return Err(crate::providers::aws::iam::goes_in_circles());
            }
            marker = next;
        }
    }};
}
pub(super) use each_page;

/// Reads a list through all of its pages.
macro_rules! pages {
    ($aws:expr, $request:expr, $field:ident) => {{
        let mut all = Vec::new();
        crate::providers::aws::iam::each_page!($aws, $request, page => all.extend(page.$field));
        all
    }};
}
pub(super) use pages;

/// Writes; the vendor's id of the finished request.
macro_rules! sent {
    ($aws:expr, $request:expr) => {{
        use aws_sdk_iam::operation::RequestId as _;
        let request = $request;
        let output = $aws.write(|| request.clone().send()).await;
        output.map(|output| output.request_id().map(str::to_owned))
    }};
}
pub(super) use sent;
