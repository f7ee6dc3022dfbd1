//! The witness: how far the store got, written down outside the database.
//!
//! SQLite opens a database whose log is gone or damaged without a word, hundreds of commits older (DECISIONS: witness). So after
//! every commit, and before anybody hears of it, the commit's number and the digest of what it left behind go into this file.
//!
//! ```text
//! two slots at 0 and 4096, written in turn (sequence mod 2), so that a torn write costs one slot and never both
//! 0    magic "SGWDWIT\x01"      8     the last byte is the version
//! 8    store id               16
//! 24   commit sequence         8     big-endian
//! 32   digest of the tables   32
//! 64   audit head: sequence    8
//! 72   audit head: hash       32
//! 104  SHA-256 of 0..104      32
//! ```
//!
//! *Invariants:* the file is preallocated and never grows, so fdatasync has no metadata to write. Good slots are consecutive. A
//! bad slot is taken for the torn write of the commit after the good one, and for nothing else: then the store must hold that
//! commit. The file is locked for life, so that a copied state folder beside one witness does not start twice.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sigward_policies::model::id::StoreId;

use super::encoding::{DecodeError, Decoder, Encoder};
use super::error::{OpenCode, OpenError};
use super::filesystem::sync_folder;
use super::lock::lock;
use super::record::AuditHead;
use crate::crash::crash_point;

/// Distance of the slots: a sector of every disk there is, so that writing one cannot tear the other.
const SLOT_STRIDE: u64 = 4096;
/// Bytes of a slot that are used.
pub const SLOT_LEN: usize = 136;
const FILE_LEN: u64 = 2 * SLOT_STRIDE;
const MAGIC: &[u8; 8] = b"SGWDWIT\x01";

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

impl Testimony {
    /// The slot that holds it.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::with_capacity(SLOT_LEN);
        to.raw(MAGIC);
        to.raw(&self.store.0);
        to.u64(self.sequence);
        to.raw(&self.digest);
        to.u64(self.audit.sequence);
        to.raw(&self.audit.hash);
        let mut slot = to.finish();
        let checksum = Sha256::digest(&slot);
        slot.extend_from_slice(&checksum);
        slot
    }

    /// Reads a slot of exactly [`SLOT_LEN`] bytes.
    pub fn decode(slot: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(slot);
        if from.array::<8>()? != *MAGIC {
            return Err(DecodeError::Value("magic"));
        }
        let testimony = Self {
            store: StoreId(from.array()?),
            sequence: from.u64()?,
            digest: from.array()?,
            audit: AuditHead {
                sequence: from.u64()?,
                hash: from.array()?,
            },
        };
        let checksum: [u8; 32] = from.array()?;
        from.finish()?;
        let signed = slot.get(..SLOT_LEN - 32).ok_or(DecodeError::Truncated)?;
        if checksum != <[u8; 32]>::from(Sha256::digest(signed)) {
            return Err(DecodeError::Value("checksum"));
        }
        Ok(testimony)
    }
}

/// What both slots together say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Testified {
    /// Both slots are good: this is the newer one.
    Whole(Testimony),
    /// One slot is good; the other can only be the torn write of the commit after it.
    Torn(Testimony),
}

impl Testified {
    /// Reads the two slots, each of [`SLOT_LEN`] bytes. `None` if they cannot have been written by a witness.
    pub fn read(even: &[u8], odd: &[u8]) -> Option<Self> {
        let slot = |bytes, parity| {
            Testimony::decode(bytes)
                .ok()
                .filter(|found| found.sequence % 2 == parity)
        };
        match (slot(even, 0), slot(odd, 1)) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(Self::Torn(one)),
            (Some(even), Some(odd))
                if even.store != odd.store || even.sequence.abs_diff(odd.sequence) != 1 =>
            {
                None
            }
            (Some(even), Some(odd)) => {
                Some(Self::Whole(if even.sequence > odd.sequence { even } else { odd }))
            }
        }
    }

    /// The newest good testimony.
    pub const fn newest(&self) -> &Testimony {
        match self {
            Self::Whole(testimony) | Self::Torn(testimony) => testimony,
        }
    }
}

/// The open witness file.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
}

impl Witness {
    /// Makes a witness that says `now`: under another name first, whole and synced, then renamed over whatever was there.
    pub(crate) fn create(path: &Path, before: &Testimony, now: &Testimony) -> Result<(), OpenError> {
        let fresh = beside(path, "new");
        let io = |doing, cause| OpenError::io(doing, &fresh, cause);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(|cause| io("create the witness", cause))?;
        let zeros = [0; FILE_LEN as usize];
        file.write_all_at(&zeros, 0)
            .map_err(|cause| io("preallocate the witness", cause))?;
        for testimony in [before, now] {
            file.write_all_at(&testimony.encode(), offset(testimony.sequence))
                .map_err(|cause| io("write the witness", cause))?;
        }
        file.sync_all().map_err(|cause| io("sync the witness", cause))?;
        crash_point!("store_witness_before_rename");
        std::fs::rename(&fresh, path).map_err(|cause| OpenError::io("rename the witness to", path, cause))?;
        sync_folder(folder_of(path))
    }

    /// Opens and locks the witness and reads what it says.
    pub(crate) fn open(path: &Path) -> Result<(Self, Testified), OpenError> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Err(OpenError::new(
                    OpenCode::WitnessMissing,
                    format!("there is no witness at {}", path.display()),
                ));
            }
            Err(cause) => return Err(OpenError::io("open the witness", path, cause)),
        };
        lock(&file, path)?;
        let corrupt = |what: &str| {
            OpenError::new(
                OpenCode::WitnessCorrupt,
                format!("the witness {} {what}", path.display()),
            )
        };
        let len = file
            .metadata()
            .map_err(|cause| OpenError::io("stat", path, cause))?
            .len();
        if len != FILE_LEN {
            return Err(corrupt(&format!("has {len} bytes, not {FILE_LEN}")));
        }
        let slot = |parity| {
            let mut bytes = [0; SLOT_LEN];
            file.read_exact_at(&mut bytes, offset(parity))
                .map_err(|cause| OpenError::io("read the witness", path, cause))?;
            Ok::<_, OpenError>(bytes)
        };
        let testified = Testified::read(&slot(0)?, &slot(1)?).ok_or_else(|| corrupt("is damaged"))?;
        Ok((Self { file }, testified))
    }

    /// Writes down a commit, durably. An error leaves unknown what the file says: the caller stops for good.
    pub(crate) fn testify(&self, testimony: &Testimony) -> std::io::Result<()> {
        crash_point!("store_before_witness");
        self.file
            .write_all_at(&testimony.encode(), offset(testimony.sequence))?;
        crash_point!("store_witness_written");
        self.file.sync_data()?;
        crash_point!("store_witness_synced");
        Ok(())
    }

    /// For tests: a witness whose every write fails.
    #[cfg(test)]
    pub(crate) const fn broken(file: File) -> Self {
        Self { file }
    }
}

const fn offset(sequence: u64) -> u64 {
    (sequence % 2) * SLOT_STRIDE
}

/// `path` with `.suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn testimony(sequence: u64) -> Testimony {
        Testimony {
            store: StoreId([3; 16]),
            sequence,
            digest: [4; 32],
            audit: AuditHead {
                sequence: 9,
                hash: [5; 32],
            },
        }
    }

    #[test]
    fn every_flipped_bit_of_a_slot_is_seen() {
        let slot = testimony(7).encode();
        assert_eq!(slot.len(), SLOT_LEN);
        assert_eq!(Testimony::decode(&slot).unwrap(), testimony(7));
        for bit in 0..slot.len() * 8 {
            let mut flipped = slot.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Testimony::decode(&flipped).is_err(), "bit {bit}");
        }
        for end in 0..slot.len() {
            assert!(Testimony::decode(&slot[..end]).is_err());
        }
    }

    #[test]
    fn slots_must_be_consecutive_of_one_store_and_in_their_place() {
        let slot = |sequence| testimony(sequence).encode();
        assert_eq!(
            Testified::read(&slot(8), &slot(7)),
            Some(Testified::Whole(testimony(8)))
        );
        assert_eq!(
            Testified::read(&slot(6), &slot(7)),
            Some(Testified::Whole(testimony(7)))
        );
        assert_eq!(
            Testified::read(&slot(6), &[0; SLOT_LEN]),
            Some(Testified::Torn(testimony(6)))
        );
        assert_eq!(Testified::read(&slot(4), &slot(7)), None);
        assert_eq!(Testified::read(&[0; SLOT_LEN], &[0; SLOT_LEN]), None);
        assert_eq!(
            Testified::read(&slot(7), &slot(7)),
            Some(Testified::Torn(testimony(7)))
        );
        let mut foreign = testimony(8);
        foreign.store = StoreId([9; 16]);
        assert_eq!(Testified::read(&foreign.encode(), &slot(7)), None);
    }
}
