//! Checkpoints: signed statements of how far the audit chain had come. One line of text each, the same in the state folder, in an
//! anchor file, in syslog and in the body of a webhook.
//!
//! ```text
//! sigward-checkpoint-1 store=… number=1 sequence=1000 head=… time=… previous=… key=… signature=…
//! ```
//!
//! `time` is in microseconds since 1970; `previous` is the digest of the checkpoint before, of the first one SHA-256 of the store id.
//!
//! *Invariants:* a checkpoint has one line, and only that parses; a [`Checkpoint`] in memory carries a signature that verifies with the
//! key it names. Whether that is the key of this store is for the reader to compare.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use sigward_hsm::software::{CheckpointKey, verify_checkpoint};
use sigward_policies::model::algorithm::{Algorithm, PublicKey, Signature};
use sigward_policies::model::id::StoreId;

use crate::store::AuditHead;
use crate::store::encoding::Encoder;

/// First word of a line.
pub(super) const WORD: &str = "sigward-checkpoint-1";
/// Longest line, without its end; the longest that is written has 546 bytes.
pub(super) const MAX_LINE: usize = 1024;

/// Why a line is no checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Another line.
    #[error("the line is no checkpoint")]
    Malformed,
    /// A checkpoint that was altered.
    #[error("its signature does not verify")]
    Signature,
}

/// How far the chain had come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Whose chain.
    pub store: StoreId,
    /// 1, 2, 3 …, without gaps.
    pub number: u64,
    /// Where the chain ended.
    pub head: AuditHead,
    /// When it was signed, microseconds since 1970.
    pub time_micros: i64,
    /// Digest of the checkpoint before.
    pub previous: [u8; 32],
    /// The key it is signed with.
    pub key: PublicKey,
    signature: Signature,
}

impl Checkpoint {
    /// Signs that the chain of `store` ends at `head`; `previous` is the last checkpoint of the store. `None` if the key fails.
    pub fn sign(
        key: &CheckpointKey,
        store: StoreId,
        previous: Option<&Self>,
        head: AuditHead,
        time_micros: i64,
    ) -> Option<Self> {
        let mut checkpoint = Self {
            store,
            number: previous.map_or(1, |previous| previous.number.saturating_add(1)),
            head,
            time_micros,
            previous: previous.map_or_else(|| AuditHead::genesis(&store).hash, Self::digest),
            key: *key.public_key(),
            signature: Signature([0; 64]),
        };
        checkpoint.signature = key.sign_checkpoint(&checkpoint.encode())?;
        Some(checkpoint)
    }

    /// What is signed.
    fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::with_capacity(160);
        to.raw(&self.store.0);
        to.u64(self.number);
        to.u64(self.head.sequence);
        to.raw(&self.head.hash);
        to.i64(self.time_micros);
        to.raw(&self.previous);
        to.public_key(Some(&self.key));
        to.finish()
    }

    /// What the next checkpoint says of this one.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"sigward audit checkpoint digest v1")
            .chain_update(self.encode())
            .chain_update(self.signature.0)
            .finalize()
            .into()
    }

    /// The line, without its end.
    pub fn line(&self) -> String {
        let mut line = format!("{WORD} store={}", hex::encode(self.store.0));
        let _never_fails = write!(
            line,
            " number={} sequence={} head={} time={} previous={} key={} signature={}",
            self.number,
            self.head.sequence,
            hex::encode(self.head.hash),
            self.time_micros,
            hex::encode(self.previous),
            hex::encode(self.key.as_bytes()),
            hex::encode(self.signature.0),
        );
        line
    }

    /// Reads a line and checks its signature.
    pub fn parse(line: &str) -> Result<Self, CheckpointError> {
        Self::read(line).ok_or(CheckpointError::Malformed)?.checked(line)
    }

    /// The same of a line that says what is wanted; no signature is checked of the others, of which there may be many.
    pub(super) fn parse_if(line: &str, wanted: impl FnOnce(&Self) -> bool) -> Option<Self> {
        Self::read(line).filter(wanted)?.checked(line).ok()
    }

    fn checked(self, line: &str) -> Result<Self, CheckpointError> {
        // One way to write it: no leading zeros, no capitals, no other spaces.
        if self.line() != line {
            return Err(CheckpointError::Malformed);
        }
        verify_checkpoint(&self.key, &self.encode(), &self.signature)
            .map_err(|_| CheckpointError::Signature)?;
        Ok(self)
    }

    fn read(line: &str) -> Option<Self> {
        if line.len() > MAX_LINE {
            return None;
        }
        let mut words = line.split(' ');
        if words.next()? != WORD {
            return None;
        }
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        Some(Self {
            store: StoreId(bytes(field("store")?)?),
            number: field("number")?.parse().ok().filter(|number| *number > 0)?,
            head: AuditHead {
                sequence: field("sequence")?.parse().ok()?,
                hash: bytes(field("head")?)?,
            },
            time_micros: field("time")?.parse().ok()?,
            previous: bytes(field("previous")?)?,
            key: PublicKey::new(Algorithm::Ed25519, &bytes::<32>(field("key")?)?).ok()?,
            signature: Signature(bytes(field("signature")?)?),
        })
    }

    /// Whether it is the one after `previous`.
    pub fn follows(&self, previous: Option<&Self>) -> bool {
        let (number, digest, sequence) = previous.map_or_else(
            || (0, AuditHead::genesis(&self.store).hash, 0),
            |previous| (previous.number, previous.digest(), previous.head.sequence),
        );
        self.number == number.saturating_add(1) && self.previous == digest && self.head.sequence >= sequence
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut into = [0; N];
    hex::decode_to_slice(text, &mut into).ok()?;
    Some(into)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::audit::testing::Signer;

    #[test]
    fn a_line_reads_back_and_every_changed_byte_is_refused() {
        let signer = Signer::new();
        let head = AuditHead {
            sequence: 77,
            hash: [9; 32],
        };
        let first = signer.sign(None, head, 5);
        let second = signer.sign(Some(&first), head, 6);
        assert!(first.follows(None) && second.follows(Some(&first)));
        assert!(!second.follows(None) && !first.follows(Some(&second)));
        let line = second.line();
        assert!(line.len() <= MAX_LINE);
        assert_eq!(Checkpoint::parse(&line).unwrap(), second);
        for at in 0..line.len() {
            for to in [b'0', b'1', b'f', b'F', b' ', b'+'] {
                let mut bad = line.clone().into_bytes();
                if std::mem::replace(bad.get_mut(at).unwrap(), to) != to {
                    let bad = String::from_utf8(bad).unwrap();
                    assert!(Checkpoint::parse(&bad).is_err(), "{bad}");
                }
            }
            assert!(Checkpoint::parse(line.get(..at).unwrap()).is_err());
        }
        assert!(Checkpoint::parse(&format!("{line} ")).is_err());
    }
}
