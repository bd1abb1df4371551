//! The Google Cloud provider as a whole, over the simulator: conformance, policies that two people write, how little is
//! read, what breaks on the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use rolecall::model::settings::ProviderSettings;
use rolecall::model::span::Entry;
use rolecall::model::{
    Address, Approval, Attributes, Change, Coverage, Digest, GrantKey, Node, NodeValue, Permit, Ruling, Span,
    Spanned, Value, Verdict,
};
use rolecall::provider::conformance::{
    self, Step, create, delete, grant, revoke, tells_what_is_missing, update,
};
use rolecall::provider::{Clock, Effect, Provider, Transport};
use rolecall::providers::{Wiring, open};
use rolecall::simulator::{Fault, Planned, Simulator};

mod contract;
mod judged;
mod permissions;
mod policies;
mod reading;

/// A small organization: folders within folders, projects, a service account with a key, roles, groups and people.
const WORLD: &str = r#"
now: 2026-11-22T17:00:00Z
page_size: 2
gcp:
  organization: "123456789012"
  domain: acme.com
  customer: C01acme
  caller: serviceAccount:rolecall@acme-iam.iam.gserviceaccount.com
  bindings:
    - { role: roles/resourcemanager.organizationAdmin, members: ["user:klibby@acme.com"] }
  folders:
    - { path: eng }
    - { path: eng/dev, bindings: [{ role: roles/viewer, members: ["domain:acme.com"] }] }
    - { path: sandbox }
  projects:
    - id: acme-iam
      service_accounts: [{ name: rolecall }]
    - id: eng-dev-a1
      folder: eng/dev
      name: Engineering dev A1
      labels: { team: x, cost: "7" }
      billing: 01ABCD-234567-89ABCD
      services: [compute.googleapis.com]
      audit_configs: [{ service: allServices, auditLogConfigs: [{ logType: DATA_READ }] }]
      bindings:
        - { role: roles/editor, members: ["serviceAccount:service-7@compute-system.iam.gserviceaccount.com"] }
        - role: roles/logging.viewer
          members: ["user:dmurphy@acme.com"]
          condition: { title: office, expression: 'request.time.getHours("Europe/Paris") < 20' }
        - { role: roles/logging.viewer, members: ["deleted:user:gone@acme.com?uid=101", "group:list@acme.com"] }
      service_accounts:
        - name: ci-runner
          display_name: CI
          keys: [{ id: 0123456789abcdef0123456789abcdef01234567, created: 2025-01-01T00:00:00Z }]
      roles: [{ id: prober, title: Prober, permissions: [run.services.get], stage: GA }]
  billing_accounts: [{ id: 01ABCD-234567-89ABCD, name: Main }]
  groups:
    - { email: list@acme.com, members: [{ email: klibby@acme.com }, { email: dmurphy@acme.com }] }
    - { email: empty@acme.com }
  users:
    - { email: klibby@acme.com, given: Kate, family: Libby }
    - { email: dmurphy@acme.com, given: Dade, family: Murphy }
    - { email: out@acme.com, suspended: true }
"#;

pub(crate) fn world(yaml: &str) -> Simulator {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    Simulator::copy_of(file.path()).unwrap()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn attributes<const N: usize>(pairs: [(&str, Value); N]) -> Attributes {
    pairs.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

fn edge(principal: &str, relation: &str, resource: &str) -> GrantKey {
    GrantKey::new(&address(principal), relation, &address(resource))
}

fn office(mut key: GrantKey) -> GrantKey {
    key.condition = Some(r#"{"expression":"request.time.getHours(\"UTC\") < 18","title":"office"}"#.into());
    key
}

/// The same change, with an end that Google is told of.
fn until(change: Change, end: &str) -> Change {
    let after = attributes([("expires", end.into())]);
    let effect = Change::effect_of(change.op, &change.address, change.grant.as_ref(), Some(&after), &[]);
    Change { after: Some(after), effect, ..change }
}

fn permit(effects: BTreeSet<Digest>) -> Permit {
    Permit::new(Verdict::new(Ruling::Allowed, effects), Approval::Simulated)
}

fn observed() -> BTreeSet<Address> {
    [
        "gcp:organization/123456789012",
        "gcp:folder/eng/dev",
        "gcp:project/eng-dev-a1",
        "gcp/eng-dev-a1:service_account/ci-runner",
        "gcp:group/list@acme.com",
        "gcp:group/empty@acme.com",
        "gcp:billing_account/01ABCD-234567-89ABCD",
    ]
    .map(address)
    .into()
}

/// Lives of folders, projects, accounts, roles, groups and bindings, beside those that are only looked at.
fn narrative() -> Vec<Step> {
    let folder = address("gcp:folder/eng/prod");
    let project = address("gcp:project/eng-prod-b2");
    let parent = |folder: &str| ("parent", Value::from(folder));
    let account = address("gcp/eng-prod-b2:service_account/deployer");
    let role = address("gcp:custom_role/ci_viewer");
    let own = address("gcp/eng-dev-a1:custom_role/deploys");
    let group = address("gcp:group/rbac-ops@acme.com");
    let permissions =
        |names: &[&str]| ("permissions", Value::List(names.iter().map(|it| Value::from(*it)).collect()));
    let bound = edge("gcp:group/rbac-ops@acme.com", "roles/logging.viewer", "gcp:project/eng-prod-b2");
    let by_role = edge("gcp:group/rbac-ops@acme.com", "gcp:custom_role/ci_viewer", "gcp:folder/eng");
    let on_account = edge(
        "gcp:user/klibby@acme.com",
        "roles/iam.serviceAccountUser",
        "gcp/eng-prod-b2:service_account/deployer",
    );
    let on_org =
        edge("gcp/eng-prod-b2:service_account/deployer", "roles/browser", "gcp:organization/123456789012");
    let paid = edge(
        "gcp:group/rbac-ops@acme.com",
        "roles/billing.viewer",
        "gcp:billing_account/01ABCD-234567-89ABCD",
    );
    let klibby = edge("gcp:user/klibby@acme.com", "member", "gcp:group/rbac-ops@acme.com");
    let dmurphy = edge("gcp:user/dmurphy@acme.com", "member", "gcp:group/rbac-ops@acme.com");
    let nested = edge("gcp:group/list@acme.com", "member", "gcp:group/rbac-ops@acme.com");
    let end = "2026-12-01T00:00:00Z";
    let labels = |pairs: &[(&str, &str)]| ("labels", Value::map(pairs.iter().copied()));
    let ended = attributes([("expires", end.into())]);
    let moved = update_edge(&klibby, ended, attributes([("expires", Value::Null)]));
    vec![
        Step::new("make a folder", [create(&folder, Attributes::new())]),
        Step::new(
            "make a project in it",
            [create(
                &project,
                attributes([
                    parent("gcp:folder/eng/prod"),
                    ("display_name", "Production".into()),
                    labels(&[("team", "ops")]),
                    ("state", "active".into()),
                ]),
            )],
        ),
        Step::new(
            "label and rename it",
            [update(
                &project,
                attributes([("display_name", "Production".into()), labels(&[("team", "ops")])]),
                attributes([("display_name", "Prod".into()), labels(&[("team", "sre"), ("tier", "1")])]),
            )],
        ),
        Step::new(
            "move it",
            [update(
                &project,
                attributes([parent("gcp:folder/eng/prod")]),
                attributes([parent("gcp:folder/eng")]),
            )],
        ),
        Step::new(
            "make an account",
            [create(&account, attributes([("display_name", "Deployer".into()), ("disabled", false.into())]))],
        ),
        Step::new(
            "disable and describe it",
            [update(
                &account,
                attributes([("description", "".into()), ("disabled", false.into())]),
                attributes([("description", "deploys".into()), ("disabled", true.into())]),
            )],
        ),
        Step::new(
            "make roles",
            [
                create(
                    &role,
                    attributes([
                        ("title", "CI viewer".into()),
                        permissions(&["cloudbuild.builds.get", "cloudbuild.builds.list"]),
                        ("stage", "ga".into()),
                    ]),
                ),
                create(&own, attributes([permissions(&["run.services.get"]), ("stage", "beta".into())])),
            ],
        ),
        Step::new(
            "widen one",
            [update(
                &role,
                attributes([permissions(&["cloudbuild.builds.get", "cloudbuild.builds.list"])]),
                attributes([permissions(&["cloudbuild.builds.get", "cloudbuild.builds.update"])]),
            )],
        ),
        Step::new(
            "make a group",
            [create(
                &group,
                attributes([("display_name", "ops".into()), ("description", "who operates".into())]),
            )],
        ),
        Step::new(
            "describe it anew",
            [update(
                &group,
                attributes([("description", "who operates".into())]),
                attributes([("description", "on call".into())]),
            )],
        ),
        Step::new(
            "put people in, one for a while",
            [until(grant(&klibby), end), grant(&dmurphy), grant(&nested)],
        ),
        Step::new("let one stay", [moved]),
        Step::new("take one out", [revoke(&dmurphy), revoke(&nested)]),
        Step::new(
            "bind the group, and others",
            [
                grant(&bound),
                grant(&by_role),
                grant(&on_account),
                grant(&on_org),
                grant(&paid),
                grant(&office(bound.clone())),
            ],
        ),
        Step::new(
            "bind one for a while",
            [until(
                grant(&edge("gcp:user/dmurphy@acme.com", "roles/logging.viewer", "gcp:project/eng-prod-b2")),
                end,
            )],
        ),
        Step::new(
            "let that last longer",
            [until_from(
                &edge("gcp:user/dmurphy@acme.com", "roles/logging.viewer", "gcp:project/eng-prod-b2"),
                end,
                "2027-01-01T00:00:00Z",
            )],
        ),
        Step::new(
            "unbind",
            [revoke(&bound), revoke(&office(bound)), revoke(&by_role), revoke(&paid), revoke(&on_org)],
        ),
        Step::new(
            "delete what can be made again",
            [
                delete(&role, Attributes::new()),
                delete(&group, Attributes::new()),
                delete(&account, Attributes::new()),
            ],
        ),
        Step::new(
            "have a deleted role back, as another",
            [create(
                &role,
                attributes([
                    ("title", "Viewer".into()),
                    permissions(&["run.services.get"]),
                    ("stage", "ga".into()),
                ]),
            )],
        ),
        Step::new(
            "end the project",
            [update(
                &project,
                attributes([("state", "active".into())]),
                attributes([("state", "deleted".into())]),
            )],
        ),
        Step::new(
            "have it back",
            [update(
                &project,
                attributes([("state", "deleted".into())]),
                attributes([("state", "active".into())]),
            )],
        ),
        Step::new("delete the folder", [delete(&folder, Attributes::new())]),
    ]
}

fn update_edge(key: &GrantKey, before: Attributes, after: Attributes) -> Change {
    let op = rolecall::model::Op::Update;
    let change = grant(key);
    let effect = Change::effect_of(op, &change.address, change.grant.as_ref(), Some(&after), &[]);
    let precondition = Digest::of(&before);
    Change {
        op,
        fields: ["expires".into()].into(),
        precondition,
        before: Some(before),
        after: Some(after),
        effect,
        ..change
    }
}

fn until_from(key: &GrantKey, from: &str, to: &str) -> Change {
    update_edge(key, attributes([("expires", from.into())]), attributes([("expires", to.into())]))
}

/// Settings of the organization above, with more keys and texts.
pub(crate) async fn provider(
    more: &[(&str, NodeValue)],
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
) -> Box<dyn Provider> {
    let span = Span::file("rolecall.yaml");
    let text = |text: &str| NodeValue::Text(text.into());
    let own = [("organization", text("123456789012")), ("customer", text("C01acme"))];
    let entries = own.into_iter().chain(more.iter().cloned()).map(|(key, value)| Entry {
        key: Spanned { value: key.into(), span: span.clone() },
        value: Node { value, span: span.clone() },
    });
    let options = Node { value: NodeValue::Map(entries.collect()), span: span.clone() };
    let settings = ProviderSettings {
        instance: "gcp".into(),
        provider: "gcp".into(),
        options,
        scope: Default::default(),
    };
    let wiring = Wiring { transport: Some(transport), clock, credentials: Arc::new(|_| None) };
    open(&settings, &wiring).await.unwrap()
}

pub(crate) async fn simulated(simulator: &Simulator) -> Box<dyn Provider> {
    provider(&[("users", NodeValue::Bool(true))], Arc::new(simulator.clone()), simulator.clock()).await
}

#[tokio::test]
async fn google_conforms_over_the_simulator_with_tiny_pages() {
    let simulator = world(WORLD);
    let gcp = simulated(&simulator).await;
    let clock = simulator.clock();
    let (observed, narrative) = (observed(), narrative());
    let run = conformance::run(&*gcp, &*clock, &observed, &narrative, &permit);
    let live = clock.drive(run).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(live.resources.contains_key(&address("gcp:project/eng-dev-a1")));
    assert_eq!(gcp.calls(), simulator.requests());

    // What one page holds is what many hold.
    let large = simulator.world();
    let large = Simulator::of(rolecall::simulator::World { page_size: 200, ..large }).unwrap();
    let whole = simulated(&large).await.observe(&observed).await;
    let tiny = simulated(&simulator).await.observe(&observed).await;
    assert_eq!(conformance::difference(&tiny, &whole), None);
}

#[tokio::test]
async fn operations_that_take_their_time_are_waited_for() {
    let simulator =
        world(&WORLD.replace("  customer: C01acme", "  customer: C01acme\n  operation_seconds: 20"));
    let gcp = simulated(&simulator).await;
    let clock = simulator.clock();
    let (observed, narrative) = (observed(), narrative());
    let run = conformance::run(&*gcp, &*clock, &observed, &narrative, &permit);
    clock.drive(run).await.unwrap_or_else(|error| panic!("{error}"));
}
