//! The edge: what a peer sent, field by field, becomes a [`Consensus`] or a refusal.
//!
//! *Invariant:* every field is judged with checked conversions before a value of the inner types exists.

use super::algorithm::Address;
use super::id::{Height, Round};
use super::payload::{BlockId, Consensus, ConsensusMessage, Extension, Proposal, Timestamp, Vote, VoteKind};
use crate::decision::{Refusal, RefusalCode};

/// First second of the year 1: the zero time of Go.
const MIN_SECONDS: i64 = -62_135_596_800;
/// Last second of the year 9999.
const MAX_SECONDS: i64 = 253_402_300_799;

/// `Timestamp` as protobuf delivers it.
#[derive(Clone, Copy, Debug)]
pub struct RawTimestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: i32,
}

/// `BlockID` as protobuf delivers it.
#[derive(Clone, Copy, Debug)]
pub struct RawBlockId<'a> {
    /// Block hash, 0 or 32 bytes.
    pub hash: &'a [u8],
    /// Number of parts.
    pub total: u32,
    /// Root hash of the parts, 0 or 32 bytes.
    pub part_hash: &'a [u8],
}

/// What the request says about signing the extension (`skip_extension_signing`, v1.0).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExtensionSigning {
    /// Sign it on every precommit for a block, even when it is empty.
    Sign,
    /// The node does not want it.
    Skip,
}

/// A vote's extension fields.
#[derive(Clone, Debug)]
pub struct RawExtension<'a> {
    /// The application's bytes.
    pub bytes: &'a [u8],
    /// Their SHA-256.
    pub digest: [u8; 32],
    /// Whether the node wants it signed.
    pub signing: ExtensionSigning,
    /// Whether the v2 fields without replay protection (11, 12) were present.
    pub non_replay_protected: bool,
}

/// `Vote` as protobuf delivers it.
#[derive(Clone, Debug)]
pub struct RawVote<'a> {
    /// `SignedMsgType`: 1 prevote, 2 precommit.
    pub kind: i32,
    /// Height.
    pub height: i64,
    /// Round.
    pub round: i32,
    /// Block id; absent or all empty is nil.
    pub block_id: Option<RawBlockId<'a>>,
    /// Timestamp.
    pub timestamp: Option<RawTimestamp>,
    /// Address of the validator, 20 bytes; empty or all zero when the node does not say.
    pub validator_address: &'a [u8],
    /// Extension fields.
    pub extension: RawExtension<'a>,
}

/// `Proposal` as protobuf delivers it.
#[derive(Clone, Copy, Debug)]
pub struct RawProposal<'a> {
    /// `SignedMsgType`: 32.
    pub kind: i32,
    /// Height.
    pub height: i64,
    /// Round.
    pub round: i32,
    /// Proof-of-lock round, −1 for none.
    pub pol_round: i32,
    /// Block id.
    pub block_id: Option<RawBlockId<'a>>,
    /// Timestamp.
    pub timestamp: Option<RawTimestamp>,
}

impl Consensus {
    /// Reads a vote that is to be signed by the key with address `own`.
    pub fn from_vote(raw: &RawVote<'_>, own: &Address) -> Result<Self, Refusal> {
        let kind = match raw.kind {
            1 => VoteKind::Prevote,
            2 => VoteKind::Precommit,
            other => {
                return Err(Refusal::new(
                    RefusalCode::UnknownMessageType,
                    format!("a vote has type 1 (prevote) or 2 (precommit), not {other}"),
                ));
            }
        };
        let vote = Vote {
            kind,
            height: Height::new(raw.height)?,
            round: Round::new(raw.round)?,
            block_id: block_id(raw.block_id)?,
            timestamp: timestamp(raw.timestamp)?,
        };
        address_is(raw.validator_address, own)?;
        let extension = extension(&vote, &raw.extension)?;
        Ok(Self {
            message: ConsensusMessage::Vote(vote),
            extension,
        })
    }

    /// Reads a proposal.
    pub fn from_proposal(raw: &RawProposal<'_>) -> Result<Self, Refusal> {
        if raw.kind != 32 {
            return Err(Refusal::new(
                RefusalCode::UnknownMessageType,
                format!("a proposal has type 32, not {}", raw.kind),
            ));
        }
        let round = Round::new(raw.round)?;
        let proposal = Proposal {
            height: Height::new(raw.height)?,
            round,
            pol_round: pol_round(raw.pol_round, round)?,
            block_id: block_id(raw.block_id)?.ok_or_else(|| {
                Refusal::new(
                    RefusalCode::InvalidBlockId,
                    "a proposal without a block".to_owned(),
                )
            })?,
            timestamp: timestamp(raw.timestamp)?,
        };
        Ok(Self {
            message: ConsensusMessage::Proposal(proposal),
            extension: None,
        })
    }
}

impl Timestamp {
    /// Reads a timestamp: years 1 to 9999, nanoseconds 0 to 999,999,999.
    pub fn new(seconds: i64, nanos: i32) -> Result<Self, Refusal> {
        if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
            return Err(Refusal::new(
                RefusalCode::InvalidTimestamp,
                format!("timestamp {seconds} s {nanos} ns is outside the years 1 to 9999"),
            ));
        }
        Ok(Self { seconds, nanos })
    }
}

impl BlockId {
    /// Reads a complete block id: two hashes of 32 bytes, at least one part.
    pub fn new(hash: &[u8], total: u32, part_hash: &[u8]) -> Result<Self, Refusal> {
        match (hash.try_into(), part_hash.try_into()) {
            (Ok(hash), Ok(part_hash)) if total >= 1 => Ok(Self {
                hash,
                total,
                part_hash,
            }),
            _ => Err(Refusal::new(
                RefusalCode::InvalidBlockId,
                format!(
                    "a block id is empty or has hashes of 32 bytes and a part: got {}, {} bytes and {total} parts",
                    hash.len(),
                    part_hash.len()
                ),
            )),
        }
    }
}

fn timestamp(raw: Option<RawTimestamp>) -> Result<Timestamp, Refusal> {
    let raw =
        raw.ok_or_else(|| Refusal::new(RefusalCode::MissingTimestamp, "the message has no timestamp"))?;
    Timestamp::new(raw.seconds, raw.nanos)
}

/// Nil when absent or wholly empty (CometBFT `types/canonical.go`); half-filled is nothing.
fn block_id(raw: Option<RawBlockId<'_>>) -> Result<Option<BlockId>, Refusal> {
    match raw {
        None => Ok(None),
        Some(id) if id.hash.is_empty() && id.total == 0 && id.part_hash.is_empty() => Ok(None),
        Some(id) => BlockId::new(id.hash, id.total, id.part_hash).map(Some),
    }
}

fn pol_round(raw: i32, round: Round) -> Result<Option<Round>, Refusal> {
    match raw {
        -1 => Ok(None),
        r if r >= 0 && r < round.value() => Round::new(r).map(Some),
        r => Err(Refusal::new(
            RefusalCode::InvalidPolRound,
            format!("POL round {r} is not within −1 ≤ POL round < {round}"),
        )),
    }
}

fn address_is(claimed: &[u8], own: &Address) -> Result<(), Refusal> {
    if claimed.is_empty() || claimed == [0; 20] || claimed == own.0 {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::WrongValidatorAddress,
        format!("the vote names another validator than {own}, whose key this is"),
    ))
}

fn extension(vote: &Vote, raw: &RawExtension<'_>) -> Result<Option<Extension>, Refusal> {
    if raw.non_replay_protected {
        return Err(Refusal::new(
            RefusalCode::UnsupportedExtension,
            "extensions without replay protection (fields 11 and 12) are not signed",
        ));
    }
    let for_block = vote.kind == VoteKind::Precommit && vote.block_id.is_some();
    if !for_block && !raw.bytes.is_empty() {
        return Err(Refusal::new(
            RefusalCode::UnexpectedExtension,
            "only a precommit for a block carries an extension",
        ));
    }
    // Even an empty extension is signed: a node with extensions enabled panics on a precommit without (tmkms #857, #867).
    let wanted = for_block && raw.signing == ExtensionSigning::Sign;
    Ok(wanted.then(|| Extension {
        bytes: raw.bytes.into(),
        digest: raw.digest,
    }))
}
