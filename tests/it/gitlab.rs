//! A GitLab of our own, on loopback, as far as rolecall talks to one: merge requests with versions, commits, notes,
//! approvals; settings, groups, deployments, issues; what a job's token may not do; quick actions in what is written.
//!
//! Invariant: it answers as GitLab's API documentation says (v4, November 2026), pages small, and never asks the clock: times
//! are what a test says. It must not know what rolecall makes of its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};

mod quick_actions;

use quick_actions::commands;

/// The token of the pipeline's account.
pub(crate) const BOT_TOKEN: &str = "glpat-bot-0123456789";
/// A job's own token.
pub(crate) const JOB_TOKEN: &str = "glcbt-job-0123456789";
/// The pipeline's account.
pub(crate) const BOT: &str = "project_42_bot";
/// The project.
pub(crate) const PROJECT: &str = "acme/access";

/// A GitLab with one project.
pub(crate) struct Gitlab {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

/// What goes wrong with calls whose path holds a text.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This status, with a body of GitLab's, or of a proxy's.
    Status(u16),
    /// The connection ends without an answer.
    Reset,
    /// The body breaks off.
    Truncated,
    /// The next page is always another one.
    Endless,
}

/// What the project is and holds.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) requests: BTreeMap<u64, Request>,
    pub(crate) issues: Vec<Value>,
    /// Members of each group itself.
    pub(crate) groups: BTreeMap<String, Vec<Value>>,
    pub(crate) deployments: Vec<Value>,
    /// Where the pipeline is configured, as the project's settings say.
    pub(crate) pipeline: Value,
    /// The project's approval settings.
    pub(crate) settings: Value,
    pub(crate) faults: Vec<(String, Fault)>,
    /// Method, path and kind of token of each call.
    pub(crate) log: Vec<String>,
    /// Quick actions that were executed.
    pub(crate) executed: Vec<String>,
    /// When what is written is written.
    pub(crate) now: String,
    next: u64,
}

/// A merge request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) author: String,
    pub(crate) merged_as: Option<String>,
    pub(crate) commits: Vec<(String, String)>,
    pub(crate) versions: Vec<(String, String)>,
    /// Who approved and when.
    pub(crate) approvals: Vec<(String, String)>,
    /// Whether this GitLab is young enough to tell when somebody approved.
    pub(crate) tells_when: bool,
    pub(crate) notes: Vec<Value>,
}

impl Gitlab {
    pub(crate) fn start() -> Self {
        let state = State {
            requests: BTreeMap::new(),
            issues: Vec::new(),
            groups: BTreeMap::new(),
            deployments: Vec::new(),
            pipeline: json!("ci/access.yml@acme/pipelines"),
            settings: json!({
                "merge_requests_author_approval": false,
                "merge_requests_disable_committers_approval": true,
                "reset_approvals_on_push": true,
                "disable_overriding_approvers_per_merge_request": true,
            }),
            faults: Vec::new(),
            log: Vec::new(),
            executed: Vec::new(),
            now: "2026-11-22T10:00:00.000Z".to_owned(),
            next: 1,
        };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = state.clone();
        // It ends with the test's process, as the listener of a test may.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    /// What it holds, to be looked at and changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    /// A merge request with one commit, opened now.
    pub(crate) fn open(&mut self, author: &str, commit: &str, email: &str) -> u64 {
        let iid = u64::try_from(self.requests.len()).unwrap() + 1;
        let request = Request {
            author: author.to_owned(),
            merged_as: None,
            commits: vec![(commit.to_owned(), email.to_owned())],
            versions: vec![(commit.to_owned(), self.now.clone())],
            approvals: Vec::new(),
            tells_when: true,
            notes: Vec::new(),
        };
        self.requests.insert(iid, request);
        iid
    }

    /// Somebody pushes another commit to it, now.
    pub(crate) fn push(&mut self, iid: u64, by: &str, commit: &str, email: &str) {
        let now = self.now.clone();
        let request = self.requests.get_mut(&iid).unwrap();
        request.commits.push((commit.to_owned(), email.to_owned()));
        request.versions.push((commit.to_owned(), now));
        self.say(iid, by, "added 1 commit\n\n<ul><li>0123abcd - more</li></ul>", true);
    }

    /// Somebody approves it, now.
    pub(crate) fn approve(&mut self, iid: u64, by: &str) {
        let now = self.now.clone();
        self.requests.get_mut(&iid).unwrap().approvals.push((by.to_owned(), now));
        self.say(iid, by, "approved this merge request", true);
    }

    /// It is merged as a commit.
    pub(crate) fn merge(&mut self, iid: u64, commit: &str) {
        self.requests.get_mut(&iid).unwrap().merged_as = Some(commit.to_owned());
    }

    /// Somebody writes a note, or GitLab does in his name.
    pub(crate) fn say(&mut self, iid: u64, by: &str, body: &str, system: bool) -> Value {
        let note = json!({
            "id": self.next, "body": body, "author": user(by), "system": system, "resolvable": false, "type": null,
            "created_at": self.now, "updated_at": self.now,
        });
        self.next += 1;
        self.requests.get_mut(&iid).unwrap().notes.push(note.clone());
        if !system {
            self.execute(by, body, Some(iid));
        }
        note
    }

    fn execute(&mut self, by: &str, body: &str, iid: Option<u64>) {
        for command in commands(body) {
            if let (Some(iid), "approve") = (iid, command.as_str()) {
                self.approve(iid, by);
            }
            self.executed.push(format!("{by}: /{command}"));
        }
    }
}

/// A member of a group: a Developer.
pub(crate) fn member(name: &str) -> Value {
    let mut member = user(name);
    member["access_level"] = json!(30);
    member["membership_state"] = json!("active");
    member["expires_at"] = Value::Null;
    member
}

fn user(name: &str) -> Value {
    json!({ "id": name.len(), "username": name, "name": name, "state": "active" })
}

/// A call, taken apart.
struct Call {
    method: String,
    path: Vec<String>,
    query: BTreeMap<String, String>,
    token: Option<&'static str>,
    body: Value,
}

type Answer = (u16, Value, Vec<(&'static str, String)>);

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut length, mut token) = (0, None);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap_or(0) == 0 || header == "\r\n" {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "private-token" if value == BOT_TOKEN => token = Some("bot"),
            "job-token" if value == JOB_TOKEN => token = Some("job"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let call = Call {
        method: method.to_owned(),
        path: path.trim_start_matches("/api/v4/").split('/').map(decode).collect(),
        query: query.map(|(key, value)| (decode(key), decode(value))).collect(),
        token,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let mut state = state.lock().unwrap();
    state.log.push(format!("{method} {path} {}", token.unwrap_or("nobody")));
    let fault = state.faults.iter().find(|(part, _)| path.contains(part)).map(|(_, fault)| fault.clone());
    let (status, body, mut headers) = match &fault {
        Some(Fault::Reset) => return,
        Some(Fault::Status(status)) => {
            (*status, json!({ "message": format!("{status} something") }), Vec::new())
        }
        _ => answer(&mut state, &call),
    };
    if let Some(Fault::Endless) = fault {
        let page: u64 = call.query.get("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        headers.retain(|(name, _)| *name != "x-next-page");
        headers.push(("x-next-page", (page + 1).to_string()));
    }
    let text = body.to_string();
    let sent = if matches!(fault, Some(Fault::Truncated)) { &text[..text.len() / 2] } else { &text };
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", sent.len()));
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(sent.as_bytes());
}

fn refuse(status: u16, message: &str) -> Answer {
    (status, json!({ "message": message }), Vec::new())
}

fn found(value: Value) -> Answer {
    (200, value, Vec::new())
}

/// A page of a list, as GitLab pages: three at most here, so that lists have pages.
fn page(call: &Call, all: Vec<Value>) -> Answer {
    let asked =
        |name: &str, default: usize| call.query.get(name).and_then(|n| n.parse().ok()).unwrap_or(default);
    let (number, size) = (asked("page", 1), asked("per_page", 20).min(3));
    let more = all.len() > number * size;
    let next = if more { (number + 1).to_string() } else { String::new() };
    let headers =
        vec![("x-next-page", next), ("x-page", number.to_string()), ("x-total", all.len().to_string())];
    (200, all.into_iter().skip((number - 1) * size).take(size).collect(), headers)
}

fn answer(state: &mut State, call: &Call) -> Answer {
    let Some(token) = call.token else { return refuse(401, "401 Unauthorized") };
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let method = call.method.as_str();
    // What a job's own token may read; it writes nothing.
    let for_jobs = matches!(
        path.as_slice(),
        ["projects", _]
            | ["projects", _, "repository", "commits", _, "merge_requests"]
            | ["projects", _, "merge_requests", _]
            | ["projects", _, "merge_requests", _, "notes" | "commits" | "versions"]
    );
    if token == "job" && (!for_jobs || method != "GET") {
        return refuse(401, "401 Unauthorized");
    }
    if path.first() == Some(&"projects") && !matches!(path.get(1), Some(&PROJECT | &"42")) {
        return refuse(404, "404 Project Not Found");
    }
    match (method, path.as_slice()) {
        ("GET", ["user"]) => found(user(BOT)),
        ("GET", ["projects", _]) => found(
            json!({ "id": 42, "path_with_namespace": PROJECT, "ci_config_path": state.pipeline, "default_branch": "main" }),
        ),
        ("GET", ["projects", _, "approvals"]) => found(state.settings.clone()),
        ("GET", ["groups", group, "members", rest @ ..]) if state.groups.contains_key(*group) => {
            let of = |path: &str| state.groups.get(path).cloned().unwrap_or_default();
            let mut members = of(group);
            // Those of the groups above it as well.
            if *rest == ["all"] {
                members.extend(group.match_indices('/').flat_map(|(at, _)| of(&group[..at])));
            }
            page(call, members)
        }
        ("GET", ["projects", _, "repository", "commits", commit, "merge_requests"]) => {
            let of = |request: &Request| request.merged_as.as_deref() == Some(commit);
            let numbers: Vec<u64> =
                state.requests.iter().filter(|(_, request)| of(request)).map(|(iid, _)| *iid).collect();
            page(call, numbers.into_iter().map(|iid| merge_request(state, iid)).collect())
        }
        ("GET", ["projects", _, "deployments"]) => page(call, state.deployments.clone()),
        ("GET", ["projects", _, "deployments", id]) => {
            let id = id.parse::<u64>().ok();
            let is = |deployment: &&Value| deployment["id"].as_u64() == id;
            state
                .deployments
                .iter()
                .find(is)
                .map_or_else(|| refuse(404, "404 Not Found"), |one| found(one.clone()))
        }
        (_, ["projects", _, "issues", rest @ ..]) => issues(state, call, rest),
        (_, ["projects", _, "merge_requests", iid, rest @ ..]) => {
            let iid = iid.parse().unwrap_or(0);
            if state.requests.contains_key(&iid) {
                of_request(state, call, iid, rest)
            } else {
                refuse(404, "404 Not Found")
            }
        }
        _ => refuse(404, "404 Not Found"),
    }
}

fn merge_request(state: &State, iid: u64) -> Value {
    let request = &state.requests[&iid];
    let merged = request.merged_as.is_some();
    let (head, _) = request.versions.last().unwrap();
    json!({
        "iid": iid, "title": format!("Request {iid}"), "state": if merged { "merged" } else { "opened" },
        "author": user(&request.author), "created_at": request.versions[0].1,
        "merged_at": if merged { json!("2026-11-22T20:00:00.000Z") } else { Value::Null },
        "merge_user": if merged { user("klibby") } else { Value::Null },
        "sha": head, "merge_commit_sha": request.merged_as, "squash_commit_sha": null, "target_branch": "main",
        "web_url": format!("https://gitlab.example/{PROJECT}/-/merge_requests/{iid}"),
        "references": { "short": format!("!{iid}"), "full": format!("{PROJECT}!{iid}") },
        "diff_refs": { "base_sha": "base", "head_sha": head, "start_sha": "start" },
    })
}

fn of_request(state: &mut State, call: &Call, iid: u64, rest: &[&str]) -> Answer {
    let request = state.requests[&iid].clone();
    match (call.method.as_str(), rest) {
        ("GET", []) => found(merge_request(state, iid)),
        ("GET", ["versions"]) => {
            let versions = request.versions.iter().rev().map(|(commit, at)| {
                json!({ "id": 1, "head_commit_sha": commit, "base_commit_sha": "base", "created_at": at })
            });
            page(call, versions.collect())
        }
        ("GET", ["commits"]) => {
            let commits = request.commits.iter().rev().map(|(commit, email)| {
                json!({ "id": commit, "author_email": email, "committer_email": email, "title": "x" })
            });
            page(call, commits.collect())
        }
        ("GET", ["approvals"]) => {
            let approved = request.approvals.iter().map(|(by, at)| {
                let mut approved = json!({ "user": user(by) });
                if request.tells_when {
                    approved["approved_at"] = json!(at);
                }
                approved
            });
            found(
                json!({ "approvals_required": 0, "approvals_left": 0, "approved_by": approved.collect::<Vec<_>>() }),
            )
        }
        ("GET", ["notes"]) => page(call, request.notes),
        ("POST", ["notes"]) => {
            let body = call.body["body"].as_str().unwrap_or_default();
            if body.is_empty() || body.chars().count() > 1_000_000 {
                return refuse(400, "400 Bad request - Note is too long (maximum is 1000000 characters)");
            }
            (201, state.say(iid, BOT, body, false), Vec::new())
        }
        ("PUT", ["notes", id]) => {
            let (now, body) = (state.now.clone(), call.body["body"].clone());
            let notes = &mut state.requests.get_mut(&iid).unwrap().notes;
            let Some(note) = notes.iter_mut().find(|note| note["id"].as_u64() == id.parse().ok()) else {
                return refuse(404, "404 Note Not Found");
            };
            if note["author"]["username"] != BOT {
                return refuse(403, "403 Forbidden");
            }
            note["body"] = body.clone();
            note["updated_at"] = json!(now);
            let note = note.clone();
            state.execute(BOT, body.as_str().unwrap_or_default(), Some(iid));
            found(note)
        }
        ("POST", ["discussions"]) => {
            // Lines from 100 on are not in any diff here.
            if call.body["position"]["new_line"].as_u64().is_none_or(|line| line >= 100) {
                return refuse(400, "400 Bad request - Note {:line_code=>[\"can't be blank\"]}");
            }
            let mut note = state.say(iid, BOT, call.body["body"].as_str().unwrap_or_default(), false);
            note["type"] = json!("DiffNote");
            *state.requests.get_mut(&iid).unwrap().notes.last_mut().unwrap() = note.clone();
            (201, json!({ "id": "d1", "notes": [note] }), Vec::new())
        }
        _ => refuse(404, "404 Not Found"),
    }
}

fn issues(state: &mut State, call: &Call, rest: &[&str]) -> Answer {
    let text = |key: &str| call.body[key].as_str().unwrap_or_default().to_owned();
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let labels: BTreeSet<&str> =
                call.query.get("labels").map(|l| l.split(',').collect()).unwrap_or_default();
            let has = |issue: &&Value| {
                let own = issue["labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
                labels.is_subset(&own.collect())
            };
            page(call, state.issues.iter().filter(has).cloned().collect())
        }
        ("POST", []) => {
            let issue = json!({
                "iid": state.issues.len() + 1, "title": text("title"), "description": text("description"),
                "state": "opened", "author": user(BOT),
                "labels": text("labels").split(',').collect::<Vec<_>>(),
            });
            state.issues.push(issue.clone());
            state.execute(BOT, &text("description"), None);
            (201, issue, Vec::new())
        }
        ("PUT", [iid]) => {
            let Some(issue) = state.issues.iter_mut().find(|issue| issue["iid"].as_u64() == iid.parse().ok())
            else {
                return refuse(404, "404 Not Found");
            };
            for key in ["title", "description"] {
                if call.body.get(key).is_some() {
                    issue[key] = call.body[key].clone();
                }
            }
            if call.body["state_event"] == "close" {
                issue["state"] = json!("closed");
            }
            let issue = issue.clone();
            state.execute(BOT, &text("description"), None);
            found(issue)
        }
        _ => refuse(404, "404 Not Found"),
    }
}
