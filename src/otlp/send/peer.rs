//! The far end: where it is, by what it proves itself, and a connection to it.

use std::io;

use hyper::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::config::OtlpConfig;
use crate::tls::{TlsError, Trust};

/// A connection, encrypted or on this machine.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A collector.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    host: String,
    port: u16,
    trust: Option<Trust>,
    /// Scheme, host and port.
    pub(super) origin: String,
    /// The rest, without a slash at its end.
    pub(super) path: String,
}

impl Peer {
    /// The collector of the configuration, which speaks `alpn`.
    pub(super) fn of(to: &OtlpConfig, alpn: &[u8]) -> Result<Self, TlsError> {
        // It was judged when it was read: what is missing here is in no such URL, and dials nowhere.
        let url = to.endpoint.as_str().parse::<Uri>().unwrap_or_default();
        let tls = to.endpoint.as_str().starts_with("https://");
        let (scheme, port) = if tls { ("https", 443) } else { ("http", 80) };
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let host = url.host().unwrap_or_default();
        let trust = tls.then(|| Trust::new(to.ca_file.as_deref(), alpn)).transpose()?;
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port_u16().unwrap_or(port),
            trust,
            origin: format!("{scheme}://{authority}"),
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Host, and port where it is named: what `host` says in a request.
    pub(super) fn authority(&self) -> &str {
        self.origin
            .split_once("://")
            .map_or("", |(_, authority)| authority)
    }

    pub(super) async fn connect(&self) -> io::Result<Box<dyn Wire>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let _best_effort = stream.set_nodelay(true);
        Ok(match &self.trust {
            None => Box::new(stream),
            Some(trust) => Box::new(trust.connect(&self.host, stream).await?),
        })
    }
}
