//! Every request: who makes it, by the gate, and which half of the house it is for. Behind a certificate its body is not touched.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse as _;
use sigward_policies::model::caller::SubjectName;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::gate::Gate;
use super::seats::Seat;
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
    pub(super) gate: Gate,
    pub(super) metrics: DoorMetrics,
}

/// The client of one connection.
#[derive(Debug)]
pub(super) struct Visitor {
    /// Its certificate, where one was demanded.
    pub(super) peer: Option<Peer>,
    from: IpAddr,
    /// Whether nobody between us reads along.
    encrypted: bool,
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
            encrypted: false,
            fallen: watch::Sender::new(false),
            seat: Mutex::new(seat),
        }
    }

    /// The same, behind TLS.
    pub(super) fn encrypted(self) -> Self {
        Self {
            encrypted: true,
            ..self
        }
    }

    /// Whom its certificate names.
    pub(super) fn name(&self) -> Option<&SubjectName> {
        self.peer.as_ref().map(Peer::name)
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
    pub(super) fn new(grpc: Router, gate: Gate, metrics: Arc<Metrics>, readiness: Readiness) -> Self {
        Self {
            grpc,
            metrics: gate.metrics(&metrics),
            gate,
            http: http::router_for_others(metrics, readiness),
        }
    }

    /// Answers one request of `visitor`.
    pub(super) async fn answer<B>(&self, visitor: &Visitor, request: Request<B>) -> Response<Body>
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
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(grpc::From(visitor.from));
        if visitor.encrypted {
            request.extensions_mut().insert(grpc::Private);
        }
        match timeout(TIME, half.clone().oneshot(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_elapsed) if is_grpc => grpc::too_late(),
            Err(_elapsed) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    }
}
