//! Every request: who makes it, by the gate, and which half of the house it is for. Behind a certificate its body is not touched.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse as _;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::SubjectName;
use sigward_policies::model::id::UnixSeconds;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::gate::Gate;
use super::seats::Seat;
use super::telling;
use crate::authn::bearer::{MAX_LIFE, SKEW, Token, the_one};
use crate::clock::{Clock as _, SystemClock};
use crate::listener::grpc::Services;
use crate::listener::{grpc, http};
use crate::telemetry::metrics::DoorMetrics;
use crate::telemetry::{Metrics, Readiness};
use crate::tls::Peer;

/// How long a request may take to be read and answered; a stream that is answered may go on.
const TIME: Duration = Duration::from_secs(60);

/// The two halves, and what they have in common.
#[derive(Clone)]
pub(super) struct Door {
    grpc: Router,
    http: Router,
    services: Services,
    pub(super) gate: Gate,
    pub(super) metrics: DoorMetrics,
}

/// The client of one connection.
#[derive(Debug)]
pub(super) struct Visitor {
    /// Its certificate, where one was demanded.
    pub(super) peer: Option<Peer>,
    from: IpAddr,
    fallen: watch::Sender<bool>,
    known: watch::Sender<bool>,
    /// Its place; a stranger's until it is known.
    seat: Mutex<Seat>,
}

impl Visitor {
    pub(super) fn new(peer: Option<Peer>, from: IpAddr, seat: Seat) -> Self {
        Self {
            known: watch::Sender::new(peer.is_some()),
            peer,
            // A rule for 10.0.0.0/8 means ::ffff:10.0.0.1 too.
            from: from.to_canonical(),
            fallen: watch::Sender::new(false),
            seat: Mutex::new(seat),
        }
    }

    /// Whom its certificate names.
    pub(super) fn name(&self) -> Option<&SubjectName> {
        self.peer.as_ref().map(Peer::name)
    }

    /// Whether what it showed for an answer that is held open still stands; a token does until `ends`.
    fn stands(&self, gate: &Gate, ends: UnixSeconds) -> Result<(), Refusal> {
        match &self.peer {
            Some(peer) => gate.keeper().stands(peer).map_err(|error| {
                self.falls();
                tracing::warn!(subject = ?self.name(), code = RefusalCode::CertificateRefused.as_str(), %error, "a stream was ended");
                let why = "the certificate of this connection does not stand any more; connect again with one that does";
                Refusal::new(RefusalCode::CertificateRefused, why)
            }),
            None if SystemClock.unix_seconds() > ends => {
                let why = "the token of this request has ended, and what is held open by it; ask again with another one";
                Err(Refusal::new(RefusalCode::TokenRefused, why))
            }
            None => Ok(()),
        }
    }

    /// Its certificate stands no more.
    pub(super) fn falls(&self) {
        self.fallen.send_replace(true);
    }

    /// It has shown a good token.
    pub(super) fn is_known(&self) {
        if !self.known.send_replace(true) {
            self.seat
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_known();
        }
    }

    /// Waits until its certificate stands no more.
    pub(super) async fn has_fallen(&self) {
        let mut fallen = self.fallen.subscribe();
        // The sender lives as long as this value.
        let _fallen = fallen.wait_for(|fallen| *fallen).await;
    }

    /// Ends when nothing was proved for so long.
    pub(super) async fn stays_a_stranger(&self, patience: Duration) {
        let mut known = self.known.subscribe();
        if timeout(patience, known.wait_for(|known| *known)).await.is_ok() {
            std::future::pending().await
        }
    }
}

impl Door {
    pub(super) async fn new(
        services: Services,
        gate: Gate,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> Self {
        Self {
            grpc: services.clone().routes_for_others().await,
            services,
            metrics: gate.metrics(&metrics),
            gate,
            http: http::router_for_others(metrics, readiness),
        }
    }

    /// Answers one request of `visitor`.
    pub(super) async fn answer<B>(&self, visitor: &Arc<Visitor>, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request = request.map(Body::new);
        let is_grpc = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let half = match is_grpc {
            true if request.version() != Version::HTTP_2 => {
                return (
                    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                    "http_version: gRPC is spoken over HTTP/2\n",
                )
                    .into_response();
            }
            true => &self.grpc,
            false => &self.http,
        };
        let ends = token_ends(request.headers(), SystemClock.unix_seconds());
        let (caller, mut request) = match self.gate.who(visitor, request).await {
            Ok(known) => known,
            Err(refusal) => {
                self.metrics.refused(refusal.code.as_str());
                return match is_grpc {
                    true => grpc::refusal(refusal),
                    false => self.gate.plainly(&refusal),
                };
            }
        };
        if !is_grpc {
            // It looks in the store which keys there are.
            let asked = telling::ask(&self.services, &caller, visitor.from, &mut request);
            match timeout(TIME, asked).await {
                Ok(Ok(())) => {}
                Ok(Err(refused)) => return *refused,
                Err(_elapsed) => return StatusCode::REQUEST_TIMEOUT.into_response(),
            }
        }
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(grpc::From(visitor.from));
        match timeout(TIME, half.clone().oneshot(request)).await {
            Ok(Ok(response)) => {
                let (gate, visitor) = (self.gate.clone(), visitor.clone());
                grpc::while_standing(response, move || visitor.stands(&gate, ends))
            }
            Ok(Err(never)) => match never {},
            Err(_elapsed) if is_grpc => grpc::too_late(),
            Err(_elapsed) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    }
}

/// When the token of a request ends, whatever becomes of it: believed only once the gate has let it through. None lasts longer than the
/// longest; without one it is of no use to anybody.
fn token_ends(headers: &HeaderMap, now: UnixSeconds) -> UnixSeconds {
    let latest = now.0.saturating_add(MAX_LIFE);
    let shown = headers.get_all(header::AUTHORIZATION);
    let token = the_one(shown.iter().map(HeaderValue::as_bytes)).and_then(Token::parse);
    let claimed = token.map(|token| token.claims().expires);
    UnixSeconds(
        claimed
            .map_or(latest, |claimed| claimed.min(latest))
            .saturating_add(SKEW),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;
    use crate::authn::bearer::TYPE;

    #[test]
    fn what_is_held_open_by_a_token_ends_with_it_and_never_later_than_any_token() {
        let word = |text: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(text);
        let header = format!(r#"{{"alg":"EdDSA","typ":"{TYPE}","kid":"k"}}"#);
        let until = |expires: i64| {
            let claims = format!(
                r#"{{"iss":"ci","sub":"a","aud":"s","iat":0,"exp":{expires},"jti":"{}","htm":"POST","path":"/","body_sha256":"{}"}}"#,
                "j".repeat(22),
                word(&[0; 32])
            );
            let token = [word(header.as_bytes()), word(claims.as_bytes()), word(&[0; 64])].join(".");
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            headers.insert(header::AUTHORIZATION, value);
            token_ends(&headers, UnixSeconds(1000)).0
        };
        assert_eq!(until(1060), 1060 + SKEW);
        assert_eq!(until(i64::MAX), 1000 + MAX_LIFE + SKEW);
        assert_eq!(
            token_ends(&HeaderMap::new(), UnixSeconds(1000)).0,
            1000 + MAX_LIFE + SKEW
        );
    }
}
