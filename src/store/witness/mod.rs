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

mod entry;
mod testified;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use entry::{Entry, Testimony};
pub use testified::Testified;

use super::error::{OpenCode, OpenError};
use super::filesystem::sync_folder;
use super::lock::lock;
use super::redo::Redo;
use crate::crash::crash_point;

/// A segment is at least this long; smaller files were not made by a witness.
pub(crate) const MIN_SEGMENT: u64 = 64 * 1024;
/// A segment is at most this long: bounds what is read at start.
const MAX_SEGMENT: u64 = 64 << 20;

/// The open witness file, and where its next entry goes.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    segment_len: u64,
    segment: usize,
    tail: usize,
}

impl Witness {
    /// What an entry, and the lists in it, take besides what they hold: less than this.
    pub(crate) const AROUND: usize = entry::ALIGN;

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

    /// Bytes of the longest redo that a segment holds, less what stands in it whatever is written.
    pub(crate) fn room(&self) -> usize {
        usize::try_from(self.segment_len)
            .unwrap_or(usize::MAX)
            .saturating_sub(Self::AROUND)
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
