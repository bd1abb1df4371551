//! Broken access repos: each gives clear findings at the right places, and nothing panics.
//!
//! `tests/broken/base` is whole. Each other folder there is laid over it and has an `expected` file with the findings,
//! a line each. `ROLECALL_BLESS=1 cargo test` writes them anew; read the difference before you keep it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use rolecall::manifest::{json_schema, load};
use rolecall::model::{
    AccessLowering, Address, Finding, Kind, Level, Lowering, Name, Native, Node, ProviderScope, ProviderType,
    Registry, Schema, Sources, decode,
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;

/// A thing of the toy provider.
#[derive(Debug, Deserialize, JsonSchema)]
struct Thing {
    /// How big it is.
    size: Option<u32>,
}

impl Native for Thing {
    fn lower(&self, lowering: &mut Lowering<'_>) {
        let size = self.size.map(|size| i64::from(size).into());
        lowering.resource("thing", [("size", size)], false);
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ToySettings {
    #[expect(dead_code, reason = "only whether it is there counts")]
    url: String,
}

fn toy() -> Registry {
    fn access(_: &Node, _: &mut AccessLowering<'_>) {}
    fn principal(instance: &str, scope: Option<&str>, identity: &str) -> Address {
        Address::new(instance, scope, "user", identity)
    }
    fn settings(node: &Node, findings: &mut Vec<Finding>) -> ProviderScope {
        decode::<ToySettings>(node, findings);
        ProviderScope::default()
    }
    let any = |_: &mut SchemaGenerator| true.into();
    let toy = ProviderType {
        name: "toy",
        kinds: vec![Kind::of::<Thing>("toy/Thing", Schema::new("thing", "things"))],
        relations: Vec::new(),
        person_kind: "user",
        role_group: Some(("thing", "member")),
        access,
        access_schema: any,
        principal,
        settings,
        places: None,
        settings_schema: |generator| ToySettings::json_schema(generator),
    };
    Registry { types: vec![toy] }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

/// All files below a folder, by their path in it.
fn read(folder: &Path) -> BTreeMap<Name, Arc<[u8]>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name.into(), fs::read(&path).unwrap().into());
            }
        }
    }
    files
}

fn base() -> Sources {
    Sources { files: read(&fixtures().join("base")) }
}

/// What is said about the base with some files laid over it.
fn findings(over: impl IntoIterator<Item = (Name, Arc<[u8]>)>) -> Vec<Finding> {
    let mut sources = base();
    sources.files.extend(over);
    let (tree, findings) = load(&sources, &toy());
    let broken = findings.iter().any(|finding| finding.level == Level::Error);
    assert_eq!(tree.is_none(), broken, "there is a tree if and only if there is no error");
    findings
}

fn shown(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let place = finding.span.as_ref().map_or_else(String::new, ToString::to_string);
        writeln!(text, "{} {place}: {}", finding.code, finding.message).unwrap();
        if let Some(help) = &finding.help {
            writeln!(text, "  {help}").unwrap();
        }
    }
    text
}

#[test]
fn the_base_is_whole() {
    assert_eq!(shown(&findings([])), "");
}

#[test]
fn each_broken_repo_gives_exactly_these_findings() {
    let bless = crate::repo::blessing();
    let mut cases: Vec<PathBuf> =
        fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| !case.ends_with("base"));
    cases.sort();
    assert!(cases.len() >= 30);
    let mut wrong = String::new();
    for case in cases {
        let mut over = read(&case);
        let expected = over.remove("expected").unwrap_or_default();
        let found = findings(over);
        assert!(
            found.iter().any(|finding| finding.level == Level::Error),
            "{} is not broken",
            case.display()
        );
        let found = shown(&found);
        if bless {
            fs::write(case.join("expected"), &found).unwrap();
        } else if found.as_bytes() != &*expected {
            let expected = String::from_utf8_lossy(&expected);
            writeln!(wrong, "{}\nexpected:\n{expected}\nfound:\n{found}", case.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is too large or too ugly to be a file: the codes and places that it gives as `roles/x.yaml`.
fn at_x(bytes: impl AsRef<[u8]>) -> Vec<String> {
    let found = findings([("roles/x.yaml".into(), Arc::from(bytes.as_ref()))]);
    found.iter().map(|finding| format!("{} {}", finding.code, finding.span.as_ref().unwrap())).collect()
}

#[test]
fn a_line_of_ten_megabytes_is_refused_without_reading_it() {
    assert_eq!(at_x("x".repeat(10 << 20)), ["RC104 roles/x.yaml:1:1"]);
    let long = format!("kind: Role\nname: x\ndescription: {}\n", "x".repeat(100_000));
    assert_eq!(at_x(long), ["RC104 roles/x.yaml:3:1"]);
}

#[test]
fn bytes_that_are_not_utf8_are_placed() {
    assert_eq!(at_x(b"kind: Role\nname: x\ndescription: \xc3\xa9\xff\n"), ["RC101 roles/x.yaml:3:15"]);
    assert_eq!(at_x(b"\xff\xfek\0i\0"), ["RC101 roles/x.yaml:1:1", "RC102 roles/x.yaml:1:4"]);
}

#[test]
fn invariant_33_an_alias_bomb_is_refused_small() {
    let mut bomb = String::from("kind: Role\nname: x\na: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (next, last) in ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip("abcdefgh".chars()) {
        let aliases = [format!("*{last}").as_str(); 10].join(", ");
        writeln!(bomb, "{next}: &{next} [{aliases}]").unwrap();
    }
    let found = at_x(bomb);
    assert_eq!(found.iter().filter(|finding| finding.starts_with("RC106")).count(), 1, "{found:?}");
}

#[test]
fn invariant_33_deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        let deep =
            format!("kind: Role\nname: x\nmembers:\n  {}x{}\n", open.repeat(5_000), close.repeat(5_000));
        let found = at_x(deep);
        assert!(found.iter().any(|finding| finding.starts_with("RC105 roles/x.yaml:4:")), "{open} {found:?}");
    }
    // Levels that come by aliases count too.
    let mut chain = String::from("kind: Role\nname: x\na0: &a0 [x]\n");
    for n in 1..200 {
        writeln!(chain, "a{n}: &a{n} [*a{}]", n - 1).unwrap();
    }
    assert!(at_x(chain).iter().any(|finding| finding.starts_with("RC105")));
}

#[test]
fn a_repo_without_settings_says_so() {
    let (tree, findings) = load(&Sources::default(), &toy());
    assert!(tree.is_none());
    assert_eq!(shown(&findings).lines().next().unwrap(), "RC114 rolecall.yaml: there is no `rolecall.yaml`");
}

#[test]
fn a_file_full_of_mistakes_is_told_shortly() {
    let many = format!("kind: Role\nname: x\nowners:\n{}", "  - NO\n".repeat(5_000));
    let found = findings([("roles/x.yaml".into(), Arc::from(many.as_bytes()))]);
    assert_eq!(found.len(), 101);
    assert!(found[100].message.contains("and at least 900 more"), "{}", found[100].message);
}

#[test]
fn each_kind_has_a_json_schema() {
    let registry = toy();
    for kind in ["User", "Role", "Unit", "Grant", "Waiver", "Settings", "toy/Thing"] {
        let schema = json_schema(&registry, Some(kind)).unwrap();
        assert_eq!(schema["type"], "object", "{kind}");
        assert_eq!(schema["additionalProperties"], false, "{kind}");
        for (name, property) in schema["properties"].as_object().unwrap() {
            let described = property.get("description").is_some() || property.get("$ref").is_some();
            assert!(described || property.is_boolean(), "`{name}` of {kind} has no description");
        }
    }
    assert!(json_schema(&registry, Some("Rol")).is_none());
    let thing = json_schema(&registry, Some("toy/Thing")).unwrap();
    let mut keys: Vec<&String> = thing["properties"].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["account", "accounts", "kind", "name", "provider", "renamed_from", "size"]);
    assert_eq!(json_schema(&registry, None).unwrap()["oneOf"].as_array().unwrap().len(), 8);
}

/// Every definition that a schema refers to is there.
#[test]
fn json_schemas_hold_together() {
    fn references<'v>(value: &'v serde_json::Value, found: &mut Vec<&'v str>) {
        match value {
            serde_json::Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(|reference| reference.as_str()));
                fields.values().for_each(|value| references(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let kinds = ["User", "Role", "Unit", "Grant", "Waiver", "Settings", "toy/Thing"];
    for kind in kinds.into_iter().map(Some).chain([None]) {
        let schema = json_schema(&toy(), kind).unwrap();
        let mut found = Vec::new();
        references(&schema, &mut found);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(schema.pointer(pointer).is_some(), "{kind:?} refers to {reference}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        findings([("roles/x.yaml".into(), Arc::from(bytes.as_slice()))]);
        findings([("rolecall.yaml".into(), Arc::from(bytes))]);
    }

    #[test]
    fn arbitrary_yaml_like_text_never_panics(text in "[-a-z0-9:,&*!?|>%@\"'#{}\\[\\] \n\t]{0,200}") {
        findings([("roles/x.yaml".into(), Arc::from(text.as_bytes()))]);
        findings([("rolecall.yaml".into(), Arc::from(text.as_bytes()))]);
    }

    /// A piece of a whole file is cut out, doubled, or replaced by something else.
    #[test]
    fn mutated_manifests_never_panic(
        file in 0_usize..5,
        at in any::<prop::sample::Index>(),
        length in 0_usize..12,
        new in "[-a-z0-9:,&*!\"{}\\[\\] \n\u{202e}é]{0,6}",
        doubled in any::<bool>(),
    ) {
        let sources = base();
        let (name, bytes) = sources.files.iter().nth(file).unwrap();
        let start = at.index(bytes.len());
        let end = (start + length).min(bytes.len());
        let mut mutated = bytes[..start].to_vec();
        mutated.extend_from_slice(new.as_bytes());
        if doubled {
            mutated.extend_from_slice(&bytes[start..end]);
            mutated.extend_from_slice(&bytes[start..end]);
        }
        mutated.extend_from_slice(&bytes[end..]);
        for finding in findings([(name.clone(), Arc::from(mutated))]) {
            let span = finding.span.expect("each finding has a place");
            prop_assert!(span.length > 0);
        }
    }
}
