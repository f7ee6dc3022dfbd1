//! Every request: does its certificate still stand, who is it, and which half of the house is it for. The request's body is not touched.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse as _;
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::caller::SubjectName;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::authn;
use crate::listener::{grpc, http};
use crate::telemetry::metrics::DoorMetrics;
use crate::telemetry::{Metrics, Readiness};
use crate::tls::{Keeper, Peer};

/// How long a request may take to be read and answered; a stream that is answered may go on.
const TIME: Duration = Duration::from_secs(60);

/// The two halves, and what they have in common.
#[derive(Clone)]
pub(super) struct Door {
    grpc: Router,
    http: Router,
    pub(super) keeper: Arc<Keeper>,
    pub(super) metrics: DoorMetrics,
}

/// The client of one connection.
#[derive(Debug)]
pub(super) struct Visitor {
    peer: Peer,
    from: IpAddr,
    fallen: watch::Sender<bool>,
}

impl Visitor {
    pub(super) fn new(peer: Peer, from: IpAddr) -> Self {
        Self {
            peer,
            // A rule for 10.0.0.0/8 means ::ffff:10.0.0.1 too.
            from: from.to_canonical(),
            fallen: watch::Sender::new(false),
        }
    }

    pub(super) const fn name(&self) -> &SubjectName {
        self.peer.name()
    }

    /// Waits until its certificate stands no more.
    pub(super) async fn has_fallen(&self) {
        let mut fallen = self.fallen.subscribe();
        // The sender lives as long as this value.
        let _fallen = fallen.wait_for(|fallen| *fallen).await;
    }
}

impl Door {
    pub(super) fn new(
        grpc: Router,
        keeper: Arc<Keeper>,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> Self {
        Self {
            grpc,
            keeper,
            metrics: metrics.door(),
            http: http::router_for_others(metrics, readiness),
        }
    }

    /// Answers one request of `visitor`.
    pub(super) async fn answer<B>(&self, visitor: &Visitor, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut request = request.map(Body::new);
        let is_grpc = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if let Err(error) = self.keeper.stands(&visitor.peer) {
            visitor.fallen.send_replace(true);
            self.metrics.refused(RefusalCode::CertificateRefused.as_str());
            let who = authn::certificate(visitor.name());
            tracing::warn!(subject = %who, code = RefusalCode::CertificateRefused.as_str(), %error, "refused");
            let refusal = Refusal::new(
                RefusalCode::CertificateRefused,
                "the certificate of this connection does not stand any more; connect again with one that does",
            );
            return match is_grpc {
                true => grpc::refusal(refusal),
                false => (StatusCode::FORBIDDEN, format!("{refusal}\n")).into_response(),
            };
        }
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
        request
            .extensions_mut()
            .insert(authn::certificate(visitor.name()));
        request.extensions_mut().insert(grpc::From(visitor.from));
        match timeout(TIME, half.clone().oneshot(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_elapsed) if is_grpc => grpc::too_late(),
            Err(_elapsed) => StatusCode::REQUEST_TIMEOUT.into_response(),
        }
    }
}
