//! The witness: a preallocated file that holds each commit, whole, before anybody hears of it; and so knows how far the store has
//! got.
//!
//! ```text
//! file    = segment ‖ segment                            equal sizes, zeros at first
//! segment = entry ‖ padding to 4096 bytes ‖ entry ‖ …    consecutive sequences; then zeros, or what is older
//! entry   = magic ‖ length of redo ‖ testimony ‖ redo ‖ SHA-256 of all before
//! ```
//!
//! One write and one fdatasync of preallocated bytes make a commit durable; the tables are written without a sync. When a segment
//! is full the tables are synced, and the other segment, whose entries they hold now, is overwritten from its beginning.
//!
//! *Invariants:* the entry of a commit is on disk before a receipt exists. An entry is overwritten only after the tables that
//! hold it were synced. What cannot have been written by a witness does not open.
//!
//! *Caveat:* the last entry of all may be torn by a crash, and then nobody heard of its commit; damage to exactly that entry looks
//! the same. The tables then hold the commit, unless they lost it in the same accident.

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
use super::redo::Redo;
use crate::crash::crash_point;

/// Entries begin at multiples of this: a sector of every disk there is, so that writing one cannot tear the one before.
const ALIGN: usize = 4096;
/// Bytes before the redo: magic, its length, the testimony.
const HEAD_LEN: usize = 8 + 4 + 16 + 8 + 32 + 8 + 32;
/// Bytes of an entry besides its redo.
const ENTRY_LEN: usize = HEAD_LEN + 32;
/// A segment is at least this long; smaller files were not made by a witness.
pub(crate) const MIN_SEGMENT: u64 = 64 * 1024;
/// A segment is at most this long: bounds what is read at start.
const MAX_SEGMENT: u64 = 64 << 20;
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
    fn stride(redo: usize) -> usize {
        redo.saturating_add(ENTRY_LEN).next_multiple_of(ALIGN)
    }
}

/// What the whole file says: the newest commits, without a gap, oldest first. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Testified {
    entries: Vec<Entry>,
    newest: Testimony,
    segment: usize,
    tail: usize,
}

impl Testified {
    /// Reads both segments. `None` if they cannot have been written by a witness: nothing in them, two stores, or an entry in
    /// the middle that is damaged.
    pub fn read(segments: [&[u8]; 2]) -> Option<Self> {
        let [even, odd] = segments.map(Run::read);
        if even.is_damaged(&odd) || odd.is_damaged(&even) {
            return None;
        }
        let (older, newer, segment) = if even.last() > odd.last() {
            (odd, even, 0)
        } else {
            (even, odd, 1)
        };
        let newest = newer.entries.last()?.testimony;
        let mut entries = Vec::new();
        if older
            .last()
            .is_some_and(|last| newer.first() == last.checked_add(1))
        {
            entries.extend(older.entries);
        }
        entries.extend(newer.entries);
        let same = entries.iter().all(|entry| entry.testimony.store == newest.store);
        same.then_some(Self {
            entries,
            newest,
            segment,
            tail: newer.tail,
        })
    }

    /// Every commit that is still in the file, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The newest commit.
    pub const fn newest(&self) -> &Testimony {
        &self.newest
    }

    /// The commit with number `sequence`, if it is still in the file.
    pub fn at(&self, sequence: u64) -> Option<&Testimony> {
        let found = self
            .entries
            .iter()
            .find(|entry| entry.testimony.sequence == sequence);
        found.map(|entry| &entry.testimony)
    }

    /// Every commit after `sequence`; `None` if one of them is no longer in the file.
    pub fn after(&self, sequence: u64) -> Option<&[Entry]> {
        let first = self.entries.first()?.testimony.sequence;
        let skip = sequence.checked_add(1)?.checked_sub(first)?;
        self.entries.get(usize::try_from(skip).ok()?..)
    }
}

/// The entries at the beginning of a segment.
struct Run {
    entries: Vec<Entry>,
    tail: usize,
    /// The highest sequence of a good entry behind the run.
    behind: Option<u64>,
}

impl Run {
    /// Reads a segment up to where its run ends, and looks at what stands behind: nothing, what is older, or damage.
    fn read(segment: &[u8]) -> Self {
        let mut run = Self {
            entries: Vec::new(),
            tail: 0,
            behind: None,
        };
        while let Ok(entry) = Entry::decode(segment.get(run.tail..).unwrap_or_default()) {
            if run
                .last()
                .is_some_and(|last| last.checked_add(1) != Some(entry.testimony.sequence))
            {
                break;
            }
            run.tail = run.tail.saturating_add(Entry::stride(entry.redo.len()));
            run.entries.push(entry);
        }
        let mut at = run.tail;
        while let Some(rest) = segment.get(at..).filter(|rest| !rest.is_empty()) {
            at = at.saturating_add(ALIGN);
            if let Ok(entry) = Entry::decode(rest) {
                run.behind = run.behind.max(Some(entry.testimony.sequence));
                at = at
                    .saturating_add(Entry::stride(entry.redo.len()))
                    .saturating_sub(ALIGN);
            }
        }
        run
    }

    /// Whether an entry of this turn stands behind the end of its run: then the one in between is damaged, and not torn. An
    /// empty run is that of a segment whose first entry was torn; what stands behind is of the turn before, unless it is newer
    /// than all of the other segment.
    fn is_damaged(&self, other: &Self) -> bool {
        let newest = self.last().or_else(|| other.last());
        self.behind
            .is_some_and(|behind| newest.is_none_or(|newest| behind > newest))
    }

    fn first(&self) -> Option<u64> {
        self.entries.first().map(|entry| entry.testimony.sequence)
    }

    fn last(&self) -> Option<u64> {
        self.entries.last().map(|entry| entry.testimony.sequence)
    }
}

/// The open witness file, and where its next entry goes.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    segment_len: u64,
    segment: usize,
    tail: usize,
}

impl Witness {
    /// Makes a witness that says `now`: under another name first, whole and synced, then renamed over whatever was there.
    pub(crate) fn create(path: &Path, segment_len: u64, now: &Testimony) -> Result<(), OpenError> {
        let fresh = beside(path, "new");
        let io = |doing, cause| OpenError::io(doing, &fresh, cause);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(|cause| io("create the witness", cause))?;
        let zeros = [0; MIN_SEGMENT as usize];
        let mut at = 0;
        while at < segment_len.saturating_mul(2) {
            file.write_all_at(&zeros, at)
                .map_err(|cause| io("preallocate the witness", cause))?;
            at = at.saturating_add(MIN_SEGMENT);
        }
        let first = Entry {
            testimony: *now,
            redo: Redo::default().encode(),
        };
        file.write_all_at(&first.encode(), 0)
            .map_err(|cause| io("write the witness", cause))?;
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
        let segment_len = len / 2;
        if len % (2 * MIN_SEGMENT) != 0 || !(MIN_SEGMENT..=MAX_SEGMENT).contains(&segment_len) {
            return Err(corrupt(&format!("has {len} bytes, which no witness has")));
        }
        let read = |at| {
            let mut bytes = vec![0; usize::try_from(segment_len).unwrap_or(0)];
            file.read_exact_at(&mut bytes, at)
                .map_err(|cause| OpenError::io("read the witness", path, cause))?;
            Ok::<_, OpenError>(bytes)
        };
        let (even, odd) = (read(0)?, read(segment_len)?);
        let testified = Testified::read([&even, &odd]).ok_or_else(|| corrupt("is damaged"))?;
        let (segment, tail) = (testified.segment, testified.tail);
        Ok((
            Self {
                file,
                segment_len,
                segment,
                tail,
            },
            testified,
        ))
    }

    /// Bytes of a segment.
    pub(crate) const fn segment_len(&self) -> u64 {
        self.segment_len
    }

    /// Whether an entry with `redo` bytes has room in this segment.
    pub(crate) fn has_room(&self, redo: usize) -> bool {
        self.tail.saturating_add(Entry::stride(redo)) as u64 <= self.segment_len
    }

    /// Goes on in the other segment. The tables are synced: nothing that stands there is needed any more.
    pub(crate) fn switch(&mut self) {
        self.segment = 1 - self.segment;
        self.tail = 0;
    }

    /// Writes down a commit. Not durable before [`Self::sync`]. An error leaves unknown what the file says: the caller stops for
    /// good.
    pub(crate) fn write(&mut self, testimony: &Testimony, redo: Vec<u8>) -> std::io::Result<()> {
        crash_point!("store_before_witness");
        if !self.has_room(redo.len()) {
            return Err(std::io::Error::other("the commit is larger than the witness"));
        }
        let at = self
            .segment_len
            .saturating_mul(self.segment as u64)
            .saturating_add(self.tail as u64);
        let stride = Entry::stride(redo.len());
        let entry = Entry {
            testimony: *testimony,
            redo,
        };
        self.file.write_all_at(&entry.encode(), at)?;
        crash_point!("store_witness_written");
        self.tail = self.tail.saturating_add(stride);
        Ok(())
    }

    /// Writes the newest entry once more, in its place, and syncs it: a process that died before its sync, or a sync that failed,
    /// left it in memory only, where the next entry would make it look damaged after a power cut.
    pub(crate) fn affirm(&self, newest: &Entry) -> std::io::Result<()> {
        let before = self.tail.saturating_sub(Entry::stride(newest.redo.len()));
        let at = self
            .segment_len
            .saturating_mul(self.segment as u64)
            .saturating_add(before as u64);
        self.file.write_all_at(&newest.encode(), at)?;
        self.file.sync_data()
    }

    /// Makes what was written durable: the one sync of a commit, of bytes that were allocated long before.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        self.file.sync_data()?;
        crash_point!("store_witness_synced");
        Ok(())
    }

    /// For tests: a witness whose every write fails.
    #[cfg(test)]
    pub(crate) const fn broken(file: File) -> Self {
        Self {
            file,
            segment_len: MIN_SEGMENT,
            segment: 0,
            tail: 0,
        }
    }
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

    fn entry(sequence: u64) -> Entry {
        let audit = AuditHead {
            sequence: 9,
            hash: [5; 32],
        };
        Entry {
            testimony: Testimony {
                store: StoreId([3; 16]),
                sequence,
                digest: [4; 32],
                audit,
            },
            redo: vec![7; 100 + usize::try_from(sequence).unwrap() * 13],
        }
    }

    fn segment(sequences: impl IntoIterator<Item = u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for sequence in sequences {
            bytes.extend(entry(sequence).encode());
            bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        }
        bytes.resize(64 * 1024, 0);
        bytes
    }

    fn read(even: &[u8], odd: &[u8]) -> Option<(u64, u64)> {
        let testified = Testified::read([even, odd])?;
        Some((testified.entries[0].testimony.sequence, testified.newest.sequence))
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_an_entry_is_seen() {
        let whole = entry(7).encode();
        assert_eq!(whole.len(), ENTRY_LEN + entry(7).redo.len());
        assert_eq!(Entry::decode(&whole).unwrap(), entry(7));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::decode(&flipped).is_err(), "bit {bit}");
        }
        for end in 0..whole.len() {
            assert!(Entry::decode(&whole[..end]).is_err());
        }
    }

    #[test]
    fn the_newest_run_counts_and_an_older_one_only_if_it_joins() {
        let zeros = segment([]);
        assert_eq!(read(&segment(1..=4), &zeros), Some((1, 4)));
        assert_eq!(read(&segment(1..=4), &segment(5..=8)), Some((1, 8)));
        assert_eq!(read(&segment(9..=11), &segment(5..=8)), Some((5, 11)));
        assert_eq!(read(&segment(9..=11), &segment(3..=6)), Some((9, 11)));
        assert_eq!(read(&zeros, &zeros), None);
        assert_eq!(
            Testified::read([&segment(1..=4), &segment(5..=8)])
                .unwrap()
                .after(6)
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            Testified::read([&segment(1..=4), &zeros])
                .unwrap()
                .after(4)
                .unwrap()
                .len(),
            0
        );
        assert!(
            Testified::read([&segment(3..=4), &zeros])
                .unwrap()
                .after(1)
                .is_none()
        );
    }

    #[test]
    fn what_is_older_behind_the_end_is_passed_over_and_what_is_newer_is_damage() {
        // Segment overwritten from its beginning: entries of the last turn stand behind.
        let mut bytes = segment(1..=6);
        let fresh = segment([20, 21]);
        let end = Entry::stride(entry(20).redo.len()) + Entry::stride(entry(21).redo.len());
        bytes[..end].copy_from_slice(&fresh[..end]);
        assert_eq!(read(&bytes, &segment([])), Some((20, 21)));
        // The last entry torn: nobody heard of it. One before it: damage.
        let stride = |sequence| Entry::stride(entry(sequence).redo.len());
        let mut torn = segment(1..=3);
        torn[stride(1) + stride(2) + 50] ^= 1;
        assert_eq!(read(&torn, &segment([])), Some((1, 2)));
        let mut damaged = segment(1..=3);
        damaged[stride(1) + 50] ^= 1;
        assert_eq!(read(&damaged, &segment([])), None);
    }

    #[test]
    fn a_segment_whose_first_entry_is_torn_leaves_the_other_one_in_force() {
        let mut torn = segment(1..=4);
        let half = entry(9).encode();
        torn[..half.len() / 2].copy_from_slice(&half[..half.len() / 2]);
        assert_eq!(read(&torn, &segment(5..=8)), Some((5, 8)));
        // The same with an entry of this turn behind it is damage.
        let mut damaged = segment(9..=11);
        damaged[50] ^= 1;
        assert_eq!(read(&damaged, &segment(5..=8)), None);
    }

    #[test]
    fn two_stores_in_one_witness_are_damage() {
        let mut foreign = entry(5);
        foreign.testimony.store = StoreId([9; 16]);
        let mut odd = foreign.encode();
        odd.resize(64 * 1024, 0);
        assert_eq!(read(&segment(1..=4), &odd), None);
    }
}
