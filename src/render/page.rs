//! A page of terminal text: indented, wrapped, coloured lines.
//!
//! Invariant: every text is made safe here, before it is measured; no line ends in blanks.
//! It must not know what it prints.

use std::borrow::Cow;

use owo_colors::{OwoColorize, Style as Paint};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::escape::visible;
use super::terminal::Style;
use super::words::{Line, Piece};

/// How a text is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// As it is.
    Plain,
    /// Bold.
    Strong,
    /// What matters less.
    Dim,
    /// What comes, or went well.
    Good,
    /// What changes, or wants a look.
    Warn,
    /// What goes, or went wrong.
    Alarm,
}

impl Ink {
    fn paint(self) -> Paint {
        match self {
            Self::Plain => Paint::new(),
            Self::Strong => Paint::new().bold(),
            Self::Dim => Paint::new().dimmed(),
            Self::Good => Paint::new().green(),
            Self::Warn => Paint::new().yellow(),
            Self::Alarm => Paint::new().red().bold(),
        }
    }
}

/// How wide the labels of facts are.
pub(super) const LABEL: usize = 10;
/// The narrowest terminal that is laid out for; on a narrower one, lines are cut by the terminal itself.
const NARROWEST: usize = 40;

/// Terminal text in the making.
pub(super) struct Page {
    text: String,
    color: bool,
    width: usize,
}

impl Page {
    pub(super) fn new(style: &Style) -> Self {
        Self { text: String::new(), color: style.color, width: style.width.max(NARROWEST) }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// An empty line, but never two, and none at the top.
    pub(super) fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Text that is ready.
    pub(super) fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Pieces of a line, wrapped at blanks; lines after the first are indented by `hang`.
    pub(super) fn line(&mut self, indent: usize, hang: usize, parts: &[(String, Ink)]) {
        self.text.push_str(&" ".repeat(indent));
        self.wrap(indent, hang, parts);
    }

    /// A line of running text.
    pub(super) fn text(&mut self, indent: usize, hang: usize, line: &Line) {
        self.line(indent, hang, &inked(line, false));
    }

    /// What an item does, behind its sign.
    pub(super) fn title(&mut self, sign: char, ink: Ink, line: &Line) {
        self.text.push_str("  ");
        self.put(&sign.to_string(), ink);
        self.text.push(' ');
        self.wrap(4, 6, &inked(line, true));
    }

    /// A label and what stands beside it.
    pub(super) fn fact(&mut self, indent: usize, label: &str, line: &Line) {
        self.text.push_str(&" ".repeat(indent));
        self.put(&format!("{label:LABEL$} "), Ink::Dim);
        self.wrap(indent + LABEL + 1, indent + LABEL + 1, &inked(line, false));
    }

    /// A line that is never wrapped, since it is to be pasted.
    pub(super) fn verbatim(&mut self, indent: usize, parts: &[(String, Ink)]) {
        self.text.push_str(&" ".repeat(indent));
        for (text, ink) in parts {
            self.put(&visible(text), *ink);
        }
        self.end();
    }

    /// A line whose blanks matter: cut where the terminal ends, and continued under itself.
    pub(super) fn chopped(&mut self, indent: usize, text: &str, ink: Ink) {
        let text = visible(text);
        // Continuations stand two columns further in than the text itself, so that they cannot be taken for lines.
        let lead = text.chars().skip(1).take_while(|c| *c == ' ').count() + 1;
        let hang = (indent + lead + 2).min(self.width / 2);
        let (mut column, mut chunk) = (indent, String::new());
        self.text.push_str(&" ".repeat(indent));
        for character in text.chars() {
            let wide = character.width().unwrap_or(0);
            if column + wide > self.width {
                self.put(&chunk, ink);
                self.end();
                chunk.clear();
                self.text.push_str(&" ".repeat(hang));
                column = hang;
            }
            chunk.push(character);
            column += wide;
        }
        self.put(&chunk, ink);
        self.end();
    }

    fn wrap(&mut self, start: usize, hang: usize, parts: &[(String, Ink)]) {
        let (mut column, mut fresh) = (start, true);
        for word in glued(parts) {
            let wide: usize = word.pieces.iter().map(|(text, _)| text.width()).sum();
            if !fresh && column + word.blanks + wide > self.width {
                self.end();
                self.text.push_str(&" ".repeat(hang));
                column = hang;
            } else {
                self.text.push_str(&" ".repeat(word.blanks));
                column += word.blanks;
            }
            for (text, ink) in word.pieces {
                self.put(&text, ink);
            }
            column += wide;
            fresh = false;
        }
        self.end();
    }

    fn put(&mut self, text: &str, ink: Ink) {
        if self.color && ink != Ink::Plain && !text.trim().is_empty() {
            self.text.push_str(&text.style(ink.paint()).to_string());
        } else {
            self.text.push_str(text);
        }
    }

    fn end(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }
}

/// What is not torn apart: pieces between two blanks, with the blanks before them.
struct Word {
    blanks: usize,
    pieces: Vec<(String, Ink)>,
}

fn glued(parts: &[(String, Ink)]) -> Vec<Word> {
    let mut words = vec![Word { blanks: 0, pieces: Vec::new() }];
    for (text, ink) in parts {
        for (index, word) in visible(text).split(' ').enumerate() {
            if index > 0 {
                let blanks = match words.last() {
                    Some(last) if last.pieces.is_empty() => words.pop().map_or(0, |last| last.blanks),
                    _ => 0,
                };
                words.push(Word { blanks: blanks + 1, pieces: Vec::new() });
            }
            if let (false, Some(last)) = (word.is_empty(), words.last_mut()) {
                last.pieces.push((word.to_owned(), *ink));
            }
        }
    }
    words
}

/// A line's pieces with their colours; the words of a title are plain and its literals bold.
pub(super) fn inked(line: &Line, title: bool) -> Vec<(String, Ink)> {
    let part = |piece: &Piece| match piece {
        Piece::Words(text) => (text.clone(), Ink::Plain),
        Piece::Literal(text) => (text.clone(), if title { Ink::Strong } else { Ink::Plain }),
        Piece::Quoted(text) => (format!("`{text}`"), Ink::Plain),
        Piece::Place(text) => (text.clone(), Ink::Dim),
    };
    line.iter().map(part).map(|(text, ink)| (Cow::into_owned(visible(&text)), ink)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: usize) -> Page {
        Page::new(&Style { width, ..Style::default() })
    }

    #[test]
    fn lines_wrap_at_blanks_and_long_names_stay_whole() {
        let mut narrow = page(40);
        narrow.line(
            2,
            6,
            &[
                ("create ".into(), Ink::Plain),
                (format!("okta:group/{} for all", "x".repeat(40)), Ink::Strong),
            ],
        );
        assert_eq!(
            narrow.finish(),
            format!("  create\n      okta:group/{}\n      for all\n", "x".repeat(40))
        );
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        let mut narrow = page(40);
        narrow.line(0, 0, &[("田".repeat(15) + " " + &"中".repeat(6), Ink::Plain)]);
        assert_eq!(narrow.finish().lines().count(), 2);
    }

    #[test]
    fn a_long_line_of_a_document_continues_further_in() {
        let mut narrow = page(40);
        narrow.chopped(4, &format!("+   Action: {}", "x".repeat(40)), Ink::Good);
        let text = narrow.finish();
        assert!(text.lines().all(|line| line.len() <= 40), "{text}");
        assert!(text.lines().nth(1).unwrap().starts_with("          x"), "{text}");
    }

    #[test]
    fn invariant_37_a_page_shows_what_cannot_be_seen() {
        let mut wide = page(80);
        wide.line(0, 0, &[("a\x1b[2Jb\u{202e}c\nd".into(), Ink::Strong)]);
        wide.verbatim(0, &[("\x07".into(), Ink::Plain)]);
        wide.chopped(0, "\u{200b}", Ink::Good);
        assert_eq!(wide.finish(), "a\\u{1b}[2Jb\\u{202e}c\\nd\n\\u{7}\n\\u{200b}\n");
    }
}
