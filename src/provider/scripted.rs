//! A transport for tests that answers from a list, or by a function of the request, and remembers what it was sent.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Transport, TransportError};

pub(crate) type Exchange = Result<http::Response<Bytes>, TransportError>;
type Respond = Box<dyn FnMut(&http::Request<Bytes>) -> Exchange + Send>;

pub(crate) struct Scripted {
    respond: Mutex<Respond>,
    sent: Mutex<Vec<http::Request<Bytes>>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

impl Scripted {
    pub(crate) fn new(answers: Vec<Exchange>) -> Self {
        let mut answers = VecDeque::from(answers);
        Self::by(move |request| answers.pop_front().unwrap_or_else(|| panic!("not expected: {request:?}")))
    }

    pub(crate) fn by(respond: impl FnMut(&http::Request<Bytes>) -> Exchange + Send + 'static) -> Self {
        Self {
            respond: Mutex::new(Box::new(respond)),
            sent: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    pub(crate) fn sent(&self) -> Vec<http::Request<Bytes>> {
        self.sent.lock().unwrap().clone()
    }

    /// What was sent, as `METHOD /path?query`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |request: &http::Request<Bytes>| {
            format!(
                "{} {}",
                request.method(),
                request.uri().path_and_query().map_or("", |target| target.as_str())
            )
        };
        self.sent().iter().map(line).collect()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn call(&self, request: http::Request<Bytes>) -> Exchange {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let exchange = (self.respond.lock().unwrap())(&request);
        self.sent.lock().unwrap().push(request);
        self.now.fetch_sub(1, Ordering::SeqCst);
        exchange
    }
}

pub(crate) fn answer(status: u16, body: &str) -> Exchange {
    Ok(http::Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap())
}
