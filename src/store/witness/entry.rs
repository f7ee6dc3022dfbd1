//! An entry: the bytes of one commit in the witness.
//!
//! ```text
//! entry = magic ‖ length of redo ‖ testimony ‖ redo ‖ SHA-256 of all before
//! ```

use sha2::{Digest, Sha256};
use sigward_policies::model::id::StoreId;

use super::super::encoding::{DecodeError, Decoder, Encoder};
use super::super::record::AuditHead;

/// Entries begin at multiples of this: a sector of every disk there is, so that writing one cannot tear the one before.
pub(super) const ALIGN: usize = 4096;
/// Bytes before the redo: magic, its length, the testimony.
const HEAD_LEN: usize = 8 + 4 + 16 + 8 + 32 + 8 + 32;
/// Bytes of an entry besides its redo.
pub(super) const ENTRY_LEN: usize = HEAD_LEN + 32;
const MAGIC: &[u8; 8] = b"SGWDWIT\x02";

/// What the witness knows of one commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Testimony {
    /// Which store.
    pub store: StoreId,
    /// Which commit.
    pub sequence: u64,
    /// Digest of all guard rows and keys after it.
    pub digest: [u8; 32],
    /// Where the audit chain ended.
    pub audit: AuditHead,
}

/// A commit in the witness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What the store is after it.
    pub testimony: Testimony,
    /// What it writes, encoded.
    pub redo: Vec<u8>,
}

impl Entry {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::with_capacity(self.redo.len().saturating_add(ENTRY_LEN));
        to.raw(MAGIC);
        to.u32(u32::try_from(self.redo.len()).unwrap_or(u32::MAX));
        to.raw(&self.testimony.store.0);
        to.u64(self.testimony.sequence);
        to.raw(&self.testimony.digest);
        to.u64(self.testimony.audit.sequence);
        to.raw(&self.testimony.audit.hash);
        to.raw(&self.redo);
        let mut bytes = to.finish();
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads the entry that begins with `bytes`; what follows it does not matter.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(bytes);
        if from.array::<8>()? != *MAGIC {
            return Err(DecodeError::Value("magic"));
        }
        let length = from.u32()? as usize;
        let testimony = Testimony {
            store: StoreId(from.array()?),
            sequence: from.u64()?,
            digest: from.array()?,
            audit: AuditHead {
                sequence: from.u64()?,
                hash: from.array()?,
            },
        };
        let redo = from.raw(length)?.to_vec();
        let checksum: [u8; 32] = from.array()?;
        let signed = bytes
            .get(..HEAD_LEN.saturating_add(length))
            .ok_or(DecodeError::Truncated)?;
        if checksum != <[u8; 32]>::from(Sha256::digest(signed)) {
            return Err(DecodeError::Value("checksum"));
        }
        Ok(Self { testimony, redo })
    }

    /// Where the next entry begins, from where this one does.
    pub(super) fn stride(redo: usize) -> usize {
        redo.saturating_add(ENTRY_LEN).next_multiple_of(ALIGN)
    }
}
