//! A whole access repo, loaded.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;

use super::{Condition, Tree, json_schema, load};
use crate::model::{
    AccessLowering, Address, Directory, Finding, Kind, Lowering, May, Native, Node, ProviderScope,
    ProviderType, Registry, Schema, Sources, Status,
};

/// A thing of the toy provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "seen through `Debug`")]
struct Thing {
    /// A document of the provider's.
    document: Option<Node>,
}

impl Native for Thing {
    fn lower(&self, _: &mut Lowering<'_>) {}
}

fn toy(
    name: &'static str,
    kind: &'static str,
    role_group: Option<(&'static str, &'static str)>,
) -> ProviderType {
    fn access(_: &Node, _: &mut AccessLowering<'_>) {}
    fn principal(instance: &str, scope: Option<&str>, identity: &str) -> Address {
        Address::new(instance, scope, "user", identity)
    }
    fn settings(node: &Node, _: &mut Vec<Finding>) -> ProviderScope {
        let scope = node.get("account").and_then(Node::as_text).map(Into::into);
        ProviderScope { scope, name: None }
    }
    let any = |_: &mut SchemaGenerator| true.into();
    ProviderType {
        name,
        kinds: vec![Kind::of::<Thing>(kind, Schema::new("group", "groups"))],
        relations: Vec::new(),
        person_kind: "user",
        role_group,
        access,
        access_schema: any,
        principal,
        settings,
        places: None,
        settings_schema: any,
    }
}

fn registry() -> Registry {
    Registry {
        types: vec![toy("okta", "okta/Group", Some(("group", "member"))), toy("aws", "aws/Policy", None)],
    }
}

const SETTINGS: &str = r#"
format: 1
organization: acme
timezone: America/Los_Angeles
directory:
  from: okta
  handle: login
  attributes: { department: department, division: division, region: geo, manager: managerEmail }
types:
  employee:   { color: blue, rules: true, match: { userType: Employee } }
  contractor: { color: purple, needs: [manager, until], match: { userType: Contractor } }
  service:    { color: brown, needs: [owner, review] }
identities:
  okta: "{email}"
  aws:  { user: "{handle}", identity_store: "{email}" }
  gitlab: "{handle}"
groups: { okta: "rbac_role_{role}", aws: okta }
providers:
  okta: { url: https://acme.okta.com, own: [{ groups: ["rbac_*", "!rbac_old"], may: all }, { groups: "legacy_*", may: add }] }
  aws:  { account: "111111111111", own: [{ accounts: [ci], groups: "*", may: members }] }
  aws-dr: { provider: aws, account: "222222222222" }
memory: .rolecall
heal: none
standing: { joiner: { up_to: medium }, mover: { up_to: low, handover: 14d }, leaver: all, expiry: all }
limits:   { removals: { floor: 10, percent: 25 }, per_run: 200, leavers: { floor: 15, percent: 2 }, admins: { min: 3, of: ["okta:group/admin.super"] } }
approvals: { low: 1, medium: 1, high: 3, from: owners, operator: forbidden }
plan_ttl: 2d
protected: ["person:breakglass1", "okta:group/admin.break_glass"]
"#;

const DOCUMENTS: &str = r#"
kind: User
name: ext_rlopez
type: contractor
email: rlopez@ext.acme.com
manager: klibby
until: 2026-12-31
attributes: { department: infrastructure }
---
{ kind: User, name: svc_ci, type: service, owner: klibby, review: 90d, identities: { aws: "arn:aws:iam::222222222222:user/service/ci-deployer" }, status: suspended }
---
kind: Role
name: birthright_engineering
owners: [klibby, "@acme/eng-leads"]
sensitivity: medium
review: 90d
members:
  - { division: engineering, region: [emea, amer] }
  - { reports_to: klibby, type: [employee, contractor] }
  - { role: sec_sirt }
  - { handle: dmurphy, until: 2027-01-31, reason: "on-call rota, ITSUP-4211" }
except:
  - { department: red_team, reason: "own tenant, SEC-9" }
access:
  - okta: { groups: [app.gitlab.developer, push.aws.engineering] }
  - aws:  { accounts: [ci], groups: [deployers], policies: ["managed:IAMReadOnlyAccess"] }
---
{ kind: Unit, name: security, members: [{ role: [sec_sirt] }] }
---
{ kind: Role, name: sec_sirt }
---
{ kind: Grant, name: inc-991, to: [rpatel, tnguyen], from: 2026-11-22T19:00-08:00, roles: [sec_sirt], until: 2026-11-23T03:00-08:00, reason: incident bridge, ticket: INC-991 }
---
{ kind: Waiver, name: big-move, code: RC412, allow: 300, owner: klibby, reason: "reorganisation, SEC-77", until: 2027-03-31 }
---
kind: aws/Policy
name: deny-data
provider: aws-dr
accounts: ["ou:**", "!legacy-1"]
renamed_from: deny-s3
document: { Version: 2012-10-17, Statement: [{ Effect: Deny, Action: "s3:GetObject", Resource: "*" }] }
---
{ kind: aws/Policy, name: deny-data, account: ci }
"#;

fn whole() -> Tree {
    let (tree, findings) =
        load(&Sources::of([("rolecall.yaml", SETTINGS), ("roles/a/all.yaml", DOCUMENTS)]), &registry());
    assert!(findings.is_empty(), "{findings:#?}");
    tree.unwrap()
}

#[test]
fn settings_are_read() {
    let settings = whole().settings;
    assert_eq!(settings.organization, "acme");
    assert_eq!(settings.timezone.iana_name(), Some("America/Los_Angeles"));
    let Directory::Provider { from, handle, attributes } = &settings.directory else { panic!("a provider") };
    assert_eq!(
        (from.value.as_ref(), handle.as_str(), attributes["region"].as_str()),
        ("okta", "login", "geo")
    );
    let types: Vec<_> = settings.types.iter().map(|kind| kind.name.as_ref()).collect();
    assert_eq!(types, ["employee", "contractor", "service"]);
    assert_eq!(settings.types[0].matches["userType"], "Employee");
    assert_eq!(settings.types[1].needs, ["manager", "until"]);
    assert_eq!(settings.identities["aws"].per["user"].value, "{handle}");
    assert_eq!(settings.groups["aws"].role, None);
    assert_eq!(settings.providers["aws-dr"].provider.as_ref(), "aws");
    assert_eq!(settings.providers["aws-dr"].scope.scope.as_deref(), Some("222222222222"));
    assert!(settings.providers["okta"].options.get("own").is_none());
    assert!(settings.providers["okta"].options.get("url").is_some());
    let may = |name: &str| settings.own.may(&Address::new("okta", None, "group", name), "groups");
    assert_eq!((may("rbac_x"), may("rbac_old"), may("legacy_x")), (May::All, May::Look, May::Add));
    assert_eq!(settings.standing.handover.as_hours(), 14 * 24);
    assert_eq!((settings.limits.admins_min, settings.limits.removals.of(100)), (3, 25));
    assert_eq!(settings.limits.admins_of[0].value.as_str(), "okta:group/admin.super");
    assert_eq!(settings.approvals.quorum, [1, 1, 3]);
    assert_eq!(settings.plan_ttl.as_hours(), 48);
    assert_eq!(settings.protected[1].as_str(), "okta:group/admin.break_glass");
    assert_eq!(settings.manifests, ["people", "roles", "grants", "sandboxes", "rules", "native"]);
}

#[test]
fn documents_are_read() {
    let tree = whole();
    let user = &tree.users[0];
    assert_eq!((user.name.as_str(), user.status), ("ext_rlopez", Status::Active));
    assert_eq!(user.until.as_ref().unwrap().value.to_string(), "2027-01-01T08:00:00Z");
    assert_eq!(user.attributes[0].1.as_str(), "infrastructure");
    assert_eq!((tree.users[1].status, tree.users[1].review.as_deref()), (Status::Suspended, Some("90d")));
    let units: Vec<_> = tree.roles.iter().map(|role| (role.name.as_str(), role.unit)).collect();
    assert_eq!(units, [("birthright_engineering", false), ("security", true), ("sec_sirt", false)]);
    let grant = &tree.grants[0];
    assert_eq!(grant.to.iter().map(|to| to.as_str()).collect::<Vec<_>>(), ["rpatel", "tnguyen"]);
    assert_eq!(grant.until.as_ref().unwrap().value.to_string(), "2026-11-23T11:00:00Z");
    let waiver = &tree.waivers[0];
    assert_eq!(
        (waiver.code.as_str(), waiver.allow, waiver.until.to_string().as_str()),
        ("RC412", Some(300), "2027-04-01T07:00:00Z")
    );
}

#[test]
fn conditions_keep_the_order_of_the_file() {
    let role = &whole().roles[0];
    let Condition::Attribute { name, values } = &role.members[0].conditions[1] else {
        panic!("an attribute")
    };
    assert_eq!((name.as_str(), values[1].as_str()), ("region", "amer"));
    assert_eq!((values[1].span.line, values[1].span.column), (18, 45));
    assert!(
        matches!(&role.members[1].conditions[..], [Condition::ReportsTo(_), Condition::Type(types)] if types.len() == 2)
    );
    assert!(matches!(&role.members[2].conditions[..], [Condition::Role(_)]));
    assert_eq!(role.members[3].reason.as_deref(), Some("on-call rota, ITSUP-4211"));
    assert_eq!(role.access[1].instance.as_str(), "aws");
    assert!(role.access[1].body.get("policies").is_some());
}

#[test]
fn native_documents_keep_their_header_to_themselves() {
    let tree = whole();
    let native = &tree.natives[0];
    assert_eq!((native.kind.as_ref(), native.instance.as_ref()), ("aws/Policy", "aws-dr"));
    assert_eq!(native.accounts[1].as_str(), "!legacy-1");
    assert_eq!(native.renamed_from.as_ref().unwrap().as_str(), "deny-s3");
    assert_eq!(native.origin.text, "aws/Policy deny-data");
    // An unquoted date is a text: policy documents may say `Version: 2012-10-17`.
    assert!(format!("{:?}", native.body).contains("Text(\"2012-10-17\")"));
    assert_eq!((tree.natives[1].instance.as_ref(), tree.natives[1].accounts[0].as_str()), ("aws", "ci"));
}

#[test]
fn the_digest_follows_every_byte() {
    let of = |text: &str| {
        let sources = Sources::of([("rolecall.yaml", SETTINGS), ("roles/x.yaml", text)]);
        load(&sources, &registry()).0.unwrap().digest
    };
    assert_eq!(of("# a\n"), of("# a\n"));
    assert_ne!(of("# a\n"), of("# b\n"));
}

#[test]
fn handles_are_not_checked_where_a_provider_is_the_directory() {
    let role = "{ kind: Role, name: x, members: [{ handle: whoever }, { manager: someone }] }";
    let (tree, findings) =
        load(&Sources::of([("rolecall.yaml", SETTINGS), ("roles/x.yaml", role)]), &registry());
    assert!(tree.is_some(), "{findings:?}");
}

#[test]
fn invariant_2_one_key_is_not_two_people() {
    let key = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    for (keys, good) in [(format!("a: {key}"), true), (format!("a: {key}, b: {key}"), false)] {
        let settings = SETTINGS.replace("approvals: {", &format!("approvals: {{ keys: {{ {keys} }},"));
        let (_, findings) = load(&Sources::of([("rolecall.yaml", settings)]), &registry());
        assert_eq!(findings.is_empty(), good, "{findings:?}");
    }
}

#[test]
fn a_long_chain_of_roles_is_no_cycle_and_needs_no_stack() {
    let chain: String = (0..20_000)
        .map(|n| format!("---\n{{ kind: Role, name: r{n}, members: [{{ role: r{} }}] }}\n", n + 1))
        .collect();
    let last = "---\n{ kind: Role, name: r20000 }\n";
    let files = [("rolecall.yaml", SETTINGS.to_owned()), ("roles/x.yaml", chain + last)];
    let (tree, findings) = load(&Sources::of(files), &registry());
    assert_eq!(tree.map(|tree| tree.roles.len()), Some(20_001), "{findings:?}");
}

#[test]
fn schemas_know_the_header_the_providers_and_what_may_be_owned() {
    let registry = registry();
    let settings = json_schema(&registry, Some("Settings")).unwrap();
    let own = &settings["properties"]["providers"]["properties"]["okta"]["properties"]["own"]["items"];
    assert!(own["properties"]["groups"].is_object() && own["properties"]["may"].is_object(), "{own}");
    assert!(settings["required"].as_array().unwrap().contains(&"directory".into()));
    let role = json_schema(&registry, Some("Role")).unwrap();
    assert!(role["$defs"]["Access"]["properties"]["aws"].is_boolean());
    assert_eq!(role["properties"]["kind"]["const"], "Role");
    let required = role["required"].as_array().unwrap();
    assert_eq!(required.len(), 2, "{required:?}");
}
