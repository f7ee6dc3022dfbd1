//! From an unreleased signature to the reply: what was verified, what was recorded, what leaves.

use super::order::Matter;
use super::{Claim, Pair, Payload};
use crate::decision::Refusal;
use crate::double_sign::GuardRow;
use crate::holding::Conditions;
use crate::model::algorithm::{PublicKey, Signature};
use crate::model::caller::Caller;
use crate::model::id::UnixSeconds;
use crate::model::payload::{Consensus, Position};

/// Signatures on their way to be checked with their public key.
#[derive(Debug)]
pub struct ToVerify {
    pub(super) claim: Claim,
    pub(super) pairs: Vec<Pair>,
}

impl ToVerify {
    /// The key that should have signed.
    pub const fn public_key(&self) -> &PublicKey {
        self.claim.key()
    }

    /// Each message with its signature.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }
}

/// Proof that every signature of a request verifies with its public key.
#[derive(Debug)]
#[must_use = "a verification alone releases nothing"]
pub struct Verified(pub(super) ToVerify);

impl Verified {
    /// For `sigward_hsm::verify` alone, after each pair was checked.
    pub const fn asserted_by_verifier(checked: ToVerify) -> Self {
        Self(checked)
    }
}

/// A record on its way to disk: the guard row's next state and what the audit record needs.
#[derive(Debug)]
pub struct ToCommit<P: Payload> {
    pub(super) matter: Matter<P>,
    pub(super) signatures: P::Signatures,
}

impl<P: Payload> ToCommit<P> {
    /// What the request is about.
    pub const fn claim(&self) -> &Claim {
        &self.matter.claim
    }

    /// Who asked.
    pub const fn caller(&self) -> &Caller {
        &self.matter.caller
    }

    /// The signatures made for it.
    pub const fn signatures(&self) -> &P::Signatures {
        &self.signatures
    }

    /// The messages signed for it.
    pub const fn messages(&self) -> &P::Messages {
        &self.matter.messages
    }
}

impl ToCommit<Consensus> {
    /// The position that the message takes.
    pub const fn position(&self) -> Position {
        self.matter.payload.message().position()
    }

    /// The signature of the message: the one just made, or the stored one.
    pub fn signature(&self) -> Option<Signature> {
        let stored = self
            .matter
            .clearing
            .stored
            .as_ref()
            .map(|stored| stored.signature);
        self.signatures.message.or(stored)
    }

    /// Whether the message was signed before and is only answered again.
    pub const fn is_repeat(&self) -> bool {
        self.matter.clearing.stored.is_some()
    }

    /// When the request was judged.
    pub const fn judged_at(&self) -> UnixSeconds {
        self.matter.clearing.now
    }

    /// The sign bytes of the message: those just signed, or the stored ones.
    pub fn sign_bytes(&self) -> &[u8] {
        match (&self.matter.messages.message, &self.matter.clearing.stored) {
            (Some(message), _) => message,
            (None, Some(stored)) => &stored.sign_bytes,
            (None, None) => &[],
        }
    }

    /// The rule's last word, over the row and the conditions as they stand in the store's open transaction: the row to write, or
    /// why not.
    pub fn apply(&self, row: &GuardRow, conditions: &Conditions) -> Result<GuardRow, Refusal> {
        let fresh = match (&self.matter.messages.message, self.signatures.message) {
            (Some(bytes), Some(signature)) => Some((bytes.to_vec(), signature)),
            _ => None,
        };
        self.matter
            .clearing
            .apply(row, conditions, &self.matter.claim, &self.matter.payload, fresh)
    }

    /// Tells memory what the store holds, when the store said no.
    pub fn corrected_by_store(self, row: GuardRow) {
        self.matter.clearing.held.advance(row);
    }
}

/// Proof that a request is on disk: watermark, sign bytes, signature and audit record, and the witness after them.
#[derive(Debug)]
#[must_use = "a receipt alone releases nothing"]
pub struct Receipt<P: Payload> {
    pub(super) claim: Claim,
    pub(super) signatures: P::Signatures,
}

impl Receipt<Consensus> {
    /// For the store alone, after the commit and its witness are on disk. `row` is what was written.
    pub fn asserted_by_store(committed: ToCommit<Consensus>, row: GuardRow) -> Self {
        committed.matter.clearing.held.advance(row);
        Self {
            claim: committed.matter.claim,
            signatures: committed.signatures,
        }
    }
}

/// A reply that may leave.
#[derive(Debug)]
pub struct Released<P: Payload> {
    pub(super) reply: P::Reply,
}

impl<P: Payload> Released<P> {
    /// The reply.
    pub fn into_reply(self) -> P::Reply {
        self.reply
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

    use std::task::Waker;

    use super::*;
    use crate::authz::{NodeGrant, Rules};
    use crate::double_sign::{Limits, Slot, Watermark, clear};
    use crate::model::algorithm::{Address, Algorithm, Signature};
    use crate::model::id::{ChainId, Generation, NodeName};
    use crate::model::parse::{ExtensionSigning, RawExtension, RawTimestamp, RawVote};
    use crate::proof::{ConsensusSignatures, Joined, Mismatch, Received, RequestId, Unreleased, join};

    fn signed() -> (Unreleased<Consensus>, GuardRow) {
        let (key, chain) = (
            PublicKey::new(Algorithm::Ed25519, &[1; 32]).unwrap(),
            ChainId::new("a").unwrap(),
        );
        let node = NodeName::new("n").unwrap();
        let extension = RawExtension {
            bytes: &[],
            digest: [0; 32],
            signing: ExtensionSigning::Skip,
            non_replay_protected: false,
        };
        let raw = RawVote {
            kind: 1,
            height: 1,
            round: 0,
            block_id: None,
            timestamp: Some(RawTimestamp { seconds: 0, nanos: 0 }),
            validator_address: &[],
            extension,
        };
        let vote = Consensus::from_vote(&raw, &Address([0; 20])).unwrap();
        let caller = Caller::Node {
            chain: chain.clone(),
            node: node.clone(),
        };
        let received = Received::new(RequestId::mint(), caller, key, chain.clone(), Generation(1), vote);
        let rules = Rules::new(
            Generation(1),
            [NodeGrant {
                chain: chain.clone(),
                node,
                key,
            }],
        );
        let permit = rules.judge(&received).into_result().unwrap();
        let row = GuardRow::begin(Watermark::Fresh, UnixSeconds(0));
        let held = Slot::new(key, chain, row.clone())
            .try_hold(Waker::noop())
            .unwrap();
        let cleared = clear(&received, held, Limits::default(), UnixSeconds(0))
            .into_result()
            .unwrap();
        let Joined::Order(order) = join(received, permit, cleared).unwrap() else {
            panic!("a key has to sign");
        };
        let signatures = ConsensusSignatures {
            message: Some(Signature([1; 64])),
            extension: None,
        };
        (order.signed(signatures).unwrap(), row)
    }

    #[test]
    fn signatures_other_than_those_verified_or_recorded_are_not_released() {
        let (token, row) = signed();
        let mut checked = token.to_verify().unwrap();
        checked
            .pairs
            .iter_mut()
            .for_each(|(_, signature)| *signature = Signature([2; 64]));
        let receipt = Receipt::asserted_by_store(token.to_commit(), row);
        let refused = token.release(Verified::asserted_by_verifier(checked), receipt);
        assert_eq!(refused.unwrap_err(), Mismatch::Signatures);

        let (token, row) = signed();
        let mut checked = token.to_verify().unwrap();
        checked.pairs.clear();
        let receipt = Receipt::asserted_by_store(token.to_commit(), row);
        let refused = token.release(Verified::asserted_by_verifier(checked), receipt);
        assert_eq!(refused.unwrap_err(), Mismatch::Signatures);

        let (token, row) = signed();
        let checked = Verified::asserted_by_verifier(token.to_verify().unwrap());
        let mut receipt = Receipt::asserted_by_store(token.to_commit(), row);
        receipt.signatures.message = Some(Signature([2; 64]));
        assert_eq!(token.release(checked, receipt).unwrap_err(), Mismatch::Signatures);
    }
}
