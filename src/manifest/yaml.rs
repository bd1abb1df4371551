//! YAML text to trees of spanned values; with `edit/layout`, the one place that knows the parser.
//!
//! Invariant: every node has a line and a column, no text makes it panic, and what a reader could take for two things
//! (a repeated key, `NO`, `0123`, an invisible character) is an error instead of a guess.
//! It must not know what a document means.

use std::collections::HashMap;

use serde_saphyr::granit_parser as granit;

use granit::{Event, Marker, Parser, ScalarStyle, ScanError, StructureStyle};

use super::text;
use crate::model::{Code, Entry, Finding, Name, Node, NodeValue, Span, Spanned};

/// The text is no YAML.
pub const SYNTAX: Code = Code { code: "RC103", title: "the text is not YAML" };
/// Too many levels.
pub const TOO_DEEP: Code = Code { code: "RC105", title: "a manifest is nested too deeply" };
/// An alias that cannot be followed, or aliases that grow too much.
pub const BAD_ALIAS: Code = Code { code: "RC106", title: "an alias leads nowhere or grows too much" };
/// A key that is given twice.
pub const DUPLICATE_KEY: Code = Code { code: "RC107", title: "a key is given twice" };
/// A scalar without quotes that YAML readers disagree about.
pub const AMBIGUOUS: Code =
    Code { code: "RC108", title: "a value without quotes that could mean several things" };
/// YAML that manifests do without: tags, merge keys, mappings as keys, directives.
pub const UNSUPPORTED: Code = Code { code: "RC109", title: "a part of YAML that manifests do not use" };

/// The most levels of lists and mappings in each other.
pub const MAX_DEPTH: usize = 64;
/// The most mistakes that are collected of one file; whoever made that many needs no more of them.
pub(crate) const MAX_MISTAKES: usize = 1_000;
/// The most values that the aliases of one document may stand for.
pub const MAX_ALIASED: usize = 10_000;

/// One document of a stream.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its value.
    pub(crate) node: Node,
    /// Whether all of it was read. Of a broken one the beginning is kept, so that its name is known.
    pub(crate) whole: bool,
}

/// Reads all documents of a file, reporting every mistake; after a syntax error it goes on with the next document.
pub(crate) fn read(file: &Name, bytes: &[u8], findings: &mut Vec<Finding>) -> Vec<Document> {
    let Some(text) = text::readable(file, bytes, findings) else { return Vec::new() };
    let mut parser = parser(&text.text);
    let mut documents = Vec::new();
    let enough = findings.len() + MAX_MISTAKES;
    let mut builder = Builder::new(file, findings);
    while builder.findings.len() < enough {
        match parser.next() {
            Some(Ok((event, span))) => {
                if let Some(node) = builder.event(event, span) {
                    documents.push(Document { node, whole: text.whole });
                }
            }
            Some(Err(error)) => {
                // What was replaced to get this far is reported already, and is the likely cause.
                if text.whole {
                    builder.syntax(&error);
                }
                documents.extend(builder.abandon().map(|node| Document { node, whole: false }));
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
            None => break,
        }
    }
    // A stream may end with `---`, and a file may hold nothing but comments.
    documents.retain(|document| document.node.value != NodeValue::Null);
    documents
}

/// The parser as manifests are read with it.
pub(super) fn parser(text: &str) -> Parser<'_, granit::StrInput<'_>> {
    let mut options = granit::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    Parser::new_from_str_with_options(text, options)
}

/// A list or mapping that is not yet closed.
struct Frame {
    span: Span,
    /// Whether it has no mark of its own, so that the parser's place for it is that of its first item.
    unmarked: bool,
    anchor: usize,
    /// Levels below this one, for the depth that aliases add.
    height: usize,
    /// Values in it so far, itself included, for the growth that aliases cause.
    size: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Key, seen: HashMap<String, u32> },
}

enum Key {
    /// The next value is a key.
    Awaited,
    /// The next value belongs to this key.
    Read(Spanned<String>),
    /// The next value belongs to a key that was refused.
    Refused,
}

/// A finished value with what is needed to bound aliases.
#[derive(Clone)]
struct Built {
    node: Node,
    /// As in [`Frame`]; under a key it is shown at the key.
    unmarked: bool,
    height: usize,
    size: usize,
}

struct Builder<'f> {
    file: Name,
    findings: &'f mut Vec<Finding>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    aliased: usize,
}

impl<'f> Builder<'f> {
    fn new(file: &Name, findings: &'f mut Vec<Finding>) -> Self {
        Self { file: file.clone(), findings, open: Vec::new(), anchors: HashMap::new(), aliased: 0 }
    }

    /// Takes in one event; gives the document that it completes.
    fn event(&mut self, event: Event<'_>, at: granit::Span) -> Option<Node> {
        let span = self.span(&at);
        match event {
            Event::DocumentStart(..) => {
                self.open.clear();
                self.anchors.clear();
                self.aliased = 0;
                None
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    self.refuse(UNSUPPORTED, &span, "tags are not used in manifests", "leave the tag out");
                }
                self.scalar(&text, style, anchor, span)
            }
            Event::SequenceStart(style, anchor, tag) => {
                let unmarked = style == StructureStyle::Block;
                self.begin(Inside::List(Vec::new()), unmarked, anchor, tag.is_some(), span);
                None
            }
            Event::MappingStart(_, anchor, tag) => {
                let inside = Inside::Map { entries: Vec::new(), key: Key::Awaited, seen: HashMap::new() };
                self.begin(inside, false, anchor, tag.is_some(), span);
                None
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::UnresolvedAlias(name) => {
                let message = format!("the alias `*{name}` names nothing before it in this document");
                self.refuse(
                    BAD_ALIAS,
                    &span,
                    &message,
                    "anchors (`&name`) reach to the end of their document",
                );
                self.place(Built::leaf(NodeValue::Null, span))
            }
            _ => None,
        }
    }

    fn begin(&mut self, inside: Inside, unmarked: bool, anchor: usize, tagged: bool, span: Span) {
        if tagged {
            self.refuse(UNSUPPORTED, &span, "tags are not used in manifests", "leave the tag out");
        }
        self.open.push(Frame { span, unmarked, anchor, height: 0, size: 1, inside });
    }

    fn end(&mut self) -> Option<Node> {
        let frame = self.open.pop()?;
        let value = match frame.inside {
            Inside::List(items) => NodeValue::List(items),
            Inside::Map { entries, .. } => NodeValue::Map(entries),
        };
        let node = Node { value, span: frame.span };
        let built = Built { node, unmarked: frame.unmarked, height: frame.height + 1, size: frame.size };
        if frame.anchor > 0 {
            self.anchors.insert(frame.anchor, built.clone());
        }
        self.place(built)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, span: Span) -> Option<Node> {
        if let Some(character) = text.chars().find(|c| text::is_hostile(*c)) {
            let message = format!("an escape in this text stands for {}", text::name(character));
            self.refuse(text::BAD_CHARACTER, &span, &message, "leave it out");
        }
        let plain = style == ScalarStyle::Plain;
        if self.awaits_key() {
            if plain && text == "<<" {
                let help = "write the keys out; an alias can stand for a whole value";
                self.refuse(UNSUPPORTED, &span, "merge keys (`<<`) are not used in manifests", help);
            // Keys are texts here whatever they look like, and a waiver says `on:`.
            } else if plain && text != "on" && !matches!(text::plain(text), Ok(NodeValue::Text(_))) {
                let message = format!("the key `{text}` can be read as something else than a text");
                self.refuse(AMBIGUOUS, &span, &message, &format!("put it in quotes: `\"{text}\"`"));
            }
        }
        let value = if plain && !self.awaits_key() {
            text::plain(text).unwrap_or_else(|why| {
                self.refuse(AMBIGUOUS, &span, &why.message(text), &why.help(text));
                NodeValue::Text(text.to_owned())
            })
        } else {
            NodeValue::Text(text.to_owned())
        };
        let mut built = Built::leaf(value, span);
        built.unmarked = plain && text.is_empty();
        if anchor > 0 {
            self.anchors.insert(anchor, built.clone());
        }
        self.place(built)
    }

    /// Puts a copy of what the anchor stands on in the alias's place, as long as that stays small.
    fn alias(&mut self, anchor: usize, span: Span) -> Option<Node> {
        let Some(found) = self.anchors.get(&anchor) else {
            self.refuse(BAD_ALIAS, &span, "this alias stands for a value that holds it", "write it out");
            return self.place(Built::leaf(NodeValue::Null, span));
        };
        let (size, height) = (found.size, found.height);
        let within = self.aliased <= MAX_ALIASED;
        self.aliased = self.aliased.saturating_add(size);
        if self.open.len() + height > MAX_DEPTH {
            self.deep(&span);
        } else if self.aliased <= MAX_ALIASED {
            let mut built = found.clone();
            built.node.span = span;
            built.unmarked = false;
            return self.place(built);
        } else if within {
            let message = format!("the aliases of this document stand for more than {MAX_ALIASED} values");
            self.refuse(BAD_ALIAS, &span, &message, "write lists out, or use a role that others cite");
        }
        self.place(Built::leaf(NodeValue::Null, span))
    }

    /// Puts a finished value where it belongs; gives it back where it is the document.
    fn place(&mut self, built: Built) -> Option<Node> {
        let Some(frame) = self.open.last_mut() else { return Some(built.node) };
        frame.height = frame.height.max(built.height);
        frame.size += built.size;
        match &mut frame.inside {
            Inside::List(items) => items.push(built.node),
            Inside::Map { entries, key, seen } => match std::mem::replace(key, Key::Awaited) {
                Key::Refused => {}
                Key::Read(read) => {
                    let mut value = built.node;
                    if built.unmarked {
                        // One longer than the key, with its colon: no two values of a tree have the same place.
                        value.span = Span { length: read.span.length + 1, ..read.span.clone() };
                    }
                    entries.push(Entry { key: read, value });
                }
                Key::Awaited => {
                    let Node { value, span } = built.node;
                    let NodeValue::Text(value) = value else {
                        *key = Key::Refused;
                        let message = "only a text can be a key";
                        self.refuse(UNSUPPORTED, &span, message, "put it in quotes, or write a plain key");
                        return None;
                    };
                    if let Some(line) = seen.get(&value) {
                        let message = format!("the key `{value}` is given twice");
                        let help = format!("line {line} has it already; keep one of them");
                        *key = Key::Refused;
                        self.refuse(DUPLICATE_KEY, &span, &message, &help);
                    } else {
                        seen.insert(value.clone(), span.line);
                        *key = Key::Read(Spanned { value, span });
                    }
                }
            },
        }
        None
    }

    /// Closes everything that a syntax error left open.
    fn abandon(&mut self) -> Option<Node> {
        while !self.open.is_empty() {
            if let Some(node) = self.end() {
                return Some(node);
            }
        }
        None
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { inside: Inside::Map { key: Key::Awaited, .. }, .. }))
    }

    fn syntax(&mut self, error: &ScanError) {
        let span = self.place_of(error.marker(), 1);
        if matches!(error.kind(), granit::ErrorKind::RecursionLimitExceeded) {
            return self.deep(&span);
        }
        if matches!(error.kind(), granit::ErrorKind::DirectiveDisallowed) {
            return self.refuse(
                UNSUPPORTED,
                &span,
                "directives (`%`) are not used in manifests",
                "leave it out",
            );
        }
        let message = format!("this is not YAML: {}", error.info().replace('\'', "`"));
        self.findings.push(Finding::error(SYNTAX, message).at(&span));
    }

    fn deep(&mut self, span: &Span) {
        let message = format!("lists and mappings are nested more than {MAX_DEPTH} levels deep");
        self.refuse(TOO_DEEP, span, &message, "no manifest needs more than a few levels");
    }

    fn refuse(&mut self, code: Code, span: &Span, message: &str, help: &str) {
        self.findings.push(Finding::error(code, message).at(span).help(help));
    }

    fn span(&self, span: &granit::Span) -> Span {
        let same_line = span.start.line() == span.end.line();
        let length = if same_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
        self.place_of(&span.start, length)
    }

    fn place_of(&self, marker: &Marker, length: usize) -> Span {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Span {
            file: self.file.clone(),
            line: number(marker.line()).max(1),
            column: number(marker.col()).saturating_add(1),
            length: number(length).max(1),
        }
    }
}

impl Built {
    fn leaf(value: NodeValue, span: Span) -> Self {
        Self { node: Node { value, span }, unmarked: false, height: 0, size: 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parse(text: &str) -> (Vec<Document>, Vec<Finding>) {
        let mut findings = Vec::new();
        let documents = read(&"x.yaml".into(), text.as_bytes(), &mut findings);
        (documents, findings)
    }

    fn one(text: &str) -> Node {
        let (mut documents, findings) = parse(text);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(documents.len(), 1);
        documents.remove(0).node
    }

    fn spans<'n>(node: &'n Node, values: &mut Vec<&'n Span>, keys: &mut Vec<&'n Span>) {
        values.push(&node.span);
        match &node.value {
            NodeValue::List(items) => items.iter().for_each(|item| spans(item, values, keys)),
            NodeValue::Map(entries) => entries.iter().for_each(|entry| {
                keys.push(&entry.key.span);
                spans(&entry.value, values, keys);
            }),
            _ => {}
        }
    }

    #[test]
    fn every_node_has_a_place_of_its_own() {
        let text = "# c\na: b\nlist:\n- x: 1\n  w:\n- é: [ü, {k: }, [ ], [[1]]]\nm:\n  - - 1\n  -\n  - - - {}\nq: \"a\n  b\"\n\
                    z: |\n  lit\n\nlast:\no:\n  - p:\n    - 1\n  - p:\n---\n{ a: b, c, 'd': { }, \"e\": ~ }\n---\n- 1\n- null\n...\n# only\n";
        let (documents, findings) = parse(text);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(documents.len(), 3);
        let (mut values, mut keys) = (Vec::new(), Vec::new());
        documents.iter().for_each(|document| spans(&document.node, &mut values, &mut keys));
        for span in values.iter().chain(&keys) {
            assert!(span.line > 0 && span.column > 0 && span.length > 0, "{span:?}");
        }
        // Decoding tells values apart by their places.
        let distinct: BTreeSet<_> = values.iter().collect();
        assert_eq!(distinct.len(), values.len());
    }

    #[test]
    fn columns_count_characters_and_lengths_are_those_of_the_source() {
        let node = one("é: \"größe\" # c\n");
        let value = node.get("é").unwrap();
        assert_eq!((value.span.line, value.span.column, value.span.length), (1, 4, 7));
        assert_eq!(value.as_text(), Some("größe"));
    }

    #[test]
    fn line_ends_of_windows_are_line_ends() {
        let node = one("a: b\r\nc:\r\n  - d\r\n");
        assert_eq!(node.get("a").unwrap().as_text(), Some("b"));
        let NodeValue::List(items) = &node.get("c").unwrap().value else { panic!("a list") };
        assert_eq!((items[0].as_text(), items[0].span.line), (Some("d"), 3));
    }

    #[test]
    fn plain_values_mean_what_they_say() {
        let node = one(
            "{ t: true, f: false, nothing: ~, none: null, i: -12, z: 0, d: 2012-10-17, at: 2026-11-22T19:00-08:00, \
             v: 1.2.3, q: \"0123\", s: 'NO', p: 50%, arn: \"arn:aws:iam::1:root\", w: 7d, e: 1e, h: 0xZZ }",
        );
        let value = |key: &str| node.get(key).unwrap().value.clone();
        assert_eq!((value("t"), value("f")), (NodeValue::Bool(true), NodeValue::Bool(false)));
        assert_eq!((value("nothing"), value("none")), (NodeValue::Null, NodeValue::Null));
        assert_eq!((value("i"), value("z")), (NodeValue::Int(-12), NodeValue::Int(0)));
        for (key, text) in [
            ("d", "2012-10-17"),
            ("at", "2026-11-22T19:00-08:00"),
            ("v", "1.2.3"),
            ("q", "0123"),
            ("s", "NO"),
            ("p", "50%"),
            ("w", "7d"),
            ("e", "1e"),
            ("h", "0xZZ"),
        ] {
            assert_eq!(value(key), NodeValue::Text(text.into()), "{key}");
        }
    }

    #[test]
    fn invariant_33_ambiguous_plain_values_are_refused() {
        for text in [
            "NO",
            "no",
            "on",
            "Off",
            "yes",
            "Y",
            "True",
            "FALSE",
            "Null",
            "0123",
            "00",
            "-0",
            "+1",
            "1e3",
            "1E-3",
            "0x1f",
            "0o17",
            "0b1",
            "1_000",
            "1.0",
            ".5",
            "-.inf",
            ".NaN",
            "12:30",
            "1:30:00",
            "9223372036854775808",
        ] {
            let (_, findings) = parse(&format!("a: {text}\n"));
            assert_eq!(findings.len(), 1, "{text}");
            assert_eq!(findings[0].code.as_ref(), AMBIGUOUS.code, "{text}");
        }
    }

    #[test]
    fn aliases_stand_for_values_at_their_own_places() {
        let node = one("a: &x [1, { b: c }]\nd: *x\n");
        let (first, second) = (node.get("a").unwrap(), node.get("d").unwrap());
        assert_eq!(first.to_value(), second.to_value());
        assert_eq!((second.span.line, second.span.column), (2, 4));
    }

    #[test]
    fn after_a_syntax_error_the_next_document_is_read_and_the_name_of_the_broken_one_kept() {
        let (documents, findings) = parse("kind: Role\nname: x\nbad: [1\n---\nkind: Role\nname: z\n");
        assert_eq!(findings.iter().map(|finding| finding.code.as_ref()).collect::<Vec<_>>(), [SYNTAX.code]);
        let names: Vec<_> = documents
            .iter()
            .map(|document| (document.node.get("name").and_then(Node::as_text), document.whole))
            .collect();
        assert_eq!(names, [(Some("x"), false), (Some("z"), true)]);
    }
}
