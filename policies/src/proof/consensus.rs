//! Consensus as a payload: one message that takes a position and, with a precommit for a block, its extension.

use std::sync::Arc;

use super::{Pair, Payload};
use crate::double_sign::Clearing;
use crate::model::algorithm::Signature;
use crate::model::id::ChainId;
use crate::model::operation::Operation;
use crate::model::payload::{Consensus, Step, Timestamp};
use crate::model::sign_bytes;

/// The bytes that a key signs for a consensus request.
#[derive(Clone, Debug)]
pub struct ConsensusMessages {
    /// Canonical vote or proposal; `None` when it was signed before.
    pub message: Option<Arc<[u8]>>,
    /// Canonical vote extension; always signed anew.
    pub extension: Option<Arc<[u8]>>,
}

/// The signatures over [`ConsensusMessages`], one for each message there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsensusSignatures {
    /// Over the vote or proposal.
    pub message: Option<Signature>,
    /// Over the extension.
    pub extension: Option<Signature>,
}

/// What the node gets: of the whole reply it uses these three fields (CometBFT `types/vote.go`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsensusReply {
    /// Signature of the message.
    pub signature: Signature,
    /// Its timestamp: the request's, or the stored one of a repeat.
    pub timestamp: Timestamp,
    /// Signature of the extension.
    pub extension_signature: Option<Signature>,
}

impl Payload for Consensus {
    type Messages = ConsensusMessages;
    type Signatures = ConsensusSignatures;
    type Clearing = Clearing;
    type Reply = ConsensusReply;

    fn operation(&self) -> Operation {
        match self.message().position().step {
            Step::Propose => Operation::SignProposal,
            Step::Prevote => Operation::SignPrevote,
            Step::Precommit => Operation::SignPrecommit,
        }
    }

    fn messages(&self, chain: &ChainId, clearing: &Clearing) -> ConsensusMessages {
        let message = clearing
            .stored
            .is_none()
            .then(|| sign_bytes::of_message(self.message(), chain).into());
        let position = self.message().position();
        let extension = self
            .extension()
            .map(|extension| sign_bytes::of_extension(extension, position, chain).into());
        ConsensusMessages { message, extension }
    }

    fn needs_key(messages: &ConsensusMessages) -> bool {
        messages.message.is_some() || messages.extension.is_some()
    }

    fn nothing_signed() -> ConsensusSignatures {
        ConsensusSignatures {
            message: None,
            extension: None,
        }
    }

    fn pairs(
        clearing: &Clearing,
        messages: &ConsensusMessages,
        signatures: &ConsensusSignatures,
    ) -> Option<Vec<Pair>> {
        let mut pairs = Vec::with_capacity(2);
        match (&messages.message, signatures.message, &clearing.stored) {
            (Some(message), Some(signature), None) => pairs.push((message.clone(), signature)),
            (None, None, Some(stored)) => pairs.push((stored.sign_bytes.as_slice().into(), stored.signature)),
            _ => return None,
        }
        match (&messages.extension, signatures.extension) {
            (Some(message), Some(signature)) => pairs.push((message.clone(), signature)),
            (None, None) => {}
            _ => return None,
        }
        Some(pairs)
    }

    fn reply(&self, clearing: &Clearing, signatures: ConsensusSignatures) -> Option<ConsensusReply> {
        let (signature, timestamp) = match (&clearing.stored, signatures.message) {
            (Some(stored), None) => (stored.signature, stored.timestamp),
            (None, Some(signature)) => (signature, self.message().timestamp()),
            _ => return None,
        };
        Some(ConsensusReply {
            signature,
            timestamp,
            extension_signature: signatures.extension,
        })
    }
}
