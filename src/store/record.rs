//! Audit records: what was asked, by whom, and what became of it; each bound to the one before it by a hash.
//!
//! An [`AuditEntry`] is what happened; the store gives it a sequence number and links it, which makes an [`AuditRecord`].
//! `hash = SHA-256("sigward audit v1" ‖ encoded record)`, and the encoding contains the previous hash.
//!
//! *Invariant:* a record never holds a payload, a PIN or a secret: digests only.

use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::ChainId;
use sigward_policies::model::payload::Position;

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Signed, or done.
    Allowed,
    /// A stored signature was released again.
    Replayed,
    /// A rule said no.
    Denied,
    /// sigward failed.
    Failed,
}

impl Outcome {
    /// The word on the wire and in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Replayed => "replayed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// Something that happened, before it has a place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Microseconds since 1970 by the local clock.
    pub time_micros: i64,
    /// Who asked (`node:CHAIN/NAME`, `uid:N`, `service`).
    pub subject: String,
    /// What was asked (`sign.cometbft.prevote`, `key.create`, …).
    pub operation: String,
    /// The key it was asked of.
    pub key: Option<PublicKey>,
    /// The chain.
    pub chain: Option<ChainId>,
    /// The position of a consensus message.
    pub position: Option<Position>,
    /// What became of it.
    pub outcome: Outcome,
    /// A stable code or a short detail; never a payload.
    pub reason: String,
    /// SHA-256 of the canonical sign bytes, or of the request.
    pub request_digest: Option<[u8; 32]>,
    /// SHA-256 of the signature that was made.
    pub signature_digest: Option<[u8; 32]>,
    /// How many equal events this entry stands for; 1 unless denials were gathered.
    pub count: u32,
}

/// An entry with its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRecord {
    /// 1, 2, 3 …, without gaps.
    pub sequence: u64,
    /// What happened.
    pub entry: AuditEntry,
    /// The hash of the record before it; of the first one: SHA-256 of the store id.
    pub previous_hash: [u8; 32],
    /// Its own hash.
    pub hash: [u8; 32],
}
