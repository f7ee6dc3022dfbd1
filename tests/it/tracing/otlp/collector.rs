//! A collector of traces that speaks gRPC, made of somebody else's messages and service; and what it has got, as a test asks for it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::poll;

/// A debug build on a loaded machine; spans come after a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A span, in words.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) error: bool,
    /// What is said of who sent it.
    pub(crate) resource: BTreeMap<String, String>,
}

/// Everything in `requests`.
pub(crate) fn spans(requests: &[ExportTraceServiceRequest]) -> Vec<Span> {
    let mut all = Vec::new();
    for of in requests.iter().flat_map(|request| &request.resource_spans) {
        let resource = words(&of.resource.as_ref().unwrap().attributes);
        for span in of.scope_spans.iter().flat_map(|of| &of.spans) {
            assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
            all.push(Span {
                trace: hex::encode(&span.trace_id),
                id: hex::encode(&span.span_id),
                parent: hex::encode(&span.parent_span_id),
                name: span.name.clone(),
                kind: span.kind,
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                attributes: words(&span.attributes),
                error: span.status.as_ref().is_some_and(|status| status.code == 2),
                resource: resource.clone(),
            });
        }
    }
    all
}

fn words(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let said = |pair: &KeyValue| match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{}: {other:?}", pair.key),
    };
    attributes
        .iter()
        .map(|pair| (pair.key.clone(), said(pair)))
        .collect()
}

/// The collector; it ends when it is dropped.
pub(crate) struct Collector {
    pub(crate) port: u16,
    got: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    _runtime: tokio::runtime::Runtime,
}

struct Service {
    got: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    refusal: Option<Status>,
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        assert!(
            request.metadata().get("traceparent").is_none(),
            "no span is made of sending spans"
        );
        self.got.lock().unwrap().push(request.into_inner());
        match &self.refusal {
            None => Ok(Response::new(ExportTraceServiceResponse::default())),
            Some(refusal) => Err(refusal.clone()),
        }
    }
}

impl Collector {
    /// On a port of its own.
    pub(crate) fn start() -> Self {
        Self::at(0, None)
    }

    /// On this port; it answers with `refusal`, if there is one.
    pub(crate) fn at(port: u16, refusal: Option<Status>) -> Self {
        let socket = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
        socket.set_nonblocking(true).unwrap();
        let port = socket.local_addr().unwrap().port();
        let got = Arc::default();
        let service = Service {
            got: Arc::clone(&got),
            refusal,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(socket).unwrap());
            let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(service));
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Self {
            port,
            got,
            _runtime: runtime,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything that came.
    pub(crate) fn spans(&self) -> Vec<Span> {
        spans(&self.got.lock().unwrap())
    }

    /// How often it was sent something.
    pub(crate) fn asked(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    /// The span of this kind, once it has come.
    #[track_caller]
    pub(crate) fn span(&self, is: impl Fn(&Span) -> bool) -> Span {
        let found = poll(PATIENCE, || self.spans().into_iter().find(&is));
        found.unwrap_or_else(|| panic!("it is not among {:#?}", self.spans()))
    }

    /// The stages of a request, in the order in which they began.
    pub(crate) fn stages(&self, root: &Span) -> Vec<Span> {
        let mut stages = self.spans();
        stages.retain(|span| span.parent == root.id);
        stages.sort_by_key(|span| (span.start, span.end));
        stages
    }
}
