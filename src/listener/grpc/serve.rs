//! Serving the admin services on a unix socket, or on a stream in this very process.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use sigward_proto::v1::api_key_service_server::ApiKeyServiceServer;
use sigward_proto::v1::approval_service_server::ApprovalServiceServer;
use sigward_proto::v1::audit_service_server::AuditServiceServer;
use sigward_proto::v1::backup_service_server::BackupServiceServer;
use sigward_proto::v1::hold_service_server::HoldServiceServer;
use sigward_proto::v1::hsm_service_server::HsmServiceServer;
use sigward_proto::v1::key_service_server::KeyServiceServer;
use sigward_proto::v1::node_service_server::NodeServiceServer;
use sigward_proto::v1::reload_service_server::ReloadServiceServer;
use sigward_proto::v1::state_service_server::StateServiceServer;
use sigward_proto::v1::status_service_server::StatusServiceServer;
use tokio::io::DuplexStream;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use super::admission;
use super::gate::Gate;
use super::status::Watched;
use crate::admin::Admin;
use crate::admin::live::Live;
use crate::audit::Denials;
use crate::authz::Policies;
use crate::listener::trace::in_trace;
use crate::telemetry::spans::Spans;

/// Key and state files are small; nothing else is sent here.
const MAX_MESSAGE: usize = 256 * 1024;
/// A backup is larger, and comes with a little more.
const MAX_BACKUP: usize = sigward_hsm::backup::MAX_BUNDLE + 64 * 1024;
/// What a client on another machine may send at once.
pub(in crate::listener) const MAX_OF_OTHERS: usize = 1024 * 1024;
/// No act takes longer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long calls under way may take once the end has begun.
const DRAIN: Duration = Duration::from_secs(2);
/// Streams on one connection.
const MAX_STREAMS: u32 = 64;

/// The admin services.
#[derive(Clone, Debug)]
pub struct Services {
    /// What they do, behind the second question.
    pub(super) gate: Gate,
    /// The daemon around it, if there is one.
    pub(super) live: Option<Arc<dyn Live>>,
    pub(super) watched: Option<Watched>,
    /// Where refusals are put on record, if somewhere.
    pub(super) denials: Option<Arc<Denials>>,
    /// Who may call what.
    pub(super) policies: Arc<Policies>,
    /// Where what becomes of calls is told, to those who collect traces.
    pub(in crate::listener) spans: Spans,
}

impl Services {
    /// The services over `admin`.
    pub fn new(admin: Arc<Admin>) -> Self {
        Self {
            gate: Gate::new(admin),
            live: None,
            watched: None,
            denials: None,
            policies: Arc::default(),
            spans: Spans::default(),
        }
    }

    /// The same, whose calls are told of.
    #[must_use]
    pub fn telling(self, spans: Spans) -> Self {
        Self { spans, ..self }
    }

    /// With what only a daemon can do.
    #[must_use]
    pub fn with_live(self, live: Arc<dyn Live>) -> Self {
        Self {
            live: Some(live),
            ..self
        }
    }

    /// The same, which can tell of more than the store.
    #[must_use]
    pub fn watching(self, watched: Watched) -> Self {
        Self {
            watched: Some(watched),
            ..self
        }
    }

    /// Every service, behind one admission. `largest` bounds messages; only where backups come in may one be larger.
    async fn routes(self, largest: usize, largest_backup: usize) -> Router {
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<KeyServiceServer<Self>>().await;
        health.set_serving::<StateServiceServer<Self>>().await;
        health.set_serving::<AuditServiceServer<Self>>().await;
        health.set_serving::<ReloadServiceServer<Self>>().await;
        health.set_serving::<NodeServiceServer<Self>>().await;
        health.set_serving::<HoldServiceServer<Self>>().await;
        health.set_serving::<HsmServiceServer<Self>>().await;
        health.set_serving::<StatusServiceServer<Self>>().await;
        health.set_serving::<BackupServiceServer<Self>>().await;
        health.set_serving::<ApprovalServiceServer<Self>>().await;
        health.set_serving::<ApiKeyServiceServer<Self>>().await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(sigward_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1();
        let (all, spans) = (self.clone(), self.spans.clone());
        let mut routes = Routes::new(health_service)
            .add_service(KeyServiceServer::new(self.clone()).max_decoding_message_size(largest))
            .add_service(ApiKeyServiceServer::new(self.clone()).max_decoding_message_size(largest))
            .add_service(ApprovalServiceServer::new(self.clone()).max_decoding_message_size(largest))
            .add_service(StateServiceServer::new(self.clone()).max_decoding_message_size(largest))
            .add_service(NodeServiceServer::new(self.clone()).max_decoding_message_size(largest))
            .add_service(ReloadServiceServer::new(self.clone()).max_decoding_message_size(largest))
            .add_service(HoldServiceServer::new(self.clone()).max_decoding_message_size(largest))
            .add_service(HsmServiceServer::new(self.clone()).max_decoding_message_size(largest))
            .add_service(StatusServiceServer::new(self.clone()).max_decoding_message_size(largest))
            .add_service(BackupServiceServer::new(self.clone()).max_decoding_message_size(largest_backup))
            .add_service(AuditServiceServer::new(self).max_decoding_message_size(largest));
        if let Ok(reflection) = reflection {
            routes = routes.add_service(reflection);
        }
        routes
            .into_axum_router()
            .layer(from_fn(move |request, next| {
                admission::admit(all.clone(), request, next)
            }))
            .layer(from_fn(move |request: Request, next: Next| {
                let spans = spans.clone();
                async move { in_trace(&spans, request, |request| next.run(request)).await }
            }))
    }

    /// For clients on other machines: no message of theirs is large.
    pub(in crate::listener) async fn routes_for_others(self) -> Router {
        self.routes(MAX_OF_OTHERS, MAX_OF_OTHERS).await
    }

    async fn serve<S, I>(self, incoming: S, stop: CancellationToken) -> Result<(), tonic::transport::Error>
    where
        S: tokio_stream::Stream<Item = io::Result<I>>,
        I: tokio::io::AsyncRead
            + tokio::io::AsyncWrite
            + tonic::transport::server::Connected<ConnectInfo: Clone + Send + Sync + 'static>
            + Unpin
            + Send
            + 'static,
    {
        Server::builder()
            .timeout(TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS)
            .http2_max_pending_accept_reset_streams(Some(16))
            .http2_max_header_list_size(16 * 1024)
            .add_routes(self.routes(MAX_MESSAGE, MAX_BACKUP).await.into())
            .serve_with_incoming_shutdown(incoming, async move { stop.cancelled().await })
            .await
    }
}

/// Listens on `path` until `stop`. The caller holds the state's lock, so a socket left there is a dead process's.
pub async fn serve_unix(services: Services, path: &Path, stop: CancellationToken) -> io::Result<()> {
    let listener = bind(path)?;
    // Whoever is connected and asks nothing, or follows the audit chain, does not hold up the end.
    let patience = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let served = tokio::select! {
        served = services.serve(UnixListenerStream::new(listener), stop.clone()) => served,
        () = patience => Ok(()),
    };
    let _gone = std::fs::remove_file(path);
    served.map_err(io::Error::other)
}

/// Serves one stream in this process: the way of the command line when no daemon runs.
pub async fn serve_stream(
    services: Services,
    stream: DuplexStream,
    stop: CancellationToken,
) -> io::Result<()> {
    // The stream of connections must not end before the one connection does.
    let incoming = tokio_stream::StreamExt::chain(tokio_stream::once(Ok(stream)), tokio_stream::pending());
    services.serve(incoming, stop).await.map_err(io::Error::other)
}

/// The socket is made in a name of its own, closed to others, and then moved to its place: no moment with looser rights.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let fresh = path.with_extension("new");
    let _left_over = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}
