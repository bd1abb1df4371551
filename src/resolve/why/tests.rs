//! Why and why not, in small access repos; and that nothing is matched here in another way than resolving matches.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{View, cut, wish};
use crate::manifest::{Edit, NoPart, Tree, altered, part};
use crate::model::explanation::{Cut, Edge, Judged, Obstacle, Standing};
use crate::model::{Address, Inventory, LapseCause};
use crate::providers;
use crate::resolve::tests::{PEOPLE, inventory, members, now, tree};

const INFRA: &str = "kind: Role
name: infra
owners: [klibby]
members:
  - { department: infrastructure }
  - department: [finance,
      sales]
    manager: tnguyen
except:
  - { handle: dmurphy, reason: SEC-9 }
access:
  - okta: { groups: [app.gitlab, app.pager] }
  - okta:
      groups:
        - app.wiki
        - app.chat
---
# Nothing but roles.
kind: Unit
name: all
members: [{ role: infra }, { role: books }]
access: [{ okta: { groups: [app.wiki] } }]
---
{ kind: Role, name: books, members: [{ department: finance }], access: [{ okta: { groups: [app.erp] } }] }
---
{ kind: Role, name: long, members: [{ reports_to: klibby, department: legal }, { handle: [tnguyen] }] }
---
{ kind: Role, name: nobody, access: [{ okta: { groups: [app.wiki] } }] }
---
{ kind: okta/Group, name: app.board, members: [klibby] }
";

fn small() -> Tree {
    tree(&[INFRA, "kind: Grant\nname: g\nto: [dmurphy, tnguyen]\nroles: [infra]\n"])
}

fn seen<T>(tree: &Tree, ask: impl Fn(&View<'_>) -> T) -> T {
    // Sales and legal are known, so that citing them is no mistake.
    let people = [&PEOPLE[..], &["asale Sales Contractor", "alegal Legal Employee"]].concat();
    let (inventory, _) = inventory(tree, &people);
    ask(&view(tree, &inventory))
}

fn view<'a>(tree: &'a Tree, inventory: &'a Inventory) -> View<'a> {
    static REGISTRY: std::sync::OnceLock<crate::model::Registry> = std::sync::OnceLock::new();
    View::of(tree, None, inventory, REGISTRY.get_or_init(providers::registry), now())
}

fn judged(handle: &str, role: &str) -> Judged {
    seen(&small(), |view| view.judge(handle, role, None)).unwrap()
}

/// What fails in the nearest entry, and the line that it is on.
fn fails(judged: &Judged) -> (u32, Vec<&str>) {
    let nearest = judged.nearest.as_ref().unwrap();
    let failed = nearest.conditions.iter().filter(|condition| !condition.holds);
    (nearest.span.line, failed.map(|condition| condition.text.as_str()).collect())
}

#[test]
fn what_is_missing_is_told_of_the_nearest_entry() {
    let infra = judged("alegal", "infra");
    assert_eq!(infra.verdict, Standing::NoEntry);
    assert_eq!(fails(&infra), (5, vec!["department is Legal, and this entry asks for infrastructure"]));
    // Everything but the manager is as asked.
    assert_eq!(
        fails(&judged("asale", "infra")),
        (
            6,
            vec![
                "there is no manager, and this entry asks for tnguyen",
                "type is contractor, and entries match employee only unless they name a type",
            ]
        )
    );
    // Whom an entry names is far from everyone else, however few its conditions.
    assert_eq!(
        fails(&judged("alegal", "long")),
        (26, vec!["reports to nobody, and this entry asks for people below klibby"])
    );
    assert_eq!(
        fails(&judged("rpatel", "books")).1[0],
        "department is Infrastructure, and this entry asks for finance"
    );
    assert_eq!(judged("klibby", "nobody").nearest, None);
}

#[test]
fn a_role_of_roles_is_told_down_to_the_entries_of_each() {
    let all = judged("alegal", "all");
    assert_eq!(fails(&all).1, ["does not have role infra"]);
    let inner = &all.nearest.as_ref().unwrap().conditions[0].roles;
    assert_eq!(inner.len(), 1);
    assert_eq!(fails(&inner[0]).1, ["department is Legal, and this entry asks for infrastructure"]);
}

#[test]
fn who_is_excepted_or_gone_is_told_so_before_any_entry() {
    let infra = judged("dmurphy", "infra");
    assert_eq!((infra.verdict, infra.nearest), (Standing::Lapsed(LapseCause::Excepted), None));
    assert_eq!(infra.because[0].span.line, 10);
    assert_eq!(judged("jdoe", "infra").verdict, Standing::Lapsed(LapseCause::Left));
    assert_eq!(judged("skim", "books").verdict, Standing::Lapsed(LapseCause::NotYet));
    assert_eq!(judged("klibby", "infra").verdict, Standing::Has);
    assert!(seen(&small(), |view| view.judge("nobody", "infra", None)).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_is_what_resolving_says(
        given in proptest::collection::vec(0_usize..ENTRIES.len(), 1..4),
        except in proptest::collection::vec(0_usize..ENTRIES.len(), 0..2),
    ) {
        let list = |entries: &[usize]| entries.iter().map(|entry| ENTRIES[*entry]).collect::<Vec<_>>().join(", ");
        let role = format!(
            "{{ kind: Role, name: x, members: [{}], except: [{}] }}\n---\n{{ kind: Role, name: z, members: [{{ department: finance }}] }}",
            list(&given), list(&except)
        );
        let tree = tree(&[&role]);
        let (inventory, _) = inventory(&tree, &PEOPLE);
        let view = view(&tree, &inventory);
        let has = members(&view.desired, "x");
        for handle in inventory.people.keys() {
            let judged = view.judge(handle, "x", None).unwrap();
            let is_in = has.iter().any(|member| **member == **handle);
            prop_assert_eq!(judged.verdict == Standing::Has, is_in, "{}: {:?}", handle, judged);
            prop_assert_eq!(judged.nearest.is_some(), judged.verdict == Standing::NoEntry && !given.is_empty());
            if let Some(nearest) = judged.nearest {
                prop_assert!(nearest.conditions.iter().any(|condition| !condition.holds), "{}: {:?}", handle, nearest);
            }
        }
    }
}

const ENTRIES: [&str; 10] = [
    "{ department: infrastructure }",
    "{ department: [finance, infrastructure], type: contractor }",
    "{ manager: klibby }",
    "{ reports_to: klibby }",
    "{ reports_to: klibby, type: [employee, contractor] }",
    "{ role: z }",
    "{ role: z, handle: tnguyen }",
    "{ handle: [rpatel, jdoe] }",
    "{ department: finance, until: 2026-11-01 }",
    "{ department: finance, from: 2027-01-01 }",
];

fn cut_at(tree: &Tree, file: &str, line: u32) -> Result<Cut, NoPart> {
    let part = part(tree, file, line, None)?;
    let without = altered(tree, &providers::registry(), Edit::Without(&part.spans)).unwrap();
    let people = [&PEOPLE[..], &["asale Sales Contractor", "alegal Legal Employee"]].concat();
    let (inventory, _) = inventory(tree, &people);
    let span = part.spans.first().cloned().unwrap();
    Ok(cut(&view(tree, &inventory), &view(&without, &inventory), &part, span))
}

fn told(edges: &[Edge]) -> Vec<String> {
    let one = |edge: &Edge| format!("{} {}", edge.person.as_ref().unwrap().name(), edge.key.resource.name());
    edges.iter().map(one).collect()
}

#[test]
fn a_line_gives_what_goes_with_it_and_what_stays_is_told_apart() {
    let tree = small();
    let entry = cut_at(&tree, "roles/0.yaml", 5).unwrap();
    assert_eq!(entry.what, "an entry of `members` of the Role infra");
    // klibby loses the role and its unit; the wiki came by both.
    assert_eq!(
        told(&entry.loses),
        [
            "klibby app.chat",
            "klibby app.gitlab",
            "klibby app.pager",
            "klibby app.wiki",
            "klibby rbac_all",
            "klibby rbac_infra"
        ]
    );
    let roles: Vec<_> = entry.roles.iter().map(|one| (one.role.as_ref(), one.person.as_str())).collect();
    assert_eq!(roles, [("infra", "person:klibby"), ("all", "person:klibby")]);

    // The wiki of the unit goes, and who has it by the role keeps it.
    let access = cut_at(&tree, "roles/0.yaml", 22).unwrap();
    assert_eq!(access.what, "an entry of `access` of the Unit all");
    assert_eq!(
        (told(&access.loses), told(&access.keeps)),
        (vec![], vec!["klibby app.wiki".to_owned(), "tnguyen app.wiki".to_owned()])
    );
    assert_eq!(access.keeps[0].because.len(), 1);

    // Without the exception somebody comes in.
    let except = cut_at(&tree, "roles/0.yaml", 10).unwrap();
    assert!(
        except.loses.is_empty() && told(&except.gains).contains(&"dmurphy app.gitlab".to_owned()),
        "{except:#?}"
    );

    // One target of a list, and not the list.
    let target = cut_at(&tree, "roles/0.yaml", 16).unwrap();
    assert_eq!(told(&target.loses), ["klibby app.chat", "tnguyen app.chat"]);

    // The whole role: who cites it is told.
    let role = cut_at(&tree, "roles/0.yaml", 1).unwrap();
    assert_eq!(role.what, "the Role infra");
    assert_eq!(role.resources, [Address::new("okta", None, "group", "rbac_infra")]);
    assert!(role.breaks.iter().any(|text| text.contains("role all cites it")), "{:?}", role.breaks);
    assert!(role.breaks.iter().any(|text| text.contains("grant g gives it")), "{:?}", role.breaks);
}

#[test]
fn what_stands_on_a_line() {
    let tree = small();
    let at =
        |line| part(&tree, "roles/0.yaml", line, None).map(|part| (part.list, part.spans.len(), part.name));
    let list = |list: &str, many, name: &str| Ok((Some(list.to_owned()), many, name.to_owned()));
    assert_eq!(at(2), Ok((None, 1, "infra".to_owned())));
    assert_eq!(at(3), list("owners", 1, "infra"));
    assert_eq!(at(4), list("members", 2, "infra"), "the key's line is that of the whole list");
    assert_eq!(at(7), list("members", 1, "infra"), "one value of an entry");
    assert_eq!(at(8), list("members", 1, "infra"), "a key of an entry is the entry's");
    assert_eq!(at(13), list("access", 1, "infra"));
    assert_eq!(at(15), list("access", 1, "infra"));
    assert_eq!(at(17), Err(NoPart::Blank));
    assert_eq!(at(18), Err(NoPart::Blank));
    assert_eq!(at(21), list("members", 2, "all"));
    assert_eq!(at(24), Ok((None, 1, "books".to_owned())));
    assert_eq!(at(99), Err(NoPart::PastTheEnd(30)));
    let column = part(&tree, "roles/0.yaml", 21, Some(28)).unwrap();
    assert_eq!(column.spans.len(), 1);
    // Of a list with one item, the item around it goes; of a grant, the grant.
    assert_eq!(part(&tree, "roles/1.yaml", 4, None).unwrap().list, None);
    assert_eq!(part(&tree, "roles/1.yaml", 0, None), Err(NoPart::PastTheEnd(4)));
    assert_eq!(part(&tree, "roles/2.yaml", 1, None), Err(NoPart::NoFile));
    assert_eq!(part(&tree, "rolecall.yaml", 2, None), Err(NoPart::Settings));
}

#[test]
fn taking_a_line_out_is_what_deleting_it_in_the_file_is() {
    let tree = small();
    let (people, _) = inventory(&tree, &PEOPLE);
    // Not that of `except`, which would be left without a value.
    for line in [5_u32, 12, 15, 16] {
        let text: Vec<&str> = INFRA.lines().collect();
        let without: String =
            text.iter().zip(1..).filter(|(_, at)| *at != line).map(|(text, _)| format!("{text}\n")).collect();
        let by_hand =
            self::tree(&[&without, "kind: Grant\nname: g\nto: [dmurphy, tnguyen]\nroles: [infra]\n"]);
        let part = part(&tree, "roles/0.yaml", line, None).unwrap();
        let in_memory = altered(&tree, &providers::registry(), Edit::Without(&part.spans)).unwrap();
        let keys = |tree: &Tree| -> BTreeSet<_> {
            view(tree, &people).desired.grants.iter().map(|grant| grant.key).collect()
        };
        assert_eq!(keys(&by_hand), keys(&in_memory), "line {line}");
        // The wiki of line 15 is given by another role, too.
        assert_eq!(keys(&by_hand) == keys(&tree), line == 15, "line {line}");
    }
}

fn wished(handle: &str, on: &str) -> super::Wish {
    let on =
        if on.starts_with("role:") { on.parse().unwrap() } else { Address::new("okta", None, "group", on) };
    seen(&small(), |view| wish(view, None, handle, &on))
}

#[test]
fn the_edit_with_the_least_besides_is_proposed_and_checked() {
    // Both `infra`, `all` and `nobody` give the wiki; the last gives nothing else but its own group.
    let wiki = wished("alegal", "app.wiki");
    let edit = wiki.edit.unwrap();
    assert!(edit.verified && wiki.blocks.is_empty());
    assert_eq!(edit.role.as_deref(), Some("all"));
    assert_eq!(edit.extras.len(), 1, "{:?}", edit.extras);
    assert_eq!(edit.text, "kind: Grant\nname: alegal-all\nto: alegal\nroles: [all]\nuntil: 2026-12-22\n");
    assert_eq!(edit.file, "grants/2026-11/alegal-all.yaml");
    assert_eq!(edit.for_good, None, "a unit names nobody");
    let others: Vec<_> = wiki.others.iter().map(|other| (other.role.as_ref(), other.extras)).collect();
    assert_eq!(others, [("nobody", 1), ("infra", 5)]);

    let books = wished("klibby", "role:books").edit.unwrap();
    let good = books.for_good.unwrap();
    assert_eq!((good.text.as_str(), good.verified), ("- { handle: klibby }", true));
    // A document that says who is in it is added to.
    let board = wished("rpatel", "app.board").edit.unwrap();
    assert_eq!(
        (board.text.as_str(), board.list.unwrap().0.as_str(), board.verified),
        ("- rpatel", "members", true)
    );
}

#[test]
fn what_stands_in_the_way_of_a_wish() {
    let why = |wish: &super::Wish| wish.blocks.iter().map(|block| block.why).collect::<Vec<_>>();
    let excepted = wished("dmurphy", "app.gitlab");
    assert_eq!((why(&excepted), excepted.edit), (vec![Obstacle::Excepted], None));
    let left = wished("jdoe", "app.erp");
    assert_eq!(why(&left), [Obstacle::Status]);
    assert!(left.edit.is_none_or(|edit| !edit.verified));
    let nothing = wished("klibby", "app.nothing");
    assert_eq!((why(&nothing), nothing.edit), (vec![Obstacle::NoRole], None));
    assert!(wished("klibby", "app.gitlab").wanted);
}
