//! Policy documents: how they are declared, checked for form, and made equal where IAM takes them as equal.
//!
//! Invariant: live and declared documents pass through the same [`canonical`] form, so equal values are equal
//! policies; nothing that IAM tells apart becomes equal. It must not call AWS.

use percent_encoding::percent_decode_str;

use crate::model::{
    Code, Entry, Finding, Lowering, Name, Node, NodeValue, Span, Spanned, Value, decode, nearest,
};

use super::json::json;

/// A policy document has a form that IAM would refuse.
pub const BAD_DOCUMENT: Code = Code { code: "RC530", title: "a policy document is not one that IAM takes" };
/// A policy document leaves something to an old default.
pub const OLD_DOCUMENT: Code = Code { code: "RC531", title: "a policy document has no version" };

/// What a document is for: it decides which elements a statement has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// What a principal may do: managed and inline policies.
    Permissions,
    /// Who may assume a role.
    Trust,
}

/// The version that IAM takes where a document names none.
const DEFAULT_VERSION: &str = "2008-10-17";
const VERSIONS: [&str; 2] = ["2012-10-17", DEFAULT_VERSION];
const TOP: [&str; 3] = ["Version", "Id", "Statement"];
const STATEMENT: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];
const TRUST_ACTIONS: [&str; 6] = [
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:SetContext",
    "sts:SetSourceIdentity",
    "sts:TagSession",
];
const PRINCIPALS: [&str; 4] = ["AWS", "Service", "Federated", "CanonicalUser"];

/// The canonical form of a document in a manifest: YAML, JSON as text, or `{ file: x.json }` beside the manifest.
/// What is wrong with it is reported; then there is none.
pub(super) fn declared(node: &Node, purpose: Use, lowering: &mut Lowering<'_>) -> Option<Value> {
    let read;
    let node = match (&node.value, node.entries()) {
        (NodeValue::Text(text), _) => {
            read = parsed(text, &node.span, lowering)?;
            &read
        }
        (NodeValue::Map(_), [entry]) if entry.key.value == "file" => {
            let path: Spanned<String> = decode(&entry.value, &mut lowering.out.findings)?;
            let text = lowering.file(&path)?;
            read = parsed(&text, &path.span, lowering)?;
            &read
        }
        _ => node,
    };
    let before = lowering.out.findings.len();
    Check { purpose, findings: &mut lowering.out.findings }.document(node);
    let bad = lowering.out.findings.iter().skip(before).any(|f| f.code.as_ref() == BAD_DOCUMENT.code);
    (!bad).then(|| canonical(&node.to_value()))
}

fn parsed(text: &str, span: &Span, lowering: &mut Lowering<'_>) -> Option<Node> {
    json(text, span)
        .map_err(|why| {
            let finding = Finding::error(BAD_DOCUMENT, format!("this policy document is not JSON: {why}"));
            lowering.out.findings.push(finding.at(span).help("write JSON, or the same as YAML"));
        })
        .ok()
}

/// The canonical form of a document as the IAM API returns it: JSON, percent-encoded in some answers. Encoded JSON
/// never begins with a brace, and a document always does.
pub(super) fn live(encoded: &str) -> Result<Value, String> {
    let text = match encoded.trim_start().starts_with('{') {
        true => encoded.into(),
        false => percent_decode_str(encoded).decode_utf8().map_err(|_| "it is not UTF-8".to_owned())?,
    };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Value::from_json(&json).map(|value| canonical(&value)).ok_or_else(|| "it holds a fraction".to_owned())
}

/// The text that IAM is given.
pub(super) fn text(document: &Value) -> String {
    document.to_json().to_string()
}

/// The one form of all documents that mean the same: lists for scalars, sets sorted, actions without case, account
/// ids as root ARNs, the version explicit. The order of statements counts and is kept.
#[must_use]
pub fn canonical(document: &Value) -> Value {
    let Value::Map(map) = document else { return document.clone() };
    let mut map = map.clone();
    map.entry("Version".into()).or_insert_with(|| DEFAULT_VERSION.into());
    if let Some(statements) = map.get_mut("Statement") {
        *statements = Value::List(items(statements).iter().map(statement).collect());
    }
    Value::Map(map)
}

fn statement(statement: &Value) -> Value {
    let Value::Map(map) = statement else { return statement.clone() };
    let canonical = |(key, value): (&Name, &Value)| {
        let value = match key.as_ref() {
            "Action" | "NotAction" => set(value, action),
            "Resource" | "NotResource" => set(value, str::to_owned),
            "Principal" | "NotPrincipal" => principals(value),
            "Condition" => condition(value),
            _ => value.clone(),
        };
        (key.clone(), value)
    };
    Value::Map(map.iter().map(canonical).collect())
}

fn principals(value: &Value) -> Value {
    let Value::Map(map) = value else { return value.clone() };
    let canonical = |(kind, names): (&Name, &Value)| (kind.clone(), set(names, root_arn));
    Value::Map(map.iter().map(canonical).collect())
}

/// Actions have no case; those of trust policies keep the one that everybody writes, since some that check them care.
fn action(action: &str) -> String {
    let known = TRUST_ACTIONS.iter().find(|known| known.eq_ignore_ascii_case(action));
    known.map_or_else(|| action.to_lowercase(), |known| (*known).to_owned())
}

/// An account's id means whoever the account lets in, which is what its root ARN means.
fn root_arn(principal: &str) -> String {
    let id = principal.len() == 12 && principal.bytes().all(|byte| byte.is_ascii_digit());
    if id { format!("arn:aws:iam::{principal}:root") } else { principal.to_owned() }
}

fn condition(value: &Value) -> Value {
    let Value::Map(operators) = value else { return value.clone() };
    let keys = |keys: &Value| match keys {
        Value::Map(map) => Value::Map(map.iter().map(|(k, v)| (k.clone(), set(v, str::to_owned))).collect()),
        other => other.clone(),
    };
    Value::Map(operators.iter().map(|(operator, value)| (operator.clone(), keys(value))).collect())
}

fn items(value: &Value) -> &[Value] {
    value.as_list().unwrap_or(std::slice::from_ref(value))
}

/// A scalar or list as a set of texts: IAM reads `true` and `3600` in conditions as texts.
fn set(value: &Value, each: impl Fn(&str) -> String) -> Value {
    let text = |item: &Value| match item {
        Value::Text(text) => Value::from(each(text)),
        Value::Bool(_) | Value::Int(_) => Value::from(item.to_string()),
        other => other.clone(),
    };
    let mut items: Vec<Value> = items(value).iter().map(text).collect();
    items.sort();
    items.dedup();
    Value::List(items)
}

/// Checks the form of a document, each mistake at its place.
struct Check<'a> {
    purpose: Use,
    findings: &'a mut Vec<Finding>,
}

impl Check<'_> {
    fn bad(&mut self, span: &Span, message: impl Into<String>, help: Option<String>) {
        let mut finding = Finding::error(BAD_DOCUMENT, message).at(span);
        finding.help = help;
        self.findings.push(finding);
    }

    fn document(&mut self, node: &Node) {
        if !self.keys(node, "a policy document", &TOP) {
            return;
        }
        match node.get("Version") {
            None => self.findings.push(
                Finding::warning(OLD_DOCUMENT, format!("no `Version`: IAM then takes `{DEFAULT_VERSION}`"))
                    .at(&node.span)
                    .help("write `Version: 2012-10-17`, which knows policy variables"),
            ),
            Some(version) => self.one_of(version, "Version", &VERSIONS),
        }
        if let Some(id) = node.get("Id") {
            self.text(id, "Id");
        }
        match node.get("Statement").map(|statement| (&statement.value, statement)) {
            None => self.bad(&node.span, "this policy document has no `Statement`", None),
            Some((NodeValue::List(items), statement)) if items.is_empty() => {
                self.bad(&statement.span, "`Statement` is empty", None);
            }
            Some((NodeValue::List(items), _)) => items.iter().for_each(|item| self.statement(item)),
            Some((_, statement)) => self.statement(statement),
        }
    }

    fn statement(&mut self, node: &Node) {
        if !self.keys(node, "a statement", &STATEMENT) {
            return;
        }
        if let Some(sid) = node.get("Sid") {
            self.text(sid, "Sid");
        }
        match node.get("Effect") {
            None => self.bad(
                &node.span,
                "this statement has no `Effect`",
                Some("write `Effect: Allow` or `Effect: Deny`".into()),
            ),
            Some(effect) => self.one_of(effect, "Effect", &["Allow", "Deny"]),
        }
        self.exactly_one(node, "Action", "NotAction");
        let (needed, foreign) = match self.purpose {
            Use::Permissions => (["Resource", "NotResource"], ["Principal", "NotPrincipal"]),
            Use::Trust => (["Principal", "NotPrincipal"], ["Resource", "NotResource"]),
        };
        self.exactly_one(node, needed[0], needed[1]);
        for entry in node.entries().iter().filter(|entry| foreign.contains(&entry.key.value.as_str())) {
            let whose = if self.purpose == Use::Trust { "a trust policy" } else { "a policy of a principal" };
            self.bad(&entry.key.span, format!("{whose} has no `{}`", entry.key.value), None);
        }
        for entry in node.entries() {
            let key = entry.key.value.as_str();
            match key {
                "Action" | "NotAction" | "Resource" | "NotResource" => self.texts(&entry.value, key),
                "Principal" | "NotPrincipal" => self.principals(&entry.value),
                "Condition" => self.condition(&entry.value),
                _ => {}
            }
        }
    }

    fn principals(&mut self, node: &Node) {
        if node.as_text() == Some("*") {
            return;
        }
        if self.keys(node, "`Principal`", &PRINCIPALS) {
            node.entries().iter().for_each(|entry| self.texts(&entry.value, &entry.key.value));
        }
    }

    fn condition(&mut self, node: &Node) {
        for operator in self.map(node, "`Condition`") {
            for key in self.map(&operator.value, "a condition operator") {
                let values = match &key.value.value {
                    NodeValue::List(items) => items.as_slice(),
                    _ => std::slice::from_ref(&key.value),
                };
                for value in values {
                    if matches!(value.value, NodeValue::List(_) | NodeValue::Map(_) | NodeValue::Null) {
                        let what = value.what();
                        self.bad(&value.span, format!("`{}` is compared with {what}", key.key.value), None);
                    }
                }
            }
        }
    }

    fn map<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Entry] {
        if !matches!(node.value, NodeValue::Map(_)) {
            self.bad(&node.span, format!("{what} is {}, but a mapping is needed", node.what()), None);
        }
        node.entries()
    }

    /// Whether it is a mapping at all; unknown keys are reported with the nearest one.
    fn keys(&mut self, node: &Node, what: &str, known: &[&str]) -> bool {
        for entry in self.map(node, what) {
            let key = entry.key.value.as_str();
            if !known.contains(&key) {
                let help = nearest(key, known.iter().copied()).map_or_else(
                    || format!("the keys here are `{}`", known.join("`, `")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.bad(&entry.key.span, format!("{what} has no key `{key}`"), Some(help));
            }
        }
        matches!(node.value, NodeValue::Map(_))
    }

    fn exactly_one(&mut self, node: &Node, one: &str, other: &str) {
        match (node.get(one), node.get(other)) {
            (None, None) => {
                self.bad(&node.span, format!("this statement has neither `{one}` nor `{other}`"), None);
            }
            (Some(_), Some(second)) => {
                self.bad(&second.span, format!("this statement has both `{one}` and `{other}`"), None);
            }
            _ => {}
        }
    }

    fn one_of(&mut self, node: &Node, key: &str, known: &[&str]) {
        if !node.as_text().is_some_and(|text| known.contains(&text)) {
            let found = node.as_text().map_or_else(|| node.what().to_owned(), |text| format!("`{text}`"));
            self.bad(&node.span, format!("`{key}` is {found}, not `{}`", known.join("` or `")), None);
        }
    }

    fn text(&mut self, node: &Node, key: &str) {
        if node.as_text().is_none() {
            self.bad(&node.span, format!("`{key}` is {}, but a text is needed", node.what()), None);
        }
    }

    fn texts(&mut self, node: &Node, key: &str) {
        match &node.value {
            NodeValue::List(items) if items.is_empty() => {
                self.bad(&node.span, format!("`{key}` is empty"), None);
            }
            NodeValue::List(items) => items.iter().for_each(|item| self.text(item, key)),
            _ => self.text(node, key),
        }
    }
}

#[cfg(test)]
mod tests {
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
            (
                r#"{"Statement": {"Action": "S3:GetObject"}}"#,
                r#"{"Statement": [{"Action": ["s3:getobject"]}]}"#,
            ),
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
            (
                r#"{"Statement": [{"Sid": "a"}, {"Sid": "b"}]}"#,
                r#"{"Statement": [{"Sid": "b"}, {"Sid": "a"}]}"#,
            ),
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
            scope_name: None,
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
        let one = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "a", "Resource": "*"}]}"#;
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
                prop::collection::btree_map(key.clone().prop_map(Name::from), inner, 0..5)
                    .prop_map(Value::Map),
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
}
