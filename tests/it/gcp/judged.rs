//! How changes in Google Cloud are judged: by the role that is given, by what ends, by who uses it.

use serde_json::Value as Json;

use crate::repo::Repo;

/// The example, with everything applied that it asks for.
fn applied() -> Repo {
    let repo = Repo::copy_of("examples/acme");
    repo.converge();
    repo
}

fn changes<'p>(plan: &'p Json, address: &str) -> Vec<&'p Json> {
    plan["changes"].as_array().unwrap().iter().filter(|change| change["address"] == address).collect()
}

/// What gives access is the role that a group is bound to, whoever joins the group.
#[test]
fn joining_a_group_that_is_bound_to_everything_is_high_risk() {
    let repo = applied();
    repo.replace(
        "roles/data.yaml",
        "roles: [roles/bigquery.dataViewer, job_watcher]",
        "roles: [roles/owner]",
    );
    repo.replace("roles/data.yaml", "sensitivity: medium\n", "");
    repo.replace("roles/data.yaml", "handle: [hito, rpatel]", "handle: [hito, rpatel, dmurphy]");
    let plan = repo.plan();
    for address in ["gcp:group/rbac-data_platform@acme.com", "gcp:project/acme-warehouse"] {
        let found = changes(&plan, address);
        let given: Vec<_> = found.iter().filter(|change| change["op"] == "grant").collect();
        assert!(!given.is_empty(), "{address}: {found:#?}");
        for change in given {
            assert_eq!(change["risk"], "high", "{change:#}");
            assert!(change["risk_reasons"].to_string().contains("roles/owner"), "{change:#}");
        }
    }
}

/// An end by an explicit word is no deletion of a file's, and weighs as much.
#[test]
fn invariant_20_a_project_ends_by_a_word_alone_and_at_high_risk() {
    let repo = applied();
    let project = "gcp:project/acme-warehouse";
    repo.replace(
        "native/gcp/data.yaml",
        "display_name: Data warehouse\n",
        "display_name: Data warehouse\nstate: deleted\n",
    );
    let plan = repo.plan();
    let ended = changes(&plan, project);
    assert_eq!((&ended[0]["op"], &ended[0]["risk"]), (&"update".into(), &"high".into()), "{ended:#?}");

    let repo = applied();
    let data = repo.read("native/gcp/data.yaml");
    let without = data
        .split("---\n")
        .filter(|document| !document.contains("kind: gcp/Project"))
        .collect::<Vec<_>>()
        .join("---\n");
    repo.write("native/gcp/data.yaml", &without);
    let plan = repo.plan();
    let op = |change: &&Json| change["op"] == "delete" || change["op"] == "update";
    assert!(!changes(&plan, project).iter().any(op), "{:#?}", changes(&plan, project));
}

/// A role that YAML still gives is not deleted because its document is gone.
#[test]
fn a_role_that_is_still_given_is_not_deleted() {
    let repo = applied();
    let data = repo.read("native/gcp/data.yaml");
    let without = data
        .split("---\n")
        .filter(|document| !document.contains("kind: gcp/CustomRole"))
        .collect::<Vec<_>>()
        .join("---\n");
    repo.write("native/gcp/data.yaml", &without);
    let role = "gcp:custom_role/job_watcher";
    let plan = repo.plan();
    assert!(
        changes(&plan, role).iter().all(|change| change["op"] != "delete"),
        "{:#?}",
        changes(&plan, role)
    );

    // Where nobody gives it any more, its end is an effect that names who had it.
    repo.replace(
        "roles/data.yaml",
        "roles: [roles/bigquery.dataViewer, job_watcher]",
        "role: roles/bigquery.dataViewer",
    );
    let plan = repo.plan();
    let deleted = changes(&plan, role);
    assert_eq!((deleted.len(), &deleted[0]["op"]), (1, &"delete".into()), "{deleted:#?}");
    assert!(deleted[0]["dependents"].to_string().contains("rbac-data_platform@acme.com"), "{deleted:#?}");
}
