//! Random edits of random files: every byte that an edit is not about stays.
//!
//! The judge knows from the writing of a file whose each line is. It asks none of the code that it judges, save the reader
//! for what the edited file says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::manifest::edit::past::past;
use crate::manifest::edit::withdraw::{except, withdraw};
use crate::manifest::edit::{Change, Draft, NOT_EDITABLE};
use crate::manifest::{Condition, Tree, load};
use crate::model::{Registry, Sources};

const PEOPLE: [&str; 6] = ["ann", "bob", "cat", "dan", "eve", "fay"];
const SETTINGS: &str = "format: 1\norganization: acme\ntimezone: UTC\ndirectory: manifests\ntypes: { employee: { rules: true } }\n";

/// A thing that can be taken out.
type Id = usize;

/// Something that stands on a line among others: whose it is, and its text.
type Part = (Id, String);

#[derive(Debug, Default, Clone)]
struct Line {
    text: String,
    /// It goes with any of these.
    owners: Vec<Id>,
    /// It may go with this one: a comment above it.
    comment_of: Option<Id>,
    /// It says that the list is empty once all of these are gone.
    head_of: Vec<Id>,
    /// What stands on it that can go by itself.
    parts: Vec<Part>,
    /// A `---`: it may go with any document.
    mark: bool,
}

/// Who has which role until when by which reason: what a file says of people.
type Said = BTreeSet<(String, String, bool, String)>;

/// A file that is being written, with what it says.
struct File {
    seed: u64,
    lines: Vec<Line>,
    things: usize,
    documents: Vec<Id>,
    /// By thing: whether its end is over.
    over: BTreeMap<Id, bool>,
    entries: Vec<Entry>,
    grants: Vec<Grant>,
    roles: Vec<String>,
    /// Entries whose reason another line of their document repeats by an alias: with that document.
    anchored: Vec<(Id, Id)>,
    end: &'static str,
    numbers: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    id: Id,
    role: String,
    handles: Vec<(Id, String)>,
    reason: String,
}

#[derive(Debug, Clone)]
struct Grant {
    id: Id,
    to: Vec<(Id, String)>,
    roles: Vec<(Id, String)>,
    reason: String,
}

impl File {
    fn new(seed: u64) -> Self {
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

    fn below(&mut self, bound: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        usize::try_from(self.seed >> 33).unwrap() % bound
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
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

    fn some_people(&mut self) -> Vec<(Id, String)> {
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
                self.role(id)
            } else {
                self.grant(id)
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
            let (text, parts) = self.brackets(&grant.to.clone());
            self.line(format!("to: {text}"), Line { parts, ..of() });
        }
        let (text, parts) = self.brackets(&grant.roles.clone());
        self.line(format!("roles: {text}"), Line { parts, ..of() });
        if let Some(until) = self.end_of(id, false) {
            self.line(format!("until: {until}"), of());
        }
        self.line(format!("reason: {}", grant.reason), of());
        self.grants.push(grant);
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }

    /// What is to be left of what it says, once things are gone.
    fn said(&self, gone: &dyn Fn(Id, &str, &str) -> bool) -> Said {
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

/// What a tree says of people.
fn read(tree: &Tree) -> Said {
    let now = now();
    let mut said = Said::new();
    for role in &tree.roles {
        for entry in &role.members {
            let over = entry.until.as_ref().is_some_and(|until| until.value <= now);
            let reason = entry.reason.clone().unwrap_or_default();
            for condition in &entry.conditions {
                let who: Vec<&str> = match condition {
                    Condition::Handle(handles) => handles.iter().map(|handle| handle.as_str()).collect(),
                    _ => vec!["*"],
                };
                let all =
                    who.iter().map(|who| ((*who).to_owned(), role.name.value.clone(), over, reason.clone()));
                said.extend(all);
            }
        }
    }
    for grant in &tree.grants {
        let over = grant.until.as_ref().is_some_and(|until| until.value <= now);
        for (who, role) in grant.to.iter().flat_map(|who| grant.roles.iter().map(move |role| (who, role))) {
            let reason = grant.reason.clone().unwrap_or_default();
            said.insert((who.value.clone(), role.value.clone(), over, reason));
        }
    }
    said
}

fn now() -> jiff::Timestamp {
    super::NOW.parse().unwrap()
}

fn sources(text: &str) -> Sources {
    let people: Vec<String> =
        PEOPLE.iter().map(|name| format!("kind: User\nname: {name}\ntype: employee\n")).collect();
    Sources::of([
        ("rolecall.yaml", SETTINGS),
        ("people/staff.yaml", people.join("---\n").as_str()),
        ("roles/x.yaml", text),
    ])
}

/// A line without its end.
fn bare(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

fn squeezed(text: &str) -> String {
    text.replace([' ', ','], "")
}

/// What is left of a line without some of its parts, spaces and commas aside.
fn without(line: &Line, gone: &BTreeSet<Id>) -> String {
    let mut bytes: Vec<Option<char>> = bare(&line.text).chars().map(Some).collect();
    let mut from = 0;
    for (id, text) in &line.parts {
        // Parts stand in the order of the line; one may hold the next ones.
        let start = from + line.text[from..].find(text).unwrap();
        from = start + 1;
        if gone.contains(id) {
            bytes[start..start + text.len()].fill(None);
        }
    }
    squeezed(&bytes.into_iter().flatten().collect::<String>())
}

/// Compares line by line: what is whose decides what may differ, and how.
fn judge(file: &File, after: &str, gone: &BTreeSet<Id>, added: usize) -> Result<(), String> {
    let mut rest = after.split_inclusive('\n').peekable();
    let documents = file.documents.iter().any(|document| gone.contains(document));
    for line in &file.lines {
        if line.owners.iter().any(|owner| gone.contains(owner)) {
            continue;
        }
        let same =
            |found: &str| found.trim_end_matches(['\r', '\n']) == line.text.trim_end_matches(['\r', '\n']);
        let optional = line.comment_of.is_some_and(|id| gone.contains(&id)) || (line.mark && documents);
        let found = rest.peek().copied().unwrap_or_default();
        if optional && found != line.text {
            continue;
        }
        let emptied = !line.head_of.is_empty() && line.head_of.iter().all(|id| gone.contains(id));
        let cut = line.parts.iter().any(|(id, _)| gone.contains(id));
        let fits = if emptied {
            found.len() == line.text.len() + 3 && found.replacen(" []", "", 1) == line.text
        } else if !cut {
            // A last line without an end gets one where something follows it.
            found == line.text || (added > 0 && bare(found) == bare(&line.text))
        } else {
            let (bare, old) = (bare(found), bare(&line.text));
            let end = found.ends_with(&line.text[old.len()..]) || added > 0;
            let tail = old.rsplit(']').next().unwrap();
            squeezed(bare) == without(line, gone) && bare.ends_with(tail) && end
        };
        if !fits {
            return Err(format!("instead of {:?} there is {found:?}", line.text));
        }
        rest.next();
    }
    let left = rest.count();
    if left == added { Ok(()) } else { Err(format!("{left} lines more, {added} expected")) }
}

/// Makes one random edit of one random file; says whether anything was edited.
fn once(seed: u64) -> bool {
    let mut file = File::new(seed);
    let text = file.text();
    let registry = Registry { types: Vec::new() };
    let sources = sources(&text);
    let (tree, findings) = load(&sources, &registry);
    let tree = tree.unwrap_or_else(|| panic!("seed {seed}: {findings:#?}\n{text}"));
    assert_eq!(
        read(&tree),
        file.said(&|_, _, _| false),
        "seed {seed}: the test misunderstands its file\n{text}"
    );

    let mut gone = BTreeSet::new();
    let mut added = 0;
    let mut draft = Draft::of(&sources);
    let mut excepted = None;
    let done;
    let said = match file.below(3) {
        0 => {
            done = draft.change(changes(&tree));
            let over: Vec<Id> = file.over.iter().filter(|(_, over)| **over).map(|(id, _)| *id).collect();
            gone.extend(over);
            file.said(&|id, _, _| file.over[&id])
        }
        1 => {
            let people: Vec<String> = file.some_people().into_iter().map(|(_, name)| name).collect();
            let mut roles = file.roles.clone();
            roles.retain(|_| file.chance(60));
            let changes = withdraw(&tree, &people, &roles, now());
            done = draft.change(changes);
            let takes = |who: &str, role: &str| {
                people.iter().any(|person| person == who) && roles.iter().any(|taken| taken == role)
            };
            for entry in file.entries.iter().filter(|entry| !file.over[&entry.id]) {
                let lose = entry.handles.iter().filter(|(_, who)| takes(who, &entry.role));
                let lose: Vec<Id> = lose.map(|(id, _)| *id).collect();
                if lose.len() == entry.handles.len() && !lose.is_empty() {
                    gone.insert(entry.id);
                } else {
                    gone.extend(lose);
                }
            }
            for grant in file.grants.iter().filter(|grant| !file.over[&grant.id]) {
                let lose: Vec<Id> =
                    grant.to.iter().filter(|(_, who)| people.contains(who)).map(|(id, _)| *id).collect();
                let taken: Vec<Id> =
                    grant.roles.iter().filter(|(_, role)| roles.contains(role)).map(|(id, _)| *id).collect();
                if lose.is_empty() || taken.is_empty() {
                    continue;
                }
                match (lose.len() == grant.to.len(), taken.len() == grant.roles.len()) {
                    (true, true) => drop(gone.insert(grant.id)),
                    (true, false) => gone.extend(taken),
                    (false, true) => gone.extend(lose),
                    (false, false) => {
                        gone.extend(lose);
                        let ends =
                            tree.grants.iter().find(|other| other.name.value == format!("g{}", grant.id));
                        added += 6 + usize::from(ends.unwrap().until.is_some());
                    }
                }
            }
            file.said(&|id, who, role| !file.over[&id] && takes(who, role))
        }
        _ => {
            let role = &tree.roles[file.below(tree.roles.len())];
            let change = except(&tree, role, &["ann".to_owned()], "why: so").unwrap();
            excepted = Some(role.name.value.clone());
            done = draft.change(vec![change]);
            file.said(&|_, _, _| false)
        }
    };
    // What another line stands for cannot go alone.
    if file.anchored.iter().any(|(entry, document)| gone.contains(entry) && !gone.contains(document)) {
        assert_eq!(done.expect_err(&text)[0].code.as_ref(), NOT_EDITABLE.code, "seed {seed}\n{text}");
        return false;
    }
    done.unwrap_or_else(|why| panic!("seed {seed}: {why:#?}\n{text}"));
    let edited = draft.text("roles/x.yaml").unwrap_or_default().to_owned();
    let (after, findings) = load(draft.sources(), &registry);
    let after = after.unwrap_or_else(|| panic!("seed {seed}: {findings:#?}\n{text}\n=>\n{edited}"));
    assert_eq!(read(&after), said, "seed {seed}\n{text}\n=>\n{edited}");
    let judged = match &excepted {
        Some(role) => only_added(&text, &edited, role),
        None => judge(&file, &edited, &gone, added),
    };
    judged.unwrap_or_else(|why| panic!("seed {seed}: {why}\n{text}\n=>\n{edited}"));
    edited != text
}

fn changes(tree: &Tree) -> Vec<(crate::model::Name, Change)> {
    past(tree, now()).into_iter().map(|past| (past.place.file, past.change)).collect()
}

/// Whether one or two lines were put in, and nothing else is different.
fn only_added(text: &str, edited: &str, role: &str) -> Result<(), String> {
    let start = text.bytes().zip(edited.bytes()).take_while(|(one, two)| one == two).count();
    let more = edited.len().checked_sub(text.len()).ok_or("it is shorter")?;
    let fits = (0..=start).any(|at| text.get(..at).is_some() && edited.get(at + more..) == text.get(at..));
    let lines = edited.lines().count() - text.lines().count();
    if fits && (1..=2).contains(&lines) { Ok(()) } else { Err(format!("not just an `except` of {role}")) }
}

#[test]
fn five_hundred_random_edits_leave_every_other_byte() {
    let edited = (0..20000).filter(|seed| once(*seed)).count();
    assert!(edited > 300, "only {edited} of 500 edits changed anything");
}

#[test]
fn a_refused_edit_names_its_file() {
    let text = "kind: Role\nname: r\nmembers: &m [{ handle: ann, until: 2020-01-01 }, { handle: bob }]\nexcept: *m\n";
    let tree = load(&sources(text), &Registry { types: Vec::new() }).0.unwrap();
    let mut draft = Draft::of(&tree.sources);
    let refused = draft.change(changes(&tree)).unwrap_err();
    assert_eq!(refused[0].code.as_ref(), NOT_EDITABLE.code);
    assert!(refused[0].message.contains("roles/x.yaml"), "{refused:?}");
}
