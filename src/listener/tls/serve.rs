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
use crate::config::DoorBounds;
use crate::listener::grpc::Services;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Full;
use crate::telemetry::{Metrics, Readiness};

/// How long all of them may take to finish what they are at when sigward stops.
const DRAIN: Duration = Duration::from_secs(2);

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}\n  see what else listens there, and that the address is one of this machine, or set another one in [listen], [listen.bearer] or [listen.plain]"
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
    bounds: DoorBounds,
}

impl Listener {
    /// Binds to `address`.
    pub async fn bind(address: SocketAddr, bounds: DoorBounds) -> Result<Self, DoorError> {
        let refused = |source| DoorError { address, source };
        let socket = TcpListener::bind(address).await.map_err(refused)?;
        let address = socket.local_addr().map_err(refused)?;
        Ok(Self {
            socket,
            address,
            bounds,
        })
    }

    /// The same of a door without TLS; its configuration was refused already if it is not on loopback.
    pub async fn bind_here(address: SocketAddr, bounds: DoorBounds) -> Result<Self, DoorError> {
        if !address.ip().to_canonical().is_loopback() {
            let source = io::Error::other("it is not on loopback, and this door has no TLS");
            return Err(DoorError { address, source });
        }
        Self::bind(address, bounds).await
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
    let pace = Pace::of(&listener.bounds);
    let seats = Seats::new(match gate.is_plain() {
        true => Bounds::of_loopback(),
        false => Bounds::of_this_process(),
    });
    let counts = gate.metrics(&metrics);
    let door = Door::new(services, gate, listener.bounds, (metrics, readiness)).await;
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
            // Without TLS there is no handshake to be paid for.
            let in_time = door.gate.is_plain() || pace.allows(from.ip(), Instant::now());
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
