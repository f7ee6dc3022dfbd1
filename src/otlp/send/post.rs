//! OTLP/HTTP, in Protobuf: one POST over a connection of its own. No redirects, no cookies, no compression.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use prost::Message as _;
use sigward_proto::otlp::{ExportRequest, ExportResponse};

use super::collector::{MOST_ANSWER, NotSent, whole};
use super::peer::Peer;
use crate::http1;

/// Where traces go, unless the configuration has a path ("OTLP/HTTP Request").
const PATH: &str = "/v1/traces";

#[derive(Debug)]
pub(super) struct Post(Peer);

impl Post {
    pub(super) const fn new(peer: Peer) -> Self {
        Self(peer)
    }

    pub(super) async fn bring(
        &self,
        said: &ExportRequest,
        headers: HeaderMap,
    ) -> Result<ExportResponse, NotSent> {
        let later = |error: &dyn std::error::Error| NotSent::Later(whole(error));
        let path = match self.0.path.as_str() {
            "" => PATH,
            path => path,
        };
        let mut request = Request::post(path)
            .header("host", self.0.authority())
            .header("content-type", "application/x-protobuf")
            .header("user-agent", concat!("sigward/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(said.encode_to_vec())))
            .map_err(|error| later(&error))?;
        request.headers_mut().extend(headers);
        let stream = self.0.connect().await.map_err(|error| later(&error))?;
        let answered = http1::exchange(request, stream, MOST_ANSWER).await;
        let (status, body) = answered.map_err(|none| later(&none))?;
        judge(status, body)
    }
}

/// What may be tried again is as OTLP has it ("OTLP/HTTP Response", retryable response codes).
fn judge(status: StatusCode, body: Bytes) -> Result<ExportResponse, NotSent> {
    let why = || format!("HTTP status {}", status.as_u16());
    match status.as_u16() {
        // What it did not want it may say; whoever says nothing that can be read has taken all of it.
        200..=299 => Ok(ExportResponse::decode(body).unwrap_or_default()),
        429 | 502..=504 => Err(NotSent::Later(why())),
        _ => Err(NotSent::Never(why())),
    }
}
