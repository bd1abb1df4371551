//! Paging: reads a list to its end, one page after another.
//!
//! Invariant: no page is dropped and none read twice: a cursor that comes again ends the list with an error, and what
//! was read up to an error is handed over together with it. It must not decide what an incomplete list means.

use std::collections::BTreeSet;
use std::future::Future;

use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::send::Api;
use super::{Error, ErrorKind};

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one is.
    pub next: Option<String>,
}

/// A list, as far as it could be read.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// What was read.
    pub items: Vec<T>,
    /// Why this is not all; `None`: it is.
    pub cut_short: Option<Error>,
}

impl<T> Listing<T> {
    /// The items, where all were read.
    pub fn whole(self) -> Result<Vec<T>, Error> {
        match self.cut_short {
            None => Ok(self.items),
            Some(error) => Err(error),
        }
    }
}

/// Reads pages from `first` on until one has no next.
pub async fn read_all<T, F, P>(first: String, mut fetch: F) -> Listing<T>
where
    F: FnMut(String) -> P,
    P: Future<Output = Result<Page<T>, Error>>,
{
    let mut items = Vec::new();
    let mut seen = BTreeSet::from([first.clone()]);
    let mut next = Some(first);
    while let Some(cursor) = next {
        match fetch(cursor).await {
            Ok(page) => {
                items.extend(page.items);
                next = page.next;
            }
            Err(error) => return Listing { items, cut_short: Some(error) },
        }
        if let Some(cursor) = &next
            && !seen.insert(cursor.clone())
        {
            let message = format!("the list goes in circles after {} items", items.len());
            return Listing { items, cut_short: Some(Error::new(ErrorKind::Malformed, message)) };
        }
    }
    Listing { items, cut_short: None }
}

/// Reads a list whose pages are JSON arrays and name the next one in a `Link` header with `rel="next"`.
///
/// Of that link only path and query are used, and the path must be the list's own: so a link leads to no other host,
/// nor to anything else on this one. (An Okta behind a domain of its customer's names either domain in its links.)
pub async fn list<T: DeserializeOwned>(api: &Api, target: &str) -> Listing<T> {
    let path = target.split('?').next().unwrap_or_default();
    read_all(target.to_owned(), |target| async move {
        let answer = api.get(&target).await?;
        let next = match next_link(&answer.headers) {
            None => None,
            Some(link) => Some(within(api, path, &link)?),
        };
        Ok(Page { items: answer.json()?, next })
    })
    .await
}

fn within(api: &Api, path: &str, link: &str) -> Result<String, Error> {
    let url = api.base().join(link).ok().filter(|url| url.path() == path);
    let url = url.ok_or_else(|| {
        Error::new(ErrorKind::Malformed, format!("the next page of `{path}` is said to be elsewhere"))
    })?;
    Ok(url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
}

/// The target of the link with `rel="next"`.
#[must_use]
pub fn next_link(headers: &HeaderMap) -> Option<String> {
    headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|mut text| {
        // `<url>; rel="next", <url>; rel="self"`: commas separate links, and may stand within a URL too.
        while let Some((url, rest)) = text.split_once('<').and_then(|(_, text)| text.split_once('>')) {
            let end = rest.find('<').unwrap_or(rest.len());
            let (parameters, others) = rest.split_at(end);
            let is_next = parameters.split([';', ',']).any(|parameter| {
                parameter.trim().split_once('=').is_some_and(|(name, value)| {
                    name.trim().eq_ignore_ascii_case("rel")
                        && value
                            .trim()
                            .trim_matches('"')
                            .split(' ')
                            .any(|rel| rel.eq_ignore_ascii_case("next"))
                })
            });
            if is_next {
                return Some(url.to_owned());
            }
            text = others;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// A list of `total` numbers in pages of `size`; the page at `broken` fails.
    fn page(total: usize, size: usize, broken: Option<usize>, cursor: &str) -> Result<Page<usize>, Error> {
        let start: usize = cursor.parse().unwrap();
        if broken.is_some_and(|broken| broken / size == start / size) {
            return Err(Error::new(ErrorKind::Unreachable, "broken"));
        }
        let end = (start + size).min(total);
        Ok(Page { items: (start..end).collect(), next: (end < total).then(|| end.to_string()) })
    }

    proptest! {
        #[test]
        fn every_item_comes_once_whatever_the_page_size(total in 0_usize..200, size in 1_usize..50) {
            let listing = block_on(read_all("0".into(), |cursor| async move { page(total, size, None, &cursor) }));
            prop_assert_eq!(listing.whole(), Ok((0..total).collect::<Vec<_>>()));
        }

        #[test]
        fn invariant_11_a_page_that_fails_is_told(total in 1_usize..200, size in 1_usize..50, at in 0_usize..200) {
            let at = at % total;
            let listing = block_on(read_all("0".into(), |cursor| async move { page(total, size, Some(at), &cursor) }));
            prop_assert_eq!(listing.items, (0..at / size * size).collect::<Vec<_>>());
            prop_assert!(listing.cut_short.is_some());
        }
    }

    #[test]
    fn a_cursor_that_comes_again_ends_the_list_with_an_error() {
        let mut pages = 0;
        let listing = block_on(read_all("a".into(), |cursor| {
            pages += 1;
            let next = Some(if cursor == "a" { "b" } else { "a" }.to_owned());
            async move { Ok(Page { items: vec![cursor], next }) }
        }));
        assert_eq!(listing.items, ["a", "b"]);
        assert_eq!(listing.cut_short.unwrap().kind, ErrorKind::Malformed);
        assert_eq!(pages, 2);
    }

    #[test]
    fn an_empty_page_with_a_next_one_does_not_end_the_list() {
        let listing = block_on(read_all("0".into(), |cursor| async move {
            let next = (cursor == "0").then(|| "1".to_owned());
            Ok(Page { items: if cursor == "0" { vec![] } else { vec![7] }, next })
        }));
        assert_eq!(listing.whole(), Ok(vec![7]));
    }

    #[test]
    fn next_is_found_among_the_links() {
        let found = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::LINK, value.parse().unwrap());
            }
            next_link(&headers)
        };
        let (own, next) =
            (r#"<https://x/a?limit=2>; rel="self""#, r#"<https://x/a?after=b,c&limit=2>; rel="next""#);
        let expected = Some("https://x/a?after=b,c&limit=2".to_owned());
        assert_eq!(found(&[own, next]), expected);
        assert_eq!(found(&[&format!("{own}, {next}")]), expected);
        assert_eq!(found(&[&format!("{next}, {own}")]), expected);
        assert_eq!(found(&["<u>; title=\"x\"; rel=next"]), Some("u".into()));
        assert_eq!(found(&[own]), None);
        assert_eq!(found(&["rel=\"next\"", "<"]), None);
    }
}
