//! What a merge request brings along to be judged by: a memory, a world, another host.
//!
//! Invariant: each is refused before anything of it is believed and before the first call to whoever it names.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

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

/// A host that keeps what it is sent.
fn listener() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(String::new()));
    let kept = heard.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 4096];
            let length = stream.read(&mut bytes).unwrap_or(0);
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    });
    (url, heard)
}

#[test]
fn invariant_35_credentials_go_to_no_host_that_a_merge_request_names() {
    let (evil, heard) = listener();
    let company = Company::settled();
    let okta = company.okta.url.clone();
    let settings = company.repo.read("rolecall.yaml");
    let second = format!("providers:\n  two: {{ provider: okta, url: {evil} }}\n");
    for head in [
        settings.replace(&okta, &evil),
        // Another instance with the same token, and another sort under the same name.
        settings.replace("providers:\n", &second),
        settings.replace("okta: { url", "okta: { provider: aws, url"),
    ] {
        company.repo.write("rolecall.yaml", &head);
        let ran = company.run(&["plan"], &[]);
        assert_eq!(ran.code, 1, "{}", ran.stdout);
        assert!(ran.stderr.contains("RC505") || ran.stderr.contains("RC110"), "{}", ran.stderr);
    }
    company.repo.write("rolecall.yaml", &settings.replace(&okta, &evil));
    company.commit("mallory@acme.com");
    refused_everywhere(&company, &[], "RC505");
    // Where there is no base it is the variable beside the token that says so.
    std::fs::remove_dir_all(company.repo.path().join(".rolecall")).unwrap();
    refused_everywhere(&company, &[("OKTA_ORG_URL", &okta)], "RC505");
    assert_eq!(heard.lock().unwrap().as_str(), "", "something was sent there");
    // The same address written otherwise is the same, and the variable may name another than base.
    company.repo.write("rolecall.yaml", &settings);
    let written = format!("https://acme.okta.com, {okta}/");
    assert_eq!(company.run(&["plan"], &[("OKTA_ORG_URL", &written)]).code, 0);
}
