//! Ownership: what `own:` lets rolecall touch. It never says what must go.
//!
//! Invariant: per instance the first rule that matches decides, and no match is `look`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{Address, Name};
use super::inventory::Account;
use super::pattern::{Pattern, any_matches};
use super::span::Span;

/// How far rolecall may go with a thing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum May {
    /// Only look.
    #[default]
    Look,
    /// Add grants, never remove any.
    Add,
    /// Change the grants on it, not the thing itself.
    Members,
    /// Everything, the thing itself included.
    All,
}

/// One entry of `own:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRule {
    /// Patterns of names, by kind in the plural; empty: every kind.
    pub kinds: BTreeMap<Name, Vec<Pattern>>,
    /// Patterns of accounts (name, id, or `ou:PATH`); empty: every account.
    pub accounts: Vec<Pattern>,
    /// What is allowed.
    pub may: May,
    /// Where it stands.
    pub span: Span,
}

/// All `own:` entries of one side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ownership {
    /// Entries by instance, in order.
    pub rules: BTreeMap<Name, Vec<OwnRule>>,
    /// Accounts, for the patterns that name them.
    pub accounts: Vec<Account>,
}

impl Ownership {
    /// What is allowed on an address whose kind has this plural.
    #[must_use]
    pub fn may(&self, address: &Address, plural: &str) -> May {
        let Some(rules) = self.rules.get(address.instance()) else { return May::Look };
        rules.iter().find(|rule| self.matches(rule, address, plural)).map_or(May::Look, |rule| rule.may)
    }

    fn matches(&self, rule: &OwnRule, address: &Address, plural: &str) -> bool {
        let kind_fits = rule.kinds.is_empty()
            || rule.kinds.get(plural).is_some_and(|patterns| any_matches(patterns, &address.name()));
        kind_fits
            && (rule.accounts.is_empty()
                || address.scope().is_some_and(|id| self.in_accounts(rule, address, id)))
    }

    fn in_accounts(&self, rule: &OwnRule, address: &Address, id: &str) -> bool {
        let account = self
            .accounts
            .iter()
            .find(|account| account.instance.as_ref() == address.instance() && account.id.as_ref() == id);
        let path = account.map(|account| format!("ou:{}/{}", account.path, account.name));
        let names = [Some(id), account.map(|account| account.name.as_ref()), path.as_deref()];
        let excepted = |name: &&str| {
            rule.accounts
                .iter()
                .any(|p| p.as_str().strip_prefix('!').is_some_and(|p| Pattern::new(p).matches(name)))
        };
        let names: Vec<&str> = names.into_iter().flatten().collect();
        !names.iter().any(excepted) && names.iter().any(|name| any_matches(&rule.accounts, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(plural: &str, pattern: &str, may: May) -> OwnRule {
        OwnRule {
            kinds: BTreeMap::from([(plural.into(), vec![Pattern::new(pattern)])]),
            accounts: Vec::new(),
            may,
            span: Span::file("rolecall.yaml"),
        }
    }

    #[test]
    fn the_first_match_wins_and_no_match_is_look() {
        let rules = vec![rule("groups", "rbac_x", May::Look), rule("groups", "rbac_*", May::All)];
        let own = Ownership { rules: BTreeMap::from([("okta".into(), rules)]), accounts: Vec::new() };
        let may = |name: &str| own.may(&Address::new("okta", None, "group", name), "groups");
        assert_eq!((may("rbac_x"), may("rbac_y"), may("app.z")), (May::Look, May::All, May::Look));
        assert_eq!(own.may(&Address::new("okta", None, "user", "rbac_y"), "users"), May::Look);
    }

    #[test]
    fn accounts_are_picked_by_name_id_or_path() {
        let account = Account {
            instance: "aws".into(),
            id: "222222222222".into(),
            name: "ci".into(),
            path: "eng".into(),
        };
        let may = |pattern: &str| {
            let mut rule = rule("users", "*", May::All);
            rule.accounts = vec![Pattern::new(pattern)];
            let rules = BTreeMap::from([("aws".into(), vec![rule])]);
            let own = Ownership { rules, accounts: vec![account.clone()] };
            own.may(&Address::new("aws", Some("222222222222"), "user", "x"), "users")
        };
        assert_eq!((may("ci"), may("222222222222"), may("ou:eng/**")), (May::All, May::All, May::All));
        assert_eq!(may("prod"), May::Look);
    }
}
