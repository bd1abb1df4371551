//! The soak as a command: a seed says everything, and a guard can be missing only where that was built in.

use serde_json::Value as Json;

use crate::repo::{Ran, Repo};

fn soak(arguments: &[&str]) -> Ran {
    let mut all = vec!["soak"];
    all.extend(arguments);
    Repo::empty().run_with(&all, &[])
}

/// What a soak counted, without what depends on the machine.
fn counted(ran: &Ran) -> Json {
    let mut told: Json =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", ran.stdout, ran.stderr));
    told.as_object_mut().unwrap().remove("cpu_seconds_a_seed");
    told
}

#[test]
fn a_soak_ends_with_zeros_and_repeats_seed_by_seed() {
    let range = ["--first", "1", "--seeds", "4", "--format", "json"];
    let alone = soak(&range);
    assert_eq!(alone.code, 0, "{}{}", alone.stdout, alone.stderr);
    let told = counted(&alone);
    assert_eq!((told["seeds"].as_u64(), told["failing"].as_u64()), (Some(4), Some(0)));
    assert!(told["counts"]["writes"].as_u64().unwrap() > 20, "{told:#}");
    let together = soak(&[&range[..], &["--jobs", "2"]].concat());
    assert_eq!(counted(&together), told, "what else runs makes no difference");
}

#[test]
fn a_guard_that_is_not_there_or_cannot_be_missing_is_a_mistake_of_usage() {
    let ran = soak(&["--without-guard", "13", "--seeds", "1"]);
    assert_eq!(ran.code, 64, "{}", ran.stderr);
    assert!(ran.stderr.contains("9, 10, 11, 12"), "{}", ran.stderr);
    if !cfg!(feature = "unguarded") {
        let ran = soak(&["--without-guard", "14", "--seeds", "1"]);
        assert_eq!(ran.code, 64, "{}", ran.stderr);
        assert!(ran.stderr.contains("--features unguarded"), "{}", ran.stderr);
    }
}
