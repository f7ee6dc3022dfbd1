//! One sigward per state folder: a lock on a file of its own, taken before anything else is opened and held for life.
//!
//! Of Linux's three kinds of lock this is `flock`, through `File::try_lock`. A POSIX record lock (`fcntl(F_SETLK)`, which SQLite
//! takes on the database) belongs to the process and vanishes when *any* descriptor of the file is closed anywhere in it: a
//! backup that opens and closes the database would unlock it. `flock` and OFD locks belong to the open file description: only
//! closing this very one, or the end of the process, frees them. `flock` is the one of the two that the standard library has; on
//! the network file systems where it is emulated by record locks, the store refuses to live anyway.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::error::{OpenCode, OpenError};

/// The lock; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock on `path` (made if it is not there, mode 0600), or says that another process has it.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|cause| OpenError::io("open the lock file", path, cause))?;
        lock(&file, path)?;
        // The file may have been removed and made again between open and lock: then the lock is on a file that nobody else sees.
        let ours = file
            .metadata()
            .map_err(|cause| OpenError::io("stat", path, cause))?;
        let there = std::fs::metadata(path).map_err(|cause| OpenError::io("stat", path, cause))?;
        if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
            return Err(locked(path));
        }
        Ok(Self { _file: file })
    }
}

/// Locks an open file for as long as its description lives.
pub(crate) fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    file.try_lock().map_err(|refused| match refused {
        TryLockError::WouldBlock => locked(path),
        TryLockError::Error(cause) => OpenError::io("lock", path, cause),
    })
}

fn locked(path: &Path) -> OpenError {
    OpenError::new(
        OpenCode::StoreLocked,
        format!(
            "another sigward uses this state folder ({} is locked)",
            path.display()
        ),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_refused_and_opening_and_closing_the_file_frees_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guard.lock");
        let held = Lock::take(&path).unwrap();
        assert_eq!(Lock::take(&path).unwrap_err().code, OpenCode::StoreLocked);
        drop(File::open(&path).unwrap());
        assert_eq!(Lock::take(&path).unwrap_err().code, OpenCode::StoreLocked);
        drop(held);
        Lock::take(&path).unwrap();
    }
}
