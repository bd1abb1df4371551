//! Google's REST APIs: Resource Manager, IAM, Cloud Identity, the directory, Cloud Asset, billing, Service Usage.
//!
//! Invariant: answers are valid against Google's discovery documents; lists come in pages behind opaque tokens.
//! All hosts are served alike, since no two of them have the same paths. It must not judge what the caller may do.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::exchange::Action;
use super::faults::Fault;
use super::keyed;
use super::order::{Moment, Order, Reply};
use super::world::{Gcp, World};

mod assets;
mod billing;
mod changes;
mod directory;
mod groups;
mod iam;
mod members;
mod operations;
mod page;
mod policies;
mod resources;
mod roles;
mod services;

#[cfg(test)]
mod tests;

pub(super) use operations::catch_up;

/// An order being carried out.
struct Context<'a> {
    /// Copied only where it is written to while someone else still looks at it.
    world: &'a mut Arc<World>,
    order: &'a Order,
    moment: &'a Moment,
}

/// An error as Google words it.
#[derive(Debug, Clone, PartialEq)]
struct Problem {
    code: u16,
    status: &'static str,
    reason: &'static str,
    message: String,
    details: Vec<Json>,
    /// Whether it is told as what came of an operation, which was begun.
    late: bool,
}

type Answer = Result<Reply, Problem>;

/// Words after a colon that say what is done.
const VERBS: [&str; 13] = [
    "batchEnable",
    "disable",
    "enable",
    "getIamPolicy",
    "lookup",
    "modifyMembershipRoles",
    "move",
    "search",
    "searchAllIamPolicies",
    "searchDirectGroups",
    "setIamPolicy",
    "testIamPermissions",
    "undelete",
];

/// Carries an order out, after what was due before.
pub(super) fn run(world: &mut Arc<World>, order: &Order, moment: &Moment) -> Reply {
    let then = moment.now.saturating_sub(moment.age).unwrap_or(moment.now);
    catch_up(world, then);
    let context = Context { world, order, moment };
    context.dispatch().unwrap_or_else(Problem::reply)
}

/// Whether a request is for Google.
pub(super) fn is_asked(host: &str, path: &str, authorization: &str) -> bool {
    let host = host.split(':').next().unwrap_or_default();
    authorization.starts_with("Bearer ")
        || host.ends_with(".googleapis.com")
        || ["/v1/", "/v3/", "/admin/directory/", "/oauth2/v2/"].iter().any(|start| path.starts_with(start))
}

/// The answer to a token that is none.
pub(super) fn refuse(authorization: &str, _moment: &Moment) -> Option<Reply> {
    let token = authorization.strip_prefix("Bearer ");
    token.is_none_or(|token| token.trim().is_empty()).then(|| Problem::unauthenticated().reply())
}

/// How far back what an order reads lies.
pub(super) fn behind(world: &World, order: &Order) -> Duration {
    if order.to != super::order::Service::Google {
        return Duration::ZERO;
    }
    let Path { words, verb } = Path::of(order);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let asset =
        verb == "searchAllIamPolicies" || matches!(words.as_slice(), ["v1", "organizations", _, "assets"]);
    Duration::from_secs(if asset { world.gcp.asset_lag_seconds } else { 0 })
}

/// The parts of a path, decoded, and the word after its colon.
struct Path {
    words: Vec<String>,
    verb: String,
}

impl Path {
    fn of(order: &Order) -> Self {
        let path = order.plain_path();
        let (path, verb) = match path.rsplit_once(':') {
            Some((path, verb)) if VERBS.contains(&verb) => (path, verb),
            _ => (path, ""),
        };
        let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
        let words = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        Self { words, verb: verb.to_owned() }
    }
}

/// What the order is called: ids are left out of its path.
pub(super) fn action(order: &Order) -> Action {
    let Path { mut words, verb } = Path::of(order);
    let start = match words.first().map(String::as_str) {
        Some("admin") => 3,
        Some("oauth2") => words.len(),
        _ => 1,
    };
    for at in (start + 1..words.len()).step_by(2) {
        let kept = words[at] == "-" || words[at - 1] == "locations";
        if !kept {
            words[at] = "{id}".to_owned();
        }
    }
    let last = words.last().map(String::as_str).unwrap_or_default();
    let whole = words.len() > start && (words.len() - start) % 2 == 1;
    let list = match verb.as_str() {
        "" => whole && !["billingInfo", "keys", "tokens"].contains(&last),
        "search" | "searchAllIamPolicies" | "searchDirectGroups" => true,
        _ => false,
    };
    let read = order.method == "GET" || ["getIamPolicy", "testIamPermissions"].contains(&verb.as_str());
    let colon = if verb.is_empty() { "" } else { ":" };
    let name = format!("{} /{}{colon}{verb}", order.method, words.join("/"));
    Action { name, write: !read, list: list && order.method == "GET", bucket: "" }
}

/// What a fault says.
pub(super) fn fault(fault: Fault, moment: &Moment) -> Reply {
    let problem = match fault {
        Fault::Throttled => throttled(moment.number),
        Fault::ThrottledSilently => Problem::new(429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", EXHAUSTED),
        Fault::Denied => Problem::denied(),
        Fault::Unauthorized => Problem::unauthenticated(),
        Fault::Status(503) => {
            Problem::new(503, "UNAVAILABLE", "backendError", "The service is currently unavailable.")
        }
        Fault::Status(504) => Problem::new(504, "DEADLINE_EXCEEDED", "deadlineExceeded", "Deadline expired."),
        Fault::Status(status) => {
            Problem::new(status, "INTERNAL", "backendError", "Internal error encountered.")
        }
        _ => Problem::new(500, "INTERNAL", "backendError", "Internal error encountered."),
    };
    problem.reply()
}

const EXHAUSTED: &str = "Resource has been exhausted (e.g. check quota).";

/// One call too many.
///
/// By API, and with time, Google says so in four ways; the directory's is 403 (November 2026):
/// <https://developers.google.com/workspace/admin/directory/v1/limits>,
/// <https://cloud.google.com/apis/design/errors#handling_errors>.
fn throttled(number: u64) -> Problem {
    let denied = |reason, message: &str| Problem::new(403, "PERMISSION_DENIED", reason, message);
    match number % 4 {
        0 => denied("rateLimitExceeded", "Rate Limit Exceeded"),
        1 => {
            let mut problem = Problem::new(429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", EXHAUSTED);
            problem.details = vec![
                json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
                    "domain": "googleapis.com", "metadata": {"quota_limit": "defaultPerMinutePerProject"}}),
                json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"}),
            ];
            problem
        }
        2 => denied("quotaExceeded", "Quota exceeded for quota group 'default'."),
        _ => denied("userRateLimitExceeded", "User Rate Limit Exceeded"),
    }
}

impl Problem {
    fn new(code: u16, status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, reason, message: message.into(), details: Vec::new(), late: false }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", "badRequest", message)
    }

    fn precondition(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", "failedPrecondition", message)
    }

    fn denied() -> Self {
        Self::new(403, "PERMISSION_DENIED", "forbidden", "The caller does not have permission")
    }

    fn missing(message: impl Into<String>) -> Self {
        Self::new(404, "NOT_FOUND", "notFound", message)
    }

    fn exists(message: impl Into<String>) -> Self {
        Self::new(409, "ALREADY_EXISTS", "alreadyExists", message)
    }

    fn aborted(message: impl Into<String>) -> Self {
        Self::new(409, "ABORTED", "aborted", message)
    }

    fn unauthenticated() -> Self {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.";
        Self::new(401, "UNAUTHENTICATED", "authError", message)
    }

    /// The same, told as what came of an operation.
    fn later(self) -> Self {
        Self { late: true, ..self }
    }

    /// The number that gRPC has for it.
    fn number(&self) -> u8 {
        match self.status {
            "INVALID_ARGUMENT" => 3,
            "NOT_FOUND" => 5,
            "ALREADY_EXISTS" => 6,
            "PERMISSION_DENIED" => 7,
            "FAILED_PRECONDITION" => 9,
            "ABORTED" => 10,
            _ => 13,
        }
    }

    /// The error as an operation has it.
    fn status(&self) -> Json {
        let mut status = json!({"code": self.number(), "message": self.message});
        if !self.details.is_empty() {
            status["details"] = self.details.clone().into();
        }
        status
    }

    fn reply(self) -> Reply {
        let errors = json!([{"message": self.message, "domain": "global", "reason": self.reason}]);
        let mut error =
            json!({"code": self.code, "message": self.message, "status": self.status, "errors": errors});
        if !self.details.is_empty() {
            error["details"] = self.details.into();
        }
        Reply::json(self.code, &json!({"error": error}))
    }
}

impl Context<'_> {
    fn gcp(&self) -> &Gcp {
        &self.world.gcp
    }

    fn gcp_mut(&mut self) -> &mut Gcp {
        &mut Arc::make_mut(self.world).gcp
    }

    fn dispatch(mut self) -> Answer {
        if self.gcp().organization.is_empty() {
            return Err(Problem::denied());
        }
        let Path { words, verb } = Path::of(self.order);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let method = self.order.method.as_str();
        match words.as_slice() {
            ["v3", rest @ ..] => self.resource_manager(method, rest, &verb),
            ["v1", "groups", rest @ ..] => self.identity(method, rest, &verb),
            ["v1", "billingAccounts", rest @ ..] => self.billing(method, rest, &verb),
            ["v1", "operations", id] if method == "GET" => self.read_operation(id),
            ["v1", "organizations" | "projects", ..] => self.iam(method, &words[1..], &verb),
            ["admin", "directory", "v1", "users", rest @ ..] => self.directory(method, rest),
            ["oauth2", "v2", "userinfo"] if method == "GET" => self.caller(),
            _ => Err(unknown()),
        }
    }

    /// Resource Manager, version 3.
    fn resource_manager(&mut self, method: &str, words: &[&str], verb: &str) -> Answer {
        match (method, words, verb) {
            ("POST", [kind @ ("organizations" | "folders" | "projects"), id], "getIamPolicy") => {
                self.read_policy(&format!("{kind}/{id}"))
            }
            ("POST", [kind @ ("organizations" | "folders" | "projects"), id], "setIamPolicy") => {
                self.set_policy(&format!("{kind}/{id}"))
            }
            ("GET", ["organizations"], "search") => self.search_organizations(),
            ("GET", ["organizations", id], "") => self.read_organization(id),
            ("GET", ["folders"], "search" | "") => self.list_folders(),
            ("GET", ["folders", id], "") => self.read_folder(id),
            ("GET", ["projects"], "search" | "") => self.list_projects(),
            ("GET", ["projects", id], "") => self.read_project(id),
            ("GET", ["operations", id], "") => self.read_operation(id),
            ("GET", ["liens"], "") => self.list_liens(),
            ("POST", ["liens"], "") => self.create_lien(),
            ("DELETE", ["liens", id], "") => self.delete_lien(id),
            ("POST" | "PATCH" | "DELETE", ["folders" | "projects", ..], _) => self.operate(),
            _ => Err(unknown()),
        }
    }

    /// The body as JSON; what is empty is an empty object.
    fn body(&self) -> Result<Json, Problem> {
        if self.order.body.trim().is_empty() {
            return Ok(json!({}));
        }
        let body: Option<Json> = serde_json::from_str(&self.order.body).ok();
        body.filter(Json::is_object).ok_or_else(|| Problem::invalid("Invalid JSON payload received."))
    }

    /// The fields that the request names to be changed, in the words of JSON; none: the mask is empty.
    fn mask(&self, body: &Json) -> Vec<String> {
        let asked = self.order.query("updateMask");
        let mask = asked.or_else(|| body["updateMask"].as_str().map(str::to_owned)).unwrap_or_default();
        mask.split(',').map(str::trim).filter(|field| !field.is_empty()).map(camel).collect()
    }
}

fn unknown() -> Problem {
    Problem::missing("Method not found.")
}

/// A field's name as JSON has it: `display_name` is `displayName`.
fn camel(field: &str) -> String {
    let mut words = field.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// A time as Google writes it; what the world does not tell was long ago.
fn stamp(time: Option<Timestamp>) -> String {
    time.unwrap_or(Timestamp::constant(1_577_836_800, 0)).to_string()
}

/// An etag made of anything.
fn etag(parts: &[&str]) -> String {
    use base64::Engine as _;
    let bytes = keyed::bytes(parts);
    base64::engine::general_purpose::STANDARD.encode(bytes.get(..8).unwrap_or_default())
}

/// Puts a text in where there is any: Google leaves out what is empty.
fn put(json: &mut Json, key: &str, text: &str) {
    if !text.is_empty() {
        json[key] = text.into();
    }
}

/// A text of a body.
fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_default()
}
