//! Okta's management API: groups, their members and rules, users.
//!
//! Invariant: answers are valid against Okta's published description; lists come in pages behind opaque cursors.
//! It must not do what Okta refuses: built-in and app groups are not edited, rules' members not removed by hand.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::exchange::Action;
use super::faults::Fault;
use super::keyed;
use super::limits::Window;
use super::order::{Moment, Order, Reply};
use super::world::{Okta, World};

mod filter;
mod groups;
mod rules;
mod users;

#[cfg(test)]
mod tests;

/// An order being carried out.
struct Context<'a> {
    /// Copied only where it is written to while someone else still looks at it.
    world: &'a mut Arc<World>,
    order: &'a Order,
    moment: &'a Moment,
}

/// An error as Okta words it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    status: u16,
    code: &'static str,
    summary: String,
    causes: Vec<String>,
}

type Answer = Result<Reply, Problem>;

/// Carries an order out.
pub(super) fn run(world: &mut Arc<World>, order: &Order, moment: &Moment) -> Reply {
    let context = Context { world, order, moment };
    context.dispatch().unwrap_or_else(|problem| problem.reply(moment))
}

/// What the order is called: ids are left out of its path.
pub(super) fn action(order: &Order) -> Action {
    let segments = segments(order);
    let mut words: Vec<&str> = segments.iter().map(String::as_str).collect();
    let bucket = match words.as_slice() {
        ["groups"] => "groups",
        ["groups", "rules"] => "other",
        ["groups", _] => "group",
        ["users"] => "users",
        ["users", _] => "user",
        ["apps", ..] => "apps",
        _ => "other",
    };
    let list = matches!(
        words.as_slice(),
        ["groups"] | ["users"] | ["groups", "rules"] | ["groups", _, "users"] | ["users", _, "groups"]
    );
    let users = words.first() == Some(&"users");
    let mut ids = vec![1, 3];
    if let ["groups", "rules", ..] = words.as_slice() {
        ids = vec![2];
    }
    for at in ids {
        if let Some(word) = words.get_mut(at)
            && *word != "me"
        {
            // Of `/users/{id}/lifecycle/suspend` the last word is what is done.
            if !(at == 3 && users) {
                *word = "{id}";
            }
        }
    }
    let name = format!("{} /{}", order.method, words.join("/"));
    let write = order.method != "GET";
    Action { name, write, list: list && !write, bucket }
}

/// The parts of the path after `/api/v1`, decoded.
fn segments(order: &Order) -> Vec<String> {
    let path = order.plain_path();
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    path.split('/').filter(|part| !part.is_empty()).map(decode).collect()
}

/// The answer to a token that is none.
pub(super) fn refuse(authorization: &str, moment: &Moment) -> Option<Reply> {
    let token = authorization.strip_prefix("SSWS ").or_else(|| authorization.strip_prefix("Bearer "));
    if token.is_some_and(|token| !token.trim().is_empty()) {
        return None;
    }
    Some(Problem::new(401, "E0000011", "Invalid token provided").reply(moment))
}

/// What a fault says.
pub(super) fn fault(fault: Fault, moment: &Moment) -> Reply {
    let problem = match fault {
        Fault::Throttled => {
            let window = Window { limit: 600, left: None, reset: moment.now.as_second() + 30 };
            return with_headers(throttled(), window, moment);
        }
        Fault::ThrottledSilently => return throttled(),
        Fault::Denied => Problem::denied(),
        Fault::Unauthorized => Problem::new(401, "E0000011", "Invalid token provided"),
        Fault::Status(503) => Problem::new(503, "E0000010", "Service is in read only mode"),
        Fault::Status(status) => Problem::new(status, "E0000009", "Internal Server Error"),
        _ => Problem::new(500, "E0000009", "Internal Server Error"),
    };
    problem.reply(moment)
}

/// The answer to one call too many, still without headers.
pub(super) fn throttled() -> Reply {
    let summary = "API call exceeded rate limit due to too many requests.";
    let body = json!({"errorCode": "E0000047", "errorSummary": summary, "errorLink": "E0000047", "errorId": "oae0throttled", "errorCauses": []});
    Reply::json(429, &body)
}

/// The answer to one call too many at once. The first two headers are zero then, and the third is a guess.
pub(super) fn crowded(moment: &Moment) -> Reply {
    let window = Window { limit: 0, left: None, reset: moment.now.as_second() + 60 };
    with_headers(throttled(), window, moment)
}

/// With what Okta adds to each answer.
pub(super) fn with_headers(reply: Reply, window: Window, moment: &Moment) -> Reply {
    let left = match moment.fault {
        Some(Fault::WrongCounts) => window.limit,
        _ => window.left.unwrap_or(0),
    };
    reply
        .header("x-okta-request-id", moment.request_id.clone())
        .header("x-rate-limit-limit", window.limit.to_string())
        .header("x-rate-limit-remaining", left.to_string())
        .header("x-rate-limit-reset", (window.reset + moment.ahead.as_secs()).to_string())
}

impl Problem {
    fn new(status: u16, code: &'static str, summary: impl Into<String>) -> Self {
        Self { status, code, summary: summary.into(), causes: Vec::new() }
    }

    fn missing(id: &str, kind: &str) -> Self {
        Self::new(404, "E0000007", format!("Not found: Resource not found: {id} ({kind})"))
    }

    fn denied() -> Self {
        Self::new(403, "E0000006", "You do not have permission to perform the requested action")
    }

    fn invalid(field: &str, cause: impl Into<String>) -> Self {
        let summary = format!("Api validation failed: {field}");
        Self { status: 400, code: "E0000001", summary, causes: vec![cause.into()] }
    }

    fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    fn reply(self, moment: &Moment) -> Reply {
        let causes: Vec<Json> = self.causes.iter().map(|cause| json!({"errorSummary": cause})).collect();
        let error_id = format!("oae{}", keyed::token(&["error", &moment.request_id], 17));
        let body = json!({"errorCode": self.code, "errorSummary": self.summary, "errorLink": self.code, "errorId": error_id, "errorCauses": causes});
        Reply::json(self.status, &body)
    }
}

impl Context<'_> {
    fn okta(&self) -> &Okta {
        &self.world.okta
    }

    fn okta_mut(&mut self) -> &mut Okta {
        &mut Arc::make_mut(self.world).okta
    }

    fn dispatch(mut self) -> Answer {
        let segments = segments(self.order);
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (self.order.method.as_str(), words.as_slice()) {
            ("GET", ["groups"]) => self.list_groups(),
            ("POST", ["groups"]) => self.create_group(),
            ("GET", ["groups", "rules"]) => self.list_rules(),
            ("POST", ["groups", "rules"]) => self.create_rule(),
            ("GET", ["groups", "rules", id]) => self.read_rule(id),
            ("PUT", ["groups", "rules", id]) => self.update_rule(id),
            ("DELETE", ["groups", "rules", id]) => self.delete_rule(id),
            ("POST", ["groups", "rules", id, "lifecycle", step]) => self.turn_rule(id, step),
            ("GET", ["groups", id]) => self.read_group(id),
            ("PUT", ["groups", id]) => self.update_group(id),
            ("DELETE", ["groups", id]) => self.delete_group(id),
            ("GET", ["groups", id, "users"]) => self.list_members(id),
            ("PUT", ["groups", id, "users", user]) => self.add_member(id, user),
            ("DELETE", ["groups", id, "users", user]) => self.remove_member(id, user),
            ("GET", ["users"]) => self.list_users(),
            ("POST", ["users"]) => self.create_user(),
            ("GET", ["users", id]) => self.read_user(id),
            ("POST", ["users", id]) => self.update_user(id, true),
            ("PUT", ["users", id]) => self.update_user(id, false),
            ("DELETE", ["users", id]) => self.delete_user(id),
            ("GET", ["users", id, "groups"]) => self.list_groups_of(id),
            ("POST", ["users", id, "lifecycle", step]) => self.turn_user(id, step),
            ("DELETE", ["users", id, "sessions"]) => self.end_sessions(id),
            ("GET", ["org"]) => Ok(self.read_org()),
            (_, ["groups" | "users" | "org", ..]) => {
                Err(Problem::new(405, "E0000022", "The endpoint does not support the provided HTTP method"))
            }
            _ => Err(Problem::new(404, "E0000008", "The requested path was not found")),
        }
    }

    fn body(&self) -> Result<Json, Problem> {
        serde_json::from_str(&self.order.body)
            .map_err(|_| Problem::new(400, "E0000003", "The request body was not well-formed."))
    }

    /// How many items this page may hold, and the key that it comes after.
    fn window(&self, default: usize, most: usize) -> Result<(usize, Option<String>), Problem> {
        let limit = match self.order.query("limit") {
            Some(text) => {
                text.parse::<usize>().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
                    Problem::invalid("limit", format!("limit: must be between 1 and {most}"))
                })?
            }
            None => default,
        };
        let after = match self.order.query("after") {
            Some(cursor) => {
                Some(open(&cursor).ok_or_else(|| Problem::invalid("after", "after: invalid cursor"))?)
            }
            None => None,
        };
        Ok((limit.min(self.world.page_size), after))
    }

    /// A page of `items`, which are those after the cursor, with their keys.
    fn page<'a, T: Serialize>(&self, size: usize, items: impl Iterator<Item = (&'a str, T)>) -> Reply {
        let mut items = items.peekable();
        let size = match self.moment.fault {
            Some(Fault::ShortPage) => size.div_ceil(2),
            Some(Fault::HollowPage | Fault::EmptyList) => 0,
            _ => size,
        };
        let mut page = Vec::new();
        let mut last = "";
        while page.len() < size
            && let Some((key, item)) = items.next()
        {
            last = key;
            page.push(item);
        }
        let link = |rel: &str, query: &str| {
            let path = self.order.plain_path();
            let mark = if query.is_empty() { "" } else { "?" };
            format!("<{}{path}{mark}{query}>; rel=\"{rel}\"", self.moment.base)
        };
        let query = self.order.path.split_once('?').map_or("", |(_, query)| query);
        let mut reply = Reply::json(200, &page).header("link", link("self", query));
        let own = self.order.query("after");
        let next = match (self.moment.fault, own) {
            (Some(Fault::EmptyList), _) => None,
            (Some(Fault::RepeatedCursor), Some(own)) => Some(own),
            _ if items.peek().is_none() => None,
            // Another cursor to the same place.
            (Some(Fault::HollowPage), own) => Some(own.unwrap_or_default() + "."),
            _ => Some(close(last)),
        };
        if let Some(next) = next {
            let others = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
            let after = format!("after={next}");
            let query: Vec<&str> = [after.as_str()].into_iter().chain(others).collect();
            reply = reply.header("link", link("next", &query.join("&")));
        }
        reply
    }

    fn read_org(&self) -> Reply {
        let stamp = stamp(None);
        Reply::json(
            200,
            &json!({
                "id": format!("00o{}", keyed::token(&["org", &self.okta().token_owner], 17)), "companyName": "Simulated",
                "subdomain": "simulated", "status": "ACTIVE", "created": stamp, "lastUpdated": stamp,
                "_links": {"organization": {"href": format!("{}/api/v1/org", self.moment.base)}}
            }),
        )
    }
}

/// A cursor that says nothing to clients.
fn close(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn open(cursor: &str) -> Option<String> {
    let digits = cursor.trim_end_matches('.').as_bytes().chunks(2).map(|pair| {
        std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    });
    String::from_utf8(digits.collect::<Option<Vec<u8>>>()?).ok()
}

/// An object of a few entries.
struct Object<T, const N: usize>([(&'static str, T); N]);

impl<T: Serialize, const N: usize> Serialize for Object<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// How Okta writes times.
const WITH_MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A time as Okta writes it; what the world does not tell was long ago.
fn stamp(time: Option<Timestamp>) -> String {
    let time = time.unwrap_or(Timestamp::constant(1_577_836_800, 0));
    WITH_MILLISECONDS.timestamp_to_string(&time)
}
