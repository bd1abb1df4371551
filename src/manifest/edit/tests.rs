//! Edits one by one: what goes, what stays, and what is refused.

mod file;
mod random;

use super::*;

const NOW: &str = "2026-11-22T17:00:00Z";

fn path(document: usize, steps: &[&str]) -> Path {
    let step = |step: &&str| step.parse().map_or_else(|_| Step::Key((*step).to_owned()), Step::Item);
    Path { document, steps: steps.iter().map(step).collect() }
}

fn done(text: &str, change: &Change) -> Result<Option<String>, String> {
    apply(&"x.yaml".into(), text, change)
}

#[track_caller]
fn without(text: &str, document: usize, steps: &[&str], expected: &str) {
    let after = done(text, &Change::Remove(path(document, steps))).unwrap();
    assert_eq!(after.as_deref(), Some(expected));
}

#[test]
fn an_item_in_lines_goes_with_its_lines_and_comments() {
    let text = "m: # who\n  # about a\n  - { h: a } # a\n  # about b\n  - h: b\n    # more of b\n    r: x\n    # still b\n  - { h: c }\nz: 1\n";
    without(
        text,
        0,
        &["m", "0"],
        "m: # who\n  # about b\n  - h: b\n    # more of b\n    r: x\n    # still b\n  - { h: c }\nz: 1\n",
    );
    without(text, 0, &["m", "1"], "m: # who\n  # about a\n  - { h: a } # a\n  - { h: c }\nz: 1\n");
    without(text, 0, &["m", "2"], text.replace("  - { h: c }\n", "").as_str());
}

#[test]
fn a_comment_that_may_be_about_others_stays() {
    // Over the first of several it may be a heading, and so after a gap.
    without("m:\n- a\n\n# rota\n- b\n- c\n", 0, &["m", "1"], "m:\n- a\n\n# rota\n- c\n");
    without("m:\n# rota\n- b\n- c\n", 0, &["m", "0"], "m:\n# rota\n- c\n");
    // Between two things it is about the second one; and it is never one that is indented otherwise.
    without("m:\n- a\n# b\n- b\n- c\n", 0, &["m", "1"], "m:\n- a\n- c\n");
    without("m:\n- a\n  # a\n- b\n", 0, &["m", "1"], "m:\n- a\n  # a\n");
}

#[test]
fn the_last_item_leaves_an_empty_list() {
    without("m: # who\n  - a\nz: 1\n", 0, &["m", "0"], "m: [] # who\nz: 1\n");
    without("m:\n- a", 0, &["m", "0"], "m: []\n");
    without("m: &x\r\n- a\r\nz: 1\r\n", 0, &["m", "0"], "m: &x []\r\nz: 1\r\n");
    without("m: [ a ] # c\n", 0, &["m", "0"], "m: [] # c\n");
    without("m: [\n  a, # c\n]\n", 0, &["m", "0"], "m: [\n]\n");
}

#[test]
fn an_item_in_brackets_goes_with_its_comma() {
    let text = "m: [a, &x \"b, #\", { c: 1 },] # c\n";
    without(text, 0, &["m", "0"], "m: [&x \"b, #\", { c: 1 },] # c\n");
    without(text, 0, &["m", "1"], "m: [a, { c: 1 },] # c\n");
    without(text, 0, &["m", "2"], "m: [a, &x \"b, #\",] # c\n");
    let text = "m: [\n  a, # a\n  # about b\n  b,\n  c\n] # c\n";
    without(text, 0, &["m", "1"], "m: [\n  a, # a\n  c\n] # c\n");
    without(text, 0, &["m", "2"], "m: [\n  a, # a\n  # about b\n  b,\n] # c\n");
    // A comment between two items is not lost.
    without("m: [a, # a\n  b]\n", 0, &["m", "1"], "m: [a, # a\n  ]\n");
}

#[test]
fn an_entry_goes_from_a_mapping() {
    without("a: 1\n# b\nb: # c\n  - x\nc: 2\n", 0, &["b"], "a: 1\nc: 2\n");
    without("m: { a: 1, b: [x], c: 2 }\n", 0, &["m", "b"], "m: { a: 1, c: 2 }\n");
    assert!(done("m:\n  a: 1\n", &Change::Remove(path(0, &["m", "a"]))).is_err());
}

#[test]
fn a_document_goes_with_its_mark_and_what_is_said_above_it() {
    let text = "# all\na: 1\n---\n# two\nb: 1\n# end of two\n--- # three\nc: 1\n";
    without(text, 0, &[], "# all\n---\n# two\nb: 1\n# end of two\n--- # three\nc: 1\n");
    without(text, 1, &[], "# all\na: 1\n--- # three\nc: 1\n");
    without(text, 2, &[], "# all\na: 1\n---\n# two\nb: 1\n# end of two\n");
    without("a: 1\n---\nb: 1", 0, &[], "b: 1");
    without("---\na: 1\n---\nb: 1\n", 0, &[], "---\nb: 1\n");
    // What says nothing is no document.
    without("---\n---\na: 1\n---\nb: 1\n---\n", 1, &[], "---\n---\na: 1\n");
    assert_eq!(done("# all\na: 1\n", &Change::Remove(path(0, &[]))), Ok(None));
}

#[test]
fn what_is_put_in_follows_what_is_there() {
    let append = |text: &str, steps: &[&str]| {
        done(text, &Change::Append(path(0, steps), "{ x: 1 }".into())).unwrap().unwrap()
    };
    assert_eq!(
        append("m:\n  - a # a\n  # end\nz: 1\n", &["m"]),
        "m:\n  - a # a\n  - { x: 1 }\n  # end\nz: 1\n"
    );
    assert_eq!(append("m:\r\n- a", &["m"]), "m:\r\n- a\r\n- { x: 1 }");
    assert_eq!(append("m: []\n", &["m"]), "m: [{ x: 1 }]\n");
    assert_eq!(append("m: [a, b] # c\n", &["m"]), "m: [a, b, { x: 1 }] # c\n");
    assert_eq!(append("m: [a, b,]\n", &["m"]), "m: [a, b, { x: 1 },]\n");
    assert_eq!(append("m: [\n  a, # a\n  b # b\n]\n", &["m"]), "m: [\n  a, # a\n  b, # b\n  { x: 1 }\n]\n");
    assert_eq!(append("m: [\n  a,\n]\n", &["m"]), "m: [\n  a,\n  { x: 1 },\n]\n");
    let insert = |text: &str| {
        let change =
            Change::Insert { map: path(0, &[]), after: "m".into(), key: "e".into(), item: "{ x: 1 }".into() };
        done(text, &change).unwrap().unwrap()
    };
    assert_eq!(insert("m:\n  - a\nz: 1\n"), "m:\n  - a\ne:\n  - { x: 1 }\nz: 1\n");
    assert_eq!(insert("m: [a] # c\nz: 1\n"), "m: [a] # c\ne: [{ x: 1 }]\nz: 1\n");
    assert_eq!(insert("{ m: [a], z: 1 }\n"), "{ m: [a], e: [{ x: 1 }], z: 1 }\n");
    let document = |text: &str| done(text, &Change::Document("b: 1\n".into())).unwrap().unwrap();
    assert_eq!(document("a: 1\r\n"), "a: 1\r\n---\r\nb: 1\r\n");
    assert_eq!(document("a: 1"), "a: 1\n---\nb: 1\n");
    let set = |text: &str| done(text, &Change::Set(path(0, &["a"]), "2026-12-31".into()));
    assert_eq!(set("a: \"x\" # c\n"), Ok(Some("a: 2026-12-31 # c\n".into())));
}

#[test]
fn what_would_change_more_is_refused() {
    let refused = |text: &str, steps: &[&str], why: &str| {
        let refused = done(text, &Change::Remove(path(0, steps))).unwrap_err();
        assert!(refused.contains(why), "{text}: {refused}");
    };
    // An anchor that is still used, a list that is another one too, an item that stands elsewhere.
    refused("m: [&a x, w]\nk: *a\n", &["m", "0"], "the alias `*a`");
    refused("m: &a [x, w]\nk: *a\n", &["m", "0"], "more than that");
    refused("m: &a [x, w]\nk: *a\n", &["k", "0"], "not edited");
    // Two things on one line, of which one would take the other along.
    refused("m:\n- - a\n  - b\n", &["m", "0", "0"], "not edited");
    refused("m:\n- a: 1\n  b: 2\n", &["m", "0", "a"], "not edited");
    refused("m: [a]\n", &["m", "1"], "not there");
    refused("m: [a\n", &["m", "0"], "not YAML");
    let set = |value: &str| done("a: x\nb: w\n", &Change::Set(path(0, &["a"]), value.into()));
    assert!(set("1\nc: 2").is_err());
    assert!(set("1 # ").is_ok());
}

#[test]
fn texts_are_quoted_where_they_must_be() {
    for (text, written) in [
        ("incident bridge", "incident bridge"),
        ("INC-991", "INC-991"),
        ("2026-11-23T03:00-08:00", "2026-11-23T03:00-08:00"),
        ("2026-11-23", "2026-11-23"),
        ("0123456789T: x", "\"0123456789T: x\""),
        ("why: so", "\"why: so\""),
        ("a, b", "\"a, b\""),
        ("no", "\"no\""),
        ("0123", "\"0123\""),
        ("say \"it\" \\ #1", "\"say \\\"it\\\" \\\\ #1\""),
        ("", "\"\""),
        ("- x", "\"- x\""),
        ("größe", "größe"),
    ] {
        assert_eq!(scalar(text), written);
        for around in
            [format!("a: {written}\n"), format!("a: [{written}, x]\n"), format!("a: {{ b: {written} }}\n")]
        {
            let read = read(&"x.yaml".into(), &around).unwrap();
            assert!(
                read[0].to_value().to_string().contains(text)
                    || !text.is_ascii()
                    || text.contains(['"', '\\']),
                "{around}"
            );
        }
    }
}

#[test]
fn a_place_has_one_path() {
    let text = "a: 1\n---\nm:\n  - { h: [x, w] }\n";
    let documents = read(&"x.yaml".into(), text).unwrap();
    let place = documents[1].get("m").unwrap();
    let NodeValue::List(items) = &place.value else { panic!("a list") };
    assert_eq!(find(&"x.yaml".into(), text, &items[0].span), Some(path(1, &["m", "0"])));
    assert_eq!(find(&"x.yaml".into(), text, &documents[1].span), Some(path(1, &[])));
}
