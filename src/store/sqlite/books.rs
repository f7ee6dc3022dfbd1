//! The open database with its ledger: read and checked as a whole, written as a whole.
//!
//! *Invariant:* whatever is in here passed every check there is without a witness: structure, encodings, checksums, the digest
//! over all rows, and the end of the audit chain.

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::Connection;

use super::super::error::{OpenCode, OpenError};
use super::super::ledger::Ledger;
use super::super::record::{AuditEntry, AuditHead, AuditRecord};
use super::connection;
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

    /// Begins the transaction that everything below happens in.
    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.run("BEGIN IMMEDIATE")
    }

    /// Makes the transaction durable.
    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.run("COMMIT")
    }

    /// Gives the transaction up.
    pub(super) fn rollback(&self) -> rusqlite::Result<()> {
        self.run("ROLLBACK")
    }

    fn run(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(|_| ())
    }

    /// Links an entry to the chain that ends at `head`, and appends it.
    pub(super) fn append(&self, head: &mut AuditHead, entry: AuditEntry) -> rusqlite::Result<()> {
        let (record, encoded) = AuditRecord::link(head, entry);
        table::append_record(&self.connection, &record, &encoded)?;
        *head = record.head();
        Ok(())
    }

    /// Writes what changed, and the store's row about itself as commit `sequence`.
    pub(super) fn write(&mut self, sequence: u64, audit: AuditHead) -> Result<Meta, Unreadable> {
        let connection = &self.connection;
        self.ledger
            .write_keys(|write| table::write_key(connection, &write))?;
        self.ledger
            .write_rows(|write| table::write_row(connection, &write))?;
        let meta = Meta {
            store: self.meta.store,
            sequence,
            audit,
            digest: self.ledger.digest().0,
        };
        table::write_meta(connection, &meta)?;
        if cfg!(debug_assertions) && self.ledger.len() <= COMPARED {
            self.compare_with_tables()?;
        }
        Ok(meta)
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
