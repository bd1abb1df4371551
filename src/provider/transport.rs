//! The network as a [`Transport`]: TLS, time-outs, no redirects, and no way to where credentials must not go.
//!
//! Invariant: plain http reaches loopback only, and link-local and metadata addresses are never reached, by name neither.
//! It must not retry or know any vendor: that is `send`'s.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Transport, TransportError};

/// The network.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    /// To hosts elsewhere: https only, by the proxy that the environment names.
    outside: reqwest::Client,
    /// To this machine: never by a proxy.
    loopback: reqwest::Client,
    max_body: usize,
}

impl HttpTransport {
    /// A transport that reads answers of up to `max_body` bytes.
    pub fn new(max_body: usize) -> Result<Self, TransportError> {
        let client = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_secs(10))
                .timeout(Duration::from_secs(60))
                .dns_resolver(Arc::new(Guarded))
        };
        let outside = client().https_only(true).build().map_err(|error| unsent(describe(&error)))?;
        let loopback = client().no_proxy().build().map_err(|error| unsent(describe(&error)))?;
        Ok(Self { outside, loopback, max_body })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let here = may_be_called(request.uri())?;
        let client = if here { &self.loopback } else { &self.outside };
        let request = reqwest::Request::try_from(request).map_err(|error| unsent(describe(&error)))?;
        let mut response = client.execute(request).await.map_err(|error| TransportError {
            message: describe(&error),
            maybe_sent: !error.is_connect() && !error.is_builder(),
        })?;
        let mut answer = http::Response::new(Bytes::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        loop {
            let chunk = response.chunk().await;
            match chunk.map_err(|error| TransportError { message: describe(&error), maybe_sent: true })? {
                Some(chunk) if body.len() + chunk.len() > self.max_body => {
                    let message = format!("the answer has more than {} bytes", self.max_body);
                    return Err(TransportError { message, maybe_sent: true });
                }
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        *answer.body_mut() = body.freeze();
        Ok(answer)
    }
}

/// Whether a URL is on this machine; an error where it must not be called at all.
fn may_be_called(uri: &http::Uri) -> Result<bool, TransportError> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>().ok();
    if address.is_some_and(is_forbidden) {
        return Err(unsent(format!("`{host}` is a link-local or metadata address, which is never called")));
    }
    let here = is_loopback(host);
    match uri.scheme_str() {
        Some("https") => Ok(here),
        Some("http") if here => Ok(true),
        _ => Err(unsent(format!("`{host}` is not this machine, so it is called by https only"))),
    }
}

/// Whether a host is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Link-local, unspecified and multicast addresses, and those where clouds keep machine credentials.
fn is_forbidden(address: IpAddr) -> bool {
    const AWS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast()
                || address == ALIBABA
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address == AWS
        }
    }
}

/// Resolves names, but not to where nobody may go. `localhost` is this machine, whatever a name server says.
#[derive(Debug)]
struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed = allowed(&host, found);
            if allowed.is_empty() {
                return Err(format!("`{host}` leads to no address that may be called").into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn allowed(host: &str, mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    found.retain(|address| !is_forbidden(address.ip()) && (!is_loopback(host) || address.ip().is_loopback()));
    found
}

fn unsent(message: String) -> TransportError {
    TransportError { message, maybe_sent: false }
}

/// What went wrong and why, without the URL, whose query is nobody's business.
fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the exchange broke off"
    };
    let mut text = what.to_owned();
    let mut source = std::error::Error::source(error);
    // The innermost cause is what people can act on: `connection refused`, `invalid peer certificate`.
    let mut cause = None;
    while let Some(error) = source {
        cause = Some(error.to_string());
        source = error.source();
    }
    if let Some(cause) = cause {
        text.push_str(": ");
        text.push_str(&cause);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_35_plain_http_and_metadata_addresses_are_refused() {
        let call = |url: &str| may_be_called(&url.parse().unwrap());
        for url in [
            "http://acme.okta.com/",
            "http://10.0.0.1/",
            "https://169.254.169.254/latest",
            "http://169.254.169.254/",
            "https://[fe80::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[fd00:ec2::254]/",
            "https://0.0.0.0/",
        ] {
            let error = call(url).unwrap_err();
            assert!(!error.maybe_sent, "{url}");
        }
        assert_eq!(call("https://acme.okta.com/"), Ok(false));
        assert_eq!(call("http://127.0.0.1:8080/"), Ok(true));
        assert_eq!(call("http://[::1]:8080/"), Ok(true));
        assert_eq!(call("http://localhost/"), Ok(true));
    }

    #[test]
    fn invariant_35_a_name_that_leads_to_a_metadata_address_is_refused() {
        let bad: SocketAddr = "169.254.169.254:0".parse().unwrap();
        let good: SocketAddr = "203.0.113.7:0".parse().unwrap();
        assert_eq!(allowed("evil.example", vec![bad, good]), [good]);
        assert!(allowed("localhost", vec![good]).is_empty());
    }

    #[tokio::test]
    async fn a_refused_connection_was_not_sent() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let transport = HttpTransport::new(1000).unwrap();
        let request = http::Request::get(format!("http://127.0.0.1:{port}/")).body(Bytes::new()).unwrap();
        let error = transport.call(request).await.unwrap_err();
        assert!(!error.maybe_sent && error.message.starts_with("cannot connect"), "{error:?}");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_not_read() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n").await;
            let _ = stream.write_all(&[b'x'; 5000]).await;
        });
        let transport = HttpTransport::new(1000).unwrap();
        let request = http::Request::get(format!("http://{address}/")).body(Bytes::new()).unwrap();
        let error = transport.call(request).await.unwrap_err();
        assert!(error.maybe_sent && error.message.contains("more than 1000 bytes"), "{error:?}");
    }
}
