//! Requests as a node would send them, to be spoiled one field at a time; and what came back.

use prost::Message as _;
use sigward_proto::cometbft::message::Sum;
use sigward_proto::cometbft::{
    BlockId, Message, PartSetHeader, PingRequest, Proposal, PubKeyRequest, RemoteSignerError,
    SignProposalRequest, SignVoteRequest, Vote,
};

pub(super) const PREVOTE: i32 = 1;
pub(super) const PRECOMMIT: i32 = 2;

pub(super) fn ping() -> Vec<u8> {
    encoded(Sum::PingRequest(PingRequest {}))
}

pub(super) fn public_key(chain: &str) -> Vec<u8> {
    encoded(Sum::PubKeyRequest(PubKeyRequest {
        chain_id: chain.to_owned(),
    }))
}

pub(super) fn block(salt: u8) -> BlockId {
    BlockId {
        hash: vec![salt; 32],
        part_set_header: Some(PartSetHeader {
            total: 1,
            hash: vec![salt; 32],
        }),
    }
}

/// A vote for a block of thirty-two times `salt`.
pub(super) fn vote(kind: i32, height: i64, salt: u8) -> Vote {
    Vote {
        r#type: kind,
        height,
        block_id: Some(block(salt)),
        timestamp: Some(now()),
        ..Vote::default()
    }
}

pub(super) fn proposal(height: i64, salt: u8) -> Proposal {
    Proposal {
        r#type: 32,
        height,
        pol_round: -1,
        block_id: Some(block(salt)),
        timestamp: Some(now()),
        ..Proposal::default()
    }
}

fn now() -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: 1_700_000_000,
        nanos: 7,
    }
}

pub(super) fn sign_vote(chain: &str, vote: Vote) -> Vec<u8> {
    encoded(Sum::SignVoteRequest(SignVoteRequest {
        vote: Some(vote),
        chain_id: chain.to_owned(),
        skip_extension_signing: false,
    }))
}

pub(super) fn sign_proposal(chain: &str, proposal: Proposal) -> Vec<u8> {
    encoded(Sum::SignProposalRequest(SignProposalRequest {
        proposal: Some(proposal),
        chain_id: chain.to_owned(),
    }))
}

pub(super) fn encoded(sum: Sum) -> Vec<u8> {
    Message { sum: Some(sum) }.encode_to_vec()
}

/// The arm of a reply, its field number, and the error in it.
pub(super) fn outcome(reply: &Sum) -> (u32, Option<&RemoteSignerError>) {
    match reply {
        Sum::PubKeyResponse(reply) => (2, reply.error.as_ref()),
        Sum::SignedVoteResponse(reply) => (4, reply.error.as_ref()),
        Sum::SignedProposalResponse(reply) => (6, reply.error.as_ref()),
        Sum::PingResponse(_) => (8, None),
        Sum::SignBytesResponse(reply) => (10, reply.error.as_ref()),
        request => panic!("a signer does not send {request:?}"),
    }
}

/// The signed vote, or the refusal.
pub(super) fn signed_vote(reply: Sum) -> Result<Vote, RemoteSignerError> {
    match reply {
        Sum::SignedVoteResponse(reply) => match reply.error {
            Some(error) => {
                assert!(reply.vote.is_none(), "a refusal carries no vote");
                Err(error)
            }
            None => {
                let vote = reply.vote.expect("a vote or an error");
                assert_eq!(vote.signature.len(), 64);
                Ok(vote)
            }
        },
        other => panic!("not the answer to a vote: {other:?}"),
    }
}
