//! The simulator over HTTP, for clients in other processes and for protocol tests.
//!
//! Invariant: the world's time passes as it does outside while it is served.
//! It must listen on loopback only: there are no real credentials to check.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::Simulator;
use crate::provider::SystemClock;

/// No request that a client makes is larger.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// The machine's time: while others talk to the simulated world over a socket, its clock runs with theirs.
#[expect(clippy::disallowed_methods, reason = "real clients wait in real time")]
fn machine_time() -> Instant {
    Instant::now()
}

impl Simulator {
    /// Answers on a loopback listener until the future is dropped.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        if !listener.local_addr()?.ip().is_loopback() {
            return Err(io::Error::other("the simulator listens on loopback addresses only"));
        }
        let mut connections = tokio::task::JoinSet::new();
        let last = Arc::new(Mutex::new(machine_time()));
        loop {
            let (stream, _) = listener.accept().await?;
            while connections.try_join_next().is_some() {}
            let (simulator, last) = (self.clone(), Arc::clone(&last));
            connections.spawn(async move {
                let answer = service_fn(move |request| {
                    simulator.catch_up(&last);
                    let simulator = simulator.clone();
                    async move { simulator.answer_http(request).await }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                let connection = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a simulated connection ended early");
                }
            });
        }
    }

    /// Moves the world's clock as far as the machine's has moved since the request before.
    fn catch_up(&self, last: &Mutex<Instant>) {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = machine_time();
        self.clock().advance(now - std::mem::replace(&mut *last, now));
    }

    async fn answer_http(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Broken> {
        let (parts, body) = request.into_parts();
        let body =
            Limited::new(body, LARGEST_BODY).collect().await.map_err(|error| Broken(error.to_string()))?;
        let request = Request::from_parts(parts, body.to_bytes());
        // An error here closes the connection without an answer, which is what these faults are.
        let response = self.pass(&request, &SystemClock).await.map_err(|error| Broken(error.message))?;
        Ok(response.map(Full::new))
    }
}

/// Why a connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(String);
