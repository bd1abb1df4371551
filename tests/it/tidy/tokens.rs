//! Rust source as tokens, for checks that must not be fooled by comments and strings.
//!
//! It knows just enough of the language to find names, paths and the lines that hold code, and it never
//! fails: what it does not understand becomes punctuation.

/// One token and the line it starts on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) line: usize,
    /// The last line it stands on: a string may span many.
    pub(super) end: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A name or a keyword; a raw name without its `r#`.
    Name(String),
    /// What stands between the quotes, escapes as written.
    Text(String),
    /// `::`
    Path,
    /// Any other character.
    Mark(char),
    /// A number, character or lifetime: it counts as code and nothing else.
    Other,
}

impl Token {
    pub(super) fn name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Name(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// All tokens of `source`; comments, doc comments too, are none.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0, line: 1 };
    let mut found = Vec::new();
    while let Some(&char) = chars.get(lexer.at) {
        let line = lexer.line;
        if let Some(kind) = lexer.next(char) {
            found.push(Token { line, end: lexer.line, kind });
        }
    }
    found
}

struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
    line: usize,
}

impl Lexer<'_> {
    /// Steps over one token, comment or blank; only a token gives a kind.
    fn next(&mut self, char: char) -> Option<Kind> {
        match char {
            _ if char.is_whitespace() => {
                self.step(1);
                None
            }
            '/' if self.peek(1) == Some('/') => {
                self.step_while(|char| char != '\n');
                None
            }
            '/' if self.peek(1) == Some('*') => {
                self.block_comment();
                None
            }
            '"' => Some(self.text(None)),
            '\'' => Some(self.character_or_lifetime()),
            _ if char.is_alphabetic() || char == '_' => Some(self.name_or_raw_text()),
            _ if char.is_ascii_digit() => {
                self.step_while(|char| char.is_alphanumeric() || char == '_');
                Some(Kind::Other)
            }
            ':' if self.peek(1) == Some(':') => {
                self.step(2);
                Some(Kind::Path)
            }
            _ => {
                self.step(1);
                Some(Kind::Mark(char))
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn step(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == Some('\n'));
            self.at += 1;
        }
    }

    fn step_while(&mut self, goes_on: impl Fn(char) -> bool) -> String {
        let mut passed = String::new();
        while let Some(char) = self.peek(0).filter(|char| goes_on(*char)) {
            passed.push(char);
            self.step(1);
        }
        passed
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(char) = self.peek(0) {
            match (char, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.step(1);
                    continue;
                }
            }
            self.step(2);
            if depth == 0 {
                return;
            }
        }
    }

    /// A string from its opening quote on; a raw one ends with `hashes` after the quote.
    fn text(&mut self, hashes: Option<usize>) -> Kind {
        self.step(1);
        let mut content = String::new();
        while let Some(char) = self.peek(0) {
            let closes = (1..=hashes.unwrap_or(0)).all(|ahead| self.peek(ahead) == Some('#'));
            if char == '"' && closes {
                self.step(1 + hashes.unwrap_or(0));
                break;
            }
            let width = if char == '\\' && hashes.is_none() { 2 } else { 1 };
            content.extend((0..width).filter_map(|ahead| self.peek(ahead)));
            self.step(width);
        }
        Kind::Text(content)
    }

    fn character_or_lifetime(&mut self) -> Kind {
        if self.peek(1) == Some('\\') {
            self.step(3);
            self.step_while(|char| char != '\'');
            self.step(1);
        } else if self.peek(2) == Some('\'') {
            self.step(3);
        } else {
            self.step(1);
            self.step_while(|char| char.is_alphanumeric() || char == '_');
        }
        Kind::Other
    }

    /// A name, unless it is the `r`, `b`, `br` or `cr` before a quote, or the `r#` of a raw name.
    fn name_or_raw_text(&mut self) -> Kind {
        let name = self.step_while(|char| char.is_alphanumeric() || char == '_');
        let hashes = (0..).take_while(|ahead| self.peek(*ahead) == Some('#')).count();
        let raw = matches!(name.as_str(), "r" | "br" | "cr");
        if raw && self.peek(hashes) == Some('"') {
            self.step(hashes);
            return self.text(Some(hashes));
        }
        if name == "r" && hashes == 1 {
            self.step(1);
            return self.name_or_raw_text();
        }
        Kind::Name(name)
    }
}

/// `tokens` without the items that only exist under `cfg(test)`.
pub(super) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let attribute = attribute_end(tokens, at);
        let is_test = attribute.is_some_and(|end| {
            let names: Vec<&str> = tokens[at..end].iter().filter_map(Token::name).collect();
            names.first() == Some(&"cfg") && names.contains(&"test") && !names.contains(&"not")
        });
        if is_test {
            at = item_end(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where the attribute that starts at `at` is over, if one starts there.
fn attribute_end(tokens: &[Token], at: usize) -> Option<usize> {
    let opens = tokens.get(at)?.is('#') && tokens.get(at + 1)?.is('[');
    opens.then(|| group_end(tokens, at + 1))
}

/// Where the item that starts at `at`, attributes first, is over: behind its `;` or its block.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while let Some(end) = attribute_end(tokens, at) {
        at = end;
    }
    while let Some(token) = tokens.get(at) {
        match token.kind {
            Kind::Mark('{') => return group_end(tokens, at),
            Kind::Mark(';') => return at + 1,
            Kind::Mark('(' | '[') => at = group_end(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// The index behind the bracket that closes the one at `open`.
fn group_end(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark('(' | '[' | '{') => depth += 1,
            Kind::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// A path as it is written, its `{…}` groups taken apart: `use a::{b, c::d}` gives `a::b` and `a::c::d`.
#[derive(Debug, PartialEq)]
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
}

/// All paths in `tokens`, single names too.
pub(super) fn paths(tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = path_from(tokens, at, &[], &mut found);
    }
    found
}

/// Reads the path at `at` that continues `prefix`, and returns where to go on.
fn path_from(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let line = tokens[at].line;
    let mut segments = prefix.to_vec();
    while let Some(name) = tokens.get(at).and_then(Token::name) {
        segments.push(name.to_owned());
        at += 1;
        if tokens.get(at).is_none_or(|token| token.kind != Kind::Path) {
            break;
        }
        at += 1;
        if tokens.get(at).is_some_and(|token| token.is('{')) {
            let end = group_end(tokens, at);
            at += 1;
            while at + 1 < end {
                at = path_from(tokens, at, &segments, found);
            }
            return end;
        }
    }
    if segments.len() == prefix.len() {
        return at + 1;
    }
    if !prefix.is_empty() && tokens.get(at).and_then(Token::name) == Some("as") {
        at += 2;
    }
    found.push(Named { line, segments });
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Vec<String> {
        paths(&tokens(source)).into_iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn comments_strings_and_characters_hold_no_names() {
        assert_eq!(names("a /* b /* c */ d */ e // f\n g"), ["a", "e", "g"]);
        assert_eq!(names(r##"x("std::fs \" y", r#"p " q"#, 'c', '\'', b"z") w"##), ["x", "b", "w"]);
        assert_eq!(names("fn f<'a>(r#type: &'a u8)"), ["fn", "f", "type", "u8"]);
    }

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(names("use a::{b, c::{d, e as f}, g::*};"), ["use", "a::b", "a::c::d", "a::c::e", "a::g"]);
        assert_eq!(names("std::fs::read::<T>(x)"), ["std::fs::read", "T", "x"]);
    }

    #[test]
    fn lines_survive_long_strings_and_comments() {
        let found = tokens("a \"\n\n\" b /*\n*/ c");
        let lines: Vec<(usize, usize)> = found.iter().map(|token| (token.line, token.end)).collect();
        assert_eq!(lines, [(1, 1), (1, 3), (3, 3), (4, 4)]);
    }

    #[test]
    fn items_for_tests_are_left_out() {
        let source = "a(); #[cfg(test)] #[allow(x)] mod t { b(); { c() } } d(); #[cfg(test)] mod u; #[cfg(not(test))] e();";
        let kept = paths(&without_tests(&tokens(source)));
        let kept: Vec<&str> = kept.iter().map(|path| path.segments[0].as_str()).collect();
        assert_eq!(kept, ["a", "d", "cfg", "not", "test", "e"]);
    }
}
