//! Frames: 1024 bytes or fewer of plaintext become 1044 bytes of ciphertext, always.
//!
//! A frame is `u32-LE length ‖ 1024 bytes of data and padding`, sealed with ChaCha20-Poly1305 (RFC
//! 8439) without associated data. Work is done in place; nothing is allocated per frame.
//!
//! # Invariants
//! * A nonce is used once: the counter moves with every frame and stops before it repeats.
//! * After an error an [`Opener`] opens nothing more.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};

use super::error::ProtocolError;

/// Most plaintext bytes in one frame (`dataMaxSize`).
pub const CHUNK_LEN: usize = 1024;
/// Bytes of a frame on the wire.
pub const SEALED_LEN: usize = PLAIN_LEN + TAG_LEN;

const LENGTH_LEN: usize = 4;
const PLAIN_LEN: usize = LENGTH_LEN + CHUNK_LEN;
const TAG_LEN: usize = 16;

/// The sending direction. Its key is wiped when it is dropped.
pub struct Sealer {
    cipher: ChaCha20Poly1305,
    counter: Counter,
}

impl Sealer {
    /// Starts at nonce 0.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: ChaCha20Poly1305::new(key.into()),
            counter: Counter::default(),
        }
    }

    /// Appends `message` to `out`, cut into as many frames as it needs; nothing for an empty message.
    ///
    /// # Errors
    /// [`ProtocolError::NonceExhausted`] after 2^64 - 1 frames.
    pub fn seal(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        out.reserve(message.len().div_ceil(CHUNK_LEN).saturating_mul(SEALED_LEN));
        for chunk in message.chunks(CHUNK_LEN) {
            let nonce = self.counter.next()?;
            let length = u32::try_from(chunk.len()).map_err(|_| ProtocolError::Internal)?;
            let start = out.len();
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(chunk);
            out.resize(start.saturating_add(PLAIN_LEN), 0);
            let plain = out.get_mut(start..).ok_or(ProtocolError::Internal)?;
            let tag = self
                .cipher
                .encrypt_inout_detached(&nonce, &[], plain.into())
                .map_err(|_| ProtocolError::Internal)?;
            out.extend_from_slice(&tag);
        }
        Ok(())
    }
}

/// The receiving direction. Its key is wiped when it is dropped.
pub struct Opener {
    cipher: ChaCha20Poly1305,
    counter: Counter,
    failed: bool,
}

impl Opener {
    /// Starts at nonce 0.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self {
            cipher: ChaCha20Poly1305::new(key.into()),
            counter: Counter::default(),
            failed: false,
        }
    }

    /// Opens one frame in place and returns its data, which may be empty.
    ///
    /// # Errors
    /// [`ProtocolError::FrameTag`], [`ProtocolError::ChunkTooLong`], [`ProtocolError::NonceExhausted`];
    /// after any of them [`ProtocolError::Failed`] for ever.
    pub fn open<'frame>(
        &mut self,
        frame: &'frame mut [u8; SEALED_LEN],
    ) -> Result<&'frame [u8], ProtocolError> {
        if self.failed {
            return Err(ProtocolError::Failed);
        }
        let opened = self.open_next(frame);
        self.failed = opened.is_err();
        opened
    }

    fn open_next<'frame>(
        &mut self,
        frame: &'frame mut [u8; SEALED_LEN],
    ) -> Result<&'frame [u8], ProtocolError> {
        let nonce = self.counter.next()?;
        let (plain, tag) = frame
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(ProtocolError::Internal)?;
        self.cipher
            .decrypt_inout_detached(&nonce, &[], (&mut *plain).into(), &Tag::from(*tag))
            .map_err(|_| ProtocolError::FrameTag)?;
        let (length, data) = plain
            .split_first_chunk::<LENGTH_LEN>()
            .ok_or(ProtocolError::Internal)?;
        let claimed = u32::from_le_bytes(*length);
        usize::try_from(claimed)
            .ok()
            .and_then(|length| data.get(..length))
            .ok_or(ProtocolError::ChunkTooLong { claimed })
    }
}

/// The nonce of one direction: four zero bytes and a little-endian counter
/// (secret_connection.go:457-470).
#[derive(Default)]
struct Counter(u64);

impl Counter {
    /// The next nonce. The last counter value is never used, as in CometBFT.
    fn next(&mut self) -> Result<Nonce, ProtocolError> {
        let next = self.0.checked_add(1).ok_or(ProtocolError::NonceExhausted)?;
        let mut nonce = [0; 12];
        let (_, counter) = nonce.split_last_chunk_mut::<8>().ok_or(ProtocolError::Internal)?;
        *counter = self.0.to_le_bytes();
        self.0 = next;
        Ok(nonce.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn sealed(message: &[u8]) -> [u8; SEALED_LEN] {
        let mut out = Vec::new();
        Sealer::new(&[7; 32]).seal(message, &mut out).unwrap();
        out.try_into().unwrap()
    }

    #[test]
    fn a_frame_is_always_1044_bytes_and_opens_to_what_went_in() {
        for len in [1, 2, 1023, 1024] {
            let message = vec![0x5a; len];
            assert_eq!(
                Opener::new(&[7; 32]).open(&mut sealed(&message)).unwrap(),
                message
            );
        }
        assert_eq!(SEALED_LEN, 1044);
    }

    #[test]
    fn any_flipped_bit_is_refused_and_the_opener_stays_failed() {
        for position in [0, 3, 4, 500, 1027, 1028, 1043] {
            let mut frame = sealed(b"vote");
            frame[position] ^= 0x10;
            let mut opener = Opener::new(&[7; 32]);
            assert_eq!(opener.open(&mut frame), Err(ProtocolError::FrameTag));
            assert_eq!(opener.open(&mut sealed(b"vote")), Err(ProtocolError::Failed));
        }
    }

    #[test]
    fn a_replayed_frame_is_refused() {
        let mut opener = Opener::new(&[7; 32]);
        opener.open(&mut sealed(b"vote")).unwrap();
        assert_eq!(opener.open(&mut sealed(b"vote")), Err(ProtocolError::FrameTag));
    }

    /// Seals a plaintext whose length field is a lie.
    fn lying(claimed: u32) -> [u8; SEALED_LEN] {
        let mut frame = [0; SEALED_LEN];
        frame[..4].copy_from_slice(&claimed.to_le_bytes());
        let cipher = ChaCha20Poly1305::new(&[7; 32].into());
        let tag = cipher
            .encrypt_inout_detached(&[0; 12].into(), &[], (&mut frame[..PLAIN_LEN]).into())
            .unwrap();
        frame[PLAIN_LEN..].copy_from_slice(&tag);
        frame
    }

    #[test]
    fn a_chunk_length_above_1024_is_refused_and_an_empty_chunk_is_not() {
        for claimed in [1025, 1028, 1 << 31, u32::MAX] {
            let opened = Opener::new(&[7; 32]).open(&mut lying(claimed)).map(<[u8]>::len);
            assert_eq!(opened, Err(ProtocolError::ChunkTooLong { claimed }));
        }
        assert_eq!(Opener::new(&[7; 32]).open(&mut lying(1024)).unwrap().len(), 1024);
        assert_eq!(Opener::new(&[7; 32]).open(&mut lying(0)).unwrap(), b"");
    }

    #[test]
    fn a_nonce_is_never_repeated() {
        let mut sealer = Sealer::new(&[7; 32]);
        sealer.counter.0 = u64::MAX - 1;
        sealer.seal(b"last", &mut Vec::new()).unwrap();
        for _ in 0..2 {
            assert_eq!(
                sealer.seal(b"one more", &mut Vec::new()),
                Err(ProtocolError::NonceExhausted)
            );
        }
        let mut opener = Opener::new(&[7; 32]);
        opener.counter.0 = u64::MAX;
        assert_eq!(opener.open(&mut sealed(b"x")), Err(ProtocolError::NonceExhausted));
    }

    #[test]
    fn nonces_count_up_little_endian_after_four_zero_bytes() {
        let mut counter = Counter(0x0102);
        assert_eq!(
            counter.next().unwrap().as_slice(),
            [0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            counter.next().unwrap().as_slice(),
            [0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0]
        );
    }
}
