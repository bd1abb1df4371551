//! Servers that we did not write, started for one test: moto for AWS, Prism for Okta's and Google's descriptions.
//!
//! `tests/servers/install` puts them into `$ROLECALL_TEST_SERVERS` (default `target/servers`). Where they
//! are missing, a test says so through `skip` and passes, unless `ROLECALL_REQUIRE_SERVERS=1` forbids it.
//! A server belongs to the value that started it and ends with it.

#![expect(clippy::disallowed_methods, reason = "real processes are waited for in real time")]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rolecall::provider::{HttpTransport, Transport, TransportError};

/// Moto behind its counter: an empty AWS of its own for the test that starts it.
pub(crate) struct Moto {
    port: u16,
    _server: Server,
}

/// What the server counted since it started or was reset.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Counts {
    /// Every call, throttled and lost ones too.
    pub(crate) total: u64,
    /// Calls that changed something, by the name of their action.
    pub(crate) writes: u64,
    /// Calls refused by `--throttle-every`.
    pub(crate) throttled: u64,
    /// Writes that took effect unanswered, by `--lose-answer`.
    pub(crate) lost: u64,
    /// By `service:Action`, as in `iam:ListUsers`.
    pub(crate) calls: BTreeMap<String, u64>,
}

/// The line by which `moto_counted.py` says that it accepts connections.
#[derive(serde::Deserialize)]
struct Ready {
    port: u16,
}

impl Moto {
    /// Starts one for the test `name`, or says that the test is skipped. `options` are those of
    /// `moto_counted.py`: `--throttle-every K`, `--lose-answer N`.
    pub(crate) fn start(name: &str, options: &[&str]) -> Option<Self> {
        let servers = installed(name, "moto")?;
        let mut command = Command::new(servers.join("venv/bin/python"));
        command.arg(in_tests("moto_counted.py")).args(["0", "--with-parent"]).args(options);
        let mut server = Server::start(command);
        let log = server.logs("}\n").unwrap_or_else(|log| panic!("moto does not start:\n{log}"));
        let ready: Ready = log.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap();
        Some(Self { port: ready.port, _server: server })
    }

    /// For `AWS_ENDPOINT_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What came in so far.
    pub(crate) fn counts(&self) -> Counts {
        let answer = ask(&self.url(), "GET /__counts", "", "").unwrap();
        serde_json::from_str(body_of(&answer)).unwrap_or_else(|error| panic!("{error} in `{answer}`"))
    }

    /// Counts from zero again; the AWS stays as it is.
    pub(crate) fn reset(&self) {
        ask(&self.url(), "POST /__counts/reset", "", "").unwrap();
    }
}

/// Prism between a client and `upstream`: it passes everything on, and notes what breaks the description.
pub(crate) struct Prism {
    port: u16,
    server: Server,
}

/// What Prism noted in one run. It excuses nothing: what a test lets pass, the test says.
#[derive(Debug)]
pub(crate) struct Judged {
    /// How many exchanges went through it. A test asserts on this too: nothing sent is nothing broken.
    pub(crate) exchanges: usize,
    /// What broke the description, in Prism's words.
    pub(crate) violations: Vec<String>,
}

impl Prism {
    /// Starts one for the test `name`, or says that the test is skipped. `spec` is a file, `okta` or `google`.
    pub(crate) fn start(name: &str, spec: &str, upstream: &str) -> Option<Self> {
        let servers = installed(name, "prism")?;
        // Between choosing a free port and using it, another process may take it: then Prism ends at once.
        for _ in 0..5 {
            let port = free_port();
            let mut command = Command::new(in_tests("prism"));
            command.args([spec, upstream, &port.to_string()]).env("ROLECALL_TEST_SERVERS", &servers);
            let mut server = Server::start(command);
            match server.logs("Prism is listening") {
                Ok(_) => return Some(Self { port, server }),
                Err(log) => assert!(log.contains("EADDRINUSE"), "prism does not start:\n{log}"),
            }
        }
        panic!("prism found no free port in five attempts");
    }

    /// For the provider's `url:`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it and says what it noted; the client need not look at the header `sl-violations`.
    pub(crate) fn finish(mut self) -> Judged {
        // Nobody asks for this path: when the log has it, it has everything that went before.
        let end = "/the-end-of-the-run";
        ask(&self.url(), &format!("GET {end}"), "", "").unwrap();
        let log = self.server.logs(end).unwrap_or_else(|log| panic!("prism ended early:\n{log}"));
        judge(log.split(end).next().unwrap_or_default())
    }
}

fn judge(log: &str) -> Judged {
    let violations = log.lines().filter_map(|line| line.split_once("Violation: "));
    Judged {
        exchanges: log.matches("Forwarding \"").count(),
        violations: violations.map(|(_, violation)| violation.trim_end().to_owned()).collect(),
    }
}

/// Passes exchanges on and keeps what Prism says of them in the header `sl-violations`.
#[derive(Debug)]
pub(crate) struct Watching {
    network: HttpTransport,
    said: Mutex<Vec<Said>>,
}

/// What Prism says of one exchange.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) called: String,
    pub(crate) status: http::StatusCode,
    pub(crate) body: serde_json::Value,
    pub(crate) violation: serde_json::Value,
}

impl Watching {
    pub(crate) fn new() -> Self {
        Self { network: HttpTransport::new(1 << 20).unwrap(), said: Mutex::default() }
    }

    /// What was said since this was asked last.
    pub(crate) fn said(&self) -> Vec<Said> {
        std::mem::take(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, answered {} {}: {}", self.called, self.status, self.body, self.violation)
    }
}

#[async_trait]
impl Transport for Watching {
    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let called = format!("{} {}", request.method(), request.uri());
        let answer = self.network.call(request).await?;
        if let Some(said) = answer.headers().get("sl-violations") {
            let said: Vec<serde_json::Value> = serde_json::from_slice(said.as_bytes()).unwrap();
            let said = said.into_iter().map(|violation| Said {
                called: called.clone(),
                status: answer.status(),
                body: serde_json::from_slice(answer.body()).unwrap_or_default(),
                violation,
            });
            self.said.lock().unwrap_or_else(PoisonError::into_inner).extend(said);
        }
        Ok(answer)
    }
}

/// Says that the test `name` cannot run without what it `needs`, in a line that starts with `skipped: `.
///
/// The line goes around the test runner's capture, so plain `cargo test` shows it.
///
/// # Panics
/// Where `ROLECALL_REQUIRE_SERVERS=1` makes a skipped test a failed one.
pub(crate) fn skip(name: &str, needs: &str) {
    let required = std::env::var("ROLECALL_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
    assert!(!required, "{name} needs {needs}, and ROLECALL_REQUIRE_SERVERS=1 forbids skipping it");
    // A message that cannot be written is no reason to fail.
    let _ = writeln!(std::io::stderr().lock(), "skipped: {name} needs {needs}");
}

/// What Google publishes of its APIs, as Prism reads it; for a test that has a Prism.
pub(crate) fn google_description() -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder().join("google.json")).unwrap()).unwrap()
}

fn folder() -> PathBuf {
    let folder = std::env::var_os("ROLECALL_TEST_SERVERS").unwrap_or_else(|| "target/servers".into());
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// The folder with the servers, or `None` after saying that `name` is skipped.
fn installed(name: &str, server: &str) -> Option<PathBuf> {
    let folder = folder();
    // The installer writes this file last.
    if folder.join("stamp").exists() {
        return Some(folder);
    }
    skip(name, &format!("{server}: run `tests/servers/install`"));
    None
}

fn in_tests(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(file)
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// One request on a connection of its own to the server at `url`, and the whole answer. `request` is
/// `METHOD /path`, `header` whole lines.
fn ask(url: &str, request: &str, header: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.0\r\nHost: 127.0.0.1\r\n{header}Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// How long a server may take to say something on a busy machine; it is waited for by polling.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A child process whose words go to a file, and which is killed by its id when this value is dropped.
struct Server {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        // One open file for both streams: two would write over each other.
        let words = log.reopen().unwrap();
        let child = command
            // A pipe that closes with this process: `--with-parent` ends a server whose test was killed.
            .stdin(Stdio::piped())
            .stdout(words.try_clone().unwrap())
            .stderr(words)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, log }
    }

    /// Waits until it has said `words`, and gives all it said so far; as an error if it ended before.
    fn logs(&mut self, words: &str) -> Result<String, String> {
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            let ended = self.child.try_wait().unwrap().is_some();
            // Read after asking: what it said last must not be missed.
            let log = String::from_utf8_lossy(&std::fs::read(self.log.path()).unwrap()).into_owned();
            if log.contains(words) {
                return Ok(log);
            }
            if ended {
                return Err(log);
            }
            thread::sleep(POLL);
        }
        panic!("a server did not say `{words}` in {PATIENCE:?}; its log is {:?}", self.log.path().to_owned());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else that could be done about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn moto_counts_throttles_and_loses_answers() {
    let name = "servers::moto_counts_throttles_and_loses_answers";
    let Some(moto) = Moto::start(name, &["--lose-answer", "2", "--throttle-every", "3"]) else { return };
    let iam = |form: &str| {
        let signature = "Authorization: AWS4-HMAC-SHA256 Credential=AKIAX/20260101/us-east-1/iam/aws4_request\r\n\
                         Content-Type: application/x-www-form-urlencoded\r\n";
        ask(&moto.url(), "POST /", signature, &format!("Version=2010-05-08&{form}")).unwrap_or_default()
    };
    assert!(iam("Action=CreateUser&UserName=ann").contains("<UserName>ann</UserName>"));
    assert_eq!(iam("Action=CreateUser&UserName=bob"), "", "the second write is not answered");
    assert!(iam("Action=CreateUser&UserName=cid").contains("<Code>Throttling</Code>"));
    let listed = iam("Action=ListUsers");
    assert!(listed.contains("ann") && listed.contains("bob") && !listed.contains("cid"), "{listed}");

    let counts = moto.counts();
    assert_eq!((counts.total, counts.writes, counts.throttled, counts.lost), (4, 2, 1, 1), "{counts:?}");
    assert_eq!(
        counts.calls,
        BTreeMap::from([("iam:CreateUser".to_owned(), 3), ("iam:ListUsers".to_owned(), 1)])
    );
    moto.reset();
    assert_eq!(moto.counts().total, 0);
}

#[test]
fn prism_tells_a_wrong_answer_from_a_right_one() {
    let name = "servers::prism_tells_a_wrong_answer_from_a_right_one";
    let right = r#"[{"id": "00g1", "type": "OKTA_GROUP", "profile": {"name": "everyone"}}]"#;
    let wrong = r#"[{"id": "00g1", "type": "CLUB", "profile": {"name": "everyone"}}]"#;
    // One Prism for both: it takes seconds to read Okta's description.
    let Some(prism) = Prism::start(name, "okta", &answers_in_turn(vec![right, wrong])) else { return };
    for is_wrong in [false, true] {
        let answer =
            ask(&prism.url(), "GET /api/v1/groups?limit=200", "Authorization: SSWS 00x\r\n", "").unwrap();
        assert!(body_of(&answer).contains("00g1"), "{answer}");
        assert_eq!(answer.contains("sl-violations"), is_wrong, "{answer}");
    }
    let judged = prism.finish();
    assert_eq!((judged.exchanges, judged.violations.len()), (2, 1), "{judged:?}");
}

#[test]
fn prism_tells_googles_paths_apart() {
    let name = "servers::prism_tells_googles_paths_apart";
    let (group, policy, found) = (r#"{"groupKey":{"id":"x"}}"#, r#"{"bindings":[]}"#, r#"{"results":[]}"#);
    let exchanges = [
        ("/v1/groups/0x", group, false),
        ("/v1/groups:lookup?groupKey.id=x", group, true),
        ("/v1/billingAccounts/0:getIamPolicy?options.requestedPolicyVersion=3", policy, false),
        ("/v1/billingAccounts/0", policy, true),
        ("/v1/organizations/1:searchAllIamPolicies?assetTypes=a&assetTypes=b", found, false),
        ("/v1/organizations/1/assets?contentType=RESOURCE", found, true),
    ];
    let upstream = answers_in_turn(exchanges.map(|(_, json, _)| json).to_vec());
    let Some(prism) = Prism::start(name, "google", &upstream) else { return };
    for (target, json, is_wrong) in exchanges {
        let answer = ask(&prism.url(), &format!("GET {target}"), "Authorization: Bearer x\r\n", "").unwrap();
        assert!(body_of(&answer).contains(json), "{answer}");
        assert_eq!(answer.contains("sl-violations"), is_wrong, "{target}: {answer}");
    }
    let judged = prism.finish();
    assert_eq!((judged.exchanges, judged.violations.len()), (6, 3), "{judged:?}");
}

/// The address of a server that answers each request with the next JSON, and then with the first again, as long as the
/// tests run.
fn answers_in_turn(json: Vec<&'static str>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (mut stream, json) in listener.incoming().map_while(Result::ok).zip(json.into_iter().cycle()) {
            // The requests have no body, so one read gets what there is to read.
            let _ = stream.read(&mut [0; 4096]);
            let length = json.len();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{json}");
        }
    });
    address
}

#[test]
fn judge_counts_exchanges_and_excuses_nothing() {
    let judged = judge(
        "> Forwarding \"get\" request to x\n\
         [VALIDATOR] warning Violation: response Unable to match the returned status code: 200\n\
         [VALIDATOR] warning Violation: request Selected route not found\n\
         [VALIDATOR] error   Violation: response.body.0.id Response body property 0.id must be string\n",
    );
    assert_eq!((judged.exchanges, judged.violations.len()), (1, 3), "{judged:?}");
}
