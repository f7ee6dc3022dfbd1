//! Entries of the audit chain, made from what happened.

use sha2::{Digest, Sha256};
use sigward_policies::decision::Refused;
use sigward_policies::model::algorithm::PublicKey;
use sigward_policies::model::id::ChainId;
use sigward_policies::model::operation::Operation;
use sigward_policies::model::payload::{Consensus, ConsensusMessage, Position};
use sigward_policies::model::sign_bytes;
use sigward_policies::proof::ToCommit;

use super::Asker;
use crate::store::{AuditEntry, Context, Outcome};

/// Who asked what: the part of an entry that is known before the outcome is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Who.
    pub subject: String,
    /// How that was established, what decided, and in which trace.
    pub context: Context,
    /// What (`sign.cometbft.prevote`, `key.create`, …).
    pub operation: String,
    /// Of which key.
    pub key: Option<PublicKey>,
    /// On which chain.
    pub chain: Option<ChainId>,
    /// For which position.
    pub position: Option<Position>,
    /// SHA-256 of the canonical sign bytes, or of the request.
    pub request_digest: Option<[u8; 32]>,
}

impl Asked {
    /// A consensus message that `asker` asked `key` to sign on `chain`.
    pub fn message(
        asker: &Asker,
        key: &PublicKey,
        chain: &ChainId,
        operation: Operation,
        message: &ConsensusMessage,
    ) -> Self {
        Self {
            subject: asker.to_string(),
            context: asker.context.clone(),
            operation: operation.to_string(),
            key: Some(*key),
            chain: Some(chain.clone()),
            position: Some(message.position()),
            request_digest: Some(digest(&sign_bytes::of_message(message, chain))),
        }
    }

    /// An administrator's act.
    pub fn act(asker: &Asker, operation: &str, key: Option<PublicKey>, chain: Option<ChainId>) -> Self {
        Self {
            subject: asker.to_string(),
            context: asker.context.clone(),
            operation: operation.to_owned(),
            key,
            chain,
            position: None,
            request_digest: None,
        }
    }

    fn entry(self, outcome: Outcome, reason: String, time_micros: i64) -> AuditEntry {
        AuditEntry {
            time_micros,
            subject: self.subject,
            operation: self.operation,
            key: self.key,
            key_version: None,
            chain: self.chain,
            position: self.position,
            outcome,
            reason,
            request_digest: self.request_digest,
            signature_digest: None,
            count: 1,
            context: self.context,
        }
    }
}

/// A signature of `key_version` on its way out, at `time_micros` since 1970: signed, or a stored one released again.
pub fn of_commit(
    commit: &ToCommit<Consensus>,
    key_version: u32,
    context: Context,
    time_micros: i64,
) -> AuditEntry {
    let claim = commit.claim();
    AuditEntry {
        time_micros,
        subject: commit.caller().to_string(),
        operation: claim.operation().as_str().to_owned(),
        key: Some(*claim.key()),
        key_version: Some(key_version),
        chain: Some(claim.chain().clone()),
        position: Some(commit.position()),
        outcome: if commit.is_repeat() {
            Outcome::Replayed
        } else {
            Outcome::Allowed
        },
        reason: String::new(),
        request_digest: Some(digest(commit.sign_bytes())),
        signature_digest: commit.signature().map(|signature| digest(&signature.0)),
        count: 1,
        context,
    }
}

/// A request that was refused. The reason is the stable code.
pub fn of_refusal(asked: Asked, refused: &Refused, time_micros: i64) -> AuditEntry {
    let outcome = match refused {
        Refused::Denied(_) => Outcome::Denied,
        Refused::Failed(_) => Outcome::Failed,
    };
    asked.entry(outcome, refused.code().to_owned(), time_micros)
}

/// An administrator's act that is done; `detail` is short and holds no secret.
pub fn of_act(asked: Asked, detail: &str, time_micros: i64) -> AuditEntry {
    asked.entry(Outcome::Allowed, detail.to_owned(), time_micros)
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
