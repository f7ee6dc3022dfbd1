//! Opening a store: lock, find, compare with the witness, and refuse whatever is missing, empty, damaged, foreign or older.
//!
//! *Invariant:* a store opens at its witness's commit, or at the one after it: a crash between commit and witness, of which
//! nobody had heard yet. In every other case somebody may hold a signature that this store does not know of.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::super::error::{OpenCode, OpenError};
use super::super::ledger::Ledger;
use super::super::lock::Lock;
use super::super::record::AuditHead;
use super::super::witness::{Testified, Testimony, Witness};
use super::create::check_place;
use super::table::{self, Meta, SCHEMA_VERSION, Unreadable};
use super::writer::Writer;
use super::{Options, SqliteStore, connection};

impl SqliteStore {
    /// Opens the store, or says why it must not be.
    pub fn open(options: &Options) -> Result<Arc<Self>, OpenError> {
        let lock = take_place(options)?;
        find_database(&options.database())?;
        let (witness, testified) = Witness::open(&options.witness)?;
        let loaded = Loaded::read(&options.database())?;
        loaded.compare(&testified, &options.witness)?;
        let here = loaded.meta.testimony();
        if testified != Testified::Whole(here) {
            witness
                .testify(&here)
                .map_err(|cause| OpenError::io("write the witness", &options.witness, cause))?;
        }
        Self::start(Writer::new(loaded, witness, lock, options.clock.clone()))
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
    OpenError::new(
        OpenCode::StoreMissing,
        format!("there is no {}", path.display()),
    )
}

/// A database that is whole in itself.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) connection: Connection,
    pub(super) meta: Meta,
    pub(super) ledger: Ledger,
}

impl Loaded {
    /// Opens the database and reads all of it but the older audit records.
    pub(super) fn read(path: &Path) -> Result<Self, OpenError> {
        let connection = connection::open(path)?;
        match Self::check(&connection) {
            Ok((meta, ledger)) => Ok(Self {
                connection,
                meta,
                ledger,
            }),
            Err(Unreadable::Sqlite(cause)) => Err(connection::refused(path, cause)),
            Err(Unreadable::Damaged(what)) => Err(OpenError::new(
                OpenCode::StoreCorrupt,
                format!("{}: {what}", path.display()),
            )),
            Err(Unreadable::Newer(version)) => Err(OpenError::new(
                OpenCode::StoreNewer,
                format!("{} has layout {version}; this sigward knows {SCHEMA_VERSION}", path.display()),
            )),
        }
    }

    fn check(connection: &Connection) -> Result<(Meta, Ledger), Unreadable> {
        let version = table::read_schema_version(connection)?;
        match version.cmp(&SCHEMA_VERSION) {
            Ordering::Equal => {}
            Ordering::Greater => return Err(Unreadable::Newer(version)),
            Ordering::Less => return Err(Unreadable::Damaged(format!("layout {version} never existed"))),
        }
        // A database whose header lost the mark of the log would pass over the log without a word.
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        if mode != "wal" {
            return Err(Unreadable::Damaged(format!("journal mode is {mode}, not wal")));
        }
        table::quick_check(connection)?;
        let meta = table::read_meta(connection)?;
        let keys = table::read_keys(connection, &meta.store)?;
        let rows = table::read_rows(connection, &meta.store)?;
        let ledger = Ledger::load(meta.store, keys, rows).map_err(Unreadable::Damaged)?;
        if ledger.digest().0 != meta.digest {
            let what = "rows or keys are missing, doubled or older than the rest";
            return Err(Unreadable::Damaged(what.to_owned()));
        }
        let last = table::read_last_record(connection)?;
        let head = last.map_or_else(|| AuditHead::genesis(&meta.store), |record| record.head());
        if head != meta.audit {
            let what = "the audit chain does not end where it should";
            return Err(Unreadable::Damaged(what.to_owned()));
        }
        Ok((meta, ledger))
    }

    /// Compares the store with what the witness says of it.
    pub(super) fn compare(&self, testified: &Testified, witness: &Path) -> Result<(), OpenError> {
        let said = testified.newest();
        let (here, there) = (self.meta.sequence, said.sequence);
        let refuse = |code, what: String| Err(OpenError::new(code, what));
        if said.store != self.meta.store {
            let (theirs, ours) = (said.store, self.meta.store);
            return refuse(
                OpenCode::WitnessForeign,
                format!("{} is the witness of store {theirs}, not of {ours}", witness.display()),
            );
        }
        // A torn slot was being written after its commit: that commit has happened, and a store without it is behind.
        let torn = matches!(testified, Testified::Torn(_));
        if here < there || (torn && here == there) {
            let more = if torn { " and was writing down one more" } else { "" };
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

impl Meta {
    /// What the witness should say.
    pub(super) const fn testimony(&self) -> Testimony {
        Testimony {
            store: self.store,
            sequence: self.sequence,
            digest: self.digest,
            audit: self.audit,
        }
    }
}
