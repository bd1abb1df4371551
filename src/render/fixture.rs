//! A rich plan for tests: everything that a plan can hold, with names that do harm where they are not escaped.
//!
//! Invariant: the same on every run.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::plan::{PLAN_FORMAT, Standing};
use crate::model::report::{State, Step};
use crate::model::*;

pub(super) fn origin(text: &str, file: &str, line: u32) -> Origin {
    let span = Span { file: file.into(), line, column: 5, length: 8 };
    Origin { text: text.to_owned(), span, chain: Vec::new(), role: None }
}

pub(super) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

/// A request to create something.
pub(super) fn change(op: Op, at: &str, reason: Origin) -> Change {
    let address = address(at);
    let effect = Change::effect_of(op, &address, None, None, &[]);
    Change {
        op,
        address,
        grant: None,
        subject: None,
        before: None,
        after: None,
        fields: BTreeSet::new(),
        cause: Cause::Request,
        standing: None,
        reason,
        also: Vec::new(),
        until: None,
        risk: Risk::Low,
        risk_reasons: Vec::new(),
        requires: BTreeSet::new(),
        dependents: Vec::new(),
        precondition: Digest::of_bytes(b"before"),
        effect,
        approved_by: None,
        taken_over: false,
    }
}

/// An edge of a person.
pub(super) fn edge(op: Op, handle: &str, relation: &str, resource: &str, reason: Origin) -> Change {
    let mut change = change(op, resource, reason);
    let principal = match change.address.instance() {
        "aws" => Address::new("aws", Some("222222222222"), "user", handle),
        _ => Address::new("okta", None, "user", &format!("{handle}@acme.com")),
    };
    let key = GrantKey::new(&principal, relation, &change.address);
    change.effect = Change::effect_of(op, &change.address, Some(&key), None, &[]);
    change.grant = Some(key);
    change.subject = Some(Address::person(handle));
    change
}

fn attributes(json: &str) -> Attributes {
    serde_json::from_str(json).unwrap()
}

pub(super) const NAMES: [&str; 9] =
    ["dmurphy", "klibby", "rpatel", "tnguyen", "jdoe", "asmith", "mgarcia", "ljohansson", "ext_rlopez"];

pub(super) fn changes() -> Vec<Change> {
    let rule = || {
        let mut origin = origin(
            "role birthright_engineering, entry 1: division is engineering",
            "roles/engineering.yaml",
            8,
        );
        origin.role = Some("birthright_engineering".into());
        origin
    };
    let group = "okta:group/rbac_role_birthright_engineering";
    let mut changes = vec![{
        let mut create = change(
            Op::Create,
            group,
            origin("the group of role birthright_engineering", "roles/engineering.yaml", 3),
        );
        create.after = Some(attributes(r#"{"description":"engineers, by birthright"}"#));
        create
    }];
    changes.extend((0..34).map(|n| {
        let name = NAMES.get(n).map_or_else(|| format!("engineer{n:02}"), ToString::to_string);
        let mut edge = edge(Op::Grant, &name, "member", group, rule());
        if n == 2 {
            // A person whose account is called something else must be told apart even in a fold.
            let principal = Address::new("okta", None, "user", "raj@acme.com");
            edge.grant = Some(GrantKey::new(&principal, "member", &edge.address));
        }
        edge
    }));
    let mut grant = edge(
        Op::Grant,
        "dmurphy",
        "member",
        "okta:group/app.pagerduty.responder",
        origin("grant oncall-dmurphy: `on-call rota`, ITSUP-4211", "grants/2026-11/oncall.yaml", 4),
    );
    grant.until = Some("2027-02-01T07:59:00Z".parse().unwrap());
    grant.risk = Risk::Medium;
    grant.risk_reasons = vec!["role infra_oncall is of medium sensitivity".to_owned()];
    grant.reason.chain =
        vec!["role infra_oncall gives okta:group/app.pagerduty.responder (roles/oncall.yaml:12)".to_owned()];
    grant.also = vec![origin("role sec_sirt, entry 2: handle is dmurphy", "roles/sirt.yaml", 19)];
    changes.push(grant);
    let mut policy = edge(
        Op::Grant,
        "klibby",
        "attached",
        "managed:IAMReadOnlyAccess",
        origin("role ci_admins, access 2", "roles/ci.yaml", 21),
    );
    policy.grant = Some(GrantKey::new(
        &Address::new("aws", Some("222222222222"), "user", "klibby"),
        "attached",
        &address("aws/222222222222:policy/IAMReadOnlyAccess"),
    ));
    policy.address = address("aws/222222222222:policy/IAMReadOnlyAccess");
    changes.push(policy);
    for name in ["asmith", "mgarcia", "jdoe"] {
        let mut revoke = edge(
            Op::Revoke,
            name,
            "member",
            "okta:group/app.gitlab.developer",
            origin("role gitlab_developers, entry 1 is gone", "roles/gitlab.yaml", 6),
        );
        revoke.before = Some(Attributes::new());
        revoke.taken_over = name == "jdoe";
        changes.push(revoke);
    }
    let mut expired = edge(
        Op::Revoke,
        "ext_rlopez",
        "member",
        "okta:group/rbac_role_infra_ops",
        origin("grant migration-rlopez ended on 2026-11-20", "grants/2026-10/migration.yaml", 7),
    );
    (expired.cause, expired.standing) = (Cause::Standing, Some(Standing::Expiry));
    changes.push(expired);
    let mut update = change(
        Op::Update,
        "aws/222222222222:role/audit-reader",
        origin("aws/Role audit-reader", "native/aws/audit.yaml", 12),
    );
    update.before = Some(attributes(
        r#"{"max_session":3600,"path":"/","trust":{"Version":"2012-10-17","Statement":[{"Sid":"Audit","Effect":"Allow","Action":["sts:AssumeRole"],"Principal":{"AWS":["arn:aws:iam::111111111111:root"]},"Condition":{"Bool":{"aws:MultiFactorAuthPresent":["true"]}}}]},"tags":{"team":"audit"}}"#,
    ));
    update.after = Some(attributes(
        r#"{"max_session":7200,"path":"/","trust":{"Version":"2012-10-17","Statement":[{"Sid":"Audit","Effect":"Allow","Action":["sts:AssumeRole"],"Principal":{"AWS":["arn:aws:iam::111111111111:root","arn:aws:iam::333333333333:role/service/quarterly-access-review-exporter"]},"Condition":{"Bool":{"aws:MultiFactorAuthPresent":["true"]}}}]},"tags":{"team":"audit"}}"#,
    ));
    update.fields = ["max_session".into(), "trust".into()].into();
    update.risk = Risk::High;
    update.risk_reasons = vec!["it changes who may assume the role".to_owned()];
    changes.push(update);
    let mut delete = change(
        Op::Delete,
        "aws/222222222222:user/legacy-bot",
        origin("`aws/User` legacy-bot is no longer declared", "native/aws/users.yaml", 0),
    );
    delete.before = Some(attributes(r#"{"path":"/"}"#));
    delete.dependents = vec![
        "access key AKIAEXAMPLE000001".to_owned(),
        "login profile".to_owned(),
        "member of aws/222222222222:group/deployers".to_owned(),
    ];
    delete.risk = Risk::High;
    delete.risk_reasons = vec!["it deletes a user".to_owned(), "an access key goes with it".to_owned()];
    changes.push(delete);
    for name in ["deploy", "read-logs"] {
        changes.push(change(
            Op::Adopt,
            &format!("aws/222222222222:policy/{name}"),
            origin("aws/Policy", "native/aws/policies.yaml", 4),
        ));
    }
    changes
}

fn held() -> Vec<Held> {
    let cap = |name: &str| {
        Held {
        why: Why::Capped,
        text: "12 of the 40 members of `okta:group/app.netsuite.clerk` would go, the cap is 10".to_owned(),
        remedy: Some("kind: Waiver\nname: netsuite-clerks\ncode: RC402\non: [\"okta:group/app.netsuite.clerk\"]\nallow: 12\nowner: HANDLE\nreason: \"why so many at once is right\"\nuntil: 2026-12-06".to_owned()),
        change: edge(Op::Revoke, name, "member", "okta:group/app.netsuite.clerk", origin("role fin_ap_clerk, entry 2 is gone", "roles/finance.yaml", 11)),
    }
    };
    let mut held: Vec<Held> = (0..12).map(|n| cap(&format!("clerk{n:02}"))).collect();
    held.push(Held {
        why: Why::Absent,
        text: "`okta:user/newhire@acme.com` does not exist and is not being created".to_owned(),
        remedy: Some("make the account, or say in `identities:` what it is called".to_owned()),
        change: edge(
            Op::Grant,
            "newhire",
            "member",
            "okta:group/rbac_role_infra_ops",
            origin("role infra_ops, entry 1: department is infrastructure", "roles/infra.yaml", 14),
        ),
    });
    held
}

fn waived() -> Waived {
    let span = |line| Span { file: "rules/gitlab.yaml".into(), line, column: 7, length: 9 };
    let text = |text: &str, line| Spanned { value: text.to_owned(), span: span(line) };
    let waiver = Waiver {
        name: text("gitlab-move", 2),
        code: text("RC404", 3),
        on: vec![text("okta:group/app.gitlab.developer", 4)],
        allow: Some(12),
        owner: "klibby".to_owned(),
        reason: "the team moves, <b>ITSUP-4300</b>".to_owned(),
        until: "2026-11-30T08:00:00Z".parse().unwrap(),
    };
    let lets = "RC404: 11 of the 40 members of `okta:group/app.gitlab.developer` would go, and the larger of 10 and 25 % allows 10";
    Waived::of(&waiver, vec![lets.to_owned()])
}

fn drift() -> Vec<Drift> {
    let by_hand =
        edge(Op::Revoke, "tnguyen", "member", "okta:group/admin.super", origin("", "roles/admins.yaml", 0));
    let mut policy = change(
        Op::Update,
        "aws/222222222222:policy/deny-data",
        origin("aws/Policy deny-data", "native/aws/policies.yaml", 9),
    );
    policy.before = Some(attributes(r#"{"description":"edited by hand"}"#));
    policy.after = Some(attributes(r#"{"description":"nobody reads data"}"#));
    policy.fields = ["description".into()].into();
    vec![
        Drift { id: "3f2a91c0".to_owned(), change: by_hand, text: "added by hand".to_owned() },
        Drift { id: "77b0de12".to_owned(), change: policy, text: "changed by hand".to_owned() },
    ]
}

/// The plan.
pub(super) fn plan() -> Plan {
    let changes = changes();
    let waived = vec![waived()];
    let (effects, effect) = Plan::effects_of(&changes, &held(), &waived, &[]);
    let provider = |scopes, calls| ProviderBasis {
        snapshot: Digest::of_bytes(b"x"),
        partial: BTreeMap::new(),
        scopes,
        calls,
    };
    Plan {
        format: PLAN_FORMAT.to_owned(),
        id: "p-5d41402a".to_owned(),
        effect,
        effects,
        created: "2026-11-22T05:00:00Z".parse().unwrap(),
        expires: "2026-11-29T05:00:00Z".parse().unwrap(),
        tool: "rolecall 0.1.0".to_owned(),
        base: Basis {
            commit: Some("9fceb02d0ae5".to_owned()),
            config: "sha256:1".to_owned(),
            base_config: Some("sha256:0".to_owned()),
            providers: BTreeMap::from([("aws".into(), provider(1, 3)), ("okta".into(), provider(14, 21))]),
        },
        summary: Summary::of(&changes),
        changes,
        amended: Vec::new(),
        waived,
        held: held(),
        drift: drift(),
        unmanaged: Tally {
            resources: BTreeMap::from([("okta groups".to_owned(), 12), ("aws roles".to_owned(), 1)]),
            grants: BTreeMap::from([("okta".to_owned(), 1204)]),
            examples: vec!["okta:group/Everyone".to_owned()],
        },
        unclaimed: Tally {
            resources: BTreeMap::from([("okta groups".to_owned(), 399)]),
            grants: BTreeMap::new(),
            examples: ["okta:group/rbac_old_1", "okta:group/rbac_old_2", "okta:group/rbac_old_3"]
                .map(str::to_owned)
                .into(),
        },
        findings: findings()[1..2].to_vec(),
        verdict: Ruling::Denied,
        complete: true,
        zone: String::new(),
        quorums: Vec::new(),
        simulated: false,
        selection: crate::model::Selection::default(),
    }
}

const CITES: Code = Code { code: "RC203", title: "an entry cites what nobody has" };
const LONG: Code = Code { code: "RC305", title: "an end is far away" };

/// The files that findings point into.
pub(super) fn sources() -> Sources {
    Sources::of([
        (
            "roles/infra.yaml",
            "kind: Role\nname: infra_ops\nmembers:\n  - department: infrastrcture\n  - zoë: \u{202e}x\n"
                .as_bytes()
                .to_vec(),
        ),
        ("grants/long.yaml", format!("until: {}\n", "9".repeat(5000)).into_bytes()),
        ("broken.yaml", vec![0xff, 0xfe, b'\n', 0xff]),
    ])
}

fn at(file: &str, line: u32, column: u32, length: u32) -> Span {
    Span { file: file.into(), line, column, length }
}

/// Findings with every sort of place.
pub(super) fn findings() -> Vec<Finding> {
    vec![
        Finding::error(CITES, "role `infra_ops` cites department `infrastrcture`, which nobody has")
            .at(&at("roles/infra.yaml", 4, 17, 13))
            .help("did you mean `infrastructure` (34 people)?")
            .note("34 people have a department that begins with `infra`"),
        Finding::warning(LONG, "this grant ends in more than a year")
            .at(&at("grants/long.yaml", 1, 8, 5000))
            .help("shorten it\nor waive RC305"),
    ]
}

/// The report of an apply that went half well.
pub(super) fn report() -> Report {
    let plan = plan();
    let states = [
        State::Done,
        State::Already,
        State::Pending,
        State::Refused,
        State::Failed,
        State::Unknown,
        State::NotReached,
    ];
    let steps = plan.changes.iter().rev().take(14).enumerate().map(|(n, change)| {
        let state = states[n % states.len()];
        Step {
            effect: change.effect.clone(),
            op: change.op,
            target: change.target(),
            risk: change.risk,
            state,
            message: (state == State::Failed).then(|| "you are not authorized (E0000006)".to_owned()),
            request_id: (state != State::NotReached).then(|| format!("req-{n}")),
        }
    });
    Report {
        plan: plan.id.clone(),
        effect: plan.effect.clone(),
        approval: "the operator typed effect `0123456789ab`".to_owned(),
        steps: steps.collect(),
        left: vec!["create okta:group/x".to_owned()],
        held: plan.held.clone(),
        drift: plan.drift.clone(),
        converged: false,
        calls: 44,
    }
}
