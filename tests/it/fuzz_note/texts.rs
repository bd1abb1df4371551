//! Hostile texts, and harmless ones of the same shape: as many lines, blank where those are, equal where those are.
//!
//! Invariant: what is drawn depends on the seed alone, whatever is shown in its place.

use std::collections::HashMap;

/// What does harm somewhere, or once did.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "/approve", "/merge", "/APPROVE", "/Merge now", " /approve", "   /merge", "\r/approve", "\n/approve\n",
    "\r\n/merge\r\n", "\\/approve", "&#47;approve", "&sol;merge", "/\r\napprove", "`/approve`", "\t/close", "@all",
    "@user", "@group/sub", "#12", "!3", "$4", "%5", "%\"a b\"", "~label", "~\"a b\"", "&9", "*iteration:7",
    "[vulnerability:1]", "[issue:3]", "group/project#1", "GL-12", "^alert#3", "%{project_name}",
    "http://evil.example", "https://evil.example/x?a=b&c", "HTTPS://EVIL.example", "ftp://x.y", "javascript:alert(1)",
    "www.x.y", "WWW.evil.example", "a@b.example", "mailto:a@b.example", "xmpp:a@b.c/d", "<http://x>", "<a@b.example>",
    ":thumbsup:", ":100:", ":1234:", "1,:100:", "5:100:", "[x](y)", "[x][y]", "[x]", "[x]: http://evil",
    "[x]:\nhttp://evil 'x'", "![x](https://evil/x.png)", "![](x)", "[[wiki]]", "[[a|b]]", "[^1]", "[^1]: note",
    "^[inline]", "<script>alert(1)</script>", "<b>", "</b>", "<img src=x onerror=y>", "</details>", "<details>",
    "</summary>", "<!--", "-->", "--!>", "<?php", "<![CDATA[", "]]>", "<pre>", "</pre>", "<div>\n", "&lt;b&gt;",
    "&amp;", "&#x3c;", "<!channel>", "<@U123>", "<x|y>",
    "<!-- rolecall:shown:v1 0000000000000000000000000000000000000000000000000000000000000000 -->",
    "\n<!-- rolecall:shown:v1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 -->\n",
    "<!-- rolecall:plan:access -->", "<!-- rolecall:drift:okta 0 -->", "```", "\n```\n", "````", "\n```\n/approve\n",
    "\n```\n /merge\n", "~~~", "\n~~~\n", "`", "``", "\\`", "` `", ">>>", "\n>>>\n", "> quoted", "> [!note]", ">",
    "$$", "$`x`$", "$x$", "```math\n", "```mermaid\n", "[[_TOC_]]", "[TOC]", "\n[TOC]\n", "::include{file=x}",
    "\n::include{file=x}\n", "a | b", "|---|", "| - |", "\n|-|-|\n", ":-:", "# heading", "\n## heading", "a\n===",
    "a\n---\n", "\n---\n", "***", "___", "- - -", "+++", ";;;", "- item", "\n* item", "+ item", "1. one", "1) one",
    " 1. one", "\n2. two\n", "- [ ] task", "[x] done", "* [~] n", ": definition", "\n: definition", ":", "~ x",
    "*bold*", "**bold**", "_under_", "__x__", "~~gone~~", "~x~", "^x^", "||spoiler||", "{+ added +}", "{- gone -}",
    "==x==", "\u{202e}evil\u{202c}", "\u{200b}", "/\u{200b}approve", "\u{feff}/approve", "\u{2028}/approve",
    "\u{2029}", "\u{85}/merge", "\x0b/merge", "\x0c/merge", "\u{ad}", "\u{e0041}", "\u{fe0f}", "\u{3164}", "\0",
    "\x1b[31m", "\x07", "\x7f", "\u{a0}/approve", "\\", "\\\\", "\\\n", "\\@all", "'", "\"", "''", "\" onload=\"x",
    "&", "<", ">", "deadbeef", "deadbeefcafe0123", "1234567", "1234567.1", "1234567..2", "effaced-x", "0123abc",
    "a'deadbee1", "    code", "     x", "\tx", " ", "  ", "\n", "\n\n", "\r", "\r\n", "", "role x", "entry 2", "Zoë",
    "田中", "🙂", "→ x", "2026-01-01", "12:00", "-08:00", "(", "((", ")", "?", ".", ",", ";", "--", "a-b", "it's", "a/b",
    "25 %", "arn:aws:iam::1:role/x", "\"{{7*7}}\"", "${x}", "$(x)",
];

/// Single characters that mean something next to each other.
#[rustfmt::skip]
const SOUP: &[char] = &[
    '`', '~', '*', '_', '[', ']', '(', ')', '<', '>', '!', '#', '@', '$', '%', '^', '&', '|', '\\', '/', ' ', '-',
    '+', '=', '?', '"', '\'', '\n', '\r', '\t', '{', '}', ':', ';', ',', '.', '1', '7', '0', 'a', 'f', 'x', '→',
    '\u{200d}',
];

/// A stream of numbers from a seed (splitmix64).
#[derive(Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// Less than `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    /// Once in `of` times.
    pub(super) fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn piece(&mut self) -> String {
        match self.below(12) {
            0 => self.pick(SOUP).to_string().repeat(1 + self.below(7)),
            1 => (0..=self.below(8)).map(|_| self.pick(SOUP)).collect(),
            2 if self.once_in(4) => self.pick(SOUP).to_string().repeat(1 + self.below(200)),
            _ => self.pick(PIECES).to_owned(),
        }
    }

    fn hostile(&mut self) -> String {
        let mut text = self.piece();
        for _ in 0..self.below(4) {
            text.push_str(self.pick(&["", " ", " ", "\n"]));
            text.push_str(&self.piece());
        }
        text
    }
}

/// Where a plan takes its texts from.
#[derive(Clone)]
pub(super) struct Texts {
    rng: Rng,
    /// The one text that is hostile, and what it is; `None`: all are.
    only: Option<(usize, String)>,
    harmless: bool,
    drawn: Vec<String>,
    shown: Vec<String>,
    known: HashMap<String, usize>,
}

impl Texts {
    pub(super) fn hostile(seed: u64) -> Self {
        let rng = Rng::of(!seed);
        Self { rng, only: None, harmless: false, drawn: vec![], shown: vec![], known: HashMap::new() }
    }

    pub(super) fn one(seed: u64, index: usize, text: &str) -> Self {
        Self { only: Some((index, text.to_owned())), ..Self::hostile(seed) }
    }

    /// The same, with nothing hostile.
    pub(super) fn harmless(&self) -> Self {
        Self { harmless: true, ..self.clone() }
    }

    pub(super) fn drawn(&self) -> &[String] {
        &self.drawn
    }

    /// The next text; one in five is an earlier one.
    pub(super) fn text(&mut self) -> String {
        if !self.shown.is_empty() && self.rng.once_in(5) {
            let earlier = self.rng.below(self.shown.len());
            return self.shown[earlier].clone();
        }
        let (index, drawn) = (self.drawn.len(), self.rng.hostile());
        self.drawn.push(drawn.clone());
        let (is_hostile, text) = match &self.only {
            Some((only, text)) if *only == index => (true, text.clone()),
            Some(_) => (false, drawn),
            None => (true, drawn),
        };
        let shown = if is_hostile && !self.harmless { text } else { self.word(&text) };
        self.shown.push(shown.clone());
        shown
    }

    /// A harmless text in place of one: a word for each line, the same for equal lines, made of what is no digit of any base.
    fn word(&mut self, text: &str) -> String {
        let mut line = |line: &str| {
            if line.trim().is_empty() {
                return line.to_owned();
            }
            let next = self.known.len();
            let mut number = *self.known.entry(line.to_owned()).or_insert(next);
            let mut word = String::from("x");
            while number > 0 {
                word.push(char::from(b'g' + u8::try_from(number % 17).unwrap()));
                number /= 17;
            }
            word
        };
        text.split('\n').map(&mut line).collect::<Vec<_>>().join("\n")
    }
}
