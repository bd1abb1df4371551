//! Our clock and transport in the shape that the SDK takes them, so that it runs in virtual time without sockets.
//!
//! Invariant: a request that may have reached the other side is told apart from one that never left.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_sdk_iam::config::{AsyncSleep, HttpClient, RuntimeComponents, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::provider::{Clock, Transport};

/// Our clock, as the SDK wants it.
#[derive(Debug, Clone)]
pub(super) struct OurTime(pub(super) Arc<dyn Clock>);

impl AsyncSleep for OurTime {
    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = self.0.clone();
        Sleep::new(Unshared(Mutex::new(Box::pin(async move { clock.sleep(duration).await }))))
    }
}

/// A future that is `Sync`, as the SDK wants it: it can be polled only by whoever has it alone.
struct Unshared(Mutex<BoxFuture<'static, ()>>);

impl Future for Unshared {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(context)
    }
}

impl TimeSource for OurTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}

/// Our transport, as the SDK wants it.
#[derive(Debug, Clone)]
pub(super) struct OurTransport(pub(super) Arc<dyn Transport>);

impl HttpClient for OurTransport {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for OurTransport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let transport = self.0.clone();
        HttpConnectorFuture::new(async move {
            let refuse = |why: BoxError| ConnectorError::user(why);
            let request = request.try_into_http1x().map_err(|error| refuse(error.into()))?;
            let (parts, body) = request.into_parts();
            let bytes =
                body.bytes().map(Bytes::copy_from_slice).ok_or_else(|| refuse("a streamed body".into()))?;
            let response =
                transport.call(http::Request::from_parts(parts, bytes)).await.map_err(|error| {
                    if error.maybe_sent {
                        ConnectorError::timeout(error.into())
                    } else {
                        ConnectorError::other(
                            error.into(),
                            Some(aws_config::retry::ErrorKind::TransientError),
                        )
                    }
                })?;
            HttpResponse::try_from(response.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
