//! The edge: what a node sent becomes domain types, and what may leave becomes its reply.
//!
//! *Invariant:* behind this file nobody sees protobuf.

use sha2::{Digest as _, Sha256};
use sigward_policies::decision::{Refusal, RefusalCode};
use sigward_policies::model::algorithm::{Address, Algorithm, PublicKey};
use sigward_policies::model::parse::{
    ExtensionSigning, RawBlockId, RawExtension, RawProposal, RawTimestamp, RawVote,
};
use sigward_policies::model::payload::{Consensus, Timestamp};
use sigward_policies::proof::ConsensusReply;
use sigward_proto::cometbft::{BlockId, Proposal, SignProposalRequest, SignVoteRequest, Vote};

use super::wire::{KeyType, Reply};

/// Reads a vote request for the key with address `own`.
pub(super) fn vote(request: &SignVoteRequest, own: &Address) -> Result<Consensus, Refusal> {
    let vote = request
        .vote
        .as_ref()
        .ok_or_else(|| malformed("the request carries no vote"))?;
    let signing = match request.skip_extension_signing {
        true => ExtensionSigning::Skip,
        false => ExtensionSigning::Sign,
    };
    let raw = RawVote {
        kind: vote.r#type,
        height: vote.height,
        round: vote.round,
        block_id: vote.block_id.as_ref().map(block_id),
        timestamp: vote.timestamp.as_ref().map(timestamp),
        validator_address: &vote.validator_address,
        extension: RawExtension {
            bytes: &vote.extension,
            digest: Sha256::digest(&vote.extension).into(),
            signing,
            non_replay_protected: !vote.non_rp_extension.is_empty()
                || !vote.non_rp_extension_signature.is_empty(),
        },
    };
    Consensus::from_vote(&raw, own)
}

/// Reads a proposal request.
pub(super) fn proposal(request: &SignProposalRequest) -> Result<Consensus, Refusal> {
    let proposal = request
        .proposal
        .as_ref()
        .ok_or_else(|| malformed("the request carries no proposal"))?;
    Consensus::from_proposal(&RawProposal {
        kind: proposal.r#type,
        height: proposal.height,
        round: proposal.round,
        pol_round: proposal.pol_round,
        block_id: proposal.block_id.as_ref().map(block_id),
        timestamp: proposal.timestamp.as_ref().map(timestamp),
    })
}

/// The vote as the node sent it, with signatures and the timestamp they are for. Nodes verify over the vote that comes back.
pub(super) fn signed_vote(request: Option<Vote>, reply: &ConsensusReply) -> Reply {
    let mut vote = request.unwrap_or_default();
    vote.signature = reply.signature.0.to_vec();
    vote.timestamp = Some(wire_timestamp(reply.timestamp));
    vote.extension_signature = reply
        .extension_signature
        .map(|s| s.0.to_vec())
        .unwrap_or_default();
    Reply::vote(vote)
}

/// The proposal as the node sent it, with its signature and the timestamp it is for.
pub(super) fn signed_proposal(request: Option<Proposal>, reply: &ConsensusReply) -> Reply {
    let mut proposal = request.unwrap_or_default();
    proposal.signature = reply.signature.0.to_vec();
    proposal.timestamp = Some(wire_timestamp(reply.timestamp));
    Reply::proposal(proposal)
}

/// The public key in every encoding that a node may look for.
pub(super) fn public_key(key: &PublicKey) -> Reply {
    let kind = match key.algorithm() {
        Algorithm::Ed25519 => KeyType::Ed25519,
        Algorithm::Secp256k1 => KeyType::Secp256k1,
    };
    Reply::pub_key(kind, key.as_bytes())
}

fn block_id(id: &BlockId) -> RawBlockId<'_> {
    let parts = id.part_set_header.as_ref();
    RawBlockId {
        hash: &id.hash,
        total: parts.map_or(0, |parts| parts.total),
        part_hash: parts.map_or(&[], |parts| &parts.hash),
    }
}

const fn timestamp(time: &prost_types::Timestamp) -> RawTimestamp {
    RawTimestamp {
        seconds: time.seconds,
        nanos: time.nanos,
    }
}

const fn wire_timestamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.seconds(),
        nanos: time.nanos(),
    }
}

fn malformed(message: &str) -> Refusal {
    Refusal::new(RefusalCode::MalformedRequest, message)
}
