//! Canonical sign bytes: exactly what CometBFT signs, written and read back without a protobuf library.
//!
//! A message is `uvarint length ‖ protobuf` of `CanonicalVote`, `CanonicalProposal` or `CanonicalVoteExtension` (CometBFT
//! `types/canonical.go`, `proto/tendermint/types/canonical.proto`), the same bytes from v0.34 to v1.0. proto3 leaves zero
//! values out; timestamps are always there.
//!
//! *Invariant:* [`parse`] accepts only what [`of_message`] writes, byte for byte.

use super::id::{ChainId, Height, Round};
use super::payload::{BlockId, ConsensusMessage, Extension, Position, Proposal, Timestamp, Vote, VoteKind};
use crate::decision::{Refusal, RefusalCode};

/// No canonical vote or proposal is longer than this many bytes.
pub const MAX_MESSAGE: usize = 256;

/// Sign bytes of a proposal or vote on `chain`, at its own timestamp. Below 256 bytes.
pub fn of_message(message: &ConsensusMessage, chain: &ChainId) -> Vec<u8> {
    let body = match message {
        ConsensusMessage::Vote(vote) => vote_body(vote, chain),
        ConsensusMessage::Proposal(proposal) => proposal_body(proposal, chain),
    };
    body.delimited()
}

/// Sign bytes of the extension of the precommit at `position` on `chain`.
pub fn of_extension(extension: &Extension, position: Position, chain: &ChainId) -> Vec<u8> {
    let mut out = Writer::with_capacity(extension.bytes().len() + 96);
    out.bytes(1, extension.bytes());
    out.sfixed64(2, position.height.value());
    out.sfixed64(3, i64::from(position.round.value()));
    out.bytes(4, chain.as_str().as_bytes());
    out.delimited()
}

fn vote_body(vote: &Vote, chain: &ChainId) -> Writer {
    let mut out = Writer::with_capacity(MAX_MESSAGE);
    out.varint(
        1,
        match vote.kind {
            VoteKind::Prevote => 1,
            VoteKind::Precommit => 2,
        },
    );
    out.sfixed64(2, vote.height.value());
    out.sfixed64(3, i64::from(vote.round.value()));
    if let Some(id) = &vote.block_id {
        out.message(4, &block_id(id));
    }
    out.message(5, &timestamp(vote.timestamp));
    out.bytes(6, chain.as_str().as_bytes());
    out
}

fn proposal_body(proposal: &Proposal, chain: &ChainId) -> Writer {
    let mut out = Writer::with_capacity(MAX_MESSAGE);
    out.varint(1, 32);
    out.sfixed64(2, proposal.height.value());
    out.sfixed64(3, i64::from(proposal.round.value()));
    // int64 on the wire: −1 takes ten bytes.
    let pol_round = proposal.pol_round.map_or(-1, |round| i64::from(round.value()));
    out.varint(4, pol_round.cast_unsigned());
    out.message(5, &block_id(&proposal.block_id));
    out.message(6, &timestamp(proposal.timestamp));
    out.bytes(7, chain.as_str().as_bytes());
    out
}

fn block_id(id: &BlockId) -> Writer {
    let mut parts = Writer::with_capacity(48);
    parts.varint(1, u64::from(id.total()));
    parts.bytes(2, id.part_hash());
    let mut out = Writer::with_capacity(96);
    out.bytes(1, id.hash());
    out.message(2, &parts);
    out
}

fn timestamp(time: Timestamp) -> Writer {
    let mut out = Writer::with_capacity(24);
    out.varint(1, time.seconds().cast_unsigned());
    out.varint(2, i64::from(time.nanos()).cast_unsigned());
    out
}

/// A protobuf message under construction; scalar zeros are left out, as proto3 does.
struct Writer(Vec<u8>);

impl Writer {
    fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u8, value: u64) {
        if value != 0 {
            self.0.push(field << 3);
            self.raw_varint(value);
        }
    }

    fn sfixed64(&mut self, field: u8, value: i64) {
        if value != 0 {
            self.0.push(field << 3 | 1);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn bytes(&mut self, field: u8, value: &[u8]) {
        if !value.is_empty() {
            self.length_delimited(field, value);
        }
    }

    fn message(&mut self, field: u8, value: &Self) {
        self.length_delimited(field, &value.0);
    }

    fn length_delimited(&mut self, field: u8, value: &[u8]) {
        self.0.push(field << 3 | 2);
        self.raw_varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn delimited(self) -> Vec<u8> {
        let mut out = Self(Vec::with_capacity(self.0.len() + 5));
        out.raw_varint(self.0.len() as u64);
        out.0.extend_from_slice(&self.0);
        out.0
    }
}

/// Reads canonical sign bytes of a vote or proposal back, as FilePV's state file keeps them. At most 256 bytes are looked at;
/// anything that [`of_message`] would have written differently is refused.
pub fn parse(sign_bytes: &[u8]) -> Result<(ConsensusMessage, ChainId), Refusal> {
    let refuse = || {
        Refusal::new(
            RefusalCode::InvalidStateFile,
            "the sign bytes are not a canonical vote or proposal",
        )
    };
    if sign_bytes.len() > MAX_MESSAGE {
        return Err(refuse());
    }
    let (message, chain) = read_message(sign_bytes).ok_or_else(refuse)?;
    if of_message(&message, &chain) != sign_bytes {
        return Err(refuse());
    }
    Ok((message, chain))
}

fn read_message(delimited: &[u8]) -> Option<(ConsensusMessage, ChainId)> {
    let mut reader = Reader(delimited);
    let length = reader.raw_varint()?;
    if length != reader.0.len() as u64 {
        return None;
    }
    let kind = reader.varint(1)?;
    let height = Height::new(reader.sfixed64(2)?).ok()?;
    let round = Round::new(i32::try_from(reader.sfixed64(3)?).ok()?).ok()?;
    if kind == 32 {
        let pol_round = match reader.varint(4)?.cast_signed() {
            -1 => None,
            r => Some(
                Round::new(i32::try_from(r).ok()?)
                    .ok()
                    .filter(|pol| *pol < round)?,
            ),
        };
        let block_id = read_block_id(reader.bytes(5)?)?;
        let timestamp = read_timestamp(reader.bytes(6)?)?;
        let chain = read_chain(reader.bytes(7)?)?;
        let proposal = Proposal {
            height,
            round,
            pol_round,
            block_id,
            timestamp,
        };
        return reader
            .0
            .is_empty()
            .then_some((ConsensusMessage::Proposal(proposal), chain));
    }
    let kind = match kind {
        1 => VoteKind::Prevote,
        2 => VoteKind::Precommit,
        _ => return None,
    };
    let block_id = match reader.bytes(4)? {
        [] => None,
        id => Some(read_block_id(id)?),
    };
    let timestamp = read_timestamp(reader.bytes(5)?)?;
    let chain = read_chain(reader.bytes(6)?)?;
    let vote = Vote {
        kind,
        height,
        round,
        block_id,
        timestamp,
    };
    reader
        .0
        .is_empty()
        .then_some((ConsensusMessage::Vote(vote), chain))
}

fn read_chain(bytes: &[u8]) -> Option<ChainId> {
    ChainId::new(std::str::from_utf8(bytes).ok()?).ok()
}

fn read_block_id(bytes: &[u8]) -> Option<BlockId> {
    let mut reader = Reader(bytes);
    let hash = reader.bytes(1)?;
    let mut parts = Reader(reader.bytes(2)?);
    let total = u32::try_from(parts.varint(1)?).ok()?;
    BlockId::new(hash, total, parts.bytes(2)?).ok()
}

fn read_timestamp(bytes: &[u8]) -> Option<Timestamp> {
    let mut reader = Reader(bytes);
    let seconds = reader.varint(1)?.cast_signed();
    let nanos = i32::try_from(reader.varint(2)?).ok()?;
    Timestamp::new(seconds, nanos).ok()
}

/// Reads fields in ascending order; an absent field is its zero value.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn raw_varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            if shift == 63 && *first > 1 {
                return None;
            }
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn tag_is(&mut self, tag: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == tag => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn varint(&mut self, field: u8) -> Option<u64> {
        if self.tag_is(field << 3) {
            self.raw_varint()
        } else {
            Some(0)
        }
    }

    fn sfixed64(&mut self, field: u8) -> Option<i64> {
        if !self.tag_is(field << 3 | 1) {
            return Some(0);
        }
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(i64::from_le_bytes(*bytes))
    }

    fn bytes(&mut self, field: u8) -> Option<&'a [u8]> {
        if !self.tag_is(field << 3 | 2) {
            return Some(&[]);
        }
        let length = usize::try_from(self.raw_varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}
