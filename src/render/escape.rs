//! Escaping: one place for each medium, since every string shown is data from outside.
//!
//! Invariant: no control, bidi, zero-width or otherwise unseen character survives, and data never gets a meaning of the
//! medium: no quick action, mention, link, image or markup. It must not know plans or findings.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Shows what cannot be seen: such characters become `\u{202e}`, `\n`, `\t` and the like. Safe for terminals.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_unseen(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Whether people would not see a character, or see something else because of it: controls, format characters, bidi
/// marks, zero-width and blank letters, spaces other than the plain one, private use, tags, variation selectors.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(u32::from(c),
            0x00AD | 0x034F | 0x061C | 0x06DD | 0x070F | 0x08E2 | 0x0600..=0x0605 | 0x0890..=0x0891
            | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E
            | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0
            | 0xFFF0..=0xFFFB | 0xFFFE..=0xFFFF | 0x1_10BD | 0x1_10CD | 0x1_3430..=0x1_343F | 0x1_BCA0..=0x1_BCA3
            | 0x1_D173..=0x1_D17A | 0xE_0000..=0x10_FFFF)
}

/// Text for HTML and XML, in elements and in quoted attributes.
#[must_use]
pub fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in visible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Running text for Markdown. Plain words stay plain; every other word is put into a code span, because that is the one
/// place where GitLab finds no mention, reference, link, image, formula or emoji, backslashes notwithstanding.
#[must_use]
pub fn markdown(text: &str) -> String {
    let text = visible(text);
    let mut escaped = String::with_capacity(text.len() + 16);
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            escaped.push(' ');
        }
        let core = word.trim_start_matches('(').trim_end_matches(['.', ',', ';', ':', ')', '?']);
        let start = word.len() - word.trim_start_matches('(').len();
        let end = (start + core.len()).min(word.len());
        // At the beginning of a line, `1.` and `1)` would make a list.
        let numbered = escaped.trim_start().is_empty()
            && core.bytes().all(|byte| byte.is_ascii_digit())
            && word.len() > core.len();
        if !core.is_empty() && (numbered || !is_plain(core)) {
            escaped.push_str(&joined([word[..start].to_owned(), code(core), word[end..].to_owned()]));
        } else {
            escaped.push_str(word);
        }
    }
    escaped
}

/// Pieces of Markdown side by side, at the beginning of a line. Two code spans that touch would be read as one, so a blank
/// goes between them.
pub fn joined(pieces: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    for piece in pieces {
        let piece = if text.is_empty() { opening(&piece) } else { piece };
        if text.ends_with('`') && piece.starts_with('`') {
            text.push(' ');
        }
        text.push_str(&piece);
    }
    text
}

/// What a line begins with: blanks there would make a code block, and a colon a definition.
fn opening(piece: &str) -> String {
    let piece = piece.trim_start_matches(' ');
    let end = piece.find(|c| !".,;:)?".contains(c)).unwrap_or(piece.len());
    if piece.starts_with(':') { code(&piece[..end]) + &piece[end..] } else { piece.to_owned() }
}

/// A word that no Markdown dialect gives a meaning: letters with hyphens or apostrophes between them, a number, a date, a
/// time. A long run of hexadecimal digits could be taken for a commit, a colon that follows no digit for an emoji.
fn is_plain(word: &str) -> bool {
    let commit_like = |part: &str| part.len() >= 7 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    let number = word.len() <= 10
        && digits.split(['-', ':', '.', ',']).all(|part| {
            !part.is_empty() && !commit_like(part) && part.bytes().all(|byte| byte.is_ascii_digit())
        });
    let letters = word
        .split(['-', '\''])
        .all(|part| !part.is_empty() && !commit_like(part) && part.chars().all(char::is_alphabetic));
    number || letters || word == "→"
}

/// The longest run of backticks that is left as it is. Parsers know no code span between more than 80, and what stands in
/// it would be read as Markdown.
const MOST_TICKS: usize = 40;

/// Text without unseen characters and without a run of backticks that nothing could be put around.
fn ticked(text: &str) -> Cow<'_, str> {
    let text = visible(text);
    if longest_run(&text, '`') > MOST_TICKS { Cow::Owned(text.replace('`', "\\u{60}")) } else { text }
}

/// A literal for Markdown: a code span that its content cannot end.
#[must_use]
pub fn code(text: &str) -> String {
    let text = ticked(text);
    if text.trim().is_empty() {
        // An empty code span is no code span; the quotes show that there is nothing, or only blanks.
        return format!("`\"{text}\"`");
    }
    let ticks = "`".repeat(longest_run(&text, '`') + 1);
    let padded = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let pad = if padded { " " } else { "" };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// Lines for a Markdown code fence: the fence is longer than any run of backticks in it, and no line begins with `/`, not
/// even after blanks, or with `::include`: GitLab looks for those without knowing fences of more than three backticks.
#[must_use]
pub fn fence(language: &str, lines: &[String], indent: &str) -> String {
    let lines: Vec<Cow<'_, str>> = lines.iter().map(|line| ticked(line)).collect();
    let longest = lines.iter().map(|line| longest_run(line, '`')).max().unwrap_or(0);
    let ticks = "`".repeat((longest + 1).max(3));
    let mut fenced = format!("{indent}{ticks}{language}\n");
    for line in lines {
        let start = line.trim_start();
        let guard = if start.starts_with('/') || start.starts_with("::") { "\\" } else { "" };
        let _ = writeln!(fenced, "{indent}{guard}{line}");
    }
    let _ = writeln!(fenced, "{indent}{ticks}");
    fenced
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for character in text.chars() {
        run = if character == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
pub(super) use tests::{nasty, outside_code};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text made of what does harm, mixed with anything.
    pub(in crate::render) fn nasty() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/approve".to_owned()),
            Just("\n/merge\n".to_owned()),
            Just("@all".to_owned()),
            Just("![x](https://evil.example/x.png)".to_owned()),
            Just("[a](javascript:x)".to_owned()),
            Just("<script>".to_owned()),
            Just("```\n".to_owned()),
            Just("`".to_owned()),
            Just("\u{202e}\u{200b}\u{feff}\u{e0041}".to_owned()),
            Just("\x1b[31m\x07".to_owned()),
            Just("#1 !2 ~bug %3 &4 $5 :smile:".to_owned()),
            Just("https://evil.example www.evil.example a@b.example".to_owned()),
            Just("deadbeefcafe ABC-123".to_owned()),
            Just(" ".to_owned()),
            any::<String>(),
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    /// What is left of Markdown when code spans are taken out, as CommonMark pairs backticks.
    pub(in crate::render) fn outside_code(markdown: &str) -> String {
        let characters: Vec<char> = markdown.chars().collect();
        let run = |from: usize| characters[from..].iter().take_while(|c| **c == '`').count();
        let (mut rest, mut at) = (String::new(), 0);
        while at < characters.len() {
            let ticks = run(at);
            if ticks == 0 {
                rest.push(characters[at]);
                at += 1;
                continue;
            }
            let mut end = at + ticks;
            while end < characters.len() && run(end) != ticks {
                end += run(end).max(1);
            }
            assert!(end < characters.len(), "a code span is not closed: {markdown:?}");
            rest.push('x');
            at = end + ticks;
        }
        rest
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn invariant_37_no_unseen_character_survives_in_any_medium(text in nasty()) {
            for shown in [visible(&text).into_owned(), html(&text), markdown(&text), code(&text)] {
                prop_assert!(!shown.chars().any(is_unseen), "{shown:?}");
            }
            let fenced = fence("diff", std::slice::from_ref(&text), "");
            prop_assert!(!fenced.chars().any(|c| c != '\n' && is_unseen(c)));
        }

        #[test]
        fn invariant_37_running_text_keeps_no_markdown_of_its_own(text in nasty()) {
            let rest = outside_code(&markdown(&text));
            let harmless = |c: char| c.is_alphanumeric() || " .,;:()?-+'→".contains(c);
            prop_assert!(rest.chars().all(harmless), "{rest:?}");
            prop_assert!(!rest.contains("://") && !rest.contains("www."), "{rest:?}");
            prop_assert!(!markdown(&text).starts_with('/'));
        }

        #[test]
        fn invariant_37_a_code_span_is_not_ended_by_its_content(text in nasty()) {
            prop_assert_eq!(outside_code(&code(&text)), "x");
        }

        #[test]
        fn invariant_37_a_fence_is_not_ended_by_its_content_and_no_line_begins_with_a_slash(text in nasty()) {
            for indent in ["", "  "] {
                let fenced = fence("", &text.lines().map(str::to_owned).collect::<Vec<_>>(), indent);
                let opening = fenced.lines().next().unwrap();
                let closing = fenced.lines().filter(|line| line.trim_start().starts_with(opening.trim())).count();
                prop_assert_eq!(closing, 2);
                prop_assert!(fenced.lines().all(|line| !line.starts_with('/')));
            }
        }

        #[test]
        fn invariant_38_html_holds_no_markup_from_data(text in nasty()) {
            let escaped = html(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        }
    }

    #[test]
    fn invariant_37_the_unseen_are_known_by_name() {
        // Not taken from `is_unseen`, so that a gap in its table shows.
        let unseen = [
            '\0',
            '\n',
            '\r',
            '\t',
            '\x07',
            '\x1b',
            '\x7f',
            '\u{85}',
            '\u{9b}',
            '\u{a0}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{1680}',
            '\u{17b4}',
            '\u{180e}',
            '\u{2000}',
            '\u{200a}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{202f}',
            '\u{205f}',
            '\u{2060}',
            '\u{2064}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{e000}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{ffff}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e01ef}',
            '\u{10ffff}',
        ];
        for c in unseen {
            assert!(is_unseen(c), "{:x}", u32::from(c));
        }
        assert!(!"aZ9 ~é田한ж→∑🙂".chars().any(is_unseen));
    }

    #[test]
    fn code_spans_do_not_run_into_each_other() {
        assert_eq!(joined([code("a"), code("b"), " c".to_owned(), code("d")]), "`a` `b` c`d`");
        assert_eq!(outside_code(&joined([code("a`"), code("`b")])), "x x");
    }

    #[test]
    fn a_number_at_the_beginning_makes_no_list() {
        assert_eq!(markdown("1. x"), "`1`. x");
        assert_eq!(markdown("entry 1: x"), "entry 1: x");
    }

    #[test]
    fn invariant_37_what_was_once_read_as_markdown_is_none() {
        // Parsers give up on code spans between more than 80 backticks.
        let long = code(&format!("{} @all", "`".repeat(80)));
        assert!(long.starts_with("`\\u{60}") && outside_code(&long) == "x", "{long}");
        for (text, shown) in [
            ("1,:100:", "`1,:100`:"),
            ("1234567.1", "`1234567.1`"),
            ("effaced-x", "`effaced-x`"),
            (" 1. x", "`1`. x"),
            ("      x", "x"),
            (": x", "`:` x"),
        ] {
            assert_eq!(joined([markdown(text)]), shown, "{text}");
        }
        let lines = ["```", "  /approve", "::include{file=x}"].map(str::to_owned);
        assert_eq!(fence("", &lines, ""), "````\n```\n\\  /approve\n\\::include{file=x}\n````\n");
    }

    #[test]
    fn what_is_harmless_reads_as_it_was_written() {
        assert_eq!(visible("Zoë, 田中 – naïve"), "Zoë, 田中 – naïve");
        assert_eq!(
            markdown("role owners, entry 2: department is design"),
            "role owners, entry 2: department is design"
        );
        assert_eq!(markdown("asked by @all (see #1)"), "asked by `@all` (see `#1`)");
        assert_eq!(
            markdown("until 2027-01-31 23:59 -08:00 (1,204)"),
            "until 2027-01-31 23:59 -08:00 (1,204)"
        );
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(visible("a\u{202e}b\n"), "a\\u{202e}b\\n");
    }
}
