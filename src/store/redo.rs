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
        // A commit without holds looks as it did before there were any, and so does one without approvals.
        if !self.holds.is_empty() || !self.approvals.is_empty() {
            encode_writes(&mut to, &self.holds);
        }
        if !self.approvals.is_empty() {
            encode_writes(&mut to, &self.approvals);
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
        let (mut holds, mut approvals) = (Vec::new(), Vec::new());
        if !from.is_empty() {
            holds = writes(&mut from)?;
            if holds.is_empty() && from.is_empty() {
                return Err(DecodeError::Value("holds"));
            }
        }
        if !from.is_empty() {
            approvals = writes(&mut from)?;
            if approvals.is_empty() {
                return Err(DecodeError::Value("approvals"));
            }
        }
        from.finish()?;
        Ok(Self {
            keys,
            rows,
            holds,
            approvals,
            records,
        })
    }
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
