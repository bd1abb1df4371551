//! Edits of files as unified diffs.
//!
//! Invariant: what is shown is what is written, and no character of it is unseen. It must not edit.

use similar::TextDiff;

use super::escape;

/// How many lines stand around a change.
const AROUND: usize = 3;

/// A file before and after as `diff -u` shows it; `None` is a file that is not there.
#[must_use]
pub fn unified(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    let name = |there: Option<&str>, side: &str| {
        there.map_or_else(|| "/dev/null".to_owned(), |_| format!("{side}/{path}"))
    };
    let diff = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
    let text =
        diff.unified_diff().context_radius(AROUND).header(&name(before, "a"), &name(after, "b")).to_string();
    // Line ends of Windows are no news to whoever reads this.
    text.split_inclusive('\n')
        .map(|line| {
            let bare = line.trim_end_matches(['\r', '\n']);
            format!("{}{}", escape::visible(bare), if line.ends_with('\n') { "\n" } else { "" })
        })
        .collect()
}

/// The same for a merge request.
#[must_use]
pub fn markdown(diff: &str) -> String {
    escape::fence("diff", &diff.lines().map(str::to_owned).collect::<Vec<_>>(), "")
}
