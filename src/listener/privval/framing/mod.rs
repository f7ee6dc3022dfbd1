//! Messages on a stream: an unsigned varint says how long, then that many bytes (docs/privval.md;
//! cometbft `libs/protoio`).
//!
//! # Invariants
//! * Every error closes the connection: the place of the next message is not known any more.
//! * A length is believed only up to [`MAX_REQUEST_LEN`], and memory follows what arrives, not what is
//!   announced.
//! * No reply is longer than the smallest limit of any node: an oversized one would desynchronise the
//!   stream.

use std::mem;

use tokio::io::{AsyncRead, AsyncWrite};

use super::buffer::{Inbox, SMALL};
use super::secret_connection::ConnectionError;
use super::transport::{Socket, Transport};

/// Most bytes that we read as one message. Nodes do not limit what they send; the largest is a vote with
/// an extension of 1 MiB (`MaxVoteExtensionSize`, v0.38.25 `types/vote.go:19`) and less than 1 KiB around
/// it. v0.40's own limit is 1 MiB + 2 × 3309 + 1024 (`privval/signer_endpoint.go:19-23`); 16 KiB and
/// 1 KiB of slack are above both.
pub const MAX_REQUEST_LEN: usize = (1 << 20) + (16 << 10) + (1 << 10);

/// Most bytes of one reply: what nodes from v0.34 to v0.39 and v1.0 read
/// (v0.38.25 `privval/signer_endpoint.go:95`).
pub const MAX_REPLY_LEN: usize = 10_240;

/// Longest varint of a `u64`.
const MAX_VARINT_LEN: usize = 10;

/// Room for the varint of a reply's length: two bytes hold up to 16,383.
const REPLY_PREFIX_LEN: usize = 2;

/// Why a stream of messages ended. All of these mean: close the connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// The stream below failed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A length that is no varint, or one with more bytes than it needs.
    #[error("a message length is not a minimal varint: the peer speaks another protocol")]
    BadLength,
    /// A message longer than we read.
    #[error("a message of {len} bytes was announced, more than the {MAX_REQUEST_LEN} that are read")]
    RequestTooLong {
        /// What was announced, in bytes.
        len: u64,
    },
    /// The peer closed the connection in the middle of a message.
    #[error("the peer closed the connection in the middle of a message")]
    Truncated,
    /// A reply of ours that no node would read. Nothing of it was sent.
    #[error("a reply of {len} bytes is longer than the {MAX_REPLY_LEN} that nodes read")]
    ReplyTooLong {
        /// Its length in bytes.
        len: usize,
    },
}

/// Messages to and from a node.
pub struct Messages<S = Socket> {
    transport: Transport<S>,
    inbox: Inbox,
    /// Bytes of the message lent out by the last [`read`](Self::read), to be forgotten by the next.
    lent: usize,
    reply: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    /// Messages on this stream.
    pub fn new(transport: Transport<S>) -> Self {
        Self {
            transport,
            inbox: Inbox::default(),
            lent: 0,
            reply: Vec::new(),
        }
    }

    /// The stream below.
    pub fn transport(&self) -> &Transport<S> {
        &self.transport
    }

    /// Memory held by all buffers of this connection, in bytes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.inbox.capacity() + self.reply.capacity() + self.transport.capacity()
    }

    /// Waits for the next message and lends its bytes; `None` when the peer closed between messages.
    /// Cancel-safe: a message that has arrived in part stays, and the next call goes on with it.
    ///
    /// # Errors
    /// Every [`FramingError`] but `ReplyTooLong`.
    pub async fn read(&mut self) -> Result<Option<&[u8]>, FramingError> {
        self.inbox.consume(mem::take(&mut self.lent));
        self.inbox.shrink();
        let (prefix, end) = loop {
            let expected = match decode_length(self.inbox.as_slice())? {
                None => SMALL,
                Some((prefix, body)) => {
                    let end = prefix.saturating_add(body);
                    if end <= self.inbox.len() {
                        break (prefix, end);
                    }
                    end
                }
            };
            if self.transport.fill(&mut self.inbox, expected).await? == 0 {
                return if self.inbox.len() == 0 {
                    Ok(None)
                } else {
                    Err(FramingError::Truncated)
                };
            }
        };
        self.lent = end;
        Ok(self.inbox.as_slice().get(prefix..end))
    }

    /// Writes one reply, whose body `encode` appends to an empty buffer. One system call when the socket
    /// takes it. Cancel-safe: what is left of a reply leaves before the next.
    ///
    /// # Errors
    /// [`FramingError::ReplyTooLong`], with nothing sent; the stream's.
    pub async fn write(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), FramingError> {
        self.reply.clear();
        self.reply.resize(REPLY_PREFIX_LEN, 0);
        // The body goes where it will stay; its length is written in front of it afterwards.
        encode(&mut self.reply);
        let start = prepend_length(&mut self.reply)?;
        self.transport
            .send(self.reply.get(start..).unwrap_or_default())
            .await?;
        self.reply.clear();
        self.reply.shrink_to(SMALL);
        Ok(())
    }
}

/// Reads a length: `None` while its bytes are not all there, else how many bytes it takes and what it says.
fn decode_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, FramingError> {
    let mut value: u64 = 0;
    for (index, byte) in bytes.iter().take(MAX_VARINT_LEN).enumerate() {
        let group = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit of a u64.
        if index == MAX_VARINT_LEN - 1 && *byte > 1 {
            return Err(FramingError::BadLength);
        }
        value |= group << (7 * index);
        if byte & 0x80 == 0 {
            if *byte == 0 && index > 0 {
                return Err(FramingError::BadLength);
            }
            return match usize::try_from(value) {
                Ok(len) if len <= MAX_REQUEST_LEN => Ok(Some((index + 1, len))),
                _ => Err(FramingError::RequestTooLong { len: value }),
            };
        }
    }
    Ok(None)
}

/// Writes the length of the body into the two bytes in front of it; returns where the message begins.
fn prepend_length(message: &mut [u8]) -> Result<usize, FramingError> {
    let len = message.len().saturating_sub(REPLY_PREFIX_LEN);
    let too_long = || FramingError::ReplyTooLong { len };
    if len > MAX_REPLY_LEN {
        return Err(too_long());
    }
    let short = u16::try_from(len).map_err(|_| too_long())?;
    let prefix = message
        .first_chunk_mut::<REPLY_PREFIX_LEN>()
        .ok_or_else(too_long)?;
    let [low, high] = [(short & 0x7f).to_le_bytes()[0], (short >> 7).to_le_bytes()[0]];
    if high == 0 {
        *prefix = [0, low];
        Ok(1)
    } else {
        *prefix = [low | 0x80, high];
        Ok(0)
    }
}

#[cfg(test)]
mod tests;
