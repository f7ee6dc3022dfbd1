//! Chains and a signer of checkpoints, for tests.

use std::fs::Permissions;
use std::sync::Arc;

use sigward_hsm::envelope::{Kek, KekSource};
use sigward_hsm::secret::{Arena, ArenaSize, Unlocked};
use sigward_hsm::software::CheckpointKey;
use sigward_policies::model::id::{StoreId, UnixSeconds};

use super::checkpoint::Checkpoint;
use crate::store::{AuditEntry, AuditHead, AuditRecord, Context, Outcome};

pub(crate) const STORE: StoreId = StoreId([1; 16]);

pub(crate) fn entry(n: u64) -> AuditEntry {
    AuditEntry {
        time_micros: i64::try_from(n).unwrap() * 1_000_000,
        subject: format!("uid:{n}"),
        operation: "key.create".to_owned(),
        key: None,
        key_version: None,
        chain: None,
        position: None,
        outcome: Outcome::Allowed,
        reason: String::new(),
        request_digest: Some([3; 32]),
        signature_digest: None,
        count: 1,
        context: Context::default(),
    }
}

/// The first `len` records of a chain.
pub(crate) fn chain(store: StoreId, len: u64) -> Vec<AuditRecord> {
    let mut head = AuditHead::genesis(&store);
    (1..=len)
        .map(|n| {
            let (record, _) = AuditRecord::link(&head, entry(n));
            head = record.head();
            record
        })
        .collect()
}

/// A checkpoint key of its own.
pub(crate) struct Signer {
    pub(crate) key: CheckpointKey,
    _tmp: tempfile::TempDir,
}

impl Signer {
    pub(crate) fn new() -> Self {
        Self::of(STORE)
    }

    pub(crate) fn of(store: StoreId) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let arena = Arena::new(ArenaSize::for_keys(8), Unlocked::Allow).unwrap();
        let tmp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(tmp.path(), Permissions::from_mode(0o700)).unwrap();
        let file = tmp.path().join("seal.key");
        std::fs::write(&file, std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let kek: Arc<Kek> = Arc::new(KekSource::KeyFile(file).read(&arena).unwrap());
        let key = CheckpointKey::open_or_make(tmp.path(), store, &arena, kek, UnixSeconds(1)).unwrap();
        Self { key, _tmp: tmp }
    }

    pub(crate) fn sign(&self, previous: Option<&Checkpoint>, head: AuditHead, time: i64) -> Checkpoint {
        Checkpoint::sign(&self.key, STORE, previous, head, time).unwrap()
    }
}
