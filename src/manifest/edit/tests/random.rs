//! Random edits of random files: every byte that an edit is not about stays.
//!
//! The judge knows from the writing of a file whose each line is. It asks none of the code that it judges, save the reader
//! for what the edited file says.

use std::collections::BTreeSet;

use super::file::{File, Id, Line, PEOPLE, Said};
use crate::manifest::edit::past::past;
use crate::manifest::edit::withdraw::{except, withdraw};
use crate::manifest::edit::{Change, Draft, NOT_EDITABLE};
use crate::manifest::{Condition, Tree, load};
use crate::model::{Registry, Sources};

const SETTINGS: &str = "format: 1\norganization: acme\ntimezone: UTC\ndirectory: manifests\ntypes: { employee: { rules: true } }\n";

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
    let edited = (0..500).filter(|seed| once(*seed)).count();
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
