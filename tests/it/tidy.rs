//! The rules of the house, checked over the sources as text: layering, purity, permits, lengths, names.
//!
//! Each rule is a function from sources to complaints, tried below on small ones that break it. Nothing is
//! compiled, so a rule can forbid what would compile. Items under `cfg(test)` may name what they like.

mod tokens;

use std::fs;
use std::io::Write;
use std::path::Path;

use tokens::{Kind, Named, Token, paths, without_tests};

/// Which folder of `src/` may name which others. A folder that is not here names none; `cli`, `main.rs` and
/// `lib.rs` do the wiring and name all.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("manifest", &["model"]),
    ("planner", &["model"]),
    ("gate", &["model"]),
    ("render", &["model"]),
    ("provider", &["model"]),
    ("resolve", &["model", "manifest"]),
    ("providers", &["model", "provider"]),
    ("simulator", &["model", "provider"]),
    ("apply", &["model", "manifest", "planner", "gate", "render", "provider"]),
    ("evidence", &["model", "manifest", "planner", "gate", "render", "provider"]),
    ("forge", &["model", "manifest", "planner", "gate", "render", "provider"]),
];
const WIRING: &[&str] = &["cli", "main", "lib"];

/// These are functions of their arguments: `now` is one of them.
const PURE: &[&str] = &["model", "manifest", "resolve", "planner", "gate", "render", "evidence"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "tokio",
    "reqwest",
    "hyper",
    "SystemTime",
    "Instant",
    "Zoned::now",
    "Timestamp::now",
];

/// The values without which nothing is written, and the only folders that may make one.
const GUARDED: &[&str] = &["Permit", "Verdict"];
const MAKES_GUARDED: &[&str] = &["model", "gate", "apply"];

const SOFT_CAP: usize = 400;
const HARD_CAP: usize = 600;
const TABLE: &str = "// tidy: table";
const DOC_LINES: usize = 12;

/// One source file; `path` is relative to the package, with `/`.
struct Source {
    path: String,
    text: String,
    tokens: Vec<Token>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), tokens: tokens::tokens(text) }
    }

    /// The module path below `src/`: `["providers", "okta", "write"]`; nothing for what is not there.
    fn module(&self) -> Vec<&str> {
        let Some(path) = self.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) else {
            return Vec::new();
        };
        let mut module: Vec<&str> = path.split('/').collect();
        if module.len() > 1 && module.last() == Some(&"mod") {
            module.pop();
        }
        module
    }

    /// The folder of `src/` that it belongs to, or the file's own name at the top.
    fn layer(&self) -> &str {
        self.module().first().copied().unwrap_or_default()
    }

    /// The tokens that end up in the product: none of a file of tests.
    fn product(&self) -> Vec<Token> {
        if self.module().contains(&"tests") { Vec::new() } else { without_tests(&self.tokens) }
    }

    fn at(&self, line: usize, complaint: &str) -> String {
        format!("{}:{line}: {complaint}", self.path)
    }
}

/// Folders name only those that `MAY_NAME` gives them, by `crate::…` or by climbing with `super::`.
fn layering(source: &Source) -> Vec<String> {
    let (module, layer) = (source.module(), source.layer());
    if module.is_empty() || WIRING.contains(&layer) {
        return Vec::new();
    }
    let allowed = MAY_NAME.iter().find(|(name, _)| *name == layer).map_or(&[][..], |(_, allowed)| allowed);
    let known = |name: &str| WIRING.contains(&name) || MAY_NAME.iter().any(|(layer, _)| *layer == name);
    paths(&source.product())
        .iter()
        .filter_map(|path| {
            let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
            let target = match path.segments.first()?.as_str() {
                "crate" => path.segments.get(1)?,
                // An inline module climbs one more to get as far, so only names of folders are judged here.
                "super" if supers >= module.len() => path.segments.get(supers).filter(|name| known(name))?,
                _ => return None,
            };
            (target != layer && !allowed.contains(&target.as_str()))
                .then(|| source.at(path.line, &format!("`{layer}` must not name `{target}` (see MAY_NAME)")))
        })
        .collect()
}

/// Pure modules reach no file, network, clock, environment or thread.
fn purity(source: &Source) -> Vec<String> {
    if !PURE.contains(&source.layer()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for path in paths(&source.product()) {
        for banned in IMPURE.iter().filter(|banned| mentions(&path, banned)) {
            found.push(source.at(path.line, &format!("`{banned}` in `{}`, which is pure", source.layer())));
        }
    }
    found
}

/// Whether `path` contains the segments of `banned`, which must be the first ones where it is a crate's path.
fn mentions(path: &Named, banned: &str) -> bool {
    let banned: Vec<&str> = banned.split("::").collect();
    let anywhere = banned[0].starts_with(char::is_uppercase);
    let mut windows = path.segments.windows(banned.len());
    if anywhere {
        windows.any(|window| window == banned)
    } else {
        windows.next().is_some_and(|first| first == banned)
    }
}

/// Nobody but the gate and apply names a function of `Permit` or `Verdict`, or gives the types another name;
/// and no permit comes out of a file or from nowhere.
fn permits(source: &Source) -> Vec<String> {
    let tokens = source.product();
    let mut found = Vec::new();
    if !source.module().is_empty() && !MAKES_GUARDED.contains(&source.layer()) {
        for pair in tokens.windows(3) {
            let Some(name) = pair[0].name().filter(|name| GUARDED.contains(name)) else { continue };
            let qualified = pair[1].is('>') && pair[2].kind == Kind::Path;
            if pair[1].kind == Kind::Path || qualified || pair[1].name() == Some("as") {
                found.push(source.at(pair[0].line, &format!("only the gate and apply make a `{name}`")));
            }
        }
    }
    for (at, pair) in tokens.windows(2).enumerate() {
        if pair[0].name() != Some("struct") || pair[1].name() != Some("Permit") {
            continue;
        }
        let item = tokens[..at].iter().rposition(|token| token.is(';') || token.is('}')).unwrap_or(0);
        for derived in tokens[item..at].iter().filter_map(Token::name) {
            if ["Default", "Deserialize"].contains(&derived) {
                found.push(source.at(pair[1].line, &format!("a permit must not be had by `{derived}`")));
            }
        }
    }
    found
}

/// Lines with code on them, without blank and comment lines.
fn code_lines(source: &Source) -> usize {
    let mut lines: Vec<usize> = source.tokens.iter().flat_map(|token| token.line..=token.end).collect();
    lines.dedup();
    lines.len()
}

/// Files stay short enough to be read at once; tables say so in their first line.
fn length(source: &Source) -> Vec<String> {
    let lines = code_lines(source);
    if lines <= HARD_CAP || is_table(source) {
        return Vec::new();
    }
    vec![source.at(1, &format!("{lines} lines of code, over the hard cap of {HARD_CAP}"))]
}

fn is_table(source: &Source) -> bool {
    source.text.lines().next() == Some(TABLE)
}

/// A module says first what it is, in few lines.
fn introduction(source: &Source) -> Vec<String> {
    let skipped = usize::from(is_table(source));
    let lines = source.text.lines().skip(skipped).take_while(|line| line.starts_with("//!")).count();
    match lines {
        0 => vec![source.at(1, "a module begins with `//!`: what it is, its invariant, what it must not do")],
        1..=DOC_LINES => Vec::new(),
        _ => vec![source.at(1, &format!("{lines} lines of `//!`, at most {DOC_LINES}"))],
    }
}

/// No switch that turns safety off, and no name that says nothing.
fn names(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let vague = ["manager", "managers", "helper", "helpers", "util", "utils"];
    let path = source.path.trim_end_matches(".rs");
    for part in path.split('/').filter(|part| vague.contains(part)) {
        found.push(source.at(1, &format!("`{part}` says nothing about what is inside")));
    }
    for pair in source.tokens.windows(2) {
        let (Some(word), Some(name)) = (pair[0].name(), pair[1].name()) else { continue };
        let suffixes = ["Manager", "Helper", "Helpers", "Util", "Utils"];
        let bad = match word {
            "struct" | "enum" | "trait" | "type" => suffixes.iter().any(|suffix| name.ends_with(suffix)),
            "mod" => vague.contains(&name),
            "fn" => name.starts_with("get_"),
            _ => false,
        };
        if bad {
            found.push(
                source.at(pair[1].line, &format!("`{word} {name}`: no `get_`, manager, helper or util")),
            );
        }
    }
    for token in source.tokens.iter().filter(|_| source.path.starts_with("src/")) {
        let word = match &token.kind {
            Kind::Name(word) => word,
            Kind::Text(text) => text.trim_start_matches("--"),
            _ => continue,
        };
        if ["dry_run", "dry-run", "force"].contains(&word) {
            found.push(
                source.at(token.line, &format!("`{word}`: a plan cannot write, and nothing is forced")),
            );
        }
    }
    found
}

/// The page that explains the code names every folder of it, as `folder/`.
fn architecture(folders: &[String], page: Option<&str>) -> Vec<String> {
    let missing = |folder: &&String| !page.is_some_and(|page| page.contains(&format!("{folder}/")));
    folders
        .iter()
        .filter(missing)
        .map(|folder| format!("docs/architecture.md does not name `{folder}/`"))
        .collect()
}

const RULES: &[fn(&Source) -> Vec<String>] = &[layering, purity, permits, length, introduction, names];

/// There are no plug-ins yet. Until there are, with their digests, nothing but Git is ever run, and by one function.
#[test]
fn invariant_36_no_program_but_git_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut sources, mut folders) = (Vec::new(), Vec::new());
    collect(root, "src", &mut sources, &mut folders);
    let runs = |path: &str| {
        let text = fs::read_to_string(root.join(path)).unwrap();
        text.matches("Command::new(").count() + text.matches("process::Command").count()
    };
    let all: Vec<(&str, usize)> = sources
        .iter()
        .map(|source| (source.path.as_str(), runs(&source.path)))
        .filter(|(_, runs)| *runs > 0)
        .collect();
    assert_eq!(all, [("src/cli/repo.rs", 2)]);
    assert!(fs::read_to_string(root.join("src/cli/repo.rs")).unwrap().contains("Command::new(\"git\")"));
}

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut sources, mut folders) = (Vec::new(), Vec::new());
    for folder in ["src", "tests/it", "benches"] {
        collect(root, folder, &mut sources, &mut folders);
    }
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources were not found");

    let mut complaints: Vec<String> =
        sources.iter().flat_map(|source| RULES.iter().flat_map(move |rule| rule(source))).collect();
    let page = fs::read_to_string(root.join("docs/architecture.md")).ok();
    folders.retain(|folder| !folder.ends_with("/tests"));
    let modules: Vec<String> =
        folders.iter().filter_map(|folder| Some(folder.strip_prefix("src/")?.into())).collect();
    complaints.extend(architecture(&modules, page.as_deref()));

    for source in sources.iter().filter(|source| !is_table(source)) {
        let lines = code_lines(source);
        if lines > SOFT_CAP {
            // Past the runner's capture: it is advice, and fails nothing.
            let _ = writeln!(
                std::io::stderr().lock(),
                "tidy: {} has {lines} lines of code, over {SOFT_CAP}",
                source.path
            );
        }
    }
    complaints.sort();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// All sources and folders below `folder`, which need not exist.
fn collect(root: &Path, folder: &str, sources: &mut Vec<Source>, folders: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(root, &path, sources, folders);
            folders.push(path);
        } else if path.ends_with(".rs") {
            sources.push(Source::new(&path, &fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// How often `rule` complains about `text` at `path`.
fn complaints(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    rule(&Source::new(path, text)).len()
}

#[test]
fn layering_sees_every_way_to_name_a_folder() {
    let found = |path, text| complaints(layering, path, text);
    assert_eq!(found("src/planner/diff.rs", "use crate::model::{Plan, Op};\nuse crate::planner::pair;"), 0);
    assert_eq!(found("src/planner/diff.rs", "use crate::{model::Plan, gate, render::Text};"), 2);
    assert_eq!(found("src/model/plan.rs", "fn f() -> crate::gate::Caps { todo() }"), 1);
    assert_eq!(found("src/planner/diff.rs", "use super::super::gate::Caps;"), 1);
    assert_eq!(found("src/planner/mod.rs", "use super::gate::Caps;\nmod a { use super::pair; }"), 1);
    assert_eq!(found("src/providers/okta/write.rs", "use super::super::aws; use crate::providers::send;"), 0);
    assert_eq!(found("src/providers/okta/write.rs", "use crate::simulator::World;"), 1);
    assert_eq!(
        found("src/shared.rs", "use crate::model;"),
        1,
        "a folder that is not in the table names none"
    );
    assert_eq!(found("src/cli/plan.rs", "use crate::{gate, providers};"), 0);
    assert_eq!(
        found("src/gate/mod.rs", "// crate::render\n#[cfg(test)] mod tests { use crate::render; }"),
        0
    );
    assert_eq!(found("src/gate/tests.rs", "use crate::render;"), 0);
}

#[test]
fn purity_sees_edges_in_pure_modules_only() {
    let found = |path, text| complaints(purity, path, text);
    assert_eq!(found("src/gate/caps.rs", "use std::{fs, net::TcpStream, collections};"), 2);
    assert_eq!(found("src/gate/caps.rs", "let a = std::env::var(x); let b = tokio::spawn(y);"), 2);
    assert_eq!(
        found("src/gate/caps.rs", "jiff::Timestamp::now(); Zoned::now(); std::time::Instant::now()"),
        3
    );
    assert_eq!(found("src/gate/caps.rs", "// std::fs\n\"std::fs\"; model::fs; Timestamp::from_second(1)"), 0);
    assert_eq!(found("src/apply/journal.rs", "use std::fs;"), 0);
}

#[test]
fn permits_come_from_the_gate_and_apply() {
    let found = |path, text| complaints(permits, path, text);
    assert_eq!(found("src/cli/plan.rs", "let p = Permit::new(v); let v = model::Verdict::of(plan);"), 2);
    assert_eq!(found("src/cli/plan.rs", "use crate::model::Permit as P; <Verdict>::of(plan)"), 2);
    assert_eq!(found("src/cli/plan.rs", "fn f(permit: &Permit) -> Verdict { g(permit) }"), 0);
    assert_eq!(found("src/gate/mod.rs", "Verdict::of(plan)"), 0);
    assert_eq!(
        found(
            "src/model/permit.rs",
            "struct A;\n#[derive(Debug, Default, Deserialize)] pub struct Permit { x: u8 }"
        ),
        2
    );
    assert_eq!(
        found("src/model/permit.rs", "#[derive(Default)] struct A; #[derive(Debug)] struct Permit;"),
        0
    );
}

#[test]
fn length_counts_code_only() {
    let long = "x;\n".repeat(HARD_CAP + 1);
    assert_eq!(complaints(length, "src/a.rs", &long), 1);
    assert_eq!(complaints(length, "src/a.rs", &long.replacen("x;", "", 1)), 0);
    assert_eq!(complaints(length, "src/a.rs", &format!("{TABLE}\n{long}")), 0);
    assert_eq!(code_lines(&Source::new("src/a.rs", "/// d\n\nlet a = \"\n\n\"; // c\n/* e\n*/ b")), 4);
}

#[test]
fn introduction_is_there_and_short() {
    assert_eq!(complaints(introduction, "src/a.rs", "//! A.\nuse b;"), 0);
    assert_eq!(complaints(introduction, "src/a.rs", &format!("{TABLE}\n//! A.\n")), 0);
    assert_eq!(complaints(introduction, "src/a.rs", "// A.\n//! B.\n"), 1);
    assert_eq!(complaints(introduction, "src/a.rs", &"//! A.\n".repeat(DOC_LINES + 1)), 1);
}

#[test]
fn names_say_something_and_force_nothing() {
    let found = |path, text| complaints(names, path, text);
    assert_eq!(found("src/a.rs", "fn get_user() {} struct GroupManager; mod util; type XHelper = u8;"), 4);
    assert_eq!(found("src/utils/helper.rs", ""), 2);
    assert_eq!(
        found("src/a.rs", "struct A { dry_run: bool, force: bool }\n#[arg(long = \"dry-run\")] \"--force\""),
        4
    );
    assert_eq!(
        found("src/a.rs", "struct P { manager: u8 } enum E { Manager } /* force */ \"by force\"; map.get(x)"),
        0
    );
    assert_eq!(found("tests/it/a.rs", "git(\"--force\")"), 0);
}

#[test]
fn architecture_names_every_folder() {
    let folders = ["gate".to_owned(), "providers/okta".to_owned()];
    assert_eq!(architecture(&folders, Some("`gate/` and `providers/okta/`")), Vec::<String>::new());
    assert_eq!(architecture(&folders, Some("the gate")).len(), 2);
    assert_eq!(architecture(&folders, None).len(), 2);
    assert_eq!(architecture(&[], None), Vec::<String>::new());
}
