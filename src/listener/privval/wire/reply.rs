//! Replies: written once, straight into the connection's buffer.
//!
//! # Invariants
//! * A reply is in the arm that belongs to its request, errors included: nodes retry an answer in a wrong
//!   arm fifty times (docs/privval.md, versions).
//! * A reply is short: the extension of a vote is never sent back, and texts are cut, so that nodes with a
//!   10 KiB limit read it.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use prost::{Message, encoding};
use sigward_proto::cometbft::{
    PingResponse, Proposal, PubKeyResponse, PublicKey, RemoteSignerError, SignedProposalResponse,
    SignedVoteResponse, Vote, public_key::Sum,
};

use super::request::Arm;

/// In every response so far the error is field 2; a node that does not find it there sees an empty answer,
/// which it refuses just as well.
const ERROR_FIELD: u32 = 2;

/// Most bytes of an error's text.
const MAX_DESCRIPTION_LEN: usize = 1024;

/// Algorithms of consensus keys that this protocol can name and we can sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// RFC 8032; public keys of 32 bytes.
    Ed25519,
    /// SEC 1; public keys of 33 bytes, compressed.
    Secp256k1,
}

impl KeyType {
    /// v1's name for it (`crypto/*/const.go`).
    fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Secp256k1 => "secp256k1",
        }
    }
}

/// An answer to a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The consensus public key, in every encoding that a node may look for (docs/privval.md, requests and answers).
    PubKey(PubKeyResponse),
    /// A signed vote.
    Vote(SignedVoteResponse),
    /// A signed proposal.
    Proposal(SignedProposalResponse),
    /// A sign of life.
    Pong,
    /// A refusal or a failure; the connection stays open.
    Error {
        /// The request's arm.
        arm: Arm,
        /// What happened.
        error: RemoteSignerError,
    },
}

impl Reply {
    /// The public key, as v0.x nodes read it (field 1) and as v1 nodes do (fields 3 and 4) at once.
    #[must_use]
    pub fn pub_key(key_type: KeyType, key: &[u8]) -> Self {
        let sum = match key_type {
            KeyType::Ed25519 => Sum::Ed25519(key.to_vec()),
            KeyType::Secp256k1 => Sum::Secp256k1(key.to_vec()),
        };
        Self::PubKey(PubKeyResponse {
            pub_key: Some(PublicKey { sum: Some(sum) }),
            error: None,
            pub_key_bytes: key.to_vec(),
            pub_key_type: key_type.name().to_owned(),
        })
    }

    /// The signed vote without its extension: nodes verify over the vote that comes back and take the
    /// signatures and the timestamp from it, the extension they have already (types/vote.go:421-455).
    #[must_use]
    pub fn vote(mut vote: Vote) -> Self {
        vote.extension = Vec::new();
        vote.non_rp_extension = Vec::new();
        Self::Vote(SignedVoteResponse {
            vote: Some(vote),
            error: None,
        })
    }

    /// The signed proposal.
    #[must_use]
    pub fn proposal(proposal: Proposal) -> Self {
        Self::Proposal(SignedProposalResponse {
            proposal: Some(proposal),
            error: None,
        })
    }

    /// An error in answer to a request in `arm`. `code` is 2 for a conflict, 0 otherwise; a text of more
    /// than 1 KiB is cut.
    #[must_use]
    pub fn error(arm: Arm, code: i32, description: impl Into<String>) -> Self {
        let mut description = description.into();
        description.truncate(description.floor_char_boundary(MAX_DESCRIPTION_LEN));
        Self::Error {
            arm,
            error: RemoteSignerError { code, description },
        }
    }

    /// Appends the encoded `Message` to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::PubKey(response) => encoding::message::encode(Arm::PUB_KEY.answer(), response, out),
            Self::Vote(response) => encoding::message::encode(Arm::SIGN_VOTE.answer(), response, out),
            Self::Proposal(response) => encoding::message::encode(Arm::SIGN_PROPOSAL.answer(), response, out),
            Self::Pong => encoding::message::encode(Arm::PING.answer(), &PingResponse {}, out),
            Self::Error { arm, error } => encode_error(*arm, error, out),
        }
    }
}

/// `{arm + 1: {2: error}}`, for arms that have a type and for those that nobody has thought of yet.
fn encode_error(arm: Arm, error: &RemoteSignerError, out: &mut Vec<u8>) {
    let len = u64::try_from(error.encoded_len()).unwrap_or(u64::MAX);
    let inner =
        u64::try_from(key_len(ERROR_FIELD).saturating_add(encoded_len_varint(len))).unwrap_or(u64::MAX);
    encode_key(arm.answer(), WireType::LengthDelimited, out);
    encode_varint(inner.saturating_add(len), out);
    encoding::message::encode(ERROR_FIELD, error, out);
}
