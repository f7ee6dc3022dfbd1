//! What a node can ask to be signed: proposals, votes and vote extensions, in types that cannot hold an invalid value.

use std::sync::Arc;

use super::id::{Height, Round};

/// A point in time as protobuf's `Timestamp` has it: seconds since 1970 in the years 1 to 9999, nanoseconds 0 to 999,999,999.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Timestamp {
    pub(super) seconds: i64,
    pub(super) nanos: i32,
}

impl Timestamp {
    /// Whole seconds.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds within the second.
    pub const fn nanos(self) -> i32 {
        self.nanos
    }
}

/// A complete block id: block hash and part-set header, 32 bytes each hash, at least one part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BlockId {
    pub(super) hash: [u8; 32],
    pub(super) total: u32,
    pub(super) part_hash: [u8; 32],
}

impl BlockId {
    /// Hash of the block's header.
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Number of parts, at least 1.
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// Root hash of the parts.
    pub const fn part_hash(&self) -> &[u8; 32] {
        &self.part_hash
    }
}

/// The step of a round, in the order in which a validator passes through them (CometBFT `privval/file.go`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Step {
    /// Proposal.
    Propose = 1,
    /// Prevote.
    Prevote = 2,
    /// Precommit.
    Precommit = 3,
}

impl Step {
    /// FilePV's number: 1, 2, 3.
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// Reads FilePV's number.
    pub const fn from_value(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Propose),
            2 => Some(Self::Prevote),
            3 => Some(Self::Precommit),
            _ => None,
        }
    }

    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Propose => "proposal",
            Self::Prevote => "prevote",
            Self::Precommit => "precommit",
        }
    }
}

/// What at most one message may ever be signed for, compared height first, then round, then step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Position {
    /// Height of the block.
    pub height: Height,
    /// Round within the height.
    pub round: Round,
    /// Step within the round.
    pub step: Step,
}

impl std::fmt::Display for Position {
    /// `height/round/step`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.height, self.round, self.step.as_str())
    }
}

/// The two kinds of vote.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VoteKind {
    /// `SIGNED_MSG_TYPE_PREVOTE` = 1.
    Prevote,
    /// `SIGNED_MSG_TYPE_PRECOMMIT` = 2.
    Precommit,
}

/// A vote without its extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// Height voted on.
    pub height: Height,
    /// Round voted in.
    pub round: Round,
    /// The block, or nil.
    pub block_id: Option<BlockId>,
    /// When the validator voted.
    pub timestamp: Timestamp,
}

/// A proposal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Height proposed for.
    pub height: Height,
    /// Round proposed in.
    pub round: Round,
    /// Proof-of-lock round, below `round`; `None` is −1 on the wire.
    pub pol_round: Option<Round>,
    /// The block proposed; never nil.
    pub block_id: BlockId,
    /// When it was proposed.
    pub timestamp: Timestamp,
}

/// The message that takes a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsensusMessage {
    /// A proposal.
    Proposal(Proposal),
    /// A prevote or precommit.
    Vote(Vote),
}

impl ConsensusMessage {
    /// The position it takes.
    pub const fn position(&self) -> Position {
        match self {
            Self::Proposal(p) => Position {
                height: p.height,
                round: p.round,
                step: Step::Propose,
            },
            Self::Vote(v) => Position {
                height: v.height,
                round: v.round,
                step: match v.kind {
                    VoteKind::Prevote => Step::Prevote,
                    VoteKind::Precommit => Step::Precommit,
                },
            },
        }
    }

    /// Its timestamp.
    pub const fn timestamp(&self) -> Timestamp {
        match self {
            Self::Proposal(p) => p.timestamp,
            Self::Vote(v) => v.timestamp,
        }
    }

    /// The same message at another time.
    #[must_use]
    pub const fn at(mut self, timestamp: Timestamp) -> Self {
        match &mut self {
            Self::Proposal(p) => p.timestamp = timestamp,
            Self::Vote(v) => v.timestamp = timestamp,
        }
        self
    }
}

/// A vote extension with its SHA-256, which the edge computes (this package has no cryptography).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extension {
    pub(super) bytes: Arc<[u8]>,
    pub(super) digest: [u8; 32],
}

impl Extension {
    /// The application's bytes, at most 1 MiB by CometBFT's rules; may be empty.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the bytes.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// A whole consensus request: the message and, for a precommit on a block, the extension to sign with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consensus {
    pub(super) message: ConsensusMessage,
    pub(super) extension: Option<Extension>,
}

impl Consensus {
    /// The message that takes a position.
    pub const fn message(&self) -> &ConsensusMessage {
        &self.message
    }

    /// The extension to sign; only ever there on a precommit for a block.
    pub const fn extension(&self) -> Option<&Extension> {
        self.extension.as_ref()
    }
}
