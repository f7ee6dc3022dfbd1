//! The sign bytes of a precommit, made anew from a block's commit: an encoder of its own, so that sigward's is not its own judge
//! (CometBFT `types/canonical.go`, `types/vote.go` VoteSignBytes).

use jiff::Timestamp;
use serde_json::Value;

/// The sign bytes of the first precommit in the `commit` of an RPC answer.
pub(crate) fn precommit(commit: &Value, chain: &str) -> Option<Vec<u8>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let height: i64 = text(&commit["height"])?.parse().ok()?;
    let time: Timestamp = text(&commit["signatures"][0]["timestamp"])?.parse().ok()?;
    let id = &commit["block_id"];

    let mut parts = Vec::new();
    varint(&mut parts, 1, commit["block_id"]["parts"]["total"].as_u64()?);
    bytes(&mut parts, 2, &hex::decode(text(&id["parts"]["hash"])?).ok()?);
    let mut block_id = Vec::new();
    bytes(&mut block_id, 1, &hex::decode(text(&id["hash"])?).ok()?);
    bytes(&mut block_id, 2, &parts);
    let mut timestamp = Vec::new();
    varint(&mut timestamp, 1, u64::try_from(time.as_second()).ok()?);
    varint(&mut timestamp, 2, u64::try_from(time.subsec_nanosecond()).ok()?);

    let mut vote = Vec::new();
    varint(&mut vote, 1, 2);
    fixed(&mut vote, 2, height);
    fixed(&mut vote, 3, commit["round"].as_i64()?);
    bytes(&mut vote, 4, &block_id);
    bytes(&mut vote, 5, &timestamp);
    bytes(&mut vote, 6, chain.as_bytes());
    let mut framed = Vec::new();
    raw_varint(&mut framed, vote.len() as u64);
    framed.extend(vote);
    Some(framed)
}

fn raw_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// proto3 leaves zeros out.
fn varint(out: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        raw_varint(out, field << 3);
        raw_varint(out, value);
    }
}

fn fixed(out: &mut Vec<u8>, field: u64, value: i64) {
    if value != 0 {
        raw_varint(out, field << 3 | 1);
        out.extend(value.to_le_bytes());
    }
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    raw_varint(out, field << 3 | 2);
    raw_varint(out, value.len() as u64);
    out.extend(value);
}
