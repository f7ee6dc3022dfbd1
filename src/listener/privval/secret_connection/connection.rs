//! A secret connection on any byte stream.
//!
//! May import: tokio's I/O traits, the pure parts beside it. Invariant: reading and writing are
//! cancel-safe, because a frame that has arrived in part stays in the buffer, and one that has left in
//! part goes on leaving.

use tokio::io::{AsyncRead, AsyncWrite};

use super::auth::{Identity, PeerKey};
use super::error::ConnectionError;
#[cfg(doc)]
use super::error::ProtocolError;
use super::frame::{Opener, SEALED_LEN, Sealer};
use super::handshake::{AwaitingHello, Established, HELLO_LEN, Step};
use crate::listener::privval::buffer::{Inbox, Outbox, SMALL};

/// An established connection over the stream `S`.
pub struct SecretConnection<S> {
    io: S,
    sealer: Sealer,
    opener: Opener,
    peer: PeerKey,
    sealed_in: Inbox,
    sealed_out: Outbox,
}

impl<S: AsyncRead + AsyncWrite + Unpin> SecretConnection<S> {
    /// Runs the handshake. It waits for as long as the peer does: put a timeout around it, and drop the
    /// stream when it fires (a half-done handshake cannot be taken up again).
    ///
    /// # Errors
    /// The socket's, and every [`ProtocolError`] of the handshake.
    pub async fn handshake(mut io: S, identity: &impl Identity) -> Result<Self, ConnectionError> {
        let mut sealed_in = Inbox::default();
        let mut sealed_out = Outbox::default();

        let ours = AwaitingHello::start()?;
        sealed_out.tail().extend_from_slice(&ours.hello());
        sealed_out.flush(&mut io).await?;
        let mut awaiting = loop {
            AwaitingHello::check_start(sealed_in.as_slice())?;
            if let Some(hello) = sealed_in.front_mut::<HELLO_LEN>() {
                break ours.receive(hello)?;
            }
            more(&mut sealed_in, &mut io, "the handshake").await?;
        };
        sealed_in.consume(HELLO_LEN);

        awaiting.authenticate(identity, sealed_out.tail())?;
        sealed_out.flush(&mut io).await?;
        let Established { sealer, opener, peer } = loop {
            if let Some(frame) = sealed_in.front_mut::<SEALED_LEN>() {
                let step = awaiting.receive(frame)?;
                sealed_in.consume(SEALED_LEN);
                match step {
                    Step::More(next) => awaiting = next,
                    Step::Done(established) => break established,
                }
            } else {
                more(&mut sealed_in, &mut io, "the handshake").await?;
            }
        };
        Ok(Self {
            io,
            sealer,
            opener,
            peer,
            sealed_in,
            sealed_out,
        })
    }

    /// The key that the peer proved to hold.
    pub fn peer(&self) -> PeerKey {
        self.peer
    }

    /// Memory held by the buffers, in bytes.
    #[cfg(test)]
    pub(in crate::listener::privval) fn capacity(&self) -> usize {
        self.sealed_in.capacity() + self.sealed_out.capacity()
    }

    /// Waits for a frame with data, decrypts it and appends its data to `plain`; returns how many bytes came,
    /// 0 at the end of the stream. One frame at a time: a good message is delivered even when the frame
    /// after it, which may have arrived with it, is bad. `expected` is the length at which the caller will
    /// be content. Cancel-safe.
    ///
    /// # Errors
    /// The socket's; a frame that does not open (after which nothing opens); an end inside a frame.
    pub(in crate::listener::privval) async fn fill(
        &mut self,
        plain: &mut Inbox,
        expected: usize,
    ) -> Result<usize, ConnectionError> {
        loop {
            if let Some(frame) = self.sealed_in.front_mut::<SEALED_LEN>() {
                let data = self.opener.open(frame)?;
                let came = data.len();
                plain.append(data, expected);
                self.sealed_in.consume(SEALED_LEN);
                if came > 0 {
                    return Ok(came);
                }
            } else if self.sealed_in.read_from(&mut self.io, SMALL).await? == 0 {
                return match self.sealed_in.len() {
                    0 => Ok(0),
                    _ => Err(ConnectionError::Truncated { during: "a frame" }),
                };
            }
        }
    }

    /// Seals `message` and writes its frames, in one system call when the socket takes them. Cancel-safe:
    /// what is left of it leaves before the next message.
    ///
    /// # Errors
    /// The socket's; [`ProtocolError::NonceExhausted`].
    pub async fn send(&mut self, message: &[u8]) -> Result<(), ConnectionError> {
        self.sealer.seal(message, self.sealed_out.tail())?;
        Ok(self.sealed_out.flush(&mut self.io).await?)
    }
}

/// Reads once; the end of the stream is an error here.
async fn more<S>(inbox: &mut Inbox, io: &mut S, during: &'static str) -> Result<(), ConnectionError>
where
    S: AsyncRead + Unpin,
{
    match inbox.read_from(io, SMALL).await? {
        0 => Err(ConnectionError::Truncated { during }),
        _ => Ok(()),
    }
}
