//! Files laid over a directory: what they change, and everything that can be wrong with them.

use super::{Reorganized, read};
use crate::model::{Address, DirectoryRecord, Finding, Person, Status};
use crate::providers;
use crate::resolve::people;
use crate::resolve::tests::{PEOPLE, now, record, tree};

const USER: &str = "{ kind: User, name: ext_rlopez, type: contractor }";

fn laid(file: &str, text: &str) -> Result<Vec<DirectoryRecord>, Vec<Finding>> {
    let tree = tree(&[USER]);
    let mut records: Vec<DirectoryRecord> = PEOPLE.iter().map(|text| record(text)).collect();
    let read: Reorganized = read(&tree, file, text.as_bytes())?;
    read.lay_over(&tree, &providers::registry(), &mut records)?;
    Ok(records)
}

fn person(records: &[DirectoryRecord], handle: &str) -> Person {
    let (inventory, _) = people(&tree(&[USER]), records, Vec::new(), Vec::new(), now());
    inventory.people[handle].clone()
}

#[test]
fn what_a_row_says_counts_and_everyone_else_stays() {
    let csv = "handle, department ,manager,status,type\ndmurphy,Sales,tnguyen,,\nklibby,,,left,\nnew,\"Legal, London\",klibby,,contractor\n";
    let json = r#"[
	{"handle": "dmurphy", "department": "Sales", "manager": "tnguyen"},
	{"handle": "klibby", "status": "left"},
	{"handle": "new", "department": "Legal, London", "manager": "klibby", "type": "contractor"}
]"#;
    let records = laid("people.csv", csv).unwrap();
    assert_eq!(records, laid("people.JSON", json).unwrap(), "both say the same");
    let dmurphy = person(&records, "dmurphy");
    assert_eq!(
        (
            dmurphy.attribute("department"),
            dmurphy.manager.as_deref(),
            dmurphy.status,
            dmurphy.kind.as_deref()
        ),
        (Some("Sales"), Some("tnguyen"), Status::Active, Some("employee"))
    );
    let klibby = person(&records, "klibby");
    assert_eq!((klibby.attribute("department"), klibby.status), (Some("Infrastructure"), Status::Left));
    let new = person(&records, "new");
    assert_eq!(
        (new.attribute("department"), new.kind.as_deref()),
        (Some("Legal, London"), Some("contractor"))
    );
    assert_eq!(new.record, Some(Address::new("okta", None, "user", "new")));
    assert_eq!(records.len(), PEOPLE.len() + 1);
    assert_eq!(records[3], record(PEOPLE[3]), "tnguyen is not in the file");
}

#[test]
fn null_takes_a_value_away_and_an_empty_cell_does_not() {
    let records = laid("people.json", r#"[{"handle": "dmurphy", "manager": null}]"#).unwrap();
    assert_eq!(person(&records, "dmurphy").manager, None);
    let records = laid("people.csv", "handle,manager\ndmurphy,\n").unwrap();
    assert_eq!(person(&records, "dmurphy").manager.as_deref(), Some("klibby"));
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    let told = |file: &str, text: &str| -> Vec<String> {
        let findings = laid(file, text).unwrap_err();
        let one = |finding: &Finding| {
            let line = finding.span.as_ref().map_or(0, |span| span.line);
            format!("{} {line} {}", finding.code, finding.help.as_deref().unwrap_or_default())
        };
        findings.iter().map(one).collect()
    };
    assert_eq!(
        told(
            "people.csv",
            "handle,departmnt,status,type\ndmurphy,Sales,gone,\n,Sales,,\nklibby,a,,boss\nklibby,Sales,,,x\ntnguyen,,,\nTnguyen@acme.com,,,\n"
        ),
        [
            "RC331 1 did you mean `department`?",
            "RC332 2 it is `active`, `staged`, `suspended` or `left`",
            "RC332 3 whom it is about is said by the column `handle`",
            "RC332 4 the types are `employee`, `contractor`",
            "RC332 5 put a value that has commas into double quotes",
            "RC332 7 keep one of them",
        ]
        .iter()
        .map(|text| (*text).to_owned())
        .collect::<Vec<_>>()
    );
    let json = "[\n  {\"handle\": \"dmurphy\", \"department\": [\"a\"]},\n  3,\n  {\"handle\": \"a b\"}\n]";
    assert_eq!(
        told("people.json", json).iter().map(|text| &text[..7]).collect::<Vec<_>>(),
        ["RC332 2", "RC332 3", "RC332 4"]
    );
    for (file, text) in [
        ("people.txt", "handle\nklibby\n"),
        ("people.csv", ""),
        ("people.csv", "handle,department\n"),
        ("people.json", "{\"handle\": \"klibby\"}"),
        ("people.json", ""),
        ("people.json", "[]"),
    ] {
        assert!(told(file, text)[0].starts_with("RC330"), "{file} {text}");
    }
    assert!(laid("people.json", "[{").is_err());
    let not_utf8 = read(&tree(&[]), "people.csv", b"handle\nkl\xffibby\n").unwrap_err();
    assert_eq!((not_utf8[0].code.as_ref(), not_utf8[0].span.as_ref().unwrap().line), ("RC330", 2));
    // Who is a manifest's is not the directory's to move.
    assert_eq!(
        told("people.csv", "handle,department\next_rlopez,Sales\n")[0].split(' ').next(),
        Some("RC332")
    );
}
