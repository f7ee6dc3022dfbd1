//! Orders for tests, made the only way there is: through the rules.
//!
//! May import: `policies`. Feature `testing`; never in a release.
#![allow(
    clippy::expect_used,
    reason = "test support: a fixture that cannot be made is a broken test"
)]

use std::task::Waker;

use sha2::{Digest as _, Sha256};
use sigward_policies::{
    authz::{NodeGrant, Rules},
    decision::Decision,
    double_sign::{GuardRow, Limits, Slot, Watermark, clear},
    model::{
        algorithm::PublicKey,
        caller::Caller,
        id::{ChainId, Generation, NodeName, UnixSeconds},
        parse::{ExtensionSigning, RawBlockId, RawExtension, RawTimestamp, RawVote},
        payload::Consensus,
    },
    proof::{Joined, Received, RequestId, SignOrder, join},
};

use crate::{
    secret::{Arena, ArenaSize, Unlocked},
    verify::address,
};

/// What a vote of a fixture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteFixture {
    /// A prevote for a block: one message.
    Prevote,
    /// A precommit for a block with an extension: two messages.
    Precommit,
}

/// An arena for tests, on machines that lock nothing too.
///
/// # Panics
/// When there is no memory.
#[must_use]
pub fn arena(keys: u32) -> Arena {
    Arena::new(ArenaSize::for_keys(keys), Unlocked::Allow).expect("a test has memory")
}

/// An order for `key` to sign a vote at `height` on the chain `conformance-1`, over a fresh guard row of its own.
///
/// # Panics
/// When the rules refuse it: `height` is not 1 ≤ height < 2^62.
pub fn order(key: &PublicKey, height: i64, vote: VoteFixture) -> SignOrder<Consensus> {
    let extension = match vote {
        VoteFixture::Prevote => &b""[..],
        VoteFixture::Precommit => b"extension",
    };
    let raw = RawVote {
        kind: match vote {
            VoteFixture::Prevote => 1,
            VoteFixture::Precommit => 2,
        },
        height,
        round: 0,
        block_id: Some(RawBlockId {
            hash: &[1; 32],
            total: 1,
            part_hash: &[2; 32],
        }),
        timestamp: Some(RawTimestamp {
            seconds: 1_800_000_000,
            nanos: 0,
        }),
        validator_address: &address(key).0,
        extension: RawExtension {
            bytes: extension,
            digest: Sha256::digest(extension).into(),
            signing: ExtensionSigning::Sign,
            non_replay_protected: false,
        },
    };
    let chain = ChainId::new("conformance-1").expect("a chain id");
    let node = NodeName::new("node").expect("a node name");
    let generation = Generation(1);
    let grant = NodeGrant {
        chain: chain.clone(),
        node: node.clone(),
        key: *key,
    };
    let rules = Rules::new(generation, [grant]);
    let payload = Consensus::from_vote(&raw, &address(key)).expect("a sane vote");
    let caller = Caller::Node {
        chain: chain.clone(),
        node,
    };
    let now = UnixSeconds(1_800_000_000);
    let held = Slot::new(*key, chain.clone(), GuardRow::begin(Watermark::Fresh, now))
        .try_hold(Waker::noop())
        .expect("a free slot");
    let received = Received::new(RequestId::mint(), caller, *key, chain, generation, payload);
    let permit = allowed(rules.judge(&received));
    let cleared = allowed(clear(&received, held, Limits::default(), now));
    match join(received, permit, cleared).expect("tokens of one request") {
        Joined::Order(order) => Some(order),
        Joined::Stored(_) => None,
    }
    .expect("nothing was signed before")
}

fn allowed<T>(decision: Decision<T>) -> T {
    decision.into_result().expect("the rules allow it")
}
