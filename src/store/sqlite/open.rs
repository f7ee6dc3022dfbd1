//! Opening a store: lock, find, compare with the witness, and refuse whatever is missing, empty, damaged, foreign or older.
//!
//! *Invariant:* a store opens at its witness's commit, or at the one after it: a crash between commit and witness, of which
//! nobody had heard yet. In every other case somebody may hold a signature that this store does not know of.

use std::path::Path;
use std::sync::Arc;

use super::super::error::{OpenCode, OpenError};
use super::super::lock::Lock;
use super::super::witness::{Testified, Witness};
use super::books::Books;
use super::create::check_place;
use super::writer::Writer;
use super::{Options, SqliteStore};

impl SqliteStore {
    /// Opens the store, or says why it must not be.
    pub fn open(options: &Options) -> Result<Arc<Self>, OpenError> {
        let lock = take_place(options)?;
        find_database(&options.database())?;
        let (witness, testified) = Witness::open(&options.witness)?;
        let books = Books::read(&options.database())?;
        books.compare(&testified, &options.witness)?;
        let here = books.meta.testimony();
        if testified != Testified::Whole(here) {
            witness
                .testify(&here)
                .map_err(|cause| OpenError::io("write the witness", &options.witness, cause))?;
        }
        Self::start(Writer::new(books, witness, lock, options.clock.clone()))
            .map_err(|cause| OpenError::io("start the writer thread of", &options.dir, cause))
    }
}

/// Checks the folder and locks it.
pub(super) fn take_place(options: &Options) -> Result<Lock, OpenError> {
    let there = options
        .dir
        .try_exists()
        .map_err(|cause| OpenError::io("look for", &options.dir, cause))?;
    if !there {
        return Err(missing(&options.dir));
    }
    check_place(options)?;
    Lock::take(&options.lock())
}

/// The database is there and not empty. By its name alone: opening and closing it would drop SQLite's lock.
pub(super) fn find_database(path: &Path) -> Result<(), OpenError> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() == 0 => {
            let what = format!("{} has 0 bytes", path.display());
            Err(OpenError::new(OpenCode::StoreEmpty, what))
        }
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Err(missing(path)),
        Err(cause) => Err(OpenError::io("look for", path, cause)),
    }
}

fn missing(path: &Path) -> OpenError {
    OpenError::new(OpenCode::StoreMissing, format!("there is no {}", path.display()))
}

impl Books {
    /// Compares the store with what the witness says of it.
    pub(super) fn compare(&self, testified: &Testified, witness: &Path) -> Result<(), OpenError> {
        let said = testified.newest();
        let (here, there) = (self.meta.sequence, said.sequence);
        let refuse = |code, what: String| Err(OpenError::new(code, what));
        if said.store != self.meta.store {
            let (theirs, ours) = (said.store, self.meta.store);
            return refuse(
                OpenCode::WitnessForeign,
                format!(
                    "{} is the witness of store {theirs}, not of {ours}",
                    witness.display()
                ),
            );
        }
        // A torn slot was being written after its commit: that commit has happened, and a store without it is behind.
        let torn = matches!(testified, Testified::Torn(_));
        if here < there || (torn && here == there) {
            let more = if torn {
                " and was writing down one more"
            } else {
                ""
            };
            return refuse(
                OpenCode::StoreBehindWitness,
                format!("the store is at commit {here}, its witness saw {there}{more}"),
            );
        }
        if here > there.saturating_add(1) {
            return refuse(
                OpenCode::WitnessBehind,
                format!("the store is at commit {here}, its witness only at {there}: an older copy"),
            );
        }
        if here == there && *said != self.meta.testimony() {
            return refuse(
                OpenCode::WitnessDisagrees,
                format!("store and witness are both at commit {here} and differ: two stores ran in parallel"),
            );
        }
        Ok(())
    }
}
