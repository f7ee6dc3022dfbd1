//! A channel whose every call carries a token of its own, or an API key: what is sent is read whole, signed, and sent on.
//!
//! The clients of the services want a plain channel; so the signing stands between two of them, on a stream in this very process.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Request, Response, header};
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::ServiceExt as _;

use super::client::alert_in;
use crate::authn::bearer::Mint;
use crate::clock::{Clock as _, SystemClock};

/// Bytes in flight between the two.
const PIPE: usize = 64 * 1024;
/// More than the other side takes: it says so better than we could.
const MAX_BODY: usize = 16 << 20;

/// What to say where a token or a key was shown to who wants a certificate.
const ANOTHER_PORT: &str = "this port wants a certificate: tokens and API keys are shown at the port of [listen.bearer]; who wants to show a certificate leaves out --token-key and --api-key, and unsets SIGWARD_TOKEN_KEY";

/// What is shown with each call.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// A token that is made for it.
    Token(Arc<Mint>),
    /// An API key; the value is marked as a secret.
    ApiKey(HeaderValue),
}

/// `to`, where each call shows something.
pub(super) async fn signed(to: Channel, shown: Shown) -> anyhow::Result<Channel> {
    let (client, server) = tokio::io::duplex(PIPE);
    let service = tower::service_fn(move |request| {
        let (to, shown) = (to.clone(), shown.clone());
        async move {
            let answer = sign_and_send(to, &shown, request).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|status| status.into_http()))
        }
    });
    tokio::spawn(async move {
        let mut builder = Builder::new(TokioExecutor::new()).http2_only();
        builder.http2().max_concurrent_streams(64);
        // It ends with its client, which is this very command.
        let _ended = builder
            .serve_connection(TokioIo::new(server), TowerToHyperService::new(service))
            .await;
    });
    let mut client = Some(TokioIo::new(client));
    let connector = tower::service_fn(move |_: Uri| {
        let client = client.take();
        async move { client.ok_or_else(|| std::io::Error::other("the connection to the server has ended")) }
    });
    let endpoint = Endpoint::from_static("http://signed.sigward");
    Ok(endpoint.connect_with_connector(connector).await?)
}

async fn sign_and_send<B>(to: Channel, shown: &Shown, request: Request<B>) -> Result<Response<Body>, Status>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<StdError>,
{
    let (mut head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body
        .map_err(|error| Status::internal(format!("the request could not be read: {error}")))?
        .to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let bearer = match shown {
        Shown::ApiKey(bearer) => bearer.clone(),
        Shown::Token(mint) => {
            let token = mint
                .token(head.method.as_str(), path, &body, SystemClock.unix_seconds())
                .map_err(|error| Status::internal(format!("no token: {error}")))?;
            bearer(&token).map_err(|error| Status::internal(format!("no token: {error}")))?
        }
    };
    head.headers.insert(header::AUTHORIZATION, bearer);
    let request = Request::from_parts(head, Body::new(Full::new(body)));
    to.oneshot(request).await.map_err(|error| {
        let error: StdError = error.into();
        // A status that goes through a channel loses its cause: what TLS said is told here (RFC 8446, section 6.2).
        match alert_in(error.as_ref()) {
            Some(alert) => Status::unauthenticated(format!("certificate_refused: {alert}\n{ANOTHER_PORT}")),
            None => Status::from_error(error),
        }
    })
}

/// `text` as it stands in a header, marked so that nothing prints it.
pub(super) fn bearer(text: &str) -> anyhow::Result<HeaderValue> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {text}"))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}
