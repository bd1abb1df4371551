//! Documents: which are equal, which are refused, and where.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{Lowered, Origin, Sources};

fn at(line: u32) -> Span {
    Span { file: "native/x.yaml".into(), line, column: 1, length: 1 }
}

fn node(text: &str) -> Node {
    json(text, &at(7)).unwrap()
}

fn same(one: &str, other: &str) -> bool {
    canonical(&node(one).to_value()) == canonical(&node(other).to_value())
}

#[test]
fn documents_that_mean_the_same_are_equal() {
    for (one, other) in [
        (r#"{"Statement": {"Action": "S3:GetObject"}}"#, r#"{"Statement": [{"Action": ["s3:getobject"]}]}"#),
        (r#"{"Statement": {"Action": ["b", "a", "B"]}}"#, r#"{"Statement": {"Action": ["a", "b"]}}"#),
        (
            r#"{"Statement": {"Principal": {"AWS": "111111111111"}, "Action": "STS:assumerole"}}"#,
            r#"{"Statement": {"Principal": {"AWS": ["arn:aws:iam::111111111111:root"]}, "Action": "sts:AssumeRole"}}"#,
        ),
        (
            r#"{"Statement": {"Condition": {"Bool": {"aws:SecureTransport": true}}}}"#,
            r#"{"Statement": {"Condition": {"Bool": {"aws:SecureTransport": ["true"]}}}}"#,
        ),
        (r#"{"Statement": []}"#, r#"{"Version": "2008-10-17", "Statement": []}"#),
    ] {
        assert!(same(one, other), "{one} {other}");
    }
}

#[test]
fn documents_that_mean_different_things_stay_different() {
    for (one, other) in [
        (r#"{"Statement": [{"Sid": "a"}, {"Sid": "b"}]}"#, r#"{"Statement": [{"Sid": "b"}, {"Sid": "a"}]}"#),
        (r#"{"Statement": {"Resource": "arn:A"}}"#, r#"{"Statement": {"Resource": "arn:a"}}"#),
        (r#"{"Statement": {"Effect": "Allow"}}"#, r#"{"Statement": {"Effect": "Deny"}}"#),
        (r#"{"Statement": {"Action": "a"}}"#, r#"{"Statement": {"NotAction": "a"}}"#),
        (r#"{"Version": "2012-10-17", "Statement": []}"#, r#"{"Statement": []}"#),
        (
            r#"{"Statement": {"Principal": {"AWS": "111111111111"}}}"#,
            r#"{"Statement": {"Principal": {"Federated": "111111111111x"}}}"#,
        ),
    ] {
        assert!(!same(one, other), "{one} {other}");
    }
}

#[test]
fn live_documents_are_read_encoded_and_plain() {
    let plain = r#"{"Version": "2012-10-17", "Statement": [{"Resource": "arn:aws:s3:::a%2Fb"}]}"#;
    let encoded =
        percent_encoding::utf8_percent_encode(plain, percent_encoding::NON_ALPHANUMERIC).to_string();
    assert_eq!(live(plain), live(&encoded));
    assert!(text(&live(plain).unwrap()).contains("a%2Fb"));
    assert!(live("%7Bnonsense").is_err());
}

fn with(purpose: Use, node: &Node, sources: &Sources) -> (Option<Value>, Vec<Finding>) {
    let mut out = Lowered::default();
    let name = Spanned { value: "x".to_owned(), span: at(1) };
    let origin = Origin { text: String::new(), span: at(1), chain: Vec::new(), role: None };
    let mut lowering = Lowering {
        instance: "aws",
        scope: None,
        name: &name,
        origin: Arc::new(origin),
        sources,
        out: &mut out,
    };
    let value = declared(node, purpose, &mut lowering);
    (value, out.findings)
}

fn refused(purpose: Use, text: &str) -> Vec<String> {
    let (value, findings) = with(purpose, &node(text), &Sources::default());
    assert_eq!(value, None, "{text}");
    assert!(findings.iter().all(|f| f.span.as_ref().is_some_and(|span| span.line == 7)), "{findings:?}");
    findings.into_iter().map(|f| [f.message, f.help.unwrap_or_default()].join("; ")).collect()
}

#[test]
fn each_mistake_in_a_document_is_told() {
    let one =
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "a", "Resource": "*"}]}"#;
    for (from, to, message) in [
        ("2012-10-17", "2012-10-71", "`Version` is `2012-10-71`, not `2012-10-17` or `2008-10-17`"),
        ("Statement", "Statements", "did you mean `Statement`?"),
        ("Effect", "Effects", "did you mean `Effect`?"),
        ("Allow", "allow", "`Effect` is `allow`, not `Allow` or `Deny`"),
        (r#""Action": "a""#, r#""NotResource": "a""#, "neither `Action` nor `NotAction`"),
        (r#""Action": "a""#, r#""Action": []"#, "`Action` is empty"),
        (r#""Action": "a""#, r#""Action": {"a": 1}"#, "`Action` is a mapping, but a text is needed"),
        (r#""Action": "a""#, r#""Action": "a", "NotAction": "b""#, "both `Action` and `NotAction`"),
        (r#""Action": "a""#, r#""Action": "a", "Principal": "*""#, "has no `Principal`"),
        (
            r#""Action": "a""#,
            r#""Action": "a", "Condition": {"Bool": "x"}"#,
            "a condition operator is a text",
        ),
        (r#"[{"Effect"#, r#"[7, {"Effect"#, "a statement is a number"),
    ] {
        let messages = refused(Use::Permissions, &one.replacen(from, to, 1));
        assert!(messages.iter().any(|m| m.contains(message)), "{message}: {messages:?}");
    }
    assert_eq!(
        refused(Use::Permissions, r#"{"Version": "2012-10-17", "Statement": []}"#),
        ["`Statement` is empty; "]
    );
    assert_eq!(refused(Use::Trust, one).len(), 2, "a trust policy has a principal and no resource");
    assert_eq!(refused(Use::Permissions, r#""{\"a\": 1, \"a\": 2}""#).len(), 1, "a key that repeats");
}

#[test]
fn a_document_can_be_a_file_beside_the_manifest() {
    let text = r#"{"Statement": {"Effect": "Allow", "Action": "a", "Resource": "*"}}"#;
    let sources = Sources::of([("native/p.json", text)]);
    let (value, findings) = with(Use::Permissions, &node(r#"{"file": "p.json"}"#), &sources);
    assert_eq!(value, Some(canonical(&node(text).to_value())));
    assert_eq!(findings.iter().map(|f| f.code.as_ref()).collect::<Vec<_>>(), [OLD_DOCUMENT.code]);
    assert_eq!(with(Use::Permissions, &node(r#"{"file": "../p.json"}"#), &sources).0, None);
    assert_eq!(with(Use::Permissions, &node(r#"{"file": "q.json"}"#), &sources).0, None);
}

/// Any value of the sort that documents consist of, well-formed or not.
fn values() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "Version",
        "Statement",
        "Action",
        "NotAction",
        "Resource",
        "Principal",
        "AWS",
        "Condition",
        "Bool",
        "Sid",
    ]);
    let text = prop::sample::select(vec!["s3:Get", "S3:GET", "111111111111", "*", "sts:assumerole", ""]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map(key.clone().prop_map(Name::from), inner, 0..5).prop_map(Value::Map),
        ]
    })
}

fn texts(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(of, 1..=of.len())
}

proptest! {
    #[test]
    fn canonical_is_idempotent(value in values()) {
        let once = canonical(&value);
        prop_assert_eq!(canonical(&once), once);
    }

    #[test]
    fn the_order_within_a_set_does_not_count(
        actions in texts(&["a:B", "c:D", "e:F"]),
        resources in texts(&["x", "Y", "z"]),
        accounts in texts(&["111111111111", "222222222222", "arn:aws:iam::333333333333:user/x"]),
        turn in 0_usize..3,
    ) {
        let document = |actions: &[&str], resources: &[&str], accounts: &[&str]| {
            let list = |items: &[&str]| Value::List(items.iter().map(|item| Value::from(*item)).collect());
            let statement = Value::map([
                ("Action", list(actions)),
                ("Resource", list(resources)),
                ("Principal", Value::map([("AWS", list(accounts))])),
                ("Condition", Value::map([("StringLike", Value::map([("k", list(resources))]))])),
            ]);
            canonical(&Value::map([("Statement", Value::List(vec![statement]))]))
        };
        let turned = |items: &[&'static str]| {
            let mut items = items.to_vec();
            let by = turn % items.len();
            items.rotate_left(by);
            items
        };
        prop_assert_eq!(
            document(&actions, &resources, &accounts),
            document(&turned(&actions), &turned(&resources), &turned(&accounts))
        );
    }

    #[test]
    fn no_document_makes_the_check_panic(value in values()) {
        let node = node(&value.to_json().to_string());
        for purpose in [Use::Permissions, Use::Trust] {
            let (value, findings) = with(purpose, &node, &Sources::default());
            prop_assert!(value.is_some() || !findings.is_empty());
        }
    }
}
