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
    /// Patterns of folders, which take in what lies below; empty: everywhere.
    pub folders: Vec<Pattern>,
    /// Patterns of principals as policies name them. A rule that has some is about what they are bound to, and about no
    /// thing.
    pub principals: Vec<Pattern>,
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

    /// What is allowed on edges that bind a principal to a thing, for the sake of the principal: an earlier rule about the
    /// thing decides before that.
    #[must_use]
    pub fn may_bind(&self, on: &Address, plural: &str, member: &str) -> May {
        let Some(rules) = self.rules.get(on.instance()) else { return May::Look };
        let binds = |rule: &OwnRule| !rule.principals.is_empty() && any_matches(&rule.principals, member);
        let first = rules.iter().find(|rule| binds(rule) || self.matches(rule, on, plural));
        first.filter(|rule| binds(rule)).map_or(May::Look, |rule| rule.may)
    }

    fn matches(&self, rule: &OwnRule, address: &Address, plural: &str) -> bool {
        if !rule.principals.is_empty() || !(rule.folders.is_empty() || self.in_folders(rule, address)) {
            return false;
        }
        let kind_fits = rule.kinds.is_empty()
            || rule.kinds.get(plural).is_some_and(|patterns| any_matches(patterns, &address.name()));
        kind_fits
            && (rule.accounts.is_empty()
                || address.scope().is_some_and(|id| self.in_accounts(rule, address, id)))
    }

    fn account(&self, address: &Address, id: &str) -> Option<&Account> {
        let is_it = |account: &&Account| &*account.instance == address.instance() && &*account.id == id;
        self.accounts.iter().find(is_it)
    }

    /// Whether a thing is a folder that a rule names, or in one.
    fn in_folders(&self, rule: &OwnRule, address: &Address) -> bool {
        let name = address.name();
        let path = match address.scope() {
            Some(id) => self.account(address, id).map(|account| account.path.as_str()),
            None if address.kind() == "folder" => Some(&*name),
            None => self.account(address, &name).map(|account| account.path.as_str()),
        };
        // What is directly below the organization is in no folder; where one in brackets is, nobody knows.
        let Some(path) = path.filter(|path| !path.is_empty() && !path.starts_with('[')) else { return false };
        let ends = path.char_indices().filter(|(_, character)| *character == '/').map(|(at, _)| at);
        let above: Vec<&str> = ends.chain([path.len()]).filter_map(|end| path.get(..end)).collect();
        let excepted = |pattern: &Pattern| {
            let pattern = pattern.as_str().strip_prefix('!').map(Pattern::new);
            pattern.is_some_and(|pattern| above.iter().any(|folder| pattern.matches(folder)))
        };
        !rule.folders.iter().any(excepted) && above.iter().any(|folder| any_matches(&rule.folders, folder))
    }

    fn in_accounts(&self, rule: &OwnRule, address: &Address, id: &str) -> bool {
        let account = self.account(address, id);
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
            folders: Vec::new(),
            principals: Vec::new(),
            may,
            span: Span::file("rolecall.yaml"),
        }
    }

    #[test]
    fn a_folder_takes_in_what_lies_below() {
        let account = |id: &str, path: &str| Account {
            instance: "gcp".into(),
            id: id.into(),
            name: id.into(),
            path: path.into(),
        };
        let mut rule = rule("x", "*", May::All);
        rule.kinds.clear();
        rule.folders = vec![Pattern::new("sandbox"), Pattern::new("!sandbox/red")];
        let accounts = vec![account("a", "sandbox/blue"), account("b", "sandbox/red/x"), account("c", "")];
        let own = Ownership { rules: BTreeMap::from([("gcp".into(), vec![rule])]), accounts };
        let may = |text: &str| own.may(&text.parse().unwrap(), "whatever");
        for (address, expected) in [
            ("gcp:folder/sandbox", May::All),
            ("gcp:folder/sandbox/blue", May::All),
            ("gcp:folder/sandboxes", May::Look),
            ("gcp:folder/sandbox/red/x", May::Look),
            ("gcp:project/a", May::All),
            ("gcp/a:service_account/ci", May::All),
            ("gcp:project/b", May::Look),
            ("gcp:project/c", May::Look),
            ("gcp:project/unknown", May::Look),
            ("gcp:organization/1", May::Look),
        ] {
            assert_eq!(may(address), expected, "{address}");
        }
    }

    #[test]
    fn a_rule_about_principals_is_about_no_thing() {
        let mut rule = rule("x", "*", May::All);
        rule.kinds.clear();
        rule.principals = vec![Pattern::new("group:rbac-*")];
        let own = Ownership { rules: BTreeMap::from([("gcp".into(), vec![rule])]), accounts: Vec::new() };
        let group = "gcp:group/rbac-x@acme.com".parse().unwrap();
        assert_eq!(own.may(&group, "groups"), May::Look);
        let vault: Address = "gcp:project/vault".parse().unwrap();
        assert_eq!(own.may_bind(&vault, "projects", "group:rbac-x@acme.com"), May::All);
        assert_eq!(own.may_bind(&vault, "projects", "group:others@acme.com"), May::Look);
        let mut rules = own.rules["gcp"].clone();
        rules.insert(0, self::rule("projects", "vault", May::Look));
        let own = Ownership { rules: BTreeMap::from([("gcp".into(), rules)]), accounts: Vec::new() };
        assert_eq!(own.may_bind(&vault, "projects", "group:rbac-x@acme.com"), May::Look);
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
