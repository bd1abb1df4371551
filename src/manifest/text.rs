//! What a file may hold before it is YAML, and what a value without quotes means.
//!
//! Invariant: a reader and rolecall see the same: no character that does not show, no value that YAML readers disagree
//! about. It must not know documents.

use std::borrow::Cow;

use super::yaml::MAX_MISTAKES;
use crate::model::{Code, Finding, Name, NodeValue, Span};

/// Bytes that are no UTF-8.
pub const NOT_UTF8: Code = Code { code: "RC101", title: "a file is not UTF-8" };
/// Tabs, control characters, and characters that do not show.
pub const BAD_CHARACTER: Code =
    Code { code: "RC102", title: "a tab, a control character, or one that does not show" };
/// A file or line that is too long.
pub const TOO_LARGE: Code = Code { code: "RC104", title: "a file or a line is too large" };

/// The most bytes of one file.
pub const MAX_FILE: usize = 4 << 20;
/// The most bytes of one line.
pub const MAX_LINE: usize = 64 << 10;

/// A text that the parser can be given.
pub(crate) struct Readable<'b> {
    /// The text, with a space for each character that may not be there.
    pub(crate) text: Cow<'b, str>,
    /// Whether nothing had to be replaced.
    pub(crate) whole: bool,
}

/// Checks size, encoding and characters. `None` where it is too large to go on.
pub(crate) fn readable<'b>(
    file: &Name,
    bytes: &'b [u8],
    findings: &mut Vec<Finding>,
) -> Option<Readable<'b>> {
    if bytes.len() > MAX_FILE {
        let message = format!("this file has {} bytes; a manifest may have {MAX_FILE}", bytes.len());
        findings.push(Finding::error(TOO_LARGE, message).at(&at(file, 1, 1)).help("split it"));
        return None;
    }
    let long = bytes.split(|byte| *byte == b'\n').position(|line| line.len() > MAX_LINE);
    if let Some(index) = long {
        let message = format!("this line has more than {MAX_LINE} bytes");
        findings.push(Finding::error(TOO_LARGE, message).at(&at(file, index + 1, 1)).help("break it up"));
        return None;
    }
    let before = findings.len();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => {
            let good = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
            let line = good.matches('\n').count() + 1;
            let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let finding = Finding::error(NOT_UTF8, "this is not UTF-8").at(&at(file, line, column));
            findings.push(finding.help("save the file as UTF-8"));
            String::from_utf8_lossy(bytes)
        }
    };
    let hostile = check_characters(file, &text, findings);
    let text = if hostile { Cow::Owned(without_hostile(&text)) } else { text };
    Some(Readable { text, whole: findings.len() == before })
}

/// Reports the first bad character of each line.
fn check_characters(file: &Name, text: &str, findings: &mut Vec<Finding>) -> bool {
    let enough = findings.len() + MAX_MISTAKES;
    let mut any = false;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let Some((column, character)) = line.chars().enumerate().find(|(_, c)| *c == '\t' || is_hostile(*c))
        else {
            continue;
        };
        any = true;
        if findings.len() == enough {
            break;
        }
        let help = if character == '\t' { "use spaces; inside quotes write `\\t`" } else { "delete it" };
        let message = format!("{} is not allowed in a manifest", name(character));
        let span = at(file, index + 1, column + 1);
        findings.push(Finding::error(BAD_CHARACTER, message).at(&span).help(help));
    }
    any
}

/// The same text, each character in its place, with spaces for those that may not be there.
fn without_hostile(text: &str) -> String {
    let replace =
        |line: &str| line.chars().map(|c| if c == '\t' || is_hostile(c) { ' ' } else { c }).collect();
    let lines: Vec<String> = text.split('\n').map(replace).collect();
    lines.join("\n")
}

/// Whether a character must not stand in a value: control characters but tab and line feed, every space but the plain
/// one, and what is invisible or changes the direction of text.
pub(crate) fn is_hostile(character: char) -> bool {
    match character {
        ' ' | '\t' | '\n' => false,
        _ if character.is_control() || character.is_whitespace() => true,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// What to call a character that cannot be shown.
pub(crate) fn name(character: char) -> String {
    let number = u32::from(character);
    match character {
        '\t' => "a tab".to_owned(),
        '\u{feff}' => "a byte order mark (U+FEFF)".to_owned(),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            format!("the direction-changing character U+{number:04X}")
        }
        _ if character.is_control() => format!("the control character U+{number:04X}"),
        _ => format!("the invisible character U+{number:04X}"),
    }
}

fn at(file: &Name, line: usize, column: usize) -> Span {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Span { file: file.clone(), line: number(line), column: number(column), length: 1 }
}

/// Why a value without quotes is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// `yes`, `NO`, `on`, `True`, `NULL`.
    Word,
    /// `0123`.
    LeadingZero,
    /// `1e3`, `0x1f`, `1_000`, `12:30`, `1.5`, a number that does not fit.
    Number,
}

impl Doubt {
    pub(crate) fn message(self, text: &str) -> String {
        match self {
            Self::Word => format!("`{text}` without quotes means different things to different readers"),
            Self::LeadingZero => format!("the number `{text}` begins with a zero"),
            Self::Number => format!("`{text}` without quotes can be read as another number, or as a text"),
        }
    }

    pub(crate) fn help(self, text: &str) -> String {
        match self {
            Self::Word => {
                let meant = match text.to_ascii_lowercase().as_str() {
                    "true" | "yes" | "on" | "y" => "true",
                    "null" => "null",
                    _ => "false",
                };
                format!("write `{meant}`, or `\"{text}\"` if it is a text")
            }
            Self::LeadingZero | Self::Number => {
                format!("write `\"{text}\"` if it is a text; numbers are whole and decimal")
            }
        }
    }
}

/// What a scalar without quotes means.
pub(crate) fn plain(text: &str) -> Result<NodeValue, Doubt> {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    match text {
        "" | "~" | "null" => return Ok(NodeValue::Null),
        "true" => return Ok(NodeValue::Bool(true)),
        "false" => return Ok(NodeValue::Bool(false)),
        _ if WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) => return Err(Doubt::Word),
        _ => {}
    }
    let signless = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(signless) {
        if signless.len() > 1 && signless.starts_with('0') {
            return Err(Doubt::LeadingZero);
        }
        // `+1` and `-0` come back as another text than was written.
        return match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Ok(NodeValue::Int(number)),
            _ => Err(Doubt::Number),
        };
    }
    let lower = signless.to_ascii_lowercase();
    let first_counts = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let based = ["0x", "0o", "0b"].iter().any(|prefix| {
        lower.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_')
        })
    });
    let special = [".inf", ".nan"].contains(&lower.as_str());
    let float = first_counts && lower.replace('_', "").parse::<f64>().is_ok();
    let sixties = lower.contains(':') && lower.split(':').all(digits);
    if based || special || float || sixties {
        Err(Doubt::Number)
    } else {
        Ok(NodeValue::Text(text.to_owned()))
    }
}
