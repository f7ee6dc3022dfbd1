//! The state's own word that the audit folder was made: a small file beside the database. Where the folder is missing, it tells one that
//! is away from one that never was.
//!
//! *Invariants:* it is written once the folder is there, and before anything is in it; that it is missing proves nothing, as states of
//! before this have none until they next see their folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sigward_policies::model::id::StoreId;

/// Name of the file in the state folder.
const FILE: &str = "audit.begun";

/// The file.
#[derive(Clone, Debug)]
pub(super) struct Mark(PathBuf);

impl Mark {
    /// The one in this state folder, whether it is there or not.
    pub(super) fn in_state(state: &Path) -> Self {
        Self(state.join(FILE))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether it speaks of `store`: another's place may have been taken.
    pub(super) fn is_of(&self, store: &StoreId) -> io::Result<bool> {
        match std::fs::read_to_string(&self.0) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
            text => Ok(text? == line(store)),
        }
    }

    /// Says that the folder of `store` was made; durable when it returns.
    pub(super) fn set(&self, store: &StoreId) -> io::Result<()> {
        if self.is_of(store)? {
            return Ok(());
        }
        let fresh = self.0.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(line(store).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.0)?;
        match self.0.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

fn line(store: &StoreId) -> String {
    format!("{store}\n")
}
