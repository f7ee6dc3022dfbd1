//! A chain with a scripted provider under it, for tests of the pipeline and of what stands on it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use sigward_hsm::conformance::generate;
use sigward_hsm::fixtures::arena;
use sigward_hsm::mock::{MockProvider, MockStorage};
use sigward_hsm::provider::{KeyStorageProvider as _, Sign};
use sigward_hsm::verify::Verifier;
use sigward_policies::authz::{KeyFacts, NodeGrant};
use sigward_policies::double_sign::{Beginning, Limits};
use sigward_policies::model::algorithm::Algorithm;
use sigward_policies::model::id::{ChainId, KeyName, NodeName};
use sigward_policies::model::key::{Key, KeyVersion, Origin, VersionState};
use sigward_policies::model::parse::{ExtensionSigning, RawBlockId, RawExtension, RawTimestamp, RawVote};
use sigward_policies::model::payload::Consensus;

use super::{ChainSigner, LiveLimits};
use crate::audit::Denials;
use crate::authn;
use crate::authz::Authorizer;
use crate::clock::{Clock as _, SystemClock};
use crate::guard::Guard;
use crate::keyring::ConsensusKey;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{self, AuditEntry, Batch, Change, Context, Outcome, Sharing, Store};
use crate::telemetry::activity::Activity;
use crate::telemetry::metrics::{Build, Metrics, Proto};
use crate::telemetry::spans::Spans;

/// A store, a mock provider with one key, and a signer for one node of one chain.
pub(crate) struct Bench {
    pub(crate) signer: ChainSigner,
    pub(crate) mock: Arc<MockProvider>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) metrics: Arc<Metrics>,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let mock = Arc::new(MockProvider::open(&arena(8), &MockStorage::default()));
        let signer = mock.clone();
        Self::with(mock, signer).await
    }

    /// With keys of the mock, used by `signer`.
    pub(crate) async fn with(mock: Arc<MockProvider>, signer: Arc<dyn Sign<Consensus>>) -> Self {
        let base = std::env::var_os("STATE_DIR").map_or_else(std::env::temp_dir, Into::into);
        let folder = tempfile::tempdir_in::<std::path::PathBuf>(base).unwrap();
        let mut options = Options::new(folder.path().join("state"), Arc::new(SystemClock));
        options.allow_volatile = true;
        SqliteStore::create(&options).unwrap();
        let store = SqliteStore::open(&options).unwrap();

        let handle = generate(mock.as_ref(), "bench", Algorithm::Ed25519);
        let metadata = mock.list_keys().unwrap().remove(0);
        let (public_key, chain) = (metadata.public_key, ChainId::new("bench-1").unwrap());
        let key = Key {
            name: metadata.name,
            version: KeyVersion {
                version: 1,
                public_key,
                address: metadata.address,
                provider: "mock".to_owned(),
                origin: Origin::Generated,
                state: VersionState::Active,
                created_at: SystemClock.unix_seconds(),
                exported: false,
                backup: None,
            },
        };
        let begin = Change::Begin {
            public_key,
            chain: chain.clone(),
            beginning: Beginning::NeverSigned,
            sharing: Sharing::OneChain,
        };
        let batch = Batch::act(vec![Change::AddKey(key.clone()), begin], entry());
        store::commit(store.as_ref(), batch).await.unwrap();

        let node = NodeName::new("node").unwrap();
        let grant = NodeGrant {
            chain: chain.clone(),
            node: node.clone(),
            key: public_key,
        };
        let build = Build {
            version: "0",
            commit: "unknown",
        };
        let metrics = Metrics::new(build, &SystemClock);
        let signer = ChainSigner {
            caller: authn::dialled_node(&chain, &node),
            key: ConsensusKey {
                key,
                handle,
                signer,
                verifier: Arc::new(Verifier::new(&public_key).unwrap()),
            },
            slot: Guard::load(store.rows().unwrap(), store.holds().unwrap())
                .slot(&public_key, &chain)
                .unwrap(),
            limits: LiveLimits::new(Limits::default()),
            authorizer: Arc::new(Authorizer::new([grant])),
            policies: Arc::default(),
            facts: KeyFacts {
                name: KeyName::new("key").unwrap(),
                public_key: Some(public_key),
                provider: None,
            },
            store: store.clone(),
            denials: Arc::new(Denials::default()),
            clock: Arc::new(SystemClock),
            metrics: Arc::new(metrics.sign(Proto::Privval)),
            chain_metrics: Arc::new(metrics.chain(&chain)),
            activity: Activity::default(),
            spans: Spans::default(),
            chain,
        };
        Self {
            signer,
            mock,
            store,
            metrics,
            _folder: folder,
        }
    }

    /// A prevote at `height` for a block of thirty-two times `salt`.
    pub(crate) fn prevote(&self, height: i64, salt: u8) -> Consensus {
        let hash = [salt; 32];
        let raw = RawVote {
            kind: 1,
            height,
            round: 0,
            block_id: Some(RawBlockId {
                hash: &hash,
                total: 1,
                part_hash: &hash,
            }),
            timestamp: Some(RawTimestamp {
                seconds: 1_700_000_000,
                nanos: 0,
            }),
            validator_address: &[],
            extension: RawExtension {
                bytes: &[],
                digest: [0; 32],
                signing: ExtensionSigning::Skip,
                non_replay_protected: false,
            },
        };
        Consensus::from_vote(&raw, &self.signer.key.key.version.address).unwrap()
    }
}

fn entry() -> AuditEntry {
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
