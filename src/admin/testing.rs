//! The acts over a store whose commits can be made to wait, for tests of what happens to whoever does not wait for them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sigward_hsm::envelope::KekSource;
use sigward_hsm::error::ProviderError;
use sigward_hsm::fixtures::arena;
use sigward_hsm::software::SoftwareProvider;
use sigward_policies::decision::Refused;
use sigward_policies::holding::Holds;
use sigward_policies::model::id::StoreId;
use sigward_policies::model::key::Key;
use tokio::sync::Notify;

use super::{Admin, Chains, HandedOut, LastRegister, Providers};
use crate::audit::{Archive, Asker, History, Keeper, Settings, Stay};
use crate::authn::api_key::ApiKeys;
use crate::clock::SystemClock;
use crate::guard::Guard;
use crate::keyring::Keyring;
use crate::store::space::SpaceLimits;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{
    About, AuditHead, AuditRecord, Batch, Done, Health, Store, StoredApiKey, StoredApproval, StoredRow,
};

/// A store that commits when it is let.
pub(super) struct Slow {
    inner: Arc<SqliteStore>,
    /// What waits, where commits wait.
    waiting: Mutex<Option<Vec<(Batch, Done)>>>,
    asked: Notify,
}

impl Slow {
    /// From now on commits wait.
    pub(super) fn hold(&self) {
        *self.waiting.lock().unwrap() = Some(Vec::new());
    }

    /// Until somebody waits for a commit.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Commits what waits, and waits no more.
    pub(super) fn let_go(&self) {
        for (batch, done) in self.waiting.lock().unwrap().take().into_iter().flatten() {
            self.inner.commit(batch, done);
        }
    }
}

impl Store for Slow {
    fn id(&self) -> StoreId {
        self.inner.id()
    }
    fn commit(&self, batch: Batch, done: Done) {
        match &mut *self.waiting.lock().unwrap() {
            Some(waiting) => waiting.push((batch, done)),
            None => return self.inner.commit(batch, done),
        }
        self.asked.notify_one();
    }
    fn keys(&self) -> Result<Vec<Key>, Refused> {
        self.inner.keys()
    }
    fn holds(&self) -> Result<Holds, Refused> {
        self.inner.holds()
    }
    fn approvals(&self) -> Result<Vec<StoredApproval>, Refused> {
        self.inner.approvals()
    }
    fn api_keys(&self) -> Result<Vec<StoredApiKey>, Refused> {
        self.inner.api_keys()
    }
    fn state_of(&self, about: &About) -> Result<[u8; 32], Refused> {
        self.inner.state_of(about)
    }
    fn rows(&self) -> Result<Vec<StoredRow>, Refused> {
        self.inner.rows()
    }
    fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditRecord>, Refused> {
        self.inner.audit(from, limit)
    }
    fn audit_base(&self) -> Result<AuditHead, Refused> {
        self.inner.audit_base()
    }
    fn health(&self) -> Health {
        self.inner.health()
    }
}

/// All that acts need, and the store under it.
pub(super) struct Desk {
    pub(super) admin: Admin,
    pub(super) store: Arc<Slow>,
    _folder: tempfile::TempDir,
}

impl Desk {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let private = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let mut options = Options::new(folder.path().join("state"), Arc::new(SystemClock));
        options.allow_volatile = true;
        SqliteStore::create(&options).unwrap();
        let inner = SqliteStore::open(&options).unwrap();
        let (keys, seal) = (folder.path().join("keys"), folder.path().join("seal.key"));
        std::fs::create_dir(&keys).unwrap();
        private(&keys, 0o700);
        std::fs::write(
            &seal,
            std::array::from_fn::<u8, 32, _>(|at| u8::try_from(at).unwrap()),
        )
        .unwrap();
        private(&seal, 0o600);
        let arena = arena(8);
        let kek = Arc::new(KekSource::KeyFile(seal).read(&arena).unwrap());
        let software = SoftwareProvider::open(&keys, inner.id(), &arena, kek).unwrap();
        let store = Arc::new(Slow {
            inner,
            waiting: Mutex::default(),
            asked: Notify::new(),
        });
        let guard = Guard::load(store.rows().unwrap(), store.holds().unwrap());
        let admin = Admin {
            store: store.clone(),
            guard: Arc::new(guard),
            keyring: Arc::new(Keyring::default()),
            providers: Providers::new(Arc::new(software), []),
            arena,
            archive: Arc::new(archive(store.clone(), folder.path())),
            chains: Chains::default(),
            last_register: LastRegister::default(),
            handed_out: HandedOut::default(),
            api_keys: Arc::new(ApiKeys::default()),
            clock: Arc::new(SystemClock),
        };
        Self {
            admin,
            store,
            _folder: folder,
        }
    }

    /// Begins `act`, and goes away while its commit is under way; that comes to its end later.
    pub(super) async fn gone_before_the_end_of<T>(&self, act: impl Future<Output = T>) {
        self.store.hold();
        tokio::select! {
            biased;
            _ended = act => panic!("it did not wait for its commit"),
            () = self.store.asked() => {}
        }
        self.store.let_go();
    }
}

/// sigward itself.
pub(super) const WHO: Asker = Asker::SERVICE;

/// Until `is` says so; a test that waits for ever fails.
pub(super) async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..600 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}");
}

fn archive(store: Arc<dyn Store>, folder: &std::path::Path) -> Archive {
    let settings = Settings {
        folder: folder.join("audit"),
        state: folder.to_owned(),
        segment_records: 1000,
        segment_age: Duration::from_secs(3600),
        retention: Duration::from_secs(3600),
        checkpoint_records: 1000,
        checkpoint_age: Duration::from_secs(3600),
        segments_for: None,
        segments_bytes: None,
        space: SpaceLimits { low: 0, reserve: 0 },
    };
    let keeper = Keeper::new(store, Arc::new(SystemClock), settings, Stay::default(), None).unwrap();
    let no_key = || {
        Err(ProviderError::Unavailable {
            reason: "a test without checkpoints".to_owned(),
        })
    };
    Archive::new(History::default(), keeper, Box::new(no_key))
}
