//! Audit records: what was asked, by whom, and what became of it; each bound to the one before it by a hash.
//!
//! An [`AuditEntry`] is what happened; the store gives it a sequence number and links it, which makes an [`AuditRecord`].
//! `hash = SHA-256("sigward audit v1" ‖ encoded record)`, and the encoding contains the previous hash.
//!
//! *Invariants:* a record never holds a payload, a PIN or a secret: digests only. A record has one encoding, and only that
//! decodes.
//!
//! *Caveat:* the chain has no key. It shows accidents and careless hands; whoever can rewrite the whole table can rewrite the
//! chain, and a cut-off end shows only against a head that was kept elsewhere (the witness, an anchor outside).

use sha2::{Digest, Sha256};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, StoreId};
use sigward_policies::model::payload::Position;

use super::encoding::{DecodeError, Decoder, Encoder};

/// Separates the hash of a record from every other hash.
const DOMAIN: &[u8] = b"sigward audit v1";
/// First byte of every encoded record.
const VERSION: u8 = 1;
/// Longest subject, in bytes; what is over is cut when the record is made.
pub const MAX_SUBJECT: usize = 192;
/// Longest operation, in bytes.
pub const MAX_OPERATION: usize = 64;
/// Longest reason, in bytes.
pub const MAX_REASON: usize = 1024;

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

    const fn number(self) -> u8 {
        match self {
            Self::Allowed => 1,
            Self::Replayed => 2,
            Self::Denied => 3,
            Self::Failed => 4,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Allowed),
            2 => Some(Self::Replayed),
            3 => Some(Self::Denied),
            4 => Some(Self::Failed),
            _ => None,
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
    /// SHA-256 of the signature of the message: the one that was made, or the stored one that was released again.
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

/// Where the chain ends: what the next record is linked to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditHead {
    /// Sequence of the last record; 0 before the first.
    pub sequence: u64,
    /// Hash of the last record; before the first: SHA-256 of the store id.
    pub hash: [u8; 32],
}

impl AuditHead {
    /// The head of a chain without records.
    pub fn genesis(store: &StoreId) -> Self {
        Self {
            sequence: 0,
            hash: Sha256::digest(store.0).into(),
        }
    }
}

impl AuditRecord {
    /// Gives `entry` its place after `head`, and the encoding that goes to disk with it. Texts that are too long are cut.
    pub fn link(head: &AuditHead, mut entry: AuditEntry) -> (Self, Vec<u8>) {
        cut(&mut entry.subject, MAX_SUBJECT);
        cut(&mut entry.operation, MAX_OPERATION);
        cut(&mut entry.reason, MAX_REASON);
        entry.count = entry.count.max(1);
        let mut record = Self {
            sequence: head.sequence.saturating_add(1),
            entry,
            previous_hash: head.hash,
            hash: [0; 32],
        };
        let bytes = record.encode();
        record.hash = hash(&bytes);
        (record, bytes)
    }

    /// The encoding: everything but the record's own hash.
    pub fn encode(&self) -> Vec<u8> {
        let entry = &self.entry;
        let mut to = Encoder::with_capacity(256 + entry.subject.len() + entry.reason.len());
        to.u8(VERSION);
        to.u64(self.sequence);
        to.raw(&self.previous_hash);
        to.i64(entry.time_micros);
        to.sized(entry.subject.as_bytes());
        to.sized(entry.operation.as_bytes());
        to.public_key(entry.key.as_ref());
        to.chain(entry.chain.as_ref());
        to.flag(entry.position.is_some());
        if let Some(position) = entry.position {
            to.position(position);
        }
        to.u8(entry.outcome.number());
        to.sized(entry.reason.as_bytes());
        to.digest(entry.request_digest.as_ref());
        to.digest(entry.signature_digest.as_ref());
        to.u32(entry.count);
        to.finish()
    }

    /// Reads an encoding; the hash is computed from it. Whether it is linked to anything is for the reader to compare.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(bytes);
        from.version(VERSION)?;
        let sequence = from.u64()?;
        let previous_hash = from.array()?;
        let entry = AuditEntry {
            time_micros: from.i64()?,
            subject: from.text(MAX_SUBJECT, "subject")?.to_owned(),
            operation: from.text(MAX_OPERATION, "operation")?.to_owned(),
            key: from.public_key()?,
            chain: from.chain()?,
            position: if from.flag("position")? {
                Some(from.position()?)
            } else {
                None
            },
            outcome: Outcome::from_number(from.u8()?).ok_or(DecodeError::Value("outcome"))?,
            reason: from.text(MAX_REASON, "reason")?.to_owned(),
            request_digest: from.digest("request digest")?,
            signature_digest: from.digest("signature digest")?,
            count: from.u32()?,
        };
        from.finish()?;
        if sequence == 0 || entry.count == 0 {
            return Err(DecodeError::Value("sequence or count"));
        }
        Ok(Self {
            sequence,
            entry,
            previous_hash,
            hash: hash(bytes),
        })
    }

    /// Where the chain ends if this record is its last.
    pub const fn head(&self) -> AuditHead {
        AuditHead {
            sequence: self.sequence,
            hash: self.hash,
        }
    }
}

fn hash(encoded: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(encoded)
        .finalize()
        .into()
}

/// Cuts at a character's border.
fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sigward_policies::model::algorithm::Algorithm;
    use sigward_policies::model::id::{Height, Round};
    use sigward_policies::model::payload::Step;

    fn entry() -> impl Strategy<Value = AuditEntry> {
        let place = (
            proptest::option::of(any::<[u8; 32]>()),
            proptest::option::of("[a-z0-9-]{1,50}"),
            proptest::option::of((1i64..1 << 62, 0i32..=i32::MAX, 1u8..=3)),
        );
        let digests = (
            proptest::option::of(any::<[u8; 32]>()),
            proptest::option::of(any::<[u8; 32]>()),
        );
        (
            any::<i64>(),
            ".{0,300}",
            ".{0,80}",
            place,
            1u8..=4,
            ".{0,80}",
            digests,
            any::<u32>(),
        )
            .prop_map(
                |(
                    time_micros,
                    subject,
                    operation,
                    (key, chain, position),
                    outcome,
                    reason,
                    digests,
                    count,
                )| {
                    AuditEntry {
                        time_micros,
                        subject,
                        operation,
                        key: key.map(|raw| PublicKey::new(Algorithm::Ed25519, &raw).unwrap()),
                        chain: chain.map(|text| ChainId::new(&text).unwrap()),
                        position: position.map(|(height, round, step)| Position {
                            height: Height::new(height).unwrap(),
                            round: Round::new(round).unwrap(),
                            step: Step::from_value(step).unwrap(),
                        }),
                        outcome: Outcome::from_number(outcome).unwrap(),
                        reason,
                        request_digest: digests.0,
                        signature_digest: digests.1,
                        count,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_record_decodes_to_itself_and_every_prefix_and_suffix_is_refused(entry in entry()) {
            let (record, bytes) = AuditRecord::link(&AuditHead::genesis(&StoreId([7; 16])), entry);
            prop_assert_eq!(AuditRecord::decode(&bytes).unwrap(), record);
            for end in 0..bytes.len() {
                prop_assert!(AuditRecord::decode(&bytes[..end]).is_err());
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            prop_assert_eq!(AuditRecord::decode(&longer), Err(DecodeError::Trailing));
        }

        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(record) = AuditRecord::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }
}
