//! GitLab's CODEOWNERS from `owners:`: whom it asks for an approval before a file is merged.
//!
//! Invariant: pure, and the same tree gives the same text; no name in it is anything but a name. GitLab sees files and not
//! roles, so this asks the right people and decides nothing: apply judges each change by itself. It must not need the
//! directory: `check` works without a network.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::documents::{Role, Tree};
use crate::model::{Code, Finding, Sensitivity, Spanned};

/// An owner for whom no name at GitLab can be worked out.
pub const NO_NAME: Code = Code { code: "RC219", title: "an owner whose name at GitLab cannot be worked out" };

/// The line that what is made by rolecall begins with; what stands above it is the user's own.
pub const MARK: &str =
    "# Made by `rolecall codeowners --write` from `owners:`. Edit those; from here on this is made anew.";

/// What CODEOWNERS is to say, and who could not be named in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codeowners {
    /// From [`MARK`] on.
    pub text: String,
    /// Owners who are left out.
    pub findings: Vec<Finding>,
}

/// The CODEOWNERS of an access repo.
///
/// - `[Access repo]`: everything but the roles' files and `grants/`, for the `owners:` of `rolecall.yaml`. That a new role's
///   file is theirs too is meant: until it is merged, GitLab does not know its owners.
/// - `[Grants]`: `grants/`, for everyone who owns a role: a line for each grant would have to be approved before the grant.
/// - A section for the roles of a file that have the same owners, as many of whom approve as the most sensitive asks for.
#[must_use]
pub fn codeowners(tree: &Tree) -> Codeowners {
    let mut names = Names { tree, findings: Vec::new() };
    let mut text = format!("{MARK}\n");
    let (sections, whole) = sections(tree, &mut names);

    let quorum = tree.settings.approvals.quorum;
    let own = names.of(&tree.settings.owners);
    text.push_str("\n# Settings, rules, people, what is native, and roles without owners.\n");
    if own.is_empty() {
        text.push_str("# Nobody: `owners:` in rolecall.yaml says who answers for these.\n");
    } else {
        header(&mut text, "Access repo", quorum[2], &own);
        // Exclusions are known to GitLab 17.10 and later (checked in November 2026).
        text.push_str("*\n!/grants/\n");
        whole.iter().for_each(|file| text.push_str(&format!("!{}\n", pattern(file))));
    }

    let all: BTreeSet<&String> = sections.keys().flat_map(|(_, owners)| owners).collect();
    if !all.is_empty() {
        text.push_str("\n# Whoever owns a role: GitLab cannot tell which one a grant asks for.\n");
        header(&mut text, "Grants", quorum[0], &all.into_iter().cloned().collect());
        text.push_str("/grants/\n");
    }
    for ((file, owners), roles) in &sections {
        let asked = roles.iter().map(|role| quorum[rank(role.sensitivity)]).max().unwrap_or(1);
        let listed: Vec<&str> = roles.iter().map(|role| role.name.value.as_str()).collect();
        text.push('\n');
        header(&mut text, &listed.join(", "), asked, owners);
        let _ = writeln!(text, "{}", pattern(file));
    }
    Codeowners { text, findings: names.findings }
}

/// Roles by file and owners; and the files in which each role has some.
type Sections<'t> = BTreeMap<(String, BTreeSet<String>), Vec<&'t Role>>;

fn sections<'t>(tree: &'t Tree, names: &mut Names<'_>) -> (Sections<'t>, BTreeSet<String>) {
    let mut sections = Sections::new();
    let (mut owned, mut unowned) = (BTreeSet::new(), BTreeSet::new());
    let mut roles: Vec<&Role> = tree.roles.iter().collect();
    roles.sort_by(|one, two| one.span.cmp(&two.span));
    for role in roles {
        let file = role.span.file.to_string();
        let owners = names.of(&role.owners);
        if owners.is_empty() {
            unowned.insert(file);
        } else {
            owned.insert(file.clone());
            sections.entry((file, owners)).or_default().push(role);
        }
    }
    // A file that holds anything else than roles with owners stays with the owners of the whole.
    let others = (tree.users.iter().map(|user| &user.span))
        .chain(tree.natives.iter().map(|native| &native.name.span))
        .chain(tree.grants.iter().map(|grant| &grant.span))
        .chain(tree.waivers.iter().map(|waiver| &waiver.name.span))
        .chain(tree.suspensions.iter().map(|suspension| &suspension.name.span))
        .chain(tree.separations.iter().map(|separation| &separation.name.span));
    unowned.extend(others.map(|span| span.file.to_string()));
    let whole = owned.into_iter().filter(|file| !unowned.contains(file)).collect();
    (sections, whole)
}

fn rank(sensitivity: Sensitivity) -> usize {
    match sensitivity {
        Sensitivity::Low => 0,
        Sensitivity::Medium => 1,
        Sensitivity::High => 2,
    }
}

/// `[Name][2] @owner @group`. Where fewer people are named than are to approve, nobody could ever merge: then GitLab asks for
/// as many as there are, and apply for the rest.
fn header(text: &mut String, name: &str, asked: u32, owners: &BTreeSet<String>) {
    let groups = owners.iter().any(|owner| owner.contains('/'));
    let most = if groups { u32::MAX } else { u32::try_from(owners.len()).unwrap_or(u32::MAX) };
    if asked > most {
        let _ = writeln!(
            text,
            "# {asked} approvals are needed, and {most} can be had from those who are named here."
        );
    }
    let count = asked.min(most).max(1);
    let count = if count > 1 { format!("[{count}]") } else { String::new() };
    let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
    let _ = writeln!(text, "[{}]{count} {}", name.replace([']', '\n'], " "), owners.join(" "));
}

/// A path as GitLab's patterns have it: from the root, with what means something there escaped.
fn pattern(path: &str) -> String {
    let mut pattern = String::from("/");
    for character in path.chars() {
        if " #*?[]!\\".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// What owners are called at GitLab.
struct Names<'t> {
    tree: &'t Tree,
    findings: Vec<Finding>,
}

impl Names<'_> {
    fn of(&mut self, owners: &[Spanned<String>]) -> BTreeSet<String> {
        owners.iter().filter_map(|owner| self.one(owner)).collect()
    }

    fn one(&mut self, owner: &Spanned<String>) -> Option<String> {
        let name = if owner.starts_with('@') { Ok(owner.value.clone()) } else { self.person(owner) };
        let name = name.and_then(|name| match name.trim_start_matches('@').split_once('@') {
            // An e-mail address is taken for whoever has it.
            Some((user, host)) if is_word(user) && is_word(host) => Ok(name),
            None if is_word(name.trim_start_matches('@')) => Ok(format!("@{}", name.trim_start_matches('@'))),
            _ => Err(format!("`{name}` is no name of GitLab")),
        });
        match name {
            Ok(name) => Some(name),
            Err(why) => {
                let finding =
                    Finding::warning(NO_NAME, format!("`{}` is left out of CODEOWNERS: {why}", owner.value));
                let help =
                    "give `identities.gitlab` a template of `{handle}`, or his `User` a `gitlab` of his own";
                self.findings.push(finding.at(&owner.span).help(help));
                None
            }
        }
    }

    /// A person by the templates of `identities.gitlab`, as far as they can be filled in without the directory.
    fn person(&self, handle: &str) -> Result<String, String> {
        let user = self.tree.users.iter().find(|user| user.name.value == handle);
        let own = user.and_then(|user| user.identities.iter().find(|(key, _)| key.value == "gitlab"));
        if let Some((_, own)) = own {
            return Ok(own.value.clone());
        }
        let identity = self.tree.settings.identities.get("gitlab");
        let by_type = user.and_then(|user| identity?.per.get(user.kind.value.as_str()));
        let template =
            by_type.or_else(|| identity?.template.as_ref()).map_or("{handle}", |text| text.value.as_str());
        let mut filled = template.replace("{handle}", handle);
        if let Some(email) = user.and_then(|user| user.email.as_ref()) {
            filled = filled.replace("{email}", &email.value);
        }
        if filled.contains('{') {
            Err(format!("`{template}` takes the directory to fill in"))
        } else {
            Ok(filled)
        }
    }
}

/// What GitLab lets users, groups and hosts be called.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/+-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::load;
    use crate::model::{Registry, Sources};

    const SETTINGS: &str =
        "format: 1\norganization: acme\ndirectory: manifests\ntypes: { employee: { rules: true } }\n";
    const PEOPLE: &str = "{ kind: User, name: ann, type: employee, identities: { gitlab: ann.smith } }\n---\n\
                          { kind: User, name: bob, type: employee, email: bob@acme.com }\n";

    fn made(settings: &str, roles: &str) -> Codeowners {
        let settings = format!("{SETTINGS}{settings}");
        let files =
            [("rolecall.yaml", settings.as_str()), ("people/a.yaml", PEOPLE), ("roles/a.yaml", roles)];
        let (tree, findings) = load(&Sources::of(files), &Registry::default());
        codeowners(&tree.unwrap_or_else(|| panic!("{findings:#?}")))
    }

    #[test]
    fn a_file_is_owned_by_the_owners_of_its_roles_and_the_rest_by_the_repos() {
        let roles = "{ kind: Role, name: one, owners: [ann, bob], sensitivity: high }\n---\n\
                     { kind: Role, name: two, owners: [bob, ann] }\n---\n\
                     { kind: Role, name: three, owners: [\"@acme/leads\"], sensitivity: high }\n";
        let text = made("owners: [\"@acme/identity\"]\n", roles).text;
        let rest = text.strip_prefix(MARK).unwrap();
        let lines: Vec<&str> =
            rest.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "[Access repo][2] @acme/identity",
                "*",
                "!/grants/",
                "!/roles/a.yaml",
                "[Grants] @acme/leads @ann.smith @bob",
                "/grants/",
                "[three][2] @acme/leads",
                "/roles/a.yaml",
                "[one, two][2] @ann.smith @bob",
                "/roles/a.yaml",
            ]
        );
    }

    #[test]
    fn a_role_without_owners_keeps_its_file_with_the_repos_owners() {
        let roles = "{ kind: Role, name: one, owners: [ann] }\n---\n{ kind: Role, name: two }\n";
        let text = made("owners: [bob]\n", roles).text;
        assert!(text.contains("[Access repo] @bob\n*\n!/grants/\n\n"), "{text}");
        assert!(text.contains("# 2 approvals are needed, and 1 can be had"), "{text}");
        let nobody = made("", roles).text;
        assert!(nobody.contains("# Nobody: `owners:`") && !nobody.contains("[Access repo]"), "{nobody}");
    }

    #[test]
    fn who_cannot_be_named_is_left_out_and_told() {
        let roles = "{ kind: Role, name: one, owners: [ann, bob, \"@acme/x y\"] }\n";
        let made = made("identities: { gitlab: \"{email}\" }\n", roles);
        assert!(made.text.contains("[one] @ann.smith bob@acme.com\n"), "{}", made.text);
        assert_eq!(made.findings.len(), 1, "{:#?}", made.findings);
        assert!(made.findings[0].message.contains("@acme/x y"));
    }

    #[test]
    fn a_path_means_itself() {
        assert_eq!(pattern("roles/a b#[1].yaml"), "/roles/a\\ b\\#\\[1\\].yaml");
    }
}
