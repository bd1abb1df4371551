//! Taking roles from people: out of what names them; and, where a rule gives the role, keeping them out of it.
//!
//! Invariant: as far as people are known they do not have the roles after it, or nothing is written and each line is named
//! that still gives one. It must not touch a rule: that is about others too.

use jiff::Timestamp;

use super::super::Failure;
use super::super::edit::{Desk, lines_of};
use super::{Asked, Told};
use crate::manifest::edit::withdraw::{except, withdraw};
use crate::manifest::edit::{Draft, FileEdit};
use crate::manifest::{Condition, Role, Tree};
use crate::model::{Code, Finding, Span, Spanned};

/// What was to be removed comes by a rule.
pub(super) const BY_RULE: Code =
    Code { code: "RC162", title: "a rule gives what is to be taken from somebody" };

/// The edits that take the roles. `reason` is why these people are kept out where a rule gives one.
pub(super) fn edits(
    desk: &Desk,
    asked: &Asked,
    reason: Option<&str>,
    told: &mut Told,
) -> Result<Vec<FileEdit>, Failure> {
    let refuse = |findings| Failure::in_sources(findings, &desk.tree.sources);
    let mut draft = Draft::of(&desk.tree.sources);
    draft.change(withdraw(&desk.tree, &asked.people, &asked.roles, desk.now)).map_err(refuse)?;
    let after = desk.settle(&draft)?;
    let still = still(desk, &after, asked);
    match (reason, &still) {
        (Some(reason), _) => {
            for role in &asked.roles {
                // Where people are not known, whoever is kept out does not have it in any case.
                let given = |person: &str| {
                    still.as_ref().is_none_or(|still| {
                        still.iter().any(|still| still.role == *role && still.person == person)
                    })
                };
                keep_out(desk, &mut draft, role, asked, &given, reason)?;
            }
        }
        (None, Some(still)) if !still.is_empty() => {
            let findings: Vec<Finding> = still.iter().map(Still::finding).collect();
            return Err(Failure::in_sources(findings, draft.sources()));
        }
        (None, Some(_)) => {}
        (None, None) => {
            let rules = rules(&after, asked, desk.now);
            if draft.edits().is_empty() && !rules.is_empty() {
                let help = "`--except --reason …` keeps them out, if it does";
                let finding = |(role, place): &(String, Span)| {
                    Finding::error(
                        BY_RULE,
                        format!("no line names them, and this rule may give them `{role}`"),
                    )
                    .at(place)
                    .help(help)
                };
                return Err(refuse(rules.iter().map(finding).collect()));
            }
            let note = |(role, place): &(String, Span)| {
                format!("a rule may still give them `{role}` ({place}); `rolecall plan` will tell")
            };
            told.notes.extend(rules.iter().map(note));
        }
    }
    let edits = draft.edits();
    if edits.is_empty() {
        told.notes.push("none of them has any of these roles".to_owned());
    }
    Ok(edits)
}

/// A person who has a role still, and the line that gives it.
struct Still {
    person: String,
    role: String,
    line: String,
    place: Span,
}

impl Still {
    fn finding(&self) -> Finding {
        let Self { person, role, line, place } = self;
        Finding::error(BY_RULE, format!("`{person}` has `{role}` by a rule, which is about others too: {line}"))
            .at(place)
            .about(format!("person:{person}"))
            .help(format!(
                "`--except --reason …` adds `{{ handle: {person}, reason: … }}` to its `except`; or change the rule"
            ))
    }
}

/// Who still has what; `None` where people are not known.
fn still(desk: &Desk, after: &Tree, asked: &Asked) -> Option<Vec<Still>> {
    let desired = desk.desired(after, desk.now)?;
    let mut all = Vec::new();
    for person in &asked.people {
        for role in &asked.roles {
            all.extend(lines_of(&desired, person, role).into_iter().map(|origin| Still {
                person: person.clone(),
                role: role.clone(),
                line: origin.text,
                place: origin.span,
            }));
        }
    }
    Some(all)
}

/// The lines that give the roles to people whom they do not name.
fn rules(tree: &Tree, asked: &Asked, now: Timestamp) -> Vec<(String, Span)> {
    let roles = tree.roles.iter().filter(|role| asked.roles.contains(&role.name.value));
    let mut rules = Vec::new();
    for role in roles {
        let out = asked.people.iter().all(|person| is_out(role, person, now));
        let rule = |entry: &&crate::manifest::RoleEntry| {
            !entry.conditions.iter().any(|condition| matches!(condition, Condition::Handle(_)))
                && entry.until.as_ref().is_none_or(|until| until.value > now)
        };
        if !out {
            let places = role.members.iter().filter(rule).map(|entry| entry.span.clone());
            rules.extend(places.map(|place| (role.name.value.clone(), place)));
        }
    }
    rules
}

/// Whether a role's `except` names a person now and for good.
fn is_out(role: &Role, person: &str, now: Timestamp) -> bool {
    let names = |handles: &[Spanned<String>]| handles.iter().any(|handle| handle.value == person);
    role.except.iter().any(|entry| {
        matches!(entry.conditions.as_slice(), [Condition::Handle(handles)] if names(handles))
            && entry.until.is_none()
            && entry.from.as_ref().is_none_or(|from| from.value <= now)
    })
}

/// Adds people to the `except` of a role.
fn keep_out(
    desk: &Desk,
    draft: &mut Draft,
    role: &str,
    asked: &Asked,
    given: &dyn Fn(&str) -> bool,
    reason: &str,
) -> Result<(), Failure> {
    let refuse = |findings| Failure::in_sources(findings, &desk.tree.sources);
    // Places may have moved by what was taken out before.
    let tree = desk.settle(draft)?;
    let Some(declared) = tree.roles.iter().find(|declared| declared.name.value == role) else {
        return Ok(());
    };
    let out = |person: &&String| given(person) && !is_out(declared, person, desk.now);
    let people: Vec<String> = asked.people.iter().filter(out).cloned().collect();
    if people.is_empty() {
        return Ok(());
    }
    draft.change(except(&tree, declared, &people, reason).into_iter().collect()).map_err(refuse)
}
