//! The socket: accepts, and hands each connection that finds a seat to a task of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection;
use super::door::Door;
use super::gate::Gate;
use super::pace::Pace;
use super::seats::{Bounds, Seats};
use crate::listener::grpc::Services;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Full;
use crate::telemetry::{Metrics, Readiness};

/// How long all of them may take to finish what they are at when sigward stops.
const DRAIN: Duration = Duration::from_secs(2);

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}\n  see what else listens there, and that the address is one of this machine, or set another one in [listen] or [listen.bearer]"
)]
pub struct DoorError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// A bound socket; [`serve`] begins to answer.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds to `address`.
    pub async fn bind(address: SocketAddr) -> Result<Self, DoorError> {
        let refused = |source| DoorError { address, source };
        let socket = TcpListener::bind(address).await.map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Self { socket, address })
    }

    /// Where it listens, with the port that was taken.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers clients that pass `gate` until `shutdown` begins, then lets them finish for up to 2 s.
pub async fn serve(
    listener: Listener,
    services: Services,
    gate: Gate,
    (metrics, readiness): (Arc<Metrics>, Readiness),
    shutdown: Shutdown,
) {
    let pace = Pace::default();
    let seats = Seats::new(Bounds::of_this_process());
    let counts = gate.metrics(&metrics);
    let door = Door::new(services.routes_for_others().await, gate, metrics, readiness);
    let mut connections = JoinSet::new();
    while !shutdown.has_begun() {
        let (stream, from) = tokio::select! {
            () = shutdown.begun() => break,
            accepted = listener.socket.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: the next try fails as well.
                    tracing::warn!(%error, "tls: cannot accept a connection");
                    sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
        };
        let seat = seats.take(from.ip()).and_then(|seat| {
            let in_time = pace.allows(from.ip(), Instant::now());
            in_time.then_some(seat).ok_or(Full::Pace)
        });
        match seat {
            Ok(seat) => {
                let connection = connection::serve(stream, seat, door.clone(), shutdown.clone());
                connections.spawn(connection);
            }
            // Closed unread: a full house does no cryptography.
            Err(full) => counts.turned_away(full),
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    // What is left after it is aborted with the set.
    let _late = timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}
