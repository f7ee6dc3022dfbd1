//! The folder of one store's segments: which there are, by their names.
//!
//! *Invariant:* a name is only a claim; whoever needs the records reads them.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use sigward_policies::model::id::StoreId;

const PREFIX: &str = "segment-";
const SUFFIX: &str = ".sgwa";
/// Digits of a sequence in a name, so that names sort as numbers do.
const DIGITS: usize = 20;

/// A segment, by its name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Segment {
    /// The sequence of its first record.
    pub first: u64,
    /// The sequence of its last one.
    pub last: u64,
    /// The file.
    pub path: PathBuf,
}

/// Where the segments and checkpoints of a store are: a folder of the audit folder, called by the store's id, so that a store that
/// took another's place never meets the other's files.
#[derive(Clone, Debug)]
pub struct SegmentFolder(PathBuf);

impl SegmentFolder {
    /// The folder of `store` in the audit folder.
    pub fn of(audit: &Path, store: &StoreId) -> Self {
        Self(audit.join(store.to_string()))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, if it is missing, for its owner alone; durable in the audit folder when it returns.
    pub fn ensure(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        match self.0.parent() {
            Some(audit) => File::open(audit)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Every segment, in order of first and last record. None where there is no folder.
    pub fn list(&self) -> io::Result<Vec<Segment>> {
        match self.list_there() {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            found => found,
        }
    }

    /// The same of a folder that must be there.
    pub(in crate::audit) fn list_there(&self) -> io::Result<Vec<Segment>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            if let Some((first, last)) = name.to_str().and_then(range) {
                found.push(self.segment(first, last));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The segment of these records, whether it is there or not.
    pub(super) fn segment(&self, first: u64, last: u64) -> Segment {
        let name = format!("{PREFIX}{first:0DIGITS$}-{last:0DIGITS$}{SUFFIX}");
        Segment {
            first,
            last,
            path: self.0.join(name),
        }
    }

    /// One that is being written.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.0.join("segment.unfinished")
    }
}

fn range(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
    let number = |text: &str| {
        let plain = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (first, last) = (number(first)?, number(last)?);
    (first >= 1 && first <= last).then_some((first, last))
}
