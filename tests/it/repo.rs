//! Access repos in temporary folders, and the program run over them as a person would.
//!
//! Invariant: what a test writes is a copy; nothing below `examples/` or `tests/` changes, save goldens when
//! `ROLECALL_BLESS=1` says so.

#![expect(clippy::disallowed_methods, reason = "a test reads its own environment")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An access repo in a folder that goes with the test.
pub(crate) struct Repo {
    folder: tempfile::TempDir,
}

/// What a run of the program printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Repo {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A copy of a folder of this package.
    pub(crate) fn copy_of(folder: &str) -> Self {
        let repo = Self::empty();
        repo.add(&package(folder));
        repo
    }

    /// The access repo's root.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Copies a folder's content in.
    pub(crate) fn add(&self, folder: &Path) {
        copy(folder, self.path());
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A file's text.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Replaces a text in a file, which must be there exactly once.
    pub(crate) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(old).count(), 1, "`{old}` must be in {name} exactly once");
        self.write(name, &text.replace(old, new));
    }

    /// Removes everything but the memory.
    pub(crate) fn clear(&self) {
        for entry in fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with(".rolecall") {
                fs::remove_dir_all(path).unwrap();
            } else if path.is_file() {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Runs the program in the access repo.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs the program in the access repo with variables of the environment; all others are hidden from it.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_rolecall"))
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the program, which must end with this exit code.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, code, "rolecall {}\n{}\n{}", arguments.join(" "), ran.stdout, ran.stderr);
        ran
    }

    /// The plan as JSON.
    #[track_caller]
    pub(crate) fn plan(&self) -> serde_json::Value {
        serde_json::from_str(&self.expect(0, &["plan", "--format", "json"]).stdout).unwrap()
    }

    /// Plans and applies, and demands that nothing is left to do.
    #[track_caller]
    pub(crate) fn converge(&self) -> Ran {
        self.expect(0, &["plan"]);
        let ran = self.run(&["apply", "--yes"]);
        assert!(matches!(ran.code, 0 | 3), "{}{}", ran.stdout, ran.stderr);
        let left = self.plan();
        assert_eq!(left["changes"].as_array().unwrap().len(), 0, "the second plan is not empty: {left:#}");
        ran
    }
}

/// A path of this package.
pub(crate) fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(|_| ()).unwrap() }
    }
}

/// Whether goldens are to be written instead of compared.
pub(crate) fn blessing() -> bool {
    std::env::var_os("ROLECALL_BLESS").is_some_and(|value| value == "1")
}

/// Compares with a golden file, or writes it where `ROLECALL_BLESS=1`.
#[track_caller]
pub(crate) fn golden(path: &Path, actual: &str) {
    if blessing() {
        fs::write(path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected != actual {
        let diff = similar::TextDiff::from_lines(&expected, actual)
            .unified_diff()
            .header("golden", "now")
            .to_string();
        panic!("{} differs; read it, then accept it with ROLECALL_BLESS=1\n{diff}", path.display());
    }
}
