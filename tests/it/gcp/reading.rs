//! How little is read, what becomes of reads that fail, and of Google's several ways to say that there were too many.

use std::fmt::Write as _;

use rolecall::simulator::Mix;

use super::*;

/// 200 projects in 30 folders, each with a policy, a service account and a few people bound.
fn large() -> Simulator {
    let mut yaml = String::from(
        "now: 2026-11-22T17:00:00Z\npage_size: 1000\ngcp:\n  organization: \"123456789012\"\n  domain: acme.com\n  \
         customer: C01acme\n  caller: serviceAccount:rolecall@acme-iam.iam.gserviceaccount.com\n  folders:\n",
    );
    for n in 0..30 {
        let path = if n < 10 { format!("unit {n:02}") } else { format!("unit {:02}/team {n:02}", n % 10) };
        writeln!(yaml, "    - {{ path: {path}, bindings: [{{ role: roles/browser, members: [\"user:p{n}@acme.com\"] }}] }}")
            .unwrap();
    }
    yaml.push_str("  projects:\n");
    for n in 0..200 {
        let folder = n % 30;
        let path = if folder < 10 {
            format!("unit {folder:02}")
        } else {
            format!("unit {:02}/team {folder:02}", folder % 10)
        };
        writeln!(
            yaml,
            "    - id: project-{n:03}\n      folder: {path}\n      labels: {{ team: t{folder} }}\n      bindings:\n        \
             - {{ role: roles/viewer, members: [\"user:p{}@acme.com\", \"group:g{}@acme.com\"] }}\n      \
             service_accounts: [{{ name: runner-{n:03} }}]",
            n % 100,
            n % 20,
        )
        .unwrap();
    }
    yaml.push_str("  groups:\n");
    for n in 0..20 {
        writeln!(yaml, "    - {{ email: g{n}@acme.com, members: [{{ email: p{n}@acme.com }}] }}").unwrap();
    }
    yaml.push_str("  users:\n");
    for n in 0..100 {
        writeln!(yaml, "    - {{ email: p{n}@acme.com }}").unwrap();
    }
    world(&yaml)
}

#[tokio::test]
async fn two_hundred_projects_cost_the_pages_that_hold_them() {
    let simulator = large();
    let gcp = provider(&[], Arc::new(simulator.clone()), simulator.clock()).await;
    gcp.identity().await.unwrap();
    let inventory = gcp.inventory().await;
    assert_eq!((inventory.accounts.len(), inventory.incomplete.len()), (200, 0));
    let groups: BTreeSet<Address> = (0..20).map(|n| address(&format!("gcp:group/g{n}@acme.com"))).collect();
    let mut edges_of = groups.clone();
    edges_of.extend((0..200).map(|n| address(&format!("gcp:project/project-{n:03}"))));
    let live = gcp.observe(&edges_of).await;
    assert_eq!(live.edges_on(&address("gcp:project/project-007")).len(), 2);

    // Who calls and whether he sees the organization; the pages of folders, projects, things and policies as large as
    // Google makes them; groups, and the members of each that is asked for.
    let pages = |things: u64, page: u64| things.div_ceil(page).max(1);
    let bound =
        2 + pages(30, 500) + pages(200, 500) + pages(200, 1000) + pages(230, 500) + pages(20, 500) + 20;
    let calls = simulator.requests();
    assert!(calls * 10 <= bound * 11, "{calls} calls, and {bound} pages: {:?}", simulator.calls());
    assert_eq!(simulator.writes(), 0);
}

/// Whatever list breaks off, and wherever: what is missing lies in a scope that is not called complete.
#[tokio::test]
async fn invariant_11_each_list_that_breaks_off_is_told() {
    let whole = simulated(&world(WORLD)).await.observe(&observed()).await;
    let lists = [
        "GET /v3/folders:search",
        "GET /v3/projects:search",
        "GET /v1/organizations/{id}/assets",
        "GET /v1/organizations/{id}:searchAllIamPolicies",
        "GET /v1/groups",
        "GET /v1/groups/{id}/memberships",
        "GET /admin/directory/v1/users",
        "GET /v1/billingAccounts",
    ];
    for action in lists {
        for fault in
            [Fault::Denied, Fault::Status(500), Fault::Html(502), Fault::ResetBefore, Fault::Truncated]
        {
            for skip in [0, 1] {
                let simulator = world(WORLD);
                simulator.faults().plan(Planned { action: action.into(), skip, times: 100, fault });
                let gcp = simulated(&simulator).await;
                let cut = simulator.clock().drive(gcp.observe(&observed())).await;
                let called = simulator.calls().get(action).copied().unwrap_or_default();
                // What never arrives is not counted.
                assert!(
                    called > 0 || fault == Fault::ResetBefore,
                    "`{action}` is not called: {:?}",
                    simulator.calls()
                );
                if skip > 0 && called < 2 {
                    continue;
                }
                tells_what_is_missing(&whole, &cut)
                    .unwrap_or_else(|error| panic!("{action} {fault:?} {skip}: {error}"));
            }
        }
    }
}

/// A search that is behind shows what was written here all the same: that is read exactly.
#[tokio::test]
async fn invariant_27_what_was_just_written_is_read_exactly() {
    let simulator =
        world(&WORLD.replace("  customer: C01acme", "  customer: C01acme\n  asset_lag_seconds: 600"));
    let gcp = simulated(&simulator).await;
    let clock = simulator.clock();
    let (observed, narrative) = (observed(), narrative());
    let run = conformance::run(&*gcp, &*clock, &observed, &narrative, &permit);
    clock.drive(run).await.unwrap_or_else(|error| panic!("{error}"));
}

/// Google says in several ways that there were too many calls, one of them by 403: each is waited for.
#[tokio::test]
async fn invariant_28_every_way_to_say_too_many_is_waited_for() {
    for skip in 0..12 {
        let simulator = world(WORLD);
        simulator.faults().plan(Planned { action: "*".into(), skip, times: 3, fault: Fault::Throttled });
        let gcp = simulated(&simulator).await;
        let clock = simulator.clock();
        let before = clock.now();
        let work = async {
            gcp.identity().await.unwrap();
            assert_eq!(gcp.inventory().await.incomplete, Vec::<String>::new());
            gcp.observe(&observed()).await
        };
        let live = clock.drive(work).await;
        assert!(
            live.coverage.values().all(|coverage| *coverage == Coverage::Complete),
            "{:?}",
            live.coverage
        );
        assert!(clock.now() > before, "nobody waited");
    }
}

#[tokio::test]
async fn invariant_28_quotas_are_kept_and_every_change_is_written() {
    let quota = "  customer: C01acme\n  limits: { reads_per_minute: 60, writes_per_minute: 20 }";
    let simulator = world(&WORLD.replace("  customer: C01acme", quota));
    simulator.faults().seeded(1, Mix::none());
    let gcp = simulated(&simulator).await;
    let clock = simulator.clock();
    let live = clock.drive(gcp.observe(&observed())).await;
    let changes: Vec<Change> = (0..60)
        .map(|n| {
            create(
                &address(&format!("gcp:custom_role/role_{n:02}")),
                attributes([
                    ("permissions", Value::List(vec!["run.services.get".into()])),
                    ("stage", "ga".into()),
                ]),
            )
        })
        .collect();
    let writer = gcp.writer(&permit(changes.iter().map(|change| change.effect.clone()).collect()), &live);
    clock
        .drive(async {
            for change in &changes {
                writer.write(change).await.unwrap_or_else(|error| panic!("{error}"));
            }
        })
        .await;
    assert_eq!(simulator.world().gcp.roles.len(), 60);
}

/// A person's edges, from his side: bindings wherever they are, and the groups that he is in.
#[tokio::test]
async fn what_somebody_has_is_asked_from_his_side() {
    let simulator = world(WORLD);
    let gcp = simulated(&simulator).await;
    let whole = gcp.observe(&observed()).await;
    for person in ["gcp:user/klibby@acme.com", "gcp:user/dmurphy@acme.com", "gcp:group/list@acme.com"] {
        let person = address(person);
        let seen = gcp.edges_of(&person).await.unwrap();
        assert_eq!(seen.coverage[person.as_str()], Coverage::Complete);
        let keys = |grants: &mut dyn Iterator<Item = &rolecall::model::LiveGrant>| -> BTreeSet<GrantKey> {
            grants.filter(|edge| edge.key.principal == person).map(|edge| edge.key.clone()).collect()
        };
        let (alone, all) = (keys(&mut seen.grants.iter()), keys(&mut whole.grants.iter()));
        assert_eq!(alone, all, "{person}");
        assert!(!alone.is_empty());
        let held: BTreeSet<Address> = alone.iter().map(|key| key.resource.clone()).collect();
        assert_eq!(gcp.holdings(&person).await, Some(held));
    }
}
