//! The table of requests for approval: read with every check there is, written row by row.

use rusqlite::{Connection, params};
use sigward_policies::model::id::StoreId;

use super::{APPROVALS_VERSION, Unreadable, damaged, exactly_one, read_schema_version};
use crate::store::approval::{StoredApproval, decode_approval};
use crate::store::ledger::Kept;
use crate::store::redo::Write;
use crate::store::row::Checksum;

/// Reads and checks every request, those that ended included. Earlier layouts have none.
pub(in crate::store::sqlite) fn read_approvals(
    connection: &Connection,
    store: &StoreId,
) -> Result<Vec<Kept<StoredApproval>>, Unreadable> {
    if read_schema_version(connection)? < APPROVALS_VERSION {
        return Ok(Vec::new());
    }
    let mut statement =
        connection.prepare("SELECT ordinal, body, checksum FROM approval ORDER BY ordinal")?;
    let mut rows = statement.query([])?;
    let mut kept = Vec::new();
    while let Some(row) = rows.next()? {
        let (ordinal, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let checksum = Checksum::of_approval(store, &body);
        let value = decode_approval(&body)
            .map_err(|cause| Unreadable::Damaged(format!("request for approval {ordinal}: {cause}")))?;
        if row.get::<_, [u8; 32]>(2)? != checksum.0 {
            return damaged(format!(
                "the checksum of the request for approval {ordinal} does not hold"
            ));
        }
        kept.push(Kept {
            ordinal,
            value,
            checksum: Some(checksum),
        });
    }
    Ok(kept)
}

/// Writes a request, new, changed, or in the place of one that ended.
pub(in crate::store::sqlite) fn write_approval(
    connection: &Connection,
    store: &StoreId,
    write: &Write,
) -> Result<(), Unreadable> {
    let checksum = Checksum::of_approval(store, &write.body).0;
    let statement = if write.known {
        "UPDATE approval SET body = ?2, checksum = ?3 WHERE ordinal = ?1"
    } else {
        "INSERT INTO approval (ordinal, body, checksum) VALUES (?1, ?2, ?3)"
    };
    let written =
        connection
            .prepare_cached(statement)?
            .execute(params![write.ordinal, write.body, checksum])?;
    Ok(exactly_one(written)?)
}
