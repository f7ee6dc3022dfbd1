//! Builders of requests, and a model of the way of a request: every token, a store that is a map, a "key" whose signatures differ
//! each time, so that a stored signature cannot be mistaken for a new one.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several test programs"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::task::Waker;

use sigward_policies::authz::{NodeGrant, Rules};
use sigward_policies::decision::Refused;
use sigward_policies::double_sign::{Cleared, GuardRow, Limits, Slot, clear};
use sigward_policies::holding::Conditions;
use sigward_policies::model::algorithm::{Address, Algorithm, PublicKey, Signature};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::{ChainId, Generation, NodeName, UnixSeconds};
use sigward_policies::model::parse::{
    ExtensionSigning, RawBlockId, RawExtension, RawProposal, RawTimestamp, RawVote,
};
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{
    ConsensusMessages, ConsensusReply, ConsensusSignatures, Joined, Receipt, Received, RequestId, ToCommit,
    ToVerify, Verified, join,
};

pub const OWN: Address = Address([7; 20]);
pub const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
pub const GENERATION: Generation = Generation(1);

pub fn key(seed: u8) -> PublicKey {
    PublicKey::new(Algorithm::Ed25519, &[seed; 32]).unwrap()
}

pub fn chain() -> ChainId {
    ChainId::new("test-chain").unwrap()
}

pub fn node(chain: &ChainId) -> Caller {
    let node = NodeName::new("node-1").unwrap();
    Caller::Node {
        chain: chain.clone(),
        node,
    }
}

pub fn rules() -> Rules {
    let grant = NodeGrant {
        chain: chain(),
        node: NodeName::new("node-1").unwrap(),
        key: key(1),
    };
    Rules::new(GENERATION, [grant])
}

/// A digest that is no digest, but differs for the extensions of these tests.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out[0] = bytes.len() as u8;
    for (i, b) in bytes.iter().enumerate() {
        out[1 + i % 31] = out[1 + i % 31].wrapping_mul(31).wrapping_add(*b);
    }
    out
}

pub const NO_EXTENSION: RawExtension<'static> = RawExtension {
    bytes: &[],
    digest: [0; 32],
    signing: ExtensionSigning::Skip,
    non_replay_protected: false,
};

pub fn extension(bytes: &[u8]) -> RawExtension<'_> {
    RawExtension {
        bytes,
        digest: digest(bytes),
        signing: ExtensionSigning::Sign,
        non_replay_protected: false,
    }
}

/// A complete block id of thirty-two times `seed`.
pub fn block(seed: &'static [u8; 32]) -> Option<RawBlockId<'static>> {
    Some(RawBlockId {
        hash: seed,
        total: 5,
        part_hash: seed,
    })
}

pub const A: &[u8; 32] = &[0xa; 32];
pub const B: &[u8; 32] = &[0xb; 32];
pub const PREVOTE: i32 = 1;
pub const PRECOMMIT: i32 = 2;

pub fn raw_vote(kind: i32, height: i64, round: i32, id: Option<&'static [u8; 32]>) -> RawVote<'static> {
    RawVote {
        kind,
        height,
        round,
        block_id: id.and_then(block),
        timestamp: Some(RawTimestamp {
            seconds: 1_000,
            nanos: 5,
        }),
        validator_address: &[7; 20],
        extension: NO_EXTENSION,
    }
}

pub fn raw_proposal(height: i64, round: i32, pol_round: i32, id: &'static [u8; 32]) -> RawProposal<'static> {
    RawProposal {
        kind: 32,
        height,
        round,
        pol_round,
        block_id: block(id),
        timestamp: Some(RawTimestamp {
            seconds: 1_000,
            nanos: 5,
        }),
    }
}

pub fn vote(kind: i32, height: i64, round: i32, id: Option<&'static [u8; 32]>) -> Consensus {
    Consensus::from_vote(&raw_vote(kind, height, round, id), &OWN).unwrap()
}

pub fn proposal(height: i64, round: i32, pol_round: i32, id: &'static [u8; 32]) -> Consensus {
    Consensus::from_proposal(&raw_proposal(height, round, pol_round, id)).unwrap()
}

pub fn received(payload: Consensus) -> Received<Consensus> {
    let caller = node(&chain());
    Received::new(RequestId::mint(), caller, key(1), chain(), GENERATION, payload)
}

#[allow(clippy::disallowed_methods, reason = "these tests play the verifier")]
pub fn verified(checked: ToVerify) -> Verified {
    Verified::asserted_by_verifier(checked)
}

#[allow(clippy::disallowed_methods, reason = "these tests play the store")]
pub fn receipt(committed: ToCommit<Consensus>, row: GuardRow) -> Receipt<Consensus> {
    Receipt::asserted_by_store(committed, row)
}

/// One key on one chain, with its store.
#[derive(Debug)]
pub struct Signer {
    pub rules: Rules,
    pub limits: Limits,
    pub now: UnixSeconds,
    /// What is on disk.
    pub stored: GuardRow,
    pub slot: Slot,
    /// What the store knows to be held back.
    pub conditions: Conditions,
    /// How often the key was used.
    pub uses: u64,
}

impl Signer {
    pub fn new(row: GuardRow) -> Self {
        Self {
            rules: rules(),
            limits: Limits::default(),
            now: NOW,
            slot: Slot::new(key(1), chain(), row.clone()),
            stored: row,
            conditions: Conditions::default(),
            uses: 0,
        }
    }

    pub fn clear(&self, received: &Received<Consensus>) -> Result<Cleared, Refused> {
        let held = self.slot.try_hold(Waker::noop()).expect("nobody else holds it");
        clear(received, held, self.limits, self.now).into_result()
    }

    /// The whole way of one request. `Ok` is what leaves.
    pub fn sign(&mut self, request: &Consensus) -> Result<ConsensusReply, Refused> {
        let received = received(request.clone());
        let permit = self.rules.judge(&received).into_result()?;
        let cleared = self.clear(&received)?;
        match join(received, permit, cleared).expect("tokens of one request") {
            Joined::Order(order) => {
                let signatures = self.press(order.messages());
                let unreleased = order.signed(signatures).expect("a signature for each message");
                let checked = verified(unreleased.to_verify().unwrap());
                let receipt = self.commit(unreleased.to_commit())?;
                Ok(unreleased.release(checked, receipt).unwrap().into_reply())
            }
            Joined::Stored(stored) => {
                let checked = verified(stored.to_verify().unwrap());
                let receipt = self.commit(stored.to_commit())?;
                Ok(stored.release(checked, receipt).unwrap().into_reply())
            }
        }
    }

    /// What a key does: a signature for each message.
    pub fn press(&mut self, messages: &ConsensusMessages) -> ConsensusSignatures {
        let mut one = || {
            self.uses += 1;
            signature(self.uses)
        };
        ConsensusSignatures {
            message: messages.message.is_some().then(&mut one),
            extension: messages.extension.is_some().then(&mut one),
        }
    }

    /// What a store does.
    pub fn commit(&mut self, commit: ToCommit<Consensus>) -> Result<Receipt<Consensus>, Refused> {
        match commit.apply(&self.stored, &self.conditions) {
            Ok(row) => {
                self.stored = row.clone();
                Ok(receipt(commit, row))
            }
            Err(refusal) => {
                commit.corrected_by_store(self.stored.clone());
                Err(refusal.into())
            }
        }
    }
}

pub fn signature(number: u64) -> Signature {
    let mut bytes = [0x5a; 64];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Signature(bytes)
}
