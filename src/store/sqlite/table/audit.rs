//! The audit chain's tables: records, and the place behind which they begin.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use sigward_policies::model::id::StoreId;

use super::{
    AUDIT_BASE, AUDIT_BASE_VERSION, Unreadable, counter, damaged, exactly_one, number, read_schema_version,
};
use crate::store::encoding::Encoder;
use crate::store::record::{AuditHead, AuditRecord};

/// A chain whose first record is still here.
pub(super) fn create_audit_base(connection: &Connection, store: &StoreId) -> rusqlite::Result<()> {
    let base = AuditHead::genesis(store);
    connection.execute_batch(AUDIT_BASE)?;
    connection.execute(
        "INSERT INTO audit_base (one, sequence, hash, checksum) VALUES (1, ?1, ?2, ?3)",
        params![number(base.sequence)?, base.hash, base_checksum(store, &base)],
    )?;
    Ok(())
}

fn base_checksum(store: &StoreId, base: &AuditHead) -> [u8; 32] {
    let mut to = Encoder::with_capacity(96);
    to.raw(b"sigward audit base v1");
    to.raw(&store.0);
    to.u64(base.sequence);
    to.raw(&base.hash);
    Sha256::digest(to.finish()).into()
}

/// Reads where the records in the table begin: the place of the last one that was forgotten. Earlier layouts forget none.
pub(in crate::store::sqlite) fn read_audit_base(
    connection: &Connection,
    store: &StoreId,
) -> Result<AuditHead, Unreadable> {
    if read_schema_version(connection)? < AUDIT_BASE_VERSION {
        return Ok(AuditHead::genesis(store));
    }
    let (base, checksum) = connection.query_row(
        "SELECT sequence, hash, checksum FROM audit_base WHERE one = 1",
        [],
        |row| {
            let base = AuditHead {
                sequence: counter(row, 0)?,
                hash: row.get(1)?,
            };
            Ok((base, row.get::<_, [u8; 32]>(2)?))
        },
    )?;
    if base_checksum(store, &base) == checksum {
        Ok(base)
    } else {
        damaged("the checksum of the audit chain's beginning does not hold")
    }
}

/// Forgets every record up to `base`, which is the place of the last of them, inside an open transaction.
pub(in crate::store::sqlite) fn forget_records(
    connection: &Connection,
    store: &StoreId,
    base: &AuditHead,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM audit WHERE sequence <= ?1")?
        .execute([number(base.sequence)?])?;
    let written = connection
        .prepare_cached("UPDATE audit_base SET sequence = ?1, hash = ?2, checksum = ?3 WHERE one = 1")?
        .execute(params![
            number(base.sequence)?,
            base.hash,
            base_checksum(store, base)
        ])?;
    exactly_one(written)
}

/// Appends a record to the audit chain.
pub(in crate::store::sqlite) fn append_record(
    connection: &Connection,
    record: &AuditRecord,
    encoded: &[u8],
) -> rusqlite::Result<()> {
    let written = connection
        .prepare_cached("INSERT INTO audit (sequence, record, hash) VALUES (?1, ?2, ?3)")?
        .execute(params![number(record.sequence)?, encoded, record.hash])?;
    exactly_one(written)
}

/// Reads up to `limit` audit records from sequence `from` on; each decodes, stands in its place and has its hash.
/// It ends early, behind the first, once `enough` is true.
pub(in crate::store::sqlite) fn read_records(
    connection: &Connection,
    from: u64,
    limit: usize,
    enough: &dyn Fn() -> bool,
) -> Result<Vec<AuditRecord>, Unreadable> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, record, hash FROM audit WHERE sequence >= ?1 ORDER BY sequence LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![i64::try_from(from).unwrap_or(i64::MAX), limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(read_record(row)?);
        if enough() {
            break;
        }
    }
    Ok(records)
}

/// Checks both ends of what the table holds of the chain: it begins behind `base`, and ends at `head`.
pub(in crate::store::sqlite) fn check_ends(
    connection: &Connection,
    store: &StoreId,
    base: &AuditHead,
    head: &AuditHead,
) -> Result<(), Unreadable> {
    let last = read_last_record(connection)?;
    // The last record is never forgotten: an empty table is a chain without records.
    if last.map_or_else(|| AuditHead::genesis(store), |record| record.head()) != *head {
        return damaged("the audit chain does not end where it should");
    }
    let first = read_records(connection, 0, 1, &|| true)?.into_iter().next();
    let begins = first.map_or(*base == AuditHead::genesis(store), |record| {
        record.sequence.checked_sub(1) == Some(base.sequence) && record.previous_hash == base.hash
    });
    if begins {
        Ok(())
    } else {
        damaged("the audit chain does not begin where it should")
    }
}

/// Reads the last audit record.
fn read_last_record(connection: &Connection) -> Result<Option<AuditRecord>, Unreadable> {
    let mut statement =
        connection.prepare("SELECT sequence, record, hash FROM audit ORDER BY sequence DESC LIMIT 1")?;
    let mut rows = statement.query([])?;
    rows.next()?.map(read_record).transpose()
}

fn read_record(row: &rusqlite::Row<'_>) -> Result<AuditRecord, Unreadable> {
    let (sequence, hash): (u64, [u8; 32]) = (counter(row, 0)?, row.get(2)?);
    let encoded: Vec<u8> = row.get(1)?;
    let record = AuditRecord::decode(&encoded)
        .map_err(|cause| Unreadable::Damaged(format!("audit record {sequence}: {cause}")))?;
    if record.sequence != sequence || record.hash != hash {
        return damaged(format!("audit record {sequence} does not have its hash"));
    }
    Ok(record)
}
