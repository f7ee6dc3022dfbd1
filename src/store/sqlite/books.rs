//! The open database with its ledger: read and checked as a whole, written as a whole.
//!
//! *Invariant:* whatever is in here passed every check there is without a witness: structure, encodings, checksums, the digest
//! over all rows, and the end of the audit chain.

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::Connection;

use super::super::error::{OpenCode, OpenError};
use super::super::ledger::Ledger;
use super::super::record::{AuditHead, AuditRecord};
use super::super::redo::Redo;
use super::super::witness::Entry;
use super::connection;
use super::create::checkpoint;
use super::table::{self, Meta, SCHEMA_VERSION, Unreadable};

/// Debug builds compare memory with the tables at every commit of a store that has no more rows than this.
const COMPARED: usize = 64;

/// A database that is whole in itself.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) connection: Connection,
    pub(super) meta: Meta,
    pub(super) ledger: Ledger,
}

impl Books {
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
                format!(
                    "{} has layout {version}; this sigward knows {SCHEMA_VERSION}",
                    path.display()
                ),
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

    /// Takes out of the ledger what `records` go with, as commit `sequence`.
    pub(super) fn draw(&mut self, sequence: u64, records: Vec<(AuditRecord, Vec<u8>)>) -> (Meta, Redo) {
        let (keys, rows) = self.ledger.take_changes();
        let audit = records
            .last()
            .map_or(self.meta.audit, |(record, _)| record.head());
        let meta = Meta {
            store: self.meta.store,
            sequence,
            audit,
            digest: self.ledger.digest().0,
        };
        (meta, Redo { keys, rows, records })
    }

    /// Writes a commit into the tables, in a transaction of its own, and takes note of it.
    pub(super) fn write(&mut self, meta: Meta, redo: &Redo) -> Result<(), Unreadable> {
        self.run("BEGIN IMMEDIATE")?;
        apply(&self.connection, &meta, redo)?;
        if cfg!(debug_assertions) && self.ledger.len() <= COMPARED {
            self.compare_with_tables()?;
        }
        self.run("COMMIT")?;
        self.meta = meta;
        Ok(())
    }

    fn run(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(|_| ())
    }

    /// Writes the commits that the witness holds and the tables lack, all or none, and syncs the tables. What comes out must be
    /// what the witness says.
    pub(super) fn catch_up(mut self, path: &Path, missing: &[Entry]) -> Result<Self, OpenError> {
        let Some(last) = missing.last() else {
            return Ok(self);
        };
        let corrupt =
            |what: String| OpenError::new(OpenCode::StoreCorrupt, format!("{}: {what}", path.display()));
        let failed = |cause: Unreadable| match cause {
            Unreadable::Sqlite(cause) => connection::refused(path, cause),
            other => corrupt(other.to_string()),
        };
        self.run("BEGIN IMMEDIATE")
            .map_err(|cause| connection::refused(path, cause))?;
        for entry in missing {
            let redo = Redo::decode(&entry.redo).map_err(|cause| {
                corrupt(format!(
                    "commit {} in the witness: {cause}",
                    entry.testimony.sequence
                ))
            })?;
            apply(&self.connection, &Meta::of(&entry.testimony), &redo).map_err(failed)?;
        }
        let (meta, ledger) = Self::check(&self.connection).map_err(failed)?;
        if meta.testimony() != last.testimony {
            return Err(corrupt(
                "what the witness adds does not come out as it says".to_owned(),
            ));
        }
        self.run("COMMIT")
            .map_err(|cause| connection::refused(path, cause))?;
        checkpoint(&self.connection).map_err(|cause| connection::refused(path, cause))?;
        self.meta = meta;
        self.ledger = ledger;
        Ok(self)
    }

    /// The ledger is what the open transaction would read.
    pub(super) fn compare_with_tables(&self) -> Result<(), Unreadable> {
        let keys = table::read_keys(&self.connection, &self.meta.store)?;
        let rows = table::read_rows(&self.connection, &self.meta.store)?;
        let tables = Ledger::load(self.meta.store, keys, rows).map_err(Unreadable::Damaged)?;
        let same = tables.digest() == self.ledger.digest()
            && tables.keys() == self.ledger.keys()
            && tables.guard_rows() == self.ledger.guard_rows();
        if same {
            Ok(())
        } else {
            Err(Unreadable::Damaged("memory and tables differ".to_owned()))
        }
    }
}

/// Writes a commit into the open transaction.
fn apply(connection: &Connection, meta: &Meta, redo: &Redo) -> Result<(), Unreadable> {
    for key in &redo.keys {
        table::write_key(connection, &meta.store, key)?;
    }
    for row in &redo.rows {
        table::write_row(connection, &meta.store, row)?;
    }
    for (record, encoded) in &redo.records {
        table::append_record(connection, record, encoded)?;
    }
    Ok(table::write_meta(connection, meta)?)
}
