//! One GET or POST over a connection of its own: no redirects, no cookies, no compression, a bound on what is read.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::http::request::Builder;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::MAX_ANSWER;
use super::error::{RpcCode, RpcError, printable};
use super::url::Url;
use crate::http1::{self, NoAnswer};
use crate::tls;

/// The body of an answer. JSON-RPC errors come with a status of 500 from most versions, and are answers too.
pub(super) async fn get(url: &Url, path_and_query: &str) -> Result<Bytes, RpcError> {
    let request = Request::get(format!("{}{path_and_query}", url.path)).header("accept", "application/json");
    let (status, body) = exchange(url, request, Bytes::new()).await?;
    let is_json = body.first() == Some(&b'{');
    if status.as_u16() == 200 || (status.is_server_error() && is_json) {
        Ok(body)
    } else {
        Err(refused(status, &body))
    }
}

/// Sends `body` to a URL, for whoever is to be told of something. Any status of success will do; what is answered is not read.
pub async fn post(url: &str, content_type: &str, body: String) -> Result<(), RpcError> {
    let url = Url::parse(url)?;
    let path = if url.path.is_empty() { "/" } else { &url.path };
    let request = Request::post(path).header("content-type", content_type);
    let (status, body) = exchange(&url, request, body.into()).await?;
    if status.is_success() {
        Ok(())
    } else {
        Err(refused(status, &body))
    }
}

fn refused(status: StatusCode, body: &[u8]) -> RpcError {
    let said = printable(&String::from_utf8_lossy(body), 100);
    RpcError::new(
        RpcCode::HttpStatus,
        format!("HTTP status {}: {said}", status.as_u16()),
    )
}

async fn exchange(url: &Url, request: Builder, body: Bytes) -> Result<(StatusCode, Bytes), RpcError> {
    let request = request
        .header("host", url.host_header())
        .header("user-agent", concat!("sigward/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(|error| RpcError::new(RpcCode::InvalidUrl, error.to_string()))?;
    let stream = TcpStream::connect((&*url.host, url.port))
        .await
        .map_err(unreachable)?;
    let _best_effort = stream.set_nodelay(true);
    if url.tls {
        let stream = tls::connect(&url.host, stream)
            .await
            .map_err(|error| RpcError::new(RpcCode::Tls, error.to_string()))?;
        ask(request, stream).await
    } else {
        ask(request, stream).await
    }
}

async fn ask<S>(request: Request<Full<Bytes>>, stream: S) -> Result<(StatusCode, Bytes), RpcError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answered = http1::exchange(request, stream, MAX_ANSWER).await;
    answered.map_err(|none| match none {
        NoAnswer::Broken(error) => unreachable(error),
        NoAnswer::TooLarge(_) => RpcError::new(RpcCode::TooLarge, none.to_string()),
    })
}

fn unreachable(error: impl std::error::Error) -> RpcError {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        said.push_str(": ");
        said.push_str(&inner.to_string());
        cause = inner.source();
    }
    RpcError::new(RpcCode::Unreachable, printable(&said, 300))
}
