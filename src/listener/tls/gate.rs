//! Who makes a request: the holder of the connection's certificate, or whoever signed the request's token.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use rustls::{Error, ServerConnection};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::UnixSeconds;
use tokio::time::timeout;

use super::bodies::{self, Bodies};
use super::visitor::Visitor;
use crate::authn::bearer::{Bearer, Head, Shown, the_one};
use crate::authn::{self, Means};
use crate::clock::{Clock as _, SystemClock};
use crate::listener::body::{linger, whole};
use crate::listener::grpc::MAX_OF_OTHERS;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::DoorMetrics;
use crate::tls::{Keeper, Peer};

/// What a token binds at most: one message, and what gRPC puts before it.
const MAX_BODY: usize = MAX_OF_OTHERS + 5;

/// What is demanded of a client.
#[derive(Clone, Debug)]
pub struct Gate {
    /// What is shown to clients; none where there is no TLS.
    keeper: Option<Arc<Keeper>>,
    tokens: Option<Tokens>,
}

#[derive(Clone, Debug)]
struct Tokens {
    bearer: Arc<Bearer>,
    bodies: Arc<Bodies>,
    /// There is no TLS: what can be shown twice is not taken.
    in_the_clear: bool,
}

impl Gate {
    /// A certificate.
    pub const fn of_certificates(keeper: Arc<Keeper>) -> Self {
        Self {
            keeper: Some(keeper),
            tokens: None,
        }
    }

    /// A token for each request.
    pub fn of_tokens(keeper: Arc<Keeper>, bearer: Arc<Bearer>) -> Self {
        let bodies = Arc::default();
        Self {
            keeper: Some(keeper),
            tokens: Some(Tokens {
                bearer,
                bodies,
                in_the_clear: false,
            }),
        }
    }

    /// The same tokens, each once on both, for clients on this machine: without TLS, and only for requests that name this machine.
    #[must_use]
    pub fn in_the_clear(&self) -> Self {
        Self {
            keeper: None,
            tokens: self.tokens.clone().map(|tokens| Tokens {
                in_the_clear: true,
                ..tokens
            }),
        }
    }

    /// Whether there is no TLS.
    pub(super) const fn is_plain(&self) -> bool {
        self.keeper.is_none()
    }

    /// What is counted here.
    pub(super) fn metrics(&self, metrics: &Metrics) -> DoorMetrics {
        match self.tokens {
            None => metrics.door(),
            Some(_) => metrics.bearer_door(),
        }
    }

    /// Whether a token that let somebody in still counts.
    pub(super) fn stands(&self, shown: &Shown) -> Result<(), Refusal> {
        self.tokens
            .as_ref()
            .map_or(Ok(()), |tokens| tokens.bearer.stands(shown))
    }

    pub(super) fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_deref()
    }

    /// Who is at the other end after a handshake; nobody yet, where tokens will say so.
    pub(super) fn peer(&self, connection: &ServerConnection) -> Result<Option<Peer>, Error> {
        match (&self.tokens, &self.keeper) {
            (None, Some(keeper)) => keeper.peer(connection).map(Some),
            (Some(_), _) | (None, None) => Ok(None),
        }
    }

    /// Who makes this request, and the request to go on with.
    pub(super) async fn who(
        &self,
        visitor: &Visitor,
        request: Request<Body>,
    ) -> Result<(Caller, Request<Body>), Refusal> {
        match (&self.tokens, &self.keeper, &visitor.peer) {
            (None, Some(keeper), Some(peer)) => {
                let caller = by_certificate(keeper, visitor, peer)?;
                Ok((caller, meaning(request, of_certificate(peer))))
            }
            (None, _, _) => Err(Refusal::new(
                RefusalCode::CertificateRefused,
                "this connection has shown no certificate",
            )),
            (Some(tokens), _, _) => {
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

    /// A refusal to a client that asked for health or metrics.
    pub(super) fn plainly(&self, refusal: &Refusal) -> Response<Body> {
        let status = match self.tokens {
            None => StatusCode::FORBIDDEN,
            Some(_) => StatusCode::UNAUTHORIZED,
        };
        self.challenging((status, format!("{refusal}\n")).into_response())
    }

    /// An answer of 401, which says what would be let in (RFC 6750, section 3).
    pub(super) fn challenging(&self, mut answer: Response<Body>) -> Response<Body> {
        if self.tokens.is_some() && answer.status() == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

fn by_certificate(keeper: &Keeper, visitor: &Visitor, peer: &Peer) -> Result<Caller, Refusal> {
    let who = authn::certificate(peer.name());
    keeper.stands(peer).map_err(|error| {
        visitor.falls();
        tracing::warn!(subject = %who, code = RefusalCode::CertificateRefused.as_str(), %error, "refused");
        Refusal::new(
            RefusalCode::CertificateRefused,
            "the certificate of this connection does not stand any more; connect again with one that does",
        )
    })?;
    Ok(who)
}

impl Tokens {
    async fn who(&self, request: Request<Body>) -> Result<(Caller, Request<Body>), Refusal> {
        let (mut head, body) = request.into_parts();
        let mut body = body.into_data_stream();
        match self.judge(&head, &mut body).await {
            Ok(((caller, means), shown, whole)) => {
                // Nobody behind this has any use for it.
                head.headers.remove(header::AUTHORIZATION);
                if let Some(shown) = shown {
                    head.extensions.insert(shown);
                }
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
    ) -> Result<((Caller, Means), Option<Shown>, Vec<u8>), Refusal> {
        let headers = head.headers.get_all(header::AUTHORIZATION);
        let token = the_one(headers.iter().map(HeaderValue::as_bytes))?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let by_api_key = || self.bearer.by_api_key(token, SystemClock.unix_seconds());
        let refused = |why: &str| Refusal::new(RefusalCode::TokenRefused, why);
        let (who, shown) = match by_api_key() {
            // It counts until it is revoked, for whoever got to see it.
            Some(_) if self.in_the_clear => {
                return Err(refused(
                    "an API key is shown to a port with TLS, never in the clear",
                ));
            }
            Some(known) => (known?.0, None),
            None => {
                let shown = self.bearer.of_head(
                    token,
                    Head {
                        method: head.method.as_str(),
                        path,
                        now: SystemClock.unix_seconds(),
                    },
                )?;
                (shown.holder(), Some(shown))
            }
        };
        let reading = async {
            let _place = self.bodies.place(&who).await;
            whole(body, MAX_BODY).await
        };
        let whole = timeout(bodies::TIME, reading)
            .await
            .map_err(|_elapsed| refused("the body took too long to come; its token is used up"))?
            .map_err(|_cut| {
                refused("the body ended early, or is longer than 1 MiB: no token is good for it")
            })?;
        let known = match shown.clone() {
            Some(shown) => self.bearer.of_body(shown, &whole)?,
            // Not bound to the body; but that took its time, and a revocation does not wait for it.
            None => by_api_key().ok_or_else(|| refused("this is no API key"))??,
        };
        Ok((known, shown, whole))
    }
}

/// The request, with what its caller has shown.
fn meaning(mut request: Request<Body>, means: Means) -> Request<Body> {
    request.extensions_mut().insert(means);
    request
}

fn of_certificate(peer: &Peer) -> Means {
    Means {
        by: peer.authentication(),
        ends: UnixSeconds(peer.ends()),
    }
}
