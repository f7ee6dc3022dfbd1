//! A bundle on disk: written, synced and read back before it has its name.
//!
//! May import: `private_file`.

use std::{io::Read as _, path::Path};

use super::{BackupError, format::MAX_BUNDLE};
use crate::private_file::{self, Draft, Existing, FileError, Trust};

/// A bundle that is on disk under a temporary name of mode 0600; dropped before [`Self::put`], it is gone.
pub struct BundleDraft(Draft);

impl BundleDraft {
    /// Writes and syncs `bundle` beside `path`. A file that is at `path` already refuses now, and not after an Argon2id.
    ///
    /// # Errors
    /// [`BackupError::File`], `file_exists` among them.
    pub fn write(path: &Path, bundle: &[u8]) -> Result<Self, BackupError> {
        refuse_existing(path)?;
        Ok(Self(Draft::write(path, bundle)?))
    }

    /// What the file system gives back.
    ///
    /// # Errors
    /// [`BackupError::File`].
    pub fn read_back(&self) -> Result<Vec<u8>, BackupError> {
        Ok(self.0.read_back(MAX_BUNDLE)?)
    }

    /// Gives the bundle its name, durably; an existing file is never replaced.
    ///
    /// # Errors
    /// [`BackupError::File`].
    pub fn put(self) -> Result<(), BackupError> {
        Ok(self.0.put(Existing::Keep)?)
    }
}

/// Refuses a path where something is already.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), FileError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Err(FileError::Exists { path: path.into() }),
        Err(_) => Ok(()),
    }
}

/// Reads a bundle wherever it is kept: sealed as it is, its mode and owner do not matter (a stick has neither). Never blocks on a pipe
/// that lies in its place, never reads more than a bundle may have.
///
/// # Errors
/// [`BackupError::File`]; [`BackupError::Malformed`] for a file that is too long.
pub fn read(path: &Path) -> Result<Vec<u8>, BackupError> {
    let (file, _) = private_file::open(path, Trust::Sealed)?;
    let mut bytes = Vec::new();
    file.take(MAX_BUNDLE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    if bytes.len() > MAX_BUNDLE {
        return Err(BackupError::Malformed("too long"));
    }
    Ok(bytes)
}
