//! Lists in pages.
//!
//! Invariant: what a token leads to comes after what was shown, by keys that do not change. It must not show a list
//! that is empty: Google leaves it out.

use serde_json::{Value as Json, json};

use super::super::faults::Fault;
use super::super::order::Reply;
use super::{Answer, Context, Problem};

impl Context<'_> {
    /// A page of `items`, which come with their keys in order, as the list `field`.
    pub(super) fn page<K: AsRef<str>, T>(
        &self,
        field: &str,
        (default, most): (usize, usize),
        items: impl Iterator<Item = (K, T)>,
        show: impl Fn(T) -> Json,
    ) -> Answer {
        let (page, next) = self.part((default, most), items, show)?;
        let mut answer = json!({});
        if !page.is_empty() {
            answer[field] = page.into();
        }
        if let Some(next) = next {
            answer["nextPageToken"] = next.into();
        }
        Ok(Reply::json(200, &answer))
    }

    /// What is on a page, and the token of the next.
    pub(super) fn part<K: AsRef<str>, T>(
        &self,
        (default, most): (usize, usize),
        items: impl Iterator<Item = (K, T)>,
        show: impl Fn(T) -> Json,
    ) -> Result<(Vec<Json>, Option<String>), Problem> {
        let size = ["pageSize", "maxResults"].into_iter().find_map(|name| self.order.query(name));
        let size = match size.as_deref().map(str::parse::<i32>) {
            None | Some(Ok(0)) => default,
            Some(Ok(size)) if size > 0 => usize::try_from(size).unwrap_or(most).min(most),
            _ => return Err(Problem::invalid("Request contains an invalid page size.")),
        };
        let own = self.order.query("pageToken").filter(|token| !token.is_empty());
        let after = match &own {
            Some(token) => Some(open(token).ok_or_else(|| Problem::invalid("The page token is invalid."))?),
            None => None,
        };
        let mut items =
            items.filter(|(key, _)| after.as_deref().is_none_or(|after| key.as_ref() > after)).peekable();
        let size = match self.moment.fault {
            Some(Fault::ShortPage) => size.min(self.world.page_size).div_ceil(2),
            Some(Fault::HollowPage | Fault::EmptyList) => 0,
            _ => size.min(self.world.page_size),
        };
        let mut page = Vec::new();
        let mut last = String::new();
        while page.len() < size
            && let Some((key, item)) = items.next()
        {
            key.as_ref().clone_into(&mut last);
            page.push(show(item));
        }
        let next = match (self.moment.fault, own) {
            (Some(Fault::EmptyList), _) => None,
            (Some(Fault::RepeatedCursor), Some(own)) => Some(own),
            _ if items.peek().is_none() => None,
            // Another token to the same place.
            (Some(Fault::HollowPage), own) => Some(own.unwrap_or_default() + "."),
            _ => Some(close(&last)),
        };
        Ok((page, next))
    }
}

/// A token that says nothing to clients.
fn close(key: &str) -> String {
    key.bytes().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect()
}

fn open(token: &str) -> Option<String> {
    let digits = token.trim_end_matches('.').as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        Some(u8::from_str_radix(pair, 16).ok()? ^ 0x5a)
    });
    String::from_utf8(digits.collect::<Option<Vec<u8>>>()?).ok()
}
