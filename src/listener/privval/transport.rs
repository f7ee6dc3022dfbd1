//! A stream to a node: a unix or TCP socket, in the clear or inside a secret connection.
//!
//! May import: tokio, [`secret_connection`](super::secret_connection). It moves bytes; it decides nothing
//! about which kind is allowed where.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::buffer::{Inbox, Outbox};
use super::secret_connection::{ConnectionError, PeerKey, SecretConnection};

/// A connected socket of either kind.
#[derive(Debug)]
pub enum Socket {
    /// `unix://`
    Unix(UnixStream),
    /// `tcp://`
    Tcp(TcpStream),
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}

/// A stream of plaintext bytes to and from a node.
pub struct Transport<S = Socket>(Kind<S>);

enum Kind<S> {
    Plain { io: S, out: Outbox },
    Secret(Box<SecretConnection<S>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// The bytes as they are: for `unix://`, where the file system says who may connect.
    pub fn plain(io: S) -> Self {
        Self(Kind::Plain {
            io,
            out: Outbox::default(),
        })
    }

    /// Inside an established secret connection: for `tcp://`.
    pub fn secret(connection: SecretConnection<S>) -> Self {
        Self(Kind::Secret(Box::new(connection)))
    }

    /// The key that the peer proved to hold; `None` in the clear.
    pub fn peer(&self) -> Option<PeerKey> {
        match &self.0 {
            Kind::Plain { .. } => None,
            Kind::Secret(connection) => Some(connection.peer()),
        }
    }

    /// Memory held by the buffers, in bytes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        match &self.0 {
            Kind::Plain { out, .. } => out.capacity(),
            Kind::Secret(connection) => connection.capacity(),
        }
    }

    /// Waits for bytes and appends them to `inbox`; returns how many came, 0 at the end of the stream.
    /// Cancel-safe.
    ///
    /// # Errors
    /// The socket's or the secret connection's.
    pub(super) async fn fill(
        &mut self,
        inbox: &mut Inbox,
        expected: usize,
    ) -> Result<usize, ConnectionError> {
        match &mut self.0 {
            Kind::Plain { io, .. } => Ok(inbox.read_from(io, expected).await?),
            Kind::Secret(connection) => connection.fill(inbox, expected).await,
        }
    }

    /// Writes `bytes`, in one system call when the socket takes them. Cancel-safe: what is left leaves
    /// before the next call's bytes.
    ///
    /// # Errors
    /// The socket's or the secret connection's.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        match &mut self.0 {
            Kind::Plain { io, out } => {
                out.tail().extend_from_slice(bytes);
                Ok(out.flush(io).await?)
            }
            Kind::Secret(connection) => connection.send(bytes).await,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::net::TcpListener;

    use super::*;
    use crate::listener::privval::framing::Messages;

    /// A message each way between a listener that is a bare socket and our side.
    async fn there_and_back(near: Socket, far: Socket) {
        let (mut near, mut far) = (
            Messages::new(Transport::plain(near)),
            Messages::new(Transport::plain(far)),
        );
        near.write(|out| out.extend_from_slice(b"ping")).await.unwrap();
        assert_eq!(far.read().await.unwrap().unwrap(), b"ping");
        far.write(|out| out.extend_from_slice(b"pong")).await.unwrap();
        assert_eq!(near.read().await.unwrap().unwrap(), b"pong");
        assert!(near.transport().peer().is_none());
        drop(far);
        assert!(near.read().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn messages_pass_over_unix_sockets() {
        let (near, far) = UnixStream::pair().unwrap();
        there_and_back(Socket::Unix(near), Socket::Unix(far)).await;
    }

    #[tokio::test]
    async fn messages_pass_over_tcp_sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        there_and_back(Socket::Tcp(near.unwrap()), Socket::Tcp(far.unwrap().0)).await;
    }
}
