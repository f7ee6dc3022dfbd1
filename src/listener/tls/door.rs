//! Every request: who makes it, by the gate, and which half of the house it is for. Behind a certificate its body is not touched
//! before somebody asks for it, and then comes in as [`Arriving`] lets it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response, StatusCode, Version, header};
use axum::response::IntoResponse as _;
use sigward_policies::decision::{Failure, FailureCode, Refusal, Refused};
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::arriving::Arriving;
use super::bodies::Bodies;
use super::gate::Gate;
use super::leaving::{Room, Rooms, Whole};
use super::telling;
use super::visitor::Visitor;
use crate::authn::Means;
use crate::authn::bearer::Shown;
use crate::config::DoorBounds;
use crate::listener::body::linger;
use crate::listener::grpc::Services;
use crate::listener::http::host;
use crate::listener::json::Json;
use crate::listener::{grpc, http, json};
use crate::telemetry::metrics::DoorMetrics;
use crate::telemetry::spans::Spans;
use crate::telemetry::{Metrics, Readiness};

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

/// What a request is answered with.
enum Answer {
    /// It is whole, and there is room for it. None, where nothing was done: it is small.
    Whole(Response<Body>, Option<Room>),
    /// It is made as it is read.
    HeldOpen(Response<Body>),
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self::Whole(response, None)
    }
}

/// The parts of the house, and what they have in common.
#[derive(Clone)]
pub(super) struct Door {
    grpc: Router,
    json: Json,
    http: Router,
    services: Services,
    /// Of those behind certificates.
    bodies: Arc<Bodies>,
    rooms: Arc<Rooms>,
    pub(super) bounds: DoorBounds,
    pub(super) gate: Gate,
    pub(super) metrics: DoorMetrics,
}

impl Door {
    pub(super) async fn new(
        services: Services,
        gate: Gate,
        bounds: DoorBounds,
        (metrics, readiness): (Arc<Metrics>, Readiness),
    ) -> Self {
        let grpc = services.clone().routes_for_others().await;
        Self {
            json: Json::before(grpc.clone()),
            grpc,
            services,
            bodies: Arc::default(),
            rooms: Arc::default(),
            bounds,
            metrics: gate.metrics(&metrics),
            gate,
            http: http::router_for_others(metrics, readiness),
        }
    }

    /// Where what becomes of its requests is told.
    pub(super) const fn spans(&self) -> &Spans {
        &self.services.spans
    }

    /// Answers one request of `visitor`.
    pub(super) async fn answer<B>(&self, visitor: &Arc<Visitor>, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request = request.map(Body::new);
        let kind = Kind::of(&request);
        let (mut answer, mut room) = match self.answer_to(visitor, kind, request).await {
            Answer::HeldOpen(response) => return response,
            Answer::Whole(response, room) => (Whole::of(response).await, room),
        };
        if room.as_mut().is_some_and(|room| !answer.fits(room)) {
            let why = "there is no room for this answer, as others of this connection, of this caller or of all wait to be taken; what was asked for may have been done: take them, and look";
            (answer, room) = (Whole::of(self.busy(kind, why)).await, None);
        }
        answer.leave(room, &visitor.untaken)
    }

    /// What is answered, before it leaves.
    async fn answer_to(&self, visitor: &Arc<Visitor>, kind: Kind, mut request: Request<Body>) -> Answer {
        if kind == Kind::Grpc && request.version() != Version::HTTP_2 {
            return (
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "http_version: gRPC is spoken over HTTP/2\n",
            )
                .into_response()
                .into();
        }
        if self.gate.is_plain() {
            let ours = host::names_this_machine(&request);
            if kind == Kind::Probe && (ours || http::is_yes_or_no(request.uri())) {
                // A probe may come by another name, and so may a page of a browser: it hears no name of a chain or a node.
                if !ours {
                    request.extensions_mut().insert(http::YesOrNo);
                }
                let Some(room) = self.rooms.room(None, &visitor.untaken) else {
                    return self.no_room(kind, request).await;
                };
                return Answer::Whole(self.within(kind, request).await, Some(room));
            }
            // Before its token is looked at: a page of a browser has none to be used up.
            if !ours {
                linger(&mut request.into_body().into_data_stream()).await;
                return wrong_host(kind).into();
            }
        }
        let (caller, mut request) = match self.gate.who(visitor, request).await {
            Ok(known) => known,
            Err(refusal) => {
                self.metrics.refused(refusal.code.as_str());
                return self.refused(kind, refusal).into();
            }
        };
        let Some(room) = self.rooms.room(Some(&caller), &visitor.untaken) else {
            return self.no_room(kind, request).await;
        };
        let is_whole = kind != Kind::Grpc || self.json.is_unary(request.uri().path());
        if kind == Kind::Probe {
            // It looks in the store which keys there are.
            let asked = telling::ask(&self.services, &caller, visitor.from, &mut request);
            match timeout(TIME, asked).await {
                Ok(Ok(())) => {}
                Ok(Err(refused)) => return (*refused).into(),
                Err(_elapsed) => return StatusCode::REQUEST_TIMEOUT.into_response().into(),
            }
        }
        if visitor.peer.is_some() {
            let (bodies, metrics) = (self.bodies.clone(), self.metrics.clone());
            request = Arriving::within(request, caller.clone(), bodies, metrics);
        }
        let ends = request.extensions().get::<Means>().map(|means| means.ends);
        let shown = request.extensions_mut().remove::<Shown>();
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(grpc::From(visitor.from));
        if !self.gate.is_plain() {
            request.extensions_mut().insert(grpc::Private);
        }
        let response = self.within(kind, request).await;
        if is_whole {
            return Answer::Whole(response, Some(room));
        }
        drop(room);
        let (gate, visitor) = (self.gate.clone(), visitor.clone());
        let (began, age) = (Instant::now(), self.bounds.stream_age);
        Answer::HeldOpen(grpc::while_standing(response, move || {
            visitor.reads();
            if began.elapsed() >= age {
                return Err(too_old(age));
            }
            visitor.stands(&gate, shown.as_ref(), ends).map_err(Refused::from)
        }))
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

    /// Who takes too little of what he was answered already asks for nothing more.
    async fn no_room(&self, kind: Kind, request: Request<Body>) -> Answer {
        linger(&mut request.into_body().into_data_stream()).await;
        let why = "too many answers of this connection, of this caller or of all wait to be taken; nothing was done: take them, and try again";
        self.busy(kind, why).into()
    }

    fn busy(&self, kind: Kind, why: &str) -> Response<Body> {
        self.metrics.refused(FailureCode::Busy.as_str());
        let failure = Failure::new(FailureCode::Busy, why);
        match kind {
            Kind::Grpc => grpc::status_of_failure(failure).into_http(),
            Kind::Json => json::failure(failure),
            Kind::Probe => (StatusCode::TOO_MANY_REQUESTS, format!("{failure}\n")).into_response(),
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

/// It may still be read, and by the same right: whoever asks again.
fn too_old(age: Duration) -> Refused {
    let why = format!(
        "this answer was held open for {} s, and no answer is for longer (stream_age_s of [listen.bounds]); ask again, from where it ended",
        age.as_secs()
    );
    Failure::new(FailureCode::DeadlineExceeded, why).into()
}

fn wrong_host(kind: Kind) -> Response<Body> {
    match kind {
        Kind::Grpc => grpc::wrong_host(host::REFUSED),
        Kind::Json | Kind::Probe => json::wrong_host(host::REFUSED),
    }
}
