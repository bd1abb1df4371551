//! A list that remembers that it was seen to be in order, so that a million edges are not looked at again and again.
//!
//! Invariant: whoever could have altered it takes that memory away; nothing but a look at all items gives it back.
//! It must not be relied on for what is in it: two lists with the same items are equal, whatever was seen.

use std::ops::{Deref, DerefMut};

use serde::{Serialize, Serializer};

use super::grant::GrantKey;

/// Something in a list of edges.
pub trait Keyed {
    /// By what it is sorted.
    fn key(&self) -> &GrantKey;
}

/// A list of edges, mostly in the order of their keys.
#[derive(Debug, Clone)]
pub struct Ordered<T> {
    items: Vec<T>,
    /// Whether it was seen to be sorted and unique, and was not altered since.
    seen: bool,
}

impl<T: Keyed> Ordered<T> {
    /// Whether it is in order, as far as that can be told without a look at the items.
    #[must_use]
    pub fn was_seen(&self) -> bool {
        self.seen
    }

    /// A list of items that are looked at once, now.
    #[must_use]
    pub fn look(items: Vec<T>) -> Self {
        let mut list = Self::from(items);
        list.seen = list.is_in_order();
        list
    }

    /// Looks whether it is sorted and unique.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.seen || self.items.is_sorted_by(|one, two| one.key().precedes(two.key()))
    }

    /// Puts it in order, by `sort` where that is needed, which must leave it sorted and unique.
    pub fn order(&mut self, sort: impl FnOnce(&mut Vec<T>)) {
        if !self.is_in_order() {
            sort(&mut self.items);
        }
        self.seen = true;
    }
}

impl<T> Deref for Ordered<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.items
    }
}

impl<T> DerefMut for Ordered<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        self.seen = false;
        &mut self.items
    }
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for Ordered<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, seen: false }
    }
}

impl<T> FromIterator<T> for Ordered<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Vec::from_iter(items).into()
    }
}

impl<T> IntoIterator for Ordered<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Ordered<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<T: PartialEq> PartialEq for Ordered<T> {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl<T: Eq> Eq for Ordered<T> {}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.items.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Address, LiveGrant};

    fn edge(name: &str) -> LiveGrant {
        let key = GrantKey::new(&Address::person(name), "member", &Address::role("x"));
        LiveGrant { key, attributes: Default::default(), via: None }
    }

    #[test]
    fn whoever_alters_it_takes_the_memory_away() {
        let mut list: Ordered<LiveGrant> = ["b", "a"].map(edge).into_iter().collect();
        assert!(!list.is_in_order());
        list.order(|items| items.sort());
        assert!(list.was_seen() && list.is_in_order());
        let copy = list.clone();
        assert!(copy.was_seen());
        list.push(edge("0"));
        assert!(!list.was_seen() && !list.is_in_order());
        list.retain(|edge| edge.key.principal != Address::person("0"));
        assert!(!list.was_seen() && list.is_in_order());
        assert_eq!(list, copy);
    }
}
