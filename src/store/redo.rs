//! What a commit changes, as it stands in the witness: enough to write it into the tables again.
//!
//! The witness is durable before anybody hears of a commit; the tables follow. After a crash, what the tables lack is written from
//! here. Pure: bytes to writes and back.

use super::encoding::{DecodeError, Decoder, Encoder};
use super::record::AuditRecord;

/// Bytes of a row's body, at most: far above what any row has.
const MAX_BODY: usize = 64 * 1024;
/// Bytes of an encoded record, at most.
const MAX_RECORD: usize = 64 * 1024;
/// Writes in one commit, at most.
const MAX_WRITES: u32 = 65_536;

/// A row of a table, new or changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Write {
    /// Its number in the table.
    pub(crate) ordinal: i64,
    /// Whether the table has it already.
    pub(crate) known: bool,
    /// Its encoding.
    pub(crate) body: Vec<u8>,
}

/// Everything that one commit writes, besides the store's row about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Redo {
    /// Keys.
    pub(crate) keys: Vec<Write>,
    /// Guard rows.
    pub(crate) rows: Vec<Write>,
    /// Holds.
    pub(crate) holds: Vec<Write>,
    /// Requests for approval.
    pub(crate) approvals: Vec<Write>,
    /// API keys.
    pub(crate) api_keys: Vec<Write>,
    /// Audit records with their encodings, in order.
    pub(crate) records: Vec<(AuditRecord, Vec<u8>)>,
}

impl Redo {
    /// The bytes in the witness.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::with_capacity(1024);
        for writes in [&self.keys, &self.rows] {
            encode_writes(&mut to, writes);
        }
        to.u32(count(self.records.len()));
        for (_, encoded) in &self.records {
            to.sized(encoded);
        }
        // A commit without holds looks as it did before there were any; so does one without approvals, or API keys: what came later
        // stands behind what came before, and the last of them is never empty.
        let later = [&self.holds, &self.approvals, &self.api_keys];
        let last = later.iter().rposition(|writes| !writes.is_empty());
        for writes in later.iter().take(last.map_or(0, |last| last + 1)) {
            encode_writes(&mut to, writes);
        }
        to.finish()
    }

    /// Reads them back.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(bytes);
        let keys = writes(&mut from)?;
        let rows = writes(&mut from)?;
        let mut records = Vec::new();
        for _ in 0..length(&mut from)? {
            let encoded = from.sized(MAX_RECORD, "record")?.to_vec();
            records.push((AuditRecord::decode(&encoded)?, encoded));
        }
        let holds = later(&mut from, "holds")?;
        let approvals = later(&mut from, "approvals")?;
        let api_keys = later(&mut from, "API keys")?;
        from.finish()?;
        Ok(Self {
            keys,
            rows,
            holds,
            approvals,
            api_keys,
            records,
        })
    }
}

/// A list that is there if it, or one behind it, is not empty.
fn later(from: &mut Decoder<'_>, field: &'static str) -> Result<Vec<Write>, DecodeError> {
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let found = writes(from)?;
    if found.is_empty() && from.is_empty() {
        return Err(DecodeError::Value(field));
    }
    Ok(found)
}

fn encode_writes(to: &mut Encoder, writes: &[Write]) {
    to.u32(count(writes.len()));
    for write in writes {
        to.i64(write.ordinal);
        to.flag(write.known);
        to.sized(&write.body);
    }
}

fn writes(from: &mut Decoder<'_>) -> Result<Vec<Write>, DecodeError> {
    let mut writes = Vec::new();
    for _ in 0..length(from)? {
        writes.push(Write {
            ordinal: from.i64()?,
            known: from.flag("known")?,
            body: from.sized(MAX_BODY, "body")?.to_vec(),
        });
    }
    Ok(writes)
}

fn length(from: &mut Decoder<'_>) -> Result<u32, DecodeError> {
    match from.u32()? {
        length if length <= MAX_WRITES => Ok(length),
        _ => Err(DecodeError::Value("count")),
    }
}

/// A commit has a few hundred writes; one beyond the limit would be refused on the way back.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
