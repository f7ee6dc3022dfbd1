//! The tables: their definition, reading them with every check there is, writing them.
//!
//! Names, public keys and chains stand beside the encodings so that SQLite's own unique indexes are a second guard against two
//! rows for one key on one chain.
//!
//! *Invariant:* what is read here was written by us: encodings decode, checksums hold, columns say what the encoding says.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::StoreId;
use sigward_policies::model::key::Key;

use super::super::StoredRow;
use super::super::encoding::Encoder;
use super::super::holding::{StoredHold, decode_hold};
use super::super::ledger::Kept;
use super::super::record::AuditHead;
use super::super::redo::Write;
use super::super::row::{Checksum, decode_guard, decode_key};
use super::super::witness::Testimony;

mod api_keys;
mod approvals;
mod audit;

pub(super) use api_keys::{read_api_keys, write_api_key};
pub(super) use approvals::{read_approvals, write_approval};
use audit::create_audit_base;
pub(super) use audit::{append_record, check_ends, forget_records, read_audit_base, read_records};

/// The layout that this sigward writes.
pub(super) const SCHEMA_VERSION: i64 = 5;
/// The first layout: without holds.
const FIRST_VERSION: i64 = 1;
/// The layout that brought holds.
const HOLDS_VERSION: i64 = 2;
/// The layout that brought records that may be forgotten.
const AUDIT_BASE_VERSION: i64 = 3;
/// The layout that brought requests for approval.
const APPROVALS_VERSION: i64 = 4;
/// The layout that brought API keys.
const API_KEYS_VERSION: i64 = 5;
/// `PRAGMA application_id`: "sgwd".
const APPLICATION_ID: i64 = 0x7367_7764;

const SCHEMA: &str = "
CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    store BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    audit_sequence INTEGER NOT NULL,
    audit_hash BLOB NOT NULL,
    digest BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
CREATE TABLE key (
    ordinal INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    public_key BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
CREATE TABLE guard (
    ordinal INTEGER PRIMARY KEY,
    public_key BLOB NOT NULL,
    chain TEXT NOT NULL,
    body BLOB NOT NULL,
    checksum BLOB NOT NULL,
    UNIQUE (public_key, chain)
) STRICT;
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    record BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
";

/// What the second layout adds. A hold's place is in its body; the ledger refuses two holds of one place.
const HOLDS: &str = "
CREATE TABLE hold (
    ordinal INTEGER PRIMARY KEY,
    body BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
";

/// What the third layout adds: where the records that are still in the table begin.
const AUDIT_BASE: &str = "
CREATE TABLE audit_base (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    hash BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
";

/// What the fourth layout adds. A request's id is in its body; the ledger refuses two of one id.
const APPROVALS: &str = "
CREATE TABLE approval (
    ordinal INTEGER PRIMARY KEY,
    body BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
";

/// What the fifth layout adds. A key's name is in its body; the ledger refuses two of one name.
const API_KEYS: &str = "
CREATE TABLE api_key (
    ordinal INTEGER PRIMARY KEY,
    body BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
";

/// Why what is in the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// SQLite could not read.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// It read what we did not write.
    #[error("{0}")]
    Damaged(String),
    /// A layout of the future.
    #[error("layout {0}")]
    Newer(i64),
}

fn damaged<T>(what: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable::Damaged(what.into()))
}

/// The store's one row about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Meta {
    pub(super) store: StoreId,
    pub(super) sequence: u64,
    pub(super) audit: AuditHead,
    pub(super) digest: [u8; 32],
}

impl Meta {
    /// The row that goes with a testimony.
    pub(super) const fn of(testimony: &Testimony) -> Self {
        Self {
            store: testimony.store,
            sequence: testimony.sequence,
            audit: testimony.audit,
            digest: testimony.digest,
        }
    }

    /// What the witness should say.
    pub(super) const fn testimony(&self) -> Testimony {
        Testimony {
            store: self.store,
            sequence: self.sequence,
            digest: self.digest,
            audit: self.audit,
        }
    }

    fn checksum(&self) -> [u8; 32] {
        let mut to = Encoder::with_capacity(128);
        to.raw(b"sigward meta row v1");
        to.raw(&self.store.0);
        to.u64(self.sequence);
        to.u64(self.audit.sequence);
        to.raw(&self.audit.hash);
        to.raw(&self.digest);
        Sha256::digest(to.finish()).into()
    }
}

/// Makes the tables.
pub(super) fn create(connection: &Connection, meta: &Meta) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    connection.execute_batch(HOLDS)?;
    connection.execute_batch(APPROVALS)?;
    connection.execute_batch(API_KEYS)?;
    create_audit_base(connection, &meta.store)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.execute(
        "INSERT INTO schema_version (version) VALUES (?1)",
        [SCHEMA_VERSION],
    )?;
    connection.execute(
        "INSERT INTO meta (one, store, sequence, audit_sequence, audit_hash, digest, checksum)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            meta.store.0,
            number(meta.sequence)?,
            number(meta.audit.sequence)?,
            meta.audit.hash,
            meta.digest,
            meta.checksum()
        ],
    )?;
    Ok(())
}

/// Which layout the tables have.
pub(super) fn read_schema_version(connection: &Connection) -> Result<i64, Unreadable> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return damaged("not a database of sigward");
    }
    Ok(connection.query_row("SELECT version FROM schema_version", [], |row| row.get(0))?)
}

/// Refuses a layout that this sigward does not know.
pub(super) fn check_version(version: i64) -> Result<(), Unreadable> {
    match version {
        FIRST_VERSION..=SCHEMA_VERSION => Ok(()),
        newer if newer > SCHEMA_VERSION => Err(Unreadable::Newer(newer)),
        other => damaged(format!("layout {other} never existed")),
    }
}

/// Brings older tables to the present layout, inside an open transaction. Changes no row, so that commit, digest and witness stay
/// as they are.
pub(super) fn migrate(connection: &Connection) -> Result<(), Unreadable> {
    let from = read_schema_version(connection)?;
    if from == SCHEMA_VERSION {
        return Ok(());
    }
    if from < HOLDS_VERSION {
        connection.execute_batch(HOLDS)?;
    }
    if from < AUDIT_BASE_VERSION {
        create_audit_base(connection, &read_meta(connection)?.store)?;
    }
    if from < APPROVALS_VERSION {
        connection.execute_batch(APPROVALS)?;
    }
    if from < API_KEYS_VERSION {
        connection.execute_batch(API_KEYS)?;
    }
    let written = connection.execute("UPDATE schema_version SET version = ?1", [SCHEMA_VERSION])?;
    Ok(exactly_one(written)?)
}

/// SQLite's own check of its pages and cells. It sees structure, not content.
pub(super) fn quick_check(connection: &Connection) -> Result<(), Unreadable> {
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said == "ok" {
        Ok(())
    } else {
        damaged(format!("quick_check: {said}"))
    }
}

/// Reads and checks the store's row about itself.
pub(super) fn read_meta(connection: &Connection) -> Result<Meta, Unreadable> {
    let (meta, checksum) = connection.query_row(
        "SELECT store, sequence, audit_sequence, audit_hash, digest, checksum FROM meta WHERE one = 1",
        [],
        |row| {
            let meta = Meta {
                store: StoreId(row.get(0)?),
                sequence: counter(row, 1)?,
                audit: AuditHead {
                    sequence: counter(row, 2)?,
                    hash: row.get(3)?,
                },
                digest: row.get(4)?,
            };
            Ok((meta, row.get::<_, [u8; 32]>(5)?))
        },
    )?;
    if meta.checksum() == checksum {
        Ok(meta)
    } else {
        damaged("the checksum of the meta row does not hold")
    }
}

/// Writes the store's row about itself.
pub(super) fn write_meta(connection: &Connection, meta: &Meta) -> rusqlite::Result<()> {
    let written = connection
        .prepare_cached(
            "UPDATE meta SET sequence = ?1, audit_sequence = ?2, audit_hash = ?3, digest = ?4, checksum = ?5
             WHERE one = 1",
        )?
        .execute(params![
            number(meta.sequence)?,
            number(meta.audit.sequence)?,
            meta.audit.hash,
            meta.digest,
            meta.checksum()
        ])?;
    exactly_one(written)
}

/// Reads and checks every key.
pub(super) fn read_keys(connection: &Connection, store: &StoreId) -> Result<Vec<Kept<Key>>, Unreadable> {
    let mut statement =
        connection.prepare("SELECT ordinal, name, public_key, body, checksum FROM key ORDER BY ordinal")?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let (ordinal, name): (i64, String) = (row.get(0)?, row.get(1)?);
        let (public_key, body): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
        let checksum = Checksum::of_key(store, &body);
        let key =
            decode_key(&body).map_err(|cause| Unreadable::Damaged(format!("key {ordinal}: {cause}")))?;
        let same = key.name.as_str() == name && key_column(&key.version.public_key) == public_key;
        if !same || row.get::<_, [u8; 32]>(4)? != checksum.0 {
            return damaged(format!("the checksum of key {ordinal} does not hold"));
        }
        keys.push(Kept {
            ordinal,
            value: key,
            checksum: Some(checksum),
        });
    }
    Ok(keys)
}

/// Reads and checks every guard row.
pub(super) fn read_rows(
    connection: &Connection,
    store: &StoreId,
) -> Result<Vec<Kept<StoredRow>>, Unreadable> {
    let mut statement = connection
        .prepare("SELECT ordinal, public_key, chain, body, checksum FROM guard ORDER BY ordinal")?;
    let mut rows = statement.query([])?;
    let mut kept = Vec::new();
    while let Some(row) = rows.next()? {
        let ordinal: i64 = row.get(0)?;
        let (public_key, chain, body): (Vec<u8>, String, Vec<u8>) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let checksum = Checksum::of_guard(store, &body);
        let value = decode_guard(&body)
            .map_err(|cause| Unreadable::Damaged(format!("guard row {ordinal}: {cause}")))?;
        let same = key_column(&value.public_key) == public_key && value.chain.as_str() == chain;
        if !same || row.get::<_, [u8; 32]>(4)? != checksum.0 {
            return damaged(format!("the checksum of guard row {ordinal} does not hold"));
        }
        kept.push(Kept {
            ordinal,
            value,
            checksum: Some(checksum),
        });
    }
    Ok(kept)
}

/// Reads and checks every hold, lifted ones included. The first layout has none.
pub(super) fn read_holds(
    connection: &Connection,
    store: &StoreId,
) -> Result<Vec<Kept<StoredHold>>, Unreadable> {
    if read_schema_version(connection)? == FIRST_VERSION {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare("SELECT ordinal, body, checksum FROM hold ORDER BY ordinal")?;
    let mut rows = statement.query([])?;
    let mut kept = Vec::new();
    while let Some(row) = rows.next()? {
        let (ordinal, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let checksum = Checksum::of_hold(store, &body);
        let value =
            decode_hold(&body).map_err(|cause| Unreadable::Damaged(format!("hold {ordinal}: {cause}")))?;
        if row.get::<_, [u8; 32]>(2)? != checksum.0 {
            return damaged(format!("the checksum of hold {ordinal} does not hold"));
        }
        kept.push(Kept {
            ordinal,
            value,
            checksum: Some(checksum),
        });
    }
    Ok(kept)
}

/// Writes a hold, new or changed.
pub(super) fn write_hold(connection: &Connection, store: &StoreId, write: &Write) -> Result<(), Unreadable> {
    let checksum = Checksum::of_hold(store, &write.body).0;
    let statement = if write.known {
        "UPDATE hold SET body = ?2, checksum = ?3 WHERE ordinal = ?1"
    } else {
        "INSERT INTO hold (ordinal, body, checksum) VALUES (?1, ?2, ?3)"
    };
    let written =
        connection
            .prepare_cached(statement)?
            .execute(params![write.ordinal, write.body, checksum])?;
    Ok(exactly_one(written)?)
}

/// Writes a key, new or changed.
pub(super) fn write_key(connection: &Connection, store: &StoreId, write: &Write) -> Result<(), Unreadable> {
    let checksum = Checksum::of_key(store, &write.body).0;
    let written = if write.known {
        connection
            .prepare_cached("UPDATE key SET body = ?2, checksum = ?3 WHERE ordinal = ?1")?
            .execute(params![write.ordinal, write.body, checksum])?
    } else {
        let key = decode_key(&write.body).map_err(|cause| Unreadable::Damaged(cause.to_string()))?;
        connection
            .prepare_cached(
                "INSERT INTO key (ordinal, name, public_key, body, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                write.ordinal,
                key.name.as_str(),
                key_column(&key.version.public_key),
                write.body,
                checksum
            ])?
    };
    Ok(exactly_one(written)?)
}

/// Writes a guard row, new or changed.
pub(super) fn write_row(connection: &Connection, store: &StoreId, write: &Write) -> Result<(), Unreadable> {
    let checksum = Checksum::of_guard(store, &write.body).0;
    let written = if write.known {
        connection
            .prepare_cached("UPDATE guard SET body = ?2, checksum = ?3 WHERE ordinal = ?1")?
            .execute(params![write.ordinal, write.body, checksum])?
    } else {
        let row = decode_guard(&write.body).map_err(|cause| Unreadable::Damaged(cause.to_string()))?;
        connection
            .prepare_cached(
                "INSERT INTO guard (ordinal, public_key, chain, body, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                write.ordinal,
                key_column(&row.public_key),
                row.chain.as_str(),
                write.body,
                checksum
            ])?
    };
    Ok(exactly_one(written)?)
}

/// A public key as an indexed column has it.
fn key_column(key: &PublicKey) -> Vec<u8> {
    let mut to = Encoder::with_capacity(34);
    to.public_key(Some(key));
    to.finish()
}

/// SQLite's integers end at 2^63.
fn number(value: u64) -> rusqlite::Result<i64> {
    i64::try_from(value).map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))
}

fn counter(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn exactly_one(written: usize) -> rusqlite::Result<()> {
    if written == 1 {
        Ok(())
    } else {
        Err(rusqlite::Error::StatementChangedRows(written))
    }
}
