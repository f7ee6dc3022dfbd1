//! One connection: handshake where there is TLS, then HTTP by what ALPN chose or by its first bytes, until its client goes or takes
//! nothing of what it was answered, its certificate falls, or it is too old.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::{CertificateError, Error};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::door::Door;
use super::seats::Seat;
use super::visitor::Visitor;
use crate::listener::trace::in_trace;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::Handshake;
use crate::tls::{Keeper, NoIdentity, Peer};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long, and for how many reads, somebody is listened to who was refused.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_READS: usize = 16;
/// How long requests under way may take when a connection ends. What is held open may take longer where only the connection's age ends
/// it (`Visitor::has_stopped_reading`).
const DRAIN: Duration = Duration::from_secs(10);
/// How long somebody is listened to who has not shown a good token yet.
const STRANGER: Duration = Duration::from_secs(30);
/// Bytes of a request's head in HTTP/1.1; hyper takes no less. In HTTP/2 all frames of a head together count against the second one,
/// CONTINUATION frames too (CVE-2024-27316).
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADER_LIST: u32 = 16 << 10;
/// Headers of a request in HTTP/1.1, and how long they may take to come.
const MAX_HEADERS: usize = 48;
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Streams at once on a connection (RFC 9113, section 5.1.2).
const MAX_STREAMS: u32 = 64;
/// Streams that were reset before they were answered, and that were reset because they were wrong (CVE-2023-44487): more of them end
/// the connection.
const MAX_RESETS: usize = 16;
const MAX_WRONG: usize = 32;
/// What a client may send before it is read: two streams' worth, so that one that is not read does not keep the others waiting.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 2 * STREAM_WINDOW;
/// A client that is gone without a word is found out by this.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);

/// Serves one connection.
pub(super) async fn serve(stream: TcpStream, seat: Seat, door: Door, shutdown: Shutdown) {
    let Ok(from) = stream.set_nodelay(true).and_then(|()| stream.peer_addr()) else {
        return;
    };
    let from = from.ip();
    match door.gate.keeper() {
        Some(keeper) => encrypted(stream, from, seat, &door, keeper, &shutdown).await,
        None => {
            let _connected = Connected::new(&door);
            let visitor = Visitor::new(None, from, seat);
            talk(stream, Spoken::Either, visitor, &door, &shutdown).await;
        }
    }
}

async fn encrypted(
    stream: TcpStream,
    from: IpAddr,
    mut seat: Seat,
    door: &Door,
    keeper: &Keeper,
    shutdown: &Shutdown,
) {
    let handshake = tokio::select! {
        () = shutdown.begun() => return,
        handshake = timeout(HANDSHAKE, shake_hands(stream, door, keeper)) => handshake,
    };
    let (stream, peer) = match handshake {
        Ok(Ok(known)) => known,
        Ok(Err(error)) => {
            let result = classify(&error);
            door.metrics.handshake(result);
            tracing::debug!(result = result.as_str(), %error, "tls: no handshake");
            return;
        }
        Err(_late) => return door.metrics.handshake(Handshake::Late),
    };
    if peer.is_some() {
        seat.is_known();
    }
    door.metrics.handshake(Handshake::Good);
    let _connected = Connected::new(door);
    let spoken = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Spoken::Two,
        _ => Spoken::One,
    };
    talk(stream, spoken, Visitor::new(peer, from, seat), door, shutdown).await;
}

async fn shake_hands(
    stream: TcpStream,
    door: &Door,
    keeper: &Keeper,
) -> io::Result<(TlsStream<TcpStream>, Option<Peer>)> {
    let acceptor = TlsAcceptor::from(keeper.material().config());
    let stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((error, stream)) => {
            linger(stream).await;
            return Err(error);
        }
    };
    let peer = door.gate.peer(stream.get_ref().1).map_err(io::Error::other)?;
    Ok((stream, peer))
}

/// The alert that says why is on its way. What the client has sent meanwhile is read and thrown away: unread, it would make of our end
/// a reset, which takes the alert with it (RFC 9112, section 9.6).
async fn linger(mut stream: TcpStream) {
    let _told = stream.shutdown().await;
    let mut rest = [0_u8; 1024];
    let read = async {
        for _ in 0..LINGER_READS {
            if !matches!(stream.read(&mut rest).await, Ok(1..)) {
                return;
            }
        }
    };
    let _gone_or_slow = timeout(LINGER, read).await;
}

/// The version of HTTP on a connection.
#[derive(Clone, Copy)]
enum Spoken {
    One,
    Two,
    /// As its first bytes say (RFC 9113, section 3.3); there is no upgrade from one to the other.
    Either,
}

async fn talk<S>(stream: S, spoken: Spoken, visitor: Visitor, door: &Door, shutdown: &Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = match spoken {
        Spoken::One => builder.http1_only(),
        Spoken::Two => builder.http2_only(),
        Spoken::Either => builder,
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_WRONG)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(16 << 10)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    let visitor = Arc::new(visitor);
    let service = {
        let (door, visitor) = (door.clone(), visitor.clone());
        tower::service_fn(move |request| {
            let (door, visitor) = (door.clone(), visitor.clone());
            async move {
                let answered =
                    in_trace(door.spans(), request, |request| door.answer(&visitor, request)).await;
                Ok::<_, std::convert::Infallible>(answered)
            }
        })
    };
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.begun() => None,
        () = visitor.has_fallen() => None,
        () = visitor.stays_a_stranger(STRANGER) => None,
        () = visitor.untaken.waits_too_long() => return takes_nothing(&visitor),
        // Whoever keeps a connection is told to come again (GOAWAY), and shows its certificate again.
        () = sleep(door.bounds.connection_age) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => Some(ended),
                () = shutdown.begun() => None,
                () = visitor.has_fallen() => None,
                () = visitor.has_stopped_reading(DRAIN) => return,
                () = visitor.untaken.waits_too_long() => return takes_nothing(&visitor),
            }
        }
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
    // A client that hangs up or talks nonsense is not our trouble.
    if let Err(error) = ended {
        tracing::debug!(%error, who = ?visitor.name(), "tls: a connection ended early");
    }
}

/// It is told nothing: that would wait with the rest.
fn takes_nothing(visitor: &Visitor) {
    tracing::debug!(who = ?visitor.name(), "tls: a connection was ended, whose client does not take its answers");
}

/// Counted for as long as it lives.
struct Connected<'a>(&'a Door);

impl<'a> Connected<'a> {
    fn new(door: &'a Door) -> Self {
        door.metrics.connected(1);
        Self(door)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.metrics.connected(-1);
    }
}

/// What ended a handshake, in a word.
fn classify(error: &io::Error) -> Handshake {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return Handshake::Failed;
    };
    use CertificateError as Bad;
    match error {
        Error::NoCertificatesPresented => Handshake::NoCertificate,
        Error::InvalidCertificate(bad) => match bad {
            Bad::Revoked => Handshake::Revoked,
            Bad::UnknownRevocationStatus => Handshake::NoCrl,
            // A bad signature: an authority that has the name of one that is known, and another key.
            Bad::UnknownIssuer | Bad::BadSignature => Handshake::UnknownAuthority,
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. }
            | Bad::ExpiredRevocationList
            | Bad::ExpiredRevocationListContext { .. } => Handshake::OutOfDate,
            Bad::Other(other) if other.0.is::<NoIdentity>() => Handshake::NoIdentity,
            _ => Handshake::Failed,
        },
        _ => Handshake::Failed,
    }
}
