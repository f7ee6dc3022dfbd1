//! Keeping a connection to a node: dial, handshake, serve, and dial again.
//!
//! The node listens and sigward dials (docs/privval.md). A node that starts gives its signer 3 s (docs/privval.md, timers), so the pause between
//! two attempts never exceeds one. Each connection is a task of its own: what one node does costs no other a millisecond.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sigward_hsm::identity::NodeIdentity;
use sigward_policies::model::id::NodeName;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use super::framing::Messages;
use super::secret_connection::{ConnectionError, Identity, SecretConnection};
use super::session::{self, End};
use super::transport::{Socket, Transport};
use crate::config::{Host, NodeAddress, Reach};
use crate::sign::ChainSigner;
use crate::telemetry::metrics::{LinkKind, NodeMetrics};
use crate::telemetry::readiness::Check;

/// Connecting and the handshake, together, take no longer. A second signer that dials a busy node sits in its backlog without
/// a byte: this is what bounds that wait.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// First pause between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two attempts.
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// A connection that stood this long was a good one: the next attempt is quick again. A node that takes connections only to drop
/// them would otherwise be dialled, and written about in the log, ten times a second for ever.
const STOOD: Duration = Duration::from_secs(3);

/// One node of one chain.
pub struct Link {
    /// The node's entry in the configuration.
    pub node: NodeName,
    /// Where it listens.
    pub address: NodeAddress,
    /// What its requests go through.
    pub signer: ChainSigner,
    /// Our side of the SecretConnection.
    pub identity: Arc<NodeIdentity>,
    /// Metrics.
    pub metrics: NodeMetrics,
    /// Readiness: failing while the node is out of reach.
    pub check: Check,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("node", &self.node)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Keeps the connection until `stop`. A fault of ours that panics costs this connection and no other, and not for long.
    pub async fn run(self, stop: CancellationToken) {
        self.metrics.link(kind(&self.address));
        let link = Arc::new(self);
        while let Err(fault) = tokio::spawn(Arc::clone(&link).keep(stop.clone())).await {
            if !fault.is_panic() {
                return;
            }
            tracing::error!(
                alarm = true, chain = %link.signer.chain, node = %link.node,
                "a fault of sigward ended this connection; it is dialled again"
            );
            link.check.fail("a fault of sigward ended the connection");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LAST_PAUSE) => {}
            }
        }
    }

    async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        let mut complained = false;
        while !stop.is_cancelled() {
            let dialled = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                dialled = tokio::time::timeout(HANDSHAKE, self.dial()) => dialled,
            };
            match dialled {
                Ok(Ok(transport)) => {
                    complained = false;
                    let began = Instant::now();
                    self.session(transport, &stop).await;
                    if began.elapsed() >= STOOD {
                        pause = FIRST_PAUSE;
                    }
                }
                Ok(Err(error)) => self.complain(&mut complained, &error),
                Err(_elapsed) => self.complain(&mut complained, &"no handshake within 5 s"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(jittered(pause)) => {}
            }
            pause = pause.saturating_mul(2).min(LAST_PAUSE);
        }
    }

    async fn session(&self, transport: Transport, stop: &CancellationToken) {
        tracing::info!(chain = %self.signer.chain, node = %self.node, "connected");
        let _connected = self.metrics.connected();
        let _standing = self.signer.activity.connected(self.signer.clock.unix_seconds());
        self.check.good();
        let mut messages = Messages::new(transport);
        let strange = |other: &session::OtherChain| self.check.fail(other.to_string());
        let end = session::serve(&mut messages, &self.signer, stop, strange).await;
        self.check.fail(format!("disconnected: {end}"));
        match end {
            End::Closed | End::Stopping => {
                tracing::info!(chain = %self.signer.chain, node = %self.node, "disconnected: {end}");
            }
            end => tracing::warn!(chain = %self.signer.chain, node = %self.node, "disconnected: {end}"),
        }
    }

    async fn dial(&self) -> Result<Transport, ConnectionError> {
        match &self.address {
            NodeAddress::Unix(path) => Ok(Transport::plain(Socket::Unix(UnixStream::connect(path).await?))),
            NodeAddress::Tcp { host, port } => {
                let stream = connect(host, *port).await?;
                stream.set_nodelay(true)?;
                rustix::net::sockopt::set_socket_keepalive(&stream, true).map_err(io::Error::from)?;
                let identity = Challenged(&self.identity);
                Ok(Transport::secret(
                    SecretConnection::handshake(Socket::Tcp(stream), &identity).await?,
                ))
            }
        }
    }

    /// Says once, not ten times a second, that a node is out of reach.
    fn complain(&self, complained: &mut bool, error: &dyn fmt::Display) {
        self.check.fail(error.to_string());
        if !std::mem::replace(complained, true) {
            tracing::warn!(
                chain = %self.signer.chain, node = %self.node,
                "cannot reach the node at {}: {error}; trying again every second", self.address
            );
        }
    }
}

fn kind(address: &NodeAddress) -> LinkKind {
    match (address, address.reach()) {
        (NodeAddress::Unix(_), _) => LinkKind::Unix,
        (NodeAddress::Tcp { .. }, Reach::ThisMachine) => LinkKind::Loopback,
        (NodeAddress::Tcp { .. }, Reach::Network) => LinkKind::Network,
    }
}

/// A name is resolved at each attempt, as the node may have moved; `localhost` is this machine or nothing.
async fn connect(host: &Host, port: u16) -> io::Result<TcpStream> {
    match host {
        Host::Ip(ip) => TcpStream::connect((*ip, port)).await,
        Host::Name(name) if name == "localhost" => {
            let here: Vec<_> = tokio::net::lookup_host((name.as_str(), port))
                .await?
                .filter(|at| at.ip().is_loopback())
                .collect();
            TcpStream::connect(here.as_slice()).await
        }
        Host::Name(name) => TcpStream::connect((name.as_str(), port)).await,
    }
}

/// The node identity as the handshake wants it.
struct Challenged<'a>(&'a NodeIdentity);

impl Identity for Challenged<'_> {
    fn public_key(&self) -> [u8; 32] {
        let mut raw = [0; 32];
        raw.iter_mut()
            .zip(self.0.public_key().as_bytes())
            .for_each(|(to, from)| *to = *from);
        raw
    }

    fn sign_challenge(&self, challenge: &[u8; 32]) -> [u8; 64] {
        // A signature of zeros is none: the peer ends the handshake.
        self.0
            .sign_challenge(challenge)
            .map_or([0; 64], |signature| signature.0)
    }
}

/// Between three quarters and the whole of `pause`, so that many nodes that went away together are not dialled together.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0_u8];
    // Without randomness there is no jitter; that harms nobody.
    let _none = getrandom::fill(&mut byte);
    pause.mul_f64(0.75 + f64::from(byte[0]) / 1024.0)
}

#[cfg(test)]
mod tests;
