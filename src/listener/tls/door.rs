//! Every request: who makes it, by the gate, and which half of the house it is for. Behind a certificate its body is not touched.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response, StatusCode, Version, header};
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
use crate::authn::Means;
use crate::authn::bearer::SKEW;
use crate::clock::{Clock as _, SystemClock};
use crate::listener::body::linger;
use crate::listener::grpc::Services;
use crate::listener::http::host;
use crate::listener::json::Json;
use crate::listener::{grpc, http, json};
use crate::telemetry::metrics::DoorMetrics;
use crate::telemetry::{Metrics, Readiness};
use crate::tls::Peer;

/// How long a request may take to be read and answered; a stream that is answered may go on.
const TIME: Duration = Duration::from_secs(60);

/// What a request is for, by its head alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grpc,
    /// Health and metrics.
    Probe,
    /// Everything else: a procedure in JSON, or nothing that there is.
    Json,
}

impl Kind {
    fn of<B>(request: &Request<B>) -> Self {
        let kind = request.headers().get(header::CONTENT_TYPE);
        match kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
            true => Self::Grpc,
            false if http::is_probe(request.uri().path()) => Self::Probe,
            false => Self::Json,
        }
    }
}

/// The parts of the house, and what they have in common.
#[derive(Clone)]
pub(super) struct Door {
    grpc: Router,
    json: Json,
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

    /// Whether what it showed for an answer that is held open still stands; a token, or an API key, does until it `ends`.
    fn stands(&self, gate: &Gate, ends: Option<UnixSeconds>) -> Result<(), Refusal> {
        match self.peer.as_ref().zip(gate.keeper()) {
            Some((peer, keeper)) => keeper.stands(peer).map_err(|error| {
                self.falls();
                tracing::warn!(subject = ?self.name(), code = RefusalCode::CertificateRefused.as_str(), %error, "a stream was ended");
                let why = "the certificate of this connection does not stand any more; connect again with one that does";
                Refusal::new(RefusalCode::CertificateRefused, why)
            }),
            None if ends.is_none_or(|ends| SystemClock.unix_seconds().0 > ends.0.saturating_add(SKEW)) => {
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
        let grpc = services.clone().routes_for_others().await;
        Self {
            json: Json::before(grpc.clone()),
            grpc,
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
        let kind = Kind::of(&request);
        if kind == Kind::Grpc && request.version() != Version::HTTP_2 {
            return (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "http_version: gRPC is spoken over HTTP/2\n",
            )
                .into_response();
        }
        if self.gate.is_plain() {
            if kind == Kind::Probe {
                // As on the socket for health and metrics, which is plain and on loopback too.
                return self.within(kind, request).await;
            }
            // Before its token is looked at: a page of a browser has none to be used up.
            if !host::names_this_machine(&request) {
                linger(&mut request.into_body().into_data_stream()).await;
                return wrong_host(kind);
            }
        }
        let (caller, mut request) = match self.gate.who(visitor, request).await {
            Ok(known) => known,
            Err(refusal) => {
                self.metrics.refused(refusal.code.as_str());
                return self.refused(kind, refusal);
            }
        };
        if kind == Kind::Probe {
            // It looks in the store which keys there are.
            let asked = telling::ask(&self.services, &caller, visitor.from, &mut request);
            match timeout(TIME, asked).await {
                Ok(Ok(())) => {}
                Ok(Err(refused)) => return *refused,
                Err(_elapsed) => return StatusCode::REQUEST_TIMEOUT.into_response(),
            }
        }
        let ends = request.extensions().get::<Means>().map(|means| means.ends);
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(grpc::From(visitor.from));
        if !self.gate.is_plain() {
            request.extensions_mut().insert(grpc::Private);
        }
        let response = self.within(kind, request).await;
        let (gate, visitor) = (self.gate.clone(), visitor.clone());
        grpc::while_standing(response, move || visitor.stands(&gate, ends))
    }

    /// Answers a request whose caller is known, or need not be.
    async fn within(&self, kind: Kind, request: Request<Body>) -> Response<Body> {
        let answering = async {
            let half = match kind {
                Kind::Json => return self.json.answer(request).await,
                Kind::Grpc => &self.grpc,
                Kind::Probe => &self.http,
            };
            match half.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        match timeout(TIME, answering).await {
            Ok(response) => response,
            Err(_elapsed) => match kind {
                Kind::Grpc => grpc::too_late(),
                Kind::Json => json::too_late(),
                Kind::Probe => StatusCode::REQUEST_TIMEOUT.into_response(),
            },
        }
    }

    fn refused(&self, kind: Kind, refusal: Refusal) -> Response<Body> {
        match kind {
            Kind::Grpc => grpc::refusal(refusal),
            Kind::Json => self.gate.challenging(json::refusal(refusal)),
            Kind::Probe => self.gate.plainly(&refusal),
        }
    }
}

fn wrong_host(kind: Kind) -> Response<Body> {
    match kind {
        Kind::Grpc => grpc::wrong_host(host::REFUSED),
        Kind::Json | Kind::Probe => json::wrong_host(host::REFUSED),
    }
}
