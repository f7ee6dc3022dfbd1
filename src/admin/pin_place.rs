//! Whether what lies where a PIN is read from is still what it was: a refused PIN is tried again only when it is not.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use sigward_hsm::pkcs11::PinSource;

/// The file of a PIN, as it was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PinPlace {
    /// None for a descriptor: what it gives may be gone once it was read.
    path: Option<PathBuf>,
    seen: Option<Seen>,
}

/// Inode, length, and time of the last change in nanoseconds.
type Seen = (u64, u64, i64, i64);

impl PinPlace {
    pub(super) fn look(source: &PinSource) -> Self {
        let path = match source {
            PinSource::File(path) => Some(path.clone()),
            PinSource::Credential { name, directory } => directory.as_ref().map(|folder| folder.join(name)),
            PinSource::Descriptor(_) => None,
        };
        Self {
            seen: path.as_ref().and_then(see),
            path,
        }
    }

    pub(super) fn is_as_it_was(&self) -> bool {
        self.path.as_ref().and_then(see) == self.seen
    }
}

fn see(path: &PathBuf) -> Option<Seen> {
    let meta = std::fs::metadata(path).ok()?;
    // The time of the change of the inode: a file whose mode was mended is another one too.
    Some((meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec()))
}
