//! AWS: who signs, which service and account is asked, and the Query protocol around the answers.
//!
//! Invariant: an account is reached only by credentials of its own. Signatures are looked at for their key, not
//! verified: there are no secrets here.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::exchange::Action;
use super::faults::Fault;
use super::keyed;
use super::order::{Moment, Order, Reply, Service};
use super::world::World;

mod dependents;
mod document;
mod entities;
mod holders;
mod iam;
mod lists;
mod policies;
mod query;
mod sweep;
mod trust;
mod xml;

#[cfg(test)]
mod tests;

pub(super) use iam::run as iam;

use query::Params;
use xml::Xml;

/// Sessions that AssumeRole gave, by access key. They end with the process, as sessions end with time.
pub(super) type Sessions = BTreeMap<String, Session>;

/// A session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    arn: String,
    until: Timestamp,
}

/// An error as AWS words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: u16,
    code: &'static str,
    message: String,
}

impl Problem {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    fn missing(message: impl Into<String>) -> Self {
        Self::new(404, "NoSuchEntity", message)
    }

    fn exists(message: impl Into<String>) -> Self {
        Self::new(409, "EntityAlreadyExists", message)
    }

    fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "DeleteConflict", message)
    }

    fn limit(message: impl Into<String>) -> Self {
        Self::new(409, "LimitExceeded", message)
    }

    /// The answer as XML.
    pub(super) fn reply(self, service: Service, moment: &Moment) -> Reply {
        let mut xml = Xml::default();
        let whose = if self.status < 500 { "Sender" } else { "Receiver" };
        xml.root("ErrorResponse", namespace(service), |xml| {
            xml.node("Error", |xml| {
                xml.leaf("Type", whose);
                xml.leaf("Code", self.code);
                xml.leaf("Message", &self.message);
            });
            xml.leaf("RequestId", &moment.request_id);
        });
        Reply::xml(self.status, xml.finish()).header("x-amzn-requestid", moment.request_id.clone())
    }
}

fn namespace(service: Service) -> &'static str {
    match service {
        Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "https://iam.amazonaws.com/doc/2010-05-08/",
    }
}

/// A result, wrapped as the Query protocol wants it; `None`: the action has none.
fn wrap(service: Service, action: &str, result: Option<&str>, moment: &Moment) -> Reply {
    let mut xml = Xml::default();
    xml.root(&format!("{action}Response"), namespace(service), |xml| {
        if let Some(result) = result {
            xml.node(&format!("{action}Result"), |xml| xml.raw(result));
        }
        xml.node("ResponseMetadata", |xml| xml.leaf("RequestId", &moment.request_id));
    });
    Reply::xml(200, xml.finish()).header("x-amzn-requestid", moment.request_id.clone())
}

/// The part of the signature's scope that names the key, and the part that names the service.
fn credential(authorization: &str) -> Option<(&str, &str)> {
    let scope = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?.split("Credential=").nth(1)?;
    let mut parts = scope.split(',').next()?.split('/');
    let key = parts.next().filter(|key| !key.is_empty())?;
    Some((key, parts.nth(2)?))
}

/// Which service is asked.
pub(super) fn service(authorization: &str, host: &str) -> Service {
    match credential(authorization) {
        Some((_, "sts")) => Service::Sts,
        Some(_) => Service::Iam,
        None if host.starts_with("sts.") => Service::Sts,
        None => Service::Iam,
    }
}

/// Who asks, as an ARN.
pub(super) fn caller(
    world: &World,
    sessions: &Sessions,
    authorization: &str,
    now: Timestamp,
) -> Result<String, Problem> {
    let refuse = |code, message: &str| Err(Problem::new(403, code, message));
    let Some((key, _)) = credential(authorization) else {
        return refuse("MissingAuthenticationToken", "Request is missing Authentication Token");
    };
    if let Some(session) = sessions.get(key) {
        return if session.until > now {
            Ok(session.arn.clone())
        } else {
            refuse("ExpiredToken", "The security token included in the request is expired")
        };
    }
    for (account, it) in &world.aws.accounts {
        if let Some(user) = it.users.values().find(|user| user.access_keys.contains(key)) {
            if user.inactive_keys.contains(key) {
                let message = "The security token included in the request is invalid.";
                return refuse("InvalidClientTokenId", message);
            }
            return Ok(format!("arn:aws:iam::{account}:user{}{}", user.path, user.name));
        }
    }
    if key.starts_with("ASIA") || world.aws.caller.is_empty() {
        return refuse("InvalidClientTokenId", "The security token included in the request is invalid.");
    }
    Ok(world.aws.caller.clone())
}

/// The answer to a signature whose time is too far from the server's. `signed` is as the request has it.
pub(super) fn out_of_time(signed: &str, service: Service, moment: &Moment) -> Option<Reply> {
    const FORM: &str = "%Y%m%dT%H%M%SZ";
    let minutes = if service == Service::Sts { 15 } else { 5 };
    let most = SignedDuration::from_mins(minutes);
    let at = jiff::civil::DateTime::strptime(FORM, signed).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let told = moment.told();
    let shown = |time: Timestamp| time.strftime(FORM).to_string();
    let message = if told.duration_since(at) > most {
        let (edge, now) = (shown(told.saturating_sub(most).ok()?), shown(told));
        format!("Signature expired: {signed} is now earlier than {edge} ({now} - {minutes} min.)")
    } else if at.duration_since(told) > most {
        let (edge, now) = (shown(told.saturating_add(most).ok()?), shown(told));
        format!("Signature not yet current: {signed} is still later than {edge} ({now} + {minutes} min.)")
    } else {
        return None;
    };
    Some(Problem::new(403, "SignatureDoesNotMatch", message).reply(service, moment))
}

/// What the order is called.
pub(super) fn action(order: &Order) -> Action {
    let action = Params::of(order).text("Action").unwrap_or("Unknown").to_owned();
    let service = if order.to == Service::Sts { "sts" } else { "iam" };
    let read = ["Get", "List", "AssumeRole", "Unknown"].iter().any(|start| action.starts_with(start));
    let list =
        action.starts_with("List") || action == "GetGroup" || action == "GetAccountAuthorizationDetails";
    Action { name: format!("{service}:{action}"), write: !read, list, bucket: "" }
}

/// What a fault says.
pub(super) fn fault(fault: Fault, order: &Order, moment: &Moment) -> Reply {
    let problem = match fault {
        Fault::Throttled | Fault::ThrottledSilently => Problem::new(400, "Throttling", "Rate exceeded"),
        Fault::Denied => denied(order),
        Fault::Unauthorized => Problem::new(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
        Fault::Status(503) => Problem::new(503, "ServiceUnavailable", "Service is temporarily unavailable"),
        Fault::Status(status) => Problem::new(status, "ServiceFailure", "We encountered an internal error"),
        _ => Problem::new(500, "ServiceFailure", "We encountered an internal error"),
    };
    problem.reply(order.to, moment)
}

fn denied(order: &Order) -> Problem {
    let action = action(order).name;
    let message = format!(
        "User: {} is not authorized to perform: {action} because no identity-based policy allows the {action} action",
        order.caller
    );
    Problem::new(403, "AccessDenied", message)
}

/// Carries an order to STS out.
pub(super) fn sts(world: &World, sessions: &mut Sessions, order: &Order, moment: &Moment) -> Reply {
    let params = Params::of(order);
    let action = params.text("Action").unwrap_or_default().to_owned();
    let result = match action.as_str() {
        "GetCallerIdentity" => Ok(identity(world, order)),
        "AssumeRole" => assume(world, sessions, order, &params, moment),
        _ => Err(unknown(&action)),
    };
    match result {
        Ok(xml) => wrap(Service::Sts, &action, Some(&xml), moment),
        Err(problem) => problem.reply(Service::Sts, moment),
    }
}

fn unknown(action: &str) -> Problem {
    Problem::new(400, "InvalidAction", format!("Could not find operation {action} for this version"))
}

fn identity(world: &World, order: &Order) -> String {
    let account = order.account();
    let name = order.caller.rsplit('/').next().unwrap_or_default();
    let it = world.aws.accounts.get(account);
    let id = match order.caller.split(':').nth(5).unwrap_or_default().split_once('/') {
        Some(("assumed-role", rest)) => {
            let role = rest.split('/').next().unwrap_or_default();
            let id = it.and_then(|it| it.roles.get(role)).map(|role| role.id.clone());
            format!("{}:{name}", id.unwrap_or_else(|| super::world::iam_id("AROA", account, role)))
        }
        Some(("user", _)) => {
            let id = it.and_then(|it| it.users.get(name)).map(|user| user.id.clone());
            id.unwrap_or_else(|| super::world::iam_id("AIDA", account, name))
        }
        _ => account.to_owned(),
    };
    let mut xml = Xml::default();
    xml.leaf("Arn", &order.caller);
    xml.leaf("UserId", &id);
    xml.leaf("Account", account);
    xml.finish()
}

fn assume(
    world: &World,
    sessions: &mut Sessions,
    order: &Order,
    params: &Params,
    moment: &Moment,
) -> Result<String, Problem> {
    let arn = params.need("RoleArn")?;
    let session = params.need("RoleSessionName")?;
    let seconds = params.number("DurationSeconds")?.unwrap_or(3600);
    let account = arn.split(':').nth(4).unwrap_or_default();
    let name = arn.rsplit('/').next().unwrap_or_default();
    let role = world.aws.accounts.get(account).and_then(|it| it.roles.get(name));
    let trusted = role.is_some_and(|role| trust::allows(&role.trust, &order.caller));
    if !trusted && !world.aws.open_roles.contains(arn) {
        let message =
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}", order.caller);
        return Err(Problem::new(403, "AccessDenied", message));
    }
    if !(900..=u64::from(role.and_then(|role| role.max_session).unwrap_or(3600))).contains(&seconds) {
        return Err(Problem::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let stamp = moment.now.to_string();
    let key = format!("ASIA{}", keyed::token(&[arn, session, &stamp], 16).to_ascii_uppercase());
    let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
    let length = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(3600));
    let until = moment.now.saturating_add(length).unwrap_or(Timestamp::MAX);
    let role_id = role.map_or_else(|| super::world::iam_id("AROA", account, name), |role| role.id.clone());
    let mut xml = Xml::default();
    xml.node("Credentials", |xml| {
        xml.leaf("AccessKeyId", &key);
        xml.leaf("SecretAccessKey", &keyed::token(&["secret", &key], 32));
        xml.leaf("SessionToken", &keyed::token(&["token", &key], 32));
        xml.leaf("Expiration", &iam::stamp(until.saturating_add(moment.ahead).ok()));
    });
    xml.node("AssumedRoleUser", |xml| {
        xml.leaf("AssumedRoleId", &format!("{role_id}:{session}"));
        xml.leaf("Arn", &arn);
    });
    sessions.insert(key, Session { arn, until });
    Ok(xml.finish())
}
