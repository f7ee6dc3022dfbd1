//! Requests: which arm of `Message` it is, and its body.
//!
//! The top level is read by hand: prost forgets the number of an arm that it does not know, and an
//! unknown request must be answered in the arm that belongs to it.
//!
//! Invariant: a message has exactly one field. Protobuf would let a later arm override an earlier one;
//! nobody sends that, and two readers of it must never disagree about what was asked.

use prost::Message as _;
use prost::encoding::{WireType, decode_key, decode_varint};
use sigward_proto::cometbft::{
    PingRequest, PubKeyRequest, SignBytesRequest, SignProposalRequest, SignVoteRequest,
};

/// The field number of a request in `Message`'s oneof; its answer is the next number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arm(u32);

impl Arm {
    /// `PubKeyRequest`
    pub const PUB_KEY: Self = Self(1);
    /// `SignVoteRequest`
    pub const SIGN_VOTE: Self = Self(3);
    /// `SignProposalRequest`
    pub const SIGN_PROPOSAL: Self = Self(5);
    /// `PingRequest`
    pub const PING: Self = Self(7);
    /// v1.0's `SignBytesRequest` and celestia-core's `SignRawBytesRequest`
    pub const SIGN_BYTES: Self = Self(9);

    /// The last field number of protobuf is 2^29 - 1, and an answer needs one more.
    const LAST: u32 = (1 << 29) - 2;

    /// The field number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The field number of the answer.
    #[must_use]
    pub fn answer(self) -> u32 {
        self.0.saturating_add(1)
    }
}

/// What a node asks. Decoded, not yet judged.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// The consensus public key.
    PubKey(PubKeyRequest),
    /// A signature over a vote.
    SignVote(Box<SignVoteRequest>),
    /// A signature over a proposal.
    SignProposal(Box<SignProposalRequest>),
    /// A sign of life.
    Ping,
    /// A signature over bytes; which protocol it is, the chain's configuration says.
    SignBytes(SignBytesRequest),
    /// A request of a protocol that we do not know; it is answered with an error in its own arm.
    Unknown(Arm),
}

/// A message that is no request at all. It closes the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// No protobuf, or a body that is not what its arm says.
    #[error("a message is not valid protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// No field at the top level: there is no arm to answer in.
    #[error("a message is empty")]
    Empty,
    /// The field at the top level is not a message, or its number cannot have an answer.
    #[error("a message holds no request")]
    NotARequest,
    /// Something follows the request.
    #[error("a message holds more than one field")]
    SeveralFields,
    /// The node sent what only a signer sends.
    #[error("a node sent a response, arm {0}")]
    Response(u32),
}

impl Request {
    /// The chain that is asked about, where the request names one.
    pub fn chain_id(&self) -> Option<&str> {
        match self {
            Self::PubKey(request) => Some(&request.chain_id),
            Self::SignVote(request) => Some(&request.chain_id),
            Self::SignProposal(request) => Some(&request.chain_id),
            Self::Ping | Self::SignBytes(_) | Self::Unknown(_) => None,
        }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// [`Malformed`]; close the connection.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Err(Malformed::Empty);
        }
        let (arm, wire_type) = decode_key(&mut bytes)?;
        if wire_type != WireType::LengthDelimited || arm > Arm::LAST {
            return Err(Malformed::NotARequest);
        }
        let len = decode_varint(&mut bytes)?;
        let (body, rest) = usize::try_from(len)
            .ok()
            .and_then(|len| bytes.split_at_checked(len))
            .ok_or(Malformed::NotARequest)?;
        if !rest.is_empty() {
            return Err(Malformed::SeveralFields);
        }
        Ok(match Arm(arm) {
            Arm::PUB_KEY => Self::PubKey(PubKeyRequest::decode(body)?),
            Arm::SIGN_VOTE => Self::SignVote(Box::new(SignVoteRequest::decode(body)?)),
            Arm::SIGN_PROPOSAL => Self::SignProposal(Box::new(SignProposalRequest::decode(body)?)),
            Arm::PING => PingRequest::decode(body).map(|PingRequest {}| Self::Ping)?,
            Arm::SIGN_BYTES => Self::SignBytes(SignBytesRequest::decode(body)?),
            Arm(2 | 4 | 6 | 8 | 10) => return Err(Malformed::Response(arm)),
            unknown => Self::Unknown(unknown),
        })
    }

    /// Its arm, which the answer has to match.
    #[must_use]
    pub fn arm(&self) -> Arm {
        match self {
            Self::PubKey(_) => Arm::PUB_KEY,
            Self::SignVote(_) => Arm::SIGN_VOTE,
            Self::SignProposal(_) => Arm::SIGN_PROPOSAL,
            Self::Ping => Arm::PING,
            Self::SignBytes(_) => Arm::SIGN_BYTES,
            Self::Unknown(arm) => *arm,
        }
    }
}
