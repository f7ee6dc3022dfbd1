//! The embedded store: SQLite, one writer that owns the one connection, group commit, and a witness that holds each commit before
//! anybody hears of it.
//!
//! ```text
//! commit(batch, done) ──▶ queue ──▶ writer: judge each · witness · tables · sync of the witness · receipts · done, done, …
//! ```
//!
//! The writer is a thread's while batches wait, and the caller's own for a lone signature (`shared`). Signatures come first (`queue`).
//!
//! The folder holds `guard.db` (and `guard.db-wal` while it is open), `guard.lock` and, unless it is kept elsewhere,
//! `guard.witness`.
//!
//! *Invariants:* nothing else in the process opens the database. Nobody is answered, refusals included, before the commit that
//! his answer rests on is on disk and witnessed. An error on that way is final: nothing is retried, everything after it fails.
//!
//! *Caveat:* a copy of the whole folder *with* its witness, started elsewhere, cannot be told from the original.

mod adopt;
mod books;
mod connection;
mod create;
mod open;
mod queue;
mod room;
mod shared;
mod table;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use sigward_policies::decision::Refused;
use sigward_policies::holding::Holds;
use sigward_policies::model::id::StoreId;
use sigward_policies::model::key::Key;

pub use adopt::{Above, Adopted};

use super::space::SpaceLimits;
use super::{
    About, AuditHead, AuditRecord, Batch, Done, Followed, Health, Store, StoredApiKey, StoredApproval,
    StoredRow,
};
use crate::clock::Clock;
use crate::telemetry::StoreMetrics;
use shared::Shared;
use writer::{Waiter, Writer};

/// Room for some thousand commits between two syncs of the tables.
pub const WITNESS_SEGMENT: u64 = 4 << 20;

/// Where a store lives and what it may assume.
#[derive(Clone)]
pub struct Options {
    /// The state folder, mode 0700.
    pub dir: PathBuf,
    /// The witness file; better on another disk.
    pub witness: PathBuf,
    /// Whether the folder may be on a file system that forgets. For development.
    pub allow_volatile: bool,
    /// Bytes of each of the two segments of a new witness: a multiple of 64 KiB. When one is full, the tables are synced.
    pub witness_segment: u64,
    /// From which free space on signatures are refused.
    pub space: SpaceLimits,
    /// Stamps rows that begin or are closed.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("dir", &self.dir)
            .field("witness", &self.witness)
            .field("allow_volatile", &self.allow_volatile)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The store in `dir` with its witness beside it, on a file system that keeps what it is told.
    pub fn new(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        let dir = dir.into();
        let witness = dir.join("guard.witness");
        Self {
            dir,
            witness,
            allow_volatile: false,
            witness_segment: WITNESS_SEGMENT,
            space: SpaceLimits::default(),
            clock,
        }
    }

    /// The database, to be measured and never opened.
    pub fn database(&self) -> PathBuf {
        self.dir.join("guard.db")
    }

    fn lock(&self) -> PathBuf {
        self.dir.join("guard.lock")
    }

    /// What SQLite keeps beside a database.
    fn companions(database: &Path) -> impl Iterator<Item = PathBuf> {
        ["-wal", "-shm", "-journal"].into_iter().map(move |suffix| {
            let mut name = database.as_os_str().to_owned();
            name.push(suffix);
            name.into()
        })
    }
}

/// The embedded store. Dropping it closes it.
#[derive(Debug)]
pub struct SqliteStore {
    id: StoreId,
    health: Arc<Mutex<Health>>,
    metrics: Arc<OnceLock<StoreMetrics>>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Starts the writer thread over an open store.
    fn start(writer: Writer) -> std::io::Result<Arc<Self>> {
        let (id, health, metrics) = (writer.id(), writer.shared_health(), writer.shared_metrics());
        let shared = Arc::new(Shared::new(writer));
        let own = shared.clone();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || own.run())?;
        Ok(Arc::new(Self {
            id,
            health,
            metrics,
            shared,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Has every commit told to `metrics`; the first word counts.
    pub fn observe(&self, metrics: StoreMetrics) {
        let _told_before = self.metrics.set(metrics);
    }

    /// Commits what waits, folds the log into the database, and frees the folder. What is asked later fails. Idempotent.
    pub fn close(&self) {
        let thread = unpoisoned(&self.thread).take();
        self.shared.stop();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _panicked = thread.join();
        }
    }

    /// Looks between two commits. Must not be called from a [`Done`]: whoever calls that has the writer.
    fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Writer) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        self.shared
            .between(|writer| writer.working().and_then(|()| read(writer)))
    }
}

impl Store for SqliteStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn commit(&self, batch: Batch, done: Done) {
        self.shared.commit(batch, Waiter::new(done));
    }

    fn keys(&self) -> Result<Vec<Key>, Refused> {
        self.ask(|writer| Ok(writer.ledger().keys()))
    }

    fn holds(&self) -> Result<Holds, Refused> {
        self.ask(|writer| Ok(writer.ledger().holds()))
    }

    fn approvals(&self) -> Result<Vec<StoredApproval>, Refused> {
        self.ask(|writer| Ok(writer.ledger().approvals()))
    }

    fn api_keys(&self) -> Result<Vec<StoredApiKey>, Refused> {
        self.ask(|writer| Ok(writer.ledger().api_keys()))
    }

    fn state_of(&self, about: &About) -> Result<[u8; 32], Refused> {
        let about = about.clone();
        self.ask(move |writer| Ok(writer.ledger().state_of(&about)))
    }

    fn rows(&self) -> Result<Vec<StoredRow>, Refused> {
        self.ask(|writer| Ok(writer.ledger().guard_rows()))
    }

    fn followed(&self) -> Result<Followed, Refused> {
        self.shared.follow(|writer| {
            writer.working()?;
            let ledger = writer.ledger();
            Ok(Followed {
                holds: ledger.holds(),
                rows: ledger.guard_rows(),
                api_keys: ledger.api_keys(),
            })
        })
    }

    fn audit(&self, from: u64, limit: usize) -> Result<Vec<AuditRecord>, Refused> {
        let shared = self.shared.clone();
        self.ask(move |writer| writer.audit(from, limit, &|| shared.look_is_cut()))
    }

    fn audit_base(&self) -> Result<AuditHead, Refused> {
        self.ask(Writer::audit_base)
    }

    fn forget_audit(&self, kept: &AuditHead, most: usize) -> Result<AuditHead, Refused> {
        let kept = *kept;
        self.shared.between(move |writer| writer.forget(&kept, most))
    }

    fn health(&self) -> Health {
        unpoisoned(&self.health).clone()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// The locks here guard values that are replaced in one step, so a panic leaves them whole.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For tests: a database in other hands.
#[cfg(test)]
pub(crate) type Tampered = rusqlite::Connection;

/// For tests: has `act` change a closed database behind our back.
#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the store is closed; a test"
)]
pub(crate) fn tamper<T>(options: &Options, act: impl FnOnce(&Tampered) -> T) -> T {
    let open = rusqlite::Connection::open(options.database()).unwrap();
    act(&open)
}
