//! OTLP/gRPC: one connection for as long as it holds.

use std::sync::Arc;

use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use sigward_proto::otlp::trace_service_client::TraceServiceClient;
use sigward_proto::otlp::{ExportRequest, ExportResponse};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};

use super::collector::{MOST_ANSWER, NotSent, whole};
use super::peer::Peer;

#[derive(Debug)]
pub(super) struct Grpc {
    peer: Arc<Peer>,
    client: Option<TraceServiceClient<Channel>>,
}

impl Grpc {
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            peer: Arc::new(peer),
            client: None,
        }
    }

    /// Whoever gives up on this gives up the connection too.
    pub(super) async fn bring(
        &mut self,
        said: &ExportRequest,
        headers: HeaderMap,
    ) -> Result<ExportResponse, NotSent> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.dial().await?,
        };
        let mut request = Request::new(said.clone());
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        match client.export(request).await {
            Ok(answer) => {
                self.client = Some(client);
                Ok(answer.into_inner())
            }
            Err(status) => Err(not_sent(&status)),
        }
    }

    async fn dial(&self) -> Result<TraceServiceClient<Channel>, NotSent> {
        let later = |error: &dyn std::error::Error| NotSent::Later(whole(error));
        let peer = self.peer.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let peer = peer.clone();
            async move { peer.connect().await.map(TokioIo::new) }
        });
        let origin: Uri = self.peer.origin.parse().map_err(|error| later(&error))?;
        // The connector speaks TLS where there is any; to the channel it is a stream like any other.
        let channel = Endpoint::from_shared(format!("http://{}", self.peer.authority()))
            .map_err(|error| later(&error))?
            .origin(origin)
            .user_agent(concat!("sigward/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| later(&error))?
            .connect_with_connector(connector)
            .await
            .map_err(|error| later(&error))?;
        Ok(TraceServiceClient::new(channel).max_decoding_message_size(MOST_ANSWER))
    }
}

/// What may be tried again is as OTLP has it ("OTLP/gRPC Response", failures).
fn not_sent(status: &Status) -> NotSent {
    let why = match std::error::Error::source(status) {
        Some(source) => whole(source),
        None => format!("{:?}: {}", status.code(), status.message()),
    };
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => NotSent::Later(why),
        // A connection that broke.
        _ if std::error::Error::source(status).is_some() => NotSent::Later(why),
        _ => NotSent::Never(why),
    }
}
