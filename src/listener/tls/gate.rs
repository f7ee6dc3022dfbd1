//! Who makes a request: the holder of the connection's certificate, or whoever signed the request's token.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use rustls::{Error, ServerConnection};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::UnixSeconds;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

use super::door::Visitor;
use crate::authn::bearer::{Bearer, Head, the_one};
use crate::authn::{self, Means};
use crate::clock::{Clock as _, SystemClock};
use crate::listener::grpc::MAX_OF_OTHERS;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::DoorMetrics;
use crate::tls::{Keeper, Peer};

/// What a token binds at most: one message, and what gRPC puts before it.
const MAX_BODY: usize = MAX_OF_OTHERS + 5;
/// How long a body may take to come, and how many are waited for at once: what is held of them is bounded by that.
const BODY_TIME: Duration = Duration::from_secs(10);
const BODIES: usize = 64;
/// How long, and for how much, somebody is listened to whose request was refused.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 << 10;

/// What is demanded of a client.
#[derive(Clone, Debug)]
pub struct Gate {
    keeper: Arc<Keeper>,
    tokens: Option<Tokens>,
}

#[derive(Clone, Debug)]
struct Tokens {
    bearer: Arc<Bearer>,
    bodies: Arc<Semaphore>,
}

impl Gate {
    /// A certificate.
    pub const fn of_certificates(keeper: Arc<Keeper>) -> Self {
        Self { keeper, tokens: None }
    }

    /// A token for each request.
    pub fn of_tokens(keeper: Arc<Keeper>, bearer: Arc<Bearer>) -> Self {
        let bodies = Arc::new(Semaphore::new(BODIES));
        Self {
            keeper,
            tokens: Some(Tokens { bearer, bodies }),
        }
    }

    /// What is counted here.
    pub(super) fn metrics(&self, metrics: &Metrics) -> DoorMetrics {
        match self.tokens {
            None => metrics.door(),
            Some(_) => metrics.bearer_door(),
        }
    }

    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Who is at the other end after a handshake; nobody yet, where tokens will say so.
    pub(super) fn peer(&self, connection: &ServerConnection) -> Result<Option<Peer>, Error> {
        match self.tokens {
            None => self.keeper.peer(connection).map(Some),
            Some(_) => Ok(None),
        }
    }

    /// Who makes this request, and the request to go on with.
    pub(super) async fn who(
        &self,
        visitor: &Visitor,
        request: Request<Body>,
    ) -> Result<(Caller, Request<Body>), Refusal> {
        match (&self.tokens, &visitor.peer) {
            (None, Some(peer)) => {
                let caller = self.by_certificate(visitor, peer)?;
                Ok((caller, meaning(request, of_certificate(peer))))
            }
            (None, None) => Err(Refusal::new(
                RefusalCode::CertificateRefused,
                "this connection has shown no certificate",
            )),
            (Some(tokens), _) => {
                let known = tokens.who(request).await;
                match &known {
                    Ok(_) => visitor.is_known(),
                    // A flood of them is counted, and neither logged nor put on record.
                    Err(refusal) => {
                        tracing::debug!(code = refusal.code.as_str(), "refused: {}", refusal.message)
                    }
                }
                known
            }
        }
    }

    fn by_certificate(&self, visitor: &Visitor, peer: &Peer) -> Result<Caller, Refusal> {
        let who = authn::certificate(peer.name());
        self.keeper.stands(peer).map_err(|error| {
            visitor.falls();
            tracing::warn!(subject = %who, code = RefusalCode::CertificateRefused.as_str(), %error, "refused");
            Refusal::new(
                RefusalCode::CertificateRefused,
                "the certificate of this connection does not stand any more; connect again with one that does",
            )
        })?;
        Ok(who)
    }

    /// A refusal to a client that speaks no gRPC.
    pub(super) fn plainly(&self, refusal: &Refusal) -> Response<Body> {
        let text = format!("{refusal}\n");
        match self.tokens {
            None => (StatusCode::FORBIDDEN, text).into_response(),
            // RFC 6750, section 3.
            Some(_) => {
                let challenge = HeaderValue::from_static("Bearer");
                (
                    StatusCode::UNAUTHORIZED,
                    [(header::WWW_AUTHENTICATE, challenge)],
                    text,
                )
                    .into_response()
            }
        }
    }
}

impl Tokens {
    async fn who(&self, request: Request<Body>) -> Result<(Caller, Request<Body>), Refusal> {
        let (mut head, body) = request.into_parts();
        let mut body = body.into_data_stream();
        match self.judge(&head, &mut body).await {
            Ok(((caller, means), whole)) => {
                // Nobody behind this has any use for it.
                head.headers.remove(header::AUTHORIZATION);
                let request = Request::from_parts(head, Body::from(whole));
                Ok((caller, meaning(request, means)))
            }
            Err(refusal) => {
                linger(&mut body).await;
                Err(refusal)
            }
        }
    }

    async fn judge(
        &self,
        head: &Parts,
        body: &mut BodyDataStream,
    ) -> Result<((Caller, Means), Vec<u8>), Refusal> {
        let headers = head.headers.get_all(header::AUTHORIZATION);
        let token = the_one(headers.iter().map(HeaderValue::as_bytes))?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let by_api_key = || self.bearer.by_api_key(token, SystemClock.unix_seconds());
        let shown = match by_api_key() {
            Some(known) => known.map(|_for_now| None)?,
            None => Some(self.bearer.of_head(
                token,
                Head {
                    method: head.method.as_str(),
                    path,
                    now: SystemClock.unix_seconds(),
                },
            )?),
        };
        let refused = |why: &str| Refusal::new(RefusalCode::TokenRefused, why);
        let reading = async {
            let _place = self.bodies.acquire().await;
            whole(body).await
        };
        let whole = timeout(BODY_TIME, reading)
            .await
            .map_err(|_elapsed| refused("the body took too long to come; its token is used up"))?
            .ok_or_else(|| {
                refused("the body ended early, or is longer than 1 MiB: no token is good for it")
            })?;
        let known = match shown {
            Some(shown) => self.bearer.of_body(shown, &whole)?,
            // Not bound to the body; but that took its time, and a revocation does not wait for it.
            None => by_api_key().ok_or_else(|| refused("this is no API key"))??,
        };
        Ok((known, whole))
    }
}

/// The request, with what its caller has shown.
fn meaning(mut request: Request<Body>, means: Means) -> Request<Body> {
    request.extensions_mut().insert(means);
    request
}

fn of_certificate(peer: &Peer) -> Means {
    Means::Certificate {
        fingerprint: peer.fingerprint(),
        ends: UnixSeconds(peer.ends()),
    }
}

/// The whole body; nothing, if it breaks off or is too long.
async fn whole(body: &mut BodyDataStream) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    while let Some(part) = body.next().await {
        let part = part.ok()?;
        if part.len() > MAX_BODY.saturating_sub(whole.len()) {
            return None;
        }
        whole.extend_from_slice(&part);
    }
    Some(whole)
}

/// What is on its way of a refused request is thrown away, within bounds: left unread it would become a reset of its stream, and
/// some clients look at that and not at the answer.
async fn linger(body: &mut BodyDataStream) {
    let reading = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(part)) = body.next().await {
            match left.checked_sub(part.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _there_or_not = timeout(LINGER, reading).await;
}
