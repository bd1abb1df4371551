//! Reading an access repo from disk, into a map that everything else is a function of.
//!
//! Invariant: nothing outside the repo's root is ever read: links are refused, not followed; sizes are bounded.
//! It must not parse what it reads, nor run anything of the repo: it is data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::model::{Code, Commit, Finding, LOCK_FILE, Name, Sources, Span};

/// There is no access repo.
pub const NO_REPO: Code = Code { code: "RC120", title: "the folder is no access repo" };
/// A file that cannot be read.
pub const UNREADABLE: Code = Code { code: "RC121", title: "a file or folder cannot be read" };
/// A link.
pub const LINK: Code = Code { code: "RC122", title: "a link in an access repo" };
/// Too much.
pub const TOO_LARGE: Code = Code { code: "RC123", title: "a file, or the repo as a whole, is too large" };

/// All codes of this module.
pub const CODES: &[Code] = &[NO_REPO, UNREADABLE, LINK, TOO_LARGE];

/// Bytes of one file: far more than a person writes, far less than hurts.
const MOST_FILE: u64 = 4 << 20;
/// Bytes of all files.
const MOST_ALL: u64 = 256 << 20;
/// How many commits are asked about since base: far more than come between two applies.
const MOST_COMMITS: usize = 1_000;
/// How deep folders may be.
const MOST_DEPTH: usize = 32;

/// The files of the access repo at `root`: `rolecall.yaml`, `rolecall.lock` and everything in the folders that hold manifests.
///
/// # Errors
/// All that is wrong, at once.
pub fn read(root: &Path, folders: impl Fn(&[u8]) -> Vec<String>) -> Result<Sources, Vec<Finding>> {
    let mut reading = Reading { sources: Sources::default(), bytes: 0, findings: Vec::new() };
    let settings = root.join("rolecall.yaml");
    if !settings.exists() {
        let message = format!("`{}` has no `rolecall.yaml`", root.display());
        let help = "run this in an access repo, or name one: `rolecall plan examples/acme`";
        return Err(vec![Finding::error(NO_REPO, message).help(help)]);
    }
    reading.file(&settings, "rolecall.yaml");
    let lock = root.join(LOCK_FILE);
    if lock.is_symlink() || lock.exists() {
        reading.file(&lock, LOCK_FILE);
    }
    let folders = reading.sources.files.get("rolecall.yaml").map(|bytes| folders(bytes)).unwrap_or_default();
    for folder in folders {
        let plain = !folder.is_empty()
            && folder.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
            && !folder.contains('\\');
        if !plain {
            let message = format!("`manifests` names `{folder}`, which is not a plain relative path");
            let finding = Finding::error(UNREADABLE, message).at(&Span::file("rolecall.yaml"));
            reading.findings.push(finding.help("name folders below the access repo"));
            continue;
        }
        // Each step on the way is looked at, so that no link among them leads out.
        let mut path = root.to_owned();
        let linked = folder.split('/').any(|part| {
            path.push(part);
            path.is_symlink()
        });
        if linked {
            reading.refuse_link(&folder);
        } else if path.is_dir() {
            reading.folder(&path, &folder, 0);
        }
    }
    if reading.findings.is_empty() { Ok(reading.sources) } else { Err(reading.findings) }
}

struct Reading {
    sources: Sources,
    bytes: u64,
    findings: Vec<Finding>,
}

impl Reading {
    fn folder(&mut self, folder: &Path, name: &str, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                return self.refuse(
                    UNREADABLE,
                    name,
                    format!("`{name}` cannot be read: {error}"),
                    "check its permissions",
                );
            }
        };
        if depth > MOST_DEPTH {
            return self.refuse(
                TOO_LARGE,
                name,
                format!("`{name}` is more than {MOST_DEPTH} folders deep"),
                "move it up",
            );
        }
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => self.refuse(
                    UNREADABLE,
                    name,
                    format!("`{name}` cannot be read: {error}"),
                    "check its permissions",
                ),
            }
        }
        paths.sort();
        for path in paths {
            let Some(last) = path.file_name().and_then(|last| last.to_str()) else {
                let message = format!("`{}` has a name that is not UTF-8", path.display());
                self.refuse(UNREADABLE, name, message, "rename it");
                continue;
            };
            if last.starts_with('.') {
                continue;
            }
            let name = format!("{name}/{last}");
            if path.is_symlink() {
                self.refuse_link(&name);
            } else if path.is_dir() {
                self.folder(&path, &name, depth + 1);
            } else if path.is_file() {
                self.file(&path, &name);
            }
        }
    }

    fn file(&mut self, path: &Path, name: &str) {
        if path.is_symlink() {
            return self.refuse_link(name);
        }
        let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.bytes = self.bytes.saturating_add(size);
        if size > MOST_FILE || self.bytes > MOST_ALL {
            let message = format!(
                "`{name}` is too large: a file may have {} MiB, all together {} MiB",
                MOST_FILE >> 20,
                MOST_ALL >> 20
            );
            return self.refuse(
                TOO_LARGE,
                name,
                message,
                "split it, or keep it outside the folders that hold manifests",
            );
        }
        match fs::read(path) {
            Ok(bytes) => {
                self.sources.files.insert(Name::from(name), Arc::from(bytes));
            }
            Err(error) => self.refuse(
                UNREADABLE,
                name,
                format!("`{name}` cannot be read: {error}"),
                "check its permissions",
            ),
        }
    }

    fn refuse_link(&mut self, name: &str) {
        let message = format!("`{name}` is a symbolic link, which an access repo cannot hold");
        self.refuse(
            LINK,
            name,
            message,
            "put the file itself there, so that what is reviewed is what is read",
        );
    }

    fn refuse(&mut self, code: Code, name: &str, message: String, help: &str) {
        self.findings.push(Finding::error(code, message).at(&Span::file(name)).help(help));
    }
}

/// The commit that is checked out, where `root` is in a Git work tree.
#[must_use]
pub fn commit(root: &Path) -> Option<String> {
    git(root, &["rev-parse", "--verify", "--quiet", "HEAD"])
}

/// The files of the access repo that are not what Git's checked-out commit has, ignored ones too; `None` where there is no
/// Git or no commit.
#[must_use]
pub fn uncommitted(root: &Path, sources: &Sources, folders: &[String]) -> Option<Vec<Name>> {
    let committed = at_revision(root, "HEAD").ok()?;
    let read = |path: &str| {
        path == "rolecall.yaml"
            || path == LOCK_FILE
            || folders
                .iter()
                .any(|folder| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    let names = sources.files.keys().chain(committed.files.keys().filter(|path| read(path)));
    let mut names: Vec<Name> =
        names.filter(|path| sources.files.get(*path) != committed.files.get(*path)).cloned().collect();
    names.sort();
    names.dedup();
    Some(names)
}

/// Something at or below a path of the access repo that Git's checked-out commit has, or a link or submodule on the way to it.
#[must_use]
pub fn tracked(root: &Path, path: &str) -> Option<String> {
    let ways = path.match_indices('/').map(|(at, _)| &path[..at]);
    let is_folder = |row: &str| row.starts_with("040000 ");
    let listed = |path: &str| git(root, &["ls-tree", "HEAD", "--", path]).filter(|rows| !rows.is_empty());
    let on_the_way = ways.into_iter().find(|way| listed(way).is_some_and(|row| !is_folder(&row)));
    on_the_way.map(str::to_owned).or_else(|| listed(path).map(|_| path.to_owned()))
}

/// The files of the access repo as they were at a revision.
///
/// # Errors
/// Where Git cannot tell.
pub fn at_revision(root: &Path, revision: &str) -> Result<Sources, Finding> {
    let refuse = |why: &str| {
        Finding::error(UNREADABLE, format!("base `{revision}` cannot be read: {why}"))
            .help("name a revision of Git, or a folder")
    };
    let commit = git(
        root,
        &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")],
    )
    .ok_or_else(|| refuse("Git knows no such revision here"))?;
    let prefix = git(root, &["rev-parse", "--show-prefix"]).unwrap_or_default();
    let listed = git_bytes(root, &["ls-tree", "-r", "-z", "--end-of-options", &format!("{commit}:{prefix}")])
        .ok_or_else(|| refuse("Git cannot list its files"))?;
    let mut sources = Sources::default();
    for row in listed.split(|byte| *byte == 0).filter(|row| !row.is_empty()) {
        let row = std::str::from_utf8(row).map_err(|_| refuse("a file's name is not UTF-8"))?;
        let Some((meta, path)) = row.split_once('\t') else { continue };
        let mut meta = meta.split(' ');
        // Links (mode 120000) and submodules are left out: they are never read.
        if let (Some("100644" | "100755"), Some("blob"), Some(id)) = (meta.next(), meta.next(), meta.next())
            && (path == "rolecall.yaml" || path == LOCK_FILE || path.contains('/'))
            && !path.split('/').any(|part| part.starts_with('.'))
        {
            let bytes = git_bytes(root, &["cat-file", "blob", id])
                .ok_or_else(|| refuse("Git cannot read a file of it"))?;
            sources.files.insert(path.into(), Arc::from(bytes));
        }
    }
    Ok(sources)
}

/// The commits that lines of a file came with; nothing of those that are not committed.
#[must_use]
pub fn commits_of(root: &Path, file: &str, lines: &BTreeSet<u32>) -> BTreeMap<u32, String> {
    let mut arguments = vec!["blame".to_owned(), "--porcelain".to_owned()];
    arguments.extend(lines.iter().map(|line| format!("-L{line},{line}")));
    arguments.extend(["--".to_owned(), file.to_owned()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = git(root, &arguments).unwrap_or_default();
    let mut commits = BTreeMap::new();
    // A header is `COMMIT ORIGINAL-LINE FINAL-LINE`, and a commit of zeros is what is not committed.
    for header in told.lines() {
        let words: Vec<&str> = header.split(' ').collect();
        let is_commit = |word: &str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let [commit, _, line, ..] = words[..]
            && is_commit(commit)
            && commit.bytes().any(|byte| byte != b'0')
            && let Ok(line) = line.parse()
        {
            commits.insert(line, commit.to_owned());
        }
    }
    commits
}

/// What a commit came with: the merge request that GitLab's merge commit names, else the commit itself.
#[must_use]
pub fn came_with(root: &Path, commit: &str) -> Option<String> {
    let range = format!("{commit}..HEAD");
    let merges = ["log", "--merges", "--ancestry-path", "--reverse", "--format=%B", &range];
    let request = |text: &str| {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("See merge request "));
        lines.map(|name| format!("merge request {}", name.trim())).next()
    };
    let merged = git(root, &merges).and_then(|text| request(&text));
    let own = || git(root, &["log", "-1", "--format=%B", commit]).and_then(|text| request(&text));
    let named =
        || git(root, &["log", "-1", "--format=commit %h (%s)", commit]).filter(|text| !text.is_empty());
    merged.or_else(own).or_else(named)
}

/// The folder of the access repo in its work tree of Git: empty, or with a `/` at its end.
#[must_use]
pub fn prefix(root: &Path) -> String {
    git(root, &["rev-parse", "--show-prefix"]).unwrap_or_default()
}

/// The commits since base that touch the access repo, the oldest first: those of the branch itself (`first_parent`), of which
/// a merge is one, or all. Without base all there are.
///
/// # Errors
/// Why Git cannot tell.
pub fn commits_since(root: &Path, base: Option<&str>, first_parent: bool) -> Result<Vec<Commit>, String> {
    if git(root, &["rev-parse", "--is-shallow-repository"]).as_deref() != Some("false") {
        return Err("Git has not the whole history here".to_owned());
    }
    if let Some(base) = base {
        let is_before = git(root, &["merge-base", "--is-ancestor", "--end-of-options", base, "HEAD"]);
        is_before.ok_or_else(|| format!("commit `{base}`, which was applied last, is not in the history"))?;
    }
    let range = base.map_or_else(|| "HEAD".to_owned(), |base| format!("{base}..HEAD"));
    let most = format!("--max-count={}", MOST_COMMITS + 1);
    let how = if first_parent { "--first-parent" } else { "--full-history" };
    let told = git(root, &["log", how, &most, COMMIT, "--end-of-options", &range, "--", "."])
        .ok_or("Git cannot list it")?;
    let commits = told.lines().filter(|line| !line.is_empty()).map(commit_of);
    let mut commits: Vec<Commit> = commits
        .collect::<Option<_>>()
        .ok_or("Git tells of a commit that cannot be made out: an address in it holds what none does")?;
    if commits.len() > MOST_COMMITS {
        return Err(format!("more than {MOST_COMMITS} commits have come since"));
    }
    commits.reverse();
    Ok(commits)
}

/// A commit, by whom it is.
#[must_use]
pub fn commit_as(root: &Path, commit: &str) -> Option<Commit> {
    commit_of(&git(root, &["log", "-1", COMMIT, "--end-of-options", commit, "--"])?)
}

/// How Git is asked for a commit: what follows an address in it cannot pass for the next one, since there is no more.
const COMMIT: &str = "--format=%H%x1f%ae%x1f%ce";

fn commit_of(line: &str) -> Option<Commit> {
    let parts: Vec<&str> = line.split('\u{1f}').collect();
    let [id, author, committer] = parts[..] else { return None };
    Some(Commit { id: id.to_owned(), author: author.to_owned(), committer: committer.to_owned() })
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    String::from_utf8(git_bytes(root, arguments)?).ok().map(|text| text.trim().to_owned())
}

fn git_bytes(root: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    // Hooks and configuration of the repo must not run anything: these verbs read only, and fsmonitor is off.
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["-c", "core.fsmonitor=false"])
        .args(arguments)
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}
