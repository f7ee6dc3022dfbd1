//! Opening a store: lock, find, compare with the witness, and refuse whatever is missing, empty, damaged, foreign or older.
//!
//! *Invariant:* a store opens at its witness's commit, what the tables lack being written from the witness; or at the one after it:
//! a crash before the witness was synced, of which nobody had heard. In every other case somebody may hold a signature that this
//! store does not know of.

use std::path::Path;
use std::sync::Arc;

use super::super::error::{OpenCode, OpenError};
use super::super::lock::Lock;
use super::super::redo::Redo;
use super::super::witness::{Entry, Testified, Witness};
use super::books::Books;
use super::create::{check_place, checkpoint};
use super::writer::Writer;
use super::{Options, SqliteStore, connection};

impl SqliteStore {
    /// Opens the store, or says why it must not be.
    pub fn open(options: &Options) -> Result<Arc<Self>, OpenError> {
        let lock = take_place(options)?;
        find_database(&options.database())?;
        let (mut witness, testified) = Witness::open(&options.witness)?;
        let books = Books::read(&options.database())?;
        let missing = books.compare(&testified, &options.witness)?;
        let books = books.catch_up(&options.database(), missing)?;
        if books.meta.sequence > testified.newest().sequence {
            books.make_up(&mut witness, options)?;
        } else if let Some(newest) = testified.entries().last() {
            witness
                .affirm(newest)
                .map_err(|cause| OpenError::io("write the witness", &options.witness, cause))?;
        }
        Self::start(Writer::new(books, witness, lock, options))
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
    /// The tables hold one commit more than the witness: a crash before the witness was synced, of which nobody had heard. They are
    /// synced, and the witness takes note of it; there is nothing to redo.
    fn make_up(&self, witness: &mut Witness, options: &Options) -> Result<(), OpenError> {
        checkpoint(&self.connection).map_err(|cause| connection::refused(&options.database(), cause))?;
        let redo = Redo::default().encode();
        if !witness.has_room(redo.len()) {
            witness.switch();
        }
        witness
            .write(&self.meta.testimony(), redo)
            .and_then(|()| witness.sync())
            .map_err(|cause| OpenError::io("write the witness", &options.witness, cause))
    }

    /// Compares the tables with the witness: what they lack of it, oldest first.
    pub(super) fn compare<'a>(
        &self,
        testified: &'a Testified,
        witness: &Path,
    ) -> Result<&'a [Entry], OpenError> {
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
        if here > there.saturating_add(1) {
            return refuse(
                OpenCode::WitnessBehind,
                format!("the store is at commit {here}, its witness only at {there}: an older copy"),
            );
        }
        if testified
            .at(here)
            .is_some_and(|said| *said != self.meta.testimony())
        {
            return refuse(
                OpenCode::WitnessDisagrees,
                format!("store and witness both know commit {here} and differ: two stores ran in parallel"),
            );
        }
        if here > there {
            return Ok(&[]);
        }
        match testified.after(here) {
            Some(missing) => Ok(missing),
            None => refuse(
                OpenCode::StoreBehindWitness,
                format!(
                    "the store is at commit {here}, its witness at {there} and no longer holds all in between"
                ),
            ),
        }
    }
}
