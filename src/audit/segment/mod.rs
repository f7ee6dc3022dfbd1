//! Segments: files that hold a stretch of the audit chain, compressed, once it leaves the database. May import the store's records.
//!
//! ```text
//! magic "SGWDAUD" 1 · store id 16 · first sequence 8 · hash of the record before it 32
//! DEFLATE (RFC 1951) of: length 2 · encoded record, once for each record
//! last sequence 8 · its time 8 · its hash 32 · SHA-256 of everything so far 32 · magic "SGWDEND" 1
//! ```
//!
//! Numbers are big-endian. The records are encoded as in the database, so that the chain can be followed from file to file.
//!
//! *Invariants:* a segment has its name only when it is whole, synced and was read back; reading one takes the memory of one record,
//! whatever the file says of itself; a record that does not decode, or is not linked to the one before it, ends the reading.

mod folder;
mod read;
mod write;

pub use folder::{Segment, SegmentFolder};
pub use read::SegmentReader;
pub(super) use write::write;

use sigward_policies::model::id::StoreId;

use crate::store::AuditHead;
use crate::store::encoding::{DecodeError, Decoder, Encoder};

const MAGIC: [u8; 8] = *b"SGWDAUD\x01";
const END: [u8; 8] = *b"SGWDEND\x01";
/// Bytes before the compressed records.
const HEADER: u64 = 64;
/// Bytes behind them.
const FOOTER: u64 = 88;
/// Bytes of the footer that come before the digest.
const SUMMED: usize = 48;
/// Longest encoded record that is read; the longest that is written has less than 2,048 bytes.
const MAX_RECORD: usize = 4096;

/// What a segment says of itself before its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whose chain it is.
    pub store: StoreId,
    /// The place of the record before its first.
    pub before: AuditHead,
}

/// What it says of itself behind them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footer {
    /// The place of its last record.
    pub last: AuditHead,
    /// When that was written, microseconds since 1970.
    pub last_time: i64,
    digest: [u8; 32],
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::with_capacity(64);
        to.raw(&MAGIC);
        to.raw(&self.store.0);
        to.u64(self.before.sequence.saturating_add(1));
        to.raw(&self.before.hash);
        to.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(bytes);
        if from.array()? != MAGIC {
            return Err(DecodeError::Value("the first bytes"));
        }
        let store = StoreId(from.array()?);
        let first = from.u64()?;
        let hash = from.array()?;
        from.finish()?;
        let sequence = first.checked_sub(1).ok_or(DecodeError::Value("first sequence"))?;
        Ok(Self {
            store,
            before: AuditHead { sequence, hash },
        })
    }
}

impl Footer {
    /// Everything that the digest is over; it and the end follow.
    fn summed(last: &AuditHead, last_time: i64) -> Vec<u8> {
        let mut to = Encoder::with_capacity(SUMMED);
        to.u64(last.sequence);
        to.i64(last_time);
        to.raw(&last.hash);
        to.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(bytes);
        let sequence = from.u64()?;
        let last_time = from.i64()?;
        let hash = from.array()?;
        let digest = from.array()?;
        if from.array()? != END {
            return Err(DecodeError::Value("the last bytes"));
        }
        from.finish()?;
        Ok(Self {
            last: AuditHead { sequence, hash },
            last_time,
            digest,
        })
    }
}

#[cfg(test)]
mod tests;
