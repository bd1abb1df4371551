//! What a merge request brings along to be judged by: a memory, a world, another host.
//!
//! Invariant: each is refused before anything of it is believed and before the first call to whoever it names.

use super::Company;

/// Demands that plan, apply and the standing job are refused with this code, and that nothing was written.
#[track_caller]
fn refused_everywhere(company: &Company, variables: &[(&str, &str)], code: &str) {
    let before = company.groups();
    for arguments in [&["plan"][..], &["apply", "--yes"], &["apply", "--standing", "--yes"]] {
        let ran = company.run(arguments, variables);
        let by_base = arguments.contains(&"--standing") && ran.code == 0;
        assert!(by_base || [1, 4].contains(&ran.code), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(by_base || ran.stderr.contains(code), "{arguments:?}: {}", ran.stderr);
        assert_eq!(company.groups(), before, "{arguments:?} wrote something");
    }
}

#[test]
fn invariant_43_a_memory_that_came_with_a_merge_request_is_refused() {
    let company = Company::settled();
    company.add("mallory");
    // A memory in which all of this was there already, so that nothing of it is asked for.
    for (file, text) in [
        ("base.json", company.repo.read(".rolecall/verified/base.json")),
        ("demand.json", "{\"format\":\"rolecall.demand/v1\",\"grants\":[],\"resources\":{}}".to_owned()),
        ("base/roles/infra.yaml", company.repo.read("roles/infra.yaml")),
    ] {
        company.repo.write(&format!("state/deep/verified/{file}"), &text);
    }
    let settings = format!("{}memory: state/deep\n", company.repo.read("rolecall.yaml"));
    company.repo.write("rolecall.yaml", &settings);
    company.repo.write("state/deep/verified/base/rolecall.yaml", &settings);
    // It is not what the last memory says, in Git or not.
    refused_everywhere(&company, &[], "RC706");
    company.commit("mallory@acme.com");
    refused_everywhere(&company, &[], "RC706");
    // Nor is it where the job has no other.
    std::fs::rename(company.repo.path().join(".rolecall"), company.repo.path().join("out/memory")).unwrap();
    refused_everywhere(&company, &[], "RC706");
    // A link to it is as good as the folder itself.
    std::os::unix::fs::symlink("state", company.repo.path().join("way")).unwrap();
    company.repo.write("rolecall.yaml", &settings.replace("memory: state", "memory: way"));
    company.commit("mallory@acme.com");
    refused_everywhere(&company, &[], "RC706");
}

#[test]
fn invariant_43_a_memory_that_is_added_where_the_usual_one_is_is_refused() {
    let company = Company::settled();
    company.git(&["add", "--force", ".rolecall"], "mallory@acme.com");
    company.commit("mallory@acme.com");
    refused_everywhere(&company, &[], "RC706");
}

#[test]
fn invariant_43_what_is_simulated_becomes_no_base_of_what_is_real() {
    let company = Company::settled();
    let real = company.repo.read("rolecall.yaml");
    company.add("mallory");
    company.repo.write("world.yaml", super::WORLD);
    company.repo.write("rolecall.yaml", &format!("{real}simulate: world.yaml\n"));
    company.commit("mallory@acme.com");
    refused_everywhere(&company, &[], "RC703");
    // Nor in a pipeline in which nothing real may be written: base, which would serve in its place, is real.
    let branch = [("CI", "true"), ("CI_PIPELINE_SOURCE", "push"), ("CI_COMMIT_REF_PROTECTED", "false")];
    let ran = company.run(&["apply", "--standing", "--yes"], &branch);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("RC703"), "{}", ran.stderr);
    // And not the other way.
    let company = Company::new();
    company.repo.write("world.yaml", super::WORLD);
    let real = company.repo.read("rolecall.yaml");
    company.repo.write("rolecall.yaml", &format!("{real}simulate: world.yaml\n"));
    assert_eq!(company.apply().code, 0);
    company.repo.write("rolecall.yaml", &real);
    company.commit("mallory@acme.com");
    let ran = company.run(&["plan"], &[]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stderr.contains("RC703"), "{}", ran.stderr);
}
