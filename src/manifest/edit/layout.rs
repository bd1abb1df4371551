//! Where the parts of a file stand, in bytes: documents, lists with their items, mappings with their entries.
//!
//! Invariant: a part's range holds its text and nothing of its neighbours; what cannot be made out has no layout.
//! It must not know documents, nor change anything.

use std::iter::Peekable;
use std::ops::Range;

use serde_saphyr::granit_parser as granit;

use granit::{Event, Parser, ScalarStyle, StrInput, StructureStyle};

use crate::manifest::yaml;

/// One document of a stream.
#[derive(Debug)]
pub(super) struct Document {
    /// Where it begins: at its `---`, or else with its content.
    pub(super) start: usize,
    /// Whether it has a `---`.
    pub(super) marked: bool,
    /// Its content.
    pub(super) root: Part,
}

/// A value in the text.
#[derive(Debug)]
pub(super) struct Part {
    /// From its first character, after an anchor, to behind its last one.
    pub(super) range: Range<usize>,
    /// What it is.
    pub(super) form: Form,
}

/// What a value is made of.
#[derive(Debug)]
pub(super) enum Form {
    /// A scalar, or nothing.
    Leaf,
    /// An alias: what it stands for is written elsewhere.
    Alias,
    /// A list.
    List { flow: bool, items: Vec<Item> },
    /// A mapping.
    Map { flow: bool, entries: Vec<Entry> },
}

/// An item of a list.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it begins: its dash, or the first character in brackets.
    pub(super) start: usize,
    /// The value.
    pub(super) part: Part,
}

/// An entry of a mapping.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key as it is meant.
    pub(super) key: String,
    /// Where the key stands.
    pub(super) start: usize,
    /// Behind the colon, or the key where it has none.
    pub(super) colon: usize,
    /// The value.
    pub(super) part: Part,
}

/// The documents of a text; those that say nothing are left out, as `yaml::read` does. `None` where the text is no YAML, or
/// a form of it that is not edited.
pub(super) fn layout(text: &str) -> Option<Vec<Document>> {
    let mut reader = Reader { text, events: yaml::parser(text).peekable(), cursor: 0 };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentEnd, _) => {}
            (Event::DocumentStart(marked, _), at) => {
                reader.cursor = at.end;
                let empty = reader.is_empty_leaf();
                let root = reader.part()?;
                let start = if marked { at.start } else { root.range.start };
                if !empty {
                    documents.push(Document { start, marked, root });
                }
            }
            (Event::StreamEnd, _) => return Some(documents),
            _ => return None,
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    events: Peekable<Parser<'t, StrInput<'t>>>,
    /// Behind what was read last.
    cursor: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<(Event<'t>, Range<usize>)> {
        let (event, span) = self.events.next()?.ok()?;
        Some((event, span.byte_range()?))
    }

    fn peek(&mut self) -> Option<&Event<'t>> {
        self.events.peek()?.as_ref().ok().map(|(event, _)| event)
    }

    /// Whether the next value is nothing at all, or `null` without quotes.
    fn is_empty_leaf(&mut self) -> bool {
        matches!(self.peek(), Some(Event::Scalar(text, ScalarStyle::Plain, ..)) if matches!(text.as_ref(), "~" | "null" | ""))
    }

    fn part(&mut self) -> Option<Part> {
        let (event, range) = self.next()?;
        let part = match event {
            Event::Scalar(..) => {
                let start = range.start.max(self.cursor);
                // A text in lines of its own reaches to the next value; the space there is not its own.
                let kept = self.text.get(start..range.end.max(start))?.trim_end().len();
                Part { range: start..start + kept, form: Form::Leaf }
            }
            Event::Alias(_) => Part { range, form: Form::Alias },
            Event::SequenceStart(StructureStyle::Flow, ..) => self.flow_list(range)?,
            Event::SequenceStart(..) => self.block_list()?,
            Event::MappingStart(style, ..) => self.map(range, style == StructureStyle::Flow)?,
            _ => return None,
        };
        self.cursor = self.cursor.max(part.range.end);
        Some(part)
    }

    fn block_list(&mut self) -> Option<Part> {
        let mut items: Vec<Item> = Vec::new();
        while *self.peek()? != Event::SequenceEnd {
            let start = self.find('-')?;
            self.cursor = start + 1;
            let part = self.part()?;
            items.push(Item { start, part });
        }
        self.next()?;
        let range = items.first()?.start..self.cursor;
        Some(Part { range, form: Form::List { flow: false, items } })
    }

    fn flow_list(&mut self, open: Range<usize>) -> Option<Part> {
        self.cursor = open.end;
        let mut items: Vec<Item> = Vec::new();
        while *self.peek()? != Event::SequenceEnd {
            if !items.is_empty() {
                self.cursor = self.find(',')? + 1;
            }
            let start = self.content();
            let part = self.part()?;
            items.push(Item { start, part });
        }
        let (_, close) = self.next()?;
        Some(Part { range: open.start..close.end, form: Form::List { flow: true, items } })
    }

    fn map(&mut self, open: Range<usize>, flow: bool) -> Option<Part> {
        if flow {
            self.cursor = open.end;
        }
        let mut entries: Vec<Entry> = Vec::new();
        while *self.peek()? != Event::MappingEnd {
            if flow && !entries.is_empty() {
                self.cursor = self.find(',')? + 1;
            }
            let start = if flow { self.content() } else { 0 };
            let Event::Scalar(key, ..) = self.peek()?.clone() else { return None };
            let at = self.part()?.range;
            let colon = self.find(':').map_or(at.end, |colon| colon + 1);
            self.cursor = colon;
            let part = self.part()?;
            let start = if flow { start } else { at.start };
            entries.push(Entry { key: key.into_owned(), start, colon, part });
        }
        let (_, close) = self.next()?;
        // A pair in a list, `[a: b]`, is a mapping without braces.
        let end = if flow { close.end.max(self.cursor) } else { self.cursor };
        let start = if flow { open.start } else { entries.first()?.start };
        Some(Part { range: start..end, form: Form::Map { flow, entries } })
    }

    /// Where a mark stands, with nothing but space, comments and anchors before it.
    fn find(&self, mark: char) -> Option<usize> {
        let mut at = self.content();
        loop {
            let rest = self.text.get(at..)?;
            match rest.chars().next()? {
                found if found == mark => return Some(at),
                '&' => {
                    let end = rest.find([' ', '\n', '\r', ',', '[', ']', '{', '}'])?;
                    at = skip(self.text, at + end);
                }
                _ => return None,
            }
        }
    }

    /// Where the next thing begins that is no space and no comment.
    fn content(&self) -> usize {
        skip(self.text, self.cursor)
    }
}

/// Behind spaces, line ends and comments.
pub(super) fn skip(text: &str, mut at: usize) -> usize {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let space = rest.len() - rest.trim_start_matches([' ', '\n', '\r']).len();
        at += space;
        let begins = at == 0 || text.get(..at).is_some_and(|before| before.ends_with([' ', '\n', '\r']));
        match text.get(at..) {
            Some(rest) if begins && rest.starts_with('#') => at += rest.find('\n').unwrap_or(rest.len()),
            _ => return at,
        }
    }
}
