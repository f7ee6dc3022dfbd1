//! Making a store: everything is built under another name, synced, and renamed last.
//!
//! *Invariant:* at no moment does a crash leave something that opens but lacks its witness or its tables. Nothing that exists is
//! overwritten.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sigward_policies::model::id::StoreId;

use super::super::error::{OpenCode, OpenError};
use super::super::filesystem::{check_durable, check_private, make_folder, sync_folder};
use super::super::lock::Lock;
use super::super::record::{AuditEntry, AuditHead, AuditRecord};
use super::super::witness::{Witness, beside, folder_of};
use super::table::{self, Meta};
use super::{Options, SqliteStore, connection};
use crate::crash::crash_point;

/// The commit that makes a store.
pub(super) const FIRST_COMMIT: u64 = 1;

impl SqliteStore {
    /// Makes a store with a new identity; refuses where there is one, or part of one, already. Durable when it returns.
    pub fn create(options: &Options) -> Result<StoreId, OpenError> {
        make_folder(&options.dir)?;
        make_folder(folder_of(&options.witness))?;
        check_place(options)?;
        let _lock = Lock::take(&options.lock())?;
        let database = options.database();
        for path in std::iter::once(database.clone()).chain(Options::companions(&database)) {
            refuse_existing(&path)?;
        }
        set_aside_unused_witness(options)?;
        build(options, FIRST_COMMIT, None)
    }
}

/// The folders are ours, and on disks that keep what they are told to keep.
pub(super) fn check_place(options: &Options) -> Result<(), OpenError> {
    check_durable(&options.dir, options.allow_volatile)?;
    check_durable(folder_of(&options.witness), options.allow_volatile)?;
    check_private(&options.dir)
}

fn refuse_existing(path: &Path) -> Result<(), OpenError> {
    match path.try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::new(
            OpenCode::StoreExists,
            format!("{} is there already", path.display()),
        )),
        Err(cause) => Err(OpenError::io("look for", path, cause)),
    }
}

/// A witness without a database is a lost database, unless it never saw a commit: then a `create` was cut off between the two.
fn set_aside_unused_witness(options: &Options) -> Result<(), OpenError> {
    if matches!(options.witness.try_exists(), Ok(false)) {
        return Ok(());
    }
    let unused =
        Witness::open(&options.witness).is_ok_and(|(_, said)| said.newest().sequence == FIRST_COMMIT);
    if !unused {
        return refuse_existing(&options.witness);
    }
    let aside = beside(&options.witness, "unused");
    std::fs::rename(&options.witness, &aside)
        .map_err(|cause| OpenError::io("set aside", &options.witness, cause))
}

/// Builds a new store whose first commit has number `sequence`, optionally with a first audit record. The lock is held.
pub(super) fn build(
    options: &Options,
    sequence: u64,
    entry: Option<AuditEntry>,
) -> Result<StoreId, OpenError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|cause| OpenError::new(OpenCode::StoreIo, format!("no randomness: {cause}")))?;
    let store = StoreId(id);
    let genesis = AuditHead::genesis(&store);
    let first = entry.map(|entry| AuditRecord::link(&genesis, entry));
    let meta = Meta {
        store,
        sequence,
        audit: first.as_ref().map_or(genesis, |(record, _)| record.head()),
        digest: [0; 32],
    };
    let database = options.database();
    let fresh = beside(&database, "new");
    remove_leftovers(&fresh)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(|cause| OpenError::io("create", &fresh, cause))?;
    fill(&fresh, &meta, first.as_ref())?;
    crash_point!("store_create_database_built");
    let now = meta.testimony();
    Witness::create(&options.witness, options.witness_segment, &now)?;
    crash_point!("store_create_witnessed");
    std::fs::rename(&fresh, &database)
        .map_err(|cause| OpenError::io("rename the database to", &database, cause))?;
    crash_point!("store_create_renamed");
    sync_folder(&options.dir)?;
    Ok(store)
}

/// Fills an empty file; afterwards everything is in the file itself, synced, and no log is beside it.
fn fill(path: &Path, meta: &Meta, first: Option<&(AuditRecord, Vec<u8>)>) -> Result<(), OpenError> {
    let refused = |cause| connection::refused(path, cause);
    let open = connection::open(path)?;
    let mode: String = open
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(refused)?;
    if mode != "wal" {
        let what = format!(
            "{}: no write-ahead log here, journal mode is {mode}",
            path.display()
        );
        return Err(OpenError::new(OpenCode::StoreIo, what));
    }
    let transaction = open.unchecked_transaction().map_err(refused)?;
    table::create(&transaction, meta).map_err(refused)?;
    if let Some((record, encoded)) = first {
        table::append_record(&transaction, record, encoded).map_err(refused)?;
    }
    transaction.commit().map_err(refused)?;
    checkpoint(&open).map_err(refused)?;
    open.close().map_err(|(_, cause)| refused(cause))?;
    Options::companions(path).try_for_each(|companion| remove_if_there(&companion))
}

/// Folds the whole log into the database, syncs that, and empties the log.
pub(super) fn checkpoint(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 {
        Ok(())
    } else {
        Err(rusqlite::Error::QueryReturnedNoRows)
    }
}

/// What a `create` that was cut off left behind never served: it was never renamed.
fn remove_leftovers(fresh: &Path) -> Result<(), OpenError> {
    let all: Vec<PathBuf> = std::iter::once(fresh.to_owned())
        .chain(Options::companions(fresh))
        .collect();
    all.iter().try_for_each(|path| remove_if_there(path))
}

fn remove_if_there(path: &Path) -> Result<(), OpenError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(OpenError::io("remove", path, cause)),
    }
}
