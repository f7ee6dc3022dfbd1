//! The one place that opens a database, and how it is opened.
//!
//! *Invariant:* a connection from here holds the database alone, syncs only when the writer folds the log (the witness is what is
//! durable in between), and never folds behind our back when it is closed: what was refused stays as it was found.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::error::{OpenCode, OpenError};

/// Opens a database that is there (`SQLITE_OPEN_CREATE` is not among the flags).
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that opens the database; the lock on the state folder is held"
)]
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|cause| refused(path, cause))?;
    configure(&connection).map_err(|cause| refused(path, cause))?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(32);
    // Exclusive before the log is first touched: then its index lives in memory and there is no -shm file.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    // The witness holds a commit, synced, before the tables do; they are synced when they are folded (`checkpoint`).
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // Its errors would go unseen, and it would stand in the way of a vote: the writer folds the log when a segment is full.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "mmap_size", 0)
}

/// SQLite's word for what went wrong, in ours.
pub(super) fn refused(path: &Path, cause: rusqlite::Error) -> OpenError {
    let code = match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenCode::StoreLocked,
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::OutOfMemory,
        ) => OpenCode::StoreIo,
        _ => OpenCode::StoreCorrupt,
    };
    OpenError::new(code, format!("{}: {cause}", path.display())).because(cause)
}
