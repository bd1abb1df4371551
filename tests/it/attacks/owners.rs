//! Who owns something, and who does not, whatever he approves.
//!
//! Invariant: whoever is not known to be an owner who is at work is none.

use serde_json::{Value, json};

use super::Company;
use crate::gitlab::member;

#[test]
fn invariant_02_owners_of_a_group_are_its_own_members_who_may_own_code() {
    let company = Company::new();
    company.repo.replace("roles/infra.yaml", "owners: [klibby, rpatel]", "owners: [\"@acme/leads\"]");
    company.gitlab.state().groups = [("acme/leads".to_owned(), vec![member("klibby")])].into();
    let company = company.settle();
    let with = |key: &str, value: Value| {
        let mut member = member("tnguyen");
        member[key] = value;
        company.gitlab.state().groups =
            [("acme".to_owned(), vec![self::member("rpatel")]), ("acme/leads".to_owned(), vec![member])]
                .into();
    };
    company.add("mallory");
    let request = company.propose("mallory", "mallory@acme.com");
    company.approve(request, &["tnguyen", "rpatel"]);
    company.merge(request, "mallory@acme.com");
    for (key, value) in [
        ("access_level", json!(20)),
        ("state", json!("blocked")),
        ("membership_state", json!("awaiting")),
        ("expires_at", json!("2026-11-22")),
    ] {
        with(key, value);
        company.refused(&[
            "`tnguyen` approved it and does not own it",
            "`rpatel` approved it and does not own it",
        ]);
    }
    company.gitlab.state().groups.clear();
    company.refused(&["RC651"]);
    with("expires_at", json!("2099-01-01"));
    assert_eq!(company.apply().code, 0);
}
