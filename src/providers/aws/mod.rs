//! AWS IAM of one account: users, groups, roles, managed policies, memberships and attachments.
//!
//! A kind is one file and one line in [`KINDS`]: its manifest, its schema, how it is found in the sweep, read and written.
//! Invariant: no call is made before the credentials are known to be of the account that settings name; a plan
//! reads the account in pages and nothing resource by resource. It must not touch what AWS keeps for itself.

use schemars::{JsonSchema, Schema as JsonSchemaDocument, SchemaGenerator};
use serde::Deserialize;

use crate::model::settings::ProviderSettings;
use crate::model::{
    AccessLowering, Address, Code, Finding, Name, Node, Pattern, ProviderScope, ProviderType, Relation,
    Spanned, Through, any_matches, decode,
};
use crate::provider::{Error, ErrorKind, Provider};
use crate::providers::Wiring;

mod connection;
mod cut_off;
pub mod document;
mod group;
mod iam;
mod json;
mod manifest;
mod policy;
mod role;
mod sweep;
mod transport;
mod user;
mod writer;

use connection::Account;
use iam::IamKind;

/// All kinds: one line each.
const KINDS: &[&dyn IamKind] = &[&user::Users, &group::Groups, &role::Roles, &policy::Policies];

/// An access entry's `accounts` pick no account.
pub const NO_ACCOUNT: Code = Code { code: "RC534", title: "an access entry picks no account" };
/// An access entry asks for what this version does not do.
pub const NOT_SUPPORTED: Code =
    Code { code: "RC535", title: "an access entry asks for what is not supported yet" };
/// A setting of an AWS account is not valid.
pub const BAD_SETTING: Code = Code { code: "RC536", title: "a setting of an AWS account is not valid" };

/// The codes of this provider.
pub const CODES: &[Code] = &[
    document::BAD_DOCUMENT,
    document::OLD_DOCUMENT,
    manifest::BAD_NAME,
    manifest::KEPT,
    NO_ACCOUNT,
    NOT_SUPPORTED,
    BAD_SETTING,
];

/// The tag that users and roles get when rolecall makes them; it says so to people and means nothing to rolecall.
const MARK: (&str, &str) = ("managed-by", "rolecall");

/// A user's place in a group.
const MEMBER: &str = "member";
/// A managed policy on a principal.
const ATTACHED: &str = "attached";

/// What the engine must know of AWS.
#[must_use]
pub fn provider_type() -> ProviderType {
    let names = |names: &[&str]| names.iter().map(|name| Name::from(*name)).collect();
    let relation = |name: &str, principals: &[&str], resources: &[&str], words: &str| Relation {
        name: name.into(),
        principals: names(principals),
        resources: names(resources),
        words: words.into(),
        pair: false,
    };
    ProviderType {
        name: "aws",
        kinds: KINDS.iter().map(|kind| kind.kind()).collect(),
        relations: vec![
            relation(MEMBER, &["user"], &["group"], "member of"),
            relation(ATTACHED, &["user", "group", "role"], &["policy", "managed"], "has policy"),
        ],
        person_kind: "user",
        role_group: None,
        access,
        access_schema: |generator: &mut SchemaGenerator| -> JsonSchemaDocument {
            Access::json_schema(generator)
        },
        principal,
        settings,
        places: None,
        settings_schema: |generator: &mut SchemaGenerator| -> JsonSchemaDocument {
            Options::json_schema(generator)
        },
    }
}

/// Opens one account. Nothing is called yet: the first call checks whose account it is.
pub fn open(settings: &ProviderSettings, wiring: &Wiring) -> Result<Box<dyn Provider>, Error> {
    let mut findings = Vec::new();
    let options = options(&settings.options, &mut findings).ok_or_else(|| {
        let why = findings.first().map_or_else(|| "they are not valid".to_owned(), ToString::to_string);
        Error::new(ErrorKind::Other, format!("cannot use the settings of `{}`: {why}", settings.instance))
    })?;
    Ok(Box::new(std::sync::Arc::new(Account::new(settings.instance.clone(), options, wiring.clone()))))
}

/// The settings of one account.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The account's id: 12 digits, in quotes.
    account: Spanned<String>,
    /// What people call it, for `accounts:` in access entries.
    name: Option<Spanned<String>>,
    /// The region whose endpoints are used; IAM is the same in all of a partition.
    region: Option<Spanned<String>>,
    /// The ARN of a role in the account to assume first.
    role: Option<Spanned<String>>,
}

fn options(node: &Node, findings: &mut Vec<Finding>) -> Option<Options> {
    let options: Options = decode(node, findings)?;
    let before = findings.len();
    let mut bad = |at: &Spanned<String>, message: String, help: &str| {
        findings.push(Finding::error(BAD_SETTING, message).at(&at.span).help(help));
    };
    if !is_account_id(&options.account) {
        let message = format!("`{}` is not an account's id", options.account.value);
        bad(&options.account, message, "an id has 12 digits; keep it in quotes");
    }
    if let Some(role) = &options.role
        && !role.contains(&format!(":iam::{}:role/", options.account.value))
    {
        let message = format!("`{}` is not a role of account {}", role.value, options.account.value);
        bad(role, message, "write `arn:aws:iam::ACCOUNT:role/NAME`");
    }
    (findings.len() == before).then_some(options)
}

fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn settings(node: &Node, findings: &mut Vec<Finding>) -> ProviderScope {
    options(node, findings).map_or_else(ProviderScope::default, |options| ProviderScope {
        scope: Some(options.account.value.into()),
        name: options.name.map(|name| name.value.into()),
    })
}

/// One `aws:` entry of a role's `access:`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Access {
    /// Which accounts: names or ids, `!` for those not meant; all where it is omitted.
    #[serde(default)]
    accounts: Vec<Spanned<String>>,
    /// IAM groups that each person becomes a member of.
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    /// IAM policies attached to each person's user; `managed:X` is AWS's own.
    #[serde(default)]
    policies: Vec<Spanned<String>>,
    /// Permission sets of Identity Center; not supported yet.
    #[serde(default)]
    permission_sets: Vec<Spanned<String>>,
}

fn access(node: &Node, lowering: &mut AccessLowering<'_>) {
    let Some(access) = decode::<Access>(node, lowering.findings) else { return };
    if let Some(first) = access.permission_sets.first() {
        let message = "permission sets are not supported yet";
        let finding = Finding::error(NOT_SUPPORTED, message).at(&first.span);
        lowering.findings.push(finding.help("give `groups` or `policies` of IAM, or leave this entry out"));
    }
    let scope = [lowering.scope, lowering.scope_name];
    let patterns: Vec<Pattern> =
        access.accounts.iter().map(|account| Pattern::new(account.value.as_str())).collect();
    let excepted = |name: &str| {
        patterns.iter().any(|p| p.as_str().strip_prefix('!').is_some_and(|p| Pattern::new(p).matches(name)))
    };
    // A `!name` must hold against the id's match, too, so exceptions are asked of both first.
    let picked = !scope.into_iter().flatten().any(excepted)
        && scope.into_iter().flatten().any(|name| any_matches(&patterns, name));
    if let Some(first) = access.accounts.first()
        && !picked
    {
        let known: Vec<&str> = scope.into_iter().flatten().collect();
        let message = format!("these accounts pick none of `{}`", lowering.instance);
        let finding = Finding::error(NO_ACCOUNT, message).at(&first.span);
        lowering.findings.push(finding.help(format!("its account is `{}`", known.join("`, also called `"))));
        return;
    }
    for group in &access.groups {
        lowering.target("group", MEMBER, Through::People, group);
    }
    for policy in &access.policies {
        lowering.target("policy", ATTACHED, Through::People, policy);
    }
}

/// The address of a user by name, or of a user or role by ARN.
fn principal(instance: &str, scope: Option<&str>, identity: &str) -> Address {
    principal_of_arn(instance, identity).unwrap_or_else(|| Address::new(instance, scope, "user", identity))
}

/// `arn:aws:iam::ACCOUNT:user/PATH/NAME`, and the like for roles and their sessions.
fn principal_of_arn(instance: &str, arn: &str) -> Option<Address> {
    let mut parts = arn.splitn(6, ':');
    let (Some("arn"), Some(_), Some(service), Some(_), Some(account), Some(rest)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let (sort, path) = rest.split_once('/')?;
    let last = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    let (kind, name) = match (service, sort) {
        ("iam" | "sts", "user") => ("user", last),
        ("iam", "role") => ("role", last),
        // The name of a session follows that of the role; the role's path is not told.
        ("sts", "assumed-role") => ("role", path.split('/').next()?),
        _ => return None,
    };
    Some(Address::new(instance, Some(account), kind, name))
}
