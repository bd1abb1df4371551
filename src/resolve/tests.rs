//! What manifests ask for, in small access repos: who gets what, until when, and why not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{people, resolve};
use crate::manifest::{self, Tree};
use crate::model::{
    Address, Desired, DirectoryRecord, Finding, Inventory, LapseCause, Level, Name, Sources, Status, Why,
};
use crate::providers;

const SETTINGS: &str = r#"
format: 1
organization: acme
timezone: America/Los_Angeles
directory: { from: okta, handle: login, attributes: { department: department, manager: manager } }
types:
  employee: { rules: true, match: { userType: Employee } }
  contractor: { match: { userType: Contractor } }
identities: { okta: "{email}" }
groups: { okta: "rbac_{role}" }
providers: { okta: { url: https://acme.okta.com, own: [{ groups: "*", may: all }] } }
"#;

pub(super) fn now() -> Timestamp {
    "2026-11-22T17:00:00Z".parse().unwrap()
}

pub(super) fn tree(documents: &[&str]) -> Tree {
    let files = documents.iter().enumerate().map(|(n, text)| (format!("roles/{n}.yaml"), (*text).to_owned()));
    let sources = Sources::of(files.chain([("rolecall.yaml".to_owned(), SETTINGS.to_owned())]));
    let (tree, findings) = manifest::load(&sources, &providers::registry());
    tree.unwrap_or_else(|| panic!("{findings:#?}"))
}

/// `handle department type manager`, with the status after a `!`.
pub(super) fn record(text: &str) -> DirectoryRecord {
    let (text, status) = text.split_once('!').unwrap_or((text, "active"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let login = format!("{}@acme.com", words[0]);
    let mut profile = BTreeMap::from([("login", login.clone()), ("email", login.clone())]);
    for (key, word) in ["department", "userType", "manager"].into_iter().zip(&words[1..]) {
        profile.insert(key, (*word).replace('_', " "));
    }
    DirectoryRecord {
        address: Some(Address::new("okta", None, "user", &login)),
        status: match status {
            "left" => Status::Left,
            "suspended" => Status::Suspended,
            "staged" => Status::Staged,
            _ => Status::Active,
        },
        profile: profile.into_iter().map(|(key, value)| (Name::from(key), Name::from(value))).collect(),
    }
}

pub(super) const PEOPLE: [&str; 6] = [
    "klibby Infrastructure Employee",
    "dmurphy Infrastructure Employee klibby@acme.com",
    "rpatel Infrastructure Contractor dmurphy@acme.com",
    "tnguyen Finance Employee",
    "jdoe Finance Employee tnguyen@acme.com!left",
    "skim Finance Employee tnguyen@acme.com!staged",
];

pub(super) fn inventory(tree: &Tree, records: &[&str]) -> (Inventory, Vec<Finding>) {
    let records: Vec<_> = records.iter().map(|text| record(text)).collect();
    people(tree, &records, Vec::new(), Vec::new(), now())
}

fn desired(documents: &[&str]) -> Desired {
    let tree = tree(documents);
    let (inventory, _) = inventory(&tree, &PEOPLE);
    resolve(&tree, None, &inventory, &providers::registry(), now())
}

/// Who is wanted in a role's group.
pub(super) fn members(desired: &Desired, role: &str) -> Vec<String> {
    let group = Address::new("okta", None, "group", &format!("rbac_{role}"));
    let grants = desired.grants.iter().filter(|grant| grant.key.resource == group);
    grants.filter_map(|grant| Some(grant.subject.as_ref()?.name().into_owned())).collect()
}

fn role(members: &str) -> String {
    format!("{{ kind: Role, name: x, owners: [klibby], members: {members} }}")
}

fn codes(desired: &Desired) -> Vec<&str> {
    desired.findings.iter().map(|finding| finding.code.as_ref()).collect()
}

#[test]
fn an_entry_is_all_of_its_keys_and_a_list_is_any_of_its_values() {
    for (entries, expected) in [
        ("[{ department: infrastructure }]", vec!["dmurphy", "klibby"]),
        ("[{ department: [infrastructure, Finance] }]", vec!["dmurphy", "klibby", "tnguyen"]),
        ("[{ department: infrastructure, manager: klibby }]", vec!["dmurphy"]),
        ("[{ department: infrastructure, type: contractor }]", vec!["rpatel"]),
        ("[{ reports_to: klibby, type: [employee, contractor] }]", vec!["dmurphy", "rpatel"]),
        ("[{ reports_to: klibby }]", vec!["dmurphy"]),
        ("[{ handle: [rpatel, tnguyen] }]", vec!["rpatel", "tnguyen"]),
        ("[{ department: finance }, { handle: klibby }]", vec!["klibby", "tnguyen"]),
    ] {
        assert_eq!(members(&desired(&[&role(entries)]), "x"), expected, "{entries}");
    }
}

#[test]
fn invariant_45_contractors_match_no_rule_that_does_not_name_their_type() {
    let rule = desired(&[&role("[{ department: infrastructure }]")]);
    assert!(!members(&rule, "x").contains(&"rpatel".to_owned()));
    let named = desired(&[&role("[{ department: infrastructure, type: contractor }]")]);
    assert_eq!(members(&named, "x"), ["rpatel"]);
}

#[test]
fn who_has_left_or_is_not_there_yet_is_told_as_a_lapse() {
    let desired = desired(&[&role("[{ department: finance }]")]);
    assert_eq!(members(&desired, "x"), ["tnguyen"]);
    let causes: Vec<_> = desired.lapsed.values().map(|lapse| lapse.cause).collect();
    assert_eq!(causes, [LapseCause::Left, LapseCause::NotYet]);
    assert!(desired.lapsed.values().any(|lapse| lapse.origin.text.starts_with("jdoe has left; role x")));
}

#[test]
fn except_wins_and_says_which_line() {
    let text = "{ kind: Role, name: x, owners: [klibby], members: [{ department: infrastructure }], except: [{ handle: dmurphy, reason: own tenant }] }";
    let desired = desired(&[text]);
    assert_eq!(members(&desired, "x"), ["klibby"]);
    let lapse = desired.lapsed.values().next().unwrap();
    assert_eq!(lapse.cause, LapseCause::Excepted);
    assert!(lapse.origin.text.contains("own tenant"));
}

#[test]
fn invariant_31_an_entry_ends_with_its_day_in_the_zone_of_the_settings() {
    let tree = tree(&[&role("[{ handle: klibby, until: 2026-11-22 }]")]);
    let (inventory, _) = inventory(&tree, &PEOPLE);
    let at = |time: &str| {
        let desired =
            resolve(&tree, None, &inventory, &providers::registry(), time.parse::<Timestamp>().unwrap());
        members(&desired, "x").len()
    };
    // The day ends at midnight in Los Angeles, which is 08:00 in UTC.
    assert_eq!((at("2026-11-23T07:59:59Z"), at("2026-11-23T08:00:00Z")), (1, 0));
}

#[test]
fn what_comes_through_a_role_ends_with_it_and_two_grants_with_the_later() {
    let inner =
        "{ kind: Role, name: inner, owners: [klibby], members: [{ handle: klibby, until: 2026-12-01 }] }";
    let through = desired(&[inner, &role("[{ role: inner }]")]);
    let until = |desired: &Desired| desired.grants.iter().last().unwrap().until.map(|at| at.to_string());
    assert_eq!(until(&through).as_deref(), Some("2026-12-02T08:00:00Z"));
    let twice =
        desired(&[&role("[{ handle: klibby, until: 2026-12-01 }, { handle: klibby, until: 2026-12-03 }]")]);
    assert_eq!(until(&twice).as_deref(), Some("2026-12-04T08:00:00Z"));
    assert_eq!(twice.grants.iter().next().unwrap().origins.len(), 2);
    let forever = desired(&[&role("[{ handle: klibby, until: 2026-12-01 }, { handle: klibby }]")]);
    assert_eq!(until(&forever), None);
}

#[test]
fn a_grant_gives_a_role_for_a_time() {
    let grant = "{ kind: Grant, name: inc-1, to: [tnguyen], roles: [x], until: 2026-11-30, reason: bridge, ticket: INC-1 }";
    let desired = desired(&[&role("[{ handle: klibby }]"), grant]);
    assert_eq!(members(&desired, "x"), ["klibby", "tnguyen"]);
    let origin = &desired.grants.iter().find(|grant| grant.until.is_some()).unwrap().origins[0];
    assert_eq!(origin.text, "grant inc-1 (bridge), INC-1");
}

#[test]
fn a_value_that_nobody_has_is_an_error_where_it_is_new_and_a_freeze_where_it_is_old() {
    let tree = tree(&[&role("[{ department: infrastrcture }, { handle: klibby }]")]);
    let (inventory, _) = inventory(&tree, &PEOPLE);
    let resolved = |base| resolve(&tree, base, &inventory, &providers::registry(), now());
    let new = resolved(None);
    assert_eq!(codes(&new), ["RC203"]);
    assert_eq!(new.findings[0].help.as_deref(), Some("did you mean `infrastructure` (3 people)?"));
    let old = resolved(Some(&tree));
    assert_eq!(codes(&old), ["RC306"]);
    assert!(old.frozen.contains_key("x"));
    assert_eq!(members(&old, "x"), ["klibby"], "other entries go on granting");
}

#[test]
fn a_role_that_cites_a_frozen_role_is_frozen_too() {
    let tree = tree(&[
        "{ kind: Role, name: inner, owners: [klibby], members: [{ department: gone }] }",
        &role("[{ role: inner }]"),
    ]);
    let (inventory, _) = inventory(&tree, &PEOPLE);
    let desired = resolve(&tree, Some(&tree), &inventory, &providers::registry(), now());
    assert!(desired.frozen.contains_key("x") && desired.frozen.contains_key("inner"));
}

#[test]
fn an_incomplete_directory_makes_no_value_dead() {
    let tree = tree(&[&role("[{ department: gone }]")]);
    let records: Vec<_> = PEOPLE.iter().map(|text| record(text)).collect();
    let (inventory, findings) = people(&tree, &records, Vec::new(), vec!["page 2: 500".into()], now());
    assert_eq!(findings[0].code.as_ref(), "RC309");
    let desired = resolve(&tree, None, &inventory, &providers::registry(), now());
    assert!(desired.findings.is_empty(), "{:?}", desired.findings);
}

#[test]
fn two_values_that_look_the_same_match_nothing() {
    let tree = tree(&[&role("[{ department: r_d }]")]);
    let (inventory, _) = inventory(&tree, &["klibby R&D Employee", "dmurphy R-D Employee"]);
    let desired = resolve(&tree, None, &inventory, &providers::registry(), now());
    assert_eq!(codes(&desired), ["RC305"]);
    assert!(members(&desired, "x").is_empty());
}

const INFRA_BUT: &str =
    "{ kind: Role, name: x, owners: [klibby], members: [{ department: infrastructure }], except: [";

#[test]
fn an_except_that_cites_what_is_gone_leaves_its_role_in_doubt() {
    for except in
        ["department: red_team", "handle: nobody", "manager: nobody", "reports_to: nobody, type: employee"]
    {
        let tree = tree(&[
            &format!("{INFRA_BUT}{{ {except} }}] }}"),
            &role("[{ role: x }]").replace("name: x", "name: outer"),
        ]);
        let (inventory, _) = inventory(&tree, &PEOPLE);
        let resolved = |base| resolve(&tree, base, &inventory, &providers::registry(), now());
        let old = resolved(Some(&tree));
        assert_eq!(old.doubtful["x"].0, Why::Frozen, "{except}");
        assert!(old.doubtful.contains_key("outer") && old.frozen.contains_key("x"));
        assert!(resolved(None).findings.iter().any(|finding| finding.level == Level::Error));
    }
    let over = tree(&[&format!("{INFRA_BUT}{{ department: red_team, until: 2026-01-01 }}] }}")]);
    let (inventory, _) = inventory(&over, &PEOPLE);
    let desired = resolve(&over, Some(&over), &inventory, &providers::registry(), now());
    assert!(desired.doubtful.is_empty(), "what has ended excepts nobody");
}

#[test]
fn an_except_by_a_role_that_lacks_members_leaves_its_role_in_doubt() {
    let red = "{ kind: Role, name: red, owners: [klibby], members: [{ department: red_team }] }";
    let tree = tree(&[red, &format!("{INFRA_BUT}{{ role: red }}] }}")]);
    let (inventory, _) = inventory(&tree, &PEOPLE);
    let desired = resolve(&tree, Some(&tree), &inventory, &providers::registry(), now());
    assert_eq!(desired.doubtful.keys().map(AsRef::as_ref).collect::<Vec<_>>(), ["x"]);
}

#[test]
fn an_except_is_in_doubt_while_the_directory_was_not_read_whole() {
    for (except, doubtful) in
        [("department: red_team", true), ("reports_to: klibby", true), ("department: finance", false)]
    {
        let tree = tree(&[&format!("{INFRA_BUT}{{ {except} }}] }}")]);
        let records: Vec<_> = PEOPLE.iter().map(|text| record(text)).collect();
        let (inventory, _) = people(&tree, &records, Vec::new(), vec!["page 2: 500".into()], now());
        let desired = resolve(&tree, None, &inventory, &providers::registry(), now());
        assert_eq!(
            desired.doubtful.get("x").map(|doubt| doubt.0),
            doubtful.then_some(Why::Incomplete),
            "{except}"
        );
    }
}

#[test]
fn two_values_that_look_the_same_are_both_excepted() {
    let tree = tree(&[
        "{ kind: Role, name: x, owners: [klibby], members: [{ type: employee }], except: [{ department: r_d }] }",
    ]);
    let (inventory, _) =
        inventory(&tree, &["klibby R&D Employee", "dmurphy R-D Employee", "tnguyen Finance Employee"]);
    let desired = resolve(&tree, None, &inventory, &providers::registry(), now());
    assert_eq!(members(&desired, "x"), ["tnguyen"]);
}

#[test]
fn who_is_gone_is_an_error_in_a_group_only_where_base_did_not_name_him() {
    let document = |name: &str| format!("{{ kind: okta/Group, name: {name}, members: [klibby, nobody] }}");
    let (head, other) = (tree(&[&document("app.y")]), tree(&[&document("app.z")]));
    let (inventory, _) = inventory(&head, &PEOPLE);
    for (base, level) in [(None, Level::Error), (Some(&other), Level::Error), (Some(&head), Level::Warning)] {
        let desired = resolve(&head, base, &inventory, &providers::registry(), now());
        assert_eq!(codes(&desired), ["RC204"]);
        assert_eq!(desired.findings[0].level, level);
        assert_eq!(desired.grants.len(), 1);
    }
}

#[test]
fn whose_file_is_gone_is_removed_where_files_are_the_directory() {
    let settings = SETTINGS.replace(
        "directory: { from: okta, handle: login, attributes: { department: department, manager: manager } }",
        "directory: manifests",
    );
    let load = |settings: &str, people: &str| {
        let files = [("rolecall.yaml", settings), ("people/p.yaml", people)];
        let (tree, findings) = manifest::load(&Sources::of(files), &providers::registry());
        tree.unwrap_or_else(|| panic!("{findings:#?}"))
    };
    let user = |name: &str| format!("{{ kind: User, name: {name}, type: employee, email: {name}@acme.com }}");
    let both = format!("{}\n---\n{}", user("ann"), user("bob"));
    for (settings, expected) in [(settings.as_str(), vec!["person:bob"]), (SETTINGS, vec![])] {
        let (head, base) = (load(settings, &user("ann")), load(settings, &both));
        let (inventory, _) = people(&head, &[], Vec::new(), Vec::new(), now());
        let desired = resolve(&head, Some(&base), &inventory, &providers::registry(), now());
        assert_eq!(desired.removed.keys().map(Address::as_str).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn two_people_are_never_one_principal() {
    let tree = tree(&[&role("[{ department: finance }]")]);
    let mut records = [record("klibby Finance Employee"), record("dmurphy Finance Employee")];
    records[1].profile.insert("email".into(), "KLIBBY@acme.com".into());
    let (inventory, _) = people(&tree, &records, Vec::new(), Vec::new(), now());
    let desired = resolve(&tree, None, &inventory, &providers::registry(), now());
    assert!(codes(&desired).contains(&"RC304"), "{:?}", desired.findings);
    assert_eq!(desired.grants.len(), 1);
}

#[test]
fn two_records_with_one_handle_are_an_error_unless_one_has_left() {
    let tree = tree(&[&role("[{ handle: klibby }]")]);
    let (_, findings) = inventory(&tree, &["klibby Finance Employee", "klibby Infrastructure Employee"]);
    assert_eq!(findings[0].code.as_ref(), "RC301");
    let (inventory, findings) =
        inventory(&tree, &["klibby Finance Employee!left", "klibby Infrastructure Employee"]);
    assert!(findings.is_empty());
    assert_eq!(inventory.people["klibby"].status, Status::Active);
}

#[test]
fn a_group_that_a_role_and_a_document_declare_is_declared_twice() {
    let desired =
        desired(&[&role("[{ handle: klibby }]"), "{ kind: okta/Group, name: rbac_x, members: [klibby] }"]);
    assert_eq!(codes(&desired), ["RC205"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_files_and_people_makes_no_difference(
        people_order in Just((0..PEOPLE.len()).collect::<Vec<_>>()).prop_shuffle(),
        file_order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let documents = [
            "{ kind: Role, name: a, owners: [klibby], members: [{ department: infrastructure }, { role: b }] }",
            "{ kind: Role, name: b, owners: [klibby], members: [{ department: finance, until: 2027-01-01 }], except: [{ role: c }] }",
            "{ kind: Role, name: c, owners: [klibby], members: [{ handle: [tnguyen, rpatel] }] }",
            "{ kind: Grant, name: g, to: [klibby], roles: [b], reason: x }",
        ];
        let resolved = |files: &[usize], order: &[usize]| {
            let texts: Vec<&str> = files.iter().map(|n| documents[*n]).collect();
            let tree = tree(&texts);
            let records: Vec<&str> = order.iter().map(|n| PEOPLE[*n]).collect();
            let (inventory, _) = inventory(&tree, &records);
            let desired = resolve(&tree, None, &inventory, &providers::registry(), now());
            desired.grants.iter().map(|grant| (grant.key.clone(), grant.until)).collect::<Vec<_>>()
        };
        let straight = resolved(&[0, 1, 2, 3], &(0..PEOPLE.len()).collect::<Vec<_>>());
        prop_assert_eq!(resolved(&file_order, &people_order), straight);
    }
}

#[test]
fn an_owner_whom_nobody_knows_is_a_warning_with_the_one_that_was_meant() {
    let owned = |owners: &str| {
        let text = format!("{{ kind: Role, name: x, owners: {owners}, members: [{{ handle: dmurphy }}] }}");
        desired(&[&text])
    };
    let desired = owned("[klibby, kliby, \"@acme/eng-leads\", jdoe]");
    let told: Vec<_> = desired.findings.iter().map(|f| (f.to_string(), f.help.clone().unwrap())).collect();
    assert_eq!(
        told,
        [(
            "warning[RC204]: role `x` is owned by `kliby`, but nobody has that handle (roles/0.yaml:1:41)"
                .to_owned(),
            "did you mean `klibby`?".to_owned()
        )]
    );
    assert_eq!(members(&desired, "x"), ["dmurphy"]);

    // Of a directory that was not read whole, nobody can say who is missing.
    let tree = tree(&["{ kind: Role, name: x, owners: [kliby], members: [{ department: finance }] }"]);
    let (mut inventory, _) = inventory(&tree, &PEOPLE);
    inventory.incomplete.push("403".to_owned());
    assert!(resolve(&tree, None, &inventory, &providers::registry(), now()).findings.is_empty());
}
