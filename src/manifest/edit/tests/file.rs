//! A random file, written line by line, with what each line is about and what all of it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub(super) const PEOPLE: [&str; 6] = ["ann", "bob", "cat", "dan", "eve", "fay"];
/// A thing that can be taken out.
pub(super) type Id = usize;

/// Something that stands on a line among others: whose it is, and its text.
pub(super) type Part = (Id, String);

#[derive(Debug, Default, Clone)]
pub(super) struct Line {
    pub(super) text: String,
    /// It goes with any of these.
    pub(super) owners: Vec<Id>,
    /// It may go with this one: a comment above it.
    pub(super) comment_of: Option<Id>,
    /// It says that the list is empty once all of these are gone.
    pub(super) head_of: Vec<Id>,
    /// What stands on it that can go by itself.
    pub(super) parts: Vec<Part>,
    /// A `---`: it may go with any document.
    pub(super) mark: bool,
}

/// Who has which role until when by which reason: what a file says of people.
pub(super) type Said = BTreeSet<(String, String, bool, String)>;

/// A file that is being written, with what it says.
pub(super) struct File {
    pub(super) seed: u64,
    pub(super) lines: Vec<Line>,
    pub(super) things: usize,
    pub(super) documents: Vec<Id>,
    /// By thing: whether its end is over.
    pub(super) over: BTreeMap<Id, bool>,
    pub(super) entries: Vec<Entry>,
    pub(super) grants: Vec<Grant>,
    pub(super) roles: Vec<String>,
    /// Entries whose reason another line of their document repeats by an alias: with that document.
    pub(super) anchored: Vec<(Id, Id)>,
    pub(super) end: &'static str,
    pub(super) numbers: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) role: String,
    pub(super) handles: Vec<(Id, String)>,
    pub(super) reason: String,
}

#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) id: Id,
    pub(super) to: Vec<(Id, String)>,
    pub(super) roles: Vec<(Id, String)>,
    pub(super) reason: String,
}

impl File {
    pub(super) fn new(seed: u64) -> Self {
        let mut file = Self {
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            lines: Vec::new(),
            things: 0,
            documents: Vec::new(),
            over: BTreeMap::new(),
            entries: Vec::new(),
            grants: Vec::new(),
            roles: Vec::new(),
            anchored: Vec::new(),
            end: "\n",
            numbers: 0,
        };
        file.end = file.pick(&["\n", "\n", "\r\n"]);
        file.write();
        file
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        usize::try_from(self.seed >> 33).unwrap() % bound
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn thing(&mut self) -> Id {
        self.things += 1;
        self.things
    }

    fn number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    fn line(&mut self, text: impl Into<String>, line: Line) {
        let mut text = text.into();
        if self.chance(20) {
            let number = self.number();
            let _ = write!(text, " # {number}: 'a', [b] - c");
        }
        if self.chance(10) {
            text.push_str("  ");
        }
        text.push_str(self.end);
        self.lines.push(Line { text, ..line });
    }

    fn comment(&mut self, indent: usize, line: Line) {
        let number = self.number();
        let text = format!("{}# comment {number}: x, \"y\"{}", " ".repeat(indent), self.end);
        self.lines.push(Line { text, ..line });
    }

    fn gap(&mut self, owners: Vec<Id>) {
        if self.chance(15) {
            let text = format!("{}{}", self.pick(&["", "  "]), self.end);
            self.lines.push(Line { text, owners, ..Line::default() });
        }
    }

    /// A word in one of the ways to write it.
    fn word(&mut self, word: &str) -> String {
        match self.below(4) {
            0 => format!("\"{word}\""),
            1 => format!("'{word}'"),
            _ => word.to_owned(),
        }
    }

    pub(super) fn some_people(&mut self) -> Vec<(Id, String)> {
        let (first, count) = (self.below(PEOPLE.len()), 1 + self.below(3));
        (0..count).map(|at| (self.thing(), PEOPLE[(first + at) % PEOPLE.len()].to_owned())).collect()
    }

    /// A list in brackets, with what stands in it.
    fn brackets(&mut self, words: &[(Id, String)]) -> (String, Vec<Part>) {
        let texts: Vec<Part> = words.iter().map(|(id, word)| (*id, self.word(word))).collect();
        let (open, between, close) = self.pick(&[("[", ", ", "]"), ("[ ", ",  ", " ]"), ("[", ",", ",]")]);
        let joined: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        (format!("{open}{}{close}", joined.join(between)), texts)
    }

    fn end_of(&mut self, id: Id, always: bool) -> Option<String> {
        let over = self.chance(50);
        if !always && self.chance(40) {
            self.over.insert(id, false);
            return None;
        }
        self.over.insert(id, over);
        let text = match (over, self.below(2)) {
            (true, 0) => "2020-02-29",
            (true, _) => "2026-11-22T17:00Z",
            (false, 0) => "2099-01-01",
            (false, _) => "2026-11-22T17:00:01Z",
        };
        Some(self.word(text))
    }

    fn write(&mut self) {
        if self.chance(50) {
            self.comment(0, Line::default());
            self.gap(Vec::new());
        }
        for at in 0..1 + self.below(4) {
            let id = self.thing();
            self.documents.push(id);
            if at > 0 || self.chance(20) {
                let text = format!("---{}", self.pick(&["", "", "  ", " # mark"]));
                let mark = Line { mark: true, text: format!("{text}{}", self.end), ..Line::default() };
                self.lines.push(mark);
                if self.chance(30) {
                    self.comment(0, Line { owners: vec![id], ..Line::default() });
                }
            }
            if at == 0 || self.chance(60) {
                self.role(id);
            } else {
                self.grant(id);
            }
            self.gap(vec![id]);
        }
        if self.chance(20) {
            // A line with nothing on it and no end is none.
            self.lines.pop_if(|line| line.text == self.end);
            if let Some(last) = self.lines.last_mut() {
                last.text = last.text.trim_end_matches(['\r', '\n']).to_owned();
            }
        }
    }

    fn role(&mut self, id: Id) {
        let name = format!("r{}", self.roles.len());
        self.roles.push(name.clone());
        let of = || Line { owners: vec![id], ..Line::default() };
        let kind = self.word("Role");
        self.line(format!("kind: {kind}"), of());
        self.line(format!("name: {name}"), of());
        if self.chance(50) {
            self.line("owners:   [ann, \"@acme/x\"]", of());
        }
        if self.chance(80) {
            self.entries(id, &name);
        }
        if self.anchored.last().is_some_and(|(_, document)| *document == id) {
            self.line("description: *why", of());
        }
        if self.chance(50) {
            self.line("sensitivity:  'low'", of());
        }
    }

    fn entries(&mut self, document: Id, role: &str) {
        let count = 1 + self.below(4);
        let mut made = Vec::new();
        for _ in 0..count {
            let id = self.thing();
            let handles = if self.chance(75) { self.some_people() } else { Vec::new() };
            let reason = format!("why {}", self.number());
            made.push(Entry { id, role: role.to_owned(), handles, reason });
        }
        let all: Vec<Id> = made.iter().map(|entry| entry.id).collect();
        if self.chance(20) {
            let anchored = self.pick(&all);
            self.anchored.push((anchored, document));
        }
        let indent = self.pick(&[0, 2, 4]);
        match self.below(3) {
            0 => {
                // All on one line.
                let (mut texts, mut parts) = (Vec::new(), Vec::new());
                for entry in &made {
                    let (text, mut inner) = self.entry(entry);
                    parts.push((entry.id, text.clone()));
                    parts.append(&mut inner);
                    texts.push(text);
                }
                let line = Line { owners: vec![document], parts, ..Line::default() };
                self.line(format!("members: [{}]", texts.join(", ")), line);
            }
            1 => {
                // In brackets, one a line.
                let of = || Line { owners: vec![document], ..Line::default() };
                self.line("members: [", of());
                for (at, entry) in made.iter().enumerate() {
                    let (text, parts) = self.entry(entry);
                    if self.chance(25) {
                        self.comment(2, Line { comment_of: Some(entry.id), ..of() });
                    }
                    let comma = if at + 1 < made.len() || self.chance(50) { "," } else { "" };
                    let line = Line { owners: vec![document, entry.id], parts, ..Line::default() };
                    self.line(format!("  {text}{comma}"), line);
                }
                self.line("]", of());
            }
            _ => {
                let head = Line { owners: vec![document], head_of: all, ..Line::default() };
                self.line("members:", head);
                for entry in &made {
                    self.gap(vec![document]);
                    self.in_lines(document, entry, indent);
                }
            }
        }
        self.entries.extend(made);
    }

    /// An entry as lines of a list.
    fn in_lines(&mut self, document: Id, entry: &Entry, indent: usize) {
        let space = " ".repeat(indent);
        if self.chance(30) {
            let line = Line { owners: vec![document], comment_of: Some(entry.id), ..Line::default() };
            self.comment(indent, line);
        }
        let of = |parts| Line { owners: vec![document, entry.id], parts, ..Line::default() };
        if self.chance(50) {
            let (text, parts) = self.entry(entry);
            return self.line(format!("{space}- {text}"), of(parts));
        }
        let (who, parts) = self.who(entry);
        self.line(format!("{space}-   {who}"), of(parts));
        if let Some(until) = self.end_of(entry.id, false) {
            self.line(format!("{space}    until: {until}"), of(Vec::new()));
        }
        if self.chance(20) {
            self.comment(indent + 2, of(Vec::new()));
        }
        self.line(format!("{space}    reason: {}", self.reason(entry)), of(Vec::new()));
    }

    /// An entry in braces.
    fn entry(&mut self, entry: &Entry) -> (String, Vec<Part>) {
        let (who, parts) = self.who(entry);
        let anchor = if self.chance(10) { format!("&e{} ", entry.id) } else { String::new() };
        let mut text = format!("{anchor}{{ {who}");
        if let Some(until) = self.end_of(entry.id, false) {
            let _ = write!(text, ", until: {until}");
        }
        let _ = write!(text, ", reason: {} }}", self.reason(entry));
        (text, parts)
    }

    fn reason(&self, entry: &Entry) -> String {
        let anchor = self.anchored.last().is_some_and(|(id, _)| *id == entry.id);
        format!("{}{}", if anchor { "&why " } else { "" }, entry.reason)
    }

    fn who(&mut self, entry: &Entry) -> (String, Vec<Part>) {
        match entry.handles.as_slice() {
            [] => ("type: employee".to_owned(), Vec::new()),
            [(_, one)] if self.chance(60) => (format!("handle: {}", self.word(one)), Vec::new()),
            several => {
                let (text, parts) = self.brackets(several);
                (format!("handle: {text}"), parts)
            }
        }
    }

    fn grant(&mut self, id: Id) {
        let of = || Line { owners: vec![id], ..Line::default() };
        let to = self.some_people();
        let mut roles: Vec<(Id, String)> = Vec::new();
        for role in self.roles.clone() {
            if roles.is_empty() || self.chance(50) {
                roles.push((self.thing(), role));
            }
        }
        let grant = Grant { id, to, roles, reason: format!("why {}", self.number()) };
        self.line("kind: Grant", of());
        self.line(format!("name: g{id}"), of());
        if self.chance(40) {
            self.line("to:", of());
            for (person, name) in grant.to.clone() {
                let line = Line { owners: vec![id, person], ..Line::default() };
                let name = self.word(&name);
                self.line(format!("- {name}"), line);
            }
        } else {
            let (text, parts) = self.brackets(&grant.to);
            self.line(format!("to: {text}"), Line { parts, ..of() });
        }
        let (text, parts) = self.brackets(&grant.roles);
        self.line(format!("roles: {text}"), Line { parts, ..of() });
        if let Some(until) = self.end_of(id, false) {
            self.line(format!("until: {until}"), of());
        }
        self.line(format!("reason: {}", grant.reason), of());
        self.grants.push(grant);
    }

    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }

    /// What is to be left of what it says, once things are gone.
    pub(super) fn said(&self, gone: &dyn Fn(Id, &str, &str) -> bool) -> Said {
        let mut said = Said::new();
        let mut say = |id: Id, who: &str, role: &str, reason: &str| {
            if !gone(id, who, role) {
                said.insert((who.to_owned(), role.to_owned(), self.over[&id], reason.to_owned()));
            }
        };
        for entry in &self.entries {
            for (_, who) in &entry.handles {
                say(entry.id, who, &entry.role, &entry.reason);
            }
            if entry.handles.is_empty() {
                say(entry.id, "*", &entry.role, &entry.reason);
            }
        }
        for grant in &self.grants {
            for (_, who) in &grant.to {
                for (_, role) in &grant.roles {
                    say(grant.id, who, role, &grant.reason);
                }
            }
        }
        said
    }
}
