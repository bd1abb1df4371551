//! A wish: the smallest edit that would give something to somebody, tried out in memory.
//!
//! Invariant: an edit is verified by resolving the tree with it, and is never made; of several roles that would give it
//! the one with the least besides is proposed. It must not say whether a plan would let it through: that is asked of the
//! planner and the gate.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{View, path};
use crate::manifest::{Edit, GrantNeed, Role, Tree, altered};
use crate::model::explanation::{Block, Obstacle, Other, Proposal, Standing};
use crate::model::{Address, Desired, GrantKey, LapseCause, Span, Status};

/// How many roles are tried out; beyond, those that give the fewest things are.
const TRIED: usize = 8;
/// How long a proposed grant lasts.
const DAYS: i64 = 30;

/// What became of a wish.
#[derive(Debug, Default)]
pub struct Wish {
    /// Whether it is asked for already.
    pub wanted: bool,
    /// The edit.
    pub edit: Option<Proposal>,
    /// Other roles that would do.
    pub others: Vec<Other>,
    /// What stands in the way, as far as manifests say.
    pub blocks: Vec<Block>,
    /// What is asked for with the edit made.
    pub after: Option<Desired>,
}

/// The smallest edit that gives `on` (a thing, or a role) to the person with this handle.
#[must_use]
pub fn wish(view: &View<'_>, base: Option<&Tree>, handle: &str, on: &Address) -> Wish {
    let mut wish = Wish::default();
    let trial =
        Trial { view, base, handle, on, before: view.keys_of(&view.principals(&Address::person(handle))) };
    if trial.has(view) {
        wish.wanted = true;
        return wish;
    }
    wish.blocks.extend(trial.status());
    let mut roles: Vec<&Role> = match on.instance() {
        "role" => view.role(&on.name()).into_iter().collect(),
        _ => view.givers(&view.leading_to(on)).into_iter().map(|(role, _)| role).collect(),
    };
    let several = roles.len() > 1;
    roles.retain(|role| match trial.excepted(role, several) {
        Some(block) => {
            wish.blocks.push(block);
            false
        }
        None => true,
    });
    roles.sort_by_key(|role| (view.gives(role).len(), role.name.value.as_str()));
    let mut tried: Vec<(Proposal, Desired)> =
        roles.iter().take(TRIED).filter_map(|role| trial.grant(role)).collect();
    tried.sort_by_key(|(edit, _)| (!edit.verified, edit.extras.len(), edit.role.clone()));
    let mut tried = tried.into_iter();
    if let Some((edit, after)) = tried.next() {
        wish.edit = Some(edit);
        wish.after = Some(after);
    }
    wish.others =
        tried.filter_map(|(edit, _)| Some(Other { role: edit.role?, extras: edit.extras.len() })).collect();
    if wish.edit.is_none() && on.instance() != "role" {
        let documents = view.documents(&view.leading_to(on));
        let named = documents.iter().find_map(|origin| trial.item(&origin.span, "members", handle, None));
        if let Some((edit, after)) = named.filter(|(edit, _)| edit.verified) {
            wish.edit = Some(edit);
            wish.after = Some(after);
        } else if !wish.blocks.iter().any(|block| block.why == Obstacle::Excepted) {
            let text = format!("no role gives `{on}`, and no document says who is in it");
            let help = "name it under `access:` of a role, which its owners approve".to_owned();
            wish.blocks.push(Block { why: Obstacle::NoRole, text, span: None, help: Some(help) });
        }
    }
    wish.blocks.sort();
    wish.blocks.dedup();
    wish
}

struct Trial<'t, 'v> {
    view: &'t View<'v>,
    base: Option<&'t Tree>,
    handle: &'t str,
    on: &'t Address,
    /// What he is asked to have without any edit.
    before: BTreeSet<GrantKey>,
}

impl Trial<'_, '_> {
    /// Whether he has what is wished for.
    fn has(&self, view: &View<'_>) -> bool {
        match self.on.instance() {
            "role" => {
                let judged = view.judge(self.handle, &self.on.name(), None);
                judged.is_some_and(|judged| judged.verdict == Standing::Has)
            }
            _ => !path(&view.desired, &view.principals(&Address::person(self.handle)), self.on).is_empty(),
        }
    }

    fn status(&self) -> Option<Block> {
        let person = self.view.person(self.handle)?;
        let text = match person.status {
            Status::Active => return None,
            Status::Left => format!("{} has left", self.handle),
            Status::Suspended => format!("{} is suspended", self.handle),
            Status::Staged => {
                format!("{} is not there yet; what is asked for now is given on the first day", self.handle)
            }
        };
        Some(Block { why: Obstacle::Status, text, span: None, help: None })
    }

    /// The `except` that keeps him out of a role, whatever gives it.
    fn excepted(&self, role: &Role, several: bool) -> Option<Block> {
        let name = role.name.value.as_str();
        let judged = self.view.judge(self.handle, name, None)?;
        let text = |text: &str| match several {
            true => format!("{text}; role {name} cannot be the way"),
            false => text.to_owned(),
        };
        let told = judged.because.first();
        if judged.verdict == Standing::Lapsed(LapseCause::Excepted) {
            let (words, span) = told.map(|origin| (origin.text.clone(), origin.span.clone())).unzip();
            let text = text(&words.unwrap_or_else(|| format!("role {name} excepts {}", self.handle)));
            let help = Some("take that entry out of `except`, or choose another way".to_owned());
            return Some(Block { why: Obstacle::Excepted, text, span, help });
        }
        if role.except.is_empty() {
            return None;
        }
        // Someone whom no entry is about yet may be excepted all the same: the trial would show it, and not why.
        let after = self.try_grant(role)?;
        let judged = View::of(&after, self.base, self.view.inventory, self.view.registry, self.view.now)
            .judge(self.handle, name, None)?;
        if judged.verdict != Standing::Lapsed(LapseCause::Excepted) {
            return None;
        }
        let origin = judged.because.first()?;
        let help = Some("take that entry out of `except`, or choose another way".to_owned());
        let span = Some(origin.span.clone());
        Some(Block { why: Obstacle::Excepted, text: text(&origin.text), span, help })
    }

    fn try_grant(&self, role: &Role) -> Option<Tree> {
        let (file, text) = self.document(role);
        altered(self.view.tree, self.view.registry, Edit::File { file: &file, text: &text }).ok()
    }

    /// A `Grant` of a role, tried.
    fn grant(&self, role: &Role) -> Option<(Proposal, Desired)> {
        let (file, text) = self.document(role);
        let tree = self.try_grant(role)?;
        let (verified, extras, after) = self.resolved(&tree);
        let name = role.name.value.as_str();
        let handle = word(self.handle);
        let entry = format!("{{ handle: {handle} }}");
        let for_good =
            names_people(role).then(|| self.item(&role.span, "members", &entry, Some(role))).flatten();
        let for_good = for_good.filter(|(edit, _)| edit.verified).map(|(edit, _)| Box::new(edit));
        let role = Some(name.into());
        Some((Proposal { role, file, list: None, text, verified, extras, for_good }, after))
    }

    /// An item of a list, tried.
    fn item(
        &self,
        document: &Span,
        key: &str,
        item: &str,
        role: Option<&Role>,
    ) -> Option<(Proposal, Desired)> {
        let text = if item == self.handle { word(item) } else { item.to_owned() };
        let edit = Edit::Item { document, key, text: &text };
        let tree = altered(self.view.tree, self.view.registry, edit).ok()?;
        let (verified, extras, after) = self.resolved(&tree);
        let proposal = Proposal {
            role: role.map(|role| role.name.value.as_str().into()),
            file: document.file.to_string(),
            list: Some((key.to_owned(), document.clone())),
            text: format!("- {text}"),
            verified,
            extras,
            for_good: None,
        };
        Some((proposal, after))
    }

    /// Whether a tree gives it, what else it gives him, and all that it asks for.
    fn resolved(&self, tree: &Tree) -> (bool, Vec<GrantKey>, Desired) {
        let view = View::of(tree, self.base, self.view.inventory, self.view.registry, self.view.now);
        let verified = self.has(&view);
        let principals = view.principals(&Address::person(self.handle));
        let wished: BTreeSet<GrantKey> =
            path(&view.desired, &principals, self.on).into_iter().map(|grant| grant.key).collect();
        let new = view.keys_of(&principals).into_iter().filter(|key| !self.before.contains(key));
        let extras = new.filter(|key| !wished.contains(key)).collect();
        (verified, extras, view.desired)
    }

    /// The path and text of a `Grant` of a role.
    fn document(&self, role: &Role) -> (String, String) {
        let tree = self.view.tree;
        let role = role.name.value.as_str();
        let taken = |name: &str| tree.grants.iter().any(|grant| grant.name.value == name);
        let first = format!("{}-{}", self.handle, role.replace('_', "-"));
        let mut name = first.clone();
        let mut number = 2;
        while taken(&name) {
            name = format!("{first}-{number}");
            number += 1;
        }
        let zoned = |at: Timestamp| at.to_zoned(tree.settings.timezone.clone());
        let until = self.view.now.checked_add(SignedDuration::from_hours(24 * DAYS)).unwrap_or(self.view.now);
        let (month, until) = (zoned(self.view.now).strftime("%Y-%m"), zoned(until).strftime("%Y-%m-%d"));
        let folders = &tree.settings.manifests;
        let folder = folders.iter().find(|folder| *folder == "grants").or(folders.first());
        let folder = folder.map_or("grants", String::as_str);
        let terms = tree.roles.iter().find(|known| known.name.value == role);
        let terms = terms.and_then(|known| known.on_request.as_ref());
        let needs = |need| terms.is_some_and(|terms| terms.needs.contains(&need));
        let mut text = format!(
            "kind: Grant\nname: {}\nto: {}\nroles: [{}]\n",
            word(&name),
            word(self.handle),
            word(role)
        );
        // What is given for so long at most ends by itself.
        if terms.is_none_or(|terms| terms.max.is_none()) {
            text.push_str(&format!("until: {until}\n"));
        } else if needs(GrantNeed::Until) {
            let max = terms.and_then(|terms| terms.max).unwrap_or_default();
            let end = self.view.now.checked_add(max).unwrap_or(self.view.now);
            text.push_str(&format!("until: {}\n", zoned(end).strftime("%Y-%m-%dT%H:%M%:z")));
        }
        for (need, line) in [(GrantNeed::Reason, "reason: why"), (GrantNeed::Ticket, "ticket: the-ticket")] {
            if needs(need) {
                text.push_str(line);
                text.push('\n');
            }
        }
        (format!("{folder}/{month}/{name}.yaml"), text)
    }
}

/// Whether people can be named in a role's `members`: a unit consists of roles, and what is given on request is not given by
/// entries.
fn names_people(role: &Role) -> bool {
    !role.unit && role.on_request.is_none()
}

/// A name as YAML: in quotes where it could be taken for something else.
fn word(text: &str) -> String {
    const OTHERS: [&str; 9] = ["yes", "no", "on", "off", "true", "false", "null", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c));
    if plain && !OTHERS.contains(&text) { text.to_owned() } else { format!("\"{text}\"") }
}
