//! Evidence: each apply leaves a bundle, chained to the one before; base rests on the last.

use crate::repo::Repo;

fn files(repo: &Repo) -> Vec<String> {
    let folder = repo.path().join(".rolecall/evidence");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    names
}

#[test]
fn invariant_40_each_apply_leaves_a_bundle_and_whoever_alters_one_is_found_out() {
    let repo = Repo::copy_of("tests/scenarios/03-joiner/head");
    let world = crate::repo::package("tests/scenarios/03-joiner/world.yaml");
    repo.write("world.yaml", &std::fs::read_to_string(world).unwrap());
    repo.converge();
    repo.write("grants/x.yaml", "{ kind: Grant, name: x, to: tnguyen, roles: [infra], reason: rota }\n");
    repo.converge();
    let names = files(&repo);
    assert_eq!(names.len(), 2, "{names:?}");
    let ran = repo.expect(0, &["evidence", "verify"]);
    assert_eq!(ran.stderr, "2 bundles, each as it was and where it was\n");

    let bundle: serde_json::Value =
        serde_json::from_str(&repo.read(&format!(".rolecall/evidence/{}", names[0]))).unwrap();
    assert_eq!((&bundle["number"], &bundle["previous"]), (&1.into(), &serde_json::Value::Null));
    for key in ["tool", "applied", "approval", "run", "changes", "steps", "verification"] {
        assert!(bundle.get(key).is_some_and(|value| !value.is_null()), "{key}: {bundle:#}");
    }
    assert!(!bundle["steps"].as_array().unwrap().is_empty());
    let told = repo.expect(0, &["evidence", "show", "1"]).stdout;
    assert!(told.contains("none needed: everything is simulated") && told.contains("done"), "{told}");
    let none = repo.expect(1, &["evidence", "show", "9"]);
    assert!(none.stderr.contains("RC711"), "{}", none.stderr);

    for name in &names {
        let file = format!(".rolecall/evidence/{name}");
        let kept = repo.read(&file);
        repo.write(&file, &kept.replacen("\"number\"", "\"number\" ", 1));
        let ran = repo.expect(1, &["evidence", "verify"]);
        assert!(ran.stdout.contains("RC710"), "{name}: {}{}", ran.stdout, ran.stderr);
        repo.write(&file, &kept);
    }
    std::fs::remove_file(repo.path().join(".rolecall/evidence").join(&names[0])).unwrap();
    assert!(repo.expect(1, &["evidence", "verify"]).stdout.contains("RC710"));
}
