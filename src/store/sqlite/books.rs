//! The open database with its ledger: read and checked as a whole, written as a whole.
//!
//! *Invariant:* whatever is in here passed every check there is without a witness: structure, encodings, checksums, the digest
//! over all rows, and both ends of the audit chain.

use std::path::Path;

use rusqlite::Connection;

use super::super::error::{OpenCode, OpenError};
use super::super::ledger::{Changes, Ledger};
use super::super::record::{AuditHead, AuditRecord};
use super::super::redo::Redo;
use super::super::witness::Entry;
use super::connection;
use super::create::checkpoint;
use super::table::{self, Meta, SCHEMA_VERSION, Unreadable};
use crate::crash::crash_point;

/// Debug builds compare memory with the tables at every commit of a store that has no more rows than this.
const COMPARED: usize = 64;

/// A database that is whole in itself.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) connection: Connection,
    pub(super) meta: Meta,
    pub(super) ledger: Ledger,
    /// The layout of the tables: an older one is brought up by [`Books::catch_up`], before anything is written.
    layout: i64,
}

impl Books {
    /// Opens the database and reads all of it but the older audit records.
    pub(super) fn read(path: &Path) -> Result<Self, OpenError> {
        let connection = connection::open(path)?;
        match Self::check(&connection) {
            Ok((layout, meta, ledger)) => Ok(Self {
                connection,
                meta,
                ledger,
                layout,
            }),
            Err(Unreadable::Sqlite(cause)) => Err(connection::refused(path, cause)),
            Err(Unreadable::Damaged(what)) => Err(OpenError::new(
                OpenCode::StoreCorrupt,
                format!("{}: {what}", path.display()),
            )),
            Err(Unreadable::Newer(version)) => Err(OpenError::new(
                OpenCode::StoreNewer,
                format!(
                    "{} has layout {version}; this sigward {} knows layouts up to {SCHEMA_VERSION}: going back to an older sigward is refused",
                    path.display(),
                    env!("CARGO_PKG_VERSION")
                ),
            )),
        }
    }

    fn check(connection: &Connection) -> Result<(i64, Meta, Ledger), Unreadable> {
        let layout = table::read_schema_version(connection)?;
        table::check_version(layout)?;
        // A database whose header lost the mark of the log would pass over the log without a word.
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        if mode != "wal" {
            return Err(Unreadable::Damaged(format!("journal mode is {mode}, not wal")));
        }
        table::quick_check(connection)?;
        let meta = table::read_meta(connection)?;
        let keys = table::read_keys(connection, &meta.store)?;
        let rows = table::read_rows(connection, &meta.store)?;
        let holds = table::read_holds(connection, &meta.store)?;
        let approvals = table::read_approvals(connection, &meta.store)?;
        let api_keys = table::read_api_keys(connection, &meta.store)?;
        let ledger =
            Ledger::load(meta.store, keys, rows, holds, approvals, api_keys).map_err(Unreadable::Damaged)?;
        if ledger.digest().0 != meta.digest {
            let what = "rows, keys, holds, approvals or API keys are missing, doubled or older than the rest";
            return Err(Unreadable::Damaged(what.to_owned()));
        }
        let base = table::read_audit_base(connection, &meta.store)?;
        table::check_ends(connection, &meta.store, &base, &meta.audit)?;
        Ok((layout, meta, ledger))
    }

    /// Takes out of the ledger what `records` go with, as commit `sequence`.
    pub(super) fn draw(&mut self, sequence: u64, records: Vec<(AuditRecord, Vec<u8>)>) -> (Meta, Redo) {
        let Changes {
            keys,
            rows,
            holds,
            approvals,
            api_keys,
        } = self.ledger.take_changes();
        let audit = records
            .last()
            .map_or(self.meta.audit, |(record, _)| record.head());
        let meta = Meta {
            store: self.meta.store,
            sequence,
            audit,
            digest: self.ledger.digest().0,
        };
        let redo = Redo {
            keys,
            rows,
            holds,
            approvals,
            api_keys,
            records,
        };
        (meta, redo)
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

    /// Forgets the records up to `base`, in a transaction of its own. It is no commit: what the store says of keys, rows and the
    /// end of the chain stays as it is.
    pub(super) fn forget(&self, base: &AuditHead) -> Result<(), Unreadable> {
        self.run("BEGIN IMMEDIATE")?;
        table::forget_records(&self.connection, &self.meta.store, base)?;
        crash_point!("store_forgetting");
        self.run("COMMIT")?;
        crash_point!("store_forgot");
        Ok(())
    }

    fn run(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(|_| ())
    }

    /// Brings the tables to the present layout and writes the commits that the witness holds and they lack, all or none, and syncs
    /// them. What comes out must be what the witness says.
    pub(super) fn catch_up(mut self, path: &Path, missing: &[Entry]) -> Result<Self, OpenError> {
        let expected = match missing.last() {
            Some(last) => last.testimony,
            None if self.layout == SCHEMA_VERSION => return Ok(self),
            None => self.meta.testimony(),
        };
        let corrupt =
            |what: String| OpenError::new(OpenCode::StoreCorrupt, format!("{}: {what}", path.display()));
        let failed = |cause: Unreadable| match cause {
            Unreadable::Sqlite(cause) => connection::refused(path, cause),
            other => corrupt(other.to_string()),
        };
        self.run("BEGIN IMMEDIATE")
            .map_err(|cause| connection::refused(path, cause))?;
        table::migrate(&self.connection).map_err(failed)?;
        for entry in missing {
            let redo = Redo::decode(&entry.redo).map_err(|cause| {
                corrupt(format!(
                    "commit {} in the witness: {cause}",
                    entry.testimony.sequence
                ))
            })?;
            apply(&self.connection, &Meta::of(&entry.testimony), &redo).map_err(failed)?;
        }
        let (_, meta, ledger) = Self::check(&self.connection).map_err(failed)?;
        if meta.testimony() != expected {
            return Err(corrupt(
                "what the witness adds does not come out as it says".to_owned(),
            ));
        }
        crash_point!("store_catching_up");
        self.run("COMMIT")
            .map_err(|cause| connection::refused(path, cause))?;
        crash_point!("store_caught_up");
        checkpoint(&self.connection).map_err(|cause| connection::refused(path, cause))?;
        if self.layout != SCHEMA_VERSION {
            tracing::info!(
                from = self.layout,
                to = SCHEMA_VERSION,
                "the store has a new layout"
            );
        }
        self.layout = SCHEMA_VERSION;
        self.meta = meta;
        self.ledger = ledger;
        Ok(self)
    }

    /// The ledger is what the open transaction would read.
    pub(super) fn compare_with_tables(&self) -> Result<(), Unreadable> {
        let keys = table::read_keys(&self.connection, &self.meta.store)?;
        let rows = table::read_rows(&self.connection, &self.meta.store)?;
        let holds = table::read_holds(&self.connection, &self.meta.store)?;
        let approvals = table::read_approvals(&self.connection, &self.meta.store)?;
        let api_keys = table::read_api_keys(&self.connection, &self.meta.store)?;
        let tables = Ledger::load(self.meta.store, keys, rows, holds, approvals, api_keys)
            .map_err(Unreadable::Damaged)?;
        let same = tables.digest() == self.ledger.digest()
            && tables.keys() == self.ledger.keys()
            && tables.guard_rows() == self.ledger.guard_rows()
            && tables.kept_holds() == self.ledger.kept_holds()
            && tables.approvals() == self.ledger.approvals()
            && tables.api_keys() == self.ledger.api_keys();
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
    for hold in &redo.holds {
        table::write_hold(connection, &meta.store, hold)?;
    }
    for approval in &redo.approvals {
        table::write_approval(connection, &meta.store, approval)?;
    }
    for key in &redo.api_keys {
        table::write_api_key(connection, &meta.store, key)?;
    }
    for (record, encoded) in &redo.records {
        table::append_record(connection, record, encoded)?;
    }
    Ok(table::write_meta(connection, meta)?)
}
