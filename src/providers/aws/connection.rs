//! The connection to one account: credentials, the check whose they are, counting, and what errors mean.
//!
//! Invariant: a [`Connection`] exists only after `GetCallerIdentity` named the account that settings name. The SDK
//! repeats nothing: reads are repeated here, writes only where they never left or were refused as too many. IAM takes no
//! tokens that would make a creation idempotent, so after a lost answer whoever asked looks first.
//! It must not know what is read or written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_iam::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_iam::config::{
    ConfigBag, Credentials, IdentityCache, Intercept, ProvideCredentials, RuntimeComponents,
    SharedAsyncSleep, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_iam::operation::RequestId;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use tokio::sync::OnceCell;

use crate::model::guard::Guard;
use crate::model::{Address, Attributes, Name, Value};
use crate::provider::clock::later;
use crate::provider::limiter::{ClosedUntil, Jitter, Limiter};
use crate::provider::send::{FIRST_PAUSE, LONGEST_PAUSE, presentable};
use crate::provider::{Caller, Clock, Effect, Error, ErrorKind, Pace, Transport};
use crate::providers::Wiring;

use super::transport::{OurTime, OurTransport};
use super::{Options, principal_of_arn};

/// How often a call that may be repeated is tried without an answer.
const ATTEMPTS: u32 = 5;
/// How long one call may take in all, throttles included.
const DEADLINE: Duration = Duration::from_secs(600);
/// The longest pause after a throttle: IAM does not say how long to wait, and forgets within seconds.
const LONGEST_THROTTLE: Duration = Duration::from_secs(20);
/// The bucket of all calls of one account: what IAM counts together is not documented further.
pub(super) const BUCKET: &str = "iam";
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// One account, not yet connected.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) instance: Name,
    pub(super) options: Options,
    pub(super) wiring: Wiring,
    connection: OnceCell<Connection>,
    line: Arc<Line>,
    calls: Arc<AtomicU64>,
    paths: Paths,
}

/// How calls are sent: none while the account is throttled, and again where that is safe.
#[derive(Debug)]
struct Line {
    clock: Arc<dyn Clock>,
    limiter: Limiter,
    jitter: Jitter,
}

impl Line {
    async fn send<T, E, F>(&self, reads: bool, call: impl Fn() -> F) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let deadline = later(self.clock.now(), DEADLINE);
        let (mut tries, mut throttles, mut throttled, mut late) = (0, 0, None, false);
        loop {
            let slot = self.limiter.acquire(BUCKET, deadline).await;
            let slot = slot.map_err(|ClosedUntil(_)| {
                let others = || Error::new(ErrorKind::Throttled, "AWS throttles this account for too long");
                throttled.take().unwrap_or_else(others)
            })?;
            let error = match call().await {
                Ok(answer) => {
                    slot.learn(http::StatusCode::OK, &http::HeaderMap::new(), self.clock.now());
                    return Ok(answer);
                }
                Err(error) => failed(error),
            };
            let unsure = !reads && error.effect == Effect::Unknown;
            let error = if unsure { error } else { Error { effect: Effect::None, ..error } };
            match error.kind {
                ErrorKind::Throttled if Guard::Throttle.holds() => {
                    throttles += 1;
                    let pause = self.jitter.pause(throttles, FIRST_PAUSE, LONGEST_THROTTLE);
                    slot.close(later(self.clock.now(), pause));
                    throttled = Some(error);
                }
                ErrorKind::Unreachable | ErrorKind::Malformed if !unsure && tries + 1 < ATTEMPTS => {
                    tries += 1;
                    drop(slot);
                    self.clock.sleep(self.jitter.pause(tries, FIRST_PAUSE, LONGEST_PAUSE)).await;
                }
                // Perhaps our clock is off: the client has now seen the server's, and signs by that one.
                ErrorKind::Auth if !late && error.code.as_deref() == Some("SignatureDoesNotMatch") => {
                    late = true;
                }
                _ => return Err(error),
            }
        }
    }
}

/// The paths of policies by name, as far as they were seen or made: their ARNs are made of them.
type Paths = Arc<Mutex<BTreeMap<String, String>>>;

/// One account whose credentials are known to be its own.
#[derive(Debug)]
pub(super) struct Connection {
    /// What makes requests; they are sent by [`Connection::read`] and [`Connection::write`].
    pub(super) iam: aws_sdk_iam::Client,
    line: Arc<Line>,
    /// The account's id.
    pub(super) account: Name,
    /// `aws`, or the partition of a government or China.
    pub(super) partition: String,
    caller: Caller,
    paths: Paths,
}

impl Connection {
    /// Reads.
    pub(super) async fn read<T, E, F>(&self, call: impl Fn() -> F) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        self.line.send(true, call).await
    }

    /// Writes. What may have taken effect is not sent again.
    pub(super) async fn write<T, E, F>(&self, call: impl Fn() -> F) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        self.line.send(false, call).await
    }

    /// The ARN of a policy of the account.
    pub(super) fn policy_arn(&self, name: &str) -> String {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let path = paths.get(name).map_or("/", String::as_str);
        format!("arn:{}:iam::{}:policy{path}{name}", self.partition, self.account)
    }

    /// The ARN of a policy of the account, or of AWS's own.
    pub(super) fn arn(&self, policy: &Address) -> String {
        if policy.instance() == "managed" {
            format!("arn:{}:iam::aws:policy/{}", self.partition, policy.name())
        } else {
            self.policy_arn(&policy.name())
        }
    }
}

impl Account {
    pub(super) fn new(instance: Name, options: Options, wiring: Wiring) -> Self {
        let (calls, paths) = (Arc::default(), Arc::default());
        let clock = wiring.clock.clone();
        let (limiter, jitter) = (Limiter::new(clock.clone(), 100, 0), Jitter::seeded(1));
        let line = Arc::new(Line { clock, limiter, jitter });
        Self { instance, options, wiring, connection: OnceCell::new(), line, calls, paths }
    }

    /// Remembers the paths of policies.
    pub(super) fn learn<'a>(&self, things: impl IntoIterator<Item = (&'a Address, &'a Attributes)>) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, attributes) in things {
            if address.kind() == "policy" && address.place() == &*self.place() {
                let path = attributes.get("path").and_then(Value::as_text).unwrap_or("/");
                paths.insert(address.name().into_owned(), path.to_owned());
            }
        }
    }

    /// `INSTANCE/ACCOUNT`: the place of all that is in it, and the scope of its coverage.
    pub(super) fn place(&self) -> Name {
        Address::new(&self.instance, Some(&self.options.account), "x", "x").place().into()
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// What is known of the account's limit.
    pub(super) fn pace(&self) -> Pace {
        self.line.limiter.pace(BUCKET)
    }

    pub(super) async fn caller(&self) -> Result<Caller, Error> {
        Ok(self.connection().await?.caller.clone())
    }

    /// Connects at the first use. A failure is not kept: credentials may come later.
    pub(super) async fn connection(&self) -> Result<&Connection, Error> {
        self.connection.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let mut config = match &self.wiring.transport {
            Some(transport) => self.through(transport.clone()),
            None => self.over_the_network().await,
        };
        if let Some(role) = &self.options.role {
            let assumed =
                AssumeRoleProvider::builder(role.value.as_str()).session_name("rolecall").configure(&config);
            let provider = SharedCredentialsProvider::new(assumed.build().await);
            config = config.into_builder().credentials_provider(provider).build();
        }
        let watch = Watch { calls: self.calls.clone(), simulated: self.wiring.transport.is_some() };
        let sts = aws_sdk_sts::config::Builder::from(&config).interceptor(watch.clone());
        let sts = aws_sdk_sts::Client::from_conf(sts.retry_config(RetryConfig::disabled()).build());
        let identity = match self.line.send(true, || sts.get_caller_identity().send()).await {
            Ok(identity) => identity,
            Err(error) => return Err(self.no_identity(&config, error).await),
        };
        let (account, arn) = (identity.account().unwrap_or_default(), identity.arn().unwrap_or_default());
        if account != self.options.account.value {
            let message = format!(
                "the credentials are of account `{account}` (`{arn}`), but `{}` is account `{}`; nothing else was called",
                self.instance, self.options.account.value
            );
            return Err(Error::new(ErrorKind::Auth, message));
        }
        let iam = aws_sdk_iam::config::Builder::from(&config).interceptor(watch);
        Ok(Connection {
            iam: aws_sdk_iam::Client::from_conf(iam.retry_config(RetryConfig::disabled()).build()),
            line: self.line.clone(),
            account: account.into(),
            partition: arn.split(':').nth(1).filter(|part| !part.is_empty()).unwrap_or("aws").to_owned(),
            paths: self.paths.clone(),
            caller: Caller {
                principal: principal_of_arn(&self.instance, arn),
                text: format!("`{arn}` in account `{account}`"),
            },
        })
    }

    /// Why nobody can say whose the credentials are: where no request was answered, perhaps because there are none.
    async fn no_identity(&self, config: &SdkConfig, error: Error) -> Error {
        if let Some(provider) = config.credentials_provider().filter(|_| error.code.is_none())
            && let Err(why) = provider.provide_credentials().await
        {
            let message = format!("there are no AWS credentials for `{}`: {}", self.instance, chain(&why));
            return Error::new(ErrorKind::Auth, message);
        }
        error
    }

    /// The vendor's own chain of credentials, endpoints and regions.
    async fn over_the_network(&self) -> SdkConfig {
        let region = self.options.region.as_ref().map(|region| Region::new(region.value.clone()));
        let region = RegionProviderChain::first_try(region).or_default_provider().or_else("us-east-1");
        aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
            .load()
            .await
    }

    /// No network and no time of its own: time-outs, too, would be virtual and fire at once.
    fn through(&self, transport: Arc<dyn Transport>) -> SdkConfig {
        let given = |name: &str, simulated: &str| {
            (self.wiring.credentials)(name).unwrap_or_else(|| simulated.to_owned())
        };
        let credentials = Credentials::new(
            given("AWS_ACCESS_KEY_ID", "AKIASIMULATED"),
            given("AWS_SECRET_ACCESS_KEY", "simulated"),
            (self.wiring.credentials)("AWS_SESSION_TOKEN"),
            None,
            "rolecall",
        );
        let region = self.options.region.as_ref().map_or("us-east-1", |region| region.value.as_str());
        let time = OurTime(self.wiring.clock.clone());
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .identity_cache(IdentityCache::no_cache())
            .http_client(OurTransport(transport))
            .sleep_impl(SharedAsyncSleep::new(time.clone()))
            .time_source(SharedTimeSource::new(time))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build()
    }
}

/// Counts every attempt, lets none go out in clear text but to this machine, and takes no answer for whole that breaks
/// off: the SDK reads half a page as a page with fewer things on it, and what is missing would seem to be gone.
#[derive(Debug, Clone)]
struct Watch {
    calls: Arc<AtomicU64>,
    simulated: bool,
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "rolecall"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = url::Url::parse(context.request().uri())?;
        let local = match target.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        if target.scheme() != "https" && !local && !self.simulated {
            return Err(format!(
                "`{}` is not encrypted; plain http goes only to this machine",
                target.origin().ascii_serialization()
            )
            .into());
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let whole = response.body().bytes().is_some_and(|body| body.trim_ascii_end().ends_with(b"Response>"));
        if response.status().is_success() && !whole {
            return Err("the answer breaks off".into());
        }
        Ok(())
    }
}

fn never_left(error: &ConnectorError) -> bool {
    error.is_user() || error.as_other().is_some()
}

/// What an error of the SDK means to us. The effect is that of a write; a read has none.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub(super) fn failed<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.code().map(str::to_owned);
    let request_id = error.request_id().map(str::to_owned);
    let (kind, maybe_done) = match &error {
        SdkError::ConstructionFailure(_) => (ErrorKind::Other, false),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(connector) if never_left(connector) => (ErrorKind::Unreachable, false),
            _ => (ErrorKind::Unreachable, true),
        },
        SdkError::TimeoutError(_) => (ErrorKind::Unreachable, true),
        SdkError::ServiceError(_) => {
            let kind = kind_of(code.as_deref(), status);
            (kind, kind == ErrorKind::Unreachable)
        }
        // An answer that cannot be read says nothing about what was done.
        _ => (ErrorKind::Malformed, true),
    };
    let message = presentable(&error.message().map_or_else(|| chain(&error), str::to_owned));
    let error = Error { code, request_id, ..Error::new(kind, message) };
    if maybe_done { error.maybe_done() } else { error }
}

/// The sources of an error, outermost first; `Display` only, since `Debug` holds bodies.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text
}

fn kind_of(code: Option<&str>, status: Option<u16>) -> ErrorKind {
    match code.unwrap_or_default() {
        "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidAccessKeyId"
        | "AuthFailure"
        | "RequestExpired" => ErrorKind::Auth,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "OptInRequired" => {
            ErrorKind::Denied
        }
        "NoSuchEntity" | "NoSuchEntityException" => ErrorKind::NotFound,
        "EntityAlreadyExists"
        | "DeleteConflict"
        | "ConcurrentModification"
        | "EntityTemporarilyUnmodifiable" => ErrorKind::Conflict,
        "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown"
        | "RequestThrottled" => ErrorKind::Throttled,
        "NotImplemented"
        | "UnmodifiableEntity"
        | "UnsupportedOperation"
        | "PolicyNotAttachable"
        | "InvalidAction" => ErrorKind::Unsupported,
        _ => match status {
            Some(429) => ErrorKind::Throttled,
            Some(403) => ErrorKind::Denied,
            Some(500..) => ErrorKind::Unreachable,
            _ => ErrorKind::Other,
        },
    }
}
