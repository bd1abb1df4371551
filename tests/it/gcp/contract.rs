//! Every exchange with the simulated Google, held by Prism against what Google publishes of its own APIs.
//!
//! What goes through is what a run does, from looking to cutting off, and each way in which Google refuses.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use rolecall::model::Snapshot;
use rolecall::provider::{Clock as _, Outcome, SystemClock, TransportError};

use super::*;
use crate::servers::{Prism, Watching, google_description};

/// Something of everything that Google is asked about, in pages of two.
const EVERYTHING: &str = r#"
now: 2026-11-22T17:00:00Z
page_size: 2
gcp:
  organization: "123456789012"
  domain: acme.com
  customer: C01acme
  caller: serviceAccount:rolecall@acme-iam.iam.gserviceaccount.com
  bindings: [{ role: roles/resourcemanager.organizationAdmin, members: ["user:klibby@acme.com"] }]
  audit_configs: [{ service: allServices, auditLogConfigs: [{ logType: DATA_READ, exemptedMembers: ["user:klibby@acme.com"] }] }]
  roles: [{ id: auditor, title: Auditor, permissions: [logging.logEntries.list], stage: GA }]
  folders:
    - { path: eng, bindings: [{ role: roles/viewer, members: ["domain:acme.com"] }] }
    - { path: eng/dev }
    - { path: old, state: DELETE_REQUESTED, deleted: 2026-11-20T00:00:00Z }
  projects:
    - { id: acme-iam, service_accounts: [{ name: rolecall }] }
    - id: eng-dev-a1
      folder: eng/dev
      name: Engineering dev A1
      labels: { team: x }
      billing: 01ABCD-234567-89ABCD
      services: [compute.googleapis.com, iam.googleapis.com, run.googleapis.com]
      audit_configs: [{ service: allServices, auditLogConfigs: [{ logType: DATA_READ }] }]
      liens: [{ reason: payroll, origin: finance, restrictions: [resourcemanager.projects.delete] }]
      bindings:
        - { role: roles/editor, members: ["serviceAccount:service-7@compute-system.iam.gserviceaccount.com"] }
        - role: roles/logging.viewer
          members: ["user:dmurphy@acme.com", "serviceAccount:ci-runner@eng-dev-a1.iam.gserviceaccount.com"]
          condition: { title: office, description: by day, expression: 'request.time.getHours("UTC") < 20' }
        - { role: roles/logging.viewer, members: ["deleted:user:gone@acme.com?uid=101", "group:list@acme.com"] }
      service_accounts:
        - name: ci-runner
          display_name: CI
          description: builds
          bindings: [{ role: roles/iam.serviceAccountUser, members: ["user:klibby@acme.com"] }]
          keys:
            - { id: 0123456789abcdef0123456789abcdef01234567, created: 2025-01-01T00:00:00Z }
            - { id: 1123456789abcdef0123456789abcdef01234567, created: 2026-01-01T00:00:00Z, disabled: true }
            - { id: 2123456789abcdef0123456789abcdef01234567, managed: system }
        - { name: sleeper, disabled: true }
      roles: [{ id: prober, title: Prober, description: d, permissions: [run.services.get], stage: BETA }]
      pools: [{ id: gitlab, display_name: GitLab, providers: [{ id: gitlab, issuer: "https://gitlab.com" }] }]
    - { id: eng-old-z9, state: DELETE_REQUESTED, deleted: 2026-11-20T00:00:00Z }
  billing_accounts:
    - id: 01ABCD-234567-89ABCD
      name: Main
      bindings: [{ role: roles/billing.user, members: ["group:list@acme.com"] }]
    - { id: 11ABCD-234567-89ABCD, name: Other }
    - { id: 21ABCD-234567-89ABCD, open: false }
  groups:
    - email: list@acme.com
      description: everybody
      members:
        - { email: klibby@acme.com, roles: [MEMBER, OWNER] }
        - { email: dmurphy@acme.com, expires: 2027-01-01T00:00:00Z }
        - { email: ci-runner@eng-dev-a1.iam.gserviceaccount.com }
        - { email: empty@acme.com }
    - { email: empty@acme.com }
    - { email: more@acme.com, members: [{ email: dmurphy@acme.com }] }
  users:
    - { email: klibby@acme.com, given: Kate, family: Libby, sessions: 2, last_login: 2026-11-22T08:00:00Z,
        tokens: [{ client: 123.apps.googleusercontent.com, name: some app }, { client: 124.apps.googleusercontent.com, name: other, scopes: [openid] }] }
    - { email: dmurphy@acme.com, given: Dade, family: Murphy }
    - { email: out@acme.com, suspended: true }
    - { email: old@acme.com, archived: true }
    - { email: gone@acme.com, deleted: 2026-11-20T00:00:00Z }
"#;

/// Passes exchanges on to Prism, and looks itself at what Prism does not: at parameters of a query that no description
/// has, and at bodies where none is described.
#[derive(Debug)]
struct Strict {
    prism: Watching,
    described: Vec<Described>,
    broken: Mutex<BTreeSet<String>>,
}

/// A method of Google's.
#[derive(Debug)]
struct Described {
    method: String,
    /// The parts of its path, each as what it begins with, whether anything follows, and what it ends with.
    parts: Vec<(String, bool, String)>,
    query: BTreeSet<String>,
    has_body: bool,
}

impl Described {
    fn all(description: &serde_json::Value) -> Vec<Self> {
        let part = |part: &str| match part.split_once('{') {
            Some((before, rest)) => (before.to_owned(), true, rest.split_once('}').unwrap().1.to_owned()),
            None => (part.to_owned(), false, String::new()),
        };
        let mut all = Vec::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, it) in methods.as_object().unwrap() {
                let query = it["parameters"].as_array().unwrap().iter().filter(|it| it["in"] == "query");
                all.push(Self {
                    method: method.to_uppercase(),
                    parts: path.split('/').map(part).collect(),
                    query: query.map(|it| it["name"].as_str().unwrap().to_owned()).collect(),
                    has_body: it["requestBody"].is_object(),
                });
            }
        }
        all
    }

    /// How many letters of a path are as described; `None`: it is another path.
    fn fits(&self, method: &str, path: &str) -> Option<usize> {
        let given: Vec<&str> = path.split('/').collect();
        let fits = |((before, any, after), given): (&(String, bool, String), &&str)| match any {
            true => {
                let rest = given.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                (!rest.is_empty()).then_some(before.len() + after.len())
            }
            false => (before == given).then_some(before.len()),
        };
        (self.method == method && self.parts.len() == given.len())
            .then(|| self.parts.iter().zip(&given).map(fits).sum::<Option<usize>>())?
    }
}

impl Strict {
    fn new() -> Self {
        let described = Described::all(&google_description());
        Self { prism: Watching::new(), described, broken: Mutex::default() }
    }

    fn check(&self, request: &Request<Bytes>) -> Result<(), String> {
        let (method, uri) = (request.method().as_str(), request.uri());
        let fitting = self.described.iter().filter_map(|it| Some((it.fits(method, uri.path())?, it)));
        let described = fitting.max_by_key(|(letters, _)| *letters).ok_or("is no method of Google's")?.1;
        for (name, _) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if !described.query.contains(&*name) {
                return Err(format!("has no parameter `{name}`"));
            }
        }
        match described.has_body || request.body().is_empty() {
            true => Ok(()),
            false => Err("has no body".to_owned()),
        }
    }

    /// Asserts that nothing broke a description, and says each thing once.
    fn assert_kept(&self) {
        let mut broken = std::mem::take(&mut *self.broken.lock().unwrap_or_else(PoisonError::into_inner));
        broken.extend(self.prism.said().iter().map(ToString::to_string));
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

#[async_trait]
impl Transport for Strict {
    async fn call(&self, request: Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        if let Err(why) = self.check(&request) {
            let why = format!("{} {} {why}", request.method(), request.uri());
            self.broken.lock().unwrap_or_else(PoisonError::into_inner).insert(why);
        }
        self.prism.call(request).await
    }
}

/// What the provider asks of Google, as the simulator calls it.
const OPERATIONS: &[&str] = &[
    "DELETE /admin/directory/v1/users/{id}/tokens/{id}",
    "DELETE /v1/groups/{id}",
    "DELETE /v1/groups/{id}/memberships/{id}",
    "DELETE /v1/organizations/{id}/roles/{id}",
    "DELETE /v1/projects/{id}/roles/{id}",
    "DELETE /v1/projects/{id}/serviceAccounts/{id}",
    "DELETE /v1/projects/{id}/serviceAccounts/{id}/keys/{id}",
    "DELETE /v3/folders/{id}",
    "DELETE /v3/liens/{id}",
    "DELETE /v3/projects/{id}",
    "GET /admin/directory/v1/users",
    "GET /admin/directory/v1/users/{id}",
    "GET /admin/directory/v1/users/{id}/tokens",
    "GET /oauth2/v2/userinfo",
    "GET /v1/billingAccounts",
    "GET /v1/billingAccounts/{id}",
    "GET /v1/billingAccounts/{id}:getIamPolicy",
    "GET /v1/groups",
    "GET /v1/groups/-/memberships:searchDirectGroups",
    "GET /v1/groups/{id}",
    "GET /v1/groups/{id}/memberships",
    "GET /v1/groups/{id}/memberships/{id}",
    "GET /v1/groups/{id}/memberships:lookup",
    "GET /v1/groups:lookup",
    "GET /v1/operations/{id}",
    "GET /v1/organizations/{id}/assets",
    "GET /v1/organizations/{id}/roles/{id}",
    "GET /v1/organizations/{id}:searchAllIamPolicies",
    "GET /v1/projects/{id}/billingInfo",
    "GET /v1/projects/{id}/roles/{id}",
    "GET /v1/projects/{id}/serviceAccounts/{id}",
    "GET /v1/projects/{id}/serviceAccounts/{id}/keys",
    "GET /v1/projects/{id}/services",
    "GET /v3/folders",
    "GET /v3/folders:search",
    "GET /v3/liens",
    "GET /v3/operations/{id}",
    "GET /v3/organizations/{id}",
    "GET /v3/projects/{id}",
    "GET /v3/projects:search",
    "PATCH /v1/groups/{id}",
    "PATCH /v1/organizations/{id}/roles/{id}",
    "PATCH /v1/projects/{id}/roles/{id}",
    "PATCH /v1/projects/{id}/serviceAccounts/{id}",
    "PATCH /v3/projects/{id}",
    "POST /admin/directory/v1/users/{id}/signOut",
    "POST /v1/billingAccounts/{id}:setIamPolicy",
    "POST /v1/groups",
    "POST /v1/groups/{id}/memberships",
    "POST /v1/groups/{id}/memberships/{id}:modifyMembershipRoles",
    "POST /v1/organizations/{id}/roles",
    "POST /v1/organizations/{id}/roles/{id}:undelete",
    "POST /v1/projects/{id}/roles",
    "POST /v1/projects/{id}/serviceAccounts",
    "POST /v1/projects/{id}/serviceAccounts/{id}/keys/{id}:disable",
    "POST /v1/projects/{id}/serviceAccounts/{id}:disable",
    "POST /v1/projects/{id}/serviceAccounts/{id}:enable",
    "POST /v1/projects/{id}/serviceAccounts/{id}:getIamPolicy",
    "POST /v1/projects/{id}/serviceAccounts/{id}:setIamPolicy",
    "POST /v1/projects/{id}/services/{id}:disable",
    "POST /v1/projects/{id}/services/{id}:enable",
    "POST /v1/projects/{id}/services:batchEnable",
    "POST /v3/folders",
    "POST /v3/folders/{id}:getIamPolicy",
    "POST /v3/folders/{id}:setIamPolicy",
    "POST /v3/liens",
    "POST /v3/organizations/{id}:getIamPolicy",
    "POST /v3/organizations/{id}:setIamPolicy",
    "POST /v3/projects",
    "POST /v3/projects/{id}:getIamPolicy",
    "POST /v3/projects/{id}:move",
    "POST /v3/projects/{id}:setIamPolicy",
    "POST /v3/projects/{id}:undelete",
    "PUT /v1/projects/{id}/billingInfo",
];

/// What no other narrative does.
fn more() -> Vec<Step> {
    let (account, role) =
        ("gcp/eng-dev-a1:service_account/sleeper", address("gcp/eng-dev-a1:custom_role/prober"));
    let disabled = |disabled: bool| attributes([("disabled", disabled.into())]);
    let titled = |title: &str| attributes([("title", title.into())]);
    vec![
        Step::new("wake an account", [update(&address(account), disabled(true), disabled(false))]),
        Step::new("call a project's role something else", [update(&role, titled("Prober"), titled("Probe"))]),
        Step::new("delete that", [delete(&role, Attributes::new())]),
    ]
}

/// Writes changes, and asks about those that take their time.
async fn write(gcp: &dyn Provider, live: &Snapshot, changes: &[Change]) {
    let writer = gcp.writer(&permit(changes.iter().map(|change| change.effect.clone()).collect()), live);
    for change in changes {
        let mut outcome =
            writer.write(change).await.unwrap_or_else(|error| panic!("{}: {error}", change.target()));
        while let Outcome::Pending { poll } = &outcome {
            SystemClock.sleep(Duration::from_millis(300)).await;
            outcome = writer.poll(change, poll).await.unwrap();
        }
    }
}

/// What a project has that takes a call each, while operations take their time.
async fn slow_fields(gcp: &dyn Provider, simulator: &Simulator) {
    let project = address("gcp:project/eng-dev-a1");
    let billing = |digit: char| format!("gcp:billing_account/{digit}1ABCD-234567-89ABCD");
    let services =
        |names: &[&str]| Value::map(names.iter().map(|name| (format!("{name}.googleapis.com"), "enabled")));
    let fields = |account: Value, lien: Value, on: &[&str]| {
        attributes([("billing", account), ("lien", lien), ("services", services(on))])
    };
    let steps = [
        fields(billing('0').into(), Value::Null, &["run"]),
        fields(billing('1').into(), "audited".into(), &["run", "logging"]),
        fields(Value::Null, "audited twice".into(), &["storage", "pubsub"]),
        fields(billing('0').into(), Value::Null, &["storage", "pubsub"]),
    ];
    simulator.edit(|world| world.gcp.operation_seconds = 1).unwrap();
    for pair in steps.windows(2) {
        let live = gcp.observe(&BTreeSet::new()).await;
        write(gcp, &live, &[update(&project, pair[0].clone(), pair[1].clone())]).await;
        let seen = gcp.observe_fields(&[(project.clone(), pair[1].clone())].into()).await;
        for name in ["billing", "lien"] {
            assert_eq!(seen.resources[&project].attributes.get(name), pair[1].get(name));
        }
    }
    let folder = address("gcp:folder/eng/slow");
    let live = gcp.observe(&BTreeSet::new()).await;
    write(gcp, &live, &[create(&folder, Attributes::new()), delete(&folder, Attributes::new())]).await;
    simulator.edit(|world| world.gcp.operation_seconds = 0).unwrap();
}

/// Ends what lets an account and a person in, twice, and forbids the account its keys.
async fn cut_off(gcp: &dyn Provider) {
    let account = address("gcp/eng-dev-a1:service_account/ci-runner");
    let nobody = address("gcp:user/nobody@acme.com");
    assert_eq!(gcp.cut_offs(&nobody).await.unwrap(), []);
    for about in [&account, &address("gcp:user/klibby@acme.com")] {
        let cuts = gcp.cut_offs(about).await.unwrap();
        assert_eq!(cuts.len(), 1, "{cuts:?}");
        let cuts = cuts.iter().map(|cut| {
            let after = [(cut.field.clone(), Value::text(cut.after.clone()))].into();
            update(about, Attributes::new(), after)
        });
        let (cuts, live) = (cuts.collect::<Vec<_>>(), gcp.observe(&BTreeSet::new()).await);
        for _ in 0..2 {
            write(gcp, &live, &cuts).await;
        }
    }
    let wanted = attributes([("keys", "none".into())]);
    let seen = gcp.observe_fields(&[(account.clone(), wanted.clone())].into()).await;
    let found = seen.resources[&account].attributes.clone();
    assert_ne!(found, wanted);
    write(gcp, &seen, &[update(&account, found, wanted.clone())]).await;
    let seen = gcp.observe_fields(&[(account.clone(), wanted.clone())].into()).await;
    assert_eq!(seen.resources[&account].attributes, wanted);
}

/// Looks at everything in each way there is, at what is not there too.
async fn look(gcp: &dyn Provider) {
    let inventory = gcp.inventory().await;
    assert_eq!(inventory.incomplete, Vec::<String>::new());
    assert_eq!((inventory.records.len(), inventory.accounts.len()), (5, 3), "{:?}", inventory.accounts);
    for (one, there) in [
        ("gcp:user/klibby@acme.com", true),
        ("gcp:user/nobody@acme.com", false),
        ("gcp:group/nobody@acme.com", false),
        ("gcp:folder/nowhere", false),
        ("gcp:custom_role/nothing", false),
        ("gcp:billing_account/11ABCD-234567-89ABCD", true),
        ("gcp/eng-dev-a1:service_account/nobody", false),
        ("gcp/eng-dev-a1:custom_role/deploys", true),
        ("gcp/eng-dev-a1:custom_role/prober", false),
        ("gcp:organization/123456789012", true),
    ] {
        let seen = gcp.read(&address(one)).await.unwrap_or_else(|error| panic!("{one}: {error}"));
        assert_eq!(seen.resources.contains_key(&address(one)), there, "{one}");
    }
    for (principal, bound) in [
        ("gcp:user/dmurphy@acme.com", true),
        ("gcp:group/list@acme.com", true),
        ("gcp/eng-dev-a1:service_account/ci-runner", true),
        ("gcp:user/nobody@acme.com", false),
    ] {
        let seen = gcp.edges_of(&address(principal)).await.unwrap();
        assert_eq!(!seen.grants.is_empty(), bound, "{principal}: {:#?}", seen.grants);
        assert_eq!(seen.coverage.get(principal), Some(&Coverage::Complete), "{principal}");
    }
    let stranger = grant(&edge("gcp:user/nobody@acme.com", "roles/viewer", "gcp:project/eng-dev-a1"));
    let writer = gcp.writer(&permit([stranger.effect.clone()].into()), &Snapshot::default());
    writer.write(&stranger).await.unwrap_err();
}

/// Each way in which Google refuses; how many calls it took.
async fn refusals(network: &dyn Transport, simulator: &Simulator, url: &str) -> u64 {
    let faults = [
        Fault::Throttled,
        Fault::Throttled,
        Fault::Throttled,
        Fault::Throttled,
        Fault::ThrottledSilently,
        Fault::Denied,
        Fault::Unauthorized,
        Fault::Status(503),
    ];
    let mut calls = 0;
    for path in ["/v3/projects:search", "/v1/groups?parent=customers%2FC01acme"] {
        for fault in faults {
            simulator.faults().once(&format!("GET {}", path.split('?').next().unwrap()), fault);
            let request = Request::get(format!("{url}{path}")).header("authorization", "Bearer x");
            let answer = network.call(request.body(Bytes::new()).unwrap()).await.unwrap();
            assert!(answer.status().as_u16() > 400, "{fault:?}");
            calls += 1;
        }
    }
    calls
}

#[test]
fn what_prism_does_not_look_at_is_looked_at() {
    let parameter = |name: &str| serde_json::json!({"in": "query", "name": name});
    let description = serde_json::json!({"paths": {
        "/v1/a/{aId}": {"get": {"parameters": [parameter("view")]}},
        "/v1/a/{aId}:do": {"get": {"parameters": []}, "post": {"parameters": [], "requestBody": {}}},
    }});
    let described = Described::all(&description);
    let strict = Strict { prism: Watching::new(), described, broken: Mutex::default() };
    for (method, target, body, kept) in [
        ("GET", "/v1/a/1?view=x", "", true),
        ("GET", "/v1/a/1?views=x", "", false),
        ("GET", "/v1/a/1:do?view=x", "", false),
        ("GET", "/v1/a/1?view=x", "{}", false),
        ("POST", "/v1/a/1:do", "{}", true),
        ("POST", "/v1/a/1", "{}", false),
        ("GET", "/v1/a/", "", false),
        ("GET", "/v1/a/1/b", "", false),
    ] {
        let request = Request::builder().method(method).uri(format!("http://127.0.0.1{target}"));
        let request = request.body(Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(strict.check(&request).is_ok(), kept, "{method} {target} {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_conforms_through_prism_without_breaking_what_google_published() {
    let simulator = world(EVERYTHING);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let served = simulator.clone();
    let serving = tokio::spawn(async move { served.serve(listener).await });
    let name = "gcp::contract::google_conforms_through_prism_without_breaking_what_google_published";
    let started = tokio::task::spawn_blocking(move || Prism::start(name, "google", &upstream)).await.unwrap();
    let Some(prism) = started else { return };

    let strict = Arc::new(Strict::new());
    let settings = [("users", NodeValue::Bool(true)), ("url", NodeValue::Text(prism.url()))];
    let gcp = provider(&settings, strict.clone(), Arc::new(SystemClock)).await;
    let steps: Vec<Step> = narrative().into_iter().chain(more()).collect();
    let ran = conformance::run(&*gcp, &SystemClock, &observed(), &steps, &permit).await;
    // First of all, since what breaks the description explains what else goes wrong.
    strict.assert_kept();
    let live = ran.unwrap();
    assert!(live.coverage.values().all(|coverage| *coverage == Coverage::Complete));
    look(&*gcp).await;
    strict.assert_kept();
    cut_off(&*gcp).await;
    strict.assert_kept();
    slow_fields(&*gcp, &simulator).await;
    strict.assert_kept();
    let more = refusals(&*strict, &simulator, &prism.url()).await;
    strict.assert_kept();

    // What was sent is what arrived is what Prism judged: there is no exchange of which nothing is known.
    let (sent, arrived) = (gcp.calls() + more, simulator.calls());
    let judged = tokio::task::spawn_blocking(move || prism.finish()).await.unwrap();
    serving.abort();
    assert_eq!(judged.violations, Vec::<String>::new());
    assert_eq!((arrived.values().sum::<u64>(), judged.exchanges as u64), (sent, sent));
    assert!(sent > 1000, "{sent}");
    let known: BTreeSet<&str> = OPERATIONS.iter().copied().collect();
    let arrived: BTreeSet<&str> = arrived.keys().map(String::as_str).collect();
    let (more, less) = (arrived.difference(&known), known.difference(&arrived));
    assert_eq!((more.collect::<Vec<_>>(), less.collect::<Vec<_>>()), (Vec::new(), Vec::new()));
}
