//! The two buffers of a connection: bytes that arrived, and bytes that wait to leave.
//!
//! May import: tokio's I/O traits. Invariants: both keep what they hold when the future that uses
//! them is dropped; both are small at rest, so that a connection costs about 10 KiB.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::secret_connection::SEALED_LEN;

/// Capacity at rest, in bytes: about 4 KiB, four frames of a secret connection. A vote without extension is
/// below 300 bytes, which is one frame.
pub(super) const SMALL: usize = 4 * SEALED_LEN;

/// Bytes that arrived and were not yet used: filled at the back, consumed at the front.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
}

impl Inbox {
    /// What is there.
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// The first `N` bytes, to be worked on in place; `None` while fewer are there.
    pub(super) fn front_mut<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.bytes.get_mut(self.start..)?.first_chunk_mut()
    }

    /// How many bytes are there.
    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// Forgets the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Gives memory of a large message back.
    pub(super) fn shrink(&mut self) {
        if self.bytes.capacity() > SMALL && self.len() <= SMALL {
            self.compact();
            self.bytes.shrink_to(SMALL);
        }
    }

    /// Appends bytes. `expected` is the length at which the caller will be content.
    pub(super) fn append(&mut self, bytes: &[u8], expected: usize) {
        self.make_room(bytes.len(), expected);
        self.bytes.extend_from_slice(bytes);
    }

    /// Reads once from `io`; 0 means end of stream. Cancel-safe: bytes are here or still in `io`.
    ///
    /// # Errors
    /// Whatever `io` says.
    pub(super) async fn read_from<R>(&mut self, io: &mut R, expected: usize) -> io::Result<usize>
    where
        R: AsyncRead + Unpin,
    {
        self.make_room(1, expected);
        io.read_buf(&mut self.bytes).await
    }

    /// Grows by doubling, and never far beyond `expected`: a peer that announces a large message
    /// gets memory only as fast as it sends.
    fn make_room(&mut self, at_least: usize, expected: usize) {
        self.compact();
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if capacity.saturating_sub(len) < at_least {
            let needed = len.saturating_add(at_least);
            let limit = expected.max(needed).max(SMALL);
            let target = capacity.saturating_mul(2).max(SMALL).clamp(needed, limit);
            self.bytes.reserve_exact(target.saturating_sub(len));
        }
    }

    /// Memory held, in bytes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

/// Bytes that wait to leave: one message, written with one system call when the socket takes it.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// Where the next message is appended. What a cancelled [`flush`](Self::flush) left over is in
    /// front of it and leaves first, or the stream would be cut in the middle of a frame.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Memory held, in bytes.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Writes until nothing waits. Cancel-safe: call it again to go on.
    ///
    /// # Errors
    /// Whatever `io` says; `WriteZero` when it takes no more.
    pub(super) async fn flush<W>(&mut self, io: &mut W) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = io.write(rest).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.written = self.written.saturating_add(count);
        }
        self.bytes.clear();
        self.written = 0;
        self.bytes.shrink_to(SMALL);
        io.flush().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_inbox_is_small_again_after_a_large_message() {
        let mut inbox = Inbox::default();
        inbox.append(&vec![7; 1 << 20], 1 << 20);
        inbox.append(&[1, 2, 3], 0);
        inbox.consume(1 << 20);
        inbox.shrink();
        assert_eq!(inbox.as_slice(), [1, 2, 3]);
        assert!(inbox.bytes.capacity() <= SMALL);
    }

    #[test]
    fn an_inbox_grows_with_what_arrives_and_not_with_what_is_announced() {
        let mut inbox = Inbox::default();
        inbox.append(&[0; 5000], 1 << 20);
        assert!(inbox.bytes.capacity() <= 2 * 5000, "{}", inbox.bytes.capacity());
    }

    #[tokio::test]
    async fn what_a_cancelled_flush_left_leaves_first() {
        let (mut near, mut far) = tokio::io::duplex(4);
        let mut outbox = Outbox::default();
        outbox.tail().extend_from_slice(b"abcdefgh");
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(5), outbox.flush(&mut near))
                .await
                .is_err()
        );
        outbox.tail().extend_from_slice(b"ij");
        let reader = tokio::spawn(async move {
            let mut got = vec![0; 10];
            far.read_exact(&mut got).await.unwrap();
            got
        });
        outbox.flush(&mut near).await.unwrap();
        assert_eq!(reader.await.unwrap(), b"abcdefghij");
    }
}
