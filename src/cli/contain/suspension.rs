//! The `Suspension` that makes a containment last: a new file of the access repo.
//!
//! Invariant: no file that is there is touched, and no link is followed out of the repo.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::cli::{Failure, say};
use crate::manifest::{Tree, yaml};
use crate::model::{Code, Finding, Name, has_errors};

/// A reason that YAML could not hold.
pub(super) const BAD_REASON: Code = Code { code: "RC628", title: "a reason that cannot be written down" };
/// The suspension cannot be written.
pub(super) const NOT_WRITTEN: Code = Code { code: "RC629", title: "the suspension cannot be written" };

/// Fails where a reason could not stand in a manifest.
pub(super) fn check(reason: &str) -> Result<(), Failure> {
    let mut findings = Vec::new();
    yaml::read(&Name::from("--reason"), document("x", reason).as_bytes(), &mut findings);
    if reason.trim().is_empty() || has_errors(&findings) {
        let finding = Finding::error(BAD_REASON, "the reason is empty, or has characters that do not show");
        return Err(finding.help("say in a line why, and name a ticket").into());
    }
    Ok(())
}

/// One line that says all. What stands in quotes for JSON does so for YAML.
fn document(handle: &str, reason: &str) -> String {
    let plain = handle.starts_with(|c: char| c.is_ascii_lowercase())
        && handle.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&handle);
    let name = if plain { handle.to_owned() } else { serde_json::Value::from(handle).to_string() };
    format!("{{ kind: Suspension, name: {name}, reason: {} }}\n", serde_json::Value::from(reason))
}

/// Writes the suspension where the repo keeps them, or else into the first folder that fits, and says what to do with it.
pub(super) fn write(root: &Path, tree: &Tree, handle: &str, reason: &str) -> Result<(), Failure> {
    let text = document(handle, reason);
    let refuse = |message: String| {
        let help = format!("he is contained; put this into a manifest, and merge it:\n{text}");
        Err(Failure::from(Finding::error(NOT_WRITTEN, message).help(help)))
    };
    let is_name = handle.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && handle.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c));
    if !is_name {
        return refuse(format!("`{handle}` cannot be the name of a file or document"));
    }
    let file = format!("{}/{handle}.yaml", folder(tree));
    let mut path = root.to_owned();
    let linked = file.split('/').any(|part| {
        path.push(part);
        path.is_symlink()
    });
    if linked {
        return refuse(format!("on the way to `{file}` there is a symbolic link"));
    }
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
        let mut new = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()
    });
    if let Err(error) = written {
        return refuse(format!("`{file}` cannot be written: {error}"));
    }
    say(&format!(
        "wrote `{file}`: commit it and open a merge request now; until it is merged, what a rule gives {handle} anew \
         would be given, and what was taken away shows as drift\n"
    ));
    Ok(())
}

/// Where suspensions are kept.
fn folder(tree: &Tree) -> String {
    let kept = tree.suspensions.iter().find_map(|suspension| {
        let file = suspension.span.file.as_ref();
        file.rsplit_once('/').filter(|_| tree.sources.files.contains_key(file)).map(|(folder, _)| folder)
    });
    let people = tree.settings.manifests.iter().find(|folder| folder.rsplit('/').next() == Some("people"));
    let first = people.or(tree.settings.manifests.first()).map_or("people", String::as_str);
    kept.map_or_else(|| format!("{first}/suspensions"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspension_is_a_line_of_yaml_that_says_what_it_was_told() {
        for (handle, reason) in
            [("dmurphy", "SEC-512, laptop \"stolen\": now"), ("no", "x"), ("1e3", "# - {")]
        {
            let (text, mut findings) = (document(handle, reason), Vec::new());
            let read = yaml::read(&Name::from("x.yaml"), text.as_bytes(), &mut findings);
            assert!(findings.is_empty(), "{text}: {findings:?}");
            let of = |key: &str| read[0].node.get(key).and_then(|node| node.as_text().map(str::to_owned));
            assert_eq!(
                (of("name").as_deref(), of("reason").as_deref()),
                (Some(handle), Some(reason)),
                "{text}"
            );
        }
        assert!(check("SEC-512").is_ok());
        for bad in ["", " \t", "a\u{202e}b", "a\u{0}b"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
