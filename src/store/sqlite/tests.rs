//! Tests of the embedded store. Tokens are made through the rules: there is no other way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod acts;
mod api_keys;
mod approvals;
mod busy;
mod cost;
mod failure;
mod forget;
mod holding;
mod layouts;
mod rollback;
mod rule;
mod weight;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::Waker;

use sha2::{Digest, Sha256};
use sigward_policies::authz::{NodeGrant, Rules};
use sigward_policies::decision::Refused;
use sigward_policies::double_sign::{Beginning, GuardRow, Limits, Slot, Watermark, clear};
use sigward_policies::model::algorithm::{Address, Algorithm, PublicKey, Signature};
use sigward_policies::model::caller::Caller;
use sigward_policies::model::id::{ChainId, Generation, KeyName, NodeName, UnixSeconds};
use sigward_policies::model::key::{Key, KeyVersion, Origin, VersionState};
use sigward_policies::model::parse::{
    ExtensionSigning, RawBlockId, RawExtension, RawProposal, RawTimestamp, RawVote,
};
use sigward_policies::model::payload::Consensus;
use sigward_policies::proof::{ConsensusSignatures, Joined, Received, RequestId, ToCommit, join};

use super::super::{AuditEntry, Batch, Change, Context, Outcome, Receipts, Sharing, Store};
use super::*;

pub(super) const NOW: UnixSeconds = UnixSeconds(1_700_000_000);

struct Fixed;

impl Clock for Fixed {
    fn unix_micros(&self) -> i64 {
        NOW.0 * 1_000_000
    }
}

/// A state folder that goes away with the test.
pub(super) struct Home {
    pub(super) tmp: tempfile::TempDir,
    pub(super) options: Options,
}

impl Home {
    pub(super) fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let mut options = Options::new(tmp.path().join("state"), Arc::new(Fixed));
        // Small, so that segments are filled and changed.
        options.witness_segment = 64 * 1024;
        options.allow_volatile = true;
        Self { tmp, options }
    }

    /// With an open store in it.
    pub(super) fn open() -> (Self, Arc<SqliteStore>) {
        let home = Self::new();
        SqliteStore::create(&home.options).unwrap();
        let store = SqliteStore::open(&home.options).unwrap();
        (home, store)
    }
}

pub(super) fn chain(name: &str) -> ChainId {
    ChainId::new(name).unwrap()
}

pub(super) fn public_key(n: u32) -> PublicKey {
    let mut raw = [7; 32];
    raw[..4].copy_from_slice(&n.to_be_bytes());
    PublicKey::new(Algorithm::Ed25519, &raw).unwrap()
}

pub(super) fn key(n: u32) -> Key {
    Key {
        name: KeyName::new(&format!("key-{n}")).unwrap(),
        version: KeyVersion {
            version: 1,
            public_key: public_key(n),
            address: Address([1; 20]),
            provider: "software".to_owned(),
            origin: Origin::Generated,
            state: VersionState::Active,
            created_at: NOW,
            exported: false,
            backup: None,
        },
    }
}

pub(super) fn act() -> AuditEntry {
    AuditEntry {
        time_micros: 1,
        subject: "service".to_owned(),
        operation: "test.act".to_owned(),
        key: None,
        key_version: None,
        chain: None,
        position: None,
        outcome: Outcome::Allowed,
        reason: String::new(),
        request_digest: None,
        signature_digest: None,
        count: 1,
        context: Context::default(),
    }
}

/// A key that begins fresh on a chain.
pub(super) fn begin(n: u32, on: &ChainId) -> Batch {
    let begin = Change::Begin {
        public_key: public_key(n),
        chain: on.clone(),
        beginning: Beginning::NeverSigned,
        sharing: Sharing::OneChain,
    };
    Batch::act(vec![Change::AddKey(key(n)), begin], act())
}

pub(super) fn fresh() -> GuardRow {
    GuardRow::begin(Watermark::Fresh, NOW)
}

/// A message: step 1 proposal, 2 prevote, 3 precommit; block 0 is nil.
pub(super) fn message(height: i64, round: i32, step: u8, block: u8, seconds: i64) -> Consensus {
    let hash = [block; 32];
    let block_id = (block != 0).then_some(RawBlockId {
        hash: &hash,
        total: 1,
        part_hash: &hash,
    });
    let timestamp = Some(RawTimestamp { seconds, nanos: 5 });
    if step == 1 {
        return Consensus::from_proposal(&RawProposal {
            kind: 32,
            height,
            round,
            pol_round: -1,
            block_id,
            timestamp,
        })
        .unwrap();
    }
    let extension = RawExtension {
        bytes: &[],
        digest: Sha256::digest([]).into(),
        signing: ExtensionSigning::Skip,
        non_replay_protected: false,
    };
    let vote = RawVote {
        kind: i32::from(step) - 1,
        height,
        round,
        block_id,
        timestamp,
        validator_address: &[],
        extension,
    };
    Consensus::from_vote(&vote, &Address([1; 20])).unwrap()
}

/// The tokens of one request, up to the store, over what memory believes the row to be.
pub(super) fn signed(
    n: u32,
    on: &ChainId,
    request: &Consensus,
    memory: GuardRow,
) -> Result<ToCommit<Consensus>, Refused> {
    let node = NodeName::new("node").unwrap();
    let rules = Rules::new(
        Generation(1),
        [NodeGrant {
            chain: on.clone(),
            node: node.clone(),
            key: public_key(n),
        }],
    );
    let caller = Caller::Node {
        chain: on.clone(),
        node,
    };
    let received = Received::new(
        RequestId::mint(),
        caller,
        public_key(n),
        on.clone(),
        Generation(1),
        request.clone(),
    );
    let permit = rules.judge(&received).into_result()?;
    let held = Slot::new(public_key(n), on.clone(), memory)
        .try_hold(Waker::noop())
        .unwrap();
    let cleared = clear(&received, held, Limits::default(), NOW).into_result()?;
    Ok(match join(received, permit, cleared).unwrap() {
        Joined::Stored(stored) => stored.to_commit(),
        Joined::Order(order) => {
            let bytes = order.messages().message.clone().unwrap();
            let half: [u8; 32] = Sha256::digest(&bytes).into();
            let signatures = ConsensusSignatures {
                message: Some(Signature(std::array::from_fn(|at| half[at % 32]))),
                extension: None,
            };
            order.signed(signatures).unwrap().to_commit()
        }
    })
}

pub(super) fn record_of(commit: &ToCommit<Consensus>) -> AuditEntry {
    AuditEntry {
        operation: commit.claim().operation().to_string(),
        key: Some(*commit.claim().key()),
        chain: Some(commit.claim().chain().clone()),
        position: Some(commit.position()),
        outcome: if commit.is_repeat() {
            Outcome::Replayed
        } else {
            Outcome::Allowed
        },
        request_digest: Some(Sha256::digest(commit.sign_bytes()).into()),
        ..act()
    }
}

pub(super) fn batch(n: u32, on: &ChainId, request: &Consensus, memory: GuardRow) -> Batch {
    let commit = signed(n, on, request, memory).unwrap();
    let entry = record_of(&commit);
    Batch::sign(commit, entry)
}

pub(super) fn commit(store: &dyn Store, batch: Batch) -> Result<Receipts, Refused> {
    let (tell, told) = channel();
    store.commit(batch, Box::new(move |outcome| tell.send(outcome).unwrap()));
    told.recv().unwrap()
}

/// Signs over a memory that knows nothing: the store alone decides.
pub(super) fn sign(
    store: &dyn Store,
    n: u32,
    on: &ChainId,
    request: &Consensus,
) -> Result<Receipts, Refused> {
    commit(store, batch(n, on, request, fresh()))
}

pub(super) fn code<T: std::fmt::Debug>(outcome: Result<T, Refused>) -> &'static str {
    outcome.unwrap_err().code()
}
