//! One import at a time into a home: a lock that is held from before the first write until after the last rename.
//!
//! On the home itself where it is there (flock(2) locks folders too, and leaves nothing behind); on a file beside it where it is
//! still to be made. A file inside the folder in the making would not do: it goes where the folder goes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The lock; dropping it frees it.
pub(super) struct Lock {
    _held: File,
    /// To be removed while it is still held.
    beside: Option<PathBuf>,
}

impl Lock {
    /// Locks the home, or its name.
    pub(super) fn take(home: &Path) -> anyhow::Result<Self> {
        match File::open(home) {
            Ok(folder) => {
                hold(&folder, home)?;
                Ok(Self {
                    _held: folder,
                    beside: None,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::beside(home),
            Err(error) => Err(error).with_context(|| format!("cannot open {}", home.display())),
        }
    }

    fn beside(home: &Path) -> anyhow::Result<Self> {
        let path = super::stage::beside(home, "importing.lock")?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| {
                format!(
                    "cannot write beside {}: a home that does not exist is made there first. Make the folder yourself (empty, mode 0700, \
                     yours), and it is filled instead",
                    home.display()
                )
            })?;
        hold(&file, home)?;
        // Whoever held it may have removed it between open and lock: then this lock is on a file that nobody else sees.
        let (ours, there) = (file.metadata()?, std::fs::metadata(&path));
        anyhow::ensure!(
            there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            busy(home)
        );
        Ok(Self {
            _held: file,
            beside: Some(path),
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(path) = &self.beside {
            let _left_for_the_next = std::fs::remove_file(path);
        }
    }
}

fn hold(file: &File, home: &Path) -> anyhow::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(anyhow::anyhow!(busy(home))),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", home.display()))
        }
    }
}

fn busy(home: &Path) -> String {
    format!(
        "another import is writing {}; wait until it has ended, then look at what it made (`sigward config check`)",
        home.display()
    )
}
