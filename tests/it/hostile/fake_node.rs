//! A node's side of the remote-signer protocol, written for lying: it listens, takes what dials, and sends any bytes.
//!
//! Over TCP it speaks SecretConnection through `cometbft-p2p`, an implementation that is not ours.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use cometbft_p2p::{IdentitySecret, ReadMsg, SecretConnection, TryCloneIo, WriteMsg};
use prost::Message as _;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, encode_varint};
use sigward_proto::cometbft::Message;
use sigward_proto::cometbft::message::Sum;

use super::messages;
use crate::support::home::Home;
use crate::support::poll;
use crate::support::ports::free_port;

/// How long sigward may take to dial: its longest pause is 1 s.
const DIAL: Duration = Duration::from_secs(10);
/// Beyond sigward's idle limit of 12 s, so that whoever ends a connection first is sigward.
const READ: Duration = Duration::from_secs(15);
/// The 10 KiB that nodes up to v0.39 read (v0.38.25 `privval/signer_endpoint.go:95`).
const LONGEST_REPLY: usize = 10_240;

/// A listening node.
pub(super) enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Listener {
    pub(super) fn unix(home: &Home, name: &str) -> Self {
        let path = home.socket(&format!("{name}.sock"));
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::Unix(listener, path)
    }

    pub(super) fn tcp() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::Tcp(listener)
    }

    /// What sigward's configuration says.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Unix(_, path) => format!("unix://{}", path.display()),
            Self::Tcp(listener) => format!("tcp://{}", listener.local_addr().unwrap()),
        }
    }

    /// The next connection, if one waits.
    pub(super) fn try_accept(&self) -> Option<Wire> {
        let socket = match self {
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| Socket::Unix(stream)),
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| Socket::Tcp(stream)),
        };
        match socket {
            Ok(socket) => Some(Wire::new(socket)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("accept: {error}"),
        }
    }

    /// The next connection, bare.
    pub(super) fn accept(&self) -> Wire {
        poll(DIAL, || self.try_accept()).expect("sigward dials")
    }

    /// The next connection that lives, with its handshake done where there is one. Those that waited longer than sigward's patience
    /// are dead when they are accepted.
    pub(super) fn connect(&self) -> Link {
        let alive = poll(DIAL, || self.shake_hands(self.try_accept()?));
        alive.expect("sigward dials, and its handshake succeeds")
    }

    /// This connection, with its handshake done where there is one.
    pub(super) fn connect_over(&self, wire: Wire) -> Link {
        self.shake_hands(wire).expect("the handshake succeeds")
    }

    fn shake_hands(&self, wire: Wire) -> Option<Link> {
        match self {
            Self::Unix(..) => Some(Link::Plain(wire)),
            Self::Tcp(_) => {
                let secret = IdentitySecret::from_bytes(&[0x22; 32]);
                let connection = SecretConnection::new(wire, &secret).ok()?;
                Some(Link::Secret(Box::new(connection)))
            }
        }
    }
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connected socket; when it drips, one byte at a time.
pub(super) struct Wire {
    socket: Socket,
    pub(super) drip: Option<Duration>,
}

impl Wire {
    fn new(socket: Socket) -> Self {
        match &socket {
            Socket::Unix(stream) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(READ)).unwrap();
            }
            Socket::Tcp(stream) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(READ)).unwrap();
                stream.set_nodelay(true).unwrap();
            }
        }
        Self { socket, drip: None }
    }

    /// Everything until sigward closes; panics if it does not.
    pub(super) fn read_to_close(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        match self.read_to_end(&mut all) {
            Ok(_) => all,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => all,
            Err(error) => panic!("sigward does not close: {error}"),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.socket {
            Socket::Unix(stream) => stream.read(buf),
            Socket::Tcp(stream) => stream.read(buf),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let buf = match self.drip {
            Some(pause) if !buf.is_empty() => {
                std::thread::sleep(pause);
                &buf[..1]
            }
            _ => buf,
        };
        match &mut self.socket {
            Socket::Unix(stream) => stream.write(buf),
            Socket::Tcp(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl TryCloneIo for Wire {
    fn try_clone(&self) -> std::io::Result<Self> {
        let socket = match &self.socket {
            Socket::Unix(stream) => Socket::Unix(stream.try_clone()?),
            Socket::Tcp(stream) => Socket::Tcp(stream.try_clone()?),
        };
        Ok(Self {
            socket,
            drip: self.drip,
        })
    }
}

/// A connection on which messages pass.
pub(super) enum Link {
    Plain(Wire),
    Secret(Box<SecretConnection<Wire>>),
}

impl Link {
    /// Sends `body` as one message, whatever it is.
    pub(super) fn send(&mut self, body: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(wire) => wire.write_all(&framed(body)),
            Self::Secret(connection) => connection
                .write_msg(&Raw(body.to_vec()))
                .map_err(std::io::Error::other),
        }
    }

    /// The next message; `None` when sigward closed.
    pub(super) fn receive(&mut self) -> Option<Sum> {
        let message: Message = match self {
            Self::Plain(_) => {
                let body = self.receive_raw()?;
                Message::decode(body.as_slice()).expect("a reply is a message")
            }
            Self::Secret(connection) => connection.read_msg().ok()?,
        };
        assert!(message.encoded_len() <= LONGEST_REPLY);
        Some(message.sum.expect("a reply has one of the arms that nodes know"))
    }

    /// The bytes of the next message; only in the clear.
    pub(super) fn receive_raw(&mut self) -> Option<Vec<u8>> {
        let Self::Plain(wire) = self else {
            panic!("the second implementation gives out no bytes")
        };
        let mut len = 0_usize;
        for shift in (0..).step_by(7) {
            let mut byte = [0];
            wire.read_exact(&mut byte).ok()?;
            len |= usize::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        assert!(len <= LONGEST_REPLY, "a reply of {len} bytes");
        let mut body = vec![0; len];
        wire.read_exact(&mut body).ok()?;
        Some(body)
    }

    /// Sends a request and waits for its answer.
    pub(super) fn ask(&mut self, body: &[u8]) -> Sum {
        self.send(body).expect("sigward reads");
        self.receive().expect("sigward answers and stays")
    }

    /// Whether this connection still answers a ping.
    pub(super) fn lives(&mut self) -> bool {
        self.send(&messages::ping()).is_ok() && matches!(self.receive(), Some(Sum::PingResponse(_)))
    }
}

/// `body` with its length before it.
pub(super) fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_varint(body.len() as u64, &mut out);
    out.extend_from_slice(body);
    out
}

/// Bytes that pass for a message, so that `cometbft-p2p` sends them as they are.
#[derive(Debug, Default)]
struct Raw(Vec<u8>);

impl prost::Message for Raw {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _tag: u32,
        _wire_type: WireType,
        _buf: &mut impl Buf,
        _ctx: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        unreachable!("only ever sent")
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {}
}
