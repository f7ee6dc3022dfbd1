//! The table of API keys: read with every check there is, written row by row.

use rusqlite::{Connection, params};
use sigward_policies::model::id::StoreId;

use super::{API_KEYS_VERSION, Unreadable, damaged, exactly_one, read_schema_version};
use crate::store::api_key::{StoredApiKey, decode_api_key};
use crate::store::ledger::Kept;
use crate::store::redo::Write;
use crate::store::row::Checksum;

/// Reads and checks every key, revoked ones included. Earlier layouts have none.
pub(in crate::store::sqlite) fn read_api_keys(
    connection: &Connection,
    store: &StoreId,
) -> Result<Vec<Kept<StoredApiKey>>, Unreadable> {
    if read_schema_version(connection)? < API_KEYS_VERSION {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare("SELECT ordinal, body, checksum FROM api_key ORDER BY ordinal")?;
    let mut rows = statement.query([])?;
    let mut kept = Vec::new();
    while let Some(row) = rows.next()? {
        let (ordinal, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let checksum = Checksum::of_api_key(store, &body);
        let value = decode_api_key(&body)
            .map_err(|cause| Unreadable::Damaged(format!("API key {ordinal}: {cause}")))?;
        if row.get::<_, [u8; 32]>(2)? != checksum.0 {
            return damaged(format!("the checksum of API key {ordinal} does not hold"));
        }
        kept.push(Kept {
            ordinal,
            value,
            checksum: Some(checksum),
        });
    }
    Ok(kept)
}

/// Writes a key, new or changed.
pub(in crate::store::sqlite) fn write_api_key(
    connection: &Connection,
    store: &StoreId,
    write: &Write,
) -> Result<(), Unreadable> {
    let checksum = Checksum::of_api_key(store, &write.body).0;
    let statement = if write.known {
        "UPDATE api_key SET body = ?2, checksum = ?3 WHERE ordinal = ?1"
    } else {
        "INSERT INTO api_key (ordinal, body, checksum) VALUES (?1, ?2, ?3)"
    };
    let written =
        connection
            .prepare_cached(statement)?
            .execute(params![write.ordinal, write.body, checksum])?;
    Ok(exactly_one(written)?)
}
