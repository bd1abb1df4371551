//! Patterns: the globs of `own:`, `--only`, waivers and `protected:`, and lists of them with `!` exceptions.
//!
//! `*` and `?` stay within a path segment unless the pattern has no `/`; `**` crosses segments.
//! Invariant: matching costs at most pattern × text and never recurses.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::address::Address;

/// A glob over names or addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern from its text; every text is one.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches the whole text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }

    /// Whether it matches an address, be it written as rolecall prints it (`Break%20Glass`) or as people do (`Break Glass`).
    #[must_use]
    pub fn matches_address(&self, address: &Address) -> bool {
        let plain = address.plain();
        matches(&self.0, address.as_str()) || (plain != address.as_str() && matches(&self.0, &plain))
    }

    /// The one address that it can match, where it has no wildcard and is one.
    #[must_use]
    pub fn literal(&self) -> Option<Address> {
        if self.0.contains(['*', '?']) { None } else { self.0.parse().ok() }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a list of patterns picks a text: any plain one matches, and no `!` one does.
#[must_use]
pub fn any_matches(patterns: &[Pattern], text: &str) -> bool {
    let mut picked = false;
    for pattern in patterns {
        match pattern.0.strip_prefix('!') {
            Some(except) if matches(except, text) => return false,
            Some(_) => {}
            None => picked = picked || matches(&pattern.0, text),
        }
    }
    picked
}

fn matches(pattern: &str, text: &str) -> bool {
    // Most patterns are a name, or how names begin.
    match pattern.split_once(['*', '?']) {
        None => return pattern == text,
        Some((start, "")) if pattern.ends_with('*') && !pattern.contains('/') => {
            return text.starts_with(start);
        }
        Some((start, _)) if !text.starts_with(start) => return false,
        Some(_) => {}
    }
    let segmented = pattern.contains('/');
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // `reached[t]`: the pattern read so far can end at text position t.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut p = 0;
    while p < pattern.len() {
        let mut next = vec![false; text.len() + 1];
        if pattern[p] == '*' {
            let crosses = !segmented || pattern.get(p + 1) == Some(&'*');
            let mut open = false;
            for t in 0..=text.len() {
                open = reached[t] || (open && (crosses || text[t - 1] != '/'));
                next[t] = open;
            }
            p += if pattern.get(p + 1) == Some(&'*') { 2 } else { 1 };
        } else {
            for t in 0..text.len() {
                let same = pattern[p] == text[t] || (pattern[p] == '?' && (!segmented || text[t] != '/'));
                next[t + 1] = reached[t] && same;
            }
            p += 1;
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("rbac_*", "rbac_x", true),
            ("rbac_*", "app.x", false),
            ("*", "a/b", true),
            ("ou:eng/*", "ou:eng/dev", true),
            ("ou:eng/*", "ou:eng/dev/x", false),
            ("ou:eng/**", "ou:eng/dev/x", true),
            ("okta:group/rbac_*", "okta:group/rbac_role_x", true),
            ("a?c", "abc", true),
            ("", "", true),
            ("", "x", false),
            ("a*b*c", "aXbYbZc", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn an_address_is_matched_encoded_and_plain() {
        let address = Address::new("okta", None, "group", "app.Brèak Glass 100%");
        for (pattern, expected) in [
            ("okta:group/app.Brèak Glass 100%", true),
            ("okta:group/app.Br%C3%A8ak%20Glass%20100%25", true),
            ("okta:group/*Glass*", true),
            ("okta:group/*k Glass*", true),
            ("okta:group/app.Break", false),
            ("okta:group/app.Break_Glass_100_", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches_address(&address), expected, "{pattern}");
        }
        assert_eq!(Pattern::new("okta:group/app.Brèak Glass 100%").literal(), Some(address));
        assert_eq!(Pattern::new("okta:group/app.*").literal(), None);
    }

    #[test]
    fn exceptions_win() {
        let patterns = [Pattern::new("*"), Pattern::new("!legacy-*")];
        assert!(any_matches(&patterns, "x"));
        assert!(!any_matches(&patterns, "legacy-1"));
    }
}
