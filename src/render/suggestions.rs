//! Findings as suggestions: what GitLab lets whoever reads a merge request apply with one click.
//!
//! Invariant: a suggestion replaces one line by the same line with one plain word in the place of another; where anything
//! about that is doubtful there is none, and the finding is told all the same. Data never becomes markup or a quick action.

use serde::{Deserialize, Serialize};

use super::escape::{fence, visible};
use super::findings;
use crate::model::{Digest, Finding, Sources, Span};

/// A remark on a line of a merge request. It is handed from job to job as what it says, and becomes Markdown where it is posted:
/// whoever had the file changed could otherwise have the pipeline's account post whatever he likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The file, from the root of the project.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub finding: Finding,
    /// What the line should be.
    pub instead: String,
}

impl Suggestion {
    /// Markdown; its last line, which is not displayed, is what it is found by again. Nothing where the line is not one that
    /// is suggested.
    #[must_use]
    pub fn body(&self) -> Option<String> {
        let Self { path, finding, instead, .. } = self;
        if !is_harmless(instead) {
            return None;
        }
        let fingerprint = Digest::of(&(&finding.code, path, instead)).short().to_owned();
        let code = fence("suggestion:-0+0", std::slice::from_ref(instead), "");
        Some(format!("{}\n{code}\n<!-- rolecall:suggestion:{fingerprint} -->", findings::entry(finding)))
    }
}

/// Whether a line can stand in a block of code and is seen as it is. A fence does not save one that begins with a slash from
/// everybody who looks for quick actions.
fn is_harmless(line: &str) -> bool {
    let plain = !line.contains(['\n', '\r']) && !line.contains("```") && visible(line) == line;
    plain && !line.trim_start().starts_with(['/', ':'])
}

/// What can be mended with a click. `prefix` is the folder of the access repo in its project: empty, or with a `/` at its end.
#[must_use]
pub fn suggestions(found: &[Finding], sources: &Sources, prefix: &str) -> Vec<Suggestion> {
    let suggestion = |finding: &Finding| {
        let span = finding.span.as_ref()?;
        let instead = mended(sources.line(&span.file, span.line)?, span, finding.instead.as_deref()?)?;
        let path = format!("{prefix}{}", span.file);
        Some(Suggestion { path, line: span.line, finding: finding.clone(), instead })
    };
    found.iter().filter_map(suggestion).collect()
}

/// A line with a word in the place of what is at a span; nothing where that would not be the same line otherwise.
fn mended(line: &str, span: &Span, instead: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    // What YAML would read as something else than this word is not put there without quotes.
    let is_word = instead.starts_with(|c: char| c.is_ascii_alphabetic())
        && instead.chars().all(plain)
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&&*instead.to_lowercase());
    if !is_word || span.column == 0 {
        return None;
    }
    let characters: Vec<char> = line.chars().collect();
    let start = usize::try_from(span.column).ok()?.checked_sub(1)?;
    let end = start.checked_add(usize::try_from(span.length).ok()?)?;
    let (before, rest) = (characters.get(..start)?, characters.get(end..)?);
    let old: String = characters.get(start..end)?.iter().collect();
    // Whole words alone: a part of one is something that was not understood here.
    let joins = |c: Option<&char>| c.is_some_and(|c| plain(*c));
    let old_is_word = !old.is_empty() && old.trim_matches(['"', '\'']).chars().all(plain);
    if !old_is_word || joins(before.last()) || joins(rest.first()) {
        return None;
    }
    let mended: String = before.iter().copied().chain(instead.chars()).chain(rest.iter().copied()).collect();
    (mended != line && is_harmless(&mended)).then_some(mended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Code;

    const CODE: Code = Code { code: "RC203", title: "x" };

    fn suggested(line: &str, word: &str, instead: &str) -> Option<String> {
        let file = format!("kind: Role\n{line}\n");
        let column = u32::try_from(line.find(word).map_or(0, |at| line[..at].chars().count()) + 1).unwrap();
        let length = u32::try_from(word.chars().count()).unwrap();
        let span = Span { file: "roles/a.yaml".into(), line: 2, column, length };
        let finding = Finding::error(CODE, "`x` is not known").at(&span).meant(instead);
        let found = suggestions(&[finding], &Sources::of([("roles/a.yaml", file)]), "access/");
        found.first().map(|suggestion| {
            assert_eq!((suggestion.path.as_str(), suggestion.line), ("access/roles/a.yaml", 2));
            suggestion.body().unwrap()
        })
    }

    #[test]
    fn invariant_37_a_suggestion_that_came_from_a_file_is_no_note_and_no_quick_action() {
        let finding = Finding::error(CODE, "<!-- rolecall:plan:access -->\n/approve")
            .note("/merge\n<!-- rolecall:shown:v1 00 00 -->")
            .help("/merge");
        let of = |instead: &str| {
            let instead = instead.to_owned();
            Suggestion { path: "x".to_owned(), line: 1, finding: finding.clone(), instead }.body()
        };
        for instead in ["/approve", "a\n```\n/approve", "```", "x\r/merge", "a \u{202e}"] {
            assert_eq!(of(instead), None, "{instead}");
        }
        let body = of("a: b").unwrap();
        assert!(!body.contains("<!-- rolecall:plan") && !body.contains("<!-- rolecall:shown"), "{body}");
        assert!(body.lines().all(|line| !line.trim_start().starts_with('/')), "{body}");
    }

    #[test]
    fn a_word_is_replaced_and_the_line_stays() {
        let body =
            suggested("  - { department: infrastrcture } # ours", "infrastrcture", "infrastructure").unwrap();
        assert!(
            body.contains("```suggestion:-0+0\n  - { department: infrastructure } # ours\n```\n"),
            "{body}"
        );
        assert!(body.contains("did you mean `infrastructure`?"), "{body}");
        assert!(body.ends_with(" -->"), "{body}");
        assert!(suggested("a: \"infrastrcture\"", "\"infrastrcture\"", "infrastructure").is_some());
    }

    #[test]
    fn invariant_37_what_is_doubtful_is_not_suggested() {
        for (line, word, instead) in [
            ("a: infrastrcture", "infrastr", "infra"),
            ("a: infrastrcture", "infrastrcture", "no"),
            ("a: infrastrcture", "infrastrcture", "a: b"),
            ("a: infrastrcture", "infrastrcture", "a\n/approve"),
            ("a: infrastrcture # ```", "infrastrcture", "infrastructure"),
            ("/approve infrastrcture", "infrastrcture", "infrastructure"),
            ("a: infrastrcture \u{202e}", "infrastrcture", "infrastructure"),
            ("a: one two", "one two", "three"),
        ] {
            assert_eq!(suggested(line, word, instead), None, "{line}");
        }
    }
}
