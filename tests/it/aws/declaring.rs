//! Manifests, access entries, settings and identities.

use rolecall::model::{AccessLowering, Collection, Target, Through};

use super::*;

const ACCOUNT: &str = "222222222222";

fn messages(kind: &str, name: &str, body: &str) -> Vec<String> {
    let out = lowered(kind, name, body, ACCOUNT, &Sources::default());
    errors(&out.findings).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_user_stands_for_itself_its_groups_and_its_policies() {
    let body = r#"{"path": "/service/", "tags": {"team": "x"}, "groups": ["deployers"], "policies": ["managed:A/b", "deny"], "boundary": "deny"}"#;
    let out = lowered("aws/User", "ci", body, ACCOUNT, &Sources::default());
    assert_eq!(errors(&out.findings), Vec::<&str>::new());
    let edges: Vec<String> = out.grants.iter().map(|(key, ..)| key.to_string()).collect();
    assert_eq!(
        edges,
        [
            "aws/222222222222:user/ci member aws/222222222222:group/deployers",
            "aws/222222222222:user/ci attached managed:A/b",
            "aws/222222222222:user/ci attached aws/222222222222:policy/deny",
        ]
    );
    let user = &out.resources[0].address;
    let claims: Vec<&Collection> = out.claims.iter().map(|(claim, _)| claim).collect();
    assert_eq!(
        claims,
        [&Collection::of_principal(user, "member"), &Collection::of_principal(user, "attached")]
    );
    assert_eq!(out.resources[0].attributes["boundary"], Value::from("aws/222222222222:policy/deny"));
    assert_eq!(out.references.len(), 3, "two policies and a group must exist: {:?}", out.references);
    assert!(!out.resources[0].attributes.contains_key("inline"), "the schema's default says it");
}

#[test]
fn a_group_claims_its_members() {
    let out = lowered("aws/Group", "g", r#"{"allow_empty": true}"#, ACCOUNT, &Sources::default());
    let group = &out.resources[0].address;
    assert!(out.claims.iter().any(|(claim, _)| *claim == Collection::of_resource(group, "member")));
    assert!(out.resources[0].allow_empty);
}

#[test]
fn what_iam_would_refuse_is_refused_at_once() {
    let trust = r#""trust": {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}"#;
    for (kind, name, body, message) in [
        ("aws/User", "a b", "{}", "`a b` is not a name that IAM allows"),
        ("aws/User", &"u".repeat(65), "{}", "is not a name that IAM allows"),
        ("aws/User", "u", r#"{"path": "service"}"#, "`service` is not a path that IAM allows"),
        ("aws/User", "u", r#"{"tags": {"managed-by": "me"}}"#, "rolecall itself sets the tag `managed-by`"),
        ("aws/User", "u", r#"{"tags": {"aws:x": "y"}}"#, "AWS itself sets the tag `aws:x`"),
        ("aws/User", "u", r#"{"policies": ["arn:aws:iam::aws:policy/X"]}"#, "is an ARN, not a name"),
        ("aws/User", "u", r#"{"policies": ["aws:group/x"]}"#, "`aws:group/x` is not a policy"),
        ("aws/User", "u", r#"{"inline": {"a b": {}}}"#, "`a b` is not a name that IAM allows"),
        ("aws/User", "u", r#"{"plicies": []}"#, "unknown key `plicies`"),
        ("aws/Role", "r", "{}", "missing key `trust`"),
        (
            "aws/Role",
            "r",
            &format!("{{{trust}, \"max_session\": \"30m\"}}"),
            "a session's length is 1 to 12 hours",
        ),
        ("aws/Role", "AWSReservedSSO_x", &format!("{{{trust}}}"), "is one that AWS keeps for itself"),
        ("aws/Policy", "p", "{}", "missing key `document`"),
    ] {
        let messages = messages(kind, name, body);
        assert!(messages.iter().any(|m| m.contains(message)), "{kind} {body}: {messages:?}");
    }
    for length in ["\"1h\"", "\"90m\"", "\"1h30m\"", "3600", "43200"] {
        let body = format!("{{{trust}, \"max_session\": {length}}}");
        assert_eq!(messages("aws/Role", "r", &body), Vec::<String>::new(), "{length}");
    }
}

fn access(body: &str) -> (Vec<Target>, Vec<Finding>) {
    let (mut targets, mut findings) = (Vec::new(), Vec::new());
    (provider_type().access)(
        &node(body),
        &mut AccessLowering {
            instance: "aws",
            scope: Some(ACCOUNT),
            scope_name: Some("ci"),
            targets: &mut targets,
            findings: &mut findings,
        },
    );
    (targets, findings)
}

#[test]
fn an_access_entry_names_groups_and_policies_person_by_person() {
    for accounts in
        ["", r#""accounts": ["ci"],"#, r#""accounts": ["2222*"],"#, r#""accounts": ["*", "!prod"],"#]
    {
        let (targets, findings) =
            access(&format!(r#"{{{accounts} "groups": ["g"], "policies": ["managed:X", "p"]}}"#));
        assert_eq!(findings, [], "{accounts}");
        let resources: Vec<(&str, &str)> =
            targets.iter().map(|t| (t.resource.as_str(), t.relation.as_ref())).collect();
        assert_eq!(
            resources,
            [
                ("aws/222222222222:group/g", "member"),
                ("managed:X", "attached"),
                ("aws/222222222222:policy/p", "attached")
            ]
        );
        assert!(targets.iter().all(|target| target.through == Through::People));
    }
}

#[test]
fn an_access_entry_that_picks_no_account_gives_nothing_and_says_so() {
    for accounts in [r#"["prod"]"#, r#"["*", "!ci"]"#, r#"["*", "!222222222222"]"#, r#"["ou:eng/**"]"#] {
        let (targets, findings) = access(&format!(r#"{{"accounts": {accounts}, "groups": ["g"]}}"#));
        assert!(targets.is_empty(), "{accounts}");
        assert_eq!(findings[0].code.as_ref(), rolecall::providers::aws::NO_ACCOUNT.code);
    }
    let (_, findings) = access(r#"{"permission_sets": ["Admin"]}"#);
    assert_eq!(errors(&findings), ["permission sets are not supported yet"]);
}

#[test]
fn identities_are_names_or_arns() {
    let principal = |identity| (provider_type().principal)("aws", Some(ACCOUNT), identity).to_string();
    for (identity, address) in [
        ("dmurphy", "aws/222222222222:user/dmurphy"),
        ("arn:aws:iam::111111111111:user/service/ci", "aws/111111111111:user/ci"),
        ("arn:aws-us-gov:iam::111111111111:role/x/y", "aws/111111111111:role/y"),
        ("arn:aws:sts::111111111111:assumed-role/deploy/session", "aws/111111111111:role/deploy"),
        ("d@acme.com", "aws/222222222222:user/d@acme.com"),
    ] {
        assert_eq!(principal(identity), address);
    }
}

#[test]
fn settings_name_one_account() {
    let check = |text| {
        let mut findings = Vec::new();
        let scope = (provider_type().settings)(&node(text), &mut findings);
        (
            scope.scope.map(|s| s.to_string()),
            errors(&findings).into_iter().map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    let (scope, findings) = check(r#"{"account": "222222222222", "name": "ci"}"#);
    assert_eq!((scope.as_deref(), findings.len()), (Some(ACCOUNT), 0));
    for (text, message) in [
        ("{}", "missing key `account`"),
        (r#"{"account": 222222222222}"#, "put it in quotes"),
        (r#"{"account": "2222"}"#, "`2222` is not an account's id"),
        (
            r#"{"account": "222222222222", "role": "arn:aws:iam::1:role/x"}"#,
            "is not a role of account 222222222222",
        ),
        (r#"{"account": "222222222222", "regoin": "x"}"#, "unknown key `regoin`"),
    ] {
        let (_, findings) = check(text);
        assert!(findings.iter().any(|f| f.contains(message)), "{text}: {findings:?}");
    }
}

#[test]
fn every_code_is_told_once() {
    let codes: BTreeSet<&str> = rolecall::providers::aws::CODES.iter().map(|code| code.code).collect();
    assert_eq!(codes.len(), rolecall::providers::aws::CODES.len());
}

#[test]
fn every_attribute_of_a_manifest_is_in_its_schema() {
    let trust = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}"#;
    let document =
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "a", "Resource": "*"}}"#;
    let common =
        format!(r#""path": "/x/", "tags": {{"a": "b"}}, "inline": {{"i": {document}}}, "boundary": "b""#);
    for (kind, body) in [
        ("aws/User", format!("{{{common}}}")),
        ("aws/Group", format!(r#"{{"path": "/x/", "inline": {{"i": {document}}}}}"#)),
        ("aws/Role", format!(r#"{{{common}, "trust": {trust}, "description": "x", "max_session": "1h"}}"#)),
        ("aws/Policy", format!(r#"{{"path": "/x/", "description": "x", "document": {document}}}"#)),
    ] {
        let out = lowered(kind, "x", &body, ACCOUNT, &Sources::default());
        assert_eq!(errors(&out.findings), Vec::<&str>::new());
        let types = provider_type();
        let schema = types.schema(out.resources[0].address.kind()).unwrap();
        let declared: BTreeSet<&Name> = out.resources[0].attributes.keys().collect();
        assert_eq!(declared, schema.attributes.iter().map(|attribute| &attribute.name).collect(), "{kind}");
    }
}
