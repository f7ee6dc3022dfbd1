//! Audit records: what was asked, by whom, and what became of it; each bound to the one before it by a hash.
//!
//! An [`AuditEntry`] is what happened; the store gives it a sequence number and links it, which makes an [`AuditRecord`].
//! `hash = SHA-256("sigward audit v1" ‖ encoded record)`, and the encoding contains the previous hash.
//!
//! *Invariants:* a record never holds a payload, a PIN or a secret: digests only. A record has one encoding, and only that
//! decodes. What is written is of the newest [`Form`]; older ones are read for ever, and stay what they are: their bytes are in a hash.
//!
//! *Caveat:* the chain has no key. It shows accidents and careless hands; whoever can rewrite the whole table can rewrite the
//! chain, and a cut-off end shows only against a head that was kept elsewhere (the witness, an anchor outside).

use sha2::{Digest, Sha256};
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::{ChainId, StoreId};
use sigward_policies::model::payload::Position;

use super::encoding::{DecodeError, Decoder, Encoder};

mod context;
mod subject;

pub use context::Context;
pub use subject::{MAX_SUBJECT, kept_subject};

/// Separates the hash of a record from every other hash.
const DOMAIN: &[u8] = b"sigward audit v1";
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

/// How a record is encoded: its first byte. A chain goes on to a newer form, and never back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Form {
    /// Without context and the key's version.
    One,
    /// With them.
    Two,
}

impl Form {
    /// The number that people and files know it by.
    pub const fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    fn read(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match from.u8()? {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            other => Err(DecodeError::Version(other)),
        }
    }
}

/// Something that happened, before it has a place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Microseconds since 1970 by the local clock.
    pub time_micros: i64,
    /// Who asked (`node:CHAIN/NAME`, `uid:N`, `service`); a long name is kept as [`kept_subject`] has it.
    pub subject: String,
    /// What was asked (`sign.cometbft.prevote`, `key.create`, …).
    pub operation: String,
    /// The key it was asked of.
    pub key: Option<PublicKey>,
    /// Which version of the key that is, from 1; where nobody says, the store does, of keys that it knows.
    pub key_version: Option<u32>,
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
    /// How it was established who asks, what decided, and in which trace.
    pub context: Context,
}

/// An entry with its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRecord {
    /// 1, 2, 3 …, without gaps.
    pub sequence: u64,
    /// How it is encoded.
    pub form: Form,
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
    pub fn link(head: &AuditHead, entry: AuditEntry) -> (Self, Vec<u8>) {
        let entry = kept(entry);
        let mut record = Self {
            sequence: head.sequence.saturating_add(1),
            form: Form::Two,
            entry,
            previous_hash: head.hash,
            hash: [0; 32],
        };
        let bytes = record.encode();
        record.hash = hash(&bytes);
        (record, bytes)
    }

    /// Bytes of the record that `entry` becomes.
    pub(crate) fn len_of(entry: &AuditEntry) -> usize {
        let record = Self {
            sequence: 0,
            form: Form::Two,
            entry: kept(entry.clone()),
            previous_hash: [0; 32],
            hash: [0; 32],
        };
        record.encode().len()
    }

    /// The encoding: everything but the record's own hash.
    pub fn encode(&self) -> Vec<u8> {
        let entry = &self.entry;
        let mut to = Encoder::with_capacity(512 + entry.subject.len() + entry.reason.len());
        to.u8(self.form.number());
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
        match self.form {
            Form::One => {}
            Form::Two => {
                to.u32(entry.key_version.unwrap_or(0));
                entry.context.encode(&mut to);
            }
        }
        to.finish()
    }

    /// Reads an encoding; the hash is computed from it. Whether it is linked to anything is for the reader to compare.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(bytes);
        let form = Form::read(&mut from)?;
        let sequence = from.u64()?;
        let previous_hash = from.array()?;
        let mut entry = AuditEntry {
            time_micros: from.i64()?,
            subject: from.text(MAX_SUBJECT, "subject")?.to_owned(),
            operation: from.text(MAX_OPERATION, "operation")?.to_owned(),
            key: from.public_key()?,
            key_version: None,
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
            context: Context::default(),
        };
        match form {
            Form::One => {}
            Form::Two => {
                entry.key_version = Some(from.u32()?).filter(|version| *version != 0);
                entry.context = Context::decode(&mut from)?;
            }
        }
        from.finish()?;
        if sequence == 0 || entry.count == 0 {
            return Err(DecodeError::Value("sequence or count"));
        }
        Ok(Self {
            sequence,
            form,
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

/// An entry as it is kept.
fn kept(mut entry: AuditEntry) -> AuditEntry {
    entry.subject = kept_subject(entry.subject);
    cut(&mut entry.operation, MAX_OPERATION);
    cut(&mut entry.reason, MAX_REASON);
    entry.count = entry.count.max(1);
    // What has no number has none: there is one way to say so.
    entry.key_version = entry.key_version.filter(|version| *version != 0);
    entry
}

/// Cuts at a character's border.
fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
