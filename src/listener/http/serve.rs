//! The listener's socket, its connections and their bounds.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::routes;
use crate::shutdown::Shutdown;
use crate::telemetry::{Metrics, Readiness};

/// Connections at one time; more wait unaccepted.
const MAX_CONNECTIONS: usize = 64;
/// Bytes of a request's head; hyper takes no less.
const MAX_HEAD: usize = 8 << 10;
/// Headers of a request.
const MAX_HEADERS: usize = 48;
/// How long a head may take to come, and a connection may idle between two.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a connection may live, reading its answers or not.
const LIFE: Duration = Duration::from_secs(60);
/// How long connections may take to finish what they are at when they are told to end.
const DRAIN: Duration = Duration::from_secs(2);

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is not on loopback, and this listener has no TLS.
    #[error("{0} is not on loopback, and this listener has no TLS\n  listen on 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// The operating system refused.
    #[error("cannot listen on {address}\n  see what else listens there, or set another address in [http]")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A bound socket on loopback; [`serve`] begins to answer.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds to `address`, which must be on loopback; port 0 takes any free one.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        // Config refuses it too; nothing plain leaves the machine even if that is forgotten.
        if !address.ip().to_canonical().is_loopback() {
            return Err(ListenError::NotLoopback(address));
        }
        let refused = |source| ListenError::Bind { address, source };
        let socket = TcpListener::bind(address).await.map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Self { socket, address })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers until `shutdown` begins, then lets connections finish for up to 2 s. Dropped, it ends every connection.
pub async fn serve(listener: Listener, metrics: Arc<Metrics>, readiness: Readiness, shutdown: Shutdown) {
    let router = routes::router(metrics, readiness);
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // A closed semaphore cannot be: nobody closes it. If it were, there would be nothing to serve.
        let seat = tokio::select! {
            () = shutdown.begun() => break,
            seat = seats.clone().acquire_owned() => match seat {
                Ok(seat) => seat,
                Err(_) => break,
            },
        };
        let stream = tokio::select! {
            () = shutdown.begun() => break,
            accepted = listener.socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: the next try fails as well.
                    tracing::warn!(%error, "http: cannot accept a connection");
                    sleep(Duration::from_millis(500)).await;
                    continue;
                }
            },
        };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        connections.spawn(async move {
            connection(stream, router, shutdown).await;
            drop(seat);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    // What is left after it is aborted with the set.
    let _late = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}

async fn connection(stream: TcpStream, router: Router, shutdown: Shutdown) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.begun() => None,
        () = sleep(LIFE) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            match timeout(DRAIN, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    // A peer that hangs up or talks nonsense is not our trouble.
    if let Err(error) = ended {
        tracing::debug!(%error, "http: a connection ended early");
    }
}
